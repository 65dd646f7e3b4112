#!/usr/bin/env python3
"""Sends streams with the unmodified tritonclient[http] from PyPI, as sequences.

    tritonclient_streams.py HOST:PORT CHUNKS

CHUNKS are JSON lines, each the key of a stream and a chunk of it. Every stream is sent twice:
the second time it begins anew, and must be answered as the first time. The answers are
written as a JSON object, a list of probabilities for each stream.
"""

import json
import sys

import numpy as np
import tritonclient.http as http


def answers(client, lines, sequences):
    """Sends the chunks of all streams in turn; what is said of each."""
    said = {}
    left = {}
    for line in lines:
        left[line["key"]] = left.get(line["key"], 0) + 1
    for line in lines:
        key = line["key"]
        left[key] -= 1
        audio = http.InferInput("audio", [1, 512], "FP32")
        audio.set_data_from_numpy(np.array([line["inputs"]["audio"]], np.float32))
        answer = client.infer(
            "vad",
            [audio],
            sequence_id=sequences[key],
            sequence_start=key not in said,
            sequence_end=left[key] == 0,
        )
        said.setdefault(key, []).append(float(answer.as_numpy("probability")[0, 0]))
    return said


def main():
    address, chunks = sys.argv[1:]
    with open(chunks, encoding="utf-8") as file:
        lines = [json.loads(line) for line in file]
    keys = sorted({line["key"] for line in lines})
    client = http.InferenceServerClient(address)
    numbered = answers(client, lines, {key: at + 1 for at, key in enumerate(keys)})
    # Half of a stream that is left in the middle, and begun anew.
    answers(client, lines[: len(lines) // 2], {key: f"again {key}" for key in keys})
    named = answers(client, lines, {key: f"again {key}" for key in keys})
    if named != numbered:
        sys.exit("a stream that begins anew is answered otherwise")
    json.dump(numbered, sys.stdout)


if __name__ == "__main__":
    main()
