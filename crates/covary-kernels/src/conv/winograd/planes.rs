//! Equal parts of a slice at equal distances. What lies at one place of several of them is checked once.

/// Where N planes of `len` blocks lie, `distance` from one to the next.
#[derive(Clone, Copy)]
struct Places<const N: usize> {
    distance: usize,
    len: usize,
}

impl<const N: usize> Places<N> {
    #[inline(always)]
    fn within(blocks: usize, distance: usize, len: usize) -> Self {
        assert!(
            blocks >= (N - 1) * distance + len,
            "the planes lie in the slice"
        );
        Self { distance, len }
    }

    /// The index of a place, which is less than the `blocks` that the planes were found to lie within.
    #[inline(always)]
    fn index(self, plane: usize, at: usize) -> usize {
        assert!(plane < N && at < self.len, "the place lies in a plane");
        plane * self.distance + at
    }
}

/// Planes that are read.
#[derive(Clone, Copy)]
pub(super) struct Planes<'a, B, const N: usize> {
    blocks: &'a [B],
    places: Places<N>,
}

impl<'a, B, const N: usize> Planes<'a, B, N> {
    #[inline(always)]
    pub(super) fn new(blocks: &'a [B], distance: usize, len: usize) -> Self {
        Self {
            places: Places::within(blocks.len(), distance, len),
            blocks,
        }
    }

    #[inline(always)]
    pub(super) fn at(&self, plane: usize, at: usize) -> &B {
        // SAFETY: the planes lie in these blocks, so `index` does.
        unsafe { self.blocks.get_unchecked(self.places.index(plane, at)) }
    }
}

/// Planes that are written.
pub(super) struct PlanesMut<'a, B, const N: usize> {
    blocks: &'a mut [B],
    places: Places<N>,
}

impl<'a, B, const N: usize> PlanesMut<'a, B, N> {
    #[inline(always)]
    pub(super) fn new(blocks: &'a mut [B], distance: usize, len: usize) -> Self {
        Self {
            places: Places::within(blocks.len(), distance, len),
            blocks,
        }
    }

    #[inline(always)]
    pub(super) fn at(&mut self, plane: usize, at: usize) -> &mut B {
        // SAFETY: the planes lie in these blocks, so `index` does.
        unsafe { self.blocks.get_unchecked_mut(self.places.index(plane, at)) }
    }
}
