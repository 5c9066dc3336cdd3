//! Names and mentions of other languages than English.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::collections::HashSet;
use std::path::Path;

use common::{dictionary, link_in, link_labelled, open};
use mednerd_languages::{ALL, DE, EN, ES, FR, IT, Languages, NL, PT};
use mednerd_umls::linker::{Candidate, Linker, Options, Settings, Stage};
use mednerd_umls::text::Forms;
use proptest::prelude::*;
use tempfile::TempDir;

/// English names alone, each a concept of its own with the name as its id.
fn english(names: &[&str]) -> (TempDir, Linker) {
    let rows: String = names.iter().map(|name| format!("{name},{name}\n")).collect();
    written(&format!("id,name\n{rows}"))
}

fn written(csv: &str) -> (TempDir, Linker) {
    let (folder, record) = dictionary(csv);
    record.unwrap();
    let linker = open(&folder.path().join("index"), None);
    (folder, linker)
}

/// The candidates of a mention in a sentence of its language.
fn said(linker: &Linker, language: Languages, mention: &str) -> Vec<Candidate> {
    let options = Options {
        top_k: 5,
        ..Options::default()
    };
    said_with(linker, language, mention, &options)
}

/// Those that people would choose among.
fn thoroughly(linker: &Linker, language: Languages, mention: &str) -> Vec<Candidate> {
    let options = Options {
        thorough: true,
        ..Options::default()
    };
    said_with(linker, language, mention, &options)
}

fn said_with(linker: &Linker, language: Languages, mention: &str, options: &Options) -> Vec<Candidate> {
    let sentence = match language {
        DE => "Der Patient wurde heute wegen {} gesehen und wird wieder einbestellt.",
        FR => "Le patient est vu ce jour pour {} et sera revu dans un mois.",
        ES => "El paciente fue visto hoy por {} y se revisará en un mes.",
        IT => "Il paziente è stato visto oggi per {} e sarà rivisto tra un mese.",
        NL => "De patiënt werd vandaag gezien wegens {} en komt over een maand terug.",
        PT => "O doente foi visto hoje por {} e será reavaliado dentro de um mês.",
        _ => "The patient was seen today for {} and will be reviewed in a month.",
    };
    let text = sentence.replace("{}", mention);
    link_in(linker, &text, &[mention], options).remove(0)
}

#[track_caller]
fn assert_id(found: &[Candidate], id: &str, mention: &str) {
    let best = found.first().map_or("NIL", |best| best.id.as_str());
    assert_eq!(best, id, "{mention}: {found:?}");
}

#[test]
fn mentions_of_six_languages_meet_english_names() {
    let (_folder, linker) = english(&[
        "Chronic kidney insufficiency",
        "Femoral neck fracture",
        "Atrial fibrillation",
        "Acute bronchitis",
        "Pulmonary embolism",
        "Liver cirrhosis",
        "Type 2 diabetes mellitus",
        "Fever",
        "Metformin",
        "Malaria",
    ]);
    for (language, mention, id) in [
        (
            DE,
            "chronischer Niereninsuffizienz",
            "Chronic kidney insufficiency",
        ),
        (
            DE,
            "Niereninsuffizienz, chronisch",
            "Chronic kidney insufficiency",
        ),
        (DE, "Leberzirrhose", "Liver cirrhosis"),
        (DE, "akuten Bronchitiden", "Acute bronchitis"),
        (DE, "Diabetes mellitus Typ II", "Type 2 diabetes mellitus"),
        (DE, "Fieber", "Fever"),
        (FR, "fractures du col du fémur", "Femoral neck fracture"),
        (FR, "bronchites aiguës", "Acute bronchitis"),
        (FR, "embolies pulmonaires", "Pulmonary embolism"),
        (FR, "fièvre", "Fever"),
        (ES, "fractura del cuello del fémur", "Femoral neck fracture"),
        (ES, "bronquitis aguda", "Acute bronchitis"),
        (ES, "embolia pulmonar", "Pulmonary embolism"),
        (ES, "diabetes mellitus tipo 2", "Type 2 diabetes mellitus"),
        (IT, "fibrillazione atriale", "Atrial fibrillation"),
        (IT, "metformina", "Metformin"),
        (NL, "atriumfibrilleren", "Atrial fibrillation"),
        (NL, "acute bronchitis", "Acute bronchitis"),
        (NL, "levercirrose", "Liver cirrhosis"),
        (PT, "fibrilhação auricular", "Atrial fibrillation"),
        (PT, "fibrilação atrial", "Atrial fibrillation"),
        (PT, "bronquite aguda", "Acute bronchitis"),
        (PT, "embolia pulmonar", "Pulmonary embolism"),
    ] {
        let found = said(&linker, language, mention);
        assert_id(&found, id, mention);
    }
    // Every word counts, and what only begins like a name is none.
    for (language, mention) in [(DE, "Nierenbecken"), (ES, "malar"), (FR, "seau"), (NL, "kamer")] {
        let found = said(&linker, language, mention);
        assert!(
            found
                .iter()
                .all(|one| one.stage == Stage::Fuzzy && one.score < 0.5),
            "{mention}: {found:?}"
        );
    }
}

#[test]
fn names_of_a_language_are_found_in_other_forms() {
    let (_folder, linker) = written(
        "id,name,language\n\
         1,\"Niereninsuffizienz, akute\",de\n2,Trikuspidalklappenstenose,de\n3,Fraktur des Oberschenkelhalses,de\n\
         4,Insuffisance cardiaque,fr\n5,Úlcera gástrica,es\n6,Kreislaufstörung,de\n7,Hepatitis,en\n",
    );
    for (language, mention, id) in [
        (DE, "akuter Niereninsuffizienz", "1"),
        (DE, "Stenose der Trikuspidalklappe", "2"),
        (DE, "Oberschenkelhalsfraktur", "3"),
        (DE, "Oberschenkelhalsfrakturen", "3"),
        (FR, "l’insuffisance cardiaque", "4"),
        (FR, "insuffisances cardiaques", "4"),
        (ES, "úlceras gástricas", "5"),
        (DE, "Kreislaufstoerungen", "6"),
        (DE, "Hepatitis", "7"),
    ] {
        assert_id(&said(&linker, language, mention), id, mention);
    }
}

#[test]
fn what_a_concept_is_called_in_its_language_is_sure() {
    let (folder, linker) = written(
        "id,name,language\nD1,Hypertension,en\nD1,High blood pressure,en\nD1,Hypertonie,de\nD1,Bluthochdruck,de\n",
    );
    let sure = |mention: &str, language| {
        let found = said(&linker, language, mention);
        assert_id(&found, "D1", mention);
        // What answers call it is its first name of all.
        assert_eq!(found[0].name, "Hypertension");
        found[0].score
    };
    let (preferred, other) = (sure("Hypertonie", DE), sure("Bluthochdruck", DE));
    assert!(preferred > other, "{preferred} {other}");
    assert_eq!(preferred, sure("Hypertension", EN));
    assert!(preferred > 0.9 && other < 0.9);
    // Or by its name in the language that the settings have.
    for (code, name) in [("de", "Hypertonie"), ("fr", "Hypertension")] {
        let linker = Linker::open(Settings {
            index: folder.path().join("index"),
            language: Some(code.to_owned()),
            ..Settings::default()
        });
        assert_eq!(said(&linker.unwrap(), DE, "Bluthochdruck")[0].name, name);
    }
}

#[test]
fn short_forms_and_brands_mean_what_their_language_means() {
    let (_folder, linker) = english(&[
        "Coronary heart disease",
        "Metamizole",
        "Atrial fibrillation",
        "KHK",
    ]);
    let disease = |language, mention: &str| said(&linker, language, mention);
    assert_id(&disease(DE, "VHF"), "Atrial fibrillation", "VHF");
    assert_id(&disease(DE, "Novalgin"), "Metamizole", "Novalgin");
    // A name of another language is an afterthought, whose reason is told.
    let found = disease(DE, "KHK");
    assert_id(&found, "Coronary heart disease", "KHK");
    assert_eq!(found[0].matched, "abbreviation");
    assert!(found[0].reason.contains("usually stands for"), "{found:?}");
    assert!(found[0].score < 0.9);
    // In English they mean nothing of the kind.
    assert_id(&disease(EN, "VHF"), "NIL", "VHF");
    assert_id(&disease(EN, "KHK"), "KHK", "KHK");
    // What the text defines goes before.
    let (_folder, linker) = english(&["Pericardial effusion", "Pulmonary embolism"]);
    assert_id(&said(&linker, DE, "PE"), "Pulmonary embolism", "PE");
    let text = "Der Patient hat einen Perikarderguss (PE). Der PE ist mit und ohne Belastung bekannt.";
    let found = link_in(&linker, text, &["PE"], &Options::default());
    assert_id(&found[0], "Pericardial effusion", "PE");
}

#[test]
fn several_things_are_joined_by_the_words_of_their_language() {
    let (_folder, linker) = english(&["Nausea", "Vomiting", "Breast cancer", "Ovary cancer"]);
    for (language, mention, ids) in [
        (DE, "Übelkeit und Erbrechen", ["Nausea", "Vomiting"]),
        (FR, "nausées et vomissements", ["Nausea", "Vomiting"]),
        (ES, "náuseas y vómitos", ["Nausea", "Vomiting"]),
        (IT, "nausea e vomito", ["Nausea", "Vomiting"]),
        (NL, "misselijkheid en braken", ["Nausea", "Vomiting"]),
        (PT, "náuseas e vómitos", ["Nausea", "Vomiting"]),
    ] {
        let found = said(&linker, language, mention);
        let found: Vec<&str> = found.iter().take(2).map(|one| one.id.as_str()).collect();
        assert_eq!(found, ids, "{mention}");
    }
}

#[test]
fn a_text_that_tells_no_language_is_in_that_of_the_settings() {
    let (folder, linker) = english(&["Fever"]);
    let none = link_labelled(&linker, "Fieber", &[("Fieber", "Disease")], &Options::default());
    assert!(none[0].is_empty(), "{none:?}");
    let open = |language: &str| {
        Linker::open(Settings {
            index: folder.path().join("index"),
            language: Some(language.to_owned()),
            ..Settings::default()
        })
    };
    let german = open("de").unwrap();
    let found = link_labelled(&german, "Fieber", &[("Fieber", "Disease")], &Options::default());
    assert_id(&found[0], "Fever", "Fieber");
    // What tells its language is in that.
    assert_id(&said(&german, FR, "fièvre"), "Fever", "fièvre");
    let refused = open("deutsch").unwrap_err().to_string();
    assert!(
        refused.contains("language") && refused.contains("de, fr"),
        "{refused}"
    );
}

#[test]
fn the_hospitals_own_names_are_found_in_other_forms_of_its_language() {
    let (folder, _) = english(&["Dyspnea"]);
    let synonyms = folder.path().join("own.tsv");
    std::fs::write(&synonyms, "schlechte Luft\tDyspnea\n").unwrap();
    let linker = Linker::open(Settings {
        index: folder.path().join("index"),
        synonyms: Some(synonyms),
        language: Some("de".to_owned()),
        ..Settings::default()
    })
    .unwrap();
    let found = said(&linker, DE, "schlechter Luft");
    assert_id(&found, "Dyspnea", "schlechter Luft");
    assert_eq!(found[0].matched, "synonym");
}

#[test]
fn a_dictionary_tells_the_languages_of_its_names() {
    let (_folder, refused) = dictionary("id,name,language\n1,Fieber,klingon\n");
    let refused = refused.unwrap_err().to_string();
    assert!(
        refused.contains("klingon") && refused.contains(".csv:2"),
        "{refused}"
    );
    for code in ["de", "GER", "Ger"] {
        let (_folder, record) = dictionary(&format!("id,name,language\n1,Fieber,{code}\n2,Fever,\n"));
        assert_eq!(record.unwrap().languages, ["en", "de"], "{code}");
    }
}

#[test]
fn letters_and_short_forms_are_no_words() {
    let (_folder, linker) = english(&[
        "Hepatitis",
        "Hepatitis A",
        "Hepatitis B",
        "Hepatitis E",
        "Hemophilia",
        "Hemophilia A",
        "Vitamin A deficiency",
        "Vitamin E deficiency",
        "Avitaminosis",
        "HIV infection",
        "Factor V Leiden",
    ]);
    for (language, mention, id) in [
        (FR, "HEMOPHILIE A", "Hemophilia A"),
        (ES, "hemofilia a", "Hemophilia A"),
        (PT, "hepatite a", "Hepatitis A"),
        (IT, "epatite E", "Hepatitis E"),
        (PT, "HEPATITE E", "Hepatitis E"),
        (FR, "CARENCE EN VITAMINE A", "Vitamin A deficiency"),
        (PT, "deficiência de vitamina E", "Vitamin E deficiency"),
        (ES, "infección por VIH", "HIV infection"),
        (DE, "Faktor-V-Leiden", "Factor V Leiden"),
    ] {
        assert_id(&said(&linker, language, mention), id, mention);
    }
    let found = said(&linker, FR, "hépatites A et B");
    let ids: Vec<&str> = found.iter().take(2).map(|one| one.id.as_str()).collect();
    assert_eq!(ids, ["Hepatitis A", "Hepatitis B"]);
}

#[test]
fn words_of_a_language_go_before_what_another_writes_so() {
    let (_folder, linker) = english(&[
        "Rubella",
        "Rubeola",
        "Malaria",
        "Fasciitis",
        "Esotropia",
        "Exotropia",
        "Anus disease",
    ]);
    for (language, mention, id) in [
        (ES, "rubéola", "Rubella"),
        (EN, "rubeola", "Rubeola"),
        (DE, "Exotropie", "Exotropia"),
        (FR, "ésotropie", "Esotropia"),
        (ES, "ascitis", "NIL"),
        (ES, "enfermedad de un año", "NIL"),
        (ES, "enfermedad del ano", "Anus disease"),
    ] {
        assert_id(&said(&linker, language, mention), id, mention);
    }
    // What both say is as sure as in English.
    let score = |language| said(&linker, language, "Malaria")[0].score;
    assert_eq!(score(DE), score(EN));
}

#[test]
fn the_label_chooses_among_what_a_short_form_usually_means() {
    let (_folder, linker) = written(
        "id,name,semantic_type\n1,Mitral valve insufficiency,T047\n2,Myocardial infarction,T047\n3,Kalium,T109\n4,Cancer,T047\n",
    );
    let first = |label: &str, mention: &str| {
        let text = format!("Le patient est vu ce jour pour {mention} et sera revu dans un mois.");
        let found = link_labelled(&linker, &text, &[(mention, label)], &Options::default()).remove(0);
        found.first().map(|best| (best.id.clone(), best.score))
    };
    // Of two meanings neither is as sure as an only one.
    let (id, score) = first("Disease", "IM").unwrap();
    assert!(["1", "2"].contains(&id.as_str()) && score < 0.7, "{id} {score}");
    assert!(first("Chemical", "IM").is_none());
}

#[test]
fn english_texts_are_linked_as_if_there_were_no_other_language() {
    let names = [
        "Heart failure",
        "Atrial fibrillation",
        "Fever",
        "Chronic kidney disease",
    ];
    let english_names: String = names.iter().map(|name| format!("{name},{name},en\n")).collect();
    let others = "Fever,Fieber,de\nFever,Fièvre,fr\nHeart failure,Herzinsuffizienz,de\nX1,Brust,de\nX2,Arm,de\nX3,Rash,de\n";
    let (_one, alone) = written(&format!("id,name,language\n{english_names}"));
    let (_two, beside) = written(&format!("id,name,language\n{english_names}{others}"));
    for mention in [
        "heart failures",
        "fibrillation, atrial",
        "fever",
        "CKD",
        "failure of heart",
        "KHK",
        "ASS",
        "chronic renal disease",
    ] {
        let of = |linker| {
            let found = said(linker, EN, mention);
            found
                .first()
                .filter(|best| best.stage < Stage::Fuzzy)
                .map(|best| (best.id.clone(), best.score, best.reason.clone()))
        };
        assert_eq!(of(&alone), of(&beside), "{mention}");
    }
}

/// Concepts that an answer may have: several of a mention, or some that are as good.
fn meant(cell: &str) -> Vec<&str> {
    cell.split(['|', '~']).map(str::trim).collect()
}

#[test]
fn mentions_of_notes_are_linked_as_well_as_the_manual_says() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("eval/languages");
    let read = |name: String| std::fs::read_to_string(folder.join(name)).unwrap();
    let quoted = |cell: &str| format!("\"{}\"", cell.replace('"', "\"\""));
    for (code, language) in [
        ("de", DE),
        ("fr", FR),
        ("es", ES),
        ("it", IT),
        ("nl", NL),
        ("pt", PT),
    ] {
        let (names, gold) = (
            read(format!("names.{code}.tsv")),
            read(format!("gold.{code}.tsv")),
        );
        // To English names alone, and to those of the language alone.
        for (of_language, least) in [(false, 0.74), (true, 0.81)] {
            let mut csv = String::from("id,name,language\n");
            let mut known = HashSet::new();
            for line in names.lines() {
                let cells: Vec<&str> = line.split('\t').collect();
                let own = if of_language { &cells[2..] } else { &cells[1..2] };
                let code = if of_language { code } else { "en" };
                for name in own {
                    csv += &format!("{},{},{code}\n", quoted(cells[1]), quoted(name));
                    known.insert(cells[1]);
                }
            }
            let (_folder, linker) = written(&csv);
            let (mut all, mut right) = (0, 0);
            for line in gold.lines() {
                let cells: Vec<&str> = line.split('\t').collect();
                let meant: Vec<&str> = meant(cells[2])
                    .into_iter()
                    .filter(|id| known.contains(id))
                    .collect();
                if cells[0] != "disease" || meant.is_empty() {
                    continue;
                }
                let found = thoroughly(&linker, language, cells[1]);
                all += 1;
                right += usize::from(
                    found
                        .first()
                        .is_some_and(|best| meant.contains(&best.id.as_str())),
                );
            }
            let share = right as f64 / all as f64;
            assert!(
                all > 300 && share >= least,
                "{code}, {of_language}: {right} of {all}"
            );
        }
    }
}

proptest! {
    #[test]
    fn any_text_has_forms_in_every_language(text in "\\PC{0,80}", bit in 0_u32..8) {
        let language = if bit == 7 { 0 } else { 1 << bit };
        let forms = Forms::of(&text, language);
        // The exact form is of no language, and there are words wherever there is a form.
        prop_assert_eq!(&forms.exact, &Forms::of(&text, EN).exact);
        prop_assert_eq!(forms.exact.is_empty(), forms.key.is_empty());
        prop_assert_eq!(forms.words.len(), forms.stems.len());
        prop_assert!(language & !ALL == 0);
    }

    #[test]
    fn order_does_not_change_a_key(words in prop::collection::vec("[a-zäöüéñç]{5,14}", 2..4)) {
        for language in [DE, FR, ES, IT, NL, PT] {
            // Words that no lexicon joins: each by itself.
            let alone: Vec<Forms> = words.iter().map(|word| Forms::of(word, language)).collect();
            let one = Forms::of(&words.join(" "), language);
            let count: usize = alone.iter().map(|forms| forms.words.len()).sum();
            if one.words.len() == count {
                let mut turned = words.clone();
                turned.reverse();
                prop_assert_eq!(one.key, Forms::of(&turned.join(" "), language).key);
            }
        }
    }
}
