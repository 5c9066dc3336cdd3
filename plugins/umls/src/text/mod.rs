//! The forms in which a name is compared, from strict to loose. The same functions run over dictionary
//! names when the index is built and over mentions when they are linked, so they must never depend on
//! anything but their input.

mod edits;
mod fold;
mod stem;
mod translation;
pub(crate) mod usual;
pub mod words;

use mednerd_languages::{EN, Languages};

pub(crate) use edits::{MAX_WORD, edits};
pub(crate) use stem::are_substances;
pub use stem::{akin, derive, inflect};

/// The forms of one name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Forms {
    /// Folded tokens in their order, joined by a space: the exact form.
    pub exact: String,
    /// Spelling variants unified, plurals and stop words removed, sorted, joined by a space.
    pub key: String,
    /// The same after derivational stemming.
    pub stem_key: String,
    /// Unified tokens in their order: what [`Forms::key`] was sorted from.
    pub words: Vec<String>,
    /// Their stems in the same order: what names are retrieved by.
    pub stems: Vec<String>,
    /// How many of them stand before the word that leads to a cause or companion ("due", "with"), where one does.
    pub cause: Option<usize>,
    /// Whether each word of the text was known in its language, where that is another one than English.
    pub is_known: bool,
}

impl Forms {
    /// Analyses `text`, which is in this language: one bit, or none for a language that nothing is known of.
    pub fn of(text: &str, language: Languages) -> Self {
        let tokens = fold::tokens(text);
        let exact = tokens.join(" ");
        let Words {
            words,
            stems,
            cause,
            is_known,
        } = Words::of_tokens(text, tokens, language);
        Self {
            exact,
            key: sorted(&words, &words),
            stem_key: sorted(&stems, &words),
            words,
            stems,
            cause,
            is_known,
        }
    }

    /// Whether the words of two texts with the same stems mean the same.
    pub(crate) fn is_akin(&self, other: &Self) -> bool {
        let pairs = |word: &str, stem: &str| {
            let mut others = other.words.iter().zip(&other.stems);
            others.any(|(other, of_other)| of_other == stem && akin(word, other, stem))
        };
        self.words
            .iter()
            .zip(&self.stems)
            .all(|(word, stem)| pairs(word, stem))
    }

    /// Whether what one says is due to the other is the other way round in the other.
    pub(crate) fn is_swapped(&self, other: &Self) -> bool {
        are_swapped((&self.stems, self.cause), (&other.stems, other.cause))
    }
}

/// Unified words in their order, their stems, and how many stand before a causal word: the part of [`Forms`] that names are compared by.
pub(crate) struct Words {
    pub(crate) words: Vec<String>,
    pub(crate) stems: Vec<String>,
    pub(crate) cause: Option<usize>,
    pub(crate) is_known: bool,
}

impl Words {
    pub(crate) fn of(text: &str, language: Languages) -> Self {
        Self::of_tokens(text, fold::tokens(text), language)
    }

    /// Of a text whose tokens are known.
    fn of_tokens(text: &str, tokens: Vec<String>, language: Languages) -> Self {
        let translation::Translation { tokens, is_known } = translation::translated(text, tokens, language);
        let (words, cause) = unify(&tokens);
        Self {
            stems: words.iter().map(|word| derive(word)).collect(),
            words,
            cause,
            is_known,
        }
    }
}

/// Whether the sides of two causal words are swapped: "anemia due to kidney disease" and "kidney disease due to anemia".
pub(crate) fn are_swapped(a: (&[String], Option<usize>), b: (&[String], Option<usize>)) -> bool {
    let (Some(a), Some(b)) = (sides(a), sides(b)) else {
        return false;
    };
    let share = |a: &[String], b: &[String]| a.iter().any(|stem| b.contains(stem));
    share(a.0, b.1) && share(a.1, b.0) && !share(a.0, b.0) && !share(a.1, b.1)
}

/// The stems before a causal word, and those behind it.
fn sides((stems, cause): (&[String], Option<usize>)) -> Option<(&[String], &[String])> {
    stems.split_at_checked(cause?)
}

/// The unified words of a text that are written in capitals there, as short forms are: letters alone, as "C7" and "IgE" are no
/// other words. None of a text that is in capitals as a whole.
pub(crate) fn capitals(text: &str) -> Vec<String> {
    if !text.contains(char::is_lowercase) && !is_short_acronym(text) {
        return Vec::new();
    }
    text.split(|c: char| !c.is_alphanumeric())
        .filter(|token| is_acronym(token) && token.chars().all(char::is_alphabetic))
        .flat_map(|token| unify(&fold::tokens(token)).0)
        .collect()
}

/// Each of some languages by itself; of none the one that nothing is known of.
pub(crate) fn each(languages: Languages) -> impl Iterator<Item = Languages> {
    let bits = (0..Languages::BITS).map(|bit| 1 << bit);
    let known = bits.filter(move |bit| languages & bit != 0);
    known.chain((languages == 0).then_some(0))
}

/// The language that a name is read in which is one of `name` where its reader has one of `wanted`.
pub(crate) fn read_in(name: Languages, wanted: Languages) -> Languages {
    let common = name & wanted;
    each(if common == 0 { name } else { common }).next().unwrap_or(EN)
}

/// `word` without `ending`. Most endings of a list differ in their last letter already.
fn without<'a>(word: &'a str, ending: &str) -> Option<&'a str> {
    if word.as_bytes().last() != ending.as_bytes().last() {
        return None;
    }
    word.strip_suffix(ending)
}

/// The exact form alone.
pub fn exact_form(text: &str) -> String {
    fold::tokens(text).join(" ")
}

/// Whether a mention or name is written like an acronym: short, one token, at least two capitals (or
/// one, with digits), and hardly any small letters.
pub fn is_acronym(text: &str) -> bool {
    let text = text.trim();
    let (mut upper, mut lower, mut digit) = (0, 0, 0);
    for c in text.chars() {
        match c {
            c if c.is_uppercase() => upper += 1,
            c if c.is_lowercase() => lower += 1,
            c if c.is_ascii_digit() => digit += 1,
            c if c.is_whitespace() => return false,
            _ => {}
        }
    }
    (upper >= 2 || (upper == 1 && digit > 0)) && upper > lower && upper + lower + digit <= 10
}

/// The text with its compounds in one word, "lightheadedness" for "light-headedness"; none where there is no hyphen between small letters.
pub(crate) fn without_hyphens(text: &str) -> Option<String> {
    let small = |c: Option<char>| c.is_some_and(char::is_lowercase);
    let mut joined = String::with_capacity(text.len());
    for (at, c) in text.char_indices() {
        let before = joined.chars().next_back();
        if c != '-' || !small(before) || !small(text[at + 1..].chars().next()) {
            joined.push(c);
        }
    }
    (joined.len() < text.len()).then_some(joined)
}

/// The text with "ae", "oe" and "ue" for umlauts, as it is written where a keyboard has none; none where it has none.
pub(crate) fn without_umlauts(text: &str) -> Option<String> {
    let mut spelt = String::with_capacity(text.len() + 2);
    for c in text.chars() {
        let letter = match c {
            'ä' => 'a',
            'ö' => 'o',
            'ü' => 'u',
            'Ä' => 'A',
            'Ö' => 'O',
            'Ü' => 'U',
            '\u{308}' if spelt.ends_with(['a', 'o', 'u', 'A', 'O', 'U']) => {
                spelt.push('e');
                continue;
            }
            other => {
                spelt.push(other);
                continue;
            }
        };
        spelt.extend([letter, 'e']);
    }
    (spelt != text).then_some(spelt)
}

/// Whether what is written like an acronym is short enough for one where nothing else says so: "PNEUMONIA" is a word of a note in
/// capitals.
pub fn is_short_acronym(text: &str) -> bool {
    is_acronym(text) && {
        let letters = text.chars().filter(|c| c.is_alphabetic()).count();
        letters <= 5 || text.contains(|c: char| c.is_ascii_digit() || c.is_lowercase() || c == '-')
    }
}

/// Whether one of two short forms is the other with a capital S behind it, which is no plural: "AIDS" is not "AID".
pub(crate) fn differ_by_capital_s(a: &str, b: &str) -> bool {
    let more = |long: &str, short: &str| {
        let stem = long.strip_suffix('S').map(exact_form);
        stem.is_some_and(|stem| stem.len() > 1 && stem == exact_form(short))
    };
    let (a, b) = (a.trim(), b.trim());
    (is_short_acronym(a) || is_short_acronym(b)) && (more(a, b) || more(b, a))
}

/// 64-bit FNV-1a with a final mix: the hash of the index's tables. Fixed for ever within a format version.
pub fn hash(text: &str) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for &byte in text.as_bytes() {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    }
    hash ^= hash >> 33;
    hash = hash.wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash ^ (hash >> 33)
}

/// The character trigrams of a word with its borders marked, each once, sorted.
pub fn trigrams(word: &str, into: &mut Vec<u32>) {
    into.clear();
    let mut window = [0_u32, u32::from('^')];
    for c in word.chars().chain(['$']) {
        let c = u32::from(c);
        if window[0] != 0 {
            // 10 bits each: letters of other scripts may collide, which only costs precision of a first filter.
            into.push((window[0] & 0x3ff) << 20 | (window[1] & 0x3ff) << 10 | (c & 0x3ff));
        }
        window = [window[1], c];
    }
    into.sort_unstable();
    into.dedup();
}

/// The words in the order of the alphabet. Several numbers come in their own order behind them, "stage 2 by type 1" is
/// not "stage 1 by type 2", and several signs stay with what has them: "T+ B-" is not "T- B+". `unified` are the words before they
/// were stemmed, where they are.
fn sorted(words: &[String], unified: &[String]) -> String {
    let is_sign = |word: &String| matches!(word.as_str(), "positive" | "negative");
    let several = unified.iter().filter(|word| is_sign(word)).count() > 1;
    let (mut others, mut numbers): (Vec<String>, Vec<&str>) = (Vec::with_capacity(words.len()), Vec::new());
    for (word, unified) in words.iter().zip(unified) {
        match others.last_mut() {
            Some(signed) if several && is_sign(unified) => *signed = [signed, word.as_str()].join(" "),
            _ if is_number(word) => numbers.push(word),
            _ => others.push(word.clone()),
        }
    }
    if numbers.len() < 2 {
        others.extend(numbers.drain(..).map(str::to_owned));
    }
    others.sort_unstable();
    others.dedup();
    others.extend(numbers.into_iter().map(str::to_owned));
    others.join(" ")
}

/// Whether a unified word is a unit of a strength: the number before it is one.
pub(crate) fn is_unit(word: &str) -> bool {
    fold::UNITS.contains(&word) || matches!(word, "unit" | "mu")
}

/// Whether a unified word is a number, with or without letters behind it.
pub(crate) fn is_number(word: &str) -> bool {
    word.starts_with(|c: char| c.is_ascii_digit())
}

/// Unifies spelling, numerals and plurals and leaves stop words out, keeping the order; and how many words stand before the first
/// causal word, where there are some on both of its sides.
fn unify(tokens: &[String]) -> (Vec<String>, Option<usize>) {
    let mut unified: Vec<String> = Vec::with_capacity(tokens.len());
    let mut cause = None;
    let mut prefix: Option<&str> = None;
    for (i, token) in tokens.iter().enumerate() {
        if prefix.is_none() && i + 1 < tokens.len() && words::is_prefix(token) && tokens[i + 1].len() > 2 {
            prefix = Some(token);
            continue;
        }
        let prefix = prefix.take();
        if cause.is_none() && !unified.is_empty() && words::is_causal(tokens, i) {
            cause = Some(unified.len());
        }
        if prefix.is_none() && (words::is_stop(token) || words::is_article(tokens, i)) {
            continue;
        }
        let before = i.checked_sub(1).map(|i| tokens[i].as_str());
        if let Some(number) = words::written_number(token).filter(|_| before.is_some_and(is_ranked)) {
            unified.push(number.to_owned());
            continue;
        }
        if let Some(number) = numeral(token, before) {
            unified.push(number);
            continue;
        }
        if prefix.is_none()
            && let Some((letters, digits)) = letters_then_digits(token)
        {
            if !words::is_stop(letters) {
                unified.push(inflect(&fold::american(letters.to_owned())));
            }
            unified.push(digits.to_owned());
            continue;
        }
        let joined = [prefix.unwrap_or_default(), token].concat();
        unified.push(inflect(&fold::american(joined)));
    }
    if unified.is_empty() {
        // "The", "type": a name of stop words alone keeps them.
        unified = tokens
            .iter()
            .map(|token| inflect(&fold::american(token.clone())))
            .collect();
    }
    let cause = cause.filter(|at| *at < unified.len());
    (unified, cause)
}

/// What is written with a number behind it, in digits or in letters.
fn is_ranked(before: &str) -> bool {
    matches!(before, "type" | "types" | "stage" | "grade")
}

/// "sca1" is "sca 1". One letter before digits stays with them ("c7", "g6pd"), and so do letters after.
fn letters_then_digits(token: &str) -> Option<(&str, &str)> {
    let split = token.find(|c: char| c.is_ascii_digit())?;
    let (letters, digits) = token.split_at(split);
    let plain = split >= 2
        && letters.bytes().all(|b| b.is_ascii_lowercase())
        && digits
            .trim_end_matches(|c: char| c.is_ascii_lowercase())
            .bytes()
            .all(|b| b.is_ascii_digit());
    plain.then_some((letters, digits))
}

/// A Roman numeral, with or without a letter behind it ("iia"), as "2" or "2a".
fn numeral(token: &str, before: Option<&str>) -> Option<String> {
    let roman = token.trim_end_matches(|c: char| matches!(c, 'a'..='e'));
    if token.len() - roman.len() > 1 {
        return None;
    }
    let value = match roman {
        "i" => 1,
        "ii" => 2,
        "iii" => 3,
        "iv" => 4,
        "v" => 5,
        "vi" => 6,
        "vii" => 7,
        "viii" => 8,
        "ix" => 9,
        "x" => 10,
        "xi" => 11,
        "xii" => 12,
        "xiii" => 13,
        "xiv" => 14,
        "xv" => 15,
        _ => return None,
    };
    let counted = before.is_some_and(words::counts);
    // A lone letter is a numeral only where something is counted; "via", "id" and "xe" are words.
    if (roman.len() == 1 || roman.len() < token.len()) && !counted && !(token == "i" && before.is_some()) {
        return None;
    }
    Some(format!("{value}{}", &token[roman.len()..]))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::time::Duration;

    use nix::time::{ClockId, clock_gettime};

    use super::*;
    use proptest::prelude::*;

    #[test]
    fn order_plural_and_spelling_do_not_change_the_key() {
        for (a, b) in [
            ("Dystrophy, Myotonic", "myotonic dystrophies"),
            ("oesophageal tumours", "esophageal tumor"),
            ("Addison's disease", "Addison disease"),
            ("Addisons disease", "Addison's Disease"),
            ("diabetes mellitus type II", "Diabetes Mellitus, Type 2"),
            ("glycogen storage disease type IIa", "glycogen storage disease 2a"),
            ("α-thalassaemia", "alpha Thalassemia"),
            ("spinocerebellar ataxia SCA1", "SCA 1 spinocerebellar ataxia"),
            ("non-insulin dependent diabetes", "noninsulin-dependent diabetes"),
            ("brain metastases", "Metastasis, brain"),
            ("melanocytic naevi", "Nevus, melanocytic"),
            ("oesophageal varices", "esophageal varix"),
            ("septic emboli and thrombi", "embolus, thrombus, septic"),
            ("hypertensive crises", "hypertensive crisis"),
            ("type one diabetes", "diabetes type 1"),
            ("stage three", "stage III"),
            ("history of a fall", "history of fall"),
            // A ligature, a numeral of one character, wide digits.
            ("atrial \u{fb01}brillation", "atrial fibrillation"),
            ("diabetes type \u{2161}", "diabetes type 2"),
            ("type \u{ff12} diabetes", "type 2 diabetes"),
            ("HER2+ cancer", "HER2-positive cancer"),
            ("ER(-) tumor", "ER- tumor"),
            ("BMI \u{2265} 30", "BMI >30"),
            // The ohm sign, whose small letter is an omega.
            ("\u{2126} 3 fatty acid", "omega-3 fatty acids"),
            ("Sjögren’s syndrome", "Sjogren syndrome"),
        ] {
            assert_eq!(Forms::of(a, EN).key, Forms::of(b, EN).key, "{a} / {b}");
        }
    }

    #[test]
    fn adjectives_meet_their_nouns_in_the_stem_key() {
        for (a, b) in [
            ("hypertensive", "hypertension"),
            ("epileptic", "epilepsy"),
            ("C5-deficient", "C5 deficiency"),
            ("cirrhotic", "cirrhosis"),
            ("depressed", "depression"),
            ("anaemic", "anemia"),
            ("metastatic", "metastases"),
            ("malignant", "malignancy"),
        ] {
            assert_eq!(Forms::of(a, EN).stem_key, Forms::of(b, EN).stem_key, "{a} / {b}");
        }
    }

    #[test]
    fn different_things_stay_different() {
        for (a, b) in [
            ("hypertension", "hypotension"),
            ("X-linked ichthyosis", "10 linked ichthyosis"),
            ("hepatitis", "hepatic"),
            ("type 1 diabetes", "type 2 diabetes"),
            ("with complication", "without complication"),
            ("hepatitis", "hepatitis A"),
            ("vitamin A deficiency", "vitamin deficiency"),
            ("type A influenza", "type B influenza"),
            ("A-T", "T"),
            (
                "CKD stage 2 due to type 1 diabetes",
                "CKD stage 1 due to type 2 diabetes",
            ),
            ("stage 1 type 1", "stage 1"),
            ("Rh- blood", "Rh+ blood"),
            ("HER2-", "HER2+"),
            ("BMI <30", "BMI >30"),
            ("T+ B- SCID", "T- B+ SCID"),
            ("T+ B+ SCID", "T-B+ SCID"),
            ("(+)-menthol", "(-)-menthol"),
            ("menthol", "(-)-menthol"),
            ("ketamine", "(\u{2212})-ketamine"),
            ("hyoscyamine", "(\u{b1})-hyoscyamine"),
            ("methionine", "(+-)-Methionine"),
            ("lisinopril 0.5 mg", "lisinopril 5 mg"),
            ("2-5 mg", "2.5 mg"),
            ("2,4-D", "2.4 D"),
            ("insulin 1.000 UNT", "insulin 1 UNT"),
        ] {
            assert_ne!(Forms::of(a, EN).stem_key, Forms::of(b, EN).stem_key, "{a} / {b}");
        }
    }

    #[test]
    fn a_strength_is_one_number_and_its_unit() {
        for (a, b) in [
            ("digoxin .125 mg", "Digoxin 0.125 MG"),
            ("metformin 1,000 mg", "Metformin 1000 MG"),
            ("heparin 25,000,000 units", "heparin 25000000 units"),
            ("amlodipine 2,5 mg", "amlodipine 2.5 MG"),
            ("ramipril 0,5mg", "ramipril 0.5 mg"),
            ("lisinopril 10mg", "Lisinopril 10 MG"),
            ("warfarin 2.50 mg", "warfarin 2.5 mg"),
            ("warfarin 5.0mg", "warfarin 5 mg"),
            ("given 5 mg.", "given 5 mg"),
            ("T-B+NK- SCID", "T- B+ NK- SCID"),
            ("T+B-NK+", "T+ B- NK+"),
            ("(\u{2212})-menthol", "(-)-Menthol"),
            ("(+/-)-verapamil", "(\u{b1})-Verapamil"),
        ] {
            assert_eq!(exact_form(a), exact_form(b), "{a} / {b}");
        }
        assert_eq!(exact_form("22q11.2 1,25(OH)2D T1.5"), "22q11 2 1 25 oh 2d t1 5");
        assert_eq!(exact_form("2,4-D 5g 7up"), "2 4 d 5 g 7up");
    }

    #[test]
    fn the_time_of_numbers_is_linear() {
        for text in ["1.", "1,111.", ".5", "2,5 mg "] {
            let least = |times: usize| {
                let text = text.repeat(times);
                // This thread's own, so that a busy machine does not matter.
                let now = || Duration::from(clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).unwrap());
                let run = || {
                    let begun = now();
                    assert!(exact_form(&text).contains(|c: char| c.is_ascii_digit()));
                    now() - begun
                };
                (0..3).map(|_| run()).min().unwrap()
            };
            let (few, many) = (least(4_000), least(64_000));
            assert!(
                many < 100 * few,
                "{text}: 16 times as many: {few:?}, then {many:?}"
            );
        }
    }

    #[test]
    fn the_charge_of_an_ion_is_part_of_no_word() {
        for (a, b) in [
            ("Na+", "Na"),
            ("na+ 140", "na 140"),
            ("K+", "K"),
            ("Mg++", "Mg"),
            ("Ca2+", "Ca2"),
            ("Ca\u{b2}\u{207a}", "Ca2"),
            ("Ca(2+) channel", "Ca 2 channel"),
            ("Cl-", "Cl"),
            ("HCO3-", "HCO3"),
            ("HCO\u{2083}\u{207b}", "HCO3"),
            ("NAD+", "NAD"),
            ("NH4+", "NH4"),
            ("Na(+)-K(+)-ATPase", "Na K ATPase"),
            ("pain+", "pain"),
        ] {
            assert_eq!(exact_form(a), exact_form(b), "{a} / {b}");
        }
        for (a, b) in [
            ("HER2+", "HER2 positive"),
            ("Rh-", "Rh negative"),
            ("HBsAg+", "HBsAg positive"),
            ("CD4+", "CD4 positive"),
            ("ER(-)", "ER negative"),
            ("er+", "er positive"),
        ] {
            assert_eq!(exact_form(a), exact_form(b), "{a} / {b}");
        }
    }

    #[test]
    fn what_is_due_to_what_is_told_apart() {
        let swapped = |a: &str, b: &str| Forms::of(a, EN).is_swapped(&Forms::of(b, EN));
        let name = "Anemia due to chronic kidney disease";
        assert!(swapped("chronic kidney disease due to anemia", name));
        assert!(swapped("kidney disease from anemia", name));
        assert!(!swapped("anaemia secondary to chronic kidney disease", name));
        assert!(!swapped("chronic kidney disease anemia", name));
        assert!(!swapped("due to anemia", name));
    }

    #[test]
    fn short_forms_within_names_are_known_by_their_capitals() {
        assert_eq!(capitals("MASS syndrome"), ["mass"]);
        assert_eq!(capitals("Rhabdomyosarcoma (ARMS)"), ["arm"]);
        assert!(capitals("C7 deficiency").is_empty() && capitals("HEMOCHROMATOSIS, HEREDITARY").is_empty());
        assert_eq!(capitals("COPD"), ["copd"]);
    }

    #[test]
    fn hyphens_are_no_signs() {
        for (a, b) in [
            ("ER-\npositive", "ER positive"),
            ("T- and B-cell", "T and B cell"),
            ("IL- 2", "IL 2"),
            ("Non- Hodgkin", "non Hodgkin"),
            ("MID- LINE SHIFT", "mid line shift"),
            ("breast-", "breast"),
            ("HER2-positive", "HER2 positive"),
            ("aspirin+clopidogrel", "aspirin clopidogrel"),
        ] {
            assert_eq!(exact_form(a), exact_form(b), "{a} / {b}");
        }
    }

    #[test]
    fn capitals_alone_make_no_short_form_of_a_long_word() {
        assert!(is_short_acronym("AIDS") && is_short_acronym("RCCs") && is_short_acronym("HLA-DR"));
        assert!(!is_short_acronym("PNEUMONIA") && !is_short_acronym("CIRRHOTIC"));
        assert!(differ_by_capital_s("AIDS", "AID") && differ_by_capital_s("AID", "AIDS"));
        assert!(!differ_by_capital_s("RCCs", "RCC") && !differ_by_capital_s("HEADACHES", "HEADACHE"));
    }

    #[test]
    fn acronyms_are_told_from_words() {
        for yes in ["HD", "G6PD", "A-T", "RCCs", "C7D", "MEN1"] {
            assert!(is_acronym(yes), "{yes}");
        }
        for no in ["was", "Cold", "cancer", "MS patients", "a", "B"] {
            assert!(!is_acronym(no), "{no}");
        }
    }

    proptest! {
        #[test]
        fn any_text_has_forms_and_the_exact_form_is_stable(text in "\\PC{0,60}") {
            let forms = Forms::of(&text, EN);
            prop_assert_eq!(exact_form(&forms.exact), forms.exact.clone());
            prop_assert_eq!(forms.words.len(), forms.stems.len());
            prop_assert!(!forms.exact.contains('\0'));
        }

        #[test]
        fn numbers_signs_and_units_are_read_once(text in "([0-9.,mgkTBN+() -]|mg|NK|\\(-\\)-|,000){0,14}") {
            let exact = exact_form(&text);
            prop_assert_eq!(exact_form(&exact), exact);
        }

        #[test]
        fn case_and_punctuation_do_not_matter(words in prop::collection::vec("[a-z]{1,9}", 1..6)) {
            let plain = words.join(" ");
            prop_assert_eq!(Forms::of(&plain, EN), Forms::of(&words.join("-").to_uppercase(), EN));
        }
    }
}
