//! Where a clause of its own begins that no full stop or comma parts from the one before, as in dictation: "no fever there is cough".

use std::ops::Range;

use super::Kind;
use super::hits::Hit;
use super::lists::{IMAGES, TESTS};
use super::sentence::Sentence;

/// What makes a clause part of the one before it.
#[rustfmt::skip]
const SUBORDINATE: [&str; 20] = [
    "that", "if", "whether", "when", "or", "nor", "as", "which", "who", "because", "what", "where", "while", "unless", "until", "than",
    "since", "though", "although", "after",
];
/// What a patient is told to do, or a drug is: "return if fever continue amoxicillin".
const ORDERS: [&str; 4] = ["continue", "start", "take", "give"];
/// What is a heading in dictation, unless it is part of what is told: "no fever on assessment".
#[rustfmt::skip]
const HEADINGS: [&str; 7] = [
    "assessment", "review of systems", "physical exam", "physical examination", "current medications", "medications are", "medications include",
];
#[rustfmt::skip]
const PART_OF: [&str; 22] = [
    "on", "upon", "by", "from", "with", "in", "of", "for", "during", "at", "per", "the", "an", "a", "to", "her", "his", "my", "our", "risk",
    "further", "and",
];
/// Words from a study to what it shows, at most.
const STUDY: usize = 3;
/// What is told of something that is there, behind "is": "hypertension is well controlled".
#[rustfmt::skip]
const TOLD: [&str; 14] = [
    "well", "stable", "controlled", "uncontrolled", "poorly", "under", "worse", "better", "improving", "improved", "worsening", "treated",
    "managed", "unchanged",
];

impl Sentence {
    /// Whether `next` begins a clause behind what `hit` has said something of already.
    pub(super) fn begins_clause(&self, hit: &Hit, kind: Kind, next: &Hit, mentions: &[Range<usize>]) -> bool {
        let (begin, end) = (next.words.start, next.words.end);
        if SUBORDINATE.contains(&self.before(begin, 1)) {
            return false;
        }
        let pronoun = matches!(self.word(begin), "he" | "she" | "they");
        let is_one = match next.name {
            name if ORDERS.contains(&name) => {
                kind == Kind::Hypothetical && self.drugs.iter().any(|drug| drug.start == end)
            }
            name if HEADINGS.contains(&name) => {
                !PART_OF.contains(&self.before(begin, 1))
                    && !self.ends(end)
                    && !matches!(self.word(end), "of" | "for")
            }
            // "No swelling on exam, redness", "or redness".
            "on exam" | "on examination" => {
                !self.ends(end) && !self.is_joint(end, hit.languages) && self.word(end) != "today"
            }
            name if name.ends_with(['s', 'd']) && !name.contains(' ') => self.is_study(begin),
            // "His brother had a stroke he has gout" may be the brother's.
            _ => !(pronoun && kind == Kind::Family && !hit.name.contains("family")),
        };
        is_one && self.has_said(hit.words.end..begin, hit.languages, mentions)
    }

    /// Whether a study stands near before a word: "chest x ray shows".
    fn is_study(&self, at: usize) -> bool {
        (1..=STUDY).any(|count| {
            let word = self.before(at, count);
            IMAGES.contains(&word) || TESTS.contains(&word) || word == "ray"
        })
    }

    /// Whether something is told of a mention that is there.
    pub(super) fn is_subject(&self, mention: &Range<usize>) -> bool {
        matches!(self.word(mention.end), "is" | "are") && TOLD.contains(&self.word(mention.end + 1))
    }
}
