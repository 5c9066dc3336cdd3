//! What entities of one answer are to one another, where lists of names are beside models: apart, or one within the other, and never across. Nor does one
//! cut a word, or two of the lists' labels stand on the same words of which the lists say one.
//!
//! Names that join those of a label, as parts of the body do diseases, lie within them, and they do not lie within those: "left knee" beside "knee pain"
//! is "knee", and no sweating is in a "sweat gland".

use std::collections::HashMap;

use crate::decode::Span;
use crate::merge::{Mention, cuts_letters, merge};
use crate::patience::Patience;
use crate::terms::Terms;

/// Which labels lie within which, by the lists.
#[derive(Debug, Default)]
pub struct Nesting<'a> {
    /// The labels that names of the lists have.
    given: Vec<&'a str>,
    /// Labels, each with one that it joins.
    joining: Vec<(&'a str, &'a str)>,
}

/// What is to become of two mentions that cross.
enum Crossing {
    /// The one before is cut to where the one behind begins.
    CutBefore,
    /// The one behind is cut to where the one before ends.
    CutBehind,
    DropBefore,
    DropBehind,
}

impl<'a> Nesting<'a> {
    /// By these lists.
    pub fn of(lists: impl IntoIterator<Item = &'a Terms>) -> Self {
        let mut all = Self::default();
        for list in lists {
            all.given.extend(list.labels());
            all.joining.extend(list.joining());
        }
        all
    }

    /// Leaves out what lists call something else than a model that has found it: they have its label, and these words under others alone. What is `asked`
    /// for by a client stays.
    pub fn retain_undisputed(
        &self,
        found: &mut Vec<Mention>,
        names: &[(f32, Mention)],
        asked: impl Fn(usize) -> bool,
    ) {
        let mut labels: HashMap<(usize, usize), Vec<&str>> = HashMap::new();
        for (_, Mention { span, .. }) in names {
            labels
                .entry((span.begin, span.end))
                .or_default()
                .push(&span.label);
        }
        found.retain(|mention| {
            let span = &mention.span;
            let names = labels.get(&(span.begin, span.end));
            asked(mention.task)
                || !self.gives(span)
                || names.is_none_or(|labels| labels.iter().any(|label| is(label, &span.label)))
        });
    }

    /// The mentions without those that do not go together, in the order of [`merge`]. What is `asked` for by a client is left as it is. Linear in the
    /// mentions, as long as few lie upon one another; `None` where it is no longer `wanted`, which is asked now and then.
    pub fn settle(
        &self,
        text: &str,
        mentions: Vec<Mention>,
        asked: impl Fn(usize) -> bool,
        wanted: &dyn Fn() -> bool,
    ) -> Option<Vec<Mention>> {
        let mut patience = Patience::new(wanted);
        let (mut settled, own): (Vec<Mention>, Vec<Mention>) =
            mentions.into_iter().partition(|mention| asked(mention.task));
        let own = own
            .into_iter()
            .filter(|mention| !cuts_letters(text, &mention.span));
        let own = merge(own.collect());
        let mut open: Vec<Mention> = Vec::new();
        for mention in own {
            while let Some(over) = open.pop_if(|last| last.span.end <= mention.span.begin) {
                settled.push(over);
            }
            if !patience.lasts(1 + open.len()) {
                return None;
            }
            self.enter(mention, &mut open);
        }
        settled.append(&mut open);
        Some(merge(settled))
    }

    /// Puts a mention upon those that have begun before it and are not over, of which each lies within the one below. Those that it crosses are the
    /// topmost ones.
    fn enter(&self, mut mention: Mention, open: &mut Vec<Mention>) {
        let mut cut = Vec::new();
        let mut stands = true;
        while let Some(mut before) = open.pop_if(|last| last.span.end < mention.span.end) {
            if before.span.begin == mention.span.begin {
                // It was cut to there, and lies within.
                cut.push(before);
                continue;
            }
            match self.cross(&before.span, &mention.span) {
                Crossing::CutBefore => {
                    before.span.begin = mention.span.begin;
                    cut.push(before);
                }
                Crossing::CutBehind => {
                    mention.span.end = before.span.end;
                    open.push(before);
                }
                Crossing::DropBefore => {}
                Crossing::DropBehind => {
                    stands = false;
                    open.push(before);
                    break;
                }
            }
        }
        if stands && open.iter().all(|outer| self.may_hold(&outer.span, &mention.span)) {
            open.push(mention);
        }
        open.extend(cut.into_iter().rev());
    }

    /// What is to become of a mention and one that begins in it and ends behind it: what may lie within the other is cut to what does, and else the
    /// longer one stands, or the surer one of equals.
    fn cross(&self, before: &Span, behind: &Span) -> Crossing {
        if self.joins(before, behind) {
            return Crossing::CutBefore;
        }
        if self.joins(behind, before) {
            return Crossing::CutBehind;
        }
        let length = |span: &Span| span.end.saturating_sub(span.begin);
        let by_length = length(before).cmp(&length(behind));
        match by_length.then(before.score.total_cmp(&behind.score)) {
            std::cmp::Ordering::Less => Crossing::DropBefore,
            _ => Crossing::DropBehind,
        }
    }

    /// Whether a mention may have another one within it.
    fn may_hold(&self, outer: &Span, inner: &Span) -> bool {
        let same = (outer.begin, outer.end) == (inner.begin, inner.end) || is(&outer.label, &inner.label);
        same || self.joins(inner, outer) || !self.joins(outer, inner)
    }

    /// Whether names of one mention's label join those of another's.
    fn joins(&self, inner: &Span, outer: &Span) -> bool {
        let mut joining = self.joining.iter();
        joining.any(|(label, joins)| is(label, &inner.label) && is(joins, &outer.label))
    }

    /// Whether the lists have names of a mention's label.
    fn gives(&self, span: &Span) -> bool {
        self.given.iter().any(|label| is(label, &span.label))
    }
}

fn is(label: &str, other: &str) -> bool {
    label.eq_ignore_ascii_case(other)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::terms::Term;
    use crate::testing::mention;

    /// Parts of the body, which join diseases, and substances, which join nothing.
    fn terms() -> Terms {
        let mut terms = Terms::default();
        for (name, label, joins) in [
            ("knee", "Anatomy", "Disease"),
            ("pain", "Disease", ""),
            ("alcohol", "Chemical", ""),
            ("left", "", "Anatomy"),
        ] {
            let term = Term {
                name,
                label,
                joins,
                ..Term::default()
            };
            terms.add(term).unwrap();
        }
        terms
    }

    /// The words of a text that are left of some, each with its task and label.
    fn settled<'a>(text: &'a str, words: &[(&str, usize, &str)]) -> Vec<(&'a str, String)> {
        let all = words.iter().map(|(words, task, label)| {
            let begin = text.find(words).unwrap();
            mention(*task, begin, begin + words.len(), label, 0.9)
        });
        let settled = Nesting::of([&terms()]).settle(text, all.collect(), |task| task == 2, &|| true);
        let settled = settled.unwrap();
        settled
            .into_iter()
            .map(|mention| {
                (
                    &text[mention.span.begin..mention.span.end],
                    mention.span.label.to_string(),
                )
            })
            .collect()
    }

    #[test]
    fn what_joins_a_disease_is_cut_to_what_lies_in_it() {
        for (text, words, expected) in [
            (
                "left knee pain",
                [("left knee", 1, "Anatomy"), ("knee pain", 1, "Disease")],
                &[("knee pain", "Disease"), ("knee", "Anatomy")][..],
            ),
            (
                "AVC sylvien G",
                [("AVC sylvien", 0, "DISEASE"), ("sylvien G", 1, "Anatomy")],
                &[("AVC sylvien", "DISEASE"), ("sylvien", "Anatomy")],
            ),
            // Of what does not, the longer one stands.
            (
                "vitamin D deficiency",
                [("vitamin D", 1, "Chemical"), ("D deficiency", 1, "Disease")],
                &[("D deficiency", "Disease")],
            ),
            (
                "alcohol abuse",
                [("alcohol abuse", 1, "Disease"), ("alcohol", 0, "Chemical")],
                &[("alcohol abuse", "Disease"), ("alcohol", "Chemical")],
            ),
            (
                "bile acids",
                [("bile acids", 1, "Chemical"), ("bile", 1, "Anatomy")],
                &[("bile acids", "Chemical"), ("bile", "Anatomy")],
            ),
            (
                "sweat gland",
                [("sweat gland", 1, "Anatomy"), ("sweat", 1, "Disease")],
                &[("sweat gland", "Anatomy")],
            ),
            // A part of a word, and a number behind one.
            (
                "painter, pH7",
                [("pain", 0, "Disease"), ("pH", 0, "Chemical")],
                &[("pH", "Chemical")],
            ),
            // What a client has asked for.
            (
                "left knee pain",
                [("left knee", 2, "Anatomy"), ("knee pain", 1, "Disease")],
                &[("left knee", "Anatomy"), ("knee pain", "Disease")],
            ),
        ] {
            let expected: Vec<_> = expected
                .iter()
                .map(|(words, label)| (*words, (*label).to_owned()))
                .collect();
            assert_eq!(settled(text, &words), expected, "{text}");
        }
    }

    #[test]
    fn lists_say_what_words_are_but_for_labels_that_they_do_not_have() {
        for (found, names, stays) in [
            (mention(0, 0, 9, "Chemical", 0.9), &["Disease"][..], false),
            (mention(0, 0, 9, "CHEMICAL", 0.9), &["Disease", "Chemical"], true),
            (mention(0, 0, 9, "Gene", 0.9), &["Disease"], true),
            (mention(0, 0, 8, "Chemical", 0.9), &["Disease"], true),
            // What a client has asked for.
            (mention(2, 0, 9, "Chemical", 0.9), &["Disease"], true),
        ] {
            let names: Vec<_> = names
                .iter()
                .map(|label| (0.9, mention(1, 0, 9, label, 0.9)))
                .collect();
            let mut left = vec![found.clone()];
            Nesting::of([&terms()]).retain_undisputed(&mut left, &names, |task| task == 2);
            assert_eq!(left.len(), usize::from(stays), "{found:?}");
        }
    }

    #[test]
    fn what_nobody_waits_for_is_given_up() {
        let text = "ab ".repeat(1_000);
        let all: Vec<Mention> = (1..=1_000)
            .map(|words| mention(0, 0, 3 * words, "Disease", 0.9))
            .collect();
        let settled =
            |wanted: &dyn Fn() -> bool| Nesting::of([&terms()]).settle(&text, all.clone(), |_| false, wanted);
        assert_eq!(settled(&|| true).map(|settled| settled.len()), Some(1_000));
        assert_eq!(settled(&|| false), None);
    }

    proptest! {
        #[test]
        fn no_two_entities_cross(
            raw in proptest::collection::vec((0..40_usize, 1..15_usize, 0..4_usize, 0..2_usize, 0..10_u8), 0..20),
        ) {
            let labels = ["Disease", "Anatomy", "Chemical", "Gene"];
            let text = "a ".repeat(60);
            let all: Vec<Mention> = raw
                .into_iter()
                .map(|(begin, length, label, task, score)| {
                    mention(task, begin, begin + length, labels[label], f32::from(score) / 10.0)
                })
                .collect();
            let settled = Nesting::of([&terms()]).settle(&text, all.clone(), |_| false, &|| true).unwrap();
            for (at, one) in settled.iter().enumerate() {
                let (begin, end) = (one.span.begin, one.span.end);
                prop_assert!(begin < end);
                // What is left is all or a part of what was there.
                prop_assert!(all.iter().any(|own| own.span.label == one.span.label
                    && own.span.begin <= begin
                    && end <= own.span.end));
                for other in &settled[at + 1..] {
                    let (from, to) = (other.span.begin, other.span.end);
                    let crosses = begin < from && from < end && end < to;
                    prop_assert!(!crosses, "{one:?} {other:?}");
                }
            }
        }
    }
}
