//! What the log says of refusals: enough to find them, nothing of what was sent.

use crate::client::{LENGTH, Server};
use std::fmt::{Debug, Write};
use std::sync::{Mutex, PoisonError};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

/// Every line that the server logs in this process.
static LINES: Mutex<String> = Mutex::new(String::new());

struct Collect;
struct Line(String);

impl Subscriber for Collect {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("consort")
    }
    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }
    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn event(&self, event: &Event<'_>) {
        let mut line = Line(event.metadata().level().to_string());
        event.record(&mut line);
        let mut lines = LINES.lock().unwrap_or_else(PoisonError::into_inner);
        writeln!(lines, "{}", line.0).unwrap();
    }
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        write!(self.0, " {}={value:?}", field.name()).unwrap();
    }
}

#[tokio::test]
async fn refusals_are_logged_without_their_content() {
    tracing::subscriber::set_global_default(Collect).unwrap();
    let server = Server::start().await;
    let secret = "s3cret";
    let fail = r#"{"id": "s3cret", "inputs": [{"name": "x", "datatype": "INT32", "shape": [1, 1], "data": [4]}]}"#;
    let mut replies = vec![
        ("add_one", 400, server.infer("add_one", r#"{"s3cret": s3cret}"#).await),
        ("add_one", 400, server.infer("add_one", r#"{"inputs": [{"name": "s3cret"}]}"#).await),
        (
            "add_one",
            400,
            server
                .infer(
                    "add_one",
                    r#"{"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 4], "data": ["s3cret"]}]}"#,
                )
                .await,
        ),
        ("_unknown", 404, server.infer(secret, "{}").await),
        ("fail", 500, server.infer("fail", fail).await),
    ];
    let path = "/v2/models/add_one/infer";
    replies.push((
        "add_one",
        400,
        server.post(path, &[(LENGTH, secret)], "{}").await,
    ));
    replies.push(("_none", 404, server.get("/s3cret").await));
    let lines = LINES.lock().unwrap().clone();
    for (endpoint, status, reply) in replies {
        assert_eq!(reply.status, status, "{}", reply.text());
        let id = format!("request_id={}", reply.header("consort-request-id"));
        let line = lines.lines().find(|line| line.contains(&id));
        let line = line.unwrap_or_else(|| panic!("{id} is not in\n{lines}"));
        assert!(
            line.contains(&format!("endpoint={endpoint:?} status={status}")),
            "{line}"
        );
        assert_eq!(line.starts_with("WARN"), status >= 500, "{line}");
        assert!(!line.contains(secret), "{line}");
    }
    // The failure of a model is told whole.
    assert!(
        lines.contains("preprocess \\\"picky\\\": model_failed: it cannot be"),
        "{lines}"
    );
}
