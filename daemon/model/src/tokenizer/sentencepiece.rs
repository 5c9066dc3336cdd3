//! SentencePiece model files (Kudo and Richardson 2018): as much of the protocol buffer `sentencepiece.ModelProto` as a
//! unigram tokenizer needs. Every length is checked against the bytes that are there.

use std::path::Path;

use super::fault;
use crate::error::ModelError;

/// More pieces than any real model has, so that a file of empty pieces cannot fill the memory.
const PIECE_LIMIT: usize = 1 << 22;

/// What kind of piece it is, as the file numbers it.
pub(super) const UNKNOWN: u64 = 2;
pub(super) const CONTROL: u64 = 3;
pub(super) const USER_DEFINED: u64 = 4;

/// `TrainerSpec.ModelType.UNIGRAM`.
const UNIGRAM: u64 = 1;

#[derive(Debug, PartialEq)]
pub(super) struct Piece {
    pub(super) text: String,
    /// Log probability.
    pub(super) score: f32,
    pub(super) kind: u64,
}

#[derive(Debug)]
pub(super) struct Model {
    pub(super) pieces: Vec<Piece>,
    /// Position of the unknown piece.
    pub(super) unknown: usize,
    /// The compiled map of characters that normalises a text; empty where there is none.
    pub(super) charsmap: Vec<u8>,
}

impl Model {
    /// Reads the model in `bytes`, which came from `path`.
    pub(super) fn parse(path: &Path, bytes: &[u8]) -> Result<Self, ModelError> {
        let model = parse(bytes).ok_or_else(|| fault(path, &"not a complete SentencePiece model"))?;
        match &model {
            (_, kind) if *kind != UNIGRAM => {
                Err(fault(path, &"a SentencePiece model, but not a unigram one"))
            }
            (Self { pieces, .. }, _) if pieces.len() > PIECE_LIMIT => Err(fault(
                path,
                &format_args!("it has more than {PIECE_LIMIT} pieces"),
            )),
            (Self { pieces, .. }, _) if pieces.iter().any(|piece| !piece.score.is_finite()) => {
                Err(fault(path, &"a piece's score is not a finite number"))
            }
            _ => Ok(model.0),
        }
    }
}

/// The model and its type; `None` where the bytes are no such message.
fn parse(bytes: &[u8]) -> Option<(Model, u64)> {
    let mut model = Model {
        pieces: Vec::new(),
        unknown: 0,
        charsmap: Vec::new(),
    };
    let mut kind = UNIGRAM;
    for field in Fields(bytes) {
        match field? {
            (1, Value::Bytes(piece)) if model.pieces.len() <= PIECE_LIMIT => {
                model.pieces.push(self::piece(piece)?)
            }
            (2, Value::Bytes(trainer)) => {
                for field in Fields(trainer) {
                    match field? {
                        (3, Value::Number(n)) => kind = n,
                        (40, Value::Number(n)) => model.unknown = usize::try_from(n).ok()?,
                        _ => {}
                    }
                }
            }
            (3, Value::Bytes(normalizer)) => {
                for field in Fields(normalizer) {
                    if let (2, Value::Bytes(map)) = field? {
                        model.charsmap = map.to_vec();
                    }
                }
            }
            _ => {}
        }
    }
    Some((model, kind))
}

fn piece(bytes: &[u8]) -> Option<Piece> {
    let mut piece = Piece {
        text: String::new(),
        score: 0.0,
        kind: 1,
    };
    for field in Fields(bytes) {
        match field? {
            (1, Value::Bytes(text)) => piece.text = str::from_utf8(text).ok()?.to_owned(),
            (2, Value::Four(bits)) => piece.score = f32::from_le_bytes(bits),
            (3, Value::Number(kind)) => piece.kind = kind,
            _ => {}
        }
    }
    Some(piece)
}

/// A field's value by its wire type.
enum Value<'a> {
    Number(u64),
    Four([u8; 4]),
    Bytes(&'a [u8]),
    Other,
}

/// The fields of a message: number and value, or `None` once where the bytes are malformed.
struct Fields<'a>(&'a [u8]);

impl<'a> Iterator for Fields<'a> {
    type Item = Option<(u64, Value<'a>)>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let field = self.field();
        if field.is_none() {
            self.0 = &[];
        }
        Some(field)
    }
}

impl<'a> Fields<'a> {
    fn field(&mut self) -> Option<(u64, Value<'a>)> {
        let tag = self.varint()?;
        let value = match tag & 7 {
            0 => Value::Number(self.varint()?),
            1 => {
                self.take(8)?;
                Value::Other
            }
            2 => {
                let length = usize::try_from(self.varint()?).ok()?;
                Value::Bytes(self.take(length)?)
            }
            5 => Value::Four(self.take(4)?.try_into().ok()?),
            _ => return None,
        };
        Some((tag >> 3, value))
    }

    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    /// Seven bits a byte, the lowest first; at most ten bytes.
    fn varint(&mut self) -> Option<u64> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let [byte] = *self.take(1)? else { return None };
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(value);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn message(fields: &[(u64, &[u8])]) -> Vec<u8> {
        let field = |(number, bytes): &(u64, &[u8])| {
            let head = [(number << 3 | 2) as u8, bytes.len() as u8];
            [&head[..], bytes].concat()
        };
        fields.iter().flat_map(field).collect()
    }

    fn read(bytes: &[u8]) -> Result<Model, String> {
        Model::parse(Path::new("dir/spm.model"), bytes).map_err(|e| e.to_string())
    }

    #[test]
    fn a_message_is_read_whatever_else_it_holds() {
        let piece = [
            &[0x0a, 3][..],
            "\u{2581}".as_bytes(),
            &[0x15, 0, 0, 0x20, 0xc0, 0x18, 4],
        ]
        .concat();
        let trainer = [0x18, 1, 0xc0, 0x02, 7, 0x49, 1, 2, 3, 4, 5, 6, 7, 8];
        let bytes = message(&[(1, &piece), (2, &trainer), (3, &[0x12, 2, 8, 9]), (9, b"later")]);
        let model = read(&bytes).unwrap();
        let want = Piece {
            text: "\u{2581}".to_owned(),
            score: -2.5,
            kind: USER_DEFINED,
        };
        assert_eq!(model.pieces, [want]);
        assert_eq!((model.unknown, model.charsmap), (7, vec![8, 9]));
    }

    #[test]
    fn what_is_no_unigram_model_is_refused() {
        let nan = message(&[(1, &[0x15, 0, 0, 0xc0, 0x7f])]);
        let bpe = message(&[(2, &[0x18, 2])]);
        let not_text = message(&[(1, &[0x0a, 1, 0xff])]);
        let endless = [
            0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1,
        ];
        for (bytes, why) in [
            (&nan[..], "finite"),
            (&bpe, "not a unigram"),
            (&not_text, "not a complete"),
            (&endless, "not a complete"),
            (&[0x0a, 5, 1], "not a complete"),
            (&[0x0b], "not a complete"),
        ] {
            let message = read(bytes).unwrap_err();
            assert!(
                message.starts_with("dir/spm.model: ") && message.contains(why),
                "{message}"
            );
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = read(&bytes);
        }
    }
}
