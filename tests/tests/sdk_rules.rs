//! The Rust SDK's native tensors keep the host's rules: what a plugin's unit tests meet is what
//! it meets in the host.

use consort_inference as host;
use consort_sdk as sdk;

macro_rules! datatypes {
    ($($name:ident),*) => {
        const DATATYPES: &[(host::Datatype, sdk::Datatype)] =
            &[$((host::Datatype::$name, sdk::Datatype::$name)),*];
    };
}

datatypes!(
    Bool, Uint8, Uint16, Uint32, Uint64, Int8, Int16, Int32, Int64, Fp16, Bf16, Fp32, Fp64, Bytes
);

#[test]
fn both_widen_the_same_to_the_same() {
    assert_eq!(DATATYPES.len(), host::Datatype::ALL.len());
    // Two elements of any size, or a byte string of twelve bytes.
    let bytes = *b"\x0c\0\0\0\x80\xff\x7f\x3f\xc0\x55\0\xff\x80\x7f\xff\x01";
    let mut ways = 0;
    for (from, sdk_from) in DATATYPES {
        let (shape, length) = match from.size_bytes() {
            Some(size) => (vec![2], 2 * size),
            None => (vec![1], bytes.len()),
        };
        let data = &bytes[..length];
        let ours = host::Tensor::new(*from, shape.clone(), data.to_vec().into());
        let ours = ours.expect("a tensor of the host");
        let theirs = sdk::Tensor::from_raw(*sdk_from, &shape, data).expect("a tensor of the SDK");
        for (to, sdk_to) in DATATYPES {
            match (ours.widen(*to), theirs.widen(*sdk_to)) {
                (Ok(ours), Ok(theirs)) => {
                    assert_eq!(ours.data()[..], theirs.read_raw()[..], "{from} to {to}");
                    assert_eq!(ours.shape(), theirs.shape());
                    ways += usize::from(from != to);
                }
                (Err(ours), Err(theirs)) => assert_eq!(ours.to_string(), theirs.to_string()),
                (ours, theirs) => panic!("{from} to {to}: {ours:?}, {theirs:?}"),
            }
        }
    }
    assert_eq!(ways, 10 + 8 + 6 + 3 + 5 + 4 + 2 + 1);
}
