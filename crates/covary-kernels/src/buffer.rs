//! A buffer that layers of all sizes share. It stays as long as the largest needs: growing again would clear what is written anyway.

/// Numbers that were asked for last, behind which older ones may lie.
#[derive(Debug, Default)]
pub(crate) struct Buffer<N> {
    values: Vec<N>,
    len: usize,
}

impl<N: Copy + Default> Buffer<N> {
    /// Room for `len` numbers, with what was there before.
    pub(crate) fn room(&mut self, len: usize) -> &mut [N] {
        if self.values.len() < len {
            self.values.resize(len, N::default());
        }
        self.len = len;
        &mut self.values[..len]
    }

    /// The numbers that were asked for last.
    pub(crate) fn last(&mut self) -> &mut [N] {
        &mut self.values[..self.len]
    }
}

impl<N> std::ops::Deref for Buffer<N> {
    type Target = [N];

    fn deref(&self) -> &[N] {
        &self.values[..self.len]
    }
}
