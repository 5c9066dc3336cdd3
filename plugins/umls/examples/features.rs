//! Prints what the fuzzy stage ranks candidates by, for `eval/fit_ranker.py`:
//! `features INDEX GOLD [SYNONYMS] [MAP]`, one candidate a line, mentions that another stage answers left out. Of a mention that the index does
//! not cover no candidate is right.
#![allow(clippy::print_stdout, clippy::print_stderr)]

use std::path::{Path, PathBuf};

use mednerd_umls::eval;
use mednerd_umls::eval::pubtator::{self, GoldMention};
use mednerd_umls::linker::{Document, Linker, Mention, Options, Settings, Stage, ranker};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, index, gold, ..] = &arguments[..] else {
        eprintln!("usage: features INDEX GOLD [SYNONYMS]");
        std::process::exit(2);
    };
    let given = |at: usize| arguments.get(at).filter(|path| *path != "-").map(PathBuf::from);
    let map = given(4)
        .map(|path| eval::read_map(&path))
        .transpose()?
        .unwrap_or_default();
    let linker = Linker::open_mapped(
        Settings {
            index: index.into(),
            synonyms: given(3),
            ..Settings::default()
        },
        map.clone(),
    )?;
    println!(
        "document\tmention\ttext\tcovered\tright\tscore\t{}",
        ranker::NAMES.join("\t")
    );
    let options = Options {
        top_k: 50,
        thorough: true,
        ..Options::default()
    };
    for gold in pubtator::read(Path::new(gold))? {
        let mentions: Vec<Mention<'_>> = gold.mentions.iter().map(GoldMention::mention).collect();
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
            let right = eval::right(&linker, &map, &mention.ids);
            for candidate in &candidates {
                let Some(numbers) = candidate.features else {
                    continue;
                };
                let features: Vec<String> = numbers.iter().map(|feature| format!("{feature:.4}")).collect();
                println!(
                    "{}\t{number}\t{}\t{}\t{}\t{:.4}\t{}",
                    gold.id,
                    mention.text.replace(['\t', '\n'], " "),
                    u8::from(!right.is_empty()),
                    u8::from(right.contains(&candidate.id)),
                    ranker::score(&numbers),
                    features.join("\t")
                );
            }
        }
    }
    Ok(())
}
