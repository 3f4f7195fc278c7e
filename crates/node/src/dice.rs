//! Randomness for jitter only: small, seedable, never for secrets.

use std::hash::{BuildHasher, RandomState};

/// A stream of numbers that look random (splitmix64); the same seed gives the same stream.
#[derive(Clone, Debug)]
pub struct Dice(u64);

impl Dice {
    /// A stream with a known start, for tests.
    pub fn seeded(seed: u64) -> Self {
        Self(seed)
    }

    /// A stream that differs from process to process, so that nodes do not act in step.
    pub fn random() -> Self {
        Self(RandomState::new().hash_one(0_u8))
    }

    /// Another stream, which this one determines.
    #[must_use]
    pub fn split(&mut self) -> Self {
        self.fraction();
        Self(self.0.rotate_left(32) ^ 0x6a09_e667_f3bc_c909)
    }

    /// The next number, evenly spread over `0.0 <= x < 1.0`.
    pub fn fraction(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        // 53 bits are what an f64 holds exactly.
        (mixed >> 11) as f64 / (1_u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fractions_stay_below_one_and_cover_the_range() {
        let mut dice = Dice::seeded(1);
        let fractions: Vec<f64> = (0..1000).map(|_| dice.fraction()).collect();
        assert!(fractions.iter().all(|fraction| (0.0..1.0).contains(fraction)));
        assert!(fractions.iter().any(|&fraction| fraction < 0.1));
        assert!(fractions.iter().any(|&fraction| fraction > 0.9));
        let mut again = Dice::seeded(1);
        assert_eq!(fractions[0], again.fraction());
    }
}
