"""Tests of the distillation recipe's parts that need neither data nor a model."""

import random
import unittest

import numpy as np

from mednerd_train.data import Document, Span, words
from mednerd_train.distil.corpora import word_labels
from mednerd_train.distil.fragments import Notes
from mednerd_train.distil.lexicon import Lexicon
from mednerd_train.distil.silver import thin
from mednerd_train.distil.student import Encoded, batches, cut
from mednerd_train.distil.teacher import decode, gold_sentences


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
