//! A note, from its bytes to entities and what is said of them, as `Page::annotate` puts the steps together: with the shipped lists, and with a
//! model whose findings are thrown by dice.
#![no_main]

use std::sync::{Arc, LazyLock};

use libfuzzer_sys::fuzz_target;
use mednerd_fuzz::{Dice, files, notes, seeds, slice, tree};
use mednerd_pipeline::assertions::share;
use mednerd_pipeline::lines::parts;
use mednerd_pipeline::short_forms::{Part, with_short_forms};
use mednerd_pipeline::terms::find_while;
use mednerd_pipeline::{
    Aggregation, Asked, Cover, LabelScheme, Logits, Mention, Nesting, OffsetMap, OffsetUnit, Readable,
    Section, Span, Term, Terms, TextTokenizer, WordSplitter, assertions, beside, decode, definitions,
    is_drug, section_at, sections, short_headings, stitch, windows, with_plain_lines,
};

static LISTS: LazyLock<Vec<Terms>> = LazyLock::new(|| {
    let mut lists = [Terms::default(), Terms::default()];
    for path in files("packaging/terms", ".tsv") {
        let text = std::fs::read_to_string(&path).unwrap();
        // Endings and short forms of all languages are a list of their own.
        let list = &mut lists[usize::from(path.ends_with("xx.tsv"))];
        let mut lines = text.lines().map(|line| line.split('\t').collect::<Vec<_>>());
        let header = lines.next().unwrap();
        for line in lines {
            let cell = |name| {
                header
                    .iter()
                    .position(|own| *own == name)
                    .and_then(|at| line.get(at))
                    .copied()
                    .unwrap_or("")
            };
            let term = Term {
                name: cell("name"),
                label: cell("label"),
                language: cell("language"),
                joins: cell("joins"),
                beside: cell("beside"),
            };
            list.add(term).unwrap();
        }
    }
    lists.map(Terms::tolerant).into()
});
static TOKENIZER: LazyLock<TextTokenizer> = LazyLock::new(|| {
    let checkpoint = mednerd_model::Checkpoint::open(&tree("tests/fixtures/bert/fp32")).unwrap();
    TextTokenizer::new(checkpoint.tokenizer().clone()).unwrap()
});
static SPLITTER: LazyLock<WordSplitter> = LazyLock::new(|| WordSplitter::new().unwrap());
const LABELS: [&str; 4] = ["Disease", "Chemical", "Anatomy", "disease"];
const UNITS: [OffsetUnit; 3] = [
    OffsetUnit::UnicodeCodePoint,
    OffsetUnit::Utf16CodeUnit,
    OffsetUnit::Utf8Byte,
];
/// A model beside the lists, one whose labels the client asked for, and behind them the lists.
const MODELS: usize = 2;
const ASKED: usize = 1;

fuzz_target!(
    init: {
        mednerd_fuzz::panics_are_caught();
        LazyLock::force(&LISTS);
        seeds(notes());
    },
    |bytes: &[u8]| annotate(&String::from_utf8_lossy(bytes))
);

fn annotate(text: &str) {
    let mut dice = Dice::of(text.as_bytes());
    let read = &*plain(text);
    let sections = headings(read);
    let lists: Vec<&Terms> = LISTS.iter().collect();
    let found = find_while(read, &lists, &|| true).unwrap();
    let mut ends = std::collections::HashMap::new();
    let mut last = 0;
    for name in &found.names {
        slice(text, name.begin..name.end);
        assert!(name.begin >= last, "names are out of order");
        last = name.begin;
        let end = ends.insert(name.label.to_lowercase(), name.end).unwrap_or(0);
        assert!(end <= name.begin, "two names of one label overlap");
    }
    let models = model(read, &mut dice);
    let headings = short_headings(read, &sections).map(|heading| (heading.begin, heading.end));
    let hidden: Vec<(usize, usize)> = found.hidden.iter().copied().chain(headings).collect();
    for (begin, end) in &hidden {
        slice(text, *begin..*end);
    }
    let hidden = Cover::new(hidden);
    let asked = |task: usize| task == ASKED;
    let stands =
        |mention: &Mention| asked(mention.task) || !hidden.covers(mention.span.begin, mention.span.end);
    let mut models: Vec<Mention> = models.into_iter().filter(stands).collect();
    let names: Vec<(f32, Mention)> = found
        .names
        .into_iter()
        .map(|name| {
            let span = Span {
                begin: name.begin,
                end: name.end,
                label: name.label,
                score: 0.9,
            };
            (
                0.95,
                Mention {
                    task: MODELS + name.list,
                    span,
                },
            )
        })
        .collect();
    let nesting = Nesting::of(lists.iter().copied());
    nesting.retain_undisputed(&mut models, &names, asked);
    let mentions = beside(read, models, names, asked, &|| true).unwrap();
    let definitions = definitions(read);
    for definition in &definitions {
        slice(text, definition.short.clone());
        slice(text, definition.long.clone());
    }
    let part = |task| match task {
        0 => Part::Model,
        ASKED => Part::None,
        _ => Part::List,
    };
    let mut mentions = with_short_forms(read, &definitions, mentions, part);
    mentions.retain(stands);
    let mentions = nesting.settle(read, mentions, asked, &|| true).unwrap();
    for mention in &mentions {
        slice(text, mention.span.begin..mention.span.end);
    }
    apart(&mentions);
    assert_eq!(
        nesting.settle(read, mentions.clone(), asked, &|| true).unwrap(),
        mentions,
        "settled mentions are settled"
    );
    said(read, &sections, &definitions, found.spoken, &mentions);
    offsets(text, &mentions);
    tokens(text, &mut dice);
}

fn plain(text: &str) -> std::borrow::Cow<'_, str> {
    let plain = with_plain_lines(text);
    assert_eq!(plain.len(), text.len());
    assert!(text.char_indices().all(|(at, _)| plain.is_char_boundary(at)));
    assert_eq!(with_plain_lines(&plain), plain, "plain lines are plain");
    plain
}

fn headings(text: &str) -> Vec<Section> {
    let sections = sections(text);
    let mut last = 0;
    for section in &sections {
        slice(text, section.heading.range());
        assert!(
            section.heading.begin >= last
                && section.heading.end <= section.end
                && text.is_char_boundary(section.end)
        );
        assert_eq!(section_at(&sections, section.heading.begin), Some(section.name));
        last = section.end;
    }
    sections
}

/// What models find: words of the text, some of them parts of others.
fn model(text: &str, dice: &mut Dice) -> Vec<Mention> {
    let words = SPLITTER.split(text).unwrap();
    let mut end = 0;
    for word in &words {
        assert!(word.begin >= end && !slice(text, word.range()).contains(char::is_whitespace));
        end = word.end;
    }
    let mut found = Vec::new();
    for _ in 0..words.len().min(60) {
        let first = dice.below(words.len());
        let last = (first + dice.below(5)).min(words.len() - 1);
        let task = dice.below(MODELS);
        let label: Arc<str> = LABELS[dice.below(LABELS.len())].into();
        let score = dice.below(100) as f32 / 100.0;
        let span = |begin, end| Mention {
            task,
            span: Span {
                begin,
                end,
                label: Arc::clone(&label),
                score,
            },
        };
        let (begin, end) = (words[first].begin, words[last].end);
        let mut before = begin;
        for (from, to) in parts(text, begin, end) {
            assert!(from >= before && to <= end && slice(text, from..to).trim().len() == to - from);
            before = to;
            if task == 0 {
                found.push(span(from, to));
            }
        }
        if task == ASKED {
            found.push(span(begin, end));
        }
    }
    found
}

/// Nothing but what a client asked for crosses anything else.
fn apart(mentions: &[Mention]) {
    let mut open: Vec<usize> = Vec::new();
    for Mention { span, .. } in mentions.iter().filter(|mention| mention.task != ASKED) {
        open.retain(|end| *end > span.begin);
        assert!(open.iter().all(|end| *end >= span.end), "two mentions cross");
        open.push(span.end);
    }
}

fn said(
    text: &str,
    sections: &[Section],
    definitions: &[mednerd_pipeline::Definition],
    spoken: Option<mednerd_pipeline::Spoken>,
    mentions: &[Mention],
) {
    let ask = |mentions: &[&Mention]| {
        let spans: Vec<(usize, usize)> = mentions
            .iter()
            .map(|mention| (mention.span.begin, mention.span.end))
            .collect();
        let is_drug = |index: usize| is_drug(&mentions[index].span.label);
        let asked = Asked {
            mentions: &spans,
            is_drug: &is_drug,
            spoken,
            wanted: &|| true,
        };
        let mut said = assertions(text, sections, &asked).unwrap();
        assert_eq!(said.len(), mentions.len());
        assert!(
            said.iter()
                .all(|said| said.windows(2).all(|pair| pair[0].kind < pair[1].kind))
        );
        share(definitions, &spans, &mut said);
        said
    };
    // Of several mentions on the very same words any may come first.
    let mut mentions: Vec<&Mention> = mentions.iter().collect();
    mentions.dedup_by_key(|mention| (mention.span.begin, mention.span.end));
    let found = ask(&mentions);
    mentions.reverse();
    let mut other = ask(&mentions);
    other.reverse();
    assert_eq!(found, other, "what is said hangs on the order of mentions");
}

fn offsets(text: &str, mentions: &[Mention]) {
    let map = OffsetMap::new(text);
    let at = mentions
        .iter()
        .flat_map(|mention| [mention.span.begin, mention.span.end])
        .chain([text.len()]);
    for at in at {
        let before = &text[..at];
        let counted = [before.chars().count(), before.encode_utf16().count(), at];
        assert_eq!(UNITS.map(|unit| map.convert(at, unit)), counted);
    }
}

/// Tokens of the text as received, and logits of windows put together, are those of the whole; what is decoded of them are slices.
fn tokens(text: &str, dice: &mut Dice) {
    let read = Readable::new(text);
    let tokens = TOKENIZER.tokenise(read.text()).unwrap();
    let tokens = read.as_received(tokens).unwrap();
    let (capacity, overlap) = (8 + dice.below(60), dice.below(8));
    let windows = windows(text, &tokens, capacity, overlap).unwrap();
    let scheme = LabelScheme::from_labels(&["O", "B-A", "I-A", "B-B", "I-B"]).unwrap();
    let values = |range: std::ops::Range<usize>| {
        let rows = range.flat_map(|row| {
            let mut dice = Dice::of(&[tokens.ids()[row].to_le_bytes(), (row as u32).to_le_bytes()].concat());
            [(); 5].map(|()| dice.below(64) as f32 / 16.0)
        });
        Logits::new(scheme.len(), rows.collect()).unwrap()
    };
    assert!(windows.iter().all(|window| window.tokens.len() <= capacity));
    let parts: Vec<Logits> = windows
        .iter()
        .map(|window| values(window.tokens.clone()))
        .collect();
    let whole = stitch(scheme.len(), &windows, &parts).unwrap();
    assert_eq!(whole, values(0..tokens.len()), "windows do not make the whole");
    let probabilities = whole.softmax().unwrap();
    for aggregation in [
        Aggregation::Simple,
        Aggregation::First,
        Aggregation::Average,
        Aggregation::Max,
    ] {
        let mut end = 0;
        for span in decode(text, &tokens, &probabilities, &scheme, aggregation).unwrap() {
            assert!(
                span.begin >= end && slice(text, span.begin..span.end).trim().len() == span.end - span.begin
            );
            assert!((0.0..=1.000_001).contains(&span.score));
            end = span.end;
        }
    }
}
