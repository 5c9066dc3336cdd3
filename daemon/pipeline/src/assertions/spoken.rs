//! Full stops and new lines that are words, in dictation that nobody has punctuated: "no fever full stop", "geen koorts punt".

use super::sentence::folded;

use crate::folding::words;
use crate::languages::{ALL, DE, EN, ES, FR, IT, Languages, NL, PT};

/// Full stops and new lines as they are dictated, which are nothing else.
#[rustfmt::skip]
const STOPS: &[&str] = &[
    "full stop", "new paragraph", "next paragraph", "neue zeile", "neuer absatz", "nachste zeile", "point a la ligne", "punto y aparte",
    "punto y seguido", "punto e a capo", "punto a capo", "nieuwe regel", "nieuwe alinea", "ponto final", "ponto paragrafo",
];
/// The same, where they may be something else.
const NOUNS: &[(Languages, &[&str])] = &[
    (EN, &["period", "new line", "next line"]),
    (DE, &["punkt", "absatz"]),
    (FR, &["point", "a la ligne"]),
    (ES, &["punto", "punto final"]),
    (IT, &["punto", "a capo"]),
    (NL, &["punt"]),
    (PT, &["ponto", "paragrafo", "nova linha"]),
];

/// Bytes of such words, at most.
const LONGEST: usize = 24;

/// Which of them a text has.
#[derive(Clone, Copy, Default)]
pub(super) struct Dictation {
    /// Those that are nothing else.
    stops: bool,
    /// The languages in which those are full stops that may be something else: they come often, and full stops that are written do not.
    nouns: Languages,
}

impl Dictation {
    /// Takes time linear in the text.
    pub(super) fn of(text: &str, languages: Languages) -> Self {
        let languages = if languages == ALL { EN } else { languages };
        let (mut stops, mut spoken, mut written) = (false, 0, 0);
        for word in words(text) {
            match text.get(word.range()) {
                Some(".")
                    if text
                        .get(word.end..)
                        .is_some_and(|behind| behind.starts_with([' ', '\n'])) =>
                {
                    written += 1;
                }
                Some(own) if begins(own) => {
                    let is_stop = end(text, word.begin, &|phrase| has(phrase, 0)).is_some();
                    stops |= is_stop;
                    let is_noun = || end(text, word.begin, &|phrase| has(phrase, languages)).is_some();
                    spoken += usize::from(is_stop || is_noun());
                }
                _ => {}
            }
        }
        let nouns = if spoken > 1 && spoken > written {
            languages
        } else {
            0
        };
        Self { stops, nouns }
    }

    /// One past the last byte of a spoken full stop or new line that begins at this byte.
    pub(super) fn end_at(self, text: &str, at: usize) -> Option<usize> {
        let own = (self.stops || self.nouns != 0) && begins(text.get(at..)?);
        own.then(|| end(text, at, &|phrase| has(phrase, self.nouns)))
            .flatten()
    }
}

/// Whether a word may be the first of those: most are not, and are not looked at any further.
fn begins(word: &str) -> bool {
    word.starts_with(['f', 'F', 'n', 'N', 'p', 'P', 'a', 'A', '\u{e0}'])
}

/// Whether these words are one of them, and whether they begin one.
fn has(words: &str, languages: Languages) -> (bool, bool) {
    let nouns = NOUNS.iter().filter(|(of, _)| of & languages != 0);
    let all = STOPS.iter().chain(nouns.flat_map(|(_, own)| own.iter()));
    all.filter(|phrase| phrase.starts_with(words))
        .fold((false, false), |(whole, _), phrase| {
            (whole || *phrase == words, true)
        })
}

/// One past the last byte of the longest that begins at this byte, of those that `is_one` knows.
fn end(text: &str, at: usize, is_one: &dyn Fn(&str) -> (bool, bool)) -> Option<usize> {
    let rest = text.get(at..)?;
    let rest = rest.get(..rest.floor_char_boundary(LONGEST))?;
    let (mut seen, mut found) = (String::new(), None);
    for word in words(rest) {
        if !seen.is_empty() {
            seen.push(' ');
        }
        seen.push_str(&folded(rest.get(word.range()).unwrap_or_default()));
        match is_one(&seen) {
            (true, _) => found = Some(at + word.end),
            (_, true) => {}
            _ => break,
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::super::tests::assert_said;

    #[test]
    fn spoken_full_stops_end_sentences() {
        assert_said(&[
            "no {wheeze|N} no {stridor|N} full stop {barking cough|} all night",
            "denies {tremor|N} new paragraph {goitre|} on palpation",
            "the child has no {rash|N} period {vomiting|} since noon period she drinks well period",
            "keine {Übelkeit|N} neue Zeile {Schwindel|} beim Aufstehen, der Patient ist da",
            "der Patient hat kein {Fieber|N} Punkt {Husten|} seit drei Tagen Punkt",
            "de patiënt heeft geen {koorts|N} punt {hoest|} sinds maandag punt",
            "la patiente n'a pas de {fièvre|N} point à la ligne {toux|} sèche depuis lundi",
            "el paciente no tiene {fiebre|N} punto {tos|} desde ayer punto",
            "il paziente non ha {febbre|N} punto {tosse|} da ieri punto",
            "o doente não tem {febre|N} ponto {tosse|} desde ontem ponto",
        ]);
    }

    #[test]
    fn what_is_no_spoken_full_stop_ends_nothing() {
        assert_said(&[
            "No new line {infection|N}, no point {tenderness|N}. The patient has a {cough|}.",
            "No {rash|N}, period {pain|N} or {fever|N}. Last period on Monday. The patient is well.",
            "De patiënt heeft geen {pijn|N} op dat punt of {koorts|N}. Punt van zorg. Hij is hier.",
        ]);
    }
}
