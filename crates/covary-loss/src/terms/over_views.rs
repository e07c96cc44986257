//! How a term over single views becomes one number: mean or sum of its values, or one value of all rows together.

use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

/// How the views add up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum OverViews {
    /// Mean of one value a view.
    Mean,
    /// Sum of one value a view.
    Sum,
    /// One value of the rows of all views, with one mean.
    Joint,
}

impl OverViews {
    /// The term's value from that of a view; `value` also gets the view's position.
    pub(super) fn value(
        self,
        z: &[Tensor<2>],
        mut value: impl FnMut(usize, Tensor<2>) -> Tensor<1>,
    ) -> Tensor<1> {
        if self == Self::Joint {
            return value(0, Tensor::cat(z.to_vec(), 0));
        }
        let values = z.iter().enumerate().map(|(view, z)| value(view, z.clone()));
        let sum = values.reduce(|a, b| a + b).expect("there is a view");
        sum / self.divisor(z.len())
    }

    /// The term's value where every view has the same one.
    pub(super) fn of_equal_values(self, value: f64, views: usize) -> f64 {
        match self {
            Self::Sum => value * views as f64,
            Self::Mean | Self::Joint => value,
        }
    }

    fn divisor(self, views: usize) -> f32 {
        match self {
            Self::Mean => views as f32,
            Self::Sum | Self::Joint => 1.0,
        }
    }

    /// The words before a formula of one view's value.
    pub(super) fn words(self) -> &'static str {
        match self {
            Self::Mean => "mean over views of",
            Self::Sum => "sum over views of",
            Self::Joint => "over the rows of all views together,",
        }
    }
}
