"""Entity-level scores: exact and relaxed precision, recall and F1 by type, bootstrap intervals. Standard library only.

Exact: begin, end and type are the gold mention's. Relaxed: of the same type, and the two overlap; each mention is
matched once. Intervals: percentile bootstrap over documents (Efron and Tibshirani 1993), since mentions of one are not
independent.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

from .data import Span

#: The row over all types.
ALL = "all"
EXACT, RELAXED = "exact", "relaxed"


@dataclass
class Count:
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

    def __add__(self, other: Count) -> Count:
        return Count(self.correct + other.correct, self.predicted + other.predicted, self.gold + other.gold)


def relaxed_matches(gold: Iterable[Span], predicted: Iterable[Span]) -> int:
    """How many mentions of one type overlap one of the other side, each of them matched at most once."""
    waiting = sorted(predicted)
    matched = 0
    for mention in sorted(gold):
        for candidate in waiting:
            if candidate.begin < mention.end and mention.begin < candidate.end:
                waiting.remove(candidate)
                matched += 1
                break
    return matched


@dataclass
class Scores:
    """Scores of a corpus; `add` its documents one by one."""

    #: For each document, from match and type to its counts.
    documents: list[dict[tuple[str, str], Count]] = field(default_factory=list)

    def add(self, gold: Iterable[Span], predicted: Iterable[Span]) -> None:
        """Counts one document."""
        gold, predicted = set(gold), set(predicted)
        counts: dict[tuple[str, str], Count] = {}
        for kind in sorted({s.label for s in gold | predicted}):
            mine, theirs = {s for s in gold if s.label == kind}, {s for s in predicted if s.label == kind}
            for match, correct in ((EXACT, len(mine & theirs)), (RELAXED, relaxed_matches(mine, theirs))):
                counts[match, kind] = Count(correct, len(theirs), len(mine))
        for match in (EXACT, RELAXED):
            counts[match, ALL] = sum((c for (m, _), c in counts.items() if m == match), Count())
        self.documents.append(counts)

    def total(self, match: str = EXACT) -> dict[str, Count]:
        """Counts by type, and under `ALL` over all types."""
        found: dict[str, Count] = defaultdict(Count)
        for document in self.documents:
            for (kind_of_match, kind), count in document.items():
                if kind_of_match == match:
                    found[kind] += count
        overall = found.pop(ALL, Count())
        return {**dict(sorted(found.items())), ALL: overall}

    def interval(self, match: str = EXACT, kind: str = ALL, repeats: int = 1000, seed: int = 0) -> tuple[float, float]:
        """95 % interval of F1."""
        counts = [document.get((match, kind), Count()) for document in self.documents]
        if not counts:
            return 0.0, 0.0
        draw = random.Random(seed)
        scores = []
        for _ in range(repeats):
            sample = draw.choices(counts, k=len(counts))
            correct = sum(c.correct for c in sample)
            both = sum(c.predicted + c.gold for c in sample)
            scores.append(2 * correct / both if both else 0.0)
        scores.sort()
        return scores[int(0.025 * repeats)], scores[min(repeats - 1, int(0.975 * repeats))]

    def table(self, repeats: int = 1000) -> str:
        """Everything as a Markdown table."""
        rows = [
            "| type | gold | precision | recall | F1 (95 % interval) | relaxed precision | recall | F1 |",
            "|---|---|---|---|---|---|---|---|",
        ]
        relaxed = self.total(RELAXED)
        for kind, exact in self.total(EXACT).items():
            low, high = self.interval(EXACT, kind, repeats)
            loose = relaxed[kind]
            cells = [kind, str(exact.gold), f"{exact.precision:.3f}", f"{exact.recall:.3f}"]
            cells += [f"{exact.f1:.3f} ({low:.3f} to {high:.3f})"]
            cells += [f"{value:.3f}" for value in (loose.precision, loose.recall, loose.f1)]
            rows.append(f"| {' | '.join(cells)} |")
        return "\n".join(rows)

    def as_json(self, repeats: int = 1000) -> dict:
        """Everything by match and type."""
        return {
            match: {
                kind: {
                    "precision": count.precision,
                    "recall": count.recall,
                    "f1": count.f1,
                    "f1_interval": self.interval(match, kind, repeats),
                    "gold": count.gold,
                    "predicted": count.predicted,
                    "correct": count.correct,
                }
                for kind, count in self.total(match).items()
            }
            for match in (EXACT, RELAXED)
        }
