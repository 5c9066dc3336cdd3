"""The student: its training sequences, its loss and its training loop.

A training sequence is one or more consecutive sentences of one document, up to a length drawn anew each time, at a
start position drawn anew each time: so every position of the context is trained, whatever the documents' lengths.
"""

from __future__ import annotations

import logging
import math
import random
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
import torch.distributed as dist
from tokenizers import Tokenizer
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from transformers import BertConfig, BertForTokenClassification

from ..data import Document, sentences, words
from ..tokenizer import MAX_LENGTH
from .corpora import LABELS, word_labels

SEED = 20261121
_LOG = logging.getLogger(__name__)
_LENGTHS = (40, 80, 80, 160, 256, 384, MAX_LENGTH - 2)


@dataclass
class Encoded:
    """One document as pieces: ids, label weights for each piece, and where sentences begin.

    A row of `targets` is either the set of labels allowed at the piece (ones and zeros: the loss is the negative log
    of their summed probability) or, if `soft`, a distribution to be matched.
    """

    ids: np.ndarray
    targets: np.ndarray  # uint8, 255 stands for 1
    starts: list[int]
    soft: bool


def _encode(
    tokenizer: Tokenizer, text: str, rows: np.ndarray, soft: bool, begins_at: Iterable[int] = (1, 3)
) -> Encoded:
    """Spreads word rows over pieces: a continuation piece has I-X where its word has B-X (the columns `begins_at`;
    those of I-X are the next ones)."""
    encoding = tokenizer.encode(text, add_special_tokens=False)
    begins = np.array([begin for begin, _ in encoding.offsets], dtype=np.int64)
    word_begins = np.array([begin for begin, _ in words(text)], dtype=np.int64)
    owner = np.searchsorted(word_begins, begins, side="right") - 1
    targets = rows[owner].copy()
    continued = np.flatnonzero(owner[1:] == owner[:-1]) + 1
    for first in begins_at:
        moved = targets[continued, first].astype(np.int64) + targets[continued, first + 1]
        targets[continued, first + 1] = np.minimum(moved, 255)
        targets[continued, first] = 0
    starts = sorted({int(np.searchsorted(begins, begin)) for begin, _ in sentences(text)})
    return Encoded(np.array(encoding.ids, dtype=np.int64), targets, [s for s in starts if s < len(begins)] or [0], soft)


def encode_gold(tokenizer: Tokenizer, document: Document) -> Encoded:
    """Encodes a gold document. Where chemicals were not annotated, O allows them too."""
    _, labels, _ = word_labels(document)
    table = np.eye(len(LABELS), dtype=np.uint8) * 255
    if "Chemical" not in document.typed:
        table[0, 1:3] = 255
    return _encode(tokenizer, document.text, table[labels], soft=False)


def encode_silver(
    tokenizer: Tokenizer, documents: list[str], labels: np.ndarray, begins_at: Iterable[int] = (1, 3)
) -> list[Encoded]:
    """Encodes a silver set (see `silver`); `begins_at` are the columns of `B-` labels."""
    found: list[Encoded] = []
    at = 0
    for document in documents:
        count = len(words(document))
        if count:
            found.append(_encode(tokenizer, document, labels[at : at + count], True, begins_at))
        at += count
    return found


@dataclass
class Sequence:
    """A piece of a document, ready to be batched."""

    ids: np.ndarray
    targets: np.ndarray
    soft: bool


def cut(document: Encoded, rng: random.Random) -> Iterator[Sequence]:
    """Cuts a document into sequences of whole sentences; longer sentences are split where they must be."""
    limit = rng.choice(_LENGTHS)
    ends = [*document.starts[1:], len(document.ids)]
    begin = 0
    previous = 0
    for end in ends:
        if end - begin > limit and previous > begin:
            yield Sequence(document.ids[begin:previous], document.targets[begin:previous], document.soft)
            begin = previous
            limit = rng.choice(_LENGTHS)
        while end - begin > MAX_LENGTH - 2:
            middle = begin + MAX_LENGTH - 2
            yield Sequence(document.ids[begin:middle], document.targets[begin:middle], document.soft)
            begin = middle
        previous = end
    if begin < len(document.ids):
        yield Sequence(document.ids[begin:], document.targets[begin:], document.soft)


def batches(sequences: list[Sequence], pieces: int, rng: random.Random) -> list[list[Sequence]]:
    """Groups sequences of like length into batches of at most `pieces` padded positions, in random order."""
    found: list[list[Sequence]] = [[]]
    for sequence in sorted(sequences, key=lambda s: len(s.ids) * rng.uniform(0.9, 1.1)):
        widest = max([len(sequence.ids), *(len(s.ids) for s in found[-1])]) + 2
        if found[-1] and widest * (len(found[-1]) + 1) > pieces:
            found.append([])
        found[-1].append(sequence)
    rng.shuffle(found)
    return found


@dataclass(frozen=True)
class Noise:
    """What is done to the input in training: share of pieces masked, and of final full stops dropped."""

    mask: float = 0.10
    final_stop: float = 0.1


def collate(batch: list[Sequence], tokenizer: Tokenizer, rng: np.random.Generator, noise: Noise) -> dict[str, Tensor]:
    """Pads a batch, frames it with [CLS] and [SEP], masks some pieces and draws start positions. Targets are shares."""
    cls, sep, mask, stop = (tokenizer.token_to_id(name) for name in ("[CLS]", "[SEP]", "[MASK]", "."))
    width = max(len(s.ids) for s in batch) + 2
    ids = np.zeros((len(batch), width), dtype=np.int64)
    attention = np.zeros((len(batch), width), dtype=np.int64)
    targets = np.zeros((len(batch), width, batch[0].targets.shape[1]), dtype=np.float32)
    positions = np.zeros((len(batch), width), dtype=np.int64)
    for i, sequence in enumerate(batch):
        pieces, rows = sequence.ids, sequence.targets
        if len(pieces) > 1 and pieces[-1] == stop and rng.random() < noise.final_stop:
            pieces, rows = pieces[:-1], rows[:-1]
        count = len(pieces)
        ids[i, 1 : count + 1] = np.where(rng.random(count) < noise.mask, mask, pieces)
        ids[i, 0], ids[i, count + 1] = cls, sep
        attention[i, : count + 2] = 1
        targets[i, 1 : count + 1] = rows / 255.0
        shift = int(rng.integers(0, MAX_LENGTH - count - 1)) if rng.random() < 0.5 else 0
        positions[i, : count + 2] = np.arange(shift, shift + count + 2)
    return {
        "input_ids": torch.from_numpy(ids),
        "attention_mask": torch.from_numpy(attention),
        "position_ids": torch.from_numpy(positions),
        "targets": torch.from_numpy(targets),
        "soft": torch.tensor([s.soft for s in batch]),
    }


def loss_of(logits: Tensor, targets: Tensor, soft: Tensor) -> Tensor:
    """Mean over labelled pieces of the cross-entropy (soft rows) or of -log of the allowed mass (hard rows)."""
    labelled = targets.sum(-1) > 0.5
    log_p = logits.float().log_softmax(-1)[labelled]
    rows = targets[labelled]
    soft = soft[:, None].expand(labelled.shape)[labelled]
    matched = -(rows * log_p).sum(-1)
    allowed = -torch.logsumexp(log_p.masked_fill(rows == 0, -1e4), dim=-1)
    return torch.where(soft, matched, allowed).mean()


#: Offsets that the heads look at to begin with, layer by layer; heads beyond these start at random.
_LOOKS = ((-1, 1, -2, 2), (-1, 1, -3), (-1, 1), (-1, 1))
_SHARPNESS = 3.0


def new_model(pieces: np.ndarray, *, width: int, layers: int, dropout: float) -> BertForTokenClassification:
    """A fresh BERT token classifier that starts out knowing words and neighbours.

    The piece vectors fill the first dimensions of the embedding; sinusoids of the position fill the rest, so that
    the two do not disturb each other. Some heads start with query and key weights that make them look at a fixed
    relative position (`_LOOKS`): on little data a transformer takes long to find its neighbours by itself. It is an
    initialisation and nothing more; the architecture is plain BERT and every weight goes on learning.
    """
    torch.manual_seed(SEED)
    config = BertConfig(
        vocab_size=len(pieces),
        hidden_size=width,
        num_hidden_layers=layers,
        num_attention_heads=width // 64,
        intermediate_size=4 * width,
        max_position_embeddings=MAX_LENGTH,
        hidden_dropout_prob=dropout,
        attention_probs_dropout_prob=0.0,
        initializer_range=0.04,
        id2label=dict(enumerate(LABELS)),
        label2id={name: index for index, name in enumerate(LABELS)},
    )
    model = BertForTokenClassification(config)
    known = pieces.shape[1]
    pairs = (width - known) // 2
    frequency = 2.2 * (0.012 / 2.2) ** (torch.arange(pairs) / (pairs - 1))  # radians a position, geometric
    angle = torch.arange(MAX_LENGTH)[:, None] * frequency
    size = 0.5 * float(np.linalg.norm(pieces, axis=1).mean()) / math.sqrt(pairs)
    with torch.no_grad():
        embeddings = model.bert.embeddings
        embeddings.word_embeddings.weight[:, :known] = torch.from_numpy(pieces)
        embeddings.word_embeddings.weight[:, known:] = 0.0
        embeddings.token_type_embeddings.weight.zero_()
        position = embeddings.position_embeddings.weight
        position.zero_()
        position[:, known : known + pairs] = size * angle.sin()
        position[:, known + pairs : known + 2 * pairs] = size * angle.cos()
        for layer, offsets in zip(model.bert.encoder.layer, _LOOKS):
            for head, offset in enumerate(offsets):
                _look(layer.attention.self, head, offset, known, frequency)
    return model


def _look(attention: nn.Module, head: int, offset: int, known: int, frequency: Tensor) -> None:
    """Makes one head attend to the position `offset` away: query and key are sinusoids, the query's turned."""
    pairs = len(frequency)
    strength = _SHARPNESS * (frequency / frequency.max()).clamp(min=0.02).sqrt()
    rows = slice(64 * head, 64 * (head + 1))
    query, key = attention.query.weight[rows], attention.key.weight[rows]
    query *= 0.25
    key *= 0.25
    turn = frequency * offset
    at = torch.arange(pairs)
    sine, cosine = known + at, known + pairs + at
    key[at, sine] = key[pairs + at, cosine] = strength
    query[at, sine] = query[pairs + at, cosine] = strength * turn.cos()
    query[at, cosine] = strength * turn.sin()
    query[pairs + at, sine] = -strength * turn.sin()


@dataclass(frozen=True)
class Plan:
    """How long and how fast to train; `pieces_per_batch` is for one process, gold is repeated within an epoch.

    With `steps` or `minutes`, training ends then at the latest, and the rate falls in time for it. With `until`, it is
    broken off after that step, the rate still where the plan has it.
    """

    epochs: int
    peak: float
    pieces_per_batch: int = 2048
    gold_repeats: int = 1
    warmup: float = 0.06
    decay: float = 0.01
    average: float = 0.99
    floor: float = 0.02
    minutes: float = math.inf
    steps: int | None = None
    until: int | None = None


def fit(
    model: nn.Module,
    tokenizer: Tokenizer,
    gold: list[Encoded],
    silver: list[Encoded],
    plan: Plan,
    noise: Noise = Noise(),
    after: Callable[[int, nn.Module], None] = lambda step, model: None,
    every: int = 500,
    seed: int = SEED,
) -> nn.Module:
    """Trains `model` and returns its exponentially averaged copy, which `after` sees every `every` steps.

    Under `torchrun` each process trains on its own `silver` and all of `gold`, gradients are averaged, and only the
    first process logs and calls `after`. One thread a process: on a busy machine threads that wait for each other
    inside every operation cost far more than one exchange of gradients a step.
    """
    rank, world = (dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else (0, 1)
    torch.manual_seed(seed + rank)
    rng, array_rng = random.Random(seed + rank), np.random.default_rng(seed + rank)

    def epoch_batches() -> list[list[Sequence]]:
        repeats = gold * plan.gold_repeats
        if world > 1:
            repeats = rng.sample(repeats, len(repeats) // world)
        found = batches([s for document in repeats + silver for s in cut(document, rng)], plan.pieces_per_batch, rng)
        return found[: _least(len(found))]

    optimizer = torch.optim.AdamW(
        [
            {"params": [p for p in model.parameters() if p.dim() > 1], "weight_decay": plan.decay},
            {"params": [p for p in model.parameters() if p.dim() <= 1], "weight_decay": 0.0},
        ],
        lr=plan.peak,
        betas=(0.9, 0.98),
        fused=True,
    )
    pending = epoch_batches()
    total = min(len(pending) * plan.epochs, plan.steps or sys.maxsize)
    begun = time.monotonic()

    def progress(step: int) -> float:
        """Share of the plan that is done, by steps or by the clock; under several processes by steps alone."""
        return max(step / total, (time.monotonic() - begun) / (60 * plan.minutes) if world == 1 else 0.0)

    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _rate(progress(step), plan))
    averaged = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(plan.average))
    trained = DistributedDataParallel(model, broadcast_buffers=False) if world > 1 else model
    step, pieces, running = 0, 0, 0.0
    for epoch in range(plan.epochs):
        for batch in pending:
            model.train()
            inputs = collate(batch, tokenizer, array_rng, noise)
            targets, soft = inputs.pop("targets"), inputs.pop("soft")
            pieces += int(inputs["attention_mask"].sum())
            with torch.autocast("cpu", dtype=torch.bfloat16):
                logits = trained(**inputs).logits
            loss = loss_of(logits, targets, soft)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            step += 1
            running = 0.98 * running + 0.02 * loss.item() if step > 1 else loss.item()
            if step % 4 == 0:  # averaging costs a pass over all weights
                averaged.update_parameters(model)
            if rank == 0 and step % 50 == 0:
                speed = world * pieces / (time.monotonic() - begun)
                _LOG.info("epoch %d step %d/%d loss %.4f, %.0f pieces/s", epoch, step, total, running, speed)
            if rank == 0 and step % every == 0:
                after(step, averaged.module.eval())
            if progress(step) >= 1.0 or step == plan.until:
                _LOG.info("ended after %d of %d steps", step, total)
                return averaged.module.eval()
        if epoch + 1 < plan.epochs:
            pending = epoch_batches()
    return averaged.module.eval()


def _least(count: int) -> int:
    """The smallest `count` over all processes: every process must take part in every exchange."""
    if not dist.is_initialized():
        return count
    least = torch.tensor(count)
    dist.all_reduce(least, op=dist.ReduceOp.MIN)
    return int(least)


def _rate(progress: float, plan: Plan) -> float:
    """Linear warm-up, then half a cosine down to `plan.floor`; a share of the peak."""
    if progress < plan.warmup:
        return progress / plan.warmup
    fall = min(1.0, (progress - plan.warmup) / (1 - plan.warmup))
    return plan.floor + (1 - plan.floor) * 0.5 * (1 + math.cos(math.pi * fall))
