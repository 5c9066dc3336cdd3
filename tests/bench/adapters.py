#!/usr/bin/env python3
"""Memory and time of many task adapters over one base: a BERT-base-sized random checkpoint and twelve LoRA adapters
(rank 16 on queries and values, a head of their own), made with transformers and peft, loaded one after the other into a
running daemon. Run by hand; needs torch, transformers and peft: tests/bench/adapters.py --bin FOLDER"""

import argparse
import json
import shutil
import socket
import subprocess
import tempfile
import time
from http.client import HTTPConnection
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
TEXT = " ".join((ROOT / "configs/samples/discharge.txt").read_text().split()[:80])


class Unix(HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost")
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(str(self.path))


def ask(path, method, route, body=None):
    connection = Unix(path)
    connection.request(method, route, json.dumps(body) if body is not None else None)
    answer = connection.getresponse()
    data = json.loads(answer.read())
    assert answer.status == 200, data
    return data


def make(folder, count):
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
        config = LoraConfig(task_type="TOKEN_CLS", r=16, lora_alpha=32, target_modules=["query", "value"])
        adapted = get_peft_model(BertForTokenClassification.from_pretrained(base), config)
        for name, parameter in adapted.named_parameters():
            if "lora_B" in name:
                torch.nn.init.normal_(parameter, std=0.02)
        adapted.save_pretrained(folder / f"a{index}")
    return base


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bin", type=Path, required=True)
    parser.add_argument("--adapters", type=int, default=12)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        base = make(folder, arguments.adapters)
        (folder / "mednerd.toml").write_text(
            f'[server]\nsocket = "m.sock"\nadmin_socket = "a.sock"\n[access]\ngroups = []\n[engine]\nthreads = 1\n'
            f'[[models]]\nname = "base"\npath = "{base}"\ndefault = true\n'
        )
        daemon = subprocess.Popen(
            [arguments.bin / "mednerd", "--config", folder / "mednerd.toml"], stderr=subprocess.DEVNULL
        )
        client, admin = folder / "m.sock", folder / "a.sock"
        while not client.exists():
            assert daemon.poll() is None, "the daemon ended"
            time.sleep(0.1)
        try:
            resident = lambda: ask(client, "GET", "/v1/status")["resident_bytes"] / 2**20

            def inference(models):
                body = {"text": TEXT, "models": models}
                return min(ask(client, "POST", "/v1/annotate", body)["timing_ms"]["inference"] for _ in range(9))

            names = []
            print("| adapters | resident MiB | their weights MiB | one note, base and all adapters, ms |")
            print("|---|---|---|---|")
            held = 0
            print(f"| 0 | {resident():.0f} | 0 | {inference(['base']):.1f} |")
            for index in range(arguments.adapters):
                began = time.monotonic()
                info = ask(
                    admin, "POST", "/v1/models",
                    {"name": f"a{index}", "path": str(folder / f"a{index}"), "base": "base"},
                )
                took = time.monotonic() - began
                held += info["memory_bytes"] / 2**20
                names.append(info["name"])
                if len(names) in (1, 2, 4, 8, arguments.adapters):
                    print(f"| {len(names)} | {resident():.0f} | {held:.1f} | {inference(['base', *names]):.1f} |")
            print(f"\nThe last one was loaded in {took * 1e3:.0f} ms.")
        finally:
            daemon.terminate()
            daemon.wait()


if __name__ == "__main__":
    main()
