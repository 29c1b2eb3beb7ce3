//! What becomes of freed memory.

/// Most bytes that stay with the process at the end of a heap.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const KEPT: i32 = 256 << 20;
/// What is larger is asked of the system, and goes back to it; no limit may be higher than this.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const OWN: i32 = 32 << 20;

/// Lets the process keep what it has freed: a pass frees about what the next one asks for, and memory that was handed
/// back comes page by page, which takes a twentieth of the time of sampling. Only glibc hands so much back.
pub(super) fn keep() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        static ONCE: std::sync::Once = std::sync::Once::new();
        // SAFETY: each sets a number that the allocator looks at, under its lock.
        ONCE.call_once(|| unsafe {
            libc::mallopt(libc::M_MMAP_THRESHOLD, OWN);
            libc::mallopt(libc::M_TRIM_THRESHOLD, KEPT);
        });
    }
}
