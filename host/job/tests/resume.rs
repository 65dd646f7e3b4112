//! A job that is killed at any moment and resumed: nothing is lost, nothing is there twice.

#![expect(clippy::unwrap_used, reason = "a test stops at the first error")]

#[cfg(test)]
mod fake;

use consort_inference::{Datatype, TensorSpec};
use consort_job::{Config, Ended, Format, JobError, Outputs, Sink, Source, Text};
use fake::{Fake, Room, config, double, jsonl, numbers};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

const ROWS: i64 = 3_000;
const KILLS: usize = 50;
const FOLDER: &str = "CONSORT_JOB_TEST_FOLDER";
const FORMAT: &str = "CONSORT_JOB_TEST_FORMAT";

/// [`double`], with its output in the signature, and now and then a little late.
fn endpoint() -> Fake {
    let outputs = vec![TensorSpec::new("doubled", Datatype::Int64, vec![Some(1)])];
    double().promising(outputs).delayed(|example| {
        let n = fake::number(example);
        Duration::from_millis(u64::from(n % 31 == 0))
    })
}

fn outputs(folder: &Path, name: &str, format: Format) -> Outputs {
    let predictions = folder.join(name).with_extension(format.extension());
    Outputs {
        predictions: Sink::File(predictions),
        dead_letters: Some(Sink::File(folder.join(format!("{name}.dead.jsonl")))),
    }
}

fn resumable() -> Config {
    Config {
        resume: true,
        part_examples_max: 40,
        call_examples_max: Some(8),
        inflight_max: 64,
        ordered: false,
        ..config()
    }
}

fn source(folder: &Path) -> Source {
    Source::Rows {
        inputs: vec![Text::File(folder.join("in"))],
        format: Some(Format::Jsonl),
    }
}

async fn run_all(
    folder: &Path,
    name: &str,
    format: Format,
    config: Config,
) -> consort_job::Summary {
    let outputs = outputs(folder, name, format);
    let never = std::future::pending();
    let run = consort_job::run(Arc::new(endpoint()), source(folder), outputs, config, never);
    run.await.unwrap()
}

/// Not a test by itself: the process that is killed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn child() {
    let Some(folder) = std::env::var_os(FOLDER) else {
        return;
    };
    let format = match std::env::var(FORMAT).unwrap().as_str() {
        "csv" => Format::Csv,
        "parquet" => Format::Parquet,
        _ => Format::Jsonl,
    };
    run_all(Path::new(&folder), "out", format, resumable()).await;
}

fn spawn(folder: &Path, format: Format) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child", "--nocapture"])
        .env(FOLDER, folder)
        .env(FORMAT, format.extension())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// What is in an output, as lines, whatever its format.
async fn content(folder: &Path, name: &str, format: Format) -> (Vec<String>, String) {
    let path = folder.join(name).with_extension(format.extension());
    let dead = folder.join(format!("{name}.dead.jsonl"));
    let dead = std::fs::read_to_string(dead).unwrap();
    if format != Format::Parquet {
        let text = std::fs::read_to_string(path).unwrap();
        return (text.lines().map(str::to_owned).collect(), dead);
    }
    // Row groups may be cut otherwise; what counts are the rows.
    let room = Room::new();
    let read = Source::Rows {
        inputs: vec![Text::File(path)],
        format: None,
    };
    let inputs = vec![TensorSpec::new("doubled", Datatype::Int64, vec![Some(1)])];
    room.run(fake::echo(inputs), read, config()).await.unwrap();
    (room.predictions(), dead)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_fifty_times_it_is_as_if_it_never_was() {
    let room = Room::new();
    let folder = room.dir.path();
    room.write("in", numbers(1..ROWS + 1));
    let mut random = std::collections::hash_map::RandomState::new();
    let (mut kills, mut kills_at_work) = (0, 0);
    for format in [Format::Jsonl, Format::Csv, Format::Parquet]
        .into_iter()
        .cycle()
    {
        let ordered = Config {
            ordered: true,
            ..config()
        };
        run_all(folder, "whole", format, ordered).await;
        let mut finished = false;
        while !finished {
            let mut child = spawn(folder, format);
            if kills < KILLS {
                let pause = std::hash::BuildHasher::hash_one(&random, kills) % 60;
                tokio::time::sleep(Duration::from_millis(5 + pause)).await;
                child.kill().unwrap();
                kills += 1;
                random = std::collections::hash_map::RandomState::new();
            }
            let exit = child.wait().unwrap();
            finished = exit.success();
            kills_at_work += usize::from(!finished);
        }
        let whole = content(folder, "whole", format).await;
        let resumed = content(folder, "out", format).await;
        assert_eq!(whole, resumed, "{format:?}");
        let header = usize::from(format == Format::Csv);
        let failed = (1..=ROWS).filter(|n| n % 7 == 0).count();
        assert_eq!(whole.0.len(), header + ROWS as usize - failed);
        assert_eq!(whole.1.lines().count(), failed);
        let left: Vec<_> = std::fs::read_dir(folder).unwrap().flatten().collect();
        let parts = |name: &str| name.contains(".parts") || name.contains(".partial");
        assert!(
            left.iter()
                .all(|entry| !parts(entry.file_name().to_str().unwrap())),
            "{left:?}"
        );
        for entry in left.iter().filter(|entry| entry.file_name() != "in") {
            std::fs::remove_file(entry.path()).unwrap();
        }
        if kills == KILLS {
            break;
        }
    }
    assert!(
        kills_at_work > KILLS / 2,
        "only {kills_at_work} kills hit a job at work"
    );
}

#[tokio::test]
async fn an_interrupted_job_keeps_its_parts_and_goes_on() {
    let room = Room::new();
    let folder = room.dir.path();
    room.write("in", numbers(1..ROWS + 1));
    let endpoint = Arc::new(endpoint());
    let seen = endpoint.clone();
    let cancel = async move {
        while seen.seen.load(std::sync::atomic::Ordering::SeqCst) < 500 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    let target = outputs(folder, "out", Format::Jsonl);
    let run = consort_job::run(endpoint, source(folder), target, resumable(), cancel);
    let summary = run.await.unwrap();
    assert_eq!(summary.ended, Ended::Interrupted);
    assert!(
        summary.examples() >= 400 && summary.examples() < ROWS as u64,
        "{summary}"
    );
    assert!(!folder.join("out.jsonl").exists());
    // Other settings are another job.
    let other = Config {
        limit: Some(10),
        ..resumable()
    };
    let target = outputs(folder, "out", Format::Jsonl);
    let never = std::future::pending();
    let run = consort_job::run(Arc::new(double()), source(folder), target, other, never);
    let error = run.await.unwrap_err();
    assert!(matches!(error, JobError::OtherJob { .. }), "{error}");
    let before = summary.examples();
    let summary = run_all(folder, "out", Format::Jsonl, resumable()).await;
    assert_eq!((summary.ended, summary.resumed), (Ended::Complete, before));
    assert_eq!((summary.examples(), summary.unwritten), (ROWS as u64, 0));
    let keys = fake::keys(&room.lines("out.jsonl"));
    assert_eq!(keys, (1..=ROWS).filter(|n| n % 7 != 0).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_folder_that_changed_where_it_was_read_is_another_input() {
    let room = Room::new();
    for index in 0..100 {
        room.write(&format!("in/{index:03}"), "x");
    }
    let config = || Config {
        files: fake::windows(),
        ..resumable()
    };
    let endpoint = Arc::new(fake::echo_files().held(|_, answered| answered > 60));
    let files = Source::Files(vec![room.path("in")]);
    let seen = endpoint.clone();
    let cancel = async move {
        while seen.seen.load(std::sync::atomic::Ordering::SeqCst) < 60 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    let brief = Config {
        cancel_grace: Duration::from_millis(50),
        ..config()
    };
    let interrupted = consort_job::run(endpoint, files, room.outputs(), brief, cancel);
    let summary = interrupted.await.unwrap();
    assert!(summary.examples() > 0, "{summary}");
    room.write("in/000a", "new");
    let again = room.run(
        fake::echo_files(),
        Source::Files(vec![room.path("in")]),
        config(),
    );
    let error = again.await.unwrap_err().to_string();
    assert!(
        error.contains("other files are found than in the run"),
        "{error}"
    );
    std::fs::remove_file(room.path("in/000a")).unwrap();
    let again = room.run(
        fake::echo_files(),
        Source::Files(vec![room.path("in")]),
        config(),
    );
    assert_eq!(again.await.unwrap().predictions, 100);
    assert_eq!(room.predictions().len(), 100);
}

#[tokio::test]
async fn what_cannot_be_read_or_written_again_is_refused() {
    let room = Room::new();
    let error = room
        .run(double(), jsonl(numbers(1..9)), resumable())
        .await
        .unwrap_err();
    assert!(matches!(error, JobError::NotResumable { .. }), "{error}");
    let to_stdout = Outputs {
        predictions: Sink::Stdout,
        dead_letters: None,
    };
    room.write("in", numbers(1..9));
    let never = std::future::pending();
    let source = source(room.dir.path());
    let run = consort_job::run(Arc::new(double()), source, to_stdout, resumable(), never);
    let error = run.await.unwrap_err();
    assert!(matches!(error, JobError::NotResumable { .. }), "{error}");
}
