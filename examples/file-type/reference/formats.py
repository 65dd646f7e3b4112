"""Small files of real formats, made with the standard library alone and always the same."""

import io
import json
import sqlite3
import struct
import tarfile
import tempfile
import textwrap
import wave
import zipfile
import zlib
from pathlib import Path


def text(content):
    return textwrap.dedent(content).lstrip("\n").encode()


def python_source():
    return text('''
        """Counts words."""

        import argparse
        from collections import Counter


        def count(lines):
            words = Counter()
            for line in lines:
                words.update(line.lower().split())
            return words


        if __name__ == "__main__":
            parser = argparse.ArgumentParser(description=__doc__)
            parser.add_argument("file", type=argparse.FileType())
            for word, times in count(parser.parse_args().file).most_common(10):
                print(f"{times:6} {word}")
        ''')


def json_document():
    return json.dumps({"name": "consort", "players": 4, "tags": ["wasm", "onnx"], "open": True}).encode()


def html():
    return text("""
        <!DOCTYPE html>
        <html lang="en">
        <head><meta charset="utf-8"><title>Consort</title><link rel="stylesheet" href="a.css"></head>
        <body>
          <h1 class="title">A small ensemble</h1>
          <p>Of <a href="https://example.org/">players</a>.</p>
          <script>document.title = "Played";</script>
        </body>
        </html>
        """)


def markdown():
    return text("""
        # Notes

        Some *emphasis*, some `code`, and a [link](https://example.org).

        - one
        - two
          1. nested

        ```rust
        fn main() {}
        ```

        | a | b |
        |---|---|
        | 1 | 2 |
        """)


def png():
    def chunk(kind, data):
        check = zlib.crc32(kind + data)
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", check)

    rows = b"".join(b"\0" + bytes((x * y) % 256 for x in range(32 * 3)) for y in range(32))
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", 32, 32, 8, 2, 0, 0, 0))
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )


def bmp():
    pixels = bytes((i * 7) % 256 for i in range(16 * 16 * 3))
    header = struct.pack("<IiiHHIIiiII", 40, 16, 16, 1, 24, 0, len(pixels), 2835, 2835, 0, 0)
    return b"BM" + struct.pack("<IHHI", 54 + len(pixels), 0, 0, 54) + header + pixels


def wav():
    sound = io.BytesIO()
    with wave.open(sound, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(b"".join(struct.pack("<h", (i * 997) % 20000 - 10000) for i in range(4000)))
    return sound.getvalue()


def pdf():
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 200 200] /Contents 4 0 R >>",
        b"<< /Length 44 >>\nstream\nBT /F1 24 Tf 20 100 Td (Hello, Consort) Tj ET\nendstream",
    ]
    document = bytearray(b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n")
    offsets = []
    for number, content in enumerate(objects, 1):
        offsets.append(len(document))
        document += b"%d 0 obj\n%s\nendobj\n" % (number, content)
    start = len(document)
    document += b"xref\n0 5\n0000000000 65535 f \n"
    document += b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    document += b"trailer\n<< /Size 5 /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % start
    return bytes(document)


def elf():
    code = bytes.fromhex("b83c000000bf2a0000000f05")
    header = b"\x7fELF\x02\x01\x01" + bytes(9)
    header += struct.pack("<HHIQQQIHHHHHH", 2, 62, 1, 0x400078, 64, 0, 0, 64, 56, 1, 64, 0, 0)
    size = 120 + len(code)
    segment = struct.pack("<IIQQQQQQ", 1, 5, 0, 0x400000, 0x400000, size, size, 0x1000)
    return header + segment + code + bytes(2000)


def sqlite():
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "data.sqlite"
        connection = sqlite3.connect(path)
        connection.execute("CREATE TABLE items (id INTEGER PRIMARY KEY, name TEXT)")
        rows = [(i, f"item {i}") for i in range(50)]
        connection.executemany("INSERT INTO items VALUES (?, ?)", rows)
        connection.commit()
        connection.close()
        return path.read_bytes()


def zipped(files):
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in files.items():
            file.writestr(zipfile.ZipInfo(name, (2024, 1, 1, 0, 0, 0)), content)
    return archive.getvalue()


def tarred(files):
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as file:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            file.addfile(entry, io.BytesIO(content))
    return archive.getvalue()
