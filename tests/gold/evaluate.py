#!/usr/bin/env python3
"""Scores a running daemon on the gold notes; prints a Markdown table. Python's standard library only.

    tests/gold/evaluate.py --socket /run/mednerd/mednerd.sock [--models a,b] [--aggregation simple,first] [--by kind]

Exact: begin, end and type equal. Relaxed: a prediction counts where it overlaps a gold mention of its
type, and a gold mention is found where a prediction of its type overlaps it. Chemical is gold `drug` and
`chemical` together; of `drug` alone only recall is told. The interval is 95 %, by bootstrap over notes. Only types that the
models name are scored.
"""

import argparse
import sys
from collections import defaultdict
from pathlib import Path

import gold

sys.path.append(str(gold.HERE.parent / "eval"))
from score import UnixConnection, annotate, interval, measures  # noqa: E402

# What is scored, from which gold types, and the labels of models that mean it (in lower case).
CLASSES = {
    "Disease": ({"disease"}, {"disease"}),
    "Chemical": ({"drug", "chemical"}, {"chemical", "drug", "simple_chemical"}),
    "Gene": ({"gene"}, {"gene", "protein", "gene_or_gene_product"}),
    "Anatomy": ({"anatomy"}, {"anatomy"}),
}


def overlapping(spans, others):
    """How many of `spans` overlap one of `others`."""
    return sum(any(begin < end2 and begin2 < end for begin2, end2 in others) for begin, end in spans)


def of_class(name, note, predicted):
    """Gold and predicted spans of one class in one note."""
    kinds, labels = CLASSES[name]
    spans = {(begin, end) for begin, end, kind in note["mentions"] if kind in kinds}
    found = {(begin, end) for begin, end, label in predicted if label.lower() in labels}
    if name == "Anatomy":  # AnatEM calls tumours and the like anatomy; here they are diseases: neither right nor wrong
        found -= {(begin, end) for begin, end, kind in note["mentions"] if kind == "disease"} - spans
    return spans, found


def row(title, pairs):
    """A line of the table from (gold, predicted) spans of each note."""
    exact = [(len(spans & found), len(found), len(spans)) for spans, found in pairs]
    right, predicted, total = (sum(part) for part in zip(*exact))
    precision = sum(overlapping(found, spans) for spans, found in pairs) / max(predicted, 1)
    recall = sum(overlapping(spans, found) for spans, found in pairs) / max(total, 1)
    relaxed = 2 * precision * recall / max(precision + recall, 1e-9)
    low, high = interval(exact)
    figures = " | ".join(f"{figure:.3f}" for figure in measures((right, predicted, total)))
    print(
        f"| {title} | {total} | {figures} | {low:.3f} to {high:.3f} "
        f"| {precision:.3f} | {recall:.3f} | {relaxed:.3f} |"
    )


def table(notes, answers, groups):
    """Prints the table: for each group of notes and each aggregation a line for each class."""
    labels = {label.lower() for predicted in answers.values() for *_, label in predicted}
    scored = [name for name, (_, known) in CLASSES.items() if known & labels]
    unknown = labels - {label for _, known in CLASSES.values() for label in known}
    if unknown:
        print(f"labels that are not scored: {', '.join(sorted(unknown))}", file=sys.stderr)
    print("| notes | aggregation | type | gold | P | R | F1 | 95 % | relaxed P | R | F1 |")
    print("|---|---|---|---|---|---|---|---|---|---|---|")
    for group, members in groups.items():
        for aggregation in dict.fromkeys(aggregation for _, aggregation in answers):
            title = f"{group} ({len(members)}) | `{aggregation}`"
            pairs = {
                name: [of_class(name, notes[note], answers[note, aggregation]) for note in members] for name in scored
            }
            for name in scored:
                row(f"{title} | {name}", pairs[name])
            if "Chemical" in scored:
                drugs = [{(b, e) for b, e, kind in notes[note]["mentions"] if kind == "drug"} for note in members]
                found = [predicted for _, predicted in pairs["Chemical"]]
                total = sum(map(len, drugs))
                exact = sum(len(one & other) for one, other in zip(drugs, found)) / max(total, 1)
                loose = sum(overlapping(one, other) for one, other in zip(drugs, found)) / max(total, 1)
                print(f"| {title} | drugs alone | {total} | – | {exact:.3f} | – | – | – | {loose:.3f} | – |")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--socket", required=True)
    parser.add_argument("--models", help="names, separated by commas; without it, the daemon's default")
    parser.add_argument("--aggregation", default="simple,first")
    parser.add_argument("--by", choices=("kind", "language"), help="a group for each instead of English and other")
    parser.add_argument("--notes", type=Path, default=gold.HERE / "notes")
    arguments = parser.parse_args()
    notes = {note["name"]: note for note in gold.notes(arguments.notes)}
    connection = UnixConnection(arguments.socket)
    answers = {}
    for aggregation in arguments.aggregation.split(","):
        ask = argparse.Namespace(models=arguments.models, aggregation=aggregation)
        for name, note in notes.items():
            answers[name, aggregation] = annotate(connection, note["text"], ask)
    groups = defaultdict(list)
    for name, note in notes.items():
        groups[note[arguments.by] if arguments.by else "English" if note["language"] == "en" else "other"].append(name)
    table(notes, answers, groups)


if __name__ == "__main__":
    main()
