//! Codes of other vocabularies, with the system URIs that FHIR gives them.

use mednerd_plugin::CodeSystem;
use serde::Serialize;

/// A code in a vocabulary, as FHIR's `Coding`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Coding {
    /// The system's URI.
    pub system: String,
    /// The code.
    pub code: String,
    /// How the vocabulary names it.
    pub display: String,
}

/// The vocabulary whose codes the rows of this one of a release have, where they go into the index: its own, or those of what it
/// translates.
pub(crate) fn coded(vocabulary: &str) -> Option<&'static str> {
    CodeSystem::of_umls(vocabulary).map(|system| system.umls)
}

/// The vocabulary of the codes of a system that a dictionary names, as people name it or by a URI.
pub(crate) fn named(system: &str) -> Option<&str> {
    let known = CodeSystem::named(system).map(|system| system.umls);
    known.or_else(|| is_uri(system).then_some(system))
}

/// The FHIR system of a vocabulary by its UMLS abbreviation; a URI is one.
pub(crate) fn system(vocabulary: &str) -> Option<&str> {
    let known = CodeSystem::of_umls(vocabulary).map(|system| system.uri);
    known.or_else(|| is_uri(vocabulary).then_some(vocabulary))
}

fn is_uri(name: &str) -> bool {
    name.starts_with("urn:") || name.contains("://")
}

/// Whether `wanted` means this vocabulary of an index: by the vocabulary's own name or by any name of its code system.
pub(crate) fn means(wanted: &str, vocabulary: &str) -> bool {
    wanted.eq_ignore_ascii_case(vocabulary)
        || CodeSystem::of_umls(vocabulary).is_some_and(|system| CodeSystem::named(wanted) == Some(system))
}

/// The number of a CUI, C and seven digits: "C0011849".
pub(crate) fn cui(id: &str) -> Option<u32> {
    let digits = id.strip_prefix('C').filter(|digits| digits.len() == 7)?;
    let is_number = digits.bytes().all(|byte| byte.is_ascii_digit());
    digits.parse().ok().filter(|_| is_number)
}

/// The vocabulary and the code of a dictionary's id: "MESH:D003920" is a code of MSH; so is a bare "D003920".
pub(crate) fn of_id(id: &str) -> Option<(&'static str, &str)> {
    let Some((prefix, code)) = id.split_once(':') else {
        let digits = id.strip_prefix(['D', 'C'])?;
        let mesh = (6..=9).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
        // A CUI is none of MeSH's supplementary records.
        return (mesh && cui(id).is_none()).then_some(("MSH", id));
    };
    CodeSystem::named(prefix).map(|system| {
        // In these, the prefix is a part of the code.
        let whole = matches!(system.umls, "HPO" | "MONDO" | "DO");
        (system.umls, if whole { id } else { code })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_name_vocabularies_in_their_own_way() {
        for wanted in ["SNOMEDCT_US", "snomed", "http://snomed.info/sct"] {
            assert!(means(wanted, "SNOMEDCT_US"), "{wanted}");
        }
        assert!(!means("ICD10", "ICD10CM"));
        assert!(means("LOCAL", "local"));
    }

    #[test]
    fn a_cui_is_a_letter_and_seven_digits() {
        assert_eq!(cui("C0011849"), Some(11_849));
        for id in [
            "C001184",
            "C00118490",
            "C+011849",
            "c0011849",
            "L0011849",
            "C",
            "",
        ] {
            assert_eq!(cui(id), None, "{id}");
        }
    }

    #[test]
    fn dictionary_ids_are_codes() {
        assert_eq!(of_id("MESH:D003920"), Some(("MSH", "D003920")));
        assert_eq!(of_id("C536170"), Some(("MSH", "C536170")));
        assert_eq!(of_id("OMIM:219700"), Some(("OMIM", "219700")));
        assert_eq!(of_id("HP:0001250"), Some(("HPO", "HP:0001250")));
        assert_eq!(of_id("C0011849"), None);
        assert_eq!(of_id("local-7"), None);
    }
}
