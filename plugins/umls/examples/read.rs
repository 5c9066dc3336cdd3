//! Prints how texts are read in a language: `cargo run --release --example read -- de "Niereninsuffizienz" …`; with no texts, each line of the standard
//! input. For those who change a lexicon.

#![allow(clippy::print_stdout, clippy::print_stderr)]

use std::io::BufRead;

use mednerd_languages::CODES;
use mednerd_umls::text::Forms;

fn main() {
    let mut arguments = std::env::args().skip(1);
    let code = arguments.next().unwrap_or_default();
    let Some(at) = CODES.iter().position(|known| *known == code) else {
        eprintln!("the first argument is one of {}", CODES.join(", "));
        std::process::exit(2);
    };
    let read = |text: &str| println!("{text}: {}", Forms::of(text, 1 << at).words.join(" "));
    let mut texts = arguments.peekable();
    if texts.peek().is_some() {
        texts.for_each(|text| read(&text));
    } else {
        let lines = std::io::stdin().lock().lines();
        lines.map_while(Result::ok).for_each(|text| read(&text));
    }
}
