//! MLP heads: linear layers with a normalisation and ReLU between them. Names are those of a PyTorch `Sequential`: `0.weight`, `0.bias`,
//! `1.weight` (normalisation), ..., where ReLU takes a number too.

pub(crate) mod burn;
pub(crate) mod kernels;

use serde::{Deserialize, Serialize};

use crate::{Layout, NnError};

/// Normalisation behind a linear layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Norm {
    /// None.
    None,
    /// BatchNorm with γ and β.
    Batch,
    /// BatchNorm without: zero mean and unit variance of each column.
    BatchAffineFree,
    /// LayerNorm with γ and β.
    Layer,
    /// LayerNorm without: zero mean and unit variance of each row.
    LayerAffineFree,
}

/// Sizes of a head.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MlpConfig {
    /// Widths from input to output, at least two.
    pub sizes: Vec<usize>,
    /// Normalisation before each ReLU.
    pub hidden_norm: Norm,
    /// Normalisation after the last layer.
    pub output_norm: Norm,
    /// Whether the last layer has a bias.
    pub output_bias: bool,
}

/// A normalisation's kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NormPlan {
    pub(crate) affine: bool,
    /// Over a row instead of the batch: it has no running statistics.
    pub(crate) of_rows: bool,
}

impl Norm {
    fn plan(self) -> Option<NormPlan> {
        let plan = |affine, of_rows| Some(NormPlan { affine, of_rows });
        match self {
            Self::None => None,
            Self::Batch => plan(true, false),
            Self::BatchAffineFree => plan(false, false),
            Self::Layer => plan(true, true),
            Self::LayerAffineFree => plan(false, true),
        }
    }
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
            let norm = if hidden {
                self.hidden_norm
            } else {
                self.output_norm
            };
            LayerPlan {
                inputs: pair[0],
                outputs: pair[1],
                bias: hidden || self.output_bias,
                norm: norm.plan(),
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
                if !norm.of_rows {
                    statistics.push(format!("{number}.running_mean"), &[layer.outputs]);
                    statistics.push(format!("{number}.running_var"), &[layer.outputs]);
                }
                number += 1;
            }
            number += usize::from(layer.relu);
        }
        (parameters, statistics)
    }
}
