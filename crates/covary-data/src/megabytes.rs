//! Numbers of bytes as messages give them: megabytes of 10^6 bytes, rounded up.

/// A number of bytes that messages give in megabytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Megabytes(
    /// Bytes.
    pub u64,
);

impl std::fmt::Display for Megabytes {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{} MB", self.0.div_ceil(1_000_000))
    }
}
