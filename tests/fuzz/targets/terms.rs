//! A hospital's own lists: lines as `name, label, language, joins, beside` between tabs, and behind `%%` a text that they are looked for in.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mednerd_fuzz::{Input, notes, parts, seeds, slice};
use mednerd_pipeline::terms::{HIDING, RIGHT, find, find_while, meant};
use mednerd_pipeline::{Term, Terms};

const LINES: &str = "gout\tDisease\nNa\tChemical\nPsA\tDisease\tde\n*itis\tDisease\nleft\t\ten\tAnatomy\neye contact\t-\naddition\t=\ten\nCAP\tChemical\t\t\t# mg _; _ by mouth\nprimidone\tChemical\nMüdigkeit\tDisease\tde\npain\tDisease\t\tAnatomy";

fuzz_target!(init: seeds(notes().take(12).map(|note| parts([LINES.as_bytes(), &note]))), |bytes: &[u8]| {
    let mut input = Input(bytes);
    let lines = String::from_utf8_lossy(input.part()).into_owned();
    let text = input.text();
    let mut lists = [Terms::default(), Terms::default()];
    for (number, line) in lines.lines().enumerate() {
        let cells: Vec<&str> = line.split('\t').collect();
        let cell = |at: usize| cells.get(at).copied().unwrap_or("");
        let term = Term { name: cell(0), label: cell(1), language: cell(2), joins: cell(3), beside: cell(4) };
        if lists[number % 2].add(term).is_ok() {
            alone(term);
        }
    }
    let [first, second] = lists;
    let tolerant = first.tolerant();
    assert!(tolerant.is_empty() || tolerant.memory_bytes() > 0);
    let lists = [&tolerant, &second];
    let found = find(&text, &lists);
    assert_eq!(find_while(&text, &lists, &|| true).as_ref(), Some(&found));
    for name in &found.names {
        slice(&text, name.begin..name.end);
        assert!(lists[name.list].labels().any(|label| label.eq_ignore_ascii_case(&name.label)), "a label that no line gives");
    }
    for (begin, end) in found.hidden {
        slice(&text, begin..end);
    }
    for word in text.split_whitespace().take(8) {
        meant(word, "en", &lists);
    }
});

/// A name that is the same in all languages, and needs nothing beside it, is found in a text that is that name.
fn alone(term: Term<'_>) {
    let name = term.name.trim();
    // What has more than a space or a mark between its words is several names: "knee - swelling".
    let is_one = name
        .split(char::is_alphanumeric)
        .all(|gap| gap.chars().nth(1).is_none());
    let is_plain = is_one && !name.starts_with('*') && term.language.is_empty() && term.beside.is_empty();
    if !is_plain || [HIDING, RIGHT, ""].contains(&term.label) {
        return;
    }
    let mut list = Terms::default();
    list.add(term).unwrap();
    let found = find(name, &[&list]);
    assert!(
        found.names.iter().any(|found| *found.label == *term.label),
        "{name:?} is not found in itself"
    );
}
