//! Rows most similar to others by the cosine, in f32.

use std::cmp::Ordering;

use faer::{MatMut, MatRef};

use crate::embeddings::{Embeddings, product};

/// Training rows normalised and compared at a time.
const CANDIDATES: usize = 1024;

/// A training row and how similar it is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Neighbor {
    pub(super) similarity: f32,
    pub(super) row: u32,
}

impl Neighbor {
    #[expect(
        clippy::trivially_copy_pass_by_ref,
        reason = "sorting compares references"
    )]
    pub(super) fn nearest_first(&self, other: &Self) -> Ordering {
        other
            .similarity
            .total_cmp(&self.similarity)
            .then(self.row.cmp(&other.row))
    }
}

/// The `most` nearest training rows of each of `rows`, nearest first.
pub(super) fn nearest(
    train: Embeddings<'_>,
    test: Embeddings<'_>,
    rows: &[usize],
    most: usize,
) -> Vec<Vec<Neighbor>> {
    let d = train.dimension();
    let mut queries = vec![0.0; rows.len() * d];
    for (&row, out) in rows.iter().zip(queries.chunks_exact_mut(d)) {
        normalize_into(test.row(row), out);
    }
    let mut candidates = vec![0.0; CANDIDATES.min(train.rows()) * d];
    let mut similarities = vec![0.0; rows.len() * CANDIDATES.min(train.rows())];
    let mut shortlists: Vec<Shortlist> = rows.iter().map(|_| Shortlist::new(most)).collect();
    for first in (0..train.rows()).step_by(CANDIDATES) {
        let count = CANDIDATES.min(train.rows() - first);
        for (offset, out) in candidates.chunks_exact_mut(d).take(count).enumerate() {
            normalize_into(train.row(first + offset), out);
        }
        let similarities = &mut similarities[..rows.len() * count];
        product(
            MatMut::from_column_major_slice_mut(similarities, count, rows.len()),
            MatRef::from_row_major_slice(&candidates[..count * d], count, d),
            MatRef::from_column_major_slice(&queries, d, rows.len()),
        );
        for (shortlist, similarities) in shortlists.iter_mut().zip(similarities.chunks(count)) {
            shortlist.offer(first, similarities);
        }
    }
    shortlists.into_iter().map(Shortlist::finish).collect()
}

/// `out = x / max(‖x‖, 1e-12)`, PyTorch's `normalize`.
pub(super) fn normalize_into(x: &[f32], out: &mut [f32]) {
    let squares: f64 = x.iter().map(|&x| f64::from(x).powi(2)).sum();
    let reciprocal = 1.0 / squares.sqrt().max(1e-12);
    out.iter_mut()
        .zip(x)
        .for_each(|(out, &x)| *out = (f64::from(x) * reciprocal) as f32);
}

/// The nearest rows so far, with room for as many again before the farther half is dropped.
pub(super) struct Shortlist {
    most: usize,
    kept: Vec<Neighbor>,
    /// Rows no more similar than this cannot enter: `most` rows that came before are at least as near.
    threshold: f32,
}

impl Shortlist {
    pub(super) fn new(most: usize) -> Self {
        Self {
            most,
            kept: Vec::with_capacity(2 * most),
            threshold: f32::NEG_INFINITY,
        }
    }

    /// Offers rows `first`, `first + 1`, ... with their similarities.
    pub(super) fn offer(&mut self, first: usize, similarities: &[f32]) {
        for (offset, &similarity) in similarities.iter().enumerate() {
            if similarity > self.threshold {
                self.kept.push(Neighbor {
                    similarity,
                    row: (first + offset) as u32,
                });
                if self.kept.len() == 2 * self.most {
                    self.drop_farther();
                }
            }
        }
    }

    fn drop_farther(&mut self) {
        self.kept
            .select_nth_unstable_by(self.most - 1, Neighbor::nearest_first);
        self.kept.truncate(self.most);
        self.threshold = self.kept[self.most - 1].similarity;
    }

    pub(super) fn finish(mut self) -> Vec<Neighbor> {
        self.kept.sort_unstable_by(Neighbor::nearest_first);
        self.kept.truncate(self.most);
        self.kept
    }
}
