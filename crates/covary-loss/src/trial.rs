//! Numbers that losses are tried on: roughly normal, from a seed alone.

/// Roughly normal numbers, smaller than 1 so that hinges are at work.
pub(crate) fn numbers(seed: u64, len: usize) -> Vec<f32> {
    let mut state = (seed + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mut uniform = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f32 / (1_u32 << 24) as f32
    };
    (0..len)
        .map(|_| 0.7 * ((0..12).map(|_| uniform()).sum::<f32>() - 6.0))
        .collect()
}
