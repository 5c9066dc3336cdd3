//! Text to tokens through a Hugging Face `tokenizer.json`: long texts in pieces, every span checked and put
//! right, words told apart. No window and no model's context size here.

use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};

use tokenizers::{Encoding, ModelWrapper, PostProcessorWrapper, Tokenizer};
use unicode_categories::UnicodeCategories;

use crate::pieces::{CutRule, LIMIT, pieces};
use crate::tokens::{ByteSpan, Token, TokenError, Tokens};

/// Bytes of text given to `tokenizers` at a time, where the text can be cut. It keeps some 100 bytes for each
/// byte of an ordinary note, so this bounds its memory at a few MiB.
const PIECE_BYTES: usize = 16 * 1024;

/// Words given to `tokenizers` at a time.
const WORDS_AT_ONCE: usize = 1024;

/// How many added tokens are tried when the cut rule is found out.
const PROBED_ADDED_TOKENS: usize = 256;

/// Names that Hugging Face tokenizers without an unknown token in their model file give to it.
const UNKNOWN_NAMES: [&str; 2] = ["<unk>", "[UNK]"];

/// A token that the model expects before or after the content, such as `[CLS]` and `[SEP]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpecialToken {
    /// Id in the model's vocabulary.
    pub id: u32,
    /// Its segment (`token_type_ids`).
    pub type_id: u32,
}

/// What a model is fed with for one window.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sequence {
    /// Special tokens, content, special tokens.
    pub ids: Vec<u32>,
    /// The segment of each.
    pub type_ids: Vec<u32>,
}

/// The pieces of some words.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WordPieces {
    ids: Vec<u32>,
    /// Where each word's pieces end.
    ends: Vec<usize>,
}

impl WordPieces {
    /// How many words there are.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there is no word.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// The ids of a word's pieces; none for a word that is not there.
    pub fn word(&self, word: usize) -> &[u32] {
        let end = self.ends.get(word).copied().unwrap_or(0);
        let begin = word
            .checked_sub(1)
            .and_then(|before| self.ends.get(before))
            .copied()
            .unwrap_or(0);
        self.ids.get(begin..end).unwrap_or_default()
    }
}

/// A tokenizer made ready for whole documents: no truncation, no padding, special tokens kept apart.
#[derive(Clone, Debug)]
pub struct TextTokenizer {
    inner: Tokenizer,
    prefix: Vec<SpecialToken>,
    suffix: Vec<SpecialToken>,
    content_type_id: u32,
    unknown: Option<u32>,
    marks_continuation: bool,
    cut_rule: CutRule,
}

impl TextTokenizer {
    /// Takes over a tokenizer as read from `tokenizer.json`.
    ///
    /// Truncation and padding are switched off. The special tokens come from running the post-processor on
    /// one stand-in token. Where a long text may be cut comes from comparing, on a short sample, what the
    /// tokenizer makes of the whole and of the pieces, so no tokenizer is trusted by its type.
    ///
    /// # Errors
    /// [`TokenError::Unusable`] when the tokenizer fails on the stand-in or the sample.
    pub fn new(mut inner: Tokenizer) -> Result<Self, TokenError> {
        inner.with_padding(None);
        inner
            .with_truncation(None)
            .map_err(|error| TokenError::Unusable(error.to_string()))?;
        leave_spans(&mut inner);
        let (prefix, content_type_id, suffix) = special_tokens(&inner)?;
        let mut ready = Self {
            unknown: unknown_token(&inner),
            marks_continuation: continuation_prefix(&inner).is_some_and(|prefix| !prefix.is_empty()),
            inner,
            prefix,
            suffix,
            content_type_id,
            cut_rule: CutRule::Never,
        };
        ready.cut_rule = ready.probe_cut_rule()?;
        Ok(ready)
    }

    /// Special tokens before the content of a single sequence.
    pub fn prefix(&self) -> &[SpecialToken] {
        &self.prefix
    }

    /// Special tokens after the content of a single sequence.
    pub fn suffix(&self) -> &[SpecialToken] {
        &self.suffix
    }

    /// How many special tokens a sequence carries; a window's capacity is the model's context less this.
    pub fn special_count(&self) -> usize {
        self.prefix.len() + self.suffix.len()
    }

    /// Id of the unknown token, where there is one.
    pub fn unknown_token(&self) -> Option<u32> {
        self.unknown
    }

    /// Whether word pieces after a word's first carry a mark, such as WordPiece's `##`.
    pub fn marks_continuation(&self) -> bool {
        self.marks_continuation
    }

    /// One past the highest id this tokenizer can give, to be held against the rows of a model's embedding.
    pub fn id_bound(&self) -> usize {
        let highest = self.inner.get_vocab(true).into_values().max();
        highest.map_or(0, |id| id as usize + 1)
    }

    /// The model's input for the content tokens `content`, usually those of one window.
    pub fn sequence(&self, content: &[u32]) -> Sequence {
        let special = |token: &SpecialToken| (token.id, token.type_id);
        let (ids, type_ids) = (self.prefix.iter().map(special))
            .chain(content.iter().map(|&id| (id, self.content_type_id)))
            .chain(self.suffix.iter().map(special))
            .unzip();
        Sequence { ids, type_ids }
    }

    /// Tokenises a whole document, of any length, in time linear in it.
    ///
    /// Ids are those of the Hugging Face tokenizer on the whole text (only a stretch of 256 KiB without a
    /// place to cut may be cut differently); a special token's name that stands in the text is read as that
    /// token, as there. Spans are its offsets, put right where they break what [`Tokens`] promises or what a
    /// reader of the text expects:
    /// - combining marks (Unicode general category M) and conjoining Hangul letters right after a token that no
    ///   token covers, because the normaliser stripped or composed them, belong to that token: the accent of a
    ///   decomposed "é" to its letter;
    /// - white space at either end of a span is left out, unless the token is nothing else;
    /// - a token without a character of its own gets the character at its position, or the space before it
    ///   when it stands for a space;
    /// - other characters that the normaliser drops (NUL, zero-width space, byte order mark) at a token's end
    ///   belong to no token, and inside a token to that token.
    ///
    /// A word, for [`Tokens::words`], is
    /// - where pieces carry a continuation mark (WordPiece): what the pre-tokenizer gave to the model as one
    ///   word;
    /// - elsewhere: what stands between white space, the heuristic of the `transformers` library.
    ///
    /// An unknown token always begins a word, as there. `transformers` tells the words of the first kind
    /// apart by comparing the lengths of a piece and its text, which goes wrong where the normaliser changes
    /// a length (Hangul, zero-width characters, İ), and knows no white space but U+0020 in the second kind,
    /// which joins words over a line break; neither is copied.
    ///
    /// # Errors
    /// [`TokenError::Failed`] when the tokenizer refuses a piece of the text.
    pub fn tokenise(&self, text: &str) -> Result<Tokens, TokenError> {
        self.tokenise_in_pieces(text, self.cut_rule, PIECE_BYTES)
    }

    /// Tokenises words each by itself, as `transformers` does with `is_split_into_words`: whatever stands beside a word
    /// has no part in its pieces. A word that the normaliser drops has none; of one that is longer than any language's, a quarter of a
    /// megabyte, the beginning is read, which fills any model's room.
    ///
    /// # Errors
    /// [`TokenError::Failed`] when the tokenizer refuses some of them; `begin` and `bytes` are then about the words put
    /// one behind the other.
    pub fn encode_words(&self, words: &[&str]) -> Result<WordPieces, TokenError> {
        let mut pieces = WordPieces::default();
        let mut begin = 0;
        let mut rest = words;
        while !rest.is_empty() {
            let (some, behind) = rest.split_at(words_at_once(rest));
            rest = behind;
            let bytes = some.iter().map(|word| word.len()).sum();
            let failed = TokenError::Failed { begin, bytes };
            let read: Vec<&str> = some
                .iter()
                .map(|word| word.get(..word.floor_char_boundary(LIMIT)).unwrap_or_default())
                .collect();
            // What it says may hold note text and is dropped.
            let encoding = catch_unwind(AssertUnwindSafe(|| self.inner.encode(&read[..], false)));
            let encoding = encoding.ok().and_then(Result::ok).ok_or(failed)?;
            let mut next = encoding.get_ids().iter().zip(encoding.get_word_ids()).peekable();
            for word in 0..some.len() {
                let mine = |word_of: &Option<u32>| {
                    word_of.is_none_or(|of| usize::try_from(of).is_ok_and(|of| of <= word))
                };
                while let Some((id, _)) = next.next_if(|(_, of)| mine(of)) {
                    pieces.ids.push(*id);
                }
                pieces.ends.push(pieces.ids.len());
            }
            begin += bytes;
        }
        Ok(pieces)
    }

    fn tokenise_in_pieces(&self, text: &str, rule: CutRule, target: usize) -> Result<Tokens, TokenError> {
        let mut raw = Vec::new();
        for range in pieces(text, rule, target) {
            let piece = text.get(range.clone()).unwrap_or_default();
            let encoding = self.encode(piece).ok_or(TokenError::Failed {
                begin: range.start,
                bytes: range.len(),
            })?;
            append(&mut raw, &encoding, range.start, self.unknown);
        }
        settle_spans(text, &mut raw);
        let words = self.number_words(text, &raw);
        Tokens::new(
            text,
            raw.iter().zip(words).map(|(token, word)| Token {
                id: token.id,
                span: token.span,
                word,
            }),
        )
    }

    /// `None` when the tokenizer reports an error or panics; what it says may hold note text and is dropped.
    fn encode(&self, piece: &str) -> Option<Encoding> {
        catch_unwind(AssertUnwindSafe(|| self.inner.encode(piece, false)))
            .ok()?
            .ok()
    }

    fn number_words(&self, text: &str, tokens: &[RawToken]) -> Vec<u32> {
        let mut word = 0;
        let mut previous: Option<&RawToken> = None;
        let mut words = Vec::with_capacity(tokens.len());
        for token in tokens {
            if let Some(previous) = previous {
                let begins = Some(token.id) == self.unknown
                    || if self.marks_continuation {
                        token.source_word != previous.source_word
                    } else {
                        space_between(text, previous, token)
                    };
                word += u32::from(begins);
            }
            words.push(word);
            previous = Some(token);
        }
        words
    }

    fn probe_cut_rule(&self) -> Result<CutRule, TokenError> {
        let sample = self.probe_sample();
        let failed = |_| {
            TokenError::Unusable("it fails on a sample text; is its unknown token in its vocabulary?".into())
        };
        let whole = self
            .tokenise_in_pieces(&sample, CutRule::Never, 0)
            .map_err(failed)?;
        for rule in [CutRule::AnyWhitespace, CutRule::SingleSpace] {
            if self.tokenise_in_pieces(&sample, rule, 0).map_err(failed)? == whole {
                return Ok(rule);
            }
        }
        Ok(CutRule::Never)
    }

    /// White space, punctuation and marks as notes have them, and the added tokens, which may swallow the
    /// white space around them or contain some.
    fn probe_sample(&self) -> String {
        let mut sample =
            "Pt: 54 y/o w/ DM2, on Metformin 500 mg b.i.d.\n- na\u{ef}ve  cafe\u{301}\tstudy\r\n\r\n \
            1. (x) y\u{2014}z! \u{3b1}-blocker aspirin\n\nPLAN:\n  rest "
                .to_string();
        let added = self.inner.get_added_tokens_decoder();
        let mut contents: Vec<&str> = added.values().map(|token| token.content.as_str()).collect();
        contents.sort_unstable();
        for content in contents.into_iter().take(PROBED_ADDED_TOKENS) {
            sample.push_str("a ");
            sample.push_str(content);
            sample.push_str(" b\n");
            sample.push_str(content);
            sample.push_str("\nc");
            sample.push_str(content);
            sample.push_str("d ");
        }
        sample
    }
}

/// How many of some words, one at least, are given to `tokenizers` together: its memory is for their bytes.
fn words_at_once(words: &[&str]) -> usize {
    let mut bytes = 0;
    let fits = words.iter().take(WORDS_AT_ONCE).take_while(|word| {
        bytes += word.len();
        bytes <= LIMIT
    });
    fits.count().max(1)
}

/// Switches off that byte-level post-processors trim spans: they take off as many bytes as a token has space marks, also
/// where the mark stands for no byte of the text (`add_prefix_space` behind a special token), and lose a letter.
fn leave_spans(inner: &mut Tokenizer) {
    let Some(mut processor) = inner.get_post_processor().cloned() else {
        return;
    };
    untrim(&mut processor);
    inner.with_post_processor(Some(processor));
}

fn untrim(processor: &mut PostProcessorWrapper) {
    match processor {
        PostProcessorWrapper::Roberta(roberta) => roberta.trim_offsets = false,
        PostProcessorWrapper::ByteLevel(bytes) => bytes.trim_offsets = false,
        PostProcessorWrapper::Sequence(all) => all.as_mut().iter_mut().for_each(untrim),
        PostProcessorWrapper::Bert(_) | PostProcessorWrapper::Template(_) => {}
    }
}

/// Runs the post-processor on one stand-in token: what it puts before, around and after.
fn special_tokens(inner: &Tokenizer) -> Result<(Vec<SpecialToken>, u32, Vec<SpecialToken>), TokenError> {
    let unusable = |reason: &str| TokenError::Unusable(reason.to_string());
    let stand_in = Encoding::from_tokens(vec![tokenizers::Token::new(0, String::new(), (0, 0))], 0);
    let processed = catch_unwind(AssertUnwindSafe(|| inner.post_process(stand_in, None, true)))
        .map_err(|_| unusable("its post-processor panics"))?
        .map_err(|error| TokenError::Unusable(error.to_string()))?;
    let mask = processed.get_special_tokens_mask();
    let content = mask.iter().position(|&special| special == 0);
    let content = content.ok_or_else(|| unusable("its post-processor drops the content"))?;
    if mask.iter().filter(|&&special| special == 0).count() != 1 {
        return Err(unusable("its post-processor repeats the content"));
    }
    let all: Vec<SpecialToken> = std::iter::zip(processed.get_ids(), processed.get_type_ids())
        .map(|(&id, &type_id)| SpecialToken { id, type_id })
        .collect();
    let prefix = all.iter().copied().take(content).collect();
    let type_id = all.get(content).map_or(0, |token| token.type_id);
    Ok((prefix, type_id, all.into_iter().skip(content + 1).collect()))
}

fn unknown_token(inner: &Tokenizer) -> Option<u32> {
    let named = match inner.get_model() {
        ModelWrapper::WordPiece(model) => Some(model.unk_token.as_str()),
        ModelWrapper::WordLevel(model) => Some(model.unk_token.as_str()),
        ModelWrapper::BPE(model) => model.unk_token.as_deref(),
        ModelWrapper::Unigram(_) => None,
    };
    named
        .into_iter()
        .chain(UNKNOWN_NAMES)
        .find_map(|name| inner.token_to_id(name))
}

fn continuation_prefix(inner: &Tokenizer) -> Option<&str> {
    match inner.get_model() {
        ModelWrapper::WordPiece(model) => Some(&model.continuing_subword_prefix),
        ModelWrapper::BPE(model) => model.continuing_subword_prefix.as_deref(),
        ModelWrapper::WordLevel(_) | ModelWrapper::Unigram(_) => None,
    }
}

/// A token as `tokenizers` gave it, moved to its place in the whole text.
struct RawToken {
    id: u32,
    span: ByteSpan,
    /// Number of the pre-tokenizer's word, rising by one from word to word.
    source_word: usize,
    /// Whether the token is nothing but a space mark (SentencePiece's `▁`, byte-level's `Ġ`).
    blank: bool,
}

fn append(raw: &mut Vec<RawToken>, encoding: &Encoding, shift: usize, unknown: Option<u32>) {
    let mut source_word = raw.last().map_or(0, |token| token.source_word + 1);
    let mut seen: Option<Option<u32>> = None;
    raw.reserve(encoding.len());
    for (((&id, &(begin, end)), &word), value) in encoding
        .get_ids()
        .iter()
        .zip(encoding.get_offsets())
        .zip(encoding.get_word_ids())
        .zip(encoding.get_tokens())
    {
        source_word += usize::from(seen.is_some_and(|seen| seen != word));
        seen = Some(word);
        let span = ByteSpan {
            begin: shift.saturating_add(begin),
            end: shift.saturating_add(end),
        };
        let blank = Some(id) != unknown && value.chars().all(|c| matches!(c, '\u{2581}' | '\u{120}'));
        raw.push(RawToken {
            id,
            span,
            source_word,
            blank,
        });
    }
}

/// Makes every span keep the promises of [`Tokens`] and gives uncovered marks to the token before them.
fn settle_spans(text: &str, tokens: &mut [RawToken]) {
    let mut previous = ByteSpan { begin: 0, end: 0 };
    for token in tokens.iter_mut() {
        let span = trimmed(text, on_boundaries(text, with_space(text, token)));
        let begin = span.begin.max(previous.begin);
        let end = if span.end > begin {
            span.end
        } else {
            text.ceil_char_boundary(begin + 1)
        };
        token.span = ByteSpan {
            begin,
            end: end.max(previous.end),
        };
        previous = token.span;
    }
    // Of several tokens for one character each has its marks.
    let (mut limit, mut begun) = (text.len(), text.len());
    for token in tokens.iter_mut().rev() {
        if token.span.begin != begun {
            (limit, begun) = (begun, token.span.begin);
        }
        let uncovered = text.get(token.span.end..limit).unwrap_or_default();
        token.span.end += uncovered
            .chars()
            .take_while(|c| c.is_mark() || is_conjoining(*c))
            .map(char::len_utf8)
            .sum::<usize>();
    }
}

/// Hangul vowels and final consonants that stand alone in decomposed text; a normaliser composes them into the
/// syllable that begins before them.
fn is_conjoining(c: char) -> bool {
    matches!(c, '\u{1160}'..='\u{11FF}' | '\u{D7B0}'..='\u{D7FF}')
}

/// A space mark whose span was trimmed to nothing gets back the white space before it.
fn with_space(text: &str, token: &RawToken) -> ByteSpan {
    let ByteSpan { begin, end } = token.span;
    let before = text.get(..begin).and_then(|before| before.chars().next_back());
    match before.filter(|c| token.blank && begin == end && c.is_whitespace()) {
        Some(space) => ByteSpan {
            begin: begin - space.len_utf8(),
            end: begin,
        },
        None => token.span,
    }
}

/// The smallest non-empty range of whole characters around `span`. `text` is not empty.
fn on_boundaries(text: &str, span: ByteSpan) -> ByteSpan {
    let begin = text.floor_char_boundary(span.begin.min(text.len().saturating_sub(1)));
    let end = text.ceil_char_boundary(span.end.max(begin + 1).min(text.len()));
    ByteSpan { begin, end }
}

/// `span` without the white space at its ends, or as it is when it holds nothing else.
fn trimmed(text: &str, span: ByteSpan) -> ByteSpan {
    match trimmed_range(text, span.range()) {
        Some(range) if !range.is_empty() => ByteSpan {
            begin: range.start,
            end: range.end,
        },
        _ => span,
    }
}

/// `range` without the white space at its ends, empty when it holds nothing else; `None` when it is no slice
/// of `text`.
pub(crate) fn trimmed_range(text: &str, range: Range<usize>) -> Option<Range<usize>> {
    let slice = text.get(range.clone())?;
    let begin = range.end - slice.trim_start().len();
    Some(begin..(range.start + slice.trim_end().len()).max(begin))
}

/// Whether white space parts two neighbours. Tokens that share a character (byte-level) belong together.
fn space_between(text: &str, left: &RawToken, right: &RawToken) -> bool {
    let slice = |range: Range<usize>| text.get(range).unwrap_or_default();
    // A space mark may have the span of the letter behind it; DeBERTa also sets one before punctuation within a word.
    if left.blank && left.span.begin == right.span.begin {
        return left.span.begin == 0 || slice(0..left.span.begin).ends_with(char::is_whitespace);
    }
    if left.blank {
        return true;
    }
    right.span.begin >= left.span.end
        && (slice(left.span.range()).ends_with(char::is_whitespace)
            || slice(left.span.end..right.span.begin).contains(char::is_whitespace)
            || slice(right.span.range()).starts_with(char::is_whitespace))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tokenizers::pre_tokenizers::byte_level::ByteLevel;
    use tokenizers::pre_tokenizers::metaspace::PrependScheme;
    use tokenizers::processors::sequence::Sequence as Processors;
    use tokenizers::{AddedToken, PaddingParams, TruncationParams};

    use super::*;
    use crate::testing::{bert, bert_raw, byte_level, byte_level_raw, messy_text, metaspace};

    fn all_kinds() -> Vec<TextTokenizer> {
        vec![
            bert(true),
            bert(false),
            byte_level(false, true),
            byte_level(true, false),
            metaspace(PrependScheme::Always, true),
            metaspace(PrependScheme::First, false),
        ]
    }

    /// Slices and word numbers.
    fn read(tokenizer: &TextTokenizer, text: &str) -> Vec<(String, u32)> {
        let tokens = tokenizer.tokenise(text).unwrap();
        let slices = tokens.spans().iter().map(|span| text[span.range()].to_string());
        slices.zip(tokens.words().iter().copied()).collect()
    }

    fn slices(tokenizer: &TextTokenizer, text: &str) -> Vec<String> {
        read(tokenizer, text)
            .into_iter()
            .map(|(slice, _)| slice)
            .collect()
    }

    #[test]
    fn special_tokens_are_learnt() {
        let bert = bert(true);
        assert_eq!(bert.prefix(), [SpecialToken { id: 2, type_id: 0 }]);
        assert_eq!(bert.suffix(), [SpecialToken { id: 3, type_id: 0 }]);
        assert_eq!((bert.special_count(), bert.unknown_token()), (2, Some(1)));
        assert!(bert.marks_continuation());
        assert_eq!(
            bert.sequence(&[7, 8]),
            Sequence {
                ids: vec![2, 7, 8, 3],
                type_ids: vec![0; 4]
            }
        );
        assert_eq!(bert.id_bound(), bert.inner.get_vocab_size(true));

        let unigram = metaspace(PrependScheme::Always, true);
        assert_eq!((unigram.special_count(), unigram.unknown_token()), (0, Some(0)));
        assert!(!unigram.marks_continuation());
        // Byte-level models know no unknown token, but a text may spell its name out.
        assert_eq!(byte_level(false, true).unknown_token(), Some(3));
    }

    #[test]
    fn one_tokenizer_serves_all_threads() {
        fn shared<T: Send + Sync + 'static>() {}
        shared::<TextTokenizer>();
        shared::<TokenError>();
    }

    #[test]
    fn a_tokenizer_that_fails_on_any_odd_character_is_refused() {
        let model = tokenizers::models::wordpiece::WordPiece::builder()
            .build()
            .unwrap();
        let refused = TextTokenizer::new(Tokenizer::new(model)).unwrap_err();
        assert!(matches!(refused, TokenError::Unusable(_)));
    }

    #[test]
    fn truncation_and_padding_are_off() {
        let mut raw = bert_raw(true);
        raw.with_truncation(Some(TruncationParams {
            max_length: 4,
            ..Default::default()
        }))
        .unwrap();
        raw.with_padding(Some(PaddingParams {
            pad_to_multiple_of: Some(64),
            ..Default::default()
        }));
        let tokenizer = TextTokenizer::new(raw).unwrap();
        assert_eq!(tokenizer.special_count(), 2);
        assert_eq!(
            slices(&tokenizer, "the pt the pt the"),
            ["the", "pt", "the", "pt", "the"]
        );
    }

    #[test]
    fn cut_rules_are_found_out() {
        let rules: Vec<CutRule> = all_kinds().iter().map(|tokenizer| tokenizer.cut_rule).collect();
        use CutRule::{AnyWhitespace, Never, SingleSpace};
        assert_eq!(
            rules,
            [
                AnyWhitespace,
                AnyWhitespace,
                AnyWhitespace,
                SingleSpace,
                SingleSpace,
                SingleSpace
            ]
        );

        let mut raw = bert_raw(true);
        raw.add_tokens([AddedToken::from("heart attack", false)]).unwrap();
        assert_eq!(TextTokenizer::new(raw).unwrap().cut_rule, Never);
    }

    #[test]
    fn marks_and_dropped_characters() {
        let uncased = bert(true);
        assert_eq!(
            slices(&uncased, "cafe\u{301}s, cafe\u{301}"),
            ["cafe\u{301}", "s", ",", "cafe\u{301}"]
        );
        assert_eq!(slices(&uncased, "caf\u{e9}"), ["caf\u{e9}"]);
        assert_eq!(
            slices(&uncased, "\u{FEFF}aspirin\u{200B} mg\u{0}"),
            ["aspirin", "mg"]
        );
        assert_eq!(slices(&uncased, "dia\u{200B}betes"), ["dia\u{200B}betes"]);
        assert_eq!(
            slices(&uncased, "the\u{A0}pt\r\nthe\u{2028}pt"),
            ["the", "pt", "the", "pt"]
        );
        assert_eq!(slices(&uncased, "\u{301}"), Vec::<String>::new());
        assert_eq!(slices(&uncased, " \u{301}the"), ["the"]);
        assert_eq!(
            slices(&uncased, "e\u{323}\u{301}\u{1F9B4}"),
            ["e\u{323}\u{301}\u{1F9B4}"]
        );
        assert_eq!(slices(&uncased, "2\u{FB01}"), ["2", "\u{FB01}"]);
        assert_eq!(slices(&bert(false), "cafe\u{301}"), ["cafe", "\u{301}"]);
        assert_eq!(slices(&uncased, ""), Vec::<String>::new());
    }

    #[test]
    fn words_of_word_pieces() {
        let tokenizer = bert(true);
        assert_eq!(
            read(&tokenizer, "Metformin-ab \u{1F9B4}the"),
            [
                ("Met", 0),
                ("formin", 0),
                ("-", 1),
                ("a", 2),
                ("b", 2),
                ("\u{1F9B4}the", 3)
            ]
            .map(|(s, w)| (s.to_string(), w))
        );
        // Where transformers takes the first piece for a later one: its length is not its text's.
        let words = |text: &str| tokenizer.tokenise(text).unwrap().words().to_vec();
        assert_eq!(words("the dia\u{200B}betes"), [0, 1]);
        assert_eq!(words("the \u{D55C}"), [0, 1]);
        assert_eq!(words("[UNK][UNK]a"), [0, 1, 2]);
    }

    #[test]
    fn words_between_white_space() {
        let tokenizer = byte_level(false, true);
        let words = |text: &str| tokenizer.tokenise(text).unwrap().words().to_vec();
        assert_eq!(words("the a-a the"), [0, 1, 1, 1, 2]);
        // transformers knows U+0020 only and would join the lines.
        assert_eq!(words("a\na"), [0, 1, 2]);
        // Four bytes of one character after a space: transformers makes four words of them.
        assert_eq!(words("a \u{1F9B4}"), [0, 1, 2, 2, 2, 2]);
        let tokens = tokenizer.tokenise("a \u{1F9B4}").unwrap();
        assert_eq!(tokens.spans()[1], ByteSpan { begin: 1, end: 2 });
        assert!(
            tokens
                .spans()
                .iter()
                .skip(2)
                .all(|&span| span == ByteSpan { begin: 2, end: 6 })
        );
    }

    #[test]
    fn spaces_are_trimmed() {
        assert_eq!(
            slices(&byte_level(true, false), "the  a\n"),
            ["the", " ", "a", "\n"]
        );
        assert_eq!(
            slices(&metaspace(PrependScheme::Always, true), "the diabetes")[..],
            ["the", "diabetes"]
        );
    }

    #[test]
    fn spans_are_left_as_they_are_in_sequences_too() {
        let mut raw = byte_level_raw(true, true);
        let bytes = ByteLevel::new(true, true, true);
        raw.with_post_processor(Some(Processors::new(vec![bytes.into()])));
        // The space mark before the first letter stands for no space.
        assert_eq!(
            slices(&TextTokenizer::new(raw).unwrap(), "<mask>ka"),
            ["<mask>", "k", "k", "a"]
        );
    }

    #[test]
    fn odd_spans_are_put_right() {
        let settle = |text: &str, spans: &[(usize, usize)]| {
            let raw = |&(begin, end): &(usize, usize)| RawToken {
                id: 0,
                span: ByteSpan { begin, end },
                source_word: 0,
                blank: false,
            };
            let mut tokens: Vec<RawToken> = spans.iter().map(raw).collect();
            settle_spans(text, &mut tokens);
            tokens
                .iter()
                .map(|token| (token.span.begin, token.span.end))
                .collect::<Vec<_>>()
        };
        let text = "a\u{e9} b";
        assert_eq!(settle(text, &[(0, 2), (2, 3)]), [(0, 3), (1, 3)]);
        assert_eq!(settle(text, &[(0, 0), (3, 3), (9, 9)]), [(0, 1), (3, 4), (4, 5)]);
        assert_eq!(settle(text, &[(4, 5), (0, 1), (1, 3)]), [(4, 5), (4, 5), (4, 5)]);
        assert_eq!(settle(text, &[(3, 5), (4, 2)]), [(4, 5), (4, 5)]);
        // Each of the tokens of one letter has its accent.
        assert_eq!(
            settle("e\u{301} b", &[(0, 1), (0, 1), (4, 5)]),
            [(0, 3), (0, 3), (4, 5)]
        );
    }

    #[test]
    fn words_are_read_in_parts_of_bounded_size() {
        let tokenizer = bert(true);
        let long = "the ".repeat(LIMIT / 2).replace(' ', "");
        assert!(long.len() > LIMIT);
        assert_eq!(words_at_once(&[&long, "a"]), 1);
        assert_eq!(words_at_once(&["a"; 3000]), WORDS_AT_ONCE);
        let half = "x".repeat(LIMIT / 2);
        assert_eq!(words_at_once(&[&half, &half, "a"]), 2);
        let pieces = tokenizer.encode_words(&["the", &long, "the"]).unwrap();
        assert_eq!(pieces.word(0), pieces.word(2));
        let beginning = tokenizer.encode_words(&[&long[..LIMIT]]).unwrap();
        assert_eq!(pieces.word(1), beginning.word(0));
    }

    #[test]
    fn lengths_do_not_count() {
        let tokenizer = bert(true);
        let words = 60_000;
        let text = "the pt ".repeat(words / 2);
        assert_eq!(tokenizer.tokenise(&text).unwrap().len(), words);
        let one_word = "a".repeat(100_000);
        assert_eq!(slices(&tokenizer, &one_word), [one_word]);
        assert_eq!(
            byte_level(false, true)
                .tokenise(&"z".repeat(50_000))
                .unwrap()
                .len(),
            50_000
        );
    }

    proptest! {
        #[test]
        fn pieces_make_the_whole(text in messy_text(300), target in 0usize..60) {
            for tokenizer in all_kinds() {
                let whole = tokenizer.tokenise_in_pieces(&text, CutRule::Never, 0).unwrap();
                let cut = tokenizer.tokenise_in_pieces(&text, tokenizer.cut_rule, target).unwrap();
                prop_assert_eq!(whole, cut);
            }
        }

        #[test]
        fn ids_are_those_of_the_library(text in messy_text(300)) {
            for (raw, tokenizer) in [
                (bert_raw(true), bert(true)),
                (bert_raw(false), bert(false)),
                (byte_level_raw(true, true), byte_level(true, true)),
            ] {
                let encoding = raw.encode(text.as_str(), true).unwrap();
                let tokens = tokenizer.tokenise(&text).unwrap();
                let sequence = tokenizer.sequence(tokens.ids());
                prop_assert_eq!(encoding.get_ids(), &sequence.ids);
                prop_assert_eq!(encoding.get_type_ids(), &sequence.type_ids);
            }
        }

        #[test]
        fn no_letter_is_lost(text in messy_text(200)) {
            for tokenizer in all_kinds() {
                let tokens = tokenizer.tokenise(&text).unwrap();
                for (at, c) in text.char_indices().filter(|(_, c)| c.is_ascii_alphanumeric()) {
                    let covered = tokens.spans().iter().any(|span| span.range().contains(&at));
                    prop_assert!(covered, "{:?} at {}", c, at);
                }
            }
        }
    }
}
