//! The Rust target that guests are compiled for.

use crate::failure::Failure;
use crate::process::Program;
use crate::progress::Progress;
use std::path::Path;

/// What guests are compiled for.
pub(crate) const TARGET: &str = "wasm32-wasip2";

/// Installs the target unless the compiler already has it.
pub(crate) fn install(progress: Progress) -> Result<(), Failure> {
    let mut step = progress.step(&format!("Rust target {TARGET}"));
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let libraries = Program::new(rustc)
        .args(["--print", "target-libdir", "--target", TARGET])
        .advice("install Rust with rustup, https://rustup.rs")
        .output()?;
    // The compiler names the folder whether it is there or not.
    if Path::new(libraries.trim()).is_dir() {
        step.ready();
        return Ok(());
    }
    step.needs("installing");
    Program::new("rustup")
        .args(["target", "add", TARGET])
        .advice(format!(
            "install the target {TARGET} in the way this machine's Rust was installed, for \
             instance `rustup target add {TARGET}`, then run the task again"
        ))
        .quietly(&mut step)?;
    step.done();
    Ok(())
}
