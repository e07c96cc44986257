//! Buffers that layers of all sizes share. They stay as long as the largest needs: growing again would clear what is written anyway.

/// The first `len` numbers of a buffer, which grows where it is shorter, with what was there before.
pub(crate) fn sized<N: Copy + Default>(buffer: &mut Vec<N>, len: usize) -> &mut [N] {
    if buffer.len() < len {
        buffer.resize(len, N::default());
    }
    &mut buffer[..len]
}

/// A buffer that knows how many numbers were asked for last.
#[derive(Debug, Default)]
pub(crate) struct Buffer<N> {
    values: Vec<N>,
    len: usize,
}

impl<N: Copy + Default> Buffer<N> {
    /// Room for `len` numbers, with what was there before.
    pub(crate) fn room(&mut self, len: usize) -> &mut [N] {
        self.len = len;
        sized(&mut self.values, len)
    }
}

impl<N> std::ops::Deref for Buffer<N> {
    type Target = [N];

    fn deref(&self) -> &[N] {
        &self.values[..self.len]
    }
}

impl<N> std::ops::DerefMut for Buffer<N> {
    fn deref_mut(&mut self) -> &mut [N] {
        &mut self.values[..self.len]
    }
}
