//! What a state says of itself: to administrators, in answers, and in the log.

use std::collections::BTreeMap;
use std::sync::Arc;

use mednerd_client::api;

use super::{Entry, Generation};
use crate::gpu::{Gpus, Source};
use crate::models::Facts;
use crate::plugins::Plugin;
use crate::sync::most_of;
use crate::terms::NamedList;

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

impl Generation {
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

    /// What a reload has done with plugins.
    pub(super) fn plugin_changes(&self, previous: Option<&Self>) -> api::PluginChanges {
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
}
