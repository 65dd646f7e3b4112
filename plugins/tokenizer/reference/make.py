"""Writes the fixtures of the plugin's tests with the package tokenizers.

    python plugins/tokenizer/reference/make.py plugins/tokenizer/tests/fixtures

Two small sets of rules, trained on the lines below: `bpe.json`, on bytes as GPT-2 has it, and
`unigram.json`, on characters with marks for spaces as SentencePiece has it. `expected.jsonl` has
a line a case: the rules, the most tokens, a text, and the tokens that are expected; a text that
is said many times over is written once, with its count. `whole` are the rules of `unigram.json`
without taking words apart.
"""

import json
import sys
from pathlib import Path

from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers

LINES = [
    "A plugin prepares what a model reads and finishes what it wrote.",
    "The host takes examples, batches them, and gives each one its own prediction.",
    "Nobody waits for a model that is loaded; nothing is copied that need not be.",
    "What a tenant's plugin does is bounded: time, memory, handles and the log.",
    "An ensemble is a graph of steps, checked before it runs for the first time.",
    "Numbers like 3.14, 2718 and 1,000,000 are words as well; so is don't.",
    "Grüße aus dem Wald: über Äste, Öle und süße Früchte schreibt man häufig.",
    "Les élèves préfèrent être là où l'été a déjà commencé.",
    "\u65e5\u672c\u8a9e\u306e\u6587\u7ae0\u3082\u5c11\u3057\u3042\u308a\u307e\u3059\u3002",
    "The models of a map are loaded when somebody asks for them by their key.",
    "A batch that fails is split until the one at fault is alone, and the others succeed.",
    "Every error says what was wrong, where, and what to do about it.",
] * 3

TEXTS = [
    "",
    " ",
    "  ",
    "\n\n \t",
    "plugin",
    " plugin",
    "plugin ",
    "The plugins of a tenant are bounded.",
    "THE PLUGINS, the-plugins; the_plugins!",
    "don't can't we'll I'm they've DON'T",
    "two  spaces   three    four",
    "tab\tline\r\nend",
    "Gru\u0308\u00dfe \u00dcber e\u0301te\u0301",
    "\u65e5\u672c\u8a9e \u4f60\u597d \ud55c\uad6d\uc5b4 \u0645\u0631\u062d\u0628\u0627 \u0928\u092e\u0938\u094d\u0924\u0947",
    "\U0001f600\U0001f469\u200d\U0001f4bb \U0001d400",
    "\u0000 \u0007 \u007f \u0085",
    "\u200b\ufeff\ufffd\u2028\u3000\u00a0x",
    "\ufb01nance \u2460 \u00bd \u2122 x\u00b2",
    "\u2581 \u2581plugin\u2581model \u0120the",
    "<s> </s> <unk> <|endoftext|>",
    "a<s>b</s>c<|endoftext|>d",
    "3.14159 1,000,000 12345678901234567890",
    "http://example.org/a?b=c&d=%20#e",
    "\u0301\u0301\u0301 \u0e33",
    "x" * 300,
    "\U0010ffff\ue000\uffff",
]
# Texts said many times over, and how often: beyond what is tokenised first.
LONG = [
    ("the model reads ", 600),
    ("word", 3000),
    (" \n ", 2000),
    ("\u65e5\u672c\u8a9e", 1500),
    ("a ", 5000),
    ("Gr\u00fc\u00dfe!? ", 700),
    ("<s>", 900),
    ("\U0001f600", 2500),
    ("   x", 1700),
]


def bpe():
    rules = Tokenizer(models.BPE())
    rules.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    rules.post_processor = processors.ByteLevel(trim_offsets=False)
    trainer = trainers.BpeTrainer(
        vocab_size=500,
        show_progress=False,
        special_tokens=["<|endoftext|>"],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
    )
    rules.train_from_iterator(LINES, trainer)
    return rules


def unigram():
    rules = Tokenizer(models.Unigram())
    rules.normalizer = normalizers.NFKC()
    rules.pre_tokenizer = pre_tokenizers.Metaspace()
    trainer = trainers.UnigramTrainer(
        vocab_size=220,
        show_progress=False,
        special_tokens=["<unk>", "<s>", "</s>"],
        unk_token="<unk>",
    )
    rules.train_from_iterator(LINES, trainer)
    rules.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>",
        special_tokens=[(name, rules.token_to_id(name)) for name in ("<s>", "</s>")],
    )
    return rules


def main(folder):
    folder = Path(folder)
    rules = {"bpe": bpe(), "unigram": unigram()}
    for name, one in rules.items():
        one.save(str(folder / f"{name}.json"), pretty=False)
    whole = Tokenizer.from_file(str(folder / "unigram.json"))
    whole.pre_tokenizer = pre_tokenizers.Metaspace(split=False)
    rules["whole"] = whole
    texts = [(text, 1) for text in TEXTS] + LONG
    with open(folder / "expected.jsonl", "w", encoding="ascii") as file:
        for name, one in rules.items():
            for max_length in (64, 8):
                one.enable_truncation(max_length)
                for text, times in texts:
                    ids = one.encode(text * times).ids
                    case = {"rules": name, "max_length": max_length, "text": text, "ids": ids}
                    file.write(json.dumps({**case, "times": times}) + "\n")


if __name__ == "__main__":
    main(sys.argv[1])
