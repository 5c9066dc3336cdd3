use proptest::prelude::*;

use super::lexicon::{LEXICON, NEAR, Role};
use super::outcomes::OVER;
use super::*;
use crate::folding::fold;
use crate::languages::EN;
use crate::sections::sections;
use crate::testing::messy_text;

/// What is said of words of a text, in letters: Negated, Uncertain, hYpothetical, Historical, Family.
fn assertions(
    text: &str,
    sections: &[Section],
    mentions: &[(usize, usize)],
    is_drug: impl Fn(usize) -> bool,
) -> Vec<Vec<Assertion>> {
    let asked = Asked {
        mentions,
        is_drug: &is_drug,
        spoken: None,
        wanted: &|| true,
    };
    super::assertions(text, sections, &asked).unwrap()
}

fn said(text: &str, mention: &str) -> String {
    let begin = text.find(mention).expect("the mention");
    let found = assertions(text, &sections(text), &[(begin, begin + mention.len())], |_| {
        false
    });
    found[0].iter().map(letter).collect()
}

fn letter(assertion: &Assertion) -> char {
    match assertion.kind {
        Kind::Negated => 'N',
        Kind::Uncertain => 'U',
        Kind::Hypothetical => 'Y',
        Kind::Historical => 'H',
        Kind::Family => 'F',
    }
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
        ("PMH nil.\nNo hyper-\ntension, fever", "hyper-\ntension", "N"),
        ("hyper-\ntension was ruled out", "hyper-\ntension", "N"),
        ("[x] asthma\n[ ] angina  [ ] CVA/TIA", "TIA", "N"),
        ("[x]\tasthma\n[ ]\tangina\t[ ]\tTIA", "angina", "N"),
        ("[x]\tasthma\n[ ]\tangina\t[ ]\tTIA", "TIA", "N"),
        ("\u{2610}\tangina\t\u{2612}\tasthma", "asthma", ""),
        ("angina\t[ ]\tasthma is known", "asthma", ""),
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
        ("PE was felt to be unlikely.", "PE", "U"),
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
        ("Unlikely to be pneumonia.", "pneumonia", "U"),
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
    let found = assertions(text, &sections(text), &places, |_| false);
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

#[test]
fn what_is_over_is_in_one_list() {
    for (languages, list) in OVER {
        for name in list.split(',').map(str::trim) {
            let mut entries = LEXICON.values().flatten();
            let entry = entries.find(|entry| entry.name == name).expect(name);
            let past = (languages, Role::Cue(Kind::Historical, None, NEAR));
            assert_eq!(
                entry.roles.iter().filter(|role| **role == past).count(),
                1,
                "{name}"
            );
        }
    }
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
        let found = assertions(&text, &sections(&text), &mentions, |_| false);
        prop_assert_eq!(found.len(), mentions.len());
        for said in &found {
            prop_assert!(said.is_sorted_by(|a, b| a.kind < b.kind));
        }
        // The order in which they come is nothing to them.
        let back: Vec<(usize, usize)> = mentions.iter().rev().copied().collect();
        let mut turned = assertions(&text, &sections(&text), &back, |_| false);
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
        let found = assertions(text, &sections(text), &places, |_| false);
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
    let mut found = assertions(text, &sections(text), &places, |_| false);
    share(&mednerd_abbreviations::definitions(text), &places, &mut found);
    let kinds: Vec<Vec<Kind>> = found
        .iter()
        .map(|said| said.iter().map(|one| one.kind).collect())
        .collect();
    assert_eq!(kinds, [vec![Kind::Negated], vec![Kind::Negated], vec![], vec![]]);
}

/// What is said of all that is marked in a text: `{words|LETTERS}`, with "!" before the letters of a drug. The text, with what is said in
/// the letters' place.
fn marked(written: &str) -> String {
    let (mut text, mut places, mut drugs) = (String::new(), Vec::new(), Vec::new());
    let mut rest = written;
    while let Some((before, behind)) = rest.split_once('{') {
        let (mention, behind) = behind.split_once('}').expect("a closing brace");
        let (words, letters) = mention.split_once('|').expect("letters");
        text.push_str(before);
        places.push((text.len(), text.len() + words.len()));
        drugs.push(letters.starts_with('!'));
        text.push_str(words);
        rest = behind;
    }
    text.push_str(rest);
    let found = assertions(&text, &sections(&text), &places, |index| drugs[index]);
    for (((begin, end), drug), said) in places.iter().zip(&drugs).zip(&found).rev() {
        let letters: String = said.iter().map(letter).collect();
        let drug = if *drug { "!" } else { "" };
        text.replace_range(
            begin..end,
            &format!("{{{}|{drug}{letters}}}", &text[*begin..*end]),
        );
    }
    text
}

/// Asserts that what is said of each marked mention is what its letters tell.
pub(super) fn assert_said(all: &[&str]) {
    let found: Vec<String> = all.iter().map(|written| marked(written)).collect();
    assert_eq!(found, all);
}

#[test]
fn the_headings_of_histories_reach_as_far_as_a_reader_would_let_them() {
    assert_said(&[
        "Family history: {diabetes|F}\n\n{Pneumonia|} on chest x-ray",
        "PMH:\n{gout|H}\n\n{Dyspnoea|} and {cough|}",
        "FH: {breast cancer|F}\n{Asthma|} and {gout|}.",
        "PMH: {HTN|H}\n{DM2|H}\n{COPD|H}",
        "PMH:\n{gout|H}\n{asthma|H}\n\n{Dyspnoea|} and {cough|} for two days.",
        "FHx: Father with {MI|F}. She has {chest pain|} and {dyspnea|}.",
        "FH: none. Has {DM|}, {HTN|}.",
        "PMH: {gout|H}, {AF|H}. Allergic to aspirin ({wheeze|}). {Allergic rhinitis|}",
        "PMH: {gout|H}. {Allergic rhinitis|H}. {Asthma|H}.",
        "AP: {gota|H}. Alergia a penicilina ({urticaria|}).",
        "PMH: {gout|H}. {Shingles|Y} vaccine given 2020.",
        "[pmh] {gout|H}, {AF|H}",
        "[atcd] {goutte|H}, {zona|H}. Soeur {lupus|F}",
        "Pregr: {gotta|H}, {asma|H}",
        "In anamnesi patologica remota: {gotta|H}, {asma|H}.",
        "Antecedentes que constan: {gota|H}, {asma|H}.",
        "FH: noncontributory. Presents with {chest pain|}.",
        "FH: {CAD|F} in father. Patient has {diabetes|}",
        "FH: {CAD|F}, {stroke|F}. Mother had {lupus|F}. {Diabetes|F} in an aunt.",
        "FAMILY HISTORY:\nMother had {breast cancer|F}.\nThe patient has {celiac disease|}.",
        "FAMILY HISTORY:\nMother had {breast cancer|F}.\nNo {diabetes|NF}.",
        "FHx: Mother {asthma|F}. Pt herself has {asthma|}",
        "FH: father died of {MI|F}. Has {DM|}",
        "Past Medical History: {HTN|H}, {DM2|H}. She takes metformin. She reports {cough|} and {dyspnea|}. CXR shows {pneumonia|}.",
        "ATCD: {HTA|H}. Depuis 2 jours {fièvre|}",
        "ATCD : {HTA|H}, {diabète|H} sous metformine. {AVC|H} en 2010.",
        "APR: {ipertensione|H}. Da due giorni {febbre|} e tosse. RX: {polmonite|}",
        "AP: {HTA|H}. Desde hace 2 días {fiebre|}",
        "VG: {COPD|H}. Sinds 2 dagen {koorts|}",
        "PMH: {MI|H}. {Gout|H}. {Asthma|H}, {DM|H}.",
        "PMH: {MI|H}. Takes aspirin. Has {chest pain|}.",
        "PMH: {MI|H} in 2010. ECG: {AF|}",
        "Vorerkrankungen: {Gicht|H}. Seit gestern {Fieber|}. Nimmt Ibuprofen.",
        "Familienanamnese: Mutter {Brustkrebs|F}. Die Patientin hat {Asthma|}.",
        "Familienanamnese: unauffällig. {Asthma|} bekannt.",
        "Antécédents familiaux: mère {diabète|F}. La patiente présente une {toux|}.",
        "Past medical history:\n{HTN|H}\n{DM2|H}\n{COPD|H}",
        "Past medical history: She has {HTN|H} and {DM2|H}. She had {MI|H} in 2010.",
        "PMH: The patient has {HTN|H}. He has {gout|H}.",
    ]);
}

#[test]
fn a_year_is_no_dose() {
    assert_said(&[
        "{metformin|} 2000 mg daily, {vitamin D|} 2000 IU",
        "{Urine|} 2000 ml/d, {leukocytes|} 2000/ul",
        "{paracetamol|!} 1930 given",
        "{DVT|H} 2014 on {coumadin|!}, {CVA|H} 2015 on plavix. {Breast cancer|} 2012 in remission, {stroke|H} 2018 no deficits",
        "{CVA|H} 2012 L {hemiparesis|}, {MI|H} 2010 h/o {CHF|H}, {PE|H} 2016 x 1. {MI|H} 2010/2014",
        "{metformin|} 2000mg, {fever|} 2050.5",
        "{MI|} 2100.",
        "{MI|H} 2010, {CABG|H} (2012), {gout|H} in 1999 with pain",
        "{MI|H} 2010-03-12. {stroke|H} 2010-2012.",
        "{MI|H} 2010 s/p PCI",
        "{MI|H} 2010 and {gout|H} 2012; {asthma|H}: 1999",
        "{Infarkt|H} im Jahr 2010",
        "{Pain|} 2015 given tylenol.",
        "{dose|} 1900 kcal",
        "{glucose|} (2000 mg)",
        "{Pneumonia|H} 2019 treated with amoxicillin",
    ]);
}

#[test]
fn what_is_listed_behind_a_comma_is_absent_with_what_stands_before_it() {
    assert_said(&[
        "No {nausea|N}, {abdominal pain|N}.",
        "Abd: no {edema|N}, {calf tenderness|N}",
        "no {focal deficits|N}, {ataxia|N}, {slurred speech|N}.",
        "No {fevers|N}, {night sweats|N}, {weight loss|N}.",
        "No {fever|N}, calf {tenderness|N} at this time.",
        "no {effusion|N}, hyperdynamic {RV hypertrophy|}",
        "no {effusion|N}, {hyperdynamic ventricle|}",
        "No {fever|N}, {productive cough|}.",
        "No {fever|N}, {severe headache|}.",
        "No {fever|N}, {chest pain|} since yesterday, vomited twice.",
        "No {effusion|N}, {dilatation|} of the aorta.",
        "Pas de {fièvre|N}, {douleur thoracique|N}.",
        "Kein {Fieber|N}, {Erbrechen|N}.",
    ]);
}

#[test]
fn a_denial_ends_where_something_is_taken_or_had() {
    assert_said(&[
        "DENIES {CHEST PAIN|N} OR {FEVER|N} TAKING {LASIX|} 40 MG DAILY AND {METOPROLOL|}",
        "Denies {pain|N}, takes {ibuprofen|}.",
        "No {CP|N} hx of {asthma|H}.",
        "No {fever|N} hx {CAD|H}.",
        "Denies {cough|N} h/o {COPD|H}.",
        "no {fever|N} has {cough|}",
        "No {acute distress|N} heart regular lungs with {crackles|}",
        "denies taking {aspirin|N}",
        "Denies using {cocaine|N} or {heroin|N}",
        "No history of {asthma|N}. No prior {stroke|N}.",
        "Denies {fever|N}, {cough|N} or history of {asthma|N}",
        "No previous {MI|N}",
        "No family history of {cancer|NF}",
        "Denies any h/o {MI|N} or hx of {DVT|N}.",
        "Denies pain, reports {nausea|}",
        "No {fever|N} with {cough|N}.",
        "No {chest pain|N} with {exertion|N}",
        "Never uses {cocaine|N}",
        "He has never been told that he has a {hernia|N}.",
        "Patient denies that she has {fever|N}",
    ]);
}

#[test]
fn a_denial_reaches_over_the_kind_of_a_history() {
    assert_said(&[
        "No psychiatric history of {depression|N}.",
        "No documented history of {MI|N}.",
        "No {cardiac|N} history of {arrhythmia|N}.",
        "No clear history of {seizures|N}.",
        "No apparent prior history of {stroke|N}.",
        "No psych hx of {depression|N}, {anxiety|N}.",
        "No documented hx of {CHF|N} or {CAD|N}.",
        "No reliable history of {penicillin allergy|N}",
        "Patient without prior cardiac history of {CHF|N}.",
        "no maternal history of {diabetes|NF}",
        "No travel hx or hx of {TB|N} exposure",
        "No {fever|N}, cough or any history of {asthma|N}",
        "No {fever|N} cardiac history of {AF|H}",
        "No distress h/o {COPD|H}. Denies smoking history of {COPD|H}",
        "No IVDU, hx of {DVT|H} or {PE|H}.",
        "Pas d'antécédent de {diabète|N}. Pas d'histoire de {convulsion|N}.",
        "Non ha storia di {diabete|N}.",
    ]);
}

#[test]
fn a_denial_goes_on_where_nothing_was_denied() {
    assert_said(&[
        "Denies smoking or using {cocaine|N}.",
        "Denies {alcohol|N} use or taking any {NSAIDs|!N}.",
        "Denies {chest pain|N}, {SOB|N}, or using {heroin|!N}.",
        "Denies recent travel, taking {OCPs|!N}, or {leg swelling|N}.",
        "No one at home has {COVID|N}.",
        "No family member has {breast cancer|NF}.",
        "Neither parent has {diabetes|NF}.",
        "He does not think he has {pneumonia|N}.",
        "No evidence she has {cancer|N}.",
    ]);
}

#[test]
fn what_begins_behind_a_comma_is_there() {
    assert_said(&[
        "no {lymphovascular invasion|N}, {DCIS|} present.",
        "Biopsy: no {carcinoma|N}, {dysplasia|} present.",
        "no {focal deficits|N}, {tremor|} noted.",
        "CV: no {murmur|N}, {edema|} today.",
        "No {vomiting|N}, {headache|} now.",
        "No {DVT|N}, {cellulitis|} today.",
        "No {chest pain|N}, {palpitations|N} reported.",
        "No tobacco, {alcohol|!N}, or illicit drug use. No allergy symptoms, such as {rhinorrhea|N} or {sneezing|N}.",
        "LYMPH: No neck, axillary or {groin adenopathy|N} was noted.",
        "No signs of {infection|N}, {wound dehiscence|} noted. US neg for {DVT|N}, {cyst|} noted.",
        "no {edema|N}, {cyanosis|N} or {clubbing|N}, pulses intact, {varicose veins|} present.",
        "no {fever|N} or {chills|N}, {chest pain|N}, {nausea|N} or {vomiting|N}",
        "No residual {weakness|N} from prior {stroke|H}.",
        "Denies {fever|N}, {cough|N} today",
        "No {fever|N}, {chills|N} today. No {chest pain|N}, {SOB|N} now.",
        "No {effusion|N}, {consolidation|N}, {mass|N} noted.",
        "No alcohol, {COPD|}. Does not smoke, {asthma|}. No known allergies, {gout|}.",
        "Keine bekannten Allergien, {Asthma|}. Keine Voroperationen, {Hypertonie|}.",
        "Nega alergias, {asma|N}",
        "Negative {chest|N} xray, {cough|} persists.",
        "Negative pregnancy test, {abdominal pain|}.",
        "Nitrite neg, blood +. neg {headache|N}, {dysuria|N}.",
        "NEUROLOGIC: Negative {headaches|N}, negative {syncope|N}.",
        "Unaware of any relatives with {epilepsy|NF}. I have not been able to detect any {gout|N}.",
        "Mother had a history of {gout|F}. There is {gout|F} in his family.",
        "{Pain|} most likely due to {tendinopathy|U}. I suspect that this is a flare of {gout|U}",
        "{COVID|N} test done, negative, {cough|} improving.",
        "La paciente con {DM|} no insulinodependiente, {HTA|}.",
        "De patiënt met {AF|} niet behandeld, {COPD|}",
        "Patiente avec {FA|} non valvulaire, {BPCO|}",
    ]);
}

#[test]
fn a_dash_before_a_line_of_signs_is_a_lists() {
    assert_said(&[
        "- {CHF|}: + {edema|}",
        "- {Pneumonia|}: + {cough|}, on ceftriaxone",
        "- {Cellulitis|}, + {erythema|}",
        "{Fieber|N} -, {Husten|} +, {Auswurf|N} -, {Dyspnoe|} +",
        "{Fever|N} -, {cough|} +",
        "{Fever|} - {cough|}",
    ]);
}

#[test]
fn what_is_resolved_or_unlikely_stands_before_or_behind() {
    assert_said(&[
        "1. {CHF exacerbation|} 2. {AKI|H}, resolved 3. {Hypokalemia|H}, resolved 4. {DM2|} uncontrolled",
        "{Chest pain|H}, resolved prior to arrival.",
        "{AKI|H}, resolved s/p IVF",
        "{AKI|H} - resolved w/ fluids",
        "{Hyponatremia|H} - resolved this AM",
        "{Hypotension|H}, resolved overnight",
        "{Rash|H}, resolved yesterday",
        "{Fever|H}, resolved x 2 days",
        "{HTN|}; {DM2|}; {AKI|H}, resolved 5/2; {PNA|H} resolved",
        "{PE|U} - unlikely b/c low Wells score",
        "{PE|U}, unlikely per CT",
        "{ACS|U}, less likely per cardiology",
        "{Fever|} unlikely due to {UTI|U}",
        "{Weakness|} unlikely {stroke|N} given MRI negative",
        "{Abdominal pain|} unlikely from {appendicitis|U}.",
        "Resolved acute {AKI|H}",
    ]);
}

#[test]
fn answers_stand_behind_their_question_in_forms_without_lines() {
    assert_said(&[
        "{Fever|N}: No {Cough|}: Yes {Rash|N}: No",
        "{Chest pain|N}: No {SOB|}: Yes {Edema|N}: No",
        "{Chest pain|N}: Denies {SOB|N}: Denies {Cough|}: Endorses",
        "{Fever|N} - denies, {cough|} - endorses",
        "{Febbre|N}: nega. {Koorts|N}: ontkent",
        "{Fièvre|N} : aucune, {toux|} : oui",
        "{Diabetes|F} in de familie, {hoest|}. {Diabetes|F} in his family, {cough|}.",
        "Vaccinata per {influenza|Y}, {tosse|}. Vaccinato contro {tetano|Y}, {difterite|Y} e {pertosse|Y}.",
        "{Chest pain|N} [ ] {Cough|} [x] {Fever|N} [ ]",
        "{Fever|} [x] {Cough|N} [ ] {Headache|} [x]",
        "{Fever|N} (-) {cough|} (+)",
        "{Calcium|!}   N",
    ]);
}

#[test]
fn what_is_given_is_not_what_it_is_given_for() {
    assert_said(&[
        "PRN {albuterol|!} given for {wheezing|}.",
        "received prn {morphine|!} with relief of {chest pain|}",
        "{Haldol|!} PRN {agitation|Y} given for {delirium|}.",
        "{GERD|} prn {tums|!}. {Zofran|!} 4 mg prn {nausea|Y}, {vomiting|Y}.",
        "Held {metformin|!H} for {AKI|}. {Metoprolol|!} to be held if {bradycardia|Y}",
        "albuterol prn and {metformin|!} 500 mg bid",
        "Profilaxis de {TVP|Y} con {enoxaparina|!} 40 mg",
        "Prophylaxis for {DVT|Y} with {enoxaparin|!}",
        "{Doliprane|!} 1 g si {douleur|Y}, {Spasfon|!} si {spasmes|Y}, {Kardegic|!} 75 mg.",
        "{Seizure|} stopped with {lorazepam|!} 2 mg IV.",
        "On {aspirin|!}, stopped smoking in 2010.",
        "{Aspirin|!H}, stopped in 2010. Antecedentes de {FA|H} anticoagulada con {Sintrom|!}",
        "HPP: {IAM|H} há 5 anos. Uso de {losartana|!}, {AAS|!}. {ICC|} CF III.",
        "Hx of {AF|H} on {warfarin|!} and {digoxin|!}, {DM|H} on {insulin|!} and {metformin|!}.",
        "History of {CHF|H}, takes {furosemide|!} 40 mg and {lisinopril|!}.",
        "SE on keppra, {seizures|}. History of SE, {seizures|H}.",
    ]);
}

#[test]
fn what_is_unlikely_of_something_is_not_that() {
    assert_said(&[
        "The patient has {chest pain|}, unlikely ischemic.",
        "{Lung nodule|}, unlikely malignant.",
        "{Thrombocytopenia|}, likely due to {sepsis|U}, unlikely drug-induced.",
        "{PE|U}, unlikely given the CT",
        "Resolved: {pneumonia|H}, {AKI|H}. Active: {CHF|}.",
        "- Resolved: {Gestational diabetes|H}",
        "Compared to prior, {effusion|} larger.",
        "In comparison with prior study, {pneumothorax|} is smaller.",
        "Prior {stroke|H}.",
    ]);
}

#[test]
fn one_finding_of_an_examination_is_denied_with_another() {
    assert_said(&[
        "No {wheezes|N}, {rales|N} noted.",
        "No {rebound|N}, {guarding|N} present.",
        "No {pleural effusion|N}, {pneumothorax|N} present.",
        "No {dysuria|N}, {hematuria|N} today.",
        "No {rash|N} noted, {cough|} present",
    ]);
}

#[test]
fn habits_say_nothing_of_diseases() {
    assert_said(&[
        "60M never smoker with {lung cancer|} and {dyspnea|}.",
        "Never-smoker with {adenocarcinoma|}. Never married, {depression|}.",
        "Former smoker with {COPD|}. Remote smoker, {emphysema|}",
        "No alcohol, no drugs, {diabetes|}.",
        "Parents report {fever|} and {rash|}.",
        "Mom and dad report {wheezing|}.",
    ]);
}

#[test]
fn what_is_asked_on_one_line_has_its_own_answer() {
    assert_said(&[
        "Pregnant: No {Diabetes|}: Yes",
        "{Fever|N}: - {Cough|}: + {Rash|}: +",
        "Resp: - {stridor|N}, + {wheeze|}. Heart: + {murmur|}",
        "Tobacco: No {Depression|}: Yes",
        "{Diabetes|N}? No {Asthma|}? Yes",
        "{Asthma|N} - No {Diabetes|} - Yes {Stroke|N} - No",
        "History of {diabetes|N}: No History of {hypertension|H}: Yes",
        "{HTA|}: sí. No {vómitos|N}, sí {diarrea|}.",
        "{HTA|} sí, {DM|N} no.",
        "{Ödeme|N} Ø. {Pneumonie|} rechts.",
        "Pat. hat {Übelkeit|N} ø, {Erbrechen|N} ø. {Dekubitus|} Grad II",
        "{Husten|N}: ø, {Fieber|N}: ø, {Dyspnoe|}.",
        "Ø {Fieber|N}, Ø {Husten|N}. Ø {Aorta|} 4 cm",
        "{Fieber|N} -\n{Husten|N} -\n{Dyspnoe|} +",
        "{Astma|N}: -. {Epilepsie|N}: -. {COPD|}: +.",
    ]);
}

#[test]
fn a_history_ends_where_somebody_is_admitted() {
    assert_said(&[
        "68M with history of {CHF|H} admitted with {pneumonia|}.",
        "hx of {COPD|H} brought in with {dyspnea|}",
        "PMH: {HTN|H}, {DM|H}. Now with {chest pain|}.",
        "PMH: {COPD|H}. O/E {wheeze|}",
        "{Diabetes|F} in her mother. {Asthma|F} in his maternal aunt.",
        "{Stroke|N} Neg Hx",
        "The patient has no {cancer|N} hx. {Chest pain|} began today.",
        "No new meds. {Cough|} persists.",
        "No {DVT|N} on rt. {Cellulitis|} on right.",
        "Risks discussed: {bleeding|Y}, {infection|Y}.",
        "Negatives: {fever|N}, {chills|N}.",
        "Immunizations: UTD per mom. {Fever|} and {rash|}.",
        "Immunizations: {flu|YH} 2023. {Cough|} for three days. {Pneumonia|}.",
    ]);
}

#[test]
fn what_is_old_ends_where_the_present_begins() {
    assert_said(&[
        "Old {MI|H} with {chest pain|}",
        "Old {MI|H} and {chest pain|}",
        "OLD {CVA|H} with L {hemiparesis|}, new {facial droop|}",
        "Old school teacher with {COPD|}.",
        "Patient is old and frail with {dementia|}.",
        "65M no sig PMH w/ {chest pain|} and {dyspnea|}.",
        "30M no PMH, {fever|} x 2 days, {cough|}.",
        "No past medical history of {asthma|N}.",
        "24F previously healthy with {fever|}.",
        "{Pneumonia|}, cleared for discharge.",
        "Immunizations: UTD. {Fever|} 39, {cough|}.",
        "Immunizations: up to date, has {cough|}.",
        "IMMUNIZATIONS: UTD. No {fever|N} today.",
        "Immunizations: {tetanus|Y}, up to date",
    ]);
}

#[test]
fn lists_below_a_history_have_labels_and_names() {
    assert_said(&[
        "PMH:\n- {HTN|H}: on {lisinopril|!}\n- {DM2|H}: diet controlled\n- {COPD|H}",
        "PMH:\n{CKD|H} stage 3: baseline Cr 1.5\n{COPD|H}\n{Gout|H}",
        "PAST MEDICAL HISTORY:\nSignificant for: {asthma|H}, {gout|H}\n{COPD|H}",
        "PMH: {HTN|H}, {DM2|H}\n{COPD|H}, {CAD|H}\n{GERD|H}",
        "PAST MEDICAL HISTORY: {Asthma|H}.\n{Gout|H}.\n{Hypertension|H}.",
        "PMH: {HTN|H}\n{Cough|} and {fever|} today",
    ]);
}

#[test]
fn a_sentence_ends_behind_what_is_measured_or_named() {
    assert_said(&[
        "No nodule larger than 5 mm. {Pleural effusion|} on the left.",
        "Keine Lymphknoten über 10mm. {Pneumonie|} rechts.",
        "Kein Infiltrat > 2 cm. {Pleuraerguss|} links.",
        "No {hepatitis B|N}. {Pneumonia|} on the right.",
        "Keine {Influenza A|N}. {Bronchitis|}.",
        "EAM sem supra de ST. {Pneumonia|} à direita.",
        "Keine {Übelkeit|N} p.o. {Diarrhoe|}.",
        "Kein Hinweis auf Z.n. {Infarkt|N}",
        "Keine Stenose der A. {Carotis|N}",
    ]);
}

#[test]
fn adjectives_of_german_and_dutch_deny_nothing() {
    assert_said(&[
        "Nicht {insulinpflichtiger Diabetes mellitus|}. Nicht kontrollierter {Diabetes|}, nicht operables {Karzinom|}.",
        "Niet goed gereguleerde {diabetes|}. Niet operabel {carcinoom|}",
        "Hat nicht an {Fieber|N} gelitten.",
        "Echo: {geen cholecystitis|N}. {kein Infarkt|N}",
    ]);
}

#[test]
fn a_question_mark_may_stand_apart() {
    assert_said(&[
        "{Pneumopathie|U} ?",
        "{EP|U} ?, {HTA|}",
        "? {pneumonia|U}",
        "Se {febre|Y}, {vómitos|Y} ou {dor|Y} deve recorrer ao SU.",
        "Oncle paternel : {infarctus|F}. Grand-mère maternelle : {Alzheimer|F}",
        "Traído por la abuela por {vómitos|}. Amenée par ses parents pour {fièvre|}.",
    ]);
}

#[test]
fn a_past_event_ends_where_the_complaint_begins() {
    assert_said(&[
        "s/p CABG p/w {chest pain|}",
        "s/p {MVC|H} w/ {neck pain|}",
        "s/p {fall|H} c/o {hip pain|}",
        "s/p {fall|H} with {hip pain|}",
        "POD2 s/p appendectomy, {fever|}",
        "Hx of {DM|H} c/o {foot ulcer|}",
        "H/o {COPD|H}, in ED for {dyspnea|}",
        "H/o {COPD|H}, adm w/ {dyspnea|}",
        "S/p {MI|H} and {stroke|H}.",
        "Hx of {DM|H}, {HTN|H} here with {fever|}",
        "Denies {fever|N} p/w {cough|}",
        "No {fever|N} c/o {cough|}.",
        "No c/o {cough|N}.",
        "Return if {fever|Y} or c/o {pain|Y}",
    ]);
}

#[test]
fn what_is_unlikely_is_not_absent() {
    assert_said(&[
        "Unlikely {PE|U}.",
        "Less likely {cellulitis|U}",
        "Not likely {gout|U}",
        "Low probability of {DVT|U}",
        "Low likelihood of {ACS|U}",
        "Low pretest probability for {PE|U}",
        "{PE|U} is unlikely.",
        "{PE|U} more likely than {gout|}",
        "{PE|U} unlikely, {pneumonia|} treated",
        "{Cellulitis|U} less likely, {gout|U} likely",
        "{Gout|U} likely, {cellulitis|U} less likely",
        "Unlikely to be admitted with {asthma|}.",
        "Unlikely {PE|U}, {DVT|} on heparin.",
        "{Pneumonia|U} unlikely. {CHF|U} less likely.",
        "Unlikely cause of {pain|}",
    ]);
}

#[test]
fn what_is_no_longer_there_is_absent() {
    assert_said(&[
        "{Nodule|N} no longer identified.",
        "The {effusion|N} is no longer visible",
        "{Edema|N} no longer seen. {Fluid|N} no longer evident, {mass|N} no longer visualized; {rash|N} no longer noted",
        "{thrombus|N} no longer appreciated, {leak|N} no longer demonstrated",
        "{Cancer|N} free x 5 yrs",
        "{pain|N} free x2 days",
    ]);
}

#[test]
fn what_is_old_or_resolved_is_past() {
    assert_said(&[
        "Old {MI|H}",
        "OLD LEFT {MCA INFARCT|H}",
        "old {rib fractures|H}",
        "Resolved {AKI|H}",
        "Healed {fracture|H}",
        "Old healed left {rib fxs|H} noted.",
        "55 year old with {MI|}",
        "old records show {gout|}",
        "Not resolved {AKI|}",
        "{AKI|H}, resolved.",
        "5-year-old {asthma|} patient",
        "Healed {ulcer|H}, no {pain|N}",
        "{Fracture|H} healed well",
        "56 yo old man with {fever|}. Threshold: {pain|}",
    ]);
}

#[test]
fn what_is_vaccinated_against_is_prevented() {
    assert_said(&[
        "Immunizations: {tetanus|Y}, {hepatitis B|Y}\nAssessment: {gout|}",
        "Impfungen:\n{Tetanus|Y}\n{Masern|Y}",
        "Immunizations: no {influenza|NY}",
    ]);
}

#[test]
fn what_something_is_taken_for_as_needed_is_a_condition() {
    assert_said(&[
        "Tylenol prn {pain|Y} or {fever|Y}",
        "albuterol PRN {wheezing|Y} or {SOB|Y}",
        "25 mg PRN; {HTN|}",
        "Tylenol prn {pain|Y}, {HTN|} stable",
        "prn {nausea|Y} and {vomiting|Y}",
        "ibuprofen prn. {HTN|}",
        "albuterol prn\n{HTN|}",
    ]);
}

#[test]
fn signs_that_stand_free_are_read() {
    assert_said(&[
        "+ {cough|}, - {SOB|N}",
        "Resp: + {wheeze|}, - {stridor|N}",
        "+ {cough|} - {SOB|}",
        "{Fever|}, - {cough|}",
        "Resp: - {stridor|N}, + {wheeze|}",
        "+ {cough|}, {fever|}, - {SOB|N}, {chills|}",
        "{PE|U} unlikely given normal CT",
        "{AKI|H}, resolved with fluids, {nausea|}",
        "Most likely {gout|U}, less likely {cellulitis|U}",
        "old {bruise|}, soft",
        "Doubt {pneumonia|N}, aspiration (no {choking|N} hx), {croup|N}.",
        "({SJS|H} 1998!!)",
    ]);
}

#[test]
fn relatives_who_have_something_do_not_only_tell() {
    assert_said(&[
        "Lives with husband who has {dementia|F}",
        "Patient lives with son who has {COVID|F}",
        "Her daughter, who has {epilepsy|F}, came along.",
        "Negative family hx for {cancer|NF}",
        "Family hx significant for {stroke|F}",
        "Family hx: {CAD|F}",
        "Fam history of {CAD|F}. Family medical history: {gout|F}",
        "Donor had {hepatitis C|F}",
        "Lives with grandma who has {COPD|F}.",
        "Neighbor has {TB|F}. Neighbour had {flu|F}",
        "Co-worker had {flu|F}",
        "Housemate with {scabies|F}",
        "Caregiver has {flu|F}. {Caregiver fatigue|}.",
        "Here with mother, who reports {fever|}",
        "Brought by mother, has {fever|}",
        "With mother has {fever|}",
        "Accompanied by daughter, who is worried about {fever|}",
        "Vit avec son mari qui a une {démence|F}",
        "Her mother, who has {gout|F}, reports {fever|}",
    ]);
}

#[test]
fn answers_in_tables_and_lists_are_read() {
    assert_said(&[
        "{Fever|N} | No",
        "{Fever|N}\tNo",
        "{Fever|N}           No",
        "{Fever|N},No",
        "{Chest pain|N}\tNegative",
        "{Edema|N}      None",
        "{Rash|N}: N",
        "{SOB|N}: N",
        "{Dyspnoe|N}: n",
        "{Fever|N} [N]",
        "{Chest pain|N} Y / (N)",
        "{Chest pain|} (Y) / N",
        "{Fever|N} no, {cough|} yes, {SOB|N} no.",
        "{Rash|N} denies.",
        "{Fever|N} | No | {Cough|} | Yes",
        "| {Fever|N} | No |\n| {Cough|} | Yes |\n| {Rash|N} | no |",
        "{Fever|N}\tNo\t{Cough|}\tYes",
        "{Fever|N}\tNo\n{cough|}\tYes\n{rash|N}\tno\n{gout|}\tyes",
        "{Fever|}\tYes\tNo\n{Cough|}\tYes\tNo",
        "{Fever|}\tNo\tYes",
        "{Fever|}   No {cough|N}",
        "{Fever|} Y/N",
        "{Fever|}\tY/N",
        "{fever|N},no\n{cough|},yes\n{rash|N},no",
        "{Fever|N} | no\n{cough|} | yes",
        "Rash: N, {SOB|}: Y",
        "{Rash|N}: N {SOB|}: Y",
        "{Fever|N}: no, {cough|}: yes",
        "{Fever|N}      No       {Cough|}      Yes      {Rash|N}     No",
        "{Cough|} | {Fever|N} | No",
        "{asthma|} N. meningitidis",
        "Symptom   No   Yes\n{Fever|}   x",
        "{Husten|N}\tnein\n{Fieber|}\tja",
        "No   {Fever|}   {Cough|}",
        "{Fever|}.   No\n{cough|N} today",
    ]);
}

#[test]
fn short_forms_in_capitals_are_no_words_of_other_languages() {
    assert_said(&[
        "{MDD|}, SI, {anxiety|}, {PTSD|}.",
        "{MAI infection|}, {MAI|} {infection|}",
        "NE: {weakness|}",
        "OMA, {fever|}",
        "OPA {airway|}",
        "{OUD|}, {cocaine use disorder|}",
        "ZN {stain|}",
        "{Autism|}, DD, {seizures|}",
        "Non {STEMI|}",
        "Non compliant, {gout|}",
        "{TIA|}, {stroke|}, {CAD|}",
        "MAE, {weakness|} on left",
        "Cryo of both lesions and the scar. SE {blister|Y}, not per se {pain|N}",
        "NO {fever|N}, NO {cough|N}",
        "KEIN {Fieber|N}, {Husten|} seit gestern",
        "SIN {fiebre|N}",
        "Si {fièvre|Y}, consulter",
        "No {fever|N}, SI, {depression|N}",
        "ATCD {HTA|H} et {diabète|H}",
        "DD: {Pneumonie|U}",
        "Der Patient ist mit {Fieber|} da, die Ursache DD {Pneumonie|U}.",
        "Zn {Infarkt|}",
        "KEINE {Dyspnoe|N}, kein {Fieber|N}",
        "Non small cell {lung cancer|}, Non {Hodgkin lymphoma|}",
        "Non {febbre|N}, non {tosse|N}",
    ]);
}

#[test]
fn of_drugs_it_is_told_whether_they_are_taken() {
    assert_said(&[
        "Not taking {lisinopril|!N}.",
        "not on {warfarin|!N}",
        "does not take {insulin|!N}",
        "off {prednisone|!N}",
        "{Warfarin|!H} was discontinued",
        "{PLAVIX|!H} - STOPPED",
        "{Marcumar|!H} abgesetzt",
        "Not taking anything for {gout|}. Off work with {flu|}. {Cough|} stopped.",
        "No {fever|N} on {amoxicillin|!}.",
        "Stopped {metformin|!H}, started {insulin|!}.",
        "{Warfarin|!H} stopped and {apixaban|!} started",
        "{aspirin|!}, stopped {metformin|!H}",
        "Not taking {aspirin|!N} or {metformin|!N}",
        "Not taking {aspirin|!N}, takes {metformin|!}",
        "{Aspirin|!} was not stopped. {Aspirin|!} to be stopped.",
        "Weaning off {prednisone|!}",
        "{metformin|!} 2000, {paracetamol|!} 1930.",
        "{metformin|!H} discontinued due to {AKI|}",
        "No longer takes {warfarin|!N}",
        "Not on {warfarin|!N} for {AF|}",
        "Metformine, {aspirine|!H} arrêtée",
        "{Simvastatina|!H} suspendida",
        "{Metoprolol|!H} gestopt, {sospeso|}",
        "D/c'd {heparin|!H} today",
        "{prednisone|!H} stopped in 2019",
        "No {penicillin|!N} given",
        "Denies taking {aspirin|!N}",
        "STOPPED  {metformin|!H}, {lisinopril|!H}, {naproxen|!H}",
        "She stopped {carbimazole|!H} eighteen months ago, now on {insulin|!}",
        "Stopped {aspirin|!H} and is on {heparin|!}",
        "HOLD OFF {aspirin|!}",
        "Hx of {DVT|H}, {PE|H} on {warfarin|!}, {gout|H}",
    ]);
}

#[test]
fn what_nobody_waits_for_is_given_up() {
    let text = "No fever. ".repeat(10_000);
    let mentions = [(3, 8)];
    let asked = std::cell::Cell::new(0);
    let wanted = || {
        asked.set(asked.get() + 1);
        asked.get() < 3
    };
    let given_up = Asked {
        mentions: &mentions,
        is_drug: &|_| false,
        spoken: None,
        wanted: &wanted,
    };
    assert_eq!(super::assertions(&text, &[], &given_up), None);
    assert_eq!(asked.get(), 3);
}

#[test]
fn the_language_that_names_tell_chooses_the_cues() {
    let said = |languages, by_names| {
        let spoken = Some(Spoken { languages, by_names });
        let asked = Asked {
            mentions: &[(22, 30)],
            is_drug: &|_| false,
            spoken,
            wanted: &|| true,
        };
        super::assertions("84F, recurrent falls, dementia, UTI", &[], &asked).unwrap()[0].len()
    };
    assert_eq!(said(EN, false), 0);
    // "Falls", which is "if".
    assert_eq!(said(crate::languages::DE, false), 1);
    let denied = |languages, by_names| {
        let asked = Asked {
            mentions: &[(0, 2)],
            is_drug: &|_| false,
            spoken: Some(Spoken { languages, by_names }),
            wanted: &|| true,
        };
        super::assertions("PE ruled out. DD: gout", &[], &asked).unwrap()[0].len()
    };
    assert_eq!(denied(crate::languages::FR, false), 0);
    assert_eq!(denied(crate::languages::FR, true), 1);
    let differential = |languages, by_names| {
        let asked = Asked {
            mentions: &[(18, 22)],
            is_drug: &|_| false,
            spoken: Some(Spoken { languages, by_names }),
            wanted: &|| true,
        };
        super::assertions("PE niet zeker. DD gout", &[], &asked).unwrap()[0].len()
    };
    assert_eq!(differential(crate::languages::NL, true), 1);
}

#[test]
fn signs_in_brackets_stand_before_what_they_are_said_of_or_behind_it() {
    assert_said(&[
        "(+) {DM|} (-) {HTN|N}",
        "S: (+) {chest pain|} (-) {SOB|N}",
        "Pt with (+) {orthopnea|} (-) {edema|N}.",
        "HEENT: (+) {pallor|} (-) {icterus|N}",
        "(+){cough|} (-){fever|N}",
        "PMH: (+) {DM|H} (-) {HTN|N} (-) {asthma|N}",
        "[Y] {cough|} [N] {fever|N}",
        "[-] {fever|N}",
        "(+) {fever|}, (-) {cough|N}",
        "{HIV|N} (-), {hepatitis|} (+)",
        "{fever|N} (-) {cough|} (+)",
        "{Fever|N} [N] {cough|} [Y]",
        "{Fever|N}: (-) {Cough|}: (+)",
        "{Asthma|}: (+) {wheeze|} (-) {stridor|N}",
        "{Murphy|N} (-), {fever|}",
        "Kernig (-) {clonus|} (+)",
        "Romberg (-) {tremor|N} (-) {clonus|} (+).",
        "(-) {fever|N}, {chills|N} (+) {cough|}",
        "Abd (-) {masses|N} (-) {tenderness|N}",
        "Rh (-) with {anemia|}",
        "✓ {cough|} ✗ {vomiting|N}",
        "✗ {vomiting|N}",
        "✓ {cough|} ✓ {vomiting|}",
    ]);
}

#[test]
fn letters_and_signs_answer_without_a_colon() {
    assert_said(&[
        "{Chest pain|N} N, {SOB|N} N, {cough|} Y",
        "{CP|N} N {SOB|N} N {palpitations|} Y",
        "{Heartburn|} Y / {Constipation|N} N",
        "{Constipation|N} N / {Heartburn|} Y",
        "{Chest pain|N} - N, {SOB|N} - N",
        "{Chest pain|N} (N)",
        "{Nausea|N}=N",
        "{nausea|N} 0, {vomiting|N} 0. {Edema|} 0-1+.",
        "{calcium|!} N, {sodium|!} 0",
        "{abdominal pain|} n and v, {nausea|} N/V",
        "{asthma|} N. meningitidis",
        "{Diabetes|N} ...... No",
        "{Diabetes|N}........No\n{Gout|}........Yes",
        "{Diabetes|N} -> no, {gout|} -> yes",
        "{Cancer|N}: nil known",
        "{asthma|}, nil known allergies",
        "{MI|N}/{CVA|N}/{DVT|N}: nil",
        "{signos meníngeos|N} -, {defensa|N} -.",
        "{Fieber|N} -, {Husten|N} -, {Trauma|N} neg",
        "{Pneumonia|} -\ncontinue ceftriaxone",
        "{Pneumonia|} - continue ceftriaxone",
    ]);
}

#[test]
fn a_history_in_one_paragraph_ends_where_an_examination_begins() {
    assert_said(&[
        "ATCD : {HTA|H}, {asthme|H}. TA 12/8. {Toux|} et {fièvre|}.",
        "AP: {HTA|H}, {DM|H}. EF: {crepitantes|} bibasales. Rx: {neumonía|}.",
        "VE: {aHT|H}. Sono: {Cholezystitis|}. D: {Sepsis|}.",
        "VE: {aHT|H}. Pulmo: {Rasseln|}. Abdomen: {Schmerz|}",
        "VE: {aHT|H}. KU: {Ödeme|}.",
        "APR: {asma|H}. EO: {dolore|} FID. Eco: {appendicite|}.",
        "VG: {DM|H}. RR 120/80. Thorax: {crepitaties|}. X-thorax: {pneumonie|}.",
        "VG: {DM|H}. Nu {koorts|} en {hoesten|}.",
        "PMH: {asthma|H}. Abdo: {guarding|} RIF. USS: {appendicitis|}.",
        "PMH: {HTN|H}. Temp 38, {cough|}.",
        "PMHx: {asthma|H}. Stable, no {CP|N}. {Wheeze|} on auscultation.",
        "PMH: {HTN|H}. Surgical: {appendicitis|H} 2001. Other: {gout|H}",
        "PMH: Cardiac: {HTN|H}. Lungs: {asthma|H}. GI: {GERD|H}",
        "PMH: {CHF|H}. Echo 2019 EF 30%. {CAD|H}",
        "PMH: {HTN|H}. {MI|H}: 2010. {AF|H} 2012",
        "FH: {CAD|F}. BP 120/80. {Chest pain|}",
        "FH: {CAD|F}. Maternal side: {DM|F}",
        "ATCD : {GEU|H} 2021. Suspicion de {GEU|U}.",
    ]);
}

#[test]
fn the_time_before_a_history_says_that_it_is_of_the_complaint() {
    assert_said(&[
        "Presents with 2 day h/o {cough|}.",
        "2/7 h/o {cough|} and {fever|}",
        "67M with 3 wk h/o {dysphagia|}",
        "3 month h/o {weight loss|}",
        "2 yr h/o {forgetfulness|}",
        "4 day hx {diarrhoea|}",
        "24 hr history of {vomiting|}",
        "5 day hx of {cough|}",
        "3/52 hx {cough|}",
        "Two year history of {back pain|}",
        "2-day h/o {cough|}",
        "2 days' history of {cough|}",
        "3d h/o {cough|}",
        "few weeks h/o {cough|}",
        "65 y h/o {DM|H}",
        "65F w h/o {DM|H}",
        "45 M h/o {DM|H}",
        "Day 3. h/o {DM|H}",
    ]);
}

#[test]
fn drugs_are_stopped_in_lists_tables_and_behind_their_dose() {
    assert_said(&[
        "{Clopidogrel|!H} | 75 mg | PO | OD | STOPPED",
        "{Warfarin|!H} | 3 mg | STOPPED",
        "{Furosemide|!H} 40 mg tablets | once daily | Discontinued",
        "{Furosemide|!} 40 mg tablets | once daily with food and water | Continued\n{Warfarin|!H} | 3 mg | STOPPED\n{Aspirin|!} | 75 mg | OD",
        "DISCONTINUED MEDICATIONS: {warfarin|!H}, {digoxin|!H}",
        "Discontinued medications: {warfarin|!H} 3 mg, {digoxin|!H} 125 mcg",
        "Stopped medicines:\n{Warfarin|!H}\n{Digoxin|!H} 125 mcg\nStarted medicines:\n{Apixaban|!}",
        "Stopped medicines:\n{Warfarin|!H}\n\n{Apixaban|!} 5 mg",
        "Stopped medicines:\n- {Warfarin|!H}\n- {Digoxin|!H}\n\n{Apixaban|!} 5 mg",
        "Abgesetzt: {Metformin|!H}, {Marcumar|!H}",
        "Medikation pausiert: {Metformin|!H}",
        "Gestaakt: {metformine|!H}",
        "Traitement arrêté : {Tahor|!H}",
        "Discontinued: {warfarin|!H}",
        "MEDICATIONS STOPPED: {warfarin|!H}",
        "{Marcumar|!H} 3 mg 1-0-0 abgesetzt",
        "{Ramipril|!H} ceased.",
        "{Ramipril|!H} withheld",
        "D/C {lisinopril|!H}",
        "D/C home on {lisinopril|!}",
        "Switched from {apixaban|!H} to {warfarin|!}",
        "{Warfarin|!H} changed to {apixaban|!}",
        "{Metoprolol|!} changed to 50 mg BID",
        "Umstellung von {Marcumar|!H} auf {Eliquis|!}",
        "{Insulin|!N} not given.",
        "Dose of {enoxaparin|!N} omitted.",
        "{Warfarin|!H} - discontinued: INR high, started {apixaban|!}",
        "{Morphine|!} to be changed to {oxycodone|!}",
    ]);
}

#[test]
fn a_stop_ends_before_the_drug_that_is_begun() {
    assert_said(&[
        "Discontinued {lisinopril|!H} and {losartan|!} started.",
        "Stopped {aspirin|!H} and {clopidogrel|!} continued.",
        "Sospesa {warfarin|!H} e iniziato {apixaban|!}",
        "Suspendeu {losartan|!H} e iniciou {amlodipina|!}.",
        "Stopped {aspirin|!H} and {clopidogrel|!H}.",
        "Stopped {aspirin|!H} and {clopidogrel|!H} and started {apixaban|!}",
        "Stopped {aspirin|!H}, started {clopidogrel|!}",
    ]);
}

#[test]
fn what_is_prevented_is_no_drug_and_what_is_held_is_not_taken() {
    assert_said(&[
        "{Anti-D|!} given 28/40.",
        "Anti-{D|!} given 28/40.",
        "On {trimethoprim|!} prophylaxis.",
        "{Heparin|!} prophylaxis given.",
        "{cotrimoxazole|!} prophylaxis started",
        "{DVT|Y} prophylaxis",
        "SQ {heparin|!H} held",
        "{ticagrelor|!H} held 5/7",
        "{Entresto|!H} held for {hypotension|}",
        "{Metformin|!H} on hold",
    ]);
}

#[test]
fn what_is_relative_is_no_relative() {
    assert_said(&[
        "Patient has relative {adrenal insufficiency|}.",
        "She has relative {polycythaemia|}.",
        "Relative {afferent pupillary defect|}",
        "single parent with {depression|}",
        "A relative with {TB|F}. Relative had {gout|F}.",
        "His relative has {gout|F}",
        "{gout|F} in a relative",
    ]);
}

#[test]
fn what_is_less_likely_is_uncertain() {
    assert_said(&[
        "{HIT|U} less likely, 4T score 2, PF4 sent",
        "{malignancy|}, less likely {infection|U}",
        "{PE|U} - less likely",
        "{Abdominal pain|} {appendicitis|U} less likely",
        "{PE|U} unlikely",
    ]);
}

#[test]
fn short_headings_and_answers_tell_what_is_past() {
    assert_said(&[
        "Vorerkr.: {Gicht|H}",
        "Vg {hooikoorts|H}. De patiënt heeft {hoest|} en is niet {ziek|N}.",
        "PMH of note: {AF|H}",
        "Prev GA: {PONV|H}",
        "Previous: {PPH|H}",
        "{Epilepsy|H}: Past.",
        "Compared to previous: {effusion|} larger",
        "VG normal, {fever|}",
        "{Asthma|}: past 3 days worse",
        "NBD: {Gicht|}",
    ]);
}

#[test]
fn weeks_and_months_ago_are_past() {
    assert_said(&[
        "Had {UTI|H} 3/12 ago",
        "{MI|H} 2 weeks ago",
        "{MI|H} 6/52 ago",
        "{Meckel's diverticulum|H} previously resected",
        "{Cough|} began 2 weeks ago",
        "Developed a {rash|} 2 weeks ago. {Pain|} since about 3 weeks ago.",
        "{back pain|} started 3/12 ago",
        "{Fall|H} 3 weeks ago, {hip pain|} since",
        "Diagnosed with {asthma|} 6/12 ago",
        "{Pain|} since 2 weeks ago. {Cough|} 3 days ago. {Methotrexate|!} 2 weeks ago.",
    ]);
}

/// It would take many minutes if it were not linear.
#[test]
fn a_text_of_one_line_is_read() {
    let text = format!("{}no fever", "well, cough ".repeat(250_000));
    assert_eq!(said(&text, "fever"), "N");
}

/// Each cue of a sentence was asked how far it reaches, word by word, whether a nearer one had said the same or not.
#[test]
fn a_sentence_of_nothing_but_cues_is_read_in_time_linear_in_them() {
    let time = |word: &str| {
        let text = format!("cough {}fever. ", word.repeat(390)).repeat(20);
        let names = ["cough", "fever"].map(|name| text.match_indices(name));
        let places = names.into_iter().flatten();
        let places: Vec<(usize, usize)> = places.map(|(begin, name)| (begin, begin + name.len())).collect();
        let begun = std::time::Instant::now();
        assert_eq!(assertions(&text, &[], &places, |_| false).len(), 40);
        begun.elapsed()
    };
    // The best of several, as the machine may have more to do.
    let mut best = [std::time::Duration::MAX; 3];
    for _ in 0..5 {
        best = std::array::from_fn(|at| best[at].min(time(["it ", "no ", "vs "][at])));
    }
    let [plain, no, vs] = best;
    assert!(
        no.max(vs) < plain * 80,
        "{no:?} and {vs:?}, and {plain:?} without cues"
    );
}
