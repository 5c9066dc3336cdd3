//! Notes, and what must be true of every answer about one.

use mednerd_client::api::{AnnotateResponse, Entity, OffsetUnit, TextLength};
use sha2::{Digest, Sha256};

/// Has a drug and a disease that any model worth shipping finds.
pub const SENTENCE: &str = "The patient was treated with metformin for type 2 diabetes mellitus.";

/// Has nothing to find.
pub const FILLER: &str =
    "She was seen again on the ward after a quiet night and no change was made to the plan.";

/// All units.
pub const UNITS: [OffsetUnit; 3] = [
    OffsetUnit::UnicodeCodePoint,
    OffsetUnit::Utf16CodeUnit,
    OffsetUnit::Utf8Byte,
];

/// A note of at least `characters` with [`SENTENCE`] at known places, and their byte offsets.
pub fn long_note(characters: usize) -> (String, Vec<usize>) {
    let (mut text, mut places) = (String::new(), Vec::new());
    while text.len() < characters {
        // At a different distance each time, so that windows are cut at every place of a sentence.
        for _ in 0..=(places.len() * 7 % 13) {
            text.push_str(FILLER);
            text.push(' ');
        }
        places.push(text.len());
        text.push_str(SENTENCE);
        text.push(if places.len() % 3 == 0 { '\n' } else { ' ' });
    }
    (text, places)
}

/// The part of `text` between two offsets, as a client that counts in `unit` would take it.
pub fn slice(text: &str, unit: OffsetUnit, begin: u64, end: u64) -> Option<String> {
    let (begin, end) = (usize::try_from(begin).ok()?, usize::try_from(end).ok()?);
    match unit {
        OffsetUnit::Utf8Byte | OffsetUnit::Byte => text.get(begin..end).map(ToOwned::to_owned),
        OffsetUnit::Utf16CodeUnit => {
            let units: Vec<u16> = text.encode_utf16().collect();
            String::from_utf16(units.get(begin..end)?).ok()
        }
        OffsetUnit::UnicodeCodePoint => {
            let points: Vec<char> = text.chars().collect();
            points.get(begin..end).map(|points| points.iter().collect())
        }
    }
}

/// The length of `text` in every unit.
pub fn length(text: &str) -> TextLength {
    TextLength {
        utf8_byte: text.len() as u64,
        utf16_code_unit: text.encode_utf16().count() as u64,
        unicode_code_point: text.chars().count() as u64,
    }
}

/// SHA-256 of a document in hexadecimal.
pub fn sha256(document: impl AsRef<[u8]>) -> String {
    let digest = Sha256::digest(document);
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What is wrong with an answer about `text`, whatever the models are.
pub fn flaw(text: &str, answer: &AnnotateResponse) -> Option<String> {
    if answer.text_sha256 != sha256(text) {
        return Some("the digest is of another text".to_owned());
    }
    if answer.text_length != length(text) {
        return Some(format!("the length is told as {:?}", answer.text_length));
    }
    let mut before: Option<&Entity> = None;
    let mut ids = std::collections::HashSet::new();
    for entity in &answer.entities {
        let found = slice(text, answer.offset_unit, entity.begin, entity.end);
        if entity.begin >= entity.end {
            return Some(format!("an empty entity {entity:?}"));
        }
        if found.as_ref() != Some(&entity.text) {
            return Some(format!("{entity:?} but the slice is {found:?}"));
        }
        if !(0.0..=1.0).contains(&entity.score) {
            return Some(format!("a score that is no probability: {entity:?}"));
        }
        if !ids.insert(&entity.id) {
            return Some(format!("an id that is used twice: {entity:?}"));
        }
        if before.is_some_and(|before| before.begin > entity.begin) {
            return Some(format!("not in order: {before:?} {entity:?}"));
        }
        before = Some(entity);
    }
    None
}
