//! What the mentions of one document say about each other: short forms that it defines, concepts that it speaks of
//! elsewhere, and the label that each mention has. Every pass takes time in proportion to the mentions, and asks
//! whether anybody still waits.

use std::collections::HashMap;

use mednerd_abbreviations::without_plural;
use mednerd_languages::EN;

use super::confidence;
use super::definitions::{Definitions, Initials, written_out};
use super::groups::{Allowed, Fit};
use super::{
    BY_INITIALS, Document, Found, LOOSE, Mention, SPOKEN_OF, Sieve, Stage, descend, leave_what_is_left,
};
use crate::text::{self, usual::Meaning};

/// What each text was found to stand for, by what its label allows.
type Known = HashMap<Allowed, HashMap<String, Vec<Found>>>;

impl Sieve<'_> {
    /// The candidates of each mention, or `None` as soon as `wanted` says no.
    pub(super) fn document(
        &self,
        document: &Document<'_>,
        wanted: &dyn Fn() -> bool,
    ) -> Option<Vec<Vec<Found>>> {
        let definitions = Definitions::of(document);
        let mut known = Known::new();
        let mut linked: Vec<Vec<Found>> = document
            .mentions
            .iter()
            .map(|mention| wanted().then(|| self.mention(mention, &definitions, &mut known)))
            .collect::<Option<_>>()?;
        self.undefined(document, &definitions, &mut linked, &mut known, wanted)?;
        self.spoken_of(document, &mut linked, wanted)?;
        Some(linked)
    }

    fn lookup(&self, text: &str, allowed: Allowed, known: &mut Known) -> Vec<Found> {
        let known = known.entry(allowed).or_default();
        if let Some(found) = known.get(text) {
            return found.clone();
        }
        let found = self.surface(text, allowed);
        known.insert(text.to_owned(), found.clone());
        found
    }

    fn mention(&self, mention: &Mention<'_>, definitions: &Definitions, known: &mut Known) -> Vec<Found> {
        let (text, allowed) = (mention.text.trim(), Allowed::by(mention.label));
        if let Some(long) = definitions.long_form(text, mention.begin) {
            let mut expanded = self.lookup(long, allowed, known);
            mark_expanded(&mut expanded);
            let mut direct = self.lookup(text, allowed, known);
            if !expanded.is_empty() {
                // The document says what it means: what the short form means elsewhere is an afterthought.
                for one in &mut direct {
                    one.confidence *= 0.2;
                }
            }
            return merge(expanded, direct);
        }
        let expanded = definitions.expand(text, mention.begin);
        let direct = self.lookup(text, allowed, known);
        match expanded {
            // A name that is in the vocabulary as it stands needs no expansion.
            Some(expanded) if direct.first().is_none_or(|best| best.stage > Stage::Key) => {
                let mut expanded = self.lookup(&expanded, allowed, known);
                mark_expanded(&mut expanded);
                merge(expanded, direct)
            }
            _ => self.usual(text, allowed, direct, known),
        }
    }

    /// What was found for a text; where no name of its language is that text, what it usually stands for in notes of this language goes before. English
    /// texts have names enough.
    fn usual(&self, text: &str, allowed: Allowed, direct: Vec<Found>, known: &mut Known) -> Vec<Found> {
        let is_named =
            |best: &Found| best.stage < Stage::Composite && (!text::is_acronym(text) || self.is_own(best));
        if self.languages & EN != 0 || direct.first().is_some_and(is_named) {
            return direct;
        }
        let meanings = self.meanings(text);
        let shares = match meanings.len() {
            1 => &[0.95][..],
            _ => &[0.75, 0.4],
        };
        let mut usual = Vec::new();
        for (meaning, share) in meanings.iter().zip(shares) {
            let mut found = self.lookup(meaning, allowed, known);
            // Of several meanings the label chooses: "K" as a drug is no cancer.
            found.retain(|one| one.fit < Fit::Foreign);
            for one in &mut found {
                one.usual = true;
                one.confidence = (share * one.confidence).min(confidence::LESS_THAN_SURE);
            }
            usual = merge(usual, found);
        }
        // What it is short for in another language is an afterthought.
        let mut direct = direct;
        if !usual.is_empty() {
            for one in direct.iter_mut().filter(|one| !self.is_own(one)) {
                one.confidence *= 0.2;
            }
        }
        merge(usual, direct)
    }

    /// What a text usually stands for: as a whole, or with the short forms in it written out.
    fn meanings(&self, text: &str) -> Vec<String> {
        let of = |short: &str| text::usual::meanings(short, self.languages);
        let long = |meaning: &Meaning| meaning.long.to_owned();
        let whole: Vec<String> = of(without_plural(text)).iter().map(long).collect();
        if !whole.is_empty() || !text.contains(|c: char| !c.is_alphanumeric()) {
            return whole;
        }
        let is_short = |word: &str| text::is_acronym(without_plural(word));
        let first = |word: &str| of(without_plural(word)).first().map(|meaning| meaning.long);
        let out = written_out(text, |word| is_short(word).then(|| first(word)).flatten());
        out.into_iter().collect()
    }

    /// Whether a mention is a short form that the document uses and does not define.
    fn is_open(&self, mention: &Mention<'_>, found: &[Found], definitions: &Definitions) -> bool {
        let short = text::is_short_acronym(mention.text)
            || (text::is_acronym(mention.text) && found.first().is_some_and(|best| self.is_short(best)));
        short
            && definitions
                .long_form(mention.text.trim(), mention.begin)
                .is_none()
    }

    /// Short forms that the document uses and does not define: by what else it speaks of.
    fn undefined(
        &self,
        document: &Document<'_>,
        definitions: &Definitions,
        linked: &mut [Vec<Found>],
        known: &mut Known,
        wanted: &dyn Fn() -> bool,
    ) -> Option<()> {
        let open: Vec<bool> = document
            .mentions
            .iter()
            .zip(linked.iter())
            .map(|(mention, found)| self.is_open(mention, found, definitions))
            .collect();
        if !open.contains(&true) {
            return Some(());
        }
        let defined = document.mentions.iter().zip(linked.iter()).zip(&open);
        let spoken = Spoken::of(defined.filter(|(_, open)| !**open).map(|(linked, _)| linked), 0.6);
        let initials = Initials::of(document.mentions.iter().map(|mention| mention.text));
        for ((mention, found), open) in document.mentions.iter().zip(linked.iter_mut()).zip(open) {
            if !open {
                continue;
            }
            if !wanted() {
                return None;
            }
            let best = found.first().map(|best| best.stage);
            if best == Some(Stage::Synonym) {
                continue;
            }
            let is_meant = |one: &Found| {
                one.stage < Stage::Fuzzy && one.fit < Fit::Foreign && spoken.vouches(one, mention.text)
            };
            if let Some(at) = found.iter().position(is_meant) {
                found[..=at].rotate_right(1);
                found[0].confidence = found[0].confidence.max(confidence::LESS_THAN_SURE);
                leave_what_is_left(found);
                descend(found);
                continue;
            }
            if best.is_some_and(|best| best < Stage::Fuzzy) {
                continue;
            }
            // No name is written so: a mention elsewhere whose initials are the short form.
            if let Some(long) = initials.long_form(mention.text) {
                by_initials(self.lookup(long.trim(), Allowed::by(mention.label), known), found);
            }
        }
        Some(())
    }

    /// What the document speaks of elsewhere, by another name, is likelier meant: among concepts that share a name it
    /// goes first, and of candidates that are merely alike its odds rise.
    fn spoken_of(
        &self,
        document: &Document<'_>,
        linked: &mut [Vec<Found>],
        wanted: &dyn Fn() -> bool,
    ) -> Option<()> {
        let spoken = Spoken::of(document.mentions.iter().zip(linked.iter()), 0.8);
        for (mention, found) in document.mentions.iter().zip(linked.iter_mut()) {
            if !wanted() {
                return None;
            }
            let text = mention.text.to_lowercase();
            let elsewhere = |one: &Found| spoken.vouches_beside(one, mention.text, &text);
            let Some(&best) = found.first() else {
                continue;
            };
            // By initials a concept was found that is spoken of anyway.
            if best.initials {
                continue;
            }
            if best.stage == Stage::Fuzzy {
                let is_meant = |one: &Found| !one.initials && one.fit < Fit::Foreign && elsewhere(one);
                for one in found.iter_mut().filter(|one| is_meant(one)) {
                    let odds = SPOKEN_OF * one.confidence;
                    one.confidence = (odds / (1.0 - one.confidence + odds)).min(confidence::LESS_THAN_SURE);
                }
                // Stable: of equals the order stands.
                found.sort_by(|a, b| b.confidence.total_cmp(&a.confidence));
            } else if best.class != LOOSE {
                let equals = found.iter().take_while(|one| one.class == best.class);
                if let Some(at) = equals.into_iter().position(elsewhere) {
                    found[..=at].rotate_right(1);
                    found[0].confidence = best.confidence;
                }
            }
        }
        Some(())
    }
}

/// Puts what a mention stands for whose initials the short form is among what the short form itself is like.
fn by_initials(mut expanded: Vec<Found>, found: &mut Vec<Found>) {
    expanded.retain(|one| one.fit < Fit::Foreign);
    for one in &mut expanded {
        one.initials = true;
        one.stage = Stage::Fuzzy;
        one.class = LOOSE;
        one.confidence = one.confidence.min(BY_INITIALS);
    }
    // The few letters of a short form are like many a name's: that tells less than initials do.
    let likely = expanded.first().filter(|best| best.confidence >= 0.5);
    let most = likely.map_or(1.0, |best| 0.9 * best.confidence);
    for one in found.iter_mut() {
        one.confidence = one.confidence.min(most);
    }
    *found = merge(expanded, std::mem::take(found));
}

/// The concepts that a document speaks of, each with the names that it has there: as they are written and in small letters.
struct Spoken<'a>(HashMap<u32, Vec<(&'a str, String)>>);

impl<'a> Spoken<'a> {
    /// Those of the mentions whose best candidate is more than `sure`.
    fn of<'b>(linked: impl Iterator<Item = (&'b Mention<'a>, &'b Vec<Found>)>, sure: f32) -> Self
    where
        'a: 'b,
    {
        let mut spoken: HashMap<u32, HashMap<&'a str, String>> = HashMap::new();
        for (mention, found) in linked {
            if let Some(best) = found.first().filter(|best| best.confidence > sure) {
                let names = spoken.entry(best.concept).or_default();
                names
                    .entry(mention.text)
                    .or_insert_with(|| mention.text.to_lowercase());
            }
        }
        Self(
            spoken
                .into_iter()
                .map(|(concept, names)| (concept, names.into_iter().collect()))
                .collect(),
        )
    }

    fn names(&self, one: &Found) -> &[(&'a str, String)] {
        self.0.get(&one.concept).map(Vec::as_slice).unwrap_or_default()
    }

    /// Whether the document has a name of the concept that does not only repeat `text`.
    fn vouches(&self, one: &Found, text: &str) -> bool {
        self.names(one).iter().any(|(name, _)| !repeats(text, name))
    }

    /// Whether it has another one than `text`, which is `small` in small letters.
    fn vouches_beside(&self, one: &Found, text: &str, small: &str) -> bool {
        let mut names = self.names(one).iter();
        names.any(|(name, other)| other != small && !repeats(text, name))
    }
}

/// Whether one of two mentions is a short form that the other contains: "MCL strain" says nothing about what "MCL" means.
fn repeats(one: &str, other: &str) -> bool {
    let within = |short: &str, long: &str| {
        let is_token = |token: &str| token.eq_ignore_ascii_case(short.trim());
        text::is_acronym(short)
            && long
                .split(|c: char| c.is_whitespace() || ",;:()[]/".contains(c))
                .any(is_token)
    };
    within(one, other) || within(other, one)
}

fn mark_expanded(found: &mut [Found]) {
    for one in found {
        one.expanded = true;
        one.confidence *= 0.99;
    }
}

/// Two lists in one, by confidence; of a concept that both have, the better.
fn merge(first: Vec<Found>, second: Vec<Found>) -> Vec<Found> {
    let mut merged = first;
    for one in second {
        match merged.iter_mut().find(|known| known.concept == one.concept) {
            Some(known) if known.confidence < one.confidence => *known = one,
            Some(_) => {}
            None => merged.push(one),
        }
    }
    // Stable: the first list goes before the second where they are equal.
    merged.sort_by(|a, b| b.confidence.total_cmp(&a.confidence));
    merged
}
