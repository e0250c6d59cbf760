//! How long the tests that draw their cases go on, and from which seed.
//!
//! `tests/run` asks for a short run, `tests/soak` for a long one, of the same code. A failure
//! prints its seed; `SCROLLBACK_SEED` draws the same cases again.

/// What the environment asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rounds {
    factor: usize,
    seed: u64,
}

/// Reads `SCROLLBACK_ROUNDS`, a factor that is 1 by default, and `SCROLLBACK_SEED`.
///
/// # Panics
///
/// If one of them is no number, or the factor is 0.
pub fn rounds() -> Rounds {
    let number = |name: &str| {
        let text = std::env::var(name).ok()?;
        Some(text.parse::<u64>().unwrap_or_else(|_| panic!("{name} is no number: {text}")))
    };
    let factor = number("SCROLLBACK_ROUNDS").unwrap_or(1);
    assert!(factor > 0, "SCROLLBACK_ROUNDS is at least 1");
    Rounds { factor: factor as usize, seed: number("SCROLLBACK_SEED").unwrap_or(20_261_125) }
}

impl Rounds {
    /// How many cases there are where a short run has `n`.
    pub const fn scale(self, n: usize) -> usize {
        n.saturating_mul(self.factor)
    }

    /// Where the drawing starts; the same in every run unless one asks for another.
    pub const fn seed(self) -> u64 {
        self.seed
    }
}
