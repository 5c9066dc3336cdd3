//! The threads of each GPU: some hand it batches, one at a time each, and one keeps its models as they should be.

use std::collections::{HashMap, HashSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::PoisonError;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{self, Receiver, Sender};
use std::time::{Duration, Instant};

use mednerd_gpu::protocol::{Batch, Fault, Labels, Load, Reply, Request, Values, Window};
use mednerd_worker::{CallError, Worker};

use super::line::{self, Outcome, Told};
use super::pace::{BATCH_TIME, BUDGET, LONGEST, Pace, cost};
use super::queue::Item;
use super::{Gpu, Phase, Served, Shared, Source, State, Wanted, passes};
use crate::models::{self, Model, Reference, Sequence, Unusable};
use crate::sync::lock;

/// How long a model may take to load.
const LOAD: Duration = Duration::from_secs(300);
/// How often a GPU without work is asked to compute something all the same.
const IDLE: Duration = Duration::from_secs(5);

/// Why a batch has no logits that can be used.
enum Failure {
    /// It does not fit.
    OutOfMemory,
    /// The worker must go, for this reason.
    Broken(String),
    /// This batch failed, and the worker may stay: it said so itself, or is dead already.
    Failed,
}

impl Failure {
    /// Why a worker that fails its self-check must go.
    fn of_self_check(self) -> String {
        match self {
            Self::Broken(cause) => cause,
            Self::OutOfMemory => "it has no memory for a few sequences".to_owned(),
            Self::Failed => "it failed the self-check".to_owned(),
        }
    }
}

/// A call's place among those that a GPU computes, until it is dropped.
struct Turn<'a> {
    shared: &'a Shared,
    index: usize,
    /// The child that the call is for.
    child: u64,
    number: u64,
    tell: Sender<Told>,
    told: Receiver<Told>,
}

impl<'a> Turn<'a> {
    fn of(shared: &'a Shared, index: usize, gpu: &mut Gpu) -> Self {
        let (number, tell, told) = gpu.line.join(Instant::now(), LONGEST.max(shared.engine.gpu_call));
        Self {
            shared,
            index,
            child: gpu.child,
            number,
            tell,
            told,
        }
    }

    /// Behind all that there are; `None` where there is no such GPU.
    fn next(shared: &'a Shared, index: usize) -> Option<Self> {
        let mut state = lock(&shared.state);
        let gpu = state.gpus.get_mut(index)?;
        Some(Self::of(shared, index, gpu))
    }

    /// Has the call computed that it is the turn of. How long it takes is not counted before its turn; `None` where it was answered before.
    fn take(
        self,
        worker: &Worker,
        request: &Request,
        expected: Duration,
        allowed: Duration,
    ) -> Result<(Reply, Option<Duration>), Failure> {
        let payload = postcard::to_allocvec(request).map_err(|_| Failure::Failed)?;
        let sent = Instant::now();
        let latest = {
            let mut state = lock(&self.shared.state);
            let gpu = state.gpus.get_mut(self.index).ok_or(Failure::Failed)?;
            gpu.line.sent(self.number, expected, allowed, sent)
        };
        // Another thread may know now when it has the next batch to make.
        self.shared.changed.notify_all();
        let tell = self.tell.clone();
        worker.call(payload, latest, move |result| {
            // Nobody listens any more where it was late.
            let _ = tell.send(Told::Reply(result));
        });
        let (outcome, time) = line::wait(&self.told, sent, allowed);
        // What comes behind has its turn now.
        drop(self);
        match outcome {
            Outcome::Reply(result) => Ok((read(result, allowed)?, time)),
            Outcome::Late => read(Err(CallError::DeadlinePassed), allowed).map(|reply| (reply, time)),
            Outcome::Over => Err(Failure::Failed),
        }
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        if let Some(gpu) = lock(&self.shared.state).gpus.get_mut(self.index) {
            gpu.line.leave(self.number, Instant::now());
        }
        self.shared.changed.notify_all();
    }
}

/// Hands batches to one GPU until the daemon ends, one at a time: as many threads do so as the GPU has batches at once. Where the
/// code panics, the worker is made to begin anew.
pub(super) fn compute(shared: &Shared, index: usize, worker: &Worker) {
    while catch_unwind(AssertUnwindSafe(|| hand_batches(shared, index, worker))).is_err() {
        let child = lock(&shared.state).gpus.get(index).map(|gpu| gpu.child);
        let cause = "the daemon's code panicked over a batch; the journal has the place";
        shared.condemn(index, worker, child, cause.to_owned());
    }
}

fn hand_batches(shared: &Shared, index: usize, worker: &Worker) {
    loop {
        let mut dropped = Vec::new();
        let (mut batch, mut serves, mut turn) = (Vec::new(), HashMap::new(), None);
        {
            let mut state = lock(&shared.state);
            while !state.stopping && turn.is_none() && dropped.is_empty() {
                let now = Instant::now();
                let mut wake = now + IDLE;
                let State { queue, gpus, .. } = &mut *state;
                if let Some(gpu) = gpus.get_mut(index).filter(|gpu| gpu.phase == Phase::Up) {
                    match gpu.line.due() {
                        Some(due) if due <= now => {
                            let budget = |base| {
                                gpu.paces
                                    .get(&base)
                                    .map_or_else(|| Pace::default().budget(), Pace::budget)
                            };
                            batch = queue.take(budget, |models| passes(&gpu.serves, models), &mut dropped);
                            let idle = gpu.line.idle_since().map(|since| since + IDLE);
                            wake = idle.unwrap_or(wake);
                            if !batch.is_empty() || wake <= now {
                                serves.clone_from(&gpu.serves);
                                turn = Some(Turn::of(shared, index, gpu));
                            }
                        }
                        Some(due) => wake = due,
                        None => {}
                    }
                }
                if turn.is_none() && dropped.is_empty() {
                    let waited = shared
                        .changed
                        .wait_timeout(state, wake.saturating_duration_since(now));
                    state = waited.unwrap_or_else(PoisonError::into_inner).0;
                }
            }
            if state.stopping {
                return;
            }
        }
        // Nobody waits for these: the CPU's workers see that and let them go.
        drop(dropped);
        match turn {
            Some(turn) if batch.is_empty() => idle(turn, worker, &serves),
            Some(turn) => run(turn, worker, &serves, batch),
            None => {}
        }
    }
}

/// Computes a batch, in halves where it does not fit, and gives every window back.
fn run(turn: Turn<'_>, worker: &Worker, serves: &HashMap<u64, Served>, batch: Vec<Item>) {
    let (shared, index, child) = (turn.shared, turn.index, turn.child);
    let (mut left, mut turn) = (vec![batch], Some(turn));
    while let Some(mut batch) = left.pop() {
        // Halves stand in line behind what other threads have handed in meanwhile.
        let Some(turn) = turn.take().or_else(|| Turn::next(shared, index)) else {
            return lose(shared, batch);
        };
        match try_batch(turn, worker, serves, &batch) {
            Ok((logits, time)) => {
                let tokens: usize = batch.iter().map(Item::tokens).sum();
                let size: usize = batch.iter().map(Item::size).sum();
                let each = time.div_f64(size.max(1) as f64);
                shared.counts.batches.fetch_add(1, Ordering::Relaxed);
                shared.counts.tokens.fetch_add(tokens as u64, Ordering::Relaxed);
                for (item, logits) in batch.into_iter().zip(logits) {
                    match logits {
                        Some(logits) => {
                            let time = each.mul_f64(item.size() as f64);
                            item.deliver(logits, time);
                        }
                        None => lose(shared, vec![item]),
                    }
                }
            }
            Err(Failure::OutOfMemory) if batch.len() > 1 => {
                shared.counts.halved.fetch_add(1, Ordering::Relaxed);
                let size: usize = batch.iter().map(Item::size).sum();
                let model = batch.first().and_then(|item| item.models.first());
                if let Some(served) = model.and_then(|model| serves.get(model)) {
                    shared.with_pace(index, &served.model, |pace| pace.shrink(size));
                }
                let half = batch.split_off(batch.len() / 2);
                left.push(half);
                left.push(batch);
            }
            Err(failure) => {
                if let Failure::Broken(cause) = failure {
                    // First, so that no other batch is tried, and what waits goes to the CPU at once.
                    shared.condemn(index, worker, Some(child), cause);
                    left.drain(..).for_each(|batch| lose(shared, batch));
                }
                lose(shared, batch);
            }
        }
    }
}

fn lose(shared: &Shared, items: Vec<Item>) {
    shared
        .counts
        .lost
        .fetch_add(items.len() as u64, Ordering::Relaxed);
    drop(items);
}

/// What the models give for a window, one by one; `None` where a logit is not finite, of which the CPU has the last word.
type Given = Option<Vec<Values>>;

/// A batch's logits, window by window, after the check of those that are known, and how long they took.
fn try_batch(
    turn: Turn<'_>,
    worker: &Worker,
    serves: &HashMap<u64, Served>,
    items: &[Item],
) -> Result<(Vec<Given>, Duration), Failure> {
    let windows: Vec<Window<'_>> = items
        .iter()
        .map(|item| window(&item.models, &item.sequence))
        .collect();
    let checked: Vec<u64> = {
        let models = windows.iter().flat_map(|window| window.models);
        let mut models: Vec<u64> = models.copied().collect();
        models.sort_unstable();
        models.dedup();
        models
    };
    let least = Some(turn.shared.engine.gpu_call);
    let (values, time) = forward(turn, worker, serves, least, &windows, &checked)?;
    let mut values = values.into_iter();
    let rows = items.iter().map(|item| {
        let of_models: Vec<Values> = values.by_ref().take(item.models.len()).collect();
        let mut all = of_models.iter().flat_map(Values::values);
        all.all(|value| value.is_finite()).then_some(of_models)
    });
    Ok((rows.collect(), time))
}

/// The logits of windows from each of their models, all over one base, and how long they took. Behind them goes the known sequence of each of the
/// `checked` models, which must come out as known. `least` is the shortest time that the batch is given; without it, it is given the
/// longest, and its time is not noted: the first call of a kind may have to set something up.
fn forward(
    turn: Turn<'_>,
    worker: &Worker,
    serves: &HashMap<u64, Served>,
    least: Option<Duration>,
    windows: &[Window<'_>],
    checked: &[u64],
) -> Result<(Vec<Values>, Duration), Failure> {
    let (shared, index) = (turn.shared, turn.index);
    let mut batch = Batch::default();
    windows.iter().for_each(|window| batch.push(*window));
    let known = |number: &u64| {
        let (sequence, expected) = serves.get(number)?.model.checks().first()?;
        Some((*number, sequence, expected))
    };
    let mut checks: Vec<(u64, &Sequence, &Vec<f32>)> = checked.iter().filter_map(known).collect();
    // Models over one base read a text alike.
    checks.sort_by(|(_, one, _), (_, other, _)| one.ids.cmp(&other.ids));
    for alike in checks.chunk_by(|(_, a, _), (_, b, _)| a == b) {
        let models: Vec<u64> = alike.iter().map(|(number, ..)| *number).collect();
        if let Some((_, sequence, _)) = alike.first() {
            batch.push(window(&models, sequence));
        }
    }
    let (mut expected, mut price) = (Vec::new(), 0.0);
    for asked in batch.windows().ok_or(Failure::Failed)? {
        let pairs = asked.words.len().saturating_mul(asked.labels.count());
        price += cost(asked.ids.len(), pairs) * passes(serves, asked.models).ok_or(Failure::Failed)?;
        let models = asked.models.iter().filter_map(|model| serves.get(model));
        let counts = models.map(|served| served.model.columns().saturating_mul(asked.answers()));
        expected.extend(counts.map(|count| (count, asked.floor)));
    }
    let first = batch.models.first().and_then(|models| models.first());
    let model = first
        .and_then(|model| serves.get(model))
        .map(|served| &*served.model);
    let (expected_time, allowed) = match (model, least) {
        (Some(model), Some(least)) => shared.with_pace(index, model, |pace| {
            let expected = pace.expected(price).unwrap_or_default();
            (expected, pace.allowed(price, least))
        }),
        // Whoever comes behind it is not kept waiting for what is not known.
        _ => (Duration::ZERO, LONGEST),
    };
    let begun = Instant::now();
    let (mut values, time) = match turn.take(worker, &Request::Forward(batch), expected_time, allowed)? {
        (Reply::Values(values), time) => (values, time),
        _ => return Err(Failure::Broken("it answered another question".to_owned())),
    };
    let passed = begun.elapsed();
    let mut pairs = values.iter().zip(&expected);
    if values.len() != expected.len() || !pairs.all(|(values, (count, floor))| values.fits(*count, *floor)) {
        return Err(Failure::Broken("it sent another number of values".to_owned()));
    }
    let known = values.split_off(values.len().saturating_sub(checks.len()));
    for ((_, _, expected), found) in checks.iter().zip(known) {
        if !agree(found.values(), expected, shared.engine.gpu_precision.tolerance()) {
            shared.counts.wrong.fetch_add(1, Ordering::Relaxed);
            return Err(Failure::Broken(
                "what it gives for a known sequence is wrong".to_owned(),
            ));
        }
    }
    if let (Some(model), Some(_), Some(time)) = (model, least, time) {
        shared.with_pace(index, model, |pace| pace.note(price, time));
    }
    Ok((values, time.unwrap_or(passed)))
}

/// A sequence as the worker is asked for it.
fn window<'a>(models: &'a [u64], sequence: &'a Sequence) -> Window<'a> {
    Window {
        models,
        ids: &sequence.ids,
        words: &sequence.words,
        floor: sequence.floor,
        labels: match &sequence.labels {
            models::Labels::At(places) => Labels::At(places),
            models::Labels::Encoded(set) => Labels::Encoded {
                count: set.len(),
                vectors: set.vectors(),
            },
        },
    }
}

/// Whether values are those that are expected, rounding aside.
fn agree(found: &[f32], expected: &[f32], tolerance: f32) -> bool {
    let squares =
        |values: &mut dyn Iterator<Item = f32>| values.map(|value| f64::from(value).powi(2)).sum::<f64>();
    let apart = squares(&mut found.iter().zip(expected).map(|(a, b)| a - b));
    let norm = squares(&mut expected.iter().copied());
    // NaN is not within any bound.
    found.len() == expected.len() && apart <= norm * f64::from(tolerance).powi(2)
}

/// One call that computes nothing, waited for.
fn call(worker: &Worker, request: &Request, allowed: Duration) -> Result<Reply, Failure> {
    let Ok(payload) = postcard::to_allocvec(request) else {
        return Err(Failure::Failed);
    };
    let (sender, receiver) = mpsc::channel();
    worker.call(payload, Instant::now() + allowed, move |result| {
        // The receiver waits.
        let _ = sender.send(result);
    });
    // Whoever does not answer is gone.
    let gone = |_| Err(CallError::Cancelled);
    read(receiver.recv().unwrap_or_else(gone), allowed)
}

/// What the worker says of a call that may take so long.
fn read(result: Result<Vec<u8>, CallError>, allowed: Duration) -> Result<Reply, Failure> {
    match result {
        Ok(bytes) => {
            let reply = postcard::from_bytes(&bytes);
            reply.map_err(|_| Failure::Broken("it sent what cannot be read".to_owned()))
        }
        Err(CallError::Failed(bytes)) => Err(match postcard::from_bytes(&bytes) {
            Ok(Fault::OutOfMemory) => Failure::OutOfMemory,
            Ok(Fault::Device(why)) => Failure::Broken(why),
            Ok(fault @ (Fault::Refused(_) | Fault::UnknownModel | Fault::Unreadable)) => {
                tracing::warn!("the GPU's worker refused a call: {fault}");
                Failure::Failed
            }
            Err(_) => Failure::Broken("it sent what cannot be read".to_owned()),
        }),
        Err(CallError::DeadlinePassed) => {
            let allowed = allowed.as_millis();
            Err(Failure::Broken(format!("a call was not done after {allowed} ms")))
        }
        // It is dead, or there is none: its supervisor tells.
        Err(_) => Err(Failure::Failed),
    }
}

/// Has a GPU without work compute what is known, so that one that is lost is found before it is needed, and asks how it is.
fn idle(turn: Turn<'_>, worker: &Worker, serves: &HashMap<u64, Served>) {
    let (shared, index, child) = (turn.shared, turn.index, turn.child);
    if serves.is_empty() {
        return;
    }
    let least = Some(shared.engine.gpu_call);
    let mut turn = Some(turn);
    for model in serves.keys() {
        let Some(turn) = turn.take().or_else(|| Turn::next(shared, index)) else {
            return;
        };
        if let Err(Failure::Broken(cause)) = forward(turn, worker, serves, least, &[], &[*model]) {
            return shared.condemn(index, worker, Some(child), cause);
        }
    }
    if let Ok(Reply::Health(statistics)) = call(worker, &Request::Health, shared.engine.gpu_call)
        && let Some(gpu) = lock(&shared.state).gpus.get_mut(index)
        && gpu.child == child
    {
        gpu.statistics = statistics;
    }
}

/// Keeps the models of one GPU as they should be until the daemon ends.
pub(super) fn load(shared: &Shared, index: usize, worker: &Worker) {
    let mut done = (0, 0);
    // What the present child has. What it could not take is not among it, and is tried again when something else has changed.
    let mut held: HashSet<u64> = HashSet::new();
    loop {
        let (child, version, wanted) = {
            let mut state = lock(&shared.state);
            loop {
                if state.stopping {
                    return;
                }
                let gpu = state.gpus.get(index).filter(|gpu| gpu.phase == Phase::Up);
                let now = gpu.map(|gpu| (gpu.child, state.version));
                match now.filter(|now| *now != done && now.1 > 0) {
                    Some((child, version)) => break (child, version, state.wanted.clone()),
                    None => state = shared.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
                }
            }
        };
        if child != done.0 {
            held.clear();
        }
        done = (child, version);
        if let Err(cause) = settle(shared, index, worker, child, &wanted, &mut held) {
            shared.condemn(index, worker, Some(child), cause);
        }
    }
}

/// Loads what is wanted, unloads what is not. `Err` is why the child must go.
fn settle(
    shared: &Shared,
    index: usize,
    worker: &Worker,
    child: u64,
    wanted: &[Wanted],
    held: &mut HashSet<u64>,
) -> Result<(), String> {
    let gone: Vec<u64> = held
        .iter()
        .copied()
        .filter(|model| !wanted.iter().any(|wanted| wanted.source.id == *model))
        .collect();
    for model in gone {
        shared.stop_serving(index, model);
        held.remove(&model);
        match call(worker, &Request::Unload { model }, LONGEST) {
            Err(Failure::Broken(cause)) => return Err(cause),
            _ => continue,
        }
    }
    let all = wanted;
    let mut reference = None;
    for wanted in wanted {
        if lock(&shared.state).stopping {
            return Ok(());
        }
        if held.contains(&wanted.source.id) {
            continue;
        }
        let source = &wanted.source;
        if let Some(model) = &wanted.model
            && let Err(why) = learn(model, source, all, &mut reference)
        {
            tracing::warn!(
                model = wanted.name,
                "the CPU computes this model: there is nothing to check a GPU with: {why}"
            );
            continue;
        }
        let request = Request::Load(Load {
            model: source.id,
            path: source.path.clone(),
            digest: source.digest.clone(),
            base: source.base,
        });
        let begun = Instant::now();
        let loaded = match call(worker, &request, LOAD) {
            Ok(Reply::Loaded(loaded)) => loaded,
            Ok(_) => return Err("it answered another question".to_owned()),
            Err(Failure::Broken(cause)) => return Err(cause),
            Err(failure) => {
                let why = match failure {
                    Failure::OutOfMemory => "it does not fit in the GPU's memory, see gpu_memory_mb",
                    _ => "the GPU's worker did not load it",
                };
                tracing::warn!(model = wanted.name, "the CPU computes this model: {why}");
                continue;
            }
        };
        held.insert(source.id);
        let Some(model) = &wanted.model else { continue };
        let served = Served::new(model, loaded);
        check(shared, index, worker, source.id, &served)?;
        warm(shared, index, worker, source, &served)?;
        let mut state = lock(&shared.state);
        let Some(gpu) = state
            .gpus
            .get_mut(index)
            .filter(|gpu| gpu.child == child && gpu.phase == Phase::Up)
        else {
            // It died meanwhile; the next child begins anew.
            return Ok(());
        };
        gpu.serves.insert(source.id, served);
        gpu.served = true;
        tracing::info!(
            model = wanted.name,
            gpu = gpu.ordinal,
            bytes = loaded.bytes,
            milliseconds = begun.elapsed().as_millis(),
            "the GPU computes this model and agrees with the CPU"
        );
        drop(state);
        shared.changed.notify_all();
    }
    Ok(())
}

/// Computes what a GPU must give for a model, once. The logits are those of single precision: where the CPU serves in 8 bits, the
/// base is opened again for it, and kept in `reference` for the adapters over it that follow.
fn learn(
    model: &Model,
    source: &Source,
    wanted: &[Wanted],
    reference: &mut Option<(u64, Reference)>,
) -> Result<(), Unusable> {
    if model.has_checks() || model.is_single() {
        return model.learn_checks(None);
    }
    if reference.as_ref().is_none_or(|(base, _)| *base != source.trunk()) {
        // The memory of the one before goes first.
        *reference = None;
        let base = wanted.iter().find(|wanted| wanted.source.id == source.trunk());
        let base = base.ok_or("its base is no longer there")?;
        *reference = Some((source.trunk(), Reference::open(&base.source)?));
    }
    model.learn_checks(reference.as_ref().map(|(_, reference)| reference))
}

/// Has a model that was loaded compute what is known of it, packed together.
fn check(shared: &Shared, index: usize, worker: &Worker, number: u64, served: &Served) -> Result<(), String> {
    let serves = HashMap::from([(number, served.clone())]);
    let (checks, models) = (served.model.checks(), [number]);
    let windows: Vec<Window<'_>> = checks
        .iter()
        .map(|(sequence, _)| window(&models, sequence))
        .collect();
    let turn = Turn::next(shared, index).ok_or("there is no such GPU")?;
    let found = match forward(turn, worker, &serves, None, &windows, &models) {
        Ok((found, _)) => found,
        Err(failure) => return Err(failure.of_self_check()),
    };
    let tolerance = shared.engine.gpu_precision.tolerance();
    let agrees = found
        .iter()
        .zip(checks)
        .all(|(found, (_, expected))| agree(found.values(), expected, tolerance));
    if agrees {
        return Ok(());
    }
    shared.counts.wrong.fetch_add(1, Ordering::Relaxed);
    Err("what it gives differs from the CPU's in the self-check".to_owned())
}

/// Has the first model over a base compute batches of growing size, of sequences as short and as long as they come, until one takes
/// what a batch should take. After that it is known how long a batch may take, and the first client's needs nothing set up.
fn warm(
    shared: &Shared,
    index: usize,
    worker: &Worker,
    source: &Source,
    served: &Served,
) -> Result<(), String> {
    if lock(&shared.state)
        .gpus
        .get(index)
        .is_none_or(|gpu| gpu.paces.contains_key(&source.trunk()))
    {
        return Ok(());
    }
    let (serves, models) = (HashMap::from([(source.id, served.clone())]), [source.id]);
    let probe = served.model.checks().first();
    let probe = probe.map_or(&[][..], |(sequence, _)| &sequence.ids);
    let context = served.model.facts.context;
    let long: Vec<u32> = probe.iter().copied().cycle().take(context).collect();
    let short: Vec<u32> = probe.iter().copied().take(2).collect();
    let most = BUDGET.1 as usize / long.len().max(1);
    let [short, long] = [short, long].map(|ids| served.model.sequence_of(ids));
    let mut batches = vec![(short, 1)];
    batches.extend(
        (0..9)
            .map(|step| (long.clone(), 1 << (2 * step)))
            .take_while(|(_, count)| *count <= most.max(1)),
    );
    for (sequence, count) in batches {
        let windows = vec![window(&models, &sequence); count];
        let mut time = Duration::ZERO;
        // What is computed for the first time may have to be set up.
        for least in [None, Some(LONGEST)] {
            let turn = Turn::next(shared, index).ok_or("there is no such GPU")?;
            match forward(turn, worker, &serves, least, &windows, &models) {
                Ok((_, taken)) => time = taken,
                // Then batches will be smaller.
                Err(Failure::OutOfMemory) if count > 1 => return Ok(()),
                Err(failure) => return Err(failure.of_self_check()),
            }
        }
        if time > BATCH_TIME {
            break;
        }
    }
    Ok(())
}

impl Shared {
    /// What is known of a GPU's pace with this model's base.
    fn with_pace<T>(&self, index: usize, model: &Model, with: impl FnOnce(&mut Pace) -> T) -> T {
        let mut state = lock(&self.state);
        match (state.gpus.get_mut(index), &model.source) {
            (Some(gpu), Some(source)) => with(gpu.paces.entry(source.trunk()).or_default()),
            _ => with(&mut Pace::default()),
        }
    }

    /// This child of a GPU is of no use, for a reason that its supervisor cannot know: it is killed, and what it has comes back. Where
    /// another call has found so before, or it is dead, its successor is left alone.
    fn condemn(&self, index: usize, worker: &Worker, child: Option<u64>, cause: String) {
        let is_there = lock(&self.state)
            .gpus
            .get(index)
            .is_some_and(|gpu| Some(gpu.child) == child && gpu.phase == Phase::Up);
        if is_there {
            self.down(index, &cause);
            worker.condemn(cause);
        }
    }

    /// A model is no longer wanted. What waits for it on this GPU alone comes back.
    fn stop_serving(&self, index: usize, model: u64) {
        let documents = {
            let mut state = lock(&self.state);
            let State { queue, gpus, .. } = &mut *state;
            if let Some(gpu) = gpus.get_mut(index) {
                gpu.serves.remove(&model);
            }
            queue.take_unserved(|models| gpus.iter().any(|gpu| gpu.serves_all(models)))
        };
        drop(documents);
    }
}
