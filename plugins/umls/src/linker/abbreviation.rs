//! Abbreviations that a document defines: "long form (SF)" and "SF (long form)".
//!
//! After Schwartz and Hearst, A simple algorithm for identifying abbreviation definitions in biomedical text
//! (PSB 2003), with additions: a run of words whose initials are the short form goes before a mere match of letters,
//! and where there is none, initials in another order will do; plurals of short forms; square brackets.

/// A short form and what it stands for, both as written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Definition {
    /// The short form, "DMD".
    pub short: String,
    /// The long form, "Duchenne muscular dystrophy".
    pub long: String,
    /// Where the definition stands: the byte offset of its bracket.
    pub at: usize,
}

/// The longest text between brackets that is looked at.
const MAX_INNER: usize = 120;

/// The definitions in `text`, in their order.
pub fn definitions(text: &str) -> Vec<Definition> {
    let mut found = Vec::new();
    for (open, bracket) in text.char_indices().filter(|(_, c)| matches!(c, '(' | '[')) {
        let close = if bracket == '(' { ')' } else { ']' };
        let rest = &text[open + 1..];
        let Some(length) = closing(rest, bracket, close) else {
            continue;
        };
        let inner = &rest[..length];
        let before = &text[sentence_start(text, open)..open];
        // "(SF; reference)", "(SF, another)": the first part is the short form.
        let first = inner
            .split([';', ','])
            .next()
            .unwrap_or_default()
            .trim()
            .trim_matches('"')
            .trim();
        if is_short_form(first)
            && let Some(long) = long_form(first, before.trim_end())
        {
            found.push(Definition {
                short: first.to_owned(),
                long: long.to_owned(),
                at: open,
            });
            continue;
        }
        let word = before.trim_end();
        let word = &word[word.rfind([' ', '(', ',', '\n']).map_or(0, |space| space + 1)..];
        if is_short_form(word)
            && inner.contains(' ')
            && let Some(long) = long_form(word, inner.trim())
            && long.len() + 12 > inner.trim().len()
        {
            found.push(Definition {
                short: word.to_owned(),
                long: long.to_owned(),
                at: open,
            });
        }
    }
    found
}

/// The length of the text before the bracket that closes.
fn closing(rest: &str, open: char, close: char) -> Option<usize> {
    let mut depth = 0;
    for (at, c) in rest.char_indices().take_while(|(at, _)| *at <= MAX_INNER) {
        if c == open {
            depth += 1;
        } else if c == close {
            if depth == 0 {
                return Some(at);
            }
            depth -= 1;
        }
    }
    None
}

/// The start of the sentence that `end` is in, or of the last 400 bytes.
fn sentence_start(text: &str, end: usize) -> usize {
    let mut start = end.saturating_sub(400);
    while !text.is_char_boundary(start) {
        start += 1;
    }
    let before = &text[start..end];
    let sentence = before.rmatch_indices(['.', '!', '?', '\n']).find(|(at, mark)| {
        let after = &before[at + mark.len()..];
        *mark == "\n"
            || (after.starts_with(' ') && after.trim_start().starts_with(|c: char| c.is_uppercase()))
    });
    start + sentence.map_or(0, |(at, mark)| at + mark.len())
}

pub(super) fn is_short_form(text: &str) -> bool {
    let letters = text.chars().filter(|c| c.is_alphabetic()).count();
    (2..=12).contains(&text.chars().count())
        && letters >= 1
        && text.split_whitespace().count() <= 2
        && text.chars().next().is_some_and(char::is_alphanumeric)
        && text.chars().any(char::is_uppercase)
        && text
            .chars()
            .all(|c| c.is_alphanumeric() || matches!(c, '-' | '/' | ' ' | '.' | '\'' | '&' | '+'))
}

/// The part at the end of `before` that `short` stands for.
fn long_form<'a>(short: &str, before: &'a str) -> Option<&'a str> {
    let stem = without_plural(short);
    by_initials(stem, before)
        .or_else(|| by_letters(stem, before))
        .or_else(|| by_any_order(stem, before))
        .filter(|long| {
            let words = long.split_whitespace().count();
            let letters = stem.chars().filter(|c| c.is_alphanumeric()).count();
            long.chars().count() > stem.chars().count()
                && words <= (letters + 5).min(2 * letters + 1)
                && !long.split([' ', '-']).any(|word| word == short)
                && long.matches('(').count() == long.matches(')').count()
                && long.matches('[').count() == long.matches(']').count()
        })
}

/// "RCCs" is the plural of "RCC".
pub(super) fn without_plural(short: &str) -> &str {
    match short.strip_suffix('s') {
        Some(stem) if stem.len() > 1 && stem.ends_with(|c: char| c.is_uppercase()) => stem,
        _ => short,
    }
}

/// Words from the end whose initials, small words aside, are the letters of the short form.
fn by_initials<'a>(short: &str, before: &'a str) -> Option<&'a str> {
    let letters: Vec<char> = short
        .chars()
        .filter(|c| c.is_alphanumeric())
        .flat_map(char::to_lowercase)
        .collect();
    let mut left = letters.len();
    let mut end = before.len();
    let mut start = end;
    while left > 0 {
        let head = before[..end].trim_end_matches(|c: char| !c.is_alphanumeric());
        // A bracket, comma or full stop within would make it two phrases.
        if before[head.len()..end].contains(['.', ';', ':', '(', ')']) || head.is_empty() {
            return None;
        }
        // A dash or quotation mark may be of several bytes.
        let word = head
            .rsplit(|c: char| !c.is_alphanumeric())
            .next()
            .unwrap_or_default();
        end = head.len() - word.len();
        let initial = word.chars().next().and_then(|c| c.to_lowercase().next());
        if initial == Some(letters[left - 1]) {
            left -= 1;
            start = end;
        } else if !is_small(word) || start == before.len() {
            return None;
        }
    }
    Some(&before[start..])
}

/// As many words as the short form has letters, whose initials are its letters in another order, as where it comes
/// from Latin: "myotonic dystrophy (DM)".
fn by_any_order<'a>(short: &str, before: &'a str) -> Option<&'a str> {
    let mut letters: Vec<char> = short.chars().flat_map(char::to_lowercase).collect();
    if !(2..=4).contains(&letters.len()) || !short.chars().all(char::is_uppercase) {
        return None;
    }
    let words: Vec<&str> = before.split_whitespace().collect();
    let words = &words[words.len().checked_sub(letters.len())?..];
    let mut initials: Vec<char> = words
        .iter()
        .filter_map(|word| word.chars().next())
        .flat_map(char::to_lowercase)
        .collect();
    letters.sort_unstable();
    initials.sort_unstable();
    let start = words.first()?.as_ptr() as usize - before.as_ptr() as usize;
    (letters == initials).then(|| &before[start..])
}

fn is_small(word: &str) -> bool {
    matches!(
        word,
        "of" | "the" | "and" | "in" | "for" | "to" | "a" | "with" | "by" | "on" | "s"
    )
}

/// Schwartz and Hearst: the letters of the short form from right to left, the first one at the start of a word.
fn by_letters<'a>(short: &str, before: &'a str) -> Option<&'a str> {
    let letters: Vec<char> = short
        .chars()
        .filter(|c| c.is_alphanumeric())
        .flat_map(char::to_lowercase)
        .collect();
    let text: Vec<(usize, char)> = before
        .char_indices()
        .map(|(at, c)| (at, c.to_lowercase().next().unwrap_or(c)))
        .collect();
    let mut at = text.len();
    for (i, &letter) in letters.iter().enumerate().rev() {
        loop {
            at = at.checked_sub(1)?;
            let begins = at == 0 || !text[at - 1].1.is_alphanumeric();
            if text[at].1 == letter && (i > 0 || begins) {
                break;
            }
        }
    }
    // Back to the start of the word, so that "non-X" is not cut.
    let start = text[at].0;
    let start = before[..start]
        .rfind(char::is_whitespace)
        .map_or(0, |space| space + 1)
        .min(start);
    Some(before[start..].trim_start_matches(|c: char| !c.is_alphanumeric()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    fn long(text: &str, short: &str) -> Option<String> {
        definitions(text)
            .into_iter()
            .find(|definition| definition.short == short)
            .map(|definition| definition.long)
    }

    #[test]
    fn definitions_are_found() {
        for (text, short, expected) in [
            (
                "He has Duchenne muscular dystrophy (DMD).",
                "DMD",
                "Duchenne muscular dystrophy",
            ),
            (
                "with end-stage renal disease (ESRD) and",
                "ESRD",
                "end-stage renal disease",
            ),
            ("shortness of breath (SOB)", "SOB", "shortness of breath"),
            // Marks of several bytes.
            ("called “heart failure (HF)”", "HF", "heart failure"),
            (
                "non–small cell lung cancer (NSCLC)",
                "NSCLC",
                "non–small cell lung cancer",
            ),
            (
                "renal cell carcinomas (RCCs) were",
                "RCCs",
                "renal cell carcinomas",
            ),
            (
                "MI (myocardial infarction) was ruled out",
                "MI",
                "myocardial infarction",
            ),
            (
                "ataxia-telangiectasia (A-T) patients",
                "A-T",
                "ataxia-telangiectasia",
            ),
            (
                "in hypertensive crisis. Chronic obstructive pulmonary disease [COPD]",
                "COPD",
                "Chronic obstructive pulmonary disease",
            ),
            ("in myotonic dystrophy (DM)", "DM", "myotonic dystrophy"),
            ("a case of thrombocytopenia (TCP)", "TCP", "thrombocytopenia"),
        ] {
            assert_eq!(long(text, short).as_deref(), Some(expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_definition_is_left_alone() {
        for text in [
            "pain (see below)",
            "a dose (5 mg)",
            "patients (n = 7)",
            "blood pressure (140/90)",
            "fever (XYZ)",
        ] {
            assert_eq!(definitions(text), [], "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read(text in "[\\PC()\\[\\]. a-cA-Cé]{0,120}") {
            for definition in definitions(&text) {
                prop_assert!(text.contains(&definition.long));
            }
        }
    }
}
