//! Convolution along the sequence as a matrix product: the rows under the kernel, which lie one after the other, are one
//! row of the product's left side, and overlap with the next one's.

use mednerd_model::Activation;

use super::attention::Scratch;
use super::gemm::{Finish, Packed, Rows, multiply};

/// The weights of a convolution that keeps the width and, with an odd kernel and zeros around the ends, the length.
#[derive(Debug)]
pub(crate) struct Filters {
    /// Per group of channels, from the channels under the kernel, token by token, to the channels that come out.
    groups: Vec<Packed>,
    kernel: usize,
    width: usize,
}

impl Filters {
    /// Packs a weight of shape `[width, width / groups, kernel]`.
    pub(crate) fn new(weight: &[f32], width: usize, groups: usize, kernel: usize) -> Self {
        let channels = width / groups;
        let depth = channels * kernel;
        let mut turned = vec![0.0; depth];
        let groups = weight.chunks_exact((channels * depth).max(1)).map(|group| {
            let mut packed = Packed::zeros(depth, channels);
            for (output, row) in group.chunks_exact(depth).enumerate() {
                for (channel, taps) in row.chunks_exact(kernel).enumerate() {
                    for (tap, value) in taps.iter().enumerate() {
                        turned[tap * channels + channel] = *value;
                    }
                }
                packed.fill_transposed(output, &turned, depth);
            }
            packed
        });
        Self {
            groups: groups.collect(),
            kernel,
            width,
        }
    }

    pub(crate) fn width(&self) -> usize {
        self.width
    }

    /// Bytes of the packed values.
    pub(crate) fn bytes(&self) -> usize {
        self.groups.iter().map(Packed::bytes).sum()
    }
}

/// `out = activation(convolve(x) + bias)`; `x` and `out` have rows of the filters' width.
///
/// # Panics
/// Where the slices are shorter than the shapes claim; the operator checks the shapes.
pub(crate) fn convolve(
    x: &[f32],
    filters: &Filters,
    bias: &[f32],
    activation: Activation,
    out: &mut [f32],
    scratch: &mut Scratch,
) {
    let padded = &mut scratch.padded;
    let Filters { width, kernel, .. } = *filters;
    let count = x.len() / width;
    let channels = width / filters.groups.len();
    let before = (kernel - 1) / 2 * channels;
    for (group, matrix) in filters.groups.iter().enumerate() {
        let first = group * channels;
        padded.clear();
        padded.resize((count + kernel - 1) * channels, 0.0);
        for (to, from) in padded[before..]
            .chunks_exact_mut(channels)
            .zip(x.chunks_exact(width))
        {
            to.copy_from_slice(&from[first..][..channels]);
        }
        let windows = Rows {
            values: padded,
            stride: channels,
            count,
        };
        let finish = Finish {
            bias: Some(&bias[first..]),
            activation: Some(activation),
            onto: false,
        };
        multiply(windows, matrix, &mut out[first..], width, finish);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::random;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn equals_the_definition(
            length in 1_usize..20,
            groups in 1_usize..4,
            channels in 1_usize..12,
            half in 0_usize..3,
            seed in any::<u64>(),
        ) {
            let (width, kernel) = (groups * channels, 2 * half + 1);
            let weight = random(width * channels * kernel, 1.0, seed);
            let bias = random(width, 1.0, seed ^ 1);
            let x = random(length * width, 1.0, seed ^ 2);
            let filters = Filters::new(&weight, width, groups, kernel);
            let mut got = vec![f32::NAN; length * width];
            convolve(&x, &filters, &bias, Activation::Relu, &mut got, &mut Scratch::default());
            for t in 0..length {
                for o in 0..width {
                    let mut want = f64::from(bias[o]);
                    for c in 0..channels {
                        for k in 0..kernel {
                            let at = (t + k).checked_sub(half).filter(|at| *at < length);
                            let x = at.map_or(0.0, |at| x[at * width + o / channels * channels + c]);
                            want += f64::from(x) * f64::from(weight[(o * channels + c) * kernel + k]);
                        }
                    }
                    let got = f64::from(got[t * width + o]);
                    prop_assert!((got - want.max(0.0)).abs() < 1e-5, "{got} {want}");
                }
            }
        }
    }
}
