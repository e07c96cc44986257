//! References that runs side by side share: raw pixels depend on the data alone, the untrained encoder on data, networks and seed.
//!
//! Kept beside the run folders as `.reference-HASH.json`, with all that they depend on written out and compared, so that none is ever
//! taken for another. A file that cannot be read is computed anew.

use std::path::Path;

use serde_json::{Map, Value, json};

use super::Data;
use crate::TrainError;
use crate::config::TrainConfig;
use crate::run::{RunFolder, digest};

/// Counts the ways in which references were measured; one of another way is computed anew.
const PROTOCOL: u32 = 2;

/// What raw pixels' scores and metrics depend on.
pub(crate) fn of_pixels(data: &Data<'_>, sample: &[u32]) -> Value {
    let of = |set: &covary_data::Dataset| {
        let labels = set.labels().unwrap_or_default();
        let labels: Vec<u8> = labels
            .iter()
            .flat_map(|label| label.to_le_bytes())
            .collect();
        let images = (0..set.len()).map(|index| set.image(index).pixels);
        digest(images.chain([&*labels]))
    };
    json!({
        "of": "pixels",
        "version": env!("CARGO_PKG_VERSION"),
        "commit": env!("COVARY_COMMIT"),
        "train": of(data.train),
        "test": of(data.test),
        "normalise": data.augment.normalise,
        "size": data.augment.size,
        "protocol": PROTOCOL,
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
    let name = format!(
        ".reference-{}.json",
        digest([depends.to_string().as_bytes()])
    );
    let path = folder.path().parent().unwrap_or(Path::new(".")).join(name);
    if let Ok(Some(mut earlier)) = folder.read_object(&path)
        && earlier.get("depends") == Some(depends)
        && let Some(Value::Object(reference)) = earlier.remove("reference")
    {
        return Ok(reference);
    }
    let reference = compute()?;
    let kept = Map::from_iter([
        ("depends".to_owned(), depends.clone()),
        ("reference".to_owned(), Value::Object(reference.clone())),
    ]);
    folder.write_object(&path, &kept)?;
    Ok(reference)
}

#[cfg(test)]
mod tests {
    use fs_err as fs;

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
}
