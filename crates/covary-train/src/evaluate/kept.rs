//! References that runs side by side share: raw pixels depend on the data alone, the untrained encoder on data, networks and seed.
//!
//! Kept beside the run folders as `.reference-HASH.json`, with all that they depend on written out and compared, so that none is ever
//! taken for another. A file that cannot be read is computed anew.

use std::path::Path;

use fs_err as fs;
use serde_json::{Map, Value, json};

use super::Data;
use crate::TrainError;
use crate::config::TrainConfig;
use crate::run::RunFolder;

/// Offset and prime of FNV-1a of 64 bits (Fowler, Noll, Vo 1991).
const FNV: [u64; 2] = [0xcbf2_9ce4_8422_2325, 0x0000_0100_0000_01b3];

/// What raw pixels' scores and metrics depend on.
pub(crate) fn of_pixels(data: &Data<'_>, sample: &[u32]) -> Value {
    let digest = |set: &covary_data::Dataset| {
        let labels = set.labels().unwrap_or_default().iter();
        let labels = labels.map(|label| *label as u8);
        let pixels = (0..set.len()).flat_map(|index| set.image(index).pixels.iter().copied());
        format!("{:016x}", fnv(pixels.chain(labels)))
    };
    json!({
        "of": "pixels",
        "commit": env!("COVARY_COMMIT"),
        "train": digest(data.train),
        "test": digest(data.test),
        "normalise": data.augment.normalise,
        "size": data.augment.size,
        "sample": sample.len(),
    })
}

/// What an untrained encoder's scores and metrics depend on beside `of_pixels`.
pub(crate) fn of_untrained(pixels: &Value, config: &TrainConfig, engine: String) -> Value {
    let table = config.to_table();
    let mut depends = pixels.clone();
    depends["of"] = "untrained".into();
    depends["engine"] = engine.into();
    for key in ["seed", "encoder", "projector", "embedding"] {
        depends[key] = table.get(key).map_or(Value::Null, |value| json!(value));
    }
    depends
}

/// The reference that depends on this: that of an earlier run in the same folder of runs, or computed and kept.
pub(crate) fn kept(
    depends: &Value,
    folder: &RunFolder,
    compute: impl FnOnce() -> Result<Map<String, Value>, TrainError>,
) -> Result<Map<String, Value>, TrainError> {
    let name = format!(".reference-{:016x}.json", fnv(depends.to_string().bytes()));
    let path = folder.path().parent().unwrap_or(Path::new(".")).join(name);
    let earlier = fs::read(&path).ok();
    let earlier = earlier.and_then(|bytes| serde_json::from_slice::<Value>(&bytes).ok());
    if let Some(Value::Object(mut earlier)) = earlier
        && earlier.get("depends") == Some(depends)
        && let Some(Value::Object(reference)) = earlier.remove("reference")
    {
        return Ok(reference);
    }
    let reference = compute()?;
    let text = json!({"depends": depends, "reference": reference}).to_string();
    folder.write(&path, text.as_bytes())?;
    Ok(reference)
}

fn fnv(bytes: impl Iterator<Item = u8>) -> u64 {
    bytes.fold(FNV[0], |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(FNV[1])
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scores(value: f64) -> Map<String, Value> {
        Map::from_iter([("linear_top1".to_owned(), value.into())])
    }

    #[test]
    fn a_reference_is_computed_once_for_all_that_it_depends_on() {
        let runs = tempfile::tempdir().unwrap();
        let folder = RunFolder::create(&runs.path().join("a")).unwrap();
        let never = || panic!("it was kept");
        let of = |seed: u64| json!({"of": "untrained", "seed": seed});
        let first = kept(&of(0), &folder, || Ok(scores(0.25))).unwrap();
        assert_eq!(kept(&of(0), &folder, never).unwrap(), first);
        assert_eq!(
            kept(&of(1), &folder, || Ok(scores(0.5))).unwrap(),
            scores(0.5)
        );
        for entry in fs::read_dir(runs.path()).unwrap() {
            let path = entry.unwrap().path();
            if path.is_file() {
                fs::write(path, b"{\"torn").unwrap();
            }
        }
        assert_eq!(
            kept(&of(0), &folder, || Ok(scores(0.75))).unwrap(),
            scores(0.75)
        );
    }

    #[test]
    fn the_hash_is_fnv_1a() {
        // Known values of the authors' test suite.
        assert_eq!(fnv(b"".iter().copied()), 0xcbf2_9ce4_8422_2325);
        assert_eq!(fnv(b"a".iter().copied()), 0xaf63_dc4c_8601_ec8c);
        assert_eq!(fnv(b"foobar".iter().copied()), 0x8594_4171_f739_67e8);
    }
}
