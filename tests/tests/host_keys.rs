//! What the keys for the host itself do: devices, the sandbox's grain and stack, streams of a
//! connection, the patience of jobs.

use consort_tests::place::{Place, infer};
use consort_tests::{guest, onnx, run};
use serde_json::{Value, json};
use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;
use tokio::time::Instant;

/// The guest as a plugin of its own name with these limits, and an ensemble `e` of it.
fn plugin(name: &str, limits: &str) -> String {
    let plugin = format!("[plugin.{name}]\npath = {:?}\n", guest(name));
    let step = format!("[[ensemble.e.step]]\nplugin = \"{name}\"\nrole = \"postprocess\"\n");
    format!("{plugin}limits = {{ {limits} }}\n{step}")
}

fn line(x: i64) -> Value {
    json!({"key": format!("n{x}"), "inputs": {"x": x}})
}

#[test]
fn a_device_number_is_asked_for() {
    let mut asked = 0;
    for provider in ["cuda", "tensorrt", "directml"] {
        let place = Place::new(&format!(
            "[model.m]\npath = \"m.onnx\"\nproviders = [{provider:?}]\ndevice_id = 250\n"
        ));
        place.write("m.onnx", &onnx::plus(1.0));
        let ran = run(&mut place.command("check"));
        // Nobody has so many devices, whatever the build of ONNX Runtime has.
        assert_eq!(ran.status, 2, "{}", ran.stderr);
        asked += usize::from(ran.stderr.contains(&format!("{provider}:250")));
    }
    assert!(asked > 0);
}

#[test]
fn a_step_tells_its_arguments() {
    let text = |args: &str| {
        let passes = |name: &str| {
            format!("[[ensemble.{name}.step]]\nplugin = \"identity\"\nrole = \"postprocess\"\n")
        };
        format!(
            "[plugin.identity]\npath = {:?}\n{}{}\
             [plugin.code]\npath = {:?}\nconfig = \"adds both\"\nmodels = [\"a\", \"b\"]\n\
             [[ensemble.e.step]]\nplugin = \"code\"\n{args}",
            guest("identity"),
            passes("a"),
            passes("b"),
            guest("code_ensemble"),
        )
    };
    let x = |args: &str| {
        let (predicted, dead) = Place::new(&text(args)).predicted("e", &[line(3)]);
        assert!(dead.is_empty(), "{dead:?}");
        predicted[0]["outputs"]["x"].clone()
    };
    assert_eq!(x(""), 6);
    assert_eq!(x("args = { what = \"passes on\" }\n"), 3);
}

#[test]
fn arms_are_told_that_an_ensemble_in_code_took() {
    let step = "role = \"postprocess\"\n";
    let place = Place::new(&format!(
        "[plugin.identity]\npath = {:?}\n\
         [[ensemble.left.step]]\nplugin = \"identity\"\n{step}\
         [[ensemble.right.step]]\nplugin = \"identity\"\n{step}\
         [[ensemble.a.step]]\nname = \"way\"\nsplit = {{ left = 1, right = 1 }}\n\
         sticky = \"key\"\n\
         [plugin.code]\npath = {:?}\nconfig = \"passes on\"\nmodels = [\"a\"]\n\
         [[ensemble.e.step]]\nplugin = \"code\"\n",
        guest("identity"),
        guest("code_ensemble"),
    ));
    let lines: Vec<_> = (0..40).map(line).collect();
    let arms = |ensemble: &str| {
        let (mut predicted, dead) = place.predicted(ensemble, &lines);
        assert!(dead.is_empty(), "{dead:?}");
        predicted.sort_by_key(|line| line["key"].to_string());
        let arms = predicted.iter().map(|line| line["arms"]["way"].clone());
        arms.collect::<Vec<_>>()
    };
    let direct = arms("a");
    assert!(
        direct.contains(&"left".into()) && direct.contains(&"right".into()),
        "{direct:?}"
    );
    assert_eq!(arms("e"), direct);
}

/// The `SETTINGS_MAX_CONCURRENT_STREAMS` that a server begins a connection with.
fn streams_max(address: SocketAddr) -> u32 {
    const SETTINGS: u8 = 4;
    const MAX_CONCURRENT_STREAMS: u16 = 3;
    let mut stream = TcpStream::connect(address).unwrap();
    let empty_settings = [0, 0, 0, SETTINGS, 0, 0, 0, 0, 0];
    stream
        .write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        .unwrap();
    stream.write_all(&empty_settings).unwrap();
    let mut head = [0; 9];
    stream.read_exact(&mut head).unwrap();
    assert_eq!(head[3], SETTINGS);
    let mut settings = vec![0; usize::from(head[1]) << 8 | usize::from(head[2])];
    stream.read_exact(&mut settings).unwrap();
    let of = |setting: &[u8]| u16::from_be_bytes([setting[0], setting[1]]);
    let mut settings = settings.chunks(6);
    let found = settings.find(|setting| of(setting) == MAX_CONCURRENT_STREAMS);
    u32::from_be_bytes(found.unwrap()[2..].try_into().unwrap())
}

#[test]
fn streams_of_a_connection_are_bounded() {
    let place = |keys: &str| Place::new(&format!("{keys}{}", plugin("identity", ""))).serve();
    assert_eq!(streams_max(place("").address), 256);
    let place = place("[server]\nstreams_max = 7\n");
    assert_eq!(streams_max(place.address), 7);
}

#[test]
fn recursion_is_as_deep_as_the_stack_allows() {
    let deep = |stack: &str| {
        let sandbox = format!("[sandbox]\nstack_bytes_max = {stack:?}\n");
        let place = Place::new(&format!("{sandbox}{}", plugin("recurse_forever", "")));
        place.predicted("e", &[line(10_000)])
    };
    let (predicted, dead) = deep("64 MiB");
    assert!(dead.is_empty(), "{dead:?}");
    assert_eq!(predicted[0]["outputs"]["x"], 10_000);
    let (predicted, dead) = deep("64 KiB");
    assert!(predicted.is_empty(), "{predicted:?}");
    assert_eq!(dead[0]["error"]["kind"], "plugin_trapped");
    let message = dead[0]["error"]["message"].as_str().unwrap();
    assert!(message.contains("stack_bytes_max"), "{message}");
}

#[test]
fn plugins_are_looked_at_once_a_tick() {
    let text = plugin("loop_forever", "call_time_ms_max = 1");
    let server = Place::new(&format!("[sandbox]\nepoch_tick_ms = 1000\n{text}")).serve();
    let body =
        json!({"inputs": [{"name": "x", "datatype": "INT64", "shape": [1, 1], "data": [13]}]});
    let asked = Instant::now();
    let (status, body) = infer(&server, "e", &body);
    assert_eq!(status, 500, "{body}");
    let error = body["error"].as_str().unwrap();
    assert!(error.contains("call_time_ms_max"), "{error}");
    // A millisecond is over when the second tick comes, and not before.
    let took = asked.elapsed();
    assert!(took > Duration::from_millis(800), "{took:?}");
}

#[test]
fn an_example_of_a_job_has_its_time() {
    // Without the key the plugin would sleep for an hour.
    let place = Place::new(&format!(
        "[job]\ncall_timeout_ms = 100\n{}",
        plugin("sleep_forever", "wall_time_ms_max = 3600000")
    ));
    let (predicted, dead) = place.predicted("e", &[line(13)]);
    assert!(predicted.is_empty(), "{predicted:?}");
    assert_eq!(dead[0]["error"]["kind"], "deadline_exceeded", "{dead:?}");
}

/// A server of the protocol that is never ready to infer; it counts who asks.
fn never_ready() -> (SocketAddr, std::sync::mpsc::Receiver<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (asked, count) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut request = vec![0; 1 << 16];
            let length = stream.read(&mut request).unwrap_or_default();
            let request = String::from_utf8_lossy(&request[..length]).into_owned();
            let tensor = |name: &str| json!([{"name": name, "datatype": "FP32", "shape": [-1, 1]}]);
            let (status, body) = match request.starts_with("POST") {
                true => ("503 Service Unavailable", json!({"error": "not now"})),
                false => (
                    "200 OK",
                    json!({"name": "far", "versions": ["1"], "platform": "test",
                        "inputs": tensor("x"), "outputs": tensor("y")}),
                ),
            };
            if request.starts_with("POST") {
                let _ = asked.send(());
            }
            let body = body.to_string();
            let length = body.len();
            let head = "content-type: application/json\r\nconnection: close";
            let answer =
                format!("HTTP/1.1 {status}\r\n{head}\r\ncontent-length: {length}\r\n\r\n{body}");
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    (address, count)
}

#[test]
fn what_may_pass_is_tried_again_as_often_as_the_job_says() {
    for retries in [0, 3] {
        let (address, count) = never_ready();
        let place = Place::new(&format!(
            "[job]\nretries_max = {retries}\n[model.far]\nruntime = \"remote\"\n\
             url = \"http://{address}\"\nretries_max = 0\nthrottle_overload_ratio = 1000\n\
             breaker_failures_max = 1000\n"
        ));
        let line = json!({"key": "k", "inputs": {"x": [0.0]}});
        let metrics = ["--metrics", "metrics.json"];
        let (predicted, dead, _) = place.ran("far", &[line], &metrics);
        assert_eq!((predicted.len(), dead.len()), (0, 1));
        assert_eq!(dead[0]["error"]["kind"], "unavailable", "{dead:?}");
        let told = fs::read_to_string(place.path().join("metrics.json")).unwrap();
        let told: Value = serde_json::from_str(&told).unwrap();
        assert_eq!(told["counters"]["retries"], retries, "{}", told["counters"]);
        // Zeros are sent once when the model is warmed up.
        let asked = count.try_iter().count();
        assert!((retries + 1..=retries + 2).contains(&asked), "{asked}");
    }
}
