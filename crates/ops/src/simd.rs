//! Instruction tiers, chosen once at run time: AVX-512, AVX2 with FMA, NEON, and what every machine has.

mod transpose;

pub(crate) use transpose::transpose;

use crate::parallel::fill;
use pulp::bytemuck::{cast_slice, cast_slice_mut};
use pulp::{Scalar128b, Simd, WithSimd};
use std::any::TypeId;
use std::mem::MaybeUninit;
use std::slice::from_ref;
#[cfg(target_arch = "x86_64")]
use {pulp::cast, std::any::Any};

/// Elements of the longest vector.
pub(crate) const LONGEST: usize = 16;

/// A value at the start of a cache line: the longest vectors straddle two of them from any other place.
#[derive(Debug, Clone, Copy)]
#[repr(align(64))]
pub(crate) struct Aligned<T>(pub(crate) T);

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

    /// What reports call it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Portable => "baseline",
            #[cfg(target_arch = "x86_64")]
            Self::Avx2(_) => "AVX2",
            #[cfg(target_arch = "x86_64")]
            Self::Avx512(_) => "AVX-512",
            #[cfg(target_arch = "aarch64")]
            Self::Neon(_) => "NEON",
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

/// The first whole vector of `values`.
#[inline(always)]
pub(crate) fn load<S: Simd>(values: &[f32]) -> S::f32s {
    S::as_simd_f32s(&values[..S::F32_LANES]).0[0]
}

/// The first vector of `values`, with zeros beyond their end.
#[inline(always)]
pub(crate) fn load_up_to<S: Simd>(simd: S, values: &[f32]) -> S::f32s {
    match S::as_simd_f32s(values).0.first() {
        Some(vector) => *vector,
        None => simd.partial_load_f32s(values),
    }
}

/// The first vectors of `count` lines that lie `pitch` apart, with zeros beyond the end of `lines` and in the vectors behind.
#[inline(always)]
pub(crate) fn load_square<S: Simd>(simd: S, lines: &[f32], pitch: usize, count: usize) -> Aligned<[S::f32s; LONGEST]> {
    let mut square = Aligned([simd.splat_f32s(0.); LONGEST]);
    if count == S::F32_LANES && (count - 1) * pitch + S::F32_LANES <= lines.len() {
        for i in 0..S::F32_LANES {
            square.0[i] = load::<S>(&lines[i * pitch..]);
        }
    } else {
        for i in 0..count {
            square.0[i] = load_up_to(simd, &lines[i * pitch..]);
        }
    }
    square
}

/// The first vector of `values`, with `fill` beyond its end and in other lanes.
#[inline(always)]
pub(crate) fn load_lanes<S: Simd>(simd: S, values: &[f32], lanes: S::m32s, fill: S::f32s) -> S::f32s {
    simd.select_f32s(lanes, load_up_to(simd, values), fill)
}

/// Writes as much of `vector` as `out` holds.
#[inline(always)]
pub(crate) fn store<S: Simd>(simd: S, out: &mut [f32], vector: S::f32s) {
    match S::as_mut_simd_f32s(out).0.first_mut() {
        Some(out) => *out = vector,
        None => simd.partial_store_f32s(out, vector),
    }
}

/// Asks for the cache line that holds `place`, which is read or written soon. A hint: it changes no value.
#[inline(always)]
pub(crate) fn prefetch<T>(place: &T) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a prefetch accesses no memory that the program could observe, from any address, and every x86-64 has it.
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T0>(std::ptr::from_ref(place).cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = place;
}

/// [`store`] to elements that nothing was written to.
#[inline(always)]
pub(crate) fn store_new<S: Simd>(simd: S, out: &mut [MaybeUninit<f32>], vector: S::f32s) {
    // A length that is known lets the compiler leave the zeros out.
    match out.get_mut(..S::F32_LANES) {
        Some(out) => store(simd, fill(out, 0.), vector),
        None => store(simd, fill(out, 0.), vector),
    }
}

/// Writes as much of `even` and `odd` as `out` holds, in even places and in odd places.
#[inline(always)]
pub(crate) fn store_pairs<S: Simd>(simd: S, out: &mut [MaybeUninit<f32>], [even, odd]: [S::f32s; 2]) {
    let [a, b] = interleave::<S>(even, odd);
    store_new(simd, out, a);
    let behind = S::F32_LANES.min(out.len());
    store_new(simd, &mut out[behind..], b);
}

/// The first `count` lanes, or all.
#[inline(always)]
pub(crate) fn lanes<S: Simd>(simd: S, count: usize) -> S::m32s {
    simd.mask_between_m32s(0, count.min(S::F32_LANES) as u32).mask()
}

/// Of two vectors on end the elements in even places, and those in odd places.
#[inline(always)]
pub(crate) fn deinterleave<S: Simd>(a: S::f32s, b: S::f32s) -> [S::f32s; 2] {
    let (pair, mut out) = ([a, b], [a, b]);
    let (from, to) = (cast_slice::<_, f32>(&pair), cast_slice_mut::<_, f32>(&mut out));
    for i in 0..S::F32_LANES {
        to[i] = from[2 * i];
        to[S::F32_LANES + i] = from[2 * i + 1];
    }
    out
}

/// The next vectors of elements in even and in odd places; zeros beyond the end of `values`.
#[inline(always)]
pub(crate) fn load_pairs<S: Simd>(simd: S, values: &[f32]) -> [S::f32s; 2] {
    let (a, b) = match S::as_simd_f32s(values).0 {
        [a, b, ..] => (*a, *b),
        [a] => (*a, simd.partial_load_f32s(&values[S::F32_LANES..])),
        [] => (simd.partial_load_f32s(values), simd.splat_f32s(0.)),
    };
    deinterleave::<S>(a, b)
}

/// Two vectors on end, the elements of `even` in even places and those of `odd` in odd places.
#[inline(always)]
pub(crate) fn interleave<S: Simd>(even: S::f32s, odd: S::f32s) -> [S::f32s; 2] {
    let (pair, mut out) = ([even, odd], [even, odd]);
    let (from, to) = (cast_slice::<_, f32>(&pair), cast_slice_mut::<_, f32>(&mut out));
    for i in 0..S::F32_LANES {
        to[2 * i] = from[i];
        to[2 * i + 1] = from[S::F32_LANES + i];
    }
    out
}

/// Writes as many of the numbers, all below 256, as `out` holds.
#[inline(always)]
pub(crate) fn store_bytes<S: Simd>(simd: S, out: &mut [MaybeUninit<u8>], numbers: S::u32s) {
    let numbers = from_ref(&numbers);
    #[cfg(target_arch = "x86_64")]
    if let Some(simd) = (&simd as &dyn Any).downcast_ref::<pulp::x86::V4>()
        && let ([numbers], Some(out)) = (cast_slice::<_, pulp::u32x16>(numbers), out.first_chunk_mut::<LONGEST>())
    {
        // Spelt out: the compiler takes a scalar instruction a lane for the loop below.
        let bytes: [u8; LONGEST] = cast(simd.avx512f._mm512_cvtepi32_epi8(cast(*numbers)));
        fill::<u8>(out, 0).copy_from_slice(&bytes);
        return;
    }
    let _ = simd;
    for (out, number) in out.iter_mut().zip(cast_slice::<_, u32>(numbers)) {
        out.write(*number as u8);
    }
}

/// The first bytes, a lane each; `fill` beyond the end of `bytes`.
#[inline(always)]
pub(crate) fn load_bytes<S: Simd>(simd: S, bytes: &[u8], fill: u8) -> S::u32s {
    let mut short = [fill; LONGEST];
    let bytes = match bytes.get(..S::U32_LANES) {
        Some(bytes) => bytes,
        None => {
            short[..bytes.len()].copy_from_slice(bytes);
            &short[..S::U32_LANES]
        }
    };
    let mut out = [simd.splat_u32s(0)];
    let numbers = cast_slice_mut::<_, u32>(&mut out);
    for i in 0..S::U32_LANES {
        numbers[i] = bytes[i].into();
    }
    out[0]
}
