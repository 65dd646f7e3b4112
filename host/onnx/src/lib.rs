//! consort-onnx.
