//! MLP heads: linear layers with BatchNorm and ReLU between them. Names are those of a PyTorch `Sequential`: `0.weight`, `0.bias`,
//! `1.weight` (BatchNorm), ..., where ReLU takes a number too.

pub(crate) mod burn;
pub(crate) mod kernels;

use serde::{Deserialize, Serialize};

use crate::{Layout, NnError};

/// BatchNorm after the last layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OutputNorm {
    /// None.
    None,
    /// With γ and β.
    Affine,
    /// Without: zero mean and unit variance.
    AffineFree,
}

/// Sizes of a head.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MlpConfig {
    /// Widths from input to output, at least two.
    pub sizes: Vec<usize>,
    /// BatchNorm before each ReLU.
    pub batch_norm: bool,
    /// BatchNorm after the last layer.
    pub output_norm: OutputNorm,
    /// Whether the last layer has a bias.
    pub output_bias: bool,
}

/// A BatchNorm's place and kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NormPlan {
    pub(crate) affine: bool,
}

/// One linear layer and what follows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LayerPlan {
    pub(crate) inputs: usize,
    pub(crate) outputs: usize,
    pub(crate) bias: bool,
    pub(crate) norm: Option<NormPlan>,
    pub(crate) relu: bool,
}

impl MlpConfig {
    pub(crate) fn check(&self) -> Result<(), NnError> {
        let sizes = self.sizes.iter().map(|&size| ("width of a layer", size, 1));
        for (what, value, least) in
            sizes.chain([("number of widths of a head", self.sizes.len(), 2)])
        {
            if value < least {
                return Err(NnError::Size { what, value, least });
            }
        }
        Ok(())
    }

    pub(crate) fn plan(&self) -> Vec<LayerPlan> {
        let last = self.sizes.len() - 2;
        let layers = self.sizes.windows(2).enumerate().map(|(index, pair)| {
            let hidden = index < last;
            let norm = match (hidden, self.output_norm) {
                (true, _) => self.batch_norm.then_some(NormPlan { affine: true }),
                (false, OutputNorm::None) => None,
                (false, OutputNorm::Affine) => Some(NormPlan { affine: true }),
                (false, OutputNorm::AffineFree) => Some(NormPlan { affine: false }),
            };
            LayerPlan {
                inputs: pair[0],
                outputs: pair[1],
                bias: hidden || self.output_bias,
                norm,
                relu: hidden,
            }
        });
        layers.collect()
    }

    /// Layouts of parameters and running statistics.
    pub(crate) fn layouts(&self) -> (Layout, Layout) {
        let (mut parameters, mut statistics) = (Layout::default(), Layout::default());
        let mut number = 0;
        for layer in self.plan() {
            parameters.push(format!("{number}.weight"), &[layer.outputs, layer.inputs]);
            if layer.bias {
                parameters.push(format!("{number}.bias"), &[layer.outputs]);
            }
            number += 1;
            if let Some(norm) = layer.norm {
                if norm.affine {
                    parameters.push(format!("{number}.weight"), &[layer.outputs]);
                    parameters.push(format!("{number}.bias"), &[layer.outputs]);
                }
                statistics.push(format!("{number}.running_mean"), &[layer.outputs]);
                statistics.push(format!("{number}.running_var"), &[layer.outputs]);
                number += 1;
            }
            number += usize::from(layer.relu);
        }
        (parameters, statistics)
    }
}
