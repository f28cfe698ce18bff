//! What the kernels run on, for reports.

use crate::simd::Tier;

/// What the kernels use of this machine.
///
/// ```
/// let machine = taper_ops::Machine::current();
/// println!("{} on {} threads", machine.instructions, machine.threads);
/// assert!(machine.threads > 0);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Machine {
    /// The vector instructions, chosen at run time: `AVX-512`, `AVX2`, `NEON` or `baseline`. Results may differ in their last
    /// bits between these, and nowhere else.
    pub instructions: &'static str,
    /// The threads of the rayon pool that this thread belongs to; results do not depend on it.
    pub threads: usize,
}

impl Machine {
    /// What they use now, on this thread.
    pub fn current() -> Self {
        Self { instructions: Tier::best().name(), threads: rayon::current_num_threads() }
    }
}
