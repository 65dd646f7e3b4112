"""Makes a folder of files of many kinds and corner cases, always the same.

    python make_corpus.py DIR [--huge-gib N]

With `--huge-gib` there is also a sparse file of that size. Only the standard library is
used, and no clock: times in archives are fixed.
"""

import argparse
import base64
import bz2
import csv
import gzip
import io
import json
import lzma
import pickle
import random
import struct
import sys
import xml.etree.ElementTree as xml
import zlib
from pathlib import Path

from formats import (
    bmp,
    elf,
    html,
    json_document,
    markdown,
    pdf,
    png,
    python_source,
    sqlite,
    tarred,
    text,
    wav,
    zipped,
)

#: What the model's settings call `block_size`: the window at each end of a file.
BLOCK = 4096

WHITE = b" \t\n\r\x0b\x0c"


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path, metavar="DIR", help="it is made if need be")
    parser.add_argument("--huge-gib", type=int, metavar="N", help="a sparse file of N GiB")
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    count = 0
    for name, content in corpus():
        path = arguments.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else text(content))
        count += 1
    if arguments.huge_gib:
        with open(arguments.folder / "huge.pdf", "wb") as file:
            file.write(pdf())
            file.truncate(arguments.huge_gib << 30)
        count += 1
    print(f"{count} files in {arguments.folder}", file=sys.stderr)


def corpus():
    """Every file's name and content."""
    yield from sizes()
    yield from white_space()
    yield from encodings()
    yield from binaries()
    yield from archives()
    yield from data_formats()
    yield from sources()
    yield from noise()


# === corner cases of the features ===


def sizes():
    """Sizes around the fewest bytes the model is asked about, and around a block."""
    yield "size/empty", b""
    for size in range(1, 10):
        yield f"size/ascii-{size}", b"hello world"[:size]
        yield f"size/bytes-{size}", b"\xff\xfe\x00\x80\xc3\x28\xf5\x01\x02"[:size]
    yield "size/nul-1", b"\0"
    yield "size/nul-8", b"\0" * 8
    line = b"The quick brown fox jumps over the lazy dog, again and again.\n"
    for size in [1023, 1024, 1025, 2047, 2048, 2049]:
        yield f"size/prose-{size}", (line * 40)[:size]
    for size in [BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK - 1, 2 * BLOCK, 2 * BLOCK + 1]:
        yield f"size/code-{size}.py", (python_source() * 60)[:size]
    yield "size/two ends.html", html() + b"<!-- " + b"x" * (3 * BLOCK) + b" -->" + html()


def white_space():
    """White space at either end, less and more than a block of it."""
    yield "space/blank-1", b"\n"
    yield "space/blank-8", b" \t\n\r\x0b\x0c \n"
    yield "space/blank-block", WHITE * (BLOCK // 6) + b"  \n\n"
    yield "space/blank-more-than-a-block", b" " * (3 * BLOCK)
    for before in [1, 100, BLOCK - 12, BLOCK - 8, BLOCK - 7, BLOCK - 1, BLOCK, BLOCK + 50]:
        yield f"space/before-{before}.json", b" " * before + json_document()
    for after in [1, 100, BLOCK - 100, BLOCK, BLOCK + 50]:
        yield f"space/after-{after}.json", json_document() + b"\n" * after
    yield "space/both.json", b"\n" * 700 + json_document() + b"\t" * 700
    yield "space/only-7-at-the-end", b" " * 100 + b"1234567"
    yield "space/only-8-at-the-end", b" " * 100 + b"12345678"
    yield "space/seven-and-space", b" " * 100 + b"1234567" + b" " * 20
    yield "space/no-utf8-after-spaces", b" " * 200 + b"\xff\xfe\xfd"
    # No white space to `bytes.strip`, though some other languages strip them.
    yield "space/not-stripped", b"\x1c\x1d\x1e\x1f\x85\xa0 import os\nprint(os.name)\n"


def encodings():
    """Text in other encodings, and UTF-8 that the end of a block cuts."""
    prose = "Größe, naïve façade, Ελληνικά, русский текст, 日本語のテキスト。\n"
    yield "encoding/utf-8.txt", (prose * 20).encode()
    yield "encoding/utf-8-bom.txt", b"\xef\xbb\xbf" + (prose * 20).encode()
    yield "encoding/utf-16.txt", (prose * 20).encode("utf-16")
    yield "encoding/latin-1.txt", ("Größe, naïve façade\n" * 40).encode("latin-1")
    yield "encoding/shift-jis.txt", ("日本語のテキスト。\n" * 40).encode("shift-jis")
    yield "encoding/short-latin-1", "é".encode("latin-1")
    yield "encoding/short-utf-8", "é".encode()
    yield "encoding/surrogate", b"\xed\xa0\x80"
    yield "encoding/overlong", b"\xc0\xaf"
    # What is left of a block of spaces is too little for the model, and then the whole
    # block must be UTF-8: here its end cuts a character, or does not.
    for cut in [1, 2, 3]:
        yield f"encoding/cut-after-{cut}", b" " * (BLOCK - cut) + ("日本" * 9).encode()
    yield "encoding/cut-between", b" " * (BLOCK - 6) + ("日本" * 9).encode()


# === real formats ===


def binaries():
    yield "binary/image.png", png()
    yield "binary/image.gif", (
        b"GIF89a\x02\x00\x02\x00\x80\x00\x00\xff\xff\xff\x00\x00\x00"
        b"!\xf9\x04\x00\x00\x00\x00\x00,\x00\x00\x00\x00\x02\x00\x02\x00\x00\x02\x03\x0c\x10\x05\x00;"
    )
    yield "binary/image.bmp", bmp()
    yield "binary/image.jpeg-head", (
        b"\xff\xd8\xff\xe0\x00\x10JFIF\x00\x01\x01\x01\x00H\x00H\x00\x00\xff\xdb\x00C\x00"
        + bytes(range(1, 65))
        + random.Random(1).randbytes(3000)
        + b"\xff\xd9"
    )
    yield "binary/icon.ico", b"\x00\x00\x01\x00\x01\x00\x10\x10\x00\x00\x01\x00\x20\x00" + (
        struct.pack("<II", len(png()), 22) + png()
    )
    yield "binary/sound.wav", wav()
    yield "binary/document.pdf", pdf()
    yield "binary/program.elf", elf()
    yield "binary/class.class", b"\xca\xfe\xba\xbe\x00\x00\x00\x34\x00\x1d" + (
        b"\x0a\x00\x06\x00\x0f\x09\x00\x10\x00\x11\x08\x00\x12\x0a\x00\x13\x00\x14\x07\x00\x15"
        b"\x07\x00\x16\x01\x00\x06<init>\x01\x00\x03()V\x01\x00\x04Code\x01\x00\x0fLineNumberTable"
        b"\x01\x00\x04main\x01\x00\x16([Ljava/lang/String;)V\x01\x00\nSourceFile\x01\x00\nHello.java"
    )
    yield "binary/module.wasm", b"\0asm\x01\0\0\0\x01\x05\x01\x60\0\x01\x7f\x03\x02\x01\0" + (
        b"\x07\x08\x01\x04main\0\0\x0a\x06\x01\x04\0\x41\x2a\x0b"
    )
    yield "binary/database.sqlite", sqlite()
    yield "binary/object.pickle", pickle.dumps(
        {"rows": [{"id": i, "name": f"row {i}"} for i in range(80)]}, protocol=4
    )
    yield "binary/font.ttf-head", b"\x00\x01\x00\x00\x00\x0b\x00\x80\x00\x03\x00\x30" + b"".join(
        tag + struct.pack(">III", 0x1234, 188 + i * 64, 64)
        for i, tag in enumerate([b"GSUB", b"OS/2", b"cmap", b"glyf", b"head", b"hhea", b"hmtx"])
    )


def archives():
    payload = python_source() * 20
    yield "archive/data.gz", gzip.compress(payload, mtime=0)
    yield "archive/data.bz2", bz2.compress(payload)
    yield "archive/data.xz", lzma.compress(payload)
    yield "archive/data.zlib", zlib.compress(payload)
    yield "archive/data.zip", zipped({"main.py": payload, "notes/read.md": markdown()})
    yield "archive/long.zip", zipped({"noise": random.Random(2).randbytes(40_000)})
    yield "archive/application.jar", zipped(
        {
            "META-INF/MANIFEST.MF": b"Manifest-Version: 1.0\r\nMain-Class: app.Main\r\n\r\n",
            "app/Main.class": b"\xca\xfe\xba\xbe\x00\x00\x00\x34" + bytes(200),
        }
    )
    yield "archive/document.docx", zipped(
        {
            "[Content_Types].xml": b'<?xml version="1.0"?><Types xmlns="http://schemas.'
            b'openxmlformats.org/package/2006/content-types"></Types>',
            "_rels/.rels": b'<?xml version="1.0"?><Relationships/>',
            "word/document.xml": b'<?xml version="1.0"?><w:document><w:body/></w:document>',
            "word/styles.xml": b'<?xml version="1.0"?><w:styles/>',
        }
    )
    yield "archive/data.tar", tarred({"main.py": payload, "read.md": markdown()})
    yield "archive/data.tar.gz", gzip.compress(tarred({"main.py": payload}), mtime=0)


def data_formats():
    rows = [{"id": i, "name": f"item {i}", "price": i * 1.25, "tags": ["a", "b"]} for i in range(60)]
    yield "data/rows.json", json.dumps(rows, indent=2).encode()
    yield "data/rows.jsonl", "".join(json.dumps(row) + "\n" for row in rows).encode()
    yield "data/short.json", b'{"a": [1, 2, 3], "b": null}'
    for name, delimiter in [("rows.csv", ","), ("rows.tsv", "\t")]:
        table = io.StringIO()
        writer = csv.DictWriter(table, ["id", "name", "price"], "", "ignore", delimiter=delimiter)
        writer.writeheader()
        writer.writerows(rows)
        yield f"data/{name}", table.getvalue().encode()
    tree = xml.Element("catalog", version="1.0")
    for row in rows:
        item = xml.SubElement(tree, "item", id=str(row["id"]))
        xml.SubElement(item, "name").text = row["name"]
    yield "data/catalog.xml", b'<?xml version="1.0" encoding="UTF-8"?>\n' + xml.tostring(tree)
    yield "data/drawing.svg", """
        <?xml version="1.0" encoding="UTF-8"?>
        <svg xmlns="http://www.w3.org/2000/svg" width="120" height="80" viewBox="0 0 120 80">
          <rect x="10" y="10" width="100" height="60" fill="teal" stroke="black"/>
          <circle cx="60" cy="40" r="20" fill="orange"/>
          <text x="60" y="45" text-anchor="middle" font-size="12">Consort</text>
        </svg>
        """
    yield "data/page.html", html()
    yield "data/notes.md", markdown()
    yield "data/settings.ini", """
        ; settings of a small service
        [server]
        host = 127.0.0.1
        port = 8080
        [logging]
        level = info
        file = /var/log/service.log
        """
    yield "data/Cargo.toml", """
        [package]
        name = "small"
        version = "0.3.1"
        edition = "2021"

        [dependencies]
        serde = { version = "1", features = ["derive"] }

        [[bin]]
        name = "small"
        path = "src/main.rs"
        """
    yield "data/deploy.yaml", """
        apiVersion: apps/v1
        kind: Deployment
        metadata:
          name: web
          labels: {app: web}
        spec:
          replicas: 3
          template:
            spec:
              containers:
                - name: web
                  image: example/web:1.2
                  ports:
                    - containerPort: 80
        """
    yield "data/mail.eml", """
        From: Ada <ada@example.org>
        To: Charles <charles@example.org>
        Subject: The engine
        Date: Mon, 1 Jan 2024 10:00:00 +0000
        Message-ID: <1@example.org>
        MIME-Version: 1.0
        Content-Type: text/plain; charset=utf-8

        Dear Charles,

        the notes are attached to the translation.

        Ada
        """
    certificate = base64.encodebytes(random.Random(3).randbytes(700)).decode()
    yield "data/certificate.pem", (
        f"-----BEGIN CERTIFICATE-----\n{certificate}-----END CERTIFICATE-----\n".encode()
    )
    yield "data/change.diff", """
        diff --git a/src/main.c b/src/main.c
        index 83db48f..bf2a1c7 100644
        --- a/src/main.c
        +++ b/src/main.c
        @@ -1,5 +1,6 @@
         #include <stdio.h>
        +#include <stdlib.h>

         int main(void) {
        -    return 1;
        +    return EXIT_SUCCESS;
         }
        """
    yield "data/paper.tex", r"""
        \documentclass{article}
        \usepackage{amsmath}
        \title{On Small Ensembles}
        \begin{document}
        \maketitle
        \section{Introduction}
        Let $x \in \mathbb{R}^n$ and
        \begin{equation}
          f(x) = \sum_{i=1}^{n} w_i x_i + b.
        \end{equation}
        \end{document}
        """
    yield "data/subtitles.srt", """
        1
        00:00:01,000 --> 00:00:04,000
        It was a dark night.

        2
        00:00:05,500 --> 00:00:08,000
        Nobody had expected the model
        to answer so soon.
        """


def sources():
    yield "source/main.py", python_source()
    yield "source/main.rs", """
        use std::collections::HashMap;

        #[derive(Debug, Clone)]
        struct Account { name: String, balance: i64 }

        impl Account {
            fn deposit(&mut self, amount: i64) -> Result<(), String> {
                if amount <= 0 { return Err(format!("bad amount {amount}")); }
                self.balance += amount;
                Ok(())
            }
        }

        fn main() {
            let mut accounts: HashMap<&str, Account> = HashMap::new();
            accounts.insert("a", Account { name: "Ada".into(), balance: 0 });
            if let Some(account) = accounts.get_mut("a") {
                account.deposit(10).expect("a deposit");
                println!("{account:?}");
            }
        }
        """
    yield "source/main.c", r"""
        #include <stdio.h>
        #include <stdlib.h>
        #include <string.h>

        static int compare(const void *a, const void *b) {
            return *(const int *)a - *(const int *)b;
        }

        int main(int argc, char **argv) {
            int numbers[] = {5, 3, 9, 1};
            qsort(numbers, 4, sizeof(int), compare);
            for (int i = 0; i < 4; i++) printf("%d\n", numbers[i]);
            return argc > 1 && strcmp(argv[1], "-v") == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
        }
        """
    yield "source/main.go", """
        package main

        import (
        \t"fmt"
        \t"net/http"
        )

        type server struct{ hits int }

        func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
        \ts.hits++
        \tfmt.Fprintf(w, "hit %d on %s", s.hits, r.URL.Path)
        }

        func main() {
        \tif err := http.ListenAndServe(":8080", &server{}); err != nil {
        \t\tpanic(err)
        \t}
        }
        """
    yield "source/main.js", """
        'use strict';
        const fs = require('fs');

        class Counter {
          constructor() { this.counts = new Map(); }
          add(word) { this.counts.set(word, (this.counts.get(word) || 0) + 1); }
        }

        const counter = new Counter();
        for (const word of fs.readFileSync(0, 'utf8').split(/\\s+/)) counter.add(word);
        console.log([...counter.counts].sort((a, b) => b[1] - a[1]).slice(0, 10));
        module.exports = { Counter };
        """
    yield "source/Main.java", """
        package app;

        import java.util.ArrayList;
        import java.util.List;

        public class Main {
            private final List<String> names = new ArrayList<>();

            public static void main(String[] args) {
                Main main = new Main();
                for (String arg : args) main.names.add(arg.trim());
                System.out.println(String.join(", ", main.names));
            }
        }
        """
    yield "source/run.sh", """
        #!/bin/bash
        set -euo pipefail
        for file in "$@"; do
          if [[ -f "$file" ]]; then
            echo "$(wc -c < "$file") $file"
          else
            echo "no such file: $file" >&2
            exit 1
          fi
        done
        """
    yield "source/schema.sql", """
        CREATE TABLE customers (
          id INTEGER PRIMARY KEY,
          name VARCHAR(80) NOT NULL,
          created TIMESTAMP DEFAULT CURRENT_TIMESTAMP
        );
        INSERT INTO customers (id, name) VALUES (1, 'Ada'), (2, 'Charles');
        SELECT c.name, COUNT(o.id) AS orders FROM customers c
          LEFT JOIN orders o ON o.customer_id = c.id GROUP BY c.name ORDER BY orders DESC;
        """
    yield "source/Makefile", (
        b"CC ?= cc\nCFLAGS += -O2 -Wall\n\nall: program\n\nprogram: main.o list.o\n"
        b"\t$(CC) $(LDFLAGS) -o $@ $^\n\n%.o: %.c\n\t$(CC) $(CFLAGS) -c -o $@ $<\n\n"
        b"clean:\n\trm -f program *.o\n\n.PHONY: all clean\n"
    )
    yield "source/Dockerfile", """
        FROM debian:12-slim
        RUN apt-get update && apt-get install -y --no-install-recommends ca-certificates
        WORKDIR /app
        COPY target/release/service /app/service
        EXPOSE 8080
        ENTRYPOINT ["/app/service"]
        """
    yield "source/style.css", """
        :root { --accent: teal; }
        body { margin: 0; font: 16px/1.5 sans-serif; }
        .card > h2:hover { color: var(--accent); transition: color .2s ease-in; }
        @media (max-width: 600px) { .card { display: none; } }
        """


def noise():
    yield "noise/random-100", random.Random(4).randbytes(100)
    yield "noise/random-2048", random.Random(5).randbytes(2048)
    yield "noise/random-100000", random.Random(6).randbytes(100_000)
    letters = random.Random(7)
    yield "noise/random-letters", bytes(letters.choices(b"abcdefghijklmnopqrstuvwxyz \n", k=3000))
    yield "noise/random-printable", bytes(letters.choices(range(32, 127), k=5000))
    yield "noise/zeros-5000", bytes(5000)
    yield "noise/counting", bytes(range(256)) * 20
    # Two kinds at once: what the model says of these has a low score.
    yield "noise/png-then-code", png()[:40] + python_source()
    yield "noise/code-then-noise", python_source() + random.Random(8).randbytes(3000)
    yield "noise/words", b"alpha beta gamma delta epsilon zeta eta theta iota kappa\n"
    yield "noise/numbers", b"".join(b"%d %d\n" % (i, i * i) for i in range(50))
    yield "noise/dashes", b"-" * 60 + b"\n"


if __name__ == "__main__":
    main()
