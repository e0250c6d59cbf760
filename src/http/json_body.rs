//! How the body of a call is read: as JSON, within its bounds, to its end or until it is refused.
//!
//! A body that is refused is still read for a while, or its client would see a broken connection
//! and not why. How fast it has to come is `intake`'s, what it says is left to the handlers.

use std::future::poll_fn;
use std::pin::Pin;
use std::time::Duration;

use axum::BoxError;
use axum::body::HttpBody;
use axum::extract::{FromRequest, Request};
use axum::http::HeaderMap;
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE, EXPECT};
use bytes::{Bytes, BytesMut};
use scrollback_schema::limits::HTTP_BODY_BYTES_MAX;

use super::error::{Code, Problem};
use super::intake::IntakeError;

/// How long the rest of a body that is refused is read, at most: what a link of 4 MiB/s needs for
/// as much again as a body may have.
const POUR_WAIT: Duration = Duration::from_secs(5);

/// A JSON body, read to its end and not looked into yet.
#[derive(Debug, Clone)]
pub(crate) struct JsonBody(pub(crate) Bytes);

impl<S: Send + Sync> FromRequest<S> for JsonBody {
    type Rejection = Problem;

    async fn from_request(request: Request, _state: &S) -> Result<JsonBody, Problem> {
        let (parts, body) = request.into_parts();
        JsonBody::read(&parts.headers, body).await
    }
}

impl JsonBody {
    /// Reads a body to its end; the headers say that it is JSON and how long it is.
    pub(crate) async fn read<B>(headers: &HeaderMap, body: B) -> Result<JsonBody, Problem>
    where
        B: HttpBody<Data = Bytes, Error: Into<BoxError>> + Unpin,
    {
        let bytes = match expected_len(headers) {
            Ok(expected) => read_body(body, expected).await?,
            Err(problem) => {
                // Who asks first whether to send has not begun to, and is told not to.
                if !headers.contains_key(EXPECT) {
                    pour_away(body).await;
                }
                return Err(problem);
            }
        };
        if !bytes.is_empty() && !is_json(headers) {
            let detail = "the body is not application/json; send content-type: application/json";
            return Err(Problem::new(Code::UnsupportedMediaType, detail));
        }
        Ok(JsonBody(bytes))
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let Some(value) = headers.get(CONTENT_TYPE) else { return false };
    let essence = value.as_bytes().split(|&b| b == b';').next().unwrap_or_default();
    essence.trim_ascii().eq_ignore_ascii_case(b"application/json")
}

fn expected_len(headers: &HeaderMap) -> Result<usize, Problem> {
    let Some(value) = headers.get(CONTENT_LENGTH) else { return Ok(0) };
    let len = value.to_str().ok().and_then(|text| text.parse().ok()).unwrap_or(0);
    if len > HTTP_BODY_BYTES_MAX { Err(too_large(HTTP_BODY_BYTES_MAX)) } else { Ok(len) }
}

pub(crate) fn too_large(bytes_max: usize) -> Problem {
    let detail = format!("the body has more than {bytes_max} bytes; send it in parts");
    Problem::new(Code::BodyTooLarge, detail).with("limit_bytes", bytes_max)
}

/// Reads on in a body that is refused, up to a bound: a client that is cut off while it still sends
/// sees a broken connection and not the answer. The refusal itself may still be in the body.
pub(crate) async fn pour_away<B>(mut body: B)
where
    B: HttpBody<Data = Bytes, Error: Into<BoxError>> + Unpin,
{
    let pour = async {
        let mut n_bytes = 0;
        while let Some(frame) = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
            match frame {
                Ok(frame) => n_bytes += frame.data_ref().map_or(0, Bytes::len),
                Err(error) => {
                    if !still_comes(&broken_off(&*error.into())) {
                        break;
                    }
                }
            }
            if n_bytes > HTTP_BODY_BYTES_MAX {
                break;
            }
        }
    };
    // Who is slower than that does not get the answer.
    let _ = tokio::time::timeout(POUR_WAIT, pour).await;
}

/// Reads a body; one that comes in one piece is not copied.
async fn read_body<B>(mut body: B, expected: usize) -> Result<Bytes, Problem>
where
    B: HttpBody<Data = Bytes, Error: Into<BoxError>> + Unpin,
{
    let mut first = Bytes::new();
    let mut rest = BytesMut::new();
    while let Some(frame) = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
        let frame = match frame {
            Ok(frame) => frame,
            Err(error) => {
                let problem = broken_off(&*error.into());
                if still_comes(&problem) {
                    drop((first, rest));
                    pour_away(body).await;
                }
                return Err(problem);
            }
        };
        let Ok(data) = frame.into_data() else { continue };
        if first.len() + rest.len() + data.len() > HTTP_BODY_BYTES_MAX {
            drop((first, rest));
            pour_away(body).await;
            return Err(too_large(HTTP_BODY_BYTES_MAX));
        }
        if rest.is_empty() {
            if first.is_empty() {
                first = data;
                continue;
            }
            rest.reserve(expected.max(first.len() + data.len()));
            rest.extend_from_slice(&std::mem::take(&mut first));
        }
        rest.extend_from_slice(&data);
    }
    Ok(if rest.is_empty() { first } else { rest.freeze() })
}

/// Whether the client of a body that is refused so still sends it, and is not slow.
fn still_comes(problem: &Problem) -> bool {
    !matches!(problem.code(), Code::BodyIncomplete | Code::BodyTooSlow)
}

/// Why a body was not read to its end: what its intake refuses, or a broken connection.
fn broken_off(error: &(dyn std::error::Error + 'static)) -> Problem {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(IntakeError::Refused(problem)) = error.downcast_ref() {
            return problem.clone();
        }
        next = error.source();
    }
    Problem::new(Code::BodyIncomplete, "the body ended before its length was reached")
}

#[cfg(test)]
mod tests {
    use http_body_util::StreamBody;
    use hyper::body::Frame;
    use tokio_stream::StreamExt as _;

    use super::*;

    #[tokio::test]
    async fn the_rest_of_a_body_is_read_after_its_refusal_and_not_after_its_end() {
        async fn left_over(problem: Problem) -> usize {
            let frame = || Ok(Frame::data(Bytes::from_static(b"rest")));
            let refusal = Err(IntakeError::Refused(problem));
            let mut frames = tokio_stream::iter([refusal, frame(), frame()]);
            pour_away(StreamBody::new(&mut frames)).await;
            frames.collect::<Vec<_>>().await.len()
        }
        assert_eq!(left_over(too_large(1)).await, 0, "its client still sends");
        assert_eq!(left_over(Problem::new(Code::BodyTooSlow, "")).await, 2);
    }

    #[test]
    fn only_json_is_json() {
        let is = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(CONTENT_TYPE, value.parse().unwrap());
            is_json(&headers)
        };
        assert!(is("application/json") && is("Application/JSON ; charset=utf-8"));
        assert!(!is("text/plain") && !is("application/jsonx") && !is(""));
        assert!(!is_json(&HeaderMap::new()));
    }
}
