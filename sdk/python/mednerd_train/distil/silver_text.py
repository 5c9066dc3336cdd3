"""Silver text as training batches of token classifiers: `joint` learns all tasks from it, an adapter its own."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from . import silver, student


class SilverText:
    """Running text with the teachers' label probabilities of all tasks (Hinton et al. 2015, distillation)."""

    def __init__(self, stems: tuple[Path, ...], tokenizer, tasks: dict[str, list[str]], rng: random.Random) -> None:
        """Reads silver sets (their files without endings) for `tasks`, the labels of each by name.

        Raises `ValueError` where the sets do not have a task, or not with these labels.
        """
        path = stems[0].parent / silver.TASKS_FILE
        labels = json.loads(path.read_text(encoding="utf-8"))
        for name, wanted in tasks.items():
            if labels.get(name) != wanted:
                raise ValueError(f"{path}: has no task {name} with the labels {', '.join(wanted)}")
        columns = silver.columns(labels)
        begins = [at for found in columns.values() for at in range(found.start + 1, found.stop, 2)]
        self.columns = {name: columns[name] for name in tasks}
        self.tokenizer = tokenizer.backend_tokenizer
        self._documents: list[student.Encoded] = []
        for stem in stems:
            self._documents += student.encode_silver(self.tokenizer, *silver.load(stem), begins)
        rng.shuffle(self._documents)
        self._at = 0

    def __len__(self) -> int:
        return len(self._documents)

    def batches(self, count: int, pieces: int, rng: random.Random) -> list[list[student.Sequence]]:
        """The next `count` batches; after the last document the first one comes again."""
        made: list[list[student.Sequence]] = []
        while len(made) < count:
            sequences: list[student.Sequence] = []
            while sum(len(s.ids) for s in sequences) < min(64, count) * pieces:
                sequences += student.cut(self._documents[self._at], rng)
                self._at = (self._at + 1) % len(self._documents)
            made += student.batches(sequences, pieces, rng)
        return made[:count]

    def inputs(
        self, batch: list[student.Sequence], mask: float, rng: np.random.Generator, device: torch.device
    ) -> tuple[dict[str, Tensor], Tensor]:
        """What a model reads of a batch, a share of the pieces masked, and what the teachers say of it."""
        made = student.collate(batch, self.tokenizer, rng, student.Noise(mask=mask))
        made.pop("soft")
        made = {name: value.to(device) for name, value in made.items()}
        return made, made.pop("targets")

    def loss(self, logits: Callable[[str], Tensor], targets: Tensor) -> Tensor:
        """Cross-entropy with the teachers, summed over tasks, averaged over pieces; `logits` gives a task's."""
        known = targets.sum(-1) > 0.5
        rows = targets[known]
        return -sum(
            (rows[:, at] * logits(name).float().log_softmax(-1)[known]).sum(-1).mean()
            for name, at in self.columns.items()
        )
