"""Tests of the kit's parts, without a model: `python -m unittest discover -s tests`."""

import math
import random
import tempfile
import unittest
from pathlib import Path

import numpy as np
import torch

from mednerd_train import calibration
from mednerd_train.adapter import base_digest, loss_of
from mednerd_train.augment import PERTURBATIONS, Augment, Edit, apply, augment, perturb
from mednerd_train.data import Document, HeldOut, Source, Span, flat, read, sentences, words, write_jsonl
from mednerd_train.encoding import IGNORED, Context, Encoded, Example, _visible, batches, cut, label_names, windows
from mednerd_train.joint import Settings as JointSettings
from mednerd_train.mlm import Batches, Pieces, Text, TokenizerSettings, documents, masked
from mednerd_train.mlm import Settings as MlmSettings
from mednerd_train.scoring import ALL, EXACT, RELAXED, Scores, relaxed_matches
from mednerd_train.search import Settings
from mednerd_train.settings import SettingsError, load, replaced
from mednerd_train.tagging import Tagged, decode
from mednerd_train.training import Device, Plan, Record, _rate, fit


class Files(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)

    def write(self, name, text):
        path = self.folder / name
        path.write_text(text, encoding="utf-8")
        return path


class Readers(Files):
    def whats(self, document):
        return [problem.what for problem in document.problems]

    def test_broken_tags_are_reported_and_kept(self):
        path = self.write("a.tsv", "aspirin\tI-Chemical\n,\tO\nin\tgene\nbroken line\n\nok\tO\n")
        broken, fine = read(Source(path, "conll"))
        self.assertEqual((broken.text, broken.spans), ("aspirin , in", [Span(0, 7, "Chemical")]))
        self.assertEqual(
            self.whats(broken),
            ["I-Chemical after O: read as B-Chemical", "the tag gene is none of O, B-TYPE, I-TYPE: read as O",
             "not `token TAB tag`: left out"],
        )  # fmt: skip
        self.assertEqual(fine.problems, [])

    def test_sentences_are_joined_up_to_a_document_border(self):
        path = self.write("a.tsv", "one\tO\n\nk\tB-G\nras\tI-G\n\n-DOCSTART-\tO\n\ntwo\tO\n\nthree\tO\n\nfour\tO\n")
        documents = read(Source(path, "conll", sentences=2))
        self.assertEqual([d.text for d in documents], ["one\nk ras", "two\nthree", "four"])
        self.assertEqual(documents[0].spans, [Span(4, 9, "G")])

    def test_types_are_mapped_and_unknown_ones_reported(self):
        path = self.write("a.tsv", "a\tB-G\nb\tB-X\nc\tB-Y\n")
        (document,) = read(Source(path, "conll", {"G": "Gene"}, ignore=("X",)))
        self.assertEqual((document.spans, document.typed), ([Span(0, 1, "Gene")], ("Gene",)))
        self.assertEqual(self.whats(document), ["unknown type Y: left out"])

    def test_pubtator_offsets_are_checked(self):
        path = self.write(
            "a.txt",
            "1|t|Aspirin helps.\n1|a|Not in asthma.\n1\t0\t7\tAspirin\tChemical\tD1\n1\t0\t7\tAspirin\tChemical\tD2\n"
            "1\t22\t28\tasthma\tDisease\tD3\n1\t3\t9\tasthma\tDisease\tD3\n1\t0\tx\n1\tCID\tD1\tD3\n\n2|t|Next.\n2|a|\n",
        )
        first, second = read(Source(path, "pubtator"))
        self.assertEqual(first.spans, [Span(0, 7, "Chemical"), Span(22, 28, "Disease")])
        self.assertEqual(len(first.problems), 2)
        self.assertEqual((second.text, second.spans), ("Next. ", []))

    def test_brat_reads_text_bounds_and_names_the_rest(self):
        self.write("1.txt", "left and right lung\n")
        self.write(
            "1.ann",
            "T1\tOrgan 9 19\tright lung\nT2\tOrgan 0 4;15 19\tleft lung\nT3\tOrgan 0 4\tright\nR1\tOf Arg1:T1\nTx broken\n",
        )
        self.write("2.txt", "nothing")
        first, second = read(Source(self.folder, "brat"))
        self.assertEqual(first.spans, [Span(0, 19, "Organ"), Span(9, 19, "Organ")])
        self.assertEqual([w.split(":")[0] for w in self.whats(first)], [
            "a discontinuous mention", "offsets 0 4 do not quote the mention", "not `ID TAB type begin end TAB mention`",
        ])  # fmt: skip
        self.assertEqual(self.whats(second), ["no 2.ann: read as without mentions"])

    def test_jsonl_comes_back_as_it_was_written(self):
        document = Document("é1", "naïve 🫀 heart", [Span(8, 13, "Organ")])
        write_jsonl([document], self.folder / "a.jsonl")
        (again,) = read(Source(self.folder / "a.jsonl", "jsonl"))
        self.assertEqual((again.id, again.text, again.spans, again.problems), ("é1", document.text, document.spans, []))

    def test_jsonl_problems_are_listed(self):
        path = self.write(
            "a.jsonl",
            '{"text": "a heart ", "entities": [{"begin": 2, "end": 8, "label": "O"}, {"begin": 2, "end": 99, "label": "O"},'
            ' {"begin": 0, "end": 1, "label": "O", "text": "b"}, {"begin": 0}]}\n',
        )
        (document,) = read(Source(path, "jsonl"))
        self.assertEqual(document.spans, [Span(2, 7, "O")])
        self.assertEqual(len(document.problems), 4)
        with self.assertRaisesRegex(ValueError, "b.jsonl:1"):
            read(Source(self.write("b.jsonl", "{}\n"), "jsonl"))

    def test_overlaps_and_cut_words_are_reported(self):
        document = Document("1", "breast and ovarian cancers", [Span(0, 25, "D"), Span(11, 25, "D")])
        kept, problems = flat(document)
        self.assertEqual(kept, [Span(0, 25, "D")])
        self.assertEqual(len(problems), 2)

    def test_words_and_sentences(self):
        text = "Type-2 DM (HbA1c 9.5%). Then 5-HT_x."
        self.assertEqual([text[b:e] for b, e in words(text)][:4], ["Type", "-", "2", "DM"])
        self.assertEqual([text[b:e].strip() for b, e in sentences(text)], ["Type-2 DM (HbA1c 9.5%).", "Then 5-HT_x."])

    def test_held_out_text_is_recognised(self):
        text = "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen"
        held_out = HeldOut([Document("1", text, [])])
        self.assertIn(f"before {text.upper()} after", held_out)
        self.assertNotIn("one two three four and nothing else that was ever seen in the held out text", held_out)


class Configuration(Files):
    def test_every_problem_is_listed_at_once(self):
        path = self.write("a.toml", 'out = 3\nbasis = "x"\n[data]\ntrain = [{ path = "t" }]\n[lora]\nrank = "16"\n')
        with self.assertRaises(SettingsError) as raised:
            load(Settings, path)
        said = str(raised.exception)
        for part in ("basis: no such key", "out: expected Path", "base: missing", "data.dev: missing",
                     "data.train[0].format: missing", "lora.rank: expected int"):  # fmt: skip
            self.assertIn(part, said)

    def test_paths_start_at_the_files_folder_and_values_can_be_replaced(self):
        text = 'out = "o"\nbase = "../b"\n[data]\ntrain = []\ndev = []\n[lora]\nlayers = [1, 2]\nalpha = 8\n'
        found = load(Settings, self.write("a.toml", text))
        self.assertEqual((found.base, found.lora.layers), (self.folder.resolve() / "../b", (1, 2)))
        self.assertEqual(replaced(found, {"lora.rank": 4, "seed": 1}).lora.rank, 4)
        with self.assertRaises(SettingsError):
            replaced(found, {"lora.depth": 4})

    def test_the_runs_in_the_tree_are_valid(self):
        runs = sorted((Path(__file__).parent.parent / "runs").glob("*.toml"))
        self.assertTrue(runs)
        kinds = {"tokenizer": TokenizerSettings, "pretrain": MlmSettings, "joint": JointSettings}
        for path in runs:
            load(kinds.get(path.stem, Settings), path)

    def test_a_base_without_tokenizer_json_has_no_digest(self):
        self.assertIsNone(base_digest(self.folder))


class Scoring(unittest.TestCase):
    def test_exact_spans_once_each(self):
        scores = Scores()
        gold = [Span(0, 7, "Chemical"), Span(0, 7, "Chemical"), Span(9, 12, "Disease")]
        scores.add(gold, [Span(0, 7, "Chemical"), Span(9, 13, "Disease")])
        exact, relaxed = scores.total(EXACT), scores.total(RELAXED)
        self.assertEqual((exact[ALL].correct, exact[ALL].gold, exact[ALL].predicted), (1, 2, 2))
        self.assertEqual((exact["Chemical"].f1, exact["Disease"].f1, relaxed["Disease"].f1), (1.0, 0.0, 1.0))

    def test_a_mention_is_matched_once(self):
        self.assertEqual(relaxed_matches([Span(0, 20, "D")], [Span(0, 5, "D"), Span(6, 9, "D")]), 1)
        self.assertEqual(relaxed_matches([Span(0, 5, "D"), Span(4, 9, "D")], [Span(0, 9, "D"), Span(4, 5, "D")]), 2)
        self.assertEqual(relaxed_matches([Span(0, 5, "D")], [Span(5, 9, "D")]), 0)

    def test_intervals_hold_the_score_and_shrink_with_documents(self):
        few, many = Scores(), Scores()
        for scores, count in ((few, 10), (many, 400)):
            for i in range(count):
                scores.add([Span(0, 1, "D")], [Span(0, 1, "D")] if i % 2 else [Span(2, 3, "D")])
        for scores in (few, many):
            low, high = scores.interval()
            self.assertTrue(low <= scores.total()[ALL].f1 <= high)
        self.assertLess(many.interval()[1] - many.interval()[0], few.interval()[1] - few.interval()[0])

    def test_calibration_error_and_temperature(self):
        sure = [(0.9, i % 2 == 0) for i in range(100)]
        self.assertAlmostEqual(calibration.error(sure), 0.4)
        rng = random.Random(1)
        # Scores that are sigmoids of twice the logit that they should be.
        logits = [(z := rng.gauss(0, 2), rng.random() < 1 / (1 + math.exp(-z))) for _ in range(4000)]
        fitted = calibration.best_temperature(
            lambda t: [(1 / (1 + math.exp(-2 * z / t)), right) for z, right in logits]
        )
        self.assertAlmostEqual(fitted, 2.0, delta=0.2)


class Tagging(unittest.TestCase):
    labels = ["O", "B-C", "I-C", "B-D", "I-D"]

    def tagged(self, found, offsets, continues):
        logits = np.zeros((len(found), 5), dtype=np.float32)
        logits[np.arange(len(found)), [self.labels.index(name) for name in found]] = 4.0
        return Tagged(logits, offsets, continues)

    def test_simple_cuts_words_where_pieces_disagree(self):
        tagged = self.tagged(
            ["B-C", "O", "O", "I-D"], [(0, 3), (3, 9), (10, 17), (18, 22)], [False, True, False, False]
        )
        found = decode(tagged, self.labels, "simple")
        self.assertEqual([s.span for s in found], [Span(0, 3, "C"), Span(18, 22, "D")])
        self.assertTrue(0.9 < found[0].score < 1.0)
        self.assertLess(decode(tagged, self.labels, "simple", temperature=2.0)[0].score, found[0].score)

    def test_first_lets_the_first_piece_speak_for_the_word(self):
        offsets = [(0, 3), (3, 9), (10, 17), (18, 22)]
        tagged = self.tagged(["B-C", "B-C", "I-D", "B-D"], offsets, [False, True, False, False])
        found = [s.span for s in decode(tagged, self.labels, "first")]
        self.assertEqual(found, [Span(0, 9, "C"), Span(10, 17, "D"), Span(18, 22, "D")])

    def test_nothing_is_found_in_nothing(self):
        self.assertEqual(decode(self.tagged([], [], []), self.labels, "simple"), [])


class Sequences(unittest.TestCase):
    def test_windows_overlap_and_cover(self):
        self.assertEqual(list(windows(10, 4, 1)), [(0, 4), (3, 7), (6, 10)])
        self.assertEqual(list(windows(0, 4, 1)), [])
        with self.assertRaises(ValueError):
            list(windows(10, 4, 4))

    def test_cut_covers_every_piece_and_keeps_sentences_whole(self):
        rng = random.Random(1)
        for _ in range(200):
            count, length = rng.randint(1, 300), rng.randint(9, 80)
            starts = sorted({0, *(rng.randrange(count) for _ in range(rng.randint(0, 12)))})
            document = Encoded(np.arange(count), np.zeros(count, dtype=np.int64), [], starts)
            for drawn in (None, rng):
                found = list(cut(document, length, rng.randint(0, 8), drawn))
                self.assertTrue(all(0 < e - b <= length for b, e in found))
                self.assertEqual({i for b, e in found for i in range(b, e)}, set(range(count)))
                self.assertEqual(found[-1][1], count)

    def test_batches_keep_within_their_size(self):
        rng = random.Random(1)
        examples = [Example(np.zeros(rng.randint(1, 60), dtype=np.int64), np.zeros(0)) for _ in range(99)]
        made = batches(examples, 128, rng)
        self.assertEqual(sum(map(len, made)), 99)
        self.assertTrue(all(len(b) == 1 or max(len(e.ids) for e in b) * len(b) <= 128 for b in made))

    def test_pieces_are_cut_at_other_places_each_epoch_but_never_over_a_border(self):
        pieces = Pieces(np.arange(25, dtype=np.int32), np.array([0, 10, 11, 25]))
        self.assertEqual(pieces.cut(4, 0), [(0, 4), (4, 8), (8, 10), (11, 15), (15, 19), (19, 23), (23, 25)])
        self.assertEqual(pieces.cut(4, 2)[:3], [(0, 2), (2, 6), (6, 10)])
        made = Batches(pieces.cut(4, 0), 12, 2, random.Random(1))
        self.assertEqual(len(made), len(list(made)))
        self.assertEqual(sorted(s for group in made for s in group), pieces.cut(4, 0))

    def test_masking_leaves_frames_alone_and_asks_for_what_it_changed(self):
        ids = torch.arange(10, 1010).repeat(2, 1)
        special = torch.zeros_like(ids, dtype=torch.bool)
        special[:, 0] = True
        changed, labels = masked(ids, special, 0.3, 3, 2000, torch.Generator().manual_seed(1))
        self.assertTrue((changed[:, 0] == ids[:, 0]).all())
        asked = labels != IGNORED
        self.assertTrue((changed[~asked] == ids[~asked]).all() and (labels[asked] == ids[asked]).all())
        self.assertAlmostEqual(asked.float().mean().item(), 0.3, delta=0.05)
        self.assertAlmostEqual((changed[asked] == 3).float().mean().item(), 0.8, delta=0.06)

    def test_the_rate_rises_and_falls(self):
        plan = Plan(warmup=0.1, floor=0.1)
        rates = [_rate(i / 100, i / 100, plan) for i in range(101)]
        self.assertEqual((rates[0], max(rates), round(rates[-1], 6)), (0.0, 1.0, 0.1))
        self.assertEqual(rates.index(1.0), 10)


class RunningText(Files):
    def test_documents_with_a_held_out_paragraph_are_left_out_whole(self):
        held = "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen"
        write_jsonl([Document("1", held, [])], self.folder / "dev.jsonl")
        (self.folder / "text").mkdir()
        self.write("text/b.txt", "last\n")
        self.write("text/a.txt", f"first\nof two\n\nbefore\n{held}\n\n\nkept\n")
        text = Text((self.folder / "text",), (Source(self.folder / "dev.jsonl", "jsonl"),))
        self.assertEqual(list(documents(text)), ["first\nof two", "kept", "last"])
        self.assertEqual(list(documents(Text((self.folder / "text",), documents=2)))[0], "first\nof two")


class Contexts(unittest.TestCase):
    def test_families_that_count_from_behind_the_padding_read_less(self):
        class Model(torch.nn.Module):
            def __init__(self, **options):
                super().__init__()
                self.position_embeddings = torch.nn.Embedding(114, 4, **options)

        self.assertEqual(Context.of(Model()), Context(114, 0))
        self.assertEqual(Context.of(Model(padding_idx=1)), Context(112, 2))

    def test_pieces_of_spaces_alone_have_no_place(self):
        self.assertEqual(
            [_visible("a  b ", *at) for at in ((0, 1), (1, 4), (1, 3), (3, 5))], [(0, 1), (3, 4), (1, 1), (3, 4)]
        )


class Loss(unittest.TestCase):
    def test_it_is_the_reference_cross_entropy(self):
        logits, labels = torch.randn(2, 7, 5), torch.randint(0, 5, (2, 7))
        labels[0, :2] = IGNORED
        shut = torch.zeros(2, 5, dtype=torch.bool)
        for smoothing in (0.0, 0.1):
            wanted = torch.nn.functional.cross_entropy(
                logits.flatten(0, 1), labels.flatten(), label_smoothing=smoothing
            )
            self.assertAlmostEqual(loss_of(logits, labels, shut, smoothing).item(), wanted.item(), places=5)

    def test_an_open_outside_allows_the_types_that_were_not_looked_for(self):
        logits = torch.tensor([[[0.0, 9.0, 0.0]]])
        outside = torch.zeros(1, 1, dtype=torch.long)
        opened = loss_of(logits, outside, torch.tensor([[False, True, True]]), 0.0)
        self.assertLess(opened.item(), 1e-3)
        self.assertGreater(loss_of(logits, outside, torch.zeros(1, 3, dtype=torch.bool), 0.0).item(), 5)

    def test_labels_of_types(self):
        self.assertEqual(label_names(["A", "B"]), ["O", "B-A", "I-A", "B-B", "I-B"])


class Fitting(unittest.TestCase):
    def test_a_run_whose_score_is_no_number_ends_with_a_sentence(self):
        model = torch.nn.Linear(2, 1)
        plan = Plan(epochs=3, patience=1, average=0.0)
        with self.assertRaisesRegex(RuntimeError, "the score is nan at step 1, so there is nothing to keep"):
            fit(
                model,
                lambda _: [torch.ones(4, 2)],
                lambda batch: model(batch).square().mean(),
                plan,
                Device(kind="cpu", precision="fp32"),
                Record({}),
                score=lambda: {"value": math.nan},
            )


class Perturbations(unittest.TestCase):
    text = (
        "Patients with type 2 diabetes (T2D) received 500 mg metformin daily. Nausea was significantly increased; "
        "however, T2D improved after treatment.\nTumour necrosis factor (TNF) was 5 mg. No history of asthma."
    )
    mentions = ("type 2 diabetes", "T2D", "metformin", "Nausea", "Tumour necrosis factor", "TNF", "asthma")

    def document(self):
        spans = [Span(self.text.index(m), self.text.index(m) + len(m), "X") for m in self.mentions]
        return Document("1", self.text, sorted(spans))

    def test_mentions_keep_their_places(self):
        for kind in PERTURBATIONS:
            changed = 0
            for seed in range(60):
                found = perturb(self.document(), kind, seed)
                changed += found.text != self.text
                for span in found.spans:
                    mention = found.text[span.begin : span.end]
                    self.assertEqual(mention, mention.strip(), kind)
                    if kind not in ("misspellings", "line_breaks"):
                        self.assertIn(mention.lower(), {m.lower() for m in self.mentions}, kind)
                if kind != "abbreviations":  # which drops a mention with its text
                    self.assertEqual(len(found.spans), len(self.mentions), kind)
            self.assertGreater(changed, 0, kind)

    def test_a_perturbed_set_is_the_same_each_time(self):
        for kind in PERTURBATIONS:
            self.assertEqual(perturb(self.document(), kind), perturb(self.document(), kind))

    def test_an_edit_never_crosses_a_border(self):
        document = Document("1", "ab cd ef", [Span(3, 5, "X")])
        made = apply(document, [Edit(1, 4, "-"), Edit(5, 5, "!"), Edit(3, 3, "("), Edit(4, 5, "xyz")])
        self.assertEqual((made.text, made.spans), ("ab (cxyz! ef", [Span(4, 8, "X")]))

    def test_random_edits_keep_spans_in_the_text(self):
        rng = random.Random(7)
        for _ in range(500):
            text = "".join(rng.choice("ab ") for _ in range(40))
            edges = sorted(rng.sample(range(41), 6))
            spans = [Span(edges[i], edges[i + 1], "X") for i in (0, 2, 4)]
            edits = []
            for _ in range(5):
                begin = rng.randrange(40)
                edits.append(Edit(begin, min(40, begin + rng.randrange(4)), rng.choice(("", "xy", "z"))))
            made = apply(Document("1", text, spans), edits)
            self.assertEqual(len(made.spans), 3)
            for before, after in zip(spans, sorted(made.spans)):
                self.assertTrue(0 <= after.begin < after.end <= len(made.text))
                if not any(before.begin <= e.begin and e.end <= before.end for e in edits):
                    self.assertEqual(made.text[after.begin : after.end], text[before.begin : before.end])

    def test_share_of_documents(self):
        rng = random.Random(1)
        same = sum(augment(self.document(), Augment(0.5, ("upper",)), rng).text == self.text for _ in range(400))
        self.assertAlmostEqual(same / 400, 0.5, delta=0.1)


if __name__ == "__main__":
    unittest.main()
