//! How alike a mention and a name are, word by word.
//!
//! Words are paired, the most alike first; a pair counts by how alike it is and by how rare and telling its words
//! are. The similarity is the weighted harmonic mean of the shares of the mention and of the name that are paired.

use crate::index::Index;
use crate::text::{Forms, words};

/// How much a part of the mention that the name leaves out counts, beside a part that the name adds; F-measure's
/// beta squared. Chosen on the development splits.
const LEFT_OUT: f32 = 0.4;

/// Words with what each of them weighs.
#[derive(Clone, Debug)]
pub(super) struct Weighed {
    pub(super) forms: Forms,
    pub(super) weights: Vec<f32>,
}

impl Weighed {
    pub(super) fn new(forms: Forms, index: &Index) -> Self {
        let weigh = |stem: &String| f32::from(index.weight(stem, index.word(stem))).sqrt();
        Self {
            weights: forms.stems.iter().map(weigh).collect(),
            forms,
        }
    }
}

/// From 0, nothing in common, to 1, the same words.
pub(super) fn similarity(mention: &Weighed, name: &Weighed) -> f32 {
    let (a, b) = (&mention.forms, &name.forms);
    let mut pairs: Vec<(f32, usize, usize)> = Vec::with_capacity(a.words.len() + b.words.len());
    for i in 0..a.words.len() {
        for j in 0..b.words.len() {
            let alike = words_alike(&a.words[i], &a.stems[i], &b.words[j], &b.stems[j]);
            if alike > 0.0 {
                pairs.push((alike, i, j));
            }
        }
    }
    pairs.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)).then(a.2.cmp(&b.2)));
    let mut of_mention = vec![0.0_f32; a.words.len()];
    let mut of_name = vec![0.0_f32; b.words.len()];
    for (alike, i, j) in pairs {
        if of_mention[i] == 0.0 && of_name[j] == 0.0 {
            of_mention[i] = alike;
            of_name[j] = alike;
        }
    }
    let share = |weights: &[f32], paired: &[f32]| {
        let paired: f32 = weights
            .iter()
            .zip(paired)
            .map(|(weight, alike)| weight * alike)
            .sum();
        paired / weights.iter().sum::<f32>().max(1e-6)
    };
    let (covered, covering) = (
        share(&mention.weights, &of_mention),
        share(&name.weights, &of_name),
    );
    // What the name adds weighs more than what it leaves out: a mention is written with modifiers that no name has.
    let mut similarity = (1.0 + LEFT_OUT) * covered * covering / (covered + LEFT_OUT * covering).max(1e-6);
    if numbers_differ(a, &of_mention, b, &of_name) {
        similarity *= 0.8;
    }
    similarity
}

/// Whether both have a number, or a lone letter that counts like one, that the other has not.
fn numbers_differ(a: &Forms, of_a: &[f32], b: &Forms, of_b: &[f32]) -> bool {
    let unpaired = |forms: &Forms, paired: &[f32]| {
        let numbers = forms.words.iter().zip(paired);
        numbers
            .into_iter()
            .any(|(word, alike)| *alike == 0.0 && word.starts_with(|c: char| c.is_ascii_digit()))
    };
    unpaired(a, of_a) && unpaired(b, of_b)
}

fn words_alike(a: &str, a_stem: &str, b: &str, b_stem: &str) -> f32 {
    if a == b {
        return 1.0;
    }
    if a_stem == b_stem {
        return 0.97;
    }
    if let Some((_, alike)) = words::synonyms(a_stem).iter().find(|(other, _)| other == b_stem) {
        return *alike;
    }
    if a.len() < 5 || b.len() < 5 || !a.is_ascii() || !b.is_ascii() {
        return 0.0;
    }
    let distance = edits(a.as_bytes(), b.as_bytes());
    let longest = a.len().max(b.len());
    let alike = 1.0 - distance as f32 / longest as f32;
    let common = a.bytes().zip(b.bytes()).take_while(|(a, b)| a == b).count();
    if opposite(a, b) {
        return 0.0;
    }
    if (distance == 1 && longest >= 6) || (distance == 2 && longest >= 9) {
        return 0.9 * alike + 0.05;
    }
    if common >= 5 && common * 3 >= longest * 2 {
        return 0.75 * alike + 0.1;
    }
    if a.ends_with(b) || b.ends_with(a) {
        return 0.6 * a.len().min(b.len()) as f32 / longest as f32;
    }
    if alike >= 0.7 { 0.6 * alike } else { 0.0 }
}

/// Prefixes that turn a word into its opposite or into another thing.
fn opposite(a: &str, b: &str) -> bool {
    const PAIRS: &[(&str, &str)] = &[
        ("hyper", "hypo"),
        ("macro", "micro"),
        ("pre", "post"),
        ("intra", "inter"),
        ("supra", "infra"),
        ("endo", "exo"),
        ("tachy", "brady"),
        ("poly", "oligo"),
        ("para", "peri"),
        ("ante", "post"),
        ("ab", "ad"),
        ("poly", "mono"),
        ("bi", "uni"),
        ("hemi", "para"),
        ("intra", "extra"),
        ("hyper", "nor"),
        ("in", "de"),
    ];
    let prefixed = PAIRS.iter().any(|(x, y)| {
        let rest = |word: &'_ str, prefix: &str| word.strip_prefix(prefix).map(str::to_owned);
        let same = |p: Option<String>, q: Option<String>| p.is_some() && p == q;
        same(rest(a, x), rest(b, y)) || same(rest(a, y), rest(b, x))
    });
    let negated = |long: &str, short: &str| {
        [
            "non", "un", "in", "im", "a", "an", "dys", "anti", "de", "ir", "dis",
        ]
        .iter()
        .any(|prefix| long.strip_prefix(prefix) == Some(short))
    };
    prefixed || negated(a, b) || negated(b, a)
}

/// Edit distance with transpositions of neighbours.
fn edits(a: &[u8], b: &[u8]) -> usize {
    if a.len().abs_diff(b.len()) > 8 {
        return a.len().max(b.len());
    }
    let width = b.len() + 1;
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..width).collect();
    for i in 1..=a.len() {
        let mut row = Vec::with_capacity(width);
        row.push(i);
        for j in 1..width {
            let change = above[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut least = change.min(above[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                least = least.min(before[j - 2] + 1);
            }
            row.push(least);
        }
        before = std::mem::replace(&mut above, row);
    }
    above[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alike(a: &str, b: &str) -> f32 {
        let weigh = |text: &str| {
            let forms = Forms::of(text);
            Weighed {
                weights: forms
                    .stems
                    .iter()
                    .map(|stem| 100.0 * words::information(stem))
                    .collect(),
                forms,
            }
        };
        similarity(&weigh(a), &weigh(b))
    }

    #[test]
    fn likeness_goes_by_what_tells_names_apart() {
        assert!(alike("breast cancer", "Cancer, Breast") > 0.999);
        assert!(
            alike("sporadic breast cancer", "breast cancer") > alike("breast cancer", "male breast cancer")
        );
        assert!(alike("renal tumour", "kidney neoplasm") > 0.85);
        assert!(alike("hypothyroidism", "hyperthyroidism") < 0.1);
        assert!(alike("diabetes type 1", "diabetes type 2") < 0.8);
        assert!(alike("thrombocytopenia", "trombocytopenia") > 0.85);
        assert!(alike("migraine", "fracture") < 0.01);
    }

    #[test]
    fn edits_count_transpositions_once() {
        assert_eq!(edits(b"kitten", b"sitting"), 3);
        assert_eq!(edits(b"abcd", b"abdc"), 1);
        assert_eq!(edits(b"", b"abc"), 3);
    }
}
