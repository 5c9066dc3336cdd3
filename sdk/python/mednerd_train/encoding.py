"""From documents to what a token classifier reads: pieces, label ids, training sequences, padded batches."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from .data import Document, flat, sentences

#: The label id of a position that has no part in the loss.
IGNORED = -100


def label_names(types: Iterable[str]) -> list[str]:
    """The IOB2 labels of `types`: `O`, then `B-` and `I-` of each."""
    return ["O", *(f"{position}-{name}" for name in types for position in "BI")]


@dataclass
class Encoded:
    """A document as pieces. `labels` has a label id for each; `open` the labels that its `O` may stand for as well,
    because their types were not looked for; `starts` the pieces at which sentences begin, the first one among them."""

    ids: np.ndarray
    labels: np.ndarray
    offsets: list[tuple[int, int]]
    starts: list[int]
    open: tuple[int, ...] = ()


class Encoder:
    """A fast tokenizer of `transformers` and the frame that it puts around a text."""

    def __init__(self, tokenizer, labels: Sequence[str] = ("O",)) -> None:
        self.tokenizer = tokenizer
        self.labels = list(labels)
        self._id = {name: index for index, name in enumerate(self.labels)}
        frame = tokenizer("")["input_ids"]
        middle = next(
            (i for i, piece in enumerate(frame) if piece in (tokenizer.sep_token_id, tokenizer.eos_token_id)), 0
        )
        self.prefix, self.suffix = frame[:middle], frame[middle:]

    @property
    def frame(self) -> int:
        """How many positions the frame takes."""
        return len(self.prefix) + len(self.suffix)

    def pieces(self, texts: list[str]) -> list[tuple[list[int], list[tuple[int, int]]]]:
        """Ids and offsets (spaces that a piece begins with are not in them) of each text, without a frame."""
        if not texts:
            return []
        # `verbose`: that a text is longer than the context is no news here.
        found = self.tokenizer(texts, add_special_tokens=False, return_offsets_mapping=True, verbose=False)
        return [
            (ids, [_visible(text, *at) for at in offsets])
            for text, ids, offsets in zip(texts, found["input_ids"], found["offset_mapping"])
        ]

    def encode(self, documents: list[Document]) -> list[Encoded]:
        """Encodes gold documents; the first piece that a mention touches is its `B-`, the others are `I-`."""
        made = []
        for document, (ids, offsets) in zip(documents, self.pieces([d.text for d in documents])):
            if not ids:
                continue
            begins = np.array([begin for begin, _ in offsets])
            ends = np.array([end for _, end in offsets])
            labels = np.zeros(len(ids), dtype=np.int64)
            for span in flat(document)[0]:
                touched = np.flatnonzero((begins < span.end) & (ends > span.begin))
                labels[touched[:1]] = self._id[f"B-{span.label}"]
                labels[touched[1:]] = self._id[f"I-{span.label}"]
            starts = {int(np.searchsorted(begins, begin)) for begin, _ in sentences(document.text)}
            looked_for = document.typed if document.typed is not None else {name[2:] for name in self.labels[1:]}
            open_ = tuple(i for i, name in enumerate(self.labels) if i and name[2:] not in looked_for)
            begun = sorted({0, *(s for s in starts if s < len(ids))})
            made.append(Encoded(np.array(ids, dtype=np.int64), labels, offsets, begun, open_))
        return made


def _visible(text: str, begin: int, end: int) -> tuple[int, int]:
    """A piece without the spaces around it; one of spaces alone is empty, at its begin."""
    piece = text[begin:end]
    at = begin + len(piece) - len(piece.lstrip())
    return (at, begin + len(piece.rstrip())) if at < end else (begin, begin)


#: No window is longer, whatever the model could read: attention costs the square.
LONGEST = 512


@dataclass(frozen=True)
class Context:
    """What a model can read: `length` positions, counted from `first` where it has learnt absolute ones."""

    length: int
    first: int | None

    @classmethod
    def of(cls, model: nn.Module) -> Context:
        """Reads it off the model. The RoBERTa families count from behind the padding's id."""
        for name, module in model.named_modules():
            if name.endswith("position_embeddings") and isinstance(module, nn.Embedding):
                first = 0 if module.padding_idx is None else module.padding_idx + 1
                return cls(min(module.num_embeddings - first, LONGEST), first)
        return cls(min(getattr(model.config, "max_position_embeddings", LONGEST), LONGEST), None)


def windows(count: int, length: int, overlap: int) -> Iterator[tuple[int, int]]:
    """Half-open windows of at most `length` over `count` pieces, each sharing `overlap` with the one before."""
    if not 0 <= overlap < length:
        raise ValueError(f"an overlap of {overlap} needs windows that are longer than {length}")
    begin = 0
    while begin < count:
        end = min(begin + length, count)
        yield begin, end
        if end == count:
            return
        begin = end - overlap


def cut(document: Encoded, length: int, overlap: int, rng: random.Random | None = None) -> Iterator[tuple[int, int]]:
    """Training windows of whole sentences where that is possible, of at most `length` pieces.

    With `rng` each window has a limit of its own, down to an eighth of `length`, so that short and long contexts are
    both seen. A window begins at the last sentence that lies `overlap` or more before the end of the one before it; a
    sentence that is longer than a window is cut, with that overlap.
    """
    ends = np.array([*document.starts[1:], len(document.ids)])
    starts = np.array(document.starts)
    begin = 0
    while True:
        limit = rng.choice((length // 8, length // 4, length // 4, length // 2, length)) if rng else length
        limit = max(limit, overlap + 1, 1)
        fitting = ends[(ends > begin) & (ends <= begin + limit)]
        whole = len(fitting) > 0
        end = int(fitting[-1]) if whole else min(begin + limit, len(document.ids))
        yield begin, end
        if end >= len(document.ids):
            return
        earlier = starts[(starts > begin) & (starts <= end - overlap)]
        begin = int(earlier[-1]) if len(earlier) else max(begin + 1, end - overlap)


@dataclass
class Example:
    """One training sequence, without its frame."""

    ids: np.ndarray
    labels: np.ndarray
    open: tuple[int, ...] = ()


def batches(examples: list[Example], pieces: int, rng: random.Random) -> list[list[Example]]:
    """Groups examples of like length into batches of at most `pieces` padded positions, in random order."""
    found: list[list[Example]] = [[]]
    for example in sorted(examples, key=lambda e: len(e.ids) * rng.uniform(0.9, 1.1)):
        widest = max([len(example.ids), *(len(e.ids) for e in found[-1])])
        if found[-1] and widest * (len(found[-1]) + 1) > pieces:
            found.append([])
        found[-1].append(example)
    rng.shuffle(found)
    return [batch for batch in found if batch]


def collate(batch: list[Example], encoder: Encoder, context: Context | None, rng: random.Random) -> dict[str, Tensor]:
    """Frames and pads a batch: `input_ids`, `attention_mask`, `labels`, `open` (batch, labels) and, with a `context` of
    absolute positions, `position_ids` that begin at a random place in half of the sequences, so that every position is
    trained, however short the documents."""
    shifted = context is not None and context.first is not None
    width = max(len(e.ids) for e in batch) + encoder.frame
    head = len(encoder.prefix)
    padding = encoder.tokenizer.pad_token_id or 0
    ids = np.full((len(batch), width), padding, dtype=np.int64)
    attention = np.zeros((len(batch), width), dtype=np.int64)
    labels = np.full((len(batch), width), IGNORED, dtype=np.int64)
    positions = np.zeros((len(batch), width), dtype=np.int64)
    open_ = np.zeros((len(batch), len(encoder.labels)), dtype=bool)
    for i, example in enumerate(batch):
        count = len(example.ids) + encoder.frame
        ids[i, :count] = [*encoder.prefix, *example.ids, *encoder.suffix]
        attention[i, :count] = 1
        labels[i, head : head + len(example.ids)] = example.labels
        open_[i, list(example.open)] = True
        if shifted:
            shift = context.first + (rng.randint(0, max(0, context.length - count)) if rng.random() < 0.5 else 0)
            positions[i, :count] = np.arange(shift, shift + count)
    made = {"input_ids": ids, "attention_mask": attention, "labels": labels, "open": open_}
    if shifted:
        made["position_ids"] = positions
    return {name: torch.from_numpy(value) for name, value in made.items()}
