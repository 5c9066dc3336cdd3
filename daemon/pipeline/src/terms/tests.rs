use proptest::prelude::*;

use super::*;
use crate::testing::{list, messy_text};

fn small() -> Terms {
    list(&[
        ("renal failure", "Disease", "en", ""),
        ("failure", "Disease", "en", ""),
        ("pain", "Disease", "en", ""),
        ("heart attack", "Disease", "en", ""),
        ("diabetic", "Disease", "en", ""),
        ("MI", "Disease", "en", ""),
        ("COPD", "Disease", "", ""),
        ("copd", "Disease", "", ""),
        ("*itis", "Disease", "en", ""),
        ("knee", "Anatomy", "en", "Disease"),
        ("renal", "Anatomy", "en", "Disease"),
        ("acute", "", "en", "Disease"),
        ("Übelkeit", "Disease", "de", ""),
        ("*schmerz", "Disease", "de", ""),
        ("akut", "", "de", "Disease"),
        ("Gift", "Disease", "de", ""),
        ("insuffisance", "Disease", "fr", ""),
        ("rénal", "Anatomy", "fr", "Disease"),
        ("aigu", "", "fr", "Disease"),
        ("K+", "Chemical", "", ""),
        ("Na", "Chemical", "", ""),
        ("c. diff", "Disease", "en", ""),
        ("CRPS", "Disease", "en", ""),
        ("pain scale", "-", "en", ""),
        ("toux", "Disease", "fr", ""),
        ("uña", "Anatomy", "es", ""),
        ("una", "-", "es", ""),
        ("Arm", "Anatomy", "de", ""),
        ("Magen", "Anatomy", "de", ""),
        ("Fieber", "Disease", "de", ""),
        ("*zirkulose", "Disease", "de", ""),
    ])
}

fn found<'a>(terms: &Terms, text: &'a str, label: &str) -> Vec<&'a str> {
    let spans = find(text, &[terms]).names;
    let of = spans.iter().filter(|span| &*span.label == label);
    of.map(|span| &text[span.begin..span.end]).collect()
}

#[test]
fn names_are_found_as_notes_write_them() {
    let terms = small();
    for (text, expected) in [
        ("The pt is in RENAL FAILURE.", &["RENAL FAILURE"][..]),
        (
            "He has had heart-attacks and was told of his heart\u{2019}s pain.",
            &["heart-attacks", "pain"],
        ),
        // The name that begins first, and of those the longest; with what joins it.
        (
            "Acute renal failure with acute knee pain, not acute.",
            &["Acute renal failure", "acute knee pain"],
        ),
        ("The MI was missed by mi amigo; two MIs.", &["MI", "MIs"]),
        ("She has COPD, Copd, copd.", &["COPD", "Copd", "copd"]),
        ("Arthritis of the knee, itis of the mind.", &["Arthritis"]),
        ("A non-diabetic and a diabetic.", &["diabetic"]),
        (
            "Positive for C. diff and C diff and C.diff.",
            &["C. diff", "C.diff"],
        ),
        ("CRPS and crps; the CRP was 12.", &["CRPS"]),
        (
            "The pain scale says 3, but the pain goes on; knee pain scale.",
            &["pain"],
        ),
        ("Tous les jours la toux et le rhume.", &["toux"]),
        (
            "Pat. mit Leberzirkulosen und Fieber",
            &["Leberzirkulosen", "Fieber"],
        ),
        // Each line in its language.
        (
            "Das Fieber ist hoch und der Patient wach.\nThe patient has pain and is of the view that it is better.",
            &["Fieber", "pain"],
        ),
        // A column, a list, and a line that was wrapped.
        ("the heart    attack of the heart\nattack", &[]),
        (
            "the note goes on and on about the patient's heart\nattack",
            &["heart\nattack"],
        ),
        // "Gift" is no poison in English.
        ("This was a gift of the patient and her family to the ward.", &[]),
        (
            "Die Patientin hat keine Uebelkeit und keine Rückenschmerzen, mit Gift.",
            &["Uebelkeit", "Rückenschmerzen", "Gift"],
        ),
        (
            "Der Patient hat akute Übelkeit und die Schmerzen.",
            &["akute Übelkeit"],
        ),
        (
            "Le patient est en insuffisance rénale aiguë et une insuffisance.",
            &["insuffisance rénale aiguë", "insuffisance"],
        ),
        ("", &[]),
    ] {
        assert_eq!(found(&terms, text, "Disease"), expected, "{text}");
    }
    assert_eq!(
        found(&terms, "Renal failure of the knee.", "Anatomy"),
        ["Renal", "knee"]
    );
    assert_eq!(
        found(&terms, "K+ 5.1, k 3, Na 140, na, NA", "Chemical"),
        ["K+", "Na"]
    );
}

#[test]
fn names_go_on_in_the_next_line() {
    let terms = list(&[
        ("hypertension", "Disease", "", ""),
        ("pulmonary hypertension", "Disease", "", ""),
        ("atrial fibrillation", "Disease", "", ""),
        ("*entzündung", "Disease", "de", ""),
        ("beta blocker", "Chemical", "", ""),
        ("diabetic", "Disease", "en", ""),
        ("abdominal", "", "en", "Disease"),
        ("pain", "Disease", "en", ""),
        ("Vorhofflimmern", "Disease", "de", ""),
        ("permanentes Vorhofflimmern", "Disease", "de", ""),
        ("heart", "Anatomy", "", ""),
        ("heart attack", "Disease", "", ""),
    ]);
    for (text, expected) in [
        ("known hyper-\ntension", &["hyper-\ntension"][..]),
        (
            "severe pulmonary hyper-\r\n  tension.",
            &["pulmonary hyper-\r\n  tension"],
        ),
        ("HYPER-\nTENSION", &["HYPER-\nTENSION"]),
        ("hyper\u{ad}tension", &["hyper\u{ad}tension"]),
        ("eine Lungen-\nentzündung", &["Lungen-\nentzündung"]),
        (
            "She is in permanent atrial\nfibrillation now",
            &["atrial\nfibrillation"],
        ),
        (
            "She is in permanent atrial fibril-\nlation now",
            &["atrial fibril-\nlation"],
        ),
        ("The patient has ab-\ndominal pain.", &["ab-\ndominal pain"]),
        (
            "Der Patient hat seit zwei Jahren permanentes\nVorhofflimmern",
            &["permanentes\nVorhofflimmern"],
        ),
        // Lines that end a sentence or stand apart, items of lists, columns.
        ("She has a disease of the heart.\nattack", &[]),
        ("This is a disease of the heart:\nattack", &[]),
        ("This is a disease of the heart\n\nattack", &[]),
        ("This is a disease of the heart\n- attack", &[]),
        ("This is a disease of the heart\n* attack", &[]),
        ("This is a disease of the heart |\nattack", &[]),
        ("a heart\nattack", &[]),
        ("what the list of them is, heart   heart\nattack", &[]),
        (
            "hyper-\n\ntension, hyper-\nTension, hyper -\ntension, hyper-\n- tension",
            &[],
        ),
        ("The man is a non-\ndiabetic", &[]),
        ("hyper-\nten-\nsion", &[]),
    ] {
        assert_eq!(found(&terms, text, "Disease"), expected, "{text:?}");
    }
    // The hyphen may be part of the name.
    let text = "The patient was given a beta-\nblocker, and the beta-\nblocker was stopped";
    assert_eq!(found(&terms, text, "Chemical"), ["beta-\nblocker"; 2]);
}

#[test]
fn what_means_nothing_is_told() {
    let text = "The pain scale, the pain.";
    let found = find(text, &[&small()]);
    assert_eq!(found.hidden, [(4, 14)]);
    assert_eq!(found.names.len(), 1);
}

#[test]
fn a_name_in_small_letters_means_any_case_whichever_comes_first() {
    for names in [["COPD", "copd"], ["copd", "COPD"]] {
        let terms = list(&names.map(|name| (name, "Disease", "", "")));
        assert_eq!(found(&terms, "COPD Copd copd", "Disease").len(), 3);
    }
}

#[test]
fn one_name_may_mean_two_things() {
    let terms = list(&[("iron", "Chemical", "", ""), ("iron", "Drug", "", "Disease")]);
    assert_eq!(found(&terms, "iron", "Chemical"), ["iron"]);
    assert_eq!(found(&terms, "iron", "Drug"), ["iron"]);
}

#[test]
fn what_joins_in_spanish_joins_what_stands_before_it_alone() {
    let terms = list(&[
        ("retina", "Anatomy", "", ""),
        ("der", "", "es", "Anatomy"),
        ("linken", "", "de", "Anatomy"),
    ]);
    // In so few words no language is told.
    assert_eq!(
        found(&terms, "Hamartom der linken Retina", "Anatomy"),
        ["linken Retina"]
    );
    assert_eq!(
        found(&terms, "tiene dolor en la retina der desde ayer", "Anatomy"),
        ["retina der"]
    );
    assert_eq!(found(&terms, "Hamartom Retina linken", "Anatomy"), ["Retina"]);
}

#[test]
fn names_that_are_written_alike_are_told() {
    let mut terms = Terms::default();
    let mut add = |name, language, label| {
        let term = Term {
            name,
            label,
            language,
            joins: "Organ",
            ..Term::default()
        };
        terms.add(term).expect("a term")
    };
    let gout = add("Heart attack", "en", "Disease");
    assert_eq!(add("heart-attack", "en", "-"), gout);
    for (name, language) in [("heart attack", ""), ("heart attacks", "en"), ("*attack", "en")] {
        assert_ne!(add(name, language, "Disease"), gout);
    }
    assert_ne!(add("GIT", "en", "Anatomy"), add("git", "en", "-"));
    assert_ne!(add("*itis", "en", "Disease"), add("itis", "en", "Disease"));
    // What names only join is no label of theirs.
    assert_eq!(terms.labels().collect::<Vec<_>>(), ["Disease", "Anatomy"]);
}

#[test]
fn what_is_no_term_is_refused_and_changes_nothing() {
    let mut terms = Terms::default();
    let long = "word ".repeat(17);
    let term = |name, label, language| Term {
        name,
        label,
        language,
        ..Term::default()
    };
    let beside = |beside| Term {
        beside,
        ..term("gout", "Disease", "")
    };
    for (wrong, expected) in [
        (term(" -- ", "Disease", ""), TermError::Empty),
        (term(&long, "Disease", ""), TermError::Long),
        (term("*it is", "Disease", ""), TermError::Ending),
        (term("*ab", "Disease", ""), TermError::Ending),
        (term("gout*", "Disease", ""), TermError::Ending),
        (term("go\u{0}ut", "Disease", ""), TermError::Control),
        (term("gout", "", ""), TermError::Nothing),
        (term("gout", "Dis\nease", ""), TermError::Label),
        (term("gout", "\u{2013}", ""), TermError::Label),
        (term("gout", "Disease", "xx"), TermError::Language),
        (beside("no"), TermError::Beside),
        (beside("_"), TermError::Beside),
        (beside("no _; "), TermError::Beside),
        (beside("no _ or _"), TermError::Beside),
        (beside(&long), TermError::Beside),
        (beside(&"no _; ".repeat(200)), TermError::LongBeside),
    ] {
        assert_eq!(terms.add(wrong), Err(expected));
    }
    assert!(terms.is_empty() && find("gout", &[&terms]) == Found::default());
}

proptest! {
    #[test]
    fn any_text_is_read(text in messy_text(300)) {
        let spans = find(&text, &[&small()]).names;
        for span in &spans {
            prop_assert!(text.get(span.begin..span.end).is_some_and(|name| !name.is_empty()));
        }
        for label in ["Disease", "Chemical", "Anatomy"] {
            let own: Vec<_> = spans.iter().filter(|span| &*span.label == label).collect();
            prop_assert!(own.windows(2).all(|pair| pair[0].end <= pair[1].begin));
        }
    }

    #[test]
    fn every_name_is_found_in_itself(name in "[0-9A-Za-zÀ-ÖØ-öø-ɏ]{1,12}( [0-9A-Za-zÀ-ÖØ-öø-ɏ]{1,8}){0,3}") {
        for language in ["", "en", "de", "fr", "es", "it", "nl", "pt"] {
            let terms = list(&[(&name, "Disease", language, "")]);
            prop_assert_eq!(found(&terms, &name, "Disease"), [&name]);
        }
    }
}

#[test]
fn a_word_with_a_wrong_letter_is_the_one_that_was_meant() {
    let lines = || {
        list(&[
            ("diabetes mellitus", "Disease", "en", ""),
            ("hypertension", "Disease", "en", ""),
            ("chronic", "", "en", "Disease"),
            ("addiction", "Disease", "en", ""),
            ("addition", "=", "en", ""),
            ("contrast", "Chemical", "en", ""),
            ("contrast", "=", "nl", ""),
            ("contract", "=", "en", ""),
            ("hypertensoin", "Disease", "en", ""),
            ("pulmonary hypertension", "Disease", "en", ""),
            ("Leberzirrhose", "Disease", "de", ""),
        ])
    };
    let text = "The patient has chornic diabtes mellitus and HYPERTENSON in addition, no Leberzirhose, contract; see the hypertention of her.";
    let exact = find(text, &[&lines()]);
    assert!(exact.names.is_empty(), "{exact:?}");
    let tolerant = lines().tolerant();
    let names = find(text, &[&tolerant]).names;
    let texts: Vec<&str> = names.iter().map(|name| &text[name.begin..name.end]).collect();
    assert_eq!(texts, ["chornic diabtes mellitus", "HYPERTENSON", "hypertention"]);
    assert!(names.iter().all(|name| name.misspelt));
    let right = find("The patient has hypertension and the addiction.", &[&tolerant]);
    assert_eq!(right.names.iter().filter(|name| !name.misspelt).count(), 2);
    assert_eq!(
        meant("Hypertention", "en", &[&tolerant]).as_deref(),
        Some("hypertension")
    );
    assert_eq!(meant("hypertention", "de", &[&tolerant]), None);
    // What another list knows is right.
    let other = list(&[("hypertention", "=", "en", "")]);
    let names = find(text, &[&tolerant, &other]).names;
    assert_eq!(names.len(), 2);
    assert!((other.len(), other.is_empty()) == (0, false) && other.labels().next().is_none());
}

#[test]
fn a_word_that_a_scanner_has_misread_is_the_one_that_was_meant() {
    let lines = || {
        list(&[
            ("hypertension", "Disease", "en", ""),
            ("glaucoma", "Disease", "en", ""),
            ("stroke", "Disease", "en", ""),
            ("community acquired pneumonia", "Disease", "en", ""),
            ("oedema", "Disease", "en", ""),
            ("edema", "Disease", "en", ""),
            ("modem", "Disease", "en", ""),
            ("contract", "Disease", "en", ""),
            ("oil", "Chemical", "en", ""),
        ])
    };
    let text = "PMH: HYPERTENS10N, g1aucoma, 5troke. Has cornmunity acquired pneurnonia; 0edema of legs, modern, 01l.";
    assert!(find(text, &[&lines()]).names.is_empty());
    let names = find(text, &[&lines().tolerant()]).names;
    let texts: Vec<&str> = names.iter().map(|name| &text[name.begin..name.end]).collect();
    assert_eq!(
        texts,
        [
            "HYPERTENS10N",
            "g1aucoma",
            "5troke",
            "cornmunity acquired pneurnonia"
        ]
    );
    assert!(names.iter().all(|name| name.misspelt));
}

#[test]
fn a_short_form_of_one_language_is_none_in_lines_of_another() {
    let terms = list(&[
        ("MI", "Disease", "en", ""),
        ("MI", "Anatomy", "fr", "Disease"),
        ("VE", "Anatomy", "pt", "Disease"),
        ("OD", "Anatomy", "fr", "Disease"),
        ("OD", "Anatomy", "es", "Disease"),
        ("cervix", "Anatomy", "en", ""),
        ("cervix", "Anatomy", "nl", ""),
        ("aspirin", "Chemical", "", ""),
        ("HTA", "Disease", "fr", ""),
        ("toux", "Disease", "fr", ""),
        ("PE", "Disease", "en", ""),
        ("p\u{e9}", "Anatomy", "pt", ""),
    ]);
    for (text, expected) in [
        ("MI 2012", &["MI:Disease"][..]),
        ("Old MI", &["MI:Disease"]),
        ("VE: cervix closed", &["cervix:Anatomy"]),
        ("Meds: aspirin 75 mg OD.", &["aspirin:Chemical"]),
        ("OD 10/10", &["OD:Anatomy"]),
        ("PE", &["PE:Disease"]),
        ("Toux, OD, MI", &["Toux:Disease", "OD:Anatomy", "MI:Anatomy"]),
        ("HTA, MI gauche", &["HTA:Disease", "MI:Anatomy"]),
    ] {
        let found = find(text, &[&terms]).names.into_iter();
        let found: Vec<String> = found
            .map(|name| format!("{}:{}", &text[name.begin..name.end], name.label))
            .collect();
        assert_eq!(found, expected, "{text}");
    }
}

#[test]
fn a_name_is_what_stands_beside_it_says() {
    let mut terms = list(&[
        ("CAP", "Disease", "en", ""),
        ("LAD", "Anatomy", "en", ""),
        ("pain", "Disease", "en", ""),
    ]);
    for (name, label, joins, beside) in [
        ("CAP", "-", "", "# _; mg _; _ by mouth"),
        ("LAD", "Disease", "", "no _; axillary _"),
        ("back", "Anatomy", "Disease", "his _; _ pain"),
        ("mild", "", "Disease", "very _"),
    ] {
        let term = Term {
            name,
            label,
            joins,
            beside,
            language: "en",
        };
        terms.add(term).expect("a term");
    }
    for (text, expected) in [
        ("300 mg CAP, 1 CAP, CAP by mouth", &[][..]),
        ("CAP by the mouth, for CAP", &["CAP:Disease", "CAP:Disease"]),
        (
            "No LAD, axillary LAD; LAD stent",
            &["LAD:Disease", "LAD:Disease", "LAD:Anatomy"],
        ),
        (
            "came back with his back and back pain",
            &["back:Anatomy", "back pain:Disease", "back:Anatomy"],
        ),
        (
            "very mild pain, mild pain",
            &["mild pain:Disease", "pain:Disease"],
        ),
        // Not over a column or an empty line.
        ("no    LAD", &["LAD:Anatomy"]),
        ("no\n\nLAD", &["LAD:Anatomy"]),
    ] {
        let found = find(text, &[&terms]).names.into_iter();
        let found: Vec<String> = found
            .map(|name| format!("{}:{}", &text[name.begin..name.end], name.label))
            .collect();
        assert_eq!(found, expected, "{text}");
    }
}

#[test]
fn nothing_goes_over_a_dash_between_spaces() {
    let terms = small();
    let text = "Knee - pain, knee \u{2013} pain, knee pain, knee-pain, renal - failure";
    assert_eq!(
        found(&terms, text, "Disease"),
        ["pain", "pain", "knee pain", "knee-pain", "failure"]
    );
}

#[test]
fn a_name_with_capitals_within_a_word_is_found_as_it_is_written() {
    let terms = list(&[
        ("PACs", "Disease", "", ""),
        ("PsA", "Disease", "", ""),
        ("hemoglobin A", "Disease", "", ""),
        ("PTs", "Anatomy", "", ""),
        ("C. diff", "Disease", "", ""),
    ]);
    for (text, count) in [
        ("PACs, PsA, c. diff, C. Diff", 4),
        ("PACS, PSA, psa, pac, PAC", 0),
        ("PT, pts", 0),
        ("PTs", 1),
    ] {
        assert_eq!(find(text, &[&terms]).names.len(), count, "{text}");
    }
}

#[test]
fn the_last_vowel_of_a_drug_is_the_one_of_the_language() {
    let terms = list(&[
        ("primidone", "Chemical", "", ""),
        ("bumetanide", "Chemical", "", ""),
        ("atracurium", "Chemical", "", ""),
        ("Concerta", "Chemical", "", ""),
        ("heparin", "Chemical", "", ""),
        ("codeine", "Chemical", "en", ""),
        ("maltose", "Chemical", "", ""),
        ("potassium chloride", "Chemical", "", ""),
        ("migraine", "Disease", "", ""),
    ]);
    let text = "Primidon, primidona, primidone, Bumetanid, bumetanida, eparina, heparina, h\u{e9}parine, heparine, potassium chlorid";
    assert_eq!(find(text, &[&terms]).names.len(), 9);
    for text in [
        "concert, concerto",
        "Codein",
        "migrain",
        "malto",
        "primidoni",
        "atracurio",
    ] {
        assert!(find(text, &[&terms]).names.is_empty(), "{text}");
    }
    // They are right as they are.
    assert_eq!(meant("primidona", "es", &[&terms.tolerant()]), None);
}

#[test]
fn a_word_is_misspelt_in_the_language_that_names_tell() {
    let terms = list(&[
        ("Simeticon", "Chemical", "de", ""),
        ("disecci\u{f3}n", "Disease", "es", ""),
        ("neumon\u{ed}a", "Disease", "es", ""),
    ])
    .tolerant();
    let text = "Disecci\u{f3}n, neumon\u{ed}a, pulsos sim\u{e9}tricos";
    assert_eq!(found(&terms, text, "Chemical"), [""; 0]);
    assert_eq!(found(&terms, "Simetricon", "Chemical"), ["Simetricon"]);
}

#[test]
fn an_ending_without_its_own_ending_ends_stems_alone() {
    let terms = list(&[("*citose", "Disease", "pt", ""), ("*kulose", "Disease", "de", "")]);
    let text = "leucocitose, leuc\u{f3}citos, leucocitoses, ex\u{e9}rcitos";
    assert_eq!(found(&terms, text, "Disease"), ["leucocitose", "leucocitoses"]);
    assert_eq!(found(&terms, "Tuberkulosen", "Disease"), ["Tuberkulosen"]);
}
