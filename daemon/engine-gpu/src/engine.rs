//! The engine of a GPU worker, on any device: models by number, and batches of windows for several of them at once.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use mednerd_gpu::Engine;
use mednerd_gpu::protocol::{Fault, Load, Loaded, Precision, Values as Found, Window};
use mednerd_model::{Adapter, Checkpoint};
use mednerd_worker::child::Token;

use crate::changes::Own;
use crate::device::{Device, DeviceError, Kind, Values};
use crate::lower::{Cache, HeadWeights, LowerError, Lowering, NormWeights, TrunkWeights};
use crate::pack::{Branch, pack, pack_in_blocks};
use crate::run::Adapted;
use crate::scorer::{Scorer, Text};

/// Loaded models on a device. `Send + Sync`: loading and computing go on side by side.
///
/// What a call launches is launched at once, behind what the call before it has launched, which may still be computed: between the two
/// the device waits for nobody. What the device does one after the other shares its memory, so that two calls take as much as
/// the larger of them.
pub struct GpuEngine<D: Device> {
    device: D,
    /// Memory that weights and activations may take.
    budget: u64,
    models: Mutex<HashMap<u64, Arc<Model<D>>>>,
    /// Held by the call that launches. How often recordings were made or replayed.
    launching: Mutex<u64>,
    /// Held by the call that waits for the device, in the order of the launches: one alone, so that one core alone is kept busy by it.
    waiting: Mutex<()>,
    /// Memory that calls keep until they have waited.
    kept: AtomicU64,
    recordings: Arc<AtomicU64>,
}

/// Waits for the device, and gives what was asked of windows.
pub(crate) type Later<'a> = Box<dyn FnOnce() -> Result<Vec<Found>, DeviceError> + 'a>;

/// Batches that were launched: what is asked in each, and what waits for it.
type Launched<'a> = Vec<(Vec<usize>, Later<'a>)>;

/// Waits for batches.
fn wait(launched: Launched<'_>, found: &mut [Found]) -> Result<(), Fault> {
    for (numbers, later) in launched {
        for (index, values) in numbers.into_iter().zip(later()?) {
            if let Some(place) = found.get_mut(index) {
                *place = values;
            }
        }
    }
    Ok(())
}

/// Memory that a call keeps.
struct Kept<'a>(&'a AtomicU64, u64);

impl<'a> Kept<'a> {
    fn new(all: &'a AtomicU64, bytes: u64) -> Self {
        all.fetch_add(bytes, Ordering::Relaxed);
        Self(all, bytes)
    }
}

impl Drop for Kept<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(self.1, Ordering::Relaxed);
    }
}

/// Every critical section leaves the data whole at each step.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Model<D: Device> {
    trunk: Arc<TrunkWeights<D::Buffer>>,
    own: Own<D::Buffer>,
    /// The first layer that an adapter changes; as many as there are for a model that is the trunk as it is.
    first: usize,
    tail: Tail<D::Buffer>,
    /// Token ids are below this.
    rows: usize,
    context: usize,
    loaded: Loaded,
    /// For adapters to be lowered over; an adapter has none.
    base: Option<Base<D>>,
    /// Small batches for this model alone, by their tokens and sequences.
    recorded: Mutex<HashMap<(usize, usize), Known<D>>>,
}

/// A small batch that the device does again without being told each launch.
struct Known<D: Device> {
    /// When it was last done, by the engine's clock.
    used: u64,
    _counted: Counted,
    batch: D::Buffer,
    recording: D::Recording,
    logits: D::Buffer,
}

/// One of the recordings that there are.
struct Counted(Arc<AtomicU64>);

impl Counted {
    fn new(all: &Arc<AtomicU64>) -> Self {
        all.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(all))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Recordings that are kept, of all models: beyond, the one that was not done for longest goes.
const RECORDINGS: u64 = 256;
/// What the driver keeps of one, about: 1 KiB for each launch.
const RECORDING: u64 = 256 << 10;

/// Tokens of a batch that is recorded, at most: beyond, the GPU takes longer than it takes to be told.
const RECORDED: usize = 1024;
/// And sequences.
const SEQUENCES: usize = 4;

/// Floats that a kernel writes at once, at most.
const TOGETHER: usize = 8;

/// What comes after the trunk.
enum Tail<B> {
    /// A head: logits of every token.
    Head(Box<HeadWeights<B>>),
    /// Scores of words for labels, from hidden states after this norm. Adapters leave the scorer as it is.
    Scores(Option<NormWeights<B>>, Arc<Scorer<B>>),
    /// Nothing; adapters over it have heads.
    Nothing,
}

struct Base<D: Device> {
    checkpoint: Checkpoint,
    cache: Cache<D::Buffer>,
}

impl From<LowerError> for Fault {
    fn from(error: LowerError) -> Self {
        match error {
            LowerError::Device(error) => error.into(),
            LowerError::Model(error) => Self::Refused(error.to_string()),
            LowerError::Unsupported(why) => Self::Refused(why),
        }
    }
}

fn refused(error: impl std::fmt::Display) -> Fault {
    Fault::Refused(error.to_string())
}

fn same(found: &str, expected: &str) -> Result<(), Fault> {
    match found == expected {
        true => Ok(()),
        false => Err(refused("its files have changed since the daemon read them")),
    }
}

impl<D: Device> GpuEngine<D> {
    /// An engine without models, which may take `budget` bytes of the device.
    pub fn new(device: D, budget: u64) -> Self {
        Self {
            device,
            budget,
            models: Mutex::default(),
            launching: Mutex::default(),
            waiting: Mutex::default(),
            kept: AtomicU64::new(0),
            recordings: Arc::default(),
        }
    }

    fn models(&self) -> MutexGuard<'_, HashMap<u64, Arc<Model<D>>>> {
        lock(&self.models)
    }

    fn used(&self) -> u64 {
        let models: u64 = self.models().values().map(|model| model.loaded.bytes).sum();
        models + self.device.recorded() + RECORDING * self.recordings.load(Ordering::Relaxed)
    }

    /// Makes room for a recording. Nobody else makes or replays one meanwhile.
    fn forget_one(&self) {
        if self.recordings.load(Ordering::Relaxed) < RECORDINGS {
            return;
        }
        let models: Vec<Arc<Model<D>>> = self.models().values().cloned().collect();
        let oldest = models.iter().filter_map(|model| {
            let recorded = lock(&model.recorded);
            let oldest = recorded.iter().min_by_key(|(_, known)| known.used);
            oldest.map(|(shape, known)| (known.used, *shape, model))
        });
        if let Some((_, shape, model)) = oldest.min_by_key(|(used, ..)| *used) {
            lock(&model.recorded).remove(&shape);
        }
    }

    /// Refuses a batch that will not fit before any of it is launched. One that does not fit beside what the call before it keeps waits for
    /// that call, which waits for the device alone.
    fn fits(&self, bytes: u64) -> Result<(), Fault> {
        let over = || {
            let kept = self.kept.load(Ordering::Relaxed);
            self.used().saturating_add(kept).saturating_add(bytes) > self.budget
        };
        if over() && self.kept.load(Ordering::Relaxed) > 0 {
            drop(lock(&self.waiting));
        }
        match over() {
            true => Err(Fault::OutOfMemory),
            false => Ok(()),
        }
    }

    /// Refuses what will not fit before any of it is copied.
    fn room(&self, parameters: u64) -> Result<(), Fault> {
        let element = match self.device.precision() {
            // Most of them.
            Precision::Fp8 => 1,
            precision => precision.bytes(),
        };
        match self.used().saturating_add(parameters.saturating_mul(element)) > self.budget {
            true => Err(Fault::OutOfMemory),
            false => Ok(()),
        }
    }

    fn checkpoint(&self, load: &Load) -> Result<Model<D>, Fault> {
        let checkpoint = Checkpoint::open_base(&load.path).map_err(refused)?;
        same(checkpoint.digest(), &load.digest)?;
        if checkpoint.weights().is_empty() {
            return Err(refused("an ONNX export has no layers that a GPU could be given"));
        }
        self.room(checkpoint.parameters())?;
        let nothing = Cache::new();
        let mut lowering = Lowering::new(&self.device, &checkpoint, None, &nothing);
        let architecture = checkpoint.architecture();
        let trunk = Arc::new(lowering.trunk(architecture)?);
        let norm = architecture.final_norm.as_ref();
        let tail = match (checkpoint.gliner(), checkpoint.headless()) {
            (Some(gliner), _) => {
                let norm = norm.map(|norm| lowering.norm(norm)).transpose()?;
                Tail::Scores(norm, Arc::new(lowering.scorer(gliner)?))
            }
            (None, true) => Tail::Nothing,
            (None, false) => Tail::Head(Box::new(lowering.head(norm, &architecture.head)?)),
        };
        let own = trunk.own(&self.device)?;
        let (cache, bytes) = (lowering.own, lowering.bytes + own.bytes);
        Ok(Model {
            own,
            first: trunk.layers.len(),
            trunk,
            tail,
            rows: architecture.embeddings.words.rows,
            context: checkpoint.context(),
            loaded: Loaded { bytes, own: 0.0 },
            base: Some(Base { checkpoint, cache }),
            recorded: Mutex::default(),
        })
    }

    fn adapter(&self, load: &Load, over: &Model<D>) -> Result<Model<D>, Fault> {
        let base = over.base.as_ref().ok_or(Fault::UnknownModel)?;
        let adapter = Adapter::open(&load.path, &base.checkpoint).map_err(refused)?;
        same(adapter.digest(), &load.digest)?;
        self.room(adapter.parameters().saturating_mul(2))?;
        let mut lowering = Lowering::new(&self.device, &base.checkpoint, Some(&adapter), &base.cache);
        let architecture = adapter.architecture();
        let norm = architecture.final_norm.as_ref();
        let tail = match &over.tail {
            Tail::Scores(_, scorer) => {
                let norm = norm.map(|norm| lowering.norm(norm)).transpose()?;
                Tail::Scores(norm, Arc::clone(scorer))
            }
            Tail::Head(_) | Tail::Nothing => Tail::Head(Box::new(lowering.head(norm, &architecture.head)?)),
        };
        let of_head: Vec<String> = architecture
            .head
            .tensors()
            .into_iter()
            .map(|tensor| tensor.name)
            .collect();
        let norm = architecture.final_norm.iter();
        let norm: Vec<&String> = norm
            .flat_map(|norm| std::iter::once(&norm.weight).chain(&norm.bias))
            .collect();
        let replaces = architecture.tensors().into_iter().any(|tensor| {
            !of_head.contains(&tensor.name) && !norm.contains(&&tensor.name) && adapter.replaces(&tensor.name)
        });
        // What brings tensors of its own has a trunk of its own, of the base's tensors where these are the same.
        let trunk = match replaces {
            true => Arc::new(lowering.trunk(architecture)?),
            false => Arc::clone(&over.trunk),
        };
        let Adapted { own, first } = trunk.adapt(&mut lowering, &adapter)?;
        let layers = trunk.layers.len();
        #[allow(clippy::cast_precision_loss)]
        let loaded = Loaded {
            bytes: lowering.bytes + own.bytes,
            own: match replaces {
                true => 1.0,
                false => (layers - first) as f32 / layers.max(1) as f32,
            },
        };
        Ok(Model {
            own,
            first,
            trunk,
            tail,
            rows: over.rows,
            context: over.context,
            loaded,
            base: None,
            recorded: Mutex::default(),
        })
    }

    /// What [`Self::batch`] gives, for a small batch for one model with a head: recorded the first time that there is one of as many
    /// tokens and sequences, and done again from then on. `None` for all others, and where the device records nothing.
    fn again<'a>(
        &'a self,
        asked: &[(&'a Model<D>, usize, Window<'a>)],
        branches: &[Branch<'_>],
        clock: &mut u64,
    ) -> Result<Option<Later<'a>>, Fault> {
        let Some((model, ..)) = asked.first() else {
            return Ok(None);
        };
        let tokens: usize = branches.iter().map(|branch| branch.ids.len()).sum();
        let alone = asked.iter().all(|(other, ..)| std::ptr::eq(*model, *other));
        let head = match &model.tail {
            Tail::Head(head)
                if self.device.records() && alone && tokens <= RECORDED && asked.len() <= SEQUENCES =>
            {
                head
            }
            _ => return Ok(None),
        };
        let (trunk, owns) = (&model.trunk, [&model.own]);
        let packed = pack_in_blocks(branches, trunk.embeddings.rule, trunk.queries);
        // A window that is asked twice has a second stage.
        let [stage] = packed.stages.as_slice() else {
            return Ok(None);
        };
        let rows = stage.tokens;
        *clock += 1;
        let now = *clock;
        let known = lock(&model.recorded).remove(&(rows, asked.len()));
        let (known, logits) = match known {
            Some(held) => {
                self.device.overwrite(&held.batch, &packed.values)?;
                self.device.replay(&held.recording)?;
                let logits = self.device.download(&held.logits)?;
                (Known { used: now, ..held }, logits)
            }
            None => {
                self.forget_one();
                if self.fits(trunk.bytes(&packed)).is_err() {
                    // As it is it may fit.
                    return Ok(None);
                }
                let batch = self.device.upload(Values::Indices(&packed.values))?;
                let mut work = || {
                    let hidden = trunk.forward(&self.device, &owns, &packed, &batch)?;
                    let out = self
                        .device
                        .allocate(Kind::Floats, rows * head.classifier.outputs)?;
                    head.forward(&self.device, &hidden, 0..rows, trunk.hidden, (&out, 0))?;
                    Ok(out)
                };
                let Some((recording, logits)) = self.device.record(&mut work)? else {
                    return Ok(None);
                };
                let found = self.device.download(&logits)?;
                let new = Known {
                    used: now,
                    _counted: Counted::new(&self.recordings),
                    batch,
                    recording,
                    logits,
                };
                (new, found)
            }
        };
        // What comes behind is done behind: neither the numbers of this replay nor its logits are overwritten before they have been read.
        lock(&model.recorded).insert((rows, asked.len()), known);
        // In the order of the branches, which for one model is that of the windows.
        let counts = branches
            .iter()
            .map(|branch| branch.ids.len() * head.classifier.outputs);
        let counts: Vec<usize> = counts.collect();
        Ok(Some(Box::new(move || {
            let logits = logits()?;
            let mut rest = logits.as_slice();
            let found = counts.into_iter().map(|count| {
                let (own, after) = rest.split_at_checked(count).unwrap_or_default();
                rest = after;
                Found::All(own.to_vec())
            });
            Ok(found.collect())
        })))
    }

    /// Launches what is asked of windows, each with its number and for one of the models over one trunk. What it gives comes in their order.
    fn batch<'a>(
        &'a self,
        asked: &[(&'a Model<D>, usize, Window<'a>)],
        clock: &mut u64,
    ) -> Result<Later<'a>, Fault> {
        let Some((first, ..)) = asked.first() else {
            return Ok(Box::new(|| Ok(Vec::new())));
        };
        let trunk = &first.trunk;
        // One head's windows side by side.
        let mut order: Vec<usize> = (0..asked.len()).collect();
        let key = |index: &usize| asked.get(*index).map(|(model, ..)| std::ptr::from_ref(*model));
        order.sort_by_key(key);
        let branches = order
            .iter()
            .filter_map(|index| asked.get(*index))
            .map(|(model, number, window)| {
                Ok(Branch {
                    window: *number,
                    ids: window.ids,
                    model: model.own.address(&self.device)?,
                    first: model.first,
                })
            });
        let branches = branches.collect::<Result<Vec<Branch<'_>>, DeviceError>>()?;
        if branches.iter().map(|branch| branch.ids.len()).sum::<usize>() > i32::MAX as usize {
            return Err(Fault::OutOfMemory);
        }
        if let Some(later) = self.again(asked, &branches, clock)? {
            return Ok(later);
        }
        let packed = pack(&branches, trunk.embeddings.rule, trunk.queries);
        let width = trunk.hidden;
        let (mut row, mut floats) = (0, 0);
        // Each head's rows, and where its logits begin, as the kernels write several at once; and the texts of zero-shot models.
        let (mut heads, mut texts, mut scored) = (Vec::new(), Vec::new(), Vec::new());
        // And where those of each window are.
        let mut counts = Vec::new();
        let mut scorer = None;
        for part in order.chunk_by(|a, b| key(a) == key(b)) {
            let begin = row;
            for (index, (model, _, window)) in
                part.iter().filter_map(|index| Some((index, asked.get(*index)?)))
            {
                if let Tail::Scores(norm, own) = &model.tail {
                    // Models over one trunk are over one base.
                    scorer = Some(own);
                    scored.push(*index);
                    texts.push(Text {
                        row,
                        norm: norm.as_ref(),
                        words: window.words,
                        labels: window.labels,
                        floor: window.floor,
                    });
                }
                row += window.ids.len();
            }
            let model = part.first().and_then(|index| asked.get(*index));
            match model.map(|(model, ..)| &model.tail) {
                Some(Tail::Head(head)) => {
                    heads.push((head, begin..row, floats));
                    let lengths = part.iter().filter_map(|index| {
                        let (.., window) = asked.get(*index)?;
                        Some((*index, window.ids.len() * head.classifier.outputs))
                    });
                    let mut first = floats;
                    for (index, count) in lengths {
                        counts.push((index, first..first + count));
                        first += count;
                    }
                    let logits = (row - begin) * head.classifier.outputs;
                    floats = (floats + logits).next_multiple_of(TOGETHER);
                }
                Some(Tail::Scores(..)) => {}
                Some(Tail::Nothing) | None => return Err(refused("the model has no head")),
            }
        }
        let (mut bytes, mut kept) = (trunk.bytes(&packed), 0);
        if let Some(scorer) = scorer {
            let element = self.device.precision().bytes();
            kept = scorer.kept(&texts);
            let own = scorer.bytes(&texts, width, element).ok_or(Fault::OutOfMemory)?;
            bytes = bytes.max(own.saturating_add(element * (row * width) as u64));
        }
        self.fits(bytes)?;
        let mut owns: Vec<&Own<D::Buffer>> = order
            .iter()
            .filter_map(|index| asked.get(*index))
            .map(|(model, ..)| &model.own)
            .collect();
        owns.dedup_by(|one, other| std::ptr::eq(*one, *other));
        let numbers = self.device.upload(Values::Indices(&packed.values))?;
        let hidden = trunk.forward(&self.device, &owns, &packed, &numbers)?;
        let scores: Option<Later<'a>> = match scorer {
            Some(scorer) => Some(scorer.forward(&self.device, (&hidden, width), texts)?),
            None => None,
        };
        let kept = Kept::new(&self.kept, kept);
        let mut logits = None;
        if !heads.is_empty() {
            // Of all heads, to be copied back at once.
            let all = self.device.allocate(Kind::Floats, floats)?;
            for (head, rows, first) in heads {
                head.forward(&self.device, &hidden, rows, width, (&all, first))?;
            }
            logits = Some(self.device.download(&all)?);
        }
        let mut found = vec![Found::default(); asked.len()];
        Ok(Box::new(move || {
            let _kept = kept;
            let scores = scores.map_or_else(|| Ok(Vec::new()), |scores| scores())?;
            let logits = logits.map_or_else(|| Ok(Vec::new()), |logits| logits())?;
            let of_heads = counts.into_iter().map(|(index, range)| {
                let own = logits.get(range).unwrap_or_default();
                (index, Found::All(own.to_vec()))
            });
            for (index, values) in scored.into_iter().zip(scores).chain(of_heads) {
                if let Some(place) = found.get_mut(index) {
                    *place = values;
                }
            }
            Ok(found)
        }))
    }

    /// Launches all that is asked, each with the number of its window, in batches of the models over one trunk: which these are, and what
    /// waits for them. What of it had to be waited for already is in `found`.
    fn launch<'a>(
        &'a self,
        asked: &'a [(Arc<Model<D>>, usize, Window<'a>)],
        token: &Token,
        clock: &mut u64,
        found: &mut [Found],
    ) -> Result<Launched<'a>, Fault> {
        let mut launched = Launched::new();
        let mut left: Vec<usize> = (0..asked.len()).collect();
        // Adapters with a trunk of their own are batches of their own.
        while let Some((first, ..)) = left.first().and_then(|index| asked.get(*index)) {
            if token.cancelled() {
                // Nobody reads the answer any more.
                return Err(refused("the call was cancelled"));
            }
            let together = |index: &usize| {
                let model = asked.get(*index).map(|(model, ..)| model);
                model.is_some_and(|model| Arc::ptr_eq(&model.trunk, &first.trunk))
            };
            let (now, rest): (Vec<usize>, Vec<usize>) = left.iter().copied().partition(together);
            let batch: Vec<(&Model<D>, usize, Window<'_>)> = now
                .iter()
                .filter_map(|index| asked.get(*index))
                .map(|(model, number, window)| (&**model, *number, *window))
                .collect();
            let later = match self.batch(&batch, clock) {
                // What the others keep may be what it lacks.
                Err(Fault::OutOfMemory) if !launched.is_empty() => {
                    wait(std::mem::take(&mut launched), found)?;
                    self.batch(&batch, clock)?
                }
                later => later?,
            };
            launched.push((now, later));
            left = rest;
        }
        Ok(launched)
    }
}

impl<D: Device> Engine for GpuEngine<D> {
    fn load(&self, load: &Load) -> Result<Loaded, Fault> {
        let model = match load.base {
            None => self.device.load(|| self.checkpoint(load))??,
            Some(number) => {
                let over = self.models().get(&number).cloned().ok_or(Fault::UnknownModel)?;
                self.device.load(|| self.adapter(load, &over))??
            }
        };
        let loaded = model.loaded;
        self.models().insert(load.model, Arc::new(model));
        Ok(loaded)
    }

    fn unload(&self, model: u64) {
        // What it has on the device goes when no batch is under way that has it.
        let gone = self.models().remove(&model);
        drop(gone);
    }

    fn forward(&self, windows: &[Window<'_>], token: &Token) -> Result<Vec<Found>, Fault> {
        let mut asked = Vec::new();
        {
            let held = self.models();
            for (number, window) in windows.iter().enumerate() {
                for model in window.models {
                    let model = held.get(model).cloned().ok_or(Fault::UnknownModel)?;
                    asked.push((model, number, *window));
                }
            }
        }
        for (model, _, window) in &asked {
            let ids = window.ids;
            if ids.is_empty() || ids.len() > model.context || ids.iter().any(|id| *id as usize >= model.rows)
            {
                return Err(refused(
                    "a sequence is too long, or has an id outside the vocabulary",
                ));
            }
            let fits = match &model.tail {
                Tail::Scores(_, scorer) => !window.words.is_empty() && scorer.takes(window.labels),
                Tail::Head(_) | Tail::Nothing => window.words.is_empty(),
            };
            if !fits {
                return Err(refused(
                    "scores are asked of a token classifier, logits of a zero-shot model, or labels are not as it takes them",
                ));
            }
        }
        let mut found = vec![Found::default(); asked.len()];
        let mut clock = lock(&self.launching);
        let done = self
            .launch(&asked, token, &mut clock, &mut found)
            .and_then(|launched| {
                // Before the next call launches, so that it waits behind this one.
                let _waiting = lock(&self.waiting);
                drop(clock);
                wait(launched, &mut found)
            });
        if done.is_err() {
            // Something may still be on its way that reads the models, which may be unloaded from here on. If the device fails again, that
            // says no more.
            let _ = self.device.wait();
        }
        done.map(|()| found)
    }

    fn health(&self) -> Result<(u64, u64), Fault> {
        let models = self.models().len() as u64;
        Ok((self.used(), models))
    }
}
