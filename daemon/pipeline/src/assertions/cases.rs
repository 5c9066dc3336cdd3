//! What is to be done where something comes, in German and Dutch, whose words for "if" and "in" are the same: "bei Fieber Arzt rufen", and not "bei
//! Pneumonie Ceftriaxon".

use std::ops::Range;

use super::hits::Hit;
use super::sentence::Sentence;

/// What comes and goes, by how its words begin.
#[rustfmt::skip]
const COMING: [&str; 46] = [
    "fieber", "schmerz", "atemnot", "dyspnoe", "luftnot", "krampf", "unruhe", "ubelkeit", "erbrechen", "angst", "blutung", "nachblutung", "schwindel",
    "brustschmerz", "thoraxschmerz", "juckreiz", "durchfall", "obstipation", "verstopfung", "schlafstorung", "agitation", "agitiertheit", "hypoglykamie",
    "koorts", "pijn", "kortademig", "benauwd", "onrust", "misselijk", "braken", "jeuk", "bloeding", "nabloeding", "duizelig", "diarree", "obstipatie",
    "insult", "buikpijn", "hoofdpijn", "hypo", "kopfschmerz", "schuttelfrost", "suizidal", "synkope", "collaps", "nekstijf",
];
/// What somebody is told to do, or to call.
#[rustfmt::skip]
const ORDERS: [&str; 35] = [
    "arzt", "notarzt", "rufen", "anrufen", "melden", "wiedervorstellung", "vorstellung", "wv", "vorstellen", "wiedervorstellen", "notaufnahme", "rettungsdienst",
    "geben", "gabe", "bellen", "contact", "huisarts", "ha", "hap", "seh", "terug", "terugkomen", "komen", "geven", "112", "spoed", "beoordelen", "innemen",
    "bedarf", "einnehmen", "ambulance", "sofort", "verlegung", "direct", "meteen",
];
/// What was done.
#[rustfmt::skip]
const DONE: [&str; 24] = [
    "gegeben", "erhalten", "bekam", "erhielt", "erfolgte", "erfolgt", "wurde", "wurden", "begonnen", "nun", "seit", "gekregen", "kreeg", "gegeven", "werd",
    "gestart", "nu", "sinds", "wegen", "aufgrund", "ist", "war", "hat", "heeft",
];
/// What stands before, where nothing else does.
const ONLY: [&str; 7] = ["nur", "alleen", "slechts", "erst", "pas", "max", "maximaal"];
/// Words of a clause that are looked through.
const CLAUSE: usize = 10;

impl Sentence {
    /// Whether a word for "if" stands at the beginning of a clause before what may come, and behind that what is to be done.
    pub(super) fn is_case(&self, hit: &Hit, mentions: &[Range<usize>]) -> bool {
        let before = self.before(hit.words.start, 1);
        let only = ONLY.contains(&before);
        let begins = matches!(before, "" | "." | ";" | "," | ":" | "-" | "\u{2022}" | "(");
        let own = mentions.iter().find(|mention| mention.start == hit.words.end);
        let Some(own) = own.filter(|_| {
            let comes = || {
                COMING
                    .iter()
                    .any(|word| self.word(hit.words.end).starts_with(word))
            };
            only || (begins && comes())
        }) else {
            return false;
        };
        let clause = || {
            let words = (own.end..self.words.len()).take(CLAUSE);
            words.take_while(|at| !matches!(self.word(*at), "." | ";"))
        };
        let next = self.word(own.end);
        let told = matches!(next, ":" | ">" | "<" | "\u{2265}")
            || clause().any(|at| ORDERS.contains(&self.word(at)));
        let drug = self
            .drugs
            .iter()
            .any(|drug| drug.start > hit.words.end && clause().any(|at| at == drug.start));
        let done = clause().any(|at| DONE.contains(&self.word(at)));
        !done && (told || drug || (only && self.ends(own.end)))
    }
}
