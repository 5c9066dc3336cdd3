//! Makes a synthetic UMLS release of any size, for measuring: `synthesize FOLDER ROWS [SEED]`.
//!
//! Like the real one in what costs time and space: 5.9 rows and 2.2 distinct English names per concept, names of one
//! to a dozen words with the law of Zipf and Mandelbrot over as many words as the release has concepts, words of Greek and Latin parts
//! (so that their trigrams are as crowded as real ones), reordered and plural variants, a third of the rows in other
//! languages, some names shared by several concepts, some suppressed.
#![allow(clippy::print_stderr)]

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::Path;

struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit.max(1)
    }

    fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }
}

const COMMON: &str = "disease disorder of the and type with in chronic acute injury left right cell tumor neoplasm benign \
    malignant structure entire syndrome deficiency infection open wound fracture closed bone skin heart lung kidney \
    liver brain artery vein nerve muscle joint upper lower limb hand foot procedure test measurement level antibody \
    antigen protein gene human product oral tablet injection solution dose extended release acid sodium due to unspecified \
    other congenital hereditary familial primary secondary severe mild history examination finding observation \
    primary stage grade carcinoma cancer pain failure insufficiency abnormality anterior posterior internal external";
/// Mandelbrot's shift of the ranks.
const SHIFT: f64 = 10.0;
const FORMS: &[&str] = &[
    "cardio", "neuro", "hepato", "nephro", "gastro", "dermo", "osteo", "arthro", "angio", "hemo", "lympho",
    "myo", "cranio", "cerebro", "pneumo", "thyro", "adeno", "chondro", "cysto", "entero", "fibro", "glyco",
    "histo", "kerato", "leuko", "melano", "oculo", "phago", "pyelo", "radio", "sclero", "spondylo",
    "thrombo", "vaso", "xantho",
];
const MIDDLES: &[&str] = &[
    "ba", "ce", "di", "fo", "gu", "la", "me", "ni", "po", "ru", "sa", "te", "vi", "xo", "zy", "bra", "cli",
    "dro", "fle", "gri", "pla", "pre", "sto", "tri", "qui", "tha", "rho", "phe", "psy", "chi",
];
const ENDS: &[&str] = &[
    "itis", "osis", "oma", "emia", "pathy", "algia", "ectomy", "plasty", "ine", "ol", "ide", "ate", "ase",
    "in", "ic", "al", "ous", "ation", "ia", "um", "ide", "one", "mab", "nib", "cillin",
];

/// The word with this rank: frequent ones are real, the others put together of parts, each its own.
fn word(rank: u64, common: &[&str], into: &mut String) {
    if let Some(word) = common.get(rank as usize) {
        into.push_str(word);
        return;
    }
    let mut left = rank;
    if rank.is_multiple_of(11) {
        let _ = write!(into, "{}", rank / 11);
        return;
    }
    if !left.is_multiple_of(3) {
        into.push_str(FORMS[(left % FORMS.len() as u64) as usize]);
    }
    loop {
        into.push_str(MIDDLES[(left % MIDDLES.len() as u64) as usize]);
        left /= MIDDLES.len() as u64;
        if left == 0 {
            break;
        }
    }
    into.push_str(ENDS[(rank.wrapping_mul(2_654_435_761) >> 7) as usize % ENDS.len()]);
}

fn name(random: &mut Random, words: u64, common: &[&str]) -> Vec<String> {
    let length = 1 + (random.unit() * random.unit() * 11.0) as usize + usize::from(random.below(3) > 0);
    (0..length)
        .map(|_| {
            // The law of Zipf and Mandelbrot: the commonest word is in a few of a hundred names.
            // A name of one word is none of the common ones, or thousands of concepts would have it.
            let rank = match length {
                1 => words / 2 + random.below(words / 2),
                _ => (SHIFT * ((words as f64 / SHIFT).ln_1p() * random.unit()).exp_m1()) as u64,
            };
            let mut text = String::new();
            word(rank, common, &mut text);
            text
        })
        .collect()
}

struct Release<'a> {
    folder: &'a Path,
    files: String,
}

impl Release<'_> {
    fn create(&self, file: &str) -> io::Result<BufWriter<File>> {
        Ok(BufWriter::with_capacity(
            1 << 20,
            File::create(self.folder.join(file))?,
        ))
    }

    fn list(&mut self, file: &str, columns: &str, rows: u64) {
        let count = columns.split(',').count();
        let _ = writeln!(
            self.files,
            "{file}|made for measuring|{columns}|{count}|{rows}|0|"
        );
    }
}

fn main() -> io::Result<()> {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, folder, rows, ..] = &arguments[..] else {
        eprintln!("usage: synthesize FOLDER ROWS [SEED]");
        std::process::exit(2);
    };
    let number = |text: &str| text.replace('_', "").parse::<u64>().map_err(io::Error::other);
    let (rows, seed) = (
        number(rows)?,
        number(arguments.get(3).map_or("1", String::as_str))?,
    );
    let folder = Path::new(folder);
    fs::create_dir_all(folder)?;
    let mut release = Release {
        folder,
        files: String::new(),
    };
    let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    let common: Vec<&str> = COMMON.split_whitespace().collect();
    let words = (rows / 12).max(2000);
    let mut conso = release.create("MRCONSO.RRF")?;
    let mut sty = release.create("MRSTY.RRF")?;
    let sources = [
        ("SNOMEDCT_US", "PT"),
        ("MSH", "MH"),
        ("NCI", "PT"),
        ("MTH", "PN"),
        ("ICD10CM", "PT"),
        ("LNC", "LN"),
    ];
    let (mut done, mut concept, mut atom) = (0, 0_u64, 0_u64);
    // Names of earlier concepts that a later one may have too.
    let mut shared = vec!["cold".to_owned()];
    while done < rows {
        concept += 1;
        let cui = format!("C{concept:07}");
        let base = name(&mut random, words, &common);
        let mut names = vec![base.join(" ")];
        for _ in 0..random.below(4).min(random.below(4)) + random.below(2) {
            let mut variant = base.clone();
            match random.below(4) {
                0 if base.len() > 1 => {
                    variant = vec![
                        format!("{},", base[base.len() - 1]),
                        base[..base.len() - 1].join(" "),
                    ]
                }
                1 => variant.push("s".to_owned()),
                2 => variant.extend(name(&mut random, words, &common).into_iter().take(1)),
                _ => variant = name(&mut random, words, &common),
            }
            names.push(variant.join(" ").replace(" s", "s"));
        }
        if random.below(50) == 0 {
            names.push(shared[random.below(shared.len() as u64) as usize].clone());
        }
        if shared.len() < 5000 {
            shared.push(names[0].clone());
        } else {
            let at = random.below(5000) as usize;
            shared[at].clone_from(&names[0]);
        }
        let foreign = random.below(5);
        let mut row = |language: &str, (sab, tty): (&str, &str), first: bool, suppress: &str, text: &str| {
            atom += 1;
            done += 1;
            let (ts, pref) = if first { ("P", "Y") } else { ("S", "N") };
            writeln!(
                conso,
                "{cui}|{language}|{ts}|L{atom:07}|PF|S{atom:07}|{pref}|A{atom:07}||{atom}||{sab}|{tty}|{atom}|{text}|0|\
                 {suppress}||"
            )
        };
        for (i, text) in names.iter().enumerate() {
            let suppress = if i > 0 && random.below(8) == 0 { "O" } else { "N" };
            row("ENG", sources[random.below(6) as usize], i == 0, suppress, text)?;
            for _ in 0..random.below(2) {
                row("ENG", sources[random.below(6) as usize], false, suppress, text)?;
            }
        }
        for _ in 0..foreign {
            let text = name(&mut random, words, &common).join(" ");
            row("SPA", ("SCTSPA", "PT"), false, "N", &text)?;
        }
        writeln!(
            sty,
            "{cui}|T{:03}|A1.2|Kind|AT{concept:08}||",
            [47, 121, 61, 23, 184, 191][(concept % 6) as usize]
        )?;
    }
    conso.flush()?;
    sty.flush()?;
    release.list(
        "MRCONSO.RRF",
        "CUI,LAT,TS,LUI,STT,SUI,ISPREF,AUI,SAUI,SCUI,SDUI,SAB,TTY,CODE,STR,SRL,SUPPRESS,CVF",
        done,
    );
    release.list("MRSTY.RRF", "CUI,TUI,STN,STY,ATUI,CVF", concept);
    let mut sab = release.create("MRSAB.RRF")?;
    let mut rank = release.create("MRRANK.RRF")?;
    for (i, (source, term)) in sources.iter().chain([&("SCTSPA", "PT")]).enumerate() {
        writeln!(sab, "||{source}_1|{source}|||1|Y|")?;
        writeln!(rank, "{:04}|{source}|{term}|N|", 400 - 10 * i)?;
    }
    let list = sources.len() as u64 + 1;
    release.list("MRSAB.RRF", "VCUI,RCUI,VSAB,RSAB,SON,SF,SVER,CURVER", list);
    release.list("MRRANK.RRF", "RANK,SAB,TTY,SUPPRESS", list);
    release.list("MRFILES.RRF", "FIL,DES,FMT,CLS,RWS,BTS", 5);
    fs::write(folder.join("MRFILES.RRF"), &release.files)?;
    eprintln!("{done} rows, {concept} concepts");
    Ok(())
}
