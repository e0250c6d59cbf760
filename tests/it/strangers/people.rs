//! A server with credentials: an operator, Ann, who has a secret, and Bob, who wants it.

use axum::http::Method;
use scrollback::auth::ApiKey;
use serde_json::{Value, json};

use crate::http::api::{Answer, Api};

/// A word that Ann said, and nobody else.
pub(super) const SECRET: &str = "xylographer";

/// Ann's chat.
pub(super) const CHAT: &str = "anns-own-chat";

/// A chat that is not there, with an id as long as Ann's.
pub(super) const NO_CHAT: &str = "no-such-chat0";

/// The secret of the application's tokens.
pub(super) const JWT_SECRET: &str = "a secret of the application, of more than 32 bytes";

/// The server and those who call it.
pub(super) struct People {
    pub(super) api: Api,
    pub(super) admin: ApiKey,
    pub(super) ann: ApiKey,
    pub(super) bob: ApiKey,
}

impl People {
    /// A server with everything that a chat can have in Ann's.
    pub(super) async fn new() -> People {
        let [admin, ann, bob] = [ApiKey::fresh(), ApiKey::fresh(), ApiKey::fresh()];
        let config = format!(
            "default_provider = 'agent'\n[providers.agent]\nkind = 'scripted'\nscript = 'plan'\n\
             [auth.jwt]\nalgorithm = 'HS256'\nsecret_env = 'JWT_SECRET'\nissuer = 'app'\n\
             audience = 'scrollback'\nadmin_claim = 'operates'\n\
             [[auth.keys]]\nname = 'ops'\nhash = '{}'\nrole = 'admin'\n\
             [[auth.keys]]\nname = 'ann'\nhash = '{}'\nrole = 'user'\nowner = 'ann'\n\
             [[auth.keys]]\nname = 'bob'\nhash = '{}'\nrole = 'user'\nowner = 'bob'\n",
            admin.hash().hex(),
            ann.hash().hex(),
            bob.hash().hex(),
        );
        let people = {
            let api = Api::with_secrets(&config, &[("JWT_SECRET", JWT_SECRET)]).await;
            People { api, admin, ann, bob }
        };
        people.fill().await;
        people
    }

    async fn fill(&self) {
        let text = format!("the word is {SECRET}");
        let chat = json!({ "chat_id": CHAT, "title": format!("about {SECRET}") });
        self.ann(Method::POST, "/v1/chats", &chat).await.expect(201);
        let turn = json!({ "provider": "external", "text": text, "turn_id": "t1",
            "user_message_id": "u1", "message_id": "m1" });
        let started = self.ann(Method::POST, &of_chat("/turns"), &turn).await.expect(202);
        let lease = started["lease"]["token"].as_str().unwrap();
        let options = json!([{ "option_id": "yes", "name": "yes", "kind": "allow_once" }]);
        let events = json!({ "lease": lease, "first_number": 1, "events": [
            { "kind": "assistant_text", "payload": { "text": text } },
            { "kind": "permission_request",
              "payload": { "request_id": "r1", "options": options,
                "tool": { "id": "w1", "name": SECRET } } },
        ]});
        self.ann(Method::POST, &of_chat("/events"), &events).await.expect(200);
        let queued = json!({ "queued_message_id": "q1", "content": text });
        self.ann(Method::POST, &of_chat("/queue"), &queued).await.expect(202);
        let schedule = json!({ "chat_id": CHAT, "schedule_id": "s1", "prompt": text,
            "timing": { "every_ms": 86_400_000 } });
        self.ann(Method::POST, "/v1/schedules", &schedule).await.expect(201);
        self.bob(Method::POST, "/v1/chats", &json!({ "chat_id": "bobs" })).await.expect(201);
    }

    pub(super) async fn ann(&self, method: Method, path: &str, body: &Value) -> Answer {
        self.api.call_as(self.ann.reveal(), method, path, body).await
    }

    pub(super) async fn bob(&self, method: Method, path: &str, body: &Value) -> Answer {
        self.api.call_as(self.bob.reveal(), method, path, body).await
    }

    pub(super) async fn admin(&self, method: Method, path: &str, body: &Value) -> Answer {
        self.api.call_as(self.admin.reveal(), method, path, body).await
    }
}

/// A path within Ann's chat.
pub(super) fn of_chat(rest: &str) -> String {
    format!("/v1/chats/{CHAT}{rest}")
}

/// All that an answer says: its head and its body.
pub(super) fn said(answer: &Answer) -> String {
    format!("{:?} {}", answer.headers, String::from_utf8_lossy(&answer.body))
}
