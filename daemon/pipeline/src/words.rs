//! Text to the words of a zero-shot model, as the `gliner` package splits it. What a tokenizer makes of them is in
//! `tokenizer`.

use fancy_regex::Regex;

use crate::tokens::{ByteSpan, TokenError};

/// Letters, digits and underscores, also with hyphens and underscores between them; or else one character that is no
/// white space. The classes are those of Python's `re`, which counts four control characters as white space.
const WORD: &str = r"[\p{L}\p{N}_]+(?:[-_][\p{L}\p{N}_]+)*|[^\s\x1c-\x1f]";

/// Splits texts into words.
#[derive(Clone, Debug)]
pub struct WordSplitter {
    word: Regex,
}

impl WordSplitter {
    /// A splitter.
    ///
    /// # Errors
    /// [`TokenError::Unusable`] where the pattern cannot be compiled, which does not depend on any input.
    pub fn new() -> Result<Self, TokenError> {
        let word = Regex::new(WORD).map_err(|error| TokenError::Unusable(error.to_string()))?;
        Ok(Self { word })
    }

    /// The words of a text, in order. They do not overlap and hold no white space.
    ///
    /// # Errors
    /// [`TokenError::Failed`] where the pattern cannot be applied.
    pub fn split(&self, text: &str) -> Result<Vec<ByteSpan>, TokenError> {
        let failed = TokenError::Failed {
            begin: 0,
            bytes: text.len(),
        };
        let spans = self.word.find_iter(text).map(|found| {
            found.map(|found| ByteSpan {
                begin: found.start(),
                end: found.end(),
            })
        });
        spans.collect::<Result<_, _>>().map_err(|_| failed)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing::messy_text;

    fn words(text: &str) -> Vec<&str> {
        let spans = WordSplitter::new().unwrap().split(text).unwrap();
        spans.into_iter().map(|span| &text[span.range()]).collect()
    }

    /// What `re.findall(r"\w+(?:[-_]\w+)*|\S", text)` of Python 3.11 gives.
    #[test]
    fn words_are_those_of_the_reference() {
        assert_eq!(
            words("ICD-10 J44.1, b_c 5mg."),
            ["ICD-10", "J44", ".", "1", ",", "b_c", "5mg", "."]
        );
        assert_eq!(
            words("-- __ a--b a-_b _c- -d"),
            ["-", "-", "__", "a", "-", "-", "b", "a-_b", "_c", "-", "-", "d"]
        );
        assert_eq!(
            words("caf\u{e9} cafe\u{301} \u{b5}g x\u{b2} \u{2160} \u{bd}"),
            [
                "caf\u{e9}",
                "cafe",
                "\u{301}",
                "\u{b5}g",
                "x\u{b2}",
                "\u{2160}",
                "\u{bd}"
            ]
        );
        assert_eq!(
            words("\u{1f600}\u{24b6} \u{7cd6}\u{5c3f}\u{75c5}"),
            ["\u{1f600}", "\u{24b6}", "\u{7cd6}\u{5c3f}\u{75c5}"]
        );
        assert_eq!(
            words("a\u{a0}b\u{85}c\u{1c}d\u{200b}e\0f"),
            ["a", "b", "c", "d", "\u{200b}", "e", "\0", "f"]
        );
        assert_eq!(words("\u{e44}\u{e02}\u{e49}"), ["\u{e44}\u{e02}", "\u{e49}"]);
        assert!(words(" \n\t").is_empty());
    }

    proptest! {
        #[test]
        fn every_visible_character_is_in_one_word(text in messy_text(300)) {
            let spans = WordSplitter::new().unwrap().split(&text).unwrap();
            let mut covered = 0;
            for span in &spans {
                prop_assert!(span.begin >= covered && span.end > span.begin);
                let space = |c: char| c.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&c);
                let between = &text[covered..span.begin];
                prop_assert!(between.chars().all(space));
                prop_assert!(!text[span.range()].contains(char::is_whitespace));
                covered = span.end;
            }
        }
    }
}
