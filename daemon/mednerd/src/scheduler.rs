//! Worker threads and the order in which they work: windows, not documents, are what takes turns. A
//! worker takes the document at the head of the line, leaves it at the end of the line for the next
//! worker while windows remain, and computes one window of it. So a long note uses every idle core,
//! and a short one behind it waits for one window and not for the whole note.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, OnceLock, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use mednerd_client::api::{self, TextLength};
use mednerd_pipeline::{Aggregation, Logits, Mention, OffsetMap, OffsetUnit, merge, retain_confident};
use sha2::{Digest, Sha256};
use tokio::sync::oneshot;

use crate::generation::Entry;
use crate::models::{Model, Prepared, StageError};
use crate::sync::{Pass, lock};

/// One document to annotate.
pub struct Job {
    /// The text, exactly as received.
    pub text: Arc<str>,
    /// The models to run.
    pub models: Vec<Arc<Entry>>,
    /// How pieces become entities.
    pub aggregation: Aggregation,
    /// The lowest score to report.
    pub threshold: f32,
    /// The unit of offsets in the answer.
    pub offset_unit: OffsetUnit,
    /// When the request arrived.
    pub arrived: Instant,
    /// So long after its arrival the answer is of no use.
    pub allowed: Duration,
    /// Its places in the gates: left just before the answer is given, or else when the last worker has
    /// let go of the document.
    pub places: Vec<Pass>,
}

/// What came of a document.
#[derive(Debug)]
pub struct Outcome {
    /// The answer's entities.
    pub entities: Vec<api::Entity>,
    /// Where they are in the text, in bytes.
    pub places: Vec<(usize, usize)>,
    /// SHA-256 of the text, in hexadecimal.
    pub text_sha256: String,
    /// The text's length.
    pub text_length: TextLength,
    /// From arrival until a worker began.
    pub queued: Duration,
    /// Computing, summed over windows.
    pub computed: Duration,
    /// Tokens, summed over the bases of the models.
    pub tokens: usize,
    /// Windows, summed over the bases of the models.
    pub windows: usize,
}

/// Why nothing came of a document.
#[derive(Debug)]
pub enum JobError {
    /// It was not finished in time.
    DeadlinePassed,
    /// A model failed on it.
    Stage {
        /// The model's name.
        model: String,
        /// Where and why.
        error: StageError,
    },
    /// The code panicked; the journal has the place.
    Panicked,
    /// The workers have ended.
    Stopped,
}

/// A document that was handed in. Dropping it cancels what is left to do.
pub struct Ticket {
    task: Arc<Task>,
    answer: oneshot::Receiver<Result<Outcome, JobError>>,
}

impl Ticket {
    /// Waits for the outcome.
    ///
    /// # Errors
    /// [`JobError`]
    pub async fn outcome(mut self) -> Result<Outcome, JobError> {
        // The sender is in the task, which this ticket keeps: it is used, not dropped.
        (&mut self.answer).await.unwrap_or(Err(JobError::Panicked))
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.task.cancelled.store(true, Ordering::Relaxed);
    }
}

struct Task {
    job: Job,
    places: Mutex<Vec<Pass>>,
    cancelled: AtomicBool,
    work: OnceLock<Work>,
    answer: Mutex<Option<oneshot::Sender<Result<Outcome, JobError>>>>,
}

/// A document cut into windows, one unit of work each.
struct Work {
    queued: Duration,
    groups: Vec<Group>,
    units: Vec<Unit>,
    /// The first unit that nobody took.
    next: AtomicUsize,
    unfinished: AtomicUsize,
    nanoseconds: AtomicU64,
}

/// Models of the job over one base: they read the text alike and share what they can of the computation.
struct Group {
    /// Their places among the job's models.
    models: Vec<usize>,
    prepared: Prepared,
}

/// One window for one group.
struct Unit {
    group: usize,
    window: usize,
    /// One for each model of the group.
    logits: OnceLock<Vec<Logits>>,
}

enum Item {
    Document(Arc<Task>),
    Check(Arc<Model>, oneshot::Sender<Result<(), StageError>>),
}

impl Item {
    /// Tells whoever waits that nobody will work on it any more.
    fn give_up(self) {
        match self {
            Self::Document(task) => task.finish(Err(JobError::Stopped)),
            // Dropping the sender tells it.
            Self::Check(..) => {}
        }
    }
}

#[derive(Default)]
struct Line {
    items: VecDeque<Item>,
    stopping: bool,
}

#[derive(Default)]
struct Shared {
    line: Mutex<Line>,
    changed: Condvar,
}

/// The worker threads.
pub struct Scheduler {
    shared: Arc<Shared>,
    workers: Mutex<Vec<JoinHandle<()>>>,
    threads: usize,
}

impl Scheduler {
    /// Starts `threads` workers.
    ///
    /// # Errors
    /// What the system says where it has no more threads.
    pub fn start(threads: usize) -> std::io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let scheduler = Self {
            shared: Arc::clone(&shared),
            workers: Mutex::default(),
            threads,
        };
        for index in 0..threads {
            let shared = Arc::clone(&shared);
            let worker = std::thread::Builder::new()
                .name(format!("worker-{index}"))
                .spawn(move || work(&shared))?;
            lock(&scheduler.workers).push(worker);
        }
        Ok(scheduler)
    }

    /// How many workers there are.
    pub fn threads(&self) -> usize {
        self.threads
    }

    /// Hands in a document. The line has no limit of its own: callers admit documents first.
    pub fn submit(&self, mut job: Job) -> Ticket {
        let (sender, answer) = oneshot::channel();
        let task = Arc::new(Task {
            places: Mutex::new(std::mem::take(&mut job.places)),
            job,
            cancelled: AtomicBool::new(false),
            work: OnceLock::new(),
            answer: Mutex::new(Some(sender)),
        });
        self.shared.push(Item::Document(Arc::clone(&task)));
        Ticket { task, answer }
    }

    /// Has a worker run a model's self-check, before anything that waits.
    ///
    /// # Errors
    /// What the check says; `None` where the workers are gone.
    pub async fn check(&self, model: Arc<Model>) -> Option<Result<(), StageError>> {
        let (sender, answer) = oneshot::channel();
        {
            let mut line = lock(&self.shared.line);
            if line.stopping {
                return None;
            }
            line.items.push_front(Item::Check(model, sender));
        }
        self.shared.changed.notify_one();
        answer.await.ok()
    }

    /// Ends the workers after what they are computing; whatever waits is answered with
    /// [`JobError::Stopped`].
    pub fn stop(&self) {
        let waiting = {
            let mut line = lock(&self.shared.line);
            line.stopping = true;
            std::mem::take(&mut line.items)
        };
        self.shared.changed.notify_all();
        waiting.into_iter().for_each(Item::give_up);
        for worker in lock(&self.workers).drain(..) {
            // A worker catches panics; were one to end by one all the same, there is nothing to do.
            drop(worker.join());
        }
    }
}

impl Shared {
    fn push(&self, item: Item) {
        let mut line = lock(&self.line);
        if line.stopping {
            drop(line);
            return item.give_up();
        }
        line.items.push_back(item);
        drop(line);
        self.changed.notify_one();
    }

    fn next(&self) -> Option<Item> {
        let mut line = lock(&self.line);
        loop {
            if line.stopping {
                return None;
            }
            if let Some(item) = line.items.pop_front() {
                return Some(item);
            }
            line = self.changed.wait(line).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

fn work(shared: &Shared) {
    while let Some(item) = shared.next() {
        match item {
            Item::Check(model, sender) => {
                let checked = catch_unwind(AssertUnwindSafe(|| model.self_check()));
                let checked = checked.unwrap_or_else(|_| {
                    Err(StageError {
                        stage: "engine",
                        message: "the self-check panicked".to_owned(),
                    })
                });
                // Nobody listens any more where the check took too long.
                drop(sender.send(checked));
            }
            Item::Document(task) => {
                let step = catch_unwind(AssertUnwindSafe(|| task.step(shared)));
                match step {
                    Ok(Ok(())) => {}
                    Ok(Err(error)) => task.finish(Err(error)),
                    Err(_) => task.finish(Err(JobError::Panicked)),
                }
            }
        }
    }
}

impl Task {
    /// One turn: cut the text into windows if that is not done, then compute one window.
    fn step(self: &Arc<Self>, shared: &Shared) -> Result<(), JobError> {
        if self.cancelled.load(Ordering::Relaxed) || lock(&self.answer).is_none() {
            return Ok(());
        }
        if self.job.arrived.elapsed() >= self.job.allowed {
            return Err(JobError::DeadlinePassed);
        }
        let work = match self.work.get() {
            Some(work) => work,
            // Until its work is there, a document stands in the line once: no other worker is here.
            None => {
                let work = Work::new(&self.job)?;
                self.work.get_or_init(|| work)
            }
        };
        let index = work.next.fetch_add(1, Ordering::Relaxed);
        if index + 1 < work.units.len() {
            shared.push(Item::Document(Arc::clone(self)));
        }
        let last = match work.units.get(index) {
            None => work.units.is_empty(),
            Some(unit) => {
                let begun = Instant::now();
                let logits = work.compute(&self.job, unit)?;
                work.spend(begun.elapsed());
                // Each unit is taken once, so it is empty.
                let _ = unit.logits.set(logits);
                work.unfinished.fetch_sub(1, Ordering::AcqRel) == 1
            }
        };
        if last {
            self.finish(work.outcome(&self.job));
        }
        Ok(())
    }

    fn finish(&self, outcome: Result<Outcome, JobError>) {
        if let Some(sender) = lock(&self.answer).take() {
            // First, so that a client which asks again at once finds its place free.
            lock(&self.places).clear();
            // The client may have gone.
            drop(sender.send(outcome));
        }
    }
}

impl Work {
    fn new(job: &Job) -> Result<Self, JobError> {
        let begun = Instant::now();
        let mut groups: Vec<Group> = Vec::new();
        for (index, entry) in job.models.iter().enumerate() {
            let like = |group: &&mut Group| {
                let first = group.models.first().and_then(|first| job.models.get(*first));
                first.is_some_and(|first| first.model.reads_like(&entry.model))
            };
            match groups.iter_mut().find(like) {
                Some(group) => group.models.push(index),
                None => groups.push(Group {
                    models: vec![index],
                    prepared: entry.model.prepare(&job.text).map_err(of_model(entry))?,
                }),
            }
        }
        let units: Vec<Unit> = groups
            .iter()
            .enumerate()
            .flat_map(|(group, of)| {
                (0..of.prepared.windows()).map(move |window| Unit {
                    group,
                    window,
                    logits: OnceLock::new(),
                })
            })
            .collect();
        let work = Self {
            queued: begun.saturating_duration_since(job.arrived),
            groups,
            next: AtomicUsize::new(0),
            unfinished: AtomicUsize::new(units.len()),
            units,
            nanoseconds: AtomicU64::new(0),
        };
        work.spend(begun.elapsed());
        Ok(work)
    }

    fn compute(&self, job: &Job, unit: &Unit) -> Result<Vec<Logits>, JobError> {
        let group = self.groups.get(unit.group).ok_or(JobError::Panicked)?;
        let entries: Vec<&Arc<Entry>> = group
            .models
            .iter()
            .filter_map(|index| job.models.get(*index))
            .collect();
        let models: Vec<&Model> = entries.iter().map(|entry| &*entry.model).collect();
        Model::forward(&models, &group.prepared, unit.window).map_err(|(index, error)| {
            entries
                .get(index)
                .map_or(JobError::Panicked, |entry| of_model(entry)(error))
        })
    }

    fn spend(&self, time: Duration) {
        let nanoseconds = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        self.nanoseconds.fetch_add(nanoseconds, Ordering::Relaxed);
    }

    fn outcome(&self, job: &Job) -> Result<Outcome, JobError> {
        let begun = Instant::now();
        let mut mentions = Vec::new();
        for (index, group) in self.groups.iter().enumerate() {
            for (place, &task) in group.models.iter().enumerate() {
                let Some(entry) = job.models.get(task) else {
                    continue;
                };
                let units = self.units.iter().filter(|unit| unit.group == index);
                let parts: Vec<&Logits> = units.filter_map(|unit| unit.logits.get()?.get(place)).collect();
                let mut spans = entry
                    .model
                    .decode(&job.text, &group.prepared, &parts, job.aggregation)
                    .map_err(of_model(entry))?;
                retain_confident(&mut spans, job.threshold);
                mentions.extend(spans.into_iter().map(|span| Mention { task, span }));
            }
        }
        let offsets = OffsetMap::new(&job.text);
        let (entities, places) = merge(mentions)
            .into_iter()
            .enumerate()
            .filter_map(|(index, mention)| {
                let place = (mention.span.begin, mention.span.end);
                Some((entity(index, &mention, job, &offsets)?, place))
            })
            .unzip();
        self.spend(begun.elapsed());
        let length = |unit| offsets.length(unit) as u64;
        Ok(Outcome {
            entities,
            places,
            text_sha256: hexadecimal(&Sha256::digest(job.text.as_bytes())),
            text_length: TextLength {
                utf8_byte: length(OffsetUnit::Utf8Byte),
                utf16_code_unit: length(OffsetUnit::Utf16CodeUnit),
                unicode_code_point: length(OffsetUnit::UnicodeCodePoint),
            },
            queued: self.queued,
            computed: Duration::from_nanos(self.nanoseconds.load(Ordering::Relaxed)),
            tokens: self.groups.iter().map(|group| group.prepared.tokens()).sum(),
            windows: self.units.len(),
        })
    }
}

fn entity(index: usize, mention: &Mention, job: &Job, offsets: &OffsetMap<'_>) -> Option<api::Entity> {
    let span = &mention.span;
    Some(api::Entity {
        id: format!("e{}", index + 1),
        begin: offsets.convert(span.begin, job.offset_unit) as u64,
        end: offsets.convert(span.end, job.offset_unit) as u64,
        text: job.text.get(span.begin..span.end)?.to_owned(),
        label: span.label.to_string(),
        score: span.score,
        model: job.models.get(mention.task)?.name.clone(),
        concepts: Vec::new(),
    })
}

fn of_model(entry: &Entry) -> impl Fn(StageError) -> JobError {
    let model = entry.name.clone();
    move |error| JobError::Stage {
        model: model.clone(),
        error,
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::sync::Gate;

    fn entry() -> Arc<Entry> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/bert/fp32");
        let checkpoint = mednerd_model::Checkpoint::open(&folder).unwrap();
        let base = Arc::new(crate::models::Base::load(checkpoint, Default::default()).unwrap());
        Arc::new(Entry {
            name: "tiny".to_owned(),
            default: true,
            model: base.model.clone().unwrap(),
            base: "tiny".to_owned(),
        })
    }

    fn job(entry: &Arc<Entry>, text: &str) -> Job {
        Job {
            text: text.into(),
            models: vec![Arc::clone(entry)],
            aggregation: Aggregation::Simple,
            threshold: 0.0,
            offset_unit: OffsetUnit::Utf8Byte,
            arrived: Instant::now(),
            allowed: Duration::from_secs(60),
            places: Vec::new(),
        }
    }

    fn note(sentences: usize) -> String {
        (0..sentences)
            .map(|n| format!("Pt {n} has acute pneumonia on amoxicillin {n} mg.\n"))
            .collect()
    }

    #[tokio::test]
    async fn answers_do_not_depend_on_threads_or_neighbours() {
        let entry = entry();
        let lengths = [1, 40, 3, 200, 0, 7, 90, 1, 25];
        let alone = Scheduler::start(1).unwrap();
        let mut expected = Vec::new();
        for length in lengths {
            let outcome = alone.submit(job(&entry, &note(length))).outcome().await.unwrap();
            assert_eq!(outcome.entities.is_empty(), length == 0);
            expected.push(outcome.entities);
        }
        alone.stop();
        let crowd = Scheduler::start(4).unwrap();
        for _ in 0..5 {
            let tickets = lengths.map(|length| crowd.submit(job(&entry, &note(length))));
            for (ticket, expected) in tickets.into_iter().zip(&expected) {
                assert_eq!(ticket.outcome().await.unwrap().entities, *expected);
            }
        }
        crowd.stop();
    }

    #[tokio::test]
    async fn a_short_note_does_not_wait_for_the_whole_of_a_long_one() {
        let entry = entry();
        let scheduler = Scheduler::start(1).unwrap();
        let long = scheduler.submit(job(&entry, &note(20_000)));
        let short = scheduler.submit(job(&entry, &note(1)));
        tokio::select! {
            biased;
            _ = long.outcome() => panic!("the long note was done first"),
            outcome = short.outcome() => assert_eq!(outcome.unwrap().windows, 1),
        }
        scheduler.stop();
    }

    #[tokio::test]
    async fn a_document_that_nobody_waits_for_is_dropped_with_its_places() {
        let entry = entry();
        let gate = Arc::new(Gate::default());
        let scheduler = Scheduler::start(1).unwrap();
        let tickets: Vec<Ticket> = (0..20)
            .map(|_| {
                let mut job = job(&entry, &note(2_000));
                job.places.push(gate.try_enter(1, 20).unwrap());
                scheduler.submit(job)
            })
            .collect();
        assert_eq!(gate.inside(), 20);
        drop(tickets);
        // All 20 at once fit in again only when no worker holds any of them.
        gate.enter(20, 20).await;
        scheduler.stop();
    }

    #[tokio::test]
    async fn a_deadline_that_has_passed_is_told() {
        let entry = entry();
        let scheduler = Scheduler::start(1).unwrap();
        let mut late = job(&entry, &note(1));
        late.allowed = Duration::ZERO;
        assert!(matches!(
            scheduler.submit(late).outcome().await,
            Err(JobError::DeadlinePassed)
        ));
        scheduler.stop();
    }

    #[tokio::test]
    async fn whatever_waits_when_the_workers_end_is_told() {
        let entry = entry();
        let scheduler = Scheduler::start(1).unwrap();
        let tickets: Vec<Ticket> = (0..50)
            .map(|_| scheduler.submit(job(&entry, &note(500))))
            .collect();
        scheduler.stop();
        let after = scheduler.submit(job(&entry, "x"));
        let mut stopped = 0;
        for ticket in tickets {
            stopped += usize::from(matches!(ticket.outcome().await, Err(JobError::Stopped)));
        }
        assert!(stopped > 0);
        assert!(matches!(after.outcome().await, Err(JobError::Stopped)));
        assert!(scheduler.check(Arc::clone(&entry.model)).await.is_none());
    }
}
