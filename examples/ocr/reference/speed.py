"""Seconds for the pages of a folder, page by page: the package rapidocr-onnxruntime, or a
`consort serve` of this example when its address is given.

    python speed.py FOLDER [HOST:PORT]
"""

import sys
import time
from pathlib import Path


def through_consort(address):
    import numpy as np
    import tritonclient.http as http

    client = http.InferenceServerClient(address)

    def read(page):
        image = http.InferInput("image", [1, 1], "BYTES")
        image.set_data_from_numpy(np.array([[page]], dtype=np.object_))
        client.infer("ocr", [image])

    return read


def through_the_package():
    from rapidocr_onnxruntime import RapidOCR

    return RapidOCR()


def main(folder, address=None):
    pages = [path.read_bytes() for path in sorted(Path(folder).iterdir()) if path.is_file()]
    read = through_consort(address) if address else through_the_package()
    read(pages[0])
    begin = time.perf_counter()
    for page in pages:
        read(page)
    print(f"{len(pages)} pages in {time.perf_counter() - begin:.2f} s")


if __name__ == "__main__":
    main(*sys.argv[1:])
