//! How well numbers order runs: Spearman's correlation, area under the ROC curve, Brier score.

/// Ranks from 1 on; equal values share their mean rank.
fn ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|a, b| values[*a].total_cmp(&values[*b]));
    let mut ranks = vec![0.0; values.len()];
    let mut start = 0;
    while start < order.len() {
        let value = values[order[start]];
        let mut end = start;
        while end < order.len() && values[order[end]] <= value {
            end += 1;
        }
        let shared = (start + 1 + end) as f64 / 2.0;
        for &index in &order[start..end] {
            ranks[index] = shared;
        }
        start = end;
    }
    ranks
}

/// Spearman's rank correlation (1904): Pearson's of the ranks. None where one side is constant or there are fewer than three.
pub fn spearman(x: &[f64], y: &[f64]) -> Option<f64> {
    if x.len() < 3 {
        return None;
    }
    let (x, y) = (ranks(x), ranks(y));
    let centre = f64::midpoint(x.len() as f64, 1.0);
    let product = |a: &[f64], b: &[f64]| -> f64 {
        a.iter()
            .zip(b)
            .map(|(a, b)| (a - centre) * (b - centre))
            .sum()
    };
    let scale = (product(&x, &x) * product(&y, &y)).sqrt();
    (scale > 0.0).then(|| product(&x, &y) / scale)
}

/// Chance that a case scores above a non-case, ties counting half (Mann, Whitney 1947). None where one kind is missing.
pub fn area_under_roc(score: &[f64], is_case: &[bool]) -> Option<f64> {
    let cases = is_case.iter().filter(|case| **case).count();
    let others = is_case.len() - cases;
    if cases == 0 || others == 0 {
        return None;
    }
    let ranks = ranks(score);
    let sum: f64 = ranks
        .iter()
        .zip(is_case)
        .filter(|(_, case)| **case)
        .map(|(rank, _)| rank)
        .sum();
    let (cases, others) = (cases as f64, others as f64);
    Some((sum - cases * (cases + 1.0) / 2.0) / (cases * others))
}

/// Mean squared error of probabilities (Brier 1950): 0 is best, 0.25 is a coin's.
pub fn brier(probability: &[f64], is_case: &[bool]) -> f64 {
    let errors = probability
        .iter()
        .zip(is_case)
        .map(|(p, case)| (p - f64::from(u8::from(*case))).powi(2));
    errors.sum::<f64>() / probability.len() as f64
}
