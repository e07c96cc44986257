//! What is measured while training, on clean training images alone: collapse metrics of representation and embedding, and kNN on the
//! held-out tenth. The test set is not touched.

use std::sync::Arc;

use covary_data::{AugmentConfig, Dataset, hold_out};

use crate::TrainError;
use crate::evaluate::{Spaces, reestimate, represent, spaces};
use crate::trainer::TrainState;
use covary_score::{Embeddings, LabeledEmbeddings, NearestNeighbors, Sample, Verdict};

/// Neighbours that vote.
const NEIGHBOURS: usize = 20;

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
        let validation_knn = match self.dataset.labels() {
            None => None,
            Some(labels) => {
                let scored = represent(
                    &mut state.model.encoder,
                    &self.dataset,
                    &self.augment,
                    Some(&self.score),
                );
                let of = |indices: &[u32]| -> Vec<u32> {
                    indices
                        .iter()
                        .map(|index| labels[*index as usize])
                        .collect()
                };
                let (bank_labels, score_labels) = (of(&self.fit), of(&self.score));
                let bank = LabeledEmbeddings {
                    embeddings: Embeddings::try_new(&h, width)?,
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
                report.scores.first().map(|score| score.test_accuracy)
            }
        };
        Ok(MonitorReport {
            spaces,
            validation_knn,
            relative_std_behind_norm,
        })
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
