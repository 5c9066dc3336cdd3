//! One whole state of the daemon: a configuration, who may call, and the models it names. It is made
//! and checked as a whole, then swapped in; requests under way keep the one they began with.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;
use mednerd_client::api::{self, LoadRequest, ReloadResponse};
use mednerd_model::Checkpoint;

use crate::access::Policy;
use crate::app::now;
use crate::audit;
use crate::config::{self, Config, Precision, Problem};
use crate::models::{Base, Facts, LoadError, Model};
use crate::plugins::Plugin;

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
    /// The plugins, in the order of the configuration.
    pub plugins: Vec<Arc<Plugin>>,
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
        if readable {
            problems.extend(audit::check(&config.audit));
        }
        let policy = Policy::resolve(&config.access).unwrap_or_else(|found| {
            problems.extend(found);
            Policy::default()
        });
        let mut change = Change::new(previous, config.engine.precision);
        for wanted in &config.models {
            if let Err(problem) = change.take(wanted) {
                problems.push(problem);
            }
        }
        let before = previous.map_or(&[][..], |previous| &previous.plugins);
        let plugins = load_plugins(&config, before, &mut problems);
        if !problems.is_empty() {
            config.sort(&mut problems);
            return Err(problems);
        }
        let generation = Self {
            config,
            policy,
            bases: change.bases,
            entries: change.entries,
            plugins,
            loaded_at: now(),
        };
        let names = generation.names();
        let before = previous.map(Self::names).unwrap_or_default();
        let response = ReloadResponse {
            loaded: change.loaded,
            kept: change.kept,
            unloaded: before.into_iter().filter(|name| !names.contains(name)).collect(),
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
        if self.bases.iter().any(|base| base.name == wanted.name) || self.entry(&wanted.name).is_some() {
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
        match &wanted.base {
            None => {
                let base = change.base(path, false).map_err(told)?;
                change.name(&wanted.name, wanted.default, &base);
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
                let entry = Entry {
                    name: wanted.name.clone(),
                    default: wanted.default,
                    model,
                    base: name.clone(),
                };
                let after = change.entries.iter().rposition(|entry| entry.base == *name);
                let place = after.map_or(change.entries.len(), |after| after + 1);
                change.entries.insert(place, Arc::new(entry));
            }
        }
        Ok(self.changed(change.bases, change.entries))
    }

    /// This state without one of its models; requests under way keep it.
    ///
    /// # Errors
    /// Why it cannot go, for the administrator who asked; `None` where there is no such model.
    pub fn without(&self, name: &str) -> Result<Self, Option<String>> {
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
            plugins: self.plugins.clone(),
            loaded_at: self.loaded_at,
        }
    }

    /// What the models compute in: one name, or several where `auto` led to several.
    pub fn precision(&self) -> String {
        let mut names: Vec<&str> = self.bases.iter().map(|base| base.base.facts.precision).collect();
        names.sort_unstable();
        names.dedup();
        match names.is_empty() {
            true => self.config.engine.precision.name().to_owned(),
            false => names.join(", "),
        }
    }

    /// What `GET /v1/models` says: each base and after it its adapters.
    pub fn models(&self) -> Vec<api::ModelInfo> {
        let mut infos = Vec::new();
        for base in &self.bases {
            let own = self.entry(&base.name);
            infos.push(self.info(
                &base.name,
                &base.base.facts,
                own.is_some_and(|entry| entry.default),
                None,
            ));
            let adapters = self
                .entries
                .iter()
                .filter(|e| e.base == base.name && e.name != base.name);
            infos.extend(
                adapters.map(|e| self.info(&e.name, &e.model.facts, e.default, Some(e.base.clone()))),
            );
        }
        infos
    }

    fn info(&self, name: &str, facts: &Facts, default: bool, base: Option<String>) -> api::ModelInfo {
        api::ModelInfo {
            name: name.to_owned(),
            default,
            family: facts.family.to_owned(),
            engine: api::Engine::Tract,
            precision: facts.precision.to_owned(),
            labels: facts.labels.clone(),
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
        warnings.extend(self.plugins.iter().flat_map(|plugin| plugin.warnings()));
        warnings
    }

    /// The names of all models that requests can name.
    pub fn names(&self) -> Vec<String> {
        self.entries.iter().map(|entry| entry.name.clone()).collect()
    }
}

/// Starts the plugins, all at once; those that have not changed go on serving.
fn load_plugins(config: &Config, before: &[Arc<Plugin>], problems: &mut Vec<Problem>) -> Vec<Arc<Plugin>> {
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
    let mut plugins: Vec<Arc<Plugin>> = Vec::new();
    for (wanted, plugin) in started {
        let ready = plugin.and_then(|plugin| plugin.wait_ready().map(|()| plugin));
        match ready {
            Ok(plugin) if plugins.iter().any(|other| other.id() == plugin.id()) => {
                let why = format!("a plugin \"{}\" is already defined; take one out", plugin.id());
                problems.push(Problem::at(&wanted.place, why));
            }
            Ok(plugin) => plugins.push(plugin),
            Err(error) => problems.push(Problem::at(&wanted.place, error.to_string())),
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
        }
    }

    /// Takes in one table of the configuration, its adapters included.
    fn take(&mut self, wanted: &config::Model) -> Result<(), Problem> {
        let problem = |place, name: &str, error: &dyn std::fmt::Display| {
            Problem::at(place, format!("model \"{name}\": {error}"))
        };
        let base = self
            .base(&wanted.path, !wanted.adapters.is_empty())
            .map_err(|error| problem(&wanted.place, &wanted.name, &error))?;
        if base.model.is_none() && wanted.default {
            let why = "it has no classification head, so it cannot be a default; make its adapters that";
            return Err(problem(&wanted.place, &wanted.name, &why));
        }
        self.name(&wanted.name, wanted.default, &base);
        for adapter in &wanted.adapters {
            let model = self
                .adapter(&adapter.path, &base)
                .map_err(|error| problem(&adapter.place, &adapter.name, &error))?;
            self.note(&adapter.name);
            self.entries.push(Arc::new(Entry {
                name: adapter.name.clone(),
                default: adapter.default,
                model,
                base: wanted.name.clone(),
            }));
        }
        Ok(())
    }

    /// A checkpoint; one without a head only where it is to have adapters.
    fn base(&mut self, path: &Path, adapted: bool) -> Result<Arc<Base>, LoadError> {
        let checkpoint = if adapted {
            Checkpoint::open_base(path)?
        } else {
            Checkpoint::open(path)?
        };
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

    fn name(&mut self, name: &str, default: bool, base: &Arc<Base>) {
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
