#!/usr/bin/env python3
"""Make src/text/known_words.txt: words that are no other word misspelt.

    plugins/umls/eval/known_words.py ../shared/data/text packaging/terms/{en,xx}.tsv > plugins/umls/src/text/known_words.txt

A word of at least three letters is known where running text has it 40 times, or five times and a list of names has it too:
the lists have frequent misspellings as well, which running text hardly has. One that no list has as a name of a disease,
drug or the like by itself is an everyday word, and has a hyphen behind it. What
stands in capitals more often is a short form and no word. Bytes are sorted, as words are looked up by halving. The lists
change more often than this one: make it again with them, and see what `mednerd-umls eval` says before and after.
"""
import collections
import lzma
import re
import sys
from pathlib import Path

# Text that editors read: errors of the pen are rare in it.
TEXTS = ("medlineplus_topics", "medquad", "nci_pdq_cancergov", "med1250", "medical_abstracts_tc", "medrag_openfda_labels",
         "openstax_anatomy", "openstax_biology", "openstax_microbiology", "openstax_nursing", "openstax_psychology")
LEAST, LEAST_OF_NAMES = 40, 5
WORD, CAPITALS = re.compile(r"\b[a-z]{3,30}\b"), re.compile(r"\b[A-Z]{3,30}\b")


def main(folder: Path, lists: list[Path]) -> None:
    counts, capitals = collections.Counter(), collections.Counter()
    for text in TEXTS:
        with lzma.open(folder / f"{text}.txt.xz", "rt", encoding="utf-8") as lines:
            for line in lines:
                counts.update(WORD.findall(line))
                capitals.update(CAPITALS.findall(line))
    rows = [row for names in lists for row in names.read_text(encoding="utf-8").splitlines()[1:]]
    listed = {word for row in rows for word in WORD.findall(row.split("\t")[0].lower())}
    cells = [row.split("\t") for row in rows]
    whole = {row[0] for row in cells if row[1] not in ("", "-", "=", "Anatomy")}
    endings = tuple(name[1:] for name in whole if name.startswith("*"))

    def everyday(word: str) -> bool:
        return not whole & {word, word.removesuffix("s")} and not word.endswith(endings)

    for word in sorted(counts):
        least = LEAST_OF_NAMES if word in listed else LEAST
        if counts[word] >= max(least, capitals[word.upper()]):
            print(f"{word}-" if everyday(word) else word)


if __name__ == "__main__":
    main(Path(sys.argv[1]), [Path(names) for names in sys.argv[2:]])
