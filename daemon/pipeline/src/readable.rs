//! A text as tokenizers read it: what systems, forms and printers have put into it is what the texts have that models were trained on.

use std::borrow::Cow;

use crate::folding::letters;
use crate::lines::with_plain_lines;
use crate::tick_boxes::without_tick_boxes;
use crate::tokens::{ByteSpan, Token, TokenError, Tokens};

/// A text to be tokenised, and where its bytes stand in the text as received.
#[derive(Clone, Debug)]
pub struct Readable<'a> {
    received: &'a str,
    text: Cow<'a, str>,
    /// Ligatures: from where to where the letters of each stand, and the ligature.
    shifts: Vec<(ByteSpan, ByteSpan)>,
}

impl<'a> Readable<'a> {
    /// The text with its [line breaks](with_plain_lines) as `\n`, [without tick boxes](without_tick_boxes), with a space for each control
    /// character, which normalisers drop so that words run together, and ligatures as their letters.
    pub fn new(received: &'a str) -> Self {
        let plain = with_plain_lines(received);
        let text = match without_tick_boxes(&plain) {
            Cow::Owned(text) => Cow::Owned(text),
            Cow::Borrowed(_) => plain,
        };
        let is_odd = |c: char| letters(c).is_some() || (c.is_control() && !matches!(c, '\t' | '\n' | '\r'));
        let mut shifts = Vec::new();
        if !text.contains(is_odd) {
            return Self {
                received,
                text,
                shifts,
            };
        }
        let mut made = String::with_capacity(text.len());
        for (at, c) in text.char_indices() {
            let begin = made.len();
            match letters(c) {
                Some(letters) => {
                    made.push_str(letters);
                    let span = |begin: usize, length: usize| ByteSpan {
                        begin,
                        end: begin + length,
                    };
                    shifts.push((span(begin, letters.len()), span(at, c.len_utf8())));
                }
                None if is_odd(c) => made.extend(std::iter::repeat_n(' ', c.len_utf8())),
                None => made.push(c),
            }
        }
        Self {
            received,
            text: Cow::Owned(made),
            shifts,
        }
    }

    /// What a tokenizer is given.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The tokens of [`Self::text`] where they stand in the text as received: one that begins or ends within a ligature has all of it.
    ///
    /// # Errors
    /// [`TokenError::Invalid`] where they are not of this text.
    pub fn as_received(&self, tokens: Tokens) -> Result<Tokens, TokenError> {
        if self.shifts.is_empty() {
            return Ok(tokens);
        }
        let all = tokens.ids().iter().zip(tokens.spans()).zip(tokens.words());
        let all = all.map(|((id, span), word)| Token {
            id: *id,
            span: ByteSpan {
                begin: self.place(span.begin, false),
                end: self.place(span.end, true),
            },
            word: *word,
        });
        Tokens::new(self.received, all)
    }

    /// Where a border of characters stands in the text as received; within a ligature, before or behind it.
    fn place(&self, at: usize, behind: bool) -> usize {
        let before = self.shifts.partition_point(|(read, _)| read.begin < at);
        let last = before.checked_sub(1).and_then(|last| self.shifts.get(last));
        match last {
            None => at,
            Some((read, received)) if at >= read.end => received.end + (at - read.end),
            Some((_, received)) if behind => received.end,
            Some((_, received)) => received.begin,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing::bert;

    #[test]
    fn what_systems_put_in_is_not_read() {
        for (text, expected) in [
            ("heart\u{b}failure", "heart\nfailure"),
            ("chest\u{85}pain", "chest \npain"),
            ("chest\0pain\u{1f}x\u{92}y", "chest pain x  y"),
            ("[x] \u{fb01}brosis, di\u{fb03}cult", ";   fibrosis, difficult"),
        ] {
            assert_eq!(Readable::new(text).text(), expected);
        }
        let plain = "pain\tand\r\nfever\n";
        assert!(matches!(Readable::new(plain).text, Cow::Borrowed(text) if text == plain));
    }

    proptest! {
        #[test]
        fn tokens_lie_in_the_text_as_received(text in "([a-f\u{fb00}\u{fb01}\u{fb03}é\u{301} \0\u{85}\u{b}.]|\r\n)*") {
            let read = Readable::new(&text);
            let tokens = bert(true).tokenise(read.text()).unwrap();
            let placed = read.as_received(tokens.clone()).unwrap();
            prop_assert_eq!(placed.ids(), tokens.ids());
            prop_assert_eq!(placed.text_bytes(), text.len());
            for (span, there) in tokens.spans().iter().zip(placed.spans()) {
                // What a token reads is what it is said to stand for, and the ligatures that it has a part of.
                let own = &read.text()[span.range()];
                let found = Readable::new(&text[there.range()]).text().to_owned();
                prop_assert!(found.contains(own), "{own:?} {found:?}");
            }
        }
    }
}
