//! `cargo xtask`: the tasks around the workspace that cargo alone cannot do, from fetching the
//! model to running every test. Knows the host only by its programs, never by its crates.

#![expect(
    clippy::print_stdout,
    reason = "what a task says to its user goes to standard output"
)]

mod arrows;
mod bench;
mod demo;
mod digest;
mod example;
mod failure;
mod guests;
mod layout;
mod metadata;
mod predictions;
mod process;
mod progress;
mod python_guest;
mod setup;
mod table;
mod test;
mod test_results;

use failure::Failure;
use layout::Layout;
use metadata::Metadata;
use setup::PythonSide;
use std::process::ExitCode;

/// What `cargo xtask` without a task says.
const USAGE: &str = "\
usage: cargo xtask TASK

  demo                  identify real files with a real model, and say what to try next
  example [NAME]        run one of the examples on real input; without a name, list them
  setup [--no-python]   fetch and build what the demo and the tests need, outside git;
        [--openvino]    with it, also the optional OpenVINO
  test                  formatting, dependency arrows, clippy, and every test
  bench [NAME | --list] run the benches, all or those of a name or crate, as one table
  arrows                check that crates depend only on what they may

Set-up needs cargo, python3 and, the first time, the network; it runs before demo, example,
test and bench by itself and is quick when there is nothing to do.";

/// A task with what was said after its name.
#[derive(Debug, PartialEq, Eq)]
enum Task {
    Help,
    Demo,
    Example(String),
    ListExamples,
    Setup(PythonSide),
    SetupOpenVino(PythonSide),
    Test,
    Bench(Option<String>),
    ListBenches,
    Arrows,
}

fn main() -> ExitCode {
    match run(std::env::args().skip(1).collect()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Said) => ExitCode::FAILURE,
        Err(failure) => {
            eprintln!("xtask: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: Vec<String>) -> Result<(), Failure> {
    let task = parse(&args)?;
    if task == Task::Help {
        println!("{USAGE}");
        return Ok(());
    }
    let metadata = Metadata::read()?;
    let layout = Layout::new(&metadata);
    match task {
        Task::Help => Ok(()),
        Task::Demo => demo::run(&layout, &metadata),
        Task::Example(name) => example::run(&layout, &metadata, &name),
        Task::ListExamples => {
            print!("{}", example::list());
            Ok(())
        }
        Task::Setup(python_side) => setup::run(&layout, &metadata, python_side).map(|_| ()),
        Task::SetupOpenVino(python_side) => {
            // First, so that the rest finds it there and says so in its place.
            setup::with_openvino(&layout)?;
            setup::run(&layout, &metadata, python_side).map(|_| ())
        }
        Task::Test => test::run(&layout, &metadata),
        Task::Bench(name) => bench::run(&layout, &metadata, name.as_deref()),
        Task::ListBenches => {
            bench::list(&metadata);
            Ok(())
        }
        Task::Arrows => arrows::run(&metadata),
    }
}

fn parse(args: &[String]) -> Result<Task, Failure> {
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    match words.as_slice() {
        [] | ["help" | "--help" | "-h"] | [_, "--help" | "-h"] => Ok(Task::Help),
        ["demo"] => Ok(Task::Demo),
        ["example"] => Ok(Task::ListExamples),
        ["example", name] if !name.starts_with('-') => Ok(Task::Example((*name).to_owned())),
        ["setup"] => Ok(Task::Setup(PythonSide::With)),
        ["setup", "--no-python"] => Ok(Task::Setup(PythonSide::Without)),
        ["setup", "--openvino"] => Ok(Task::SetupOpenVino(PythonSide::With)),
        ["setup", "--no-python", "--openvino"] | ["setup", "--openvino", "--no-python"] => {
            Ok(Task::SetupOpenVino(PythonSide::Without))
        }
        ["test"] => Ok(Task::Test),
        ["bench"] => Ok(Task::Bench(None)),
        ["bench", "--list"] => Ok(Task::ListBenches),
        ["bench", name] if !name.starts_with('-') => Ok(Task::Bench(Some((*name).to_owned()))),
        ["arrows"] => Ok(Task::Arrows),
        [
            task @ ("demo" | "example" | "setup" | "test" | "bench" | "arrows"),
            rest @ ..,
        ] => Err(Failure::Usage(format!(
            "`{task}` does not take `{}`",
            rest.join(" ")
        ))),
        [other, ..] => Err(Failure::Usage(format!("there is no task `{other}`"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Task, Failure> {
        let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        parse(&words)
    }

    #[test]
    fn every_task_of_the_usage_is_known() {
        for (line, task) in [
            ("", Task::Help),
            ("--help", Task::Help),
            ("test --help", Task::Help),
            ("demo", Task::Demo),
            ("example", Task::ListExamples),
            ("example tabular", Task::Example("tabular".to_owned())),
            ("setup", Task::Setup(PythonSide::With)),
            ("setup --no-python", Task::Setup(PythonSide::Without)),
            ("setup --openvino", Task::SetupOpenVino(PythonSide::With)),
            (
                "setup --openvino --no-python",
                Task::SetupOpenVino(PythonSide::Without),
            ),
            ("test", Task::Test),
            ("bench", Task::Bench(None)),
            ("bench system", Task::Bench(Some("system".to_owned()))),
            ("bench --list", Task::ListBenches),
            ("arrows", Task::Arrows),
        ] {
            assert_eq!(parsed(line).unwrap(), task, "{line}");
        }
    }

    #[test]
    fn what_is_not_known_is_said_with_the_usage() {
        let error = parsed("tset").unwrap_err().to_string();
        assert!(
            error.starts_with("there is no task `tset`\n\nusage: "),
            "{error}"
        );
        let error = parsed("setup --fast now").unwrap_err().to_string();
        assert!(
            error.starts_with("`setup` does not take `--fast now`"),
            "{error}"
        );
    }
}
