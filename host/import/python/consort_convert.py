"""Turns one model into ONNX, for `consort import`, which starts this file in a process of its own.

    python -I -B consort_convert.py REQUEST.json

The request is an object: kind, model, out (the file to write), inputs, opset. What comes back are
lines of JSON on standard output: {"progress": text} any number of times, then one of {"imported":
{...}} and {"failed": {"kind", "message"}}. Whatever libraries print goes to standard error.
"""

import importlib.metadata
import json
import os
import platform
import sys
import warnings

# ONNX's element types and the names of the Open Inference Protocol.
DATATYPES = {
    1: "FP32", 2: "UINT8", 3: "INT8", 4: "UINT16", 5: "INT16", 6: "INT32", 7: "INT64",
    8: "BYTES", 9: "BOOL", 10: "FP16", 11: "FP64", 12: "UINT32", 13: "UINT64", 16: "BF16",
}

# The packages whose versions are worth knowing afterwards.
TOLD = [
    "numpy", "scikit-learn", "xgboost", "xgboost-cpu", "lightgbm", "tensorflow", "tensorflow-cpu", "torch",
    "skl2onnx", "onnxmltools", "tf2onnx", "onnxscript", "onnx", "onnxruntime",
]

WARNINGS_MAX = 20
WARNING_CHARS_MAX = 500
MESSAGE_CHARS_MAX = 4000


class Failed(Exception):
    """A refusal that its reader can do something about."""

    def __init__(self, kind, message):
        super().__init__(message)
        self.kind = kind


class Report:
    """The lines that the host reads."""

    def __init__(self, descriptor):
        self.lines = os.fdopen(descriptor, "w", encoding="utf-8", buffering=1)

    def say(self, name, content):
        self.lines.write(json.dumps({name: content}, allow_nan=False) + "\n")

    def progress(self, text):
        self.say("progress", text)


def needed(module, package):
    """Imports a module, or says which package is missing."""
    try:
        return __import__(module, fromlist=["_"])
    except ImportError as error:
        missing = getattr(error, "name", None) or module
        if missing.split(".")[0] == module.split(".")[0]:
            raise Failed("package", package) from error
        raise Failed("converter", f"{package} cannot be imported: {error}") from error


def described(value):
    """An input or output of the graph: name, datatype and shape, -1 for an axis of any length."""
    kind = value.type.WhichOneof("value")
    if kind != "tensor_type":
        return {"name": value.name, "datatype": kind.removesuffix("_type"), "shape": []}
    tensor = value.type.tensor_type
    shape = [axis.dim_value if axis.HasField("dim_value") else -1 for axis in tensor.shape.dim]
    return {"name": value.name, "datatype": DATATYPES.get(tensor.elem_type, f"type {tensor.elem_type}"), "shape": shape}


def read_back(path):
    """What the file itself says of its inputs, outputs and operator sets."""
    onnx = needed("onnx", "onnx")
    model = onnx.load(path, load_external_data=False)
    onnx.checker.check_model(path)
    stored = {initializer.name for initializer in model.graph.initializer}
    return {
        "inputs": [described(value) for value in model.graph.input if value.name not in stored],
        "outputs": [described(value) for value in model.graph.output],
        # Some converters name one twice.
        "opsets": sorted({(opset.domain or "ai.onnx", opset.version) for opset in model.opset_import}),
    }


def versions():
    found = [["python", platform.python_version()]]
    for name in TOLD:
        try:
            found.append([name, importlib.metadata.version(name)])
        except importlib.metadata.PackageNotFoundError:
            pass
    return found


def convert(request, report):
    kind = request["kind"]
    if kind in ("sklearn", "xgboost", "lightgbm"):
        import consort_tabular as converter
    elif kind == "tensorflow":
        import consort_tensorflow as converter
    else:
        import consort_torch as converter
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        imported = converter.convert(request, report)
    report.progress("reading the ONNX file back")
    imported.update(read_back(request["out"]))
    imported["versions"] = versions()
    # Deprecations are for the authors of the libraries; what is left is for the model's user.
    texts = [str(one.message) for one in caught if not issubclass(one.category, (DeprecationWarning, FutureWarning, PendingDeprecationWarning, ImportWarning, ResourceWarning))]
    texts = list(dict.fromkeys(" ".join(text.split())[:WARNING_CHARS_MAX] for text in texts))
    imported["warnings"] = (imported.get("warnings", []) + texts)[:WARNINGS_MAX]
    return imported


def main():
    # The report has standard output for itself: libraries print too.
    descriptor = os.dup(1)
    os.dup2(2, 1)
    report = Report(descriptor)
    here = os.path.dirname(os.path.abspath(__file__))
    sys.path.insert(0, here)
    # So that the converters find `Failed` and `needed` in this very module.
    sys.modules["consort_convert"] = sys.modules["__main__"]
    try:
        with open(sys.argv[1], encoding="utf-8") as file:
            request = json.load(file)
        report.say("imported", convert(request, report))
    except Failed as failed:
        report.say("failed", {"kind": failed.kind, "message": str(failed)[:MESSAGE_CHARS_MAX]})
    except MemoryError:
        report.say("failed", {"kind": "converter", "message": "out of memory"})
    except Exception as error:
        import traceback

        traceback.print_exc()
        text = f"{type(error).__name__}: {error}"
        report.say("failed", {"kind": "converter", "message": text[:MESSAGE_CHARS_MAX]})


if __name__ == "__main__":
    main()
