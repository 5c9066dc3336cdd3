//! Frames: `length: u32 | kind: u8 | 0 0 0 | id: u64 | payload`, little-endian, `length` that of the
//! payload. Both sides come from one build, so there is no version here.

use std::io::{self, Read};

/// Bytes before the payload.
pub const HEADER: usize = 16;

/// What a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// To the child, first of all: what it shall be. The payload is the user's.
    Start = 1,
    /// From the child: it can take calls. The payload is the user's.
    Ready = 2,
    /// From the child: it will not start as long as nobody changes anything; the payload says why, in UTF-8.
    Refused = 3,
    /// To the child: the time left in nanoseconds as `u64`, then the user's payload.
    Call = 4,
    /// From the child: the result of the call with this id.
    Reply = 5,
    /// From the child: the call with this id failed; the payload is the user's.
    Failed = 6,
    /// To the child: nobody waits for the call with this id any more.
    Cancel = 7,
    /// To the child: are you there?
    Ping = 8,
    /// From the child: yes.
    Pong = 9,
    /// From the child, at any time: the user's.
    Event = 10,
    /// To the child: end.
    Stop = 11,
    /// From the child: it cannot start now, and may later; the payload says why, in UTF-8.
    Unable = 12,
}

impl Kind {
    fn from_byte(byte: u8) -> Option<Self> {
        use Kind::{Call, Cancel, Event, Failed, Ping, Pong, Ready, Refused, Reply, Start, Stop, Unable};
        let all = [
            Start, Ready, Refused, Call, Reply, Failed, Cancel, Ping, Pong, Event, Stop, Unable,
        ];
        all.into_iter().find(|kind| *kind as u8 == byte)
    }
}

/// A frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// What it is.
    pub kind: Kind,
    /// Which call it belongs to; 0 where it belongs to none.
    pub id: u64,
    /// What it carries.
    pub payload: Vec<u8>,
}

/// Bytes that are no frame.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// No such kind, or padding that is not zero.
    #[error("a frame of no known kind")]
    Kind,
    /// Larger than was agreed.
    #[error("a frame of {length} bytes where {limit} are allowed")]
    TooLarge {
        /// Its length.
        length: usize,
        /// The limit.
        limit: usize,
    },
}

/// Appends a frame to `out`.
///
/// # Errors
/// [`FrameError::TooLarge`] where the payload is larger than `limit`; `out` is as it was.
pub fn encode(
    out: &mut Vec<u8>,
    kind: Kind,
    id: u64,
    payload: &[&[u8]],
    limit: usize,
) -> Result<(), FrameError> {
    let length: usize = payload.iter().map(|part| part.len()).sum();
    let small = u32::try_from(length).ok().filter(|_| length <= limit);
    let small = small.ok_or(FrameError::TooLarge { length, limit })?;
    out.reserve(HEADER + length);
    out.extend_from_slice(&small.to_le_bytes());
    out.extend_from_slice(&[kind as u8, 0, 0, 0]);
    out.extend_from_slice(&id.to_le_bytes());
    payload.iter().for_each(|part| out.extend_from_slice(part));
    Ok(())
}

/// The kind, id and length in a header.
fn header(bytes: &[u8; HEADER], limit: usize) -> Result<(Kind, u64, usize), FrameError> {
    let [l0, l1, l2, l3, kind, 0, 0, 0, i0, i1, i2, i3, i4, i5, i6, i7] = *bytes else {
        return Err(FrameError::Kind);
    };
    let length = u32::from_le_bytes([l0, l1, l2, l3]) as usize;
    let id = u64::from_le_bytes([i0, i1, i2, i3, i4, i5, i6, i7]);
    let kind = Kind::from_byte(kind).ok_or(FrameError::Kind)?;
    if length > limit {
        return Err(FrameError::TooLarge { length, limit });
    }
    Ok((kind, id, length))
}

/// Reads one frame, waiting for it; `None` where the other side has closed between frames.
///
/// # Errors
/// What reading says; `InvalidData` with a [`FrameError`]; `UnexpectedEof` within a frame.
pub fn read(from: &mut impl Read, limit: usize) -> io::Result<Option<Frame>> {
    let mut head = [0; HEADER];
    let mut filled = 0;
    while let Some(rest) = head.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match from.read(rest) {
            Ok(0) if filled == 0 => return Ok(None),
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    let (kind, id, length) =
        header(&head, limit).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
    let mut payload = Vec::new();
    // As it comes: a length that is not followed by so many bytes reserves nothing.
    from.take(length as u64).read_to_end(&mut payload)?;
    if payload.len() < length {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(Some(Frame { kind, id, payload }))
}

/// Frames out of bytes that come in pieces.
#[derive(Debug, Default)]
pub struct Splitter {
    bytes: Vec<u8>,
    taken: usize,
}

impl Splitter {
    /// More bytes.
    pub fn push(&mut self, bytes: &[u8]) {
        if self.taken > 0 {
            self.bytes.drain(..self.taken);
            self.taken = 0;
        }
        self.bytes.extend_from_slice(bytes);
    }

    /// The next whole frame.
    ///
    /// # Errors
    /// [`FrameError`]; what follows cannot be read any more.
    pub fn next(&mut self, limit: usize) -> Result<Option<Frame>, FrameError> {
        let rest = self.bytes.get(self.taken..).unwrap_or_default();
        let Some((head, body)) = rest.split_first_chunk::<HEADER>() else {
            return Ok(None);
        };
        let (kind, id, length) = header(head, limit)?;
        let Some(payload) = body.get(..length) else {
            return Ok(None);
        };
        let payload = payload.to_vec();
        self.taken += HEADER + length;
        if self.taken == self.bytes.len() {
            // A large frame's room is given back.
            self.bytes = Vec::new();
            self.taken = 0;
        }
        Ok(Some(Frame { kind, id, payload }))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn frames() -> impl Strategy<Value = Vec<Frame>> {
        let kind = (1_u8..13).prop_map(|byte| Kind::from_byte(byte).unwrap());
        let payload = proptest::collection::vec(any::<u8>(), 0..40);
        let frame = (kind, any::<u64>(), payload).prop_map(|(kind, id, payload)| Frame { kind, id, payload });
        proptest::collection::vec(frame, 0..8)
    }

    proptest! {
        #[test]
        fn frames_come_back_however_they_are_cut(frames in frames(), piece in 1_usize..50) {
            let mut bytes = Vec::new();
            for frame in &frames {
                encode(&mut bytes, frame.kind, frame.id, &[&frame.payload], 64).unwrap();
            }
            let mut splitter = Splitter::default();
            let mut found = Vec::new();
            for piece in bytes.chunks(piece) {
                splitter.push(piece);
                while let Some(frame) = splitter.next(64).unwrap() {
                    found.push(frame);
                }
            }
            prop_assert_eq!(&found, &frames);
            let mut reader = bytes.as_slice();
            for frame in frames {
                prop_assert_eq!(read(&mut reader, 64).unwrap().unwrap(), frame);
            }
            prop_assert!(read(&mut reader, 64).unwrap().is_none());
        }

        #[test]
        fn any_bytes_are_read_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let mut splitter = Splitter::default();
            splitter.push(&bytes);
            while let Ok(Some(_)) = splitter.next(100) {}
            let _ = read(&mut bytes.as_slice(), 100);
        }
    }

    #[test]
    fn a_length_is_not_believed() {
        let mut bytes = Vec::new();
        encode(&mut bytes, Kind::Reply, 1, &[b"four"], 4).unwrap();
        assert_eq!(
            encode(&mut Vec::new(), Kind::Reply, 1, &[b"fi", b"ve!"], 4),
            Err(FrameError::TooLarge { length: 5, limit: 4 })
        );
        assert_eq!(
            read(&mut bytes.get(..18).unwrap(), 4).unwrap_err().kind(),
            io::ErrorKind::UnexpectedEof
        );
        assert_eq!(
            read(&mut bytes.as_slice(), 3).unwrap_err().kind(),
            io::ErrorKind::InvalidData
        );
    }
}
