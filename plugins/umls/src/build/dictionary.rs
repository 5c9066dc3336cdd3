//! Reads a dictionary: CSV with the header `id,name,semantic_type,source`; the last two columns may be missing. The
//! first row of an id is its preferred name, further ones are synonyms; a column `synonyms` may hold more of them, with
//! bars between. Ids are codes of the system that a column `system` names, or of the one that the source is.

use std::fs::File;
use std::path::Path;

use super::{Builder, Filters, Seen, Watch};
use crate::codings;
use crate::error::Error;

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
    let describe = |error: &csv::Error| {
        let at = error.position().map_or(1, csv::Position::line);
        let problem = match error.kind() {
            csv::ErrorKind::Utf8 { err, .. } => {
                format!(
                    "column {} is not UTF-8; convert the file, with iconv for instance",
                    err.field() + 1
                )
            }
            csv::ErrorKind::Io(_) => "cannot be read".to_owned(),
            other => format!("{other:?}"),
        };
        line(at, problem)
    };
    let header = reader.headers().map_err(|error| describe(&error))?.clone();
    // "semantic_type", "Semantic Type" and "semanticType" are one.
    let column = |wanted: &str| {
        let letters = |name: &str| name.to_lowercase().replace(|c: char| !c.is_alphanumeric(), "");
        header.iter().position(|name| letters(name) == wanted)
    };
    let (Some(id), Some(name)) = (column("id"), column("name")) else {
        return Err(line(
            1,
            "the first line must name the columns, separated by commas: id,name,semantic_type,source (the last two may \
             be missing; a synonym is one more row of its id)"
                .to_owned(),
        ));
    };
    let (kind, source, synonyms) = (column("semantictype"), column("source"), column("synonyms"));
    let system = column("system");
    builder.record.kind = "csv".to_owned();
    watch.begin("Reading the dictionary", length);
    let mut row = csv::StringRecord::new();
    while reader.read_record(&mut row).map_err(|error| describe(&error))? {
        let position = row.position();
        let at = position.map_or(0, csv::Position::line);
        builder.record.rows += 1;
        if builder.record.rows.is_multiple_of(4096) {
            watch.at(position.map_or(0, csv::Position::byte));
        }
        // Spreadsheets end rows with empty cells.
        let more = row.iter().skip(header.len()).any(|cell| !cell.trim().is_empty());
        if row.len() <= id.max(name) || more {
            return Err(line(
                at,
                format!(
                    "{} columns where the header has {}; a cell with a comma in it stands in quotation marks",
                    row.len(),
                    header.len()
                ),
            ));
        }
        let cell = |column: Option<usize>| {
            column
                .and_then(|column| row.get(column))
                .unwrap_or_default()
                .trim()
        };
        let (id, name) = (cell(Some(id)), cell(Some(name)));
        if id.is_empty() || id.len() > 255 {
            return Err(line(at, "the id is empty or longer than 255 bytes".to_owned()));
        }
        if name.contains('\n') || cell(synonyms).contains('\n') {
            return Err(line(
                at,
                "the name goes on in the next line: a quotation mark is opened and not closed".to_owned(),
            ));
        }
        let (kind, source, system) = (cell(kind), cell(source), cell(system));
        if [id, kind, source, system]
            .iter()
            .any(|cell| cell.contains(char::is_control))
        {
            return Err(line(
                at,
                "the id, semantic type, source or system has a control character in it; write it without"
                    .to_owned(),
            ));
        }
        let coded = match system {
            "" => codings::named(source),
            named => Some(codings::named(named).ok_or_else(|| {
                line(
                    at,
                    format!("\"{named}\" is no code system that is known; write its URI, http://… or urn:…"),
                )
            })?),
        };
        let source = if source.is_empty() { UNNAMED } else { source };
        Seen::note(&mut builder.seen.vocabularies, source);
        let kinds = kind.split('|');
        for kind in kinds.clone() {
            Seen::note(&mut builder.seen.types, kind);
        }
        let wanted = kinds.clone().any(|kind| filters.takes_type(kind));
        if !wanted || !filters.takes_vocabulary(source) {
            continue;
        }
        // The first name of an id is its preferred one.
        let quality = if builder.concepts.known(id).is_none() {
            2
        } else {
            1
        };
        let concept = builder.concepts.number(id)?;
        let vocabulary = builder.vocabulary(source)?;
        for kind in kinds.filter(|kind| !kind.is_empty()) {
            builder.concepts.add_type(concept, kind)?;
        }
        // Other ids tell their system by themselves: "MESH:D003920".
        if let Some(coded) = coded.filter(|_| codings::of_id(id).is_none()) {
            builder.code(concept, coded, id, name, quality)?;
        }
        builder.name(concept, vocabulary, name, quality)?;
        for synonym in cell(synonyms).split('|') {
            builder.name(concept, vocabulary, synonym, 1)?;
        }
    }
    Ok(())
}
