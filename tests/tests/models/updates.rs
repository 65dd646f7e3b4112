//! Models whose files change while they are used: by one file and by a folder of versions,
//! over HTTP and under load.

use consort_tests::place::{Place, infer, metric, numbers};
use consort_tests::{http, onnx, until};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

const CALLERS: usize = 4;

fn updates(server: &consort_tests::server::Server, result: &str) -> f64 {
    let labels = format!("{{model=\"m\",result=\"{result}\"}}");
    metric(server, &format!("consort_model_updates_total{labels}"))
}

/// Callers that ask again and again until they are told to stop. Each answer must be right
/// and say which version made it: the number that was added belongs to one version alone.
struct Load {
    stop: Arc<AtomicBool>,
    callers: Vec<JoinHandle<BTreeMap<String, BTreeSet<i64>>>>,
}

impl Load {
    fn start(address: SocketAddr) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let caller = |caller: usize| {
            let stop = stop.clone();
            std::thread::spawn(move || {
                let mut made = BTreeMap::<String, BTreeSet<i64>>::new();
                let rows = vec![0.0; 1 + caller];
                let body = numbers("x", &rows).to_string();
                while !stop.load(Ordering::SeqCst) {
                    let path = "/v2/models/m/infer";
                    let response = http::request(address, "POST", path, &[], body.as_bytes());
                    let response = response.expect("every request is answered");
                    assert_eq!(response.status, 200, "{}", response.text());
                    let body = response.json();
                    let data = body["outputs"][0]["data"].as_array().unwrap().clone();
                    assert_eq!(data.len(), rows.len(), "{body}");
                    let version = body["model_version"].as_str().unwrap().to_owned();
                    let added = data.iter().map(|number| number.as_f64().unwrap() as i64);
                    made.entry(version).or_default().extend(added);
                }
                made
            })
        };
        let callers = (0..CALLERS).map(caller).collect();
        Self { stop, callers }
    }

    /// What each version added, by all callers.
    fn end(self) -> BTreeMap<String, BTreeSet<i64>> {
        self.stop.store(true, Ordering::SeqCst);
        let mut made = BTreeMap::<String, BTreeSet<i64>>::new();
        for caller in self.callers {
            for (version, added) in caller.join().unwrap() {
                made.entry(version).or_default().extend(added);
            }
        }
        made
    }
}

#[test]
fn fifty_versions_in_a_folder_at_load_lose_nothing() {
    const UPDATES: usize = 50;
    let keys = "path = \"versions\"\nversions = \"latest\"\nwatch = true\nwatch_interval_ms = 10\n\
                replicas = 1\nthreads = 1\n";
    let place = Place::new(&format!("[model.m]\n{keys}"));
    place.write("versions/1.onnx", &onnx::plus(1.0));
    let server = place.serve();
    let load = Load::start(server.address);
    for number in 2..=1 + UPDATES {
        place.replace(
            &format!("versions/{number}.onnx"),
            &onnx::plus(number as f32),
        );
        let version = number.to_string();
        until(|| infer(&server, "m", &numbers("x", &[0.0])).1["model_version"] == *version);
    }
    let made = load.end();
    for (version, added) in &made {
        // Each prediction says its version: what was added is the version's number.
        let number: i64 = version.parse().unwrap();
        assert_eq!(*added, BTreeSet::from([number]), "by version {version}");
    }
    assert!(
        made.len() > 2,
        "the load saw the updates: {:?}",
        made.keys()
    );
    assert_eq!(updates(&server, "ok"), UPDATES as f64);
    assert_eq!(updates(&server, "failed"), 0.0);
    let ended = server.terminate();
    assert_eq!(ended.status, 0, "{}", ended.stderr);
}

#[test]
fn a_broken_file_keeps_the_old_one_and_says_why() {
    let keys =
        "path = \"m.onnx\"\nwatch = true\nwatch_interval_ms = 10\nreplicas = 1\nthreads = 1\n";
    let place = Place::new(&format!("[model.m]\n{keys}"));
    place.write("m.onnx", &onnx::plus(1.0));
    let server = place.serve();
    let load = Load::start(server.address);
    let answer = || infer(&server, "m", &numbers("x", &[0.0])).1;
    let added = || answer()["outputs"][0]["data"][0].as_f64();
    let first = answer()["model_version"].clone();
    assert_eq!(added(), Some(1.0));

    // Half of a model; another model's shape; and a good one in the end.
    let whole = onnx::plus(2.0);
    place.replace("m.onnx", &whole[..whole.len() / 2]);
    until(|| updates(&server, "failed") == 1.0);
    assert_eq!(added(), Some(1.0));
    place.replace("m.onnx", &onnx::tokens());
    until(|| updates(&server, "failed") == 2.0);
    assert_eq!(answer()["model_version"], first);
    assert_eq!(server.get("/v2/models/m/ready").status, 200);
    place.replace("m.onnx", &whole);
    until(|| added() == Some(2.0));
    let second = answer()["model_version"].clone();
    assert_ne!(first, second, "another file is another version");
    assert_eq!(
        (updates(&server, "ok"), updates(&server, "failed")),
        (1.0, 2.0)
    );

    let made = load.end();
    let by = |version: &serde_json::Value| made.get(version.as_str().unwrap());
    assert_eq!(by(&first), Some(&BTreeSet::from([1])));
    assert!(by(&second).is_none_or(|added| *added == BTreeSet::from([2])));
    let log = server.terminate().stderr;
    let told: Vec<&str> = log
        .lines()
        .filter(|line| line.contains("not updated; the old one stays"))
        .collect();
    assert_eq!(told.len(), 2, "{log}");
    assert!(
        told[0].contains("model=\"m\"") && told[0].contains("truncated"),
        "{}",
        told[0]
    );
    assert!(told[1].contains("it has no input \"x\""), "{}", told[1]);
}

#[test]
fn all_versions_or_some_are_served_beside_one_another() {
    let place = |versions: &str| {
        let keys = format!("path = \"versions\"\nversions = {versions}\n");
        let place = Place::new(&format!("[model.m]\n{keys}replicas = 1\nthreads = 1\n"));
        for number in [1, 2, 10] {
            place.write(
                &format!("versions/{number}/model.onnx"),
                &onnx::plus(number as f32),
            );
        }
        place
    };
    let at = |server: &consort_tests::server::Server, version: &str| {
        let path = format!("/v2/models/m/versions/{version}/infer");
        let body = numbers("x", &[0.0]).to_string();
        let response = server.request("POST", &path, &[], body.as_bytes());
        (
            response.status,
            response.json()["outputs"][0]["data"][0].as_f64(),
        )
    };
    let all = place("\"all\"\nwatch = true\nwatch_interval_ms = 10");
    let server = all.serve();
    assert_eq!(
        server.get("/v2/models/m").json()["versions"],
        json!(["1", "2", "10"])
    );
    for number in [1, 2, 10] {
        assert_eq!(
            at(&server, &number.to_string()),
            (200, Some(f64::from(number)))
        );
    }
    assert_eq!(at(&server, "3").0, 404);
    // The highest answers where no version is named; a new one joins, and one may go.
    assert_eq!(
        infer(&server, "m", &numbers("x", &[0.0])).1["model_version"],
        "10"
    );
    all.write("versions/11/model.onnx", &onnx::plus(11.0));
    until(|| at(&server, "11") == (200, Some(11.0)));
    std::fs::remove_dir_all(all.path().join("versions/1")).unwrap();
    until(|| at(&server, "1").0 == 404);

    let some = place("[\"2\", \"1\"]");
    let server = some.serve();
    assert_eq!(at(&server, "1"), (200, Some(1.0)));
    assert_eq!(at(&server, "10").0, 404);
    assert_eq!(
        infer(&server, "m", &numbers("x", &[0.0])).1["model_version"],
        "2"
    );
}
