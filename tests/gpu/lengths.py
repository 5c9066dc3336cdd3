"""Tokens of windows of real notes, one number a line, in the order of the files: `lengths.py NOTES [TOKENIZER] > lengths`.

NOTES has `aci-bench-*.csv.xz` and `mts-dialog-*.csv.xz`; what they say is not kept. A note longer than 512 tokens is several windows
that overlap by 64, as the daemon cuts it.
"""

import csv
import lzma
import pathlib
import random
import sys

from tokenizers import Tokenizer

WINDOW, OVERLAP, COUNT = 512, 64, 512


def main():
    notes = pathlib.Path(sys.argv[1])
    root = pathlib.Path(__file__).resolve().parents[2]
    tokenizer = Tokenizer.from_file(str(sys.argv[2] if sys.argv[2:] else root / "packaging/models/biomed-small/tokenizer.json"))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    csv.field_size_limit(1 << 30)
    texts = []
    for file in sorted(notes.glob("*.csv.xz")):
        with lzma.open(file, "rt", encoding="utf-8", newline="") as lines:
            for row in csv.DictReader(lines):
                texts.append(row.get("note") or row.get("section_text") or "")
    # Some of all files, in no order that helps.
    random.Random(7).shuffle(texts)
    found = []
    for text in texts:
        tokens = len(tokenizer.encode(text, add_special_tokens=False))
        while tokens > WINDOW - 2:
            found.append(WINDOW)
            tokens -= WINDOW - 2 - OVERLAP
        if tokens:
            found.append(tokens + 2)
    print("\n".join(map(str, found[:COUNT])))


main()
