//! `mednerd-simulated-gpu [FAULTS]`: a GPU worker for tests on hosts without a GPU. It speaks the real worker's protocol,
//! keeps to its memory budget and computes with the CPU engine; the file FAULTS names what goes wrong next.
#![forbid(unsafe_code)]

use std::collections::HashMap;
use std::path::Path;
use std::process::ExitCode;
use std::sync::{Mutex, MutexGuard, PoisonError};

use mednerd_engine_tract::{Asked, EngineError, GlinerModel, Options, TractModel};
use mednerd_gpu::protocol::{Fault, Labels, Load, Ready, Start, Values, Window};
use mednerd_gpu::{Engine, Faults, protocol, serve};
use mednerd_model::{Adapter, Checkpoint};
use mednerd_worker::child::Token;
use nix::sys::signal::Signal;

/// What stands for device memory where the daemon sets no budget.
const MEMORY: u64 = 8 << 30;

fn main() -> ExitCode {
    let file = std::env::args_os().nth(1);
    let faults = file.map_or_else(Faults::default, |file| Faults::from_file(Path::new(&file)));
    let bound = nix::sys::prctl::set_pdeathsig(Signal::SIGKILL);
    match bound.map_err(Into::into).and_then(|()| serve(faults, open)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::from(2),
    }
}

fn open(start: &Start) -> Result<(Simulated, Ready), String> {
    let memory_bytes = if start.memory_bytes == 0 {
        MEMORY
    } else {
        start.memory_bytes
    };
    let ready = Ready {
        name: "Simulated GPU".to_owned(),
        driver: "0.0".to_owned(),
        compute: "0.0".to_owned(),
        memory_bytes,
    };
    let simulated = Simulated {
        models: Mutex::default(),
        computing: Mutex::default(),
        memory_bytes,
    };
    Ok((simulated, ready))
}

struct Simulated {
    models: Mutex<HashMap<u64, Loaded>>,
    /// One batch after the other.
    computing: Mutex<()>,
    memory_bytes: u64,
}

struct Loaded {
    engine: Engines,
    base: Option<Checkpoint>,
}

#[derive(Clone)]
enum Engines {
    Classifier(TractModel),
    ZeroShot(GlinerModel),
}

impl Engines {
    fn load(checkpoint: &Checkpoint) -> Result<Self, EngineError> {
        match checkpoint.gliner() {
            Some(_) => GlinerModel::load(checkpoint).map(Self::ZeroShot),
            None => TractModel::load(checkpoint, &Options::default()).map(Self::Classifier),
        }
    }

    fn adapt(&self, checkpoint: &Checkpoint, adapter: &Adapter) -> Result<Self, EngineError> {
        match self {
            Self::Classifier(engine) => engine.adapt(checkpoint, adapter).map(Self::Classifier),
            Self::ZeroShot(engine) => engine.adapt(checkpoint, adapter).map(Self::ZeroShot),
        }
    }

    fn memory_bytes(&self) -> usize {
        match self {
            Self::Classifier(engine) => engine.memory_bytes(),
            Self::ZeroShot(engine) => engine.memory_bytes(),
        }
    }

    fn forward(&self, window: &Window<'_>) -> Result<Vec<f32>, EngineError> {
        match self {
            Self::Classifier(engine) => engine.forward(window.ids),
            Self::ZeroShot(engine) => match window.labels {
                Labels::At(places) => engine.forward(window.ids, window.words, Asked::At(places)),
                Labels::Encoded { vectors, .. } => {
                    let vectors: Vec<&[f32]> = vectors.chunks(engine.width().max(1)).collect();
                    let set = engine.label_set(&vectors)?;
                    engine.forward(window.ids, window.words, Asked::Encoded(&set))
                }
            },
        }
    }
}

type Models<'a> = MutexGuard<'a, HashMap<u64, Loaded>>;

impl Simulated {
    fn models(&self) -> Models<'_> {
        self.models.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn used(models: &Models<'_>) -> u64 {
    models
        .values()
        .map(|loaded| loaded.engine.memory_bytes() as u64)
        .sum()
}

fn refused(error: impl std::fmt::Display) -> Fault {
    Fault::Refused(error.to_string())
}

impl Engine for Simulated {
    fn load(&self, load: &Load) -> Result<protocol::Loaded, Fault> {
        let changed = |found: &str| match found == load.digest {
            true => Ok(()),
            false => Err(refused("its files have changed since the daemon read them")),
        };
        let mut models = self.models();
        let loaded = match load.base {
            None => {
                let checkpoint = Checkpoint::open_base(&load.path).map_err(refused)?;
                changed(checkpoint.digest())?;
                let engine = Engines::load(&checkpoint).map_err(refused)?;
                let base = Some(checkpoint);
                Loaded { engine, base }
            }
            Some(number) => {
                let under = models.get(&number).ok_or(Fault::UnknownModel)?;
                let checkpoint = under.base.as_ref().ok_or(Fault::UnknownModel)?;
                let adapter = Adapter::open(&load.path, checkpoint).map_err(refused)?;
                changed(adapter.digest())?;
                let engine = under.engine.adapt(checkpoint, &adapter).map_err(refused)?;
                Loaded { engine, base: None }
            }
        };
        let bytes = loaded.engine.memory_bytes() as u64;
        if used(&models) + bytes > self.memory_bytes {
            return Err(Fault::OutOfMemory);
        }
        // Each model computes all of a window for itself.
        let own = if load.base.is_some() { 1.0 } else { 0.0 };
        models.insert(load.model, loaded);
        Ok(protocol::Loaded { bytes, own })
    }

    fn unload(&self, model: u64) {
        self.models().remove(&model);
    }

    fn forward(&self, windows: &[Window<'_>], _: &Token) -> Result<Vec<Values>, Fault> {
        let _alone = self.computing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut values = Vec::new();
        for window in windows {
            for model in window.models {
                let engine = self.models().get(model).map(|loaded| loaded.engine.clone());
                let engine = engine.ok_or(Fault::UnknownModel)?;
                let all = engine.forward(window).map_err(refused)?;
                values.push(Values::above(all, window.floor));
            }
        }
        Ok(values)
    }

    fn health(&self) -> Result<(u64, u64), Fault> {
        let models = self.models();
        Ok((used(&models), models.len() as u64))
    }
}
