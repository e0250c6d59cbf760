//! JSON Web Tokens: an application proves its users by tokens that it signs, and makes no key.
//!
//! The algorithm is the configuration's; what a token says of its own is compared with it and never
//! followed. Signatures are `ring`'s to check. What is around them, splitting at dots and reading a
//! few claims, is short enough to stand here; the libraries that offer it bring a second
//! implementation of RSA, or of all cryptography, along.

use std::collections::BTreeSet;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::{hmac, signature};
use rustls_pki_types::alg_id;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{AlgorithmIdentifier, SubjectPublicKeyInfoDer};
use scrollback_schema::{ChatId, Millis};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{Principal, Role, Unproven};
use crate::config::{Algorithm, JwtConfig};
use crate::log::Owner;

/// How long after its end a token is still taken, since clocks differ; and before its beginning.
const LEEWAY_MS: i64 = 30_000;

/// Bytes of a token at most: what is longer is no token of a user.
const TOKEN_BYTES_MAX: usize = 16 << 10;

/// Chats that a token can be limited to at most.
const CHATS_MAX: usize = 256;

/// Bytes of a secret at least: as many as the hash has.
const SECRET_BYTES_MIN: usize = 32;

/// Why the `[auth.jwt]` table cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum JwtError {
    /// The environment has no secret.
    #[error("auth.jwt: the variable {name} is not set; it holds the secret")]
    NoSecret {
        /// The variable.
        name: String,
    },
    /// The secret can be guessed.
    #[error(
        "auth.jwt: the secret in {name} has less than {SECRET_BYTES_MIN} bytes; use a longer one"
    )]
    ShortSecret {
        /// The variable.
        name: String,
    },
    /// The file cannot be read.
    #[error("auth.jwt: no public key in PEM can be read from {path}")]
    NoKey {
        /// The file.
        path: String,
        /// Why.
        #[source]
        source: rustls_pki_types::pem::Error,
    },
    /// The key is one of another algorithm.
    #[error("auth.jwt: the public key in {path} is none of {algorithm}")]
    OtherKey {
        /// The file.
        path: String,
        /// What it would have to be of.
        algorithm: &'static str,
    },
}

/// Checks tokens.
pub(super) struct Jwt {
    config: JwtConfig,
    key: Key,
}

enum Key {
    Hmac(hmac::Key),
    Public(signature::UnparsedPublicKey<Vec<u8>>),
}

impl fmt::Debug for Jwt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Jwt").field("algorithm", &self.config.algorithm).finish_non_exhaustive()
    }
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    /// Extensions that have to be understood; none is.
    crit: Option<Value>,
}

/// The claims that are looked at; a claim of another type is no claim.
#[derive(Deserialize)]
struct Claims {
    sub: String,
    exp: f64,
    nbf: Option<f64>,
    iss: Option<String>,
    aud: Option<Audience>,
    chats: Option<Vec<String>>,
    #[serde(flatten)]
    others: Map<String, Value>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Several(Vec<String>),
}

impl Audience {
    fn has(&self, name: &str) -> bool {
        match self {
            Audience::One(one) => one == name,
            Audience::Several(several) => several.iter().any(|one| one == name),
        }
    }
}

impl Jwt {
    /// Takes the key; secrets are asked for by the names of their variables.
    pub(super) fn build(
        config: &JwtConfig,
        secret: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Jwt, JwtError> {
        let key = match (&config.secret_env, &config.public_key_file) {
            (Some(name), _) => {
                let secret =
                    secret(name).ok_or_else(|| JwtError::NoSecret { name: name.clone() })?;
                if secret.len() < SECRET_BYTES_MIN {
                    return Err(JwtError::ShortSecret { name: name.clone() });
                }
                Key::Hmac(hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes()))
            }
            (None, path) => {
                let path = path.as_deref().unwrap_or_default();
                let pem = SubjectPublicKeyInfoDer::from_pem_file(path);
                let pem =
                    pem.map_err(|source| JwtError::NoKey { path: path.to_owned(), source })?;
                Key::Public(public_key(config.algorithm, &pem).ok_or_else(|| {
                    let algorithm = config.algorithm.name();
                    JwtError::OtherKey { path: path.to_owned(), algorithm }
                })?)
            }
        };
        Ok(Jwt { config: config.clone(), key })
    }

    /// Who a token speaks for at an instant.
    pub(super) fn prove(&self, token: &str, now: Millis) -> Result<Principal, Unproven> {
        let claims = self.signed_claims(token).ok_or(Unproven::Unknown)?;
        let wanted = |wanted: &Option<String>, found: Option<bool>| match wanted {
            None => true,
            Some(_) => found == Some(true),
        };
        let (issuer, audience) = (&self.config.issuer, &self.config.audience);
        let has_issuer = wanted(issuer, Some(claims.iss == *issuer));
        let audience_is = claims.aud.as_ref().zip(audience.as_ref()).map(|(aud, own)| aud.has(own));
        if !has_issuer || !wanted(audience, audience_is) || claims.sub.is_empty() {
            return Err(Unproven::Unknown);
        }
        let expires_at = instant(claims.exp).ok_or(Unproven::Unknown)?.plus_ms(LEEWAY_MS);
        if expires_at <= now {
            return Err(Unproven::Expired);
        }
        if let Some(begins) = claims.nbf {
            let begins = instant(begins).ok_or(Unproven::Unknown)?;
            if begins > now.plus_ms(LEEWAY_MS) {
                return Err(Unproven::Unknown);
            }
        }
        let chats = claims.chats.as_deref().map(chats).transpose()?;
        let is_admin = self
            .config
            .admin_claim
            .as_ref()
            .is_some_and(|name| claims.others.get(name) == Some(&Value::Bool(true)));
        let role = if is_admin { Role::Admin } else { Role::User(Owner::new(&claims.sub)) };
        let name = format!("jwt:{}", claims.sub);
        Ok(Principal::of_key(&name, role).limited_to(chats).until(expires_at))
    }

    /// The claims, if the signature is right.
    fn signed_claims(&self, token: &str) -> Option<Claims> {
        if token.len() > TOKEN_BYTES_MAX {
            return None;
        }
        let (signed, signature) = token.rsplit_once('.')?;
        let (header, claims) = signed.split_once('.')?;
        let header: Header = serde_json::from_slice(&decode(header)?).ok()?;
        if header.alg != self.config.algorithm.name() || header.crit.is_some() {
            return None;
        }
        let signature = decode(signature)?;
        let is_right = match &self.key {
            Key::Hmac(key) => hmac::verify(key, signed.as_bytes(), &signature).is_ok(),
            Key::Public(key) => key.verify(signed.as_bytes(), &signature).is_ok(),
        };
        is_right.then_some(())?;
        serde_json::from_slice(&decode(claims)?).ok()
    }
}

fn decode(part: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(part).ok()
}

/// Seconds since the epoch, as a token has them.
fn instant(seconds: f64) -> Option<Millis> {
    let is_sane = seconds.is_finite() && (0.0..1e12).contains(&seconds);
    is_sane.then(|| Millis::new((seconds * 1_000.0) as i64))
}

fn chats(ids: &[String]) -> Result<BTreeSet<ChatId>, Unproven> {
    if ids.len() > CHATS_MAX {
        return Err(Unproven::Unknown);
    }
    ids.iter().map(|id| ChatId::parse(id).map_err(|_| Unproven::Unknown)).collect()
}

/// The key of a `SubjectPublicKeyInfo`, if it is one of the algorithm.
fn public_key(algorithm: Algorithm, info: &[u8]) -> Option<signature::UnparsedPublicKey<Vec<u8>>> {
    let (id, verify): (AlgorithmIdentifier, &'static dyn signature::VerificationAlgorithm) =
        match algorithm {
            Algorithm::Hs256 => return None,
            Algorithm::Rs256 => (alg_id::RSA_ENCRYPTION, &signature::RSA_PKCS1_2048_8192_SHA256),
            Algorithm::Es256 => (alg_id::ECDSA_P256, &signature::ECDSA_P256_SHA256_FIXED),
            Algorithm::EdDsa => (alg_id::ED25519, &signature::ED25519),
        };
    let (0x30, info, []) = der(info)? else { return None };
    let (0x30, found, rest) = der(info)? else { return None };
    let (0x03, [0, key @ ..], []) = der(rest)? else { return None };
    (found == id.as_ref()).then(|| signature::UnparsedPublicKey::new(verify, key.to_vec()))
}

/// The first value of DER: its tag, its content, and what comes after it.
fn der(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = bytes.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (len, rest) = match first {
        len @ 0..=0x7f => (usize::from(len), rest),
        0x81 => (usize::from(*rest.first()?), &rest[1..]),
        0x82 => (usize::from(u16::from_be_bytes([*rest.first()?, *rest.get(1)?])), &rest[2..]),
        _ => return None,
    };
    let (content, rest) = rest.split_at_checked(len)?;
    Some((tag, content, rest))
}
