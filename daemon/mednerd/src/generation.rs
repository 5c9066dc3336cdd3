//! One whole state of the daemon: a configuration, who may call, and the models it names. It is made
//! and checked as a whole, then swapped in; requests under way keep the one they began with.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use jiff::Timestamp;
use mednerd_client::api::{self, LoadRequest, ReloadResponse};
use mednerd_model::Checkpoint;
use mednerd_pipeline::Overlaps;
use mednerd_plugin::ability;

use crate::access::Policy;
use crate::app::now;
use crate::audit;
use crate::config::{self, Config, Precision, Problem};
use crate::gpu::{Gpus, Source};
use crate::models::{Base, Facts, LoadError, Model};
use crate::plugins::{Plugin, PluginError};
use crate::rerank::Reranker;
use crate::settings;
use crate::sync::most_of;
use crate::terms::{List, NamedList};
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
                let base = change.base(path, false).map_err(told)?;
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
                let model = change.adapter(path, &base.base).map_err(told)?;
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
        if entries.is_empty() {
            return Err(Some("it is the last model; load another one first".to_owned()));
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

    /// What the models compute in: one name, or several where `auto` led to several.
    pub fn precision(&self) -> String {
        let mut names: Vec<&str> = self.bases.iter().map(|base| base.base.facts.precision).collect();
        names.sort_unstable();
        names.dedup();
        if names.is_empty() {
            names.push(self.config.engine.precision.name());
        }
        names.join(", ")
    }

    /// What `GET /v1/models` says: each base and after it its adapters.
    pub fn models(&self, gpus: &Gpus) -> Vec<api::ModelInfo> {
        let mut infos = Vec::new();
        let engine = |source: Option<&Source>| match gpus.serves(source) {
            true => api::Engine::Cuda,
            false => api::Engine::Tract,
        };
        for base in &self.bases {
            let own = self.entry(&base.name);
            let of_base = engine(base.base.source.as_ref());
            infos.push(self.info(&base.name, &base.base.facts, own, None, of_base));
            let adapters = self
                .entries
                .iter()
                .filter(|e| e.base == base.name && e.name != base.name);
            infos.extend(adapters.map(|e| {
                let engine = engine(e.model.source.as_ref());
                self.info(&e.name, &e.model.facts, Some(e), Some(e.base.clone()), engine)
            }));
        }
        infos.extend(self.terms.iter().map(list_info));
        infos
    }

    fn info(
        &self,
        name: &str,
        facts: &Facts,
        entry: Option<&Arc<Entry>>,
        base: Option<String>,
        engine: api::Engine,
    ) -> api::ModelInfo {
        let plugin = entry.and_then(|entry| entry.plugin.as_ref());
        let asked = entry.into_iter().flat_map(|entry| &entry.labels);
        api::ModelInfo {
            name: name.to_owned(),
            default: entry.is_some_and(|entry| entry.default),
            plugin: plugin.map(|plugin| plugin.id().to_owned()),
            family: facts.family.to_owned(),
            engine,
            precision: match engine {
                api::Engine::Cuda => self.config.engine.gpu_precision.name(),
                api::Engine::Tract => facts.precision,
            }
            .to_owned(),
            labels: facts
                .labels
                .iter()
                .cloned()
                .chain(asked.map(|label| label.name.to_string()))
                .collect(),
            zero_shot: facts.zero_shot,
            context_tokens: facts.context as u64,
            parameters: facts.parameters,
            languages: facts.languages.clone(),
            license: facts.license.clone(),
            digest: facts.digest.clone(),
            memory_bytes: facts.memory_bytes,
            loaded_at: facts.loaded_at.to_string(),
            adapters: if base.is_none() {
                self.adapters(name)
            } else {
                Vec::new()
            },
            base,
        }
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

    /// Name and digest of the given models and of the bases that they are over.
    pub fn digests<'a>(&self, entries: impl IntoIterator<Item = &'a Arc<Entry>>) -> BTreeMap<String, String> {
        let mut digests = BTreeMap::new();
        for entry in entries {
            digests.insert(entry.name.clone(), entry.model.facts.digest.clone());
            let base = self.bases.iter().find(|base| base.name == entry.base);
            digests.extend(base.map(|base| (base.name.clone(), base.base.facts.digest.clone())));
        }
        digests
    }

    /// Name and precision on the CPU of the given models.
    pub fn precisions<'a>(
        &self,
        entries: impl IntoIterator<Item = &'a Arc<Entry>>,
    ) -> BTreeMap<String, String> {
        let precision = |entry: &Arc<Entry>| (entry.name.clone(), entry.model.facts.precision.to_owned());
        entries.into_iter().map(precision).collect()
    }

    /// Id and version of the plugins that bring the given models.
    pub fn bringers<'a>(
        &self,
        entries: impl IntoIterator<Item = &'a Arc<Entry>>,
    ) -> BTreeMap<String, String> {
        let plugins = entries.into_iter().filter_map(|entry| entry.plugin.as_ref());
        plugins
            .map(|plugin| (plugin.id().to_owned(), plugin.version().to_owned()))
            .collect()
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

    /// What a reload has done with plugins.
    fn plugin_changes(&self, previous: Option<&Self>) -> api::PluginChanges {
        let before = previous.map_or(&[][..], |previous| &previous.plugins);
        let same = |plugin: &Arc<Plugin>| before.iter().any(|other| Arc::ptr_eq(other, plugin));
        let told = |plugin: &Arc<Plugin>| format!("{} {}", plugin.id(), plugin.version());
        let gone = |plugin: &&Arc<Plugin>| !self.plugins.iter().any(|other| other.id() == plugin.id());
        let (kept, started): (Vec<_>, Vec<_>) = self.plugins.iter().partition(|plugin| same(plugin));
        api::PluginChanges {
            started: started.into_iter().map(told).collect(),
            kept: kept.into_iter().map(told).collect(),
            stopped: before.iter().filter(gone).map(told).collect(),
        }
    }

    /// The plugins that take no calls at the moment, as stages of an answer are called.
    pub fn out_of_service(&self) -> Vec<String> {
        let plugins = self.plugins.iter().filter(|plugin| !plugin.figures().ready);
        plugins.map(|plugin| format!("plugin:{}", plugin.id())).collect()
    }

    /// Vocabularies that several plugins have: what each of them finds there may be of another version.
    fn shared_vocabularies(&self) -> Vec<String> {
        let mut holders: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for plugin in &self.plugins {
            for vocabulary in &*plugin.vocabularies() {
                let told = format!("plugin \"{}\" (version {})", plugin.id(), vocabulary.version);
                holders.entry(vocabulary.name.clone()).or_default().push(told);
            }
        }
        let several = holders.into_iter().filter(|(_, plugins)| plugins.len() > 1);
        several
            .map(|(name, plugins)| {
                format!(
                    "vocabulary \"{name}\" is linked to by {}: each concept names its plugins, and what several find is told once",
                    plugins.join(" and ")
                )
            })
            .collect()
    }

    /// Whether short forms are what the text defines them as, for this model: as the configuration says of its base.
    pub fn takes_short_forms(&self, entry: &Entry) -> bool {
        let mut models = self.config.models.iter();
        models.any(|model| model.short_forms && model.name == entry.base)
    }

    /// What is allowed and probably not meant.
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        let defaults = self.entries.iter().map(|entry| entry.default);
        if !defaults
            .chain(self.terms.iter().map(|named| named.default))
            .any(|default| default)
        {
            warnings
                .push("no model has default = true: requests that name no model will be refused".to_owned());
        }
        let server = &self.config.server;
        let most = most_of(server.max_queued_bytes);
        if most < server.max_text_bytes {
            warnings.push(format!(
                "server.max_queued_bytes is smaller than server.max_text_bytes needs: of it one user may hold {most} bytes, and what has \
                 more is refused with 413"
            ));
        }
        warnings.extend(self.plugins.iter().flat_map(|plugin| plugin.warnings()));
        warnings.extend(self.shared_vocabularies());
        for named in &self.terms {
            let told = named.list.warnings(&self.terms).into_iter();
            warnings.extend(told.map(|told| format!("terms \"{}\": {told}", named.name)));
        }
        warnings
    }

    /// The names of all models, and of lists of names, that requests can name.
    pub fn names(&self) -> Vec<String> {
        let lists = self.terms.iter().map(|named| &named.name);
        let entries = self.entries.iter().map(|entry| &entry.name);
        entries.chain(lists).cloned().collect()
    }
}

/// The family of lists of names among models.
pub const LISTED: &str = "terms";

/// What `GET /v1/models` says of a list of names.
fn list_info(named: &NamedList) -> api::ModelInfo {
    let (list, terms) = (&named.list, named.list.terms());
    api::ModelInfo {
        name: named.name.clone(),
        default: named.default,
        family: LISTED.to_owned(),
        engine: api::Engine::Tract,
        precision: "none".to_owned(),
        labels: terms.labels().map(ToOwned::to_owned).collect(),
        zero_shot: false,
        context_tokens: 0,
        parameters: terms.len() as u64,
        languages: terms.languages().map(ToOwned::to_owned).collect(),
        license: None,
        digest: list.digest.clone(),
        memory_bytes: terms.memory_bytes() as u64,
        loaded_at: list.loaded_at.to_string(),
        adapters: Vec::new(),
        base: None,
        plugin: None,
    }
}

/// The encoder of `[linking]`, where one is named.
fn load_reranker(
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
fn load_plugins<'a>(
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

/// A state in the making. What the state before has of it is taken over: files are known by their digest.
struct Change<'a> {
    previous: Option<&'a Generation>,
    precision: Precision,
    bases: Vec<NamedBase>,
    entries: Vec<Arc<Entry>>,
    loaded: Vec<String>,
    kept: Vec<String>,
    /// Whether the last model was read from disk.
    fresh: bool,
    /// Digests of the bases for which plugins bring adapters.
    adapted: Vec<String>,
}

impl<'a> Change<'a> {
    fn new(previous: Option<&'a Generation>, precision: Precision) -> Self {
        Self {
            previous,
            precision,
            bases: Vec::new(),
            entries: Vec::new(),
            loaded: Vec::new(),
            kept: Vec::new(),
            fresh: false,
            adapted: Vec::new(),
        }
    }

    /// Takes in one table of the configuration, its adapters included.
    fn take(&mut self, wanted: &config::Model) -> Result<(), Problem> {
        let told = |place, name: &str, why: String| Problem::at(place, format!("model \"{name}\": {why}"));
        let unread =
            |place, name: &str, error: LoadError| told(place, name, error.to_string()).because_of(&error);
        let base = self
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
        self.name(&wanted.name, wanted.default, wanted.labels.clone(), &base);
        for adapter in &wanted.adapters {
            let model = self
                .adapter(&adapter.path, &base)
                .map_err(|error| unread(&adapter.place, &adapter.name, error))?;
            let labels = if adapter.labels.is_empty() {
                &wanted.labels
            } else {
                &adapter.labels
            };
            check_labels(&model, adapter.default, labels)
                .map_err(|why| told(&adapter.place, &adapter.name, why))?;
            self.note(&adapter.name);
            self.entries.push(Arc::new(Entry {
                name: adapter.name.clone(),
                default: adapter.default,
                model,
                base: wanted.name.clone(),
                plugin: None,
                labels: labels.clone(),
            }));
        }
        Ok(())
    }

    /// Reads the lists of names; those that have not changed are taken over.
    fn lists(&mut self, config: &Config, problems: &mut Vec<Problem>) -> Vec<NamedList> {
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
                    self.fresh = !before.iter().any(|known| Arc::ptr_eq(known, &list));
                    self.note(&wanted.name);
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
    fn task(&mut self, default: bool, plugin: &Arc<Plugin>) -> Result<(), TaskError> {
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
        self.fresh = before.is_none();
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
        self.note(&task.name);
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
    fn insert(&mut self, entry: Entry) {
        let after = self.entries.iter().rposition(|other| other.base == entry.base);
        let place = after.map_or(self.entries.len(), |after| after + 1);
        self.entries.insert(place, Arc::new(entry));
    }

    /// A checkpoint; one without a head only where it is to have adapters.
    fn base(&mut self, path: &Path, adapted: bool) -> Result<Arc<Base>, LoadError> {
        let mut checkpoint = Checkpoint::open_base(path)?;
        let bare = checkpoint.headless() && checkpoint.gliner().is_none();
        if bare && !adapted && !self.adapted.iter().any(|base| base == checkpoint.digest()) {
            checkpoint = Checkpoint::open(path)?;
        }
        let before = self.previous.iter().flat_map(|previous| &previous.bases);
        let known = before.chain(&self.bases).find(|known| {
            known.base.facts.digest == checkpoint.digest() && known.base.asked == self.precision
        });
        self.fresh = known.is_none();
        match known {
            Some(known) => Ok(Arc::clone(&known.base)),
            None => Ok(Arc::new(Base::load(checkpoint, self.precision)?)),
        }
    }

    fn adapter(&mut self, path: &Path, base: &Arc<Base>) -> Result<Arc<Model>, LoadError> {
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
        self.fresh = known.is_none();
        match known {
            Some(known) => Ok(Arc::clone(&known.model)),
            None => Ok(Arc::new(base.adapt(&adapter)?)),
        }
    }

    fn name(&mut self, name: &str, default: bool, labels: Vec<Label>, base: &Arc<Base>) {
        self.note(name);
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

    fn note(&mut self, name: &str) {
        let list = if self.fresh {
            &mut self.loaded
        } else {
            &mut self.kept
        };
        list.push(name.to_owned());
    }
}

/// Why a plugin's NER task is not taken in.
#[derive(Debug, thiserror::Error)]
enum TaskError {
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
fn check_labels(model: &Model, default: bool, labels: &[Label]) -> Result<(), String> {
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

impl Config {
    /// What a running daemon cannot change.
    fn needs_restart(&self, new: &Self) -> Vec<Problem> {
        let fixed = [
            ("server.socket", self.server.socket != new.server.socket),
            (
                "server.admin_socket",
                self.server.admin_socket != new.server.admin_socket,
            ),
            ("audit.path", self.audit.path != new.audit.path),
            ("audit.key", self.audit.key != new.audit.key),
            ("engine.threads", self.engine.threads != new.engine.threads),
            ("engine.device", self.engine.device != new.engine.device),
            ("engine.worker", self.engine.worker != new.engine.worker),
            ("engine.gpus", self.engine.gpus != new.engine.gpus),
            (
                "engine.gpu_precision",
                self.engine.gpu_precision != new.engine.gpu_precision,
            ),
            (
                "engine.gpu_memory_mb",
                self.engine.gpu_memory_mb != new.engine.gpu_memory_mb,
            ),
            ("engine.gpu_call_ms", self.engine.gpu_call != new.engine.gpu_call),
        ];
        fixed
            .into_iter()
            .filter(|&(_, differs)| differs)
            .map(|(key, _)| {
                let message =
                    format!("{key} cannot change while mednerd runs; restart it to use the new value");
                Problem::new(new.place(key).cloned(), message)
            })
            .collect()
    }
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
