//! Compressed bodies, both ways.

use crate::client::{LENGTH, Server};
use consort_server::Config;
use flate2::Compression;
use flate2::read::{GzDecoder, ZlibDecoder};
use flate2::write::{GzEncoder, ZlibEncoder};
use serde_json::json;
use std::io::{Read, Write};

const INFER: &str = "/v2/models/echo_uint8/infer";

fn gzip(body: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(body).unwrap();
    encoder.finish().unwrap()
}

fn zlib(body: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(body).unwrap();
    encoder.finish().unwrap()
}

fn read(mut decoder: impl Read) -> Vec<u8> {
    let mut whole = Vec::new();
    decoder.read_to_end(&mut whole).unwrap();
    whole
}

#[tokio::test]
async fn requests_and_responses_are_compressed() {
    let server = Server::start().await;
    let json = json!({
        "parameters": {"binary_data_output": true},
        "inputs": [{"name": "x", "datatype": "UINT8", "shape": [1, 3], "parameters": {"binary_data_size": 3}}],
    });
    let json = json.to_string();
    let body = [json.as_bytes(), &[1, 2, 3]].concat();
    // The header counts the JSON before compression.
    let length = json.len().to_string();
    for (name, packed) in [("gzip", gzip(&body)), ("deflate", zlib(&body))] {
        let headers = [
            (LENGTH, &*length),
            ("content-encoding", name),
            ("accept-encoding", name),
        ];
        let reply = server.post(INFER, &headers, packed).await;
        assert_eq!(reply.status, 200, "{name}: {}", reply.text());
        assert_eq!(reply.header("content-encoding"), name);
        let whole = match name {
            "gzip" => read(GzDecoder::new(&*reply.body)),
            _ => read(ZlibDecoder::new(&*reply.body)),
        };
        let json_bytes: usize = reply.header(LENGTH).parse().unwrap();
        assert_eq!(whole[json_bytes..], [1, 2, 3], "{name}");
    }
    let plain = server.post(INFER, &[(LENGTH, &*length)], body).await;
    assert!(!plain.headers.contains_key("content-encoding"));
}

#[tokio::test]
async fn other_codings_are_415_and_told_which_are_right() {
    let server = Server::start().await;
    for coding in ["br", "zstd", "gzip, deflate", "gzip,gzip"] {
        let reply = server
            .post(INFER, &[("content-encoding", coding)], "{}")
            .await;
        reply.refused(
            415,
            &format!("Content-Encoding \"{coding}\" is not supported"),
        );
        assert_eq!(reply.header("accept-encoding"), "gzip, deflate");
    }
    let twice = [("content-encoding", "gzip"), ("content-encoding", "gzip")];
    server
        .post(INFER, &twice, "{}")
        .await
        .refused(415, "one only");
    let reply = server
        .post(INFER, &[("content-encoding", "identity")], "{}")
        .await;
    reply.refused(400, "the request has no \"inputs\"");
}

#[tokio::test]
async fn a_small_body_that_unpacks_large_is_413() {
    let config = Config {
        body_bytes_max: 100_000,
        ..Config::default()
    };
    let server = Server::with(config).await;
    for (name, packed) in [
        ("gzip", gzip(&vec![0; 50_000_000])),
        ("deflate", zlib(&vec![0; 50_000_000])),
    ] {
        assert!(packed.len() < 100_000);
        let reply = server
            .post(INFER, &[(LENGTH, "0"), ("content-encoding", name)], packed)
            .await;
        reply.refused(
            413,
            "the body, decompressed, is over the limit of 100000 bytes",
        );
    }
}

#[tokio::test]
async fn a_body_that_does_not_unpack_is_400() {
    let server = Server::start().await;
    let headers = [("content-encoding", "gzip")];
    server
        .post(INFER, &headers, "{}")
        .await
        .refused(400, "the compressed body cannot be read");
    let packed = gzip(b"{\"inputs\": []}");
    let cut = packed[..packed.len() - 3].to_vec();
    server
        .post(INFER, &headers, cut)
        .await
        .refused(400, "the compressed body cannot be read");
    let headers = [("content-encoding", "deflate")];
    let longer = [zlib(b"{}"), vec![1, 2]].concat();
    server
        .post(INFER, &headers, longer)
        .await
        .refused(400, "2 bytes follow the end");
}
