//! Plays the sample: each beat becomes events, appended as a producer would.

use anyhow::Context as _;
use scrollback_schema::event::{
    AssistantText, AssistantThinking, ChatCreated, Complete, Origin, StreamStarted, TurnError,
    UserText,
};
use scrollback_schema::{ChatId, Event, MessageId, NewEvent, Seq, TurnId, wire};

use super::at_speed;
use super::sample::{Beat, CHAT_TITLE, SAMPLE};
use crate::clock::Clock;
use crate::log::{Append, Log};

/// Words of one delta, and the pause before the next: about the pace of a hosted model.
const WORDS_A_DELTA: usize = 2;
const DELTA_MS: u64 = 45;

/// Plays the sample into a new chat; returns the last seq.
pub(super) async fn play(log: &Log, chat: ChatId, speed: f64) -> anyhow::Result<Seq> {
    let created = ChatCreated { title: Some(CHAT_TITLE.to_owned()), ..ChatCreated::default() };
    let created = NewEvent::of_chat(Event::ChatCreated(created));
    log.append(Append::new(chat.clone(), vec![created])?).await?;
    let mut player = Player { log, chat, speed, turn: None };
    for beat in SAMPLE {
        player.beat(beat).await?;
    }
    Ok(log.head())
}

struct Player<'a> {
    log: &'a Log,
    chat: ChatId,
    speed: f64,
    turn: Option<(TurnId, MessageId)>,
}

impl Player<'_> {
    async fn beat(&mut self, beat: &Beat) -> anyhow::Result<()> {
        match *beat {
            Beat::Ask(text) => self.ask(text).await,
            Beat::Pause(ms) => {
                self.pause(ms).await;
                Ok(())
            }
            Beat::Think(text) => {
                let thinking = |piece| AssistantThinking { thinking: piece };
                self.speak(text, |piece| Event::AssistantThinking(thinking(piece))).await
            }
            Beat::Say(text) => {
                self.speak(text, |text| Event::AssistantText(AssistantText { text })).await
            }
            Beat::Event(kind, payload) => {
                let event = wire::parse_payload(kind, payload)
                    .with_context(|| format!("a {} of the sample is malformed", kind.name()))?;
                self.append(event).await
            }
            Beat::Fail(code, message) => {
                let (phase, retryable) =
                    (scrollback_schema::event::Phase::Stream, code.is_retryable());
                let message = message.to_owned();
                let failed = TurnError { code, message, phase, retryable, duration_ms: 0 };
                self.append(Event::Error(failed)).await?;
                self.turn = None;
                Ok(())
            }
            Beat::Done => {
                self.append(Event::Complete(Complete::default())).await?;
                self.turn = None;
                Ok(())
            }
        }
    }

    /// The user's message and the start of the turn that answers it: one append, as over HTTP.
    async fn ask(&mut self, text: &str) -> anyhow::Result<()> {
        let fresh = || Clock::System.fresh_id();
        let (turn, message) = (TurnId::parse(&fresh())?, MessageId::parse(&fresh())?);
        let user_message = MessageId::parse(&fresh())?;
        let user_text = UserText { text: text.to_owned(), attachments: Vec::new() };
        let started = StreamStarted {
            provider: "demo".to_owned(),
            model: Some("sample".to_owned()),
            user_message_id: Some(user_message.clone()),
            origin: Origin::User,
        };
        let events = vec![
            NewEvent { message: Some(user_message), turn: None, event: Event::UserText(user_text) },
            NewEvent::of_turn(turn.clone(), message.clone(), Event::StreamStarted(started)),
        ];
        self.log.append(Append::new(self.chat.clone(), events)?).await?;
        self.turn = Some((turn, message));
        Ok(())
    }

    async fn speak(&self, text: &str, event: impl Fn(String) -> Event) -> anyhow::Result<()> {
        let words: Vec<&str> = text.split_inclusive(' ').collect();
        for piece in words.chunks(WORDS_A_DELTA) {
            self.append(event(piece.concat())).await?;
            self.pause(DELTA_MS).await;
        }
        Ok(())
    }

    async fn append(&self, event: Event) -> anyhow::Result<()> {
        let (turn, message) = self.turn.clone().context("the sample speaks outside of a turn")?;
        let event = NewEvent::of_turn(turn, message, event);
        self.log.append(Append::new(self.chat.clone(), vec![event])?).await?;
        Ok(())
    }

    async fn pause(&self, ms: u64) {
        tokio::time::sleep(at_speed(ms, self.speed)).await;
    }
}

#[cfg(test)]
mod tests {
    use scrollback_schema::Kind;

    use super::*;

    #[test]
    fn the_sample_is_well_formed_and_ends_every_turn() {
        let (mut is_open, mut n_turns) = (false, 0);
        for beat in SAMPLE {
            match beat {
                Beat::Ask(_) => {
                    assert!(!is_open, "turn {n_turns} is open");
                    (is_open, n_turns) = (true, n_turns + 1);
                }
                Beat::Done | Beat::Fail(..) => {
                    assert!(is_open);
                    is_open = false;
                }
                Beat::Event(kind, payload) => {
                    assert!(is_open && kind.is_turn_content() && *kind != Kind::StreamStarted);
                    wire::parse_payload(*kind, payload).unwrap();
                }
                Beat::Say(_) | Beat::Think(_) => assert!(is_open),
                Beat::Pause(_) => {}
            }
        }
        assert!(!is_open && n_turns >= 4);
    }
}
