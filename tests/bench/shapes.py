"""Checkpoints of real shapes with random weights, for the scripts beside this one."""

import json
import shutil
import sys
from pathlib import Path

import torch
import transformers

ROOT = Path(__file__).resolve().parent.parent.parent
FIXTURES = ROOT / "tests" / "fixtures"
sys.path.insert(0, str(FIXTURES))

import make_goldens as goldens  # noqa: E402

V3 = dict(
    type_vocab_size=0, relative_attention=True, max_relative_positions=-1, position_buckets=256,
    norm_rel_ebd="layer_norm", share_att_key=True, pos_att_type="p2c|c2p", position_biased_input=False,
)
XLARGE = V3 | dict(conv_kernel_size=3, conv_act="gelu")
ROBERTA = dict(type_vocab_size=1, max_position_embeddings=514, layer_norm_eps=1e-5, pad_token_id=1)


def sizes(hidden, layers, heads, inner, **more):
    return dict(
        hidden_size=hidden, num_hidden_layers=layers, num_attention_heads=heads, intermediate_size=inner, **more
    )


BASE, LARGE = (768, 12, 12, 3072), (1024, 24, 16, 4096)
# By size and name: the folder of the tokenizer among the fixtures, the class, and its configuration.
REAL = {
    "base": {
        "bert-base": ("bert/fp32", "Bert", sizes(*BASE, vocab_size=30522)),
        "electra-small": ("electra/fp32", "Electra", sizes(256, 12, 4, 1024, vocab_size=30522, embedding_size=128)),
        "electra-base": ("electra/fp32", "Electra", sizes(*BASE, vocab_size=30522, embedding_size=768)),
        "distilbert-base": ("distilbert/fp32", "DistilBert", dict(vocab_size=30522)),
        "roberta-base": ("roberta/fp32", "Roberta", sizes(*BASE, vocab_size=50265, **ROBERTA)),
        "xlm-roberta-base": ("xlm-roberta/fp32", "XLMRoberta", sizes(*BASE, vocab_size=250002, **ROBERTA)),
        "deberta-v3-small": ("deberta-v2/v3-fp32", "DebertaV2", sizes(768, 6, 12, 3072, vocab_size=128100, **V3)),
        "deberta-v3-base": ("deberta-v2/v3-fp32", "DebertaV2", sizes(*BASE, vocab_size=128100, **V3)),
        "modernbert-base": ("modernbert/fp32", "ModernBert", sizes(768, 22, 12, 1152, vocab_size=50368)),
        "eurobert-210m": ("eurobert/fp32", "EuroBert", sizes(*BASE, vocab_size=128256, rope_theta=250000.0)),
        "longformer-base": (
            "longformer/fp32", "Longformer",
            sizes(*BASE, vocab_size=50265, **ROBERTA | dict(max_position_embeddings=4098), attention_window=[512] * 12),
        ),
    },
    "large": {
        "bert-large": ("bert/fp32", "Bert", sizes(*LARGE, vocab_size=30522)),
        "electra-large": ("electra/fp32", "Electra", sizes(*LARGE, vocab_size=30522, embedding_size=1024)),
        "roberta-large": ("roberta/fp32", "Roberta", sizes(*LARGE, vocab_size=50265, **ROBERTA)),
        "xlm-roberta-large": ("xlm-roberta/fp32", "XLMRoberta", sizes(*LARGE, vocab_size=250002, **ROBERTA)),
        "deberta-v3-large": ("deberta-v2/v3-fp32", "DebertaV2", sizes(*LARGE, vocab_size=128100, **V3)),
        "deberta-v2-xlarge": ("deberta-v2/v3-fp32", "DebertaV2", sizes(1536, 24, 24, 6144, vocab_size=128100, **XLARGE)),
        "modernbert-large": ("modernbert/fp32", "ModernBert", sizes(1024, 28, 16, 2624, vocab_size=50368)),
        "eurobert-610m": (
            "eurobert/fp32", "EuroBert",
            sizes(1152, 26, 18, 4096, vocab_size=128256, num_key_value_heads=6, rope_theta=250000.0),
        ),
        "longformer-large": (
            "longformer/fp32", "Longformer",
            sizes(*LARGE, vocab_size=50265, **ROBERTA | dict(max_position_embeddings=4098), attention_window=[512] * 24),
        ),
    },
}


def named(name):
    """What `make` takes for the shape of this name, of whatever size."""
    return {name: shape for size in REAL.values() for name, shape in size.items()}[name]


def make(folder, fixture, kind, options):
    """Writes the checkpoint with the fixture's tokenizer into a folder; gives the reference's model of it."""
    for file in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(FIXTURES / fixture / file, folder)
    path = Path(folder) / "tokenizer_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"model_max_length": 512}))
    torch.manual_seed(5)
    config = getattr(transformers, f"{kind}Config")(**options, **goldens.labels())
    model = goldens.randomize(getattr(transformers, f"{kind}ForTokenClassification")(config), 5, gain=1.0)
    model.save_pretrained(folder)
    return model
