//! JSON-RPC 2.0, a message a line, over an agent's pipes: both directions in one task.
//!
//! An agent may write before it reads, and so may we. Whoever waits for a message therefore writes
//! what is due meanwhile: [`Wire::receive`] does both, and nothing else touches the pipes.

use std::borrow::Cow;
use std::collections::VecDeque;

use scrollback_schema::limits::{AGENT_LINE_BYTES_MAX, AGENT_UNREAD_BYTES_MAX};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{ChildStdin, ChildStdout};

/// Bytes that are read at once, at least: a few deltas.
const READ_BYTES: usize = 8 << 10;

/// What an agent says.
#[derive(Debug)]
pub(super) enum Message {
    /// The answer to a request of ours.
    Response {
        /// The request.
        id: u64,
        /// What came of it.
        result: Result<Box<RawValue>, RpcError>,
    },
    /// A request that wants an answer.
    Request {
        /// To be given back in the answer.
        id: Value,
        /// What is asked.
        method: String,
        /// With what.
        params: Box<RawValue>,
    },
    /// A word that wants no answer.
    Notification {
        /// What it is.
        method: String,
        /// With what.
        params: Box<RawValue>,
    },
}

/// Why a request failed, by its number alone: the words can hold text of the chat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct RpcError {
    /// JSON-RPC's or the protocol's number.
    pub(super) code: i64,
}

impl RpcError {
    /// The method is not known.
    pub(super) const METHOD_NOT_FOUND: i64 = -32601;
    /// The agent wants somebody to log in.
    pub(super) const AUTH_REQUIRED: i64 = -32000;
}

/// Why nothing more comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Broken {
    /// The agent closed its output.
    Ended,
    /// It wrote what is no message.
    Rubbish,
    /// It wrote a line that is too long.
    Flood,
    /// It asks again and again, and does not read the answers.
    Deaf,
}

/// A line as it comes.
#[derive(Deserialize)]
struct Line<'a> {
    id: Option<Value>,
    #[serde(borrow)]
    method: Option<Cow<'a, str>>,
    params: Option<Box<RawValue>>,
    result: Option<Box<RawValue>>,
    error: Option<LineError>,
}

#[derive(Deserialize)]
struct LineError {
    #[serde(default)]
    code: i64,
}

/// The pipes of an agent.
#[derive(Debug)]
pub(super) struct Wire {
    stdin: Option<ChildStdin>,
    stdout: ChildStdout,
    /// What was read and not yet taken; without a line's end before `searched`.
    read: Vec<u8>,
    /// Where in `read` the next line begins.
    taken: usize,
    /// Up to where in `read` no line ends.
    searched: usize,
    /// What is to be written.
    unsent: VecDeque<u8>,
    /// How much of our answers may wait.
    unsent_max: usize,
    next_id: u64,
}

impl Wire {
    /// The pipes of a process that was just started.
    pub(super) fn new(stdin: ChildStdin, stdout: ChildStdout) -> Wire {
        Wire {
            stdin: Some(stdin),
            stdout,
            read: Vec::new(),
            taken: 0,
            searched: 0,
            unsent: VecDeque::new(),
            unsent_max: AGENT_UNREAD_BYTES_MAX,
            next_id: 1,
        }
    }

    /// Asks; the answer comes with the number that this returns.
    pub(super) fn request(&mut self, method: &str, params: &impl Serialize) -> u64 {
        let id = self.next_id;
        self.next_id += 1;
        self.write(&json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}));
        self.unsent_max = self.unsent.len() + AGENT_UNREAD_BYTES_MAX;
        id
    }

    /// Says what wants no answer.
    pub(super) fn notify(&mut self, method: &str, params: &impl Serialize) {
        self.write(&json!({"jsonrpc": "2.0", "method": method, "params": params}));
    }

    /// Answers a request of the agent's.
    pub(super) fn answer(&mut self, id: &Value, result: &Value) {
        self.write(&json!({"jsonrpc": "2.0", "id": id, "result": result}));
    }

    /// Refuses a request of the agent's that nobody here knows.
    pub(super) fn refuse(&mut self, id: &Value, method: &str) {
        let message = format!("method not found: {method}");
        let error = json!({"code": RpcError::METHOD_NOT_FOUND, "message": message});
        self.write(&json!({"jsonrpc": "2.0", "id": id, "error": error}));
    }

    fn write(&mut self, message: &Value) {
        self.unsent.extend(message.to_string().as_bytes());
        self.unsent.push_back(b'\n');
    }

    /// Ends the agent's input; what is unsent is lost.
    pub(super) fn close(&mut self) {
        self.stdin = None;
    }

    /// Waits for the next message, and writes what is due.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost: the next call goes on.
    pub(super) async fn receive(&mut self) -> Result<Message, Broken> {
        loop {
            if let Some(message) = self.take()? {
                return Ok(message);
            }
            if self.unsent.len() > self.unsent_max {
                return Err(Broken::Deaf);
            }
            self.read.reserve(READ_BYTES);
            let (due, _) = self.unsent.as_slices();
            tokio::select! {
                n_read = self.stdout.read_buf(&mut self.read) => match n_read {
                    Ok(0) | Err(_) => return Err(Broken::Ended),
                    Ok(_) => {}
                },
                n_written = write_some(&mut self.stdin, due), if !due.is_empty() => {
                    match n_written {
                        Some(n) => drop(self.unsent.drain(..n)),
                        // It reads no more. What it still has to say is heard to the end.
                        None => self.unsent.clear(),
                    }
                }
            }
        }
    }

    /// The next message, if a whole line was read.
    fn take(&mut self) -> Result<Option<Message>, Broken> {
        loop {
            let Some(at) = memchr::memchr(b'\n', &self.read[self.searched..]) else {
                self.read.drain(..self.taken);
                (self.taken, self.searched) = (0, self.read.len());
                return match self.read.len() > AGENT_LINE_BYTES_MAX {
                    true => Err(Broken::Flood),
                    false => Ok(None),
                };
            };
            let line = &self.read[self.taken..self.searched + at];
            if line.len() > AGENT_LINE_BYTES_MAX {
                return Err(Broken::Flood);
            }
            let message = parse(line);
            self.searched += at + 1;
            self.taken = self.searched;
            if let Some(message) = message.transpose() {
                return message.map(Some);
            }
        }
    }
}

/// Writes a part; nothing if nobody reads any more.
async fn write_some(stdin: &mut Option<ChildStdin>, bytes: &[u8]) -> Option<usize> {
    stdin.as_mut()?.write(bytes).await.ok().filter(|&n| n > 0)
}

/// The message of a line; none if it is blank or the answer to nothing.
fn parse(line: &[u8]) -> Result<Option<Message>, Broken> {
    if line.trim_ascii().is_empty() {
        return Ok(None);
    }
    let line: Line<'_> = serde_json::from_slice(line).map_err(|_| Broken::Rubbish)?;
    let nothing = || RawValue::from_string("null".to_owned()).expect("null is JSON");
    let params = line.params.unwrap_or_else(nothing);
    Ok(match (line.method, line.id) {
        (Some(method), Some(id)) => {
            Some(Message::Request { id, method: method.into_owned(), params })
        }
        (Some(method), None) => Some(Message::Notification { method: method.into_owned(), params }),
        (None, Some(id)) => id.as_u64().map(|id| {
            let result = match line.error {
                Some(error) => Err(RpcError { code: error.code }),
                None => Ok(line.result.unwrap_or_else(nothing)),
            };
            Message::Response { id, result }
        }),
        // An error that belongs to no request: the agent did not understand a line of ours.
        (None, None) => return Err(Broken::Rubbish),
    })
}
