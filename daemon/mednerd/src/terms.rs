//! Lists of names, read from files: one for each `[[terms]]` of the configuration.

use std::borrow::Cow;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;
use mednerd_pipeline::{Span, Term, TermError, Terms};
use sha2::{Digest, Sha256};

use crate::app::now;
use crate::config;
use crate::page::hexadecimal;

/// A list's files are never larger, together.
const MOST_BYTES: u64 = 1 << 30;
/// The columns that a file may have; the first two must be there.
const COLUMNS: [&str; 4] = ["name", "label", "language", "joins"];

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
        "{}, line {line}: {wrong}; the first line names the columns, separated by tabs: name and label, and where wanted language and joins",
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
    terms: Arc<Terms>,
    rule: Rule,
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
    /// [`ListError`], which names file and line and never a name.
    pub fn load<'a>(
        wanted: &config::Terms,
        known: impl IntoIterator<Item = &'a Arc<Self>>,
    ) -> Result<Arc<Self>, ListError> {
        let path = &wanted.path;
        let files = read(path)?;
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
        };
        let is_tolerant = wanted.misspelt_percent > 0;
        let mut before = known.into_iter().filter(|list| list.digest == digest).peekable();
        let terms = before.peek().map(|list| Arc::clone(&list.terms));
        let terms = terms.filter(|terms| terms.is_tolerant() == is_tolerant);
        if let Some(same) = before.find(|list| list.rule == rule) {
            return Ok(Arc::clone(same));
        }
        let terms = match terms {
            Some(terms) => terms,
            None => {
                let mut terms = Terms::default();
                for (file, bytes) in &files {
                    take(&mut terms, file, bytes)?;
                }
                if terms.is_empty() {
                    return Err(ListError::Empty { path: path.clone() });
                }
                Arc::new(if is_tolerant { terms.tolerant() } else { terms })
            }
        };
        Ok(Arc::new(Self {
            digest,
            loaded_at: now(),
            terms,
            rule,
        }))
    }

    /// The names.
    pub fn terms(&self) -> &Terms {
        &self.terms
    }

    /// How it is used.
    pub fn rule(&self) -> Rule {
        self.rule
    }

    /// Whether something that a model has found is sure enough to stand beside the list.
    pub fn lets_stand(&self, span: &Span) -> bool {
        let mut labels = self.terms.labels();
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

/// Takes in the lines of a file. Empty ones are left out, and before the header those that begin with `#`.
fn take(terms: &mut Terms, path: &Path, bytes: &[u8]) -> Result<(), ListError> {
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
    let (language, joins) = (place("language"), place("joins"));
    for (line, fields) in lines {
        let fields: Vec<Cow<'_, str>> = fields.split('\t').map(cell).collect();
        // Editors cut white space off the end of a line.
        if fields.len() > header.len() || fields.len() <= name.max(label) {
            return Err(ListError::Columns {
                path: path(),
                line,
                found: fields.len(),
                expected: header.len(),
            });
        }
        let field = |at: Option<usize>| at.and_then(|at| fields.get(at)).map_or("", |field| field);
        let term = Term {
            name: field(Some(name)),
            label: field(Some(label)),
            language: field(language),
            joins: field(joins),
        };
        terms.add(term).map_err(|source| ListError::Term {
            path: path(),
            line,
            source,
        })?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use mednerd_pipeline::terms::find;

    use super::*;

    fn load(path: &Path, score_percent: usize, known: &[&Arc<List>]) -> Result<Arc<List>, ListError> {
        let wanted = config::Terms {
            name: "ward".to_owned(),
            path: path.to_owned(),
            default: true,
            score_percent,
            misspelt_percent: 0,
            sure_percent: 90,
            models_percent: 70,
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
        assert!(Arc::ptr_eq(&first.terms, &surer.terms) && surer.rule().score > 0.89);
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
        assert!(matches!(load(folder, 80, &[]), Err(ListError::None { .. })));
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
            let error = load(folder, 80, &[]).err().unwrap().to_string();
            let place = folder.join("a.tsv");
            assert!(
                error.starts_with(&format!("{}, line {line}: ", place.display())),
                "{error}"
            );
            assert!(error.contains(expected) && !error.contains("secret"), "{error}");
        }
        write(folder, "a.tsv", b"# ours\nname\tlabel\n");
        assert!(matches!(load(folder, 80, &[]), Err(ListError::Empty { .. })));
        std::fs::create_dir(folder.join("z.tsv")).unwrap();
        assert!(matches!(load(folder, 80, &[]), Err(ListError::Io { .. })));
    }
}
