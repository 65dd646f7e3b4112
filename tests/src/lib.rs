//! What whole-system tests need: the built `consort` binary, a running server, a plain
//! HTTP client, and the places that set-up filled. Nothing here is part of the product.
//!
//! The tests run the binary as its users do. `cargo xtask test` builds it and prepares
//! everything; a test that misses something says so and fails.

pub mod http;
pub mod onnx;
pub mod place;
pub mod python;
pub mod server;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::LazyLock;
use std::time::Duration;

/// The top of the repository.
pub fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().map(Path::to_path_buf).unwrap_or_default()
}

/// A file that set-up should have made; panics with what to do when it is not there.
pub fn prepared(path: impl AsRef<Path>) -> PathBuf {
    let path = root().join(path);
    assert!(
        path.exists(),
        "{} is missing: run `cargo xtask test`, or `cargo xtask setup` first",
        path.display()
    );
    path
}

/// A guest component built for tests, by name.
pub fn guest(name: &str) -> PathBuf {
    prepared(guests().join(format!("{name}.wasm")))
}

/// The component of a crate in `plugins`, by the name of its folder.
pub fn shipped(name: &str) -> PathBuf {
    let file = format!("consort_plugin_{}.wasm", name.replace('-', "_"));
    // Cargo puts them into the folder above that of the guests.
    let folder = guests().parent().map(Path::to_path_buf);
    prepared(folder.unwrap_or_default().join(file))
}

fn guests() -> PathBuf {
    match std::env::var_os("CONSORT_GUESTS") {
        Some(folder) => PathBuf::from(folder),
        None => root().join("target/wasm32-wasip2/guest/examples"),
    }
}

/// The `consort` binary beside this test's own executable.
pub fn binary() -> PathBuf {
    let executable = std::env::current_exe().unwrap_or_default();
    // target/debug/deps/TEST -> target/debug/consort
    let folder = executable
        .parent()
        .and_then(Path::parent)
        .map(Path::to_path_buf);
    let binary = folder.unwrap_or_default().join("consort");
    assert!(
        binary.exists(),
        "{} is missing: run `cargo build -p consort-cli`",
        binary.display()
    );
    binary
}

/// `consort` with the ONNX Runtime that set-up installed and a compile cache that all
/// tests share.
pub fn consort() -> Command {
    let mut command = Command::new(binary());
    if std::env::var_os("ORT_DYLIB_PATH").is_none() {
        command.env(
            "ORT_DYLIB_PATH",
            prepared(".setup/onnxruntime-1.32.0/lib/libonnxruntime.so.1.32.0"),
        );
    }
    command.env("CONSORT_CACHE_DIR", shared_cache());
    command.env_remove("CONSORT_LOG");
    // The binary itself must forbid ONNX Runtime's telemetry: the library is not loaded
    // otherwise.
    command.env_remove("ORT_DISABLE_TELEMETRY");
    command
}

/// The compile cache of all tests, private as `consort` asks for: a copy of the target folder
/// may have lost its mode.
fn shared_cache() -> &'static Path {
    static CACHE: LazyLock<PathBuf> = LazyLock::new(|| {
        let folder = root().join("target/consort-cache");
        std::fs::create_dir_all(&folder).expect("the target folder can be written to");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let private = std::fs::Permissions::from_mode(0o700);
            std::fs::set_permissions(&folder, private).expect("the folder is ours");
        }
        folder
    });
    &CACHE
}

/// Lets time pass for another process, whose clock no test can move.
#[expect(clippy::disallowed_methods, reason = "another process's time")]
pub fn pass(time: Duration) {
    std::thread::sleep(time);
}

/// Waits for a condition that the system under test brings about, and fails when it does
/// not within a minute.
pub fn until(mut condition: impl FnMut() -> bool) {
    const PAUSE: Duration = Duration::from_millis(10);
    for _ in 0..6_000 {
        if condition() {
            return;
        }
        #[expect(clippy::disallowed_methods, reason = "another process is waited for")]
        std::thread::sleep(PAUSE);
    }
    assert!(
        condition(),
        "the condition did not come true within a minute"
    );
}

/// What a command did, as text.
#[derive(Debug)]
pub struct Ran {
    /// Its exit status; -1 when a signal ended it.
    pub status: i32,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

/// Runs a command to its end.
pub fn run(command: &mut Command) -> Ran {
    let output = command.output().expect("the command starts");
    output.into()
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        Self {
            status: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}
