//! CPU kernels for training convolutional networks: slices in, slices out.
//!
//! Activations are NHWC; parameters have `PyTorch`'s shapes (convolution `[c_out, c_in, k, k]`, linear `[out, in]`). Work is split
//! into chunks that do not depend on the number of threads of the current rayon pool, and partial sums are added in chunk order,
//! so results are the same bits for any number of threads.
#![expect(unsafe_code, reason = "SIMD kernels")]

mod isa;
mod precision;

pub use isa::{Isa, IsaError};
pub use precision::Precision;
