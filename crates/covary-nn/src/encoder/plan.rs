//! The layers of an encoder, from which its engines, the names of its parameters and its cost follow.
//!
//! Every convolution has a BatchNorm and no bias; the last layer's output is averaged over its pixels.

use covary_kernels::{BlockGeometry, ConvGeometry};

use crate::Layout;

/// Channels of an image.
pub(crate) const COLOURS: usize = 3;
/// Filters of a whitened stem: both signs of the 12 directions of patches of 2x2 pixels.
pub(crate) const WHITENING_FILTERS: usize = 24;

/// A layer without the sizes that follow from the layer before.
#[derive(Debug)]
pub(crate) enum LayerSpec {
    /// `relu(bn(pool(conv(x))))`, stride 1.
    Conv {
        conv: String,
        norm: String,
        c_out: usize,
        /// 1 or 3.
        kernel: usize,
        /// A max-pool of 2x2 pixels between convolution and BatchNorm.
        pool: bool,
        /// The convolution does not train.
        frozen: bool,
    },
    /// A basic block (He et al. 2016), torchvision's `BasicBlock`.
    Residual {
        prefix: String,
        c_out: usize,
        stride: usize,
    },
}

impl LayerSpec {
    /// A convolution of 3x3 taps, named as modules of a PyTorch `Sequential`: convolution, the max-pool where there is one, BatchNorm, ReLU.
    /// `next` is the number of the first module, and then of that behind.
    pub(crate) fn sequential(prefix: &str, next: &mut usize, c_out: usize, pool: bool) -> Self {
        let (conv, norm) = (*next, *next + 1 + usize::from(pool));
        *next = norm + 2;
        Self::Conv {
            conv: format!("{prefix}.{conv}"),
            norm: format!("{prefix}.{norm}"),
            c_out,
            kernel: 3,
            pool,
            frozen: false,
        }
    }

    /// The whitened stem.
    pub(crate) fn whitening() -> Self {
        Self::Conv {
            conv: "whiten.0".into(),
            norm: "whiten.1".into(),
            c_out: WHITENING_FILTERS,
            kernel: 3,
            pool: false,
            frozen: true,
        }
    }
}

/// A layer with all its sizes.
#[derive(Debug, Clone)]
pub(crate) enum LayerPlan {
    Conv(ConvPlan),
    Residual {
        prefix: String,
        geometry: BlockGeometry,
    },
}

/// A layer of one convolution.
#[derive(Debug, Clone)]
pub(crate) struct ConvPlan {
    pub(crate) conv: String,
    pub(crate) norm: String,
    pub(crate) geometry: ConvGeometry,
    pub(crate) pool: bool,
    pub(crate) frozen: bool,
}

/// All layers for images of one size.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    /// Rows and columns of the images.
    pub(crate) size: [usize; 2],
    /// The first is a convolution.
    pub(crate) layers: Vec<LayerPlan>,
    /// Rows and columns of the last layer's output.
    last: [usize; 2],
    features: usize,
}

impl Plan {
    pub(crate) fn new(specs: Vec<LayerSpec>, size: [usize; 2]) -> Self {
        let ([mut height, mut width], mut c_in) = (size, COLOURS);
        let mut layers = Vec::new();
        for spec in specs {
            let (layer, step, c_out) = match spec {
                LayerSpec::Conv {
                    conv,
                    norm,
                    c_out,
                    kernel,
                    pool,
                    frozen,
                } => {
                    let geometry = ConvGeometry {
                        height,
                        width,
                        c_in,
                        c_out,
                        kernel,
                        stride: 1,
                    };
                    if pool {
                        (height, width) = (height / 2, width / 2);
                    }
                    let plan = ConvPlan {
                        conv,
                        norm,
                        geometry,
                        pool,
                        frozen,
                    };
                    (LayerPlan::Conv(plan), 1, c_out)
                }
                LayerSpec::Residual {
                    prefix,
                    c_out,
                    stride,
                } => {
                    let geometry = BlockGeometry {
                        height,
                        width,
                        c_in,
                        c_out,
                        stride,
                    };
                    (LayerPlan::Residual { prefix, geometry }, stride, c_out)
                }
            };
            (height, width) = (height.div_ceil(step), width.div_ceil(step));
            c_in = c_out;
            layers.push(layer);
        }
        Self {
            size,
            layers,
            last: [height, width],
            features: c_in,
        }
    }

    /// Width of the representation.
    pub(crate) fn features(&self) -> usize {
        self.features
    }

    /// Pixels that are averaged.
    pub(crate) fn last_pixels(&self) -> usize {
        self.last[0] * self.last[1]
    }

    /// Numbers of an image.
    pub(crate) fn image_len(&self) -> usize {
        self.size[0] * self.size[1] * COLOURS
    }

    /// Every convolution in order.
    pub(crate) fn convolutions(&self) -> Vec<ConvGeometry> {
        let convolutions = self.layers.iter().flat_map(|layer| match layer {
            LayerPlan::Conv(plan) => vec![plan.geometry],
            LayerPlan::Residual { geometry, .. } => geometry.convolutions(),
        });
        convolutions.collect()
    }

    /// Layouts of parameters and of what does not train: running statistics, then frozen weights.
    pub(crate) fn layouts(&self) -> (Layout, Layout) {
        let (mut parameters, mut statistics) = (Layout::default(), Layout::default());
        let mut frozen = Vec::new();
        let mut unit = |conv: &str, norm: &str, geometry: &ConvGeometry, is_frozen: bool| {
            let ConvGeometry {
                c_in,
                c_out,
                kernel,
                ..
            } = *geometry;
            let weight = (format!("{conv}.weight"), [c_out, c_in, kernel, kernel]);
            if is_frozen {
                frozen.push(weight);
            } else {
                parameters.push(weight.0, &weight.1);
            }
            parameters.push(format!("{norm}.weight"), &[c_out]);
            parameters.push(format!("{norm}.bias"), &[c_out]);
            statistics.push(format!("{norm}.running_mean"), &[c_out]);
            statistics.push(format!("{norm}.running_var"), &[c_out]);
        };
        for layer in &self.layers {
            match layer {
                LayerPlan::Conv(plan) => {
                    unit(&plan.conv, &plan.norm, &plan.geometry, plan.frozen);
                }
                LayerPlan::Residual { prefix, geometry } => {
                    let names = [
                        ("conv1", "bn1"),
                        ("conv2", "bn2"),
                        ("downsample.0", "downsample.1"),
                    ];
                    for ((conv, norm), geometry) in names.iter().zip(geometry.convolutions()) {
                        let (conv, norm) = (format!("{prefix}.{conv}"), format!("{prefix}.{norm}"));
                        unit(&conv, &norm, &geometry, false);
                    }
                }
            }
        }
        for (name, shape) in frozen {
            statistics.push(name, &shape);
        }
        (parameters, statistics)
    }
}
