//! The document that the server serves about itself: complete, and the same unless meant.

use std::collections::BTreeSet;

use serde_json::Value;

use super::api::Api;

async fn document() -> Value {
    Api::new().await.get("/openapi.json").await.expect(200)
}

fn references<'a>(value: &'a Value, found: &mut BTreeSet<&'a str>) {
    match value {
        Value::Object(object) => {
            if let Some(Value::String(target)) = object.get("$ref") {
                found.insert(target);
            }
            object.values().for_each(|value| references(value, found));
        }
        Value::Array(items) => items.iter().for_each(|value| references(value, found)),
        _ => {}
    }
}

#[tokio::test]
async fn every_reference_has_its_target_and_every_schema_its_use() {
    let document = document().await;
    let mut found = BTreeSet::new();
    references(&document, &mut found);
    let schemas = document["components"]["schemas"].as_object().unwrap();
    let known: BTreeSet<String> =
        schemas.keys().map(|name| format!("#/components/schemas/{name}")).collect();
    let known: BTreeSet<&str> = known.iter().map(String::as_str).collect();
    assert_eq!(found, known);
}

#[tokio::test]
async fn every_kind_and_every_code_is_in_it() {
    let text = document().await.to_string();
    for kind in scrollback_schema::Kind::ALL {
        assert!(text.contains(&format!("{{\"const\":\"{}\"}}", kind.name())), "{}", kind.name());
    }
    for code in scrollback_schema::ErrorCode::ALL {
        assert!(text.contains(&format!("\"{}\"", code.name())), "{}", code.name());
    }
    for code in scrollback::http::Code::ALL {
        let is_routing = ["route_not_found", "method_not_allowed"].contains(&code.name());
        let named = format!("`{}`", code.name());
        assert!(is_routing || text.contains(&named), "no operation names {named}");
    }
}

#[tokio::test]
async fn it_changes_only_when_that_is_meant() {
    let mut document = document().await;
    document["info"]["version"] = "(the crate's)".into();
    insta::assert_json_snapshot!("openapi", document);
}
