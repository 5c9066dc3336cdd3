//! How many letters two words differ in.

/// Longer words are not compared letter by letter.
pub(crate) const MAX_WORD: usize = 63;

/// Edit distance with transpositions of neighbours; of words of at most [`MAX_WORD`] bytes.
pub(crate) fn edits(a: &[u8], b: &[u8]) -> usize {
    let (a, b) = (&a[..a.len().min(MAX_WORD)], &b[..b.len().min(MAX_WORD)]);
    let mut rows = [[0_u8; MAX_WORD + 1]; 3];
    for (j, cell) in rows[0].iter_mut().enumerate() {
        *cell = j as u8;
    }
    for i in 1..=a.len() {
        let [before, above, row] = {
            let [x, y, z] = &mut rows;
            match i % 3 {
                0 => [y, z, x],
                1 => [z, x, y],
                _ => [x, y, z],
            }
        };
        row[0] = i as u8;
        for j in 1..=b.len() {
            let change = above[j - 1] + u8::from(a[i - 1] != b[j - 1]);
            let mut least = change.min(above[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                least = least.min(before[j - 2] + 1);
            }
            row[j] = least;
        }
    }
    usize::from(rows[a.len() % 3][b.len()])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edits_count_transpositions_once() {
        assert_eq!(edits(b"kitten", b"sitting"), 3);
        assert_eq!(edits(b"abcd", b"abdc"), 1);
        assert_eq!(edits(b"", b"abc"), 3);
    }
}
