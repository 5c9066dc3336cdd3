//! The lines of a text, however it ends them: systems write LF, CR LF, CR alone, NEL (from mainframes), and the soft breaks of word
//! processors.

use std::borrow::Cow;

/// The text with each line break as `\n`, or as it is where it is CR LF, and without byte order marks before a line: as long, with
/// spaces for what is left over, so that every offset on a border of the text's characters holds in both.
///
/// What reads lines, as sections and assertions do, is given this, and knows of no other line break than `\n`.
pub fn with_plain_lines(text: &str) -> Cow<'_, str> {
    let mut changed: Option<String> = None;
    let mut rest = text.char_indices().peekable();
    let mut begins_line = true;
    while let Some((at, c)) = rest.next() {
        let plain = match c {
            '\r' if rest.peek().is_some_and(|(_, next)| *next == '\n') => None,
            // CR CR LF is one break, of a file that was written twice as text.
            '\r' if text.get(at..).is_some_and(|rest| rest.starts_with("\r\r\n")) => Some(" "),
            '\r' | '\u{b}' | '\u{c}' => Some("\n"),
            '\u{85}' => Some(" \n"),
            '\u{2028}' => Some("  \n"),
            '\u{2029}' => Some(" \n\n"),
            '\u{feff}' if begins_line => Some("   "),
            _ => None,
        };
        if let Some(plain) = plain {
            changed
                .get_or_insert_with(|| text.get(..at).unwrap_or_default().to_owned())
                .push_str(plain);
        } else if let Some(changed) = &mut changed {
            changed.push(c);
        }
        begins_line =
            c == '\u{feff}' && begins_line || c == '\n' || plain.is_some_and(|plain| plain.ends_with('\n'));
    }
    changed.map_or(Cow::Borrowed(text), Cow::Owned)
}

/// French and Italian articles and prepositions that lose their vowel before another one.
const ELIDED: [&str; 11] = [
    "all", "coll", "d", "dall", "dell", "l", "nell", "qu", "quell", "sull", "un",
];

/// What stands behind an article that is written in one with it: a classifier takes "L'amiodarone" for one word.
fn without_article(words: &str) -> &str {
    let Some((first, rest)) = words.split_once(['\'', '\u{2019}']) else {
        return words;
    };
    // A sign that a Frenchman's name is another form of.
    let is_name = rest.starts_with("ermitte") || rest.starts_with("hermitte");
    match ELIDED.contains(&&*first.to_lowercase()) && rest.starts_with(char::is_alphabetic) && !is_name {
        true => rest,
        false => words,
    }
}

/// A line so long may have been wrapped, where the next begins with a capital letter.
const WRAPPED: usize = 40;

/// The parts of what stands at these bytes, divided where a paragraph ends, and where a line does that nobody has wrapped: it is short, and
/// the next begins with a capital letter, a digit or a bullet. A classifier sees no line ends: "gout" and below it "Fever" are one mention to it.
/// Lines end with `\n`. An article that is written in one with a part is none of it.
pub fn parts(text: &str, begin: usize, end: usize) -> Vec<(usize, usize)> {
    let mut parts = Vec::new();
    let mut from = begin;
    let own = text.get(begin..end).unwrap_or_default();
    for (at, _) in own.match_indices('\n') {
        let at = begin + at;
        let before = text.get(..at).unwrap_or_default();
        let behind = text.get(at + 1..).unwrap_or_default();
        let line = before.rsplit('\n').next().unwrap_or_default().trim_end();
        let next = behind.trim_start_matches([' ', '\t', '\r']);
        let is_apart = line.trim_start().is_empty()
            || next.starts_with('\n')
            || line.len() < WRAPPED && !next.starts_with(char::is_lowercase);
        if is_apart {
            parts.push((from, at));
            from = at + 1;
        }
    }
    parts.push((from, end));
    let trimmed = parts.into_iter().filter_map(|(from, to)| {
        let to = from + text.get(from..to)?.trim_end().len();
        let part = without_article(text.get(from..to)?.trim_start());
        let from = to - part.len();
        (to > from).then_some((from, to))
    });
    trimmed.collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_line_break_is_a_plain_one() {
        for (text, plain) in [
            ("a\nb\r\nc", "a\nb\r\nc"),
            ("a\rb\r\r\nc\r", "a\nb \r\nc\n"),
            ("a\r\r\r\n\r\rb", "a\n \r\n\n\nb"),
            ("a\u{b}b\u{c}c", "a\nb\nc"),
            ("a\u{85}b\u{2028}c\u{2029}d", "a \nb  \nc \n\nd"),
            ("\u{feff}PMH:\n\u{feff}gout", "   PMH:\n   gout"),
            ("a\u{feff}b", "a\u{feff}b"),
        ] {
            assert_eq!(with_plain_lines(text), plain, "{text:?}");
        }
        assert!(matches!(with_plain_lines("a\nb\r\n"), Cow::Borrowed(_)));
    }

    #[test]
    fn an_article_is_no_part_of_what_stands_behind_it() {
        for (text, parts) in [
            ("L'hydroxychloroquine", &["hydroxychloroquine"][..]),
            ("d\u{2019}asthme", &["asthme"]),
            (" dell'ictus ", &["ictus"]),
            ("Nell'ictus\n\nQu'angor", &["ictus", "angor"]),
            ("L'hermitte", &["L'hermitte"]),
            ("Crohn's disease", &["Crohn's disease"]),
            ("d'", &["d'"]),
            ("l'", &["l'"]),
            ("N'golo", &["N'golo"]),
        ] {
            let found = super::parts(text, 0, text.len());
            let found: Vec<&str> = found.iter().map(|(from, to)| &text[*from..*to]).collect();
            assert_eq!(found, parts, "{text:?}");
        }
    }

    #[test]
    fn what_a_line_or_paragraph_ends_is_two() {
        for (text, expected) in [
            ("gout\nFever", &["gout", "Fever"][..]),
            ("gout\r\n- fever", &["gout", "- fever"]),
            ("diabetes\n \nPneumonia", &["diabetes", "Pneumonia"]),
            ("chest\npain", &["chest\npain"]),
            ("diabetes mellitus", &["diabetes mellitus"]),
            ("\nfever\n", &["fever"]),
            ("\n\n", &[]),
        ] {
            let found: Vec<&str> = parts(text, 0, text.len())
                .iter()
                .map(|(from, to)| &text[*from..*to])
                .collect();
            assert_eq!(found, expected, "{text:?}");
        }
        let text = "She is known to have had for many years Crohn's\nDisease of the bowel";
        assert_eq!(parts(text, 40, 55), [(40, 55)]);
    }

    proptest! {
        #[test]
        fn parts_are_within_and_in_order(text in "(a|B|é| |\n|\r\n|- |\\PC){0,30}") {
            let mut last = 0;
            for (from, to) in parts(&text, 0, text.len()) {
                prop_assert!(from >= last && to > from);
                let part = text.get(from..to);
                prop_assert!(part.is_some_and(|part| part.trim() == part));
                last = to;
            }
        }

        #[test]
        fn offsets_hold_in_both(text in "(a|é|\r|\n|\u{b}|\u{85}|\u{2028}|\u{2029}|\u{feff}|\\PC){0,40}") {
            let plain = with_plain_lines(&text);
            prop_assert_eq!(plain.len(), text.len());
            for at in 0..=text.len() {
                prop_assert!(!text.is_char_boundary(at) || plain.is_char_boundary(at));
            }
            let odd = ['\r', '\u{b}', '\u{c}', '\u{85}', '\u{2028}', '\u{2029}'];
            let is_plain = !plain.replace("\r\n", "").contains(odd);
            prop_assert!(is_plain);
        }
    }
}
