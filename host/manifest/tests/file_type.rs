//! The manifest of the file-type example gives exactly these values.

use std::path::Path;

use consort_manifest::{
    AutoOr, Batching, ExecutionProvider, FileRead, Instances, Located, ModelRuntime, Named,
    Optimization, Problem, Problems, StepRuns, parse,
};

const TEXT: &str = include_str!("valid/file-type.toml");

fn values<T: Copy>(located: &[Located<T>]) -> Vec<T> {
    located.iter().map(|item| item.value).collect()
}

fn pairs(named: &[Named<std::path::PathBuf>]) -> Vec<(&str, &Path)> {
    let pairs = named.iter();
    pairs
        .map(|asset| (asset.name.as_str(), asset.value.as_path()))
        .collect()
}

#[test]
fn the_model() {
    let manifest = parse("consort.toml", TEXT).unwrap();
    let [model] = manifest.models.as_slice() else {
        panic!("one model");
    };
    assert_eq!(*model.name, "magika");
    assert_eq!(*model.runtime, ModelRuntime::Onnx);
    let path = model.path.as_ref().map(|path| path.as_path());
    assert_eq!(path, Some(Path::new("model/model.onnx")));
    let sha256 = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";
    assert_eq!(
        model.sha256.as_ref().map(|sha256| sha256.as_str()),
        Some(sha256)
    );
    assert_eq!(*model.version, "standard_v3_3");
    assert_eq!(
        (*model.replicas, *model.threads),
        (AutoOr::Fixed(2), AutoOr::Fixed(1))
    );
    let size = model.max_batch_size.as_ref().unwrap();
    assert!(size.value == 1 && size.given);
    // What is not written has its default, and says so.
    assert_eq!(*model.optimization, Optimization::All);
    assert_eq!(values(&model.providers), [ExecutionProvider::Cpu]);
    assert_eq!((*model.device_id, *model.fallback), (0, false));
    assert_eq!(*model.batching, Batching::On);
    assert_eq!(model.max_queue_delay_us, None);
    assert_eq!(*model.max_queue_size, 4096);
    assert_eq!(*model.max_queue_bytes, 256 << 20);
    assert_eq!(model.max_tenant_queue_size, None);
    assert_eq!(model.timeout_ms, None);
    assert!(!model.providers.given && !model.max_queue_size.given);
    assert_eq!(
        manifest.model("magika").map(|model| &model.name),
        Some(&model.name)
    );
    assert!(manifest.model("features").is_none());
}

#[test]
fn the_plugins() {
    let manifest = parse("consort.toml", TEXT).unwrap();
    let names: Vec<_> = manifest
        .plugins
        .iter()
        .map(|plugin| plugin.name.as_str())
        .collect();
    assert_eq!(names, ["features", "labels"]);
    let labels = manifest.plugin("labels").unwrap();
    assert_eq!(
        labels.path.value,
        Path::new("components/file_type_labels.wasm")
    );
    assert_eq!(
        pairs(&labels.assets),
        [
            ("config.json", Path::new("model/config.min.json")),
            (
                "content_types.json",
                Path::new("model/content_types_kb.min.json")
            ),
        ]
    );
    assert_eq!(*labels.version, "1");
    assert_eq!(labels.sha256, None);
    assert_eq!(labels.config, None);
    assert_eq!(*labels.instances, Instances::Fresh);
    assert!(labels.capabilities.is_empty());
    assert_eq!(*labels.limits.memory_bytes_max, 256 << 20);
    assert_eq!(*labels.limits.call_time_ms_max, 10_000);
}

#[test]
fn the_ensemble() {
    let manifest = parse("consort.toml", TEXT).unwrap();
    let ensemble = manifest.ensemble("file-type").unwrap();
    assert_eq!(manifest.ensembles.len(), 1);
    let steps: Vec<_> = ensemble
        .steps()
        .iter()
        .map(|step| {
            assert!(step.inputs.is_empty() && step.outputs.is_empty());
            let runs = match &step.runs {
                StepRuns::Plugin { plugin, role: None } => ("plugin", plugin.as_str()),
                StepRuns::Model(model) => ("model", model.as_str()),
                other => panic!("{other:?}"),
            };
            (step.name.as_str(), runs)
        })
        .collect();
    assert_eq!(
        steps,
        [
            ("features", ("plugin", "features")),
            ("magika", ("model", "magika")),
            ("labels", ("plugin", "labels")),
        ]
    );
    let files: Vec<_> = ensemble
        .files
        .iter()
        .map(|file| (file.tensor.as_str(), file.read))
        .collect();
    assert_eq!(
        files,
        [
            ("head", FileRead::Head { bytes: 4096 }),
            ("tail", FileRead::Tail { bytes: 4096 }),
            ("size", FileRead::Size),
        ]
    );
    assert_eq!(ensemble.timeout_ms, None);
}

#[test]
fn the_host() {
    let manifest = parse("consort.toml", TEXT).unwrap();
    assert_eq!(manifest.server.listen.to_string(), "127.0.0.1:8000");
    assert!(manifest.server.listen.given);
    assert_eq!(*manifest.server.body_bytes_max, 64 << 20);
    assert_eq!(*manifest.server.drain_timeout_ms, 30_000);
    assert_eq!(*manifest.job.inflight_max, 512);
    assert_eq!(manifest.cache.dir, None);
}

#[test]
fn later_problems_point_into_the_text() {
    let manifest = parse("consort.toml", TEXT).unwrap();
    let path = manifest.model("magika").unwrap().path.as_ref().unwrap();
    assert_eq!(manifest.source.at(path.place), "consort.toml:5:8");
    assert_eq!(manifest.source.slice(path.place), "\"model/model.onnx\"");
    let step = manifest.ensembles[0].steps()[1].place;
    let problems = Problems::new(
        manifest.source.clone(),
        vec![
            Problem::new(step, "the tensors do not fit", "rename one"),
            Problem::new(path.place, "there is no such file", "run the set-up"),
        ],
    );
    assert_eq!(
        problems.to_string(),
        "\
error: there is no such file
 --> consort.toml:5:8
  |
5 | path = \"model/model.onnx\"
  |        ^^^^^^^^^^^^^^^^^^ help: run the set-up

error: the tensors do not fit
  --> consort.toml:22:1
   |
22 | [[ensemble.file-type.step]]
   | ^^^^^^^^^^^^^^^^^^^^^^^^^^^ help: rename one

consort.toml: 2 problems"
    );
}
