"""Dictionary knowledge: marks the words of a sentence that are part of a vocabulary's name (longest match)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from ..data import WORD, open_text
from .corpora import disease_names, drug_names

#: Names shorter than this many letters are mostly abbreviations or ordinary words.
MIN_LETTERS = 4

#: Names that stand in the vocabularies but name nothing particular in running text.
GENERIC = frozenset(
    """disease diseases disorder disorders syndrome syndromes condition conditions finding findings symptom symptoms
    problem other unknown water food air milk honey sugar salt tea coffee oil soil dust wood corn rice wheat egg meat
    fish soy apple banana orange tomato potato carrot lemon garlic onion tobacco talc charcoal ice blood plasma serum
    protein proteins insert control lead image pilot advance balance focus scale normal complete impact""".split()
)

_BRACKETS = re.compile(r"\s*[\[(][^\])]*[\])]\s*$")


def _key(name: str) -> tuple[str, ...]:
    return tuple(WORD.findall(name.lower()))


class Lexicon:
    """A set of names, matched word by word and ignoring case."""

    def __init__(self, names: Iterable[str]) -> None:
        self._names: set[tuple[str, ...]] = set()
        self._longest: dict[str, int] = {}
        for name in names:
            name = _BRACKETS.sub("", name)
            forms = [name]
            if name.count(", ") == 1:  # "Anemia, Aplastic"
                head, tail = name.split(", ")
                forms.append(f"{tail} {head}")
            for form in forms:
                key = _key(form)
                if sum(map(len, key)) < MIN_LETTERS or (len(key) == 1 and (key[0] in GENERIC or key[0].isdigit())):
                    continue
                for variant in (key, (*key[:-1], key[-1] + "s")):
                    self._names.add(variant)
                    self._longest[variant[0]] = max(self._longest.get(variant[0], 0), len(variant))

    def __len__(self) -> int:
        return len(self._names)

    def __contains__(self, name: str) -> bool:
        return _key(name) in self._names

    def mark(self, lowered: list[str]) -> list[int]:
        """For each word: 0 outside, 1 first of a match, 2 inside of one. Matches are leftmost, longest."""
        marks = [0] * len(lowered)
        at = 0
        while at < len(lowered):
            for length in range(min(self._longest.get(lowered[at], 0), len(lowered) - at), 0, -1):
                if tuple(lowered[at : at + length]) in self._names:
                    marks[at : at + length] = [1] + [2] * (length - 1)
                    at += length
                    break
            else:
                at += 1
        return marks


def load(data: Path) -> list[Lexicon]:
    """The three lexicons of the teacher: diseases, drugs, MeSH headings of every kind."""
    with open_text(data / "vocabulary/mesh2015_terms.tsv.xz") as lines:
        headings = [line.rstrip("\n").split("\t")[1] for line in lines][1:]
    return [Lexicon(disease_names(data)), Lexicon(drug_names(data)), Lexicon(headings)]
