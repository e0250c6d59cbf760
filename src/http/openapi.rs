//! The OpenAPI document: routes as they are registered, shapes from `openapi_schemas.json`.
//!
//! Which problems a call can be answered with follows from what it has: a chat in its path, a body,
//! a cursor, an append. That is written once, here, and not at every route.

use std::collections::BTreeMap;

use axum::body::Body;
use axum::http::{Response, StatusCode};
use bytes::Bytes;
use scrollback_schema::Kind;
use scrollback_schema::limits::{ID_LEN_MAX, IDEMPOTENCY_KEY_LEN_MAX};
use serde_json::{Map, Value, json};
use utoipa::openapi::OpenApi;

use super::answer;
use super::error::Code;

/// The shapes of requests and answers. A shape that changes is changed there by hand; the tests
/// compare the names, and the interop tests the answers.
const SCHEMAS: &str = include_str!("openapi_schemas.json");

/// Methods that a path item can have.
const METHODS: [&str; 4] = ["get", "post", "patch", "delete"];

/// Routes whose caller may prove itself by a ticket in the address.
pub(crate) const TICKET_ROUTES: [&str; 3] =
    ["/v1/stream", "/v1/chats/{chat}/stream", "/api/chat/{chat}/stream"];

/// Parameters that only some operations take, and the one that every writing one takes.
const IDEMPOTENCY_KEY: &str = "idempotency-key";

/// The document as JSON, made of the routes' own descriptions.
pub(crate) fn text(routes: &OpenApi) -> Bytes {
    let mut document = serde_json::to_value(routes).expect("the document is JSON");
    document["info"] = json!({
        "title": "Scrollback",
        "description": "One append-only log for AI chats: record, replay, project, inspect.",
        "version": env!("CARGO_PKG_VERSION"),
        "license": { "name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0" },
    });
    document["components"] = json!({ "schemas": schemas(), "securitySchemes": schemes() });
    document["security"] = json!([{ "token": [] }]);
    let paths = document["paths"].as_object_mut().expect("a document has paths");
    paths.insert("/openapi.json".to_owned(), json!({ "get": own_operation() }));
    for (path, item) in paths {
        for method in METHODS {
            if let Some(operation) = item.get_mut(method).and_then(Value::as_object_mut) {
                complete(path, method, operation);
            }
        }
    }
    Bytes::from(document.to_string())
}

/// The answer of `GET /openapi.json`.
pub(crate) fn answer(text: &Bytes) -> Response<Body> {
    answer::json_text(StatusCode::OK, text.clone())
}

/// How a caller proves itself, where the server has credentials; without them it does not have to.
fn schemes() -> Value {
    json!({
        "token": {
            "type": "http",
            "scheme": "bearer",
            "description": "An API key, or a JSON Web Token of the application",
        },
        "ticket": {
            "type": "apiKey",
            "in": "query",
            "name": "ticket",
            "description": "For one stream and one minute, from POST /v1/tickets",
        },
    })
}

fn own_operation() -> Value {
    json!({
        "operationId": "openapi",
        "security": [],
        "summary": "Serves this document",
        "responses": {
            "200": {
                "description": "The document",
                "content": { "application/json": { "schema": { "type": "object" } } },
            },
        },
    })
}

fn schemas() -> Value {
    let mut schemas: Value = serde_json::from_str(SCHEMAS).expect("the file is JSON");
    let codes: Vec<&str> = Code::ALL.iter().map(|code| code.name()).collect();
    schemas["Problem"]["properties"]["code"] = json!({ "type": "string", "enum": codes });
    schemas
}

/// Adds what follows from an operation's form: ids in the path, the key, the problems.
fn complete(path: &str, method: &str, operation: &mut Map<String, Value>) {
    // Handlers live in modules, and a client has no use for their names.
    operation.remove("tags");
    let id = operation["operationId"].as_str().expect("every operation has an id").to_owned();
    let mut parameters = match operation.remove("parameters") {
        Some(Value::Array(parameters)) => parameters,
        _ => Vec::new(),
    };
    if TICKET_ROUTES.contains(&path) {
        operation.insert("security".to_owned(), json!([{ "token": [] }, { "ticket": [] }]));
    } else if ["healthz", "readyz"].contains(&&*id) {
        operation.insert("security".to_owned(), json!([]));
    }
    let id_schema = json!({ "$ref": "#/components/schemas/Id" });
    for name in ["chat", "message", "turn", "queued", "request", "schedule"] {
        if path.contains(&format!("{{{name}}}")) {
            let parameter =
                json!({ "name": name, "in": "path", "required": true, "schema": id_schema });
            parameters.push(parameter);
        }
    }
    if takes_key(path, method, &id) {
        let key = format!("^[!-~]{{1,{IDEMPOTENCY_KEY_LEN_MAX}}}$");
        parameters.push(json!({
            "name": IDEMPOTENCY_KEY,
            "in": "header",
            "required": false,
            "description": "The same key and body give the first answer again for a day",
            "schema": { "type": "string", "pattern": key },
        }));
    }
    for parameter in &mut parameters {
        tell_form(&id, parameter);
    }
    if let Some(body) = operation.get_mut("requestBody") {
        tell_presence(body);
    }
    let problems = problems(path, method, &id, &parameters, operation.contains_key("requestBody"));
    if !parameters.is_empty() {
        operation.insert("parameters".to_owned(), Value::Array(parameters));
    }
    let responses = operation["responses"].as_object_mut().expect("an operation has responses");
    for (status, codes) in problems {
        let content = json!({
            "application/problem+json": { "schema": { "$ref": "#/components/schemas/Problem" } },
        });
        let description = codes.join(", ");
        responses
            .entry(status.to_string())
            .or_insert_with(|| json!({ "description": description, "content": content }));
    }
}

/// Says which texts a parameter of the query can be, where its type does not say it.
fn tell_form(id: &str, parameter: &mut Value) {
    let seq = "[0-9]{1,18}";
    let form = match parameter["name"].as_str() {
        Some("cursor") if id == "list_chats" => json!({ "pattern": format!("^{seq}(-{seq})?$") }),
        Some("cursor") => json!({ "pattern": format!("^{seq}$") }),
        Some("kind") if id == "list_events" => {
            let names: Vec<&str> = Kind::ALL.iter().map(|kind| kind.name()).collect();
            let name = format!("({})", names.join("|"));
            json!({ "pattern": format!("^({name}(,{name})*)?$") })
        }
        Some("chat_id") if id == "list_schedules" => {
            json!({ "pattern": format!("^[A-Za-z0-9._:-]{{0,{ID_LEN_MAX}}}$") })
        }
        Some("chat_id") => {
            parameter["schema"] = json!({ "$ref": "#/components/schemas/Id" });
            return;
        }
        Some("open") => {
            parameter["schema"] = json!({ "enum": [true] });
            return;
        }
        _ => return,
    };
    let schema = parameter["schema"].as_object_mut().expect("a parameter has a schema");
    // It can be left out, which is not to say that it can be null.
    schema.insert("type".to_owned(), json!("string"));
    schema.extend(form.as_object().expect("it is one").clone());
}

/// Says that a body has to be there, but for those that may be left out.
fn tell_presence(body: &mut Value) {
    let schema = body["content"]["application/json"]["schema"]["$ref"].as_str().unwrap_or_default();
    let name = schema.rsplit('/').next().unwrap_or_default();
    let optional = ["By", "CreateChat", "CreateTicket", "ForkChat", "RebuildProjection"];
    body["required"] = json!(!optional.contains(&name));
}

/// Whether the operation appends under a client's key.
fn takes_key(path: &str, method: &str, id: &str) -> bool {
    path.starts_with("/v1/")
        && method != "get"
        && !["take_lease", "rebuild_projection", "create_ticket"].contains(&id)
}

/// The problems of an operation, by status.
fn problems(
    path: &str,
    method: &str,
    id: &str,
    parameters: &[Value],
    has_body: bool,
) -> BTreeMap<u16, Vec<String>> {
    use Code::*;
    let mut codes = Vec::new();
    let has = |name: &str| parameters.iter().any(|parameter| parameter["name"] == name);
    if ["healthz", "readyz", "openapi"].contains(&id) {
        return BTreeMap::new();
    }
    codes.extend([Unauthenticated, Forbidden, Overloaded, RateLimited]);
    if id == "metrics" {
        return by_status(codes);
    }
    codes.extend([ReadFailed, Internal]);
    let is_of_a_chat = path.starts_with("/v1/chats/{") || path.starts_with("/api/chat/{");
    if is_of_a_chat || path.starts_with("/v1/schedules") {
        codes.extend([BadId, ChatDeleted]);
        // A page of the AI SDK asks for a chat before its first message makes it.
        if !matches!(id, "ai_sdk_resume" | "ai_sdk_messages") {
            codes.push(ChatNotFound);
        }
    }
    if parameters.iter().any(|parameter| parameter["in"] == "query") {
        codes.push(BadQuery);
    }
    if has("cursor") || has("after_seq") || has("at_seq") {
        codes.push(BadCursor);
    }
    if has_body {
        codes.extend([BadJson, BadId, BodyIncomplete, BadBody, BodyTooSlow]);
        codes.extend([UnsupportedMediaType, BodyTooLarge]);
    }
    if takes_key(path, method, id) {
        codes.extend([BadIdempotencyKey, IdempotencyKeyReused]);
    }
    match method {
        _ if id == "rebuild_projection" => codes.push(ShuttingDown),
        _ if id == "create_ticket" => codes.extend([ChatNotFound, ChatDeleted]),
        "get" => codes.extend([LogDamaged, ViewFailed, ViewUnavailable]),
        _ => codes.extend([EventTooLarge, ShuttingDown, LogStopped, OutcomeUnknown, StorageFailed]),
    }
    codes.extend(problems_of(id));
    by_status(codes)
}

/// The names of the codes, by status.
fn by_status(codes: Vec<Code>) -> BTreeMap<u16, Vec<String>> {
    let mut by_status: BTreeMap<u16, Vec<String>> = BTreeMap::new();
    for code in codes {
        let named = by_status.entry(code.status()).or_default();
        let name = format!("`{}`", code.name());
        if !named.contains(&name) {
            named.push(name);
        }
    }
    by_status
}

/// The problems that only this operation has.
fn problems_of(id: &str) -> &'static [Code] {
    use Code::*;
    match id {
        "append_events" => &[
            BadEvent,
            TooManyEvents,
            EventRefused,
            IdTaken,
            LeaseInvalid,
            LeaseFenced,
            TurnEnded,
            NumberGap,
        ],
        "start_turn" => &[
            ProviderUnknown,
            ProviderExternal,
            ChatBusy,
            IdTaken,
            QueueFull,
            TooManyTurns,
            ViewFailed,
            ViewUnavailable,
        ],
        "ai_sdk_send" => &[
            ChatDeleted,
            ProviderUnknown,
            ProviderExternal,
            ChatBusy,
            IdTaken,
            TooManyTurns,
            ViewFailed,
            ViewUnavailable,
        ],
        "stop_turn" | "ai_sdk_stop" => &[ViewFailed, ViewUnavailable],
        "queue_message" | "edit_queued" | "remove_queued" | "send_queued_now" | "clear_queue" => {
            problems_of_queue(id)
        }
        "respond" => &[RequestNotFound, RequestAnswered, ViewFailed, ViewUnavailable],
        "create_schedule" => &[ProviderUnknown, ProviderExternal, IdTaken, TooManySchedules],
        "get_schedule" | "list_runs" | "remove_schedule" => &[ScheduleNotFound],
        "update_schedule" => &[ScheduleNotFound, ProviderUnknown, ProviderExternal],
        "run_schedule" => &[
            ScheduleNotFound,
            ProviderUnknown,
            ProviderExternal,
            ChatBusy,
            TooManyTurns,
            ViewFailed,
            ViewUnavailable,
        ],
        "take_lease" => &[TurnEnded],
        "create_chat" => &[ChatExists, ChatDeleted],
        "delete_chat" => &[ChatBusy, EraseUnfinished, ViewUnavailable],
        "fork_chat" => &[ChatExists, PositionAhead, ForkTooEarly, ForkTooLarge, LogDamaged],
        "list_messages" | "list_events" => &[PositionAhead],
        "get_message" => &[PositionAhead, MessageNotFound],
        "stream_all" => &[BadId],
        "get_turn" => &[PositionAhead, TurnNotFound],
        "list_log_events" => &[BadId, PositionAhead, ChatNotFound, TurnNotFound],
        "get_log_event" => &[BadCursor, PositionAhead],
        "rebuild_projection" => &[ProjectionNotFound, RebuildRunning],
        _ => &[],
    }
}

fn problems_of_queue(id: &str) -> &'static [Code] {
    use Code::*;
    match id {
        "queue_message" => &[
            ProviderUnknown,
            ProviderExternal,
            IdTaken,
            QueueFull,
            TooManyTurns,
            ViewFailed,
            ViewUnavailable,
        ],
        "edit_queued" => {
            &[ProviderUnknown, ProviderExternal, QueuedMessageNotFound, QueuedMessageGone]
        }
        "remove_queued" => &[QueuedMessageNotFound, QueuedMessageGone],
        "send_queued_now" => {
            &[QueuedMessageNotFound, QueuedMessageGone, TooManyTurns, ViewFailed, ViewUnavailable]
        }
        "clear_queue" => &[ViewFailed, ViewUnavailable],
        _ => &[],
    }
}
