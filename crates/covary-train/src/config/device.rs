//! What the networks run on: the CPU kernels, or Burn's own operations on one of its devices.

use burn::tensor::Device;
use covary_kernels::{Isa, Precision};
use covary_nn::EngineConfig;
use serde::{Deserialize, Serialize};

use super::PrecisionChoice;

/// What the networks run on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DeviceChoice {
    /// The kernels of this project.
    Cpu,
    /// Burn's operations on the CPU, in f32.
    Flex,
    /// Burn's operations on a GPU through Vulkan, Metal or DX12, in f32. Feature `wgpu`.
    Wgpu,
    /// Burn's operations on an NVIDIA GPU, in f32. Feature `cuda`.
    Cuda,
}

impl DeviceChoice {
    /// Its name in configurations.
    pub fn name(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Flex => "flex",
            Self::Wgpu => "wgpu",
            Self::Cuda => "cuda",
        }
    }

    /// Precision that a choice comes to on this device.
    pub fn precision(self, choice: PrecisionChoice, isa: Isa) -> Precision {
        if self == Self::Cpu {
            choice.resolve(isa)
        } else {
            Precision::F32
        }
    }

    /// The engine; none where this build lacks the device.
    pub fn engine(self, isa: Isa, precision: Precision) -> Option<EngineConfig> {
        match self {
            Self::Cpu => Some(EngineConfig::Kernels { isa, precision }),
            Self::Flex => Some(EngineConfig::Burn(Device::flex())),
            #[cfg(feature = "wgpu")]
            Self::Wgpu => Some(EngineConfig::Burn(Device::wgpu(
                burn::tensor::DeviceKind::DefaultDevice,
            ))),
            #[cfg(feature = "cuda")]
            Self::Cuda => Some(EngineConfig::Burn(Device::cuda(0))),
            #[cfg(not(feature = "wgpu"))]
            Self::Wgpu => None,
            #[cfg(not(feature = "cuda"))]
            Self::Cuda => None,
        }
    }

    /// Why a configuration cannot run on it, if it cannot.
    pub(super) fn refusal(self, precision: PrecisionChoice) -> Option<(&'static str, String)> {
        if self != Self::Cpu && precision == PrecisionChoice::Bf16 {
            let reason = format!("{} computes in f32: leave it \"auto\"", self.name());
            return Some(("precision", reason));
        }
        let is_built = match self {
            Self::Cpu | Self::Flex => true,
            Self::Wgpu => cfg!(feature = "wgpu"),
            Self::Cuda => cfg!(feature = "cuda"),
        };
        (!is_built).then(|| {
            let name = self.name();
            let reason = format!(
                "this program was built without {name}: cargo build --release -p covary-cli --features {name}"
            );
            ("device", reason)
        })
    }
}
