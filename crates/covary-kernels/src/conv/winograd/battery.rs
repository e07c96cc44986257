//! How far a product by tiles may be off.
//!
//! With V = Bᵀ d B and U = G g Gᵀ, each rounded to the operand of the tiles (unit u: 2^-8 for bf16, 2^-24 for f32), an output
//! `Σ a_p Σ_c V_pc U_pc` is off by at most `(γ + 2u + u²) |Aᵀ| [Σ_c (|G||g||Gᵀ|) ⊙ (|Bᵀ||d||B|)] |A|`, γ for the additions in f32:
//! the bound of a sum of products with the magnitudes that pass through the transforms (Higham 2002, §3.1 and §23.2.2). A weight
//! gradient is bounded in the same way by `|Gᵀ| [Σ_tiles (|Bᵀ||d||B|) ⊙ (|A||dy||Aᵀ|)] |G|`.

use proptest::prelude::*;

use crate::conv::ConvGeometry;
use crate::frame::Map;

const B: [[f64; 4]; 4] = [
    [1.0, 0.0, 1.0, 0.0],
    [0.0, 1.0, 1.0, 0.0],
    [0.0, 1.0, 1.0, 0.0],
    [0.0, 1.0, 0.0, 1.0],
];
const G: [[f64; 3]; 4] = [
    [1.0, 0.0, 0.0],
    [0.5, 0.5, 0.5],
    [0.5, 0.5, 0.5],
    [0.0, 0.0, 1.0],
];
const A: [[f64; 4]; 2] = [[1.0, 1.0, 1.0, 0.0], [0.0, 1.0, 1.0, 1.0]];

/// Convolutions that go by tiles.
pub(in crate::conv) fn tile_geometries() -> impl Strategy<Value = ConvGeometry> {
    let channels = || {
        prop_oneof![
            Just(16),
            Just(20),
            Just(32),
            Just(33),
            Just(48),
            Just(64),
            Just(80)
        ]
    };
    (1_usize..6, 1_usize..9, channels(), channels()).prop_map(|(rows, columns, c_in, c_out)| {
        ConvGeometry {
            height: 2 * rows,
            width: 2 * columns,
            c_in,
            c_out,
            kernel: 3,
            stride: 1,
        }
    })
}

/// `|M| x |M|ᵀ` of a square x.
fn both_sides<const N: usize, const M: usize>(
    matrix: &[[f64; N]; M],
    x: &[[f64; N]; N],
) -> [[f64; M]; M] {
    let mut out = [[0.0; M]; M];
    for (row, out) in matrix.iter().zip(&mut out) {
        for (column, out) in matrix.iter().zip(out) {
            for i in 0..N {
                for j in 0..N {
                    *out += row[i] * x[i][j] * column[j];
                }
            }
        }
    }
    out
}

impl Map {
    /// With as many channels, not padded.
    fn of(self, channels: usize) -> Self {
        Self { channels, ..self }
    }

    /// Image, row and column of the first pixel of every tile.
    fn each_tile(self, images: usize, mut visit: impl FnMut((usize, usize, usize))) {
        for image in 0..images {
            for row in (0..self.height).step_by(2) {
                for column in (0..self.width).step_by(2) {
                    visit((image, row, column));
                }
            }
        }
    }

    /// Absolute values of one channel of N x N pixels around or in a tile.
    fn read<const N: usize>(
        self,
        x: &[f32],
        (image, row, column): (usize, usize, usize),
        channel: usize,
    ) -> [[f64; N]; N] {
        // Four pixels reach one beyond the tile on each side.
        let border = usize::from(N == 4);
        let pixel = |i: usize, j: usize| {
            let (row, column) = (row + i, column + j);
            let inside = (border..self.height + border).contains(&row)
                && (border..self.width + border).contains(&column);
            if !inside {
                return 0.0;
            }
            let at = (image * self.height + row - border) * self.width + column - border;
            f64::from(x[at * self.channels + channel]).abs()
        };
        std::array::from_fn(|i| std::array::from_fn(|j| pixel(i, j)))
    }
}

/// Replaces the magnitudes of the weight gradient `[c_out, c_in, 3, 3]`.
pub(in crate::conv) fn put_weight_magnitudes(
    geometry: &ConvGeometry,
    x: &[f32],
    dy: &[f32],
    out: &mut [(f64, f64)],
) {
    let map = Map::of_input(geometry);
    let (inputs, outputs) = (map.of(geometry.c_in), map.of(geometry.c_out));
    let mut sums = vec![[[0.0; 4]; 4]; geometry.c_in * geometry.c_out];
    map.each_tile(x.len() / inputs.len(), |place| {
        let read = |channel| both_sides(&B, &inputs.read(x, place, channel));
        let reads: Vec<[[f64; 4]; 4]> = (0..geometry.c_in).map(read).collect();
        for (co, sums) in sums.chunks_exact_mut(geometry.c_in).enumerate() {
            let gradient = both_sides(&transposed(&A), &outputs.read(dy, place, co));
            for (sum, read) in sums.iter_mut().zip(&reads) {
                for i in 0..4 {
                    for j in 0..4 {
                        sum[i][j] += read[i][j] * gradient[i][j];
                    }
                }
            }
        }
    });
    for (out, sum) in out.chunks_exact_mut(9).zip(&sums) {
        let taps = both_sides(&transposed(&G), sum);
        for (out, magnitude) in out.iter_mut().zip(taps.iter().flatten()) {
            out.1 = *magnitude;
        }
    }
}

fn transposed<const N: usize, const M: usize>(matrix: &[[f64; N]; M]) -> [[f64; M]; N] {
    std::array::from_fn(|i| std::array::from_fn(|j| matrix[j][i]))
}

/// What the error of a product is bounded by.
pub(in crate::conv) struct Magnitudes {
    map: Map,
    from: usize,
    to: usize,
    /// `|G||g||Gᵀ|`, `[from, to]`.
    weights: Vec<[[f64; 4]; 4]>,
}

impl Magnitudes {
    /// `2u + u²`.
    pub(in crate::conv) fn operand(bf16: bool) -> f64 {
        let unit = 2.0_f64.powi(if bf16 { -8 } else { -24 });
        2.0 * unit + unit * unit
    }

    /// Of `[c_out, c_in, 3, 3]`.
    pub(in crate::conv) fn forward(geometry: &ConvGeometry, weight: &[f32]) -> Self {
        Self::new(geometry, geometry.c_in, geometry.c_out, |from, to, tap| {
            weight[(to * geometry.c_in + from) * 9 + tap]
        })
    }

    /// Of the taps turned.
    pub(in crate::conv) fn input_gradient(geometry: &ConvGeometry, weight: &[f32]) -> Self {
        Self::new(geometry, geometry.c_out, geometry.c_in, |from, to, tap| {
            weight[(from * geometry.c_in + to) * 9 + 8 - tap]
        })
    }

    fn new(
        geometry: &ConvGeometry,
        from: usize,
        to: usize,
        weight: impl Fn(usize, usize, usize) -> f32,
    ) -> Self {
        let mut weights = Vec::new();
        for f in 0..from {
            for t in 0..to {
                let tap = |i, j| f64::from(weight(f, t, 3 * i + j)).abs();
                let g = std::array::from_fn(|i| std::array::from_fn(|j| tap(i, j)));
                weights.push(both_sides(&G, &g));
            }
        }
        Self {
            map: Map::of_input(geometry),
            from,
            to,
            weights,
        }
    }

    /// Replaces the magnitudes of `[images, height, width, to]` by these, for inputs `[images, height, width, from]`.
    pub(in crate::conv) fn put(&self, x: &[f32], out: &mut [(f64, f64)]) {
        let (to, maps) = (self.to, [self.from, self.to].map(|c| self.map.of(c)));
        self.map.each_tile(x.len() / maps[0].len(), |place| {
            let inputs: Vec<_> = (0..self.from)
                .map(|channel| both_sides(&B, &maps[0].read(x, place, channel)))
                .collect();
            for (channel, sums) in self.sums(&inputs).iter().enumerate() {
                for (i, tile) in both_sides(&A, sums).iter().enumerate() {
                    for (j, magnitude) in tile.iter().enumerate() {
                        let (image, row, column) = place;
                        let pixel =
                            (image * self.map.height + row + i) * self.map.width + column + j;
                        out[pixel * to + channel].1 = *magnitude;
                    }
                }
            }
        });
    }

    /// `Σ_from |U| ⊙ |V|`, `[to]`.
    fn sums(&self, inputs: &[[[f64; 4]; 4]]) -> Vec<[[f64; 4]; 4]> {
        let mut sums = vec![[[0.0; 4]; 4]; self.to];
        for (input, weights) in inputs.iter().zip(self.weights.chunks_exact(self.to)) {
            for (sum, weight) in sums.iter_mut().zip(weights) {
                for i in 0..4 {
                    for j in 0..4 {
                        sum[i][j] += input[i][j] * weight[i][j];
                    }
                }
            }
        }
        sums
    }
}
