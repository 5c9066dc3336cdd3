//! Which of seven languages a text is in, by its commonest words; and words as they are compared: small letters without accents, and without
//! the endings of their language.
#![forbid(unsafe_code)]

mod folding;
mod stems;

use std::collections::HashMap;
use std::ops::Range;
use std::sync::LazyLock;

pub use folding::{fold, is_part, letters, push_without_accent, words};
pub use stems::stem;

/// Languages as bits of a number.
pub type Languages = u16;
/// English.
pub const EN: Languages = 1;
/// German.
pub const DE: Languages = 1 << 1;
/// French.
pub const FR: Languages = 1 << 2;
/// Spanish.
pub const ES: Languages = 1 << 3;
/// Italian.
pub const IT: Languages = 1 << 4;
/// Dutch.
pub const NL: Languages = 1 << 5;
/// Portuguese.
pub const PT: Languages = 1 << 6;
/// Those whose adjectives stand before what they are said of, and not behind.
pub const GERMANIC: Languages = EN | DE | NL;
/// All of them.
pub const ALL: Languages = (1 << CODES.len()) - 1;

/// By their codes of ISO 639-1, in the order of their bits.
pub const CODES: [&str; 7] = ["en", "de", "fr", "es", "it", "nl", "pt"];

/// Bytes of a text that its language is told from.
const TOLD_FROM: usize = 16 << 10;
/// Words that tell a language, often there and in few others.
const TELLING: [(Languages, &str); 7] = [
    (
        EN,
        "the, of, and, with, was, were, is, for, on, at, has, had, she, he, to, no, not, without, patient, pt, denies, history, this, her, his,
         as, do, but, by, from, or, if, are, been, be, have, who, which, given, during, after, these, that, they, there, per",
    ),
    (
        DE,
        "der, die, das, und, mit, ist, im, bei, des, dem, den, ein, eine, einer, nicht, keine, kein, wurde, zur, zum, auf, seit, patientin, nach, ohne",
    ),
    (
        FR,
        "le, la, les, des, du, et, est, une, un, dans, avec, pas, pour, sans, sur, au, aux, patiente, chez, depuis, d, l, il, elle, ou, de, ni, ans, ne, qui, ce, sont, ete, ses, cas, non",
    ),
    (
        ES,
        "el, la, los, las, del, y, con, que, una, un, se, por, sin, paciente, al, en, de, niega, presenta, su, es, desde, hace, refiere, ni, tiene, ha, han, fue, hay, muy, pero, no, si",
    ),
    (
        IT,
        "il, la, di, del, della, e, con, che, una, un, per, non, paziente, al, da, dei, nel, alla, si, senza, nega, anni, dal, ha, se, no, ne",
    ),
    (
        NL,
        "de, het, een, van, en, met, is, op, bij, geen, niet, voor, te, dat, zijn, patiente, wordt, sinds, werd, aan, naar, uit, jaar, heeft",
    ),
    (
        PT,
        "o, os, as, do, da, e, com, que, uma, um, se, por, sem, doente, paciente, ao, em, de, nega, apresenta, nao, ha, desde, na, no",
    ),
];

/// Words that are said often and in few languages, too, though not in every text: they tell it beside the names of one where those above do not.
#[rustfmt::skip]
const HINTING: [(Languages, &str); 11] = [
    (
        EN,
        "ago, any, both, closed, daily, day, days, every, exam, following, high, known, left, low, lower, meds, month, months, more, new, night, noted, now,
         old, only, previous, prior, right, seen, shows, since, some, started, stopped, tablets, takes, taking, than, then, today, twice, under, upper, very,
         weeks, well, year, years, yesterday",
    ),
    (
        DE,
        "abends, beidseits, bekannt, bekannte, bekannter, bekanntes, gestern, heute, jahr, jahre, jahren, monat, monate, monaten, morgens, tage, tagen, taglich,
         uber, unauffallig, unter, vor, woche, wochen",
    ),
    (
        FR,
        "apres, avant, droit, droite, gauche, hier, jour, jours, matin, mois, semaine, semaines, soir, sous, traitement",
    ),
    (
        ES,
        "ayer, dcha, dcho, derecha, derecho, hoy, izq, izquierda, izquierdo, tratamiento",
    ),
    (
        IT,
        "anche, anno, degli, delle, dello, destra, destro, dopo, giorni, giorno, ieri, mese, mesi, nella, oggi, pregresso, settimana, settimane, sinistra,
         sinistro, sono",
    ),
    (
        NL,
        "bekend, dag, dagen, gisteren, jaren, maand, maanden, nog, onder, ook, tijdens, vandaag, weken",
    ),
    (
        PT,
        "direita, direito, esquerda, esquerdo, hoje, medicada, medicado, ontem, tratamento",
    ),
    (DE | NL, "links, rechts"),
    (ES | PT, "ambos, anos, antecedentes, cada, dia, dias, meses, semana, semanas"),
    (ES | IT | PT, "terapia"),
    (EN | NL, "week"),
];

/// Words that several languages say no with: alone they tell none of them, and names tell better, "No fiebre, no tos".
const SHARED: [&str; 3] = ["no", "non", "si"];
/// Says of the languages that a word tells of that it is one of those.
const IS_SHARED: Languages = 1 << 15;

/// How often words told of each language.
#[derive(Clone, Copy, Default)]
pub struct Telling {
    all: [usize; CODES.len()],
    /// How often words did that others share.
    shared: [usize; CODES.len()],
}

impl Telling {
    /// Notes words that tell of these languages.
    pub fn note(&mut self, told: Languages, words: usize) {
        let is_shared = usize::from(told & IS_SHARED != 0);
        let counts = self.all.iter_mut().zip(&mut self.shared).enumerate();
        for (language, (count, shared)) in counts {
            let words = words * usize::from(told >> language & 1 == 1);
            *count += words;
            *shared += words * is_shared;
        }
    }

    /// The languages that were told most often; `None` where none was.
    pub fn most(&self) -> Option<Languages> {
        most(&self.all)
    }

    /// Whether another language than these was told, and more than twice as often.
    pub fn rather_than(&self, languages: Languages) -> bool {
        let most = |of: &dyn Fn(usize) -> bool| {
            let counts = self.all.iter().enumerate().filter(|(language, _)| of(*language));
            counts.map(|(_, count)| *count).max().unwrap_or(0)
        };
        let own = most(&|language| languages >> language & 1 == 1);
        most(&|_| true) > 2 * own
    }

    /// The languages that were told most often; `None` where too few words told any, or too many of them are shared to choose by.
    pub fn languages(&self) -> Option<Languages> {
        let told = self.enough()?;
        if told.count_ones() == 1 {
            return Some(told);
        }
        let mut own = self.all;
        own.iter_mut()
            .zip(self.shared)
            .for_each(|(all, shared)| *all -= shared);
        // "No cough, no SOB, denies pain" is English: only there do so few words tell anything else.
        let are_enough = own.iter().any(|count| *count >= 3);
        most(&own).filter(|own| *own == told || *own == EN || (are_enough && own.count_ones() == 1))
    }

    /// The same, with all that share those words where nothing else chooses among them.
    fn enough(&self) -> Option<Languages> {
        let enough = self.all.iter().any(|count| *count >= 3);
        self.most().filter(|_| enough)
    }
}

/// The languages that have most, or nearly so.
fn most(counts: &[usize]) -> Option<Languages> {
    let most = counts.iter().copied().max().filter(|most| *most > 0)?;
    let among = counts.iter().enumerate();
    let among = among.filter(|(_, count)| **count * 3 >= most * 2);
    Some(among.fold(0, |all, (language, _)| all | 1 << language))
}

/// The languages that a text may be in, by the words that tell them; all where too few do.
pub fn languages(text: &str) -> Languages {
    let mut telling = Telling::default();
    let mut folded = String::new();
    for word in words(text).take_while(|word| word.start < TOLD_FROM) {
        folded.clear();
        fold(text.get(word.clone()).unwrap_or_default(), &mut folded);
        telling.note(told_by(text, &word, &folded), 1);
    }
    telling.languages().or(telling.enough()).unwrap_or(ALL)
}

/// What English notes abbreviate with a slash: "c/o" has no Portuguese article. By the letter behind it, that before.
const SLASHED: [(&str, &str); 4] = [("o", "chwry"), ("p", "sp"), ("l", "b"), ("u", "f")];

/// Short forms that are words of other languages: side effects, headache, the left eye, both of them. In capitals they tell nothing, not even where
/// all of a line is in capitals.
const CAPITALS: [&str; 4] = ["SE", "HA", "OS", "OU"];
/// Bytes of a word's line, on each side, in which a small letter says that capitals are a short form's: bounded, lest a line is looked through for each of
/// its words.
const NEAR: usize = 160;
/// What stands behind a number of weeks, "32 sem", and not behind what is missing.
const BEHIND_WEEKS: [&str; 7] = ["de", "con", "com", "y", "e", "h\u{e1}", "desde"];

/// The languages that a word of a text, `folded`, tells of. A single letter tells where it can be an article, a pronoun or "and": small, between
/// spaces, or before an apostrophe; and not in "L ankle", "DM, HTN: Y" or "c/o".
pub fn told_by(text: &str, word: &Range<usize>, folded: &str) -> Languages {
    let mut letters = folded.chars();
    if let (Some(letter), None) = (letters.next(), letters.next()) {
        let mut before = text.get(..word.start).unwrap_or_default().chars().rev();
        let behind = text.get(word.end..).and_then(|behind| behind.chars().next());
        let last = before.next();
        if last == Some('/') {
            let first = before.next().map(|c| c.to_ascii_lowercase());
            let is_free = !before.next().is_some_and(char::is_alphanumeric) && behind != Some('/');
            let known = SLASHED.iter().find(|(own, _)| *own == folded);
            let is_known = known
                .zip(first)
                .is_some_and(|((_, own), first)| own.contains(first));
            return if is_free && is_known { EN } else { 0 };
        }
        let elides = matches!(behind, Some('\'' | '\u{2019}'));
        let stands_free = text
            .get(word.clone())
            .is_some_and(|own| own.starts_with(char::is_lowercase))
            && last.is_none_or(char::is_whitespace)
            && behind.is_none_or(char::is_whitespace);
        let tells = if matches!(letter, 'd' | 'l') {
            elides
        } else {
            stands_free
        };
        if !tells {
            return 0;
        }
    }
    let own = text.get(word.clone()).unwrap_or_default();
    let before = text.get(..word.start).unwrap_or_default();
    let behind = text.get(word.end..).unwrap_or_default();
    let told = told_among(folded, own, before, behind);
    // "IM", "LE", "EN feeds": a word in capitals among small letters is a short form.
    let is_short_form = |own: &str| {
        own.len() > 1
            && !own.contains(char::is_lowercase)
            && (CAPITALS.contains(&own) || is_near_small(before, behind))
    };
    if told == 0 || is_short_form(own) { 0 } else { told }
}

/// What a word tells between what stands before and behind it.
fn told_among(folded: &str, own: &str, before: &str, behind: &str) -> Languages {
    match folded {
        "non" if behind.starts_with(['-', '\u{2011}']) => 0,
        "si" if own.contains(['\u{ed}', '\u{cd}']) => ES,
        "si" if own.contains(['\u{ec}', '\u{cc}']) => IT,
        "sem" if is_of_weeks(before, behind) => 0,
        // The left side, "Gonarthrosis sin."
        "sin" if behind.starts_with('.') => 0,
        _ => known(folded),
    }
}

/// Whether a small letter stands in the line between these, not far away.
fn is_near_small(before: &str, behind: &str) -> bool {
    let from = before.ceil_char_boundary(before.len().saturating_sub(NEAR));
    let to = behind.floor_char_boundary(NEAR);
    let before = before.get(from..).unwrap_or_default();
    let behind = behind.get(..to).unwrap_or_default();
    let sides = [before.rsplit('\n').next(), behind.split('\n').next()];
    sides
        .iter()
        .flatten()
        .any(|side| side.contains(char::is_lowercase))
}

/// Whether "sem" counts weeks, between these.
fn is_of_weeks(before: &str, behind: &str) -> bool {
    let counted = before.trim_end().ends_with(|c: char| c.is_ascii_digit());
    let behind = behind.trim_start_matches([' ', '\t']);
    let next = behind
        .split(|c: char| !c.is_alphanumeric())
        .next()
        .unwrap_or_default();
    counted && (next.is_empty() || BEHIND_WEEKS.contains(&next))
}

/// The languages that a word, folded, hints at.
pub fn hinted_by(word: &str) -> Languages {
    static WORDS: LazyLock<HashMap<&'static str, Languages>> = LazyLock::new(|| by_word(&HINTING));
    WORDS.get(word).copied().unwrap_or(0)
}

fn known(word: &str) -> Languages {
    static WORDS: LazyLock<HashMap<&'static str, Languages>> = LazyLock::new(|| {
        let mut all = by_word(&TELLING);
        for word in SHARED {
            *all.entry(word).or_default() |= IS_SHARED;
        }
        all
    });
    WORDS.get(word).copied().unwrap_or(0)
}

/// The languages of each word of some lists.
fn by_word(lists: &[(Languages, &'static str)]) -> HashMap<&'static str, Languages> {
    let mut all = HashMap::new();
    for (language, list) in lists {
        for word in list.split(',').map(str::trim) {
            *all.entry(word).or_default() |= language;
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_notes_are_in_the_language_that_they_are_written_in() {
        for (text, language) in [
            ("c/o cough, h/o asthma. No fever. Denies pain.", EN),
            (
                "62F c/o HA x 2d. H/o HTN, DM2. No fever, no neck stiffness. No focal deficits. A/P: migraine.",
                EN,
            ),
            (
                "45M c/o CP x2h. H/o CAD, HTN, h/o PE. No SOB, no diaphoresis. No edema.",
                EN,
            ),
            ("Ext w/o edema. Abd w/o guarding. Chest w/o wheeze.", EN),
            ("Gonarthrosis sin., Ulcus cruris sin., Lumboischialgie sin.", ALL),
            ("Acude sin fiebre, sin tos, sin disnea.", ES),
            (
                "34M w/ L ankle pain after fall. XR L ankle: no fx. L knee is fine.",
                EN,
            ),
            ("No fever, no cough. No SOB.", EN | ES | IT | PT),
            ("No fever, no cough. No SOB. Denies pain.", EN),
            ("No fiebre, no tos, no disnea.", EN | ES | IT | PT),
            ("Febbre: no\nTosse: no\nVomito: no", EN | ES | IT | PT),
            ("Fi\u{e8}vre : non\nToux : non\nDyspn\u{e9}e : non", FR | IT),
            ("The side effects of both: SE none, HA none. SE and HA.", EN),
            (
                "Se peggiora o se compare febbre, torni. Dimessa con terapia.",
                ES | IT | PT,
            ),
            ("Fever: Y\nMI: Y\nHTN: Y\nSeizures: N", ALL),
            (
                "Abd: non-tender, non-distended, no masses. No edema. Non-focal neuro. Was seen.",
                EN,
            ),
            ("Bilateral LE edema, LE cellulitis, LE ulcers on the left.", ALL),
            (
                "VA OD 20/40 OS CF. IOP 14/32. RAPD OS. AMD OD, BRVO OS, POAG OU, presbyopia OU. RD OS.",
                ALL,
            ),
            ("DX: CATARACT OS, PTOSIS OS, ERM OS, POAG OU.", ALL),
            ("PACIENTE CON FIEBRE Y TOS DESDE AYER, SIN DISNEA", ES),
            ("Started on EN feeds at noon, EN held for 2 h, EN at 20.", EN),
            ("HTA: s\u{ed}\nAsma: s\u{ed}. Tos: s\u{ed}", ES),
            ("Tos de 2 sem, fiebre 3 sem, disnea 4 sem.", ALL),
            (
                "Gait normal, no ataxia, w/o nystagmus. Ext: no c/c/e. Do not drive.",
                EN,
            ),
            (
                "L'électrocardiogramme n'a pas d'anomalie, l\u{2019}examen est normal",
                FR,
            ),
            (
                "O doente refere tosse e dispneia. Nega febre. Sem edema na perna.",
                PT,
            ),
            (
                "Paciente con tos y fiebre desde hace dos d\u{ed}as. Niega dolor.",
                ES,
            ),
            (
                "Il paziente \u{e8} vigile e orientato. Non febbre. Nega dolore.",
                IT,
            ),
        ] {
            assert_eq!(languages(text), language, "{text}");
        }
    }

    #[test]
    fn what_several_languages_say_no_with_chooses_none_of_them() {
        let told = |text: &str| {
            let mut telling = Telling::default();
            let mut folded = String::new();
            for word in words(text) {
                folded.clear();
                fold(&text[word.clone()], &mut folded);
                telling.note(told_by(text, &word, &folded), 1);
            }
            telling.languages()
        };
        for text in [
            "No fiebre, no tos, no disnea.",
            "No fever, no cough, no SOB, rash per mom.",
            "Non febbre, non tosse, non dispnea",
        ] {
            assert_eq!(told(text), None, "{text}");
        }
        assert_eq!(told("No fever, no cough. No SOB. Denies pain."), Some(EN));
        assert_eq!(
            told("Paciente con fiebre, niega tos. No disnea, no disuria."),
            Some(ES)
        );
    }
}
