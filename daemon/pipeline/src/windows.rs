//! Cuts a tokenised document into windows that fit a model's context, at places where a clinical note can be
//! cut, and says which window each token's prediction is taken from. No tensors, no special tokens.

use std::cmp::Reverse;
use std::ops::Range;

use thiserror::Error;

use crate::sentences::{Break, breaks};
use crate::tokens::Tokens;

/// A stretch of a document that one run of the model sees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Window {
    /// Content tokens of the document that are in it.
    pub tokens: Range<usize>,
    /// Those whose prediction is taken from it. Over all windows these ranges partition the document.
    pub owned: Range<usize>,
}

/// Why a document cannot be windowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum WindowError {
    /// The model's context is used up by its special tokens.
    #[error("a window has no room for content")]
    NoCapacity,
    /// Windows that overlap by all they hold would never get on.
    #[error("an overlap of {overlap} tokens does not fit windows of {capacity}")]
    Overlap {
        /// Tokens that neighbours should share.
        overlap: usize,
        /// Tokens a window holds.
        capacity: usize,
    },
}

/// The windows of a document: one where all of it fits, none where it has no tokens.
///
/// `capacity` is the number of content tokens that fit: the model's context less its special tokens.
/// Neighbours share at least `overlap` tokens. Each window ends at the best break (paragraph, sentence, line,
/// space, word) in the last part of what it can hold and the next begins at the best break before the
/// overlap; how far is gone back for a better break is limited to a quarter of `capacity - overlap` on either
/// side, so that a document of `n` tokens has fewer than `2 n / (capacity - overlap) + 2` windows whatever
/// its text.
///
/// In an overlap, the tokens up to the seam belong to the first window and the others to the second. The seam
/// is the sentence end nearest to the middle, or else the line end, space, word end nearest to it, so that a
/// token's prediction comes from where it has most context and a sentence, where it can, from one window.
///
/// # Errors
/// [`WindowError`] when `capacity` is 0 or `overlap` not below it.
pub fn windows(
    text: &str,
    tokens: &Tokens,
    capacity: usize,
    overlap: usize,
) -> Result<Vec<Window>, WindowError> {
    if capacity == 0 {
        return Err(WindowError::NoCapacity);
    }
    if overlap >= capacity {
        return Err(WindowError::Overlap { overlap, capacity });
    }
    if tokens.is_empty() {
        return Ok(Vec::new());
    }
    if tokens.len() <= capacity {
        return Ok(vec![Window {
            tokens: 0..tokens.len(),
            owned: 0..tokens.len(),
        }]);
    }
    let breaks = breaks(text, tokens);
    Ok(with_owners(
        &breaks,
        ranges(&breaks, |begin| (begin + capacity, overlap)),
    ))
}

/// How much of a text one run of a zero-shot model takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// Words.
    pub words: usize,
    /// Pieces of words.
    pub pieces: usize,
}

/// The windows of a document that is cut into words: as [`windows`], but each word has as many pieces as `pieces` says,
/// and both words and pieces have to fit. A word with more pieces than fit takes all the room there is.
///
/// Neighbours share at least `overlap` words, or half of a window's words where it holds fewer than twice that; where a
/// word has so many pieces that it fits into no window with those before it, they share less.
///
/// # Errors
/// [`WindowError`] when there is no room for words or for pieces.
pub fn word_windows(
    text: &str,
    words: &Tokens,
    pieces: &[usize],
    room: Room,
    overlap: usize,
) -> Result<Vec<Window>, WindowError> {
    if room.words == 0 || room.pieces == 0 {
        return Err(WindowError::NoCapacity);
    }
    if words.is_empty() {
        return Ok(Vec::new());
    }
    // Pieces before each word and behind the last.
    let mut before = Vec::with_capacity(words.len() + 1);
    before.push(0);
    for word in 0..words.len() {
        let last = before.last().copied().unwrap_or(0);
        before.push(last + pieces.get(word).copied().unwrap_or(0).min(room.pieces));
    }
    let reach = |begin: usize| {
        let limit = before
            .get(begin)
            .copied()
            .unwrap_or(0)
            .saturating_add(room.pieces);
        let full = before.partition_point(|sum| *sum <= limit).saturating_sub(1);
        let full = full.min(begin + room.words);
        (full, overlap.min((full - begin) / 2))
    };
    let breaks = breaks(text, words);
    Ok(with_owners(&breaks, ranges(&breaks, reach)))
}

/// Token ranges of the windows: begins and ends rise. `reach` says of a window's begin where it ends at the latest, which
/// is behind its first token and never falls, and how much it shares with its neighbour where it can.
fn ranges(breaks: &[Break], reach: impl Fn(usize) -> (usize, usize)) -> Vec<Range<usize>> {
    let mut ranges: Vec<Range<usize>> = Vec::new();
    let mut begin = 0;
    loop {
        let (full, overlap) = reach(begin);
        if full >= breaks.len() {
            break;
        }
        let slack = (full - begin - overlap) / 4;
        let earliest = ranges.last().map_or(begin, |last| last.end) + 1;
        let end = best(breaks, (full - slack).max(earliest)..=full, |at| full - at);
        ranges.push(begin..end);
        let latest = end - overlap;
        let good = (latest - slack).max(begin + 1)..=latest.max(begin + 1);
        begin = best(breaks, good, |at| latest.max(begin + 1) - at);
        // What follows may be so large that it needs more room.
        while reach(begin).0 <= end {
            begin += 1;
        }
    }
    ranges.push(begin..breaks.len());
    ranges
}

/// The place in `range` with the best break, the nearest where several are equal.
fn best(
    breaks: &[Break],
    range: std::ops::RangeInclusive<usize>,
    distance: impl Fn(usize) -> usize,
) -> usize {
    let otherwise = *range.end();
    let rank = |&at: &usize| {
        (
            breaks.get(at).copied().unwrap_or(Break::Paragraph),
            Reverse(distance(at)),
        )
    };
    range.max_by_key(rank).unwrap_or(otherwise)
}

fn with_owners(breaks: &[Break], ranges: Vec<Range<usize>>) -> Vec<Window> {
    let mut windows = Vec::with_capacity(ranges.len());
    let mut owned_from = 0;
    let mut following = ranges.iter().skip(1);
    for tokens in &ranges {
        let seam = match following.next() {
            Some(next) => seam(breaks, next.start..tokens.end, owned_from + 1),
            None => tokens.end,
        };
        windows.push(Window {
            tokens: tokens.clone(),
            owned: owned_from..seam,
        });
        owned_from = seam;
    }
    windows
}

/// Where in the overlap of two windows the tokens of the first end and those of the second begin.
///
/// Not before `earliest`, so that each window owns a token even where overlaps overlap; as ends rise, there
/// is room.
fn seam(breaks: &[Break], overlap: Range<usize>, earliest: usize) -> usize {
    let middle = overlap.start + overlap.len() / 2;
    let rank = |&at: &usize| {
        let found = breaks.get(at).copied().unwrap_or(Break::Paragraph);
        (found.min(Break::Sentence), Reverse(at.abs_diff(middle)))
    };
    (overlap.start.max(earliest)..=overlap.end)
        .max_by_key(rank)
        .unwrap_or(overlap.end)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::logits::{Logits, stitch};
    use crate::testing::{bert, byte_level, messy_text};

    fn cut(text: &str, capacity: usize, overlap: usize) -> (Tokens, Vec<Window>) {
        let tokens = bert(true).tokenise(text).unwrap();
        let windows = windows(text, &tokens, capacity, overlap).unwrap();
        (tokens, windows)
    }

    fn sentence(words: usize) -> String {
        format!("The {}end. ", "pt ".repeat(words - 2))
    }

    #[test]
    fn small_documents() {
        assert_eq!(cut("", 8, 2).1, []);
        assert_eq!(cut("\u{200B}", 8, 2).1, []);
        assert_eq!(
            cut("the pt", 2, 1).1,
            [Window {
                tokens: 0..2,
                owned: 0..2
            }]
        );
    }

    #[test]
    fn impossible_sizes() {
        let tokens = bert(true).tokenise("the").unwrap();
        assert_eq!(windows("the", &tokens, 0, 0), Err(WindowError::NoCapacity));
        assert_eq!(
            windows("the", &tokens, 4, 4),
            Err(WindowError::Overlap {
                overlap: 4,
                capacity: 4
            })
        );
    }

    #[test]
    fn tiny_capacity() {
        let windows = cut("the pt the pt", 1, 0).1;
        assert_eq!(
            windows,
            (0..4)
                .map(|at| Window {
                    tokens: at..at + 1,
                    owned: at..at + 1
                })
                .collect::<Vec<_>>()
        );
    }

    #[test]
    fn borders_and_seams_lie_between_sentences() {
        // 11 to 14 tokens a sentence: some end in every slack and in every overlap.
        let text: String = (0..80).map(|at| sentence(10 + at % 4)).collect();
        let (tokens, windows) = cut(&text, 128, 40);
        let ends_well = |at: usize| at == tokens.len() || text[tokens.spans()[at].begin..].starts_with("The");
        assert!(windows.len() > 5);
        for window in &windows {
            assert!(
                ends_well(window.tokens.start) && ends_well(window.tokens.end),
                "{window:?}"
            );
            assert!(
                ends_well(window.owned.start) && ends_well(window.owned.end),
                "{window:?}"
            );
        }
        for pair in windows.windows(2) {
            let (shared, seam) = (pair[1].tokens.start..pair[0].tokens.end, pair[0].owned.end);
            assert!(seam.abs_diff((shared.start + shared.end) / 2) <= 7, "{pair:?}");
        }
    }

    #[test]
    fn one_giant_sentence_is_cut_between_words() {
        let text = "metformin ".repeat(300);
        let (tokens, windows) = cut(&text, 101, 21);
        for window in windows {
            for at in [
                window.tokens.start,
                window.tokens.end,
                window.owned.start,
                window.owned.end,
            ] {
                assert!(at == tokens.len() || at == 0 || tokens.words()[at] != tokens.words()[at - 1]);
            }
        }
    }

    #[test]
    fn one_giant_word_is_cut_all_the_same() {
        let text = "z".repeat(5000);
        let tokens = byte_level(false, true).tokenise(&text).unwrap();
        let windows = windows(&text, &tokens, 128, 32).unwrap();
        assert_eq!(windows.last().unwrap().owned.end, 5000);
        assert!(windows.len() <= 2 * 5000 / 96 + 2);
    }

    /// Rows that tell which token they belong to.
    fn identity(rows: Range<usize>) -> Logits {
        Logits::new(1, rows.map(|row| row as f32).collect()).unwrap()
    }

    proptest! {
        #[test]
        fn windows_of_words_keep_their_promises(
            text in messy_text(900),
            sizes in proptest::collection::vec(prop_oneof![9 => 1usize..4, 1 => 1usize..60], 1..50),
            room in (1usize..40, 1usize..60),
            overlap in 0usize..20,
        ) {
            let tokens = bert(true).tokenise(&text).unwrap();
            let room = Room { words: room.0, pieces: room.1 };
            let pieces: Vec<usize> = (0..tokens.len()).map(|at| sizes[at % sizes.len()]).collect();
            let windows = word_windows(&text, &tokens, &pieces, room, overlap).unwrap();
            let mut next = 0;
            for window in &windows {
                prop_assert_eq!(window.owned.start, next);
                prop_assert!(!window.owned.is_empty() && window.tokens.len() <= room.words);
                let held: usize = pieces[window.tokens.clone()].iter().map(|n| (*n).min(room.pieces)).sum();
                prop_assert!(held <= room.pieces);
                prop_assert!(window.tokens.start <= window.owned.start && window.owned.end <= window.tokens.end);
                next = window.owned.end;
            }
            prop_assert_eq!(next, tokens.len());
            for pair in windows.windows(2) {
                prop_assert!(pair[0].tokens.start < pair[1].tokens.start && pair[0].tokens.end < pair[1].tokens.end);
                prop_assert!(pair[1].tokens.start <= pair[0].tokens.end);
            }
            // Words of one piece each that all fit are windowed as tokens are.
            let ones = vec![1; tokens.len()];
            let wide = Room { words: room.words, pieces: usize::MAX };
            let shared = overlap.min(room.words / 2);
            let same = super::windows(&text, &tokens, room.words, shared).unwrap();
            prop_assert_eq!(word_windows(&text, &tokens, &ones, wide, overlap).unwrap(), same);
        }

        #[test]
        fn windows_keep_their_promises(
            text in messy_text(1500),
            capacity in 1usize..60,
            share in 0usize..60,
            planted in any::<proptest::sample::Index>(),
            length in 1usize..12,
            bytes in any::<bool>(),
        ) {
            let overlap = share % capacity;
            let tokens = if bytes { byte_level(false, true) } else { bert(true) }.tokenise(&text).unwrap();
            let windows = windows(&text, &tokens, capacity, overlap).unwrap();
            prop_assert_eq!(&windows, &super::windows(&text, &tokens, capacity, overlap).unwrap());
            prop_assert!(windows.len() <= 2 * tokens.len() / (capacity - overlap) + 2);

            let mut next = 0;
            for window in &windows {
                prop_assert_eq!(window.owned.start, next);
                prop_assert!(!window.owned.is_empty() && window.tokens.len() <= capacity);
                prop_assert!(window.tokens.start <= window.owned.start);
                prop_assert!(window.owned.end <= window.tokens.end);
                next = window.owned.end;
            }
            prop_assert_eq!(next, tokens.len());
            for pair in windows.windows(2) {
                prop_assert!(pair[0].tokens.end >= pair[1].tokens.start + overlap);
                prop_assert!(pair[0].tokens.end < pair[1].tokens.end);
            }
            // Whatever lies within the overlap's reach is whole in some window.
            if !tokens.is_empty() {
                let begin = planted.index(tokens.len());
                let end = (begin + length.min(overlap + 1)).min(tokens.len());
                let held = windows.iter().any(|w| w.tokens.start <= begin && end <= w.tokens.end);
                prop_assert!(held);
            }
            let parts: Vec<Logits> = windows.iter().map(|window| identity(window.tokens.clone())).collect();
            prop_assert_eq!(stitch(1, &windows, &parts).unwrap(), identity(0..tokens.len()));
        }
    }
}
