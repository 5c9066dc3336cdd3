#!/usr/bin/env python3
"""What task adapters over the shipped base cost, by the layers that they change: a note of 300 words, one worker, fp32; the
best of several times of the daemon's own count, which leaves out the socket. The adapters are untrained: time does not depend on
the values. Needs torch, transformers and peft: tests/bench/adapter_layers.py [--bin FOLDER]"""

import argparse
import os
import sys
import tempfile
from contextlib import closing
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
sys.path.insert(0, str(ROOT / "sdk/python"))

import binaries  # noqa: E402
from mednerd_train import adapter  # noqa: E402
from mednerd_train.daemon import Client, running  # noqa: E402
from mednerd_train.encoding import label_names  # noqa: E402

BASE = ROOT / "packaging/models/biomed-small"
TEXT = " ".join(((ROOT / "configs/samples/discharge.txt").read_text() * 3).split()[:300])
#: Entity types of the shipped set's tasks: gene, anatomy, species, cell, cancer genetics.
TYPES = (1, 1, 1, 5, 16)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bin", type=Path, default=binaries.RELEASE, help="the folder of the binaries")
    parser.add_argument("--rounds", type=int, default=25)
    parser.add_argument("--shapes", nargs="*", default=["0,1,2,3:32", "1,2,3:32", "2,3:32", "2,3:64", "3:64"])
    arguments = parser.parse_args()
    print("| layers changed | rank | MB | base, ms | base and one, ms | base and five, ms |\n|---|---|---|---|---|---|")
    for shape in arguments.shapes:
        layers, rank = shape.split(":")
        lora = adapter.Lora(rank=int(rank), alpha=float(rank), layers=tuple(map(int, layers.split(","))))
        with tempfile.TemporaryDirectory() as temporary:
            places = {}
            for number, count in enumerate(TYPES):
                places[f"a{number}"] = Path(temporary) / f"a{number}"
                labels = label_names(f"T{i}" for i in range(count))
                settings = adapter.Settings(places[f"a{number}"], BASE, adapter.Gold((), ()), lora=lora)
                adapter.save(adapter.build(settings, labels), labels, settings, settings.out)
            size = (places["a4"] / "adapter_model.safetensors").stat().st_size / 1e6
            with running(arguments.bin / "mednerd", BASE, places) as socket, closing(Client(socket)) as client:
                asked = [["base"], ["base", "a0"], ["base", *places]]
                best = [float("inf")] * len(asked)
                for _ in range(arguments.rounds):
                    for index, models in enumerate(asked):
                        answer = client.ask("POST", "/v1/annotate", {"text": TEXT, "models": models})
                        best[index] = min(best[index], answer["timing_ms"]["inference"])
        cells = " | ".join(f"{ms:.0f}" for ms in best)
        print(f"| {layers} | {rank} | {size:.2f} | {cells} |", flush=True)


if __name__ == "__main__":
    main()
