//! Class probabilities to entity spans, with the four aggregation strategies of Hugging Face and BIO, BIOES
//! or BILOU labels. One task at a time; merging tasks is in `merge`.

use std::ops::Range;
use std::sync::Arc;

use thiserror::Error;

use crate::labels::{LabelScheme, Position};
use crate::logits::Probabilities;
use crate::tokenizer::trimmed_range;
use crate::tokens::Tokens;

/// How the predictions for the pieces of a word become one.
///
/// As in `TokenClassificationPipeline` of the Hugging Face `transformers` library (5.x,
/// `src/transformers/pipelines/token_classification.py`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Aggregation {
    /// Every token for itself.
    #[default]
    Simple,
    /// A word takes the label and the score of its first token.
    First,
    /// A word takes the best label of its tokens' mean probabilities, and that mean as its score.
    Average,
    /// A word takes label and score of its most confident token, whatever that one's label is.
    Max,
}

/// An entity found by one task.
#[derive(Clone, Debug, PartialEq)]
pub struct Span {
    /// First byte of the entity in the text as received.
    pub begin: usize,
    /// One past its last byte.
    pub end: usize,
    /// Entity type.
    pub label: Arc<str>,
    /// Mean probability of its tokens or words, 0 to 1.
    pub score: f32,
}

/// Why predictions could not be decoded. Never holds any part of a note.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum DecodeError {
    /// As many rows as tokens are needed.
    #[error("{rows} rows of probabilities for {tokens} tokens")]
    Rows {
        /// Rows there are.
        rows: usize,
        /// Tokens there are.
        tokens: usize,
    },
    /// As many classes as labels are needed.
    #[error("{classes} classes for {labels} labels")]
    Classes {
        /// Classes to a row.
        classes: usize,
        /// Labels of the scheme.
        labels: usize,
    },
    /// The tokens were made from another text.
    #[error("the tokens belong to another text")]
    OtherText,
}

/// Finds the entities of one task.
///
/// `tokens` are those of `text`, `probabilities` has a row for each of them (see [`crate::stitch`]).
///
/// Tokens or words are labelled as [`Aggregation`] says (the first of equally probable classes wins), then
/// joined: a begin label starts an entity, an inside label continues an entity of its type and starts one
/// otherwise. With BIOES and BILOU labels, which `transformers` does not know, an end label also closes the
/// entity it continues or starts, and a single label is an entity by itself.
///
/// Three things differ from `transformers` on purpose. Words are told apart as
/// [`crate::TextTokenizer::tokenise`] says. Spans have no white space at their ends, and one that is nothing
/// else is left out. Where several tokens stand for one character, so that two entities would share it, the
/// first keeps it.
///
/// The spans come in order, do not overlap, and each is a non-empty slice of `text`.
///
/// # Errors
/// [`DecodeError`] when the arguments do not belong together.
pub fn decode(
    text: &str,
    tokens: &Tokens,
    probabilities: &Probabilities,
    scheme: &LabelScheme,
    aggregation: Aggregation,
) -> Result<Vec<Span>, DecodeError> {
    if tokens.text_bytes() != text.len() {
        return Err(DecodeError::OtherText);
    }
    if probabilities.classes() != scheme.len() {
        return Err(DecodeError::Classes {
            classes: probabilities.classes(),
            labels: scheme.len(),
        });
    }
    if probabilities.rows() != tokens.len() {
        return Err(DecodeError::Rows {
            rows: probabilities.rows(),
            tokens: tokens.len(),
        });
    }
    let mut assembler = Assembler {
        text,
        scheme,
        open: None,
        spans: Vec::new(),
    };
    for_each_unit(tokens, probabilities, aggregation, |unit| assembler.accept(unit))?;
    assembler.close()?;
    Ok(assembler.spans)
}

/// A token or a word with its label.
struct Unit {
    begin: usize,
    end: usize,
    class: usize,
    score: f32,
}

fn for_each_unit(
    tokens: &Tokens,
    probabilities: &Probabilities,
    aggregation: Aggregation,
    mut accept: impl FnMut(Unit) -> Result<(), DecodeError>,
) -> Result<(), DecodeError> {
    let mut vote = Vote::new(aggregation, probabilities.classes());
    let mut current: Option<(u32, Range<usize>)> = None;
    for ((span, &word), row) in tokens
        .spans()
        .iter()
        .zip(tokens.words())
        .zip(probabilities.iter())
    {
        match &mut current {
            Some((of, range)) if *of == word && aggregation != Aggregation::Simple => range.end = span.end,
            _ => {
                if let Some((_, range)) = current.replace((word, span.range())) {
                    accept(vote.take(range))?;
                }
            }
        }
        vote.add(row);
    }
    current.map_or(Ok(()), |(_, range)| accept(vote.take(range)))
}

/// The label of the word under way.
struct Vote {
    aggregation: Aggregation,
    tokens: usize,
    best: (usize, f32),
    /// Sum of the rows, for `Average` only.
    sums: Vec<f32>,
}

impl Vote {
    fn new(aggregation: Aggregation, classes: usize) -> Self {
        let sums = if aggregation == Aggregation::Average {
            vec![0.0; classes]
        } else {
            Vec::new()
        };
        Self {
            aggregation,
            tokens: 0,
            best: (0, 0.0),
            sums,
        }
    }

    fn add(&mut self, row: &[f32]) {
        match self.aggregation {
            Aggregation::Average => self
                .sums
                .iter_mut()
                .zip(row)
                .for_each(|(sum, value)| *sum += value),
            Aggregation::Max => {
                let best = argmax(row);
                if self.tokens == 0 || best.1 > self.best.1 {
                    self.best = best;
                }
            }
            Aggregation::Simple | Aggregation::First if self.tokens == 0 => self.best = argmax(row),
            Aggregation::Simple | Aggregation::First => {}
        }
        self.tokens += 1;
    }

    fn take(&mut self, range: Range<usize>) -> Unit {
        if self.aggregation == Aggregation::Average {
            let count = self.tokens.max(1) as f32;
            self.sums.iter_mut().for_each(|sum| *sum /= count);
            self.best = argmax(&self.sums);
            self.sums.fill(0.0);
        }
        self.tokens = 0;
        Unit {
            begin: range.start,
            end: range.end,
            class: self.best.0,
            score: self.best.1,
        }
    }
}

/// The first of the largest values and its index.
fn argmax(row: &[f32]) -> (usize, f32) {
    let mut best = (0, row.first().copied().unwrap_or_default());
    for (class, &value) in row.iter().enumerate().skip(1) {
        if value > best.1 {
            best = (class, value);
        }
    }
    best
}

/// Joins labelled units to entities.
struct Assembler<'a> {
    text: &'a str,
    scheme: &'a LabelScheme,
    open: Option<Open>,
    spans: Vec<Span>,
}

/// The entity under way.
struct Open {
    kind: usize,
    begin: usize,
    end: usize,
    total: f64,
    units: u32,
}

impl Assembler<'_> {
    fn accept(&mut self, unit: Unit) -> Result<(), DecodeError> {
        let (position, Some(kind)) = self.scheme.class(unit.class) else {
            return self.close();
        };
        let continues = matches!(position, Position::Inside | Position::End);
        match &mut self.open {
            Some(open) if continues && open.kind == kind => {
                open.end = unit.end;
                open.total += f64::from(unit.score);
                open.units += 1;
            }
            _ => {
                self.close()?;
                let (begin, end, total) = (unit.begin, unit.end, f64::from(unit.score));
                self.open = Some(Open {
                    kind,
                    begin,
                    end,
                    total,
                    units: 1,
                });
            }
        }
        if matches!(position, Position::End | Position::Single) {
            self.close()
        } else {
            Ok(())
        }
    }

    fn close(&mut self) -> Result<(), DecodeError> {
        let Some(open) = self.open.take() else {
            return Ok(());
        };
        let begin = open.begin.max(self.spans.last().map_or(0, |last| last.end));
        if begin >= open.end {
            return Ok(());
        }
        let range = trimmed_range(self.text, begin..open.end).ok_or(DecodeError::OtherText)?;
        if let (false, Some(label)) = (range.is_empty(), self.scheme.entity_types().get(open.kind)) {
            let score = (open.total / f64::from(open.units)) as f32;
            self.spans.push(Span {
                begin: range.start,
                end: range.end,
                label: Arc::clone(label),
                score,
            });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::logits::Logits;
    use crate::testing::{bert, byte_level, messy_text};

    const STRATEGIES: [Aggregation; 4] = [
        Aggregation::Simple,
        Aggregation::First,
        Aggregation::Average,
        Aggregation::Max,
    ];

    fn scheme(labels: &[&str]) -> LabelScheme {
        LabelScheme::from_labels(labels).unwrap()
    }

    /// Decodes `text`, a BERT token per label, each label with the same confidence.
    fn by_labels(text: &str, scheme: &LabelScheme, labels: &[usize]) -> Vec<(String, String)> {
        let rows = labels
            .iter()
            .flat_map(|&label| (0..scheme.len()).map(move |c| if c == label { 4.0 } else { 0.0 }));
        let probabilities = Logits::new(scheme.len(), rows.collect())
            .unwrap()
            .softmax()
            .unwrap();
        let tokens = bert(true).tokenise(text).unwrap();
        let spans = decode(text, &tokens, &probabilities, scheme, Aggregation::Simple).unwrap();
        spans
            .iter()
            .map(|span| (text[span.begin..span.end].to_string(), span.label.to_string()))
            .collect()
    }

    fn expect(found: Vec<(String, String)>, expected: &[(&str, &str)]) {
        let found: Vec<(&str, &str)> = found
            .iter()
            .map(|(text, label)| (text.as_str(), label.as_str()))
            .collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn begin_and_inside() {
        let scheme = scheme(&["O", "B-X", "I-X", "B-Y", "I-Y"]);
        let by = |labels| by_labels("a b c d", &scheme, labels);
        expect(by(&[1, 2, 0, 2]), &[("a b", "X"), ("d", "X")]);
        expect(by(&[1, 1, 2, 4]), &[("a", "X"), ("b c", "X"), ("d", "Y")]);
        expect(by(&[2, 2, 1, 0]), &[("a b", "X"), ("c", "X")]);
        expect(by(&[3, 2, 4, 4]), &[("a", "Y"), ("b", "X"), ("c d", "Y")]);
        expect(by(&[0, 0, 0, 0]), &[]);
    }

    #[test]
    fn end_and_single() {
        for labels in [
            ["O", "B-X", "I-X", "E-X", "S-X", "E-Y", "B-Y"],
            ["O", "B-X", "I-X", "L-X", "U-X", "L-Y", "B-Y"],
        ] {
            let scheme = scheme(&labels);
            let by = |labels| by_labels("a b c d", &scheme, labels);
            expect(by(&[1, 2, 3, 4]), &[("a b c", "X"), ("d", "X")]);
            expect(by(&[4, 4, 1, 3]), &[("a", "X"), ("b", "X"), ("c d", "X")]);
            // What follows an end or a single is a new entity, whatever its mark.
            expect(by(&[1, 3, 2, 3]), &[("a b", "X"), ("c d", "X")]);
            expect(by(&[4, 2, 3, 3]), &[("a", "X"), ("b c", "X"), ("d", "X")]);
            // An end of another type, and entities that are never ended.
            expect(by(&[1, 5, 1, 0]), &[("a", "X"), ("b", "Y"), ("c", "X")]);
            expect(by(&[6, 1, 2, 2]), &[("a", "Y"), ("b c d", "X")]);
        }
    }

    #[test]
    fn words_vote() {
        // One word of three pieces; classes O, B-X, I-X.
        let text = "mgs";
        let tokens = Tokens::new(
            text,
            (0..3).map(|at| crate::Token {
                id: 9,
                span: crate::ByteSpan {
                    begin: at,
                    end: at + 1,
                },
                word: 0,
            }),
        )
        .unwrap();
        let rows = [[0.5_f32, 0.3, 0.2], [0.1, 0.2, 0.7], [0.2, 0.6, 0.2]];
        let probabilities = Logits::new(3, rows.iter().flatten().map(|p| p.ln()).collect())
            .unwrap()
            .softmax()
            .unwrap();
        let of = |aggregation| {
            let spans = decode(
                text,
                &tokens,
                &probabilities,
                &scheme(&["O", "B-X", "I-X"]),
                aggregation,
            )
            .unwrap();
            spans
                .iter()
                .map(|span| (span.begin, span.end, (span.score * 100.0).round()))
                .collect::<Vec<_>>()
        };
        assert_eq!(of(Aggregation::Simple), [(1, 2, 70.0), (2, 3, 60.0)]);
        assert_eq!(of(Aggregation::First), []);
        assert_eq!(of(Aggregation::Average), [(0, 3, 37.0)]);
        assert_eq!(of(Aggregation::Max), [(0, 3, 70.0)]);
    }

    #[test]
    fn ties_go_to_the_first() {
        let tie = Logits::new(3, vec![1.0, 1.0, 1.0]).unwrap().softmax().unwrap();
        let tokens = bert(true).tokenise("the").unwrap();
        for aggregation in STRATEGIES {
            let found = decode("the", &tokens, &tie, &scheme(&["B-X", "I-X", "O"]), aggregation).unwrap();
            assert_eq!(found.len(), 1);
            assert_eq!(
                decode("the", &tokens, &tie, &scheme(&["O", "B-X", "I-X"]), aggregation),
                Ok(Vec::new())
            );
        }

        // Two pieces of one word, equally sure of different labels.
        let tokens = bert(true).tokenise("metformin").unwrap();
        let rows = Logits::new(3, vec![0.0, 200.0, 0.0, 0.0, 0.0, 200.0])
            .unwrap()
            .softmax()
            .unwrap();
        let two = scheme(&["O", "B-X", "B-Y"]);
        let found = decode("metformin", &tokens, &rows, &two, Aggregation::Max).unwrap();
        assert_eq!(found.iter().map(|span| &*span.label).collect::<Vec<_>>(), ["X"]);
    }

    #[test]
    fn marks_belong_to_the_entity() {
        let scheme = scheme(&["O", "B-X", "I-X"]);
        expect(
            by_labels("the cafe\u{301}s", &scheme, &[0, 1, 2]),
            &[("cafe\u{301}s", "X")],
        );
        expect(
            by_labels("the cafe\u{301}", &scheme, &[0, 1]),
            &[("cafe\u{301}", "X")],
        );
    }

    #[test]
    fn a_shared_character_is_given_once() {
        let text = "a \u{1F9B4}";
        let tokens = byte_level(false, true).tokenise(text).unwrap();
        let begin = [0.0, 1.0].repeat(tokens.len());
        let probabilities = Logits::new(2, begin).unwrap().softmax().unwrap();
        let spans = decode(
            text,
            &tokens,
            &probabilities,
            &scheme(&["O", "B-X"]),
            Aggregation::Simple,
        )
        .unwrap();
        // The space alone is no entity either.
        assert_eq!(
            spans
                .iter()
                .map(|span| (span.begin, span.end))
                .collect::<Vec<_>>(),
            [(0, 1), (2, 6)]
        );
    }

    #[test]
    fn misfits_are_told_apart() {
        let tokens = bert(true).tokenise("the pt").unwrap();
        let of = |text, classes, rows, labels: &[&str]| {
            let probabilities = Logits::new(classes, vec![0.0; classes * rows])
                .unwrap()
                .softmax()
                .unwrap();
            decode(
                text,
                &tokens,
                &probabilities,
                &scheme(labels),
                Aggregation::Simple,
            )
        };
        assert_eq!(of("the", 2, 2, &["O", "B-X"]), Err(DecodeError::OtherText));
        assert_eq!(
            of("the pt", 2, 3, &["O", "B-X"]),
            Err(DecodeError::Rows { rows: 3, tokens: 2 })
        );
        assert_eq!(
            of("the pt", 3, 2, &["O", "B-X"]),
            Err(DecodeError::Classes {
                classes: 3,
                labels: 2
            })
        );
        assert_eq!(of("the\u{E9}t", 2, 2, &["B-X", "O"]), Err(DecodeError::OtherText));
        assert_eq!(of("the pt", 2, 2, &["O", "B-X"]), Ok(Vec::new()));
    }

    /// Entities as runs: split where a label begins one or the type changes.
    fn naive(tokens: &Tokens, labels: &[usize], names: &[&str]) -> Vec<(usize, usize, String)> {
        let mut runs: Vec<(usize, usize, String)> = Vec::new();
        for (at, &label) in labels.iter().enumerate() {
            let (mark, kind) = names[label].split_once('-').unwrap_or(("O", ""));
            let continues = mark == "I" && at > 0 && names[labels[at - 1]].ends_with(kind);
            match runs.last_mut() {
                Some(run) if continues => run.1 = tokens.spans()[at].end,
                _ if mark != "O" => {
                    runs.push((tokens.spans()[at].begin, tokens.spans()[at].end, kind.to_string()))
                }
                _ => {}
            }
        }
        runs
    }

    proptest! {
        #[test]
        fn simple_groups_runs(
            text in messy_text(200),
            labels in proptest::collection::vec(0usize..5, 400),
        ) {
            let names = ["O", "B-X", "I-X", "B-Y", "I-Y"];
            let tokens = bert(true).tokenise(&text).unwrap();
            let labels = &labels[..tokens.len().min(labels.len())];
            prop_assume!(labels.len() == tokens.len());
            let one_hot = |&label: &usize| (0..5).map(move |class| f32::from(class == label));
            let rows = labels.iter().flat_map(one_hot);
            let probabilities = Logits::new(5, rows.collect()).unwrap().softmax().unwrap();
            let spans = decode(&text, &tokens, &probabilities, &scheme(&names), Aggregation::Simple).unwrap();
            let found: Vec<_> = spans.iter().map(|s| (s.begin, s.end, s.label.to_string())).collect();
            prop_assert_eq!(found, naive(&tokens, labels, &names));
        }

        #[test]
        fn spans_keep_their_promises(
            text in messy_text(200),
            values in proptest::collection::vec(-5.0f32..5.0, 7 * 300),
            bytes in any::<bool>(),
        ) {
            let scheme = scheme(&["O", "B-X", "I-X", "E-X", "S-X", "I-Y", "B-Y"]);
            let tokens = if bytes { byte_level(true, false) } else { bert(false) }.tokenise(&text).unwrap();
            prop_assume!(tokens.len() * scheme.len() <= values.len());
            let values = values[..tokens.len() * scheme.len()].to_vec();
            let probabilities = Logits::new(scheme.len(), values).unwrap().softmax().unwrap();
            for aggregation in STRATEGIES {
                let spans = decode(&text, &tokens, &probabilities, &scheme, aggregation).unwrap();
                for pair in spans.windows(2) {
                    prop_assert!(pair[0].end <= pair[1].begin);
                }
                for span in &spans {
                    let slice = text.get(span.begin..span.end);
                    prop_assert!(slice.is_some_and(|slice| !slice.is_empty() && slice.trim() == slice));
                    prop_assert!(span.score > 0.0 && span.score <= 1.0);
                }
            }
        }
    }
}
