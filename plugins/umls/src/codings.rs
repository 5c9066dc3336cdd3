//! Codes of other vocabularies, with the system URIs that FHIR gives them.

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

/// The FHIR system of a UMLS concept, unless the settings say another.
pub const UMLS: &str = "http://terminology.hl7.org/CodeSystem/umls";

/// Abbreviation in the UMLS (SAB), name in requests, prefix in dictionaries' ids, FHIR system.
const SYSTEMS: &[(&str, &str, &str, &str)] = &[
    ("SNOMEDCT_US", "SNOMEDCT", "SNOMED", "http://snomed.info/sct"),
    (
        "ICD10CM",
        "ICD-10-CM",
        "ICD10CM",
        "http://hl7.org/fhir/sid/icd-10-cm",
    ),
    ("ICD10", "ICD-10", "ICD10", "http://hl7.org/fhir/sid/icd-10"),
    ("ICD9CM", "ICD-9-CM", "ICD9CM", "http://hl7.org/fhir/sid/icd-9-cm"),
    (
        "ICD10PCS",
        "ICD-10-PCS",
        "ICD10PCS",
        "http://www.cms.gov/Medicare/Coding/ICD10",
    ),
    (
        "RXNORM",
        "RxNorm",
        "RXNORM",
        "http://www.nlm.nih.gov/research/umls/rxnorm",
    ),
    ("LNC", "LOINC", "LOINC", "http://loinc.org"),
    ("MSH", "MeSH", "MESH", "https://www.nlm.nih.gov/mesh"),
    (
        "NCI",
        "NCIt",
        "NCIT",
        "http://ncicb.nci.nih.gov/xml/owl/EVS/Thesaurus.owl",
    ),
    ("HPO", "HPO", "HP", "http://human-phenotype-ontology.org"),
    ("OMIM", "OMIM", "OMIM", "http://www.omim.org"),
    ("CVX", "CVX", "CVX", "http://hl7.org/fhir/sid/cvx"),
    ("ATC", "ATC", "ATC", "http://www.whocc.no/atc"),
    (
        "MDR",
        "MedDRA",
        "MEDDRA",
        "http://terminology.hl7.org/CodeSystem/mdr",
    ),
    (
        "MONDO",
        "MONDO",
        "MONDO",
        "http://purl.obolibrary.org/obo/mondo.owl",
    ),
    ("DO", "DO", "DOID", "http://purl.obolibrary.org/obo/doid.owl"),
];

/// Whether the codes of this vocabulary go into the index.
pub(crate) fn is_coded(vocabulary: &str) -> bool {
    system(vocabulary).is_some()
}

/// The FHIR system of a vocabulary by its UMLS abbreviation.
pub(crate) fn system(vocabulary: &str) -> Option<&'static str> {
    SYSTEMS
        .iter()
        .find(|(sab, ..)| *sab == vocabulary)
        .map(|(.., system)| *system)
}

/// Whether a request for `wanted` means this vocabulary: by its UMLS abbreviation, common name or FHIR system.
pub(crate) fn means(wanted: &str, vocabulary: &str) -> bool {
    let same = |name: &str| name.eq_ignore_ascii_case(wanted);
    SYSTEMS.iter().find(|(sab, ..)| *sab == vocabulary).map_or_else(
        || same(vocabulary),
        |(sab, name, prefix, system)| [sab, name, prefix, system].iter().any(|at| same(at)),
    )
}

/// The vocabulary and the code of a dictionary's id: "MESH:D003920" is a code of MSH; so is a bare "D003920".
pub(crate) fn of_id(id: &str) -> Option<(&'static str, &str)> {
    let Some((prefix, code)) = id.split_once(':') else {
        let digits = id.strip_prefix(['D', 'C'])?;
        let mesh = (6..=9).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
        // "C" and seven digits is a CUI, not one of MeSH's supplementary records.
        return (mesh && !(id.starts_with('C') && digits.len() == 7)).then_some(("MSH", id));
    };
    let found = SYSTEMS
        .iter()
        .find(|(sab, _, own, _)| [sab, own].iter().any(|name| name.eq_ignore_ascii_case(prefix)));
    // In these, the prefix is a part of the code.
    found.map(|(sab, ..)| {
        (
            *sab,
            if matches!(*sab, "HPO" | "MONDO" | "DO") {
                id
            } else {
                code
            },
        )
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
    fn dictionary_ids_are_codes() {
        assert_eq!(of_id("MESH:D003920"), Some(("MSH", "D003920")));
        assert_eq!(of_id("C536170"), Some(("MSH", "C536170")));
        assert_eq!(of_id("OMIM:219700"), Some(("OMIM", "219700")));
        assert_eq!(of_id("HP:0001250"), Some(("HPO", "HP:0001250")));
        assert_eq!(of_id("C0011849"), None);
        assert_eq!(of_id("local-7"), None);
    }
}
