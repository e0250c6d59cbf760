//! `providers`: says which providers a configuration has, and tries whether they could run a turn.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::bail;
use clap::{Args, Subcommand};
use futures_util::future::join_all;
use serde_json::{Value, json};

use super::exit::Exit;
use super::output::{Format, Out};
use super::serve::secret;
use crate::clock::monotonic;
use crate::config::Config;
use crate::inspect::duration_text;

/// List the providers of a configuration, and try them
///
/// A provider runs turns: a model behind an API, an agent's process, a script. They are tables of
/// the file that `serve --config` reads; secrets come from the environment, as they do there.
#[derive(Debug, Subcommand)]
pub(super) enum Providers {
    List(List),
    Check(Check),
}

/// List the configured providers
///
/// Prints name and kind; a star marks the one that runs a turn which names none. Nothing is
/// connected to.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  scrollback providers list --config scrollback.toml")]
pub(super) struct List {
    /// Read the providers from this TOML file
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
}

/// Try whether the configured providers could run a turn
///
/// Asks each at the least cost that tells: a list of models, a handshake. Prints a line each. The
/// exit code is 1 if one of them cannot.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  scrollback providers check --config scrollback.toml
  LOCAL_KEY=... scrollback providers check --config scrollback.toml local --json")]
pub(super) struct Check {
    /// Try this one only
    name: Option<String>,
    /// Read the providers from this TOML file
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Give up after so many seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 20,
        value_parser = clap::value_parser!(u64).range(1..=600))]
    timeout: u64,
}

pub(super) fn run(args: &Providers, out: &mut Out) -> anyhow::Result<Exit> {
    match args {
        Providers::List(args) => list(args, out),
        Providers::Check(args) => {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(check(args, out))
        }
    }
}

fn list(args: &List, out: &mut Out) -> anyhow::Result<Exit> {
    let config = Config::read(&args.config)?;
    let width = config.providers.keys().map(|name| name.chars().count()).max().unwrap_or(0);
    for (name, table) in &config.providers {
        let is_default = config.default_provider.as_ref() == Some(name);
        let kind = table.get("kind").and_then(toml::Value::as_str);
        match out.format {
            Format::Json => {
                out.json(&json!({ "provider": name, "kind": kind, "is_default": is_default }))?;
            }
            Format::Text => {
                let star = if is_default { '*' } else { ' ' };
                out.line(&format!("{star} {name:<width$}  {}", kind.unwrap_or("(no kind)")))?;
            }
        }
    }
    Ok(Exit::Ok)
}

/// What a try came to.
struct Tried<'a> {
    name: &'a str,
    elapsed: Duration,
    found: Result<String, Failed>,
}

/// Why a provider cannot run a turn.
struct Failed {
    code: &'static str,
    message: String,
}

async fn check(args: &Check, out: &mut Out) -> anyhow::Result<Exit> {
    let config = Config::read(&args.config)?;
    let named = |name: &String| args.name.as_ref().is_none_or(|only| only == name);
    let chosen: Vec<_> = config.providers.iter().filter(|(name, _)| named(name)).collect();
    if chosen.is_empty() {
        let file = args.config.display();
        match &args.name {
            Some(name) => {
                let configured = config.provider_names();
                bail!("{file} has no [providers.{name}]; it has: {configured}")
            }
            None => bail!("{file} has no providers; add a table such as [providers.local]"),
        }
    }
    let timeout = Duration::from_secs(args.timeout);
    let tries = chosen.into_iter().map(|(name, table)| attempt(name, table, timeout));
    let tried = join_all(tries).await;
    let width = tried.iter().map(|tried| tried.name.chars().count()).max().unwrap_or(0);
    for tried in &tried {
        match out.format {
            Format::Json => out.json(&tried.json())?,
            Format::Text => out.line(&tried.line(width))?,
        }
    }
    let is_well = tried.iter().all(|tried| tried.found.is_ok());
    Ok(if is_well { Exit::Ok } else { Exit::No })
}

/// Builds one provider and tries it; what is wrong with its table is its failure alone.
async fn attempt<'a>(name: &'a str, table: &toml::Table, timeout: Duration) -> Tried<'a> {
    let started = monotonic();
    let tables = BTreeMap::from([(name.to_owned(), table.clone())]);
    let found = match crate::provider::Providers::build(&tables, &secret) {
        Err(error) => Err(Failed { code: "configuration", message: error.problem }),
        Ok(providers) => {
            let provider = providers.get(name).expect("it was built just above");
            match tokio::time::timeout(timeout, provider.check()).await {
                Ok(Ok(found)) => Ok(found),
                Ok(Err(error)) => Err(Failed { code: error.code.name(), message: error.message }),
                Err(_) => {
                    let message = format!("no answer within {} s", timeout.as_secs());
                    Err(Failed { code: "provider_timeout", message })
                }
            }
        }
    };
    Tried { name, elapsed: started.elapsed(), found }
}

impl Tried<'_> {
    fn elapsed_ms(&self) -> u64 {
        u64::try_from(self.elapsed.as_millis()).unwrap_or(u64::MAX)
    }

    fn json(&self) -> Value {
        let (ok, code, detail) = match &self.found {
            Ok(found) => (true, None, found),
            Err(failed) => (false, Some(failed.code), &failed.message),
        };
        let elapsed_ms = self.elapsed_ms();
        let name = self.name;
        json!({
            "provider": name, "ok": ok, "code": code, "detail": detail, "elapsed_ms": elapsed_ms,
        })
    }

    fn line(&self, width: usize) -> String {
        let (name, took) = (self.name, duration_text(self.elapsed_ms()));
        match &self.found {
            Ok(found) => format!("ok    {name:<width$}  {found} ({took})"),
            Err(Failed { code, message }) => {
                format!("FAIL  {name:<width$}  {code}: {message} ({took})")
            }
        }
    }
}
