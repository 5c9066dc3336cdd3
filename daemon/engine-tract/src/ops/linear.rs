//! `y = activation(x W^T + b)` with packed weights, and with a task adapter's change to them.

use mednerd_model::{Activation, LowRank};
use tract_onnx::tract_core::internal::*;

use super::{Shared, filled, matrix, reuse, rows_like, with_scratch};
use crate::kernels::attention::Scratch;
use crate::kernels::elementwise::FinishRows;
use crate::kernels::gemm::{Finish, Packed, Rows, multiply};
use crate::kernels::int8::{self, Quantised};
use crate::kernels::simd::dispatch;

/// Input `[length, inputs]`, output `[length, outputs]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Product {
    pub(crate) matrix: Shared<Matrix>,
    pub(crate) bias: Option<Shared<Vec<f32>>>,
    pub(crate) change: Option<Shared<Change>>,
    pub(crate) activation: Option<Activation>,
}

/// Packed weights, in one of the precisions.
#[derive(Debug)]
pub(crate) enum Matrix {
    Full(Packed),
    Int8(Quantised),
}

impl Matrix {
    /// Fills the columns from `first` on with the rows of `W`, as the weights of a linear layer come.
    pub(crate) fn fill_transposed(&mut self, first: usize, rows: &[f32], depth: usize) {
        match self {
            Self::Full(matrix) => matrix.fill_transposed(first, rows, depth),
            Self::Int8(matrix) => matrix.fill_transposed(first, rows, depth),
        }
    }

    fn shape(&self) -> (usize, usize) {
        match self {
            Self::Full(matrix) => (matrix.depth(), matrix.columns()),
            Self::Int8(matrix) => (matrix.depth(), matrix.columns()),
        }
    }

    /// Bytes of the packed values.
    pub(crate) fn bytes(&self) -> usize {
        match self {
            Self::Full(matrix) => matrix.bytes(),
            Self::Int8(matrix) => matrix.bytes(),
        }
    }

    fn multiply(&self, rows: Rows<'_>, out: &mut [f32], finish: Finish<'_>, scratch: &mut Scratch) {
        let (_, columns) = self.shape();
        match self {
            Self::Full(matrix) => multiply(rows, matrix, out, columns, finish),
            Self::Int8(matrix) => int8::multiply(rows, matrix, out, columns, finish, &mut scratch.quantised),
        }
    }
}

/// The low-rank changes of layers whose outputs lie side by side: `y = gain * (x W^T + (x D^T) U^T) + b`. The base's
/// packed `W` is read as it is.
#[derive(Debug)]
pub(crate) struct Change {
    /// The `down` rows of all changes, to be packed when the last is there.
    down: Packed,
    rows: Vec<f32>,
    inputs: usize,
    outputs: usize,
    rank: usize,
    parts: Vec<Part>,
    /// `magnitude / length of the changed row` per output (Liu et al. 2024); 1 where there is no magnitude.
    gain: Option<Vec<f32>>,
    bias: Option<Vec<f32>>,
}

/// The `up` matrix of one layer: from some of the ranks to some of the outputs.
#[derive(Debug)]
struct Part {
    first_rank: usize,
    first_output: usize,
    up: Packed,
}

impl Change {
    /// No change to a product of this many inputs and, so far, no outputs.
    pub(crate) fn new(inputs: usize) -> Self {
        Self {
            down: Packed::zeros(inputs, 0),
            rows: Vec::new(),
            inputs,
            outputs: 0,
            rank: 0,
            parts: Vec::new(),
            gain: None,
            bias: None,
        }
    }

    /// Takes in the next layer: its number of outputs, its change and, where that has magnitudes, the rows of its
    /// unchanged weight.
    pub(crate) fn push(&mut self, outputs: usize, low_rank: Option<LowRank>, weight: Option<&[f32]>) {
        let first_output = self.outputs;
        self.outputs += outputs;
        for values in [&mut self.gain, &mut self.bias].into_iter().flatten() {
            values.resize(self.outputs, 0.0);
        }
        if let Some(gain) = &mut self.gain {
            gain[first_output..].fill(1.0);
        }
        let Some(low_rank) = low_rank else {
            return;
        };
        if let Some(values) = weight.and_then(|weight| low_rank.gain(weight, self.inputs)) {
            let gain = self.gain.get_or_insert_with(|| vec![1.0; first_output + outputs]);
            gain[first_output..].copy_from_slice(&values);
        }
        if let Some(values) = &low_rank.bias {
            let bias = self.bias.get_or_insert_with(|| vec![0.0; first_output + outputs]);
            bias[first_output..].copy_from_slice(values);
        }
        let mut up = Packed::zeros(low_rank.rank, outputs);
        up.fill_transposed(0, &low_rank.up, low_rank.rank);
        self.parts.push(Part {
            first_rank: self.rank,
            first_output,
            up,
        });
        self.rank += low_rank.rank;
        self.rows.extend_from_slice(&low_rank.down);
        self.down = Packed::zeros(self.inputs, self.rank);
        self.down.fill_transposed(0, &self.rows, self.inputs);
    }

    /// Bytes of its values.
    pub(crate) fn bytes(&self) -> usize {
        let vectors = [&self.gain, &self.bias].into_iter().flatten().map(Vec::capacity);
        let values = self.rows.capacity() + vectors.sum::<usize>();
        self.down.bytes()
            + self.parts.iter().map(|part| part.up.bytes()).sum::<usize>()
            + values * size_of::<f32>()
    }

    /// Adds `(x D^T) U^T` to `out`, whose rows are `stride` apart.
    fn add(&self, x: Rows<'_>, out: &mut [f32], stride: usize, scratch: &mut Scratch) {
        let ranks = &mut scratch.ranks;
        ranks.clear();
        ranks.resize(x.count * self.rank, 0.0);
        multiply(x, &self.down, ranks, self.rank, Finish::default());
        for part in &self.parts {
            let rows = Rows {
                values: &ranks[part.first_rank..],
                stride: self.rank,
                count: x.count,
            };
            let onto = Finish {
                onto: true,
                ..Finish::default()
            };
            multiply(rows, &part.up, &mut out[part.first_output..], stride, onto);
        }
    }
}

impl Op for Product {
    fn name(&self) -> StaticName {
        "MednerdProduct".into()
    }
    op_as_typed_op!();
}

impl EvalOp for Product {
    op_out_of_plan!();

    fn eval(&self, _: &EvalContext, inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        let x = args_1!(inputs);
        let weights: &Matrix = &self.matrix;
        let (depth, columns) = weights.shape();
        let (count, values) = matrix(&x, depth)?;
        let rows = Rows {
            values,
            stride: depth,
            count,
        };
        let bias = self.bias.as_ref().map(|bias| bias.as_slice());
        let out = filled(count, columns, |out| {
            with_scratch(|scratch| match &self.change {
                None => {
                    let finish = Finish {
                        bias,
                        activation: self.activation,
                        onto: false,
                    };
                    weights.multiply(rows, out, finish, scratch);
                }
                Some(change) => {
                    weights.multiply(rows, out, Finish::default(), scratch);
                    change.add(rows, out, columns, scratch);
                    dispatch(FinishRows {
                        rows: out,
                        width: columns,
                        gain: change.gain.as_deref(),
                        biases: [bias, change.bias.as_deref()],
                        activation: self.activation,
                    });
                }
            })
        });
        reuse(x);
        out
    }
}

impl TypedOp for Product {
    fn output_facts(&self, inputs: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        let (_, columns) = self.matrix.shape();
        rows_like(inputs, columns)
    }
    as_op!();
}
