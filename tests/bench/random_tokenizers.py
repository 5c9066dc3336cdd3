"""Random texts, and random directories of a tokenizer's files as the Hub has them: for `random_parity.py`."""

import functools
import json
import tempfile
import unicodedata
from pathlib import Path

import transformers
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

from shapes import ROOT, goldens

FOREIGN = (
    """
Pacjent skarży się na duszność, gorączkę i ból w klatce piersiowej.|Пациент жалуется на одышку; ИБС, ГБ II ст., ХСН.
Ο ασθενής παραπονείται για πόνο στο στήθος.|患者有糖尿病和高血压病史，否认胸痛。服用二甲双胍 500 mg。|２型糖尿病（HbA1c ７．２％）で通院中。メトホルミン内服。
환자는 당뇨병과 고혈압이 있다.|المريض يعاني من ألم في الصدر وضيق في التنفس.|החולה מתלונן על כאבים בחזה.|रोगी को मधुमेह है, सीने में दर्द नहीं।
ผู้ป่วยเป็นโรคเบาหวาน|Hastanın İDRAR yolu enfeksiyonu var, ışık.|Bệnh nhân bị đái tháo đường, không đau ngực.|Päivystyspotilas, hengenahdistus; Ødem, ångest.
""".strip()
    .replace("\n", "|")
    .split("|")
)

ODD = (
    "\u0301 \u0323 \u20dd \u200d \u200b \u200c \u2060 \u00ad \u00a0 \u202f \u3000 \u2009 \ufeff \ufe0f \u202e \u2066 \x00 \x07 \x1b \x7f \x85 \u2028 \ufb01 \u00bd \u2460 \uff21 "
    "\u212b \U0001d400 \U0001f468\u200d\u2695\ufe0f \U0001f1e9\U0001f1ea \U0001f44d\U0001f3fd \U000e0041 \ue000 \ufffd \u0130 \u1e9e \u01c5 \u1112\u1161\u11ab \uac00 \u0e33 "
    "\u2581 \u0120 \u010a ## @@ </w> \u2026 \u2019 \u00b5 \u2264 \u0660 \u06dd \u0600 \u110b \U00020000 \u4e00 \u3042 \uff9e \u0f77 \ufdfa \u1e0b\u0323 \u00df \u03c2 \u0149"
).split(" ")


@functools.cache
def sentences():
    notes = [p for p in sorted((ROOT / "tests/gold/notes").glob("*.txt"))] + sorted((ROOT / "configs/samples").glob("*.txt"))
    found = [line.strip() for path in notes for line in path.read_text(encoding="utf-8").splitlines()]
    return [line for line in found if len(line) > 3] + FOREIGN


def random_texts(rng, count, specials):
    return ["", " "] + [random_text(rng, specials) for _ in range(count - 2)]


def random_text(rng, specials):
    kind = rng.random()
    if kind < 0.1:
        return rng.choice(goldens.TORTURE)
    if kind < 0.15:
        return "".join(random_character(rng) for _ in range(rng.randint(1, 40)))
    text = rng.choice(FOREIGN if rng.random() < 0.2 else sentences())
    if rng.random() < 0.3:
        words = text.split(" ")
        start = rng.randrange(len(words))
        text = " ".join(words[start : start + rng.randint(1, 12)])
    if rng.random() < 0.1:
        text += rng.choice(["\n", " ", "\r\n", "\n\n"]) + rng.choice(sentences())
    for _ in range(rng.choice([0, 0, 0, 1, 1, 2, 4])):
        text = spoilt(rng, text, specials)
    return text


def random_character(rng):
    while True:
        top = rng.choice([0x7F, 0x24F, 0x2FFF, 0xFFFF, 0x10FFFF])
        found = chr(rng.randint(0, top))
        if not 0xD800 <= ord(found) <= 0xDFFF:
            return found


def spoilt(rng, text, specials):
    at = rng.randint(0, len(text))
    kind = rng.randrange(11)
    if kind <= 2:
        return text[:at] + rng.choice(ODD) + text[at:]
    if kind == 3 and specials:
        side = ["", " ", "", "\t", "  "]
        return text[:at] + rng.choice(side) + rng.choice(specials) + rng.choice(side) + text[at:]
    if kind == 4:
        return unicodedata.normalize(rng.choice(["NFD", "NFC", "NFKD"]), text)
    if kind == 5:
        return rng.choice([str.upper, str.lower, str.title, str.swapcase])(text)
    if kind == 6:
        return text[:at] + rng.choice(["  ", "\n", "\t", "\r\n", " \n ", "\x0b", "\u2003", "   "]) + text[at:]
    if kind == 7:
        return text.replace(" ", rng.choice(["", "\n", "  ", "\u00a0"]), rng.randint(1, 3))
    if kind == 8:
        word = "".join(rng.choice("abcdehinot\u00e9\u03b2") for _ in range(rng.choice([3, 99, 100, 101, 130])))
        return text[:at] + word + text[at:]
    if kind == 9:
        return rng.choice([" ", "\n", "\t ", ""]) + text + rng.choice([" ", "\n", "  \n", ""])
    return text[:at] + random_character(rng) + text[at:]


@functools.cache
def corpus():
    return sentences() + goldens.TORTURE[:20] + [w for line in FOREIGN for w in line.split()]


@functools.cache
def trained_word_pieces(size, lower, strip):
    made = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    made.normalizer = normalizers.BertNormalizer(lowercase=lower, strip_accents=strip)
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    made.train_from_iterator(corpus(), trainers.WordPieceTrainer(vocab_size=size, show_progress=False, limit_alphabet=400))
    return sorted(made.get_vocab(), key=made.get_vocab().get)


@functools.cache
def trained_byte_pairs(size, llama):
    step = pre_tokenizers.ByteLevel(add_prefix_space=False)
    if llama:
        step = pre_tokenizers.Sequence(
            [
                pre_tokenizers.Split(Regex(goldens.LLAMA_PATTERN), "isolated"),
                pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
            ]
        )
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = step
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    made.train_from_iterator(corpus(), trainers.BpeTrainer(vocab_size=size, initial_alphabet=alphabet, show_progress=False))
    said = json.loads(made.to_str())["model"]
    return sorted(said["vocab"], key=said["vocab"].get), [tuple(pair) for pair in said["merges"]]


@functools.cache
def trained_sentence_pieces(family, size, coverage, kind="unigram", rule="nmt_nfkc", fallback=False, user=()):
    import sentencepiece

    specials = dict(
        deberta=dict(pad_id=0, bos_id=1, eos_id=2, unk_id=3, pad_piece="[PAD]", bos_piece="[CLS]", eos_piece="[SEP]", unk_piece="[UNK]"),
        fairseq={},
    )[family]
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "text.txt").write_text("\n".join(corpus()) + "\n", encoding="utf-8")
        sentencepiece.SentencePieceTrainer.train(
            input=f"{folder}/text.txt",
            model_prefix=f"{folder}/m",
            model_type=kind,
            vocab_size=size,
            hard_vocab_limit=False,
            character_coverage=coverage,
            num_threads=1,
            minloglevel=2,
            normalization_rule_name=rule,
            byte_fallback=fallback,
            user_defined_symbols=list(user),
            **specials,
        )
        return (Path(folder) / "m.model").read_bytes()


class Made:
    """A tokenizer's files in `folder`: how many rows it needs, the names of its special tokens, and what was chosen."""

    def __init__(self, folder, rng, family):
        self.folder, self.rng, self.family, self.said, self.specials = folder, rng, family, {}, []
        self.config = {}
        self.ids = {}

    def pick(self, key, options):
        value = self.rng.choice(options)
        self.said[key] = value
        return value

    def chance(self, key, share):
        value = self.rng.random() < share
        if value:
            self.said[key] = True
        return value


WORD_PIECE = dict(unk_token="[UNK]", pad_token="[PAD]", cls_token="[CLS]", sep_token="[SEP]", mask_token="[MASK]")
FAIRSEQ = dict(
    bos_token="<s>", eos_token="</s>", unk_token="<unk>", sep_token="</s>", pad_token="<pad>", cls_token="<s>", mask_token="<mask>"
)
DEBERTA = dict(WORD_PIECE, bos_token="[CLS]", eos_token="[SEP]")
CLASSES = {
    "bert": "BertTokenizer",
    "electra": "ElectraTokenizer",
    "distilbert": "DistilBertTokenizer",
    "roberta": "RobertaTokenizer",
    "longformer": "LongformerTokenizer",
    "xlm-roberta": "XLMRobertaTokenizer",
    "camembert": "CamembertTokenizer",
    "deberta-v2": "DebertaV2Tokenizer",
    "modernbert": "PreTrainedTokenizer",
    "eurobert": "PreTrainedTokenizer",
}
KINDS = {
    "bert": "word_piece",
    "electra": "word_piece",
    "distilbert": "word_piece",
    "roberta": "byte_level",
    "longformer": "byte_level",
    "xlm-roberta": "unigram",
    "camembert": "unigram",
    "deberta-v2": "unigram",
    "modernbert": "byte_level",
    "eurobert": "byte_level",
}


def make_tokenizer(folder, rng, family):
    made = Made(folder, rng, family)
    kind = KINDS[family]
    if rng.random() < 0.15:
        kind = rng.choice(["word_piece", "byte_level", "unigram", "metaspace_bpe"])
    made.said["tokenizer"] = kind
    alone = kind == KINDS[family] and family not in ("modernbert", "eurobert") and made.chance("vocabulary_files", 0.3)
    {"word_piece": word_piece, "byte_level": byte_level, "unigram": unigram, "metaspace_bpe": metaspace_bpe}[kind](made, alone)
    configure(made, kind, alone)
    return made


def file_of_tokenizer(made, raw, specials):
    """Finishes `raw` with added tokens and the settings that a training may have left, and writes it."""
    rng = made.rng
    named = list(dict.fromkeys(specials.values()))
    tokens = []
    for token in named:
        mask = token in ("[MASK]", "<mask>")
        tokens.append(AddedToken(token, special=True, lstrip=mask and rng.random() < 0.6, normalized=rng.random() < 0.15))
    raw.add_special_tokens(tokens)
    extra = []
    for content in ["[SITE]", "<DATE>", "heart attack", "mg/dL", "COVID-19", "  ", "é", "pneu"]:
        if rng.random() < 0.06 and (
            content.strip() or made.said["tokenizer"] == "byte_level" and made.said.get("normalizer") != "StripSpaces"
        ):
            flags = {flag: rng.random() < 0.3 for flag in ("lstrip", "rstrip", "single_word")}
            token = AddedToken(content, special=rng.random() < 0.3, normalized=rng.random() < 0.5, **flags)
            extra.append(str(token.content))
            (raw.add_special_tokens if token.special else raw.add_tokens)([token])
    if extra:
        made.said["added"] = [repr(t) for t in raw.get_added_tokens_decoder().values() if t.content in extra]
    made.specials = named + extra
    if made.chance("truncation_saved", 0.1):
        raw.enable_truncation(rng.choice([8, 32, 512]))
    if made.chance("padding_saved", 0.1):
        pad = specials["pad_token"]
        raw.enable_padding(length=rng.choice([None, 16, 128]), pad_id=raw.token_to_id(pad) or 0, pad_token=pad)
    made.rows = raw.get_vocab_size(with_added_tokens=True)
    made.ids = {key: raw.token_to_id(token) for key, token in specials.items()}
    raw.save(str(made.folder / "tokenizer.json"))


def around(made, raw, specials, kinds):
    """The post-processor."""
    cls, sep = specials["cls_token"], specials["sep_token"]
    ends = [(token, raw.token_to_id(token)) for token in (cls, sep)]
    kind = made.pick("around", kinds)
    if kind == "bert":
        return processors.BertProcessing(ends[1], ends[0])
    if kind == "roberta":
        return processors.RobertaProcessing(
            ends[1], ends[0], trim_offsets=made.pick("file_trim", [True, False]), add_prefix_space=made.said.get("file_space", False)
        )
    template = processors.TemplateProcessing(single=f"{cls}:0 $A:0 {sep}:0", pair=f"{cls}:0 $A:0 {sep}:0 $B:1 {sep}:1", special_tokens=ends)
    if kind == "template":
        return template
    return processors.Sequence([processors.ByteLevel(trim_offsets=made.pick("file_trim", [True, False])), template])


def word_piece(made, alone):
    lower = made.pick("lower", [True, False])
    strip = made.pick("strip", [None, True, False])
    tokens = list(WORD_PIECE.values()) + trained_word_pieces(made.pick("size", [700, 1500]), lower, strip)
    if made.chance("specials_last", 0.2):
        tokens = tokens[5:] + tokens[:5]
    tokens = list(dict.fromkeys(tokens))
    chinese = made.pick("chinese", [True, True, False])
    settings = dict(do_lower_case=lower, strip_accents=strip, tokenize_chinese_chars=chinese)
    if alone:
        if made.chance("odd_lines", 0.2):
            for line in made.rng.sample(["", "pain", "\u2028", " pt", "a b", "\ufeffz", "##"], 3):
                tokens.insert(made.rng.randrange(6, len(tokens)), line)
        if made.chance("crlf", 0.1):
            text = "".join(t + "\r\n" for t in tokens)
        else:
            text = "\n".join(tokens) + ("" if made.chance("no_last_newline", 0.2) else "\n")
        (made.folder / "vocab.txt").write_bytes(text.encode())
        made.rows, made.specials = len(tokens), list(WORD_PIECE.values())
        made.said["sparse"] = len(set(tokens)) < len(tokens)
        made.ids = {key: tokens.index(token) for key, token in WORD_PIECE.items()}
        made.config |= {k: v for k, v in settings.items() if v is not None or made.rng.random() < 0.5}
        if made.chance("default_settings", 0.2):
            made.config.clear()
        return
    raw = Tokenizer(models.WordPiece({t: i for i, t in enumerate(tokens)}, unk_token="[UNK]", max_input_chars_per_word=100))
    kind = made.pick("normalizer", ["bert", "bert", "bert", "sequence", "none"])
    if kind == "bert":
        clean = made.pick("clean", [True, True, True, False])
        raw.normalizer = normalizers.BertNormalizer(clean_text=clean, handle_chinese_chars=chinese, strip_accents=strip, lowercase=lower)
        if made.chance("settings_in_config", 0.7):
            made.config |= {k: v for k, v in settings.items() if v is not None or made.rng.random() < 0.5}
    elif kind == "sequence":
        steps = [
            normalizers.NFKC(),
            normalizers.Replace(Regex(r"[“”]"), '"'),
            normalizers.NFD(),
            normalizers.StripAccents(),
            normalizers.Lowercase(),
            normalizers.Strip(),
        ]
        steps = [step for step in steps if made.rng.random() < 0.5]
        made.said["steps"] = [type(s).__name__ for s in steps]
        raw.normalizer = normalizers.Sequence(steps)
    split = made.pick("split", ["bert", "bert", "bert", "whitespace", "punctuation", "digits"])
    raw.pre_tokenizer = {
        "bert": lambda: pre_tokenizers.BertPreTokenizer(),
        "whitespace": lambda: pre_tokenizers.Whitespace(),
        "punctuation": lambda: pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Punctuation()]),
        "digits": lambda: pre_tokenizers.Sequence([pre_tokenizers.BertPreTokenizer(), pre_tokenizers.Digits(individual_digits=True)]),
    }[split]()
    raw.decoder = decoders.WordPiece()
    raw.post_processor = around(made, raw, WORD_PIECE, ["template", "template", "bert"])
    file_of_tokenizer(made, raw, WORD_PIECE)


def byte_level(made, alone):
    rng = made.rng
    llama = not alone and made.chance("llama", 0.5 if made.family == "eurobert" else 0.1)
    named = WORD_PIECE | dict(bos_token="[CLS]", eos_token="[SEP]") if made.family in ("modernbert",) and not alone else FAIRSEQ
    tokens, merges = trained_byte_pairs(made.pick("size", [500, 900]), llama)
    first = [t for t in dict.fromkeys(named.values()) if t not in ("<mask>", "[MASK]")]
    if made.chance("specials_shuffled", 0.2):
        rng.shuffle(first)
    tokens = [*first, *tokens, named["mask_token"]] if not made.chance("specials_last", 0.2) else [*tokens, *first, named["mask_token"]]
    vocab = {t: i for i, t in enumerate(dict.fromkeys(tokens))}
    space = made.pick("space", [False, False, True])
    trim = made.pick("trim", [True, True, False])
    if alone:
        (made.folder / "vocab.json").write_text(json.dumps(vocab, ensure_ascii=rng.random() < 0.5), encoding="utf-8")
        head = rng.choice(["#version: 0.2\n", "", "#version: 0.2 - Trained by `huggingface/tokenizers`\n"])
        made.said["head"] = head
        (made.folder / "merges.txt").write_text(head + "".join(f"{a} {b}\n" for a, b in merges), encoding="utf-8")
        made.rows, made.specials = len(vocab), list(dict.fromkeys(named.values()))
        made.ids = {key: vocab[token] for key, token in named.items()}
        if made.chance("settings_in_config", 0.7):
            made.config |= dict(add_prefix_space=space, trim_offsets=trim)
        return
    options = {}
    if made.chance("ignore_merges", 0.5 if llama else 0.05):
        options["ignore_merges"] = True
    if made.chance("unknown", 0.3):
        options["unk_token"] = named["unk_token"]
    raw = Tokenizer(models.BPE(vocab=vocab, merges=merges, **options))
    steps = made.pick("normalizer", [None, None, "NFC", "NFKC", "Lowercase", "StripSpaces"])
    if steps:
        raw.normalizer = normalizers.Strip() if steps == "StripSpaces" else getattr(normalizers, steps)()
    made.said["file_space"] = file_space = space if made.chance("same_space", 0.7) else not space
    level = pre_tokenizers.ByteLevel(add_prefix_space=file_space, use_regex=not llama)
    if llama:
        level = pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(goldens.LLAMA_PATTERN), "isolated"), level])
    elif made.chance("digits", 0.1):
        level = pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), level])
    raw.pre_tokenizer = level
    raw.decoder = decoders.ByteLevel()
    kinds = (
        ["roberta", "roberta", "template", "sequence"] if made.family in ("roberta", "longformer") else ["template", "sequence", "roberta"]
    )
    raw.post_processor = around(made, raw, named, kinds)
    if made.chance("settings_in_config", 0.7):
        made.config |= dict(add_prefix_space=space, trim_offsets=trim)
    file_of_tokenizer(made, raw, named)


def unigram(made, alone):
    rng = made.rng
    deberta = made.family == "deberta-v2"
    named = DEBERTA if deberta else FAIRSEQ
    rule = made.pick("rule", ["nmt_nfkc", "nmt_nfkc", "nmt_nfkc_cf", "identity"])
    user = made.pick("user", [(), (), ("▁▁", "<dose>")])
    spm = trained_sentence_pieces(
        "deberta" if deberta else "fairseq",
        made.pick("size", [700, 1200]),
        made.pick("coverage", [0.995, 1.0]),
        rule=rule,
        user=user,
        fallback=made.pick("byte_pieces", [False, False, True]),
    )
    space = made.pick("space", [True, True, True, False])
    if alone:
        (made.folder / ("spm.model" if deberta else "sentencepiece.bpe.model")).write_bytes(spm)
        pieces = len(goldens.read_proto(spm).pieces)
        made.rows, made.specials = pieces + (5 if made.family == "camembert" else 2), list(dict.fromkeys(named.values())) + list(user)
        made.ids = dict(pad_token=0 if deberta else 1)
        if made.chance("settings_in_config", 0.7):
            made.config |= dict(add_prefix_space=space)
            if deberta:
                made.config |= dict(do_lower_case=made.pick("lower", [True, False]), split_by_punct=made.pick("punct", [True, False]))
        if deberta and made.chance("added_tokens_json", 0.3):
            (made.folder / "added_tokens.json").write_text(json.dumps({"[MASK]": pieces}))
        return
    proto = goldens.read_proto(spm)
    pieces = [(p.piece, p.score) for p in proto.pieces]
    if deberta:
        vocab, unknown = pieces + [("[MASK]", 0.0)], proto.trainer_spec.unk_id
    elif made.family == "camembert" and made.chance("camembert_ids", 0.7):
        vocab = [
            ("<s>NOTUSED", 0.0),
            ("<pad>", 0.0),
            ("</s>NOTUSED", 0.0),
            ("<unk>", 0.0),
            ("<unk>NOTUSED", -100.0),
            *pieces[1:],
            ("<mask>", 0.0),
        ]
        unknown = 3
    else:
        vocab, unknown = [("<s>", 0.0), ("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), *pieces[3:], ("<mask>", 0.0)], 3
    raw = Tokenizer(models.Unigram(vocab, unk_id=unknown, byte_fallback=False))
    charsmap = proto.normalizer_spec.precompiled_charsmap
    style = made.pick("style", ["four", "four", "five", "plain", "bare"])
    if style == "four" and charsmap:
        steps = [normalizers.Precompiled(charsmap)]
        if rng.random() < 0.5:
            steps.append(normalizers.Replace(Regex(" {2,}"), rng.choice([" ", "▁"])))
        if rng.random() < 0.5:
            steps.insert(0, normalizers.Strip(rng.random() < 0.5, True))
        raw.normalizer = normalizers.Sequence(steps) if len(steps) > 1 or rng.random() < 0.5 else steps[0]
    elif style == "five":
        raw.normalizer = normalizers.Sequence(
            [normalizers.Replace(Regex(r"\s{2,}|[\n\r\t]"), " "), normalizers.NFC(), normalizers.Strip(left=False, right=True)]
        )
    elif style == "plain":
        raw.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase()])
    scheme = made.pick("scheme", ["always", "always", "first", "never"])
    metaspace = pre_tokenizers.Metaspace(
        replacement="▁", prepend_scheme=scheme, split=made.pick("metaspace_split", [True, True, True, False])
    )
    before = made.pick("before", ["white", "none", "punct"])
    raw.pre_tokenizer = {
        "white": lambda: pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), metaspace]),
        "none": lambda: metaspace,
        "punct": lambda: pre_tokenizers.Sequence([pre_tokenizers.Punctuation(), metaspace]),
    }[before]()
    raw.decoder = decoders.Metaspace()
    raw.post_processor = around(made, raw, named, ["template", "template", "bert"])
    if made.chance("settings_in_config", 0.5):
        made.config |= dict(add_prefix_space=space)
    file_of_tokenizer(made, raw, named)


def metaspace_bpe(made, _alone):
    """As mmBERT's and Gemma's: SentencePiece BPE with bytes for what it lacks."""
    named = DEBERTA if made.family == "deberta-v2" else FAIRSEQ
    proto = goldens.read_proto(trained_sentence_pieces("fairseq", 900, 0.995, "bpe", "identity", True))
    tokens = list(dict.fromkeys([*named.values(), *(p.piece for p in proto.pieces)]))
    vocab = {t: i for i, t in enumerate(tokens)}
    merges = transformers.tokenization_utils_base.generate_merges(vocab)
    merges = [pair for pair in merges if not any("<0x" in part for part in pair)]
    fallback = made.pick("byte_fallback", [True, True, False])
    raw = Tokenizer(
        models.BPE(
            vocab=vocab, merges=merges, unk_token=named["unk_token"], fuse_unk=made.pick("fuse", [True, False]), byte_fallback=fallback
        )
    )
    if made.pick("space_by", ["normalizer", "metaspace"]) == "normalizer":
        steps = [normalizers.Replace(" ", "▁")]
        if made.chance("prepend", 0.5):
            steps.insert(0, normalizers.Prepend("▁"))
        raw.normalizer = normalizers.Sequence(steps)
        if made.chance("split_spaces", 0.5):
            raw.pre_tokenizer = pre_tokenizers.Split(" ", "merged_with_previous")
    else:
        raw.pre_tokenizer = pre_tokenizers.Metaspace(
            prepend_scheme=made.pick("scheme", ["always", "first", "never"]), split=made.pick("metaspace_split", [True, False])
        )
    raw.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    raw.post_processor = around(made, raw, named, ["template"])
    file_of_tokenizer(made, raw, named)


def configure(made, kind, alone):
    """tokenizer_config.json and the older files beside it."""
    rng, config = made.rng, made.config
    named = {
        "word_piece": WORD_PIECE,
        "byte_level": WORD_PIECE | dict(bos_token="[CLS]", eos_token="[SEP]") if made.family == "modernbert" and not alone else FAIRSEQ,
    }.get(kind, DEBERTA if made.family == "deberta-v2" else FAIRSEQ)
    own = CLASSES[made.family]
    if kind == KINDS[made.family]:
        name = rng.choice([None, own, own + "Fast", own + "Fast" if alone else "PreTrainedTokenizerFast"])
        if rng.random() < 0.1 and kind == "word_piece":
            name = "BertTokenizerFast"
    else:
        name = rng.choice(["PreTrainedTokenizerFast", "PreTrainedTokenizerFast", "TokenizersBackend", None])
        name = {"word_piece": rng.choice(["BertTokenizerFast", name]), "byte_level": rng.choice(["RobertaTokenizerFast", name])}.get(
            kind, name
        )
    made.said["class"] = name
    if name:
        config["tokenizer_class"] = name
    made.said["length"] = length = rng.choice([None, None, 48, 512, 1000000000000000019884624838656])
    if length:
        config["model_max_length"] = length
    place = rng.choice(["config", "config", "map", "none"])
    made.said["named_in"] = place
    mark = functools.cache(
        lambda token: dict(
            content=token,
            lstrip=rng.random() < 0.3 and "mask" in token.lower(),
            rstrip=False,
            single_word=False,
            normalized=rng.random() < 0.3,
        )
    )
    # One token is marked alike whatever it is named for; what a SentencePiece file says of its own pieces goes before.
    marked = {token for token in named.values() if rng.random() < 0.2 and not (alone and kind == "unigram")}
    values = {key: mark(token) | {"__type": "AddedToken"} if token in marked else token for key, token in named.items()}
    if place == "config":
        config |= values
    elif place == "map":
        values = {
            key: {k: v for k, v in value.items() if k != "__type"} if isinstance(value, dict) else value for key, value in values.items()
        }
        (made.folder / "special_tokens_map.json").write_text(json.dumps(values))
    if alone and kind != "unigram" and made.chance("decoder", 0.3):
        decoder = config["added_tokens_decoder"] = {str(made.ids[key]): mark(token) | dict(special=True) for key, token in named.items()}
        for token in rng.sample(["[SITE]", "heart attack", "pneu\u00e9", "<DATE>"], rng.randint(0, 2)):
            flags = {flag: rng.random() < 0.3 for flag in ("lstrip", "rstrip", "single_word", "normalized", "special")}
            decoder[str(made.rows)] = dict(content=token, **flags)
            made.rows += 1
            made.specials.append(token)
    if alone and kind != "unigram" and "added_tokens_decoder" not in config and made.chance("added_tokens_json", 0.15):
        (made.folder / "added_tokens.json").write_text(json.dumps({"<DATE>": made.rows + 1, "[SITE]": made.rows}))
        made.rows += 2
        made.specials += ["[SITE]", "<DATE>"]
    elif alone and not made.said.get("user") and made.chance("additional", 0.15):
        config[rng.choice(["additional_special_tokens", "extra_special_tokens"])] = ["[SITE]", "<DATE>"]
        made.rows += 2
        made.specials += ["[SITE]", "<DATE>"]
    if config or rng.random() < 0.7:
        made.said["config"] = {k: v for k, v in config.items() if k not in named}
        (made.folder / "tokenizer_config.json").write_text(json.dumps(config))
    made.rows += rng.choice([0, 0, 1, 7])
