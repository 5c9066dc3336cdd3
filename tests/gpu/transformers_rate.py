"""Tokens per second of PyTorch `transformers` on the same GPU: random ids, COUNT sequences of LONG tokens and 1 of SHORT.

transformers_rate.py CHECKPOINT COUNT LONG SHORT PRECISION…: a line for each. `compiled` is one more, in bfloat16, and takes a minute.
transformers_rate.py CHECKPOINT COUNT LENGTHS: sequences of the lengths in a file, COUNT at once and padded to the longest of these, as
they come and sorted by length. DEVICE=cpu is there to try this file.
"""

import os
import sys
import time

import torch
from transformers import AutoModelForTokenClassification


DEVICE = os.environ.get("DEVICE", "cuda")
TYPES = {"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": torch.float32, "compiled": torch.bfloat16}


def rate(model, count, length):
    ids = torch.randint(10, model.config.vocab_size - 10, (count, length), device=DEVICE)
    times = []
    with torch.inference_mode():
        for _ in range(23):
            if DEVICE == "cuda":
                torch.cuda.synchronize()
            begun = time.perf_counter()
            model(ids).logits.float().cpu()
            times.append(time.perf_counter() - begun)
    # The first ones set things up.
    return count * length / sorted(times[3:])[10]


def padded(model, count, lengths):
    batches = []
    for first in range(0, len(lengths), count):
        part = torch.tensor(lengths[first : first + count], device=DEVICE)
        ids = torch.randint(10, model.config.vocab_size - 10, (len(part), int(part.max())), device=DEVICE)
        batches.append((ids, (torch.arange(ids.shape[1], device=DEVICE) < part[:, None]).long()))
    times = []
    with torch.inference_mode():
        for _ in range(8):
            if DEVICE == "cuda":
                torch.cuda.synchronize()
            begun = time.perf_counter()
            for ids, mask in batches:
                model(ids, attention_mask=mask).logits.float().cpu()
            times.append(time.perf_counter() - begun)
    # The first ones set things up.
    return sum(lengths) / sorted(times[3:])[2]


def mixed(path, count, lengths):
    model = AutoModelForTokenClassification.from_pretrained(path, dtype=torch.bfloat16).to(DEVICE).eval()
    as_they_come, by_length = (padded(model, count, of) for of in (lengths, sorted(lengths)))
    print(f"transformers {path}, bf16, {len(lengths)} windows of mixed lengths, {count} at once: {as_they_come:.0f} tokens/s,"
          f" sorted {by_length:.0f} tokens/s")


def main():
    if len(sys.argv) == 4:
        with open(sys.argv[3]) as lines:
            return mixed(sys.argv[1], int(sys.argv[2]), [int(line) for line in lines])
    path = sys.argv[1]
    count, long, short = map(int, sys.argv[2:5])
    # As the worker: no TF32 in single precision.
    torch.backends.cuda.matmul.allow_tf32 = False
    for name in sys.argv[5:]:
        model = AutoModelForTokenClassification.from_pretrained(path, dtype=TYPES[name]).to(DEVICE).eval()
        if name == "compiled":
            model.forward = torch.compile(model.forward, dynamic=False)
        for shape in (count, long), (1, short):
            print(f"transformers {path}, torch {torch.__version__}, {name}, {shape[0]} x {shape[1]}: {rate(model, *shape):.0f} tokens/s",
                  flush=True)


main()
