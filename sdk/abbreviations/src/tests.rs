use proptest::prelude::*;

use super::*;

fn found(text: &str) -> Vec<(&str, &str)> {
    let definitions = definitions(text).into_iter();
    definitions
        .map(|definition| (&text[definition.short], &text[definition.long]))
        .collect()
}

#[test]
fn definitions_are_found() {
    for (text, short, long) in [
        (
            "He has Duchenne muscular dystrophy (DMD).",
            "DMD",
            "Duchenne muscular dystrophy",
        ),
        (
            "with end-stage renal disease (ESRD) and",
            "ESRD",
            "end-stage renal disease",
        ),
        ("shortness of breath (SOB)", "SOB", "shortness of breath"),
        ("(blood-brain barrier, BBB)", "BBB", "blood-brain barrier"),
        ("acute leukemia (AL, M5A)", "AL", "acute leukemia"),
        (
            "in hypertensive crisis. Chronic obstructive pulmonary disease [COPD]",
            "COPD",
            "Chronic obstructive pulmonary disease",
        ),
        (
            "MI (myocardial infarction) was ruled out",
            "MI",
            "myocardial infarction",
        ),
        (
            "renal cell carcinomas (RCCs) were",
            "RCCs",
            "renal cell carcinomas",
        ),
        (
            "ataxia-telangiectasia (A-T) patients",
            "A-T",
            "ataxia-telangiectasia",
        ),
        // Letters within words, and a word without any.
        ("a case of thrombocytopenia (TCP)", "TCP", "thrombocytopenia"),
        ("the ubiquitin(Ub)/proteasome system", "Ub", "ubiquitin"),
        (
            "small nuclear RING finger protein (SNURF)",
            "SNURF",
            "small nuclear RING finger protein",
        ),
        (
            "the Five-Factor Model of Personality (FFM)",
            "FFM",
            "Five-Factor Model of Personality",
        ),
        // In another order, as from Latin.
        ("in myotonic dystrophy (DM)", "DM", "myotonic dystrophy"),
        // Small letters, one letter, numbers.
        ("mean blood pressure (mbp)", "mbp", "mean blood pressure"),
        ("serum phosphorus (P) was", "P", "phosphorus"),
        ("two-dimensional (2D) echo", "2D", "two-dimensional"),
        ("his six-minute walk test (6MWT)", "6MWT", "six-minute walk test"),
        ("of 17-beta-estradiol (E2)", "E2", "17-beta-estradiol"),
        (
            "forced expiratory volumes (FEV(1.0)),",
            "FEV(1.0)",
            "forced expiratory volumes",
        ),
        // Other languages, and marks of several bytes.
        (
            "tomographie par émission de positons (TEP)",
            "TEP",
            "tomographie par émission de positons",
        ),
        ("ein Bauchaortenaneurysma (BAA)", "BAA", "Bauchaortenaneurysma"),
        (
            "échographie transthoracique (ETT)",
            "ETT",
            "échographie transthoracique",
        ),
        ("called “heart failure (HF)”", "HF", "heart failure"),
        (
            "non–small cell lung cancer (NSCLC)",
            "NSCLC",
            "non–small cell lung cancer",
        ),
        (
            "The Cancer Genome Atlas (TCGA)",
            "TCGA",
            "The Cancer Genome Atlas",
        ),
        // Over the end of a line.
        (
            "her chronic venous ulcers\r\n(CVU) on",
            "CVU",
            "chronic venous ulcers",
        ),
        ("CVU\n(chronic venous ulcer)", "CVU", "chronic venous ulcer"),
        (
            "chronic venous ulcers (CVU,\nboth sides)",
            "CVU",
            "chronic venous ulcers",
        ),
        (
            "chronic obstructive\npulmonary disease (COPD)",
            "COPD",
            "chronic obstructive\npulmonary disease",
        ),
    ] {
        assert_eq!(found(text), [(short, long)], "{text}");
    }
}

#[test]
fn what_is_no_definition_is_left_alone() {
    for text in [
        "pain (see below)",
        "a dose (5 mg)",
        "patients (n = 7)",
        "blood pressure (140/90)",
        "fever (XYZ)",
        "of the (OT)",
        "finger pressure was recorded (FPR)",
        "Heart\n\nFailure (HF)",
        "Heart failure\n\n(HF)",
        "HF\n\n(heart failure)",
        "Was heart failure (WHF)",
        "no pain (NP)",
        "",
        "Heart rate\nFailure (HRF)",
        "heart failure (HF",
        "DVT (DVT)",
        "()(]",
    ] {
        assert_eq!(found(text), [], "{text}");
    }
}

#[test]
fn orders_are_defined_by_the_initials_of_several_words_alone() {
    for text in [
        "Promethazine (PRN)",
        "prednisone (PO)",
        "Prednison (p.o.)",
        "Amlodipine (AM), prednisone (PM)",
        "Ondansetron (ODT)",
        "olanzapine (OD)",
        "isavuconazole (i.v.)",
        "liver (L)",
        "mirtazapine (mane), nortriptyline (nocte)",
        "metoprolol succinate (ER)",
    ] {
        assert_eq!(found(text), [], "{text}");
    }
    for (text, short, long) in [
        ("pulmonary embolism (PE)", "PE", "pulmonary embolism"),
        ("progesterone receptors (PRs)", "PRs", "progesterone receptors"),
        ("the emergency room (ER)", "ER", "emergency room"),
        ("estrogen receptor (ER)", "ER", "estrogen receptor"),
        ("extended-release (ER)", "ER", "extended-release"),
        ("mitral regurgitation (MR)", "MR", "mitral regurgitation"),
        ("after radiotherapy (RT)", "RT", "radiotherapy"),
        ("serum phosphorus (P)", "P", "phosphorus"),
    ] {
        assert_eq!(found(text), [(short, long)], "{text}");
    }
    for order in ["PRN", "p.o.", "i.v.", "nocte", "ABENDS", "ZN", "L", "XR"] {
        assert!(is_order(order), "{order}");
    }
    assert!(!is_order("Pr") && !is_order("PE"));
}

#[test]
fn plurals_have_a_stem() {
    for (short, stem) in [
        ("RCCs", "RCC"),
        ("RCC's", "RCC"),
        ("RCC", "RCC"),
        ("pts", "pts"),
        ("Is", "Is"),
    ] {
        assert_eq!(without_plural(short), stem);
    }
}

proptest! {
    #[test]
    fn any_text_is_read(text in "[\\PC()\\[\\],;. \na-cA-Cé–]{0,160}") {
        let mut last = 0;
        for Definition { short, long } in definitions(&text) {
            prop_assert!(is_short_form(&text[short.clone()]));
            prop_assert!(!text[long.clone()].is_empty());
            prop_assert!(short.end <= long.start || long.end <= short.start);
            // In the order of their brackets.
            let inner = short.start.max(long.start);
            prop_assert!(last <= inner);
            last = inner;
        }
    }
}
