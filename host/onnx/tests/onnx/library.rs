//! Finding and loading the library, each case in a process of its own.

use crate::{child, support};
use consort_onnx::{forbid_telemetry, load_library};
use std::path::{Path, PathBuf};
use std::process::Command;

const VARIABLE: &str = "ORT_DYLIB_PATH";
const TELEMETRY: &str = "ORT_DISABLE_TELEMETRY";
const GIVEN: &str = "CONSORT_TEST_GIVEN";

/// Loads the library as the variables say, and says what came of it.
#[test]
#[ignore = "run by the tests below, in a process of its own"]
fn child() {
    let given = std::env::var_os(GIVEN).map(PathBuf::from);
    match load_library(given.as_deref()) {
        Ok(library) => child::say(format_args!(
            "ok {} {}",
            library.version(),
            library.path().display()
        )),
        Err(error) => child::say(format_args!("error {error}")),
    }
}

fn load(variables: &[(&str, &str)]) -> String {
    child::run("library::child", variables).concat()
}

/// The library's file. Cargo tells the system's loader to look where set-up puts it.
fn real() -> String {
    let path = support::library().path().to_owned();
    let folders = std::env::var_os("LD_LIBRARY_PATH").unwrap_or_default();
    let found = std::env::split_paths(&folders).map(|folder| folder.join(&path));
    let mut candidates = std::iter::once(path.clone()).chain(found);
    let file = candidates.find(|candidate| candidate.is_absolute() && candidate.is_file());
    file.unwrap().canonicalize().unwrap().display().to_string()
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

/// A library made for the test.
fn compile(folder: &Path, source: &str) -> String {
    let file = folder.join("fake.rs");
    let library = folder.join("libfake.so");
    std::fs::write(&file, source).unwrap();
    let compiler = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(compiler)
        .args([
            "--edition=2024",
            "--crate-type=cdylib",
            "-Cpanic=abort",
            "-o",
        ])
        .args([&library, &file])
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    library.display().to_string()
}

/// A stand-in for ONNX Runtime that says it is of that version and offers no API.
fn stand_in(version: &str) -> String {
    format!(
        r#"
        use std::ffi::{{c_char, c_void}};
        #[repr(C)]
        pub struct Base {{ api: extern "C" fn(u32) -> *const c_void, version: extern "C" fn() -> *const c_char }}
        extern "C" fn api(_version: u32) -> *const c_void {{ std::ptr::null() }}
        extern "C" fn version() -> *const c_char {{ c"{version}".as_ptr() }}
        static BASE: Base = Base {{ api, version }};
        #[unsafe(no_mangle)]
        pub extern "C" fn OrtGetApiBase() -> *const Base {{ &BASE }}
        "#
    )
}

#[test]
fn the_variable_wins_over_the_path_given() {
    let real = real();
    let said = load(&[(VARIABLE, &real), (GIVEN, "/nowhere/libonnxruntime.so")]);
    assert!(said.starts_with("ok 1.") && said.ends_with(&real), "{said}");
    let said = load(&[(VARIABLE, ""), (GIVEN, &real)]);
    assert!(said.starts_with("ok 1.") && said.ends_with(&real), "{said}");
}

#[test]
fn a_named_file_that_is_missing_is_not_passed_over() {
    let said = load(&[(VARIABLE, "/nowhere/libonnxruntime.so")]);
    assert!(
        said.contains("ORT_DYLIB_PATH: /nowhere/libonnxruntime.so: not there"),
        "{said}"
    );
    let said = load(&[(VARIABLE, ""), (GIVEN, "/nowhere/libonnxruntime.so")]);
    assert!(
        said.contains("the path given: /nowhere/libonnxruntime.so: not there"),
        "{said}"
    );
    assert!(said.contains("set ORT_DYLIB_PATH to that file"), "{said}");
}

#[test]
fn a_wrong_file_is_an_error_that_says_what_is_wrong() {
    let folder = folder();
    let text = folder.path().join("notes.so");
    std::fs::write(&text, "not a library").unwrap();
    let text = text.display().to_string();
    let said = load(&[(VARIABLE, &text)]);
    assert!(said.contains("cannot be loaded as a library"), "{said}");
    assert!(
        said.contains(&text) && said.contains("(ORT_DYLIB_PATH)"),
        "{said}"
    );
    let said = load(&[(VARIABLE, &folder.path().display().to_string())]);
    assert!(said.contains("it is not a file"), "{said}");
}

#[cfg(unix)]
#[test]
fn a_pipe_does_not_hang() {
    let folder = folder();
    let pipe = folder.path().join("pipe.so");
    assert!(
        Command::new("mkfifo")
            .arg(&pipe)
            .status()
            .unwrap()
            .success()
    );
    let said = load(&[(VARIABLE, &pipe.display().to_string())]);
    assert!(said.contains("it is not a file"), "{said}");
}

#[test]
fn another_library_is_an_error_and_no_panic() {
    let folder = folder();
    let other = compile(
        folder.path(),
        "#[unsafe(no_mangle)] pub extern \"C\" fn hello() {}",
    );
    let said = load(&[(VARIABLE, &other)]);
    assert!(
        said.contains("not ONNX Runtime (no OrtGetApiBase)"),
        "{said}"
    );
    let empty = "#[unsafe(no_mangle)] pub extern \"C\" fn OrtGetApiBase() -> *const u8 { std::ptr::null() }";
    let said = load(&[(VARIABLE, &compile(folder.path(), empty))]);
    assert!(said.contains("it offers no API at all"), "{said}");
}

#[test]
fn a_version_that_is_too_old_is_named() {
    let folder = folder();
    let said = load(&[(VARIABLE, &compile(folder.path(), &stand_in("1.10.0")))]);
    assert!(
        said.contains("its version is 1.10.0, and 1.24 or newer is needed"),
        "{said}"
    );
    let said = load(&[(VARIABLE, &compile(folder.path(), &stand_in("1.99.0")))]);
    assert!(
        said.contains("1.99.0, but it does not offer version 24 of the API"),
        "{said}"
    );
}

#[test]
fn nothing_is_loaded_while_telemetry_is_allowed() {
    for value in ["", "0"] {
        let said = load(&[(VARIABLE, &real()), (TELEMETRY, value)]);
        assert!(
            said.starts_with("error") && said.contains("ORT_DISABLE_TELEMETRY=1"),
            "{said}"
        );
    }
}

/// Does what a program's `main` does first.
#[test]
#[ignore = "run by the test below, in a process of its own"]
#[expect(unsafe_code, reason = "the environment is changed")]
fn child_forbids_telemetry() {
    assert!(load_library(None).is_err());
    // SAFETY: the parent asks the harness for one thread, which is this one.
    unsafe { forbid_telemetry() };
    child::say(load_library(None).unwrap().version());
}

#[test]
fn forbidding_telemetry_is_what_loading_asks_for() {
    let variables = [(VARIABLE, &*real()), (TELEMETRY, "")];
    let said = child::run("library::child_forbids_telemetry", &variables).concat();
    assert!(said.starts_with("1."), "{said}");
}

#[cfg(target_os = "linux")]
#[test]
fn it_is_found_near_the_executable() {
    let folder = folder();
    let (bin, lib) = (folder.path().join("bin"), folder.path().join("lib"));
    std::fs::create_dir(&bin).unwrap();
    std::fs::create_dir(&lib).unwrap();
    let program = bin.join("program");
    std::fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
    let variables = [(VARIABLE, ""), ("LD_LIBRARY_PATH", "")];
    let run = || child::run_program(&program, "library::child", &variables).concat();
    let nowhere = run();
    // Unless the system itself has one.
    if !nowhere.starts_with("ok ") {
        for looked_at in [
            "ORT_DYLIB_PATH: not set",
            "bin/libonnxruntime.so: not there",
            "lib/libonnxruntime.so.1: not there",
            "the system's loader: libonnxruntime.so: ",
        ] {
            assert!(nowhere.contains(looked_at), "{looked_at}: {nowhere}");
        }
    }
    let here = lib.join("libonnxruntime.so");
    std::os::unix::fs::symlink(real(), &here).unwrap();
    let said = run();
    assert!(
        said.contains("ok 1.") && said.contains(&here.display().to_string()),
        "{said}"
    );
    // One that is there and wrong is not passed over for the system's.
    std::fs::write(bin.join("libonnxruntime.so"), "wrong").unwrap();
    let said = run();
    assert!(
        said.contains("error") && said.contains("near the executable"),
        "{said}"
    );
}

#[test]
fn it_is_loaded_once() {
    let library = support::library();
    let again = load_library(None).unwrap();
    assert_eq!(library.path(), again.path());
    assert!(library.version().starts_with("1."), "{library:?}");
    assert!(
        library
            .providers()
            .iter()
            .any(|name| name == "CPUExecutionProvider")
    );
}

/// Loads the library and then asks for another.
#[test]
#[ignore = "run by the test below, in a process of its own"]
fn child_asks_for_another() {
    let real = std::env::var_os(GIVEN).map(PathBuf::from).unwrap();
    load_library(Some(&real)).unwrap();
    load_library(Some(&real)).unwrap();
    load_library(None).unwrap();
    let error = load_library(Some(Path::new("/nowhere/else.so"))).unwrap_err();
    child::say(error);
}

#[test]
fn another_library_afterwards_is_an_error() {
    let real = real();
    let said = child::run(
        "library::child_asks_for_another",
        &[(VARIABLE, ""), (GIVEN, &real)],
    )
    .concat();
    assert!(
        said.starts_with("\"/nowhere/else.so\" was asked for"),
        "{said}"
    );
    assert!(said.contains(&real) && said.contains("only once"), "{said}");
}

/// Loads and runs a model.
#[test]
#[ignore = "run by the test below, in a process of its own"]
fn child_runs_a_model() {
    let handler = support::load(&support::config("mlp"));
    support::predict(&handler, vec![support::mlp_row(0)]);
    child::say("done");
}

#[test]
fn running_a_model_leaves_nothing_in_the_home_folder() {
    // ONNX Runtime's telemetry would leave an identifier and a database there.
    let home = folder();
    let path = home.path().display().to_string();
    let variables = [
        ("HOME", path.as_str()),
        ("XDG_CACHE_HOME", ""),
        (TELEMETRY, "1"),
    ];
    child::run("library::child_runs_a_model", &variables);
    let left: Vec<_> = std::fs::read_dir(home.path()).unwrap().collect();
    assert!(left.is_empty(), "{left:?}");
}
