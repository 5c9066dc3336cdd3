//! Any text and any mentions of it, asked of a sound vocabulary with the hospital's own names: the same answer in whatever order mentions come,
//! and one that keeps the plugin's contract.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use mednerd_fuzz::vocabulary::{index, keeps_contract, link, mentions, open};
use mednerd_fuzz::{Input, file, notes, seeds};
use mednerd_umls::linker::{Linker, Options};

static LINKER: LazyLock<Linker> = LazyLock::new(|| {
    let own = "name\tid\nthe sugar\tC0011849\nFuß\tOWN1\nCold\tC0009443\tblock\nMI\tC0027051|OWN2\n";
    open(index(), Some(file("own.tsv", own))).unwrap()
});
const LABELS: [&str; 4] = ["", "Disease", "Chemical", "Anatomy"];

fuzz_target!(
    init: {
        let text: &[u8] = b"Heart attack (MI), type 2 diabetes mellitus and cold. Diabetic foot ulcer (DFU); asprin. DFU heals. No MI.";
        let header = [5, 0, 1, 0, 4, 0, 0, 12, 14, 2, 19, 24, 48, 4, 54, 19, 75, 3, 81, 6];
        let german = "Der Patient hat KHK, Z. n. Herzinfarkt (HI) und eine Niereninsuffizienz, chronisch. Übelkeit und Erbrechen; Novalgin, ASS.".as_bytes();
        let texts = [text, german].map(|text| [&header[..], text].concat());
        // Some of each language.
        seeds(texts.into_iter().chain(notes().step_by(7).map(|note| [&header[..], &note].concat())));
    },
    |bytes: &[u8]| {
        let mut input = Input(bytes);
        let options = Options { top_k: 1 + input.below(60), thorough: input.below(2) == 1, ..Options::default() };
        let count = input.below(9);
        let wide: Vec<[u8; 2]> = (0..count).map(|_| input.take()).collect();
        let label = LABELS[count % 4];
        let text = input.text();
        let mut end = 0;
        let places: Vec<(usize, usize)> = wide
            .iter()
            .map(|[skip, length]| {
                // Some before the last, and some beyond the text.
                let begin = (end + usize::from(*skip)).saturating_sub(usize::from(*skip > 200) * 220);
                end = begin + usize::from(*length);
                (begin, end)
            })
            .collect();
        let mut mentions = mentions(&text, &places, label);
        let found = link(&LINKER, &text, &mentions, &options);
        keeps_contract(&found, &options);
        mentions.reverse();
        let mut other = link(&LINKER, &text, &mentions, &options);
        other.reverse();
        assert_eq!(found, other, "the answer hangs on the order of mentions");
    }
);
