//! Failures on the way to an endpoint and back, as typed errors of a turn.
//!
//! Addresses are named by scheme, host and port alone: a path or a query may hold a key.

use std::error::Error;
use std::fmt;
use std::io::ErrorKind;
use std::time::Duration;

use reqwest::header::HeaderMap;
use scrollback_schema::event::Phase;
use scrollback_schema::{ErrorCode, Millis};

use crate::provider::ProviderError;

/// A name that has no address; made by the endpoint's own resolver, so that it can be told apart.
#[derive(Debug)]
pub(super) struct NameNotFound;

impl fmt::Display for NameNotFound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name has no address")
    }
}

impl Error for NameNotFound {}

/// A failure of the stream after it began well.
pub(in crate::provider) fn in_stream(code: ErrorCode, message: impl Into<String>) -> ProviderError {
    ProviderError::new(code, Phase::Stream, message)
}

/// The model's answer was cut at a limit of tokens.
///
/// A failure, as an answer is that the server itself cuts: what was said stays, and nobody, neither
/// a person nor the next turn, should take it for the whole.
pub(super) fn too_long(place: &str) -> ProviderError {
    let message = format!("{place} cut the answer at its limit of tokens (max_tokens)");
    in_stream(ErrorCode::OutputTooLong, message)
}

/// Why there is no answer at all.
pub(super) fn no_answer(
    error: &reqwest::Error,
    place: &str,
    connect_timeout: Duration,
) -> ProviderError {
    use ErrorCode::{Internal, ProviderTimeout, ProviderTransport};
    let kinds: Vec<ErrorKind> = causes(error).filter_map(io_kind).collect();
    let has = |kind| kinds.contains(&kind);
    let is_tls = place.starts_with("https:") && error.is_connect();
    let (code, message) = if causes(error).any(|cause| cause.is::<NameNotFound>()) {
        (ProviderTransport, format!("the name of {place} has no address"))
    } else if error.is_timeout() || has(ErrorKind::TimedOut) {
        let ms = connect_timeout.as_millis();
        (ProviderTimeout, format!("{place} could not be reached within {ms} ms"))
    } else if has(ErrorKind::ConnectionRefused) {
        (ProviderTransport, format!("nothing listens at {place}"))
    } else if is_tls && (has(ErrorKind::InvalidData) || has(ErrorKind::UnexpectedEof)) {
        // The innermost cause is the TLS library's own and names certificates at most.
        let cause = causes(error).last().map(ToString::to_string).unwrap_or_default();
        let message = format!("no TLS connection with {place}: {cause}");
        let error = ProviderError::new(ProviderTransport, Phase::Setup, message);
        return ProviderError { retryable: false, ..error };
    } else if error.is_connect() {
        (ProviderTransport, format!("{place} could not be reached"))
    } else if error.is_builder() {
        (Internal, format!("the request for {place} could not be built"))
    } else {
        (ProviderTransport, format!("{place} closed the connection without an answer"))
    };
    ProviderError::new(code, Phase::Setup, message)
}

/// An error and what caused it.
fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |error| cause_of(*error))
}

/// An I/O error names as its source what its wrapped error names, and so passes over the latter.
fn cause_of<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a (dyn Error + 'static)> {
    match error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref) {
        Some(inner) => Some(inner),
        None => error.source(),
    }
}

fn io_kind(error: &(dyn Error + 'static)) -> Option<ErrorKind> {
    error.downcast_ref::<std::io::Error>().map(std::io::Error::kind)
}

/// How long the endpoint asks to wait: milliseconds, seconds, or until an instant.
pub(super) fn retry_after(headers: &HeaderMap, now: Millis) -> Option<Duration> {
    let text = |name: &str| headers.get(name)?.to_str().ok().map(str::trim);
    let number = |text: &str| text.parse::<f64>().ok().filter(|n| n.is_finite() && *n >= 0.0);
    if let Some(ms) = text("retry-after-ms").and_then(number) {
        return Duration::try_from_secs_f64(ms / 1e3).ok();
    }
    let after = text("retry-after")?;
    if let Some(seconds) = number(after) {
        return Duration::try_from_secs_f64(seconds).ok();
    }
    let until = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(after).ok()?;
    let ms = until.as_millisecond().saturating_sub(now.get());
    Some(Duration::from_millis(u64::try_from(ms).unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_read_in_every_form() {
        let wait = |name: &'static str, value: &'static str| {
            let headers = HeaderMap::from_iter([(name.parse().unwrap(), value.parse().unwrap())]);
            // 2026-11-22T20:52:00Z.
            retry_after(&headers, Millis::new(1_795_380_720_000))
        };
        assert_eq!(wait("retry-after", "20"), Some(Duration::from_secs(20)));
        assert_eq!(wait("retry-after", " 0.5"), Some(Duration::from_millis(500)));
        assert_eq!(wait("retry-after-ms", "20"), Some(Duration::from_millis(20)));
        let date = "Sun, 22 Nov 2026 20:52:30 GMT";
        assert_eq!(wait("retry-after", date), Some(Duration::from_secs(30)));
        let past = "Sun, 22 Nov 2026 20:51:30 GMT";
        assert_eq!(wait("retry-after", past), Some(Duration::ZERO));
        for nonsense in ["-1", "soon", "inf", "1e300"] {
            assert_eq!(wait("retry-after", nonsense), None, "{nonsense}");
        }
        assert_eq!(retry_after(&HeaderMap::new(), Millis::new(0)), None);
    }
}
