//! The exponential and its kin in float32, without branches, so that loops over them become vector instructions. No product
//! is fused, so every tier gives the same bits.

use std::f32::consts::{FRAC_2_SQRT_PI, LOG2_E};

/// e to the `x`.
#[inline(always)]
pub(crate) fn exp(x: f32) -> f32 {
    /// Added to a number of at most 2²², it leaves the nearest integer in the low bits.
    const MAGIC: f32 = 12_582_912.;
    /// ln 2 in two parts, the first of so few bits that its products with integers are exact.
    const LN2: [f32; 2] = [0.693_359_4, -2.121_944_4e-4];
    // Beyond these bounds the value is 0 or infinite. NaN compares false and stays.
    let x = if x < -104. { -104. } else { x };
    let x = if x > 89. { 89. } else { x };
    let shifted = x * LOG2_E + MAGIC;
    let n = shifted - MAGIC;
    let r = (x - n * LN2[0]) - n * LN2[1];
    let series = horner(r, [1.987_569_1e-4, 1.398_2e-3, 8.333_452e-3, 4.166_579_6e-2, 0.166_666_66, 0.5]);
    let power = series * (r * r) + r + 1.;
    // 2ⁿ in two steps, for it may be no normal number itself.
    let n = shifted.to_bits().wrapping_sub(MAGIC.to_bits()).cast_signed();
    let two_to = |n: i32| f32::from_bits((n.wrapping_add(127) << 23).cast_unsigned());
    power * two_to(n >> 1) * two_to(n.wrapping_sub(n >> 1))
}

/// The hyperbolic tangent.
#[inline(always)]
pub(crate) fn tanh(x: f32) -> f32 {
    let z = x * x;
    let series = horner(z, [-5.704_988_7e-3, 2.063_909e-2, -5.373_971_5e-2, 0.133_314_42, -0.333_332_8]);
    let small = series * z * x + x;
    let large = 1. - 2. / (exp(2. * x.abs()) + 1.);
    (if x.abs() < 0.625 { small } else { large }).copysign(x)
}

/// The complementary error function, 1 − erf(x).
#[inline(always)]
pub(crate) fn erfc(x: f32) -> f32 {
    /// A fit by Chebyshev polynomials on 0 ≤ t ≤ 10.3, to 1e-8 of the value.
    const FIT: [f32; 10] = [
        -8.248_054e-6,
        2.653_746_7e-5,
        1.151_749_2e-4,
        -3.801_573_8e-4,
        -1.807_872e-3,
        2.948_926_3e-3,
        3.949_988_3e-2,
        0.145_050_56,
        0.322_627_04,
        0.491_928_16,
    ];
    /// erf(x) / x by powers of x² where x² < 0.49.
    const ERF: [f32; 6] = [-6.954_983e-4, 5.138_835e-3, -2.684_474_7e-2, 0.112_835_45, -0.376_126_3, FRAC_2_SQRT_PI];
    let t = x.abs();
    let t = if t > 10.3 { 10.3 } else { t };
    // exp(−t²) from a head of t whose square is exact, and what it lacks.
    let head = f32::from_bits(t.to_bits() & 0xffff_f000);
    let rest = horner((head - t) * (head + t), [1. / 24., 1. / 6., 0.5, 1., 1.]);
    // exp(t²) · erfc(t) = u · p(u) for u = 1 / (1 + 0.4 t).
    let u = 1. / (1. + 0.4 * t);
    let tail = u * horner((1. - 0.594_174_74 * t) * u, FIT) * rest * exp(-head * head);
    let beyond = if x < 0. { 2. - tail } else { tail };
    if t < 0.7 { 1. - x * horner(x * x, ERF) } else { beyond }
}

/// A polynomial by its coefficients, the highest power first.
#[inline(always)]
fn horner<const N: usize>(x: f32, coefficients: [f32; N]) -> f32 {
    let mut sum = 0.;
    for coefficient in coefficients {
        sum = sum * x + coefficient;
    }
    sum
}

/// The sum of a power of two of lanes: of halves onto each other, until one is left.
#[inline(always)]
pub(crate) fn tree_sum<T: Copy + std::ops::AddAssign, const LANES: usize>(mut lanes: [T; LANES]) -> T {
    const { assert!(LANES.is_power_of_two(), "lanes are halved until one is left") };
    let mut half = LANES / 2;
    while half > 0 {
        for i in 0..half {
            lanes[i] += lanes[i + half];
        }
        half /= 2;
    }
    lanes[0]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How far `found` is from `exact`, in units of the last place of the float32 nearest to it.
    fn ulps(found: f32, exact: f64) -> f64 {
        let nearest = exact as f32;
        if !nearest.is_finite() || !found.is_finite() {
            return if found.to_bits() == nearest.to_bits() || found.is_nan() && nearest.is_nan() {
                0.
            } else {
                f64::INFINITY
            };
        }
        let unit = f64::from(f32::from_bits(nearest.abs().to_bits() + 1)) - f64::from(nearest.abs());
        (f64::from(found) - exact).abs() / unit
    }

    /// Every 997th float32: NaN, infinities, denormals and both signs among them.
    fn worst(f: fn(f32) -> f32, exact: fn(f64) -> f64) -> (f64, f32) {
        let all = (0..=u32::MAX).step_by(997).map(f32::from_bits);
        let special = [0., -0., f32::INFINITY, f32::NEG_INFINITY, f32::MAX, f32::MIN, f32::MIN_POSITIVE];
        all.chain(special)
            .map(|x| (ulps(f(x), exact(f64::from(x))), x))
            .fold((0., 0.), |worst, found| if found.0 <= worst.0 { worst } else { found })
    }

    #[test]
    fn all_of_float32_is_within_a_few_units_of_the_last_place() {
        for (name, bound, (ulps, at)) in [
            ("exp", 1., worst(exp, f64::exp)),
            ("tanh", 1.5, worst(tanh, f64::tanh)),
            ("erfc", 5., worst(erfc, libm::erfc)),
        ] {
            assert!(ulps <= bound, "{name}({at:e}): {ulps} units");
        }
    }

    #[test]
    fn zeros_keep_their_sign() {
        assert_eq!([0f32, -0.].map(|x| tanh(x).to_bits()), [0f32, -0.].map(f32::to_bits));
    }
}
