"""Pickles that are programs: each runs what it is named after when it is opened."""

import pathlib
import pickle
import sys

FOLDER = pathlib.Path(sys.argv[1])
PROGRAMS = {
    # What a stranger would look for, written where the test can read it.
    "looks-around": f"import os, pathlib; pathlib.Path({str(FOLDER / 'seen')!r}).write_text(os.getcwd() + '\\n' + '\\n'.join(f'{{k}}={{v}}' for k, v in os.environ.items()))",
    "sleeps": "import time; time.sleep(600)",
    "exits": "import os; os._exit(0)",
    "prints": "print('{\"imported\": 1}')",
    "writes-everywhere": "import os\nfor fd in range(3, 20):\n  try: os.write(fd, b'garbage\\n')\n  except OSError: pass",
    "answers": "import os, json; os.write(3, json.dumps({'imported': {'converter': 'x', 'inputs': [], 'outputs': [], 'labels': None, 'columns': None, 'opsets': [], 'versions': [], 'agreement': None, 'warnings': [], 'files': ['../../../etc/passwd']}}).encode() + b'\\n'); os._exit(0)",
}


class Program:
    def __init__(self, text):
        self.text = text

    def __reduce__(self):
        return exec, (self.text,)


for name, text in PROGRAMS.items():
    (FOLDER / f"{name}.pkl").write_bytes(pickle.dumps(Program(text)))
