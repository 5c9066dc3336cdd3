#!/usr/bin/env python3
"""The gold notes: checks their markup and writes them as JSONL or BRAT. Python's standard library only.

    tests/gold/gold.py check                    every problem with file and place; numbers by type and language
    tests/gold/gold.py jsonl > gold.jsonl       one note a line: text, mentions with byte and code point offsets
    tests/gold/gold.py brat FOLDER              NAME.txt and NAME.ann for each note
    tests/gold/gold.py agreement FIRST SECOND   exact agreement of two readings of the notes, by type

GUIDELINES.md says what the markup means.
"""

import argparse
import json
import re
import sys
from collections import Counter
from itertools import combinations
from pathlib import Path

HERE = Path(__file__).resolve().parent
TYPES = ("disease", "drug", "chemical", "gene", "anatomy")
LANGUAGES = ("de", "en", "es", "fr", "it", "nl", "pt")
HEADER = ("kind", "language")


class Problem(Exception):
    """The markup of a note is wrong."""


def parse(marked):
    """The text without its markup, and its mentions as (begin, end, type) in code points, outer ones first."""
    text, mentions, opened, length = [], [], [], 0
    for piece in re.split(r"(\{|\|[a-z]*\})", marked):
        if piece == "{":
            opened.append(length)
        elif piece.endswith("}") and piece.startswith("|"):
            if not opened:
                raise Problem(f"a mention ends that never began, at {length}")
            mentions.append((opened.pop(), length, piece[1:-1]))
        elif stray := set(piece) & set("{|}"):
            raise Problem(f"a stray {stray.pop()!r} near {piece[:40]!r}")
        else:
            text.append(piece)
            length += len(piece)
    if opened:
        raise Problem(f"a mention never ends, from {opened[-1]}")
    return "".join(text), sorted(mentions, key=lambda mention: (mention[0], -mention[1]))


def problems(text, mentions):
    """What the guidelines forbid and a program can see."""
    for begin, end, kind in mentions:
        name = text[begin:end]
        if kind not in TYPES:
            yield f"unknown type {kind!r} of {name!r}"
        if not name.strip() or name != name.strip():
            yield f"{name!r} at {begin} is empty or has space at its edge"
        elif name[0] in ".,;:!?)]\"" or name[-1] in ".,;:!?([\"":
            yield f"{name!r} at {begin} has punctuation at its edge"
        # A mention begins and ends with a word, but for a number or unit that a ward writes close to it.
        if begin and text[begin - 1].isalpha() and name[:1].isalpha():
            yield f"{name!r} at {begin} begins inside a word"
        if end < len(text) and text[end].isalpha() and name[-1:].isalpha():
            yield f"{name!r} at {begin} ends inside a word"
    for (begin, end, kind), (inner, inner_end, inner_kind) in combinations(mentions, 2):
        if (begin, end) == (inner, inner_end):
            yield f"{text[begin:end]!r} at {begin} is marked twice"
        elif kind == inner_kind and inner < end and inner_end <= end:
            yield f"{text[inner:inner_end]!r} at {inner} lies in a mention of its own type"


def read(path):
    """One note: name, kind, language, text, mentions."""
    head, _, marked = path.read_text(encoding="utf-8").partition("\n\n")
    fields = dict(line.split(": ", 1) for line in head.splitlines() if ": " in line)
    if tuple(fields) != HEADER or fields["language"] not in LANGUAGES:
        raise Problem(f"the head must be {' and '.join(HEADER)}, with a language of {', '.join(LANGUAGES)}")
    text, mentions = parse(marked.removesuffix("\n"))
    return {"name": path.stem, **fields, "text": text, "mentions": mentions}


def notes(folder):
    """All notes, by name. Ends the program where one is wrong."""
    found, wrong = [], []
    for path in sorted(folder.glob("*.txt")):
        try:
            note = read(path)
            found.append(note)
            wrong += (f"{path.name}: {problem}" for problem in problems(note["text"], note["mentions"]))
        except (Problem, UnicodeDecodeError) as problem:
            wrong.append(f"{path.name}: {problem}")
    if wrong or not found:
        sys.exit("\n".join(wrong) or f"no notes in {folder}")
    return found


def record(note):
    """A note as a JSONL record, as `mednerd-train` reads it; offsets in code points and, beside them, in bytes."""
    text = note["text"]

    def entity(begin, end, kind):
        byte = len(text[:begin].encode())
        return {
            "label": kind,
            "text": text[begin:end],
            "begin": begin,
            "end": end,
            "begin_byte": byte,
            "end_byte": byte + len(text[begin:end].encode()),
        }

    return {
        "id": note["name"],
        "kind": note["kind"],
        "language": note["language"],
        "text": text,
        "entities": [entity(*mention) for mention in note["mentions"]],
    }


def brat(note):
    """A note's BRAT annotation; a line break in a mention splits it, as BRAT wants."""
    for index, (begin, end, kind) in enumerate(note["mentions"], 1):
        name, parts, place = note["text"][begin:end], [], begin
        for line in name.split("\n"):
            parts.append((place + len(line) - len(line.lstrip()), place + len(line.rstrip())))
            place += len(line) + 1
        ranges = ";".join(f"{first} {last}" for first, last in parts)
        yield f"T{index}\t{kind} {ranges}\t{' '.join(name.split())}\n"


def readings(path):
    """A reading: lines `NAME`, then `begin end type`."""
    spans, name = set(), None
    for line in path.read_text(encoding="utf-8").splitlines():
        fields = line.split()
        if len(fields) == 1:
            name = fields[0]
        elif fields:
            spans.add((name, int(fields[0]), int(fields[1]), fields[2]))
    return spans


def agreement(first, second):
    """F1 of one reading against the other, spans and type equal. It is the same both ways."""
    print(f"{'type':<10} {'first':>6} {'second':>6} {'both':>6} {'F1':>7}")
    for kind in (*TYPES, "all"):
        one, other = ({span for span in reading if kind in (span[3], "all")} for reading in (first, second))
        both = len(one & other)
        print(f"{kind:<10} {len(one):6} {len(other):6} {both:6} {2 * both / max(len(one) + len(other), 1):7.3f}")


def summary(found):
    """Prints how much there is."""
    print(f"{len(found)} notes, {sum(len(note['text'].split()) for note in found)} words")
    for title, group in (
        ("English", [note for note in found if note["language"] == "en"]),
        ("other", [note for note in found if note["language"] != "en"]),
    ):
        count = Counter(kind for note in group for *_, kind in note["mentions"])
        print(f"{title}: {len(group)} notes; " + ", ".join(f"{kind} {count[kind]}" for kind in TYPES))


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--notes", type=Path, default=HERE / "notes", help="another folder of notes")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("check")
    commands.add_parser("jsonl")
    commands.add_parser("brat").add_argument("folder", type=Path)
    both = commands.add_parser("agreement")
    both.add_argument("first", type=Path)
    both.add_argument("second", type=Path)
    arguments = parser.parse_args()
    if arguments.command == "agreement":
        agreement(readings(arguments.first), readings(arguments.second))
        return
    found = notes(arguments.notes)
    if arguments.command == "check":
        summary(found)
    elif arguments.command == "jsonl":
        for note in found:
            print(json.dumps(record(note), ensure_ascii=False))
    else:
        arguments.folder.mkdir(parents=True, exist_ok=True)
        for note in found:
            (arguments.folder / f"{note['name']}.txt").write_text(note["text"], encoding="utf-8")
            (arguments.folder / f"{note['name']}.ann").write_text("".join(brat(note)), encoding="utf-8")


if __name__ == "__main__":
    main()
