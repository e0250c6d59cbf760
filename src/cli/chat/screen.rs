//! What a person sees of a turn: the answer on stdout, all else on stderr, each where it comes.
//!
//! With both on one terminal they read as one text; `chat … > file` keeps the answer alone.
//! Colours are left out where stderr is no terminal, or `NO_COLOR` is set.

use std::io::{IsTerminal, Write};

use anstyle::{AnsiColor, Style};
use scrollback_schema::event::{Plan, ToolEvent, TurnError, Usage};
use scrollback_schema::{ErrorCode, Event};

use crate::cli::output::Out;
use crate::inspect::duration_text;

const DIM: Style = Style::new().dimmed();
const BOLD: Style = Style::new().bold();
const RED: Style = AnsiColor::Red.on_default();
const GREEN: Style = AnsiColor::Green.on_default();
const YELLOW: Style = AnsiColor::Yellow.on_default();

/// What the last line holds that has not ended yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Line {
    Empty,
    Answer,
    Thinking,
}

/// Shows a turn.
pub(super) struct Screen<'o> {
    out: &'o mut Out,
    err: anstream::AutoStream<std::io::Stderr>,
    line: Line,
    /// Whether answer and talk come out at the same place.
    is_shared: bool,
    plan: Option<Plan>,
    usage: Option<Usage>,
}

impl<'o> Screen<'o> {
    pub(super) fn new(out: &'o mut Out) -> Screen<'o> {
        let is_shared = std::io::stdout().is_terminal() && std::io::stderr().is_terminal();
        let err = anstream::AutoStream::auto(std::io::stderr());
        Screen { out, err, line: Line::Empty, is_shared, plan: None, usage: None }
    }

    /// An envelope as it came, for programs.
    pub(super) fn envelope(&mut self, envelope: &str) -> std::io::Result<()> {
        self.out.line(envelope)?;
        self.out.flush()
    }

    /// Shows an event of the turn; what has an end of its own is shown by [`Screen::ended`].
    pub(super) fn event(&mut self, event: &Event) -> std::io::Result<()> {
        match event {
            Event::AssistantText(said) => self.answer(&said.text)?,
            Event::AssistantThinking(said) => self.thinking(&said.thinking),
            Event::ToolStarted(tool) => self.tool(tool, YELLOW, "…"),
            Event::ToolCompleted(tool) => self.tool(tool, GREEN, "✓"),
            Event::ToolFailed(tool) => self.tool(tool, RED, "✗"),
            Event::Plan(plan) => self.plan(plan),
            Event::PromptSuggestions(said) => {
                for suggestion in &said.suggestions {
                    self.talk(DIM, &format!("  try: {}", plain(suggestion)));
                }
            }
            Event::Usage(usage) => self.usage = Some(usage.clone()),
            _ => {}
        }
        Ok(())
    }

    fn answer(&mut self, text: &str) -> std::io::Result<()> {
        if self.line == Line::Thinking {
            self.break_line();
        }
        self.out.bytes(plain(text).as_bytes())?;
        self.out.flush()?;
        if !text.is_empty() {
            self.line = if text.ends_with('\n') { Line::Empty } else { Line::Answer };
        }
        Ok(())
    }

    fn thinking(&mut self, text: &str) {
        if self.line == Line::Answer {
            self.break_line();
        }
        let _ = write!(self.err, "{DIM}{}{DIM:#}", plain(text));
        let _ = self.err.flush();
        if !text.is_empty() {
            self.line = if text.ends_with('\n') { Line::Empty } else { Line::Thinking };
        }
    }

    fn tool(&mut self, tool: &ToolEvent, style: Style, sign: &str) {
        let title = tool.title.as_deref().unwrap_or(&tool.name);
        let error = tool.error.as_deref().map_or(String::new(), |error| format!(": {error}"));
        self.talk(style, &format!("{sign} {}", plain(&format!("{title}{error}"))));
    }

    fn plan(&mut self, plan: &Plan) {
        if self.plan.as_ref() == Some(plan) {
            return;
        }
        for entry in &plan.entries {
            let sign = match entry.status.as_str() {
                "completed" => "[x]",
                "in_progress" => "[>]",
                _ => "[ ]",
            };
            self.talk(DIM, &format!("  {sign} {}", plain(&entry.content)));
        }
        self.plan = Some(plan.clone());
    }

    /// The turn was completed.
    pub(super) fn completed(&mut self, duration_ms: u64) -> std::io::Result<()> {
        self.end_answer()?;
        let mut words = format!("completed in {}", duration_text(duration_ms));
        if let Some(usage) = self.usage.take() {
            for (n, what) in [(usage.input_tokens, "in"), (usage.output_tokens, "out")] {
                if let Some(n) = n {
                    words.push_str(&format!(", {n} tokens {what}"));
                }
            }
        }
        self.talk(DIM, &words);
        Ok(())
    }

    /// The turn failed; what was said stays above.
    pub(super) fn failed(&mut self, error: &TurnError) -> std::io::Result<()> {
        self.end_answer()?;
        let (code, message) = (error.code.name(), plain(&error.message));
        self.talk(RED, &format!("failed: {message} ({code}, {})", error.phase.name()));
        self.talk(DIM, what_to_do(error));
        Ok(())
    }

    /// The turn was interrupted; what was said stays above.
    pub(super) fn interrupted(&mut self, reason: &str) -> std::io::Result<()> {
        self.end_answer()?;
        self.talk(YELLOW, &format!("interrupted: {reason}"));
        Ok(())
    }

    /// A question that a person is asked, and the line to answer it on.
    pub(super) fn ask(&mut self, question: &str, options: &[String], prompt: &str) {
        self.talk(BOLD, &plain(question));
        for option in options {
            self.talk(Style::new(), &plain(option));
        }
        let _ = write!(self.err, "{prompt} ");
        let _ = self.err.flush();
    }

    /// One line of talk.
    pub(super) fn talk(&mut self, style: Style, words: &str) {
        self.break_line();
        let _ = writeln!(self.err, "{style}{words}{style:#}");
    }

    /// One line of talk without a colour.
    pub(super) fn say(&mut self, words: &str) {
        self.talk(DIM, words);
    }

    /// Ends the answer's last line, which the model need not have done.
    fn end_answer(&mut self) -> std::io::Result<()> {
        if self.line == Line::Answer {
            self.out.line("")?;
            self.line = Line::Empty;
        }
        self.out.flush()
    }

    /// Begins a new line for something else: never in a file that keeps the answer.
    fn break_line(&mut self) {
        let is_open = match self.line {
            Line::Empty => false,
            Line::Answer => self.is_shared,
            Line::Thinking => true,
        };
        if is_open {
            let _ = writeln!(self.err);
            self.line = Line::Empty;
        }
    }
}

/// A text that cannot steer the terminal: a model may have read anything.
fn plain(text: &str) -> String {
    let is_harmless = |c: &char| *c == '\n' || *c == '\t' || !c.is_control();
    text.chars().filter(is_harmless).collect()
}

fn what_to_do(error: &TurnError) -> &'static str {
    match error.code {
        ErrorCode::ProviderAuth => {
            "check its key: `scrollback providers check --config FILE` tries it"
        }
        ErrorCode::ProviderSetup | ErrorCode::ProviderUnavailable | ErrorCode::ProviderCrashed => {
            "`scrollback providers check --config FILE` tries the provider"
        }
        ErrorCode::ContextOverflow => "begin a new chat, or choose a model with a larger context",
        _ if error.retryable => "the same message may succeed if it is sent again",
        _ => "sending the same message again will not help",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_model_says_does_not_steer_the_terminal() {
        assert_eq!(plain("a\u{1b}[31mb\tc\r\nd\u{7}"), "a[31mb\tc\nd");
    }
}
