//! Which words at the end of a phrase a short form stands for.

use std::ops::Range;

use crate::short_form::{folded, is_balanced, is_order, is_short_form, letters, without_plural};

/// The most words of a phrase that are looked at, from its end.
const MOST_WORDS: usize = 24;

/// A word of a phrase: letters and digits side by side.
struct Word {
    begin: usize,
    /// As they are compared; never empty.
    letters: Vec<char>,
    /// The digit that is another way to write it, or to begin it: "two-dimensional (2D)".
    digit: Option<char>,
    /// Whether short forms leave such words out.
    small: bool,
}

/// What `short` stands for at the end of `phrase`. Rules are tried from the most exact one on; how often each is right is in
/// the order of their places here.
pub(crate) fn long_form(text: &str, short: &str, phrase: Range<usize>) -> Option<Range<usize>> {
    if !is_short_form(short) {
        return None;
    }
    let stem = without_plural(short);
    let words = words(text, &phrase);
    let wanted = letters(stem);
    let taken = |begin: Option<usize>| {
        let long = begin?..phrase.end;
        is_likely(stem, &text[long.clone()]).then_some(long)
    };
    if is_order(stem) {
        // "progesterone receptor (PR)", but neither "prednisone (PO)" nor "Promethazine (PRN)".
        let several = wanted.len() > 1;
        return taken(initials(&wanted, &words).filter(|_| several));
    }
    match wanted.as_slice() {
        [letter] => return taken(one_word(text, *letter, &words, &phrase)),
        _ if !stem.contains(char::is_uppercase) => {
            let in_one_word = || {
                let begin = aligned(text, &wanted, &words, &phrase, 0)?;
                (!text[begin..phrase.end].contains(char::is_whitespace)).then_some(begin)
            };
            return taken(initials(&wanted, &words)).or_else(|| taken(in_one_word()));
        }
        _ => {}
    }
    let long_enough = wanted.len() > 2;
    taken(initials(&wanted, &words))
        .or_else(|| taken(any_order(&wanted, &words).filter(|_| !long_enough)))
        .or_else(|| taken(aligned(text, &wanted, &words, &phrase, 0)))
        .or_else(|| taken(aligned(text, &wanted, &words, &phrase, 1).filter(|_| long_enough)))
        .or_else(|| {
            // "Five-Factor Model of Personality (FFM)"
            let (_, rest) = words.split_last()?;
            let last = rest.iter().rposition(|word| !word.small)?;
            taken(initials(&wanted, &rest[..=last]).filter(|_| long_enough))
        })
        .or_else(|| taken(any_order(&wanted, &words)))
        .or_else(|| taken(scattered(text, &wanted, &phrase).filter(|_| long_enough)))
        .or_else(|| {
            // "forced expiratory volume (FEV(1.0))"
            let wanted = letters(stem.split_once(['(', '['])?.0);
            let begin = initials(&wanted, &words)
                .or_else(|| aligned(text, &wanted, &words, &phrase, 0))
                .or_else(|| scattered(text, &wanted, &phrase).filter(|_| wanted.len() > 2));
            taken(begin.filter(|_| wanted.len() > 1))
        })
        .or_else(|| {
            // "17-beta-estradiol (E2)"
            let bare = stem.trim_end_matches(|c: char| c.is_ascii_digit());
            match letters(bare).as_slice() {
                _ if bare.len() == stem.len() => None,
                [letter] => taken(one_word(text, *letter, &words, &phrase)),
                several => taken(initials(several, &words)),
            }
        })
}

/// The last words of a phrase.
fn words(text: &str, phrase: &Range<usize>) -> Vec<Word> {
    let mut words = Vec::new();
    let mut end = phrase.end;
    while words.len() < MOST_WORDS {
        let rest = text[phrase.start..end].trim_end_matches(|c: char| !c.is_alphanumeric());
        let head = rest.trim_end_matches(char::is_alphanumeric);
        let word = &rest[head.len()..];
        if word.is_empty() {
            break;
        }
        end = phrase.start + head.len();
        let letters = letters(word);
        let folded: String = letters.iter().collect();
        words.push(Word {
            begin: end,
            digit: digit(&folded),
            small: is_small(&folded),
            letters,
        });
    }
    words.reverse();
    words
}

fn digit(word: &str) -> Option<char> {
    Some(match word {
        "one" | "first" => '1',
        "two" | "second" | "di" => '2',
        "three" | "third" => '3',
        "four" => '4',
        "five" => '5',
        "six" => '6',
        "seven" => '7',
        "eight" => '8',
        "nine" => '9',
        _ => return None,
    })
}

/// Articles and prepositions, in the seven languages of the lists.
fn is_small(word: &str) -> bool {
    const SMALL: &[&str] = &[
        "a", "an", "and", "as", "at", "by", "d", "da", "das", "de", "del", "der", "des", "di", "die", "do",
        "du", "e", "el", "en", "et", "for", "from", "het", "in", "l", "la", "le", "les", "of", "on", "or",
        "par", "per", "s", "the", "to", "und", "van", "with", "y",
    ];
    SMALL.binary_search(&word).is_ok()
}

impl Word {
    fn begins_with(&self, letter: char) -> bool {
        self.letters.first() == Some(&letter) || self.digit == Some(letter)
    }

    /// Whether these letters stand in it in this order, the first in front.
    fn has(&self, letters: &[char]) -> bool {
        let Some((first, rest)) = letters.split_first() else {
            return false;
        };
        let mut inner = self.letters.iter().skip(1);
        self.begins_with(*first) && rest.iter().all(|letter| inner.any(|c| c == letter))
    }
}

/// Whether a long form can be that of a short one, whatever their letters.
fn is_likely(short: &str, long: &str) -> bool {
    const NEVER_FIRST: &[&str] = &[
        "a", "an", "and", "by", "from", "in", "no", "not", "of", "the", "their", "to", "was", "were", "with",
        "without",
    ];
    const NEVER: &[&str] = &["are", "had", "has", "is", "that", "was", "were", "when", "which"];
    let letters = letters(short).len();
    let words = || long.split_whitespace();
    let first = long
        .split(|c: char| !c.is_alphanumeric())
        .next()
        .unwrap_or_default();
    long.chars().count() > short.chars().count()
        && words().count() <= (letters + 5).min(2 * letters + 1)
        && words().all(|word| is_balanced(word) && !NEVER.contains(&word))
        // "The Cancer Genome Atlas (TCGA)"
        && (first == "The" || !NEVER_FIRST.contains(&first.to_lowercase().as_str()))
        && !long.split([' ', '-', '/', '(', ')']).any(|word| word == short)
        && !long.contains(';')
        && !long.contains(": ")
        && !long.ends_with('-')
}

/// "progesterone (P)", "17-beta-estradiol (E2)": the last word, with what is joined to it.
fn one_word(text: &str, letter: char, words: &[Word], phrase: &Range<usize>) -> Option<usize> {
    let last = words
        .last()
        .filter(|last| last.letters.len() > 3 && last.begins_with(letter))?;
    let joined = start_of_word(text, last.begin, phrase, &[]);
    Some(if text[joined..last.begin].contains('-') {
        joined
    } else {
        last.begin
    })
}

/// Words whose initials are the letters; small words between them may have none.
fn initials(wanted: &[char], words: &[Word]) -> Option<usize> {
    let mut left = wanted;
    for (place, word) in words.iter().rev().enumerate() {
        let (last, rest) = left.split_last()?;
        if word.begins_with(*last) {
            if rest.is_empty() {
                return Some(word.begin);
            }
            left = rest;
        } else if place == 0 || !word.small {
            return None;
        }
    }
    None
}

/// As many words as letters, whose initials they are in another order, as where the short form comes from Latin: "myotonic
/// dystrophy (DM)".
fn any_order(wanted: &[char], words: &[Word]) -> Option<usize> {
    let words = &words[words.len().checked_sub(wanted.len())?..];
    if !(2..=4).contains(&wanted.len()) || words.iter().any(|word| word.small) {
        return None;
    }
    let mut left = wanted.to_vec();
    for word in words {
        let at = left
            .iter()
            .position(|letter| word.letters.first() == Some(letter))?;
        left.swap_remove(at);
    }
    words.first().map(|word| word.begin)
}

/// Words each of which has some of the letters, the first of them in front: "thrombocytopenia (TCP)", "estradiol benzoate (EB)".
/// Small words, and so many others within, may have none. The fewest words that do.
fn aligned(
    text: &str,
    wanted: &[char],
    words: &[Word],
    phrase: &Range<usize>,
    skipped: usize,
) -> Option<usize> {
    // For each number of letters that may be left for what stands before: how many words were skipped to get there.
    let mut left: Vec<Option<usize>> = vec![None; wanted.len()];
    left.push(Some(0));
    for (place, word) in words.iter().rev().enumerate() {
        let mut next: Vec<Option<usize>> = vec![None; left.len()];
        let mut reach = |until: usize, cost: usize| {
            if cost <= skipped
                && next
                    .get(until)
                    .is_some_and(|known| known.is_none_or(|known| cost < known))
            {
                next[until] = Some(cost);
            }
        };
        for (until, cost) in left.iter().enumerate() {
            let Some(cost) = *cost else { continue };
            if place > 0 {
                reach(until, cost + usize::from(!word.small));
            }
            for from in 0..until {
                if word.has(&wanted[from..until]) {
                    reach(from, cost);
                }
            }
        }
        if next.first().is_some_and(Option::is_some) {
            return Some(start_of_word(text, word.begin, phrase, &['/', '(', '[']));
        }
        if next.iter().all(Option::is_none) {
            return None;
        }
        left = next;
    }
    None
}

/// Schwartz and Hearst: the letters from right to left, wherever they stand, the first at the beginning of a word; no more words than
/// letters.
fn scattered(text: &str, wanted: &[char], phrase: &Range<usize>) -> Option<usize> {
    let mut before = &text[phrase.clone()];
    for (place, letter) in wanted.iter().enumerate().rev() {
        loop {
            let (at, c) = before.char_indices().next_back()?;
            before = &before[..at];
            let begins = !before.ends_with(char::is_alphanumeric);
            if folded(c) == *letter && (place > 0 || begins) {
                break;
            }
        }
    }
    let begin = start_of_word(text, phrase.start + before.len(), phrase, &['/']);
    let long = text[begin..phrase.end].trim_start_matches(|c: char| !c.is_alphanumeric());
    (long.split_whitespace().count() <= wanted.len()).then_some(phrase.end - long.len())
}

/// Back to where the word of a place begins, so that "non-X" is not cut: behind white space or one of these marks, or where the
/// phrase begins.
fn start_of_word(text: &str, at: usize, phrase: &Range<usize>, marks: &[char]) -> usize {
    let within = |c: char| !c.is_whitespace() && !marks.contains(&c);
    phrase.start + text[phrase.start..at].trim_end_matches(within).len()
}
