//! The two threads of each GPU: one hands it batches, one keeps its models as they should be.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError, mpsc};
use std::time::{Duration, Instant};

use mednerd_gpu::protocol::{Batch, Fault, Load, Reply, Request};
use mednerd_worker::{CallError, Worker};

use super::queue::Item;
use super::{Phase, Shared, State, Wanted};
use crate::models::Model;
use crate::sync::lock;

/// What a batch should take: long enough to fill a GPU, short enough that nobody waits for it.
const BATCH_TIME: Duration = Duration::from_millis(40);
/// A batch that takes so many times what was expected is stuck.
const PATIENCE: u32 = 8;
/// The longest that any batch may take.
const LONGEST: Duration = Duration::from_secs(30);
/// Tokens in the first batch, before it is known how fast the GPU is.
const FIRST_BUDGET: f64 = 2048.0;
/// Bounds of the budget.
const BUDGET: (f64, f64) = (256.0, 262_144.0);
/// A sequence of this length costs as much in attention as in everything else, more or less.
const ATTENTION: f64 = 4096.0;
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

/// What is known of a GPU's speed.
struct Pace {
    /// Cost per second, smoothed.
    rate: Option<f64>,
    /// The most tokens in a batch.
    limit: f64,
}

/// What a sequence costs, in tokens of a short one.
fn cost(length: usize) -> f64 {
    let length = length as f64;
    length * (1.0 + length / ATTENTION)
}

impl Pace {
    fn budget(&self) -> usize {
        let wished = self
            .rate
            .map_or(FIRST_BUDGET, |rate| rate * BATCH_TIME.as_secs_f64());
        wished.clamp(BUDGET.0, BUDGET.1).min(self.limit) as usize
    }

    /// How long a batch of this cost may take.
    fn allowed(&self, cost: f64, least: Duration) -> Duration {
        let expected = self.rate.map_or(0.0, |rate| cost / rate);
        let allowed = Duration::try_from_secs_f64(expected * f64::from(PATIENCE)).unwrap_or(LONGEST);
        allowed.clamp(least, LONGEST.max(least))
    }

    fn note(&mut self, cost: f64, time: Duration) {
        let rate = cost / time.as_secs_f64().max(1e-6);
        self.rate = Some(self.rate.map_or(rate, |before| before * 0.75 + rate * 0.25));
        // What did not fit before may fit again.
        self.limit = (self.limit * 1.01).min(BUDGET.1);
    }
}

/// Hands batches to one GPU until the daemon ends. Where the code panics, the worker is made to begin anew.
pub(super) fn compute(shared: &Shared, index: usize, worker: &Worker) {
    while catch_unwind(AssertUnwindSafe(|| hand_batches(shared, index, worker))).is_err() {
        let cause = "the daemon's code panicked over a batch; the journal has the place";
        shared.down(index, cause);
        worker.condemn(cause);
    }
}

fn hand_batches(shared: &Shared, index: usize, worker: &Worker) {
    let mut pace = Pace {
        rate: None,
        limit: BUDGET.1,
    };
    let mut last = Instant::now();
    loop {
        let mut dropped = Vec::new();
        let (mut batch, mut serves) = (Vec::new(), HashMap::new());
        {
            let mut state = lock(&shared.state);
            while !state.stopping && batch.is_empty() && last.elapsed() < IDLE {
                let State { queue, gpus, .. } = &mut *state;
                if let Some(gpu) = gpus.get(index).filter(|gpu| gpu.phase == Phase::Up) {
                    batch = queue.take(pace.budget(), |models| gpu.serves_all(models), &mut dropped);
                }
                if batch.is_empty() && dropped.is_empty() {
                    let waited = shared
                        .changed
                        .wait_timeout(state, IDLE.saturating_sub(last.elapsed()));
                    state = waited.unwrap_or_else(PoisonError::into_inner).0;
                } else {
                    break;
                }
            }
            if state.stopping {
                return;
            }
            if let Some(gpu) = state.gpus.get(index) {
                serves.clone_from(&gpu.serves);
            }
        }
        // Nobody waits for these: the CPU's workers see that and let them go.
        drop(dropped);
        if !batch.is_empty() {
            run(shared, index, worker, &serves, &mut pace, batch);
            last = Instant::now();
        } else if last.elapsed() >= IDLE {
            idle(shared, index, worker, &serves, &pace);
            last = Instant::now();
        }
    }
}

/// Computes a batch, in halves where it does not fit, and gives every window back.
fn run(
    shared: &Shared,
    index: usize,
    worker: &Worker,
    serves: &HashMap<u64, Arc<Model>>,
    pace: &mut Pace,
    batch: Vec<Item>,
) {
    let mut left = vec![batch];
    while let Some(mut batch) = left.pop() {
        let begun = Instant::now();
        match try_batch(shared, worker, serves, pace, &batch) {
            Ok(logits) => {
                let tokens: usize = batch.iter().map(Item::tokens).sum();
                let each = begun.elapsed().div_f64(tokens.max(1) as f64);
                shared.counts.batches.fetch_add(1, Ordering::Relaxed);
                shared.counts.tokens.fetch_add(tokens as u64, Ordering::Relaxed);
                for (item, logits) in batch.into_iter().zip(logits) {
                    match logits {
                        Some(logits) => {
                            let time = each.mul_f64(item.tokens() as f64);
                            item.deliver(logits, time);
                        }
                        None => lose(shared, vec![item]),
                    }
                }
            }
            Err(Failure::OutOfMemory) if batch.len() > 1 => {
                shared.counts.halved.fetch_add(1, Ordering::Relaxed);
                let tokens: usize = batch.iter().map(Item::tokens).sum();
                pace.limit = (tokens as f64 / 2.0).max(BUDGET.0);
                let half = batch.split_off(batch.len() / 2);
                left.push(half);
                left.push(batch);
            }
            Err(failure) => {
                if let Failure::Broken(cause) = failure {
                    // First, so that no other batch is tried, and what waits goes to the CPU at once.
                    shared.down(index, &cause);
                    worker.condemn(cause);
                    lose(shared, batch);
                    left.drain(..).for_each(|batch| lose(shared, batch));
                } else {
                    lose(shared, batch);
                }
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

/// A batch's logits, window by window and model by model, after the check of those that are known; `None` for a window with
/// a logit that is not finite, of which the CPU has the last word.
fn try_batch(
    shared: &Shared,
    worker: &Worker,
    serves: &HashMap<u64, Arc<Model>>,
    pace: &mut Pace,
    items: &[Item],
) -> Result<Vec<Option<Vec<Vec<f32>>>>, Failure> {
    let mut sequences: Vec<(u64, &[u32])> = Vec::new();
    for item in items {
        sequences.extend(item.models.iter().map(|model| (*model, item.ids.as_slice())));
    }
    let checked: Vec<u64> = {
        let mut models: Vec<u64> = sequences.iter().map(|(model, _)| *model).collect();
        models.sort_unstable();
        models.dedup();
        models
    };
    let logits = forward(shared, worker, serves, pace, &sequences, &checked)?;
    let mut logits = logits.into_iter();
    let rows = items.iter().map(|item| {
        let of_models: Vec<Vec<f32>> = logits.by_ref().take(item.models.len()).collect();
        let finite = of_models.iter().flatten().all(|logit| logit.is_finite());
        finite.then_some(of_models)
    });
    Ok(rows.collect())
}

/// The logits of sequences, and behind them the known sequence of each of the `checked` models, which must come out as known.
fn forward(
    shared: &Shared,
    worker: &Worker,
    serves: &HashMap<u64, Arc<Model>>,
    pace: &mut Pace,
    sequences: &[(u64, &[u32])],
    checked: &[u64],
) -> Result<Vec<Vec<f32>>, Failure> {
    let mut batch = Batch::default();
    sequences.iter().for_each(|(model, ids)| batch.push(*model, ids));
    let checks: Vec<(&Arc<Model>, &[u32], &[f32])> = checked
        .iter()
        .filter_map(|number| {
            let model = serves.get(number)?;
            let (ids, expected) = model.checks().first()?;
            batch.push(*number, ids);
            Some((model, ids.as_slice(), expected.as_slice()))
        })
        .collect();
    let cost: f64 = batch.lengths.iter().map(|length| cost(*length as usize)).sum();
    let widths: Option<Vec<usize>> = batch
        .models
        .iter()
        .zip(&batch.lengths)
        .map(|(model, length)| Some(serves.get(model)?.classes() * *length as usize))
        .collect();
    let Some(widths) = widths else {
        return Err(Failure::Failed);
    };
    let begun = Instant::now();
    let allowed = pace.allowed(cost, shared.engine.gpu_call);
    let values = match call(worker, &Request::Forward(batch), allowed) {
        Ok(Reply::Logits(values)) => values,
        Ok(_) => return Err(Failure::Broken("it answered another question".to_owned())),
        Err(failure) => return Err(failure),
    };
    if values.len() != widths.iter().sum::<usize>() {
        return Err(Failure::Broken("it sent another number of logits".to_owned()));
    }
    let mut rest = values.as_slice();
    let mut logits: Vec<Vec<f32>> = Vec::with_capacity(widths.len());
    for width in widths {
        let (row, after) = rest.split_at_checked(width).unwrap_or_default();
        logits.push(row.to_vec());
        rest = after;
    }
    let known = logits.split_off(sequences.len());
    for ((_, _, expected), found) in checks.iter().zip(known) {
        if !agree(&found, expected, shared.engine.gpu_precision.tolerance()) {
            shared.counts.wrong.fetch_add(1, Ordering::Relaxed);
            return Err(Failure::Broken(
                "its logits for a known sequence are wrong".to_owned(),
            ));
        }
    }
    pace.note(cost, begun.elapsed());
    Ok(logits)
}

/// Whether logits are those that are expected, rounding aside.
fn agree(found: &[f32], expected: &[f32], tolerance: f32) -> bool {
    let squares =
        |values: &mut dyn Iterator<Item = f32>| values.map(|value| f64::from(value).powi(2)).sum::<f64>();
    let apart = squares(&mut found.iter().zip(expected).map(|(a, b)| a - b));
    let norm = squares(&mut expected.iter().copied());
    // NaN is not within any bound.
    found.len() == expected.len() && apart <= norm * f64::from(tolerance).powi(2)
}

/// One call, waited for.
fn call(worker: &Worker, request: &Request, allowed: Duration) -> Result<Reply, Failure> {
    let Ok(payload) = postcard::to_allocvec(request) else {
        return Err(Failure::Failed);
    };
    let (sender, receiver) = mpsc::channel();
    worker.call(payload, Instant::now() + allowed, move |result| {
        // The receiver waits.
        let _ = sender.send(result);
    });
    match receiver.recv() {
        Ok(Ok(bytes)) => {
            let reply = postcard::from_bytes(&bytes);
            reply.map_err(|_| Failure::Broken("it sent what cannot be read".to_owned()))
        }
        Ok(Err(CallError::Failed(bytes))) => Err(match postcard::from_bytes(&bytes) {
            Ok(Fault::OutOfMemory) => Failure::OutOfMemory,
            Ok(Fault::Device(why)) => Failure::Broken(why),
            Ok(fault @ (Fault::Refused(_) | Fault::UnknownModel | Fault::Unreadable)) => {
                tracing::warn!("the GPU's worker refused a call: {fault}");
                Failure::Failed
            }
            Err(_) => Failure::Broken("it sent what cannot be read".to_owned()),
        }),
        Ok(Err(CallError::DeadlinePassed)) => {
            let allowed = allowed.as_millis();
            Err(Failure::Broken(format!("a call was not done after {allowed} ms")))
        }
        // It is dead, or there is none: its supervisor tells.
        Ok(Err(_)) | Err(_) => Err(Failure::Failed),
    }
}

/// Has a GPU without work compute what is known, so that one that is lost is found before it is needed, and asks how it is.
fn idle(shared: &Shared, index: usize, worker: &Worker, serves: &HashMap<u64, Arc<Model>>, pace: &Pace) {
    let child = lock(&shared.state).gpus.get(index).map(|gpu| gpu.child);
    if serves.is_empty() {
        return;
    }
    // The pace of batches is none of this one's business.
    let mut own = Pace {
        rate: pace.rate,
        limit: pace.limit,
    };
    for model in serves.keys() {
        if let Err(Failure::Broken(cause)) = forward(shared, worker, serves, &mut own, &[], &[*model]) {
            shared.down(index, &cause);
            return worker.condemn(cause);
        }
    }
    if let Ok(Reply::Health(statistics)) = call(worker, &Request::Health, LONGEST)
        && let Some(gpu) = lock(&shared.state).gpus.get_mut(index)
        && Some(gpu.child) == child
    {
        gpu.statistics = statistics;
    }
}

/// Keeps the models of one GPU as they should be until the daemon ends.
pub(super) fn load(shared: &Shared, index: usize, worker: &Worker) {
    let mut done = (0, 0);
    // What the present child has, and whether it is of use.
    let mut held: HashMap<u64, bool> = HashMap::new();
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
            shared.down(index, &cause);
            worker.condemn(cause);
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
    held: &mut HashMap<u64, bool>,
) -> Result<(), String> {
    let gone: Vec<u64> = held
        .keys()
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
    for wanted in wanted {
        let place = match held.entry(wanted.source.id) {
            Entry::Occupied(_) => continue,
            Entry::Vacant(place) => place,
        };
        let source = &wanted.source;
        let request = Request::Load(Load {
            model: source.id,
            path: source.path.clone(),
            digest: source.digest.clone(),
            base: source.base,
        });
        let begun = Instant::now();
        let bytes = match call(worker, &request, LOAD) {
            Ok(Reply::Loaded { bytes }) => bytes,
            Ok(_) => return Err("it answered another question".to_owned()),
            Err(Failure::Broken(cause)) => return Err(cause),
            Err(failure) => {
                place.insert(false);
                let why = match failure {
                    Failure::OutOfMemory => "it does not fit in the GPU's memory, see gpu_memory_mb",
                    _ => "the GPU's worker did not load it",
                };
                tracing::warn!(model = wanted.name, "the CPU computes this model: {why}");
                continue;
            }
        };
        place.insert(true);
        let Some(model) = &wanted.model else { continue };
        check(shared, worker, source.id, model)?;
        let mut state = lock(&shared.state);
        let Some(gpu) = state
            .gpus
            .get_mut(index)
            .filter(|gpu| gpu.child == child && gpu.phase == Phase::Up)
        else {
            // It died meanwhile; the next child begins anew.
            return Ok(());
        };
        gpu.serves.insert(source.id, Arc::clone(model));
        gpu.served = true;
        tracing::info!(
            model = wanted.name,
            gpu = gpu.ordinal,
            bytes,
            milliseconds = begun.elapsed().as_millis(),
            "the GPU computes this model and agrees with the CPU"
        );
        drop(state);
        shared.changed.notify_all();
    }
    Ok(())
}

/// Has a model that was loaded compute what is known of it, packed together.
fn check(shared: &Shared, worker: &Worker, number: u64, model: &Arc<Model>) -> Result<(), String> {
    let serves = HashMap::from([(number, Arc::clone(model))]);
    let checks = model.checks();
    let sequences: Vec<(u64, &[u32])> = checks.iter().map(|(ids, _)| (number, ids.as_slice())).collect();
    let mut pace = Pace {
        rate: None,
        limit: BUDGET.1,
    };
    // The first call of a kind may have to set something up.
    pace.rate = Some(1.0);
    if checks.is_empty() {
        return Err("the CPU has no logits to compare with".to_owned());
    }
    let found = match forward(shared, worker, &serves, &mut pace, &sequences, &[number]) {
        Ok(found) => found,
        Err(Failure::Broken(cause)) => return Err(cause),
        Err(Failure::OutOfMemory) => return Err("it has no memory for a few sequences".to_owned()),
        Err(Failure::Failed) => return Err("it failed the self-check".to_owned()),
    };
    let tolerance = shared.engine.gpu_precision.tolerance();
    let agrees = found
        .iter()
        .zip(checks)
        .all(|(found, (_, expected))| agree(found, expected, tolerance));
    if agrees {
        return Ok(());
    }
    shared.counts.wrong.fetch_add(1, Ordering::Relaxed);
    Err("its logits differ from the CPU's in the self-check".to_owned())
}

impl Shared {
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
