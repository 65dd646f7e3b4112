//! JSON lines as examples.

#[cfg(test)]
mod fake;

use consort_inference::{Datatype, FailureKind, StageKind, Tensor, TensorSpec, Tensors};
use consort_job::{Config, Ended, Pace};
use fake::{Room, config, double, echo, files_config, golden, jsonl, keys, number, numbers};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

#[tokio::test]
async fn good_and_bad_lines() {
    let room = Room::new();
    let inputs = vec![
        TensorSpec::new("ids", Datatype::Int32, vec![None]),
        TensorSpec::new("text", Datatype::Bytes, vec![Some(1)]),
        TensorSpec::new("matrix", Datatype::Fp32, vec![None, Some(2)]),
        TensorSpec::new("half", Datatype::Fp16, vec![]),
    ];
    let source = include_str!("golden/lines.in.jsonl");
    let summary = room
        .run(echo(inputs), jsonl(source), config())
        .await
        .unwrap();
    golden("lines.jsonl", &room.predictions());
    golden("lines.dead.jsonl", &room.dead_letters());
    let lines = source
        .lines()
        .filter(|line| !line.trim().is_empty())
        .count();
    assert_eq!(summary.examples(), lines as u64);
    assert_eq!((summary.predictions, summary.ended), (5, Ended::Complete));
    let of_read = |(stage, _, _)| stage == StageKind::Read;
    assert!(summary.failures.iter().all(of_read));
}

#[tokio::test]
async fn a_line_may_name_a_file() {
    let room = Room::new();
    let file = room.write("in/file", "0123456789");
    let gone = room.path("gone");
    let text = format!("{{\"key\": 5, \"path\": {file:?}}}\n{{\"path\": {gone:?}}}\n");
    let summary = room
        .run(fake::echo_files(), jsonl(text.clone()), files_config())
        .await
        .unwrap();
    assert_eq!((summary.predictions, summary.failures.total()), (1, 1));
    let expected = r#"{"key": 5, "outputs": {"head": "0123", "tail": "6789", "size": 10}, "model_id": "fake:1"}"#;
    assert_eq!(room.predictions(), [expected]);
    assert!(
        room.dead_letters()[0].starts_with("{\"key\": \"gone\", \"error\": {\"stage\": \"read\"")
    );

    let summary = room.run(double(), jsonl(text), config()).await.unwrap();
    assert_eq!(summary.failures.of_kind(FailureKind::InvalidArgument), 2);
    let dead = room.dead_letters();
    assert!(
        dead[0].contains("line 1: \\\"path\\\" cannot be used"),
        "{dead:?}"
    );
}

#[tokio::test]
async fn a_line_over_the_limit_and_what_follows_it() {
    let room = Room::new();
    let long = format!("{{\"key\": \"{}\"}}\n", "x".repeat(1000));
    let text = [numbers(1..3), long, numbers(4..6)].concat();
    let config = Config {
        line_bytes_max: 500,
        ..config()
    };
    room.run(double(), jsonl(text), config).await.unwrap();
    assert_eq!(keys(&room.predictions()), [1, 2, 4, 5]);
    let dead = r#"{"key": 3, "error": {"stage": "read", "step": "line", "kind": "too_large", "message": "line 3: the line is longer than line_bytes_max, 500 bytes"}, "example": null}"#;
    assert_eq!(room.dead_letters(), [dead]);
}

#[tokio::test]
async fn ordered_is_the_order_of_the_input_and_unordered_that_of_answers() {
    // The first of every ten waits until five behind it are answered.
    let endpoint = || {
        double().held(|example, answered| {
            let n = number(example);
            n % 10 == 1 && answered < n as usize + 5
        })
    };
    let room = Room::new();
    let text = numbers(1..101);
    for ordered in [true, false] {
        let config = Config {
            call_examples_max: Some(1),
            inflight_max: 20,
            ordered,
            ..config()
        };
        let summary = room
            .run(endpoint(), jsonl(text.clone()), config)
            .await
            .unwrap();
        assert_eq!((summary.predictions, summary.failures.total()), (86, 14));
        let mut found = keys(&room.predictions());
        assert_eq!(found.is_sorted(), ordered, "{found:?}");
        found.sort();
        let expected: Vec<i64> = (1..101).filter(|n| n % 7 != 0).collect();
        assert_eq!(found, expected);
        let mut dead = keys(&room.dead_letters());
        assert!(dead.is_sorted() || !ordered);
        dead.sort();
        assert_eq!(dead, (1..101).filter(|n| n % 7 == 0).collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn lines_are_answered_while_the_source_waits() {
    use std::io::Write as _;
    let room = Room::new();
    let (reader, mut writer) = std::io::pipe().unwrap();
    let source =
        consort_job::Source::Jsonl(consort_job::Text::Reader("pipe".into(), Box::new(reader)));
    let job = room.run(double(), source, config());
    let talk = async {
        for n in [1, 2, 3] {
            writer.write_all(numbers(n..n + 1).as_bytes()).unwrap();
            // The next is written only when this one is answered.
            while room
                .path("out.jsonl")
                .metadata()
                .map_or(0, |file| file.len())
                < n as u64 * 30
            {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
        drop(writer);
    };
    let (summary, ()) = tokio::join!(job, talk);
    assert_eq!(summary.unwrap().predictions, 3);
    assert_eq!(keys(&room.predictions()), [1, 2, 3]);
}

#[tokio::test]
async fn an_empty_source_is_a_complete_job() {
    let room = Room::new();
    for text in ["", "\n\n  \n"] {
        let summary = room.run(double(), jsonl(text), config()).await.unwrap();
        assert_eq!((summary.examples(), summary.ended), (0, Ended::Complete));
        assert!(room.predictions().is_empty() && room.dead_letters().is_empty());
    }
}

#[tokio::test]
async fn what_happens_between_two_examples_is_between_their_lines() {
    let room = Room::new();
    let version = Arc::new(AtomicI64::new(1));
    let answering = {
        let version = version.clone();
        fake::Fake::new(vec![fake::spec("n", Datatype::Int64)], move |_| {
            let made = Tensor::from_slice(vec![1], &[version.load(Ordering::SeqCst)]).unwrap();
            Ok(Tensors::from_named([("made".into(), made)]).unwrap())
        })
    };
    let (mut keeper, pace) = Pace::new();
    let config = Config {
        call_examples_max: Some(5),
        pace: Some(pace),
        ..config()
    };
    keeper.stop_at(20);
    let keeping = tokio::spawn(async move {
        assert!(keeper.reached(20).await);
        assert_eq!(keeper.answered(), 20, "nothing more is let in");
        version.store(2, Ordering::SeqCst);
        keeper.let_on();
        // The job has fewer.
        assert!(!keeper.reached(1_000).await);
    });
    let summary = room.run(answering, jsonl(numbers(0..100)), config).await;
    assert_eq!(summary.unwrap().predictions, 100);
    keeping.await.unwrap();
    let made_by = |version: i64| {
        let mark = format!("\"made\": {version}");
        let lines = room.predictions();
        let lines: Vec<String> = lines
            .into_iter()
            .filter(|line| line.contains(&mark))
            .collect();
        keys(&lines).len()
    };
    assert_eq!((made_by(1), made_by(2)), (20, 80));
}
