"""The parity table: mednerd beside `transformers` and `peft`, fp32 on the CPU, for every family, variant and adapter.

    CARGO_TARGET_DIR=$(dirname "$(make -s bin-dir)") cargo build --release --locked -p mednerd --example parity
    python tests/bench/parity.py [NAME ...] [--tiny] [--base] [--large] [--texts 1000] [--bin PATH]

--tiny takes the committed checkpoints and adapters of tests/fixtures, --base and --large build checkpoints of real size
with random weights in a temporary folder, one after the other (up to 3 GB each). NAMEs pick rows by their beginning.
Run by hand, never by `make test`. Needs torch, transformers and peft.

Per row: the largest absolute difference of a logit over random token ids of several lengths up to the context and over
random texts; the same between the reference in single and in double precision, which is what rounding alone does; how
many of the random texts have the same entities (place, label, and score within 1e-4); how many texts of the torture
list have the same ids and offsets. What mednerd documents is done to the reference's entities first: white space at
their ends is taken off, a space mark before the text gets the first character, and of two that share a character (a
space mark's and its letter's) the first keeps it.
"""

import argparse
import json
import random
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path

import torch
import transformers

import binaries
from shapes import FIXTURES, REAL, goldens, make

WORDS = (
    "pt denies chest pain admitted with acute renal failure started on metformin insulin aspirin 500 mg b.i.d. the of "
    "hepatitis pneumonia diabetes mellitus type 2 ; , . : ( ) - / stable non-small-cell carcinoma Sjögren's café 37.5°C "
    "β-blocker µg/dL ≥ Hypertension Allergies: penicillin rash IL-6 p53 BRCA1 EGFR+ 病 диабет Übelkeit fièvre T-cell x"
).split()


class Ours:
    """A process of `daemon/mednerd/examples/parity.rs`."""

    def __init__(self, *command):
        pipe = subprocess.PIPE
        self.process = subprocess.Popen([str(part) for part in command], stdin=pipe, stdout=pipe, text=True)
        self.about = self._answer()

    def _answer(self):
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"{' '.join(self.process.args)} ended with {self.process.wait()}")
        return json.loads(line)

    def ask(self, question):
        self.process.stdin.write(json.dumps(question) + "\n")
        self.process.stdin.flush()
        return self._answer()

    def stop(self):
        self.process.stdin.close()
        self.process.wait()


def random_texts(count):
    rng = random.Random(7)
    seams = [" "] * 12 + ["\n", "  ", ""]
    return ["".join(rng.choice(WORDS) + rng.choice(seams) for _ in range(rng.randint(3, 30))) for _ in range(count)]


def random_ids(rows, context):
    """Ids of any token, special ones too, at lengths around those of windows and buckets."""
    rng = random.Random(11)
    lengths = [n for n in (1, 2, 3, 17, 64, 128, 255, 512) if n <= context] + [context] * (context <= 1100)
    return [[rng.randrange(rows) for _ in range(length)] for length in dict.fromkeys(lengths)]


def run(model, ids):
    with torch.no_grad():
        return model(torch.tensor([ids])).logits[0]


def trimmed(text, begin, end):
    part = text[begin:end]
    return begin + len(part) - len(part.lstrip()), end - len(part) + len(part.rstrip())


def reference_entities(pipeline, text, encoding, logits):
    output = {
        "logits": logits[None], "sentence": text, "input_ids": torch.tensor([encoding["input_ids"]]),
        "offset_mapping": torch.tensor([encoding["offset_mapping"]]),
        "special_tokens_mask": torch.tensor([encoding["special_tokens_mask"]]),
    }
    simple = transformers.pipelines.token_classification.AggregationStrategy.SIMPLE
    found = pipeline.postprocess([output], aggregation_strategy=simple)
    settled, last = [], 0
    for entity in found:
        begin, end = trimmed(text, max(entity["start"], last), entity["end"] or 1)
        if begin < end:
            settled.append((entity["entity_group"], begin, end, float(entity["score"])))
            last = end
    return settled


def same_entities(ours, theirs):
    return len(ours) == len(theirs) and all(
        tuple(a[:3]) == tuple(b[:3]) and abs(a[3] - b[3]) < 1e-4 for a, b in zip(ours, theirs)
    )


def compare(name, model, tokenizer, ours, texts):
    """One row of the table."""
    model = model.float().eval()
    ours = Ours(*ours)
    worst, rounding = 0.0, 0.0
    all_ids = random_ids(model.config.vocab_size, ours.about["context"])
    expected = [run(model, ids) for ids in all_ids]
    for ids, want in zip(all_ids, expected):
        got = torch.tensor(ours.ask(ids)["logits"]).reshape(want.shape)
        worst = max(worst, float((got - want).abs().max()))
    pipeline = transformers.pipeline("token-classification", model=model, tokenizer=tokenizer, device="cpu")
    identical = 0
    for text in texts:
        encoding = tokenizer(text, return_offsets_mapping=True, return_special_tokens_mask=True)
        answer = ours.ask(text)
        assert answer["ids"] == encoding["input_ids"], (name, text)
        want = run(model, encoding["input_ids"])
        got = torch.tensor(answer["logits"]).reshape(want.shape)
        worst = max(worst, float((got - want).abs().max()))
        theirs = reference_entities(pipeline, text, encoding, want)
        if same_entities(answer["entities"]["simple"], theirs):
            identical += 1
        else:
            print(f"# {name}: {text!r}\n#   ours   {answer['entities']['simple']}\n#   theirs {theirs}", file=sys.stderr)
    tokens = 0
    for text in goldens.TORTURE:
        encoding = tokenizer(text, return_offsets_mapping=True)
        answer = ours.ask(text)
        offsets = [list(pair) for pair in encoding["offset_mapping"]]
        tokens += answer["ids"] == encoding["input_ids"] and answer["offsets"] == offsets and answer["same"]
    parameters = ours.about["parameters"]
    ours.stop()
    model.double()
    for ids, want in zip(all_ids, expected):
        rounding = max(rounding, float((run(model, ids) - want).abs().max()))
    print(
        f"| {name} | {parameters / 1e6:.4g} M | {worst:.1e} | {rounding:.1e} | {identical} of {len(texts)} "
        f"| {tokens} of {len(goldens.TORTURE)} |",
        flush=True,
    )


def tiny(arguments, texts):
    for golden in sorted(FIXTURES.glob("*/*/golden.json")) + sorted(FIXTURES.glob("adapters/*/*/golden.json")):
        target = golden.parent
        name = str(target.relative_to(FIXTURES))
        if not wanted(arguments, name):
            continue
        said = json.loads(golden.read_text())
        base = FIXTURES / said["base"] if "base" in said else target
        options = {}
        if (target / "config.json").exists() and base != target:
            labels = said["labels"]
            options = dict(id2label=dict(enumerate(labels)), ignore_mismatched_sizes=True)
        model = transformers.AutoModelForTokenClassification.from_pretrained(base, **options)
        if base != target:
            import peft

            model = peft.PeftModel.from_pretrained(model, target).merge_and_unload()
        automatic = transformers.TokenizersBackend if said.get("file_as_it_is") else transformers.AutoTokenizer
        tokenizer = automatic.from_pretrained(base)
        context = tokenizer.model_max_length
        limit = min(tokenizer.model_max_length, model.config.max_position_embeddings - 2)
        command = [arguments.bin, base] + [target] * (base != target)
        compare(name, model, tokenizer, command, [shortened(tokenizer, text, limit) for text in texts])


def shortened(tokenizer, text, limit):
    """The tiny vocabularies make many tokens of a text, and the tiny models take few."""
    while len(tokenizer(text)["input_ids"]) > limit:
        text = text[: len(text) * 3 // 4]
    return text


def real(arguments, texts, size):
    for name, (fixture, kind, options) in REAL[size].items():
        if not wanted(arguments, name):
            continue
        with tempfile.TemporaryDirectory() as folder:
            model = make(folder, fixture, kind, options)
            tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
            compare(name, model, tokenizer, [arguments.bin, folder], texts)


def wanted(arguments, name):
    return not arguments.names or any(name.startswith(start) for start in arguments.names)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*")
    for size in ("tiny", "base", "large"):
        parser.add_argument(f"--{size}", action="store_true")
    parser.add_argument("--texts", type=int, default=1000)
    parser.add_argument("--threads", type=int, default=1, help="of the reference")
    parser.add_argument("--bin", type=Path, default=binaries.EXAMPLES / "parity")
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore")
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    texts = random_texts(arguments.texts)
    torch.set_num_threads(arguments.threads)
    print("| checkpoint | parameters | logits | rounding | entities | ids and offsets |\n|---|---|---|---|---|---|")
    if arguments.tiny or not (arguments.base or arguments.large):
        tiny(arguments, texts)
    for size in ("base", "large"):
        if getattr(arguments, size):
            real(arguments, texts, size)


if __name__ == "__main__":
    main()
