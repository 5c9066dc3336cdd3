//! What is linked to what, and how it is told.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use mednerd_languages::EN;
use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use common::{Release, dictionary, first, link, link_as, link_in, link_labelled, open};
use mednerd_umls::linker::{Candidate, Document, Linker, Mention, Options, Settings, Stage};
use mednerd_umls::text::Forms;
use nix::time::{ClockId, clock_gettime};
use proptest::prelude::*;

/// Words that differ by number, spelling, order and derivation.
const WORDS: [&str; 12] = [
    "tumour",
    "tumors",
    "tumor",
    "hypertension",
    "hypertensive",
    "epilepsy",
    "epileptic",
    "of",
    "renal",
    "type",
    "ii",
    "2",
];

/// Of this thread alone, so that a busy machine does not matter.
fn processor_time() -> Duration {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).unwrap().into()
}

fn options(code_systems: &[&str]) -> Options {
    Options {
        top_k: 5,
        code_systems: code_systems.iter().map(|name| (*name).to_owned()).collect(),
        ..Options::default()
    }
}

/// As people who choose want it: with names that are merely alike beside one that is sure.
fn thorough() -> Options {
    Options {
        thorough: true,
        ..options(&[])
    }
}

/// Asserts that nothing is linked with so much confidence.
#[track_caller]
fn assert_below(most: f32, found: &[Candidate], text: &str) {
    let best = found.first();
    assert!(best.is_none_or(|best| best.score < most), "{text}: {best:?}");
}

/// Asserts that nothing is linked but what is merely alike, with less than so much confidence.
#[track_caller]
fn assert_alike_below(most: f32, found: &[Candidate], text: &str) {
    let best = found.first();
    assert!(
        best.is_none_or(|best| best.stage == Stage::Fuzzy && best.score < most),
        "{text}: {best:?}"
    );
}

/// Asserts that a stage as strict as this one found the concept `id`.
#[track_caller]
fn assert_found(loosest: Stage, id: &str, found: &[Candidate], text: &str) {
    let best = found.first();
    assert!(
        best.is_some_and(|best| best.id == id && best.stage <= loosest),
        "{text}: {best:?}"
    );
}

fn id(candidates: &[Candidate]) -> &str {
    candidates
        .first()
        .map_or("NIL", |candidate| candidate.id.as_str())
}

#[test]
fn stages_go_from_strict_to_loose() {
    let linker = Release::small().linker();
    for (text, id, stage) in [
        ("Heart Attack", "C0000001", "exact"),
        ("infarctions, myocardial", "C0000001", "key"),
        ("hypertensive", "C0000008", "variant"),
        ("Duchenne's muscular dystrophy", "C0000007", "key"),
        ("breast tumour", "C0000002", "fuzzy"),
        ("mycardial infarction", "C0000001", "fuzzy"),
        ("breast and ovarian cancer", "C0000002", "composite"),
    ] {
        assert_eq!(
            first(&linker, text),
            Some((id.to_owned(), stage.to_owned())),
            "{text}"
        );
    }
    let both: Vec<String> = link(&linker, "breast and ovarian cancer")
        .into_iter()
        .take(2)
        .map(|candidate| candidate.id)
        .collect();
    assert_eq!(both, ["C0000002", "C0000003"]);
    for nothing in ["", "?!", "zyxwvu", "the"] {
        assert_eq!(link(&linker, nothing), [], "{nothing:?}");
    }
}

#[test]
fn a_loose_match_is_never_sure_of_itself() {
    let linker = Release::small().linker();
    for text in [
        "breast tumour",
        "severe chronic hypertension",
        "mycardial infarction",
    ] {
        let best = link(&linker, text).remove(0);
        assert!(best.score < 0.9, "{text}: {}", best.score);
        assert!(best.reason.contains("similarity"), "{}", best.reason);
    }
    // A preferred name of a concept that four vocabularies have, and one of a single vocabulary.
    assert!(link(&linker, "Heart attack")[0].score >= 0.9);
    assert!(link(&linker, "Hypertension")[0].score < 0.9);
}

#[test]
fn case_tells_a_short_form_from_a_word() {
    let linker = Release::small().linker();
    assert_eq!(id(&link(&linker, "cold")), "C0000004");
    let mut both: Vec<String> = link(&linker, "COLD")
        .into_iter()
        .map(|candidate| candidate.id)
        .collect();
    both.sort();
    assert_eq!(both, ["C0000004", "C0000005"]);
}

#[test]
fn each_concept_is_called_as_it_writes_itself() {
    let (_folder, linker) =
        written("id,name\nD1,Cold\nD1,common cold\nD2,COLD\nD2,obstructive lung disease\n");
    assert_eq!(link(&linker, "common cold")[0].name, "Cold");
    assert_eq!(link(&linker, "obstructive lung disease")[0].name, "COLD");
}

#[test]
fn short_forms_mean_what_the_document_says() {
    let linker = Release::small().linker();
    let text =
        "Two boys with Duchenne muscular dystrophy (DMD). DMD is X-linked; carriers of DMD may have an MI.";
    let linked = link_in(
        &linker,
        text,
        &["Duchenne muscular dystrophy", "DMD", "DMD"],
        &options(&[]),
    );
    for candidates in &linked {
        assert_eq!(id(candidates), "C0000007");
    }
    assert_eq!(linked[1][0].matched, "abbreviation");
    assert!(linked[1][0].reason.contains("short form"));
    // Nothing defines it here.
    assert_eq!(id(&link(&linker, "DMD")), "NIL");
}

/// A linker for a dictionary in CSV.
fn written(csv: &str) -> (tempfile::TempDir, Linker) {
    let (folder, record) = dictionary(csv);
    record.unwrap();
    let linker = open(&folder.path().join("index"), None);
    (folder, linker)
}

/// A linker for a dictionary of names, each a concept of its own, with the name as its id.
fn named(names: &[&str]) -> (tempfile::TempDir, Linker) {
    let rows: String = names.iter().map(|name| format!("{name},{name}\n")).collect();
    written(&format!("id,name\n{rows}"))
}

#[test]
fn a_name_as_it_stands_goes_before_the_initials_of_another_mention() {
    let (_folder, linker) = named(&["MI", "mitral insufficiency", "left ventricular hypertrophy"]);
    let text = "Severe mitral insufficiency. No MI.";
    let linked = link_in(&linker, text, &["mitral insufficiency", "MI"], &options(&[]));
    assert_eq!((id(&linked[1]), linked[1][0].matched.as_str()), ("MI", "exact"));
    // Where no name is written so, they are a guess.
    let text = "Signs of left ventricular hypertrophy. LVH again.";
    let linked = link_in(
        &linker,
        text,
        &["left ventricular hypertrophy", "LVH"],
        &options(&[]),
    );
    let best = &linked[1][0];
    assert_eq!(
        (best.id.as_str(), best.matched.as_str()),
        ("left ventricular hypertrophy", "fuzzy")
    );
    assert!(best.score <= 0.6 && best.reason.contains("initials"), "{best:?}");
    assert!(!best.reason.contains("defines"), "{best:?}");
}

#[test]
fn how_a_drug_is_given_is_not_what_it_is_called() {
    let (_folder, linker) = named(&["Promethazine", "Amlodipine", "progesterone receptor"]);
    for (text, mentions) in [
        ("Promethazine (PRN). Given PRN.", ["Promethazine", "PRN", "PRN"]),
        ("Amlodipine (AM). Took AM dose.", ["Amlodipine", "AM", "AM"]),
    ] {
        let linked = link_in(&linker, text, &mentions, &options(&[]));
        assert_eq!((id(&linked[1]), id(&linked[2])), ("NIL", "NIL"), "{text}");
    }
    let text = "The progesterone receptor (PR) is there. PR was high.";
    let linked = link_in(
        &linker,
        text,
        &["progesterone receptor", "PR", "PR"],
        &options(&[]),
    );
    assert_eq!(id(&linked[2]), "progesterone receptor");
}

#[test]
fn what_a_drug_is_for_or_does_is_not_what_it_is_called() {
    let (_folder, linker) = named(&["Lisinopril", "Penicillin"]);
    let text = "Lisinopril (HTN). Penicillin (rash).";
    let mentions = [
        ("Lisinopril", "Chemical"),
        ("HTN", "Disease"),
        ("Penicillin", "Chemical"),
        ("rash", "Chemical"),
    ];
    let linked = labelled(&linker, text, &mentions);
    let ids: Vec<&str> = linked.iter().map(|found| id(found)).collect();
    assert_eq!(ids, ["Lisinopril", "NIL", "Penicillin", "NIL"]);
}

#[test]
fn what_tells_names_apart_is_not_lost() {
    let (_folder, linker) = named(&[
        "Hepatitis A",
        "Vitamin A",
        "CKD stage 1 due to type 2 diabetes",
        "Rh+ blood",
        "HER2+ breast cancer",
        "Right bundle branch block",
        "Cataract without glaucoma",
        "Chronic kidney failure",
        "AID",
    ]);
    for text in [
        "hepatitis",
        "hepatitis C",
        "vitamin D",
        "CKD stage 2 due to type 1 diabetes",
        "Rh- blood",
        "HER2- breast cancer",
        "left bundle branch block",
        "cataract with glaucoma",
        "acute kidney failure",
        "AIDS",
    ] {
        assert_alike_below(0.7, &link(&linker, text), text);
    }
    for (text, stage) in [
        ("hepatitis A", "exact"),
        ("AID", "exact"),
        ("rh+ blood", "exact"),
        ("A hepatitis A", "key"),
    ] {
        assert_eq!(first(&linker, text).unwrap().1, stage, "{text}");
    }
}

#[test]
fn notes_in_capitals_are_words() {
    let (_folder, linker) = named(&["Pneumonia", "Cirrhosis", "Nausea", "Vomiting", "HELLPX", "COPD"]);
    assert_eq!(
        link(&linker, "PNEUMONIA")[0].score,
        link(&linker, "pneumonia")[0].score
    );
    assert_eq!(first(&linker, "CIRRHOTIC").unwrap().1, "variant");
    assert_eq!(first(&linker, "NAUSEA AND VOMITING").unwrap().1, "composite");
    // Short ones, and long ones that are a name's own capitals, are short forms that nothing defines.
    for short in ["COPD", "HELLPX"] {
        assert!(link(&linker, short)[0].score < 0.8, "{short}");
    }
}

fn labelled(linker: &Linker, text: &str, mentions: &[(&str, &str)]) -> Vec<Vec<Candidate>> {
    link_labelled(linker, text, mentions, &options(&[]))
}

/// A linker for a dictionary of the UMLS's kind: names, their ids and types.
fn typed(rows: &[(&str, &str, &str)]) -> (tempfile::TempDir, Linker) {
    let rows: String = rows
        .iter()
        .map(|(id, name, kind)| format!("{id},{name},{kind}\n"))
        .collect();
    written(&format!("id,name,semantic_type\n{rows}"))
}

#[test]
fn a_short_form_does_not_vouch_for_itself() {
    let rows = [
        ("D1", "Mantle cell lymphoma", "T047"),
        ("D1", "MCL", "T047"),
        ("D2", "CVA", "T047"),
        ("D2", "Stroke", "T047"),
    ];
    let (_folder, linker) = typed(&rows);
    let text = "Assessment: MCL strain. Plan: brace for the MCL.";
    let linked = labelled(&linker, text, &[("MCL strain", "Disease"), ("MCL", "Anatomy")]);
    assert_below(0.5, &linked[1], text);
    let text = "No CVA tenderness. History of CVA.";
    let linked = labelled(
        &linker,
        text,
        &[("CVA tenderness", "Disease"), ("CVA", "Disease")],
    );
    assert_below(0.5, &linked[0], text);
    assert!(linked[1][0].score < 0.8, "{:?}", linked[1]);
    // Another name of it does, and nothing more than that: a link is not accepted unseen.
    let text = "Stroke last year. History of CVA.";
    let linked = labelled(&linker, text, &[("Stroke", "Disease"), ("CVA", "Disease")]);
    assert!((linked[1][0].score - 0.89).abs() < 0.001, "{:?}", linked[1]);
    let linked = labelled(&linker, text, &[("Stroke", "Disease"), ("CVA", "Anatomy")]);
    assert!(linked[1][0].score < 0.5, "{:?}", linked[1]);
}

#[test]
fn a_concept_of_another_kind_needs_its_very_name() {
    let rows = [
        ("D1", "Alcoholism", "T047"),
        ("D2", "Malaria", "T047"),
        ("D3", "Stroke", "T047"),
    ];
    let (_folder, linker) = typed(&rows);
    for (text, label) in [
        ("alcohol", "Chemical"),
        ("alcoholic", "Chemical"),
        ("malarial", "Anatomy"),
    ] {
        assert_eq!(labelled(&linker, text, &[(text, label)]), [[]], "{text}");
    }
    assert_eq!(
        id(&labelled(&linker, "strokes", &[("strokes", "Anatomy")])[0]),
        "D3"
    );
    assert_eq!(
        id(&labelled(&linker, "malarial", &[("malarial", "Disease")])[0]),
        "D2"
    );
}

#[test]
fn words_that_only_look_alike_are_not_linked() {
    let (_folder, linker) = named(&[
        "Paine syndrome",
        "Malaria",
        "Vaccinia",
        "Asbestosis",
        "Eosinophilia",
        "Burns",
        "Arthritis",
        "Paresthesia",
        "Confusion",
        "Fall",
        "Wounds and Injuries",
        "MASS syndrome",
        "Rhabdomyosarcoma Alveolar ARMS",
        "Pleural effusion",
        "Tissue death",
        "Whooping cough",
    ]);
    for text in [
        "pain",
        "malar",
        "vaccine",
        "vaccination",
        "asbestos",
        "eosinophils",
        "burning",
        "arteritis",
        "anesthesia",
        "infusion",
        "weight reduction",
        "pituitary lesion",
        "masses",
        "arm pain",
        "effusion",
        "death",
        "cough",
    ] {
        assert_eq!(id(&link(&linker, text)), "NIL", "{text}");
    }
    for (text, expected) in [
        ("paresthesias", "Paresthesia"),
        ("athritis", "Arthritis"),
        ("asbestotic", "Asbestosis"),
        ("MASS syndrome", "MASS syndrome"),
    ] {
        assert_eq!(id(&link(&linker, text)), expected, "{text}");
    }
}

#[test]
fn a_short_form_alone_is_no_longer_name_that_has_it() {
    let (_folder, linker) = named(&["APC Resistance", "HPT-JT", "HIV infection", "SJS1", "PT-VWD"]);
    for text in ["APC", "HPT", "PT"] {
        assert_eq!(link(&linker, text), [], "{text}");
    }
    for (text, expected) in [("HIV", "HIV infection"), ("SJS", "SJS1")] {
        assert_eq!(
            id(&link_in(&linker, text, &[text], &thorough())[0]),
            expected,
            "{text}"
        );
    }
}

#[test]
fn what_is_due_to_what_is_not_turned_round() {
    let (_folder, linker) = named(&["Anemia due to chronic kidney disease"]);
    assert_eq!(
        first(&linker, "anaemia due to chronic kidney diseases")
            .unwrap()
            .1,
        "key"
    );
    let turned = link(&linker, "chronic kidney disease due to anemia");
    assert!(turned.is_empty(), "{turned:?}");
}

#[test]
fn a_hyphen_within_a_compound_is_no_border() {
    let (_folder, linker) = named(&["Lightheadedness", "Renal cell carcinoma"]);
    for (text, expected) in [
        ("light-headedness", "Lightheadedness"),
        ("Light-headedness", "Lightheadedness"),
        ("renal-cell carcinoma", "Renal cell carcinoma"),
    ] {
        assert_found(Stage::Key, expected, &link(&linker, text), text);
    }
}

#[test]
fn no_candidate_is_surer_than_the_one_before() {
    // A word with the form of a short form goes behind what is alike only where it is less likely.
    let (_folder, linker) = typed(&[
        ("D1", "COLD", "T047"),
        ("D2", "Common cold", "T047"),
        ("D3", "Cold sore", "T047"),
        ("D4", "Cold", "T121"),
    ]);
    for text in ["cold", "COLD", "Cold", "common colds", "cold sores"] {
        for label in ["", "Disease", "Chemical"] {
            for found in labelled(
                &linker,
                &format!("{text}, common cold"),
                &[(text, label), ("common cold", "Disease")],
            ) {
                assert!(found.is_sorted_by(|a, b| a.score >= b.score), "{text}: {found:?}");
            }
        }
    }
}

#[test]
fn codes_come_with_their_fhir_systems() {
    let linker = Release::small().linker();
    let codes = |vocabularies: &[&str]| -> Vec<(String, String, String)> {
        let found = link_in(&linker, "heart attack", &["heart attack"], &options(vocabularies));
        let codings = found[0][0].codings.clone();
        codings
            .into_iter()
            .map(|coding| (coding.system, coding.code, coding.display))
            .collect()
    };
    let expect = |entries: &[(&str, &str, &str)]| -> Vec<(String, String, String)> {
        entries
            .iter()
            .map(|(a, b, c)| ((*a).to_owned(), (*b).to_owned(), (*c).to_owned()))
            .collect()
    };
    let snomed = ("http://snomed.info/sct", "22298006", "Myocardial Infarction");
    let icd = (
        "http://hl7.org/fhir/sid/icd-10-cm",
        "I21",
        "Acute myocardial infarction",
    );
    assert_eq!(codes(&["SNOMED"]), expect(&[snomed]));
    assert_eq!(
        codes(&["http://hl7.org/fhir/sid/icd-10-cm", "SNOMEDCT_US"]),
        expect(&[snomed, icd])
    );
    assert_eq!(codes(&["LOINC"]), []);
    let all = codes(&[]);
    assert_eq!(all[0].0, "http://terminology.hl7.org/CodeSystem/umls");
    assert_eq!(
        (all[0].1.as_str(), all[0].2.as_str()),
        ("C0000001", "Heart attack")
    );
    assert_eq!(all.len(), 4);
}

#[test]
fn the_label_speaks_for_its_kind() {
    let linker = Release::small().linker();
    let score = |label| link_as(&linker, "aspirin", label)[0].score;
    assert!(score("Disease") < score("Chemical"));
    assert_eq!(score("Chemical"), score(""));
}

#[test]
fn the_hospital_adds_and_blocks() {
    let release = Release::small();
    drop(release.linker());
    let tsv = release.path("local.tsv");
    fs::write(
        &tsv,
        "# ours\nname\tid\taction\nticker trouble\tC0000001\nward 7 fever\tLOCAL-1\ncold\tC0000004\tblock\n\
         old one\tC0000099\n",
    )
    .unwrap();
    let linker = open(&release.path("index"), Some(tsv.clone()));
    assert_eq!(
        first(&linker, "Ticker trouble").unwrap(),
        ("C0000001".to_owned(), "synonym".to_owned())
    );
    let own = link(&linker, "ward 7 fever").remove(0);
    assert_eq!((own.id.as_str(), own.codings.len()), ("LOCAL-1", 0));
    assert!(
        !link(&linker, "cold")
            .iter()
            .any(|candidate| candidate.id == "C0000004")
    );
    // A retired CUI leads to the one that took its place.
    assert_eq!(first(&linker, "old one").unwrap().0, "C0000001");

    fs::write(&tsv, "C0000002\tlumpy\n").unwrap();
    assert_eq!(linker.reload().unwrap(), 1);
    assert_eq!(first(&linker, "lumpy").unwrap().0, "C0000002");
    assert_eq!(id(&link(&linker, "cold")), "C0000004");

    // A CUI in small letters is one; what only looks like one of the index is told of.
    fs::write(
        &tsv,
        "lumpy\tc0000002\nodd\tC7654321\nodder\tC000101\nours\tL-7\n",
    )
    .unwrap();
    linker.reload().unwrap();
    assert_eq!(first(&linker, "lumpy").unwrap().0, "C0000002");
    assert_eq!(linker.unknown(), ["C000101", "C7654321"]);

    for (text, expected) in [
        (
            &b"fine\tC0000001\nonly a name\n"[..],
            "local.tsv:2: a line is: name, tab, concept id",
        ),
        (
            b"name\tC0000001\tkeep\n",
            "local.tsv:1: action \"keep\" is neither add nor block",
        ),
        (b"name\tC0000001\n\xff\tC1\n", "local.tsv:2: not UTF-8"),
        (
            b"o\x0bne\tLOCAL-2\n",
            "local.tsv:1: the name or id has a control character",
        ),
        (b"--\tC0000001\n", "local.tsv:1: the name has no letter or digit"),
    ] {
        fs::write(&tsv, text).unwrap();
        let said = linker.reload().unwrap_err().to_string();
        assert!(said.contains(expected), "{said}");
        // What was there still serves.
        assert_eq!(first(&linker, "lumpy").unwrap().0, "C0000002");
    }
}

#[test]
fn many_readers_get_what_one_gets() {
    let linker = Release::small().linker();
    let texts = [
        "heart attack",
        "breast tumour",
        "breast and ovarian cancer",
        "mycardial infarction",
        "cold",
    ];
    let alone: Vec<_> = texts.iter().map(|text| link(&linker, text)).collect();
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..50 {
                    for (text, expected) in texts.iter().zip(&alone) {
                        assert_eq!(&link(&linker, text), expected);
                    }
                    linker.reload().unwrap();
                }
            });
        }
    });
    fn shared<T: Send + Sync>(_: &T) {}
    shared(&linker);
}

/// The strict stages by comparing the mention with every name.
fn strictest(names: &[String], mention: &str) -> BTreeMap<String, Stage> {
    let wanted = Forms::of(mention, EN);
    let mut found: BTreeMap<String, Stage> = BTreeMap::new();
    for (i, name) in names.iter().enumerate() {
        let forms = Forms::of(name, EN);
        let stage = if forms.exact == wanted.exact {
            Stage::Exact
        } else if forms.key == wanted.key {
            Stage::Key
        } else if forms.stem_key == wanted.stem_key {
            Stage::Variant
        } else {
            continue;
        };
        let known = found.entry(format!("D{}", i % 7)).or_insert(stage);
        *known = stage.min(*known);
    }
    found
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn strict_stages_find_what_comparing_with_every_name_finds(
        names in prop::collection::vec(prop::sample::subsequence(WORDS.to_vec(), 1..4).prop_shuffle(), 1..20),
        mentions in prop::collection::vec(prop::sample::subsequence(WORDS.to_vec(), 1..4).prop_shuffle(), 8),
    ) {
        let names: Vec<String> = names.iter().map(|words| words.join(" ")).collect();
        let rows: String = names.iter().enumerate().map(|(i, name)| format!("D{},{name}\n", i % 7)).collect();
        let (_folder, linker) = written(&format!("id,name\n{rows}"));
        let thorough = Options { top_k: 50, thorough: true, ..Options::default() };
        for mention in mentions.iter().map(|words| words.join(" ")).chain(names.iter().cloned()) {
            let found = link_in(&linker, &mention, &[&mention], &thorough).remove(0);
            let strict: BTreeMap<String, Stage> = found
                .iter()
                .filter(|candidate| candidate.stage <= Stage::Variant)
                .map(|candidate| (candidate.id.clone(), candidate.stage))
                .collect();
            prop_assert_eq!(&strict, &strictest(&names, &mention), "{}", mention);
            // A request finds the same strict matches, whether or not it is given names that are merely alike.
            if !strict.is_empty() {
                let served = link_in(&linker, &mention, &[&mention], &options(&[])).remove(0);
                prop_assert_eq!(served.first().map(|one| &one.id), found.first().map(|one| &one.id), "{}", mention);
            }
        }
    }
}

#[test]
fn a_label_chooses_before_rivals_are_weighed() {
    let (_folder, linker) = typed(&[
        ("D1", "Multiple Sclerosis", "T047"),
        ("D1", "MS", "T047"),
        ("D2", "Mitral Valve Stenosis", "T047"),
        ("D2", "MS", "T047"),
        ("D3", "Morphine Sulfate", "T121"),
        ("D3", "MS", "T121"),
        ("D4", "Cold Temperature", "T070"),
        ("D4", "Cold", "T070"),
        ("D4", "Low temperature", "T070"),
        ("D5", "Common Cold", "T047"),
        ("D5", "Cold", "T047"),
    ]);
    let alone = |text: &'static str, label: &str| labelled(&linker, text, &[(text, label)]).remove(0);
    let drug = alone("MS", "Chemical");
    assert!(id(&drug) == "D3" && drug[0].score > 0.7, "{drug:?}");
    // As where no other kind has the name.
    let (_folder, only) = typed(&[("D3", "Morphine Sulfate", "T121"), ("D3", "MS", "T121")]);
    assert_eq!(
        drug[0].score,
        labelled(&only, "MS", &[("MS", "Chemical")])[0][0].score
    );
    assert!(
        alone("MS", "Disease")
            .iter()
            .take(2)
            .all(|one| one.id.as_str() < "D3")
    );
    // The main group of a label before the others that it may be.
    assert_eq!(id(&alone("cold", "Disease")), "D5");

    // What else the note speaks of does not make a drug a disease.
    let text = "Multiple sclerosis since 2010. MS 4 mg IV given. MS stable.";
    let mentions = [
        ("Multiple sclerosis", "Disease"),
        ("MS", "Chemical"),
        ("MS", "Disease"),
    ];
    let linked = labelled(&linker, text, &mentions);
    assert_eq!((id(&linked[1]), id(&linked[2])), ("D3", "D1"));
}

#[test]
fn what_is_looser_gets_what_the_best_candidate_leaves() {
    let (_folder, linker) = named(&[
        "Goldberg-Shprintzen syndrome",
        "Shprintzen-Goldberg syndrome",
        "Hypertension",
        "Hypertensive",
    ]);
    for text in ["Shprintzen-Goldberg syndrome", "hypertension"] {
        let found = link_in(&linker, text, &[text], &thorough()).remove(0);
        let [best, rival, ..] = &found[..] else {
            panic!("{found:?}")
        };
        assert!(
            best.id.eq_ignore_ascii_case(text) && best.score > 0.7,
            "{found:?}"
        );
        assert!(best.score + rival.score < 1.001, "{found:?}");
    }
}

#[test]
fn substances_are_told_apart() {
    let (_folder, linker) = typed(&[
        ("D1", "Ferric sulfate", "T121"),
        ("D2", "Nitric oxide", "T121"),
        ("D3", "Phosphoric acid", "T121"),
        ("D4", "Ramiprilat", "T121"),
        ("D5", "Methanal", "T121"),
        ("D6", "Nicotine", "T121"),
        ("D7", "Levosalbutamol", "T121"),
        ("D7", "(-)-Albuterol", "T121"),
        ("D8", "Salbutamol", "T121"),
        ("D8", "Albuterol", "T121"),
        ("D9", "(-)-Menthol", "T121"),
        ("D10", "Lisinopril 5 MG Oral Tablet", "T200"),
        ("D11", "Digoxin 0.125 MG", "T200"),
        ("D12", "Hydrocodone", "T121"),
        ("D13", "Acetaminophen", "T121"),
        ("D14", "Acetaminophen 325 MG", "T200"),
        ("D15", "Etretin", "T121"),
        ("D16", "Cilazaprilate", "T121"),
        ("D17", "(\u{b1})-Hyoscyamine", "T121"),
        ("D18", "Selenic acid", "T121"),
    ]);
    let of = |text: &str| labelled(&linker, text, &[(text, "Chemical")]).remove(0);
    for text in [
        "ferrous sulfate",
        "nitrous oxide",
        "phosphorous acid",
        "ramipril",
        "methane",
        "nicotinic",
        "(+)-menthol",
        "etretinate",
        "cilazapril",
        "hyoscyamine",
        "selenious acid",
        "lisinopril 0.5 mg",
        "digoxin 125 mg",
    ] {
        assert_alike_below(0.5, &of(text), text);
    }
    for (text, expected) in [
        ("albuterol", "D8"),
        ("(-)-albuterol", "D7"),
        ("digoxin .125 mg", "D11"),
        ("lisinopril 5mg oral tablet", "D10"),
    ] {
        assert_found(Stage::Key, expected, &of(text), text);
    }
    for text in [
        "hydrocodone-acetaminophen",
        "Hydrocodone-Acetaminophen 5-325 mg tablet",
    ] {
        let both: Vec<String> = of(text).into_iter().take(2).map(|one| one.id).collect();
        assert_eq!(both, ["D12", "D13"], "{text}");
    }
}

#[test]
fn a_quality_and_a_short_form_in_small_letters_are_no_part_of_several_names() {
    let (_folder, linker) = named(&[
        "Schwannoma",
        "Malignant",
        "LIP",
        "Oral Cavity Cancer",
        "Nausea",
        "CLL",
    ]);
    for text in ["Schwannoma, malignant", "Lip and Oral Cavity Cancer"] {
        let found = link(&linker, text);
        assert!(
            found.iter().all(|one| one.stage != Stage::Composite),
            "{text}: {found:?}"
        );
    }
    assert_eq!(first(&linker, "nausea and CLL").unwrap().1, "composite");
}

#[test]
fn umlauts_may_be_written_in_two_letters() {
    let (_folder, linker) = named(&["Ödem", "Anämie", "U\u{308}belkeit", "Haemophilus"]);
    for (text, expected) in [
        ("Oedem", "Ödem"),
        ("anaemie", "Anämie"),
        ("Anämie", "Anämie"),
        ("Uebelkeit", "U\u{308}belkeit"),
        ("Haemophilus", "Haemophilus"),
    ] {
        let best = link(&linker, text).remove(0);
        assert_eq!((best.id.as_str(), best.stage), (expected, Stage::Exact), "{text}");
        assert_eq!(best.name, expected);
    }
}

#[test]
fn a_word_is_no_eponym() {
    let (_folder, linker) = named(&[
        "Terry Syndrome",
        "Landing Disease",
        "Hers' Disease",
        "Disease Had",
        "Immune Deficiency",
        "Cooks syndrome",
        "Temple syndrome",
        "Meckel syndrome 7",
        "Nephrotic Syndrome",
        "Parkinson Disease",
        "Cushing Syndrome",
    ]);
    for text in [
        "terrible",
        "landed",
        "her",
        "had",
        "cook",
        "template",
        "Seckel syndrome 7",
    ] {
        assert_below(0.5, &link(&linker, text), text);
    }
    for (text, expected) in [
        ("nephrotic", "Nephrotic Syndrome"),
        ("parkinsonian", "Parkinson Disease"),
        ("Cushing's", "Cushing Syndrome"),
    ] {
        let found = link_in(&linker, text, &[text], &thorough()).remove(0);
        assert_eq!(id(&found), expected, "{text}");
    }
}

/// Mentions one after another, so many times, in a text of their own, with the text that they stand in.
fn repeated(words: &[&str], times: usize) -> (String, Vec<(usize, usize)>) {
    let mut text = String::new();
    let mut places = Vec::new();
    for word in words.iter().cycle().take(times * words.len()) {
        places.push((text.len(), text.len() + word.len()));
        text.push_str(word);
        text.push_str(". ");
    }
    (text, places)
}

#[test]
fn the_time_of_many_mentions_is_linear_and_each_pass_over_them_can_be_ended() {
    let (_folder, linker) = typed(&[
        ("D1", "Chronic lymphocytic leukemia", "T047"),
        ("D2", "Pneumonia", "T047"),
        ("D2", "PNA", "T047"),
        ("D3", "CLL", "T116"),
    ]);
    let words = ["Pneumonia", "CLL", "PNA", "MGUS", "chronic lymphocytic leukemia"];
    let linked = |times: usize, wanted: &dyn Fn() -> bool| {
        let (text, places) = repeated(&words, times);
        let mention = |&(begin, end): &(usize, usize)| Mention::within(&text, begin..end, "Disease");
        let mentions: Vec<_> = places.iter().map(mention).collect();
        let document = Document {
            text: &text,
            mentions: &mentions,
        };
        let begun = processor_time();
        let linked = linker.link_while(&document, &options(&[]), wanted);
        (linked, processor_time() - begun)
    };
    let asked = std::cell::Cell::new(0);
    let count = |most: usize| {
        asked.set(asked.get() + 1);
        asked.get() <= most
    };
    let (all, _) = linked(10, &|| count(usize::MAX));
    assert_eq!(all.unwrap().len(), 50);
    let whole = asked.get();
    assert!(whole >= 3 * 50 + 20, "every pass asks: {whole}");
    for most in 0..whole {
        asked.set(0);
        assert!(
            linked(10, &|| count(most)).0.is_none(),
            "not ended by question {most}"
        );
    }
    let least = |times| (0..3).map(|_| linked(times, &|| true).1).min().unwrap();
    let (few, many) = (least(400), least(6_400));
    assert!(many < 100 * few, "16 times the mentions: {few:?}, then {many:?}");
}

#[test]
fn a_mention_of_pages_takes_no_longer_than_its_length() {
    type Repeat = fn(usize) -> String;
    let (folder, _) = named(&[
        "Pain",
        "Ache",
        "Section 1.1",
        "Liver cirrhosis",
        "Coronary heart disease",
    ]);
    // Numbers of many points, lists whose ends share words, compounds, short forms behind their long ones, each word another one.
    let texts: [(usize, Repeat); 8] = [
        (50, |times| {
            "Leberentzündungsverdachtsdiagnosenunsinn ".repeat(times)
        }),
        (50, |times| "KHK, sek. HPT ".repeat(times)),
        (2_000, |times| "1.".repeat(times)),
        (50, |times| "pain, ".repeat(times) + &"ache ".repeat(times)),
        (50, |times| "ache ".repeat(times) + &", pain".repeat(times)),
        (500, |times| "pain-".repeat(times)),
        (500, |times| "back ache (BA) ".repeat(times)),
        (2_000, |times| {
            let letter = |from: u8, number: usize| char::from(from + (number % 26) as u8);
            let word = |from, number| [1, 26, 676, 17_576].map(|place| letter(from, number / place));
            let words = (0..times).flat_map(|number| [word(b'A', number), word(b'a', number)]);
            words.map(|word| String::from_iter(word) + " ").collect()
        }),
    ];
    let linkers = ["en", "de", "fr"].map(|language| {
        let settings = Settings {
            index: folder.path().join("index"),
            language: Some(language.to_owned()),
            ..Settings::default()
        };
        (language, Linker::open(settings).unwrap())
    });
    for ((times, text), (language, linker)) in texts
        .iter()
        .flat_map(|text| linkers.iter().map(move |linker| (*text, linker)))
    {
        let least = |times: usize| {
            let text = text(times);
            let run = || {
                let begun = processor_time();
                link(linker, &text);
                processor_time() - begun
            };
            (0..3).map(|_| run()).min().unwrap()
        };
        let (few, many) = (least(times), least(16 * times));
        assert!(
            many < 100 * few,
            "{language}, {}: 16 times as long: {few:?}, then {many:?}",
            text(1)
        );
    }
}
