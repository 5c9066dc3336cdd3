//! The formats of `annotate`: each takes one answered document after the other and writes it.

use mednerd_client::api::{AnnotateResponse, Assertion, Concept, Engine, OffsetUnit};
use serde::Serialize;

use crate::cli::Format;
use crate::error::Error;
use crate::html;
use crate::output::Output;
use crate::table::{Cell, Column, Style, Table, visible};

/// A note and what the person calls it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    /// The name, as it was given.
    pub name: String,
    /// The text, as it was sent.
    pub text: String,
}

/// Labels by the order in which they appeared; the number of a label picks its colour.
#[derive(Debug, Default)]
pub struct Labels(Vec<String>);

impl Labels {
    /// The number of a label, the next free one where it is new.
    pub fn number(&mut self, label: &str) -> usize {
        match self.0.iter().position(|known| known == label) {
            Some(number) => number,
            None => {
                self.0.push(label.to_owned());
                self.0.len() - 1
            }
        }
    }
}

/// Writes answered documents in the chosen format, in the order in which they are handed over.
#[derive(Debug)]
pub struct Writer {
    output: Output,
    style: Style,
    labels: Labels,
    format: Format,
    /// Whether there is more than one input, so that JSON is an array.
    several: bool,
    written: usize,
    /// The whole page is made at the end, since its head counts all labels.
    held: Vec<(Document, AnnotateResponse)>,
}

impl Writer {
    /// A writer to `output`.
    pub fn new(format: Format, output: Output, several: bool) -> Self {
        Self {
            style: output.style(),
            output,
            labels: Labels::default(),
            format,
            several,
            written: 0,
            held: Vec::new(),
        }
    }

    /// Writes one document.
    ///
    /// # Errors
    /// [`Error::Write`]
    pub fn document(&mut self, document: Document, answer: AnnotateResponse) -> Result<(), Error> {
        let first = self.written == 0;
        self.written += 1;
        match self.format {
            Format::Html => {
                self.held.push((document, answer));
                Ok(())
            }
            Format::Table => {
                let mut text = String::from(if first { "" } else { "\n" });
                text.push_str(&block(&document, &answer, &mut self.labels, self.style));
                self.output.write(text.as_bytes())
            }
            Format::Ndjson => {
                let mut line = json(&answer, false)?;
                line.push('\n');
                self.output.write(line.as_bytes())
            }
            Format::Json if self.several => {
                // A line break is never inside a JSON string, so every line may be indented.
                let indented = json(&answer, true)?.replace('\n', "\n  ");
                let before = if first { "[\n  " } else { ",\n  " };
                self.output.write(format!("{before}{indented}").as_bytes())
            }
            Format::Json => {
                let mut text = json(&answer, true)?;
                text.push('\n');
                self.output.write(text.as_bytes())
            }
        }
    }

    /// Writes what comes after the last document.
    ///
    /// # Errors
    /// [`Error::Write`]
    pub fn finish(mut self) -> Result<(), Error> {
        if self.written > 0 {
            match self.format {
                Format::Html => self.output.write(html::page(&self.held).as_bytes())?,
                Format::Json if self.several => self.output.write(b"\n]\n")?,
                _ => {}
            }
        }
        self.output.finish()
    }

    /// Ends a run that was broken off, and says what is left of it: lines keep their worth without those that would have
    /// come, nothing else does.
    ///
    /// # Errors
    /// [`Error::Write`]
    pub fn interrupted(mut self) -> Result<String, Error> {
        if self.format != Format::Ndjson || self.written == 0 {
            return Ok("nothing was written; with --format ndjson what is answered is kept".to_owned());
        }
        self.output.finish()?;
        Ok(format!(
            "{} kept",
            count(self.written, "answer is", "answers are")
        ))
    }
}

/// The block of one document: its name, how many entities in which unit, and the table.
fn block(document: &Document, answer: &AnnotateResponse, labels: &mut Labels, style: Style) -> String {
    let mut heading = format!(
        "{}: {}",
        visible(&document.name),
        count(answer.entities.len(), "entity", "entities")
    );
    if !answer.degraded.is_empty() {
        heading.push_str(&format!(
            " (in part, without {})",
            visible(&answer.degraded.join(", "))
        ));
    }
    if answer.entities.is_empty() {
        return heading + "\n";
    }
    heading.push_str(&format!(", offsets in {}\n", unit_name(answer.offset_unit)));
    let linked = answer.entities.iter().any(|e| !e.concepts.is_empty());
    let said = answer.entities.iter().any(|e| !e.assertions.is_empty());
    let mut columns = vec![
        Column::number("begin"),
        Column::number("end"),
        Column::text("label"),
        Column::number("score"),
        Column::text("model"),
        Column::elastic("text"),
    ];
    if said {
        columns.push(Column::text("said"));
    }
    if linked {
        columns.push(Column::elastic("concepts"));
    }
    let mut table = Table::new(columns);
    for entity in &answer.entities {
        let mut row = vec![
            entity.begin.to_string().into(),
            entity.end.to_string().into(),
            Cell::coloured(&entity.label, labels.number(&entity.label)),
            format!("{:.3}", entity.score).into(),
            entity.model.as_str().into(),
            entity.decoded.as_ref().unwrap_or(&entity.text).as_str().into(),
        ];
        if said {
            row.push(said_of(&entity.assertions).into());
        }
        if linked {
            row.push(concept_names(&entity.concepts).into());
        }
        table.row(row);
    }
    heading + &table.render(style)
}

/// What the note says of an entity, for a person.
pub fn said_of(assertions: &[Assertion]) -> String {
    let kinds = assertions.iter().map(|assertion| assertion.kind.to_string());
    kinds.collect::<Vec<_>>().join(", ")
}

/// Concepts for a person: id and name of each, best first.
pub fn concept_names(concepts: &[Concept]) -> String {
    let names: Vec<String> = concepts
        .iter()
        .map(|concept| format!("{} {}", concept.id, concept.name))
        .collect();
    names.join("; ")
}

/// A number of things, in words.
pub fn count(number: usize, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}

/// What a person calls an engine.
pub fn engine_name(engine: Engine) -> &'static str {
    match engine {
        Engine::Cuda => "cuda",
        Engine::Tract => "tract",
    }
}

fn unit_name(unit: OffsetUnit) -> &'static str {
    match unit {
        OffsetUnit::UnicodeCodePoint => "Unicode code points",
        OffsetUnit::Utf16CodeUnit => "UTF-16 code units",
        OffsetUnit::Utf8Byte => "UTF-8 bytes",
        OffsetUnit::Byte => "bytes",
    }
}

/// JSON on one line, or indented.
///
/// # Errors
/// [`Error::Write`]
pub fn json(value: &impl Serialize, pretty: bool) -> Result<String, Error> {
    let text = if pretty {
        serde_json::to_string_pretty(value)
    } else {
        serde_json::to_string(value)
    };
    text.map_err(|error| Error::Write {
        target: "JSON".to_owned(),
        source: error.into(),
    })
}

/// `12.3 MiB`.
pub fn bytes(number: u64) -> String {
    let units = ["KiB", "MiB", "GiB", "TiB"];
    if number < 1024 {
        return format!("{number} B");
    }
    let mut value = number as f64 / 1024.0;
    let mut unit = "KiB";
    for next in units.iter().skip(1) {
        // What would be rounded to 1024.0 belongs to the next unit.
        if value < 1023.95 {
            break;
        }
        value /= 1024.0;
        unit = next;
    }
    format!("{value:.1} {unit}")
}

/// `12.3 M` of things.
pub fn amount(number: u64) -> String {
    match number {
        0..1_000 => number.to_string(),
        1_000..999_950 => format!("{:.1} k", number as f64 / 1e3),
        999_950..999_950_000 => format!("{:.1} M", number as f64 / 1e6),
        _ => format!("{:.1} G", number as f64 / 1e9),
    }
}

/// `3 h 12 min`: the two largest units.
pub fn duration(seconds: u64) -> String {
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    let rest = seconds % 60;
    if days > 0 {
        format!("{days} d {hours} h")
    } else if hours > 0 {
        format!("{hours} h {minutes} min")
    } else if minutes > 0 {
        format!("{minutes} min {rest} s")
    } else {
        format!("{rest} s")
    }
}

#[cfg(test)]
mod tests {
    use mednerd_client::api::AssertionKind;

    use super::*;

    #[test]
    fn numbers_for_people() {
        for (number, text) in [
            (0, "0 B"),
            (1_023, "1023 B"),
            (1_024, "1.0 KiB"),
            (1_048_575, "1.0 MiB"),
            (327_155_712, "312.0 MiB"),
            (5_000_000_000, "4.7 GiB"),
            (u64::MAX, "16777216.0 TiB"),
        ] {
            assert_eq!(bytes(number), text);
        }
        for (number, text) in [
            (999, "999"),
            (1_000, "1.0 k"),
            (999_949, "999.9 k"),
            (999_950, "1.0 M"),
            (11_170_000, "11.2 M"),
            (1_300_000_000, "1.3 G"),
        ] {
            assert_eq!(amount(number), text);
        }
        for (seconds, text) in [
            (0, "0 s"),
            (59, "59 s"),
            (61, "1 min 1 s"),
            (11_520, "3 h 12 min"),
            (90_000, "1 d 1 h"),
        ] {
            assert_eq!(duration(seconds), text);
        }
        assert_eq!(count(1, "entity", "entities"), "1 entity");
        assert_eq!(count(0, "entity", "entities"), "0 entities");
    }

    #[test]
    fn what_is_said_is_named_as_answers_name_it() {
        let said = [AssertionKind::Negated, AssertionKind::Family].map(|kind| Assertion {
            kind,
            cue: String::new(),
        });
        assert_eq!(said_of(&said), "negated, family");
        assert_eq!(
            json(&said[0].kind, false).unwrap(),
            format!("\"{}\"", said[0].kind)
        );
    }

    #[test]
    fn a_label_keeps_its_number() {
        let mut labels = Labels::default();
        assert_eq!(labels.number("DISEASE"), 0);
        assert_eq!(labels.number("CHEMICAL"), 1);
        assert_eq!(labels.number("DISEASE"), 0);
    }
}
