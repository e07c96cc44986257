//! `C_t = β C_{t-1} + (1 - β) B_t` of `d x d` matrices, `C_0` = 0; divided by `1 - βᵗ` it is a weighted mean (Kingma, Ba 2015, section 3).

use burn::tensor::{Tensor, TensorData};

/// The average and its steps.
#[derive(Debug, Clone, Default)]
pub(super) struct MovingAverage {
    /// `[d, d]` row by row, without bias correction; empty before the first step.
    c: Vec<f32>,
    steps: u64,
}

impl MovingAverage {
    /// Takes a batch's matrix in; gives the average, with `batch`'s gradient through its part.
    ///
    /// # Shapes
    /// - batch: `[d, d]`, d that of all batches before → `[d, d]`
    pub(super) fn update(
        &mut self,
        batch: Tensor<2>,
        beta: f64,
        bias_correction: bool,
    ) -> Tensor<2> {
        let [d, _] = batch.dims();
        let device = batch.device();
        let mut c = batch * (1.0 - beta) as f32;
        if self.steps > 0 {
            let before = TensorData::new(std::mem::take(&mut self.c), [d, d]);
            c = c + Tensor::<2>::from_data(before, &device) * beta as f32;
        }
        self.c = c
            .clone()
            .detach()
            .into_data()
            .try_to_vec::<f32>()
            .expect("losses are f32");
        self.steps += 1;
        if bias_correction {
            c / (1.0 - beta.powf(self.steps as f64)) as f32
        } else {
            c
        }
    }

    /// The matrix, then the number of steps.
    pub(super) fn state(&self) -> Vec<f32> {
        let steps = self.steps as f32;
        self.c.iter().copied().chain([steps]).collect()
    }

    /// Reads [`MovingAverage::state`].
    pub(super) fn load(state: &[f32]) -> Result<Self, String> {
        let (steps, c) = state.split_last().ok_or("the state is empty")?;
        if c.len().isqrt().pow(2) != c.len() {
            return Err(format!("{} numbers are no square matrix", c.len()));
        }
        if (*steps == 0.0) != c.is_empty() || steps.fract() != 0.0 || *steps < 0.0 {
            return Err(format!("{} numbers after {steps} steps", c.len()));
        }
        Ok(Self {
            c: c.to_vec(),
            steps: *steps as u64,
        })
    }

    /// Refuses another width than the matrix's.
    pub(super) fn check(&self, d: usize) -> Result<(), String> {
        let side = self.c.len().isqrt();
        if side == 0 || side == d {
            Ok(())
        } else {
            Err(format!(
                "the running matrix is {side} x {side}, the embeddings have {d} dimensions"
            ))
        }
    }
}
