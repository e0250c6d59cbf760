//! Recorded streams, served over HTTP, against a reading of the files of this test's own.

use std::path::{Path, PathBuf};

use scrollback_schema::{ErrorCode, Event};
use scrollback_test_support::model_server::{ModelServer, Step, event_stream};
use scrollback_test_support::rng::Rng;
use serde_json::Value;

use super::turn::{Outcome, against, provider_at, run};

/// What a stream says, as far as a person can read it off the file.
#[derive(Debug, Default, PartialEq)]
struct Reading {
    text: String,
    thinking: String,
    /// Id, name and arguments of each call.
    tools: Vec<(String, String, Value)>,
    /// Tokens read, and tokens written without the reasoning where it is counted apart.
    tokens: Option<(u64, u64)>,
    /// Whether the model ran into a limit of tokens.
    is_cut: bool,
}

fn recordings() -> Vec<PathBuf> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/recordings/chat-completions");
    let Ok(entries) = std::fs::read_dir(&dir) else {
        eprintln!("!! LEFT OUT: the recorded streams; {} is missing", dir.display());
        return Vec::new();
    };
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|end| end == "jsonl"));
    paths.sort();
    paths
}

fn read(chunks: &str) -> Reading {
    let mut reading = Reading::default();
    let mut calls: Vec<(String, String, String)> = Vec::new();
    for line in chunks.lines() {
        let chunk: Value = serde_json::from_str(line).unwrap();
        let delta = &chunk["choices"][0]["delta"];
        reading.text += delta["content"].as_str().unwrap_or("");
        reading.thinking += delta["reasoning_content"].as_str().unwrap_or("");
        reading.thinking += delta["reasoning"].as_str().unwrap_or("");
        for call in delta["tool_calls"].as_array().unwrap_or(&Vec::new()) {
            let at = usize::try_from(call["index"].as_u64().unwrap()).unwrap();
            calls.resize(calls.len().max(at + 1), Default::default());
            calls[at].0 += call["id"].as_str().unwrap_or("");
            calls[at].1 += call["function"]["name"].as_str().unwrap_or("");
            calls[at].2 += call["function"]["arguments"].as_str().unwrap_or("");
        }
        reading.is_cut |= chunk["choices"][0]["finish_reason"] == "length";
        if let Some(read) = chunk["usage"]["prompt_tokens"].as_u64() {
            reading.tokens = Some((read, chunk["usage"]["completion_tokens"].as_u64().unwrap()));
        }
    }
    let whole = |(id, name, arguments): (String, String, String)| {
        (id, name, serde_json::from_str(&arguments).unwrap())
    };
    reading.tools = calls.into_iter().map(whole).collect();
    reading
}

fn heard(outcome: &Outcome) -> Reading {
    let is_cut =
        outcome.failure.as_ref().is_some_and(|error| error.code == ErrorCode::OutputTooLong);
    let mut reading = Reading { is_cut, ..Reading::default() };
    for event in &outcome.events {
        match event {
            Event::AssistantText(delta) => reading.text += &delta.text,
            Event::AssistantThinking(delta) => reading.thinking += &delta.thinking,
            Event::ToolStarted(tool) => {
                reading.tools.retain(|(id, ..)| *id != tool.id);
                let input = tool.input.as_ref().map(|input| input.as_str().parse().unwrap());
                reading.tools.push((tool.id.clone(), tool.name.clone(), input.unwrap_or_default()));
            }
            Event::Usage(usage) => {
                reading.tokens = usage.input_tokens.zip(usage.output_tokens);
            }
            other => panic!("unexpected {other:?}"),
        }
    }
    reading
}

async fn serve(name: &str, steps: Vec<Step>, expected: &Reading) {
    let server = ModelServer::start(steps).await;
    let outcome = run(&*provider_at("openai", &server.base_url(), "")).await;
    assert_eq!(outcome.failure.is_some(), expected.is_cut, "{name}: {:?}", outcome.failure);
    let mut heard = heard(&outcome);
    // xAI counts reasoning apart from what was written; usage has it all.
    if name.starts_with("xai") {
        assert!(heard.tokens > expected.tokens, "{name}: {:?}", heard.tokens);
        heard.tokens = expected.tokens;
    }
    assert!(heard == *expected, "{name}\nexpected {expected:?}\nheard    {heard:?}");
    let n_usage = outcome.events.iter().filter(|event| matches!(event, Event::Usage(_))).count();
    assert_eq!(n_usage, 1, "{name}");
}

#[tokio::test]
async fn every_recording_gives_what_its_file_contains() {
    for path in recordings() {
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let chunks = std::fs::read_to_string(&path).unwrap();
        let expected = read(&chunks);
        let says_nothing = expected.text.is_empty() && expected.tools.is_empty();
        assert!(!says_nothing, "{name} was understood");

        let frames: Vec<String> = chunks.lines().map(|line| format!("data: {line}\n\n")).collect();
        let plain = frames.concat();
        let done = format!("{plain}data: [DONE]\n\n");
        let windows = done.replace('\n', "\r\n");
        let chatty = frames.join(": keep-alive\n\nevent: ping\n\n\n");
        // The last chunk is whole, and nothing says so but the end of the connection.
        let unclosed = plain.trim_end().to_owned();
        for body in [&plain, &done, &windows, &chatty, &unclosed] {
            serve(&name, vec![Step::Send(event_stream(body))], &expected).await;
        }
        // In packets that end within words, characters and line ends.
        serve(&name, vec![Step::Pieces(event_stream(&windows), 97)], &expected).await;
    }
}

/// Damages a stream at a few places: bytes flipped, cut out, or said twice.
fn damage(stream: &mut Vec<u8>, rng: &mut Rng) {
    for _ in 0..1 + rng.below(4) {
        let at = rng.below(stream.len());
        let end = (at + 1 + rng.below(40)).min(stream.len());
        match rng.below(3) {
            0 => stream[at] ^= 1 << rng.below(8),
            1 => drop(stream.drain(at..end)),
            _ => {
                let again = stream[at..end].to_vec();
                stream.splice(at..at, again);
            }
        }
    }
}

/// Whatever comes, a turn ends, says what it heard and at most one failure, and does so in the same
/// way however the bytes are cut into packets.
#[tokio::test]
async fn a_damaged_recording_is_heard_the_same_in_any_packets() {
    let paths = recordings();
    let mut n_failed = 0;
    for seed in 0..if paths.is_empty() { 0 } else { 150 } {
        let mut rng = Rng::new(seed);
        let path = &paths[rng.below(paths.len())];
        let chunks = std::fs::read_to_string(path).unwrap();
        let n_skipped = rng.below(chunks.lines().count());
        let frames = chunks.lines().skip(n_skipped.saturating_sub(20)).take(40);
        let frames: String = frames.map(|line| format!("data: {line}\r\n\r\n")).collect();
        let mut body = frames.into_bytes();
        damage(&mut body, &mut rng);
        let whole = [event_stream(""), body].concat();
        let pieces = Step::Pieces(whole.clone(), 1 + rng.below(300));
        let at_once = against("openai", vec![Step::Send(whole)]).await;
        let in_pieces = against("openai", vec![pieces]).await;
        assert_eq!(at_once.words(), in_pieces.words(), "seed {seed}");
        n_failed += usize::from(at_once.failure.is_some());
    }
    assert!(paths.is_empty() || n_failed > 20, "damage was done: {n_failed}");
}
