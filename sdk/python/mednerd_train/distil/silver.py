"""Silver text: running text labelled by the teacher.

A silver set is two files: `NAME.txt` (one document a line, line feeds inside written as spaces) and `NAME.npy`, the
label probabilities of all its words in order, as bytes (255 is certain), those of each task side by side, the base's
first (`TASKS_FILE` beside them says whose they are).
"""

from __future__ import annotations

import logging
import random
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from ..data import HeldOut, sentences, words
from .corpora import LABELS, notes, running_text
from .lexicon import Lexicon
from .teacher import STYLE_BC5CDR, Featurizer, Sentence, Teacher, spans_of, tag

SEED = 20261121
_LOG = logging.getLogger(__name__)

#: Where silver text comes from, and at most how many words of each; the texts nearest to the task come first.
BUDGET = {
    "ncbi_pubtator_corpora": 2_300_000,
    "genia_abstracts": 500_000,
    "craft": 600_000,
    "medrag_pubmed": 1_000_000,
    "medical_abstracts_tc": 400_000,
    "pubmedqa_l": 260_000,
    "screening_abstracts_misc": 900_000,
    "asreview_abstracts": 700_000,
    "citation_screening_abstracts": 500_000,
    "howard2016_abstracts": 200_000,
    "med1250": 230_000,
    "medrag_openfda_labels": 300_000,
    "evidence_inference": 500_000,
    "medquad": 300_000,
    "nci_pdq_cancergov": 200_000,
    "medlineplus_topics": 150_000,
    "openstax_nursing": 150_000,
    "openstax_anatomy": 150_000,
    "openstax_biology": 150_000,
    "openstax_microbiology": 200_000,
    "cdc_journals": 200_000,
    "plos_starter": 200_000,
    "civic": 100_000,
    "trialgpt_patients": 20_000,
    "primock57": 80_000,
}
#: The tasks and their labels, in the order of the columns.
TASKS_FILE = "tasks.json"
_LONGEST_SENTENCE = 120


def select(data: Path, held_out: HeldOut, budget: dict[str, int]) -> Iterator[str]:
    """Yields the documents of the silver text, cut to about 3,000 characters at paragraph ends."""
    left = dict(budget)
    for source, document in running_text(data, held_out, budget):
        if left[source] <= 0:
            continue
        left[source] -= document.count(" ")
        piece = ""
        for paragraph in document.split("\n"):
            if piece and len(piece) + len(paragraph) > 3000:
                yield piece
                piece = ""
            piece = f"{piece} {paragraph}".strip()
        yield piece


def mentions(
    documents: list[str], labels: np.ndarray, lexicons: dict[str, Lexicon], at_least: int
) -> dict[str, Counter[str]]:
    """Counts, for each type, the teacher's mentions that its lexicon knows too; rare ones are left out."""
    found: dict[str, Counter[str]] = {name: Counter() for name in lexicons}
    at = 0
    for document in documents:
        offsets = words(document)
        best = labels[at : at + len(offsets), : len(LABELS)].argmax(axis=1)
        at += len(offsets)
        for span in spans_of(best.tolist(), offsets):
            text = document[span.begin : span.end].lower()
            if text in lexicons[span.label]:
                found[span.label][text] += 1
    return {name: Counter({k: n for k, n in counts.items() if n >= at_least}) for name, counts in found.items()}


def label(
    teacher: Teacher, featurizer: Featurizer, documents: Iterable[str], tasks: Sequence[str]
) -> tuple[list[str], np.ndarray]:
    """The documents on one line each, and the marginals of all their words as bytes; (words, labels of all tasks)."""
    texts = [" ".join(document.split()) for document in documents]
    found: list[np.ndarray] = []
    for at in range(0, len(texts), 2000):
        marginals = tag(teacher, featurizer, _sentences_of(texts[at : at + 2000]), tasks)
        found += [np.rint(rows * 255).astype(np.uint8) for rows in marginals]
        _LOG.info("%d of %d documents labelled", at, len(texts))
    return texts, np.concatenate(found)


def _sentences_of(texts: list[str]) -> list[Sentence]:
    items: list[Sentence] = []
    for document in texts:
        offsets = words(document)
        at = 0
        for _, end in sentences(document):
            first = at
            while at < len(offsets) and offsets[at][0] < end:
                at += 1
            for begin in range(first, at, _LONGEST_SENTENCE):
                part = offsets[begin : min(begin + _LONGEST_SENTENCE, at)]
                items.append(Sentence([document[b:e] for b, e in part], np.empty(0), STYLE_BC5CDR, part))
    return items


def note_texts(data: Path) -> list[str]:
    """Sections of the MTS-Dialog training notes; the last hundred are kept back to look at."""
    return [text for text in notes(data) if len(text) > 30][:-100]


def thin(documents: list[str], labels: np.ndarray, *, dense: float, keep: float) -> tuple[list[str], np.ndarray]:
    """Leaves out most documents that say little: of those with less than `dense` entity words, `keep` stay."""
    rng = random.Random(SEED)
    kept: list[str] = []
    rows: list[np.ndarray] = []
    at = 0
    for document in documents:
        mine = labels[at : at + len(words(document))]
        at += len(mine)
        if len(mine) and (1 - mine[:, 0].mean() / 255 >= dense or rng.random() < keep):
            kept.append(document)
            rows.append(mine)
    return kept, np.concatenate(rows)


def save(documents: list[str], labels: np.ndarray, stem: Path) -> None:
    """Writes a silver set."""
    stem.with_suffix(".txt").write_text("".join(document + "\n" for document in documents), encoding="utf-8")
    np.save(stem.with_suffix(".npy"), labels)


def columns(tasks: dict[str, list[str]]) -> dict[str, slice]:
    """Where the columns of each task are."""
    ends = np.cumsum([len(labels) for labels in tasks.values()]).tolist()
    return {name: slice(end - len(labels), end) for end, (name, labels) in zip(ends, tasks.items())}


def load(stem: Path) -> tuple[list[str], np.ndarray]:
    """Reads a silver set."""
    return stem.with_suffix(".txt").read_text(encoding="utf-8").split("\n")[:-1], np.load(stem.with_suffix(".npy"))
