use proptest::prelude::*;

use super::*;
use crate::sections::sections;
use crate::testing::messy_text;

/// What is said of words of a text, in letters: Negated, Uncertain, hYpothetical, Historical, Family.
fn said(text: &str, mention: &str) -> String {
    let begin = text.find(mention).expect("the mention");
    let found = assertions(text, &sections(text), &[(begin, begin + mention.len())]);
    let letter = |assertion: &Assertion| match assertion.kind {
        Kind::Negated => 'N',
        Kind::Uncertain => 'U',
        Kind::Hypothetical => 'Y',
        Kind::Historical => 'H',
        Kind::Family => 'F',
    };
    found[0].iter().map(letter).collect()
}

#[test]
fn what_a_sentence_says_of_a_mention() {
    let all = [
        ("No chest pain today.", "chest pain", "N"),
        ("He denies fever, chills, or night sweats.", "night sweats", "N"),
        ("No fever but productive cough.", "cough", ""),
        ("No acute distress, mild pedal edema.", "edema", ""),
        ("PE was ruled out.", "PE", "N"),
        ("Cannot rule out PE.", "PE", "U"),
        ("DVT and PE were ruled out by CT.", "DVT", "N"),
        ("?pneumonia", "pneumonia", "U"),
        ("Pneumonia? Start antibiotics.", "Pneumonia", "U"),
        ("Gram negative sepsis.", "sepsis", ""),
        ("History of MI and stroke.", "stroke", "H"),
        ("3 day history of cough.", "cough", ""),
        ("MI 2010, CABG 2012, now stable.", "MI", "H"),
        ("Return if fever or worsening pain.", "fever", "Y"),
        ("On heparin for DVT prophylaxis.", "DVT", "Y"),
        ("Mother had breast cancer.", "breast cancer", "F"),
        ("Mother denies vomiting in the child.", "vomiting", "N"),
        ("FH: breast cancer.", "breast cancer", "F"),
        ("No family history of colon cancer.", "colon cancer", "NF"),
        ("PMH: diabetes, hypertension", "hypertension", "H"),
        ("Edema: none. Rash: no.", "Edema", "N"),
        ("Edema: none. Rash: no.", "Rash", "N"),
        ("Patient has fever. No cough.", "fever", ""),
        ("Suspected appendicitis, no perforation.", "appendicitis", "U"),
        ("Suspected appendicitis, no perforation.", "perforation", "N"),
        ("No cyanosis, clubbing, edema.", "edema", "N"),
        ("No effusion, hyperdynamic RV hypertrophy.", "RV hypertrophy", ""),
        ("No mitomycin (perforation).", "perforation", ""),
        ("No effusion, dilatation of the aorta.", "dilatation", ""),
        ("Geen koorts, hoesten of dyspneu.", "hoesten", "N"),
        ("Geen koorts, hoesten of dyspneu.", "dyspneu", "N"),
        ("Nitrite neg, blood +. neg headache, dysuria.", "dysuria", "N"),
        ("PMH nil.\nNo hyper-\ntension, fever", "hyper-\ntension", "N"),
        ("hyper-\ntension was ruled out", "hyper-\ntension", "N"),
        ("[x] asthma\n[ ] angina  [ ] CVA/TIA", "TIA", "N"),
        ("[x] asthma\n[ ] angina  [ ] CVA/TIA", "asthma", ""),
        ("CT ruled out PE.", "PE", "N"),
        ("She was ruled out for MI.", "MI", "N"),
        ("They ruled him out for MI.", "MI", "N"),
        ("Rule her out for MI.", "MI", "U"),
        ("CT did not rule out PE.", "PE", "U"),
        ("Does not exclude PE.", "PE", "U"),
        ("Not certain if this is gout.", "gout", "U"),
        ("Unsure whether gout or cellulitis.", "gout", "U"),
        ("Pt doesnt have angina.", "angina", "N"),
        ("Lungs clear of effusion.", "effusion", "N"),
        ("Inconsistent with stroke.", "stroke", "N"),
        ("He is not known to have angina.", "angina", "N"),
        ("The effusion is no longer present.", "effusion", "N"),
        ("Currently pain free.", "pain", "N"),
        ("Now pain-free, walking.", "pain", "N"),
        ("Hypothyroidism, free T4 12.", "Hypothyroidism", ""),
        ("Ascites, free fluid in the pelvis.", "Ascites", ""),
        ("Come back if fever.", "fever", "Y"),
        ("Le scanner a exclu une embolie.", "embolie", "N"),
        ("Embolies et phlébites exclues.", "phlébites", "N"),
        ("Angor écarté, insuffisance traitée.", "insuffisance", ""),
        ("Sa fille a une grippe.", "grippe", "F"),
        ("Evenmin koorts.", "koorts", "N"),
        ("Koorts is niet meer aanwezig.", "Koorts", "N"),
        ("Onduidelijk of dit jicht is.", "jicht", "U"),
        ("Als kind astma.", "astma", ""),
        ("Astma als kind.", "Astma", "H"),
        ("No clinical evidence for stroke.", "stroke", "N"),
        ("Failed to demonstrate any arrhythmia.", "arrhythmia", "N"),
        ("PE was felt to be unlikely.", "PE", "N"),
        ("Treated for pneumonia, which was ruled out.", "pneumonia", "N"),
        ("Nothing to suggest pneumonia, no e/o stroke.", "stroke", "N"),
        ("Was not found to have cancer.", "cancer", "N"),
        ("(-) fever (+) cough", "fever", "N"),
        ("(-) fever (+) cough", "cough", ""),
        ("fever: denies; cough: yes", "fever", "N"),
        ("Asthma, denies fever.", "Asthma", ""),
        ("Ø fever, rash", "fever", "N"),
        ("s/p fall, -LOC, -nausea or vomiting, +headache", "vomiting", "N"),
        ("Fell: -LOC, tender wrist, +headache", "tender", ""),
        ("Fell: -LOC, +headache", "LOC", "N"),
        ("Fell: -LOC, +headache", "headache", ""),
        ("-headache -nausea", "nausea", ""),
        ("HIV (-), hepatitis (+)", "HIV", "N"),
        ("HIV (-), hepatitis (+)", "hepatitis", ""),
        ("No leukocytosis and a productive cough.", "cough", ""),
        ("Not clear whether he has pneumonia.", "pneumonia", "U"),
        ("No previous stroke.", "stroke", "N"),
        ("Unlikely to be pneumonia.", "pneumonia", "N"),
        ("Cancer is not suspected.", "Cancer", "N"),
        ("No reports of bleeding.", "bleeding", "N"),
        ("No abnormalities to explain the pain.", "pain", ""),
        ("No memory of the seizure.", "seizure", ""),
        ("Without improvement in his pneumonia.", "pneumonia", ""),
        ("Asthma: denies wheezing. Stable.", "Asthma", ""),
        ("Asthma: denies wheezing. Stable.", "wheezing", "N"),
        ("ROS: Denies fever, chills.", "chills", "N"),
        ("PE was ruled out for now.", "PE", "N"),
        ("PE on CT ruled out.", "PE", "N"),
        ("Hypernatremia - free water flushes.", "Hypernatremia", ""),
        ("Pancreatic cancer free margins.", "cancer", ""),
        ("Pain free since Monday.", "Pain", "N"),
        ("No prior imaging of his lung cancer.", "lung cancer", ""),
        ("Ø 5 cm aneurysm.", "aneurysm", ""),
        ("Unlikely to be admitted with asthma.", "asthma", ""),
        ("Temp -fever; +ve asthma; non-smoker -COPD", "COPD", ""),
        ("Child with epilepsy.", "epilepsy", ""),
        ("His child with influenza.", "influenza", "F"),
        ("Mother of two, admitted with appendicitis.", "appendicitis", ""),
        (
            "Palpa-se hepatomegalia. O doente queixa-se de dor na perna.",
            "hepatomegalia",
            "",
        ),
        (
            "El paciente ingresa. Se detectó hipertensión, y la tos con fiebre.",
            "hipertensión",
            "",
        ),
        ("Volta se febre. O doente com dor, sem tosse.", "febre", "Y"),
        (
            "Torna se febbre. Il paziente è stato visto con la tosse.",
            "febbre",
            "Y",
        ),
        ("PE has not yet been excluded.", "PE", "U"),
        ("Longembolie kan niet worden uitgesloten.", "Longembolie", "U"),
        ("Eine Fraktur liegt nicht vor.", "Fraktur", "N"),
        ("Denies the following: fever, cough or rash.", "rash", "N"),
        ("Pertinent negatives: fever, chest pain.", "fever", "N"),
        ("No worsening of heart failure.", "heart failure", ""),
        (
            "Keine Verschlechterung der Niereninsuffizienz.",
            "Niereninsuffizienz",
            "",
        ),
        ("No seizures since stroke.", "stroke", ""),
        ("Does not deny chest pain.", "chest pain", ""),
        ("Return to the ED for fever, worsening pain or rash.", "rash", "Y"),
        ("History of stroke with residual aphasia.", "aphasia", ""),
        ("FH: diabetes. Presents with fever.", "fever", ""),
        ("FH: diabetes. Presents with fever.", "diabetes", "F"),
        ("PMH: MI. Seen in ED today with syncope.", "syncope", ""),
        (
            "FAMILY HISTORY\nBreast cancer\nCURRENT SYMPTOMS\nHeadache",
            "Headache",
            "",
        ),
        (
            "VORERKRANKUNGEN\nGicht\nAKTUELLE BESCHWERDEN\nKopfschmerzen",
            "Kopfschmerzen",
            "",
        ),
        (
            "Hypertension does not explain the proteinuria.",
            "proteinuria",
            "",
        ),
        ("Paracetamol did not relieve the headache.", "headache", ""),
        ("Le paracétamol n'a pas soulagé la douleur.", "douleur", ""),
        ("Il n'y a pas que la toux.", "toux", ""),
        (
            "Absence of fever does not exclude endocarditis.",
            "endocarditis",
            "U",
        ),
        ("Absence of fever does not exclude endocarditis.", "fever", "N"),
        ("Negative D-dimer does not rule out PE.", "PE", "U"),
        ("Fever -ve, cough +ve", "Fever", "N"),
        ("Fever -ve, cough +ve", "cough", ""),
        (
            "Se compare vomito, tornare in PS. Il paziente non ha la tosse.",
            "vomito",
            "Y",
        ),
        ("Als u koorts krijgt, bel de huisarts.", "koorts", "Y"),
        ("PMH: asthma. Today has cough.", "cough", ""),
        (
            "PMH: asthma, gout. She was admitted with pneumonia.",
            "pneumonia",
            "",
        ),
        (
            "FH: father MI. Patient complains of chest pain.",
            "chest pain",
            "",
        ),
        (
            "PMH: stroke. Today she has a cough. Currently fever.",
            "fever",
            "",
        ),
        ("Antécédents : infarctus. Ce jour, œdème des jambes.", "œdème", ""),
        (
            "Vorerkrankungen: Gicht. Aktuell Dyspnoe und Fieber.",
            "Fieber",
            "",
        ),
        ("Antecedentes: infarto. Hoy presenta disnea.", "disnea", ""),
        ("PMH: asthma (today well), gout", "gout", "H"),
        ("Denies:\n- fever\n- chest pain\n\nCough", "chest pain", "N"),
        ("Denies:\n- fever\n- chest pain\n\nCough", "Cough", ""),
        ("Denies:\n- fever\nCough for days", "Cough", ""),
        ("Pertinent negatives:\n\u{2022} fever\n\u{2022} rash", "rash", "N"),
        ("Return if you have:\n- fever\n- vomiting", "vomiting", "Y"),
        ("Problems:\n- fever\n- vomiting", "vomiting", ""),
        ("No allergies\n- fever\n- vomiting", "vomiting", ""),
        ("Comorbidities: COPD, gout", "gout", ""),
        ("Kein Fieber, keine Dyspnoe.", "Dyspnoe", "N"),
        ("V.a. Pneumonie rechts.", "Pneumonie", "U"),
        ("Z.n. Myokardinfarkt mit Stent.", "Myokardinfarkt", "H"),
        ("Pas de fièvre ni de toux.", "toux", "N"),
        ("Niega fiebre y disnea.", "disnea", "N"),
        ("Si escludono lesioni. Non febbre.", "febbre", "N"),
        ("Geen koorts, wel hoesten.", "hoesten", ""),
        ("Nega febre. Sem dispneia.", "dispneia", "N"),
        ("Lungs clear\nno wheeze\nankle oedema", "oedema", ""),
    ];
    let wrong = all
        .iter()
        .filter(|(text, mention, expected)| said(text, mention) != *expected);
    let wrong: Vec<_> = wrong
        .map(|(text, mention, expected)| (text, mention, expected, said(text, mention)))
        .collect();
    assert_eq!(wrong, []);
}

#[test]
fn forms_answer_yes_and_no() {
    for (text, mention, expected) in [
        ("Fieber ja ( ) nein (x)", "Fieber", "N"),
        (
            "Fieber     ja ( )    nein (x)   Husten   ja (x)   nein ( )",
            "Fieber",
            "N",
        ),
        (
            "Fieber ja ( ) nein (x) Husten ja (x) nein ( )  Gicht",
            "Husten",
            "",
        ),
        (
            "Fieber ja ( ) nein (x) Husten ja (x) nein ( )  Gicht",
            "Gicht",
            "",
        ),
        ("Fieber, Husten: [ ] ja [x] nein", "Fieber", "N"),
        ("Fieber: nein [ ] ja [x]", "Fieber", ""),
        ("Fieber: ja [ ] nein [ ] unbekannt [x]\nHusten", "Fieber", ""),
        ("Fieber: ja [x] nein [x]", "Fieber", ""),
        ("Fieber: nein", "Fieber", "N"),
        ("Fieber nein, Husten ja", "Fieber", "N"),
        ("Fieber nein, Husten ja", "Husten", ""),
        ("fever (no), cough (yes)", "fever", "N"),
        ("fever (no), cough (yes)", "cough", ""),
        ("Fieber? Nein. Husten? Ja. Gicht?", "Fieber", "N"),
        ("Fieber? Nein. Husten? Ja. Gicht?", "Husten", ""),
        ("Fieber? Nein. Husten? Ja. Gicht?", "Gicht", "U"),
        ("Pneumonia? No fever", "Pneumonia", "U"),
        ("Fever  No\nCough  Yes", "Cough", ""),
        ("Fieber ja/nein: nein, Husten ja/nein: ja", "Fieber", "N"),
        ("Fieber ja/nein: nein, Husten ja/nein: ja", "Husten", ""),
        ("fi\u{e8}vre oui [ ] non [x]", "fi\u{e8}vre", "N"),
        ("fi\u{e8}vre : non", "fi\u{e8}vre", "N"),
        ("fi\u{e8}vre (oui/non) : non", "fi\u{e8}vre", "N"),
        ("fever yes [ ] no [x] cough yes [x] no [ ]", "fever", "N"),
        ("fever yes [ ] no [x] cough yes [x] no [ ]", "cough", ""),
        ("fever \u{2610} yes \u{2612} no", "fever", "N"),
        ("fever yes/no: no", "fever", "N"),
        ("fever (Y/N): N, cough (Y/N): Y", "fever", "N"),
        ("fever (Y/N): N, cough (Y/N): Y", "cough", ""),
        ("fever yes/no: yes", "fever", ""),
        ("fiebre s\u{ed} [ ] no [x]", "fiebre", "N"),
        ("fiebre s\u{ed}/no: no", "fiebre", "N"),
        ("febbre s\u{ec} ( ) no (x)", "febbre", "N"),
        ("febbre: no", "febbre", "N"),
        ("koorts ja [ ] nee [x]", "koorts", "N"),
        ("koorts ja/nee: nee", "koorts", "N"),
        ("febre sim [ ] n\u{e3}o [x]", "febre", "N"),
        ("febre (sim/n\u{e3}o): n\u{e3}o", "febre", "N"),
        ("fever yes [ ] no [x]. Later pain", "pain", ""),
        ("fever yes [ ]\nno [x] pain", "fever", ""),
    ] {
        assert_eq!(said(text, mention), expected, "{mention:?} in {text:?}");
    }
}

#[test]
fn a_history_within_a_line_ends_where_the_present_begins() {
    for (text, past, now) in [
        (
            "APR: ipertensione, diabete APP: da ieri dispnea e non tosse con febbre",
            "diabete",
            "dispnea",
        ),
        ("VG: COPD, DM2 A/ sinds gisteren koorts", "DM2", "koorts"),
        ("AP: HTA, DM2, acude por disnea", "DM2", "disnea"),
        ("AP: HTA, DM2. EA: disnea", "DM2", "disnea"),
        ("Antecedentes de HTA, acude por disnea", "HTA", "disnea"),
        (
            "ANTECEDENTS: HTA, DNID TRAITEMENT: metformine pour toux",
            "DNID",
            "toux",
        ),
    ] {
        assert_eq!(
            (said(text, past), said(text, now)),
            ("H".to_owned(), String::new()),
            "{text}"
        );
    }
}

#[test]
fn a_finding_names_the_words_that_it_stands_on() {
    let text = "Past history: asthma.\n\nImpression: no evidence of pneumonia.";
    let places = ["asthma", "pneumonia"].map(|word| {
        let begin = text.find(word).unwrap();
        (begin, begin + word.len())
    });
    let found = assertions(text, &sections(text), &places);
    let cues: Vec<&str> = found.iter().flatten().map(|assertion| assertion.cue).collect();
    assert_eq!(cues, ["past medical history", "no evidence of"]);
}

#[test]
fn every_entry_is_written_as_it_is_compared() {
    for entry in LEXICON.values().flatten() {
        let mut folded = String::new();
        fold(entry.name, &mut folded);
        assert_eq!(folded, entry.name);
        assert!(!entry.words.is_empty());
    }
    assert!(LEXICON.len() > 400);
}

/// It would take hours if it were not linear.
#[test]
fn brackets_that_nobody_closes_are_read() {
    let text = format!("fever ja ( ) nein (x)\nfever ja {}", "([".repeat(1_000_000));
    assert_eq!(said(&text, "fever"), "N");
}

proptest! {
    /// Whatever the text and the mentions, even those that overlap or that no word is in.
    #[test]
    fn any_text_is_read(text in messy_text(30), cuts in proptest::collection::vec((0_usize..200, 0_usize..40), 0..12)) {
        let snap = |at: usize| text.floor_char_boundary(at.min(text.len()));
        let mentions: Vec<(usize, usize)> = cuts.iter().map(|(begin, length)| (snap(*begin), snap(begin + length))).collect();
        let found = assertions(&text, &sections(&text), &mentions);
        prop_assert_eq!(found.len(), mentions.len());
        for said in &found {
            prop_assert!(said.is_sorted_by(|a, b| a.kind < b.kind));
        }
        // The order in which they come is nothing to them.
        let back: Vec<(usize, usize)> = mentions.iter().rev().copied().collect();
        let mut turned = assertions(&text, &sections(&text), &back);
        turned.reverse();
        prop_assert_eq!(turned, found);
    }
}

#[test]
fn what_is_listed_before_a_cue_is_all_denied() {
    let said = |text: &str, words: &[&str]| -> Vec<usize> {
        let places: Vec<(usize, usize)> = words
            .iter()
            .map(|word| {
                let begin = text.find(word).expect("the mention");
                (begin, begin + word.len())
            })
            .collect();
        let found = assertions(text, &sections(text), &places);
        found.iter().map(Vec::len).collect()
    };
    for (text, words, expected) in [
        (
            "Fever, chills, cough and dyspnea are denied.",
            &["Fever", "chills", "cough", "dyspnea"][..],
            &[1, 1, 1, 1][..],
        ),
        (
            "PE, ACS and pneumonia have been ruled out.",
            &["PE", "ACS", "pneumonia"],
            &[1, 1, 1],
        ),
        (
            "Oedema, ascites, jaundice: absent.",
            &["Oedema", "ascites", "jaundice"],
            &[1, 1, 1],
        ),
        (
            "Fieber, Husten und Dyspnoe werden verneint.",
            &["Fieber", "Husten", "Dyspnoe"],
            &[1, 1, 1],
        ),
        // Not all that stands before it is a list.
        (
            "Asthma on salbutamol, chills and cough are denied.",
            &["Asthma", "cough"],
            &[0, 1],
        ),
        ("Asthma, edema absent.", &["Asthma", "edema"], &[0, 1]),
    ] {
        assert_eq!(said(text, words), expected, "{text}");
    }
}

#[test]
fn a_short_form_is_said_what_its_long_form_is() {
    let text = "No deep vein thrombosis (DVT). PE (pulmonary embolism).";
    let places: Vec<(usize, usize)> = ["deep vein thrombosis", "DVT", "PE", "pulmonary embolism"]
        .map(|words| {
            text.find(words)
                .map(|begin| (begin, begin + words.len()))
                .expect("the mention")
        })
        .to_vec();
    let mut found = assertions(text, &sections(text), &places);
    share(&mednerd_abbreviations::definitions(text), &places, &mut found);
    let kinds: Vec<Vec<Kind>> = found
        .iter()
        .map(|said| said.iter().map(|one| one.kind).collect())
        .collect();
    assert_eq!(kinds, [vec![Kind::Negated], vec![Kind::Negated], vec![], vec![]]);
}
