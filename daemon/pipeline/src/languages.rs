//! The languages of a text, as what was found in it tells them beside its words.

pub use mednerd_languages::CODES;
pub(crate) use mednerd_languages::{
    ALL, DE, EN, ES, FR, GERMANIC, IT, Languages, NL, PT, Telling, hinted_by, languages,
};

use crate::tokens::ByteSpan;

/// The languages that a text may be in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spoken {
    pub(crate) languages: Languages,
    /// Whether nothing but names told them, which is a hint: what English says holds, too.
    pub(crate) by_names: bool,
}

/// The languages that a word of a text, `folded`, tells of.
pub(crate) fn told_by(text: &str, word: ByteSpan, folded: &str) -> Languages {
    mednerd_languages::told_by(text, &word.range(), folded)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::terms::find;
    use crate::testing::list_of;

    #[test]
    fn names_choose_the_language_of_what_is_only_denied() {
        let terms = list_of(&[
            ("fever", "Disease", "en"),
            ("cough", "Disease", "en"),
            ("fiebre", "Disease", "es"),
            ("tos", "Disease", "es"),
            ("febbre", "Disease", "it"),
            ("tosse", "Disease", "it"),
            ("fi\u{e8}vre", "Disease", "fr"),
            ("toux", "Disease", "fr"),
        ]);
        for (text, language) in [
            ("No fever, no cough, no SOB", EN),
            ("No fiebre, no tos, no disnea.", ES),
            (
                "Paciente con dolor en el pecho desde ayer.\nNo fiebre, no tos, no disnea, no disuria",
                ES,
            ),
            ("Febbre: no\nTosse: no\nVomito: no", IT),
            ("Fi\u{e8}vre : non\nToux : non\nDyspn\u{e9}e : non", FR),
        ] {
            let found = find(text, &[&terms]);
            assert_eq!(found.names.len(), 2, "{text}");
            let by_names = !text.starts_with("Paciente");
            let told = Spoken {
                languages: language,
                by_names,
            };
            assert_eq!(found.spoken, Some(told), "{text}");
        }
    }
}
