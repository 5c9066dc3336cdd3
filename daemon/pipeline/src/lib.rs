//! The pure text logic of mednerd: from a note to its entities, without I/O, without async, without a model.
//!
//! One note, start to end; each arrow is one public function, and no stage reaches back:
//!
//! ```text
//! text ──TextTokenizer::tokenise──▶ Tokens (the whole note, byte spans into the text exactly as received)
//!      ──windows──▶ Windows (sentence-aware, overlapping; `owned` ranges partition the tokens)
//!      ──an engine, once per window──▶ Logits
//!      ──stitch──▶ Logits of the whole note ──softmax──▶ Probabilities
//!      ──decode, once──▶ Spans (one task) ──merge──▶ Mentions (all tasks)
//!      ──OffsetMap::convert──▶ the client's offset unit
//! ```
//!
//! Logits are stitched before anything is decoded, so an entity at the border of two windows can be neither
//! cut nor reported twice: there is one row per token, and one pass over the rows.
//!
//! A zero-shot model reads words and scores stretches of them for the labels of the request:
//!
//! ```text
//! text ──WordSplitter::split──▶ words ──TextTokenizer::encode_words──▶ WordPieces ──word_windows──▶ Windows
//!      ──an engine, once per window──▶ scores ──stretches::of_stretches / of_words──▶ Candidates ──select──▶ Spans
//! ```
//!
//! [`mod@terms`] finds the names of a list, and [`beside`] puts them beside what models have found. [`mod@short_forms`] adds the short
//! forms that the text defines for any of it, and [`Nesting`] sees to it that nothing crosses.
//!
//! Beside these, [`mod@sections`] tells by its headings which part of the note a place is in, and [`mod@assertions`] what a sentence says
//! of a mention: absent, uncertain, feared, past, somebody else's.
//!
//! Positions are UTF-8 byte offsets into the text as received, on character boundaries; `text[begin..end]` is
//! always the entity's text. No error holds any part of a note.
//!
//! ```
//! use mednerd_pipeline::{Aggregation, LabelScheme, Logits, OffsetMap, OffsetUnit, TextTokenizer};
//! use mednerd_pipeline::{decode, stitch, windows};
//! # use tokenizers::models::wordlevel::WordLevel;
//! # let vocabulary = [("[UNK]", 0), ("diabetes", 1), ("é", 2)].map(|(token, id)| (token.to_string(), id));
//! # let model = WordLevel::builder().vocab(vocabulary.into_iter().collect());
//! # let model = model.unk_token("[UNK]".into()).build()?;
//! # let mut tokenizer = tokenizers::Tokenizer::new(model);
//! # tokenizer.with_pre_tokenizer(Some(tokenizers::pre_tokenizers::bert::BertPreTokenizer));
//! let text = "é diabetes";
//! let tokenizer = TextTokenizer::new(tokenizer)?;
//! let scheme = LabelScheme::from_labels(&["O", "B-DISEASE", "I-DISEASE"])?;
//!
//! let tokens = tokenizer.tokenise(text)?;
//! let windows = windows(text, &tokens, 510, 128)?;
//! let engine = |_: &[u32]| Logits::new(3, vec![9.0, 0.0, 0.0, 0.0, 9.0, 0.0]); // here a model would run
//! let inputs = windows.iter().map(|window| tokenizer.sequence(&tokens.ids()[window.tokens.clone()]));
//! let parts = inputs.map(|input| engine(&input.ids)).collect::<Result<Vec<_>, _>>()?;
//! let probabilities = stitch(scheme.len(), &windows, &parts)?.softmax()?;
//! let spans = decode(text, &tokens, &probabilities, &scheme, Aggregation::Simple)?;
//!
//! assert_eq!(&text[spans[0].begin..spans[0].end], "diabetes");
//! assert_eq!(OffsetMap::new(text).convert(spans[0].begin, OffsetUnit::UnicodeCodePoint), 2);
//! # Ok::<(), Box<dyn std::error::Error + Send + Sync>>(())
//! ```
#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

pub mod assertions;
pub mod cover;
pub mod decode;
pub mod drugs;
mod folding;
mod items;
pub mod labels;
mod languages;
pub mod lines;
pub mod logits;
pub mod merge;
pub mod nesting;
pub mod offsets;
mod patience;
mod pieces;
mod ranges;
pub mod readable;
pub mod sections;
mod sentences;
pub mod short_forms;
pub mod stretches;
pub mod terms;
#[cfg(test)]
mod testing;
pub mod tick_boxes;
pub mod tokenizer;
pub mod tokens;
pub mod windows;
pub mod words;

pub use assertions::{Asked, Assertion, assertions};
pub use cover::Cover;
pub use decode::{Aggregation, DecodeError, Span, decode};
pub use drugs::is_drug;
pub use labels::{LabelError, LabelScheme, Position, Tagging};
pub use languages::Spoken;
pub use lines::with_plain_lines;
pub use logits::{Logits, LogitsError, Probabilities, stitch};
pub use mednerd_abbreviations::{Definition, definitions};
pub use merge::{Mention, beside, merge, retain_confident};
pub use nesting::Nesting;
pub use offsets::{OffsetMap, OffsetUnit};
pub use readable::Readable;
pub use sections::{Section, section_at, sections, short_headings};
pub use stretches::{Candidate, Overlaps, TooMany};
pub use terms::{Term, TermError, Terms};
pub use tokenizer::{Sequence, SpecialToken, TextTokenizer, WordPieces};
pub use tokens::{ByteSpan, Token, TokenError, Tokens};
pub use windows::{Room, Window, WindowError, windows, word_windows};
pub use words::WordSplitter;
