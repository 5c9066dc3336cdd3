//! Attention, with queries and keys turned by their places where the positions are rotary, and with terms for relative
//! places where they are disentangled.

use tract_onnx::tract_core::internal::*;

use super::{Shared, filled, matrix, picked, reuse, rows_like, with_scratch};
use crate::kernels::attention::{Heads, Turns, attend};
use crate::kernels::disentangled::{self, Columns, Projected, ProjectedChange};

/// Input `[length, columns]`, queries, keys and values side by side; output `[length, heads * width]`. With a second input,
/// `[count]` of u32, rows in rising order: their output alone, `[count, heads * width]`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Attend {
    pub(crate) heads: Heads,
    /// Made for this width of heads.
    pub(crate) turns: Option<Shared<Turns>>,
    pub(crate) relative: Option<Relative>,
}

/// What relative places add to the scores: the shared parts of [`disentangled::Relative`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Relative {
    pub(crate) columns: Shared<Columns>,
    pub(crate) content_to_position: Option<Term>,
    pub(crate) position_to_content: Option<Term>,
    pub(crate) bias: Option<Shared<Vec<f32>>>,
}

/// One of the two kinds of term.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Term {
    /// Made for as many heads of the same width.
    pub(crate) projected: Shared<Projected>,
    pub(crate) change: Option<Shared<ProjectedChange>>,
}

impl Relative {
    fn borrow(&self) -> disentangled::Relative<'_> {
        fn term(term: &Term) -> disentangled::Term<'_> {
            disentangled::Term {
                projected: &term.projected,
                change: term.change.as_deref(),
            }
        }
        disentangled::Relative {
            columns: &self.columns,
            content_to_position: self.content_to_position.as_ref().map(term),
            position_to_content: self.position_to_content.as_ref().map(term),
            bias: self.bias.as_ref().map(|bias| bias.as_slice()),
        }
    }
}

// The scale is a finite constant, so equality is an equivalence.
impl Eq for Attend {}

impl Op for Attend {
    fn name(&self) -> StaticName {
        "MednerdAttend".into()
    }
    op_as_typed_op!();
}

impl EvalOp for Attend {
    op_out_of_plan!();

    fn eval(&self, _: &EvalContext, inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        let mut inputs = inputs.into_iter();
        let mut qkv = inputs.next().context("an input is missing")?;
        let asked = inputs.next();
        let heads = self.heads;
        let (length, _) = matrix(&qkv, heads.columns())?;
        let asked = asked.as_ref().map(|asked| picked(asked, length)).transpose()?;
        if let Some(turns) = &self.turns {
            ensure!(length <= turns.places(), "the sequence is too long");
            ensure!(heads.width == turns.width(), "the angles are for another width");
            // Turned where they lie; they are copied only if something else still needs them.
            let mut turned = qkv.into_tensor();
            turns.turn(turned.try_as_plain_ram_mut()?.as_slice_mut::<f32>()?, heads);
            qkv = turned.into_tvalue();
        }
        let relative = self.relative.as_ref();
        let fits = relative.is_none_or(|relative| length <= relative.columns.context());
        ensure!(fits, "the sequence is too long");
        let relative = relative.map(Relative::borrow);
        let (_, values) = matrix(&qkv, heads.columns())?;
        let count = asked.map_or(length, <[u32]>::len);
        let out = filled(count, heads.joined(), |out| {
            with_scratch(|scratch| attend(values, length, heads, relative, asked, out, scratch))
        });
        reuse(qkv);
        out
    }
}

impl TypedOp for Attend {
    fn output_facts(&self, inputs: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        rows_like(
            inputs.get(1..).filter(|rest| !rest.is_empty()).unwrap_or(inputs),
            self.heads.joined(),
        )
    }
    as_op!();
}
