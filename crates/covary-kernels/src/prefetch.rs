//! Cache lines asked for before they are needed. Asking never faults, so places beyond the end of a slice may be asked for.

/// The line is about to be read (`_MM_HINT_T0`).
pub(crate) const TO_READ: i32 = 3;
/// The line is about to be written (`_MM_HINT_ET0`).
pub(crate) const TO_WRITE: i32 = 7;

/// Asks for the cache line of a number; does nothing on other processors than x86-64.
#[inline(always)]
pub(crate) fn prefetch<const HINT: i32>(number: *const f32) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a prefetch never faults.
    unsafe {
        std::arch::x86_64::_mm_prefetch::<HINT>(number.cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = number;
}

#[cfg(all(test, target_arch = "x86_64"))]
mod tests {
    use std::arch::x86_64::{_MM_HINT_ET0, _MM_HINT_T0};

    #[test]
    fn hints_are_those_of_the_processor() {
        assert_eq!(
            (super::TO_READ, super::TO_WRITE),
            (_MM_HINT_T0, _MM_HINT_ET0)
        );
    }
}
