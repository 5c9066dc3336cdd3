//! Words that are a word of a list but for one letter: "diabtes", "pnuemonia", "fibrilation".
//!
//! Words are compared folded, by their stems and as they are, so that accents and endings are no mistakes. A letter is missing, too
//! much, another one, or two have changed places; the first and the last are right, as few people get the first one wrong, and as the
//! last one tells "anemic" from "anemia". A word that is right by itself is never another: those are the words of all names and what a
//! list has under `=`. Candidates are found by leaving out each letter in turn, on both sides, after Garbe's SymSpell (2012).
//!
//! What a scanner misreads may be wrong more than once, anywhere, and in shorter words, as long as nothing else is: "g1aucoma", "me11itus",
//! "pneurnonia".

use std::collections::{HashMap, HashSet};
use std::hash::{DefaultHasher, Hasher};
use std::sync::OnceLock;

use super::mix;
use crate::languages::Languages;
use mednerd_languages::stem;

/// Letters of a word that may be written with a wrong one, at least: shorter words are too often other words.
const LEAST: usize = 7;
/// The most of them: no word of a language is longer, and what is left out of a word grows with the square of its length.
const MOST: usize = 64;
/// How many parts are looked through for one, about.
const PARTS_TOGETHER: usize = 4;

/// The words of the names of one language.
#[derive(Debug, Default)]
pub(super) struct Spelling {
    /// The stems of all words.
    known: HashSet<u64>,
    /// What a word may be meant to be, one behind the other.
    words: String,
    /// One past the last byte of each, and how many names have it.
    ends: Vec<(u32, u32)>,
    /// Their numbers.
    numbers: HashMap<u64, u32>,
    near: OnceLock<Near>,
}

/// What is left of each form without one of its letters, and all of it.
#[derive(Debug)]
pub(super) struct Near {
    /// By their hashes, in order, the words that they are of.
    parts: Vec<(u32, u32)>,
    /// Where those are that have the same first bits of their hashes, by these bits; behind all, where they end.
    starts: Vec<u32>,
    /// How many bits of a hash are left behind these.
    rest: u32,
}

impl Near {
    fn new(mut parts: Vec<(u32, u32)>) -> Self {
        parts.sort_unstable();
        parts.dedup();
        parts.shrink_to_fit();
        let bits = (parts.len() / PARTS_TOGETHER).max(2).ilog2();
        let rest = u32::BITS - bits;
        let begins = |bits: u32| parts.partition_point(|(hash, _)| hash >> rest < bits);
        // A list has fewer than 4 G of them.
        let starts = (0..=1 << bits).map(|bits| u32::try_from(begins(bits)).unwrap_or(u32::MAX));
        let starts = starts.collect();
        Self { parts, starts, rest }
    }

    /// The words that have a part with this hash.
    fn words(&self, hash: u32) -> impl Iterator<Item = u32> {
        let at = usize::try_from(hash >> self.rest).ok();
        let start = |at: Option<usize>| usize::try_from(*self.starts.get(at?)?).ok();
        let range = start(at).zip(start(at.map(|at| at + 1)));
        let together = range
            .and_then(|(from, to)| self.parts.get(from..to))
            .unwrap_or_default();
        together
            .iter()
            .filter(move |(other, _)| *other == hash)
            .map(|(_, word)| *word)
    }
}

/// Whether a word, folded, may have a wrong letter, or one too few.
pub(super) fn may_be_misspelt(word: &str) -> bool {
    (LEAST..=MOST + 1).contains(&(word.len() + 1)) && word.bytes().all(|byte| byte.is_ascii_lowercase())
}

/// Letters of a word that may be misread, at least, and those among them that digits do not stand for: "hba1c" is what it is.
pub(super) const LEAST_SCANNED: usize = 6;
const LEAST_BESIDE_DIGITS: usize = 5;
/// Misread letters of a word at most; each doubles what it may be.
const MOST_MISREAD: usize = 4;
/// What is read for what, in words of letters alone and in words with digits.
const READ_FOR: [(&str, &[&str]); 2] = [("rn", &["m"]), ("m", &["rn"])];
const READ_FOR_LETTERS: [(&str, &[&str]); 4] =
    [("0", &["o"]), ("1", &["l", "i"]), ("5", &["s"]), ("rn", &["m"])];

/// What a word, folded, may have been before it was scanned, and itself among them; nothing where it does not look scanned.
pub(super) fn scanned(word: &str) -> Vec<String> {
    let count = |of: &[u8]| word.bytes().filter(|byte| of.contains(byte)).count();
    let digits = count(b"015");
    let letters = word.bytes().filter(u8::is_ascii_lowercase).count();
    let confused: &[(&str, &[&str])] = match digits {
        _ if letters + digits < word.len() || word.len() > MOST => return Vec::new(),
        0 if letters >= LEAST => &READ_FOR,
        _ if digits > 0 && letters >= LEAST_BESIDE_DIGITS => &READ_FOR_LETTERS,
        _ => return Vec::new(),
    };
    if !confused.iter().any(|(wrong, _)| word.contains(wrong)) {
        return Vec::new();
    }
    let (mut all, mut rest, mut misread) = (vec![String::new()], word, 0);
    while let Some(letter) = rest.chars().next() {
        let found = confused.iter().find(|(wrong, _)| rest.starts_with(wrong));
        let own = found.map_or(letter.len_utf8(), |(wrong, _)| wrong.len());
        let (taken, left) = rest.split_at_checked(own).unwrap_or((rest, ""));
        let others = found.map_or(&[][..], |(_, meant)| meant);
        misread += usize::from(found.is_some());
        if misread > MOST_MISREAD {
            return Vec::new();
        }
        let forms = std::iter::once(&taken).chain(others);
        all = forms
            .flat_map(|form| all.iter().map(move |before| format!("{before}{form}")))
            .collect();
        rest = left;
    }
    all
}

impl Spelling {
    /// Takes in a word, folded; whether others may be meant for it.
    pub(super) fn add(&mut self, word: &str, is_meant: bool, language: Languages) {
        self.known.insert(mix(0, stem(word, language)));
        if !(is_meant && word.len() >= LEAST && may_be_misspelt(word)) {
            return;
        }
        // A list has fewer than 4 GB.
        let number = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        let next = number(self.ends.len());
        let at = *self.numbers.entry(mix(0, word)).or_insert(next);
        if at == next {
            self.words.push_str(word);
            self.ends.push((number(self.words.len()), 0));
            self.near.take();
        }
        if let Some((_, names)) = usize::try_from(at).ok().and_then(|at| self.ends.get_mut(at)) {
            *names += 1;
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.known.is_empty()
    }

    /// Whether a word, folded, is right.
    pub(super) fn knows(&self, word: &str, language: Languages) -> bool {
        self.known.contains(&mix(0, stem(word, language)))
    }

    /// The words that one, folded, may be meant to be, how many names have them, and whether they are alike with their endings or without them, and
    /// not one with and one without: "artreial" is rather "arterial" than "arteria".
    pub(super) fn meant<'a>(
        &'a self,
        word: &'a str,
        language: Languages,
    ) -> impl Iterator<Item = (&'a str, u32, bool)> {
        let near = self.near(language);
        let alike = move |meant: &str| {
            is_one_letter_off(word, meant) || is_one_letter_off(stem(word, language), stem(meant, language))
        };
        forms(word, language).flat_map(move |own| {
            let parts = left_out(own).flat_map(move |parts| near.words(hash(parts)));
            parts.filter_map(move |at| {
                self.word(at)
                    .filter(|(meant, _)| forms(meant, language).any(|meant| is_one_letter_off(own, meant)))
                    .map(|(meant, names)| (meant, names, alike(meant)))
            })
        })
    }

    /// What is searched. It is made when it is first asked for, which takes some milliseconds.
    pub(super) fn near(&self, language: Languages) -> &Near {
        self.near.get_or_init(|| {
            let mut all = Vec::new();
            for at in 0..u32::try_from(self.ends.len()).unwrap_or(u32::MAX) {
                let word = self.word(at).map_or("", |(word, _)| word);
                let parts = forms(word, language).flat_map(left_out);
                all.extend(parts.map(|parts| (hash(parts), at)));
            }
            Near::new(all)
        })
    }

    fn word(&self, at: u32) -> Option<(&str, u32)> {
        let at = usize::try_from(at).ok()?;
        let before = at.checked_sub(1).and_then(|before| self.ends.get(before));
        let from = before.map_or(0, |(end, _)| *end);
        let (end, names) = *self.ends.get(at)?;
        let word = self
            .words
            .get(usize::try_from(from).ok()?..usize::try_from(end).ok()?)?;
        Some((word, names))
    }

    /// About what it takes in memory.
    pub(super) fn memory_bytes(&self) -> usize {
        let near = self.near.get().map_or(0, |near| {
            near.parts.capacity() * size_of::<(u32, u32)>() + near.starts.capacity() * size_of::<u32>()
        });
        self.known.capacity() * size_of::<u64>()
            + self.words.capacity()
            + self.ends.capacity() * size_of::<(u32, u32)>()
            + self.numbers.capacity() * size_of::<(u64, u32)>()
            + near
    }
}

/// A word by its stem, and as it is: a wrong letter may make an ending of what is none, "-its" of "-itis".
fn forms(word: &str, language: Languages) -> impl Iterator<Item = &str> {
    let own = stem(word, language);
    std::iter::once(own).chain((own != word).then_some(word))
}

/// A form in two parts: whole, and without each of its letters but the first and the last.
fn left_out(form: &str) -> impl Iterator<Item = (&str, &str)> {
    let inner = 1..form.len().saturating_sub(1);
    let without = inner.filter_map(|at| Some((form.get(..at)?, form.get(at + 1..)?)));
    std::iter::once((form, "")).chain(without)
}

fn hash((before, behind): (&str, &str)) -> u32 {
    let mut hasher = DefaultHasher::new();
    hasher.write(before.as_bytes());
    hasher.write(behind.as_bytes());
    (hasher.finish() >> 32) as u32
}

/// Whether one letter within them makes one of two forms the other.
fn is_one_letter_off(one: &str, other: &str) -> bool {
    let (one, other) = (one.as_bytes(), other.as_bytes());
    let is_within = one.first() == other.first() && one.last() == other.last();
    let same = one.iter().zip(other).take_while(|(a, b)| a == b).count();
    let (one, other) = (
        one.get(same..).unwrap_or_default(),
        other.get(same..).unwrap_or_default(),
    );
    is_within
        && match (one, other) {
            ([], []) => false,
            ([a, b, rest @ ..], [c, d, left @ ..]) if one.len() == other.len() => {
                (b == c && a == d || b == d) && rest == left
            }
            _ => one.get(1..) == Some(other) || other.get(1..) == Some(one),
        }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::languages::{EN, PT};

    fn spelling(words: &[&str]) -> Spelling {
        let mut spelling = Spelling::default();
        words.iter().for_each(|word| spelling.add(word, true, EN));
        spelling
    }

    #[test]
    fn a_letter_may_be_wrong() {
        let spelling = spelling(&["diabetes", "pneumonia", "fibrillation", "anemia"]);
        let meant = |word| {
            spelling
                .meant(word, EN)
                .map(|(word, ..)| word)
                .collect::<HashSet<_>>()
                .into_iter()
                .collect::<Vec<_>>()
        };
        for (word, right) in [
            ("diabtes", "diabetes"),
            ("diabbetes", "diabetes"),
            ("diabetis", "diabetes"),
            ("pnuemonia", "pneumonia"),
            ("pneumonias", "pneumonia"),
            ("fibrilation", "fibrillation"),
            ("fibrilations", "fibrillation"),
            ("fibrillatoin", "fibrillation"),
        ] {
            match spelling.knows(word, EN) {
                true => assert_eq!(word, "pneumonias"),
                false => assert_eq!(meant(word), [right], "{word}"),
            }
        }
        for word in ["bneumonia", "pneumonix", "pnemnia", "anaemia", "anemic"] {
            assert!(meant(word).is_empty(), "{word}");
        }
    }

    #[test]
    fn a_scanner_reads_digits_for_letters_and_two_letters_for_one() {
        for (word, right) in [
            ("hypertens1on", "hypertension"),
            ("g1aucoma", "glaucoma"),
            ("me11itus", "mellitus"),
            ("1atanoprost", "latanoprost"),
            ("0edema", "oedema"),
            ("5troke", "stroke"),
            ("pneurnonia", "pneumonia"),
            ("cornrnunity", "community"),
            ("extemal", "external"),
            ("c1arithrornycin", "clarithromycin"),
        ] {
            assert!(scanned(word).iter().any(|read| read == right), "{word}");
        }
        for word in [
            "b12",
            "t1dm",
            "hba1c",
            "20mg",
            "covid19",
            "1week2",
            "11111abcd",
            "pain",
            "barn",
            "\u{e9}1aaaaa",
        ] {
            assert!(scanned(word).is_empty(), "{word}");
        }
        assert!(scanned(&"m".repeat(MOST)).is_empty());
    }

    #[test]
    fn endings_are_compared_with_endings() {
        let mut spelling = Spelling::default();
        for word in ["arterial", "arteria"] {
            spelling.add(word, true, PT);
        }
        let meant: HashSet<_> = spelling.meant("artreial", PT).collect();
        assert_eq!(
            meant,
            HashSet::from([("arterial", 1, true), ("arteria", 1, false)])
        );
    }

    #[test]
    fn words_that_are_right_and_short_words_are_what_nobody_means() {
        let mut spelling = spelling(&["ulcers", "stroke"]);
        spelling.add("inflation", false, EN);
        assert_eq!(spelling.meant("inflatoin", EN).count(), 0);
        assert_eq!(spelling.meant("strroke", EN).count(), 0);
        assert!(spelling.knows("inflation", EN) && spelling.knows("strokes", EN));
        assert!(may_be_misspelt(&"a".repeat(MOST)) && !may_be_misspelt(&"a".repeat(MOST + 1)));
        assert!(!may_be_misspelt("strik") && !may_be_misspelt("t1diabts") && may_be_misspelt("strikes"));
    }

    proptest! {
        /// Against the distance of Damerau and Levenshtein, in its restricted form.
        #[test]
        fn one_letter_is_a_distance_of_one(one in "[ab]{1,6}", other in "[ab]{1,6}") {
            let (a, b) = (one.as_bytes(), other.as_bytes());
            let mut table = vec![vec![0usize; b.len() + 1]; a.len() + 1];
            for i in 0..=a.len() {
                for j in 0..=b.len() {
                    table[i][j] = match (i, j) {
                        (0, n) | (n, 0) => n,
                        _ => {
                            let near = (table[i - 1][j] + 1).min(table[i][j - 1] + 1);
                            let near = near.min(table[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]));
                            let turned = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
                            if turned { near.min(table[i - 2][j - 2] + 1) } else { near }
                        }
                    };
                }
            }
            let ends = a[0] == b[0] && a.last() == b.last();
            let near = table[a.len()][b.len()] == 1;
            if near && ends && a.len().min(b.len()) > 1 {
                prop_assert!(is_one_letter_off(&one, &other));
            }
            if is_one_letter_off(&one, &other) {
                prop_assert!(near && ends);
            }
        }

        #[test]
        fn what_is_one_letter_off_is_found(word in "[a-z]{8,14}", at in 1usize..6, letter in "[a-z]", kind in 0..4) {
            let spelling = spelling(&[&word]);
            let mut wrong = word.clone();
            match kind {
                0 => { wrong.remove(at); }
                1 => wrong.insert_str(at, &letter),
                2 => wrong.replace_range(at..=at, &letter),
                _ => { let c = wrong.remove(at); wrong.insert(at + 1, c); }
            }
            prop_assume!(!spelling.knows(&wrong, EN));
            if is_one_letter_off(&wrong, &word) || is_one_letter_off(stem(&wrong, EN), stem(&word, EN)) {
                prop_assert_eq!(spelling.meant(&wrong, EN).next(), Some((&*word, 1, true)));
            }
        }
    }
}
