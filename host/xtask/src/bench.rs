//! `cargo xtask bench`: runs the workspace's benches and collects what they measured.
//!
//! A bench prints a line for each measurement: `bench: NAME | VALUE UNIT | goal GOAL | ok`,
//! where the last word is `ok` or `short`. Everything else it prints is only shown.

use crate::failure::Failure;
use crate::guests;
use crate::layout::Layout;
use crate::metadata::{Metadata, cargo};
use crate::setup::{self, PythonSide};
use crate::table::{self, Align};

/// The start of a line that is collected.
const MARK: &str = "bench: ";

/// A bench target of the workspace.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Bench {
    package: String,
    name: String,
}

/// Runs the benches whose name or crate is `wanted`, or all.
pub(crate) fn run(
    layout: &Layout,
    metadata: &Metadata,
    wanted: Option<&str>,
) -> Result<(), Failure> {
    let benches = chosen(metadata, wanted)?;
    let prepared = setup::run(layout, metadata, PythonSide::With)?;
    guests::for_tests(layout, metadata)?;
    // Dependencies get the features of the whole workspace with its tests, and the profile of
    // the tests: nothing that the tests have compiled is compiled again.
    let mut build = cargo()
        .dir(&layout.root)
        .args(["build", "--workspace", "--bins"]);
    for bench in &benches {
        build = build.args(["--bench", &bench.name]);
    }
    build.run()?;

    let mut rows = Vec::new();
    let mut failed = Vec::new();
    for bench in &benches {
        println!("\n=== {} of {} ===\n", bench.name, bench.package);
        let program = cargo().dir(&layout.root);
        let program = program.args([
            "bench",
            "--workspace",
            "--profile",
            "dev",
            "--bench",
            &bench.name,
        ]);
        let program = prepared.environment(layout, program);
        let measured = program.observed(false, |line| rows.extend(measurement(line)));
        if let Err(failure) = measured {
            println!("\n{} failed: {failure}", bench.name);
            failed.push(bench.name.clone());
        }
    }
    println!("\n=== measured ===\n\n{}", summary(&rows));
    if failed.is_empty() {
        return Ok(());
    }
    Err(Failure::Benches(failed))
}

/// Prints the names of all benches.
pub(crate) fn list(metadata: &Metadata) {
    for bench in benches(metadata) {
        println!("{:<16} in {}", bench.name, bench.package);
    }
}

/// The benches of a name or a crate, each name once: cargo runs all benches of a name.
fn chosen(metadata: &Metadata, wanted: Option<&str>) -> Result<Vec<Bench>, Failure> {
    let mut chosen: Vec<Bench> = Vec::new();
    for bench in benches(metadata) {
        let fits = wanted.is_none_or(|wanted| wanted == bench.name || wanted == bench.package);
        if fits && chosen.iter().all(|known| known.name != bench.name) {
            chosen.push(bench);
        }
    }
    match wanted {
        Some(wanted) if chosen.is_empty() => Err(Failure::NoSuchBench(wanted.to_owned())),
        _ => Ok(chosen),
    }
}

fn benches(metadata: &Metadata) -> Vec<Bench> {
    let packages = metadata.packages.iter();
    let all = packages.flat_map(|package| {
        package.targets_of_kind("bench").map(|name| Bench {
            package: package.name.clone(),
            name: name.to_owned(),
        })
    });
    all.collect()
}

/// The four cells of a measurement's line.
fn measurement(line: &str) -> Option<Vec<String>> {
    let mut cells: Vec<String> = line
        .strip_prefix(MARK)?
        .split('|')
        .map(|cell| cell.trim().to_owned())
        .collect();
    if let Some(goal) = cells.get_mut(2) {
        *goal = goal.strip_prefix("goal ").unwrap_or(goal).to_owned();
    }
    cells.resize(4, String::new());
    Some(cells)
}

fn summary(rows: &[Vec<String>]) -> String {
    let head = [
        ("bench", Align::Left),
        ("measured", Align::Right),
        ("goal", Align::Right),
        ("", Align::Left),
    ];
    let short = rows
        .iter()
        .filter(|row| row.last().is_some_and(|cell| cell == "short"));
    let short = short.count();
    let table = table::render(&head, rows);
    match (rows.len(), short) {
        (0, _) => "no bench measured anything".to_owned(),
        (all, 0) => format!("{table}\n{all} measurements, none short of its goal"),
        (all, short) => format!("{table}\n{all} measurements, {short} short of the goal"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metadata() -> Metadata {
        let text = r#"{
            "workspace_root": "/w", "target_directory": "/w/target",
            "packages": [
                {"name": "one", "manifest_path": "/w/one/Cargo.toml", "dependencies": [],
                 "targets": [{"name": "one", "kind": ["lib"]}, {"name": "speed", "kind": ["bench"]}]},
                {"name": "two", "manifest_path": "/w/two/Cargo.toml", "dependencies": [],
                 "targets": [{"name": "speed", "kind": ["bench"]}, {"name": "life", "kind": ["bench"]}]}
            ]
        }"#;
        Metadata::parse(text).unwrap()
    }

    fn names(wanted: Option<&str>) -> Vec<String> {
        let benches = chosen(&metadata(), wanted).unwrap();
        benches.into_iter().map(|bench| bench.name).collect()
    }

    #[test]
    fn benches_are_found_by_name_or_crate_and_each_name_runs_once() {
        assert_eq!(names(None), ["speed", "life"]);
        assert_eq!(names(Some("life")), ["life"]);
        assert_eq!(names(Some("one")), ["speed"]);
        let error = chosen(&metadata(), Some("none")).unwrap_err();
        assert!(error.to_string().contains("\"none\""), "{error}");
    }

    #[test]
    fn measurements_become_rows() {
        let row = measurement("bench: reused call | 3.9 us | goal 5 us | ok").unwrap();
        assert_eq!(row, ["reused call", "3.9 us", "5 us", "ok"]);
        assert_eq!(measurement("bench: bare").unwrap(), ["bare", "", "", ""]);
        assert_eq!(measurement("Benchmarking bench: x | 1 | 2 | ok"), None);
    }

    #[test]
    fn the_summary_counts_what_falls_short() {
        let rows = [
            measurement("bench: one | 1 us | goal 2 us | ok").unwrap(),
            measurement("bench: two | 3 us | goal 2 us | short").unwrap(),
        ];
        assert!(summary(&rows).ends_with("2 measurements, 1 short of the goal"));
        assert!(summary(&rows[..1]).ends_with("1 measurements, none short of its goal"));
        assert_eq!(summary(&[]), "no bench measured anything");
    }
}
