//! The binary tensor extension.

use crate::client::{LENGTH, Server};
use consort_inference::Datatype;
use serde_json::{Value, json};

fn floats(numbers: &[f32]) -> Vec<u8> {
    numbers
        .iter()
        .flat_map(|number| number.to_le_bytes())
        .collect()
}

fn binary_input(name: &str, datatype: &str, shape: &[usize], size: usize) -> Value {
    json!({"name": name, "datatype": datatype, "shape": shape,
           "parameters": {"binary_data_size": size}})
}

#[tokio::test]
async fn binary_in_and_out() {
    let server = Server::start().await;
    let request = json!({
        "inputs": [binary_input("x", "FP32", &[2, 4], 32)],
        "outputs": [
            {"name": "sum"},
            {"name": "y", "parameters": {"binary_data": true}},
        ],
    });
    let sent = floats(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0]);
    let reply = server
        .infer_binary("add_one", &request.to_string(), &sent)
        .await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    assert_eq!(reply.header("content-type"), "application/octet-stream");
    let (json, binary) = reply.parts();
    let sum = json!({"name": "sum", "datatype": "FP32", "shape": [2, 1], "data": [10.0, 26.0]});
    assert_eq!(
        json["outputs"],
        json!([sum, binary_input("y", "FP32", &[2, 4], 32)])
    );
    assert_eq!(binary, floats(&[2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0]));
}

#[tokio::test]
async fn every_datatype_goes_round_in_binary() {
    let server = Server::start().await;
    for datatype in Datatype::ALL {
        let rows: Vec<u8> = match datatype {
            Datatype::Bytes => b"\x02\0\0\0\xff\0\0\0\0\0\x01\0\0\0z\x03\0\0\0abc".to_vec(),
            Datatype::Bool => vec![0, 1, 1, 0],
            // Any bits: NaN, infinities and all.
            other => (0..4 * other.size_bytes().unwrap())
                .map(|byte| 255 - byte as u8)
                .collect(),
        };
        let name = datatype.as_str();
        let request = json!({
            "parameters": {"binary_data_output": true},
            "inputs": [binary_input("x", name, &[2, 2], rows.len())],
        });
        let model = format!("echo_{}", name.to_lowercase());
        let reply = server
            .infer_binary(&model, &request.to_string(), &rows)
            .await;
        assert_eq!(reply.status, 200, "{name}: {}", reply.text());
        let (json, binary) = reply.parts();
        assert_eq!(json["outputs"], request["inputs"], "{name}");
        assert_eq!(binary, rows, "{name}");
    }
}

#[tokio::test]
async fn nan_goes_out_in_binary_only() {
    let server = Server::start().await;
    let ask = |parameters: Value| {
        let request = json!({
            "parameters": parameters,
            "inputs": [{"name": "x", "datatype": "INT32", "shape": [1, 1], "data": [1]}],
        });
        server.infer("nan", request.to_string())
    };
    let reply = ask(json!({"binary_data_output": true})).await;
    assert_eq!(reply.parts().1, f32::NAN.to_le_bytes()[..]);
    ask(json!({}))
        .await
        .refused(400, "is NaN or infinite, which JSON cannot say");
}

#[tokio::test]
async fn a_raw_body_is_the_one_input() {
    let server = Server::start().await;
    let raw = |model: &str, body: Vec<u8>| {
        let path = format!("/v2/models/{model}/infer");
        let server = &server;
        async move { server.post(&path, &[(LENGTH, "0")], body).await }
    };
    let reply = raw("add_one", floats(&[1.0; 12])).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    let (json, binary) = reply.parts();
    assert_eq!(json["outputs"][0], binary_input("y", "FP32", &[3, 4], 48));
    assert_eq!(binary, [floats(&[2.0; 12]), floats(&[4.0; 3])].concat());
    let reply = raw("echo_bytes", b"any \xff bytes".to_vec()).await;
    assert_eq!(reply.parts().1, &b"\x0b\0\0\0any \xff bytes"[..]);
    raw("add_one", vec![0; 17])
        .await
        .refused(400, "17 bytes do not fill evenly");
    raw("add_one", vec![])
        .await
        .refused(400, "needs at least one row");
    raw("describe", vec![0; 8])
        .await
        .refused(400, "the endpoint has 2 inputs");
}

#[tokio::test]
async fn a_wrong_header_is_told_with_its_numbers() {
    let server = Server::start().await;
    let path = "/v2/models/add_one/infer";
    for (value, expected) in [
        (
            "3",
            "says that 3 bytes of JSON come first, but the whole body has 2 bytes",
        ),
        ("-1", "is \"-1\", which is no length"),
        ("two", "is \"two\", which is no length"),
        ("1e1", "is \"1e1\", which is no length"),
    ] {
        let reply = server.post(path, &[(LENGTH, value)], "{}").await;
        reply.refused(
            400,
            &format!("the header Inference-Header-Content-Length {expected}"),
        );
    }
    let reply = server
        .post(path, &[(LENGTH, "2"), (LENGTH, "2")], "{}")
        .await;
    reply.refused(400, "given more than once");
}

#[tokio::test]
async fn short_and_long_binaries_are_counted() {
    let server = Server::start().await;
    let request = json!({"inputs": [binary_input("x", "FP32", &[1, 4], 16)]}).to_string();
    let reply = server.infer_binary("add_one", &request, &[0; 13]).await;
    reply.refused(
        400,
        "only 13 bytes are left in the body: 3 bytes are missing",
    );
    let reply = server.infer_binary("add_one", &request, &[0; 18]).await;
    reply.refused(400, "2 bytes are left over behind the binary inputs");
    let reply = server.infer("add_one", request).await;
    reply.refused(
        400,
        "the request has no header Inference-Header-Content-Length",
    );
    let request = json!({"inputs": [binary_input("x", "FP32", &[1, 4], 15)]}).to_string();
    let reply = server.infer_binary("add_one", &request, &[0; 15]).await;
    reply.refused(400, "FP32 of shape [1, 4] takes 16 bytes, 15 were given");
    let request = json!({"inputs": [binary_input("x", "BYTES", &[1, 1], 6)]}).to_string();
    let reply = server
        .infer_binary("echo_bytes", &request, b"\x09\0\0\0ab")
        .await;
    reply.refused(
        400,
        "input \"x\": BYTES element 0 is truncated: 7 bytes are missing",
    );
}

#[tokio::test]
async fn large_binaries_go_through_whole() {
    let server = Server::start().await;
    let data: Vec<u8> = (0..10_000_000u32).map(|i| (i % 251) as u8).collect();
    let request = json!({
        "parameters": {"binary_data_output": true},
        "inputs": [binary_input("x", "UINT8", &[4, 2_500_000], data.len())],
    });
    for mut client in [server.h1().await, server.h2().await] {
        let json = request.to_string();
        let body = [json.as_bytes(), &data].concat();
        let headers = [(LENGTH, &*json.len().to_string())];
        let path = "/v2/models/echo_uint8/infer";
        let reply = client.send(hyper::Method::POST, path, &headers, body).await;
        assert_eq!(reply.status, 200);
        assert!(reply.parts().1 == data);
    }
}
