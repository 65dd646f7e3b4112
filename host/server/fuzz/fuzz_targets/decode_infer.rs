//! Any body is a request whose tensors are whole, or an error; never a panic.
//!
//! The first line of the input is the header `Inference-Header-Content-Length` (none if
//! empty), the rest is the body.

#![no_main]

use bytes::Bytes;
use consort_inference::{Datatype, Signature, Tensor, TensorSpec};
use consort_server::protocol::{
    DecodeLimits, HeaderLength, decode_infer, decode_raw, header_length,
};
use libfuzzer_sys::fuzz_target;

const LIMITS: DecodeLimits = DecodeLimits {
    json_depth_max: 100,
};

fuzz_target!(|input: &[u8]| {
    let split = input.iter().position(|byte| *byte == b'\n');
    let (header, body) = match split {
        Some(at) => (&input[..at], &input[at + 1..]),
        None => (&[][..], input),
    };
    let body = Bytes::copy_from_slice(body);
    let header = (!header.is_empty()).then_some(header);
    let request = match header_length(header, body.len()) {
        Err(error) => return drop(error.to_string()),
        Ok(HeaderLength::Raw) => {
            let x = TensorSpec::new("x", Datatype::Int32, vec![Some(3)]);
            let signature = Signature {
                inputs: vec![x],
                outputs: vec![],
            };
            decode_raw(&body, &signature, true)
        }
        Ok(length) => decode_infer(&body, length, &LIMITS),
    };
    match request {
        Err(error) => drop(error.to_string()),
        Ok(request) => {
            for (name, tensor) in request.inputs {
                let (shape, data) = (tensor.shape().to_vec(), tensor.data().clone());
                let again = Tensor::new(tensor.datatype(), shape, data);
                assert_eq!(again.as_ref(), Ok(&tensor), "{name}");
            }
        }
    }
});
