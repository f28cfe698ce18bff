//! Counter-based random numbers: Philox4x32-10, a pure function of a key and a counter.
//!
//! No generator is carried about and none is saved: the same key and counter give the same words on every device, at any
//! number of threads, after a resume, and again in a backward pass.
//!
//! Source: Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011.

const MULTIPLIERS: [u32; 2] = [0xD251_1F53, 0xCD9E_8D57];
const WEYL: [u32; 2] = [0x9E37_79B9, 0xBB67_AE85];

/// Four uniform 32-bit words, a pure function of `key` and `counter`.
///
/// ```
/// use taper_ops::random::philox4x32;
///
/// // The known answers of the authors' own test suite.
/// assert_eq!(philox4x32(0, [0; 4]), [0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8]);
/// assert_eq!(philox4x32(u64::MAX, [u32::MAX; 4]), [0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd]);
/// ```
#[inline(always)]
pub fn philox4x32(key: u64, counter: [u32; 4]) -> [u32; 4] {
    let (mut k0, mut k1) = (key as u32, (key >> 32) as u32);
    let [mut c0, mut c1, mut c2, mut c3] = counter;
    for _ in 0..10 {
        let p0 = u64::from(MULTIPLIERS[0]) * u64::from(c0);
        let p1 = u64::from(MULTIPLIERS[1]) * u64::from(c2);
        (c0, c1, c2, c3) = ((p1 >> 32) as u32 ^ c1 ^ k0, p1 as u32, (p0 >> 32) as u32 ^ c3 ^ k1, p0 as u32);
        k0 = k0.wrapping_add(WEYL[0]);
        k1 = k1.wrapping_add(WEYL[1]);
    }
    [c0, c1, c2, c3]
}

/// The counter of element `4·block … 4·block + 3` in `(step, layer)`: `block` in the two low words.
#[inline(always)]
pub fn counter(block: u64, step: u32, layer: u32) -> [u32; 4] {
    [block as u32, (block >> 32) as u32, step, layer]
}

/// A word as a uniform number in [0, 1), a multiple of 2⁻³²: 24 bits of it survive in float32.
#[inline(always)]
pub fn unit(word: u32) -> f64 {
    f64::from(word) * (1.0 / 4_294_967_296.0)
}
