//! Builds an index from a stream of names in bounded memory.
//!
//! Names are sorted outside memory by their exact form, so equal names of several sources become one, and the file
//! depends only on the input. It is written beside its destination and renamed at the end: a build that is broken
//! off leaves an older index as it was, and the next one into the same folder removes what it left.

mod dictionary;
mod rrf;
mod sort;

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::io::{BufWriter, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use tempfile::NamedTempFile;

use crate::error::Error;
use crate::index::format::{self, Extent, Section};
use crate::index::inverted::Postings;
use crate::index::{Record, Source, weight};
use crate::output::{Output, remove_leftovers};
use crate::text::{self, Forms};
use sort::Sorter;

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
        let language = self.languages.is_empty() || self.languages.iter().any(|at| at == language);
        language && !self.without_term_types.iter().any(|at| at == term_type)
    }

    fn takes_vocabulary(&self, name: &str) -> bool {
        let listed = |list: &[String]| list.iter().any(|at| at == name);
        (self.vocabularies.is_empty() || listed(&self.vocabularies)) && !listed(&self.without)
    }
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
    let more = names.len().saturating_sub(FIRST);
    names.truncate(FIRST);
    match (names.is_empty(), more) {
        (true, _) => "nothing of the kind".to_owned(),
        (false, 0) => names.join(", "),
        (false, more) => format!("{} and {more} more", names.join(", ")),
    }
}

/// Collects what the readers find and writes it.
struct Builder {
    seen: Seen,
    record: Record,
    ids: HashMap<Box<str>, u32>,
    id_offsets: Vec<u32>,
    id_text: Vec<u8>,
    last: Option<(String, u32)>,
    vocabularies: HashMap<String, u16>,
    types: HashMap<String, u16>,
    type_names: Vec<String>,
    /// Concept and type.
    typed: Vec<(u32, u16)>,
    /// Concept and vocabulary.
    sources: Vec<(u32, u16)>,
    defined: Vec<u32>,
    retired: Vec<(u32, u32)>,
    names: Sorter,
    codes: Sorter,
}

impl Builder {
    fn new(folder: &Path, memory: usize) -> Self {
        Self {
            seen: Seen::default(),
            record: Record {
                builder: env!("CARGO_PKG_VERSION").to_owned(),
                ..Record::default()
            },
            ids: HashMap::new(),
            id_offsets: vec![0],
            id_text: Vec::new(),
            last: None,
            vocabularies: HashMap::new(),
            types: HashMap::new(),
            type_names: Vec::new(),
            typed: Vec::new(),
            sources: Vec::new(),
            defined: Vec::new(),
            retired: Vec::new(),
            names: Sorter::new(folder, memory),
            codes: Sorter::new(folder, memory / 4),
        }
    }

    /// The number of the concept with this id; a new one where there is none.
    fn concept(&mut self, id: &str) -> Result<u32, Error> {
        if let Some((last, concept)) = &self.last
            && last == id
        {
            return Ok(*concept);
        }
        let concept = match self.ids.get(id) {
            Some(&concept) => concept,
            None => {
                let concept = u32::try_from(self.ids.len()).map_err(|_| Error::TooMuch("concepts"))?;
                self.ids.insert(id.into(), concept);
                self.id_text.extend(id.as_bytes());
                self.id_offsets.push(offset(self.id_text.len(), "concepts")?);
                concept
            }
        };
        self.last = Some((id.to_owned(), concept));
        Ok(concept)
    }

    fn known(&self, id: &str) -> Option<u32> {
        self.ids.get(id).copied()
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

    fn semantic_type(&mut self, concept: u32, name: &str) -> Result<(), Error> {
        let kind = match self.types.get(name) {
            Some(&kind) => kind,
            None => {
                let kind =
                    u16::try_from(self.type_names.len()).map_err(|_| Error::TooMuch("semantic types"))?;
                self.types.insert(name.to_owned(), kind);
                self.type_names.push(name.to_owned());
                kind
            }
        };
        self.typed.push((concept, kind));
        Ok(())
    }

    /// Adds a name of a concept, also as it is written where there are no umlauts. One without a letter or digit is left out; control
    /// characters and line ends become spaces.
    fn name(&mut self, concept: u32, vocabulary: u16, name: &str, quality: u16) -> Result<(), Error> {
        let name = &printable(name);
        let name = without_tag(name);
        self.spelling(concept, vocabulary, name, quality)?;
        match text::without_umlauts(name) {
            // Of less standing: the concept is called by the other.
            Some(spelt) => self.spelling(concept, vocabulary, &spelt, quality.saturating_sub(1)),
            None => Ok(()),
        }
    }

    fn spelling(&mut self, concept: u32, vocabulary: u16, name: &str, quality: u16) -> Result<(), Error> {
        let exact = text::exact_form(name);
        if exact.is_empty() || exact.len() > MAX_NAME {
            return Ok(());
        }
        if let Some(source) = self.record.vocabularies.get_mut(usize::from(vocabulary)) {
            source.rows += 1;
        }
        // A release lists a concept's rows together, and those of a vocabulary mostly too.
        if self.sources.last() != Some(&(concept, vocabulary)) {
            self.sources.push((concept, vocabulary));
        }
        self.record.links += 1;
        // Ordered by form, then concept, then the better standing first.
        self.names.push(&[
            exact.as_bytes(),
            &[0],
            &concept.to_be_bytes(),
            &(!quality).to_be_bytes(),
            &[u8::from(text::is_acronym(name))],
            name.as_bytes(),
        ])
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
        self.codes.push(&[
            &concept.to_be_bytes(),
            &vocabulary.to_be_bytes(),
            code.as_bytes(),
            &[0],
            &(!quality).to_be_bytes(),
            &name.to_be_bytes(),
        ])
    }

    fn finish(self, out: &Output, watch: &mut dyn Watch) -> Result<Record, Error> {
        let Self {
            seen: _,
            mut record,
            ids,
            id_offsets,
            id_text,
            last: _,
            vocabularies: _,
            types: _,
            type_names,
            mut typed,
            mut sources,
            mut defined,
            mut retired,
            names,
            codes,
        } = self;
        let concepts = ids.len();
        drop(ids);
        let mut file = Writer::create(out)?;

        watch.begin("Indexing names", record.links);
        let mut index = Names::default();
        index.best.resize(concepts, (0, u32::MAX));
        index.counts.resize(concepts, 0);
        file.begin(Section::Names)?;
        let mut done = 0;
        names.finish(|sorted| {
            done += 1;
            if done % 4096 == 0 {
                watch.at(done);
            }
            index.take(sorted, &mut |bytes| file.write(bytes))
        })?;
        index.close(&mut |bytes| file.write(bytes))?;
        file.end()?;

        watch.begin("Writing the index", 10);
        let names = index.name_offsets.len() as u64;
        file.numbers(
            Section::NameOffsets,
            [0].into_iter().chain(index.name_offsets.drain(..)),
        )?;
        file.numbers(
            Section::LinkOffsets,
            [0].into_iter().chain(index.link_offsets.drain(..)),
        )?;
        file.section(Section::Links, &std::mem::take(&mut index.links))?;
        record.links = index.link_count;
        let mut by_form = index.hashes[0].clone();
        by_form.sort_unstable();
        for (i, section) in [Section::ExactTable, Section::KeyTable, Section::StemTable]
            .into_iter()
            .enumerate()
        {
            file.section(section, &table(std::mem::take(&mut index.hashes[i])))?;
        }
        watch.at(3);
        let words = index.words_in_order();
        file.strings(
            Section::WordOffsets,
            Section::Words,
            words.iter().map(|word| &**word),
        )?;
        let hashes = words
            .iter()
            .enumerate()
            .map(|(i, word)| (text::hash(word), i as u32))
            .collect();
        file.section(Section::WordTable, &table(hashes))?;
        file.numbers(Section::WordCounts, index.postings.counts.iter().copied())?;
        let weights: Vec<u16> = index
            .postings
            .counts
            .iter()
            .zip(&words)
            .map(|(&count, word)| weight(names, count, word))
            .collect();
        let sum = |words: &[u32]| {
            words
                .iter()
                .map(|&word| u32::from(weights[word as usize]))
                .sum::<u32>()
        };
        let name_weights: Vec<u8> = index
            .postings
            .documents()
            .flat_map(|words| u16::try_from(sum(words)).unwrap_or(u16::MAX).to_le_bytes())
            .collect();
        file.section(Section::NameWeights, &name_weights)?;
        drop(name_weights);
        watch.at(5);
        let (offsets, postings) = index.postings.encode();
        file.section(Section::NamePostingOffsets, &offsets)?;
        file.section(Section::NamePostings, &postings)?;
        drop((offsets, postings));
        watch.at(7);

        let (grams, counts, postings) = grams(&words);
        file.numbers(Section::Grams, grams.into_iter())?;
        file.section(Section::WordGrams, &counts)?;
        let (offsets, postings) = postings.encode();
        file.section(Section::GramPostingOffsets, &offsets)?;
        file.section(Section::GramPostings, &postings)?;
        record.words = words.len() as u64;
        drop(words);
        watch.at(8);

        let mut coding_text = Vec::new();
        let mut codings = Vec::new();
        let mut coding_starts = vec![0_u32; concepts + 1];
        let mut before: Vec<u8> = Vec::new();
        codes.finish(|sorted| {
            let Some((key, form)) = split_code(sorted) else {
                return Ok(());
            };
            // The first of a concept's equal codes is the one with the best name.
            if key == before {
                return Ok(());
            }
            before.clear();
            before.extend(key);
            let number = |bytes: &[u8]| bytes.iter().fold(0_u32, |n, b| n << 8 | u32::from(*b));
            let name = by_form.partition_point(|(hash, _)| *hash < form);
            let name = by_form
                .get(name)
                .filter(|(hash, _)| *hash == form)
                .map_or(u32::MAX, |(_, name)| *name);
            coding_starts[number(&key[..4]) as usize + 1] += 1;
            let start = offset(coding_text.len(), "codes")?;
            coding_text.extend(&key[6..]);
            for field in [
                number(&key[4..6]),
                start,
                offset(coding_text.len(), "codes")?,
                name,
            ] {
                codings.extend(field.to_le_bytes());
            }
            Ok(())
        })?;
        drop(by_form);
        for i in 0..concepts {
            coding_starts[i + 1] += coding_starts[i];
        }
        record.codings = (codings.len() / 16) as u64;
        file.section(Section::Codings, &codings)?;
        file.section(Section::CodingText, &coding_text)?;

        typed.sort_unstable();
        typed.dedup();
        defined.sort_unstable();
        defined.dedup();
        sources.sort_unstable();
        sources.dedup();
        let mut sets: HashMap<Vec<u16>, u32> = HashMap::from([(Vec::new(), 0)]);
        let mut set_names = vec![String::new()];
        let mut bytes = Vec::with_capacity(16 * (concepts + 1));
        let (mut typed, mut defined, mut sources) = (&typed[..], &defined[..], &sources[..]);
        for (concept, &codings) in coding_starts.iter().enumerate() {
            let own = typed.partition_point(|(at, _)| *at as usize <= concept);
            let set: Vec<u16> = typed[..own].iter().map(|(_, kind)| *kind).collect();
            typed = &typed[own..];
            let set = *sets.entry(set).or_insert_with_key(|set| {
                let names: Vec<&str> = set
                    .iter()
                    .map(|kind| type_names[usize::from(*kind)].as_str())
                    .collect();
                set_names.push(names.join("|"));
                set_names.len() as u32 - 1
            });
            let has = defined.partition_point(|at| *at as usize <= concept);
            let preferred = index.best.get(concept).map_or(u32::MAX, |(_, name)| *name);
            let count = index
                .counts
                .get(concept)
                .copied()
                .unwrap_or_default()
                .min(0xff_ffff);
            let from = sources
                .iter()
                .take_while(|(at, _)| *at as usize <= concept)
                .count();
            let standing = count << 8 | (from.min(0x7f) as u32) << 1 | u32::from(has > 0);
            for field in [preferred, set, codings, standing] {
                bytes.extend(field.to_le_bytes());
            }
            (defined, sources) = (&defined[has..], &sources[from..]);
        }
        file.section(Section::Concepts, &bytes)?;
        file.strings(
            Section::TypeSetOffsets,
            Section::TypeSets,
            set_names.iter().map(String::as_str),
        )?;
        let ids = id_offsets.windows(2).enumerate().map(|(i, bounds)| {
            let id = &id_text[bounds[0] as usize..bounds[1] as usize];
            (text::hash(std::str::from_utf8(id).unwrap_or_default()), i as u32)
        });
        file.section(Section::ConceptTable, &table(ids.collect()))?;
        file.numbers(Section::ConceptIdOffsets, id_offsets.iter().copied())?;
        file.section(Section::ConceptIds, &id_text)?;
        retired.sort_unstable();
        retired.dedup_by_key(|(cui, _)| *cui);
        record.retired = retired.len() as u64;
        file.numbers(
            Section::Retired,
            retired.iter().flat_map(|(cui, concept)| [*cui, *concept]),
        )?;

        let mut own: Vec<(u32, String)> = index.own.drain().collect();
        own.sort_unstable();
        file.numbers(Section::OwnNameConcepts, own.iter().map(|(concept, _)| *concept))?;
        file.strings(
            Section::OwnNameOffsets,
            Section::OwnNames,
            own.iter().map(|(_, name)| name.as_str()),
        )?;

        record.concepts = concepts as u64;
        record.names = names;
        let json = serde_json::to_vec_pretty(&record).map_err(|source| out.failed(source.into()))?;
        file.section(Section::Record, &json)?;
        watch.at(9);
        file.persist()?;
        watch.at(10);
        Ok(record)
    }
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

/// The key of a code record (concept, vocabulary, code) and the hash of its name's form.
fn split_code(sorted: &[u8]) -> Option<(&[u8], u64)> {
    let (key, rest) = sorted.split_at_checked(sorted.len().checked_sub(11)?)?;
    Some((key, u64::from_be_bytes(*rest.last_chunk()?)))
}

/// Everything that grows with the names while they come in order.
#[derive(Default)]
struct Names {
    /// The form of the name that is open, its text and the standing of that text.
    form: Vec<u8>,
    text: Option<(u16, String)>,
    last_concept: Option<u32>,
    name_offsets: Vec<u32>,
    length: usize,
    link_offsets: Vec<u32>,
    links: Vec<u8>,
    link_count: u64,
    hashes: [Vec<(u64, u32)>; 3],
    words: HashMap<Box<str>, u32>,
    postings: Postings,
    /// Per concept the standing of its best name, and that name.
    best: Vec<(u16, u32)>,
    /// Names per concept.
    counts: Vec<u32>,
    /// The concepts whose best name so far is the open one, and how they write it.
    called: Vec<(u32, String)>,
    /// How concepts write their best name where another concept's spelling stands for the form: "COLD" and "Cold".
    own: HashMap<u32, String>,
}

impl Names {
    fn take(
        &mut self,
        sorted: &[u8],
        write: &mut dyn FnMut(&[u8]) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let Some(end) = sorted.iter().position(|&byte| byte == 0) else {
            return Ok(());
        };
        let (form, rest) = sorted.split_at(end);
        let Some((head, name)) = rest.split_at_checked(8) else {
            return Ok(());
        };
        if self.text.is_some() && form != self.form {
            self.close(write)?;
        }
        let concept = u32::from_be_bytes([head[1], head[2], head[3], head[4]]);
        let quality = !u16::from_be_bytes([head[5], head[6]]);
        let number = self.name_offsets.len() as u32;
        let name = std::str::from_utf8(name).unwrap_or_default();
        if self.text.is_none() {
            self.form = form.to_vec();
        }
        if self.text.as_ref().is_none_or(|(known, _)| quality > *known) {
            self.text = Some((quality, name.to_owned()));
        }
        // The best row of a concept comes first.
        if self.last_concept != Some(concept) {
            self.last_concept = Some(concept);
            self.link_count += 1;
            self.counts[concept as usize] += 1;
            self.links.extend(concept.to_le_bytes());
            self.links.extend(quality.to_le_bytes());
            self.links.extend(u16::from(head[7] == 1).to_le_bytes());
            let best = &mut self.best[concept as usize];
            if best.1 == u32::MAX || quality > best.0 {
                *best = (quality, number);
                self.called.push((concept, name.to_owned()));
            }
        }
        Ok(())
    }

    fn close(&mut self, write: &mut dyn FnMut(&[u8]) -> Result<(), Error>) -> Result<(), Error> {
        let Some((_, name)) = self.text.take() else {
            return Ok(());
        };
        let number = u32::try_from(self.name_offsets.len()).map_err(|_| Error::TooMuch("names"))?;
        for (concept, own) in self.called.drain(..) {
            if own == name {
                self.own.remove(&concept);
            } else {
                self.own.insert(concept, own);
            }
        }
        write(name.as_bytes())?;
        self.length += name.len();
        self.name_offsets.push(offset(self.length, "text")?);
        self.link_offsets.push(offset(self.links.len() / 8, "links")?);
        self.last_concept = None;
        let mut forms = Forms::of(&name);
        for (hashes, form) in self
            .hashes
            .iter_mut()
            .zip([&forms.exact, &forms.key, &forms.stem_key])
        {
            hashes.push((text::hash(form), number));
        }
        forms.stems.sort_unstable();
        forms.stems.dedup();
        let mut words: Vec<u32> = Vec::with_capacity(forms.stems.len());
        for stem in forms.stems {
            let next = self.words.len() as u32;
            words.push(*self.words.entry(stem.into()).or_insert(next));
        }
        self.postings.push(&words);
        Ok(())
    }

    /// The words, by how many trigrams they have; their numbers in the postings follow.
    fn words_in_order(&mut self) -> Vec<Box<str>> {
        let mut grams = Vec::new();
        let mut words: Vec<(usize, Box<str>, u32)> = std::mem::take(&mut self.words)
            .into_iter()
            .map(|(word, number)| {
                text::trigrams(&word, &mut grams);
                (grams.len(), word, number)
            })
            .collect();
        words.sort_unstable();
        let mut numbers = vec![0; words.len()];
        for (new, (.., old)) in words.iter().enumerate() {
            numbers[*old as usize] = new as u32;
        }
        self.postings.renumber(&numbers);
        words.into_iter().map(|(_, word, _)| word).collect()
    }
}

/// The trigrams of all words, how many each word has, and the words of each trigram.
fn grams(words: &[Box<str>]) -> (Vec<u32>, Vec<u8>, Postings) {
    let mut own = Vec::new();
    let mut all = Vec::new();
    for word in words {
        text::trigrams(word, &mut own);
        all.extend(&own);
        if all.len() > 1 << 24 {
            all.sort_unstable();
            all.dedup();
        }
    }
    all.sort_unstable();
    all.dedup();
    let mut counts = Vec::with_capacity(2 * words.len());
    let mut postings = Postings::default();
    let mut features = Vec::new();
    for word in words {
        text::trigrams(word, &mut own);
        counts.extend((own.len() as u16).to_le_bytes());
        features.clear();
        features.extend(
            own.iter()
                .filter_map(|gram| Some(all.binary_search(gram).ok()? as u32)),
        );
        postings.push(&features);
    }
    (all, counts, postings)
}

/// A table from hash to number: buckets by the hash's first bits, in them the last 32 bits and the number.
fn table(mut entries: Vec<(u64, u32)>) -> Vec<u8> {
    entries.sort_unstable();
    let bits = (entries.len() / 4).next_power_of_two().trailing_zeros().min(31);
    let mut bytes = Vec::with_capacity(8 * entries.len() + (4 << bits) + 8);
    bytes.extend(bits.to_le_bytes());
    let mut at = 0_usize;
    for bucket in 0..=1_u64 << bits {
        while entries
            .get(at)
            .is_some_and(|(hash, _)| hash.checked_shr(64 - bits).unwrap_or_default() < bucket)
        {
            at += 1;
        }
        bytes.extend((at as u32).to_le_bytes());
    }
    for (hash, number) in entries {
        bytes.extend((hash as u32).to_le_bytes());
        bytes.extend(number.to_le_bytes());
    }
    bytes
}

/// Writes the sections one after another and the header at last.
struct Writer<'a> {
    out: &'a Output,
    file: BufWriter<NamedTempFile>,
    at: u64,
    extents: Vec<Extent>,
    open: Option<(usize, Sha256)>,
}

impl<'a> Writer<'a> {
    fn create(out: &'a Output) -> Result<Self, Error> {
        let mut writer = Self {
            out,
            file: BufWriter::with_capacity(1 << 20, out.begin()?),
            at: 0,
            extents: vec![Extent::default(); Section::ALL.len()],
            open: None,
        };
        writer.raw(&vec![0; format::HEADER])?;
        Ok(writer)
    }

    fn raw(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let written = self.file.write_all(bytes);
        written.map_err(|source| self.out.failed(source))?;
        self.at += bytes.len() as u64;
        Ok(())
    }

    fn begin(&mut self, section: Section) -> Result<(), Error> {
        let gap = self.at.next_multiple_of(format::ALIGN) - self.at;
        self.raw(&vec![0; gap as usize])?;
        let slot = Section::ALL
            .iter()
            .position(|at| *at == section)
            .unwrap_or_default();
        self.extents[slot].offset = self.at;
        self.open = Some((slot, Sha256::new()));
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), Error> {
        if let Some((_, digest)) = &mut self.open {
            digest.update(bytes);
        }
        self.raw(bytes)
    }

    fn end(&mut self) -> Result<(), Error> {
        if let Some((slot, digest)) = self.open.take() {
            let extent = &mut self.extents[slot];
            extent.length = self.at - extent.offset;
            extent.sha256.copy_from_slice(&digest.finalize());
        }
        Ok(())
    }

    fn section(&mut self, section: Section, bytes: &[u8]) -> Result<(), Error> {
        self.begin(section)?;
        self.write(bytes)?;
        self.end()
    }

    fn numbers(&mut self, section: Section, numbers: impl Iterator<Item = u32>) -> Result<(), Error> {
        self.begin(section)?;
        let mut bytes = Vec::with_capacity(1 << 16);
        for number in numbers {
            bytes.extend(number.to_le_bytes());
            if bytes.len() >= 1 << 16 {
                self.write(&bytes)?;
                bytes.clear();
            }
        }
        self.write(&bytes)?;
        self.end()
    }

    fn strings<'b>(
        &mut self,
        offsets: Section,
        text: Section,
        strings: impl Iterator<Item = &'b str>,
    ) -> Result<(), Error> {
        let mut ends = vec![0];
        let mut length = 0;
        self.begin(text)?;
        for string in strings {
            self.write(string.as_bytes())?;
            length += string.len();
            ends.push(offset(length, "text")?);
        }
        self.end()?;
        self.numbers(offsets, ends.into_iter())
    }

    fn persist(mut self) -> Result<(), Error> {
        let header = format::encode(&self.extents, self.at);
        let failed = |source| self.out.failed(source);
        self.file.seek(SeekFrom::Start(0)).map_err(failed)?;
        self.file.write_all(&header).map_err(failed)?;
        let file = self
            .file
            .into_inner()
            .map_err(|error| failed(error.into_error()))?;
        self.out.place(file, Some(READABLE))
    }
}

/// An index is read by the plugin's own user: readable for all, as a vocabulary's licence is the hospital's matter.
const READABLE: u32 = 0o644;
