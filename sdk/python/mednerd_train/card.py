"""Model cards: what a run left (`record.json`, the `--json` of `evaluate`) and what its author says, as the README.md that
the Hub and mednerd read."""

from __future__ import annotations

import json
from pathlib import Path

#: What `[card]` of a run must say; nobody else can.
REQUIRED = ("license", "summary", "data", "intended_use", "limits")


def write(directory: Path, said: dict[str, str], base: str | None, evaluations: dict[str, Path]) -> Path:
    """Writes `README.md` into a run's folder. `evaluations` names, by kind of document, what `evaluate --json` wrote.

    Raises `ValueError` where `[card]` lacks something, or the folder has no record.
    """
    missing = [key for key in REQUIRED if not said.get(key)]
    if missing:
        raise ValueError(f"[card] must say {', '.join(missing)}")
    path = directory / "record.json"
    if not path.exists():
        raise ValueError(f"{path} is missing: a card is written where a run ended")
    record = json.loads(path.read_text(encoding="utf-8"))
    lines = ["---", f"language: {said.get('language', 'en')}", f"license: {said['license']}"]
    if base:
        lines += ["library_name: peft", f"base_model: {base}"]
    else:
        lines.append("library_name: transformers")
    task = "token-classification" if record.get("labels") else "fill-mask"
    lines += [
        f"pipeline_tag: {task}",
        "---",
        "",
        f"# {said.get('name', directory.name)}",
        "",
        said["summary"].strip(),
        "",
    ]
    lines += ["**It is not a medical device.** It must not decide anything about a patient.", ""]
    if record.get("labels"):
        types = dict.fromkeys(label[2:] for label in record["labels"] if label != "O")
        lines += [f"Types: {', '.join(f'`{name}`' for name in types)}.", ""]
    lines += ["## Use", "", said["intended_use"].strip(), "", "## Limits", "", said["limits"].strip(), ""]
    plots = [name for name in ("history.png", "reliability.png") if (directory / name).exists()]
    lines += _scores(evaluations) + ["## Training data", "", said["data"].strip(), ""] + _made(record, plots)
    (directory / "README.md").write_text("\n".join(lines), encoding="utf-8")
    return directory / "README.md"


def _scores(evaluations: dict[str, Path]) -> list[str]:
    lines = ["## Scores", ""]
    if not evaluations:
        return [*lines, "None were taken.", ""]
    lines += [
        "Entities on documents: exact match of begin, end and type in characters, and relaxed (same type, overlapping).",
        "Intervals: 95 %, bootstrap over documents.",
        "",
        "| documents | type | gold | precision | recall | F1 (interval) | relaxed F1 |",
        "|---|---|---|---|---|---|---|",
    ]
    further = []
    for kind, path in evaluations.items():
        found = json.loads(path.read_text(encoding="utf-8"))
        for name, exact in found["scores"]["exact"].items():
            low, high = exact["f1_interval"]
            relaxed = found["scores"]["relaxed"][name]["f1"]
            lines.append(
                f"| {kind} | {name} | {exact['gold']} | {exact['precision']:.3f} | {exact['recall']:.3f} |"
                f" {exact['f1']:.3f} ({low:.3f} to {high:.3f}) | {relaxed:.3f} |"
            )
        further.append(f"{kind}: expected calibration error of a mention's score {found['calibration_error']:.3f}.")
        if perturbed := found.get("perturbed"):
            clean = found["scores"]["exact"]["all"]["f1"]
            changes = ", ".join(f"{name} {value - clean:+.3f}" for name, value in perturbed.items())
            further.append(f"{kind}, change of F1 on perturbed texts: {changes}.")
    return [*lines, "", *further, ""]


def _made(record: dict, plots: list[str]) -> list[str]:
    settings, cost = record["settings"], record["cost"]
    lines = ["## How it was made", ""]
    if settings.get("head"):
        lines += ["From the head that the base's own training on all tasks left.", ""]
    if lora := settings.get("lora"):
        layers = ", ".join(map(str, lora["layers"])) if lora["layers"] else "all"
        lines += [
            f"LoRA of rank {lora['rank']}, alpha {lora['alpha']:g}, on {', '.join(lora['targets'])} of layers {layers}.",
            "",
        ]
    energy = [
        f"{name} {value / 3600:.1f} Wh"
        for name, value in (("CPU", cost["cpu_joules"]), ("GPU", cost["gpu_joules"]))
        if value
    ]
    lines += [
        f"Seed {record['seed']}; {cost['wall_seconds'] / 60:.0f} minutes of wall-clock time,"
        f" {cost['cpu_seconds'] / 60:.0f} of CPU time;"
        f" energy: {', '.join(energy) if energy else 'the machine does not tell'}.",
        "",
        "Digests (SHA-256) of the files it was trained and scored on:",
        "",
        *(f"- `{name}`: `{value}`" for name, value in record["data"].items()),
        "",
        *(f"![{Path(name).stem}]({name})" for name in plots),
        *([""] if plots else []),
        f"Made with {', '.join(f'{name} {version}' for name, version in record['versions'].items() if version)}.",
        "",
    ]
    return lines
