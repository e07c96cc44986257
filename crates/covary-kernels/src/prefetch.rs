//! Cache lines asked for before they are needed. Asking never faults, so places beyond the end of a slice may be asked for.

/// Asks for a number that is about to be read.
#[inline(always)]
pub(crate) fn prefetch<T>(number: *const T) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a prefetch never faults.
    unsafe {
        std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T0 }>(number.cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = number;
}

/// Asks for a number that is about to be written.
#[inline(always)]
pub(crate) fn prefetch_to_write<T>(number: *const T) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a prefetch never faults.
    unsafe {
        std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_ET0 }>(number.cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = number;
}
