//! A small release, written for the tests.
#![allow(clippy::unwrap_used, clippy::expect_used, dead_code)]

use std::fs;
use std::path::{Path, PathBuf};

use mednerd_umls::Error;
use mednerd_umls::build::{Build, Filters, Input};
use mednerd_umls::index::Record;
use mednerd_umls::linker::{Candidate, Document, Linker, Mention, Options, Settings};
use tempfile::TempDir;

const CONSO: &str = "CUI,LAT,TS,LUI,STT,SUI,ISPREF,AUI,SAUI,SCUI,SDUI,SAB,TTY,CODE,STR,SRL,SUPPRESS,CVF";

/// A release in a folder of its own; files may be changed before it is built.
pub struct Release {
    pub folder: TempDir,
    files: Vec<(String, String, String)>,
}

impl Release {
    /// A few concepts, two languages, a suppressed and a retired one.
    pub fn small() -> Self {
        let atom = |cui: &str, lat: &str, sab: &str, tty: &str, code: &str, name: &str, suppress: &str| {
            format!("{cui}|{lat}|P|L1|PF|S1|Y|A1||||{sab}|{tty}|{code}|{name}|0|{suppress}||\n")
        };
        let conso = [
            atom(
                "C0000001",
                "ENG",
                "MSH",
                "MH",
                "D009203",
                "Myocardial Infarction",
                "N",
            ),
            atom(
                "C0000001",
                "ENG",
                "SNOMEDCT_US",
                "PT",
                "22298006",
                "Myocardial infarction (disorder)",
                "N",
            ),
            atom(
                "C0000001",
                "ENG",
                "ICD10CM",
                "PT",
                "I21",
                "Acute myocardial infarction",
                "N",
            ),
            atom("C0000001", "ENG", "MTH", "PN", "NOCODE", "Heart attack", "N"),
            atom(
                "C0000001",
                "SPA",
                "MSHSPA",
                "MH",
                "D009203",
                "Infarto del miocardio",
                "N",
            ),
            atom("C0000002", "ENG", "MSH", "MH", "D001943", "Breast Neoplasms", "N"),
            atom("C0000002", "ENG", "MSH", "ET", "D001943", "Breast Cancer", "N"),
            atom(
                "C0000003",
                "ENG",
                "MSH",
                "MH",
                "D010051",
                "Ovarian Neoplasms",
                "N",
            ),
            atom("C0000003", "ENG", "MSH", "ET", "D010051", "Ovarian cancer", "N"),
            atom("C0000004", "ENG", "MSH", "MH", "D003139", "Common Cold", "N"),
            atom("C0000004", "ENG", "MSH", "ET", "D003139", "Cold", "N"),
            atom("C0000005", "ENG", "MSH", "ET", "D029424", "COLD", "N"),
            atom(
                "C0000005",
                "ENG",
                "MSH",
                "MH",
                "D029424",
                "Pulmonary Disease, Chronic Obstructive",
                "N",
            ),
            atom("C0000006", "ENG", "RXNORM", "IN", "1191", "aspirin", "N"),
            atom("C0000006", "ENG", "RXNORM", "SY", "1191", "old aspirin name", "O"),
            atom(
                "C0000007",
                "ENG",
                "MSH",
                "MH",
                "D020388",
                "Muscular Dystrophy, Duchenne",
                "N",
            ),
            atom("C0000008", "ENG", "MSH", "MH", "D006973", "Hypertension", "N"),
        ]
        .concat();
        let types: String = (1..=8)
            .map(|i| {
                format!(
                    "C000000{i}|{}|A|Kind|AT1||\n",
                    if i == 6 { "T121" } else { "T047" }
                )
            })
            .collect();
        let sab = ["MTH", "MSH", "SNOMEDCT_US", "ICD10CM", "RXNORM", "MSHSPA"]
            .map(|sab| {
                format!(
                    "||{sab}_2026|{sab}||||{}|Y|\n",
                    if sab == "MTH" { "2026AA" } else { "2026" }
                )
            })
            .concat();
        let rank =
            "0400|MTH|PN|N|\n0380|MSH|MH|N|\n0370|SNOMEDCT_US|PT|N|\n0360|MSH|ET|N|\n0350|RXNORM|IN|N|\n";
        let files = [
            ("MRCONSO.RRF", CONSO, conso),
            ("MRSTY.RRF", "CUI,TUI,STN,STY,ATUI,CVF", types),
            ("MRSAB.RRF", "VCUI,RCUI,VSAB,RSAB,SON,SF,SSN,SVER,CURVER", sab),
            ("MRRANK.RRF", "RANK,SAB,TTY,SUPPRESS", rank.to_owned()),
            (
                "MRDEF.RRF",
                "CUI,AUI,ATUI,SATUI,SAB,DEF,SUPPRESS,CVF",
                "C0000001|A1|AT1||MSH|Death of muscle.|N||\n".to_owned(),
            ),
            (
                "MRCUI.RRF",
                "CUI1,VER,REL,RELA,MAPREASON,CUI2,MAPIN",
                "C0000099|2020AA|SY|||C0000001|Y|\n".to_owned(),
            ),
        ];
        Self {
            folder: tempfile::tempdir().unwrap(),
            files: files
                .map(|(name, columns, text)| (name.to_owned(), columns.to_owned(), text))
                .to_vec(),
        }
    }

    pub fn text(&mut self, file: &str) -> &mut String {
        &mut self.files.iter_mut().find(|(name, ..)| name == file).unwrap().2
    }

    pub fn columns(&mut self, file: &str) -> &mut String {
        &mut self.files.iter_mut().find(|(name, ..)| name == file).unwrap().1
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes the files, with MRFILES.RRF to fit.
    pub fn write(&self) {
        let mut listing = String::new();
        for (name, columns, text) in &self.files {
            fs::write(self.path(name), text).unwrap();
            let (count, rows) = (columns.split(',').count(), text.lines().count());
            listing += &format!("{name}|test|{columns}|{count}|{rows}|{}|\n", text.len());
        }
        fs::write(self.path("MRFILES.RRF"), listing).unwrap();
    }

    pub fn build(&self, filters: Filters, memory: usize) -> Result<Record, Error> {
        Build {
            input: Input::Rrf(self.folder.path().to_owned()),
            out: self.path("index"),
            filters,
            memory,
        }
        .run(&mut ())
    }

    /// Writes, builds and opens.
    pub fn linker(&self) -> Linker {
        self.write();
        self.build(Filters::default(), 1 << 20).unwrap();
        open(&self.path("index"), None)
    }
}

/// Builds with the filters that are the default.
pub fn build(input: Input, out: &Path) -> Result<Record, Error> {
    Build {
        input,
        out: out.to_owned(),
        filters: Filters::default(),
        memory: 1 << 20,
    }
    .run(&mut ())
}

pub fn open(index: &Path, synonyms: Option<PathBuf>) -> Linker {
    Linker::open(Settings {
        index: index.to_owned(),
        synonyms,
        ..Settings::default()
    })
    .unwrap()
}

/// Candidates of mentions, each with the label that a model gave it, found where it first stands behind the one before.
pub fn link_labelled(
    linker: &Linker,
    text: &str,
    mentions: &[(&str, &str)],
    options: &Options,
) -> Vec<Vec<Candidate>> {
    let mut from = 0;
    let mentions: Vec<Mention<'_>> = mentions
        .iter()
        .map(|(mention, label)| {
            let begin = from + text[from..].find(mention).unwrap();
            from = begin + mention.len();
            Mention::within(text, begin..from, label)
        })
        .collect();
    let document = Document {
        text,
        mentions: &mentions,
    };
    linker.link(&document, options)
}

/// The same without labels.
pub fn link_in(linker: &Linker, text: &str, mentions: &[&str], options: &Options) -> Vec<Vec<Candidate>> {
    let mentions: Vec<(&str, &str)> = mentions.iter().map(|mention| (*mention, "")).collect();
    link_labelled(linker, text, &mentions, options)
}

pub fn link(linker: &Linker, text: &str) -> Vec<Candidate> {
    link_as(linker, text, "")
}

/// As the model would have labelled it.
pub fn link_as(linker: &Linker, text: &str, label: &str) -> Vec<Candidate> {
    let options = Options {
        top_k: 10,
        ..Options::default()
    };
    link_labelled(linker, text, &[(text, label)], &options).remove(0)
}

pub fn first(linker: &Linker, text: &str) -> Option<(String, String)> {
    link(linker, text)
        .into_iter()
        .next()
        .map(|candidate| (candidate.id, candidate.matched))
}

/// A dictionary in CSV.
pub fn dictionary(rows: &str) -> (TempDir, Result<Record, Error>) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("dictionary.csv");
    fs::write(&path, rows).unwrap();
    let record = build(Input::Csv(path), &folder.path().join("index"));
    (folder, record)
}
