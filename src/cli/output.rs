//! Where words go: data to stdout, talk to stderr, progress to a terminal only.

use std::io::{BufWriter, IsTerminal, Write};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// How results are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    /// For a person.
    Text,
    /// One JSON value a line.
    Json,
}

/// Stdout, buffered; what a person waits for is flushed by [`Out::flush`].
pub(crate) struct Out {
    stdout: BufWriter<Box<dyn Write>>,
    /// How results are printed.
    pub(crate) format: Format,
}

impl Out {
    /// Takes stdout.
    pub(crate) fn stdout(format: Format) -> Out {
        Out::to(Box::new(std::io::stdout()), format)
    }

    /// Takes what stands for stdout.
    pub(crate) fn to(stdout: Box<dyn Write>, format: Format) -> Out {
        Out { stdout: BufWriter::with_capacity(64 << 10, stdout), format }
    }

    /// Prints one line.
    pub(crate) fn line(&mut self, line: &str) -> std::io::Result<()> {
        self.bytes(line.as_bytes())?;
        self.bytes(b"\n")
    }

    /// Prints one value as a line of JSON.
    pub(crate) fn json(&mut self, value: &serde_json::Value) -> std::io::Result<()> {
        self.line(&value.to_string())
    }

    /// Prints bytes as they are.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.stdout.write_all(bytes).map_err(|error| not_taken(&error))
    }

    /// Hands everything printed so far to whoever reads.
    pub(crate) fn flush(&mut self) -> std::io::Result<()> {
        self.stdout.flush().map_err(|error| not_taken(&error))
    }
}

/// What stdout is does not say its own name.
fn not_taken(error: &std::io::Error) -> std::io::Error {
    let words = format!("cannot write to stdout; check where it goes: {error}");
    std::io::Error::new(error.kind(), words)
}

/// Says something on stderr; a stderr that is closed is nobody's loss.
pub(crate) fn say(words: &str) {
    let _ = writeln!(std::io::stderr(), "{words}");
}

/// A bar over so many events, drawn only when stderr is a terminal.
pub(crate) fn progress(n_events: u64, what: &'static str) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::with_draw_target(Some(n_events), ProgressDrawTarget::stderr_with_hz(8));
    let style = ProgressStyle::with_template(
        "{msg} {wide_bar} {human_pos}/{human_len} events  {per_sec}  {eta} left",
    )
    .expect("the template is written above and names known fields");
    bar.set_style(style);
    bar.set_message(what);
    bar
}

/// A number of bytes as a person reads it: `812 B`, `4.1 KiB`, `12.0 MiB`.
pub(crate) fn bytes_text(n_bytes: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    if n_bytes < 1_024 {
        return format!("{n_bytes} B");
    }
    let (mut size, mut unit) = (n_bytes as f64 / 1_024.0, 0);
    while size >= 1_024.0 && unit + 1 < UNITS.len() {
        size /= 1_024.0;
        unit += 1;
    }
    format!("{size:.1} {}", UNITS[unit])
}

/// A number with its thousands apart, as a person reads it: `48 213`.
pub(crate) fn count_text(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(' ');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_read_well() {
        assert_eq!(
            [bytes_text(812), bytes_text(4_200), bytes_text(12 << 20)],
            ["812 B", "4.1 KiB", "12.0 MiB"]
        );
        assert_eq!(
            [count_text(7), count_text(48_213), count_text(1_000_000)],
            ["7", "48 213", "1 000 000"]
        );
    }
}
