//! Equal parts of a slice at equal distances. What lies at one place of several of them is checked once.

/// N planes of `len` blocks each, `distance` from one to the next.
#[derive(Clone, Copy)]
pub(super) struct Planes<'a, B, const N: usize> {
    blocks: &'a [B],
    distance: usize,
    len: usize,
}

/// Planes that are written.
pub(super) struct PlanesMut<'a, B, const N: usize> {
    blocks: &'a mut [B],
    distance: usize,
    len: usize,
}

impl<'a, B, const N: usize> Planes<'a, B, N> {
    #[inline(always)]
    pub(super) fn new(blocks: &'a [B], distance: usize, len: usize) -> Self {
        assert!(
            blocks.len() >= (N - 1) * distance + len,
            "the planes lie in the slice"
        );
        Self {
            blocks,
            distance,
            len,
        }
    }

    #[inline(always)]
    pub(super) fn at(&self, plane: usize, at: usize) -> &B {
        assert!(plane < N && at < self.len, "the place lies in a plane");
        // SAFETY: every place of a plane lies in the slice, as `new` checked.
        unsafe { self.blocks.get_unchecked(plane * self.distance + at) }
    }
}

impl<'a, B, const N: usize> PlanesMut<'a, B, N> {
    #[inline(always)]
    pub(super) fn new(blocks: &'a mut [B], distance: usize, len: usize) -> Self {
        assert!(
            blocks.len() >= (N - 1) * distance + len,
            "the planes lie in the slice"
        );
        Self {
            blocks,
            distance,
            len,
        }
    }

    #[inline(always)]
    pub(super) fn at(&mut self, plane: usize, at: usize) -> &mut B {
        assert!(plane < N && at < self.len, "the place lies in a plane");
        // SAFETY: every place of a plane lies in the slice, as `new` checked.
        unsafe { self.blocks.get_unchecked_mut(plane * self.distance + at) }
    }
}
