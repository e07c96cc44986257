//! A file's own digest, kept inside the file, so that a flipped bit anywhere in it is found when it is read.
//!
//! ```text
//! digest = SHA-256(the file's bytes, with the 64 digits of the digest themselves read as zeros)
//! ```
//!
//! The digest stands in a JSON object under the key `sha256`, of a safetensors file in its metadata. A second key, `digest`, names the
//! convention, so that damage to either key is told from a file that never had a digest. Anybody can check a file:
//! `sed -E 's/("sha256": ?")[0-9a-f]{64}/\1000…0/' FILE | sha256sum`.

use std::collections::{BTreeMap, HashMap};

use safetensors::SafeTensorError;
use safetensors::tensor::TensorView;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

const KEY: &str = "sha256";
const CONVENTION: (&str, &str) = ("digest", "sha256 of this file with its digits as zeros");
const DIGITS: usize = 64;
const ZEROS: [u8; DIGITS] = [b'0'; DIGITS];

/// What a file says about its own bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seal {
    /// It holds a digest, and its bytes have it.
    Verified,
    /// It holds none: another program or an older version wrote it.
    Absent,
}

/// A file whose bytes are not those that were written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the file is damaged: its bytes do not have the SHA-256 that was written with them")]
pub struct BrokenSeal;

/// A safetensors file with sorted header and digest: equal tensors and metadata give equal bytes.
///
/// # Errors
/// Names that repeat.
pub fn sealed_safetensors(
    views: Vec<(String, TensorView<'_>)>,
    metadata: impl IntoIterator<Item = (String, String)>,
) -> Result<Vec<u8>, SafeTensorError> {
    let mut metadata: HashMap<String, String> = metadata.into_iter().collect();
    metadata.insert(CONVENTION.0.into(), CONVENTION.1.into());
    metadata.insert(KEY.into(), String::from_utf8_lossy(&ZEROS).into_owned());
    let mut bytes = safetensors::serialize(views, Some(metadata))?;
    sort_header(&mut bytes);
    let head = header_end(&bytes);
    seal(&mut bytes, head);
    Ok(bytes)
}

/// An object as indented JSON with its digest.
pub fn sealed_json(object: &Map<String, Value>) -> Vec<u8> {
    let mut object = object.clone();
    object.insert(CONVENTION.0.into(), CONVENTION.1.into());
    object.insert(KEY.into(), String::from_utf8_lossy(&ZEROS).into());
    let mut bytes = serde_json::to_vec_pretty(&object).expect("an object of plain values is JSON");
    bytes.push(b'\n');
    let head = bytes.len();
    seal(&mut bytes, head);
    bytes
}

/// Checks a safetensors file against the digest in its metadata.
///
/// # Errors
/// [`BrokenSeal`] when it has one and its bytes are others.
pub fn check_safetensors(bytes: &[u8]) -> Result<Seal, BrokenSeal> {
    check(bytes, header_end(bytes))
}

/// Reads a JSON object that [`sealed_json`] or an older version wrote, without the keys of its digest.
///
/// # Errors
/// What is wrong with it, in words.
pub fn read_sealed_json(bytes: &[u8]) -> Result<(Map<String, Value>, Seal), String> {
    let seal = check(bytes, bytes.len()).map_err(|error| error.to_string())?;
    let mut object: Map<String, Value> =
        serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
    object.remove(KEY);
    object.remove(CONVENTION.0);
    Ok((object, seal))
}

/// Where the header of a safetensors file ends: behind its length, eight bytes, and as many as that says.
fn header_end(bytes: &[u8]) -> usize {
    let length = bytes
        .first_chunk()
        .map_or(0, |length| u64::from_le_bytes(*length));
    usize::try_from(length.saturating_add(8)).map_or(bytes.len(), |end| end.min(bytes.len()))
}

/// Puts the digest in the place of the zeros in the first `head` bytes.
fn seal(bytes: &mut [u8], head: usize) {
    let slot = slot(&bytes[..head]).expect("the object has the key");
    let digest = digest_without(bytes, slot);
    bytes[slot..slot + DIGITS].copy_from_slice(&digest);
}

fn check(bytes: &[u8], head: usize) -> Result<Seal, BrokenSeal> {
    let head = &bytes[..head];
    match slot(head) {
        Some(slot) if bytes[slot..slot + DIGITS] == digest_without(bytes, slot) => {
            Ok(Seal::Verified)
        }
        Some(_) => Err(BrokenSeal),
        // The place of a digest without its key, or the convention without a digest.
        None if contains(head, CONVENTION.1.as_bytes()) || has_digits(head) => Err(BrokenSeal),
        None => Ok(Seal::Absent),
    }
}

/// Where the digits start: behind the key, a colon, any spaces and a quotation mark.
fn slot(head: &[u8]) -> Option<usize> {
    let key = format!("\"{KEY}\":");
    let key = key.as_bytes();
    let at = head.windows(key.len()).position(|window| window == key)? + key.len();
    let spaces = head[at..].iter().take_while(|byte| **byte == b' ').count();
    let start = at + spaces + 1;
    let is_string = head.get(start - 1) == Some(&b'"') && head.get(start + DIGITS) == Some(&b'"');
    is_string.then_some(start)
}

fn contains(head: &[u8], text: &[u8]) -> bool {
    head.windows(text.len()).any(|window| window == text)
}

/// Whether a string of 64 hexadecimal digits stands anywhere.
fn has_digits(head: &[u8]) -> bool {
    head.windows(DIGITS + 2).any(|window| {
        window[0] == b'"'
            && window[DIGITS + 1] == b'"'
            && window[1..=DIGITS].iter().all(u8::is_ascii_hexdigit)
    })
}

fn digest_without(bytes: &[u8], slot: usize) -> [u8; DIGITS] {
    let mut hash = Sha256::new();
    hash.update(&bytes[..slot]);
    hash.update(ZEROS);
    hash.update(&bytes[slot + DIGITS..]);
    let mut digits = ZEROS;
    for (pair, byte) in digits.chunks_exact_mut(2).zip(hash.finalize()) {
        for (digit, nibble) in pair.iter_mut().zip([byte >> 4, byte & 15]) {
            *digit = b"0123456789abcdef"[usize::from(nibble)];
        }
    }
    digits
}

/// Sorts the keys of a safetensors header, which come in a hash map's order. The header keeps its length.
fn sort_header(bytes: &mut [u8]) {
    let end = header_end(bytes);
    let header = &mut bytes[8..end];
    let entries: BTreeMap<String, BTreeMap<String, Value>> =
        serde_json::from_slice(header).expect("safetensors writes JSON objects");
    let sorted = serde_json::to_vec(&entries).expect("what was JSON is JSON");
    header.fill(b' ');
    header[..sorted.len()].copy_from_slice(&sorted);
}

#[cfg(test)]
mod tests {
    use safetensors::tensor::Dtype;

    use super::*;

    fn tensors() -> Vec<u8> {
        let values: Vec<u8> = (0..64).collect();
        let view = |at: usize| TensorView::new(Dtype::F32, vec![8], &values[at..at + 32]).unwrap();
        let views = vec![("a".to_owned(), view(0)), ("b".to_owned(), view(32))];
        let metadata = HashMap::from([("step".to_owned(), "7".to_owned())]);
        sealed_safetensors(views, metadata).unwrap()
    }

    fn object() -> Map<String, Value> {
        Map::from_iter([
            ("loss".to_owned(), 0.25.into()),
            ("run".to_owned(), "a \"sha256\": \"quoted\" name".into()),
        ])
    }

    #[test]
    fn every_flipped_bit_of_a_tensor_file_breaks_its_seal() {
        let bytes = tensors();
        assert_eq!(check_safetensors(&bytes), Ok(Seal::Verified));
        for bit in 0..8 * bytes.len() {
            let mut damaged = bytes.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            let read = check_safetensors(&damaged);
            let is_tensors = safetensors::SafeTensors::deserialize(&damaged).is_ok();
            assert!(read.is_err() || !is_tensors, "bit {bit}: {read:?}");
        }
    }

    #[test]
    fn every_flipped_bit_of_an_object_is_an_error() {
        let bytes = sealed_json(&object());
        assert_eq!(read_sealed_json(&bytes), Ok((object(), Seal::Verified)));
        for bit in 0..8 * bytes.len() {
            let mut damaged = bytes.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(read_sealed_json(&damaged).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn the_digest_is_the_sha256_of_the_bytes_with_zeros_for_its_digits() {
        let bytes = sealed_json(&Map::from_iter([("a".to_owned(), 1.into())]));
        // printf '{\n  "a": 1,\n  "digest": "sha256 of this file with its digits as zeros",\n  "sha256": "0…0"\n}\n' | sha256sum
        let text = String::from_utf8(bytes).unwrap();
        assert!(
            text.contains(
                "\"sha256\": \"7468ae9b5bb04bf01b591c45a04aff2ca9c92416337bcdc345d990beb09e9465\""
            ),
            "{text}"
        );
    }

    #[test]
    fn files_without_a_digest_are_told_apart() {
        let view = TensorView::new(Dtype::U8, vec![2], &[1, 2]).unwrap();
        let plain = safetensors::serialize([("a", view)], None).unwrap();
        assert_eq!(check_safetensors(&plain), Ok(Seal::Absent));
        let (read, seal) = read_sealed_json(b"{\"loss\": 1}").unwrap();
        assert_eq!((read["loss"].as_u64(), seal), (Some(1), Seal::Absent));
    }
}
