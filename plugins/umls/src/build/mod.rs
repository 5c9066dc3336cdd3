//! Builds an index from a stream of names in bounded memory.
//!
//! Names are sorted outside memory by their exact form, so equal names of several sources become one, and the file
//! depends only on the input. It is written beside its destination and renamed at the end: a build that is broken
//! off leaves an older index as it was, and the next one into the same folder removes what it left.

mod codes;
mod concepts;
mod dictionary;
mod names;
mod rrf;
mod sort;
mod writer;

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use mednerd_languages::{CODES, Languages};

use crate::error::{Error, first_of};
use crate::index::format::Section;
use crate::index::{Record, Source};
use crate::output::{Output, remove_leftovers};
use crate::text;
use codes::Codes;
use concepts::Concepts;
use names::Spellings;
use writer::Writer;

/// What is taken from a UMLS release.
#[derive(Clone, Debug)]
pub struct Filters {
    /// Languages (LAT); empty takes all.
    pub languages: Vec<String>,
    /// Vocabularies (SAB) to take; empty takes all.
    pub vocabularies: Vec<String>,
    /// Vocabularies (SAB) to leave out.
    pub without: Vec<String>,
    /// Semantic types (TUI, or the name in a dictionary's column); empty takes all.
    pub semantic_types: Vec<String>,
    /// Term types (TTY) to leave out.
    pub without_term_types: Vec<String>,
    /// Whether names that are marked as suppressed are taken.
    pub suppressed: bool,
}

impl Default for Filters {
    fn default() -> Self {
        Self {
            languages: vec!["ENG".to_owned()],
            vocabularies: Vec::new(),
            without: Vec::new(),
            semantic_types: Vec::new(),
            without_term_types: Vec::new(),
            suppressed: false,
        }
    }
}

impl Filters {
    fn record(&self) -> Vec<String> {
        let list = |name: &str, values: &[String]| {
            let mut values = values.to_vec();
            values.sort();
            (!values.is_empty()).then(|| format!("{name}={}", values.join(",")))
        };
        [
            list("language", &self.languages),
            list("sab", &self.vocabularies),
            list("without-sab", &self.without),
            list("semantic-type", &self.semantic_types),
            list("without-tty", &self.without_term_types),
            self.suppressed.then(|| "suppressed".to_owned()),
        ]
        .into_iter()
        .flatten()
        .collect()
    }

    /// Whether names in this language, and of this term type, are taken. Codes are taken whatever their names are.
    fn takes_name(&self, language: &str, term_type: &str) -> bool {
        allows(&self.languages, language) && !has(&self.without_term_types, term_type)
    }

    fn takes_vocabulary(&self, name: &str) -> bool {
        allows(&self.vocabularies, name) && !has(&self.without, name)
    }

    fn takes_type(&self, name: &str) -> bool {
        allows(&self.semantic_types, name)
    }
}

fn has(list: &[String], name: &str) -> bool {
    list.iter().any(|at| at == name)
}

/// Whether a list of what is taken has `name`; an empty one has everything.
fn allows(list: &[String], name: &str) -> bool {
    list.is_empty() || has(list, name)
}

/// What to build, from what, into what.
#[derive(Clone, Debug)]
pub struct Build {
    /// The input.
    pub input: Input,
    /// The index file to write; an older one is replaced when the new one is complete.
    pub out: PathBuf,
    /// What is taken.
    pub filters: Filters,
    /// About how many bytes of names are sorted in memory at a time.
    pub memory: usize,
}

/// Where names come from.
#[derive(Clone, Debug)]
pub enum Input {
    /// The META folder of a UMLS release, or the rrf folder of an RxNorm release.
    Rrf(PathBuf),
    /// A CSV file with the header `id,name,semantic_type,source`.
    Csv(PathBuf),
}

/// Told how far a build is; called from the thread that builds.
pub trait Watch {
    /// A new phase of `total` units has begun.
    fn begin(&mut self, what: &str, total: u64);
    /// So many of its units are done.
    fn at(&mut self, done: u64);
}

impl Watch for () {
    fn begin(&mut self, _: &str, _: u64) {}
    fn at(&mut self, _: u64) {}
}

impl Build {
    /// Builds the index.
    ///
    /// # Errors
    /// [`Error::Line`] and [`Error::Input`] where the input is not as it should be; [`Error::Read`], [`Error::Write`].
    pub fn run(&self, watch: &mut dyn Watch) -> Result<Record, Error> {
        let out = Output::new(&self.out, "--out", self.input.files())?.regular()?;
        remove_leftovers(out.folder());
        let mut builder = Builder::new(out.folder(), self.memory);
        builder.record.filters = self.filters.record();
        match &self.input {
            Input::Rrf(path) => rrf::read(path, &self.filters, &mut builder, watch)?,
            Input::Csv(path) => dictionary::read(path, &self.filters, &mut builder, watch)?,
        }
        let (Input::Rrf(path) | Input::Csv(path)) = &self.input;
        builder.seen.demand(&self.filters, path)?;
        if builder.record.links == 0 {
            return Err(Error::Input {
                path: path.clone(),
                problem: match builder.record.rows {
                    0 => "no row holds a name".to_owned(),
                    rows => format!("no name is left to index of {rows} rows; look at the filters"),
                },
            });
        }
        builder.finish(&out, watch)
    }
}

impl Input {
    /// The files that are read.
    fn files(&self) -> Vec<PathBuf> {
        match self {
            Self::Csv(path) => vec![path.clone()],
            Self::Rrf(folder) => std::fs::read_dir(folder)
                .into_iter()
                .flatten()
                .filter_map(Result::ok)
                .map(|entry| entry.path())
                .filter(|path| path.extension().is_some_and(|ending| ending == "RRF"))
                .collect(),
        }
    }
}

/// What the rows of the input have, whether or not it is taken: a filter that names something else is a slip of the pen.
#[derive(Default)]
struct Seen {
    languages: HashSet<String>,
    vocabularies: HashSet<String>,
    types: HashSet<String>,
    term_types: HashSet<String>,
}

impl Seen {
    fn note(set: &mut HashSet<String>, name: &str) {
        if !set.contains(name) {
            set.insert(name.to_owned());
        }
    }

    /// Demands that the input has everything that a filter names. A dictionary has no languages, and no filter asks for them there.
    fn demand(&self, filters: &Filters, path: &Path) -> Result<(), Error> {
        let languages = if self.languages.is_empty() {
            &[][..]
        } else {
            &filters.languages
        };
        for (option, wanted, seen) in [
            ("--language", languages, &self.languages),
            ("--sab", &filters.vocabularies, &self.vocabularies),
            ("--without-sab", &filters.without, &self.vocabularies),
            ("--semantic-type", &filters.semantic_types, &self.types),
            ("--without-tty", &filters.without_term_types, &self.term_types),
        ] {
            let missing: Vec<&str> = wanted
                .iter()
                .filter(|name| !seen.contains(*name))
                .map(String::as_str)
                .collect();
            if !missing.is_empty() {
                return Err(Error::Input {
                    path: path.to_owned(),
                    problem: format!(
                        "no row is of {}, which {option} names; there is {}",
                        missing.join(", "),
                        listed(seen)
                    ),
                });
            }
        }
        Ok(())
    }
}

/// The first names of a set, for a message.
fn listed(names: &HashSet<String>) -> String {
    const FIRST: usize = 40;
    let mut names: Vec<&str> = names
        .iter()
        .map(String::as_str)
        .filter(|name| !name.is_empty())
        .collect();
    names.sort_unstable();
    match names.is_empty() {
        true => "nothing of the kind".to_owned(),
        false => first_of(&names, FIRST),
    }
}

/// What a name is a name of.
#[derive(Clone, Copy)]
struct Naming {
    concept: u32,
    vocabulary: u16,
    /// One, or none that is known.
    language: Languages,
    /// Its standing; more is better.
    quality: u16,
}

/// Collects what the readers find and writes it.
struct Builder {
    seen: Seen,
    record: Record,
    concepts: Concepts,
    vocabularies: HashMap<String, u16>,
    names: Spellings,
    /// The concepts of a dictionary that have a name, in each language.
    called: HashSet<(u32, Languages)>,
    codes: Codes,
}

impl Builder {
    fn new(folder: &Path, memory: usize) -> Self {
        Self {
            seen: Seen::default(),
            record: Record {
                builder: env!("CARGO_PKG_VERSION").to_owned(),
                ..Record::default()
            },
            concepts: Concepts::default(),
            vocabularies: HashMap::new(),
            names: Spellings::new(folder, memory),
            called: HashSet::new(),
            codes: Codes::new(folder, memory / 4),
        }
    }

    fn vocabulary(&mut self, name: &str) -> Result<u16, Error> {
        if let Some(&vocabulary) = self.vocabularies.get(name) {
            return Ok(vocabulary);
        }
        let vocabulary =
            u16::try_from(self.vocabularies.len()).map_err(|_| Error::TooMuch("vocabularies"))?;
        self.vocabularies.insert(name.to_owned(), vocabulary);
        self.record.vocabularies.push(Source {
            name: name.to_owned(),
            ..Source::default()
        });
        Ok(vocabulary)
    }

    /// Adds a name of a concept, also as it is written where there are no umlauts. One without a letter or digit is left out; control
    /// characters and line ends become spaces.
    fn name(&mut self, name: &str, of: Naming) -> Result<(), Error> {
        let name = &printable(name);
        let name = without_tag(name);
        self.spelling(name, of)?;
        let Some(spelt) = text::without_umlauts(name) else {
            return Ok(());
        };
        // Of less standing: the concept is called by the other.
        let quality = of.quality.saturating_sub(1);
        self.spelling(&spelt, Naming { quality, ..of })
    }

    fn spelling(&mut self, name: &str, of: Naming) -> Result<(), Error> {
        let exact = text::exact_form(name);
        if exact.is_empty() || exact.len() > MAX_NAME {
            return Ok(());
        }
        if let Some(source) = self.record.vocabularies.get_mut(usize::from(of.vocabulary)) {
            source.rows += 1;
        }
        self.concepts.add_source(of.concept, of.vocabulary);
        self.record.links += 1;
        self.names.add(&exact, name, of)
    }

    /// Adds a code of a concept; `name` is what its vocabulary calls it.
    fn code(
        &mut self,
        concept: u32,
        vocabulary: &str,
        code: &str,
        name: &str,
        quality: u16,
    ) -> Result<(), Error> {
        if code.is_empty() || code.contains(char::is_control) {
            return Ok(());
        }
        let vocabulary = self.vocabulary(vocabulary)?;
        let name = &printable(name);
        // The name is in the index anyway: its hash finds it there.
        let name = text::hash(&text::exact_form(without_tag(name)));
        self.codes.add(concept, vocabulary, code, quality, name)
    }

    /// Writes the index and puts it into its place.
    fn finish(self, out: &Output, watch: &mut dyn Watch) -> Result<Record, Error> {
        let Self {
            seen: _,
            mut record,
            mut concepts,
            vocabularies: _,
            names,
            called: _,
            codes,
        } = self;
        concepts.close();
        record.concepts = concepts.len() as u64;
        let mut file = Writer::create(out)?;

        watch.begin("Indexing names", record.links);
        let mut names = names.index(concepts.len(), &mut file, watch)?;
        record.names = names.len();
        record.links = names.links();

        watch.begin("Writing the index", 10);
        names.write_links(&mut file)?;
        record.languages = names.write_languages(&mut file)?;
        let by_form = names.write_tables(&mut file)?;
        watch.at(3);
        let words = names.write_words(&mut file)?;
        watch.at(5);
        names.write_postings(&mut file)?;
        watch.at(7);
        names::write_grams(&words, &mut file)?;
        record.words = words.len() as u64;
        drop(words);
        watch.at(8);
        let codings = codes.write(&by_form, concepts.len(), &mut file)?;
        drop(by_form);
        record.codings = codings.last().copied().unwrap_or_default().into();
        record.retired = concepts.write(&codings, &names, &mut file)?;
        names.write_own(&mut file)?;
        let json = serde_json::to_vec_pretty(&record).map_err(|source| out.failed(source.into()))?;
        file.section(Section::Record, &json)?;
        watch.at(9);
        file.persist()?;
        watch.at(10);
        Ok(record)
    }
}

/// The languages that are known, as LAT has them, in the order of [`CODES`].
const LATS: [&str; CODES.len()] = ["ENG", "GER", "FRE", "SPA", "ITA", "DUT", "POR"];

/// The language of a code of LAT or ISO 639-1, or none of those that are known.
fn language_of(code: &str) -> Languages {
    let is = |known: &str| known.eq_ignore_ascii_case(code);
    let at = LATS
        .iter()
        .position(|lat| is(lat))
        .or_else(|| CODES.iter().position(|own| is(own)));
    at.map_or(0, |at| 1 << at)
}

/// Longer names are sentences; nobody writes them into a note.
const MAX_NAME: usize = 400;

/// A name without the tags that vocabularies add to it: "(disorder)", ", NOS".
fn without_tag(name: &str) -> &str {
    const TAGS: &[&str] = &[
        "(disorder)",
        "(finding)",
        "(procedure)",
        "(morphologic abnormality)",
        "(body structure)",
        "(substance)",
        "(organism)",
        "(situation)",
        "(event)",
        "(observable entity)",
        "(qualifier value)",
        "(product)",
        "(disease)",
        "(regime/therapy)",
        "(physical object)",
        "(medicinal product)",
        ", NOS",
        " NOS",
        "[Disease/Finding]",
    ];
    let trimmed = name.trim();
    let short = TAGS
        .iter()
        .find_map(|tag| trimmed.strip_suffix(tag))
        .map_or(trimmed, str::trim_end);
    if short.is_empty() { trimmed } else { short }
}

/// `name` without control characters, which no answer may have: each run of them, with the white space around, is a space.
fn printable(name: &str) -> Cow<'_, str> {
    if !name.contains(char::is_control) {
        return Cow::Borrowed(name);
    }
    let words = name.split(|c: char| c.is_control() || c.is_whitespace());
    let words: Vec<&str> = words.filter(|word| !word.is_empty()).collect();
    Cow::Owned(words.join(" "))
}

fn offset(length: usize, what: &'static str) -> Result<u32, Error> {
    u32::try_from(length).map_err(|_| Error::TooMuch(what))
}
