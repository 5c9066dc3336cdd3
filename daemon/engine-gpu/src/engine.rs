//! The engine of a GPU worker, on any device: models by number, and batches of windows for several of them at once.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use mednerd_gpu::Engine;
use mednerd_gpu::protocol::{Fault, Load, Loaded, Precision, Window};
use mednerd_model::{Adapter, Checkpoint};
use mednerd_worker::child::Token;

use crate::device::{Device, Values};
use crate::lower::{Cache, HeadWeights, LowerError, Lowering, NormWeights};
use crate::pack::{Branch, pack, pack_in_blocks};
use crate::run::{Changes, Tables, Trunk, states};

/// Loaded models on a device. `Send + Sync`: loading and computing go on side by side.
pub struct GpuEngine<D: Device> {
    device: D,
    /// Memory that weights and activations may take.
    budget: u64,
    models: Mutex<HashMap<u64, Arc<Model<D>>>>,
    /// One recording at a time is replayed and read.
    replaying: Mutex<()>,
}

struct Model<D: Device> {
    trunk: Arc<Trunk<D::Buffer>>,
    slot: u32,
    changes: Option<Arc<Changes<D::Buffer>>>,
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
    /// What it was recorded with.
    tables: Arc<Tables<D::Buffer>>,
    batch: D::Buffer,
    recording: D::Recording,
    logits: D::Buffer,
}

/// Tokens of a batch that is recorded, at most: beyond, the GPU takes longer than it takes to be told.
const RECORDED: usize = 1024;
/// And sequences.
const SEQUENCES: usize = 4;

/// What comes after the trunk.
enum Tail<B> {
    /// A head: logits of every token.
    Head(HeadWeights<B>),
    /// The head is the daemon's: hidden states of the rows that are asked, after this norm.
    States(Option<NormWeights<B>>),
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
            replaying: Mutex::default(),
        }
    }

    fn models(&self) -> MutexGuard<'_, HashMap<u64, Arc<Model<D>>>> {
        self.models.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn used(&self) -> u64 {
        let models: u64 = self.models().values().map(|model| model.loaded.bytes).sum();
        models + self.device.recorded()
    }

    /// Refuses what will not fit before any of it is copied.
    fn room(&self, parameters: u64) -> Result<(), Fault> {
        let element = match self.device.precision() {
            Precision::Fp32 => 4,
            Precision::Fp16 | Precision::Bf16 => 2,
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
        let weights = lowering.trunk(architecture)?;
        let norm = architecture.final_norm.as_ref();
        let tail = match (checkpoint.gliner(), checkpoint.headless()) {
            (Some(_), _) => Tail::States(norm.map(|norm| lowering.norm(norm)).transpose()?),
            (None, true) => Tail::Nothing,
            (None, false) => Tail::Head(lowering.head(norm, &architecture.head)?),
        };
        let (cache, bytes) = (lowering.own, lowering.bytes);
        Ok(Model {
            trunk: Arc::new(Trunk::new(&self.device, weights)?),
            slot: 0,
            changes: None,
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
            Tail::States(_) => Tail::States(norm.map(|norm| lowering.norm(norm)).transpose()?),
            Tail::Head(_) | Tail::Nothing => Tail::Head(lowering.head(norm, &architecture.head)?),
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
        // What changes more than layers can be told by their slot has a trunk of its own, of the base's tensors where
        // these are the same.
        let trunk = match replaces {
            true => Arc::new(Trunk::new(&self.device, lowering.trunk(architecture)?)?),
            false => Arc::clone(&over.trunk),
        };
        let changes = Arc::new(Changes::new(
            &mut lowering,
            &trunk.weights,
            &base.checkpoint,
            &adapter,
        )?);
        let layers = trunk.weights.layers.len();
        #[allow(clippy::cast_precision_loss)]
        let loaded = Loaded {
            bytes: lowering.bytes + changes.bytes,
            own: match replaces {
                true => 1.0,
                false => (layers - changes.first) as f32 / layers.max(1) as f32,
            },
        };
        Ok(Model {
            slot: trunk.adopt(&self.device, &changes)?,
            changes: Some(changes),
            trunk,
            tail,
            rows: over.rows,
            context: over.context,
            loaded,
            base: None,
            recorded: Mutex::default(),
        })
    }

    /// Lets go of what was recorded with tables that a trunk has no more, and so of adapters that have gone.
    fn forget(&self, trunk: &Arc<Trunk<D::Buffer>>) {
        let over: Vec<Arc<Model<D>>> = {
            let models = self.models();
            let over = models.values().filter(|model| Arc::ptr_eq(&model.trunk, trunk));
            over.cloned().collect()
        };
        let tables = trunk.tables();
        for model in over {
            let mut recorded = model.recorded.lock().unwrap_or_else(PoisonError::into_inner);
            recorded.retain(|_, held| Arc::ptr_eq(&held.tables, &tables));
        }
    }

    /// What [`Self::batch`] gives, for a small batch for one model with a head: recorded the first time that there is one of as many
    /// tokens and sequences, and done again from then on. `None` for all others, and where the device records nothing.
    fn again(
        &self,
        asked: &[(&Model<D>, usize, Window<'_>)],
        branches: &[Branch<'_>],
    ) -> Result<Option<Vec<Vec<f32>>>, Fault> {
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
        if head.is_changed() {
            return Ok(None);
        }
        let (trunk, tables) = (&model.trunk, model.trunk.tables());
        let packed = pack_in_blocks(branches, trunk.weights.embeddings.rule, trunk.weights.queries);
        // A window that is asked twice has a second stage.
        let [stage] = packed.stages.as_slice() else {
            return Ok(None);
        };
        let rows = stage.tokens;
        if !tables.holds(model.slot, model.changes.as_ref()) {
            // It was unloaded a moment ago.
            return Err(Fault::UnknownModel);
        }
        let _one = self.replaying.lock().unwrap_or_else(PoisonError::into_inner);
        let mut recorded = model.recorded.lock().unwrap_or_else(PoisonError::into_inner);
        // What was recorded reads the addresses that were in the tables.
        let held = recorded
            .get(&(rows, asked.len()))
            .filter(|held| Arc::ptr_eq(&held.tables, &tables));
        let logits = match held {
            Some(held) => {
                self.device.overwrite(&held.batch, &packed.values)?;
                self.device.replay(&held.recording)?;
                self.device.download(&held.logits)?
            }
            None => {
                if self.used().saturating_add(trunk.weights.bytes(&packed)) > self.budget {
                    // As it is it may fit.
                    return Ok(None);
                }
                let batch = self.device.upload(Values::Indices(&packed.values))?;
                let mut work = || {
                    let hidden = trunk.forward(&self.device, &tables, &packed, &batch)?;
                    head.forward(&self.device, &hidden, 0..rows, trunk.weights.hidden)
                };
                let Some((recording, logits)) = self.device.record(&mut work)? else {
                    return Ok(None);
                };
                let found = self.device.download(&logits)?;
                let new = Known {
                    tables: Arc::clone(&tables),
                    batch,
                    recording,
                    logits,
                };
                recorded.insert((rows, asked.len()), new);
                found
            }
        };
        let mut rest = logits.as_slice();
        let mut found = vec![Vec::new(); asked.len()];
        // In the order of the branches, which for one model is that of the windows.
        for (place, branch) in found.iter_mut().zip(branches) {
            let (own, after) = rest
                .split_at_checked(branch.ids.len() * head.classifier.outputs)
                .unwrap_or_default();
            *place = own.to_vec();
            rest = after;
        }
        Ok(Some(found))
    }

    /// What is asked of windows, each with its number and for one of the models over one trunk, in their order.
    fn batch(&self, asked: &[(&Model<D>, usize, Window<'_>)]) -> Result<Vec<Vec<f32>>, Fault> {
        let Some((first, ..)) = asked.first() else {
            return Ok(Vec::new());
        };
        let trunk = &first.trunk;
        // One head's windows side by side.
        let mut order: Vec<usize> = (0..asked.len()).collect();
        let key = |index: &usize| asked.get(*index).map(|(model, ..)| std::ptr::from_ref(*model));
        order.sort_by_key(key);
        let branches: Vec<Branch<'_>> = order
            .iter()
            .filter_map(|index| asked.get(*index))
            .map(|(model, number, window)| Branch {
                window: *number,
                ids: window.ids,
                slot: model.slot,
                first: model
                    .changes
                    .as_ref()
                    .map_or(trunk.weights.layers.len(), |changes| changes.first),
            })
            .collect();
        if branches.iter().map(|branch| branch.ids.len()).sum::<usize>() > i32::MAX as usize {
            return Err(Fault::OutOfMemory);
        }
        if let Some(found) = self.again(asked, &branches)? {
            return Ok(found);
        }
        let packed = pack(&branches, trunk.weights.embeddings.rule, trunk.weights.queries);
        if self.used().saturating_add(trunk.weights.bytes(&packed)) > self.budget {
            return Err(Fault::OutOfMemory);
        }
        let tables = trunk.tables();
        if !asked
            .iter()
            .all(|(model, ..)| tables.holds(model.slot, model.changes.as_ref()))
        {
            // It was unloaded a moment ago.
            return Err(Fault::UnknownModel);
        }
        let numbers = self.device.upload(Values::Indices(&packed.values))?;
        let hidden = trunk.forward(&self.device, &tables, &packed, &numbers)?;
        let (mut parts, mut row) = (Vec::new(), 0);
        // All are on their way before the first is waited for.
        for part in order.chunk_by(|a, b| key(a) == key(b)) {
            let of_part = || part.iter().filter_map(|index| asked.get(*index));
            let tokens: usize = of_part().map(|(.., window)| window.ids.len()).sum();
            let Some((model, ..)) = of_part().next() else {
                continue;
            };
            let width = trunk.weights.hidden;
            let (values, columns) = match &model.tail {
                Tail::Head(head) => {
                    let logits = head.forward(&self.device, &hidden, row..row + tokens, width)?;
                    (logits, head.classifier.outputs)
                }
                Tail::States(norm) => {
                    let mut rows = Vec::new();
                    let mut first = row;
                    for (.., window) in of_part() {
                        // There are no more rows than were checked above to fit.
                        let first_row = u32::try_from(first).unwrap_or(u32::MAX);
                        rows.extend(window.rows.iter().map(|row| first_row.saturating_add(*row)));
                        first += window.ids.len();
                    }
                    (states(&self.device, &hidden, &rows, norm.as_ref(), width)?, width)
                }
                Tail::Nothing => return Err(refused("the model has no head")),
            };
            parts.push((part, values, columns));
            row += tokens;
        }
        let mut found = vec![Vec::new(); asked.len()];
        for (part, values, columns) in parts {
            let values = self.device.download(&values)?;
            let mut rest = values.as_slice();
            for index in part {
                let count = asked.get(*index).map_or(0, |(.., window)| window.answers());
                let (own, after) = rest.split_at_checked(count * columns).unwrap_or_default();
                if let Some(place) = found.get_mut(*index) {
                    *place = own.to_vec();
                }
                rest = after;
            }
        }
        Ok(found)
    }
}

impl<D: Device> Engine for GpuEngine<D> {
    fn load(&self, load: &Load) -> Result<Loaded, Fault> {
        let model = match load.base {
            None => self.checkpoint(load)?,
            Some(number) => {
                let over = self.models().get(&number).cloned().ok_or(Fault::UnknownModel)?;
                self.adapter(load, &over)?
            }
        };
        let loaded = model.loaded;
        let trunk = Arc::clone(&model.trunk);
        self.models().insert(load.model, Arc::new(model));
        self.forget(&trunk);
        Ok(loaded)
    }

    fn unload(&self, model: u64) {
        let model = self.models().remove(&model);
        if let Some(model) = model.filter(|model| model.slot > 0) {
            model.trunk.abandon(&self.device, model.slot);
            self.forget(&model.trunk);
        }
    }

    fn forward(&self, windows: &[Window<'_>], token: &Token) -> Result<Vec<f32>, Fault> {
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
        for (model, _, Window { ids, rows, .. }) in &asked {
            if ids.is_empty() || ids.len() > model.context || ids.iter().any(|id| *id as usize >= model.rows)
            {
                return Err(refused(
                    "a sequence is too long, or has an id outside the vocabulary",
                ));
            }
            if matches!(model.tail, Tail::States(_)) == rows.is_empty() {
                return Err(refused(
                    "hidden states are asked of a model with a head, or logits of one without",
                ));
            }
        }
        let mut found = vec![Vec::new(); asked.len()];
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
            let (now, later): (Vec<usize>, Vec<usize>) = left.iter().copied().partition(together);
            let batch: Vec<(&Model<D>, usize, Window<'_>)> = now
                .iter()
                .filter_map(|index| asked.get(*index))
                .map(|(model, number, window)| (&**model, *number, *window))
                .collect();
            for (index, values) in now.iter().zip(self.batch(&batch)?) {
                if let Some(place) = found.get_mut(*index) {
                    *place = values;
                }
            }
            left = later;
        }
        Ok(found.concat())
    }

    fn health(&self) -> Result<(u64, u64), Fault> {
        let models = self.models().len() as u64;
        Ok((self.used(), models))
    }
}
