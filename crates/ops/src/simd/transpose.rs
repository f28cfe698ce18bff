//! Squares of as many vectors as a vector has lanes, turned around in registers.

use super::LONGEST;
use pulp::Simd;
use pulp::bytemuck::{cast_slice, cast_slice_mut};
#[cfg(target_arch = "x86_64")]
use {
    pulp::x86::V3,
    pulp::x86::V4,
    pulp::{cast, f32x8, f32x16},
    std::any::Any,
};

/// Lane j of vector i becomes lane i of vector j, in the first `S::F32_LANES` of `square`.
#[inline(always)]
pub(crate) fn transpose<S: Simd>(simd: S, square: &mut [S::f32s; LONGEST]) {
    #[cfg(target_arch = "x86_64")]
    {
        if let Some(simd) = (&simd as &dyn Any).downcast_ref::<V4>()
            && let Some(square) = cast_slice_mut::<_, f32x16>(square).first_chunk_mut()
        {
            return by_sixteen(*simd, square);
        }
        if let Some(simd) = (&simd as &dyn Any).downcast_ref::<V3>()
            && let Some(square) = cast_slice_mut::<_, f32x8>(square).first_chunk_mut()
        {
            return by_eight(*simd, square);
        }
    }
    let _ = simd;
    let from = *square;
    let (from, to) = (cast_slice::<_, f32>(&from), cast_slice_mut::<_, f32>(square));
    for i in 0..S::F32_LANES {
        for j in 0..S::F32_LANES {
            to[i * S::F32_LANES + j] = from[j * S::F32_LANES + i];
        }
    }
}

/// Pairs of rows, then quads, are interleaved within the quarters of a vector; then the quarters change places.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn by_sixteen(simd: V4, square: &mut [f32x16; 16]) {
    let avx = simd.avx512f;
    let zero = avx._mm512_setzero_ps();
    // Quarter b of `quads[g][k]` is column 4b + k of the rows 4g to 4g + 3.
    let mut quads = [[zero; 4]; 4];
    for (quad, rows) in quads.iter_mut().zip(square.as_chunks::<4>().0) {
        let [a, b, c, d] = rows.map(cast);
        let (ab, ab_high) = (avx._mm512_unpacklo_ps(a, b), avx._mm512_unpackhi_ps(a, b));
        let (cd, cd_high) = (avx._mm512_unpacklo_ps(c, d), avx._mm512_unpackhi_ps(c, d));
        *quad = [
            cast(avx._mm512_unpacklo_pd(cast(ab), cast(cd))),
            cast(avx._mm512_unpackhi_pd(cast(ab), cast(cd))),
            cast(avx._mm512_unpacklo_pd(cast(ab_high), cast(cd_high))),
            cast(avx._mm512_unpackhi_pd(cast(ab_high), cast(cd_high))),
        ];
    }
    let [first, second, third, fourth] = quads;
    for k in 0..4 {
        let (a, b, c, d) = (first[k], second[k], third[k], fourth[k]);
        let (even, odd) = (avx._mm512_shuffle_f32x4::<0x88>(a, b), avx._mm512_shuffle_f32x4::<0xdd>(a, b));
        let (even_low, odd_low) = (avx._mm512_shuffle_f32x4::<0x88>(c, d), avx._mm512_shuffle_f32x4::<0xdd>(c, d));
        square[k] = cast(avx._mm512_shuffle_f32x4::<0x88>(even, even_low));
        square[4 + k] = cast(avx._mm512_shuffle_f32x4::<0x88>(odd, odd_low));
        square[8 + k] = cast(avx._mm512_shuffle_f32x4::<0xdd>(even, even_low));
        square[12 + k] = cast(avx._mm512_shuffle_f32x4::<0xdd>(odd, odd_low));
    }
}

/// The same with halves instead of quarters.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn by_eight(simd: V3, square: &mut [f32x8; 8]) {
    let avx = simd.avx;
    let zero = avx._mm256_setzero_ps();
    // Half b of `quads[g][k]` is column 4b + k of the rows 4g to 4g + 3.
    let mut quads = [[zero; 4]; 2];
    for (quad, rows) in quads.iter_mut().zip(square.as_chunks::<4>().0) {
        let [a, b, c, d] = rows.map(cast);
        let (ab, ab_high) = (avx._mm256_unpacklo_ps(a, b), avx._mm256_unpackhi_ps(a, b));
        let (cd, cd_high) = (avx._mm256_unpacklo_ps(c, d), avx._mm256_unpackhi_ps(c, d));
        *quad = [
            cast(avx._mm256_unpacklo_pd(cast(ab), cast(cd))),
            cast(avx._mm256_unpackhi_pd(cast(ab), cast(cd))),
            cast(avx._mm256_unpacklo_pd(cast(ab_high), cast(cd_high))),
            cast(avx._mm256_unpackhi_pd(cast(ab_high), cast(cd_high))),
        ];
    }
    let [first, second] = quads;
    for k in 0..4 {
        square[k] = cast(avx._mm256_permute2f128_ps::<0x20>(first[k], second[k]));
        square[4 + k] = cast(avx._mm256_permute2f128_ps::<0x31>(first[k], second[k]));
    }
}

#[cfg(test)]
#[allow(clippy::float_cmp, reason = "copies round nothing")]
mod tests {
    use super::*;
    use crate::simd::Tier;
    use pulp::WithSimd;

    struct Numbered;

    impl WithSimd for Numbered {
        type Output = ();

        #[inline(always)]
        fn with_simd<S: Simd>(self, simd: S) {
            let mut square = [simd.splat_f32s(0.); LONGEST];
            let numbers = cast_slice_mut::<_, f32>(&mut square);
            numbers.iter_mut().zip(0u16..).for_each(|(number, i)| *number = i.into());
            transpose(simd, &mut square);
            let numbers = cast_slice::<_, f32>(&square);
            for i in 0..S::F32_LANES {
                for j in 0..S::F32_LANES {
                    assert_eq!(numbers[i * S::F32_LANES + j] as usize, j * S::F32_LANES + i);
                }
            }
        }
    }

    #[test]
    fn rows_become_columns_on_every_tier() {
        Tier::all().into_iter().for_each(|tier| tier.run(Numbered));
    }
}
