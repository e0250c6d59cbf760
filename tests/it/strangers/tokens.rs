//! Tokens that an application signs, and tickets: the right ones, and all that look like them.

use axum::body::Body;
use axum::http::{Method, Request};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ring::hmac;
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256,
    RsaKeyPair,
};
use scrollback_test_support::wait::within;
use serde_json::{Value, json};

use super::people::{CHAT, JWT_SECRET, People, SECRET, of_chat, said};
use super::routes::{OPEN, operations};
use crate::http::api::{Api, Stream, request, with_token};

/// Seconds since the epoch at which the server's clock stands.
const NOW: i64 = 1_795_380_720;

fn encode(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// A token with this header and these claims, signed by `sign`.
fn token(header: &Value, claims: &Value, sign: impl FnOnce(&[u8]) -> Vec<u8>) -> String {
    let signed = format!(
        "{}.{}",
        encode(header.to_string().as_bytes()),
        encode(claims.to_string().as_bytes())
    );
    let signature = sign(signed.as_bytes());
    format!("{signed}.{}", encode(&signature))
}

fn by_secret(secret: &str) -> impl Fn(&[u8]) -> Vec<u8> {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    move |signed| hmac::sign(&key, signed).as_ref().to_vec()
}

fn hs256(claims: &Value) -> String {
    token(&json!({ "alg": "HS256", "typ": "JWT" }), claims, by_secret(JWT_SECRET))
}

/// What a token of Ann says.
fn claims(changed: &[(&str, Value)]) -> Value {
    let mut claims =
        json!({ "sub": "ann", "iss": "app", "aud": ["other", "scrollback"], "exp": NOW + 600 });
    for (name, value) in changed {
        match value {
            Value::Null => drop(claims.as_object_mut().unwrap().remove(*name)),
            value => claims[*name] = value.clone(),
        }
    }
    claims
}

#[tokio::test]
async fn a_token_speaks_for_its_subject() {
    let people = People::new().await;
    let call = async |token: &str, path: &str| {
        people.api.call_as(token, Method::GET, path, &Value::Null).await
    };
    let ann = hs256(&claims(&[]));
    call(&ann, &of_chat("")).await.expect(200);
    assert_eq!(call(&ann, "/v1/log").await.problem(), "403 forbidden");
    // A part of a second, and a little after its end, since clocks differ.
    let late = claims(&[("exp", json!(NOW as f64 - 20.5)), ("nbf", json!(NOW + 20))]);
    call(&hs256(&late), &of_chat("")).await.expect(200);
    let carol = hs256(&claims(&[("sub", json!("carol"))]));
    assert_eq!(call(&carol, &of_chat("")).await.problem(), "404 chat_not_found");
    let admin = hs256(&claims(&[("operates", json!(true))]));
    call(&admin, "/v1/log").await.expect(200);
    let not_admin = hs256(&claims(&[("operates", json!("true")), ("admin", json!(true))]));
    assert_eq!(call(&not_admin, "/v1/log").await.problem(), "403 forbidden");
}

#[tokio::test]
async fn a_token_that_is_limited_sees_no_other_chat() {
    let people = People::new().await;
    people.ann(Method::POST, "/v1/chats", &json!({ "chat_id": "other" })).await.expect(201);
    let token = hs256(&claims(&[("chats", json!(["other", "bobs", "new"]))]));
    let call = async |method: Method, path: &str, body: &Value| {
        people.api.call_as(&token, method, path, body).await
    };
    call(Method::GET, "/v1/chats/other", &Value::Null).await.expect(200);
    for path in [of_chat(""), "/v1/chats/bobs".to_owned()] {
        let refused = call(Method::GET, &path, &Value::Null).await;
        assert_eq!(refused.problem(), "404 chat_not_found", "{path}");
    }
    let list = call(Method::GET, "/v1/chats", &Value::Null).await.expect(200);
    assert_eq!(
        (list["items"].as_array().unwrap().len(), &list["items"][0]["id"]),
        (1, &json!("other"))
    );
    let found = call(Method::GET, &format!("/v1/chats?q={SECRET}"), &Value::Null).await;
    assert_eq!(found.expect(200)["items"], json!([]));
    call(Method::POST, "/v1/chats", &json!({ "chat_id": "new" })).await.expect(201);
    for body in [json!({ "chat_id": "others" }), json!({})] {
        let refused = call(Method::POST, "/v1/chats", &body).await;
        assert_eq!(refused.problem(), "403 forbidden", "{body}");
    }
    let request = Request::get("/v1/stream?after_seq=0").body(Body::empty()).unwrap();
    let mut feed = people.api.stream_with(with_token(request, &token)).await;
    let all = until_caught_up(&mut feed).await;
    assert!(all.contains("\"other\"") && !all.contains(CHAT) && !all.contains("bobs"), "{all}");
}

async fn until_caught_up(feed: &mut Stream) -> String {
    let mut all = String::new();
    while !all.contains("event: caught_up") {
        all.push_str(&feed.next().await.unwrap());
    }
    all
}

/// Tokens that are not right, each with what is wrong with it.
fn wrong_tokens() -> Vec<(&'static str, String)> {
    let hs = json!({ "alg": "HS256" });
    let good = hs256(&claims(&[]));
    let (signed, signature) = good.rsplit_once('.').unwrap();
    let mut flipped = URL_SAFE_NO_PAD.decode(signature).unwrap();
    flipped[0] ^= 1;
    let none = |_: &[u8]| Vec::new();
    let of = |changed: &[(&str, Value)]| hs256(&claims(changed));
    let other_claims = encode(claims(&[("sub", json!("bob"))]).to_string().as_bytes());
    let header = signed.split('.').next().unwrap();
    vec![
        ("expired", of(&[("exp", json!(NOW - 31))])),
        ("without an end", of(&[("exp", Value::Null)])),
        ("an end that is text", of(&[("exp", json!((NOW + 600).to_string()))])),
        ("an end that is too large", of(&[("exp", json!(1e300))])),
        ("not yet", of(&[("nbf", json!(NOW + 60))])),
        ("a beginning that is text", of(&[("nbf", json!("0"))])),
        ("nobody's", of(&[("sub", Value::Null)])),
        ("of an empty subject", of(&[("sub", json!(""))])),
        ("another issuer", of(&[("iss", json!("evil"))])),
        ("no issuer", of(&[("iss", Value::Null)])),
        ("another audience", of(&[("aud", json!("other"))])),
        ("no audience", of(&[("aud", Value::Null)])),
        ("chats that are no list", of(&[("chats", json!(CHAT))])),
        ("chats that are no ids", of(&[("chats", json!(["a/b"]))])),
        ("alg none", token(&json!({ "alg": "none" }), &claims(&[]), none)),
        ("no signature", format!("{signed}.")),
        ("a flipped bit", format!("{signed}.{}", encode(&flipped))),
        ("other claims", format!("{header}.{other_claims}.{signature}")),
        ("another secret", token(&hs, &claims(&[]), by_secret("not that secret"))),
        (
            "another algorithm's name",
            token(&json!({ "alg": "HS512" }), &claims(&[]), by_secret(JWT_SECRET)),
        ),
        (
            "an algorithm in small letters",
            token(&json!({ "alg": "hs256" }), &claims(&[]), by_secret(JWT_SECRET)),
        ),
        (
            "an extension",
            token(&json!({ "alg": "HS256", "crit": ["x"] }), &claims(&[]), by_secret(JWT_SECRET)),
        ),
        ("too long", of(&[("x", json!("x".repeat(20_000)))])),
        ("two parts", signed.to_owned()),
        ("four parts", format!("{good}.x")),
    ]
}

#[tokio::test]
async fn no_route_takes_a_token_that_is_not_right() {
    let people = People::new().await;
    let ticket = people.ann(Method::POST, "/v1/tickets", &json!({ "chat_id": CHAT })).await;
    let ticket = ticket.expect(201)["ticket"].as_str().unwrap().to_owned();
    let mut wrong = wrong_tokens();
    wrong.push(("a ticket in the header", ticket.clone()));
    let mut n_calls = 0;
    for operation in operations(&people).await {
        if OPEN.contains(&operation.id.as_str()) {
            continue;
        }
        let (path, body) = (operation.path_in(CHAT), operation.body(CHAT));
        for (what, token) in &wrong {
            let call = request(operation.method.clone(), &path, &body);
            let answer = people.api.answer(with_token(call, token)).await;
            assert_eq!(answer.problem(), "401 unauthenticated", "{what}: {path}");
            assert!(!said(&answer).contains(SECRET) && !said(&answer).contains(token.as_str()));
            n_calls += 1;
        }
        // A ticket opens the stream of its chat, in both forms, and nothing else.
        let is_its_stream = ["stream_chat", "ai_sdk_resume"].contains(&&*operation.id);
        let joint = if path.contains('?') { "&" } else { "?" };
        let call =
            request(operation.method.clone(), &format!("{path}{joint}ticket={ticket}"), &body);
        let (head, _) = people.api.send(call).await.into_parts();
        assert_eq!(head.status == 200, is_its_stream, "{path}");
        assert_eq!(head.status == 401, !is_its_stream, "{path}");
        n_calls += 1;
    }
    println!("{} wrong tokens, {n_calls} calls", wrong.len());
}

#[tokio::test]
async fn a_ticket_opens_one_stream_for_a_minute() {
    let people = People::new().await;
    people.ann(Method::POST, "/v1/chats", &json!({ "chat_id": "other" })).await.expect(201);
    let make = async |body: &Value| {
        let made = people.ann(Method::POST, "/v1/tickets", body).await.expect(201);
        made["ticket"].as_str().unwrap().to_owned()
    };
    let (of_all, of_one) = (make(&json!({})).await, make(&json!({ "chat_id": CHAT })).await);
    let open = async |path: String| {
        let request = Request::get(path).body(Body::empty()).unwrap();
        people.api.send(request).await.status().as_u16()
    };
    assert_eq!(open(format!("/v1/stream?ticket={of_all}")).await, 200);
    assert_eq!(open(format!("{}?ticket={of_one}", of_chat("/stream"))).await, 200);
    let wrong = [
        format!("/v1/stream?ticket={of_one}"),
        format!("{}?ticket={of_all}", of_chat("/stream")),
        format!("/v1/chats/other/stream?ticket={of_one}"),
        format!("/v1/chats/bobs/stream?ticket={of_one}"),
        format!("/v1/stream?ticket={}x", of_all),
        format!("/v1/stream?ticket={}", people.ann.reveal()),
        "/v1/stream?ticket=".to_owned(),
    ];
    for path in wrong {
        assert_eq!(open(path.clone()).await, 401, "{path}");
    }
    let refused = people.bob(Method::POST, "/v1/tickets", &json!({ "chat_id": CHAT })).await;
    assert_eq!(refused.problem(), "404 chat_not_found");
    let path = format!("/v1/stream?after_seq=0&ticket={of_all}");
    let mut feed = people.api.stream(&path).await;
    let all = until_caught_up(&mut feed).await;
    assert!(all.contains(SECRET) && !all.contains("bobs"), "{all}");
    people.api.clock.advance_ms(60_000);
    assert_eq!(open(format!("/v1/stream?ticket={of_all}")).await, 401);
    // The one that was opened in time goes on: a key has no end.
    people.ann(Method::PATCH, &of_chat(""), &json!({ "title": "end" })).await.expect(200);
    assert!(feed.next().await.unwrap().contains("\"end\""));
}

#[tokio::test]
async fn a_stream_ends_with_the_token_that_opened_it() {
    let people = People::new().await;
    // Thirty seconds are for clocks that differ; a second is left.
    let ends = hs256(&claims(&[("exp", json!(NOW - 29))]));
    let body = json!({});
    let made = people.api.call_as(&ends, Method::POST, "/v1/tickets", &body).await.expect(201);
    let ticket = made["ticket"].as_str().unwrap();
    let calls = [
        with_token(request(Method::GET, "/v1/stream", &Value::Null), &ends),
        with_token(request(Method::GET, &of_chat("/stream"), &Value::Null), &ends),
        request(Method::GET, &format!("/v1/stream?ticket={ticket}"), &Value::Null),
    ];
    for call in calls {
        let mut stream = people.api.stream_with(call).await;
        until_caught_up(&mut stream).await;
        let rest = within("the end of the token", stream.rest()).await;
        assert_eq!(rest, ["- bye unauthorized"]);
    }
    let path = format!("/api/chat/{CHAT}/stream");
    let sdk = with_token(request(Method::GET, &path, &Value::Null), &ends);
    let (head, body) = people.api.send(sdk).await.into_parts();
    assert_eq!(head.status, 200);
    // It breaks off, as where a network does; the client asks again and hears 401.
    let read = http_body_util::BodyExt::collect(body);
    assert!(within("the end of the token", read).await.is_err());
}

/// A server that takes the tokens of a public key.
async fn with_public_key(algorithm: &str, pem: &str) -> Api {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), pem).unwrap();
    let path = file.path().to_str().unwrap();
    let config = format!("[auth.jwt]\nalgorithm = '{algorithm}'\npublic_key_file = '{path}'\n");
    Api::with_config(&config).await
}

/// A public key as files have it: what says which kind it is, then the key.
fn pem(kind: &[u8], key: &[u8]) -> String {
    let text = STANDARD.encode([kind, key].concat());
    format!("-----BEGIN PUBLIC KEY-----\n{text}\n-----END PUBLIC KEY-----\n")
}

const ED25519: &[u8] = &[0x30, 0x2a, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 3, 0x21, 0];
const P256: &[u8] = &[
    0x30, 0x59, 0x30, 0x13, 6, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1, 6, 8, 0x2a, 0x86, 0x48, 0xce,
    0x3d, 3, 1, 7, 3, 0x42, 0,
];

#[tokio::test]
async fn public_keys_prove_tokens_and_are_no_secrets() {
    let random = SystemRandom::new();
    let ed = Ed25519KeyPair::generate_pkcs8(&random).unwrap();
    let ed = Ed25519KeyPair::from_pkcs8(ed.as_ref()).unwrap();
    let ec = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
    let ec =
        EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, ec.as_ref(), &random).unwrap();
    let rsa = include_str!("keys/rsa_private.pem");
    let rsa: String = rsa.lines().filter(|line| !line.starts_with('-')).collect();
    let rsa = RsaKeyPair::from_pkcs8(&STANDARD.decode(rsa).unwrap()).unwrap();
    type Sign<'a> = Box<dyn Fn(&[u8]) -> Vec<u8> + 'a>;
    let signers: [(&str, String, Sign<'_>); 3] = [
        (
            "EdDSA",
            pem(ED25519, ed.public_key().as_ref()),
            Box::new(|signed| ed.sign(signed).as_ref().to_vec()),
        ),
        (
            "ES256",
            pem(P256, ec.public_key().as_ref()),
            Box::new(|signed| ec.sign(&random, signed).unwrap().as_ref().to_vec()),
        ),
        (
            "RS256",
            include_str!("keys/rsa_public.pem").to_owned(),
            Box::new(|signed| {
                let mut signature = vec![0; rsa.public().modulus_len()];
                rsa.sign(&RSA_PKCS1_SHA256, &random, signed, &mut signature).unwrap();
                signature
            }),
        ),
    ];
    for (algorithm, pem, sign) in &signers {
        let api = with_public_key(algorithm, pem).await;
        let call =
            async |token: &str| api.call_as(token, Method::GET, "/v1/chats", &Value::Null).await;
        let header = json!({ "alg": algorithm });
        call(&token(&header, &claims(&[]), sign)).await.expect(200);
        let expired = claims(&[("exp", json!(NOW - 31))]);
        let wrong = [
            token(&header, &expired, sign),
            token(&header, &claims(&[]), |_| vec![1; 64]),
            // The public key is known to everybody: it may never serve as a secret.
            token(&json!({ "alg": "HS256" }), &claims(&[]), by_secret(pem)),
            token(&header, &claims(&[]), by_secret(pem)),
            token(&json!({ "alg": "none" }), &claims(&[]), |_| Vec::new()),
        ];
        for token in wrong {
            assert_eq!(call(&token).await.problem(), "401 unauthenticated", "{algorithm}: {token}");
        }
    }
}
