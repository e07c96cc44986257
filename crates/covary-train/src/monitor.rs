//! What is measured while training, on clean training images alone: collapse metrics of representation and embedding, and kNN on the
//! held-out tenth. The test set is not touched.

use std::sync::Arc;

use covary_data::{AugmentConfig, Dataset, hold_out};

use crate::TrainError;
use crate::evaluate::{Spaces, clean, reestimate, represent, spaces};
use crate::trainer::TrainState;
use covary_nn::Network;
use covary_score::{Embeddings, LabeledEmbeddings, NearestNeighbors, Sample, Verdict};

/// Neighbours that vote.
const NEIGHBOURS: usize = 20;
/// Batches and images a batch that an untrained encoder's BatchNorm statistics are re-estimated on.
const BATCHES: usize = 4;
const BATCH: usize = 250;

/// Measures a model in training, always on the same images.
#[derive(Debug)]
pub struct Monitor {
    dataset: Arc<Dataset>,
    augment: AugmentConfig,
    images: usize,
    fit: Vec<u32>,
    score: Vec<u32>,
}

/// What was measured.
#[derive(Debug, Clone)]
pub struct MonitorReport {
    /// Collapse metrics of both spaces.
    pub spaces: Spaces,
    /// kNN accuracy (k = 20) on held-out training images, the other sample as the bank; none without labels.
    pub validation_knn: Option<f64>,
    /// Relative std of embeddings behind the normalisation of the projector's output, where it has one; the metrics and the verdict
    /// are of those before it.
    pub relative_std_behind_norm: Option<f64>,
}

/// The representation before training, measured as it is while training.
#[derive(Debug, Clone)]
pub struct Untrained {
    /// Verdict on h.
    pub verdict: Verdict,
    /// kNN accuracy as in a report.
    pub validation_knn: Option<f64>,
}

impl Monitor {
    /// A monitor of a training set, with samples of at most `images` images.
    pub fn new(dataset: Arc<Dataset>, augment: AugmentConfig, images: usize) -> Self {
        let split = hold_out(dataset.len());
        let first = |indices: &[u32]| indices[..images.min(indices.len())].to_vec();
        Self {
            fit: first(&split.fit),
            score: first(&split.score),
            dataset,
            augment,
            images,
        }
    }

    /// Clean training images that metrics are computed on.
    pub fn images(&self) -> usize {
        self.images
    }

    /// Measures the model, in eval mode: the averaged weights where there are.
    ///
    /// # Errors
    /// A representation that is not finite.
    pub fn measure(&self, state: &mut TrainState) -> Result<MonitorReport, TrainError> {
        let kept = state.put_average(|model| reestimate(model, &self.dataset, &self.augment));
        let measured = self.measure_weights(state);
        if let Some(kept) = kept {
            state.put_back(kept);
        }
        measured
    }

    fn measure_weights(&self, state: &mut TrainState) -> Result<MonitorReport, TrainError> {
        let encoder = &mut state.model.encoder;
        let width = encoder.output_width();
        let h = represent(encoder, &self.dataset, &self.augment, Some(&self.fit));
        let z = state.model.embed(&h);
        let d = state.model.projector.output_width();
        let spaces = spaces(&h, width, &z, d)?;
        let relative_std_behind_norm = if state.model.has_output_norm() {
            let z = state.model.projector.infer(&h);
            let sample = Sample::new(Embeddings::try_new(&z, d)?);
            Some(Verdict::of(&sample)?.relative_std)
        } else {
            None
        };
        let validation_knn = self.knn(&mut state.model.encoder, &h)?;
        Ok(MonitorReport {
            spaces,
            validation_knn,
            relative_std_behind_norm,
        })
    }

    /// Measures the representation of an encoder that has not been trained, after re-estimating its BatchNorm statistics on clean
    /// training images.
    ///
    /// # Errors
    /// A representation that is not finite.
    pub fn untrained(&self, mut encoder: Network) -> Result<Untrained, TrainError> {
        let batches = self.fit.chunks(BATCH).take(BATCHES);
        let batches: Vec<Vec<f32>> = batches
            .filter(|indices| indices.len() > 1)
            .map(|indices| {
                let mut images = Vec::new();
                let indices = indices.iter().map(|index| *index as usize);
                clean(&self.dataset, &self.augment, indices, &mut images);
                images
            })
            .collect();
        encoder.reestimate_statistics(batches.iter().map(Vec::as_slice));
        let h = represent(&mut encoder, &self.dataset, &self.augment, Some(&self.fit));
        let sample = Sample::new(Embeddings::try_new(&h, encoder.output_width())?);
        Ok(Untrained {
            verdict: Verdict::of(&sample)?,
            validation_knn: self.knn(&mut encoder, &h)?,
        })
    }

    /// kNN accuracy on the held-out sample, with the representations `h` of the other one as the bank; none without labels.
    fn knn(&self, encoder: &mut Network, h: &[f32]) -> Result<Option<f64>, TrainError> {
        let Some(labels) = self.dataset.labels() else {
            return Ok(None);
        };
        let width = encoder.output_width();
        let scored = represent(encoder, &self.dataset, &self.augment, Some(&self.score));
        let of = |indices: &[u32]| -> Vec<u32> {
            let labels = indices.iter().map(|index| labels[*index as usize]);
            labels.collect()
        };
        let (bank_labels, score_labels) = (of(&self.fit), of(&self.score));
        let bank = LabeledEmbeddings {
            embeddings: Embeddings::try_new(h, width)?,
            labels: &bank_labels,
        };
        let scored = LabeledEmbeddings {
            embeddings: Embeddings::try_new(&scored, width)?,
            labels: &score_labels,
        };
        let neighbours = NearestNeighbors {
            counts: vec![NEIGHBOURS],
            ..NearestNeighbors::default()
        };
        let report = neighbours.evaluate(bank, scored, self.dataset.class_names().len())?;
        Ok(report.scores.first().map(|score| score.test_accuracy))
    }
}

impl MonitorReport {
    /// Names and values, as they are logged.
    pub fn scalars(&self) -> Vec<(String, f64)> {
        let spaces = [
            ("representation", &self.spaces.representation),
            ("embedding", &self.spaces.embedding),
        ];
        let metrics = spaces.into_iter().flat_map(|(space, measurements)| {
            measurements
                .iter()
                .map(move |m| (format!("{space}/{}", m.name), m.value.unwrap_or(f64::NAN)))
        });
        let spread = [
            ("representation", &self.spaces.representation_verdict),
            ("embedding", &self.spaces.embedding_verdict),
        ];
        let spread =
            spread.map(|(space, verdict)| (format!("{space}/relative_std"), verdict.relative_std));
        metrics
            .chain(spread)
            .chain(
                self.validation_knn
                    .map(|knn| ("validation_knn".to_owned(), knn)),
            )
            .collect()
    }
}
