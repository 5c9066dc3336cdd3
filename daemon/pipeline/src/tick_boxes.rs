//! Tick boxes, which forms and their print-outs have and the texts that models were trained on do not: `[x] cough`,
//! `☐ fever`. A classifier takes them into the mention behind them, or is put off it.

use std::borrow::Cow;

/// What stands for a tick box in brackets, with spaces behind it, and for one that is a character of three bytes: marks that
/// separate items of a list in any text.
const MARK: &str = ";";
const BULLET: &str = "\u{2022}";

/// The text with each tick box as `;` and spaces, or as `•`: as long, with the same borders of
/// characters, so that every offset holds in both.
///
/// A tick box is `[ ]`, `[]`, `[x]` or `[X]` with no letter or digit directly before it; `( )`, `(x)` or `(X)` with white
/// space or nothing on both sides; or a character that is one.
pub fn without_tick_boxes(text: &str) -> Cow<'_, str> {
    let mut changed: Option<String> = None;
    let mut before = None;
    let mut at = 0;
    while let Some(rest) = text.get(at..)
        && let Some(first) = rest.chars().next()
    {
        let (length, mark) = match tick_box(before, first, rest) {
            Some(length) if length == first.len_utf8() => (length, BULLET),
            Some(length) => (length, MARK),
            None => (first.len_utf8(), ""),
        };
        if !mark.is_empty() {
            let made = changed.get_or_insert_with(|| text.get(..at).unwrap_or_default().to_owned());
            made.push_str(mark);
            made.extend(std::iter::repeat_n(' ', length - mark.len()));
        } else if let Some(made) = &mut changed {
            made.push(first);
        }
        before = Some(if mark.is_empty() { first } else { ' ' });
        at += length;
    }
    changed.map_or(Cow::Borrowed(text), Cow::Owned)
}

/// The length in bytes of the tick box that `rest`, which begins with `first`, begins with.
fn tick_box(before: Option<char>, first: char, rest: &str) -> Option<usize> {
    match first {
        '[' if !before.is_some_and(char::is_alphanumeric) => {
            let boxes = ["[ ]", "[x]", "[X]", "[]"];
            boxes
                .into_iter()
                .find(|form| rest.starts_with(form))
                .map(str::len)
        }
        '(' if before.is_none_or(char::is_whitespace) => {
            let form = ["( )", "(x)", "(X)"]
                .into_iter()
                .find(|form| rest.starts_with(form))?;
            let after = rest.get(form.len()..)?.chars().next();
            after.is_none_or(char::is_whitespace).then_some(form.len())
        }
        // Ballot boxes, check marks, ballot crosses, squares.
        '\u{2610}'..='\u{2612}'
        | '\u{2713}'..='\u{2718}'
        | '\u{25a0}'
        | '\u{25a1}'
        | '\u{2705}'
        | '\u{2b1c}' => Some(first.len_utf8()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn boxes_become_marks_and_all_else_stays() {
        for (text, expected) in [
            ("[x] cough [ ]fever [X] rash", ";   cough ;  fever ;   rash"),
            ("☑ HTN ☐DM ✓", "• HTN •DM •"),
            ("(X) yes ( ) no", ";   yes ;   no"),
            ("[✓] done, [] not", "[•] done, ;  not"),
            ("Yes [X]\nNo [ ]", "Yes ;  \nNo ;  "),
        ] {
            assert_eq!(without_tick_boxes(text), expected);
        }
        for text in [
            "benzo[x]pyrene",
            "f(x) = 2",
            "factor(X)",
            "(x)-ray",
            "[3H]thymidine",
            "[xx] [x",
            "a (",
            "[",
        ] {
            assert!(
                matches!(without_tick_boxes(text), Cow::Borrowed(found) if found == text),
                "{text}"
            );
        }
    }

    proptest! {
        #[test]
        fn offsets_hold_in_both(text in "([\\[\\]()xX ☐✓é\u{1f5f9}a;\n]|\\[x\\])*") {
            let changed = without_tick_boxes(&text);
            prop_assert_eq!(changed.len(), text.len());
            for (at, character) in text.char_indices() {
                prop_assert!(changed.is_char_boundary(at));
                let there = changed[at..].chars().next();
                prop_assert!(there == Some(character) || matches!(there, Some(';' | ' ' | '•')));
            }
            prop_assert!(changed.char_indices().all(|(at, _)| text.is_char_boundary(at)));
            prop_assert_eq!(&*without_tick_boxes(&changed), &*changed, "nothing is left to change");
        }
    }
}
