"""Writes models as Hugging Face directories, all at once: fp16, in files of bounded size, averaged or with an adapter
merged where that is asked for."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer
from torch import Tensor, nn

from . import tokenizer as tokenizers_

MAX_FILE_BYTES = 20_000_000
#: What makes up a tokenizer, family by family.
_TOKENIZER_FILES = (
    "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "vocab.txt", "vocab.json",
    "merges.txt", "spm.model", "sentencepiece.bpe.model",
)  # fmt: skip
_HEADS = ("classifier.", "score.")


def export(
    model: nn.Module,
    tokenizer: Tokenizer | Path,
    directory: Path,
    *,
    dtype: torch.dtype = torch.float16,
    max_file_bytes: int = MAX_FILE_BYTES,
) -> None:
    """Replaces `directory` by the model and its tokenizer (or the tokenizer files of a folder); other files in it, such
    as the card, are kept. Larger weights are split into shards with an index, as `transformers` reads them."""
    fresh = directory.with_name(directory.name + ".new")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    if isinstance(tokenizer, Path):
        for name in _TOKENIZER_FILES:
            if (tokenizer / name).exists():
                shutil.copyfile(tokenizer / name, fresh / name)
    else:
        tokenizers_.save(tokenizer, fresh)
    config = model.config
    config.architectures = [type(model).__name__]
    config.dtype = dtype
    config.save_pretrained(fresh)
    seen: set[int] = set()
    weights = {}
    for name, value in model.state_dict().items():
        if name.endswith("position_ids") or value.data_ptr() in seen:  # a tied weight is written once
            continue
        seen.add(value.data_ptr())
        weights[name] = value.detach().cpu().to(dtype).contiguous()
    _write(weights, fresh, max_file_bytes)
    replace(fresh, directory)


def _write(weights: dict[str, Tensor], directory: Path, max_file_bytes: int) -> None:
    shards: list[dict[str, Tensor]] = [{}]
    filled = 0
    for name, value in weights.items():
        if value.nbytes > max_file_bytes - 100_000:
            raise ValueError(f"{name} alone has {value.nbytes} bytes, more than fit into a file of {max_file_bytes}")
        if shards[-1] and filled + value.nbytes > max_file_bytes - 100_000:
            shards.append({})
            filled = 0
        shards[-1][name] = value
        filled += value.nbytes
    if len(shards) == 1:
        save_file(weights, directory / "model.safetensors", metadata={"format": "pt"})
        return
    places = {}
    for number, shard in enumerate(shards, 1):
        file = f"model-{number:05}-of-{len(shards):05}.safetensors"
        save_file(shard, directory / file, metadata={"format": "pt"})
        places.update(dict.fromkeys(shard, file))
    total = sum(value.nbytes for value in weights.values())
    index = {"metadata": {"total_size": total}, "weight_map": places}
    (directory / "model.safetensors.index.json").write_text(json.dumps(index, indent=1) + "\n", encoding="utf-8")


def replace(fresh: Path, directory: Path) -> None:
    """Puts `fresh` in the place of `directory`, so that a reader never meets half a model. Of files that only the old
    one has, all but weights are kept."""
    for file in fresh.iterdir():
        file.chmod(0o644)  # the writers of weights make them private
    if directory.exists():
        for kept in directory.iterdir():
            if kept.is_file() and not (fresh / kept.name).exists() and "safetensors" not in kept.name:
                shutil.copy2(kept, fresh / kept.name)
        old = directory.with_name(directory.name + ".old")
        shutil.rmtree(old, ignore_errors=True)
        os.rename(directory, old)
        os.rename(fresh, directory)
        shutil.rmtree(old)
    else:
        directory.parent.mkdir(parents=True, exist_ok=True)
        os.rename(fresh, directory)


def average(directories: list[Path]) -> nn.Module:
    """The mean of the weights of models that were trained on from the same one (Wortsman et al. 2022, model soups)."""
    from transformers import AutoModelForTokenClassification

    models = [AutoModelForTokenClassification.from_pretrained(path, dtype=torch.float32) for path in directories]
    with torch.no_grad():
        for parameters in zip(*(model.parameters() for model in models), strict=True):
            parameters[0].copy_(torch.stack(parameters).mean(dim=0))
    return models[0]


def average_heads(directories: list[Path], out: Path) -> None:
    """The means of the heads that `joint` left beside its models, where all of `directories` have them."""
    for path in sorted((directories[0] / "heads").glob("*.safetensors")):
        found = [directory / "heads" / path.name for directory in directories]
        if not all(head.exists() for head in found):
            continue
        with safe_open(path, "pt") as file:
            about = file.metadata()
        heads = [load_file(head) for head in found]
        mean = {name: torch.stack([head[name] for head in heads]).mean(dim=0) for name in heads[0]}
        (out / "heads").mkdir(exist_ok=True)
        save_file(mean, out / "heads" / path.name, metadata=about)


def merged(base: Path, adapter: Path) -> nn.Module:
    """The base with a token-classification adapter's changes added into its weights."""
    import peft
    from transformers import AutoModelForTokenClassification

    named = (
        json.loads((adapter / "config.json").read_text(encoding="utf-8")) if (adapter / "config.json").exists() else {}
    )
    options = {}
    if "id2label" in named:
        labels = {int(k): v for k, v in named["id2label"].items()}
        options = {"id2label": labels, "label2id": {v: k for k, v in labels.items()}, "ignore_mismatched_sizes": True}
    model = AutoModelForTokenClassification.from_pretrained(base, dtype=torch.float32, **options)
    return peft.PeftModel.from_pretrained(model, adapter).merge_and_unload()


def set_calibration(directory: Path, temperature: float, outside: float = 0.0) -> float:
    """Divides the head of the model or adapter in `directory` by a temperature, so that every engine's softmax is the
    calibrated one (Guo et al. 2017); what is found stays the same, unless `outside` is added to the logit of `O` before.
    `config.json` says what it has been divided by in all, which is returned.

    Raises `ValueError` where there is no linear head of that kind, or no bias to add to.
    """
    about = directory / "config.json"
    config = json.loads(about.read_text(encoding="utf-8"))
    at = next(int(index) for index, label in config["id2label"].items() if label == "O")
    changed = False
    for path in [*directory.glob("model*.safetensors"), *directory.glob("adapter_model.safetensors")]:
        weights = load_file(path)
        heads = [name for name in weights if any(f".{head}" in f".{name}" for head in _HEADS) and "lora" not in name]
        if outside and heads and not any(name.endswith("bias") for name in heads):
            raise ValueError(f"{directory}: the head has no bias: nothing can be added to its outside tag")
        for name in heads:
            value = weights[name].float()
            if name.endswith("bias"):
                value[at] += outside
            weights[name] = (value / temperature).to(weights[name].dtype)
        if heads:
            save_file(weights, path, metadata={"format": "pt"})
            path.chmod(0o644)
            changed = True
    if not changed:
        raise ValueError(f"{directory}: no weight is called classifier or score: no head to divide")
    ours = config.setdefault("mednerd", {})
    ours["temperature"] = round(ours.get("temperature", 1.0) * temperature, 4)
    about.write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    return ours["temperature"]
