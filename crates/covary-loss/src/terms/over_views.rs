//! How a term over single views becomes one number: mean or sum of its values, or one value of all rows together.
//!
//! The sum is that over the two views of a pair. With more views the loss is the mean over the pairs, so that the sum is twice the mean
//! over the views; one view alone (view a in front of a momentum target, in one direction) gives its own value.

use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

/// How the views add up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum OverViews {
    /// Mean of one value a view.
    Mean,
    /// Sum of one value for each of the two views of a pair.
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
        match self {
            Self::Mean => sum / z.len() as f32,
            Self::Sum if z.len() > 2 => sum * (2.0 / z.len() as f32),
            Self::Sum | Self::Joint => sum,
        }
    }

    /// The term's value where every view has the same one.
    pub(super) fn of_equal_values(self, value: f64, views: usize) -> f64 {
        match self {
            Self::Sum => value * views.min(2) as f64,
            Self::Mean | Self::Joint => value,
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
