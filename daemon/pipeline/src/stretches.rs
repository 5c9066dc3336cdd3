//! The answers of zero-shot models, which score stretches of words for each label: from scores to candidates, and from
//! candidates of the whole document to those that stand beside one another. As in the `gliner` package
//! (`gliner/decoding/decoder.py`, 0.2.24).

use std::collections::HashSet;
use std::ops::Range;

use thiserror::Error;
use unicode_categories::UnicodeCategories;

use crate::ranges::Highest;
use crate::tokens::ByteSpan;
use crate::windows::Window;

/// Candidates of one document at most. Far more than anything that is written about in it.
pub const MOST_CANDIDATES: usize = 1 << 18;

/// Words in a row that may be an entity.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Candidate {
    /// Its first word.
    pub first: usize,
    /// Its last word.
    pub last: usize,
    /// The label.
    pub label: usize,
    /// Probability, 0 to 1.
    pub score: f32,
}

/// A word that is inside an entity of a label, as far as scores tell: nothing else has part in a candidate.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Inside {
    /// Which word of the document.
    pub word: usize,
    /// The label.
    pub label: usize,
    /// Probability, 0 to 1, that an entity begins with it.
    pub begins: f32,
    /// That one ends with it.
    pub ends: f32,
    /// That it is inside one.
    pub inside: f32,
}

/// Which candidates may stand beside one another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Overlaps {
    /// Whether one may lie within another. Two that overlap and do not nest never stand together.
    pub nested: bool,
    /// Whether the same words may have several labels.
    pub several_labels: bool,
}

/// Too much of a document is above the threshold for an answer of any use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("more than {MOST_CANDIDATES} stretches are above the threshold")]
pub struct TooMany;

/// The probability that a score stands for.
pub fn sigmoid(score: f32) -> f32 {
    1.0 / (1.0 + (-score).exp())
}

/// The window that a stretch of words is taken from, of those that hold it whole: the one in which it is farthest from
/// an end that is not the document's. `None` where no window holds it.
fn owner(windows: &[Window], first: usize, last: usize, words: usize) -> Option<usize> {
    let margin = |window: &Window| {
        let Range { start, end } = window.tokens;
        let before = if start == 0 { usize::MAX } else { first - start };
        let after = if end == words { usize::MAX } else { end - 1 - last };
        before.min(after)
    };
    // Windows begin and end one after the other.
    let from = windows.partition_point(|window| window.tokens.end <= last);
    let mut best: Option<(usize, usize)> = None;
    for (index, window) in windows.iter().enumerate().skip(from) {
        if window.tokens.start > first {
            break;
        }
        let margin = margin(window);
        if best.is_none_or(|(_, most)| margin > most) {
            best = Some((index, margin));
        }
    }
    best.map(|(index, _)| index)
}

/// No score below this one stands for a probability above `threshold`.
pub fn floor(threshold: f32) -> f32 {
    // One less than it would be without rounding, which is far less.
    (threshold / (1.0 - threshold)).ln() - 1.0
}

/// The candidates of one window whose stretches are scored. All scores are, for each of its words, each width from 1 to
/// `max_width` and each of `labels` labels, one before the sigmoid; `scores` are those of them that are not below the [`floor`] at least, each
/// with its place among all, in their order. Those above `threshold` are taken whose stretch this window of all `windows` has at its
/// best, so that each comes from one window.
pub fn of_stretches(
    scores: impl Iterator<Item = (usize, f32)>,
    max_width: usize,
    labels: usize,
    threshold: f32,
    windows: &[Window],
    index: usize,
) -> Vec<Candidate> {
    let mut found = Vec::new();
    let (Some(window), Some(words)) = (windows.get(index), windows.last().map(|last| last.tokens.end)) else {
        return found;
    };
    let (floor, mut last_asked) = (floor(threshold), None);
    for (place, score) in scores {
        if score < floor {
            continue;
        }
        let (stretch, label) = (place / labels.max(1), place % labels.max(1));
        let first = window.tokens.start + stretch / max_width.max(1);
        let last = first + stretch % max_width.max(1);
        let score = sigmoid(score);
        if last >= window.tokens.end || score <= threshold || score.is_nan() {
            continue;
        }
        let mine = match last_asked {
            Some((asked, mine)) if asked == stretch => mine,
            _ => owner(windows, first, last, words) == Some(index),
        };
        last_asked = Some((stretch, mine));
        if mine {
            found.push(Candidate {
                first,
                last,
                label,
                score,
            });
        }
    }
    found
}

/// The words that one window owns which are inside an entity, as far as `threshold` lets them. `scores` holds for each of the window's words and
/// each of `labels` labels three scores before the sigmoid, that it begins, ends and is inside an entity.
pub fn inside(scores: &[f32], labels: usize, threshold: f32, window: &Window) -> Vec<Inside> {
    let Range { start, end } = window.owned;
    let size = 3 * labels;
    let from = start.saturating_sub(window.tokens.start) * size;
    let to = end.saturating_sub(window.tokens.start) * size;
    let owned = scores.get(from..to).unwrap_or_default();
    let of_label = |(place, scores): (usize, &[f32; 3])| {
        let [begins, ends, inside] = scores.map(sigmoid);
        let word = Inside {
            word: start + place / labels.max(1),
            label: place % labels.max(1),
            begins,
            ends,
            inside,
        };
        // One that is no number does not end an entity.
        (inside >= threshold || inside.is_nan()).then_some(word)
    };
    owned
        .as_chunks()
        .0
        .iter()
        .enumerate()
        .filter_map(of_label)
        .collect()
}

/// The candidates of a document from the [words inside](inside) entities of all its windows. A candidate begins and ends with words above
/// `threshold`, has none inside below it, and has the least of their probabilities. Takes time linear in the words, beside their sorting, and in what
/// is found.
///
/// # Errors
/// [`TooMany`]
pub fn of_words(mut words: Vec<Inside>, threshold: f32) -> Result<Vec<Candidate>, TooMany> {
    words.sort_by_key(|word| (word.label, word.word));
    let mut found = Vec::new();
    for run in words.chunk_by(|word, next| (word.label, word.word + 1) == (next.label, next.word)) {
        of_run(run, threshold, &mut found)?;
    }
    Ok(found)
}

/// Where a candidate may end.
struct End {
    /// Place in its run.
    place: usize,
    word: usize,
    score: f32,
    /// The least that a word is inside behind it, up to the next end.
    behind: f32,
}

/// The same from words of one label that stand side by side: each begin with each end from it on.
fn of_run(run: &[Inside], threshold: f32, found: &mut Vec<Candidate>) -> Result<(), TooMany> {
    let is_end = |word: &Inside| word.ends > threshold;
    // The least that a word is inside from each to the next end. What is no number is not the least of anything.
    let mut up_to_end = vec![f32::INFINITY; run.len()];
    let mut least = f32::INFINITY;
    for (word, up_to_end) in run.iter().zip(&mut up_to_end).rev() {
        if is_end(word) {
            least = f32::INFINITY;
        }
        least = least.min(word.inside);
        *up_to_end = least;
    }
    let ends: Vec<End> = run
        .iter()
        .enumerate()
        .filter(|(_, word)| is_end(word))
        .map(|(place, word)| End {
            place,
            word: word.word,
            score: word.ends,
            behind: up_to_end.get(place + 1).copied().unwrap_or(f32::INFINITY),
        })
        .collect();
    let mut ends = ends.as_slice();
    for (place, (first, up_to_end)) in run.iter().zip(up_to_end).enumerate() {
        if let Some((passed, behind)) = ends.split_first()
            && passed.place < place
        {
            ends = behind;
        }
        if first.begins <= threshold {
            continue;
        }
        let mut least = first.begins.min(up_to_end);
        for end in ends {
            if found.len() == MOST_CANDIDATES {
                return Err(TooMany);
            }
            found.push(Candidate {
                first: first.word,
                last: end.word,
                label: first.label,
                score: least.min(end.score),
            });
            least = least.min(end.behind);
        }
    }
    Ok(())
}

/// The same stretch with the same label is kept once, with its best score; the order is by first word, last word, label.
pub fn merge_labels(candidates: &mut Vec<Candidate>) {
    candidates.sort_by(|a, b| {
        (a.first, a.last, a.label)
            .cmp(&(b.first, b.last, b.label))
            .then(b.score.total_cmp(&a.score))
    });
    candidates.dedup_by_key(|candidate| (candidate.first, candidate.last, candidate.label));
}

/// Takes candidates from the best score down, each that may stand beside those taken before. Of equal scores the first
/// in `candidates` comes first. The answer is in the order of the text. Takes time linear in the candidates, beside a logarithm.
pub fn select(mut candidates: Vec<Candidate>, overlaps: Overlaps) -> Vec<Candidate> {
    candidates.sort_by(|a, b| b.score.total_cmp(&a.score));
    let mut taken = Taken::among(&candidates);
    candidates.retain(|candidate| taken.take(candidate.first, candidate.last, overlaps));
    candidates.sort_by_key(|candidate| candidate.first);
    candidates
}

/// The stretches that were taken.
struct Taken {
    stretches: HashSet<(usize, usize)>,
    /// The words that any candidate begins with, and how far those reach that were taken: one past their last word.
    begins: (Vec<usize>, Highest),
    /// The words that any ends with, and how early those begin: the fewer words before, the higher.
    ends: (Vec<usize>, Highest),
}

impl Taken {
    /// Nothing yet of these candidates.
    fn among(candidates: &[Candidate]) -> Self {
        let places = |word: fn(&Candidate) -> usize| {
            let mut words: Vec<usize> = candidates.iter().map(word).collect();
            words.sort_unstable();
            words.dedup();
            let highest = Highest::new(words.len());
            (words, highest)
        };
        Self {
            stretches: HashSet::new(),
            begins: places(|candidate| candidate.first),
            ends: places(|candidate| candidate.last),
        }
    }

    fn take(&mut self, first: usize, last: usize, overlaps: Overlaps) -> bool {
        // Nothing overlaps what was taken that may not.
        if self.stretches.contains(&(first, last)) {
            return overlaps.several_labels;
        }
        let clashes = match overlaps.nested {
            true => self.reach(first + 1, last) > last + 1 || self.from(first, last) < first,
            false => self.reach(0, last) > first,
        };
        if clashes {
            return false;
        }
        self.stretches.insert((first, last));
        let place = |words: &[usize], word| words.partition_point(|other| *other < word);
        self.begins.1.raise(place(&self.begins.0, first), last + 1);
        self.ends.1.raise(place(&self.ends.0, last), usize::MAX - first);
        true
    }

    /// One past the last word of what was taken that begins with a word from `first` to `last`.
    fn reach(&self, first: usize, last: usize) -> usize {
        let (words, highest) = &self.begins;
        let before = words.partition_point(|word| *word < first);
        highest.within(before..words.partition_point(|word| *word <= last))
    }

    /// The first word of what was taken that ends with a word from `first` to the one before `last`.
    fn from(&self, first: usize, last: usize) -> usize {
        let (words, highest) = &self.ends;
        let before = words.partition_point(|word| *word < first);
        usize::MAX - highest.within(before..words.partition_point(|word| *word < last))
    }
}

/// The words of a text as they are written: a word of the reference ends before the accent of a decomposed letter, which is a word of its own there.
pub struct Letters<'a> {
    words: &'a [ByteSpan],
    /// Of each word, whether it begins within a letter.
    within: Vec<bool>,
    /// Of each word, the last of the marks that follow it, and the byte behind them.
    ends: Vec<(usize, usize)>,
}

impl<'a> Letters<'a> {
    /// Of a text and its words. Takes time linear in the text.
    pub fn new(text: &str, words: &'a [ByteSpan]) -> Self {
        let within = |word: &ByteSpan| {
            let (before, behind) = text.split_at_checked(word.begin).unwrap_or_default();
            let follows = before.ends_with(|c: char| !c.is_whitespace());
            follows && behind.starts_with(|c: char| c.is_mark())
        };
        let within: Vec<bool> = words.iter().map(within).collect();
        let mut ends = vec![(0, 0); words.len()];
        // The word behind, where it is a mark, and what it ends with.
        let mut next: Option<(usize, (usize, usize))> = None;
        let mut limit = text.len();
        for (index, (word, own)) in words.iter().zip(&mut ends).enumerate().rev() {
            let behind = text.get(word.end..limit).unwrap_or_default();
            let marks = behind.chars().take_while(|c| c.is_mark()).map(char::len_utf8);
            let end = word.end + marks.sum::<usize>();
            *own = match next {
                Some((begin, ends)) if begin == end => ends,
                _ => (index, end),
            };
            next = (within.get(index) == Some(&true)).then_some((word.begin, *own));
            limit = word.begin;
        }
        Self { words, within, ends }
    }

    /// Lets candidates end with the marks that follow them, and leaves out those that begin with such a mark. Thus those of the same bytes have
    /// the same words.
    pub fn complete(&self, candidates: &mut Vec<Candidate>) {
        candidates.retain_mut(|candidate| {
            if let Some((last, _)) = self.ends.get(candidate.last) {
                candidate.last = *last;
            }
            self.within.get(candidate.first) == Some(&false)
        });
    }

    /// The bytes of a stretch of words, with the marks that follow the last one. `None` where there are no such words.
    pub fn bytes(&self, first: usize, last: usize) -> Option<ByteSpan> {
        Some(ByteSpan {
            begin: self.words.get(first)?.begin,
            end: self.ends.get(last)?.1,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing::messy_text;
    use crate::words::WordSplitter;

    fn candidate(first: usize, last: usize, label: usize, score: f32) -> Candidate {
        Candidate {
            first,
            last,
            label,
            score,
        }
    }

    /// The reference's search, as it is described: each against all that were taken.
    fn naive(candidates: &[Candidate], overlaps: Overlaps) -> Vec<Candidate> {
        let mut sorted = candidates.to_vec();
        sorted.sort_by(|a, b| b.score.partial_cmp(&a.score).unwrap());
        let mut taken: Vec<Candidate> = Vec::new();
        for next in sorted {
            let clash = |other: &Candidate| {
                if (other.first, other.last) == (next.first, next.last) {
                    return !overlaps.several_labels;
                }
                let apart = other.first > next.last || next.first > other.last;
                let nested = (other.first <= next.first && other.last >= next.last)
                    || (next.first <= other.first && next.last >= other.last);
                !(apart || overlaps.nested && nested)
            };
            if !taken.iter().any(clash) {
                taken.push(next);
            }
        }
        taken.sort_by_key(|taken| taken.first);
        taken
    }

    fn whole(words: usize) -> Vec<Window> {
        vec![Window {
            tokens: 0..words,
            owned: 0..words,
        }]
    }

    #[test]
    fn the_threshold_is_strict() {
        let scores = [0.0, 0.1, -1.0, f32::NEG_INFINITY];
        let all = || scores.iter().copied().enumerate();
        let found = of_stretches(all(), 2, 1, 0.5, &whole(2), 0);
        assert_eq!(found, [candidate(0, 1, 0, sigmoid(0.1))]);
        assert!(of_stretches(all(), 2, 1, 1.0, &whole(2), 0).is_empty());
    }

    #[test]
    fn a_word_score_is_the_least_of_its_parts() {
        // begin, end, inside; the third word is not inside.
        let rows = [2.0, -9.0, 1.0, -9.0, 1.5, 0.5, 3.0, 3.0, -1.0];
        let words = inside(&rows, 1, 0.5, &whole(3)[0]);
        assert_eq!(words.len(), 2, "the third is kept by nobody");
        let found = of_words(words, 0.5).unwrap();
        assert_eq!(found, [candidate(0, 1, 0, sigmoid(0.5))]);
    }

    #[test]
    fn an_absurd_threshold_is_told() {
        let rows = vec![0.0; 3 * 1000];
        assert_eq!(
            of_words(inside(&rows, 1, 0.0, &whole(1000)[0]), 0.0),
            Err(TooMany)
        );
    }

    #[test]
    fn words_of_two_windows_are_one_entity() {
        // Of each word: begin, end, inside. Each window has all three words, and owns some of them.
        let rows = [2.0, -9.0, 1.0, -9.0, -9.0, 1.0, -9.0, 2.0, 1.0];
        let windows = [0..2, 2..3].map(|owned| Window { tokens: 0..3, owned });
        let words = windows.iter().flat_map(|window| inside(&rows, 1, 0.5, window));
        let found = of_words(words.collect(), 0.5).unwrap();
        assert_eq!(found, [candidate(0, 2, 0, sigmoid(1.0))]);
    }

    proptest! {
        /// Each begin with each end behind it and everything between them.
        #[test]
        fn the_words_of_a_candidate_are_inside(
            rows in proptest::collection::vec(proptest::array::uniform3(-2.0_f32..2.0), 0..24),
            labels in 1_usize..4,
        ) {
            let words = rows.len() / labels;
            let scores: Vec<f32> = rows[..words * labels].iter().flatten().copied().collect();
            let at = |word: usize, label: usize, kind: usize| sigmoid(rows[word * labels + label][kind]);
            let mut want = Vec::new();
            for label in 0..labels {
                for first in 0..words {
                    for last in first..words {
                        let within = (first..=last).map(|word| at(word, label, 2));
                        let least = within.fold(1.0, f32::min).min(at(first, label, 0)).min(at(last, label, 1));
                        if least > 0.5 {
                            want.push(candidate(first, last, label, least));
                        }
                    }
                }
            }
            let words = inside(&scores, labels, 0.5, &whole(words)[0]);
            prop_assert_eq!(of_words(words, 0.5).unwrap(), want);
        }
    }

    /// Every word from a begin on as long as they are inside, as it is defined.
    fn naive_words(mut words: Vec<Inside>, threshold: f32) -> Vec<Candidate> {
        words.sort_by_key(|word| (word.label, word.word));
        let mut found = Vec::new();
        for (index, first) in words.iter().enumerate() {
            if first.begins <= threshold {
                continue;
            }
            let mut least = first.begins;
            let behind = words.iter().skip(index).zip(first.word..);
            for (last, _) in behind.take_while(|(word, due)| (word.label, word.word) == (first.label, *due)) {
                least = least.min(last.inside);
                if last.ends > threshold {
                    found.push(candidate(
                        first.word,
                        last.word,
                        first.label,
                        least.min(last.ends),
                    ));
                }
            }
        }
        found
    }

    proptest! {
        #[test]
        fn candidates_of_words_are_as_they_are_defined(
            raw in proptest::collection::vec((0_usize..3, 0_usize..12, proptest::array::uniform3(0_u8..12)), 0..40),
            threshold in 0_u8..10,
        ) {
            let score = |score| if score == 11 { f32::NAN } else { f32::from(score) / 10.0 };
            let words = raw.into_iter().map(|(label, word, scores)| {
                let [begins, ends, inside] = scores.map(score);
                Inside { word, label, begins, ends, inside }
            });
            let words: Vec<Inside> = words.collect();
            let threshold = f32::from(threshold) / 10.0;
            prop_assert_eq!(of_words(words.clone(), threshold).unwrap(), naive_words(words, threshold));
        }
    }

    /// It would take minutes if every word were looked at from every begin.
    #[test]
    fn words_that_end_nothing_cost_nothing() {
        let words = 1 << 20;
        let word = |word: usize| Inside {
            word,
            label: 0,
            begins: 0.9,
            ends: if word + 2 == words { 0.8 } else { 0.1 },
            inside: 0.7,
        };
        let all = (0..words).filter(|at| at + 3 != words).map(word);
        let found = of_words(all.collect(), 0.5).unwrap();
        assert_eq!(found, [candidate(words - 2, words - 2, 0, 0.7)]);
    }

    /// It would take minutes if each were held against all that were taken.
    #[test]
    fn many_stretches_in_one_another_are_taken_in_no_time() {
        let words = 1 << 20;
        let nested = (0..words).map(|last| candidate(0, last, 0, 0.9));
        let overlaps = |nested| Overlaps {
            nested,
            several_labels: false,
        };
        assert_eq!(select(nested.collect(), overlaps(true)).len(), words);
        // One that is long, and then short ones.
        let behind = (words..2 * words).map(|first| candidate(first, first, 0, 0.8));
        let flat = std::iter::once(candidate(0, words - 1, 0, 0.9)).chain(behind);
        assert_eq!(select(flat.collect(), overlaps(false)).len(), words + 1);
    }

    #[test]
    fn synonyms_count_once() {
        let mut all = vec![
            candidate(1, 2, 0, 0.6),
            candidate(0, 2, 0, 0.5),
            candidate(1, 2, 0, 0.9),
        ];
        merge_labels(&mut all);
        assert_eq!(all, [candidate(0, 2, 0, 0.5), candidate(1, 2, 0, 0.9)]);
    }

    #[test]
    fn accents_stay_with_their_letters() {
        let text = "e\u{301}tat fe\u{301}brile \u{301}x";
        let words = WordSplitter::new().unwrap().split(text).unwrap();
        assert_eq!(words.len(), 8);
        let letters = Letters::new(text, &words);
        let written = |first, last| letters.bytes(first, last).map(|bytes| &text[bytes.range()]);
        assert_eq!(written(0, 0), Some("e\u{301}"));
        assert_eq!(written(0, 1), Some("e\u{301}"));
        assert_eq!(written(2, 3), Some("tat fe\u{301}"));
        assert_eq!(written(7, 8), None);
        let mut found = vec![
            candidate(0, 0, 0, 0.6),
            candidate(0, 1, 0, 0.9),
            candidate(1, 2, 0, 0.9),
            candidate(2, 3, 0, 0.5),
            candidate(4, 5, 0, 0.9),
            // It follows nothing that it could stand on.
            candidate(6, 6, 0, 0.9),
        ];
        letters.complete(&mut found);
        merge_labels(&mut found);
        let want = [
            candidate(0, 1, 0, 0.9),
            candidate(2, 4, 0, 0.5),
            candidate(6, 6, 0, 0.9),
        ];
        assert_eq!(found, want);
    }

    /// It would take hours if marks were looked at from every word before them.
    #[test]
    fn many_marks_cost_what_they_are() {
        let marks = 1 << 20;
        let text = format!("e{}", "\u{301}".repeat(marks));
        let words = WordSplitter::new().unwrap().split(&text).unwrap();
        let letters = Letters::new(&text, &words);
        let mut found: Vec<Candidate> = (0..=marks).map(|last| candidate(0, last, 0, 0.9)).collect();
        letters.complete(&mut found);
        assert!(found.iter().all(|found| (found.first, found.last) == (0, marks)));
        let bare = &words[..1];
        let whole = Some(ByteSpan {
            begin: 0,
            end: text.len(),
        });
        assert_eq!(
            (letters.bytes(0, 0), Letters::new(&text, bare).bytes(0, 0)),
            (whole, whole)
        );
    }

    proptest! {
        /// Of all stretches of a text, also where a tokenizer drops words.
        #[test]
        fn what_is_taken_is_apart_in_bytes_too(
            text in messy_text(60),
            dropped in proptest::collection::vec(any::<bool>(), 12),
            scores in proptest::collection::vec(0_u8..30, 12 * 12),
        ) {
            let mut words = WordSplitter::new().unwrap().split(&text).unwrap();
            words.truncate(12);
            let mut dropped = dropped.into_iter();
            words.retain(|_| dropped.next() == Some(false));
            let all = (0..words.len()).flat_map(|first| (first..words.len()).map(move |last| (first, last)));
            let mut all: Vec<Candidate> = all
                .zip(scores)
                .map(|((first, last), score)| candidate(first, last, usize::from(score) % 2, f32::from(score)))
                .collect();
            let letters = Letters::new(&text, &words);
            letters.complete(&mut all);
            merge_labels(&mut all);
            let taken = select(all, Overlaps::default());
            let mut covered = 0;
            for found in taken {
                let bytes = letters.bytes(found.first, found.last).unwrap();
                prop_assert!(bytes.begin >= covered);
                let (before, behind) = text.split_at(bytes.begin);
                let alone = before.is_empty() || before.ends_with(char::is_whitespace);
                prop_assert!(alone || !behind.starts_with(|c: char| c.is_mark()));
                prop_assert!(!text[bytes.end..].starts_with(|c: char| c.is_mark()));
                covered = bytes.end;
            }
        }
    }

    proptest! {
        #[test]
        fn nothing_below_the_floor_is_above_the_threshold(
            threshold in prop_oneof![0.0_f32..1.0, Just(0.0), Just(1.0), Just(1.0 - f32::EPSILON / 2.0), Just(f32::MIN_POSITIVE)],
            below in 0.0_f32..50.0,
        ) {
            let floor = floor(threshold);
            for score in [floor, floor - below, floor.next_down(), f32::MIN] {
                prop_assert!(score >= floor || sigmoid(score) <= threshold, "{score} {threshold}");
            }
        }

        #[test]
        fn what_is_taken_is_what_the_reference_takes(
            raw in proptest::collection::vec((0usize..30, 0usize..8, 0usize..3, 0u8..30), 0..80),
            nested in any::<bool>(),
            several_labels in any::<bool>(),
        ) {
            let mut candidates: Vec<Candidate> = raw
                .into_iter()
                .map(|(first, more, label, score)| candidate(first, first + more, label, f32::from(score) / 30.0))
                .collect();
            merge_labels(&mut candidates);
            let overlaps = Overlaps { nested, several_labels };
            let want = naive(&candidates, overlaps);
            prop_assert_eq!(select(candidates, overlaps), want);
        }

        #[test]
        fn each_stretch_comes_from_one_window(
            steps in proptest::collection::vec((1usize..9, 1usize..6), 1..8),
            width in 1usize..5,
        ) {
            // Windows that begin and end one after the other and overlap.
            let mut windows: Vec<Window> = Vec::new();
            let mut start = 0;
            for (step, more) in steps {
                let end = windows.last().map_or(0, |last: &Window| last.tokens.end).max(start) + more;
                windows.push(Window { tokens: start..end, owned: 0..0 });
                start = (start + step).min(end);
            }
            let words = windows.last().unwrap().tokens.end;
            let mut seen = Vec::new();
            for (index, window) in windows.iter().enumerate() {
                let scores = std::iter::repeat_n(1.0, window.tokens.len() * width).enumerate();
                let found = of_stretches(scores, width, 1, 0.5, &windows, index);
                seen.extend(found.iter().map(|found| (found.first, found.last)));
            }
            seen.sort_unstable();
            let mut want: Vec<(usize, usize)> = (0..words)
                .flat_map(|first| (first..(first + width).min(words)).map(move |last| (first, last)))
                .filter(|(first, last)| windows.iter().any(|w| w.tokens.start <= *first && *last < w.tokens.end))
                .collect();
            want.sort_unstable();
            prop_assert_eq!(seen, want);
        }
    }
}
