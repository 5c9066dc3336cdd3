//! Words as they are compared: small letters without accents.

use std::ops::Range;

/// A ligature of three bytes, as PDF files have them, and its letters.
pub fn letters(c: char) -> Option<&'static str> {
    Some(match c {
        '\u{fb00}' => "ff",
        '\u{fb01}' => "fi",
        '\u{fb02}' => "fl",
        '\u{fb03}' => "ffi",
        '\u{fb04}' => "ffl",
        '\u{fb05}' | '\u{fb06}' => "st",
        _ => return None,
    })
}

/// Appends what a small letter with an accent is compared as; whether it is one.
pub fn push_without_accent(c: char, to: &mut String) -> bool {
    to.push_str(match c {
        'à' | 'á' | 'â' | 'ã' | 'ä' | 'å' => "a",
        'ç' => "c",
        'è' | 'é' | 'ê' | 'ë' => "e",
        'ì' | 'í' | 'î' | 'ï' => "i",
        'ñ' => "n",
        'ò' | 'ó' | 'ô' | 'õ' | 'ö' => "o",
        'ù' | 'ú' | 'û' | 'ü' => "u",
        'ß' => "ss",
        'æ' => "ae",
        'œ' => "oe",
        c => match letters(c) {
            Some(letters) => letters,
            None => return false,
        },
    });
    true
}

/// Where a word may be divided at the end of a line; nothing to see elsewhere.
const SOFT_HYPHEN: char = '\u{ad}';

/// The words of a text, as ranges of its bytes: letters, digits, the marks upon them and soft hyphens between them side by side, or one other character that is no
/// white space.
pub fn words(text: &str) -> impl Iterator<Item = Range<usize>> {
    let mut rest = text.char_indices().peekable();
    std::iter::from_fn(move || {
        let (begin, first) = rest.find(|(_, c)| !c.is_whitespace() && *c != SOFT_HYPHEN)?;
        let mut end = begin + first.len_utf8();
        if is_part(first) {
            while let Some((at, c)) = rest.next_if(|(_, c)| is_part(*c) || *c == SOFT_HYPHEN) {
                if c != SOFT_HYPHEN {
                    end = at + c.len_utf8();
                }
            }
        }
        Some(begin..end)
    })
}

/// Whether a character is part of a word: letters, digits, and marks upon them.
pub fn is_part(c: char) -> bool {
    c.is_alphanumeric() || ('\u{300}'..='\u{36f}').contains(&c)
}

/// Appends a word as words are compared: small letters without accents, and one sign for each apostrophe and each dash.
pub fn fold(word: &str, to: &mut String) {
    for c in word.chars().flat_map(char::to_lowercase) {
        match c {
            c if push_without_accent(c, to) => {}
            // As keyboards, word processors and text of Windows-1252 read as Latin-1 have it: "doesn´t".
            '\u{2018}' | '\u{2019}' | '\u{2032}' | '\u{b4}' | '`' | '\u{ff07}' | '\u{92}' => to.push('\''),
            // And a minus sign.
            '\u{2010}'..='\u{2015}' | '\u{2212}' => to.push('-'),
            '\u{300}'..='\u{36f}' | SOFT_HYPHEN => {}
            c => to.push(c),
        }
    }
}
