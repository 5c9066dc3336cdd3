//! Words that name a person or a place and not what they would mean elsewhere: "Dr. Graves", "Mrs Anna Burns", "Last name: Hand",
//! "Flint, MI 48501".

use super::words::{Words, is_in_capitals};

/// What stands before a name, as it is written.
const TITLES: [&str; 16] = [
    "Dr", "Mr", "Mrs", "Ms", "Miss", "Prof", "Herr", "Frau", "Mme", "Mlle", "Sra", "Srta", "Dott", "Sig",
    "Dhr", "Mevr",
];
/// Initials of a name at most.
const INITIALS: usize = 2;
/// What a field that holds a person's name alone is called, folded, before its colon.
const FIELDS: [&str; 22] = [
    "surname",
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
const FIELDS_OF_TWO: [(&str, &[&str]); 2] = [
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
    })
}

/// The name behind a title.
fn named(words: &Words<'_>, title: usize) -> Option<(usize, usize)> {
    if !TITLES.contains(&words.written_as(title)) {
        return None;
    }
    let mut first = behind_point(words, title + 1);
    for _ in 0..INITIALS {
        let initial = words.written_as(first);
        if initial.chars().count() == 1 && initial.starts_with(char::is_uppercase) {
            first = behind_point(words, first + 1);
        }
    }
    let is_name =
        |at: usize| is_name(words.written_as(at)) && words.words.get(at).is_some_and(|word| word.follows);
    if !is_name(first) {
        return None;
    }
    // "Mr Jones Asthma review": a second name has nothing more behind it.
    let second = first + 1;
    let ends = |at: usize| {
        let behind = words.words.get(at);
        behind.is_none_or(|word| !word.follows)
            || words.written_as(at).starts_with(|c: char| !c.is_alphanumeric())
    };
    let last = if is_name(second) && ends(second + 1) {
        second
    } else {
        first
    };
    Some((first, last))
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
        let is_initial = written.chars().count() == 1 && written.starts_with(char::is_uppercase);
        let word = words.words.get(at)?;
        if !word.follows || word.begins_line {
            break;
        }
        match written {
            "," if !comma => comma = true,
            "." => {}
            _ if is_initial || is_name(written) => last = Some(at),
            _ => break,
        }
    }
    Some((colon + 1, last?))
}

/// The word at a place, or the one behind it where that is a full stop.
fn behind_point(words: &Words<'_>, at: usize) -> usize {
    at + usize::from(words.written_as(at) == ".")
}

/// Whether a word is written as names are: a capital letter and small ones.
fn is_name(word: &str) -> bool {
    word.starts_with(char::is_uppercase) && !is_in_capitals(word)
}

/// Michigan, between a comma and a code of five digits.
fn state(words: &Words<'_>, at: usize) -> Option<(usize, usize)> {
    let code = words.written_as(at + 1);
    let is_state = words.written_as(at) == "MI"
        && at
            .checked_sub(1)
            .is_some_and(|before| words.written_as(before) == ",")
        && code.len() == 5
        && code.bytes().all(|c| c.is_ascii_digit());
    is_state.then_some((at, at))
}
