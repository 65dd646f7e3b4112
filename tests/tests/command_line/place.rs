//! A folder with a manifest, and what these tests do with it.

use consort_tests::server::Server;
use consort_tests::{Ran, consort, guest, run};
use serde_json::{Value, json};
use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// A folder with a manifest of one ensemble `numbers`, of one plugin from numbers to
/// numbers. Of a file it takes the size.
pub(crate) struct Place(tempfile::TempDir);

impl Place {
    pub(crate) fn new(guest_name: &str, more: &str) -> Self {
        let text = format!(
            "consort = 1\n[plugin.guest]\npath = {:?}\n\
             limits = {{ call_time_ms_max = 60000, wall_time_ms_max = 60000 }}\n\
             [[ensemble.numbers.step]]\nplugin = \"guest\"\nrole = \"postprocess\"\n\
             [ensemble.numbers.files]\nx = {{ read = \"size\" }}\n{more}",
            guest(guest_name)
        );
        let place = Self(tempfile::tempdir().unwrap());
        place.write("consort.toml", &text);
        place
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn write(&self, file: &str, text: &str) {
        fs::write(self.path().join(file), text).unwrap();
    }

    pub(crate) fn read(&self, file: &str) -> String {
        fs::read_to_string(self.path().join(file)).unwrap()
    }

    /// The lines of a file, sorted: answers come in any order.
    pub(crate) fn sorted(&self, file: &str) -> Vec<String> {
        let mut lines: Vec<String> = self.read(file).lines().map(str::to_owned).collect();
        lines.sort();
        lines
    }

    /// Files `sizes/01`, `sizes/02` ... of so many bytes.
    pub(crate) fn sizes(&self, sizes: std::ops::RangeInclusive<usize>) {
        fs::create_dir_all(self.path().join("sizes")).unwrap();
        for size in sizes {
            self.write(&format!("sizes/{size:02}"), &"x".repeat(size));
        }
    }

    /// `consort run` of the manifest, standing in the folder.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = consort();
        command.current_dir(self.path());
        command.args(["run", "consort.toml"]).args(arguments);
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Ran {
        run(&mut self.command(arguments))
    }

    /// The command is refused before anything is done.
    pub(crate) fn refused(&self, arguments: &[&str], words: &[&str]) {
        let ran = self.run(arguments);
        assert_eq!(ran.status, 2, "{arguments:?}: {}", ran.stderr);
        assert!(ran.stdout.is_empty(), "{arguments:?}: {}", ran.stdout);
        says(&ran.stderr, words);
    }

    pub(crate) fn serve(&self) -> Server {
        Server::start(&self.path().join("consort.toml"))
    }
}

pub(crate) fn says(text: &str, words: &[&str]) {
    for word in words {
        assert!(text.contains(word), "{word:?} is not in:\n{text}");
    }
}

pub(crate) fn line(x: i64) -> String {
    format!("{}\n", json!({"key": format!("n{x}"), "inputs": {"x": x}}))
}

pub(crate) fn lines(numbers: impl IntoIterator<Item = i64>) -> String {
    numbers.into_iter().map(line).collect()
}

pub(crate) fn keys(text: &str) -> Vec<String> {
    let key = |line: &str| {
        let line: Value = serde_json::from_str(line).unwrap_or_else(|e| panic!("{line}: {e}"));
        line["key"].as_str().unwrap().to_owned()
    };
    text.lines().map(key).collect()
}

pub(crate) fn fed(command: &mut Command, input: &str) -> Ran {
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(input.as_bytes()).unwrap();
    drop(stdin);
    child.wait_with_output().unwrap().into()
}

pub(crate) fn interrupt(child: &Child) {
    let process = child.id().to_string();
    let sent = Command::new("kill").args(["-INT", &process]).status();
    assert!(sent.unwrap().success());
}

/// A request on which some guests misbehave.
pub(crate) fn marked() -> String {
    json!({"inputs": [{"name": "x", "datatype": "INT64", "shape": [1, 1], "data": [13]}]})
        .to_string()
}
