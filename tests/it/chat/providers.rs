//! `providers list` and `providers check`.

use std::process::{Command, Output, Stdio};

use scrollback_test_support::temp_dir::TempDir;
use serde_json::Value;

const PROGRAM: &str = env!("CARGO_BIN_EXE_scrollback");

fn run(args: &[&str]) -> (i32, String, String) {
    let mut command = Command::new(PROGRAM);
    command.arg("providers").args(args).env_remove("RUST_LOG").stdin(Stdio::null());
    let Output { status, stdout, stderr } = command.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (status.code().unwrap(), text(stdout), text(stderr))
}

#[test]
fn each_provider_is_tried_and_a_bad_one_hides_no_other() {
    let dir = TempDir::new(env!("CARGO_TARGET_TMPDIR"), "providers");
    let script = dir.path().join("echo.toml");
    std::fs::write(&script, "[[step]]\nsay = 'x'").unwrap();
    let path = dir.path().join("config.toml");
    let good = format!("[providers.good]\nkind = 'scripted'\nscript = '{}'", script.display());
    let bad = "[providers.bad]\nkind = 'scripted'\nscript = '/nowhere.toml'";
    let odd = "[providers.odd]\nkind = 'magic'";
    let text = format!("default_provider = 'good'\n{good}\n{bad}\n{odd}\n");
    std::fs::write(&path, text).unwrap();
    let config = path.to_str().unwrap();

    let (code, stdout, _) = run(&["list", "--config", config]);
    assert_eq!(code, 0);
    assert_eq!(stdout, "  bad   scripted\n* good  scripted\n  odd   magic\n");

    let (code, stdout, _) = run(&["check", "--config", config]);
    assert_eq!(code, 1);
    let lines: Vec<&str> = stdout.lines().collect();
    assert_eq!(lines.len(), 3, "{stdout}");
    assert!(lines[0].starts_with("FAIL  bad   configuration: "), "{stdout}");
    assert!(lines[1].starts_with("ok    good  1 scripts: echo ("), "{stdout}");
    assert!(lines[2].starts_with("FAIL  odd   configuration: kind \"magic\" is"), "{stdout}");

    let (code, stdout, _) = run(&["check", "--config", config, "good", "--json"]);
    let found: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(code, 0);
    assert_eq!((&found["provider"], &found["ok"]), (&"good".into(), &true.into()));
    let (code, stdout, _) = run(&["check", "--config", config, "odd", "--json"]);
    let found: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!((code, &found["ok"], &found["code"]), (1, &false.into(), &"configuration".into()));

    let (code, _, stderr) = run(&["check", "--config", config, "nobody"]);
    assert_eq!(code, 2);
    assert!(stderr.contains("it has: bad, good, odd"), "{stderr}");
    let (code, _, stderr) = run(&["check", "--config", "/nowhere.toml"]);
    assert_eq!(code, 2);
    assert!(stderr.contains("give --config a readable file"), "{stderr}");
}
