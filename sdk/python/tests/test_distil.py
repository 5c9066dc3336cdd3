"""Tests of the distillation recipe's parts that need neither data nor a model."""

import json
import random
import tempfile
import unittest
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch

from mednerd_train.data import Document, Span, words
from mednerd_train.distil.corpora import LABELS, word_labels
from mednerd_train.distil.fragments import Notes
from mednerd_train.distil.lexicon import Lexicon
from mednerd_train.distil.silver import TASKS_FILE, save, thin
from mednerd_train.distil.silver_text import SilverText
from mednerd_train.distil.student import Encoded, batches, cut
from mednerd_train.distil.teacher import Featurizer, Teacher, decode, gold_sentences, tag
from mednerd_train.tokenizer import train as learn


class Training(unittest.TestCase):
    def test_longest_mention_wins_and_the_loss_is_reported(self):
        document = Document("1", "breast and ovarian cancer", [Span(0, 25, "Disease"), Span(11, 25, "Disease")])
        _, labels, problems = word_labels(document)
        self.assertEqual(labels, [3, 4, 4, 4])
        self.assertEqual(len(problems), 1)

    def test_lexicon_prefers_the_longest_name(self):
        lexicon = Lexicon(["diabetes", "type 2 diabetes mellitus", "disease", "Anemia, Aplastic"])
        self.assertEqual(lexicon.mark("a type 2 diabetes mellitus disease".split()), [0, 1, 2, 2, 2, 0])
        self.assertIn("aplastic anemia", lexicon)

    def test_unannotated_chemicals_are_left_open(self):
        document = Document("1", "Aspirin in asthma.", [Span(11, 17, "Disease")], ("Disease",))
        (sentence,) = gold_sentences(document)
        self.assertEqual(sentence.allowed.tolist(), [0b00111, 0b00111, 0b01000, 0b00111])

    def test_other_tasks_have_labels_of_their_own(self):
        document = Document("1", "HER2 in mice", [Span(0, 4, "Gene"), Span(8, 12, "Species")])
        names = ["O", "B-Gene", "I-Gene", "B-Species", "I-Species"]
        (sentence,) = gold_sentences(document, "both", names)
        self.assertEqual(sentence.words, ["HER2", "in", "mice"])
        self.assertEqual(sentence.allowed.tolist(), [0b00010, 0b00001, 0b01000])
        self.assertEqual(sentence.task, "both")

    def test_marginals_are_of_each_task_and_never_start_inside(self):
        tasks = {"base": list(LABELS), "gene": ["O", "B-Gene", "I-Gene"]}
        teacher = Teacher(np.random.default_rng(1).normal(size=(2, 200)).astype(np.float32), tasks)
        featurizer = Featurizer(["aspirin", "helps"], [Lexicon(["aspirin"])] * 3)
        document = Document("1", "Aspirin helps. HER2 does not help as much.", [])
        items = gold_sentences(document, "gene", tasks["gene"])
        found = tag(teacher, featurizer, items, list(tasks))
        self.assertEqual([len(rows) for rows in found], [len(item.words) for item in items])
        for rows in found:
            np.testing.assert_allclose(rows[:, :5].sum(axis=1), 1, atol=1e-4)
            np.testing.assert_allclose(rows[:, 5:].sum(axis=1), 1, atol=1e-4)
            np.testing.assert_allclose(rows[0, [2, 4, 7]], 0, atol=1e-4)

    def test_silver_text_gives_each_task_its_columns(self):
        tasks = {"base": list(LABELS), "gene": ["O", "B-Gene", "I-Gene"]}
        with tempfile.TemporaryDirectory() as folder:
            stem = Path(folder) / "silver0"
            rows = np.zeros((3, 8), dtype=np.uint8)
            rows[[0, 1, 2], [1, 0, 0]] = rows[[0, 1, 2], [5, 5, 6]] = 255
            save(["aspirin raises ERBB2"], rows, stem)
            (stem.parent / TASKS_FILE).write_text(json.dumps(tasks), encoding="utf-8")
            tokenizer = SimpleNamespace(backend_tokenizer=learn(["aspirin raises erbb2"] * 9, 60))
            with self.assertRaisesRegex(ValueError, "no task gene with the labels O"):
                SilverText((stem,), tokenizer, {"gene": ["O"]}, random.Random(1))
            text = SilverText((stem,), tokenizer, {"gene": tasks["gene"]}, random.Random(1))
        (batch,) = text.batches(1, 64, random.Random(1))
        inputs, targets = text.inputs(batch, 0.0, np.random.default_rng(1), torch.device("cpu"))
        labels = targets[0, 1:-1, 5:].argmax(-1).tolist()
        self.assertEqual(labels[0], 0)
        self.assertEqual(labels.count(1), 1)
        self.assertTrue(all(label == 2 for label in labels[labels.index(1) + 1 :]))
        said = targets[..., 5:].argmax(-1, keepdim=True)
        sure = torch.full((*inputs["input_ids"].shape, 3), -9.0).scatter(-1, said, 9.0)
        self.assertLess(text.loss(lambda task: sure, targets).item(), 1e-6)
        self.assertGreater(text.loss(lambda task: -sure, targets).item(), 9)

    def test_decode_never_starts_inside(self):
        marginals = np.array([[0.1, 0.3, 0.6, 0, 0], [0.1, 0.2, 0.6, 0.1, 0], [0.2, 0, 0, 0.3, 0.5]])
        self.assertEqual(decode(marginals), [1, 2, 3])

    def test_sequences_cover_the_document_once(self):
        ids = np.arange(3000)
        document = Encoded(ids, np.zeros((3000, 5), dtype=np.uint8), [0, 20, 90, 100, 900, 2000, 2010], soft=True)
        sequences = list(cut(document, random.Random(1)))
        self.assertTrue(all(0 < len(s.ids) <= 510 for s in sequences))
        self.assertEqual(np.concatenate([s.ids for s in sequences]).tolist(), ids.tolist())
        self.assertEqual(sum(map(len, batches(sequences, 2048, random.Random(1)))), len(sequences))

    def test_fragments_are_labelled_by_construction(self):
        maker = Notes({"aspirin": 9}, {"atrial fibrillation": 4}, seed=1)
        for _ in range(50):
            text, labels = maker.document()
            self.assertEqual(len(words(text)), len(labels))
            for (begin, end), row in zip(words(text), labels):
                word = text[begin:end].lower()
                expected = {"aspirin": 1, "atrial": 3, "fibrillation": 4}.get(word, 0)
                self.assertEqual(int(row.argmax()), expected, word)

    def test_thin_keeps_text_and_labels_together(self):
        labels = np.zeros((5, 5), dtype=np.uint8)
        labels[:, 0] = 255
        labels[0] = [0, 255, 0, 0, 0]
        texts, rows = thin(["aspirin helps", "nothing at all"], labels, dense=0.1, keep=0.0)
        self.assertEqual((texts, len(rows)), (["aspirin helps"], 2))


if __name__ == "__main__":
    unittest.main()
