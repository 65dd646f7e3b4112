#!/usr/bin/env python3
"""The small classifier of the benches as a person would write it in Python: one thread,
vectorised with numpy, batches of 1,024 rows, from JSON lines to JSON lines.

    mlp_loop.py INPUT OUTPUT

Prints the rows a second, reading and writing included, the imports not.
"""

import json
import os
import sys
import time

# One thread, as said: before numpy is imported.
for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[name] = "1"

import numpy as np  # noqa: E402

BATCH = 1024
LABELS = ["setosa", "versicolor", "virginica"]
# What the plugin does to every number.
MEAN, DEVIATION = np.float32(0.5), np.float32(2.0)


def layers():
    """The weights, drawn as `host/onnx/fixtures/make.py` draws them."""
    rng = np.random.default_rng(7)
    sizes = [16, 64, 64, 3]
    for wide, narrow in zip(sizes, sizes[1:]):
        weights = rng.standard_normal((wide, narrow)) * np.sqrt(2.0 / wide)
        bias = rng.standard_normal(narrow) * 0.1
        yield weights.astype(np.float32), bias.astype(np.float32)


def predict(layers, rows):
    x = (np.array(rows, dtype=np.float32) - MEAN) / DEVIATION
    for weights, bias in layers[:-1]:
        x = np.maximum(x @ weights + bias, 0)
    weights, bias = layers[-1]
    x = x @ weights + bias
    x = np.exp(x - x.max(axis=1, keepdims=True))
    return x / x.sum(axis=1, keepdims=True)


def batches(lines):
    batch = []
    for line in lines:
        batch.append(json.loads(line))
        if len(batch) == BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


def main(source, sink):
    model = list(layers())
    begin, count = time.perf_counter(), 0
    with open(source) as lines, open(sink, "w") as out:
        for batch in batches(lines):
            probabilities = predict(model, [row["inputs"]["measurements"] for row in batch])
            best = probabilities.argmax(axis=1)
            chosen = probabilities[np.arange(len(batch)), best].tolist()
            for row, label, probability in zip(batch, best.tolist(), chosen):
                outputs = {"label": LABELS[label], "probability": probability}
                line = {"key": row["key"], "outputs": outputs, "model_id": "mlp:1"}
                out.write(json.dumps(line) + "\n")
            count += len(batch)
    print(f"rows/s {count / (time.perf_counter() - begin):.0f}")


main(*sys.argv[1:])
