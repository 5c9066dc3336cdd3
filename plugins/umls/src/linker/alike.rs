//! The last stage: names that are merely alike, retrieved by rare words, compared word by word, and their concepts
//! ranked.

use std::cmp::Ordering;
use std::collections::HashMap;

use mednerd_languages::{EN, Languages};

use super::confidence::{Evidence, confidence};
use super::groups::{Allowed, Fit};
use super::similarity::{self, Likeness, Weighed, likeness, synonyms};
use super::{Found, Name, Reading, Sieve, Stage, descend, ranker};
use crate::index::inverted::Query;
use crate::text;
use crate::text::words::Synonym;

/// Names that are less alike are no candidates.
const LEAST_ALIKE: f32 = 0.3;

/// Ways of reading a mention that names are retrieved by, at most.
const MOST_READINGS: usize = 3;

/// A text that names are compared with.
struct Asked<'a> {
    text: &'a str,
    /// Those that it is read in.
    languages: Languages,
    exact: String,
    words: Weighed,
    synonyms: Vec<&'static [Synonym]>,
    /// It is a short form alone.
    short: bool,
    allowed: Allowed,
}

impl Asked<'_> {
    /// How a name is alike, where it is a candidate.
    fn alike(&self, written: &str, name: &Weighed, substance: bool) -> Option<Likeness> {
        if text::differ_by_capital_s(self.text, written) {
            return None;
        }
        let alike = likeness(&self.words, &self.synonyms, name, substance);
        // A short form alone does not mean what a longer name says beside it: "APC" is no APC resistance.
        (alike.similarity >= LEAST_ALIKE && !(self.short && alike.telling > 0)).then_some(alike)
    }
}

/// A concept of which names were retrieved.
struct Pooled {
    /// Its name most alike.
    found: Found,
    best: Likeness,
    /// The similarity of the next one.
    second: f32,
    /// The reading of the mention that it is like.
    reading: usize,
}

/// The concepts of which names were retrieved.
type Pool = HashMap<u32, Pooled>;

impl Sieve<'_> {
    /// The names that share rare words with the mention, compared word by word, and their concepts ranked.
    pub(super) fn retrieve(&self, text: &str, allowed: Allowed) -> Vec<Found> {
        let mut pool = Pool::new();
        let readings = self.readings(text);
        // Whose words are known in the text's language, it is not English misspelt: "ascitis".
        let own = |reading: &&Reading| reading.languages & self.languages != 0;
        let is_known = readings.iter().filter(own).any(|reading| reading.forms.is_known);
        let readings = readings.iter().filter(|reading| own(reading) || !is_known);
        let asked: Vec<Asked<'_>> = readings
            .take(MOST_READINGS)
            .map(|reading| self.asked(text, reading.languages, allowed))
            .collect();
        for (reading, asked) in asked.iter().enumerate() {
            self.retrieve_into(asked, reading, &mut pool);
            if let Some(apart) = self.taken_apart(&asked.words) {
                self.retrieve_into(&self.asked(&apart, EN, allowed), reading, &mut pool);
            }
        }
        let mut pool: Vec<Pooled> = pool.into_values().collect();
        pool.sort_by(|a, b| self.order(&a.found, &b.found));
        pool.truncate(self.depth.1);
        let trigrams = trigrams(&text::exact_form(text));
        let mut found: Vec<Found> = pool
            .into_iter()
            .filter_map(|pooled| Some(self.ranked(asked.get(pooled.reading)?, pooled, &trigrams)))
            .collect();
        self.rate_ranked(&mut found, text::is_short_acronym(text));
        descend(&mut found);
        found
    }

    fn asked<'a>(&self, text: &'a str, languages: Languages, allowed: Allowed) -> Asked<'a> {
        let words = self.weighed(text, text::read_in(languages, self.languages));
        Asked {
            text,
            languages,
            exact: text::exact_form(text),
            synonyms: synonyms(&words.stems),
            words,
            short: text::is_short_acronym(text),
            allowed,
        }
    }

    fn weighed(&self, text: &str, language: Languages) -> Weighed {
        Weighed::of(text, language, &mut self.weights.borrow_mut())
    }

    /// A name of the index, read as a mention is that it is compared with.
    fn weighed_name(&self, name: u32, asked: &Asked<'_>) -> Weighed {
        let language = text::read_in(self.index.languages_of(name), asked.languages);
        self.weighed(self.index.name(name), language)
    }

    fn retrieve_into(&self, asked: &Asked<'_>, reading: usize, pool: &mut Pool) {
        for hit in self
            .index
            .search_names(&self.query(&asked.words.stems), self.depth.0)
        {
            let written = self.index.name(hit.document);
            let name = self.weighed_name(hit.document, asked);
            if similarity::is_mere_eponym((asked.text, &asked.words), (written, &name)) {
                continue;
            }
            let links = self.index.best_links(hit.document);
            let substance = links
                .iter()
                .all(|link| self.is_substance(link.concept, asked.allowed));
            let Some(alike) = asked.alike(written, &name, substance) else {
                continue;
            };
            for link in links {
                let found = self.indexed(hit.document, link, Stage::Fuzzy, asked.allowed);
                self.offer(found, alike, asked, reading, pool);
            }
        }
        for number in self.local_names(&asked.words.stems) {
            let Some((written, name, concept)) = self.local.names.get(number as usize) else {
                continue;
            };
            let substance = self.is_substance(*concept, asked.allowed);
            if let Some(alike) = asked.alike(written, name, substance) {
                let found = self.found(*concept, Name::Local(number), Stage::Fuzzy, asked.allowed);
                self.offer(found, alike, asked, reading, pool);
            }
        }
    }

    /// Keeps of each concept the name most alike, and how alike the next one is.
    fn offer(&self, found: Found, best: Likeness, asked: &Asked<'_>, reading: usize, pool: &mut Pool) {
        // What is merely alike must fit: "chest" is no chest pain.
        if found.fit == Fit::Foreign || self.local.is_blocked(&asked.exact, found.concept) {
            return;
        }
        let found = Found {
            similarity: best.similarity,
            ..found
        };
        let new = Pooled {
            found,
            best,
            second: 0.0,
            reading,
        };
        match pool.get_mut(&found.concept) {
            Some(known) if self.order(&found, &known.found) == Ordering::Less => {
                let second = known.found.similarity;
                *known = Pooled { second, ..new };
            }
            Some(known) => known.second = known.second.max(found.similarity),
            None => drop(pool.insert(found.concept, new)),
        }
    }

    fn local_names(&self, stems: &[String]) -> Vec<u32> {
        let mut numbers: Vec<u32> = stems
            .iter()
            .flat_map(|stem| self.local.with_word(stem))
            .copied()
            .collect();
        numbers.sort_unstable();
        numbers.dedup();
        numbers.truncate(2000);
        numbers
    }

    /// What names are retrieved by: the mention's words, words that mean the same, and words spelt like one that is
    /// not known.
    fn query(&self, stems: &[String]) -> Query {
        let mut features: HashMap<u32, u16> = HashMap::new();
        let mut add = |word: u32, weight: u16| {
            // A feature may not weigh more than in a name: the search's bound rests on it.
            let weight = weight
                .min(self.index.weight(self.index.word_text(word), Some(word)))
                .max(1);
            let known = features.entry(word).or_default();
            *known = weight.max(*known);
        };
        let mut stems: Vec<&String> = stems.iter().take(24).collect();
        stems.sort_unstable();
        stems.dedup();
        let mut total = 0;
        for stem in stems {
            let word = self.index.word(stem);
            let weight = self.index.weight(stem, word);
            total += u32::from(weight);
            let scaled = |factor: f32| (f32::from(weight) * factor) as u16;
            for synonym in text::words::synonyms(stem) {
                if let Some(word) = self.index.word(&synonym.stem) {
                    add(word, scaled(synonym.alike * 0.9));
                }
            }
            match word {
                Some(word) => add(word, weight),
                None if stem.len() < 4 || !stem.bytes().all(|byte| byte.is_ascii_alphabetic()) => {}
                None => {
                    for (word, alike) in self.index.similar_words(stem, 8) {
                        add(word, scaled(alike));
                    }
                }
            }
        }
        let mut features: Vec<(u32, u16)> = features.into_iter().collect();
        features.sort_unstable();
        Query {
            features,
            weight: total,
            share: 25,
            least_rank: 0,
        }
    }

    /// The mention with the words that no name has replaced by their parts: "nephrotoxicity" by "kidney toxicity".
    fn taken_apart(&self, mention: &Weighed) -> Option<String> {
        let mut changed = false;
        let words: Vec<String> = mention
            .words
            .iter()
            .zip(&mention.stems)
            .map(|(word, stem)| match text::words::parts(word) {
                Some(parts) if self.index.word(stem).is_none_or(|word| self.index.rare(word)) => {
                    changed = true;
                    parts
                }
                _ => word.clone(),
            })
            .collect();
        changed.then(|| words.join(" "))
    }

    /// A concept with its score; `own` are the trigrams of the mention.
    fn ranked(&self, asked: &Asked<'_>, pooled: Pooled, own: &[u32]) -> Found {
        let Pooled {
            found, best, second, ..
        } = pooled;
        let in_language = |language| self.index.preferred_in(found.concept, language);
        let preferred = text::each(asked.languages).find_map(in_language);
        let preferred = preferred.unwrap_or_else(|| self.index.preferred(found.concept));
        let of_preferred = if found.preferred || self.local.own(found.concept).is_some() {
            found.similarity
        } else {
            let name = self.weighed_name(preferred, asked);
            likeness(&asked.words, &asked.synonyms, &name, false).similarity
        };
        let features = ranker::Evidence {
            best,
            trigrams: ranker::dice(own, &trigrams(&text::exact_form(self.name_of(found.name)))),
            preferred: found.preferred,
            of_preferred,
            second,
            given: self.local.given(found.concept),
        }
        .features();
        Found {
            score: ranker::score(&features),
            features: Some(features),
            ..found
        }
    }

    /// Orders fuzzy candidates by their scores and gives them their confidences: the best one the chance that it is right, its rivals as
    /// much less as the ranker's odds say.
    fn rate_ranked(&self, found: &mut [Found], undefined: bool) {
        found.sort_by(|a, b| b.score.total_cmp(&a.score).then_with(|| self.order(a, b)));
        let highest = found.first().map_or(0.0, |best| best.score);
        let whole: f32 = found.iter().map(|one| (one.score - highest).exp()).sum();
        let concepts = self.index.record().concepts;
        let mut best = None;
        for one in found {
            let odds = (one.score - highest).exp();
            let own = |features| ranker::chance(odds / whole, &features, concepts);
            let chance = one.features.map_or(0.0, own);
            one.confidence = confidence(Evidence {
                chance: chance.min(odds * *best.get_or_insert(chance)),
                undefined,
                ..Evidence::of(Stage::Fuzzy)
            });
        }
    }
}

/// The character trigrams of an exact form.
fn trigrams(exact: &str) -> Vec<u32> {
    let mut trigrams = Vec::new();
    text::trigrams(exact, &mut trigrams);
    trigrams
}
