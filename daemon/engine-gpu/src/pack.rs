//! A batch as the kernels read it, made on the host: which token is where.

use mednerd_model::Positions;

/// Queries that a block of the attention kernel has.
pub(crate) const QUERIES: usize = 16;
/// And of those on tensor cores.
pub(crate) const TENSOR_QUERIES: usize = 64;

/// Which row of the table of places each token gets. The token-type row is in the rows already, so that there may be one row
/// for all.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Rows {
    /// Every token gets the first row.
    Everywhere,
    /// Each token gets the row after that of the one before; one with this id gets the first row and is not counted.
    Counted(Option<u32>),
}

impl Rows {
    pub(crate) fn of(positions: &Positions) -> Self {
        match positions {
            Positions::None => Self::Everywhere,
            Positions::Absolute { padding, .. } => Self::Counted(*padding),
        }
    }
}

/// A batch's numbers, to be copied to the device in one piece.
#[derive(Debug, Default)]
pub(crate) struct Packed {
    pub(crate) values: Vec<u32>,
    pub(crate) tokens: usize,
    pub(crate) tiles: usize,
    /// Where in `values` each begins.
    pub(crate) ids: usize,
    pub(crate) rows: usize,
    /// The place of each token in its sequence.
    pub(crate) places: usize,
    /// The sequence of each token.
    pub(crate) sequences: usize,
    /// The slot of each token.
    pub(crate) slots: usize,
    /// Cumulative lengths, one more than there are sequences.
    pub(crate) starts: usize,
    /// Pairs: a sequence, and its first query of a block.
    pub(crate) tile: usize,
}

/// Packs sequences with the slot of each; a block of the attention kernel has so many `queries`. Fewer than 2^32 tokens: the caller has seen to it.
#[allow(clippy::cast_possible_truncation)]
pub(crate) fn pack(sequences: &[(u32, &[u32])], rule: Rows, queries: usize) -> Packed {
    let (mut ids, mut rows, mut places, mut of, mut slots) =
        (Vec::new(), Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let (mut starts, mut tiles) = (vec![0], Vec::new());
    for (number, (slot, sequence)) in sequences.iter().enumerate() {
        let mut next = match rule {
            Rows::Counted(padding) => u32::from(padding.is_some()),
            Rows::Everywhere => 0,
        };
        for id in *sequence {
            rows.push(match rule {
                Rows::Everywhere => 0,
                Rows::Counted(padding) if padding == Some(*id) => 0,
                Rows::Counted(_) => {
                    next += 1;
                    next - 1
                }
            });
        }
        ids.extend_from_slice(sequence);
        places.extend(0..sequence.len() as u32);
        of.extend(std::iter::repeat_n(number as u32, sequence.len()));
        slots.extend(std::iter::repeat_n(*slot, sequence.len()));
        starts.push(ids.len() as u32);
        for first in (0..sequence.len()).step_by(queries) {
            tiles.extend([number as u32, first as u32]);
        }
    }
    let mut packed = Packed {
        tokens: ids.len(),
        tiles: tiles.len() / 2,
        ..Packed::default()
    };
    let mut add = |values: Vec<u32>| {
        let begin = packed.values.len();
        packed.values.extend(values);
        begin
    };
    let begins = [ids, rows, places, of, slots, starts, tiles].map(&mut add);
    [
        packed.ids,
        packed.rows,
        packed.places,
        packed.sequences,
        packed.slots,
        packed.starts,
        packed.tile,
    ] = begins;
    packed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_know_their_sequence_place_and_row() {
        let long: Vec<u32> = vec![9; 18];
        let packed = pack(&[(0, &[7, 1, 7]), (2, &long)], Rows::Counted(Some(1)), QUERIES);
        let at = |begin: usize, count: usize| &packed.values[begin..begin + count];
        assert_eq!((packed.tokens, packed.tiles), (21, 3));
        assert_eq!(at(packed.ids, 4), [7, 1, 7, 9]);
        assert_eq!(at(packed.rows, 5), [1, 0, 2, 1, 2]);
        assert_eq!(at(packed.places, 5), [0, 1, 2, 0, 1]);
        assert_eq!(at(packed.sequences, 4), [0, 0, 0, 1]);
        assert_eq!(at(packed.slots, 4), [0, 0, 0, 2]);
        assert_eq!(at(packed.starts, 3), [0, 3, 21]);
        assert_eq!(at(packed.tile, 6), [0, 0, 1, 0, 1, 16]);
        assert_eq!(packed.values.len(), packed.tile + 6);
        let plain = pack(&[(0, &[7, 1, 7])], Rows::Counted(None), QUERIES);
        assert_eq!(plain.values[plain.rows..plain.rows + 3], [0, 1, 2]);
    }
}
