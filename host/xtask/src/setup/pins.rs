//! What is fetched, byte for byte: each wheel and each file taken out of one, with its SHA-256.
//!
//! A wheel is asked for by its own tags and not by this machine's Python, so that every
//! machine of a kind gets the same bytes whatever Python it has.

/// The version of ONNX Runtime.
pub(crate) const ONNX_RUNTIME_VERSION: &str = "1.32.0";

/// The version of the package that carries the file-type model.
pub(crate) const MAGIKA_VERSION: &str = "1.0.3";

/// A wheel of the Python package index.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wheel {
    pub(crate) package: &'static str,
    pub(crate) version: &'static str,
    pub(crate) file_name: &'static str,
    pub(crate) sha256: &'static str,
    /// What makes pip choose exactly this wheel.
    pub(crate) tags: &'static [&'static str],
}

/// A file inside a wheel.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Member {
    /// Its path inside the wheel.
    pub(crate) path: &'static str,
    /// The name it gets outside.
    pub(crate) file_name: &'static str,
    pub(crate) sha256: &'static str,
}

/// ONNX Runtime for one kind of machine, in the words of `std::env::consts`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct OnnxRuntime {
    pub(crate) os: &'static str,
    pub(crate) arch: &'static str,
    pub(crate) wheel: Wheel,
    pub(crate) library: Member,
}

pub(crate) const ONNX_RUNTIMES: &[OnnxRuntime] = &[
    OnnxRuntime {
        os: "linux",
        arch: "x86_64",
        wheel: Wheel {
            package: "onnxruntime",
            version: ONNX_RUNTIME_VERSION,
            file_name: "onnxruntime-1.32.0-cp311-cp311-manylinux_2_28_x86_64.whl",
            sha256: "5a34fc4dfeb5a7b4a74c95dcba1e773d722abda720b474edf1b0c419dc6d163d",
            tags: &[
                "--platform=manylinux_2_28_x86_64",
                "--implementation=cp",
                "--python-version=3.11",
                "--abi=cp311",
            ],
        },
        library: Member {
            path: "onnxruntime/capi/libonnxruntime.so.1.32.0",
            file_name: "libonnxruntime.so.1.32.0",
            sha256: "6c1585d1bbf45b0712ea4a21b705c5fcb4ba04ff2e30f1fbf81a49faf658638f",
        },
    },
    OnnxRuntime {
        os: "linux",
        arch: "aarch64",
        wheel: Wheel {
            package: "onnxruntime",
            version: ONNX_RUNTIME_VERSION,
            file_name: "onnxruntime-1.32.0-cp311-cp311-manylinux_2_28_aarch64.whl",
            sha256: "2303372a85299b6757b0e11e1cbf13e410ddf7e10c37f4b37e99d1c90e7daf7c",
            tags: &[
                "--platform=manylinux_2_28_aarch64",
                "--implementation=cp",
                "--python-version=3.11",
                "--abi=cp311",
            ],
        },
        library: Member {
            path: "onnxruntime/capi/libonnxruntime.so.1.32.0",
            file_name: "libonnxruntime.so.1.32.0",
            sha256: "49852228a93995158b2a813d4df487d47a1b76b0eaa894507ef49e91b6d7954a",
        },
    },
    OnnxRuntime {
        os: "macos",
        arch: "aarch64",
        wheel: Wheel {
            package: "onnxruntime",
            version: ONNX_RUNTIME_VERSION,
            file_name: "onnxruntime-1.32.0-cp311-cp311-macosx_14_0_arm64.whl",
            sha256: "366b9e53d07812cc5c92822cecf7563b76a8a0f32ba3bb8dd232a206ac3bcb6c",
            tags: &[
                "--platform=macosx_14_0_arm64",
                "--implementation=cp",
                "--python-version=3.11",
                "--abi=cp311",
            ],
        },
        library: Member {
            path: "onnxruntime/capi/libonnxruntime.1.32.0.dylib",
            file_name: "libonnxruntime.1.32.0.dylib",
            sha256: "fa585fabbea65b823b9a8f7e27d46aee3989d1be7e36b528203d3a1fd613aae7",
        },
    },
];

/// The wheel without any native part: the model and its configuration are the same in all.
pub(crate) const MAGIKA: Wheel = Wheel {
    package: "magika",
    version: MAGIKA_VERSION,
    file_name: "magika-1.0.3-py3-none-any.whl",
    sha256: "938d8e033953f2ddeb8c35dc423aa289ca116bfa7a71a778f6e77460f9025803",
    tags: &["--platform=any", "--implementation=py", "--abi=none"],
};

/// What the example `file-type` needs of it.
pub(crate) const MAGIKA_FILES: &[Member] = &[
    Member {
        path: "magika/models/standard_v3_3/model.onnx",
        file_name: "model.onnx",
        sha256: "fe2d2eb49c5f88a9e0a6c048e15d6ffdf86235519c2afc535044de433169ec8c",
    },
    Member {
        path: "magika/models/standard_v3_3/config.min.json",
        file_name: "config.min.json",
        sha256: "ae24c742205358f6ff6dfd5facb6743fb69743dbba8373e73da58ff0cbd695db",
    },
    Member {
        path: "magika/config/content_types_kb.min.json",
        file_name: "content_types_kb.min.json",
        sha256: "75208adba69bc0556403b62b32ef3ccf8b5ce494411780845852e52e6583a10d",
    },
];
