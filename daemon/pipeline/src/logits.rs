//! Rows of class scores: checked, stitched from windows to a document, turned into probabilities. No meaning
//! of classes here.

use std::borrow::Borrow;

use thiserror::Error;

use crate::windows::Window;

/// Why rows of scores do not fit what they belong to. Never holds any part of a note.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum LogitsError {
    /// Not a whole number of rows, or rows of no class.
    #[error("{values} values do not make rows of {classes} classes")]
    Ragged {
        /// Number of values.
        values: usize,
        /// Values to a row.
        classes: usize,
    },
    /// More special tokens than rows.
    #[error("{rows} rows, of which {specials} should belong to special tokens")]
    TooShort {
        /// Rows there are.
        rows: usize,
        /// Rows to be taken off.
        specials: usize,
    },
    /// As many parts as windows were expected.
    #[error("{parts} parts for {windows} windows")]
    Parts {
        /// Parts that came (counting stops at the first one too many).
        parts: usize,
        /// Windows there are.
        windows: usize,
    },
    /// A part does not have its window's shape.
    #[error(
        "window {window}: {rows} rows of {classes} classes instead of {expected_rows} of {expected_classes}"
    )]
    Shape {
        /// Index of the window.
        window: usize,
        /// Rows that came.
        rows: usize,
        /// Classes that came.
        classes: usize,
        /// Tokens of the window.
        expected_rows: usize,
        /// Classes asked for.
        expected_classes: usize,
    },
    /// The windows' owned ranges do not follow on one another from 0, or leave their window.
    #[error("window {window} owns tokens that are not its to own")]
    Windows {
        /// Index of the window.
        window: usize,
    },
    /// A score that is NaN or infinite: the model or the engine is at fault.
    #[error("row {row} holds a value that is not a finite number")]
    NotFinite {
        /// Index of the row.
        row: usize,
    },
}

/// Raw scores of a classifier, one row per token.
#[derive(Clone, Debug, PartialEq)]
pub struct Logits {
    classes: usize,
    values: Vec<f32>,
}

impl Logits {
    /// `values` row by row, `classes` to a row.
    ///
    /// # Errors
    /// [`LogitsError::Ragged`] when that does not come out even.
    pub fn new(classes: usize, values: Vec<f32>) -> Result<Self, LogitsError> {
        if classes == 0 || !values.len().is_multiple_of(classes) {
            return Err(LogitsError::Ragged {
                values: values.len(),
                classes,
            });
        }
        Ok(Self { classes, values })
    }

    /// Number of classes: values to a row.
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.values.len() / self.classes
    }

    /// All values, row by row.
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    /// Takes off the rows of the special tokens: the first `prefix` and the last `suffix`.
    ///
    /// # Errors
    /// [`LogitsError::TooShort`] when there are fewer rows than that.
    pub fn without_specials(mut self, prefix: usize, suffix: usize) -> Result<Self, LogitsError> {
        let rows = self.rows();
        let specials = prefix.saturating_add(suffix);
        if specials > rows {
            return Err(LogitsError::TooShort { rows, specials });
        }
        self.values.truncate((rows - suffix) * self.classes);
        self.values.drain(..prefix * self.classes);
        Ok(self)
    }

    /// Softmax of each row, computed from the row's maximum down so that no exponential overflows.
    ///
    /// # Errors
    /// [`LogitsError::NotFinite`] names the first row with a NaN or an infinity.
    pub fn softmax(mut self) -> Result<Probabilities, LogitsError> {
        for (row, values) in self.values.chunks_exact_mut(self.classes).enumerate() {
            if !values.iter().all(|value| value.is_finite()) {
                return Err(LogitsError::NotFinite { row });
            }
            let maximum = values.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            values
                .iter_mut()
                .for_each(|value| *value = (*value - maximum).exp());
            let sum: f32 = values.iter().sum();
            values.iter_mut().for_each(|value| *value /= sum);
        }
        Ok(Probabilities {
            classes: self.classes,
            values: self.values,
        })
    }
}

/// Class probabilities, one row per token; every row is finite and sums to 1.
#[derive(Clone, Debug, PartialEq)]
pub struct Probabilities {
    classes: usize,
    values: Vec<f32>,
}

impl Probabilities {
    /// Number of classes.
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.values.len() / self.classes
    }

    /// The rows, in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &[f32]> {
        self.values.chunks_exact(self.classes)
    }
}

/// Puts the document's rows together from its windows: each token's row comes from the window that owns it.
///
/// `parts` are the windows' logits without special tokens, in the windows' order, `classes` to a row. They
/// are taken one by one, so that an iterator can free each part as it goes. No windows make no rows.
///
/// # Errors
/// [`LogitsError`] when a part does not fit its window or the windows do not partition the document.
pub fn stitch<P: Borrow<Logits>>(
    classes: usize,
    windows: &[Window],
    parts: impl IntoIterator<Item = P>,
) -> Result<Logits, LogitsError> {
    let mut parts = parts.into_iter();
    let rows = windows.last().map_or(0, |window| window.owned.end);
    // Grown within the loop when the windows claim more rows than the parts can hold.
    let mut values = Vec::with_capacity(rows.min(1 << 20).saturating_mul(classes));
    let mut next = 0;
    for (index, window) in windows.iter().enumerate() {
        let part = parts.next().ok_or(LogitsError::Parts {
            parts: index,
            windows: windows.len(),
        })?;
        let part: &Logits = part.borrow();
        check_shape(index, window, part, classes)?;
        let owned = (window.owned.start == next && window.owned.start <= window.owned.end)
            .then(|| {
                let first = window.owned.start.checked_sub(window.tokens.start)?;
                let end = window.owned.end.checked_sub(window.tokens.start)?;
                part.values.get(first * classes..end * classes)
            })
            .flatten();
        values.extend_from_slice(owned.ok_or(LogitsError::Windows { window: index })?);
        next = window.owned.end;
    }
    if parts.next().is_some() {
        return Err(LogitsError::Parts {
            parts: windows.len() + 1,
            windows: windows.len(),
        });
    }
    Logits::new(classes, values)
}

fn check_shape(index: usize, window: &Window, part: &Logits, classes: usize) -> Result<(), LogitsError> {
    if part.rows() == window.tokens.len() && part.classes == classes {
        return Ok(());
    }
    Err(LogitsError::Shape {
        window: index,
        rows: part.rows(),
        classes: part.classes,
        expected_rows: window.tokens.len(),
        expected_classes: classes,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(tokens: std::ops::Range<usize>, owned: std::ops::Range<usize>) -> Window {
        Window { tokens, owned }
    }

    #[test]
    fn rows_come_from_their_owner() {
        let windows = [window(0..4, 0..3), window(2..6, 3..6)];
        let parts = [
            Logits::new(1, vec![0., 1., 2., 3.]).unwrap(),
            Logits::new(1, vec![12., 13., 14., 15.]).unwrap(),
        ];
        assert_eq!(
            stitch(1, &windows, &parts).unwrap().values(),
            [0., 1., 2., 13., 14., 15.]
        );
        assert_eq!(stitch(1, &windows, parts.to_vec()).unwrap().rows(), 6);
        assert_eq!(stitch::<Logits>(3, &[], []).unwrap().rows(), 0);
    }

    #[test]
    fn misfits_are_told_apart() {
        let part = |rows: usize| Logits::new(1, vec![0.; rows]).unwrap();
        let two = [window(0..4, 0..3), window(2..6, 3..6)];
        assert_eq!(
            stitch(1, &two, [part(4)]),
            Err(LogitsError::Parts { parts: 1, windows: 2 })
        );
        assert_eq!(
            stitch(1, &two, [part(4), part(4), part(4)]),
            Err(LogitsError::Parts { parts: 3, windows: 2 })
        );
        assert!(matches!(
            stitch(1, &two, [part(4), part(5)]),
            Err(LogitsError::Shape {
                window: 1,
                rows: 5,
                ..
            })
        ));
        assert!(matches!(
            stitch(2, &two, [part(4), part(4)]),
            Err(LogitsError::Shape { window: 0, .. })
        ));
        for bad in [window(0..4, 1..4), window(2..4, 0..4), window(0..2, 0..4)] {
            let rows = bad.tokens.len();
            assert_eq!(
                stitch(1, &[bad], [part(rows)]),
                Err(LogitsError::Windows { window: 0 })
            );
        }
        assert_eq!(
            stitch::<Logits>(0, &[], []),
            Err(LogitsError::Ragged {
                values: 0,
                classes: 0
            })
        );
        assert_eq!(
            Logits::new(2, vec![0.; 3]),
            Err(LogitsError::Ragged {
                values: 3,
                classes: 2
            })
        );
    }

    #[test]
    fn specials_are_taken_off() {
        let logits = Logits::new(2, (0..8).map(|v| v as f32).collect()).unwrap();
        assert_eq!(
            logits.clone().without_specials(1, 1).unwrap().values(),
            [2., 3., 4., 5.]
        );
        assert_eq!(logits.clone().without_specials(2, 2).unwrap().rows(), 0);
        assert_eq!(
            logits.without_specials(3, 2),
            Err(LogitsError::TooShort { rows: 4, specials: 5 })
        );
    }

    #[test]
    fn softmax_is_stable_and_refuses_what_is_no_number() {
        let logits = Logits::new(2, vec![1000., 1000., -1000., 1000., f32::MAX, f32::MIN]).unwrap();
        let probabilities = logits.softmax().unwrap();
        let rows: Vec<&[f32]> = probabilities.iter().collect();
        assert_eq!(rows, [&[0.5, 0.5], &[0., 1.], &[1., 0.]]);
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let logits = Logits::new(2, vec![0., 0., 0., bad]).unwrap();
            assert_eq!(logits.softmax(), Err(LogitsError::NotFinite { row: 1 }));
        }
    }
}
