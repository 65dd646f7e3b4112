//! Whatever is sent, the answer is 200 or a refusal of the client's mistake.

use crate::client::{LENGTH, Server};
use hyper::Method;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use tokio::runtime::Builder;

const WELL: &str = concat!(
    r#"{"id": "1", "inputs": [{"name": "text", "datatype": "BYTES", "shape": [1, 1], "data": ["a"]}, "#,
    r#"{"name": "offset", "datatype": "INT64", "shape": [1, 1], "parameters": {"binary_data_size": 8}}], "#,
    r#""outputs": [{"name": "label"}, {"name": "length", "parameters": {"binary_data": true}}]}"#
);

/// A good request with some bytes changed, removed or added, or no request at all.
fn any_request() -> impl Strategy<Value = (Vec<u8>, Option<String>)> {
    let well = [WELL.as_bytes(), &[0; 8]].concat();
    let edits = prop::collection::vec((0..well.len(), any::<u8>(), 0u8..3), 0..4);
    let near = edits.prop_map(move |edits| {
        let mut body = well.clone();
        for (at, byte, what) in edits {
            let at = at.min(body.len() - 1);
            match what {
                0 => body[at] = byte,
                1 => body.insert(at, byte),
                _ => {
                    body.remove(at);
                }
            }
        }
        body
    });
    let body = prop_oneof![4 => near, 1 => any::<Vec<u8>>()];
    let length = prop_oneof![
        4 => Just(Some(WELL.len().to_string())),
        1 => prop::option::of((-3i64..400).prop_map(|length| length.to_string())),
        1 => prop::option::of("[ -~]{0,8}"),
    ];
    (body, length)
}

#[test]
fn nothing_that_is_sent_is_the_servers_fault() {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let (server, mut client) = runtime.block_on(async {
        let server = Server::start().await;
        let client = server.h1().await;
        (server, client)
    });
    let cases = Config {
        cases: 500,
        failure_persistence: None,
        ..Config::default()
    };
    let run = TestRunner::new(cases).run(&any_request(), |(body, length)| {
        let headers: Vec<(&str, &str)> = length.iter().map(|length| (LENGTH, &**length)).collect();
        let reply = runtime.block_on(async {
            server
                .post("/v2/models/describe/infer", &headers, body)
                .await
        });
        if reply.status == 200 {
            return Ok(());
        }
        prop_assert!((400..500).contains(&reply.status), "{}", reply.text());
        prop_assert!(!reply.error(reply.status).is_empty());
        Ok(())
    });
    run.unwrap();
    // The server is still well, and the request that was varied is a good one.
    let reply = runtime.block_on(async {
        let body = [WELL.as_bytes(), &[0; 8]].concat();
        let headers = [(LENGTH, &*WELL.len().to_string())];
        client
            .send(Method::POST, "/v2/models/describe/infer", &headers, body)
            .await
    });
    assert_eq!(reply.status, 200, "{}", reply.text());
}
