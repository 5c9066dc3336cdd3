#!/usr/bin/env python3
"""Scores a running daemon on the gold notes, by language and aggregation. Python's standard library only.

    tests/gold/evaluate.py --socket /run/mednerd/mednerd.sock [--models a,b] [--aggregation simple,first] [--by kind]
                           [--visits ../shared/data/notes | --notes tests/gold/blind] [--wrap 72 [--hyphens]] [--misspell 50]

It is `mednerd-train evaluate` (see `sdk/python/mednerd_train/scoring.py` for what exact and relaxed mean) with what is
particular to these notes: gold `drug` and `chemical` are together a model's "Chemical", of drugs alone the recall is told, and what
AnatEM calls anatomy and these notes call a disease counts neither way. Only types that the models name are scored. With `--wrap` the
recall of the mentions that go over a line's end is told as well, with `--misspell` of those that have a wrong letter.
"""

import argparse
import random
import re
import sys
from collections import defaultdict
from contextlib import closing
from pathlib import Path

import gold
import visits

sys.path.append(str(gold.HERE.parents[1] / "sdk/python"))
from mednerd_train.daemon import Client  # noqa: E402
from mednerd_train.data import Span  # noqa: E402
from mednerd_train.scoring import ALL, EXACT, RELAXED, Scores  # noqa: E402

#: What the notes' types, and the labels of models in lower case, are called in the tables.
NAMES = {
    "disease": "Disease",
    "drug": "Chemical",
    "chemical": "Chemical",
    "simple_chemical": "Chemical",
    "gene": "Gene",
    "protein": "Gene",
    "gene_or_gene_product": "Gene",
    "anatomy": "Anatomy",
}


def wrap(note, columns, hyphens):
    """The note with its lines broken at so many columns, between words or, with `hyphens`, within those of seven letters and more."""
    text, places = "", []
    for number, line in enumerate(note["text"].split("\n")):
        if number:
            places.append(len(text))
            text += "\n"
        column = 0
        for word in re.findall(r"\s+|\S+", line):
            cut = min(columns - column - 1, len(re.match(r"[^\W\d_]*", word)[0]) - 3)
            fits = word.isspace() or column == 0 or column + len(word) <= columns
            if not fits and hyphens and cut > 2 and re.fullmatch(r"[^\W\d_]{7,}\W*", word):
                places += range(len(text), len(text) + cut)
                text, word, column = text + word[:cut] + "-\n", word[cut:], 0
            elif not fits and text.endswith(" ") and not text.endswith("  "):
                text, column = text[:-1] + "\n", 0
            places += range(len(text), len(text) + len(word))
            text, column = text + word, column + len(word)
    mentions = [(places[begin], places[end - 1] + 1, kind) for begin, end, kind in note["mentions"]]
    return note | {"text": text, "mentions": mentions}


def misspell(note, percent):
    """The note with a wrong letter in so many of its mentions: within a word of seven letters or more, one is missing, twice there,
    another one, or behind the next."""
    chance, text = random.Random(note["name"]), note["text"]
    edits = {}
    for begin, end, _ in sorted(note["mentions"]):
        words = list(re.finditer(r"(?<![^\W\d_])[^\W\d_]{7,}", text[begin:end]))
        if not words or any(begin <= at < end for at in edits) or chance.random() * 100 >= percent:
            continue
        word = chance.choice(words)
        at = begin + chance.randrange(word.start() + 1, word.end() - 2)
        one, two = text[at], text[at + 1]
        other = chance.choice("aeiou" if one.lower() in "aeiou" else "bcdfglmnprst")
        edits[at] = chance.choice(["", one + one] + [other] * (other != one.lower()) + [two + one] * (one != two))
    new, places = "", []
    at = 0
    while at < len(text):
        letters = edits.get(at, text[at])
        long = 2 if at in edits and letters == text[at + 1] + text[at] else 1
        places += [len(new)] * long
        new, at = new + letters, at + long
    moved = [(places[begin], places[end - 1] + 1, kind) for begin, end, kind in note["mentions"]]
    wrong = {span for span, (begin, end, _) in zip(moved, note["mentions"]) if any(begin <= at < end for at in edits)}
    return note | {"text": new, "mentions": moved, "misspelt": wrong}


def found_in(note, answer):
    """What a model found, in the tables' names; labels that are not scored keep theirs."""
    found = {Span(e["begin"], e["end"], NAMES.get(e["label"].lower(), e["label"])) for e in answer}
    formations = {Span(begin, end, "Anatomy") for begin, end, kind in note["mentions"] if kind == "disease"}
    return found - formations


def print_scores(notes, answers, wanted):
    """The table of some notes, and the recall of drugs."""
    scores, drugs, broken, wrong = Scores(), Scores(), Scores(), Scores()
    for note, answer in zip(notes, answers):
        marked = {Span(begin, end, NAMES[kind]) for begin, end, kind in note["mentions"]}
        found = found_in(note, answer)
        scores.add(*({span for span in spans if span.label in wanted} for spans in (marked, found)))
        over = [{span for span in spans if "\n" in note["text"][span.begin : span.end]} for spans in (marked, found)]
        broken.add(*({span for span in spans if span.label in wanted} for spans in over))
        misspelt = {Span(begin, end, NAMES[kind]) for begin, end, kind in note.get("misspelt", ())}
        wrong.add({span for span in misspelt if span.label in wanted}, found)
        taken = {Span(begin, end, "Chemical") for begin, end, kind in note["mentions"] if kind == "drug"}
        drugs.add(taken, {span for span in found if span.label == "Chemical"})
    print(scores.table())
    exact, relaxed = (drugs.total(match)["Chemical"] for match in (EXACT, RELAXED))
    if "Chemical" in wanted and exact.gold:
        print(f"\nOf {exact.gold} drugs alone: recall {exact.recall:.3f}, relaxed {relaxed.recall:.3f}.")
    over = broken.total(EXACT)[ALL]
    if over.gold:
        print(f"Of {over.gold} mentions over a line's end: precision {over.precision:.3f}, recall {over.recall:.3f}.")
    misspelt = wrong.total(EXACT)[ALL]
    if misspelt.gold:
        print(f"Of {misspelt.gold} mentions with a wrong letter: recall {misspelt.recall:.3f}.")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--socket", type=Path, required=True)
    parser.add_argument("--models", help="names, separated by commas; without it, the daemon's default")
    parser.add_argument("--aggregation", default="simple,first")
    parser.add_argument("--visits", type=Path, help="the visit notes of visits.py instead, whose texts are in this folder")
    parser.add_argument("--notes", type=Path, default=gold.HERE / "notes", help="another folder of notes")
    parser.add_argument("--by", choices=("kind", "language"), help="a table for each instead of English and other")
    parser.add_argument("--wrap", type=int, metavar="COLUMNS", help="the notes with lines of at most so many columns")
    parser.add_argument("--hyphens", action="store_true", help="with --wrap: words are divided there")
    parser.add_argument("--misspell", type=int, metavar="PERCENT", help="a wrong letter in so many of the mentions that have a long word")
    options = parser.parse_args()
    models = {"models": options.models.split(",")} if options.models else {}
    groups = defaultdict(list)
    notes = visits.notes(options.visits) if options.visits else gold.notes(options.notes)
    for note in notes:
        if options.wrap:
            note = wrap(note, options.wrap, options.hyphens)
        if options.misspell:
            note = misspell(note, options.misspell)
        english = "English" if note["language"] == "en" else "other languages"
        groups[note[options.by] if options.by else english].append(note)
    for aggregation in options.aggregation.split(","):
        with closing(Client(options.socket)) as client:
            answers = {
                group: [client.annotate(note["text"], aggregation=aggregation, **models) for note in notes]
                for group, notes in groups.items()
            }
        labels = {entity["label"] for group in answers.values() for answer in group for entity in answer}
        wanted = {NAMES[label.lower()] for label in labels if label.lower() in NAMES}
        for group, notes in groups.items():
            print(f"\n{group}, {len(notes)} notes, `{aggregation}`\n")
            print_scores(notes, answers[group], wanted)


if __name__ == "__main__":
    main()
