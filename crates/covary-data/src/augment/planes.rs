//! The image while it is augmented: three square planes of `f32` grey levels in 0..=255, and room for operations to work in.

/// Red, green and blue planes of `size * size` values each, row by row.
///
/// Values stay unrounded between operations; every operation keeps them within 0..=255.
#[derive(Debug, Default)]
pub(super) struct Planes {
    size: usize,
    values: Vec<f32>,
    /// Contents undefined between operations; grows to the largest use and stays.
    pub(super) spare: Vec<f32>,
}

impl Planes {
    /// Sets the side length; the values are undefined afterwards.
    pub(super) fn resize(&mut self, size: usize) {
        self.size = size;
        self.values.resize(3 * size * size, 0.0);
    }

    /// Side length in pixels.
    pub(super) fn size(&self) -> usize {
        self.size
    }

    /// All three planes, one after the other.
    pub(super) fn values_mut(&mut self) -> &mut [f32] {
        &mut self.values
    }

    /// Red, green, blue.
    pub(super) fn channels(&self) -> [&[f32]; 3] {
        let area = self.size * self.size;
        let (red, rest) = self.values.split_at(area);
        let (green, blue) = rest.split_at(area);
        [red, green, blue]
    }

    /// Red, green, blue.
    pub(super) fn channels_mut(&mut self) -> [&mut [f32]; 3] {
        let area = self.size * self.size;
        let (red, rest) = self.values.split_at_mut(area);
        let (green, blue) = rest.split_at_mut(area);
        [red, green, blue]
    }

    /// All three planes and the spare buffer, which is at least `length` long.
    pub(super) fn with_spare(&mut self, length: usize) -> (&mut [f32], &mut [f32]) {
        if self.spare.len() < length {
            self.spare.resize(length, 0.0);
        }
        (&mut self.values, &mut self.spare[..length])
    }
}
