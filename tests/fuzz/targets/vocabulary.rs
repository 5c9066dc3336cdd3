//! Files that vocabularies are built from, or that a hospital adds: a dictionary, the tables of a release, own names, gold. What is built
//! depends on the input alone, opens, and keeps the plugin's contract whatever it is asked.
#![no_main]

use std::collections::HashMap;
use std::fs;

use libfuzzer_sys::fuzz_target;
use mednerd_fuzz::vocabulary::{DICTIONARY, build, index, keeps_contract, link, mentions, open};
use mednerd_fuzz::{Input, file, folder, seeds};
use mednerd_umls::build::{Filters, Input as Names};
use mednerd_umls::eval::{pubtator, read_map};
use mednerd_umls::linker::Options;

/// A release: its tables with their columns and rows.
const RELEASE: [(&str, &str, &str); 6] = [
    (
        "MRCONSO.RRF",
        "CUI,LAT,TS,LUI,STT,SUI,ISPREF,AUI,SAUI,SCUI,SDUI,SAB,TTY,CODE,STR,SRL,SUPPRESS,CVF",
        "C0000001|ENG|P|L1|PF|S1|Y|A1||||MSH|MH|D009203|Myocardial Infarction|0|N||\n\
         C0000001|ENG|P|L1|PF|S1|Y|A1||||SNOMEDCT_US|PT|22298006|Myocardial infarction (disorder)|0|N||\n\
         C0000005|ENG|P|L1|PF|S1|Y|A1||||MSH|ET|D029424|COLD|0|O||\n\
         L0000006|GER|P|L1|PF|S1|Y|A1||||MSHGER|MH|D1|M\u{fc}digkeit|0|N||\n",
    ),
    (
        "MRSTY.RRF",
        "CUI,TUI,STN,STY,ATUI,CVF",
        "C0000001|T047|A|Kind|AT1||\nC0000005|T047|A|Kind|AT1||\n",
    ),
    (
        "MRSAB.RRF",
        "VCUI,RCUI,VSAB,RSAB,SON,SF,SSN,SVER,CURVER",
        "||MSH_2026|MSH||||2026|Y|\n||MTH_2026|MTH||||2026AA|Y|\n",
    ),
    (
        "MRRANK.RRF",
        "RANK,SAB,TTY,SUPPRESS",
        "0380|MSH|MH|N|\n0370|SNOMEDCT_US|PT|N|\n",
    ),
    (
        "MRDEF.RRF",
        "CUI,AUI,ATUI,SATUI,SAB,DEF,SUPPRESS,CVF",
        "C0000001|A1|AT1||MSH|Death of muscle.|N||\n",
    ),
    (
        "MRCUI.RRF",
        "CUI1,VER,REL,RELA,MAPREASON,CUI2,MAPIN",
        "C0000099|2020AA|SY|||C0000001|Y|\n",
    ),
];
const OWN: &str =
    "name\tid\taction\nheart attack\tC0027051\nAS\tC0003486|C0038454\nMS\tC0026769\tblock\n# a comment\n";
const GOLD: &str = "1|t|Heart attack\n1|a|and diabetes.\n1\t0\t12\tHeart attack\tDisease\tD009203|D1\n\n";
const MAP: &str = "D009203\tC0000001\nD1\tC0000005|C0000001\n";

fuzz_target!(
    init: {
        let tables = RELEASE.iter().enumerate().map(|(number, (_, _, rows))| [&[number as u8, 0], rows.as_bytes()].concat());
        let others = [DICTIONARY, OWN, GOLD, MAP].into_iter().zip(RELEASE.len() as u8..);
        seeds(tables.chain(others.map(|(rows, number)| [&[number, 0], rows.as_bytes()].concat())));
    },
    |bytes: &[u8]| {
        let mut input = Input(bytes);
        match input.below(RELEASE.len() + 4) {
            6 => built(|| Names::Csv(file("names.csv", input.0)), &input.text()),
            7 => own(input.0, &input.text()),
            8 => gold(input.0),
            9 => drop(read_map(&file("map.tsv", input.0))),
            changed => built(|| release(changed, input.0), &input.text()),
        }
    }
);

/// A release of which one table is another.
fn release(changed: usize, rows: &[u8]) -> Names {
    let folder = folder().join("META");
    fs::create_dir_all(&folder).unwrap();
    let mut listing = String::new();
    for (number, (name, columns, own)) in RELEASE.iter().enumerate() {
        let rows = if number == changed { rows } else { own.as_bytes() };
        fs::write(folder.join(name), rows).unwrap();
        let (count, lines) = (
            columns.split(',').count(),
            rows.split_inclusive(|byte| *byte == b'\n').count(),
        );
        listing += &format!("{name}|test|{columns}|{count}|{lines}|{}|\n", rows.len());
    }
    fs::write(folder.join("MRFILES.RRF"), listing).unwrap();
    Names::Rrf(folder)
}

fn built(names: impl Fn() -> Names, text: &str) {
    let filters = Filters {
        languages: Vec::new(),
        ..Filters::default()
    };
    let [small, large] = ["small.index", "large.index"].map(|name| folder().join(name));
    for path in [&small, &large] {
        let _ = fs::remove_file(path);
    }
    let Ok(record) = build(names(), &large, filters.clone(), 1 << 20) else {
        return;
    };
    assert_eq!(record, build(names(), &small, filters, 1).unwrap());
    assert!(
        fs::read(&large).unwrap() == fs::read(&small).unwrap(),
        "the index hangs on the memory it was built in"
    );
    let linker = open(&large, None).unwrap();
    assert_eq!(linker.index().record(), &record);
    asked(&linker, text);
}

/// Own names, over the index of the dictionary.
fn own(rows: &[u8], text: &str) {
    let path = file("own.tsv", rows);
    if let Ok(linker) = open(index(), Some(path)) {
        let lines = linker.reload().unwrap();
        assert!(linker.unknown().len() <= lines);
        asked(&linker, text);
    }
}

/// Asks for every cell of the file.
fn asked(linker: &mednerd_umls::linker::Linker, text: &str) {
    let mut places = Vec::new();
    let mut begin = 0;
    for cell in text.split(['|', '\t', ',', '\n']) {
        places.push((begin, begin + cell.len()));
        begin += cell.len() + 1;
    }
    places.truncate(40);
    for (top_k, thorough) in [(1, false), (40, true)] {
        let options = Options {
            top_k,
            thorough,
            ..Options::default()
        };
        let found = link(linker, text, &mentions(text, &places, "Disease"), &options);
        keeps_contract(&found, &options);
    }
}

fn gold(rows: &[u8]) {
    let Ok(documents) = pubtator::read(&file("gold.txt", rows)) else {
        return;
    };
    for document in &documents {
        for mention in &document.mentions {
            assert!(
                document.text.is_char_boundary(mention.begin) && document.text.is_char_boundary(mention.end)
            );
        }
    }
    let linker = open(index(), None).unwrap();
    mednerd_umls::eval::evaluate(&linker, &documents, &HashMap::new(), &[], Some(5));
}
