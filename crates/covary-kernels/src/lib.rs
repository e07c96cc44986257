//! CPU kernels for training convolutional networks: slices in, slices out.
//!
//! Activations are NHWC with channels padded to whole lanes; parameters have PyTorch's shapes (convolution `[c_out, c_in, k, k]`,
//! linear `[out, in]`). Work is split into chunks that do not depend on the number of threads of the current rayon pool, and partial
//! sums are added in chunk order, so results are the same bits for any number of threads.
//!
//! | what | file | instruction sets |
//! |---|---|---|
//! | convolutions | `conv` | portable, AVX2, AVX-512, AVX-512 BF16 |
//! | loops over pixels | `passes`, `frame`, `relu_gradient` | one body, compiled for each set |
//! | BatchNorm | `norm` | |
//! | residual block, block of one convolution with max-pool | `layer`, `block`, `conv_block`; in eval mode `inference` | |
//! | images in, mean over pixels out | `ends` | |
//! | linear layers | `linear` | AVX-512 BF16; in f32 the gemm crate's |
//! | BatchNorm and LayerNorm of matrices | `dense_norm`, `layer_norm` | one body, compiled for each set |
//! | orthogonalized matrices | `orthogonal` | the gemm crate's |
//! | optimizer steps, moving average | [`optimizer`] | one body, compiled for each set |
#![expect(unsafe_code, reason = "SIMD kernels")]

mod block;
mod buffer;
mod conv;
mod conv_block;
mod conv_norm;
mod dense_norm;
mod dispatch;
mod element;
mod ends;
mod frame;
mod inference;
mod isa;
mod layer;
mod layer_norm;
mod linear;
mod matrix;
mod memory;
mod norm;
pub mod optimizer;
mod orthogonal;
mod passes;
mod peak;
mod precision;
mod prefetch;
mod relu_gradient;
mod speed;

pub use block::{BlockGeometry, ResidualBlock};
pub use conv::{ConvGeometry, Operand, reference};
pub use conv_block::{ConvBlock, ConvBlockOptions};
pub use dense_norm::{DenseNorm, DenseStatistics, GammaBeta, add_bias, add_column_sums};
pub use element::{Element, LANES, padded};
pub use ends::{average_pool, store_images};
pub use inference::Folded;
pub use isa::{Isa, IsaError};
pub use layer::{Feed, Layer, LayerScratch, LayerTape, Statistics};
pub use layer_norm::{LayerNorm, RowStatistics};
pub use linear::{Linear, LinearScratch};
pub use memory::prepare_heap;
pub use orthogonal::{NewtonSchulz, orthogonalize};
pub use peak::peak_gflops;
pub use precision::Precision;
pub use relu_gradient::{Below, ReluGradient};
pub use speed::{KernelRates, convolution_rates, linear_rates};
