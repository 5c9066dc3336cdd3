"""How often int8 finds the entities that fp32 finds.

    python tests/bench/int8.py MODEL FILE... [--bin PATH]

MODEL is a checkpoint directory with tokenizer.json; FILE a text in CoNLL columns (token, tag), such as
../shared/data/ner/*/dev.tsv.xz. Run by hand, never by `make test`. Needs tokenizers. Texts are 8 sentences, cut at 512 tokens;
an entity is a run of tokens with the same type, and the same where both ends and the type are.
"""

import argparse
import json
import lzma
import subprocess
from pathlib import Path

import binaries


def texts(path):
    opened = lzma.open(path, "rt", encoding="utf-8") if path.endswith(".xz") else open(path, encoding="utf-8")
    sentences, words = [], []
    with opened as lines:
        for line in [*lines, ""]:
            if line.strip():
                words.append(line.split()[0])
            elif words:
                sentences.append(" ".join(words))
                words = []
    return [" ".join(sentences[at : at + 8]) for at in range(0, len(sentences), 8)]


def run(command, lines):
    done = subprocess.run(command, input=lines, capture_output=True, text=True, check=True)
    return [json.loads(line)["logits"] for line in done.stdout.splitlines()[1:]]


def labels_of(logits, names):
    rows = [logits[at : at + len(names)] for at in range(0, len(logits), len(names))]
    return [names[row.index(max(row))] for row in rows]


def entities(labels):
    found, begin, kind = set(), None, None
    for at, label in enumerate([*labels, "O"]):
        prefix, _, name = label.partition("-")
        if begin is not None and not (prefix == "I" and name == kind):
            found.add((begin, at, kind))
            begin = None
        if begin is None and name:
            begin, kind = at, name
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("files", nargs="+")
    parser.add_argument("--bin", default=binaries.EXAMPLES / "forward_bench")
    arguments = parser.parse_args()
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(Path(arguments.model) / "tokenizer.json"))
    names = json.loads((Path(arguments.model) / "config.json").read_text())["id2label"]
    names = [names[str(at)] for at in range(len(names))]
    documents = [text for path in arguments.files for text in texts(path)]
    lines = "".join(" ".join(map(str, tokenizer.encode(text).ids[:512])) + "\n" for text in documents)
    full, narrow = (
        [labels_of(logits, names) for logits in run([arguments.bin, arguments.model, precision], lines)]
        for precision in ("fp32", "int8")
    )
    tokens = [a == b for one, other in zip(full, narrow) for a, b in zip(one, other)]
    pairs = [(entities(one), entities(other)) for one, other in zip(full, narrow)]
    wanted, found, same = (sum(map(len, part)) for part in zip(*((a, b, a & b) for a, b in pairs)))
    print(f"{len(documents)} texts, {len(tokens)} tokens, {100 * sum(tokens) / len(tokens):.2f} % with the same label")
    print(f"entities: fp32 {wanted}, int8 {found}, the same {same}: {100 * same / wanted:.2f} % of fp32's")


if __name__ == "__main__":
    main()
