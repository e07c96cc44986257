//! What files, data and runs are known by: the first 64 bits of SHA-256.

use covary_data::Dataset;
use serde::{Deserialize, Serialize};
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

/// What a run's images are known by, wherever they lie.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DataDigest {
    /// Training images.
    pub images: usize,
    /// [`digest`] of sizes, labels, names of classes and the CRC-32C of each image's pixels.
    pub train: String,
    /// The same of the test images; none where the run has none.
    pub test: Option<String>,
}

impl DataDigest {
    /// Of decoded images.
    pub fn of(train: &Dataset, test: Option<&Dataset>) -> Self {
        Self {
            images: train.len(),
            train: of_images(train),
            test: test.map(of_images),
        }
    }
}

fn of_images(set: &Dataset) -> String {
    let mut facts = Vec::new();
    for index in 0..set.len() {
        let image = set.image(index);
        facts.extend((image.height as u64).to_le_bytes());
        facts.extend((image.width as u64).to_le_bytes());
        facts.extend(crc32c::crc32c(image.pixels).to_le_bytes());
    }
    for label in set.labels().unwrap_or_default() {
        facts.extend(label.to_le_bytes());
    }
    let names = set.class_names().join("\n");
    digest([&*facts, names.as_bytes()])
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
