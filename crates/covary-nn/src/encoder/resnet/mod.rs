//! `ResNets` of basic blocks (He et al. 2016) for small images: 3x3 stem with stride 1 and padding 1, no pooling, four stages.
//!
//! Names and order are torchvision's, without the classifier: `conv1.weight`, `bn1.weight`, ..., `layer4.1.bn2.bias`.

pub(crate) mod burn;
pub(crate) mod kernels;

use covary_kernels::ConvGeometry;

use crate::{Layout, NnError};

/// Sizes of a ResNet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResNetConfig {
    /// Name of the architecture.
    pub name: String,
    /// Channels of the first stage, at least 1; the representation has eight times as many.
    pub width: usize,
    /// Blocks of each stage.
    pub blocks: [usize; 4],
    /// Rows of the images, at least 8.
    pub rows: usize,
    /// Columns of the images, at least 8.
    pub columns: usize,
}

impl ResNetConfig {
    /// `resnet18` or `resnet34` of that width.
    ///
    /// # Errors
    /// [`NnError::UnknownEncoder`], or [`NnError::Size`] for a width of zero or images smaller than 8 pixels.
    pub fn named(name: &str, width: usize, rows: usize, columns: usize) -> Result<Self, NnError> {
        let blocks = match name {
            "resnet18" => [2, 2, 2, 2],
            "resnet34" => [3, 4, 6, 3],
            _ => return Err(NnError::UnknownEncoder(name.into())),
        };
        for (what, value, least) in [
            ("encoder width", width, 1),
            ("image height", rows, 8),
            ("image width", columns, 8),
        ] {
            if value < least {
                return Err(NnError::Size { what, value, least });
            }
        }
        Ok(Self {
            name: name.into(),
            width,
            blocks,
            rows,
            columns,
        })
    }

    /// Width of the representation.
    pub fn features(&self) -> usize {
        8 * self.width
    }

    /// The distinct convolutions, from the images on.
    pub fn convolutions(&self) -> Vec<ConvGeometry> {
        let (mut height, mut width, mut c_in) = (self.rows, self.columns, self.width);
        let geometry = |height, width, c_in, c_out, kernel, stride| ConvGeometry {
            height,
            width,
            c_in,
            c_out,
            kernel,
            stride,
        };
        let mut found = vec![geometry(height, width, 3, c_in, 3, 1)];
        for stage in 0..self.blocks.len() {
            let c_out = self.width << stage;
            if stage > 0 {
                found.push(geometry(height, width, c_in, c_out, 3, 2));
                found.push(geometry(height, width, c_in, c_out, 1, 2));
                (height, width) = (height.div_ceil(2), width.div_ceil(2));
            }
            found.push(geometry(height, width, c_out, c_out, 3, 1));
            c_in = c_out;
        }
        found
    }

    /// Layouts of parameters and running statistics.
    pub(crate) fn layouts(&self) -> (Layout, Layout) {
        let mut layouts = (Layout::default(), Layout::default());
        conv_norm(&mut layouts, "conv1", "bn1", [self.width, 3, 3]);
        let mut c_in = self.width;
        for (stage, &count) in self.blocks.iter().enumerate() {
            let c_out = self.width << stage;
            for block in 0..count {
                let prefix = format!("layer{}.{block}", stage + 1);
                conv_norm(
                    &mut layouts,
                    &format!("{prefix}.conv1"),
                    &format!("{prefix}.bn1"),
                    [c_out, c_in, 3],
                );
                conv_norm(
                    &mut layouts,
                    &format!("{prefix}.conv2"),
                    &format!("{prefix}.bn2"),
                    [c_out, c_out, 3],
                );
                if c_in != c_out {
                    let shortcut = format!("{prefix}.downsample");
                    conv_norm(
                        &mut layouts,
                        &format!("{shortcut}.0"),
                        &format!("{shortcut}.1"),
                        [c_out, c_in, 1],
                    );
                }
                c_in = c_out;
            }
        }
        layouts
    }
}

fn conv_norm(
    (parameters, statistics): &mut (Layout, Layout),
    conv: &str,
    norm: &str,
    [c_out, c_in, kernel]: [usize; 3],
) {
    parameters.push(format!("{conv}.weight"), &[c_out, c_in, kernel, kernel]);
    parameters.push(format!("{norm}.weight"), &[c_out]);
    parameters.push(format!("{norm}.bias"), &[c_out]);
    statistics.push(format!("{norm}.running_mean"), &[c_out]);
    statistics.push(format!("{norm}.running_var"), &[c_out]);
}
