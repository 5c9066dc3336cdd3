"""The kit from data to a served adapter, on a made-up corpus and a tiny model: minutes on one CPU core. Run by
`make kit-test`; skipped where MEDNERD_BIN_DIR does not name the folder with `mednerd`."""

import json
import os
import random
import subprocess
import tempfile
import unittest
from contextlib import closing, redirect_stderr
from io import StringIO
from pathlib import Path

from mednerd_train.cli import main
from mednerd_train.daemon import Client, running
from mednerd_train.data import Document, Span, write_jsonl
from mednerd_train.evaluate import tagger

BINARIES = os.environ.get("MEDNERD_BIN_DIR")

ORGANS = "liver kidney spleen heart lung bowel stomach bladder thyroid pancreas".split()
GENES = "brca kras egfr braf alk ret met kit".split()
PLAIN = "patient reports stable findings today after visit with clear notes and normal course during the second week".split()


def corpus(count: int, seed: int) -> list[Document]:
    """Sentences in which organs and genes (with a number: `kras 2`) stand between plain words."""
    rng = random.Random(seed)
    made = []
    for number in range(count):
        text, spans = "", []
        for _ in range(rng.randint(10, 40)):
            kind = rng.choice(("", "", "", "Organ", "Gene"))
            word = {"": rng.choice(PLAIN), "Organ": rng.choice(ORGANS)}.get(
                kind, f"{rng.choice(GENES)} {rng.randint(1, 9)}"
            )
            if kind:
                spans.append(Span(len(text), len(text) + len(word), kind))
            text += word + rng.choice((" ", " ", ", ", ". "))
        made.append(Document(f"{seed}/{number}", text.strip(), spans))
    return made


@unittest.skipUnless(BINARIES, "MEDNERD_BIN_DIR is not set")
class Kit(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls._folder = tempfile.TemporaryDirectory()
        cls.place = Path(cls._folder.name)
        write_jsonl(corpus(200, 1), cls.place / "train.jsonl")
        write_jsonl(corpus(40, 2), cls.place / "dev.jsonl")
        running_text = "\n\n".join(d.text for d in corpus(400, 3)) + "\n"
        (cls.place / "text.txt").write_text(running_text)
        cls.write("tokenizer", 'out = "tokenizer"\nsize = 300\n[text]\npaths = ["text.txt"]\n')
        shape = "[model]\nwidth = 64\nlayers = 2\nheads = 2\nfeed_forward = 128\npositions = 128\ndropout = 0.0\n"
        device = '[device]\nkind = "cpu"\nprecision = "fp32"\n'
        cls.write(
            "pretrain",
            'out = "base"\ntokenizer = "tokenizer"\nlength = 64\n[text]\npaths = ["text.txt"]\ndev_share = 0.05\n' + shape
            + "[training]\nepochs = 4\nrate = 2e-3\nbatch = 1024\npatience = 0\naverage = 0.0\n" + device,
        )  # fmt: skip
        cls.write(
            "dapt",
            'out = "adapted"\nbase = "base"\nlength = 64\n[text]\npaths = ["text.txt"]\ndev_share = 0.05\n[lora]\nrank = 4\n'
            "[training]\nepochs = 1\nrate = 1e-3\nbatch = 1024\npatience = 0\naverage = 0.0\n" + device,
        )
        gold = '[data]\ntrain = [{ path = "train.jsonl", format = "jsonl" }]\ndev = [{ path = "dev.jsonl", format = "jsonl" }]\n'
        task = (
            'base = "adapted"\n' + gold + "[windows]\nlength = 64\noverlap = 8\n[lora]\nrank = 8\nalpha = 16\n"
            "[augment]\nshare = 0.2\n[training]\nepochs = 16\nrate = 5e-3\nbatch = 1024\naverage = 0.9\n" + device
        )  # fmt: skip
        card = (
            '[card]\nlicense = "apache-2.0"\nsummary = "Organs and genes of a made-up corpus."\n'
            'data = "Made up."\nintended_use = "A test."\nlimits = "It knows ten organs."\n'
        )
        cls.write("adapter", 'out = "organs"\n' + task + card)
        things = 'format = "jsonl", types = { Organ = "Thing" }, ignore = ["Gene"] }]\n'
        joint = (
            gold.replace("[data]", "[tasks.base]") + "[tasks.things]\n"
            + 'train = [{ path = "train.jsonl", ' + things + 'dev = [{ path = "dev.jsonl", ' + things
            + "[windows]\nlength = 64\noverlap = 8\n[training]\nepochs = 4\nrate = 2e-3\nbatch = 1024\naverage = 0.0\n" + device
        )  # fmt: skip
        cls.write("joint", 'out = "joint"\nbase = "whole"\n' + joint)
        again = joint.replace("epochs = 4\nrate = 2e-3", "steps = 1\nrate = 1e-5")
        cls.write("again", 'out = "again"\nbase = "joint"\n' + again)
        cls.write(
            "things",
            'out = "things"\nbase = "joint"\nhead = "joint/heads/things.safetensors"\n[data]\n'
            + 'train = [{ path = "train.jsonl", ' + things + 'dev = [{ path = "dev.jsonl", ' + things
            + "[lora]\nrank = 2\nlayers = [1]\n[training]\nsteps = 1\nrate = 1e-3\nbatch = 1024\naverage = 0.0\n" + device,
        )  # fmt: skip
        space = '[search]\ntrials = {}\nstartup = 2\n[search.space]\n"lora.rank" = {{ low = 2, high = 8 }}\n'
        for trials in (2, 3):
            text = 'out = "searched"\n' + task.replace("epochs = 16", "epochs = 1") + space.format(trials)
            cls.write(f"search{trials}", text)

    @classmethod
    def tearDownClass(cls):
        cls._folder.cleanup()

    @classmethod
    def write(cls, name, text):
        (cls.place / f"{name}.toml").write_text(text)

    def run_kit(self, *arguments):
        main([str(argument) for argument in arguments])

    def ask(self, socket, **options):
        with closing(Client(socket)) as client:
            return client.annotate("heart and kras 2", **options)

    def test_from_data_to_a_served_adapter(self):
        place = self.place
        for command in ("tokenizer", "pretrain", "dapt"):
            self.run_kit(command, place / f"{command}.toml")
        self.run_kit("check", place / "adapter.toml")
        self.run_kit("adapter", place / "adapter.toml")
        record = json.loads((place / "organs/record.json").read_text())
        self.assertEqual(set(record["data"]), {f"{place.name}/train.jsonl", f"{place.name}/dev.jsonl"})
        self.assertTrue((place / "organs/history.png").stat().st_size)

        with running(Path(BINARIES) / "mednerd", place / "adapted", {"organs": place / "organs"}) as socket:
            scores = place / "scores.json"
            self.run_kit(
                "evaluate", "--socket", socket, "--models", "organs", "--gold", place / "dev.jsonl", "--format", "jsonl",
                "--perturb", "lower", "lists", "--json", scores,
            )  # fmt: skip
            found = json.loads(scores.read_text())
            self.assertGreater(found["scores"]["exact"]["all"]["f1"], 0.9)
            self.assertEqual(set(found["perturbed"]), {"lower", "lists"})
            served = self.ask(socket, models=["organs"])
            self.assertEqual([(e["text"], e["label"]) for e in served], [("heart", "Organ"), ("kras 2", "Gene")])

        offline = place / "offline.json"
        self.run_kit(
            "evaluate", "--model", place / "adapted", "--adapter", place / "organs", "--gold", place / "dev.jsonl",
            "--format", "jsonl", "--calibrate", "--write", "--diagram", place / "reliability.png", "--json", offline,
        )  # fmt: skip
        self.assertEqual(json.loads(offline.read_text())["scores"]["exact"], found["scores"]["exact"])
        temperature = json.loads((place / "organs/config.json").read_text())["mednerd"]["temperature"]
        with running(Path(BINARIES) / "mednerd", place / "adapted", {"organs": place / "organs"}) as socket:
            again = self.ask(socket, models=["organs"])[0]
            if temperature != 1.0:
                self.assertNotAlmostEqual(again["score"], served[0]["score"], places=6)

        self.run_kit("card", place / "adapter.toml", "--scores", f"made up={scores}")
        self.assertIn("| made up | Organ |", (place / "organs/README.md").read_text())

        self.run_kit("export", "--model", place / "adapted", "--adapter", place / "organs", "--out", place / "whole")
        with running(Path(BINARIES) / "mednerd", place / "whole") as socket:
            whole = self.ask(socket, models=["base"])
            self.assertEqual([(e["text"], e["label"]) for e in whole], [("heart", "Organ"), ("kras 2", "Gene")])

        (place / "note.txt").write_text("heart and kras 2")
        self.run_kit("goldens", "--model", place / "whole", place / "note.txt")
        ctl = [Path(BINARIES) / "mednerctl", "model", "install", place / "whole", "--into", place / "models"]
        said = subprocess.run(ctl, check=True, capture_output=True, text=True).stdout
        self.assertIn("answers 1 texts as its maker's", said)

        # On with it for another task as well: its own head keeps what it knew.
        self.run_kit("joint", place / "joint.toml")
        joint = json.loads((place / "joint/record.json").read_text())["best"]
        self.assertGreater(joint["base"], 0.9)
        self.assertGreater(joint["things"], 0.5)
        with running(Path(BINARIES) / "mednerd", place / "joint") as socket:
            self.assertEqual([e["label"] for e in self.ask(socket, models=["base"])], ["Organ", "Gene"])
        # A further round goes on from the heads of this one: one small step leaves what it found.
        self.run_kit("joint", place / "again.toml")
        again = json.loads((place / "again/record.json").read_text())["best"]
        self.assertGreater(again["things"], joint["things"] - 0.05)
        # An adapter goes on from the other task's head, instead of anew.
        self.run_kit("adapter", place / "things.toml")
        things = json.loads((place / "things/record.json").read_text())["best"]
        self.assertGreater(things["f1"], joint["things"] - 0.05)
        self.write("things", (place / "things.toml").read_text().replace('types = { Organ = "Thing" }', 'types = { Organ = "Object" }'))
        with redirect_stderr(StringIO()) as said, self.assertRaises(SystemExit):
            self.run_kit("adapter", place / "things.toml")
        self.assertIn("a head for O, B-Thing, I-Thing; this run's labels are O, B-Object", said.getvalue())

        self.run_kit("search", place / "search2.toml")
        self.run_kit("search", place / "search3.toml")
        self.assertEqual(json.loads((place / "searched.search/best.json").read_text())["trials"], 3)

    def test_adapters_of_other_families_are_served_as_the_reference_has_them(self):
        """Positions that count from behind the padding, rotary ones, pieces that hold spaces."""
        fixtures = Path(__file__).parents[3] / "tests/fixtures"
        texts = [document.text[:80] for document in corpus(20, 2)]
        mentions = 0
        for family, targets in {"roberta": ["query"], "modernbert": ["Wqkv"], "eurobert": ["q_proj"]}.items():
            base = fixtures / family / "fp32"
            self.write(
                family,
                f'out = "{family}"\nbase = "{base}"\n[lora]\nrank = 2\ntargets = {json.dumps(targets)}\n'
                '[data]\ntrain = [{ path = "train.jsonl", format = "jsonl" }]\ndev = [{ path = "dev.jsonl", format = "jsonl" }]\n'
                "dev_documents = 4\n[training]\nsteps = 12\nrate = 3e-2\nbatch = 256\naverage = 0.0\n"
                '[device]\nkind = "cpu"\nprecision = "fp32"\n',
            )
            self.run_kit("adapter", self.place / f"{family}.toml")
            weights = (self.place / family / "adapter_model.safetensors").read_bytes()
            offline, _ = tagger(base, self.place / family)
            wanted = [[(s.span.begin, s.span.end, s.span.label) for s in found] for found in offline.spans(texts)]
            mentions += sum(map(len, wanted))
            with running(Path(BINARIES) / "mednerd", base, {"it": self.place / family}) as socket:
                with closing(Client(socket)) as client:
                    served = [
                        [(e["begin"], e["end"], e["label"]) for e in client.annotate(text, models=["it"])]
                        for text in texts
                    ]
            self.assertEqual(served, wanted, family)
        self.assertTrue(mentions)
        self.run_kit("adapter", self.place / f"{family}.toml")
        again = (self.place / family / "adapter_model.safetensors").read_bytes()
        self.assertEqual(again, weights, "the same seed, the same adapter")


if __name__ == "__main__":
    unittest.main()
