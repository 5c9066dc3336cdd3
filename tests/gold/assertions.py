#!/usr/bin/env python3
"""What the notes say of their diseases, as read by one person, beside what mednerd's rules say. Python's standard library only.

    tests/gold/assertions.py PROGRAM [--notes even | --blind | --visits ../shared/data/notes] [--errors]
    tests/gold/assertions.py --socket /run/mednerd/mednerd.sock [...]

PROGRAM is the example `assertions` of `daemon/pipeline`: what the rules say of the diseases that the gold has. A daemon is asked for the
text alone: what it does not find at just that place counts as missing, and nothing is asked of what it finds elsewhere. `assertions.tsv` has a line for each disease: the note, the number of the mention
among all of the note, its text, and what is said of it, or `-`. Rules were made with the notes of odd numbers in view; those of even
numbers were only counted. `blind-assertions.tsv` has the same of the notes in `blind`, and `visits-assertions.tsv` has the same of the visit notes, whose texts are in the folder that `--visits` names, by
the code points of each disease.
"""

import argparse
import csv
import subprocess
import sys
import tempfile
from collections import Counter, defaultdict
from pathlib import Path

import gold
import visits

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1] / "sdk/python"))
from mednerd_train.daemon import Client  # noqa: E402
#: As the readings call them, and as the program does.
KINDS = {
    "negated": "negated",
    "possible": "uncertain",
    "hypothetical": "hypothetical",
    "historical": "historical",
    "other": "family",
}


def kinds(said):
    return {KINDS[kind] for kind in said.split(",") if kind != "-"}


def of_visits(folder):
    """The visit notes, each with its diseases' numbers and what is said of them."""
    found = defaultdict(dict)
    with (HERE / "visits-assertions.tsv").open(encoding="utf-8", newline="") as lines:
        for row in csv.DictReader(lines, delimiter="\t"):
            found[row["note"]][int(row["begin"]), int(row["end"])] = kinds(row["said"])
    for note in visits.notes(folder):
        of_place = found[note["name"]]
        numbers = {number: (begin, end) for number, (begin, end, kind) in enumerate(note["mentions"]) if kind == "disease"}
        yield note, {number: of_place[place] for number, place in numbers.items()}


def of_blind():
    """The notes that were written blind in the same way."""
    said_of = readings("blind-assertions.tsv")
    for note in gold.notes(HERE / "blind"):
        yield note, said_of[note["name"]]


def of_wards(which):
    """Our own notes in the same way: those of odd or even numbers, or all."""
    said_of = readings("assertions.tsv")
    for path in sorted((HERE / "notes").glob("*.txt")):
        if which == "all" or (int(path.stem[:2]) % 2 == 1) == (which == "odd"):
            note = gold.read(path)
            yield note, said_of[note["name"]]


def readings(name):
    """By note: the number of each disease, and what is said of it."""
    found = defaultdict(dict)
    for line in (HERE / name).read_text(encoding="utf-8").splitlines():
        note, number, _, said = line.split("\t")
        found[note][int(number)] = kinds(said)
    return found


def answers(program, text, mentions):
    """What the program says of mentions, and by which words."""
    places = [f"{len(text[:begin].encode())} {len(text[:end].encode())}" for begin, end, _ in mentions]
    with tempfile.NamedTemporaryFile("w", encoding="utf-8", newline="") as file:
        file.write(text)
        file.flush()
        done = subprocess.run([program, file.name], input="\n".join(places), text=True, capture_output=True, check=True)
    said = [line.split("; ") if line != "-" else [] for line in done.stdout.splitlines()]
    return [dict(one.rstrip(")").split(" (", 1) for one in line) for line in said]


def served(client, text, mentions):
    """The same of a daemon; `None` for a mention that it does not find."""
    found = defaultdict(dict)
    for entity in client.annotate(text):
        if entity["label"] == "Disease":
            found[entity["begin"], entity["end"]] |= {said["kind"]: said["cue"] for said in entity["assertions"]}
    return [found.get((begin, end)) for begin, end, _ in mentions]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program", type=Path, nargs="?")
    parser.add_argument("--socket", type=Path, help="ask this daemon instead")
    parser.add_argument("--notes", choices=("odd", "even", "all"), default="all")
    parser.add_argument("--blind", action="store_true", help="the notes in `blind` instead")
    parser.add_argument("--visits", type=Path, help="the visit notes instead, whose texts are in this folder")
    parser.add_argument("--errors", action="store_true")
    arguments = parser.parse_args()
    if bool(arguments.program) == bool(arguments.socket):
        parser.error("either PROGRAM or --socket")
    client = arguments.socket and Client(arguments.socket)
    counts, by_language, total, right, lost = Counter(), Counter(), 0, 0, 0
    notes = of_blind() if arguments.blind else of_wards(arguments.notes)
    for note, said_of in of_visits(arguments.visits) if arguments.visits else notes:
        text, mentions = note["text"], note["mentions"]
        found = served(client, text, mentions) if client else answers(arguments.program.resolve(), text, mentions)
        for number, expected in said_of.items():
            begin, end, _ = mentions[number]
            own = found[number] or {}
            lost += found[number] is None
            total, right = total + 1, right + (set(own) == expected)
            for kind in KINDS.values():
                outcome = {(True, True): "both", (False, True): "extra", (True, False): "missing"}.get((kind in expected, kind in own))
                if outcome:
                    counts[kind, outcome] += 1
                    by_language[note["language"], kind, outcome] += 1
                if outcome in ("extra", "missing") and arguments.errors:
                    before, behind = text[max(0, begin - 70):begin], text[end:end + 45]
                    context = f"{before}[[{text[begin:end]}]]{behind}".replace("\n", "⏎")
                    print(f"{outcome:8}{kind:13}{note['name']}#{number} {own.get(kind, '')!r}: {context}")
    if client:
        print(f"{total - lost} of {total} found")
    print(f"{total} mentions, all said right of {100 * right / total:.1f} %")
    print("| | both | only read | only said | precision | recall | F1 |\n|---|---|---|---|---|---|---|")
    for kind in KINDS.values():
        both, missing, extra = (counts[kind, outcome] for outcome in ("both", "missing", "extra"))
        precision, recall = both / max(1, both + extra), both / max(1, both + missing)
        f1 = 2 * both / max(1, 2 * both + missing + extra)
        print(f"| {kind} | {both} | {missing} | {extra} | {precision:.3f} | {recall:.3f} | {f1:.3f} |")
    for language in gold.LANGUAGES:
        both, missing, extra = (by_language[language, "negated", outcome] for outcome in ("both", "missing", "extra"))
        print(f"negated in {language}: {both} both, {missing} only read, {extra} only said")


if __name__ == "__main__":
    main()
