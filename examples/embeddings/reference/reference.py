"""What sentence-transformers makes of texts, computed without it and without ONNX.

    reference.py MODEL_FOLDER [--tokens] < TEXTS > ANSWERS

TEXTS is a JSON array of texts; ANSWERS is an array of {"ids": [...], "embedding": [...]}, with
`--tokens` without the embedding.

The tokens: the library loads `tokenizer.json`, drops the padding and the truncation written in
it, and asks for truncation to `max_seq_length` of `sentence_bert_config.json`. It lower-cases
by itself only with `do_lower_case` there. The numbers: BERT in double precision with numpy,
one text at a time and so without padding, the mean over the tokens, length 1.
"""

import json
import math
import pathlib
import sys

import numpy as np
from tokenizers import Tokenizer

from export import read_safetensors

ERF = np.vectorize(math.erf)


def tokenizer_of(folder):
    """The tokenizer as the library sets it up for this package."""
    config = json.loads((folder / "sentence_bert_config.json").read_text())
    assert not config["do_lower_case"], "the rules would need another normalizer in front"
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(config["max_seq_length"], strategy="longest_first")
    return tokenizer


class Bert:
    """The encoder, a formula a line."""

    def __init__(self, folder):
        self.config = json.loads((folder / "config.json").read_text())
        weights = read_safetensors(folder / "model.safetensors")
        self.weights = {name: value.astype(np.float64) for name, value in weights.items()}

    def dense(self, value, name):
        """A linear layer."""
        return value @ self.weights[f"{name}.weight"].T + self.weights[f"{name}.bias"]

    def norm(self, value, name):
        """A layer norm."""
        centred = value - value.mean(-1, keepdims=True)
        spread = np.sqrt((centred**2).mean(-1, keepdims=True) + self.config["layer_norm_eps"])
        return centred / spread * self.weights[f"{name}.weight"] + self.weights[f"{name}.bias"]

    def __call__(self, ids):
        """The embedding of one text."""
        heads = self.config["num_attention_heads"]
        table = self.weights
        value = table["embeddings.word_embeddings.weight"][ids]
        value = value + table["embeddings.position_embeddings.weight"][: len(ids)]
        value = self.norm(value + table["embeddings.token_type_embeddings.weight"][0], "embeddings.LayerNorm")
        for layer in range(self.config["num_hidden_layers"]):
            at = f"encoder.layer.{layer}"
            parts = [self.dense(value, f"{at}.attention.self.{part}") for part in ("query", "key", "value")]
            query, key, content = (np.stack(np.split(part, heads, -1)) for part in parts)
            scores = query @ key.transpose(0, 2, 1) / math.sqrt(query.shape[-1])
            shares = np.exp(scores - scores.max(-1, keepdims=True))
            shares /= shares.sum(-1, keepdims=True)
            mixed = np.concatenate(list(shares @ content), -1)
            mixed = self.dense(mixed, f"{at}.attention.output.dense")
            value = self.norm(value + mixed, f"{at}.attention.output.LayerNorm")
            wide = self.dense(value, f"{at}.intermediate.dense")
            wide = wide * (1 + ERF(wide / math.sqrt(2))) / 2
            value = self.norm(value + self.dense(wide, f"{at}.output.dense"), f"{at}.output.LayerNorm")
        mean = value.mean(0)
        return mean / np.linalg.norm(mean)


def main():
    """Reads texts, answers for each."""
    folder = pathlib.Path(sys.argv[1])
    texts = json.load(sys.stdin)
    answers = [{"ids": encoding.ids} for encoding in map(tokenizer_of(folder).encode, texts)]
    if "--tokens" not in sys.argv:
        bert = Bert(folder)
        for answer in answers:
            answer["embedding"] = bert(answer["ids"]).tolist()
    json.dump(answers, sys.stdout)


if __name__ == "__main__":
    main()
