//! Code systems: their FHIR URIs and the names that people, the UMLS and dictionaries have for them. Requests name them
//! in `link.code_systems`, and answers in `codings[].system`.

/// A code system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CodeSystem {
    /// What requests call it.
    pub name: &'static str,
    /// Its abbreviation in the UMLS (SAB).
    pub umls: &'static str,
    /// What stands before the colon in the ids of dictionaries: `MESH:D003920`.
    pub prefix: &'static str,
    /// The URI that FHIR has for it.
    pub uri: &'static str,
}

const fn system(
    name: &'static str,
    umls: &'static str,
    prefix: &'static str,
    uri: &'static str,
) -> CodeSystem {
    CodeSystem {
        name,
        umls,
        prefix,
        uri,
    }
}

/// Those that are known by name.
#[rustfmt::skip]
pub const CODE_SYSTEMS: &[CodeSystem] = &[
    system("SNOMEDCT", "SNOMEDCT_US", "SNOMED", "http://snomed.info/sct"),
    system("ICD-10-CM", "ICD10CM", "ICD10CM", "http://hl7.org/fhir/sid/icd-10-cm"),
    system("ICD-10", "ICD10", "ICD10", "http://hl7.org/fhir/sid/icd-10"),
    system("ICD-9-CM", "ICD9CM", "ICD9CM", "http://hl7.org/fhir/sid/icd-9-cm"),
    system("ICD-10-PCS", "ICD10PCS", "ICD10PCS", "http://www.cms.gov/Medicare/Coding/ICD10"),
    system("RxNorm", "RXNORM", "RXNORM", "http://www.nlm.nih.gov/research/umls/rxnorm"),
    system("LOINC", "LNC", "LOINC", "http://loinc.org"),
    system("MeSH", "MSH", "MESH", "https://www.nlm.nih.gov/mesh"),
    system("NCIt", "NCI", "NCIT", "http://ncicb.nci.nih.gov/xml/owl/EVS/Thesaurus.owl"),
    system("HPO", "HPO", "HP", "http://human-phenotype-ontology.org"),
    system("OMIM", "OMIM", "OMIM", "http://www.omim.org"),
    system("CVX", "CVX", "CVX", "http://hl7.org/fhir/sid/cvx"),
    system("ATC", "ATC", "ATC", "http://www.whocc.no/atc"),
    system("MedDRA", "MDR", "MEDDRA", "http://terminology.hl7.org/CodeSystem/mdr"),
    system("MONDO", "MONDO", "MONDO", "http://purl.obolibrary.org/obo/mondo.owl"),
    system("DO", "DO", "DOID", "http://purl.obolibrary.org/obo/doid.owl"),
    system("UMLS", "UMLS", "UMLS", "http://terminology.hl7.org/CodeSystem/umls"),
    // Of Germany's BfArM, which the UMLS does not have; their abbreviations are as dictionaries write them.
    system("ICD-10-GM", "ICD10GM", "ICD10GM", "http://fhir.de/CodeSystem/bfarm/icd-10-gm"),
    system("OPS", "OPS", "OPS", "http://fhir.de/CodeSystem/bfarm/ops"),
    system("Alpha-ID", "ALPHAID", "ALPHA-ID", "http://fhir.de/CodeSystem/bfarm/alpha-id"),
];

impl CodeSystem {
    /// The system that goes by this name, abbreviation, prefix or URI, small and capital letters alike.
    pub fn named(name: &str) -> Option<&'static Self> {
        CODE_SYSTEMS.iter().find(|system| {
            [system.name, system.umls, system.prefix, system.uri]
                .iter()
                .any(|own| own.eq_ignore_ascii_case(name))
        })
    }

    /// The system of a UMLS vocabulary (SAB), or of one that is its translation: "MSHGER" has the codes of MeSH.
    pub fn of_umls(sab: &str) -> Option<&'static Self> {
        let original = original(sab);
        CODE_SYSTEMS.iter().find(|system| system.umls == original)
    }
}

/// The vocabulary whose codes a translation has, by their abbreviations in the UMLS.
fn original(sab: &str) -> &str {
    let translates = |original: &&str| {
        let language = sab.strip_prefix(*original);
        language
            .is_some_and(|language| language.len() == 3 && language.bytes().all(|b| b.is_ascii_uppercase()))
    };
    match sab {
        "SCTSPA" => "SNOMEDCT_US",
        "DMDICD10" | "ICD10DUT" | "ICD10AE" => "ICD10",
        _ if sab.starts_with("LNC-") => "LNC",
        _ => ["MSH", "MDR"].into_iter().find(translates).unwrap_or(sab),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_system_goes_by_every_name_it_has() {
        for name in ["SNOMEDCT_US", "snomedct", "snomed", "http://snomed.info/sct"] {
            assert_eq!(
                CodeSystem::named(name).map(|system| system.name),
                Some("SNOMEDCT"),
                "{name}"
            );
        }
        assert_eq!(CodeSystem::named("SNOWMED"), None);
        assert_eq!(
            CodeSystem::of_umls("LNC").map(|system| system.uri),
            Some("http://loinc.org")
        );
    }

    #[test]
    fn a_translation_has_the_codes_of_its_original() {
        for (sab, umls) in [
            ("MSHGER", "MSH"),
            ("MDRJPN", "MDR"),
            ("SCTSPA", "SNOMEDCT_US"),
            ("DMDICD10", "ICD10"),
            ("LNC-DE-DE", "LNC"),
        ] {
            assert_eq!(
                CodeSystem::of_umls(sab).map(|system| system.umls),
                Some(umls),
                "{sab}"
            );
        }
        // Modifications have codes of their own.
        for sab in ["ICD10AM", "MSHX", "MTH", "SCTUSX"] {
            assert_eq!(CodeSystem::of_umls(sab), None, "{sab}");
        }
    }

    #[test]
    fn no_name_means_two_systems() {
        for system in CODE_SYSTEMS {
            for name in [system.name, system.umls, system.prefix, system.uri] {
                assert_eq!(CodeSystem::named(name), Some(system), "{name}");
            }
        }
    }
}
