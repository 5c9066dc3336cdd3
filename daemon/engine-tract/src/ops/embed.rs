//! From token ids to the sum of their word and place embeddings.

use tract_onnx::tract_core::internal::*;

use super::{Shared, filled, rows_like};

/// The two tables, row-major with `width` columns.
#[derive(Debug)]
pub(crate) struct EmbedWeights {
    /// One row per token id.
    pub(crate) words: Vec<f32>,
    /// One row per place in the sequence, the first token's first; the token-type row is already added.
    pub(crate) places: Vec<f32>,
    pub(crate) width: usize,
}

/// Input `[length]`, token ids as u32; output `[length, width]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Embed {
    pub(crate) weights: Shared<EmbedWeights>,
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
        let EmbedWeights { words, places, width } = &*self.weights;
        ensure!(ids.len() <= places.len() / width, "the sequence is too long");
        filled(ids.len(), *width, |out| {
            let rows = out.chunks_exact_mut(*width);
            for ((row, place), id) in rows.zip(places.chunks_exact(*width)).zip(ids) {
                let start = *id as usize * width;
                let word = words
                    .get(start..start + width)
                    .context("a token id is outside the vocabulary")?;
                for ((x, word), place) in row.iter_mut().zip(word).zip(place) {
                    *x = *word + *place;
                }
            }
            Ok(())
        })
    }
}

impl TypedOp for Embed {
    fn output_facts(&self, inputs: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        rows_like(inputs, self.weights.width)
    }
    as_op!();
}
