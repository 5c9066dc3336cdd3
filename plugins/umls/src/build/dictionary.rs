//! Reads a dictionary: CSV with the header `id,name,semantic_type,source`; the last two columns may be missing. The
//! first row of an id is its preferred name, further ones are synonyms; a column `synonyms` may hold more of them, with
//! bars between. A column `language` (ISO 639-1) has the language of each, English where it has none. Ids are codes of the system that a column `system` names, or of the one that the source is.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use mednerd_languages::{CODES, EN, Languages};

use super::{Builder, Filters, Naming, Seen, Watch, language_of};
use crate::codings;
use crate::error::Error;

/// Bytes of an id, semantic type or source, at most.
const LONGEST: usize = 255;
/// What names without a source are of.
const UNNAMED: &str = "dictionary";

pub(super) fn read(
    path: &Path,
    filters: &Filters,
    builder: &mut Builder,
    watch: &mut dyn Watch,
) -> Result<(), Error> {
    let line = |line: u64, problem: String| Error::Line {
        path: path.to_owned(),
        line,
        problem,
    };
    let at = |position: Option<&csv::Position>| position.map_or(1, |position| line_of(path, position.byte()));
    let cannot = |source| Error::Read {
        path: path.to_owned(),
        source,
    };
    let file = File::open(path).map_err(cannot)?;
    let length = file.metadata().map_err(cannot)?.len();
    if length == 0 {
        return Err(Error::Input {
            path: path.to_owned(),
            problem: "the file is empty; its first line must be id,name,semantic_type,source".to_owned(),
        });
    }
    let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(file);
    let unread = |error: csv::Error| line(at(error.position()), describe(&error));
    let columns = Columns::of(reader.headers().map_err(unread)?).ok_or_else(|| {
        line(
            1,
            "the first line must name the columns, separated by commas: id,name,semantic_type,source (the last two may \
             be missing; a synonym is one more row of its id)"
                .to_owned(),
        )
    })?;
    builder.record.kind = "csv".to_owned();
    watch.begin("Reading the dictionary", length);
    let mut record = csv::StringRecord::new();
    while reader.read_record(&mut record).map_err(unread)? {
        let position = record.position();
        builder.record.rows += 1;
        if builder.record.rows.is_multiple_of(4096) {
            watch.at(position.map_or(0, csv::Position::byte));
        }
        let row = Row::of(&record, &columns);
        let row = row.map_err(|problem| line(at(position), problem))?;
        row.take(filters, builder)?;
    }
    Ok(())
}

/// The number of the line on which a row begins that was read from this byte on: an end of a line and blank lines may come first, which the
/// reader's own count leaves out.
fn line_of(path: &Path, byte: u64) -> u64 {
    let (mut line, mut before) = (1, 0);
    let bytes = File::open(path)
        .map(BufReader::new)
        .into_iter()
        .flat_map(Read::bytes);
    for (at, next) in (0..).zip(bytes.map_while(Result::ok)) {
        let ends = matches!(next, b'\r' | b'\n');
        if at >= byte && !ends {
            break;
        }
        line += u64::from(ends && (before, next) != (b'\r', b'\n'));
        before = next;
    }
    line
}

fn describe(error: &csv::Error) -> String {
    match error.kind() {
        csv::ErrorKind::Utf8 { err, .. } => {
            format!(
                "column {} is not UTF-8; convert the file, with iconv for instance",
                err.field() + 1
            )
        }
        csv::ErrorKind::Io(_) => "cannot be read".to_owned(),
        other => format!("{other:?}"),
    }
}

/// Which column is which, of how many.
struct Columns {
    id: usize,
    name: usize,
    kind: Option<usize>,
    source: Option<usize>,
    synonyms: Option<usize>,
    system: Option<usize>,
    language: Option<usize>,
    count: usize,
}

impl Columns {
    /// As the header tells them, which must have an id and a name.
    fn of(header: &csv::StringRecord) -> Option<Self> {
        // "semantic_type", "Semantic Type" and "semanticType" are one.
        let letters = |name: &str| name.to_lowercase().replace(|c: char| !c.is_alphanumeric(), "");
        let column = |wanted: &str| header.iter().position(|name| letters(name) == wanted);
        Some(Self {
            id: column("id")?,
            name: column("name")?,
            kind: column("semantictype"),
            source: column("source"),
            synonyms: column("synonyms"),
            system: column("system"),
            language: column("language"),
            count: header.len(),
        })
    }
}

/// A row, checked.
struct Row<'a> {
    id: &'a str,
    name: &'a str,
    /// Semantic types, with bars between.
    kinds: &'a str,
    source: &'a str,
    /// With bars between.
    synonyms: &'a str,
    language: Languages,
    /// The vocabulary whose codes ids are that do not tell it by themselves.
    coded: Option<&'a str>,
}

impl<'a> Row<'a> {
    /// What the cells say, or what is wrong with them.
    fn of(cells: &'a csv::StringRecord, columns: &Columns) -> Result<Self, String> {
        // Spreadsheets end rows with empty cells.
        let more = cells
            .iter()
            .skip(columns.count)
            .any(|cell| !cell.trim().is_empty());
        if cells.len() <= columns.id.max(columns.name) || more {
            return Err(format!(
                "{} columns where the header has {}; a cell with a comma in it stands in quotation marks",
                cells.len(),
                columns.count
            ));
        }
        let at = |column: usize| cells.get(column).unwrap_or_default().trim();
        let cell = |column: Option<usize>| column.map(at).unwrap_or_default();
        let (id, name, synonyms) = (at(columns.id), at(columns.name), cell(columns.synonyms));
        if id.is_empty() || id.len() > LONGEST {
            return Err(format!("the id is empty or longer than {LONGEST} bytes"));
        }
        if name.contains('\n') || synonyms.contains('\n') {
            return Err(
                "the name goes on in the next line: a quotation mark is opened and not closed".to_owned(),
            );
        }
        let (kinds, source, system) = (cell(columns.kind), cell(columns.source), cell(columns.system));
        if [id, kinds, source, system]
            .iter()
            .any(|cell| cell.contains(char::is_control))
        {
            return Err(
                "the id, semantic type, source or system has a control character in it; write it without"
                    .to_owned(),
            );
        }
        if source.len() > LONGEST || kinds.split('|').any(|kind| kind.len() > LONGEST) {
            return Err(format!(
                "the source or a semantic type is longer than {LONGEST} bytes; a bar stands between two semantic types"
            ));
        }
        let unknown =
            || format!("\"{system}\" is no code system that is known; write its URI, http://… or urn:…");
        let coded = match system {
            "" => codings::named(source),
            system => Some(codings::named(system).ok_or_else(unknown)?),
        };
        let language = match cell(columns.language) {
            "" => EN,
            code => match language_of(code) {
                0 => {
                    return Err(format!(
                        "\"{code}\" is no language that is known; write one of {}",
                        CODES.join(", ")
                    ));
                }
                language => language,
            },
        };
        Ok(Self {
            id,
            name,
            kinds,
            language,
            source: if source.is_empty() { UNNAMED } else { source },
            synonyms,
            // Other ids tell their system by themselves: "MESH:D003920".
            coded: coded.filter(|_| codings::of_id(id).is_none()),
        })
    }

    fn take(&self, filters: &Filters, builder: &mut Builder) -> Result<(), Error> {
        let kinds = self.kinds.split('|');
        Seen::note(&mut builder.seen.vocabularies, self.source);
        for kind in kinds.clone() {
            Seen::note(&mut builder.seen.types, kind);
        }
        let wanted = kinds.clone().any(|kind| filters.takes_type(kind));
        if !wanted || !filters.takes_vocabulary(self.source) {
            return Ok(());
        }
        // The first name of an id is its preferred one, and its first one in a language what it is called there.
        let new = builder.concepts.known(self.id).is_none();
        let concept = builder.concepts.number(self.id)?;
        let first = builder.called.insert((concept, self.language));
        let quality = match (new, first) {
            (true, _) => 3,
            (false, true) => 2,
            (false, false) => 1,
        };
        let vocabulary = builder.vocabulary(self.source)?;
        for kind in kinds.filter(|kind| !kind.is_empty()) {
            builder.concepts.add_type(concept, kind)?;
        }
        if let Some(coded) = self.coded {
            builder.code(concept, coded, self.id, self.name, quality)?;
        }
        let of = Naming {
            concept,
            vocabulary,
            language: self.language,
            quality,
        };
        builder.name(self.name, of)?;
        for synonym in self.synonyms.split('|') {
            builder.name(synonym, Naming { quality: 1, ..of })?;
        }
        Ok(())
    }
}
