//! Rows of CSV, Parquet and flat JSON lines, in and out, and the choice of rows.

#![expect(clippy::unwrap_used, reason = "a test stops at the first error")]

#[cfg(test)]
mod fake;

use consort_inference::{Datatype, FailureKind, Tensor, TensorSpec, Tensors};
use consort_job::{Columns, Config, Ended, Format, JobError, Outputs, Sample, Sink, Source, Text};
use fake::{Fake, Room, config, double, echo, jsonl, keys, numbers};
use std::path::{Path, PathBuf};
use std::sync::Arc;

fn rows(paths: &[PathBuf]) -> Source {
    Source::Rows {
        inputs: paths.iter().cloned().map(Text::File).collect(),
        format: None,
    }
}

fn specs() -> Vec<TensorSpec> {
    vec![
        TensorSpec::new("x", Datatype::Fp32, vec![Some(2)]),
        TensorSpec::new("name", Datatype::Bytes, vec![Some(1)]),
        TensorSpec::new("ids", Datatype::Int64, vec![None]),
        TensorSpec::new("half", Datatype::Fp16, vec![]),
        TensorSpec::new("ok", Datatype::Bool, vec![Some(1)]),
        TensorSpec::new("small", Datatype::Uint8, vec![Some(1)]),
    ]
}

/// Gives back what it takes, and says so beforehand.
fn mirror() -> Fake {
    echo(specs()).promising(specs())
}

async fn write(room: &Room, source: Source, name: &str, config: Config) -> PathBuf {
    let path = room.path(name);
    let outputs = Outputs {
        predictions: Sink::File(path.clone()),
        dead_letters: Some(Sink::File(room.path("dead.jsonl"))),
    };
    let never = std::future::pending();
    let run = consort_job::run(Arc::new(mirror()), source, outputs, config, never);
    run.await.unwrap();
    path
}

const LINES: &str = r#"{"key": "a,\"b\"\n", "x": [1.5, "NaN"], "name": "é, \"q\"\nz", "ids": [], "half": 0.5, "ok": true, "small": 255}
{"key": 7, "x": [-0.0, 1e-7], "name": {"b64": "/wA="}, "ids": [1, -9223372036854775808], "half": "Infinity", "ok": false, "small": 0}
"#;

#[tokio::test]
async fn what_is_written_reads_back_in_every_format() {
    let room = Room::new();
    let plain = write(&room, jsonl(LINES), "a.jsonl", config()).await;
    let plain = std::fs::read_to_string(plain).unwrap();
    assert_eq!(plain.lines().count(), 2);
    for name in ["b.csv", "b.tsv", "b.parquet"] {
        let path = write(&room, jsonl(LINES), name, config()).await;
        let again = write(&room, rows(&[path]), "again.jsonl", config()).await;
        let again = std::fs::read_to_string(again).unwrap();
        // Bytes that are no text are the text of their JSON in CSV and Parquet, and keys
        // of CSV are texts.
        let expected = plain.replace(r#"{"b64": "/wA="}"#, r#""{\"b64\": \"/wA=\"}""#);
        let expected = expected.replace("\"key\": 7,", "\"key\": \"7\",");
        assert_eq!(again, expected, "{name}");
    }
    let csv = std::fs::read_to_string(room.path("b.csv")).unwrap();
    let header = "key,x.0,x.1,name,ids,half,ok,small,model_id\n";
    assert!(csv.starts_with(header), "{csv}");
    assert!(
        csv.contains(",1.5,NaN,\"é, \"\"q\"\"\nz\",[],0.5,true,255,fake:1\n"),
        "{csv}"
    );
}

#[tokio::test]
async fn columns_are_stacked_and_errors_say_where() {
    let room = Room::new();
    let path = room.write(
        "in.csv",
        "id,width,height,note\n1,2.5,3,x\n2,,3,x\n3,1,abc,x\n4,1,1\n5,1e99,1,x\n",
    );
    let inputs = vec![TensorSpec::new("size", Datatype::Fp32, vec![Some(2)])];
    let config = Config {
        columns: Columns {
            key: Some("id".to_owned()),
            tensors: vec![("size".into(), vec!["width".to_owned(), "height".to_owned()])],
        },
        ..config()
    };
    let summary = room
        .run(
            echo(inputs.clone()),
            rows(std::slice::from_ref(&path)),
            config.clone(),
        )
        .await
        .unwrap();
    assert_eq!((summary.predictions, summary.failures.total()), (1, 4));
    let expected = r#"{"key": "1", "outputs": {"size": [2.5, 3.0]}, "model_id": "fake:1"}"#;
    assert_eq!(room.predictions(), [expected]);
    let dead = room.dead_letters();
    for (line, what) in dead.iter().zip([
        r#"in.csv\", row 2, column \"width\": FP32 is expected, the field is empty"#,
        r#"in.csv\", row 3, column \"height\": FP32 is expected, \"abc\" was found"#,
        r#"in.csv\", row 4: 4 fields are expected, there are 3"#,
        r#"in.csv\", row 5, column \"width\": 1e99 is out of range for FP32"#,
    ]) {
        assert!(line.contains(what), "{line}");
    }
    let example = r#""example": {"id": "3", "width": "1", "height": "abc", "note": "x"}}"#;
    assert!(dead[1].ends_with(example), "{}", dead[1]);
    // A column that is not there is told before anything is written.
    let before = room.predictions();
    let other = Config {
        columns: Columns {
            key: None,
            tensors: vec![("size".into(), vec!["width".to_owned(), "depth".to_owned()])],
        },
        ..config.clone()
    };
    let error = room
        .run(echo(inputs.clone()), rows(&[path]), other)
        .await
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("there is no column \"depth\"; the columns are \"id\", \"width\""),
        "{error}"
    );
    assert_eq!(room.predictions(), before);
    let wrong = Config {
        columns: Columns {
            key: None,
            tensors: vec![("size".into(), vec!["a".to_owned(); 3])],
        },
        ..config
    };
    let error = room.run(echo(inputs), jsonl(""), wrong).await.unwrap_err();
    assert!(matches!(error, JobError::Columns { .. }), "{error}");
}

#[tokio::test]
async fn folders_and_patterns_of_mixed_formats_with_a_bad_file_among_them() {
    let room = Room::new();
    room.write("in/a.jsonl", "{\"n\": 1}\n{\"n\": 7}\n");
    room.write("in/b.csv", "n\n2\n3\n");
    room.write("in/c.csv", "m\n2\n");
    room.write("in/d.parquet", "this is no Parquet");
    room.write("in/e.txt", "not rows");
    room.write("in/f.csv", "");
    room.write("in/g.csv", "key,n\nk,4\n");
    let summary = room
        .run(double(), rows(&[room.path("in")]), config())
        .await
        .unwrap();
    assert_eq!((summary.predictions, summary.ended), (4, Ended::Complete));
    let lines: Vec<String> = room.predictions();
    assert!(
        lines[0].starts_with("{\"key\": \"in/a.jsonl:1\", \"outputs\": {\"doubled\": 2}"),
        "{lines:?}"
    );
    assert!(
        lines[2].starts_with("{\"key\": \"in/b.csv:2\", \"outputs\": {\"doubled\": 6}"),
        "{lines:?}"
    );
    assert!(
        lines[3].starts_with("{\"key\": \"k\", \"outputs\": {\"doubled\": 8}"),
        "{lines:?}"
    );
    assert_eq!(summary.failures.of_kind(FailureKind::ModelFailed), 1);
    assert_eq!(summary.failures.of_kind(FailureKind::Unreadable), 2);
    let dead = room.dead_letters();
    assert!(dead[0].contains("\"example\": {\"n\": 7}"), "{dead:?}");
    assert!(
        dead[1].contains("there is no column \\\"n\\\"; the columns are \\\"m\\\""),
        "{dead:?}"
    );
    assert!(dead[2].contains("\"key\": \"in/d.parquet\""), "{dead:?}");
    let summary = room
        .run(double(), rows(&[room.path("in/[bg].csv")]), config())
        .await
        .unwrap();
    assert_eq!((summary.predictions, summary.failures.total()), (3, 0));
    let error = room
        .run(double(), rows(&[room.path("in/*.pq")]), config())
        .await
        .unwrap_err();
    assert!(
        error.to_string().contains("nothing matches this pattern"),
        "{error}"
    );
}

#[tokio::test]
async fn a_page_over_the_limit_is_named() {
    let room = Room::new();
    let path = write(&room, jsonl(LINES.repeat(2_000)), "in.parquet", config()).await;
    let config = Config {
        page_bytes_max: 2_000,
        ..config()
    };
    let error = room
        .run(mirror(), rows(&[path]), config)
        .await
        .unwrap_err()
        .to_string();
    assert!(error.contains("page_bytes_max, 2000"), "{error}");
}

#[tokio::test]
async fn many_row_groups_and_chunks_come_once_and_in_order() {
    let room = Room::new();
    let outputs = vec![TensorSpec::new("n", Datatype::Int64, vec![Some(1)])];
    let mirror = || echo(outputs.clone()).promising(outputs.clone());
    let small = Config {
        row_group_bytes_max: 3_000,
        ..config()
    };
    let target = Outputs {
        predictions: Sink::File(room.path("n.parquet")),
        dead_letters: None,
    };
    let never = std::future::pending();
    let run = consort_job::run(
        Arc::new(mirror()),
        jsonl(numbers(1..2_001)),
        target,
        small,
        never,
    );
    assert_eq!(run.await.unwrap().predictions, 2_000);
    let read = |config| room.run(mirror(), rows(&[room.path("n.parquet")]), config);
    let summary = read(config()).await.unwrap();
    assert_eq!(summary.predictions, 2_000);
    let found = room.predictions();
    for (index, line) in found.iter().enumerate() {
        let n = index + 1;
        assert!(
            line.starts_with(&format!("{{\"key\": \"{n}\", \"outputs\": {{\"n\": {n}}}")),
            "{line}"
        );
    }
    let limited = Config {
        limit: Some(33),
        call_examples_max: Some(7),
        ..config()
    };
    assert_eq!(read(limited).await.unwrap().predictions, 33);
    assert_eq!(room.predictions(), found[..33]);
}

#[tokio::test]
async fn a_sample_is_the_same_whatever_the_chunks_and_threads() {
    let room = Room::new();
    let mut all = Vec::new();
    for (calls, ordered) in [(1, true), (64, false), (64, true)] {
        let config = Config {
            sample: Some(Sample {
                fraction: 0.1,
                seed: 5,
            }),
            limit: Some(40),
            call_examples_max: Some(calls),
            ordered,
            ..config()
        };
        room.run(double(), jsonl(numbers(1..2_001)), config)
            .await
            .unwrap();
        let mut found = keys(&[room.predictions(), room.dead_letters()].concat());
        found.sort();
        assert_eq!(found.len(), 40);
        all.push(found);
    }
    assert!(all.iter().all(|found| *found == all[0]));
}

#[tokio::test]
async fn a_dry_run_asks_and_writes_nothing() {
    let room = Room::new();
    room.write("out.jsonl", "precious");
    let config = Config {
        dry_run: true,
        ..config()
    };
    let endpoint = Arc::new(double());
    let text = [numbers(1..8), "{oops\n".to_owned(), numbers(8..10)].concat();
    let never = std::future::pending();
    let run = consort_job::run(endpoint.clone(), jsonl(text), room.outputs(), config, never);
    let summary = run.await.unwrap();
    assert_eq!((summary.predictions, summary.failures.total()), (9, 1));
    assert_eq!(endpoint.seen.load(std::sync::atomic::Ordering::SeqCst), 0);
    assert_eq!(
        std::fs::read_to_string(room.path("out.jsonl")).unwrap(),
        "precious"
    );
    assert!(!room.path("dead.jsonl").exists());
    assert!(
        summary.to_string().contains("good, not asked (dry run)"),
        "{summary}"
    );
}

#[tokio::test]
async fn the_first_failure_ends_a_job_that_is_to_fail_fast() {
    let room = Room::new();
    let config = Config {
        fail_fast: true,
        call_examples_max: Some(1),
        inflight_max: 2,
        ..config()
    };
    let error = room
        .run(double(), fake::endless(), config)
        .await
        .unwrap_err();
    let JobError::FailFast {
        key,
        failure,
        summary,
    } = error
    else {
        panic!("{error}");
    };
    assert_eq!(
        (key.as_str(), failure.kind),
        ("7", FailureKind::ModelFailed)
    );
    assert_eq!(summary.ended, Ended::Failed);
    assert_eq!(keys(&room.dead_letters()), [7]);
    let predicted = keys(&room.predictions());
    assert!(
        predicted.len() < 12 && predicted.starts_with(&[1, 2, 3, 4, 5, 6]),
        "{predicted:?}"
    );
}

#[tokio::test]
async fn an_example_may_come_with_its_prediction_and_a_long_one_is_cut_off() {
    let room = Room::new();
    let config = Config {
        include_example: true,
        dead_letter_example_bytes_max: 12,
        ..config()
    };
    let inputs = vec![TensorSpec::new("n", Datatype::Int64, vec![Some(1)])];
    let endpoint = Fake::new(inputs, |example| {
        if fake::number(example) == 2 {
            return Err(fake::failure(FailureKind::PluginFailed, "two"));
        }
        let one = Tensor::from_slice(vec![1], &[1i64]).unwrap();
        Ok(Tensors::from_named([("one".into(), one)]).unwrap())
    });
    room.run(endpoint, jsonl(numbers(1..3)), config)
        .await
        .unwrap();
    let expected =
        r#"{"key": 1, "outputs": {"one": 1}, "model_id": "fake:1", "example": {"n": 1}}"#;
    assert_eq!(room.predictions(), [expected]);
    let dead = room.dead_letters();
    let end = r#""example": "{\"key\": 2, \"", "example_truncated": true}"#;
    assert!(dead[0].ends_with(end), "{dead:?}");
}

#[tokio::test]
async fn an_output_that_the_input_names_keeps_its_content() {
    let room = Room::new();
    let other = room.write("other", "0123456789");
    let precious = room.write("out.jsonl", "precious");
    let list = [&other, &precious]
        .map(|path| path.to_str().unwrap())
        .join("\n");
    let source = Source::Paths {
        text: Text::Reader("a list".into(), Box::new(std::io::Cursor::new(list))),
        separator: Default::default(),
    };
    let run = room.run(fake::echo_files(), source, fake::files_config());
    let error = run.await.unwrap_err().to_string();
    assert!(error.contains("the input names it as well"), "{error}");
    assert_eq!(std::fs::read(&precious).unwrap(), b"precious");
    let dead = room.dead_letters();
    assert!(
        dead[0].contains("this job writes its output there"),
        "{dead:?}"
    );
    let beside = std::fs::read_to_string(room.path("out.jsonl.partial")).unwrap();
    assert!(
        beside.contains("\"key\": \"") && beside.lines().count() == 1,
        "{beside}"
    );
    // Without that name the old content is replaced at the end.
    let source = Source::Paths {
        text: Text::Reader(
            "a list".into(),
            Box::new(std::io::Cursor::new(other.to_str().unwrap().to_owned())),
        ),
        separator: Default::default(),
    };
    room.run(fake::echo_files(), source, fake::files_config())
        .await
        .unwrap();
    assert_eq!(room.predictions().len(), 1);
    assert!(!room.path("out.jsonl.partial").exists());
}

#[tokio::test]
async fn metrics_have_beams_names() {
    let room = Room::new();
    let mut summary = room
        .run(double(), jsonl(numbers(1..15)), config())
        .await
        .unwrap();
    let mut sizes = consort_job::Distribution::default();
    [3, 1, 8].into_iter().for_each(|size| sizes.add(size));
    summary.add_distribution("inference_request_batch_size", sizes);
    summary.add_counter("failed_batches_counter", 2);
    let path = room.path("metrics.json");
    summary.write_json(Path::new(&path)).unwrap();
    let json: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    assert_eq!(json["counters"]["num_inferences"], 12);
    assert_eq!(json["counters"]["failed_inferences"], 2);
    assert_eq!(json["counters"]["failed_batches_counter"], 2);
    let sizes = &json["distributions"]["inference_request_batch_size"];
    assert_eq!(
        sizes.to_string(),
        r#"{"count":3,"max":8,"mean":4.0,"min":1,"sum":12}"#
    );
    assert_eq!(json["failures"][0]["kind"], "model_failed");
    assert_eq!(json["ended"], "complete");
}

#[tokio::test]
async fn parquet_is_no_stream_and_columns_need_outputs() {
    let room = Room::new();
    let stream = Source::Rows {
        inputs: vec![Text::Reader("a pipe".into(), Box::new(std::io::empty()))],
        format: Some(Format::Parquet),
    };
    let error = room
        .run(double(), stream, config())
        .await
        .unwrap_err()
        .to_string();
    assert!(error.contains("it has to be a file"), "{error}");
    let csv = Config {
        output_format: Some(Format::Csv),
        ..config()
    };
    let error = room.run(double(), jsonl(""), csv).await.unwrap_err();
    assert!(matches!(error, JobError::NoColumns { .. }), "{error}");
}

/// Files that `pyarrow` wrote (`fixtures/make.py`), in every packing that is read: nulls,
/// lists with nulls, half precision, numbers without a sign, and strings by dictionary.
#[tokio::test]
async fn files_of_another_writer_in_every_packing() {
    let room = Room::new();
    let inputs = vec![
        TensorSpec::new("n", Datatype::Int64, vec![Some(1)]),
        TensorSpec::new("v", Datatype::Fp32, vec![None]),
        TensorSpec::new("h", Datatype::Fp16, vec![]),
        TensorSpec::new("u", Datatype::Uint64, vec![Some(1)]),
        TensorSpec::new("d", Datatype::Bytes, vec![Some(1)]),
    ];
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    for packing in ["none", "snappy", "gzip", "lz4", "zstd"] {
        let path = folder.join(format!("{packing}.parquet"));
        let summary = room
            .run(echo(inputs.clone()), rows(&[path]), config())
            .await
            .unwrap();
        assert_eq!(
            (summary.predictions, summary.failures.total()),
            (14, 6),
            "{packing}"
        );
        let lines = room.predictions();
        let expected = r#"{"key": "k1", "outputs": {"n": 1, "v": [0.5, 1.0], "h": 0.125, "u": 9223372036854775809, "d": "b"}, "model_id": "fake:1"}"#;
        assert_eq!(lines[0], expected, "{packing}");
        assert!(lines[6].contains(r#""v": [], "#), "{packing}: {}", lines[6]);
        let dead = room.dead_letters();
        for (line, what) in dead.iter().zip([
            r#"row 1, column \"v\": a value is expected, null was found"#,
            r#"row 4, column \"n\": a value is expected, null was found"#,
            r#"row 8, column \"v\": a value is expected, null was found"#,
        ]) {
            assert!(line.contains(what), "{packing}: {line}");
        }
        assert!(
            dead[1].contains(r#""example": {"n": null, "v": [1.5, 1.0], "h": 0.375"#),
            "{}",
            dead[1]
        );
    }
}
