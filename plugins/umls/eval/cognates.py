#!/usr/bin/env python3
"""Make src/text/cognates.txt: English words of Greek and Latin origin that other languages have, too, spelt and ended in their own way.

    plugins/umls/eval/cognates.py ../shared/data/text packaging/terms/{en,xx}.tsv > plugins/umls/src/text/cognates.txt

A word of at least five letters is taken where running text has it twice and a list of names has it as a word of a disease, drug or body part; an
everyday word, which no list has, where it is long, ends like Latin and text has it often. Commonest first: of two words that sound alike
the first one counts. Make it again with the lists, and see what `mednerd-umls eval` says before and after.
"""
import collections
import lzma
import re
import sys
from pathlib import Path

LEAST, LEAST_EVERYDAY, LONG = 2, 200, 7
LATIN = ("tion", "sion", "ity", "ence", "ency", "ance", "ancy", "ic", "al", "ous", "ive", "ment", "ia", "is", "ism", "ure", "ary", "oid", "ine", "ent", "ant")
WORD = re.compile(r"\b[a-z]{5,30}\b")


def main(folder: Path, lists: list[Path]) -> None:
    counts = collections.Counter()
    for text in sorted(folder.glob("*.txt.xz")):
        with lzma.open(text, "rt", encoding="utf-8") as lines:
            for line in lines:
                counts.update(WORD.findall(line.lower()))
    rows = [row.split("\t") for names in lists for row in names.read_text(encoding="utf-8").splitlines()[1:]]
    listed = {word for row in rows if row[1] not in ("-", "=") for word in WORD.findall(row[0].lower())}
    for word, count in sorted(counts.items(), key=lambda pair: (-pair[1], pair[0])):
        everyday = word not in listed
        if count >= (LEAST_EVERYDAY if everyday else LEAST) and (not everyday or (len(word) >= LONG and word.endswith(LATIN))):
            print(word)


if __name__ == "__main__":
    main(Path(sys.argv[1]), [Path(names) for names in sys.argv[2:]])
