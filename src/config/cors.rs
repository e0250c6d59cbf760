//! The `[cors]` table: pages of which other origins may call; of none, unless it says so.

use serde::Deserialize;

/// Pages that may call from elsewhere.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CorsConfig {
    /// Their origins, such as `https://app.example`, as browsers send them.
    pub origins: Vec<String>,
}

impl CorsConfig {
    /// Whether pages of this origin may call.
    pub fn allows(&self, origin: &str) -> bool {
        self.origins.iter().any(|allowed| allowed == origin)
    }

    /// Names what is no origin.
    pub(super) fn check(&self) -> Result<(), String> {
        match self.origins.iter().find(|origin| !is_origin(origin)) {
            None => Ok(()),
            Some(origin) => Err(format!(
                "cors.origins has \"{origin}\"; an origin is a scheme, a host and perhaps a port, \
                 such as https://app.example, in small letters and without a slash at its end"
            )),
        }
    }
}

fn is_origin(text: &str) -> bool {
    let Some((scheme, host)) = text.split_once("://") else { return false };
    let is_legal = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || b"-._:[]".contains(&c);
    ["http", "https"].contains(&scheme) && !host.is_empty() && host.bytes().all(is_legal)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_what_a_browser_sends() {
        for origin in ["https://app.example", "http://localhost:3000", "http://[::1]:80"] {
            assert!(is_origin(origin), "{origin}");
        }
        for origin in ["*", "app.example", "https://", "https://a/", "https://A", "ftp://a"] {
            assert!(!is_origin(origin), "{origin}");
        }
    }
}
