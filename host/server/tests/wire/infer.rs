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
