//! From token ids to the sum of their word and place embeddings.

use tract_onnx::tract_core::internal::*;

use super::{Shared, filled, rows_like};

/// What a token's place adds to its word embedding. The token-type row is already added to the rows.
#[derive(Debug)]
pub(crate) struct Places {
    /// One row per place, the first token's first; with `padding`, the padding token's row before them.
    pub(crate) rows: Vec<f32>,
    /// A token that gets the first row and takes no place.
    pub(crate) padding: Option<u32>,
    /// There is one row, and every token gets it.
    pub(crate) everywhere: bool,
}

impl Places {
    /// The row of each token.
    fn indices<'a>(&'a self, ids: &'a [u32]) -> impl Iterator<Item = usize> + 'a {
        let mut next = usize::from(self.padding.is_some());
        ids.iter().map(move |id| {
            if self.everywhere || self.padding == Some(*id) {
                return 0;
            }
            next += 1;
            next - 1
        })
    }
}

/// Input `[length]`, token ids as u32; output `[length, width]`. `words` has one row of `width` values per token id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Embed {
    pub(crate) words: Shared<Vec<f32>>,
    pub(crate) places: Shared<Places>,
    pub(crate) width: usize,
}

impl Op for Embed {
    fn name(&self) -> StaticName {
        "MednerdEmbed".into()
    }
    op_as_typed_op!();
}

impl EvalOp for Embed {
    op_out_of_plan!();

    fn eval(&self, _: &EvalContext, inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        let ids = args_1!(inputs);
        let ids = ids.try_as_plain_ram()?.as_slice::<u32>()?;
        let width = self.width;
        let row = |table: &'_ [f32], index: usize| -> Option<std::ops::Range<usize>> {
            let start = index.checked_mul(width)?;
            (start + width <= table.len()).then_some(start..start + width)
        };
        filled(ids.len(), width, |out| {
            let rows = out.chunks_exact_mut(width);
            for ((out, place), id) in rows.zip(self.places.indices(ids)).zip(ids) {
                let word = row(&self.words, *id as usize).context("a token id is outside the vocabulary")?;
                let place = row(&self.places.rows, place).context("the sequence is too long")?;
                for ((x, word), place) in out
                    .iter_mut()
                    .zip(&self.words[word])
                    .zip(&self.places.rows[place])
                {
                    *x = *word + *place;
                }
            }
            Ok(())
        })
    }
}

impl TypedOp for Embed {
    fn output_facts(&self, inputs: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        rows_like(inputs, self.width)
    }
    as_op!();
}

#[cfg(test)]
mod tests {
    use super::*;

    fn indices(padding: Option<u32>, everywhere: bool, ids: &[u32]) -> Vec<usize> {
        let places = Places {
            rows: Vec::new(),
            padding,
            everywhere,
        };
        places.indices(ids).collect()
    }

    #[test]
    fn the_padding_token_takes_no_place() {
        assert_eq!(indices(None, false, &[7, 1, 7]), [0, 1, 2]);
        assert_eq!(indices(Some(1), false, &[7, 1, 1, 7]), [1, 0, 0, 2]);
        assert_eq!(indices(None, true, &[7, 1, 7]), [0, 0, 0]);
    }
}
