//! From a match to a confidence: about the share of such matches that were right on the train and dev splits of the
//! NCBI disease corpus and BC5CDR with a dictionary like MEDIC; the README has the table, and `mednerd-umls eval` prints
//! it for other gold. Only a preferred name, or a name that the hospital gave, is sure enough to be accepted unseen:
//! one in ten exact matches of other names was of another concept than the annotators meant.

use super::Stage;

/// What is known of a match when its confidence is told.
#[derive(Clone, Copy, Debug)]
pub(super) struct Evidence {
    pub(super) stage: Stage,
    /// Of the hospital's own names how alike the form is; of fuzzy matches the ranker's estimate.
    pub(super) chance: f32,
    /// The mention is a short form that the document does not define.
    pub(super) undefined: bool,
    /// Other concepts match as well by the same stage.
    pub(super) rivals: usize,
    /// The name is the concept's preferred one.
    pub(super) preferred: bool,
    /// Enough vocabularies of the release have the concept ([`ESTABLISHED`]), or it is no release of several.
    pub(super) established: bool,
    /// Written in capitals on one side alone.
    pub(super) case: bool,
}

impl Evidence {
    /// That of a stage where nothing speaks for or against the match.
    pub(super) fn of(stage: Stage) -> Self {
        Self {
            stage,
            chance: 1.0,
            undefined: false,
            rivals: 0,
            preferred: false,
            established: true,
            case: false,
        }
    }
}

/// What is merely alike is never accepted unseen, which takes 0.9.
pub(super) const LESS_THAN_SURE: f32 = 0.89;

/// How many vocabularies of a release must have a concept for its preferred name to be accepted unseen. Many concepts of
/// a release differ from another one by a shade that only their own vocabulary knows.
pub(super) const ESTABLISHED: u32 = 4;

/// The confidence, between 0 and 1.
pub(super) fn confidence(evidence: Evidence) -> f32 {
    let Evidence {
        stage,
        chance,
        undefined,
        rivals,
        preferred,
        established,
        case,
    } = evidence;
    let mut confidence: f32 = match (stage, preferred) {
        (Stage::Synonym, _) => 0.97 * chance,
        (Stage::Exact, _) if !established => 0.75,
        (Stage::Exact, true) => 0.975,
        (Stage::Exact, false) => 0.895,
        (Stage::Key, true) => 0.87,
        (Stage::Key, false) => 0.8,
        (Stage::Variant, true) => 0.88,
        (Stage::Variant, false) => 0.8,
        (Stage::Composite, _) => 0.7,
        (Stage::Fuzzy, _) => chance.min(LESS_THAN_SURE),
    };
    if undefined && stage != Stage::Synonym {
        confidence *= 0.8;
    }
    if case {
        confidence *= 0.6;
    }
    if rivals > 0 {
        confidence *= 0.75;
    }
    confidence
}
