"""Writes the ONNX graph of all-MiniLM-L6-v2 from its published weights.

    export.py MODEL_FOLDER OUTPUT

MODEL_FOLDER holds `model.safetensors` and `config.json`. The graph is BERT's encoder without
its pooler: three inputs of shape [batch, sequence], one output [batch, sequence, hidden].
"""

import json
import math
import pathlib
import sys

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

OPSET = 17
# Written into the file, and the oldest that every supported ONNX Runtime reads.
IR_VERSION = 9


def read_safetensors(path):
    """Every tensor of a file by name: its header is JSON, its length stands in front."""
    data = pathlib.Path(path).read_bytes()
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    header.pop("__metadata__", None)
    kinds = {"F32": np.float32, "I64": np.int64}
    tensors = {}
    for name, entry in header.items():
        start, end = (8 + length + offset for offset in entry["data_offsets"])
        tensors[name] = np.frombuffer(data[start:end], kinds[entry["dtype"]]).reshape(entry["shape"])
    return tensors


class Graph:
    """Nodes and constants in the order they are made; each method returns its output's name."""

    def __init__(self):
        self.nodes = []
        self.constants = []

    def constant(self, name, value):
        """Adds a constant."""
        self.constants.append(numpy_helper.from_array(np.array(value, order="C"), name))
        return name

    def node(self, kind, inputs, name, **attributes):
        """Adds a node with one output, which gets the node's name."""
        self.nodes.append(helper.make_node(kind, inputs, [name], name=name, **attributes))
        return name


def build(weights, config):
    """The whole model."""
    hidden, heads = config["hidden_size"], config["num_attention_heads"]
    graph = Graph()

    def weight(name):
        return graph.constant(name, weights[name])

    def dense(value, name):
        kernel = graph.constant(f"{name}.weight", weights[f"{name}.weight"].T)
        product = graph.node("MatMul", [value, kernel], f"{name}.product")
        return graph.node("Add", [product, weight(f"{name}.bias")], f"{name}.sum")

    def norm(value, name):
        inputs = [value, weight(f"{name}.weight"), weight(f"{name}.bias")]
        return graph.node(
            "LayerNormalization", inputs, f"{name}.out", axis=-1, epsilon=config["layer_norm_eps"]
        )

    # Words, kinds and positions.
    length = graph.node("Shape", ["input_ids"], "length", start=1, end=2)
    zero = graph.constant("zero", np.array([0]))
    words = graph.node("Gather", [weight("embeddings.word_embeddings.weight"), "input_ids"], "words")
    kinds = graph.node("Gather", [weight("embeddings.token_type_embeddings.weight"), "token_type_ids"], "kinds")
    table = weight("embeddings.position_embeddings.weight")
    places = graph.node("Slice", [table, zero, length, zero], "places")
    value = graph.node("Add", [words, kinds], "words_and_kinds")
    value = graph.node("Add", [value, places], "embedded")
    value = norm(value, "embeddings.LayerNorm")

    # What is masked gets the least number there is, so that its share is nothing.
    middle = graph.constant("mask.axes", np.array([1, 2]))
    mask = graph.node("Unsqueeze", ["attention_mask", middle], "mask.wide")
    mask = graph.node("Cast", [mask], "mask.float", to=TensorProto.FLOAT)
    mask = graph.node("Sub", [graph.constant("mask.one", np.float32(1)), mask], "mask.inverse")
    least = graph.constant("mask.least", np.float32(np.finfo(np.float32).min))
    mask = graph.node("Mul", [mask, least], "mask.added")

    apart = graph.constant("heads.apart", np.array([0, 0, heads, hidden // heads]))
    together = graph.constant("heads.together", np.array([0, 0, hidden]))
    scale = graph.constant("scale", np.float32(math.sqrt(hidden // heads)))
    root = graph.constant("gelu.root", np.float32(math.sqrt(2)))
    float_one = graph.constant("gelu.one", np.float32(1))
    half = graph.constant("gelu.half", np.float32(0.5))
    for layer in range(config["num_hidden_layers"]):
        at = f"encoder.layer.{layer}"

        def head(part, axes):
            projected = dense(value, f"{at}.attention.self.{part}")
            split = graph.node("Reshape", [projected, apart], f"{at}.{part}.split")
            return graph.node("Transpose", [split], f"{at}.{part}.heads", perm=axes)

        query, key = head("query", [0, 2, 1, 3]), head("key", [0, 2, 3, 1])
        values = head("value", [0, 2, 1, 3])
        scores = graph.node("MatMul", [query, key], f"{at}.scores")
        scores = graph.node("Div", [scores, scale], f"{at}.scaled")
        scores = graph.node("Add", [scores, mask], f"{at}.masked")
        shares = graph.node("Softmax", [scores], f"{at}.shares", axis=-1)
        mixed = graph.node("MatMul", [shares, values], f"{at}.mixed")
        mixed = graph.node("Transpose", [mixed], f"{at}.back", perm=[0, 2, 1, 3])
        mixed = graph.node("Reshape", [mixed, together], f"{at}.joined")
        mixed = dense(mixed, f"{at}.attention.output.dense")
        mixed = graph.node("Add", [mixed, value], f"{at}.attention.residual")
        value = norm(mixed, f"{at}.attention.output.LayerNorm")

        wide = dense(value, f"{at}.intermediate.dense")
        bend = graph.node("Div", [wide, root], f"{at}.gelu.div")
        bend = graph.node("Erf", [bend], f"{at}.gelu.erf")
        bend = graph.node("Add", [bend, float_one], f"{at}.gelu.add")
        bend = graph.node("Mul", [wide, bend], f"{at}.gelu.mul")
        bend = graph.node("Mul", [bend, half], f"{at}.gelu.half")
        narrow = dense(bend, f"{at}.output.dense")
        narrow = graph.node("Add", [narrow, value], f"{at}.output.residual")
        value = norm(narrow, f"{at}.output.LayerNorm")
    graph.node("Identity", [value], "last_hidden_state")

    free = ["batch", "sequence"]
    names = ["input_ids", "attention_mask", "token_type_ids"]
    inputs = [helper.make_tensor_value_info(name, TensorProto.INT64, free) for name in names]
    output = helper.make_tensor_value_info("last_hidden_state", TensorProto.FLOAT, [*free, hidden])
    whole = helper.make_graph(graph.nodes, "all-MiniLM-L6-v2", inputs, [output], graph.constants)
    model = helper.make_model(whole, opset_imports=[helper.make_opsetid("", OPSET)], producer_name="consort")
    model.ir_version = IR_VERSION
    onnx.checker.check_model(model)
    return model


def main():
    """Reads, builds, writes; a file that is there is complete."""
    folder, output = map(pathlib.Path, sys.argv[1:3])
    config = json.loads((folder / "config.json").read_text())
    if config["hidden_act"] != "gelu" or config["position_embedding_type"] != "absolute":
        sys.exit("export.py: the configuration is of another kind of BERT")
    model = build(read_safetensors(folder / "model.safetensors"), config)
    partial = output.with_suffix(".partial")
    onnx.save(model, partial)
    partial.rename(output)


if __name__ == "__main__":
    main()
