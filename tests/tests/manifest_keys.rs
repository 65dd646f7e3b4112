//! What the keys of a manifest do, and what is said where they do not go together: through
//! the binary, as whoever wrote the manifest sees it.

use consort_tests::place::Place;
use consort_tests::server::Server;
use consort_tests::{consort, guest, root, run};
use serde_json::{Value, json};
use std::fs;

fn plugin(name: &str) -> String {
    format!("[plugin.{name}]\npath = {:?}\n", guest(name))
}

fn model(name: &str) -> String {
    let path = root().join(format!("host/onnx/fixtures/{name}.onnx"));
    format!("[model.{name}]\npath = {path:?}\n")
}

fn number(x: i64) -> Value {
    json!({"key": format!("n{x}"), "inputs": {"x": x}})
}

fn row(row: usize) -> Vec<f64> {
    let x = |i: usize| ((7 * row + 3 * i) % 16) as f64 / 8.0 - 1.0;
    (0..16).map(x).collect()
}

fn rows() -> Vec<Value> {
    let line = |i: usize| json!({"key": format!("r{i}"), "inputs": {"x": row(i)}});
    (0..5).map(line).collect()
}

fn probabilities(line: &Value) -> Vec<f64> {
    let numbers = line["outputs"]["probabilities"].as_array().unwrap();
    numbers.iter().filter_map(Value::as_f64).collect()
}

fn infer(server: &Server, model: &str, body: &Value) -> (u16, String) {
    let path = format!("/v2/models/{model}/infer");
    let response = server.request("POST", &path, &[], body.to_string().as_bytes());
    (response.status, response.text())
}

fn numbers_request(numbers: &[i64]) -> Value {
    json!({"inputs": [{"name": "x", "datatype": "INT64", "shape": [numbers.len(), 1], "data": numbers}]})
}

// === Steps and names ===

#[test]
fn a_problem_has_a_line_a_column_and_what_to_write() {
    Place::new("[model.a]\npath = \"a.onnx\"\nreplicas = \"two\"\n").refused(&[
        "`model.a.replicas` must be a whole number from 1 to 256, or \"auto\", but is the string \"two\"",
        " --> consort.toml:4:12\n",
        "help: write for example replicas = 2",
        "consort.toml: 1 problem",
    ]);
}

#[test]
fn a_step_asks_for_a_role_that_its_plugin_does_not_play() {
    let step = "[[ensemble.e.step]]\nplugin = \"answers_negatives\"\nrole = \"postprocess\"\n";
    Place::new(&format!("{}{step}", plugin("answers_negatives"))).refused(&[
        "plugin \"answers_negatives\" does not play the role postprocess",
        " --> consort.toml:6:8\n",
        "help: consort inspect shows the roles of a plugin",
    ]);
}

#[test]
fn a_step_must_say_which_of_two_roles() {
    let step = "[[ensemble.e.step]]\nplugin = \"identity\"\n";
    Place::new(&format!("{}{step}", plugin("identity"))).refused(&[
        "plugin \"identity\" plays several roles",
        " --> consort.toml:5:10\n",
        "help: add role = \"preprocess\" or role = \"postprocess\" to this step",
    ]);
}

#[test]
fn names_that_are_given_twice() {
    Place::new("[model.a]\npath = \"a\"\n[model.a]\npath = \"b\"\n")
        .refused(&["the key `a` is given twice", " --> consort.toml:4:8\n"]);
    Place::new(
        "[model.a]\npath = \"a\"\n[ensemble.a]\nversion = \"2\"\n[[ensemble.a.step]]\nmodel = \"a\"\n",
    )
    .refused(&[
        "a model and an ensemble are both called \"a\"",
        "help: rename one of the two; the model is on line 2",
    ]);
    let step = "[[ensemble.e.step]]\nplugin = \"p\"\nrole = \"preprocess\"\n";
    Place::new(&format!("[plugin.p]\npath = \"p\"\n{step}{step}")).refused(&[
        "two steps of this ensemble are called `p`",
        "help: add name = \"...\" to one of them; the other is on line 5",
    ]);
}

#[test]
fn steps_whose_tensors_differ_in_name_datatype_or_rank() {
    let identity = "[[ensemble.e.step]]\nplugin = \"identity\"\nrole = \"preprocess\"\n";
    let step = "[[ensemble.e.step]]\nmodel = \"mlp\"\n";
    let config = "config = \"a b c\"\n";
    let plugins = plugin("identity") + &plugin("mlp") + config;
    let model = model("mlp");
    Place::new(&format!("{model}{plugins}{identity}{step}")).refused(&[
        "step \"mlp\": tensor \"x\" is INT64, FP32 is expected; it comes from step \"identity\"",
        " --> consort.toml:13:9\n",
    ]);
    let renamed = "inputs = { x = \"n\" }\noutputs = { x = \"y\" }\n";
    Place::new(&format!("{model}{plugins}{identity}{renamed}{step}")).refused(&[
        "step \"mlp\": it needs a tensor \"x\" (FP32 [16])",
        "help: the tensors there are: \"n\" (INT64 [1]), \"y\" (INT64 [1])",
    ]);
    // Without a batch axis the model takes a matrix, and the plugin gives a row.
    let row = "[[ensemble.e.step]]\nplugin = \"mlp\"\nname = \"row\"\nrole = \"preprocess\"\n";
    Place::new(&format!("{model}batching = \"off\"\n{plugins}{row}{step}")).refused(&[
        "step \"mlp\": tensor \"x\" has shape [16], [-1, 16] is expected; it comes from step \"row\"",
    ]);
}

#[test]
fn an_answer_that_is_not_what_the_ensemble_answers() {
    let steps = "[[ensemble.e.step]]\nplugin = \"answers_negatives\"\n\
                 [[ensemble.e.step]]\nplugin = \"identity\"\nrole = \"postprocess\"\noutputs = { x = \"y\" }\n";
    let plugins = [plugin("answers_negatives"), plugin("identity")].concat();
    Place::new(&format!("{plugins}{steps}")).refused(&[
        "step \"answers_negatives\": it answers by itself, but without the ensemble's output \"y\" (INT64 [1])",
        "step \"answers_negatives\": it answers with \"x\", which is no output of the ensemble",
        "2 problems",
    ]);
}

#[test]
fn a_plugin_answers_some_examples_and_forwards_others() {
    let steps = "[[ensemble.e.step]]\nplugin = \"answers_negatives\"\n\
                 [[ensemble.e.step]]\nplugin = \"identity\"\nrole = \"postprocess\"\n";
    let plugins = [plugin("answers_negatives"), plugin("identity")].concat();
    let place = Place::new(&format!("{plugins}{steps}"));
    let (predicted, dead) = place.predicted("e", &[-5, 0, 1, 2].map(number));
    assert_eq!(predicted.len(), 2);
    assert_eq!(predicted[0]["outputs"]["x"], -10);
    assert_eq!(predicted[1]["outputs"]["x"], 2);
    let error = |i: usize| (&dead[i]["error"]["kind"], &dead[i]["error"]["message"]);
    assert_eq!(
        error(0),
        (
            &json!("invalid_argument"),
            &json!("zero is not accepted\\u{1b}[31m")
        )
    );
    assert_eq!(
        error(1),
        (&json!("plugin_failed"), &json!("one is too much for me"))
    );
}

// === Models ===

#[test]
fn an_absent_execution_provider_is_an_error_unless_fallback() {
    let place = |keys: &str| Place::new(&format!("{}{keys}", model("mlp")));
    let mut refused = 0;
    for provider in ["cuda", "tensorrt", "openvino", "coreml", "directml"] {
        let asked = place(&format!("providers = [{provider:?}]\n"));
        let ran = run(&mut asked.command("check"));
        // A build of ONNX Runtime may have some of them; none has all.
        if ran.status == 0 {
            continue;
        }
        refused += 1;
        let begin = format!("error: execution provider {provider}");
        for word in [&begin, "CPUExecutionProvider", "fallback = true"] {
            assert!(
                ran.stderr.contains(word),
                "{word:?} is not in:\n{}",
                ran.stderr
            );
        }
        let passed = place(&format!(
            "providers = [{provider:?}, \"cpu\"]\nfallback = true\n"
        ));
        let warning = passed.checked().stderr;
        assert!(
            warning.contains("WARN") && warning.contains(&format!("provider={provider}")),
            "{warning}"
        );
        let (predicted, _) = passed.predicted("mlp", &rows());
        assert_eq!(predicted, place("").predicted("mlp", &rows()).0);
    }
    assert!(refused > 0);
}

#[test]
fn threads_and_optimization_change_no_answer() {
    let usual = Place::new(&model("mlp")).predicted("mlp", &rows()).0;
    for keys in [
        "threads = 2\noptimization = \"none\"",
        "threads = 0\noptimization = \"basic\"\nreplicas = 2",
        "inter_threads = 2\noptimization = \"extended\"\nspinning = true",
        "max_batch_size = 2\nmax_queue_delay_us = 1000\nmemory_pattern = true",
    ] {
        let place = Place::new(&format!("{}{keys}\n", model("mlp")));
        let (predicted, dead) = place.predicted("mlp", &rows());
        assert!(dead.is_empty(), "{keys}: {dead:?}");
        for (line, usual) in predicted.iter().zip(&usual) {
            assert_eq!(line["key"], usual["key"], "{keys}");
            for (x, y) in probabilities(line).iter().zip(probabilities(usual)) {
                assert!((x - y).abs() < 1e-5, "{keys}: {line}, usually {usual}");
            }
        }
    }
}

#[test]
fn without_batching_an_example_is_the_whole_input() {
    // The message of a model that cannot be batched says what to write, and that works.
    let fixed = model("fixed_four");
    Place::new(&fixed).refused(&["takes exactly 4 rows", "write batching = \"off\""]);
    Place::new(&format!("{fixed}batching = \"off\"\n")).checked();

    let usual = Place::new(&model("mlp")).predicted("mlp", &rows()).0;
    let place = Place::new(&format!("{}batching = \"off\"\n", model("mlp")));
    let matrix = json!({"key": "m", "inputs": {"x": [row(0), row(1)]}});
    let (predicted, dead) = place.predicted("mlp", &[matrix, rows()[0].clone()]);
    let first = predicted[0]["outputs"]["probabilities"][1][0].as_f64();
    let expected = probabilities(&usual[1])[0];
    assert!((first.unwrap() - expected).abs() < 1e-5, "{predicted:?}");
    let message = dead[0]["error"]["message"].as_str().unwrap();
    assert!(message.contains("FP32 [-1, 16]"), "{message}");

    let server = place.serve();
    let metadata = server.get("/v2/models/mlp").json();
    assert_eq!(metadata["inputs"][0]["shape"], json!([-1, 16]));
    let data = [row(0), row(1)];
    let body =
        json!({"inputs": [{"name": "x", "datatype": "FP32", "shape": [2, 16], "data": data}]});
    let (status, text) = infer(&server, "mlp", &body);
    assert_eq!(status, 200, "{text}");
    let examples = "num_inferences_total{model=\"mlp\",version=\"1\",tenant=\"default\"} 1";
    assert!(server.get("/metrics").text().contains(examples));
}

#[test]
fn a_request_larger_than_the_queue_names_the_key() {
    let keys = "max_queue_size = 4\nmax_batch_size = 4\n";
    let server = Place::new(&format!("{}{keys}", model("mlp")));
    let server = server.serve();
    let data = vec![row(0); 9];
    let body =
        json!({"inputs": [{"name": "x", "datatype": "FP32", "shape": [9, 16], "data": data}]});
    let (status, text) = infer(&server, "mlp", &body);
    assert_eq!(status, 413, "{text}");
    assert!(text.contains("9 examples"), "{text}");
    assert!(text.contains("max_queue_size = 4"), "{text}");
}

#[test]
fn a_version_is_what_predictions_carry() {
    let place = Place::new(&format!("{}version = \"2026.3\"\n", model("mlp")));
    assert_eq!(
        place.predicted("mlp", &rows()).0[0]["model_id"],
        "mlp:2026.3"
    );
    let server = place.serve();
    let metadata = server.get("/v2/models/mlp").json();
    assert_eq!(metadata["versions"], json!(["2026.3"]));
    assert_eq!(
        server.get("/v2/models/mlp/versions/2026.3/ready").status,
        200
    );
    let other = server.get("/v2/models/mlp/versions/1");
    assert_eq!(other.status, 404);
    assert!(other.text().contains("2026.3"), "{}", other.text());
}

#[test]
fn digests_that_differ_are_both_shown() {
    let zeros = "0".repeat(64);
    let digest = format!("sha256 = \"{zeros}\"\n");
    let (model, plugin) = (model("mlp"), plugin("identity"));
    let step = "[[ensemble.e.step]]\nplugin = \"identity\"\nrole = \"preprocess\"\n";
    let right = run(consort().args(["inspect", "--json"]).arg(guest("identity")));
    let right: Value = serde_json::from_str(&right.stdout).unwrap();
    let says = format!("the manifest says {zeros}");
    Place::new(&format!("{model}{digest}{plugin}{digest}{step}")).refused(&[
        &says,
        &format!(
            "the component's sha256 is {}",
            right["sha256"].as_str().unwrap()
        ),
        "mlp.onnx has sha256 ",
        "help: get the right file, or write sha256 = ",
        "2 problems",
    ]);
}

#[test]
fn what_is_cut_off_says_truncated() {
    let place = Place::new(
        "[model.m]\npath = \"m.onnx\"\n[plugin.p]\npath = \"p.wasm\"\n\
         [[ensemble.e.step]]\nplugin = \"p\"\n",
    );
    for (file, whole) in [
        ("m.onnx", root().join("host/onnx/fixtures/mlp.onnx")),
        ("p.wasm", guest("identity")),
    ] {
        let whole = fs::read(whole).unwrap();
        fs::write(place.path().join(file), &whole[..whole.len() / 2]).unwrap();
    }
    place.refused(&[
        "the model is truncated: at least ",
        "p.wasm: the component is truncated: it ends at byte ",
        "2 problems",
    ]);
}

// === Plugins ===

#[test]
fn config_and_assets_reach_the_plugin() {
    let keys = "version = \"7\"\nconfig = { colour = \"red\", n = [1, 2.5], on = true }\n\
                assets = { \"a.txt\" = \"asset.txt\" }\n";
    let step = "[[ensemble.e.step]]\nplugin = \"echo\"\n";
    let place = Place::new(&format!("{}{keys}{step}", plugin("echo")));
    place.refused(&["asset \"a.txt\" (asset.txt) cannot be read", "No such file"]);
    fs::write(place.path().join("asset.txt"), "read").unwrap();
    let line = json!({"key": "k", "inputs": {"text": "hi"}});
    let (predicted, _) = place.predicted("e", &[line]);
    let said = predicted[0]["outputs"]["text"].as_str().unwrap();
    for part in [
        "{\"colour\":\"red\",\"n\":[1,2.5],\"on\":true}",
        " a.txt=read ",
        " key=Some(\"k\") text=hi",
    ] {
        assert!(said.contains(part), "{part:?} is not in {said:?}");
    }
    assert_eq!(predicted[0]["model_id"], "echo:7");
}

#[test]
fn instances_are_fresh_unless_they_are_reused() {
    let name = "remembers_previous_call";
    let keys = "[[ensemble.e.step]]\nplugin = \"remembers_previous_call\"\n\
                [job]\ncall_examples_max = 1\ninflight_max = 1\n";
    let sums = |instances: &str| -> Vec<Value> {
        let place = Place::new(&format!("{}{instances}{keys}", plugin(name)));
        let (predicted, _) = place.predicted("e", &[1, 2, 3].map(number));
        let sum = |line: &Value| line["outputs"]["x"].clone();
        predicted.iter().map(sum).collect()
    };
    assert_eq!(sums(""), [1, 2, 3]);
    assert_eq!(sums("instances = \"reuse\"\n"), [1, 3, 6]);
}

#[test]
fn limits_are_for_all_plugins_and_for_one() {
    let steps: String = ["grow_memory", "loop_forever"]
        .iter()
        .map(|name| format!("[[ensemble.{name}-e.step]]\nplugin = \"{name}\"\n"))
        .collect();
    let place = Place::new(&format!(
        "[limits]\nmemory_bytes_max = \"8 MiB\"\ncall_time_ms_max = 5000\nwall_time_ms_max = 5000\n\
         {}{}limits = {{ call_time_ms_max = 170 }}\n{steps}",
        plugin("grow_memory"),
        plugin("loop_forever"),
    ));
    for (ensemble, limit) in [
        ("grow_memory-e", "memory_bytes_max = 8388608"),
        ("loop_forever-e", "call_time_ms_max = 170"),
    ] {
        let (predicted, dead) = place.predicted(ensemble, &[2, 13].map(number));
        assert_eq!(predicted.len(), 1);
        assert_eq!(dead[0]["key"], "n13");
        assert_eq!(dead[0]["error"]["kind"], "plugin_limit");
        let message = dead[0]["error"]["message"].as_str().unwrap();
        assert!(message.contains(limit), "{message}");
        assert!(message.contains("raise the limit"), "{message}");
    }
}

#[test]
fn capabilities_that_nobody_is_granted() {
    let step = "[[ensemble.e.step]]\nplugin = \"opens_socket\"\n";
    let place = |keys: &str| Place::new(&format!("{}{keys}{step}", plugin("opens_socket")));
    place("").refused(&[
        "the component imports `wasi:sockets/network@",
        "`capabilities = [\"network\"]` under [plugin.opens_socket] would ask for it",
        "grants it to nobody",
    ]);
    place("capabilities = [\"network\"]\n").refused(&["\"network\" is requested", "nobody"]);
    place("capabilities = [\"fly\"]\n").refused(&[
        "unknown capability \"fly\"",
        "network, http, filesystem",
        " --> consort.toml:4:17\n",
    ]);
}

#[test]
fn a_trap_or_an_error_in_init_is_told_in_its_own_words() {
    let plugins = [plugin("init_trap"), plugin("init_error")];
    let config = "config = \"nothing\"\n";
    let text = plugins.map(|plugin| plugin + config).concat();
    let steps = "[[ensemble.e.step]]\nplugin = \"init_trap\"\n\
                 [[ensemble.f.step]]\nplugin = \"init_error\"\n";
    Place::new(&format!("{text}{steps}")).refused(&[
        "init_trap.wasm: init failed: trapped: ",
        "cannot start with \"nothing\"",
        "init_error.wasm: init refused: the config \"nothing\" will not do",
        "2 problems",
    ]);
}

#[test]
fn the_cache_of_the_manifest_is_used_unless_forbidden() {
    let step = "[[ensemble.e.step]]\nplugin = \"identity\"\nrole = \"preprocess\"\n";
    let text = format!("{}{step}[cache]\ndir = \"compiled\"\n", plugin("identity"));
    let place = Place::new(&text);
    let check = || {
        let mut command = place.command("check");
        command.env_remove("CONSORT_CACHE_DIR");
        command
    };
    let compiled = place.path().join("compiled");
    assert_eq!(run(check().arg("--no-cache")).status, 0);
    assert!(!compiled.exists());
    assert_eq!(run(&mut check()).status, 0);
    assert_eq!(fs::read_dir(&compiled).unwrap().count(), 1);
}

// === Ensembles, jobs and the server ===

#[test]
fn an_ensembles_time_ends_its_examples() {
    let text = "[ensemble.e]\ntimeout_ms = 700\n[[ensemble.e.step]]\nplugin = \"loop_forever\"\n\
                [job]\ncall_examples_max = 1\n";
    let place = Place::new(&format!("{}{text}", plugin("loop_forever")));
    let (predicted, dead) = place.predicted("e", &[2, 13].map(number));
    assert_eq!(predicted[0]["key"], "n2");
    assert_eq!(dead[0]["key"], "n13");
    assert_eq!(dead[0]["error"]["kind"], "deadline_exceeded");
    assert_eq!(dead[0]["error"]["step"], "loop_forever");
}

#[test]
fn a_line_over_its_limit_is_a_dead_letter_that_names_it() {
    let text = "[[ensemble.e.step]]\nplugin = \"identity\"\nrole = \"preprocess\"\n\
                [job]\nline_bytes_max = 60\n";
    let place = Place::new(&format!("{}{text}", plugin("identity")));
    let long = json!({"key": "k".repeat(60), "inputs": {"x": 1}});
    let (predicted, dead) = place.predicted("e", &[long, number(2)]);
    assert_eq!(predicted[0]["key"], "n2");
    assert_eq!(dead[0]["error"]["kind"], "too_large");
    let message = dead[0]["error"]["message"].as_str().unwrap();
    assert!(message.contains("line_bytes_max, 60 bytes"), "{message}");
}

#[test]
fn the_limits_of_the_server_are_told_to_its_clients() {
    let text = "limits = { call_time_ms_max = 20000 }\n\
                [[ensemble.e.step]]\nplugin = \"loop_forever\"\n\
                [server]\nbody_bytes_max = 1000\nrows_max = 2\ninflight_max = 1\n\
                request_timeout_ms = 2000\n";
    let server = Place::new(&format!("{}{text}", plugin("loop_forever")));
    let server = server.serve();
    let (status, text) = infer(&server, "e", &numbers_request(&[1, 2, 3]));
    assert_eq!(status, 413, "{text}");
    assert!(text.contains("3 rows; at most 2"), "{text}");
    let response = server.request("POST", "/v2/models/e/infer", &[], &[b' '; 1001]);
    assert_eq!(response.status, 413);
    assert!(
        response.text().contains("limit of 1000 bytes"),
        "{}",
        response.text()
    );

    let address = server.address;
    let slow = std::thread::spawn(move || {
        let body = numbers_request(&[13]).to_string();
        let path = "/v2/models/e/infer";
        consort_tests::http::request(address, "POST", path, &[], body.as_bytes())
    });
    consort_tests::until(|| {
        let metrics = server.get("/metrics").text();
        metrics.contains("consort_plugin_instances 1")
    });
    let (status, text) = infer(&server, "e", &numbers_request(&[1]));
    assert_eq!(status, 503, "{text}");
    assert!(text.contains("1 requests are under way"), "{text}");
    let slow = slow.join().unwrap().unwrap();
    assert_eq!(slow.status, 503, "{}", slow.text());
    assert!(slow.text().contains("deadline"), "{}", slow.text());
    assert_eq!(infer(&server, "e", &numbers_request(&[1])).0, 200);
}

#[test]
fn the_text_alone_can_be_checked() {
    let place = Place::new("[model.a]\npath = \"nowhere.onnx\"\n");
    place.refused(&[
        "nowhere.onnx cannot be read: No such file",
        " --> consort.toml:3:8\n",
    ]);
    let ran = run(place.command("check").arg("--syntax-only"));
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    assert!(ran.stdout.contains("nothing was loaded"), "{}", ran.stdout);
}
