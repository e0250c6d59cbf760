//! `token`: makes an API key, and the lines by which a server knows it.

use clap::{Args, ValueEnum};
use serde_json::json;

use super::exit::Exit;
use super::output::{Format, Out, say};
use crate::auth::ApiKey;

/// Make an API key
///
/// The key goes to stdout, once: it is kept nowhere. The lines for the file of `serve --config` go
/// to stderr; they hold its hash, which is no secret.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  scrollback token > key.txt
  scrollback token --name ann --role user --owner ann
  curl -H \"authorization: Bearer $(cat key.txt)\" http://127.0.0.1:7878/v1/chats")]
pub(super) struct Token {
    /// Call the key by this name in traces
    #[arg(long, value_name = "NAME", default_value = "admin")]
    name: String,
    /// What its holder may do
    #[arg(long, value_enum, default_value_t = KeyRole::Admin)]
    role: KeyRole,
    /// Whose chats its holder has
    #[arg(long, value_name = "OWNER", required_if_eq("role", "user"))]
    owner: Option<String>,
}

/// A role as a flag.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum KeyRole {
    /// See every chat, and operate the server
    Admin,
    /// See the chats of one owner
    User,
}

pub(super) fn run(args: &Token, out: &mut Out) -> anyhow::Result<Exit> {
    if args.role == KeyRole::Admin && args.owner.is_some() {
        anyhow::bail!("an admin sees every chat; leave --owner out, or say --role user");
    }
    let key = ApiKey::fresh();
    let role = match args.role {
        KeyRole::Admin => "admin",
        KeyRole::User => "user",
    };
    let mut entry = toml::Table::new();
    entry.insert("name".to_owned(), args.name.clone().into());
    entry.insert("hash".to_owned(), key.hash().hex().into());
    entry.insert("role".to_owned(), role.into());
    if let Some(owner) = &args.owner {
        entry.insert("owner".to_owned(), owner.clone().into());
    }
    let lines = format!("[[auth.keys]]\n{entry}");
    match out.format {
        Format::Json => out.json(&json!({ "key": key.reveal(), "config": lines }))?,
        Format::Text => {
            out.line(key.reveal())?;
            say(&format!("add to the file of serve --config, and keep the key:\n\n{lines}"));
        }
    }
    Ok(Exit::Ok)
}
