//! Padded copies of an image, laid out so that one offset a tap reaches every position.

use crate::strip::SLACK;

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

    /// Copies all channels of `x`, and leaves `SLACK` zeros behind the last.
    pub(super) fn fill(&self, x: &[f32], out: &mut Vec<f32>) {
        let plane: usize = self.extent.iter().product();
        out.clear();
        out.resize(self.padded_len(x.len().checked_div(plane).unwrap_or(0)), 0.);
        self.copy(x, out);
    }

    /// Elements of `channels` channels and the `SLACK` behind the last. Where there is none, a channel of zeros stands in for
    /// it, so that every position lies inside.
    pub(super) fn padded_len(&self, channels: usize) -> usize {
        channels.max(1) * self.size() + SLACK
    }

    /// Copies all channels of `x` into `out`, whose padding is zero already.
    pub(super) fn copy(&self, x: &[f32], out: &mut [f32]) {
        let [_, height, width] = self.extent;
        let plane: usize = self.extent.iter().product();
        for (x, out) in x.chunks_exact(plane.max(1)).zip(out.chunks_exact_mut(self.size().max(1))) {
            for (z, x) in x.chunks_exact(height * width).enumerate() {
                for (y, x) in x.chunks_exact(width).enumerate() {
                    let at = [z + self.before[0], y + self.before[1], self.before[2]];
                    if self.phases == [1; 3] {
                        self.copy_line(x, at, out);
                    } else if (0..2).all(|a| at[a] / self.phases[a] < self.len[a]) {
                        self.fill_line(x, at, out);
                    }
                }
            }
        }
    }

    /// What [`Self::fill_line`] does, without its divisions, where there is one phase.
    fn copy_line(&self, x: &[f32], at: [usize; 3], out: &mut [f32]) {
        if (0..3).all(|a| at[a] < self.len[a]) {
            let len = x.len().min(self.len[2] - at[2]);
            out[self.step(at)..][..len].copy_from_slice(&x[..len]);
        }
    }

    fn fill_line(&self, x: &[f32], at: [usize; 3], out: &mut [f32]) {
        let (phases, len) = (self.phases[2], self.len[2]);
        for first in 0..phases.min(x.len()) {
            let start = at[2] + first;
            let room = len.saturating_sub(start / phases);
            let x = &x[first..];
            if room == 0 {
                continue;
            }
            let out = &mut out[self.offset([at[0], at[1], start])..][..room];
            match phases {
                1 => out.iter_mut().zip(x).for_each(|(out, x)| *out = *x),
                _ => out.iter_mut().zip(x.iter().step_by(phases)).for_each(|(out, x)| *out = *x),
            }
        }
    }
}
