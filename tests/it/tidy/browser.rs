//! Rules of the pages and the client: what no compiler looks at before a browser does.

use super::rules::{Finding, finding};
use super::source::{SourceFile, has_word};

/// The half of the client that is a function of what it is given.
const PURE: &[&str] = &["web/client/wire.js", "web/client/sse.js", "web/client/state.js"];

/// What only the other half may name.
const EFFECTS: &[&str] = &[
    "fetch",
    "setTimeout",
    "setInterval",
    "queueMicrotask",
    "Date",
    "performance",
    "document",
    "window",
    "navigator",
    "localStorage",
    "BroadcastChannel",
];

/// Ways in which text becomes markup or code.
const MARKUP: &[&str] =
    &["innerHTML", "outerHTML", "insertAdjacentHTML", "DOMParser", "eval", "Function"];

/// The rules for one file of `web/`.
pub(super) fn of_one_file(file: &SourceFile) -> Vec<Finding> {
    if !file.path.starts_with("web/") || !file.path.ends_with(".js") {
        return Vec::new();
    }
    let mut findings = Vec::new();
    let first = file.text.lines().next().unwrap_or_default();
    if !(first.starts_with("/**") || first.starts_with("// ")) {
        findings.push(finding(file, 1, "starts without a comment that says what the file owns"));
    }
    let is_pure = PURE.contains(&file.path.as_str()) || file.path.starts_with("web/client/fold/");
    let is_served = !file.path.starts_with("web/tests/");
    for (i, line) in file.text.lines().enumerate() {
        let is_comment = line.trim_start().starts_with(['*', '/']);
        if is_comment {
            continue;
        }
        if is_pure && EFFECTS.iter().any(|word| has_word(line, word)) {
            findings.push(finding(file, i + 1, "is pure and names an effect"));
        }
        if is_served && MARKUP.iter().any(|word| has_word(line, word)) {
            findings.push(finding(file, i + 1, "turns text into markup or code"));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(path: &str, text: &str, expected: &[&str]) {
        let findings = of_one_file(&SourceFile::new(path, text));
        let said: Vec<String> = findings.iter().map(ToString::to_string).collect();
        assert_eq!(said.len(), expected.len(), "{said:?}");
        assert!(said.iter().zip(expected).all(|(said, part)| said.contains(part)), "{said:?}");
    }

    #[test]
    fn each_rule_fails_and_holds() {
        check("web/a.js", "const a = 1;\n", &["starts without"]);
        check("web/a.js", "// Owns a.\nconst a = 1;\n", &[]);
        check("web/client/state.js", "// Owns a.\nconst now = Date.now();\n", &["pure"]);
        check("web/client/fold/x.js", "// Owns a.\n// no Date here\nconst state = 1;\n", &[]);
        check("web/client/tabs.js", "// Owns a.\nconst now = Date.now();\n", &[]);
        check("web/page/a.js", "// Owns a.\na.innerHTML = text;\n", &["markup"]);
        check("web/tests/a.js", "// Owns a.\na.innerHTML = text;\n", &[]);
    }
}
