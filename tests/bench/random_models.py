"""Random tiny checkpoints around a tokenizer, and random adapters over them: for `random_parity.py`."""

import json

import peft
import safetensors.torch
import torch
import transformers

from random_tokenizers import CLASSES
from shapes import goldens

ACTIVATIONS = [
    "gelu",
    "gelu",
    "gelu",
    "gelu_new",
    "relu",
    "silu",
    "swish",
    "tanh",
    "gelu_fast",
    "quick_gelu",
    "gelu_pytorch_tanh",
    "gelu_python",
]
SCHEMES = [
    goldens.LABELS,
    ["O", "B-DISEASE", "I-DISEASE"],
    ["B-X", "I-X", "O"],
    ["O", "B-X", "I-X", "E-X", "S-X", "B-Y", "I-Y", "E-Y", "S-Y"],
    ["O", "B-X", "I-X", "L-X", "U-X"],
    ["O", "Drug", "Dose-Unit", "E-CIGARETTE"],
    ["LABEL_0", "LABEL_1", "LABEL_2"],
    ["O", "I-X", "I-Y"],
    ["0", "B-Bio", "I-Bio"],
    ["O", "B_Drug", "I_Drug", "B_Dose", "I_Dose"],
    ["B", "I", "O"],
    ["O", "B-T-Cell", "I-T-Cell", "B-Cell_line", "I-Cell_line"],
]


def make_model(rng, family, made, said):
    pick = lambda key, options: said.setdefault(key, rng.choice(options))
    labels = rng.choice(SCHEMES)
    said["labels"] = labels
    heads = pick("heads", [1, 2, 3, 4, 6])
    width = pick("head_width", [2, 4, 6, 8, 10, 16] if family in ("modernbert", "eurobert") else [1, 3, 4, 5, 8, 16])
    hidden = heads * width
    layers = pick("layers", [1, 2, 2, 3])
    inner = pick("inner", [5, 16, 33, 64])
    places = pick("places", [40, 96, 130, 300])
    act = pick("act", ACTIVATIONS)
    eps = pick("eps", [1e-12, 1e-7, 1e-6, 1e-5, 1e-3])
    pad = made.ids.get("pad_token") or 0
    common = dict(vocab_size=made.rows, id2label=dict(enumerate(labels)), label2id={l: i for i, l in enumerate(labels)}, pad_token_id=pad)
    usual = dict(
        hidden_size=hidden,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        intermediate_size=inner,
        max_position_embeddings=places,
        hidden_act=act,
        layer_norm_eps=eps,
        type_vocab_size=pick("types", [1, 2, 3]),
    )
    if family == "bert":
        config = transformers.BertConfig(**common, **usual)
    elif family == "electra":
        config = transformers.ElectraConfig(**common, **usual, embedding_size=pick("embedding", [hidden, 7, 12, 24]))
    elif family == "distilbert":
        config = transformers.DistilBertConfig(
            **common,
            dim=hidden,
            n_layers=layers,
            n_heads=heads,
            hidden_dim=inner,
            max_position_embeddings=places,
            activation=act,
            sinusoidal_pos_embds=pick("sinusoidal", [False, True]),
        )
    elif family in ("roberta", "xlm-roberta", "camembert"):
        cls = {
            "roberta": transformers.RobertaConfig,
            "xlm-roberta": transformers.XLMRobertaConfig,
            "camembert": transformers.CamembertConfig,
        }[family]
        usual["max_position_embeddings"] += pad + 1
        config = cls(**common, **usual)
    elif family == "longformer":
        usual["max_position_embeddings"] += pad + 1
        window = pick("window", [[2 * rng.randint(1, 12) for _ in range(layers)], 8, 4, 64])
        config = transformers.LongformerConfig(**common, **usual, attention_window=window)
    elif family == "deberta-v2":
        kernel = pick("kernel", [0, 0, 1, 3, 5])
        usual["type_vocab_size"] = said["types"] = rng.choice([0, 0, 2])
        relative = pick("relative", [True, True, True, False])
        pick("longest", [-1, -1, 0, 20, 64])
        config = transformers.DebertaV2Config(
            **common,
            **usual,
            relative_attention=relative,
            max_relative_positions=said["longest"],
            position_buckets=pick("buckets", [-1, 4, 8, 9, 32, 256] if said["longest"] < 1 else [-1, 4, 8, 9]),
            norm_rel_ebd=pick("norm_rel", ["none", "layer_norm", "layer_norm"]),
            position_biased_input=pick("biased", [False, False, True]),
            share_att_key=pick("share", [True, True, False]),
            pos_att_type=pick(
                "terms", ["p2c|c2p", ["p2c", "c2p"], ["c2p", "p2c"], "c2p", ["p2c"], "c2p|p2c"] if relative else [None, [], "c2p|p2c"]
            ),
            **(dict(conv_kernel_size=kernel, conv_act=pick("conv_act", ["tanh", "gelu", "relu"])) if kernel else {}),
            **(dict(embedding_size=rng.choice([7, 12])) if pick("narrow", [False, False, True]) else {}),
        )
        if kernel and rng.random() < 0.3:
            config.conv_groups = said["groups"] = rng.choice([g for g in range(1, hidden + 1) if hidden % g == 0])
    elif family == "modernbert":
        rope = {
            kind: {"rope_type": "default", "rope_theta": rng.choice([10.0, 500.0, 10000.0, 160000.0])}
            for kind in ("full_attention", "sliding_attention")
        }
        said["rope"] = rope
        extra = {}
        if pick("kinds", ["every", "list"]) == "list":
            extra["layer_types"] = [rng.choice(["full_attention", "sliding_attention"]) for _ in range(layers)]
        else:
            extra["global_attn_every_n_layers"] = pick("every", [1, 2, 3])
        config = transformers.ModernBertConfig(
            **common,
            hidden_size=hidden,
            num_hidden_layers=layers,
            num_attention_heads=heads,
            intermediate_size=inner,
            max_position_embeddings=places,
            hidden_activation=act,
            norm_eps=eps,
            local_attention=pick("local", [2, 4, 7, 8, 9, 64, 128]),
            rope_parameters=rope,
            attention_bias=pick("attention_bias", [False, True]),
            mlp_bias=pick("mlp_bias", [False, True]),
            norm_bias=pick("norm_bias", [False, True]),
            classifier_bias=pick("classifier_bias", [False, True]),
            classifier_activation=pick("classifier_act", ["gelu", "silu", "relu"]),
            classifier_pooling=rng.choice(["cls", "mean"]),
            **extra,
        )
    else:
        config = transformers.EuroBertConfig(
            **common,
            hidden_size=hidden,
            num_hidden_layers=layers,
            num_attention_heads=heads,
            intermediate_size=inner,
            num_key_value_heads=pick("kv", [g for g in (1, 2, 3, heads) if heads % g == 0]),
            head_dim=pick("head_dim", [width, width, 2, 12]),
            max_position_embeddings=places,
            hidden_act=act,
            rms_norm_eps=eps,
            attention_bias=pick("attention_bias", [False, True]),
            mlp_bias=pick("mlp_bias", [False, True]),
            rope_parameters={"rope_type": "default", "rope_theta": pick("theta", [10.0, 300.0, 250000.0])},
            bos_token_id=0,
            eos_token_id=1,
            mask_token_id=2,
        )
    torch.manual_seed(rng.randrange(1 << 30))
    model = transformers.AutoModelForTokenClassification.from_config(config)
    return goldens.randomize(model, rng.randrange(1 << 30), gain=1.2 if family in ("modernbert", "eurobert") else 1.6)


ATTENTION = ("attention.output.dense", "attention.out_lin", "attn.Wo", "o_proj", "position_embeddings")


def save_model(rng, folder, model, family, said, blind=False):
    if blind and not said.get("kernel"):
        said["blind"] = True
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                if any(part in name for part in ATTENTION):
                    parameter.zero_()
    kind = said["dtype"] = rng.choice(["float32", "float32", "float16", "bfloat16"])
    shards = said["shards"] = rng.choice(["1GB", "1GB", "20KB"])
    model.to(getattr(torch, kind)).save_pretrained(folder, max_shard_size=shards)
    path = folder / "config.json"
    config = json.loads(path.read_text())
    if rng.random() < 0.5:
        defaults = type(model.config)().to_dict()
        gone = [k for k, v in config.items() if k in defaults and defaults[k] == v and k != "model_type" and rng.random() < 0.7]
        for key in gone:
            del config[key]
        said["left_out"] = gone
    if family in ("modernbert", "eurobert") and rng.random() < 0.4:
        rope = config.pop("rope_parameters", None)
        if rope and family == "eurobert":
            config |= {"rope_theta": rope["rope_theta"], "rope_scaling": None}
        elif rope:
            config |= {
                "global_rope_theta": rope["full_attention"]["rope_theta"],
                "local_rope_theta": rope["sliding_attention"]["rope_theta"],
            }
        said["older_rope"] = True
    if rng.random() < 0.2:
        config["tokenizer_class"] = said["class_in_config"] = rng.choice([CLASSES[family], CLASSES[family] + "Fast", None])
    if "labels" in said and said["labels"][0] == "LABEL_0" and rng.random() < 0.7:
        for key in ("id2label", "label2id"):
            config.pop(key)
        config["num_labels"] = len(said["labels"])
        said["num_labels"] = True
    path.write_text(json.dumps(config, indent=1))
    single = folder / "model.safetensors"
    if single.exists() and rng.random() < 0.3:
        tensors = safetensors.torch.load_file(single)
        extras = said["extras"] = [e for e in ("gamma", "places", "pooler", "lm") if rng.random() < 0.4]
        if "gamma" in extras and family in ("bert", "electra", "roberta"):
            tensors = {
                k.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta"): v for k, v in tensors.items()
            }
        if "places" in extras:
            tensors[f"{family}.embeddings.position_ids"] = torch.arange(40)[None]
        if "pooler" in extras:
            tensors[f"{model.base_model_prefix}.pooler.dense.weight"] = torch.ones(3, 3)
        if "lm" in extras:
            tensors["cls.predictions.bias"] = torch.ones(9)
        safetensors.torch.save_file(tensors, single, metadata=rng.choice([{"format": "pt"}, {"format": "pt"}, None]))


def without_head(rng, base, said):
    """Saves the checkpoint in `base` without its head, as an encoder alone, or with a head for masked tokens."""
    kind = said["base"] = rng.choice(["as it is", "as it is", "encoder", "masked"])
    if kind == "as it is":
        return
    model = transformers.AutoModelForTokenClassification.from_pretrained(base, dtype=torch.float32)
    if kind == "encoder":
        made = model.base_model
    else:
        made = transformers.AutoModelForMaskedLM.from_config(model.config)
        goldens.randomize(made, rng.randrange(1 << 30))
        made.base_model.load_state_dict(model.base_model.state_dict())
    if said.setdefault("labels kept", rng.random() < 0.5) is False:
        made.config.id2label, made.config.label2id = {0: "LABEL_0", 1: "LABEL_1"}, {"LABEL_0": 0, "LABEL_1": 1}
    for path in base.glob("model*"):
        path.unlink()
    made.save_pretrained(base)


def make_adapter(rng, base, folder, said):
    """A random LoRA over the checkpoint in `base`, as peft saves it. `None` where peft itself refuses."""
    without_head(rng, base, said)
    model = transformers.AutoModelForTokenClassification.from_pretrained(base, dtype=torch.float32).eval()
    linear = [n for n, m in model.named_modules() if isinstance(m, torch.nn.Linear)]
    norms = [n for n, m in model.named_modules() if "norm" in n.lower() and hasattr(m, "weight")]
    trunk = [n for n in linear if "classifier" not in n]
    ends = sorted({n.rsplit(".", 1)[-1] for n in trunk} | {".".join(n.rsplit(".", 2)[-2:]) for n in trunk})
    kind = rng.choice(["ends", "ends", "ends", "all-linear", "regex", "whole"])
    targets = {
        "ends": lambda: rng.sample(ends, rng.randint(1, min(4, len(ends)))),
        "all-linear": lambda: rng.choice(["all-linear", "ALL-LINEAR"]),
        "regex": lambda: rng.choice([r".*\.0\..*({})", r".*layers?\.[01]\..*\b({})", r"(.*\.)?({})", r"[^\d]*\d\.(?!foo).*(?:{})$"]).format(
            "|".join(rng.sample(ends, rng.randint(1, min(3, len(ends)))))
        ),
        "whole": lambda: rng.sample(trunk, rng.randint(1, min(5, len(trunk)))),
    }[kind]()
    options = dict(target_modules=targets, r=rng.randint(1, 6), lora_alpha=rng.choice([1, 2, 8, 16, 32]))
    task = rng.choice(["TOKEN_CLS", "TOKEN_CLS", "FEATURE_EXTRACTION", None])
    options["task_type"] = task
    if rng.random() < 0.25:
        options["rank_pattern"] = {
            rng.choice([rng.choice(ends), rf".*\.0\..*{rng.choice(ends)}", "^" + rng.choice(trunk)]): rng.randint(1, 5)
            for _ in range(rng.randint(1, 2))
        }
    if rng.random() < 0.25:
        options["alpha_pattern"] = {
            rng.choice([rng.choice(ends), rf"layers?\.\d+\..*{rng.choice(ends)}", rng.choice(trunk)]): rng.choice([1, 4, 7])
            for _ in range(rng.randint(1, 2))
        }
    if rng.random() < 0.25:
        options["use_rslora"] = True
    if rng.random() < 0.3:
        options[rng.choice(["use_dora", "use_dora", "lora_bias"])] = True
    if rng.random() < 0.3:
        options["bias"] = rng.choice(["all", "lora_only"])
    if rng.random() < 0.3:
        choice = [
            "classifier",
            rng.choice(norms),
            rng.choice(norms).rsplit(".", 1)[-1],
            rng.choice(trunk),
            "head",
            "embeddings",
            "word_embeddings",
        ]
        options["modules_to_save"] = rng.sample(choice, rng.randint(1, 2))
    if rng.random() < 0.2:
        options["exclude_modules"] = rng.choice([["classifier"], r".*\.0\..*", [rng.choice(ends)], ["classifier", rng.choice(ends)]])
    if rng.random() < 0.15 and isinstance(targets, list):
        options["layers_to_transform"] = rng.choice([0, [0], [1], [0, 2]])
        if rng.random() < 0.5:
            options["layers_pattern"] = rng.choice(["layer", "layers", ["layer", "layers"]])
    if rng.random() < 0.2:
        options["init_lora_weights"] = rng.choice([False, "gaussian"])
    labels = None
    if said["base"] != "as it is":
        options["task_type"] = task = "TOKEN_CLS"
    if rng.random() < 0.3 and task == "TOKEN_CLS":
        labels = ["O", "B-G", "I-G", "B-H", "I-H", "B-J"]
    said["adapter"] = options | (dict(labels=labels) if labels else {})
    if labels:
        model = transformers.AutoModelForTokenClassification.from_pretrained(
            base,
            dtype=torch.float32,
            id2label=dict(enumerate(labels)),
            label2id={l: i for i, l in enumerate(labels)},
            ignore_mismatched_sizes=True,
        ).eval()
    try:
        adapted = peft.get_peft_model(model, peft.LoraConfig(lora_dropout=0.1, **options))
    except (ValueError, TypeError, AttributeError, KeyError, RuntimeError, IndexError, NotImplementedError) as error:
        said["peft"] = str(error)[:100]
        return None
    generator = torch.Generator().manual_seed(rng.randrange(1 << 30))
    with torch.no_grad():
        for name, parameter in adapted.named_parameters():
            if parameter.requires_grad:
                noise = torch.randn(parameter.shape, generator=generator)
                if "magnitude" in name:
                    parameter.mul_(1 + 0.2 * noise.abs())
                elif parameter.dim() == 1:
                    parameter.add_(0.2 * noise)
                else:
                    parameter.copy_(0.5 * noise / parameter.shape[1] ** 0.5)
    adapted.to(getattr(torch, rng.choice(["float32", "float32", "float16", "bfloat16"]))).save_pretrained(folder)
    kept = labels or (said["base"] != "as it is" and [model.config.id2label[i] for i in range(model.config.num_labels)])
    if kept:
        (folder / "config.json").write_text(json.dumps({"id2label": dict(enumerate(kept))}))
    said["adapter"] = json.loads((folder / "adapter_config.json").read_text()) and said["adapter"]
    options = dict(id2label=dict(enumerate(labels)), ignore_mismatched_sizes=True) if labels else {}
    model = transformers.AutoModelForTokenClassification.from_pretrained(base, dtype=torch.float32, **options)
    try:
        return peft.PeftModel.from_pretrained(model, folder).base_model.model.float().eval()
    except KeyError as error:  # What peft saved it cannot always read.
        said["peft"] = str(error)[:100]
        return None
