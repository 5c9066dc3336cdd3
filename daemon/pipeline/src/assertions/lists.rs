//! Short lists of words that the rules ask for by themselves, folded.

/// English words that "non" belongs to: "non STEMI", "non compliant".
#[rustfmt::skip]
pub(super) const NON: [&str; 30] = [
    "stemi", "nstemi", "st", "q", "compliant", "compliance", "adherent", "adherence", "smoker", "verbal",
    "ambulatory", "tender", "distended", "obstructive", "specific", "healing", "hodgkin", "hodgkins", "small",
    "ischemic", "ischaemic", "alcoholic", "diabetic", "traumatic", "displaced", "weight", "operative", "toxic",
    "insulin", "pitting",
];
/// Short forms of German and Dutch that are others where nothing tells the language.
#[rustfmt::skip]
pub(super) const UNTOLD: [&str; 2] = [
    "zn", "dd",
];
/// Words of other languages than English that stay what they are in capitals.
#[rustfmt::skip]
pub(super) const CAPITALS: [&str; 13] = [
    "kein", "ohne", "sans", "nega", "geen", "noch", "nein", "atcd", "sin", "nee", "nao", "pas", "sem",
];
/// What a cell of a table may have that answers the one before it.
#[rustfmt::skip]
pub(super) const CELLS: [&str; 29] = [
    "no", "none", "negative", "neg", "n", "nil", "denies", "denied", "absent", "nein", "kein", "keine", "nee",
    "geen", "non", "nao", "aucun", "aucune", "yes", "y", "ja", "j", "oui", "si", "sim", "positive", "pos",
    "present", "negativ",
];
/// Cues of which the place decides whether they are said of what stands behind them, or before them.
#[rustfmt::skip]
pub(super) const BEFORE: [&str; 7] = [
    "unlikely", "less likely", "not likely", "very unlikely", "highly unlikely", "resolved", "healed",
];
/// What goes on behind those.
#[rustfmt::skip]
pub(super) const GIVEN: [&str; 24] = [
    "given", "to", "in", "that", "because", "due", "as", "with", "based", "since", "at", "for", "cause", "source",
    "after", "by", "on", "now", "following", "over", "within", "without", "from", "than",
];
/// What is old and says nothing of what it is named with, or is old and still there to see.
#[rustfmt::skip]
pub(super) const NOT_OLD: [&str; 29] = [
    "man", "woman", "male", "female", "lady", "gentleman", "boy", "girl", "patient", "pt", "age", "x", "films",
    "imaging", "chart", "cxr", "notes", "with", "bruise", "bruises", "bruising", "lacune", "lacunes", "scar",
    "scars", "scarring", "haematoma", "hematoma", "blood",
];
/// What stands before "history of", where that belongs to what was said before it.
#[rustfmt::skip]
pub(super) const HISTORY_OF: [&str; 24] = [
    "or", "nor", "no", "of", "any", "known", "prior", "previous", "past", "significant", "other", "personal",
    "medical", "recent", "a", "the", "and", "oder", "noch", "ou", "ni", "o", "nem", "previa",
];
/// What names nothing between a cue and what it is said of.
#[rustfmt::skip]
pub(super) const FILLING: [&str; 19] = [
    "that", "been", "he", "she", "they", "patient", "pt", "any", "currently", "ever", "the", "is", "was", "a", "an",
    "also", "either", "now", ":",
];
/// What may stand before an item of a list.
#[rustfmt::skip]
pub(super) const SITES: [&str; 14] = [
    "calf", "pedal", "facial", "abdominal", "chest", "neck", "back", "leg", "arm", "ankle", "lower", "upper",
    "extremity", "joint",
];
/// What may stand behind the last item of a list.
#[rustfmt::skip]
pub(super) const ENDING: [&str; 18] = [
    "at", "this", "time", "on", "exam", "examination", "today", "noted", "reported", "present", "now", "currently",
    "seen", "identified", "appreciated", "the", "moment", "recently",
];
/// What begins something new behind a comma, where one mention alone stands there: "no fever, productive cough".
#[rustfmt::skip]
pub(super) const BEGINNING: [&str; 14] = [
    "worsening", "new", "increased", "severe", "persistent", "mild", "moderate", "decreased", "acute",
    "significant", "productive", "hyperdynamic", "recurrent", "diffuse",
];
/// What a number is no year before.
#[rustfmt::skip]
pub(super) const UNITS: [&str; 25] = [
    "mg", "g", "mcg", "ug", "\u{b5}g", "\u{3bc}g", "ml", "l", "iu", "ie", "ui", "u", "units", "unit", "kcal", "cal",
    "h", "hrs", "hr", "%", "x", "kg", "cc", "cm", "mm",
];
