//! Files that appear whole or not at all, also when the process or the machine dies.
//!
//! The bytes go into `.covary-PROCESS-RANDOM.tmp` beside the file, which is synced and renamed over it; then the folder is synced, as the
//! rename is an entry of the folder (rename(2), fsync(2)). What a process that was killed left is known by the number in its name.

use std::io::Write;
use std::path::Path;
use std::time::Duration;

use fs_err as fs;

const PREFIX: &str = ".covary-";
const SUFFIX: &str = ".tmp";

/// Writes a file whole or not at all. Who may read it follows the umask, as of any file.
///
/// # Errors
/// When it cannot be written; what was there before is then untouched.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let folder = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    let prefix = format!("{PREFIX}{}-", std::process::id());
    let mut builder = tempfile::Builder::new();
    builder.prefix(&prefix).suffix(SUFFIX);
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    let mut file = builder.tempfile_in(folder)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    #[cfg(unix)]
    fs::File::open(folder)?.sync_all()?;
    Ok(())
}

/// Removes what [`write_atomically`] left in a folder in processes that are no more, where it is at least so old.
///
/// # Errors
/// A folder that cannot be listed, or a file that cannot be removed.
pub fn sweep(folder: &Path, age: Duration) -> std::io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        let Some(process) = name.to_str().and_then(process_of) else {
            continue;
        };
        let modified = entry.metadata().and_then(|metadata| metadata.modified());
        // A clock that was set back makes a file young.
        let is_old = modified.is_ok_and(|at| at.elapsed().unwrap_or_default() >= age);
        if is_old && !may_be_alive(process) {
            match fs::remove_file(entry.path()) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
    }
    Ok(())
}

fn process_of(name: &str) -> Option<u32> {
    let name = name.strip_prefix(PREFIX)?.strip_suffix(SUFFIX)?;
    name.split_once('-')?.0.parse().ok()
}

/// Whether a process of that number runs; always, where the system does not list its processes in `/proc`.
fn may_be_alive(process: u32) -> bool {
    let processes = Path::new("/proc");
    !processes.join("self").exists() || processes.join(process.to_string()).exists()
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_as_readable_as_any_other() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let (ours, plain) = (folder.path().join("ours"), folder.path().join("plain"));
        write_atomically(&ours, b"text").unwrap();
        std::fs::write(&plain, b"text").unwrap();
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode();
        assert_eq!(mode(&ours), mode(&plain));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn leftovers_of_dead_processes_are_swept_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let mut dead = std::process::Command::new("true").spawn().unwrap();
        dead.wait().unwrap();
        let name = |process: u32| format!("{PREFIX}{process}-abc{SUFFIX}");
        let left = [
            name(std::process::id()),
            "result.json".into(),
            ".covary-x.tmp".into(),
        ];
        for name in left.iter().chain([&name(dead.id())]) {
            std::fs::write(folder.path().join(name), b"x").unwrap();
        }
        sweep(folder.path(), Duration::from_hours(1)).unwrap();
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 4);
        sweep(folder.path(), Duration::ZERO).unwrap();
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 3);
        assert!(left.iter().all(|name| folder.path().join(name).exists()));
    }
}
