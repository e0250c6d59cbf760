//! A model behind an endpoint as a [`Provider`]; what is said over the wire is a [`Dialect`].

use std::fmt;
use std::marker::PhantomData;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use futures_util::stream::{self, StreamExt};
use scrollback_schema::ErrorCode;
use scrollback_schema::event::Phase;
use serde_json::Value;

use super::offer::offer;
use super::settings::{Habits, Settings};
use super::{Asked, Endpoint, Meter, Reply, saying};
use crate::provider::{Past, Provider, ProviderError, Role, Saying, Secrets, TurnRequest};

/// How one kind of endpoint is spoken with; pure.
pub(in crate::provider) trait Dialect: Send + Sync + 'static {
    /// What its table may leave out.
    const HABITS: Habits;

    /// The path of a turn's call below the address.
    const PATH: &'static str;

    /// The body of a request for a streamed answer.
    fn body(settings: &Settings, model: &str, history: &[Past]) -> Value;

    /// What takes the answer.
    fn reply(asked: Asked, meter: Meter) -> impl Reply;
}

/// A model behind an endpoint.
pub(in crate::provider) struct Model<D> {
    settings: Settings,
    endpoint: Endpoint,
    dialect: PhantomData<D>,
}

impl<D> fmt::Debug for Model<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Model { settings, endpoint, .. } = self;
        f.debug_struct("Model").field("at", endpoint).field("model", &settings.model).finish()
    }
}

impl<D: Dialect> Model<D> {
    /// A model as its table says.
    ///
    /// # Errors
    ///
    /// A sentence about the table.
    pub(in crate::provider) fn new(
        table: &toml::Table,
        secrets: Secrets<'_>,
    ) -> Result<Model<D>, String> {
        let settings = Settings::read(table, &D::HABITS)?;
        let endpoint = Endpoint::new(&settings, secrets)?;
        Ok(Model { settings, endpoint, dialect: PhantomData })
    }

    async fn turn(&self, request: &TurnRequest) -> Result<Saying, ProviderError> {
        let model = request.model.as_ref().or(self.settings.model.as_ref()).ok_or_else(|| {
            let message = "no model: name one with the turn, or set model in the provider's table";
            ProviderError::new(ErrorCode::ProviderSetup, Phase::Setup, message)
        })?;
        let body = D::body(&self.settings, model, &request.history);
        let answer = self.endpoint.post(D::PATH, &body).await?;
        let reply = D::reply(answer.asked.clone(), self.settings.meter);
        saying(answer, reply, request.stop.clone()).await
    }

    /// Asks for one token, where there is no list to ask for.
    async fn smallest_turn(&self) -> Result<String, ProviderError> {
        let place = self.endpoint.place();
        let Some(model) = &self.settings.model else {
            return Ok(format!("{place} answers but lists no models, and none is configured"));
        };
        let hello = Past { role: Role::User, text: "Hi".to_owned(), attachments: Vec::new() };
        let mut body = D::body(&self.settings, model, &[hello]);
        body["max_tokens"] = 1.into();
        self.endpoint.within_check(self.endpoint.post(D::PATH, &body)).await?;
        Ok(format!("{place} answers as \"{model}\" and lists no models"))
    }
}

impl<D: Dialect> Provider for Model<D> {
    fn start(&self, request: TurnRequest) -> BoxFuture<'_, Result<Saying, ProviderError>> {
        async move {
            tokio::select! {
                biased;
                // Whoever stopped the turn knows that it did: there is nothing to say.
                () = request.stop.cancelled() => Ok(stream::empty().boxed()),
                outcome = self.turn(&request) => outcome,
            }
        }
        .boxed()
    }

    fn check(&self) -> BoxFuture<'_, Result<String, ProviderError>> {
        async move {
            match self.endpoint.models().await? {
                Some(list) => {
                    Ok(offer(self.endpoint.place(), self.settings.model.as_deref(), &list))
                }
                None => self.smallest_turn().await,
            }
        }
        .boxed()
    }
}
