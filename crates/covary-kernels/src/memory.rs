//! A heap that costs a step nothing but its use: freed blocks stay with the process, and all of it lies in huge pages.
//!
//! Tensors of a loss are allocated anew in each step. glibc gives large blocks back to the system when they are freed, and the next step
//! faults in every page again: thousands of faults a step, each of which clears 4 KiB. And a step passes over hundreds of megabytes, in more
//! pages of 4 KiB than a processor keeps translations of; one of 2 MiB takes the place of 512. Linux gives those to programs that ask
//! (`/sys/kernel/mm/transparent_hugepage/enabled` says `madvise`), to all (`always`) or to none (`never`).

/// Makes the heap of glibc keep what is freed, and asks Linux for huge pages behind it; does nothing elsewhere. Call it before the first
/// thread starts.
pub fn prepare_heap() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    glibc::prepare();
}

#[cfg(all(target_os = "linux", target_env = "gnu"))]
mod glibc {
    use std::alloc::{GlobalAlloc, Layout, System};
    use std::ffi::c_int;

    use rustix::mm::{Advice, madvise};

    /// Bytes at the heap's top above which it is given back; -1 for never.
    const M_TRIM_THRESHOLD: c_int = -1;
    /// Blocks that may be mapped by themselves, which are unmapped when freed.
    const M_MMAP_MAX: c_int = -4;
    /// Heaps; those besides the first are unmapped when all in them is freed.
    const M_ARENA_MAX: c_int = -8;

    /// Addresses that the heap takes at once: twice what a ResNet-18 of width 64 trains in at batch 256. Only use takes memory.
    const HEAP: usize = 4 << 30;
    const PAGE: usize = 4 << 10;

    unsafe extern "C" {
        safe fn mallopt(parameter: c_int, value: c_int) -> c_int;
    }

    pub(super) fn prepare() {
        mallopt(M_MMAP_MAX, 0);
        mallopt(M_ARENA_MAX, 1);
        mallopt(M_TRIM_THRESHOLD, -1);
        ask_for_huge_pages();
    }

    /// A page is as large as was asked for before it was first written to, so the heap grows by one block that nobody writes to, and keeps
    /// it. Where the system refuses, all is as before, in small pages.
    fn ask_for_huge_pages() {
        let Ok(layout) = Layout::from_size_align(HEAP, PAGE) else {
            return;
        };
        // SAFETY: the layout has a size.
        let block = unsafe { System.alloc(layout) };
        if block.is_null() {
            return;
        }
        // SAFETY: the advice is for pages of the block alone, and changes how they are mapped, not what is in them.
        let _ = unsafe { madvise(block.cast(), HEAP, Advice::LinuxHugepage) };
        // SAFETY: made above with the same layout.
        unsafe { System.dealloc(block, layout) };
    }
}
