#!/usr/bin/env python3
"""Reads pages with the example `ocr` through the unmodified tritonclient[http] from PyPI.

    ocr.py HOST:PORT PAGE...

Prints one JSON line for each page: {"page": ..., "text": [...], "score": [...], "box": [...]}.
"""

import json
import pathlib
import sys

import numpy as np
import tritonclient.http as http


def read(client, page):
    image = http.InferInput("image", [1, 1], "BYTES")
    image.set_data_from_numpy(np.array([[page.read_bytes()]], dtype=np.object_))
    wanted = [http.InferRequestedOutput(name) for name in ("text", "score", "box")]
    answer = client.infer("ocr", [image], outputs=wanted)
    text = [line.decode() for line in answer.as_numpy("text").flatten()]
    score, box = answer.as_numpy("score"), answer.as_numpy("box")
    # The first axis is the batch: one page.
    return {"page": page.name, "text": text, "score": score[0].tolist(), "box": box[0].tolist()}


def main(address, *pages):
    client = http.InferenceServerClient(address)
    for page in map(pathlib.Path, pages):
        print(json.dumps(read(client, page)), flush=True)


main(*sys.argv[1:])
