//! Linear layers: `y = x Wᵀ` with W `[out, in]`, and their gradients `dx = dy W` and `dW += dyᵀ x`.
//!
//! All three are one product `C = A B` whose operands are packed differently. In bf16 the operands are rounded to nearest even and
//! summed in f32. Outputs are dealt to threads and sums never split, so results do not depend on the number of threads.
//!
//! | file | what |
//! |---|---|
//! | [`layer`] | a layer in the precision it was built for |
//! | [`single`] | f32 products, by the gemm crate |
//! | [`panel`] | operands rounded to bf16 and packed for the tile |
//! | [`tile`] | register tile: 6 rows times 64 columns of C |
//! | [`product`] | C from two packed operands |

#[cfg(test)]
mod battery;
mod layer;
mod panel;
mod product;
mod single;
mod tile;

pub use layer::{Linear, LinearScratch};
