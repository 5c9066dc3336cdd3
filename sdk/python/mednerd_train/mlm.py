"""Masked language modelling (Devlin et al. 2019): pre-training from scratch, and going on from any checkpoint with all
weights or with low-rank changes that are merged at the end (domain-adaptive pre-training, Gururangan et al. 2020)."""

from __future__ import annotations

import logging
import math
import random
import re
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from .adapter import Lora
from .data import HeldOut, Source, digest, open_text, read
from .encoding import IGNORED, Context, Encoder
from .export import export
from .training import Device, Plan, Record, fit

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Text:
    """`[text]`: running text, one paragraph a line, blank lines between documents."""

    #: Files, or folders whose `.txt` and `.txt.xz` files are read in order of name.
    paths: tuple[Path, ...]
    #: Gold corpora whose text must not be trained on.
    held_out: tuple[Source, ...] = ()
    #: Share of the documents that is set aside to measure the loss on.
    dev_share: float = 0.005
    #: Read at most so many documents; 0: all.
    documents: int = 0

    def files(self) -> list[Path]:
        """Every file that is read."""
        return [
            file
            for path in self.paths
            for file in (sorted((*path.glob("*.txt"), *path.glob("*.txt.xz"))) if path.is_dir() else [path])
        ]


@dataclass(frozen=True)
class Shape:
    """`[model]`: a BERT from scratch."""

    width: int = 384
    layers: int = 6
    heads: int = 6
    feed_forward: int = 1536
    positions: int = 512
    dropout: float = 0.1


@dataclass(frozen=True)
class Settings:
    """A file for `mednerd-train pretrain` and `dapt`."""

    out: Path
    text: Text
    #: What to go on from; without it, `[model]` is made from scratch with the tokenizer in `tokenizer`.
    base: Path | None = None
    tokenizer: Path | None = None
    model: Shape = Shape()
    #: For `dapt`: train low-rank changes alone and merge them; without it, all weights.
    lora: Lora | None = None
    seed: int = 20261121
    #: Pieces in a sequence; documents are cut, the pieces of an epoch begin at another place each time.
    length: int = 128
    #: Share of the pieces to be guessed; of them 80 % are masked, 10 % replaced by random ones.
    mask: float = 0.15
    training: Plan = Plan(rate=5e-4, weight_decay=0.01, batch=8192, patience=0, average=0.0)
    device: Device = Device()
    card: dict[str, str] | None = None


@dataclass(frozen=True)
class TokenizerSettings:
    """A file for `mednerd-train tokenizer`."""

    out: Path
    text: Text
    size: int = 24_000


def documents(text: Text) -> Iterator[str]:
    """The documents of `text`, paragraphs joined by line feeds; those with a held-out paragraph are left out whole."""
    held_out = HeldOut(document for source in text.held_out for document in read(source))
    given = left_out = 0
    for path in text.files():
        paragraphs: list[str] = []
        with open_text(path) as lines:
            for line in (*lines, ""):
                if line.strip():
                    paragraphs.append(line.strip())
                    continue
                if paragraphs and any(paragraph in held_out for paragraph in paragraphs):
                    left_out += 1
                elif paragraphs:
                    given += 1
                    yield "\n".join(paragraphs)
                paragraphs = []
                if text.documents and given >= text.documents:
                    break
        if text.documents and given >= text.documents:
            break
    _LOG.info("%d documents read, %d repeat held-out text and are left out", given, left_out)


@dataclass
class Pieces:
    """Documents as one row of pieces, and where each begins."""

    ids: np.ndarray
    begins: np.ndarray

    @classmethod
    def of(cls, texts: Iterable[str], encoder: Encoder) -> Pieces:
        """Encodes texts, a thousand at a time."""
        rows, begins, held, at = [], [0], [], 0

        def flush() -> None:
            nonlocal at
            for ids, _ in encoder.pieces(held):
                rows.append(np.array(ids, dtype=np.int32))
                at += len(ids)
                begins.append(at)
            held.clear()

        for text in texts:
            held.append(text)
            if len(held) == 1000:
                flush()
        flush()
        return cls(np.concatenate(rows) if rows else np.zeros(0, dtype=np.int32), np.array(begins))

    def cut(self, length: int, first: int) -> list[tuple[int, int]]:
        """Sequences of at most `length` pieces, none over a border; `first` shortens each document's first one, so that
        the borders of sequences differ from epoch to epoch."""
        found = []
        for begin, end in zip(self.begins, self.begins[1:]):
            at = int(begin)
            while at < end:
                stop = min(int(end), at + (length if at > begin or not first else first))
                if stop - at > 1:
                    found.append((at, stop))
                at = stop
        return found


class Batches:
    """An epoch's batches, made when they are needed: each is a list of `(begin, end)` of like length."""

    def __init__(self, sequences: list[tuple[int, int]], positions: int, frame: int, rng: random.Random) -> None:
        rng.shuffle(sequences)
        self._groups: list[list[tuple[int, int]]] = []
        # Sorted by length within a stretch alone: neighbours of one document do not stay together.
        for begin in range(0, len(sequences), 4096):
            group: list[tuple[int, int]] = []
            for sequence in sorted(sequences[begin : begin + 4096], key=lambda s: s[1] - s[0]):
                if group and (sequence[1] - sequence[0] + frame) * (len(group) + 1) > positions:
                    self._groups.append(group)
                    group = []
                group.append(sequence)
            if group:
                self._groups.append(group)
        rng.shuffle(self._groups)

    def __len__(self) -> int:
        return len(self._groups)

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        return iter(self._groups)


def masked(
    ids: Tensor, special: Tensor, share: float, mask_id: int, size: int, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Dynamic masking: the changed input, and labels that are `IGNORED` where nothing is to be guessed."""
    draw = torch.rand(ids.shape, generator=generator)
    guessed = (draw < share) & ~special
    labels = ids.masked_fill(~guessed, IGNORED)
    draw = torch.rand(ids.shape, generator=generator)
    changed = ids.masked_fill(guessed & (draw < 0.8), mask_id)
    random_ids = torch.randint(0, size, ids.shape, generator=generator)
    return torch.where(guessed & (draw >= 0.9), random_ids, changed), labels


def _model(settings: Settings, tokenizer):
    from transformers import AutoModelForMaskedLM, BertConfig, BertForMaskedLM

    torch.manual_seed(settings.seed)
    if settings.base:
        model = AutoModelForMaskedLM.from_pretrained(settings.base, dtype=torch.float32)
    else:
        shape = settings.model
        model = BertForMaskedLM(
            BertConfig(
                vocab_size=len(tokenizer),
                hidden_size=shape.width,
                num_hidden_layers=shape.layers,
                num_attention_heads=shape.heads,
                intermediate_size=shape.feed_forward,
                max_position_embeddings=shape.positions,
                hidden_dropout_prob=shape.dropout,
                attention_probs_dropout_prob=shape.dropout,
                pad_token_id=tokenizer.pad_token_id,
            )
        )
    if settings.lora:
        import peft

        lora = settings.lora
        # The head for guessing is outside the encoder: it is trained whole beside the low-rank changes, but for what it
        # shares with the embedding.
        encoder = model.base_model_prefix + "."
        config = peft.LoraConfig(
            r=lora.rank,
            lora_alpha=lora.alpha,
            lora_dropout=lora.dropout,
            target_modules=list(lora.targets),
            exclude_modules=rf"(?!{re.escape(encoder)}).*",
            layers_to_transform=list(lora.layers) or None,
            use_rslora=lora.rslora,
        )
        model = peft.get_peft_model(model, config)
        for name, parameter in model.base_model.model.named_parameters():
            if not name.startswith(encoder):
                parameter.requires_grad = True
    return model


def train(settings: Settings) -> dict:
    """Trains and writes a Hugging Face directory in fp32; returns the last development loss and perplexity."""
    from transformers import AutoTokenizer

    source = settings.tokenizer or settings.base
    if source is None:
        raise ValueError("name a base to go on from, or a tokenizer for a model from scratch")
    tokenizer = AutoTokenizer.from_pretrained(source)
    encoder = Encoder(tokenizer)
    texts = list(documents(settings.text))
    rng = random.Random(settings.seed)
    rng.shuffle(texts)
    set_aside = min(max(1, round(len(texts) * settings.text.dev_share)), len(texts) // 2)
    dev, pieces = Pieces.of(texts[:set_aside], encoder), Pieces.of(texts[set_aside:], encoder)
    if len(pieces.ids) < 2 or len(dev.ids) < 2:
        raise ValueError("there is too little text: at least two documents are needed")
    _LOG.info("%d documents, %d pieces", len(texts), len(pieces.ids))
    model = _model(settings, tokenizer)
    length = min(settings.length, Context.of(model).length) - encoder.frame
    generator = torch.Generator().manual_seed(settings.seed)

    def collate(rows: Pieces, group: list[tuple[int, int]], generator: torch.Generator) -> dict[str, Tensor]:
        width = max(end - begin for begin, end in group) + encoder.frame
        ids = np.full((len(group), width), tokenizer.pad_token_id or 0, dtype=np.int64)
        attention = np.zeros((len(group), width), dtype=np.int64)
        special = np.ones((len(group), width), dtype=bool)
        for i, (begin, end) in enumerate(group):
            count = end - begin
            ids[i, : count + encoder.frame] = [*encoder.prefix, *rows.ids[begin:end], *encoder.suffix]
            attention[i, : count + encoder.frame] = 1
            special[i, len(encoder.prefix) : len(encoder.prefix) + count] = False
        changed, labels = masked(
            torch.from_numpy(ids),
            torch.from_numpy(special),
            settings.mask,
            tokenizer.mask_token_id,
            len(tokenizer),
            generator,
        )
        device = next(model.parameters()).device
        made = {"input_ids": changed, "attention_mask": torch.from_numpy(attention), "labels": labels}
        return {name: value.to(device, non_blocking=True) for name, value in made.items()}

    def loss(rows: Pieces, group: list[tuple[int, int]], generator: torch.Generator) -> Tensor:
        inputs = collate(rows, group, generator)
        labels = inputs.pop("labels")
        inner = model.base_model.model if settings.lora else model
        asked = labels != IGNORED
        head = getattr(inner, "cls", None) or getattr(inner, "lm_head", None)
        if head is None:
            logits = model(**inputs).logits[asked]
        else:  # most of the work is in the output matrix: only what is asked for goes through it
            logits = head(inner.base_model(**inputs).last_hidden_state[asked])
        # A batch in which nothing fell to be guessed has no loss.
        return torch.nn.functional.cross_entropy(logits.float(), labels[asked]) if len(logits) else logits.sum()

    def epoch(number: int) -> Batches:
        first = rng.randint(2, length) if number else 0
        return Batches(pieces.cut(length, first), settings.training.batch, encoder.frame, rng)

    dev_batches = list(Batches(dev.cut(length, 0), settings.training.batch, encoder.frame, random.Random(0)))

    @torch.no_grad()
    def score() -> dict:
        same = torch.Generator().manual_seed(0)
        with settings.device.autocast(next(model.parameters()).device):
            losses = [loss(dev, group, same).item() for group in dev_batches]
        mean = sum(losses) / len(losses)
        return {"value": -mean, "dev_loss": mean, "perplexity": math.exp(min(mean, 20))}

    digests = {path.name: digest(path) for path in settings.text.files()}
    record = Record({"settings": asdict(settings), "data": digests, "seed": settings.seed, "pieces": len(pieces.ids)})
    best = fit(
        model, epoch, lambda group: loss(pieces, group, generator), settings.training, settings.device, record, score,
        name=settings.out.name, size=lambda group: sum(end - begin for begin, end in group),
    )  # fmt: skip
    record.about["best"] = best
    model.to("cpu")
    plain = model.merge_and_unload() if settings.lora else model
    export(plain, source, settings.out, dtype=torch.float32, max_file_bytes=2_000_000_000)
    record.save(settings.out)
    return best


def learn_tokenizer(settings: TokenizerSettings) -> None:
    """Learns an uncased WordPiece vocabulary and writes it."""
    from . import tokenizer

    tokenizer.save(tokenizer.train(documents(settings.text), settings.size), settings.out)
