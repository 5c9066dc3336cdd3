"""`mednerd-train`: makes, measures and describes models and task adapters for mednerd. See README.md."""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
from pathlib import Path


def main(arguments: list[str] | None = None) -> None:
    """Entry point of the command line. What a person can mend ends with exit code 2 and a message."""
    # Nothing is fetched: bases and tokenizers are folders. Set before anything imports a library that would.
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    from . import evaluate

    parser = argparse.ArgumentParser(prog="mednerd-train", description=__doc__)
    parser.add_argument("-v", "--verbose", action="store_true", help="speed and loss every 50 steps")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, run) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=run.__doc__.splitlines()[0], description=run.__doc__)
        added.set_defaults(run=run)
        return added

    for name, run in (
        ("check", check), ("tokenizer", tokenizer), ("pretrain", pretrain), ("dapt", dapt), ("joint", joint),
        ("adapter", adapter), ("search", search),
    ):  # fmt: skip
        command(name, run).add_argument("settings", type=Path, help="the run's TOML file")
    evaluate.arguments(command("evaluate", evaluate.run))
    exporting = command("export", export)
    exporting.add_argument("--model", type=Path, nargs="+", required=True, help="several are averaged")
    exporting.add_argument("--adapter", type=Path, help="merge this adapter into the model")
    exporting.add_argument("--out", type=Path, required=True)
    exporting.add_argument("--precision", choices=("fp16", "fp32"), default="fp16")
    exporting.add_argument("--max-file-mb", type=int, default=20)
    golding = command("goldens", goldens)
    golding.add_argument("--model", type=Path, required=True, help="a token classifier, or the base of --adapter")
    golding.add_argument("--adapter", type=Path)
    golding.add_argument("texts", type=Path, nargs="+", help="a text each")
    carding = command("card", card)
    carding.add_argument("settings", type=Path, help="the TOML file of the run, with [card]")
    carding.add_argument(
        "--scores", nargs="*", default=[], metavar="KIND=FILE", help="what `evaluate --json` wrote, by kind of document"
    )
    distil = commands.add_parser("distil", help="the recipe of biomed-small, stage by stage")
    if "distil" in (sys.argv[1:] if arguments is None else arguments):
        from .distil.cli import stages

        stages(distil)

    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    logging.getLogger("mednerd_train").setLevel(logging.DEBUG if options.verbose else logging.INFO)
    for name in ("httpx", "httpcore", "matplotlib", "transformers"):
        logging.getLogger(name).setLevel(logging.ERROR)
    try:
        options.run(options)
    except (ValueError, OSError, RuntimeError) as error:
        if options.verbose:
            raise
        sys.exit(_stop(error))


def _stop(error: Exception) -> int:
    print(f"mednerd-train: {error}", file=sys.stderr)
    return 2


def check(options: argparse.Namespace) -> None:
    """Lists every defect of a run's corpora: broken tags, wrong offsets, overlaps, repeated held-out text."""
    from . import adapter as adapters
    from . import settings

    found = adapters.corpora(settings.load(_with_search(), options.settings).data)
    for problem in found.problems:
        print(problem)
    count = sum(len(d.spans) for d in found.train)
    print(f"{len(found.problems)} problems; {len(found.train)} training documents with {count} mentions of"
          f" {', '.join(found.types)}; {len(found.dev)} development documents", file=sys.stderr)  # fmt: skip


def _with_search() -> type:
    """A run of `adapter` may hold `[search]` as well."""
    from .search import Settings

    return Settings


def tokenizer(options: argparse.Namespace) -> None:
    """Learns an uncased WordPiece vocabulary from running text."""
    from . import mlm, settings

    mlm.learn_tokenizer(settings.load(mlm.TokenizerSettings, options.settings))


def pretrain(options: argparse.Namespace) -> None:
    """Masked language modelling, from scratch or from a checkpoint; all weights."""
    from . import mlm, settings

    wanted = settings.load(mlm.Settings, options.settings)
    if wanted.lora:
        raise settings.SettingsError("[lora] is for dapt: pretrain trains all weights")
    print(json.dumps(mlm.train(wanted)))


def dapt(options: argparse.Namespace) -> None:
    """Domain-adaptive pre-training of a checkpoint; with [lora] low-rank changes, merged at the end."""
    from . import mlm, settings

    wanted = settings.load(mlm.Settings, options.settings)
    if wanted.base is None:
        raise settings.SettingsError("base: missing; dapt goes on from a checkpoint")
    print(json.dumps(mlm.train(wanted)))


def joint(options: argparse.Namespace) -> None:
    """Trains a base on several tasks at once, so that their adapters need change little of it."""
    from . import joint as joints
    from . import settings

    print(json.dumps(joints.train(settings.load(joints.Settings, options.settings))))


def adapter(options: argparse.Namespace) -> None:
    """Trains a LoRA adapter and its head over a frozen base."""
    from . import adapter as adapters
    from . import settings

    print(json.dumps(adapters.train(settings.load(_with_search(), options.settings))))


def search(options: argparse.Namespace) -> None:
    """Searches an adapter's hyper-parameters; goes on where it was broken off."""
    from . import search as searches
    from . import settings

    print(json.dumps(searches.run(settings.load(searches.Settings, options.settings))))


def export(options: argparse.Namespace) -> None:
    """Writes a model as mednerd ships it: fp16, in files of bounded size; averaged, or with an adapter merged."""
    import torch

    from . import export as exports

    if options.adapter and len(options.model) > 1:
        raise ValueError("an adapter is merged into one model")
    first = options.model[0]
    model = exports.merged(first, options.adapter) if options.adapter else exports.average(options.model)
    dtype = torch.float16 if options.precision == "fp16" else torch.float32
    exports.export(model, first, options.out, dtype=dtype, max_file_bytes=options.max_file_mb * 1_000_000)
    if len(options.model) > 1:
        exports.average_heads(options.model, options.out)


def goldens(options: argparse.Namespace) -> None:
    """Writes goldens.jsonl: what the reference finds in some texts, which `mednerctl model install` compares."""
    from . import evaluate
    from .data import Document, write_jsonl

    texts = [path.read_text(encoding="utf-8") for path in options.texts]
    loaded, _ = evaluate.tagger(options.model, options.adapter)
    found = loaded.spans(texts)
    documents = [Document("", text, [s.span for s in scored]) for text, scored in zip(texts, found)]
    write_jsonl(documents, (options.adapter or options.model) / "goldens.jsonl")


def card(options: argparse.Namespace) -> None:
    """Writes a run's model card from its record, its scores and [card]."""
    import tomllib

    from . import card as cards

    table = tomllib.loads(options.settings.read_text(encoding="utf-8"))
    folder = options.settings.resolve().parent
    base = Path(table["base"]).name if "base" in table and "data" in table else None
    scores = {kind: Path(path) for kind, path in (pair.split("=", 1) for pair in options.scores)}
    print(cards.write(folder / table["out"], table.get("card", {}), base, scores))
