//! Walks over the frames of some images: the forward product and the input gradient.

use super::geometry::Walk;
use super::operand::Operand;
use super::panel::Panel;
use super::tile::{self, Run};
use crate::Isa;
use crate::element::LANES;

/// Where a product reads and writes. Frames hold `channels` numbers a pixel (padded), outputs `out_channels` (padded).
#[derive(Debug, Clone, Copy)]
pub(crate) struct Extent {
    /// Numbers of one image's frame.
    pub(crate) frame: usize,
    /// Padded channels of the frame.
    pub(crate) channels: usize,
    /// Channels that are not padding.
    pub(crate) real_channels: usize,
    /// Pixels of one image's output.
    pub(crate) out_pixels: usize,
    /// Padded channels of the output.
    pub(crate) out_channels: usize,
}

/// `out = walks(frames)`, or `out += ...`; one panel a walk.
///
/// # Shapes
/// - frames: `[images, frame]` numbers of operand O, as words
/// - out: `[images, out_pixels, out_channels]` f32
pub(crate) fn product<O: Operand>(
    isa: Isa,
    walks: &[Walk],
    panels: &[Panel],
    extent: &Extent,
    frames: &[u32],
    out: &mut [f32],
    accumulate: bool,
) {
    if !accumulate && walks.iter().any(|walk| walk.taps.is_empty()) {
        out.fill(0.0);
    }
    let pixel = extent.channels / O::PER_WORD;
    let words = extent.real_channels.div_ceil(O::PER_WORD);
    let image_out = extent.out_pixels * extent.out_channels;
    for (walk, panel) in walks
        .iter()
        .zip(panels)
        .filter(|(walk, _)| !walk.taps.is_empty())
    {
        let across = walk.across;
        let rows = walk.taps.chunks_exact(across);
        let taps: Vec<usize> = rows.map(|row| row[0].0 * pixel).collect();
        let mut block = 0;
        let blocks = extent.out_channels / LANES;
        while block < blocks {
            let now = match blocks - block {
                4.. => 4,
                2 | 3 => 2,
                _ => 1,
            };
            let weights = &panel.words()[block * panel.block()..];
            let images = frames
                .chunks_exact(extent.frame / O::PER_WORD)
                .zip(out.chunks_exact_mut(image_out));
            for (frame, out) in images {
                for row in 0..walk.rows {
                    let start =
                        (walk.out_start + row * walk.out_row) * extent.out_channels + block * LANES;
                    let run = Run {
                        input: &frame[row * walk.frame_row * pixel..],
                        taps: &taps,
                        across,
                        words,
                        step: walk.step * pixel,
                        weights,
                        block: panel.block(),
                        out_step: walk.out_column * extent.out_channels,
                        accumulate,
                    };
                    tile::run::<O>(isa, run, now, walk.columns, &mut out[start..]);
                }
            }
            block += now;
        }
    }
}
