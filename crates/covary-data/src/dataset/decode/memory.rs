//! How much memory a data set will take, asked before it is taken.
//!
//! Once some images are decoded, all of them are expected to be as large on average. The machine's free memory is what Linux calls
//! `MemAvailable`, or what the control group allows, whichever is less; elsewhere it is unknown and nothing is refused.

use crate::DataError;
use crate::dataset::Dataset;
use crate::megabytes::Megabytes;

/// Makes room for the pixels of `expected` images like those that are there.
///
/// # Errors
/// [`DataError::TooLarge`] if they do not fit into memory.
pub(super) fn reserve(dataset: &mut Dataset, expected: usize) -> Result<(), DataError> {
    let there = dataset.len();
    if there == 0 || there >= expected {
        return Ok(());
    }
    let average = dataset.pixels.len() as f64 / there as f64;
    let needed = (average * expected as f64) as u64;
    let missing = needed.saturating_sub(dataset.pixels.len() as u64);
    if (dataset.pixels.capacity() as u64) < needed {
        let refused = || DataError::TooLarge {
            name: dataset.name.clone(),
            needed: Megabytes(needed),
            available: Megabytes(available().unwrap_or(0)),
        };
        if available().is_some_and(|available| missing > available) {
            return Err(refused());
        }
        let room = usize::try_from(missing + missing / 64).map_err(|_| refused())?;
        if dataset.pixels.try_reserve_exact(room).is_err() {
            return Err(refused());
        }
    }
    Ok(())
}

/// Free memory in bytes, where the system tells.
fn available() -> Option<u64> {
    let text = fs_err::read_to_string("/proc/meminfo").ok()?;
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kilobytes: u64 = line.split_whitespace().next()?.parse().ok()?;
    let free = kilobytes * 1024;
    let group = fs_err::read_to_string("/sys/fs/cgroup/memory.max").ok();
    let allowed = group.and_then(|text| text.trim().parse().ok());
    Some(allowed.map_or(free, |allowed| free.min(allowed)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::Image;

    #[test]
    fn more_images_than_memory_holds_are_refused() {
        let pixels = [0; 3 * 1000];
        let image = Image {
            height: 10,
            width: 100,
            pixels: &pixels,
        };
        let mut dataset = Dataset::from_images("made up", [image], None, Vec::new());
        reserve(&mut dataset, 1000).unwrap();
        assert!(dataset.pixels.capacity() >= 1000 * 3000);
        let error = reserve(&mut dataset, 1 << 40).unwrap_err();
        assert!(error.to_string().contains("made up"), "{error}");
    }
}
