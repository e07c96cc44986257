//! What each term does to the networks: the norm of its weighted gradient at the embedding z and at the representation h, the cosines
//! between the terms' gradients at z (who pulls with whom, who against whom), the share of dimensions below the variance hinge, and how
//! spread the batch is.
//!
//! Spread is taken before any normalisation of the projector's output, in training mode, on the first online view.

use super::Model;
use super::embedding_gradient::embedding_gradient;
use covary_loss::{BranchOutputs, Evaluation, Objective};

/// Rows that the participation ratio is computed on, at most.
const ROWS: usize = 256;

/// One step's telemetry.
#[derive(Debug, Clone, PartialEq)]
pub struct Telemetry {
    /// Terms with a gradient.
    pub terms: Vec<TermTelemetry>,
    /// Cosines between the terms' gradients at z, for each pair of terms; none where one is 0.
    pub cosines: Vec<(String, String, Option<f64>)>,
    /// Share of the dimensions whose standard deviation is below the hinge's γ, where there is a hinge.
    pub below_hinge: Option<f64>,
    /// Spread of z.
    pub embedding: Spread,
    /// Spread of h.
    pub representation: Spread,
}

/// One term's gradient.
#[derive(Debug, Clone, PartialEq)]
pub struct TermTelemetry {
    /// Its name in the recipe.
    pub name: String,
    /// Norm at the embeddings, those of all views together.
    pub z_norm: f64,
    /// Norm at the representations; none on an engine that cannot tell.
    pub h_norm: Option<f64>,
}

/// How spread the rows of a batch are.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Spread {
    /// Mean std of l2-normalised rows times √width: 0 = constant, 1 = isotropic.
    pub relative_std: f64,
    /// `(tr C)² / ‖C‖²`, 0 for a constant.
    pub participation_ratio: f64,
}

/// A term whose gradient at h is what the others leave of the loss's.
#[derive(Debug)]
pub(super) struct Remainder {
    /// Its place among the terms.
    term: usize,
    /// The others' gradients at h, added up.
    others: Vec<f32>,
}

impl Telemetry {
    /// Measures a step between its loss and its backward pass, but for the norm at h of the term with the largest gradient at z: the
    /// backward pass brings it along, for [`Telemetry::complete`], and the largest suffers least from what the others' are rounded by.
    pub(super) fn measure(
        objective: &Objective,
        model: &mut Model,
        evaluation: &Evaluation,
        outputs: &BranchOutputs<'_>,
        h: &[f32],
    ) -> (Self, Option<Remainder>) {
        let (n, d) = (outputs.n, outputs.d);
        let (mut terms, mut gradients) = (Vec::new(), Vec::new());
        for (term, gradient) in evaluation.terms.iter().zip(&evaluation.term_gradients) {
            if term.weight == 0.0 {
                continue;
            }
            let dz = embedding_gradient(gradient, outputs, &mut |dp| {
                model.predictor.as_mut()?.input_gradient(dp)
            });
            terms.push(TermTelemetry {
                name: term.name.clone(),
                z_norm: dot(&dz, &dz).sqrt(),
                h_norm: None,
            });
            gradients.push(dz);
        }
        let remainder = norms_at_h(model, &mut terms, &gradients, h.len());
        let bare = model.projector.before_output_norm();
        let z = bare.or_else(|| outputs.branches.embedding.iter().copied().flatten().next());
        let z = &z.unwrap_or_default()[..n * d];
        let width = model.representation_width();
        let telemetry = Self {
            cosines: cosines(&terms, &gradients),
            terms,
            below_hinge: objective.hinge().map(|gamma| share_below(outputs, gamma)),
            embedding: Spread::of(z, d),
            representation: Spread::of(&h[..n * width], width),
        };
        (telemetry, remainder)
    }

    /// Adds the norm that is left, from the gradient of the loss at h.
    pub(super) fn complete(&mut self, remainder: &Remainder, dh: &[f32]) {
        let left: Vec<f32> = dh
            .iter()
            .zip(&remainder.others)
            .map(|(all, others)| all - others)
            .collect();
        self.terms[remainder.term].h_norm = Some(dot(&left, &left).sqrt());
    }

    /// Names and values, as they are logged.
    pub fn scalars(&self) -> Vec<(String, f64)> {
        let mut scalars = Vec::new();
        for term in &self.terms {
            scalars.push((format!("gradient_z/{}", term.name), term.z_norm));
            if let Some(norm) = term.h_norm {
                scalars.push((format!("gradient_h/{}", term.name), norm));
            }
        }
        for (a, b, cosine) in &self.cosines {
            scalars.push((format!("cosine/{a}~{b}"), cosine.unwrap_or(f64::NAN)));
        }
        if let Some(share) = self.below_hinge {
            scalars.push(("below_hinge".into(), share));
        }
        for (space, spread) in [("z", self.embedding), ("h", self.representation)] {
            scalars.push((format!("batch_{space}/relative_std"), spread.relative_std));
            scalars.push((
                format!("batch_{space}/participation_ratio"),
                spread.participation_ratio,
            ));
        }
        scalars
    }
}

/// Norms at h of all terms but the one with the largest gradient at z, which is left; none where the engine cannot tell.
fn norms_at_h(
    model: &mut Model,
    terms: &mut [TermTelemetry],
    gradients: &[Vec<f32>],
    len: usize,
) -> Option<Remainder> {
    let largest = (0..terms.len()).max_by(|a, b| terms[*a].z_norm.total_cmp(&terms[*b].z_norm))?;
    let mut others = vec![0.0; len];
    for (index, (term, dz)) in terms.iter_mut().zip(gradients).enumerate() {
        if index != largest {
            let dh = model.projector.input_gradient(dz)?;
            term.h_norm = Some(dot(&dh, &dh).sqrt());
            others
                .iter_mut()
                .zip(dh)
                .for_each(|(sum, part)| *sum += part);
        }
    }
    Some(Remainder {
        term: largest,
        others,
    })
}

impl Spread {
    /// # Shapes
    /// - rows: `[n, width]`
    fn of(rows: &[f32], width: usize) -> Self {
        let rows = &rows[..rows.len().min(ROWS * width)];
        let n = rows.len() / width;
        Self {
            relative_std: relative_std(rows, width),
            participation_ratio: participation_ratio(rows, n, width),
        }
    }
}

fn relative_std(rows: &[f32], width: usize) -> f64 {
    let (mut sum, mut squares) = (vec![0.0_f64; width], vec![0.0_f64; width]);
    let n = (rows.len() / width) as f64;
    for row in rows.chunks_exact(width) {
        let inverse = 1.0 / dot(row, row).sqrt().max(1e-12);
        for (value, (sum, square)) in row.iter().zip(sum.iter_mut().zip(&mut squares)) {
            let unit = f64::from(*value) * inverse;
            *sum += unit;
            *square += unit * unit;
        }
    }
    let stds = sum
        .iter()
        .zip(&squares)
        .map(|(sum, square)| ((square - sum * sum / n) / (n - 1.0)).max(0.0).sqrt());
    stds.sum::<f64>() / width as f64 * (width as f64).sqrt()
}

/// By the Gram matrix of centred rows, whose eigenvalues are those of the covariance.
fn participation_ratio(rows: &[f32], n: usize, width: usize) -> f64 {
    let mut mean = vec![0.0_f32; width];
    for row in rows.chunks_exact(width) {
        mean.iter_mut()
            .zip(row)
            .for_each(|(mean, value)| *mean += value / n as f32);
    }
    let centred: Vec<f32> = rows
        .chunks_exact(width)
        .flat_map(|row| row.iter().zip(&mean).map(|(value, mean)| value - mean))
        .collect();
    let (trace, squares) = covary_score::gram_moments(&centred, n, width);
    if squares > 0.0 {
        trace * trace / squares
    } else {
        0.0
    }
}

fn share_below(outputs: &BranchOutputs<'_>, gamma: f64) -> f64 {
    let (mut below, mut all) = (0, 0);
    for z in outputs.branches.embedding.iter().flatten() {
        let n = outputs.n as f64;
        let (mut sum, mut squares) = (vec![0.0_f64; outputs.d], vec![0.0_f64; outputs.d]);
        for row in z.chunks_exact(outputs.d) {
            for (value, (sum, square)) in row.iter().zip(sum.iter_mut().zip(&mut squares)) {
                *sum += f64::from(*value);
                *square += f64::from(*value).powi(2);
            }
        }
        let variances = sum
            .iter()
            .zip(&squares)
            .map(|(sum, square)| (square - sum * sum / n) / (n - 1.0));
        below += variances.filter(|v| v.max(0.0).sqrt() < gamma).count();
        all += outputs.d;
    }
    f64::from(below as u32) / f64::from(all.max(1) as u32)
}

fn cosines(terms: &[TermTelemetry], gradients: &[Vec<f32>]) -> Vec<(String, String, Option<f64>)> {
    let mut found = Vec::new();
    for (i, a) in terms.iter().enumerate() {
        for (j, b) in terms.iter().enumerate().skip(i + 1) {
            let norms = a.z_norm * b.z_norm;
            let cosine = (norms > 0.0).then(|| dot(&gradients[i], &gradients[j]) / norms);
            found.push((a.name.clone(), b.name.clone(), cosine));
        }
    }
    found
}

/// In f64 within fixed chunks of f32 sums, which the compiler can keep in lanes.
fn dot(a: &[f32], b: &[f32]) -> f64 {
    const LANES: usize = 16;
    let mut total = 0.0;
    for (a, b) in a.chunks(1024).zip(b.chunks(1024)) {
        let mut lanes = [0.0_f32; LANES];
        for (a, b) in a.chunks(LANES).zip(b.chunks(LANES)) {
            for (lane, (a, b)) in lanes.iter_mut().zip(a.iter().zip(b)) {
                *lane += a * b;
            }
        }
        total += lanes.iter().map(|lane| f64::from(*lane)).sum::<f64>();
    }
    total
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(actual: f64, expected: f64) {
        assert!(
            (actual - expected).abs() < 1e-5,
            "{actual} is not {expected}"
        );
    }

    #[test]
    fn a_constant_has_no_spread() {
        let spread = Spread::of(&[0.5, -1.0, 2.0].repeat(8), 3);
        near(spread.relative_std, 0.0);
        near(spread.participation_ratio, 0.0);
    }

    #[test]
    fn corners_of_a_cube_spread_in_all_dimensions() {
        let rows: Vec<f32> = (0..64_usize)
            .flat_map(|i| [0, 1, 2, 3].map(|bit| if i >> bit & 1 == 1 { 1.0 } else { -1.0 }))
            .collect();
        let spread = Spread::of(&rows, 4);
        near(spread.relative_std, (64.0_f64 / 63.0).sqrt());
        near(spread.participation_ratio, 4.0);
    }

    #[test]
    fn points_on_a_line_have_one_dimension() {
        let rows: Vec<f32> = (0..32)
            .flat_map(|i| [1.0, 2.0, -1.0].map(|x| x * (i as f32 - 15.5)))
            .collect();
        near(Spread::of(&rows, 3).participation_ratio, 1.0);
    }
}
