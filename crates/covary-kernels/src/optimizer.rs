//! Optimizer steps on flat vectors: one pass over memory each, gradients cleared on the way, dealt to threads in fixed chunks.

use rayon::prelude::*;

use crate::Isa;
use crate::dispatch::elementwise;

/// Numbers that a job takes: small enough for a core's cache with all vectors of a step.
const CHUNK: usize = 1 << 14;

/// One step of AdamW (Loshchilov, Hutter 2019; `PyTorch`'s order): `p -= lr·wd·p`, then
/// `p -= lr / (1 - β₁ᵗ) · m / (√(v / (1 - β₂ᵗ)) + ε)`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AdamW {
    /// Learning rate of this step.
    pub lr: f64,
    /// Decay of the mean of gradients.
    pub beta1: f64,
    /// Decay of the mean of squared gradients.
    pub beta2: f64,
    /// Added to the root.
    pub epsilon: f64,
    /// Decoupled weight decay.
    pub weight_decay: f64,
    /// Steps taken, this one included.
    pub step: u64,
}

/// Factors of an AdamW step in f32.
#[derive(Clone, Copy)]
pub(crate) struct AdamFactors {
    keep: f32,
    beta1: f32,
    rest1: f32,
    beta2: f32,
    rest2: f32,
    rate: f32,
    root: f32,
    epsilon: f32,
}

impl AdamW {
    /// Moves `parameters`, `mean` and `square`, and clears `gradients`.
    pub fn apply(
        &self,
        isa: Isa,
        parameters: &mut [f32],
        gradients: &mut [f32],
        mean: &mut [f32],
        square: &mut [f32],
    ) {
        let t = self.step as i32;
        let factors = AdamFactors {
            keep: (1.0 - self.lr * self.weight_decay) as f32,
            beta1: self.beta1 as f32,
            rest1: (1.0 - self.beta1) as f32,
            beta2: self.beta2 as f32,
            rest2: (1.0 - self.beta2) as f32,
            rate: (self.lr / (1.0 - self.beta1.powi(t))) as f32,
            root: (1.0 / (1.0 - self.beta2.powi(t)).sqrt()) as f32,
            epsilon: self.epsilon as f32,
        };
        let chunks = parameters
            .par_chunks_mut(CHUNK)
            .zip(gradients.par_chunks_mut(CHUNK));
        let state = mean.par_chunks_mut(CHUNK).zip(square.par_chunks_mut(CHUNK));
        chunks
            .zip(state)
            .for_each(|((p, g), (m, v))| adam_chunk(isa, factors, p, g, m, v));
    }
}

elementwise! {
    fn adam_chunk(f: AdamFactors, p: &mut [f32], g: &mut [f32], m: &mut [f32], v: &mut [f32]) = adam_body;
}

#[inline(always)]
fn adam_body(f: AdamFactors, p: &mut [f32], g: &mut [f32], m: &mut [f32], v: &mut [f32]) {
    for (((p, g), m), v) in p.iter_mut().zip(g).zip(m).zip(v) {
        let gradient = *g;
        *g = 0.0;
        *m = f.beta1 * *m + f.rest1 * gradient;
        *v = f.beta2 * *v + f.rest2 * gradient * gradient;
        *p = *p * f.keep - f.rate * *m / (v.sqrt() * f.root + f.epsilon);
    }
}

/// One step of SGD with momentum, `PyTorch`'s form: `g += wd·p`, `b = momentum·b + trust·g`, `p -= lr·b`; the buffer starts at zero,
/// which makes the first step `b = g`. A trust ratio other than 1 makes it LARS.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Momentum {
    /// Learning rate of this step.
    pub lr: f64,
    /// Decay of the buffer.
    pub momentum: f64,
    /// Weight decay, part of the gradient.
    pub weight_decay: f64,
    /// Factor of the gradient with its weight decay.
    pub trust: f64,
}

impl Momentum {
    /// Moves `parameters` and `buffer`, and clears `gradients`.
    pub fn apply(
        &self,
        isa: Isa,
        parameters: &mut [f32],
        gradients: &mut [f32],
        buffer: &mut [f32],
    ) {
        let factors = [
            self.lr as f32,
            self.momentum as f32,
            self.weight_decay as f32,
            self.trust as f32,
        ];
        let chunks = parameters
            .par_chunks_mut(CHUNK)
            .zip(gradients.par_chunks_mut(CHUNK))
            .zip(buffer.par_chunks_mut(CHUNK));
        chunks.for_each(|((p, g), b)| momentum_chunk(isa, factors, p, g, b));
    }
}

elementwise! {
    fn momentum_chunk(factors: [f32; 4], p: &mut [f32], g: &mut [f32], b: &mut [f32]) = momentum_body;
}

#[inline(always)]
fn momentum_body(
    [lr, momentum, decay, trust]: [f32; 4],
    p: &mut [f32],
    g: &mut [f32],
    b: &mut [f32],
) {
    for ((p, g), b) in p.iter_mut().zip(g).zip(b) {
        let gradient = *g + decay * *p;
        *g = 0.0;
        *b = momentum * *b + trust * gradient;
        *p -= lr * *b;
    }
}

/// `buffer = momentum·buffer + (1 - momentum)·g`, `update = momentum·buffer + (1 - momentum)·g`, or the buffer alone without Nesterov's
/// look ahead: the momentum of `torch.optim.Muon`. Clears `gradients`.
pub fn momentum_update(
    isa: Isa,
    momentum: f64,
    nesterov: bool,
    gradients: &mut [f32],
    buffer: &mut [f32],
    update: &mut [f32],
) {
    let share = |momentum: f64| (momentum as f32, (1.0 - momentum) as f32);
    let factors = (
        share(momentum),
        share(if nesterov { momentum } else { 1.0 }),
    );
    let chunks = gradients
        .par_chunks_mut(CHUNK)
        .zip(buffer.par_chunks_mut(CHUNK))
        .zip(update.par_chunks_mut(CHUNK));
    chunks.for_each(|((g, b), u)| update_chunk(isa, factors, g, b, u));
}

elementwise! {
    fn update_chunk(factors: ((f32, f32), (f32, f32)), g: &mut [f32], b: &mut [f32], u: &mut [f32]) = update_body;
}

#[inline(always)]
fn update_body(
    ((keep, add), (ahead, now)): ((f32, f32), (f32, f32)),
    g: &mut [f32],
    b: &mut [f32],
    u: &mut [f32],
) {
    for ((g, b), u) in g.iter_mut().zip(b).zip(u) {
        *b = keep * *b + add * *g;
        *u = ahead * *b + now * *g;
        *g = 0.0;
    }
}

/// `p = keep·p - rate·update`.
pub fn descend(isa: Isa, keep: f32, rate: f32, parameters: &mut [f32], update: &[f32]) {
    let chunks = parameters
        .par_chunks_mut(CHUNK)
        .zip(update.par_chunks(CHUNK));
    chunks.for_each(|(p, u)| descend_chunk(isa, [keep, rate], p, u));
}

elementwise! {
    fn descend_chunk(factors: [f32; 2], p: &mut [f32], u: &[f32]) = descend_body;
}

#[inline(always)]
fn descend_body([keep, rate]: [f32; 2], p: &mut [f32], u: &[f32]) {
    for (p, u) in p.iter_mut().zip(u) {
        *p = keep * *p - rate * u;
    }
}

/// `v = factor·v`.
pub fn scale(isa: Isa, factor: f32, vector: &mut [f32]) {
    let chunks = vector.par_chunks_mut(CHUNK);
    chunks.for_each(|vector| scale_chunk(isa, factor, vector));
}

elementwise! {
    fn scale_chunk(factor: f32, v: &mut [f32]) = scale_body;
}

#[inline(always)]
fn scale_body(factor: f32, v: &mut [f32]) {
    v.iter_mut().for_each(|v| *v *= factor);
}

/// `Σ v²` in f64 over fixed chunks.
pub fn sum_of_squares(vector: &[f32]) -> f64 {
    let squares = |chunk: &[f32]| chunk.iter().map(|v| f64::from(*v) * f64::from(*v)).sum();
    let parts: Vec<f64> = vector.par_chunks(CHUNK).map(squares).collect();
    parts.iter().sum()
}

/// `‖p‖` and `‖g + wd·p‖`, the norms of LARS (You et al. 2017), in f64 over fixed chunks.
pub fn norms(parameters: &[f32], gradients: &[f32], weight_decay: f64) -> (f64, f64) {
    let chunks = parameters
        .par_chunks(CHUNK)
        .zip(gradients.par_chunks(CHUNK));
    let parts: Vec<(f64, f64)> = chunks
        .map(|(p, g)| {
            p.iter()
                .zip(g)
                .fold((0.0, 0.0), |(weights, updates), (p, g)| {
                    let (p, update) = (f64::from(*p), f64::from(*g) + weight_decay * f64::from(*p));
                    (weights + p * p, updates + update * update)
                })
        })
        .collect();
    let (weights, updates) = parts
        .iter()
        .fold((0.0, 0.0), |sum, part| (sum.0 + part.0, sum.1 + part.1));
    (weights.sqrt(), updates.sqrt())
}

/// `target = decay·target + (1 - decay)·online`.
pub fn ema(isa: Isa, target: &mut [f32], online: &[f32], decay: f32) {
    let chunks = target.par_chunks_mut(CHUNK).zip(online.par_chunks(CHUNK));
    chunks.for_each(|(target, online)| ema_chunk(isa, decay, target, online));
}

elementwise! {
    fn ema_chunk(decay: f32, target: &mut [f32], online: &[f32]) = ema_body;
}

#[inline(always)]
fn ema_body(decay: f32, target: &mut [f32], online: &[f32]) {
    for (target, online) in target.iter_mut().zip(online) {
        *target = decay * *target + (1.0 - decay) * online;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vectors() -> (Vec<f32>, Vec<f32>) {
        let p = (0..100).map(|i| (i as f32 * 0.37).sin()).collect();
        let g = (0..100).map(|i| (i as f32 * 1.3).cos() * 0.1).collect();
        (p, g)
    }

    #[test]
    fn adamw_follows_the_published_update() {
        for isa in Isa::available() {
            let (mut p, g) = vectors();
            let mut expected: Vec<(f64, f64, f64)> =
                p.iter().map(|p| (f64::from(*p), 0.0, 0.0)).collect();
            let (mut m, mut v) = (vec![0.0; 100], vec![0.0; 100]);
            for step in 1..=5 {
                let mut gradients: Vec<f32> = g.iter().map(|g| g * step as f32).collect();
                for ((p, m, v), g) in expected.iter_mut().zip(&gradients) {
                    let g = f64::from(*g);
                    *p -= 1e-2 * 0.1 * *p;
                    *m = 0.9 * *m + 0.1 * g;
                    *v = 0.999 * *v + 0.001 * g * g;
                    *p -= 1e-2 * (*m / (1.0 - 0.9_f64.powi(step)))
                        / ((*v / (1.0 - 0.999_f64.powi(step))).sqrt() + 1e-8);
                }
                let adam = AdamW {
                    lr: 1e-2,
                    beta1: 0.9,
                    beta2: 0.999,
                    epsilon: 1e-8,
                    weight_decay: 0.1,
                    step: step as u64,
                };
                adam.apply(isa, &mut p, &mut gradients, &mut m, &mut v);
                assert!(gradients.iter().all(|g| *g == 0.0));
            }
            for (p, (expected, _, _)) in p.iter().zip(&expected) {
                assert!((f64::from(*p) - expected).abs() < 1e-6, "{p} {expected}");
            }
        }
    }

    #[test]
    fn momentum_follows_the_published_update() {
        for isa in Isa::available() {
            let (mut p, g) = vectors();
            let mut expected: Vec<(f64, f64)> = p.iter().map(|p| (f64::from(*p), 0.0)).collect();
            let mut b = vec![0.0; 100];
            for _ in 0..5 {
                for ((p, b), g) in expected.iter_mut().zip(&g) {
                    *b = 0.9 * *b + (f64::from(*g) + 0.01 * *p) * 0.5;
                    *p -= 0.1 * *b;
                }
                let mut gradients = g.clone();
                Momentum {
                    lr: 0.1,
                    momentum: 0.9,
                    weight_decay: 0.01,
                    trust: 0.5,
                }
                .apply(isa, &mut p, &mut gradients, &mut b);
            }
            for (p, (expected, _)) in p.iter().zip(&expected) {
                assert!((f64::from(*p) - expected).abs() < 1e-6, "{p} {expected}");
            }
        }
    }

    #[test]
    fn momentum_looks_ahead_as_torch_s_muon_does() {
        for (isa, nesterov) in Isa::available().into_iter().zip([true, false, true, false]) {
            let (_, g) = vectors();
            let (mut buffer, mut update) = (vec![0.0; 100], vec![0.0; 100]);
            for step in 1..=3 {
                let mut gradients: Vec<f32> = g.iter().map(|g| g * step as f32).collect();
                momentum_update(isa, 0.9, nesterov, &mut gradients, &mut buffer, &mut update);
                assert!(gradients.iter().all(|g| *g == 0.0));
            }
            // Gradients g, 2g, 3g: the buffer holds 0.1 (0.81 + 0.9 · 2 + 3) g.
            for (update, g) in update.iter().zip(&g) {
                let buffer = 0.561 * f64::from(*g);
                let ahead = 0.9 * buffer + 0.1 * 3.0 * f64::from(*g);
                let expected = if nesterov { ahead } else { buffer };
                assert!((f64::from(*update) - expected).abs() < 1e-6);
            }
        }
    }

    #[test]
    fn descent_decays_and_steps() {
        for isa in Isa::available() {
            let mut p = vec![2.0; 40_000];
            descend(isa, 0.5, 0.25, &mut p, &vec![-4.0; 40_000]);
            scale(isa, 3.0, &mut p);
            assert!(p.iter().all(|p| (p - 6.0).abs() < 1e-6));
            assert!((sum_of_squares(&p) - 36.0 * 40_000.0).abs() < 1e-6);
        }
    }

    #[test]
    fn a_moving_average_of_a_constant_closes_in_geometrically() {
        let mut target = vec![1.0_f32; 40_000];
        for _ in 0..10 {
            ema(Isa::Portable, &mut target, &vec![0.0; 40_000], 0.9);
        }
        assert!(target.iter().all(|t| (t - 0.9_f32.powi(10)).abs() < 1e-6));
    }

    #[test]
    fn norms_are_those_of_the_vectors() {
        let (weights, updates) = norms(&vec![2.0; 40_000], &vec![1.0; 40_000], 0.5);
        assert!((weights - 400.0).abs() < 1e-9 && (updates - 400.0).abs() < 1e-9);
    }
}
