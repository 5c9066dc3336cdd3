"""What clinical notes do to a text and abstracts do not: perturbations that keep every mention's place and type.

Each is a function from a document and a random generator to a new document. They serve training (`[augment]` of a run)
and, applied one at a time with a fixed seed, a perturbed development set. All of it is rules of our own, written from how
notes look; no note was copied.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from dataclasses import dataclass, replace

from .data import WORD, Document, Span


@dataclass(frozen=True)
class Augment:
    """`[augment]`: the share of documents that is changed in an epoch, and what may be done to one (empty: everything
    that `PERTURBATIONS` has)."""

    share: float = 0.0
    kinds: tuple[str, ...] = ()


@dataclass
class Edit:
    """Replace `[begin, end)` of a text by `text`."""

    begin: int
    end: int
    text: str


def apply(document: Document, edits: list[Edit]) -> Document:
    """The document with all edits made; overlapping ones after the first are dropped.

    A mention moves with the text. An edit across a mention's border is dropped, too, so that a mention is changed inside
    or not at all; an insertion at its border stays outside.
    """
    kept: list[Edit] = []
    for edit in sorted(edits, key=lambda e: (e.begin, e.end)):
        if kept and (edit.begin < kept[-1].end or (edit.begin, edit.end) == (kept[-1].begin, kept[-1].end)):
            continue
        if all(_keeps(edit, span) for span in document.spans):
            kept.append(edit)
    parts: list[str] = []
    at = 0
    for edit in kept:
        parts += [document.text[at : edit.begin], edit.text]
        at = edit.end
    parts.append(document.text[at:])

    def moved(place: int, is_begin: bool) -> int:
        shift = 0
        for edit in kept:
            grown = len(edit.text) - (edit.end - edit.begin)
            if edit.begin == edit.end:  # an insertion: before a begin, after an end
                shift += grown if edit.begin < place or (is_begin and edit.begin == place) else 0
            elif edit.end <= place:
                shift += grown
        return place + shift

    spans = sorted({Span(moved(s.begin, True), moved(s.end, False), s.label) for s in document.spans})
    return replace(document, text="".join(parts), spans=spans)


def _keeps(edit: Edit, span: Span) -> bool:
    """Whether the mention is still there after the edit: it lies beside it, or around it and is not emptied."""
    if edit.end <= span.begin or span.end <= edit.begin:
        return True
    inside = span.begin <= edit.begin and edit.end <= span.end
    return inside and (bool(edit.text.strip()) or (edit.begin, edit.end) != (span.begin, span.end))


Perturbation = Callable[[Document, random.Random], Document]


def _upper(document: Document, rng: random.Random) -> Document:
    """All capitals, as in headings and typed orders."""
    return _recased(document, str.upper)


def _lower(document: Document, rng: random.Random) -> Document:
    """No capitals at all."""
    return _recased(document, str.lower)


def _recased(document: Document, change: Callable[[str], str]) -> Document:
    # Letters whose other case has another length stay (`ß`, `İ`): offsets must not move.
    text = "".join(changed if len(changed := change(c)) == 1 else c for c in document.text)
    return replace(document, text=text)


def _punctuation(document: Document, rng: random.Random) -> Document:
    """Full stops, commas and semicolons are missing between words; those within numbers and names stay."""
    edits = [Edit(m.start(), m.end(), "") for m in re.finditer(r"[.,;:](?=\s|$)", document.text) if rng.random() < 0.7]
    return apply(document, [e for e in edits if not any(s.begin < e.end and e.begin < s.end for s in document.spans)])


def _line_breaks(document: Document, rng: random.Random) -> Document:
    """Hard-wrapped at 40 to 80 columns, wherever that falls, within mentions as well."""
    width, column, edits = rng.randint(40, 80), 0, []
    for match in re.finditer(r"\S+|\s+", document.text):
        if match[0].isspace():
            if column + len(match[0]) >= width - 8:
                edits.append(Edit(match.start(), match.end(), rng.choice(("\n", "\n", "\r\n", " \n  "))))
                column = 0
                continue
        column += len(match[0])
    return apply(document, edits)


_HEADINGS = (
    "HISTORY OF PRESENT ILLNESS:", "PMH:", "Past Medical History", "ASSESSMENT AND PLAN", "Assessment/Plan:", "HPI:",
    "IMPRESSION:", "Hospital course:", "DISCHARGE DIAGNOSES", "## Plan", "Findings:", "ROS:", "LABS", "Social Hx:",
)  # fmt: skip


def _headings(document: Document, rng: random.Random) -> Document:
    """Section headings before some sentences."""
    places = [0, *(m.end() for m in re.finditer(r"[.?!]\s+(?=[A-Z0-9])|\n", document.text))]
    chosen = [p for p in places if p == 0 or rng.random() < 0.25]
    return apply(
        document, [Edit(p, p, ("\n" if p else "") + rng.choice(_HEADINGS) + rng.choice(("\n", " "))) for p in chosen]
    )


def _lists(document: Document, rng: random.Random) -> Document:
    """Sentences become items of a list, bulleted or numbered."""
    mark = rng.choice(("- ", "* ", "• ", "{}. ", "{}) ", "#{} "))
    places = [0, *(m.end() for m in re.finditer(r"[.?!;]\s+(?=[A-Z0-9])|\n", document.text))]
    return apply(
        document, [Edit(p, p, ("\n" if p else "") + mark.format(i)) for i, p in enumerate(dict.fromkeys(places), 1)]
    )


#: Abbreviations of notes that no mention's meaning hangs on.
_SHORT = {
    "patient": "pt", "patients": "pts", "with": "w/", "without": "w/o", "history": "hx", "treatment": "tx",
    "diagnosis": "dx", "symptoms": "sx", "before": "b/f", "after": "s/p", "increased": "incr", "decreased": "decr",
    "daily": "qd", "right": "R", "left": "L", "and": "&", "positive": "+", "negative": "neg", "approximately": "~",
    "secondary": "2/2", "therapy": "rx", "years": "yrs", "therefore": "∴", "women": "F", "men": "M",
    "administration": "admin", "significant": "sig", "significantly": "sig", "respectively": "resp", "versus": "vs",
    "control": "ctrl", "controls": "ctrls", "regarding": "re", "evaluation": "eval", "following": "f/b",
}  # fmt: skip


def _abbreviations(document: Document, rng: random.Random) -> Document:
    """Everyday words are abbreviated as in notes; and abbreviations defined in the text lose their expansion, or theirs
    lose the abbreviation: `tumour necrosis factor (TNF)` becomes `TNF` or stands alone."""
    edits = [
        Edit(m.start(), m.end(), _SHORT[m[0].lower()])
        for m in re.finditer(r"[A-Za-z]+", document.text)
        if m[0].lower() in _SHORT and rng.random() < 0.6 and not _inside(document, m.start(), m.end())
    ]
    spans = sorted(document.spans)
    dropped: set[Span] = set()
    for long, short in zip(spans, spans[1:]):
        between = document.text[long.end : short.begin]
        closed = document.text[short.end : short.end + 2].lstrip()[:1] == ")"
        brief = 2 <= short.end - short.begin <= 8 < long.end - long.begin
        if long.label == short.label and between.strip() == "(" and closed and brief and long not in dropped:
            close = document.text.index(")", short.end) + 1
            if rng.random() < 0.5:
                edits += [Edit(long.begin, short.begin, ""), Edit(short.end, close, "")]
                dropped.add(long)
            else:
                edits.append(Edit(long.end, close, ""))
                dropped.add(short)
    kept = replace(document, spans=[s for s in document.spans if s not in dropped])
    return apply(kept, edits)


def _inside(document: Document, begin: int, end: int) -> bool:
    return any(s.begin < end and begin < s.end for s in document.spans)


_NEIGHBOURS = dict(
    zip(
        "qwertyuiopasdfghjklzxcvbnm",
        "wa qe wr et ry tu yi uo ip o as sd df fg gh hj jk kl l zx xc cv vb bn nm m".split(),
    )
)


def _misspellings(document: Document, rng: random.Random) -> Document:
    """A slip of the keyboard in one word of 25: a letter dropped, doubled, exchanged with the next or with its neighbour
    on the keyboard; within mentions as well. Words of fewer than five letters stay."""
    edits = []
    for match in WORD.finditer(document.text):
        word = match[0]
        if len(word) < 5 or not word.isalpha() or rng.random() > 0.04:
            continue
        at = rng.randrange(1, len(word) - 1)
        near = _NEIGHBOURS.get(word[at].lower(), word[at])
        slip = rng.choice(
            (
                word[:at] + word[at + 1 :],
                word[:at] + word[at] + word[at:],
                word[:at] + word[at + 1] + word[at] + word[at + 2 :],
                word[:at] + rng.choice(near) + word[at + 1 :],
            )
        )
        edits.append(Edit(match.start(), match.end(), slip))
    return apply(document, edits)


_UNITS = ("mg", "mcg", "mL", "g/dL", "mmol/L", "units", "%", "mg/dL", "kg", "mmHg")
_FREQUENCIES = ("po daily", "BID", "PO q8h prn", "IV x1", "qhs", "tid", "SC q12h")


def _units(document: Document, rng: random.Random) -> Document:
    """Doses and results between the words: spaces before units vanish, and mentions are followed by amounts."""
    edits = [
        Edit(m.start(), m.end(), "")
        for m in re.finditer(r"(?<=\d) (?=(?:mg|mcg|g|kg|ml|mL|mmol|mM|µM|%)\b)", document.text)
    ]
    for span in document.spans:
        if rng.random() < 0.2 and document.text[span.end : span.end + 1] in ("", " ", "\n", ".", ",", ";"):
            amount = (
                f"{rng.choice((0.5, 1, 2.5, 5, 10, 20, 40, 81, 125, 500))}{rng.choice(('', ' '))}{rng.choice(_UNITS)}"
            )
            edits.append(Edit(span.end, span.end, f" {amount}{rng.choice(('', ' ' + rng.choice(_FREQUENCIES)))}"))
    return apply(document, edits)


_BEFORE = (
    "Dx: ",
    "Reason for visit: ",
    "Pt reports ",
    "Hx of: ",
    "r/o ",
    "Allergies: ",
    "Problem 1) ",
    "Meds: ",
    "Indication - ",
)


def _templates(document: Document, rng: random.Random) -> Document:
    """Form fields around sentences, and leftovers of templates: `***`, `[ ]`, `___`, `@NAME@`."""
    places = [0, *(m.end() for m in re.finditer(r"[.?!]\s+(?=[A-Z0-9])|\n", document.text))]
    edits = [Edit(p, p, rng.choice(_BEFORE)) for p in places if rng.random() < 0.3]
    ends = [m.start() for m in re.finditer(r"\s(?=[a-z]{4,} )", document.text) if rng.random() < 0.02]
    edits += [Edit(p, p, rng.choice((" ***", " ___", " @NAME@", " [**Date**]", " {text:1}"))) for p in ends]
    return apply(document, [e for e in edits if not any(s.begin < e.begin < s.end for s in document.spans)])


def _tick_boxes(document: Document, rng: random.Random) -> Document:
    """Tick boxes and check marks before mentions and sentences."""
    boxes = ("[x] ", "[ ] ", "☐ ", "☑ ", "(X) ", "( ) ", "✓ ", "Yes [X] No [ ] ", "+ ", "- ")
    edits = [Edit(s.begin, s.begin, rng.choice(boxes)) for s in document.spans if rng.random() < 0.25]
    places = [0, *(m.end() for m in re.finditer(r"[.?!]\s+(?=[A-Z0-9])|\n", document.text))]
    edits += [Edit(p, p, rng.choice(boxes)) for p in places if rng.random() < 0.3]
    return apply(document, [e for e in edits if not any(s.begin < e.begin < s.end for s in document.spans)])


#: By the names that TOML files and tables use.
PERTURBATIONS: dict[str, Perturbation] = {
    "upper": _upper,
    "lower": _lower,
    "punctuation": _punctuation,
    "line_breaks": _line_breaks,
    "headings": _headings,
    "lists": _lists,
    "abbreviations": _abbreviations,
    "misspellings": _misspellings,
    "units": _units,
    "templates": _templates,
    "tick_boxes": _tick_boxes,
}


def perturb(document: Document, kind: str, seed: int = 20261121) -> Document:
    """One document of a perturbed set: the same for the same kind, seed and document, whatever else is in the set."""
    return PERTURBATIONS[kind](document, random.Random(f"{seed}/{kind}/{document.id}/{len(document.text)}"))


def augment(document: Document, settings: Augment, rng: random.Random) -> Document:
    """Changes a document, with the configured probability, in one to three of the configured ways."""
    if rng.random() >= settings.share:
        return document
    kinds = list(settings.kinds or PERTURBATIONS)
    for kind in rng.sample(kinds, min(len(kinds), rng.choice((1, 1, 2, 3)))):
        document = PERTURBATIONS[kind](document, rng)
    return document
