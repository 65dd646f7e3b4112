"""Writes the fixtures of the plugin's tests with SciPy and NumPy.

    python plugins/scores/reference/make.py plugins/scores/tests/fixtures/scipy.jsonl

A line is a case: datatype, activation, the numbers as bits in hexadecimal digits, and all
scores and indices, the best first. All is computed in double precision.
"""

import json
import sys

import numpy as np
from scipy.special import expit, softmax

INF = float("inf")
ROWS = [
    [0.0],
    [1.5, -2.0],
    [1, 2, 3, 4],
    [0, 0, 0],
    [-0.0, 0.0, -0.0],
    [3, 1, 3, 2, 1, 3],
    [1e4, 9999, -1e4],
    [6e4, -6e4, 0],
    [-INF, 0, 1],
    [-INF, -INF, -5],
    [88.8, 88.9, -103.9, -104.1],
    [-745.2, -745.0, -710],
    [710, 709, 0],
    [1e-40, 2e-40, -1e-40, 0],
    [5e-324, 0, -5e-324],
    [6e-8, 0, -6e-8],
    [3.4e38, -3.4e38, 3.3e38],
    [1.7e308, -1.7e308, 1.6e308],
    [0.1, 0.1 + 1e-9, 0.1 - 1e-9],
    list(np.sin(np.arange(1000.0) * 7) * 20),
    list(np.round(np.cos(np.arange(300.0)) * 4)),
]
TYPES = {"fp16": np.float16, "fp32": np.float32, "fp64": np.float64}
BITS = {"fp16": np.uint16, "fp32": np.uint32, "fp64": np.uint64}


def main(path):
    with open(path, "w", encoding="ascii") as file:
        for name, dtype in TYPES.items():
            for row in ROWS:
                with np.errstate(over="ignore"):
                    numbers = np.array(row, dtype)
                if np.isposinf(numbers).any():
                    continue
                wide = numbers.astype(np.float64)
                order = np.argsort(-wide, kind="stable")
                for activation, scores in (
                    ("none", wide),
                    ("softmax", softmax(wide)),
                    ("sigmoid", expit(wide)),
                ):
                    if len(row) > 20 and (activation, name) != ("softmax", "fp32"):
                        continue
                    with np.errstate(over="ignore"):
                        best = scores[order].astype(np.float32)
                    case = {
                        "datatype": name,
                        "activation": activation,
                        "numbers": " ".join(f"{bits:x}" for bits in numbers.view(BITS[name])),
                        "scores": " ".join(f"{bits:x}" for bits in best.view(np.uint32)),
                        "order": order.tolist(),
                    }
                    file.write(json.dumps(case) + "\n")


if __name__ == "__main__":
    main(sys.argv[1])
