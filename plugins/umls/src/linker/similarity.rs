//! How alike a mention and a name are, word by word.
//!
//! Words are paired, the most alike first; a pair counts by how alike it is and by how rare and telling its words
//! are. The similarity is the weighted harmonic mean of the shares of the mention and of the name that are paired.

use std::collections::HashMap;

use mednerd_languages::Languages;

use crate::index::Index;
use crate::text::words::{self, Synonym};
use crate::text::{self, MAX_WORD, akin, edits};

/// How much a part of the mention that the name leaves out counts, beside a part that the name adds; F-measure's
/// beta squared. Chosen on the development splits.
const LEFT_OUT: f32 = 0.4;

/// The words of a mention or name, their stems, and what each of them weighs.
#[derive(Clone, Debug)]
pub(crate) struct Weighed {
    pub(crate) words: Vec<String>,
    pub(crate) stems: Vec<String>,
    pub(crate) weights: Vec<f32>,
    /// Which of them are written in capitals, as short forms are.
    capitals: Vec<bool>,
    /// As [`text::Forms::cause`].
    cause: Option<usize>,
}

impl Weighed {
    /// The words of `text`, which is in this language.
    pub(crate) fn of(text: &str, language: Languages, weights: &mut Weights<'_>) -> Self {
        Self::by(text, language, |stem| weights.of(stem))
    }

    fn by(text: &str, language: Languages, weigh: impl FnMut(&String) -> f32) -> Self {
        let text::Words {
            words, stems, cause, ..
        } = text::Words::of(text, language);
        // A mention may have pages of them.
        let mut capitals = text::capitals(text);
        capitals.sort_unstable();
        Self {
            weights: stems.iter().map(weigh).collect(),
            capitals: words
                .iter()
                .map(|word| capitals.binary_search(word).is_ok())
                .collect(),
            words,
            stems,
            cause,
        }
    }
}

/// What words weigh, each looked up once: names that share words with a mention share them with each other.
#[derive(Debug)]
pub(crate) struct Weights<'a> {
    index: &'a Index,
    known: HashMap<String, f32>,
}

impl<'a> Weights<'a> {
    pub(crate) fn new(index: &'a Index) -> Self {
        Self {
            index,
            known: HashMap::new(),
        }
    }

    fn of(&mut self, stem: &str) -> f32 {
        if let Some(weight) = self.known.get(stem) {
            return *weight;
        }
        let weight = f32::from(self.index.weight(stem, self.index.word(stem))).sqrt();
        self.known.insert(stem.to_owned(), weight);
        weight
    }
}

/// The words that mean about the same as each of `stems`.
pub(super) fn synonyms(stems: &[String]) -> Vec<&'static [Synonym]> {
    stems.iter().map(|stem| words::synonyms(stem)).collect()
}

/// How a mention and a name are alike.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Likeness {
    /// From 0, nothing in common, to 1, the same words.
    pub(super) similarity: f32,
    /// How alike the mention's last word is to its partner.
    pub(super) head: f32,
    /// The weighted share of the name that the mention has; less where one excludes the other.
    pub(super) covering: f32,
    /// Words of the name without a partner.
    pub(super) added: u8,
    /// Those among them that tell what is meant: neither numbers nor words such as "syndrome" or "chronic".
    pub(super) telling: u8,
}

/// Compares a mention, of whose words `synonyms` are, with a name. A `substance` has no adjective: words with the stem of its name are as
/// alike as they are spelt.
pub(super) fn likeness(
    mention: &Weighed,
    synonyms: &[&'static [Synonym]],
    name: &Weighed,
    substance: bool,
) -> Likeness {
    let (a, b) = (mention, name);
    let mut pairs: Vec<(f32, usize, usize)> = Vec::with_capacity(a.words.len() + b.words.len());
    for i in 0..a.words.len() {
        let synonyms = synonyms.get(i).copied().unwrap_or_default();
        for j in 0..b.words.len() {
            // "arm" is not the "ARMS" of a name.
            if b.capitals[j] && !a.capitals[i] && words::is_known(&a.words[i]) {
                continue;
            }
            let alike = match substance && a.stems[i] == b.stems[j] && a.words[i] != b.words[j] {
                true => spelt_alike(&a.words[i], &b.words[j]),
                false => words_alike(&a.words[i], &a.stems[i], synonyms, &b.words[j], &b.stems[j]),
            };
            if alike > 0.0 {
                pairs.push((alike, i, j));
            }
        }
    }
    pairs.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)).then(a.2.cmp(&b.2)));
    let mut of_mention = vec![0.0_f32; a.words.len()];
    let mut of_name = vec![0.0_f32; b.words.len()];
    for (alike, i, j) in pairs {
        if of_mention[i] == 0.0 && of_name[j] == 0.0 {
            of_mention[i] = alike;
            of_name[j] = alike;
        }
    }
    let share = |weights: &[f32], paired: &[f32]| {
        let paired: f32 = weights
            .iter()
            .zip(paired)
            .map(|(weight, alike)| weight * alike)
            .sum();
        paired / weights.iter().sum::<f32>().max(1e-6)
    };
    let (covered, covering) = (
        share(&mention.weights, &of_mention),
        share(&name.weights, &of_name),
    );
    // What the name adds weighs more than what it leaves out: a mention is written with modifiers that no name has.
    let similarity = (1.0 + LEFT_OUT) * covered * covering / (covered + LEFT_OUT * covering).max(1e-6);
    let swapped = || numbers_swapped(a, b) || text::are_swapped((&a.stems, a.cause), (&b.stems, b.cause));
    let mut left = 1.0;
    if numbers_differ(a, &of_mention, b, &of_name) {
        left *= 0.8;
    }
    if exclude(a, &of_mention, b, &of_name) || swapped() || strengths_differ(a, b) {
        left *= 0.4;
    }
    let added = || (0..b.words.len()).filter(|&j| of_name[j] == 0.0);
    let telling = added().filter(|&j| !text::is_number(&b.words[j]) && words::tells(&b.stems[j]));
    Likeness {
        similarity: left * similarity,
        head: of_mention.last().copied().unwrap_or(0.0),
        covering: left * covering,
        added: u8::try_from(added().count()).unwrap_or(u8::MAX),
        telling: u8::try_from(telling.count()).unwrap_or(u8::MAX),
    }
}

/// Whether a name is somebody's syndrome or disease of whom the mention's only word is no name: "terrible" and Terry, "cook" and Cooks. The
/// same word is, and so are what is made of a longer name and a slip of the pen.
pub(super) fn is_mere_eponym((text, mention): (&str, &Weighed), (written, name): (&str, &Weighed)) -> bool {
    const LEAST_NAME: usize = 6;
    const LEAST_COMMON: usize = 9;
    const LEAST_WORD: usize = 5;
    let ([word], [first, second]) = (&mention.words[..], &name.words[..]) else {
        return false;
    };
    let is_illness = |word: &str| matches!(word, "syndrome" | "disease");
    let (person, of_person) = match (is_illness(first), is_illness(second)) {
        (false, true) => (first, &name.stems[0]),
        (true, false) => (second, &name.stems[1]),
        _ => return false,
    };
    let stem = &mention.stems[0];
    if word == person {
        // "her" is nobody's name in small letters; and "Hers", whose s is no plural's.
        let short = word.len() < LEAST_WORD && words::is_everyday(word) && !text.contains(char::is_uppercase);
        let (text, written) = (text::exact_form(text), text::exact_form(written));
        return short || !written.split(' ').any(|token| token == word || token == text);
    }
    if stem == of_person {
        return stem.len() < LEAST_NAME;
    }
    common_start(word, person) < LEAST_COMMON
        && spelt_alike(word, person) < ONE_LETTER
        && !words::synonyms(stem).iter().any(|one| one.is(person, of_person))
}

/// The words of `name` without a partner.
fn unpaired<'a>(name: &'a Weighed, paired: &'a [f32]) -> impl Iterator<Item = &'a str> + Clone {
    let words = name.words.iter().zip(paired);
    words
        .filter(|(_, alike)| **alike == 0.0)
        .map(|(word, _)| word.as_str())
}

/// Whether both have a number that the other has not, or one of them a lone letter that counts like one.
fn numbers_differ(a: &Weighed, of_a: &[f32], b: &Weighed, of_b: &[f32]) -> bool {
    let (mut in_a, mut in_b) = (unpaired(a, of_a), unpaired(b, of_b));
    let lone = |word: &str| word.len() == 1 && word.starts_with(|c: char| c.is_ascii_lowercase());
    let counts = |word: &str| text::is_number(word) || lone(word);
    in_a.clone().any(lone) || in_b.clone().any(lone) || (in_a.any(counts) && in_b.any(counts))
}

/// The numbers of a name that have a unit behind them.
fn strengths(name: &Weighed) -> Vec<&String> {
    let pairs = name.words.windows(2);
    pairs
        .filter(|pair| text::is_number(&pair[0]) && text::is_unit(&pair[1]))
        .map(|pair| &pair[0])
        .collect()
}

/// Whether both have strengths, and the mention one that is no number of the name: 5 mg are no 10, and no 0.5.
fn strengths_differ(mention: &Weighed, name: &Weighed) -> bool {
    let wanted = strengths(mention);
    !wanted.is_empty()
        && !strengths(name).is_empty()
        && wanted.iter().any(|strength| !name.words.contains(strength))
}

/// Whether both have the same numbers in another order: "stage 2 by type 1" and "stage 1 by type 2".
fn numbers_swapped(a: &Weighed, b: &Weighed) -> bool {
    let numbers = |name: &Weighed| -> Vec<String> {
        let numbers = name.words.iter().filter(|word| text::is_number(word));
        numbers.cloned().collect()
    };
    let (mut in_a, mut in_b) = (numbers(a), numbers(b));
    if in_a.len() != in_b.len() || in_a.len() < 2 || in_a == in_b {
        return false;
    }
    // "5-325 mg" has the strengths of a combination in an order of its own.
    if (1..in_a.len()).contains(&strengths(a).len()) {
        return false;
    }
    in_a.sort_unstable();
    in_b.sort_unstable();
    in_a == in_b
}

/// Whether one says what the other rules out: "left" and "right", or "without" on one side alone.
fn exclude(a: &Weighed, of_a: &[f32], b: &Weighed, of_b: &[f32]) -> bool {
    let negated = |name: &Weighed, paired: &[f32]| unpaired(name, paired).any(|word| negates(name, word));
    if negated(a, of_a) != negated(b, of_b) {
        return true;
    }
    let of_name = unpaired(b, of_b);
    unpaired(a, of_a).any(|word| of_name.clone().any(|other| words::exclude(word, other)))
}

/// Whether a word of a name turns it into its opposite; "not otherwise specified" does not.
fn negates(name: &Weighed, word: &str) -> bool {
    let specified = || {
        name.words
            .iter()
            .any(|word| matches!(word.as_str(), "otherwise" | "elsewhere" | "specified"))
    };
    matches!(word, "without" | "no") || (word == "not" && !specified())
}

/// Of two words with one stem that do not mean the same: "alcohol" and "alcoholism".
const NAMED_AFTER: f32 = 0.5;

/// How alike two words are; `synonyms` are those of the first one's stem.
fn words_alike(a: &str, a_stem: &str, synonyms: &[Synonym], b: &str, b_stem: &str) -> f32 {
    if a == b {
        return 1.0;
    }
    if a_stem == b_stem {
        return match akin(a, b, a_stem) {
            true => 0.97,
            false if text::are_substances(a, b) => 0.0,
            false => NAMED_AFTER,
        };
    }
    if let Some(synonym) = synonyms.iter().find(|synonym| synonym.is(b, b_stem)) {
        return synonym.alike;
    }
    if words::exclude(a, b) {
        return 0.0;
    }
    spelt_alike(a, b)
}

/// How alike two words are by their letters.
fn spelt_alike(a: &str, b: &str) -> f32 {
    let (shortest, longest) = (a.len().min(b.len()), a.len().max(b.len()));
    if shortest < 5 || longest > MAX_WORD || !a.is_ascii() || !b.is_ascii() {
        return 0.0;
    }
    let common = common_start(a, b);
    let same_start = common >= 5 && common * 3 >= longest * 2;
    let same_end = longest - shortest >= LEAST_PART && (a.ends_with(b) || b.ends_with(a));
    // A letter that only one of them has costs an edit at least: most pairs need no more than this look.
    let (in_a, in_b) = (letters(a), letters(b));
    let least = (in_a & !in_b).count_ones().max((in_b & !in_a).count_ones()) as usize;
    let hopeless = 10 * least.max(longest - shortest) > 3 * longest;
    if (hopeless && !same_start && !same_end) || opposite(a, b) || opposite_endings(a, b) {
        return 0.0;
    }
    let distance = edits(a.as_bytes(), b.as_bytes());
    let alike = 1.0 - distance as f32 / longest as f32;
    // One letter may be a slip of the pen, two make another drug: amlodipine, felodipine.
    if distance > 1 && is_drug(a) && is_drug(b) {
        return 0.3 * alike;
    }
    // Nor does a slip begin a word with another letter: Seckel, Meckel.
    let begins =
        a.len() != b.len() || a.as_bytes()[0] == b.as_bytes()[0] || a.as_bytes()[1..] != b.as_bytes()[1..];
    let near = begins && ((distance == 1 && longest >= 6) || (distance == 2 && longest >= 9));
    // A word that texts have is no slip of the pen: arteritis, arthritis.
    let slip = begins && (near || alike >= 0.7) && !words::is_known(a);
    if slip && distance == 1 && near {
        ONE_LETTER
    } else if slip && near {
        0.9 * alike + 0.05
    } else if same_start {
        0.75 * alike + 0.1
    } else if same_end {
        0.6 * shortest as f32 / longest as f32
    } else if slip {
        0.6 * alike
    } else {
        0.0
    }
}

/// So many bytes at the front of two words are the same.
fn common_start(a: &str, b: &str) -> usize {
    a.bytes().zip(b.bytes()).take_while(|(a, b)| a == b).count()
}

/// Of a word that no text has and another one that a letter makes of it.
const ONE_LETTER: f32 = 0.95;

/// What a compound has before another word has at least so many letters: "twitching" is no itching.
const LEAST_PART: usize = 3;

/// Which letters a word has, as bits.
fn letters(word: &str) -> u32 {
    word.bytes().fold(0, |bits, byte| bits | 1 << (byte & 31))
}

/// Whether a word ends as drugs of a class do.
fn is_drug(word: &str) -> bool {
    const ENDINGS: &[&str] = &[
        "dipine",
        "prazole",
        "conazole",
        "solone",
        "sone",
        "pril",
        "sartan",
        "statin",
        "olol",
        "cillin",
        "mycin",
        "floxacin",
        "cycline",
        "tidine",
        "setron",
        "triptan",
        "gliptin",
        "gliflozin",
        "glitazone",
        "parin",
        "azepam",
        "azolam",
        "oxetine",
        "triptyline",
        "caine",
        "mab",
        "tinib",
        "navir",
        "ciclovir",
        "platin",
        "rubicin",
    ];
    ENDINGS.iter().any(|ending| word.ends_with(ending))
}

/// Endings that do: an excess and a lack, an inflammation and what is none.
fn opposite_endings(a: &str, b: &str) -> bool {
    const PAIRS: &[(&str, &str)] = &[("osis", "itis"), ("cytosis", "cytopenia"), ("philia", "penia")];
    let same = |p: Option<&str>, q: Option<&str>| p.is_some() && p == q;
    PAIRS.iter().any(|(x, y)| {
        same(a.strip_suffix(x), b.strip_suffix(y)) || same(a.strip_suffix(y), b.strip_suffix(x))
    })
}

/// Prefixes that turn a word into its opposite or into another thing.
fn opposite(a: &str, b: &str) -> bool {
    const PAIRS: &[(&str, &str)] = &[
        ("hyper", "hypo"),
        ("macro", "micro"),
        // As American spelling leaves them: "macr(o)edema".
        ("macr", "micr"),
        ("pre", "post"),
        ("intra", "inter"),
        ("supra", "infra"),
        ("endo", "exo"),
        ("tachy", "brady"),
        ("poly", "oligo"),
        ("para", "peri"),
        ("ante", "post"),
        ("ab", "ad"),
        ("poly", "mono"),
        ("bi", "uni"),
        ("hemi", "para"),
        ("intra", "extra"),
        ("hyper", "nor"),
        ("in", "de"),
    ];
    let same = |p: Option<&str>, q: Option<&str>| p.is_some() && p == q;
    let prefixed = PAIRS.iter().any(|(x, y)| {
        same(a.strip_prefix(x), b.strip_prefix(y)) || same(a.strip_prefix(y), b.strip_prefix(x))
    });
    let negated = |long: &str, short: &str| {
        let rest = long.strip_suffix(short).unwrap_or_default();
        matches!(
            rest,
            "non" | "un" | "in" | "im" | "a" | "an" | "dys" | "anti" | "de" | "ir" | "dis"
        )
    };
    prefixed || negated(a, b) || negated(b, a)
}

#[cfg(test)]
mod tests {
    use super::*;
    use mednerd_languages::EN;

    fn alike(a: &str, b: &str) -> f32 {
        let weigh = |text: &str| Weighed::by(text, EN, |stem| 100.0 * words::information(stem));
        let mention = weigh(a);
        likeness(&mention, &synonyms(&mention.stems), &weigh(b), false).similarity
    }

    #[test]
    fn likeness_goes_by_what_tells_names_apart() {
        assert!(alike("breast cancer", "Cancer, Breast") > 0.999);
        assert!(
            alike("sporadic breast cancer", "breast cancer") > alike("breast cancer", "male breast cancer")
        );
        assert!(alike("renal tumour", "kidney neoplasm") > 0.85);
        assert!(alike("hypothyroidism", "hyperthyroidism") < 0.1);
        assert!(alike("diabetes type 1", "diabetes type 2") < 0.8);
        assert!(alike("hepatitis C", "hepatitis A") < 0.7 * alike("hepatitis C", "chronic hepatitis C"));
        assert!(alike("hepatitis", "hepatitis A") < 0.8);
        for (a, b) in [
            ("thrombocytosis", "thrombocytopenia"),
            ("diverticulosis", "diverticulitis"),
            ("felodipine", "amlodipine"),
            ("prednisolone", "prednisone"),
            ("esomeprazole", "omeprazole"),
        ] {
            assert!(alike(a, b) < 0.45, "{a}, {b}");
        }
        assert!(alike("amlodipin", "amlodipine") > 0.8 && alike("prednisolon", "prednisolone") > 0.8);
        assert!(alike("stage 2 disease by type 1", "stage 1 disease by type 2") < 0.5);
        assert!(alike("trombocytopenia", "thrombocytopenia") > 0.85);
        assert!(alike("migraine", "fracture") < 0.01);
    }

    #[test]
    fn opposites_are_not_alike() {
        for (a, b) in [
            ("cataract with glaucoma", "cataract without glaucoma"),
            ("left bundle branch block", "right bundle branch block"),
            (
                "methicillin sensitive staphylococcus",
                "methicillin resistant staphylococcus",
            ),
            (
                "heart failure with reduced ejection fraction",
                "heart failure with preserved ejection fraction",
            ),
            ("systolic heart failure", "diastolic heart failure"),
            ("acute kidney failure", "chronic kidney failure"),
            ("HER2 positive breast cancer", "HER2- breast cancer"),
            ("benign neoplasm of colon", "malignant neoplasm of colon"),
            ("upper respiratory infection", "lower respiratory infection"),
            ("no fever", "fever"),
            ("ferrous sulfate", "ferric sulfate"),
            ("ramipril", "ramiprilat"),
            ("(+)-menthol", "(-)-menthol"),
            ("lisinopril 0.5 mg", "lisinopril 5 MG Oral Tablet"),
            ("prednisone 12.5 mg", "prednisone 5 MG"),
            ("digoxin 125 mg", "digoxin 0.125 MG"),
            ("clonidine 1 mg", "clonidine 0.1 MG"),
        ] {
            assert!(alike(a, b) < 0.4, "{a} / {b}: {}", alike(a, b));
        }
        let combination = "acetaminophen 325 MG / hydrocodone bitartrate 5 MG";
        let strength = |text: &str| alike(&format!("hydrocodone acetaminophen {text}"), combination);
        assert!(strength("5-325 mg") > 2.0 * strength("5-500 mg"));
        assert!(alike("acute on chronic heart failure", "chronic heart failure") > 0.8);
        let with = |remark: &str| alike("kidney failure", &format!("kidney failure, {remark}"));
        assert!(with("not otherwise specified") > 2.0 * with("not xxxxxxxxx yyyyyyyyy"));
    }

    #[test]
    fn a_word_that_texts_have_is_not_misspelt() {
        for (a, b) in [
            ("arteritis", "arthritis"),
            ("anesthesia", "paresthesia"),
            ("palpation", "palpitations"),
            ("infusion", "confusion"),
            ("myositis", "mucositis"),
            ("twitching", "itching"),
            ("melena", "meleda"),
        ] {
            assert!(alike(a, b) < 0.6, "{a} / {b}: {}", alike(a, b));
        }
        assert!(alike("athritis", "arthritis") > 0.8 && alike("parasthesia", "paresthesia") > 0.8);
    }

    #[test]
    fn a_word_is_no_short_form_in_capitals() {
        assert!(alike("arm pain", "Alveolar rhabdomyosarcoma ARMS") < 0.01);
        assert!(alike("masses", "MASS syndrome") < 0.01);
        // What is no word is a short form in small letters.
        assert!(alike("copd exacerbation", "Exacerbation of COPD") > 0.99);
        assert!(alike("C7 deficiency", "deficiency of c7") > 0.99);
    }

    #[test]
    fn what_is_another_place_or_cause_is_not_alike() {
        for (a, b) in [
            ("tricuspid regurgitation", "mitral regurgitation"),
            ("secondary myelofibrosis", "primary myelofibrosis"),
            ("decreased appetite", "increased appetite"),
            ("kidney failure due to anemia", "anemia due to kidney failure"),
        ] {
            assert!(alike(a, b) < 0.45, "{a} / {b}: {}", alike(a, b));
        }
    }

    #[test]
    fn what_is_only_named_after_a_word_is_less_alike() {
        assert!(
            alike("alcohol", "alcoholism") < 0.6
                && alike("pain", "Paine") < 0.6
                && alike("ache", "Paine") < 0.3
        );
        assert!(alike("alcoholic", "alcoholism") > 0.95 && alike("ache", "pain") > 0.85);
    }

    #[test]
    fn what_a_name_adds_is_told() {
        let weigh = |text: &str| Weighed::by(text, EN, |_| 1.0);
        let mention = weigh("fatigue");
        let added = |name: &str| likeness(&mention, &synonyms(&mention.stems), &weigh(name), false);
        assert_eq!(added("Chronic fatigue syndrome").telling, 0);
        assert_eq!(added("Muscle fatigue").telling, 1);
        assert!((added("Muscle fatigue").covering - 0.5).abs() < 1e-6);
    }
}
