"""Runs a token classifier over whole documents, offline, as the daemon reads them; and the reference's aggregations."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from .data import Span
from .encoding import Encoder, windows


@dataclass
class Tagged:
    """A document's pieces: `logits` (pieces, labels) in fp32, `offsets` in code points, `continues`: not the first
    piece of a word."""

    logits: np.ndarray
    offsets: list[tuple[int, int]]
    continues: list[bool]


@dataclass(frozen=True)
class Scored:
    """A mention that was found, and how sure the model is of it."""

    span: Span
    score: float


class Tagger:
    """A model and its tokenizer. Documents longer than the context are read in overlapping windows; in an overlap the
    window in which a piece has most context decides."""

    def __init__(self, model: nn.Module, encoder: Encoder, length: int, overlap: int = 128) -> None:
        self._model, self._encoder = model, encoder
        self._length, self._overlap = length, min(overlap, length // 2)

    @torch.no_grad()
    def tag(self, texts: list[str], batch: int = 8192) -> list[Tagged]:
        """The logits of every piece of every text, in order; `batch` padded positions are computed at once."""
        device = next(self._model.parameters()).device
        encoder = self._encoder
        read = encoder.pieces(texts)
        rows = [np.zeros((len(ids), len(encoder.labels)), dtype=np.float32) for ids, _ in read]
        depth = [np.full(len(ids), -1) for ids, _ in read]
        jobs = [(k, b, e) for k, (ids, _) in enumerate(read) for b, e in windows(len(ids), self._length, self._overlap)]
        jobs.sort(key=lambda job: job[2] - job[1])
        head, frame = len(encoder.prefix), encoder.frame
        while jobs:
            width = jobs[-1][2] - jobs[-1][1] + frame
            taken, jobs = jobs[-max(1, batch // width) :], jobs[: -max(1, batch // width)]
            ids = np.full((len(taken), width), encoder.tokenizer.pad_token_id or 0, dtype=np.int64)
            attention = np.zeros((len(taken), width), dtype=np.int64)
            for i, (k, b, e) in enumerate(taken):
                ids[i, : e - b + frame] = [*encoder.prefix, *read[k][0][b:e], *encoder.suffix]
                attention[i, : e - b + frame] = 1
            inputs = {"input_ids": torch.from_numpy(ids), "attention_mask": torch.from_numpy(attention)}
            logits = self._model(**{n: v.to(device) for n, v in inputs.items()}).logits.float().cpu().numpy()
            for i, (k, b, e) in enumerate(taken):
                context = np.minimum(np.arange(e - b), np.arange(e - b)[::-1])
                better = context > depth[k][b:e]
                rows[k][b:e][better] = logits[i, head : head + e - b][better]
                depth[k][b:e] = np.maximum(depth[k][b:e], context)
        return [
            Tagged(found, offsets, _continues(text, offsets)) for text, found, (_, offsets) in zip(texts, rows, read)
        ]

    def spans(self, texts: list[str], aggregation: str = "simple", temperature: float = 1.0) -> list[list[Scored]]:
        """The mentions of each text."""
        return [decode(tagged, self._encoder.labels, aggregation, temperature) for tagged in self.tag(texts)]


def _continues(text: str, offsets: list[tuple[int, int]]) -> list[bool]:
    """Whether a piece goes on with the word of the one before: they touch and both are letters or digits there."""
    found = [False] * len(offsets)
    for i in range(1, len(offsets)):
        at = offsets[i][0]
        found[i] = offsets[i - 1][1] == at > 0 and at < len(text) and text[at].isalnum() and text[at - 1].isalnum()
    return found


def decode(
    tagged: Tagged, labels: list[str], aggregation: str, temperature: float = 1.0, outside: float = 0.0
) -> list[Scored]:
    """Mentions by Hugging Face's `simple` or `first` aggregation; a mention's score is the mean of its units' best
    probabilities. `outside` is added to the logit of `O`, before all are divided by `temperature`."""
    scaled = tagged.logits / temperature
    if outside and len(scaled):
        scaled[:, labels.index("O")] += outside / temperature
    scaled = np.exp(scaled - scaled.max(-1, keepdims=True)) if len(scaled) else scaled
    probabilities = scaled / scaled.sum(-1, keepdims=True) if len(scaled) else scaled
    units: list[tuple[int, int, int]] = []  # piece that decides, begin, end
    for i, (begin, end) in enumerate(tagged.offsets):
        if aggregation == "first" and tagged.continues[i] and units:
            units[-1] = (*units[-1][:2], end)
        else:
            units.append((i, begin, end))
    if aggregation not in ("simple", "first"):
        raise ValueError(f"no aggregation {aggregation!r}: use simple or first")
    return _grouped(units, probabilities, labels)


def _grouped(units, probabilities: np.ndarray, labels: list[str]) -> list[Scored]:
    """Joins neighbours as Hugging Face's `group_entities` does: the same type and no `B-` goes on, else anew."""
    groups: list[tuple[list[float], int, int, str]] = []
    last = "O"
    for piece, begin, end in units:
        best = int(probabilities[piece].argmax())
        label = labels[best]
        kind = label[2:] if label != "O" else "O"
        if kind != "O":
            score = float(probabilities[piece, best])
            if kind == last and not label.startswith("B-"):
                scores, started, ended, _ = groups[-1]
                # A piece of spaces alone has no place: the mention begins with the first that has one.
                groups[-1] = ([*scores, score], started if ended > started else begin, end, kind)
            else:
                groups.append(([score], begin, end, kind))
        last = kind
    return [
        Scored(Span(begin, end, kind), float(np.mean(scores))) for scores, begin, end, kind in groups if begin < end
    ]
