//! How early one could have known: from what is logged in the first 5, 10 or 25 % of training, the chance of collapse and the final accuracy.
//!
//! One metric predicts at a time: a line for accuracy, a logistic curve for collapse. Which metric is chosen by leave-one-variant-out error
//! within the training runs, so that the choice is part of what is judged; the judgement is leave-one-variant-out again, over everything.
//! The same is done with the current loss and kNN accuracy alone, which anyone would look at: the baseline to beat.

mod evaluate;
mod features;
mod model;
mod predict;

pub use evaluate::{Comparison, Evaluation, Quality, evaluate};
pub use features::{FRACTIONS, Sample, samples};
pub use model::{Candidates, Forecast};
pub use predict::{Prediction, predict};
