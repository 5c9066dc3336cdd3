//! The linking stage: from entities to concepts, through every plugin that has a vocabulary that is wanted.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mednerd_client::api;
use mednerd_plugin::{CodeSystem, Concept, NormalizeOptions, Vocabulary, ability};
use tokio::task::JoinSet;

use super::ApiError;
use crate::generation::Generation;
use crate::page::Place;
use crate::plugins::{Linked, Note, Plugin, Spotted};
use crate::rerank::{CANDIDATES, Ranking, Reranker};

/// Candidates for each entity where the request does not say.
const DEFAULT_TOP_K: u32 = 5;
/// No request gets more.
const MAX_TOP_K: u32 = 100;
/// Of a request's time linking leaves so much for the answer.
pub const RESERVE: Duration = Duration::from_millis(20);

/// What a request wants of linking.
pub struct Link {
    options: Arc<NormalizeOptions>,
    /// URIs of the systems whose codes are wanted, in order; all where empty.
    code_systems: Vec<String>,
    plugins: Vec<Arc<Plugin>>,
    reranker: Option<Arc<Reranker>>,
    top_k: usize,
}

/// What came of it.
#[derive(Default)]
pub struct Report {
    /// Stages that did not run, such as `normalizer:umls`.
    pub degraded: Vec<String>,
    /// Plugins that were asked, by id.
    pub plugins: BTreeMap<String, String>,
    /// Vocabularies that were asked for, by name.
    pub vocabularies: BTreeMap<String, String>,
    /// The same by plugin: several may have one vocabulary in several versions.
    pub plugin_vocabularies: BTreeMap<String, BTreeMap<String, String>>,
    /// The digest of the encoder that ranked again.
    pub reranker: Option<String>,
    /// How long it took.
    pub time: Duration,
}

impl Link {
    /// Checks what a request wants against what is loaded; `None` where it wants nothing.
    ///
    /// # Errors
    /// [`ApiError`]
    pub fn new(generation: &Generation, wanted: Option<api::Link>) -> Result<Option<Self>, ApiError> {
        let choice = match wanted {
            None | Some(api::Link::All(false)) => return Ok(None),
            Some(api::Link::All(true)) => api::LinkChoice::default(),
            Some(api::Link::Choice(choice)) => choice,
        };
        let unusable = |problem| ApiError::Unusable {
            field: "link",
            problem,
        };
        let top_k = choice.top_k.unwrap_or(DEFAULT_TOP_K);
        if !(1..=MAX_TOP_K).contains(&top_k) {
            return Err(unusable("must have a \"top_k\" between 1 and 100"));
        }
        let normalizers: Vec<&Arc<Plugin>> = generation
            .plugins
            .iter()
            .filter(|plugin| plugin.has(ability::NORMALIZER))
            .collect();
        if normalizers.is_empty() {
            return Err(unusable(
                "asks for concepts, and no normaliser plugin is loaded; leave it out",
            ));
        }
        let vocabularies = choice.vocabularies.unwrap_or_default();
        let has = |plugin: &Plugin, name: &str| {
            // One that was never ready may have it, and is named as a stage that did not run.
            let declared = plugin.vocabularies();
            !plugin.is_open() || declared.iter().any(|vocabulary| vocabulary.name == name)
        };
        if vocabularies
            .iter()
            .any(|name| !normalizers.iter().any(|plugin| has(plugin, name)))
        {
            let declared = normalizers.iter().map(|plugin| plugin.vocabularies());
            let mut known: Vec<String> = declared
                .flat_map(|declared| {
                    declared
                        .iter()
                        .map(|known| known.name.clone())
                        .collect::<Vec<_>>()
                })
                .collect();
            known.sort();
            known.dedup();
            return Err(ApiError::UnknownVocabulary { known });
        }
        let code_systems = choice.code_systems.unwrap_or_default();
        let code_systems: Option<Vec<String>> = code_systems.iter().map(|name| system_uri(name)).collect();
        let mut code_systems = code_systems.ok_or(ApiError::UnknownCodeSystem)?;
        code_systems.sort_unstable();
        let concerned = normalizers
            .into_iter()
            .filter(|plugin| vocabularies.is_empty() || vocabularies.iter().any(|name| has(plugin, name)));
        Ok(Some(Self {
            plugins: concerned.cloned().collect(),
            reranker: generation.reranker.clone(),
            top_k: top_k as usize,
            code_systems,
            options: Arc::new(NormalizeOptions {
                // The encoder may find the right one further down.
                top_k: match generation.reranker {
                    Some(_) => CANDIDATES.max(top_k as usize),
                    None => top_k as usize,
                },
                vocabularies,
            }),
        }))
    }

    /// Puts concepts into `entities`, whose places in `text` are `places`. A plugin that fails is
    /// named in the report, and the concepts of the others stand.
    pub async fn run(
        self,
        text: Arc<str>,
        entities: &mut [api::Entity],
        places: &[Place],
        deadline: Instant,
    ) -> Report {
        let begun = Instant::now();
        let mut report = Report::default();
        for plugin in &self.plugins {
            self.tell_versions(plugin, &plugin.vocabularies(), &mut report);
            let (id, version) = (plugin.id().to_owned(), plugin.version().to_owned());
            report.plugins.insert(id, version);
        }
        if !entities.is_empty() {
            let note = Note {
                mentions: spotted(entities, places),
                text: Arc::clone(&text),
            };
            let found = self.ask(note, deadline, &mut report).await;
            for (id, candidates) in found {
                for (entity, concepts) in entities.iter_mut().zip(candidates) {
                    let concepts = concepts.into_iter();
                    entity
                        .concepts
                        .extend(concepts.map(|found| concept(found, &id, &self.code_systems)));
                }
            }
            for entity in &mut *entities {
                // Stable: among equals the order of the configuration stands.
                entity
                    .concepts
                    .sort_by(|left, right| right.score.total_cmp(&left.score));
                merge(&mut entity.concepts);
            }
            if let Some(reranker) = &self.reranker {
                let mentions = places.iter().map(|place| text.get(place.begin..place.end));
                let mentions: Vec<&str> = mentions.map(Option::unwrap_or_default).collect();
                let deadline = deadline.checked_sub(RESERVE).unwrap_or(deadline);
                rerank(reranker, entities, &mentions, deadline, &mut report).await;
            }
            for entity in entities {
                entity.concepts.truncate(self.top_k);
            }
        }
        report.time = begun.elapsed();
        report.vocabularies = self.first_versions(&report.plugin_vocabularies);
        report
    }

    /// Notes which of its vocabularies a plugin was asked for.
    fn tell_versions(&self, plugin: &Plugin, declared: &[Vocabulary], report: &mut Report) {
        let wanted = declared
            .iter()
            .filter(|vocabulary| self.options.wants(&vocabulary.name));
        let versions = wanted.map(|vocabulary| (vocabulary.name.clone(), vocabulary.version.clone()));
        report
            .plugin_vocabularies
            .insert(plugin.id().to_owned(), versions.collect());
    }

    /// Each vocabulary with the version that the first plugin of the configuration has.
    fn first_versions(&self, told: &BTreeMap<String, BTreeMap<String, String>>) -> BTreeMap<String, String> {
        let mut versions = BTreeMap::new();
        let plugins = self.plugins.iter().rev();
        for declared in plugins.filter_map(|plugin| told.get(plugin.id())) {
            versions.extend(declared.clone());
        }
        versions
    }

    /// Asks every plugin at once; what they found, by id, in the order of the configuration.
    async fn ask(&self, note: Note, deadline: Instant, report: &mut Report) -> Vec<(String, Linked)> {
        let deadline = deadline.checked_sub(RESERVE).unwrap_or(deadline);
        // One plugin, the usual case, is asked without a task of its own.
        let mut answers = Vec::new();
        if let [plugin] = &*self.plugins {
            let options = Arc::clone(&self.options);
            answers.push((0, plugin.link(note, options, deadline).await));
        } else {
            let mut asking = JoinSet::new();
            for (index, plugin) in self.plugins.iter().enumerate() {
                let (plugin, note) = (Arc::clone(plugin), note.clone());
                let options = Arc::clone(&self.options);
                asking.spawn(async move { (index, plugin.link(note, options, deadline).await) });
            }
            answers = asking.join_all().await;
            answers.sort_by_key(|(index, _)| *index);
        }
        let mut found = Vec::new();
        for (index, answer) in answers {
            match (answer, self.plugins.get(index)) {
                (Ok(links), Some(plugin)) => {
                    // A host may have been replaced meanwhile: these are of the one that answered.
                    self.tell_versions(plugin, &links.vocabularies, report);
                    found.push((plugin.id().to_owned(), links.concepts));
                }
                (Err(error), Some(plugin)) => {
                    tracing::warn!(plugin = plugin.id(), "a document was not linked: {error}");
                    report.degraded.push(format!("normalizer:{}", plugin.id()));
                }
                (_, None) => {}
            }
        }
        found
    }
}

/// Puts together what several plugins found: a concept of one id in one vocabulary is told once, as the first of them has it.
fn merge(concepts: &mut Vec<api::Concept>) {
    let mut merged: Vec<api::Concept> = Vec::with_capacity(concepts.len());
    for concept in concepts.drain(..) {
        let same = |known: &&mut api::Concept| {
            known.id == concept.id
                && known.vocabulary == concept.vocabulary
                && concept
                    .plugins
                    .iter()
                    .all(|plugin| !known.plugins.contains(plugin))
        };
        match merged.iter_mut().find(same) {
            Some(known) => known.plugins.extend(concept.plugins),
            None => merged.push(concept),
        }
    }
    *concepts = merged;
}

/// The mentions as plugins are told of them.
fn spotted(entities: &[api::Entity], places: &[Place]) -> Arc<[Spotted]> {
    let spotted = entities.iter().zip(places).map(|(entity, place)| Spotted {
        begin: place.begin,
        end: place.end,
        label: entity.label.clone(),
        score: entity.score,
        section: place.section,
    });
    spotted.collect()
}

/// Ranks the concepts of uncertain mentions again. Where that fails, they stay as they are and the report says so.
async fn rerank(
    reranker: &Arc<Reranker>,
    entities: &mut [api::Entity],
    mentions: &[&str],
    deadline: Instant,
    report: &mut Report,
) {
    report.reranker = Some(reranker.digest.clone());
    let (mut concerned, rankings): (Vec<&mut api::Entity>, Vec<Ranking>) = entities
        .iter_mut()
        .zip(mentions)
        .filter(|(entity, _)| Reranker::concerns(&entity.concepts))
        .map(|(entity, mention)| {
            let ranking = Ranking {
                mention: (*mention).to_owned(),
                concepts: entity.concepts.clone(),
            };
            (entity, ranking)
        })
        .unzip();
    if rankings.is_empty() {
        return;
    }
    match reranker.rank(rankings, deadline).await {
        Ok(ranked) => {
            for (entity, ranking) in concerned.iter_mut().zip(ranked) {
                entity.concepts = ranking.concepts;
            }
        }
        Err(error) => {
            tracing::warn!("concepts were not ranked again: {error}");
            report.degraded.push("reranker".to_owned());
        }
    }
}

/// The URI of a code system: that of its name, or a URI that a vendor or a hospital has of its own.
fn system_uri(name: &str) -> Option<String> {
    let own = |name: &&str| {
        name.split_once(':')
            .is_some_and(|(scheme, rest)| is_scheme(scheme) && !rest.is_empty())
    };
    CodeSystem::named(name)
        .map(|system| system.uri)
        .or(Some(name).filter(own))
        .map(str::to_owned)
}

fn is_scheme(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'))
}

fn concept(concept: Concept, plugin: &str, code_systems: &[String]) -> api::Concept {
    api::Concept {
        plugins: vec![plugin.to_owned()],
        id: concept.id,
        vocabulary: concept.vocabulary,
        name: concept.name,
        semantic_types: concept.semantic_types,
        score: concept.score,
        match_kind: concept.match_kind,
        codings: concept
            .codings
            .into_iter()
            .filter(|coding| code_systems.is_empty() || code_systems.binary_search(&coding.system).is_ok())
            .map(|coding| api::Coding {
                system: coding.system,
                code: coding.code,
                display: coding.display,
            })
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_several_plugins_find_is_told_once_with_all_of_them() {
        let found = |id: &str, vocabulary: &str, plugin: &str, score| {
            let found = Concept {
                id: id.to_owned(),
                vocabulary: vocabulary.to_owned(),
                name: "n".to_owned(),
                semantic_types: Vec::new(),
                score,
                match_kind: "exact".to_owned(),
                codings: Vec::new(),
            };
            concept(found, plugin, &[])
        };
        let mut concepts = vec![
            found("C1", "V", "a", 0.9),
            found("C1", "V", "b", 0.8),
            found("C1", "W", "b", 0.8),
            found("C2", "V", "a", 0.7),
            found("C2", "V", "a", 0.6),
        ];
        merge(&mut concepts);
        let told: Vec<(&str, f32, String)> = concepts
            .iter()
            .map(|concept| (&*concept.vocabulary, concept.score, concept.plugins.join("+")))
            .collect();
        let expected = [
            ("V", 0.9, "a+b"),
            ("W", 0.8, "b"),
            ("V", 0.7, "a"),
            ("V", 0.6, "a"),
        ];
        assert_eq!(
            told,
            expected.map(|(v, s, p)| (v, s, p.to_owned())),
            "one plugin's own are its own"
        );
    }

    #[test]
    fn code_systems_go_by_name_or_uri_and_misspelt_names_are_found() {
        for snomed in ["SNOMEDCT", "snomedct_us", "http://snomed.info/sct"] {
            assert_eq!(system_uri(snomed).as_deref(), Some("http://snomed.info/sct"));
        }
        let own = "urn:oid:2.16.840.1.113883.3.1937";
        assert_eq!(system_uri(own).as_deref(), Some(own));
        for wrong in ["SNOWMED", "", "icd", ":x", "http:", "a b:c"] {
            assert_eq!(system_uri(wrong), None, "{wrong}");
        }
    }
}
