//! Links drug names to the codes of our own catalogue.
#![forbid(unsafe_code)]

use mednerd_plugin::{
    Call, Coding, Concept, Document, Error, Host, NormalizeOptions, Normalizer, Settings, Vocabulary,
};

mednerd_plugin::export! {
    id: "acme.drugs",
    version: env!("CARGO_PKG_VERSION"),
    normalizer: Drugs,
}

struct Drugs;

const VOCABULARY: &str = "ACME";

impl Normalizer for Drugs {
    fn open(_settings: &Settings, _host: Host) -> Result<Self, Error> {
        Ok(Self)
    }

    fn vocabularies(&self) -> Result<Vec<Vocabulary>, Error> {
        Ok(vec![Vocabulary {
            name: VOCABULARY.to_owned(),
            version: "2026-01".to_owned(),
        }])
    }

    fn normalize(
        &self,
        document: &Document<'_>,
        options: &NormalizeOptions,
        call: &Call<'_>,
    ) -> Result<Vec<Vec<Concept>>, Error> {
        let mut linked = Vec::new();
        for mention in &document.mentions {
            call.check()?;
            let name = document.mention_text(mention);
            let known = options.wants(VOCABULARY) && name.eq_ignore_ascii_case("aspirin");
            linked.push(if known { vec![aspirin()] } else { Vec::new() });
        }
        Ok(linked)
    }
}

fn aspirin() -> Concept {
    Concept {
        id: "D-1".to_owned(),
        vocabulary: VOCABULARY.to_owned(),
        name: "Aspirin".to_owned(),
        semantic_types: vec!["T121".to_owned()],
        score: 1.0,
        match_kind: "exact".to_owned(),
        codings: vec![Coding {
            system: "http://www.whocc.no/atc".to_owned(),
            code: "B01AC06".to_owned(),
            display: "acetylsalicylic acid".to_owned(),
        }],
    }
}
