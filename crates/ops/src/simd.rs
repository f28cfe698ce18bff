//! Instruction tiers, chosen once at run time: AVX-512, AVX2 with FMA, NEON, and what every machine has.

use pulp::{Scalar128b, Simd, WithSimd};
use std::any::TypeId;

/// A set of vector instructions that this machine has.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Tier {
    /// Vectors of four, which the compiler spells with the baseline of the target.
    Portable,
    #[cfg(target_arch = "x86_64")]
    Avx2(pulp::x86::V3),
    #[cfg(target_arch = "x86_64")]
    Avx512(pulp::x86::V4),
    #[cfg(target_arch = "aarch64")]
    Neon(pulp::aarch64::Neon),
}

impl Tier {
    /// The fastest tier of this machine.
    pub(crate) fn best() -> Self {
        #[cfg(target_arch = "x86_64")]
        {
            if let Some(simd) = pulp::x86::V4::try_new() {
                return Self::Avx512(simd);
            }
            if let Some(simd) = pulp::x86::V3::try_new() {
                return Self::Avx2(simd);
            }
        }
        #[cfg(target_arch = "aarch64")]
        if let Some(simd) = pulp::aarch64::Neon::try_new() {
            return Self::Neon(simd);
        }
        Self::Portable
    }

    /// Every tier of this machine.
    #[cfg(test)]
    pub(crate) fn all() -> Vec<Self> {
        let mut tiers = vec![Self::Portable];
        #[cfg(target_arch = "x86_64")]
        tiers.extend(pulp::x86::V3::try_new().map(Self::Avx2));
        match Self::best() {
            #[cfg(target_arch = "x86_64")]
            Self::Portable | Self::Avx2(_) => {}
            #[cfg(not(target_arch = "x86_64"))]
            Self::Portable => {}
            best => tiers.push(best),
        }
        tiers
    }

    /// Runs `kernel`, compiled for this tier.
    pub(crate) fn run<K: WithSimd>(self, kernel: K) -> K::Output {
        match self {
            Self::Portable => kernel.with_simd(Scalar128b),
            #[cfg(target_arch = "x86_64")]
            Self::Avx2(simd) => Simd::vectorize(simd, kernel),
            #[cfg(target_arch = "x86_64")]
            Self::Avx512(simd) => Simd::vectorize(simd, kernel),
            #[cfg(target_arch = "aarch64")]
            Self::Neon(simd) => Simd::vectorize(simd, kernel),
        }
    }

    /// Vector registers.
    pub(crate) fn registers(self) -> usize {
        match self {
            Self::Portable => 16,
            #[cfg(target_arch = "x86_64")]
            Self::Avx2(_) => 16,
            #[cfg(target_arch = "x86_64")]
            Self::Avx512(_) => 32,
            #[cfg(target_arch = "aarch64")]
            Self::Neon(_) => 32,
        }
    }
}

/// `a · b + c`, rounded once where the tier has an instruction for it: without one, a fused product is a slow function.
#[inline(always)]
pub(crate) fn mul_add<S: Simd>(simd: S, a: S::f32s, b: S::f32s, c: S::f32s) -> S::f32s {
    if TypeId::of::<S>() == TypeId::of::<Scalar128b>() {
        simd.add_f32s(simd.mul_f32s(a, b), c)
    } else {
        simd.mul_add_f32s(a, b, c)
    }
}
