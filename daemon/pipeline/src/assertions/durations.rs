//! How long something has lasted, how often it came, and how bad it is: "for 3 days", "2/52", "x4", "8/10".

use std::collections::HashSet;
use std::ops::Range;
use std::sync::LazyLock;

use super::lexicon::set;
use super::sentence::Sentence;

/// What time is counted in.
static UNITS: LazyLock<HashSet<&'static str>> = LazyLock::new(|| {
    set(&[
        "min, mins, minute, minutes, h, hr, hrs, hour, hours, d, day, days, w, wk, wks, week, weeks, mo, mos, mth, mths, month, months, yr, yrs,
         year, years",
        "stunde, stunden, tag, tage, tagen, woche, wochen, monat, monate, monaten, jahr, jahre, jahren",
        "heure, heures, jour, jours, semaine, semaines, mois, an, ans",
        "hora, horas, dia, dias, semana, semanas, mes, meses, ano, anos",
        "ora, ore, giorno, giorni, settimana, settimane, mese, mesi, anno, anni",
        "uur, dag, dagen, weken, maand, maanden, jaar",
    ])
});
/// Numbers that are words.
static NUMBERS: LazyLock<HashSet<&'static str>> = LazyLock::new(|| {
    set(&[
        "one, two, three, four, five, six, seven, eight, nine, ten, eleven, twelve, few, several, couple, many",
        "zwei, drei, vier, funf, sechs, sieben, acht, neun, zehn, einigen, mehreren, einem, einer",
        "un, une, deux, trois, quatre, cinq, sept, huit, neuf, dix, quelques, plusieurs",
        "una, dos, tres, cuatro, cinco, seis, siete, ocho, varios, varias",
        "due, tre, quattro, cinque, sei, sette, otto, alcuni, alcune",
        "twee, drie, vijf, zes, zeven, enkele, paar, um, uma, dois, duas, quatro, sete, oito",
    ])
});
/// What a length of time that lasts still stands behind.
#[rustfmt::skip]
const SINCE: [&str; 11] = ["x", "for", "seit", "depuis", "desde", "hace", "da", "sinds", "ha", "de", "di"];
/// What time is counted in where it is long ago.
#[rustfmt::skip]
const LONG: [&str; 13] = ["wk", "wks", "week", "weeks", "mo", "mos", "mth", "mths", "month", "months", "yrs", "years", "yr"];
/// How often something came, behind a number.
const TIMES: [&str; 7] = ["times", "mal", "fois", "veces", "volte", "keer", "vezes"];

fn is_number(word: &str) -> bool {
    (1..=3).contains(&word.len()) && word.bytes().all(|byte| byte.is_ascii_digit())
}

/// Whether a word is a number and what it counts: "3d", "2wks".
fn is_counted_unit(word: &str) -> bool {
    let unit = word.trim_start_matches(|c: char| c.is_ascii_digit());
    unit.len() < word.len() && UNITS.contains(unit)
}

/// The days, weeks and months of a time behind a slash: "2/7", "3/52", "4/12".
fn is_fraction(word: &str) -> bool {
    matches!(word, "7" | "24" | "52" | "12")
}

impl Sentence {
    /// Whether a length of time begins here.
    fn is_length(&self, at: usize) -> bool {
        let number = is_number(self.word(at));
        let behind = at + 1 + usize::from(matches!(self.word(at + 1), "-" | "of"));
        is_counted_unit(self.word(at))
            || ((number || NUMBERS.contains(self.word(at))) && UNITS.contains(self.word(behind)))
            || (number && self.word(at + 1) == "/" && is_fraction(self.word(at + 2)))
    }

    /// Whether a colon stands here before a complaint of some days or weeks: "Hx: sore throat 4/7".
    pub(super) fn heads_complaint(&self, colon: usize, mentions: &[Range<usize>]) -> bool {
        let first = mentions.iter().find(|mention| mention.start == colon + 1);
        self.word(colon) == ":"
            && first.is_some_and(|first| {
                let years = |at: usize| matches!(self.word(at).chars().next(), Some('y' | 'j' | 'a'));
                self.is_length(first.end) && !(first.end..first.end + 3).any(years)
            })
    }

    /// Where a length of time begins that ends right before a word: "3 day h/o", "2/7 hx", "24 hr history", "3 weeks ago".
    pub(super) fn length_before(&self, at: usize) -> Option<usize> {
        let mut end = at;
        // "2 days' history", "2 day's history".
        while end > 1 && matches!(self.before(end, 1), "'" | "\u{2019}" | "s" | "-") {
            end -= 1;
        }
        let unit = self.before(end, 1);
        if is_fraction(unit) && self.before(end, 2) == "/" {
            return end.checked_sub(3).filter(|begin| is_number(self.word(*begin)));
        }
        if is_counted_unit(unit) {
            return end.checked_sub(1);
        }
        let dash = usize::from(self.before(end, 2) == "-");
        let before = self.before(end, 2 + dash);
        let counted = is_number(before) || NUMBERS.contains(before);
        // "65 y h/o" is an age, and "65F w h/o" is "with".
        let is_one = match unit {
            "d" | "h" | "w" => counted,
            unit => unit.len() > 1 && UNITS.contains(unit),
        };
        let begin = end.checked_sub(1 + if counted { dash + 1 } else { 0 });
        begin.filter(|_| is_one)
    }

    /// Whether a length of time before a word is one of weeks or months, after which what happened is past.
    pub(super) fn is_long_before(&self, at: usize) -> bool {
        match self.before(at, 1) {
            "52" | "12" => true,
            unit => {
                let unit = unit.trim_start_matches(|c: char| c.is_ascii_digit());
                LONG.contains(&unit)
            }
        }
    }

    /// Whether a length of time that begins here tells since when something is there: "since about 2 weeks ago".
    pub(super) fn tells_since(&self, at: usize) -> bool {
        let about = usize::from(matches!(self.before(at, 1), "about" | "around" | "approximately"));
        matches!(
            self.before(at, 1 + about),
            "since" | "from" | "until" | "till" | "beginning"
        )
    }

    /// Whether a mention stands among these words, and behind it how long it has lasted, how often it came, or how bad it is.
    pub(super) fn is_counted(&self, words: Range<usize>, mentions: &[Range<usize>]) -> bool {
        let begun = mentions.partition_point(|mention| mention.start < words.start);
        let own = mentions
            .iter()
            .skip(begun)
            .take_while(|mention| mention.end <= words.end);
        own.map(|mention| mention.end).max().is_some_and(|at| {
            let (own, next) = (self.word(at), self.word(at + 1));
            let repeated = own.strip_prefix('x').is_some_and(is_number);
            let times = |at: usize| is_number(self.word(at)) && TIMES.contains(&self.word(at + 1));
            let of_ten =
                |at: usize| is_number(self.word(at)) && self.word(at + 1) == "/" && self.word(at + 2) == "10";
            // "Denies tobacco, alcohol for 10 years".
            let lasts = own == "for" && self.word(at + 2).starts_with('y');
            let since = SINCE.contains(&own) && !lasts;
            let from = at + 1 + usize::from(own == "desde" && matches!(next, "hace" | "ha"));
            repeated
                || times(at)
                || (of_ten(at) && self.word(at) != "0")
                || self.is_length(at)
                || (own == "x" && (is_number(next) || NUMBERS.contains(next)))
                || (since && self.is_length(from))
        })
    }
}
