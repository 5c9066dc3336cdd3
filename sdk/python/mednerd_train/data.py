"""Gold corpora as documents: readers for CoNLL/IOB2, PubTator, BRAT and JSONL, and the checks made on them.

A document is a raw text with spans in Unicode code points, whatever its file looked like. A defect in a file becomes a
`Problem` and is never dropped in silence. Files may be xz-compressed. Standard library only.
"""

from __future__ import annotations

import hashlib
import io
import json
import lzma
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

#: A word is a run of word characters or one other visible character: what BERT's pre-tokeniser yields.
WORD = re.compile(r"[^\W_]+|[^\w\s]|_")
#: A sentence ends after `.`, `?` or `!` (and a closing bracket or quote) before a capital, digit or bracket; a line
#: of a note ends one as well.
SENTENCE_END = re.compile(r"(?<=[.?!])[)\]\"']*\s+(?=[A-Z0-9(\[\"'])")


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

    def __str__(self) -> str:
        return f"{self.where}: {self.what}"


@dataclass
class Document:
    """A raw text with gold spans. `typed` names the types that were looked for in it; `None`: all that its corpus has."""

    id: str
    text: str
    spans: list[Span]
    typed: tuple[str, ...] | None = None
    problems: list[Problem] = field(default_factory=list)


@dataclass(frozen=True)
class Source:
    """A gold file or folder, as a TOML file names it under `data.train` or `data.dev`."""

    path: Path
    #: `conll`, `pubtator`, `brat` or `jsonl`.
    format: str
    #: From the file's types to ours; empty: as they are. Types that are missing here are problems.
    types: dict[str, str] = field(default_factory=dict)
    #: Types of the file that are left out knowingly.
    ignore: tuple[str, ...] = ()
    #: CoNLL holds sentences: so many consecutive ones become a document.
    sentences: int = 1


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


def read(source: Source) -> list[Document]:
    """The documents of `source`, problems with them; spans are sorted, unique and have our types."""
    if source.format not in READERS:
        raise ValueError(f"{source.path}: no reader for {source.format!r}; there are {', '.join(READERS)}")
    documents = list(READERS[source.format](source))
    for document in documents:
        _finish(document, source)
    return documents


def _finish(document: Document, source: Source) -> None:
    kept: set[Span] = set()
    for span in document.spans:
        where = f"{document.id}, {span.begin}-{span.end}"
        if not 0 <= span.begin < span.end <= len(document.text):
            document.problems.append(Problem(where, "the offsets do not lie in the text: left out"))
        elif span.label in source.ignore:
            continue
        elif source.types and span.label not in source.types:
            document.problems.append(Problem(where, f"unknown type {span.label}: left out"))
        elif document.text[span.begin : span.end].strip() != document.text[span.begin : span.end]:
            document.problems.append(Problem(where, "the mention begins or ends with a space: trimmed"))
            text = document.text[span.begin : span.end]
            begin = span.begin + len(text) - len(text.lstrip())
            if text.strip():
                kept.add(Span(begin, begin + len(text.strip()), source.types.get(span.label, span.label)))
        else:
            kept.add(Span(span.begin, span.end, source.types.get(span.label, span.label)))
    document.spans = sorted(kept)
    if source.types:
        document.typed = tuple(dict.fromkeys(source.types.values()))


# -- readers -----------------------------------------------------------------------------------------------------


def _conll(source: Source) -> Iterator[Document]:
    """`token TAB … TAB tag` lines, blank lines between sentences, IOB2 tags (IOB1 is read and reported).

    The text is the tokens joined by single spaces, sentences by a line feed.
    """
    sentence: list[tuple[str, str]] = []
    held: list[list[tuple[str, str]]] = []
    problems: list[Problem] = []
    count = 0
    previous = "O"

    def document() -> Document:
        nonlocal count, problems
        made = _joined(f"{source.path.name}:{count}", held, problems)
        count, problems = count + 1, []
        held.clear()
        return made

    with open_text(source.path) as lines:
        for number, line in enumerate(lines, 1):
            cells = line.rstrip("\r\n").split("\t")
            start = cells[0].split(" ")[0] == "-DOCSTART-"
            if start or not line.strip():
                if sentence:
                    held.append(sentence)
                    sentence = []
                if held and (start or len(held) >= source.sentences):
                    yield document()
                previous = "O"
                continue
            where = f"{source.path.name}:{number}"
            if len(cells) < 2 or not cells[0].strip():
                problems.append(Problem(where, "not `token TAB tag`: left out"))
                continue
            token, tag = cells[0].strip(), cells[-1].strip()
            if tag != "O" and (tag[:2] not in ("B-", "I-") or not tag[2:]):
                problems.append(Problem(where, f"the tag {tag} is none of O, B-TYPE, I-TYPE: read as O"))
                tag = "O"
            elif tag.startswith("I-") and previous[2:] != tag[2:]:
                problems.append(Problem(where, f"{tag} after {previous}: read as B-{tag[2:]}"))
                tag = "B-" + tag[2:]
            sentence.append((token, tag))
            previous = tag
    if sentence:
        held.append(sentence)
    if held:
        yield document()


def _joined(name: str, held: list[list[tuple[str, str]]], problems: list[Problem]) -> Document:
    spans: list[Span] = []
    lines: list[str] = []
    at = 0
    for sentence in held:
        for token, tag in sentence:
            if tag.startswith("B-"):
                spans.append(Span(at, at + len(token), tag[2:]))
            elif tag.startswith("I-"):
                spans[-1] = Span(spans[-1].begin, at + len(token), tag[2:])
            at += len(token) + 1
        lines.append(" ".join(token for token, _ in sentence))
    return Document(name, "\n".join(lines), spans, problems=list(problems))


def _pubtator(source: Source) -> Iterator[Document]:
    """Title, one space, abstract, as PubTator's offsets presume."""
    document: Document | None = None
    with open_text(source.path) as lines:
        for number, line in enumerate(lines, 1):
            line = line.rstrip("\r\n")
            where = f"{source.path.name}:{number}"
            head = line.split("|", 2)
            if len(head) == 3 and head[1] == "t":
                if document:
                    yield document
                document = Document(head[0], head[2], [])
            elif document is None:
                if line.strip():
                    raise ValueError(f"{where}: an annotation before any title line (`ID|t|…`)")
            elif len(head) == 3 and head[1] == "a" and head[0] == document.id:
                document.text += " " + head[2]
            elif line.strip():
                cells = line.split("\t")
                if len(cells) == 4:  # a relation between two concepts, not a mention
                    continue
                if len(cells) < 5 or not (cells[1].isdigit() and cells[2].isdigit()):
                    document.problems.append(
                        Problem(where, "not `ID TAB begin TAB end TAB mention TAB type`: left out")
                    )
                elif cells[0] != document.id:
                    document.problems.append(Problem(where, f"of document {cells[0]}, not {document.id}: left out"))
                elif document.text[int(cells[1]) : int(cells[2])] != cells[3]:
                    what = f"offsets {cells[1]}-{cells[2]} do not quote the mention: left out"
                    document.problems.append(Problem(where, what))
                else:
                    document.spans.append(Span(int(cells[1]), int(cells[2]), cells[4]))
    if document:
        yield document


def _brat(source: Source) -> Iterator[Document]:
    """A folder of `NAME.txt` and `NAME.ann`. Only text-bound annotations are read; of a discontinuous one, its hull."""
    for path in sorted(source.path.glob("*.txt")):
        with path.open(encoding="utf-8", newline="") as file:
            document = Document(path.stem, file.read(), [])
        notes = path.with_suffix(".ann")
        if not notes.exists():
            document.problems.append(Problem(path.name, f"no {notes.name}: read as without mentions"))
        for number, line in enumerate(notes.read_text(encoding="utf-8").splitlines() if notes.exists() else [], 1):
            if not line.startswith("T"):
                continue
            where = f"{notes.name}:{number}"
            match = re.fullmatch(r"T\S+\t(\S+) (\d+(?: \d+)?(?:;\d+ \d+)*)\t(.*)", line)
            if not match:
                document.problems.append(Problem(where, "not `ID TAB type begin end TAB mention`: left out"))
                continue
            parts = [tuple(map(int, part.split(" "))) for part in match[2].split(";")]
            if any(len(part) != 2 for part in parts):
                document.problems.append(Problem(where, "an offset without its end: left out"))
                continue
            quoted = " ".join(document.text[begin:end] for begin, end in parts)
            if " ".join(quoted.split()) != " ".join(match[3].split()):
                document.problems.append(Problem(where, f"offsets {match[2]} do not quote the mention: left out"))
                continue
            if len(parts) > 1:
                document.problems.append(Problem(where, "a discontinuous mention: read as one from begin to end"))
            document.spans.append(Span(parts[0][0], parts[-1][1], match[1]))
        yield document


def _jsonl(source: Source) -> Iterator[Document]:
    """One object a line: `{"id": …, "text": …, "entities": [{"begin": …, "end": …, "label": …, "text": …}]}`.

    `id` and an entity's `text` may be missing; where the latter is there, it is compared.
    """
    with open_text(source.path) as lines:
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            where = f"{source.path.name}:{number}"
            try:
                row = json.loads(line)
                document = Document(str(row.get("id", where)), row["text"], [])
                entities = row["entities"]
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                raise ValueError(f'{where}: not {{"text": …, "entities": [...]}}: {error!r}') from error
            for entity in entities:
                try:
                    span = Span(int(entity["begin"]), int(entity["end"]), str(entity["label"]))
                except (KeyError, TypeError, ValueError):
                    document.problems.append(Problem(where, "an entity without begin, end or label: left out"))
                    continue
                if "text" in entity and document.text[span.begin : span.end] != entity["text"]:
                    what = f"offsets {span.begin}-{span.end} do not quote the mention: left out"
                    document.problems.append(Problem(where, what))
                    continue
                document.spans.append(span)
            yield document


READERS = {"conll": _conll, "pubtator": _pubtator, "brat": _brat, "jsonl": _jsonl}


def write_jsonl(documents: Iterable[Document], path: Path) -> None:
    """Writes documents in the kit's own format."""
    with path.open("w", encoding="utf-8") as file:
        for document in documents:
            entities = [
                {"begin": s.begin, "end": s.end, "label": s.label, "text": document.text[s.begin : s.end]}
                for s in document.spans
            ]
            row = {"id": document.id, "text": document.text, "entities": entities}
            file.write(json.dumps(row, ensure_ascii=False) + "\n")


# -- what a tagger of words can express ----------------------------------------------------------------------------


def flat(document: Document) -> tuple[list[Span], list[Problem]]:
    """The spans that one sequence of tags can express: of overlapping ones the longest. And a problem for each other
    one, and for each that begins or ends within a word."""
    taken: list[Span] = []
    problems = []
    edges = {edge for word in words(document.text) for edge in word}
    for span in sorted(document.spans, key=lambda s: (s.begin - s.end, s.begin, s.label)):
        where = f"{document.id}, {span.begin}-{span.end}"
        if any(span.begin < other.end and other.begin < span.end for other in taken):
            problems.append(Problem(where, f"{span.label} overlaps a longer mention: not learnt"))
            continue
        if span.begin not in edges or span.end not in edges:
            problems.append(Problem(where, f"{span.label} cuts a word"))
        taken.append(span)
    return sorted(taken), problems


def digest(path: Path) -> str:
    """SHA-256 of a file; of a folder, over its files' names and contents in order of name."""
    state = hashlib.sha256()
    for file in sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]:
        if path.is_dir():
            state.update(str(file.relative_to(path)).encode() + b"\0")
        state.update(hashlib.sha256(file.read_bytes()).digest())
    return state.hexdigest()


# -- text that must not be trained on ----------------------------------------------------------------------------

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
