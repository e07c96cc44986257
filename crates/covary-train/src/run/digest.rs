//! What files and runs are known by: the first 64 bits of SHA-256.

use sha2::{Digest, Sha256};

/// 16 hexadecimal digits of the SHA-256 of the parts, one after the other.
pub fn digest<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part);
    }
    let hash = hash.finalize();
    let first: [u8; 8] = hash[..8].try_into().expect("a digest has 32 bytes");
    format!("{:016x}", u64::from_be_bytes(first))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_answers_of_fips_180_4() {
        assert_eq!(digest([b"abc".as_slice()]), "ba7816bf8f01cfea");
        assert_eq!(digest([b"a".as_slice(), b"bc"]), "ba7816bf8f01cfea");
        assert_eq!(digest([]), "e3b0c44298fc1c14");
    }
}
