"""Entity-level scores: exact match of (begin, end, type) in characters, micro-averaged over types."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from .corpora import TYPES, Span


@dataclass
class Score:
    """Counts of one type, and what follows from them."""

    correct: int = 0
    predicted: int = 0
    gold: int = 0

    @property
    def precision(self) -> float:
        return self.correct / self.predicted if self.predicted else 0.0

    @property
    def recall(self) -> float:
        return self.correct / self.gold if self.gold else 0.0

    @property
    def f1(self) -> float:
        total = self.predicted + self.gold
        return 2 * self.correct / total if total else 0.0


def score(pairs: Iterable[tuple[Iterable[Span], Iterable[Span]]]) -> dict[str, Score]:
    """Scores `(gold, predicted)` pairs, one a document. Keys: each type, and `micro` over all."""
    scores = {name: Score() for name in (*TYPES, "micro")}
    for gold, predicted in pairs:
        gold, predicted = set(gold), set(predicted)
        for name, entry in scores.items():
            mine = {s for s in gold if name in (s.label, "micro")}
            theirs = {s for s in predicted if name in (s.label, "micro")}
            entry.correct += len(mine & theirs)
            entry.predicted += len(theirs)
            entry.gold += len(mine)
    return scores


def table(scores: dict[str, Score]) -> str:
    """The scores as a Markdown table."""
    rows = ["| type | precision | recall | F1 | gold mentions |", "|---|---|---|---|---|"]
    rows += [f"| {name} | {s.precision:.3f} | {s.recall:.3f} | {s.f1:.3f} | {s.gold} |" for name, s in scores.items()]
    return "\n".join(rows)
