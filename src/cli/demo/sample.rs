//! The sample chat: what is asked, thought, planned, looked up, answered, and what goes wrong.

use scrollback_schema::{ErrorCode, Kind};

/// One beat of the play.
pub(super) enum Beat {
    /// The user asks, and a turn starts.
    Ask(&'static str),
    /// Nothing happens for so many milliseconds.
    Pause(u64),
    /// The model thinks, in deltas.
    Think(&'static str),
    /// The model answers, in deltas.
    Say(&'static str),
    /// Any other event of the turn, with its payload as on the wire.
    Event(Kind, &'static str),
    /// The turn ends well.
    Done,
    /// The turn fails, with what a person reads.
    Fail(ErrorCode, &'static str),
}

/// The title of the chat.
pub(super) const CHAT_TITLE: &str = "Quarterly numbers";

use Beat::{Ask, Done, Event, Fail, Pause, Say, Think};

/// The play.
pub(super) const SAMPLE: &[Beat] = &[
    Ask("Compare the second and the third quarter, and tell me what changed."),
    Pause(600),
    Think(
        "Two files, one row a region and month. I should read both before I say anything, and \
         check that they use the same currency.",
    ),
    Event(
        Kind::Plan,
        r#"{"entries":[
          {"content":"Read both quarters","status":"in_progress","priority":"high"},
          {"content":"Compare them","status":"pending","priority":"high"},
          {"content":"Write the summary","status":"pending","priority":"medium"}]}"#,
    ),
    Event(
        Kind::ToolStarted,
        r#"{"tool":{"id":"read-q2","name":"read_csv","title":"Read q2.csv",
          "input":{"path":"q2.csv"}}}"#,
    ),
    Event(
        Kind::ToolStarted,
        r#"{"tool":{"id":"read-q3","name":"read_csv","title":"Read q3.csv",
          "input":{"path":"q3.csv"}}}"#,
    ),
    Pause(700),
    Event(
        Kind::ToolCompleted,
        r#"{"tool":{"id":"read-q2","name":"read_csv","title":"Read q2.csv",
          "result":{"rows":36,"currency":"EUR"}}}"#,
    ),
    Pause(400),
    Event(
        Kind::ToolFailed,
        r#"{"tool":{"id":"read-q3","name":"read_csv","title":"Read q3.csv",
          "error":"q3.csv: line 19 has 6 columns instead of 5"}}"#,
    ),
    Say("One of the files has a stray comma in line 19. I will read it leniently and say so. "),
    Event(
        Kind::ToolStarted,
        r#"{"tool":{"id":"read-q3-again","name":"read_csv","title":"Read q3.csv leniently",
          "input":{"path":"q3.csv","lenient":true}}}"#,
    ),
    Pause(500),
    Event(
        Kind::ToolCompleted,
        r#"{"tool":{"id":"read-q3-again","name":"read_csv","title":"Read q3.csv leniently",
          "result":{"rows":36,"currency":"EUR","skipped":1}}}"#,
    ),
    Event(
        Kind::Plan,
        r#"{"entries":[
          {"content":"Read both quarters","status":"completed","priority":"high"},
          {"content":"Compare them","status":"completed","priority":"high"},
          {"content":"Write the summary","status":"in_progress","priority":"medium"}]}"#,
    ),
    Say(
        "\n\n| | Q2 | Q3 | change |\n|---|---:|---:|---:|\n| revenue | 4.1 M€ | 4.7 M€ | +14 % |\n\
         | cost | 3.0 M€ | 3.1 M€ | +3 % |\n| margin | 1.1 M€ | 1.6 M€ | +45 % |\n\nRevenue grew \
         four times as fast as cost, nearly all of it in the north. One row of the third quarter \
         is missing from these figures: line 19, which could not be read.",
    ),
    Event(
        Kind::PromptSuggestions,
        r#"{"suggestions":["Break it down by region","Show me line 19"]}"#,
    ),
    Event(
        Kind::Usage,
        r#"{"input_tokens":2114,"output_tokens":268,"context_window":128000,"cost_usd":0.0041}"#,
    ),
    Done,
    Pause(1_200),
    Ask("Show me line 19, and how to mend it."),
    Pause(500),
    Say("Line 19 has a decimal comma where the rest of the file has a point:\n\n```csv\n\
         north,2026-08,412,7,EUR,new\n```\n\nThis mends it in place:\n\n```sh\n\
         sed -i '19s/412,7/412.7/' q3.csv\n```\n\nWith it, revenue of the third quarter is \
         4.70 M€ as before, since the row is small."),
    Event(Kind::Usage, r#"{"input_tokens":2460,"output_tokens":96,"context_window":128000}"#),
    Done,
    Pause(1_200),
    Ask("Now draft the letter to the board."),
    Pause(400),
    Say("Dear members of the board,\n\nthe third quarter was the best that we have had. Revenue \
         grew by 14 % to 4.7 million euros while cost grew by"),
    Pause(900),
    Fail(ErrorCode::ProviderTransport, "The connection to the model was lost in mid-sentence."),
    Pause(1_500),
    Ask("Go on from where you were cut off."),
    Pause(500),
    Think("The partial text is in the history. I continue after \"grew by\"."),
    Say("3 %, so that the margin rose by almost half. The north carried most of it; the south is \
         where we will look next.\n\nNothing that you read above was lost when the connection \
         was: the half sentence and the reason are in the log, and every reader sees both, live or \
         a year from now.\n\nWith kind regards"),
    Done,
];
