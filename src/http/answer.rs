//! Answers in JSON: how a handler's result becomes a response; what it says is the handler's.

use axum::body::Body;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderValue, Response, StatusCode};
use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;

/// An answer with a JSON body.
pub(crate) fn json(status: StatusCode, body: &impl Serialize) -> Response<Body> {
    let text = serde_json::to_vec(body).expect("an answer is made of names, numbers and text");
    json_text(status, text)
}

/// An answer whose body is JSON text already.
pub(crate) fn json_text(status: StatusCode, text: impl Into<Body>) -> Response<Body> {
    let mut response = Response::new(text.into());
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// A JSON object with fields added at its end.
pub(crate) fn with_fields(object: &RawValue, fields: &[(&str, Value)]) -> Box<RawValue> {
    let text = object.get().trim_end();
    let open = text.strip_suffix('}').expect("views are objects").trim_end();
    let mut out = String::with_capacity(text.len() + 64 * fields.len());
    out.push_str(open);
    for (name, value) in fields {
        if !out.ends_with('{') {
            out.push(',');
        }
        out.push_str(&format!("\"{name}\":{value}"));
    }
    out.push('}');
    RawValue::from_string(out).expect("an object with more fields is an object")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_added_to_an_object() {
        let added = |text: &str| {
            let object = RawValue::from_string(text.to_owned()).unwrap();
            with_fields(&object, &[("n", 1.into()), ("t", "x".into())]).get().to_owned()
        };
        assert_eq!(added(r#"{"a":{"b":2}}"#), r#"{"a":{"b":2},"n":1,"t":"x"}"#);
        assert_eq!(added("{ }"), r#"{"n":1,"t":"x"}"#);
    }
}
