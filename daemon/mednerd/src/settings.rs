//! The settings that bear on answers, as one digest. What answers name anyhow is left out: digests of models and lists, precisions,
//! versions of plugins, and which models are asked where a request does not say.

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::config::{Config, Pooling};
use crate::generation::Entry;
use crate::page::hexadecimal;

/// Letters of a digest.
const LENGTH: usize = 16;

/// The digest of what `config` says, and of what these models look for. A model or a plugin that comes without settings of its own does not
/// change it.
pub fn digest<'e>(config: &Config, entries: impl IntoIterator<Item = &'e Entry>) -> String {
    let settings = json!([
        lists(config),
        short_forms(config),
        labels(entries),
        ranking(config),
        plugins(config),
    ]);
    let mut digest = hexadecimal(&Sha256::digest(settings.to_string()));
    digest.truncate(LENGTH);
    digest
}

fn lists(config: &Config) -> Vec<Value> {
    let list = |list: &crate::config::Terms| {
        json!([
            list.name,
            list.score_percent,
            list.misspelt_percent,
            list.sure_percent,
            list.models_percent,
            list.short_forms,
        ])
    };
    config.terms.iter().map(list).collect()
}

fn short_forms(config: &Config) -> Vec<&str> {
    let models = config.models.iter().filter(|model| model.short_forms);
    models.map(|model| model.name.as_str()).collect()
}

fn labels<'e>(entries: impl IntoIterator<Item = &'e Entry>) -> Vec<Value> {
    let asked = entries.into_iter().filter(|entry| !entry.labels.is_empty());
    let label = |label: &crate::zero_shot::Label| json!([&*label.name, phrases(label)]);
    asked
        .map(|entry| json!([entry.name, entry.labels.iter().map(label).collect::<Vec<_>>()]))
        .collect()
}

fn phrases(label: &crate::zero_shot::Label) -> Vec<&str> {
    label.phrases.iter().map(|phrase| &**phrase).collect()
}

fn ranking(config: &Config) -> Value {
    let linking = &config.linking;
    match linking.rerank.as_os_str().is_empty() {
        true => Value::Null,
        false => json!([linking.rerank_percent, linking.rerank_pooling == Pooling::Mean]),
    }
}

fn plugins(config: &Config) -> Vec<Value> {
    let told = config.plugins.iter().filter(|plugin| plugin.settings != "{}");
    let folder = |path: &std::path::Path| path.file_name().map(|name| name.to_string_lossy().into_owned());
    told.map(|plugin| json!([folder(&plugin.path), plugin.settings]))
        .collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn of(text: &str) -> String {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("mednerd.toml");
        std::fs::write(&file, text).unwrap();
        let (config, problems) = Config::load(Path::new(&file));
        assert_eq!(problems, []);
        digest(&config, [])
    }

    const LIST: &str = "[[terms]]\nname = \"ward\"\npath = \"/ward.tsv\"\n";

    #[test]
    fn what_changes_answers_changes_the_digest_and_nothing_else_does() {
        let before = of(LIST);
        assert_eq!(before.len(), LENGTH);
        for key in [
            "score_percent = 70",
            "misspelt_percent = 60",
            "sure_percent = 50",
            "models_percent = 40",
            "short_forms = true",
        ] {
            assert_ne!(of(&format!("{LIST}{key}\n")), before, "{key}");
        }
        let (model, plugin) = (
            "[[models]]\nname = \"a\"\npath = \"/a\"\n",
            "[[plugins]]\npath = \"/p\"\n",
        );
        let ranked = "[linking]\nrerank = \"/encoder\"\n";
        for more in [
            format!("{model}short_forms = true\n"),
            format!("{plugin}[plugins.settings]\nlowest = 0.5\n"),
            ranked.to_owned(),
        ] {
            assert_ne!(of(&format!("{LIST}{more}")), before, "{more}");
        }
        assert_ne!(of(ranked), of(&format!("{ranked}rerank_percent = 30\n")));
        assert_ne!(of(ranked), of(&format!("{ranked}rerank_pooling = \"mean\"\n")));
        for more in [
            model.to_owned(),
            plugin.to_owned(),
            "[server]\nmax_connections = 7\n[engine]\nthreads = 3\n".to_owned(),
        ] {
            assert_eq!(of(&format!("{LIST}{more}")), before, "{more}");
        }
    }
}
