//! The fastest of a library's algorithms for large products, found by trying them when a model is loaded. Only those count that
//! give what the library's own choice gives, bit for bit: which one is found depends on the hour, and no answer does.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::device::DeviceError;

/// Rows, inputs, outputs.
pub type Shape = (usize, usize, usize);

/// An algorithm must take less than this part of the time that the library's own choice takes; the rest is noise.
const FASTER: f32 = 0.97;

/// Rows for each multiprocessor of the least product that is tried, about.
const ROWS: usize = 16;

/// Weights for each multiprocessor, at least, of a matrix for which that is worth while.
const WEIGHTS: usize = 4096;

/// What was found for each product, of algorithms `A`.
pub struct Fastest<A> {
    /// For how many rows algorithms are tried. What was found for one of these serves fewer too, down to the half of the number before it, and
    /// what was found for the last serves more.
    rows: [usize; 3],
    /// Inputs times outputs, at least.
    weights: usize,
    /// `None` where the library's own choice stays.
    found: Mutex<HashMap<Shape, Option<A>>>,
}

impl<A: Copy> Fastest<A> {
    /// For a chip with so many multiprocessors.
    pub fn new(multiprocessors: usize) -> Self {
        Self {
            rows: rows(multiprocessors),
            weights: WEIGHTS * multiprocessors,
            found: Mutex::default(),
        }
    }

    fn found(&self) -> MutexGuard<'_, HashMap<Shape, Option<A>>> {
        self.found.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What has still to be tried for a matrix.
    pub fn untried(&self, inputs: usize, outputs: usize) -> Vec<Shape> {
        if inputs * outputs < self.weights {
            return Vec::new();
        }
        let found = self.found();
        let shapes = self.rows.iter().map(|rows| (*rows, inputs, outputs));
        shapes.filter(|shape| !found.contains_key(shape)).collect()
    }

    /// Keeps the fastest of these for a shape, where it is faster than the library's own choice, which takes `usual` milliseconds. `time` says how many
    /// one takes, and `None` of one that is not to be used.
    ///
    /// # Errors
    /// The first of `time`; nothing is kept then.
    pub fn choose(
        &self,
        shape: Shape,
        usual: f32,
        algorithms: &[A],
        mut time: impl FnMut(&A) -> Result<Option<f32>, DeviceError>,
    ) -> Result<(), DeviceError> {
        let (mut least, mut fastest) = (usual * FASTER, None);
        for algorithm in algorithms {
            if let Some(taken) = time(algorithm)?
                && taken < least
            {
                (least, fastest) = (taken, Some(*algorithm));
            }
        }
        self.found().insert(shape, fastest);
        Ok(())
    }

    /// The algorithm for a product of this shape, and the shape that it was found for.
    pub fn of(&self, (rows, inputs, outputs): Shape) -> Option<(Shape, A)> {
        let tried = serving(self.rows, rows)?;
        let shape = (tried, inputs, outputs);
        let algorithm = self.found().get(&shape).copied().flatten()?;
        Some((shape, algorithm))
    }

    /// From now on the library's own choice serves, as this one was refused.
    pub fn forget(&self, shape: Shape) {
        self.found().insert(shape, None);
    }
}

/// For how many rows algorithms are tried: powers of two, so that chips of a kind try the same.
fn rows(multiprocessors: usize) -> [usize; 3] {
    let least = 1 << (ROWS * multiprocessors.max(1)).ilog2();
    [1, 2, 4].map(|times| times * least)
}

/// Which of them serves so many rows.
fn serving(tried: [usize; 3], rows: usize) -> Option<usize> {
    if 2 * rows <= tried[0] {
        return None;
    }
    tried.into_iter().find(|tried| rows <= *tried).or(Some(tried[2]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_those_that_fill_a_chip() {
        assert_eq!(rows(132), [2048, 4096, 8192]);
        assert_eq!(rows(128), [2048, 4096, 8192]);
        assert_eq!(rows(58), [512, 1024, 2048]);
        assert_eq!(rows(2), [32, 64, 128]);
        let serving = |rows| serving([32, 64, 128], rows);
        assert_eq!([0, 16].map(serving), [None; 2]);
        assert_eq!([17, 32].map(serving), [Some(32); 2]);
        assert_eq!([33, 64].map(serving), [Some(64); 2]);
        assert_eq!([65, 128, 129, 100_000].map(serving), [Some(128); 4]);
    }

    #[test]
    fn the_fastest_is_kept_that_may_be_used() {
        let fastest: Fastest<char> = Fastest::new(2);
        // Too small to be worth while on this chip.
        assert_eq!(fastest.untried(64, 64), []);
        let shapes = fastest.untried(128, 128);
        assert_eq!(shapes, [(32, 128, 128), (64, 128, 128), (128, 128, 128)]);
        let time = |algorithm: &char| {
            Ok(match algorithm {
                // Other bits, or refused.
                'x' => None,
                'a' => Some(0.99),
                'b' => Some(0.5),
                _ => Some(0.7),
            })
        };
        fastest
            .choose(shapes[0], 1.0, &['a', 'b', 'x', 'c'], time)
            .unwrap();
        // What is hardly faster is not.
        fastest.choose(shapes[1], 1.0, &['a', 'x'], time).unwrap();
        let broken = |_: &char| Err(DeviceError::Failed("gone".to_owned()));
        fastest.choose(shapes[2], 1.0, &['a'], broken).unwrap_err();
        assert_eq!(fastest.untried(128, 128), [shapes[2]]);
        assert_eq!(fastest.of((20, 128, 128)), Some((shapes[0], 'b')));
        assert_eq!(fastest.of((64, 128, 128)), None);
        assert_eq!(fastest.of((1000, 128, 128)), None);
        fastest.forget(shapes[0]);
        assert_eq!(fastest.of((20, 128, 128)), None);
        assert_eq!(fastest.untried(128, 128), [shapes[2]]);
    }
}
