//! Short forms that a text defines, "deep vein thrombosis (DVT)", "DVT (deep vein thrombosis)", and what they stand for.
//!
//! After Schwartz and Hearst, A simple algorithm for identifying abbreviation definitions in biomedical text (PSB
//! 2003), and, in trying several rules one after the other, the exact ones first, after Sohn, Comeau, Kim and Wilbur,
//! Abbreviation definition identification based on automatic precision estimates (BMC Bioinformatics 2008).
//!
//! ```
//! use mednerd_abbreviations::definitions;
//!
//! let text = "Seen for deep vein thrombosis (DVT) of the left leg.";
//! let found = definitions(text);
//! assert_eq!(&text[found[0].short.clone()], "DVT");
//! assert_eq!(&text[found[0].long.clone()], "deep vein thrombosis");
//! ```
#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod long_form;
mod short_form;

use std::ops::Range;

use long_form::long_form;
pub use short_form::{is_order, is_short_form, without_plural};

/// A short form and what it stands for, as bytes of the text, on the borders of characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Definition {
    /// The short form, "DVT".
    pub short: Range<usize>,
    /// The long form, "deep vein thrombosis".
    pub long: Range<usize>,
}

/// The longest text between brackets that is looked at, in bytes.
const MOST_WITHIN: usize = 160;
/// The longest text before a bracket that is looked at, in bytes.
const MOST_BEFORE: usize = 400;

/// The definitions in `text`, in the order of their brackets, one at most for each. In time linear in the text's length.
pub fn definitions(text: &str) -> Vec<Definition> {
    let brackets = text.char_indices().filter_map(|(open, c)| match c {
        '(' => Some((open, '(', ')')),
        '[' => Some((open, '[', ']')),
        _ => None,
    });
    let found = brackets.filter_map(|(open, left, right)| {
        let inner = inner(text, open + 1, left, right)?;
        behind(text, open, &inner)
            .or_else(|| within(text, &inner))
            .or_else(|| before(text, open, &inner))
    });
    found.collect()
}

/// "long form (SF)", "long form (SF; reference)".
fn behind(text: &str, open: usize, inner: &Range<usize>) -> Option<Definition> {
    let mut short_forms = each_part(text, inner)
        .filter(|part| is_short_form(&text[part.clone()]))
        .peekable();
    short_forms.peek()?;
    let phrase = phrase(text, open);
    short_forms.find_map(|short| {
        let long = long_form(text, &text[short.clone()], phrase.clone())?;
        Some(Definition { short, long })
    })
}

/// "(long form, SF)".
fn within(text: &str, inner: &Range<usize>) -> Option<Definition> {
    let comma = inner.start + text[inner.clone()].rfind([',', ';'])?;
    let short = trimmed(text, comma + 1..inner.end);
    let all = trimmed(text, inner.start..comma);
    let long = long_form(text, &text[short.clone()], all.clone())?;
    (long.start == all.start).then_some(Definition { short, long })
}

/// "SF (long form)", "SF (long form; reference)".
fn before(text: &str, open: usize, inner: &Range<usize>) -> Option<Definition> {
    let end = before_gap(text, open);
    let border = |c: char| c.is_whitespace() || matches!(c, '(' | '[' | ',');
    let start = text[..end].trim_end_matches(|c| !border(c)).len();
    each_part(text, inner).find_map(|all| {
        let of_several_words = text[all.clone()].contains([' ', '-']);
        let long = long_form(text, &text[start..end], all.clone()).filter(|_| of_several_words)?;
        (long.start == all.start).then_some(Definition {
            short: start..end,
            long,
        })
    })
}

/// All between the brackets, and what stands there before the first comma, semicolon, colon or sign of equality.
fn each_part(text: &str, inner: &Range<usize>) -> impl Iterator<Item = Range<usize>> {
    let within = &text[inner.clone()];
    let mut marks = within.match_indices([',', ';', ':', '=']);
    // "Fru-2,6-P" has a comma of its own.
    let mark = marks.find(|(at, mark)| within[at + mark.len()..].starts_with(char::is_whitespace));
    let first = mark.map(|(at, _)| inner.start..inner.start + at);
    let parts = std::iter::once(inner.clone()).chain(first);
    parts.map(|part| trimmed(text, part))
}

/// Without white space and quotation marks at both ends.
fn trimmed(text: &str, range: Range<usize>) -> Range<usize> {
    let outer =
        |c: char| c.is_whitespace() || matches!(c, '"' | '“' | '”' | '„' | '«' | '»' | '\'' | '‘' | '’');
    let end = range.start + text[range.clone()].trim_end_matches(outer).len();
    let start = end - text[range.start..end].trim_start_matches(outer).len();
    start..end
}

/// What stands between a bracket, of which `begin` is one past, and the one that closes it.
fn inner(text: &str, begin: usize, left: char, right: char) -> Option<Range<usize>> {
    let mut depth = 0;
    let rest = &text[begin..];
    for (at, c) in rest.char_indices().take_while(|(at, _)| *at <= MOST_WITHIN) {
        if c == left {
            depth += 1;
        } else if c == right {
            if depth == 0 {
                return Some(begin..begin + at);
            }
            depth -= 1;
        }
    }
    None
}

/// What stands before `end` in its sentence.
fn phrase(text: &str, end: usize) -> Range<usize> {
    let end = before_gap(text, end);
    let start = text.ceil_char_boundary(end.saturating_sub(MOST_BEFORE));
    let before = &text[start..end];
    let mut marks = before.rmatch_indices(['.', '!', '?', ';', '\n']);
    let border = marks.find(|(at, mark)| {
        let (head, tail) = (&before[..*at], &before[at + mark.len()..]);
        match *mark {
            "\n" => !goes_on(head, tail),
            ";" => tail.starts_with(' '),
            // "E. coli", "T. kodakaraensis"
            _ => {
                tail.starts_with(' ')
                    && tail.trim_start().starts_with(char::is_uppercase)
                    && !head.ends_with(char::is_uppercase)
            }
        }
    });
    let begin = border.map_or(start, |(at, mark)| start + at + mark.len());
    trimmed(text, begin..end)
}

/// Back over white space, with the end of one line at most.
fn before_gap(text: &str, end: usize) -> usize {
    let blank = [' ', '\t', '\r'];
    let line = text[..end].trim_end_matches(blank);
    line.strip_suffix('\n')
        .unwrap_or(line)
        .trim_end_matches(blank)
        .len()
}

/// Whether a sentence goes on over the end of a line.
fn goes_on(line: &str, next: &str) -> bool {
    let blank = [' ', '\t', '\r'];
    let ends = line.trim_end_matches(blank);
    ends.ends_with(|c: char| c.is_alphanumeric() || matches!(c, ',' | '-'))
        && next.trim_start_matches(blank).starts_with(char::is_lowercase)
}

#[cfg(test)]
mod tests;
