//! Freed memory kept by the process.
//!
//! Tensors of a loss are allocated anew in each step. glibc gives large blocks back to the system when they are freed, and the next step
//! faults in every page again: thousands of faults a step, each of which clears 4 KiB.

/// Tells glibc's allocator to keep what is freed for the next allocation; does nothing elsewhere. Call it before the first thread starts.
pub fn keep_freed_memory() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    glibc::keep();
}

#[cfg(all(target_os = "linux", target_env = "gnu"))]
mod glibc {
    use std::ffi::c_int;

    /// Bytes at the heap's top above which it is given back.
    const M_TRIM_THRESHOLD: c_int = -1;
    /// Blocks that may be mapped by themselves, which are unmapped when freed.
    const M_MMAP_MAX: c_int = -4;
    /// Heaps; those besides the first are unmapped when all in them is freed.
    const M_ARENA_MAX: c_int = -8;

    unsafe extern "C" {
        safe fn mallopt(parameter: c_int, value: c_int) -> c_int;
    }

    pub(super) fn keep() {
        mallopt(M_MMAP_MAX, 0);
        mallopt(M_ARENA_MAX, 1);
        mallopt(M_TRIM_THRESHOLD, c_int::MAX);
    }
}
