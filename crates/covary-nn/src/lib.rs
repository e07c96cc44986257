//! Networks with flat parameters: encoders (images to representations) and MLP heads (projector, predictor).
//!
//! A [`Network`] owns three flat f32 vectors, parameters, gradients and running statistics, with a [`Layout`] that gives each part its
//! torchvision or PyTorch name and shape. `forward` keeps what `backward` needs; optimizers, averages and checkpoints see flat vectors
//! alone. Several views go through one call, each normalised by its own statistics, as if one had gone after the other.

mod atomic;
mod encoder;
mod engine;
mod error;
mod graph;
mod initialise;
mod layout;
mod mlp;
mod network;
mod seal;
mod store;
mod walk;

pub use atomic::{sweep, write_atomically};
pub use encoder::{ENCODERS, Encoder, EncoderConfig, Initialisation, Stem};
pub use engine::EngineConfig;
pub use error::NnError;
pub use layout::{Layout, LayoutEntry};
pub use mlp::{MlpConfig, Norm};
pub use network::Network;
pub use seal::{
    BrokenSeal, Seal, check_safetensors, read_sealed_json, sealed_json, sealed_safetensors,
};
pub use store::Loaded;
