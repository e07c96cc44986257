//! Values that change over a run, by step.

use std::f64::consts::PI;

use super::phases::{self, Phase, PhaseConfig};

/// The learning rate over a run.
///
/// Without phases `lr · n / w` for the first w steps, then `lr · ½ (1 + cos π (n - w) / (N - w))`, falling to zero at step N. With them
/// `lr` times the factor of the phase.
#[derive(Debug, Clone, PartialEq)]
pub struct Schedule {
    lr: f64,
    warmup_steps: u64,
    total_steps: u64,
    phases: Vec<Phase>,
}

impl Schedule {
    /// A schedule whose warm-up is the whole number of steps in that share of the run; `phases` take the place of warm-up and cosine.
    pub fn new(lr: f64, warmup_share: f64, phases: &[PhaseConfig], total_steps: u64) -> Self {
        Self {
            lr,
            warmup_steps: (total_steps as f64 * warmup_share) as u64,
            total_steps,
            phases: phases::phases(phases, total_steps),
        }
    }

    /// The learning rate of a step, counted from 0.
    pub fn lr(&self, step: u64) -> f64 {
        if !self.phases.is_empty() {
            return self.lr * phases::factor(&self.phases, step);
        }
        if step < self.warmup_steps {
            return self.lr * step as f64 / self.warmup_steps as f64;
        }
        let falling = (self.total_steps - self.warmup_steps).max(1);
        self.lr * 0.5 * (1.0 + (PI * (step - self.warmup_steps) as f64 / falling as f64).cos())
    }
}

/// `end - (end - start) · ½ (1 + cos π n / N)`: from start to end along half a cosine.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct EmaSchedule {
    start: f64,
    end: f64,
    total_steps: u64,
}

impl EmaSchedule {
    /// From `start` at step 0 to `end` at `total_steps`.
    pub fn new(start: f64, end: f64, total_steps: u64) -> Self {
        Self {
            start,
            end,
            total_steps,
        }
    }

    /// The decay of a step, counted from 0.
    pub fn decay(&self, step: u64) -> f64 {
        let share = step as f64 / self.total_steps.max(1) as f64;
        self.end - (self.end - self.start) * 0.5 * (1.0 + (PI * share).cos())
    }
}

#[cfg(test)]
mod tests {
    use super::super::phases::PhaseShape;
    use super::*;

    #[test]
    fn learning_rate_rises_linearly_then_falls_along_a_cosine() {
        let schedule = Schedule::new(2.0, 0.1, &[], 100);
        let near = |step, lr: f64| (schedule.lr(step) - lr).abs() < 1e-12;
        assert!(near(0, 0.0) && near(5, 1.0) && near(10, 2.0));
        assert!((schedule.lr(55) - 1.0).abs() < 1e-12 && schedule.lr(99) < 1e-3);
        assert!((Schedule::new(1.0, 0.0, &[], 1).lr(0) - 1.0).abs() < 1e-12);
    }

    #[test]
    fn warm_up_and_cosine_are_two_phases() {
        let phase = |until, shape, to| PhaseConfig {
            until,
            shape,
            from: None,
            to: Some(to),
        };
        let phases = [
            phase(0.1, PhaseShape::Linear, 1.0),
            phase(1.0, PhaseShape::Cosine, 0.0),
        ];
        let (phases, whole) = (
            Schedule::new(2.0, 0.5, &phases, 97),
            Schedule::new(2.0, 0.1, &[], 97),
        );
        for step in 0..97 {
            let (phases, whole) = (phases.lr(step), whole.lr(step));
            assert!((phases - whole).abs() < 1e-12, "{step}: {phases} {whole}");
        }
    }

    #[test]
    fn target_decay_goes_from_start_to_end() {
        let schedule = EmaSchedule::new(0.99, 1.0, 10);
        assert!(
            (schedule.decay(0) - 0.99).abs() < 1e-12 && (schedule.decay(5) - 0.995).abs() < 1e-12
        );
        assert!((schedule.decay(10) - 1.0).abs() < 1e-12);
    }
}
