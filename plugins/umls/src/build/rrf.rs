//! Reads the rich release format: a UMLS release, whose columns MRFILES.RRF tells, or RxNorm's own files.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

use super::{Builder, Filters, Naming, Seen, Watch, language_of};
use crate::codings;
use crate::error::Error;

/// What editors of other systems put before a text in UTF-8.
const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

/// A table of a release, with the columns that were asked for.
struct Table {
    path: PathBuf,
    reader: BufReader<File>,
    columns: usize,
    length: u64,
    read: u64,
    line: u64,
    bytes: Vec<u8>,
}

impl Table {
    fn open(path: PathBuf, columns: usize) -> Result<Self, Error> {
        let read = |path: &Path| {
            let file = File::open(path)?;
            let length = file.metadata()?.len();
            std::io::Result::Ok((file, length))
        };
        let (file, length) = read(&path).map_err(|source| match packed(&path) {
            Some((path, problem)) => Error::Input { path, problem },
            None => Error::Read {
                path: path.clone(),
                source,
            },
        })?;
        Ok(Self {
            path,
            reader: BufReader::with_capacity(1 << 20, file),
            columns,
            length,
            read: 0,
            line: 0,
            bytes: Vec::new(),
        })
    }

    fn wrong(&self, problem: impl Into<String>) -> Error {
        Error::Line {
            path: self.path.clone(),
            line: self.line,
            problem: problem.into(),
        }
    }

    /// Calls `each` with the cells of every row.
    fn rows(
        mut self,
        watch: &mut dyn Watch,
        mut each: impl FnMut(&[&str], &dyn Fn(&str) -> Error) -> Result<(), Error>,
    ) -> Result<u64, Error> {
        if self.length == 0 {
            return Err(Error::Input {
                path: self.path.clone(),
                problem: "the file is empty, as MetamorphoSys leaves it when a subset is broken off; make the subset \
                          again"
                    .to_owned(),
            });
        }
        let name = self
            .path
            .file_name()
            .map(|name| name.to_string_lossy().into_owned());
        watch.begin(&format!("Reading {}", name.unwrap_or_default()), self.length);
        loop {
            self.bytes.clear();
            self.line += 1;
            let bytes = self
                .reader
                .read_until(b'\n', &mut self.bytes)
                .map_err(|source| Error::Read {
                    path: self.path.clone(),
                    source,
                })?;
            if bytes == 0 {
                return Ok(self.line - 1);
            }
            self.read += bytes as u64;
            if self.line.is_multiple_of(8192) {
                watch.at(self.read);
            }
            let Some(row) = self.bytes.strip_suffix(b"\n") else {
                return Err(self.wrong("the file ends within this line: it is cut short; copy it again"));
            };
            let row = row.strip_suffix(b"\r").unwrap_or(row);
            let row = match self.line {
                1 => row.strip_prefix(BYTE_ORDER_MARK).unwrap_or(row),
                _ => row,
            };
            let row = std::str::from_utf8(row).map_err(|error| {
                self.wrong(format!(
                    "byte {} is not UTF-8; unpack the release again",
                    error.valid_up_to() + 1
                ))
            })?;
            // Every cell, the last one too, ends with a bar.
            let cells: Vec<&str> = row.strip_suffix('|').unwrap_or(row).split('|').collect();
            if cells.len() != self.columns || !row.ends_with('|') {
                return Err(self.wrong(format!(
                    "{} columns where {} are announced: the file is damaged or from another release",
                    cells.len(),
                    self.columns
                )));
            }
            each(&cells, &|problem| self.wrong(problem))?;
        }
    }
}

/// What there is instead of a file of a release, and what to do with it: the file packed, or its parts.
fn packed(path: &Path) -> Option<(PathBuf, String)> {
    let name = path.file_name()?.to_str()?;
    let is_part = |other: &PathBuf| {
        let other = other.file_name().and_then(|other| other.to_str());
        let ending = other.and_then(|other| other.strip_prefix(name)?.strip_prefix('.'));
        ending.is_some_and(|ending| !ending.is_empty())
    };
    let mut parts: Vec<PathBuf> = path
        .parent()?
        .read_dir()
        .ok()?
        .filter_map(Result::ok)
        .map(|entry| entry.path())
        .filter(is_part)
        .collect();
    parts.sort();
    let first = parts.into_iter().next()?;
    let problem = match first.to_str() == Some(&format!("{}.gz", path.display())) {
        true => "is packed; unpack it first: gunzip -k".to_owned(),
        false => format!(
            "is a part of {name}, which comes in parts; join them first: cat {name}.* > {name}, or zcat where they are \
             packed"
        ),
    };
    Some((first, problem))
}

/// The files of a release and their columns.
struct Layout {
    folder: PathBuf,
    rxnorm: bool,
    /// What the column of concept ids is called.
    id: &'static str,
    columns: HashMap<String, Vec<String>>,
    /// Rows that the release says each file has.
    rows: HashMap<String, u64>,
}

impl Layout {
    /// Reads MRFILES.RRF. Its own first columns (FIL, DES, FMT, CLS, RWS) are where every release has them: nothing
    /// else tells them.
    fn umls(folder: &Path) -> Result<Self, Error> {
        let listing = folder.join("MRFILES.RRF");
        if !listing.is_file() && packed(&listing).is_none() {
            return Err(Error::Input {
                path: folder.to_owned(),
                problem: "holds no MRFILES.RRF and no RXNCONSO.RRF; --rrf takes the META folder of a UMLS release, with \
                          the files as they came, or the rrf folder of an RxNorm release"
                    .to_owned(),
            });
        }
        let table = Table::open(listing, 6)?;
        let (mut columns, mut rows) = (HashMap::new(), HashMap::new());
        table.rows(&mut (), |cells, wrong| {
            let names = cells[2].split(',').map(|name| name.trim().to_owned()).collect();
            let count = cells[4]
                .parse::<u64>()
                .map_err(|_| wrong("the number of rows is not a number"))?;
            columns.insert(cells[0].to_owned(), names);
            rows.insert(cells[0].to_owned(), count);
            Ok(())
        })?;
        Ok(Self {
            folder: folder.to_owned(),
            rxnorm: false,
            id: "CUI",
            columns,
            rows,
        })
    }

    /// RxNorm's files, which come without MRFILES.RRF: the columns of its technical documentation. All must be there: without types
    /// labels tell nothing apart, and without sources no release is named.
    fn rxnorm(folder: &Path) -> Result<Self, Error> {
        const FILES: &[(&str, &str)] = &[
            (
                "RXNCONSO.RRF",
                "RXCUI,LAT,TS,LUI,STT,SUI,ISPREF,RXAUI,SAUI,SCUI,SDUI,SAB,TTY,CODE,STR,SRL,SUPPRESS,CVF",
            ),
            ("RXNSTY.RRF", "RXCUI,TUI,STN,STY,ATUI,CVF"),
            (
                "RXNSAB.RRF",
                "VCUI,RCUI,VSAB,RSAB,SON,SF,SVER,VSTART,VEND,IMETA,RMETA,SLC,SCC,SRL,TFR,CFR,CXTY,TTYL,ATNL,LAT,\
                 CENC,CURVER,SABIN,SSN,SCIT",
            ),
        ];
        if let Some((missing, _)) = FILES.iter().find(|(file, _)| !folder.join(file).is_file()) {
            return Err(Error::Input {
                path: folder.to_owned(),
                problem: format!("holds no {missing}; copy the release's rrf folder as a whole"),
            });
        }
        let columns = FILES.iter().map(|(file, columns)| {
            (
                (*file).to_owned(),
                columns.split(',').map(str::to_owned).collect::<Vec<String>>(),
            )
        });
        Ok(Self {
            folder: folder.to_owned(),
            rxnorm: true,
            id: "RXCUI",
            columns: columns.collect(),
            rows: HashMap::new(),
        })
    }

    /// The file of this name, of which releases of the UMLS and of RxNorm each have their own.
    fn file(&self, name: &str) -> String {
        let prefix = if self.rxnorm { "RXN" } else { "MR" };
        format!("{prefix}{name}.RRF")
    }

    /// The number of a concept id: of a CUI ("C0011849") or of a house's own concept ("L" and digits, which no release has), in RxNorm's
    /// files of an RXCUI ("161").
    fn number(&self, id: &str, wrong: &dyn Fn(&str) -> Error) -> Result<u32, Error> {
        let (number, problem) = if self.rxnorm {
            (
                digits(id),
                "the concept id is not an RXCUI such as 161; copy the file again",
            )
        } else {
            let own = || Some(OWN + digits(id.strip_prefix('L')?)?);
            (
                codings::cui(id).or_else(own),
                "the concept id is not a CUI, C and seven digits, such as C0011849; copy the file again",
            )
        };
        number.ok_or_else(|| wrong(problem))
    }

    /// Whether there is such a file. One without which links would silently be worse must be there where MRFILES.RRF
    /// lists it; a subset without any definition, say, has an empty one and announces no row.
    fn has(&self, file: &str) -> bool {
        let length = || self.folder.join(file).metadata().map_or(0, |file| file.len());
        if self.rows.get(file) == Some(&0) && length() == 0 {
            return false;
        }
        let needed = !matches!(file, "MRDEF.RRF" | "MRCUI.RRF") && self.rows.contains_key(file);
        needed || (self.columns.contains_key(file) && self.folder.join(file).is_file())
    }

    /// As [`read`](Self::read), of a file that there may be.
    fn read_any(
        &self,
        file: &str,
        wanted: &[&str],
        watch: &mut dyn Watch,
        each: impl FnMut(&[&str], &dyn Fn(&str) -> Error) -> Result<(), Error>,
    ) -> Result<(), Error> {
        match self.has(file) {
            true => self.read(file, wanted, watch, each),
            false => Ok(()),
        }
    }

    /// Reads a file; `each` gets the wanted columns in the wanted order.
    fn read(
        &self,
        file: &str,
        wanted: &[&str],
        watch: &mut dyn Watch,
        mut each: impl FnMut(&[&str], &dyn Fn(&str) -> Error) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let missing = |problem: String| Error::Input {
            path: self.folder.join("MRFILES.RRF"),
            problem,
        };
        let names = self
            .columns
            .get(file)
            .ok_or_else(|| missing(format!("{file} is not listed")))?;
        let find = |column: &&str| {
            let at = names.iter().position(|name| name == column);
            at.ok_or_else(|| missing(format!("{file} has no column {column}")))
        };
        let wanted: Vec<usize> = wanted.iter().map(find).collect::<Result<_, _>>()?;
        let table = Table::open(self.folder.join(file), names.len())?;
        let path = table.path.clone();
        let rows = table.rows(watch, |cells, wrong| {
            let picked: Vec<&str> = wanted.iter().map(|&at| cells[at]).collect();
            each(&picked, wrong)
        })?;
        match self.rows.get(file) {
            Some(&announced) if announced != rows => Err(Error::Input {
                path,
                problem: format!(
                    "{rows} rows where MRFILES.RRF announces {announced}: the files are of different releases or \
                     subsets, or one is cut short"
                ),
            }),
            _ => Ok(()),
        }
    }
}

pub(super) fn read(
    folder: &Path,
    filters: &Filters,
    builder: &mut Builder,
    watch: &mut dyn Watch,
) -> Result<(), Error> {
    let rxnorm = folder.join("RXNCONSO.RRF").is_file();
    let layout = if rxnorm {
        Layout::rxnorm(folder)?
    } else {
        Layout::umls(folder)?
    };
    builder.record.kind = if rxnorm { "rxnorm" } else { "umls" }.to_owned();

    let mut rows = Rows {
        filters,
        versions: versions(&layout, builder, watch)?,
        ranks: ranks(&layout, watch)?,
        types: types(&layout, filters, builder, watch)?,
        defined: defined(&layout, watch)?,
        unnamed: Unnamed::default(),
        layout: &layout,
    };
    layout.read(&layout.file("CONSO"), &rows.columns(), watch, |cells, wrong| {
        rows.take(cells, builder, wrong)
    })?;
    for source in &mut builder.record.vocabularies {
        if let Some(version) = rows.versions.get(&source.name) {
            source.version.clone_from(version);
        }
    }
    retired(&layout, builder, watch)
}

/// What becomes of the rows that have the names and codes.
struct Rows<'a> {
    layout: &'a Layout,
    filters: &'a Filters,
    versions: HashMap<String, String>,
    ranks: HashMap<String, HashMap<String, u16>>,
    types: Vec<(u32, Box<str>)>,
    defined: Vec<u32>,
    unnamed: Unnamed,
}

impl Rows<'_> {
    /// The columns that [`take`](Self::take) gets.
    fn columns(&self) -> [&'static str; 10] {
        let id = self.layout.id;
        [
            id, "LAT", "TS", "STT", "ISPREF", "SAB", "TTY", "CODE", "STR", "SUPPRESS",
        ]
    }

    fn take(
        &mut self,
        cells: &[&str],
        builder: &mut Builder,
        wrong: &dyn Fn(&str) -> Error,
    ) -> Result<(), Error> {
        let &[
            cui,
            language,
            status,
            string_type,
            preferred,
            vocabulary,
            term_type,
            code,
            name,
            suppress,
        ] = cells
        else {
            return Ok(());
        };
        builder.record.rows += 1;
        let number = self.layout.number(cui, wrong)?;
        for (set, name) in [
            (&mut builder.seen.languages, language),
            (&mut builder.seen.vocabularies, vocabulary),
            (&mut builder.seen.term_types, term_type),
        ] {
            Seen::note(set, name);
        }
        let types = of(&self.types, number);
        let filters = self.filters;
        if !filters.takes_vocabulary(vocabulary)
            || (!filters.suppressed && !matches!(suppress, "N" | ""))
            || (!filters.semantic_types.is_empty() && types.is_empty())
        {
            return Ok(());
        }
        if !self.versions.is_empty() && !self.versions.contains_key(vocabulary) {
            return Err(wrong(&format!(
                "vocabulary {vocabulary} is not listed in {}: the files are of different releases",
                self.layout.file("SAB")
            )));
        }
        // RxNorm's own code is the concept's id, which the linker gives by itself.
        let own = self.layout.rxnorm && vocabulary == "RXNORM";
        let coded = codings::coded(vocabulary).filter(|coded| !own && is_code(coded, code));
        self.unnamed.of(number);
        if !filters.takes_name(language, term_type) {
            match (coded, builder.concepts.known(cui)) {
                (None, _) => {}
                // Of no standing: its name is not in the index.
                (Some(coded), Some(concept)) => builder.code(concept, coded, code, name, 0)?,
                (Some(coded), None) => self.unnamed.keep(coded, code, name),
            }
            return Ok(());
        }
        let new = builder.concepts.known(cui).is_none();
        let concept = builder.concepts.number(cui)?;
        for (coded, code, name) in self.unnamed.codes.drain(..) {
            builder.code(concept, coded, &code, &name, 0)?;
        }
        if new {
            for (_, kind) in types {
                builder.concepts.add_type(concept, kind)?;
            }
            if self.defined.binary_search(&number).is_ok() {
                builder.concepts.define(concept);
            }
        }
        let source = builder.vocabulary(vocabulary)?;
        let quality = self.rank(vocabulary, term_type).min(4094) * 16
            + u16::from(status == "P") * 8
            + u16::from(string_type == "PF") * 4
            + u16::from(preferred == "Y") * 2
            + 1;
        if let Some(coded) = coded {
            builder.code(concept, coded, code, name, quality)?;
        }
        let of = Naming {
            concept,
            vocabulary: source,
            language: language_of(language),
            quality,
        };
        builder.name(name, of)
    }

    /// How good names of a term type of a vocabulary are; higher is better.
    fn rank(&self, vocabulary: &str, term_type: &str) -> u16 {
        if self.layout.rxnorm {
            return rank_of_rxnorm(vocabulary, term_type);
        }
        let terms = self.ranks.get(vocabulary);
        terms.and_then(|terms| terms.get(term_type)).copied().unwrap_or(0)
    }
}

/// The codes of a concept of which no name was taken so far: a release lists a concept's rows together.
#[derive(Default)]
struct Unnamed {
    cui: u32,
    /// Of each its vocabulary, itself, and its name there.
    codes: Vec<(&'static str, String, String)>,
}

impl Unnamed {
    /// Forgets the codes of any other concept.
    fn of(&mut self, cui: u32) {
        if self.cui != cui {
            self.codes.clear();
            self.cui = cui;
        }
    }

    fn keep(&mut self, vocabulary: &'static str, code: &str, name: &str) {
        const MOST: usize = 4096;
        if self.codes.len() < MOST {
            self.codes.push((vocabulary, code.to_owned(), name.to_owned()));
        }
    }
}

/// How good a name of RxNorm is, which has no MRRANK: its own go before those of its sources, and among them what names a thing
/// before what only says it otherwise. The term types are in the order of its technical documentation's name construction.
fn rank_of_rxnorm(vocabulary: &str, term_type: &str) -> u16 {
    const BEST_FIRST: &[&str] = &[
        "IN", "PIN", "MIN", "BN", "SCD", "SBD", "GPCK", "BPCK", "SCDC", "SBDC", "SCDF", "SBDF", "SCDG",
        "SBDG", "DF", "DFG", "PSN", "TMSY", "SY",
    ];
    let place = BEST_FIRST.iter().position(|known| *known == term_type);
    let below = place.map_or(0, |place| BEST_FIRST.len() - place) as u16;
    below + if vocabulary == "RXNORM" { 100 } else { 0 }
}

/// Whether a code is one of its vocabulary's. "MTHU" numbers are the Metathesaurus' own, NOCODE is none, and what classifications
/// write with a hyphen is a chapter or block of codes.
fn is_code(vocabulary: &str, code: &str) -> bool {
    let range = vocabulary.starts_with("ICD") && code.contains('-');
    !(range || code == "NOCODE" || code.starts_with("MTHU"))
}

/// The numbers of a house's own concepts begin here, above those of all CUIs.
const OWN: u32 = 1 << 31;

/// What digits alone say, below [`OWN`].
fn digits(text: &str) -> Option<u32> {
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|number| is_number && *number < OWN)
}

/// The versions of the vocabularies; the release is the version of the Metathesaurus' own.
fn versions(
    layout: &Layout,
    builder: &mut Builder,
    watch: &mut dyn Watch,
) -> Result<HashMap<String, String>, Error> {
    let mut versions = HashMap::new();
    let own = if layout.rxnorm { "RXNORM" } else { "MTH" };
    let columns = ["VSAB", "RSAB", "SVER", "CURVER"];
    layout.read_any(&layout.file("SAB"), &columns, watch, |cells, _| {
        let &[full, root, version, current] = cells else {
            return Ok(());
        };
        if root == own && current != "N" {
            let release = if version.is_empty() { full } else { version };
            builder.record.release = release
                .trim_start_matches(root)
                .trim_start_matches('_')
                .to_owned();
        }
        // A release may list older versions beside the one that it has.
        if current != "N" || !versions.contains_key(root) {
            versions.insert(root.to_owned(), version.to_owned());
        }
        Ok(())
    })?;
    Ok(versions)
}

/// The rank of each term type of each vocabulary; higher is better.
fn ranks(layout: &Layout, watch: &mut dyn Watch) -> Result<HashMap<String, HashMap<String, u16>>, Error> {
    let mut ranks: HashMap<String, HashMap<String, u16>> = HashMap::new();
    layout.read_any("MRRANK.RRF", &["RANK", "SAB", "TTY"], watch, |cells, wrong| {
        let rank = cells[0]
            .parse()
            .map_err(|_| wrong("the rank is not a number up to 65535"))?;
        ranks
            .entry(cells[1].to_owned())
            .or_default()
            .insert(cells[2].to_owned(), rank);
        Ok(())
    })?;
    Ok(ranks)
}

/// The semantic types of each concept, sorted by its number; the wanted ones alone.
fn types(
    layout: &Layout,
    filters: &Filters,
    builder: &mut Builder,
    watch: &mut dyn Watch,
) -> Result<Vec<(u32, Box<str>)>, Error> {
    let mut types = Vec::new();
    layout.read_any(&layout.file("STY"), &[layout.id, "TUI"], watch, |cells, wrong| {
        Seen::note(&mut builder.seen.types, cells[1]);
        if filters.takes_type(cells[1]) {
            types.push((layout.number(cells[0], wrong)?, Box::from(cells[1])));
        }
        Ok(())
    })?;
    types.sort_unstable();
    types.dedup();
    Ok(types)
}

fn of(types: &[(u32, Box<str>)], cui: u32) -> &[(u32, Box<str>)] {
    let start = types.partition_point(|(at, _)| *at < cui);
    let count = types[start..].partition_point(|(at, _)| *at == cui);
    &types[start..start + count]
}

/// The numbers of the concepts that have a definition, sorted.
fn defined(layout: &Layout, watch: &mut dyn Watch) -> Result<Vec<u32>, Error> {
    let mut defined = Vec::new();
    layout.read_any("MRDEF.RRF", &["CUI", "SUPPRESS"], watch, |cells, wrong| {
        if cells[1] == "N" {
            defined.push(layout.number(cells[0], wrong)?);
        }
        Ok(())
    })?;
    defined.sort_unstable();
    defined.dedup();
    Ok(defined)
}

/// Notes which concepts took the place of retired ones.
fn retired(layout: &Layout, builder: &mut Builder, watch: &mut dyn Watch) -> Result<(), Error> {
    let columns = ["CUI1", "REL", "CUI2"];
    layout.read_any("MRCUI.RRF", &columns, watch, |cells, wrong| {
        // SY: the same meaning under a new CUI. The others are broader, narrower or gone for good.
        if cells[1] == "SY"
            && let Some(concept) = builder.concepts.known(cells[2])
            && builder.concepts.known(cells[0]).is_none()
        {
            builder.concepts.retire(layout.number(cells[0], wrong)?, concept);
        }
        Ok(())
    })
}
