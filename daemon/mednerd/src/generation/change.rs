//! A state in the making: what is read, and what is taken over from the state before.

use std::path::Path;
use std::sync::Arc;

use mednerd_model::Checkpoint;
use mednerd_pipeline::Overlaps;
use mednerd_plugin::ability;

use super::{Entry, Generation, NamedBase};
use crate::config::{self, Config, Precision, Problem};
use crate::models::{Base, LoadError, Model};
use crate::plugins::{Plugin, PluginError};
use crate::rerank::Reranker;
use crate::terms::{List, NamedList};
use crate::zero_shot::{self, Label};

/// The encoder of `[linking]`, where one is named.
pub(super) fn load_reranker(
    config: &Config,
    previous: Option<&Generation>,
    problems: &mut Vec<Problem>,
) -> Option<Arc<Reranker>> {
    let place = config.linking.place.as_ref()?;
    let before = previous.and_then(|previous| previous.reranker.as_ref());
    Reranker::load(&config.linking, config.engine.worker_threads(), before)
        .map_err(|error| {
            let problem = Problem::at(place, format!("linking.rerank: {error}"));
            problems.push(problem.because_of(&error));
        })
        .ok()
}

/// Starts the plugins, all at once; those that have not changed go on serving. One that cannot open now is out of service in the
/// `first` state, and where it was so before.
pub(super) fn load_plugins<'a>(
    config: &'a Config,
    before: &[Arc<Plugin>],
    first: bool,
    problems: &mut Vec<Problem>,
) -> Vec<(&'a config::Plugin, Arc<Plugin>)> {
    let started: Vec<_> = config
        .plugins
        .iter()
        .map(|wanted| {
            let kept = before
                .iter()
                .find(|plugin| plugin.is(wanted, &config.plugin_policy));
            let plugin = match kept {
                Some(plugin) => Ok(Arc::clone(plugin)),
                None => Plugin::launch(wanted, &config.plugin_policy).map(Arc::new),
            };
            (wanted, plugin)
        })
        .collect();
    let mut plugins: Vec<(&config::Plugin, Arc<Plugin>)> = Vec::new();
    for (wanted, plugin) in started {
        let unopened = |other: &Arc<Plugin>| other.path() == wanted.path && !other.is_open();
        // A task is a model, and nobody serves without a model that is configured.
        let waits = |plugin: &Plugin| (first || before.iter().any(unopened)) && !plugin.has(ability::ADAPTER);
        let ready = plugin.and_then(|plugin| match plugin.wait_ready() {
            Err(error) if error.may_pass() && waits(&plugin) => {
                tracing::error!(plugin = plugin.id(), "out of service, and tried again: {error}");
                Ok(plugin)
            }
            ready => ready.map(|()| plugin),
        });
        match ready {
            Ok(plugin) if plugins.iter().any(|(_, other)| other.id() == plugin.id()) => {
                let why = format!("a plugin \"{}\" is already defined; take one out", plugin.id());
                problems.push(Problem::at(&wanted.place, why));
            }
            Ok(plugin) => plugins.push((wanted, plugin)),
            Err(error) => {
                let problem = Problem::at(&wanted.place, error.to_string());
                problems.push(if error.may_pass() {
                    problem.passing()
                } else {
                    problem
                });
            }
        }
    }
    plugins
}

/// Where something of a state comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// It was read.
    Loaded,
    /// The state before had it, or this one has it already.
    Kept,
}

impl Origin {
    fn of(kept: bool) -> Self {
        match kept {
            true => Self::Kept,
            false => Self::Loaded,
        }
    }
}

/// A state in the making. What the state before has of it is taken over: files are known by their digest.
pub(super) struct Change<'a> {
    previous: Option<&'a Generation>,
    precision: Precision,
    pub(super) bases: Vec<NamedBase>,
    pub(super) entries: Vec<Arc<Entry>>,
    pub(super) loaded: Vec<String>,
    pub(super) kept: Vec<String>,
    /// Digests of the bases for which plugins bring adapters.
    pub(super) adapted: Vec<String>,
}

impl<'a> Change<'a> {
    pub(super) fn new(previous: Option<&'a Generation>, precision: Precision) -> Self {
        Self {
            previous,
            precision,
            bases: Vec::new(),
            entries: Vec::new(),
            loaded: Vec::new(),
            kept: Vec::new(),
            adapted: Vec::new(),
        }
    }

    /// Takes in one table of the configuration, its adapters included.
    pub(super) fn take(&mut self, wanted: &config::Model) -> Result<(), Problem> {
        let told = |place, name: &str, why: String| Problem::at(place, format!("model \"{name}\": {why}"));
        let unread =
            |place, name: &str, error: LoadError| told(place, name, error.to_string()).because_of(&error);
        let (base, origin) = self
            .base(&wanted.path, !wanted.adapters.is_empty())
            .map_err(|error| unread(&wanted.place, &wanted.name, error))?;
        if base.model.is_none() && wanted.default {
            let why = "it has no classification head, so it cannot be a default; make its adapters that";
            return Err(told(&wanted.place, &wanted.name, why.to_owned()));
        }
        if let Some(model) = &base.model {
            check_labels(model, wanted.default, &wanted.labels)
                .map_err(|why| told(&wanted.place, &wanted.name, why))?;
        }
        self.note(&wanted.name, origin);
        self.name(&wanted.name, wanted.default, wanted.labels.clone(), &base);
        for adapter in &wanted.adapters {
            let (model, origin) = self
                .adapter(&adapter.path, &base)
                .map_err(|error| unread(&adapter.place, &adapter.name, error))?;
            let labels = if adapter.labels.is_empty() {
                &wanted.labels
            } else {
                &adapter.labels
            };
            check_labels(&model, adapter.default, labels)
                .map_err(|why| told(&adapter.place, &adapter.name, why))?;
            self.note(&adapter.name, origin);
            self.insert(Entry {
                name: adapter.name.clone(),
                default: adapter.default,
                model,
                base: wanted.name.clone(),
                plugin: None,
                labels: labels.clone(),
            });
        }
        Ok(())
    }

    /// Reads the lists of names; those that have not changed are taken over.
    pub(super) fn lists(&mut self, config: &Config, problems: &mut Vec<Problem>) -> Vec<NamedList> {
        let mut lists = Vec::with_capacity(config.terms.len());
        for wanted in &config.terms {
            let problem = |why: &dyn std::fmt::Display| {
                Problem::at(&wanted.place, format!("terms \"{}\": {why}", wanted.name))
            };
            if self
                .entries
                .iter()
                .any(|entry| entry.name == wanted.name && entry.plugin.is_some())
            {
                problems.push(problem(&"a plugin brings a model of that name; rename it"));
                continue;
            }
            let before = self.previous.iter().flat_map(|previous| &previous.terms);
            let before: Vec<&Arc<List>> = before.map(|named| &named.list).collect();
            match List::load(wanted, before.iter().copied()) {
                Ok(list) => {
                    let kept = before.iter().any(|known| Arc::ptr_eq(known, &list));
                    self.note(&wanted.name, Origin::of(kept));
                    lists.push(NamedList {
                        name: wanted.name.clone(),
                        default: wanted.default,
                        list,
                    });
                }
                Err(errors) => problems.extend(errors.iter().map(|error| problem(error).because_of(error))),
            }
        }
        lists
    }

    /// Takes in the NER task that a plugin brings, if it brings one.
    pub(super) fn task(&mut self, default: bool, plugin: &Arc<Plugin>) -> Result<(), TaskError> {
        let Some(task) = plugin.task() else {
            return match default {
                true => Err(TaskError::NoTask),
                false => Ok(()),
            };
        };
        let taken = self.bases.iter().any(|base| base.name == task.name)
            || self.entries.iter().any(|entry| entry.name == task.name);
        if taken {
            return Err(TaskError::Name(task.name.clone()));
        }
        let over = |base: &&NamedBase| base.base.facts.digest.eq_ignore_ascii_case(&task.base);
        let Some(base) = self.bases.iter().find(over).cloned() else {
            let loaded = self.bases.iter();
            let loaded: Vec<String> = loaded
                .map(|base| format!("{} ({})", base.name, base.base.facts.digest))
                .collect();
            return Err(TaskError::Base {
                task: task.name.clone(),
                wanted: task.base.clone(),
                loaded: loaded.join(", "),
            });
        };
        // The same plugin over the same base: it was asked before.
        let before = self.previous.and_then(|previous| {
            let entry = previous.entry(&task.name)?;
            let same = entry
                .plugin
                .as_ref()
                .is_some_and(|known| Arc::ptr_eq(known, plugin))
                && previous
                    .bases
                    .iter()
                    .any(|known| known.name == entry.base && Arc::ptr_eq(&known.base, &base.base));
            same.then(|| Arc::clone(&entry.model))
        });
        let origin = Origin::of(before.is_some());
        let model = match before {
            Some(model) => model,
            None => {
                let place = format!("plugin:{}", plugin.id());
                let adapter = base
                    .base
                    .take_adapter(Path::new(&place), plugin.adapter_files()?)?;
                Arc::new(base.base.adapt(&adapter)?)
            }
        };
        let sorted = |labels: &[String]| {
            let mut labels = labels.to_vec();
            labels.sort();
            labels
        };
        if sorted(&model.facts.labels) != sorted(&task.labels) {
            return Err(TaskError::Labels {
                declared: task.labels.join(", "),
                found: model.facts.labels.join(", "),
            });
        }
        self.note(&task.name, origin);
        self.insert(Entry {
            name: task.name.clone(),
            default,
            model,
            base: base.name,
            plugin: Some(Arc::clone(plugin)),
            labels: Vec::new(),
        });
        Ok(())
    }

    /// Puts an adapter behind the others over its base.
    pub(super) fn insert(&mut self, entry: Entry) {
        let after = self.entries.iter().rposition(|other| other.base == entry.base);
        let place = after.map_or(self.entries.len(), |after| after + 1);
        self.entries.insert(place, Arc::new(entry));
    }

    /// A checkpoint; one without a head only where it is to have adapters.
    pub(super) fn base(&self, path: &Path, adapted: bool) -> Result<(Arc<Base>, Origin), LoadError> {
        let mut checkpoint = Checkpoint::open_base(path)?;
        let bare = checkpoint.headless() && checkpoint.gliner().is_none();
        if bare && !adapted && !self.adapted.iter().any(|base| base == checkpoint.digest()) {
            checkpoint = Checkpoint::open(path)?;
        }
        let before = self.previous.iter().flat_map(|previous| &previous.bases);
        let known = before.chain(&self.bases).find(|known| {
            known.base.facts.digest == checkpoint.digest() && known.base.asked == self.precision
        });
        Ok(match known {
            Some(known) => (Arc::clone(&known.base), Origin::Kept),
            None => (Arc::new(Base::load(checkpoint, self.precision)?), Origin::Loaded),
        })
    }

    /// An adapter over a checkpoint.
    pub(super) fn adapter(&self, path: &Path, base: &Arc<Base>) -> Result<(Arc<Model>, Origin), LoadError> {
        let adapter = base.open_adapter(path)?;
        let states = [
            (self.previous.map(|p| &p.bases), self.previous.map(|p| &p.entries)),
            (Some(&self.bases), Some(&self.entries)),
        ];
        let known = states.into_iter().find_map(|(bases, entries)| {
            let bases = bases?;
            entries?.iter().find(|entry| {
                let over = bases
                    .iter()
                    .find(|over| over.name == entry.base && over.name != entry.name);
                over.is_some_and(|over| Arc::ptr_eq(&over.base, base))
                    && entry.model.facts.digest == adapter.digest()
            })
        });
        Ok(match known {
            Some(known) => (Arc::clone(&known.model), Origin::Kept),
            None => (Arc::new(base.adapt(&adapter)?), Origin::Loaded),
        })
    }

    /// Puts a checkpoint behind the others and, where it has a head, its model.
    pub(super) fn name(&mut self, name: &str, default: bool, labels: Vec<Label>, base: &Arc<Base>) {
        self.bases.push(NamedBase {
            name: name.to_owned(),
            base: Arc::clone(base),
        });
        if let Some(model) = &base.model {
            self.entries.push(Arc::new(Entry {
                name: name.to_owned(),
                default,
                model: Arc::clone(model),
                base: name.to_owned(),
                plugin: None,
                labels,
            }));
        }
    }

    fn note(&mut self, name: &str, origin: Origin) {
        let list = match origin {
            Origin::Loaded => &mut self.loaded,
            Origin::Kept => &mut self.kept,
        };
        list.push(name.to_owned());
    }
}

/// Why a plugin's NER task is not taken in.
#[derive(Debug, thiserror::Error)]
pub(super) enum TaskError {
    #[error("default = true is for plugins that bring a NER task, and this one brings none; take it out")]
    NoTask,
    #[error("it brings a task named \"{0}\", and there is a model of that name; rename one")]
    Name(String),
    #[error(
        "its task \"{task}\" is for the base model with the digest {wanted}, which is not loaded; loaded are {loaded}. Add that \
         base to [[models]], or ask the vendor for a plugin for yours"
    )]
    Base {
        task: String,
        wanted: String,
        loaded: String,
    },
    #[error("its task declares the labels {declared}, and its adapter has {found}")]
    Labels { declared: String, found: String },
    #[error(transparent)]
    Plugin(#[from] PluginError),
    #[error(transparent)]
    Load(#[from] LoadError),
}

/// Checks the labels that a model looks for where a request does not say.
pub(super) fn check_labels(model: &Model, default: bool, labels: &[Label]) -> Result<(), String> {
    let Some(zero_shot) = model.zero_shot() else {
        return match labels {
            [] => Ok(()),
            _ => Err(
                "\"labels\" is for zero-shot models, and this one has labels of its own; leave it out"
                    .to_owned(),
            ),
        };
    };
    if labels.is_empty() && default {
        return Err("a zero-shot model that is a default needs \"labels\", which it looks for".to_owned());
    }
    let asked = zero_shot.ask(labels, zero_shot::THRESHOLD, Overlaps::default());
    asked.map(|_| ()).map_err(|fault| fault.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_encoder_on_a_disk_that_does_not_answer_yet_may_be_there_later() {
        let folder = tempfile::tempdir().unwrap();
        let encoder = folder.path().join("encoder");
        std::fs::create_dir(&encoder).unwrap();
        let file = folder.path().join("mednerd.toml");
        std::fs::write(&file, format!("[linking]\nrerank = {encoder:?}\n")).unwrap();
        let (config, _) = Config::load(&file);
        let passing = || {
            let mut problems = Vec::new();
            assert!(load_reranker(&config, None, &mut problems).is_none());
            problems.iter().map(|problem| problem.passing).collect::<Vec<_>>()
        };
        assert_eq!(passing(), [false], "nothing is there");
        // Reading the first page of memory, where nothing is, gives EIO.
        std::os::unix::fs::symlink("/proc/self/mem", encoder.join("config.json")).unwrap();
        assert_eq!(passing(), [true]);
    }
}
