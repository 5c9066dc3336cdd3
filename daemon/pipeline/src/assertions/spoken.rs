//! Full stops and new lines that are words, in dictation that nobody has punctuated: "no fever full stop", "geen koorts punt".

use super::sentence::folded;

use crate::folding::words;

/// Full stops and new lines as they are dictated, which are nothing else.
#[rustfmt::skip]
const SPOKEN_STOPS: &[&str] = &[
    "full stop", "new line", "next line", "new paragraph", "next paragraph", "neue zeile", "neuer absatz", "nachste zeile", "point a la ligne",
    "a la ligne", "punto y aparte", "punto y seguido", "punto final", "punto e a capo", "punto a capo", "a capo", "nieuwe regel", "nieuwe alinea",
    "ponto final", "ponto paragrafo", "paragrafo", "nova linha", "ponto e virgula",
];
/// The same, where they may be something else.
const SPOKEN_WORDS: &[&str] = &["period", "punkt", "point", "punto", "punt", "ponto"];
/// Bytes of such words, at most.
const LONGEST: usize = 24;

/// Which of them a text has.
#[derive(Clone, Copy, Default)]
pub(super) struct Dictation {
    /// Those that are nothing else.
    stops: bool,
    /// Those that may be a noun as well: they come often, and full stops that are written do not.
    words: bool,
}

impl Dictation {
    /// Takes time linear in the text.
    pub(super) fn of(text: &str) -> Self {
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
                    stops |= length(text, word.begin, SPOKEN_STOPS).is_some();
                    spoken += usize::from(length(text, word.begin, SPOKEN_WORDS).is_some());
                }
                _ => {}
            }
        }
        let words = spoken > 1 && spoken > written;
        Self { stops, words }
    }

    /// One past the last byte of a spoken full stop or new line that begins at this byte, with the words of another one behind it.
    pub(super) fn end_at(self, text: &str, at: usize) -> Option<usize> {
        let of_words = || self.words.then(|| length(text, at, SPOKEN_WORDS)).flatten();
        let of_stops = || self.stops.then(|| length(text, at, SPOKEN_STOPS)).flatten();
        let own = (self.stops || self.words) && begins(text.get(at..)?);
        own.then(|| of_stops().or_else(of_words))
            .flatten()
            .map(|length| at + length)
    }
}

/// Whether a word may be the first of those: most are not, and are not looked at any further.
fn begins(word: &str) -> bool {
    word.starts_with(['f', 'F', 'n', 'N', 'p', 'P', 'a', 'A', '\u{e0}'])
}

/// How many bytes the words of the list have that begin at this byte, if they do.
fn length(text: &str, at: usize, list: &[&str]) -> Option<usize> {
    let rest = text.get(at..)?;
    let rest = rest.get(..rest.floor_char_boundary(LONGEST + 1))?;
    let own = |phrase: &&&str| {
        let mut wanted = phrase.split(' ');
        let mut end = 0;
        for word in words(rest) {
            match wanted.next() {
                None => break,
                Some(next) if folded(rest.get(word.range()).unwrap_or_default()) == next => end = word.end,
                Some(_) => return None,
            }
        }
        wanted.next().is_none().then_some(end)
    };
    list.iter().filter_map(|phrase| own(&phrase)).max()
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
            "No {rash|N}, period {pain|N} or {fever|N}. Last period on Monday. The patient is well.",
            "De patiënt heeft geen {pijn|N} op dat punt of {koorts|N}. Punt van zorg. Hij is hier.",
        ]);
    }
}
