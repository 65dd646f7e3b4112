#!/usr/bin/env python3
"""Runs the unmodified tritonclient[http] from PyPI against a server.

    tritonclient_http.py HOST:PORT --model NAME [--ensemble NAME] ...

Every endpoint named is checked in the same way, whatever its tensors are: requests are
made up from its metadata. Each check prints a line; the exit status is 0 if all passed.
"""

import argparse
import json
import sys
import urllib.request

import numpy as np
import tritonclient.http as http
from tritonclient.utils import InferenceServerException, triton_to_np_dtype

ROWS = 3
# One text stands for files, and its length for sizes and other numbers, so that inputs
# which belong together agree. The length is below 128, so that it fits every datatype.
TEXT = b"#!/bin/sh\nset -eu\nfor name in *.txt; do\n  echo \"$name\" | sort | uniq -c\ndone\n"
# Rows of a batch may be computed together, and sums of floats depend on their order.
FLOAT_TOLERANCE = 0.02
# A datatype that JSON has no form for.
BINARY_ONLY = ("FP16", "BF16")

passed = 0


def check(condition, what, detail=""):
    """One line per check; the first failure ends the run."""
    global passed
    if not condition:
        print(f"FAILED  {what}: {detail}", file=sys.stderr)
        sys.exit(1)
    passed += 1
    print(f"ok      {what}")


def refused(what, status, words, call):
    """The call must raise, with this status and these words in the message."""
    try:
        result = call()
    except InferenceServerException as error:
        message = str(error.message())
        fits = error.status() == str(status) and all(word in message for word in words)
        check(fits, what, f"status {error.status()}: {message}")
        return
    check(False, what, f"there was no error, but {result!r}")


class Endpoint:
    """An endpoint as its metadata describes it, and requests made up for it."""

    def __init__(self, client, name):
        self.client = client
        self.name = name
        self.metadata = client.get_model_metadata(name)
        self.config = client.get_model_config(name)
        self.is_batched = self.config["max_batch_size"] > 0
        self.input_specs = self.metadata["inputs"]
        self.output_names = [output["name"] for output in self.metadata["outputs"]]
        datatypes = {o["name"]: o["datatype"] for o in self.metadata["outputs"]}
        self.json_outputs = [n for n, d in datatypes.items() if d not in BINARY_ONLY]

    def array(self, spec, rows):
        shape = [1 if length < 0 else length for length in spec["shape"]]
        if self.is_batched:
            shape[0] = rows
        if spec["datatype"] == "BYTES":
            return np.full(shape, TEXT, dtype=np.object_)
        if spec["datatype"] == "BOOL":
            return np.ones(shape, dtype=bool)
        return np.full(shape, len(TEXT), dtype=triton_to_np_dtype(spec["datatype"]))

    def arrays(self, rows=ROWS):
        return {spec["name"]: self.array(spec, rows) for spec in self.input_specs}

    def inputs(self, arrays, binary=True):
        made = []
        for spec in self.input_specs:
            array = arrays[spec["name"]]
            made.append(http.InferInput(spec["name"], list(array.shape), spec["datatype"]))
            is_binary = binary or spec["datatype"] in BINARY_ONLY
            made[-1].set_data_from_numpy(array, binary_data=is_binary)
        return made

    def infer(self, rows=ROWS, binary=True, **more):
        return self.client.infer(self.name, self.inputs(self.arrays(rows), binary), **more)


def same(a, b):
    if a is None or b is None or a.shape != b.shape or a.dtype != b.dtype:
        return False
    if a.dtype == np.object_ or not np.issubdtype(a.dtype, np.floating):
        return bool(np.array_equal(as_bytes(a), as_bytes(b)))
    return bool(np.allclose(a, b, atol=FLOAT_TOLERANCE, equal_nan=True))


def as_bytes(array):
    """tritonclient gives texts as bytes from binary outputs and as str from JSON."""
    if array.dtype != np.object_:
        return array
    texts = [x.encode() if isinstance(x, str) else bytes(x) for x in array.flatten()]
    return np.array(texts, dtype=np.object_).reshape(array.shape)


def check_server(client, names):
    check(client.is_server_live(), "the server is live")
    check(client.is_server_ready(), "the server is ready")
    metadata = client.get_server_metadata()
    check(set(metadata) == {"name", "version", "extensions"}, "server metadata", metadata)
    check("binary_tensor_data" in metadata["extensions"], "it offers binary tensors", metadata)
    index = client.get_model_repository_index()
    listed = {entry["name"]: entry for entry in index}
    check(set(names) <= set(listed), "the index lists the endpoints", index)
    check(all(listed[n]["state"] == "READY" for n in names), "the index says READY", index)
    check(not client.is_model_ready("nobody"), "an unknown model is not ready")
    refused("metadata of an unknown model", 404, ["nobody"], lambda: client.get_model_metadata("nobody"))
    refused("config of an unknown model", 404, ["nobody"], lambda: client.get_model_config("nobody"))
    made = http.InferInput("x", [1], "FP32")
    made.set_data_from_numpy(np.zeros(1, dtype=np.float32))
    refused("inference on an unknown model", 404, ["nobody"], lambda: client.infer("nobody", [made]))


def check_description(client, endpoint):
    name, metadata, config = endpoint.name, endpoint.metadata, endpoint.config
    check(metadata["name"] == config["name"] == name, f"{name}: metadata and config name it")
    version = metadata["versions"][0]
    check(client.is_model_ready(name), f"{name}: ready")
    check(client.is_model_ready(name, version), f"{name}: ready in version {version}")
    same_metadata = client.get_model_metadata(name, version) == metadata
    check(same_metadata, f"{name}: metadata of version {version}")
    check(client.get_model_config(name, version) == config, f"{name}: config of version {version}")
    check(not client.is_model_ready(name, "none-such"), f"{name}: another version is not ready")
    words = ["none-such", version]
    refused(f"{name}: metadata of another version", 404, words,
            lambda: client.get_model_metadata(name, "none-such"))
    for kind in ("input", "output"):
        tensors = metadata[kind + "s"]
        check(len(tensors) > 0, f"{name}: has {kind}s")
        for tensor, configured in zip(tensors, config[kind], strict=True):
            dims = tensor["shape"][1:] if endpoint.is_batched else tensor["shape"]
            check(configured["name"] == tensor["name"] and configured["dims"] == dims,
                  f"{name}: {kind} {tensor['name']} {tensor['datatype']} {tensor['shape']}", configured)
            if endpoint.is_batched:
                check(tensor["shape"][0] == -1, f"{name}: {kind} {tensor['name']} is batched")


def check_inference(client, endpoint):
    name = endpoint.name
    result = endpoint.infer(request_id="request 1")
    response = result.get_response()
    check(response["model_name"] == name, f"{name}: the response names the model", response)
    version = endpoint.metadata["versions"][0]
    check(response["model_version"] == version, f"{name}: ... and its version", response)
    check(response["id"] == "request 1", f"{name}: ... and the request's id", response)
    names = [output["name"] for output in response["outputs"]]
    check(names == endpoint.output_names, f"{name}: all outputs in order, none asked for", names)
    check("id" not in endpoint.infer().get_response(), f"{name}: no id, no echo")

    reference = {output: result.as_numpy(output) for output in endpoint.output_names}
    for spec in endpoint.metadata["outputs"]:
        array = reference[spec["name"]]
        fits = len(array.shape) == len(spec["shape"]) and all(
            expected in (-1, length) for expected, length in zip(spec["shape"], array.shape))
        rows_fit = not endpoint.is_batched or array.shape[0] == ROWS
        check(fits and rows_fit, f"{name}: output {spec['name']} has shape {list(array.shape)}", spec)

    check_forms(endpoint, reference)
    if endpoint.is_batched:
        single = endpoint.infer(rows=1)
        first = all(same(single.as_numpy(o), reference[o][:1]) for o in endpoint.output_names)
        check(first, f"{name}: one row alone is as in a batch of {ROWS}")

    for algorithm in ("gzip", "deflate"):
        for binary in (True, False):
            packed = endpoint.infer(binary=binary, request_compression_algorithm=algorithm,
                                    response_compression_algorithm=algorithm)
            equal = all(same(packed.as_numpy(o), reference[o]) for o in endpoint.output_names)
            form = "binary" if binary else "JSON"
            check(equal, f"{name}: {algorithm} both ways, {form}")

    extras = endpoint.infer(
        model_version=version, priority=1, timeout=20_000_000,
        parameters={"mine": "x", "number": 1.5, "truth": True},
        headers={"X-Mine": "1"}, query_params={"mine": "1"})
    equal = all(same(extras.as_numpy(o), reference[o]) for o in endpoint.output_names)
    check(equal, f"{name}: version, priority, timeout and parameters of one's own")

    pending = [client.async_infer(name, endpoint.inputs(endpoint.arrays())) for _ in range(16)]
    results = [request.get_result() for request in pending]
    equal = all(same(r.as_numpy(o), reference[o]) for r in results for o in endpoint.output_names)
    check(equal, f"{name}: 16 requests at once")


def check_forms(endpoint, reference):
    """Every way to send and to ask for tensors gives the same."""
    name = endpoint.name
    for binary_in in (True, False):
        sent = "binary" if binary_in else "JSON"
        for binary_out in (True, False):
            wanted = list(reversed(endpoint.output_names if binary_out else endpoint.json_outputs))
            if not wanted:
                continue
            outputs = [http.InferRequestedOutput(o, binary_data=binary_out) for o in wanted]
            result = endpoint.infer(binary=binary_in, outputs=outputs)
            got = [output["name"] for output in result.get_response()["outputs"]]
            asked = "binary" if binary_out else "JSON"
            check(got == wanted, f"{name}: {sent} in, {asked} out: outputs in the order asked for", got)
            equal = all(same(as_bytes(result.as_numpy(o)), as_bytes(reference[o])) for o in wanted)
            check(equal, f"{name}: {sent} in, {asked} out: the same numbers")
            in_json = ["data" in output for output in result.get_response()["outputs"]]
            check(all(has is not binary_out for has in in_json), f"{name}: ... in the form asked for")
    only = http.InferRequestedOutput(endpoint.output_names[-1])
    one = endpoint.infer(outputs=[only]).get_response()["outputs"]
    check(len(one) == 1, f"{name}: one output asked for, one given", one)
    if endpoint.json_outputs:
        mixed = [http.InferRequestedOutput(o, binary_data=o not in endpoint.json_outputs or i % 2 == 0)
                 for i, o in enumerate(endpoint.output_names)]
        result = endpoint.infer(outputs=mixed)
        equal = all(same(as_bytes(result.as_numpy(o)), as_bytes(reference[o])) for o in reference)
        check(equal, f"{name}: binary and JSON outputs in one response")
    for output in endpoint.output_names:
        if output not in endpoint.json_outputs:
            asked = [http.InferRequestedOutput(output, binary_data=False)]
            refused(f"{name}: half precision is refused in JSON", 400, [output, "binary"],
                    lambda asked=asked: endpoint.infer(outputs=asked))


def check_refusals(client, endpoint):
    name = endpoint.name
    arrays = endpoint.arrays()
    first = endpoint.input_specs[0]
    missing = endpoint.inputs(arrays)[1:]
    if missing:
        refused(f"{name}: a missing input", 400, [first["name"]], lambda: client.infer(name, missing))
    extra = http.InferInput("no-such-input", [1], "INT32")
    extra.set_data_from_numpy(np.zeros(1, dtype=np.int32))
    refused(f"{name}: an extra input", 400, ["no-such-input"],
            lambda: client.infer(name, endpoint.inputs(arrays) + [extra]))
    twice = endpoint.inputs(arrays) + endpoint.inputs(arrays)[:1]
    refused(f"{name}: an input given twice", 400, [first["name"], "twice"], lambda: client.infer(name, twice))

    other = "FP64" if first["datatype"] != "FP64" else "INT64"
    wrong = http.InferInput(first["name"], list(arrays[first["name"]].shape), other)
    wrong.set_data_from_numpy(np.zeros(arrays[first["name"]].shape, dtype=triton_to_np_dtype(other)))
    rest = endpoint.inputs(arrays)[1:]
    refused(f"{name}: a wrong datatype", 400, [first["name"], other, first["datatype"]],
            lambda: client.infer(name, [wrong] + rest))

    shape = list(arrays[first["name"]].shape) + [1]
    deeper = http.InferInput(first["name"], shape, first["datatype"])
    deeper.set_data_from_numpy(arrays[first["name"]].reshape(shape))
    refused(f"{name}: a wrong shape", 400, [first["name"], "shape"], lambda: client.infer(name, [deeper] + rest))

    if endpoint.is_batched:
        refused(f"{name}: no rows at all", 400, ["row"], lambda: endpoint.infer(rows=0))
        if rest:
            more = endpoint.inputs(endpoint.arrays(ROWS + 1))[1:]
            refused(f"{name}: inputs of unequal rows", 400, ["rows"],
                    lambda: client.infer(name, endpoint.inputs(arrays)[:1] + more))

    unknown = [http.InferRequestedOutput("no-such-output")]
    refused(f"{name}: an unknown output", 400, ["no-such-output", endpoint.output_names[0]],
            lambda: endpoint.infer(outputs=unknown))
    twice = [http.InferRequestedOutput(endpoint.output_names[0])] * 2
    refused(f"{name}: an output asked for twice", 400, [endpoint.output_names[0], "twice"],
            lambda: endpoint.infer(outputs=twice))
    classes = [http.InferRequestedOutput(endpoint.output_names[0], class_count=2)]
    refused(f"{name}: classification is not offered", 501, ["classification"],
            lambda: endpoint.infer(outputs=classes))
    refused(f"{name}: sequences are not offered", 501, ["sequence"],
            lambda: endpoint.infer(sequence_id=5, sequence_start=True))


def check_strictly(address, endpoint):
    """The client's own request body, the answer read by a strict reader of JSON."""
    outputs = [http.InferRequestedOutput(o, binary_data=False) for o in endpoint.json_outputs]
    if not outputs:
        return
    inputs = endpoint.inputs(endpoint.arrays())
    body, json_size = http.InferenceServerClient.generate_request_body(inputs, outputs=outputs)
    headers = {} if json_size is None else {"Inference-Header-Content-Length": str(json_size)}
    url = f"http://{address}/v2/models/{endpoint.name}/infer"

    def no_constants(word):
        raise ValueError(f"{word} is not JSON")

    with urllib.request.urlopen(urllib.request.Request(url, data=body, headers=headers)) as response:
        text = response.read().decode()
        answer = json.loads(text, parse_constant=no_constants)
    sizes = {output["name"]: np.prod(output["shape"], dtype=int) for output in answer["outputs"]}
    counts = {output["name"]: len(output["data"]) for output in answer["outputs"]}
    check(sizes == counts, f"{endpoint.name}: JSON outputs are flat and strictly JSON", (sizes, counts))
    parsed = http.InferenceServerClient.parse_response_body(text.encode())
    check(parsed.get_response() == answer, f"{endpoint.name}: the client's own parser agrees")


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("address", help="HOST:PORT of the server")
    for option in ("--model", "--ensemble"):
        arguments.add_argument(option, dest="endpoints", action="append", metavar="NAME",
                               help="an endpoint to check; may be given more than once")
    arguments = arguments.parse_args()
    if not arguments.endpoints:
        sys.exit("name at least one endpoint with --model or --ensemble")

    with http.InferenceServerClient(arguments.address, concurrency=4) as client:
        check_server(client, arguments.endpoints)
        for name in arguments.endpoints:
            endpoint = Endpoint(client, name)
            check_description(client, endpoint)
            check_inference(client, endpoint)
            check_refusals(client, endpoint)
            check_strictly(arguments.address, endpoint)
    print(f"{passed} checks passed")


if __name__ == "__main__":
    main()
