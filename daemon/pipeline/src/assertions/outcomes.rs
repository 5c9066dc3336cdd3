//! What is over, told at the end of how it went, behind a comma: "pneumonia on day 3, ceftriaxone 7 days, resolved", "SVT -> adenosine, settled".

use std::collections::HashSet;
use std::ops::Range;
use std::sync::LazyLock;

use super::hits::Hit;
use super::lexicon::set;
use super::lists::WITH;
use super::sentence::Sentence;
use crate::languages::{DE, EN, ES, FR, IT, Languages, NL, PT};

/// What says so: entries of the lexicon, which say of what stands before them that it is past.
#[rustfmt::skip]
pub(super) const OVER: [(Languages, &str); 7] = [
    (EN, "self limiting, self-limiting, resolved, now resolved, since resolved, cleared, recovered, fully recovered, settled, healed, cured, self terminated, self-terminated, self resolved, self-resolved, self-limited, spontaneously resolved, resolved spontaneously"),
    (DE, "sistiert, abgeklungen, abgeheilt, ausgeheilt, folgenlos ausgeheilt, spontan sistiert, behoben"),
    (FR, "gueri, guerie, gueris, gueries, resolu, resolue, resolutif, resolutive, spontanement resolutif, spontanement resolutive, regressif, regressive"),
    (ES, "ya resuelto, ya resuelta, resolvio, cedio, resuelto, resuelta, resueltos, resueltas, autolimitado, autolimitada, curado, curada"),
    (IT, "risolto, risolta, guarito, guarita, autorisolto, autorisolta, autolimitato, autolimitata, regredito, regredita"),
    (NL, "hersteld, genezen, opgelost, verdwenen"),
    (PT, "resolveu, resolvido, resolvida, curado, curada, ja curado, ja curada, autolimitado, autolimitada, revertido, revertida"),
];

/// The same of what the lexicon lets reach less far.
const GONE: &str = "gone, gone now, now gone, riassorbito, riassorbita";

/// What stands before what is awaited: "colonoscopy once settled".
static AWAITED: LazyLock<HashSet<&'static str>> = LazyLock::new(|| {
    set(&[
        "once, when, until, till, if, unless, sobald, wenn, bis, falls, fois, quand, si, cuando, hasta, quando, finche, se, als, zodra, tot, ate",
    ])
});
/// What stands before what is not over, or not quite.
static STILL: LazyLock<HashSet<&'static str>> = LazyLock::new(|| {
    set(&[
        "not, never, be, being, fully, partially, partly, nearly, almost, is, are, nicht, noch, teilweise, pas, partiellement, non, no, niet, deels, nao,
         parcialmente, parzialmente",
    ])
});
/// Words from what is over to the word that says so, at most.
const COURSE: usize = 24;

/// Whether a hit says that what it is said of is over.
pub(super) fn is_over(hit: &Hit) -> bool {
    static NAMES: LazyLock<HashSet<&'static str>> = LazyLock::new(|| {
        let lists: Vec<&str> = OVER.iter().map(|(_, list)| *list).chain([GONE]).collect();
        set(&lists)
    });
    NAMES.contains(hit.name)
}

impl Sentence {
    /// Whether it is only awaited that something is over.
    pub(super) fn is_awaited(&self, hit: &Hit) -> bool {
        is_over(hit) && AWAITED.contains(self.before(hit.words.start, 1))
    }

    /// Where the disease begins whose course ends with a word that it is over, behind the drugs and other words of it; the word itself elsewhere.
    /// What stands right before the comma has its own: "COPD, pneumonia, resolved".
    pub(super) fn begin_of_course(&self, hit: &Hit, mentions: &[Range<usize>]) -> usize {
        let begin = hit.words.start;
        let before = self.before(begin, 1);
        if !(is_over(hit) && self.ends(hit.words.end)) || STILL.contains(before) {
            return begin;
        }
        let floor = begin.saturating_sub(COURSE);
        let mut end = begin - usize::from(before == ",");
        while end > floor {
            let first = (floor..end).rev().find(|at| self.parts_course(*at));
            let item = first.map_or(floor, |at| at + 1)..end;
            let named = mentions.partition_point(|mention| mention.start < item.start);
            let mut here = mentions
                .iter()
                .skip(named)
                .take_while(|mention| mention.end <= item.end);
            if let Some(own) = here.find(|mention| !self.is_drug(mention)) {
                return own.start;
            }
            match first {
                Some(at) if self.word(at) == "," || self.word(at) == "(" || WITH.contains(&self.word(at)) => {
                    end = at
                }
                _ => break,
            }
        }
        begin
    }

    /// Whether a word parts what is told of a course, or begins it. A full stop within a date or behind a short form does not: "Transfer 3.5., abgeheilt".
    fn parts_course(&self, at: usize) -> bool {
        match self.word(at) {
            "." => !self.before(at, 1).ends_with(|c: char| c.is_ascii_digit()),
            word => matches!(word, "," | "(" | ")" | ";" | ":" | "|") || WITH.contains(&word),
        }
    }
}
