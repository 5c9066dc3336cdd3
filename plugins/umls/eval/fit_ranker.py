#!/usr/bin/env python3
"""Fit the weights of the fuzzy stage's ranker (src/linker/ranker.rs) and its confidence.

    pip install numpy scipy
    cargo build --release --workspace --bin mednerd-umls --example features
    plugins/umls/eval/fit_ranker.py target/release medic.csv META TRAIN.pubtator [TRAIN.pubtator ...] [--chance]

Each training file is seen twice: without names of the hospital's own, and with the mentions of four fifths of its
documents as such names for the other fifth. The weights maximise the softmax of the right candidates over all candidates
of a mention. What is printed first is measured on fifths of the documents that the weights were not fitted on.

The confidence is fitted for dictionaries of several sizes: draws from medic.csv, all of it, and the open vocabularies in META
(`open_rrf.py`), which count alike. Each distinct mention of a disease counts once, those whose concept is missing too: whatever they
are given is wrong. `--chance` fits it alone, with the weights that the program has.
"""
import collections
import csv
import random
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy
from scipy.optimize import minimize

FOLDS = 5
# The numbers behind these are for the confidence alone.
RANKED = 8
# Concepts of the drawn dictionaries, and how many draws.
DRAWS = {400: 3, 2000: 2, 6000: 1}
# As src/linker/ranker.rs has them.
SIZES, USUAL = (1000, 20000), 15000


def documents(path):
    return [part for part in Path(path).read_text(encoding="utf-8").split("\n\n") if part.strip()]


def fold_of(document):
    return int(document.strip().split("|", 1)[0]) % FOLDS


def names(parts):
    rows = [row.split("\t") for part in parts for row in part.splitlines()]
    return "".join(f"{row[3]}\t{row[5].replace('+', '|')}\n" for row in rows
                   if len(row) >= 6 and row[5].strip() not in ("", "-1") and row[5].strip("-") and row[4] != "Chemical")


def dump(program, index, parts, synonyms="", to_index="-"):
    with tempfile.TemporaryDirectory() as folder:
        gold, tsv = Path(folder, "gold"), Path(folder, "synonyms")
        gold.write_text("\n\n".join(parts) + "\n", encoding="utf-8")
        tsv.write_text(synonyms, encoding="utf-8")
        out = subprocess.run([program, index, gold, tsv if synonyms else "-", to_index], check=True, capture_output=True, text=True)
    head, *rows = out.stdout.splitlines()
    return head.split("\t")[6:], [row.split("\t") for row in rows]


def mentions(program, index, paths):
    """Per mention: fold, mode, right or not and features of each candidate."""
    found = []
    for path in paths:
        parts = documents(path)
        runs = [("alone", parts, "")]
        runs += [("with names", [part for part in parts if fold_of(part) == fold],
                  names(part for part in parts if fold_of(part) != fold)) for fold in range(FOLDS)]
        for mode, some, synonyms in runs:
            columns, rows = dump(program, index, some, synonyms)
            for group in by_mention(row for row in rows if row[3] == "1"):
                right = numpy.array([row[4] == "1" for row in group])
                found.append((int(group[0][0]) % FOLDS, f"{Path(path).name} {mode}", right,
                              numpy.array([row[6:6 + RANKED] for row in group], dtype=float)))
    return columns[:RANKED], found


def by_mention(rows):
    groups = {}
    for row in rows:
        groups.setdefault((row[0], row[1]), []).append(row)
    return groups.values()


def fit(groups, width, ridge=1.0):
    usable = [(right, features) for _, _, right, features in groups if right.any() and not right.all()]
    sizes = [len(right) for right, _ in usable]
    starts = numpy.cumsum([0, *sizes[:-1]])
    owner = numpy.repeat(numpy.arange(len(sizes)), sizes)
    right = numpy.concatenate([each for each, _ in usable])
    features = numpy.concatenate([each for _, each in usable])

    def loss(weights):
        scores = features @ weights
        scores -= numpy.maximum.reduceat(scores, starts)[owner]
        raised = numpy.exp(scores)
        whole, good = numpy.add.reduceat(raised, starts), numpy.add.reduceat(raised * right, starts)
        gradient = features.T @ (raised / whole[owner] - raised * right / good[owner])
        return numpy.log(whole / good).sum() + ridge * weights @ weights / 2, gradient + ridge * weights

    return minimize(loss, numpy.zeros(width), jac=True, method="L-BFGS-B").x


def figures(groups, score):
    at_1 = at_10 = 0
    for _, _, right, features in groups:
        order = numpy.argsort(-score(features), kind="stable")
        at_1 += right[order[0]]
        at_10 += right[order[:10]].any()
    return f"{len(groups):6} {100 * at_1 / len(groups):6.1f} {100 * at_10 / len(groups):6.1f}"


def dictionaries(folder, program, names, meta):
    """Indexes with their kind, size and map from gold ids."""
    with open(names, encoding="utf-8", newline="") as lines:
        header, *rows = csv.reader(lines)
    ids = sorted({row[0] for row in rows})
    draw = random.Random(7)

    def build(name, source):
        subprocess.run([program, "build", *source, "--out", Path(folder, name)], check=True, capture_output=True)
        return Path(folder, name)
    yield "open", build("open", ["--rrf", meta]), len({row.split("|")[0] for row in Path(meta, "MRCONSO.RRF").open()}), \
        Path(meta, "gold_map.tsv")
    for size, draws in [*DRAWS.items(), (len(ids), 1)]:
        for number in range(draws):
            kept, drawn = set(draw.sample(ids, size)), Path(folder, "drawn.csv")
            with drawn.open("w", encoding="utf-8", newline="") as out:
                csv.writer(out).writerows([header, *(row for row in rows if row[0] in kept)])
            yield size, build(f"{size}.{number}", ["--csv", drawn]), size, "-"


def confidence_rows(features, indexes, paths):
    """For the best candidate of each distinct mention: the kind of dictionary, what the confidence goes by, and whether it is right."""
    parts = [part for path in paths for part in documents(path)]
    cells = [row.split("\t") for part in parts for row in part.splitlines()]
    drugs = {row[3] for row in cells if len(row) >= 6 and row[4] == "Chemical"}
    kinds, rows, right = [], [], []
    for kind, index, size, to_index in indexes:
        seen = set()
        for group in by_mention(dump(features, index, parts, to_index=to_index)[1]):
            text = group[0][2]
            if text in drugs or text in seen:
                continue
            seen.add(text)
            numbers = numpy.array([row[5:] for row in group], dtype=float)
            best = numbers[:, 0].argmax()
            share = 1 / numpy.exp(numbers[:, 0] - numbers[best, 0]).sum()
            similarity, covering, telling = numbers[best, 1], numbers[best, 1 + RANKED], numbers[best, 2 + RANKED]
            size_of = numpy.log(min(max(size, SIZES[0]), SIZES[1]) / USUAL)
            rows.append([1.0, share, similarity, size_of, 1 - covering, size_of * (1 - covering), telling])
            right.append(float(group[best][4] == "1"))
            kinds.append(kind)
    return numpy.array(kinds, dtype=str), numpy.array(rows), numpy.array(right)


def logistic(rows, right, weights, ridge=1.0):
    def loss(constants):
        margin = rows @ constants
        chance = 1 / (1 + numpy.exp(-margin))
        return (weights * (numpy.logaddexp(0, margin) - right * margin)).sum() + ridge * constants @ constants / 2, \
            rows.T @ (weights * (chance - right)) + ridge * constants
    return minimize(loss, numpy.zeros(rows.shape[1]), jac=True, method="L-BFGS-B").x


def fit_chance(features, indexes, paths):
    kinds, rows, right = confidence_rows(features, indexes, paths)
    counts = collections.Counter(kinds)
    constants = logistic(rows, right, numpy.array([3000 / counts[kind] for kind in kinds]))
    chances = 1 / (1 + numpy.exp(-rows @ constants))
    print("dictionary: mentions with 0.3 or more, mean confidence, right; the same with 0.6 or more")
    for kind in counts:
        given = [(kinds == kind) & (chances >= least) for least in (0.3, 0.6)]
        print(f"  {kind:6}", *(f"{part.sum():6} {chances[part].mean():.2f} {right[part].mean():.2f}" for part in given if part.any()))
    print("logistic of 1, share of the softmax, similarity, size, added share, size by added share, telling:")
    print("   ", ", ".join(f"{constant:.2f}" for constant in constants))


def fit_weights(features, index, paths):
    columns, found = mentions(features, index, paths)
    width = len(columns)
    held_out = {fold: fit([group for group in found if group[0] != fold], width) for fold in range(FOLDS)}
    print(f"{'':40} fuzzy  at 1  at 10   (by similarity, then by the ranker)")
    for mode in sorted({group[1] for group in found}):
        some = [group for group in found if group[1] == mode]
        at_1 = at_10 = 0
        for group in some:
            order = numpy.argsort(-(group[3] @ held_out[group[0]]), kind="stable")
            at_1 += group[2][order[0]]
            at_10 += group[2][order[:10]].any()
        print(f"{mode:40}{figures(some, lambda features: features[:, 0])}"
              f"  -> {100 * at_1 / len(some):6.1f} {100 * at_10 / len(some):6.1f}")
    weights = fit(found, width)
    for column, weight in zip(columns, weights):
        print(f"    {weight:.2f}, // {column}")


def main(programs, names, meta, paths):
    features, program = Path(programs, "examples/features"), Path(programs, "mednerd-umls")
    with tempfile.TemporaryDirectory() as folder:
        indexes = list(dictionaries(folder, program, names, meta))
        if "--chance" not in paths:
            fit_weights(features, indexes[-1][1], paths)
        fit_chance(features, indexes, [path for path in paths if path != "--chance"])


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3], sys.argv[4:])
