//! Word lists: what a name can be told apart by, and what not. General medical English; no list was made
//! from a corpus' answers.

use std::collections::HashMap;
use std::sync::OnceLock;

use super::stem::are_substances;
use super::{derive, inflect};

/// Words that no key contains.
pub(super) fn is_stop(token: &str) -> bool {
    matches!(
        token,
        "of" | "the"
            | "an"
            | "in"
            | "on"
            | "with"
            | "and"
            | "or"
            | "to"
            | "by"
            | "due"
            | "for"
            | "from"
            | "at"
            | "as"
            | "nos"
            | "type"
            | "types"
    )
}

/// Whether the token at `at` leads from an effect to its cause, or from one thing to its companion.
pub(super) fn is_causal(tokens: &[String], at: usize) -> bool {
    match tokens[at].as_str() {
        "due" | "from" | "by" | "with" => true,
        "secondary" => tokens.get(at + 1).is_some_and(|next| next == "to"),
        _ => false,
    }
}

/// Whether a word is one that texts have: it is no other word misspelt, and no short form in small letters.
pub(crate) fn is_known(word: &str) -> bool {
    known(word).or_else(|| known(&format!("{word}s"))).is_some()
}

/// Whether a word is one that texts have and that names no disease, drug or the like by itself: "glass", "skin".
pub(crate) fn is_everyday(word: &str) -> bool {
    known(word).is_some_and(|line| line.ends_with(EVERYDAY))
}

/// What stands behind an everyday word in the list.
const EVERYDAY: char = '-';

/// The line of a word in the list that `eval/known_words.py` makes. It is looked up where it lies: no memory is spent on it.
fn known(word: &str) -> Option<&'static str> {
    const KNOWN: &str = include_str!("known_words.txt");
    let (mut low, mut high) = (0, KNOWN.len());
    while low < high {
        let before = &KNOWN[low..low.midpoint(high)];
        let start = before.rfind('\n').map_or(low, |end| low + end + 1);
        let line = KNOWN[start..].lines().next().unwrap_or_default();
        match line.trim_end_matches(EVERYDAY).cmp(word) {
            std::cmp::Ordering::Equal => return Some(line),
            std::cmp::Ordering::Less => low = start + line.len() + 1,
            std::cmp::Ordering::Greater => high = start,
        }
    }
    None
}

/// Whether the token at `at` is the article: "a" at the front or behind a small word, where more follows. The one of "hepatitis A",
/// "type A influenza", "vitamin A deficiency" and "A-T" is none.
pub(super) fn is_article(tokens: &[String], at: usize) -> bool {
    let before = at.checked_sub(1).map(|before| tokens[before].as_str());
    tokens[at] == "a"
        && tokens.get(at + 1).is_some_and(|next| next.len() > 1)
        && before.is_none_or(|before| is_stop(before) && !counts(before))
}

/// The digits of a number that is written out.
pub(super) fn written_number(token: &str) -> Option<&'static str> {
    Some(match token {
        "one" => "1",
        "two" => "2",
        "three" => "3",
        "four" => "4",
        "five" => "5",
        "six" => "6",
        "seven" => "7",
        "eight" => "8",
        "nine" => "9",
        "ten" => "10",
        _ => return None,
    })
}

/// Words of which one excludes the others: each line is one choice, its sides between bars. Sides, degrees and directions first, then
/// places; what lies within another place, or is joined with it in one organ's name, is no choice.
const CHOICES: &[&str] = &[
    "left|right",
    "sensitive sensitivity susceptible|resistant resistance",
    "reduced|preserved",
    "systolic|diastolic",
    "acute|chronic",
    "positive|negative",
    "benign|malignant",
    "upper|lower",
    "less|greater",
    "primary|secondary",
    "increased increase elevated raised high|decreased decrease reduced restricted diminished low",
    "plus|minus",
    "proximal|distal",
    "anterior|posterior",
    "medial|lateral",
    "mitral|tricuspid|aortic|pulmonic pulmonary",
    "frontal|temporal|parietal|occipital",
    "cervical|thoracic|lumbar|sacral",
    "hip|knee|ankle|foot|shoulder|elbow|wrist|hand",
    "kidney renal|liver hepatic|heart cardiac|lung pulmonary|brain cerebral|breast mammary|prostate prostatic|pancreas pancreatic|\
     ovary ovarian|testis testicular|thyroid|bladder|stomach gastric|colon colonic|skin cutaneous|eye ocular|ear|bone",
];

/// So many of the choices, the first ones, are of qualities and not of places.
const QUALITIES: usize = 15;

/// Whether a word only says of which kind something is: "malignant", "left", "severe".
pub(crate) fn is_quality(word: &str) -> bool {
    let word = word.trim().to_lowercase();
    let among = |(choice, _): &(usize, usize)| *choice < QUALITIES;
    sides(&word).iter().any(among) || information(&derive(&inflect(&word))) < 1.0
}

/// The choices that a word makes, each with the side that it is on.
pub(crate) fn sides(word: &str) -> &'static [(usize, usize)] {
    static TABLE: OnceLock<HashMap<&str, Vec<(usize, usize)>>> = OnceLock::new();
    let table = TABLE.get_or_init(|| {
        let mut table: HashMap<&str, Vec<(usize, usize)>> = HashMap::new();
        for (number, choice) in CHOICES.iter().enumerate() {
            for (side, words) in choice.split('|').enumerate() {
                for word in words.split_whitespace() {
                    table.entry(word).or_default().push((number, side));
                }
            }
        }
        table
    });
    table.get(word).map(Vec::as_slice).unwrap_or_default()
}

/// Whether one of two words excludes the other.
pub(crate) fn exclude(a: &str, b: &str) -> bool {
    if are_substances(a, b) {
        return true;
    }
    let others = sides(b);
    let differs =
        |(choice, side): &(usize, usize)| others.iter().any(|(other, at)| other == choice && at != side);
    !others.is_empty() && sides(a).iter().any(differs)
}

/// Words after which a lone letter is a numeral.
pub(super) fn counts(token: &str) -> bool {
    matches!(
        token,
        "type"
            | "types"
            | "factor"
            | "stage"
            | "grade"
            | "class"
            | "group"
            | "phase"
            | "form"
            | "subtype"
            | "variant"
            | "syndrome"
            | "disease"
            | "deficiency"
            | "mps"
            | "men"
            | "collagen"
            | "complex"
    )
}

/// Prefixes that are written apart, with a hyphen, or together.
pub(super) fn is_prefix(token: &str) -> bool {
    matches!(
        token,
        "non"
            | "anti"
            | "pre"
            | "post"
            | "micro"
            | "macro"
            | "hyper"
            | "hypo"
            | "sub"
            | "supra"
            | "inter"
            | "intra"
            | "extra"
            | "para"
            | "peri"
            | "poly"
            | "pseudo"
            | "semi"
            | "auto"
            | "cardio"
            | "neuro"
            | "broncho"
            | "gastro"
            | "naso"
            | "oro"
            | "mono"
            | "multi"
            | "co"
            | "over"
            | "under"
            | "haemo"
            | "hemo"
            | "osteo"
            | "thrombo"
            | "immuno"
            | "ante"
            | "infra"
            | "hepato"
            | "cerebro"
    )
}

/// How much a word tells names apart, as a factor on its weight by rarity.
pub fn information(stem: &str) -> f32 {
    static FACTORS: OnceLock<HashMap<String, f32>> = OnceLock::new();
    let factors = FACTORS.get_or_init(|| {
        let groups: [(&str, f32); 3] = [
            (
                "disease disorder syndrome condition illness abnormality problem complication patient case subject \
                 family form variant subtype status unspecified other",
                0.35,
            ),
            (
                "severe mild moderate acute chronic recurrent persistent transient sporadic classic classical typical \
                 atypical bilateral unilateral left right progressive idiopathic human primary advanced early late new \
                 induced related associated human solid isolated common rare known hereditary familial inherited \
                 genetic congenital onset adult clinical major minor possible significant complete partial symptomatic \
                 asymptomatic spontaneous treated untreated benign invasive localized diffuse autosomal recessive dominant \
                 linked drug chemical experimental postoperative",
                0.45,
            ),
            ("stage grade class group phase", 0.6),
        ];
        groups
            .iter()
            .flat_map(|(words, factor)| words.split_whitespace().map(|word| (derive(&inflect(word)), *factor)))
            .collect()
    });
    factors.get(stem).copied().unwrap_or(1.0)
}

/// Whether a word tells what is meant, and not only of which kind or how it is.
pub(crate) fn tells(stem: &str) -> bool {
    const INFECTION: &str = "infect";
    information(stem) >= 1.0 && stem != INFECTION
}

/// Words that mean the same in the name of a disease; each line is one class. The first number is how alike
/// two words of the class are.
const CLASSES: &[(f32, &str)] = &[
    (0.93, "cancer carcinoma tumor neoplasm neoplasia malignancy"),
    (0.95, "kidney renal nephric"),
    (0.95, "liver hepatic"),
    (0.95, "heart cardiac"),
    (0.95, "lung pulmonary"),
    (0.9, "brain cerebral cerebrum"),
    (0.95, "stomach gastric"),
    (0.9, "bowel intestine intestinal enteric"),
    (0.95, "eye ocular ophthalmic"),
    (0.95, "skin cutaneous dermal"),
    (0.9, "bone osseous skeletal"),
    (0.95, "muscle muscular"),
    (0.9, "nerve neural"),
    (0.85, "blood hematologic hematological"),
    (0.95, "breast mammary"),
    (0.95, "ovary ovarian"),
    (0.95, "testis testicular testes"),
    (0.95, "uterus uterine"),
    (0.95, "prostate prostatic"),
    (0.95, "pancreas pancreatic"),
    (0.95, "colon colonic"),
    (0.95, "rectum rectal"),
    (0.95, "vein venous"),
    (0.95, "artery arterial"),
    (0.95, "tooth dental"),
    (0.95, "mouth oral"),
    (0.85, "ear otic aural"),
    (0.9, "hearing auditory"),
    (0.9, "vision visual"),
    (0.95, "nose nasal"),
    (0.9, "throat pharyngeal pharynx"),
    (0.95, "joint articular"),
    (0.9, "spine spinal vertebral"),
    (0.95, "larynx laryngeal"),
    (0.95, "trachea tracheal"),
    (0.95, "esophagus esophageal"),
    (0.95, "thymus thymic"),
    (0.95, "cervix cervical"),
    (0.95, "bladder vesical"),
    (0.95, "placenta placental"),
    (0.95, "valve valvular"),
    (0.95, "ventricle ventricular"),
    (0.95, "atrium atrial"),
    (0.95, "vessel vascular"),
    (0.95, "femur femoral"),
    (0.95, "abdomen abdominal"),
    (0.95, "pelvis pelvic"),
    (0.9, "thorax thoracic chest"),
    (0.95, "cranium cranial skull"),
    (0.95, "pharynx pharyngeal"),
    (0.95, "duct ductal"),
    (0.9, "hereditary familial inherited genetic heritable"),
    (0.7, "hereditary inherited genetic recessive dominant"),
    (0.85, "disease disorder illness condition"),
    (0.6, "disease syndrome"),
    (0.85, "abnormality anomaly malformation defect deformity"),
    (
        0.7,
        "dysfunction impairment disturbance disorder disability deterioration",
    ),
    (0.7, "disease dysfunction abnormality impairment"),
    (0.8, "damage injury"),
    (0.6, "damage injury toxicity dysfunction"),
    (0.6, "damage injury disease toxicity"),
    (0.6, "inflammation disease"),
    (0.8, "failure insufficiency"),
    (0.7, "insufficiency impairment dysfunction"),
    (0.93, "hemorrhage bleeding bleed hemorrhagic"),
    (0.9, "pain ache"),
    (0.85, "pain algia"),
    (0.95, "fever pyrexia"),
    (0.9, "seizure convulsion"),
    (0.8, "mental psychiatric"),
    (0.8, "intellectual mental"),
    (0.8, "retardation disability handicapped handicap"),
    (0.9, "itching pruritus itch"),
    (0.8, "child childhood juvenile pediatric infantile"),
    (0.8, "infant infantile neonatal newborn"),
    (0.85, "deficiency deficient lack absence absent"),
    (0.7, "deficiency loss decreased diminished reduced"),
    (0.9, "thrombosis thrombus thrombotic"),
    (0.9, "embolism embolus embolic"),
    (0.85, "swelling edema"),
    (0.8, "infarct infarction"),
    (0.85, "death mortality"),
    (0.85, "movement motor"),
    (0.85, "cognition cognitive"),
    (0.9, "behavior behavioral"),
    (0.9, "sex sexual"),
    (0.8, "elevated increased raised"),
    (0.8, "narrowing stenosis stricture"),
    (0.8, "enlargement enlarged hypertrophy megaly"),
    (0.85, "ulcer ulceration"),
    (0.85, "paralysis palsy"),
    (0.8, "weakness paresis"),
    (0.8, "deaf deafness hearing"),
    (0.85, "blind blindness"),
    (0.8, "sleep somnolence"),
    (0.9, "addiction dependence abuse"),
    (0.8, "alcohol alcoholic ethanol"),
    (0.85, "migraine headache"),
    (0.9, "migraine migraineur"),
    (0.9, "leukemia leukaemic"),
    (0.85, "immunodeficiency immune"),
    (0.85, "dwarfism dysplasia"),
    (0.85, "short dwarf"),
    (0.9, "calcification calcified"),
    (0.85, "induced related caused associated"),
    (0.85, "drowsiness somnolence sleepiness drowsy"),
    (0.8, "fit seizure convulsion"),
    (0.85, "bruise bruising contusion ecchymosis"),
    (0.85, "dizziness giddiness lightheadedness"),
    (0.85, "drooling sialorrhea hypersalivation"),
    (0.75, "fatigue tiredness malaise lassitude asthenia"),
    (0.9, "smell olfaction olfactory"),
    (0.9, "taste gustatory"),
    (0.85, "stone calculus calculi lithiasis"),
    (0.9, "jaundice icterus icteric"),
    (0.9, "pallor pale"),
    (0.85, "fever febrile"),
    (0.85, "rash exanthema exanthem eruption"),
    (0.95, "vomiting emesis emetic"),
    (0.9, "syncope fainting"),
    (0.9, "alopecia baldness"),
    (0.85, "spasm cramp"),
    (0.85, "spasm spastic"),
    (0.9, "vasospasm vasospastic"),
    (0.95, "dilation dilatation dilated"),
    (0.85, "overactive overactivity hyperactive hyperactivity"),
    (
        0.8,
        "carcinogenesis tumorigenesis oncogenesis cancer tumor neoplasm",
    ),
    (0.8, "twitch twitching fasciculation"),
    (0.85, "tingling paresthesia"),
    (0.85, "numbness hypesthesia"),
    (0.85, "sweating hyperhidrosis diaphoresis"),
    (0.85, "urination micturition voiding"),
    (0.85, "swallowing deglutition"),
    (0.85, "breathing respiration respiratory"),
    (0.85, "pregnancy gestation gestational pregnant"),
    (0.85, "newborn neonate neonatal"),
    (0.9, "abortion miscarriage"),
    (0.85, "walking gait"),
    (0.75, "memory recall"),
    (0.9, "hives urticaria"),
    (0.9, "trismus lockjaw"),
    (0.9, "varicella chickenpox"),
    (0.9, "pertussis whooping"),
    (0.9, "measles rubeola"),
    (0.85, "clotting coagulation"),
    (0.85, "dyspnea breathlessness"),
    (0.75, "symptom sign manifestation"),
    (0.7, "symptom disorder"),
    (0.7, "complication disease disorder"),
    (0.75, "lesion abnormality"),
    (0.65, "lesion disease disorder"),
    (0.75, "decline deterioration loss impairment"),
    (0.8, "decrease decreased reduction reduced low"),
    (0.8, "increase increased elevated high"),
    (0.75, "deficit impairment disorder dysfunction"),
    // Parts and what they are parts of.
    (0.75, "kidney renal glomerular glomerulus tubular nephron"),
    (0.8, "heart cardiac myocardial myocardium"),
    (0.7, "brain cerebral cortical hippocampal hippocampus cortex"),
    (0.85, "liver hepatic hepatocellular"),
    (0.75, "gastrointestinal gastric intestinal digestive"),
    (0.7, "vessel vascular arterial venous artery vein"),
    (0.75, "neuron neuronal axonal nerve"),
    (0.7, "neurologic neurological nervous neural"),
    (0.75, "ear auditory hearing"),
    (0.75, "eye ocular visual vision"),
    (0.75, "bladder urothelial"),
    (0.75, "atrial supraventricular"),
];

/// Combining forms at the start of a word, and the word that each stands for.
const FORMS: &[(&str, &str)] = &[
    ("nephro", "kidney"),
    ("reno", "kidney"),
    ("hepato", "liver"),
    ("cardio", "heart"),
    ("myocardio", "heart"),
    ("neuro", "nervous system"),
    ("encephalo", "brain"),
    ("cerebro", "brain"),
    ("gastro", "stomach"),
    ("entero", "intestine"),
    ("dermato", "skin"),
    ("dermo", "skin"),
    ("osteo", "bone"),
    ("arthro", "joint"),
    ("pneumo", "lung"),
    ("pulmo", "lung"),
    ("hemato", "blood"),
    ("hemo", "blood"),
    ("angio", "vessel"),
    ("vasculo", "vessel"),
    ("valvulo", "heart valve"),
    ("oto", "hearing"),
    ("ophthalmo", "eye"),
    ("oculo", "eye"),
    ("retino", "retina"),
    ("cysto", "bladder"),
    ("rhino", "nose"),
    ("vestibulo", "vestibular"),
    ("uro", "urinary"),
    ("cholangio", "bile duct"),
    ("broncho", "bronchi"),
    ("myelo", "bone marrow"),
    ("cranio", "skull"),
    ("chondro", "cartilage"),
    ("myo", "muscle"),
    ("adeno", "gland"),
    ("lympho", "lymph"),
    ("spleno", "spleen"),
    ("pancreato", "pancreas"),
    ("colo", "colon"),
    ("procto", "rectum"),
    ("thyro", "thyroid"),
    ("embryo", "embryo"),
    ("feto", "fetal"),
    ("immuno", "immune"),
    ("geno", "genetic"),
    ("photo", "light"),
    ("glomerulo", "glomerular"),
    ("tubulo", "tubular"),
    ("veno", "vein"),
    ("arterio", "artery"),
    ("thrombo", "thrombus"),
    ("utero", "uterus"),
    ("psycho", "mental"),
    ("cyto", "cell"),
];

/// The words that a compound such as "nephrotoxicity" is made of, where its parts are known.
pub fn parts(word: &str) -> Option<String> {
    const ENDINGS: &[(&str, &str)] = &[
        ("toxicity", "toxicity"),
        ("toxic", "toxicity"),
        ("pathy", "disease"),
        ("pathic", "disease"),
        ("megaly", "enlargement"),
        ("algia", "pain"),
        ("dynia", "pain"),
        ("plegia", "paralysis"),
        ("rrhagia", "hemorrhage"),
        ("spasm", "spasm"),
        ("malacia", "softening"),
        ("sclerosis", "sclerosis"),
        ("suppression", "suppression"),
        ("suppressive", "suppression"),
        ("protection", "protection"),
        ("carcinoma", "carcinoma"),
        ("genesis", "formation"),
        ("trauma", "injury"),
        ("stenosis", "stenosis"),
        ("thrombosis", "thrombosis"),
        ("ischemia", "ischemia"),
        ("necrosis", "necrosis"),
        ("fibrosis", "fibrosis"),
        ("degeneration", "degeneration"),
        ("depression", "depression"),
    ];
    FORMS.iter().find_map(|(form, organ)| {
        let rest = word.strip_prefix(form)?;
        let (_, what) = ENDINGS.iter().find(|(ending, _)| *ending == rest)?;
        Some(format!("{organ} {what}"))
    })
}

/// A word that means about the same as another one.
#[derive(Debug)]
pub struct Synonym {
    word: String,
    /// Its stem.
    pub stem: String,
    /// How alike they are.
    pub alike: f32,
}

impl Synonym {
    /// Whether `word`, whose stem is `stem`, is this one: "Paine" is no pain.
    pub(crate) fn is(&self, word: &str, stem: &str) -> bool {
        self.stem == stem && super::akin(&self.word, word, stem)
    }
}

/// The words that mean about the same as those of `stem`.
pub fn synonyms(stem: &str) -> &'static [Synonym] {
    static TABLE: OnceLock<HashMap<String, Vec<Synonym>>> = OnceLock::new();
    let table = TABLE.get_or_init(|| {
        let mut table: HashMap<String, Vec<Synonym>> = HashMap::new();
        for (alike, class) in CLASSES {
            let words = class.split_whitespace().map(inflect);
            let words: Vec<(String, String)> = words.map(|word| (derive(&word), word)).collect();
            for (a, _) in &words {
                for (b, word) in words.iter().filter(|(b, _)| b != a) {
                    let others = table.entry(a.clone()).or_default();
                    match others.iter_mut().find(|other| other.word == *word) {
                        Some(known) => known.alike = known.alike.max(*alike),
                        None => others.push(Synonym {
                            word: word.clone(),
                            stem: b.clone(),
                            alike: *alike,
                        }),
                    }
                }
            }
        }
        table
    });
    table.get(stem).map(Vec::as_slice).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_words_are_found_by_halving() {
        for word in [
            "abdomen",
            "anesthesia",
            "arteritis",
            "melena",
            "palpation",
            "twitching",
        ] {
            assert!(is_known(word), "{word}");
        }
        for word in ["", "-", "aaaa", "fibrilation", "pnuemonia", "zzzz"] {
            assert!(!is_known(word), "{word}");
        }
        for line in include_str!("known_words.txt").lines() {
            assert!(is_known(line.trim_end_matches(EVERYDAY)), "{line}");
        }
        assert!(
            is_everyday("glass") && is_everyday("skin") && !is_everyday("asthma") && !is_everyday("xyzzy")
        );
    }

    #[test]
    fn words_of_one_choice_exclude_each_other() {
        assert!(
            exclude("mitral", "tricuspid") && exclude("primary", "secondary") && exclude("renal", "liver")
        );
        assert!(!exclude("renal", "kidney") && !exclude("left", "upper") && !exclude("pain", "ache"));
    }

    #[test]
    fn a_lesion_is_no_injury_and_a_reduction_no_fall() {
        let means = |a: &str, b: &str| synonyms(&derive(a)).iter().any(|synonym| synonym.word == b);
        assert!(!means("lesion", "injury") && !means("reduction", "fall"));
        assert!(means("damage", "injury") && means("decrease", "reduction"));
    }
}
