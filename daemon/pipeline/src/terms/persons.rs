//! Words that name a person or a place and not what they would mean elsewhere: "Dr. Graves", "Mrs Anna Burns", "Last name: Hand",
//! "Flint, MI 48501".

use super::words::{Words, is_in_capitals};

/// What stands before a name, as it is written.
#[rustfmt::skip]
const TITLES: &[&str] = &[
    "Dr", "Pr", "prof", "mevr", "Enf", "Mr", "Mrs", "Ms", "Miss", "Prof", "Herr", "Herrn", "Hr", "Frau", "Mme", "Mlle", "Madame", "Monsieur", "Dra", "Sr", "Sra", "Srta",
    "Señor", "Señora", "Senhor", "Senhora", "Dott", "Sig", "Signor", "Signora", "Dhr", "dhr", "Mevr", "Mw", "mw", "Mevrouw", "mevrouw",
    "Meneer", "meneer", "dott", "sig", "dottor", "dottore", "dottoressa", "signor", "signora", "Docteur", "docteur", "Doctor", "doctora", "Doutor", "doutor",
    "doutora", "Infermiera", "infermiera", "infermiere", "enfermera", "enfermero", "enfermeira", "enfermeiro", "infirmière", "infirmier",
    "Verpleegkundige", "verpleegkundige",
];
/// What stands before one as well, but for what else is written so: a size in French, "the lord".
const DOUBTFUL: [&str; 2] = ["Fr", "heer"];
/// Bytes of titles that are cut short, and have a point; and those that are not.
const SHORT: usize = 4;
const WHOLE: [&str; 4] = ["Miss", "Herr", "Frau", "heer"];
/// What a title goes on with: "Dr. med.", "Dott.ssa", "Sig.ra".
const ENDINGS: [(&str, &[&str]); 6] = [
    ("Dr", &["med", "in"]),
    ("Dott", &["ssa"]),
    ("dott", &["ssa"]),
    ("Prof", &["ssa"]),
    ("Sig", &["ra", "na"]),
    ("sig", &["ra", "na"]),
];
/// Surnames that are names of diseases, drugs and parts of bodies as well.
#[rustfmt::skip]
const SURNAMES: &[&str] = &[
    "Addison", "Back", "Becker", "Been", "Bell", "Bocca", "Burns", "Cabeza", "Cheek", "Chin", "Coeur", "Crohn", "Cuello", "Cushing", "Dolores",
    "Foot", "Graves", "Hals", "Hand", "Head", "Heart", "Herz", "Hodgkin", "Huntington", "Krebs", "Legg", "Long", "Moles", "Paget", "Palm",
    "Palms", "Parkinson", "Peito", "Seno", "Shin", "Testa", "Wilson",
];
/// What stands behind the name of somebody who works here.
#[rustfmt::skip]
const CREDENTIALS: [&str; 12] = ["MD", "GP", "RN", "PA", "NP", "DO", "PhD", "DPM", "DDS", "RPh", "PharmD", "FRCS"];
/// Initials of a name at most.
const INITIALS: usize = 2;
/// What a field that holds a person's name alone is called, folded, before its colon.
const FIELDS: [&str; 26] = [
    "betreuer",
    "betreuerin",
    "mantelzorger",
    "surname",
    "pcp",
    "attending",
    "surgeon",
    "assistant",
    "anesthesiologist",
    "anaesthetist",
    "physician",
    "provider",
    "author",
    "consultant",
    "nachname",
    "vorname",
    "operateur",
    "prenom",
    "medecin",
    "chirurgien",
    "apellidos",
    "cirujano",
    "cognome",
    "achternaam",
    "chirurg",
    "apelido",
];
/// The last of two words that one is called; drugs have names, too, and pain is eased by something.
const FIELDS_OF_TWO: [(&str, &[&str]); 3] = [
    ("kin", &["of"]),
    (
        "name",
        &["patient", "pt", "last", "first", "full", "family", "given"],
    ),
    (
        "by",
        &[
            "signed",
            "dictated",
            "performed",
            "seen",
            "reviewed",
            "written",
            "documented",
            "transcribed",
            "reported",
            "authenticated",
        ],
    ),
];
/// Names, initials and what stands between them in such a field at most.
const MOST_IN_FIELD: usize = 6;

/// From which to which word a person or place is named, its title left out.
pub(super) fn persons<'a>(words: &'a Words<'_>) -> impl Iterator<Item = (usize, usize)> + 'a {
    (0..words.words.len()).filter_map(|at| {
        named(words, at)
            .or_else(|| field(words, at))
            .or_else(|| state(words, at))
            .or_else(|| category(words, at))
    })
}

/// The name behind a title.
fn named(words: &Words<'_>, title: usize) -> Option<(usize, usize)> {
    let own = words.written_as(title);
    if !(TITLES.contains(&own) || DOUBTFUL.contains(&own) && is_title(words, title)) {
        return None;
    }
    // "Gesproken met mevrouw. Pneumonie": no point stands behind a whole word.
    let is_cut = own.len() <= SHORT && !WHOLE.contains(&own);
    let mut first = match is_cut {
        true => behind_point(words, title + 1),
        false => title + 1,
    };
    let ending = ENDINGS.iter().find(|(of, _)| *of == own);
    if ending.is_some_and(|(_, endings)| endings.contains(&words.written_as(first))) {
        first = behind_point(words, first + 1);
    }
    let begin = first;
    let first = behind_initials(words, first);
    let follows = |at: usize| words.words.get(at).is_some_and(|word| word.follows);
    let is_name = |at: usize| is_name(words.written_as(at)) && follows(at);
    if !is_name(first) {
        // "Dr K", and no potassium.
        return (first > begin && follows(begin)).then_some((begin, begin));
    }
    // "Mr Jones Asthma review", "Ms. White Anemia, CKD": a second word is a name where it is known as one, or looks like one.
    let second = behind_initials(words, first + 1);
    let ends = |at: usize| !follows(at) || words.written_as(at).starts_with(|c: char| !c.is_alphanumeric());
    let works = |at: usize| {
        let behind = at + usize::from(words.written_as(at) == ",");
        follows(behind) && CREDENTIALS.contains(&words.written_as(behind))
    };
    let is_second = is_name(second)
        // An initial and its point: "Anna B. Hand", and not "Jones A Fib".
        && (second > first + 2
            || works(second + 1)
            || (ends(second + 1) && SURNAMES.contains(&words.written_as(second))));
    Some((begin, if is_second { second } else { first }))
}

/// The word behind the initials that stand at a place.
fn behind_initials(words: &Words<'_>, mut at: usize) -> usize {
    for _ in 0..INITIALS {
        if is_initial(words.written_as(at)) {
            at = behind_point(words, at + 1);
        }
    }
    at
}

/// Whether a word is a title here: "Fr. Krebs" and no "16 Fr."; "de heer Hand".
fn is_title(words: &Words<'_>, at: usize) -> bool {
    let before = at.checked_sub(1).map_or("", |before| words.written_as(before));
    match words.written_as(at) {
        "heer" => matches!(before, "De" | "de"),
        _ => words.written_as(at + 1) == "." && !before.ends_with(|c: char| c.is_ascii_digit()),
    }
}

/// The name in a field for names: "Surgeon: William A. Payne", "Patient name: Hand, Lisa".
fn field(words: &Words<'_>, colon: usize) -> Option<(usize, usize)> {
    let before = colon.checked_sub(1).filter(|_| words.written_as(colon) == ":")?;
    let own = words.word(before);
    let of_two = || {
        let first = before.checked_sub(1).map(|first| words.word(first))?;
        FIELDS_OF_TWO
            .iter()
            .find(|(last, firsts)| *last == own && firsts.contains(&first))
    };
    if !FIELDS.contains(&own) && of_two().is_none() {
        return None;
    }
    let (mut last, mut comma) = (None, false);
    for at in (colon + 1..words.words.len()).take(MOST_IN_FIELD) {
        let written = words.written_as(at);
        let word = words.words.get(at)?;
        if !word.follows || word.begins_line {
            break;
        }
        match written {
            "," if !comma => comma = true,
            // An initial's, or a title's; any other ends the field.
            "." if is_short(words.written_as(at - 1)) => {}
            _ if is_initial(written) || is_name(written) => last = Some(at),
            _ => break,
        }
    }
    // "Patient name: John Smith Asthma: yes"
    let last = last?;
    let last = last - usize::from(words.written_as(last + 1) == ":");
    // "PCP: Jones" is no pneumonia.
    let first = if own == "pcp" { before } else { colon + 1 };
    (last > colon).then_some((first, last))
}

/// Whether a word is one capital letter.
fn is_initial(word: &str) -> bool {
    word.chars().count() == 1 && word.starts_with(char::is_uppercase)
}

/// Whether a word is an initial or a title.
fn is_short(word: &str) -> bool {
    word.chars().count() == 1 || TITLES.contains(&word)
}

/// The word at a place, or the one behind it where that is a full stop.
fn behind_point(words: &Words<'_>, at: usize) -> usize {
    at + usize::from(words.written_as(at) == ".")
}

/// Whether a word is written as names are: a capital letter and small ones.
fn is_name(word: &str) -> bool {
    word.starts_with(char::is_uppercase) && !is_in_capitals(word)
}

/// "(HCC)", by which a record's system says that a diagnosis counts, and no carcinoma.
fn category(words: &Words<'_>, at: usize) -> Option<(usize, usize)> {
    let bracketed = at > 1
        && words.written_as(at - 1) == "("
        && words.written_as(at + 1) == ")"
        && words.written_as(at) == "HCC";
    let of_liver = |at: usize| {
        let word = words.word(at);
        word.starts_with("hepato") || word.starts_with("carcinom") || word.starts_with("karzinom")
    };
    (bracketed && !of_liver(at - 2) && !at.checked_sub(3).is_some_and(of_liver)).then_some((at, at))
}

/// Michigan, between a comma and a code of five digits.
fn state(words: &Words<'_>, at: usize) -> Option<(usize, usize)> {
    let code = words.written_as(at + 1);
    let is_state = words.written_as(at) == "MI"
        && at
            .checked_sub(1)
            .is_some_and(|before| words.written_as(before) == ",")
        // A city, and no "s/p CABG, MI 10012".
        && at.checked_sub(2).is_some_and(|city| is_name(words.written_as(city)))
        && code.len() == 5
        && code.bytes().all(|c| c.is_ascii_digit());
    is_state.then_some((at, at))
}

#[cfg(test)]
mod tests {
    use super::super::{Term, Terms, find};

    /// How many names of a list a text has.
    fn found(text: &str) -> usize {
        let mut terms = Terms::default();
        for name in [
            "asthma",
            "gout",
            "anemia",
            "hypertension",
            "burns",
            "Krebs",
            "Herz",
            "asma",
            "bocca",
            "MI",
            "Graves",
            "hand",
            "K",
        ] {
            let label = "Disease";
            let term = Term {
                name,
                label,
                ..Term::default()
            };
            terms.add(term).unwrap();
        }
        find(text, &[&terms]).names.len()
    }

    #[test]
    fn titles_of_all_languages_stand_before_names() {
        for text in [
            "Hr. Krebs",
            "Herrn Krebs",
            "Fr. Krebs",
            "Dr. med. Krebs",
            "Prof. Dr. med. Herz",
            "Mw. Hand",
            "mevrouw Hand",
            "De heer Hand",
            "de heer Hand",
            "Madame Asthma",
            "Monsieur Herz",
            "Dra. Asma",
            "Sr. Asma",
            "Se\u{f1}ora Asma",
            "Senhora Asma",
            "Signora Bocca",
            "Dott.ssa Bocca",
            "Sig.ra Bocca",
            "Sig. Bocca",
            "dott. Bocca",
            "sig.ra Bocca",
            "Le docteur Herz",
            "infermiera Bocca",
            "verpleegkundige Hand",
            "Next of kin: Graves",
            "Betreuer: Herz",
            "Mrs Anna B. Hand",
            "Mrs Anna Burns, MD",
            "Dr. Anna Gout MD",
            "Dr. Anna Graves.",
            "Seen by Dr K today",
            "Seen by Dr K. If worse, return.",
            "Seen by Dr. K.",
        ] {
            assert_eq!(found(text), 0, "{text}");
        }
    }

    #[test]
    fn what_stands_behind_a_name_is_found() {
        for (text, count) in [
            ("Ms. Jones Asthma\nMr. Fox Gout", 2),
            ("Mrs Jones Hypertension.", 1),
            ("Ms. White Anemia, CKD.", 1),
            ("Ms. White Anemia, gout", 2),
            ("16 Fr. Asthma", 1),
            ("Gesproken met mevrouw. Asthma besproken", 1),
            ("Vista por la doctora. Asma estable", 1),
            ("Fr Asthma", 1),
            ("Mr Jones Burns to both arms", 1),
            ("Mr Jones A Gout", 1),
            ("s/p CABG, MI 10012", 1),
            ("lives in Flint, MI 48501", 0),
            ("Dr Fox: K 3.1", 1),
            ("told the Dr\nK 3.1", 1),
        ] {
            assert_eq!(found(text), count, "{text}");
        }
    }
}
