//! The gold notes are what their guidelines say: marked without error, quoted by their offsets, read twice.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::{HashMap, HashSet};
use std::fs;
use std::process::{Command, Output};

use mednerd_tests::daemon::root;
use serde::Deserialize;

#[derive(Deserialize)]
struct Note {
    id: String,
    language: String,
    text: String,
    entities: Vec<Mention>,
}

#[derive(Deserialize)]
struct Mention {
    label: String,
    text: String,
    begin: usize,
    end: usize,
    begin_byte: usize,
    end_byte: usize,
}

fn gold(arguments: &[&str]) -> Output {
    Command::new("python3")
        .arg("-B")
        .arg(root().join("tests/gold/gold.py"))
        .args(arguments)
        .output()
        .expect("python3 runs")
}

fn said(output: &Output) -> String {
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn notes() -> Vec<Note> {
    notes_in("notes")
}

fn notes_in(folder: &str) -> Vec<Note> {
    let folder = root().join("tests/gold").join(folder);
    let lines = said(&gold(&["--notes", folder.to_str().unwrap(), "jsonl"]));
    lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[test]
fn offsets_quote_their_mentions_and_no_span_is_marked_twice() {
    let mut types: HashMap<String, usize> = HashMap::new();
    for note in notes() {
        let characters: Vec<char> = note.text.chars().collect();
        let mut spans = HashSet::new();
        for mention in &note.entities {
            let place = format!("{} at {}", note.id, mention.begin);
            let quoted: String = characters[mention.begin..mention.end].iter().collect();
            assert_eq!(quoted, mention.text, "{place}");
            assert_eq!(
                note.text[mention.begin_byte..mention.end_byte],
                mention.text,
                "{place}"
            );
            assert!(spans.insert((mention.begin, mention.end)), "{place}");
            *types.entry(mention.label.clone()).or_default() += 1;
        }
        assert!(
            !note.text.contains(['{', '|', '}']),
            "markup is left in {}",
            note.id
        );
    }
    let mut names: Vec<&str> = types.keys().map(String::as_str).collect();
    names.sort_unstable();
    assert_eq!(names, ["anatomy", "chemical", "disease", "drug", "gene"]);
    assert!(types.values().all(|&count| count >= 150), "{types:?}");
}

#[test]
fn there_are_enough_notes_of_the_lengths_and_languages_that_were_asked_for() {
    let notes = notes();
    assert!(notes.len() >= 60, "only {} notes", notes.len());
    let foreign = notes.iter().filter(|note| note.language != "en").count();
    assert!(foreign >= 8, "only {foreign} notes in other languages");
    for note in &notes {
        let words = note.text.split_whitespace().count();
        assert!((60..=600).contains(&words), "{} has {words} words", note.id);
    }
}

#[test]
fn what_was_read_of_each_disease_of_the_blind_notes_is_there() {
    let readings = fs::read_to_string(root().join("tests/gold/blind-assertions.tsv")).unwrap();
    let mut read: Vec<String> = Vec::new();
    for line in readings.lines() {
        let [note, number, text, said] = line.split('\t').collect::<Vec<_>>()[..] else {
            panic!("{line}");
        };
        let kinds = ["negated", "possible", "hypothetical", "historical", "other"];
        assert!(
            said == "-" || said.split(',').all(|kind| kinds.contains(&kind)),
            "{line}"
        );
        read.push(format!("{note} {number} {text}"));
    }
    let notes = notes_in("blind");
    assert!(notes.len() > 70, "only {} notes", notes.len());
    let diseases = notes.iter().flat_map(|note| {
        let mentions = note.entities.iter().enumerate();
        mentions
            .filter(|(_, mention)| mention.label == "disease")
            .map(|(number, mention)| {
                let words = mention.text.split_whitespace().collect::<Vec<_>>().join(" ");
                format!("{} {number} {words}", note.id)
            })
    });
    assert_eq!(diseases.collect::<Vec<_>>(), read);
}

#[test]
fn the_agreement_that_the_guidelines_report_is_that_of_the_two_readings() {
    let folder = root().join("tests/gold");
    let readings = ["first", "second"].map(|name| folder.join(format!("readings/{name}.txt")));
    let [first, second] = readings.each_ref().map(|path| path.to_str().unwrap());
    let table = said(&gold(&["agreement", first, second]));
    let guidelines = fs::read_to_string(folder.join("GUIDELINES.md")).unwrap();
    assert_eq!(table.lines().count(), 7);
    for line in table.lines() {
        assert!(guidelines.contains(line), "GUIDELINES.md does not report: {line}");
    }
}

#[test]
fn brat_offsets_quote_their_mentions() {
    let folder = tempfile::tempdir().unwrap();
    said(&gold(&["brat", folder.path().to_str().unwrap()]));
    let mut seen = 0;
    for note in notes() {
        let read = |ending: &str| fs::read_to_string(folder.path().join(format!("{}.{ending}", note.id)));
        let characters: Vec<char> = read("txt").unwrap().chars().collect();
        for line in read("ann").unwrap().lines() {
            let [_, place, mention] = line.split('\t').collect::<Vec<_>>()[..] else {
                panic!("{}: {line}", note.id);
            };
            let parts: Vec<String> = place
                .split_once(' ')
                .unwrap()
                .1
                .split(';')
                .map(|part| {
                    let (begin, end) = part.split_once(' ').unwrap();
                    let range = begin.parse::<usize>().unwrap()..end.parse().unwrap();
                    let quoted: String = characters[range].iter().collect();
                    quoted.split_whitespace().collect::<Vec<_>>().join(" ")
                })
                .collect();
            assert_eq!(parts.join(" "), mention, "{}", note.id);
            seen += 1;
        }
    }
    assert!(seen > 3000, "only {seen} mentions");
}

#[test]
fn broken_markup_is_refused_by_file_and_place() {
    for (marked, reason) in [
        ("no {fever", "never ends"),
        ("no fever|disease}", "never began"),
        ("no {fever}", "stray"),
        ("no {fever|sign}", "unknown type"),
        ("no { fever|disease}", "space at its edge"),
        ("no {fever.|disease}", "punctuation"),
        ("no {fever|disease}ish", "inside a word"),
        ("no {{fever|disease}|anatomy}", "marked twice"),
        ("no {high {fever|disease}|disease}", "its own type"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let note = format!("kind: test\nlanguage: en\n\n{marked}\n");
        fs::write(folder.path().join("broken.txt"), note).unwrap();
        let output = gold(&["--notes", folder.path().to_str().unwrap(), "check"]);
        let message = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success(), "{marked}");
        assert!(
            message.contains("broken.txt") && message.contains(reason),
            "{marked}: {message}"
        );
    }
}
