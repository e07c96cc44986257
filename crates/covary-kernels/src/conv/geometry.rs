//! Sizes of a convolution, and how its products walk over padded frames.
//!
//! Every image lies in a frame with one pixel of zeros on each side, so 3x3 (padding 1) and 1x1 (padding 0) convolutions read the same
//! frames. Output pixel (i, j) of a product reads, for each tap t, the frame pixel `(i, j) * step + t`. The forward product and the
//! input gradient of stride 1 are one such walk; the input gradient of stride s is s*s of them, one a phase of the input pixels:
//! input row `s*i + a` meets kernel row kh where `a + p - kh` is a multiple of s, at output row `i + (a + p - kh) / s`.

/// A convolution over one image: square kernel of 1 or 3, padding `kernel / 2`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConvGeometry {
    /// Rows of the input.
    pub height: usize,
    /// Columns of the input.
    pub width: usize,
    /// Input channels.
    pub c_in: usize,
    /// Output channels.
    pub c_out: usize,
    /// Side of the kernel: 1 or 3.
    pub kernel: usize,
    /// Step between output pixels: 1 or 2.
    pub stride: usize,
}

impl ConvGeometry {
    /// Rows of the output.
    pub fn out_height(&self) -> usize {
        (self.height - 1) / self.stride + 1
    }

    /// Columns of the output.
    pub fn out_width(&self) -> usize {
        (self.width - 1) / self.stride + 1
    }

    /// Pixels of the output.
    pub fn out_pixels(&self) -> usize {
        self.out_height() * self.out_width()
    }

    /// Pixels of the input.
    pub fn in_pixels(&self) -> usize {
        self.height * self.width
    }

    /// Taps of the kernel.
    pub fn taps(&self) -> usize {
        self.kernel * self.kernel
    }

    /// Numbers of the weight `[c_out, c_in, kernel, kernel]`.
    pub fn weight_len(&self) -> usize {
        self.c_out * self.c_in * self.taps()
    }

    /// Multiplications and additions of one product for one image.
    pub fn flops(&self) -> usize {
        2 * self.out_pixels() * self.weight_len()
    }

    /// Frame offset of the first tap: the kernel's padding within the frame's.
    fn margin(&self) -> usize {
        1 - self.kernel / 2
    }

    pub(crate) fn forward_walk(&self) -> Walk {
        let frame_width = self.width + 2;
        let taps = (0..self.taps()).map(|tap| {
            let (row, column) = (
                tap / self.kernel + self.margin(),
                tap % self.kernel + self.margin(),
            );
            (row * frame_width + column, tap)
        });
        Walk {
            taps: taps.collect(),
            across: if self.stride == 1 { self.kernel } else { 1 },
            rows: self.out_height(),
            columns: self.out_width(),
            frame_row: self.stride * frame_width,
            step: self.stride,
            out_start: 0,
            out_row: self.out_width(),
            out_column: 1,
        }
    }

    pub(crate) fn input_gradient_walks(&self) -> Vec<Walk> {
        let phases = (0..self.stride).flat_map(|a| (0..self.stride).map(move |b| (a, b)));
        phases
            .map(|(a, b)| self.phase(a, b))
            .filter(|walk| walk.rows > 0 && walk.columns > 0)
            .collect()
    }

    fn phase(&self, a: usize, b: usize) -> Walk {
        let frame_width = self.out_width() + 2;
        let meets = |offset: usize, k: usize| {
            let distance = (offset + self.kernel / 2) as isize - k as isize;
            let stride = self.stride as isize;
            (distance % stride == 0).then(|| (1 + distance / stride) as usize)
        };
        // The last column of the kernel meets the first of the gradient.
        let columns = (0..self.kernel).rev();
        let columns: Vec<_> = columns
            .filter_map(|kw| meets(b, kw).map(|column| (kw, column)))
            .collect();
        let mut taps = Vec::new();
        for kh in 0..self.kernel {
            if let Some(row) = meets(a, kh) {
                let row = row * frame_width;
                taps.extend(
                    columns
                        .iter()
                        .map(|(kw, column)| (row + column, kh * self.kernel + kw)),
                );
            }
        }
        Walk {
            taps,
            across: columns.len().max(1),
            rows: (self.height - a).div_ceil(self.stride),
            columns: (self.width - b).div_ceil(self.stride),
            frame_row: frame_width,
            step: 1,
            out_start: a * self.width + b,
            out_row: self.stride * self.width,
            out_column: self.stride,
        }
    }
}

/// One walk of a product over a frame; all distances in pixels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Walk {
    /// Offset in the frame, and the tap of the kernel that is multiplied there: rows of taps, columns ascending.
    pub(crate) taps: Vec<(usize, usize)>,
    /// Taps of a row, where what one of them reads the next reads for the output pixel before; else 1.
    pub(crate) across: usize,
    pub(crate) rows: usize,
    pub(crate) columns: usize,
    pub(crate) frame_row: usize,
    pub(crate) step: usize,
    pub(crate) out_start: usize,
    pub(crate) out_row: usize,
    pub(crate) out_column: usize,
}
