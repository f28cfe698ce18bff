//! A setting of the system's allocator that training wants.

/// Tells the GNU C library's allocator to keep the memory that tensors give back, and says whether it does so now.
///
/// candle allocates a tensor for every operator. As it comes, that allocator takes each large block from the system and gives it
/// back when it is freed, and to touch fresh pages costs more than most operators compute: call this first thing in `main`. Then
/// the process keeps the most memory it ever needed, up to 1 GiB of free memory at the end of its heap; threads other than the
/// first keep blocks of up to 64 MiB.
///
/// Does nothing, and returns `false`, with other C libraries (musl, macOS, Windows) and changes nothing of other allocators: there
/// mimalloc as the `#[global_allocator]` serves, with `MIMALLOC_PURGE_DELAY=-1` in its environment.
///
/// Source: mallopt(3), `M_MMAP_THRESHOLD` and `M_TRIM_THRESHOLD`.
///
/// ```
/// let kept = taper_ops::memory::keep_pages();
/// assert_eq!(kept, cfg!(all(target_os = "linux", target_env = "gnu")));
/// ```
pub fn keep_pages() -> bool {
    kept()
}

#[cfg(all(target_os = "linux", target_env = "gnu"))]
fn kept() -> bool {
    const GIB: libc::c_int = 1 << 30;
    // SAFETY: mallopt takes two numbers, refuses those it does not know, and may be called at any time from any thread.
    let set = |parameter| unsafe { libc::mallopt(parameter, GIB) == 1 };
    set(libc::M_MMAP_THRESHOLD) && set(libc::M_TRIM_THRESHOLD)
}

#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
fn kept() -> bool {
    false
}
