//! What somebody is watched for, with what is watched between: "watch drain for bile leak", "monitor BMs for hypoglycaemia", "watch imminent signs of
//! eclampsia".

use std::ops::Range;

use super::Kind;
use super::hits::Hit;
use super::is_mention;
use super::lexicon::{FAR, Role};
use super::sentence::Sentence;

use crate::languages::{EN, Spoken};

/// Who is told to watch.
const WATCH: [&str; 3] = ["watch", "monitor", "observe"];
/// What they watch for.
const FOR: [&[&str]; 5] = [
    &["for"],
    &["signs", "of"],
    &["symptoms", "of"],
    &["s", "/", "s", "of"],
    &["evidence", "of"],
];
/// Words of what is watched, at most.
const WATCHED: usize = 4;

impl Sentence {
    /// The words from "watch" to "for" that begin here.
    pub(super) fn watched(&self, at: usize, spoken: Spoken, mentions: &[Range<usize>]) -> Option<Hit> {
        let english = spoken.languages & EN != 0 || spoken.by_names;
        if !english || !WATCH.contains(&self.word(at)) || is_mention(at, mentions) {
            return None;
        }
        let hit = |end: usize| Hit {
            words: at..end,
            name: "watch for",
            roles: vec![Role::Cue(Kind::Hypothetical, FAR, None)],
            languages: EN,
        };
        // "Watch seizures".
        if self.word(at) == WATCH[0] && is_mention(at + 1, mentions) {
            return Some(hit(at + 1));
        }
        let is_for = |from: usize, words: &[&str]| {
            words
                .iter()
                .enumerate()
                .all(|(offset, word)| self.word(from + offset) == *word)
        };
        for from in at + 1..at + 2 + WATCHED {
            if let Some(words) = FOR.iter().find(|words| is_for(from, words)) {
                return Some(hit(from + words.len()));
            }
            if !self.word(from).starts_with(char::is_alphanumeric) {
                break;
            }
        }
        None
    }
}
