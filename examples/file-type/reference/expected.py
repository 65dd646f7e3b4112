"""Writes what the reference package says of files: one JSON line a file.

    python expected.py PATH... [--output FILE]

PATH is a file or a folder, which is walked with its entries sorted by name. The key of a
file is its path as `consort run` gives it, so that the lines of both can be compared.
Files are asked about one by one: the reference's scores differ between batch sizes.

Run it with a Python that has `magika==1.0.3`.
"""

import argparse
import json
import os
import sys
from importlib.metadata import version
from pathlib import Path

REFERENCE_VERSION = "1.0.3"


def files(path):
    """The files of a folder and the folders in it, or the one file."""
    if not os.path.isdir(path):
        yield path
        return
    for name in sorted(os.listdir(path)):
        entry = os.path.join(path, name)
        if not (os.path.islink(entry) and os.path.isdir(entry)):
            yield from files(entry)


def expected(magika, path):
    result = magika.identify_path(Path(path))
    if not result.ok:
        sys.exit(f"{path}: the reference says {result.status}")
    output = result.prediction.output
    return {
        "key": path,
        "label": str(output.label),
        "score": result.prediction.score,
        "mime_type": output.mime_type,
        "group": output.group,
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("paths", nargs="+", metavar="PATH", help="a file or a folder")
    parser.add_argument("--output", metavar="FILE", help="instead of standard output")
    arguments = parser.parse_args()

    found = version("magika")
    if found != REFERENCE_VERSION:
        sys.exit(f"magika {found} is installed, the reference is {REFERENCE_VERSION}")
    from magika import Magika

    magika = Magika()
    output = open(arguments.output, "w") if arguments.output else sys.stdout
    with output:
        for root in arguments.paths:
            for path in files(root):
                print(json.dumps(expected(magika, path)), file=output)


if __name__ == "__main__":
    main()
