"""One training loop for all that the kit trains: schedule, mixed precision, averaging, early stopping, records."""

from __future__ import annotations

import json
import logging
import math
import platform
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Plan:
    """`[training]` of a run. It ends with the first of `epochs`, `steps`, `minutes` and early stopping."""

    epochs: int = 10
    steps: int = 0
    minutes: float = 0.0
    #: Padded positions in a batch.
    batch: int = 2048
    #: Batches whose gradients are added up to one step.
    accumulate: int = 1
    rate: float = 1e-3
    warmup: float = 0.06
    #: Share of the peak rate at which the cosine ends.
    floor: float = 0.02
    weight_decay: float = 0.01
    clip: float = 1.0
    #: Decay of the exponential average of the weights, which is what is scored and kept; 0: none.
    average: float = 0.99
    #: Scores without a better one after which training stops; 0: never.
    patience: int = 4
    #: Scores are taken after so many steps; 0: after each epoch.
    every: int = 0
    #: Which weights a run leaves: `best` of those scored, or `last`, where scores are noisier than the weights' average.
    keep: Literal["best", "last"] = "best"


@dataclass(frozen=True)
class Device:
    """`[device]` of a run."""

    kind: str = "auto"
    #: `fp32`, `bf16`, `fp16` (with loss scaling; on a GPU only).
    precision: str = "bf16"
    #: CPU threads; 0: as torch decides.
    threads: int = 1

    def open(self) -> torch.device:
        """The device to use.

        Raises `ValueError` where there is none such.
        """
        if self.kind not in ("auto", "cpu", "cuda"):
            raise ValueError(f"device.kind is {self.kind!r}: use auto, cpu or cuda")
        if self.precision not in ("fp32", "bf16", "fp16"):
            raise ValueError(f"device.precision is {self.precision!r}: use fp32, bf16 or fp16")
        if self.kind == "cuda" and not torch.cuda.is_available():
            raise ValueError('device.kind is "cuda", but torch sees no GPU')
        if self.threads:
            torch.set_num_threads(self.threads)
        name = "cuda" if self.kind != "cpu" and torch.cuda.is_available() else "cpu"
        if self.precision == "fp16" and name == "cpu":
            raise ValueError("device.precision fp16 needs a GPU: use bf16 or fp32")
        return torch.device(name)

    def autocast(self, device: torch.device) -> torch.autocast:
        """The context in which the model computes."""
        kinds = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
        return torch.autocast(device.type, dtype=kinds[self.precision], enabled=self.precision != "fp32")


class Record:
    """What a run leaves beside its model: `record.json` (settings, seeds, digests, versions, cost, history) and
    `history.png`."""

    def __init__(self, about: dict) -> None:
        self.about = about
        self.history: list[dict] = []
        self._begun = time.time()
        self._cpu = _cpu_seconds()
        self._joules = _rapl()
        self._watts: list[float] = []

    def add(self, **row) -> None:
        """A row of the history; `step` is always in it, `loss`, `f1` and others where there are any."""
        self.history.append(row)
        if torch.cuda.is_available():
            self._watts += _gpu_watts()

    def cost(self) -> dict:
        """Wall-clock and CPU seconds; joules where the machine tells (RAPL, nvidia-smi), else `None`."""
        wall = time.time() - self._begun
        now = _rapl()
        cpu = now - self._joules if now is not None and self._joules is not None and now >= self._joules else None
        gpu = sum(self._watts) / len(self._watts) * wall if self._watts else None
        return {
            "wall_seconds": round(wall, 1),
            "cpu_seconds": round(_cpu_seconds() - self._cpu, 1),
            "cpu_joules": cpu,
            "gpu_joules": gpu,
        }

    def save(self, directory: Path) -> None:
        """Writes both files."""
        names = ("torch", "transformers", "tokenizers", "peft", "optuna", "numpy")
        versions = {name: _version(name) for name in names}
        written = {
            **self.about,
            "versions": {"python": platform.python_version(), **versions},
            "cost": self.cost(),
            "history": self.history,
        }
        directory.mkdir(parents=True, exist_ok=True)
        (directory / "record.json").write_text(json.dumps(written, indent=1, default=str) + "\n", encoding="utf-8")
        plot(self.history, directory / "history.png")


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _rapl() -> float | None:
    """Joules that the processor packages count, for the whole machine; `None` where they may not be read."""
    total, found = 0.0, False
    for path in Path("/sys/class/powercap").glob("intel-rapl:?/energy_uj"):
        try:
            total, found = total + int(path.read_text()) / 1e6, True
        except OSError:
            return None
    return total if found else None


def _gpu_watts() -> list[float]:
    try:
        command = ["nvidia-smi", "--query-gpu=power.draw", "--format=csv,noheader,nounits"]
        return [float(subprocess.run(command, capture_output=True, text=True, timeout=5).stdout.split("\n")[0])]
    except (OSError, ValueError, subprocess.TimeoutExpired):
        return []


def plot(history: list[dict], path: Path) -> None:
    """Draws the loss and, where there are scores, F1 over steps. Does nothing without matplotlib."""
    try:
        import matplotlib

        matplotlib.use("Agg")
        from matplotlib import pyplot
    except ImportError:
        _LOG.warning("matplotlib is not installed: no plot")
        return
    figure, left = pyplot.subplots(figsize=(7, 4))
    right = left.twinx()
    axes = {"loss": (left, "tab:gray"), "dev_loss": (left, "tab:blue"), "f1": (right, "tab:green")}
    for name, (axis, colour) in axes.items():
        points = [(row["step"], row[name]) for row in history if row.get(name) is not None]
        if points:
            axis.plot(*zip(*points), color=colour, label=name)
    left.set_xlabel("step")
    left.set_ylabel("loss")
    right.set_ylabel("F1 (dev)")
    right.set_ylim(0, 1)
    handles = [line for axis in (left, right) for line in axis.get_lines()]
    left.legend(handles, [line.get_label() for line in handles], loc="upper center")
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    pyplot.close(figure)


@dataclass
class _Average:
    """Exponential average of the parameters that are trained."""

    decay: float
    parameters: list[nn.Parameter]
    values: list[Tensor] = field(default_factory=list)
    taken: int = 0

    @torch.no_grad()
    def update(self) -> None:
        if not self.decay:
            return
        if not self.values:
            self.values = [p.detach().clone() for p in self.parameters]
        self.taken += 1
        # The first steps are worth little: the average forgets them sooner.
        decay = min(self.decay, self.taken / (self.taken + 9))
        torch._foreach_lerp_(self.values, [p.detach() for p in self.parameters], 1 - decay)

    @torch.no_grad()
    def swap(self) -> None:
        if self.values:
            for parameter, value in zip(self.parameters, self.values):
                held = parameter.detach().clone()
                parameter.copy_(value)
                value.copy_(held)


def fit(
    model: nn.Module,
    epoch: Callable[[int], Iterable],
    loss_of: Callable[[object], Tensor],
    plan: Plan,
    device: Device,
    record: Record,
    score: Callable[[], dict] | None = None,
    report: Callable[[float, int], None] = lambda value, step: None,
    name: str = "train",
    size: Callable[[object], int] = len,
) -> dict:
    """Trains what `requires_grad` in `model`, in place; afterwards it holds the weights that `plan.keep` names.

    `epoch(n)` gives the n-th epoch's batches (a sized collection), `loss_of` a batch's loss on the device. `score`
    gives a dictionary whose `value` is better the larger it is; `report` is told it and may raise to end the run (so
    does a search prune). `size` counts a batch's pieces, for the speed. Returns the score of what is left, `{}` where
    nothing was scored.
    """
    at = device.open()
    model.to(at)
    parameters = [p for p in model.parameters() if p.requires_grad]
    decayed, plain = [p for p in parameters if p.dim() > 1], [p for p in parameters if p.dim() <= 1]
    optimizer = torch.optim.AdamW(
        [{"params": decayed, "weight_decay": plan.weight_decay}, {"params": plain, "weight_decay": 0.0}],
        lr=plan.rate,
        betas=(0.9, 0.98),
        fused=True,
    )
    scaler = torch.amp.GradScaler(at.type, enabled=device.precision == "fp16")
    average = _Average(plan.average, parameters)
    batches = epoch(0)
    steps_of_epoch = max(1, len(batches) // plan.accumulate)
    total = min(steps_of_epoch * plan.epochs, plan.steps or sys.maxsize)
    every = plan.every or steps_of_epoch
    begun = time.monotonic()

    def done(step: int) -> float:
        clock = (time.monotonic() - begun) / (60 * plan.minutes) if plan.minutes else 0.0
        return max(step / total, clock)

    left: dict = {}
    kept: list[Tensor] = []
    top = -math.inf
    waited = step = pieces = 0
    running = math.nan

    def measure() -> bool:
        """Scores; whether to stop."""
        nonlocal left, kept, top, waited
        average.swap()
        model.eval()
        found = score()
        value = found["value"]
        record.add(step=step, loss=running, **{k: v for k, v in found.items() if k != "value"})
        better = value > top
        top, waited = (value, 0) if better else (top, waited + 1)
        if better or plan.keep == "last":
            left = {**found, "step": step}
            kept = [p.detach().clone() for p in parameters]
        if not left:
            raise RuntimeError(
                f"{name}: the score is {value} at step {step}, so there is nothing to keep: look whether the dev set has"
                " anything to score, lower training.rate or use fp32"
            )
        average.swap()
        model.train()
        _LOG.info("%s: step %d/%d, loss %.4f, %s%s", name, step, total, running, _shown(found), " *" if better else "")
        report(value, step)
        return bool(plan.patience) and waited >= plan.patience

    model.train()
    bar = _bar(total, name)
    stop = False
    for number in range(max(1, plan.epochs)):
        batches = batches if number == 0 else epoch(number)
        for index, batch in enumerate(batches, 1):
            with device.autocast(at):
                loss = loss_of(batch)
            scaler.scale(loss / plan.accumulate).backward()
            if not math.isfinite(loss.item()):
                raise RuntimeError(f"{name}: the loss is {loss.item()} at step {step}: lower training.rate or use fp32")
            running = loss.item() if math.isnan(running) else 0.98 * running + 0.02 * loss.item()
            pieces += size(batch)
            if index % plan.accumulate:
                continue
            for group in optimizer.param_groups:
                group["lr"] = plan.rate * _rate((step + 1) / total, done(step + 1), plan)
            scaler.unscale_(optimizer)
            nn.utils.clip_grad_norm_(parameters, plan.clip)
            scaler.step(optimizer)
            scaler.update()
            optimizer.zero_grad(set_to_none=True)
            average.update()
            step += 1
            bar.update(1)
            if step % 50 == 0:
                speed = pieces / (time.monotonic() - begun)
                record.add(step=step, loss=running)
                bar.set_postfix_str(f"loss {running:.4f}")
                _LOG.debug("%s: step %d/%d loss %.4f, %.0f pieces/s", name, step, total, running, speed)
            stop = done(step) >= 1.0
            if score and (step % every == 0 or stop) and measure():
                _LOG.info("%s: stopped early at step %d, leaves that of step %d", name, step, left["step"])
                stop = True
            if stop:
                break
        if stop:
            break
    bar.close()
    if score and (not left or record.history[-1].get("step") != step):
        measure()
    with torch.no_grad():
        if kept:
            for parameter, value in zip(parameters, kept):
                parameter.copy_(value)
        else:
            average.swap()
    model.eval()
    return left


def _rate(steps: float, progress: float, plan: Plan) -> float:
    """Linear warm-up by the share of `steps` alone (a run that the clock ends may get few of them at first), and half a
    cosine down to `plan.floor` by `progress`; a share of the peak."""
    warm = min(1.0, steps / plan.warmup) if plan.warmup else 1.0
    fall = min(1.0, max(0.0, (progress - plan.warmup) / (1 - plan.warmup)))
    return warm * (plan.floor + (1 - plan.floor) * 0.5 * (1 + math.cos(math.pi * fall)))


def _bar(total: int, name: str):
    from tqdm import tqdm

    return tqdm(total=total, desc=name, unit="step", disable=not sys.stderr.isatty(), leave=False)


def _shown(score: dict) -> str:
    return ", ".join(f"{k} {v:.4f}" for k, v in score.items() if k != "value" and isinstance(v, float))
