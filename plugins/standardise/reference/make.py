"""Writes the fixtures of the plugin's tests with scikit-learn's StandardScaler.

    python plugins/standardise/reference/make.py plugins/standardise/tests/fixtures/scikit_learn.jsonl

A line is a case: datatype, mean and deviation as bits, shape, the numbers that come in and
those that come out. All numbers but integers are bits in hexadecimal digits.
"""

import json
import sys

import numpy as np
from sklearn.preprocessing import StandardScaler

AWKWARD = [
    [0.0, -0.0, 1.0],
    [1e300, 1e-300, 5e-324],
    [-1e300, 123456789.0, 0.1],
    [1.5, -7.25, 1e10],
    [3.0, 3.0, -3.0],
]
INTEGERS = [[0, 1, 2], [255, 128, 7], [31, 17, 200], [5, 5, 90]]
WIDE = [[2**53 + 1, -(2**62), 3], [7, 2**31, -4], [2**62 + 3, 0, 12]]


def bits(numbers):
    flat = np.ascontiguousarray(numbers).ravel()
    if flat.dtype.kind in "iu":
        return " ".join(str(number) for number in flat)
    return " ".join(f"{word:x}" for word in flat.view(f"u{flat.dtype.itemsize}"))


def case(name, numbers, measured, missing=None):
    scaler = StandardScaler().fit(measured)
    with np.errstate(over="ignore"):
        scaled = scaler.transform(np.asarray(numbers, np.float64)) if len(numbers) else numbers
    return {
        "datatype": name,
        "mean": bits(scaler.mean_),
        "scale": bits(scaler.scale_),
        "shape": list(numbers.shape),
        "numbers": bits(numbers),
        "missing": missing,
        "scaled": bits(np.asarray(scaled, np.float64)),
    }


def cases():
    for name in ("uint8", "uint16", "uint32", "int16", "int32", "int64", "uint64"):
        numbers = np.array(INTEGERS, name)
        yield case(name, numbers, numbers.astype(np.float64))
    wide = np.array(WIDE, np.int64)
    yield case("int64", wide, wide.astype(np.float64))
    doubles = np.array(AWKWARD)
    # A deviation of squares that are infinite is no deviation: it is measured on the others.
    yield case("fp64", doubles, doubles[2:] / [1e300, 1, 1])
    yield case("fp64", doubles[3:], doubles[3:])
    with np.errstate(over="ignore"):
        singles = np.array([[1e38, -1e-45, 0.1], [3.4e38, 1e-38, -0.0], [7, 7, 7]], np.float32)
    yield case("fp32", singles, singles.astype(np.float64))
    halves = np.array([[6e4, 6e-8, 0.1], [-2, 5e-5, -0.0], [1, 1, 1]], np.float16)
    yield case("fp16", halves, halves.astype(np.float64))
    for name in ("fp32", "fp64"):
        dtype = {"fp32": np.float32, "fp64": np.float64}[name]
        yield case(name, np.zeros((0, 3), dtype), np.array(INTEGERS, np.float64))
        # A column of one value: scikit-learn sets its deviation to 1.
        yield case(name, np.array([[4, 1], [4, 2]], dtype), np.array([[4.0, 1], [4, 2]]))
        # One that is missing stays so, as scikit-learn has it.
        gaps = np.array([[np.nan, 1], [2, np.nan], [3, 5]], dtype)
        yield case(name, gaps, gaps.astype(np.float64), "keep")


def main(path):
    with open(path, "w", encoding="ascii") as file:
        for one in cases():
            file.write(json.dumps(one) + "\n")


if __name__ == "__main__":
    main(sys.argv[1])
