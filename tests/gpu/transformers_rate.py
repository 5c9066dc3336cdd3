"""Tokens per second of PyTorch `transformers` on the same GPU: random ids, 32 sequences of 512 tokens and 1 of 128.

transformers_rate.py CHECKPOINT [compiled]: compiled, in bfloat16 alone, since that takes a minute.
"""

import sys
import time

import torch
from transformers import AutoModelForTokenClassification


def rate(model, count, length):
    ids = torch.randint(10, model.config.vocab_size - 10, (count, length), device="cuda")
    times = []
    with torch.inference_mode():
        for _ in range(23):
            torch.cuda.synchronize()
            begun = time.perf_counter()
            model(ids).logits.float().cpu()
            times.append(time.perf_counter() - begun)
    # The first ones set things up.
    return count * length / sorted(times[3:])[10]


def main():
    path, compiled = sys.argv[1], sys.argv[2:] == ["compiled"]
    # As the worker: no TF32 in single precision.
    torch.backends.cuda.matmul.allow_tf32 = False
    types = {"bf16": torch.bfloat16} if compiled else {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}
    found = []
    for name, dtype in types.items():
        model = AutoModelForTokenClassification.from_pretrained(path, dtype=dtype).cuda().eval()
        if compiled:
            model.forward = torch.compile(model.forward, dynamic=False)
        found.append(f"{name} {rate(model, 32, 512):.0f} and {rate(model, 1, 128):.0f}")
    how = "compiled, " if compiled else ""
    print(f"transformers {path}, torch {torch.__version__}, {how}32 x 512 and 1 x 128: {', '.join(found)} tokens/s")


main()
