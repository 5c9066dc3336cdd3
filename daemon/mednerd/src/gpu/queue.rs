//! What waits for a GPU, and how it becomes batches: windows of several documents at once, as many as a budget of tokens
//! allows, one document after the other, so that a long note does not hold up the short ones behind it. No I/O here.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mednerd_gpu::protocol::Values;

use super::pace::scored;
use crate::models::Sequence;

/// Who waits for windows of one document.
pub trait Client: Send + Sync {
    /// Whether somebody still waits.
    fn is_wanted(&self) -> bool;

    /// When that will be of no use any more.
    fn deadline(&self) -> Instant;

    /// What each of the models gives for a window, in their order: logits of tokens, or scores of words. And the window's share of the
    /// time that they took.
    fn computed(self: Arc<Self>, window: usize, values: Vec<Values>, time: Duration);

    /// No GPU computes this window: the CPU shall. Also for windows that nobody waits for any more.
    fn lost(self: Arc<Self>, window: usize);
}

/// One window: its number, and what is asked of it.
pub type Window = (usize, Sequence);

/// A document's windows for some models, all over one base.
pub struct Document {
    /// The number of the base.
    pub base: u64,
    /// The numbers of the models.
    pub models: Arc<[u64]>,
    /// The windows that no batch has yet.
    pub windows: VecDeque<Window>,
    /// Who waits for them.
    pub client: Arc<dyn Client>,
}

/// Gives every window back that no batch has, whatever became of the document.
impl Drop for Document {
    fn drop(&mut self) {
        for (window, _) in self.windows.drain(..) {
            Arc::clone(&self.client).lost(window);
        }
    }
}

/// A window in a batch.
pub struct Item {
    /// Its number.
    pub window: usize,
    /// What is asked of it.
    pub sequence: Sequence,
    /// The models that it is for.
    pub models: Arc<[u64]>,
    /// How often the GPU computes it: one model is one pass, and what several of them share is computed once.
    pub passes: f64,
    /// Who waits for it, until they have it.
    client: Option<Arc<dyn Client>>,
}

impl Item {
    /// Tokens, once for each pass.
    pub fn tokens(&self) -> usize {
        (self.sequence.ids.len() as f64 * self.passes).ceil() as usize
    }

    /// What it costs, in tokens.
    pub fn size(&self) -> usize {
        size(&self.sequence, self.passes)
    }

    /// Hands over what each of its models gives, and its share of the time that they took.
    pub fn deliver(mut self, values: Vec<Values>, time: Duration) {
        if let Some(client) = self.client.take() {
            client.computed(self.window, values, time);
        }
    }
}

fn size(sequence: &Sequence, passes: f64) -> usize {
    ((sequence.ids.len() + scored(sequence.pairs())) as f64 * passes).ceil() as usize
}

/// Gives it back where it was not delivered, whatever became of its batch.
impl Drop for Item {
    fn drop(&mut self) {
        if let Some(client) = self.client.take() {
            client.lost(self.window);
        }
    }
}

/// Documents in line.
#[derive(Default)]
pub struct Queue {
    documents: VecDeque<Document>,
}

impl Queue {
    /// Puts a document at the end of the line.
    pub fn push(&mut self, document: Document) {
        if !document.windows.is_empty() {
            self.documents.push_back(document);
        }
    }

    /// Windows that wait.
    #[cfg(test)]
    fn windows(&self) -> usize {
        self.documents.iter().map(|document| document.windows.len()).sum()
    }

    /// Takes every document that `served` does not hold for.
    pub fn take_unserved(&mut self, served: impl Fn(&[u64]) -> bool) -> Vec<Document> {
        let (keep, gone) = std::mem::take(&mut self.documents)
            .into_iter()
            .partition(|document| served(&document.models));
        self.documents = keep;
        Vec::from(gone)
    }

    /// Takes the next batch: from the first document whose models are served, in so many `passes`, and those after it that are
    /// over the same base, one window of each in turn, until the base's `budget` of tokens is reached. One window at least, however long it
    /// is; what nobody waits for any more is in no batch and in `dropped`.
    pub fn take(
        &mut self,
        budget: impl Fn(u64) -> usize,
        passes: impl Fn(&[u64]) -> Option<f64>,
        dropped: &mut Vec<Document>,
    ) -> Vec<Item> {
        let now = Instant::now();
        let mut batch: Vec<Item> = Vec::new();
        let (mut base, mut total, mut passed) = (None, 0, VecDeque::new());
        while let Some(mut document) = self.documents.pop_front() {
            if !document.client.is_wanted() || document.client.deadline() <= now {
                dropped.push(document);
                continue;
            }
            let passes = passes(&document.models).filter(|_| base.is_none_or(|base| base == document.base));
            let next = passes.and_then(|passes| {
                let next = size(&document.windows.front()?.1, passes);
                let fits = batch.is_empty() || total + next <= budget(document.base);
                let window = fits.then(|| document.windows.pop_front());
                Some((window.flatten()?, passes))
            });
            let Some(((window, sequence), passes)) = next else {
                passed.push_back(document);
                continue;
            };
            base = Some(document.base);
            let item = Item {
                window,
                sequence,
                models: Arc::clone(&document.models),
                passes,
                client: Some(Arc::clone(&document.client)),
            };
            total += item.size();
            batch.push(item);
            // Behind those that have not had their turn.
            self.push(document);
        }
        self.documents = passed;
        batch
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::models::Labels;

    struct Waits(bool);

    impl Client for Waits {
        fn is_wanted(&self) -> bool {
            self.0
        }
        fn deadline(&self) -> Instant {
            Instant::now() + Duration::from_secs(60)
        }
        fn computed(self: Arc<Self>, _: usize, _: Vec<Values>, _: Duration) {}
        fn lost(self: Arc<Self>, _: usize) {}
    }

    fn document(base: u64, models: &[u64], lengths: &[usize], wanted: bool) -> Document {
        let windows = lengths.iter().enumerate();
        Document {
            base,
            models: models.into(),
            windows: windows
                .map(|(index, length)| {
                    let ids = vec![1; *length];
                    (
                        index,
                        Sequence {
                            ids,
                            ..Sequence::default()
                        },
                    )
                })
                .collect(),
            client: Arc::new(Waits(wanted)),
        }
    }

    /// Models that have nothing in common.
    fn each_alone(models: &[u64]) -> Option<f64> {
        Some(models.len() as f64)
    }

    #[test]
    fn what_models_share_of_a_window_counts_once() {
        let mut queue = Queue::default();
        (0..3).for_each(|_| queue.push(document(1, &[1, 2, 3], &[10; 2], true)));
        let batch = queue.take(|_| 60, |_| Some(1.5), &mut Vec::new());
        assert_eq!(batch.iter().map(Item::tokens).collect::<Vec<_>>(), [15; 4]);
    }

    #[test]
    fn scores_for_many_labels_count_like_tokens() {
        let mut queue = Queue::default();
        for _ in 0..3 {
            let mut document = document(1, &[1], &[100], true);
            for (_, sequence) in &mut document.windows {
                sequence.words = (20..84).collect();
                sequence.labels = Labels::At((0..20).collect());
            }
            queue.push(document);
        }
        let batch = queue.take(|_| 240, each_alone, &mut Vec::new());
        assert_eq!(batch.iter().map(Item::size).collect::<Vec<_>>(), [120; 2]);
        assert_eq!(batch[0].tokens(), 100);
    }

    #[test]
    fn documents_take_turns() {
        let mut queue = Queue::default();
        queue.push(document(1, &[1], &[10; 50], true));
        queue.push(document(1, &[2], &[10], true));
        queue.push(document(9, &[9], &[10], true));
        queue.push(document(1, &[1, 2], &[10], true));
        let batch = queue.take(|_| 45, each_alone, &mut Vec::new());
        let order: Vec<(u64, usize)> = batch.iter().map(|item| (item.models[0], item.window)).collect();
        assert_eq!(
            order,
            [(1, 0), (2, 0), (1, 0)],
            "and 20 tokens are those of two models"
        );
        let batch = queue.take(|_| 45, each_alone, &mut Vec::new());
        assert_eq!(batch[0].models[0], 9, "another base has its turn");
        let batch = queue.take(|_| 45, each_alone, &mut Vec::new());
        assert_eq!(batch.len(), 4);
    }

    proptest! {
        #[test]
        fn each_window_is_in_one_batch_and_no_batch_is_over_budget(
            documents in proptest::collection::vec(
                (0_u64..3, 1_usize..4, proptest::collection::vec(1_usize..40, 0..20), any::<bool>()),
                0..20
            ),
            budget in 1_usize..100,
        ) {
            let mut queue = Queue::default();
            let (mut wanted, mut unserved) = (0, 0);
            for (base, models, lengths, waits) in &documents {
                let models: Vec<u64> = (0..*models as u64).map(|model| base * 10 + model).collect();
                match (*base != 2, waits) {
                    (_, false) => {}
                    (true, true) => wanted += lengths.len(),
                    (false, true) => unserved += lengths.len(),
                }
                queue.push(document(*base, &models, lengths, *waits));
            }
            let served = |models: &[u64]| models[0] < 20;
            let (mut found, mut dropped) = (0, Vec::new());
            loop {
                let passes = |models: &[u64]| each_alone(models).filter(|_| served(models));
                let batch = queue.take(|_| budget, passes, &mut dropped);
                if batch.is_empty() {
                    break;
                }
                let tokens: usize = batch.iter().map(Item::tokens).sum();
                prop_assert!(batch.len() == 1 || tokens <= budget);
                prop_assert!(batch.iter().all(|item| item.models[0] / 10 == batch[0].models[0] / 10));
                found += batch.len();
            }
            prop_assert_eq!(found, wanted);
            prop_assert_eq!(queue.windows(), unserved);
            prop_assert_eq!(queue.take_unserved(served).iter().map(|d| d.windows.len()).sum::<usize>(), unserved);
        }
    }
}
