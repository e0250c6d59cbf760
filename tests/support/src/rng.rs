//! A small generator of random numbers: the same seed gives the same numbers for ever.
//!
//! A crate's generator may change with its version, and with it what a printed seed means.

/// SplitMix64: one word of state, good enough for tests.
#[derive(Debug, Clone)]
pub struct Rng {
    state: u64,
}

impl Rng {
    /// Starts at a seed.
    pub const fn new(seed: u64) -> Rng {
        Rng { state: seed }
    }

    /// The next 64 random bits.
    pub const fn bits(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number from 0 to `bound - 1`.
    ///
    /// # Panics
    ///
    /// If `bound` is 0: there is no such number.
    pub const fn below(&mut self, bound: usize) -> usize {
        assert!(bound > 0, "there is a number below the bound");
        (self.bits() % bound as u64) as usize
    }

    /// A number from `low` to `high`, both included.
    pub const fn between(&mut self, low: usize, high: usize) -> usize {
        low + self.below(high - low + 1)
    }

    /// True in one of `n` cases.
    pub const fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    /// One of `items`.
    ///
    /// # Panics
    ///
    /// If there is none.
    pub const fn pick<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        &items[self.below(items.len())]
    }

    /// A generator of its own, for a part that should not disturb the others.
    #[must_use]
    pub const fn fork(&mut self) -> Rng {
        Rng::new(self.bits())
    }
}

#[cfg(test)]
mod tests {
    use super::Rng;

    #[test]
    fn a_seed_means_the_same_for_ever() {
        let mut rng = Rng::new(42);
        assert_eq!(rng.bits(), 0xbdd7_3226_2feb_6e95);
        let again: Vec<usize> = (0..8).map(|_| rng.between(1, 6)).collect();
        assert!(again.iter().all(|n| (1..=6).contains(n)), "{again:?}");
        assert_ne!(Rng::new(1).bits(), Rng::new(2).bits());
    }
}
