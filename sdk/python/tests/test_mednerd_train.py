"""Tests of the parts that need neither data nor a model: `python -m unittest discover -s tests`."""

import random
import tempfile
import unittest
from pathlib import Path

import numpy as np

from mednerd_train.corpora import Document, HeldOut, Span, read_iob2, read_pubtator, sentences, word_labels, words
from mednerd_train.evaluate import score
from mednerd_train.fragments import Notes
from mednerd_train.lexicon import Lexicon
from mednerd_train.predict import first, simple
from mednerd_train.silver import thin
from mednerd_train.student import Encoded, batches, cut
from mednerd_train.teacher import decode, gold_sentences


def write(text: str) -> Path:
    """A temporary file with `text`."""
    with tempfile.NamedTemporaryFile("w", suffix=".tsv", delete=False, encoding="utf-8") as file:
        file.write(text)
    return Path(file.name)


class Readers(unittest.TestCase):
    def test_broken_tags_are_reported_and_kept(self):
        path = write("aspirin\tI-Chemical\n,\tO\nin\tB-Gene\nbroken line\n\nok\tO\n")
        broken, fine = read_iob2(path)
        self.assertEqual(broken.text, "aspirin , in")
        self.assertEqual(broken.spans, [Span(0, 7, "Chemical")])
        self.assertEqual(
            [p.what for p in broken.problems], ["I-Chemical after O", "unknown tag B-Gene", "not `token TAB tag`"]
        )
        self.assertEqual(fine.problems, [])

    def test_pubtator_offsets_are_checked(self):
        path = write(
            "1|t|Aspirin helps.\n1|a|Not in asthma.\n"
            "1\t0\t7\tAspirin\tChemical\tD1\n1\t0\t7\tAspirin\tChemical\tD2\n"
            "1\t22\t28\tasthma\tDisease\tD3\n1\t3\t9\tasthma\tDisease\tD3\n1\tCID\tD1\tD3\n"
        )
        (document,) = read_pubtator(path)
        self.assertEqual(document.spans, [Span(0, 7, "Chemical"), Span(22, 28, "Disease")])
        self.assertEqual(len(document.problems), 1)

    def test_longest_mention_wins_and_the_loss_is_reported(self):
        document = Document("1", "breast and ovarian cancer", [Span(0, 25, "Disease"), Span(11, 25, "Disease")])
        _, labels, problems = word_labels(document)
        self.assertEqual(labels, [3, 4, 4, 4])
        self.assertEqual(len(problems), 1)

    def test_words_and_sentences(self):
        text = "Type-2 DM (HbA1c 9.5%). Then 5-HT_x."
        self.assertEqual([text[b:e] for b, e in words(text)][:4], ["Type", "-", "2", "DM"])
        self.assertEqual([text[b:e].strip() for b, e in sentences(text)], ["Type-2 DM (HbA1c 9.5%).", "Then 5-HT_x."])

    def test_held_out_text_is_recognised(self):
        text = "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen"
        held_out = HeldOut([Document("1", text, [])])
        self.assertIn(f"before {text.upper()} after", held_out)
        self.assertNotIn("one two three four and nothing else that was ever seen in the held out text", held_out)


class Scoring(unittest.TestCase):
    def test_exact_spans_once_each(self):
        gold = [Span(0, 7, "Chemical"), Span(0, 7, "Chemical"), Span(9, 12, "Disease")]
        scores = score([(gold, [Span(0, 7, "Chemical"), Span(9, 13, "Disease")])])
        self.assertEqual((scores["micro"].correct, scores["micro"].gold, scores["micro"].predicted), (1, 2, 2))
        self.assertEqual(scores["Chemical"].f1, 1.0)
        self.assertEqual(scores["Disease"].f1, 0.0)


class Aggregation(unittest.TestCase):
    pieces = ["met", "##formin", "tablets", "ache"]
    offsets = [(0, 3), (3, 9), (10, 17), (18, 22)]

    def test_simple_cuts_words_where_pieces_disagree(self):
        labels = ["B-Chemical", "O", "O", "I-Disease"]
        self.assertEqual(simple(labels, self.offsets, self.pieces), [Span(0, 3, "Chemical"), Span(18, 22, "Disease")])

    def test_first_lets_the_first_piece_speak_for_the_word(self):
        labels = ["B-Chemical", "B-Chemical", "I-Disease", "B-Disease"]
        self.assertEqual(
            first(labels, self.offsets, self.pieces),
            [Span(0, 9, "Chemical"), Span(10, 17, "Disease"), Span(18, 22, "Disease")],
        )


class Training(unittest.TestCase):
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
