//! A batch as the kernels read it, made on the host: which token is where, layer by layer. A window that several models ask
//! for is one sequence up to the first layer in which they differ, and one for each of them from there on.

use std::collections::HashMap;

use mednerd_model::Positions;

/// Queries that a block of the attention kernel has.
pub(crate) const QUERIES: usize = 16;
/// And of those on tensor cores.
pub(crate) const TENSOR_QUERIES: usize = 64;
/// Tokens to whole multiples of which small batches are filled up.
pub(crate) const BLOCK: usize = 64;

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

    /// The row of each token of a sequence.
    fn rows(self, sequence: &[u32]) -> impl Iterator<Item = u32> {
        let mut next = match self {
            Self::Counted(padding) => u32::from(padding.is_some()),
            Self::Everywhere => 0,
        };
        sequence.iter().map(move |id| match self {
            Self::Everywhere => 0,
            Self::Counted(padding) if padding == Some(*id) => 0,
            Self::Counted(_) => {
                next += 1;
                next - 1
            }
        })
    }
}

/// A window for one model.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Branch<'a> {
    /// The number of the window.
    pub(crate) window: usize,
    /// Its ids.
    pub(crate) ids: &'a [u32],
    /// The address of the list of what its model has of its own.
    pub(crate) model: u64,
    /// The first layer that they change: below, all branches of a window are the same.
    pub(crate) first: usize,
}

/// A batch's numbers, to be copied to the device in one piece.
#[derive(Debug, Default)]
pub(crate) struct Packed {
    pub(crate) values: Vec<u32>,
    /// In their order, each with more sequences than the one before; the last has one for each branch, in the order of these.
    pub(crate) stages: Vec<Stage>,
}

/// Layers with the same sequences.
#[derive(Debug)]
pub(crate) struct Stage {
    /// The first of the layers; the next stage's ends them.
    pub(crate) layer: usize,
    pub(crate) tokens: usize,
    pub(crate) tiles: usize,
    /// Where in `values` each begins. Ids; in all stages but the first, the row that each token has in the stage before.
    pub(crate) ids: usize,
    /// The row of places of each token, in the first stage alone.
    pub(crate) rows: usize,
    /// The place of each token in its sequence.
    pub(crate) places: usize,
    /// The sequence of each token.
    pub(crate) sequences: usize,
    /// Cumulative lengths, one more than there are sequences.
    pub(crate) starts: usize,
    /// Pairs: a sequence, and its first query of a block.
    pub(crate) tile: usize,
    /// The model of each sequence, two numbers for an address; at an even place.
    pub(crate) models: usize,
}

/// A branch on its way through the stages.
struct Member<'a> {
    branch: &'a Branch<'a>,
    /// The layer from which on it has a sequence of its own.
    joins: usize,
    /// The branch in whose sequence it is; from then on itself.
    leader: usize,
    /// Where its sequence begins in the stage before.
    row: usize,
}

fn members<'a>(branches: &'a [Branch<'a>]) -> Vec<Member<'a>> {
    // Of each window, the branch that the trunk suits longest: it computes the trunk for the others.
    let mut leaders: HashMap<usize, (usize, usize)> = HashMap::new();
    for (number, branch) in branches.iter().enumerate() {
        let leader = leaders.entry(branch.window).or_insert((number, branch.first));
        if leader.1 < branch.first {
            *leader = (number, branch.first);
        }
    }
    let member = |(number, branch): (usize, &'a Branch<'a>)| {
        let leader = leaders.get(&branch.window).map_or(number, |(leader, _)| *leader);
        let joins = if leader == number { 0 } else { branch.first };
        Member {
            branch,
            joins,
            leader,
            row: 0,
        }
    };
    branches.iter().enumerate().map(member).collect()
}

/// Packs branches; a block of the attention kernel has so many `queries`. Fewer than 2^32 tokens: the caller has seen to it.
pub(crate) fn pack(branches: &[Branch<'_>], rule: Rows, queries: usize) -> Packed {
    lay_out(branches, rule, queries, false)
}

/// The same, filled up: to whole blocks of [`BLOCK`] tokens, which are in no sequence, and to as many tiles as such a number of
/// tokens in so many sequences can have. So batches are alike that have as many blocks and sequences.
pub(crate) fn pack_in_blocks(branches: &[Branch<'_>], rule: Rows, queries: usize) -> Packed {
    lay_out(branches, rule, queries, true)
}

#[allow(clippy::cast_possible_truncation)]
fn lay_out(branches: &[Branch<'_>], rule: Rows, queries: usize, in_blocks: bool) -> Packed {
    let mut packed = Packed::default();
    let mut members = members(branches);
    let mut layers: Vec<usize> = members.iter().map(|member| member.joins).collect();
    layers.sort_unstable();
    layers.dedup();
    for layer in layers {
        let before: Vec<usize> = members.iter().map(|member| member.row).collect();
        let (mut ids, mut rows, mut places, mut of) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let (mut starts, mut tiles, mut models) = (vec![0], Vec::new(), Vec::new());
        let present = members.iter_mut().enumerate();
        for (own, member) in present.filter(|(_, member)| member.joins <= layer) {
            let (number, row, sequence) = (starts.len() as u32 - 1, ids.len(), member.branch.ids);
            if layer == 0 {
                ids.extend_from_slice(sequence);
                rows.extend(rule.rows(sequence));
            } else {
                let from = before.get(member.leader).map_or(0, |row| *row as u32);
                ids.extend(from..from + sequence.len() as u32);
            }
            (member.leader, member.row) = (own, row);
            places.extend(0..sequence.len() as u32);
            of.extend(std::iter::repeat_n(number, sequence.len()));
            models.extend([member.branch.model as u32, (member.branch.model >> 32) as u32]);
            starts.push(ids.len() as u32);
            for first in (0..sequence.len()).step_by(queries) {
                tiles.extend([number, first as u32]);
            }
        }
        if in_blocks {
            let tokens = ids.len().next_multiple_of(BLOCK);
            for of_tokens in [&mut ids, &mut rows, &mut places, &mut of] {
                of_tokens.resize(tokens, 0);
            }
            // Of the first sequence, and beyond any.
            while tiles.len() / 2 < tokens / queries + starts.len() - 1 {
                tiles.extend([0, tokens as u32]);
            }
        }
        let (tokens, tile_count) = (ids.len(), tiles.len() / 2);
        // At whole multiples of what they are read as.
        packed.values.resize(packed.values.len().next_multiple_of(2), 0);
        let begins = [models, ids, rows, places, of, starts, tiles].map(|values| {
            let begin = packed.values.len();
            packed.values.extend(values);
            begin
        });
        let [models, ids, rows, places, sequences, starts, tile] = begins;
        packed.stages.push(Stage {
            layer,
            tokens,
            tiles: tile_count,
            ids,
            rows,
            places,
            sequences,
            starts,
            tile,
            models,
        });
    }
    packed
}

#[cfg(test)]
mod tests {
    use super::*;

    fn branch(window: usize, ids: &[u32], model: u64, first: usize) -> Branch<'_> {
        Branch {
            window,
            ids,
            model,
            first,
        }
    }

    #[test]
    fn tokens_know_their_sequence_place_and_row() {
        let long: Vec<u32> = vec![9; 18];
        let branches = [branch(0, &[7, 1, 7], 0, 2), branch(1, &long, (2 << 32) + 7, 1)];
        let packed = pack(&branches, Rows::Counted(Some(1)), QUERIES);
        let at = |begin: usize, count: usize| &packed.values[begin..begin + count];
        let [stage] = packed.stages.as_slice() else {
            panic!("one stage, for each window has one branch")
        };
        assert_eq!((stage.layer, stage.tokens, stage.tiles), (0, 21, 3));
        assert_eq!(at(stage.ids, 4), [7, 1, 7, 9]);
        assert_eq!(at(stage.rows, 5), [1, 0, 2, 1, 2]);
        assert_eq!(at(stage.places, 5), [0, 1, 2, 0, 1]);
        assert_eq!(at(stage.sequences, 4), [0, 0, 0, 1]);
        assert_eq!(at(stage.models, 4), [0, 0, 7, 2]);
        assert_eq!(at(stage.starts, 3), [0, 3, 21]);
        assert_eq!(at(stage.tile, 6), [0, 0, 1, 0, 1, 16]);
        assert_eq!(packed.values.len(), stage.tile + 6);
        let plain = pack(&branches[..1], Rows::Counted(None), QUERIES);
        assert_eq!(plain.values[plain.stages[0].rows..][..3], [0, 1, 2]);
    }

    #[test]
    fn what_is_filled_up_has_the_shape_of_its_blocks_and_sequences() {
        let mut shapes = Vec::new();
        for lengths in [[1, 1], [40, 3], [17, 47], [64, 0], [1, 60]] {
            let ids = lengths.map(|length| vec![9; length]);
            let windows = ids.iter().enumerate().filter(|(_, ids)| !ids.is_empty());
            let branches: Vec<Branch<'_>> = windows.map(|(window, ids)| branch(window, ids, 1, 4)).collect();
            let exact = pack(&branches, Rows::Counted(None), QUERIES);
            let packed = pack_in_blocks(&branches, Rows::Counted(None), QUERIES);
            let (one, other) = (&exact.stages[0], &packed.stages[0]);
            let tokens = one.tokens;
            for (exactly, filled) in [
                (one.ids, other.ids),
                (one.rows, other.rows),
                (one.places, other.places),
                (one.sequences, other.sequences),
            ] {
                assert_eq!(
                    packed.values[filled..][..tokens],
                    exact.values[exactly..][..tokens]
                );
                assert!(
                    packed.values[filled + tokens..filled + other.tokens]
                        .iter()
                        .all(|x| *x == 0)
                );
            }
            let starts = branches.len() + 1;
            assert_eq!(
                packed.values[other.starts..][..starts],
                exact.values[one.starts..][..starts]
            );
            let tiles = &packed.values[other.tile..];
            assert_eq!(tiles.len(), 2 * other.tiles);
            assert_eq!(tiles[..2 * one.tiles], exact.values[one.tile..]);
            assert!(tiles[2 * one.tiles..].chunks(2).all(|tile| tile == [0, 64]));
            if branches.len() == 2 {
                shapes.push((other.tokens, other.tiles, packed.values.len()));
            }
        }
        shapes.dedup();
        assert_eq!(shapes.len(), 1, "{shapes:?}");
    }

    #[test]
    fn a_branch_joins_at_its_first_layer_with_the_rows_of_its_windows_trunk() {
        // Window 0 is for a base and two adapters, window 1 for one of these, window 2 for two that change the same layers.
        let windows: [&[u32]; 3] = [&[5, 6], &[7], &[8, 9, 8]];
        let of = [(0, 0, 4), (2, 3, 3), (0, 3, 3), (1, 3, 3), (0, 1, 0), (2, 2, 3)];
        let branches = of.map(|(window, model, first)| branch(window, windows[window], model, first));
        let packed = pack(&branches, Rows::Everywhere, QUERIES);
        let [first, second] = packed.stages.as_slice() else {
            panic!("one stage, and another from the third layer on")
        };
        assert_eq!((first.layer, second.layer), (0, 3));
        let at = |stage: &Stage, begin: usize| packed.values[begin..][..stage.tokens].to_vec();
        let starts = |stage: &Stage| packed.values[stage.starts..stage.tile].to_vec();
        // Addresses, and so at whole multiples of eight bytes.
        let models = |stage: &Stage| {
            assert_eq!(stage.models % 2, 0);
            let all = packed.values[stage.models..stage.ids].chunks(2);
            all.map(|model| u64::from(model[0]) + (u64::from(model[1]) << 32))
                .collect::<Vec<u64>>()
        };
        assert_eq!(at(first, first.ids), [5, 6, 8, 9, 8, 7, 5, 6]);
        assert_eq!(models(first), [0, 3, 3, 1]);
        assert_eq!(starts(first), [0, 2, 5, 6, 8]);
        assert_eq!(at(second, second.ids), [0, 1, 2, 3, 4, 0, 1, 5, 6, 7, 2, 3, 4]);
        assert_eq!(models(second), [0, 3, 3, 3, 1, 2]);
        assert_eq!(starts(second), [0, 2, 5, 7, 8, 10, 13]);
    }
}
