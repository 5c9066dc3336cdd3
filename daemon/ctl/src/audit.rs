//! `audit verify`, `show` and `export`: reads the trail where it lies. The daemon need not run.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use clap::error::ErrorKind;
use jiff::Timestamp;
use mednerd_audit::{Key, Part, Record, Verifier, files, parts};

use crate::cli::{self, AuditCommand, AuditFilter, AuditFormat, AuditPlace};
use crate::error::Error;
use crate::exit::Exit;
use crate::format::json;
use crate::interrupt::Interrupted;
use crate::output::{Output, overwrites};
use crate::table::{Column, Table};
use crate::warn;

/// `mednerctl audit`
pub fn run(command: AuditCommand) -> Result<Exit, Error> {
    match command {
        AuditCommand::Verify { place, head, json } => verify(&place, head.as_deref(), json),
        AuditCommand::Show { place, filter } => show(&place, &filter),
        AuditCommand::Export {
            place,
            filter,
            format,
            output,
        } => export(&place, &filter, format, output),
    }
}

/// The files of the trails or folders that were named, in their order.
///
/// # Errors
/// [`Error::Trail`]; [`Error::NoTrail`] for a folder without one.
pub fn trail_files(paths: &[PathBuf]) -> Result<Vec<PathBuf>, Error> {
    each_of(paths, files)
}

/// The same, to be read: a daemon may write to them meanwhile.
fn trail_parts(paths: &[PathBuf]) -> Result<Vec<Part>, Error> {
    each_of(paths, parts)
}

fn each_of<T: From<PathBuf>>(
    paths: &[PathBuf],
    within: impl Fn(&Path) -> std::io::Result<Vec<T>>,
) -> Result<Vec<T>, Error> {
    let mut all = Vec::new();
    for path in paths {
        if path.is_dir() {
            let found = within(path).map_err(failed(path))?;
            if found.is_empty() {
                return Err(Error::NoTrail { path: path.clone() });
            }
            all.extend(found);
        } else {
            all.push(path.clone().into());
        }
    }
    Ok(all)
}

fn failed(path: &Path) -> impl FnOnce(std::io::Error) -> Error + use<> {
    let path = path.to_owned();
    move |source| Error::Trail { path, source }
}

fn verify(place: &AuditPlace, head: Option<&str>, as_json: bool) -> Result<Exit, Error> {
    let key = Key::read(&place.key)?;
    let mut verifier = Verifier::new(trail_parts(&place.path)?, Some(&key));
    let mut met = head.is_none();
    while let Some(read) = verifier
        .next_record()
        .map_err(|(path, error)| failed(&path)(error))?
    {
        met |= head.is_some_and(|head| read.previous == head);
    }
    let report = verifier.report();
    if report.last == 0 && report.faults.is_empty() {
        let path = place.path.first().cloned().unwrap_or_default();
        return Err(Error::NoTrail { path });
    }
    met |= head.is_some_and(|head| report.head == head);
    let good = report.faults.is_empty() && met;
    let exit = if good { Exit::Fine } else { Exit::Partly };
    let mut output = Output::Stdout;
    let page = if as_json {
        let faults: Vec<String> = report.faults.iter().map(ToString::to_string).collect();
        let page = serde_json::json!({
            "good": good, "records": report.records, "first": report.first, "last": report.last,
            "head": report.head, "faults": faults, "noted_head_found": head.map(|_| met),
        });
        json(&page, true)? + "\n"
    } else {
        let faults: String = report.faults.iter().map(|fault| format!("{fault}\n")).collect();
        let mut table = Table::pairs();
        table.row([
            "records as they were written".into(),
            report.records.to_string().into(),
        ]);
        table.row([
            "numbers".into(),
            format!("{} to {}", report.first, report.last).into(),
        ]);
        table.row(["last chain value".into(), report.head.as_str().into()]);
        table.row([
            "verdict".into(),
            if good {
                "nothing was changed"
            } else {
                "THE TRAIL WAS CHANGED"
            }
            .into(),
        ]);
        faults + &table.render(output.style())
    };
    // Who has seen enough of it has seen no verdict: that is the exit code.
    output.last(page.as_bytes(), exit)?;
    if !met {
        warn(
            &"no record has the chain value given with --head: the trail's end was cut off, or it is another trail",
        );
    }
    if report.first > 1 {
        warn(&format!(
            "the trail begins with record {}; name the files that were archived before it as well",
            report.first
        ));
    }
    Ok(exit)
}

/// Calls `each` with every record that passes the filter, until `interrupted`.
fn select(
    place: &AuditPlace,
    filter: &AuditFilter,
    interrupted: &AtomicBool,
    mut each: impl FnMut(&Record) -> Result<(), Error>,
) -> Result<Exit, Error> {
    // Without the key the records can be read and not be vouched for; ids and texts are found by it.
    let key = match Key::read(&place.key) {
        Ok(key) => Some(key),
        Err(_) if filter.text.is_none() && filter.document.is_none() => None,
        Err(error) => return Err(error.into()),
    };
    let text = filter
        .text
        .as_ref()
        .map(|path| std::fs::read(path).map_err(|error| Error::Read(error).of(path)))
        .transpose()?;
    let wanted_text = key.as_ref().zip(text).map(|(key, text)| key.text(&text));
    let wanted_id = key
        .as_ref()
        .zip(filter.document.as_ref())
        .map(|(key, id)| key.document_id(id));
    let passes = |record: &Record| {
        let entry = &record.entry;
        // A time that cannot be read, of a record that somebody changed, may be any.
        let time = record.time.parse::<Timestamp>().ok();
        let since = filter.since.zip(time).is_none_or(|(since, time)| time >= since);
        let until = filter.until.zip(time).is_none_or(|(until, time)| time < until);
        let uid = filter
            .uid
            .is_none_or(|uid| entry.peer.as_ref().is_some_and(|peer| peer.uid == uid));
        let text = wanted_text.is_none() || entry.text_hmac == wanted_text;
        let id = wanted_id.is_none() || entry.document_id == wanted_id;
        since && until && uid && text && id
    };
    let mut verifier = Verifier::new(trail_parts(&place.path)?, key.as_ref());
    let mut unread = Ok(Exit::Fine);
    loop {
        let record = verifier.next_record();
        let record = record.map_err(|(path, error)| failed(&path)(error))?;
        // Also where there is no further one: it may be the end of a pipe whose other end the same signal met.
        if interrupted.load(Ordering::Relaxed) {
            return Err(Error::Interrupted);
        }
        let Some(record) = record else { break };
        if passes(&record)
            && let Err(error) = each(&record)
        {
            if !error.is_closed_pipe() {
                return Err(error);
            }
            // What was altered so far is told all the same.
            unread = Err(error);
            break;
        }
    }
    let faults = verifier.report().faults;
    if faults.is_empty() {
        return unread;
    }
    warn(&format!(
        "{} lines are not as they were written; `mednerctl audit verify` tells which",
        faults.len()
    ));
    Ok(Exit::Partly)
}

/// Records of one page: a trail may be larger than memory.
const AT_ONCE: usize = 1000;

fn show(place: &AuditPlace, filter: &AuditFilter) -> Result<Exit, Error> {
    let mut table = Table::new([
        Column::number("record"),
        Column::text("time"),
        Column::text("event"),
        Column::number("uid"),
        Column::elastic("program"),
        Column::elastic("document"),
        Column::text("status"),
        Column::number("bytes"),
        Column::number("entities"),
        Column::number("ms"),
    ]);
    let mut output = Output::Stdout;
    let style = output.style();
    let exit = select(place, filter, &AtomicBool::new(false), |record| {
        let entry = &record.entry;
        let number = |value: Option<u64>| value.map_or_else(|| "-".to_owned(), |value| value.to_string());
        let peer = entry.peer.as_ref();
        let status = match &entry.code {
            Some(code) => format!("{} ({code})", entry.status),
            None => entry.status.clone(),
        };
        let program = peer.and_then(|peer| {
            let pid = peer.pid.map(|pid| format!("pid {pid}"));
            peer.exe.clone().or(pid)
        });
        let about = entry.document_id.as_deref().or(entry.action.as_deref());
        table.row([
            record.seq.to_string().into(),
            record.time.as_str().into(),
            entry.event.name().into(),
            number(peer.map(|peer| peer.uid.into())).into(),
            program.unwrap_or_else(|| "-".to_owned()).into(),
            about.unwrap_or("-").into(),
            status.into(),
            number(entry.text_bytes).into(),
            number(entry.entities).into(),
            entry
                .duration_ms
                .map_or_else(|| "-".to_owned(), |ms| format!("{ms:.1}"))
                .into(),
        ]);
        match table.rows() {
            AT_ONCE.. => output.write(table.take(style).as_bytes()),
            _ => Ok(()),
        }
    })?;
    output.last(table.take(style).as_bytes(), exit)
}

const CSV_HEAD: &str = "seq,time,event,uid,gid,pid,exe,action,status,code,document_id,text_hmac,text_bytes,entities,concepts,duration_ms,models,plugins,vocabularies,degraded\n";

fn export(
    place: &AuditPlace,
    filter: &AuditFilter,
    format: AuditFormat,
    output: Option<PathBuf>,
) -> Result<Exit, Error> {
    let trail = trail_files(&place.path)?;
    let read = trail.iter().chain(&filter.text).chain([&place.key]);
    if let Some(output) = &output
        && overwrites(output, read.map(|path| path.metadata()))
    {
        let sentence = "--output names a file that is read, the trail itself say, and would overwrite it";
        return Err(cli::usage(
            &["audit", "export"],
            ErrorKind::ArgumentConflict,
            sentence,
        ));
    }
    let mut output = Output::new(output);
    let interrupted = match output.comes_at_the_end() {
        true => Interrupted::flag().map_err(Error::Runtime)?,
        false => Arc::default(),
    };
    if format == AuditFormat::Csv {
        output.write(CSV_HEAD.as_bytes())?;
    }
    let exit = select(place, filter, &interrupted, |record| {
        let line = match format {
            AuditFormat::Csv => csv(record),
            AuditFormat::Ndjson => json(record, false)?,
        };
        output.write((line + "\n").as_bytes())
    })?;
    output.finish()?;
    Ok(exit)
}

fn csv(record: &Record) -> String {
    let entry = &record.entry;
    let peer = entry.peer.clone().unwrap_or_default();
    let number = |value: Option<u64>| value.map(|value| value.to_string()).unwrap_or_default();
    let pairs = |map: &std::collections::BTreeMap<String, String>| {
        let pairs: Vec<String> = map
            .iter()
            .map(|(name, version)| format!("{name}={version}"))
            .collect();
        pairs.join(" ")
    };
    let fields = [
        record.seq.to_string(),
        record.time.clone(),
        entry.event.name().to_owned(),
        entry
            .peer
            .as_ref()
            .map(|peer| peer.uid.to_string())
            .unwrap_or_default(),
        entry
            .peer
            .as_ref()
            .map(|peer| peer.gid.to_string())
            .unwrap_or_default(),
        peer.pid.map(|pid| pid.to_string()).unwrap_or_default(),
        peer.exe.unwrap_or_default(),
        entry.action.clone().unwrap_or_default(),
        entry.status.clone(),
        entry.code.clone().unwrap_or_default(),
        entry.document_id.clone().unwrap_or_default(),
        entry.text_hmac.clone().unwrap_or_default(),
        number(entry.text_bytes),
        number(entry.entities),
        number(entry.concepts),
        entry.duration_ms.map(|ms| ms.to_string()).unwrap_or_default(),
        pairs(&entry.models),
        pairs(&entry.plugins),
        pairs(&entry.vocabularies),
        entry.degraded.join(" "),
    ];
    let quoted: Vec<String> = fields.iter().map(|field| quote(field)).collect();
    quoted.join(",")
}

/// A CSV field. One that a spreadsheet would take for a formula begins with an apostrophe: ids are a client's words.
fn quote(field: &str) -> String {
    let formula = field.starts_with(['=', '+', '-', '@']);
    let field = if formula {
        format!("'{field}")
    } else {
        field.to_owned()
    };
    if field.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", field.replace('"', "\"\""))
    } else {
        field
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn csv_fields_are_quoted_and_never_formulas() {
        assert_eq!(quote("a"), "a");
        assert_eq!(quote("a,\"b\""), "\"a,\"\"b\"\"\"");
        assert_eq!(quote("=1+1"), "'=1+1");
        let record = Record {
            format: 1,
            seq: 1,
            time: String::new(),
            entry: mednerd_audit::Entry::default(),
            previous: String::new(),
        };
        let fields = csv(&record).split(',').count();
        assert_eq!(fields, CSV_HEAD.split(',').count());
    }
}
