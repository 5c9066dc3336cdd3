//! Worker threads and the order in which they work: windows, not documents, are what takes turns. A
//! worker takes the document at the head of the line, leaves it at the end of the line for the next
//! worker while windows remain, and computes one window of it. So a long note uses every idle core,
//! and a short one behind it waits for one window and not for the whole note.
//!
//! Before its windows and behind them a document takes a step over the whole of its text: it is tokenised, and what models and lists
//! find in it becomes entities. For a short text that is part of a turn. A long one waits for it in a line of its own, before threads of
//! its own, so that workers have nothing but short turns, whatever the text, and the kernel divides the processor between both.
//!
//! What a GPU serves is cut into windows here, handed to it, and decoded here when the last window is back. A window that
//! comes back without logits is computed here as if there were no GPU.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, OnceLock, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use mednerd_client::api;
use mednerd_gpu::protocol::Values;
use mednerd_pipeline::Aggregation;
use tokio::sync::oneshot;

use crate::generation::Entry;
use crate::gpu::{Client, Gpus, Taken};
use crate::models::{Asked, Model, Output, Prepared, StageError};
use crate::page::{Annotated, Chosen, Found, Page};
use crate::sync::{Gate, Pass, lock};

/// Scores from GPUs that may wait for the CPU: 256 MiB.
const SCORES: usize = 64 << 20;

/// Bytes of a text that is long. The worst of this length takes about as long as a window of a large model.
const LONG: usize = 32 << 10;

/// How many labels a document has encoded in one turn: they take as long as a window.
const LABELS_AT_ONCE: usize = 4;

/// One document to annotate.
pub struct Job {
    /// The text, the models to run, and what is wanted of them.
    pub page: Arc<Page>,
    /// How pieces become entities.
    pub aggregation: Aggregation,
    /// When the request arrived.
    pub arrived: Instant,
    /// So long after its arrival the answer is of no use.
    pub allowed: Duration,
    /// Its places in the gates: left just before the answer is given, or else when the last worker has
    /// let go of the document.
    pub places: Vec<Arc<Pass>>,
}

/// What came of a document.
#[derive(Debug)]
pub struct Outcome {
    /// What there is to say of it.
    pub result: Computed,
    /// From arrival until a worker began.
    pub queued: Duration,
    /// Computing, summed over windows.
    pub computed: Duration,
    /// Tokens, summed over the bases of the models.
    pub tokens: usize,
    /// Windows, summed over the bases of the models.
    pub windows: usize,
    /// Windows that a GPU computed.
    pub gpu_windows: usize,
    /// What GPUs had of each model of the job.
    pub on_gpu: Vec<OnGpu>,
    /// Whether the CPU computed what a GPU should have.
    pub degraded: bool,
}

impl Outcome {
    /// Which engine computed it; the CPU where it had any part in it.
    pub fn engine(&self) -> api::Engine {
        match self.windows > 0 && self.gpu_windows == self.windows {
            true => api::Engine::Cuda,
            false => api::Engine::Tract,
        }
    }
}

/// How many of its windows a model ran on a GPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnGpu {
    /// None.
    Nothing,
    /// Some, and the others on the CPU.
    Part,
    /// All.
    All,
}

impl OnGpu {
    fn of(gpu: usize, all: usize) -> Self {
        match gpu {
            0 => Self::Nothing,
            _ if gpu == all => Self::All,
            _ => Self::Part,
        }
    }

    /// What the model was computed in, from what it is on a GPU and on the CPU: both, where both had a part and they are not the same.
    pub fn precision(self, gpu: &str, cpu: &str) -> String {
        match self {
            Self::Part if gpu != cpu => format!("{gpu}+{cpu}"),
            Self::All => gpu.to_owned(),
            _ => cpu.to_owned(),
        }
    }
}

/// What there is to say of a document once its models have run.
#[derive(Debug)]
pub enum Computed {
    /// All of it.
    Annotated(Annotated),
    /// What each model found, of all scores: a [plugin has a word to say](Page::is_refined).
    Found(Vec<Found>),
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
        self.task.release();
    }
}

struct Task {
    job: Job,
    places: Mutex<Vec<Arc<Pass>>>,
    cancelled: AtomicBool,
    /// When a worker first took it.
    begun: OnceLock<Instant>,
    /// Nanoseconds spent on its labels.
    encoding: AtomicU64,
    work: OnceLock<Work>,
    /// Its last step was taken up.
    concluding: AtomicBool,
    answer: Mutex<Option<oneshot::Sender<Result<Outcome, JobError>>>>,
}

/// A document cut into windows, one unit of work each.
struct Work {
    queued: Duration,
    groups: Vec<Group>,
    units: Vec<Unit>,
    /// Units for the CPU that nobody took. Where there are any, the document stands in the line.
    line: Mutex<VecDeque<usize>>,
    unfinished: AtomicUsize,
    degraded: AtomicBool,
    nanoseconds: AtomicU64,
}

/// Models of the job over one base: they read the text alike and share what they can of the computation.
struct Group {
    /// Their places among the job's models.
    models: Vec<usize>,
    prepared: Prepared,
}

/// One window, and one prompt of a zero-shot model, for one group.
struct Unit {
    group: usize,
    /// Its number within the group.
    part: usize,
    /// What a GPU gave for a zero-shot model, which the CPU goes on from, with its place among all that waits so.
    scores: Mutex<Option<(Values, Pass)>>,
    /// Whether a GPU computed it.
    on_gpu: AtomicBool,
    /// One for each model of the group.
    outputs: OnceLock<Vec<Output>>,
}

enum Item {
    Document(Arc<Task>),
    Check(Vec<Arc<Model>>, oneshot::Sender<Checked>),
}

/// What came of the self-checks of some models: the place of the first that failed, and why.
pub type Checked = Result<(), (usize, StageError)>;

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
struct Waiting {
    items: VecDeque<Item>,
    stopping: bool,
}

/// A line, at whose head threads wait.
#[derive(Default)]
struct Line {
    waiting: Mutex<Waiting>,
    changed: Condvar,
}

#[derive(Default)]
struct Shared {
    /// For turns of the workers.
    turns: Line,
    /// For steps over the whole of long texts.
    long: Line,
    /// Scores that wait for the CPU.
    scores: Arc<Gate>,
}

/// The worker threads.
pub struct Scheduler {
    shared: Arc<Shared>,
    workers: Mutex<Vec<JoinHandle<()>>>,
    threads: usize,
    gpus: Arc<Gpus>,
}

impl Scheduler {
    /// Starts `threads` workers, half as many threads for long texts, and at least one, beside these GPUs.
    ///
    /// # Errors
    /// What the system says where it has no more threads.
    pub fn start(threads: usize, gpus: Arc<Gpus>) -> std::io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let scheduler = Self {
            shared: Arc::clone(&shared),
            workers: Mutex::default(),
            threads,
            gpus,
        };
        type Run = fn(&Arc<Shared>, &Gpus);
        let workers = (0..threads).map(|index| (format!("worker-{index}"), work as Run));
        let long = (0..threads.div_ceil(2)).map(|index| (format!("long-{index}"), work_on_long as Run));
        for (name, run) in workers.chain(long) {
            let (shared, gpus) = (Arc::clone(&shared), Arc::clone(&scheduler.gpus));
            let thread = std::thread::Builder::new().name(name);
            let worker = thread.spawn(move || run(&shared, &gpus))?;
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
            begun: OnceLock::new(),
            encoding: AtomicU64::new(0),
            work: OnceLock::new(),
            concluding: AtomicBool::new(false),
            answer: Mutex::new(Some(sender)),
        });
        self.shared
            .turns
            .push(Item::Document(Arc::clone(&task)), Place::End);
        Ticket { task, answer }
    }

    /// Has a worker run the self-checks of these models, before anything that waits.
    ///
    /// # Errors
    /// What the checks say; `None` where the workers are gone.
    pub async fn check(&self, models: Vec<Arc<Model>>) -> Option<Checked> {
        let (sender, answer) = oneshot::channel();
        self.shared.turns.push(Item::Check(models, sender), Place::Head);
        answer.await.ok()
    }

    /// Ends the workers after what they are computing; whatever waits is answered with
    /// [`JobError::Stopped`].
    pub fn stop(&self) {
        self.shared.turns.stop();
        self.shared.long.stop();
        for worker in lock(&self.workers).drain(..) {
            // A worker catches panics; were one to end by one all the same, there is nothing to do.
            drop(worker.join());
        }
        self.gpus.stop();
    }
}

/// Where in a line.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Before all others.
    Head,
    /// Behind them.
    End,
}

impl Line {
    fn push(&self, item: Item, place: Place) {
        let mut line = lock(&self.waiting);
        if line.stopping {
            drop(line);
            return item.give_up();
        }
        match place {
            Place::Head => line.items.push_front(item),
            Place::End => line.items.push_back(item),
        }
        drop(line);
        self.changed.notify_one();
    }

    fn next(&self) -> Option<Item> {
        let mut line = lock(&self.waiting);
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

    /// Gives up what waits, and all that comes.
    fn stop(&self) {
        let waiting = {
            let mut line = lock(&self.waiting);
            line.stopping = true;
            std::mem::take(&mut line.items)
        };
        self.changed.notify_all();
        waiting.into_iter().for_each(Item::give_up);
    }

    fn is_stopping(&self) -> bool {
        lock(&self.waiting).stopping
    }
}

/// A worker.
fn work(shared: &Arc<Shared>, gpus: &Gpus) {
    while let Some(item) = shared.turns.next() {
        match item {
            // Nobody listens any more where the check took too long.
            Item::Check(models, sender) => drop(sender.send(checked(&models))),
            Item::Document(task) => task.take(|| task.step(shared, gpus)),
        }
    }
}

/// A thread for long texts.
fn work_on_long(shared: &Arc<Shared>, gpus: &Gpus) {
    while let Some(item) = shared.long.next() {
        // Checks do not come here.
        if let Item::Document(task) = item {
            task.take(|| task.step_over_all(shared, gpus));
        }
    }
}

fn checked(models: &[Arc<Model>]) -> Checked {
    for (index, model) in models.iter().enumerate() {
        let checked = catch_unwind(AssertUnwindSafe(|| model.self_check()));
        let checked = checked.unwrap_or_else(|_| {
            Err(StageError {
                stage: "engine",
                message: "the self-check panicked".to_owned(),
                unusable: None,
            })
        });
        checked.map_err(|error| (index, error))?;
    }
    Ok(())
}

impl Task {
    /// Takes a step. What it fails of is the answer.
    fn take(&self, step: impl FnOnce() -> Result<(), JobError>) {
        match mednerd_sys::forgetting(|| catch_unwind(AssertUnwindSafe(step))) {
            Ok(Ok(())) => {}
            Ok(Err(error)) => self.finish(Err(error)),
            Err(_) => self.finish(Err(JobError::Panicked)),
        }
    }

    /// One turn: cut the text into windows if that is not done, then compute one window.
    fn step(self: &Arc<Self>, shared: &Arc<Shared>, gpus: &Gpus) -> Result<(), JobError> {
        if !self.is_due()? {
            return Ok(());
        }
        let work = match self.work.get() {
            Some(work) => work,
            None => match self.begin(shared, gpus)? {
                Some(work) => work,
                None => return Ok(()),
            },
        };
        let (index, more) = {
            let mut line = lock(&work.line);
            (line.pop_front(), !line.is_empty())
        };
        if more {
            shared.turns.push(Item::Document(Arc::clone(self)), Place::End);
        }
        if let Some(unit) = index.and_then(|index| work.units.get(index)) {
            let begun = Instant::now();
            let outputs = work.compute(&self.job, unit)?;
            work.spend(begun.elapsed());
            // Each unit is taken once, so it is empty.
            let _ = unit.outputs.set(outputs);
            work.unfinished.fetch_sub(1, Ordering::AcqRel);
        }
        // Whoever comes first sees to the answer.
        if work.unfinished.load(Ordering::Acquire) == 0 && !self.concluding.swap(true, Ordering::AcqRel) {
            match self.is_long() {
                true => shared.long.push(Item::Document(Arc::clone(self)), Place::End),
                false => self.conclude(work),
            }
        }
        Ok(())
    }

    /// A step over the whole of a long text: first it is cut into windows, in the end there is an answer.
    fn step_over_all(self: &Arc<Self>, shared: &Arc<Shared>, gpus: &Gpus) -> Result<(), JobError> {
        if !self.is_due()? {
            return Ok(());
        }
        match self.work.get() {
            Some(work) => self.conclude(work),
            None => {
                self.prepare(shared, gpus)?;
                shared.turns.push(Item::Document(Arc::clone(self)), Place::End);
            }
        }
        Ok(())
    }

    /// The first turns: until its work is there, a document stands in one line once, and nobody else is here. `None` where it has
    /// gone to stand in a line again.
    fn begin(self: &Arc<Self>, shared: &Arc<Shared>, gpus: &Gpus) -> Result<Option<&Work>, JobError> {
        let begun = Instant::now();
        self.begun.get_or_init(|| begun);
        if has_labels_to_encode(&self.job)? {
            let spent = u64::try_from(begun.elapsed().as_nanos()).unwrap_or(u64::MAX);
            self.encoding.fetch_add(spent, Ordering::Relaxed);
            shared.turns.push(Item::Document(Arc::clone(self)), Place::End);
            return Ok(None);
        }
        if self.is_long() {
            shared.long.push(Item::Document(Arc::clone(self)), Place::End);
            return Ok(None);
        }
        self.prepare(shared, gpus).map(Some)
    }

    /// Cuts the text into windows, and puts these where they are computed.
    fn prepare(self: &Arc<Self>, shared: &Arc<Shared>, gpus: &Gpus) -> Result<&Work, JobError> {
        let work = Work::new(&self.job, *self.begun.get_or_init(Instant::now))?;
        work.spend(Duration::from_nanos(self.encoding.load(Ordering::Relaxed)));
        let work = self.work.get_or_init(|| work);
        self.hand_to_gpus(work, shared, gpus)?;
        Ok(work)
    }

    /// Gives the answer.
    fn conclude(&self, work: &Work) {
        let wanted = || self.is_wanted() && self.job.arrived.elapsed() < self.job.allowed;
        self.finish(work.outcome(&self.job, &wanted));
    }

    /// Whether it takes too long to go over all of its text in one turn.
    fn is_long(&self) -> bool {
        self.job.page.bytes() > LONG
    }

    /// Whether somebody waits for the answer, and can still have it.
    fn is_due(&self) -> Result<bool, JobError> {
        let is_wanted = self.is_wanted();
        match is_wanted && self.job.arrived.elapsed() >= self.job.allowed {
            true => Err(JobError::DeadlinePassed),
            false => Ok(is_wanted),
        }
    }

    /// Whether somebody waits for the answer.
    fn is_wanted(&self) -> bool {
        !self.cancelled.load(Ordering::Relaxed) && lock(&self.answer).is_some()
    }

    /// Hands the windows of each group to the GPUs or, where these do not take it, puts them in line for the CPU.
    fn hand_to_gpus(
        self: &Arc<Self>,
        work: &Work,
        shared: &Arc<Shared>,
        gpus: &Gpus,
    ) -> Result<(), JobError> {
        let client: Arc<dyn Client> = Arc::new(Returning {
            task: Arc::clone(self),
            shared: Arc::clone(shared),
        });
        for (index, group) in work.groups.iter().enumerate() {
            let entries = || {
                group
                    .models
                    .iter()
                    .filter_map(|model| self.job.page.models.get(*model))
            };
            let models: Vec<&Model> = entries().map(|chosen| &*chosen.entry.model).collect();
            let units = || {
                work.units
                    .iter()
                    .enumerate()
                    .filter(|(_, unit)| unit.group == index)
            };
            let windows = || {
                let first = models.first();
                let windows = units().map(|(place, unit)| {
                    let ask = entries().next().and_then(|chosen| chosen.ask.as_ref());
                    let sequence = first.map(|model| model.sequence(&group.prepared, ask, unit.part));
                    // Without one the CPU finds out why.
                    (place, sequence.and_then(Result::ok).unwrap_or_default())
                });
                windows.collect()
            };
            let taken = gpus.submit(&models, windows, &client);
            if taken == Taken::Missing {
                work.degraded.store(true, Ordering::Relaxed);
            }
            if taken != Taken::Yes {
                lock(&work.line).extend(units().map(|(place, _)| place));
            }
        }
        Ok(())
    }

    /// Lets go of the scores that it waited with: nobody will look through them, and others wait for their place.
    fn release(&self) {
        let units = self.work.get().into_iter().flat_map(|work| &work.units);
        units.for_each(|unit| drop(lock(&unit.scores).take()));
    }

    fn finish(&self, outcome: Result<Outcome, JobError>) {
        let sender = lock(&self.answer).take();
        if let Some(sender) = sender {
            self.release();
            // First, so that a client which asks again at once finds its place free.
            lock(&self.places).clear();
            // The client may have gone.
            drop(sender.send(outcome));
        }
    }
}

/// Takes a document's windows back from the GPUs.
struct Returning {
    task: Arc<Task>,
    shared: Arc<Shared>,
}

impl Returning {
    fn again(&self) {
        self.shared
            .turns
            .push(Item::Document(Arc::clone(&self.task)), Place::Head);
    }

    /// What the models gave for a window, where it is what it should be. Gives whether that is all of it: in a zero-shot
    /// model's scores the CPU looks for what is above the threshold.
    fn take(&self, work: &Work, window: usize, mut values: Vec<Values>) -> Option<bool> {
        let unit = work.units.get(window)?;
        let group = work.groups.get(unit.group)?;
        let models = &self.task.job.page.models;
        let first = models.get(*group.models.first()?)?;
        if first.entry.model.zero_shot().is_some() {
            let scores = values.pop()?;
            let place = self.place(scores.values().len())?;
            *lock(&unit.scores) = Some((scores, place));
            if !self.is_wanted() {
                self.task.release();
            }
            return Some(false);
        }
        let outputs = group.models.iter().zip(values).map(|(model, values)| {
            let (Some(chosen), Values::All(values)) = (models.get(*model), values) else {
                return None;
            };
            chosen.entry.model.output(values).ok()
        });
        let outputs: Option<Vec<Output>> = outputs.collect();
        unit.outputs
            .set(outputs.filter(|outputs| outputs.len() == group.models.len())?)
            .ok()?;
        Some(true)
    }

    /// A place for scores. Where too many wait for the CPU already, so does the GPU's thread.
    fn place(&self, values: usize) -> Option<Pass> {
        loop {
            let place = self.shared.scores.try_enter(values, SCORES.max(values));
            let late = Instant::now() >= self.deadline();
            if place.is_some() || late || !self.is_wanted() || self.shared.turns.is_stopping() {
                return place;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Puts a window in line for the CPU.
    fn enqueue(&self, work: &Work, window: usize) {
        let first = {
            let mut line = lock(&work.line);
            line.push_back(window);
            line.len() == 1
        };
        if first {
            self.again();
        }
    }
}

impl Client for Returning {
    fn is_wanted(&self) -> bool {
        self.task.is_wanted()
    }

    fn deadline(&self) -> Instant {
        self.task.job.arrived + self.task.job.allowed
    }

    fn computed(self: Arc<Self>, window: usize, values: Vec<Values>, time: Duration) {
        let Some(work) = self.task.work.get() else { return };
        work.spend(time);
        let Some(whole) = self.take(work, window, values) else {
            return self.lost(window);
        };
        if let Some(unit) = work.units.get(window) {
            unit.on_gpu.store(true, Ordering::Relaxed);
        }
        if !whole {
            self.enqueue(work, window);
        } else if work.unfinished.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.again();
        }
    }

    fn lost(self: Arc<Self>, window: usize) {
        let Some(work) = self.task.work.get() else { return };
        work.degraded.store(true, Ordering::Relaxed);
        self.enqueue(work, window);
    }
}

impl Work {
    /// The work of a job whose first turn was at `first`.
    fn new(job: &Job, first: Instant) -> Result<Self, JobError> {
        let begun = Instant::now();
        let mut groups: Vec<Group> = Vec::new();
        let all = &job.page.models;
        for (index, Chosen { entry, ask, .. }) in all.iter().enumerate() {
            let like = |group: &&mut Group| {
                let first = group.models.first().and_then(|first| all.get(*first));
                first.is_some_and(|first| first.entry.model.reads_like(&entry.model))
            };
            match groups.iter_mut().find(like) {
                Some(group) => group.models.push(index),
                None => groups.push(Group {
                    models: vec![index],
                    prepared: entry
                        .model
                        .prepare(&job.page.text, ask.as_ref())
                        .map_err(of_model(entry))?,
                }),
            }
        }
        let units: Vec<Unit> = groups
            .iter()
            .enumerate()
            .flat_map(|(group, of)| {
                let first = of.models.first().and_then(|first| job.page.models.get(*first));
                let ask = first.and_then(|first| first.ask.as_ref());
                (0..of.prepared.units(ask)).map(move |part| Unit {
                    group,
                    part,
                    scores: Mutex::default(),
                    on_gpu: AtomicBool::new(false),
                    outputs: OnceLock::new(),
                })
            })
            .collect();
        let work = Self {
            queued: first.saturating_duration_since(job.arrived),
            groups,
            line: Mutex::default(),
            degraded: AtomicBool::new(false),
            unfinished: AtomicUsize::new(units.len()),
            units,
            nanoseconds: AtomicU64::new(0),
        };
        work.spend(begun.elapsed());
        Ok(work)
    }

    fn compute(&self, job: &Job, unit: &Unit) -> Result<Vec<Output>, JobError> {
        let group = self.groups.get(unit.group).ok_or(JobError::Panicked)?;
        let chosen: Vec<&Chosen> = group
            .models
            .iter()
            .filter_map(|index| job.page.models.get(*index))
            .collect();
        let scores = lock(&unit.scores).take();
        if let (Some((scores, _place)), Some(chosen)) = (scores, chosen.first()) {
            let (model, ask) = (&chosen.entry.model, chosen.ask.as_ref());
            let output = model.resume(&group.prepared, ask, unit.part, scores);
            return output.map(|output| vec![output]).map_err(of_model(&chosen.entry));
        }
        let models: Vec<Asked<'_>> = chosen.iter().map(|c| (&*c.entry.model, c.ask.as_ref())).collect();
        Model::forward(&models, &group.prepared, unit.part).map_err(|(index, error)| {
            chosen
                .get(index)
                .map_or(JobError::Panicked, |chosen| of_model(&chosen.entry)(error))
        })
    }

    fn spend(&self, time: Duration) {
        let nanoseconds = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        self.nanoseconds.fetch_add(nanoseconds, Ordering::Relaxed);
    }

    fn outcome(&self, job: &Job, wanted: &dyn Fn() -> bool) -> Result<Outcome, JobError> {
        let begun = Instant::now();
        let mut found = Vec::new();
        for (index, group) in self.groups.iter().enumerate() {
            for (place, &task) in group.models.iter().enumerate() {
                let Some(Chosen { entry, ask, .. }) = job.page.models.get(task) else {
                    continue;
                };
                let units = self.units.iter().filter(|unit| unit.group == index);
                let parts: Vec<&Output> = units.filter_map(|unit| unit.outputs.get()?.get(place)).collect();
                let spans = entry
                    .model
                    .decode(
                        &job.page.text,
                        &group.prepared,
                        &parts,
                        job.aggregation,
                        ask.as_ref(),
                        wanted,
                    )
                    .map_err(of_model(entry))?;
                found.push((task, spans.ok_or(JobError::DeadlinePassed)?));
            }
        }
        let share = |group: Option<usize>| {
            let units = self
                .units
                .iter()
                .filter(|unit| group.is_none_or(|group| unit.group == group));
            let (gpu, cpu): (Vec<&Unit>, _) = units.partition(|unit| unit.on_gpu.load(Ordering::Relaxed));
            (gpu.len(), gpu.len() + cpu.len())
        };
        let mut on_gpu = vec![OnGpu::Nothing; job.page.models.len()];
        for (index, group) in self.groups.iter().enumerate() {
            let (gpu, all) = share(Some(index));
            for model in &group.models {
                if let Some(place) = on_gpu.get_mut(*model) {
                    *place = OnGpu::of(gpu, all);
                }
            }
        }
        let result = match job.page.is_refined() {
            true => Computed::Found(found),
            false => {
                let annotated = job.page.annotate(found, wanted);
                Computed::Annotated(annotated.ok_or(JobError::DeadlinePassed)?)
            }
        };
        self.spend(begun.elapsed());
        Ok(Outcome {
            result,
            queued: self.queued,
            computed: Duration::from_nanos(self.nanoseconds.load(Ordering::Relaxed)),
            tokens: self.groups.iter().map(|group| group.prepared.tokens()).sum(),
            windows: self.units.len(),
            gpu_windows: share(None).0,
            on_gpu,
            degraded: self.degraded.load(Ordering::Relaxed),
        })
    }
}

/// Encodes a few labels that no document had lately; whether there are more.
fn has_labels_to_encode(job: &Job) -> Result<bool, JobError> {
    for Chosen { entry, ask, .. } in &job.page.models {
        if let (Some(model), Some(ask)) = (entry.model.zero_shot(), ask)
            && model
                .encode_labels(ask, LABELS_AT_ONCE)
                .map_err(of_model(entry))?
        {
            return Ok(true);
        }
    }
    Ok(false)
}

fn of_model(entry: &Entry) -> impl Fn(StageError) -> JobError {
    let model = entry.name.clone();
    move |error| JobError::Stage {
        model: model.clone(),
        error,
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use mednerd_client::api;
    use mednerd_pipeline::OffsetUnit;

    use super::*;
    use crate::terms::NamedList;

    fn entry() -> Arc<Entry> {
        of_fixture("bert/fp32")
    }

    fn of_fixture(name: &str) -> Arc<Entry> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../../tests/fixtures")
            .join(name);
        let checkpoint = mednerd_model::Checkpoint::open(&folder).unwrap();
        let base = Arc::new(crate::models::Base::load(checkpoint, Default::default()).unwrap());
        Arc::new(Entry {
            name: "tiny".to_owned(),
            default: true,
            model: base.model.clone().unwrap(),
            base: "tiny".to_owned(),
            plugin: None,
            labels: Vec::new(),
        })
    }

    fn job(entry: &Arc<Entry>, text: &str) -> Job {
        Job {
            page: Arc::new(Page {
                text: text.into(),
                original: None,
                models: vec![Chosen {
                    entry: Arc::clone(entry),
                    ask: None,
                    by_request: false,
                    short_forms: false,
                }],
                terms: Vec::new(),
                threshold: None,
                offset_unit: OffsetUnit::Utf8Byte,
            }),
            aggregation: Aggregation::Simple,
            arrived: Instant::now(),
            allowed: Duration::from_secs(60),
            places: Vec::new(),
        }
    }

    fn entities(outcome: Outcome) -> Vec<api::Entity> {
        match outcome.result {
            Computed::Annotated(annotated) => annotated.entities,
            Computed::Found(_) => panic!("no plugin has a word to say"),
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
        let alone = Scheduler::start(1, Arc::new(Gpus::none())).unwrap();
        let mut expected = Vec::new();
        for length in lengths {
            let outcome = alone.submit(job(&entry, &note(length))).outcome().await.unwrap();
            let found = entities(outcome);
            assert_eq!(found.is_empty(), length == 0);
            expected.push(found);
        }
        alone.stop();
        let crowd = Scheduler::start(4, Arc::new(Gpus::none())).unwrap();
        for _ in 0..5 {
            let tickets = lengths.map(|length| crowd.submit(job(&entry, &note(length))));
            for (ticket, expected) in tickets.into_iter().zip(&expected) {
                assert_eq!(entities(ticket.outcome().await.unwrap()), *expected);
            }
        }
        crowd.stop();
    }

    #[tokio::test]
    async fn a_short_note_does_not_wait_for_the_whole_of_a_long_one() {
        let entry = entry();
        let scheduler = Scheduler::start(1, Arc::new(Gpus::none())).unwrap();
        let long = scheduler.submit(job(&entry, &note(20_000)));
        let short = scheduler.submit(job(&entry, &note(1)));
        tokio::select! {
            biased;
            _ = long.outcome() => panic!("the long note was done first"),
            outcome = short.outcome() => assert_eq!(outcome.unwrap().windows, 1),
        }
        scheduler.stop();
    }

    /// A document for a list alone: all of it is one step over the whole text.
    fn listed(list: &Arc<crate::terms::List>, text: &str) -> Job {
        let named = NamedList {
            name: "ward".to_owned(),
            default: true,
            list: Arc::clone(list),
        };
        let mut job = job(&entry(), text);
        let page = Arc::get_mut(&mut job.page).unwrap();
        page.models.clear();
        page.terms.push(named);
        job
    }

    #[tokio::test]
    async fn neither_a_short_note_nor_the_self_check_waits_for_steps_over_long_texts() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "name\tlabel\ngout\tDisease\n").unwrap();
        let list = crate::terms::tests::load(file.path(), 90, &[]).unwrap();
        let scheduler = Scheduler::start(1, Arc::new(Gpus::none())).unwrap();
        let mut short_notes = 0;
        {
            let text = "no gout ".repeat(200_000);
            let long = [(); 3].map(|()| scheduler.submit(listed(&list, &text)));
            let [first, second, third] = long.map(Ticket::outcome);
            let short = async {
                for _ in 0..20 {
                    let outcome = scheduler.submit(listed(&list, "No gout.")).outcome().await;
                    short_notes += entities(outcome.unwrap()).len();
                }
                scheduler.check(vec![entry().model.clone()]).await.unwrap()
            };
            tokio::select! {
                biased;
                _ = async { tokio::join!(first, second, third) } => panic!("the long notes were done first"),
                checked = short => assert!(checked.is_ok()),
            }
        }
        assert_eq!(short_notes, 20);
        // And a long note is answered all the same.
        let text = format!("{}gout", " ".repeat(2 * LONG));
        let outcome = scheduler.submit(listed(&list, &text)).outcome().await.unwrap();
        assert_eq!(entities(outcome).len(), 1);
        scheduler.stop();
    }

    #[tokio::test]
    async fn many_new_labels_hold_nobody_up() {
        let (plain, labelled) = (entry(), of_fixture("gliner/bi-marker"));
        let names: Vec<api::Label> = (0..600)
            .map(|n| api::Label::Name(format!("label number {n}")))
            .collect();
        let labels = crate::zero_shot::labels(&names).unwrap();
        let model = labelled.model.zero_shot().unwrap();
        let ask = || model.ask(&labels, 0.9, Default::default()).unwrap();
        let asked = |allowed| {
            let mut job = job(&labelled, &note(1));
            job.allowed = allowed;
            Arc::get_mut(&mut job.page).unwrap().models[0].ask = Some(ask());
            job
        };
        let scheduler = Scheduler::start(1, Arc::new(Gpus::none())).unwrap();
        let late = scheduler.submit(asked(Duration::from_millis(1))).outcome();
        assert!(matches!(late.await, Err(JobError::DeadlinePassed)));
        let mut first = std::pin::pin!(scheduler.submit(asked(Duration::from_secs(60))).outcome());
        let second = scheduler.submit(job(&plain, &note(1)));
        tokio::select! {
            biased;
            _ = &mut first => panic!("all labels were encoded in one turn"),
            outcome = second.outcome() => assert!(!entities(outcome.unwrap()).is_empty()),
        }
        let outcome = first.await.unwrap();
        assert!(outcome.computed > outcome.queued, "{:?}", outcome.queued);
        scheduler.stop();
    }

    #[tokio::test]
    async fn a_document_that_nobody_waits_for_is_dropped_with_its_places() {
        let entry = entry();
        let gate = Arc::new(Gate::default());
        let scheduler = Scheduler::start(1, Arc::new(Gpus::none())).unwrap();
        let tickets: Vec<Ticket> = (0..20)
            .map(|_| {
                let mut job = job(&entry, &note(2_000));
                job.places.push(gate.of(7).take_in(1).into());
                scheduler.submit(job)
            })
            .collect();
        assert_eq!(gate.inside(), 20);
        drop(tickets);
        // One fits in again only when no worker holds any of them.
        gate.of(8).enter(1, 1).await;
        scheduler.stop();
    }

    #[test]
    fn scores_wait_for_their_place_as_long_as_somebody_waits_for_them() {
        // Without workers nothing is ever answered.
        let scheduler = Scheduler::start(0, Arc::new(Gpus::none())).unwrap();
        let ticket = scheduler.submit(job(&entry(), &note(1)));
        let shared = Arc::clone(&scheduler.shared);
        let task = Arc::clone(&ticket.task);
        let returning = Returning { task, shared };
        // One that is larger than all that may wait gets in alone.
        assert!(returning.place(2 * SCORES).is_some());
        let full = returning.shared.scores.try_enter(SCORES, SCORES).unwrap();
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| returning.place(1));
            std::thread::sleep(Duration::from_millis(30));
            assert!(!waiting.is_finished());
            drop(full);
            assert!(waiting.join().unwrap().is_some());
        });
        let full = returning.shared.scores.try_enter(SCORES, SCORES).unwrap();
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| returning.place(1));
            drop(ticket);
            assert!(waiting.join().unwrap().is_none());
        });
        drop(full);
        assert_eq!(returning.shared.scores.inside(), 0);
    }

    #[test]
    fn scores_of_a_document_that_nobody_waits_for_keep_no_place() {
        let entry = of_fixture("gliner/bi-marker");
        let labels = crate::zero_shot::labels(&[api::Label::Name("disease".to_owned())]).unwrap();
        let mut job = job(&entry, &note(1));
        let ask = entry
            .model
            .zero_shot()
            .unwrap()
            .ask(&labels, 0.5, Default::default());
        Arc::get_mut(&mut job.page).unwrap().models[0].ask = Some(ask.unwrap());
        // Without workers nothing is ever answered.
        let scheduler = Scheduler::start(0, Arc::new(Gpus::none())).unwrap();
        let ticket = scheduler.submit(job);
        let returning = Arc::new(Returning {
            task: Arc::clone(&ticket.task),
            shared: Arc::clone(&scheduler.shared),
        });
        let work = Work::new(&ticket.task.job, Instant::now()).unwrap();
        ticket.task.work.get_or_init(|| work);
        let given = || vec![Values::All(vec![0.0; 8])];
        Arc::clone(&returning).computed(0, given(), Duration::ZERO);
        let inside = || scheduler.shared.scores.inside();
        assert_eq!(inside(), 8, "it waits for the CPU");
        // The line still has the document when its client goes.
        drop(ticket);
        assert_eq!(inside(), 0);
        returning.computed(0, given(), Duration::ZERO);
        assert_eq!(inside(), 0, "nor do those that come after that");
    }

    #[test]
    fn what_a_model_was_computed_in_names_all_that_had_a_part() {
        let named = |gpu, all| OnGpu::of(gpu, all).precision("bf16", "fp32");
        assert_eq!([named(0, 0), named(0, 3)], ["fp32"; 2]);
        assert_eq!([named(2, 3), named(3, 3)], ["bf16+fp32", "bf16"]);
        assert_eq!(OnGpu::Part.precision("fp32", "fp32"), "fp32");
    }

    #[tokio::test]
    async fn a_deadline_that_has_passed_is_told() {
        let entry = entry();
        let scheduler = Scheduler::start(1, Arc::new(Gpus::none())).unwrap();
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
        let scheduler = Scheduler::start(1, Arc::new(Gpus::none())).unwrap();
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
        assert!(scheduler.check(vec![Arc::clone(&entry.model)]).await.is_none());
    }
}
