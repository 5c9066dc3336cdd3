//! What a zero-shot model (GLiNER, Zaratiana et al. 2024) computes after its text encoder: from the hidden states of words and labels to
//! scores. Stretches of words are scored without their vectors, as on the CPU (`engine-tract/src/gliner.rs`): with `markerV0` a score is
//! `(p W) · relu(a(first) + b(last)) + p · c`, and with `marker` the same where `a` has the first half of the columns and `b` the other.

use std::ops::Range;
use std::sync::Arc;

use mednerd_gpu::protocol::{Labels, Values as Found};
use mednerd_model::{Activation, Bilstm, Gliner, GlinerHead, LabelEncoder, Linear, Mlp, SpanOutput};

use crate::device::{Arg, Device, DeviceError, Kind, Launch, Values};
use crate::engine::Later;
use crate::lower::{LowerError, Lowered, Lowering, Matrix, NormWeights, ROW_BLOCK, activation_number};
use crate::run::gather;

/// Warps of a block of the kernels of recurrence, at most, and lanes of one that share a row of weights.
const RECUR_WARPS: usize = 16;
const ACROSS: usize = 8;
/// Floats of shared memory for each value of a state.
const RECUR_SHARED: usize = 6;
/// Texts whose words go through the recurrence together, where there are more than `MANY`.
const TOGETHER: usize = 4;
const MANY: usize = 32;

/// A tile of the kernel of stretches, its threads, and its floats of shared memory. See there.
const FIRSTS: usize = 16;
const WIDTHS: usize = 12;
const LABELS: usize = 16;
const SCORING: usize = 192;
const SCORING_SHARED: usize = (2 * FIRSTS + WIDTHS - 1 + LABELS) * 36;

/// Scores of a segment that is looked through on the device, and how many may be left of one; see there.
const SEGMENT: usize = 2048;
const KEPT: usize = 32;

/// Pairs of a word and a label that are computed at once, at most.
const PAIRS: usize = 1 << 14;

/// Columns behind those of a label's product, of which the first is its constant; so many that rows stay aligned.
const BEHIND: usize = 8;

/// From hidden states to scores.
pub(crate) struct Scorer<B> {
    /// Whether the labels are encoded apart.
    apart: bool,
    projection: Option<Matrix<B>>,
    recurrent: Vec<Recurrent<B>>,
    head: Head<B>,
    /// Values of the vector of a word or label.
    width: usize,
}

/// One layer of an LSTM in both directions.
struct Recurrent<B> {
    /// What a word gives to the gates of either direction.
    input: Matrix<B>,
    /// What each value of the state before gives to them; by direction.
    state: B,
    /// Values of a direction's state.
    half: usize,
}

enum Head<B> {
    Stretches {
        max_width: usize,
        start: [Matrix<B>; 2],
        end: [Matrix<B>; 2],
        /// Of the first word, with the bias, and of the last one; none with `marker`.
        joint: Option<[Matrix<B>; 2]>,
        label: [Matrix<B>; 2],
        /// The last layer from its outputs to its inputs, and its bias behind.
        out: Matrix<B>,
        /// Columns of a label's product, and those of them that a word has.
        inner: usize,
        half: usize,
    },
    Words {
        /// Each gives the first and the second vector.
        word: [Matrix<B>; 2],
        label: [Matrix<B>; 2],
        /// The inner layer's parts for the first vectors of word and label and for the product of the second ones; the bias is with the
        /// word.
        of_word: Matrix<B>,
        of_label: Matrix<B>,
        of_product: Matrix<B>,
        out: Matrix<B>,
    },
}

/// A window for a zero-shot model.
pub(crate) struct Text<'a, B> {
    /// Its first row among the hidden states.
    pub(crate) row: usize,
    /// What its model has after the encoder.
    pub(crate) norm: Option<&'a NormWeights<B>>,
    /// Positions of the words' first tokens: one at least.
    pub(crate) words: &'a [u32],
    /// One at least.
    pub(crate) labels: Labels<'a>,
    /// Below this, scores may be left out.
    pub(crate) floor: Option<f32>,
}

impl<B> Text<'_, B> {
    /// The floor, where it leaves anything out.
    fn floor(&self) -> Option<f32> {
        self.floor.filter(|floor| *floor > f32::NEG_INFINITY)
    }
}

/// The numbers of a batch of texts, to be copied to the device in one piece, and where in them each kind begins.
#[derive(Debug, Default)]
struct Layout<'a> {
    values: Vec<u32>,
    /// The row of each word among the hidden states, and that of each label that stands before its text.
    rows: usize,
    /// The texts by their number of words.
    order: usize,
    /// Cumulative numbers of words, one more than there are texts.
    starts: usize,
    /// The text of each word.
    of_words: usize,
    /// As the kernels' `Text`.
    texts: usize,
    /// Threes: a text, a first word, a first label.
    tiles: usize,
    tile_count: usize,
    words: usize,
    /// Labels that stand before their texts, and labels in all.
    placed: usize,
    labels: usize,
    /// The vectors of those that do not.
    vectors: Vec<f32>,
    scores: usize,
    sets: Vec<(&'a [f32], usize)>,
    /// Fours, as the kernels' `Segment`, and what is left of all segments: numbers.
    segments: usize,
    left: usize,
    /// All segments: the text, and where it begins there, its size, and whether it is looked through.
    parts: Vec<Segment>,
}

#[derive(Clone, Copy, Debug)]
struct Segment {
    text: usize,
    begin: usize,
    count: usize,
    sifted: bool,
}

impl Segment {
    /// Numbers that are left of it.
    fn left(self) -> usize {
        match self.sifted {
            true => 1 + 2 * KEPT,
            false => self.count,
        }
    }
}

type Made<B> = Result<B, DeviceError>;

fn relu() -> Option<usize> {
    Some(activation_number(Activation::Relu))
}

impl<'a> Layout<'a> {
    /// `each` is how many scores a word and a label have together.
    #[allow(clippy::cast_possible_truncation)] // The caller has counted scores, of which there are more than of anything else.
    fn of<B>(texts: &[Text<'a, B>], each: usize) -> Self {
        let mut layout = Self::default();
        let (mut rows, mut of_words, mut starts) = (Vec::new(), Vec::new(), vec![0]);
        let (mut all, mut tiles, mut segments) = (Vec::new(), Vec::new(), Vec::new());
        for (number, text) in texts.iter().enumerate() {
            let (count, labels) = (text.words.len(), text.labels.count());
            let first = match text.labels {
                Labels::At(_) => {
                    layout.placed += labels;
                    layout.labels += labels;
                    layout.labels - labels
                }
                Labels::Encoded { vectors, .. } => layout.set(vectors, labels),
            };
            let word = of_words.len();
            all.extend([word, count, first, labels, layout.scores].map(|number| number as u32));
            let (scores, floor) = (count * labels * each, text.floor());
            for begin in (0..scores).step_by(SEGMENT) {
                let segment = Segment {
                    text: number,
                    begin,
                    count: SEGMENT.min(scores - begin),
                    sifted: floor.is_some(),
                };
                let numbers = [layout.scores + begin, segment.count, layout.left].map(|number| number as u32);
                segments.extend(
                    numbers
                        .into_iter()
                        .chain([floor.unwrap_or(f32::NEG_INFINITY).to_bits()]),
                );
                layout.left += segment.left();
                layout.parts.push(segment);
            }
            layout.scores += scores;
            rows.extend(text.words.iter().map(|at| text.row as u32 + at));
            of_words.extend(std::iter::repeat_n(number as u32, count));
            starts.push(of_words.len() as u32);
            for first_word in (0..count).step_by(FIRSTS) {
                tiles.extend(
                    (0..labels)
                        .step_by(LABELS)
                        .flat_map(|label| [number, first_word, label].map(|number| number as u32)),
                );
            }
        }
        layout.words = rows.len();
        layout.tile_count = tiles.len() / 3;
        for text in texts {
            if let Labels::At(places) = text.labels {
                rows.extend(places.iter().map(|at| text.row as u32 + at));
            }
        }
        let mut order: Vec<usize> = (0..texts.len()).collect();
        order.sort_by_key(|number| texts.get(*number).map(|text| text.words.len()));
        let order = order.into_iter().map(|number| number as u32).collect();
        let begins = [rows, order, starts, of_words, all, tiles, segments].map(|values: Vec<u32>| {
            let begin = layout.values.len();
            layout.values.extend(values);
            begin
        });
        [
            layout.rows,
            layout.order,
            layout.starts,
            layout.of_words,
            layout.texts,
            layout.tiles,
            layout.segments,
        ] = begins;
        layout
    }

    /// The first of these labels, which several texts may have.
    fn set(&mut self, vectors: &'a [f32], count: usize) -> usize {
        if let Some((_, first)) = self.sets.iter().find(|(known, _)| std::ptr::eq(*known, vectors)) {
            return *first;
        }
        let first = self.labels;
        self.sets.push((vectors, first));
        self.vectors.extend_from_slice(vectors);
        self.labels += count;
        first
    }
}

impl<B> Scorer<B> {
    /// How many scores a word and a label have together.
    fn each(&self) -> usize {
        match &self.head {
            Head::Stretches { max_width, .. } => *max_width,
            Head::Words { .. } => 3,
        }
    }

    /// Scores of a text.
    pub(crate) fn scores(&self, words: usize, labels: usize) -> usize {
        words.saturating_mul(labels).saturating_mul(self.each())
    }

    /// Whether it takes labels like these.
    pub(crate) fn takes(&self, labels: Labels<'_>) -> bool {
        match labels {
            Labels::At(_) => !self.apart,
            Labels::Encoded { count, vectors } => {
                self.apart && count.checked_mul(self.width) == Some(vectors.len())
            }
        }
    }

    /// Device memory that texts need at once, about, beside the encoder's hidden states, which have rows of `hidden`; elements have so many
    /// bytes. `None` where there are more scores than kernels count.
    pub(crate) fn bytes(&self, texts: &[Text<'_, B>], hidden: usize, element: u64) -> Option<u64> {
        let (mut elements, mut numbers, mut scores, mut pairs) = (0_usize, 0, 0_usize, 0_usize);
        for text in texts {
            let (words, labels) = (text.words.len(), text.labels.count());
            let rows = (words + labels).saturating_mul(hidden + 3 * self.width);
            elements = elements.saturating_add(rows + 10 * (words + labels) * self.width);
            numbers += 3 * words + labels;
            scores = scores.saturating_add(self.scores(words, labels));
            pairs = pairs.saturating_add(words * labels);
        }
        if matches!(self.head, Head::Words { .. }) {
            elements = elements.saturating_add(5 * self.width * pairs.min(PAIRS));
        }
        // Scores, what is left of them, and numbers.
        let fours = scores.saturating_mul(2).saturating_add(numbers) as u64;
        (scores <= i32::MAX as usize).then_some(element * elements as u64 + 4 * fours)
    }

    /// What of it is kept until the scores have been read: they themselves.
    pub(crate) fn kept(&self, texts: &[Text<'_, B>]) -> u64 {
        let scores = texts
            .iter()
            .map(|text| self.scores(text.words.len(), text.labels.count()));
        4 * scores.fold(0, usize::saturating_add) as u64
    }

    /// What is left of the scores of each text. All are for each word, each width and each label one, 0 where a stretch would go beyond the
    /// last word; or for each word and each label three. `hidden` has rows of the encoder's width.
    /// They are there when what is given has waited for them.
    pub(crate) fn forward<'a, D: Device<Buffer = B>>(
        &'a self,
        device: &'a D,
        (hidden, width): (&B, usize),
        texts: Vec<Text<'a, B>>,
    ) -> Made<Later<'a>> {
        let layout = Layout::of(&texts, self.each());
        let numbers = device.upload(Values::Indices(&layout.values))?;
        let x = gathered(device, (hidden, width), &texts, &layout, &numbers)?;
        let rows = 0..layout.words + layout.placed;
        let x = match &self.projection {
            Some(projection) => projection.apply(device, &x, rows.clone(), None, Some(0))?.0,
            None => x,
        };
        let mut recurred = None;
        for layer in &self.recurrent {
            let words = recurred.as_ref().unwrap_or(&x);
            recurred = Some(layer.forward(device, words, &layout, &numbers, texts.len())?);
        }
        let words = recurred.as_ref().unwrap_or(&x);
        let vectors = match layout.vectors.is_empty() {
            true => None,
            false => Some(device.upload(Values::Elements(&layout.vectors))?),
        };
        let labels = match &vectors {
            Some(vectors) => (vectors, 0..layout.labels),
            None => (&x, layout.words..rows.end),
        };
        let scores = self.head.scores(device, words, labels, &layout, &numbers)?;
        let all = move |values: &[f32], texts: &[Text<'_, B>]| {
            let mut rest = values;
            let found = texts.iter().map(|text| {
                let size = self.scores(text.words.len(), text.labels.count());
                let (own, after) = rest.split_at_checked(size).unwrap_or_default();
                rest = after;
                Found::above(own.to_vec(), text.floor)
            });
            found.collect()
        };
        if layout.parts.iter().any(|segment| segment.sifted) {
            let left = device.allocate(Kind::Floats, layout.left)?;
            let launch = Launch {
                grid: (layout.parts.len(), 1),
                block: 32,
                shared: 0,
            };
            let arguments = [
                Arg::Buffer(Some(&scores)),
                Arg::At(&numbers, layout.segments),
                Arg::Buffer(Some(&left)),
            ];
            device.launch("sift", launch, &arguments)?;
            let left = device.download(&left)?;
            return Ok(Box::new(move || match layout.found(&texts, &left()?) {
                Some(found) => Ok(found),
                // So much of a segment is above the floor that it did not fit.
                None => Ok(all(&device.download(&scores)?()?, &texts)),
            }));
        }
        let values = device.download(&scores)?;
        Ok(Box::new(move || Ok(all(&values()?, &texts))))
    }
}

/// The hidden states of words and of labels that stand before their texts, each after its model's norm.
fn gathered<D: Device>(
    device: &D,
    (hidden, width): (&D::Buffer, usize),
    texts: &[Text<'_, D::Buffer>],
    layout: &Layout<'_>,
    numbers: &D::Buffer,
) -> Made<D::Buffer> {
    let out = device.allocate(Kind::Elements, (layout.words + layout.placed) * width)?;
    let same = |one: &Text<'_, D::Buffer>, other: &Text<'_, D::Buffer>| {
        one.norm.map(std::ptr::from_ref) == other.norm.map(std::ptr::from_ref)
    };
    let (mut word, mut label) = (0, layout.words);
    for alike in texts.chunk_by(same) {
        let norm = alike.first().and_then(|text| text.norm);
        let words: usize = alike.iter().map(|text| text.words.len()).sum();
        let labels = alike.iter().map(|text| match text.labels {
            Labels::At(places) => places.len(),
            Labels::Encoded { .. } => 0,
        });
        let labels: usize = labels.sum();
        for (first, count) in [(&mut word, words), (&mut label, labels)] {
            if count > 0 {
                let indices = (numbers, layout.rows + *first, 0);
                let to = (&out, *first * width);
                gather(device, indices, (hidden, None), norm, to, (count, width))?;
            }
            *first += count;
        }
    }
    Ok(out)
}

impl<B> Recurrent<B> {
    /// The states of words of `count` texts.
    fn forward<D: Device<Buffer = B>>(
        &self,
        device: &D,
        x: &B,
        layout: &Layout<'_>,
        numbers: &B,
        count: usize,
    ) -> Made<B> {
        let (gates, bias) = self.input.apply(device, x, 0..layout.words, None, None)?;
        let out = device.allocate(Kind::Elements, layout.words * 2 * self.half)?;
        let fits = 4 * TOGETHER * RECUR_SHARED * self.half <= device.shared_limit();
        let (kernel, together) = match count > MANY && fits {
            true => ("recur_together", TOGETHER),
            false => ("recur", 1),
        };
        // As many as a lane moves at once, as the kernel has it.
        let whole = 16 / usize::try_from(device.precision().bytes()).unwrap_or(4);
        let lane = if self.half.is_multiple_of(whole) { whole } else { 1 };
        let columns = (4 * self.half).div_ceil(ACROSS * lane);
        let launch = Launch {
            grid: (count.div_ceil(together), 2),
            block: 32 * columns.div_ceil(columns.div_ceil(RECUR_WARPS)),
            shared: together * RECUR_SHARED * self.half,
        };
        let arguments = [
            Arg::Buffer(Some(&gates)),
            Arg::Buffer(bias),
            Arg::Buffer(Some(&self.state)),
            Arg::At(numbers, layout.order),
            Arg::At(numbers, layout.starts),
            Arg::Buffer(Some(&out)),
            Arg::Int(count),
            Arg::Int(self.half),
        ];
        device.launch(kernel, launch, &arguments)?;
        Ok(out)
    }
}

/// `down(relu(up(x)))` for some rows, then the activation with this number.
fn mlp<D: Device>(
    device: &D,
    [up, down]: &[Matrix<D::Buffer>; 2],
    (x, rows): (&D::Buffer, Range<usize>),
    activation: Option<usize>,
) -> Made<D::Buffer> {
    let count = rows.len();
    let (inner, _) = up.apply(device, x, rows, None, relu())?;
    Ok(down.apply(device, &inner, 0..count, None, activation)?.0)
}

impl<B> Head<B> {
    /// The scores of all texts, one after the other.
    fn scores<D: Device<Buffer = B>>(
        &self,
        device: &D,
        words: &B,
        (labels, rows): (&B, Range<usize>),
        layout: &Layout<'_>,
        numbers: &B,
    ) -> Made<B> {
        let (all, count) = (0..layout.words, rows.len());
        let scores = device.allocate(Kind::Floats, layout.scores)?;
        match self {
            Self::Stretches {
                max_width,
                start,
                end,
                joint,
                label,
                out,
                inner,
                half,
            } => {
                let vectors = mlp(device, label, (labels, rows), Some(0))?;
                let (products, _) = out.apply(device, &vectors, 0..count, None, None)?;
                let mut first = mlp(device, start, (words, all.clone()), relu())?;
                let mut bias = None;
                if let Some([of_first, _]) = joint {
                    (first, bias) = of_first.apply(device, &first, all.clone(), None, None)?;
                }
                let mut last = mlp(device, end, (words, all.clone()), relu())?;
                if let Some([_, of_last]) = joint {
                    (last, _) = of_last.apply(device, &last, all, None, None)?;
                }
                let launch = Launch {
                    grid: (layout.tile_count, max_width.div_ceil(WIDTHS)),
                    block: SCORING,
                    shared: SCORING_SHARED,
                };
                let arguments = [
                    Arg::Buffer(Some(&first)),
                    Arg::Buffer(bias),
                    Arg::Buffer(Some(&last)),
                    Arg::Buffer(Some(&products)),
                    Arg::At(numbers, layout.tiles),
                    Arg::At(numbers, layout.texts),
                    Arg::Buffer(Some(&scores)),
                    Arg::Int(*inner),
                    Arg::Int(*half),
                    Arg::Int(inner + BEHIND),
                    Arg::Int(*max_width),
                ];
                device.launch("stretches", launch, &arguments)?;
            }
            Self::Words {
                word,
                label,
                of_word,
                of_label,
                of_product,
                out,
            } => {
                let apply = |matrix: &Matrix<B>, x: &B, rows: Range<usize>| {
                    Ok::<B, DeviceError>(matrix.apply(device, x, rows, None, Some(0))?.0)
                };
                let [first_word, second_word] = word;
                let [first_label, second_label] = label;
                let of_words = apply(of_word, &apply(first_word, words, all.clone())?, all.clone())?;
                let seconds = apply(second_word, words, all.clone())?;
                let of_labels = apply(of_label, &apply(first_label, labels, rows.clone())?, 0..count)?;
                let second_labels = apply(second_label, labels, rows)?;
                for chosen in layout.chunks() {
                    let launch = Launch {
                        grid: (chosen.words.len(), 1),
                        block: ROW_BLOCK,
                        shared: 0,
                    };
                    let met = device.allocate(Kind::Elements, chosen.pairs * of_product.inputs)?;
                    let (of_texts, first) = (
                        [Arg::At(numbers, layout.of_words), Arg::At(numbers, layout.texts)],
                        Arg::Int(chosen.words.start),
                    );
                    let [texts, about] = of_texts;
                    let arguments = [
                        Arg::Buffer(Some(&seconds)),
                        Arg::Buffer(Some(&second_labels)),
                        texts,
                        about,
                        Arg::Buffer(Some(&met)),
                        first,
                        Arg::Int(of_product.inputs),
                    ];
                    device.launch("meet", launch, &arguments)?;
                    let (pairs, _) = of_product.apply(device, &met, 0..chosen.pairs, None, None)?;
                    let arguments = [
                        Arg::Buffer(Some(&pairs)),
                        Arg::Buffer(Some(&of_words)),
                        Arg::Buffer(Some(&of_labels)),
                        texts,
                        about,
                        Arg::Buffer(Some(&out.weight)),
                        Arg::Buffer(out.bias.as_deref()),
                        Arg::Buffer(Some(&scores)),
                        first,
                        Arg::Int(of_product.outputs),
                    ];
                    device.launch("score_words", launch, &arguments)?;
                }
            }
        }
        Ok(scores)
    }
}

/// Words in a row, and the pairs that they make with the labels of their texts.
struct Chunk {
    words: Range<usize>,
    pairs: usize,
}

impl Layout<'_> {
    /// What is left of the scores of each text, from what is left of its segments; `None` where that is not all.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // Counts and places are whole and small.
    fn found<B>(&self, texts: &[Text<'_, B>], left: &[f32]) -> Option<Vec<Found>> {
        let all = |text: &Text<'_, B>| match text.floor() {
            Some(_) => Found::Above {
                places: Vec::new(),
                values: Vec::new(),
            },
            None => Found::All(Vec::new()),
        };
        let mut found: Vec<Found> = texts.iter().map(all).collect();
        let mut rest = left;
        for segment in &self.parts {
            let (own, after) = rest.split_at_checked(segment.left())?;
            rest = after;
            match found.get_mut(segment.text)? {
                Found::All(values) => values.extend_from_slice(own),
                Found::Above { places, values } => {
                    let (count, own) = own.split_first()?;
                    let (at, scores) = own.split_at_checked(KEPT)?;
                    let count = *count as usize;
                    places.extend(
                        at.get(..count)?
                            .iter()
                            .map(|at| (segment.begin + *at as usize) as u32),
                    );
                    values.extend_from_slice(scores.get(..count)?);
                }
            }
        }
        Some(found)
    }

    /// All words, in chunks of no more than [`PAIRS`] pairs, or of one word.
    fn chunks(&self) -> Vec<Chunk> {
        let texts = self.values.get(self.texts..self.tiles).unwrap_or_default();
        let mut chunks: Vec<Chunk> = Vec::new();
        for text in texts.chunks_exact(5) {
            let [first, words, _, labels, _] =
                [0, 1, 2, 3, 4].map(|at| text.get(at).map_or(0, |x| *x as usize));
            for word in first..first + words {
                match chunks.last_mut() {
                    Some(chunk) if chunk.pairs + labels <= PAIRS => {
                        chunk.words.end += 1;
                        chunk.pairs += labels;
                    }
                    _ => chunks.push(Chunk {
                        words: word..word + 1,
                        pairs: labels,
                    }),
                }
            }
        }
        chunks
    }
}

/// A part of a linear layer: some of its outputs and inputs.
struct Part {
    outputs: Range<usize>,
    inputs: Range<usize>,
    biased: bool,
}

impl<D: Device> Lowering<'_, D> {
    pub(crate) fn scorer(&mut self, gliner: &Gliner) -> Lowered<Scorer<D::Buffer>> {
        let recurrent: Lowered<Vec<_>> = gliner
            .recurrent
            .iter()
            .map(|layer| self.recurrent(layer))
            .collect();
        Ok(Scorer {
            apart: matches!(gliner.labels, LabelEncoder::Tower { .. }),
            projection: match &gliner.projection {
                Some(projection) => Some(self.matrix(&[projection])?),
                None => None,
            },
            recurrent: recurrent?,
            head: self.scoring(&gliner.head, gliner.hidden)?,
            width: gliner.hidden,
        })
    }

    fn recurrent(&mut self, layer: &Bilstm) -> Lowered<Recurrent<D::Buffer>> {
        let both = [&layer.forward, &layer.backward];
        let half = layer.forward.state.inputs;
        if 4 * RECUR_SHARED * half > self.device.shared_limit() {
            return Err(LowerError::Unsupported(format!(
                "an LSTM with states of {half} needs more shared memory than this GPU has"
            )));
        }
        let (mut weight, mut bias, mut state) = (Vec::new(), Vec::new(), Vec::new());
        for lstm in both {
            weight.append(&mut self.tensor(&lstm.input.weight, &[lstm.input.outputs, lstm.input.inputs])?);
            let (one, other) = (self.bias(&lstm.input)?, self.bias(&lstm.state)?);
            bias.extend(one.iter().zip(&other).map(|(one, other)| one + other));
            let rows = self.tensor(&lstm.state.weight, &[4 * half, half])?;
            state.append(&mut turned(&rows, half));
        }
        Ok(Recurrent {
            input: Matrix {
                weight: Arc::new(self.upload(&weight)?),
                scales: None,
                bias: Some(Arc::new(self.upload(&bias)?)),
                inputs: layer.forward.input.inputs,
                outputs: 8 * half,
                parts: Vec::new(),
            },
            state: self.upload(&state)?,
            half,
        })
    }

    fn scoring(&mut self, head: &GlinerHead, width: usize) -> Lowered<Head<D::Buffer>> {
        match head {
            GlinerHead::Span {
                max_width,
                start,
                end,
                out,
                label,
            } => {
                let (joint, down) = match out {
                    SpanOutput::Linear(out) => (None, out),
                    SpanOutput::Mlp(Mlp { up, down }) => {
                        let of = |inputs: Range<usize>| Part {
                            outputs: 0..up.outputs,
                            biased: inputs.start == 0,
                            inputs,
                        };
                        let [first, last] = [of(0..width), of(width..2 * width)];
                        (Some([self.part(up, first)?, self.part(up, last)?]), down)
                    }
                };
                let inner = down.inputs;
                let mut weight = turned(
                    &self.tensor(&down.weight, &[down.outputs, down.inputs])?,
                    down.inputs,
                );
                weight.append(&mut self.bias(down)?);
                weight.resize((inner + BEHIND) * width, 0.0);
                Ok(Head::Stretches {
                    max_width: *max_width,
                    start: self.mlp(start)?,
                    end: self.mlp(end)?,
                    half: if joint.is_some() { inner } else { width },
                    joint,
                    label: self.mlp(label)?,
                    out: Matrix {
                        weight: Arc::new(self.upload(&weight)?),
                        scales: None,
                        bias: None,
                        inputs: width,
                        outputs: inner + BEHIND,
                        parts: Vec::new(),
                    },
                    inner,
                })
            }
            GlinerHead::Token { word, label, out } => {
                let up = &out.up;
                let third = |number: usize| Part {
                    outputs: 0..up.outputs,
                    inputs: number * width..(number + 1) * width,
                    biased: number == 0,
                };
                Ok(Head::Words {
                    word: self.halves(word)?,
                    label: self.halves(label)?,
                    of_word: self.part(up, third(0))?,
                    of_label: self.part(up, third(1))?,
                    of_product: self.part(up, third(2))?,
                    out: self.matrix(&[&out.down])?,
                })
            }
        }
    }

    fn mlp(&mut self, mlp: &Mlp) -> Lowered<[Matrix<D::Buffer>; 2]> {
        Ok([self.matrix(&[&mlp.up])?, self.matrix(&[&mlp.down])?])
    }

    /// The first half of a layer's outputs, and the second.
    fn halves(&mut self, linear: &Linear) -> Lowered<[Matrix<D::Buffer>; 2]> {
        let half = linear.outputs / 2;
        let of = |outputs: Range<usize>| Part {
            outputs,
            inputs: 0..linear.inputs,
            biased: true,
        };
        Ok([
            self.part(linear, of(0..half))?,
            self.part(linear, of(half..2 * half))?,
        ])
    }

    fn part(&mut self, linear: &Linear, part: Part) -> Lowered<Matrix<D::Buffer>> {
        let all = self.tensor(&linear.weight, &[linear.outputs, linear.inputs])?;
        let rows = all.chunks_exact(linear.inputs.max(1));
        let rows = rows.skip(part.outputs.start).take(part.outputs.len());
        let weight: Vec<f32> = rows
            .flat_map(|row| row.get(part.inputs.clone()).unwrap_or_default())
            .copied()
            .collect();
        let bias = match part.biased {
            true => self.bias(linear)?.get(part.outputs.clone()).map(<[f32]>::to_vec),
            false => None,
        };
        Ok(Matrix {
            weight: Arc::new(self.upload(&weight)?),
            scales: None,
            bias: match bias {
                Some(bias) => Some(Arc::new(self.upload(&bias)?)),
                None => None,
            },
            inputs: part.inputs.len(),
            outputs: part.outputs.len(),
            parts: Vec::new(),
        })
    }

    fn bias(&self, linear: &Linear) -> Lowered<Vec<f32>> {
        match &linear.bias {
            Some(name) => self.tensor(name, &[linear.outputs]),
            None => Ok(vec![0.0; linear.outputs]),
        }
    }

    fn upload(&mut self, values: &[f32]) -> Lowered<D::Buffer> {
        self.bytes += self.device.precision().bytes() * values.len() as u64;
        Ok(self.device.upload(Values::Elements(values))?)
    }
}

/// The transpose of rows of `columns` values.
fn turned(rows: &[f32], columns: usize) -> Vec<f32> {
    let column = |at: usize| rows.iter().skip(at).step_by(columns.max(1)).copied();
    (0..columns).flat_map(column).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text<'a>(row: usize, words: &'a [u32], labels: Labels<'a>, floor: Option<f32>) -> Text<'a, ()> {
        Text {
            row,
            norm: None,
            words,
            labels,
            floor,
        }
    }

    #[test]
    fn numbers_are_where_the_kernels_look_for_them() {
        let (seventeen, vectors) = ((0..17).collect::<Vec<u32>>(), [0.5; 6]);
        let placed = [
            text(0, &[4, 6], Labels::At(&[1, 2]), None),
            text(10, &seventeen, Labels::At(&[20]), Some(0.5)),
        ];
        let layout = Layout::of(&placed, 12);
        let at = |begin: usize, count: usize| &layout.values[begin..begin + count];
        assert_eq!((layout.words, layout.placed, layout.labels), (19, 3, 3));
        assert_eq!(at(layout.rows, 3), [4, 6, 10]);
        assert_eq!(at(layout.rows + 19, 3), [1, 2, 30]);
        assert_eq!(at(layout.order, 2), [0, 1]);
        assert_eq!(at(layout.starts, 3), [0, 2, 19]);
        assert_eq!(at(layout.of_words, 3), [0, 0, 1]);
        assert_eq!(at(layout.texts, 10), [0, 2, 0, 2, 0, 2, 17, 2, 1, 48]);
        assert_eq!(at(layout.tiles, 9), [0, 0, 0, 1, 0, 0, 1, 16, 0]);
        assert_eq!(layout.tile_count, 3);
        let floors = [f32::NEG_INFINITY, 0.5].map(f32::to_bits);
        assert_eq!(
            at(layout.segments, 8),
            [0, 48, 0, floors[0], 48, 204, 48, floors[1]]
        );
        assert_eq!((layout.scores, layout.left), (252, 48 + 65));
        // Labels that several texts have are there once.
        let set = |vectors| Labels::Encoded { count: 2, vectors };
        let (one, other) = vectors.split_at(3);
        let encoded = [one, other, one].map(|vectors| text(0, &[1], set(vectors), None));
        let layout = Layout::of(&encoded, 3);
        assert_eq!((layout.placed, layout.labels, layout.vectors.len()), (0, 4, 6));
        let firsts = layout.values[layout.texts..].iter().skip(2).step_by(5).take(3);
        assert_eq!(firsts.copied().collect::<Vec<_>>(), [0, 2, 0]);
    }

    #[test]
    fn what_is_left_of_segments_comes_together() {
        let many: Vec<u32> = (0..300).collect();
        let texts = [
            text(0, &many, Labels::At(&[1]), Some(0.0)),
            text(0, &[1], Labels::At(&[1]), None),
        ];
        let layout = Layout::of(&texts, 12);
        let mut left = vec![f32::NAN; layout.left];
        // Of 3,600 scores in two segments, the last of the first and the first of the second.
        for (begin, place, score) in [(0, 2047.0, 1.5), (65, 0.0, 2.5)] {
            (left[begin], left[begin + 1], left[begin + 33]) = (1.0, place, score);
        }
        left[130..].fill(7.0);
        let above = Found::Above {
            places: vec![2047, 2048],
            values: vec![1.5, 2.5],
        };
        let found = layout.found(&texts, &left);
        assert_eq!(found, Some(vec![above, Found::All(vec![7.0; 12])]));
        left[65] = 33.0;
        assert_eq!(layout.found(&texts, &left), None);
    }

    #[test]
    fn chunks_are_all_words_in_order_and_no_larger_than_they_may_be() {
        let words: Vec<u32> = (0..700).collect();
        let labels: Vec<u32> = (0..90).collect();
        let texts = [10, 90, 1].map(|count| text(0, &words, Labels::At(&labels[..count]), None));
        let chunks = Layout::of(&texts, 3).chunks();
        assert_eq!(
            chunks.iter().map(|chunk| chunk.pairs).sum::<usize>(),
            700 * (10 + 90 + 1)
        );
        assert!(chunks.len() > 3 && chunks.iter().all(|chunk| chunk.pairs <= PAIRS));
        let mut next = 0;
        for chunk in chunks {
            assert_eq!(chunk.words.start, next);
            next = chunk.words.end;
        }
        assert_eq!(next, 2100);
    }
}
