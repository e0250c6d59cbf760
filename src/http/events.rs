//! `GET …/events`: a page of envelopes, for readers that ask and do not wait.

use axum::body::Body;
use axum::extract::State;
use axum::http::{Response, StatusCode};
use scrollback_schema::limits::EVENTS_LIMIT_MAX;
use scrollback_schema::{Kind, Seq};

use super::App;
use super::answer;
use super::error::{Code, Problem};
use super::gate::Caller;
use super::request::{ChatPath, Params};
use crate::log::{PageLimits, Scope};

/// Pages looked through by one call for kinds that are rare: some ten thousand events.
const PAGES_MAX: usize = 16;

/// Reads a page of events
///
/// Goes on with `after_seq` set to `next_after_seq`. With `kind`, a page can have fewer items than
/// asked for, or none, before the head is reached.
#[utoipa::path(
    get,
    path = "/v1/chats/{chat}/events",
    operation_id = "list_events",
    params(
        ("after_seq" = Option<i64>, Query, minimum = 0,
            description = "The seq after which the page starts; 0 is the beginning"),
        ("limit" = Option<i32>, Query, minimum = 1, maximum = 1000,
            description = "Items in the page at most; 50 by default"),
        ("kind" = Option<String>, Query,
            description = "Kinds of events to show, separated by commas; all by default"),
    ),
    responses((
        status = 200,
        description = "A page",
        body = ref("#/components/schemas/EventPage")
    ))
)]
pub(crate) async fn list_events(
    State(app): State<App>,
    caller: Caller,
    ChatPath(chat): ChatPath,
    params: Params,
) -> Result<Response<Body>, Problem> {
    let after = params.seq("after_seq")?.unwrap_or_default();
    let limit = params.limit(EVENTS_LIMIT_MAX)?;
    let kinds = kinds(params.text("kind"))?;
    let chat = app.chat(&caller, &chat).await?;
    let head = app.log().head();
    if after > head {
        return Err(Problem::ahead("after_seq", after, head));
    }
    let mut page = Envelopes::new(limit);
    let (mut next, mut n_pages) = (after, 0);
    while next < head && !page.is_full() && n_pages < PAGES_MAX {
        n_pages += 1;
        let limits = PageLimits { events: EVENTS_LIMIT_MAX, ..PageLimits::default() };
        let read = app.log().read(&Scope::Chat(chat.created), next, head, limits).await?;
        for section in &read.sections {
            for index in section.events_in(next, read.through) {
                if page.is_full() {
                    break;
                }
                if kinds.as_ref().is_none_or(|kinds| kinds.contains(&section.kind_at(index))) {
                    page.push(|out| section.write_envelope(index, out))?;
                }
                next = section.seq_at(index);
            }
        }
        if !page.is_full() {
            next = read.through;
        }
    }
    Ok(answer::json_text(StatusCode::OK, page.finish(next, head)))
}

/// The stored numbers of the kinds that a client names.
fn kinds(text: Option<&str>) -> Result<Option<Vec<u16>>, Problem> {
    let Some(text) = text else { return Ok(None) };
    let number = |name: &str| {
        Kind::from_name(name.trim()).map(Kind::number).ok_or_else(|| {
            let known: Vec<&str> = Kind::ALL.iter().map(|kind| kind.name()).collect();
            let detail = format!("parameter kind names no kind; known are: {}", known.join(", "));
            Problem::new(Code::BadQuery, detail)
        })
    };
    text.split(',').map(number).collect::<Result<Vec<_>, _>>().map(Some)
}

/// The answer as it is written.
struct Envelopes {
    json: Vec<u8>,
    n_items: usize,
    limit: usize,
}

impl Envelopes {
    fn new(limit: usize) -> Envelopes {
        Envelopes { json: b"{\"items\":[".to_vec(), n_items: 0, limit }
    }

    fn is_full(&self) -> bool {
        self.n_items >= self.limit
    }

    /// Adds an item, unless the event was erased and has none.
    fn push<E: Into<Problem>>(
        &mut self,
        write: impl FnOnce(&mut Vec<u8>) -> Result<bool, E>,
    ) -> Result<(), Problem> {
        let start = self.json.len();
        if self.n_items > 0 {
            self.json.push(b',');
        }
        if write(&mut self.json).map_err(Into::into)? {
            self.n_items += 1;
        } else {
            self.json.truncate(start);
        }
        Ok(())
    }

    fn finish(mut self, next: Seq, head: Seq) -> Vec<u8> {
        let rest = format!("],\"next_after_seq\":{next},\"head_seq\":{head}}}");
        self.json.extend_from_slice(rest.as_bytes());
        self.json
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_named_as_on_the_wire() {
        assert_eq!(kinds(None), Ok(None));
        let numbers = vec![Kind::UserText.number(), Kind::Complete.number()];
        assert_eq!(kinds(Some("user_text, complete")), Ok(Some(numbers)));
        assert_eq!(kinds(Some("user_text,")).unwrap_err().code(), Code::BadQuery);
    }
}
