//! Which right words a list would take for names misspelt: `misspelt LIST.tsv... < WORDS`, a word and its language in a line, with a tab.
//! Prints those words with what they would be read as, and the language: what has `=` in `packaging/terms/right.tsv`.

#![allow(clippy::print_stdout)]

use std::collections::HashMap;
use std::io::{BufRead, stdin};

use mednerd_pipeline::{Term, Terms, terms};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut by_language: HashMap<&str, Terms> = HashMap::new();
    let files: Result<Vec<String>, _> = std::env::args().skip(1).map(std::fs::read_to_string).collect();
    let files = files?;
    for line in files.iter().flat_map(|file| file.lines().skip(1)) {
        let mut columns = line.split('\t');
        let [name, label, language, joins] = [(); 4].map(|()| columns.next().unwrap_or_default());
        let term = Term {
            name,
            label,
            language,
            joins,
            ..Term::default()
        };
        by_language.entry(language).or_default().add(term)?;
    }
    let by_language: HashMap<&str, Terms> = by_language
        .into_iter()
        .map(|(language, terms)| (language, terms.tolerant()))
        .collect();
    for line in stdin().lock().lines() {
        let line = line?;
        let (word, language) = line
            .split_once('\t')
            .ok_or("a line is a word, a tab and its language")?;
        let lists: Vec<&Terms> = ["", language]
            .iter()
            .filter_map(|language| by_language.get(language))
            .collect();
        if let Some(meant) = terms::meant(word, language, &lists) {
            println!("{word}\t{meant}\t{language}");
        }
    }
    Ok(())
}
