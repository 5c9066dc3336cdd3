//! Words as they are compared: small letters without accents.

pub(crate) use mednerd_languages::{fold, is_part, letters, push_without_accent};

use crate::tokens::ByteSpan;

/// The words of a text: letters, digits, the marks upon them and soft hyphens between them side by side, or one other character that is no
/// white space.
pub(crate) fn words(text: &str) -> impl Iterator<Item = ByteSpan> {
    let spans = mednerd_languages::words(text);
    spans.map(|word| ByteSpan {
        begin: word.start,
        end: word.end,
    })
}
