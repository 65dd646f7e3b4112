//! Everything that is to be measured is there, by its name: in the figures of a run and in
//! `/metrics`.

use consort_tests::server::Server;
use consort_tests::{consort, onnx, run};
use serde_json::{Value, json};
use std::fs;

/// Beam's distributions, by Beam's names.
const BEAM_DISTRIBUTIONS: [&str; 7] = [
    "inference_request_batch_size",
    "inference_request_batch_byte_size",
    "inference_batch_latency_micro_secs",
    "model_byte_size",
    "load_model_latency_milli_secs",
    "BatchElements/batch_size",
    "BatchElements/msec_per_batch",
];

/// What else is measured, by its name in `/metrics`. Padding waste is not among them: it is
/// only there where examples of unequal shapes share a batch, and the room that batches tests
/// it.
const FAMILIES: [(&str, &str); 15] = [
    ("queue wait", "consort_queue_wait_seconds"),
    ("batch fill", "consort_batch_fill_ratio"),
    ("latency of each step", "consort_step_duration_seconds"),
    (
        "latency from end to end",
        "consort_inference_duration_seconds",
    ),
    ("error of the cost model", "consort_cost_model_error_ratio"),
    ("replicas", "consort_replicas"),
    ("busy replicas", "consort_replicas_busy"),
    ("bytes loaded", "consort_models_loaded_bytes"),
    ("evictions", "consort_model_evictions"),
    ("updates", "consort_model_updates"),
    ("throttling", "cumulativeThrottlingSeconds"),
    ("predictions", "num_inferences"),
    ("sizes of batches", "inference_request_batch_size"),
    ("Beam's batches", "batch_elements_batch_size"),
    ("Beam's times", "batch_elements_msec_per_batch"),
];

#[test]
fn every_figure_has_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    fs::write(path("add.onnx"), onnx::plus(1.0)).unwrap();
    fs::write(path("two.onnx"), onnx::plus(2.0)).unwrap();
    let fast = "replicas = 1\nthreads = 1\n";
    let add = format!("[model.add]\npath = \"add.onnx\"\n{fast}");
    fs::write(path("near.toml"), format!("consort = 1\n{add}")).unwrap();
    let near = Server::start(&path("near.toml"));
    let url = format!("http://{}", near.address);
    let far = format!(
        "[model.far]\nruntime = \"remote\"\nurl = \"{url}\"\nremote_name = \"add\"\nreplicas = 1\n"
    );
    let steps = "[[ensemble.both.step]]\nmodel = \"add\"\noutputs = { y = \"middle\" }\n\
                 [[ensemble.both.step]]\nmodel = \"far\"\ninputs = { x = \"middle\" }\n\
                 [server]\nadmin = true\n";
    fs::write(
        path("consort.toml"),
        format!("consort = 1\n{add}{far}{steps}"),
    )
    .unwrap();
    let rows: Vec<String> = (0..200)
        .map(|row| json!({"key": row, "x": row}).to_string())
        .collect();
    fs::write(path("rows.jsonl"), rows.join("\n")).unwrap();
    let update = json!({"model": "add", "path": path("two.onnx"), "after": 100});
    fs::write(path("updates.jsonl"), update.to_string()).unwrap();
    let mut command = consort();
    command.current_dir(folder.path());
    command.args(["run", "consort.toml", "--input", "rows.jsonl"]);
    command.args(["--output", "out.jsonl", "--ensemble", "both"]);
    let ran = run(command.args(["--updates", "updates.jsonl", "--metrics", "metrics.json"]));
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    let figures: Value = serde_json::from_slice(&fs::read(path("metrics.json")).unwrap()).unwrap();

    let counters = &figures["counters"];
    assert_eq!(counters["num_inferences"], 200, "{counters}");
    assert_eq!(counters["failed_batches_counter"], 0, "{counters}");
    assert_eq!(counters["model_updates"], 1, "{counters}");
    let distributions = &figures["distributions"];
    for name in BEAM_DISTRIBUTIONS {
        let distribution = &distributions[name];
        let part = |part: &str| {
            distribution[part]
                .as_u64()
                .unwrap_or_else(|| panic!("{name}: {distribution}"))
        };
        assert!(part("count") > 0, "{name}: {distribution}");
        assert!(
            part("min") <= part("max") && part("max") <= part("sum"),
            "{name}: {distribution}"
        );
    }
    // Both models predicted on all rows.
    assert_eq!(distributions["inference_request_batch_size"]["sum"], 400);
    assert_eq!(
        distributions["inference_request_batch_byte_size"]["sum"],
        400 * 4
    );
    assert_eq!(distributions["end_to_end_latency_micro_secs"]["count"], 200);
    let families = &figures["families"];
    for (what, name) in FAMILIES {
        let series = families[name].as_array();
        assert!(
            series.is_some_and(|series| !series.is_empty()),
            "{what}: no {name}"
        );
    }
    assert!(
        families["consort_models_loaded_bytes"][0]["value"]
            .as_u64()
            .unwrap()
            > 0
    );
    let updates = &families["consort_model_updates"][0];
    assert_eq!(updates["labels"]["result"], "ok", "{updates}");

    let server = Server::start(&path("consort.toml"));
    let body = json!({"inputs": [
        {"name": "x", "datatype": "FP32", "shape": [2, 1], "data": [1, 2]}
    ]});
    let response = server.post("/v2/models/both/infer", &body.to_string());
    assert_eq!(response.status, 200, "{}", response.text());
    fs::rename(path("two.onnx"), path("add.onnx")).unwrap();
    let response = server.post("/v2/repository/models/add/load", "");
    assert_eq!(response.status, 200, "{}", response.text());
    let metrics = server.get("/metrics").text();
    for (what, name) in FAMILIES {
        assert!(
            metrics.contains(&format!("# TYPE {name} ")),
            "{what}: no {name}\n{metrics}"
        );
    }
}
