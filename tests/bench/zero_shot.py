"""Zero-shot models beside the `gliner` package and its ONNX export: scores and times at real size with random weights.

    CARGO_TARGET_DIR=$(dirname "$(make -s bin-dir)") cargo build --release --locked --workspace --examples --bins
    python tests/bench/zero_shot.py logits|speed|entities|tiny [--shape small|large] [--kind uni|bi] [--threads 1|2] [--bin FOLDER] [--texts N]

`logits` prints the largest difference of a score; `speed` the median milliseconds of a note of 300 words for 5, 20 and 100 labels; a label
encoder's labels are encoded before, here and there, and what the note costs without any is told. One thread is measured by the
processor's time, which other work on the machine disturbs least. On two threads the others compute a
note with both, and mednerd one note with each; both are told per note. `entities` asks a daemon random texts and sets of labels, flat,
nested and with several labels, and counts the answers that are the package's; `tiny` does so over the checkpoints of
tests/fixtures/gliner. Run by hand on a quiet machine, never by `make test`. Needs gliner, torch, transformers, onnxruntime.
"""

import argparse
import contextlib
import http.client
import io
import json
import logging
import os
import random
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import binaries
import torch

ROOT = Path(__file__).resolve().parent.parent.parent
FIXTURES = ROOT / "tests" / "fixtures"
sys.path += [str(FIXTURES), str(FIXTURES / "gliner")]

import importlib.util  # noqa: E402

spec = importlib.util.spec_from_file_location("gliner_goldens", FIXTURES / "gliner" / "make_goldens.py")
goldens = importlib.util.module_from_spec(spec)
sys.modules[spec.name] = goldens
spec.loader.exec_module(goldens)

# DeBERTa-v3-small and -large without their 128,000 rows of words, which cost no time; MiniLM as label encoder.
SHAPES = {
    "small": dict(hidden_size=768, num_hidden_layers=6, num_attention_heads=12, intermediate_size=3072),
    "large": dict(hidden_size=1024, num_hidden_layers=24, num_attention_heads=16, intermediate_size=4096),
}
V3 = dict(
    max_position_embeddings=512, position_buckets=256, type_vocab_size=0, relative_attention=True,
    max_relative_positions=-1, norm_rel_ebd="layer_norm", share_att_key=True, pos_att_type="p2c|c2p",
    position_biased_input=False,
)
TOWER = dict(hidden_size=384, num_hidden_layers=6, num_attention_heads=12, intermediate_size=1536)
WORDS = """patient admitted with acute pneumonia started on amoxicillin denies fever cough chest pain history of type 2 diabetes
mellitus metformin stopped stable smoker hip implant 2019 , . ; ( ) allergy to penicillin rash nausea renal failure""".split()
NAMES = ["disease", "drug", "smoking status", "device implanted", "symptom", "dose", "procedure", "allergy", "lab value"]


def words(count, generator):
    return " ".join(generator.choice(WORDS) for _ in range(count))


def labels(count):
    return [f"{NAMES[n % len(NAMES)]}{'' if n < len(NAMES) else f' {n}'}" for n in range(count)]


def build(folder, shape, bi, token):
    """Saves a random model of real size and gives it."""
    plain = goldens.encoder_config

    def config(name, rows=None):
        sizes = TOWER if name == "bert" else SHAPES[shape] | V3
        return plain(name, rows) | sizes

    goldens.encoder_config = config
    kind = {
        (False, False): (goldens.UniEncoderSpanGLiNER, goldens.UniEncoderSpanConfig),
        (False, True): (goldens.UniEncoderTokenGLiNER, goldens.UniEncoderTokenConfig),
        (True, False): (goldens.BiEncoderSpanGLiNER, goldens.BiEncoderSpanConfig),
        (True, True): (goldens.BiEncoderTokenGLiNER, goldens.BiEncoderTokenConfig),
    }[bi, token]
    hidden = 512 if shape == "small" else 1024
    variant = goldens.Variant(*kind, "deberta-v2", hidden, tower="bert" if bi else None, options=dict(num_rnn_layers=int(not bi)))
    model, _ = goldens.build(variant, 7)
    goldens.encoder_config = plain
    with torch.no_grad():
        for name, parameter in model.model.named_parameters():
            # As large as trained ones are, so that scores stay within what single precision can tell.
            if parameter.dim() == 2 and "embed" not in name:
                parameter.mul_(0.5)
    model.config.max_len = 1024
    # The fixtures' tokenizer cuts at what their tiny encoders read.
    model.data_processor.transformer_tokenizer.model_max_length = 4096
    model.save_pretrained(folder, safe_serialization=True)
    if bi:
        (folder / "labels_encoder").mkdir()
        for file in ("tokenizer.json", "tokenizer_config.json"):
            shutil.copy(FIXTURES / goldens.ENCODERS["bert"] / file, folder / "labels_encoder" / file)
    return model


class Ours:
    def __init__(self, binary, folder):
        self.process = subprocess.Popen([binary, folder], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.process.stdout.readline()

    def ask(self, **line):
        self.process.stdin.write(json.dumps(line) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def processor_time(self):
        """Seconds that its one thread has computed."""
        return int(Path(f"/proc/{self.process.pid}/schedstat").read_text().split()[0]) / 1e9

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def line_of(model, text, names):
    found, _, batch = goldens.scores(model, text, names)
    ids = batch["input_ids"][0].tolist()
    line = {"ids": ids, "first": [at for at, word in enumerate(batch["words_mask"][0].tolist()) if word]}
    if "labels_input_ids" in batch:
        pairs = zip(batch["labels_input_ids"].tolist(), batch["labels_attention_mask"].tolist())
        line["labels"] = [[i for i, kept in zip(*pair) if kept] for pair in pairs]
    else:
        after = int(not model.config.embed_ent_token)
        line["labels"] = [at + after for at, i in enumerate(ids) if i == model.config.class_token_index]
    return line, found, batch


def logits(options):
    generator = random.Random(1)
    bi = options.kind == "bi"
    for token in (False, True):
        with tempfile.TemporaryDirectory() as folder:
            model = build(Path(folder), options.shape, bi, token)
            ours = Ours(options.bin / "examples/gliner_bench", folder)
            worst, most = 0.0, 0.0
            for length in (3, 40, 150)[: options.texts]:
                line, want, _ = line_of(model, words(length, generator), labels(9))
                got = ours.ask(**line)["scores"]
                pairs = [(g, w) for g, w in zip(got, want.flatten().tolist(), strict=True) if g is not None]
                worst = max(worst, max(abs(g - w) for g, w in pairs))
                most = max(most, max(abs(w) for _, w in pairs))
            ours.close()
            print(f"{options.shape} {'bi' if bi else 'uni'} {'token' if token else 'span'}: largest difference {worst:.1e} of scores up to {most:.1f}", flush=True)


def median(work, times, clock):
    work()
    taken = []
    for _ in range(times):
        begun = clock()
        work()
        taken.append((clock() - begun) * 1e3)
    return statistics.median(taken)


class Cached(torch.nn.Module):
    """A model that is given the vectors of its labels, for the export: the package's own passes them where ids belong."""

    def __init__(self, core, names):
        super().__init__()
        self.core, self.names = core, names

    def forward(self, *values):
        return self.core(**dict(zip(self.names, values)))[0]


def onnx_of(model, folder, batch, threads):
    """The package's export as a function; `None` where it fails."""
    import onnxruntime

    try:
        path = str(Path(folder) / "export.onnx")
        if "labels_embeds" in batch:
            names = [*model._get_base_input_names(), "labels_embeds"]
            spec = dict(
                input_names=names, output_names=["logits"], opset_version=19, dynamo=False,
                dynamic_axes=model._get_base_dynamic_axes() | {"labels_embeds": {0: "num_labels"}},
            )
            torch.onnx.export(Cached(model.model, names).eval(), tuple(batch[name] for name in names), path, **spec)
        else:
            with contextlib.redirect_stdout(None):
                model.export_to_onnx(folder, "export.onnx")
        settings = onnxruntime.SessionOptions()
        settings.intra_op_num_threads = threads
        session = onnxruntime.InferenceSession(path, settings, providers=["CPUExecutionProvider"])
        wanted = {value.name for value in session.get_inputs()}

        def run(batch):
            return session.run(None, {key: value.numpy() for key, value in batch.items() if key in wanted})[0]

        run(batch)
    except Exception as error:  # noqa: BLE001
        print(f"the export failed: {type(error).__name__}: {str(error)[:120]}")
        return None
    return run


def speed(options):
    threads = options.threads
    torch.set_num_threads(threads)
    bi = options.kind == "bi"
    text = words(options.words, random.Random(2))
    print(f"{options.shape} {options.kind}, {threads} threads, {options.words} words, median {'processor ' * (threads == 1)}ms of a note")
    print("labels | tokens | mednerd | gliner | its ONNX export | gain", flush=True)
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack, torch.no_grad():
        model = build(Path(folder), options.shape, bi, False)
        ours = [Ours(options.bin / "examples/gliner_bench", folder) for _ in range(threads)]
        for one in ours:
            stack.callback(one.close)

        def mine(line):
            if threads == 1:
                # What it does once, encoding labels too, is in the shorter line as well.
                took = []
                for repeat in (1, options.repeat + 1):
                    begun = ours[0].processor_time()
                    ours[0].ask(**line, repeat=repeat, quiet=True)
                    took.append(ours[0].processor_time() - begun)
                return (took[1] - took[0]) * 1e3 / options.repeat
            # One note on each thread.
            ask = lambda one: one.ask(**line, repeat=options.repeat + 1, quiet=True)["ms"][1:]  # noqa: E731
            with ThreadPoolExecutor(threads) as pool:
                return statistics.median(ms for times in pool.map(ask, ours) for ms in times) / threads

        clock = time.process_time if threads == 1 else time.perf_counter

        run = None
        for count in options.labels:
            line, _, batch = line_of(model, text, labels(count))
            if bi:
                with contextlib.redirect_stderr(io.StringIO()):
                    vectors = model.encode_labels(labels(count))
                batch = {key: value for key, value in batch.items() if not key.startswith("labels_")}
                batch["labels_embeds"] = vectors
            run = run or onnx_of(model, folder, batch, threads)
            took = mine(line)
            theirs = median(lambda: model.model(**batch), options.repeat, clock)
            export = median(lambda: run(batch), options.repeat, clock) if run else float("nan")
            best = min(t for t in (theirs, export) if t == t)
            print(f"{count} | {len(line['ids'])} | {took:.0f} | {theirs:.0f} | {export:.0f} | {best / took:.2f}", flush=True)
        if bi:
            print(f"without labels | | {mine(line | dict(labels=[])):.0f}", flush=True)


class Daemon:
    """A daemon over checkpoints, by their names."""

    def __init__(self, binary, folder, models):
        path = Path(folder)
        tables = "".join(f'[[models]]\nname = "{name}"\npath = "{place}"\n' for name, place in models.items())
        (path / "m.toml").write_text(
            f'[server]\nsocket = "m.sock"\nadmin_socket = "a.sock"\n[access]\ngroups = []\nusers = ["{os.getuid()}"]\n{tables}'
        )
        self.socket = path / "m.sock"
        self.process = subprocess.Popen([binary, "--config", path / "m.toml"], stderr=subprocess.DEVNULL)
        while not self.socket.exists():
            assert self.process.poll() is None, "the daemon ended"
            time.sleep(0.1)

    def ask(self, **request):
        connection = http.client.HTTPConnection("localhost")
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.connect(str(self.socket))
        connection.request("POST", "/v1/annotate", json.dumps(request))
        answer = json.loads(connection.getresponse().read())
        connection.close()
        return answer["entities"]

    def close(self):
        self.process.terminate()
        self.process.wait()


def thresholds_of(model, token):
    """Three between what random weights say, which may all lie on one side of 0.5; lower by words, where three scores must pass."""
    generator = random.Random(3)
    said = torch.cat([goldens.scores(model, words(20, generator), NAMES[:3])[0].flatten() for _ in range(4)]).sigmoid()
    return [round(said.quantile(share).item(), 6) for share in ((0.3, 0.5, 0.7) if token else (0.7, 0.9, 0.97))]


def compare(options, daemon, name, model, thresholds):
    """Asks the daemon and the package the same, and tells how many answers are equal."""
    context = model.data_processor.transformer_tokenizer.model_max_length
    generator = random.Random(name)
    same = found = cut = 0
    for _ in range(options.texts):
        text = words(generator.randrange(1, 25), generator)
        names = generator.sample(NAMES, generator.randrange(1, 5))
        mode = generator.choice(list(goldens.MODES))
        kind = goldens.MODES[mode]
        threshold = generator.choice(thresholds)
        if goldens.batch_of(model, text, names)[1]["input_ids"].shape[1] >= context:
            # The package leaves out what does not fit its context; we read it in several windows.
            cut += 1
            continue
        want = model.inference([text], names, threshold=threshold, **kind)[0]
        got = daemon.ask(
            text=text, models=[name], labels=names, threshold=threshold, nested=not kind["flat_ner"],
            multi_label=kind["multi_label"],
        )
        want = sorted((e["start"], e["end"], e["label"], e["score"]) for e in want)
        got = sorted((e["begin"], e["end"], e["label"], e["score"]) for e in got)
        same += len(want) == len(got) and all(w[:3] == g[:3] and abs(w[3] - g[3]) < 1e-4 for w, g in zip(want, got))
        found += len(want)
    told = f", {cut} more that the package would cut" if cut else ""
    print(f"{name}: {same} of {options.texts - cut} texts the same, {found} entities{told}", flush=True)


def entities(options):
    torch.set_num_threads(1)
    bi = options.kind == "bi"
    for token in (False, True):
        name = f"{options.shape}-{options.kind}-{'token' if token else 'span'}"
        with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory() as checkpoint:
            model = build(Path(checkpoint), options.shape, bi, token)
            with contextlib.closing(Daemon(options.bin / "mednerd", folder, {name: checkpoint})) as daemon:
                compare(options, daemon, name, model, thresholds_of(model, token))


def tiny(options):
    places = {name: FIXTURES / "gliner" / name for name in options.variants}
    with tempfile.TemporaryDirectory() as folder, contextlib.closing(Daemon(options.bin / "mednerd", folder, places)) as daemon:
        for name, place in places.items():
            with tempfile.TemporaryDirectory() as other, contextlib.chdir(other):
                Path("tests").mkdir()
                for family, encoder in goldens.ENCODERS.items():
                    Path(f"tests/tiny-{family}").symlink_to(FIXTURES / encoder)
                if not (place / "gliner_config.json").exists():
                    continue
                model = goldens.VARIANTS[name].cls.from_pretrained(str(place), model_dir=place)
            compare(options, daemon, name, model, [0.3, 0.5, 0.8])


def main():
    warnings.filterwarnings("ignore")
    logging.disable(logging.WARNING)
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=["logits", "speed", "entities", "tiny"])
    parser.add_argument("--shape", choices=SHAPES, default="small")
    parser.add_argument("--bin", type=Path, default=binaries.RELEASE, help="the folder of the binaries")
    parser.add_argument("--texts", type=int, default=1000)
    parser.add_argument("--words", type=int, default=300)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--kind", choices=["uni", "bi"], default="uni")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--variants", nargs="+", choices=goldens.VARIANTS, default=list(goldens.VARIANTS))
    parser.add_argument("--labels", type=int, nargs="+", default=[5, 20, 100])
    options = parser.parse_args()
    {"logits": logits, "speed": speed, "entities": entities, "tiny": tiny}[options.what](options)


if __name__ == "__main__":
    main()
