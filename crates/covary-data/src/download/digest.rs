//! A reader that takes the MD5 of all that passes through it.

use std::io::{Read, Result, copy, sink};

use md5::{Digest, Md5};

/// Passes bytes on and takes their digest.
#[derive(Debug)]
pub(crate) struct HashingReader<R> {
    inner: R,
    digest: Md5,
}

impl<R: Read> HashingReader<R> {
    pub(crate) fn new(inner: R) -> Self {
        Self {
            inner,
            digest: Md5::new(),
        }
    }

    /// Reads what is left and returns the MD5 of everything, hexadecimal.
    pub(crate) fn finish(mut self) -> Result<String> {
        copy(&mut self, &mut sink())?;
        let digest: [u8; 16] = self.digest.finalize().into();
        Ok(format!("{:032x}", u128::from_be_bytes(digest)))
    }
}

impl<R: Read> Read for HashingReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        let count = self.inner.read(buffer)?;
        self.digest.update(&buffer[..count]);
        Ok(count)
    }
}
