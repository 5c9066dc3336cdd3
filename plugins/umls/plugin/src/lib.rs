//! The plugin `mednerd.umls`: the linker of `mednerd-umls` behind the ability `mednerd.normalizer/1`. Its settings are
//! [`linker::Settings`]: the index that `mednerd-umls build` wrote, and the hospital's own names.
#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

use mednerd_plugin::{
    Call, Coding, Concept, Document, Error, Host, Level, NormalizeOptions, Normalizer, Settings, Vocabulary,
};
use mednerd_umls::linker::{self, Linker};

mednerd_plugin::export! {
    id: "mednerd.umls",
    version: env!("CARGO_PKG_VERSION"),
    normalizer: Umls,
}

/// An open index.
struct Umls {
    linker: Linker,
    /// What answers call the vocabulary: `UMLS`, `RxNorm` or, for a CSV dictionary, its one source or `dictionary`.
    vocabulary: String,
    host: Host,
}

impl Normalizer for Umls {
    fn open(settings: &Settings, host: Host) -> Result<Self, Error> {
        let settings: linker::Settings = settings.read()?;
        let linker = Linker::open(settings).map_err(|error| Error::settings(error.to_string()))?;
        let record = linker.index().record();
        let sources: Vec<_> = record.sources().collect();
        let vocabulary = match (record.kind.as_str(), sources.as_slice()) {
            ("umls", _) => "UMLS".to_owned(),
            ("rxnorm", _) => "RxNorm".to_owned(),
            (_, [only]) if !only.name.is_empty() => only.name.clone(),
            _ => "dictionary".to_owned(),
        };
        host.log(
            Level::Information,
            "index.opened",
            &[record.concepts as f64, record.names as f64],
        );
        let unknown = linker.unknown().len();
        if unknown > 0 {
            host.log(Level::Warning, "synonyms.unknown", &[unknown as f64]);
        }
        Ok(Self {
            linker,
            vocabulary,
            host,
        })
    }

    fn vocabularies(&self) -> Result<Vec<Vocabulary>, Error> {
        Ok(vec![Vocabulary {
            name: self.vocabulary.clone(),
            version: self.linker.version(),
        }])
    }

    fn normalize(
        &self,
        document: &Document<'_>,
        options: &NormalizeOptions,
        call: &Call<'_>,
    ) -> Result<Vec<Vec<Concept>>, Error> {
        if !options.wants(&self.vocabulary) {
            return Ok(vec![Vec::new(); document.mentions.len()]);
        }
        let mentions: Vec<linker::Mention<'_>> = document
            .mentions
            .iter()
            .map(|mention| linker::Mention {
                text: document.mention_text(mention),
                begin: mention.begin,
                end: mention.end,
                label: mention.label,
                score: mention.score,
                section: mention.section.unwrap_or_default(),
            })
            .collect();
        // All codes: the daemon keeps those of the systems that the request names.
        let options = linker::Options {
            top_k: options.top_k,
            code_systems: Vec::new(),
            thorough: false,
        };
        let document = linker::Document {
            text: document.text,
            mentions: &mentions,
        };
        let found = self.linker.link_while(&document, &options, &|| !call.cancelled());
        let found = found.ok_or_else(Error::cancelled)?;
        let linked: Vec<Vec<Concept>> = found
            .into_iter()
            .map(|candidates| self.concepts(candidates))
            .collect();
        let hits = linked.iter().filter(|candidates| !candidates.is_empty()).count();
        self.host.count("mentions", linked.len() as f64);
        self.host.count("linked", hits as f64);
        Ok(linked)
    }
}

impl Umls {
    fn concepts(&self, candidates: Vec<linker::Candidate>) -> Vec<Concept> {
        let concept = |candidate: linker::Candidate| Concept {
            id: candidate.id,
            vocabulary: self.vocabulary.clone(),
            name: candidate.name,
            semantic_types: candidate.semantic_types,
            score: candidate.score,
            match_kind: candidate.matched,
            codings: candidate.codings.into_iter().map(coding).collect(),
        };
        candidates.into_iter().map(concept).collect()
    }
}

fn coding(coding: mednerd_umls::codings::Coding) -> Coding {
    Coding {
        system: coding.system,
        code: coding.code,
        display: coding.display,
    }
}
