//! Elementwise loops compiled once for each instruction set.
//!
//! Plain Rust compiles to SSE2. `elementwise!` wraps a function that is `#[inline(always)]` into one copy a set and picks among them at
//! run time; all copies do the same operations in the same order, so they give the same bits.

/// Declares `pub(crate) fn name(isa, ...)`, which runs `body(...)` compiled for `isa`, or, where that is said to be `rounding`,
/// `body(rounding, ...)` with what the set rounds to bf16 by: a constant in each copy.
macro_rules! elementwise {
    ($(#[$doc:meta])* fn $name:ident $(<$($generic:ident: $bound:ident),+>)? ($($arg:ident: $ty:ty),* $(,)?) = rounding $body:path;) => {
        $(#[$doc])*
        pub(crate) fn $name $(<$($generic: $bound),+>)? (isa: $crate::Isa, $($arg: $ty),*) {
            use $crate::element::Rounding::{Instruction, Integers};
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2,fma")]
            fn avx2 $(<$($generic: $bound),+>)? ($($arg: $ty),*) {
                $body(Integers, $($arg),*);
            }
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq")]
            fn avx512 $(<$($generic: $bound),+>)? ($($arg: $ty),*) {
                $body(Integers, $($arg),*);
            }
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512bf16")]
            fn avx512_bf16 $(<$($generic: $bound),+>)? ($($arg: $ty),*) {
                $body(Instruction, $($arg),*);
            }
            match isa {
                $crate::Isa::Portable => $body(Integers, $($arg),*),
                // SAFETY: an `Isa` is only made for what the processor has.
                #[cfg(target_arch = "x86_64")]
                $crate::Isa::Avx2 => unsafe { avx2 $(::<$($generic),+>)? ($($arg),*) },
                // SAFETY: as above.
                #[cfg(target_arch = "x86_64")]
                $crate::Isa::Avx512 => unsafe { avx512 $(::<$($generic),+>)? ($($arg),*) },
                // SAFETY: as above.
                #[cfg(target_arch = "x86_64")]
                $crate::Isa::Avx512Bf16 => unsafe { avx512_bf16 $(::<$($generic),+>)? ($($arg),*) },
                #[cfg(not(target_arch = "x86_64"))]
                _ => $body(Integers, $($arg),*),
            }
        }
    };
    ($(#[$doc:meta])* fn $name:ident $(<$($generic:ident: $bound:ident),+>)? ($($arg:ident: $ty:ty),* $(,)?) = $body:path;) => {
        $(#[$doc])*
        pub(crate) fn $name $(<$($generic: $bound),+>)? (isa: $crate::Isa, $($arg: $ty),*) {
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2,fma")]
            fn avx2 $(<$($generic: $bound),+>)? ($($arg: $ty),*) {
                $body($($arg),*);
            }
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq")]
            fn avx512 $(<$($generic: $bound),+>)? ($($arg: $ty),*) {
                $body($($arg),*);
            }
            match isa {
                $crate::Isa::Portable => $body($($arg),*),
                // SAFETY: an `Isa` is only made for what the processor has.
                #[cfg(target_arch = "x86_64")]
                $crate::Isa::Avx2 => unsafe { avx2 $(::<$($generic),+>)? ($($arg),*) },
                // SAFETY: as above.
                #[cfg(target_arch = "x86_64")]
                $crate::Isa::Avx512 | $crate::Isa::Avx512Bf16 => unsafe { avx512 $(::<$($generic),+>)? ($($arg),*) },
                #[cfg(not(target_arch = "x86_64"))]
                _ => $body($($arg),*),
            }
        }
    };
}
pub(crate) use elementwise;
