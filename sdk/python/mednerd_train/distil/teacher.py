"""The teacher: a BiLSTM-CRF over words that sees what the student cannot (case, spelling features, dictionaries).

It is small and quick to train on gold, better than any small transformer trained on gold alone, and is used for one
thing: to label running text with marginal probabilities of each task, from which the student learns. It is not shipped.
Method: Lample et al. 2016 (BiLSTM-CRF), Crichton et al. 2017 (several corpora, each with an output layer of its own),
Tsuboi et al. 2008 (partial annotation), Hinton et al. 2015 (distillation).
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from ..data import Document, Span, sentences
from .corpora import BASE, LABELS, word_labels
from .lexicon import Lexicon

SEED = 20261121
DIGIT = re.compile(r"\d")
_SHAPE = [(re.compile(r"[A-Z]"), "X"), (re.compile(r"[a-z]"), "x"), (re.compile(r"[0-9]"), "d")]
_RUN = re.compile(r"(.)\1+")
FEATURE_ROWS = 1 << 16
#: Corpora of fewer words are seen more often than others.
REPEAT_BELOW = 270_000
#: Which corpus a sentence is from; silver text is read in the manner of the first.
STYLE_BC5CDR, STYLE_NCBI = 0, 1


@dataclass
class Sentence:
    """Words, the label sets allowed at each (one bit a label of its task), and the annotation style."""

    words: list[str]
    allowed: np.ndarray
    style: int
    offsets: list[tuple[int, int]]
    task: str = BASE


def gold_sentences(document: Document, task: str = BASE, names: Sequence[str] = LABELS) -> list[Sentence]:
    """Cuts a gold document into sentences. Where chemicals were not annotated, the base's O allows them too."""
    offsets, labels, _ = word_labels(document, names)
    style = STYLE_NCBI if task == BASE and "Chemical" not in document.typed else STYLE_BC5CDR
    outside = 0b00111 if style == STYLE_NCBI else 0b00001
    bits = [1 << label if label else outside for label in labels]
    found: list[Sentence] = []
    at = 0
    for _, end in sentences(document.text):
        first = at
        while at < len(offsets) and offsets[at][0] < end:
            at += 1
        # A mention that runs over the cut stays whole.
        while at < len(offsets) and _inside(labels[at]):
            at += 1
        if at > first:
            text = [document.text[b:e] for b, e in offsets[first:at]]
            found.append(Sentence(text, np.array(bits[first:at], dtype=np.uint64), style, offsets[first:at], task))
    return found


def _inside(label: int) -> bool:
    """Whether a label id is an `I-`: ids are those of `label_names`, `O`, then `B-` and `I-` of each type."""
    return label > 0 and label % 2 == 0


class Featurizer:
    """Turns words into vector rows and hashed spelling features; remembers every word it has seen."""

    def __init__(self, vocabulary: list[str], lexicons: list[Lexicon]) -> None:
        self._rows = {word: row for row, word in enumerate(vocabulary, 1)}  # 0: unknown
        self._lexicons = lexicons
        self._cache: dict[str, tuple[int, list[int], list[int]]] = {}

    def word(self, word: str) -> tuple[int, list[int], list[int]]:
        """The vector row of one word, and the feature rows of its form and of its letters."""
        known = self._cache.get(word)
        if known is None:
            lower = word.lower()
            shape = word
            for pattern, mark in _SHAPE:
                shape = pattern.sub(mark, shape)
            runs = _RUN.sub(r"\1", shape)
            form = [f"w{lower}", f"s{shape[:8]}", f"r{runs}", f"l{min(len(word), 12)}"]
            framed = f"<{DIGIT.sub('0', lower)[:30]}>"
            letters = [f"p{framed[:n]}" for n in range(2, 7)] + [f"e{framed[-n:]}" for n in range(2, 7)]
            letters += [f"g{framed[i : i + 3]}" for i in range(len(framed) - 2)]
            known = (
                self._rows.get(DIGIT.sub("0", lower), 0),
                [_stable_hash(name) % FEATURE_ROWS for name in form],
                [_stable_hash(name) % FEATURE_ROWS for name in letters],
            )
            self._cache[word] = known
        return known

    def batch(self, batch: list[Sentence]) -> dict[str, Tensor]:
        """Pads a batch of sentences to its longest one."""
        width = max(len(s.words) for s in batch)
        rows = np.zeros((len(batch), width), dtype=np.int64)
        marks = np.zeros((len(batch), width, len(self._lexicons)), dtype=np.int64)
        length = np.array([len(s.words) for s in batch])
        form: list[int] = []
        letters: list[int] = []
        starts: list[tuple[int, int]] = []
        for i, sentence in enumerate(batch):
            lowered = [word.lower() for word in sentence.words]
            for k, lexicon in enumerate(self._lexicons):
                marks[i, : len(lowered), k] = lexicon.mark(lowered)
            for j in range(width):
                starts.append((len(form), len(letters)))
                if j < len(sentence.words):
                    rows[i, j], *features = self.word(sentence.words[j])
                    form += features[0]
                    letters += features[1]
        begins = torch.tensor(starts)
        return {
            "rows": torch.from_numpy(rows),
            "marks": torch.from_numpy(marks),
            "form": torch.tensor(form),
            "form_starts": begins[:, 0].contiguous(),
            "letters": torch.tensor(letters),
            "letters_starts": begins[:, 1].contiguous(),
            "length": torch.from_numpy(length),
            "style": torch.tensor([s.style for s in batch]),
        }


def _stable_hash(text: str) -> int:
    """FNV-1a: unlike `hash`, the same in every process."""
    value = 0x811C9DC5
    for byte in text.encode():
        value = (value ^ byte) * 0x01000193 & 0xFFFFFFFF
    return value


class Crf(nn.Module):
    """The output layer of one task: label scores from states, and a linear chain over them."""

    def __init__(self, width: int, labels: int) -> None:
        super().__init__()
        self.head = nn.Linear(width, labels)
        self.transitions = nn.Parameter(torch.zeros(labels, labels))
        # I-X follows B-X or I-X alone.
        forbidden, start = torch.zeros(labels, labels), torch.zeros(labels)
        for inside in filter(_inside, range(labels)):
            forbidden[:, inside] = start[inside] = -1e4
            forbidden[inside - 1, inside] = forbidden[inside, inside] = 0.0
        self.register_buffer("forbidden", forbidden, persistent=False)
        self.register_buffer("start", start, persistent=False)

    def log_partition(self, emissions: Tensor, length: Tensor) -> Tensor:
        """Log of the summed weight of all paths; forbidden labels carry a score of about -1e4."""
        step = self.transitions + self.forbidden
        first, *rest = emissions.unbind(1)
        alpha = first + self.start
        for t, scores in enumerate(rest, 1):
            after = torch.logsumexp(alpha[:, :, None] + step, dim=1) + scores
            alpha = torch.where((t < length)[:, None], after, alpha)
        return torch.logsumexp(alpha, dim=1)

    def loss(self, states: Tensor, length: Tensor, allowed: Tensor) -> Tensor:
        """Negative log-likelihood of the allowed paths; `allowed` is boolean, (sentences, words, labels)."""
        emissions = self.head(states)
        gold = self.log_partition(emissions.masked_fill(~allowed, -1e4), length)
        return (self.log_partition(emissions, length) - gold).mean()

    def marginals(self, states: Tensor, length: Tensor) -> Tensor:
        """Probability of each label at each word: the gradient of the log partition by the scores."""
        with torch.no_grad():
            emissions = self.head(states)
        with torch.enable_grad():
            emissions.requires_grad_()
            return torch.autograd.grad(self.log_partition(emissions, length).sum(), emissions)[0]


class Teacher(nn.Module):
    """Word vector + form + letters + dictionary marks + style -> BiLSTM -> a CRF for each task."""

    def __init__(
        self, vectors: np.ndarray, tasks: dict[str, list[str]], lexicons: int = 3, hidden: int = 160, spelling: int = 48
    ) -> None:
        super().__init__()
        table = torch.zeros(len(vectors) + 1, vectors.shape[1])
        table[1:] = torch.from_numpy(vectors) / float(vectors.std())
        self.register_buffer("words", table, persistent=False)
        self.adjust = nn.Linear(table.shape[1], 128)
        self.form = nn.EmbeddingBag(FEATURE_ROWS, spelling, mode="mean")
        self.letters = nn.EmbeddingBag(FEATURE_ROWS, spelling, mode="mean")
        for bag in (self.form, self.letters):
            nn.init.normal_(bag.weight, std=0.3)
        self.marks = nn.ModuleList(nn.Embedding(3, 12) for _ in range(lexicons))
        self.style = nn.Embedding(2, 8)
        width = 128 + 2 * spelling + 12 * lexicons + 8
        self.dropout = nn.Dropout(0.45)
        self.lstm = nn.LSTM(width, hidden, batch_first=True, bidirectional=True)
        self.tasks = nn.ModuleDict({name: Crf(2 * hidden, len(labels)) for name, labels in tasks.items()})

    def states(self, batch: dict[str, Tensor]) -> Tensor:
        """What every task reads: (sentences, words, 2 hidden)."""
        rows = batch["rows"]
        form = self.form(batch["form"], batch["form_starts"]).view(*rows.shape, -1)
        letters = self.letters(batch["letters"], batch["letters_starts"]).view(*rows.shape, -1)
        marks = [table(batch["marks"][..., k]) for k, table in enumerate(self.marks)]
        style = self.style(batch["style"])[:, None].expand(-1, rows.shape[1], -1)
        joined = torch.cat([self.adjust(self.words[rows]), form, letters, *marks, style], dim=-1)
        packed = nn.utils.rnn.pack_padded_sequence(
            self.dropout(joined), batch["length"], batch_first=True, enforce_sorted=False
        )
        states, _ = nn.utils.rnn.pad_packed_sequence(self.lstm(packed)[0], batch_first=True)
        return self.dropout(states)


def allowed_mask(batch: list[Sentence], labels: int) -> Tensor:
    """The sentences' allowed label sets as a padded boolean tensor; padding allows everything."""
    width = max(len(s.words) for s in batch)
    bits = np.full((len(batch), width), (1 << labels) - 1, dtype=np.uint64)
    for i, sentence in enumerate(batch):
        bits[i, : len(sentence.words)] = sentence.allowed
    return torch.from_numpy((bits[..., None] >> np.arange(labels, dtype=np.uint64) & np.uint64(1)).astype(bool))


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
    labels = scores.shape[1]
    blocked = np.zeros((labels, labels))
    for inside in filter(_inside, range(labels)):
        blocked[:, inside] = -1e9
        blocked[inside - 1, inside] = blocked[inside, inside] = 0.0
    back = np.zeros(scores.shape, dtype=np.int64)
    best = scores[0] + blocked[0]  # as after an O
    for t in range(1, len(scores)):
        step = best[:, None] + blocked
        back[t] = step.argmax(axis=0)
        best = step.max(axis=0) + scores[t]
    path = [int(best.argmax())]
    for t in range(len(scores) - 1, 0, -1):
        path.append(int(back[t, path[-1]]))
    return path[::-1]


def spans_of(labels: list[int], offsets: list[tuple[int, int]], names: Sequence[str] = LABELS) -> list[Span]:
    """Spans of a BIO label sequence over words."""
    spans: list[Span] = []
    for label, (begin, end) in zip(labels, offsets):
        if label % 2:
            spans.append(Span(begin, end, names[label][2:]))
        elif label and spans:
            spans[-1] = Span(spans[-1].begin, end, spans[-1].label)
    return spans


def _repeated(items: list[Sentence]) -> list[Sentence]:
    """A small corpus is seen up to three times in an epoch."""
    count = sum(len(s.words) for s in items)
    return items * max(1, min(3, round(REPEAT_BELOW / count)))


def train(
    featurizer: Featurizer,
    vectors: np.ndarray,
    documents: dict[str, list[Document]],
    tasks: dict[str, list[str]],
    *,
    epochs: int,
    seed: int = SEED,
    after_epoch: Callable[[int, Teacher], None] = lambda epoch, teacher: None,
) -> Teacher:
    """Trains a teacher on each task's gold documents; `after_epoch` sees the averaged weights."""
    torch.manual_seed(seed)
    rng = random.Random(seed)
    teacher = Teacher(vectors, tasks)
    items = {
        name: _repeated([s for document in found for s in gold_sentences(document, name, tasks[name])])
        for name, found in documents.items()
    }

    def epoch_batches() -> list[list[Sentence]]:
        made = [batch for found in items.values() for batch in by_length(found, 1600, rng)]
        rng.shuffle(made)
        return made

    steps = len(epoch_batches()) * epochs
    optimizer = torch.optim.Adam(teacher.parameters(), lr=2e-3, betas=(0.9, 0.99), fused=True)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda s: min(1.0, s / 100) * max(0.03, 1 - s / steps))
    averaged = AveragedModel(teacher, multi_avg_fn=get_ema_multi_avg_fn(0.998))
    for epoch in range(epochs):
        teacher.train()
        for batch in epoch_batches():
            crf = teacher.tasks[batch[0].task]
            inputs = featurizer.batch(batch)
            loss = crf.loss(teacher.states(inputs), inputs["length"], allowed_mask(batch, crf.head.out_features))
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(teacher.parameters(), 5.0)
            optimizer.step()
            schedule.step()
            averaged.update_parameters(teacher)
        averaged.eval()
        after_epoch(epoch, averaged.module)
    return averaged.module


def tag(teacher: Teacher, featurizer: Featurizer, items: list[Sentence], tasks: Sequence[str]) -> list[np.ndarray]:
    """Marginals of each sentence, (words, labels), of the given tasks side by side, in the order given."""
    teacher.eval()
    order = sorted(range(len(items)), key=lambda i: len(items[i].words))
    found: list[np.ndarray | None] = [None] * len(items)
    at = 0
    for batch in by_length([items[i] for i in order], 6000, None):
        inputs = featurizer.batch(batch)
        with torch.no_grad():
            states = teacher.states(inputs)
        each = [teacher.tasks[name].marginals(states, inputs["length"]) for name in tasks]
        marginals = torch.cat(each, dim=-1).numpy()
        for k, sentence in enumerate(batch):
            found[order[at]] = marginals[k, : len(sentence.words)]
            at += 1
    return found


def save(teacher: Teacher, path: Path) -> None:
    """Writes the learned weights (all but the word vectors)."""
    torch.save(teacher.state_dict(), path)
