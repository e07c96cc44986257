//! Holm's step-down adjustment of p (Holm 1979): the chance of any false alarm in the family stays at the level, whatever depends on what.
//!
//! With p sorted upwards, `adjusted_(i) = max_{j ≤ i} min(1, (m - j) p_(j))`, j counted from 0.

/// Adjusted p, in the order given.
pub fn holm(p: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p.len()).collect();
    order.sort_by(|a, b| p[*a].total_cmp(&p[*b]));
    let mut adjusted = vec![0.0; p.len()];
    let mut least: f64 = 0.0;
    for (rank, &index) in order.iter().enumerate() {
        least = least.max(((p.len() - rank) as f64 * p[index]).min(1.0));
        adjusted[index] = least;
    }
    adjusted
}
