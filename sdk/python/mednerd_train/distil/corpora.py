"""What the recipe reads from the data folder: the two gold corpora, running text, notes, vocabularies.

Everything is read where it lies (xz-compressed files, see the folder's README). Nothing is copied out of it.
"""

from __future__ import annotations

import csv
import itertools
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from ..data import Document, HeldOut, Problem, Source, flat, open_text, read, words
from ..encoding import label_names

TYPES = ("Chemical", "Disease")
LABELS = tuple(label_names(TYPES))

#: NCBI-disease distinguishes kinds of disease mention that we merge.
NCBI_TYPES = dict.fromkeys(("SpecificDisease", "Modifier", "DiseaseClass", "CompositeMention"), "Disease")


def gold(data: Path, split: str) -> list[Document]:
    """A split's documents, `train` or `dev`: BC5CDR (both types) and NCBI-disease (diseases alone)."""
    both = {name: name for name in TYPES}
    return [
        *read(Source(data / f"linking/bc5cdr/{split}.pubtator.txt.xz", "pubtator", both)),
        *read(Source(data / f"linking/ncbi-disease/{split}.pubtator.txt.xz", "pubtator", NCBI_TYPES)),
    ]


#: The task of the two corpora above; its types are `TYPES`.
BASE = "base"
#: The other tasks, and the folder under `ner/` that each is learnt from.
TASKS = {
    "gene": "BC2GM",
    "anatomy": "AnatEM",
    "cell": "JNLPBA",
    "cancer-genetics": "BioNLP13CG",
    "species": "linnaeus",
}


def task(data: Path, name: str, split: str) -> list[Document]:
    """The documents of one task's split; of the other tasks', six sentences each."""
    if name == BASE:
        return gold(data, split)
    return read(Source(data / f"ner/{TASKS[name]}/{split}.tsv.xz", "conll", sentences=6))


def development(data: Path) -> list[Document]:
    """The development documents of all tasks, whose text is in no training set."""
    return [document for name in (BASE, *TASKS) for document in task(data, name, "dev")]


def training(data: Path) -> dict[str, list[Document]]:
    """Each task's training documents, but for those that repeat a development document of any."""
    held_out = HeldOut(development(data))
    return {name: [d for d in task(data, name, "train") if d.text not in held_out] for name in (BASE, *TASKS)}


def labels_of(documents: dict[str, list[Document]]) -> dict[str, list[str]]:
    """The labels of each task, from its training documents; the base's are `LABELS`."""
    types = {name: sorted({span.label for d in found for span in d.spans}) for name, found in documents.items()}
    return {name: list(LABELS) if name == BASE else label_names(found) for name, found in types.items()}


def word_labels(
    document: Document, names: Sequence[str] = LABELS
) -> tuple[list[tuple[int, int]], list[int], list[Problem]]:
    """Words of `document`, a label id (of `names`) for each, and the spans that words cannot express.

    Of overlapping spans the longest wins. A word belongs to a span when they overlap at all.
    """
    ids = {name: index for index, name in enumerate(names)}
    offsets = words(document.text)
    labels = [0] * len(offsets)
    spans, problems = flat(document)
    for span in spans:
        inside = [i for i, (begin, end) in enumerate(offsets) if begin < span.end and end > span.begin]
        if not inside or any(labels[i] for i in inside):
            problems.append(Problem(document.id, f"{span} has no word to itself"))
            continue
        labels[inside[0]] = ids["B-" + span.label]
        for i in inside[1:]:
            labels[i] = ids["I-" + span.label]
    return offsets, labels, problems


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
