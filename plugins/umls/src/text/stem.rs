//! Two light stemmers for biomedical English: inflection (safe) and derivation (loose). Written for names
//! of Greek and Latin origin, whose endings the general-purpose stemmers do not know.

/// Plurals of Latin and Greek that no ending tells from other words.
const IRREGULAR: &[(&str, &str)] = &[
    ("appendices", "appendix"),
    ("bacilli", "bacillus"),
    ("bronchi", "bronchus"),
    ("bulle", "bulla"),
    ("calculi", "calculus"),
    ("cervices", "cervix"),
    ("crises", "crisis"),
    ("diverticula", "diverticulum"),
    ("emboli", "embolus"),
    ("fistule", "fistula"),
    ("foci", "focus"),
    ("fungi", "fungus"),
    ("ganglia", "ganglion"),
    ("nevi", "nevus"),
    ("petechie", "petechia"),
    ("strie", "stria"),
    ("thrombi", "thrombus"),
    ("uteri", "uterus"),
    ("varices", "varix"),
    ("vertebre", "vertebra"),
];

/// Singular of a noun, by its ending.
pub fn inflect(word: &str) -> String {
    if word.len() < 4 || !word.is_ascii() || word.bytes().any(|b| b.is_ascii_digit()) {
        return word.to_owned();
    }
    if let Some((_, singular)) = IRREGULAR.iter().find(|(plural, _)| *plural == word) {
        return (*singular).to_owned();
    }
    const RULES: &[(&str, &str)] = &[
        ("itides", "itis"),
        ("mata", "ma"),
        ("series", "series"),
        ("species", "species"),
        ("caries", "caries"),
        ("rabies", "rabies"),
        ("scabies", "scabies"),
        ("herpes", "herpes"),
        ("facies", "facies"),
        ("eases", "ease"),
        ("tases", "tasis"),
        ("phases", "phase"),
        ("oses", "osis"),
        ("yses", "ysis"),
        ("eses", "esis"),
        ("praxes", "praxis"),
        ("pexies", "pexy"),
        ("ies", "y"),
        ("sses", "ss"),
        ("xes", "x"),
        ("ches", "ch"),
        ("shes", "sh"),
        ("uses", "us"),
        ("omas", "oma"),
        ("emias", "emia"),
        ("ias", "ia"),
        ("ss", "ss"),
        ("us", "us"),
        ("is", "is"),
        ("as", "as"),
        ("os", "os"),
        ("s", ""),
    ];
    for (from, to) in RULES {
        if let Some(stem) = super::without(word, from) {
            if stem.is_empty() && from != to {
                break;
            }
            return format!("{stem}{to}");
        }
    }
    match word {
        "children" => "child".to_owned(),
        "teeth" => "tooth".to_owned(),
        "feet" => "foot".to_owned(),
        "women" => "woman".to_owned(),
        "men" => "man".to_owned(),
        _ => word.to_owned(),
    }
}

/// The stem that a noun shares with its adjectives, verbs and abstract forms. `word` went through
/// [`inflect`]. The result need not be a word.
pub fn derive(word: &str) -> String {
    if word.len() < 5 || !word.is_ascii() || word.bytes().any(|b| b.is_ascii_digit()) {
        return word.to_owned();
    }
    // Endings of Greek nouns and of their adjectives meet in the noun's stem; it keeps what tells them apart
    // from the bare root (hepatitis is not hepatic).
    const NOUNS: &[(&str, &str)] = &[
        ("otically", "os"),
        ("otic", "os"),
        ("osis", "os"),
        ("eptic", "eps"),
        ("epsy", "eps"),
        ("emic", "em"),
        ("emia", "em"),
        ("itic", "iti"),
        ("itis", "iti"),
        ("static", "stas"),
        ("stasis", "stas"),
        ("lytic", "lys"),
        ("lysis", "lys"),
        ("plastic", "plas"),
        ("plasia", "plas"),
        ("esthetic", "esthes"),
        ("esthesia", "esthes"),
        ("paretic", "pares"),
        ("paresis", "pares"),
        ("phylactic", "phylax"),
        ("phylaxis", "phylax"),
        ("spastic", "spas"),
        ("genetic", "genet"),
        ("omatous", "oma"),
        ("matous", "m"),
        ("culous", "culos"),
        ("lyzed", "lys"),
        ("matosis", "matos"),
        ("oma", "oma"),
        ("ency", "en"),
        ("ent", "en"),
        ("ancy", "an"),
        ("ant", "an"),
        ("plegic", "pleg"),
        ("plegia", "pleg"),
        ("ectasis", "ecta"),
        ("ectatic", "ecta"),
        ("ectasia", "ecta"),
        ("kinesia", "kines"),
        ("kinesis", "kines"),
        ("kinetic", "kines"),
        ("thetoid", "thetos"),
        // What is done to something is not what it is called after: "immunization" is nothing immune.
        ("ization", "iz"),
        ("izing", "iz"),
        ("ized", "iz"),
    ];
    for (from, to) in NOUNS {
        if let Some(stem) = super::without(word, from)
            && stem.len() >= 2
        {
            return format!("{stem}{to}");
        }
    }
    const ENDINGS: &[&str] = &[
        "ization", "ational", "ations", "ability", "ibility", "atory", "ically", "ation", "ative", "ating",
        "ional", "ement", "ical", "ated", "able", "ible", "ment", "ness", "ious", "ety", "ful", "ory", "ian",
        "ion", "ive", "ate", "ous", "ity", "ism", "ing", "ial", "ary", "ic", "al", "ed", "ia", "um", "y",
        "e", "a",
    ];
    let mut stem = word;
    for _ in 0..2 {
        let Some((ending, shorter)) = ENDINGS.iter().find_map(|ending| {
            let shorter = super::without(stem, ending)?;
            (shorter.len() >= 4).then_some((*ending, shorter))
        }) else {
            break;
        };
        stem = shorter;
        // An abstract noun of an adjective: "toxicity" is "toxic" is "tox".
        if !matches!(ending, "ity" | "ism" | "ness") {
            break;
        }
    }
    stem.to_owned()
}

/// What an ending makes of a root. Of words that share a stem it says which ones mean the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// The root, or the root with an e behind it: "alcohol", "vaccine".
    Root,
    /// "epileptic", "pleural".
    Adjective,
    /// "infected", "coughing".
    Participle,
    /// What is done: "infection".
    Action,
    /// What an adjective says, as a thing: "weakness", "toxicity".
    Quality,
    /// A thing that is named after the root and is another one: "alcoholism", "vaccinia", "eosinophilia".
    Named,
    /// The Greek nouns of [`derive`]: "asbestosis", "thrombosis".
    Greek,
}

impl Kind {
    fn of(word: &str, stem: &str) -> Self {
        const ENDINGS: &[(Kind, &[&str])] = &[
            (Kind::Greek, &["sis", "emia", "itis", "epsy"]),
            (Kind::Action, &["ion", "ions", "ment"]),
            (Kind::Participle, &["ed", "ing", "ate"]),
            (
                Kind::Adjective,
                &[
                    "ic", "ically", "al", "ous", "ive", "ary", "ory", "ful", "ble", "ian", "ent", "ant",
                    "lyzed", "oid",
                ],
            ),
        ];
        const QUALITIES: &[&str] = &["ness", "ity", "ety", "ability", "ibility"];
        if !word.ends_with("oid") && (word == stem || word.strip_suffix('e') == Some(stem)) {
            return Self::Root;
        }
        // "restiveness" is made from "restive" and not from the root.
        let ending = word.strip_prefix(stem).unwrap_or_default();
        if QUALITIES.contains(&ending) {
            return Self::Quality;
        }
        let ends = |endings: &[&str]| endings.iter().any(|ending| word.ends_with(ending));
        let kind = ENDINGS.iter().find(|(_, endings)| ends(endings));
        kind.map_or(Self::Named, |(kind, _)| *kind)
    }
}

/// A root of fewer letters is the root of too much: "carp" and "carpal", "tear" and "tearing".
const LEAST_ROOT: usize = 5;

/// Whether two words of the same stem mean the same thing: an adjective and its noun do, a root and a thing that is named after it
/// do not ("malar" and "malaria", "alcohol" and "alcoholism"), nor does an e tell a word from a name ("pain" and "Paine").
pub fn akin(a: &str, b: &str, stem: &str) -> bool {
    use Kind::{Action, Greek, Named, Participle, Quality, Root};
    if a == b {
        return true;
    }
    if are_substances(a, b) {
        return false;
    }
    match (Kind::of(a, stem), Kind::of(b, stem)) {
        (Root, Root) => stem.len() > LEAST_ROOT,
        (Root, Named | Greek) | (Named | Greek, Root) => false,
        (Root, Quality) | (Quality, Root) => true,
        (Root, _) | (_, Root) => stem.len() >= LEAST_ROOT,
        (Named, Action | Participle) | (Action | Participle, Named) => false,
        _ => true,
    }
}

/// Whether two words are different substances by their endings alone: "ferrous" and "ferric", "methane" and "methanal", "ramipril" and
/// "ramiprilat".
pub(crate) fn are_substances(a: &str, b: &str) -> bool {
    const ENDINGS: &[(&str, &str)] = &[
        ("ous", "ic"),
        ("ious", "ic"),
        ("ane", "anal"),
        ("sine", "sinal"),
        ("il", "ilat"),
        ("il", "ilate"),
        ("ate", "ite"),
    ];
    const LEAST: usize = 3;
    let differ = |a: &str, b: &str, (x, y): (&str, &str)| {
        let root = super::without(a, x);
        root.is_some_and(|root| root.len() >= LEAST && super::without(b, y) == Some(root))
    };
    ENDINGS
        .iter()
        .any(|&endings| differ(a, b, endings) || differ(b, a, endings))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endings_tell_substances_apart() {
        for (a, b) in [
            ("ferrous", "ferric"),
            ("mercuric", "mercurous"),
            ("nitrous", "nitric"),
            ("phosphorous", "phosphoric"),
            ("selenious", "selenic"),
            ("methane", "methanal"),
            ("tyrosine", "tyrosinal"),
            ("nitrate", "nitrite"),
        ] {
            assert!(!same(a, b), "{a} / {b}");
        }
        assert!(are_substances("ramipril", "ramiprilat") && !are_substances("ileal", "ileum"));
        assert!(same("intestine", "intestinal") && same("membrane", "membranous"));
    }

    fn same(a: &str, b: &str) -> bool {
        let (a, b) = (inflect(a), inflect(b));
        derive(&a) == derive(&b) && akin(&a, &b, &derive(&a))
    }

    #[test]
    fn a_root_is_not_what_is_named_after_it() {
        for (a, b) in [
            ("pain", "paine"),
            ("malar", "malaria"),
            ("vaccine", "vaccinia"),
            ("vaccination", "vaccinia"),
            ("asbestos", "asbestosis"),
            ("alcohol", "alcoholism"),
            ("eosinophils", "eosinophilia"),
            ("burning", "burns"),
            ("tears", "tearing"),
            ("carpal", "carp"),
            ("sparing", "spar"),
            ("rest", "restiveness"),
        ] {
            assert!(!same(a, b), "{a} / {b}");
        }
    }

    #[test]
    fn adjectives_and_their_nouns_are_akin() {
        for (a, b) in [
            ("hypertensive", "hypertension"),
            ("epileptic", "epilepsy"),
            ("malarial", "malaria"),
            ("alcoholic", "alcoholism"),
            ("pleura", "pleural"),
            ("aorta", "aortic"),
            ("depressed", "depression"),
            ("thrombosed", "thrombosis"),
            ("hypothyroid", "hypothyroidism"),
            ("cirrhotic", "cirrhosis"),
            ("weak", "weakness"),
            ("obese", "obesity"),
            ("coughing", "cough"),
            ("wheezing", "wheezes"),
        ] {
            assert!(same(a, b), "{a} / {b}");
        }
    }
}
