//! The last step of a document: from what each model found to the entities of the answer, in the client's unit and
//! in the document as received.

use std::cmp::Reverse;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use mednerd_client::api::{self, TextLength};
use mednerd_pipeline::assertions::{Kind, share};
use mednerd_pipeline::lines::parts;
use mednerd_pipeline::short_forms::{Part, with_short_forms};
use mednerd_pipeline::terms;
use mednerd_pipeline::{
    Asked, Assertion, Cover, Definition, Mention, Nesting, OffsetMap, OffsetUnit, Section, Span, Spoken,
    Terms, assertions, beside, definitions, is_drug, retain_confident, section_at, sections, short_headings,
    with_plain_lines,
};
use sha2::{Digest, Sha256};

use crate::generation::Entry;
use crate::original::Original;
use crate::plugins::Plugin;
use crate::terms::NamedList;
use crate::zero_shot::Ask;

/// A document and what is wanted of it.
pub struct Page {
    /// What models read.
    pub text: Arc<str>,
    /// What that was decoded from; `None` where it is what was received.
    pub original: Option<Original>,
    /// The models that read it.
    pub models: Vec<Chosen>,
    /// The lists whose names are put in where no model has found anything.
    pub terms: Vec<NamedList>,
    /// The lowest score to report, where the request names one; a zero-shot model is told its own.
    pub threshold: Option<f32>,
    /// The unit of offsets in the answer.
    pub offset_unit: OffsetUnit,
}

/// A model to run on a document.
pub struct Chosen {
    /// The model.
    pub entry: Arc<Entry>,
    /// What it is asked for, where it is a zero-shot model.
    pub ask: Option<Ask>,
    /// Whether that is what the request asks for, and not what the configuration says.
    pub by_request: bool,
    /// Whether short forms are what the text defines them as.
    pub short_forms: bool,
}

/// What one model found, with its place among the page's models.
pub type Found = (usize, Vec<Span>);

/// Where an entity is in a text.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    /// Its first byte.
    pub begin: usize,
    /// One past its last byte.
    pub end: usize,
    /// The name of the section that it stands in.
    pub section: Option<&'static str>,
}

/// What the answer says of a document.
#[derive(Debug)]
pub struct Annotated {
    /// The entities.
    pub entities: Vec<api::Entity>,
    /// Where they are in the text that models read.
    pub places: Vec<Place>,
    /// SHA-256 of the document as received, in hexadecimal.
    pub text_sha256: String,
    /// The length of the document as received.
    pub text_length: TextLength,
}

impl Page {
    /// How much there is to read: the text, or the document that it was decoded from where that is longer.
    pub fn bytes(&self) -> usize {
        self.text.len().max(self.source().0.len())
    }

    /// The document as received: its bytes, and its text where it came as one.
    fn source(&self) -> (&[u8], Option<&str>) {
        match &self.original {
            Some(original) => {
                let source = original.source();
                (source.bytes(), source.text().map(|text| &**text))
            }
            None => (self.text.as_bytes(), Some(&self.text)),
        }
    }

    /// The plugin that has a word to say on what this model found.
    pub fn refiner(&self, model: usize) -> Option<&Arc<Plugin>> {
        self.models.get(model)?.entry.refiner()
    }

    /// Whether a plugin has a word to say before there are entities.
    pub fn is_refined(&self) -> bool {
        self.models.iter().any(|chosen| chosen.entry.refiner().is_some())
    }

    /// Merges what the models found. What stands nowhere in the document as received, because a decoder added it, is
    /// left out. `None` where it is no longer `wanted`, which is asked now and then.
    pub fn annotate(&self, found: Vec<Found>, wanted: &dyn Fn() -> bool) -> Option<Annotated> {
        let read = with_plain_lines(&self.text);
        let sections = sections(&read);
        let (mentions, definitions, spoken) = self.mentions(&read, &sections, found, wanted)?;
        let mut placed: Vec<(Mention, (usize, usize))> = mentions
            .into_iter()
            .filter_map(|mention| {
                let (begin, end) = (mention.span.begin, mention.span.end);
                let place = match &self.original {
                    Some(original) => original.place(begin, end)?,
                    None => (begin, end),
                };
                Some((mention, place))
            })
            .collect();
        if self.original.is_some() {
            // Stable: what cannot be told apart in the document keeps its order in the text.
            placed.sort_by_key(|(_, (begin, end))| (*begin, Reverse(*end)));
        }
        let (bytes, source) = self.source();
        let source = source.map(|text| (text, OffsetMap::new(text)));
        let spans: Vec<(usize, usize)> = placed
            .iter()
            .map(|(mention, _)| (mention.span.begin, mention.span.end))
            .collect();
        let mut labels: HashMap<&str, bool> = HashMap::new();
        let drugs: Vec<bool> = placed
            .iter()
            .map(|(mention, _)| &*mention.span.label)
            .map(|label| *labels.entry(label).or_insert_with(|| is_drug(label)))
            .collect();
        let asked = Asked {
            mentions: &spans,
            is_drug: &|index| drugs.get(index) == Some(&true),
            spoken,
            wanted,
        };
        let (entities, places) = placed
            .iter()
            .enumerate()
            .zip(told(&read, &sections, &definitions, &asked)?)
            .filter_map(|((index, (mention, place)), (own, said))| {
                let mut entity = self.entity(index, mention, *place, source.as_ref())?;
                entity.assertions = said;
                Some((entity, own))
            })
            .unzip();
        let length = |unit| match &source {
            Some((_, offsets)) => offsets.length(unit) as u64,
            None => bytes.len() as u64,
        };
        Some(Annotated {
            entities,
            places,
            text_sha256: hexadecimal(&Sha256::digest(bytes)),
            text_length: TextLength {
                utf8_byte: length(OffsetUnit::Utf8Byte),
                utf16_code_unit: length(OffsetUnit::Utf16CodeUnit),
                unicode_code_point: length(OffsetUnit::UnicodeCodePoint),
            },
        })
    }

    /// What the models found that is sure enough, beside it what the lists have of the text, and the short forms of any of it; with what
    /// the text defines and the languages that it is in. `read` is the text, its lines as those read them that read lines.
    fn mentions(
        &self,
        read: &str,
        sections: &[Section],
        found: Vec<Found>,
        wanted: &dyn Fn() -> bool,
    ) -> Option<(Vec<Mention>, Vec<Definition>, Option<Spoken>)> {
        let mut models = Vec::new();
        for (task, mut spans) in found {
            if !self.knows_threshold(task) {
                match self.threshold {
                    Some(threshold) => retain_confident(&mut spans, threshold),
                    None => self.retain_sure(&mut spans),
                }
            }
            let divided = spans.into_iter().flat_map(|span| self.divided(read, task, span));
            models.extend(divided.map(|span| Mention { task, span }));
        }
        let lists: Vec<&Terms> = self.terms.iter().map(|named| named.list.terms()).collect();
        let found = terms::find_while(read, &lists, wanted)?;
        let headings = short_headings(read, sections).filter(|_| !self.terms.is_empty());
        let headings = headings.map(|heading| (heading.begin, heading.end));
        let hidden = Cover::new(found.hidden.into_iter().chain(headings));
        // What a zero-shot model was asked for by the request is the client's.
        let stands = |mention: &Mention| {
            self.is_asked(mention.task) || !hidden.covers(mention.span.begin, mention.span.end)
        };
        models.retain(stands);
        let names = found.names.into_iter().filter_map(|name| {
            let rule = self.terms.get(name.list)?.list.rule();
            let score = if name.misspelt { rule.misspelt } else { rule.score };
            let span = Span {
                begin: name.begin,
                end: name.end,
                label: name.label,
                score,
            };
            let task = self.models.len() + name.list;
            (score >= self.threshold.unwrap_or(0.0)).then_some((rule.sure, Mention { task, span }))
        });
        let names: Vec<(f32, Mention)> = names.collect();
        let nesting = Nesting::of(lists.iter().copied());
        nesting.retain_undisputed(&mut models, &names, |task| self.is_asked(task));
        let mentions = beside(read, models, names, |task| self.is_asked(task), wanted)?;
        if mentions.is_empty() {
            return Some((mentions, Vec::new(), found.spoken));
        }
        let definitions = definitions(read);
        if !wanted() {
            return None;
        }
        let mut mentions = with_short_forms(read, &definitions, mentions, |task| self.part(task));
        mentions.retain(stands);
        // By themselves models answer as their references do.
        if !self.terms.is_empty() {
            mentions = nesting.settle(read, mentions, |task| self.is_asked(task), wanted)?;
        }
        Some((mentions, definitions, found.spoken))
    }

    /// What short forms have to do with what a model or list has found.
    fn part(&self, task: usize) -> Part {
        let list = || self.terms.get(task.checked_sub(self.models.len())?);
        match self.models.get(task) {
            Some(chosen) if chosen.short_forms => Part::Model,
            None if list().is_some_and(|named| named.list.rule().short_forms) => Part::List,
            _ => Part::None,
        }
    }

    /// What a model has found in its parts where lines end that nobody has wrapped. Beside lists alone: by itself a model answers as its
    /// reference does.
    fn divided(&self, read: &str, task: usize, span: Span) -> Vec<Span> {
        if self.terms.is_empty() || self.is_asked(task) {
            return vec![span];
        }
        let parts = parts(read, span.begin, span.end).into_iter();
        parts
            .map(|(begin, end)| Span {
                begin,
                end,
                ..span.clone()
            })
            .collect()
    }

    /// Whether the request has asked a model for labels: what it finds is the client's, and no list's to judge. With labels of the configuration a
    /// zero-shot model is one of the models that lists stand beside.
    fn is_asked(&self, task: usize) -> bool {
        self.models
            .get(task)
            .is_some_and(|chosen| chosen.ask.is_some() && chosen.by_request)
    }

    /// Whether a model has heeded its threshold already, as zero-shot models do, whoever names their labels.
    fn knows_threshold(&self, task: usize) -> bool {
        self.models.get(task).is_some_and(|chosen| chosen.ask.is_some())
    }

    /// Leaves out what the lists do not let stand of what a model has found. Words that are sure once are believed throughout the text.
    fn retain_sure(&self, spans: &mut Vec<Span>) {
        let words = |span: &Span| {
            let words = self.text.get(span.begin..span.end).map(str::to_lowercase);
            (Arc::clone(&span.label), words)
        };
        let sure: HashSet<_> = spans
            .iter()
            .filter(|span| self.is_sure(span))
            .map(words)
            .collect();
        spans.retain(|span| sure.contains(&words(span)));
    }

    /// Whether the lists let something stand that a model has found.
    fn is_sure(&self, span: &Span) -> bool {
        self.terms.iter().all(|named| named.list.lets_stand(span))
    }

    /// The name of a model or list by its number among the page's.
    fn name_of(&self, task: usize) -> Option<&str> {
        let list = || self.terms.get(task.checked_sub(self.models.len())?);
        match self.models.get(task) {
            Some(chosen) => Some(&chosen.entry.name),
            None => list().map(|named| &*named.name),
        }
    }

    fn entity(
        &self,
        index: usize,
        mention: &Mention,
        (begin, end): (usize, usize),
        source: Option<&(&str, OffsetMap<'_>)>,
    ) -> Option<api::Entity> {
        let span = &mention.span;
        let spelled = || self.text.get(span.begin..span.end).map(ToOwned::to_owned);
        let place = |at| source.map_or(at, |(_, offsets)| offsets.convert(at, self.offset_unit)) as u64;
        let text = match source {
            Some((text, _)) => text.get(begin..end)?.to_owned(),
            // JSON could not hold the bytes.
            None => spelled()?,
        };
        Some(api::Entity {
            id: format!("e{}", index + 1),
            begin: place(begin),
            end: place(end),
            text,
            decoded: self.original.as_ref().and_then(|_| spelled()),
            label: span.label.to_string(),
            score: span.score,
            model: self.name_of(mention.task)?.to_owned(),
            assertions: Vec::new(),
            concepts: Vec::new(),
        })
    }
}

/// What a text tells of mentions beside naming them: their sections, and what it says of them. `None` where that is no longer wanted.
fn told(
    text: &str,
    sections: &[Section],
    definitions: &[Definition],
    asked: &Asked<'_>,
) -> Option<Vec<(Place, Vec<api::Assertion>)>> {
    let spans = asked.mentions;
    if spans.is_empty() {
        return Some(Vec::new());
    }
    if !(asked.wanted)() {
        return None;
    }
    let mut said = assertions(text, sections, asked)?;
    share(definitions, spans, &mut said);
    let told = spans.iter().zip(said).map(|(&(begin, end), said)| {
        let section = section_at(sections, begin);
        let place = Place { begin, end, section };
        (place, said.iter().map(assertion).collect())
    });
    Some(told.collect())
}

fn assertion(found: &Assertion) -> api::Assertion {
    api::Assertion {
        kind: match found.kind {
            Kind::Negated => api::AssertionKind::Negated,
            Kind::Uncertain => api::AssertionKind::Uncertain,
            Kind::Hypothetical => api::AssertionKind::Hypothetical,
            Kind::Historical => api::AssertionKind::Historical,
            Kind::Family => api::AssertionKind::Family,
        },
        cue: found.cue.to_owned(),
    }
}

/// Bytes in hexadecimal.
pub fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked<'a>(mentions: &'a [(usize, usize)], is_drug: &'a dyn Fn(usize) -> bool) -> Asked<'a> {
        Asked {
            mentions,
            is_drug,
            spoken: None,
            wanted: &|| true,
        }
    }

    #[test]
    fn mentions_know_their_section_and_what_is_said_of_them() {
        let text = "Seen with gout, no fever. Medications: aspirin";
        let spans = ["gout", "fever", "aspirin"].map(|word| {
            let begin = text.find(word).unwrap();
            (begin, begin + word.len())
        });
        let told = told(text, &sections(text), &[], &asked(&spans, &|_| false)).unwrap();
        let found: Vec<_> = told
            .iter()
            .map(|(place, said)| (place.begin, place.section, said.len()))
            .collect();
        let [gout, fever, aspirin] = spans.map(|(begin, _)| begin);
        assert_eq!(
            found,
            [
                (gout, None, 0),
                (fever, None, 1),
                (aspirin, Some("medications"), 0)
            ]
        );
    }

    #[test]
    fn only_a_drug_is_asked_whether_it_is_taken() {
        let text = "Not taking aspirin, gout settled.";
        let spans = [(11, 18), (20, 24)];
        let said = |label: &str| {
            let told = told(
                text,
                &sections(text),
                &[],
                &asked(&spans, &|index| index == 0 && is_drug(label)),
            )
            .unwrap();
            let kinds = told
                .iter()
                .map(|(_, said)| said.iter().map(|one| one.kind).collect());
            kinds.collect::<Vec<Vec<_>>>()
        };
        let gout = vec![api::AssertionKind::Historical];
        assert_eq!(
            said("Chemical"),
            [vec![api::AssertionKind::Negated], gout.clone()]
        );
        for label in ["Drug", "medications", "CHEM", "Drug name", "Medikament"] {
            assert_eq!(
                said(label),
                [vec![api::AssertionKind::Negated], gout.clone()],
                "{label}"
            );
        }
        assert_eq!(said("Disease"), [vec![], gout]);
    }

    #[test]
    fn the_words_of_a_drug_are_one_whatever_else_they_are_called() {
        let text = "Not taking aspirin, gout settled.";
        let spans = [(11, 18), (11, 18), (20, 24)];
        let asked = asked(&spans, &|index| index == 1);
        let told = told(text, &sections(text), &[], &asked).unwrap();
        let kinds = told
            .iter()
            .map(|(_, said)| said.iter().map(|one| one.kind).collect());
        let (negated, gout) = (
            vec![api::AssertionKind::Negated],
            vec![api::AssertionKind::Historical],
        );
        assert_eq!(kinds.collect::<Vec<Vec<_>>>(), [negated.clone(), negated, gout]);
    }
}
