//! Files and folders as examples.

#[cfg(test)]
mod fake;

use consort_inference::{Datatype, FailureKind, StageKind};
use consort_job::{Config, Ended, FileTensors, JobError, Read, Separator, Source, Text};
use fake::{Room, config, echo, echo_files, files_config, golden, spec};
use std::fs::File;
use std::io::{Cursor, Write as _};
use std::sync::atomic::Ordering;

fn folder(room: &Room) -> Source {
    Source::Files(vec![room.path("in")])
}

#[tokio::test]
async fn a_folder_with_all_kinds_of_things() {
    let room = Room::new();
    room.write("in/b.txt", "hello world");
    room.write("in/a/empty", "");
    room.write("in/a/binary", [0xff, 0xfe, 0x00, 0x01, 0x02]);
    room.write("in/quo\"te \u{fc}.txt", "x");
    let sparse = File::create(room.path("in/sparse")).unwrap();
    sparse.set_len(20_000_000_000).unwrap();
    (&sparse).write_all(b"head").unwrap();
    std::fs::create_dir(room.path("in/nothing")).unwrap();
    #[cfg(unix)]
    {
        use std::os::unix::fs::symlink;
        use std::os::unix::net::UnixListener;
        symlink("nowhere", room.path("in/dangling")).unwrap();
        symlink("b.txt", room.path("in/link")).unwrap();
        symlink("..", room.path("in/up")).unwrap();
        room.fifo("in/fifo");
        UnixListener::bind(room.path("in/socket")).unwrap();
    }
    let summary = room
        .run(echo_files(), folder(&room), files_config())
        .await
        .unwrap();
    golden("folder.jsonl", &room.predictions());
    golden("folder.dead.jsonl", &room.dead_letters());
    assert_eq!((summary.predictions, summary.failures.total()), (6, 3));
    assert_eq!(summary.links_skipped, 1);
    assert_eq!(summary.ended, Ended::Complete);
    assert_eq!((summary.unread, summary.unwritten), (Some(0), 0));
    let failures: Vec<_> = summary.failures.iter().collect();
    assert_eq!(failures, [(StageKind::Read, FailureKind::Unreadable, 3)]);
}

#[tokio::test]
async fn roots_that_are_gone_or_devices_are_dead_letters() {
    let room = Room::new();
    let file = room.write("file", "x");
    let roots = vec![room.path("gone"), "/dev/zero".into(), file];
    let summary = room
        .run(echo_files(), Source::Files(roots), files_config())
        .await
        .unwrap();
    assert_eq!((summary.predictions, summary.failures.total()), (1, 2));
    let dead = room.dead_letters();
    assert!(
        dead[0].contains("\"key\": \"gone\"") && dead[0].contains("No such file"),
        "{dead:?}"
    );
    assert!(dead[1].contains("it is a device"), "{dead:?}");
}

#[tokio::test]
async fn outputs_inside_the_input_are_left_out() {
    let room = Room::new();
    for index in 0..100 {
        room.write(&format!("f{index}"), "x");
    }
    // Left from an earlier run.
    room.write("out.jsonl", "old\n");
    let source = Source::Files(vec![room.dir.path().to_owned()]);
    let summary = room
        .run(echo_files(), source, files_config())
        .await
        .unwrap();
    assert_eq!((summary.predictions, summary.failures.total()), (100, 0));
    assert_eq!(room.predictions().len(), 100);
}

#[tokio::test]
async fn an_input_is_never_overwritten() {
    let room = Room::new();
    let input = room.write("out.jsonl", "precious");
    let source = Source::Files(vec![room.path("."), room.path("./out.jsonl")]);
    let error = room
        .run(echo_files(), source, files_config())
        .await
        .unwrap_err();
    assert!(matches!(error, JobError::OutputIsInput { .. }), "{error}");
    let source = Source::Jsonl(Text::File(input.clone()));
    let error = room
        .run(echo_files(), source, files_config())
        .await
        .unwrap_err();
    assert!(matches!(error, JobError::OutputIsInput { .. }), "{error}");
    assert_eq!(std::fs::read(input).unwrap(), b"precious");
}

#[tokio::test]
async fn lists_of_paths() {
    let room = Room::new();
    let a = room.write("a", "1");
    let b = room.write("b\nb", "2");
    let list = [&a, &b, &room.path("gone"), &room.path(".")];
    let list: Vec<u8> = list
        .iter()
        .flat_map(|path| [path.to_str().unwrap(), "\0"].concat().into_bytes())
        .collect();
    let source = Source::Paths {
        text: Text::Reader("a list".into(), Box::new(Cursor::new(list))),
        separator: Separator::Nul,
    };
    let summary = room
        .run(echo_files(), source, files_config())
        .await
        .unwrap();
    assert_eq!((summary.predictions, summary.failures.total()), (2, 2));
    let lines = room.predictions();
    assert!(
        lines[1].starts_with(r#"{"key": "b\nb", "outputs": {"head": "2""#),
        "{lines:?}"
    );
    let dead = room.dead_letters();
    assert!(dead[0].contains("No such file"), "{dead:?}");
    assert!(dead[1].contains("it is a directory"), "{dead:?}");
}

#[tokio::test]
async fn whole_files_within_a_budget_and_a_limit() {
    let room = Room::new();
    for index in 0..50 {
        room.write(&format!("in/{index:02}"), vec![b'x'; index * 100]);
    }
    let bytes_max = 4500;
    let config = Config {
        files: FileTensors::new([("all", Read::All { bytes_max }), ("path", Read::Path)]),
        inflight_bytes_max: 8 << 10,
        ..config()
    };
    let endpoint = echo(vec![
        spec("all", Datatype::Bytes),
        spec("path", Datatype::Bytes),
    ]);
    let summary = room.run(endpoint, folder(&room), config).await.unwrap();
    assert_eq!((summary.predictions, summary.failures.total()), (46, 4));
    assert_eq!(summary.failures.of_kind(FailureKind::TooLarge), 4);
    let lines = room.predictions();
    for (index, line) in lines.iter().enumerate() {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!(line["outputs"]["all"].as_str().unwrap().len(), index * 100);
        assert_eq!(line["outputs"]["path"], line["key"]);
    }
    let dead = room.dead_letters();
    assert!(
        dead[0].contains("has 4600 bytes") && dead[0].contains("at most 4500"),
        "{dead:?}"
    );
}

#[tokio::test]
async fn a_limit_ends_the_walk() {
    let room = Room::new();
    for index in 0..100 {
        room.write(&format!("in/{index:02}"), "x");
    }
    let config = Config {
        limit: Some(21),
        ..files_config()
    };
    let summary = room.run(echo_files(), folder(&room), config).await.unwrap();
    assert_eq!((summary.predictions, summary.ended), (21, Ended::Complete));
    assert!(room.predictions()[20].starts_with("{\"key\": \"in/20\""));
}

#[tokio::test]
async fn an_endpoint_that_takes_no_files_is_refused_at_once() {
    let room = Room::new();
    let run = room.run(echo_files(), folder(&room), config()).await;
    let error = run.unwrap_err().to_string();
    assert!(
        error.contains("add [ensemble.fake.files] to the manifest"),
        "{error}"
    );
    let other = echo(vec![spec("text", Datatype::Bytes)]);
    let error = room
        .run(other, folder(&room), files_config())
        .await
        .unwrap_err()
        .to_string();
    let expected = "the tensors made from a file do not fit \"fake\": tensor \"text\" is missing; \
                    BYTES [1] is expected";
    assert_eq!(error, expected);
    assert!(
        !room.path("out.jsonl").exists(),
        "nothing is created for a job that cannot run"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn no_more_than_the_limit_is_in_flight() {
    let room = Room::new();
    for index in 0..200 {
        room.write(&format!("in/{index:03}"), "x");
    }
    for ordered in [false, true] {
        let config = Config {
            inflight_max: 12,
            ordered,
            ..files_config()
        };
        let endpoint = std::sync::Arc::new(echo_files());
        let never = std::future::pending();
        let outputs = room.outputs();
        let run = consort_job::run(endpoint.clone(), folder(&room), outputs, config, never);
        assert_eq!(run.await.unwrap().predictions, 200);
        let inside_max = endpoint.inside_max.load(Ordering::SeqCst);
        assert!((1..=12).contains(&inside_max), "{inside_max}");
    }
}
