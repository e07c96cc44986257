//! Representations of clean images, and what is measured on them without labels.

use covary_data::{AugmentConfig, Augmenter, Dataset};
use covary_nn::Network;
use serde::Serialize;

use crate::TrainError;
use covary_score::Embeddings;
use covary_score::{Measurement, RunOutcome, Sample, Verdict, measure};

/// Images of 32 x 32 pixels that go through the encoder at once.
const BATCH: usize = 256;
/// Larger images go through in smaller batches, but not in smaller ones than this.
const SMALLEST_BATCH: usize = 16;

/// At most `images` images, and fewer where views have more than 32 x 32 pixels, so that memory does not grow with their size.
pub(super) fn batch_of(images: usize, size: usize) -> usize {
    (images * 32 * 32 / (size * size)).clamp(SMALLEST_BATCH.min(images), images)
}

/// Representations `[n, width]` of clean images in eval mode, of all images or of those at `indices`, in their order.
pub fn represent(
    encoder: &mut Network,
    dataset: &Dataset,
    augment: &AugmentConfig,
    indices: Option<&[u32]>,
) -> Vec<f32> {
    let count = indices.map_or(dataset.len(), <[u32]>::len);
    let mut h = Vec::with_capacity(count * encoder.output_width());
    let mut images = Vec::new();
    let batch = batch_of(BATCH, augment.size);
    for start in (0..count).step_by(batch) {
        let index = |at: usize| indices.map_or(at, |indices| indices[at] as usize);
        clean(
            dataset,
            augment,
            (start..count.min(start + batch)).map(index),
            &mut images,
        );
        h.extend(encoder.infer(&images));
    }
    h
}

/// Clean normalised images `[n, size, size, 3]`.
pub(crate) fn clean(
    dataset: &Dataset,
    augment: &AugmentConfig,
    indices: impl Iterator<Item = usize>,
    out: &mut Vec<f32>,
) {
    let len = augment.size * augment.size * 3;
    let mut augmenter = Augmenter::default();
    out.clear();
    for index in indices {
        let start = out.len();
        out.resize(start + len, 0.0);
        augmenter.clean(augment, dataset.image(index), &mut out[start..]);
    }
}

/// Collapse metrics and verdicts of representation h and embedding z.
#[derive(Debug, Clone, Serialize)]
pub struct Spaces {
    /// Metrics of h.
    pub representation: Vec<Measurement>,
    /// Metrics of z.
    pub embedding: Vec<Measurement>,
    /// Verdict on h.
    pub representation_verdict: Verdict,
    /// Verdict on z.
    pub embedding_verdict: Verdict,
}

impl Spaces {
    /// Which of them collapsed.
    pub fn outcome(&self) -> RunOutcome {
        RunOutcome::of(
            self.embedding_verdict.is_collapse(),
            self.representation_verdict.is_collapse(),
        )
    }
}

/// Measures h `[n, h_width]` and z `[n, z_width]`.
///
/// # Errors
/// Fewer than two rows, or a number that is not finite.
pub fn spaces(h: &[f32], h_width: usize, z: &[f32], z_width: usize) -> Result<Spaces, TrainError> {
    let of = |values: &[f32], width| -> Result<_, TrainError> {
        let sample = Sample::new(Embeddings::try_new(values, width)?);
        Ok((measure(&sample)?, Verdict::of(&sample)?))
    };
    let (of_h, of_z) = rayon::join(|| of(h, h_width), || of(z, z_width));
    let (representation, representation_verdict) = of_h?;
    let (embedding, embedding_verdict) = of_z?;
    Ok(Spaces {
        representation,
        embedding,
        representation_verdict,
        embedding_verdict,
    })
}
