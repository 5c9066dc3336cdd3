//! GPUs: one supervised worker process for each, which computes batches of windows. Whatever a GPU does not compute, or
//! computes wrongly, the CPU computes: a window that was handed in comes back as logits or as lost, never not at all.
//!
//! A GPU serves a model once it has loaded it and its logits for some sequences are those of the CPU; the first of these
//! sequences is in every batch again, so that a GPU that begins to compute wrongly is found by the batch that it spoils.

mod line;
mod pace;
mod queue;
mod worker;

use std::collections::{HashMap, HashSet, VecDeque};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use mednerd_client::api;
use mednerd_gpu::protocol::{self, Ready, Statistics};
use mednerd_worker::{Notice, Settings, StartError, Worker};

use crate::config::{self, Device};
use crate::generation::Generation;
use crate::models::Model;
use crate::sync::lock;

use line::Line;
use pace::Pace;
pub use queue::{Client, Window};
use queue::{Document, Queue};

/// Where the package puts the worker's program.
const PROGRAM: &str = "/usr/libexec/mednerd/mednerd-cuda";
/// Bytes of a batch or of its logits.
const MAX_FRAME: usize = 256 << 20;
/// Batches that a GPU has at once: one that it computes, and one behind it.
const BATCHES: usize = 2;
/// How long a worker may take to find its GPU: where nothing keeps the driver's state, it sets up each GPU of the machine first.
const START: Duration = Duration::from_secs(90);

/// A model's files, for a worker to load.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// Its number: no other model of this process has or had it.
    pub id: u64,
    /// Its directory.
    pub path: PathBuf,
    /// SHA-256 over its files.
    pub digest: String,
    /// The number of the base that it is an adapter over.
    pub base: Option<u64>,
}

impl Source {
    /// A source with a number of its own.
    pub fn new(path: PathBuf, digest: String, base: Option<u64>) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let id = NEXT.fetch_add(1, Ordering::Relaxed);
        Self {
            id,
            path,
            digest,
            base,
        }
    }

    /// The number of the base that it is, or is over.
    pub fn trunk(&self) -> u64 {
        self.base.unwrap_or(self.id)
    }
}

/// What a worker is to have loaded.
#[derive(Clone)]
struct Wanted {
    name: String,
    source: Source,
    /// `None` for a base without a head, which has no logits to check.
    model: Option<Arc<Model>>,
}

/// All GPUs of the daemon, or the reason why there are none.
pub struct Gpus {
    shared: Arc<Shared>,
    engine: config::Engine,
    /// Why there is no worker at all.
    none: Option<String>,
    threads: Mutex<Vec<std::thread::JoinHandle<()>>>,
}

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    counts: Counts,
    /// Times and precision.
    engine: config::Engine,
}

#[derive(Default)]
struct State {
    queue: Queue,
    gpus: Vec<Gpu>,
    wanted: Vec<Wanted>,
    /// Counts the changes of `wanted`.
    version: u64,
    stopping: bool,
}

/// One GPU.
struct Gpu {
    ordinal: u32,
    worker: Option<Arc<Worker>>,
    phase: Phase,
    /// Counts the children, so that what one had loaded is not believed of the next.
    child: u64,
    /// What it is, from the last child that was ready.
    about: Ready,
    /// The models that it serves.
    serves: HashMap<u64, Served>,
    /// Whether it ever served a model.
    served: bool,
    /// How fast the present child is, by base.
    paces: HashMap<u64, Pace>,
    /// The calls that it computes.
    line: Line,
    statistics: Statistics,
}

/// A model that a GPU serves.
#[derive(Clone)]
struct Served {
    model: Arc<Model>,
    /// See [`protocol::Loaded::own`].
    own: f64,
}

impl Served {
    fn new(model: &Arc<Model>, loaded: protocol::Loaded) -> Self {
        let own = f64::from(loaded.own);
        Self {
            model: Arc::clone(model),
            own: if (0.0..=1.0).contains(&own) { own } else { 1.0 },
        }
    }
}

/// How often a GPU computes a window that is for these models; `None` where one is not served.
fn passes(serves: &HashMap<u64, Served>, models: &[u64]) -> Option<f64> {
    let own = models
        .iter()
        .map(|model| serves.get(model).map(|served| served.own));
    let own: Option<Vec<f64>> = own.collect();
    own.map(|own| pace::passes(&own))
}

/// What a GPU is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Phase {
    Starting,
    /// It takes calls.
    Up,
    /// It does not, and why.
    Down(String),
}

/// Counts since the start of the daemon.
#[derive(Debug, Default)]
struct Counts {
    batches: AtomicU64,
    tokens: AtomicU64,
    lost: AtomicU64,
    halved: AtomicU64,
    wrong: AtomicU64,
}

/// One GPU's figures for a scrape.
#[derive(Clone, Debug)]
pub struct Figures {
    /// Which.
    pub gpu: u32,
    /// Whether it serves a model.
    pub ready: bool,
    /// Workers that died.
    pub deaths: u64,
    /// Memory that it uses, in bytes.
    pub memory_used: u64,
}

/// All GPUs' figures for a scrape.
#[derive(Clone, Debug, Default)]
pub struct AllFigures {
    /// One by one.
    pub gpus: Vec<Figures>,
    /// Batches computed.
    pub batches: u64,
    /// Tokens computed, those of self-checks left out.
    pub tokens: u64,
    /// Windows that a GPU had and the CPU computed.
    pub lost: u64,
    /// Batches that were halved because memory was short.
    pub halved: u64,
    /// Self-checks that failed.
    pub wrong: u64,
}

/// Whether a GPU took a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// It did: every window comes back to the client.
    Yes,
    /// None serves these models, and that is how it is meant.
    No,
    /// One should, and none does.
    Missing,
}

impl Gpus {
    /// No GPU, because the configuration wants none.
    pub fn none() -> Self {
        Self::absent(config::Engine::default(), "the configuration asks for the CPU")
    }

    fn absent(engine: config::Engine, why: impl Into<String>) -> Self {
        Self {
            shared: Arc::new(Shared {
                state: Mutex::default(),
                changed: Condvar::new(),
                counts: Counts::default(),
                engine: engine.clone(),
            }),
            engine,
            none: Some(why.into()),
            threads: Mutex::default(),
        }
    }

    /// Starts a worker for each GPU that the configuration names, and waits until each has found its GPU or said why not.
    /// Models are loaded behind [`Self::follow`].
    pub fn start(engine: &config::Engine) -> Self {
        if engine.device == Device::Cpu {
            return Self::absent(engine.clone(), "the configuration asks for the CPU");
        }
        let program = engine.worker.clone().unwrap_or_else(|| PROGRAM.into());
        if !program.is_file() {
            let why = format!("no GPU worker is installed: {} is not there", program.display());
            return Self::absent(engine.clone(), why);
        }
        let gpus = Self {
            none: None,
            ..Self::absent(engine.clone(), "")
        };
        for (index, ordinal) in engine.gpus.iter().enumerate() {
            lock(&gpus.shared.state).gpus.push(Gpu::new(*ordinal));
            if let Err(error) = gpus.launch(index, *ordinal, program.clone()) {
                gpus.shared.down(index, &format!("it cannot be run: {error}"));
            }
        }
        for index in 0..engine.gpus.len() {
            let worker = lock(&gpus.shared.state)
                .gpus
                .get(index)
                .and_then(|gpu| gpu.worker.clone());
            if let Some(Err(error)) = worker.map(|worker| worker.wait_ready()) {
                gpus.shared.down(index, &start_error(&error));
            }
        }
        gpus
    }

    fn launch(&self, index: usize, ordinal: u32, program: PathBuf) -> std::io::Result<()> {
        let mut settings = Settings::new(format!("gpu {ordinal}"), program);
        settings.max_frame = MAX_FRAME;
        // Our own program, which sees numbers and no text: what it has to say is for the journal.
        settings.stderr = true;
        settings.start_timeout = START;
        // At boot a driver may come after us.
        settings.tries_again = true;
        settings.concurrency = protocol::CONCURRENCY;
        // It sees its own GPU alone, by the number that `nvidia-smi` gives it: one that fails is no other's trouble.
        settings.environment = vec![
            ("CUDA_DEVICE_ORDER", "PCI_BUS_ID".into()),
            ("CUDA_VISIBLE_DEVICES", ordinal.to_string().into()),
        ];
        let start = protocol::Start {
            gpu: ordinal,
            precision: self.engine.gpu_precision,
            memory_bytes: (self.engine.gpu_memory_mb as u64) << 20,
            max_frame: MAX_FRAME,
        };
        settings.start = postcard::to_allocvec(&start).map_err(std::io::Error::other)?;
        let shared = Arc::clone(&self.shared);
        let worker = Worker::launch(settings, Box::new(move |notice| shared.hear(index, &notice)))?;
        let worker = Arc::new(worker);
        if let Some(gpu) = lock(&self.shared.state).gpus.get_mut(index) {
            gpu.worker = Some(Arc::clone(&worker));
        }
        let mut threads = lock(&self.threads);
        for _ in 0..BATCHES {
            let (shared, worker) = (Arc::clone(&self.shared), Arc::clone(&worker));
            threads.push(
                std::thread::Builder::new()
                    .name(format!("gpu-{ordinal}"))
                    .spawn(move || worker::compute(&shared, index, &worker))?,
            );
        }
        let shared = Arc::clone(&self.shared);
        threads.push(
            std::thread::Builder::new()
                .name(format!("gpu-{ordinal}-load"))
                .spawn(move || worker::load(&shared, index, &worker))?,
        );
        Ok(())
    }

    /// From now on the GPUs have the models of this state: what is new is loaded, what is gone is unloaded, on threads of
    /// their own.
    pub fn follow(&self, generation: &Generation) {
        if self.none.is_some() {
            return;
        }
        let (mut wanted, mut known): (Vec<Wanted>, HashSet<u64>) = Default::default();
        let mut want = |name: &str, source: &Source, model: Option<&Arc<Model>>| {
            if known.insert(source.id) {
                wanted.push(Wanted {
                    name: name.to_owned(),
                    source: source.clone(),
                    model: model.cloned(),
                });
            }
        };
        for named in &generation.bases {
            if let Some(source) = &named.base.source {
                want(&named.name, source, named.base.model.as_ref());
            }
        }
        for entry in &generation.entries {
            if let Some(source) = &entry.model.source {
                want(&entry.name, source, Some(&entry.model));
            }
        }
        let mut state = lock(&self.shared.state);
        state.wanted = wanted;
        state.version += 1;
        drop(state);
        self.shared.changed.notify_all();
    }

    /// Hands in a document's windows for models over one base.
    pub fn submit(
        &self,
        models: &[&Model],
        windows: impl FnOnce() -> VecDeque<Window>,
        client: &Arc<dyn Client>,
    ) -> Taken {
        if self.none.is_some() && self.engine.device != Device::Cuda {
            return Taken::No;
        }
        let sources: Option<Vec<&Source>> = models.iter().map(|model| model.source.as_ref()).collect();
        let Some(sources) = sources.filter(|sources| !sources.is_empty()) else {
            // What came as an ONNX export is the CPU's on any host.
            return Taken::No;
        };
        let numbers: Arc<[u64]> = sources.iter().map(|source| source.id).collect();
        let served = |state: &State| state.gpus.iter().any(|gpu| gpu.serves_all(&numbers));
        {
            let state = lock(&self.shared.state);
            if !served(&state) || state.stopping {
                return match self.is_missing(&state) {
                    true => Taken::Missing,
                    false => Taken::No,
                };
            }
        }
        // Outside of the lock: a long note has many windows.
        let base = sources.first().map_or(0, |source| source.trunk());
        let document = Document {
            base,
            models: Arc::clone(&numbers),
            windows: windows(),
            client: Arc::clone(client),
        };
        let mut state = lock(&self.shared.state);
        if !served(&state) || state.stopping {
            // It died a moment ago: every window comes back as from any other GPU that dies.
            drop(state);
            return Taken::Yes;
        }
        state.queue.push(document);
        drop(state);
        self.shared.changed.notify_all();
        Taken::Yes
    }

    fn is_missing(&self, state: &State) -> bool {
        let lost = |gpu: &Gpu| gpu.served && gpu.phase != Phase::Up;
        let up = state.gpus.iter().any(|gpu| !gpu.serves.is_empty());
        !up && (self.engine.device == Device::Cuda || state.gpus.iter().any(lost))
    }

    /// Whether a GPU serves this model.
    pub fn serves(&self, source: Option<&Source>) -> bool {
        let Some(source) = source else { return false };
        let state = lock(&self.shared.state);
        state.gpus.iter().any(|gpu| gpu.serves.contains_key(&source.id))
    }

    /// Which engine computes, and why that one, in a sentence.
    pub fn reason(&self) -> (api::Engine, String) {
        if let Some(why) = &self.none {
            return (api::Engine::Tract, format!("computing on the CPU: {why}"));
        }
        let state = lock(&self.shared.state);
        let up: Vec<String> = state
            .gpus
            .iter()
            .filter(|gpu| gpu.phase == Phase::Up)
            .map(|gpu| {
                format!(
                    "{} (GPU {}, driver {})",
                    gpu.about.name, gpu.ordinal, gpu.about.driver
                )
            })
            .collect();
        if !up.is_empty() {
            return (api::Engine::Cuda, format!("computing on {}", up.join(", ")));
        }
        let why = state.gpus.iter().map(|gpu| match &gpu.phase {
            Phase::Down(why) => format!("GPU {}: {why}", gpu.ordinal),
            _ => format!("GPU {} is starting", gpu.ordinal),
        });
        let why: Vec<String> = why.collect();
        (
            api::Engine::Tract,
            format!("computing on the CPU: {}", why.join("; ")),
        )
    }

    /// Whether the configuration insists on a GPU and there is none at all.
    pub fn is_wanting(&self) -> bool {
        self.engine.device == Device::Cuda && self.reason().0 == api::Engine::Tract
    }

    /// What `GET /v1/status` says of each.
    pub fn status(&self) -> Vec<api::GpuStatus> {
        let state = lock(&self.shared.state);
        let status = state.gpus.iter().map(|gpu| {
            let worker = gpu.worker.as_ref().map(|worker| worker.statistics());
            let time =
                |at: SystemTime| Timestamp::try_from(at).map_or_else(|_| String::new(), |at| at.to_string());
            let (now, detail) = match &gpu.phase {
                Phase::Starting => (api::GpuState::Starting, String::new()),
                Phase::Up if gpu.serves.is_empty() => (api::GpuState::Loading, String::new()),
                Phase::Up => (api::GpuState::Ready, String::new()),
                Phase::Down(why) => (api::GpuState::Down, why.clone()),
            };
            api::GpuStatus {
                gpu: gpu.ordinal.into(),
                state: now,
                detail,
                name: gpu.about.name.clone(),
                driver: gpu.about.driver.clone(),
                compute: gpu.about.compute.clone(),
                precision: self.engine.gpu_precision.name().to_owned(),
                memory_bytes: gpu.about.memory_bytes,
                memory_used_bytes: gpu.statistics.memory_used,
                models: gpu.names(&state.wanted),
                deaths: worker.as_ref().map_or(0, |worker| worker.deaths),
                last_death: worker
                    .and_then(|worker| worker.last_death)
                    .map(|death| api::PluginEvent {
                        at: time(death.at),
                        cause: death.cause,
                    }),
            }
        });
        status.collect()
    }

    /// What `/metrics` says.
    pub fn figures(&self) -> AllFigures {
        let state = lock(&self.shared.state);
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let counts = &self.shared.counts;
        AllFigures {
            gpus: state
                .gpus
                .iter()
                .map(|gpu| Figures {
                    gpu: gpu.ordinal,
                    ready: !gpu.serves.is_empty(),
                    deaths: gpu.worker.as_ref().map_or(0, |worker| worker.statistics().deaths),
                    memory_used: gpu.statistics.memory_used,
                })
                .collect(),
            batches: count(&counts.batches),
            tokens: count(&counts.tokens),
            lost: count(&counts.lost),
            halved: count(&counts.halved),
            wrong: count(&counts.wrong),
        }
    }

    /// Ends the workers. What waits for them comes back as lost, and so does what they are at: nobody waits for a model to load, or for
    /// a driver that hangs.
    pub fn stop(&self) {
        let documents = {
            let mut state = lock(&self.shared.state);
            state.stopping = true;
            for gpu in &mut state.gpus {
                gpu.serves.clear();
                gpu.phase = Phase::Down("the daemon stops".to_owned());
                gpu.line.give_up();
                if let Some(worker) = &gpu.worker {
                    worker.condemn("the daemon stops");
                }
            }
            state.queue.take_unserved(|_| false)
        };
        self.shared.changed.notify_all();
        drop(documents);
        for thread in lock(&self.threads).drain(..) {
            // Their panics are told by the hook.
            drop(thread.join());
        }
        lock(&self.shared.state)
            .gpus
            .iter_mut()
            .for_each(|gpu| gpu.worker = None);
    }
}

impl Gpu {
    fn new(ordinal: u32) -> Self {
        Self {
            ordinal,
            worker: None,
            phase: Phase::Starting,
            child: 0,
            about: Ready::default(),
            serves: HashMap::new(),
            served: false,
            paces: HashMap::new(),
            line: Line::default(),
            statistics: Statistics::default(),
        }
    }

    fn serves_all(&self, models: &[u64]) -> bool {
        models.iter().all(|model| self.serves.contains_key(model))
    }

    /// The names of the models that it serves.
    fn names(&self, wanted: &[Wanted]) -> Vec<String> {
        let served = wanted
            .iter()
            .filter(|wanted| self.serves.contains_key(&wanted.source.id));
        served.map(|wanted| wanted.name.clone()).collect()
    }
}

impl Shared {
    /// What a worker's supervisor tells.
    fn hear(&self, index: usize, notice: &Notice<'_>) {
        match notice {
            Notice::Ready(payload) => self.up(index, payload),
            Notice::Event(_) => {}
            Notice::Died(cause) | Notice::OutOfService(cause) => self.down(index, cause),
        }
    }

    fn up(&self, index: usize, payload: &[u8]) {
        let mut state = lock(&self.state);
        let Some(gpu) = state.gpus.get_mut(index) else {
            return;
        };
        // What cannot be read says no more than that.
        gpu.about = postcard::from_bytes(payload).unwrap_or_default();
        gpu.child += 1;
        gpu.phase = Phase::Up;
        gpu.serves.clear();
        gpu.paces.clear();
        drop(state);
        self.changed.notify_all();
    }

    /// A GPU is of no use for now. What it has comes back, and what waits for it alone.
    fn down(&self, index: usize, cause: &str) {
        let documents = {
            let mut state = lock(&self.state);
            let Some(gpu) = state.gpus.get_mut(index) else {
                return;
            };
            if gpu.served && gpu.phase == Phase::Up {
                tracing::warn!(
                    gpu = gpu.ordinal,
                    "the GPU's worker failed, the CPU computes: {cause}"
                );
            }
            gpu.phase = Phase::Down(cause.to_owned());
            gpu.serves.clear();
            gpu.line.give_up();
            let State { queue, gpus, .. } = &mut *state;
            queue.take_unserved(|models| gpus.iter().any(|gpu| gpu.serves_all(models)))
        };
        self.changed.notify_all();
        let windows: usize = documents.iter().map(|document| document.windows.len()).sum();
        self.counts.lost.fetch_add(windows as u64, Ordering::Relaxed);
        drop(documents);
    }
}

/// What is to be done about a worker that does not start.
fn start_error(error: &StartError) -> String {
    match error {
        StartError::Died(cause) if cause.contains("exit code 127") => {
            "the GPU worker lacks a library of CUDA; install the driver and the package's CUDA libraries"
                .to_owned()
        }
        error => error.to_string(),
    }
}
