"""`mednerd-train distil`: one sub-command a stage; each reads and writes the work folder, so that it can be run again."""

from __future__ import annotations

import argparse
import json
import logging
import os
import random
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from ..data import Document, HeldOut
from . import corpora

_LOG = logging.getLogger(__name__)


def stages(parser: argparse.ArgumentParser) -> None:
    """Adds the stages to `parser`; each sets `run`."""
    parser.add_argument(
        "--data", type=Path, default=Path("../shared/data"), help="folder of corpora, text, vocabularies"
    )
    parser.add_argument("--work", type=Path, default=Path("target/train"), help="folder for what the stages hand on")
    found = parser.add_subparsers(required=True, metavar="STAGE")

    def stage(name: str, run) -> argparse.ArgumentParser:
        def begin(options: argparse.Namespace) -> None:
            options.work.mkdir(parents=True, exist_ok=True)
            run(options)

        added = found.add_parser(name, help=run.__doc__.splitlines()[0])
        added.set_defaults(run=begin)
        return added

    stage("tokenizer", learn_tokenizer).add_argument("--size", type=int, default=24_000)
    stage("embeddings", learn_embeddings).add_argument("--epochs", type=int, default=2)
    teacher = stage("teacher", train_teacher)
    teacher.add_argument("--epochs", type=int, default=8)
    teacher.add_argument("--part", type=int, default=0, help="which of several teachers; varies the seed")
    silver = stage("silver", label_silver)
    silver.add_argument("--parts", type=int, default=2, help="one part for each teacher and training process")
    silver.add_argument("--only", type=int, help="make this part alone, to make the parts side by side")
    stage("fragments", make_fragments).add_argument("--count", type=int, default=5000)
    pretrain = stage("pretrain", pretrain_student)
    pretrain.add_argument("--width", type=int, default=256)
    pretrain.add_argument("--layers", type=int, default=4)
    pretrain.add_argument("--epochs", type=int, default=1)
    pretrain.add_argument("--peak", type=float, default=8e-4)
    pretrain.add_argument("--until", type=int, help="break off after this step, for finetune to go on from there")
    pretrain.add_argument("--out", type=Path, required=True)
    finetune = stage("finetune", finetune_student)
    finetune.add_argument("--model", type=Path, required=True)
    finetune.add_argument("--silver", type=int, default=0, help="silver documents to mix in")
    finetune.add_argument("--part", type=int, default=0, help="silver part to take them from; also varies the seed")
    finetune.add_argument("--repeat", type=int, default=1, help="gold is seen this often in an epoch")
    finetune.add_argument("--batch", type=int, default=1024, help="pieces in a batch")
    finetune.add_argument("--epochs", type=int, default=6)
    finetune.add_argument("--minutes", type=float, default=float("inf"), help="end by then, whatever the epochs")
    finetune.add_argument("--steps", type=int, help="end after so many, whatever the epochs")
    finetune.add_argument("--peak", type=float, default=2e-4)
    finetune.add_argument("--out", type=Path, required=True)


def _gold(data: Path) -> list[Document]:
    return corpora.training(data)[corpora.BASE]


def _text(data: Path) -> Iterable[str]:
    held_out = HeldOut(corpora.development(data))
    return (document for _, document in corpora.running_text(data, held_out))


def learn_tokenizer(options: argparse.Namespace) -> None:
    """Learns the WordPiece vocabulary from all running text."""
    from .. import tokenizer

    learned = tokenizer.train(_text(options.data), options.size)
    tokenizer.save(learned, options.work / "tokenizer")


def learn_embeddings(options: argparse.Namespace) -> None:
    """Trains word vectors on all running text and derives the pieces' starting vectors."""
    from .. import tokenizer
    from . import embeddings

    corpus = options.work / "words.txt"
    with corpus.open("w", encoding="utf-8") as file:
        for document in _text(options.data):
            for paragraph in document.split("\n"):
                file.write(embeddings.tokens(paragraph) + "\n")
    words, vectors = embeddings.skip_gram(corpus, dim=200, epochs=options.epochs, min_count=5)
    np.savez(options.work / "words.npz", keys=np.array(words), vectors=vectors)
    learned = tokenizer.load(options.work / "tokenizer")
    np.save(options.work / "pieces.npy", embeddings.piece_table(learned, words, vectors))


def _featurizer(options: argparse.Namespace):
    from . import lexicon, teacher

    stored = np.load(options.work / "words.npz")
    return teacher.Featurizer([str(word) for word in stored["keys"]], lexicon.load(options.data)), stored["vectors"]


def train_teacher(options: argparse.Namespace) -> None:
    """Trains a BiLSTM-CRF teacher on the gold of all tasks and scores it on a part of each one's dev."""
    from ..scoring import ALL, Scores
    from . import silver, teacher

    _single_threaded()
    featurizer, vectors = _featurizer(options)
    documents = corpora.training(options.data)
    tasks = corpora.labels_of(documents)
    (options.work / silver.TASKS_FILE).write_text(json.dumps(tasks) + "\n", encoding="utf-8")
    dev = {name: corpora.task(options.data, name, "dev")[:100] for name in tasks}

    def report(epoch: int, model: teacher.Teacher) -> None:
        if epoch % 2:
            for name, names in tasks.items():
                scores = Scores()
                for gold, predicted in _teacher_pairs(model, featurizer, dev[name], name, names):
                    scores.add(gold, predicted)
                found = scores.total()[ALL]
                _LOG.info("epoch %d: %s P %.3f R %.3f F1 %.3f", epoch, name, found.precision, found.recall, found.f1)

    model = teacher.train(
        featurizer, vectors, documents, tasks,
        epochs=options.epochs, seed=teacher.SEED + options.part, after_epoch=report,
    )  # fmt: skip
    teacher.save(model, options.work / f"teacher{options.part}.pt")


def _teacher_pairs(model, featurizer, documents: list[Document], task: str, names: list[str]):
    from . import teacher

    cut = [teacher.gold_sentences(document, task, names) for document in documents]
    marginals = iter(teacher.tag(model, featurizer, [sentence for found in cut for sentence in found], [task]))
    for document, found in zip(documents, cut):
        predicted = [
            span
            for sentence in found
            for span in teacher.spans_of(teacher.decode(next(marginals)), sentence.offsets, names)
        ]
        yield document.spans, predicted


def label_silver(options: argparse.Namespace) -> None:
    """Labels running text and the notes, each part with a teacher of its own; writes `--parts` sets."""
    import torch

    from . import silver, teacher

    _single_threaded()
    featurizer, vectors = _featurizer(options)
    tasks = json.loads((options.work / silver.TASKS_FILE).read_text(encoding="utf-8"))
    held_out = HeldOut(corpora.development(options.data))
    documents = [*silver.select(options.data, held_out, silver.BUDGET), *silver.note_texts(options.data)]
    random.Random(silver.SEED).shuffle(documents)
    for part in range(options.parts) if options.only is None else [options.only]:
        model = teacher.Teacher(vectors, tasks)
        model.load_state_dict(torch.load(options.work / f"teacher{part}.pt"))
        texts, labels = silver.label(model, featurizer, documents[part :: options.parts], list(tasks))
        silver.save(texts, labels, options.work / f"silver{part}")
        _LOG.info("silver part %d: %d documents, %d words", part, len(texts), len(labels))


def make_fragments(options: argparse.Namespace) -> None:
    """Makes note fragments from templates, with names that the teacher and the vocabularies agree on."""
    from . import fragments, lexicon, silver

    names = {
        "Chemical": lexicon.Lexicon(corpora.drug_names(options.data)),
        "Disease": lexicon.Lexicon(corpora.disease_names(options.data)),
    }
    counts = silver.mentions(*silver.load(options.work / "silver0"), names, at_least=5)
    maker = fragments.Notes(counts["Chemical"], counts["Disease"])
    made = [maker.document() for _ in range(options.count)]
    silver.save([text for text, _ in made], np.concatenate([rows for _, rows in made]), options.work / "fragments")


def _base_alone(stored: tuple[list[str], np.ndarray]) -> tuple[list[str], np.ndarray]:
    """A silver set without the columns of the other tasks."""
    return stored[0], stored[1][:, : len(corpora.LABELS)]


def _single_threaded() -> None:
    import torch

    torch.set_num_threads(1)


def _quick_score(tokenizer, data: Path, documents: int):
    from ..encoding import Encoder
    from ..scoring import Scores
    from ..tagging import Tagger
    from ..tokenizer import MAX_LENGTH, wrapped

    dev = [document for document in corpora.gold(data, "dev") if "Chemical" in document.typed][:documents]
    encoder = Encoder(wrapped(tokenizer), corpora.LABELS)

    def report(step: int, model) -> None:
        scores = Scores()
        found = Tagger(model, encoder, MAX_LENGTH - encoder.frame).spans([document.text for document in dev])
        for document, spans in zip(dev, found):
            scores.add(document.spans, [scored.span for scored in spans])
        _LOG.info("step %d, first %d dev documents\n%s", step, documents, scores.table(repeats=100))

    return report


def pretrain_student(options: argparse.Namespace) -> None:
    """Trains the student from scratch on silver and gold; under torchrun, one silver part a process."""
    import torch.distributed as dist

    from .. import tokenizer
    from ..export import export
    from . import silver, student

    _single_threaded()
    rank, world = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
    learned = tokenizer.load(options.work / "tokenizer")
    gold = [student.encode_gold(learned, document) for document in _gold(options.data)]
    encoded: list[student.Encoded] = []
    parts = sorted(options.work.glob("silver*.npy"))
    for path in parts[rank::world]:
        texts, labels = silver.thin(*_base_alone(silver.load(path.with_suffix(""))), dense=0.06, keep=0.2)
        encoded += student.encode_silver(learned, texts, labels)
    _LOG.info("process %d: %d silver pieces", rank, sum(len(document.ids) for document in encoded))
    encoded += student.encode_silver(learned, *silver.load(options.work / "fragments"))[rank::world]
    if world > 1:
        dist.init_process_group("gloo")
    table = np.load(options.work / "pieces.npy")
    model = student.new_model(table, width=options.width, layers=options.layers, dropout=0.1)
    plan = student.Plan(
        options.epochs, options.peak, pieces_per_batch=4096 // world, gold_repeats=5, until=options.until
    )
    quick = _quick_score(learned, options.data, 100)

    def after(step: int, averaged) -> None:
        quick(step, averaged)
        export(averaged, learned, options.out)

    model = student.fit(model, learned, gold, encoded, plan, after=after, every=400)
    if rank == 0:
        export(model, learned, options.out)
    if world > 1:
        dist.destroy_process_group()


def finetune_student(options: argparse.Namespace) -> None:
    """Finishes a pretrained student on gold, alone or with some silver mixed in."""
    import torch
    from transformers import AutoModelForTokenClassification

    from .. import tokenizer
    from ..export import export
    from . import silver, student

    _single_threaded()
    learned = tokenizer.load(options.model)
    model = AutoModelForTokenClassification.from_pretrained(options.model, dtype=torch.float32)
    gold = [student.encode_gold(learned, document) for document in _gold(options.data)]
    encoded = []
    if options.silver:
        stored = _base_alone(silver.load(options.work / f"silver{options.part}"))
        texts, labels = silver.thin(*stored, dense=0.06, keep=0.2)
        encoded = student.encode_silver(learned, texts, labels)[: options.silver]
        encoded += student.encode_silver(learned, *silver.load(options.work / "fragments"))
    plan = student.Plan(
        options.epochs,
        options.peak,
        pieces_per_batch=options.batch,
        gold_repeats=options.repeat,
        minutes=options.minutes,
        steps=options.steps,
    )
    quick = _quick_score(learned, options.data, 100)

    def after(step: int, averaged) -> None:
        quick(step, averaged)
        export(averaged, learned, options.out)

    model = student.fit(model, learned, gold, encoded, plan, after=after, every=300, seed=student.SEED + options.part)
    export(model, learned, options.out)
