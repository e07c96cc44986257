//! Separable resampling of a region of an image, as Pillow and `torchvision` with `antialias = true` do it.
//!
//! Output pixel o of an axis with n inputs and m outputs looks at s = n/m, centre c = (o + 1/2) s, half-width r max(s, 1):
//! the weight of input i is f((i + 1/2 - c) / max(s, 1)), weights normalised to sum 1, where f is the triangle (r = 1) or Keys'
//! cubic with a = -1/2 (r = 2; `torchvision` without antialiasing would take a = -3/4). Inputs outside the region do not exist.

use serde::{Deserialize, Serialize};

use super::planes::Planes;
use crate::Image;

/// Interpolation between pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Filter {
    /// Triangle filter, two neighbours when enlarging.
    Bilinear,
    /// Cubic convolution (Keys 1981, a = -1/2), four neighbours when enlarging.
    Bicubic,
}

impl Filter {
    fn radius(self) -> f64 {
        match self {
            Self::Bilinear => 1.0,
            Self::Bicubic => 2.0,
        }
    }

    fn at(self, x: f64) -> f64 {
        let x = x.abs();
        match self {
            Self::Bilinear => (1.0 - x).max(0.0),
            Self::Bicubic if x < 1.0 => (1.5 * x - 2.5) * x * x + 1.0,
            Self::Bicubic if x < 2.0 => ((-0.5 * x + 2.5) * x - 4.0) * x + 2.0,
            Self::Bicubic => 0.0,
        }
    }
}

/// A rectangle of pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Region {
    pub(super) top: usize,
    pub(super) left: usize,
    pub(super) height: usize,
    pub(super) width: usize,
}

/// Weights of one axis: output o is the sum of `weights[o * taps + t] * input[starts[o] + t]`.
#[derive(Debug, Default)]
struct Axis {
    taps: usize,
    starts: Vec<usize>,
    weights: Vec<f32>,
}

impl Axis {
    /// Weights of the outputs `first..first + count` of an axis of `inputs` resampled to `outputs`.
    fn prepare(
        &mut self,
        inputs: usize,
        outputs: usize,
        (first, count): (usize, usize),
        filter: Filter,
    ) {
        let scale = inputs as f64 / outputs as f64;
        let stretch = scale.max(1.0);
        let half_width = filter.radius() * stretch;
        self.taps = ((2.0 * half_width).ceil() as usize).min(inputs);
        self.starts.clear();
        self.weights.clear();
        self.weights.resize(count * self.taps, 0.0);
        for (output, weights) in
            (first..first + count).zip(self.weights.chunks_exact_mut(self.taps))
        {
            let centre = (output as f64 + 0.5) * scale;
            let low = (centre - half_width + 0.5).max(0.0) as usize;
            let high = ((centre + half_width + 0.5) as usize).min(inputs);
            let start = low.min(inputs - self.taps);
            let weight = |input: usize| filter.at((input as f64 + 0.5 - centre) / stretch);
            let total: f64 = (low..high).map(weight).sum();
            for input in low..high.min(start + self.taps) {
                weights[input - start] = (weight(input) / total) as f32;
            }
            self.starts.push(start);
        }
    }
}

/// Buffers of a resampling, kept between images.
#[derive(Debug, Default)]
pub(super) struct Resampler {
    rows: Axis,
    columns: Axis,
    /// One row of the region as `f32`, `[width, 3]` and one value more.
    row: Vec<f32>,
    /// The region with its columns resampled, `[height, 3, size]`.
    narrowed: Vec<f32>,
}

impl Resampler {
    /// Resamples a region of `image` to fill the planes.
    pub(super) fn region(
        &mut self,
        image: Image<'_>,
        region: Region,
        filter: Filter,
        planes: &mut Planes,
    ) {
        let size = planes.size();
        self.rows.prepare(region.height, size, (0, size), filter);
        self.columns.prepare(region.width, size, (0, size), filter);
        self.run(image, region, planes);
    }

    /// Resamples `image` so that its shorter side has the planes' size, and keeps the centre.
    pub(super) fn centre(&mut self, image: Image<'_>, filter: Filter, planes: &mut Planes) {
        let size = planes.size();
        let (height, width) = (image.height, image.width);
        let shorter = height.min(width);
        let (rows, columns) = (size * height / shorter, size * width / shorter);
        self.rows
            .prepare(height, rows, ((rows - size) / 2, size), filter);
        self.columns
            .prepare(width, columns, ((columns - size) / 2, size), filter);
        self.run(
            image,
            Region {
                top: 0,
                left: 0,
                height,
                width,
            },
            planes,
        );
    }

    /// Columns first and clamped in between, the order of Pillow and `torchvision`: where cubic weights overshoot, it matters.
    fn run(&mut self, image: Image<'_>, region: Region, planes: &mut Planes) {
        let size = planes.size();
        let length = region.width * 3;
        self.row.resize(length + 1, 0.0);
        self.narrowed.resize(region.height * 3 * size, 0.0);
        for (y, narrowed) in self.narrowed.chunks_exact_mut(3 * size).enumerate() {
            let start = ((region.top + y) * image.width + region.left) * 3;
            for (value, &pixel) in self
                .row
                .iter_mut()
                .zip(&image.pixels[start..start + length])
            {
                *value = f32::from(pixel);
            }
            match self.columns.taps {
                2 => weigh_columns::<2>(&self.row, &self.columns, narrowed),
                4 => weigh_columns::<4>(&self.row, &self.columns, narrowed),
                _ => weigh_columns_any(&self.row, &self.columns, narrowed),
            }
        }
        for (channel, plane) in planes.channels_mut().into_iter().enumerate() {
            for (y, row) in plane.chunks_exact_mut(size).enumerate() {
                let weights = &self.rows.weights[y * self.rows.taps..][..self.rows.taps];
                let first = (self.rows.starts[y] * 3 + channel) * size;
                weigh_rows(&self.narrowed[first..], 3 * size, weights, row);
            }
        }
    }
}

/// One row: pixels are read as four values, of which the fourth belongs to the next pixel and is dropped.
fn weigh_columns<const TAPS: usize>(row: &[f32], axis: &Axis, narrowed: &mut [f32]) {
    let size = axis.starts.len();
    let (red, rest) = narrowed.split_at_mut(size);
    let (green, blue) = rest.split_at_mut(size);
    let (weights, _) = axis.weights.as_chunks::<TAPS>();
    let outputs = red.iter_mut().zip(green).zip(blue);
    for ((((red, green), blue), weights), &start) in outputs.zip(weights).zip(&axis.starts) {
        let pixels = &row[start * 3..][..=TAPS * 3];
        let mut sum = [0.0_f32; 4];
        for (t, &weight) in weights.iter().enumerate() {
            let pixel: &[f32; 4] = pixels[t * 3..]
                .first_chunk()
                .expect("a pixel and one value more");
            for (sum, &value) in sum.iter_mut().zip(pixel) {
                *sum += weight * value;
            }
        }
        let sum = sum.map(|value| value.clamp(0.0, 255.0));
        (*red, *green, *blue) = (sum[0], sum[1], sum[2]);
    }
}

fn weigh_columns_any(row: &[f32], axis: &Axis, narrowed: &mut [f32]) {
    let size = axis.starts.len();
    for (output, &start) in axis.starts.iter().enumerate() {
        let mut sum = [0.0_f32; 3];
        for (t, &weight) in axis.weights[output * axis.taps..][..axis.taps]
            .iter()
            .enumerate()
        {
            for (sum, &value) in sum.iter_mut().zip(&row[(start + t) * 3..]) {
                *sum += weight * value;
            }
        }
        for (channel, sum) in sum.into_iter().enumerate() {
            narrowed[channel * size + output] = sum.clamp(0.0, 255.0);
        }
    }
}

/// `out` = sum of `weights[t]` times the values from `source[t * stride]` on.
fn weigh_rows(source: &[f32], stride: usize, weights: &[f32], out: &mut [f32]) {
    let length = out.len();
    let row = |t: usize| &source[t * stride..][..length];
    match *weights {
        [a, b] => {
            for ((out, &x), &y) in out.iter_mut().zip(row(0)).zip(row(1)) {
                *out = (a * x + b * y).clamp(0.0, 255.0);
            }
        }
        [a, b, c, d] => {
            let inner = row(1).iter().zip(row(2));
            for (((out, &w), (&x, &y)), &z) in out.iter_mut().zip(row(0)).zip(inner).zip(row(3)) {
                *out = ((a * w + b * x) + (c * y + d * z)).clamp(0.0, 255.0);
            }
        }
        _ => {
            out.fill(0.0);
            for (t, &weight) in weights.iter().enumerate() {
                for (out, &x) in out.iter_mut().zip(row(t)) {
                    *out += weight * x;
                }
            }
            for out in out {
                *out = out.clamp(0.0, 255.0);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resample(image: Image<'_>, filter: Filter, size: usize) -> Vec<f32> {
        let mut planes = Planes::default();
        planes.resize(size);
        let region = Region {
            top: 0,
            left: 0,
            height: image.height,
            width: image.width,
        };
        Resampler::default().region(image, region, filter, &mut planes);
        planes.values_mut().to_vec()
    }

    #[test]
    fn a_constant_image_stays_constant_at_any_size() {
        for (height, width) in [
            (1, 1),
            (1, 7),
            (3, 2),
            (13, 29),
            (32, 32),
            (33, 100),
            (301, 257),
        ] {
            let pixels = vec![77; height * width * 3];
            for filter in [Filter::Bilinear, Filter::Bicubic] {
                for size in [1, 5, 32] {
                    let values = resample(
                        Image {
                            height,
                            width,
                            pixels: &pixels,
                        },
                        filter,
                        size,
                    );
                    assert!(
                        values.iter().all(|value| (value - 77.0).abs() < 1e-3),
                        "{height}x{width} to {size}"
                    );
                }
            }
        }
    }

    #[test]
    fn shrinking_averages_away_from_the_border() {
        // stripes one pixel wide: sampling without antialiasing would keep their contrast
        let (height, width) = (64, 256);
        let pixels: Vec<u8> = (0..height * width)
            .flat_map(|pixel| [(pixel % 2 * 200) as u8; 3])
            .collect();
        for filter in [Filter::Bilinear, Filter::Bicubic] {
            let values = resample(
                Image {
                    height,
                    width,
                    pixels: &pixels,
                },
                filter,
                32,
            );
            for row in values.chunks_exact(32) {
                assert!(
                    row[2..30].iter().all(|value| (value - 100.0).abs() < 1.0),
                    "{filter:?}"
                );
            }
        }
    }

    #[test]
    fn a_ramp_stays_a_ramp_away_from_the_border() {
        for (from, to) in [(64, 16), (16, 48)] {
            let pixels: Vec<u8> = (0..from * from)
                .flat_map(|pixel| [(pixel % from * 3) as u8; 3])
                .collect();
            for filter in [Filter::Bilinear, Filter::Bicubic] {
                let values = resample(
                    Image {
                        height: from,
                        width: from,
                        pixels: &pixels,
                    },
                    filter,
                    to,
                );
                let scale = from as f32 / to as f32;
                for x in to / 4..to - to / 4 {
                    let expected = 3.0 * ((x as f32 + 0.5) * scale - 0.5);
                    assert!(
                        (values[to + x] - expected).abs() < 1e-2,
                        "{} for {expected}",
                        values[to + x]
                    );
                }
            }
        }
    }
}
