//! Elementwise loops compiled once for each instruction set.
//!
//! Plain Rust compiles to SSE2. `elementwise!` wraps a function that is `#[inline(always)]` into one copy a set and picks among them at
//! run time; all copies do the same operations in the same order, so they give the same bits.

/// Declares `pub(crate) fn name(isa, ...)`, which runs `body(...)` compiled for `isa`, or, where that is said to be `rounding`,
/// `body(rounding, ...)` with what the set rounds to bf16 by: a constant in each copy.
macro_rules! elementwise {
    ($(#[$doc:meta])* fn $name:ident $(<$($generic:ident: $bound:ident),+>)? ($($arg:ident: $ty:ty),* $(,)?) = rounding $body:path;) => {
        $crate::dispatch::elementwise! {
            @copies [$(#[$doc])*] $name [$($($generic: $bound),+)?] [$($($generic),+)?] [$($arg: $ty),*] [$($arg),*]
            $body($crate::element::Rounding::Integers, $($arg),*),
            $body($crate::element::Rounding::Instruction, $($arg),*)
        }
    };
    ($(#[$doc:meta])* fn $name:ident $(<$($generic:ident: $bound:ident),+>)? ($($arg:ident: $ty:ty),* $(,)?) = $body:path;) => {
        $crate::dispatch::elementwise! {
            @copies [$(#[$doc])*] $name [$($($generic: $bound),+)?] [$($($generic),+)?] [$($arg: $ty),*] [$($arg),*]
            $body($($arg),*),
            $body($($arg),*)
        }
    };
    (
        @copies [$($doc:tt)*] $name:ident [$($bounds:tt)*] [$($generics:tt)*] [$($parameters:tt)*] [$($arg:tt)*]
        $run:expr, $run_bf16:expr
    ) => {
        $($doc)*
        pub(crate) fn $name<$($bounds)*>(isa: $crate::Isa, $($parameters)*) {
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2,fma")]
            fn avx2<$($bounds)*>($($parameters)*) {
                $run;
            }
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq")]
            fn avx512<$($bounds)*>($($parameters)*) {
                $run;
            }
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512bf16")]
            fn avx512_bf16<$($bounds)*>($($parameters)*) {
                $run_bf16;
            }
            match isa {
                $crate::Isa::Portable => $run,
                // SAFETY: an `Isa` is only made for what the processor has.
                #[cfg(target_arch = "x86_64")]
                $crate::Isa::Avx2 => unsafe { avx2::<$($generics)*>($($arg)*) },
                // SAFETY: as above.
                #[cfg(target_arch = "x86_64")]
                $crate::Isa::Avx512 => unsafe { avx512::<$($generics)*>($($arg)*) },
                // SAFETY: as above.
                #[cfg(target_arch = "x86_64")]
                $crate::Isa::Avx512Bf16 => unsafe { avx512_bf16::<$($generics)*>($($arg)*) },
                #[cfg(not(target_arch = "x86_64"))]
                _ => $run,
            }
        }
    };
}
pub(crate) use elementwise;
