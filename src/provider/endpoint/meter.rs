//! What a turn used, and what that cost.

use scrollback_schema::Event;
use scrollback_schema::event::Usage;

/// Window and prices of a model, as far as they are configured.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(in crate::provider) struct Meter {
    /// Tokens that fit into the model's window.
    pub(in crate::provider) context_window: Option<u64>,
    /// US dollars for a million tokens read.
    pub(in crate::provider) input: Option<f64>,
    /// US dollars for a million tokens written.
    pub(in crate::provider) output: Option<f64>,
    /// US dollars for a million tokens read from a cache; the price of others if it is not given.
    pub(in crate::provider) cached_input: Option<f64>,
}

/// What an endpoint counted.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(in crate::provider) struct Counted {
    /// Tokens read, the cached ones included.
    pub(in crate::provider) input: Option<u64>,
    /// Those of them that came from a cache.
    pub(in crate::provider) cached_input: u64,
    /// Tokens written, those of the reasoning included.
    pub(in crate::provider) output: Option<u64>,
    /// The price in US dollars, from endpoints that say it.
    pub(in crate::provider) cost_usd: Option<f64>,
}

impl Meter {
    /// The event for it.
    pub(in crate::provider) fn event(&self, counted: Counted) -> Event {
        let usage = Usage {
            input_tokens: counted.input,
            output_tokens: counted.output,
            context_window: self.context_window,
            percentage: None,
            cost_usd: counted.cost_usd.or_else(|| self.cost_usd(counted)),
        };
        Event::Usage(usage.normalized())
    }

    /// Known only if both prices are: half a price would look like a whole one.
    fn cost_usd(&self, counted: Counted) -> Option<f64> {
        let (input, output) = (self.input?, self.output?);
        let n_input = counted.input?;
        let n_cached = counted.cached_input.min(n_input);
        let cached = self.cached_input.unwrap_or(input) * n_cached as f64;
        let fresh = input * (n_input - n_cached) as f64;
        Some((cached + fresh + output * counted.output? as f64) / 1e6)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usage(meter: Meter, counted: Counted) -> Usage {
        let Event::Usage(usage) = meter.event(counted) else { panic!("it is usage") };
        usage
    }

    #[test]
    fn cost_is_said_counted_or_unknown() {
        let counted = Counted {
            input: Some(1_000_000),
            cached_input: 400_000,
            output: Some(500_000),
            cost_usd: None,
        };
        let priced = Meter {
            input: Some(1.0),
            output: Some(4.0),
            context_window: Some(3_000_000),
            ..Meter::default()
        };
        let cheap = Meter { cached_input: Some(0.5), ..priced };
        assert_eq!(usage(priced, counted).cost_usd, Some(3.0));
        assert_eq!(usage(priced, counted).percentage, Some(50.0));
        assert_eq!(usage(cheap, counted).cost_usd, Some(2.8));
        assert_eq!(usage(Meter { output: None, ..priced }, counted).cost_usd, None);
        let said = Counted { cost_usd: Some(9.0), ..counted };
        assert_eq!(usage(priced, said).cost_usd, Some(9.0));
    }
}
