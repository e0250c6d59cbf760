//! Plays one script into one turn: steps become what a provider says, pauses pass by tokio's time.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::{StreamExt, stream};
use scrollback_schema::event::{
    AssistantText, AssistantThinking, ElicitationRequest, PermissionRequest, Phase, RequestOutcome,
};
use scrollback_schema::{Event, RequestId, TurnId};
use tokio::sync::{mpsc, oneshot};
use tokio_stream::wrappers::ReceiverStream;

use super::at_speed;
use super::script::{PermissionStep, QuestionStep, Script, Step};
use crate::clock::Clock;
use crate::provider::{Answer, Ask, ProviderError, Question, Said, Saying, TurnRequest};

/// Plays a script; the stream ends where the script does, or when the turn is stopped.
pub(super) fn play(script: Arc<Script>, request: &TurnRequest, prompt: &str, speed: f64) -> Saying {
    // One thing on its way at most: the player waits for its listener as a socket would.
    let (says, hears) = mpsc::channel(1);
    let stop = request.stop.clone();
    let mut player = Player {
        turn: request.turn.clone(),
        prompt: prompt.to_owned(),
        answer: String::new(),
        n_asked: 0,
        speed,
        script: Arc::clone(&script),
        says,
    };
    let playing = async move {
        let played = player.steps(&script.steps);
        tokio::select! {
            biased;
            () = stop.cancelled(), if !script.ignore_stop => {}
            _ = played => {}
        }
    };
    let ended = stream::once(playing).filter_map(|()| std::future::ready(None));
    stream::select(ReceiverStream::new(hears), ended).boxed()
}

/// The play is over before its last step: it failed, or nobody listens.
struct Over;

struct Player {
    turn: TurnId,
    prompt: String,
    /// The last answer to a question, as JSON without its quotes.
    answer: String,
    n_asked: usize,
    speed: f64,
    script: Arc<Script>,
    says: mpsc::Sender<Result<Said, ProviderError>>,
}

impl Player {
    /// Plays steps; boxed, since steps nest.
    fn steps<'a>(&'a mut self, steps: &'a [Step]) -> BoxFuture<'a, Result<(), Over>> {
        Box::pin(async move {
            for step in steps {
                self.step(step).await?;
            }
            Ok(())
        })
    }

    async fn step(&mut self, step: &Step) -> Result<(), Over> {
        match step {
            Step::Say(text) => {
                let text = self.filled(text);
                self.speak(&text, |text| Event::AssistantText(AssistantText { text })).await
            }
            Step::Think(text) => {
                let thinking = |thinking| AssistantThinking { thinking };
                let text = self.filled(text);
                self.speak(&text, |text| Event::AssistantThinking(thinking(text))).await
            }
            Step::Pause(pause) => {
                self.pause(*pause).await;
                Ok(())
            }
            Step::Event(event) => self.say(Ok(Said::Event((**event).clone()))).await,
            Step::Permission(step) => self.permission(step).await,
            Step::Question(step) => self.question(step).await,
            Step::Repeat(repeat) => {
                for _ in 0..repeat.times {
                    self.steps(&repeat.steps).await?;
                }
                Ok(())
            }
            Step::Fail(fail) => {
                self.say(Err(fail.error(Phase::Stream))).await?;
                Err(Over)
            }
            Step::Hang => std::future::pending().await,
            Step::Panic(words) => panic!("{words}"),
        }
    }

    /// Says a text in pieces, a pause after each.
    async fn speak(&mut self, text: &str, event: impl Fn(String) -> Event) -> Result<(), Over> {
        let words: Vec<&str> = text.split_inclusive(' ').collect();
        for piece in words.chunks(self.script.piece_words) {
            self.say(Ok(Said::Event(event(piece.concat())))).await?;
            self.pause(self.script.pace).await;
        }
        Ok(())
    }

    async fn permission(&mut self, step: &PermissionStep) -> Result<(), Over> {
        let expires_at = step.expires.map(|after| {
            let ms = at_speed(after, self.speed).as_millis();
            Clock::System.now().plus_ms(i64::try_from(ms).unwrap_or(i64::MAX))
        });
        let question = Question::Permission(PermissionRequest {
            request_id: self.request_id(&step.id),
            tool: step.tool.clone(),
            options: step.options.clone(),
            expires_at,
        });
        let answer = self.ask(question).await?;
        let chosen = answer.option_id.as_deref();
        self.go_on(&step.on, chosen, answer.outcome).await
    }

    async fn question(&mut self, step: &QuestionStep) -> Result<(), Over> {
        let question = Question::Elicitation(ElicitationRequest {
            request_id: self.request_id(&step.id),
            message: self.filled(&step.message),
            schema: step.schema.clone(),
        });
        let answer = self.ask(question).await?;
        let content = answer.content.as_ref().map_or("", |json| json.as_str());
        self.answer = content.trim_matches('"').to_owned();
        self.go_on(&step.on, None, answer.outcome).await
    }

    /// An id that no other turn of the chat has, and no other question of this one.
    fn request_id(&mut self, id: &str) -> RequestId {
        self.n_asked += 1;
        let named = format!("{}:{}:{id}", self.turn, self.n_asked);
        RequestId::parse(&named).unwrap_or_else(|_| {
            let short = Clock::System.fresh_id();
            RequestId::parse(&short).expect("a UUID is an id")
        })
    }

    async fn ask(&mut self, question: Question) -> Result<Answer, Over> {
        let (answer, answered) = oneshot::channel();
        self.say(Ok(Said::Ask(Ask { question, answer }))).await?;
        // Dropped without an answer, the turn has ended.
        answered.await.map_err(|_| Over)
    }

    /// Goes on with the steps of the option, of the outcome, or of every other answer.
    async fn go_on(
        &mut self,
        on: &BTreeMap<String, Vec<Step>>,
        option: Option<&str>,
        outcome: RequestOutcome,
    ) -> Result<(), Over> {
        let steps = option.and_then(|option| on.get(option));
        let steps = steps.or_else(|| on.get(outcome.name())).or_else(|| on.get("else"));
        match steps {
            Some(steps) => self.steps(steps).await,
            None => Ok(()),
        }
    }

    async fn say(&self, said: Result<Said, ProviderError>) -> Result<(), Over> {
        self.says.send(said).await.map_err(|_| Over)
    }

    async fn pause(&self, pause: Duration) {
        if !pause.is_zero() {
            tokio::time::sleep(at_speed(pause, self.speed)).await;
        }
    }

    fn filled(&self, text: &str) -> String {
        text.replace("{prompt}", &self.prompt).replace("{answer}", &self.answer)
    }
}

#[cfg(test)]
mod tests {
    use scrollback_schema::{ChatId, ErrorCode};
    use tokio_util::sync::CancellationToken;

    use super::*;

    fn play_script(script: &str, stop: &CancellationToken) -> Saying {
        let request = TurnRequest {
            chat: ChatId::parse("c").unwrap(),
            turn: TurnId::parse("t").unwrap(),
            model: None,
            history: Vec::new(),
            session: None,
            stop: stop.clone(),
        };
        play(Arc::new(Script::parse(script).unwrap()), &request, "Hello", 1.0)
    }

    /// All that is said, a line each; questions are answered as `answer` says.
    async fn said(script: &str, answer: Option<Answer>) -> String {
        let mut saying = play_script(script, &CancellationToken::new());
        let mut lines = Vec::new();
        while let Some(said) = saying.next().await {
            lines.push(match said {
                Ok(Said::Event(Event::AssistantText(said))) => said.text,
                Ok(Said::Event(event)) => event.kind().name().to_owned(),
                Ok(Said::Ask(ask)) => {
                    if let Some(answer) = &answer {
                        ask.answer.send(answer.clone()).unwrap();
                    }
                    "?".to_owned()
                }
                Err(error) => format!("{} {}", error.code.name(), error.phase.name()),
            });
        }
        lines.join("|")
    }

    #[tokio::test(start_paused = true)]
    async fn text_comes_in_pieces_and_repeats() {
        let script = "piece_words = 2\n[[step]]\nthink = 'hm'\n[[step]]\nsay = '{prompt} a b'\n\
                      [[step]]\n[step.repeat]\ntimes = 2\n[[step.repeat.step]]\nsay = 'x'";
        assert_eq!(said(script, None).await, "assistant_thinking|Hello a |b|x|x");
    }

    #[tokio::test(start_paused = true)]
    async fn a_failure_ends_the_play_where_it_stands() {
        let script = "[[step]]\nsay = 'a'\n[[step]]\nfail = { code = 'provider_auth' }\n\
                      [[step]]\nsay = 'b'";
        assert_eq!(said(script, None).await, "a|provider_auth stream");
        let cut = said("[[step]]\nsay = 'a'\n[[step]]\ncut = true", None).await;
        assert_eq!(cut, format!("a|{} stream", ErrorCode::ProviderTransport.name()));
        assert_eq!(said("", None).await, "");
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_leads_to_its_steps() {
        let script = "[[step]]\n[step.permission]\nid = 'p'\n\
                      options = [{ option_id = 'yes', name = 'Yes', kind = 'allow_once' }]\n\
                      [[step.permission.on.yes]]\nsay = 'done'\n\
                      [[step.permission.on.denied]]\nsay = 'well'\n[[step]]\nsay = 'end'";
        let answer = |outcome, option: Option<&str>| {
            Some(Answer { outcome, option_id: option.map(str::to_owned), content: None })
        };
        let yes = answer(RequestOutcome::Selected, Some("yes"));
        assert_eq!(said(script, yes).await, "?|done|end");
        let denied = answer(RequestOutcome::Denied, None);
        assert_eq!(said(script, denied).await, "?|well|end");
        assert_eq!(said(script, None).await, "?");
    }

    #[tokio::test(start_paused = true)]
    async fn a_stop_ends_the_play_unless_the_script_ignores_it() {
        let stop = CancellationToken::new();
        let mut saying = play_script("[[step]]\nsay = 'a'\n[[step]]\nhang = true", &stop);
        assert!(saying.next().await.is_some());
        stop.cancel();
        assert!(saying.next().await.is_none());
        let script = "ignore_stop = true\n[[step]]\npause_ms = 500\n[[step]]\nsay = 'late'";
        assert!(play_script(script, &stop).next().await.is_some());
    }
}
