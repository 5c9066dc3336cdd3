//! Ranks concepts again with an encoder that the hospital brings (after Liu et al., Self-alignment pretraining for
//! biomedical entity representations, NAACL 2021): the vector of a mention beside those of the concepts' names.
//!
//! It is for mentions whose best concept is uncertain, and it makes nothing certain: what a plugin was not sure of stays
//! below [`SURE`]. Vectors of names are kept, those of mentions are not.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use mednerd_client::api;
use mednerd_engine_tract::{Options, TractModel};
use mednerd_model::Checkpoint;
use mednerd_pipeline::TextTokenizer;
use tokio::sync::Semaphore;

use crate::config::{Linking, Pooling};
use crate::models::LoadError;
use crate::sync::lock;

/// Concepts of a mention that are ranked at most.
pub const CANDIDATES: usize = 50;
/// The score from which on a concept may be accepted unseen. A mention that has such a one is left as it is.
const SURE: f32 = 0.9;
/// Names and mentions are cut to so many tokens.
const TOKENS: usize = 64;
/// Vectors of names that are kept at most: twice this.
const KEPT: usize = 8192;

type Vector = Arc<[f32]>;

/// A loaded encoder.
pub struct Reranker {
    /// SHA-256 over its files.
    pub digest: String,
    settings: Linking,
    tokenizer: TextTokenizer,
    engine: TractModel,
    names: Mutex<Kept>,
    /// As many sequences at once as there are workers.
    gate: Arc<Semaphore>,
}

/// Vectors by name: those used since the generation began, and those of the generation before. When the first has
/// grown to [`KEPT`] it becomes the second, and what was not used for so long is dropped.
#[derive(Default)]
struct Kept {
    recent: HashMap<String, Vector>,
    older: HashMap<String, Vector>,
}

impl Kept {
    fn get(&mut self, name: &str) -> Option<Vector> {
        if let Some(vector) = self.recent.get(name) {
            return Some(Arc::clone(vector));
        }
        let vector = self.older.remove(name)?;
        self.put(name.to_owned(), Arc::clone(&vector));
        Some(vector)
    }

    fn put(&mut self, name: String, vector: Vector) {
        if self.recent.len() >= KEPT {
            self.older = std::mem::take(&mut self.recent);
        }
        self.recent.insert(name, vector);
    }
}

/// A mention and its concepts, best first.
pub struct Ranking {
    /// The mention's text.
    pub mention: String,
    /// Its concepts.
    pub concepts: Vec<api::Concept>,
}

/// Why concepts are in the order in which plugins gave them.
#[derive(Debug, thiserror::Error)]
pub enum RerankError {
    /// There was no time left.
    #[error("the deadline passed")]
    DeadlinePassed,
    /// The encoder failed on a mention or a name; says how, and quotes nothing.
    #[error("{0}")]
    Failed(String),
}

/// Tells the computation that nobody waits for it any more.
struct Waiting(Arc<AtomicBool>);

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Reranker {
    /// Opens the encoder that `settings` name, or takes over `previous` where it is the same.
    ///
    /// # Errors
    /// [`LoadError`], which names the file.
    pub fn load(
        settings: &Linking,
        threads: usize,
        previous: Option<&Arc<Self>>,
    ) -> Result<Arc<Self>, LoadError> {
        let checkpoint = Checkpoint::open_base(&settings.rerank)?;
        if let Some(same) = previous
            .filter(|previous| previous.digest == checkpoint.digest() && previous.settings == *settings)
        {
            return Ok(Arc::clone(same));
        }
        Self::lower(&checkpoint, settings, threads)
            .map(Arc::new)
            .map_err(|source| LoadError::Unusable {
                path: settings.rerank.clone(),
                source,
            })
    }

    fn lower(
        checkpoint: &Checkpoint,
        settings: &Linking,
        threads: usize,
    ) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        let reranker = Self {
            digest: checkpoint.digest().to_owned(),
            settings: settings.clone(),
            tokenizer: TextTokenizer::new(checkpoint.tokenizer().clone())?,
            engine: TractModel::load(checkpoint, &Options::default())?,
            names: Mutex::default(),
            gate: Arc::new(Semaphore::new(threads.max(1))),
        };
        // It works, or it is not loaded.
        reranker.vector("myocardial infarction")?;
        Ok(reranker)
    }

    /// Orders the concepts of each mention again and gives them scores between the plugin's and the likeness of vectors.
    /// Dropping the future ends the computation at the next name.
    ///
    /// # Errors
    /// [`RerankError`]; then nothing is lost but the new order.
    pub async fn rank(
        self: &Arc<Self>,
        mut rankings: Vec<Ranking>,
        deadline: Instant,
    ) -> Result<Vec<Ranking>, RerankError> {
        let late = |_| RerankError::DeadlinePassed;
        let permit = Arc::clone(&self.gate).acquire_owned();
        let permit = tokio::time::timeout_at(deadline.into(), permit)
            .await
            .map_err(late)?;
        let dropped = Arc::new(AtomicBool::new(false));
        let waiting = Waiting(Arc::clone(&dropped));
        let this = Arc::clone(self);
        let computed = tokio::task::spawn_blocking(move || {
            // Held until the computation ends, also where nobody waits for it.
            let _permit = permit;
            let over = || dropped.load(Ordering::Relaxed) || Instant::now() >= deadline;
            let mut ranked = rankings.iter_mut();
            let ranked = mednerd_sys::forgetting(|| {
                catch_unwind(AssertUnwindSafe(|| {
                    ranked.try_for_each(|ranking| this.rank_one(ranking, &over))
                }))
            });
            ranked.map(|ranked| ranked.map(|()| rankings))
        });
        let computed = tokio::time::timeout_at(deadline.into(), computed).await;
        drop(waiting);
        match computed.map_err(late)? {
            Ok(Ok(ranked)) => ranked,
            _ => Err(RerankError::Failed("the encoder panicked".to_owned())),
        }
    }

    /// Whether the encoder has a say in the order of these concepts, best first.
    pub fn concerns(concepts: &[api::Concept]) -> bool {
        concepts.len() > 1 && concepts.first().is_some_and(|best| best.score < SURE)
    }

    fn rank_one(&self, ranking: &mut Ranking, over: &dyn Fn() -> bool) -> Result<(), RerankError> {
        if over() {
            return Err(RerankError::DeadlinePassed);
        }
        let failed = |error: Box<dyn std::error::Error + Send + Sync>| RerankError::Failed(error.to_string());
        let mention = self.vector(&ranking.mention).map_err(failed)?;
        let count = ranking.concepts.len().min(CANDIDATES);
        let (ranked, rest) = ranking.concepts.split_at_mut(count);
        for concept in &mut *ranked {
            if over() {
                return Err(RerankError::DeadlinePassed);
            }
            let name = self.name(&concept.name).map_err(failed)?;
            let share = self.settings.rerank_percent as f32 / 100.0;
            let mixed = (1.0 - share) * concept.score + share * cosine(&mention, &name).max(0.0);
            concept.score = mixed.min(SURE.next_down());
        }
        // Stable: among equals the plugin's order stands.
        ranked.sort_by(|left, right| right.score.total_cmp(&left.score));
        let last = ranked.last().map_or(0.0, |last| last.score);
        for concept in rest {
            concept.score = concept.score.min(last);
        }
        Ok(())
    }

    /// The vector of a concept's name, which is computed once.
    fn name(&self, name: &str) -> Result<Vector, Box<dyn std::error::Error + Send + Sync>> {
        if let Some(vector) = lock(&self.names).get(name) {
            return Ok(vector);
        }
        let vector = self.vector(name)?;
        lock(&self.names).put(name.to_owned(), Arc::clone(&vector));
        Ok(vector)
    }

    fn vector(&self, text: &str) -> Result<Vector, Box<dyn std::error::Error + Send + Sync>> {
        let tokens = self.tokenizer.tokenise(text)?;
        let room = TOKENS
            .min(self.engine.context())
            .saturating_sub(self.tokenizer.special_count());
        let ids = tokens.ids().get(..tokens.len().min(room)).unwrap_or_default();
        let sequence = self.tokenizer.sequence(ids);
        let states = self.engine.hidden(&sequence.ids)?;
        let width = states.len() / sequence.ids.len().max(1);
        let mut rows = states.chunks_exact(width.max(1));
        let pooled = match self.settings.rerank_pooling {
            Pooling::Cls => rows.next().unwrap_or_default().to_vec(),
            Pooling::Mean => {
                let mut sum = vec![0.0; width];
                for row in rows {
                    sum.iter_mut().zip(row).for_each(|(sum, x)| *sum += x);
                }
                sum.iter_mut().for_each(|x| *x /= sequence.ids.len() as f32);
                sum
            }
        };
        Ok(pooled.into())
    }
}

/// The cosine of two vectors; 0 where one has no length.
fn cosine(a: &[f32], b: &[f32]) -> f32 {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
    let lengths = (dot(a, a) * dot(b, b)).sqrt();
    if lengths > 0.0 { dot(a, b) / lengths } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::time::Duration;

    use serde_json::Value;

    use super::*;

    fn fixture() -> std::path::PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/bert/fp32")
    }

    fn load(percent: usize, pooling: Pooling) -> Arc<Reranker> {
        let settings = Linking {
            rerank: fixture(),
            rerank_percent: percent,
            rerank_pooling: pooling,
            place: None,
        };
        Reranker::load(&settings, 2, None).unwrap()
    }

    fn concept(name: &str, score: f32) -> api::Concept {
        api::Concept {
            id: name.to_owned(),
            vocabulary: "UMLS".to_owned(),
            name: name.to_owned(),
            semantic_types: Vec::new(),
            score,
            match_kind: "fuzzy".to_owned(),
            codings: Vec::new(),
            plugins: Vec::new(),
        }
    }

    fn ranking() -> Ranking {
        Ranking {
            mention: "fever".to_owned(),
            concepts: vec![
                concept("heart attack", 0.6),
                concept("fever", 0.5),
                concept("Myocardial Infarction", 0.4),
            ],
        }
    }

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(60)
    }

    #[test]
    fn vectors_are_those_of_the_reference() {
        let golden = std::fs::read(fixture().join("vectors.json")).unwrap();
        let golden: Value = serde_json::from_slice(&golden).unwrap();
        for (key, pooling) in [("cls", Pooling::Cls), ("mean", Pooling::Mean)] {
            let reranker = load(50, pooling);
            for case in golden["cases"].as_array().unwrap() {
                let ours = reranker.vector(case["text"].as_str().unwrap()).unwrap();
                let theirs = case[key].as_array().unwrap();
                assert_eq!(ours.len(), theirs.len());
                for (ours, theirs) in ours.iter().zip(theirs) {
                    assert!(
                        (f64::from(*ours) - theirs.as_f64().unwrap()).abs() < 1e-5,
                        "{}",
                        case["text"]
                    );
                }
            }
        }
    }

    #[tokio::test]
    async fn the_same_name_comes_first_and_nothing_becomes_certain() {
        let reranker = load(100, Pooling::Cls);
        let ranked = reranker.rank(vec![ranking()], soon()).await.unwrap().remove(0);
        assert_eq!(ranked.concepts[0].name, "fever");
        assert_eq!(ranked.concepts.len(), 3);
        assert!(ranked.concepts.iter().all(|concept| concept.score < SURE));
        assert!(ranked.concepts.is_sorted_by(|a, b| a.score >= b.score));
        // The second time from what was kept, with the same scores.
        let again = reranker.rank(vec![ranking()], soon()).await.unwrap().remove(0);
        assert_eq!(again.concepts, ranked.concepts);
        assert_eq!(lock(&reranker.names).recent.len(), 3);
    }

    #[tokio::test]
    async fn what_comes_after_the_ranked_ones_stays_after_them() {
        let mut long = ranking();
        long.concepts = (0..CANDIDATES + 20)
            .map(|number| concept(&format!("fever {number}"), 0.5))
            .collect();
        let reranker = load(50, Pooling::Cls);
        let ranked = reranker.rank(vec![long], soon()).await.unwrap().remove(0);
        assert_eq!(ranked.concepts.len(), CANDIDATES + 20);
        assert!(ranked.concepts.is_sorted_by(|a, b| a.score >= b.score));
        assert_eq!(ranked.concepts[CANDIDATES].name, format!("fever {CANDIDATES}"));
    }

    #[tokio::test]
    async fn a_passed_deadline_is_told() {
        let reranker = load(50, Pooling::Mean);
        let outcome = reranker.rank(vec![ranking()], Instant::now()).await;
        assert!(matches!(outcome, Err(RerankError::DeadlinePassed)));
    }

    #[test]
    fn certain_and_lone_concepts_are_left_alone() {
        assert!(Reranker::concerns(&ranking().concepts));
        assert!(!Reranker::concerns(&[concept("a", 0.5)]));
        assert!(!Reranker::concerns(&[concept("a", 0.95), concept("b", 0.5)]));
    }

    #[test]
    fn vectors_that_were_not_used_for_long_are_dropped() {
        let mut kept = Kept::default();
        for number in 0..3 * KEPT {
            kept.put(number.to_string(), Arc::new([]));
            // One that is in use stays.
            assert!(kept.get("0").is_some());
        }
        assert!(kept.recent.len() + kept.older.len() <= 2 * KEPT);
        assert!(kept.get("1").is_none());
    }

    #[test]
    fn an_encoder_is_kept_while_its_files_and_settings_are_the_same() {
        let first = load(50, Pooling::Cls);
        let again = Reranker::load(&first.settings, 2, Some(&first)).unwrap();
        assert!(Arc::ptr_eq(&first, &again));
        let mut other = first.settings.clone();
        other.rerank_percent = 20;
        assert!(!Arc::ptr_eq(
            &first,
            &Reranker::load(&other, 2, Some(&first)).unwrap()
        ));
    }
}
