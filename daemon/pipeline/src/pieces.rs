//! Cuts a long text into pieces that tokenise on their own as they do within the whole. Which places are safe
//! depends on the tokenizer and is found out by trying (see `tokenizer`); this file knows only bytes.

use std::ops::Range;

/// Where a tokenizer's input may be cut without changing its output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CutRule {
    /// Before every run of white space that begins with an ASCII one: tokenizers that drop whitespace, such
    /// as BERT's.
    AnyWhitespace,
    /// Before a single space between a graphic ASCII character and an alphanumeric one: tokenizers whose
    /// tokens carry the space before them, such as byte-level BPE and SentencePiece.
    SingleSpace,
    /// Nowhere.
    Never,
}

impl CutRule {
    fn allows(self, text: &str, at: usize) -> bool {
        let Some(here) = text.as_bytes().get(at).filter(|here| here.is_ascii_whitespace()) else {
            return false;
        };
        let Some(before) = text.get(..at).and_then(|before| before.chars().next_back()) else {
            return false;
        };
        match self {
            Self::AnyWhitespace => !before.is_whitespace(),
            Self::SingleSpace => {
                *here == b' '
                    && before.is_ascii_graphic()
                    && text.as_bytes().get(at + 1).is_some_and(u8::is_ascii_alphanumeric)
            }
            Self::Never => false,
        }
    }
}

/// Longest piece, in bytes. Text without a safe place over so long a stretch is no language; it is cut all
/// the same, because `tokenizers` needs some 500 bytes for a byte of the worst text.
pub(crate) const LIMIT: usize = 256 * 1024;

/// Byte ranges that cover `text` in order, each about `target` bytes long where the text can be cut that
/// short, and never longer than [`LIMIT`].
pub(crate) fn pieces(text: &str, rule: CutRule, target: usize) -> impl Iterator<Item = Range<usize>> + '_ {
    let mut begin = 0;
    std::iter::from_fn(move || {
        if begin >= text.len() {
            return None;
        }
        let end = next_cut(text, begin, rule, target);
        let piece = begin..end;
        begin = end;
        Some(piece)
    })
}

/// The last safe place in the second half of the target length, or else the first one after it, or else a
/// forced cut.
fn next_cut(text: &str, begin: usize, rule: CutRule, target: usize) -> usize {
    let limit = text.floor_char_boundary(begin.saturating_add(LIMIT));
    let ideal = begin.saturating_add(target.max(1)).min(limit);
    if ideal >= text.len() {
        return text.len();
    }
    let earliest = (begin + target / 2).clamp(begin + 1, ideal);
    let safe = |at: &usize| rule.allows(text, *at);
    let found = (earliest..=ideal)
        .rev()
        .find(safe)
        .or_else(|| (ideal + 1..=limit).find(safe));
    found.unwrap_or_else(|| {
        if limit == text.len() {
            limit
        } else {
            forced_cut(text, begin, limit)
        }
    })
}

/// Before the last white space of the longest piece, or else at its end.
fn forced_cut(text: &str, begin: usize, limit: usize) -> usize {
    let space = |at: &usize| CutRule::AnyWhitespace.allows(text, *at);
    (begin + LIMIT / 2..=limit).rev().find(space).unwrap_or(limit)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing::messy_text;

    #[test]
    fn cuts_lie_where_the_rule_says() {
        let cut = |text, rule, target| {
            pieces(text, rule, target)
                .map(|r| text[r].to_string())
                .collect::<Vec<_>>()
        };
        assert_eq!(
            cut("one two  three", CutRule::AnyWhitespace, 5),
            ["one", " two", "  three"]
        );
        assert_eq!(
            cut("one two  three", CutRule::SingleSpace, 1),
            ["one", " two  three"]
        );
        assert_eq!(cut("one two", CutRule::Never, 1), ["one two"]);
        assert!(cut("", CutRule::AnyWhitespace, 5).is_empty());
    }

    #[test]
    fn text_without_a_safe_place_is_cut_all_the_same() {
        let lengths = |text: &str, rule| pieces(text, rule, 100).map(|r| r.len()).collect::<Vec<_>>();
        assert_eq!(
            lengths(&"\u{1F9B4}".repeat(LIMIT / 4 + 1), CutRule::AnyWhitespace),
            [LIMIT, 4]
        );
        assert_eq!(
            lengths(&"\u{20AC}".repeat(LIMIT / 3 + 1), CutRule::Never),
            [LIMIT - 1, 3]
        );
        assert_eq!(lengths(&"a".repeat(LIMIT), CutRule::SingleSpace), [LIMIT]);
        let spaced = format!("{} {}", "a".repeat(LIMIT - 9), "b".repeat(20));
        assert_eq!(lengths(&spaced, CutRule::Never), [LIMIT - 9, 21]);
    }

    proptest! {
        #[test]
        fn pieces_cover_the_text(text in messy_text(200), target in 0usize..40) {
            for rule in [CutRule::AnyWhitespace, CutRule::SingleSpace, CutRule::Never] {
                let joined: String = pieces(&text, rule, target).map(|range| &text[range]).collect();
                prop_assert_eq!(&joined, &text);
            }
        }
    }
}
