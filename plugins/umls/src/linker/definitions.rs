//! What a document's short forms stand for: by its text, and by the places of its mentions.

use std::collections::{BTreeMap, HashMap};

use mednerd_abbreviations::{is_order, is_short_form, without_plural};

use super::{Document, Mention};

/// What has more bytes is a page and no name: no short form stands for it, and with its own written out it would be many times as long.
const LONGEST: usize = 1_000;

/// The short forms that a document defines, by themselves without the ending of a plural: of each by the byte where it stands what it
/// stands for.
pub(super) struct Definitions(HashMap<String, BTreeMap<usize, String>>);

impl Definitions {
    /// Those of the document's text, and those that its mentions make: one right before the bracket that holds another is
    /// its long form, whatever their letters, where both are of one kind: "lisinopril (HTN)" says what the drug is for.
    pub(super) fn of(document: &Document<'_>) -> Self {
        let mut all: HashMap<String, BTreeMap<usize, String>> = HashMap::new();
        for found in mednerd_abbreviations::definitions(document.text) {
            let stem = without_plural(&document.text[found.short.clone()]).to_owned();
            let long = document.text[found.long].to_owned();
            all.entry(stem).or_default().insert(found.short.start, long);
        }
        // The longest of those that end at a place.
        let mut by_end: HashMap<(usize, String), &str> = HashMap::new();
        let ending = |mention: &Mention<'_>, end: usize| (end, mention.label.to_ascii_lowercase());
        for mention in document
            .mentions
            .iter()
            .filter(|mention| mention.text.len() <= LONGEST)
        {
            let known = by_end.entry(ending(mention, mention.end)).or_insert(mention.text);
            if known.len() < mention.text.len() {
                *known = mention.text;
            }
        }
        for mention in document.mentions {
            let short = mention.text.trim();
            let Some(head) = document.text.get(..mention.begin) else {
                continue;
            };
            let long = head
                .trim_end()
                .strip_suffix(['(', '['])
                .and_then(|head| by_end.get(&ending(mention, head.trim_end().len())));
            let is_short = |long: &str| {
                is_short_form(short)
                    // "Penicillin (rash)", "headache (severe)".
                    && short.contains(|c: char| c.is_uppercase() || c.is_ascii_digit())
                    && long.len() > mention.text.len()
                    && (!is_order(without_plural(short)) || initials_are(long, short))
            };
            let Some(long) = long.filter(|long| is_short(long)) else {
                continue;
            };
            let at = mention.begin + mention.text.len() - mention.text.trim_start().len();
            let known = all.entry(without_plural(short).to_owned()).or_default();
            let definition = known.entry(at).or_default();
            if long.ends_with(definition.as_str()) {
                *definition = (*long).to_owned();
            }
        }
        Self(all)
    }

    /// What a short form stands for at a place: by its last definition up to there, else by its first.
    pub(super) fn long_form(&self, short: &str, begin: usize) -> Option<&str> {
        let known = self.0.get(without_plural(short))?;
        let before = known.range(..=begin).next_back();
        let (_, long) = before.or_else(|| known.first_key_value())?;
        Some(long)
    }

    /// The text with its short forms of several letters written out, and without one that stands in brackets behind its long form;
    /// none where nothing changes.
    pub(super) fn expand(&self, text: &str, begin: usize) -> Option<String> {
        written_out(text, |short| self.long_form(short, begin))
    }
}

/// The text with its short forms of several letters written out, and without one that stands in brackets behind its long form; none where
/// nothing changes.
pub(super) fn written_out<'a>(text: &str, long_form: impl Fn(&str) -> Option<&'a str>) -> Option<String> {
    if text.len() > LONGEST {
        return None;
    }
    let long_form = |word: &str| {
        let short = word.trim_matches(|c: char| !c.is_alphanumeric());
        long_form(short).filter(|_| short.chars().nth(1).is_some())
    };
    let mut changed = false;
    // Each is looked for once, however often its short form is there.
    let mut within: HashMap<&str, bool> = HashMap::new();
    let mut words: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        if word.starts_with(['(', '[']) && !words.is_empty() && long_form(word).is_some() {
            changed = true;
            continue;
        }
        let mut elsewhere = |word: &str| {
            let long = long_form(word)?;
            let within = *within.entry(long).or_insert_with(|| text.contains(long));
            (!within).then_some(long)
        };
        let expanded = match elsewhere(word) {
            Some(long) => long.to_owned(),
            None => {
                let parts = word.split('-').map(|part| elsewhere(part).unwrap_or(part));
                parts.collect::<Vec<_>>().join("-")
            }
        };
        changed |= expanded != word;
        words.push(expanded);
    }
    changed.then(|| words.join(" "))
}

/// Whether the initials of `long`, small words left out or not, are the letters of `short`.
pub(super) fn initials_are(long: &str, short: &str) -> bool {
    letters(short).is_some_and(|letters| initials(long).contains(&letters))
}

/// The mentions that short forms may stand for, by their initials: the first of each.
pub(super) struct Initials<'a>(HashMap<String, &'a str>);

impl<'a> Initials<'a> {
    pub(super) fn of(mentions: impl Iterator<Item = &'a str>) -> Self {
        let mut all = HashMap::new();
        for long in mentions {
            for initials in initials(long) {
                all.entry(initials).or_insert(long);
            }
        }
        Self(all)
    }

    /// The first mention whose initials the letters of `short` are.
    pub(super) fn long_form(&self, short: &str) -> Option<&'a str> {
        self.0.get(&letters(short)?).copied()
    }
}

/// The letters of a short form, small, of which it must have two.
fn letters(short: &str) -> Option<String> {
    let letters: String = without_plural(short.trim())
        .chars()
        .filter(|c| c.is_alphanumeric())
        .flat_map(char::to_lowercase)
        .collect();
    letters.chars().nth(1).is_some().then_some(letters)
}

/// The initials of several words, and those of them without small ones.
fn initials(long: &str) -> Vec<String> {
    let words: Vec<&str> = long
        .split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .collect();
    if words.len() < 2 {
        return Vec::new();
    }
    let is_small = |word: &str| matches!(word, "of" | "the" | "and" | "in" | "s");
    let of = |words: &mut dyn Iterator<Item = &&str>| -> String {
        words
            .filter_map(|word| word.chars().next())
            .flat_map(char::to_lowercase)
            .collect()
    };
    let telling = of(&mut words.iter().filter(|word| !is_small(word)));
    let all = of(&mut words.iter());
    if all == telling {
        vec![all]
    } else {
        vec![all, telling]
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn pages_are_neither_written_out_nor_what_short_forms_stand_for() {
        for (words, is_long_form) in [(20, true), (400, false)] {
            let long = "vein ".repeat(words) + "pain";
            let text = format!("{long} (XYZ)");
            let places = [0..long.len(), long.len() + 2..long.len() + 5];
            let mentions = places.map(|place| Mention::within(&text, place, "Disease"));
            let document = Document {
                text: &text,
                mentions: &mentions,
            };
            let definitions = Definitions::of(&document);
            let found = definitions.long_form("XYZ", text.len());
            assert_eq!(found == Some(&*long), is_long_form);
        }
        let text = "deep vein thrombosis (DVT)";
        let mentions = [];
        let document = Document {
            text,
            mentions: &mentions,
        };
        let definitions = Definitions::of(&document);
        let expand = |times: usize| definitions.expand(&"left DVT, ".repeat(times), text.len());
        assert!(expand(3).is_some() && expand(300).is_none());
    }
}
