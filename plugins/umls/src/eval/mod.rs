//! Measures a linker on gold mentions.
//!
//! A mention counts when one of its gold ids is a concept of the index (after the map): the others are not covered,
//! and their share is reported. A candidate is right when it is one of the mention's gold concepts; where a mention
//! has several, a second figure asks for all of them among as many first candidates.

pub mod pubtator;
mod report;

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use serde::Serialize;

use crate::error::Error;
use crate::linker::{Candidate, Document, Linker, Mention, Options, Stage};
use crate::local::{mapped, resolve};
use pubtator::{GoldDocument, GoldMention};

pub use report::{reliability_svg, table};

/// How many candidates are asked for.
const DEPTH: usize = 50;
/// Candidates of at least this confidence are what a hospital may accept unseen.
pub const AUTO_ACCEPT: f32 = 0.9;

/// The outcome.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Evaluation {
    /// Mentions that have at least one gold id.
    pub mentions: usize,
    /// Of these, mentions with a gold concept in the index.
    pub covered: usize,
    /// `covered / mentions`.
    pub coverage: f64,
    /// Share of the covered mentions whose first candidate is right.
    pub accuracy_at_1: f64,
    /// Share of the covered mentions with a right one among the first ten.
    pub recall_at_10: f64,
    /// Share of the covered mentions with a right one among the first fifty.
    pub recall_at_50: f64,
    /// As `accuracy_at_1`, over all mentions: one that is not covered is wrong.
    pub accuracy_at_1_of_all: f64,
    /// As `accuracy_at_1`, but of a mention with several gold concepts all must be among as many first candidates.
    pub strict_accuracy_at_1: f64,
    /// Covered mentions without any candidate.
    pub nil: usize,
    /// By the stage of the first candidate.
    pub stages: Vec<StageFigures>,
    /// First candidates with a confidence of at least [`AUTO_ACCEPT`].
    pub auto_accept: Share,
    /// Mean difference of confidence and precision over ten bins, weighted by their mentions.
    pub expected_calibration_error: f64,
    /// First candidates by confidence.
    pub reliability: Vec<Bin>,
    /// Microseconds for each mention, reading aside.
    pub microseconds_per_mention: f64,
    /// Each distinct error and how often it was made.
    #[serde(skip)]
    pub errors: Vec<Mistake>,
}

/// What one stage did.
#[derive(Clone, Debug, Default, Serialize)]
pub struct StageFigures {
    /// The stage; `abbreviation+` before it where a definition in the document led there.
    pub stage: String,
    /// Mentions whose first candidate it gave.
    pub mentions: usize,
    /// Of these, right.
    pub right: usize,
    /// `right / mentions`.
    pub precision: f64,
    /// Mean confidence.
    pub confidence: f64,
}

/// A part of the mentions.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Share {
    /// Mentions in it.
    pub mentions: usize,
    /// Of these, right.
    pub right: usize,
    /// `right / mentions`.
    pub precision: f64,
    /// `mentions` of all covered ones.
    pub share: f64,
}

/// A range of confidence.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Bin {
    /// From this confidence on.
    pub from: f64,
    /// First candidates in it.
    pub mentions: usize,
    /// Their mean confidence.
    pub confidence: f64,
    /// The share that was right.
    pub precision: f64,
}

/// An error and how often it was made.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mistake {
    /// How often.
    pub count: usize,
    /// The mention.
    pub mention: String,
    /// Its gold ids.
    pub gold: String,
    /// The first candidate's id and name; empty for NIL.
    pub got: String,
    /// Its stage and confidence.
    pub how: String,
    /// The rank of the right one; 0 where it is not among the candidates.
    pub rank: usize,
}

/// Measures `linker` on `documents`; `map` leads from gold ids to the index's ids, `types` are the labels that
/// count (all where empty). Every mention is searched thoroughly, or where `top_k` is given just as for a request that
/// asks for so many candidates.
pub fn evaluate(
    linker: &Linker,
    documents: &[GoldDocument],
    map: &HashMap<String, Vec<String>>,
    types: &[String],
    top_k: Option<usize>,
) -> Evaluation {
    let options = Options {
        top_k: top_k.unwrap_or(DEPTH),
        thorough: top_k.is_none(),
        ..Options::default()
    };
    let mut tally = Tally::default();
    let mut spent = std::time::Duration::ZERO;
    for gold in documents {
        let is_wanted = |label: &str| types.iter().any(|wanted| wanted.eq_ignore_ascii_case(label));
        let kept = gold.mentions.iter();
        let kept = kept.filter(|mention| types.is_empty() || is_wanted(&mention.label));
        let mentions: Vec<Mention<'_>> = kept.clone().map(GoldMention::mention).collect();
        let document = Document {
            text: &gold.text,
            mentions: &mentions,
        };
        let start = std::time::Instant::now();
        let linked = linker.link(&document, &options);
        spent += start.elapsed();
        tally.linked += mentions.len();
        for (mention, candidates) in kept.zip(linked) {
            if mention.ids.is_empty() {
                continue;
            }
            let right = right(linker, map, &mention.ids);
            tally.add(&mention.text, &mention.ids, &right, &candidates);
        }
    }
    tally.close(spent)
}

/// The concepts of the index that gold `ids` lead to; empty where they are not covered.
pub fn right(linker: &Linker, map: &HashMap<String, Vec<String>>, ids: &[String]) -> Vec<String> {
    ids.iter()
        .flat_map(|id| mapped(map, id))
        .filter_map(|id| resolve(linker.index(), id))
        .map(|concept| linker.index().concept_id(concept).to_owned())
        .collect()
}

/// Reads a map of ids: two columns, gold id and concept id, separated by a tab.
///
/// # Errors
/// [`Error::Read`], [`Error::Line`]
pub fn read_map(path: &Path) -> Result<HashMap<String, Vec<String>>, Error> {
    let text = std::fs::read_to_string(path).map_err(|source| Error::Read {
        path: path.to_owned(),
        source,
    })?;
    let mut map: HashMap<String, Vec<String>> = HashMap::new();
    for (i, row) in text.lines().enumerate() {
        if row.trim().is_empty() || row.starts_with('#') {
            continue;
        }
        let Some((from, to)) = row.split_once('\t') else {
            return Err(Error::Line {
                path: path.to_owned(),
                line: i as u64 + 1,
                problem: "a line is: gold id, tab, concept id".to_owned(),
            });
        };
        let to = to.split('\t').next().unwrap_or_default().trim();
        map.entry(from.trim().to_owned()).or_default().push(to.to_owned());
    }
    Ok(map)
}

#[derive(Default)]
struct Tally {
    linked: usize,
    mentions: usize,
    covered: usize,
    at: [usize; 3],
    strict: usize,
    nil: usize,
    stages: BTreeMap<(bool, Stage), (usize, usize, f64)>,
    bins: [(usize, usize, f64); 10],
    accepted: (usize, usize),
    mistakes: BTreeMap<(String, String, String, String, usize), usize>,
}

impl Tally {
    fn add(&mut self, text: &str, gold: &[String], right: &[String], candidates: &[Candidate]) {
        self.mentions += 1;
        if right.is_empty() {
            return;
        }
        self.covered += 1;
        let rank = candidates
            .iter()
            .position(|candidate| right.contains(&candidate.id));
        for (at, depth) in self.at.iter_mut().zip([1, 10, DEPTH]) {
            *at += usize::from(rank.is_some_and(|rank| rank < depth));
        }
        let first = rank == Some(0);
        let firsts = &candidates[..candidates.len().min(right.len())];
        self.strict += usize::from(
            right
                .iter()
                .all(|id| firsts.iter().any(|candidate| candidate.id == *id)),
        );
        let Some(best) = candidates.first() else {
            self.nil += 1;
            let key = (
                text.to_owned(),
                gold.join("|"),
                String::new(),
                "nil".to_owned(),
                0,
            );
            *self.mistakes.entry(key).or_default() += 1;
            return;
        };
        let score = f64::from(best.score);
        let stage = self
            .stages
            .entry((best.matched == "abbreviation", best.stage))
            .or_default();
        let bin = &mut self.bins[((score * 10.0) as usize).min(9)];
        for figures in [stage, bin] {
            figures.0 += 1;
            figures.1 += usize::from(first);
            figures.2 += score;
        }
        if best.score >= AUTO_ACCEPT {
            self.accepted.0 += 1;
            self.accepted.1 += usize::from(first);
        }
        if !first {
            let key = (
                text.to_owned(),
                gold.join("|"),
                format!("{} {}", best.id, best.name),
                format!("{} {:.2}", best.reason, best.score),
                rank.map_or(0, |rank| rank + 1),
            );
            *self.mistakes.entry(key).or_default() += 1;
        }
    }

    fn close(self, spent: std::time::Duration) -> Evaluation {
        let share = |part: usize, whole: usize| {
            if whole == 0 {
                0.0
            } else {
                part as f64 / whole as f64
            }
        };
        let stages =
            self.stages.iter().map(
                |((expanded, stage), (mentions, right, confidence))| StageFigures {
                    stage: format!("{}{}", if *expanded { "abbreviation+" } else { "" }, stage.name()),
                    mentions: *mentions,
                    right: *right,
                    precision: share(*right, *mentions),
                    confidence: confidence / (*mentions).max(1) as f64,
                },
            );
        let reliability: Vec<Bin> = self
            .bins
            .iter()
            .enumerate()
            .map(|(i, (mentions, right, confidence))| Bin {
                from: i as f64 / 10.0,
                mentions: *mentions,
                confidence: confidence / (*mentions).max(1) as f64,
                precision: share(*right, *mentions),
            })
            .collect();
        let answered: usize = reliability.iter().map(|bin| bin.mentions).sum();
        let off = |bin: &Bin| (bin.confidence - bin.precision).abs() * share(bin.mentions, answered);
        let mut errors: Vec<Mistake> = self
            .mistakes
            .into_iter()
            .map(|((mention, gold, got, how, rank), count)| Mistake {
                count,
                mention,
                gold,
                got,
                how,
                rank,
            })
            .collect();
        errors.sort_by(|a, b| b.count.cmp(&a.count).then_with(|| a.cmp(b)));
        Evaluation {
            mentions: self.mentions,
            covered: self.covered,
            coverage: share(self.covered, self.mentions),
            accuracy_at_1: share(self.at[0], self.covered),
            recall_at_10: share(self.at[1], self.covered),
            recall_at_50: share(self.at[2], self.covered),
            accuracy_at_1_of_all: share(self.at[0], self.mentions),
            strict_accuracy_at_1: share(self.strict, self.covered),
            nil: self.nil,
            stages: stages.collect(),
            auto_accept: Share {
                mentions: self.accepted.0,
                right: self.accepted.1,
                precision: share(self.accepted.1, self.accepted.0),
                share: share(self.accepted.0, self.covered),
            },
            expected_calibration_error: reliability.iter().map(off).sum(),
            reliability,
            microseconds_per_mention: spent.as_secs_f64() * 1e6 / self.linked.max(1) as f64,
            errors,
        }
    }
}
