//! `mednerd check-model`: one directory opened, lowered and tried as before it is served. `mednerctl model` asks it.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use mednerd_model::Checkpoint;
use mednerd_pipeline::Aggregation;
use serde::{Deserialize, Serialize};

use crate::config::Precision;
use crate::models::{Base, LoadError, Model, StageError};

/// Sentences with the entities that a model must find in them: a JSON object a line.
const GOLDENS: &str = "goldens.jsonl";
/// A file of goldens is never larger.
const MOST_BYTES: u64 = 8 << 20;

/// What was found out about a directory.
#[derive(Debug, Serialize)]
pub struct Checked {
    /// `model`, `encoder` (no head: a base for adapters), `zero-shot` or `adapter`.
    pub kind: &'static str,
    /// The encoder family.
    pub family: &'static str,
    /// Entity types.
    pub labels: Vec<String>,
    /// Number of parameters; for an adapter, its own.
    pub parameters: u64,
    /// Tokens in a window, special tokens included.
    pub context: usize,
    /// SHA-256 over its files.
    pub digest: String,
    /// From the model card.
    pub license: Option<String>,
    /// Texts whose entities were compared.
    pub goldens: usize,
}

/// Why a directory would not be served.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// It cannot be loaded.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// The goldens cannot be read.
    #[error(
        "{GOLDENS}, line {line}: {reason}; each line is {{\"text\": …, \"entities\": [{{\"begin\", \"end\", \"label\"}}]}}, in code points"
    )]
    Goldens {
        /// Which, from 1; 0 for the file as a whole.
        line: usize,
        /// What is wrong.
        reason: String,
    },
    /// The model finds something else than whoever made it found.
    #[error(
        "{GOLDENS}, line {line}: finds {found} entities, of {expected} expected ones {missed} are not among them; the files are not those that the goldens were made with"
    )]
    Differs {
        /// Which line, from 1.
        line: usize,
        /// How many were found.
        found: usize,
        /// How many should have been.
        expected: usize,
        /// How many of these were not.
        missed: usize,
    },
    /// A stage failed on a golden text.
    #[error("{GOLDENS}, line {line}: {source}")]
    Stage {
        /// Which line, from 1.
        line: usize,
        /// What failed.
        source: StageError,
    },
}

#[derive(Deserialize)]
struct Golden {
    text: String,
    entities: Vec<Mention>,
}

#[derive(Deserialize, PartialEq, Eq, PartialOrd, Ord)]
struct Mention {
    begin: usize,
    end: usize,
    label: String,
}

/// Loads the checkpoint in `dir` or, with a `base`, the adapter, has it read one sentence, and compares what it finds in
/// its `goldens.jsonl`, where it has one.
///
/// # Errors
/// [`CheckError`]
pub fn check(dir: &Path, base: Option<&Path>) -> Result<Checked, CheckError> {
    let opened = Checkpoint::open_base(base.unwrap_or(dir)).map_err(LoadError::from)?;
    let loaded = Base::load(opened, Precision::Fp32)?;
    let (kind, model) = match base {
        Some(_) => {
            let adapter = loaded.open_adapter(dir)?;
            ("adapter", Some(std::sync::Arc::new(loaded.adapt(&adapter)?)))
        }
        None if loaded.facts.zero_shot => ("zero-shot", loaded.model),
        None if loaded.model.is_none() => ("encoder", None),
        None => ("model", loaded.model),
    };
    let facts = model.as_deref().map_or(&loaded.facts, |model| &model.facts);
    let goldens = match model.as_deref() {
        Some(model) if !facts.zero_shot => compare(dir, model)?,
        _ => 0,
    };
    Ok(Checked {
        kind,
        family: facts.family,
        labels: facts.labels.clone(),
        parameters: facts.parameters,
        context: facts.context,
        digest: facts.digest.clone(),
        license: facts.license.clone(),
        goldens,
    })
}

/// Compares with the goldens; how many texts there were.
fn compare(dir: &Path, model: &Model) -> Result<usize, CheckError> {
    let path = dir.join(GOLDENS);
    if !path.is_file() {
        return Ok(0);
    }
    let bad = |line: usize| move |reason: String| CheckError::Goldens { line, reason };
    let file = File::open(&path).map_err(|error| bad(0)(error.to_string()))?;
    let mut count = 0;
    for (line, text) in (1..).zip(BufReader::new(file.take(MOST_BYTES)).lines()) {
        let text = text.map_err(|error| bad(line)(error.to_string()))?;
        let golden: Golden = serde_json::from_str(&text).map_err(|error| bad(line)(error.to_string()))?;
        let found = mentions(model, &golden.text).map_err(|source| CheckError::Stage { line, source })?;
        let missed = golden
            .entities
            .iter()
            .filter(|mention| !found.contains(mention))
            .count();
        if missed > 0 || found.len() != golden.entities.len() {
            let expected = golden.entities.len();
            return Err(CheckError::Differs {
                line,
                found: found.len(),
                expected,
                missed,
            });
        }
        count += 1;
    }
    Ok(count)
}

/// What a token classifier finds in a text, by `simple` aggregation.
fn mentions(model: &Model, text: &str) -> Result<Vec<Mention>, StageError> {
    let prepared = model.prepare(text, None)?;
    let mut parts = Vec::new();
    for unit in 0..prepared.units(None) {
        let outputs = Model::forward(&[(model, None)], &prepared, unit);
        parts.extend(outputs.map_err(|(_, error)| error)?);
    }
    let parts: Vec<_> = parts.iter().collect();
    let spans = model.decode(text, &prepared, &parts, Aggregation::Simple, None, &|| true)?;
    let spans = spans.unwrap_or_default();
    let points = |byte: usize| text.get(..byte).map_or(0, |before| before.chars().count());
    let mention = |span: &mednerd_pipeline::Span| Mention {
        begin: points(span.begin),
        end: points(span.end),
        label: span.label.to_string(),
    };
    Ok(spans.iter().map(mention).collect())
}
