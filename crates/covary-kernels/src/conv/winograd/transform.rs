//! The transforms of F(2x2, 3x3), sixteen channels at a time:
//!
//! | | from | to |
//! |---|---|---|
//! | `Bᵀ d` | d | `d0 - d2, d1 + d2, d2 - d1, d1 - d3` |
//! | `G g` | g | `g0, (g0 + g1 + g2) / 2, (g0 - g1 + g2) / 2, g2` |
//! | `Aᵀ m` | m | `m0 + m1 + m2, m1 - m2 - m3` |
//! | `A y` | y | `y0, y0 + y1, y0 - y1, -y1` |
//! | `Gᵀ s` | s | `s0 + (s1 + s2) / 2, (s1 - s2) / 2, (s1 + s2) / 2 + s3` |
//!
//! each taken down the columns and then along the rows. Neighbouring tiles share two of their four columns, which are taken down once.

use super::planes::{Planes, PlanesMut};
use crate::conv::operand::Operand;
use crate::dispatch::elementwise;
use crate::element::{LANES, Lanes, Rounding, block_done, blocks, blocks_mut, lanes};

/// Products of a tile.
pub(in crate::conv) const POINTS: usize = 16;

#[inline(always)]
fn input(d: [&Lanes; 4]) -> [Lanes; 4] {
    [
        lanes!(|i| d[0][i] - d[2][i]),
        lanes!(|i| d[1][i] + d[2][i]),
        lanes!(|i| d[2][i] - d[1][i]),
        lanes!(|i| d[1][i] - d[3][i]),
    ]
}

#[inline(always)]
fn output(m: [&Lanes; 4]) -> [Lanes; 2] {
    [
        lanes!(|i| m[0][i] + m[1][i] + m[2][i]),
        lanes!(|i| m[1][i] - m[2][i] - m[3][i]),
    ]
}

#[inline(always)]
fn taps(g: [&Lanes; 3]) -> [Lanes; 4] {
    [
        *g[0],
        lanes!(|i| 0.5 * (g[0][i] + g[1][i] + g[2][i])),
        lanes!(|i| 0.5 * (g[0][i] - g[1][i] + g[2][i])),
        *g[2],
    ]
}

#[inline(always)]
fn gradient(y: [&Lanes; 2]) -> [Lanes; 4] {
    [
        *y[0],
        lanes!(|i| y[0][i] + y[1][i]),
        lanes!(|i| y[0][i] - y[1][i]),
        lanes!(|i| -y[1][i]),
    ]
}

#[inline(always)]
fn sums(s: [&Lanes; 4]) -> [Lanes; 3] {
    [
        lanes!(|i| s[0][i] + 0.5 * (s[1][i] + s[2][i])),
        lanes!(|i| 0.5 * (s[1][i] - s[2][i])),
        lanes!(|i| 0.5 * (s[1][i] + s[2][i]) + s[3][i]),
    ]
}

/// `Gᵀ s G` of `[point]`, taps row by row.
pub(in crate::conv) fn weight_taps(s: &[Lanes; POINTS]) -> [Lanes; 9] {
    let mut columns = [[[0.0; LANES]; 3]; 4];
    for (column, down) in columns.iter_mut().enumerate() {
        *down = sums([&s[column], &s[4 + column], &s[8 + column], &s[12 + column]]);
    }
    let mut taps = [[0.0; LANES]; 9];
    for row in 0..3 {
        let [a, b, c, d] = &columns;
        taps[3 * row..][..3].copy_from_slice(&sums([&a[row], &b[row], &c[row], &d[row]]));
    }
    taps
}

/// `G g Gᵀ` of taps `[row][column]`, `[point]`.
#[inline(always)]
pub(super) fn weight_points(g: &[[Lanes; 3]; 3]) -> [Lanes; POINTS] {
    let mut columns = [[[0.0; LANES]; 4]; 3];
    for (column, down) in columns.iter_mut().enumerate() {
        *down = taps([&g[0][column], &g[1][column], &g[2][column]]);
    }
    let mut points = [[0.0; LANES]; POINTS];
    for row in 0..4 {
        let along = taps([&columns[0][row], &columns[1][row], &columns[2][row]]);
        points[4 * row..][..4].copy_from_slice(&along);
    }
    points
}

elementwise! {
    /// `Bᵀ d B` of a row of tiles.
    ///
    /// # Shapes
    /// - rows: `[4, 2 tiles + 2, pixel]` words
    /// - out: `[16, tiles, pixel]` words, `point` from one of the sixteen to the next
    fn input_tiles<O: Operand>(rows: &[u32], tiles: usize, pixel: usize, out: &mut [u32], point: usize) = rounding input_tiles_body::<O>;
}

#[inline(always)]
fn input_tiles_body<O: Operand>(
    rounding: Rounding,
    rows: &[u32],
    tiles: usize,
    pixel: usize,
    out: &mut [u32],
    point: usize,
) {
    let count = pixel * O::PER_WORD / LANES;
    let row_len = (2 * tiles + 2) * count;
    let rows = Planes::new(O::blocks(rows), row_len, row_len);
    let point = point * O::PER_WORD / LANES;
    let mut out = PlanesMut::<_, POINTS>::new(O::blocks_mut(out), point, tiles * count);
    for block in 0..count {
        let mut left = [
            pixel_column::<O>(rows, block),
            pixel_column::<O>(rows, block + count),
        ];
        for tile in 0..tiles {
            let next = (2 * tile + 2) * count + block;
            let right = [
                pixel_column::<O>(rows, next),
                pixel_column::<O>(rows, next + count),
            ];
            for row in 0..4 {
                let values = along(&left, &right, row);
                for (column, value) in values.iter().enumerate() {
                    *out.at(4 * row + column, tile * count + block) =
                        O::pack(&O::round_block(rounding, value));
                }
            }
            left = right;
            block_done();
        }
    }
}

/// `Bᵀ d` of the four pixels of a column, of one block of channels.
#[inline(always)]
fn pixel_column<O: Operand>(rows: Planes<'_, O::Words, 4>, at: usize) -> [Lanes; 4] {
    input([
        &O::unpack(rows.at(0, at)),
        &O::unpack(rows.at(1, at)),
        &O::unpack(rows.at(2, at)),
        &O::unpack(rows.at(3, at)),
    ])
}

/// A row of `(Bᵀ d) B`, from two and two columns.
#[inline(always)]
fn along(left: &[[Lanes; 4]; 2], right: &[[Lanes; 4]; 2], row: usize) -> [Lanes; 4] {
    input([&left[0][row], &left[1][row], &right[0][row], &right[1][row]])
}

elementwise! {
    /// `Aᵀ m A` of a row of tiles.
    ///
    /// # Shapes
    /// - m: `[16, tiles, blocks, 16]`, `point` from one of the sixteen to the next
    /// - out: `[2, 2 tiles, channels]`, its first `blocks` of 16 written, or added to
    fn output_tiles(m: &[f32], point: usize, tiles: usize, blocks_now: usize, out: &mut [f32], channels: usize, accumulate: bool)
        = output_tiles_body;
}

#[inline(always)]
fn output_tiles_body(
    m: &[f32],
    point: usize,
    tiles: usize,
    blocks_now: usize,
    out: &mut [f32],
    channels: usize,
    accumulate: bool,
) {
    let (point, count) = (point / LANES, channels / LANES);
    let m = Planes::new(blocks(m), point, tiles * blocks_now);
    let row_len = 2 * tiles * count;
    let reach = row_len - count + blocks_now;
    let mut out = PlanesMut::<_, 2>::new(blocks_mut(out), row_len, reach);
    for tile in 0..tiles {
        for block in 0..blocks_now {
            let columns = [
                product_column(m, 0, tile * blocks_now + block),
                product_column(m, 1, tile * blocks_now + block),
                product_column(m, 2, tile * blocks_now + block),
                product_column(m, 3, tile * blocks_now + block),
            ];
            let [a, b, c, d] = &columns;
            for row in 0..2 {
                let values = output([&a[row], &b[row], &c[row], &d[row]]);
                for (column, value) in values.iter().enumerate() {
                    let target = out.at(row, (2 * tile + column) * count + block);
                    *target = if accumulate {
                        lanes!(|i| target[i] + value[i])
                    } else {
                        *value
                    };
                }
            }
            block_done();
        }
    }
}

/// `Aᵀ m` of a column of points, of one block of channels.
#[inline(always)]
fn product_column(m: Planes<'_, Lanes, POINTS>, column: usize, at: usize) -> [Lanes; 2] {
    output([
        m.at(column, at),
        m.at(4 + column, at),
        m.at(8 + column, at),
        m.at(12 + column, at),
    ])
}

elementwise! {
    /// `Bᵀ d B` of a row of tiles of one block of channels, for each of the images that share a word.
    ///
    /// # Shapes
    /// - rows: `[4, 2 tiles + 2, 16]` words
    /// - out: `[16, tiles, 16]` words, `point` from one of the sixteen to the next
    fn pair_tiles<O: Operand>(rows: &[u32], tiles: usize, out: &mut [u32], point: usize) = rounding pair_tiles_body::<O>;
}

#[inline(always)]
fn pair_tiles_body<O: Operand>(
    rounding: Rounding,
    rows: &[u32],
    tiles: usize,
    out: &mut [u32],
    point: usize,
) {
    let row_len = 2 * tiles + 2;
    let rows = Planes::new(blocks(rows), row_len, row_len);
    let mut out = PlanesMut::<_, POINTS>::new(blocks_mut(out), point / LANES, tiles);
    let mut left = [part_columns::<O>(rows, 0, 0), part_columns::<O>(rows, 0, 1)];
    for tile in 0..tiles {
        let next = 2 * tile + 2;
        let right = [
            part_columns::<O>(rows, next, 0),
            part_columns::<O>(rows, next, 1),
        ];
        for row in 0..4 {
            let first = along(&left[0], &right[0], row);
            let second = along(&left[1], &right[1], row);
            for column in 0..4 {
                *out.at(4 * row + column, tile) =
                    O::words(rounding, &first[column], &second[column]);
            }
        }
        left = right;
        block_done();
    }
}

/// `Bᵀ d` of one image of a word, for two neighbouring columns.
#[inline(always)]
fn part_columns<O: Operand>(
    rows: Planes<'_, [u32; LANES], 4>,
    column: usize,
    part: usize,
) -> [[Lanes; 4]; 2] {
    [
        part_column::<O>(rows, column, part),
        part_column::<O>(rows, column + 1, part),
    ]
}

#[inline(always)]
fn part_column<O: Operand>(
    rows: Planes<'_, [u32; LANES], 4>,
    column: usize,
    part: usize,
) -> [Lanes; 4] {
    input([
        &parts::<O>(rows.at(0, column), part),
        &parts::<O>(rows.at(1, column), part),
        &parts::<O>(rows.at(2, column), part),
        &parts::<O>(rows.at(3, column), part),
    ])
}

#[inline(always)]
fn parts<O: Operand>(words: &[u32; LANES], part: usize) -> Lanes {
    lanes!(|i| O::part(words[i], part))
}

elementwise! {
    /// `A y Aᵀ` of a row of tiles of one block of channels, for each of the images that share a word.
    ///
    /// # Shapes
    /// - rows: `[2, 2 tiles, 16]` words
    /// - out: `[16, tiles, 16]` words, `point` from one of the sixteen to the next
    fn gradient_tiles<O: Operand>(rows: &[u32], tiles: usize, out: &mut [u32], point: usize) = rounding gradient_tiles_body::<O>;
}

#[inline(always)]
fn gradient_tiles_body<O: Operand>(
    rounding: Rounding,
    rows: &[u32],
    tiles: usize,
    out: &mut [u32],
    point: usize,
) {
    let row_len = 2 * tiles;
    let rows = Planes::new(blocks(rows), row_len, row_len);
    let mut out = PlanesMut::<_, POINTS>::new(blocks_mut(out), point / LANES, tiles);
    for tile in 0..tiles {
        let first = gradient_columns::<O>(rows, tile, 0);
        let second = gradient_columns::<O>(rows, tile, 1);
        for row in 0..4 {
            let first = gradient([&first[0][row], &first[1][row]]);
            let second = gradient([&second[0][row], &second[1][row]]);
            for column in 0..4 {
                *out.at(4 * row + column, tile) =
                    O::words(rounding, &first[column], &second[column]);
            }
        }
        block_done();
    }
}

/// `A y` of one image of a word, for the two columns of a tile.
#[inline(always)]
fn gradient_columns<O: Operand>(
    rows: Planes<'_, [u32; LANES], 2>,
    tile: usize,
    part: usize,
) -> [[Lanes; 4]; 2] {
    let column = 2 * tile;
    [
        gradient([
            &parts::<O>(rows.at(0, column), part),
            &parts::<O>(rows.at(1, column), part),
        ]),
        gradient([
            &parts::<O>(rows.at(0, column + 1), part),
            &parts::<O>(rows.at(1, column + 1), part),
        ]),
    ]
}
