//! What will not be measured of a run, a sentence each, known before training and told then.

use super::possible::{without_linear, without_neighbours};
use super::reference::pixel_side;
use super::scores::{Data, NEIGHBOURS};

/// What is left out when an encoder is scored on these data, and what is measured otherwise than on small images.
pub(crate) fn left_out(data: &Data<'_>) -> Vec<String> {
    let labels = data.train.labels().unwrap_or_default();
    let mut reasons = Vec::new();
    if let Some(why) = without_linear(labels, data.test.len()) {
        reasons.push(format!("{why}: the linear probe is skipped"));
    }
    for k in NEIGHBOURS {
        if let Some(why) = without_neighbours(labels, data.test.len(), k) {
            reasons.push(format!("{why}: kNN with k = {k} is skipped"));
        }
    }
    let side = pixel_side(data);
    if side < data.augment.size {
        reasons.push(format!(
            "raw pixels, a line to compare with, are scored at {side} x {side} pixels"
        ));
    }
    reasons
}
