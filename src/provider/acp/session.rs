//! Set-up: from a started process to a session with the right model and mode.
//!
//! A session that this provider noted in the chat is resumed (`session/resume`, which replays
//! nothing), else loaded (`session/load`, whose replay is skipped), if the agent can; where that
//! fails, a new one is opened and told the conversation so far.

use std::path::Path;
use std::time::Duration;

use scrollback_schema::event::{self, JsonText, Phase};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Value, json};
use tokio::time::timeout;

use super::failure;
use super::process::Process;
use super::prompt::Memory;
use super::settings::Settings;
use super::update::{Heard, Updates};
use super::wire::{Broken, Message, RpcError, Wire};
use crate::provider::ProviderError;

/// The version of the protocol that is spoken here.
const PROTOCOL_VERSION: u64 = 1;

/// A running agent and its pipes.
#[derive(Debug)]
pub(super) struct Agent {
    process: Process,
    pub(super) wire: Wire,
    /// Whether the process has exited; its last words may still be in the pipe.
    has_exited: bool,
    /// What the session has cost so far in US dollars, if set-up told.
    session_usd: Option<f64>,
}

/// How long the last words of an agent that has exited are waited for: they are in the pipe, but
/// somebody who left its process group may hold that open.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// What an agent says of itself.
#[derive(Debug)]
pub(super) struct Introduction {
    /// Its name and version, as far as it says.
    pub(super) who: String,
    /// `session/load` works.
    pub(super) can_load: bool,
    /// `session/resume` works.
    pub(super) can_resume: bool,
}

/// What is kept of a session between two turns, as the `data` of a `session` event.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Noted {
    /// The provider that opened it: no other one resumes it.
    #[serde(default)]
    pub(super) provider: String,
    /// The title that the agent gave it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) title: Option<String>,
    /// The mode it is in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) mode: Option<String>,
    /// What it has cost, in US dollars.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) cost_usd: Option<f64>,
}

/// An open session.
#[derive(Debug)]
pub(super) struct Session {
    /// The agent's id of it.
    pub(super) id: String,
    /// The directory it works in.
    pub(super) cwd: String,
    /// Whether the agent remembers the conversation.
    pub(super) memory: Memory,
    /// What is kept of it.
    pub(super) noted: Noted,
    /// What it had cost before this turn, in US dollars, if that is known.
    pub(super) usd_before: Option<f64>,
}

impl Session {
    /// The event that keeps it.
    pub(super) fn event(&self) -> event::Session {
        let data = serde_json::to_string(&self.noted).ok();
        event::Session {
            session_id: Some(self.id.clone()),
            cwd: Some(self.cwd.clone()),
            data: data.and_then(|data| JsonText::parse(&data).ok()),
        }
    }
}

/// A setting of a session: the option that stands for it, and what came before options.
struct Setting {
    /// Category of the option, and its usual id.
    category: &'static str,
    /// The older call.
    older_method: &'static str,
    /// The older call's name for the value.
    older_key: &'static str,
    /// Where a new session states the older setting, and the present value within.
    older_state: (&'static str, &'static str),
}

const MODEL: Setting = Setting {
    category: "model",
    older_method: "session/set_model",
    older_key: "modelId",
    older_state: ("models", "currentModelId"),
};

const MODE: Setting = Setting {
    category: "mode",
    older_method: "session/set_mode",
    older_key: "modeId",
    older_state: ("modes", "currentModeId"),
};

impl Agent {
    /// Starts the agent and shakes hands.
    pub(super) async fn start(settings: &Settings) -> Result<(Agent, Introduction), ProviderError> {
        let (process, stdin, stdout) = Process::start(settings)?;
        let wire = Wire::new(stdin, stdout);
        let mut agent = Agent { process, wire, has_exited: false, session_usd: None };
        let hello = json!({
            "protocolVersion": PROTOCOL_VERSION,
            // A server has no editor: files and terminals are the agent's own business.
            "clientCapabilities": {
                "fs": {"readTextFile": false, "writeTextFile": false},
                "terminal": false,
                "elicitation": {"form": {}},
            },
            "clientInfo": {
                "name": "scrollback",
                "title": "Scrollback",
                "version": env!("CARGO_PKG_VERSION"),
            },
        });
        let said = agent.call("initialize", &hello).await?;
        let said = said.map_err(|error| failure::set_up(error, "to introduce itself"))?;
        let introduction = introduction(&said)?;
        Ok((agent, introduction))
    }

    /// Opens a session: the one that was noted, if that can be, else a new one.
    pub(super) async fn open(
        &mut self,
        settings: &Settings,
        can: &Introduction,
        noted: Option<&event::Session>,
        model: Option<&str>,
    ) -> Result<Session, ProviderError> {
        let cwd = settings.cwd.to_string_lossy().into_owned();
        let resumed = match noted.and_then(|noted| resumable(settings, &cwd, noted)) {
            Some((id, noted)) => self.resume(can, &cwd, id, noted).await?,
            None => None,
        };
        let (mut session, opened) = match resumed {
            Some(resumed) => resumed,
            None => self.open_new(settings, cwd).await?,
        };
        if let Some(model) = model.or(settings.model.as_deref()) {
            self.switch(&session.id, &MODEL, model, &opened).await?;
        }
        if let Some(mode) = &settings.mode {
            self.switch(&session.id, &MODE, mode, &opened).await?;
            session.noted.mode = Some(mode.clone());
        }
        Ok(session)
    }

    async fn resume(
        &mut self,
        can: &Introduction,
        cwd: &str,
        id: String,
        noted: Noted,
    ) -> Result<Option<(Session, Value)>, ProviderError> {
        let method = match (can.can_resume, can.can_load) {
            (true, _) => "session/resume",
            (false, true) => "session/load",
            (false, false) => return Ok(None),
        };
        let params = json!({"sessionId": id, "cwd": cwd, "mcpServers": []});
        let opened = match self.call(method, &params).await? {
            Ok(opened) => parsed(&opened, method)?,
            Err(error) if error.code == RpcError::AUTH_REQUIRED => {
                return Err(failure::set_up(error, "to resume its session"));
            }
            // It has forgotten the session; a new one is told the conversation.
            Err(_) => return Ok(None),
        };
        let usd_before = self.session_usd.or(noted.cost_usd);
        let (cwd, memory) = (cwd.to_owned(), Memory::Kept);
        Ok(Some((Session { id, cwd, memory, noted, usd_before }, opened)))
    }

    async fn open_new(
        &mut self,
        settings: &Settings,
        cwd: String,
    ) -> Result<(Session, Value), ProviderError> {
        let params = json!({"cwd": cwd, "mcpServers": []});
        let said = self.call("session/new", &params).await?;
        let said = said.map_err(|error| failure::set_up(error, "to open a session"))?;
        let opened = parsed(&said, "session/new")?;
        let id = opened["sessionId"].as_str().map(str::to_owned);
        let id = id.ok_or_else(|| failure::shapeless("session/new", Phase::Setup))?;
        let noted = Noted { provider: settings.name.clone(), ..Noted::default() };
        let (memory, usd_before) = (Memory::None, Some(0.0));
        Ok((Session { id, cwd, memory, noted, usd_before }, opened))
    }

    /// Sets an option of the session, by the older call where the agent does not know options.
    async fn switch(
        &mut self,
        session: &str,
        setting: &Setting,
        value: &str,
        opened: &Value,
    ) -> Result<(), ProviderError> {
        let options = || opened["configOptions"].as_array().into_iter().flatten();
        let option = options()
            .find(|option| option["category"] == setting.category)
            .or_else(|| options().find(|option| option["id"] == setting.category));
        let older = &opened[setting.older_state.0];
        let present = option.map_or(&older[setting.older_state.1], |it| &it["currentValue"]);
        if present == value {
            return Ok(());
        }
        let id = option.and_then(|option| option["id"].as_str()).unwrap_or(setting.category);
        let by_option = json!({"sessionId": session, "configId": id, "value": value});
        let by_older = json!({"sessionId": session, setting.older_key: value});
        let mut calls =
            vec![("session/set_config_option", by_option), (setting.older_method, by_older)];
        if option.is_none() && older.is_object() {
            calls.swap(0, 1);
        }
        for (method, params) in calls {
            match self.call(method, &params).await? {
                Ok(_) => return Ok(()),
                Err(error) if error.code == RpcError::METHOD_NOT_FOUND => {}
                Err(error) if error.code == RpcError::AUTH_REQUIRED => {
                    return Err(failure::set_up(error, "to be set"));
                }
                Err(_) => break,
            }
        }
        Err(failure::setting_refused(setting.category, value))
    }

    /// Asks in set-up and waits for the answer. What else the agent says then is history, which
    /// the log has; what it asks is refused, since no turn is there to ask anybody.
    async fn call(
        &mut self,
        method: &str,
        params: &Value,
    ) -> Result<Result<Box<RawValue>, RpcError>, ProviderError> {
        let asked = self.wire.request(method, params);
        loop {
            match self.receive().await {
                Ok(Message::Response { id, result }) if id == asked => return Ok(result),
                Ok(Message::Response { .. }) => {}
                Ok(Message::Request { id, method, .. }) => match dismissal(&method) {
                    Some(dismissal) => self.wire.answer(&id, &dismissal),
                    None => self.wire.refuse(&id, &method),
                },
                Ok(Message::Notification { method, params }) if method == "session/update" => {
                    if let Some(usd) = cost_of(&params) {
                        self.session_usd = Some(usd);
                    }
                }
                Ok(Message::Notification { .. }) => {}
                Err(broken) => return Err(self.lost(broken, Phase::Setup).await),
            }
        }
    }

    /// Waits for the next message; ends with the process, whoever holds its output open.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost: the next call goes on.
    pub(super) async fn receive(&mut self) -> Result<Message, Broken> {
        if !self.has_exited {
            tokio::select! {
                biased;
                message = self.wire.receive() => return message,
                _ = self.process.gone() => self.has_exited = true,
            }
        }
        timeout(LAST_WORDS, self.wire.receive()).await.unwrap_or(Err(Broken::Ended))
    }

    /// Why nothing more comes.
    pub(super) async fn lost(&mut self, broken: Broken, phase: Phase) -> ProviderError {
        match broken {
            Broken::Ended => failure::crashed(&self.process.ended().await, phase),
            other => failure::broken(other, phase),
        }
    }

    /// Lets the agent go in peace.
    pub(super) async fn leave(mut self) {
        self.wire.close();
        self.process.leave().await;
    }
}

/// The answer to a question that nobody will be asked; none if it is no question.
pub(super) fn dismissal(method: &str) -> Option<Value> {
    match method {
        "session/request_permission" => Some(json!({"outcome": {"outcome": "cancelled"}})),
        "elicitation/create" => Some(json!({"action": "cancel"})),
        _ => None,
    }
}

/// A `session/update`: the session it is of, and what it says.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct UpdateParams<'a> {
    #[serde(default)]
    pub(super) session_id: String,
    #[serde(borrow)]
    pub(super) update: &'a RawValue,
}

fn cost_of(params: &RawValue) -> Option<f64> {
    let params: UpdateParams<'_> = serde_json::from_str(params.get()).ok()?;
    match Updates::default().read(params.update) {
        Heard::Usage { session_usd, .. } => session_usd,
        _ => None,
    }
}

fn introduction(said: &RawValue) -> Result<Introduction, ProviderError> {
    let said = parsed(said, "initialize")?;
    match said["protocolVersion"].as_u64() {
        Some(PROTOCOL_VERSION) => {}
        Some(version) => return Err(failure::other_version(version, PROTOCOL_VERSION)),
        None => return Err(failure::shapeless("initialize", Phase::Setup)),
    }
    let part = |key: &str| said["agentInfo"][key].as_str().map(short);
    let who = part("title").or(part("name")).unwrap_or_else(|| "an agent".to_owned());
    let who = part("version").map_or(who.clone(), |version| format!("{who} {version}"));
    let can = &said["agentCapabilities"];
    Ok(Introduction {
        who,
        can_load: can["loadSession"] == true,
        can_resume: can["sessionCapabilities"]["resume"].is_object(),
    })
}

/// A name that fits into a sentence.
fn short(name: &str) -> String {
    name.chars().filter(|c| !c.is_control()).take(60).collect()
}

fn parsed(said: &RawValue, method: &str) -> Result<Value, ProviderError> {
    serde_json::from_str(said.get()).map_err(|_| failure::shapeless(method, Phase::Setup))
}

/// The noted session, if this provider opened it and works in the same place.
fn resumable(settings: &Settings, cwd: &str, noted: &event::Session) -> Option<(String, Noted)> {
    let data = noted.data.as_ref()?.as_str();
    let kept: Noted = serde_json::from_str(data).ok()?;
    let same_place = noted.cwd.as_deref().is_some_and(|noted| Path::new(noted) == Path::new(cwd));
    let id = noted.session_id.clone()?;
    (kept.provider == settings.name && same_place).then_some((id, kept))
}
