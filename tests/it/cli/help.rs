//! The help of every command, short and long.

use super::program::{Ended, PROGRAM};

const COMMANDS: [&str; 23] = [
    "",
    "serve",
    "demo",
    "chat",
    "providers",
    "providers list",
    "providers check",
    "inspect",
    "inspect chats",
    "inspect events",
    "inspect message",
    "inspect turn",
    "inspect stats",
    "inspect state",
    "verify",
    "rebuild",
    "export",
    "import",
    "backup",
    "archive",
    "tail",
    "replay",
    "token",
];

fn help(command: &str, flag: &str) -> String {
    let args = command.split_whitespace().chain([flag]);
    let output = std::process::Command::new(PROGRAM).args(args).env_remove("COLUMNS").output();
    Ended::of(output.unwrap()).well()
}

#[test]
fn the_help_of_every_command_changes_only_when_that_is_meant() {
    for command in COMMANDS {
        let name = format!("help {command}").trim().replace(' ', "-");
        let (short, long) = (help(command, "-h"), help(command, "--help"));
        let shown = format!("-h\n\n{short}\n--help\n\n{long}");
        insta::assert_snapshot!(name, shown);
    }
}

#[test]
fn every_command_is_in_the_help_that_is_tested() {
    for group in ["", "inspect", "providers"] {
        let help = help(group, "-h");
        let (_, list) = help.split_once("Commands:\n").unwrap();
        let names = list.lines().take_while(|line| !line.is_empty());
        for name in names.filter_map(|line| line.split_whitespace().next()) {
            let command = format!("{group} {name}");
            assert!(name == "help" || COMMANDS.contains(&command.trim()), "{command}");
        }
    }
}
