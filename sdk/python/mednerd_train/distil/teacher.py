"""The teacher: a BiLSTM-CRF over words that sees what the student cannot (case, spelling features, dictionaries).

It is small and quick to train on gold, better than any small transformer trained on gold alone, and is used for one
thing: to label running text with marginal probabilities, from which the student learns. It is not shipped.
Method: Lample et al. 2016 (BiLSTM-CRF), Tsuboi et al. 2008 (partial annotation), Hinton et al. 2015 (distillation).
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from ..data import Document, Span, sentences
from .corpora import LABELS, word_labels
from .lexicon import Lexicon

SEED = 20261121
DIGIT = re.compile(r"\d")
_SHAPE = [(re.compile(r"[A-Z]"), "X"), (re.compile(r"[a-z]"), "x"), (re.compile(r"[0-9]"), "d")]
_RUN = re.compile(r"(.)\1+")
FEATURE_ROWS = 1 << 15
#: Which corpus a sentence is from; silver text is read in the manner of the first.
STYLE_BC5CDR, STYLE_NCBI = 0, 1


@dataclass
class Sentence:
    """Words, the label sets allowed at each (one bit a label), and the annotation style."""

    words: list[str]
    allowed: np.ndarray
    style: int
    offsets: list[tuple[int, int]]


def gold_sentences(document: Document) -> list[Sentence]:
    """Cuts a gold document into sentences. Where chemicals were not annotated, O allows them too."""
    offsets, labels, _ = word_labels(document)
    style = STYLE_BC5CDR if "Chemical" in document.typed else STYLE_NCBI
    outside = 0b00001 if style == STYLE_BC5CDR else 0b00111
    bits = [1 << label if label else outside for label in labels]
    found: list[Sentence] = []
    at = 0
    for _, end in sentences(document.text):
        first = at
        while at < len(offsets) and offsets[at][0] < end:
            at += 1
        # A mention that runs over the cut stays whole.
        while at < len(offsets) and labels[at] in (2, 4):
            at += 1
        if at > first:
            text = [document.text[b:e] for b, e in offsets[first:at]]
            found.append(Sentence(text, np.array(bits[first:at], dtype=np.uint8), style, offsets[first:at]))
    return found


class Featurizer:
    """Turns words into vector rows and hashed spelling features; remembers every word it has seen."""

    def __init__(self, vocabulary: list[str], lexicons: list[Lexicon]) -> None:
        self._rows = {word: row for row, word in enumerate(vocabulary, 1)}  # 0: unknown
        self._lexicons = lexicons
        self._cache: dict[str, tuple[int, list[int]]] = {}

    def word(self, word: str) -> tuple[int, list[int]]:
        """The vector row and the spelling feature rows of one word."""
        known = self._cache.get(word)
        if known is None:
            lower = word.lower()
            shape = word
            for pattern, mark in _SHAPE:
                shape = pattern.sub(mark, shape)
            runs = _RUN.sub(r"\1", shape)
            names = [f"w{lower}", f"s{shape[:8]}", f"r{runs}", f"l{min(len(word), 12)}"]
            framed = f"<{DIGIT.sub('0', lower)[:30]}>"
            names += [f"p{framed[:n]}" for n in range(2, 7)] + [f"e{framed[-n:]}" for n in range(2, 7)]
            names += [f"g{framed[i : i + 3]}" for i in range(len(framed) - 2)]
            known = (
                self._rows.get(DIGIT.sub("0", lower), 0),
                [_stable_hash(name) % FEATURE_ROWS for name in names],
            )
            self._cache[word] = known
        return known

    def batch(self, batch: list[Sentence]) -> dict[str, Tensor]:
        """Pads a batch of sentences to its longest one."""
        width = max(len(s.words) for s in batch)
        rows = np.zeros((len(batch), width), dtype=np.int64)
        marks = np.zeros((len(batch), width, len(self._lexicons)), dtype=np.int64)
        length = np.array([len(s.words) for s in batch])
        bag: list[int] = []
        starts: list[int] = []
        for i, sentence in enumerate(batch):
            lowered = [word.lower() for word in sentence.words]
            for k, lexicon in enumerate(self._lexicons):
                marks[i, : len(lowered), k] = lexicon.mark(lowered)
            for j in range(width):
                starts.append(len(bag))
                if j < len(sentence.words):
                    rows[i, j], features = self.word(sentence.words[j])
                    bag += features
        return {
            "rows": torch.from_numpy(rows),
            "marks": torch.from_numpy(marks),
            "bag": torch.tensor(bag),
            "starts": torch.tensor(starts),
            "length": torch.from_numpy(length),
            "style": torch.tensor([s.style for s in batch]),
        }


def _stable_hash(text: str) -> int:
    """FNV-1a: unlike `hash`, the same in every process."""
    value = 0x811C9DC5
    for byte in text.encode():
        value = (value ^ byte) * 0x01000193 & 0xFFFFFFFF
    return value


class Teacher(nn.Module):
    """Word vector + spelling + dictionary marks + style -> BiLSTM -> label scores of a linear-chain CRF."""

    def __init__(self, vectors: np.ndarray, lexicons: int = 3, hidden: int = 128, spelling: int = 40) -> None:
        super().__init__()
        table = torch.zeros(len(vectors) + 1, vectors.shape[1])
        table[1:] = torch.from_numpy(vectors) / float(vectors.std())
        self.words = nn.Embedding.from_pretrained(table, freeze=True)
        self.adjust = nn.Linear(table.shape[1], 128)
        self.spelling = nn.EmbeddingBag(FEATURE_ROWS, spelling, mode="mean")
        nn.init.normal_(self.spelling.weight, std=0.3)
        self.marks = nn.ModuleList(nn.Embedding(3, 12) for _ in range(lexicons))
        self.style = nn.Embedding(2, 8)
        width = 128 + spelling + 12 * lexicons + 8
        self.dropout = nn.Dropout(0.45)
        self.lstm = nn.LSTM(width, hidden, batch_first=True, bidirectional=True)
        self.head = nn.Linear(2 * hidden, len(LABELS))
        self.transitions = nn.Parameter(torch.zeros(len(LABELS), len(LABELS)))
        # I-X follows B-X or I-X alone.
        forbidden = torch.zeros(len(LABELS), len(LABELS))
        for inside in (2, 4):
            forbidden[:, inside] = -1e4
            forbidden[inside - 1, inside] = forbidden[inside, inside] = 0.0
        self.register_buffer("forbidden", forbidden)

    def emissions(self, batch: dict[str, Tensor]) -> Tensor:
        """Label scores, (sentences, words, labels)."""
        rows = batch["rows"]
        spelling = self.spelling(batch["bag"], batch["starts"]).view(*rows.shape, -1)
        marks = [table(batch["marks"][..., k]) for k, table in enumerate(self.marks)]
        style = self.style(batch["style"])[:, None].expand(-1, rows.shape[1], -1)
        joined = torch.cat([self.adjust(self.words(rows)), spelling, *marks, style], dim=-1)
        packed = nn.utils.rnn.pack_padded_sequence(
            self.dropout(joined), batch["length"], batch_first=True, enforce_sorted=False
        )
        states, _ = nn.utils.rnn.pad_packed_sequence(self.lstm(packed)[0], batch_first=True)
        return self.head(self.dropout(states))

    def log_partition(self, emissions: Tensor, length: Tensor) -> Tensor:
        """Log of the summed weight of all paths; forbidden labels carry a score of about -1e4."""
        step = self.transitions + self.forbidden
        start = torch.zeros(len(LABELS))
        start[2] = start[4] = -1e4
        first, *rest = emissions.unbind(1)
        alpha = first + start
        for t, scores in enumerate(rest, 1):
            after = torch.logsumexp(alpha[:, :, None] + step, dim=1) + scores
            alpha = torch.where((t < length)[:, None], after, alpha)
        return torch.logsumexp(alpha, dim=1)

    def loss(self, batch: dict[str, Tensor], allowed: Tensor) -> Tensor:
        """Negative log-likelihood of the allowed paths; `allowed` is boolean, shaped like the emissions."""
        emissions = self.emissions(batch)
        gold = self.log_partition(emissions.masked_fill(~allowed, -1e4), batch["length"])
        return (self.log_partition(emissions, batch["length"]) - gold).mean()

    def marginals(self, batch: dict[str, Tensor]) -> Tensor:
        """Probability of each label at each word: the gradient of the log partition by the scores."""
        with torch.no_grad():
            emissions = self.emissions(batch)
        with torch.enable_grad():
            emissions.requires_grad_()
            total = self.log_partition(emissions, batch["length"]).sum()
            return torch.autograd.grad(total, emissions)[0]


def allowed_mask(batch: list[Sentence]) -> Tensor:
    """The sentences' allowed label sets as a padded boolean tensor; padding allows everything."""
    width = max(len(s.words) for s in batch)
    bits = np.full((len(batch), width), 0b11111, dtype=np.uint8)
    for i, sentence in enumerate(batch):
        bits[i, : len(sentence.words)] = sentence.allowed
    return torch.from_numpy((bits[..., None] >> np.arange(len(LABELS)) & 1).astype(bool))


def by_length(items: list[Sentence], words_per_batch: int, rng: random.Random | None) -> list[list[Sentence]]:
    """Groups sentences of similar length; with `rng` both the groups and their order are random."""
    jitter = (lambda s: len(s.words) + rng.uniform(0, 6)) if rng else (lambda s: len(s.words))
    batches: list[list[Sentence]] = [[]]
    for sentence in sorted(items, key=jitter):
        if (len(batches[-1]) + 1) * len(sentence.words) > words_per_batch and batches[-1]:
            batches.append([])
        batches[-1].append(sentence)
    if rng:
        rng.shuffle(batches)
    return batches


def decode(marginals: np.ndarray) -> list[int]:
    """Best label sequence that keeps to BIO, by Viterbi over log marginals without transition scores."""
    scores = np.log(np.maximum(marginals, 1e-9))
    back = np.zeros(scores.shape, dtype=np.int64)
    best = scores[0].copy()
    best[[2, 4]] = -1e9
    for t in range(1, len(scores)):
        step = np.repeat(best[:, None], len(LABELS), axis=1)
        for inside in (2, 4):
            blocked = [k for k in range(len(LABELS)) if k not in (inside - 1, inside)]
            step[blocked, inside] = -1e9
        back[t] = step.argmax(axis=0)
        best = step.max(axis=0) + scores[t]
    path = [int(best.argmax())]
    for t in range(len(scores) - 1, 0, -1):
        path.append(int(back[t, path[-1]]))
    return path[::-1]


def spans_of(labels: list[int], offsets: list[tuple[int, int]]) -> list[Span]:
    """Spans of a BIO label sequence over words."""
    spans: list[Span] = []
    for label, (begin, end) in zip(labels, offsets):
        if label in (1, 3):
            spans.append(Span(begin, end, LABELS[label][2:]))
        elif label and spans:
            spans[-1] = Span(spans[-1].begin, end, spans[-1].label)
    return spans


def train(
    featurizer: Featurizer,
    vectors: np.ndarray,
    documents: list[Document],
    *,
    epochs: int,
    after_epoch: Callable[[int, Teacher], None] = lambda epoch, teacher: None,
) -> Teacher:
    """Trains a teacher on gold documents; `after_epoch` sees the averaged weights."""
    torch.manual_seed(SEED)
    rng = random.Random(SEED)
    teacher = Teacher(vectors)
    items = [s for document in documents for s in gold_sentences(document)]
    steps = len(by_length(items, 1600, rng)) * epochs
    optimizer = torch.optim.Adam([p for p in teacher.parameters() if p.requires_grad], lr=2e-3, betas=(0.9, 0.99))
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda s: min(1.0, s / 100) * max(0.03, 1 - s / steps))
    averaged = AveragedModel(teacher, multi_avg_fn=get_ema_multi_avg_fn(0.995))
    for epoch in range(epochs):
        teacher.train()
        for batch in by_length(items, 1600, rng):
            loss = teacher.loss(featurizer.batch(batch), allowed_mask(batch))
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(teacher.parameters(), 5.0)
            optimizer.step()
            schedule.step()
            averaged.update_parameters(teacher)
        averaged.eval()
        after_epoch(epoch, averaged.module)
    return averaged.module


def tag(teacher: Teacher, featurizer: Featurizer, items: list[Sentence]) -> list[np.ndarray]:
    """Marginals of each sentence, (words, labels), in the order given."""
    teacher.eval()
    order = sorted(range(len(items)), key=lambda i: len(items[i].words))
    found: list[np.ndarray | None] = [None] * len(items)
    at = 0
    for batch in by_length([items[i] for i in order], 6000, None):
        marginals = teacher.marginals(featurizer.batch(batch)).numpy()
        for k, sentence in enumerate(batch):
            found[order[at]] = marginals[k, : len(sentence.words)]
            at += 1
    return found


def save(teacher: Teacher, path: Path) -> None:
    """Writes the learned weights (all but the word vectors)."""
    torch.save({k: v for k, v in teacher.state_dict().items() if not k.startswith("words.")}, path)
