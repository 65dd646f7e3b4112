"""A TensorFlow SavedModel, by tf2onnx's own command line."""

import os
import sys

from consort_convert import Failed, needed

# What tf2onnx takes where nothing else is asked for: the newest that it supports well.
OPSET = 18


def convert(request, report):
    needed("tensorflow", "tensorflow-cpu")
    tf2onnx = needed("tf2onnx.convert", "tf2onnx")
    if request["inputs"]:
        raise Failed("inputs", "a SavedModel declares its inputs by itself: leave --input out")
    signatures = signature_names(request["model"])
    # Keras writes its own `serve` beside what other programs look for.
    chosen = next((name for name in ("serving_default", "serve") if name in signatures), None)
    if chosen is None:
        raise Failed("unsupported", f"it has no signature serving_default or serve, only {', '.join(sorted(signatures)) or 'none'}; save it with one")
    command = ["--saved-model", request["model"], "--signature_def", chosen, "--output", request["out"], "--opset", str(request["opset"] or OPSET)]
    report.progress("python -m tf2onnx.convert " + " ".join(command))
    arguments, sys.argv = sys.argv, ["tf2onnx.convert", *command]
    try:
        tf2onnx.main()
    except SystemExit as error:
        raise Failed("converter", f"tf2onnx ended with {error.code}") from error
    except ValueError as error:
        raise Failed("unsupported", f"tf2onnx: {error}") from error
    finally:
        sys.argv = arguments
    if not os.path.exists(request["out"]):
        raise Failed("converter", "tf2onnx wrote nothing")
    agreed, problem = agreement(request, chosen)
    return {
        "converter": "python -m tf2onnx.convert " + " ".join(command),
        "labels": None,
        "columns": None,
        "agreement": agreed,
        "warnings": [problem] if problem else [],
        "files": ["model.onnx"],
    }


def signature_names(path):
    from tensorflow.core.protobuf import saved_model_pb2

    saved = saved_model_pb2.SavedModel()
    try:
        with open(os.path.join(path, "saved_model.pb"), "rb") as file:
            saved.ParseFromString(file.read())
    except Exception as error:
        raise Failed("file", f"saved_model.pb cannot be read: {error}") from error
    return {name for graph in saved.meta_graphs for name in graph.signature_def if not name.startswith("__")}


def agreement(request, chosen):
    """Runs the signature and the file on the same rows of chance."""
    try:
        import numpy
        import onnxruntime
        import tensorflow

        loaded = tensorflow.saved_model.load(request["model"])
        function = loaded.signatures[chosen]
        random = numpy.random.default_rng(20)
        feeds = {}
        for name, spec in function.structured_input_signature[1].items():
            shape = [4 if axis is None else axis for axis in spec.shape]
            feeds[name] = random.standard_normal(shape).astype(spec.dtype.as_numpy_dtype)
        expected = function(**{name: tensorflow.constant(value) for name, value in feeds.items()})
        session = onnxruntime.InferenceSession(request["out"], providers=["CPUExecutionProvider"])
        results = dict(zip([output.name for output in session.get_outputs()], session.run(None, feeds)))
        worst = max(float(numpy.max(numpy.abs(value.numpy().astype(float) - results[name]))) for name, value in expected.items())
        told = {"rows": 4, "labels_differ": 0, "worst": worst}
        return told, None if worst <= 1e-3 else f"the ONNX file and the SavedModel differ by up to {worst:.2e}; do not use it before you know why"
    except Exception as error:
        return None, f"the result could not be compared with the model: {type(error).__name__}: {error}"
