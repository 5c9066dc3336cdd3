//! Lists of names: what a hospital has words for and its models do not know.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use mednerd_client::api::{self, AnnotateResponse, ModelsResponse, ReloadResponse};
use mednerd_tests::daemon::root;
use mednerd_tests::notes::flaw;
use mednerd_tests::{Config, Site};
use serde_json::json;

const NOTE: &str =
    "She has diabetes and a zorgblatt, no flumph; started on metformin. Zorgblatts again, and FLM.";
const LIST: &str =
    "name\tlabel\nzorgblatt\tDisease\nflumph\tDisease\nFLM\tDisease\ndiabetes\tDisease\ndiabetes\tProblem\n";

/// A daemon with the shipped model, a list that is a default and one that is not.
fn site() -> Site {
    let site = Site::new(&Config::default());
    site.write("ward.tsv", LIST);
    site.write(
        "other.tsv",
        "name\tlabel\nstarted\tVerb\nzorgblatt\t-\nhas diabetes\t-\n",
    );
    let toml = Config::default().toml()
        + "[[terms]]\nname = \"ward\"\npath = \"ward.tsv\"\ndefault = true\n\
           [[terms]]\nname = \"other\"\npath = \"other.tsv\"\nscore_percent = 30\n";
    site.write("mednerd.toml", &toml);
    site
}

/// Text, label, model and kinds of assertions of each entity.
fn found(answer: &AnnotateResponse) -> Vec<(&str, &str, &str, usize)> {
    let entities = answer.entities.iter();
    entities
        .map(|entity| {
            (
                &*entity.text,
                &*entity.label,
                &*entity.model,
                entity.assertions.len(),
            )
        })
        .collect()
}

#[test]
fn names_of_a_list_are_found_where_models_have_nothing() {
    let daemon = site().start();
    let answer = daemon.annotate(NOTE);
    let expected = [
        ("diabetes", "Problem", "ward", 0),
        ("diabetes", "Disease", "shipped", 0),
        ("zorgblatt", "Disease", "ward", 0),
        ("flumph", "Disease", "ward", 1),
        ("metformin", "Chemical", "shipped", 0),
        ("Zorgblatts", "Disease", "ward", 0),
        ("FLM", "Disease", "ward", 0),
    ];
    let mut got = found(&answer);
    got.sort_by_key(|(text, label, ..)| (NOTE.find(text), std::cmp::Reverse(*label)));
    assert_eq!(got, expected);
    let own = answer
        .entities
        .iter()
        .find(|entity| entity.text == "zorgblatt")
        .unwrap();
    assert!((own.score - 0.8).abs() < 1e-6);
    assert_eq!(NOTE[own.begin as usize..own.end as usize], *"zorgblatt");
    // What is in force is named by its digest, as models are.
    let models: ModelsResponse = daemon.request("GET", "/v1/models", "").ok().decode();
    let list = models.models.iter().find(|model| model.name == "ward").unwrap();
    assert_eq!(answer.versions.models["ward"], list.digest);
    assert_eq!((&*list.family, list.default, list.parameters), ("terms", true, 5));
    assert!(!answer.versions.models.contains_key("other"));
}

#[test]
fn a_request_may_name_lists_alone_or_none_and_ask_for_a_score() {
    let daemon = site().start();
    let ask = |models: &[&str], threshold: f64| {
        let answer = daemon.ask(&json!({"text": NOTE, "models": models, "threshold": threshold}));
        let found = answer.entities.into_iter();
        found
            .map(|entity| (entity.text, entity.model))
            .collect::<Vec<_>>()
    };
    assert_eq!(ask(&["other"], 0.3), [("started".to_owned(), "other".to_owned())]);
    assert_eq!(ask(&["other"], 0.31), []);
    assert!(ask(&["shipped"], 0.0).iter().all(|(_, model)| model == "shipped"));
    let both = ask(&["other", "ward", "other"], 0.0);
    assert_eq!(both.iter().filter(|(_, model)| model == "other").count(), 1);
    // What one list hides is found by none, as it is written.
    assert_eq!(
        both.iter().filter(|(_, model)| model == "ward").count(),
        3,
        "{both:?}"
    );
    let hidden = ask(&["other", "shipped"], 0.0);
    assert!(hidden.iter().any(|(text, _)| text == "metformin"), "{hidden:?}");
    assert!(hidden.iter().all(|(text, _)| text != "diabetes"), "{hidden:?}");
    let request = json!({"text": NOTE, "models": ["none"]}).to_string();
    let refused = daemon
        .request("POST", "/v1/annotate", request)
        .refused(404, "unknown_model");
    assert!(refused.message.contains("ward"), "{}", refused.message);
}

#[test]
fn what_a_model_is_sure_of_once_is_believed_throughout_the_text() {
    let site = Site::new(&Config::default());
    site.write("ward.tsv", "name\tlabel\nzorgblattin\tChemical\n");
    let list = "[[terms]]\nname = \"ward\"\npath = \"ward.tsv\"\ndefault = true\nmodels_percent = 90\n";
    site.write("mednerd.toml", &(Config::default().toml() + list));
    let daemon = site.start();
    let chemicals = |text: &str, options: serde_json::Value| {
        let mut request = json!({"text": text});
        request
            .as_object_mut()
            .unwrap()
            .extend(options.as_object().cloned().unwrap());
        let entities = daemon.ask(&request).entities.into_iter();
        let own = entities.filter(|entity| entity.label == "Chemical");
        own.map(|entity| (entity.begin, entity.score)).collect::<Vec<_>>()
    };
    let (sure, unsure) = (
        "Zolmetrine toxicity after zolmetrine 5 mg. zolmetrine: stop.",
        "Zolmetrine toxicity.",
    );
    let found = chemicals(sure, json!({}));
    let scores: Vec<bool> = found.iter().map(|(_, score)| *score >= 0.9).collect();
    assert_eq!(scores, [false, true, false], "{found:?}");
    assert_eq!(chemicals(unsure, json!({})), []);
    assert_eq!(chemicals(unsure, json!({"threshold": 0.0})).len(), 1);
    // A threshold of the request is for each.
    assert_eq!(chemicals(sure, json!({"threshold": 0.9})), [found[1]]);
}

/// A text that defines short forms for what a list has, for what a model has, and for what neither has.
const DEFINING: &str = "QZN? Known quiet zorgblatt node (QZN), on morbazine oxide (MBO) by quick ward knock (QWK). QZNs and MBO; QWK. Old zorgblatt (OZB).";

#[test]
fn a_short_form_is_what_the_text_defines_it_as_where_that_is_wanted() {
    let site = Site::new(&Config::default());
    site.write(
        "ward.tsv",
        "name\tlabel\nquiet zorgblatt node\tDisease\nQWK\tTest\nold zorgblatt\tDisease\nOZB\t-\n",
    );
    let toml = |model: bool, list: bool| {
        Config::default().toml()
            + &format!("short_forms = {model}\n")
            + "[[terms]]\nname = \"ward\"\npath = \"ward.tsv\"\ndefault = true\n"
            + &format!("short_forms = {list}\n")
    };
    site.write("mednerd.toml", &toml(true, true));
    let daemon = site.start();
    let short = |answer: &AnnotateResponse, model: &str| {
        let own = answer.entities.iter().filter(|entity| entity.model == model);
        own.map(|entity| (entity.begin, entity.text.clone()))
            .collect::<Vec<_>>()
    };
    let at = |words: &[(usize, &str)]| {
        let of = words.iter().map(|(nth, words)| {
            let (begin, _) = DEFINING.match_indices(words).nth(*nth).unwrap();
            (begin as u64, (*words).to_owned())
        });
        of.collect::<Vec<_>>()
    };
    let answer = daemon.annotate(DEFINING);
    // QWK is a test to the list, and what it is short for is nothing to anybody: it stands.
    let listed = [
        (0, "QZN"),
        (0, "quiet zorgblatt node"),
        (1, "QZN"),
        (0, "QWK"),
        (0, "QZNs"),
        (1, "QWK"),
        // What a list hides is hidden in every way.
        (0, "Old zorgblatt"),
    ];
    assert_eq!(short(&answer, "ward"), at(&listed));
    let found = [(0, "morbazine oxide"), (0, "MBO"), (1, "MBO")];
    assert_eq!(short(&answer, "shipped"), at(&found));
    let score = |text: &str| {
        let mut own = answer.entities.iter().filter(|entity| entity.text == text);
        own.next().map(|entity| (entity.score, entity.label.clone()))
    };
    assert_eq!(score("MBO"), score("morbazine oxide"));
    assert_eq!(score("QZN"), score("quiet zorgblatt node"));

    site.write("mednerd.toml", &toml(false, false));
    let _: ReloadResponse = daemon.admin("POST", "/v1/reload").ok().decode();
    let answer = daemon.annotate(DEFINING);
    let listed = [
        (0, "quiet zorgblatt node"),
        (0, "QWK"),
        (1, "QWK"),
        (0, "Old zorgblatt"),
    ];
    assert_eq!(short(&answer, "ward"), at(&listed));
    assert!(!short(&answer, "shipped").contains(&at(&[(1, "MBO")])[0]));
}

#[test]
fn lists_serve_without_any_model() {
    let site = Site::new(&Config::without_models());
    site.write("ward.tsv", LIST);
    let list = "[[terms]]\nname = \"ward\"\npath = \"ward.tsv\"\ndefault = true\n";
    site.write("mednerd.toml", &(Config::without_models().toml() + list));
    let daemon = site.start();
    let answer = daemon.annotate(NOTE);
    assert!(found(&answer).contains(&("flumph", "Disease", "ward", 1)));
    assert_eq!(daemon.admin("GET", "/healthz").status, 200);
}

#[test]
fn a_reload_takes_what_has_changed_and_refuses_what_is_no_list() {
    let daemon = site().start();
    let reload = || daemon.admin("POST", "/v1/reload");
    let kept: ReloadResponse = reload().ok().decode();
    assert_eq!(kept.kept, ["shipped", "ward", "other"]);
    daemon.site().write("ward.tsv", "name\tlabel\nblorb\tDisease\n");
    let changed: ReloadResponse = reload().ok().decode();
    assert_eq!(changed.loaded, ["ward"]);
    let of_ward = |text: &str| {
        let answer = daemon.ask(&json!({"text": text, "models": ["ward"]}));
        answer.entities.len()
    };
    assert_eq!((of_ward("a zorgblatt"), of_ward("a blorb")), (0, 1));

    daemon.site().write("ward.tsv", "name\tlabel\nblorb\n");
    assert_eq!(reload().status, 422);
    daemon.logs("ward.tsv, line 2: has 1 columns");
    assert!(!daemon.log().contains("blorb"));
    let output = daemon.site().validate();
    assert_eq!(output.status.code(), Some(78));
    assert_eq!(of_ward("a blorb"), 1);

    let refused = daemon.admin("DELETE", "/v1/models/ward");
    assert!(
        refused.text().contains("take it out of the configuration"),
        "{}",
        refused.text()
    );
}

/// A daemon with the shipped lists alone.
fn shipped() -> Site {
    let site = Site::new(&Config::default());
    let path = root().join("packaging/terms");
    let table = format!(
        "[[terms]]\nname = \"clinical-terms\"\npath = \"{}\"\nmisspelt_percent = 70\nsure_percent = 90\n",
        path.display()
    );
    site.write("mednerd.toml", &(Config::default().toml() + &table));
    site
}

#[test]
fn the_shipped_lists_find_what_wards_write_in_seven_languages() {
    let daemon = shipped().start();
    let told = String::from_utf8(daemon.site().validate().stdout).unwrap();
    assert!(
        told.contains("terms \"clinical-terms\": ") && !told.contains("warning: terms"),
        "{told}"
    );
    for (text, expected) in [
        (
            "The pt is a 70 yo with COPD, known AF and L knee pain; denies SOB. Started on apixaban and given Tylenol.",
            &["COPD", "AF", "knee pain", "SOB", "apixaban", "Tylenol"][..],
        ),
        (
            "Die Patientin wurde mit akuter Pankreatitis und VHF aufgenommen, keine Rueckenschmerzen, erhielt ASS.",
            &["akuter Pankreatitis", "VHF", "Rueckenschmerzen", "ASS"],
        ),
        (
            "Le patient est suivi pour une HTA, un AIT et une insuffisance rénale chronique, sous furosémide, sans dyspnée.",
            &[
                "HTA",
                "AIT",
                "insuffisance rénale chronique",
                "furosémide",
                "dyspnée",
            ],
        ),
        (
            "La paciente es diabética, con HTA y disnea de esfuerzo desde hace un mes, en tratamiento con metformina.",
            &["HTA", "disnea de esfuerzo", "metformina"],
        ),
        (
            "Il paziente è affetto da fibrillazione atriale, con tosse e dispnea, in terapia con acido acetilsalicilico.",
            &[
                "fibrillazione atriale",
                "tosse",
                "dispnea",
                "acido acetilsalicilico",
            ],
        ),
        (
            "De patiënt heeft sinds gisteren koorts en hoesten, geen benauwdheid, wordt met amoxicilline behandeld.",
            &["koorts", "hoesten", "benauwdheid", "amoxicilline"],
        ),
        (
            "O doente apresenta febre e tosse há três dias, com dispneia, e está medicado com amoxicilina.",
            &["febre", "tosse", "dispneia", "amoxicilina"],
        ),
    ] {
        let answer = daemon.ask(&json!({"text": text, "models": ["clinical-terms"]}));
        let found: Vec<&str> = answer.entities.iter().map(|entity| &*entity.text).collect();
        for name in expected {
            assert!(found.contains(name), "{name} is not among {found:?}");
        }
    }
}

/// What ends longer names is a name alone, a drug is spelt as its language does, and everyday words that look like a name are none.
#[test]
fn the_shipped_lists_find_names_that_end_others_and_no_everyday_words() {
    let daemon = shipped().start();
    for (text, expected) in [
        (
            "Il paziente presenta una tendinite della spalla, una sinovite e non ha granulomi.",
            &["tendinite", "spalla", "sinovite", "granulomi"][..],
        ),
        (
            "La patiente a une synovite du genou et une névrite, sans adénome ni stomatites.",
            &["synovite", "genou", "névrite", "adénome", "stomatites"],
        ),
        (
            "De patiënt heeft een papilloom en een intoxicatie, geen regurgitatie of takblok.",
            &["papilloom", "intoxicatie", "regurgitatie", "takblok"],
        ),
        (
            "Die Patientin hat ein Papillom und eine Brandwunde, aber keine Lithiasis, und nimmt Primidon, Cimetidin und Insulin glargin.",
            &[
                "Papillom",
                "Brandwunde",
                "Lithiasis",
                "Primidon",
                "Cimetidin",
                "Insulin glargin",
            ],
        ),
        (
            "El hombre toma isoniacida y cimetidina, y otros hombres no han tenido fiebre.",
            &["isoniacida", "cimetidina", "fiebre"],
        ),
        (
            "O doente tem leucócitos normais e leucocitose não, amanhã toma crack.",
            &["leucócitos", "leucocitose", "crack"],
        ),
        (
            "Il paziente ha rigidità nucale e una colica renale, senza dolore alle mani.",
            &[
                "rigidità nucale",
                "nucale",
                "colica renale",
                "renale",
                "dolore",
                "mani",
            ],
        ),
        (
            "Le patient ira demain au sein du service, il a joué avec son frère aîné et il n'a pas de fièvre.",
            &["fièvre"],
        ),
        (
            "Sospecha disección aórtica baja, pulsos simétricos. AAS 300.",
            &["disección aórtica", "aórtica", "AAS"],
        ),
    ] {
        let answer = daemon.ask(&json!({"text": text, "models": ["clinical-terms"]}));
        let found: Vec<&str> = answer.entities.iter().map(|entity| &*entity.text).collect();
        assert_eq!(found, expected, "{text}");
    }
}

#[test]
fn the_shipped_lists_know_short_forms_by_what_stands_beside_them() {
    let daemon = shipped().start();
    for (text, expected) in [
        (
            "Take Gabapentin 300 mg CAP by mouth. Treated for CAP.",
            &["Gabapentin Chemical", "CAP Disease"][..],
        ),
        (
            "No LAD on exam. A stent to the LAD.",
            &["LAD Disease", "LAD Anatomy"],
        ),
        (
            "The patient denies SI/HI. Moderate AS and trace MR on the echo.",
            &["SI/HI Disease", "AS Disease", "MR Disease"],
        ),
        (
            "She is back in clinic with pain in her back.",
            &["pain Disease", "back Anatomy"],
        ),
        (
            "VA OD 20/40 OS CF. Floaters OS, photopsia OD, BRVO OS, POAG OU and presbyopia.",
            &[
                "Floaters Disease",
                "photopsia Disease",
                "BRVO Disease",
                "POAG Disease",
                "presbyopia Disease",
            ],
        ),
        (
            "The patient has left knee pain and a PD-L1 of 50%. G-CSF was given.",
            &["knee pain Disease", "knee Anatomy", "G-CSF Chemical"],
        ),
        (
            "Seen on HD, ASA 3, by Dr K. Meds: aspirin 75 mg OD, Mg 1.8.",
            &["aspirin Chemical", "Mg Chemical"],
        ),
        ("Old MI", &["MI Disease"]),
        ("VE: cervix closed", &["cervix Anatomy"]),
        (
            "Riferisce dolore spalla sx e tosse, nega febbre da ieri",
            &[
                "dolore Disease",
                "spalla sx Anatomy",
                "tosse Disease",
                "febbre Disease",
            ],
        ),
    ] {
        let answer = daemon.ask(&json!({"text": text, "models": ["clinical-terms"]}));
        let found: Vec<String> = answer
            .entities
            .iter()
            .map(|entity| format!("{} {}", entity.text, entity.label))
            .filter(|found| !["OD Anatomy", "OS Anatomy", "OU Anatomy"].contains(&&**found))
            .collect();
        assert_eq!(found, expected, "{text}");
    }
}

#[test]
fn a_model_beside_lists_finds_nothing_over_paragraphs() {
    let daemon = shipped().start();
    let text = "Family history: diabetes\n\nPneumonia on chest x-ray, no oedema.";
    let found = |models: &[&str]| -> Vec<String> {
        let answer = daemon.ask(&json!({"text": text, "models": models}));
        answer.entities.into_iter().map(|entity| entity.text).collect()
    };
    let beside = found(&["shipped", "clinical-terms"]);
    assert!(
        ["diabetes", "Pneumonia"]
            .iter()
            .all(|name| beside.iter().any(|text| text == name)),
        "{beside:?}"
    );
    assert!(beside.iter().all(|text| !text.contains('\n')), "{beside:?}");
    // A model alone is answered as its own tokens say, as in transformers.
    let alone = found(&["shipped"]);
    assert!(alone.iter().any(|text| text.contains('\n')), "{alone:?}");
}

#[test]
fn a_heading_is_no_disease() {
    let daemon = shipped().start();
    let found = |text: &str| -> Vec<String> {
        let answer = daemon.ask(&json!({"text": text, "models": ["clinical-terms"]}));
        answer.entities.into_iter().map(|entity| entity.text).collect()
    };
    assert_eq!(
        found("The patient was seen with a cough.\nPE: lungs clear.\nSurgeon: Anna Graves\nPlan: CT for PE."),
        ["cough", "lungs", "PE"]
    );
}

#[test]
fn an_answer_does_not_depend_on_how_lines_end() {
    let daemon = shipped().start();
    let lines = [
        "Patient seen today in clinic with her husband for review of her recent blood tests",
        "No fever",
        "Asthma",
        "Hypertension",
        "[ ] gout",
        "anaemia",
        "pneumonia [x]",
        "PMH: stroke",
        "Dyspnoea and cough for two days in hyper-",
        "tension",
        "",
        "Family history",
        "epilepsy",
    ];
    let ask = |text: &str| {
        let answer = daemon.ask(&json!({"text": text, "models": ["clinical-terms"]}));
        let entities = answer.entities.into_iter();
        entities
            .map(|entity| (entity.text.replace(char::is_whitespace, ""), entity.assertions))
            .collect::<Vec<_>>()
    };
    let expected = ask(&lines.join("\n"));
    let said = |name: &str| {
        let kinds = expected
            .iter()
            .find(|(text, _)| text == name)
            .map(|(_, said)| said);
        kinds.map(|said| said.iter().map(|one| one.kind).collect::<Vec<_>>())
    };
    assert_eq!(said("Asthma"), Some(vec![]));
    assert_eq!(said("fever"), Some(vec![api::AssertionKind::Negated]));
    assert_eq!(said("epilepsy"), Some(vec![api::AssertionKind::Family]));
    for end in ["\r\n", "\r", "\u{b}", "\u{c}", "\u{85}", "\u{2028}"] {
        assert_eq!(ask(&lines.join(end)), expected, "{end:?}");
    }
    assert_eq!(ask(&format!("\u{feff}{}", lines.join("\n"))), expected);
}

#[test]
fn apostrophes_dashes_ligatures_and_soft_hyphens_are_read_as_they_are_meant() {
    let daemon = shipped().start();
    let ask = |text: &str| {
        let answer = daemon.ask(&json!({"text": text, "models": ["clinical-terms"]}));
        assert_eq!(flaw(text, &answer), None);
        let entities = answer.entities.into_iter();
        let plain = |text: &str| {
            text.replace('\u{ad}', "")
                .replace("\u{fb00}", "ff")
                .replace("\u{fb01}", "fi")
        };
        entities
            .map(|entity| {
                (
                    plain(&entity.text),
                    entity.assertions.iter().map(|one| one.kind).collect(),
                )
            })
            .collect::<Vec<(String, Vec<_>)>>()
    };
    for (written, meant) in [
        ("Patient doesn\u{b4}t have fever.", "Patient doesn't have fever."),
        (
            "Patient doesn\u{2018}t have fever.",
            "Patient doesn't have fever.",
        ),
        ("Patient doesn\u{92}t have fever.", "Patient doesn't have fever."),
        ("fever (\u{2013}), cough (+)", "fever (-), cough (+)"),
        ("fever (\u{2212}), cough (+)", "fever (-), cough (+)"),
        ("PE was not con\u{fb01}rmed.", "PE was not confirmed."),
        ("PE was not con\u{ad}firmed.", "PE was not confirmed."),
        (
            "Atrial \u{fb01}brillation. No e\u{fb00}usion.",
            "Atrial fibrillation. No effusion.",
        ),
        ("Atrial fibril\u{ad}lation.", "Atrial fibrillation."),
    ] {
        let expected = ask(meant);
        assert!(!expected.is_empty(), "{meant}");
        assert_eq!(ask(written), expected, "{written}");
    }
    assert_eq!(
        ask("Patient doesn\u{b4}t have fever."),
        [("fever".to_owned(), vec![api::AssertionKind::Negated])]
    );
}

/// A word of a megabyte, and rows of what headings are looked for at, were looked through again for each of their letters: none of these
/// was answered within its deadline, nor what came behind it.
#[test]
fn no_text_holds_a_worker() {
    let daemon = shipped().start();
    let dots = ".".repeat(200_000);
    for text in [
        format!("asthma {}", "acgt".repeat(250_000)),
        format!("asthma a{}", "\u{b}".repeat(500_000)),
        format!("asthma\nPMH: {dots}{}", " a today".repeat(100_000)),
        format!("asthma\nPMH: {dots}{}", " Foo:".repeat(100_000)),
        format!("asthma {}", "# L L L L L L L L L ".repeat(50_000)),
        format!("asthma {}", "rnrnrnr1rnrnrn5 ".repeat(60_000)),
    ] {
        let answer = daemon.ask(&json!({"text": text, "models": ["clinical-terms"], "deadline_ms": 60_000}));
        assert!(answer.entities.iter().any(|entity| entity.text == "asthma"));
    }
}

#[test]
fn the_shipped_lists_know_what_was_meant_and_what_is_right() {
    let daemon = shipped().start();
    let find = |text: &str| {
        let answer = daemon.ask(&json!({"text": text, "models": ["clinical-terms"]}));
        let names = answer.entities.iter();
        names
            .map(|entity| (entity.text.clone(), entity.score))
            .collect::<Vec<_>>()
    };
    for (text, misspelt) in [
        (
            "The pt is known for diaebtes mellitus and atrial fibrilltaion, with pneumnoia now; started on metfomrin.",
            &[
                "diaebtes mellitus",
                "atrial fibrilltaion",
                "pneumnoia",
                "metfomrin",
            ][..],
        ),
        (
            "Die Patientin wurde mit einer Pankreatits und mit Vorhofflimern aufgenommen und hat keine Schmezren.",
            &["Pankreatits", "Vorhofflimern", "Schmezren"],
        ),
        (
            "La paciente presenta una neumonía con fibrilacion auriuclar y toma metfromina desde hace un año.",
            &["fibrilacion auriuclar", "metfromina"],
        ),
    ] {
        let found = find(text);
        for name in misspelt {
            assert!(
                found.contains(&((*name).to_owned(), 0.7)),
                "{name} is not among {found:?}"
            );
        }
    }
    let text =
        "In addition she was looking at her moderate ability to identify the numbers, with hypertension.";
    assert_eq!(find(text), [("hypertension".to_owned(), 0.8)]);
}

#[test]
fn the_shipped_lists_find_fractures_and_what_was_scanned() {
    let daemon = shipped().start();
    for (text, expected) in [
        ("She fell and has a # L wrist.", &["#", "L wrist"][..]),
        (
            "Imp: # NOF, rib #, no HTN",
            &["# NOF", "NOF", "rib #", "rib", "HTN"],
        ),
        ("# HTN\n# DM2\n# L hip pain", &["HTN", "DM2", "hip pain", "hip"]),
        (
            "PMH: Hypertens1on, g1aucoma. On amlod1pine for pneurnonia.",
            &["Hypertens1on", "g1aucoma", "amlod1pine", "pneurnonia"],
        ),
    ] {
        let answer = daemon.ask(&json!({"text": text, "models": ["clinical-terms"]}));
        let found: Vec<&str> = answer.entities.iter().map(|entity| &*entity.text).collect();
        assert_eq!(found, expected, "{text}");
    }
}

#[test]
fn the_shipped_lists_are_in_order_and_name_nothing_twice() {
    let folder = root().join("packaging/terms");
    let mut lists = 0;
    for file in std::fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "tsv") {
            continue;
        }
        lists += 1;
        let text = std::fs::read_to_string(&path).unwrap();
        let key = |line: &str| {
            let fields: Vec<&str> = line.split('\t').collect();
            (
                fields[1].to_owned(),
                fields[0].to_lowercase().trim_start_matches('*').to_owned(),
                fields[0].to_owned(),
                fields[2].to_owned(),
                // What joins two labels has two lines.
                fields.get(3).copied().unwrap_or_default().to_owned(),
            )
        };
        let keys: Vec<_> = text.lines().skip(1).map(key).collect();
        for pair in keys.windows(2) {
            assert!(
                pair[0] < pair[1],
                "{}: {:?} stands before {:?}",
                path.display(),
                pair[0],
                pair[1]
            );
        }
    }
    assert_eq!(lists, 10);
}
