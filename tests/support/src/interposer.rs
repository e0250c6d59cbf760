//! A library between a program and the system: `io_recorder.c`, built, and its faults.
//!
//! What a fault line says is told at the head of the C file. What a server should do about it is
//! left to the tests.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Builds the library to preload; the path of it.
///
/// # Panics
///
/// If there is no C compiler.
pub fn build(dir: &Path) -> PathBuf {
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/io_recorder.c");
    let library = dir.join("io_recorder.so");
    let built = Command::new("cc")
        .args(["-O1", "-shared", "-fPIC", "-o"])
        .arg(&library)
        .arg(source)
        .args(["-ldl", "-lpthread"])
        .status();
    assert!(built.expect("a C compiler is there").success(), "{source} compiles");
    library
}

/// The faults of one program, set and taken back while it runs.
#[derive(Debug, Clone)]
pub struct FaultFile {
    path: PathBuf,
}

impl FaultFile {
    /// No faults yet; the program gets the path as `IO_FAULTS`.
    pub fn new(path: PathBuf) -> FaultFile {
        FaultFile { path }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Lets operations fail from now on as these lines say.
    ///
    /// # Panics
    ///
    /// If the file cannot be written.
    pub fn set(&self, lines: &[&str]) {
        let next = self.path.with_extension("next");
        std::fs::write(&next, lines.join("\n")).expect("the faults can be written");
        // At once: the program reads it at any moment.
        std::fs::rename(next, &self.path).expect("the faults can be exchanged");
    }

    /// Lets everything succeed from now on.
    ///
    /// # Panics
    ///
    /// If the file cannot be written.
    pub fn clear(&self) {
        self.set(&[]);
    }

    /// How often an operation has met a fault.
    pub fn n_met(&self) -> usize {
        let mut path = self.path.as_os_str().to_owned();
        path.push(".met");
        std::fs::read_to_string(path).map_or(0, |met| met.lines().count())
    }
}
