//! The `covary` command.
fn main() {}
