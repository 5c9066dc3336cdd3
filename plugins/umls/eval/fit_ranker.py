#!/usr/bin/env python3
"""Fit the weights of the fuzzy stage's ranker (src/linker/ranker.rs) and its confidence.

    pip install numpy scipy
    cargo build --release --workspace --example features
    plugins/umls/eval/fit_ranker.py target/release/examples/features medic.idx TRAIN.pubtator [TRAIN.pubtator ...]

Each training file is seen twice: without names of the hospital's own, and with the mentions of four fifths of its
documents as such names for the other fifth. The weights maximise the softmax of the right candidates over all candidates
of a mention. What is printed first is measured on fifths of the documents that the weights were not fitted on.
"""
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy
from scipy.optimize import minimize

FOLDS = 5


def documents(path):
    return [part for part in Path(path).read_text(encoding="utf-8").split("\n\n") if part.strip()]


def fold_of(document):
    return int(document.strip().split("|", 1)[0]) % FOLDS


def names(parts):
    rows = [row.split("\t") for part in parts for row in part.splitlines()]
    return "".join(f"{row[3]}\t{row[5].replace('+', '|')}\n" for row in rows
                   if len(row) >= 6 and row[5].strip() not in ("", "-1") and row[5].strip("-") and row[4] != "Chemical")


def dump(program, index, parts, synonyms):
    with tempfile.TemporaryDirectory() as folder:
        gold, tsv = Path(folder, "gold"), Path(folder, "synonyms")
        gold.write_text("\n\n".join(parts) + "\n", encoding="utf-8")
        tsv.write_text(synonyms, encoding="utf-8")
        out = subprocess.run([program, index, gold, *([tsv] if synonyms else [])], check=True, capture_output=True, text=True)
    head, *rows = out.stdout.splitlines()
    return head.split("\t")[4:], [row.split("\t") for row in rows]


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
            groups = {}
            for row in rows:
                groups.setdefault((row[0], row[1]), []).append(row)
            for (document, _), group in groups.items():
                right = numpy.array([row[2] == "1" for row in group])
                found.append((int(document) % FOLDS, f"{Path(path).name} {mode}", right,
                              numpy.array([row[4:] for row in group], dtype=float)))
    return columns, found


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


def confidence_rows(groups, weights):
    rows, right = [], []
    for _, _, good, features in groups:
        scores = features @ weights
        best = scores.argmax()
        share = 1 / numpy.exp(scores - scores[best]).sum()
        rows.append([1.0, share, features[best][0], max(0, features[best][0] - 0.9) * 10])
        right.append(float(good[best]))
    return numpy.array(rows), numpy.array(right)


def logistic(rows, right, ridge=1.0):
    def loss(weights):
        margin = rows @ weights
        chance = 1 / (1 + numpy.exp(-margin))
        return (numpy.logaddexp(0, margin) - right * margin).sum() + ridge * weights @ weights / 2, \
            rows.T @ (chance - right) + ridge * weights
    return minimize(loss, numpy.zeros(rows.shape[1]), jac=True, method="L-BFGS-B").x


def main(program, index, paths):
    columns, found = mentions(program, index, paths)
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
    chances, truth = [], []
    for fold in range(FOLDS):
        inner = [group for group in found if group[0] != fold]
        outer = [group for group in found if group[0] == fold]
        calibration = logistic(*confidence_rows(inner, held_out[fold]))
        rows, right = confidence_rows(outer, held_out[fold])
        chances.append(1 / (1 + numpy.exp(-rows @ calibration)))
        truth.append(right)
    chances, truth = numpy.concatenate(chances), numpy.concatenate(truth)
    print("confidence on held-out documents: from, mentions, mean, right")
    for low in numpy.arange(0, 1, 0.1):
        part = (chances >= low) & (chances < low + 0.1)
        if part.any():
            print(f"  {low:.1f} {part.sum():6} {chances[part].mean():.3f} {truth[part].mean():.3f}")
    print("logistic of 1, share of the softmax, similarity, above 0.9:")
    print("   ", ", ".join(f"{weight:.2f}" for weight in logistic(*confidence_rows(found, weights))))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3:])
