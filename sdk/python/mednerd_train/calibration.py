"""Whether a mention's score means what it says: reliability, expected calibration error, temperature.

Of mentions with a score of about 0.8, 80 % should be right (exact match). Guo et al. 2017. Standard library only, but
for the diagram.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

#: Each found mention's score, and whether it is right.
Judged = list[tuple[float, bool]]


@dataclass(frozen=True)
class Bin:
    """Mentions of like score."""

    count: int
    score: float
    right: float


def bins(judged: Judged, count: int = 10) -> list[Bin]:
    """Bins of equal width that hold anything, lowest first."""
    groups: list[Judged] = [[] for _ in range(count)]
    for score, right in judged:
        groups[min(count - 1, int(score * count))].append((score, right))
    return [Bin(len(g), sum(s for s, _ in g) / len(g), sum(r for _, r in g) / len(g)) for g in groups if g]


def error(judged: Judged, count: int = 10) -> float:
    """Expected calibration error: the mean distance of score and share of right ones, weighted by mentions."""
    return sum(b.count * abs(b.score - b.right) for b in bins(judged, count)) / max(1, len(judged))


def log_loss(judged: Judged) -> float:
    """Mean negative log-likelihood of being right or wrong."""
    clipped = ((min(max(score, 1e-6), 1 - 1e-6), right) for score, right in judged)
    return -sum(math.log(score if right else 1 - score) for score, right in clipped) / max(1, len(judged))


def best_temperature(judged_at: Callable[[float], Judged], low: float = 0.2, high: float = 5.0) -> float:
    """The temperature at which the log loss of the mentions' scores is least: a golden-section search on its
    logarithm, to within 1 %."""
    ratio = (math.sqrt(5) - 1) / 2
    a, b = math.log(low), math.log(high)
    c, d = b - ratio * (b - a), a + ratio * (b - a)
    loss_c, loss_d = (log_loss(judged_at(math.exp(x))) for x in (c, d))
    while b - a > 0.01:
        if loss_c < loss_d:
            b, d, loss_d = d, c, loss_c
            c = b - ratio * (b - a)
            loss_c = log_loss(judged_at(math.exp(c)))
        else:
            a, c, loss_c = c, d, loss_d
            d = a + ratio * (b - a)
            loss_d = log_loss(judged_at(math.exp(d)))
    return round(math.exp((a + b) / 2), 3)


def table(judged: Judged) -> str:
    """The reliability diagram as a Markdown table, and the two figures."""
    rows = ["| mean score | share right | mentions |", "|---|---|---|"]
    rows += [f"| {b.score:.3f} | {b.right:.3f} | {b.count} |" for b in bins(judged)]
    return "\n".join(rows) + f"\n\nExpected calibration error {error(judged):.3f}, log loss {log_loss(judged):.3f}."


def diagram(series: Iterable[tuple[str, Judged]], path: Path) -> None:
    """Draws a reliability diagram. Needs matplotlib."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axis = pyplot.subplots(figsize=(4.5, 4.5))
    axis.plot([0, 1], [0, 1], color="tab:gray", linestyle=":")
    for name, judged in series:
        found = bins(judged)
        axis.plot(
            [b.score for b in found], [b.right for b in found], marker="o", label=f"{name}: ECE {error(judged):.3f}"
        )
    axis.set_xlabel("score")
    axis.set_ylabel("share of mentions that are right")
    axis.legend()
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    pyplot.close(figure)
