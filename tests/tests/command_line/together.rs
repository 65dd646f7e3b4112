//! What is wrong with a manifest's text and what is wrong with what it names are told
//! together: everything, once, in the order of the text, and nothing that only follows from
//! something else.

use consort_tests::{Ran, consort, guest, root, run};
use std::fs;
use std::path::Path;

/// A manifest with faults of both kinds, mixed, and what is told of each of its lines: the
/// column and words.
fn lines() -> Vec<(String, Vec<(usize, &'static str)>)> {
    let right = |text: &str| (text.to_owned(), Vec::new());
    let wrong = |text: &str, told: &[(usize, &'static str)]| (text.to_owned(), told.to_vec());
    let model = root().join("host/onnx/fixtures/mlp.onnx");
    let model = right(&format!("path = {model:?}"));
    let plugin = right(&format!("path = {:?}", guest("identity")));
    vec![
        right("consort = 1"),
        right("[server]"),
        wrong("rows_max = 0", &[(12, "`server.rows_max` must be")]),
        // A file that is not there.
        right("[model.absent]"),
        wrong(
            "path = 'absent.onnx'",
            &[(8, "cannot be read: No such file")],
        ),
        // A text that is wrong: its file is not looked for.
        right("[model.flawed]"),
        right("path = 'never-looked-for.onnx'"),
        wrong("replicas = 'two'", &[(12, "must be a whole number")]),
        // A file that is another one.
        right("[model.other]"),
        model.clone(),
        wrong(
            &format!("sha256 = '{}'", "0".repeat(64)),
            &[(10, "has sha256")],
        ),
        // Two providers that no build for this machine has.
        right("[model.gpus]"),
        model,
        wrong(
            "providers = ['coreml', 'cpu', 'directml']",
            &[(14, "provider coreml"), (31, "provider directml")],
        ),
        right("[plugin.typo]"),
        wrong("paht = 'typo.wasm'", &[(1, "unknown key `paht`")]),
        right("[plugin.module]"),
        wrong("path = 'module.wasm'", &[(8, "a core WebAssembly module")]),
        right("[plugin.identity]"),
        plugin.clone(),
        // A capability that does not exist: what the plugin then lacks follows from it.
        right("[plugin.socket]"),
        right(&format!("path = {:?}", guest("opens_socket"))),
        wrong("capabilities = ['netwrok']", &[(17, "unknown capability")]),
        // Ensembles of what is wrong already say nothing, though their tensors cannot fit.
        right("[[ensemble.silent.step]]"),
        right("plugin = 'identity'"),
        right("role = 'preprocess'"),
        right("[[ensemble.silent.step]]"),
        right("model = 'flawed'"),
        right("[[ensemble.quiet.step]]"),
        right("model = 'absent'"),
        right("[[ensemble.quiet.step]]"),
        right("plugin = 'typo'"),
        right("[[ensemble.still.step]]"),
        right("plugin = 'socket'"),
        // One that is all there is compiled.
        right("[[ensemble.unfit.step]]"),
        right("plugin = 'identity'"),
        right("role = 'preprocess'"),
        right("[[ensemble.unfit.step]]"),
        wrong("plugin = 'identity'", &[(10, "it needs a tensor \"y\"")]),
        right("role = 'postprocess'"),
        right("name = 'second'"),
        right("inputs = { x = 'y' }"),
        right("[[ensemble.lost.step]]"),
        wrong(
            "plugin = 'identiy'",
            &[(10, "there is no plugin \"identiy\"")],
        ),
    ]
}

/// The place and the message of each problem that was told, in that order.
fn told(ran: &Ran) -> Vec<(String, String)> {
    let mut lines = ran.stderr.lines();
    let mut told = Vec::new();
    while let Some(line) = lines.next() {
        if let Some(message) = line.strip_prefix("error: ") {
            let place = lines.next().unwrap().trim().to_owned();
            told.push((place, message.to_owned()));
        }
    }
    told
}

fn refused(folder: &Path, arguments: &[&str]) -> Ran {
    let ran = run(consort().current_dir(folder).args(arguments));
    assert_eq!(ran.status, 2, "{}{}", ran.stdout, ran.stderr);
    assert!(ran.stdout.is_empty(), "{}", ran.stdout);
    ran
}

#[test]
fn all_problems_of_both_kinds_in_order() {
    let lines = lines();
    let folder = tempfile::tempdir().unwrap();
    let text: String = lines.iter().map(|(line, _)| format!("{line}\n")).collect();
    fs::write(folder.path().join("consort.toml"), text).unwrap();
    fs::write(folder.path().join("module.wasm"), b"\0asm\x01\0\0\0").unwrap();

    let mut expected = Vec::new();
    for (index, (line, told)) in lines.iter().enumerate() {
        let line_number = index + 1;
        // The header of a table that lacks a key is blamed for that.
        if line == "[plugin.typo]" {
            let place = format!("--> consort.toml:{line_number}:1");
            expected.push((place, "`plugin.typo` needs the key `path`"));
        }
        for (column, words) in told {
            let place = format!("--> consort.toml:{line_number}:{column}");
            expected.push((place, words));
        }
    }

    let check = refused(folder.path(), &["check", "consort.toml"]);
    let problems = told(&check);
    assert_eq!(problems.len(), expected.len(), "{}", check.stderr);
    for ((place, message), (wanted, words)) in problems.iter().zip(&expected) {
        assert_eq!(place, wanted, "{message}");
        assert!(message.contains(words), "{place}: {message}");
    }
    let count = format!("consort.toml: {} problems\n", expected.len());
    assert!(check.stderr.ends_with(&count), "{}", check.stderr);

    // The other commands say the same and do nothing.
    for arguments in [
        &["serve", "consort.toml", "--listen", "127.0.0.1:0"][..],
        &[
            "run",
            "consort.toml",
            "--input",
            "consort.toml",
            "-o",
            "out",
        ],
    ] {
        let ran = refused(folder.path(), arguments);
        assert_eq!(told(&ran), problems);
    }
    assert!(!folder.path().join("out").exists());
}

#[test]
fn a_line_that_is_no_toml_does_not_hide_a_missing_file() {
    let folder = tempfile::tempdir().unwrap();
    let text = "consort = 1\n[model.a]\npath = 'a.onnx'\nbatching 'off'\n\
                [model.b]\npath = 'b.onnx'\n[plugin.p]\npath = 'p.wasm'\n\
                [[ensemble.e.step]]\nmodel = 'a'\n[[ensemble.e.step]]\nplugin = 'p'\n";
    fs::write(folder.path().join("consort.toml"), text).unwrap();
    let ran = refused(folder.path(), &["check", "consort.toml"]);
    let problems = told(&ran);
    let places: Vec<&str> = problems.iter().map(|(place, _)| place.as_str()).collect();
    let at = |place: &str| format!("--> consort.toml:{place}");
    assert_eq!(places, [at("4:10"), at("6:8"), at("8:8")], "{}", ran.stderr);
}

#[test]
fn inspect_speaks_of_no_manifest() {
    let folder = tempfile::tempdir().unwrap();
    let ran = refused(folder.path(), &["inspect", "nowhere.wasm"]);
    let words = "nowhere.wasm: the component cannot be read: No such file";
    assert!(ran.stderr.contains(words), "{}", ran.stderr);
    assert!(!ran.stderr.contains("manifest"), "{}", ran.stderr);
}
