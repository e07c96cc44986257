//! Gradients of ReLUs between layers: zero where the ReLU was, and with the sums that the BatchNorm before it needs, which are taken while
//! the gradient is stored.

use rayon::prelude::*;

use crate::Isa;
use crate::buffer::Buffer;
use crate::element::{Element, padded};
use crate::passes::{self, Relu};

/// The gradient of a ReLU's input, in buffers that layers share.
#[derive(Debug, Default)]
pub struct ReluGradient<T> {
    values: Buffer<T>,
    sums: Buffer<f32>,
}

/// The BatchNorm before a ReLU: its input, and the mean it was normalised by.
#[derive(Debug, Clone, Copy)]
pub struct Below<'a, T> {
    pub(crate) y: &'a [T],
    pub(crate) mean: &'a [f32],
}

impl<T: Element> ReluGradient<T> {
    /// `[images, pixels, padded channels]`.
    pub(crate) fn values(&self) -> &[T] {
        &self.values
    }

    /// `Σ g` and `Σ g (y - mean)`, `[images, 2, padded channels]`.
    pub(crate) fn sums(&self) -> &[f32] {
        &self.sums
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
        ThroughRelu {
            shortcut,
            relu,
            y,
            mean,
            store: self.values.room(y.len()),
            sums: self.sums.room(y.len() / pixels * 2),
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
        let parts: Vec<_> = through.parts(1, len).collect();
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

/// Where a gradient goes back through a ReLU, and what the BatchNorm before that needs of it.
#[derive(Debug)]
pub(crate) struct ThroughRelu<'a, T> {
    /// What an identity shortcut adds to the gradient first.
    pub(crate) shortcut: Option<&'a [T]>,
    pub(crate) relu: Relu<'a, T>,
    /// Input of the BatchNorm, and its mean.
    pub(crate) y: &'a [T],
    pub(crate) mean: &'a [f32],
    /// The gradient where the ReLU was positive.
    pub(crate) store: &'a mut [T],
    /// `Σ g` and `Σ g (y - mean)`, `[images, 2, channels]`.
    pub(crate) sums: &'a mut [f32],
}

impl<T> ThroughRelu<'_, T> {
    /// The parts of `images` images each, of `len` numbers.
    pub(crate) fn parts(self, images: usize, len: usize) -> impl Iterator<Item = Self> {
        let Self {
            shortcut,
            relu,
            y,
            mean,
            store,
            sums,
        } = self;
        let len = images * len;
        let sums = sums.chunks_mut(images * 2 * mean.len());
        let parts = store.chunks_mut(len).zip(sums);
        parts.enumerate().map(move |(index, (store, sums))| {
            let span = index * len..index * len + store.len();
            Self {
                shortcut: shortcut.map(|all| &all[span.clone()]),
                relu: relu.part(span.clone()),
                y: &y[span],
                mean,
                store,
                sums,
            }
        })
    }

    /// The images of a group, from image `start` on.
    pub(crate) fn group(&mut self, start: usize, images: usize, len: usize) -> ThroughRelu<'_, T> {
        let span = start * len..(start + images) * len;
        let channels = 2 * self.mean.len();
        ThroughRelu {
            shortcut: self.shortcut.map(|all| &all[span.clone()]),
            relu: self.relu.part(span.clone()),
            y: &self.y[span.clone()],
            mean: self.mean,
            store: &mut self.store[span],
            sums: &mut self.sums[start * channels..(start + images) * channels],
        }
    }

    /// Takes the gradient of all images through, image by image.
    pub(crate) fn put(self, isa: Isa, gradient: &[f32], len: usize)
    where
        T: Element,
    {
        let images = gradient.chunks_exact(len);
        for (part, gradient) in self.parts(1, len).zip(images) {
            passes::relu_gradient::<T>(
                isa,
                gradient,
                part.shortcut,
                part.relu,
                part.y,
                part.mean,
                part.store,
                part.sums,
            );
        }
    }
}
