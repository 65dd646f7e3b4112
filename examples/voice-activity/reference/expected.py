"""What the published graph says of streams, by the published rules.

    expected.py PUBLISHED < STREAMS

STREAMS is a JSON object: for each stream a list of chunks of 512 samples. The answer is an
object with a probability for each chunk of each stream. A stream begins with zeros for the
state and for the 64 samples before its first chunk; each chunk has the last 64 samples of the
one before in front of it.
"""

import json
import sys

import numpy as np
import onnxruntime

RATE = 16000
CHUNK = 512
CONTEXT = 64


def probabilities(session, chunks):
    """One stream, chunk by chunk, by itself."""
    state = np.zeros((2, 1, 128), np.float32)
    before = np.zeros(CONTEXT, np.float32)
    said = []
    for chunk in chunks:
        chunk = np.array(chunk, np.float32)
        if chunk.shape != (CHUNK,):
            raise SystemExit(f"a chunk has {CHUNK} samples, not {chunk.shape}")
        heard = np.concatenate([before, chunk])
        feeds = {"input": heard[None], "state": state, "sr": np.array(RATE, np.int64)}
        probability, state = session.run(["output", "stateN"], feeds)
        before = heard[-CONTEXT:]
        said.append(float(probability[0, 0]))
    return said


def main():
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(sys.argv[1], options, providers=["CPUExecutionProvider"])
    streams = json.load(sys.stdin)
    json.dump({name: probabilities(session, chunks) for name, chunks in streams.items()}, sys.stdout)


if __name__ == "__main__":
    main()
