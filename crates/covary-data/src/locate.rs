//! Where data lie that a configuration names by a relative path: one rule, from the nearest place to the farthest.
//!
//! 1. the path as it is given, from the working directory;
//! 2. below each folder above the working directory, so that a checkout's own set is found from inside it;
//! 3. below the folder that `COVARY_DATA` names;
//! 4. below the user's data folder: `$XDG_DATA_HOME/covary`, or `~/.local/share/covary`.
//!
//! In the last two a leading `data/` of the path is left out: `data/cifar10` is `$COVARY_DATA/cifar10`.

use std::env;
use std::path::{Path, PathBuf};

/// The first place that exists, or the path as it is given.
pub fn locate(path: &Path) -> PathBuf {
    let home = env::current_dir().unwrap_or_default();
    let stores = stores(|name| env::var_os(name).map(PathBuf::from));
    among(path, &home, &stores).unwrap_or_else(|| path.into())
}

/// Folders in which data sets are kept for every project of a user.
fn stores(variable: impl Fn(&str) -> Option<PathBuf>) -> Vec<PathBuf> {
    let own = variable("COVARY_DATA");
    let user = variable("XDG_DATA_HOME").or_else(|| Some(variable("HOME")?.join(".local/share")));
    own.into_iter()
        .chain(user.map(|folder| folder.join("covary")))
        .collect()
}

fn among(path: &Path, from: &Path, stores: &[PathBuf]) -> Option<PathBuf> {
    if path.is_absolute() || path.exists() {
        return Some(path.into());
    }
    let above = from.ancestors().skip(1).map(|folder| folder.join(path));
    let inner = path.strip_prefix("data").unwrap_or(path);
    let kept = stores.iter().map(|folder| folder.join(inner));
    above.chain(kept).find(|place| place.exists())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_place_is_taken() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        let inside = root.join("checkout/crates/deep");
        let store = root.join("store");
        for place in [&inside, &store.join("cifar10")] {
            fs_err::create_dir_all(place).unwrap();
        }
        let path = Path::new("data/cifar10");
        let found = || among(path, &inside, std::slice::from_ref(&store));
        assert_eq!(found(), Some(store.join("cifar10")));
        let bundled = root.join("checkout/data/cifar10");
        fs_err::create_dir_all(&bundled).unwrap();
        assert_eq!(found(), Some(bundled));
        assert_eq!(among(Path::new("data/other"), &inside, &[store]), None);
    }

    #[test]
    fn stores_come_from_the_environment() {
        let with = |set: &[(&str, &str)]| {
            let set: Vec<(String, PathBuf)> = set
                .iter()
                .map(|(name, value)| ((*name).to_owned(), PathBuf::from(value)))
                .collect();
            stores(|name| {
                let found = set.iter().find(|(known, _)| known == name);
                found.map(|(_, value)| value.clone())
            })
        };
        assert_eq!(
            with(&[("HOME", "/h")]),
            [PathBuf::from("/h/.local/share/covary")]
        );
        assert_eq!(
            with(&[
                ("COVARY_DATA", "/d"),
                ("XDG_DATA_HOME", "/x"),
                ("HOME", "/h")
            ]),
            [PathBuf::from("/d"), PathBuf::from("/x/covary")]
        );
    }
}
