//! The linker: a sieve from strict to loose, over one document at a time.
//!
//! Every mention goes through the stages until one answers: the hospital's own names, the exact form, the key
//! (spelling, plural, word order), the stemmed key, readings of composite mentions, retrieval. A short form that the
//! document defines is looked up by its long form. Candidates have a total order: the same input gives the same
//! answer, ties included.

mod alike;
mod composite;
mod confidence;
mod definitions;
mod document;
pub(crate) mod groups;
pub mod ranker;
pub(crate) mod similarity;
mod strict;

use std::cell::RefCell;
use std::cmp::{Ordering, Reverse};
use std::collections::HashMap;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};

use mednerd_languages::{CODES, EN, Languages, languages};
use serde::{Deserialize, Serialize};

use crate::codings::{self, Coding};
use crate::error::Error;
use crate::eval::AUTO_ACCEPT;
use crate::index::{Index, Link};
use crate::local::Local;
use crate::text::{self, Forms};
use confidence::ESTABLISHED;
use groups::{Allowed, Fit};
use similarity::Weights;

/// How many names are retrieved and compared with a mention, and how many of their concepts are ranked: where a few
/// candidates are wanted, and where more than [`FEW`].
const DEPTHS: [(usize, usize); 2] = [(64, 16), (128, 50)];
const FEW: usize = 10;

/// The settings of a linker, as the daemon's configuration hands them over.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The index file.
    pub index: PathBuf,
    /// The hospital's own names and blocks, a TSV.
    #[serde(default)]
    pub synonyms: Option<PathBuf>,
    /// The FHIR system of a UMLS concept's own coding; the default is FHIR's.
    #[serde(default)]
    pub system: Option<String>,
    /// The language (ISO 639-1) of notes that do not tell it, of the hospital's own names, and in which concepts are called.
    #[serde(default)]
    pub language: Option<String>,
    /// Candidates with less confidence are not given; the default is 0.3.
    #[serde(default)]
    pub threshold: Option<f32>,
}

/// A mention in a document.
#[derive(Clone, Copy, Debug)]
pub struct Mention<'a> {
    /// The text of the mention.
    pub text: &'a str,
    /// Where it begins in the document, in bytes.
    pub begin: usize,
    /// Where it ends.
    pub end: usize,
    /// The label that the model gave it, "Disease" for instance; empty where unknown.
    pub label: &'a str,
    /// The model's score, between 0 and 1.
    pub score: f32,
    /// The section of the note; empty where unknown.
    pub section: &'a str,
}

impl<'a> Mention<'a> {
    /// The mention at these bytes of a document, of which no more is known than the label; one without text where the document has no
    /// such bytes.
    pub fn within(document: &'a str, place: Range<usize>, label: &'a str) -> Self {
        Self {
            text: document.get(place.clone()).unwrap_or_default(),
            begin: place.start,
            end: place.end,
            label,
            score: 1.0,
            section: "",
        }
    }
}

/// A document: its text, which short forms are looked for in, and its mentions.
#[derive(Clone, Copy, Debug)]
pub struct Document<'a> {
    /// The complete text.
    pub text: &'a str,
    /// The mentions, in any order.
    pub mentions: &'a [Mention<'a>],
}

/// What a request wants.
#[derive(Clone, Debug)]
pub struct Options {
    /// At most so many candidates for each mention.
    pub top_k: usize,
    /// The systems whose codes are wanted, by any name of theirs ([`mednerd_plugin::CodeSystem`]); empty: all.
    pub code_systems: Vec<String>,
    /// Look for names that are merely alike even where one candidate is sure enough to be accepted unseen: for people
    /// who choose among them.
    pub thorough: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            top_k: 1,
            code_systems: Vec::new(),
            thorough: false,
        }
    }
}

/// The stage of the sieve that found a candidate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    /// A name that the hospital added.
    Synonym,
    /// The same name, case and punctuation aside.
    Exact,
    /// The same words in another order, number or spelling.
    Key,
    /// The same words by their stems.
    Variant,
    /// One of several names in the mention.
    Composite,
    /// A name that is alike.
    Fuzzy,
}

impl Stage {
    /// All of them, from strict to loose.
    pub const ALL: [Self; 6] = [
        Self::Synonym,
        Self::Exact,
        Self::Key,
        Self::Variant,
        Self::Composite,
        Self::Fuzzy,
    ];

    /// Its name in answers.
    pub fn name(self) -> &'static str {
        match self {
            Self::Synonym => "synonym",
            Self::Exact => "exact",
            Self::Key => "key",
            Self::Variant => "variant",
            Self::Composite => "composite",
            Self::Fuzzy => "fuzzy",
        }
    }
}

/// A concept that a mention may stand for.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Candidate {
    /// The concept's id: a CUI, or the id of the dictionary.
    pub id: String,
    /// Its preferred name.
    pub name: String,
    /// Its semantic types.
    pub semantic_types: Vec<String>,
    /// The confidence: the share of such matches that are right.
    pub score: f32,
    /// The stage that found it; `abbreviation` where the document's own definition led to it.
    #[serde(rename = "match")]
    pub matched: String,
    /// Its codes, by vocabulary.
    pub codings: Vec<Coding>,
    /// Why it is a candidate, for people: the stage and the name that matched.
    pub reason: String,
    /// The stage, also where an abbreviation led there.
    #[serde(skip)]
    pub stage: Stage,
    /// What the fuzzy stage ranked it by.
    #[serde(skip)]
    pub features: Option<ranker::Features>,
}

/// Links mentions to concepts. `Send` and `Sync`; readers do not wait for each other.
#[derive(Debug)]
pub struct Linker {
    index: Index,
    settings: Settings,
    /// The language of the settings; none where they have none.
    usual: Languages,
    map: HashMap<String, Vec<String>>,
    /// Locked for as long as it takes to copy or swap the pointer.
    local: RwLock<Arc<Local>>,
}

/// A match within the linker.
#[derive(Clone, Copy, Debug)]
struct Found {
    concept: u32,
    name: Name,
    stage: Stage,
    similarity: f32,
    quality: u16,
    preferred: bool,
    expanded: bool,
    /// Found by what the text usually stands for in notes of its language.
    usual: bool,
    /// Found by another mention whose initials the short form is.
    initials: bool,
    /// How it fits the mention's label.
    fit: Fit,
    /// Strict matches go before loose ones whatever their confidence.
    class: u8,
    confidence: f32,
    /// The ranker's, of the fuzzy stage.
    score: f32,
    features: Option<ranker::Features>,
}

/// Whose initials a short form is, it may stand for; nothing says that it does.
const BY_INITIALS: f32 = 0.6;

/// The class of everything that is ordered by confidence alone.
const LOOSE: u8 = 9;

/// How much the odds of a candidate that is merely alike rise where the document speaks of it elsewhere, by another
/// name. Chosen on the training splits.
const SPOKEN_OF: f32 = 1.7;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Name {
    Local(u32),
    Index(u32),
}

impl Linker {
    /// Opens the index and reads the hospital's own names.
    ///
    /// # Errors
    /// As [`Index::open`]; [`Error::Line`] where the TSV is wrong; [`Error::Setting`].
    pub fn open(settings: Settings) -> Result<Self, Error> {
        Self::open_mapped(settings, HashMap::new())
    }

    /// As [`Linker::open`], with a map from other ids to the index's for the hospital's own names.
    ///
    /// # Errors
    /// As [`Linker::open`].
    pub fn open_mapped(settings: Settings, map: HashMap<String, Vec<String>>) -> Result<Self, Error> {
        if settings
            .threshold
            .is_some_and(|threshold| !(0.0..=1.0).contains(&threshold))
        {
            return Err(Error::Setting {
                name: "threshold",
                problem: "must be between 0 and 1".to_owned(),
            });
        }
        let usual = match settings.language.as_deref() {
            None => 0,
            Some(code) => {
                let at = CODES
                    .iter()
                    .position(|known| *known == code)
                    .ok_or_else(|| Error::Setting {
                        name: "language",
                        problem: format!("must be one of {}", CODES.join(", ")),
                    })?;
                1 << at
            }
        };
        let index = Index::open(&settings.index)?;
        let linker = Self {
            index,
            settings,
            usual,
            map,
            local: RwLock::default(),
        };
        linker.reload()?;
        Ok(linker)
    }

    /// Reads the hospital's own names again. Documents that are being linked keep those they began with; where the
    /// file is wrong, everything stays as it was.
    ///
    /// # Errors
    /// [`Error::Read`], [`Error::Line`]
    pub fn reload(&self) -> Result<usize, Error> {
        let local = match &self.settings.synonyms {
            Some(path) => Local::read(path, &self.index, self.usual, &self.map)?,
            None => Local::default(),
        };
        let lines = local.lines();
        *self.local.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(local);
        Ok(lines)
    }

    /// Ids of the hospital's own names that look like CUIs and are none of a UMLS index, in order: of another release or subset, or
    /// mistyped.
    pub fn unknown(&self) -> Vec<String> {
        let local = self.local.read().unwrap_or_else(PoisonError::into_inner);
        local.unknown().map(str::to_owned).collect()
    }

    /// The index.
    pub fn index(&self) -> &Index {
        &self.index
    }

    /// The release and digest of the vocabulary, for the answer's `versions`.
    pub fn version(&self) -> String {
        let record = self.index.record();
        format!(
            "{} {} {}",
            record.kind,
            record.release,
            &self.index.digest()[..12]
        )
    }

    /// Links the mentions of one document: a list of candidates for each, best first; an empty one is NIL.
    pub fn link(&self, document: &Document<'_>, options: &Options) -> Vec<Vec<Candidate>> {
        self.link_while(document, options, &|| true).unwrap_or_default()
    }

    /// As [`link`](Self::link), but `None` as soon as `wanted`, which each pass over the mentions asks before each of them, says no.
    pub fn link_while(
        &self,
        document: &Document<'_>,
        options: &Options,
        wanted: &dyn Fn() -> bool,
    ) -> Option<Vec<Vec<Candidate>>> {
        let local = Arc::clone(&self.local.read().unwrap_or_else(PoisonError::into_inner));
        let record = self.index.record();
        // RxNorm's own names are the ones that count there, whoever else has them.
        let several = record.kind != "rxnorm" && record.sources().count() >= ESTABLISHED as usize;
        let sieve = Sieve {
            index: &self.index,
            local: &local,
            enough: match (options.thorough, options.top_k) {
                (true, _) => Enough::Never,
                (false, ..=1) => Enough::Strict,
                (false, _) => Enough::Sure,
            },
            depth: DEPTHS[usize::from(options.top_k > FEW)],
            weights: RefCell::new(Weights::new(&self.index)),
            ranked: record.kind == "umls",
            several,
            languages: self.spoken(document.text),
        };
        let threshold = self
            .settings
            .threshold
            .unwrap_or(if options.thorough { 0.0 } else { 0.3 });
        let candidates = |found: Vec<Found>| {
            let kept = found
                .into_iter()
                .filter(|found| found.confidence >= threshold)
                .take(options.top_k);
            kept.map(|found| self.candidate(&sieve, found, options)).collect()
        };
        let linked = sieve.document(document, wanted)?;
        linked
            .into_iter()
            .map(|found| wanted().then(|| candidates(found)))
            .collect()
    }

    /// The languages that a text is read in: those that it tells; where it may be in several, the usual one or those of the index.
    fn spoken(&self, text: &str) -> Languages {
        let told = languages(text);
        let known = match (self.usual, self.index.languages()) {
            (0, 0) => EN,
            (0, known) => known,
            (usual, _) => usual,
        };
        match told & known {
            _ if told.count_ones() == 1 => told,
            0 => told,
            both => both,
        }
    }

    fn candidate(&self, sieve: &Sieve<'_>, found: Found, options: &Options) -> Candidate {
        let matched_name = sieve.name_of(found.name);
        let own = sieve.local.own(found.concept);
        let id = own.map_or_else(|| self.index.concept_id(found.concept), |(id, _)| id);
        let name = own.map_or_else(|| self.called(found.concept), |(_, name)| name);
        let mut reason = format!("{}: \"{matched_name}\"", found.stage.name());
        if found.stage == Stage::Fuzzy {
            reason.push_str(&format!(", similarity {:.2}", found.similarity));
        }
        if found.expanded {
            reason.push_str(", through a short form that the document defines");
        }
        if found.usual {
            reason.push_str(", by what the short form or brand usually stands for");
        }
        if found.initials {
            reason.push_str(", by the initials of another mention");
        }
        Candidate {
            id: id.to_owned(),
            name: name.to_owned(),
            semantic_types: match own {
                Some(_) => Vec::new(),
                None => self
                    .index
                    .semantic_types(found.concept)
                    .map(str::to_owned)
                    .collect(),
            },
            score: found.confidence,
            matched: if found.expanded || found.usual {
                "abbreviation"
            } else {
                found.stage.name()
            }
            .to_owned(),
            codings: if own.is_some() {
                Vec::new()
            } else {
                self.codings(found.concept, id, options)
            },
            reason,
            stage: found.stage,
            features: found.features,
        }
    }

    /// What a concept is called in the usual language, where that has a name for it, else at all.
    fn called(&self, concept: u32) -> &str {
        let own = self.index.preferred_in(concept, self.usual);
        own.map_or_else(
            || self.index.preferred_name(concept),
            |name| self.index.name(name),
        )
    }

    fn codings(&self, concept: u32, id: &str, options: &Options) -> Vec<Coding> {
        let record = self.index.record();
        let wanted = |vocabulary: &str| {
            let systems = &options.code_systems;
            systems.is_empty() || systems.iter().any(|wanted| codings::means(wanted, vocabulary))
        };
        let display = self.index.preferred_name(concept);
        let own = match record.kind.as_str() {
            "umls" => {
                let cui = codings::cui(id).is_some();
                let system = self.settings.system.as_deref().or(codings::system("UMLS"));
                system
                    .filter(|_| wanted("UMLS") && cui)
                    .map(|system| (system, id))
            }
            "rxnorm" => wanted("RXNORM").then_some(("http://www.nlm.nih.gov/research/umls/rxnorm", id)),
            _ => codings::of_id(id)
                .filter(|(vocabulary, _)| wanted(vocabulary))
                .and_then(|(vocabulary, code)| Some((codings::system(vocabulary)?, code))),
        };
        let own = own.map(|(system, code)| Coding {
            system: system.to_owned(),
            code: code.to_owned(),
            display: display.to_owned(),
        });
        let others = self.index.codes(concept).filter_map(|code| {
            let vocabulary = &record.vocabularies.get(code.vocabulary)?.name;
            wanted(vocabulary).then(|| {
                Some(Coding {
                    system: codings::system(vocabulary)?.to_owned(),
                    code: code.code.to_owned(),
                    display: code.display.unwrap_or(display).to_owned(),
                })
            })?
        });
        own.into_iter().chain(others).collect()
    }
}

/// What spares a mention the search for names that are merely alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Enough {
    Never,
    /// A match that is sure enough to be accepted unseen.
    Sure,
    /// A match of a strict stage.
    Strict,
}

/// A way to read a text, the same in some languages.
#[derive(Debug)]
struct Reading {
    languages: Languages,
    forms: Forms,
}

/// The index and the hospital's own names as they were when a document came in.
struct Sieve<'a> {
    index: &'a Index,
    local: &'a Local,
    enough: Enough,
    /// One of [`DEPTHS`].
    depth: (usize, usize),
    weights: RefCell<Weights<'a>>,
    /// The release ranks its sources (MRRANK): that goes before how many names a concept has.
    ranked: bool,
    /// Those that the document may be in.
    languages: Languages,
    /// It is of so many vocabularies that how many of them have a concept tells how established it is.
    several: bool,
}

impl Sieve<'_> {
    /// Whether a name is the hospital's, or of a language that the document may be in.
    fn is_own(&self, one: &Found) -> bool {
        match one.name {
            Name::Local(_) => true,
            Name::Index(name) => {
                let languages = self.index.languages_of(name);
                languages == 0 || languages & self.languages != 0
            }
        }
    }

    /// Whether the name that matched is written like an acronym.
    fn is_short(&self, found: &Found) -> bool {
        match found.name {
            Name::Index(name) => self
                .index
                .links(name)
                .find(|link| link.concept == found.concept)
                .is_some_and(|link| link.acronym),
            Name::Local(_) => false,
        }
    }

    /// All candidates for a text, best first.
    fn surface(&self, text: &str, allowed: Allowed) -> Vec<Found> {
        let mut found = self.strict(text, allowed);
        let best = found.first();
        let certain = best.is_some_and(|best| best.stage <= Stage::Variant && best.fit < Fit::Foreign);
        if !certain {
            found.extend(self.composite(text, allowed));
        }
        let sure = found.first().is_some_and(|best| best.confidence >= AUTO_ACCEPT);
        let enough = match self.enough {
            Enough::Never => false,
            Enough::Sure => sure,
            Enough::Strict => true,
        };
        if !(certain && enough) {
            let seen: Vec<u32> = found.iter().map(|found| found.concept).collect();
            let retrieved = self.retrieve(text, allowed);
            found.extend(retrieved.into_iter().filter(|one| !seen.contains(&one.concept)));
        }
        self.sort(&mut found);
        leave_what_is_left(&mut found);
        descend(&mut found);
        found
    }

    /// The ways to read a text in the languages of the document, and behind them in English, each once.
    fn readings(&self, text: &str) -> Vec<Reading> {
        let mut readings: Vec<Reading> = Vec::new();
        let english = (self.languages & EN == 0).then_some(EN);
        for language in text::each(self.languages).chain(english) {
            let forms = Forms::of(text, language);
            let same =
                |known: &&mut Reading| known.forms.words == forms.words && known.forms.cause == forms.cause;
            match readings.iter_mut().find(same) {
                Some(known) => known.languages |= language,
                None => readings.push(Reading {
                    languages: language,
                    forms,
                }),
            }
        }
        readings
    }

    /// A match of which no more is known than what matched and by which stage.
    fn found(&self, concept: u32, name: Name, stage: Stage, allowed: Allowed) -> Found {
        Found {
            concept,
            name,
            stage,
            similarity: 1.0,
            quality: 0,
            preferred: false,
            expanded: false,
            usual: false,
            initials: false,
            fit: self.fit(concept, allowed),
            class: LOOSE,
            confidence: 0.0,
            score: 0.0,
            features: None,
        }
    }

    /// The same of a name of the index.
    fn indexed(&self, name: u32, link: Link, stage: Stage, allowed: Allowed) -> Found {
        Found {
            quality: link.quality,
            preferred: self.index.is_preferred(link.concept, name, self.languages),
            ..self.found(link.concept, Name::Index(name), stage, allowed)
        }
    }

    fn fit(&self, concept: u32, allowed: Allowed) -> Fit {
        allowed.fit(self.index.semantic_types(concept))
    }

    fn is_substance(&self, concept: u32, allowed: Allowed) -> bool {
        allowed.is_substance(self.index.semantic_types(concept))
    }

    fn name_of(&self, name: Name) -> &str {
        match name {
            Name::Index(name) => self.index.name(name),
            Name::Local(name) => {
                let own = self.local.names.get(name as usize);
                own.map_or("", |(name, ..)| name.as_str())
            }
        }
    }

    /// Best first; total: no two different matches are equal.
    fn order(&self, a: &Found, b: &Found) -> Ordering {
        let key = |found: &Found| {
            (
                found.class,
                Reverse((found.confidence * 1e4) as u32),
                found.stage,
                Reverse((found.score * 1e4) as i32),
                Reverse((found.similarity * 1e4) as u32),
                found.fit,
                Reverse(if self.several {
                    self.index.vocabularies_of(found.concept)
                } else {
                    0
                }),
                Reverse(if self.ranked { found.quality } else { 0 }),
                Reverse(self.index.names_of(found.concept)),
                Reverse(found.preferred),
                Reverse(found.quality),
                Reverse(self.index.defined(found.concept)),
            )
        };
        key(a)
            .cmp(&key(b))
            .then_with(|| {
                self.index
                    .concept_id(a.concept)
                    .cmp(self.index.concept_id(b.concept))
            })
            .then(a.concept.cmp(&b.concept))
            .then(a.name.cmp(&b.name))
    }

    fn sort(&self, found: &mut [Found]) {
        found.sort_by(|a, b| self.order(a, b));
    }
}

/// Gives what is looser than the best candidate no more confidence than the best one leaves: they are not both meant.
fn leave_what_is_left(found: &mut [Found]) {
    let Some((best, rivals)) = found.split_first_mut() else {
        return;
    };
    for rival in rivals
        .iter_mut()
        .filter(|rival| best.class != LOOSE && rival.class > best.class)
    {
        rival.confidence = rival.confidence.min(1.0 - best.confidence);
    }
}

/// Lets no candidate be surer than the one before: the order is the sieve's.
fn descend(found: &mut [Found]) {
    let mut least = 1.0_f32;
    for one in found {
        least = least.min(one.confidence);
        one.confidence = least;
    }
}
