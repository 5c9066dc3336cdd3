//! Plugins in force: each verified here, run in a host of its own, and asked in batches. What a host answers
//! is checked as if a stranger had sent it.

mod killers;

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant, SystemTime};

use jiff::Timestamp;
use mednerd_client::api;
use mednerd_plugin::contract::{self, Breach};
use mednerd_plugin::package::{self, Manifest, PackageError};
use mednerd_plugin::{
    AdapterFiles, Concept, Decoded, Document, ErrorKind, Mention, NormalizeOptions, Span, Task, Vocabulary,
    ability,
};
use mednerd_plugin_host::data::{self, Stamp};
use mednerd_plugin_host::protocol::{Event, Fault, MAX_BATCH, Outcome, Ready, Reply, Request, Start};
use mednerd_worker::{CallError, Notice, Settings, StartError, State, Ticket, Worker};
use tokio::sync::oneshot;

use crate::config::{self, PluginPolicy};
use crate::original::Source;
use crate::sync::lock;
use killers::{Digest, Killers};

/// What the host's program is called.
const HOST: &str = "mednerd-plugin-host";
/// Where the package puts it.
const LIBEXEC: &str = "/usr/libexec/mednerd";
/// Bytes of text in one batch of several documents.
const MAX_BATCH_BYTES: usize = 1 << 20;
/// An adapter's files are never larger, however much memory it may have.
const MAX_ADAPTER_BYTES: u64 = 1 << 30;
/// Events of one plugin that are logged in a second.
const EVENTS_PER_SECOND: u32 = 20;
/// A host that fails so many documents in a row, each with a failure that is not the document's, is replaced: a plugin that has
/// run out of something may say so for ever.
const FAILURES_IN_A_ROW: u32 = 16;

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
            Self::Start { error, .. } => error.may_pass(),
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
    memory_mb: u64,
    /// What the first host told. What requests name, they name by this.
    ready: OnceLock<Result<Ready, Breach>>,
    /// The vocabularies of the host that is there, which may be of other versions.
    vocabularies: Mutex<Arc<[Vocabulary]>>,
    /// The host that is there has another task, vocabulary or format than the first one.
    changed: AtomicBool,
    killers: Mutex<Killers>,
    logged: Mutex<(Instant, u32)>,
}

/// What a plugin made of a note.
pub struct Links {
    /// For each mention its candidates.
    pub concepts: Linked,
    /// The vocabularies of the very host that found them.
    pub vocabularies: Arc<[Vocabulary]>,
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
    /// This document has killed a host, alone.
    #[error("the document has killed its host before, and is not given to another one for a while")]
    Killer,
    /// The host declares something else than requests go by.
    #[error("{CHANGED}")]
    Changed,
}

/// Why nothing is asked of a host that is not what its plugin was.
const CHANGED: &str =
    "since its restart the plugin declares another task, vocabulary or format; reload to take it";

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
    Linked(Links),
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
    /// When the batch was handed in.
    sent: Option<Instant>,
    /// How long it takes for one document; zero where that is not known yet.
    pace: Duration,
    /// Documents that it failed since it last did what it was asked.
    failures: u32,
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
            ("start_ms", manifest.start_ms, policy.max_start_ms),
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
        settings.tries_again = true;
        // The very file that was verified: an update may put another in its place, long before it is loaded again.
        settings.handed = Some(Arc::new(package.library));
        // A vendor wants to see why; never a log, which a document could get into.
        settings.stderr = policy.development && std::io::stderr().is_terminal();
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
            memory_mb: manifest.memory_mb,
            ready: OnceLock::new(),
            vocabularies: Mutex::new(Arc::new([])),
            changed: AtomicBool::new(false),
            killers: Mutex::default(),
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

    /// Waits until the host is ready. Where it is not and [may be later](PluginError::may_pass), it is tried again as long as
    /// this lives.
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
            && self.is_open()
            && !self.heard.changed.load(Ordering::Relaxed)
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

    /// Whether a host of it was ever ready. Until then nobody knows its vocabularies and formats.
    pub fn is_open(&self) -> bool {
        self.heard.ready.get().is_some()
    }

    /// Whether its manifest has this ability.
    pub fn has(&self, ability: &str) -> bool {
        self.manifest.abilities.iter().any(|id| id == ability)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.wanted.path
    }

    /// What it links to; nothing where it does not link, or was never ready.
    pub fn vocabularies(&self) -> Arc<[Vocabulary]> {
        Arc::clone(&lock(&self.heard.vocabularies))
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
    ) -> Result<Links, AskError> {
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
        let files = answered(answer).and_then(|(outcome, _)| match outcome {
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
        let item = Item {
            ask,
            deadline,
            alone: false,
            done,
        };
        if self.heard.changed.load(Ordering::Relaxed) {
            return Err(AskError::Changed);
        }
        if self.is_killer(&item) {
            return Err(AskError::Killer);
        }
        let waiting = Waiting {
            plugin: self,
            answer: Some(answer),
        };
        {
            let mut queue = lock(&self.queue);
            if queue.waiting.len() >= self.policy.max_waiting {
                return Err(AskError::Busy);
            }
            queue.waiting.push(item);
        }
        self.send_next();
        let answered = tokio::time::timeout_at(deadline.into(), waiting.answer()).await;
        answered.unwrap_or(Err(AskError::Call(CallError::DeadlinePassed)))
    }

    /// Whether this document killed a host lately.
    fn is_killer(&self, item: &Item) -> bool {
        // Digests are made where there is something to compare them with: a good plugin costs none.
        let none = lock(&self.heard.killers).is_empty();
        let found = (!none).then(|| digest(item)).flatten();
        found.is_some_and(|digest| lock(&self.heard.killers).knows(&digest, Instant::now()))
    }

    /// Gives the host the next batch where it has none.
    fn send_next(self: &Arc<Self>) {
        let (payload, last) = {
            let mut queue = lock(&self.queue);
            if queue.busy {
                return;
            }
            let most = at_once(queue.pace, self.call_time);
            let Some(batch) = next_batch(&mut queue.waiting, most) else {
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
            queue.sent = Some(now);
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
        let took = queue.sent.map(|sent| sent.elapsed()).unwrap_or_default();
        let read = self.read(result, &batch);
        let whole = read.is_err();
        let results = match read {
            Ok((results, time)) => {
                queue.pace = paced(queue.pace, time, batch.len());
                results
            }
            Err(error) => {
                if error == AskError::Call(CallError::DeadlinePassed) {
                    queue.pace = paced(queue.pace, took.min(self.call_time), batch.len());
                }
                self.suspect(&error, &batch);
                batch.iter().map(|_| Err(error.clone())).collect()
            }
        };
        let shared = batch.len() > 1;
        let now = Instant::now();
        for (item, result) in batch.into_iter().zip(results) {
            match result {
                // Another document may have spoiled it, or taken its time: it gets a turn of its own.
                Err(error) if shared && item.deadline > now && may_be_of_another(&error, whole) => {
                    queue.waiting.push(Item { alone: true, ..item });
                }
                result => {
                    queue.count(&result);
                    self.note(result.as_ref().err());
                    let _ = item.done.send(result);
                }
            }
        }
        let failures = queue.failures;
        drop(queue);
        if failures > 0 && failures.is_multiple_of(FAILURES_IN_A_ROW) {
            self.worker
                .condemn(format!("it failed {failures} documents in a row"));
        }
        self.send_next();
    }

    /// Remembers a document that was alone with a host that died of it, or that may still die of it.
    fn suspect(&self, error: &AskError, batch: &[Item]) {
        let alone = || match batch {
            [item] => digest(item),
            _ => None,
        };
        let mut killers = lock(&self.heard.killers);
        match error {
            AskError::Call(CallError::Died(_)) => alone()
                .into_iter()
                .for_each(|found| killers.add(found, Instant::now())),
            AskError::Call(CallError::DeadlinePassed) => killers.suspect(alone()),
            _ => {}
        }
    }

    /// Keeps a failure for `status`: a cause, not what follows from it for others. That nobody waits any more is none.
    fn note(&self, error: Option<&AskError>) {
        if let Some(error) = error
            && !matches!(
                error,
                AskError::Call(CallError::Cancelled | CallError::Unavailable(_) | CallError::Busy)
            )
        {
            *lock(&self.last_failure) = Some((SystemTime::now(), error.clone()));
        }
    }

    fn read(
        &self,
        result: Result<Vec<u8>, CallError>,
        batch: &[Item],
    ) -> Result<(Vec<Result<Said, AskError>>, Duration), AskError> {
        let breach = AskError::Breach;
        let (outcome, time) = answered(result)?;
        let results = match (outcome, batch) {
            (Outcome::Linked(found), _) if found.len() == batch.len() => {
                let vocabularies = self.vocabularies();
                let results = found.into_iter().zip(batch);
                Ok(results
                    .map(|(result, item)| self.linked(result, item, &vocabularies))
                    .collect())
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
        };
        Ok((results?, time))
    }

    fn linked(
        &self,
        result: Result<Linked, Fault>,
        item: &Item,
        declared: &Arc<[Vocabulary]>,
    ) -> Result<Said, AskError> {
        let Ask::Link { note, options } = &item.ask else {
            return Err(AskError::Unreadable);
        };
        let concepts = result.map_err(|fault| AskError::Fault(fault.mute()))?;
        contract::concepts(&concepts, note.mentions.len(), options, declared).map_err(AskError::Breach)?;
        Ok(Said::Linked(Links {
            concepts,
            vocabularies: Arc::clone(declared),
        }))
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
        let (state, reason) = self.told(&statistics.state);
        let last_failure = lock(&self.last_failure).clone();
        api::PluginInfo {
            id: self.manifest.id.clone(),
            version: self.manifest.version.clone(),
            vendor: self.manifest.vendor.clone(),
            path: self.wanted.path.display().to_string(),
            abilities: self.manifest.abilities.clone(),
            vocabularies: self
                .vocabularies()
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
            last_death: statistics
                .last_death
                .map(|death| event(death.at, self.heard.explained(&death.cause))),
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
        let (state, reason) = self.told(&statistics.state);
        api::PluginStatus {
            id: self.manifest.id.clone(),
            state,
            reason,
            deaths: statistics.deaths,
            last_death: statistics
                .last_death
                .map(|death| self.heard.explained(&death.cause)),
            failed: statistics.failed,
            last_failure: lock(&self.last_failure)
                .as_ref()
                .map(|(_, error)| error.to_string()),
            signed_by: self.key_id.clone(),
            sandbox: self.sandbox(),
        }
    }

    /// Its state, and why it is no better.
    fn told(&self, state: &State) -> (api::PluginState, Option<String>) {
        let failures = lock(&self.queue).failures;
        match told(state) {
            (api::PluginState::Ready, _) if self.heard.changed.load(Ordering::Relaxed) => {
                (api::PluginState::OutOfService, Some(CHANGED.to_owned()))
            }
            (api::PluginState::Ready, _) if failures >= FAILURES_IN_A_ROW => {
                let why = format!("it has failed the last {failures} documents");
                (api::PluginState::Ready, Some(why))
            }
            plain => plain,
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
            ready: statistics.state == State::Ready && !self.heard.changed.load(Ordering::Relaxed),
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

impl Queue {
    /// Counts what is the plugin's own failure and no document's.
    fn count(&mut self, result: &Result<Said, AskError>) {
        match result {
            Ok(_) => self.failures = 0,
            Err(AskError::Fault(Fault::Plugin(error)))
                if !matches!(error.kind, ErrorKind::Input | ErrorKind::Cancelled) =>
            {
                self.failures = self.failures.saturating_add(1);
            }
            Err(_) => {}
        }
    }
}

/// How many documents a batch may hold: as many as a call can do in half of its time at the plugin's own pace. One where
/// that is not known.
fn at_once(pace: Duration, call_time: Duration) -> usize {
    let many = (call_time / 2)
        .as_nanos()
        .checked_div(pace.as_nanos())
        .unwrap_or(1);
    usize::try_from(many).unwrap_or(MAX_BATCH).clamp(1, MAX_BATCH)
}

/// The pace after a call for so many documents: what was, and a quarter of what is.
fn paced(before: Duration, time: Duration, documents: usize) -> Duration {
    let each = time / u32::try_from(documents.max(1)).unwrap_or(u32::MAX);
    let pace = match before.is_zero() {
        true => each,
        false => before * 3 / 4 + each / 4,
    };
    pace.max(Duration::from_nanos(1))
}

/// What tells a document, and what is asked of it, from all others; `None` where it cannot be written down.
fn digest(item: &Item) -> Option<Digest> {
    encode(std::slice::from_ref(item))
        .ok()
        .map(|bytes| Digest::of(&bytes))
}

/// Takes the next batch out of what waits: the first item and, where it is to be linked, up to `most` with the same wishes
/// as long as the batch is not large. What nobody waits for goes.
fn next_batch(waiting: &mut Vec<Item>, most: usize) -> Option<Vec<Item>> {
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
            let fits = *wishes == options && batch.len() < most && bytes + note.text.len() <= MAX_BATCH_BYTES;
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

/// What a host says, with the time that the plugin took, or why it says nothing.
fn answered(result: Result<Vec<u8>, CallError>) -> Result<(Outcome, Duration), AskError> {
    let payload = match result {
        Ok(payload) => payload,
        Err(CallError::Failed(payload)) => {
            let fault = postcard::from_bytes(&payload).map_err(|_| AskError::Unreadable)?;
            return Err(AskError::Fault(Fault::mute(fault)));
        }
        Err(error) => return Err(AskError::Call(error)),
    };
    let reply: Reply = postcard::from_bytes(&payload).map_err(|_| AskError::Unreadable)?;
    Ok((reply.outcome, Duration::from_nanos(reply.plugin_ns)))
}

/// Whether a document of a batch may have failed for another one of it: where the whole of the batch did, or where there was
/// no time left for it.
fn may_be_of_another(error: &AskError, whole: bool) -> bool {
    if !whole {
        return matches!(error, AskError::Fault(Fault::Plugin(error)) if error.kind == ErrorKind::Cancelled);
    }
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
            Notice::Overran => lock(&self.killers).convict(Instant::now()),
            Notice::Died(cause) => {
                lock(&self.killers).acquit();
                let cause = self.explained(cause);
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
        let changed = !is_as(first, &checked);
        self.changed.store(changed, Ordering::Relaxed);
        if changed {
            tracing::error!(plugin = &*self.id, "{CHANGED}");
            return;
        }
        let declared = checked.ok().and_then(|ready| ready.vocabularies);
        let declared: Arc<[Vocabulary]> = declared.unwrap_or_default().into();
        let before = std::mem::replace(&mut *lock(&self.vocabularies), Arc::clone(&declared));
        if !before.is_empty() && before != declared {
            tracing::warn!(
                plugin = &*self.id,
                "since its restart the plugin links to other versions of its vocabularies; answers tell them"
            );
        }
    }

    /// A cause of death with what is likely behind it.
    fn explained(&self, cause: &str) -> String {
        match cause.ends_with("SIGABRT") {
            true => format!(
                "{cause}: a failure that nothing caught, or more memory than its memory_mb = {}",
                self.memory_mb
            ),
            false => cause.to_owned(),
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
                let values: Vec<f64> = values.into_iter().take(8).map(narrowed).collect();
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
                    *lock(value) += narrowed(add);
                }
            }
        }
    }
}

/// Whether a host is what the first one was, but for versions of vocabularies.
fn is_as(first: &Result<Ready, Breach>, other: &Result<Ready, Breach>) -> bool {
    let names = |ready: &Ready| {
        let declared = ready.vocabularies.iter().flatten();
        declared
            .map(|vocabulary| vocabulary.name.clone())
            .collect::<Vec<_>>()
    };
    match (first, other) {
        (Ok(first), Ok(other)) => {
            names(first) == names(other)
                && first.vocabularies.is_some() == other.vocabularies.is_some()
                && first.task == other.task
                && first.formats == other.formats
                && first.sandbox == other.sandbox
        }
        (first, other) => first == other,
    }
}

/// A number as it may be logged and counted: to three digits, and neither so large nor so small that it could hold a word.
fn narrowed(value: f64) -> f64 {
    const LARGEST: f64 = 1e9;
    const SMALLEST: f64 = 1e-3;
    if !value.is_finite() || value.abs() < SMALLEST {
        return 0.0;
    }
    let value = value.clamp(-LARGEST, LARGEST);
    let unit = 10_f64.powi(value.abs().log10().floor() as i32 - 2);
    // By way of text, as 3 digits times a power of ten are seldom a number of 64 bits.
    format!("{:.2e}", (value / unit).round() * unit)
        .parse()
        .unwrap_or(0.0)
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
        while let Some(batch) = next_batch(&mut waiting, MAX_BATCH) {
            let first = |item: &Item| match &item.ask {
                Ask::Link { note, .. } => note.text.chars().next().unwrap(),
                _ => '*',
            };
            batches.push(batch.iter().map(first).collect::<String>());
        }
        assert_eq!(batches, ["ae", "c", "x", "*", "d"], "b is not wanted any more");
    }
    #[test]
    fn a_batch_is_as_large_as_half_a_call_allows_at_the_pace_of_the_plugin() {
        let (call, each) = (Duration::from_secs(1), Duration::from_millis(20));
        let mut pace = Duration::ZERO;
        assert_eq!(at_once(pace, call), 1, "nothing is known");
        pace = paced(pace, each, 1);
        assert_eq!(at_once(pace, call), 25);
        pace = paced(pace, each * 25, 25);
        assert_eq!(at_once(pace, call), 25);
        // A call that failed for its time, then quick ones.
        pace = paced(pace, call, 1);
        assert_eq!(at_once(pace, call), 1);
        for _ in 0..100 {
            pace = paced(pace, Duration::from_micros(10), 1);
        }
        assert_eq!(at_once(pace, call), MAX_BATCH);
        assert_eq!(at_once(paced(pace, Duration::ZERO, 0), Duration::ZERO), 1);
    }

    #[test]
    fn numbers_keep_three_digits_and_a_bounded_range() {
        for (given, kept) in [
            (0.0, 0.0),
            (42.0, 42.0),
            (3.0, 3.0),
            (-1234.5, -1230.0),
            (0.123456, 0.123),
            (99_950.0, 100_000.0),
            (1e300, 1e9),
            (-1e300, -1e9),
            (1e-300, 0.0),
            (f64::NAN, 0.0),
            (f64::INFINITY, 0.0),
        ] {
            assert_eq!(narrowed(given), kept, "{given}");
        }
        // The bytes of a name.
        let word = f64::from_le_bytes(*b"Patient1");
        assert_ne!(narrowed(word).to_le_bytes(), *b"Patient1");
    }

    #[test]
    fn a_host_is_another_one_where_more_than_versions_differ() {
        let ready = |name: &str, version: &str, formats: &[&str]| {
            Ok(Ready {
                vocabularies: Some(vec![Vocabulary {
                    name: name.to_owned(),
                    version: version.to_owned(),
                }]),
                formats: Some(formats.iter().map(ToString::to_string).collect()),
                ..Ready::default()
            })
        };
        let first = ready("V", "1", &["f"]);
        assert!(is_as(&first, &ready("V", "2", &["f"])));
        assert!(!is_as(&first, &ready("W", "1", &["f"])));
        assert!(!is_as(&first, &ready("V", "1", &["f", "g"])));
        assert!(!is_as(&first, &Err(Breach::Digest)));
        assert!(is_as(&Err(Breach::Digest), &Err(Breach::Digest)));
    }
}
