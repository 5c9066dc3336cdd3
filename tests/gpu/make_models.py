"""Random checkpoints of the usual sizes, for measurements of speed: `make_models.py FOLDER…`, each named for what it is to be.

Nothing can be fetched where they are measured, and speed does not depend on what weights say. SMALL=1 makes small ones, to try this file.
"""

import json
import os
import pathlib
import shutil
import sys

import torch
from safetensors.torch import save_file
from transformers import AutoConfig, AutoModel, AutoModelForTokenClassification

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
# A zero-shot model: its encoder, and the width of what is behind it.
GLINER = {"gliner-large": ("deberta-v3-large", 512)}
if os.environ.get("SMALL"):
    TINY = {"hidden_size": 64, "num_hidden_layers": 1, "num_attention_heads": 1, "intermediate_size": 128, "vocab_size": 1000}
    for source, sizes in SHAPES.values():
        sizes |= TINY | ({"pooler_hidden_size": 64} if "pooler_hidden_size" in sizes else {})
    GLINER = {"gliner-large": ("deberta-v3-large", 64)}


def copy(source, folder):
    """What is beside the weights, for sequences of up to 512 tokens."""
    shutil.copytree(source, folder, ignore=shutil.ignore_patterns("*.safetensors", "golden.json"))
    config = json.loads((source / "tokenizer_config.json").read_text())
    (folder / "tokenizer_config.json").write_text(json.dumps(config | {"model_max_length": 512}))


def classifier(folder, source, sizes):
    source = ROOT / "tests/fixtures" / source
    copy(source, folder)
    config = AutoConfig.from_pretrained(source)
    for name, value in sizes.items():
        setattr(config, name, value)
    AutoModelForTokenClassification.from_config(config).save_pretrained(folder)


def gliner(folder, shape, width):
    """As `urchade/gliner_large-v2.1` is built, and without the package, which is not there."""
    source = ROOT / "tests/fixtures/gliner/span-rnn"
    copy(source, folder)
    config = json.loads((source / "gliner_config.json").read_text())
    sizes = config["encoder_config"] | SHAPES[shape][1]
    encoder = AutoModel.from_config(AutoConfig.for_model("deberta-v2", **{name: sizes[name] for name in sizes if name != "model_type"}))
    tensors = {f"token_rep_layer.bert_layer.model.{name}": value for name, value in encoder.state_dict().items()}
    config |= {"encoder_config": sizes, "vocab_size": sizes["vocab_size"], "hidden_size": width, "max_width": 12, "max_len": 384}
    (folder / "gliner_config.json").write_text(json.dumps(config))

    def linear(name, inputs, outputs):
        layer = torch.nn.Linear(inputs, outputs).state_dict()
        tensors.update({f"{name}.{part}": value for part, value in layer.items()})

    linear("token_rep_layer.projection", sizes["hidden_size"], width)
    lstm = torch.nn.LSTM(width, width // 2, bidirectional=True).state_dict()
    tensors.update({f"rnn.lstm.{name}": value for name, value in lstm.items()})
    spans = "span_rep_layer.span_rep_layer"
    both = {"prompt_rep_layer": 1, f"{spans}.project_start": 1, f"{spans}.project_end": 1, f"{spans}.out_project": 2}
    for name, vectors in both.items():
        linear(f"{name}.0", vectors * width, 4 * width)
        linear(f"{name}.3", 4 * width, width)
    save_file({name: value.cpu().contiguous() for name, value in tensors.items()}, folder / "model.safetensors")


def main():
    # A GPU draws a gigabyte of numbers in no time.
    torch.set_default_device("cuda" if torch.cuda.is_available() else "cpu")
    torch.manual_seed(1)
    for folder in map(pathlib.Path, sys.argv[1:]):
        # Under its name it is whole.
        new = folder.with_name(folder.name + ".new")
        if folder.name in GLINER:
            gliner(new, *GLINER[folder.name])
        elif folder.name in SHAPES:
            classifier(new, *SHAPES[folder.name])
        else:
            continue
        new.rename(folder)
        print(f"ok      {folder.name}: {sum(file.stat().st_size for file in folder.iterdir()) >> 20} MiB")


main()
