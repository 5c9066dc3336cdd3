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

/// What leaves no doubt that it is still to be done.
#[rustfmt::skip]
const AT_ONCE: [&str; 15] = [
    "sofort", "umgehend", "unverzuglich", "notarzt", "112", "anrufen", "bellen", "meteen", "direct", "onmiddellijk", "spoed", "wv",
    "wiedervorstellung", "wiedervorstellen", "terugkomen",
];
/// How words begin that tell that something comes again or stays, which it has not yet.
#[rustfmt::skip]
const AGAIN: [&str; 14] = [
    "persist", "anhalt", "ausbleib", "erneut", "wiederholt", "fehlend", "zunehm", "aanhoud", "blijvend", "recidief", "rezidiv", "herhaald", "hernieuwd",
    "toenem",
];
/// How adjectives end before what comes.
const INFLECTED: [&str; 6] = ["e", "er", "en", "em", "es", "end"];

impl Sentence {
    /// One past the last word of what may come, where a word for "if" stands before it at the beginning of a clause, and behind it what is to be
    /// done.
    pub(super) fn end_of_case(&self, hit: &Hit, mentions: &[Range<usize>]) -> Option<usize> {
        let from = hit.words.end;
        let before = self.before(hit.words.start, 1);
        let only = ONLY.contains(&before);
        let begins = matches!(before, "" | "." | ";" | "," | ":" | "-" | "\u{2022}" | "(");
        if !(only || begins) {
            return None;
        }
        let again = AGAIN.iter().any(|start| self.word(from).starts_with(start));
        let own = self.named(from, again, mentions)?;
        // "Bei starken Schmerzen Vorstellung" tells of now as well.
        let bare = own.start == from;
        let end = self.end_of_alternatives(own.end, mentions);
        let clause = || {
            let words = (own.end..self.words.len()).take(CLAUSE);
            words.take_while(|at| {
                self.word(*at) != ";" && (self.word(*at) != "." || self.before(*at, 1) == "od")
            })
        };
        let has = |list: &[&str]| clause().any(|at| list.contains(&self.word(at)));
        let comes = COMING.iter().any(|word| self.word(own.start).starts_with(word));
        let next = matches!(self.word(own.end), ":" | ">" | "<" | "\u{2265}");
        let told = next || has(&ORDERS) || (has(&[":"]) && !has(&[","]));
        let drug = self
            .drugs
            .iter()
            .any(|drug| drug.start > from && clause().any(|at| at == drug.start));
        // "Bei Makrohämaturie oder Anämie Angiographie": nobody has one of two.
        let either = end > own.end && (own.end..end).any(|at| matches!(self.word(at), "oder" | "od" | "of"));
        // "Propylthiouracil alleen bij thyreotoxicose".
        let behind_drug =
            hit.words.start > 1 && self.drugs.iter().any(|drug| drug.end + 1 == hit.words.start);
        let is_case = (only && (told || drug || behind_drug || self.ends(end)))
            || (begins && self.planned && either && !self.ends(end))
            || (begins && comes && (told || drug) && (bare || self.planned))
            || (begins && has(&AT_ONCE))
            || (begins && again && self.planned && !self.ends(own.end));
        (is_case && !has(&DONE)).then_some(end)
    }

    /// What is named at a word, or behind one adjective.
    fn named<'a>(&self, from: usize, again: bool, mentions: &'a [Range<usize>]) -> Option<&'a Range<usize>> {
        let word = self.word(from);
        let inflected = word.len() > 3 && INFLECTED.iter().any(|ending| word.ends_with(ending));
        let begins = |at: usize| mentions.iter().find(|mention| mention.start == at);
        begins(from).or_else(|| begins(from + 1).filter(|_| again || inflected))
    }

    /// One past the last of what else may come, that "or" joins: "bei Kopfschmerzen od. zunehmender Lähmung".
    fn end_of_alternatives(&self, from: usize, mentions: &[Range<usize>]) -> usize {
        let mut end = from;
        while matches!(self.word(end), "oder" | "od" | "und" | "of" | "en" | "/") {
            let next = end + 1 + usize::from(self.word(end + 1) == ".");
            let Some(other) = self.named(next, false, mentions) else {
                break;
            };
            end = other.end;
        }
        end
    }
}
