//! A small vocabulary, and what holds of every answer about one.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use mednerd_plugin::contract;
use mednerd_plugin::{Coding, Concept, NormalizeOptions, Vocabulary};
use mednerd_umls::Error;
use mednerd_umls::build::{Build, Filters, Input};
use mednerd_umls::index::Record;
use mednerd_umls::linker::{Candidate, Document, Linker, Mention, Options, Settings};

/// A dictionary with two sources, synonyms, codes and names that are alike.
pub const DICTIONARY: &str = "id,name,semantic_type,source,synonyms,system
C0027051,Myocardial Infarction,T047,MSH,heart attack|MI,
C0027051,Infarctus du myocarde,T047,MSHFRE,,
C0011849,Diabetes mellitus,T047|T033,MSH,DM|sugar diabetes,
C0011860,\"Diabetes mellitus, type 2\",T047,MSH,T2DM|NIDDM,
C0004057,aspirin,T121,RXNORM,acetylsalicylic acid,
22298006,Herzinfarkt,T047,SNOMEDCT_US,Müdigkeit|Fußschmerz,SNOMEDCT_US
MESH:D003920,diabetic foot ulcers of the left heel,T047,MSH,,
C0009443,COLD,T047,MSH,Cold|common cold,
";

/// Builds an index; `memory` is what names are sorted in.
pub fn build(input: Input, out: &Path, filters: Filters, memory: usize) -> Result<Record, Error> {
    let out = out.to_owned();
    Build {
        input,
        out,
        filters,
        memory,
    }
    .run(&mut ())
}

/// The index of [`DICTIONARY`].
pub fn index() -> &'static Path {
    static INDEX: OnceLock<PathBuf> = OnceLock::new();
    INDEX.get_or_init(|| {
        let csv = crate::file("seed.csv", DICTIONARY);
        let out = crate::folder().join("seed.index");
        build(Input::Csv(csv), &out, Filters::default(), 1 << 20).unwrap();
        out
    })
}

/// Opens an index, with the hospital's own names or without.
pub fn open(index: &Path, synonyms: Option<PathBuf>) -> Result<Linker, Error> {
    let settings = Settings {
        index: index.to_owned(),
        synonyms,
        ..Settings::default()
    };
    Linker::open(settings)
}

/// Mentions of a text at these places, and nowhere where it has none.
pub fn mentions<'a>(text: &'a str, places: &[(usize, usize)], label: &'a str) -> Vec<Mention<'a>> {
    let place = |(begin, end): &(usize, usize)| Mention::within(text, *begin..*end, label);
    places.iter().map(place).collect()
}

/// What a linker says of mentions, which is always as plugins promise it: so many lists, none too long, best first.
pub fn link(linker: &Linker, text: &str, mentions: &[Mention<'_>], options: &Options) -> Vec<Vec<Candidate>> {
    let found = linker.link(&Document { text, mentions }, options);
    assert_eq!(found.len(), mentions.len());
    for candidates in &found {
        assert!(candidates.len() <= options.top_k);
        let scores: Vec<f32> = candidates.iter().map(|candidate| candidate.score).collect();
        assert!(
            scores.iter().all(|score| (0.0..=1.0).contains(score)),
            "{scores:?}"
        );
        assert!(scores.windows(2).all(|pair| pair[0] >= pair[1]), "{scores:?}");
    }
    found
}

/// The answer of a sound index breaks no promise of plugins: one that does takes its document's links with it.
pub fn keeps_contract(found: &[Vec<Candidate>], options: &Options) {
    let coding = |coding: &mednerd_umls::codings::Coding| Coding {
        system: coding.system.clone(),
        code: coding.code.clone(),
        display: coding.display.clone(),
    };
    let concept = |candidate: &Candidate| Concept {
        id: candidate.id.clone(),
        vocabulary: "V".to_owned(),
        name: candidate.name.clone(),
        semantic_types: candidate.semantic_types.clone(),
        score: candidate.score,
        match_kind: candidate.matched.clone(),
        codings: candidate.codings.iter().map(coding).collect(),
    };
    let concepts: Vec<Vec<Concept>> = found
        .iter()
        .map(|candidates| candidates.iter().map(concept).collect())
        .collect();
    let wanted = NormalizeOptions {
        top_k: options.top_k,
        vocabularies: Vec::new(),
    };
    let declared = [Vocabulary {
        name: "V".to_owned(),
        version: "1".to_owned(),
    }];
    contract::concepts(&concepts, found.len(), &wanted, &declared).unwrap();
}
