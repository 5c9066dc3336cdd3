//! What the administrator wrote, checked as a whole: `mednerd.toml`, then `conf.d/*.toml` beside it
//! in the order of their names. Later files override single keys; lists of models and plugins grow.
//! Nothing is opened here but the configuration files themselves.

mod reader;
mod restart;

use std::collections::HashMap;
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub use mednerd_engine_tract::Precision;
use mednerd_plugin_host::protocol::{MAX_TEXT, max_frame};
use mednerd_worker::Breaker;
use nix::errno::Errno;
use reader::{Document, Section};

use crate::zero_shot::Label;
pub(crate) use reader::{NAME_RULE, is_name};

/// `sun_path` of `unix(7)` without its final NUL.
const LONGEST_SOCKET_PATH: usize = 107;

/// The file that the package installs.
pub const DEFAULT_FILE: &str = "/etc/mednerd/mednerd.toml";

/// The whole configuration.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// The files it was read from, in order.
    pub files: Vec<PathBuf>,
    /// Where sections and their keys stand, `server.socket` say, in the last file that has them.
    places: HashMap<String, Place>,
    /// Whether all of the files could be read as TOML: where not, nothing can be said of what is not there.
    pub whole: bool,
    /// `[server]`
    pub server: Server,
    /// `[access]`
    pub access: Access,
    /// `[engine]`
    pub engine: Engine,
    /// `[audit]`
    pub audit: Audit,
    /// `[linking]`
    pub linking: Linking,
    /// `[[models]]`
    pub models: Vec<Model>,
    /// `[[terms]]`
    pub terms: Vec<Terms>,
    /// `[plugin_policy]`
    pub plugin_policy: PluginPolicy,
    /// `[[plugins]]`
    pub plugins: Vec<Plugin>,
}

/// `[plugin_policy]`: what is demanded of plugins, and what they may have at most.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PluginPolicy {
    /// The directory of the public keys whose plugins are loaded.
    pub trusted_keys: PathBuf,
    /// Whether unsigned plugins are loaded too.
    pub development: bool,
    /// The folder of `mednerd-plugin-host`; beside `mednerd` or where the package puts it, unless named.
    pub host: Option<PathBuf>,
    /// A plugin that asks for more memory is refused; megabytes.
    pub max_memory_mb: u64,
    /// A plugin that asks for longer calls is refused; milliseconds.
    pub max_call_ms: u64,
    /// A plugin that asks for longer to open is refused; milliseconds.
    pub max_start_ms: u64,
    /// Documents that may wait for one plugin.
    pub max_waiting: usize,
    /// When a plugin whose host keeps dying is taken out of service, and for how long.
    pub breaker: Breaker,
    /// Whether a plugin is refused whose host the kernel cannot confine.
    pub require_sandbox: bool,
    /// Bytes of a message to or from a plugin's host: a note, or what was found in it. From
    /// `server.max_text_bytes`.
    pub max_frame: usize,
}

impl Default for PluginPolicy {
    fn default() -> Self {
        Self {
            trusted_keys: mednerd_plugin::package::TRUSTED_KEYS.into(),
            development: false,
            host: None,
            max_memory_mb: 4096,
            max_call_ms: 5000,
            max_start_ms: 120_000,
            max_waiting: 1024,
            breaker: Breaker::default(),
            require_sandbox: false,
            max_frame: 0,
        }
    }
}

/// `[[plugins]]`: one plugin directory and what is handed to the plugin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plugin {
    /// The directory.
    pub path: PathBuf,
    /// Whether requests that name no model get the task that it brings.
    pub default: bool,
    /// `[plugins.settings]` as a JSON object.
    pub settings: String,
    /// Where its table stands.
    pub place: Place,
}

/// `[server]`: sockets and limits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// The socket for EHR systems.
    pub socket: PathBuf,
    /// The socket for administrators.
    pub admin_socket: PathBuf,
    /// A longer text is refused with 413.
    pub max_text_bytes: usize,
    /// Documents admitted and not yet answered; one more is refused with 429.
    pub max_queued_documents: usize,
    /// Bytes of request bodies held at once; more are refused with 429.
    pub max_queued_bytes: usize,
    /// Open connections; one more waits to be accepted.
    pub max_connections: usize,
    /// The deadline of a request that names none.
    pub default_deadline: Duration,
    /// The longest deadline that a request may name.
    pub max_deadline: Duration,
    /// How long a client may take to send a request head, or to be idle between requests.
    pub idle_timeout: Duration,
    /// How long a client may pause while it sends a body or reads an answer.
    pub stall_timeout: Duration,
    /// How long requests under way may take after SIGTERM.
    pub drain_timeout: Duration,
}

impl Default for Server {
    fn default() -> Self {
        Self {
            socket: mednerd_client::DEFAULT_SOCKET.into(),
            admin_socket: mednerd_client::DEFAULT_ADMIN_SOCKET.into(),
            max_text_bytes: MAX_TEXT,
            max_queued_documents: 64,
            max_queued_bytes: 128 << 20,
            max_connections: 512,
            default_deadline: Duration::from_secs(60),
            max_deadline: Duration::from_secs(600),
            idle_timeout: Duration::from_secs(60),
            stall_timeout: Duration::from_secs(15),
            drain_timeout: Duration::from_secs(30),
        }
    }
}

/// `[access]`: who may call, by user and group name or number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Access {
    /// Members may annotate.
    pub groups: Vec<Principal>,
    /// May annotate.
    pub users: Vec<Principal>,
    /// May use the admin socket, beside root.
    pub admin_users: Vec<Principal>,
}

impl Default for Access {
    fn default() -> Self {
        Self {
            groups: vec![Principal::unplaced("mednerd")],
            users: Vec::new(),
            admin_users: Vec::new(),
        }
    }
}

/// A user or group and where it was named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Principal {
    /// Name or number.
    pub name: String,
    /// Where it stands; `None` for the built-in default.
    pub place: Option<Place>,
}

impl Principal {
    fn unplaced(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            place: None,
        }
    }
}

/// `[engine]`: what computes.
#[derive(Clone, Debug, PartialEq)]
pub struct Engine {
    /// Which engine.
    pub device: Device,
    /// Worker threads; 0 means one for each core.
    pub threads: usize,
    /// In what precision the CPU computes.
    pub precision: Precision,
    /// The program of the GPU workers; `None`: where the package puts it.
    pub worker: Option<PathBuf>,
    /// Which GPUs, by their numbers in `nvidia-smi`.
    pub gpus: Vec<u32>,
    /// In what precision they compute.
    pub gpu_precision: mednerd_gpu::protocol::Precision,
    /// Memory that each may use, in MiB; 0: nine tenths of what is free.
    pub gpu_memory_mb: usize,
    /// A batch is never given up before this time.
    pub gpu_call: Duration,
}

impl Default for Engine {
    fn default() -> Self {
        Self {
            device: Device::default(),
            threads: 0,
            precision: Precision::default(),
            worker: None,
            gpus: vec![0],
            gpu_precision: Default::default(),
            gpu_memory_mb: 0,
            gpu_call: Duration::from_millis(300),
        }
    }
}

/// `engine.device`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Device {
    /// The GPU where there is a worker for it, else the CPU.
    #[default]
    Auto,
    /// The CPU.
    Cpu,
    /// The GPU; an answer that the CPU gives instead says so.
    Cuda,
}

/// `[audit]`: where it is written down who had what annotated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Audit {
    /// The folder of the trail; empty where there is none.
    pub path: PathBuf,
    /// The file with the key; systemd's credential `audit.key` comes before it.
    pub key: PathBuf,
    /// A file of the trail that would grow beyond this is put aside and a new one begun.
    pub max_bytes: usize,
    /// What becomes of a document whose record cannot be written.
    pub on_failure: OnFailure,
    /// Whether each record is told in the log as well, document ids aside.
    pub journal: bool,
    /// When a record has to have reached the disk.
    pub sync: Sync,
}

impl Default for Audit {
    fn default() -> Self {
        Self {
            path: PathBuf::new(),
            key: "/etc/mednerd/audit.key".into(),
            max_bytes: 64 << 20,
            on_failure: OnFailure::Refuse,
            journal: true,
            sync: Sync::Periodic,
        }
    }
}

/// `audit.on_failure`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnFailure {
    /// It is refused with 503.
    Refuse,
    /// It is answered; the log and a counter tell of the record that is missing.
    Continue,
}

/// `[linking]`: what is done with the concepts that plugins give.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Linking {
    /// The checkpoint directory of an encoder that concepts are ranked again by; empty where there is none.
    pub rerank: PathBuf,
    /// How much the encoder counts beside the plugin's score, in percent.
    pub rerank_percent: usize,
    /// How hidden states become one vector.
    pub rerank_pooling: Pooling,
    /// Where the encoder was named.
    pub place: Option<Place>,
}

impl Default for Linking {
    fn default() -> Self {
        Self {
            rerank: PathBuf::new(),
            rerank_percent: 50,
            rerank_pooling: Pooling::default(),
            place: None,
        }
    }
}

/// `linking.rerank_pooling`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Pooling {
    /// The first token's, as SapBERT has it.
    #[default]
    Cls,
    /// The mean of all tokens'.
    Mean,
}

/// `audit.sync`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sync {
    /// About a second after it was written.
    Periodic,
    /// Before the document is answered.
    Record,
}

/// `[[models]]`: one model directory and its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Model {
    /// What requests call it.
    pub name: String,
    /// A Hugging Face checkpoint directory.
    pub path: PathBuf,
    /// Whether requests that name no model get it.
    pub default: bool,
    /// What a zero-shot model looks for where a request does not say.
    pub labels: Vec<Label>,
    /// Whether short forms are what the text defines them as, for it and its adapters.
    pub short_forms: bool,
    /// `[[models.adapters]]`
    pub adapters: Vec<Adapter>,
    /// Where its table stands.
    pub place: Place,
}

/// `[[terms]]`: one list of names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Terms {
    /// What requests call it, as a model.
    pub name: String,
    /// A file, or a folder of files that end in `.tsv`.
    pub path: PathBuf,
    /// Whether requests that name no model get it.
    pub default: bool,
    /// The score of what is found, in percent.
    pub score_percent: usize,
    /// The score of what is found but for one wrong letter in a word, in percent; 0 where it is not to be found.
    pub misspelt_percent: usize,
    /// From this score on, in percent, what a model has stands where it overlaps a shorter name of its label.
    pub sure_percent: usize,
    /// What models have of its labels needs this score, in percent, where the request names none.
    pub models_percent: usize,
    /// Whether short forms are what the text defines them as.
    pub short_forms: bool,
    /// Where its table stands.
    pub place: Place,
}

/// `[[models.adapters]]`: one task adapter over the model and its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Adapter {
    /// What requests call it.
    pub name: String,
    /// A PEFT directory.
    pub path: PathBuf,
    /// Whether requests that name no model get it.
    pub default: bool,
    /// What it looks for where a request does not say and it is not what its base looks for.
    pub labels: Vec<Label>,
    /// Where its table stands.
    pub place: Place,
}

/// A place in a configuration file.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Place {
    /// The file.
    pub file: PathBuf,
    /// From 1; `None` where the file as a whole is meant.
    pub line: Option<usize>,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "{}:{line}", self.file.display()),
            None => write!(f, "{}", self.file.display()),
        }
    }
}

/// What the system says of disks and file servers that are slow to come up, and of memory or handles that are short.
const MAY_PASS: [Errno; 12] = [
    Errno::EIO,
    Errno::EAGAIN,
    Errno::ENOMEM,
    Errno::ENFILE,
    Errno::EMFILE,
    Errno::EBUSY,
    Errno::ESTALE,
    Errno::ETIMEDOUT,
    Errno::EHOSTDOWN,
    Errno::EHOSTUNREACH,
    Errno::ENOTCONN,
    Errno::EREMOTEIO,
];

/// One thing that is wrong with the configuration or with what it names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where it stands, where that can be told.
    pub place: Option<Place>,
    /// What is wrong and what to do.
    pub message: String,
    /// Whether it may be gone a little later though nobody changes a file: a directory of users that is not reached yet.
    pub passing: bool,
}

impl Problem {
    /// A problem at a place, where that can be told.
    pub fn new(place: Option<Place>, message: impl Into<String>) -> Self {
        Self {
            place,
            message: message.into(),
            passing: false,
        }
    }

    /// A problem at a place.
    pub fn at(place: &Place, message: impl Into<String>) -> Self {
        Self::new(Some(place.clone()), message)
    }

    /// The same, as one that may be gone a little later.
    pub fn passing(self) -> Self {
        Self {
            passing: true,
            ..self
        }
    }

    /// The same; as one that may be gone a little later where `error` comes of a disk, a network or a shortage, and not of
    /// what an administrator wrote.
    pub fn because_of(self, error: &(dyn std::error::Error + 'static)) -> Self {
        let causes = std::iter::successors(Some(error), |error| error.source());
        let codes = causes
            .filter_map(|cause| cause.downcast_ref::<std::io::Error>())
            .filter_map(std::io::Error::raw_os_error);
        match codes.map(Errno::from_raw).any(|code| MAY_PASS.contains(&code)) {
            true => self.passing(),
            false => self,
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(place) = &self.place {
            write!(f, "{place}: ")?;
        }
        f.write_str(&self.message)
    }
}

impl Config {
    /// Reads `file` and `conf.d/*.toml` beside it, dot files left out.
    ///
    /// Gives what could be read, and every problem of every file with its line: where there are any, the
    /// rest is good for finding more and for nothing else.
    pub fn load(file: &Path) -> (Self, Vec<Problem>) {
        let mut problems = Vec::new();
        let mut config = Self {
            files: Vec::new(),
            places: HashMap::new(),
            whole: true,
            server: Server::default(),
            access: Access::default(),
            engine: Engine::default(),
            audit: Audit::default(),
            linking: Linking::default(),
            models: Vec::new(),
            terms: Vec::new(),
            plugin_policy: PluginPolicy::default(),
            plugins: Vec::new(),
        };
        let paths = files(file, &mut problems);
        config.whole = problems.is_empty();
        for path in paths {
            match std::fs::read_to_string(&path) {
                Ok(text) => config.overlay(&Document::parse(&path, &text, &mut problems), &mut problems),
                Err(error) => {
                    config.whole = false;
                    let place = Place {
                        file: path.clone(),
                        line: None,
                    };
                    problems.push(Problem::at(&place, format!("cannot be read: {error}")));
                }
            }
            config.files.push(path);
        }
        config.check_names(&mut problems);
        config.plugin_policy.max_frame = max_frame(config.server.max_text_bytes);
        (config, problems)
    }

    /// Sorts problems by file in the order of reading, then by line; those without a place come last.
    pub fn sort(&self, problems: &mut [Problem]) {
        problems.sort_by_key(|problem| {
            let place = problem.place.as_ref();
            let file = place.and_then(|place| self.files.iter().position(|file| *file == place.file));
            (file.unwrap_or(usize::MAX), place.and_then(|place| place.line))
        });
    }

    /// Where a section such as `models` or a key such as `server.socket` stands.
    pub fn place(&self, key: &str) -> Option<&Place> {
        self.places.get(key)
    }

    fn overlay(&mut self, document: &Document<'_>, problems: &mut Vec<Problem>) {
        self.whole &= document.is_whole();
        self.places.extend(document.places());
        let mut root = document.root(problems);
        if let Some(section) = root.table("server") {
            self.server.overlay(section);
        }
        if let Some(section) = root.table("access") {
            self.access.overlay(section);
        }
        if let Some(section) = root.table("engine") {
            self.engine.overlay(section);
        }
        if let Some(section) = root.table("audit") {
            self.audit.overlay(section);
        }
        if let Some(section) = root.table("linking") {
            self.linking.overlay(section);
        }
        root.each_table("models", |section| self.models.extend(Model::read(section)));
        root.each_table("terms", |section| self.terms.extend(Terms::read(section)));
        if let Some(section) = root.table("plugin_policy") {
            self.plugin_policy.overlay(section);
        }
        root.each_table("plugins", |section| self.plugins.extend(Plugin::read(section)));
        root.finish();
    }

    fn check_names(&self, problems: &mut Vec<Problem>) {
        let mut seen: HashMap<&str, &Place> = HashMap::new();
        let models = self.models.iter().flat_map(|model| {
            let adapters = model
                .adapters
                .iter()
                .map(|adapter| (&adapter.name, &adapter.place));
            std::iter::once((&model.name, &model.place)).chain(adapters)
        });
        for (name, place) in models.chain(self.terms.iter().map(|terms| (&terms.name, &terms.place))) {
            if let Some(first) = seen.insert(name, place) {
                let message = format!("a model named \"{name}\" is already defined at {first}; rename one");
                problems.push(Problem::at(place, message));
            }
        }
        if self.server.socket == self.server.admin_socket {
            let place = self.place("server.admin_socket");
            problems.push(Problem::new(
                place.or(self.place("server.socket")).cloned(),
                "server.socket and server.admin_socket must be different paths",
            ));
        }
        for (key, path) in [
            ("server.socket", &self.server.socket),
            ("server.admin_socket", &self.server.admin_socket),
        ] {
            let length = path.as_os_str().len();
            if length > LONGEST_SOCKET_PATH {
                let message = format!(
                    "{key} has a path of {length} bytes, and a Unix socket's may have {LONGEST_SOCKET_PATH}"
                );
                let place = self.place(key).cloned();
                problems.push(Problem::new(place, message));
            }
        }
    }
}

impl Server {
    fn overlay(&mut self, mut section: Section<'_, '_>) {
        section.path("socket", &mut self.socket);
        section.path("admin_socket", &mut self.admin_socket);
        section.size("max_text_bytes", 1..=1 << 30, &mut self.max_text_bytes);
        section.size(
            "max_queued_documents",
            1..=100_000,
            &mut self.max_queued_documents,
        );
        section.size("max_queued_bytes", 1 << 10..=1 << 40, &mut self.max_queued_bytes);
        section.size("max_connections", 1..=100_000, &mut self.max_connections);
        section.milliseconds("default_deadline_ms", &mut self.default_deadline);
        section.milliseconds("max_deadline_ms", &mut self.max_deadline);
        section.milliseconds("idle_timeout_ms", &mut self.idle_timeout);
        section.milliseconds("stall_timeout_ms", &mut self.stall_timeout);
        section.milliseconds("drain_timeout_ms", &mut self.drain_timeout);
        section.finish();
    }
}

impl Access {
    fn overlay(&mut self, mut section: Section<'_, '_>) {
        section.principals("groups", &mut self.groups);
        section.principals("users", &mut self.users);
        section.principals("admin_users", &mut self.admin_users);
        section.finish();
    }
}

impl Engine {
    fn overlay(&mut self, mut section: Section<'_, '_>) {
        section.choice("device", &mut self.device, |name| match name {
            "auto" => Ok(Device::Auto),
            "cpu" => Ok(Device::Cpu),
            "cuda" => Ok(Device::Cuda),
            _ => Err("must be \"auto\", \"cpu\" or \"cuda\""),
        });
        section.size("threads", 0..=1024, &mut self.threads);
        section.choice("precision", &mut self.precision, |name| match name {
            "fp32" => Ok(Precision::Fp32),
            "int8" => Ok(Precision::Int8),
            "auto" => Ok(Precision::Auto),
            _ => Err("must be \"fp32\", \"int8\" or \"auto\""),
        });
        let mut worker = PathBuf::new();
        if section.path("worker", &mut worker) {
            self.worker = Some(worker);
        }
        section.numbers("gpus", 0..=63, &mut self.gpus);
        section.choice("gpu_precision", &mut self.gpu_precision, |name| {
            let mut known = mednerd_gpu::protocol::Precision::ALL.into_iter();
            let known = known.find(|precision| precision.name() == name);
            known.ok_or("must be \"fp32\", \"fp16\", \"bf16\" or \"fp8\"")
        });
        section.size("gpu_memory_mb", 0..=1 << 20, &mut self.gpu_memory_mb);
        section.milliseconds("gpu_call_ms", &mut self.gpu_call);
        section.finish();
    }

    /// Worker threads, with 0 resolved to the cores this process may use.
    pub fn worker_threads(&self) -> usize {
        match self.threads {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            threads => threads,
        }
    }
}

impl Audit {
    fn overlay(&mut self, mut section: Section<'_, '_>) {
        section.path("path", &mut self.path);
        section.path("key", &mut self.key);
        section.size("max_bytes", 1 << 16..=1 << 40, &mut self.max_bytes);
        section.choice("on_failure", &mut self.on_failure, |name| match name {
            "refuse" => Ok(OnFailure::Refuse),
            "continue" => Ok(OnFailure::Continue),
            _ => Err("must be \"refuse\" or \"continue\""),
        });
        section.boolean("journal", &mut self.journal);
        section.choice("sync", &mut self.sync, |name| match name {
            "periodic" => Ok(Sync::Periodic),
            "record" => Ok(Sync::Record),
            _ => Err("must be \"periodic\" or \"record\""),
        });
        section.finish();
    }
}

impl Linking {
    fn overlay(&mut self, mut section: Section<'_, '_>) {
        if section.path("rerank", &mut self.rerank) {
            self.place = Some(section.place());
        }
        section.size("rerank_percent", 1..=100, &mut self.rerank_percent);
        section.choice("rerank_pooling", &mut self.rerank_pooling, |name| match name {
            "cls" => Ok(Pooling::Cls),
            "mean" => Ok(Pooling::Mean),
            _ => Err("must be \"cls\" or \"mean\""),
        });
        section.finish();
    }
}

impl PluginPolicy {
    fn overlay(&mut self, mut section: Section<'_, '_>) {
        section.path("trusted_keys", &mut self.trusted_keys);
        section.boolean("development", &mut self.development);
        section.boolean("require_sandbox", &mut self.require_sandbox);
        let mut host = PathBuf::new();
        if section.path("host", &mut host) {
            self.host = Some(host);
        }
        for (key, range, target) in [
            ("max_memory_mb", 16..=1 << 20, &mut self.max_memory_mb),
            ("max_call_ms", 1..=60_000, &mut self.max_call_ms),
            ("max_start_ms", 100..=600_000, &mut self.max_start_ms),
        ] {
            let mut number = usize::try_from(*target).unwrap_or(usize::MAX);
            section.size(key, range, &mut number);
            *target = number as u64;
        }
        section.size("max_waiting", 1..=100_000, &mut self.max_waiting);
        section.size("breaker_deaths", 1..=100_000, &mut self.breaker.deaths);
        section.milliseconds("breaker_window_ms", &mut self.breaker.window);
        section.milliseconds("breaker_rest_ms", &mut self.breaker.rest);
        section.finish();
    }
}

impl Plugin {
    fn read(mut section: Section<'_, '_>) -> Option<Self> {
        let (mut path, mut settings) = (PathBuf::new(), "{}".to_owned());
        let mut default = false;
        section.boolean("default", &mut default);
        let placed = section.required("path", |section| section.path("path", &mut path));
        section.json("settings", &mut settings);
        let place = section.place();
        section.finish();
        placed.then_some(Self {
            path,
            default,
            settings,
            place,
        })
    }
}

impl Model {
    fn read(mut section: Section<'_, '_>) -> Option<Self> {
        let (mut adapters, mut short_forms) = (Vec::new(), false);
        section.each_table("adapters", |section| adapters.extend(Adapter::read(section)));
        section.boolean("short_forms", &mut short_forms);
        let adapter = Adapter::read(section)?;
        Some(Self {
            name: adapter.name,
            path: adapter.path,
            default: adapter.default,
            labels: adapter.labels,
            short_forms,
            adapters,
            place: adapter.place,
        })
    }
}

impl Terms {
    fn read(mut section: Section<'_, '_>) -> Option<Self> {
        let (mut name, mut path, mut default) = (String::new(), PathBuf::new(), false);
        let (mut score_percent, mut misspelt_percent) = (80, 0);
        let (mut sure_percent, mut models_percent, mut short_forms) = (0, 0, false);
        let named = section.required("name", |section| section.name("name", &mut name));
        let placed = section.required("path", |section| section.path("path", &mut path));
        section.boolean("default", &mut default);
        section.size("score_percent", 1..=100, &mut score_percent);
        section.size("misspelt_percent", 0..=100, &mut misspelt_percent);
        section.size("sure_percent", 0..=100, &mut sure_percent);
        section.size("models_percent", 0..=100, &mut models_percent);
        section.boolean("short_forms", &mut short_forms);
        let place = section.place();
        section.finish();
        (named && placed).then_some(Self {
            name,
            path,
            default,
            score_percent,
            misspelt_percent,
            sure_percent,
            models_percent,
            short_forms,
            place,
        })
    }
}

impl Adapter {
    /// The keys that models and adapters have alike.
    fn read(mut section: Section<'_, '_>) -> Option<Self> {
        let (mut name, mut path, mut default, mut labels) =
            (String::new(), PathBuf::new(), false, Vec::new());
        let named = section.required("name", |section| section.name("name", &mut name));
        let placed = section.required("path", |section| section.path("path", &mut path));
        section.boolean("default", &mut default);
        section.labels("labels", &mut labels);
        let place = section.place();
        section.finish();
        (named && placed).then_some(Self {
            name,
            path,
            default,
            labels,
            place,
        })
    }
}

fn files(main: &Path, problems: &mut Vec<Problem>) -> Vec<PathBuf> {
    let mut files = vec![main.to_owned()];
    let folder = main.with_file_name("conf.d");
    match std::fs::read_dir(&folder) {
        Ok(entries) => {
            let mut found: Vec<PathBuf> = entries
                .filter_map(Result::ok)
                .map(|entry| entry.path())
                .filter(|path| path.extension().is_some_and(|extension| extension == "toml"))
                // As the shell's `*.toml` does, and because editors put their locks and copies there.
                .filter(|path| {
                    !path
                        .file_name()
                        .is_some_and(|name| name.as_bytes().starts_with(b"."))
                })
                .collect();
            found.sort();
            files.append(&mut found);
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => {
            let place = Place {
                file: folder,
                line: None,
            };
            problems.push(Problem::at(&place, format!("cannot be listed: {error}")));
        }
    }
    files
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_disk_says_may_pass_and_what_an_administrator_wrote_does_not() {
        use crate::models::LoadError;
        let passes = |source: std::io::Error| {
            let error = LoadError::from(mednerd_model::ModelError::Io {
                path: "/srv/model.safetensors".into(),
                source,
            });
            Problem::new(None, error.to_string()).because_of(&error).passing
        };
        for code in [Errno::EIO, Errno::ESTALE, Errno::ENOMEM] {
            assert!(passes(code.into()), "{code}");
        }
        for code in [Errno::ENOENT, Errno::EACCES, Errno::EISDIR] {
            assert!(!passes(code.into()), "{code}");
        }
        assert!(!passes(std::io::Error::other("not a checkpoint")));
    }

    fn load(files: &[(&str, &str)]) -> Result<Config, Vec<String>> {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        let prefix = format!("{}/", folder.path().display());
        let (config, mut problems) = Config::load(&folder.path().join("mednerd.toml"));
        config.sort(&mut problems);
        let told = |problem: &Problem| problem.to_string().replace(&prefix, "");
        match problems.is_empty() {
            true => Ok(config),
            false => Err(problems.iter().map(told).collect()),
        }
    }

    #[test]
    fn an_empty_file_means_the_defaults() {
        let config = load(&[("mednerd.toml", "")]).unwrap();
        assert_eq!(config.server, Server::default());
        assert_eq!(config.access, Access::default());
        assert_eq!(config.engine, Engine::default());
        assert_eq!(config.audit, Audit::default());
        assert_eq!(config.models, []);
    }

    #[test]
    fn later_files_override_keys_and_add_models() {
        let config = load(&[
            (
                "mednerd.toml",
                "[server]\nmax_text_bytes = 10\nidle_timeout_ms = 5\n[[models]]\nname = \"a\"\npath = \"/a\"\n",
            ),
            ("conf.d/20.toml", "[server]\nmax_text_bytes = 30\n"),
            ("conf.d/10.toml", "[server]\nmax_text_bytes = 20\n[[models]]\nname = \"b\"\npath = \"b\"\ndefault = true\n"),
            ("conf.d/ignored.txt", "]["),
            ("conf.d/.ignored.toml", "]["),
        ])
        .unwrap();
        assert_eq!(config.server.max_text_bytes, 30);
        assert_eq!(config.server.idle_timeout, Duration::from_millis(5));
        let models: Vec<_> = config.models.iter().map(|m| (&*m.name, m.default)).collect();
        assert_eq!(models, [("a", false), ("b", true)]);
        assert!(config.models[1].path.ends_with("conf.d/b"));
    }

    #[test]
    fn the_encoder_of_linking_is_a_folder_a_share_and_a_pooling() {
        let text = "[linking]\nrerank = \"sapbert\"\nrerank_percent = 30\nrerank_pooling = \"mean\"\n";
        let linking = load(&[("mednerd.toml", text)]).unwrap().linking;
        assert!(linking.rerank.ends_with("sapbert") && linking.place.is_some());
        assert_eq!(
            (linking.rerank_percent, linking.rerank_pooling),
            (30, Pooling::Mean)
        );
        let text = "[linking]\nrerank_percent = 0\nrerank_pooling = \"max\"\n";
        assert_eq!(
            load(&[("mednerd.toml", text)]).unwrap_err(),
            [
                "mednerd.toml:2: linking.rerank_percent must be between 1 and 100",
                "mednerd.toml:3: linking.rerank_pooling must be \"cls\" or \"mean\"",
            ]
        );
    }

    #[test]
    fn every_problem_is_told_at_once_with_its_line() {
        let problems = load(&[(
            "mednerd.toml",
            "[server]\nsokcet = \"/x\"\nmax_text_bytes = \"many\"\nmax_connections = 0\n\n[engine]\ndevice = \"tpu\"\n\
             [[models]]\nname = \"a\"\n[[models]]\nname = \"bad name\"\npath = 3\n[extra]\n",
        )])
        .unwrap_err();
        assert_eq!(
            problems,
            [
                "mednerd.toml:2: unknown key server.sokcet; known here: socket, admin_socket, max_text_bytes, \
                 max_queued_documents, max_queued_bytes, max_connections, default_deadline_ms, max_deadline_ms, \
                 idle_timeout_ms, stall_timeout_ms, drain_timeout_ms",
                "mednerd.toml:3: server.max_text_bytes must be a whole number, not a string",
                "mednerd.toml:4: server.max_connections must be between 1 and 100000",
                "mednerd.toml:7: engine.device must be \"auto\", \"cpu\" or \"cuda\"",
                "mednerd.toml:8: models.path is missing",
                "mednerd.toml:11: models.name may hold letters, digits, '.', '_' and '-', at most 64",
                "mednerd.toml:12: models.path must be a string, not an integer",
                "mednerd.toml:13: unknown key extra; known here: server, access, engine, audit, linking, models, terms, plugin_policy, plugins",
            ]
        );
    }

    #[test]
    fn what_two_keys_make_wrong_has_its_place_too() {
        let long = "x".repeat(200);
        let problems = load(&[
            ("mednerd.toml", "[server]\nsocket = \"a\"\nadmin_socket = \"a\"\n"),
            ("conf.d/50.toml", "\n[server]\nidle_timeout_ms = 0\n"),
        ]);
        assert_eq!(
            problems.unwrap_err(),
            [
                "mednerd.toml:3: server.socket and server.admin_socket must be different paths",
                "conf.d/50.toml:3: server.idle_timeout_ms must be between 1 and 86400000",
            ]
        );
        let problems = load(&[
            ("mednerd.toml", "[server]\nsocket = \"a\"\n"),
            ("conf.d/50.toml", &format!("[server]\nsocket = \"/{long}\"\n")),
        ]);
        let expected =
            "conf.d/50.toml:2: server.socket has a path of 201 bytes, and a Unix socket's may have 107";
        assert_eq!(problems.unwrap_err(), [expected]);
    }

    #[test]
    fn broken_toml_names_every_line() {
        let problems = load(&[("mednerd.toml", "[server\n\nmax_text_bytes = = 3\n")]).unwrap_err();
        assert!(
            problems.iter().any(|p| p.starts_with("mednerd.toml:1: ")),
            "{problems:?}"
        );
        assert!(
            problems.iter().any(|p| p.starts_with("mednerd.toml:3: ")),
            "{problems:?}"
        );
    }

    #[test]
    fn a_missing_file_is_named() {
        let (_, problems) = Config::load(Path::new("/nowhere/mednerd.toml"));
        assert!(
            problems[0]
                .to_string()
                .starts_with("/nowhere/mednerd.toml: cannot be read")
        );
    }

    #[test]
    fn gpus_are_configured() {
        let config = load(&[(
            "mednerd.toml",
            "[engine]\ndevice = \"cuda\"\nworker = \"w\"\ngpus = [1, 0]\ngpu_precision = \"bf16\"\n\
             gpu_memory_mb = 100\ngpu_call_ms = 50\n",
        )])
        .unwrap();
        assert_eq!(config.engine.device, Device::Cuda);
        assert!(config.engine.worker.unwrap().ends_with("w"));
        assert_eq!(config.engine.gpus, [1, 0]);
        assert_eq!(config.engine.gpu_precision.name(), "bf16");
        assert_eq!(
            (config.engine.gpu_memory_mb, config.engine.gpu_call.as_millis()),
            (100, 50)
        );
        for gpus in ["[]", "[0, 0]", "[-1]", "[\"a\"]", "7"] {
            let problems = load(&[("mednerd.toml", &format!("[engine]\ngpus = {gpus}\n"))]).unwrap_err();
            assert!(problems[0].contains("engine.gpus must be"), "{problems:?}");
        }
    }

    #[test]
    fn precisions_are_told_apart() {
        for (name, precision) in [
            ("fp32", Precision::Fp32),
            ("int8", Precision::Int8),
            ("auto", Precision::Auto),
        ] {
            let config = load(&[("mednerd.toml", &format!("[engine]\nprecision = \"{name}\"\n"))]).unwrap();
            assert_eq!(config.engine.precision, precision);
            assert_eq!(precision.name(), name);
        }
        let problems = load(&[("mednerd.toml", "[engine]\nprecision = \"fp16\"\n")]).unwrap_err();
        assert!(problems[0].contains("int8"), "{problems:?}");
    }

    #[test]
    fn plugins_get_their_settings_as_they_stand() {
        let config = load(&[(
            "mednerd.toml",
            "[plugin_policy]\ntrusted_keys = \"keys\"\nmax_call_ms = 7\n[[plugins]]\npath = \"p\"\n[plugins.settings]\n\
             index = \"/i\"\nnumber = 0x10\nshare = 0.5\nlist = [true, \"é\"]\n[plugins.settings.inner]\nday = 2026-01-02\n\
             [[plugins]]\npath = \"/q\"\n",
        )])
        .unwrap();
        assert!(config.plugin_policy.trusted_keys.ends_with("keys"));
        assert_eq!(
            (config.plugin_policy.max_call_ms, config.plugin_policy.development),
            (7, false)
        );
        let [first, second] = &*config.plugins else {
            panic!()
        };
        let settings: serde_json::Value = serde_json::from_str(&first.settings).unwrap();
        let expected = serde_json::json!({
            "index": "/i", "number": 16, "share": 0.5, "list": [true, "é"], "inner": {"day": "2026-01-02"},
        });
        assert_eq!(settings, expected);
        assert_eq!(second.settings, "{}");
        let problems = load(&[(
            "mednerd.toml",
            "[plugin_policy]\nkeys = 1\n[[plugins]]\nsettings = 1\n",
        )])
        .unwrap_err();
        assert_eq!(problems.len(), 3, "{problems:?}");
    }

    #[test]
    fn adapters_belong_to_their_model() {
        let config = load(&[(
            "mednerd.toml",
            "[[models]]\nname = \"a\"\npath = \"/a\"\n[[models.adapters]]\nname = \"b\"\npath = \"/b\"\ndefault = true\n\
             [[models.adapters]]\nname = \"c\"\npath = \"c\"\n[[models]]\nname = \"d\"\npath = \"/d\"\n",
        )])
        .unwrap();
        let adapters: Vec<Vec<(&str, bool)>> = config
            .models
            .iter()
            .map(|model| {
                model
                    .adapters
                    .iter()
                    .map(|a| (a.name.as_str(), a.default))
                    .collect()
            })
            .collect();
        assert_eq!(adapters, [vec![("b", true), ("c", false)], vec![]]);
        let problems = load(&[(
            "mednerd.toml",
            "[[models]]\nname = \"a\"\npath = \"/a\"\n[[models.adapters]]\nname = \"a\"\npath = \"/b\"\n\
             [[models.adapters]]\nname = \"c\"\nrank = 3\n",
        )])
        .unwrap_err();
        assert_eq!(problems.len(), 3, "{problems:?}");
        assert!(
            problems.iter().any(|p| p.contains("a model named \"a\"")),
            "{problems:?}"
        );
        assert!(
            problems.iter().any(|p| p.contains("path is missing")),
            "{problems:?}"
        );
        assert!(problems.iter().any(|p| p.contains("rank")), "{problems:?}");
    }

    #[test]
    fn lists_of_names_have_a_score_and_no_model_s_name() {
        let list = "[[terms]]\nname = \"ward\"\npath = \"ward.tsv\"\nscore_percent = 95\nmisspelt_percent = 60\nsure_percent = 90\nmodels_percent = 70\nshort_forms = true\n";
        let terms = load(&[("mednerd.toml", list)]).unwrap().terms;
        assert!(terms[0].path.ends_with("ward.tsv"));
        assert_eq!((terms[0].score_percent, terms[0].default), (95, false));
        assert_eq!((terms[0].models_percent, terms[0].sure_percent), (70, 90));
        assert!(terms[0].short_forms);
        assert_eq!(terms[0].misspelt_percent, 60);
        let model = "[[models]]\nname = \"ward\"\npath = \"/a\"\n";
        let text = format!("{model}{list}[[terms]]\nscore_percent = 101\n");
        let problems = load(&[("mednerd.toml", &text)]).unwrap_err();
        let expected = [
            "already defined at",
            "terms.score_percent must be between 1 and 100",
            "terms.name is missing",
            "terms.path is missing",
        ];
        for words in expected {
            assert!(
                problems.iter().any(|problem| problem.contains(words)),
                "{words}: {problems:?}"
            );
        }
    }

    #[test]
    fn two_models_of_one_name_are_refused() {
        let table = "[[models]]\nname = \"a\"\npath = \"/a\"\n";
        let problems = load(&[("mednerd.toml", &format!("{table}{table}"))]).unwrap_err();
        assert_eq!(
            problems,
            ["mednerd.toml:4: a model named \"a\" is already defined at mednerd.toml:1; rename one"]
        );
    }
}
