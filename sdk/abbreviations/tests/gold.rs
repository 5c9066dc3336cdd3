//! Definitions in the abstracts of `../shared/data/abbreviations`, where they are at hand, as Ab3P's authors marked them.
#![allow(clippy::unwrap_used, clippy::print_stderr)]

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use mednerd_abbreviations::definitions;

#[test]
fn definitions_in_abstracts_are_found_as_well_as_the_specification_says() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/abbreviations");
    let packed = folder.join("med1250_first600.txt.xz");
    if !packed.is_file() {
        mednerd_skip::skipped("../shared/data is not there");
        return;
    }
    let unpacked = Command::new("xz").arg("-dc").arg(&packed).output().unwrap();
    assert!(
        unpacked.status.success(),
        "{} cannot be unpacked",
        packed.display()
    );
    let documents = String::from_utf8(unpacked.stdout).unwrap();
    let (mut right, mut wrong, mut missed) = (0, 0, 0);
    for (text, gold) in read(&documents) {
        let found: BTreeSet<(String, String)> = definitions(&text)
            .into_iter()
            .map(|one| (text[one.short].to_owned(), text[one.long].replace('\n', " ")))
            .collect();
        right += found.intersection(&gold).count();
        wrong += found.difference(&gold).count();
        missed += gold.difference(&found).count();
    }
    let share =
        |of: usize| f64::from(u32::try_from(right).unwrap()) / f64::from(u32::try_from(right + of).unwrap());
    let (precision, recall) = (share(wrong), share(missed));
    eprintln!("{right} right, {wrong} wrong, {missed} missed: precision {precision:.3}, recall {recall:.3}");
    assert!(
        precision > 0.975 && recall > 0.855,
        "precision {precision}, recall {recall}"
    );
}

/// A line with a number begins a document; lines that are set in have a definition each, remarks begin with two strokes.
fn read(documents: &str) -> Vec<(String, BTreeSet<(String, String)>)> {
    let mut all: Vec<(String, BTreeSet<(String, String)>)> = Vec::new();
    for line in documents.lines() {
        if line.trim().len() > 4 && line.trim().chars().all(|c| c.is_ascii_digit()) {
            all.push(Default::default());
            continue;
        }
        let Some((text, gold)) = all.last_mut() else {
            continue;
        };
        match line.strip_prefix("  ").and_then(|line| line.split_once('|')) {
            Some((short, long)) => {
                gold.insert((short.trim().to_owned(), long.trim().to_owned()));
            }
            None if line.starts_with("//") => {}
            None => {
                text.push_str(line.trim_end());
                text.push('\n');
            }
        }
    }
    all
}
