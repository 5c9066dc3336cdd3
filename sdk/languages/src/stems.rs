//! What is left of a folded word without the endings of its language's plural, gender and case: always its beginning, so that a name
//! and a text need only be cut alike, not well. After the light stemmers of Savoy (2006), with fewer steps.

use crate::{DE, EN, ES, FR, IT, Languages, NL, PT};

/// The stem of a word, which is [folded](crate::fold), in one language; 0 for a name that belongs to none.
pub fn stem(word: &str, language: Languages) -> &str {
    // Short words, abbreviations and numbers are what they are.
    if word.len() < 4 || !word.bytes().all(|b| b.is_ascii_alphabetic()) {
        return word;
    }
    match language {
        EN => english(word),
        // "Magens" of "Magen".
        DE => first(plural(word), 4, &["ern", "en", "em", "er", "e", "n"]),
        NL => first(first(word, 4, &["s"]), 4, &["en", "e"]),
        FR => french(word),
        IT => {
            let bare = first(word, 4, &["a", "e", "i", "o"]);
            first(bare, 4, &["h"])
        }
        ES => iberian(word),
        PT => match first(word, 4, &["oes", "aes", "ao", "is", "l"]) {
            cut if cut.len() < word.len() => cut,
            _ => iberian(word),
        },
        _ => plural(word),
    }
}

/// The word without the first of some endings that it has and that leaves so many letters.
fn first<'a>(word: &'a str, left: usize, endings: &[&str]) -> &'a str {
    let mut cuts = endings.iter().filter_map(|ending| word.strip_suffix(ending));
    cuts.find(|cut| cut.len() >= left).unwrap_or(word)
}

/// The word without the "s" of a plural.
fn plural(word: &str) -> &str {
    match word.ends_with("ss") || word.ends_with("us") || word.ends_with("is") {
        true => word,
        false => first(word, 3, &["s"]),
    }
}

fn english(word: &str) -> &str {
    // "abscesses", "diagnoses" of "diagnosis", and "bruise" as its plural is cut.
    if let Some(cut) = ["es", "e"].iter().find_map(|ending| word.strip_suffix(ending))
        && cut.len() >= 4
        && ["s", "sh", "ch", "x", "z"]
            .iter()
            .any(|sibilant| cut.ends_with(sibilant))
    {
        return cut;
    }
    if word.len() > 6 {
        // Greek nouns alone: "digitalis" is not "digital".
        let greek = ["sis", "tis", "xis"].iter().any(|ending| word.ends_with(ending));
        let endings: &[&str] = if greek { &["is"] } else { &["ies", "y"] };
        let cut = first(word, 4, endings);
        if cut.len() < word.len() {
            return cut;
        }
    }
    plural(word)
}

fn french(word: &str) -> &str {
    // "cérébraux" of "cérébral".
    if let Some(cut) = word
        .strip_suffix("ux")
        .filter(|cut| cut.ends_with('a') && cut.len() > 3)
    {
        return cut;
    }
    let single = first(word, 4, &["s", "x"]);
    let bare = first(single, 4, &["e"]);
    match bare.strip_suffix('l').filter(|cut| cut.ends_with('a')) {
        Some(cut) if cut.len() > 3 => cut,
        _ => bare,
    }
}

fn iberian(word: &str) -> &str {
    // "dolores" are several of "dolor", and "dientes" of "diente".
    let single = match word.strip_suffix("es") {
        Some(cut) if cut.len() >= 3 && may_take_es(cut) => cut,
        _ => first(word, 3, &["s"]),
    };
    match single.strip_suffix('e') {
        // "hombre" is no form of "hombro".
        Some(cut) if !may_take_es(cut) => single,
        _ => first(single, 4, &["a", "o", "e"]),
    }
}

/// Whether a word may end so whose plural has "-es": in one of some consonants, behind a vowel.
fn may_take_es(word: &str) -> bool {
    let mut letters = word.bytes().rev();
    letters.next().is_some_and(|last| b"djlnrsxyz".contains(&last))
        && letters.next().is_some_and(|before| b"aeiou".contains(&before))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_of_a_word_have_one_stem() {
        for (language, forms) in [
            (EN, &["fracture", "fractures"][..]),
            (EN, &["abscess", "abscesses"]),
            (EN, &["metastasis", "metastases"]),
            (EN, &["neuropathy", "neuropathies"]),
            (EN, &["bruise", "bruises"]),
            (EN, &["toothache", "toothaches"]),
            (EN, &["wheeze", "wheezes"]),
            (
                DE,
                &[
                    "chronisch",
                    "chronische",
                    "chronischer",
                    "chronischen",
                    "chronisches",
                ],
            ),
            (DE, &["schmerz", "schmerzen", "schmerzes"]),
            (DE, &["stenose", "stenosen"]),
            (DE, &["abszess", "abszesse", "abszesses"]),
            (DE, &["odem", "odeme", "odems"]),
            (DE, &["magen", "magens"]),
            (DE, &["fieber", "fiebers"]),
            (DE, &["rucken", "ruckens"]),
            (EN, &["rash", "rashes"]),
            (NL, &["ontsteking", "ontstekingen"]),
            (NL, &["chronisch", "chronische"]),
            (FR, &["douleur", "douleurs"]),
            (FR, &["renal", "renale", "renales", "renaux"]),
            (FR, &["aigu", "aigue", "aigus", "aigues"]),
            (ES, &["dolor", "dolores"]),
            (ES, &["cronico", "cronica", "cronicos", "cronicas"]),
            (ES, &["infeccion", "infecciones"]),
            (ES, &["diente", "dientes"]),
            (ES, &["tiroide", "tiroides"]),
            (ES, &["toses", "tos"]),
            (PT, &["trombose", "tromboses"]),
            (PT, &["febre", "febres"]),
            (IT, &["cronico", "cronica", "cronici", "croniche"]),
            (IT, &["polmone", "polmoni"]),
            (PT, &["infeccao", "infeccoes"]),
            (PT, &["renal", "renais"]),
            (PT, &["dor", "dores"]),
            (0, &["statin", "statins"]),
        ] {
            let stems: Vec<&str> = forms.iter().map(|form| stem(form, language)).collect();
            assert!(stems.iter().all(|stem| *stem == stems[0]), "{stems:?}");
        }
    }

    #[test]
    fn other_words_have_other_stems() {
        for (language, one, other) in [
            (ES, "hombro", "hombre"),
            (ES, "hombros", "hombres"),
            (ES, "labio", "labie"),
            (ES, "muslo", "musle"),
            (PT, "ombro", "ombre"),
        ] {
            assert_ne!(stem(one, language), stem(other, language), "{one}, {other}");
        }
    }

    #[test]
    fn what_is_no_ending_stays() {
        for (language, word) in [
            (EN, "pelvis"),
            (EN, "virus"),
            (EN, "abscess"),
            (EN, "digitalis"),
            (EN, "nose"),
            (EN, "pus"),
            (DE, "leber"),
            (FR, "toux"),
            (FR, "tous"),
            (ES, "tos"),
            (0, "b12s"),
        ] {
            assert_eq!(stem(word, language), word);
        }
    }
}
