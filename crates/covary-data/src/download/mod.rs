//! Downloads of published archives: resumed where they broke off, checked against the published MD5, and put in place whole.
//!
//! Bytes arrive in `FILE.part`, which survives a failure; a finished and checked `FILE.part` is renamed to `FILE`, so `FILE` is
//! never half there.

mod transfer;

use std::{
    io::Read,
    path::{Path, PathBuf},
    time::Duration,
};

use md5::{Digest, Md5};

use crate::DataError;

/// A file that can be downloaded by name.
#[derive(Debug)]
pub struct Archive {
    /// Name to ask for.
    pub name: &'static str,
    /// File name, at the end of the address and on disk.
    pub file: &'static str,
    /// Published MD5, hexadecimal. MD5 guards against damage, not against forgery.
    pub md5: &'static str,
}

/// Archives known by name; checksums from <https://www.cs.toronto.edu/~kriz/cifar.html>.
pub static DOWNLOADS: &[Archive] = &[
    Archive {
        name: "cifar10",
        file: "cifar-10-binary.tar.gz",
        md5: "c32a1d4ab5d03f1284b67883e8d87530",
    },
    Archive {
        name: "cifar100",
        file: "cifar-100-binary.tar.gz",
        md5: "03b5dce01913d631647c71ecec9e9cb8",
    },
];

/// How to download.
#[derive(Debug, Clone)]
pub struct FetchOptions {
    /// Address of the folder that holds the file, without a slash at the end.
    pub base_url: String,
    /// Give up after so many connections in a row that brought nothing new, ≥ 1. Default 5.
    pub attempts: u32,
    /// Pause before connecting again. Default 2 s.
    pub pause: Duration,
    /// Longest silence of the server. Default 30 s.
    pub silence: Duration,
}

impl Default for FetchOptions {
    fn default() -> Self {
        Self {
            base_url: "https://www.cs.toronto.edu/~kriz".to_owned(),
            attempts: 5,
            pause: Duration::from_secs(2),
            silence: Duration::from_secs(30),
        }
    }
}

/// State of a download.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Bytes on disk.
    pub received: u64,
    /// Size of the file, once the server has said it.
    pub total: Option<u64>,
}

/// Downloads the archive called `name` into `folder`, which is created, and returns the file's path. A file that is already there
/// is checked and not downloaded again. `progress` is called about every 64 KiB.
///
/// # Errors
/// [`DataError::UnknownDownload`]; [`DataError::Download`] if the connection fails for good, what arrived is kept for the
/// next call; [`DataError::WrongChecksum`], a damaged download is removed, a damaged file that was there before is not;
/// [`DataError::Io`] if the disk refuses.
pub fn fetch(
    name: &str,
    folder: &Path,
    options: &FetchOptions,
    progress: &mut dyn FnMut(Progress),
) -> Result<PathBuf, DataError> {
    let archive = DOWNLOADS
        .iter()
        .find(|archive| archive.name == name)
        .ok_or_else(|| DataError::UnknownDownload {
            name: name.to_owned(),
            known: DOWNLOADS
                .iter()
                .map(|archive| archive.name)
                .collect::<Vec<_>>()
                .join(", "),
        })?;
    archive.fetch(folder, options, progress)
}

impl Archive {
    /// As [`fetch`], for an archive that need not be in [`DOWNLOADS`].
    ///
    /// # Errors
    /// As [`fetch`].
    pub fn fetch(
        &self,
        folder: &Path,
        options: &FetchOptions,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<PathBuf, DataError> {
        let target = folder.join(self.file);
        if target.is_file() {
            self.check(&target)?;
            return Ok(target);
        }
        fs_err::create_dir_all(folder)?;
        let part = folder.join(format!("{}.part", self.file));
        transfer::run(
            &format!("{}/{}", options.base_url, self.file),
            &part,
            options,
            progress,
        )?;
        if let Err(error) = self.check(&part) {
            fs_err::remove_file(&part)?;
            return Err(error);
        }
        fs_err::rename(&part, &target)?;
        Ok(target)
    }

    fn check(&self, path: &Path) -> Result<(), DataError> {
        let found = md5_of(path)?;
        if found == self.md5 {
            return Ok(());
        }
        Err(DataError::WrongChecksum {
            path: path.to_path_buf(),
            expected: self.md5.to_owned(),
            found,
        })
    }
}

fn md5_of(path: &Path) -> Result<String, DataError> {
    let mut file = fs_err::File::open(path)?;
    let mut digest = Md5::new();
    let mut buffer = vec![0; 1 << 16];
    loop {
        match file.read(&mut buffer)? {
            0 => break,
            count => digest.update(&buffer[..count]),
        }
    }
    Ok(format!(
        "{:032x}",
        u128::from_be_bytes(digest.finalize().into())
    ))
}
