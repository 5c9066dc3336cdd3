"""Readers for gold corpora, running text and vocabularies, and the checks made on them.

Everything is read from the data folder (xz-compressed files, see its README). Nothing is copied out of
it. A defect in a gold file is reported through `Problem`, never dropped in silence.
"""

from __future__ import annotations

import csv
import io
import itertools
import lzma
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

#: A word is a run of word characters or one other visible character: what BERT's pre-tokeniser yields.
WORD = re.compile(r"[^\W_]+|[^\w\s]|_")
#: A sentence ends after `.`, `?` or `!` (and a closing bracket or quote) before a capital, digit or bracket.
SENTENCE_END = re.compile(r"(?<=[.?!])[)\]\"']*\s+(?=[A-Z0-9(\[\"'])")

TYPES = ("Chemical", "Disease")
LABELS = ("O", "B-Chemical", "I-Chemical", "B-Disease", "I-Disease")
LABEL_ID = {name: index for index, name in enumerate(LABELS)}

#: NCBI-disease distinguishes kinds of disease mention that we merge.
NCBI_TYPES = dict.fromkeys(("SpecificDisease", "Modifier", "DiseaseClass", "CompositeMention"), "Disease")


@dataclass(frozen=True, order=True)
class Span:
    """One mention: half-open interval of Unicode code points, and its type."""

    begin: int
    end: int
    label: str


@dataclass(frozen=True)
class Problem:
    """A defect in a data file: where it is and what is wrong with it."""

    where: str
    what: str


@dataclass
class Document:
    """A raw text with gold spans; `typed` names the types that were annotated in it."""

    id: str
    text: str
    spans: list[Span]
    typed: tuple[str, ...] = TYPES
    problems: list[Problem] = field(default_factory=list)


def open_text(path: Path) -> io.TextIOBase:
    """Opens `path` as UTF-8 text, decompressing `.xz`."""
    if path.suffix == ".xz":
        return lzma.open(path, "rt", encoding="utf-8")
    return path.open(encoding="utf-8")


def words(text: str) -> list[tuple[int, int]]:
    """Begin and end of every word of `text`, in code points."""
    return [match.span() for match in WORD.finditer(text)]


def sentences(text: str) -> list[tuple[int, int]]:
    """Begin and end of every sentence of `text`; a rough split, good enough to cut training sequences."""
    cuts = [0, *(match.end() for match in SENTENCE_END.finditer(text)), len(text)]
    return [(begin, end) for begin, end in zip(cuts, cuts[1:]) if text[begin:end].strip()]


def read_pubtator(path: Path, types: dict[str, str] | None = None, typed: tuple[str, ...] = TYPES) -> list[Document]:
    """Reads a PubTator file: text is the title, one space, the abstract, as its offsets presume.

    `types` maps the file's types to ours (identity by default); others are reported as problems. Duplicate spans
    are removed. Spans that do not quote their text are reported and left out.
    """
    types = types or {name: name for name in TYPES}
    titles: dict[str, str] = {}
    documents: dict[str, Document] = {}
    with open_text(path) as lines:
        for number, line in enumerate(lines, 1):
            line = line.rstrip("\n")
            where = f"{path.name}:{number}"
            head = line.split("|", 2)
            if len(head) == 3 and head[1] == "t":
                titles[head[0]] = head[2]
                documents[head[0]] = Document(head[0], head[2], [], typed)
            elif len(head) == 3 and head[1] == "a":
                documents[head[0]].text = f"{titles[head[0]]} {head[2]}"
            elif line.strip():
                cells = line.split("\t")
                if len(cells) == 4:  # a relation between two concepts, not a mention
                    continue
                document = documents[cells[0]]
                if len(cells) < 5:
                    document.problems.append(Problem(where, f"{len(cells)} columns"))
                    continue
                begin, end, quoted, kind = int(cells[1]), int(cells[2]), cells[3], cells[4]
                if kind not in types:
                    document.problems.append(Problem(where, f"unknown type {kind}"))
                elif document.text[begin:end] != quoted:
                    document.problems.append(Problem(where, f"offsets {begin}-{end} do not quote the mention"))
                else:
                    document.spans.append(Span(begin, end, types[kind]))
    for document in documents.values():
        document.spans = sorted(set(document.spans))
    return list(documents.values())


def read_iob2(path: Path, typed: tuple[str, ...] = TYPES) -> list[Document]:
    """Reads `token TAB tag` sentences; each becomes a document of its tokens joined by single spaces.

    Reports unknown tags, malformed lines and `I-` tags that continue nothing (read as `B-`).
    """
    documents: list[Document] = []
    tokens: list[tuple[str, str]] = []
    problems: list[Problem] = []

    def close() -> None:
        nonlocal problems
        if tokens:
            documents.append(_joined(f"{path.name}:{len(documents)}", tokens, typed, problems))
            tokens.clear()
            problems = []

    with open_text(path) as lines:
        previous = "O"
        for number, line in enumerate(lines, 1):
            where = f"{path.name}:{number}"
            if not line.strip():
                close()
                previous = "O"
                continue
            cells = line.rstrip("\n").split("\t")
            if len(cells) != 2 or not cells[0].strip():
                problems.append(Problem(where, "not `token TAB tag`"))
                continue
            token, tag = cells
            if tag not in LABEL_ID:
                problems.append(Problem(where, f"unknown tag {tag}"))
                tag = "O"
            elif tag.startswith("I-") and previous[2:] != tag[2:]:
                problems.append(Problem(where, f"{tag} after {previous}"))
                tag = "B-" + tag[2:]
            tokens.append((token, tag))
            previous = tag
        close()
    return documents


def _joined(name: str, tokens: list[tuple[str, str]], typed: tuple[str, ...], problems: list[Problem]) -> Document:
    spans: list[Span] = []
    at = 0
    for token, tag in tokens:
        if tag.startswith("B-"):
            spans.append(Span(at, at + len(token), tag[2:]))
        elif tag.startswith("I-"):
            spans[-1] = Span(spans[-1].begin, at + len(token), tag[2:])
        at += len(token) + 1
    return Document(name, " ".join(token for token, _ in tokens), spans, typed, list(problems))


def gold_train(data: Path) -> list[Document]:
    """The training documents: BC5CDR (both types) and NCBI-disease (diseases alone)."""
    return [
        *read_pubtator(data / "linking/bc5cdr/train.pubtator.txt.xz"),
        *read_pubtator(data / "linking/ncbi-disease/train.pubtator.txt.xz", NCBI_TYPES, ("Disease",)),
    ]


def gold_dev(data: Path) -> list[Document]:
    """Every development document, for evaluation and for keeping its text out of training."""
    return [
        *read_pubtator(data / "linking/bc5cdr/dev.pubtator.txt.xz"),
        *read_pubtator(data / "linking/ncbi-disease/dev.pubtator.txt.xz", NCBI_TYPES, ("Disease",)),
    ]


def word_labels(document: Document) -> tuple[list[tuple[int, int]], list[int], list[Problem]]:
    """Words of `document`, a label id for each, and the spans that words cannot express.

    Of overlapping spans the longest wins. A word belongs to a span when they overlap at all.
    """
    spans = words(document.text)
    labels = [0] * len(spans)
    problems: list[Problem] = []
    for span in sorted(document.spans, key=lambda s: (s.begin - s.end, s.begin)):
        inside = [i for i, (begin, end) in enumerate(spans) if begin < span.end and end > span.begin]
        if not inside:
            problems.append(Problem(document.id, f"{span} covers no word"))
            continue
        if any(labels[i] for i in inside):
            problems.append(Problem(document.id, f"{span} overlaps a longer mention"))
            continue
        if (spans[inside[0]][0], spans[inside[-1]][1]) != (span.begin, span.end):
            problems.append(Problem(document.id, f"{span} cuts a word"))
        labels[inside[0]] = LABEL_ID["B-" + span.label]
        for i in inside[1:]:
            labels[i] = LABEL_ID["I-" + span.label]
    return spans, labels, problems


# -- running text ------------------------------------------------------------------------------------------------

_SHINGLE = 8
_STEP = 4


def _shingles(text: str, step: int) -> Iterator[int]:
    tokens = re.findall(r"[^\W_]+", text.lower())
    for i in range(0, len(tokens) - _SHINGLE + 1, step):
        yield hash(tuple(tokens[i : i + _SHINGLE]))


class HeldOut:
    """Recognises paragraphs that repeat a held-out document: two shared runs of eight words."""

    def __init__(self, documents: Iterable[Document]) -> None:
        self._seen = {shingle for document in documents for shingle in _shingles(document.text, 1)}

    def __contains__(self, paragraph: str) -> bool:
        hits = 0
        for shingle in _shingles(paragraph, _STEP):
            hits += shingle in self._seen
            if hits == 2:
                return True
        return False


def running_text(data: Path, held_out: HeldOut, sources: Iterable[str] | None = None) -> Iterator[tuple[str, str]]:
    """Yields `(source, document)` from `text/`, paragraphs joined by a line feed.

    Documents with a paragraph that repeats a held-out one are left out whole. `sources` restricts and orders the
    files that are read.
    """
    for source in sources or sorted(path.name.removesuffix(".txt.xz") for path in (data / "text").glob("*.txt.xz")):
        with open_text(data / "text" / f"{source}.txt.xz") as lines:
            paragraphs: list[str] = []
            for line in itertools.chain(lines, [""]):
                if line.strip():
                    paragraphs.append(line.strip())
                    continue
                if paragraphs and not any(paragraph in held_out for paragraph in paragraphs):
                    yield source, "\n".join(paragraphs)
                paragraphs = []


def notes(data: Path) -> Iterator[str]:
    """Yields the section texts of the MTS-Dialog training notes (without their dialogues)."""
    with open_text(data / "notes/mts-dialog-train.csv.xz") as file:
        for row in csv.DictReader(file):
            yield row["section_text"]


# -- vocabularies ------------------------------------------------------------------------------------------------


def disease_names(data: Path) -> Iterator[str]:
    """Yields every disease name of the CUI table (MONDO, Disease Ontology, NCIt)."""
    with open_text(data / "vocabulary/cui_names_disease.tsv.xz") as lines:
        for line in lines:
            cells = line.rstrip("\n").split("\t")
            if len(cells) >= 2:
                yield cells[1]


def drug_names(data: Path) -> Iterator[str]:
    """Yields every drug name and synonym of the DrugBank open vocabulary."""
    with open_text(data / "vocabulary/drugbank_vocabulary.csv.xz") as file:
        for row in csv.DictReader(file, delimiter=";"):
            yield row["name"]
            for synonym in (row["synonyms"] or "").split(" | "):
                if synonym:
                    yield synonym
