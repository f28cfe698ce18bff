//! Padded copies of an image, laid out so that one offset a tap reaches every position.

use crate::simd::{Tier, load_pairs, store};
use crate::strip::SLACK;
use pulp::{Simd, WithSimd};

/// One channel of a padded copy. Along an axis with `phases` above 1, positions that lie `phases` apart are neighbours: a
/// convolution of that stride then reads neighbours too.
#[derive(Debug, Clone, Copy)]
pub(super) struct Image {
    /// Extents of what is copied.
    pub(super) extent: [usize; 3],
    /// Zeros before it.
    pub(super) before: [usize; 3],
    pub(super) phases: [usize; 3],
    /// Positions of one phase.
    pub(super) len: [usize; 3],
}

impl Image {
    /// Elements of one phase: where positions of all three axes are one step apart.
    pub(super) fn volume(&self) -> usize {
        self.len.iter().product()
    }

    /// Elements of one channel.
    pub(super) fn size(&self) -> usize {
        self.volume() * self.phases.iter().product::<usize>()
    }

    /// Where the padded position `at` lies in its channel.
    pub(super) fn offset(&self, at: [usize; 3]) -> usize {
        let axis = |a: usize| (at[a] % self.phases[a], at[a] / self.phases[a]);
        let [(pd, d), (ph, h), (pw, w)] = [axis(0), axis(1), axis(2)];
        let phase = (pd * self.phases[1] + ph) * self.phases[2] + pw;
        phase * self.volume() + self.step([d, h, w])
    }

    /// How far apart positions lie that differ by `by` within a phase.
    pub(super) fn step(&self, by: [usize; 3]) -> usize {
        (by[0] * self.len[1] + by[1]) * self.len[2] + by[2]
    }

    /// Whether it is what it copies.
    pub(super) fn is_copy(&self) -> bool {
        self.phases == [1; 3] && self.before == [0; 3] && self.len == self.extent
    }

    /// Elements of `channels` channels and the `SLACK` behind the last. Where there is none, a channel of zeros stands in for
    /// it, so that every position lies inside.
    pub(super) fn padded_len(&self, channels: usize) -> usize {
        channels.max(1) * self.size() + SLACK
    }

    /// Copies all channels of `x` into `out`, whose padding is zero already.
    pub(super) fn copy(&self, tier: Tier, x: &[f32], out: &mut [f32]) {
        tier.run(Copy { image: self, x, out });
    }

    /// The same within a kernel.
    #[inline(always)]
    pub(super) fn copy_with<S: Simd>(&self, simd: S, x: &[f32], out: &mut [f32]) {
        let [depth, height, width] = self.extent;
        let plane = depth * height * width;
        let [pd, ph, pw] = self.phases;
        // Where in a line the elements begin that lie in one phase, and how many it holds.
        let starts: Vec<_> = (0..pw.min(width))
            .map(|first| {
                let at = self.before[2] + first;
                let room = self.len[2].saturating_sub(at / pw).min((width - first).div_ceil(pw));
                (if room > 0 { at % pw * self.volume() + at / pw } else { 0 }, room)
            })
            .collect();
        for (x, out) in x.chunks_exact(plane.max(1)).zip(out.chunks_exact_mut(self.size().max(1))) {
            for z in 0..depth {
                for y in 0..height {
                    let (d, h) = (z + self.before[0], y + self.before[1]);
                    if d / pd >= self.len[0] || h / ph >= self.len[1] {
                        continue;
                    }
                    let x = &x[(z * height + y) * width..][..width];
                    let out = &mut out[(d % pd * ph + h % ph) * pw * self.volume() + self.step([d / pd, h / ph, 0])..];
                    match starts[..] {
                        [(at, len)] if pw == 1 => out[at..at + len].copy_from_slice(&x[..len]),
                        [(even, len), (odd, odd_len)] if pw == 2 => {
                            for i in (0..len.max(odd_len)).step_by(S::F32_LANES) {
                                let [a, b] = load_pairs(simd, &x[2 * i..]);
                                store(simd, &mut out[(even + i).min(even + len)..even + len], a);
                                store(simd, &mut out[(odd + i).min(odd + odd_len)..odd + odd_len], b);
                            }
                        }
                        _ => {
                            for (first, (at, len)) in starts.iter().enumerate() {
                                let x = x[first..].iter().step_by(pw);
                                out[*at..at + len].iter_mut().zip(x).for_each(|(out, x)| *out = *x);
                            }
                        }
                    }
                }
            }
        }
    }
}

/// [`Image::copy`].
struct Copy<'a> {
    image: &'a Image,
    x: &'a [f32],
    out: &'a mut [f32],
}

impl WithSimd for Copy<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        self.image.copy_with(simd, self.x, self.out);
    }
}
