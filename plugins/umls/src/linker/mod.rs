//! The linker: a sieve from strict to loose, over one document at a time.
//!
//! Every mention goes through the stages until one answers: the hospital's own names, the exact form, the key
//! (spelling, plural, word order), the stemmed key, readings of composite mentions, retrieval. A short form that the
//! document defines is looked up by its long form. Candidates have a total order: the same input gives the same
//! answer, ties included.

mod composite;
mod confidence;
mod definitions;
mod document;
pub(crate) mod groups;
pub mod ranker;
pub(crate) mod similarity;

use std::cell::RefCell;
use std::cmp::{Ordering, Reverse};
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};

use serde::{Deserialize, Serialize};

use crate::codings::{self, Coding};
use crate::error::Error;
use crate::eval::AUTO_ACCEPT;
use crate::index::inverted::Query;
use crate::index::{Index, Link, Table};
use crate::local::{Entry, Local};
use crate::text::words::Synonym;
use crate::text::{self, Forms};
use confidence::{ESTABLISHED, Evidence, confidence};
use groups::{Allowed, Fit};
use similarity::{Likeness, Weighed, Weights, likeness, synonyms};

/// How many names are retrieved and compared with a mention, and how many of their concepts are ranked: where a few
/// candidates are wanted, and where more than [`FEW`].
const DEPTHS: [(usize, usize); 2] = [(64, 16), (128, 50)];
const FEW: usize = 10;
/// Names that are less alike are no candidates.
const LEAST_ALIKE: f32 = 0.3;

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

/// A concept of which names were retrieved.
struct Pooled {
    /// Its name most alike.
    found: Found,
    best: Likeness,
    /// The similarity of the next one.
    second: f32,
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
        let index = Index::open(&settings.index)?;
        let linker = Self {
            index,
            settings,
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
            Some(path) => Local::read(path, &self.index, &self.map)?,
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
            kept.map(|found| self.candidate(&local, found, options)).collect()
        };
        let linked = sieve.document(document, wanted)?;
        linked
            .into_iter()
            .map(|found| wanted().then(|| candidates(found)))
            .collect()
    }

    fn candidate(&self, local: &Local, found: Found, options: &Options) -> Candidate {
        let matched_name = match found.name {
            Name::Index(name) => self.index.name(name),
            Name::Local(name) => local
                .names
                .get(name as usize)
                .map_or("", |(name, ..)| name.as_str()),
        };
        let own = local.own(found.concept);
        let id = own.map_or_else(|| self.index.concept_id(found.concept), |(id, _)| id);
        let name = own.map_or_else(|| self.index.preferred_name(found.concept), |(_, name)| name);
        let mut reason = format!("{}: \"{matched_name}\"", found.stage.name());
        if found.stage == Stage::Fuzzy {
            reason.push_str(&format!(", similarity {:.2}", found.similarity));
        }
        if found.expanded {
            reason.push_str(", through a short form that the document defines");
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
            matched: if found.expanded {
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
    /// It is of so many vocabularies that how many of them have a concept tells how established it is.
    several: bool,
}

impl Sieve<'_> {
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

    /// The stages that need no retrieval; of a compound with a hyphen that has no name, those of the compound without:
    /// "light-headedness".
    fn strict(&self, text: &str, allowed: Allowed) -> Vec<Found> {
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
        let forms = Forms::of(text);
        if forms.exact.is_empty() {
            return Vec::new();
        }
        let short = text::is_short_acronym(text);
        let mut found: Vec<Found> = Vec::new();
        let mut names: Vec<u32> = Vec::new();
        let stages: [(Table, &str, &[Entry]); 3] = [
            (Table::Exact, &forms.exact, self.local.exact(&forms)),
            (Table::Key, &forms.key, self.local.key(&forms)),
            (Table::Stem, &forms.stem_key, self.local.stem(&forms)),
        ];
        for (table, form, entries) in stages {
            // A short form has no adjective.
            if short && matches!(table, Table::Stem) {
                continue;
            }
            let another = |name: Name| is_another(table, text, &forms, self.name_of(name));
            let before = found.len();
            for entry in entries {
                let new = !found.iter().any(|found| found.concept == entry.concept);
                if new
                    && !another(Name::Local(entry.name))
                    && !self.local.is_blocked(&forms.exact, entry.concept)
                {
                    found.push(Found {
                        concept: entry.concept,
                        name: Name::Local(entry.name),
                        stage: Stage::Synonym,
                        similarity: match table {
                            Table::Exact => 1.0,
                            Table::Key | Table::Stem => 0.9,
                        },
                        quality: u16::try_from(entry.count).unwrap_or(u16::MAX),
                        preferred: false,
                        expanded: false,
                        initials: false,
                        fit: self.fit(entry.concept, allowed),
                        class: 2 * table as u8,
                        confidence: 0.0,
                        score: 0.0,
                        features: None,
                    });
                }
            }
            self.rate(&mut found[before..], text, false);
            let before = found.len();
            let stage = match table {
                Table::Exact => Stage::Exact,
                Table::Key => Stage::Key,
                Table::Stem => Stage::Variant,
            };
            names = self.index.lookup(table, form, &names);
            for &name in names.iter().filter(|name| !another(Name::Index(**name))) {
                for link in self.index.best_links(name) {
                    if self.local.is_blocked(&forms.exact, link.concept) {
                        continue;
                    }
                    let one = Found {
                        class: 2 * table as u8 + 1,
                        ..self.found(name, link, stage, allowed)
                    };
                    if stage == Stage::Variant && !self.is_varied(text, link, allowed) {
                        continue;
                    }
                    match found.iter_mut().find(|found| found.concept == link.concept) {
                        None => found.push(one),
                        Some(known) if known.stage == stage && self.order(&one, known) == Ordering::Less => {
                            *known = one
                        }
                        Some(_) => {}
                    }
                }
            }
            self.rate(&mut found[before..], text, true);
        }
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

    fn fit(&self, concept: u32, allowed: Allowed) -> Fit {
        allowed.fit(self.index.semantic_types(concept))
    }

    fn is_substance(&self, concept: u32, allowed: Allowed) -> bool {
        allowed.is_substance(self.index.semantic_types(concept))
    }

    /// Whether a name may have another ending than the mention: a concept of another kind needs its very name. A substance has no
    /// adjective, what shares its stem is another one ("methanal", "methane"), and neither has a short form ("CMTRIA", "CMTRIC").
    fn is_varied(&self, text: &str, link: Link, allowed: Allowed) -> bool {
        let short = link.acronym && text::is_acronym(text) && !text::words::is_known(&text.to_lowercase());
        !short && self.fit(link.concept, allowed) < Fit::Foreign && !self.is_substance(link.concept, allowed)
    }

    /// A match of the strict stages.
    fn found(&self, name: u32, link: Link, stage: Stage, allowed: Allowed) -> Found {
        Found {
            concept: link.concept,
            name: Name::Index(name),
            stage,
            similarity: 1.0,
            quality: link.quality,
            preferred: self.index.preferred(link.concept) == name,
            expanded: false,
            initials: false,
            fit: self.fit(link.concept, allowed),
            class: LOOSE,
            confidence: 0.0,
            score: 0.0,
            features: None,
        }
    }

    /// Gives the matches of one stage their confidences: those that fit the mention's label as if there were no others. Of what is left one
    /// has half the confidence, behind everything that fits: "alcohol" as a drug is no alcoholism.
    fn rate(&self, found: &mut [Found], text: &str, indexed: bool) {
        self.sort(found);
        let fitting = found.partition_point(|one| one.fit < Fit::Foreign);
        let (fitting, foreign) = found.split_at_mut(fitting);
        self.rate_rivals(fitting, text, indexed);
        self.rate_rivals(foreign, text, indexed);
        for one in foreign {
            one.confidence *= 0.5;
            one.class = LOOSE;
        }
    }

    /// The best one gets the confidence of the stage, its rivals less.
    fn rate_rivals(&self, found: &mut [Found], text: &str, indexed: bool) {
        let (capitals, short) = (text::is_acronym(text), text::is_short_acronym(text));
        let rivals = found.len().saturating_sub(1);
        for (i, one) in found.iter_mut().enumerate() {
            let acronym = self.is_short(one);
            // "cold" is not "COLD".
            let case = indexed && acronym && !capitals && text.chars().any(char::is_lowercase);
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
    fn composite(&self, text: &str, allowed: Allowed) -> Vec<Found> {
        let several = composite::readings(text).into_iter().find_map(|reading| {
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
            let evidence = Evidence {
                stage: Stage::Composite,
                chance: 1.0,
                undefined: false,
                rivals: 0,
                preferred: false,
                established: true,
                case: false,
            };
            found.push(Found {
                stage: Stage::Composite,
                class: LOOSE,
                // The order of the parts is the order of the answer.
                confidence: confidence(evidence) - 0.001 * i as f32,
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

    /// The names that share rare words with the mention, compared word by word, and their concepts ranked.
    fn retrieve(&self, text: &str, allowed: Allowed) -> Vec<Found> {
        let mut pool: HashMap<u32, Pooled> = HashMap::new();
        let exact = text::exact_form(text);
        let mention = self.weighed(text);
        self.retrieve_into(text, &mention, allowed, &mut pool);
        if let Some(apart) = self.taken_apart(&mention.words, &mention.stems) {
            self.retrieve_into(&apart, &self.weighed(&apart), allowed, &mut pool);
        }
        let mut pool: Vec<Pooled> = pool.into_values().collect();
        pool.sort_by(|a, b| self.order(&a.found, &b.found));
        pool.truncate(self.depth.1);
        let (trigrams, synonyms) = (trigrams(&exact), synonyms(&mention.stems));
        let mut found: Vec<Found> = pool
            .into_iter()
            .map(|pooled| self.ranked(pooled, &mention, &synonyms, &trigrams))
            .collect();
        self.rate_ranked(&mut found, text::is_short_acronym(text));
        descend(&mut found);
        found
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
                stage: Stage::Fuzzy,
                chance: chance.min(odds * *best.get_or_insert(chance)),
                undefined,
                rivals: 0,
                preferred: false,
                established: true,
                case: false,
            });
        }
    }

    fn weighed(&self, text: &str) -> Weighed {
        Weighed::of(text, &mut self.weights.borrow_mut())
    }

    fn ranked(
        &self,
        pooled: Pooled,
        mention: &Weighed,
        synonyms: &[&'static [Synonym]],
        own: &[u32],
    ) -> Found {
        let Pooled { found, best, second } = pooled;
        let preferred = self.index.preferred(found.concept);
        let of_preferred = if found.preferred || self.local.own(found.concept).is_some() {
            found.similarity
        } else {
            likeness(
                mention,
                synonyms,
                &self.weighed(self.index.name(preferred)),
                false,
            )
            .similarity
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

    fn name_of(&self, name: Name) -> &str {
        match name {
            Name::Index(name) => self.index.name(name),
            Name::Local(name) => self
                .local
                .names
                .get(name as usize)
                .map_or("", |(name, ..)| name.as_str()),
        }
    }

    /// The mention with the words that no name has replaced by their parts: "nephrotoxicity" by "kidney toxicity".
    fn taken_apart(&self, words: &[String], stems: &[String]) -> Option<String> {
        let mut changed = false;
        let words: Vec<String> = words
            .iter()
            .zip(stems)
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

    fn retrieve_into(
        &self,
        text: &str,
        mention: &Weighed,
        allowed: Allowed,
        pool: &mut HashMap<u32, Pooled>,
    ) {
        let exact = &text::exact_form(text);
        let synonyms = synonyms(&mention.stems);
        let query = self.query(&mention.stems);
        let mut offer = |found: Found, best: Likeness| {
            // What is merely alike must fit: "chest" is no chest pain.
            if found.fit == Fit::Foreign || self.local.is_blocked(exact, found.concept) {
                return;
            }
            let new = Pooled {
                found,
                best,
                second: 0.0,
            };
            match pool.get_mut(&found.concept) {
                Some(known) if self.order(&found, &known.found) == Ordering::Less => {
                    let second = known.found.similarity;
                    *known = Pooled { second, ..new };
                }
                Some(known) => known.second = known.second.max(found.similarity),
                None => drop(pool.insert(found.concept, new)),
            }
        };
        let short = text::is_short_acronym(text);
        // A short form alone does not mean what a longer name says beside it: "APC" is no APC resistance.
        let is_candidate =
            |alike: &Likeness| alike.similarity >= LEAST_ALIKE && !(short && alike.telling > 0);
        for hit in self.index.search_names(&query, self.depth.0) {
            if text::differ_by_capital_s(text, self.index.name(hit.document)) {
                continue;
            }
            let written = self.index.name(hit.document);
            let name = self.weighed(written);
            if similarity::is_mere_eponym((text, mention), (written, &name)) {
                continue;
            }
            let links = self.index.best_links(hit.document);
            let substance = links.iter().all(|link| self.is_substance(link.concept, allowed));
            let alike = likeness(mention, &synonyms, &name, substance);
            if !is_candidate(&alike) {
                continue;
            }
            for link in links {
                let found = Found {
                    similarity: alike.similarity,
                    ..self.found(hit.document, link, Stage::Fuzzy, allowed)
                };
                offer(found, alike);
            }
        }
        for number in self.local_names(&mention.stems) {
            let Some((written, name, concept)) = self.local.names.get(number as usize) else {
                continue;
            };
            if text::differ_by_capital_s(text, written) {
                continue;
            }
            let alike = likeness(mention, &synonyms, name, self.is_substance(*concept, allowed));
            if !is_candidate(&alike) {
                continue;
            }
            let found = Found {
                concept: *concept,
                name: Name::Local(number),
                stage: Stage::Fuzzy,
                similarity: alike.similarity,
                quality: 0,
                preferred: false,
                expanded: false,
                initials: false,
                fit: self.fit(*concept, allowed),
                class: LOOSE,
                confidence: 0.0,
                score: 0.0,
                features: None,
            };
            offer(found, alike);
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

/// The character trigrams of an exact form.
fn trigrams(exact: &str) -> Vec<u32> {
    let mut trigrams = Vec::new();
    text::trigrams(exact, &mut trigrams);
    trigrams
}

/// Whether a name with the same key or stems means something else all the same. A short form has no plural but one in a small letter:
/// "AIDS" is not "AID".
fn is_another(table: Table, text: &str, forms: &Forms, name: &str) -> bool {
    match table {
        Table::Exact => false,
        Table::Key => {
            text::differ_by_capital_s(text, name)
                || (forms.cause.is_some() && forms.is_swapped(&Forms::of(name)))
        }
        Table::Stem => {
            let name = Forms::of(name);
            !forms.is_akin(&name) || forms.is_swapped(&name)
        }
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
