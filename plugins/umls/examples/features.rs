//! Prints what the fuzzy stage ranks candidates by, for `eval/fit_ranker.py`:
//! `features INDEX GOLD [SYNONYMS]`, one candidate a line, mentions that another stage answers and those that the index
//! does not cover left out.
#![allow(clippy::print_stdout, clippy::print_stderr)]

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use mednerd_umls::eval::{self, pubtator};
use mednerd_umls::linker::{Document, Linker, Mention, Options, Settings, Stage, ranker};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, index, gold, ..] = &arguments[..] else {
        eprintln!("usage: features INDEX GOLD [SYNONYMS]");
        std::process::exit(2);
    };
    let linker = Linker::open(Settings {
        index: index.into(),
        synonyms: arguments.get(3).map(PathBuf::from),
        ..Settings::default()
    })?;
    println!("document\tmention\tright\tscore\t{}", ranker::NAMES.join("\t"));
    let options = Options {
        top_k: 50,
        thorough: true,
        ..Options::default()
    };
    for gold in pubtator::read(Path::new(gold))? {
        let mentions: Vec<Mention<'_>> = gold
            .mentions
            .iter()
            .map(|mention| Mention {
                text: &mention.text,
                begin: mention.begin,
                end: mention.end,
                label: &mention.label,
                score: 1.0,
                section: "",
            })
            .collect();
        let document = Document {
            text: &gold.text,
            mentions: &mentions,
        };
        for ((number, mention), candidates) in gold
            .mentions
            .iter()
            .enumerate()
            .zip(linker.link(&document, &options))
        {
            if candidates.first().is_none_or(|best| best.stage != Stage::Fuzzy) {
                continue;
            }
            let right = eval::right(&linker, &HashMap::new(), &mention.ids);
            for candidate in candidates.iter().filter(|_| !right.is_empty()) {
                let Some(features) = candidate.features else {
                    continue;
                };
                let features: Vec<String> = features.iter().map(|feature| format!("{feature:.4}")).collect();
                println!(
                    "{}\t{number}\t{}\t{:.4}\t{}",
                    gold.id,
                    u8::from(right.contains(&candidate.id)),
                    candidate.score,
                    features.join("\t")
                );
            }
        }
    }
    Ok(())
}
