//! Agents as processes that speak the Agent Client Protocol, version 1, over stdin and stdout.
//!
//! A process a turn: nothing of one chat can leak into another, a crash costs one turn, and what an
//! agent keeps warm is not ours to guess. The price is its start at every turn. What it remembers
//! is its session, which the next turn resumes or loads; an agent that can do neither is told the
//! conversation so far in front of the user's message.
//!
//! Files and terminals are not offered: the agent uses its own. What an agent says beyond text,
//! thoughts, tools, plans, usage, titles and modes is not kept: images, sounds, commands.
//!
//! Stop reasons: `end_turn` and `cancelled` end the turn well; `refusal` is `provider_refused`;
//! `max_tokens` and `max_turn_requests` are `output_too_long`, since nobody should take a cut
//! answer for a whole one.
//!
//! The framing is our own, and not that of the crate `agent-client-protocol` (5.2): it reads lines
//! of any length, has no place for an update that it does not know, runs processes beside tokio's,
//! and is in its fifth major; what is needed of it is a dozen shapes.
//!
//! `settings` is the table, `process` the process, `wire` the pipes, `session` set-up, `turn` the
//! turn; `update`, `question`, `prompt` and `failure` are pure.

mod failure;
mod process;
mod prompt;
mod question;
mod session;
mod settings;
mod turn;
mod update;
mod wire;

use std::sync::Arc;

use futures_util::future::BoxFuture;
use futures_util::{FutureExt, StreamExt, stream};
use tokio::time::timeout;

use self::session::{Agent, Introduction};
use self::settings::Settings;
use super::{Provider, ProviderError, Saying, Secrets, TurnRequest};

/// Runs an agent's process for each turn.
#[derive(Debug)]
pub(super) struct Acp {
    settings: Arc<Settings>,
}

impl Acp {
    /// Builds the provider from the table of this name.
    ///
    /// # Errors
    ///
    /// A sentence that says what to write instead.
    pub(super) fn build(
        name: &str,
        table: &toml::Table,
        secrets: Secrets<'_>,
    ) -> Result<Acp, String> {
        let settings = Arc::new(Settings::read(name, table, secrets)?);
        Ok(Acp { settings })
    }

    async fn run(&self, request: TurnRequest) -> Result<Saying, ProviderError> {
        let limit = self.settings.setup_timeout;
        let set_up = timeout(limit, async {
            let (mut agent, can) = Agent::start(&self.settings).await?;
            let (noted, model) = (request.session.as_ref(), request.model.as_deref());
            let session = agent.open(&self.settings, &can, noted, model).await?;
            Ok((agent, session))
        });
        let (agent, session) = tokio::select! {
            biased;
            // Nothing was asked yet that could be cancelled: the process just goes.
            () = request.stop.cancelled() => return Ok(stream::empty().boxed()),
            set_up = set_up => set_up.unwrap_or_else(|_| Err(failure::too_slow(limit)))?,
        };
        Ok(turn::begin(&self.settings, agent, session, &request))
    }

    async fn introduce(&self) -> Result<String, ProviderError> {
        let limit = self.settings.setup_timeout;
        let started = timeout(limit, Agent::start(&self.settings)).await;
        let (agent, introduction) = started.unwrap_or_else(|_| Err(failure::too_slow(limit)))?;
        agent.leave().await;
        let Introduction { who, can_load, can_resume } = introduction;
        let remembers = match can_load || can_resume {
            true => "resumes its sessions",
            false => "opens a session a turn",
        };
        Ok(format!("{who} speaks ACP 1 and {remembers}"))
    }
}

impl Provider for Acp {
    fn start(&self, request: TurnRequest) -> BoxFuture<'_, Result<Saying, ProviderError>> {
        self.run(request).boxed()
    }

    /// Starts the agent, shakes hands and lets it go; opens no session.
    fn check(&self) -> BoxFuture<'_, Result<String, ProviderError>> {
        self.introduce().boxed()
    }
}
