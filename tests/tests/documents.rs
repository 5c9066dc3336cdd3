//! What the documents say of the tree is true.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs;
use std::path::{Path, PathBuf};

use mednerd_tests::daemon::root;

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap()
}

/// The words between single backquotes.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

#[test]
fn every_test_that_the_specification_names_exists() {
    let mut units = Vec::new();
    for folder in ["daemon", "sdk", "plugins"] {
        sources(&root().join(folder), &mut units);
    }
    let units: Vec<String> = units
        .iter()
        .map(|path| fs::read_to_string(path).unwrap())
        .collect();
    let specification = read("SPECIFICATION.md");
    let mut named = 0;
    for name in quoted(&specification) {
        let Some((path, test)) = name.rsplit_once("::") else {
            continue;
        };
        let function = format!("fn {test}(");
        let exists = match path.split("::").last() {
            _ if name == "file::name" => continue,
            Some("tests") if test == "*" => true,
            Some("tests") => units.iter().any(|source| source.contains(&function)),
            _ => {
                // End to end here, or in the crate whose program it is about.
                let own = fs::read_to_string(root().join(format!("tests/tests/{path}.rs")));
                match own {
                    Ok(source) => test == "*" || source.contains(&function),
                    Err(_) => units.iter().any(|source| source.contains(&function)),
                }
            }
        };
        assert!(exists, "SPECIFICATION.md names {name}, and there is no such test");
        named += 1;
    }
    assert!(named > 30, "only {named} tests found in SPECIFICATION.md");
}

#[test]
fn every_path_that_the_architecture_names_exists() {
    let architecture = read("ARCHITECTURE.md");
    let mut named = 0;
    for name in quoted(&architecture).filter(|name| name.starts_with("daemon/") || name.starts_with("sdk/")) {
        assert!(
            root().join(name).exists(),
            "ARCHITECTURE.md names {name}, and it is not there"
        );
        named += 1;
    }
    assert!(named > 8, "only {named} paths found in ARCHITECTURE.md");
}
