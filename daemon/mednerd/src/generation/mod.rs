//! One whole state of the daemon: a configuration, who may call, and the models it names. It is made
//! and checked as a whole, then swapped in; requests under way keep the one they began with.

mod change;
mod tell;

use std::path::Path;
use std::sync::{Arc, OnceLock};

use jiff::Timestamp;
use mednerd_client::api::{LoadRequest, ReloadResponse};
use mednerd_plugin::ability;

use change::{Change, check_labels, load_plugins, load_reranker};
pub use tell::LISTED;

use crate::access::Policy;
use crate::app::now;
use crate::audit;
use crate::config::{self, Config, Problem};
use crate::models::{Base, LoadError, Model};
use crate::plugins::Plugin;
use crate::rerank::Reranker;
use crate::settings;
use crate::terms::NamedList;
use crate::zero_shot::{self, Label};

/// A model under the name that requests use: a base with its own head, or an adapter.
pub struct Entry {
    /// The name.
    pub name: String,
    /// Whether requests that name no model get it.
    pub default: bool,
    /// The model; several entries and generations may share one.
    pub model: Arc<Model>,
    /// The name of the base that it is, or is an adapter over.
    pub base: String,
    /// The plugin that brings it.
    pub plugin: Option<Arc<Plugin>>,
    /// What a zero-shot model looks for where a request does not say.
    pub labels: Vec<Label>,
}

impl Entry {
    /// The plugin that post-processes what the model finds.
    pub fn refiner(&self) -> Option<&Arc<Plugin>> {
        let refines = |plugin: &&Arc<Plugin>| plugin.task().is_some_and(|task| task.refines);
        self.plugin.as_ref().filter(refines)
    }
}

/// A loaded checkpoint under its name.
#[derive(Clone)]
pub struct NamedBase {
    /// The name.
    pub name: String,
    /// The checkpoint; several names and generations may share one.
    pub base: Arc<Base>,
}

/// One whole state.
pub struct Generation {
    /// What the administrator wrote.
    pub config: Config,
    /// Who may call.
    pub policy: Policy,
    /// The checkpoints, in the order of the configuration.
    pub bases: Vec<NamedBase>,
    /// The models, in the order of the configuration: after each base its adapters.
    pub entries: Vec<Arc<Entry>>,
    /// The lists of names, in the order of the configuration.
    pub terms: Vec<NamedList>,
    /// The plugins, in the order of the configuration.
    pub plugins: Vec<Arc<Plugin>>,
    /// The encoder that concepts are ranked again by.
    pub reranker: Option<Arc<Reranker>>,
    /// When it was made.
    pub loaded_at: Timestamp,
    /// Computed when it is first asked for.
    settings: OnceLock<String>,
}

impl Generation {
    /// What is wrong with the configuration's files and with [access], found out without reading anything else.
    pub fn begins_with(file: &Path) -> Vec<Problem> {
        let (config, mut problems) = Config::load(file);
        problems.extend(audit::check(&config, &problems));
        problems.extend(Policy::resolve(&config.access).err().into_iter().flatten());
        problems
    }

    /// The first state of a daemon. A plugin that cannot open now and may later is out of service in it, and tried again:
    /// the models serve without it.
    ///
    /// # Errors
    /// Every problem that was found.
    pub fn first(file: &Path) -> Result<Self, Vec<Problem>> {
        Self::make(file, None, true).map(|(generation, _)| generation)
    }

    /// Reads and checks the configuration and loads every model, taking over from `previous` those
    /// whose files have not changed.
    ///
    /// # Errors
    /// Every problem that was found.
    pub fn load(file: &Path, previous: Option<&Self>) -> Result<(Self, ReloadResponse), Vec<Problem>> {
        Self::make(file, previous, false)
    }

    fn make(
        file: &Path,
        previous: Option<&Self>,
        first: bool,
    ) -> Result<(Self, ReloadResponse), Vec<Problem>> {
        let (config, mut problems) = Config::load(file);
        // What could not be read is at its default, which says nothing.
        let readable = problems.is_empty();
        if let (true, Some(previous)) = (readable, previous) {
            problems.extend(previous.config.needs_restart(&config));
        }
        let nothing = config.models.is_empty() && config.terms.is_empty();
        let unread = |key| config.whole && config.place(key).is_none();
        if nothing && (readable || (unread("models") && unread("terms"))) {
            let message = format!(
                "no model is configured, and no list of names; add a [[models]] table with name and path to {}",
                file.display()
            );
            problems.push(Problem::new(None, message));
        }
        problems.extend(audit::check(&config, &problems));
        let policy = Policy::resolve(&config.access).unwrap_or_else(|found| {
            problems.extend(found);
            Policy::default()
        });
        let before = previous.map_or(&[][..], |previous| &previous.plugins);
        let plugins = load_plugins(&config, before, first, &mut problems);
        let mut change = Change::new(previous, config.engine.precision);
        let tasks = plugins.iter().filter_map(|(_, plugin)| plugin.task());
        change.adapted = tasks.map(|task| task.base.to_ascii_lowercase()).collect();
        for wanted in &config.models {
            if let Err(problem) = change.take(wanted) {
                problems.push(problem);
            }
        }
        for (wanted, plugin) in &plugins {
            if let Err(why) = change.task(wanted.default, plugin) {
                problems.push(Problem::at(
                    &wanted.place,
                    format!("plugin \"{}\": {why}", plugin.id()),
                ));
            }
        }
        let terms = change.lists(&config, &mut problems);
        let plugins = plugins.into_iter().map(|(_, plugin)| plugin).collect();
        let reranker = load_reranker(&config, previous, &mut problems);
        if !problems.is_empty() {
            config.sort(&mut problems);
            return Err(problems);
        }
        let generation = Self {
            config,
            policy,
            bases: change.bases,
            entries: change.entries,
            terms,
            plugins,
            reranker,
            loaded_at: now(),
            settings: OnceLock::new(),
        };
        let names = generation.names();
        let before = previous.map(Self::names).unwrap_or_default();
        let response = ReloadResponse {
            loaded: change.loaded,
            kept: change.kept,
            unloaded: before.into_iter().filter(|name| !names.contains(name)).collect(),
            plugins: generation.plugin_changes(previous),
        };
        Ok((generation, response))
    }

    /// This state with one more model: a checkpoint or, where it names a base, an adapter over that.
    ///
    /// # Errors
    /// What is wrong with it, for the administrator who asked.
    pub fn with(&self, wanted: &LoadRequest) -> Result<Self, String> {
        if !config::is_name(&wanted.name) {
            return Err(format!("\"name\" may hold {}", config::NAME_RULE));
        }
        let taken = self.bases.iter().any(|base| base.name == wanted.name)
            || self.entry(&wanted.name).is_some()
            || self.terms.iter().any(|named| named.name == wanted.name);
        if taken {
            return Err(format!(
                "a model named \"{}\" is loaded already; unload it first",
                wanted.name
            ));
        }
        let path = Path::new(&wanted.path);
        if !path.is_absolute() {
            return Err("\"path\" must be an absolute path".to_owned());
        }
        let mut change = Change::new(Some(self), self.config.engine.precision);
        change.bases.clone_from(&self.bases);
        change.entries.clone_from(&self.entries);
        let told = |error: LoadError| error.to_string();
        let labels = match &*wanted.labels {
            [] => Vec::new(),
            some => zero_shot::labels(some).map_err(|fault| fault.to_string())?,
        };
        match &wanted.base {
            None => {
                let (base, _) = change.base(path, false).map_err(told)?;
                if let Some(model) = &base.model {
                    check_labels(model, wanted.default, &labels)?;
                }
                change.name(&wanted.name, wanted.default, labels, &base);
            }
            Some(name) => {
                let at = self.bases.iter().position(|base| base.name == *name);
                let base = at.and_then(|at| self.bases.get(at)).ok_or_else(|| {
                    let names: Vec<&str> = self.bases.iter().map(|base| base.name.as_str()).collect();
                    format!(
                        "no base named \"{name}\" is loaded; loaded are: {}",
                        names.join(", ")
                    )
                })?;
                let (model, _) = change.adapter(path, &base.base).map_err(told)?;
                let own = self
                    .entry(name)
                    .map(|entry| entry.labels.clone())
                    .unwrap_or_default();
                let labels = if labels.is_empty() { own } else { labels };
                check_labels(&model, wanted.default, &labels)?;
                change.insert(Entry {
                    name: wanted.name.clone(),
                    default: wanted.default,
                    model,
                    base: name.clone(),
                    plugin: None,
                    labels,
                });
            }
        }
        Ok(self.changed(change.bases, change.entries))
    }

    /// This state without one of its models; requests under way keep it.
    ///
    /// # Errors
    /// Why it cannot go, for the administrator who asked; `None` where there is no such model.
    pub fn without(&self, name: &str) -> Result<Self, Option<String>> {
        if self.terms.iter().any(|named| named.name == name) {
            let why = "it is a list of names; take it out of the configuration and reload";
            return Err(Some(why.to_owned()));
        }
        let is_base = self.bases.iter().any(|base| base.name == name);
        if !is_base && self.entry(name).is_none() {
            return Err(None);
        }
        let adapters = self.adapters(name);
        if !adapters.is_empty() {
            return Err(Some(format!(
                "it is the base of {}; unload those first",
                adapters.join(", ")
            )));
        }
        let bases = self
            .bases
            .iter()
            .filter(|base| base.name != name)
            .cloned()
            .collect();
        let entries: Vec<Arc<Entry>> = self
            .entries
            .iter()
            .filter(|entry| entry.name != name)
            .cloned()
            .collect();
        if entries.is_empty() && self.terms.is_empty() {
            let why = "it is the last model, and there is no list of names; load another one first";
            return Err(Some(why.to_owned()));
        }
        Ok(self.changed(bases, entries))
    }

    fn changed(&self, bases: Vec<NamedBase>, entries: Vec<Arc<Entry>>) -> Self {
        Self {
            config: self.config.clone(),
            policy: self.policy.clone(),
            bases,
            entries,
            terms: self.terms.clone(),
            plugins: self.plugins.clone(),
            reranker: self.reranker.clone(),
            loaded_at: self.loaded_at,
            settings: OnceLock::new(),
        }
    }

    /// The digest of the settings that bear on answers.
    pub fn settings(&self) -> &str {
        let entries = self.entries.iter().map(Arc::as_ref);
        self.settings
            .get_or_init(|| settings::digest(&self.config, entries))
    }

    /// The names of the adapters over a base.
    fn adapters(&self, base: &str) -> Vec<String> {
        let over = self
            .entries
            .iter()
            .filter(|entry| entry.base == base && entry.name != base);
        over.map(|entry| entry.name.clone()).collect()
    }

    fn entry(&self, name: &str) -> Option<&Arc<Entry>> {
        self.entries.iter().find(|entry| entry.name == name)
    }

    /// The plugin that decodes a format: where several do, the first of the configuration.
    pub fn decoder(&self, format: &str) -> Option<&Arc<Plugin>> {
        let decodes = |plugin: &&Arc<Plugin>| {
            let formats = plugin.formats().unwrap_or_default();
            formats.iter().any(|known| known == format)
        };
        let unopened = |plugin: &&Arc<Plugin>| !plugin.is_open() && plugin.has(ability::DOCUMENT);
        let mut plugins = self.plugins.iter();
        let found = plugins.clone().find(decodes);
        // One that was never ready may have it, and says that it is out of service.
        found.or_else(|| plugins.find(unopened))
    }

    /// The formats that documents may have, sorted.
    pub fn formats(&self) -> Vec<String> {
        let plugins = self.plugins.iter().filter_map(|plugin| plugin.formats());
        let mut formats: Vec<String> = plugins.flatten().cloned().collect();
        formats.sort();
        formats.dedup();
        formats
    }

    /// The models and the lists of names that a request means. A name that is not loaded gives `None`.
    pub fn select(&self, names: Option<&[String]>) -> Option<(Vec<Arc<Entry>>, Vec<NamedList>)> {
        let Some(names) = names else {
            let entries = self.entries.iter().filter(|entry| entry.default);
            let terms = self.terms.iter().filter(|named| named.default);
            return Some((entries.cloned().collect(), terms.cloned().collect()));
        };
        let mut selected: Vec<Arc<Entry>> = Vec::with_capacity(names.len());
        let mut lists: Vec<NamedList> = Vec::new();
        for name in names {
            if let Some(entry) = self.entry(name) {
                if !selected.iter().any(|other| other.name == entry.name) {
                    selected.push(Arc::clone(entry));
                }
                continue;
            }
            let named = self.terms.iter().find(|named| named.name == *name)?;
            if !lists.iter().any(|other| other.name == named.name) {
                lists.push(named.clone());
            }
        }
        Some((selected, lists))
    }

    /// Whether short forms are what the text defines them as, for this model: as the configuration says of its base.
    pub fn takes_short_forms(&self, entry: &Entry) -> bool {
        let mut models = self.config.models.iter();
        models.any(|model| model.short_forms && model.name == entry.base)
    }

    /// The names of all models, and of lists of names, that requests can name.
    pub fn names(&self) -> Vec<String> {
        let lists = self.terms.iter().map(|named| &named.name);
        let entries = self.entries.iter().map(|entry| &entry.name);
        entries.chain(lists).cloned().collect()
    }
}
