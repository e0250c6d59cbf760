//! What an endpoint has on offer, as a sentence.

use serde_json::Value;

/// Models that a sentence names; the others are counted.
const N_NAMED: usize = 5;

/// The sentence for a list of models: `{"data": [{"id": …}]}`, or `{"models": …}`.
pub(in crate::provider) fn offer(place: &str, model: Option<&str>, list: &Value) -> String {
    let entries = [&list["data"], &list["models"], list].into_iter().find_map(Value::as_array);
    let names: Vec<&str> = entries
        .into_iter()
        .flatten()
        .filter_map(|entry| entry["id"].as_str().or_else(|| entry["name"].as_str()))
        .collect();
    let n_more = names.len().saturating_sub(N_NAMED);
    let some = names[..names.len().min(N_NAMED)].join(", ");
    let on_offer = match (names.len(), n_more) {
        (0, _) => "no models on offer".to_owned(),
        (_, 0) => format!("models on offer: {some}"),
        (_, n) => format!("models on offer: {some} and {n} more"),
    };
    match model {
        None => format!("{place} answers; {on_offer}; none is configured"),
        Some(model) if names.contains(&model) => {
            format!("{place} answers and offers the model \"{model}\"; {on_offer}")
        }
        // Aliases are often left out of the list, and some servers take any name.
        Some(model) => format!("{place} answers but does not list \"{model}\"; {on_offer}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_list_is_a_sentence() {
        let list = json!({ "object": "list", "data": [{ "id": "a" }, { "id": "b" }] });
        let said = offer("http://h", Some("b"), &list);
        assert_eq!(said, "http://h answers and offers the model \"b\"; models on offer: a, b");
        let many: Vec<Value> = (0..7).map(|n| json!({ "id": format!("m{n}") })).collect();
        let said = offer("http://h", Some("b"), &json!({ "data": many }));
        assert_eq!(
            said,
            "http://h answers but does not list \"b\"; \
             models on offer: m0, m1, m2, m3, m4 and 2 more"
        );
        let said = offer("http://h", None, &json!({}));
        assert_eq!(said, "http://h answers; no models on offer; none is configured");
    }
}
