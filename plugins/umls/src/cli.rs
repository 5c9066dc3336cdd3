//! The program `mednerd-umls`.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::build::{Build, Filters, Input, Watch};
use crate::error::{Error, first_of};
use crate::eval;
use crate::index::Index;
use crate::linker::{Document, Linker, Mention, Options, Settings};
use crate::output::Output;
use crate::terms;

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Everything that was asked for was done.
    Fine = 0,
    /// The command line makes no sense.
    Usage = 2,
    /// A file could not be read or written, or is not as it should be.
    Failed = 5,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

const EXIT_CODES: &str = "Exit codes:\n  0  Everything that was asked for was done.\n  2  The command line makes no \
                          sense.\n  5  A file could not be read or written, or is not as it should be.";

/// Builds, asks and measures the index that links mentions to UMLS concepts.
#[derive(Debug, Parser)]
#[command(name = "mednerd-umls", version, after_long_help = EXIT_CODES, max_term_width = 100, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Build an index from a UMLS or RxNorm release, or from a dictionary in CSV.
    Build(BuildOptions),
    /// Show the candidates for a text, with the reason for each.
    Query(QueryOptions),
    /// Show what is in an index, and verify it.
    Info(InfoOptions),
    /// Measure accuracy on gold mentions.
    Eval(EvalOptions),
    /// Write the names of an index as a list that mednerd finds in notes, for [[terms]] in its configuration.
    Terms(TermsOptions),
}

#[derive(Debug, Args)]
struct BuildOptions {
    /// META folder of a UMLS release, or rrf folder of an RxNorm release.
    #[arg(
        long,
        value_name = "META",
        required_unless_present = "csv",
        conflicts_with = "csv"
    )]
    rrf: Option<PathBuf>,
    /// Dictionary with the header id,name,semantic_type,source; a synonym is one more row of its id.
    #[arg(long, value_name = "FILE")]
    csv: Option<PathBuf>,
    /// Index to write; an older one is replaced when the new one is complete.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Languages of the names to take, as LAT has them; "all" for all; not for a dictionary, which has a column of that name. Codes are taken whatever the language of their names.
    #[arg(long, value_name = "LAT", value_delimiter = ',', default_value = "ENG")]
    language: Vec<String>,
    /// Vocabularies to take names and codes of, as SAB has them [default: all].
    #[arg(long, value_name = "SAB", value_delimiter = ',')]
    sab: Vec<String>,
    /// Vocabularies to leave out.
    #[arg(long, value_name = "SAB", value_delimiter = ',')]
    without_sab: Vec<String>,
    /// Semantic types to take, as TUI has them [default: all].
    #[arg(long, value_name = "TUI", value_delimiter = ',')]
    semantic_type: Vec<String>,
    /// Term types of names to leave out, as TTY has them.
    #[arg(long, value_name = "TTY", value_delimiter = ',')]
    without_tty: Vec<String>,
    /// Take names that are marked as suppressed too.
    #[arg(long)]
    suppressed: bool,
    /// Megabytes of names to sort in memory at a time; the rest waits in unnamed files beside the index.
    #[arg(long, value_name = "MB", default_value_t = 512, value_parser = clap::value_parser!(u32).range(1..=2048))]
    memory: u32,
}

#[derive(Debug, Args)]
struct IndexOption {
    /// Index that was made with build.
    #[arg(long, value_name = "FILE")]
    index: PathBuf,
}

#[derive(Debug, Args)]
struct QueryOptions {
    #[command(flatten)]
    index: IndexOption,
    /// Names and blocks of your own: name, tab, concept id, optionally tab and add or block.
    #[arg(long, value_name = "TSV")]
    synonyms: Option<PathBuf>,
    /// Language (ISO 639-1) of texts that do not tell it, and of your own names [default: those of the index].
    #[arg(long, value_name = "CODE")]
    language: Option<String>,
    /// How many candidates to show.
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u16).range(1..=1000))]
    top: u16,
    /// Label that a model would give the text, "Disease" for instance.
    #[arg(long, value_name = "LABEL", default_value = "")]
    label: String,
    /// Show the codes of these vocabularies, by abbreviation or FHIR system; "all" for all.
    #[arg(long, value_name = "SAB", value_delimiter = ',')]
    codes: Vec<String>,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
    /// Texts to look up.
    #[arg(value_name = "TEXT", required = true)]
    text: Vec<String>,
}

#[derive(Debug, Args)]
struct InfoOptions {
    #[command(flatten)]
    index: IndexOption,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct EvalOptions {
    #[command(flatten)]
    index: IndexOption,
    /// Gold mentions in the PubTator format; several ids of a mention are separated by a bar.
    #[arg(long, value_name = "PUBTATOR")]
    gold: PathBuf,
    /// Names and blocks of your own: name, tab, concept id, optionally tab and add or block.
    #[arg(long, value_name = "TSV")]
    synonyms: Option<PathBuf>,
    /// From the gold's ids to the index's: gold id, tab, concept id.
    #[arg(long, value_name = "TSV")]
    map: Option<PathBuf>,
    /// Count mentions of these types alone [default: all].
    #[arg(long, value_name = "TYPE", value_delimiter = ',')]
    types: Vec<String>,
    /// Language (ISO 639-1) of texts that do not tell it, and of your own names [default: those of the index].
    #[arg(long, value_name = "CODE")]
    language: Option<String>,
    /// Measure what a request for so many candidates gets [default: 50 candidates, searched for thoroughly].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1000))]
    top_k: Option<u16>,
    /// Write the reliability diagram into this file.
    #[arg(long, value_name = "SVG")]
    reliability: Option<PathBuf>,
    /// Write every distinct error into this file, as a table with tabs.
    #[arg(long, value_name = "TSV")]
    errors: Option<PathBuf>,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct TermsOptions {
    #[command(flatten)]
    index: IndexOption,
    /// List to write.
    #[arg(long, value_name = "TSV")]
    out: PathBuf,
    /// What the names are found as.
    #[arg(long, value_name = "LABEL", default_value = "Disease")]
    label: String,
    /// Semantic types to take, as TUI or the dictionary has them [default: those of the label].
    #[arg(long, value_name = "TUI", value_delimiter = ',')]
    semantic_type: Vec<String>,
    /// Language of the names, which is that of the notes they are looked for in [default: any].
    #[arg(long, value_name = "CODE", default_value = "", hide_default_value = true)]
    language: String,
    /// Words of a name, at most.
    #[arg(long, value_name = "N", default_value_t = 6, value_parser = clap::value_parser!(u8).range(1..=16))]
    most_words: u8,
}

/// Runs the program with these arguments, the first of which is its name.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> Exit {
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(error) => {
            let usage = error.use_stderr();
            let _ = error.print();
            return if usage { Exit::Usage } else { Exit::Fine };
        }
    };
    let outcome = match cli.command {
        Command::Build(options) => build(options),
        Command::Query(options) => query(options),
        Command::Info(options) => info(&options),
        Command::Eval(options) => evaluate(options),
        Command::Terms(options) => terms(options),
    };
    let written = outcome.and_then(|text| match io::stdout().lock().write_all(text.as_bytes()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Error::Write {
            path: "standard output".into(),
            source: error,
        }),
        _ => Ok(()),
    });
    match written {
        Ok(()) => Exit::Fine,
        Err(error) => {
            let _ = writeln!(io::stderr(), "mednerd-umls: {error}");
            Exit::Failed
        }
    }
}

fn build(options: BuildOptions) -> Result<String, Error> {
    let input = match (options.rrf, options.csv) {
        (Some(folder), _) => Input::Rrf(folder),
        (_, csv) => Input::Csv(csv.unwrap_or_default()),
    };
    let mut languages = options.language;
    languages.retain(|language| language != "all");
    let started = std::time::Instant::now();
    let record = Build {
        input,
        out: options.out.clone(),
        filters: Filters {
            languages,
            vocabularies: options.sab,
            without: options.without_sab,
            semantic_types: options.semantic_type,
            without_term_types: options.without_tty,
            suppressed: options.suppressed,
        },
        memory: (options.memory as usize) << 20,
    }
    .run(&mut Bar::default())?;
    let size = std::fs::metadata(&options.out).map_or(0, |file| file.len());
    let hint = match (record.kind.as_str(), record.codings) {
        ("umls", 0) => {
            "no codes: no row that is taken is of a code system; look at --sab and --without-sab\n"
        }
        _ => "",
    };
    Ok(format!(
        "{}: {} concepts, {} names, {} codes from {} rows; {:.1} MB in {:.1} s\n{hint}",
        options.out.display(),
        record.concepts,
        record.names,
        record.codings,
        record.rows,
        size as f64 / 1e6,
        started.elapsed().as_secs_f64()
    ))
}

/// Says which CUIs of the hospital's own names the index does not have.
fn warn_of_unknown(linker: &Linker) {
    const FIRST: usize = 5;
    let unknown = linker.unknown();
    if !unknown.is_empty() {
        let _ = writeln!(
            io::stderr(),
            "mednerd-umls: warning: the index does not have {}, which are now concepts of your own; look for slips of the pen, \
             and for another release or subset",
            first_of(&unknown, FIRST)
        );
    }
}

fn query(options: QueryOptions) -> Result<String, Error> {
    let linker = Linker::open(Settings {
        index: options.index.index,
        synonyms: options.synonyms,
        language: options.language,
        ..Settings::default()
    })?;
    warn_of_unknown(&linker);
    let all = options.codes.iter().any(|code| code == "all");
    let wanted = Options {
        top_k: options.top.into(),
        thorough: true,
        code_systems: if all { Vec::new() } else { options.codes.clone() },
    };
    let mut out = String::new();
    let mut answers = Vec::new();
    for text in &options.text {
        let document = Document {
            text,
            mentions: &[Mention::within(text, 0..text.len(), &options.label)],
        };
        let candidates = linker.link(&document, &wanted).pop().unwrap_or_default();
        if options.json {
            answers.push(serde_json::json!({"text": text, "candidates": candidates}));
            continue;
        }
        let _ = writeln!(out, "{text}");
        if candidates.is_empty() {
            let _ = writeln!(out, "  no candidate");
        }
        for candidate in candidates {
            let types = candidate.semantic_types.join(",");
            let _ = writeln!(
                out,
                "  {:.2}  {:<12} {}  [{types}]",
                candidate.score, candidate.id, candidate.name
            );
            let _ = writeln!(out, "        {}", candidate.reason);
            for coding in candidate.codings.iter().filter(|_| !options.codes.is_empty()) {
                let _ = writeln!(
                    out,
                    "        {} {} {}",
                    coding.system, coding.code, coding.display
                );
            }
        }
    }
    if options.json {
        out = json(&serde_json::json!({"queries": answers}))?;
    }
    Ok(out)
}

fn info(options: &InfoOptions) -> Result<String, Error> {
    let index = Index::open(&options.index.index)?;
    index.verify()?;
    let record = index.record();
    let parts = index.parts();
    let size: u64 = std::fs::metadata(index.path()).map_or(0, |file| file.len());
    if options.json {
        let parts: serde_json::Map<String, serde_json::Value> = parts
            .iter()
            .map(|(name, bytes)| ((*name).to_owned(), (*bytes).into()))
            .collect();
        return json(&serde_json::json!({
            "digest": index.digest(), "bytes": size, "record": record, "parts": parts, "verified": true
        }));
    }
    let mut out = String::new();
    let rows = [
        ("index", index.path().display().to_string()),
        ("digest", index.digest()),
        ("checksums", "fit".to_owned()),
        ("bytes", size.to_string()),
        ("kind", record.kind.clone()),
        ("release", record.release.clone()),
        ("built by", format!("mednerd {}", record.builder)),
        ("filters", record.filters.join(" ")),
        ("languages", record.languages.join(" ")),
        ("concepts", record.concepts.to_string()),
        ("names", record.names.to_string()),
        ("links", record.links.to_string()),
        ("words", record.words.to_string()),
        ("codes", record.codings.to_string()),
        ("retired concepts", record.retired.to_string()),
        ("rows read", record.rows.to_string()),
    ];
    for (name, value) in rows {
        let _ = writeln!(out, "{}", format!("{name:<18}{value}").trim_end());
    }
    let _ = writeln!(out, "\n{:<18}{:>12}  version", "vocabulary", "rows");
    for source in &record.vocabularies {
        let _ = writeln!(
            out,
            "{}",
            format!("{:<18}{:>12}  {}", source.name, source.rows, source.version).trim_end()
        );
    }
    let _ = writeln!(out, "\n{:<34}{:>14}", "part", "bytes");
    for (name, bytes) in parts {
        let _ = writeln!(out, "{name:<34}{bytes:>14}");
    }
    Ok(out)
}

fn evaluate(options: EvalOptions) -> Result<String, Error> {
    // Refused before the work rather than behind it.
    let mut inputs = vec![&options.index.index, &options.gold];
    inputs.extend(options.synonyms.iter().chain(&options.map));
    let output = |path: &Option<PathBuf>, option: &str, inputs: &[&PathBuf]| {
        let path = path.as_deref();
        path.map(|path| Output::new(path, option, inputs)).transpose()
    };
    let errors = output(&options.errors, "--errors", &inputs)?;
    inputs.extend(&options.errors);
    let diagram = output(&options.reliability, "--reliability", &inputs)?;
    let map = options
        .map
        .as_deref()
        .map(eval::read_map)
        .transpose()?
        .unwrap_or_default();
    let settings = Settings {
        index: options.index.index,
        synonyms: options.synonyms,
        language: options.language,
        ..Settings::default()
    };
    let linker = Linker::open_mapped(settings, map.clone())?;
    warn_of_unknown(&linker);
    let documents = eval::pubtator::read(&options.gold)?;
    let evaluation = eval::evaluate(
        &linker,
        &documents,
        &map,
        &options.types,
        options.top_k.map(usize::from),
    );
    if let Some(output) = diagram {
        output.write(&eval::reliability_svg(&evaluation))?;
    }
    if let Some(output) = errors {
        let mut table = String::from("count\tmention\tgold\tgot\thow\trank of the right one\n");
        for error in &evaluation.errors {
            let eval::Mistake {
                count,
                mention,
                gold,
                got,
                how,
                rank,
            } = error;
            let _ = writeln!(table, "{count}\t{mention}\t{gold}\t{got}\t{how}\t{rank}");
        }
        output.write(&table)?;
    }
    if options.json {
        json(&evaluation)
    } else {
        Ok(eval::table(&evaluation))
    }
}

fn terms(options: TermsOptions) -> Result<String, Error> {
    let output = Output::new(&options.out, "--out", [&options.index.index])?;
    let index = Index::open(&options.index.index)?;
    let choice = terms::Choice {
        label: options.label,
        semantic_types: options.semantic_type,
        language: options.language,
        most_words: options.most_words.into(),
    };
    let (list, count) = terms::list(&index, &choice);
    output.write(&list)?;
    Ok(format!("{}: {count} names\n", options.out.display()))
}

fn json(value: &impl serde::Serialize) -> Result<String, Error> {
    let text = serde_json::to_string_pretty(value).map_err(|source| Error::Write {
        path: "standard output".into(),
        source: source.into(),
    })?;
    Ok(text + "\n")
}

/// Progress on a terminal: what, how far, how fast, how long still. Nothing elsewhere.
#[derive(Default)]
struct Bar {
    bar: Option<ProgressBar>,
}

impl Watch for Bar {
    fn begin(&mut self, what: &str, total: u64) {
        if let Some(bar) = self.bar.take() {
            bar.finish();
        }
        if !io::stderr().is_terminal() {
            return;
        }
        let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stderr_with_hz(5));
        let unit = if what.starts_with("Reading") {
            "{bytes}/{total_bytes} {bytes_per_sec}"
        } else {
            "{pos}/{len} {per_sec}"
        };
        let style = ProgressStyle::with_template(&format!("{{msg:<22}} [{{bar:30}}] {unit}, {{eta}} left"));
        if let Ok(style) = style {
            bar.set_style(style);
        }
        bar.set_message(what.to_owned());
        self.bar = Some(bar);
    }

    fn at(&mut self, done: u64) {
        if let Some(bar) = &self.bar {
            bar.set_position(done);
        }
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish();
        }
    }
}
