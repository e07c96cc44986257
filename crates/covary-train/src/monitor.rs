//! What is measured while training, on clean training images alone: collapse metrics of representation and embedding, and kNN on the
//! held-out tenth. The test set is not touched. Both samples are random, blind to labels, and the same for every run on the same data.

use std::sync::Arc;

use covary_data::{AugmentConfig, Dataset, hold_out, random_sample};

use crate::TrainError;
use crate::evaluate::possible::without_neighbours;
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
    fit: Vec<u32>,
    score: Vec<u32>,
    without_knn: Option<String>,
}

/// What was measured.
#[derive(Debug, Clone)]
pub struct MonitorReport {
    /// Collapse metrics of both spaces.
    pub spaces: Spaces,
    /// kNN accuracy (k = 20) on held-out training images, the other sample as the bank; none where labels and numbers of images
    /// do not allow it.
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
    /// A monitor of a training set, with at most `images` images to measure, which vote too, and half as many for them to classify.
    pub fn new(dataset: Arc<Dataset>, augment: AugmentConfig, images: usize) -> Self {
        let split = hold_out(dataset.len());
        let (fit, score) = (
            random_sample(&split.fit, images),
            random_sample(&split.score, images.div_ceil(2)),
        );
        let without_knn = dataset.labels().map_or_else(
            || Some("the images have no labels".into()),
            |labels| without_neighbours(&labels_at(labels, &fit), score.len(), NEIGHBOURS),
        );
        Self {
            dataset,
            augment,
            fit,
            score,
            without_knn,
        }
    }

    /// Clean training images that metrics are computed on.
    pub fn images(&self) -> &[u32] {
        &self.fit
    }

    /// Why there is no kNN while training, if there is none.
    pub fn without_knn(&self) -> Option<&str> {
        self.without_knn.as_deref()
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
        let (None, Some(labels)) = (&self.without_knn, self.dataset.labels()) else {
            return Ok(None);
        };
        let width = encoder.output_width();
        let scored = represent(encoder, &self.dataset, &self.augment, Some(&self.score));
        let bank = LabeledEmbeddings {
            embeddings: Embeddings::try_new(h, width)?,
            labels: &labels_at(labels, &self.fit),
        };
        let scored = LabeledEmbeddings {
            embeddings: Embeddings::try_new(&scored, width)?,
            labels: &labels_at(labels, &self.score),
        };
        let neighbours = NearestNeighbors {
            counts: vec![NEIGHBOURS],
            ..NearestNeighbors::default()
        };
        let report = neighbours.evaluate(bank, scored, self.dataset.class_names().len())?;
        Ok(report.scores.first().map(|score| score.test_accuracy))
    }
}

fn labels_at(labels: &[u32], indices: &[u32]) -> Vec<u32> {
    indices
        .iter()
        .map(|index| labels[*index as usize])
        .collect()
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

#[cfg(test)]
mod tests {
    use super::*;
    use covary_data::{AugmentConfig, ReadOptions, Sheet, Split, open};

    #[test]
    fn samples_of_classes_one_after_the_other_hold_all_of_them() {
        let folder = tempfile::tempdir().unwrap();
        for (class, light) in [("a", -1.0), ("b", 0.0), ("c", 1.0)] {
            let path = folder.path().join(class);
            fs_err::create_dir(&path).unwrap();
            for image in 0..40 {
                let mut sheet = Sheet::new(1, 1, 8, 8);
                sheet.draw(0, 0, &AugmentConfig::default(), 8, &[light; 192]);
                sheet.save(&path.join(format!("{image}.png"))).unwrap();
            }
        }
        let images = open(folder.path(), Split::Train, &ReadOptions::default()).unwrap();
        let labels = images.labels().unwrap().to_vec();
        let monitor = Monitor::new(Arc::new(images), AugmentConfig::default(), 30);
        assert_eq!(monitor.images().len(), 30);
        for sample in [monitor.images(), &monitor.score] {
            let found = labels_at(&labels, sample);
            let count = |class| found.iter().filter(|label| **label == class).count();
            // Hypergeometric: 10 of 30 and 4 of 12 are expected.
            assert!((0..3).all(|class| count(class) >= 2), "{found:?}");
        }
    }
}
