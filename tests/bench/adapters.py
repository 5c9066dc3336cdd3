#!/usr/bin/env python3
"""Memory and time of many task adapters over one base: a BERT-base-sized random checkpoint and twelve LoRA adapters
(rank 16 on queries and values, of all 12 layers or of those from `--first-layer` on, and a head of their own), made with
transformers and peft, loaded one after the other into a running daemon of one worker. Run by hand; needs torch, transformers
and peft: tests/bench/adapters.py [--bin FOLDER] [--adapters 6 --first-layer 6]"""

import argparse
import json
import shutil
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "sdk" / "python"))

import binaries  # noqa: E402
from mednerd_train.daemon import Client, running  # noqa: E402

TEXT = " ".join((ROOT / "configs/samples/discharge.txt").read_text().split()[:80])


def make(folder, count, first_layer):
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import BertConfig, BertForTokenClassification

    torch.manual_seed(0)
    tokenizer = ROOT / "packaging/models/biomed-small"
    rows = json.loads((tokenizer / "config.json").read_text())["vocab_size"]
    model = BertForTokenClassification(BertConfig(vocab_size=max(rows, 30522), num_labels=3))
    model.config.id2label = {0: "O", 1: "B-X", 2: "I-X"}
    model.config.label2id = {"O": 0, "B-X": 1, "I-X": 2}
    base = folder / "base"
    model.save_pretrained(base)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(tokenizer / name, base / name)
    for index in range(count):
        config = LoraConfig(
            task_type="TOKEN_CLS", r=16, lora_alpha=32, target_modules=["query", "value"],
            layers_to_transform=list(range(first_layer, 12)),
        )
        adapted = get_peft_model(BertForTokenClassification.from_pretrained(base), config)
        for name, parameter in adapted.named_parameters():
            if "lora_B" in name:
                torch.nn.init.normal_(parameter, std=0.02)
        adapted.save_pretrained(folder / f"a{index}")
    return base


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bin", type=Path, default=binaries.RELEASE, help="the folder of the binaries")
    parser.add_argument("--adapters", type=int, default=12)
    parser.add_argument("--first-layer", type=int, default=0)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        base = make(folder, arguments.adapters, arguments.first_layer)
        with running(arguments.bin / "mednerd", base) as socket, closing(Client(socket)) as client, \
                closing(Client(socket.with_name("a.sock"))) as admin:

            def resident():
                return client.ask("GET", "/v1/status")["resident_bytes"] / 2**20

            def inference(models):
                body = {"text": TEXT, "models": models}
                return min(client.ask("POST", "/v1/annotate", body)["timing_ms"]["inference"] for _ in range(9))

            print("| adapters | resident MiB | their weights MiB | all of them and the base, ms | all of them alone | passes |")
            print("|---|---|---|---|---|---|")
            alone = inference(["base"])
            print(f"| 0 | {resident():.0f} | 0 | {alone:.1f} | | 1 |")
            names, held = [], 0
            for index in range(arguments.adapters):
                began = time.monotonic()
                body = {"name": f"a{index}", "path": str(folder / f"a{index}"), "base": "base"}
                info = admin.ask("POST", "/v1/models", body)
                took = time.monotonic() - began
                held += info["memory_bytes"] / 2**20
                names.append(info["name"])
                if len(names) in (1, 2, 4, 6, 8, arguments.adapters):
                    every, all_of_them = inference(["base", *names]), inference(names)
                    print(f"| {len(names)} | {resident():.0f} | {held:.1f} | {every:.1f} | {all_of_them:.1f} "
                          f"| {all_of_them / alone:.2f} |", flush=True)
            print(f"\nThe last one was loaded in {took * 1e3:.0f} ms.")


if __name__ == "__main__":
    main()
