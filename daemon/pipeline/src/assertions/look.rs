//! Which mentions of a sentence a cue is said of: those ahead of it or before it that it reaches, where it is said of such as they are.

use std::collections::BTreeMap;
use std::ops::Range;

use super::answers::Answer;
use super::hits::Hit;
use super::lexicon::{FAR, NEAR, NEXT, Role};
use super::lists::{AS_NEEDED, BEFORE, DENIES, DENYING};
use super::sentence::Sentence;
use super::signs::{NO_BY_LETTER, NO_BY_ZERO};
use super::{Assertion, Kind};

use crate::languages::Spoken;

/// What says no of a finding, and of what is measured that it is normal, or how much; and when something was, and not when a drug was given.
const OF_FINDINGS: [&str; 5] = ["n", NO_BY_LETTER, NO_BY_ZERO, "0", "ago"];
/// The roles of what is said of diseases alone.
const OF_DISEASES: [Role; 3] = [
    Role::Cue(Kind::Hypothetical, Some(1), None),
    Role::Cue(Kind::Hypothetical, None, NEXT),
    Role::Cue(Kind::Hypothetical, NEXT, None),
];

/// What stands in cues of a drug that was given up, whose reason is told in brackets.
#[rustfmt::skip]
const FAILED: [&str; 11] = [
    "fail", "versagen", "unvertraglichkeit", "echec", "intoleran", "fracaso", "falliment", "intolleranz", "falen", "falha", "falencia",
];

/// What is said of a sentence's mentions: of each kind by the nearest cue, and how many words lie between.
struct Nearest(Vec<BTreeMap<Kind, (usize, &'static str)>>);

impl Nearest {
    fn note(&mut self, index: usize, kind: Kind, apart: usize, cue: &'static str) {
        if let Some(own) = self.0.get_mut(index) {
            let place = own.entry(kind).or_insert((apart, cue));
            if apart < place.0 {
                *place = (apart, cue);
            }
        }
    }

    fn into_assertions(self) -> Vec<Vec<Assertion>> {
        let listed = |own: BTreeMap<Kind, (usize, &'static str)>| {
            let found = own.into_iter();
            found.map(|(kind, (_, cue))| Assertion { kind, cue }).collect()
        };
        self.0.into_iter().map(listed).collect()
    }
}

/// What a hit says where it stands, and how many words ahead and back.
struct Look<'a> {
    hit: &'a Hit,
    kind: Kind,
    ahead: Option<usize>,
    back: Option<usize>,
    /// Whether it is said of drugs alone, or of diseases alone.
    of_drugs: bool,
    of_diseases: bool,
}

/// The hits of a sentence and its mentions, in the order of their first words.
struct Scene<'a> {
    hits: &'a [Hit],
    mentions: &'a [Range<usize>],
    /// Words of the longest mention.
    longest: usize,
}

impl Sentence {
    /// What is said of each of these mentions, which come in the order of their first words: of each kind by the nearest cue.
    pub(super) fn said(
        &self,
        spoken: Spoken,
        mentions: &[Range<usize>],
        answers: &[Answer],
    ) -> Vec<Vec<Assertion>> {
        let scene = Scene {
            hits: &self.hits(spoken, mentions, answers),
            mentions,
            longest: mentions.iter().map(ExactSizeIterator::len).max().unwrap_or(0),
        };
        let mut nearest = Nearest(vec![BTreeMap::new(); mentions.len()]);
        for (number, hit) in scene.hits.iter().enumerate() {
            for role in &hit.roles {
                if let Some(look) = self.look(hit, *role, mentions) {
                    self.look_ahead(&scene, number, &look, &mut nearest);
                    self.look_back(&scene, number, &look, &mut nearest);
                }
            }
        }
        nearest.into_assertions()
    }

    /// What a role of a hit says where it stands.
    fn look<'a>(&self, hit: &'a Hit, role: Role, mentions: &[Range<usize>]) -> Option<Look<'a>> {
        let (kind, ahead, back) = match role {
            Role::Cue(kind, Some(_), back)
                if BEFORE.contains(&hit.name) && self.word(hit.words.end) == ":" =>
            {
                (kind, FAR, back)
            }
            // "Colon cancer - father", "breast cancer: maternal grandmother", "CAD in father"; "diabetes in her maternal aunt".
            Role::Cue(Kind::Family, ahead, NEXT)
                if self.is_said_of(hit.words.start) || self.is_of_somebody(hit.words.start) =>
            {
                (Kind::Family, ahead, NEAR)
            }
            Role::Cue(kind, ahead, None) if DENIES.contains(&hit.name) => (kind, ahead, NEXT),
            Role::Cue(kind, ahead, back) => (kind, ahead, back),
            Role::Either(kind) if self.is_before(hit, mentions) => (kind, FAR, None),
            // What was "two years ago" has entries of its own for what stands before that.
            Role::Either(Kind::Historical) => return None,
            Role::Either(kind) => (kind, None, NEAR),
            Role::Drug(kind, ..) if self.heads_drugs(hit) => (kind, FAR, None),
            Role::Drug(kind, Some(_), Some(back)) if !self.is_before_drug(hit) => (kind, None, Some(back)),
            Role::Drug(kind, Some(ahead), _) => (kind, Some(ahead), None),
            Role::Drug(kind, None, back) => (kind, None, back),
            Role::Case => (
                Kind::Hypothetical,
                Some(self.end_of_case(hit, mentions)? - hit.words.end),
                None,
            ),
            Role::Person if self.told_of(hit).is_some() => (Kind::Family, FAR, None),
            Role::Person if self.is_person_with(hit, mentions) => (Kind::Family, NEXT, None),
            _ => return None,
        };
        if kind == Kind::Family && (self.tells(hit) || self.is_relative_to(hit)) {
            return None;
        }
        // "Colonoscopy once settled."
        if kind == Kind::Historical && self.is_awaited(hit) {
            return None;
        }
        let answers = self.answers(hit, mentions);
        Some(Look {
            hit,
            kind,
            ahead: ahead.filter(|_| !answers && self.may_look_ahead(hit, mentions)),
            back: back.filter(|_| answers || self.may_look_back(hit, mentions)),
            of_drugs: matches!(role, Role::Drug(..)),
            // "GERD prn antacids"; and "calcium: N" is normal; "anti-D given", "on trimethoprim prophylaxis".
            of_diseases: OF_FINDINGS.contains(&hit.name)
                || AS_NEEDED.contains(&hit.name)
                || OF_DISEASES.contains(&role),
        })
    }

    /// Whether what a hit says may be said of a mention.
    fn is_asked(&self, look: &Look<'_>, mention: &Range<usize>) -> bool {
        if look.of_drugs || look.of_diseases {
            return look.of_drugs == self.is_drug(mention);
        }
        // "History of AF on warfarin".
        look.kind != Kind::Historical || !(self.is_taken(mention) || self.is_of_other(look.hit, mention))
    }

    /// Notes the mentions ahead of a hit that it reaches.
    fn look_ahead(&self, scene: &Scene<'_>, number: usize, look: &Look<'_>, nearest: &mut Nearest) {
        let Some(reach) = look.ahead else {
            return;
        };
        let (hit, &Scene { hits, mentions, .. }) = (look.hit, scene);
        let end = self.ahead(hits, number, look.kind, reach, mentions);
        let first = mentions.partition_point(|mention| mention.start < hit.words.start);
        let here = mentions.iter().enumerate().skip(first);
        for (index, mention) in here.take_while(|(_, mention)| mention.start < end) {
            // Its first words may be the model's idea of the mention: "suspected PE".
            let begins = mention.start == hit.words.start && mention.end > hit.words.end;
            let behind = mention.start >= hit.words.end;
            let said = match look.kind {
                Kind::Negated => {
                    let denied = behind && !self.in_brackets(hit.words.end, mention.start);
                    (denied || (begins && DENYING.contains(&hit.name))) && !self.is_measured(hit, mention)
                }
                // "After failure of sertraline (nausea)"
                Kind::Historical if FAILED.iter().any(|word| hit.name.contains(word)) => {
                    behind && (self.is_drug(mention) || self.in_brackets(hit.words.end, mention.start))
                }
                _ => behind || begins,
            };
            if said && self.is_asked(look, mention) {
                let apart = mention.start.saturating_sub(hit.words.end);
                nearest.note(index, look.kind, apart, hit.name);
            }
        }
    }

    /// Notes the mentions before a hit that it reaches.
    fn look_back(&self, scene: &Scene<'_>, number: usize, look: &Look<'_>, nearest: &mut Nearest) {
        let Some(reach) = look.back else {
            return;
        };
        let (hit, &Scene { hits, mentions, .. }) = (look.hit, scene);
        let cell = look.of_drugs.then(|| self.cell_of_drug(hit)).flatten();
        let reached = cell.unwrap_or_else(|| {
            let reach = if self.is_in_form(hit.words.start) {
                reach.min(2)
            } else {
                reach
            };
            let dose = look.of_drugs.then(|| self.behind_dose(hit.words.start)).flatten();
            let begin = self.back(hits, number, look.kind, reach.max(dose.unwrap_or(0)), mentions);
            begin.min(self.begin_of_course(hit, mentions))..hit.words.start
        });
        let first = mentions.partition_point(|mention| mention.start + scene.longest < reached.start);
        let here = mentions.iter().enumerate().skip(first);
        for (index, mention) in here.take_while(|(_, mention)| mention.start < hit.words.start) {
            let within = mention.end <= reached.end && mention.end > reached.start;
            if within && self.is_asked(look, mention) {
                nearest.note(index, look.kind, hit.words.start - mention.end, hit.name);
            }
        }
    }
}
