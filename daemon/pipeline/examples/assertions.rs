//! What a text says of mentions: `assertions FILE < PLACES`, where a place is a line `BEGIN END` in bytes. None of them is asked whether it
//! is a drug that is taken. A line for each, in their order:
//! kinds with the words that they stand on, or `-`. `tests/gold/assertions.py` compares that with readings.
#![allow(clippy::print_stdout)]

use std::io::Read;

use mednerd_pipeline::{Asked, assertions, sections, with_plain_lines};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = std::env::args().nth(1).ok_or("assertions FILE < PLACES")?;
    let (text, mut places) = (std::fs::read_to_string(path)?, String::new());
    std::io::stdin().read_to_string(&mut places)?;
    let places = places.lines().map(|line| {
        let (begin, end) = line.split_once(' ').ok_or("a place is BEGIN END")?;
        Ok((begin.parse()?, end.parse()?))
    });
    let places = places.collect::<Result<Vec<(usize, usize)>, Box<dyn std::error::Error>>>()?;
    let text = with_plain_lines(&text);
    let asked = Asked {
        mentions: &places,
        is_drug: &|_| false,
        spoken: None,
        wanted: &|| true,
    };
    for said in assertions(&text, &sections(&text), &asked).unwrap_or_default() {
        let kinds: Vec<String> = said
            .iter()
            .map(|found| format!("{:?} ({})", found.kind, found.cue).to_lowercase())
            .collect();
        println!(
            "{}",
            if kinds.is_empty() {
                "-".to_owned()
            } else {
                kinds.join("; ")
            }
        );
    }
    Ok(())
}
