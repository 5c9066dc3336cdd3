"""Hyper-parameter search: tree-structured Parzen estimator (Bergstra et al. 2011) with median pruning, by optuna. The
study is a SQLite file, so that a search that was broken off goes on where it was; one process at a time."""

from __future__ import annotations

import dataclasses
import json
import logging
import shutil

from . import adapter, settings

_LOG = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Search:
    """`[search]`."""

    #: From a dotted key of the run to its range: `{low, high}` (with `log = true` or `step`), or `{choices}`.
    space: dict[str, dict]
    #: Finished and pruned trials to have in the study when it ends, those of earlier runs counted.
    trials: int = 20
    #: Trials at random before the estimator is used.
    startup: int = 5
    #: Scores of a trial that are never pruned.
    warmup_scores: int = 1


@dataclasses.dataclass(frozen=True)
class Settings(adapter.Settings):
    """A run of `adapter` and what is searched."""

    search: Search = Search({})


def _drawn(trial, name: str, limits: dict):
    """A value for one key; an integer where both limits are."""
    if set(limits) == {"choices"}:
        return trial.suggest_categorical(name, [json.dumps(c) for c in limits["choices"]])
    unknown = set(limits) - {"low", "high", "log", "step"}
    if unknown or not {"low", "high"} <= set(limits):
        raise settings.SettingsError(f"search.space.{name}: use {{low, high}} with log or step, or {{choices}}")
    whole = isinstance(limits["low"], int) and isinstance(limits["high"], int)
    options = {key: limits[key] for key in ("log", "step") if key in limits}
    return (trial.suggest_int if whole else trial.suggest_float)(name, limits["low"], limits["high"], **options)


def _changes(trial, space: dict[str, dict]) -> dict:
    drawn = {name: _drawn(trial, name, limits) for name, limits in space.items()}
    for name, limits in space.items():
        if "choices" in limits:  # optuna keeps plain values alone
            value = json.loads(drawn[name])
            drawn[name] = tuple(value) if isinstance(value, list) else value
    return drawn


def run(wanted: Settings) -> dict:
    """Searches, and leaves the best trial's adapter in `out`, all trials in `out.search`. Returns the best trial."""
    import optuna

    if not wanted.search.space:
        raise settings.SettingsError("search.space is empty: there is nothing to search")
    folder = wanted.out.with_name(wanted.out.name + ".search")
    folder.mkdir(parents=True, exist_ok=True)
    study = optuna.create_study(
        study_name=wanted.name or wanted.out.name,
        storage=f"sqlite:///{folder / 'study.sqlite'}",
        direction="maximize",
        load_if_exists=True,
        sampler=optuna.samplers.TPESampler(seed=wanted.seed, n_startup_trials=wanted.search.startup),
        pruner=optuna.pruners.MedianPruner(
            n_startup_trials=wanted.search.startup, n_warmup_steps=wanted.search.warmup_scores
        ),
    )
    _give_up_broken(study)

    def objective(trial: optuna.Trial) -> float:
        changes = _changes(trial, wanted.search.space)
        changed = settings.replaced(wanted, {**changes, "out": folder / f"trial-{trial.number}"})
        _LOG.info("trial %d: %s", trial.number, changes)
        scores = 0

        def report(value: float, step: int) -> None:
            nonlocal scores
            scores += 1
            trial.report(value, scores)
            if trial.should_prune():
                raise optuna.TrialPruned(f"at step {step}")

        return adapter.train(changed, report)["value"]

    over = (optuna.trial.TrialState.COMPLETE, optuna.trial.TrialState.PRUNED)
    left = wanted.search.trials - len(study.get_trials(deepcopy=False, states=over))
    if left > 0:
        study.optimize(objective, n_trials=left)
    best = study.best_trial
    shutil.copytree(folder / f"trial-{best.number}", wanted.out, dirs_exist_ok=True)
    found = {"trial": best.number, "value": best.value, "parameters": best.params, "trials": len(study.trials)}
    (folder / "best.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    _LOG.info("best of %d trials: %s", len(study.trials), found)
    return found


def _give_up_broken(study) -> None:
    """Trials that a killed process left running will never end: they count as failed and are not learnt from."""
    import optuna

    for trial in study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.RUNNING,)):
        study.tell(trial.number, state=optuna.trial.TrialState.FAIL)
