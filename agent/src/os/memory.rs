//! What the C library keeps of memory that is not used any more: little, in a program that waits most of its life and has a
//! thread for each source when it looks.
//!
//! glibc makes a heap for each thread that allocates, up to eight for each processor, and keeps what was freed in all of
//! them: three times the memory that the agent needs. On musl the program brings an allocator of its own, which asks for
//! huge pages: two megabytes for a few kilobytes, with each thread. Other libraries have one heap and need not be told.

/// Two heaps are enough. To be called before the first thread is started.
pub fn keep_few_heaps() {
    library::keep_few_heaps();
}

/// Gives back what is free. A scan is over, and the next is minutes away.
pub fn give_back() {
    library::give_back();
}

#[cfg(all(target_os = "linux", target_env = "gnu"))]
mod library {
    use std::ffi::c_int;

    /// `M_ARENA_MAX` of malloc.h.
    const ARENA_MAX: c_int = -8;

    #[expect(unsafe_code, reason = "the standard library does not offer these")]
    unsafe extern "C" {
        fn mallopt(parameter: c_int, value: c_int) -> c_int;
        fn malloc_trim(pad: usize) -> c_int;
    }

    #[expect(unsafe_code, reason = "a function of the C library")]
    pub(super) fn keep_few_heaps() {
        // SAFETY: mallopt(3) takes two numbers, touches only its own settings, and refuses what it does not know.
        unsafe { mallopt(ARENA_MAX, 2) };
    }

    #[expect(unsafe_code, reason = "a function of the C library")]
    pub(super) fn give_back() {
        // SAFETY: malloc_trim(3) may be called at any time from any thread; it gives back only what is free.
        unsafe { malloc_trim(0) };
    }
}

#[cfg(all(target_os = "linux", target_env = "musl"))]
mod library {
    pub(super) fn keep_few_heaps() {
        // Where the kernel has no huge pages, there is nothing to forgo.
        let _ = rustix::thread::disable_transparent_huge_pages(true);
    }

    pub(super) const fn give_back() {}
}

#[cfg(not(all(target_os = "linux", any(target_env = "gnu", target_env = "musl"))))]
mod library {
    pub(super) const fn keep_few_heaps() {}

    pub(super) const fn give_back() {}
}
