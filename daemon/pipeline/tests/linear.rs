//! What reads a whole text takes time linear in it, whatever the text: eight times as much of the same takes some eight times as long, and not
//! sixty-four. What the kernel counts for this thread is compared with itself alone, the least of several, so that a busy machine does not
//! matter.
#![allow(clippy::unwrap_used)]

use std::hint::black_box;

use mednerd_pipeline::short_forms::{Part, with_short_forms};
use mednerd_pipeline::terms::find;
use mednerd_pipeline::{
    Asked, Mention, Nesting, Readable, Span, Term, Terms, assertions, beside, definitions, sections,
    short_headings, with_plain_lines,
};

/// Repeated, with the mention `asthma` in most of them.
const UNITS: &[&str] = &[
    "He has asthma. ",
    "He has asthma. \n",
    "asthma ",
    "asthma, ",
    "asthma. ",
    "asthma + ",
    "asthma - ",
    "asthma: ",
    "asthma; ",
    "asthma | no | ",
    "asthma\tno\t",
    "asthma   no   ",
    "asthma (x) ",
    "( ) asthma (x) ",
    "[ ] asthma [x] ",
    "(asthma ",
    "asthma) ",
    "no asthma ",
    "no asthma, ",
    "no asthma or ",
    "no asthma and he has ",
    "asthma no ",
    "asthma: no ",
    "asthma? no ",
    "? asthma ",
    "denies: - asthma ",
    "Denies:\n- asthma\n",
    "1. asthma ",
    "1. asthma\n",
    "- asthma\n",
    "PMH: asthma ",
    "PMH: asthma\n",
    "PMH:\nasthma\n\n",
    "FH: mother asthma, ",
    "if asthma return ",
    "rule out asthma ",
    "asthma in 2005 ",
    "5 day h/o asthma ",
    "deep asthma (DA) and DA ",
    "ASTHMA ",
    "asth-\nma asthma ",
    "\u{b}asthma",
    "s/p asthma ",
    "asthma\r",
    "kein Asthma, asthma ",
    "pas d'asthme, asthma ",
    ":",
    ". ",
    "\t",
    "((",
    "a",
    "deep asthma deep ",
    "ashtma ",
];

/// All that is done with a text beside what the models do.
fn read(text: &str, list: &Terms) {
    let text = with_plain_lines(text);
    black_box(Readable::new(&text));
    let headings = sections(&text);
    black_box(short_headings(&text, &headings).count());
    let names = find(&text, &[list]).names.into_iter().map(|name| {
        let (begin, end, label) = (name.begin, name.end, name.label);
        let span = Span {
            begin,
            end,
            label,
            score: 0.8,
        };
        (0.9, Mention { task: 0, span })
    });
    let (nobody, wanted) = (|_| false, || true);
    let found = beside(&text, Vec::new(), names.collect(), nobody, &wanted).unwrap();
    let found = with_short_forms(&text, &definitions(&text), found, |_| Part::List);
    let found = Nesting::of([list]).settle(&text, found, nobody, &wanted).unwrap();
    let mentions: Vec<(usize, usize)> = found
        .iter()
        .map(|found| (found.span.begin, found.span.end))
        .collect();
    let asked = Asked {
        mentions: &mentions,
        is_drug: &|_| false,
        spoken: None,
        wanted: &wanted,
    };
    assert_eq!(
        assertions(&text, &headings, &asked).unwrap().len(),
        mentions.len()
    );
}

/// The kernel counts no finer than this.
const TICK: u64 = 4_000_000;

#[test]
fn eight_times_the_text_takes_no_square_of_that() {
    let mut list = Terms::default();
    for (name, joins) in [("asthma", ""), ("deep asthma", ""), ("deep", "Disease")] {
        let label = if joins.is_empty() { "Disease" } else { "Anatomy" };
        let term = Term {
            name,
            label,
            language: "en",
            joins,
            beside: "",
        };
        list.add(term).unwrap();
    }
    let list = list.tolerant();
    // Nanoseconds that this thread has had of a core, as far as the clock has ticked.
    let spent = || -> u64 {
        let told = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
        told.split(' ').next().unwrap().parse().unwrap()
    };
    let least = |text: &str| {
        let times = (0..2).map(|_| {
            let begun = spent();
            read(text, &list);
            spent() - begun
        });
        times.min().unwrap().max(TICK)
    };
    let mut slow = Vec::new();
    for unit in UNITS {
        let of = |bytes: usize| least(&unit.repeat(bytes / unit.len()));
        let ratio = of(400_000) / of(50_000);
        if ratio > 20 {
            slow.push(format!("{unit:?}: {ratio} times as long"));
        }
    }
    assert!(slow.is_empty(), "{slow:#?}");
}
