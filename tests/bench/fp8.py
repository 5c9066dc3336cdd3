"""What products in 8 bits lose: entities and F1 of a checkpoint in fp32, in bf16 and in fp8, and logits of random weights.

    PYTHONPATH=sdk/python python tests/bench/fp8.py MODEL SENTENCES... --notes FOLDER [--adapter FOLDER]
    python tests/bench/fp8.py --random
    PYTHONPATH=sdk/python python tests/bench/fp8.py MODEL FILE... --golden FOLDER

The GPU engine's rounding on the CPU, in torch: in the layers' linear modules the rows of input and weight become bf16, and in fp8
e4m3 with a scale for each row; sums are in single precision and outputs bf16, as are those of norms. SENTENCES are gold files in
CoNLL columns, one text a sentence; a note's text is a line. An entity is the same where both ends and the type are. --golden writes
a copy of MODEL whose reference is this emulation in fp8, for eight texts: `mednerd-cuda-check family FOLDER fp8`, on the emulated
driver or on a GPU, says how far its logits are from these. --random takes models of the size of BERT-base and DeBERTa-v3-base. Run
by hand, never by `make test`. Needs torch and transformers.
"""

import argparse
import csv
import json
import lzma
import shutil
from pathlib import Path

import torch
from torch import nn

LARGEST = 448.0
PRECISIONS = ("fp32", "bf16", "fp8")
#: Rows of tables of relative places, which DeBERTa's modules project too: these stay in bf16.
PLACES = 512


def rounded(x):
    return x.to(torch.bfloat16).float()


def scaled(x):
    """Rows as e4m3, and their scales."""
    largest = x.abs().amax(-1, keepdim=True).clamp_min(1e-30)
    values = (x * (LARGEST / largest)).clamp(-LARGEST, LARGEST)
    return values.to(torch.float8_e4m3fn).float(), largest / LARGEST


class Rounded(nn.Module):
    """A linear module as the GPU computes it."""

    def __init__(self, linear, eight):
        super().__init__()
        self.weight, self.eight = rounded(linear.weight.detach()), eight
        self.bias = None if linear.bias is None else rounded(linear.bias.detach())
        self.values, self.scales = scaled(self.weight)

    def forward(self, x):
        x = rounded(x)
        if self.eight and x.shape[-2] != PLACES:
            values, scales = scaled(x)
            y = values @ self.values.T * scales * self.scales[:, 0]
        else:
            y = x @ self.weight.T
        y = rounded(y)
        return y if self.bias is None else y + self.bias


def narrow(model, precision):
    """`model`, computing in this precision from now on."""
    if precision == "fp32":
        return model
    named = dict(model.named_modules())
    for name, module in named.items():
        place, _, last = name.rpartition(".")
        if isinstance(module, nn.Linear):
            setattr(named[place], last, Rounded(module, precision == "fp8" and ".layer." in name))
        elif isinstance(module, nn.LayerNorm):
            module.register_forward_hook(lambda _, __, y: rounded(y))
    return model


def notes(folder):
    """Lines of notes and of their sections."""
    csv.field_size_limit(1 << 30)
    for path in sorted(Path(folder).glob("*.csv.xz")):
        with lzma.open(path, "rt", encoding="utf-8", newline="") as lines:
            for row in csv.DictReader(lines):
                for line in (row.get("note") or row.get("section_text") or "").splitlines():
                    if len(line.split()) > 3:
                        yield line


def compare(arguments):
    from mednerd_train.data import Source, read
    from mednerd_train.evaluate import tagger
    from mednerd_train.scoring import ALL, EXACT, Scores
    from mednerd_train.tagging import decode

    gold = {Path(path).parent.name: read(Source(Path(path), "conll")) for path in arguments.files}
    texts = {name: [document.text for document in documents] for name, documents in gold.items()}
    if arguments.notes:
        texts["notes"] = list(notes(arguments.notes))[: arguments.most]
    found = {}
    for precision in PRECISIONS:
        model, labels = tagger(Path(arguments.model), arguments.adapter and Path(arguments.adapter))
        narrow(model._model, precision)
        for name, some in texts.items():
            tagged = model.tag(some)
            found[name, precision] = tagged, [{s.span for s in decode(one, labels, "simple", 1.0)} for one in tagged]
    print("| texts | precision | the same entities | entities as in fp32 | share of the logits' norm | F1 |\n|---|---|---|---|---|---|")
    for name, some in texts.items():
        tagged, full = found[name, "fp32"]
        for precision in PRECISIONS:
            own, spans = found[name, precision]
            same = sum(one == other for one, other in zip(full, spans))
            wanted, kept = sum(map(len, full)), sum(len(one & other) for one, other in zip(full, spans))
            both = [(torch.tensor(a.logits), torch.tensor(b.logits)) for a, b in zip(tagged, own)]
            apart = sum(((a - b) ** 2).sum() for a, b in both) / sum((a**2).sum() for a, _ in both)
            f1 = ""
            if name in gold:
                scores = Scores()
                types = {span.label for document in gold[name] for span in document.spans}
                for document, mentions in zip(gold[name], spans):
                    scores.add(document.spans, [span for span in mentions if span.label in types])
                f1 = f"{scores.total(EXACT)[ALL].f1:.4f}"
            print(
                f"| {len(some)} of {name} | {precision} | {100 * same / len(some):.2f} % | {kept} of {wanted}, {100 * kept / wanted:.2f} % |"
                f" {float(apart) ** 0.5:.1e} | {f1} |",
                flush=True,
            )


@torch.no_grad()
def golden(arguments):
    from mednerd_train.data import Source, read
    from mednerd_train.evaluate import tagger

    texts = [document.text for path in arguments.files for document in read(Source(Path(path), "conll"))[:4]]
    source, to = Path(arguments.model), Path(arguments.golden)
    shutil.copytree(source, to, dirs_exist_ok=True)
    model, _ = tagger(source, None)
    encoder = model._encoder
    ids = [[*encoder.prefix, *pieces, *encoder.suffix] for pieces, _ in encoder.pieces(texts)]
    narrow(model._model, "fp8")
    cases = [
        {"ids": some, "logits": model._model(input_ids=torch.tensor([some])).logits[0].tolist()} for some in ids
    ]
    (to / "golden.json").write_text(json.dumps({"cases": cases}))


@torch.no_grad()
def of_random_weights():
    from transformers import AutoModelForTokenClassification, BertConfig, DebertaV2Config

    deberta = dict(
        vocab_size=128100, relative_attention=True, position_buckets=256, norm_rel_ebd="layer_norm", share_att_key=True,
        pos_att_type=["p2c", "c2p"], position_biased_input=False, type_vocab_size=0, max_relative_positions=-1,
    )
    for name, config in {"BERT-base": BertConfig(), "DeBERTa-v3-base": DebertaV2Config(**deberta)}.items():
        config.num_labels = 9
        ids = torch.randint(1000, 28000, (4, 128), generator=torch.Generator().manual_seed(5))
        logits = {}
        for precision in PRECISIONS:
            torch.manual_seed(1)
            model = AutoModelForTokenClassification.from_config(config).eval()
            logits[precision] = narrow(model, precision)(input_ids=ids).logits
        shares = {p: float((logits[p] - logits["fp32"]).norm() / logits["fp32"].norm()) for p in PRECISIONS[1:]}
        print(f"{name}, random weights: " + ", ".join(f"{p} {share:.1e} of the norm" for p, share in shares.items()))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", nargs="?")
    parser.add_argument("files", nargs="*")
    parser.add_argument("--notes")
    parser.add_argument("--adapter")
    parser.add_argument("--most", type=int, default=3000, help="lines of notes")
    parser.add_argument("--golden")
    parser.add_argument("--random", action="store_true")
    arguments = parser.parse_args()
    if arguments.random:
        of_random_weights()
    elif arguments.golden:
        golden(arguments)
    else:
        compare(arguments)


if __name__ == "__main__":
    main()
