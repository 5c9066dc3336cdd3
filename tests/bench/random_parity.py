"""mednerd beside `transformers` and `peft` with random tiny checkpoints: architectures, tokenizers, files, adapters, texts.

    cargo build --release --locked -p mednerd --example parity
    python tests/bench/random_parity.py [--seeds 0:300] [--texts 40] [--only FAMILY] [--keep FOLDER] [--bin PATH]
    python tests/bench/random_parity.py --daemon PATH [--seeds 0:100]

Each seed is one directory as the Hub has them, read by both. Compared are ids and offsets, logits (within 1e-3, or four times what
rounding does to the reference) and the entities by each strategy; with --daemon the entities that a daemon gives through its socket,
of long texts too, by models whose tokens do not see each other, so that it does not matter where windows end. What differs is printed
with the smallest part of the text that shows it, and with what the directory is made of; so is what mednerd refuses and the reference
reads. tokenizer.json may be read as the reference does or as SPECIFICATION.md has it (`meant`). With --keep, directories that differ stay. Run by hand, never
by `make test`. Needs torch, transformers, peft and sentencepiece.
"""

import argparse
import collections
import copy
import functools
import importlib.util
import json
import random
import re
import shutil
import subprocess
import sys
import tempfile
import traceback
import unicodedata
import warnings
from pathlib import Path

import torch
import transformers
from tokenizers import Tokenizer, normalizers, pre_tokenizers, processors

import binaries
from parity import Ours
from random_models import make_adapter, make_model, save_model
from random_tokenizers import CLASSES, make_tokenizer, random_texts, sentences
from shapes import FIXTURES, ROOT

sys.path.insert(0, str(ROOT / "sdk" / "python"))

from mednerd_train import daemon  # noqa: E402

_spec = importlib.util.spec_from_file_location("aggregation", FIXTURES / "aggregation" / "make_goldens.py")
aggregation = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(aggregation)

STRATEGIES = aggregation.STRATEGIES


class Scheme:
    """What SPECIFICATION and `LabelScheme` say that labels mean."""

    def __init__(self, labels):
        known = set(labels)
        if known <= {"B", "I", "O", "E", "S", "L", "U"} and len(known) > 1:
            labels = [l if l == "O" else f"{l}-Entity" for l in labels]
        if all(l == "O" or l[1:2] == "_" for l in labels):
            labels = [l if l == "O" else l.replace("_", "-", 1) for l in labels]
        types = {l[2:] for l in labels if l[:2] in ("B-", "I-")}
        ends = {e for e in "ESLU" if any(l[:2] == f"{e}-" and l[2:] in types for l in labels)}
        zero = "O" not in labels and bool(types)
        self.classes = []
        for label in labels:
            if label == "O" or (zero and label == "0"):
                self.classes.append(("O", None))
            elif label[:2] in ("B-", "I-") or (label[:1] in ends and label[1:2] == "-"):
                self.classes.append((label[0], label[2:]))
            else:
                self.classes.append(("I", label))


class Quiet(aggregation.Documented):
    """The pre-entities of `Documented`, by token or word, before they are joined."""

    def group_entities(self, entities):
        return entities

    def gather_pre_entities(self, sentence, *rest, **more):
        entities = super().gather_pre_entities(sentence, *rest, **more)
        previous = None
        limit = begun = len(sentence)
        for entity in reversed(entities):
            if entity["start"] != begun:
                limit, begun = begun, entity["start"]
            while entity["end"] < limit and (unicodedata.category(sentence[entity["end"]])[0] == "M" or conjoins(sentence[entity["end"]])):
                entity["end"] += 1
        for entity in entities:
            # A space mark may have the span of the letter behind it.
            if (
                previous
                and previous["blank"]
                and previous["start"] == entity["start"]
                and int(rest[0][entity["index"]]) != self.tokenizer.unk_token_id
            ):
                if not getattr(self.tokenizer._tokenizer.model, "continuing_subword_prefix", None):
                    at = entity["start"]
                    entity["is_subword"] = not (at == 0 or sentence[at - 1] in aggregation.WHITE)
            previous = entity
        return entities


def conjoins(c):
    return "\u1160" <= c <= "\u11ff" or "\ud7b0" <= c <= "\ud7ff"


@functools.lru_cache(8)
def untrimmed(tokenizer):
    """The tokenizer without the trimming of spans, which takes letters off where a space mark stands for no space."""

    def changed(part):
        if isinstance(part, dict):
            return {k: False if k == "trim_offsets" else changed(v) for k, v in part.items()}
        return [changed(p) for p in part] if isinstance(part, list) else part

    state = json.loads(tokenizer.backend_tokenizer.to_str())
    state["post_processor"] = changed(state["post_processor"])
    made = copy.copy(tokenizer)
    made._tokenizer = Tokenizer.from_str(json.dumps(state))
    return made


def documented(tokenizer, labels, text, logits, strategy):
    """Spans of a text: words and their places by `Documented`, joined by what the labels mean."""
    encoding = tokenizer(text, return_offsets_mapping=True, return_special_tokens_mask=True, truncation=False, padding=False)
    names = [f"B-{i}" for i in range(len(labels))]
    pipeline = object.__new__(Quiet)
    pipeline.tokenizer = tokenizer
    pipeline.model = type("M", (), {"config": type("C", (), {"id2label": dict(enumerate(names))})})
    pipeline.word_ids = encoding.word_ids(0)
    scores = torch.softmax(logits.float(), -1).numpy()
    special = encoding["special_tokens_mask"]
    pre = pipeline.gather_pre_entities(
        text, encoding["input_ids"], scores, encoding["offset_mapping"], special, aggregation.AggregationStrategy(strategy)
    )
    units = pipeline.aggregate(pre, aggregation.AggregationStrategy(strategy)) if pre else []
    classes, found, current = Scheme(labels).classes, [], None
    for unit in units:
        mark, kind = classes[int(unit["entity"][2:])]
        if kind is None:
            current = None
            continue
        if current and mark in "IEL" and current[0] == kind:
            current[2] = unit["end"]
            current[3].append(float(unit["score"]))
        else:
            current = [kind, unit["start"], unit["end"], [float(unit["score"])]]
            found.append(current)
        if mark in "ESLU":
            current = None
    return aggregation.settle(text, [(k, b, e, sum(s) / len(s)) for k, b, e, s in found])


def same_entities(ours, theirs):
    return len(ours) == len(theirs) and all(tuple(a[:3]) == tuple(b[:3]) and abs(a[3] - b[3]) < 2e-4 for a, b in zip(ours, theirs))


def case(seed, arguments, counts):
    rng = random.Random(seed)
    family = arguments.only or rng.choice(list(CLASSES))
    said = {"family": family}
    folder = Path(tempfile.mkdtemp(prefix=f"random-{seed}-"))
    base = folder / "base"
    base.mkdir()
    verdict = collections.OrderedDict()
    try:
        made = make_tokenizer(base, rng, family)
        said |= {"tok": made.said}
        try:
            model = make_model(rng, family, made, said)
        except (ValueError, ZeroDivisionError, RuntimeError, TypeError, IndexError):
            counts["no such model"] += 1
            return
        save_model(rng, base, model, family, said, arguments.daemon and rng.random() < 0.5)
        command = [arguments.bin, base]
        try:
            tokenizer = transformers.AutoTokenizer.from_pretrained(base)
            if not tokenizer.is_fast:
                raise ValueError("in Python")
            if rng.random() < 0.15:
                said["tokenizer_saved_again"] = True
                for path in base.glob("*"):
                    if "config.json" != path.name and "safetensors" not in path.name:
                        path.unlink()
                tokenizer.save_pretrained(base)
                tokenizer = transformers.AutoTokenizer.from_pretrained(base)
        except Exception as error:  # Whatever the reference cannot read is no case.
            counts["reference has no tokenizer"] += 1
            if arguments.verbose:
                print(f"{seed} {family}: the reference has no tokenizer: {str(error)[:200]} {said}")
            return
        if len(tokenizer) > made.rows:
            counts["more tokens than rows"] += 1
            return
        model = transformers.AutoModelForTokenClassification.from_pretrained(base, dtype=torch.float32).eval()
        labels = [model.config.id2label[i] for i in range(len(model.config.id2label))]
        said["length"] = made.said["length"]
        if rng.random() < arguments.adapters and not said.get("blind"):
            adapter = folder / "adapter"
            adapted = make_adapter(rng, base, adapter, said)
            if adapted is None:
                counts["no such adapter"] += 1
                if said["base"] != "as it is":
                    return
            else:
                model = adapted
                command.append(adapter)
                labels = said["adapter"].get("labels") or [model.config.id2label[i] for i in range(model.config.num_labels)]
        compare(seed, said, rng, made, model, tokenizer, labels, command, verdict, counts, arguments)
    finally:
        if verdict:
            counts["differ"] += 1
            print(f"{seed} {said['family']} {json.dumps(said, default=str)}")
            for kind, found in verdict.items():
                print(f"    {kind}: {json.dumps(found)[:600]}", flush=True)
        if arguments.keep and verdict:
            target = Path(arguments.keep) / str(seed)
            shutil.rmtree(target, ignore_errors=True)
            shutil.move(folder, target)
        else:
            shutil.rmtree(folder, ignore_errors=True)


def compare(seed, said, rng, made, model, tokenizer, labels, command, verdict, counts, arguments):
    family = said["family"]
    probe = subprocess.run([str(part) for part in command], input="", capture_output=True, text=True)
    if probe.returncode:
        message = probe.stderr.strip().splitlines()[-1] if probe.stderr.strip() else str(probe.returncode)
        verdict["refused"] = message.replace(str(command[1]), "DIR")[:400]
        counts["refused"] += 1
        return
    candidates = [("auto", tokenizer)]
    if (command[1] / "tokenizer.json").exists():
        candidates.append(("meant", meant(command[1], tokenizer)))
        candidates.append(("file", transformers.TokenizersBackend.from_pretrained(command[1])))
    for _, candidate in candidates:
        if candidate.unk_token is None:
            # mednerd knows it by its usual names.
            candidate.unk_token = next((t for t in ("<unk>", "[UNK]") if t in candidate.get_vocab()), None)
    if arguments.daemon:
        through_the_daemon(rng, made, model, candidates, labels, command, said, verdict, counts, arguments)
        return
    ours = Ours(*command)
    counts["compared"] += 1
    counts[f"compared {family}"] += 1
    counts["compared with an adapter"] += len(command) > 2
    one = functools.partial(compare_text, ours, model, candidates, labels, counts)
    try:
        for text in random_texts(rng, arguments.texts, made.specials):
            counts["texts"] += 1
            for kind, found in one(text).items():
                if kind not in verdict:
                    verdict[kind] = smallest(text, kind, one, found)
    finally:
        ours.stop()


NOT_AS_IT_STANDS = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u2028\u2029\ufb00-\ufb06\ufeff\u2610-\u2612\u25a1\u25a0]|\\[ ?[xX*✓]? ?\\]|\\( ?[xX]? ?\\)"
)


def through_the_daemon(rng, made, model, candidates, labels, command, said, verdict, counts, arguments):
    """Entities of a real daemon: of short texts, and of long ones where no token of the model sees another."""
    adapters = {"own": command[2]} if len(command) > 2 else {}
    texts = [t for t in random_texts(rng, arguments.texts, made.specials) if t.strip()]
    if said.get("blind"):
        long = lambda count: "".join(rng.choice(sentences()) + rng.choice(["\n", " ", "\n\n", "  "]) for _ in range(count))
        texts = texts[:10] + [long(rng.choice([30, 60, 400])) for _ in range(3)]
    with daemon.running(arguments.daemon, command[1], adapters) as place:
        client = daemon.Client(place)
        counts["daemons"] += 1
        for text in texts:
            if NOT_AS_IT_STANDS.search(text):
                continue
            counts["texts"] += 1
            answers = {
                strategy: [
                    [e["label"], e["begin"], e["end"], e["score"]]
                    for e in client.annotate(text, models=["own" if adapters else "base"], aggregation=strategy)
                ]
                for strategy in STRATEGIES
            }
            tried = []
            for name, candidate in candidates:
                ids = candidate(text, truncation=False, padding=False)["input_ids"]
                limit = (
                    model.config.max_position_embeddings - model.config.pad_token_id - 1
                    if said["family"] in ("roberta", "xlm-roberta", "camembert", "longformer")
                    else model.config.max_position_embeddings
                )
                if said["length"] and said["length"] < 10000:
                    limit = min(limit, said["length"])
                if len(ids) > limit and not said.get("blind"):
                    tried = []
                    break
                with torch.no_grad():
                    parts = [model(torch.tensor([ids[at : at + limit]])).logits[0] for at in range(0, len(ids), limit)]
                theirs = {s: documented(untrimmed(candidate), labels, text, torch.cat(parts), s) for s in STRATEGIES}
                if all(same_entities(answers[s], theirs[s]) for s in STRATEGIES):
                    counts["texts alike" + (", long" if len(ids) > limit else "")] += 1
                    tried = []
                    break
                tried.append(theirs)
            for strategy in STRATEGIES if tried else ():
                if f"daemon {strategy}" not in verdict and not same_entities(answers[strategy], tried[min(1, len(tried) - 1)][strategy]):
                    theirs = tried[min(1, len(tried) - 1)][strategy]
                    at = next((i for i, (a, b) in enumerate(zip(answers[strategy], theirs)) if not same_entities([a], [b])), 0)
                    verdict[f"daemon {strategy}"] = [len(text), at, answers[strategy][at : at + 2], theirs[at : at + 2], text]


def smallest(text, kind, one, found):
    """A part of the text that differs alike."""
    length = len(text) // 2
    while length:
        at = 0
        while at < len(text):
            shorter = text[:at] + text[at + length :]
            differs = one(shorter)
            if kind in differs:
                text, found = shorter, differs[kind]
            else:
                at += length
        length //= 2
    return [text, *found]


def meant(folder, tokenizer):
    """What mednerd promises of tokenizer.json: the file, with BERT's normaliser or RoBERTa's space by the class."""
    made = transformers.TokenizersBackend.from_pretrained(folder)
    path = folder / "tokenizer_config.json"
    config = json.loads(path.read_text()) if path.exists() else {}
    backend, kind = made.backend_tokenizer, type(tokenizer).__name__
    if kind in ("BertTokenizer", "ElectraTokenizer", "DistilBertTokenizer") and isinstance(backend.normalizer, normalizers.BertNormalizer):
        backend.normalizer = normalizers.BertNormalizer(
            True, config.get("tokenize_chinese_chars", True), config.get("strip_accents"), config.get("do_lower_case", True)
        )
    if kind in ("RobertaTokenizer", "LongformerTokenizer") and isinstance(backend.pre_tokenizer, pre_tokenizers.ByteLevel):
        backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=config.get("add_prefix_space", False))
        state = json.loads(backend.to_str())["post_processor"]
        if state["type"] == "RobertaProcessing":
            backend.post_processor = processors.RobertaProcessing(
                tuple(state["sep"]), tuple(state["cls"]), config.get("trim_offsets", True), config.get("add_prefix_space", False)
            )
    return made


def compare_text(ours, model, candidates, labels, counts, text):
    """What differs in a text, by kind: ours and the reference's."""
    answer = ours.ask(text)
    found = {}
    best = None
    for name, candidate in candidates:
        encoding = candidate(text, return_offsets_mapping=True, return_special_tokens_mask=True, truncation=False, padding=False)
        alike = encoding["input_ids"] == answer["ids"]
        alike += alike and [list(pair) for pair in encoding["offset_mapping"]] == answer["offsets"]
        if best is None or alike > best[0]:
            best = alike, name, candidate, encoding
    alike, name, candidate, encoding = best
    counts[f"texts read as {name if alike else 'nobody'}"] += 1
    if not alike:
        return {"ids": [answer["ids"], candidates[0][1](text, truncation=False, padding=False)["input_ids"]]}
    if alike < 2:
        found["offsets"] = [answer["offsets"], [list(pair) for pair in encoding["offset_mapping"]]]
    if name == "file":
        found["file"] = []
    if not answer["same"]:
        found["pieces"] = []
    if "logits" not in answer or not answer["ids"]:
        return found
    ids = torch.tensor([answer["ids"]])
    with torch.no_grad():
        try:
            want = model(ids).logits[0]
        except (IndexError, RuntimeError, AssertionError) as error:
            counts[f"reference fails: {str(error)[:40]}"] += 1
            return found
    got = torch.tensor(answer["logits"]).reshape(want.shape)
    difference = float((got - want).abs().max())
    if not difference < 1e-3:
        with torch.no_grad():
            truth = model.double()(ids).logits[0]
        model.float()
        rounding, mine = float((want - truth).abs().max()), float((got - truth).abs().max())
        if not mine <= max(1e-3, 4 * rounding):
            return found | {"logits": [difference, rounding, mine]}
        counts["ill-conditioned"] += 1
        return found
    if not text.strip() or all(encoding["special_tokens_mask"]):
        return found
    for strategy in STRATEGIES:
        theirs = documented(untrimmed(candidate), labels, text, want, strategy)
        if not same_entities(answer["entities"][strategy], theirs):
            found[f"entities {strategy}"] = [answer["entities"][strategy], theirs]
        counts["answers"] += 1
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", default="0:100")
    parser.add_argument("--texts", type=int, default=60)
    parser.add_argument("--adapters", type=float, default=0.35)
    parser.add_argument("--only")
    parser.add_argument("--keep")
    parser.add_argument("--verbose", action="store_true")
    parser.add_argument("--daemon", type=Path, help="take entities from this program instead")
    parser.add_argument("--bin", type=Path, default=binaries.EXAMPLES / "parity")
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore")
    transformers.logging.set_verbosity(50)
    transformers.logging.disable_progress_bar()
    torch.set_num_threads(1)
    counts = collections.Counter()
    first, last = map(int, arguments.seeds.split(":"))
    for seed in range(first, last):
        try:
            case(seed, arguments, counts)
        except Exception as error:
            counts["harness failed"] += 1
            print(f"{seed} HARNESS {type(error).__name__}: {str(error)[:300]}", traceback.format_exc().splitlines()[-4:], flush=True)
    print(json.dumps(counts, indent=1))


if __name__ == "__main__":
    main()
