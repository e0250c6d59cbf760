//! The table of a model endpoint: its keys as plain values, checked, a sentence for each fault.
//!
//! Nothing is opened, read or resolved here; that is left to [`super::Endpoint`].

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use reqwest::Url;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use serde::Deserialize;

use super::meter::Meter;

/// Time to look a name up, connect and shake hands: twice a lost packet's retries.
const CONNECT_TIMEOUT_MS_DEFAULT: u64 = 10_000;

/// Longest time to connect that can be asked for, in milliseconds.
const CONNECT_TIMEOUT_MS_MAX: u64 = 10 * 60 * 1_000;

/// What a kind of endpoint has of its own.
#[derive(Debug, Clone, Copy)]
pub(in crate::provider) struct Habits {
    /// Where it is, unless the table says so.
    pub(in crate::provider) base_url: Option<&'static str>,
    /// The header for its key.
    pub(in crate::provider) key_header: &'static str,
    /// Headers that every request carries.
    pub(in crate::provider) headers: &'static [(&'static str, &'static str)],
    /// Fields of a request that the provider sets itself.
    pub(in crate::provider) own_fields: &'static [&'static str],
}

/// Where a key comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::provider) enum KeySource {
    /// There is none.
    Nowhere,
    /// An environment variable.
    Variable(String),
    /// A file, read anew for every turn: its content may be rotated.
    File(PathBuf),
}

/// A checked table. Its address, headers and fields may hold secrets: its `Debug` shows none.
pub(in crate::provider) struct Settings {
    /// Its address, without the path of a call.
    pub(in crate::provider) base_url: Url,
    /// The model, unless a turn names another one.
    pub(in crate::provider) model: Option<String>,
    /// Where its key comes from.
    pub(in crate::provider) key: KeySource,
    /// The header that carries the key; `authorization` carries it as a bearer token.
    pub(in crate::provider) key_header: HeaderName,
    /// Headers that every request carries.
    pub(in crate::provider) headers: HeaderMap,
    /// Fields that every request carries, such as `temperature`.
    pub(in crate::provider) request: serde_json::Map<String, serde_json::Value>,
    /// What stands before the conversation.
    pub(in crate::provider) system_prompt: Option<String>,
    /// Whether images are sent; otherwise they are named in the text, as other files are.
    pub(in crate::provider) send_images: bool,
    /// Whether usage is asked for.
    pub(in crate::provider) include_usage: bool,
    /// Time to look the name up, connect and shake hands.
    pub(in crate::provider) connect_timeout: Duration,
    /// What a turn costs.
    pub(in crate::provider) meter: Meter,
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Settings { model, key, .. } = self;
        f.debug_struct("Settings").field("model", model).field("key", key).finish_non_exhaustive()
    }
}

/// The table as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    #[expect(dead_code, reason = "read by `Providers::build`; here so that it is no unknown key")]
    kind: String,
    base_url: Option<String>,
    model: Option<String>,
    api_key_env: Option<String>,
    api_key_file: Option<PathBuf>,
    api_key_header: Option<String>,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    #[serde(default)]
    request: toml::Table,
    system_prompt: Option<String>,
    #[serde(default)]
    send_images: bool,
    include_usage: Option<bool>,
    connect_timeout_ms: Option<u64>,
    context_window: Option<u64>,
    input_usd_per_million: Option<f64>,
    output_usd_per_million: Option<f64>,
    cached_input_usd_per_million: Option<f64>,
}

impl Settings {
    /// Checks a table.
    ///
    /// # Errors
    ///
    /// A sentence that names the key and says what to do.
    pub(in crate::provider) fn read(
        table: &toml::Table,
        habits: &Habits,
    ) -> Result<Settings, String> {
        // The parser's message may span lines; the first one names the key.
        let table: Table = table.clone().try_into().map_err(|error: toml::de::Error| {
            error.message().lines().next().unwrap_or("is not understood").to_owned()
        })?;
        let meter = Meter {
            context_window: table.context_window,
            input: price("input_usd_per_million", table.input_usd_per_million)?,
            output: price("output_usd_per_million", table.output_usd_per_million)?,
            cached_input: price(
                "cached_input_usd_per_million",
                table.cached_input_usd_per_million,
            )?,
        };
        let base_url = table.base_url.as_deref().or(habits.base_url);
        Ok(Settings {
            base_url: address(base_url.ok_or("has no base_url; give the endpoint's address")?)?,
            model: table.model.filter(|model| !model.is_empty()),
            key: key_source(table.api_key_env, table.api_key_file)?,
            key_header: header_name(
                "api_key_header",
                table.api_key_header.as_deref().unwrap_or(habits.key_header),
            )?,
            headers: headers(&table.headers, habits)?,
            request: request(table.request, habits)?,
            system_prompt: table.system_prompt.filter(|prompt| !prompt.is_empty()),
            send_images: table.send_images,
            include_usage: table.include_usage.unwrap_or(true),
            connect_timeout: connect_timeout(table.connect_timeout_ms)?,
            meter,
        })
    }
}

fn address(text: &str) -> Result<Url, String> {
    let wrong = |what: &str| format!("base_url {what}; give http://HOST:PORT/PATH or https://…");
    let url = Url::parse(text).map_err(|_| wrong("is no address"))?;
    if !["http", "https"].contains(&url.scheme()) || url.host_str().is_none() {
        return Err(wrong("is no address of an HTTP server"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("base_url contains a password; use api_key_env or api_key_file".to_owned());
    }
    Ok(url)
}

fn key_source(variable: Option<String>, file: Option<PathBuf>) -> Result<KeySource, String> {
    match (variable, file) {
        (None, None) => Ok(KeySource::Nowhere),
        (Some(name), None) if name.is_empty() || name.contains(['=', '\0']) => {
            Err("api_key_env is not the name of an environment variable".to_owned())
        }
        (Some(name), None) => Ok(KeySource::Variable(name)),
        (None, Some(path)) => Ok(KeySource::File(path)),
        (Some(_), Some(_)) => {
            Err("has both api_key_env and api_key_file; leave one of them out".to_owned())
        }
    }
}

fn header_name(key: &str, name: &str) -> Result<HeaderName, String> {
    HeaderName::try_from(name).map_err(|_| format!("{key} \"{name}\" is not a header's name"))
}

/// The value is never part of a message: people put keys there, whatever the documentation says.
fn headers(table: &BTreeMap<String, String>, habits: &Habits) -> Result<HeaderMap, String> {
    let mut headers = HeaderMap::new();
    for (name, value) in habits.headers {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    for (name, value) in table {
        let parsed = header_name("headers", name)?;
        let mut value = HeaderValue::try_from(value)
            .map_err(|_| format!("headers.{name} is not a header's value"))?;
        value.set_sensitive(true);
        headers.insert(parsed, value);
    }
    Ok(headers)
}

fn request(
    table: toml::Table,
    habits: &Habits,
) -> Result<serde_json::Map<String, serde_json::Value>, String> {
    if let Some(field) = habits.own_fields.iter().find(|&&field| table.contains_key(field)) {
        return Err(format!("request.{field} is set by the provider itself; leave it out"));
    }
    match serde_json::to_value(table) {
        Ok(serde_json::Value::Object(fields)) => Ok(fields),
        _ => Err("request holds what JSON cannot say".to_owned()),
    }
}

fn price(key: &str, usd: Option<f64>) -> Result<Option<f64>, String> {
    match usd {
        Some(usd) if !usd.is_finite() || usd < 0.0 => Err(format!("{key} is not a price")),
        usd => Ok(usd),
    }
}

fn connect_timeout(ms: Option<u64>) -> Result<Duration, String> {
    let ms = ms.unwrap_or(CONNECT_TIMEOUT_MS_DEFAULT);
    if !(1..=CONNECT_TIMEOUT_MS_MAX).contains(&ms) {
        return Err(format!("connect_timeout_ms = {ms}; use 1 to {CONNECT_TIMEOUT_MS_MAX}"));
    }
    Ok(Duration::from_millis(ms))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HABITS: Habits = Habits {
        base_url: None,
        key_header: "authorization",
        headers: &[("x-version", "1")],
        own_fields: &["model"],
    };

    fn read(text: &str) -> Result<Settings, String> {
        Settings::read(&toml::from_str(text).unwrap(), &HABITS)
    }

    #[test]
    fn every_key_is_read() {
        let settings = read(
            "kind = 'openai'\nbase_url = 'http://h:1/v1?api-version=2'\nmodel = 'm'\n\
             api_key_env = 'K'\napi_key_header = 'api-key'\nheaders = { X-Title = 't' }\n\
             request = { temperature = 0.5 }\nsystem_prompt = 's'\nsend_images = true\n\
             include_usage = false\nconnect_timeout_ms = 7\ncontext_window = 10\n\
             input_usd_per_million = 1\noutput_usd_per_million = 2.5\n\
             cached_input_usd_per_million = 0.5\n",
        )
        .unwrap();
        assert_eq!(settings.base_url.as_str(), "http://h:1/v1?api-version=2");
        assert_eq!(settings.key, KeySource::Variable("K".to_owned()));
        assert_eq!(settings.key_header.as_str(), "api-key");
        assert_eq!(settings.headers["x-title"], "t");
        assert_eq!(settings.headers["x-version"], "1");
        assert_eq!(settings.request["temperature"], 0.5);
        assert_eq!(settings.connect_timeout, Duration::from_millis(7));
        assert!(settings.send_images && !settings.include_usage);
        assert_eq!((settings.meter.input, settings.meter.output), (Some(1.0), Some(2.5)));
        let shown = format!("{settings:?}");
        assert!(!shown.contains("X-Title") && !shown.contains("api-version"), "{shown}");
    }

    #[test]
    fn what_is_wrong_is_named() {
        let refused = |text: &str, part: &str| {
            let text = format!("kind = 'openai'\n{text}");
            let problem = read(&text).unwrap_err();
            assert!(problem.contains(part), "{problem}");
            assert!(!problem.contains('\n') && !problem.contains("hush"), "{problem}");
        };
        refused("", "has no base_url");
        refused("base_url = 'nowhere'", "base_url is no address");
        refused("base_url = 'ftp://h'", "of an HTTP server");
        refused("base_url = 'http://u:hush@h'", "use api_key_env");
        refused("base_url = 'http://h'\nmodle = 'x'", "unknown field `modle`");
        refused("base_url = 'http://h'\nmodel = 1", "invalid type");
        refused("base_url = 'http://h'\napi_key_env = 'A'\napi_key_file = 'f'", "leave one");
        refused("base_url = 'http://h'\napi_key_env = 'A=hush'", "name of an environment");
        refused("base_url = 'http://h'\nheaders = { X = \"hush\\n\" }", "headers.X is not");
        refused("base_url = 'http://h'\nrequest = { model = 'x' }", "request.model is set");
        refused("base_url = 'http://h'\nconnect_timeout_ms = 0", "use 1 to 600000");
        refused("base_url = 'http://h'\ninput_usd_per_million = -1", "is not a price");
    }
}
