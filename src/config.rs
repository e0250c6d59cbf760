//! What `serve --config FILE` says: a TOML file as plain values, checked, with its defaults.
//!
//! Units are in the names of the keys here and nowhere else: inside, times are `Duration`s. Flags
//! of the command line win over the file; that is left to `cli`. Provider tables are kept as they
//! are, but for their time-outs: what else is in them is their provider's to read.

mod auth;
mod cors;
mod limits;
mod retention;
mod turns;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use scrollback_schema::limits as bounds;
use serde::Deserialize;

use crate::sqlite::Durability;
pub use auth::{Algorithm, AuthConfig, JwtConfig, KeyConfig};
pub use cors::CorsConfig;
pub use limits::{LimitConfig, RateConfig};
pub use retention::{Retention, RetentionAction, SEGMENT_BYTES_DEFAULT};
pub use turns::{Timeouts, TurnConfig};

/// What a server is told.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// Where it listens, unless a flag says otherwise.
    pub listen: Option<SocketAddr>,
    /// The data directory, unless a flag says otherwise.
    pub data: Option<PathBuf>,
    /// How much an answered append survives.
    pub durability: Durability,
    /// Lease of an external turn whose producer does not ask for another.
    pub lease: Duration,
    /// How long a shutdown waits for streams and requests to end by themselves.
    pub drain: Duration,
    /// Provider that runs a turn whose client names none.
    pub default_provider: Option<String>,
    /// Who may call; nobody has to prove anything if it is empty.
    pub auth: AuthConfig,
    /// Pages of which other origins may call.
    pub cors: CorsConfig,
    /// How it speaks TLS; it does not unless it is told to.
    pub tls: Option<TlsConfig>,
    /// How much it takes at once.
    pub limits: LimitConfig,
    /// How turns are run.
    pub turns: TurnConfig,
    /// What becomes of old events; they stay in log.db without it.
    pub retention: Option<Retention>,
    /// Provider tables by name, not looked into.
    pub providers: BTreeMap<String, toml::Table>,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            listen: None,
            data: None,
            durability: Durability::default(),
            lease: Duration::from_millis(bounds::LEASE_MS_DEFAULT),
            drain: Duration::from_secs(10),
            default_provider: None,
            auth: AuthConfig::default(),
            cors: CorsConfig::default(),
            tls: None,
            limits: LimitConfig::default(),
            turns: TurnConfig::default(),
            retention: None,
            providers: BTreeMap::new(),
        }
    }
}

/// A certificate and its key.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TlsConfig {
    /// The file of the certificate and those that vouch for it, in PEM.
    pub certificate: PathBuf,
    /// The file of its private key, in PEM.
    pub key: PathBuf,
}

/// Why a file is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// It cannot be read.
    #[error("config file {} cannot be read; give --config a readable file", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// It is no TOML, or names a key that does not exist.
    #[error("config file {} is not understood", path.display())]
    Parse {
        /// The file.
        path: PathBuf,
        /// Where and why.
        #[source]
        source: toml::de::Error,
    },
    /// A value is outside its bounds.
    #[error("config file {} has {key} = {value}; use {least} to {most}", path.display())]
    Bounds {
        /// The file.
        path: PathBuf,
        /// The key.
        key: &'static str,
        /// What it is set to.
        value: u64,
        /// The least that is allowed.
        least: u64,
        /// The most that is allowed.
        most: u64,
    },
    /// A table is not as it has to be.
    #[error("config file {}: {what}", path.display())]
    Unusable {
        /// The file.
        path: PathBuf,
        /// The key and what is wrong with it; never its value.
        what: String,
    },
    /// The default provider has no table.
    #[error(
        "config file {} has default_provider = \"{name}\" but no [providers.{name}]; add the \
         table or name one of: {configured}",
        path.display()
    )]
    DefaultProvider {
        /// The file.
        path: PathBuf,
        /// The provider that is missing.
        name: String,
        /// Those that are there.
        configured: String,
    },
}

/// The file as it is written.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct ConfigFile {
    listen: Option<SocketAddr>,
    data: Option<PathBuf>,
    durability: DurabilityName,
    lease_ms: Option<u64>,
    drain_ms: Option<u64>,
    default_provider: Option<String>,
    auth: Option<toml::Value>,
    cors: CorsConfig,
    tls: Option<TlsConfig>,
    limits: limits::LimitsTable,
    turns: turns::TurnsTable,
    retention: Option<retention::RetentionTable>,
    providers: BTreeMap<String, toml::Table>,
}

/// The name of a [`Durability`] in the file.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum DurabilityName {
    #[default]
    Full,
    Process,
}

impl From<DurabilityName> for Durability {
    fn from(name: DurabilityName) -> Durability {
        match name {
            DurabilityName::Full => Durability::Full,
            DurabilityName::Process => Durability::Process,
        }
    }
}

/// Longest drain in milliseconds: supervisors kill after a few minutes at most.
const DRAIN_MS_MAX: u64 = 10 * 60 * 1_000;

impl Config {
    /// Reads a file.
    ///
    /// # Errors
    ///
    /// [`ConfigError`], every variant.
    pub fn read(path: &Path) -> Result<Config, ConfigError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
        Config::parse(&text, path)
    }

    /// Parses the text of a file; `path` only names it in errors, and relative paths in the text
    /// stay relative to the working directory.
    ///
    /// # Errors
    ///
    /// [`ConfigError`], every variant but `Read`.
    pub fn parse(text: &str, path: &Path) -> Result<Config, ConfigError> {
        let file: ConfigFile = toml::from_str(text)
            .map_err(|source| ConfigError::Parse { path: path.to_owned(), source })?;
        let defaults = Config::default();
        let out_of_bounds = |(key, value, least, most): (&'static str, u64, u64, u64)| {
            ConfigError::Bounds { path: path.to_owned(), key, value, least, most }
        };
        let bounded = |key, value: Option<u64>, least, most, default| match value {
            None => Ok(default),
            Some(value) if (least..=most).contains(&value) => Ok(Duration::from_millis(value)),
            Some(value) => Err(out_of_bounds((key, value, least, most))),
        };
        let mut turns = file.turns.checked().map_err(out_of_bounds)?;
        let mut providers = file.providers;
        for (name, table) in &mut providers {
            let timeouts = turns::take_timeouts(table, turns.timeouts).map_err(out_of_bounds)?;
            turns.of_provider.insert(name.clone(), timeouts);
        }
        let unusable = |what| ConfigError::Unusable { path: path.to_owned(), what };
        let auth = file.auth.map(AuthConfig::read).transpose().map_err(unusable)?;
        file.cors.check().map_err(unusable)?;
        let (least, most) = (bounds::LEASE_MS_MIN, bounds::LEASE_MS_MAX);
        let retention = file.retention.map(|table| table.checked()).transpose();
        let retention = retention.map_err(|what| unusable(format!("[retention] with {what}")))?;
        let config = Config {
            listen: file.listen,
            data: file.data,
            durability: file.durability.into(),
            lease: bounded("lease_ms", file.lease_ms, least, most, defaults.lease)?,
            drain: bounded("drain_ms", file.drain_ms, 0, DRAIN_MS_MAX, defaults.drain)?,
            default_provider: file.default_provider,
            auth: auth.unwrap_or_default(),
            cors: file.cors,
            tls: file.tls,
            limits: file.limits.checked().map_err(out_of_bounds)?,
            turns,
            retention,
            providers,
        };
        match &config.default_provider {
            Some(name) if !config.providers.contains_key(name) => {
                Err(ConfigError::DefaultProvider {
                    path: path.to_owned(),
                    name: name.clone(),
                    configured: config.provider_names(),
                })
            }
            _ => Ok(config),
        }
    }

    /// The names of the configured providers, for a message: `a, b`, or `none`.
    pub fn provider_names(&self) -> String {
        if self.providers.is_empty() {
            return "none".to_owned();
        }
        self.providers.keys().map(String::as_str).collect::<Vec<_>>().join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Config, String> {
        Config::parse(text, Path::new("s.toml")).map_err(|error| {
            let source = std::error::Error::source(&error).map(ToString::to_string);
            format!("{error}: {}", source.unwrap_or_default())
        })
    }

    #[test]
    fn an_empty_file_is_the_default() {
        assert_eq!(parse(""), Ok(Config::default()));
    }

    #[test]
    fn every_key_is_read() {
        let config = parse(
            "listen = '127.0.0.1:9'\ndata = 'd'\ndurability = 'process'\nlease_ms = 100\n\
             drain_ms = 0\ndefault_provider = 'local'\n\
             [limits]\nstreams_max = 12\n\
             [turns]\nrunning_max = 2\noutput_bytes_max = 3\nshutdown_grace_ms = 4\n\
             stop_grace_ms = 5\nschedule_late_max_ms = 11\nconnect_timeout_ms = 6\n\
             first_token_timeout_ms = 7\nidle_timeout_ms = 8\ntotal_timeout_ms = 9\n\
             [providers.local]\nkind = 'openai'\nbase_url = 'http://x/v1'\n\
             idle_timeout_ms = 10\n[providers.z]\n",
        )
        .unwrap();
        assert_eq!(config.listen, Some("127.0.0.1:9".parse().unwrap()));
        assert_eq!(config.data, Some("d".into()));
        assert_eq!(config.durability, Durability::Process);
        assert_eq!((config.lease, config.drain), (Duration::from_millis(100), Duration::ZERO));
        assert_eq!(config.provider_names(), "local, z");
        assert_eq!(config.limits.streams_max, 12);
        let turns = &config.turns;
        assert_eq!((turns.running_max, turns.output_bytes_max), (2, 3));
        let ms = Duration::from_millis;
        assert_eq!((turns.shutdown_grace, turns.stop_grace), (ms(4), ms(5)));
        assert_eq!(turns.schedule_late, ms(11));
        let z = Timeouts { connect: ms(6), first_token: ms(7), idle: ms(8), total: ms(9) };
        assert_eq!(turns.timeouts_of("z"), z);
        assert_eq!(turns.timeouts_of("local"), Timeouts { idle: ms(10), ..z });
        assert!(!config.providers["local"].contains_key("idle_timeout_ms"));
    }

    #[test]
    fn what_is_wrong_is_named() {
        let refused = |text: &str, part: &str| {
            let error = parse(text).unwrap_err();
            assert!(error.starts_with("config file s.toml ") && error.contains(part), "{error}");
        };
        refused("lissen = 'x'", "lissen");
        refused("lease_ms = 99", "lease_ms = 99; use 100 to 3600000");
        refused("[turns]\nrunning_max = 0", "turns.running_max = 0; use 1 to 10000");
        refused("[providers.p]\nidle_timeout_ms = -1", "idle_timeout_ms");
        refused("durability = 'none'", "none");
        refused("default_provider = 'p'\n[providers.q]", "name one of: q");
        refused("listen = ", "line 1");
    }
}
