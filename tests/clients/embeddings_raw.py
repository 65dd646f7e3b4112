#!/usr/bin/env python3
"""Raw ONNX Runtime on the model of `examples/embeddings`: tensors prepared beforehand, texts of
like lengths in a batch.

    embeddings_raw.py MODEL TOKENIZER SENTENCES [THREADS:BATCH:RUNS]

SENTENCES are the lines of `consort run`. Prints `point THREADS:BATCH:RUNS RATE`, texts a second,
for each setting, or for the one that is named.
"""

import json
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import onnxruntime
from tokenizers import Tokenizer

TOKENS_MAX = 256
POINTS = [(threads, batch, runs) for threads, runs in ((1, 2), (2, 1)) for batch in (1, 2, 4, 8, 16, 32)]


def batches(tokens, size):
    """Batches of texts of like lengths, padded to the longest of each."""
    tokens = sorted(tokens, key=len)
    for at in range(0, len(tokens), size):
        rows = tokens[at : at + size]
        ids = np.zeros((len(rows), max(map(len, rows))), dtype=np.int64)
        mask = np.zeros_like(ids)
        for row, known in enumerate(rows):
            ids[row, : len(known)] = known
            mask[row, : len(known)] = 1
        yield {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}


def session(model, threads):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "1")
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def rate(model, tokens, point):
    threads, size, runs = point
    raw = session(model, threads)
    names = {given.name for given in raw.get_inputs()}
    feeds = [{name: value for name, value in feed.items() if name in names} for feed in batches(tokens, size)]
    # The longest first, so that no run is left over at the end.
    feeds.reverse()
    raw.run(None, feeds[-1])
    begin = time.perf_counter()
    with ThreadPoolExecutor(runs) as pool:
        list(pool.map(lambda feed: raw.run(None, feed) and None, feeds))
    return len(tokens) / (time.perf_counter() - begin)


def main(model, tokenizer, sentences, only=None):
    tokenizer = Tokenizer.from_file(tokenizer)
    tokenizer.no_padding()
    tokenizer.enable_truncation(TOKENS_MAX)
    with open(sentences) as lines:
        texts = [json.loads(line)["inputs"]["text"] for line in lines]
    tokens = [encoded.ids for encoded in tokenizer.encode_batch(texts)]
    points = POINTS if only is None else [tuple(map(int, only.split(":")))]
    for point in points:
        print("point", ":".join(map(str, point)), f"{rate(model, tokens, point):.2f}", flush=True)


main(*sys.argv[1:])
