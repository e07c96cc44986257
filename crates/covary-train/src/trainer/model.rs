//! The networks of a method: encoder, projector, an optional predictor, and an optional momentum target of the first two.
//!
//! ```text
//! view a ─ encoder ─ h_a ─ projector ─ z_a ─ predictor ─ p_a ┐
//! view b ─ encoder ─ h_b ─ projector ─ z_b ─ predictor ─ p_b ├─ loss terms
//! view b ─ target encoder ─ target projector ─ z'_b          ┘
//! ```

use covary_data::{AugmentConfig, Augmenter, Dataset};
use covary_nn::{EngineConfig, MlpConfig, Network, NnError, Norm};

use crate::TrainError;
use crate::config::TrainConfig;
use covary_loss::method::{PredictorKind, TargetKind, hidden_norm};

/// Training images that a whitened stem is fitted to at most.
const STEM_IMAGES: usize = 5000;

/// The networks of a run, with their parameters.
#[derive(Debug)]
pub struct Model {
    /// Images to representations h.
    pub encoder: Network,
    /// Representations to embeddings z.
    pub projector: Network,
    /// Embeddings to predictions p.
    pub predictor: Option<Network>,
    /// The projector without the normalisation of its output, where it has one; its values are copies.
    bare_projector: Option<Network>,
    /// The slowly moving copy of encoder and projector.
    pub target: Option<Target>,
}

/// A copy of encoder and projector whose parameters are a moving average of theirs. Its running statistics are those of its own
/// forward passes.
#[derive(Debug)]
pub struct Target {
    /// Images to representations.
    pub encoder: Network,
    /// Representations to target embeddings.
    pub projector: Network,
}

impl Model {
    /// Builds the networks and draws their initial values, each from (seed, name, shape) alone; the target starts equal to the online
    /// branch.
    ///
    /// # Errors
    /// [`TrainError::Network`] for sizes that make no network.
    pub fn new(config: &TrainConfig, engine: &EngineConfig) -> Result<Self, TrainError> {
        let build = |part: Part| part.build(config, engine);
        let target = match config.target.kind {
            TargetKind::Shared => None,
            TargetKind::Momentum => Some(Target {
                encoder: build(Part::Encoder)?,
                projector: build(Part::Projector)?,
            }),
        };
        let predictor = match config.predictor.kind {
            PredictorKind::None => None,
            PredictorKind::Linear | PredictorKind::Mlp => Some(build(Part::Predictor)?),
        };
        let bare_projector = match config.projector.output_norm {
            Norm::None => None,
            _ => Some(build(Part::BareProjector)?),
        };
        Ok(Self {
            encoder: build(Part::Encoder)?,
            projector: build(Part::Projector)?,
            predictor,
            bare_projector,
            target,
        })
    }

    /// Fits a whitened stem, where the encoder has one, to training images: the first step of a run, and of what it is compared with.
    ///
    /// # Errors
    /// [`TrainError::Network`] for pixels that are not finite.
    pub fn fit_stem(&mut self, train: &Dataset, augment: &AugmentConfig) -> Result<(), TrainError> {
        if !self.encoder.has_whitened_stem() {
            return Ok(());
        }
        let images = evenly_spaced(train, augment);
        let target = self.target.as_mut().map(|target| &mut target.encoder);
        for encoder in [&mut self.encoder].into_iter().chain(target) {
            encoder.fit_stem(&images)?;
        }
        Ok(())
    }

    /// Embeddings of representations in eval mode, before any normalisation of the projector's output: that would hide a constant.
    ///
    /// # Shapes
    /// - h: `[n, representation width]` → `[n, embedding width]`
    pub fn embed(&mut self, h: &[f32]) -> Vec<f32> {
        let Some(bare) = &mut self.bare_projector else {
            return self.projector.infer(h);
        };
        // The output's normalisation is last in the layout.
        let parameters = bare.parameters_mut();
        parameters.copy_from_slice(&self.projector.parameters()[..parameters.len()]);
        let statistics = bare.statistics_mut();
        statistics.copy_from_slice(&self.projector.statistics()[..statistics.len()]);
        bare.infer(h)
    }

    /// Whether the projector's output is normalised.
    pub fn has_output_norm(&self) -> bool {
        self.bare_projector.is_some()
    }

    /// Width of the representation h.
    pub fn representation_width(&self) -> usize {
        self.encoder.output_width()
    }

    /// Every network with the name that checkpoints know it by.
    pub fn networks_mut(&mut self) -> Vec<(&'static str, &mut Network)> {
        let mut networks = vec![
            ("encoder", &mut self.encoder),
            ("projector", &mut self.projector),
        ];
        networks.extend(
            self.predictor
                .as_mut()
                .map(|network| ("predictor", network)),
        );
        if let Some(target) = &mut self.target {
            networks.push(("target.encoder", &mut target.encoder));
            networks.push(("target.projector", &mut target.projector));
        }
        networks
    }

    /// The networks that the optimizer moves, in a fixed order.
    pub fn trained_mut(&mut self) -> Vec<(&'static str, &mut Network)> {
        let mut networks = vec![
            ("encoder", &mut self.encoder),
            ("projector", &mut self.projector),
        ];
        networks.extend(
            self.predictor
                .as_mut()
                .map(|network| ("predictor", network)),
        );
        networks
    }
}

/// Clean normalised images from all over a data set, which may be sorted by class.
fn evenly_spaced(train: &Dataset, augment: &AugmentConfig) -> Vec<f32> {
    let count = STEM_IMAGES.min(train.len());
    let len = augment.size * augment.size * 3;
    let mut images = vec![0.0; count * len];
    let mut augmenter = Augmenter::default();
    for (at, image) in images.chunks_exact_mut(len).enumerate() {
        let index = at * train.len() / count;
        augmenter.clean(augment, train.image(index), image);
    }
    images
}

enum Part {
    Encoder,
    Projector,
    BareProjector,
    Predictor,
}

impl Part {
    fn build(self, config: &TrainConfig, engine: &EngineConfig) -> Result<Network, TrainError> {
        let (mut network, name) = match self {
            Self::Encoder => (
                Network::encoder(&config.encoder, [config.augment.size; 2], engine)?,
                "encoder",
            ),
            Self::Projector => (
                Network::mlp(&projector_config(config)?, engine)?,
                "projector",
            ),
            Self::BareProjector => {
                let mut bare = projector_config(config)?;
                bare.output_norm = Norm::None;
                (Network::mlp(&bare, engine)?, "projector")
            }
            Self::Predictor => (
                Network::mlp(&predictor_config(config), engine)?,
                "predictor",
            ),
        };
        network.initialise(config.seed, name);
        Ok(network)
    }
}

pub(crate) fn projector_config(config: &TrainConfig) -> Result<MlpConfig, NnError> {
    let projector = &config.projector;
    let mut sizes = vec![config.encoder.features()?];
    sizes.extend(std::iter::repeat_n(projector.hidden, projector.layers - 1));
    sizes.push(projector.dim);
    Ok(MlpConfig {
        sizes,
        hidden_norm: hidden_norm(projector.batch_norm, projector.layer_norm, projector.affine)
            .unwrap_or(Norm::None),
        output_norm: projector.output_norm,
        output_bias: true,
    })
}

fn predictor_config(config: &TrainConfig) -> MlpConfig {
    let (predictor, dim) = (&config.predictor, config.projector.dim);
    let sizes = match predictor.kind {
        PredictorKind::Mlp => vec![dim, predictor.hidden, dim],
        PredictorKind::Linear | PredictorKind::None => vec![dim, dim],
    };
    MlpConfig {
        sizes,
        hidden_norm: hidden_norm(predictor.batch_norm, predictor.layer_norm, predictor.affine)
            .unwrap_or(Norm::None),
        output_norm: predictor.output_norm,
        output_bias: true,
    }
}
