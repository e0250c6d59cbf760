//! A provider that plays scripts: what `demo` shows, and what tests and benches need to happen.
//!
//! Which script answers a prompt is decided here, what a script may say in `script`, how it is
//! played in `play`. Five samples are built in; their names can stand where a file's path does.

mod play;
mod script;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::future::BoxFuture;
use scrollback_schema::ErrorCode;
use scrollback_schema::event::Phase;
use serde::Deserialize;

use super::{Past, Provider, ProviderError, Role, Saying, TurnRequest};
pub use script::{Script, ScriptError};

/// The scripts that are built in, each under the name by which a table or a model can ask for it.
pub const SAMPLES: &[(&str, &str)] = &[
    ("report", include_str!("samples/report.toml")),
    ("tools", include_str!("samples/tools.toml")),
    ("approval", include_str!("samples/approval.toml")),
    ("plan", include_str!("samples/plan.toml")),
    ("failure", include_str!("samples/failure.toml")),
];

/// The name that stands for all samples.
pub const ALL_SAMPLES: &str = "samples";

/// Bytes of a script file: a novel has less.
const SCRIPT_BYTES_MAX: u64 = 4 << 20;

/// Plays scripts.
#[derive(Debug)]
pub struct Scripted {
    /// By name, in the order given; at least one.
    scripts: Vec<(String, Arc<Script>)>,
    speed: f64,
    /// How many turns have found no script of theirs: the next one of those takes the next script.
    n_rotated: AtomicUsize,
}

/// The table of the configuration.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    #[serde(rename = "kind")]
    _kind: String,
    script: OneOrMore,
    #[serde(default = "at_speed_one")]
    speed: f64,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum OneOrMore {
    One(String),
    More(Vec<String>),
}

fn at_speed_one() -> f64 {
    1.0
}

impl Scripted {
    /// Builds the provider from its table: `script` is a file, the name of a sample, `samples` for
    /// all of them, or a list of these; `speed` divides all pauses.
    ///
    /// # Errors
    ///
    /// A sentence that says what to write instead.
    pub(super) fn build(table: &toml::Table) -> Result<Scripted, String> {
        let table: Table = table.clone().try_into().map_err(|error: toml::de::Error| {
            format!("{}; it takes script and speed", error.message())
        })?;
        if !(0.001..=1_000_000.0).contains(&table.speed) {
            return Err(format!("speed = {}; use 0.001 to 1000000", table.speed));
        }
        let named = match table.script {
            OneOrMore::One(script) => vec![script],
            OneOrMore::More(scripts) => scripts,
        };
        let mut scripts = Vec::new();
        for script in &named {
            load(script, &mut scripts)?;
        }
        if scripts.is_empty() {
            return Err("script names none; name a file, or \"samples\"".to_owned());
        }
        Ok(Scripted { scripts, speed: table.speed, n_rotated: AtomicUsize::new(0) })
    }

    /// A provider of these scripts, each with its name; plays `speed` times as fast as they say.
    ///
    /// # Panics
    ///
    /// If there is no script.
    pub fn new(scripts: Vec<(String, Script)>, speed: f64) -> Scripted {
        assert!(!scripts.is_empty(), "a scripted provider has something to play");
        let scripts = scripts.into_iter().map(|(name, script)| (name, Arc::new(script))).collect();
        Scripted { scripts, speed, n_rotated: AtomicUsize::new(0) }
    }

    /// The script of a turn: the one that the model names, else the first one with a keyword that
    /// is in the prompt, else the next one in turn.
    fn choose(&self, request: &TurnRequest) -> Result<Arc<Script>, ProviderError> {
        if let Some(model) = &request.model {
            let found = self.scripts.iter().find(|(name, _)| name == model);
            return found.map(|(_, script)| Arc::clone(script)).ok_or_else(|| {
                let message =
                    format!("there is no script \"{model}\"; there are: {}", self.names());
                ProviderError::new(ErrorCode::ProviderSetup, Phase::Setup, message)
            });
        }
        let prompt = prompt(&request.history).to_lowercase();
        let by_word = self.scripts.iter().find(|(_, script)| script.is_asked_for(&prompt));
        let (_, script) = by_word.unwrap_or_else(|| {
            let n = self.n_rotated.fetch_add(1, Ordering::Relaxed);
            &self.scripts[n % self.scripts.len()]
        });
        Ok(Arc::clone(script))
    }

    fn names(&self) -> String {
        self.scripts.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(", ")
    }
}

/// What the user said last.
fn prompt(history: &[Past]) -> &str {
    let said = history.iter().rev().find(|past| past.role == Role::User);
    said.map_or("", |past| past.text.as_str())
}

fn load(named: &str, scripts: &mut Vec<(String, Arc<Script>)>) -> Result<(), String> {
    let sample = |name: &str, text: &str| {
        let script = Script::parse(text).expect("the samples are tested");
        (name.to_owned(), Arc::new(script))
    };
    if named == ALL_SAMPLES {
        scripts.extend(SAMPLES.iter().map(|(name, text)| sample(name, text)));
        return Ok(());
    }
    if let Some((name, text)) = SAMPLES.iter().find(|(name, _)| *name == named) {
        scripts.push(sample(name, text));
        return Ok(());
    }
    let path = Path::new(named);
    let unreadable = |why: String| {
        let samples = SAMPLES.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
        format!("script {named} cannot be read ({why}); give a file, or one of: {samples}, samples")
    };
    let size = std::fs::metadata(path).map_err(|error| unreadable(error.to_string()))?.len();
    if size > SCRIPT_BYTES_MAX {
        return Err(unreadable(format!("it has more than {SCRIPT_BYTES_MAX} bytes")));
    }
    let text = std::fs::read_to_string(path).map_err(|error| unreadable(error.to_string()))?;
    let script = Script::parse(&text).map_err(|error| format!("script {named}: {error}"))?;
    let name = path.file_stem().map_or(named.into(), |stem| stem.to_string_lossy());
    scripts.push((name.into_owned(), Arc::new(script)));
    Ok(())
}

impl Provider for Scripted {
    fn start(&self, request: TurnRequest) -> BoxFuture<'_, Result<Saying, ProviderError>> {
        Box::pin(async move {
            let script = self.choose(&request)?;
            tokio::time::sleep(at_speed(script.setup, self.speed)).await;
            match script.setup_failure() {
                Some(failure) => Err(failure.error(Phase::Setup)),
                None => Ok(play::play(script, &request, prompt(&request.history), self.speed)),
            }
        })
    }

    fn check(&self) -> BoxFuture<'_, Result<String, ProviderError>> {
        let found = format!("{} scripts: {}", self.scripts.len(), self.names());
        Box::pin(std::future::ready(Ok(found)))
    }
}

fn at_speed(time: Duration, speed: f64) -> Duration {
    time.div_f64(speed)
}

/// The table of a provider that plays all samples, `speed` times as fast as they say.
pub fn samples_table(speed: f64) -> toml::Table {
    let mut table = toml::Table::new();
    table.insert("kind".to_owned(), "scripted".into());
    table.insert("script".to_owned(), ALL_SAMPLES.into());
    table.insert("speed".to_owned(), speed.into());
    table
}

#[cfg(test)]
mod tests {
    use futures_util::StreamExt;
    use scrollback_schema::{ChatId, TurnId};
    use tokio_util::sync::CancellationToken;

    use super::*;

    fn request(text: &str, model: Option<&str>) -> TurnRequest {
        TurnRequest {
            chat: ChatId::parse("c").unwrap(),
            turn: TurnId::parse("t").unwrap(),
            model: model.map(str::to_owned),
            history: vec![Past {
                role: Role::User,
                text: text.to_owned(),
                attachments: Vec::new(),
            }],
            session: None,
            stop: CancellationToken::new(),
        }
    }

    fn provider(table: &str) -> Result<Scripted, String> {
        let table: toml::Table = toml::from_str(table).unwrap();
        Scripted::build(&table)
    }

    #[test]
    fn a_prompt_finds_its_script_and_all_others_take_turns() {
        let provider = provider("kind = 'scripted'\nscript = 'samples'").unwrap();
        let chosen = |text: &str, model| {
            let script = provider.choose(&request(text, model)).unwrap();
            let at = provider.scripts.iter().position(|(_, other)| Arc::ptr_eq(other, &script));
            provider.scripts[at.unwrap()].0.clone()
        };
        assert_eq!(chosen("Please make a PLAN", None), "plan");
        assert_eq!(chosen("please make a plan", Some("tools")), "tools");
        let shown: Vec<String> = (0..5).map(|_| chosen("zzz", None)).collect();
        assert_eq!(shown, ["report", "tools", "approval", "plan", "failure"]);
        let unknown = provider.choose(&request("x", Some("gpt"))).unwrap_err();
        assert_eq!((unknown.code, unknown.phase), (ErrorCode::ProviderSetup, Phase::Setup));
        assert!(unknown.message.contains("report, tools"), "{unknown}");
    }

    #[test]
    fn a_wrong_table_is_said_with_what_to_write() {
        let refused = |table: &str, part: &str| {
            let error = provider(table).unwrap_err();
            assert!(error.contains(part), "{error}");
        };
        refused("kind = 'scripted'", "script");
        refused("kind = 'scripted'\nscript = 'nowhere.toml'", "report, tools");
        refused("kind = 'scripted'\nscript = []", "names none");
        refused("kind = 'scripted'\nscript = 'plan'\nspeed = 0.0", "speed = 0");
        refused("kind = 'scripted'\nscript = 'plan'\nspeeed = 2.0", "speeed");
    }

    #[tokio::test(start_paused = true)]
    async fn every_sample_plays_to_its_end() {
        for (name, _) in SAMPLES {
            let provider =
                provider(&format!("kind = 'scripted'\nscript = '{name}'\nspeed = 50.0")).unwrap();
            let mut saying = provider.start(request("x", None)).await.unwrap();
            let (mut n_said, mut failure) = (0, None);
            while let Some(said) = saying.next().await {
                match said {
                    // A question that nobody answers ends as one that was put aside.
                    Ok(said) => drop(said),
                    Err(error) => failure = Some(error),
                }
                n_said += 1;
            }
            assert!(n_said > 10, "{name} says {n_said} things");
            assert_eq!(failure.is_some(), *name == "failure", "{name}: {failure:?}");
        }
    }
}
