//! Inference in JSON.

use crate::client::Server;
use serde_json::json;

/// What is sent and what comes back, byte by byte.
#[tokio::test]
async fn golden_bodies() {
    let server = Server::start().await;
    let golden = include_str!("golden.txt");
    let mut cases = 0;
    for case in golden
        .split("\n\n")
        .map(str::trim)
        .filter(|case| !case.is_empty())
    {
        let lines: Vec<&str> = case.lines().filter(|line| !line.starts_with('#')).collect();
        if lines.is_empty() {
            continue;
        }
        let [model, sent, status, expected] = lines[..] else {
            panic!("a case has four lines: {case}");
        };
        let reply = server.infer(model, sent.to_owned()).await;
        assert_eq!(reply.status.to_string(), status, "{sent}\n{}", reply.text());
        assert_eq!(reply.text(), expected, "{sent}");
        assert_eq!(reply.header("content-type"), "application/json");
        cases += 1;
    }
    assert!(cases >= 20, "only {cases} cases were read");
}

#[tokio::test]
async fn rows_come_back_in_their_order() {
    let server = Server::start().await;
    let texts: Vec<String> = (0..100).map(|index| format!("text {index}")).collect();
    let offsets: Vec<i64> = (0..100).map(|index| index << 54).collect();
    let body = json!({"inputs": [
        {"name": "text", "datatype": "BYTES", "shape": [100, 1], "data": texts},
        {"name": "offset", "datatype": "INT64", "shape": [100, 1], "data": offsets},
    ]});
    let answer = server.infer("describe", body.to_string()).await.ok();
    let labels: Vec<String> = texts.iter().map(|text| text.to_uppercase()).collect();
    assert_eq!(answer["outputs"][0]["data"], json!(labels));
    let lengths: Vec<i64> = texts
        .iter()
        .zip(&offsets)
        .map(|(text, offset)| text.len() as i64 + offset)
        .collect();
    assert_eq!(answer["outputs"][1]["data"], json!(lengths));
    assert_eq!(answer["outputs"][1]["shape"], json!([100, 1]));
}

#[tokio::test]
async fn every_datatype_goes_round_in_json() {
    let server = Server::start().await;
    for (datatype, data) in [
        ("BOOL", json!([true, false])),
        ("UINT8", json!([0, u8::MAX])),
        ("UINT16", json!([0, u16::MAX])),
        ("UINT32", json!([0, u32::MAX])),
        ("UINT64", json!([0, u64::MAX])),
        ("INT8", json!([i8::MIN, i8::MAX])),
        ("INT16", json!([i16::MIN, i16::MAX])),
        ("INT32", json!([i32::MIN, i32::MAX])),
        ("INT64", json!([i64::MIN, i64::MAX])),
        ("FP32", json!([0.25, -1.0])),
        ("FP64", json!([0.1, 1e300])),
        ("BYTES", json!(["", "a\u{0}\"ü"])),
    ] {
        let input = json!({"name": "x", "datatype": datatype, "shape": [1, 2], "data": data});
        let model = format!("echo_{}", datatype.to_lowercase());
        let answer = server
            .infer(&model, json!({"inputs": [input]}).to_string())
            .await
            .ok();
        assert_eq!(answer["outputs"][0], input, "{datatype}");
    }
}

#[tokio::test]
async fn unequal_rows_cannot_be_put_together() {
    let server = Server::start().await;
    let ask = |data: &str, rows: usize| {
        let body = format!(
            r#"{{"inputs": [{{"name": "x", "datatype": "INT32", "shape": [{rows}, 1], "data": {data}}}]}}"#
        );
        server.infer("ragged", body)
    };
    let equal = ask("[3, 3]", 2).await.ok();
    assert_eq!(equal["outputs"][0]["shape"], json!([2, 3]));
    let unequal = ask("[3, 3, 1]", 3).await;
    unequal.refused(
        400,
        "output \"y\" has shape [3] for row 0 but [1] for row 2",
    );
}

#[tokio::test]
async fn large_json_is_decoded_off_the_async_threads() {
    let server = Server::start().await;
    let count = 200_000;
    let data: Vec<i32> = (0..count).collect();
    let body = json!({"inputs": [
        {"name": "x", "datatype": "INT32", "shape": [1, count], "data": data},
    ]});
    let answer = server.infer("echo_int32", body.to_string()).await.ok();
    assert_eq!(answer["outputs"][0]["data"], json!(data));
}

#[tokio::test]
async fn what_the_client_says_reaches_the_endpoint() {
    let server = Server::start().await;
    let ask = async |parameters: serde_json::Value| {
        let input = json!({"name": "x", "datatype": "INT32", "shape": [1, 1], "data": [7]});
        let body = json!({"inputs": [input], "parameters": parameters});
        let answer = server.infer("told", body.to_string()).await.ok();
        let output = |index: usize| answer["outputs"][index]["data"][0].clone();
        (output(0), output(1))
    };
    assert_eq!(ask(json!({})).await, (json!(0), json!("")));
    let said = json!({"priority": 1, "timeout": 5_000_000, "top": 3, "style": "short"});
    assert_eq!(ask(said).await, (json!(63), json!("style=short top=3")));
    let body = json!({"inputs": [], "parameters": {"priority": -1}});
    let reply = server.infer("told", body.to_string()).await;
    reply.refused(
        400,
        "parameter \"priority\": a whole number from 0 is expected",
    );
    let body = json!({"inputs": [], "parameters": {"triton_x": 1}});
    let reply = server.infer("told", body.to_string()).await;
    reply.refused(400, "names beginning with \"triton_\" are reserved");
}

#[tokio::test]
async fn the_example_comes_back_where_it_is_asked_for() {
    let server = Server::start().await;
    let x = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0];
    let body = |keep: bool, binary: bool| {
        let input = json!({"name": "x", "datatype": "FP32", "shape": [2, 4], "data": x});
        let parameters = json!({"keep_example": keep, "binary_data_output": binary});
        let outputs = json!([{"name": "sum", "parameters": {"binary_data": false}}]);
        json!({"inputs": [input], "outputs": outputs, "parameters": parameters}).to_string()
    };
    let answer = server.infer("add_one", body(false, false)).await.ok();
    assert_eq!(answer["outputs"].as_array().unwrap().len(), 1);
    let answer = server.infer("add_one", body(true, false)).await.ok();
    let example = json!({"name": "example.x", "datatype": "FP32", "shape": [2, 4], "data": x});
    assert_eq!(answer["outputs"][1], example);
    let (answer, binary) = server.infer("add_one", body(true, true)).await.parts();
    assert_eq!(
        answer["outputs"][1]["parameters"],
        json!({"binary_data_size": 32})
    );
    assert_eq!(&binary[..4], 1f32.to_le_bytes());
}

#[tokio::test]
async fn arms_and_what_is_lacking_are_told_and_only_named_headers_go_on() {
    let server = Server::start().await;
    let body = |data: serde_json::Value| {
        let shape = json!([data.as_array().unwrap().len(), 1]);
        json!({"inputs": [{"name": "x", "datatype": "INT32", "shape": shape, "data": data}]})
            .to_string()
    };
    let headers = [("X-Arm", "b"), ("x-other", "c")];
    let path = "/v2/models/arms/infer";
    let answer = server.post(path, &headers, body(json!([1, 2]))).await.ok();
    assert_eq!(
        answer["parameters"],
        json!({"model_id": "arms:1", "arms": "[{\"x-arm\":\"b\"},{\"x-arm\":\"b\"}]"})
    );
    let answer = server.post(path, &[], body(json!([1, -1]))).await.ok();
    let partial = "[{\"kind\":\"model_failed\",\"message\":\"it broke\",\"row\":1,\
                   \"stage\":\"inference\",\"step\":\"extra\"}]";
    assert_eq!(
        answer["parameters"],
        json!({"model_id": "arms:1", "partial": partial})
    );
    assert_eq!(answer["outputs"], json!([]));
}
