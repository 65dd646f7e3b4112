"""Writes the graph that Consort serves around the published one of Silero VAD.

    wrap.py PUBLISHED OUTPUT

The published graph reads `input` [batch, samples], `state` [2, batch, 128] and the rate `sr`, and
leaves it to its caller to put the end of the chunk before in front of each chunk. What is
written reads `audio`, `state` and `context`, and gives `probability`, `stateN` and `contextN`:
the batch is the first axis of each, and all that a stream carries from chunk to chunk is a
tensor of its own. The weights and every computation are the published ones.
"""

import sys

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

RATE = 16000
# Samples of a chunk, and of the chunk before that are heard again.
CHUNK = 512
CONTEXT = 64
STATE = (2, 128)

# What the published names are called inside, where the name outside means something else.
INSIDE = {"state": "state.inside", "stateN": "stateN.inside", "output": "probability"}


def rename(graph):
    """Gives the names inside to a graph and to all graphs in its nodes."""
    for node in graph.node:
        for names in (node.input, node.output):
            for at, name in enumerate(names):
                names[at] = INSIDE.get(name, name)
        for attribute in node.attribute:
            for inner in [attribute.g, *attribute.graphs]:
                rename(inner)
    for value in [*graph.output, *graph.value_info]:
        value.name = INSIDE.get(value.name, value.name)


def floats(name, *lengths):
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", *lengths])


def constant(name, value):
    return numpy_helper.from_array(np.array(value, dtype=np.int64), name)


def wrap(model):
    """The graph around the published one."""
    graph = model.graph
    known = [sorted(value.name for value in side) for side in (graph.input, graph.output)]
    if known != [["input", "sr", "state"], ["output", "stateN"]]:
        raise SystemExit(f"another graph is expected than one with {known}")
    rename(graph)
    turned = [1, 0, 2]
    before = [
        helper.make_node("Concat", ["context", "audio"], ["input"], axis=1),
        helper.make_node("Transpose", ["state"], ["state.inside"], perm=turned),
    ]
    after = [
        helper.make_node("Transpose", ["stateN.inside"], ["stateN"], perm=turned),
        helper.make_node("Slice", ["input", "context.from", "context.to", "context.axis"], ["contextN"]),
    ]
    nodes = [*before, *graph.node, *after]
    del graph.node[:], graph.input[:], graph.output[:]
    graph.node.extend(nodes)
    graph.initializer.append(constant("sr", RATE))
    graph.initializer.append(constant("context.from", [CHUNK]))
    graph.initializer.append(constant("context.to", [CHUNK + CONTEXT]))
    graph.initializer.append(constant("context.axis", [1]))
    graph.input.extend([floats("audio", CHUNK), floats("state", *STATE), floats("context", CONTEXT)])
    graph.output.extend([floats("probability", 1), floats("stateN", *STATE), floats("contextN", CONTEXT)])
    onnx.checker.check_model(model)
    return model


def main():
    published, output = sys.argv[1:]
    onnx.save(wrap(onnx.load(published)), output)


if __name__ == "__main__":
    main()
