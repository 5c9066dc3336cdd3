//! One whole state of the daemon: a configuration, who may call, and the models it names. It is made
//! and checked as a whole, then swapped in; requests under way keep the one they began with.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;
use mednerd_client::api::{self, ReloadResponse};
use mednerd_model::Checkpoint;

use crate::access::Policy;
use crate::app::now;
use crate::config::{self, Config, Problem};
use crate::models::{LoadError, Model};

/// A model under the name that requests use.
pub struct Entry {
    /// The name.
    pub name: String,
    /// Whether requests that name no model get it.
    pub default: bool,
    /// The model; several entries and generations may share one.
    pub model: Arc<Model>,
}

/// One whole state.
pub struct Generation {
    /// What the administrator wrote.
    pub config: Config,
    /// Who may call.
    pub policy: Policy,
    /// The models, in the order of the configuration.
    pub entries: Vec<Arc<Entry>>,
    /// When it was made.
    pub loaded_at: Timestamp,
}

impl Generation {
    /// Reads and checks the configuration and loads every model, taking over from `previous` those
    /// whose files have not changed.
    ///
    /// # Errors
    /// Every problem that was found.
    pub fn load(file: &Path, previous: Option<&Self>) -> Result<(Self, ReloadResponse), Vec<Problem>> {
        let (config, mut problems) = Config::load(file);
        // What could not be read is at its default, which says nothing.
        let readable = problems.is_empty();
        if let (true, Some(previous)) = (readable, previous) {
            problems.extend(previous.config.needs_restart(&config));
        }
        if readable && config.models.is_empty() {
            problems.push(Problem {
                place: None,
                message: format!(
                    "no model is configured; add a [[models]] table with name and path to {}",
                    file.display()
                ),
            });
        }
        let policy = Policy::resolve(&config.access).unwrap_or_else(|found| {
            problems.extend(found);
            Policy::default()
        });
        let mut change = Change::new(previous);
        let entries = config
            .models
            .iter()
            .filter_map(|wanted| match change.entry(wanted) {
                Ok(entry) => Some(Arc::new(entry)),
                Err(error) => {
                    problems.push(Problem::at(
                        &wanted.place,
                        format!("model \"{}\": {error}", wanted.name),
                    ));
                    None
                }
            })
            .collect();
        if !problems.is_empty() {
            config.sort(&mut problems);
            return Err(problems);
        }
        let generation = Self {
            config,
            policy,
            entries,
            loaded_at: now(),
        };
        let response = change.response(previous, &generation);
        Ok((generation, response))
    }

    /// The models that a request means. A name that is not loaded gives `None`.
    pub fn select(&self, names: Option<&[String]>) -> Option<Vec<Arc<Entry>>> {
        let Some(names) = names else {
            return Some(
                self.entries
                    .iter()
                    .filter(|entry| entry.default)
                    .cloned()
                    .collect(),
            );
        };
        let mut selected: Vec<Arc<Entry>> = Vec::with_capacity(names.len());
        for name in names {
            let entry = self.entries.iter().find(|entry| entry.name == *name)?;
            if !selected.iter().any(|other| other.name == entry.name) {
                selected.push(Arc::clone(entry));
            }
        }
        Some(selected)
    }

    /// What is allowed and probably not meant.
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        if !self.entries.iter().any(|entry| entry.default) {
            warnings
                .push("no model has default = true: requests that name no model will be refused".to_owned());
        }
        warnings
    }

    /// The names of all models.
    pub fn names(&self) -> Vec<String> {
        self.entries.iter().map(|entry| entry.name.clone()).collect()
    }
}

impl Entry {
    /// What `GET /v1/models` says of it.
    pub fn info(&self, precision: config::Precision) -> api::ModelInfo {
        let facts = &self.model.facts;
        api::ModelInfo {
            name: self.name.clone(),
            default: self.default,
            family: facts.family.to_owned(),
            engine: api::Engine::Tract,
            precision: precision.name().to_owned(),
            labels: facts.labels.clone(),
            context_tokens: facts.context as u64,
            parameters: facts.parameters,
            languages: facts.languages.clone(),
            license: facts.license.clone(),
            digest: facts.digest.clone(),
            memory_bytes: facts.memory_bytes,
            loaded_at: facts.loaded_at.to_string(),
            adapters: Vec::new(),
        }
    }
}

/// What differs from the generation before: models are known by the digest of their files.
struct Change {
    by_digest: HashMap<String, Arc<Model>>,
    loaded: Vec<String>,
    kept: Vec<String>,
}

impl Change {
    fn new(previous: Option<&Generation>) -> Self {
        let models = previous.into_iter().flat_map(|generation| &generation.entries);
        Self {
            by_digest: models
                .map(|entry| (entry.model.facts.digest.clone(), Arc::clone(&entry.model)))
                .collect(),
            loaded: Vec::new(),
            kept: Vec::new(),
        }
    }

    fn entry(&mut self, wanted: &config::Model) -> Result<Entry, LoadError> {
        let checkpoint = Checkpoint::open(&wanted.path)?;
        let model = match self.by_digest.get(checkpoint.digest()) {
            Some(model) => {
                self.kept.push(wanted.name.clone());
                Arc::clone(model)
            }
            None => {
                let model = Arc::new(Model::load(&checkpoint)?);
                self.by_digest
                    .insert(model.facts.digest.clone(), Arc::clone(&model));
                self.loaded.push(wanted.name.clone());
                model
            }
        };
        Ok(Entry {
            name: wanted.name.clone(),
            default: wanted.default,
            model,
        })
    }

    fn response(self, previous: Option<&Generation>, now: &Generation) -> ReloadResponse {
        let names = now.names();
        let before = previous.map(Generation::names).unwrap_or_default();
        ReloadResponse {
            loaded: self.loaded,
            kept: self.kept,
            unloaded: before.into_iter().filter(|name| !names.contains(name)).collect(),
        }
    }
}

impl Config {
    /// What a running daemon cannot change.
    fn needs_restart(&self, new: &Self) -> Vec<Problem> {
        let fixed = [
            ("server.socket", self.server.socket != new.server.socket),
            (
                "server.admin_socket",
                self.server.admin_socket != new.server.admin_socket,
            ),
            ("engine.threads", self.engine.threads != new.engine.threads),
        ];
        fixed
            .into_iter()
            .filter(|&(_, differs)| differs)
            .map(|(key, _)| Problem {
                place: None,
                message: format!("{key} cannot change while mednerd runs; restart it to use the new value"),
            })
            .collect()
    }
}
