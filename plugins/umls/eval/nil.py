#!/usr/bin/env python3
"""How often a link by likeness is right where the dictionary has few of the concepts that are mentioned. Python's standard library only.

    plugins/umls/eval/nil.py mednerd-umls medic.csv DEV.pubtator [DEV.pubtator ...]

For dictionaries of 400 and 2,000 concepts drawn from one, and for all of it: of distinct gold mentions of diseases that are given a concept
by likeness, with 0.3 or more, how many by tenths of likeness, and how many of these are right.
"""
import csv
import json
import random
import re
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

BATCH = 300
LEAST = 0.3


def gold_ids(paths):
    """Gold ids by mention, without the vocabulary's name."""
    found = defaultdict(set)
    for path in paths:
        for line in Path(path).read_text(encoding="utf-8").splitlines():
            fields = line.split("\t")
            if len(fields) >= 6 and fields[4] != "Chemical":
                found[fields[3].strip("- ")] |= {part.strip().removeprefix("MESH:") for part in re.split(r"[|+]", fields[5])}
    found.pop("", None)
    return found


def main():
    program, dictionary, *gold = sys.argv[1:]
    mentions = gold_ids(gold)
    texts = sorted(mentions)
    with open(dictionary, encoding="utf-8", newline="") as lines:
        header, *rows = csv.reader(lines)
    ids = sorted({row[0] for row in rows})
    draw = random.Random(5)
    for size in (400, 2000, len(ids)):
        kept = set(draw.sample(ids, size))
        counts = defaultdict(lambda: [0, 0])
        with tempfile.TemporaryDirectory() as folder:
            names, index = Path(folder, "names.csv"), Path(folder, "names.idx")
            with names.open("w", encoding="utf-8", newline="") as out:
                csv.writer(out).writerows([header, *(row for row in rows if row[0] in kept)])
            subprocess.run([program, "build", "--csv", names, "--out", index], check=True, capture_output=True)
            for start in range(0, len(texts), BATCH):
                command = [program, "query", "--index", index, "--label", "Disease", "--top", "1", "--json", *texts[start:start + BATCH]]
                answer = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
                for query in answer["queries"]:
                    for best in query["candidates"]:
                        likeness = re.search(r"similarity ([0-9.]+)", json.dumps(best["reason"]))
                        if likeness is None or best["score"] < LEAST:
                            continue
                        tenth = counts[min(int(float(likeness[1]) * 10), 9)]
                        tenth[0] += best["id"].removeprefix("MESH:") in mentions[query["text"]]
                        tenth[1] += 1
        right, given = (sum(column) for column in zip(*counts.values()))
        tenths = ", ".join(f"{tenth / 10} {ok} of {all_}" for tenth, (ok, all_) in sorted(counts.items()))
        print(f"{size} concepts: {right} of {given} right; {tenths}")


if __name__ == "__main__":
    main()
