//! The short forms that the text on the standard input defines, one a line, and behind a tab what each stands for.
#![allow(clippy::print_stdout)]

use std::io::Read;

use mednerd_abbreviations::definitions;

fn main() -> std::io::Result<()> {
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text)?;
    for definition in definitions(&text) {
        let long: Vec<&str> = text[definition.long].split_whitespace().collect();
        println!("{}\t{}", &text[definition.short], long.join(" "));
    }
    Ok(())
}
