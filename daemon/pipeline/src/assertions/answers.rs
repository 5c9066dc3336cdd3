//! Answers of forms whose tick boxes are words: "Fieber ja ( ) nein (x)", "fever [ ] yes [x] no".

use crate::folding::{fold, words};

/// Words for yes and no beside a box, folded, and for what is neither.
const YES: [&str; 9] = ["yes", "ja", "oui", "si", "sim", "y", "j", "o", "s"];
const NO: [&str; 6] = ["no", "nein", "non", "nee", "nao", "n"];
const NEITHER: [&str; 8] = [
    "unknown",
    "unbekannt",
    "inconnu",
    "desconocido",
    "sconosciuto",
    "ignoto",
    "onbekend",
    "desconhecido",
];
/// Bytes from a mention to the boxes of its answer, at most.
const REACH: usize = 48;
/// Characters of a box behind its bracket, at most.
const WITHIN_BOX: usize = 6;

/// A group of boxes for yes and no.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Answer {
    /// Its first byte.
    pub(super) begin: usize,
    /// One past its last byte.
    pub(super) end: usize,
    /// Whether "no" is ticked, and nothing else.
    is_no: bool,
}

/// What a line of a form has, with its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Box(bool),
    Yes,
    No,
    Neither,
    Other,
}

/// The groups of a text, in their order. Takes time linear in it.
pub(super) fn answers(text: &str) -> Vec<Answer> {
    let mut found = Vec::new();
    let mut begin = 0;
    for line in text.split_inclusive('\n') {
        of_line(line, begin, &mut found);
        begin += line.len();
    }
    found
}

fn of_line(line: &str, offset: usize, found: &mut Vec<Answer>) {
    let parts = parts(line);
    let mut at = 0;
    while let Some([a, b, c, d]) = parts.get(at..at + 4).and_then(|four| four.first_chunk()) {
        use Part::{Box, No, Yes};
        // The word before its box, or behind it.
        let (ticks, behind) = match (a.0, b.0, c.0, d.0) {
            (Yes, Box(yes), No, Box(no)) | (No, Box(no), Yes, Box(yes)) => ((yes, no), true),
            (Box(yes), Yes, Box(no), No) | (Box(no), No, Box(yes), Yes) => ((yes, no), false),
            _ => {
                at += 1;
                continue;
            }
        };
        let (mut end, mut ticked) = (d.2, false);
        at += 4;
        // "ja [ ] nein [ ] unbekannt [x]".
        if let Some([e, f]) = parts.get(at..at + 2).and_then(|two| two.first_chunk())
            && let (Part::Neither, Box(third), true) | (Box(third), Part::Neither, false) = (e.0, f.0, behind)
        {
            (end, ticked) = (f.2, third);
            at += 2;
        }
        found.push(Answer {
            begin: offset + a.1,
            end: offset + end,
            is_no: ticks == (false, true) && !ticked,
        });
    }
}

/// The boxes of a line, and the words between them, with their bytes. What may stand between a box and its word is left out.
fn parts(line: &str) -> Vec<(Part, usize, usize)> {
    let mut parts = Vec::new();
    if !line.contains(['[', '(', '\u{2610}', '\u{2611}', '\u{2612}']) {
        return parts;
    }
    let mut folded = String::new();
    let mut all = words(line).peekable();
    while let Some(word) = all.next() {
        folded.clear();
        fold(line.get(word.range()).unwrap_or_default(), &mut folded);
        let part = match &*folded {
            "[" | "(" => {
                let close = if folded == "[" { ']' } else { ')' };
                let rest = line.get(word.end..).unwrap_or_default();
                let closed = rest.char_indices().take(WITHIN_BOX).find(|(_, c)| *c == close);
                let inner = closed.and_then(|(at, _)| rest.get(..at));
                let ticked = match inner.map(str::trim) {
                    Some("" | "_") => false,
                    Some("x" | "X" | "\u{2713}" | "\u{2714}" | "\u{2717}" | "\u{2718}") => true,
                    _ => {
                        parts.push((Part::Other, word.begin, word.end));
                        continue;
                    }
                };
                let end = word.end + inner.map_or(0, str::len) + 1;
                while all.next_if(|inside| inside.begin < end).is_some() {}
                parts.push((Part::Box(ticked), word.begin, end));
                continue;
            }
            "\u{2610}" => Part::Box(false),
            "\u{2611}" | "\u{2612}" => Part::Box(true),
            "/" | "|" | "," | ";" | ":" | "-" | "." => continue,
            word if YES.contains(&word) => Part::Yes,
            word if NO.contains(&word) => Part::No,
            word if NEITHER.contains(&word) => Part::Neither,
            _ => Part::Other,
        };
        parts.push((part, word.begin, word.end));
    }
    parts
}

/// Whether a word is an answer.
pub(super) fn is_answer(word: &str) -> bool {
    let mut folded = String::new();
    fold(word, &mut folded);
    folded.len() > 1 && (YES.contains(&&*folded) || NO.contains(&&*folded))
}

/// Whether these words ask for an answer: "yes", "no".
pub(super) fn are_yes_and_no(yes: &str, no: &str) -> bool {
    YES.contains(&yes) && NO.contains(&no)
}

/// Whether the answer to what stands at these bytes is no.
pub(super) fn is_no(text: &str, answers: &[Answer], (begin, end): (usize, usize)) -> bool {
    let next = answers.partition_point(|answer| answer.begin < end);
    let before = next.checked_sub(1).and_then(|before| answers.get(before));
    let Some(answer) = answers.get(next).filter(|answer| answer.is_no) else {
        return false;
    };
    answer.begin - end <= REACH
        && before.is_none_or(|before| before.end <= begin)
        && text
            .get(end..answer.begin)
            .is_some_and(|gap| !gap.contains(['\n', ';', '.', '[', '\u{2610}', '\u{2611}', '\u{2612}']))
}

/// The group that a byte stands in.
pub(super) fn group_at(answers: &[Answer], at: usize) -> Option<&Answer> {
    let next = answers.partition_point(|answer| answer.begin <= at);
    let before = next.checked_sub(1).and_then(|before| answers.get(before));
    before.filter(|answer| at < answer.end)
}
