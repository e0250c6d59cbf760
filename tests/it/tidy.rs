//! The tree's own rules, so that `cargo test` is the gate.
//!
//! Rules are functions from a file's path and text to findings; `tests` below shows each of them
//! failing. What a compiler or clippy can say is left to them (`Cargo.toml`, `clippy.toml`).

mod browser;
mod rules;
mod source;

use std::path::{Path, PathBuf};

use rules::Finding;
use source::SourceFile;

/// Directories that are not ours, or not source.
const SKIPPED_DIRS: &[&str] = &["target", ".git", "node_modules", "scrollback-data"];

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn walk(dir: &Path, files: &mut Vec<PathBuf>) {
    let entries = std::fs::read_dir(dir).unwrap_or_else(|e| panic!("{}: {e}", dir.display()));
    for entry in entries {
        let path = entry.unwrap().path();
        if !path.is_dir() {
            files.push(path);
        } else if !SKIPPED_DIRS.iter().any(|&skipped| path.ends_with(skipped)) {
            walk(&path, files);
        }
    }
}

/// Every text file of the tree, by its path from the root.
fn tree() -> Vec<SourceFile> {
    let mut paths = Vec::new();
    walk(repository(), &mut paths);
    paths.sort();
    let named = |path: PathBuf| {
        let name = path.strip_prefix(repository()).unwrap().to_str().unwrap().to_owned();
        std::fs::read_to_string(&path).ok().map(|text| SourceFile::new(&name, &text))
    };
    paths.into_iter().filter_map(named).collect()
}

fn assert_tidy(findings: &[Finding]) {
    let lines: Vec<String> = findings.iter().map(Finding::to_string).collect();
    assert!(lines.is_empty(), "the tree breaks its own rules:\n{}", lines.join("\n"));
}

#[test]
fn every_file_keeps_the_house_rules() {
    let files = tree();
    assert!(files.len() > 20, "the tree was found");
    let of_one_file = |file| rules::of_one_file(file).into_iter().chain(browser::of_one_file(file));
    assert_tidy(&files.iter().flat_map(of_one_file).collect::<Vec<_>>());
}

#[test]
fn the_tree_keeps_the_house_rules() {
    assert_tidy(&rules::of_the_tree(&tree()));
}
