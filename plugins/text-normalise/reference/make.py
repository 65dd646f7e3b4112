"""Writes the fixtures of the plugin's tests with Python's unicodedata.

    python plugins/text-normalise/reference/make.py plugins/text-normalise/tests/fixtures/unicodedata.jsonl

A line is a case: the configuration, the bytes that come in, in hexadecimal digits, and the text
that comes out. Only characters that are older than Unicode 14 are in them, which Python 3.11 has.
"""

import itertools
import json
import sys
import unicodedata

# What Unicode calls White_Space; Python's own idea of it has four more.
WHITE_SPACE = set(
    "\t\n\x0b\x0c\r \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009"
    "\u200a\u2028\u2029\u202f\u205f\u3000"
)

TEXTS = [
    "",
    " ",
    "plain",
    "  Two\t\nWORDS  ",
    "\r\n\x0b\x0c\x85\xa0\u2003\u3000x\u2028",
    "a\x00b\x07c\x1b[0m\x7f\x9f\tend",
    "zero\u200bwidth\u200d\ufeff",
    "\u00c9COLE na\u00efve",
    "e\u0301\u0327 \u0327e\u0301",
    "q\u0307\u0323 q\u0323\u0307 \u1e69 s\u0307\u0323",
    "\u0301",
    "a" + "\u0300\u0316" * 40,
    "\u212b \u2126 \u212a",
    "\ufb01nance \u2460 \u00bd \u2122 \u210c \uff21\uff42\uff43 x\u00b2",
    "\ufdfa \u3392 \u337f",
    "\u1e9b\u0323",
    "\u0130stanbul \u0131 I",
    "\u03a3\u039f\u03a6\u039f\u03a3 \u03a3 A\u03a3. \u03c3",
    "Stra\u00dfe \u1e9e",
    "\ud55c\uad6d\uc5b4 \u1112\u1161\u11ab \uac00\u11a8",
    "\u0928\u092e\u0938\u094d\u0924\u0947 \u0958 \u0915\u093c",
    "\u0e20\u0e32\u0e29\u0e32\u0e44\u0e17\u0e22 \u0e33",
    "\u05e9\u05bc\u05c1 \ufb2c",
    "\u0645\u0631\u062d\u0628\u0627 \ufefb",
    "\u304c \u304b\u3099 \uff76\uff9e",
    "\u4f60\u597d \u8c48 \uf900 \U0002f800",
    "\U0001f469\u200d\U0001f4bb \U0001f600 \U0001d400",
    "\U0001d15e \U0001d1bb",
    "\u0344 \u0374 \u037e \u0387 \u1fef \u2000",
    "\u0958\u0302 \u2adc",
    "\u01c4 \u01c5 \u01c6 \u1f88 \u1fbc",
    "\ufffd \uffff \U0010ffff \ue000",
]

INVALID = [
    b"\xff",
    b"a\x80b",
    b"\xc0\xaf",
    b"\xed\xa0\x80 \xed\xb0\x80 \xed\xa0\xbd\xed\xb8\x80",
    b"\xf0\x9f\x98",
    b"\xf0\x9f\x98\x80\xf0\x9f",
    b"\xf4\x90\x80\x80 \xf8\x88\x80\x80\x80",
    b"caf\xc3",
    b"\xe2\x82\xac\xe2\x82",
    b"\xc3\x28 \xfe\xfe",
]


def to_form(form, text):
    return text if form == "none" else unicodedata.normalize(form.upper(), text)


def normalise(config, data):
    text = data.decode("utf-8", "replace" if config.get("invalid") == "replace" else "strict")
    form = config.get("form", "none")
    if config.get("strip_control"):
        kept = (c for c in text if unicodedata.category(c) != "Cc" or c in WHITE_SPACE)
        text = "".join(kept)
    text = to_form(form, text)
    if config.get("lowercase"):
        text = to_form(form, text.lower())
    if config.get("strip_accents"):
        apart = unicodedata.normalize("NFD", text)
        text = "".join(c for c in apart if not unicodedata.combining(c))
        if form in ("none", "nfc", "nfkc"):
            text = unicodedata.normalize("NFC", text)
    if config.get("collapse_whitespace"):
        groups = itertools.groupby(text, key=lambda c: c in WHITE_SPACE)
        text = "".join(" " if space else "".join(group) for space, group in groups)
    if config.get("trim"):
        text = text.strip("".join(WHITE_SPACE))
    return text


def configs():
    for form in ("none", "nfc", "nfkc", "nfd", "nfkd"):
        yield {"form": form}
        yield {"form": form, "lowercase": True, "strip_accents": True}
    for key in ("lowercase", "strip_accents", "strip_control", "collapse_whitespace", "trim"):
        yield {key: True}
    yield {
        "form": "nfkc",
        "lowercase": True,
        "strip_accents": True,
        "strip_control": True,
        "collapse_whitespace": True,
        "trim": True,
    }


def main(path):
    cases = [(config, text.encode()) for config in configs() for text in TEXTS]
    replacing = [{"invalid": "replace"}, {"invalid": "replace", "form": "nfkd", "trim": True}]
    cases += [(config, data) for config in replacing for data in INVALID]
    with open(path, "w", encoding="ascii") as file:
        for config, data in cases:
            case = {"config": config, "data": data.hex(), "text": normalise(config, data)}
            file.write(json.dumps(case) + "\n")


if __name__ == "__main__":
    main(sys.argv[1])
