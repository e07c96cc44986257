//! Gradients of ReLUs between layers: zero where the ReLU was, and with the sums that the BatchNorm before it needs, which are taken while
//! the gradient is stored.

use rayon::prelude::*;

use crate::Isa;
use crate::conv::backward::ThroughRelu;
use crate::conv::layer::sized;
use crate::conv_norm::ConvNormTape;
use crate::element::{Element, padded};
use crate::passes::Relu;

/// The gradient of a ReLU's input. Layers of all sizes share the buffers, which stay as long as the largest needs: growing again would
/// clear what is written anyway.
#[derive(Debug, Default)]
pub struct ReluGradient<T> {
    values: Vec<T>,
    sums: Vec<f32>,
    lens: [usize; 2],
}

/// The BatchNorm before a ReLU: its input, and the mean it was normalised by.
#[derive(Debug, Clone, Copy)]
pub struct Below<'a, T> {
    pub(crate) y: &'a [T],
    pub(crate) mean: &'a [f32],
}

impl<'a, T> Below<'a, T> {
    pub(crate) fn of(tape: &'a ConvNormTape<T>) -> Self {
        Self {
            y: &tape.y,
            mean: &tape.normalisation.mean,
        }
    }
}

impl<T: Element> ReluGradient<T> {
    /// `[images, pixels, padded channels]`.
    pub(crate) fn values(&self) -> &[T] {
        &self.values[..self.lens[0]]
    }

    /// `Σ g` and `Σ g (y - mean)`, `[images, 2, padded channels]`.
    pub(crate) fn sums(&self) -> &[f32] {
        &self.sums[..self.lens[1]]
    }

    /// Room for the gradient of a ReLU behind `below`.
    pub(crate) fn through<'a>(
        &'a mut self,
        shortcut: Option<&'a [T]>,
        relu: Relu<'a, T>,
        below: Below<'a, T>,
        pixels: usize,
    ) -> ThroughRelu<'a, T> {
        let Below { y, mean } = below;
        self.lens = [y.len(), y.len() / pixels * 2];
        ThroughRelu {
            shortcut,
            relu,
            y,
            mean,
            store: sized(&mut self.values, self.lens[0]),
            sums: sized(&mut self.sums, self.lens[1]),
        }
    }

    /// That of the mean over pixels: every pixel's is that of the mean, divided by their number.
    ///
    /// # Shapes
    /// - gradient: `[images, channels]`
    /// - output: of the ReLU, `[images, pixels, padded channels]`
    pub fn set_from_pool(
        &mut self,
        isa: Isa,
        gradient: &[f32],
        channels: usize,
        output: &[T],
        below: Below<'_, T>,
    ) {
        let len = output.len() / (gradient.len() / channels);
        let pixels = len / padded(channels);
        let through = self.through(None, Relu::Output(output), below, pixels);
        let parts: Vec<_> = through.parts(1, len, padded(channels)).collect();
        parts
            .into_par_iter()
            .zip(gradient.par_chunks(channels))
            .for_each(|(part, gradient)| {
                let mut of_pixels = vec![0.0; len];
                for pixel in of_pixels.chunks_exact_mut(padded(channels)) {
                    let values = pixel.iter_mut().zip(gradient);
                    values.for_each(|(value, g)| *value = g / pixels as f32);
                }
                part.put(isa, &of_pixels, len);
            });
    }
}
