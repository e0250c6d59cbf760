//! Lists the files of `web/` that the program serves, so that they are compiled into it.
//!
//! The list is a Rust file that names each with `include_bytes!`; what is sent with them is
//! `src/http/pages.rs`'s. A crate would not spare this file: none notices a new file without it.
//! Nothing but the compiler is needed: what is in `web/` is what is served.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{fs, io};

/// Directories of `web/` that pages load from. Its tests and what npm needs stay outside.
const SERVED: [&str; 4] = ["chat", "client", "inspector", "page"];

/// Endings of the files that pages load; `CONTENT_TYPES` of `src/http/pages.rs` has the same.
const ENDINGS: [&str; 5] = ["css", "html", "js", "png", "svg"];

#[expect(clippy::disallowed_methods, reason = "cargo tells a build script by the environment")]
fn main() -> io::Result<()> {
    let web = Path::new(env!("CARGO_MANIFEST_DIR")).join("web");
    let mut files = Vec::new();
    for name in SERVED {
        let dir = web.join(name);
        println!("cargo::rerun-if-changed={}", dir.display());
        walk(&dir, &mut files)?;
    }
    println!("cargo::rerun-if-changed=build.rs");
    files.sort();
    let mut list = String::from("&[\n");
    for file in files {
        let path = file.strip_prefix(&web).expect("it was found there");
        let name = path.to_str().ok_or(io::ErrorKind::InvalidFilename)?.replace('\\', "/");
        let full = file.to_str().ok_or(io::ErrorKind::InvalidFilename)?;
        writeln!(list, "    ({name:?}, include_bytes!({full:?})),").expect("text can be written");
    }
    list.push_str("]\n");
    let out = std::env::var_os("OUT_DIR").expect("cargo says where to write");
    fs::write(Path::new(&out).join("web_files.rs"), list)
}

/// Adds the files that are served from a directory; one that is not there has none.
fn walk(dir: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    for entry in entries {
        let path = entry?.path();
        let ending = path.extension().and_then(|ending| ending.to_str());
        if path.is_dir() {
            walk(&path, files)?;
        } else if ending.is_some_and(|ending| ENDINGS.contains(&ending)) {
            files.push(path);
        }
    }
    Ok(())
}
