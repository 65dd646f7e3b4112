//! HTTP/2 with prior knowledge, on the port of HTTP/1.1.

use crate::place::{Place, marked, says};
use serde_json::{Value, json};
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};

/// One request over HTTP/2 with prior knowledge, by hand: the first byte of the response's
/// header block (an indexed `:status`) and the body.
fn http2(address: SocketAddr, method: u8, path: &str, body: &[u8]) -> io::Result<(u8, String)> {
    const DATA: u8 = 0;
    const HEADERS: u8 = 1;
    const SETTINGS: u8 = 4;
    const END_STREAM: u8 = 1;
    const END_HEADERS: u8 = 4;
    let frame = |kind: u8, flags: u8, stream: u32, payload: &[u8]| {
        let mut frame = (payload.len() as u32).to_be_bytes()[1..].to_vec();
        frame.extend([kind, flags]);
        frame.extend(stream.to_be_bytes());
        frame.extend(payload);
        frame
    };
    // RFC 7541: `:method` and `:scheme: http` by index, `:path` and `:authority` in full.
    let mut head = vec![0x80 | method, 0x86, 0x04, path.len() as u8];
    head.extend(path.as_bytes());
    head.extend([0x01, 9]);
    head.extend(b"localhost");
    let mut stream = TcpStream::connect(address)?;
    let mut request = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    request.extend(frame(SETTINGS, 0, 0, b""));
    let last = if body.is_empty() { END_STREAM } else { 0 };
    request.extend(frame(HEADERS, END_HEADERS | last, 1, &head));
    if !body.is_empty() {
        request.extend(frame(DATA, END_STREAM, 1, body));
    }
    stream.write_all(&request)?;
    let (mut status, mut text) = (0, Vec::new());
    loop {
        let mut head = [0; 9];
        stream.read_exact(&mut head)?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let mut payload = vec![0; length as usize];
        stream.read_exact(&mut payload)?;
        let (kind, flags, of_ours) = (head[3], head[4], head[8] == 1);
        match kind {
            HEADERS if of_ours => status = payload[0],
            DATA if of_ours => text.extend(payload),
            _ => {}
        }
        if of_ours && matches!(kind, HEADERS | DATA) && flags & END_STREAM != 0 {
            return Ok((status, String::from_utf8_lossy(&text).into_owned()));
        }
    }
}

#[test]
fn http2_with_prior_knowledge_is_spoken() {
    const GET: u8 = 2;
    const POST: u8 = 3;
    const OK: u8 = 0x88;
    const BAD_REQUEST: u8 = 0x8c;
    const NOT_FOUND: u8 = 0x8d;
    let place = Place::new("identity", "");
    let server = place.serve();
    let ask = |method, path: &str, body: &str| {
        http2(server.address, method, path, body.as_bytes()).unwrap()
    };
    assert_eq!(ask(GET, "/v2/health/ready", ""), (OK, String::new()));
    let (status, text) = ask(POST, "/v2/models/numbers/infer", &marked());
    assert_eq!(status, OK, "{text}");
    let answer: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(answer["outputs"][0]["data"], json!([13]));
    let (status, text) = ask(POST, "/v2/models/numbers/infer", "{\"inputs\":[");
    assert_eq!(status, BAD_REQUEST);
    says(&text, &["malformed JSON"]);
    let (status, text) = ask(GET, "/v2/models/nobody", "");
    assert_eq!(status, NOT_FOUND);
    says(
        &text,
        &["there is no model \\\"nobody\\\"", "\\\"numbers\\\""],
    );
    // And HTTP/1.1 on the same port.
    assert_eq!(server.get("/v2/health/ready").status, 200);
}
