//! What labels and numbers of images allow to be measured. A measurement that they do not allow is left out with its reason, and never
//! ends a run.

use covary_data::hold_out;

/// Why kNN cannot be scored, if it cannot.
///
/// # Shapes
/// - bank: labels of the images that vote
pub(crate) fn without_neighbours(bank: &[u32], scored: usize, k: usize) -> Option<String> {
    without_classes(bank, scored).or_else(|| {
        let few = bank.len() < k;
        few.then(|| format!("{} images cannot give {k} neighbors", bank.len()))
    })
}

/// Why a linear classifier cannot be fitted and scored, if it cannot.
///
/// # Shapes
/// - labels: those of the training images
pub(crate) fn without_linear(labels: &[u32], scored: usize) -> Option<String> {
    without_classes(labels, scored).or_else(|| {
        let none = hold_out(labels.len()).score.is_empty();
        none.then(|| {
            format!(
                "{} training images have no tenth to choose its penalty on",
                labels.len()
            )
        })
    })
}

fn without_classes(labels: &[u32], scored: usize) -> Option<String> {
    let first = labels.first()?;
    if labels.iter().all(|label| label == first) {
        return Some(format!("all {} images have one label", labels.len()));
    }
    match scored {
        0 => Some("there is no image to score".into()),
        1 => Some("one image is too few to score".into()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_obstacle_is_named() {
        let two: Vec<u32> = (0..30).map(|row| row % 2).collect();
        assert_eq!(without_neighbours(&two, 5, 20), None);
        for (labels, scored, k, words) in [
            (&[1; 30][..], 5, 20, "all 30 images have one label"),
            (&two[..18], 5, 20, "18 images cannot give 20 neighbors"),
            (&two, 1, 20, "one image is too few"),
            (&two, 0, 20, "no image to score"),
        ] {
            let why = without_neighbours(labels, scored, k).unwrap();
            assert!(why.contains(words), "{why}");
        }
    }
}
