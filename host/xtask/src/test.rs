//! `cargo xtask test`: everything that is checked before a change is accepted.

use crate::arrows;
use crate::failure::Failure;
use crate::guests;
use crate::layout::Layout;
use crate::metadata::{Metadata, cargo};
use crate::process::Program;
use crate::progress::{now, since};
use crate::setup::{self, Prepared, PythonSide};
use crate::table::{self, Align};
use crate::test_results::Count;
use std::path::Path;
use std::time::Duration;

/// Runs the unit tests of one folder of Python and counts them.
const PYTHON_TESTS: &str = include_str!("python_tests.py");

/// The folders of Python that have unit tests.
const PYTHON_FOLDERS: [&str; 2] = ["sdk/python", "examples/file-type/python"];

/// What the sections came to.
#[derive(Debug, Default)]
struct Report {
    sections: Vec<Section>,
    /// What was left out, and how to have it.
    skipped: Vec<String>,
}

#[derive(Debug)]
struct Section {
    title: &'static str,
    well: bool,
    time: Duration,
    count: Count,
}

/// Runs every section, also after one has failed: one run tells all that is wrong.
pub(crate) fn run(layout: &Layout, metadata: &Metadata) -> Result<(), Failure> {
    let prepared = setup::run(layout, metadata, PythonSide::With)?;
    let mut report = Report::default();
    report.section("formatting", |_| {
        let program = cargo().dir(&layout.root).args(["fmt", "--all", "--check"]);
        Ok(program.advice("`cargo fmt --all`").run()?)
    });
    report.section("dependency arrows", |_| arrows::run(metadata));
    report.section("clippy", |_| {
        let program = cargo().dir(&layout.root);
        let program = program.args([
            "clippy",
            "--workspace",
            "--all-targets",
            "--",
            "-D",
            "warnings",
        ]);
        Ok(program.run()?)
    });
    report.section("Python", |count| {
        PYTHON_FOLDERS
            .iter()
            .try_for_each(|folder| python_tests(layout, &prepared, Path::new(folder), count))
    });
    report.section("guests", |_| {
        guests::for_tests(layout, metadata)?;
        guests::in_python(layout)
    });
    report.section("programs", |_| {
        // The tests run `consort` itself. Naming the tests too gives dependencies the same
        // features as below, so that nothing is compiled twice.
        let program = cargo().dir(&layout.root);
        Ok(program
            .args(["build", "--workspace", "--bins", "--tests"])
            .run()?)
    });
    report.section("tests", |count| {
        let program = cargo().dir(&layout.root);
        let program = program.args(["test", "--workspace", "--no-fail-fast"]);
        let program = prepared.environment(layout, program);
        Ok(program.observed(false, |line| count.observe(line))?)
    });
    match prepared.openvino() {
        Ok(_) => report.section("OpenVINO", |count| {
            // Marked as ignored, so that they are left out, and said to be, where it is not
            // set up.
            let program = cargo().dir(&layout.root);
            let program = program.args(["test", "--workspace", "--no-fail-fast"]);
            let program = program.args(["--test", "openvino", "--", "--ignored"]);
            let program = prepared.environment(layout, program);
            Ok(program.observed(false, |line| count.observe(line))?)
        }),
        Err(command) => report.skip(format!(
            "the tests that need OpenVINO, which is not set up; `{command}` does it"
        )),
    }
    report.finish()
}

fn python_tests(
    layout: &Layout,
    prepared: &Prepared,
    folder: &Path,
    count: &mut Count,
) -> Result<(), Failure> {
    println!("in {}:", folder.display());
    let folder = layout.root.join(folder);
    let program = Program::new(layout.venv_python())
        .args(["-B", "-c", PYTHON_TESTS])
        .arg(&folder)
        .dir(&folder)
        .env("PYTHONPATH", layout.root.join("sdk/python"));
    let program = prepared.environment(layout, program);
    Ok(program.observed(true, |line| count.observe(line))?)
}

// === impl Report ===

impl Report {
    fn section(
        &mut self,
        title: &'static str,
        run: impl FnOnce(&mut Count) -> Result<(), Failure>,
    ) {
        println!("\n=== {title} ===\n");
        let start = now();
        let mut count = Count::default();
        let result = run(&mut count);
        if let Err(failure) = &result {
            println!("\n{title} failed: {failure}");
        }
        self.sections.push(Section {
            title,
            well: result.is_ok(),
            time: since(start),
            count,
        });
    }

    fn skip(&mut self, what: String) {
        println!("\nskipped: {what}");
        self.skipped.push(what);
    }

    /// All tests together. A section that failed without a failed test (clippy, or a test
    /// program that did not compile) counts as one failure, so that no failure reads as none.
    fn total(&self) -> Count {
        let mut total = Count::default();
        for section in &self.sections {
            total.add(section.count);
            if !section.well && section.count.failed == 0 {
                total.failed += 1;
            }
        }
        total
    }

    fn finish(self) -> Result<(), Failure> {
        let rows: Vec<Vec<String>> = self.sections.iter().map(Section::row).collect();
        let head = [
            ("section", Align::Left),
            ("", Align::Left),
            ("passed", Align::Right),
            ("failed", Align::Right),
            ("ignored", Align::Right),
            ("time", Align::Right),
        ];
        println!("\n=== summary ===\n\n{}", table::render(&head, &rows));
        let failed: Vec<&str> = self
            .sections
            .iter()
            .filter(|section| !section.well || section.count.failed > 0)
            .map(|section| section.title)
            .collect();
        if !failed.is_empty() {
            println!("failed: {}", failed.join(", "));
        }
        for what in &self.skipped {
            println!("skipped: {what}");
        }
        // The last line of all, for whoever reads only that.
        let total = self.total();
        println!("{} passed, {} failed", total.passed, total.failed);
        if failed.is_empty() {
            return Ok(());
        }
        Err(Failure::Said)
    }
}

// === impl Section ===

impl Section {
    fn row(&self) -> Vec<String> {
        let number = |number: u64| match number {
            0 => String::new(),
            more => more.to_string(),
        };
        vec![
            self.title.to_owned(),
            if self.well { "ok" } else { "failed" }.to_owned(),
            number(self.count.passed),
            number(self.count.failed),
            number(self.count.ignored),
            format!("{:.1} s", self.time.as_secs_f64()),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_section_runs_and_each_failure_counts() {
        let mut report = Report::default();
        report.section("one", |count| {
            count.passed = 3;
            Ok(())
        });
        report.section("two", |_| Err(Failure::Arrows(1)));
        report.section("three", |count| {
            count.passed = 1;
            count.failed = 2;
            Err(Failure::Arrows(1))
        });
        let total = report.total();
        assert_eq!((total.passed, total.failed), (4, 3));
        assert!(matches!(report.finish(), Err(Failure::Said)));
    }

    #[test]
    fn failed_tests_fail_the_section_even_where_the_program_said_nothing() {
        let mut report = Report::default();
        report.section("lying", |count| {
            count.failed = 1;
            Ok(())
        });
        assert!(report.finish().is_err());
    }

    #[test]
    fn all_well_is_well() {
        let mut report = Report::default();
        report.section("one", |_| Ok(()));
        assert!(report.finish().is_ok());
    }

    #[test]
    fn the_runner_of_python_tests_counts_and_refuses_a_folder_without_tests() {
        let dir = tempfile::tempdir().unwrap();
        // Not through `observed`: it would show this count to whoever counts these tests.
        let run = || {
            let mut python = std::process::Command::new("python3");
            python.args(["-B", "-c", PYTHON_TESTS]).arg(dir.path());
            let output = python.output().unwrap();
            let mut count = Count::default();
            let text = String::from_utf8(output.stdout).unwrap();
            text.lines().for_each(|line| count.observe(line));
            (output.status.success(), count)
        };
        assert!(!run().0, "no tests were found, and that was well");

        let text = "import unittest\n\
                    class Some(unittest.TestCase):\n    \
                    def test_well(self): pass\n    \
                    def test_wrong(self): self.fail('on purpose')\n    \
                    @unittest.skip('on purpose')\n    \
                    def test_skipped(self): pass\n";
        std::fs::write(dir.path().join("test_some.py"), text).unwrap();
        let (well, count) = run();
        assert!(!well);
        assert_eq!((count.passed, count.failed, count.ignored), (1, 1, 1));
    }
}
