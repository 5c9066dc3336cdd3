"""Random checkpoints of the usual sizes, for measurements of speed: `make_models.py FOLDER…`, each named for what it is to be.

Nothing can be fetched where they are measured, and speed does not depend on what weights say.
"""

import pathlib
import shutil
import sys

import torch
from transformers import AutoConfig, AutoModelForTokenClassification

ROOT = pathlib.Path(__file__).resolve().parents[2]
BASE = {"hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12, "intermediate_size": 3072}
LARGE = {"hidden_size": 1024, "num_hidden_layers": 24, "num_attention_heads": 16, "intermediate_size": 4096}
# Whose files give everything that is no size.
SHAPES = {
    "bert-base": ("bert/fp32", {"vocab_size": 30522, "max_position_embeddings": 512, **BASE}),
    "bert-large": ("bert/fp32", {"vocab_size": 30522, "max_position_embeddings": 512, **LARGE}),
    "deberta-v3-large": (
        "deberta-v2/v3-fp32",
        {"vocab_size": 128100, "max_position_embeddings": 512, "position_buckets": 256, "pooler_hidden_size": 1024, **LARGE},
    ),
}


def main():
    torch.manual_seed(1)
    for folder in map(pathlib.Path, sys.argv[1:]):
        if folder.name not in SHAPES:
            continue
        source, sizes = SHAPES[folder.name]
        source = ROOT / "tests/fixtures" / source
        shutil.copytree(source, folder, ignore=shutil.ignore_patterns("*.safetensors", "golden.json"))
        config = AutoConfig.from_pretrained(source)
        for name, value in sizes.items():
            setattr(config, name, value)
        AutoModelForTokenClassification.from_config(config).save_pretrained(folder)
        print(f"ok      {folder.name}: {sum(file.stat().st_size for file in folder.iterdir()) >> 20} MiB")


main()
