//! One direction of an LSTM (Hochreiter & Schmidhuber 1997) over rows whose part of the gates is computed already.

use super::elementwise::LstmStep;
use super::gemm::{Finish, Packed, Rows, multiply};
use super::simd::dispatch;

/// What one direction reads: row `i` of `gates` is what row `i` of the input gives to the four gates, biases included;
/// `state` makes the same of the state before it.
#[derive(Clone, Copy)]
pub(crate) struct Direction<'a> {
    pub(crate) gates: &'a [f32],
    pub(crate) state: &'a Packed,
    /// Whether the last row comes first.
    pub(crate) backward: bool,
}

impl Direction<'_> {
    /// Writes the state after each row to the row of `out`, from the column `first` on; rows of `out` are `stride` apart.
    ///
    /// # Panics
    /// Where the slices are shorter than the shapes claim.
    pub(crate) fn run(&self, out: &mut [f32], stride: usize, first: usize) {
        let (width, columns) = (self.state.depth(), self.state.columns());
        let count = self.gates.len() / columns.max(1);
        let (mut state, mut cell) = (vec![0.0; width], vec![0.0; width]);
        let mut gates = vec![0.0; columns];
        for step in 0..count {
            let row = if self.backward { count - 1 - step } else { step };
            gates.copy_from_slice(&self.gates[row * columns..][..columns]);
            let before = Rows {
                values: &state,
                stride: width,
                count: 1,
            };
            let onto = Finish {
                onto: true,
                ..Finish::default()
            };
            multiply(before, self.state, &mut gates, columns, onto);
            dispatch(LstmStep {
                gates: &mut gates,
                cell: &mut cell,
                out: &mut state,
            });
            out[row * stride + first..][..width].copy_from_slice(&state);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing::random;

    /// The definition, in double precision.
    fn naive(gates: &[f32], weight: &[f32], width: usize, backward: bool) -> Vec<f64> {
        let count = gates.len() / (4 * width);
        let sigmoid = |x: f64| 1.0 / (1.0 + (-x).exp());
        let (mut state, mut cell) = (vec![0.0; width], vec![0.0; width]);
        let mut out = vec![0.0; count * width];
        for step in 0..count {
            let row = if backward { count - 1 - step } else { step };
            let gate = |column: usize| {
                let sum: f64 = (0..width)
                    .map(|k| f64::from(weight[column * width + k]) * state[k])
                    .sum();
                f64::from(gates[row * 4 * width + column]) + sum
            };
            let gates: Vec<f64> = (0..4 * width).map(gate).collect();
            for k in 0..width {
                cell[k] =
                    sigmoid(gates[width + k]) * cell[k] + sigmoid(gates[k]) * gates[2 * width + k].tanh();
                state[k] = sigmoid(gates[3 * width + k]) * cell[k].tanh();
            }
            out[row * width..][..width].copy_from_slice(&state);
        }
        out
    }

    proptest! {
        #[test]
        fn states_are_those_of_the_definition(
            width in 1usize..40, count in 0usize..20, backward in any::<bool>(), seed in any::<u64>(),
        ) {
            let gates = random(count * 4 * width, 3.0, seed);
            let weight = random(4 * width * width, 1.0, seed ^ 1);
            let mut state = Packed::zeros(width, 4 * width);
            state.fill_transposed(0, &weight, width);
            // Beside something that must stay as it is.
            let mut out = vec![7.0; count * (width + 2)];
            let direction = Direction { gates: &gates, state: &state, backward };
            direction.run(&mut out, width + 2, 1);
            let want = naive(&gates, &weight, width, backward);
            for (row, want) in out.chunks_exact(width + 2).zip(want.chunks_exact(width)) {
                prop_assert!(row[0] == 7.0 && row[width + 1] == 7.0);
                for (got, want) in row[1..].iter().zip(want) {
                    prop_assert!((f64::from(*got) - want).abs() < 1e-5, "{got} {want}");
                }
            }
        }
    }
}
