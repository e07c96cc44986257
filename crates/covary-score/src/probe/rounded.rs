//! Rows most similar to others by the cosine: candidates by products in bf16, which processors make several times as fast, and the order
//! among the candidates in f32.
//!
//! With unit rows q and x and the mean m of the x, `q·x − q·m = (q − m)·(x − m) + m·(x − m)`, where the last term belongs to x alone and is
//! kept in f32. Only the first is rounded, so that rows that hardly differ are told apart all the same. Its error has a standard
//! deviation below `2⁻⁹ maxᵢ|qᵢ − mᵢ| ‖x − m‖`, as the rounding of each factor is independent and at most 2⁻⁹ of it. A query is in doubt
//! when six of them could bring a row among its nearest that was no candidate; it is to be compared in f32 with all rows.

use covary_kernels::{Isa, Linear, LinearScratch, Precision};
use rayon::prelude::*;

use super::similar::{Neighbor, Shortlist, normalize_into};
use crate::embeddings::Embeddings;

/// Queries whose products are held at a time.
const QUERIES: usize = 1024;
/// Numbers of the training rows that are packed at a time, and most rows of them.
const PACKED: usize = 1 << 23;
const PACKED_ROWS: usize = 8192;
/// Rows dealt to a thread at a time.
const ROWS_PER_JOB: usize = 64;
/// Standard deviations of the error that a query allows for.
const DEVIATIONS: f32 = 6.0;

/// The `most` nearest training rows of each of `rows`, nearest first; none for a query in doubt.
pub(super) fn nearest(
    train: Embeddings<'_>,
    test: Embeddings<'_>,
    rows: &[usize],
    most: usize,
) -> Vec<Option<Vec<Neighbor>>> {
    let d = train.dimension();
    let mean = mean_of_units(train);
    let queries = centred(test, rows, &mean);
    let wide = (most + most / 4 + 64).min(train.rows());
    let mut shortlists: Vec<Shortlist> = rows.iter().map(|_| Shortlist::new(wide)).collect();
    let mut largest = 0.0_f32;
    let all: Vec<usize> = (0..train.rows()).collect();
    let mut scratch = LinearScratch::default();
    let mut products = Vec::new();
    for bank in all.chunks((PACKED / d).clamp(1, PACKED_ROWS)) {
        let weights = centred(train, bank, &mean);
        let (norms, shifts) = norms_and_shifts(&weights, &mean);
        largest = norms.into_iter().fold(largest, f32::max);
        let mut layer = Linear::new(d, bank.len(), Isa::Avx512Bf16, Precision::Bf16);
        for (queries, shortlists) in queries
            .chunks(QUERIES * d)
            .zip(shortlists.chunks_mut(QUERIES))
        {
            products.resize(shortlists.len() * bank.len(), 0.0);
            layer.forward(queries, &weights, &mut products, &mut scratch);
            products
                .par_chunks_mut(bank.len())
                .zip(shortlists)
                .for_each(|(products, shortlist)| {
                    products.iter_mut().zip(&shifts).for_each(|(p, s)| *p += s);
                    shortlist.offer(bank[0], products);
                });
        }
    }
    let lengths = lengths(train);
    shortlists
        .into_par_iter()
        .zip(rows)
        .zip(queries.par_chunks(d))
        .map(|((shortlist, row), query)| {
            let candidates = shortlist.finish();
            let peak = query.iter().fold(0.0_f32, |peak, x| x.abs().max(peak));
            let error = DEVIATIONS * peak * largest / 512.0;
            let query = test.row(*row);
            let compared = compare(train, &lengths, query, &candidates);
            let is_whole = candidates.len() == train.rows();
            let worst = candidates.last().map_or(0.0, |last| last.similarity);
            // The constant between both scales of similarity.
            let shift = dot(query, &mean) / length(query);
            let last = compared[most - 1].similarity - shift;
            (is_whole || last > worst + error).then(|| compared[..most].to_vec())
        })
        .collect()
}

/// Candidates with their similarities in f32, nearest first.
fn compare(
    train: Embeddings<'_>,
    lengths: &[f32],
    query: &[f32],
    candidates: &[Neighbor],
) -> Vec<Neighbor> {
    let length = length(query);
    let similarity = |row: u32| {
        let row = row as usize;
        dot(train.row(row), query) / lengths[row] / length
    };
    let mut compared: Vec<Neighbor> = candidates
        .iter()
        .map(|candidate| Neighbor {
            similarity: similarity(candidate.row),
            ..*candidate
        })
        .collect();
    compared.sort_unstable_by(Neighbor::nearest_first);
    compared
}

fn mean_of_units(rows: Embeddings<'_>) -> Vec<f32> {
    let d = rows.dimension();
    let parts: Vec<Vec<f64>> = rows
        .values()
        .par_chunks(ROWS_PER_JOB * d)
        .map(|rows| {
            let mut sums = vec![0.0; d];
            let mut unit = vec![0.0; d];
            for row in rows.chunks_exact(d) {
                normalize_into(row, &mut unit);
                sums.iter_mut()
                    .zip(&unit)
                    .for_each(|(sum, x)| *sum += f64::from(*x));
            }
            sums
        })
        .collect();
    let mut mean = vec![0.0; d];
    for part in parts {
        mean.iter_mut().zip(part).for_each(|(mean, x)| *mean += x);
    }
    mean.iter()
        .map(|x| (x / rows.rows() as f64) as f32)
        .collect()
}

/// Unit rows less their mean, `[rows.len(), d]`.
fn centred(set: Embeddings<'_>, rows: &[usize], mean: &[f32]) -> Vec<f32> {
    let d = set.dimension();
    let mut out = vec![0.0; rows.len() * d];
    out.par_chunks_mut(d).zip(rows).for_each(|(out, row)| {
        normalize_into(set.row(*row), out);
        out.iter_mut().zip(mean).for_each(|(x, mean)| *x -= mean);
    });
    out
}

/// `‖x − m‖` and `m·(x − m)` of centred rows.
fn norms_and_shifts(centred: &[f32], mean: &[f32]) -> (Vec<f32>, Vec<f32>) {
    centred
        .par_chunks(mean.len())
        .map(|row| (dot(row, row).sqrt(), dot(row, mean)))
        .unzip()
}

fn lengths(rows: Embeddings<'_>) -> Vec<f32> {
    rows.values()
        .par_chunks(rows.dimension())
        .map(length)
        .collect()
}

fn length(row: &[f32]) -> f32 {
    let squares: f64 = row.iter().map(|x| f64::from(*x).powi(2)).sum();
    squares.sqrt().max(1e-12) as f32
}

/// Sixteen sums side by side, so that compilers make vector code of it.
fn dot(left: &[f32], right: &[f32]) -> f32 {
    let (left, left_rest) = left.as_chunks::<16>();
    let (right, right_rest) = right.as_chunks::<16>();
    let mut sums = [0.0_f32; 16];
    for (left, right) in left.iter().zip(right) {
        for ((sum, x), y) in sums.iter_mut().zip(left).zip(right) {
            *sum += x * y;
        }
    }
    let rest: f32 = left_rest.iter().zip(right_rest).map(|(x, y)| x * y).sum();
    sums.iter().sum::<f32>() + rest
}

#[cfg(test)]
mod tests {
    use super::super::similar;
    use super::*;
    use rand::rngs::Xoshiro256PlusPlus;
    use rand::{RngExt, SeedableRng};

    /// Rows `offset + scaleᵢ · noise`, where the scale of column i is `decayⁱ`.
    fn rows(n: usize, offset: f32, decay: f32, seed: u64) -> Vec<f32> {
        let mut random = Xoshiro256PlusPlus::seed_from_u64(seed);
        (0..n * 48)
            .map(|i| offset + decay.powi((i % 48) as i32) * random.random_range(-1.0_f32..1.0))
            .collect::<Vec<f32>>()
    }

    #[test]
    fn neighbours_are_those_of_f32_or_in_doubt() {
        if !Isa::Avx512Bf16.is_available() {
            return;
        }
        // Well spread, far from the origin, and one direction above all others.
        for (offset, decay, sure) in [(0.0, 1.0, 90), (30.0, 1.0, 90), (0.0, 0.2, 0)] {
            let (train, test) = (rows(9000, offset, decay, 1), rows(100, offset, decay, 2));
            let train = Embeddings::try_new(&train, 48).unwrap();
            let test = Embeddings::try_new(&test, 48).unwrap();
            let queries: Vec<usize> = (0..100).collect();
            let exact = similar::nearest(train, test, &queries, 20);
            let found = nearest(train, test, &queries, 20);
            let certain = found.iter().flatten().count();
            assert!(certain >= sure, "{offset} {decay}: {certain}");
            for (found, exact) in found.iter().zip(&exact) {
                let Some(found) = found else { continue };
                for (found, exact) in found.iter().zip(exact) {
                    let difference = (found.similarity - exact.similarity).abs();
                    assert!(difference < 1e-6, "{offset} {decay}: {difference}");
                }
            }
        }
    }
}
