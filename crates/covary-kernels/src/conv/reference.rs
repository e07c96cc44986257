//! Convolutions as plain loops with f64 sums: what every kernel is tested against.
//!
//! `y[n,oh,ow,co] = Σ_{kh,kw,ci} x[n, oh·s + kh - p, ow·s + kw - p, ci] · w[co,ci,kh,kw]`, p = k / 2, zeros outside.

use super::ConvGeometry;

/// Calls `visit(x index, y index, w index)` for every product of the sum. Indices are into `[n, h, w, c]` and `[c_out, c_in, k, k]`
/// without padding.
pub fn visit_products(
    geometry: &ConvGeometry,
    images: usize,
    mut visit: impl FnMut(usize, usize, usize),
) {
    let ConvGeometry {
        height,
        width,
        c_in,
        c_out,
        kernel,
        stride,
    } = *geometry;
    let padding = kernel / 2;
    for image in 0..images {
        for pixel in 0..geometry.out_pixels() {
            let (oh, ow) = (pixel / geometry.out_width(), pixel % geometry.out_width());
            for tap in 0..geometry.taps() {
                let (row, column) = (oh * stride + tap / kernel, ow * stride + tap % kernel);
                if row < padding
                    || column < padding
                    || row - padding >= height
                    || column - padding >= width
                {
                    continue;
                }
                let x = ((image * height + row - padding) * width + column - padding) * c_in;
                let y = (image * geometry.out_pixels() + pixel) * c_out;
                for co in 0..c_out {
                    for ci in 0..c_in {
                        visit(x + ci, y + co, (co * c_in + ci) * geometry.taps() + tap);
                    }
                }
            }
        }
    }
}
