//! What plugins take and give, as plain Rust: vendors, hosts and the daemon use the same types.

use serde::{Deserialize, Serialize};

use crate::contract;

/// Ids of the abilities that this version knows.
pub mod ability {
    /// Mentions to concepts.
    pub const NORMALIZER: &str = "mednerd.normalizer/1";
    /// A NER task on a base model.
    pub const ADAPTER: &str = "mednerd.adapter/1";
    /// A document format.
    pub const DOCUMENT: &str = "mednerd.document/1";
    /// All of them.
    pub const ALL: [&str; 3] = [NORMALIZER, ADAPTER, DOCUMENT];
}

/// The ABI's major version.
pub const ABI_MAJOR: u32 = 1;

/// What a plugin is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct About {
    /// As in its manifest.
    pub id: String,
    /// As in its manifest.
    pub version: String,
    /// Ids of its abilities.
    pub abilities: Vec<String>,
}

/// A note with the mentions found in it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Document<'a> {
    /// All of it.
    pub text: &'a str,
    /// In the order of the text; they may overlap and nest.
    #[serde(borrow)]
    pub mentions: Vec<Mention<'a>>,
}

impl<'a> Document<'a> {
    /// The text of a mention; empty where its offsets are not of this document.
    pub fn mention_text(&self, mention: &Mention<'_>) -> &'a str {
        self.text.get(mention.begin..mention.end).unwrap_or_default()
    }
}

/// A mention of something. Offsets are UTF-8 bytes on character boundaries.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Mention<'a> {
    /// First byte.
    pub begin: usize,
    /// One past the last byte.
    pub end: usize,
    /// The entity type, as the model names it.
    pub label: &'a str,
    /// The model's probability.
    pub score: f32,
    /// The section it stands in, where known: `medications` for instance. ABI.md lists the names.
    pub section: Option<&'a str>,
}

/// What is wanted of the candidates.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NormalizeOptions {
    /// At most so many for each mention; at least 1.
    pub top_k: usize,
    /// Only of these vocabularies; all where empty.
    pub vocabularies: Vec<String>,
}

impl NormalizeOptions {
    /// Whether candidates of this vocabulary are wanted.
    pub fn wants(&self, vocabulary: &str) -> bool {
        self.vocabularies.is_empty() || self.vocabularies.iter().any(|wanted| wanted == vocabulary)
    }
}

/// A vocabulary and its version, such as `UMLS` and `2026AA`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vocabulary {
    /// Its name, which requests may name.
    pub name: String,
    /// Its version.
    pub version: String,
}

/// A candidate for a mention.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Concept {
    /// Within the vocabulary.
    pub id: String,
    /// The vocabulary's name, as declared.
    pub vocabulary: String,
    /// The preferred name.
    pub name: String,
    /// Such as `T047`.
    #[serde(deserialize_with = "contract::short_list")]
    pub semantic_types: Vec<String>,
    /// Confidence, 0 to 1.
    pub score: f32,
    /// How it was found, such as `exact`: [a name](crate::contract::is_name).
    pub match_kind: String,
    /// The same concept in other code systems.
    #[serde(deserialize_with = "contract::short_list")]
    pub codings: Vec<Coding>,
}

/// A code, as FHIR's `Coding`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Coding {
    /// URI of the code system.
    pub system: String,
    /// The code.
    pub code: String,
    /// What the code system calls it.
    pub display: String,
}

/// A NER task that an adapter brings.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Task {
    /// What requests call it: [a name](crate::contract::is_name).
    pub name: String,
    /// SHA-256 over the base model's files, as `GET /v1/models` tells it.
    pub base: String,
    /// Entity types, without `B-` and `I-`.
    pub labels: Vec<String>,
    /// Whether [`Adapter::refine`](crate::Adapter::refine) shall be asked.
    pub refines: bool,
}

/// A PEFT directory, file by file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AdapterFiles {
    /// `adapter_config.json`. The labels of the head's outputs are its `id2label`, as in a `config.json`, or else the
    /// base's.
    pub config: Vec<u8>,
    /// `adapter_model.safetensors`: LoRA tensors and classification head.
    pub tensors: Vec<u8>,
}

/// A span with its entity type.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Span {
    /// First byte.
    pub begin: usize,
    /// One past the last byte.
    pub end: usize,
    /// The entity type.
    pub label: String,
    /// Probability.
    pub score: f32,
}

/// A document's text and where each part of it comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decoded {
    /// What models read.
    pub text: String,
    /// Cover the text without gaps, in order, and go forward in the source.
    pub pieces: Vec<Piece>,
}

impl Decoded {
    /// Appends text that stands in the source as it is.
    pub fn copy(&mut self, text: &str, source_begin: usize) {
        self.piece(text, source_begin, source_begin + text.len());
    }

    /// Appends text that was made of `source_begin..source_end`.
    pub fn replace(&mut self, text: &str, source_begin: usize, source_end: usize) {
        self.piece(text, source_begin, source_end);
    }

    fn piece(&mut self, text: &str, source_begin: usize, source_end: usize) {
        let text_begin = self.text.len();
        self.text.push_str(text);
        if !text.is_empty() {
            self.pieces.push(Piece {
                text_begin,
                text_end: self.text.len(),
                source_begin,
                source_end,
            });
        }
    }

    /// Where a span of the text stands in the source: from the first byte of what its first character was made of to the
    /// last byte of what its last one was. Takes every piece that is as long as its source for equal to it, having no source
    /// to compare; mednerd compares.
    pub fn source(&self, begin: usize, end: usize) -> Option<(usize, usize)> {
        let holder = |at: usize| {
            let after = self.pieces.partition_point(|piece| piece.text_end <= at);
            self.pieces.get(after).filter(|piece| piece.text_begin <= at)
        };
        let last = holder(end.checked_sub(1).filter(|_| begin < end)?)?;
        let first = holder(begin)?;
        let first = match first.is_copy() {
            true => first.source_begin + (begin - first.text_begin),
            false => first.source_begin,
        };
        let last = match last.is_copy() {
            true => last.source_end - (last.text_end - end),
            false => last.source_end,
        };
        Some((first, last))
    }
}

/// A part of a text and the bytes it was made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Piece {
    /// First byte in the text.
    pub text_begin: usize,
    /// One past the last byte in the text.
    pub text_end: usize,
    /// First byte in the source.
    pub source_begin: usize,
    /// One past the last byte in the source.
    pub source_end: usize,
}

impl Piece {
    /// Whether the piece is as long as its source. Where it is equal to it as well, byte by byte, a word in it has a place
    /// of its own; any other piece is indivisible.
    pub fn is_copy(&self) -> bool {
        self.text_end - self.text_begin == self.source_end - self.source_begin
    }
}

/// Why a plugin did not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{}", self.sentence())]
pub struct Error {
    /// What kind of failure.
    pub kind: ErrorKind,
    /// The vendor's own number; 0 where there is none.
    pub code: i32,
    /// For the administrator. Kept only where it comes from opening a plugin, before it has seen any note.
    pub message: String,
}

/// The kinds of failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ErrorKind {
    /// The settings are wrong.
    Settings,
    /// Something that is needed is not there.
    Unavailable,
    /// The input is not what it says it is.
    Input,
    /// Stopped because nobody waits any more.
    Cancelled,
    /// A defect of the plugin.
    Internal,
    /// A panic in the plugin.
    Panic,
}

impl Error {
    fn new(kind: ErrorKind, code: i32, message: impl Into<String>) -> Self {
        Self {
            kind,
            code,
            message: message.into(),
        }
    }

    /// The settings are wrong; `message` tells the administrator what to write.
    pub fn settings(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Settings, 0, message)
    }

    /// Something that is needed is not there. The message reaches the administrator from `open` alone.
    pub fn unavailable(code: i32, message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Unavailable, code, message)
    }

    /// The input is not what it says it is.
    pub fn input(code: i32) -> Self {
        Self::new(ErrorKind::Input, code, "")
    }

    /// The call was cancelled; [`Call::check`](crate::Call::check) gives this.
    pub fn cancelled() -> Self {
        Self::new(ErrorKind::Cancelled, 0, "")
    }

    /// A defect of the plugin.
    pub fn internal(code: i32) -> Self {
        Self::new(ErrorKind::Internal, code, "")
    }

    /// A panic in the plugin.
    pub fn panic() -> Self {
        Self::new(ErrorKind::Panic, 0, "")
    }

    /// The same without its message: after notes have been seen it could hold their text.
    pub fn mute(mut self) -> Self {
        self.message = String::new();
        self
    }

    fn sentence(&self) -> String {
        let kind = match self.kind {
            ErrorKind::Settings => "the settings are wrong",
            ErrorKind::Unavailable => "something that it needs is not there",
            ErrorKind::Input => "the input is not what it says it is",
            ErrorKind::Cancelled => "it was cancelled",
            ErrorKind::Internal => "it failed",
            ErrorKind::Panic => "it panicked",
        };
        let code = match self.code {
            0 => String::new(),
            code => format!(" (code {code})"),
        };
        match self.message.is_empty() {
            true => format!("{kind}{code}"),
            false => format!("{kind}{code}: {}", self.message),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_of_the_text_is_found_in_the_source() {
        // HL7: "A\T\B é" is "A&B é".
        let mut decoded = Decoded::default();
        decoded.copy("A", 0);
        decoded.replace("&", 1, 4);
        decoded.copy("B é", 4);
        assert_eq!(decoded.text, "A&B é");
        assert_eq!(decoded.source(0, 1), Some((0, 1)));
        assert_eq!(decoded.source(0, 3), Some((0, 5)));
        assert_eq!(decoded.source(1, 2), Some((1, 4)));
        assert_eq!(decoded.source(2, 6), Some((4, 8)));
        assert_eq!(decoded.source(2, 2), None);
        assert_eq!(decoded.source(2, 7), None);
    }
}
