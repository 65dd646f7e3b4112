"""Write Consort plugins in Python.

A plugin prepares what a model reads, turns what it wrote into an answer, stands around the
model itself, or calls models as it sees fit. It runs inside the host as a sandboxed
WebAssembly component, made by `componentize-py`; in plain CPython the same code runs without
a host, for unit tests: tensors are plain memory there.

    import consort_sdk as consort

    @consort.export
    class Best(consort.Postprocess):
        def __init__(self, config, assets):
            self.labels = assets.text("labels.txt").splitlines()

        def describe(self):
            return (
                consort.Signature()
                .input("scores", consort.FP32, [len(self.labels)])
                .output("label", consort.BYTES, [1])
            )

        def postprocess(self, example):
            scores = example.read("scores")
            best = max(range(len(scores)), key=scores.__getitem__)
            return {"label": consort.Tensor.single_text(self.labels[best])}
"""

from consort_sdk import collate, log
from consort_sdk.assets import Assets
from consort_sdk.datatype import (
    BF16,
    BOOL,
    BYTES,
    FP16,
    FP32,
    FP64,
    INT8,
    INT16,
    INT32,
    INT64,
    UINT8,
    UINT16,
    UINT32,
    UINT64,
    Datatype,
)
from consort_sdk.error import Failed, InvalidInput, PluginError, TensorError
from consort_sdk.example import Example
from consort_sdk.model import Model, Pending, wait_all, wait_any
from consort_sdk.plugin import (
    Answer,
    Ensemble,
    Forward,
    ModelHandler,
    Postprocess,
    Preprocess,
    export,
)
from consort_sdk.signature import (
    ANY,
    Description,
    HandlerDescription,
    Signature,
    TensorSpec,
)
from consort_sdk.tensor import Tensor

__all__ = [
    "ANY",
    "Answer",
    "Assets",
    "BF16",
    "BOOL",
    "BYTES",
    "Datatype",
    "Description",
    "Ensemble",
    "Example",
    "FP16",
    "FP32",
    "FP64",
    "Failed",
    "Forward",
    "HandlerDescription",
    "INT16",
    "INT32",
    "INT64",
    "INT8",
    "InvalidInput",
    "Model",
    "ModelHandler",
    "Pending",
    "PluginError",
    "Postprocess",
    "Preprocess",
    "Signature",
    "Tensor",
    "TensorError",
    "TensorSpec",
    "UINT16",
    "UINT32",
    "UINT64",
    "UINT8",
    "collate",
    "export",
    "log",
    "wait_all",
    "wait_any",
]
