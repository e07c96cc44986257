//! What the kernel says of a prepared heap. A program of its own, as a heap is prepared before the first thread starts.

#[cfg(all(target_os = "linux", target_env = "gnu"))]
fn main() {
    let enabled = std::fs::read_to_string("/sys/kernel/mm/transparent_hugepage/enabled");
    if !enabled.is_ok_and(|enabled| !enabled.contains("[never]")) {
        println!("this system has no huge pages to give");
        return;
    }
    covary_kernels::prepare_heap();
    // The size of a step's buffers: many blocks below the size of a huge page, then large ones, freed and taken again.
    for _ in 0..3 {
        let blocks: Vec<Vec<u8>> = (0..256)
            .map(|i| vec![1; if i < 128 { 300_000 } else { 1_000_000 }])
            .collect();
        let (huge, resident) = (kilobytes("AnonHugePages:"), kilobytes("Rss:"));
        println!("{huge} of {resident} kB in huge pages");
        assert!(huge > resident * 9 / 10 && resident > 160_000);
        assert_eq!(blocks.len(), 256);
    }
    assert!(
        kilobytes("Rss:") > 160_000,
        "the process keeps what it freed"
    );
}

#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
fn main() {}

/// A row of `/proc/self/smaps_rollup`.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
fn kilobytes(row: &str) -> usize {
    let rollup = std::fs::read_to_string("/proc/self/smaps_rollup").unwrap();
    let row = rollup.lines().find(|line| line.starts_with(row)).unwrap();
    row.split_whitespace().nth(1).unwrap().parse().unwrap()
}
