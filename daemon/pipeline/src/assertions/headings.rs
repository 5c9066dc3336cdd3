//! A heading of a few words and the list below it, of all of which it says something: "Denies:" and a line for each symptom.

use std::ops::Range;

use super::WRAPPED;
use super::sentence::{Sentence, is_number};
use crate::items::{begins_item, ends_with_marker};
use crate::tokens::ByteSpan;

/// What says of a whole list that it is absent or feared, before a colon, and within how many words that stands.
#[rustfmt::skip]
const HEADING: [&str; 70] = [
    "denies", "denied", "denying", "negatives", "negative", "no", "absent", "if", "verneint", "nie", "niega", "nega", "ontkent", "falls",
    "si", "se", "for", "following", "risks", "risk", "precautions", "return", "differential", "ddx", "dd", "rule", "r/o", "out", "resolved",
    "inactive", "excluded", "complications", "effects", "suspected", "possible", "when", "call", "als", "bei", "bij", "indien", "risiken",
    "risques", "riesgos", "rischi", "riscos", "risico", "evidence", "signs", "warning", "without", "ohne", "keine", "geen", "sans", "sin", "stopped",
    "discontinued", "ceased", "withheld", "abgesetzt", "pausiert", "gestopt", "gestaakt", "arretes", "arrete", "suspendidos", "sospesi", "suspensos",
    "interrotti",
];

const MOST_HEADING: usize = 7;

/// What the items of a list of symptoms are sorted by: "GI: no nausea".
#[rustfmt::skip]
const SYSTEMS: [&str; 34] = [
    "general", "gen", "constitutional", "const", "eyes", "ears", "nose", "throat", "ent", "heent", "neck", "cardiovascular", "cardiac", "cv", "cvs",
    "respiratory", "resp", "pulmonary", "pulm", "gastrointestinal", "gi", "genitourinary", "gu", "urinary", "musculoskeletal", "msk",
    "neurological", "neurologic", "neuro", "psychiatric", "psych", "skin", "endocrine", "breast",
];

/// Bytes that the line of a heading is looked back for what it is indented by.
const LOOK_BACK: usize = 200;

/// Whether an item of a list begins here. The round bullets of old word processors are an "o".
fn is_marker(text: &str, at: usize) -> bool {
    let text = text.get(at..).unwrap_or_default();
    let word = text.split(char::is_whitespace).next().unwrap_or_default();
    // A plus says that something is there.
    let is_item = begins_item(text) && !text.starts_with('+');
    is_item || is_number(word) || word == "o" || word == ">"
}

/// Whether a line, from here on, is short, and heads nothing itself.
pub(super) fn is_short_line(text: &str, at: usize) -> bool {
    let line = text.get(at..).unwrap_or_default();
    let line = line.split('\n').next().unwrap_or_default();
    line.len() < WRAPPED && !line.contains(':')
}

/// How far the line is indented in which a place is.
fn indent(text: &str, at: usize) -> usize {
    let from = text.floor_char_boundary(at.saturating_sub(LOOK_BACK));
    let line = text.get(from..at).unwrap_or_default();
    let line = line.rsplit('\n').next().unwrap_or_default();
    line.len() - line.trim_start().len()
}

impl Sentence {
    /// Where the words of the list begin that it heads, if it began with a few words of denial or of fear and a colon.
    fn begin_of_list(&self) -> Option<usize> {
        let colon = (1..=MOST_HEADING).find(|at| self.word(*at) == ":")?;
        (0..colon)
            .any(|at| HEADING.contains(&self.word(at)))
            .then_some(colon + 1)
    }

    /// Whether the next word, behind this gap, goes on with a list that this heads: it begins an item, or stands first in one.
    pub(super) fn lists(&self, text: &str, gap: &str, next: ByteSpan) -> bool {
        let Some(list) = self.begin_of_list() else {
            return false;
        };
        let first = self.words.get(list).map_or(next.begin, |first| first.begin);
        let marked = || is_marker(text, first);
        let begins = || is_marker(text, next.begin);
        match gap.matches('\n').count() {
            0 => ends_with_marker(text.get(..next.begin).unwrap_or_default()) && marked(),
            1 if marked() => begins(),
            1 => self.is_bare_item(text, list, next),
            // A blank line parts the list from its heading, or each item from the one before.
            2 => marked() && begins() && !self.lines(text, list).any(|lines| lines == 1),
            _ => false,
        }
    }

    /// How many lines end before each word of a list that it heads, where any do.
    fn lines(&self, text: &str, list: usize) -> impl Iterator<Item = usize> {
        let words = self.words.get(list.saturating_sub(1)..).unwrap_or_default();
        let gaps = words.windows(2).filter_map(|pair| match pair {
            [left, right] => text.get(left.end..right.begin),
            _ => None,
        });
        gaps.map(|gap| gap.matches('\n').count())
            .filter(|lines| *lines > 0)
    }

    /// Whether a line that no marker begins is an item below a heading that has its line to itself: a short line that begins small, or further
    /// to the right than the heading.
    fn is_bare_item(&self, text: &str, list: usize, next: ByteSpan) -> bool {
        let begin = self.words.first().map_or(0, |first| first.begin);
        let small = text
            .get(next.begin..)
            .is_some_and(|line| line.starts_with(char::is_lowercase));
        self.ends_line(text, list - 1)
            && is_short_line(text, next.begin)
            && (small || indent(text, next.begin) > indent(text, begin))
    }

    /// Whether nothing stands behind a word in its line.
    pub(super) fn ends_line(&self, text: &str, at: usize) -> bool {
        let behind = self.words.get(at).and_then(|word| text.get(word.end..));
        behind.is_some_and(|behind| behind.trim_start_matches([' ', '\t', '\r']).starts_with('\n'))
    }

    /// Whether a colon stands behind the system that items of a list are of: "denies:", and below it "- GI: nausea".
    pub(super) fn sorts_items(&self, said: &Range<usize>, colon: usize) -> bool {
        self.begin_of_list()
            .is_some_and(|list| said.end <= list && list < colon)
            && SYSTEMS.contains(&self.before(colon, 1))
            && !self.before(colon, 2).starts_with(char::is_alphanumeric)
    }

    /// Whether a bracket closes behind the number or letter of an item and none was open: "denies 1) fever 2) cough".
    pub(super) fn is_of_marker(&self, bracket: usize) -> bool {
        let Some(own) = bracket.checked_sub(1) else {
            return false;
        };
        let marker = self.word(own);
        self.open.get(bracket) == Some(&0)
            && self.are_joined(own)
            && (own == 0 || !self.are_joined(own - 1))
            && (is_number(marker)
                || (marker.len() == 1 && marker.starts_with(|c: char| c.is_ascii_lowercase())))
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::assert_said;

    #[test]
    fn a_list_has_the_markers_that_people_make() {
        for marker in [
            "-", "*", "\u{2022}", "\u{b7}", "\u{2013}", "\u{2014}", "\u{25cf}", "\u{25aa}", "\u{25cb}",
            "\u{25a0}", "\u{25e6}", "\u{27a2}", "\u{f0b7}", ">", "1.", "2)", "a.", "b)",
        ] {
            let list = format!(
                "Denies:\n{marker} {{chest pain|N}}\n{marker} {{fever|N}}\n\n{{Cough|}} since Monday"
            );
            assert_said(&[&list]);
        }
    }

    #[test]
    fn a_list_ends_with_its_lines() {
        assert_said(&[
            "Patient denies the following symptoms:\no {chest pain|N}\no {fever|N}\nand has been well.",
            "Denies:\n\n- {chest pain|N}\n- {fever|N}",
            "Denies:\n\n- {chest pain|N}\n\n- {fever|N}",
            "Denies:\n- {chest pain|N}\n- {fever|N}\n\n- heparin for {pneumonia|}",
            "Denies:\n- {chest pain|N}\n- {fever|N}\n\nAssessment:\n1. {Pneumonia|}\n2. {COPD|}",
            "Niega:\n- {fiebre|N}\no {disnea|N}\n\n{Tos|} desde ayer",
            "Denies 1) {fever|N} 2) {cough|N}",
            "(No {fever|N}, stage 2) {cough|}",
            "Denies:\n- {fever|N}\n+ {cough|}",
        ]);
    }

    #[test]
    fn a_list_may_have_no_markers_but_short_lines() {
        assert_said(&[
            "Denies:\n{chest pain|N}\n{nausea|N}\n\n{cough|} since Monday",
            "Denies:\n  {Chest pain|N}\n  {Nausea|N}\n{Cough|} since Monday",
            "Return if:\n {fever|Y}\n {vomiting|Y}\nHas a {cough|}",
            "- Denies:\n  {fever|N}\n  {vomiting|N}\n- Has {cough|}",
            "Denies:\n{Chest pain|}\nReports {cough|}",
            "Denies: {chest pain|N}\n{cough|} for days",
        ]);
    }

    #[test]
    fn a_list_is_sorted_by_systems() {
        assert_said(&[
            "Denies:\n- GI:\n  - {nausea|N}\n  - {vomiting|N}",
            "Denies:\n\u{2022} GI: {nausea|N}, {vomiting|N}\n\u{2022} CV: {chest pain|N}\n\u{2022} Resp: {cough|N}",
            "Denies {chest pain|N}, GI: {nausea|}",
        ]);
    }
}
