//! The `[auth]` table: who may call.
//!
//! It is read by hand and not by `serde`: what is wrong is named by its key, and no value of it,
//! which may be a key that somebody put in the wrong place, comes into an error.

use toml::{Table, Value};

use crate::auth::{KeyHash, Role};
use crate::log::Owner;

/// What proves who somebody is.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct AuthConfig {
    /// API keys, by their hashes.
    pub keys: Vec<KeyConfig>,
    /// Tokens that an application signs for its users.
    pub jwt: Option<JwtConfig>,
}

/// An API key.
#[derive(Debug, Clone, PartialEq)]
pub struct KeyConfig {
    /// What its holder is called in traces.
    pub name: String,
    /// What it is known by.
    pub hash: KeyHash,
    /// What its holder may do.
    pub role: Role,
}

/// JSON Web Tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JwtConfig {
    /// How they are signed; what a token says of it is not asked.
    pub algorithm: Algorithm,
    /// The variable of the environment that holds the secret of HS256.
    pub secret_env: Option<String>,
    /// The file with the public key of the others, in PEM.
    pub public_key_file: Option<String>,
    /// What `iss` has to be.
    pub issuer: Option<String>,
    /// What `aud` has to be or hold.
    pub audience: Option<String>,
    /// The claim that makes an admin, if it is `true`; none does unless it is named.
    pub admin_claim: Option<String>,
}

/// How tokens are signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    /// HMAC with SHA-256.
    Hs256,
    /// RSA with SHA-256.
    Rs256,
    /// ECDSA on P-256 with SHA-256.
    Es256,
    /// Ed25519.
    EdDsa,
}

impl Algorithm {
    const ALL: [Algorithm; 4] =
        [Algorithm::Hs256, Algorithm::Rs256, Algorithm::Es256, Algorithm::EdDsa];

    /// Its name in a token.
    pub const fn name(self) -> &'static str {
        match self {
            Algorithm::Hs256 => "HS256",
            Algorithm::Rs256 => "RS256",
            Algorithm::Es256 => "ES256",
            Algorithm::EdDsa => "EdDSA",
        }
    }
}

impl JwtConfig {
    fn read(mut table: Keys) -> Result<JwtConfig, String> {
        let name = table.needed("algorithm")?;
        let found = Algorithm::ALL.into_iter().find(|algorithm| algorithm.name() == name);
        let Some(algorithm) = found else {
            let known = Algorithm::ALL.map(Algorithm::name).join(", ");
            return Err(format!("auth.jwt: algorithm is one of {known}"));
        };
        let config = JwtConfig {
            algorithm,
            secret_env: table.text("secret_env")?,
            public_key_file: table.text("public_key_file")?,
            issuer: table.text("issuer")?,
            audience: table.text("audience")?,
            admin_claim: table.text("admin_claim")?,
        };
        table.end()?;
        let is_hmac = algorithm == Algorithm::Hs256;
        match (is_hmac, &config.secret_env, &config.public_key_file) {
            (true, Some(_), None) | (false, None, Some(_)) => Ok(config),
            (true, ..) => Err("auth.jwt: HS256 takes secret_env and no public key".to_owned()),
            (false, ..) => Err(format!("auth.jwt: {name} takes public_key_file and no secret")),
        }
    }
}

impl AuthConfig {
    /// Whether nothing could prove anybody.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty() && self.jwt.is_none()
    }

    /// Reads the table; what is wrong is told by a sentence that names the key.
    pub(super) fn read(value: Value) -> Result<AuthConfig, String> {
        let mut table = Keys::of("auth", value)?;
        let mut config = AuthConfig::default();
        for (index, key) in table.list("keys")?.into_iter().enumerate() {
            let key = Keys::of(&format!("auth.keys entry {}", index + 1), key)?;
            let key = KeyConfig::read(key)?;
            if config.keys.iter().any(|other| other.name == key.name) {
                return Err(format!("auth.keys has the name \"{}\" twice", key.name));
            }
            config.keys.push(key);
        }
        if let Some(jwt) = table.table.remove("jwt") {
            config.jwt = Some(JwtConfig::read(Keys::of("auth.jwt", jwt)?)?);
        }
        table.end()?;
        Ok(config)
    }
}

impl KeyConfig {
    fn read(mut table: Keys) -> Result<KeyConfig, String> {
        let name = table.needed("name")?;
        let hash = KeyHash::parse(&table.needed("hash")?)
            .map_err(|error| format!("{}: hash is {error}", table.place))?;
        let owner = table.text("owner")?;
        let role = match (table.needed("role")?.as_str(), owner) {
            ("admin", None) => Role::Admin,
            ("admin", Some(_)) => {
                return Err(format!("{}: an admin sees every chat; leave owner out", table.place));
            }
            ("user", Some(owner)) if !owner.is_empty() => Role::User(Owner::new(&owner)),
            ("user", _) => return Err(format!("{}: a user needs an owner", table.place)),
            _ => return Err(format!("{}: role is \"admin\" or \"user\"", table.place)),
        };
        table.end()?;
        Ok(KeyConfig { name, hash, role })
    }
}

/// A table whose keys are taken one by one.
struct Keys {
    place: String,
    table: Table,
}

impl Keys {
    fn of(place: &str, value: Value) -> Result<Keys, String> {
        match value {
            Value::Table(table) => Ok(Keys { place: place.to_owned(), table }),
            _ => Err(format!("{place} is no table")),
        }
    }

    fn text(&mut self, key: &str) -> Result<Option<String>, String> {
        match self.table.remove(key) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(format!("{}: {key} is no string", self.place)),
        }
    }

    fn needed(&mut self, key: &str) -> Result<String, String> {
        let found = self.text(key)?.filter(|text| !text.is_empty());
        found.ok_or_else(|| format!("{}: {key} is missing", self.place))
    }

    fn list(&mut self, key: &str) -> Result<Vec<Value>, String> {
        match self.table.remove(key) {
            None => Ok(Vec::new()),
            Some(Value::Array(items)) => Ok(items),
            Some(_) => Err(format!("{}: {key} is no list of tables", self.place)),
        }
    }

    /// Nothing else may be there.
    fn end(self) -> Result<(), String> {
        match self.table.keys().next() {
            None => Ok(()),
            Some(key) => Err(format!("{} has an unknown key {key}", self.place)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::ApiKey;

    fn read(text: &str) -> Result<AuthConfig, String> {
        let mut table: Table = toml::from_str(text).unwrap();
        AuthConfig::read(table.remove("auth").unwrap())
    }

    #[test]
    fn keys_are_read() {
        let (one, two) = (ApiKey::fresh(), ApiKey::fresh());
        let config = read(&format!(
            "[[auth.keys]]\nname = 'ops'\nhash = '{}'\nrole = 'admin'\n\
             [[auth.keys]]\nname = 'ann'\nhash = '{}'\nrole = 'user'\nowner = 'ann'\n",
            one.hash().hex(),
            two.hash().hex().to_uppercase(),
        ))
        .unwrap();
        let read: Vec<_> = config.keys.iter().map(|key| (&*key.name, &key.role)).collect();
        assert_eq!(read, [("ops", &Role::Admin), ("ann", &Role::User(Owner::new("ann")))]);
        assert!(config.keys[1].hash.is_same(&two.hash()));
        assert!(!format!("{config:?}").contains(&one.hash().hex()));
    }

    #[test]
    fn what_is_wrong_is_named_and_no_value_is_shown() {
        let hash = "a".repeat(64);
        let key = |rest: &str| format!("[[auth.keys]]\nname = 'n'\n{rest}");
        let cases = [
            ("auth = 'sbk_secret'".to_owned(), "auth is no table"),
            ("[auth]\nkeys = 'sbk_secret'".to_owned(), "keys is no list"),
            ("[auth.jwt]\nalgorithm = 'none'".to_owned(), "one of HS256, RS256, ES256, EdDSA"),
            ("[auth.jwt]\nalgorithm = 'RS256'\nsecret_env = 'S'".to_owned(), "no secret"),
            ("[auth.jwt]\nalgorithm = 'HS256'".to_owned(), "takes secret_env"),
            ("[auth]\nsecret = 'sbk_secret'".to_owned(), "auth has an unknown key secret"),
            (key(""), "hash is missing"),
            (key("hash = 'sbk_secret'"), "64 hexadecimal digits"),
            (key(&format!("hash = '{hash}'\nrole = 'sbk_secret'")), "role is"),
            (key(&format!("hash = '{hash}'\nrole = 'user'")), "needs an owner"),
            (key(&format!("hash = '{hash}'\nrole = 'admin'\nowner = 'o'")), "leave owner out"),
        ];
        for (text, part) in cases {
            let said = read(&text).unwrap_err();
            assert!(said.contains(part) && !said.contains("sbk_secret"), "{said}");
        }
    }
}
