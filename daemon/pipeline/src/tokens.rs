//! The tokens of a whole document: ids, byte spans, words. Plain data with its invariants checked; how text
//! becomes tokens is in `tokenizer`.

use std::ops::Range;

use thiserror::Error;

/// Why a text could not be tokenised, or a tokenizer not be used. Never holds any part of a note.
#[derive(Debug, Error)]
pub enum TokenError {
    /// The tokenizer's own description is unusable; raised when it is loaded, before any note is seen.
    #[error("the tokenizer cannot be used: {0}")]
    Unusable(String),
    /// The tokenizer refused a stretch of text.
    #[error("the tokenizer failed on the {bytes} bytes of text from byte {begin} on")]
    Failed {
        /// Byte offset of the stretch.
        begin: usize,
        /// Its length in bytes.
        bytes: usize,
    },
    /// A token's span or word number breaks what [`Tokens`] promises.
    #[error("token {index} has a span or a word number that cannot be: {reason}")]
    Invalid {
        /// Position of the token in the document.
        index: usize,
        /// Which promise it breaks.
        reason: &'static str,
    },
}

/// Half-open range of UTF-8 bytes of the text as received.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ByteSpan {
    /// First byte.
    pub begin: usize,
    /// One past the last byte.
    pub end: usize,
}

impl ByteSpan {
    /// As a range, to slice the text with.
    pub fn range(self) -> Range<usize> {
        self.begin..self.end
    }
}

/// One content token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Token {
    /// Id in the model's vocabulary.
    pub id: u32,
    /// What it stands for in the text.
    pub span: ByteSpan,
    /// Number of the word it belongs to; see [`Tokens::words`].
    pub word: u32,
}

/// Content tokens of a whole document, without the model's special tokens.
///
/// Promises: spans are non-empty, lie on character boundaries of the text, and neither their begins nor their
/// ends ever decrease. Two spans overlap only where several tokens stand for one character (byte-level
/// vocabularies). Word numbers start at 0 and rise by 0 or 1.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tokens {
    text_bytes: usize,
    ids: Vec<u32>,
    spans: Vec<ByteSpan>,
    words: Vec<u32>,
}

impl Tokens {
    /// Checks `tokens` against `text`.
    ///
    /// # Errors
    /// [`TokenError::Invalid`] names the first token that breaks a promise of [`Tokens`].
    pub fn new(text: &str, tokens: impl IntoIterator<Item = Token>) -> Result<Self, TokenError> {
        let mut all = Self {
            text_bytes: text.len(),
            ..Self::default()
        };
        for (index, token) in tokens.into_iter().enumerate() {
            all.check_next(text, token)
                .map_err(|reason| TokenError::Invalid { index, reason })?;
            all.ids.push(token.id);
            all.spans.push(token.span);
            all.words.push(token.word);
        }
        Ok(all)
    }

    fn check_next(&self, text: &str, Token { span, word, .. }: Token) -> Result<(), &'static str> {
        if text.get(span.range()).is_none_or(str::is_empty) {
            return Err("the span is empty, out of bounds or off a character boundary");
        }
        if self
            .spans
            .last()
            .is_some_and(|last| span.begin < last.begin || span.end < last.end)
        {
            return Err("the span lies before its predecessor's");
        }
        match self.words.last() {
            None if word == 0 => Ok(()),
            Some(&last) if word == last || last.checked_add(1) == Some(word) => Ok(()),
            _ => Err("word numbers must start at 0 and rise by 0 or 1"),
        }
    }

    /// How many tokens there are.
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// Whether the text has no token at all (it is empty, or all of it is dropped by the tokenizer).
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// Vocabulary id of each token.
    pub fn ids(&self) -> &[u32] {
        &self.ids
    }

    /// Byte span of each token.
    pub fn spans(&self) -> &[ByteSpan] {
        &self.spans
    }

    /// Number of the word each token belongs to: what the aggregation strategies `first`, `average` and `max`
    /// give one label to. See [`crate::TextTokenizer::tokenise`] for what a word is.
    pub fn words(&self) -> &[u32] {
        &self.words
    }

    /// Length in bytes of the text that was tokenised.
    pub fn text_bytes(&self) -> usize {
        self.text_bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(begin: usize, end: usize, word: u32) -> Token {
        Token {
            id: 7,
            span: ByteSpan { begin, end },
            word,
        }
    }

    #[test]
    fn promises_are_checked() {
        let text = "a\u{e9}b";
        assert_eq!(
            Tokens::new(text, [token(0, 1, 0), token(1, 3, 0), token(3, 4, 1)])
                .unwrap()
                .len(),
            3
        );
        for bad in [
            vec![token(0, 0, 0)],
            vec![token(0, 2, 0)],
            vec![token(3, 5, 0)],
            vec![token(1, 3, 0), token(0, 3, 0)],
            vec![token(0, 3, 0), token(0, 1, 0)],
            vec![token(0, 1, 1)],
            vec![token(0, 1, 0), token(1, 3, 2)],
        ] {
            let index = bad.len() - 1;
            assert!(
                matches!(Tokens::new(text, bad), Err(TokenError::Invalid { index: at, .. }) if at == index)
            );
        }
    }
}
