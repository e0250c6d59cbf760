//! The command line: reads what a person typed and the environment, and runs one command.
//!
//! One file a command. Data goes to stdout, talk to stderr; what a command finds out it learns from
//! the modules below it, which know nothing of terminals.

mod archive;
mod backup;
mod chat;
mod demo;
mod exit;
mod export;
#[cfg(feature = "failpoints")]
pub mod failpoints;
mod import;
mod inspect;
mod open_files;
mod output;
mod preview;
mod provider_flags;
mod providers;
mod range;
mod rebuild;
mod replay;
mod serve;
mod stream;
mod tail;
mod token;
mod verify;

use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use exit::Exit;
use output::{Format, Out};

/// Record, replay and inspect AI chats in one append-only log
///
/// Scrollback keeps everything that happens in an AI chat in one append-only log, and gives it back
/// the same way to everyone: a live reader, one that reconnects, a page that reloads, and you.
#[derive(Debug, Parser)]
#[command(
    name = "scrollback",
    version,
    propagate_version = true,
    max_term_width = 100,
    after_help = "\
Examples:
  scrollback demo                      See it work: a sample chat, live, in a fresh directory
  scrollback serve                     Run the server on ./scrollback-data
  scrollback chat \"What is new?\"       Ask a model or an agent, and read along
  scrollback inspect chats             List the chats, whether the server runs or not
  scrollback inspect events --follow   Watch events as they are committed
  scrollback verify                    Prove that the log is whole

Exit codes: 0 done; 1 done, and the answer is no (damage, a difference); 2 could not run."
)]
pub struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

/// Where the data is unless a flag or the configuration says otherwise.
const DATA_DEFAULT: &str = "./scrollback-data";

/// What every command takes.
#[derive(Debug, Args)]
struct Global {
    /// Keep the log and its views in this directory
    #[arg(long, global = true, value_name = "DIR", default_value = DATA_DEFAULT)]
    data: PathBuf,
    /// Print one JSON value a line instead of text
    #[arg(long, global = true)]
    json: bool,
}

impl Global {
    fn format(&self) -> Format {
        if self.json { Format::Json } else { Format::Text }
    }
}

#[derive(Debug, Subcommand)]
enum Command {
    Serve(serve::Serve),
    Demo(demo::Demo),
    Chat(chat::Chat),
    #[command(subcommand)]
    Providers(providers::Providers),
    #[command(subcommand)]
    Inspect(inspect::Inspect),
    Verify(verify::Verify),
    Rebuild(rebuild::Rebuild),
    Export(export::Export),
    Import(import::Import),
    Backup(backup::Backup),
    Archive(archive::Archive),
    Tail(tail::Tail),
    Replay(replay::Replay),
    Token(token::Token),
}

/// Runs the program: parses its arguments, runs the command, and says how it ended.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    start_tracing();
    let mut out = Out::stdout(cli.global.format());
    let ran = run(&cli, &mut out).and_then(|exit| {
        out.flush()?;
        Ok(exit)
    });
    let exit = ran.unwrap_or_else(|error| {
        let exit = exit::of_error(&error);
        if exit != Exit::Ok {
            output::say(&format!("scrollback: {}", exit::sentence(&error)));
        }
        exit
    });
    exit.into()
}

fn run(cli: &Cli, out: &mut Out) -> anyhow::Result<Exit> {
    let data = cli.global.data.as_path();
    match &cli.command {
        Command::Serve(args) => serve::run(data, args),
        Command::Demo(args) => demo::run(data, args),
        Command::Chat(args) => chat::run(args, out),
        Command::Providers(args) => providers::run(args, out),
        Command::Inspect(args) => inspect::run(data, args, out),
        Command::Verify(args) => verify::run(data, args, out),
        Command::Rebuild(args) => rebuild::run(data, args, out),
        Command::Export(args) => export::run(data, args, out),
        Command::Import(args) => import::run(data, args, out),
        Command::Backup(args) => backup::run(data, args, out),
        Command::Archive(args) => archive::run(data, args, out),
        Command::Tail(args) => tail::run(args, out),
        Command::Replay(args) => replay::run(data, args, out),
        Command::Token(args) => token::run(args, out),
    }
}

/// Sends tracing to stderr, in colours to a terminal only; `RUST_LOG` says how much, warnings
/// unless it is set.
fn start_tracing() {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("warn"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr)
        .init();
    std::panic::set_hook(Box::new(say_panic));
}

/// Says where a thread panicked, and not what it panicked with: that can be a piece of a chat.
fn say_panic(panic: &std::panic::PanicHookInfo<'_>) {
    let thread = std::thread::current();
    let thread = thread.name().unwrap_or("unnamed");
    let place = panic.location().map(ToString::to_string);
    tracing::error!(thread, place, "a thread panicked; this is a fault of the program");
}
