//! A loaded GLiNER: from a text and the labels of a request to spans. Labels stand before the text, in several prompts
//! where they are too many for one, or have an encoder of their own, whose vectors are kept.

use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use mednerd_client::api;
use mednerd_engine_tract::{Asked, GlinerModel, LabelSet};
use mednerd_gpu::protocol::Values;
use mednerd_model::{Adapter, Checkpoint, LabelEncoder};
use mednerd_pipeline::stretches::{
    Inside, Letters, MOST_CANDIDATES, floor, inside, merge_labels, of_stretches, of_words, select,
};
use mednerd_pipeline::tokens::{ByteSpan, Token};
use mednerd_pipeline::{
    Candidate, Overlaps, Room, Span, TextTokenizer, Tokens, TooMany, Window, WordPieces, WordSplitter,
    word_windows,
};

use crate::models::{Labels, Sequence, StageError, Unusable, failed};
use crate::sync::lock;

/// Labels that a request may name, synonyms included.
const MOST_LABELS: usize = 1000;
/// Bytes of a label.
const LONGEST_LABEL: usize = 512;
/// Words that neighbouring windows share where there is room.
const OVERLAP: usize = 64;
/// Vectors of labels that are kept.
const VECTORS: usize = 4096;
/// Words of a document that may be inside entities, counted for each label: what is kept of the scores of a model that scores words.
const MOST_INSIDE: usize = 2 * MOST_CANDIDATES;
/// The score that an entity must exceed where the request names none; the reference's.
pub const THRESHOLD: f32 = 0.5;

/// What a zero-shot model looks for under one name: the name itself and its synonyms.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Label {
    /// What entities are called in the answer.
    pub name: Arc<str>,
    /// What the model is asked for.
    pub phrases: Vec<Arc<str>>,
}

/// What is wrong with a list of labels. Never quotes one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LabelFault {
    /// Which label, from 0; `None` for the list as a whole.
    pub index: Option<usize>,
    /// What is wrong with it.
    pub problem: &'static str,
}

impl std::fmt::Display for LabelFault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.index {
            Some(index) => write!(f, "the label at index {index} of \"labels\" {}", self.problem),
            None => write!(f, "\"labels\" {}", self.problem),
        }
    }
}

/// Checks what holds for labels whatever the model.
///
/// # Errors
/// The first fault.
pub fn labels(wanted: &[api::Label]) -> Result<Vec<Label>, LabelFault> {
    let fault = |index, problem| Err(LabelFault { index, problem });
    if wanted.is_empty() {
        return fault(None, "is empty; name what to look for");
    }
    let mut seen = HashSet::new();
    let mut labels = Vec::with_capacity(wanted.len());
    for (index, label) in wanted.iter().enumerate() {
        let (name, synonyms) = match label {
            api::Label::Name(name) => (name, &[][..]),
            api::Label::Group(group) => (&group.name, &*group.synonyms),
        };
        let mut phrases = Vec::with_capacity(1 + synonyms.len());
        for phrase in std::iter::once(name).chain(synonyms) {
            if phrase.trim().is_empty() {
                return fault(Some(index), "is empty");
            }
            if phrase.len() > LONGEST_LABEL {
                return fault(Some(index), "is longer than 512 bytes; name it in a few words");
            }
            if !seen.insert(phrase.as_str()) {
                return fault(Some(index), "names the same twice");
            }
            phrases.push(Arc::from(phrase.as_str()));
        }
        if seen.len() > MOST_LABELS {
            return fault(
                None,
                "holds more than 1000 labels and synonyms; ask for some of them at a time",
            );
        }
        labels.push(Label {
            name: Arc::from(name.as_str()),
            phrases,
        });
    }
    Ok(labels)
}

/// A loaded GLiNER, or a task adapter over one. Shared by all workers.
pub struct ZeroShot {
    reader: Arc<Reader>,
    engine: GlinerModel,
}

/// How texts and labels are read; the same for a base and all adapters over it.
struct Reader {
    splitter: WordSplitter,
    tokenizer: TextTokenizer,
    context: usize,
    max_words: usize,
    side: Side,
}

#[allow(clippy::large_enum_variant)] // A model has one.
enum Side {
    /// Labels stand before the text.
    Prompt {
        token: Vec<u32>,
        separator: Vec<u32>,
        after: bool,
    },
    /// Labels have an encoder of their own, with this tokenizer and this longest sequence.
    Tower {
        tokenizer: TextTokenizer,
        context: usize,
        vectors: Mutex<Vectors>,
    },
}

/// The vectors of labels that were encoded last, each with the turn in which it was last used.
#[derive(Default)]
struct Vectors {
    held: HashMap<Arc<str>, (Arc<[f32]>, u64)>,
    turn: u64,
}

impl Vectors {
    fn get(&mut self, phrase: &str) -> Option<Arc<[f32]>> {
        self.turn += 1;
        let (vector, used) = self.held.get_mut(phrase)?;
        *used = self.turn;
        Some(Arc::clone(vector))
    }

    fn put(&mut self, phrase: &Arc<str>, vector: &Arc<[f32]>) {
        while self.held.len() >= VECTORS {
            let oldest = self.held.iter().min_by_key(|(_, (_, used))| *used);
            let Some(oldest) = oldest.map(|(phrase, _)| Arc::clone(phrase)) else {
                break;
            };
            self.held.remove(&oldest);
        }
        self.held
            .insert(Arc::clone(phrase), (Arc::clone(vector), self.turn));
    }
}

/// What a request asks of a zero-shot model.
pub struct Ask {
    names: Vec<Arc<str>>,
    phrases: Vec<Phrase>,
    /// The phrases of each prompt; one where labels have an encoder of their own.
    prompts: Vec<Range<usize>>,
    /// Tokens of the longest prompt.
    longest: usize,
    threshold: f32,
    overlaps: Overlaps,
}

struct Phrase {
    text: Arc<str>,
    /// Index of its name.
    name: usize,
    ids: Vec<u32>,
}

/// A text cut into windows of words for what is asked of it.
pub struct Prepared {
    words: Vec<ByteSpan>,
    /// Of the words in the text; `kept` are those of them that have pieces.
    pieces: WordPieces,
    kept: Vec<usize>,
    windows: Vec<Window>,
    room: usize,
    labels: Option<LabelSet>,
    /// Candidates so far, or words inside them.
    found: AtomicUsize,
}

/// What came of one window and prompt.
pub enum Found {
    /// Stretches above the threshold.
    Stretches(Vec<Candidate>),
    /// Words inside entities.
    Words(Vec<Inside>),
}

impl Prepared {
    /// Words in the text, which count as its tokens.
    pub fn tokens(&self) -> usize {
        self.words.len()
    }

    /// How many runs of the model it takes.
    pub fn units(&self, ask: &Ask) -> usize {
        self.windows.len() * ask.prompts.len()
    }
}

impl Prepared {
    /// Counts what was found in one more unit, of which a document may have so many.
    fn count(&self, found: usize, most: usize) -> Result<(), StageError> {
        match self.found.fetch_add(found, Ordering::Relaxed) + found > most {
            true => Err(too_many(TooMany)),
            false => Ok(()),
        }
    }
}

fn too_many(error: TooMany) -> StageError {
    StageError {
        unusable: Some("is so low that too much of this text is above it for an answer of any use; raise it"),
        ..failed("decoder")(error)
    }
}

impl ZeroShot {
    /// Lowers a checkpoint that is a GLiNER.
    ///
    /// # Errors
    /// Its tokenizer or the engine say that it does not work.
    pub fn load(checkpoint: &Checkpoint) -> Result<Self, Unusable> {
        let gliner = checkpoint.gliner().ok_or("it is no zero-shot model")?;
        let tokenizer = TextTokenizer::new(checkpoint.tokenizer().clone())?;
        let side = match (&gliner.labels, checkpoint.label_tokenizer()) {
            (LabelEncoder::Prompt(prompt), _) => {
                let mark = |name: &str| -> Result<Vec<u32>, Unusable> {
                    Ok(tokenizer.encode_words(&[name])?.word(0).to_vec())
                };
                Side::Prompt {
                    token: mark(&prompt.token)?,
                    separator: mark(&prompt.separator)?,
                    after: prompt.after,
                }
            }
            (LabelEncoder::Tower { .. }, Some((tokenizer, context))) => Side::Tower {
                tokenizer: TextTokenizer::new(tokenizer.clone())?,
                context,
                vectors: Mutex::default(),
            },
            (LabelEncoder::Tower { .. }, None) => return Err("its label encoder has no tokenizer".into()),
        };
        Ok(Self {
            reader: Arc::new(Reader {
                splitter: WordSplitter::new()?,
                context: checkpoint.context(),
                max_words: gliner.max_words,
                tokenizer,
                side,
            }),
            engine: GlinerModel::load(checkpoint)?,
        })
    }

    /// Lowers an adapter over this model, which is `checkpoint` loaded.
    ///
    /// # Errors
    /// The engine says that it does not work.
    pub fn adapt(&self, checkpoint: &Checkpoint, adapter: &Adapter) -> Result<Self, Unusable> {
        Ok(Self {
            reader: Arc::clone(&self.reader),
            engine: self.engine.adapt(checkpoint, adapter)?,
        })
    }

    /// Bytes of weights in memory; for an adapter, on top of its base's.
    pub fn memory_bytes(&self) -> usize {
        self.engine.memory_bytes()
    }

    /// Makes a request's labels ready.
    ///
    /// # Errors
    /// The first label that this model cannot be asked for.
    pub fn ask(&self, labels: &[Label], threshold: f32, overlaps: Overlaps) -> Result<Ask, LabelFault> {
        let mut phrases = Vec::new();
        for (index, label) in labels.iter().enumerate() {
            for text in &label.phrases {
                let fault = |problem| LabelFault {
                    index: Some(index),
                    problem,
                };
                let ids = self.reader.label_ids(text).map_err(fault)?;
                phrases.push(Phrase {
                    text: Arc::clone(text),
                    name: index,
                    ids,
                });
            }
        }
        let (prompts, longest) = self.reader.prompts(&phrases);
        Ok(Ask {
            names: labels.iter().map(|label| Arc::clone(&label.name)).collect(),
            phrases,
            prompts,
            longest,
            threshold,
            overlaps,
        })
    }

    /// Cuts a text into windows and encodes the labels where they have an encoder.
    ///
    /// # Errors
    /// [`StageError`]
    pub fn prepare(&self, text: &str, ask: &Ask) -> Result<Prepared, StageError> {
        let reader = &self.reader;
        let all = reader.splitter.split(text).map_err(failed("tokeniser"))?;
        let words: Vec<&str> = all.iter().filter_map(|span| text.get(span.range())).collect();
        let pieces = reader
            .tokenizer
            .encode_words(&words)
            .map_err(failed("tokeniser"))?;
        // A word that the tokenizer drops has no state that could be scored.
        let kept: Vec<usize> = (0..pieces.len())
            .filter(|word| !pieces.word(*word).is_empty())
            .collect();
        let words: Vec<ByteSpan> = kept.iter().filter_map(|word| all.get(*word)).copied().collect();
        let tokens = words.iter().zip(0..).map(|(span, word)| Token {
            id: 0,
            span: *span,
            word,
        });
        let tokens = Tokens::new(text, tokens).map_err(failed("tokeniser"))?;
        let sizes: Vec<usize> = kept.iter().map(|word| pieces.word(*word).len()).collect();
        let room = Room {
            words: reader.max_words,
            pieces: reader.room().saturating_sub(ask.longest),
        };
        let width = self.engine.max_width().unwrap_or(1);
        let overlap = OVERLAP.min(room.words / 4).max(width.min(room.words / 2));
        let windows = word_windows(text, &tokens, &sizes, room, overlap).map_err(failed("windows"))?;
        Ok(Prepared {
            words,
            pieces,
            kept,
            windows,
            room: room.pieces,
            labels: self.label_set(ask)?,
            found: AtomicUsize::new(0),
        })
    }

    /// What the model finds in one window for one prompt.
    ///
    /// # Errors
    /// [`StageError`]
    pub fn forward(&self, prepared: &Prepared, ask: &Ask, unit: usize) -> Result<Found, StageError> {
        let scores = self.scores(&self.sequence(prepared, ask, unit)?)?;
        self.find(prepared, ask, unit, Values::All(scores))
    }

    /// The same from the scores of its [sequence](Self::sequence), which another engine may have computed.
    ///
    /// # Errors
    /// [`StageError`]
    pub fn find(
        &self,
        prepared: &Prepared,
        ask: &Ask,
        unit: usize,
        scores: Values,
    ) -> Result<Found, StageError> {
        let (window, prompt) = ask.parts(unit);
        let windows = &prepared.windows;
        let (labels, threshold) = (prompt.len(), ask.threshold);
        let mut found = match (self.engine.max_width(), scores) {
            (None, Values::All(scores)) => {
                let missing = || failed("windows")("no such window");
                let window = windows.get(window).ok_or_else(missing)?;
                let found = inside(&scores, labels, threshold, window);
                prepared.count(found.len(), MOST_INSIDE)?;
                return Ok(Found::Words(found));
            }
            (None, Values::Above { .. }) => return Err(failed("engine")("scores of words are left out")),
            (Some(width), Values::All(scores)) => {
                let scores = scores.into_iter().enumerate();
                of_stretches(scores, width, labels, threshold, windows, window)
            }
            (Some(width), Values::Above { places, values }) => {
                let places = places.into_iter().filter_map(|place| usize::try_from(place).ok());
                of_stretches(places.zip(values), width, labels, threshold, windows, window)
            }
        };
        prepared.count(found.len(), MOST_CANDIDATES)?;
        ask.call_by_name(&mut found, prompt.start);
        Ok(Found::Stretches(found))
    }

    /// The scores of a sequence's words for its labels.
    ///
    /// # Errors
    /// [`StageError`]
    pub fn scores(&self, sequence: &Sequence) -> Result<Vec<f32>, StageError> {
        let Sequence {
            ids, words, labels, ..
        } = sequence;
        let asked = match labels {
            Labels::At(places) => Asked::At(places),
            Labels::Encoded(set) => Asked::Encoded(set),
        };
        self.engine.forward(ids, words, asked).map_err(failed("engine"))
    }

    /// Scores of a word and a label.
    pub fn columns(&self) -> usize {
        // One for each width, or for the begin, end and inside of an entity.
        self.engine.max_width().unwrap_or(3)
    }

    /// What the model reads for one window and prompt, and below what nothing is taken.
    ///
    /// # Errors
    /// [`StageError`]
    pub fn sequence(&self, prepared: &Prepared, ask: &Ask, unit: usize) -> Result<Sequence, StageError> {
        let (window, prompt) = ask.parts(unit);
        let missing = || failed("windows")("no such window");
        let window = prepared.windows.get(window).ok_or_else(missing)?;
        let tokenizer = &self.reader.tokenizer;
        let mut content = Vec::new();
        let mut labels: Vec<usize> = Vec::new();
        if let Side::Prompt {
            token,
            separator,
            after,
        } = &self.reader.side
        {
            for phrase in ask.phrases.get(prompt).unwrap_or_default() {
                labels.push(content.len() + usize::from(*after) * token.len());
                content.extend_from_slice(token);
                content.extend_from_slice(&phrase.ids);
            }
            content.extend_from_slice(separator);
        }
        let mut words: Vec<usize> = Vec::with_capacity(window.tokens.len());
        for word in prepared.kept.get(window.tokens.clone()).ok_or_else(missing)? {
            words.push(content.len());
            content.extend(prepared.pieces.word(*word).iter().take(prepared.room));
        }
        let before = tokenizer.prefix().len();
        let places = |of: &[usize]| -> Result<Vec<u32>, StageError> {
            let places = of.iter().map(|at| u32::try_from(at + before));
            places.collect::<Result<_, _>>().map_err(failed("windows"))
        };
        Ok(Sequence {
            ids: tokenizer.sequence(&content).ids,
            words: places(&words)?,
            labels: match &prepared.labels {
                Some(set) => Labels::Encoded(set.clone()),
                None => Labels::At(places(&labels)?),
            },
            // Of words all scores are looked at.
            floor: self.engine.max_width().map(|_| floor(ask.threshold)),
        })
    }

    /// The entities of a text from what was found in all its units, in order. `None` where they are no longer `wanted`, which is asked for
    /// each prompt.
    ///
    /// # Errors
    /// [`StageError`]
    pub fn decode(
        &self,
        text: &str,
        prepared: &Prepared,
        ask: &Ask,
        parts: &[&Found],
        wanted: &dyn Fn() -> bool,
    ) -> Result<Option<Vec<Span>>, StageError> {
        let Some(mut candidates) = candidates(ask, parts, wanted)? else {
            return Ok(None);
        };
        let letters = Letters::new(text, &prepared.words);
        letters.complete(&mut candidates);
        Ok(wanted().then(|| self.spans(candidates, &letters, ask)))
    }

    /// Those of a document's candidates that stand beside one another.
    fn spans(&self, mut candidates: Vec<Candidate>, letters: &Letters<'_>, ask: &Ask) -> Vec<Span> {
        merge_labels(&mut candidates);
        if self.engine.max_width().is_none() {
            // The order in which the reference finds them, which decides between equal scores.
            candidates.sort_by_key(|found| (found.first, found.label, found.last));
        }
        let spans = select(candidates, ask.overlaps).into_iter().filter_map(|found| {
            let place = letters.bytes(found.first, found.last)?;
            Some(Span {
                begin: place.begin,
                end: place.end,
                label: Arc::clone(ask.names.get(found.label)?),
                score: found.score,
            })
        });
        spans.collect()
    }

    /// The scores of a sentence for the same labels each time.
    ///
    /// # Errors
    /// [`StageError`]
    pub fn probe(&self, sentence: &str) -> Result<Vec<f32>, StageError> {
        self.scores(&self.probe_sequence(sentence)?)
    }

    /// What the model reads for a sentence and the same labels each time.
    ///
    /// # Errors
    /// [`StageError`]
    pub fn probe_sequence(&self, sentence: &str) -> Result<Sequence, StageError> {
        let wanted = ["disease", "drug"].map(|name| api::Label::Name(name.to_owned()));
        let labels = labels(&wanted).map_err(failed("labels"))?;
        let ask = self
            .ask(&labels, THRESHOLD, Overlaps::default())
            .map_err(failed("labels"))?;
        let prepared = self.prepare(sentence, &ask)?;
        Ok(Sequence {
            floor: None,
            ..self.sequence(&prepared, &ask, 0)?
        })
    }

    /// Computes the vectors of `most` of the labels that have not been seen lately, where they have an encoder. Whether there are
    /// more: a thousand of them take minutes, and others wait for their turn.
    ///
    /// # Errors
    /// [`StageError`]
    pub fn encode_labels(&self, ask: &Ask, most: usize) -> Result<bool, StageError> {
        let Side::Tower { vectors, .. } = &self.reader.side else {
            return Ok(false);
        };
        let mut encoded = 0;
        for phrase in &ask.phrases {
            if lock(vectors).get(&phrase.text).is_some() {
                continue;
            }
            if encoded == most {
                return Ok(true);
            }
            self.label_vector(vectors, phrase)?;
            encoded += 1;
        }
        Ok(false)
    }

    /// The labels' vectors made ready for scoring, where they have an encoder: those not seen lately are computed.
    fn label_set(&self, ask: &Ask) -> Result<Option<LabelSet>, StageError> {
        let Side::Tower { vectors, .. } = &self.reader.side else {
            return Ok(None);
        };
        let mut all: Vec<Arc<[f32]>> = Vec::with_capacity(ask.phrases.len());
        for phrase in &ask.phrases {
            let held = lock(vectors).get(&phrase.text);
            all.push(match held {
                Some(vector) => vector,
                None => self.label_vector(vectors, phrase)?,
            });
        }
        let all: Vec<&[f32]> = all.iter().map(|vector| &**vector).collect();
        self.engine.label_set(&all).map(Some).map_err(failed("engine"))
    }

    fn label_vector(&self, vectors: &Mutex<Vectors>, phrase: &Phrase) -> Result<Arc<[f32]>, StageError> {
        let vector = self.engine.encode_label(&phrase.ids).map_err(failed("engine"))?;
        let vector: Arc<[f32]> = vector.into();
        lock(vectors).put(&phrase.text, &vector);
        Ok(vector)
    }
}

/// The candidates of a document, by the names of labels, from what was found in all its units. `None` where they are no longer `wanted`.
fn candidates(
    ask: &Ask,
    parts: &[&Found],
    wanted: &dyn Fn() -> bool,
) -> Result<Option<Vec<Candidate>>, StageError> {
    let mut candidates = Vec::new();
    for (index, prompt) in ask.prompts.iter().enumerate() {
        if !wanted() {
            return Ok(None);
        }
        let mut words: Vec<Inside> = Vec::new();
        for part in parts.iter().skip(index).step_by(ask.prompts.len().max(1)) {
            match part {
                Found::Stretches(found) => candidates.extend_from_slice(found),
                Found::Words(found) => words.extend_from_slice(found),
            }
        }
        let mut found = of_words(words, ask.threshold).map_err(too_many)?;
        ask.call_by_name(&mut found, prompt.start);
        candidates.append(&mut found);
        if candidates.len() > MOST_CANDIDATES {
            return Err(too_many(TooMany));
        }
    }
    Ok(Some(candidates))
}

impl Ask {
    /// The window and the prompt of a unit.
    fn parts(&self, unit: usize) -> (usize, Range<usize>) {
        let prompts = self.prompts.len().max(1);
        let prompt = self.prompts.get(unit % prompts).cloned();
        (unit / prompts, prompt.unwrap_or_default())
    }

    /// Turns the number of a phrase in a prompt into that of its name.
    fn call_by_name(&self, found: &mut [Candidate], first: usize) {
        for candidate in found {
            let phrase = self.phrases.get(first + candidate.label);
            candidate.label = phrase.map_or(usize::MAX, |phrase| phrase.name);
        }
    }
}

impl Reader {
    /// Tokens of a sequence beside the special ones.
    fn room(&self) -> usize {
        self.context.saturating_sub(self.tokenizer.special_count())
    }

    /// Tokens of a prompt at most: labels and text share the context.
    fn prompt_room(&self) -> usize {
        self.room() / 2
    }

    /// The tokens of a label.
    fn label_ids(&self, phrase: &str) -> Result<Vec<u32>, &'static str> {
        const UNREADABLE: &str = "holds nothing that the model can read";
        const LONG: &str = "is longer than the model's context allows; name it in a few words";
        match &self.side {
            Side::Prompt { token, separator, .. } => {
                let pieces = self.tokenizer.encode_words(&[phrase]).map_err(|_| UNREADABLE)?;
                let ids = pieces.word(0);
                let ends = self
                    .tokenizer
                    .prefix()
                    .iter()
                    .chain(self.tokenizer.suffix())
                    .map(|special| special.id);
                let marks: Vec<u32> = token.iter().chain(separator).copied().chain(ends).collect();
                if ids.iter().any(|id| marks.contains(id)) {
                    return Err("holds a special token of the model");
                }
                if ids.is_empty() {
                    return Err(UNREADABLE);
                }
                if token.len() + ids.len() + separator.len() > self.prompt_room() {
                    return Err(LONG);
                }
                Ok(ids.to_vec())
            }
            Side::Tower {
                tokenizer, context, ..
            } => {
                let tokens = tokenizer.tokenise(phrase).map_err(|_| UNREADABLE)?;
                if tokens.is_empty() {
                    return Err(UNREADABLE);
                }
                let ids = tokenizer.sequence(tokens.ids()).ids;
                if ids.len() > *context { Err(LONG) } else { Ok(ids) }
            }
        }
    }

    /// Divides phrases among prompts that fit, about the same amount to each, and gives the longest prompt's tokens.
    fn prompts(&self, phrases: &[Phrase]) -> (Vec<Range<usize>>, usize) {
        let Side::Prompt { token, separator, .. } = &self.side else {
            return (std::iter::once(0..phrases.len()).collect(), 0);
        };
        let room = self.prompt_room().saturating_sub(separator.len()).max(1);
        let size = |phrase: &Phrase| token.len() + phrase.ids.len();
        let total: usize = phrases.iter().map(size).sum();
        let share = total.div_ceil(total.div_ceil(room).max(1));
        let mut prompts: Vec<Range<usize>> = Vec::new();
        let (mut begin, mut held, mut longest) = (0, 0, 0);
        for (index, phrase) in phrases.iter().enumerate() {
            if index > begin && (held >= share || held + size(phrase) > room) {
                prompts.push(begin..index);
                (begin, held) = (index, 0);
            }
            held += size(phrase);
            longest = longest.max(held);
        }
        prompts.push(begin..phrases.len());
        (prompts, longest + separator.len())
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use serde_json::Value;

    use super::*;
    use crate::reference::{ZERO_SHOT, golden, zero_shot as fixture};

    fn open(variant: &str) -> ZeroShot {
        ZeroShot::load(&Checkpoint::open(&fixture(variant)).unwrap()).unwrap()
    }

    fn wanted(names: &[&str]) -> Vec<Label> {
        let names: Vec<api::Label> = names
            .iter()
            .map(|name| api::Label::Name((*name).to_owned()))
            .collect();
        labels(&names).unwrap()
    }

    fn found(model: &ZeroShot, prepared: &Prepared, ask: &Ask) -> Vec<Found> {
        let units = 0..prepared.units(ask);
        units
            .map(|unit| model.forward(prepared, ask, unit).unwrap())
            .collect()
    }

    fn spans(model: &ZeroShot, text: &str, ask: &Ask) -> Vec<Span> {
        let prepared = model.prepare(text, ask).unwrap();
        let parts = found(model, &prepared, ask);
        let parts: Vec<&Found> = parts.iter().collect();
        let spans = model.decode(text, &prepared, ask, &parts, &|| true);
        spans.unwrap().unwrap()
    }

    /// As the reference takes them: it knows nothing of marks.
    fn spans_of_words(model: &ZeroShot, text: &str, ask: &Ask) -> Vec<Span> {
        let prepared = model.prepare(text, ask).unwrap();
        let parts = found(model, &prepared, ask);
        let parts: Vec<&Found> = parts.iter().collect();
        let candidates = candidates(ask, &parts, &|| true).unwrap().unwrap();
        model.spans(candidates, &Letters::new(text, &prepared.words), ask)
    }

    /// Compares every case of a golden.json and gives the number of entities.
    fn compare(place: &Path, model: &ZeroShot) -> usize {
        let golden = golden(place);
        let mut compared = 0;
        for case in golden["cases"].as_array().unwrap() {
            let text = case["text"].as_str().unwrap();
            let names = case["labels"].as_array().unwrap().iter();
            let names: Vec<&str> = names.map(|label| label.as_str().unwrap()).collect();
            // The reference gives a word that the tokenizer drops the states of the next one, and so on to the end.
            let ask = model.ask(&wanted(&names), 0.5, Overlaps::default()).unwrap();
            if model.prepare(text, &ask).unwrap().tokens() != case["words"].as_array().unwrap().len() {
                assert!(text.contains('\u{301}'));
                continue;
            }
            for (key, want) in case["entities"].as_object().unwrap() {
                let (mode, threshold) = key.split_once('@').unwrap();
                let overlaps = Overlaps {
                    nested: mode.starts_with("nested"),
                    several_labels: mode.ends_with("multi"),
                };
                let ask = model
                    .ask(&wanted(&names), threshold.parse().unwrap(), overlaps)
                    .unwrap();
                let found = spans_of_words(model, text, &ask);
                if !text.contains('\u{301}') {
                    assert_eq!(found, spans(model, text, &ask));
                }
                let mut got: Vec<Row> = found
                    .iter()
                    .map(|span| {
                        (
                            span.begin,
                            span.end,
                            span.label.to_string(),
                            f64::from(span.score),
                        )
                    })
                    .collect();
                let mut want: Vec<Row> = want
                    .as_array()
                    .unwrap()
                    .iter()
                    .map(|row| golden_row(text, row))
                    .collect();
                let order = |a: &Row, b: &Row| (a.0, a.1, &a.2).cmp(&(b.0, b.1, &b.2));
                got.sort_by(order);
                want.sort_by(order);
                let place = format!("{}, {key} of {text:?}", place.display());
                assert_eq!(got.len(), want.len(), "{place}: {got:?} {want:?}");
                for (got, want) in got.iter().zip(&want) {
                    assert_eq!((got.0, got.1, &got.2), (want.0, want.1, &want.2), "{place}");
                    assert!((got.3 - want.3).abs() < 1e-4, "{place}: {got:?} {want:?}");
                    compared += 1;
                }
            }
        }
        compared
    }

    type Row = (usize, usize, String, f64);

    fn golden_row(text: &str, row: &Value) -> Row {
        let [begin, end] = [0, 1].map(|at| row[at].as_u64().unwrap() as usize);
        // A word of the reference ends before an accent.
        let accent = if text[end..].starts_with('\u{301}') { 2 } else { 0 };
        (
            begin,
            end + accent,
            row[2].as_str().unwrap().to_owned(),
            row[3].as_f64().unwrap(),
        )
    }

    #[test]
    fn the_entities_are_those_of_the_reference() {
        let compared: usize = ZERO_SHOT
            .iter()
            .map(|variant| compare(&fixture(variant), &open(variant)))
            .sum();
        assert!(compared > 3000, "only {compared} entities in the goldens");
    }

    #[test]
    fn adapters_of_the_encoder_answer_as_in_the_reference() {
        for (name, base) in [
            ("encoder", "span"),
            ("whole-dora", "span-rnn"),
            ("bi-encoder", "bi-span"),
        ] {
            let checkpoint = Checkpoint::open(&fixture(base)).unwrap();
            let model = ZeroShot::load(&checkpoint).unwrap();
            let place = fixture("adapters").join(name);
            let adapter = Adapter::open(&place, &checkpoint).unwrap();
            let adapted = model.adapt(&checkpoint, &adapter).unwrap();
            assert!(compare(&place, &adapted) > 50, "{name}");
            // The base stays as it is.
            assert!(compare(&fixture(base), &model) > 50);
            assert!(adapted.memory_bytes() < model.memory_bytes());
        }
    }

    #[test]
    fn labels_that_cannot_be_used_are_told_by_their_place() {
        let name = |name: &str| api::Label::Name(name.to_owned());
        let group = |name: &str, synonyms: &[&str]| {
            api::Label::Group(api::LabelGroup {
                name: name.to_owned(),
                synonyms: synonyms.iter().map(ToString::to_string).collect(),
            })
        };
        let many: Vec<api::Label> = (0..=MOST_LABELS).map(|n| name(&format!("label {n}"))).collect();
        let cases: [(Vec<api::Label>, Option<usize>); 8] = [
            (vec![], None),
            (many, None),
            (vec![name("a"), name(" \t")], Some(1)),
            (vec![name("a"), name("b"), name("a")], Some(2)),
            (vec![name("a"), group("b", &["a"])], Some(1)),
            (vec![group("b", &["c", "c"])], Some(0)),
            (vec![group("b", &[""])], Some(0)),
            (vec![name(&"x".repeat(LONGEST_LABEL + 1))], Some(0)),
        ];
        for (wanted, index) in cases {
            assert_eq!(labels(&wanted).unwrap_err().index, index);
        }
        for variant in ["span", "bi-span"] {
            let model = open(variant);
            let fault = |label: &str| {
                let found = model.ask(&wanted(&["drug", label]), 0.5, Overlaps::default());
                found.err().map(|fault| (fault.index, fault.problem))
            };
            let (index, problem) = fault(&"smoking status ".repeat(30)).unwrap();
            assert!(index == Some(1) && problem.contains("longer"), "{problem}");
        }
        let model = open("span");
        for label in ["a <<ENT>> b", "<<SEP>>", "[SEP]"] {
            assert!(
                model.ask(&wanted(&[label]), 0.5, Overlaps::default()).is_err(),
                "{label}"
            );
        }
    }

    #[test]
    fn many_labels_are_divided_among_prompts() {
        let model = open("span");
        let names: Vec<String> = (0..200).map(|n| format!("finding {n}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let ask = model
            .ask(
                &wanted(&names),
                0.5,
                Overlaps {
                    nested: true,
                    several_labels: true,
                },
            )
            .unwrap();
        assert!(ask.prompts.len() > 2 && ask.longest <= model.reader.prompt_room());
        let sizes: Vec<usize> = ask.prompts.iter().map(ExactSizeIterator::len).collect();
        assert!(
            sizes.iter().sum::<usize>() == 200 && sizes.iter().all(|size| *size > 0),
            "{sizes:?}"
        );
        let text = "Pt admitted with acute pneumonia, started on amoxicillin.";
        let prepared = model.prepare(text, &ask).unwrap();
        assert_eq!(prepared.units(&ask), ask.prompts.len());
        let mut found = 0;
        for (unit, prompt) in ask.prompts.iter().enumerate() {
            // Each prompt is answered as if it had been asked alone.
            let some = model
                .ask(&wanted(&names[prompt.clone()]), 0.5, ask.overlaps)
                .unwrap();
            let alone = model
                .forward(&model.prepare(text, &some).unwrap(), &some, 0)
                .unwrap();
            let together = model.forward(&prepared, &ask, unit).unwrap();
            let (Found::Stretches(alone), Found::Stretches(together)) = (alone, together) else {
                panic!()
            };
            let moved = alone.iter().map(|found| Candidate {
                label: found.label + prompt.start,
                ..*found
            });
            assert_eq!(moved.collect::<Vec<_>>(), together);
            found += together.len();
        }
        assert!(found > 0 && !spans(&model, text, &ask).is_empty());
    }

    #[test]
    fn no_entity_begins_or_ends_within_a_letter() {
        let text = "e\u{301}tat fe\u{301}brile, cafe\u{301}\u{323} au lait";
        for (variant, several) in [
            ("span", false),
            ("span", true),
            ("bi-token", false),
            ("token-modernbert", false),
        ] {
            let model = open(variant);
            for (nested, threshold) in [(false, 0.0), (true, 0.0), (false, 0.4), (true, 0.4)] {
                let overlaps = Overlaps {
                    nested,
                    several_labels: several,
                };
                let ask = model
                    .ask(&wanted(&["drug", "dose"]), threshold, overlaps)
                    .unwrap();
                let found = spans(&model, text, &ask);
                let mut places = HashSet::new();
                for span in &found {
                    let marks = |at: usize| text[at..].starts_with(['\u{301}', '\u{323}']);
                    assert!(!marks(span.begin) && !marks(span.end), "{variant}: {span:?}");
                    let label = several.then_some(&span.label);
                    assert!(
                        places.insert((span.begin, span.end, label)),
                        "{variant}: {span:?}"
                    );
                }
                assert!(threshold > 0.0 || !found.is_empty(), "{variant}");
            }
        }
    }

    #[test]
    fn synonyms_are_answered_under_one_name() {
        let model = open("bi-span");
        let text = "Pt admitted with acute pneumonia, started on amoxicillin 500 mg TID.";
        let overlaps = Overlaps {
            nested: true,
            several_labels: true,
        };
        let ask = |labels: &[Label]| model.ask(labels, 0.5, overlaps).unwrap();
        let apart = spans(&model, text, &ask(&wanted(&["drug", "medicine", "dose"])));
        let group = api::LabelGroup {
            name: "drug".to_owned(),
            synonyms: vec!["medicine".to_owned()],
        };
        let grouped = labels(&[api::Label::Group(group), api::Label::Name("dose".to_owned())]).unwrap();
        let together = spans(&model, text, &ask(&grouped));
        assert!(
            together
                .iter()
                .all(|span| &*span.label == "drug" || &*span.label == "dose")
        );
        for span in together.iter().filter(|span| &*span.label == "drug") {
            let same = apart
                .iter()
                .filter(|a| (a.begin, a.end) == (span.begin, span.end) && &*a.label != "dose");
            let best = same.map(|a| a.score).fold(0.0, f32::max);
            assert!((best - span.score).abs() < 1e-6);
            let twice = together
                .iter()
                .filter(|b| (b.begin, b.end, &b.label) == (span.begin, span.end, &span.label));
            assert_eq!(twice.count(), 1);
        }
    }

    #[test]
    fn label_vectors_are_kept_and_bounded() {
        let model = open("bi-marker");
        let ask = model
            .ask(&wanted(&["drug", "dose"]), 0.5, Overlaps::default())
            .unwrap();
        let Side::Tower { vectors, .. } = &model.reader.side else {
            panic!()
        };
        let text = "Started on amoxicillin 500 mg.";
        let first = spans(&model, text, &ask);
        assert_eq!(lock(vectors).held.len(), 2);
        let kept = lock(vectors).get("drug").unwrap();
        assert_eq!(spans(&model, text, &ask), first);
        assert!(Arc::ptr_eq(&kept, &lock(vectors).get("drug").unwrap()));
        let mut all = lock(vectors);
        for n in 0..2 * VECTORS {
            // One that is asked for again and again stays.
            assert!(all.get("drug").is_some());
            all.put(&Arc::from(format!("label {n}")), &kept);
        }
        assert!(all.held.len() <= VECTORS && all.get("dose").is_none());
    }

    #[test]
    fn labels_are_encoded_a_few_at_a_time() {
        let model = open("bi-marker");
        let names: Vec<String> = (0..10).map(|n| format!("label {n}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let ask = model.ask(&wanted(&names), 0.5, Overlaps::default()).unwrap();
        let Side::Tower { vectors, .. } = &model.reader.side else {
            panic!()
        };
        for (held, more) in [(4, true), (8, true), (10, false), (10, false)] {
            assert_eq!(model.encode_labels(&ask, 4).unwrap(), more);
            assert_eq!(lock(vectors).held.len(), held);
        }
        let text = "Started on amoxicillin 500 mg.";
        assert_eq!(spans(&model, text, &ask), spans(&open("bi-marker"), text, &ask));
    }

    #[test]
    fn nothing_is_made_of_scores_that_nobody_wants_any_more() {
        for variant in ["span", "bi-token"] {
            let model = open(variant);
            let ask = model
                .ask(&wanted(&["drug", "dose"]), 0.5, Overlaps::default())
                .unwrap();
            let text = "Started on amoxicillin 500 mg.";
            let prepared = model.prepare(text, &ask).unwrap();
            let parts = found(&model, &prepared, &ask);
            let parts: Vec<&Found> = parts.iter().collect();
            // Whenever it is that they leave.
            for leaving in 0..3 {
                let asked = std::cell::Cell::new(0);
                let here = || asked.replace(asked.get() + 1) < leaving;
                let found = model.decode(text, &prepared, &ask, &parts, &here).unwrap();
                assert_eq!(found.is_some(), leaving == 2, "{variant}");
            }
        }
    }

    #[test]
    fn a_threshold_that_lets_everything_through_is_told() {
        let model = open("span");
        let ask = model
            .ask(&wanted(&["a", "b", "c", "d", "e", "f"]), 0.0, Overlaps::default())
            .unwrap();
        let text = "Pt has fever. ".repeat(2_000);
        let prepared = model.prepare(&text, &ask).unwrap();
        let failed = (0..prepared.units(&ask)).find_map(|unit| model.forward(&prepared, &ask, unit).err());
        assert!(failed.unwrap().unusable.is_some());
    }

    #[test]
    fn of_scores_of_words_no_more_is_kept_than_what_is_inside_entities() {
        let model = open("bi-token");
        let names: Vec<String> = (0..200).map(|n| format!("label {n}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let text = "Pt has fever. ".repeat(1_000);
        let of = |threshold: f32| {
            let ask = model
                .ask(&wanted(&names), threshold, Overlaps::default())
                .unwrap();
            let prepared = model.prepare(&text, &ask).unwrap();
            let units = 0..prepared.units(&ask);
            let found = units.map(|unit| model.forward(&prepared, &ask, unit));
            let kept = found.map(|found| match found? {
                Found::Words(words) => {
                    Ok(words.iter().filter(|word| word.inside >= threshold).count() - words.len())
                }
                Found::Stretches(_) => panic!("it scores words"),
            });
            kept.sum::<Result<usize, StageError>>()
        };
        assert_eq!(of(0.99).ok(), Some(0));
        assert!(
            of(0.0).unwrap_err().unusable.is_some(),
            "800,000 words and labels"
        );
    }
}
