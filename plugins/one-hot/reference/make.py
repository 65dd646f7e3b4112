"""Writes the fixtures of the plugin's tests with scikit-learn's OneHotEncoder.

    python plugins/one-hot/reference/make.py plugins/one-hot/tests/fixtures/scikit_learn.jsonl

The first line has the categories. Each other line is a case: a row of a text and an integer, and
the vector that scikit-learn makes of it, or null where it refuses the row.
"""

import json
import sys

import numpy as np
from sklearn.preprocessing import OneHotEncoder

TEXTS = ["red", "", " red", "Red", "r\u00e9d", "re\u0301d", "\u8d64", "\U0001f534", "a\tb\nc", "x" * 300]
INTEGERS = [0, -1, 7, 2**31, -(2**63), 2**63 - 1]


def cases():
    rows = [[text, number] for text in TEXTS for number in (0, 7)]
    rows += [["red", number] for number in INTEGERS]
    rows += [["none of them", 0], ["red\u0000", 0], ["RED", 5], ["red", 1], ["red", -(2**63) + 1]]
    for unknown in ("error", "ignore"):
        # The order of texts is the author's; that of integers has to rise, as scikit-learn has it.
        numbers = sorted(INTEGERS)
        text = OneHotEncoder(categories=[TEXTS], handle_unknown=unknown, sparse_output=False)
        text.fit(np.array([[one] for one in TEXTS], object))
        number = OneHotEncoder(categories=[numbers], handle_unknown=unknown, sparse_output=False)
        number.fit(np.array([[one] for one in numbers], np.int64))
        for row in rows:
            try:
                vectors = [
                    text.transform(np.array([[row[0]]], object)),
                    number.transform(np.array([[row[1]]], np.int64)),
                ]
                vector = np.concatenate(vectors, axis=1)[0].astype(int).tolist()
            except ValueError:
                vector = None
            unknown_here = {"error": "error", "ignore": "zeros"}[unknown]
            yield {"unknown": unknown_here, "row": row, "vector": vector}


def main(path):
    with open(path, "w", encoding="ascii") as file:
        categories = {"texts": TEXTS, "integers": sorted(INTEGERS)}
        file.write(json.dumps(categories) + "\n")
        for case in cases():
            file.write(json.dumps(case) + "\n")


if __name__ == "__main__":
    main(sys.argv[1])
