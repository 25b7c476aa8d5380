//! Limits how much freed memory the C library keeps. The agent mostly waits, but has a thread per source during a scan.
//!
//! glibc creates a heap for each thread that allocates, up to eight per processor, and keeps freed memory in all of them:
//! three times what the agent needs. On musl the program uses mimalloc, which asks for huge pages: two megabytes for a few
//! kilobytes, for each thread. Other libraries have a single heap.

/// Limits the number of heaps. Call this before the first thread is started.
/// Larger blocks than these are returned to the system as soon as they are free.
pub fn keep_few_heaps(block_bytes: usize) {
    library::keep_few_heaps(block_bytes);
}

/// Returns free memory to the system.
pub fn give_back() {
    library::give_back();
}

/// Returns free memory, and on Windows also what is not used for now. Call this after a scan: the next one is minutes away.
pub fn rest() {
    library::give_back();
    library::rest();
}

#[cfg(all(target_os = "linux", target_env = "gnu"))]
mod library {
    use std::ffi::c_int;

    /// `M_ARENA_MAX` of malloc.h.
    const ARENA_MAX: c_int = -8;
    /// `M_MMAP_THRESHOLD` and `M_TRIM_THRESHOLD`. Set, they stay; otherwise each large block that is freed raises them.
    const MMAP_THRESHOLD: c_int = -3;
    const TRIM_THRESHOLD: c_int = -1;

    #[expect(unsafe_code, reason = "the standard library has no such functions")]
    unsafe extern "C" {
        fn mallopt(parameter: c_int, value: c_int) -> c_int;
        fn malloc_trim(pad: usize) -> c_int;
    }

    #[expect(unsafe_code, reason = "a function of the C library")]
    pub(super) fn keep_few_heaps(block_bytes: usize) {
        let block_bytes = c_int::try_from(block_bytes).unwrap_or(c_int::MAX);
        for (parameter, value) in [(ARENA_MAX, 2), (MMAP_THRESHOLD, block_bytes), (TRIM_THRESHOLD, block_bytes)] {
            // SAFETY: mallopt(3) takes two numbers, touches only its own settings, and refuses what it does not know.
            unsafe { mallopt(parameter, value) };
        }
    }

    #[expect(unsafe_code, reason = "a function of the C library")]
    pub(super) fn give_back() {
        // SAFETY: malloc_trim(3) may be called at any time from any thread; it gives back only what is free.
        unsafe { malloc_trim(0) };
    }

    pub(super) const fn rest() {}
}

#[cfg(all(target_os = "linux", target_env = "musl"))]
mod library {
    pub(super) fn keep_few_heaps(_block_bytes: usize) {
        // Fails only on kernels without huge pages, where it is not needed.
        let _ = rustix::thread::disable_transparent_huge_pages(true);
    }

    pub(super) const fn give_back() {}

    pub(super) const fn rest() {}
}

#[cfg(target_os = "windows")]
mod library {
    use windows_sys::Win32::System::Threading::{GetCurrentProcess, SetProcessWorkingSetSize};

    pub(super) const fn keep_few_heaps(_block_bytes: usize) {}

    pub(super) const fn give_back() {}

    #[expect(unsafe_code, reason = "the standard library has no such function")]
    pub(super) fn rest() {
        // SAFETY: the handle is that of this process and needs no closing. With these two sizes Windows takes the pages of a program
        // out of memory, and brings back what it uses.
        // <https://learn.microsoft.com/windows/win32/api/memoryapi/nf-memoryapi-setprocessworkingsetsize>
        unsafe { SetProcessWorkingSetSize(GetCurrentProcess(), usize::MAX, usize::MAX) };
    }
}

#[cfg(not(any(target_os = "windows", all(target_os = "linux", any(target_env = "gnu", target_env = "musl")))))]
mod library {
    pub(super) const fn keep_few_heaps(_block_bytes: usize) {}

    pub(super) const fn give_back() {}

    pub(super) const fn rest() {}
}
