//! Tokenizers built in code and random texts, for the unit tests of this crate.

use proptest::prelude::*;
use tokenizers::models::bpe::{BPE, Vocab};
use tokenizers::models::unigram::Unigram;
use tokenizers::models::wordpiece::WordPiece;
use tokenizers::normalizers::BertNormalizer;
use tokenizers::pre_tokenizers::bert::BertPreTokenizer;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::metaspace::{Metaspace, PrependScheme};
use tokenizers::processors::bert::BertProcessing;
use tokenizers::processors::roberta::RobertaProcessing;
use tokenizers::{AddedToken, Tokenizer};

use crate::decode::Span;
use crate::merge::Mention;
use crate::terms::{Term, Terms};
use crate::tokenizer::TextTokenizer;

/// BERT as published: uncased or cased WordPiece with `[CLS]` and `[SEP]`.
pub(crate) fn bert(lowercase: bool) -> TextTokenizer {
    TextTokenizer::new(bert_raw(lowercase)).unwrap()
}

pub(crate) fn bert_raw(lowercase: bool) -> Tokenizer {
    let mut words: Vec<String> = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
        .map(String::from)
        .to_vec();
    for c in ('a'..='z')
        .chain('A'..='Z')
        .chain('0'..='9')
        .chain(".,;:-/()!?'\u{e9}\u{301}\u{df}\u{fb01}\u{3b1}\u{7cd6}".chars())
    {
        words.push(c.to_string());
        words.push(format!("##{c}"));
    }
    let whole = [
        "diabetes", "mellitus", "met", "##formin", "aspirin", "cafe", "na", "##ive", "the", "pt", "mg",
    ];
    words.extend(whole.map(String::from));
    let vocabulary = words.into_iter().zip(0..).collect();
    let model = WordPiece::builder()
        .vocab::<Vocab>(vocabulary)
        .unk_token("[UNK]".into())
        .build()
        .unwrap();
    let mut tokenizer = Tokenizer::new(model);
    tokenizer
        .with_normalizer(Some(BertNormalizer::new(true, true, None, lowercase)))
        .unwrap();
    tokenizer.with_pre_tokenizer(Some(BertPreTokenizer));
    tokenizer.with_post_processor(Some(BertProcessing::new(
        ("[SEP]".into(), 3),
        ("[CLS]".into(), 2),
    )));
    let special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"].map(|name| AddedToken::from(name, true));
    tokenizer.add_special_tokens(special).unwrap();
    tokenizer
}

/// RoBERTa-like: byte-level BPE of single bytes and a few merges, `<s>` and `</s>`, trimmed offsets.
pub(crate) fn byte_level(add_prefix_space: bool, trim_offsets: bool) -> TextTokenizer {
    TextTokenizer::new(byte_level_raw(add_prefix_space, trim_offsets)).unwrap()
}

pub(crate) fn byte_level_raw(add_prefix_space: bool, trim_offsets: bool) -> Tokenizer {
    let mut alphabet: Vec<char> = ByteLevel::alphabet().into_iter().collect();
    alphabet.sort_unstable();
    let special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"];
    let mut words: Vec<String> = special.map(String::from).to_vec();
    words.extend(alphabet.into_iter().map(String::from));
    let merges = [
        ("\u{120}", "a"),
        ("t", "h"),
        ("th", "e"),
        ("\u{120}", "the"),
        ("i", "n"),
        ("\u{120}", "d"),
        ("\u{120}d", "i"),
    ];
    words.extend(merges.iter().map(|(left, right)| format!("{left}{right}")));
    let vocabulary: Vocab = words.into_iter().zip(0..).collect();
    let merges = merges
        .map(|(left, right)| (left.to_string(), right.to_string()))
        .to_vec();
    let mut tokenizer = Tokenizer::new(
        BPE::builder()
            .vocab_and_merges(vocabulary, merges)
            .build()
            .unwrap(),
    );
    tokenizer.with_pre_tokenizer(Some(ByteLevel::new(add_prefix_space, trim_offsets, true)));
    let processing = RobertaProcessing::new(("</s>".into(), 2), ("<s>".into(), 0));
    let processing = processing
        .trim_offsets(trim_offsets)
        .add_prefix_space(add_prefix_space);
    tokenizer.with_post_processor(Some(processing));
    let special = special.map(|name| AddedToken::from(name, true).lstrip(name == "<mask>"));
    tokenizer.add_special_tokens(special).unwrap();
    tokenizer
}

/// XLM-R-like: Unigram over Metaspace, no special tokens around a sequence.
pub(crate) fn metaspace(scheme: PrependScheme, split: bool) -> TextTokenizer {
    let mut vocabulary = vec![("<unk>".to_string(), 0.0), ("\u{2581}".to_string(), -3.0)];
    for c in ('a'..='z')
        .chain('A'..='Z')
        .chain('0'..='9')
        .chain(".,;:-/()\u{e9}\n".chars())
    {
        vocabulary.push((c.to_string(), -6.0));
    }
    for (word, score) in [
        ("\u{2581}the", -4.0),
        ("\u{2581}diabetes", -5.0),
        ("in", -5.0),
        ("\u{2581}a", -4.0),
        ("mg", -5.0),
    ] {
        vocabulary.push((word.to_string(), score));
    }
    let mut tokenizer = Tokenizer::new(Unigram::from(vocabulary, Some(0), false).unwrap());
    tokenizer.with_pre_tokenizer(Some(Metaspace::new('\u{2581}', scheme, split)));
    TextTokenizer::new(tokenizer).unwrap()
}

/// Text as hostile as notes come: marks, ligatures, wide and astral characters, all kinds of space, dropped
/// controls, Hangul, and the names of special tokens, between words and numbers. Up to about `length` bytes.
pub(crate) fn messy_text(length: usize) -> impl Strategy<Value = String> {
    let bits = prop_oneof![
        8 => "[a-zA-Z]{1,9}",
        4 => Just(" ".to_string()),
        3 => "[ \t\r\n.,;:()/-]{1,3}",
        2 => "[0-9]{1,3}",
        3 => proptest::sample::select(vec![
            "diabetes", " diabetes mellitus", "metformin", "cafe\u{301}s", "caf\u{e9}",
            "e\u{301}\u{323}", "\u{301}", "a\u{200D}b", "\u{1F9B4}",
            "\u{1F469}\u{200D}\u{2695}\u{FE0F}", "\u{FEFF}", "\u{A0}", "\u{200B}",
            "dia\u{200B}betes", "\u{FB01}", "\u{0}", "\r\n", "\n\n", "\u{130}", "\u{DF}",
            "\u{7CD6}\u{5C3F}\u{75C5}", "\u{D55C}\u{AD6D}", "\u{AD}", "\u{1D400}", "\u{3B1}",
            "[SEP]", "[UNK]", "<mask>", " <mask> ", "b.i.d. ", "Dr. ", "##s", "\u{2581}", "\u{120}",
            "\u{2028}", "\u{85}", "\u{FFFD}",
        ]).prop_map(String::from),
        1 => any::<char>().prop_map(String::from),
    ];
    proptest::collection::vec(bits, 0..length / 6).prop_map(|bits| bits.concat())
}

/// A list of names, each with its label and its language, which may be none.
pub(crate) fn list_of(names: &[(&str, &str, &str)]) -> Terms {
    let names: Vec<_> = names
        .iter()
        .map(|&(name, label, language)| (name, label, language, ""))
        .collect();
    list(&names)
}

/// A list of names, each with its label, its language and what it joins.
pub(crate) fn list(names: &[(&str, &str, &str, &str)]) -> Terms {
    let mut terms = Terms::default();
    for &(name, label, language, joins) in names {
        let term = Term {
            name,
            label,
            language,
            joins,
            ..Term::default()
        };
        terms.add(term).expect("a name");
    }
    terms
}

/// What a task has found.
pub(crate) fn mention(task: usize, begin: usize, end: usize, label: &str, score: f32) -> Mention {
    Mention {
        task,
        span: Span {
            begin,
            end,
            label: label.into(),
            score,
        },
    }
}
