//! The program: hands over to the command line.

use std::process::ExitCode;

/// Appends and folds make many small blocks on one thread and free them on another, which the
/// system's allocator is slow at.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    #[cfg(feature = "failpoints")]
    let _scenario = scrollback::cli::failpoints::set_up();
    scrollback::cli::main()
}
