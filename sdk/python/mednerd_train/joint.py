"""A base for several tasks: its layers are trained on all of them at once (Caruana 1997, multi-task learning), each with a
head, so that adapters over it need to change its uppermost layers alone and may start from that head (`heads/`). What the
base's own head says is kept: on part of the batches its answers of before are matched (Li & Hoiem 2016, learning without forgetting)."""

from __future__ import annotations

import copy
import logging
import random
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from . import adapter, augment
from .data import HeldOut
from .distil.silver_text import SilverText
from .encoding import IGNORED, Context, Encoder, Example, batches, collate, cut, label_names
from .export import export
from .scoring import ALL, Scores
from .tagging import Tagger, decode
from .training import Device, Plan, Record, fit

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Settings:
    """A file for `mednerd-train joint`."""

    out: Path
    #: A token classifier. Where a joint training left it, the tasks' heads go on from its `heads/`; else they start anew.
    base: Path
    #: By name. The one called `base` has the base's own types and trains its own head.
    tasks: dict[str, adapter.Gold]
    seed: int = 20261121
    #: Share of the other tasks' batches on which the base's own answers of before are matched as well.
    keep: float = 0.34
    #: Silver sets of `distil silver` (their files without endings), labelled for all tasks, with `tasks.json` beside.
    silver: tuple[Path, ...] = ()
    #: Silver batches in an epoch for each batch of gold.
    silver_share: float = 1.5
    windows: adapter.Windows = adapter.Windows()
    regularisation: adapter.Regularisation = adapter.Regularisation()
    augment: augment.Augment = augment.Augment()
    training: Plan = Plan()
    device: Device = Device()
    card: dict[str, str] = field(default_factory=dict)


#: Stands for a task's name where a batch is silver.
_SILVER = "silver"


@dataclass
class _Task:
    encoder: Encoder
    found: adapter.Corpora
    dev: int


class _Joint(nn.Module):
    """The base and a head for each further task."""

    def __init__(self, base: nn.Module, widths: dict[str, int]) -> None:
        super().__init__()
        self.base = base
        self.heads = nn.ModuleDict({name: nn.Linear(base.config.hidden_size, n) for name, n in widths.items()})
        for head in self.heads.values():
            nn.init.normal_(head.weight, std=0.02)
            nn.init.zeros_(head.bias)

    def hidden(self, **inputs: Tensor) -> Tensor:
        return self.base.dropout(self.base.base_model(**inputs).last_hidden_state)

    def head(self, task: str) -> nn.Module:
        return self.heads[task] if task in self.heads else self.base.classifier


class _OneTask(nn.Module):
    """The model as one task's classifier, for scoring."""

    def __init__(self, model: _Joint, task: str) -> None:
        super().__init__()
        self._model, self._task = model, task

    def forward(self, **inputs: Tensor):
        from transformers.modeling_outputs import TokenClassifierOutput

        return TokenClassifierOutput(logits=self._model.head(self._task)(self._model.hidden(**inputs)))


def train(settings: Settings) -> dict:
    """Trains the base and writes it to `settings.out`; returns its best development score, the mean F1 of the tasks."""
    from transformers import AutoModelForTokenClassification, AutoTokenizer

    torch.manual_seed(settings.seed)
    base = AutoModelForTokenClassification.from_pretrained(settings.base, dtype=torch.float32)
    if not isinstance(getattr(base, "classifier", None), nn.Linear) or not hasattr(base, "dropout"):
        raise ValueError(f"{settings.base}: not a token classifier with dropout and one linear head over its encoder")
    own = [base.config.id2label[i] for i in range(base.config.num_labels)]
    before = copy.deepcopy(base).eval().requires_grad_(False)
    tokenizer = AutoTokenizer.from_pretrained(settings.base)
    tasks: dict[str, _Task] = {}
    for name, gold in settings.tasks.items():
        found = adapter.corpora(gold)
        for problem in found.problems[:5]:
            _LOG.warning("%s: %s", name, problem)
        labels = own if name == "base" else label_names(found.types)
        if set(found.types) - {label[2:] for label in labels}:
            raise ValueError(f"tasks.base: the base has the labels {', '.join(own)}, the corpora {found.types}")
        tasks[name] = _Task(Encoder(tokenizer, labels), found, gold.dev_documents)
    held_out = HeldOut([d for task in tasks.values() for d in task.found.dev])
    for name, task in tasks.items():
        kept = [d for d in task.found.train if d.text not in held_out]
        _LOG.info("%s: %d documents, %d left out for what another task is scored on", name, len(kept),
                  len(task.found.train) - len(kept))  # fmt: skip
        task.found.train = kept
    model = _Joint(base, {name: len(task.encoder.labels) for name, task in tasks.items() if name != "base"})
    for name, head in model.heads.items():
        if (left := _head_file(settings.base, name)).exists():
            adapter.load_head(head, tasks[name].encoder.labels, left)
            _LOG.info("%s: goes on from the head that a joint training left", name)
    context = Context.of(base)
    frame = next(task.encoder.frame for task in tasks.values())
    length = min(settings.windows.length or context.length, context.length) - frame
    rng = random.Random(settings.seed)
    drawn = np.random.default_rng(settings.seed)
    noise = settings.regularisation

    text = None
    if settings.silver:
        text = SilverText(settings.silver, tokenizer, {name: task.encoder.labels for name, task in tasks.items()}, rng)
        _LOG.info("%d silver documents", len(text))

    def epoch(number: int) -> list[tuple[str, list]]:
        made = []
        for name, task in tasks.items():
            documents = [augment.augment(d, settings.augment, rng) for d in task.found.train]
            examples = [
                Example(d.ids[b:e], d.labels[b:e], d.open)
                for d in task.encoder.encode(documents)
                for b, e in cut(d, length, settings.windows.overlap, rng if settings.windows.vary else None)
            ]
            made += [(name, batch) for batch in batches(examples, settings.training.batch, rng)]
        if text:
            count = round(settings.silver_share * len(made))
            made += [(_SILVER, batch) for batch in text.batches(count, settings.training.batch, rng)]
        rng.shuffle(made)
        return made

    def step(batch: tuple[str, list]) -> Tensor:
        name, examples = batch
        device = next(model.parameters()).device
        if name == _SILVER:
            inputs, targets = text.inputs(examples, noise.mask, drawn, device)
            hidden = model.hidden(**inputs)
            return text.loss(lambda task: model.head(task)(hidden), targets)
        before.to(device)
        inputs = collate(examples, tasks[name].encoder, context if noise.shift_positions else None, rng)
        inputs = {key: value.to(device) for key, value in inputs.items()}
        wanted, open_ = inputs.pop("labels"), inputs.pop("open")
        clean = dict(inputs)
        if noise.mask:
            masked = (torch.rand(wanted.shape, device=device) < noise.mask) & (wanted != IGNORED)
            inputs["input_ids"] = inputs["input_ids"].masked_fill(masked, tokenizer.mask_token_id)
        hidden = model.hidden(**inputs)
        loss = adapter.loss_of(model.head(name)(hidden), wanted, open_, noise.label_smoothing)
        if name != "base" and rng.random() < settings.keep:
            with torch.no_grad():
                said = before(**clean).logits.float().softmax(-1)
            says = base.classifier(hidden).float().log_softmax(-1)
            loss = loss - (said * says).sum(-1)[wanted != IGNORED].mean()
        return loss

    def score() -> dict:
        found = {}
        for name, task in tasks.items():
            dev = task.found.dev[: task.dev or None]
            tagger = Tagger(_OneTask(model, name), task.encoder, context.length - frame)
            scores = Scores()
            with settings.device.autocast(next(model.parameters()).device):
                for document, tagged in zip(dev, tagger.tag([d.text for d in dev])):
                    scores.add(document.spans, [s.span for s in decode(tagged, task.encoder.labels, "simple")])
            found[name] = scores.total()[ALL].f1
        return {"value": sum(found.values()) / len(found), "f1": sum(found.values()) / len(found), **found}

    about = {"settings": asdict(settings), "seed": settings.seed}
    record = Record(about | {"data": {k: v for task in tasks.values() for k, v in task.found.digests.items()}})
    best = fit(
        model, epoch, step, settings.training, settings.device, record, score,
        name=settings.out.name, size=lambda batch: sum(len(example.ids) for example in batch[1]),
    )  # fmt: skip
    record.about["best"] = best
    export(base, settings.base, settings.out)
    for name, head in model.heads.items():
        adapter.save_head(head, tasks[name].encoder.labels, _head_file(settings.out, name))
    record.save(settings.out)
    return best


def _head_file(model: Path, task: str) -> Path:
    """Where a joint training leaves the head of a task, and finds that of one before."""
    return Path(model) / "heads" / f"{task}.safetensors"
