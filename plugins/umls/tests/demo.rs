//! The demo vocabulary is what the sample notes need.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::path::Path;

use common::{first, link, link_as, open};
use mednerd_umls::build::{Build, Filters, Input};

#[test]
fn common_clinical_names_are_linked() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("index");
    let record = Build {
        input: Input::Rrf(Path::new(env!("CARGO_MANIFEST_DIR")).join("demo")),
        out: out.clone(),
        filters: Filters::default(),
        memory: 1 << 22,
    }
    .run(&mut ())
    .unwrap();
    assert!(record.concepts > 300, "{}", record.concepts);
    assert_eq!(record.release, "demo");
    let linker = open(&out, None);
    for (text, name) in [
        ("heart attack", "Myocardial Infarction"),
        ("Type 2 diabetes mellitus", "Diabetes Mellitus, Type 2"),
        ("shortness of breath", "Dyspnea"),
        ("pleural effusions", "Pleural Effusion"),
        ("HTN", "Hypertension"),
        ("orthopnoea", "Orthopnea"),
        ("oedema", "Edema"),
        ("metastases", "Neoplasm Metastasis"),
        ("furosemide", "Furosemide"),
    ] {
        assert_eq!(link(&linker, text)[0].name, name, "{text}");
    }
    let codings = link(&linker, "fibromyalgia").remove(0).codings;
    assert!(
        codings
            .iter()
            .any(|coding| coding.code == "M79.7" && coding.system.ends_with("icd-10-cm"))
    );
    assert_eq!(first(&linker, "zyxwv"), None); // It has no anatomy: parts of the names of diseases are none.
    for (text, label) in [
        ("chest", "Anatomy"),
        ("coronary artery", "Organ"),
        ("ankle", "anatomy"),
    ] {
        assert!(link_as(&linker, text, label).is_empty(), "{text}");
    }
    // The very name is, whatever the label: models err too.
    assert_eq!(link_as(&linker, "chest pain", "Anatomy")[0].name, "Chest Pain");
}
