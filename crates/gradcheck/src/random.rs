//! A small seeded generator: a check draws the same numbers on every machine, so a failure can be run again.

/// SplitMix64. Source: Steele, Lea, Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014.
#[derive(Debug, Clone)]
pub(crate) struct Random {
    state: u64,
}

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    pub(crate) fn word(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// `len` weights of both signs, each of magnitude in [0.5, 1.5): none is so small that it hides its element.
    ///
    /// Nine significant bits, so that they are exact in float32 and their products with small integers stay exact.
    pub(crate) fn signed(&mut self, len: usize) -> Vec<f64> {
        let mut draw = || {
            let word = self.word();
            let magnitude = (128 + (word >> 32) % 256) as f64 / 256.0;
            if word & 1 == 0 { magnitude } else { -magnitude }
        };
        (0..len).map(|_| draw()).collect()
    }
}
