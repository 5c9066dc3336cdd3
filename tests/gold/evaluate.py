#!/usr/bin/env python3
"""Scores a running daemon on the gold notes, by language and aggregation. Python's standard library only.

    tests/gold/evaluate.py --socket /run/mednerd/mednerd.sock [--models a,b] [--aggregation simple,first] [--by kind]
                           [--visits ../shared/data/notes]

It is `mednerd-train evaluate` (see `sdk/python/mednerd_train/scoring.py` for what exact and relaxed mean) with what is
particular to these notes: gold `drug` and `chemical` are together a model's "Chemical", of drugs alone the recall is told, and what
AnatEM calls anatomy and these notes call a disease counts neither way. Only types that the models name are scored.
"""

import argparse
import sys
from collections import defaultdict
from contextlib import closing
from pathlib import Path

import gold
import visits

sys.path.append(str(gold.HERE.parents[1] / "sdk/python"))
from mednerd_train.daemon import Client  # noqa: E402
from mednerd_train.data import Span  # noqa: E402
from mednerd_train.scoring import EXACT, RELAXED, Scores  # noqa: E402

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


def found_in(note, answer):
    """What a model found, in the tables' names; labels that are not scored keep theirs."""
    found = {Span(e["begin"], e["end"], NAMES.get(e["label"].lower(), e["label"])) for e in answer}
    formations = {Span(begin, end, "Anatomy") for begin, end, kind in note["mentions"] if kind == "disease"}
    return found - formations


def print_scores(notes, answers, wanted):
    """The table of some notes, and the recall of drugs."""
    scores, drugs = Scores(), Scores()
    for note, answer in zip(notes, answers):
        marked = {Span(begin, end, NAMES[kind]) for begin, end, kind in note["mentions"]}
        found = found_in(note, answer)
        scores.add(*({span for span in spans if span.label in wanted} for spans in (marked, found)))
        taken = {Span(begin, end, "Chemical") for begin, end, kind in note["mentions"] if kind == "drug"}
        drugs.add(taken, {span for span in found if span.label == "Chemical"})
    print(scores.table())
    if "Chemical" in wanted:
        exact, relaxed = (drugs.total(match)["Chemical"] for match in (EXACT, RELAXED))
        print(f"\nOf {exact.gold} drugs alone: recall {exact.recall:.3f}, relaxed {relaxed.recall:.3f}.")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--socket", type=Path, required=True)
    parser.add_argument("--models", help="names, separated by commas; without it, the daemon's default")
    parser.add_argument("--aggregation", default="simple,first")
    parser.add_argument("--visits", type=Path, help="the visit notes of visits.py instead, whose texts are in this folder")
    parser.add_argument("--by", choices=("kind", "language"), help="a table for each instead of English and other")
    options = parser.parse_args()
    models = {"models": options.models.split(",")} if options.models else {}
    groups = defaultdict(list)
    notes = visits.notes(options.visits) if options.visits else gold.notes(gold.HERE / "notes")
    for note in notes:
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
