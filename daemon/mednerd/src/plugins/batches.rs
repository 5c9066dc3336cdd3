//! What waits for a plugin, and how it is put into batches: as many documents as a call can do at the plugin's own pace.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use mednerd_plugin::{Decoded, Document, ErrorKind, Mention, NormalizeOptions, Span};
use mednerd_plugin_host::protocol::{Asked, Fault, MAX_BATCH, Outcome, Reply, Request, Unread};
use mednerd_worker::{CallError, Ticket};
use tokio::sync::oneshot;

use super::killers::Digest;
use super::{AskError, Links};
use crate::original::Source;

/// Bytes of text in one batch of several documents.
const MAX_BATCH_BYTES: usize = 1 << 20;
/// Concepts that may come for one batch of several documents: with a thousand bytes for each, their answer fits a frame.
const MAX_BATCH_CONCEPTS: usize = 15_000;

/// What a plugin is asked for one document.
pub(super) enum Ask {
    /// Concepts for its mentions.
    Link {
        note: Note,
        options: Arc<NormalizeOptions>,
    },
    /// Its text.
    Decode {
        format: String,
        source: Source,
        max_text: usize,
    },
    /// What the adapter makes of the spans that its model found.
    Refine { text: Arc<str>, spans: Vec<Span> },
}

/// What it says, in the same order.
pub(super) enum Said {
    Linked(Links),
    Decoded(Decoded),
    Refined(Vec<Span>),
}

/// A document that waits for a plugin.
pub(super) struct Item {
    pub(super) ask: Ask,
    pub(super) deadline: Instant,
    /// Sent without others: it was in a batch from which nothing came, or of which a host died.
    pub(super) alone: bool,
    /// With how many [deaths](super::killers::Killers::news) it was compared.
    pub(super) compared: u64,
    pub(super) done: oneshot::Sender<Result<Said, AskError>>,
}

/// A note with its mentions, shared among plugins.
#[derive(Clone)]
pub struct Note {
    /// All of it.
    pub text: Arc<str>,
    /// The mentions.
    pub mentions: Arc<[Spotted]>,
}

/// A mention.
pub struct Spotted {
    /// First byte.
    pub begin: usize,
    /// One past the last byte.
    pub end: usize,
    /// Its entity type.
    pub label: String,
    /// Probability.
    pub score: f32,
    /// The section of the note, by its name.
    pub section: Option<&'static str>,
}

#[derive(Default)]
pub(super) struct Queue {
    pub(super) waiting: Vec<Item>,
    /// A thread is about to give the host a batch.
    pub(super) sending: bool,
    /// What the host has, until it is over with it.
    pub(super) current: Option<Current>,
    /// How long it takes for one document; zero where that is not known yet.
    pub(super) pace: Duration,
    /// Documents that it failed since it last did what it was asked.
    pub(super) failures: u32,
}

/// The digests of documents that were given up, once they are made: by whoever gives them up, while others go on.
pub(super) type Abandoned = Arc<OnceLock<Vec<Digest>>>;

/// A batch that the host has.
pub(super) struct Current {
    /// None any more where nobody waits for any of it.
    pub(super) items: Vec<Item>,
    /// What tells those that nobody waits for: the host may die of them yet.
    pub(super) abandoned: Option<Abandoned>,
    pub(super) documents: usize,
    /// Once it is handed in.
    pub(super) ticket: Option<Ticket>,
    pub(super) sent: Instant,
}

impl Current {
    pub(super) fn new(items: Vec<Item>) -> Self {
        Self {
            documents: items.len(),
            items,
            abandoned: None,
            ticket: None,
            sent: Instant::now(),
        }
    }

    /// Gives up its documents where nobody waits for any of them. Gives them, and what is to be cancelled then.
    pub(super) fn abandon(&mut self) -> Option<(Ticket, Vec<Item>, Abandoned)> {
        let anybody = || self.items.iter().any(|item| !item.done.is_closed());
        if self.items.is_empty() || anybody() {
            return None;
        }
        let ticket = self.ticket?;
        let abandoned = self.abandoned.insert(Abandoned::default());
        Some((ticket, std::mem::take(&mut self.items), Arc::clone(abandoned)))
    }
}

impl Item {
    /// Its text and options, where it can share a batch with others.
    fn shareable(&self) -> Option<(&Note, &Arc<NormalizeOptions>)> {
        match &self.ask {
            Ask::Link { note, options } if !self.alone => Some((note, options)),
            _ => None,
        }
    }
}

impl Queue {
    /// Counts what is the plugin's own failure and no document's. Whether that makes so many in a row, or as many again.
    pub(super) fn count(&mut self, result: &Result<Said, AskError>, in_a_row: u32) -> bool {
        match result {
            Ok(_) => self.failures = 0,
            Err(AskError::Fault(Fault::Plugin(error)))
                if !matches!(error.kind, ErrorKind::Input | ErrorKind::Cancelled) =>
            {
                self.failures = self.failures.saturating_add(1);
                return self.failures.is_multiple_of(in_a_row);
            }
            Err(_) => {}
        }
        false
    }
}

/// How many documents a batch may hold: as many as a call can do in half of its time at the plugin's own pace. One where
/// that is not known.
pub(super) fn at_once(pace: Duration, call_time: Duration) -> usize {
    let many = (call_time / 2)
        .as_nanos()
        .checked_div(pace.as_nanos())
        .unwrap_or(1);
    usize::try_from(many).unwrap_or(MAX_BATCH).clamp(1, MAX_BATCH)
}

/// The pace after a call for so many documents: what was, and a quarter of what is.
pub(super) fn paced(before: Duration, time: Duration, documents: usize) -> Duration {
    let each = time / u32::try_from(documents.max(1)).unwrap_or(u32::MAX);
    let pace = match before.is_zero() {
        true => each,
        false => before * 3 / 4 + each / 4,
    };
    pace.max(Duration::from_nanos(1))
}

/// What tells a document, and what is asked of it, from all others; `None` where it cannot be written down.
pub(super) fn digest(item: &Item) -> Option<Digest> {
    encode(std::slice::from_ref(item)).map(|bytes| Digest::of(&bytes))
}

/// The same of each document of a batch.
pub(super) fn digests(items: &[Item]) -> Vec<Digest> {
    items.iter().filter_map(digest).collect()
}

/// Takes the next batch out of what waits: the first item and, where it is to be linked, up to `most` with the same wishes
/// as long as neither the batch nor what may come of it is large. What nobody waits for goes.
pub(super) fn next_batch(waiting: &mut Vec<Item>, most: usize) -> Option<Vec<Item>> {
    waiting.retain(|item| !item.done.is_closed());
    let mut rest = std::mem::take(waiting).into_iter();
    let first = rest.next()?;
    let Some((note, options)) = first.shareable() else {
        waiting.extend(rest);
        return Some(vec![first]);
    };
    let size = |note: &Note, options: &NormalizeOptions| {
        (note.text.len(), note.mentions.len().saturating_mul(options.top_k))
    };
    let (mut bytes, mut concepts) = size(note, options);
    let options = Arc::clone(options);
    let mut batch = vec![first];
    for item in rest {
        let sizes = item.shareable().and_then(|(note, wishes)| {
            let (text, found) = size(note, wishes);
            let fits = *wishes == options
                && batch.len() < most
                && bytes + text <= MAX_BATCH_BYTES
                && concepts.saturating_add(found) <= MAX_BATCH_CONCEPTS;
            fits.then_some((text, found))
        });
        match sizes {
            Some((text, found)) => {
                bytes += text;
                concepts += found;
                batch.push(item);
            }
            None => waiting.push(item),
        }
    }
    Some(batch)
}

/// A batch as the host reads it; `None` where it cannot be written down.
pub(super) fn encode(batch: &[Item]) -> Option<Vec<u8>> {
    let request = match batch {
        [
            Item {
                ask:
                    Ask::Decode {
                        format,
                        source,
                        max_text,
                    },
                ..
            },
        ] => Request::Decode {
            format,
            bytes: source.bytes(),
            max_text: *max_text,
        },
        [
            Item {
                ask: Ask::Refine { text, spans },
                ..
            },
        ] => Request::Refine {
            text,
            spans: spans.clone(),
        },
        _ => {
            let links = || {
                batch.iter().filter_map(|item| match &item.ask {
                    Ask::Link { note, options } => Some((note, options)),
                    _ => None,
                })
            };
            let options = links()
                .next()
                .map(|(_, options)| NormalizeOptions::clone(options));
            Request::Normalize {
                options: options?,
                documents: links().map(|(note, _)| document(note)).collect(),
            }
        }
    };
    postcard::to_allocvec(&request).ok()
}

pub(super) fn document(note: &Note) -> Document<'_> {
    let mentions = note.mentions.iter().map(|spotted| Mention {
        begin: spotted.begin,
        end: spotted.end,
        label: &spotted.label,
        score: spotted.score,
        section: spotted.section,
    });
    Document {
        text: &note.text,
        mentions: mentions.collect(),
    }
}

/// What lists may come of a batch.
pub(super) fn asked(batch: &[Item]) -> Asked {
    if let [
        Item {
            ask: Ask::Refine { spans, .. },
            ..
        },
    ] = batch
    {
        return Asked::Spans(spans.len());
    }
    let links = batch.iter().filter_map(|item| match &item.ask {
        Ask::Link { note, options } => Some((note.mentions.len(), options.top_k)),
        _ => None,
    });
    let (mentions, most): (Vec<usize>, Vec<usize>) = links.unzip();
    match most.first() {
        Some(&top_k) => Asked::Links { mentions, top_k },
        None => Asked::Other,
    }
}

/// The reply of a host, or why there is none.
pub(super) fn replied(result: Result<Vec<u8>, CallError>) -> Result<Vec<u8>, AskError> {
    result.map_err(|error| match error {
        CallError::Failed(payload) => match postcard::from_bytes(&payload) {
            Ok(fault) => AskError::Fault(Fault::mute(fault)),
            Err(_) => AskError::Unreadable,
        },
        error => AskError::Call(error),
    })
}

/// What a host says of what it was `asked`, with the time that the plugin took, or why it says nothing.
pub(super) fn answered(
    result: Result<Vec<u8>, CallError>,
    asked: &Asked,
) -> Result<(Outcome, Duration), AskError> {
    let reply = Reply::read(&replied(result)?, asked).map_err(|error| match error {
        Unread::Breach(breach) => AskError::Breach(breach),
        Unread::Damaged(_) => AskError::Unreadable,
    })?;
    Ok((reply.outcome, Duration::from_nanos(reply.plugin_ns)))
}

/// The time that the plugin took for what nobody waits for any more.
pub(super) fn took(result: Result<Vec<u8>, CallError>) -> Result<Duration, AskError> {
    let time = Reply::plugin_ns(&replied(result)?).map_err(|_| AskError::Unreadable)?;
    Ok(Duration::from_nanos(time))
}

/// Whether a document of a batch may have failed for another one of it: where the whole of the batch did, or where there was
/// no time left for it.
pub(super) fn may_be_of_another(error: &AskError, whole: bool) -> bool {
    if !whole {
        return matches!(error, AskError::Fault(Fault::Plugin(error)) if error.kind == ErrorKind::Cancelled);
    }
    !matches!(
        error,
        AskError::Call(CallError::Unavailable(_) | CallError::Cancelled | CallError::Busy) | AskError::Busy
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    type Answer = oneshot::Receiver<Result<Said, AskError>>;

    fn item(text: &str, top_k: usize, alone: bool) -> (Item, Answer) {
        with_mentions(text, 0, top_k, alone)
    }

    fn with_mentions(text: &str, mentions: usize, top_k: usize, alone: bool) -> (Item, Answer) {
        let (done, answer) = oneshot::channel();
        let mention = || Spotted {
            begin: 0,
            end: 1,
            label: String::new(),
            score: 1.0,
            section: None,
        };
        let options = NormalizeOptions {
            top_k,
            vocabularies: Vec::new(),
        };
        let ask = match text {
            "decode" => Ask::Decode {
                format: "f".to_owned(),
                source: Source::Text(text.into()),
                max_text: 1,
            },
            _ => Ask::Link {
                note: Note {
                    text: text.into(),
                    mentions: (0..mentions).map(|_| mention()).collect(),
                },
                options: Arc::new(options),
            },
        };
        let item = Item {
            ask,
            deadline: Instant::now(),
            alone,
            compared: 0,
            done,
        };
        (item, answer)
    }

    #[test]
    fn a_batch_holds_documents_with_the_same_wishes_in_their_order() {
        let long = "x".repeat(MAX_BATCH_BYTES);
        let given = [
            ("a", 5, false),
            ("b", 5, false),
            ("c", 3, false),
            (&*long, 5, false),
            ("decode", 5, false),
            ("d", 5, true),
            ("e", 5, false),
        ];
        let (mut waiting, mut answers): (Vec<Item>, Vec<Answer>) = given
            .into_iter()
            .map(|(text, top_k, alone)| item(text, top_k, alone))
            .unzip();
        drop(answers.remove(1));
        let mut batches = Vec::new();
        while let Some(batch) = next_batch(&mut waiting, MAX_BATCH) {
            let first = |item: &Item| match &item.ask {
                Ask::Link { note, .. } => note.text.chars().next().unwrap(),
                _ => '*',
            };
            batches.push(batch.iter().map(first).collect::<String>());
        }
        assert_eq!(batches, ["ae", "c", "x", "*", "d"], "b is not wanted any more");
    }

    #[test]
    fn what_may_come_of_a_batch_fits_a_message() {
        let (mut waiting, _answers): (Vec<Item>, Vec<Answer>) = [50, 200, 60, 40, 10_000, 1]
            .into_iter()
            .map(|mentions| with_mentions("a", mentions, 50, false))
            .unzip();
        let mut batches = Vec::new();
        while let Some(batch) = next_batch(&mut waiting, MAX_BATCH) {
            let mentions = batch.iter().map(|item| match &item.ask {
                Ask::Link { note, .. } => note.mentions.len(),
                _ => 0,
            });
            batches.push(mentions.collect::<Vec<_>>());
        }
        assert_eq!(
            batches,
            [vec![50, 200, 40, 1], vec![60], vec![10_000]],
            "one alone may be larger"
        );
    }

    #[test]
    fn every_so_many_failures_in_a_row_are_told_once() {
        let mut queue = Queue::default();
        let fails = |kind| {
            Err(AskError::Fault(Fault::Plugin(mednerd_plugin::Error {
                kind,
                ..mednerd_plugin::Error::internal(1)
            })))
        };
        let mut count = |result: Result<Said, AskError>| queue.count(&result, 16);
        let told: Vec<usize> = (1..=80).filter(|_| count(fails(ErrorKind::Internal))).collect();
        assert_eq!(told, [16, 32, 48, 64, 80]);
        // What is not the plugin's failure neither counts nor tells again.
        for _ in 0..3 {
            assert!(!count(fails(ErrorKind::Input)));
            assert!(!count(Err(AskError::Call(CallError::Cancelled))));
        }
        assert!(!count(Ok(Said::Refined(Vec::new()))));
        let told: Vec<usize> = (1..=20).filter(|_| count(fails(ErrorKind::Panic))).collect();
        assert_eq!(told, [16]);
    }

    #[test]
    fn a_batch_is_as_large_as_half_a_call_allows_at_the_pace_of_the_plugin() {
        let (call, each) = (Duration::from_secs(1), Duration::from_millis(20));
        let mut pace = Duration::ZERO;
        assert_eq!(at_once(pace, call), 1, "nothing is known");
        pace = paced(pace, each, 1);
        assert_eq!(at_once(pace, call), 25);
        pace = paced(pace, each * 25, 25);
        assert_eq!(at_once(pace, call), 25);
        // A call that failed for its time, then quick ones.
        pace = paced(pace, call, 1);
        assert_eq!(at_once(pace, call), 1);
        for _ in 0..100 {
            pace = paced(pace, Duration::from_micros(10), 1);
        }
        assert_eq!(at_once(pace, call), MAX_BATCH);
        assert_eq!(at_once(paced(pace, Duration::ZERO, 0), Duration::ZERO), 1);
    }
}
