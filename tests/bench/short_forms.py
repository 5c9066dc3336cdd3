#!/usr/bin/env python3
"""Definitions of short forms found in abstracts, beside Schwartz and Hearst's algorithm as the PyPI package `abbreviations` has it.

    CARGO_TARGET_DIR=$(dirname "$(make -s bin-dir)") cargo build --release --locked --workspace --examples
    python tests/bench/short_forms.py ../shared/data/abbreviations/med1250_first600.txt.xz

The gold is that of Ab3P (Sohn et al. 2008). A definition is right where short and long form are those of the gold, as written.
"""

import logging
import lzma
import re
import subprocess
import sys

import binaries
from abbreviations import schwartz_hearst


def read(path):
    """(text, {(short, long)}) of each document."""
    documents = []
    for line in lzma.open(path, "rt", encoding="utf-8").read().splitlines():
        if re.fullmatch(r"\s*\d{5,}\s*", line):
            documents.append(["", set()])
        elif documents and not line.startswith("//"):
            if line.startswith("  ") and "|" in line:
                short, long = line.split("|")[:2]
                documents[-1][1].add((short.strip(), long.strip()))
            else:
                documents[-1][0] += line + "\n"
    return documents


def ours(text):
    """What `mednerd-abbreviations` finds."""
    found = subprocess.run(
        [binaries.EXAMPLES / "definitions"], input=text, capture_output=True, text=True, check=True
    )
    return {tuple(line.split("\t")) for line in found.stdout.splitlines()}


def theirs(text):
    """What the package `abbreviations` finds."""
    return set(schwartz_hearst.extract_abbreviation_definition_pairs(doc_text=text).items())


def main():
    """Prints the table."""
    logging.disable(logging.CRITICAL)
    documents = read(sys.argv[1])
    print(f"{len(documents)} abstracts, {sum(len(gold) for _, gold in documents)} definitions\n")
    print("| | precision | recall | F1 |\n|---|---|---|---|")
    for name, find in (("mednerd-abbreviations", ours), ("abbreviations", theirs)):
        right = wrong = missed = 0
        for text, gold in documents:
            found = find(text)
            right += len(found & gold)
            wrong += len(found - gold)
            missed += len(gold - found)
        precision, recall = right / (right + wrong), right / (right + missed)
        f1 = 2 * precision * recall / (precision + recall)
        print(f"| {name} | {precision:.3f} | {recall:.3f} | {f1:.3f} |")


if __name__ == "__main__":
    main()
