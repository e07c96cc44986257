//! Fixed random samples of images for whatever is measured and not trained on: monitors, diagnoses, references, pictures.
//!
//! Files often come sorted by class, so that the first images are of one class. A sample is what comes first in a fixed permutation of
//! the positions. It is blind to labels, and the same for every seed of a run, so that runs are measured on the same images.

use crate::rng::{Purpose, permutation};

/// At most `count` of `indices`, in random order: all of them where there are no more. Depends on the number of indices alone, and a
/// smaller sample is the beginning of a larger one.
pub fn random_sample(indices: &[u32], count: usize) -> Vec<u32> {
    let order = permutation(indices.len(), 0, 0, Purpose::Sample);
    let drawn = order.into_iter().take(count);
    drawn.map(|at| indices[at as usize]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_of_sorted_classes_holds_each_in_proportion() {
        let sorted: Vec<u32> = (0..10_000).collect();
        let sample = random_sample(&sorted, 2000);
        let mut counts = [0_u32; 10];
        for index in &sample {
            counts[*index as usize / 1000] += 1;
        }
        // Hypergeometric: 200 expected of each, standard deviation 12.
        assert!(
            counts.iter().all(|count| (140..=260).contains(count)),
            "{counts:?}"
        );
        assert_eq!(random_sample(&sorted, 100), sample[..100]);
        let mut all = random_sample(&sorted, usize::MAX);
        all.sort_unstable();
        assert_eq!(all, sorted);
    }
}
