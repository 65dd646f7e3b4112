use super::chrome::json;
use super::svg::draw;
use super::{Recorder, Title};
use consort_inference::{
    BoxFuture, Call, Endpoint, Example, Failure, Prediction, Signature, Span, Trace,
};
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

const TITLE: Title<'_> = Title {
    endpoint: "search",
    number: 3,
    left_out: 0,
};

/// Two steps at once, one with a wait inside, and one that was abandoned.
fn spans() -> Vec<Span> {
    let begin = Instant::now().into_std();
    let at = |ms| begin + Duration::from_millis(ms);
    let trace = Trace::default();
    let root = trace.enter("search", "request", at(0));
    let model = root.enter("bert", "model", at(1));
    let other = root.enter("shadow & co", "plugin", at(2));
    model.span("the queue", "queue", at(1), at(4), "2 examples");
    other.leave(at(5), "");
    model.leave(at(9), "2 examples");
    let _abandoned = root.enter("late", "model", at(9));
    root.leave(at(10), "2 examples");
    trace.spans()
}

fn event<'a>(json: &'a Value, name: &str) -> &'a Value {
    let events = json["traceEvents"].as_array().unwrap();
    events.iter().find(|event| event["name"] == name).unwrap()
}

#[test]
fn chromes_form_has_microseconds_since_the_begin_and_lanes_of_their_own() {
    let json = json(&TITLE, &spans());
    let model = event(&json, "bert");
    assert_eq!((&model["ts"], &model["dur"]), (&1e3.into(), &8e3.into()));
    assert_eq!(
        (&model["ph"], &model["cat"]),
        (&"X".into(), &"model".into())
    );
    // What overlaps without lying inside stands in another lane, what lies inside does not.
    assert_eq!(event(&json, "the queue")["tid"], model["tid"]);
    assert_ne!(event(&json, "shadow & co")["tid"], model["tid"]);
    let late = event(&json, "late");
    assert_eq!(late["args"]["abandoned"], true);
    assert_eq!(late["dur"], 1e3);
}

#[test]
fn the_picture_is_well_formed_and_shows_each_span_once() {
    let picture = draw(&TITLE, &spans());
    assert_eq!(picture.matches("<rect x=").count(), 5);
    assert!(picture.contains("search call 3: 10.00 ms"), "{picture}");
    assert!(picture.contains("shadow &amp; co"), "{picture}");
    assert!(picture.contains("1.00 ms, abandoned"), "{picture}");
    assert_eq!(
        picture.matches("<g>").count(),
        picture.matches("</g>").count()
    );
}

/// Says how often a call was traced.
struct Counts(Signature);

impl Endpoint for Counts {
    fn name(&self) -> &str {
        "counts"
    }
    fn version(&self) -> &str {
        "1"
    }
    fn platform(&self) -> &str {
        "test"
    }
    fn signature(&self) -> &Signature {
        &self.0
    }
    fn is_ready(&self) -> bool {
        true
    }
    fn infer(
        &self,
        _: Vec<Example>,
        call: Call,
    ) -> BoxFuture<'_, Vec<Result<Prediction, Failure>>> {
        Box::pin(async move {
            if let Some(trace) = call.trace {
                let now = Instant::now().into_std();
                trace.span("inside", "model", now, now, "");
            }
            Vec::new()
        })
    }
}

#[test]
fn the_first_calls_are_written_and_no_more_even_those_given_up() {
    let folder = tempfile::tempdir().unwrap();
    let recorder = Recorder::new(&folder.path().join("made/for/it"), 2).unwrap();
    let endpoint = Recorder::around(Some(&recorder), Arc::new(Counts(Signature::default())));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    runtime.block_on(async {
        endpoint.infer(Vec::new(), Call::default()).await;
        drop(endpoint.infer(Vec::new(), Call::default()));
        endpoint.infer(Vec::new(), Call::default()).await;
    });
    // Waits for what is written.
    drop(runtime);
    let mut names: Vec<String> = std::fs::read_dir(folder.path().join("made/for/it"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    let expected = [
        "counts-000001.json",
        "counts-000001.svg",
        "counts-000002.json",
        "counts-000002.svg",
    ];
    assert_eq!(names, expected);
    let read = |name: &str| {
        let text = std::fs::read(folder.path().join("made/for/it").join(name)).unwrap();
        serde_json::from_slice::<Value>(&text).unwrap()
    };
    let count = |json: &Value| json["traceEvents"].as_array().unwrap().len();
    assert_eq!(count(&read("counts-000001.json")), 2);
    assert_eq!(count(&read("counts-000002.json")), 1);
}
