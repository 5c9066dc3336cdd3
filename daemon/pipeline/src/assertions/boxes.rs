//! Tick boxes without words.

use super::answers::{Answer, group_at};

/// Whether a tick box that is empty stands directly before a mention, or is one of the things between "/" behind it; or directly behind it,
/// where the boxes of its line stand behind what they are for: "Cough [x] Fever [ ]".
pub(super) fn has_empty_box(text: &str, answers: &[Answer], (begin, end): (usize, usize)) -> bool {
    let from = text.floor_char_boundary(begin.saturating_sub(LINE_REACH));
    let to = text.ceil_char_boundary(end.saturating_add(LINE_REACH).min(text.len()));
    let before = text.get(from..begin).unwrap_or_default();
    let line = begin - before.rsplit('\n').next().unwrap_or_default().len();
    let whole = text.get(line..to).unwrap_or_default();
    let whole = whole.split('\n').next().unwrap_or_default().trim();
    let mut boxes = EMPTY.iter().chain(&TICKED);
    let is_led = boxes.clone().any(|form| whole.starts_with(form));
    if !is_led && boxes.any(|form| whole.ends_with(form)) {
        let behind = text.get(end..).unwrap_or_default().trim_start_matches([' ', ':']);
        return EMPTY.iter().any(|form| behind.starts_with(form))
            && TICKED.iter().any(|form| whole.contains(form));
    }
    let from = text.floor_char_boundary(begin.saturating_sub(BOX_REACH));
    let before = text.get(from..begin).unwrap_or_default();
    let last = |forms: &[&str]| {
        forms
            .iter()
            .filter_map(|form| Some((before.rfind(form)?, form.len())))
            .max()
    };
    let Some((place, length)) = last(&EMPTY) else {
        return false;
    };
    let between = before.get(place + length..).unwrap_or_default();
    // A cell of its own, or a tab: "[ ]\tangina". Elsewhere a cell behind a box has something else in it.
    let between = match is_led {
        true => between.trim_start_matches(['\t', ' ']),
        false => between,
    };
    last(&TICKED).is_none_or(|(ticked, _)| ticked < place)
        && group_at(answers, from + place).is_none()
        && !between.contains(['\n', '\t', ',', ':', ';', '.', '[', '('])
        && !between.contains("   ")
}

/// Tick boxes, and how far behind one something may stand, in bytes.
const EMPTY: [&str; 4] = ["[ ]", "[]", "( )", "\u{2610}"];

pub(super) const TICKED: [&str; 6] = ["[x]", "[X]", "(x)", "(X)", "\u{2611}", "\u{2612}"];

const BOX_REACH: usize = 28;

/// Bytes that the line of a mention is looked at, before it and behind it.
const LINE_REACH: usize = 200;

/// What says that something behind one is absent.
pub(super) const BOX: &str = "an empty tick box";

/// What says so of something before boxes for yes and no.
pub(super) const TICKED_NO: &str = "no, ticked";
