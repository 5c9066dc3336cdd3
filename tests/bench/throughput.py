#!/usr/bin/env python3
"""Notes of mixed lengths through the socket, beside the `transformers` pipeline on PyTorch and on ONNX Runtime.

    CARGO_TARGET_DIR=$(dirname "$(make -s bin-dir)") cargo build --release --locked --workspace
    python tests/bench/throughput.py [--model DIR | --shape bert-base] [--precision int8] [--notes 60] [--threads 2]

Run by hand, on a quiet machine, never by `make test`. Needs torch, transformers, onnx and onnxruntime. The notes are those
of tests/gold, alone, a single line of one, or several joined. Every system gets the same notes, the same number of
threads and as many rounds, in turns; the daemon is asked by as many connections as it has threads and two more. The
pipelines cut what is longer than their context with an overlap (`stride`), as the daemon does, and run one note after the
other, as batches of notes of different lengths, tried too, are padded; the better of the two counts. ONNX Runtime runs in
the pipeline's place of PyTorch, with the traced export, for int8 its own dynamic quantisation of that.
"""

import argparse
import random
import statistics
import sys
import tempfile
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path[:0] = [str(ROOT / "sdk" / "python"), str(ROOT / "tests" / "gold")]

import binaries  # noqa: E402
import cpu  # noqa: E402
import gold  # noqa: E402
import shapes  # noqa: E402
import torch  # noqa: E402
import transformers  # noqa: E402
from mednerd_train.daemon import Client, running  # noqa: E402

# Tokens that two windows share.
STRIDE = 64


def mixed_notes(count):
    """Lines, notes and several notes joined, always the same."""
    texts = [note["text"] for note in gold.notes(ROOT / "tests/gold/notes")]
    lines = [line for text in texts for line in text.splitlines() if len(line) > 40]
    chance = random.Random(7)
    kinds = [lambda: [chance.choice(lines)], lambda: [chance.choice(texts)], lambda: chance.choices(texts, k=4)]
    return ["\n".join(chance.choices(kinds, weights=[3, 5, 2])[0]()) for _ in range(count)]


class OnnxRuntime(torch.nn.Module):
    """A session in the place of a model, as the pipeline calls it."""

    def __init__(self, path, config, threads):
        import onnxruntime

        super().__init__()
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        self.session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        self.takes = [taken.name for taken in self.session.get_inputs()]
        self.config, self.device, self.dtype = config, torch.device("cpu"), torch.float32

    def can_generate(self):
        return False

    def forward(self, **inputs):
        feeds = {name: inputs[name].numpy() for name in self.takes}
        logits = torch.from_numpy(self.session.run(["logits"], feeds)[0])
        return {"logits": logits}


def pipeline(model, folder, batch):
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    made = transformers.TokenClassificationPipeline(
        model=model, tokenizer=tokenizer, aggregation_strategy="simple", stride=STRIDE, device="cpu"
    )
    return lambda notes: sum(len(found) for found in made(notes, batch_size=batch))


def asked(socket, connections):
    """A function that has the daemon annotate notes, by as many connections at once."""

    def each(notes):
        with closing(Client(socket)) as client:
            return sum(len(client.annotate(note, models=["base"])) for note in notes)

    def run(notes):
        with ThreadPoolExecutor(connections) as pool:
            return sum(pool.map(each, [notes[at::connections] for at in range(connections)]))

    return run


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", type=Path, default=binaries.RELEASE, help="the folder of the binaries")
    parser.add_argument("--model", type=Path, default=ROOT / "packaging/models/biomed-small")
    parser.add_argument("--shape", help="instead of a model, random weights of this shape of shapes.py")
    parser.add_argument("--precision", choices=["fp32", "int8"], default="fp32")
    parser.add_argument("--notes", type=int, default=60)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore")
    transformers.logging.set_verbosity(transformers.logging.CRITICAL)
    torch.set_num_threads(arguments.threads)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        if arguments.shape:
            checkpoint = folder / "checkpoint"
            checkpoint.mkdir()
            # The shipped model's tokenizer: its pieces of a note are as long as a trained one's.
            _, kind, options = shapes.named(arguments.shape)
            model = shapes.make(checkpoint, ROOT / "packaging/models/biomed-small", kind, options).eval()
        else:
            checkpoint = arguments.model
            model = transformers.AutoModelForTokenClassification.from_pretrained(checkpoint, dtype=torch.float32).eval()
        path = dict(cpu.exports(model, folder, ["traced"]))["traced"]
        path = cpu.quantise(path) if arguments.precision == "int8" else path
        engine = f"threads = {arguments.threads}\nprecision = \"{arguments.precision}\""
        socket = stack.enter_context(running(arguments.bin / "mednerd", checkpoint, engine=engine))
        session = OnnxRuntime(path, model.config, arguments.threads)
        systems = {"mednerd": asked(socket, arguments.threads + 2)}
        for batch in (1, 8):
            systems[f"ONNX Runtime, batches of {batch}"] = pipeline(session, checkpoint, batch)
            systems[f"PyTorch, batches of {batch}"] = pipeline(model, checkpoint, batch)
        notes = mixed_notes(arguments.notes)
        times = {name: [] for name in systems}
        for turn in range(arguments.rounds + 1):
            for name, run in systems.items():
                began = time.perf_counter()
                found = run(notes)
                if turn:
                    times[name].append(time.perf_counter() - began)
                elif found == 0:
                    raise SystemExit(f"{name} found nothing")
        letters = sum(map(len, notes))
        print(f"{len(notes)} notes of {min(map(len, notes))} to {max(map(len, notes))} characters, together {letters}, "
              f"{arguments.threads} threads, {arguments.precision}, {arguments.shape or arguments.model.name}")
        print("| system | seconds | notes/s | mednerd is faster by |\n|---|---|---|---|")
        ours = statistics.median(times["mednerd"])
        for name, seen in times.items():
            median = statistics.median(seen)
            print(f"| {name} | {median:.2f} | {len(notes) / median:.1f} | {median / ours:.2f} |")


if __name__ == "__main__":
    main()
