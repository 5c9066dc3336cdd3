//! How the items of a list begin.

/// Signs that do. The last are the bullets of symbol fonts, as word processors leave them.
#[rustfmt::skip]
const BULLETS: [char; 23] = [
    '-', '*', '+', '\u{b7}', '\u{2013}', '\u{2014}', '\u{2022}', '\u{2023}', '\u{2043}', '\u{2219}', '\u{25a0}', '\u{25aa}',
    '\u{25ab}', '\u{25b6}', '\u{25ba}', '\u{25c6}', '\u{25cb}', '\u{25cf}', '\u{25e6}', '\u{27a2}', '\u{27a4}', '\u{f0a7}', '\u{f0b7}',
];

/// Whether a text begins with a bullet, or with a number or letter with a full stop or bracket and a space: `- `, `• `, `2. `, `b) `, `#3 `.
pub(crate) fn begins_item(text: &str) -> bool {
    let mut rest = text.chars();
    match rest.next() {
        Some(first) if BULLETS.contains(&first) => rest
            .next()
            .is_none_or(|c| c.is_whitespace() || c.is_alphanumeric()),
        Some('#') => rest.next().is_some_and(|c| c.is_ascii_digit() || c == ' '),
        Some(first) if first.is_ascii_alphanumeric() => {
            let marker = text.split(char::is_whitespace).next().unwrap_or_default();
            marker.len() <= 4
                && marker.ends_with(['.', ')', '/'])
                && marker.trim_end_matches(['.', ')', '/']).len() + 1 == marker.len()
                && ((marker.len() == 2 && !marker.ends_with('/')) || first.is_ascii_digit())
        }
        _ => false,
    }
}

/// Whether a text ends with a line that is nothing but such a beginning. Looks back no further than that.
pub(crate) fn ends_with_marker(text: &str) -> bool {
    let is_blank = |c: char| c.is_whitespace() && c != '\n';
    let text = text.trim_end_matches(is_blank);
    let marker = text.rsplit(char::is_whitespace).next().unwrap_or_default();
    let before = text
        .strip_suffix(marker)
        .unwrap_or_default()
        .trim_end_matches(is_blank);
    (before.is_empty() || before.ends_with('\n')) && begins_item(marker)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_begin_with_bullets_numbers_and_letters() {
        for text in [
            "- fever",
            "-fever",
            "\u{25cf} fever",
            "\u{f0b7}\tfever",
            "2. fever",
            "12) fever",
            "b) fever",
            "2/ fever",
            "#3 fever",
        ] {
            assert!(begins_item(text), "{text:?}");
        }
        for text in [
            "fever",
            "--- fever",
            "2 fever",
            "3/7 fever",
            "S/ fever",
            "10.5 mmol",
            "ab) fever",
            "#fever",
            "(2) fever",
            "o fever",
            "",
        ] {
            assert!(!begins_item(text), "{text:?}");
        }
    }

    #[test]
    fn a_marker_has_its_line_to_itself() {
        for text in ["1. ", "No fever\n  - ", "No fever\n b)"] {
            assert!(ends_with_marker(text), "{text:?}");
        }
        for text in ["grade 2) ", "No fever - ", "", "No fever\n"] {
            assert!(!ends_with_marker(text), "{text:?}");
        }
    }
}
