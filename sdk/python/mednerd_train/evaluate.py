"""`mednerd-train evaluate`: scores a running daemon, or a model directory, on gold documents.

The way through the socket needs the standard library alone, so that it runs on a server:

    PYTHONPATH=sdk/python python3 -m mednerd_train evaluate --socket S --gold dev.pubtator.txt.xz --format pubtator
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

from . import augment, calibration
from .calibration import Judged
from .data import READERS, Document, Source, Span, read
from .scoring import ALL, EXACT, Scores

#: Mentions with scores, for each of a list of texts.
Annotator = Callable[[list[str]], Iterator[list[tuple[Span, float]]]]


def arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options."""
    parser.add_argument("--socket", type=Path, help="score a running daemon")
    parser.add_argument("--models", help="ask the daemon for these, separated by commas")
    parser.add_argument("--model", type=Path, help="score a Hugging Face directory instead, offline")
    parser.add_argument("--adapter", type=Path, help="with this adapter over it")
    parser.add_argument("--gold", type=Path, nargs="+", required=True, help="files or, for BRAT, folders")
    parser.add_argument("--format", choices=sorted(READERS), required=True)
    parser.add_argument("--sentences", type=int, default=1, help="consecutive CoNLL sentences that make a document")
    parser.add_argument("--map", nargs="*", default=[], metavar="TYPE=OURS", help="the gold's types in our words")
    parser.add_argument("--types", help="score these alone (default: those of the gold)")
    parser.add_argument("--aggregation", default="simple", help="simple or first; a daemon knows more")
    parser.add_argument("--documents", type=int, help="the first so many alone")
    parser.add_argument("--perturb", nargs="*", metavar="KIND", help="also on perturbed texts; no name: all kinds")
    parser.add_argument("--calibrate", action="store_true", help="with --model: fit a temperature")
    parser.add_argument("--outside", action="store_true", help="before, fit what the outside tag gains, for the best F1")
    parser.add_argument("--write", action="store_true", help="divide the head by the temperature that was fitted")
    parser.add_argument("--diagram", type=Path, help="draw the reliability diagram here")
    parser.add_argument("--json", type=Path, help="also write everything here")


def run(options: argparse.Namespace) -> None:
    """Scores entities on documents: exact and relaxed, by type, with intervals and calibration."""
    if (options.socket is None) == (options.model is None):
        raise ValueError("name one of --socket and --model")
    types = dict(pair.split("=", 1) for pair in options.map)
    documents = [
        document
        for path in options.gold
        for document in read(Source(path, options.format, types, sentences=options.sentences))
    ][: options.documents]
    problems = [problem for document in documents for problem in document.problems]
    for problem in problems[:20]:
        print(problem, file=sys.stderr)
    if len(problems) > 20:
        print(f"… and {len(problems) - 20} more problems", file=sys.stderr)
    wanted = set(options.types.split(",")) if options.types else {s.label for d in documents for s in d.spans}
    annotator = _socket(options) if options.socket else _offline(options)
    scores, judged = score(annotator, documents, wanted)
    print(f"{len(documents)} documents, {options.aggregation}\n\n{scores.table()}\n\n{calibration.table(judged)}")
    written = {"scores": scores.as_json(), "calibration_error": calibration.error(judged), "documents": len(documents)}
    series = [("as it is", judged)]
    if options.perturb is not None:
        written["perturbed"] = _perturbed(annotator, documents, wanted, scores, options.perturb)
    if options.calibrate:
        temperature, outside, held_out = _fit(options, documents, wanted)
        written |= {"temperature": temperature, "outside": outside}
        series.append((f"temperature {temperature}", held_out))
        if options.write:
            from .export import set_calibration

            total = set_calibration(options.adapter or options.model, temperature, outside)
            print(f"The head is divided by {temperature} ({total} in all): the softmax of every engine is the new one.")
    if options.diagram:
        calibration.diagram(series, options.diagram)
    if options.json:
        options.json.write_text(json.dumps(written, indent=1) + "\n", encoding="utf-8")


def score(annotator: Annotator, documents: list[Document], wanted: set[str]) -> tuple[Scores, Judged]:
    """Counts over `documents` of the types that are wanted, and each found mention's score with whether it is right."""
    scores, judged = Scores(), []
    for document, found in zip(documents, annotator([d.text for d in documents]), strict=True):
        gold = {s for s in document.spans if s.label in wanted}
        kept = [(span, value) for span, value in found if span.label in wanted]
        scores.add(gold, [span for span, _ in kept])
        judged += [(value, span in gold) for span, value in kept]
    return scores, judged


def _socket(options: argparse.Namespace) -> Annotator:
    from .daemon import Client

    asked = {"aggregation": options.aggregation}
    if options.models:
        asked["models"] = options.models.split(",")

    def annotate(texts: list[str]) -> Iterator[list[tuple[Span, float]]]:
        with closing(Client(options.socket)) as client:
            for text in texts:
                found = client.annotate(text, **asked) if text else []
                for entity in found:
                    if text[entity["begin"] : entity["end"]] != entity["text"]:
                        raise RuntimeError(
                            f"offsets {entity['begin']}-{entity['end']} of the daemon do not quote its text"
                        )
                yield [(Span(e["begin"], e["end"], e["label"]), e["score"]) for e in found]

    return annotate


def tagger(model: Path, adapter: Path | None):
    """A `Tagger` over a directory, with an adapter or without, and its labels."""
    import torch
    from transformers import AutoModelForTokenClassification, AutoTokenizer

    from .encoding import Context, Encoder
    from .export import merged
    from .tagging import Tagger

    loaded = (
        merged(model, adapter)
        if adapter
        else AutoModelForTokenClassification.from_pretrained(model, dtype=torch.float32)
    )
    labels = [loaded.config.id2label[i] for i in range(loaded.config.num_labels)]
    encoder = Encoder(AutoTokenizer.from_pretrained(model), labels)
    return Tagger(loaded.eval(), encoder, Context.of(loaded).length - encoder.frame), labels


def _offline(options: argparse.Namespace) -> Annotator:
    loaded, _ = tagger(options.model, options.adapter)

    def annotate(texts: list[str]) -> Iterator[list[tuple[Span, float]]]:
        for found in loaded.spans(texts, options.aggregation):
            yield [(scored.span, scored.score) for scored in found]

    return annotate


def _perturbed(
    annotator: Annotator, documents: list[Document], wanted: set[str], clean: Scores, kinds: list[str]
) -> dict[str, float]:
    """Exact F1 under each perturbation, one at a time; prints a table, and the mean over all."""
    unknown = set(kinds) - set(augment.PERTURBATIONS)
    if unknown:
        raise ValueError(f"no perturbation {', '.join(unknown)}; there are {', '.join(augment.PERTURBATIONS)}")
    before = clean.total(EXACT)[ALL].f1
    found = {}
    print(f"\n| perturbation | F1 | change |\n|---|---|---|\n| none | {before:.3f} | |")
    for kind in kinds or augment.PERTURBATIONS:
        changed = [augment.perturb(document, kind) for document in documents]
        found[kind] = score(annotator, changed, wanted)[0].total(EXACT)[ALL].f1
        print(f"| {kind} | {found[kind]:.3f} | {found[kind] - before:+.3f} |", flush=True)
    mean = sum(found.values()) / len(found)
    print(f"| mean | {mean:.3f} | {mean - before:+.3f} |")
    return found


def _fit(options: argparse.Namespace, documents: list[Document], wanted: set[str]) -> tuple[float, float, Judged]:
    """The temperature, and what to add to the outside tag's logit where that was asked, that suit every other document;
    and how the rest is judged with them."""
    from .tagging import decode

    if options.model is None:
        raise ValueError("--calibrate needs the model itself: name it with --model (and --adapter)")
    loaded, labels = tagger(options.model, options.adapter)
    tagged = loaded.tag([d.text for d in documents])

    def at(part: slice, temperature: float, outside: float) -> tuple[Scores, Judged]:
        found = (
            [(one.span, one.score) for one in decode(each, labels, options.aggregation, temperature, outside)]
            for each in tagged[part]
        )
        return score(lambda texts: found, documents[part], wanted)

    def f1(part: slice, outside: float) -> float:
        return at(part, 1.0, outside)[0].total(EXACT)[ALL].f1

    fitted, rest = slice(0, None, 2), slice(1, None, 2)
    outside = 0.0
    if options.outside:
        outside = max((step / 4 for step in range(-8, 17)), key=lambda value: (f1(fitted, value), -abs(value)))
        print(
            f"\nThe outside tag gains {outside}, fitted on every other document; on the rest exact F1 goes from"
            f" {f1(rest, 0.0):.3f} to {f1(rest, outside):.3f}."
        )
    temperature = calibration.best_temperature(lambda t: at(fitted, t, outside)[1])
    before, after = at(rest, 1.0, outside)[1], at(rest, temperature, outside)[1]
    print(
        f"\nTemperature {temperature}, fitted on every other document; on the rest the expected calibration error goes"
        f" from {calibration.error(before):.3f} to {calibration.error(after):.3f}, the log loss from"
        f" {calibration.log_loss(before):.3f} to {calibration.log_loss(after):.3f}."
    )
    return temperature, outside, after
