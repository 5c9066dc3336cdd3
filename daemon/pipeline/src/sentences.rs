//! How good a place each token is to cut a clinical note before it: paragraph, sentence, line, space, word.
//! Used to choose window borders, where a wrong guess costs a little context and never a wrong offset; and by assertions, which know
//! mentions as well and end a sentence behind some abbreviations that keep their full stop here.

use crate::items::begins_item;
use crate::tokens::Tokens;

/// What ends where a token begins; a later one is a better place to cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Break {
    /// Nothing: the token shares a character with the one before.
    Character,
    /// A word piece.
    Piece,
    /// A word, without white space after it (`non-small-cell`).
    Word,
    /// A word, with white space after it.
    Space,
    /// A line that may well be continued on the next (hard-wrapped text).
    Line,
    /// A sentence, a list item, or a line that is clearly complete.
    Sentence,
    /// A paragraph: a blank line follows.
    Paragraph,
}

/// Words whose full stop does not end a sentence, in lower case and without it, sorted.
const ABBREVIATIONS: [&str; 117] = [
    "aanw",
    "abd",
    "adm",
    "al",
    "amp",
    "amt",
    "anamn",
    "angiogr",
    "approx",
    "apr",
    "apt",
    "aug",
    "av",
    "ave",
    "avg",
    "bid",
    "bilat",
    "bldg",
    "ca",
    "cap",
    "caps",
    "cc",
    "cf",
    "chem",
    "cm",
    "co",
    "conc",
    "cont",
    "dec",
    "dept",
    "dr",
    "duplexsonogr",
    "echogr",
    "ed",
    "eg",
    "est",
    "etc",
    "eval",
    "ext",
    "feb",
    "fig",
    "fragl",
    "freq",
    "ft",
    "gen",
    "gm",
    "gtt",
    "histol",
    "hosp",
    "hr",
    "hrs",
    "hx",
    "ie",
    "incl",
    "inj",
    "jan",
    "jr",
    "kardiol",
    "kg",
    "lab",
    "lb",
    "lbs",
    "lt",
    "makroskop",
    "mar",
    "max",
    "mcg",
    "meds",
    "mg",
    "mgl",
    "mikroskop",
    "ml",
    "mm",
    "mr",
    "mrs",
    "ms",
    "mögl",
    "neg",
    "neurol",
    "nov",
    "nr",
    "oct",
    "oz",
    "pos",
    "poss",
    "prn",
    "prob",
    "prof",
    "pt",
    "pts",
    "pulm",
    "qd",
    "qid",
    "radiogr",
    "radiol",
    "ref",
    "resp",
    "rt",
    "rx",
    "sept",
    "soln",
    "sonogr",
    "sosp",
    "sr",
    "st",
    "susp",
    "tab",
    "tabs",
    "temp",
    "tid",
    "verd",
    "vol",
    "vs",
    "wahrsch",
    "wt",
    "zuh",
    "zust",
];

/// Longest stretch before a full stop that is looked at, in bytes.
const LONGEST_ABBREVIATION: usize = 16;

/// The break before each token; the first token has none before it and counts as a paragraph.
///
/// A token that is nothing but white space (byte-level vocabularies) is never the better place: the break
/// stands before the word that follows it.
pub(crate) fn breaks(text: &str, tokens: &Tokens) -> Vec<Break> {
    let mut found = Vec::with_capacity(tokens.len());
    let mut last_end = 0;
    // End of the last token that is not white space.
    let mut visible_end = 0;
    let mut last_word = None;
    for (span, &word) in tokens.spans().iter().zip(tokens.words()) {
        let slice = text.get(span.range()).unwrap_or_default();
        let visible = slice.contains(|c: char| !c.is_whitespace());
        let gap = text.get(visible_end..span.begin).unwrap_or_default();
        found.push(if last_word.is_none() {
            Break::Paragraph
        } else if span.begin < last_end {
            Break::Character
        } else if visible && (gap.contains(char::is_whitespace) || ends_wide_sentence(text, visible_end)) {
            after_gap(text, visible_end, gap, span.begin)
        } else if last_word == Some(word) {
            Break::Piece
        } else if visible {
            Break::Word
        } else {
            Break::Space
        });
        last_word = Some(word);
        last_end = span.end;
        if visible {
            visible_end = span.end;
        }
    }
    found
}

/// The break between two words, of which the first ends and the second begins at these bytes, with white space between them.
pub(crate) fn between(text: &str, left_end: usize, right_begin: usize) -> Break {
    let gap = text.get(left_end..right_begin).unwrap_or_default();
    after_gap(text, left_end, gap, right_begin)
}

/// Whether a full stop ends this text that nothing before it needs.
pub(crate) fn ends_with_full_stop(text: &str) -> bool {
    text.strip_suffix('.')
        .is_some_and(|before| !keeps_full_stop(before))
}

/// Full stops of scripts that put no space after them.
fn ends_wide_sentence(text: &str, end: usize) -> bool {
    let before = text.get(..end).unwrap_or_default();
    before.ends_with(['\u{3002}', '\u{FF01}', '\u{FF1F}', '\u{FF0E}', '\u{FF61}'])
}

fn after_gap(text: &str, left_end: usize, gap: &str, right_begin: usize) -> Break {
    let left = text.get(..left_end).unwrap_or_default();
    let right = text.get(right_begin..).unwrap_or_default();
    match line_breaks(gap) {
        0 if ends_sentence(left, right) => Break::Sentence,
        0 => Break::Space,
        1 if ends_sentence(left, right) || left.ends_with([':', ';']) || begins_item(right) => {
            Break::Sentence
        }
        1 => Break::Line,
        _ => Break::Paragraph,
    }
}

/// Line breaks of any kind in a gap; CR LF is one.
fn line_breaks(gap: &str) -> usize {
    let mut count = 0;
    let mut last = ' ';
    for c in gap.chars() {
        let breaks = matches!(
            c,
            '\n' | '\r' | '\u{B}' | '\u{C}' | '\u{85}' | '\u{2028}' | '\u{2029}'
        );
        count += usize::from(breaks && !(c == '\n' && last == '\r'));
        count += usize::from(c == '\u{2029}');
        last = c;
    }
    count
}

/// Whether `left` ends with a sentence, seeing that `right` follows after white space.
fn ends_sentence(left: &str, right: &str) -> bool {
    let closed = left.trim_end_matches([')', ']', '}', '"', '\'', '\u{201D}', '\u{2019}', '\u{BB}']);
    let goes_on = right.starts_with(|c: char| {
        c.is_lowercase() || matches!(c, ',' | ';' | '.' | ':' | '/' | '%' | '=' | '<' | '>')
    });
    match closed.chars().next_back() {
        Some('!' | '?' | '\u{2026}') => !goes_on,
        Some(
            '\u{3002}' | '\u{FF01}' | '\u{FF1F}' | '\u{FF0E}' | '\u{FF61}' | '\u{964}' | '\u{61F}'
            | '\u{6D4}',
        ) => true,
        Some('.') => !goes_on && !closed.strip_suffix('.').is_some_and(keeps_full_stop),
        _ => false,
    }
}

/// Whether what stands before a full stop needs it: `Dr`, `q.d`, an initial, the number of a list item.
fn keeps_full_stop(before: &str) -> bool {
    let from = before.ceil_char_boundary(before.len().saturating_sub(LONGEST_ABBREVIATION));
    let tail = before.get(from..).unwrap_or_default();
    let word = tail
        .rsplit(|c: char| c.is_whitespace() || "([{\"'/\u{201C}".contains(c))
        .next()
        .unwrap_or_default();
    let mut characters = word.chars();
    match (characters.next(), characters.next()) {
        (None, _) => false,
        (Some(only), None) => only.is_alphabetic() || (only.is_ascii_digit() && begins_line(before, word)),
        _ if word.bytes().all(|b| b.is_ascii_digit()) => word.len() <= 3 && begins_line(before, word),
        _ if word.contains('.') => word
            .split('.')
            .all(|part| (1..=2).contains(&part.chars().count()) && part.chars().all(char::is_alphabetic)),
        _ => ABBREVIATIONS.binary_search(&word.to_lowercase().as_str()).is_ok(),
    }
}

fn begins_line(before: &str, word: &str) -> bool {
    let line = before
        .strip_suffix(word)
        .unwrap_or_default()
        .trim_end_matches([' ', '\t', '(']);
    line.is_empty() || line.ends_with(['\n', '\r'])
}

#[cfg(test)]
mod tests {
    use tokenizers::pre_tokenizers::metaspace::PrependScheme;

    use super::*;
    use crate::testing::{bert, byte_level, metaspace};

    /// The text with a mark where the tokens of BERT have a break of at least `least` before them.
    fn cut(text: &str, least: Break) -> Vec<String> {
        let tokens = bert(true).tokenise(text).unwrap();
        let places: Vec<usize> = std::iter::zip(breaks(text, &tokens), tokens.spans())
            .filter(|&(found, _)| found >= least)
            .map(|(_, span)| span.begin)
            .chain([text.len()])
            .collect();
        places
            .windows(2)
            .map(|pair| text[pair[0]..pair[1]].trim_end().to_string())
            .collect()
    }

    #[test]
    fn abbreviations_are_sorted() {
        assert!(ABBREVIATIONS.is_sorted());
    }

    #[test]
    fn sentences_end_where_a_reader_says() {
        let sentences = |text: &str| cut(text, Break::Sentence);
        assert_eq!(
            sentences("No pain. Pt stable! Why? (See below.) Ok"),
            ["No pain.", "Pt stable!", "Why?", "(See below.)", "Ok"]
        );
        for whole in [
            "Seen by Dr. Smith and J. Doe today",
            "Metformin 500 mg. Twice b.i.d. With food q.d. Daily",
            "Aspirin vs. Placebo at 2.5 mg",
            "e.g. Tylenol approx. 3 tabs. Then rest",
            "it was 5. then less",
            "fever... and chills",
        ] {
            assert_eq!(sentences(whole), [whole]);
        }
        assert_eq!(sentences("Temp was 38. Pulse 90"), ["Temp was 38.", "Pulse 90"]);
        assert_eq!(
            sentences("\u{7cd6}\u{5c3f}\u{3002}\u{7cd6}"),
            ["\u{7cd6}\u{5c3f}\u{3002}", "\u{7cd6}"]
        );
    }

    #[test]
    fn lines_lists_and_paragraphs() {
        let text = "MEDS:\n1. Aspirin 81 mg\n2. Metformin\r\n- rest\nand fluids.\nDone\n\nPlan\r\n \r\nend";
        assert_eq!(
            cut(text, Break::Sentence),
            [
                "MEDS:",
                "1. Aspirin 81 mg",
                "2. Metformin",
                "- rest\nand fluids.",
                "Done",
                "Plan",
                "end"
            ]
        );
        assert_eq!(
            cut(text, Break::Paragraph),
            [&text[..text.find("\n\n").unwrap()], "Plan", "end"]
        );
        assert_eq!(cut("one\ntwo three", Break::Line), ["one", "two three"]);
    }

    #[test]
    fn words_pieces_and_characters() {
        use Break::{Character, Paragraph, Piece, Space, Word};
        let of = |text: &str| breaks(text, &bert(true).tokenise(text).unwrap());
        assert_eq!(
            of("metformin-ab the"),
            [Paragraph, Piece, Word, Word, Piece, Space]
        );
        let bytes = byte_level(false, true);
        let of = |text: &str| breaks(text, &bytes.tokenise(text).unwrap());
        assert_eq!(
            of("the\n\nthe"),
            [Paragraph, Space, Space, Paragraph][..3]
                .iter()
                .copied()
                .chain([Paragraph])
                .collect::<Vec<_>>()
        );
        assert_eq!(
            of("a \u{1F9B4}")[1..],
            [Space, Space, Character, Character, Character]
        );
        let text = "the the";
        let tokens = metaspace(PrependScheme::Always, true).tokenise(text).unwrap();
        assert_eq!(breaks(text, &tokens), [Paragraph, Space]);
    }
}
