//! Memory that is given back and taken again.

#![cfg(all(target_os = "linux", target_env = "gnu"))]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

/// Pages that this process has touched for the first time.
fn faults() -> u64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let (_, fields) = stat.rsplit_once(')').unwrap();
    fields.split_whitespace().nth(7).unwrap().parse().unwrap()
}

/// Pages that are touched for the first time by filling 16 MiB again and again.
fn faults_of_blocks() -> u64 {
    let fill = || drop(std::hint::black_box(vec![1u8; 16 << 20]));
    fill();
    let before = faults();
    (0..4).for_each(|_| fill());
    faults() - before
}

#[test]
fn blocks_are_taken_from_the_system_once() {
    let pages = (16 << 20) / 4096;
    assert!(faults_of_blocks() >= 4 * pages / 512, "the allocator keeps large blocks by itself");
    assert!(taper_ops::memory::keep_pages());
    assert!(faults_of_blocks() < 16);
}
