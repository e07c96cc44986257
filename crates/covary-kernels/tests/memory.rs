//! What the kernel says of a prepared heap. A program of its own, as a heap is prepared before the first thread starts.
#![allow(
    clippy::unwrap_used,
    reason = "a test, though it has a main of its own"
)]

#[cfg(all(target_os = "linux", target_env = "gnu"))]
fn main() {
    covary_kernels::prepare_heap();
    // The sizes of a step's buffers: blocks below the size of a huge page, then larger ones, freed and taken again.
    for _ in 0..3 {
        let sizes = [300_000, 1_000_000, 5_000_000];
        let blocks: Vec<Vec<u8>> = (0..90).map(|i| vec![1; sizes[i / 30]]).collect();
        for block in &blocks {
            let place = block.as_ptr().addr();
            let flags = mapping(place).expect("a block lies in a mapping");
            // Advised pages are marked even where the system has no huge page left.
            let is_advised = flags.split_whitespace().any(|flag| flag == "hg");
            assert!(is_advised || !gives_huge_pages(), "{place:x}: {flags}");
        }
    }
    let kept = kilobytes("Rss:");
    assert!(kept > 180_000, "{kept} kB are left of what was freed");
}

#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
fn main() {}

#[cfg(all(target_os = "linux", target_env = "gnu"))]
fn gives_huge_pages() -> bool {
    std::fs::exists("/sys/kernel/mm/transparent_hugepage/enabled").is_ok_and(|exists| exists)
}

/// The flags of the mapping that holds an address.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
fn mapping(address: usize) -> Option<String> {
    let smaps = std::fs::read_to_string("/proc/self/smaps").unwrap();
    let mut holds = false;
    for line in smaps.lines() {
        let (first, rest) = line.split_once(' ')?;
        if let Some((from, to)) = first.split_once('-') {
            let [from, to] = [from, to].map(|at| usize::from_str_radix(at, 16).unwrap());
            holds = (from..to).contains(&address);
        } else if holds && first == "VmFlags:" {
            return Some(rest.to_owned());
        }
    }
    None
}

/// A row of `/proc/self/smaps_rollup`.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
fn kilobytes(row: &str) -> usize {
    let rollup = std::fs::read_to_string("/proc/self/smaps_rollup").unwrap();
    let row = rollup.lines().find(|line| line.starts_with(row)).unwrap();
    row.split_whitespace().nth(1).unwrap().parse().unwrap()
}
