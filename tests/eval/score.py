#!/usr/bin/env python3
"""Scores a running daemon on a PubTator corpus: entity-level exact match through the socket.

Each document (title, one space, abstract, exactly as in the file) is sent to POST /v1/annotate;
an entity counts where begin, end and type equal a gold mention's. Python's standard library only.

    tests/eval/score.py --socket /run/mednerd/mednerd.sock --pubtator dev.pubtator.txt.xz

With --tsv FILE it reads CoNLL-style token TAB tag sentences instead; tokens are joined by single
spaces and the gold spans follow from the tags.
"""

import argparse
import http.client
import json
import lzma
import random
import socket
import sys
from collections import defaultdict
from pathlib import Path


class UnixConnection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path):
        super().__init__("mednerd")
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.connect(self.path)


def read_lines(path):
    opener = lzma.open if path.suffix == ".xz" else open
    with opener(path, "rt", encoding="utf-8") as file:
        yield from (line.rstrip("\n") for line in file)


def read_pubtator(path):
    """Yields (text, gold) where gold is a set of (begin, end, type) in code points."""
    text, gold, problems = "", set(), 0
    for line in read_lines(path):
        if "|t|" in line[:30]:
            text = line.split("|t|", 1)[1]
        elif "|a|" in line[:30]:
            text += " " + line.split("|a|", 1)[1]
        elif line.strip():
            fields = line.split("\t")
            if len(fields) < 5 or fields[1] == "CID":
                continue
            begin, end, mention, kind = int(fields[1]), int(fields[2]), fields[3], fields[4]
            if text[begin:end] != mention:
                problems += 1
            gold.add((begin, end, kind))
        elif text:
            yield text, gold
            text, gold = "", set()
    if text:
        yield text, gold
    if problems:
        print(f"{problems} gold mentions do not equal the text at their offsets", file=sys.stderr)


def read_tsv(path):
    """As read_pubtator, one sentence each."""
    tokens, tags = [], []
    for line in [*read_lines(path), ""]:
        if line.strip():
            token, tag = line.split("\t")[:2]
            tokens.append(token)
            tags.append(tag)
        elif tokens:
            yield " ".join(tokens), spans(tokens, tags)
            tokens, tags = [], []


def spans(tokens, tags):
    """Gold spans of one sentence from its IOB2 tags."""
    found, begin, place, kind = set(), None, 0, None
    for token, tag in zip(tokens, tags):
        if begin is not None and (tag == "O" or tag.startswith("B-") or tag[2:] != kind):
            found.add((begin, place - 1, kind))
            begin = None
        if tag != "O" and begin is None:
            begin, kind = place, tag[2:]
        place += len(token) + 1
    if begin is not None:
        found.add((begin, place - 1, kind))
    return found


def annotate(connection, text, arguments):
    body = {"text": text, "aggregation": arguments.aggregation}
    if arguments.models:
        body["models"] = arguments.models.split(",")
    connection.request("POST", "/v1/annotate", json.dumps(body), {"Content-Type": "application/json"})
    response = connection.getresponse()
    answer = json.load(response)
    if response.status != 200:
        sys.exit(f"{response.status}: {answer['error']['message']}")
    for entity in answer["entities"]:
        assert text[entity["begin"] : entity["end"]] == entity["text"], "an offset is wrong"
    return {(entity["begin"], entity["end"], entity["label"]) for entity in answer["entities"]}


def measures(counts):
    true, predicted, gold = counts
    precision = true / predicted if predicted else 0.0
    recall = true / gold if gold else 0.0
    f1 = 2 * precision * recall / (precision + recall) if precision + recall else 0.0
    return precision, recall, f1


def interval(documents, repeats=1000):
    """95 % bootstrap interval of micro F1 over documents."""
    draw = random.Random(0)
    scores = []
    for _ in range(repeats):
        sample = draw.choices(documents, k=len(documents))
        scores.append(measures([sum(part) for part in zip(*sample)])[2])
    scores.sort()
    return scores[int(0.025 * repeats)], scores[int(0.975 * repeats)]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--socket", required=True)
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--pubtator", type=Path)
    source.add_argument("--tsv", type=Path)
    parser.add_argument("--models")
    parser.add_argument("--aggregation", default="simple")
    parser.add_argument("--types", help="score these types only, separated by commas")
    arguments = parser.parse_args()

    connection = UnixConnection(arguments.socket)
    wanted = set(arguments.types.split(",")) if arguments.types else None
    by_type, documents = defaultdict(lambda: [0, 0, 0]), []
    corpus = read_pubtator(arguments.pubtator) if arguments.pubtator else read_tsv(arguments.tsv)
    for text, gold in corpus:
        found = annotate(connection, text, arguments)
        if wanted:
            gold = {span for span in gold if span[2] in wanted}
            found = {span for span in found if span[2] in wanted}
        documents.append((len(found & gold), len(found), len(gold)))
        for index, group in enumerate((found & gold, found, gold)):
            for _, _, kind in group:
                by_type[kind][index] += 1

    print(f"{'type':<12} {'precision':>9} {'recall':>9} {'F1':>9} {'gold':>7}")
    for kind, counts in sorted(by_type.items()):
        print("{:<12} {:9.4f} {:9.4f} {:9.4f} {:7}".format(kind, *measures(counts), counts[2]))
    total = [sum(part) for part in zip(*documents)]
    low, high = interval(documents)
    print("{:<12} {:9.4f} {:9.4f} {:9.4f} {:7}".format("all", *measures(total), total[2]))
    print(f"{len(documents)} documents, {arguments.aggregation}; 95 % interval of F1 {low:.4f} to {high:.4f}")


if __name__ == "__main__":
    main()
