"""What the package rapidocr-onnxruntime reads on pages, one JSON object a line:

    python expected.py FOLDER OUT.jsonl

The lines are those of its default configuration: text, score, box.
"""

import json
import sys
import time
from pathlib import Path

from rapidocr_onnxruntime import RapidOCR


def main(folder, out):
    engine = RapidOCR()
    pages = sorted(path for path in Path(folder).iterdir() if path.is_file())
    begin, cpu = time.perf_counter(), time.process_time()
    with open(out, "w", encoding="utf-8") as file:
        for path in pages:
            lines, _ = engine(path.read_bytes())
            lines = [
                {"box": box, "text": text, "score": score} for box, text, score in lines or []
            ]
            file.write(json.dumps({"page": path.name, "lines": lines}) + "\n")
    seconds, cpu = time.perf_counter() - begin, time.process_time() - cpu
    print(json.dumps({"pages": len(pages), "seconds": seconds, "cpu_seconds": cpu}))


if __name__ == "__main__":
    main(*sys.argv[1:])
