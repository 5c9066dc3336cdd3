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

/// How near a cue stands to a mention: the words between, and its number among the hits. Of equally near ones the first counts.
type Distance = (usize, usize);

/// What is said of a sentence's mentions: of each kind by the nearest cue.
struct Nearest(Vec<BTreeMap<Kind, (Distance, &'static str)>>);

impl Nearest {
    /// Whether no cue that stands nearer has said this of a mention.
    fn lets(&self, index: usize, kind: Kind, distance: Distance) -> bool {
        let nearest = self.0.get(index).and_then(|own| own.get(&kind));
        nearest.is_none_or(|(own, _)| distance < *own)
    }

    fn note(&mut self, index: usize, kind: Kind, distance: Distance, cue: &'static str) {
        if self.lets(index, kind, distance)
            && let Some(own) = self.0.get_mut(index)
        {
            own.insert(kind, (distance, cue));
        }
    }

    fn into_assertions(self) -> Vec<Vec<Assertion>> {
        let listed = |own: BTreeMap<Kind, (Distance, &'static str)>| {
            let found = own.into_iter();
            found.map(|(kind, (_, cue))| Assertion { kind, cue }).collect()
        };
        self.0.into_iter().map(listed).collect()
    }
}

/// What a hit says where it stands, and how many words ahead and back.
struct Look<'a> {
    hit: &'a Hit,
    /// Its number among the hits.
    number: usize,
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
        };
        let mut nearest = Nearest(vec![BTreeMap::new(); mentions.len()]);
        let hits = scene.hits.iter().enumerate();
        let roles = hits.flat_map(|(number, hit)| hit.roles.iter().map(move |role| (number, hit, *role)));
        let looks: Vec<Look<'_>> = roles
            .filter_map(|(number, hit, role)| self.look(number, hit, role, mentions))
            .collect();
        // The nearest first, so that others need not be asked how far they reach.
        let back_to_front = looks.iter().rev();
        back_to_front.for_each(|look| self.look_ahead(&scene, look, &mut nearest));
        looks
            .iter()
            .for_each(|look| self.look_back(&scene, look, &mut nearest));
        nearest.into_assertions()
    }

    /// What a role of a hit says where it stands.
    fn look<'a>(
        &self,
        number: usize,
        hit: &'a Hit,
        role: Role,
        mentions: &[Range<usize>],
    ) -> Option<Look<'a>> {
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
            number,
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
    fn look_ahead(&self, scene: &Scene<'_>, look: &Look<'_>, nearest: &mut Nearest) {
        let Some(reach) = look.ahead else {
            return;
        };
        let (hit, &Scene { hits, mentions, .. }) = (look.hit, scene);
        let first = mentions.partition_point(|mention| mention.start < hit.words.start);
        let here = mentions.iter().enumerate().skip(first);
        let open = here.filter_map(|(index, mention)| {
            let distance = (mention.start.saturating_sub(hit.words.end), look.number);
            let open = nearest.lets(index, look.kind, distance) && self.is_said_ahead(look, mention);
            open.then_some((index, mention.start, distance))
        });
        let open: Vec<(usize, usize, Distance)> = open.collect();
        if open.is_empty() {
            return;
        }
        let end = self.ahead(hits, look.number, look.kind, reach, mentions);
        for (index, _, distance) in open.into_iter().filter(|(_, begin, _)| *begin < end) {
            nearest.note(index, look.kind, distance, hit.name);
        }
    }

    /// Whether a hit may say of a mention ahead what it says, however far it reaches.
    fn is_said_ahead(&self, look: &Look<'_>, mention: &Range<usize>) -> bool {
        let hit = look.hit;
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
        said && self.is_asked(look, mention)
    }

    /// Notes the mentions before a hit that it reaches.
    fn look_back(&self, scene: &Scene<'_>, look: &Look<'_>, nearest: &mut Nearest) {
        let Some(reach) = look.back else {
            return;
        };
        let (hit, &Scene { hits, mentions, .. }) = (look.hit, scene);
        let begun = mentions.partition_point(|mention| mention.start < hit.words.start);
        let here = mentions.iter().enumerate().take(begun);
        let open = here.filter_map(|(index, mention)| {
            let distance = (hit.words.start.checked_sub(mention.end)?, look.number);
            let open = nearest.lets(index, look.kind, distance) && self.is_asked(look, mention);
            open.then_some((index, mention, distance))
        });
        let open: Vec<(usize, &Range<usize>, Distance)> = open.collect();
        if open.is_empty() {
            return;
        }
        let cell = look.of_drugs.then(|| self.cell_of_drug(hit)).flatten();
        let reached = cell.unwrap_or_else(|| {
            let reach = if self.is_in_form(hit.words.start) {
                reach.min(2)
            } else {
                reach
            };
            let dose = look.of_drugs.then(|| self.behind_dose(hit.words.start)).flatten();
            let begin = self.back(
                hits,
                look.number,
                look.kind,
                reach.max(dose.unwrap_or(0)),
                mentions,
            );
            begin.min(self.begin_of_course(hit, mentions))..hit.words.start
        });
        for (index, mention, distance) in open {
            if mention.end <= reached.end && mention.end > reached.start {
                nearest.note(index, look.kind, distance, hit.name);
            }
        }
    }
}
