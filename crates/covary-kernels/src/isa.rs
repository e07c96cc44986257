//! Which instruction set the kernels use: chosen once at run time, from what the processor has.
//!
//! `COVARY_ISA=portable|avx2|avx512|avx512-bf16` forces one; an unknown name or one that the processor lacks is an error.

use std::sync::OnceLock;

/// An instruction set that kernels are written for, from the least to the most capable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Isa {
    /// Plain Rust, any processor.
    Portable,
    /// AVX2 with FMA: 8 f32 a register.
    Avx2,
    /// AVX-512 F, BW, VL, DQ: 16 f32 a register.
    Avx512,
    /// AVX-512 with BF16 dot products accumulated in f32.
    Avx512Bf16,
}

/// Why the instruction set asked for cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IsaError {
    /// The name is none of [`Isa::ALL`].
    #[error("COVARY_ISA={0:?} is not one of portable, avx2, avx512, avx512-bf16")]
    Unknown(String),
    /// The processor lacks it.
    #[error("COVARY_ISA={0} is not available on this processor")]
    Unavailable(&'static str),
}

impl Isa {
    /// Every instruction set, least capable first.
    pub const ALL: [Self; 4] = [Self::Portable, Self::Avx2, Self::Avx512, Self::Avx512Bf16];

    /// The name that `COVARY_ISA` takes.
    pub fn name(self) -> &'static str {
        match self {
            Self::Portable => "portable",
            Self::Avx2 => "avx2",
            Self::Avx512 => "avx512",
            Self::Avx512Bf16 => "avx512-bf16",
        }
    }

    /// Whether this processor has it.
    pub fn is_available(self) -> bool {
        #[cfg(target_arch = "x86_64")]
        {
            let avx2 =
                std::is_x86_feature_detected!("avx2") && std::is_x86_feature_detected!("fma");
            let avx512 = avx2
                && std::is_x86_feature_detected!("avx512f")
                && std::is_x86_feature_detected!("avx512bw")
                && std::is_x86_feature_detected!("avx512vl")
                && std::is_x86_feature_detected!("avx512dq");
            match self {
                Self::Portable => true,
                Self::Avx2 => avx2,
                Self::Avx512 => avx512,
                Self::Avx512Bf16 => avx512 && std::is_x86_feature_detected!("avx512bf16"),
            }
        }
        #[cfg(not(target_arch = "x86_64"))]
        {
            self == Self::Portable
        }
    }

    /// The instruction sets of this processor, least capable first.
    pub fn available() -> Vec<Self> {
        Self::ALL
            .into_iter()
            .filter(|isa| isa.is_available())
            .collect()
    }

    /// The one that `name` asks for, or the most capable one for `None`.
    ///
    /// # Errors
    /// [`IsaError`] for an unknown name or one that this processor lacks.
    pub fn choose(name: Option<&str>) -> Result<Self, IsaError> {
        let Some(name) = name else {
            return Ok(*Self::available()
                .last()
                .expect("portable is always available"));
        };
        let isa = Self::ALL
            .into_iter()
            .find(|isa| isa.name() == name)
            .ok_or_else(|| IsaError::Unknown(name.to_owned()))?;
        if isa.is_available() {
            Ok(isa)
        } else {
            Err(IsaError::Unavailable(isa.name()))
        }
    }

    /// The one that `COVARY_ISA` asks for or the best available, decided at the first call.
    ///
    /// # Errors
    /// As [`Isa::choose`].
    pub fn active() -> Result<Self, IsaError> {
        static ACTIVE: OnceLock<Result<Isa, IsaError>> = OnceLock::new();
        ACTIVE
            .get_or_init(|| Self::choose(std::env::var("COVARY_ISA").ok().as_deref()))
            .clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_and_missing_names_are_told_apart() {
        assert_eq!(
            Isa::choose(Some("sse9")),
            Err(IsaError::Unknown("sse9".to_owned()))
        );
        assert_eq!(Isa::choose(Some("portable")), Ok(Isa::Portable));
        for isa in Isa::ALL.into_iter().filter(|isa| !isa.is_available()) {
            assert_eq!(
                Isa::choose(Some(isa.name())),
                Err(IsaError::Unavailable(isa.name()))
            );
        }
    }

    #[test]
    fn without_a_name_the_most_capable_one_is_chosen() {
        assert_eq!(Isa::choose(None).ok(), Isa::available().last().copied());
    }
}
