//! The stages that compare forms: a name is the mention's, or it is none. Those of mentions that name several things
//! are built from them.

use std::cmp::Ordering;

use mednerd_languages::{EN, Languages};

use super::confidence::{ESTABLISHED, Evidence, confidence};
use super::groups::{Allowed, Fit};
use super::{Found, LOOSE, Name, Reading, Sieve, Stage, composite};
use crate::index::{Link, Table};
use crate::text::{self, Forms};

/// A mention in one of its forms.
struct Formed<'a> {
    table: Table,
    text: &'a str,
    reading: &'a Reading,
    allowed: Allowed,
}

impl Formed<'_> {
    /// Whether a name that has the form means something else all the same. A short form has no plural but one in a small letter:
    /// "AIDS" is not "AID".
    fn is_another(&self, name: &str, languages: Languages) -> bool {
        let forms = &self.reading.forms;
        let read = || Forms::of(name, text::read_in(languages, self.reading.languages));
        match self.table {
            Table::Exact => false,
            Table::Key => {
                text::differ_by_capital_s(self.text, name)
                    || (forms.cause.is_some() && forms.is_swapped(&read()))
            }
            Table::Stem => {
                let name = read();
                !forms.is_akin(&name) || forms.is_swapped(&name)
            }
        }
    }

    fn stage(&self) -> Stage {
        match self.table {
            Table::Exact => Stage::Exact,
            Table::Key => Stage::Key,
            Table::Stem => Stage::Variant,
        }
    }
}

impl Sieve<'_> {
    /// The stages that need no retrieval; of a compound with a hyphen that has no name, those of the compound without:
    /// "light-headedness".
    pub(super) fn strict(&self, text: &str, allowed: Allowed) -> Vec<Found> {
        let found = self.sieved(text, allowed);
        if !found.is_empty() {
            return found;
        }
        let Some(joined) = text::without_hyphens(text) else {
            return found;
        };
        let mut found = self.sieved(&joined, allowed);
        found.retain(|one| one.stage <= Stage::Key);
        found
    }

    fn sieved(&self, text: &str, allowed: Allowed) -> Vec<Found> {
        // Where one reading finds something, no other is asked.
        let readings = self.readings(text);
        let found = readings.iter().map(|reading| self.read(text, reading, allowed));
        let mut found = found
            .into_iter()
            .find(|found| !found.is_empty())
            .unwrap_or_default();
        self.sort(&mut found);
        if let [best, rival, ..] = &mut found[..]
            && best.class != rival.class
            && best.stage != Stage::Synonym
            && rival.fit < Fit::Foreign
        {
            best.confidence *= 0.9;
        }
        found
    }

    /// What the tables have of a text in one reading.
    fn read(&self, text: &str, reading: &Reading, allowed: Allowed) -> Vec<Found> {
        let mut found: Vec<Found> = Vec::new();
        let mut names: Vec<u32> = Vec::new();
        if reading.forms.exact.is_empty() {
            return found;
        }
        let mut foreign: Vec<Found> = Vec::new();
        for table in Table::ALL {
            // A short form has no adjective.
            if table == Table::Stem && text::is_short_acronym(text) {
                continue;
            }
            let mention = Formed {
                table,
                text,
                reading,
                allowed,
            };
            found.extend(self.of_hospital(&mention, &found));
            names = self.index.lookup(table, table.form(&reading.forms), &names);
            found.extend(self.of_index(&mention, &names, &found));
            if table == Table::Exact && self.languages & EN == 0 {
                let (own, others) = found.into_iter().partition(|one| self.is_own(one));
                (found, foreign) = (own, others);
            }
        }
        // What is written like a name of another language is that, unless the words say something else in their own: "rubéola".
        let says_other = !found.is_empty();
        for mut one in foreign {
            match found.iter_mut().find(|known| known.concept == one.concept) {
                Some(known) => *known = one,
                None => {
                    if says_other {
                        one.confidence *= 0.4;
                        one.class = LOOSE;
                    }
                    found.push(one);
                }
            }
        }
        found
    }

    /// What the hospital's own names say of a mention, but for concepts that are `known`.
    fn of_hospital(&self, mention: &Formed<'_>, known: &[Found]) -> Vec<Found> {
        let mut found = Vec::new();
        for entry in self.local.entries(mention.table, &mention.reading.forms) {
            let name = Name::Local(entry.name);
            if known.iter().any(|known| known.concept == entry.concept)
                || mention.is_another(self.name_of(name), self.local.languages())
                || self.local.is_blocked(&mention.reading.forms.exact, entry.concept)
            {
                continue;
            }
            found.push(Found {
                similarity: match mention.table {
                    Table::Exact => 1.0,
                    Table::Key | Table::Stem => 0.9,
                },
                quality: u16::try_from(entry.count).unwrap_or(u16::MAX),
                class: 2 * mention.table as u8,
                ..self.found(entry.concept, name, Stage::Synonym, mention.allowed)
            });
        }
        self.rate(&mut found, mention.text);
        found
    }

    /// What the index's `names` that have a mention's form say of it, but for concepts that are `known`.
    fn of_index(&self, mention: &Formed<'_>, names: &[u32], known: &[Found]) -> Vec<Found> {
        let mut found: Vec<Found> = Vec::new();
        let meant = names
            .iter()
            .filter(|name| !mention.is_another(self.index.name(**name), self.index.languages_of(**name)));
        let links = meant.flat_map(|&name| {
            let links = self.index.best_links(name).into_iter();
            links.map(move |link| (name, link))
        });
        for (name, link) in links {
            if known.iter().any(|known| known.concept == link.concept)
                || self.local.is_blocked(&mention.reading.forms.exact, link.concept)
                || (mention.table == Table::Stem && !self.is_varied(mention.text, link, mention.allowed))
            {
                continue;
            }
            let one = Found {
                class: 2 * mention.table as u8 + 1,
                ..self.indexed(name, link, mention.stage(), mention.allowed)
            };
            match found.iter_mut().find(|found| found.concept == link.concept) {
                None => found.push(one),
                Some(other) if self.order(&one, other) == Ordering::Less => *other = one,
                Some(_) => {}
            }
        }
        self.rate(&mut found, mention.text);
        found
    }

    /// Whether a name may have another ending than the mention: a concept of another kind needs its very name. A substance has no
    /// adjective, what shares its stem is another one ("methanal", "methane"), and neither has a short form ("CMTRIA", "CMTRIC").
    fn is_varied(&self, text: &str, link: Link, allowed: Allowed) -> bool {
        let short = link.acronym && text::is_acronym(text) && !text::words::is_known(&text.to_lowercase());
        !short && self.fit(link.concept, allowed) < Fit::Foreign && !self.is_substance(link.concept, allowed)
    }

    /// Gives the matches of one stage their confidences: those that fit the mention's label as if there were no others. Of what is left one
    /// has half the confidence, behind everything that fits: "alcohol" as a drug is no alcoholism.
    fn rate(&self, found: &mut [Found], text: &str) {
        self.sort(found);
        let fitting = found.partition_point(|one| one.fit < Fit::Foreign);
        let (fitting, foreign) = found.split_at_mut(fitting);
        self.rate_rivals(fitting, text);
        self.rate_rivals(foreign, text);
        for one in foreign {
            one.confidence *= 0.5;
            one.class = LOOSE;
        }
    }

    /// The best one gets the confidence of the stage, its rivals less.
    fn rate_rivals(&self, found: &mut [Found], text: &str) {
        let (capitals, short) = (text::is_acronym(text), text::is_short_acronym(text));
        let rivals = found.len().saturating_sub(1);
        for (i, one) in found.iter_mut().enumerate() {
            let acronym = self.is_short(one);
            // "cold" is not "COLD".
            let case = acronym && !capitals && text.chars().any(char::is_lowercase);
            let best = confidence(Evidence {
                stage: one.stage,
                chance: one.similarity,
                // "PNEUMONIA" is a word.
                undefined: short || (capitals && acronym),
                rivals: if i == 0 { rivals } else { 0 },
                preferred: one.preferred,
                established: !self.several || self.index.vocabularies_of(one.concept) >= ESTABLISHED,
                case,
            });
            if case {
                one.class = LOOSE;
            }
            one.confidence = if i == 0 {
                best
            } else {
                best * 0.5 / (i as f32).sqrt()
            };
        }
    }

    /// Readings of a mention that names several things.
    pub(super) fn composite(&self, text: &str, allowed: Allowed) -> Vec<Found> {
        let several = composite::readings(text, self.languages)
            .into_iter()
            .find_map(|reading| {
                let part = |part: &String| {
                    // "Pancreatitis, alcoholic" is no alcoholism.
                    let turned = text.contains(',') && !part.contains(' ');
                    let loosest = if turned { Stage::Key } else { Stage::Variant };
                    self.part(part, loosest, allowed)
                };
                reading.iter().map(part).collect::<Option<Vec<Found>>>()
            });
        let combined = || {
            let is_substance = |one: &Found| self.is_substance(one.concept, allowed);
            let part = |part: &String| self.part(part, Stage::Key, allowed).filter(is_substance);
            composite::substances(text)?
                .iter()
                .map(part)
                .collect::<Option<Vec<Found>>>()
        };
        let parts = several.or_else(combined).unwrap_or_default();
        let mut found: Vec<Found> = Vec::new();
        for (i, part) in parts.into_iter().enumerate() {
            if found.iter().any(|found| found.concept == part.concept) {
                continue;
            }
            found.push(Found {
                stage: Stage::Composite,
                class: LOOSE,
                // The order of the parts is the order of the answer.
                confidence: confidence(Evidence::of(Stage::Composite)) - 0.001 * i as f32,
                ..part
            });
        }
        found
    }

    /// The concept of a part of a mention: by a strict stage, in the case of its name, and of what the label allows. A word that only says of
    /// which kind something is names nothing.
    fn part(&self, part: &str, loosest: Stage, allowed: Allowed) -> Option<Found> {
        let best = self.strict(part, allowed).into_iter().next()?;
        let named = best.stage <= loosest && best.class != LOOSE;
        (named && !text::words::is_quality(part)).then_some(best)
    }
}
