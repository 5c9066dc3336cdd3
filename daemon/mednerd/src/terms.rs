//! Lists of names, read from files: one for each `[[terms]]` of the configuration.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;
use mednerd_pipeline::terms::{HIDING, RIGHT, is_found};
use mednerd_pipeline::{Span, Term, TermError, Terms};
use sha2::{Digest, Sha256};

use crate::app::now;
use crate::config;
use crate::page::hexadecimal;

/// A list's files are never larger, together.
const MOST_BYTES: u64 = 1 << 30;
/// Lines that are named, of those that are wrong, and of those that may be, at most.
const MOST_TOLD: usize = 10;
/// The columns that a file may have; the first two must be there.
const COLUMNS: [&str; 5] = ["name", "label", "language", "joins", "beside"];

/// Why a list of names cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ListError {
    /// The operating system refused something.
    #[error("{}: cannot be read: {source}. Check that it exists and that the daemon's user may read it", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What it said.
        source: std::io::Error,
    },
    /// A folder without lists.
    #[error("{}: has no file that ends in .tsv", path.display())]
    None {
        /// The folder.
        path: PathBuf,
    },
    /// More than is read.
    #[error("{}: is larger than {} MiB together with the files before it; split the list", path.display(), MOST_BYTES >> 20)]
    Large {
        /// The file at which it was.
        path: PathBuf,
    },
    /// Bytes that are no text.
    #[error("{}, line {line}: is not UTF-8; save it as UTF-8", path.display())]
    Encoding {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
    },
    /// The first line.
    #[error(
        "{}, line {line}: {wrong}; the first line names the columns, separated by tabs: name and label, and where wanted language, joins and beside",
        path.display()
    )]
    Header {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong with it.
        wrong: String,
    },
    /// A line of another number of columns.
    #[error("{}, line {line}: has {found} columns, and the first line names {expected}", path.display())]
    Columns {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// How many it has.
        found: usize,
        /// How many the header has.
        expected: usize,
    },
    /// A name that is none.
    #[error("{}, line {line}: {source}", path.display())]
    Term {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong.
        source: TermError,
    },
    /// Lines beyond those that are named.
    #[error("{}: has {count} more wrong lines", path.display())]
    More {
        /// The file or folder.
        path: PathBuf,
        /// How many.
        count: usize,
    },
    /// Nothing to look for.
    #[error("{}: has no names", path.display())]
    Empty {
        /// The file or folder.
        path: PathBuf,
    },
}

/// A list of names in force. Shared by all workers.
pub struct List {
    /// SHA-256 over its files.
    pub digest: String,
    /// When it was read.
    pub loaded_at: Timestamp,
    content: Arc<Content>,
    rule: Rule,
}

/// What files have.
#[derive(Default)]
struct Content {
    terms: Terms,
    /// Lines that are allowed and probably not meant.
    doubts: Told<String>,
    /// Lines that give a name another label.
    twice: Told<String>,
    /// The labels that names join, each with the first line that has it.
    joined: Vec<(String, PathBuf, usize)>,
}

/// The first of many things, and how many there are beside them.
struct Told<T> {
    first: Vec<T>,
    more: usize,
}

impl<T> Default for Told<T> {
    fn default() -> Self {
        let (first, more) = (Vec::new(), 0);
        Self { first, more }
    }
}

impl<T> Told<T> {
    fn push(&mut self, thing: T) {
        match self.first.len() < MOST_TOLD {
            true => self.first.push(thing),
            false => self.more += 1,
        }
    }
}

/// How a list is used.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rule {
    /// The score of what it has.
    pub score: f32,
    /// The score of what it has but for a letter; 0 where that is not looked for.
    pub misspelt: f32,
    /// From this score on what a model has stands where it overlaps a name of its label.
    pub sure: f32,
    /// What models have of its labels needs this score, where the request names none.
    pub least: f32,
    /// Whether short forms are what the text defines them as.
    pub short_forms: bool,
}

/// A list under the name that requests use.
#[derive(Clone)]
pub struct NamedList {
    /// The name.
    pub name: String,
    /// Whether requests that name no model get it.
    pub default: bool,
    /// The list; several generations may share one.
    pub list: Arc<List>,
}

impl List {
    /// Reads a file, or all files of a folder that end in `.tsv`; where they are as they were, what is `known` of them is taken over.
    ///
    /// # Errors
    /// Every [`ListError`] as far as they are told; they name file and line and never a name.
    pub fn load<'a>(
        wanted: &config::Terms,
        known: impl IntoIterator<Item = &'a Arc<Self>>,
    ) -> Result<Arc<Self>, Vec<ListError>> {
        let path = &wanted.path;
        let files = read(path).map_err(|error| vec![error])?;
        let mut hasher = Sha256::new();
        for (file, bytes) in &files {
            let name = file.file_name().unwrap_or_default().as_encoded_bytes();
            for part in [name, bytes] {
                hasher.update((part.len() as u64).to_le_bytes());
                hasher.update(part);
            }
        }
        let digest = hexadecimal(&hasher.finalize());
        let rule = Rule {
            score: share(wanted.score_percent),
            misspelt: share(wanted.misspelt_percent),
            sure: share(wanted.sure_percent),
            least: share(wanted.models_percent),
            short_forms: wanted.short_forms,
        };
        let is_tolerant = wanted.misspelt_percent > 0;
        let mut before = known.into_iter().filter(|list| list.digest == digest).peekable();
        let content = before.peek().map(|list| Arc::clone(&list.content));
        let content = content.filter(|content| content.terms.is_tolerant() == is_tolerant);
        if let Some(same) = before.find(|list| list.rule == rule) {
            return Ok(Arc::clone(same));
        }
        let content = match content {
            Some(content) => content,
            None => Arc::new(Content::new(path, &files, is_tolerant)?),
        };
        Ok(Arc::new(Self {
            digest,
            loaded_at: now(),
            content,
            rule,
        }))
    }

    /// The names.
    pub fn terms(&self) -> &Terms {
        &self.content.terms
    }

    /// Where a name gets another label, which it is found as too, in words; `None` where none does.
    pub fn twice(&self) -> Option<String> {
        let twice = &self.content.twice;
        let first = twice.first.join("; ");
        let more = match twice.more {
            0 => String::new(),
            more => format!("; and {more} more"),
        };
        (!first.is_empty()).then(|| format!("names with two labels are found as both: {first}{more}"))
    }

    /// What is allowed in it and probably not meant, beside `all` lists.
    pub fn warnings(&self, all: &[NamedList]) -> Vec<String> {
        let doubts = &self.content.doubts;
        let given = |label: &str| {
            let mut labels = all.iter().flat_map(|named| named.list.terms().labels());
            labels.any(|given| given.eq_ignore_ascii_case(label))
        };
        let joined = self.content.joined.iter();
        let joined = joined.filter(|(label, ..)| !given(label)).map(|(label, path, line)| {
            let path = path.display();
            format!("{path}, line {line}: joins names of the label \"{label}\", and no line of any list gives that label")
        });
        let mut warnings: Vec<String> = doubts.first.iter().cloned().chain(joined).collect();
        if doubts.more > 0 {
            warnings.push(format!("{} more lines like these", doubts.more));
        }
        warnings
    }

    /// How it is used.
    pub fn rule(&self) -> Rule {
        self.rule
    }

    /// Whether something that a model has found is sure enough to stand beside the list.
    pub fn lets_stand(&self, span: &Span) -> bool {
        let mut labels = self.content.terms.labels();
        span.score >= self.rule.least || !labels.any(|label| label.eq_ignore_ascii_case(&span.label))
    }
}

#[expect(clippy::cast_precision_loss, reason = "At most 100.")]
fn share(percent: usize) -> f32 {
    percent as f32 / 100.0
}

/// The files at a path, by their names.
fn read(path: &Path) -> Result<Vec<(PathBuf, Vec<u8>)>, ListError> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| ListError::Io { path, source }
    };
    let mut files = vec![path.to_owned()];
    if path.is_dir() {
        let entries = std::fs::read_dir(path).map_err(failed(path))?;
        let entries: Result<Vec<_>, _> = entries.map(|entry| entry.map(|entry| entry.path())).collect();
        files = entries.map_err(failed(path))?;
        // Editors and spreadsheets put their locks and copies there.
        let begins = |file: &Path, mark: &[u8]| {
            file.file_name()
                .is_some_and(|name| name.as_encoded_bytes().starts_with(mark))
        };
        files.retain(|file| {
            file.extension()
                .is_some_and(|extension| extension.eq_ignore_ascii_case("tsv"))
        });
        files.retain(|file| !begins(file, b".") && !begins(file, b"~"));
        files.sort();
        if files.is_empty() {
            return Err(ListError::None {
                path: path.to_owned(),
            });
        }
    }
    let mut left = MOST_BYTES;
    let read = files.into_iter().map(|file| {
        // Before it is opened, as a pipe would wait for somebody who writes.
        let metadata = std::fs::metadata(&file).map_err(failed(&file))?;
        if !metadata.is_file() {
            return Err(failed(&file)(std::io::Error::other("it is no file")));
        }
        if metadata.len() > left {
            return Err(ListError::Large { path: file });
        }
        let opened = File::open(&file).map_err(failed(&file))?;
        let mut bytes = Vec::new();
        opened
            .take(left + 1)
            .read_to_end(&mut bytes)
            .map_err(failed(&file))?;
        left = left
            .checked_sub(bytes.len() as u64)
            .ok_or_else(|| ListError::Large { path: file.clone() })?;
        Ok((file, bytes))
    });
    read.collect()
}

/// A cell as it was meant: spreadsheets put quotation marks around some.
fn cell(field: &str) -> Cow<'_, str> {
    let field = field.trim();
    let inner = field.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    inner.map_or(Cow::Borrowed(field), |inner| {
        Cow::Owned(inner.replace("\"\"", "\""))
    })
}

impl Content {
    /// Reads files.
    fn new(path: &Path, files: &[(PathBuf, Vec<u8>)], is_tolerant: bool) -> Result<Self, Vec<ListError>> {
        let mut content = Self::default();
        let mut wrong = Told::default();
        for (file, bytes) in files {
            if let Err(error) = content.take(file, bytes, &mut wrong) {
                wrong.push(error);
            }
        }
        let path = || path.to_owned();
        if wrong.more > 0 {
            wrong.first.push(ListError::More {
                path: path(),
                count: wrong.more,
            });
        }
        if wrong.first.is_empty() && content.terms.is_empty() {
            wrong.first.push(ListError::Empty { path: path() });
        }
        match wrong.first.is_empty() {
            true if is_tolerant => Ok(Self {
                terms: content.terms.tolerant(),
                ..content
            }),
            true => Ok(content),
            false => Err(wrong.first),
        }
    }

    /// Takes in the lines of a file. Empty ones are left out, and before the header those that begin with `#`.
    fn take(&mut self, path: &Path, bytes: &[u8], wrong: &mut Told<ListError>) -> Result<(), ListError> {
        let path = || path.to_owned();
        let text = std::str::from_utf8(bytes).map_err(|error| {
            let before = bytes.get(..error.valid_up_to()).unwrap_or_default();
            let line = 1 + before.iter().filter(|byte| **byte == b'\n').count();
            ListError::Encoding { path: path(), line }
        })?;
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let lines = (1..).zip(text.lines());
        let mut lines = lines.filter(|(_, line)| !line.trim().is_empty());
        let Some((first, header)) = lines.find(|(_, line)| !line.starts_with('#')) else {
            return Ok(());
        };
        let header: Vec<String> = header
            .split('\t')
            .map(|field| cell(field).to_lowercase())
            .collect();
        let place = |column: &str| header.iter().position(|own| own == column);
        let is_known = |(at, own): (usize, &String)| COLUMNS.contains(&&**own) && place(own) == Some(at);
        let unknown = header.iter().enumerate().position(|column| !is_known(column));
        let (Some(name), Some(label), None) = (place("name"), place("label"), unknown) else {
            return Err(ListError::Header {
                path: path(),
                line: first,
                wrong: match unknown {
                    Some(at) => format!("column {} is none of these, or there twice", at + 1),
                    None => "name or label is missing".to_owned(),
                },
            });
        };
        let (language, joins, beside) = (place("language"), place("joins"), place("beside"));
        let mut doubts = Doubts::default();
        for (line, fields) in lines {
            let fields: Vec<Cow<'_, str>> = fields.split('\t').map(cell).collect();
            // Editors cut white space off the end of a line.
            if fields.len() > header.len() || fields.len() <= name.max(label) {
                wrong.push(ListError::Columns {
                    path: path(),
                    line,
                    found: fields.len(),
                    expected: header.len(),
                });
                continue;
            }
            let field = |at: Option<usize>| at.and_then(|at| fields.get(at)).map_or("", |field| field);
            let term = Term {
                name: field(Some(name)),
                label: field(Some(label)),
                language: field(language),
                joins: field(joins),
                beside: field(beside),
            };
            match self.terms.add(term) {
                Ok(alike) => {
                    match doubts.of(alike, line, term.label) {
                        Some(Beside::Other) => {
                            let name = path().file_name().unwrap_or_default().display().to_string();
                            self.twice.push(format!("{name}, line {line}"));
                        }
                        Some(Beside::Hiding(doubt)) => {
                            self.doubts
                                .push(format!("{}, line {line}: {doubt}", path().display()));
                        }
                        None => {}
                    }
                    // Words that are just right are looked for one by one.
                    if term.label != RIGHT && !is_found(&term) {
                        let doubt = "is never found, as no text has it as one name: write it without a dash or a row of spaces within";
                        self.doubts
                            .push(format!("{}, line {line}: {doubt}", path().display()));
                    }
                    let is_known = self.joined.iter().any(|(label, ..)| label == term.joins);
                    if !is_known && !term.joins.is_empty() {
                        self.joined.push((term.joins.to_owned(), path(), line));
                    }
                }
                Err(source) => wrong.push(ListError::Term {
                    path: path(),
                    line,
                    source,
                }),
            }
        }
        Ok(())
    }
}

/// What a line is beside one that names the same.
enum Beside {
    /// Another label, which may well be meant.
    Other,
    /// One of the two hides what the other is to find, in words.
    Hiding(String),
}

/// The lines of a file so far, by what they name.
#[derive(Default)]
struct Doubts {
    lines: HashMap<u64, (usize, u16)>,
    labels: Vec<String>,
}

impl Doubts {
    /// What a line is beside one that names the same. A name that is found may join others in a line of its own.
    fn of(&mut self, alike: u64, line: usize, label: &str) -> Option<Beside> {
        if label.is_empty() || label == RIGHT {
            return None;
        }
        let known = self.labels.iter().position(|own| own.eq_ignore_ascii_case(label));
        let own = known.unwrap_or(self.labels.len());
        if known.is_none() {
            self.labels.push(label.to_owned());
        }
        let own = u16::try_from(own).ok()?;
        let (before, other) = *self.lines.entry(alike).or_insert((line, own));
        let hides = |label: u16| {
            self.labels
                .get(usize::from(label))
                .is_some_and(|label| label == HIDING)
        };
        match (hides(other), hides(own)) {
            _ if other == own => None,
            (false, false) => Some(Beside::Other),
            (true, _) => Some(Beside::Hiding(format!(
                "gives a label to the name that line {before} hides, so that it is never found; take one of the two out"
            ))),
            (_, true) => Some(Beside::Hiding(format!(
                "hides the name that line {before} gives a label, so that it is never found; take one of the two out"
            ))),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use mednerd_pipeline::terms::find;

    use super::*;

    pub(crate) fn load(
        path: &Path,
        score_percent: usize,
        known: &[&Arc<List>],
    ) -> Result<Arc<List>, Vec<ListError>> {
        let wanted = config::Terms {
            name: "ward".to_owned(),
            path: path.to_owned(),
            default: true,
            score_percent,
            misspelt_percent: 0,
            sure_percent: 90,
            models_percent: 70,
            short_forms: false,
            place: config::Place {
                file: PathBuf::from("mednerd.toml"),
                line: None,
            },
        };
        List::load(&wanted, known.iter().copied())
    }

    fn write(folder: &Path, name: &str, content: &[u8]) {
        std::fs::write(folder.join(name), content).unwrap();
    }

    #[test]
    fn a_folder_is_read_and_read_again_only_where_it_has_changed() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        write(
            folder,
            "a.tsv",
            b"\xef\xbb\xbf# ours\n\"Name\"\tLabel\tjoins\r\n\"UWI\"\tDisease\r\n\r\n#NOF\tDisease\t\n",
        );
        write(
            folder,
            "b.tsv",
            b"label\tlanguage\tname\tjoins\nDisease\tde\tGicht\t\n",
        );
        write(folder, "notes.txt", b"no list");
        write(folder, ".#b.tsv", b"no list");
        let first = load(folder, 80, &[]).unwrap();
        assert_eq!(first.terms().len(), 3);
        assert_eq!(find("UWI", &[first.terms()]).names.len(), 1);
        assert!((first.rule().score - 0.8).abs() < 1e-6);
        let again = load(folder, 80, &[&first]).unwrap();
        assert!(Arc::ptr_eq(&first, &again));
        let surer = load(folder, 90, &[&first]).unwrap();
        assert!(Arc::ptr_eq(&first.content, &surer.content) && surer.rule().score > 0.89);
        write(folder, "b.tsv", b"name\tlabel\nGicht\tDisease\n");
        let changed = load(folder, 80, &[&first]).unwrap();
        assert_ne!(changed.digest, first.digest);
        let alone = load(&folder.join("a.tsv"), 80, &[]).unwrap();
        assert_eq!(alone.terms().len(), 2);
    }

    #[test]
    fn what_is_no_list_is_refused_by_file_and_line_and_never_quoted() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        let error = |folder: &Path| load(folder, 80, &[]).err().unwrap().remove(0);
        assert!(matches!(error(folder), ListError::None { .. }));
        for (content, line, expected) in [
            (
                &b"name\tlabel\nsecret\tDisease\nsec\xffret\tDisease\n"[..],
                3,
                "is not UTF-8",
            ),
            (b"# x\nsecret\tDisease\n", 2, "column 1 is none of these"),
            (
                b"name\tlabel\tname\n",
                1,
                "column 3 is none of these, or there twice",
            ),
            (b"name\tlanguage\n", 1, "name or label is missing"),
            (
                b"name\tlabel\nsecret\n",
                2,
                "has 1 columns, and the first line names 2",
            ),
            (b"name\tlabel\n\nsecret\t\n", 3, "neither a label"),
            (
                b"name\tlabel\tlanguage\nsecret\tDisease\txx\n",
                2,
                "the language may be en, de, ",
            ),
        ] {
            write(folder, "a.tsv", content);
            let error = error(folder).to_string();
            let place = folder.join("a.tsv");
            assert!(
                error.starts_with(&format!("{}, line {line}: ", place.display())),
                "{error}"
            );
            assert!(error.contains(expected) && !error.contains("secret"), "{error}");
        }
        write(folder, "a.tsv", b"# ours\nname\tlabel\n");
        assert!(matches!(error(folder), ListError::Empty { .. }));
        std::fs::create_dir(folder.join("z.tsv")).unwrap();
        assert!(matches!(error(folder), ListError::Io { .. }));
    }

    #[test]
    fn all_wrong_lines_are_told_as_far_as_one_reads() {
        let folder = tempfile::tempdir().unwrap();
        let wrong = |names: usize| "secret\t\n".repeat(names);
        let text = format!("name\tlabel\n{}gout\tDisease\ngout\n{}", wrong(2), wrong(9));
        write(folder.path(), "a.tsv", text.as_bytes());
        write(folder.path(), "b.tsv", b"label\n");
        let told = load(folder.path(), 80, &[]).err().unwrap();
        let told: Vec<String> = told.iter().map(ToString::to_string).collect();
        assert_eq!(told.len(), MOST_TOLD + 1);
        for (error, line) in told.iter().zip([2, 3, 5, 6, 7, 8, 9, 10, 11, 12]) {
            assert!(error.contains(&format!("a.tsv, line {line}: ")), "{error}");
        }
        let last = told.last().unwrap();
        assert!(last.ends_with("has 3 more wrong lines"), "{last}");
    }

    #[test]
    fn what_is_probably_not_meant_is_told_with_its_lines() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        let list = |name: &str, lines: &[&str]| {
            let text = format!("name\tlabel\tlanguage\tjoins\n{}\n", lines.join("\n"));
            write(folder, name, text.as_bytes());
            let list = load(folder, 80, &[]).unwrap();
            NamedList {
                name: name.to_owned(),
                default: true,
                list,
            }
        };
        let all = [list(
            "a.tsv",
            &[
                "gout\tDisease",
                "crea\t-\tes",
                "Gout\tProblem",
                "crea\tChemical\tes",
                "gout\t-",
                // What follows means something.
                "gout\t-\tnl",
                "gout\t\t\tdisease",
                "acute\t\t\tDisorder",
                "GIT\tAnatomy",
                "git\t-",
                "GIT\tanatomy\t\tDisorder",
                "knee - swelling\tDisease",
            ],
        )];
        let told = all[0].list.warnings(&all);
        let expected = [
            (5, "the name that line 3 hides"),
            (6, "hides the name that line 2 gives a label"),
            (13, "is never found"),
            (9, "the label \"Disorder\""),
        ];
        assert_eq!(told.len(), expected.len(), "{told:?}");
        for (told, (line, words)) in told.iter().zip(expected) {
            assert!(
                told.contains(&format!("a.tsv, line {line}: ")) && told.contains(words),
                "{told}"
            );
        }
        let twice = all[0].list.twice().unwrap();
        assert!(twice.ends_with("found as both: a.tsv, line 4"), "{twice}");
        // Files and lists may hide what others have, and join it.
        let more = [list("b.tsv", &["gout\t-", "ankle\tDisorder"]), all[0].clone()];
        assert_eq!(all[0].list.warnings(&more).len(), 3);
        assert_eq!(more[0].list.warnings(&more).len(), 3);
    }
}
