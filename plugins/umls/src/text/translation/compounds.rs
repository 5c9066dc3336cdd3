//! Words that German and Dutch write as one, by their parts.

use mednerd_languages::{DE, NL};

use super::{Lexicon, cognates};

/// A shorter word is no compound, and a longer one none that anybody takes apart.
const LEAST_COMPOUND: usize = 7;
const LONGEST_COMPOUND: usize = 48;
/// Letters of a part, at least; of one that no lexicon has, but for its end, and of that end.
const LEAST: usize = 3;
const LEAST_COGNATE: usize = 6;
const LEAST_FRONT: usize = 5;
/// The end behind an unknown front is longer where it is no word of the lexicon: that of "Makrohämaturie" is not "mature".
const LEAST_END: usize = 6;
const LEAST_COGNATE_END: usize = 8;
/// Between two parts.
const JOINTS: [&str; 7] = ["", "s", "es", "n", "en", "e", "er"];

/// The English of the parts of a compound: as few as there are, and the last as short as then is possible: "Dünndarm-entzündung".
pub(super) fn parts(lexicon: &Lexicon, word: &str) -> Option<Vec<String>> {
    let joins = matches!(lexicon.language, DE | NL);
    let fits = word.is_ascii() && (LEAST_COMPOUND..=LONGEST_COMPOUND).contains(&word.len());
    if !joins || !fits {
        return None;
    }
    known_parts(lexicon, word).or_else(|| with_unknown_front(lexicon, word))
}

/// Of a compound all of whose parts are known. Of the word up to each letter the fewest parts, each with what joins it to the next.
fn known_parts(lexicon: &Lexicon, word: &str) -> Option<Vec<String>> {
    // How many parts, where the last of them begins, and what it is.
    let mut fewest: Vec<Option<(usize, usize, Vec<String>)>> = vec![None; word.len() + 1];
    for end in LEAST..=word.len() {
        for begin in 0..=end - LEAST {
            let before = match (begin, &fewest[begin]) {
                (0, _) => 0,
                (_, Some((count, ..))) => *count,
                _ => continue,
            };
            let better = fewest[end].as_ref().is_none_or(|(count, ..)| before < *count);
            if !better || (begin == 0 && end == word.len()) {
                continue;
            }
            let own = &word[begin..end];
            let found = match end == word.len() {
                true => part(lexicon, own),
                false => JOINTS
                    .iter()
                    .find_map(|joint| part(lexicon, own.strip_suffix(joint)?)),
            };
            if let Some(found) = found {
                fewest[end] = Some((before + 1, begin, found));
            }
        }
    }
    let mut parts: Vec<Vec<String>> = Vec::new();
    let mut end = word.len();
    while end > 0 {
        let (_, begin, part) = fewest.get(end)?.as_ref()?;
        parts.push(part.clone());
        end = *begin;
    }
    parts.reverse();
    Some(parts.concat())
}

/// What a part of a compound is in the lexicon, or as a cognate that is long enough for one.
fn part(lexicon: &Lexicon, part: &str) -> Option<Vec<String>> {
    if part.len() < LEAST {
        return None;
    }
    match lexicon.known(part) {
        Some([]) => None,
        Some(known) => Some(known.to_vec()),
        None if part.len() < LEAST_COGNATE => None,
        None => cognates::of(part, lexicon.language).map(|cognate| vec![cognate.to_owned()]),
    }
}

/// Of a compound whose end is known, and long enough not to be there by chance: "Mitralinsuffizienz". A combining form of Greek is no
/// word: "Kardiomyopathie".
fn with_unknown_front(lexicon: &Lexicon, word: &str) -> Option<Vec<String>> {
    for at in LEAST_FRONT..=word.len().saturating_sub(LEAST_END) {
        let (front, end) = word.split_at(at);
        if front.ends_with('o') {
            continue;
        }
        let known = || {
            lexicon
                .known(end)
                .filter(|known| !known.is_empty())
                .map(<[String]>::to_vec)
        };
        let end = match end.len() {
            LEAST_COGNATE_END.. => part(lexicon, end),
            _ => known(),
        };
        if let Some(end) = end {
            return Some([vec![front.to_owned()], end].concat());
        }
    }
    None
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn compounds_are_as_few_parts_as_there_are() {
        for (word, english) in [
            ("leberzirrhose", "liver cirrhosis"),
            ("bauchspeicheldruesenkrebs", "pancreatic cancer"),
            ("duenndarmentzuendung", "small intestine inflammation"),
            ("oberschenkelhalsfrakturen", "femoral neck fracture"),
            ("pankreaskarzinom", "pancreas carcinoma"),
            ("nichtalkoholische", "non alcoholic"),
            ("systemsklerose", "system sclerosis"),
        ] {
            let lexicon = Lexicon::of(DE).unwrap();
            assert_eq!(
                parts(lexicon, word).map(|parts| parts.join(" ")).as_deref(),
                Some(english),
                "{word}"
            );
        }
        for (code, word) in [
            (DE, "psammobronchitis"),
            (DE, "makrohaematurie"),
            (mednerd_languages::FR, "portemanteau"),
        ] {
            assert_eq!(parts(Lexicon::of(code).unwrap(), word), None, "{word}");
        }
    }
}
