//! The table of an agent: its keys as plain values, checked, a sentence for each fault.
//!
//! Nothing is started here. Of the server's own environment an agent gets [`INHERITED`] and what
//! its table names: keys of other providers are none of its business.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;

use crate::provider::Secrets;

/// Variables that every agent gets, where the server has them: what programs need to find
/// themselves, their user's files and a way out.
const INHERITED: &[&str] = &[
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "SHELL",
    "TMPDIR",
    "TZ",
    "LANG",
    "LC_ALL",
    "LC_CTYPE",
    "XDG_CONFIG_HOME",
    "XDG_DATA_HOME",
    "XDG_STATE_HOME",
    "XDG_CACHE_HOME",
    "XDG_RUNTIME_DIR",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "NODE_EXTRA_CA_CERTS",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "http_proxy",
    "https_proxy",
    "no_proxy",
];

/// Time to start, shake hands and open a session, in milliseconds: an agent that loads a long
/// session from disk on a slow machine.
const SETUP_TIMEOUT_MS_DEFAULT: u64 = 30_000;

/// Longest time for set-up that can be asked for, in milliseconds: `npx` may fetch a package first.
const SETUP_TIMEOUT_MS_MAX: u64 = 10 * 60 * 1_000;

/// Time to end a turn after it was cancelled, in milliseconds, before the agent is killed.
const CANCEL_GRACE_MS_DEFAULT: u64 = 2_000;

/// Longest grace that can be asked for, in milliseconds: the chat's next turn waits for it.
const CANCEL_GRACE_MS_MAX: u64 = 60_000;

/// A checked table. Its environment may hold secrets: its `Debug` shows none.
pub(super) struct Settings {
    /// The name of the table; a session is resumed only by the provider that opened it.
    pub(super) name: String,
    /// The program.
    pub(super) program: String,
    /// Its arguments.
    pub(super) args: Vec<String>,
    /// Where it works: an absolute path.
    pub(super) cwd: PathBuf,
    /// Its whole environment.
    pub(super) env: BTreeMap<String, String>,
    /// Variables that the table names and the server does not have: every turn fails with them.
    pub(super) env_missing: Vec<String>,
    /// The model, unless a turn names another one.
    pub(super) model: Option<String>,
    /// The mode of the session.
    pub(super) mode: Option<String>,
    /// Time to start, shake hands and open a session.
    pub(super) setup_timeout: Duration,
    /// Time to end a turn after it was cancelled.
    pub(super) cancel_grace: Duration,
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Settings { name, program, cwd, model, mode, .. } = self;
        f.debug_struct("Settings")
            .field("name", name)
            .field("program", program)
            .field("cwd", cwd)
            .field("model", model)
            .field("mode", mode)
            .finish_non_exhaustive()
    }
}

/// The table as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    #[expect(dead_code, reason = "read by `Providers::build`; here so that it is no unknown key")]
    kind: String,
    command: Vec<String>,
    cwd: Option<PathBuf>,
    #[serde(default)]
    env: BTreeMap<String, String>,
    #[serde(default)]
    pass_env: Vec<String>,
    model: Option<String>,
    mode: Option<String>,
    setup_timeout_ms: Option<u64>,
    cancel_grace_ms: Option<u64>,
}

impl Settings {
    /// Checks a table and asks for the variables that it names.
    ///
    /// # Errors
    ///
    /// A sentence that names the key and says what to do; never a value of `env`.
    pub(super) fn read(
        name: &str,
        table: &toml::Table,
        secrets: Secrets<'_>,
    ) -> Result<Settings, String> {
        // The parser's message may span lines; the first one names the key.
        let table: Table = table.clone().try_into().map_err(|error: toml::de::Error| {
            error.message().lines().next().unwrap_or("is not understood").to_owned()
        })?;
        let mut command = table.command.into_iter();
        let program = command.next().filter(|program| !program.is_empty());
        let (env, env_missing) = environment(table.env, &table.pass_env, secrets)?;
        Ok(Settings {
            name: name.to_owned(),
            program: program.ok_or("command is empty; give the program and its arguments")?,
            args: command.collect(),
            cwd: absolute(table.cwd.as_deref())?,
            env,
            env_missing,
            model: table.model.filter(|model| !model.is_empty()),
            mode: table.mode.filter(|mode| !mode.is_empty()),
            setup_timeout: within(
                "setup_timeout_ms",
                table.setup_timeout_ms.unwrap_or(SETUP_TIMEOUT_MS_DEFAULT),
                1..=SETUP_TIMEOUT_MS_MAX,
            )?,
            cancel_grace: within(
                "cancel_grace_ms",
                table.cancel_grace_ms.unwrap_or(CANCEL_GRACE_MS_DEFAULT),
                0..=CANCEL_GRACE_MS_MAX,
            )?,
        })
    }
}

/// The protocol wants an absolute path.
fn absolute(cwd: Option<&Path>) -> Result<PathBuf, String> {
    let cwd = cwd.unwrap_or(Path::new("."));
    let path = std::path::absolute(cwd);
    path.map_err(|_| "cwd is no path; give the directory that the agent works in".to_owned())
}

fn environment(
    mut env: BTreeMap<String, String>,
    passed: &[String],
    secrets: Secrets<'_>,
) -> Result<(BTreeMap<String, String>, Vec<String>), String> {
    let is_name = |name: &str| !name.is_empty() && !name.contains(['=', '\0']);
    if env.iter().any(|(name, value)| !is_name(name) || value.contains('\0')) {
        return Err("env holds what is no environment variable".to_owned());
    }
    if !passed.iter().all(|name| is_name(name)) {
        return Err("pass_env takes names of environment variables, not values".to_owned());
    }
    if let Some(name) = passed.iter().find(|name| env.contains_key(*name)) {
        return Err(format!("{name} is in both env and pass_env; leave one of them out"));
    }
    let mut missing = Vec::new();
    for name in passed {
        match secrets(name) {
            Some(value) => {
                env.insert(name.clone(), value);
            }
            None => missing.push(name.clone()),
        }
    }
    for &name in INHERITED {
        if let Some(value) = secrets(name) {
            env.entry(name.to_owned()).or_insert(value);
        }
    }
    Ok((env, missing))
}

fn within(key: &str, ms: u64, bounds: std::ops::RangeInclusive<u64>) -> Result<Duration, String> {
    if !bounds.contains(&ms) {
        return Err(format!("{key} = {ms}; use {} to {}", bounds.start(), bounds.end()));
    }
    Ok(Duration::from_millis(ms))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Settings, String> {
        let secrets = |name: &str| match name {
            "PATH" => Some("/bin".to_owned()),
            "TOKEN" => Some("hush".to_owned()),
            _ => None,
        };
        Settings::read("a", &toml::from_str(text).unwrap(), &secrets)
    }

    #[test]
    fn every_key_is_read() {
        let settings = read(
            "kind = 'acp'\ncommand = ['node', 'agent.js']\ncwd = '/w'\nenv = { A = '1' }\n\
             pass_env = ['TOKEN', 'NOT_THERE']\nmodel = 'm'\nmode = 'ask'\n\
             setup_timeout_ms = 7\ncancel_grace_ms = 0\n",
        )
        .unwrap();
        assert_eq!(
            (settings.program.as_str(), &settings.args[..]),
            ("node", &["agent.js".into()][..])
        );
        assert_eq!(settings.cwd, Path::new("/w"));
        let env: Vec<_> = settings.env.iter().map(|(k, v)| format!("{k}={v}")).collect();
        assert_eq!(env, ["A=1", "PATH=/bin", "TOKEN=hush"]);
        assert_eq!(settings.env_missing, ["NOT_THERE"]);
        assert_eq!((settings.model.as_deref(), settings.mode.as_deref()), (Some("m"), Some("ask")));
        assert_eq!(settings.setup_timeout, Duration::from_millis(7));
        assert_eq!(settings.cancel_grace, Duration::ZERO);
        assert!(!format!("{settings:?}").contains("hush"));
    }

    #[test]
    fn a_command_is_enough() {
        let settings = read("kind = 'acp'\ncommand = ['x']\n").unwrap();
        assert!(settings.cwd.is_absolute() && settings.args.is_empty());
        assert_eq!(settings.setup_timeout, Duration::from_secs(30));
    }

    #[test]
    fn what_is_wrong_is_named() {
        let refused = |text: &str, part: &str| {
            let problem = read(&format!("kind = 'acp'\n{text}")).unwrap_err();
            assert!(problem.contains(part), "{problem}");
            assert!(!problem.contains('\n') && !problem.contains("hush"), "{problem}");
        };
        refused("", "missing field `command`");
        refused("command = []", "command is empty");
        refused("command = 'node agent.js'", "expected a sequence");
        refused("command = ['x']\ncomand = 1", "unknown field `comand`");
        refused("command = ['x']\nenv = { 'A=B' = 'hush' }", "no environment variable");
        refused("command = ['x']\npass_env = ['A=hush']", "names of environment variables");
        refused("command = ['x']\nenv = { TOKEN = 'hush' }\npass_env = ['TOKEN']", "in both");
        refused("command = ['x']\nsetup_timeout_ms = 0", "use 1 to 600000");
        refused("command = ['x']\ncancel_grace_ms = 60001", "use 0 to 60000");
    }
}
