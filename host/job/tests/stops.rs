//! Jobs that do not run to their end.

#[cfg(test)]
mod fake;

use consort_inference::FailureKind;
use consort_job::{Config, Ended, JobError, Outputs, Sink, Source, Text};
use fake::{Endless, Fake, Room, config, double, endless, jsonl, keys, number, numbers};
use std::io::{self, Read as _};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::sync::Notify;

/// Small chunks, so that a job stops in its midst.
fn small() -> Config {
    Config {
        call_examples_max: Some(5),
        inflight_max: 20,
        ..config()
    }
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_full_disk_is_named() {
    let room = Room::new();
    for full_is_dead_letters in [false, true] {
        let full = Sink::File("/dev/full".into());
        let good = Sink::File(room.path("good"));
        let outputs = match full_is_dead_letters {
            false => Outputs {
                predictions: full,
                dead_letters: Some(good),
            },
            true => Outputs {
                predictions: good,
                dead_letters: Some(full),
            },
        };
        let never = std::future::pending();
        // Endless, so the job must stop by itself.
        let source = endless();
        let run = consort_job::run(Arc::new(double()), source, outputs, small(), never);
        let error = run.await.unwrap_err();
        let text = error.to_string();
        let expected = "cannot write \"/dev/full\": No space left on device (os error 28); \
                        0 whole lines were written to it";
        assert_eq!(text, expected);
        let JobError::Write {
            summary,
            lines_written,
            ..
        } = error
        else {
            panic!("{error:?}");
        };
        assert_eq!((lines_written, summary.ended), (0, Ended::Failed));
        assert_eq!(summary.unread, None);
        assert!(summary.unwritten > 0);
        let good = room.lines("good");
        assert_eq!(
            good.len() as u64,
            if full_is_dead_letters {
                summary.predictions
            } else {
                0
            }
        );
    }
}

#[cfg(unix)]
#[tokio::test]
async fn a_reader_that_leaves_ends_the_job_cleanly() {
    let room = Room::new();
    let path = room.fifo("fifo");
    let outputs = Outputs {
        predictions: Sink::File(path.clone()),
        dead_letters: None,
    };
    let reader = std::thread::spawn(move || {
        let mut begin = [0; 20];
        std::fs::File::open(path)
            .unwrap()
            .read_exact(&mut begin)
            .unwrap();
        begin
    });
    let source = endless();
    let never = std::future::pending();
    let run = consort_job::run(Arc::new(double()), source, outputs, small(), never);
    let summary = run.await.unwrap();
    assert_eq!(summary.ended, Ended::OutputClosed);
    assert_eq!(&reader.join().unwrap(), b"{\"key\": 1, \"outputs\"");
    assert!(
        summary
            .to_string()
            .contains("the reader of the output has left"),
        "{summary}"
    );
}

#[cfg(unix)]
#[tokio::test]
async fn a_reader_that_takes_nothing_does_not_hold_up_a_cancelled_job() {
    let room = Room::new();
    let path = room.fifo("fifo");
    let outputs = Outputs {
        predictions: Sink::File(path.clone()),
        dead_letters: None,
    };
    // Both ends, so that opening does not wait and nobody leaves.
    let reader = std::fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open(&path)
        .unwrap();
    let endpoint = Arc::new(double());
    let seen = endpoint.clone();
    let cancel = async move {
        // The pipe is full when no more examples are taken in.
        let mut before = usize::MAX;
        loop {
            tokio::time::sleep(Duration::from_millis(100)).await;
            let now = seen.seen.load(Ordering::SeqCst);
            if now == before && now > 0 {
                break;
            }
            before = now;
        }
    };
    let source = endless();
    let config = Config {
        cancel_grace: Duration::from_millis(50),
        write_grace: Duration::from_millis(50),
        ..small()
    };
    let error = consort_job::run(endpoint, source, outputs, config, cancel)
        .await
        .unwrap_err();
    let JobError::Write {
        lines_written,
        summary,
        source,
        ..
    } = &error
    else {
        panic!("{error:?}");
    };
    assert_eq!(source.kind(), io::ErrorKind::TimedOut);
    assert!(
        *lines_written > 0 && summary.predictions == *lines_written,
        "{error}"
    );
    drop(reader);
}

/// Answers at once until `answered` examples were seen, then notifies; what comes later
/// takes `then`.
fn slow_after(answered: i64, then: Duration, reached: Arc<Notify>) -> Fake {
    double().delayed(move |example| {
        if number(example) <= answered {
            return Duration::ZERO;
        }
        reached.notify_one();
        then
    })
}

#[tokio::test]
async fn what_finishes_in_the_grace_is_kept() {
    let room = Room::new();
    let reached = Arc::new(Notify::new());
    let endpoint = Arc::new(slow_after(50, Duration::from_millis(100), reached.clone()));
    let cancel = async move { reached.notified().await };
    let source = endless();
    let run = consort_job::run(endpoint.clone(), source, room.outputs(), small(), cancel);
    let summary = run.await.unwrap();
    assert!(summary.interrupted());
    assert_eq!(
        (summary.abandoned(), summary.unread, summary.unwritten),
        (0, None, 0)
    );
    let seen = endpoint.seen.load(Ordering::SeqCst);
    assert!((51..=70).contains(&seen), "{seen}");
    let mut found = keys(&room.predictions());
    found.extend(keys(&room.dead_letters()));
    found.sort();
    assert_eq!(found, (1..=seen as i64).collect::<Vec<_>>());
    assert!(summary.elapsed < small().cancel_grace, "{summary}");
}

#[tokio::test]
async fn what_does_not_finish_in_the_grace_is_a_dead_letter() {
    let room = Room::new();
    let reached = Arc::new(Notify::new());
    let endpoint = Arc::new(slow_after(50, Duration::from_secs(3600), reached.clone()));
    let cancel = async move { reached.notified().await };
    let grace = Duration::from_millis(100);
    let config = Config {
        cancel_grace: grace,
        ..small()
    };
    let run = consort_job::run(
        endpoint.clone(),
        jsonl(numbers(1..201)),
        room.outputs(),
        config,
        cancel,
    );
    let summary = run.await.unwrap();
    assert!(summary.interrupted());
    let seen = endpoint.seen.load(Ordering::SeqCst) as i64;
    let abandoned = seen - 50;
    assert_eq!(summary.abandoned(), abandoned as u64);
    assert_eq!(
        summary.predictions,
        (1..=50).filter(|n| n % 7 != 0).count() as u64
    );
    let mut found = keys(&room.predictions());
    found.extend(keys(&room.dead_letters()));
    found.sort();
    assert_eq!(found, (1..=seen).collect::<Vec<_>>());
    let dead = room.dead_letters();
    let cancelled = dead
        .iter()
        .filter(|line| line.contains("\"kind\": \"cancelled\""))
        .count();
    assert_eq!(cancelled as i64, abandoned);
    if let Some(unread) = summary.unread {
        assert_eq!(unread, 200 - seen as u64);
    }
    assert!(summary.to_string().contains("interrupted: "), "{summary}");
    assert!(summary.elapsed >= grace, "{summary}");
}

#[tokio::test]
async fn a_job_cancelled_before_it_begins_reads_nothing() {
    let room = Room::new();
    let run = consort_job::run(
        Arc::new(double()),
        endless(),
        room.outputs(),
        small(),
        std::future::ready(()),
    );
    let summary = run.await.unwrap();
    assert_eq!((summary.examples(), summary.ended), (0, Ended::Interrupted));
    assert!(room.predictions().is_empty());
}

#[tokio::test]
async fn a_source_that_breaks_keeps_what_was_read() {
    struct Breaks(io::Cursor<Vec<u8>>);
    impl io::Read for Breaks {
        fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
            match self.0.read(out)? {
                0 => Err(io::Error::other("the cable is out")),
                count => Ok(count),
            }
        }
    }
    let room = Room::new();
    let reader = Breaks(io::Cursor::new(numbers(1..101).into_bytes()));
    let source = Source::Jsonl(Text::Reader("a tape".into(), Box::new(reader)));
    let error = room.run(double(), source, small()).await.unwrap_err();
    let expected = "cannot read a tape: the cable is out; what had been read before it is written";
    assert_eq!(error.to_string(), expected);
    let JobError::Read { summary, .. } = error else {
        panic!("{error:?}");
    };
    assert_eq!((summary.predictions, summary.failures.total()), (86, 14));
    assert_eq!((summary.ended, summary.unread), (Ended::Failed, None));
    assert_eq!(room.predictions().len() + room.dead_letters().len(), 100);

    let source = Source::Jsonl(Text::File(room.path("gone")));
    let error = room
        .run(double(), source, small())
        .await
        .unwrap_err()
        .to_string();
    assert!(
        error.starts_with("cannot read \"") && error.contains("No such file"),
        "{error}"
    );
}

#[tokio::test]
async fn without_a_dead_letter_sink_failures_are_counted() {
    let room = Room::new();
    let outputs = Outputs {
        predictions: Sink::File(room.path("out.jsonl")),
        dead_letters: None,
    };
    let never = std::future::pending();
    let source = jsonl(numbers(1..101));
    let run = consort_job::run(Arc::new(double()), source, outputs, small(), never);
    let summary = run.await.unwrap();
    assert_eq!((summary.predictions, summary.failures.total()), (86, 14));
    assert_eq!(summary.failures.of_kind(FailureKind::ModelFailed), 14);
    assert_eq!(room.predictions().len(), 86);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_endpoint_holds_back_the_source() {
    for ordered in [false, true] {
        let room = Room::new();
        let endpoint = Arc::new(double().held(|_, _| true));
        let source = Endless::default();
        let lines_read = source.lines_read.clone();
        let seen = endpoint.clone();
        let cancel = async move {
            while seen.seen.load(Ordering::SeqCst) < 20 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            // Time enough to do wrong.
            tokio::time::sleep(Duration::from_millis(50)).await;
        };
        let config = Config {
            cancel_grace: Duration::ZERO,
            ordered,
            ..small()
        };
        let source = Source::Jsonl(Text::Reader("endless".into(), Box::new(source)));
        let run = consort_job::run(endpoint.clone(), source, room.outputs(), config, cancel);
        let summary = run.await.unwrap();
        assert_eq!((summary.abandoned(), summary.unwritten), (20, 0));
        assert_eq!(endpoint.seen.load(Ordering::SeqCst), 20);
        // In flight, two chunks ahead, one in each hand, and what one read brings.
        let lines_read = lines_read.load(Ordering::SeqCst);
        assert!(lines_read <= 20 + 4 * 5 + 10, "{lines_read}");
        assert_eq!(keys(&room.dead_letters()).len(), 20);
    }
}
