//! Plugins in force: each verified here, run in a host of its own, and asked in batches. What a host answers
//! is checked as if a stranger had sent it.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant, SystemTime};

use jiff::Timestamp;
use mednerd_client::api;
use mednerd_plugin::contract::{self, Breach};
use mednerd_plugin::package::{self, Manifest, PackageError};
use mednerd_plugin::{
    AdapterFiles, Concept, Decoded, Document, Mention, NormalizeOptions, Span, Task, Vocabulary, ability,
};
use mednerd_plugin_host::data::{self, Stamp};
use mednerd_plugin_host::protocol::{Event, Fault, Outcome, Ready, Reply, Request, Start};
use mednerd_worker::{CallError, Notice, Settings, StartError, State, Ticket, Worker};
use tokio::sync::oneshot;

use crate::config::{self, PluginPolicy};
use crate::original::Source;
use crate::sync::lock;

/// What the host's program is called.
const HOST: &str = "mednerd-plugin-host";
/// Where the package puts it.
const LIBEXEC: &str = "/usr/libexec/mednerd";
/// Documents in one batch.
const MAX_BATCH: usize = 64;
/// Bytes of text in one batch of several documents.
const MAX_BATCH_BYTES: usize = 1 << 20;
/// An adapter's files are never larger, however much memory it may have.
const MAX_ADAPTER_BYTES: u64 = 1 << 30;
/// Events of one plugin that are logged in a second.
const EVENTS_PER_SECOND: u32 = 20;

/// Why a plugin is not loaded.
#[derive(Debug, thiserror::Error)]
pub enum PluginError {
    /// It cannot be trusted.
    #[error("{0}")]
    Package(#[from] PackageError),
    /// It asks for more than it may have.
    #[error("plugin \"{id}\" asks for {key} = {asked}, and max_{key} in [plugin_policy] is {limit}")]
    Asks {
        /// Its id.
        id: String,
        /// For what.
        key: &'static str,
        /// How much.
        asked: u64,
        /// How much it may have.
        limit: u64,
    },
    /// Its host does not start.
    #[error("plugin \"{id}\" does not start: {error}")]
    Start {
        /// Its id.
        id: String,
        /// Why.
        error: StartError,
    },
    /// It does not hand over its adapter.
    #[error("plugin \"{id}\" does not give its adapter's files: {error}")]
    Files {
        /// Its id.
        id: String,
        /// Why.
        error: AskError,
    },
    /// What its host says cannot be used.
    #[error("plugin \"{id}\" breaks its contract: {reason}")]
    Contract {
        /// Its id.
        id: String,
        /// How.
        reason: String,
    },
    /// The program of the hosts is not there.
    #[error("the program {} is not there; install it, or name its folder by host in [plugin_policy]", .0.display())]
    NoHost(PathBuf),
    /// The system gives no thread or descriptor.
    #[error("its host cannot be run: {0}")]
    System(#[from] std::io::Error),
    /// A message could not be written.
    #[error("its host cannot be told what to do: {0}")]
    Message(#[from] postcard::Error),
}

impl PluginError {
    /// Whether the same plugin may start a little later: on a machine that has just come up, time and memory are short.
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Start { error, .. } => !matches!(error, StartError::Refused(_)),
            Self::System(_) => true,
            _ => false,
        }
    }
}

/// A plugin in force. Dropping it ends its host.
pub struct Plugin {
    wanted: config::Plugin,
    policy: PluginPolicy,
    manifest: Manifest,
    key_id: Option<String>,
    sha256: String,
    /// What its settings name, as it was before the host began.
    data: Vec<Stamp>,
    worker: Worker,
    heard: Arc<Heard>,
    queue: Mutex<Queue>,
    last_failure: Mutex<Option<(SystemTime, AskError)>>,
    call_time: Duration,
}

/// What its host has told.
struct Heard {
    id: String,
    events: Vec<String>,
    counters: Vec<(String, Mutex<f64>)>,
    /// The first one; the same after every restart, or the plugin is taken out.
    ready: OnceLock<Result<Ready, Breach>>,
    /// Vocabularies and the like differ from the first start.
    changed: AtomicU64,
    logged: Mutex<(Instant, u32)>,
}

/// The concepts of one document: for each mention its candidates.
pub type Linked = Vec<Vec<Concept>>;

/// Why a plugin did not do what it was asked for a document; never holds text of it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AskError {
    /// The host did not answer.
    #[error("{0}")]
    Call(CallError),
    /// The plugin said no.
    #[error("{0}")]
    Fault(Fault),
    /// The answer breaks the contract.
    #[error("{0}")]
    Breach(Breach),
    /// The answer is no answer at all.
    #[error("its host sent what cannot be read")]
    Unreadable,
    /// Too many documents wait.
    #[error("too many documents wait for it")]
    Busy,
}

/// What a plugin is asked for one document.
enum Ask {
    /// Concepts for its mentions.
    Link {
        note: Note,
        options: Arc<NormalizeOptions>,
    },
    /// Its text.
    Decode {
        format: String,
        source: Source,
        max_text: usize,
    },
    /// What the adapter makes of the spans that its model found.
    Refine { text: Arc<str>, spans: Vec<Span> },
}

/// What it says, in the same order.
enum Said {
    Linked(Linked),
    Decoded(Decoded),
    Refined(Vec<Span>),
}

/// A document that waits for a plugin.
struct Item {
    ask: Ask,
    deadline: Instant,
    /// Sent without others: it was in a batch from which nothing came.
    alone: bool,
    done: oneshot::Sender<Result<Said, AskError>>,
}

/// A note with its mentions, shared among plugins.
#[derive(Clone)]
pub struct Note {
    /// All of it.
    pub text: Arc<str>,
    /// The mentions.
    pub mentions: Arc<[Spotted]>,
}

/// A mention.
pub struct Spotted {
    /// First byte.
    pub begin: usize,
    /// One past the last byte.
    pub end: usize,
    /// Its entity type.
    pub label: String,
    /// Probability.
    pub score: f32,
    /// The section of the note, by its name.
    pub section: Option<&'static str>,
}

#[derive(Default)]
struct Queue {
    waiting: Vec<Item>,
    /// The batch that the host has.
    current: Vec<Item>,
    ticket: Option<Ticket>,
    busy: bool,
}

impl Plugin {
    /// Verifies a plugin and starts its host. [`Self::wait_ready`] tells how that went.
    ///
    /// # Errors
    /// [`PluginError`]
    pub fn launch(wanted: &config::Plugin, policy: &PluginPolicy) -> Result<Self, PluginError> {
        let data = data::stamps(&wanted.settings);
        // Its host stands in another folder.
        let directory = std::path::absolute(&wanted.path)?;
        let package = package::verify(&directory, &policy.package())?;
        let manifest = package.manifest;
        for (key, asked, limit) in [
            ("memory_mb", manifest.memory_mb, policy.max_memory_mb),
            ("call_ms", manifest.call_ms, policy.max_call_ms),
        ] {
            if asked > limit {
                let id = manifest.id;
                return Err(PluginError::Asks {
                    id,
                    key,
                    asked,
                    limit,
                });
            }
        }
        let program = policy.host_program();
        if !program.is_file() {
            return Err(PluginError::NoHost(program));
        }
        let mut max_frame = policy.max_frame;
        if manifest.abilities.iter().any(|id| id == ability::ADAPTER) {
            // Its files come in one message.
            let most = (manifest.memory_mb << 20).min(MAX_ADAPTER_BYTES);
            max_frame = max_frame.max(usize::try_from(most).unwrap_or(max_frame));
        }
        let mut settings = Settings::new(format!("plugin {}", manifest.id), program);
        settings.max_frame = max_frame;
        settings.breaker = policy.breaker;
        // The host's own watch is more exact and says more.
        settings.start_timeout = manifest.start_time() + Duration::from_secs(5);
        settings.start = postcard::to_allocvec(&Start {
            directory,
            policy: policy.package(),
            manifest: manifest.clone(),
            sha256: package.sha256.clone(),
            settings: wanted.settings.clone(),
            max_frame,
            require_sandbox: policy.require_sandbox,
        })?;
        let heard = Arc::new(Heard {
            id: manifest.id.clone(),
            events: manifest.events.clone(),
            counters: manifest
                .metrics
                .iter()
                .map(|name| (name.clone(), Mutex::new(0.0)))
                .collect(),
            ready: OnceLock::new(),
            changed: AtomicU64::new(0),
            logged: Mutex::new((Instant::now(), 0)),
        });
        let ears = Arc::clone(&heard);
        let worker = Worker::launch(settings, Box::new(move |notice| ears.hear(notice)))?;
        Ok(Self {
            wanted: wanted.clone(),
            policy: policy.clone(),
            call_time: manifest.call_time(),
            manifest,
            key_id: package.key_id,
            sha256: package.sha256,
            data,
            worker,
            heard,
            queue: Mutex::default(),
            last_failure: Mutex::default(),
        })
    }

    /// Waits until the host is ready.
    ///
    /// # Errors
    /// [`PluginError`]
    pub fn wait_ready(&self) -> Result<(), PluginError> {
        let id = || self.manifest.id.clone();
        self.worker
            .wait_ready()
            .map_err(|error| PluginError::Start { id: id(), error })?;
        match self.heard.ready.get() {
            Some(Ok(_)) => Ok(()),
            Some(Err(breach)) => Err(PluginError::Contract {
                id: id(),
                reason: breach.to_string(),
            }),
            None => Err(PluginError::Contract {
                id: id(),
                reason: "its host sent what cannot be read".to_owned(),
            }),
        }
    }

    /// Whether this is what `wanted` names, its files on disk and those that its settings name included: then it goes on
    /// serving.
    pub fn is(&self, wanted: &config::Plugin, policy: &PluginPolicy) -> bool {
        let same = self.wanted.path == wanted.path
            && self.wanted.settings == wanted.settings
            && self.policy == *policy
            && self.data == data::stamps(&wanted.settings)
            && self.heard.changed.load(Ordering::Relaxed) == 0
            && !matches!(self.worker.statistics().state, State::Stopped(_));
        same && package::verify(&wanted.path, &policy.package()).is_ok_and(|package| {
            package.manifest == self.manifest
                && package.sha256 == self.sha256
                && package.key_id == self.key_id
        })
    }

    /// Its id.
    pub fn id(&self) -> &str {
        &self.manifest.id
    }

    /// Its version.
    pub fn version(&self) -> &str {
        &self.manifest.version
    }

    /// What it links to; `None` where it does not link.
    pub fn vocabularies(&self) -> Option<&[Vocabulary]> {
        self.ready()?.vocabularies.as_deref()
    }

    /// The document formats that it decodes; `None` where it decodes none.
    pub fn formats(&self) -> Option<&[String]> {
        self.ready()?.formats.as_deref()
    }

    /// The NER task that it brings.
    pub fn task(&self) -> Option<&Task> {
        self.ready()?.task.as_ref()
    }

    fn ready(&self) -> Option<&Ready> {
        self.heard.ready.get()?.as_ref().ok()
    }

    /// What is allowed and probably not meant.
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        let id = self.id();
        if self.key_id.is_none() {
            warnings.push(format!(
                "plugin \"{id}\" is not signed by a trusted key and runs because [plugin_policy] has development = true"
            ));
        }
        if let Some(ready) = self.ready() {
            let sandbox = &ready.sandbox;
            if !sandbox.is_enough() {
                warnings.push(format!(
                    "plugin \"{id}\" is not confined as it should be: this kernel offers it Landlock {} and seccomp {}; \
                     require_sandbox = true in [plugin_policy] refuses such plugins",
                    sandbox.landlock, sandbox.seccomp
                ));
            }
        }
        warnings
    }

    /// Links a note. Dropping the future cancels it.
    ///
    /// # Errors
    /// [`AskError`]
    pub async fn link(
        self: &Arc<Self>,
        note: Note,
        options: Arc<NormalizeOptions>,
        deadline: Instant,
    ) -> Result<Linked, AskError> {
        match self.ask(Ask::Link { note, options }, deadline).await? {
            Said::Linked(linked) => Ok(linked),
            _ => Err(AskError::Unreadable),
        }
    }

    /// Decodes a document into at most `max_text` bytes of text; the map back fits the document. Dropping the future
    /// cancels it.
    ///
    /// # Errors
    /// [`AskError`]
    pub async fn decode(
        self: &Arc<Self>,
        format: String,
        source: Source,
        max_text: usize,
        deadline: Instant,
    ) -> Result<Decoded, AskError> {
        let ask = Ask::Decode {
            format,
            source,
            max_text,
        };
        match self.ask(ask, deadline).await? {
            Said::Decoded(decoded) => Ok(decoded),
            _ => Err(AskError::Unreadable),
        }
    }

    /// Post-processes the spans that the model of its [`task`](Self::task) found. Dropping the future cancels it.
    ///
    /// # Errors
    /// [`AskError`]
    pub async fn refine(
        self: &Arc<Self>,
        text: Arc<str>,
        spans: Vec<Span>,
        deadline: Instant,
    ) -> Result<Vec<Span>, AskError> {
        match self.ask(Ask::Refine { text, spans }, deadline).await? {
            Said::Refined(spans) => Ok(spans),
            _ => Err(AskError::Unreadable),
        }
    }

    /// The files of its adapter. Blocks, and comes after the calls under way.
    ///
    /// # Errors
    /// [`PluginError::Files`]
    pub fn adapter_files(&self) -> Result<AdapterFiles, PluginError> {
        let payload = postcard::to_allocvec(&Request::AdapterFiles)?;
        let (sender, answer) = std::sync::mpsc::channel();
        let deadline = Instant::now() + self.manifest.start_time().max(self.call_time);
        self.worker.call(payload, deadline, move |result| {
            let _ = sender.send(result);
        });
        let answer = answer.recv().unwrap_or(Err(CallError::Cancelled));
        let files = answered(answer).and_then(|outcome| match outcome {
            Outcome::Files(files) => Ok(files),
            _ => Err(AskError::Unreadable),
        });
        files.map_err(|error| PluginError::Files {
            id: self.manifest.id.clone(),
            error,
        })
    }

    async fn ask(self: &Arc<Self>, ask: Ask, deadline: Instant) -> Result<Said, AskError> {
        let (done, answer) = oneshot::channel();
        let waiting = Waiting {
            plugin: self,
            answer: Some(answer),
        };
        {
            let mut queue = lock(&self.queue);
            if queue.waiting.len() >= self.policy.max_waiting {
                return Err(AskError::Busy);
            }
            queue.waiting.push(Item {
                ask,
                deadline,
                alone: false,
                done,
            });
        }
        self.send_next();
        let answered = tokio::time::timeout_at(deadline.into(), waiting.answer()).await;
        answered.unwrap_or(Err(AskError::Call(CallError::DeadlinePassed)))
    }

    /// Gives the host the next batch where it has none.
    fn send_next(self: &Arc<Self>) {
        let (payload, last) = {
            let mut queue = lock(&self.queue);
            if queue.busy {
                return;
            }
            let Some(batch) = next_batch(&mut queue.waiting) else {
                return;
            };
            let now = Instant::now();
            let last = batch.iter().map(|item| item.deadline).max().unwrap_or(now);
            let Ok(payload) = encode(&batch) else {
                for item in batch {
                    let _ = item.done.send(Err(AskError::Unreadable));
                }
                return;
            };
            queue.current = batch;
            queue.busy = true;
            queue.ticket = None;
            (payload, last)
        };
        let plugin = Arc::clone(self);
        let done = move |result| plugin.take(result);
        // Its time begins when the host has it: one that is stuck with the call before may have to be replaced first.
        let ticket = self.worker.call_for(payload, last, self.call_time, done);
        let mut queue = lock(&self.queue);
        // It may be over already, and the next one under way.
        if queue.busy && queue.ticket.is_none() {
            queue.ticket = Some(ticket);
        }
    }

    /// What came of the current batch.
    fn take(self: &Arc<Self>, result: Result<Vec<u8>, CallError>) {
        let mut queue = lock(&self.queue);
        let batch = std::mem::take(&mut queue.current);
        queue.busy = false;
        queue.ticket = None;
        let results = self.read(result, &batch);
        match results {
            Ok(results) => {
                for (item, result) in batch.into_iter().zip(results) {
                    self.note(result.as_ref().err());
                    let _ = item.done.send(result);
                }
            }
            Err(error) if !retriable(&error) || batch.len() == 1 => {
                self.note(Some(&error));
                for item in batch {
                    let _ = item.done.send(Err(error.clone()));
                }
            }
            // One document may have spoiled it for the others: each gets a turn of its own.
            Err(_) => {
                let again = batch.into_iter().map(|item| Item { alone: true, ..item });
                queue.waiting.extend(again);
            }
        }
        drop(queue);
        self.send_next();
    }

    /// Keeps a failure for `status`; that nobody waits any more is none.
    fn note(&self, error: Option<&AskError>) {
        if let Some(error) = error
            && *error != AskError::Call(CallError::Cancelled)
        {
            *lock(&self.last_failure) = Some((SystemTime::now(), error.clone()));
        }
    }

    fn read(
        &self,
        result: Result<Vec<u8>, CallError>,
        batch: &[Item],
    ) -> Result<Vec<Result<Said, AskError>>, AskError> {
        let breach = AskError::Breach;
        match (answered(result)?, batch) {
            (Outcome::Linked(found), _) if found.len() == batch.len() => {
                let results = found.into_iter().zip(batch);
                Ok(results.map(|(result, item)| self.linked(result, item)).collect())
            }
            (Outcome::Linked(found), _) => Err(breach(Breach::Count {
                what: "documents",
                found: found.len(),
                expected: batch.len(),
            })),
            (Outcome::Decoded(decoded), [item]) => {
                let Ask::Decode { source, max_text, .. } = &item.ask else {
                    return Err(AskError::Unreadable);
                };
                contract::decoded(&decoded, source.bytes(), *max_text).map_err(breach)?;
                if let Some(text) = source.text() {
                    contract::on_characters(&decoded, text).map_err(breach)?;
                }
                Ok(vec![Ok(Said::Decoded(decoded))])
            }
            (Outcome::Spans(refined), [item]) => {
                let (Ask::Refine { text, spans }, Some(task)) = (&item.ask, self.task()) else {
                    return Err(AskError::Unreadable);
                };
                contract::spans(&refined, text, spans.len(), task).map_err(breach)?;
                Ok(vec![Ok(Said::Refined(refined))])
            }
            _ => Err(AskError::Unreadable),
        }
    }

    fn linked(&self, result: Result<Linked, Fault>, item: &Item) -> Result<Said, AskError> {
        let Ask::Link { note, options } = &item.ask else {
            return Err(AskError::Unreadable);
        };
        let linked = result.map_err(|fault| AskError::Fault(fault.mute()))?;
        let declared = self.vocabularies().unwrap_or_default();
        contract::concepts(&linked, note.mentions.len(), options, declared).map_err(AskError::Breach)?;
        Ok(Said::Linked(linked))
    }

    /// Cancels the current batch where nobody waits for any of it.
    fn abandon(&self) {
        let ticket = {
            let mut queue = lock(&self.queue);
            match queue.current.iter().all(|item| item.done.is_closed()) {
                true => queue.ticket.take(),
                false => None,
            }
        };
        if let Some(ticket) = ticket {
            self.worker.cancel(ticket);
        }
    }

    /// What `GET /v1/plugins` says of it.
    pub fn info(&self) -> api::PluginInfo {
        let statistics = self.worker.statistics();
        let (state, reason) = told(&statistics.state);
        let last_failure = lock(&self.last_failure).clone();
        api::PluginInfo {
            id: self.manifest.id.clone(),
            version: self.manifest.version.clone(),
            vendor: self.manifest.vendor.clone(),
            path: self.wanted.path.display().to_string(),
            abilities: self.manifest.abilities.clone(),
            vocabularies: self
                .vocabularies()
                .unwrap_or_default()
                .iter()
                .map(|vocabulary| api::VocabularyInfo {
                    name: vocabulary.name.clone(),
                    version: vocabulary.version.clone(),
                })
                .collect(),
            formats: self.formats().unwrap_or_default().to_vec(),
            task: self.task().map(|task| task.name.clone()),
            signed_by: self.key_id.clone(),
            sha256: self.sha256.clone(),
            state,
            reason,
            pid: statistics.pid,
            ready_since: statistics.ready_since.map(timestamp),
            start_ms: statistics.start_time.as_secs_f64() * 1e3,
            starts: statistics.starts,
            deaths: statistics.deaths,
            last_death: statistics.last_death.map(|death| event(death.at, death.cause)),
            last_failure: last_failure.map(|(at, error)| event(at, error.to_string())),
            calls: api::PluginCalls {
                answered: statistics.answered,
                failed: statistics.failed,
                overruns: statistics.overruns,
            },
            sandbox: self.sandbox(),
        }
    }

    /// What `GET /v1/status` says of it.
    pub fn status(&self) -> api::PluginStatus {
        let statistics = self.worker.statistics();
        let (state, reason) = told(&statistics.state);
        api::PluginStatus {
            id: self.manifest.id.clone(),
            state,
            reason,
            deaths: statistics.deaths,
            last_death: statistics.last_death.map(|death| death.cause),
            failed: statistics.failed,
            last_failure: lock(&self.last_failure)
                .as_ref()
                .map(|(_, error)| error.to_string()),
            signed_by: self.key_id.clone(),
            sandbox: self.sandbox(),
        }
    }

    fn sandbox(&self) -> api::PluginSandbox {
        let held = self
            .ready()
            .map(|ready| ready.sandbox.clone())
            .unwrap_or_default();
        api::PluginSandbox {
            enough: held.is_enough(),
            landlock: held.landlock,
            seccomp: held.seccomp,
        }
    }

    /// For a scrape: calls answered, calls failed, deaths, whether it is in service.
    pub fn figures(&self) -> Figures {
        let statistics = self.worker.statistics();
        Figures {
            id: self.manifest.id.clone(),
            answered: statistics.answered,
            failed: statistics.failed,
            deaths: statistics.deaths,
            ready: statistics.state == State::Ready,
            counters: self
                .heard
                .counters
                .iter()
                .map(|(name, value)| (name.clone(), *lock(value)))
                .collect(),
        }
    }
}

/// What is counted of a plugin.
#[derive(Clone, Debug)]
pub struct Figures {
    /// Its id.
    pub id: String,
    /// Calls that it answered.
    pub answered: u64,
    /// Calls that failed.
    pub failed: u64,
    /// Hosts that died.
    pub deaths: u64,
    /// Whether it takes calls.
    pub ready: bool,
    /// The counters that its manifest declares.
    pub counters: Vec<(String, f64)>,
}

/// A call that somebody waits for. Dropping it before the answer is there may cancel the batch.
struct Waiting<'a> {
    plugin: &'a Arc<Plugin>,
    answer: Option<oneshot::Receiver<Result<Said, AskError>>>,
}

impl Waiting<'_> {
    async fn answer(mut self) -> Result<Said, AskError> {
        let Some(answer) = &mut self.answer else {
            return Err(AskError::Unreadable);
        };
        let result = answer.await;
        self.answer = None;
        // Every item is answered or dropped with its plugin.
        result.unwrap_or(Err(AskError::Call(CallError::Cancelled)))
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if self.answer.take().is_some() {
            self.plugin.abandon();
        }
    }
}

impl Item {
    /// Its text and options, where it can share a batch with others.
    fn shareable(&self) -> Option<(&Note, &Arc<NormalizeOptions>)> {
        match &self.ask {
            Ask::Link { note, options } if !self.alone => Some((note, options)),
            _ => None,
        }
    }
}

/// Takes the next batch out of what waits: the first item and, where it is to be linked, others with the same wishes
/// as long as the batch is not large. What nobody waits for goes.
fn next_batch(waiting: &mut Vec<Item>) -> Option<Vec<Item>> {
    waiting.retain(|item| !item.done.is_closed());
    let mut rest = std::mem::take(waiting).into_iter();
    let first = rest.next()?;
    let Some((note, options)) = first.shareable() else {
        waiting.extend(rest);
        return Some(vec![first]);
    };
    let (mut bytes, options) = (note.text.len(), Arc::clone(options));
    let mut batch = vec![first];
    for item in rest {
        let length = item.shareable().and_then(|(note, wishes)| {
            let fits =
                *wishes == options && batch.len() < MAX_BATCH && bytes + note.text.len() <= MAX_BATCH_BYTES;
            fits.then_some(note.text.len())
        });
        match length {
            Some(length) => {
                bytes += length;
                batch.push(item);
            }
            None => waiting.push(item),
        }
    }
    Some(batch)
}

fn encode(batch: &[Item]) -> Result<Vec<u8>, postcard::Error> {
    let request = match batch {
        [
            Item {
                ask:
                    Ask::Decode {
                        format,
                        source,
                        max_text,
                    },
                ..
            },
        ] => Request::Decode {
            format,
            bytes: source.bytes(),
            max_text: *max_text,
        },
        [
            Item {
                ask: Ask::Refine { text, spans },
                ..
            },
        ] => Request::Refine {
            text,
            spans: spans.clone(),
        },
        _ => {
            let links = || {
                batch.iter().filter_map(|item| match &item.ask {
                    Ask::Link { note, options } => Some((note, options)),
                    _ => None,
                })
            };
            let options = links()
                .next()
                .map(|(_, options)| NormalizeOptions::clone(options));
            Request::Normalize {
                options: options.ok_or(postcard::Error::SerializeBufferFull)?,
                documents: links().map(|(note, _)| document(note)).collect(),
            }
        }
    };
    postcard::to_allocvec(&request)
}

fn document(note: &Note) -> Document<'_> {
    let mentions = note.mentions.iter().map(|spotted| Mention {
        begin: spotted.begin,
        end: spotted.end,
        label: &spotted.label,
        score: spotted.score,
        section: spotted.section,
    });
    Document {
        text: &note.text,
        mentions: mentions.collect(),
    }
}

/// What a host says, or why it says nothing.
fn answered(result: Result<Vec<u8>, CallError>) -> Result<Outcome, AskError> {
    let payload = match result {
        Ok(payload) => payload,
        Err(CallError::Failed(payload)) => {
            let fault = postcard::from_bytes(&payload).map_err(|_| AskError::Unreadable)?;
            return Err(AskError::Fault(Fault::mute(fault)));
        }
        Err(error) => return Err(AskError::Call(error)),
    };
    let reply: Reply = postcard::from_bytes(&payload).map_err(|_| AskError::Unreadable)?;
    Ok(reply.outcome)
}

fn retriable(error: &AskError) -> bool {
    !matches!(
        error,
        AskError::Call(CallError::Unavailable(_) | CallError::Cancelled | CallError::Busy) | AskError::Busy
    )
}

fn timestamp(time: SystemTime) -> String {
    Timestamp::try_from(time).map_or_else(|_| String::new(), |time| time.to_string())
}

fn event(at: SystemTime, cause: String) -> api::PluginEvent {
    api::PluginEvent {
        at: timestamp(at),
        cause,
    }
}

fn told(state: &State) -> (api::PluginState, Option<String>) {
    match state {
        State::Starting => (api::PluginState::Starting, None),
        State::Ready => (api::PluginState::Ready, None),
        State::BackingOff(why) => (api::PluginState::BackingOff, Some(why.clone())),
        State::OutOfService(why) => (api::PluginState::OutOfService, Some(why.clone())),
        State::Stopped(why) => (api::PluginState::Stopped, Some(why.clone())),
    }
}

impl Heard {
    fn hear(&self, notice: Notice<'_>) {
        let plugin = &*self.id;
        match notice {
            Notice::Ready(payload) => self.take_ready(payload),
            Notice::Event(payload) => {
                if let Ok(event) = postcard::from_bytes::<Event>(payload) {
                    self.take_event(event);
                }
            }
            Notice::Died(cause) => {
                tracing::warn!(plugin, "the plugin's host died and is started again: {cause}")
            }
            Notice::OutOfService(cause) => {
                tracing::error!(
                    plugin,
                    "the plugin is out of service for a while, as its host keeps dying: {cause}"
                );
            }
        }
    }

    fn take_ready(&self, payload: &[u8]) {
        let Ok(ready) = postcard::from_bytes::<Ready>(payload) else {
            return;
        };
        let checked = check(&ready).map(|()| ready);
        let first = self.ready.get_or_init(|| checked.clone());
        if *first != checked {
            self.changed.fetch_add(1, Ordering::Relaxed);
            tracing::error!(
                plugin = &*self.id,
                "after its restart the plugin declares another task, vocabulary or format; reload to take it"
            );
        }
    }

    fn take_event(&self, event: Event) {
        match event {
            Event::Log { level, event, values } => {
                {
                    let mut logged = lock(&self.logged);
                    if logged.0.elapsed() >= Duration::from_secs(1) {
                        *logged = (Instant::now(), 0);
                    }
                    logged.1 += 1;
                    if logged.1 > EVENTS_PER_SECOND {
                        return;
                    }
                }
                // A name that the vendor has signed holds no note.
                let Some(event) = self.events.iter().find(|known| **known == event) else {
                    return;
                };
                let values: Vec<f64> = values.into_iter().take(8).collect();
                let plugin = &*self.id;
                match level {
                    1 => tracing::error!(plugin, event, ?values, "told by the plugin"),
                    2 => tracing::warn!(plugin, event, ?values, "told by the plugin"),
                    3 => tracing::info!(plugin, event, ?values, "told by the plugin"),
                    _ => tracing::debug!(plugin, event, ?values, "told by the plugin"),
                }
            }
            Event::Metric { name, add } => {
                if let Some((_, value)) = self.counters.iter().find(|(known, _)| *known == name)
                    && add.is_finite()
                    && add >= 0.0
                {
                    *lock(value) += add;
                }
            }
        }
    }
}

/// What a plugin declares must be fit for answers.
fn check(ready: &Ready) -> Result<(), Breach> {
    if let Some(vocabularies) = &ready.vocabularies {
        contract::vocabularies(vocabularies)?;
    }
    if let Some(task) = &ready.task {
        contract::task(task)?;
    }
    if let Some(formats) = &ready.formats {
        contract::formats(formats)?;
    }
    Ok(())
}

impl PluginPolicy {
    fn package(&self) -> package::Policy {
        match self.development {
            true => package::Policy::development(self.trusted_keys.clone()),
            false => package::Policy::production(self.trusted_keys.clone()),
        }
    }

    /// The program: in the folder that was named, beside this program, or where the package puts it.
    fn host_program(&self) -> PathBuf {
        if let Some(folder) = &self.host {
            return folder.join(HOST);
        }
        let own = std::env::current_exe().ok();
        let beside = own
            .as_deref()
            .and_then(Path::parent)
            .map(|folder| folder.join(HOST));
        match beside.filter(|path| path.is_file()) {
            Some(path) => path,
            None => Path::new(LIBEXEC).join(HOST),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Answer = oneshot::Receiver<Result<Said, AskError>>;

    fn item(text: &str, top_k: usize, alone: bool) -> (Item, Answer) {
        let (done, answer) = oneshot::channel();
        let options = NormalizeOptions {
            top_k,
            vocabularies: Vec::new(),
        };
        let ask = match text {
            "decode" => Ask::Decode {
                format: "f".to_owned(),
                source: Source::Text(text.into()),
                max_text: 1,
            },
            _ => Ask::Link {
                note: Note {
                    text: text.into(),
                    mentions: Arc::new([]),
                },
                options: Arc::new(options),
            },
        };
        let item = Item {
            ask,
            deadline: Instant::now(),
            alone,
            done,
        };
        (item, answer)
    }

    #[test]
    fn a_batch_holds_documents_with_the_same_wishes_in_their_order() {
        let long = "x".repeat(MAX_BATCH_BYTES);
        let given = [
            ("a", 5, false),
            ("b", 5, false),
            ("c", 3, false),
            (&*long, 5, false),
            ("decode", 5, false),
            ("d", 5, true),
            ("e", 5, false),
        ];
        let (mut waiting, mut answers): (Vec<Item>, Vec<Answer>) = given
            .into_iter()
            .map(|(text, top_k, alone)| item(text, top_k, alone))
            .unzip();
        drop(answers.remove(1));
        let mut batches = Vec::new();
        while let Some(batch) = next_batch(&mut waiting) {
            let first = |item: &Item| match &item.ask {
                Ask::Link { note, .. } => note.text.chars().next().unwrap(),
                _ => '*',
            };
            batches.push(batch.iter().map(first).collect::<String>());
        }
        assert_eq!(batches, ["ae", "c", "x", "*", "d"], "b is not wanted any more");
    }
}
