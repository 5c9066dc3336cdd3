//! What must be true of a plugin's answers. Checked in its host and, since a host that has run vendor code is
//! not to be believed, again in the daemon. No message quotes an answer.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{self, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use crate::types::{Concept, Decoded, NormalizeOptions, Piece, Span, Task, Vocabulary};

/// The longest identifier, name or code.
pub const MAX_STRING: usize = 4096;
/// The most semantic types, codings, labels, vocabularies or formats.
pub const MAX_LIST: usize = 1024;

/// What an answer breaks.
///
/// On its way from a host to the daemon it is numbers: words come from this file alone, whoever sends them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, thiserror::Error)]
#[serde(into = "Wire")]
pub enum Breach {
    /// Results for another number of documents or mentions than were asked for.
    #[error("it answered {found} {what} where {expected} were asked for")]
    Count {
        /// Of what.
        what: &'static str,
        /// What came.
        found: usize,
        /// What was asked for.
        expected: usize,
    },
    /// Too many of something.
    #[error("it gave {found} {what} where {limit} are allowed")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// What came.
        found: usize,
        /// The limit.
        limit: usize,
    },
    /// A string that is empty, too long or not of the letters it must be.
    #[error("it gave a {0} that is empty, too long or has letters that it must not have")]
    String(&'static str),
    /// A string that is not UTF-8.
    #[error("it gave a {0} that is not UTF-8")]
    Utf8(&'static str),
    /// A score that is no probability.
    #[error("it gave a score that is not between 0 and 1")]
    Score,
    /// Candidates that are not best first.
    #[error("it gave candidates that are not best first")]
    Order,
    /// A vocabulary that was not declared or not asked for.
    #[error("it gave a concept of a vocabulary that it did not declare or that was not asked for")]
    Vocabulary,
    /// A label that was not declared.
    #[error("it gave a span with a label that it did not declare")]
    Label,
    /// Offsets out of range or within a character.
    #[error("it gave offsets that are out of range or within a character")]
    Offsets,
    /// Pieces that leave gaps, overlap or go back.
    #[error("it gave a map of the text with gaps, overlaps or steps back")]
    Pieces,
    /// Two vocabularies, labels or formats of one name.
    #[error("it declares two {0} of one name")]
    Duplicate(&'static str),
    /// A list that may not be empty.
    #[error("it declares no {0}")]
    Nothing(&'static str),
    /// A digest that is none.
    #[error("it names a base model by something that is no SHA-256 in hexadecimal")]
    Digest,
}

/// What a [`Breach`] can be about; a place in this list stands for it in a message.
const SUBJECTS: &[&str] = &[
    "thing",
    "ability",
    "bytes of text",
    "code",
    "code system",
    "codings",
    "concept id",
    "concept name",
    "concepts for a mention",
    "digest",
    "display",
    "documents",
    "format",
    "formats",
    "id, version or ability",
    "label",
    "labels",
    "match kind",
    "mentions",
    "name of a vocabulary",
    "plugin id",
    "plugin version",
    "semantic type",
    "semantic types",
    "spans",
    "task name",
    "text",
    "version of a vocabulary",
    "vocabularies",
    "sets of files",
    "tasks",
    "texts",
    "pieces",
];

/// Kind, subject and two numbers of a [`Breach`].
#[derive(Serialize, Deserialize)]
struct Wire(u8, u8, u64, u64);

// By hand, because the derived one would want words that live for ever.
impl<'de> Deserialize<'de> for Breach {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Wire::deserialize(deserializer).map(Into::into)
    }
}

impl From<Breach> for Wire {
    fn from(breach: Breach) -> Self {
        let subject = |what: &str| {
            let at = SUBJECTS.iter().position(|known| *known == what);
            at.and_then(|at| u8::try_from(at).ok()).unwrap_or(0)
        };
        let (kind, what, one, two) = match breach {
            Breach::Count {
                what,
                found,
                expected,
            } => (0, subject(what), found, expected),
            Breach::TooMany { what, found, limit } => (1, subject(what), found, limit),
            Breach::String(what) => (2, subject(what), 0, 0),
            Breach::Utf8(what) => (3, subject(what), 0, 0),
            Breach::Duplicate(what) => (4, subject(what), 0, 0),
            Breach::Score => (5, 0, 0, 0),
            Breach::Order => (6, 0, 0, 0),
            Breach::Vocabulary => (7, 0, 0, 0),
            Breach::Label => (8, 0, 0, 0),
            Breach::Offsets => (9, 0, 0, 0),
            Breach::Pieces => (10, 0, 0, 0),
            Breach::Digest => (11, 0, 0, 0),
            Breach::Nothing(what) => (12, subject(what), 0, 0),
        };
        Self(kind, what, one as u64, two as u64)
    }
}

impl From<Wire> for Breach {
    fn from(Wire(kind, subject, one, two): Wire) -> Self {
        let what = SUBJECTS.get(usize::from(subject)).copied().unwrap_or("thing");
        let [one, two] = [one, two].map(|number| usize::try_from(number).unwrap_or(usize::MAX));
        match kind {
            0 => Self::Count {
                what,
                found: one,
                expected: two,
            },
            1 => Self::TooMany {
                what,
                found: one,
                limit: two,
            },
            2 => Self::String(what),
            3 => Self::Utf8(what),
            4 => Self::Duplicate(what),
            5 => Self::Score,
            6 => Self::Order,
            7 => Self::Vocabulary,
            8 => Self::Label,
            9 => Self::Offsets,
            10 => Self::Pieces,
            11 => Self::Digest,
            12 => Self::Nothing(what),
            // No host of this build sends another.
            _ => Self::String("thing"),
        }
    }
}

/// Reads a list of at most [`MAX_LIST`]: of nothings a message has more than memory.
pub(crate) fn short_list<'de, D, T>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    struct Short<T>(PhantomData<T>);
    impl<'de, T: Deserialize<'de>> Visitor<'de> for Short<T> {
        type Value = Vec<T>;

        fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(formatter, "at most {MAX_LIST} items")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Vec<T>, A::Error> {
            let mut all = Vec::new();
            while let Some(item) = items.next_element()? {
                if all.len() == MAX_LIST {
                    return Err(de::Error::invalid_length(MAX_LIST + 1, &self));
                }
                all.push(item);
            }
            Ok(all)
        }
    }
    deserializer.deserialize_seq(Short(PhantomData))
}

fn string(what: &'static str, text: &str, may_be_empty: bool) -> Result<(), Breach> {
    let long = text.len() > MAX_STRING || (text.is_empty() && !may_be_empty);
    // Control characters could forge lines where a person reads them.
    match long || text.chars().any(char::is_control) {
        true => Err(Breach::String(what)),
        false => Ok(()),
    }
}

/// Whether this is a name: letters, digits, `.`, `_`, `-`, `/`, at most 64.
pub fn is_name(text: &str) -> bool {
    let letters = |byte: u8| byte.is_ascii_alphanumeric() || b"._-/".contains(&byte);
    (1..=64).contains(&text.len()) && text.bytes().all(letters)
}

fn list(what: &'static str, found: usize, limit: usize) -> Result<(), Breach> {
    match found > limit {
        true => Err(Breach::TooMany { what, found, limit }),
        false => Ok(()),
    }
}

fn score(score: f32) -> Result<(), Breach> {
    match (0.0..=1.0).contains(&score) {
        true => Ok(()),
        false => Err(Breach::Score),
    }
}

/// Names of which none is twice; `one` and `several` are what they are called.
fn distinct<'a>(
    one: &'static str,
    several: &'static str,
    names: impl Iterator<Item = &'a str>,
) -> Result<(), Breach> {
    let mut seen = std::collections::HashSet::new();
    for name in names {
        string(one, name, false)?;
        if !seen.insert(name) {
            return Err(Breach::Duplicate(several));
        }
    }
    Ok(())
}

/// Declared vocabularies.
///
/// # Errors
/// [`Breach`]
pub fn vocabularies(found: &[Vocabulary]) -> Result<(), Breach> {
    if found.is_empty() {
        return Err(Breach::Nothing("vocabularies"));
    }
    list("vocabularies", found.len(), MAX_LIST)?;
    distinct(
        "name of a vocabulary",
        "vocabularies",
        found.iter().map(|vocabulary| &*vocabulary.name),
    )?;
    found
        .iter()
        .try_for_each(|vocabulary| string("version of a vocabulary", &vocabulary.version, false))
}

/// The candidates of one document's mentions.
///
/// # Errors
/// [`Breach`]
pub fn concepts(
    found: &[Vec<Concept>],
    mentions: usize,
    options: &NormalizeOptions,
    declared: &[Vocabulary],
) -> Result<(), Breach> {
    if found.len() != mentions {
        return Err(Breach::Count {
            what: "mentions",
            found: found.len(),
            expected: mentions,
        });
    }
    for candidates in found {
        list("concepts for a mention", candidates.len(), options.top_k)?;
        let mut before = 1.0;
        for concept in candidates {
            self::concept(concept)?;
            let known = declared.iter().any(|known| known.name == concept.vocabulary);
            if !known || !options.wants(&concept.vocabulary) {
                return Err(Breach::Vocabulary);
            }
            if concept.score > before {
                return Err(Breach::Order);
            }
            before = concept.score;
        }
    }
    Ok(())
}

fn concept(concept: &Concept) -> Result<(), Breach> {
    score(concept.score)?;
    string("concept id", &concept.id, false)?;
    string("concept name", &concept.name, true)?;
    if !is_name(&concept.match_kind) {
        return Err(Breach::String("match kind"));
    }
    list("semantic types", concept.semantic_types.len(), MAX_LIST)?;
    list("codings", concept.codings.len(), MAX_LIST)?;
    for semantic_type in &concept.semantic_types {
        string("semantic type", semantic_type, false)?;
    }
    for coding in &concept.codings {
        string("code system", &coding.system, false)?;
        string("code", &coding.code, false)?;
        string("display", &coding.display, true)?;
    }
    Ok(())
}

/// A declared task.
///
/// # Errors
/// [`Breach`]
pub fn task(found: &Task) -> Result<(), Breach> {
    if !is_name(&found.name) {
        return Err(Breach::String("task name"));
    }
    if found.base.len() != 64 || !found.base.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(Breach::Digest);
    }
    if found.labels.is_empty() {
        return Err(Breach::Nothing("labels"));
    }
    list("labels", found.labels.len(), MAX_LIST)?;
    distinct("label", "labels", found.labels.iter().map(String::as_str))
}

/// How many spans may come of so many by post-processing.
pub fn most_spans(before: usize) -> usize {
    before.saturating_mul(10).saturating_add(10)
}

/// Spans after post-processing: at most ten times as many as before, and ten more.
///
/// # Errors
/// [`Breach`]
pub fn spans(found: &[Span], text: &str, before: usize, task: &Task) -> Result<(), Breach> {
    list("spans", found.len(), most_spans(before))?;
    for span in found {
        if span.begin >= span.end || text.get(span.begin..span.end).is_none() {
            return Err(Breach::Offsets);
        }
        score(span.score)?;
        if !task.labels.contains(&span.label) {
            return Err(Breach::Label);
        }
    }
    Ok(())
}

/// Declared formats.
///
/// # Errors
/// [`Breach`]
pub fn formats(found: &[String]) -> Result<(), Breach> {
    if found.is_empty() {
        return Err(Breach::Nothing("formats"));
    }
    list("formats", found.len(), MAX_LIST)?;
    if !found.iter().all(|format| is_name(format)) {
        return Err(Breach::String("format"));
    }
    distinct("format", "formats", found.iter().map(String::as_str))
}

/// A decoded document: the pieces cover the text and go forward in the source, on character boundaries of the text
/// and, where that is UTF-8, of the source.
///
/// # Errors
/// [`Breach`]
pub fn decoded(found: &Decoded, source: &[u8], max_text: usize) -> Result<(), Breach> {
    list("bytes of text", found.text.len(), max_text)?;
    let (mut text_at, mut source_at) = (0, 0);
    for piece in &found.pieces {
        if piece.text_begin != text_at || piece.text_end <= piece.text_begin {
            return Err(Breach::Pieces);
        }
        if piece.source_begin < source_at || piece.source_end < piece.source_begin {
            return Err(Breach::Pieces);
        }
        if found.text.get(piece.text_begin..piece.text_end).is_none() || piece.source_end > source.len() {
            return Err(Breach::Offsets);
        }
        (text_at, source_at) = (piece.text_end, piece.source_end);
    }
    match text_at == found.text.len() {
        true => Ok(()),
        false => Err(Breach::Pieces),
    }
}

/// Checks that pieces begin and end on characters of a document that is a text.
///
/// # Errors
/// [`Breach::Offsets`]
pub fn on_characters(found: &Decoded, source: &str) -> Result<(), Breach> {
    let whole = |piece: &Piece| {
        source.is_char_boundary(piece.source_begin) && source.is_char_boundary(piece.source_end)
    };
    match found.pieces.iter().all(whole) {
        true => Ok(()),
        false => Err(Breach::Offsets),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn concept(score: f32) -> Concept {
        Concept {
            id: "C1".into(),
            vocabulary: "V".into(),
            name: "n".into(),
            semantic_types: vec!["T047".into()],
            score,
            match_kind: "exact".into(),
            codings: Vec::new(),
        }
    }

    fn check(found: &[Vec<Concept>], mentions: usize) -> Result<(), Breach> {
        let options = NormalizeOptions {
            top_k: 2,
            vocabularies: vec!["V".into()],
        };
        let declared = ["V", "W"].map(|name| Vocabulary {
            name: name.into(),
            version: "1".into(),
        });
        concepts(found, mentions, &options, &declared)
    }

    #[test]
    fn candidates_must_be_what_was_asked_for() {
        assert_eq!(check(&[vec![concept(0.9), concept(0.9)], vec![]], 2), Ok(()));
        assert!(matches!(check(&[], 1), Err(Breach::Count { .. })));
        assert!(matches!(
            check(&[vec![concept(0.5); 3]], 1),
            Err(Breach::TooMany { .. })
        ));
        assert_eq!(check(&[vec![concept(0.5), concept(0.6)]], 1), Err(Breach::Order));
        for bad in [f32::NAN, -0.1, 1.1, f32::INFINITY] {
            assert_eq!(check(&[vec![concept(bad)]], 1), Err(Breach::Score));
        }
        let other = |vocabulary: &str| Concept {
            vocabulary: vocabulary.into(),
            ..concept(0.5)
        };
        assert_eq!(check(&[vec![other("W")]], 1), Err(Breach::Vocabulary));
        assert_eq!(check(&[vec![other("X")]], 1), Err(Breach::Vocabulary));
        for id in ["", "a\nb", &"x".repeat(MAX_STRING + 1)] {
            let bad = Concept {
                id: id.to_owned(),
                ..concept(0.5)
            };
            assert_eq!(check(&[vec![bad]], 1), Err(Breach::String("concept id")));
        }
    }

    #[test]
    fn a_breach_arrives_as_it_was_sent() {
        let all = SUBJECTS
            .iter()
            .flat_map(|what| {
                [
                    Breach::Count {
                        what,
                        found: 1,
                        expected: 2,
                    },
                    Breach::TooMany {
                        what,
                        found: 3,
                        limit: 2,
                    },
                    Breach::String(what),
                    Breach::Utf8(what),
                    Breach::Duplicate(what),
                    Breach::Nothing(what),
                ]
            })
            .chain([
                Breach::Score,
                Breach::Order,
                Breach::Vocabulary,
                Breach::Label,
                Breach::Offsets,
                Breach::Pieces,
                Breach::Digest,
            ]);
        for breach in all {
            assert_eq!(Breach::from(Wire::from(breach.clone())), breach);
        }
        // Every subject that this file names is in the list.
        let source = include_str!("contract.rs");
        let code = source.split("mod tests").next().unwrap();
        for call in [
            "list(\"",
            "distinct(\"",
            "string(\"",
            "Breach::String(\"",
            "what: \"",
        ] {
            for part in code.split(call).skip(1) {
                let what = part.split('"').next().unwrap();
                assert!(SUBJECTS.contains(&what), "{what:?}");
            }
        }
    }

    #[test]
    fn a_map_must_cover_the_text_and_go_forward() {
        let mut right = Decoded::default();
        right.copy("a", 0);
        right.replace("é", 1, 5);
        assert_eq!(decoded(&right, b"a\\x9\\", 100), Ok(()));
        assert_eq!(decoded(&right, b"a\\x9", 100), Err(Breach::Offsets));
        assert!(matches!(
            decoded(&right, b"a\\x9\\", 2),
            Err(Breach::TooMany { .. })
        ));
        let mut gap = right.clone();
        gap.pieces.pop();
        assert_eq!(decoded(&gap, b"a\\x9\\", 100), Err(Breach::Pieces));
        let mut within = right.clone();
        within.pieces[1].text_end = 2;
        assert_eq!(decoded(&within, b"a\\x9\\", 100), Err(Breach::Offsets));
        let mut back = right.clone();
        back.pieces[1].source_begin = 0;
        assert_eq!(decoded(&back, b"a\\x9\\", 100), Err(Breach::Pieces));
        right.pieces[1].source_end = 2;
        assert_eq!(decoded(&right, b"a\xe9", 100), Ok(()));
        // "é" of a text begins at 1 and ends at 3: a piece cannot end at 2.
        assert_eq!(on_characters(&right, "aé"), Err(Breach::Offsets));
        right.pieces[1].source_end = 3;
        assert_eq!(on_characters(&right, "aé"), Ok(()));
    }

    #[test]
    fn spans_must_lie_on_characters_and_have_declared_labels() {
        let task = Task {
            name: "t".into(),
            base: "0".repeat(64),
            labels: vec!["DRUG".into()],
            refines: true,
        };
        assert_eq!(super::task(&task), Ok(()));
        let span = |begin, end, label: &str| Span {
            begin,
            end,
            label: label.into(),
            score: 0.5,
        };
        let check = |span: Span| spans(&[span], "aé", 1, &task);
        assert_eq!(check(span(0, 3, "DRUG")), Ok(()));
        for (begin, end) in [(0, 2), (1, 1), (2, 3), (0, 4), (3, 1), (0, usize::MAX)] {
            assert_eq!(
                check(span(begin, end, "DRUG")),
                Err(Breach::Offsets),
                "{begin}..{end}"
            );
        }
        assert_eq!(check(span(0, 1, "GENE")), Err(Breach::Label));
    }
    #[test]
    fn a_plugin_says_what_it_is_for() {
        assert_eq!(vocabularies(&[]), Err(Breach::Nothing("vocabularies")));
        assert_eq!(formats(&[]), Err(Breach::Nothing("formats")));
        let unnamed = Vocabulary {
            name: String::new(),
            version: "1".into(),
        };
        let told = vocabularies(&[unnamed]).unwrap_err().to_string();
        assert!(
            told.starts_with("it gave a name of a vocabulary that is empty"),
            "{told}"
        );
    }

    #[test]
    fn what_hosts_of_c_plugins_name_is_in_the_list() {
        for what in include_str!("host/c.rs").split(".one(\"").skip(1) {
            let what = what.split('"').next().unwrap();
            assert!(SUBJECTS.contains(&what), "{what}");
        }
    }
}
