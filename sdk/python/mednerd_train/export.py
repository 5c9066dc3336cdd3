"""Writes a trained classifier as a Hugging Face directory, all at once."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer
from torch import nn

from . import tokenizer as tokenizers_

MAX_WEIGHT_BYTES = 20_000_000


def export(model: nn.Module, tokenizer: Tokenizer, directory: Path) -> None:
    """Replaces `directory` by the model in fp16 and its tokeniser; other files in it (the card) are kept.

    The files are written beside it and renamed, so that a reader never meets half a model.
    """
    fresh = directory.with_name(directory.name + ".new")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    tokenizers_.save(tokenizer, fresh)
    config = model.config
    config.architectures = [type(model).__name__]
    config.dtype = torch.float16
    config.save_pretrained(fresh)
    weights = {
        name: value.detach().to(torch.float16).contiguous()
        for name, value in model.state_dict().items()
        if not name.endswith("position_ids")
    }
    save_file(weights, fresh / "model.safetensors", metadata={"format": "pt"})
    (fresh / "model.safetensors").chmod(0o644)  # the writer makes it private
    size = (fresh / "model.safetensors").stat().st_size
    if size > MAX_WEIGHT_BYTES:
        raise ValueError(f"model.safetensors has {size} bytes, more than {MAX_WEIGHT_BYTES}")
    if directory.exists():
        for kept in directory.iterdir():
            if not (fresh / kept.name).exists():
                shutil.copy2(kept, fresh / kept.name)
        old = directory.with_name(directory.name + ".old")
        shutil.rmtree(old, ignore_errors=True)
        os.rename(directory, old)
        os.rename(fresh, directory)
        shutil.rmtree(old)
    else:
        os.rename(fresh, directory)
