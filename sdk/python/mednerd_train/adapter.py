"""Task adapters: low-rank changes of a frozen base (Hu et al. 2022, LoRA) and a head of their own, saved as `peft` does."""

from __future__ import annotations

import hashlib
import json
import logging
import random
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from . import augment
from .data import Document, HeldOut, Source, digest, flat, read
from .distil.silver_text import SilverText
from .distil.student import Sequence
from .encoding import IGNORED, Context, Encoder, Example, batches, collate, cut, label_names
from .export import replace
from .scoring import ALL, Scores
from .tagging import Tagger, decode
from .training import Device, Plan, Record, fit

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Gold:
    """`[data]`: the corpora of a run."""

    train: tuple[Source, ...]
    dev: tuple[Source, ...]
    #: Further corpora whose text must not be trained on.
    held_out: tuple[Source, ...] = ()
    #: Types in the order of the labels; empty: those of the training corpora, by name.
    types: tuple[str, ...] = ()
    #: Score at most so many development documents while training; 0: all.
    dev_documents: int = 0


@dataclass(frozen=True)
class Lora:
    """`[lora]`."""

    rank: int = 16
    alpha: float = 32.0
    dropout: float = 0.05
    #: Names of linear layers, as `peft` matches them.
    targets: tuple[str, ...] = ("query", "key", "value", "dense")
    #: Layers to change, counted from 0; empty: all. The base and its adapters share the work below the first one.
    layers: tuple[int, ...] = ()
    rslora: bool = False


@dataclass(frozen=True)
class Windows:
    """`[windows]`: how documents become training sequences."""

    #: Pieces in one; 0: what the base can read.
    length: int = 256
    overlap: int = 32
    #: Draw each window's length, down to an eighth.
    vary: bool = True


@dataclass(frozen=True)
class Regularisation:
    """`[regularisation]`."""

    label_smoothing: float = 0.05
    #: Share of the input pieces that are masked.
    mask: float = 0.05
    #: Draw the position at which a sequence begins, where the base has learnt absolute positions.
    shift_positions: bool = True


@dataclass(frozen=True)
class Settings:
    """A file for `mednerd-train adapter` (and for `search`, with `[search]`)."""

    out: Path
    base: Path
    data: Gold
    #: What the adapter is called; by default the folder's name.
    name: str = ""
    #: A head to start from (`joint` leaves one for each task); default: a fresh one.
    head: Path | None = None
    seed: int = 20261121
    #: Silver sets of `distil silver` (their files without endings) that have a task of the adapter's name.
    silver: tuple[Path, ...] = ()
    #: Silver batches in an epoch for each batch of gold.
    silver_share: float = 1.5
    lora: Lora = Lora()
    windows: Windows = Windows()
    regularisation: Regularisation = Regularisation()
    augment: augment.Augment = augment.Augment()
    training: Plan = Plan()
    device: Device = Device()
    card: dict[str, str] = field(default_factory=dict)


@dataclass
class Corpora:
    """What was read for a run."""

    train: list[Document]
    dev: list[Document]
    types: list[str]
    digests: dict[str, str]
    problems: list[str]


def corpora(gold: Gold) -> Corpora:
    """Reads and checks the corpora; training documents that repeat a held-out one are left out and listed."""
    train = [d for source in gold.train for d in read(source)]
    dev = [d for source in gold.dev for d in read(source)]
    problems = [str(p) for d in (*train, *dev) for p in (*d.problems, *flat(d)[1])]
    held_out = HeldOut([*dev, *(d for source in gold.held_out for d in read(source))])
    kept = []
    for document in train:
        if document.text in held_out:
            problems.append(f"{document.id}: repeats held-out text: left out of training")
        else:
            kept.append(document)
    types = list(gold.types) or sorted({s.label for d in kept for s in d.spans})
    unknown = {s.label for d in (*kept, *dev) for s in d.spans} - set(types)
    if unknown:
        raise ValueError(f"types without a label: {', '.join(sorted(unknown))}; name or ignore them")
    # A corpus is often a folder with train.tsv and dev.tsv in it: the folder's name says which.
    sources = (*gold.train, *gold.dev, *gold.held_out)
    digests = {f"{s.path.parent.name}/{s.path.name}": digest(s.path) for s in sources}
    return Corpora(kept, dev, types, digests, problems)


def loss_of(logits: Tensor, labels: Tensor, open_: Tensor, smoothing: float) -> Tensor:
    """Cross-entropy with label smoothing, averaged over labelled positions.

    `logits` is (batch, positions, labels), `labels` (batch, positions) with `IGNORED` where there is none, `open_`
    (batch, labels). Where an `O` may stand for further labels, the loss is minus the log of their summed probability
    (Tsuboi et al. 2008, partial annotation).
    """
    labelled = labels != IGNORED
    log_p = logits.float().log_softmax(-1)[labelled]
    wanted = labels[labelled]
    allowed = nn.functional.one_hot(wanted, logits.shape[-1]).bool()
    allowed |= open_[:, None].expand(logits.shape)[labelled] & (wanted == 0)[:, None]
    hit = torch.logsumexp(log_p.masked_fill(~allowed, -1e4), dim=-1)
    return -((1 - smoothing) * hit + smoothing * log_p.mean(-1)).mean()


def build(settings: Settings, labels: list[str]):
    """The base with a head of its own and fresh low-rank changes; everything else is frozen."""
    import peft
    from transformers import AutoModelForTokenClassification

    torch.manual_seed(settings.seed)
    model = AutoModelForTokenClassification.from_pretrained(
        settings.base,
        dtype=torch.float32,
        ignore_mismatched_sizes=True,
        id2label=dict(enumerate(labels)),
        label2id={label: i for i, label in enumerate(labels)},
    )
    # A head of the base for other types that happens to have the same shape is no good start.
    for name in ("classifier", "score"):
        if isinstance(getattr(model, name, None), nn.Linear):
            getattr(model, name).reset_parameters()
            if settings.head:
                load_head(getattr(model, name), labels, settings.head)
    lora = settings.lora
    config = peft.LoraConfig(
        task_type="TOKEN_CLS",
        r=lora.rank,
        lora_alpha=lora.alpha,
        lora_dropout=lora.dropout,
        target_modules=list(lora.targets),
        exclude_modules=["classifier", "score"],
        layers_to_transform=list(lora.layers) or None,
        use_rslora=lora.rslora,
    )
    return peft.get_peft_model(model, config)


def save_head(head: nn.Linear, labels: list[str], path: Path) -> None:
    """Writes a linear head and the names of its outputs, for `load_head`."""
    from safetensors.torch import save_file

    path.parent.mkdir(parents=True, exist_ok=True)
    tensors = {name: value.detach().cpu().contiguous() for name, value in head.state_dict().items()}
    save_file(tensors, path, metadata={"labels": json.dumps(labels)})


def load_head(head: nn.Linear, labels: list[str], path: Path) -> None:
    """Fills `head` from a file of `save_head`.

    Raises `ValueError` where the file's labels or its width are not this run's.
    """
    from safetensors import safe_open

    with safe_open(path, "pt") as file:
        theirs = json.loads((file.metadata() or {}).get("labels", "[]"))
        tensors = {name: file.get_tensor(name) for name in file.keys()}
    if theirs != labels:
        raise ValueError(f"{path}: a head for {', '.join(theirs) or 'nothing named'}; this run's labels are {', '.join(labels)}")
    if tensors.keys() != {"weight", "bias"} or tensors["weight"].shape != head.weight.shape:
        raise ValueError(f"{path}: not a head over hidden states of {head.in_features}")
    head.load_state_dict(tensors)


def base_digest(directory: Path) -> str | None:
    """The digest by which mednerd knows a base: each file's name and content, their lengths as 8 little-endian bytes
    before them; `config.json`, the tokenizer, the weights. `None` for a base whose tokenizer is not in
    `tokenizer.json`: then the adapter names its base by family and name alone."""
    if not (directory / "tokenizer.json").exists():
        return None
    weights = sorted(path.name for path in directory.glob("model*.safetensors"))
    state = hashlib.sha256()
    others = [name for name in ("tokenizer_config.json", "special_tokens_map.json") if (directory / name).exists()]
    for name in ("config.json", "tokenizer.json", *others, *weights):
        content = (directory / name).read_bytes()
        for part in (name.encode(), content):
            state.update(len(part).to_bytes(8, "little") + part)
    return state.hexdigest()


def train(settings: Settings, report: Callable[[float, int], None] = lambda value, step: None) -> dict:
    """Trains one adapter and writes it to `settings.out`; returns its best development score."""
    from transformers import AutoTokenizer

    found = corpora(settings.data)
    for problem in found.problems[:20]:
        _LOG.warning("%s", problem)
    if len(found.problems) > 20:
        _LOG.warning("… and %d more: `mednerd-train check` lists them all", len(found.problems) - 20)
    if not found.train or not found.dev:
        raise ValueError("there is no training or no development document")
    labels = label_names(found.types)
    tokenizer = AutoTokenizer.from_pretrained(settings.base)
    encoder = Encoder(tokenizer, labels)
    model = build(settings, labels)
    model.print_trainable_parameters()
    context = Context.of(model)
    length = min(settings.windows.length or context.length, context.length) - encoder.frame
    rng = random.Random(settings.seed)
    drawn = np.random.default_rng(settings.seed)
    noise = settings.regularisation
    name = settings.name or settings.out.name
    text = SilverText(settings.silver, tokenizer, {name: labels}, rng) if settings.silver else None

    def epoch(number: int) -> list[list[Example] | list[Sequence]]:
        documents = found.train
        if settings.augment.share:
            documents = [augment.augment(d, settings.augment, rng) for d in documents]
        examples = [
            Example(d.ids[b:e], d.labels[b:e], d.open)
            for d in encoder.encode(documents)
            for b, e in cut(d, length, settings.windows.overlap, rng if settings.windows.vary else None)
        ]
        made = batches(examples, settings.training.batch, rng)
        if text:
            made += text.batches(round(settings.silver_share * len(made)), settings.training.batch, rng)
            rng.shuffle(made)
        return made

    def step(batch: list[Example] | list[Sequence]) -> Tensor:
        device = next(model.parameters()).device
        if isinstance(batch[0], Sequence):
            inputs, targets = text.inputs(batch, noise.mask, drawn, device)
            logits = model(**inputs).logits
            return text.loss(lambda task: logits, targets)
        inputs = collate(batch, encoder, context if noise.shift_positions else None, rng)
        inputs = {name: value.to(device) for name, value in inputs.items()}
        wanted, open_ = inputs.pop("labels"), inputs.pop("open")
        if noise.mask and tokenizer.mask_token_id is not None:
            masked = (torch.rand(wanted.shape, device=device) < noise.mask) & (wanted != IGNORED)
            inputs["input_ids"] = inputs["input_ids"].masked_fill(masked, tokenizer.mask_token_id)
        return loss_of(model(**inputs).logits, wanted, open_, noise.label_smoothing)

    tagger = Tagger(model, encoder, context.length - encoder.frame)
    dev = found.dev[: settings.data.dev_documents or None]

    def score() -> dict:
        scores = Scores()
        with settings.device.autocast(next(model.parameters()).device):
            for document, tagged in zip(dev, tagger.tag([d.text for d in dev])):
                scores.add(document.spans, [s.span for s in decode(tagged, labels, "simple")])
        total = scores.total()[ALL]
        return {"value": total.f1, "f1": total.f1, "precision": total.precision, "recall": total.recall}

    def pieces_of(batch: list[Example] | list[Sequence]) -> int:
        return sum(len(example.ids) for example in batch)

    record = Record({"settings": asdict(settings), "labels": labels, "data": found.digests, "seed": settings.seed})
    best = fit(model, epoch, step, settings.training, settings.device, record, score, report, name, pieces_of)
    record.about["best"] = best
    save(model, labels, settings, settings.out)
    record.save(settings.out)
    return best


def save(model, labels: list[str], settings: Settings, directory: Path) -> None:
    """Writes a PEFT directory, tensors in fp16, with the labels and the base's digest in a `config.json` beside them.
    A card that is there is kept; the files appear all at once."""
    fresh = directory.with_name(directory.name + ".new")
    shutil.rmtree(fresh, ignore_errors=True)
    model.to(torch.float16)
    for config in model.peft_config.values():
        config.base_model_name_or_path = settings.base.name
    model.save_pretrained(fresh, save_embedding_layers=False)  # `auto` would ask the Hub about the base
    model.float()
    (fresh / "README.md").unlink(missing_ok=True)  # `peft`'s empty form; `card` writes ours
    config = {
        "model_type": model.config.model_type,
        "id2label": {str(i): label for i, label in enumerate(labels)},
        "label2id": {label: i for i, label in enumerate(labels)},
    }
    if known := base_digest(settings.base):
        config["mednerd"] = {"base_digest": known}
    (fresh / "config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    replace(fresh, directory)
