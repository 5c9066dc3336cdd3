"""Runs a Hugging Face token classifier over whole documents, offline, as the daemon is meant to read them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import nn

from .corpora import Span

OVERLAP = 128
Aggregation = Callable[[list[str], list[tuple[int, int]], list[str]], list[Span]]


def _grouped(labels: list[str], offsets: list[tuple[int, int]]) -> list[Span]:
    """Joins neighbours as Hugging Face's `group_entities` does: the same type and no `B-` goes on, else anew."""
    spans: list[Span] = []
    last = "O"
    for label, (begin, end) in zip(labels, offsets):
        kind = label[2:] if label != "O" else "O"
        if kind != "O":
            if kind == last and not label.startswith("B-"):
                spans[-1] = Span(spans[-1].begin, end, kind)
            else:
                spans.append(Span(begin, end, kind))
        last = kind
    return spans


def simple(labels: list[str], offsets: list[tuple[int, int]], pieces: list[str]) -> list[Span]:
    """Hugging Face `aggregation_strategy="simple"`: every piece speaks for itself."""
    return _grouped(labels, offsets)


def first(labels: list[str], offsets: list[tuple[int, int]], pieces: list[str]) -> list[Span]:
    """Hugging Face `aggregation_strategy="first"`: a word has the label of its first piece."""
    word_labels: list[str] = []
    word_offsets: list[tuple[int, int]] = []
    for label, (begin, end), piece in zip(labels, offsets, pieces):
        if piece.startswith("##") and word_offsets:
            word_offsets[-1] = (word_offsets[-1][0], end)
        else:
            word_labels.append(label)
            word_offsets.append((begin, end))
    return _grouped(word_labels, word_offsets)


AGGREGATIONS: dict[str, Aggregation] = {"simple": simple, "first": first}


class Tagger:
    """A model with its tokeniser; documents longer than the context are read in overlapping windows."""

    def __init__(self, model: nn.Module, tokenizer: Tokenizer) -> None:
        self._model = model.eval()
        self._tokenizer = tokenizer
        self._frame = tokenizer.token_to_id("[CLS]"), tokenizer.token_to_id("[SEP]")
        self._window = model.config.max_position_embeddings - 2
        self._labels = model.config.id2label

    @classmethod
    def load(cls, directory: Path) -> Tagger:
        """Loads a Hugging Face directory, weights widened to fp32."""
        from transformers import AutoModelForTokenClassification

        model = AutoModelForTokenClassification.from_pretrained(directory, dtype=torch.float32)
        return cls(model, Tokenizer.from_file(str(directory / "tokenizer.json")))

    @torch.no_grad()
    def labels(self, text: str) -> tuple[list[str], list[tuple[int, int]], list[str]]:
        """Label, offsets and spelling of each piece of `text`. In an overlap the nearer window centre decides."""
        encoding = self._tokenizer.encode(text, add_special_tokens=False)
        count = len(encoding.ids)
        best = np.zeros(count, dtype=np.int64)
        depth = np.full(count, -1)
        begin = 0
        while begin < count:
            end = min(begin + self._window, count)
            ids = torch.tensor([[self._frame[0], *encoding.ids[begin:end], self._frame[1]]])
            logits = self._model(input_ids=ids, attention_mask=torch.ones_like(ids)).logits[0, 1:-1]
            at = np.arange(begin, end)
            mine = np.minimum(at - begin, end - 1 - at)
            better = mine > depth[begin:end]
            best[begin:end][better] = logits.argmax(-1).numpy()[better]
            depth[begin:end] = np.maximum(depth[begin:end], mine)
            if end == count:
                break
            begin = end - OVERLAP
        return [self._labels[int(k)] for k in best], encoding.offsets, encoding.tokens

    def spans(self, text: str, aggregation: str = "simple") -> list[Span]:
        """The entities of `text`."""
        return AGGREGATIONS[aggregation](*self.labels(text))
