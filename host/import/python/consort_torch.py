"""TorchScript and torch.export programs, by torch.onnx."""

import os

from consort_convert import Failed, needed

TYPES = {
    "FP32": "float32", "FP64": "float64", "FP16": "float16", "BF16": "bfloat16", "INT64": "int64", "INT32": "int32",
    "INT16": "int16", "INT8": "int8", "UINT8": "uint8", "BOOL": "bool",
}

# How long an axis of any length is in the example that the exporter follows; not 1, which
# exporters take for an axis to be broadcast.
ANY = 2


def convert(request, report):
    torch = needed("torch", "torch")
    if request["kind"] == "torchscript":
        return convert_script(torch, request, report)
    return convert_program(torch, request, report)


def convert_script(torch, request, report):
    report.progress("torch.jit.load")
    try:
        module = torch.jit.load(request["model"], map_location="cpu").eval()
    except RuntimeError as error:
        raise Failed("file", f"torch.jit.load cannot read it: {str(error).splitlines()[0]}") from error
    names = [argument.name for argument in module.forward.schema.arguments[1:]]
    given = request["inputs"]
    if len(given) != len(names):
        wanted = " ".join(f"--input {name}=FP32[...]" for name in names)
        raise Failed("inputs", f"TorchScript does not say what shapes it takes; without the axis that counts examples: {wanted}")
    known = {one["name"]: one for one in given}
    # By the names of `forward` where they agree, else in the order given.
    ordered = [known[name] for name in names] if set(known) == set(names) else given
    examples = tuple(example(torch, one) for one in ordered)
    axes = {one["name"]: axes_of(one) for one in ordered}
    try:
        outputs = module(*examples)
    except RuntimeError as error:
        raise Failed("inputs", f"the module refuses inputs of these shapes: {last_line(error)}") from error
    output_names = names_of(outputs)
    many = list(outputs.values()) if isinstance(outputs, dict) else outputs if isinstance(outputs, (tuple, list)) else [outputs]
    # Where examples are stacked along the first axis, the outputs have as many rows.
    for name, value in zip(output_names, many):
        if getattr(value, "ndim", 0) and value.shape[0] == ANY:
            axes[name] = {0: "batch"}
    report.progress("torch.onnx.export(dynamo=False)")
    torch.onnx.export(
        module, examples, request["out"], input_names=[one["name"] for one in ordered], output_names=output_names,
        dynamic_axes=axes, opset_version=request["opset"] or 18, dynamo=False,
    )
    return imported(torch, request, "torch.onnx.export(dynamo=False)", module, examples, [one["name"] for one in ordered])


def convert_program(torch, request, report):
    needed("onnxscript", "onnxscript")
    if request["inputs"]:
        raise Failed("inputs", "an exported program holds its inputs and their shapes: leave --input out")
    report.progress("torch.export.load")
    try:
        program = torch.export.load(request["model"])
    except Exception as error:
        raise Failed("file", f"torch.export.load cannot read it: {last_line(error)}") from error
    names = None
    if program.example_inputs is not None:
        args, kwargs = program.example_inputs
        names = names_of(program.module()(*args, **kwargs))
    report.progress("torch.onnx.export(dynamo=True)")
    options = {"output_names": names} if names else {}
    exported = torch.onnx.export(program, dynamo=True, opset_version=request["opset"], **options)
    exported.save(request["out"])
    args = program.example_inputs[0] if program.example_inputs is not None else None
    told = imported(torch, request, "torch.onnx.export(dynamo=True)", program.module(), args, None)
    return told


def imported(torch, request, converter, module, examples, names):
    agreed, problem = agreement(torch, request, module, examples, names)
    folder = os.path.dirname(request["out"])
    return {
        "converter": converter,
        "labels": None,
        "columns": None,
        "agreement": agreed,
        "warnings": [problem] if problem else [],
        # Large weights lie beside the model.
        "files": sorted(os.listdir(folder)),
    }


def example(torch, given):
    name = TYPES.get(given["datatype"])
    if name is None:
        raise Failed("inputs", f"the input {given['name']} is {given['datatype']}, for which torch has no type")
    shape = [ANY] + [ANY if axis < 0 else axis for axis in given["shape"]]
    kind = getattr(torch, name)
    generator = torch.Generator().manual_seed(20)
    if kind.is_floating_point:
        return torch.randn(shape, generator=generator).to(kind)
    return torch.zeros(shape, dtype=kind)


def axes_of(given):
    free = {at + 1: f"{given['name']}_{at + 1}" for at, axis in enumerate(given["shape"]) if axis < 0}
    return {0: "batch", **free}


def names_of(outputs):
    """Keyed tensors go by their keys."""
    if isinstance(outputs, dict):
        return [str(name) for name in outputs]
    if isinstance(outputs, (tuple, list)):
        return [f"output_{at}" for at in range(len(outputs))]
    return ["output"]


def agreement(torch, request, module, examples, names):
    """Runs the module and the file on the same example."""
    if examples is None:
        return None, "the program holds no example inputs, so that the result was not compared with it"
    try:
        import onnxruntime

        session = onnxruntime.InferenceSession(request["out"], providers=["CPUExecutionProvider"])
        names = names or [given.name for given in session.get_inputs()]
        results = session.run(None, {name: value.numpy() for name, value in zip(names, examples)})
        with torch.no_grad():
            outputs = module(*examples)
        outputs = list(outputs.values()) if isinstance(outputs, dict) else outputs if isinstance(outputs, (tuple, list)) else [outputs]
        worst = max(float((value.double() - torch.from_numpy(result).double()).abs().max()) for value, result in zip(outputs, results))
        told = {"rows": int(examples[0].shape[0]) if examples[0].ndim else 1, "labels_differ": 0, "worst": worst}
        return told, None if worst <= 1e-3 else f"the ONNX file and the module differ by up to {worst:.2e}; do not use it before you know why"
    except Exception as error:
        return None, f"the result could not be compared with the model: {type(error).__name__}: {error}"


def last_line(error):
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__
