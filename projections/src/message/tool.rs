//! A tool call within a message: its latest state.
//!
//! A call is stored in three chunks, so that an update writes what it names and no more: a small
//! head, the input, the result. An update needs only the head in memory.

use scrollback_schema::event::{JsonText, ToolEvent};
use serde::{Deserialize, Serialize};

/// How far a tool call is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ToolStatus {
    /// It began, and its turn is open.
    Running,
    /// It succeeded.
    Completed,
    /// It failed, or its turn ended before it.
    Failed,
}

impl ToolStatus {
    /// The name on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            ToolStatus::Running => "running",
            ToolStatus::Completed => "completed",
            ToolStatus::Failed => "failed",
        }
    }
}

/// The chunks of a tool call, by number.
pub(super) const HEAD: u32 = 0;
pub(super) const INPUT: u32 = 1;
pub(super) const RESULT: u32 = 2;

/// A tool call in its latest state.
///
/// Each event replaces the status and the error, and what else it names; what it does not name
/// stays as it was.
#[derive(Debug, Clone, PartialEq)]
pub struct Tool {
    pub(super) head: ToolHead,
    pub(super) input: Option<JsonText>,
    pub(super) result: Option<JsonText>,
}

/// What of a tool call is in memory whenever its message is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct ToolHead {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) title: Option<String>,
    pub(super) parent_id: Option<String>,
    pub(super) error: Option<String>,
    pub(super) status: ToolStatus,
}

impl Tool {
    /// The call as its first event says.
    pub(super) fn new(event: &ToolEvent, status: ToolStatus) -> Tool {
        let head = ToolHead {
            id: event.id.clone(),
            name: event.name.clone(),
            title: event.title.clone(),
            parent_id: event.parent_id.clone(),
            error: event.error.clone(),
            status,
        };
        Tool { head, input: event.input.clone(), result: event.result.clone() }
    }

    /// Folds a later event of the same call.
    pub(super) fn update(&mut self, event: &ToolEvent, status: ToolStatus) {
        self.head.status = status;
        self.head.error.clone_from(&event.error);
        if !event.name.is_empty() {
            self.head.name.clone_from(&event.name);
        }
        replace_if_named(&mut self.head.title, event.title.as_ref());
        replace_if_named(&mut self.head.parent_id, event.parent_id.as_ref());
        replace_if_named(&mut self.input, event.input.as_ref());
        replace_if_named(&mut self.result, event.result.as_ref());
    }

    /// The call's id within its turn.
    pub fn id(&self) -> &str {
        &self.head.id
    }

    /// The tool's name.
    pub fn name(&self) -> &str {
        &self.head.name
    }

    /// A line that says what the call does.
    pub fn title(&self) -> Option<&str> {
        self.head.title.as_deref()
    }

    /// The call that made this one.
    pub fn parent_id(&self) -> Option<&str> {
        self.head.parent_id.as_deref()
    }

    /// What it was given.
    pub const fn input(&self) -> Option<&JsonText> {
        self.input.as_ref()
    }

    /// What it gave back.
    pub const fn result(&self) -> Option<&JsonText> {
        self.result.as_ref()
    }

    /// Why it failed.
    pub fn error(&self) -> Option<&str> {
        self.head.error.as_deref()
    }

    /// How far it is.
    pub const fn status(&self) -> ToolStatus {
        self.head.status
    }
}

fn replace_if_named<T: Clone>(slot: &mut Option<T>, named: Option<&T>) {
    if let Some(value) = named {
        *slot = Some(value.clone());
    }
}
