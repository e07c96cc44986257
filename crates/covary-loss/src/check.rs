//! Whether a loss by itself holds collapse off: free embeddings are optimised under it, without a network.
//!
//! Views of N rows, D columns, start spread (independent normal numbers), on a plane (rank 2) and constant, the latter two but for
//! noise of 1e-3: gradients of losses that see covariances alone lie in the span of the columns, so that none leaves an exact plane.
//! Every view but the first is the first plus a tenth of independent noise. Predictors are the identity, targets the other view's embedding.
//! The optimizer is Adam with one second moment for a whole view instead of one a number: it treats all directions alike, so that it
//! neither makes rank nor destroys it. Nothing bounds the embeddings' scale.

use serde::Serialize;

use covary_score::{EmbeddingError, Embeddings, Outcome, Sample, Verdict};

use crate::branches::{Branch, Branches, ViewCount};
use crate::error::LossError;
use crate::method::MethodConfig;
use crate::objective::Objective;
use crate::outputs::BranchOutputs;
use crate::trial::numbers;

const RATE: f64 = 0.05;
const NOISE: f32 = 1e-3;
const BETWEEN_VIEWS: f32 = 0.1;
/// The rank-2 start must reach this many times its participation ratio.
const FROM_PLANE: f64 = 3.0;
/// From a scale of 10 to one of 100 an unbounded loss falls at least by this share of its fall from 1 to 10.
const STILL_FALLING: f64 = 0.25;

/// A fall below this share of the loss (or of 1, where larger) is rounding.
const NO_FALL: f64 = 1e-3;

/// Sizes of the trial.
#[derive(Debug, Clone, Copy)]
pub struct CheckOptions {
    /// Rows. Default 64.
    pub n: usize,
    /// Width. Default 32.
    pub d: usize,
    /// Steps from each start. Default 300.
    pub steps: u64,
    /// Seed of the starts. Default 0.
    pub seed: u64,
    /// Views. Default two.
    pub views: ViewCount,
}

impl Default for CheckOptions {
    fn default() -> Self {
        Self {
            n: 64,
            d: 32,
            steps: 300,
            seed: 0,
            views: ViewCount::PAIR,
        }
    }
}

/// What a loss does to free embeddings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum CheckVerdict {
    /// A start stays at, or reaches, the constant.
    Collapses,
    /// The start on a plane stays near it.
    Dimensional,
    /// The loss falls without end as the embeddings grow.
    Unbounded,
    /// None of these.
    Resists,
}

/// Where embeddings started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Start {
    /// Independent normal numbers.
    Spread,
    /// On a plane but for noise of 1e-3.
    Plane,
    /// A constant and noise of 1e-3.
    Constant,
}

/// One start and what became of it, by view a.
#[derive(Debug, Clone, Serialize)]
pub struct Course {
    /// Where it started.
    pub start: Start,
    /// Loss of the first and of the last step.
    pub loss: [f64; 2],
    /// Mean std of a dimension before and after.
    pub std: [f64; 2],
    /// Std of l2-normalised embeddings times √D before and after.
    pub relative_std: [f64; 2],
    /// Participation ratio before and after.
    pub participation_ratio: [f64; 2],
    /// Outcome after.
    pub outcome: Outcome,
}

/// The whole trial.
#[derive(Debug, Clone, Serialize)]
pub struct CheckReport {
    /// What it comes to.
    pub verdict: CheckVerdict,
    /// Why, in words.
    pub reason: String,
    /// The three starts.
    pub courses: Vec<Course>,
    /// Loss of aligned spread embeddings at scales 1, 10 and 100.
    pub scaled: [f64; 3],
}

/// Why a loss could not be tried.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// The loss cannot be built (step 0), or it is not a number at a step.
    #[error("step {step}: {source}")]
    Loss {
        /// Step of the trial, counted from 1.
        step: u64,
        /// The reason.
        source: LossError,
    },
    /// The free embeddings cannot be measured.
    #[error(transparent)]
    Embeddings(#[from] EmbeddingError),
}

/// Tries a method's loss.
///
/// # Errors
/// [`CheckError::Loss`] where the loss cannot be built or is not a number, [`CheckError::Embeddings`] where the free embeddings overflow.
pub fn check(method: &MethodConfig, options: CheckOptions) -> Result<CheckReport, CheckError> {
    let courses = [Start::Spread, Start::Plane, Start::Constant]
        .into_iter()
        .map(|start| course(method, start, options))
        .collect::<Result<Vec<_>, _>>()?;
    let spread = start(Start::Spread, options)[0].clone();
    let mut scaled = [0.0; 3];
    for (loss, scale) in scaled.iter_mut().zip([1.0_f32, 10.0, 100.0]) {
        let z: Vec<f32> = spread.iter().map(|z| scale * z).collect();
        let mut objective = objective(method, options)?;
        let aligned = vec![z; options.views.all];
        *loss = step(&mut objective, &aligned, options, 0)?.0;
    }
    let (verdict, reason) = judge(&courses, scaled);
    Ok(CheckReport {
        verdict,
        reason,
        courses,
        scaled,
    })
}

fn judge(courses: &[Course], scaled: [f64; 3]) -> (CheckVerdict, String) {
    let [at_1, at_10, at_100] = scaled;
    let (first, second) = (at_1 - at_10, at_10 - at_100);
    if first > NO_FALL * at_1.abs().max(1.0) && second > STILL_FALLING * first {
        let reason = format!(
            "scaling the embeddings by 1, 10, 100 takes the loss from {at_1:.3} to {at_10:.3} to {at_100:.3}, without end"
        );
        return (CheckVerdict::Unbounded, reason);
    }
    for course in courses {
        if course.outcome == Outcome::Complete {
            let from = match course.start {
                Start::Spread => "spread embeddings end",
                Start::Plane => "embeddings on a plane end",
                Start::Constant => "embeddings near a constant stay",
            };
            let reason = format!(
                "{from} all but the same: std of l2-normalised times √D {:.4}, loss {:.4}",
                course.relative_std[1], course.loss[1]
            );
            return (CheckVerdict::Collapses, reason);
        }
    }
    let plane = courses.iter().find(|course| course.start == Start::Plane);
    if let Some(course) = plane {
        let [before, after] = course.participation_ratio;
        if after < FROM_PLANE * before {
            let reason = format!(
                "embeddings on a plane stay near it: participation ratio {before:.2} before, {after:.2} after"
            );
            return (CheckVerdict::Dimensional, reason);
        }
    }
    let reason = "spread embeddings stay spread, a plane and a constant are left".into();
    (CheckVerdict::Resists, reason)
}

fn course(method: &MethodConfig, from: Start, options: CheckOptions) -> Result<Course, CheckError> {
    let mut objective = objective(method, options)?;
    let mut z = start(from, options);
    let before = measure(&z[0], options.d)?;
    let mut optimizers: Vec<Adam> = z.iter().map(|_| Adam::default()).collect();
    let (mut first, mut last) = (None, 0.0);
    for at in 0..options.steps {
        let (loss, gradients) = step(&mut objective, &z, options, at)?;
        first.get_or_insert(loss);
        last = loss;
        let way = at as f64 / options.steps as f64;
        let rate = RATE * 0.5 * (1.0 + (std::f64::consts::PI * way).cos());
        for ((z, optimizer), gradient) in z.iter_mut().zip(&mut optimizers).zip(gradients) {
            optimizer.step(rate, &gradient, z);
        }
    }
    let after = measure(&z[0], options.d)?;
    Ok(Course {
        start: from,
        loss: [first.unwrap_or(last), last],
        std: [before.0, after.0],
        relative_std: [before.1.relative_std, after.1.relative_std],
        participation_ratio: [before.1.participation_ratio, after.1.participation_ratio],
        outcome: after.1.outcome,
    })
}

fn objective(method: &MethodConfig, options: CheckOptions) -> Result<Objective, CheckError> {
    Objective::of_views(method, options.views)
        .map_err(|source| CheckError::Loss { step: 0, source })
}

/// Loss and the gradients of all views.
fn step(
    objective: &mut Objective,
    z: &[Vec<f32>],
    options: CheckOptions,
    at: u64,
) -> Result<(f64, Vec<Vec<f32>>), CheckError> {
    let outputs = BranchOutputs {
        n: options.n,
        d: options.d,
        branches: Branches::from_fn(z.len(), |_, view| Some(z[view].as_slice())),
    };
    let progress = at as f64 / options.steps.max(1) as f64;
    let evaluation = objective
        .evaluate(&outputs, progress)
        .map_err(|source| CheckError::Loss {
            step: at + 1,
            source,
        })?;
    let gradients = z.iter().enumerate().map(|(view, z)| {
        let mut sum = vec![0.0; z.len()];
        for branch in [Branch::Embedding, Branch::Prediction] {
            let part = &evaluation.gradients.of(branch)[view];
            for (sum, g) in sum.iter_mut().zip(part.iter().flatten()) {
                *sum += g;
            }
        }
        sum
    });
    Ok((evaluation.total, gradients.collect()))
}

/// The streams of noise of two neighbouring views lie this far apart.
const NEXT_VIEW: u64 = 1 << 32;

/// All views at a start.
fn start(from: Start, options: CheckOptions) -> Vec<Vec<f32>> {
    let CheckOptions { n, d, seed, .. } = options;
    let normal = |stream: u64, len| numbers(8 * seed + stream, len);
    let a = match from {
        Start::Spread => normal(0, n * d).iter().map(|z| z / 0.7).collect(),
        Start::Plane => {
            let (rows, plane) = (normal(1, n * 2), normal(2, 2 * d));
            let noise = normal(4, n * d);
            let noise = noise.iter().enumerate();
            noise
                .map(|(i, noise)| {
                    let (row, c) = (2 * (i / d), i % d);
                    (rows[row] * plane[c] + rows[row + 1] * plane[d + c]) / 0.7 + NOISE * noise
                })
                .collect::<Vec<f32>>()
        }
        Start::Constant => {
            let (constant, noise) = (normal(3, d), normal(4, n * d));
            let noise = noise.iter().enumerate();
            noise
                .map(|(i, noise)| constant[i % d] + NOISE * noise)
                .collect()
        }
    };
    let between = match from {
        Start::Constant | Start::Plane => BETWEEN_VIEWS * NOISE,
        Start::Spread => BETWEEN_VIEWS,
    };
    let mut views = vec![a];
    for view in 1..options.views.all {
        let noise = normal(5 + (view as u64 - 1) * NEXT_VIEW, n * d);
        let other = views[0].iter().zip(noise);
        let other = other.map(|(z, noise)| z + between * noise).collect();
        views.push(other);
    }
    views
}

/// Mean std of a dimension, and the verdict.
fn measure(z: &[f32], d: usize) -> Result<(f64, Verdict), CheckError> {
    let sample = Sample::new(Embeddings::try_new(z, d)?);
    let n = (z.len() / d) as f64;
    let std = |column: usize| {
        let values = || z.iter().skip(column).step_by(d).map(|z| f64::from(*z));
        let mean = values().sum::<f64>() / n;
        (values().map(|z| (z - mean).powi(2)).sum::<f64>() / (n - 1.0)).sqrt()
    };
    let std = (0..d).map(std).sum::<f64>() / d as f64;
    Ok((std, Verdict::of(&sample)?))
}

/// Adam (Kingma, Ba 2015) whose second moment is one number.
#[derive(Default)]
struct Adam {
    first: Vec<f64>,
    second: f64,
    steps: i32,
}

impl Adam {
    fn step(&mut self, rate: f64, gradient: &[f32], z: &mut [f32]) {
        self.first.resize(gradient.len(), 0.0);
        self.steps += 1;
        let squares = gradient.iter().map(|g| f64::from(*g).powi(2)).sum::<f64>();
        self.second = 0.999 * self.second + 0.001 * squares / gradient.len() as f64;
        let (first_share, second_share) = (
            1.0 - 0.9_f64.powi(self.steps),
            1.0 - 0.999_f64.powi(self.steps),
        );
        let length = (self.second / second_share).sqrt() + 1e-12;
        for ((z, first), g) in z.iter_mut().zip(&mut self.first).zip(gradient) {
            *first = 0.9 * *first + 0.1 * f64::from(*g);
            *z -= (rate * *first / first_share / length) as f32;
        }
    }
}
