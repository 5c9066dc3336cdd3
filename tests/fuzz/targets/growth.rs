//! Time: a text that goes on and on takes each step time in proportion, whatever is repeated. Processor time is compared, and
//! doubt is settled by looking again.
#![no_main]

use std::sync::LazyLock;
use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use mednerd_fuzz::vocabulary::{index, link, mentions, open};
use mednerd_fuzz::{notes, seeds};
use mednerd_pipeline::{
    Asked, Readable, Terms, WordSplitter, assertions, definitions, sections, short_headings, terms,
    with_plain_lines,
};
use mednerd_umls::linker::{Linker, Options};
use nix::time::{ClockId, clock_gettime};

/// Bytes of the shorter text, and how many times longer the other is.
const SHORT: usize = 4 << 10;
const LONGER: usize = 8;
/// So much more than in proportion is too much.
const TOO_MUCH: u32 = 3;
/// What takes less is not measured.
const LEAST: Duration = Duration::from_millis(20);

static LIST: LazyLock<Terms> = LazyLock::new(|| {
    let mut list = Terms::default();
    for line in std::fs::read_to_string(mednerd_fuzz::tree("packaging/terms/en.tsv"))
        .unwrap()
        .lines()
        .skip(1)
        .step_by(7)
    {
        let mut cells = line.split('\t');
        let mut cell = || cells.next().unwrap_or("");
        let (name, label, language, joins) = (cell(), cell(), cell(), cell());
        list.add(mednerd_pipeline::Term {
            name,
            label,
            language,
            joins,
            beside: "",
        })
        .unwrap();
    }
    list.tolerant()
});
static SPLITTER: LazyLock<WordSplitter> = LazyLock::new(|| WordSplitter::new().unwrap());

/// What something is looked for before or behind.
const PIECES: [&str; 36] = [
    "(",
    "(a",
    "[",
    "AB (",
    "a) ",
    "A",
    "ABC ",
    "A-",
    "-",
    "a-b ",
    "\n",
    "\n\n",
    ":",
    "PMH:",
    "PMH: a\n",
    "1. ",
    "1",
    "1/",
    "/",
    ", ",
    "and ",
    "no ",
    "no a, ",
    "mother ",
    "[x] ",
    "[ ] a ",
    "\u{2610}",
    "\u{301}",
    "\u{fb01}",
    "\u{130}",
    "?",
    ".",
    "history of ",
    "due to ",
    "2019 ",
    "a\r",
];

static LINKER: LazyLock<Linker> = LazyLock::new(|| open(index(), None).unwrap());

type Step = (&'static str, fn(&str));
const STEPS: [Step; 9] = [
    ("lines", |text| drop(with_plain_lines(text))),
    ("readable", |text| drop(Readable::new(text))),
    ("words", |text| drop(SPLITTER.split(text))),
    ("sections", |text| {
        short_headings(text, &sections(text)).for_each(drop)
    }),
    ("names", |text| drop(terms::find(text, &[&LIST]))),
    ("definitions", |text| drop(definitions(text))),
    ("links of words", |text| {
        let words = SPLITTER.split(text).unwrap();
        let places: Vec<(usize, usize)> = words
            .iter()
            .step_by(5)
            .map(|word| (word.begin, word.end))
            .collect();
        drop(link(
            &LINKER,
            text,
            &mentions(text, &places, "Disease"),
            &Options::default(),
        ));
    }),
    ("links of all of it", |text| {
        let options = Options {
            top_k: 5,
            ..Options::default()
        };
        drop(link(
            &LINKER,
            text,
            &mentions(text, &[(0, text.len())], ""),
            &options,
        ));
    }),
    ("assertions", |text| {
        let words = SPLITTER.split(text).unwrap();
        let mentions: Vec<(usize, usize)> = words
            .iter()
            .step_by(3)
            .map(|word| (word.begin, word.end))
            .collect();
        let asked = Asked {
            mentions: &mentions,
            is_drug: &|index| index % 2 == 0,
            spoken: None,
            wanted: &|| true,
        };
        drop(assertions(text, &sections(text), &asked));
    }),
];

fuzz_target!(
    init: {
        LazyLock::force(&LIST);
        LazyLock::force(&LINKER);
        let lines = notes().flat_map(|note| note.split(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect::<Vec<_>>());
let lines = lines.filter(|line| line.len() > 20).step_by(9);
        seeds(lines.chain(PIECES.iter().map(|piece| piece.as_bytes().to_vec())));
    },
    |bytes: &[u8]| {
        let piece = String::from_utf8_lossy(bytes);
        if piece.is_empty() || piece.len() > SHORT / 4 {
            return;
        }
        let text = |bytes: usize| with_plain_lines(&piece.repeat(bytes.div_ceil(piece.len()))).into_owned();
        let (short, long) = (text(SHORT), text(SHORT * LONGER));
        for (name, step) in STEPS {
            let grows = || {
                let (own, all) = (time(step, &short), time(step, &long));
                (all > LEAST && all > own * LONGER as u32 * TOO_MUCH).then_some((own, all))
            };
            if grows().is_some() && grows().is_some() && let Some((own, all)) = grows() {
                panic!("{name}: {own:?} for {} bytes, {all:?} for {}", short.len(), long.len());
            }
        }
    }
);

fn time(step: fn(&str), text: &str) -> Duration {
    let now = || Duration::from(clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).unwrap());
    let begun = now();
    step(text);
    now() - begun
}
