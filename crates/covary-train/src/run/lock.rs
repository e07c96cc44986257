//! Who writes to a folder: a lock that the system releases when its holder dies, and a file that says who holds it.
//!
//! The lock is the system's advisory lock on the file (flock(2) on Unix), so a killed process never leaves it behind. What stands in the
//! file (host, process, start) serves to name the holder. Some network file systems do not share such locks between hosts; the words
//! of a holder on another host that was not seen to end are therefore handed on as a note.

use std::fs::TryLockError;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use fs_err as fs;
use serde::{Deserialize, Serialize};

use super::unix_seconds;
use crate::TrainError;

/// Who holds a folder.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Holder {
    /// Name of its machine.
    pub host: String,
    /// Number of its process there.
    pub process: u32,
    /// When it took the folder, in seconds since 1970.
    pub since_unix_s: f64,
}

impl Holder {
    fn this() -> Self {
        Self {
            host: sysinfo::System::host_name().unwrap_or_else(|_| "unknown".into()),
            process: std::process::id(),
            since_unix_s: unix_seconds(),
        }
    }
}

impl std::fmt::Display for Holder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let minutes = (unix_seconds() - self.since_unix_s).max(0.0) / 60.0;
        write!(
            f,
            "process {} on {} (for {minutes:.0} minutes)",
            self.process, self.host
        )
    }
}

/// A folder that this process alone writes to, until this is dropped.
#[derive(Debug)]
pub struct FolderLock {
    file: fs::File,
    /// What there is to say about an earlier holder.
    note: Option<String>,
}

impl FolderLock {
    /// Takes the lock `name` in a folder.
    ///
    /// # Errors
    /// [`TrainError::Held`] naming the process that has it, [`TrainError::Write`] when the file cannot be written.
    pub fn take(folder: &Path, name: &str) -> Result<Self, TrainError> {
        let path = folder.join(name);
        let refused = |path: &PathBuf| {
            let path = path.clone();
            move |source| TrainError::Write { path, source }
        };
        let mut file = fs::File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(refused(&path))?;
        let is_free = match file.file().try_lock() {
            Ok(()) => true,
            Err(TryLockError::WouldBlock) => false,
            Err(TryLockError::Error(source)) => return Err(refused(&path)(source)),
        };
        let mut words = Vec::new();
        file.read_to_end(&mut words).map_err(refused(&path))?;
        let earlier: Option<Holder> = serde_json::from_slice(&words).ok();
        if !is_free {
            return Err(TrainError::Held {
                path: folder.into(),
                holder: earlier
                    .map_or_else(|| "another process".into(), |holder| holder.to_string()),
            });
        }
        let this = Holder::this();
        let note = earlier.filter(|earlier| earlier.host != this.host);
        let note = note.map(|earlier| {
            format!(
                "{} was last written to by {earlier}, which was not seen to end; if it still runs there, stop one of the two",
                folder.display()
            )
        });
        let words = serde_json::to_vec(&this).expect("a holder is plain values");
        file.seek(SeekFrom::Start(0))
            .and_then(|_| file.file().set_len(0))
            .and_then(|()| file.write_all(&words))
            .map_err(refused(&path))?;
        Ok(Self { file, note })
    }

    /// What there is to say about an earlier holder on another host.
    pub fn note(&self) -> Option<&str> {
        self.note.as_deref()
    }
}

impl Drop for FolderLock {
    fn drop(&mut self) {
        // The words of a holder that ended well; where they cannot be removed, they name a process that is no more.
        let _ = self.file.file().set_len(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_held_folder_names_its_holder_and_is_free_again_afterwards() {
        let folder = tempfile::tempdir().unwrap();
        let first = FolderLock::take(folder.path(), "run.lock").unwrap();
        let error = FolderLock::take(folder.path(), "run.lock").unwrap_err();
        let process = std::process::id().to_string();
        assert!(error.to_string().contains(&process), "{error}");
        drop(first);
        assert_eq!(
            FolderLock::take(folder.path(), "run.lock").unwrap().note(),
            None
        );
    }

    #[test]
    fn what_a_dead_holder_left_does_not_block_and_another_host_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let mut holder = Holder::this();
        let write = |holder: &Holder| {
            let words = serde_json::to_vec(holder).unwrap();
            fs::write(folder.path().join("run.lock"), words).unwrap();
        };
        write(&holder);
        assert_eq!(
            FolderLock::take(folder.path(), "run.lock").unwrap().note(),
            None
        );
        holder.host = "elsewhere".into();
        write(&holder);
        let lock = FolderLock::take(folder.path(), "run.lock").unwrap();
        assert!(lock.note().unwrap().contains("elsewhere"));
    }
}
