//! Averaged weights in place of those that train, for as long as something is measured on them.

use super::{Model, TrainState};

/// Running statistics of every network, those of the weights that train.
#[derive(Debug)]
pub(crate) struct Kept(Vec<Vec<f32>>);

impl TrainState {
    /// Puts the averaged weights in place, where the configuration has them; `settle` then gives the networks running statistics. What
    /// is returned goes back to [`TrainState::put_back`] before the next step or checkpoint.
    pub(crate) fn put_average(&mut self, settle: impl FnOnce(&mut Model)) -> Option<Kept> {
        let average = self.average.as_mut()?;
        let networks = self.model.networks_mut();
        let kept = networks
            .iter()
            .map(|(_, network)| network.statistics().to_vec())
            .collect();
        average.exchange(&mut self.model.trained_mut());
        settle(&mut self.model);
        Some(Kept(kept))
    }

    /// Puts the weights that train back, with their statistics, to the bit.
    pub(crate) fn put_back(&mut self, kept: Kept) {
        if let Some(average) = &mut self.average {
            average.exchange(&mut self.model.trained_mut());
        }
        for ((_, network), statistics) in self.model.networks_mut().into_iter().zip(kept.0) {
            network.statistics_mut().copy_from_slice(&statistics);
        }
    }
}
