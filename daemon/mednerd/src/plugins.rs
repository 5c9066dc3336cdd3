//! Plugins in force: each verified here, run in a host of its own, and asked in batches. What a host answers
//! is checked as if a stranger had sent it.

mod batches;
mod heard;
mod killers;
mod report;

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant, SystemTime};

use mednerd_plugin::contract::{self, Breach};
use mednerd_plugin::package::{self, Manifest, PackageError};
use mednerd_plugin::{AdapterFiles, Concept, Decoded, NormalizeOptions, Span, Task, Vocabulary, ability};
use mednerd_plugin_host::data::{self, Stamp};
use mednerd_plugin_host::protocol::{Asked, Fault, Outcome, Ready, Request, Start};
use mednerd_worker::{CallError, Settings, StartError, State, Worker};
use tokio::sync::oneshot;

use crate::config::{self, PluginPolicy};
use crate::original::Source;
use crate::sync::lock;
use batches::{
    Abandoned, Ask, Current, Item, Queue, Said, answered, asked, at_once, digest, digests, encode,
    may_be_of_another, next_batch, paced, took,
};
use heard::Heard;
use killers::{Death, Killers, Standing};

pub use batches::{Note, Spotted};
pub use report::Figures;

/// What the host's program is called.
const HOST: &str = "mednerd-plugin-host";
/// Where the package puts it.
const LIBEXEC: &str = "/usr/libexec/mednerd";
/// An adapter's files are never larger, however much memory it may have.
const MAX_ADAPTER_BYTES: u64 = 1 << 30;
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
    killers: Mutex<Killers>,
    queue: Mutex<Queue>,
    last_failure: Mutex<Option<(SystemTime, AskError)>>,
    call_time: Duration,
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
            killers: Mutex::default(),
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
        let files = answered(answer, &Asked::Other).and_then(|(outcome, _)| match outcome {
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
        let mut item = Item {
            ask,
            deadline,
            alone: false,
            compared: 0,
            done,
        };
        if self.heard.changed.load(Ordering::Relaxed) {
            return Err(AskError::Changed);
        }
        if self.is_killer(&mut item) {
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

    /// Whether this document killed a host lately. One that may have gets a host alone from now on.
    fn is_killer(&self, item: &mut Item) -> bool {
        let now = Instant::now();
        // Digests are made where there is something new to compare them with: a good plugin costs none.
        let Some(deaths) = lock(&self.killers).news(item.compared, now) else {
            return false;
        };
        item.compared = deaths;
        let found = digest(item).and_then(|digest| lock(&self.killers).standing(&digest, now));
        item.alone |= found.is_some();
        found == Some(Standing::Killer)
    }

    /// Gives the host the next batch where it has none. One thread does so at a time: where the batch is over at once, as there is no
    /// host, this loop goes on with the next, whoever is told of it.
    fn send_next(self: &Arc<Self>) {
        loop {
            let batch = {
                let mut queue = lock(&self.queue);
                if queue.sending || queue.current.is_some() {
                    return;
                }
                let most = at_once(queue.pace, self.call_time);
                let Some(batch) = next_batch(&mut queue.waiting, most) else {
                    return;
                };
                queue.sending = true;
                batch
            };
            self.send(batch);
            lock(&self.queue).sending = false;
        }
    }

    fn send(self: &Arc<Self>, mut batch: Vec<Item>) {
        // A host may have died of the like while these waited.
        for killer in batch.extract_if(.., |item| self.is_killer(item)) {
            let _ = killer.done.send(Err(AskError::Killer));
        }
        let Some(payload) = encode(&batch) else {
            for item in batch {
                let _ = item.done.send(Err(AskError::Unreadable));
            }
            return;
        };
        let last = batch.iter().map(|item| item.deadline).max();
        lock(&self.queue).current = Some(Current::new(batch));
        let plugin = Arc::clone(self);
        let done = move |result| plugin.take(result);
        // Its time begins when the host has it, which may have to be started first.
        let last = last.unwrap_or_else(Instant::now);
        let ticket = self.worker.call_for(payload, last, self.call_time, done);
        // It may be over already, and is not followed by another one as long as this thread is here.
        if let Some(current) = &mut lock(&self.queue).current {
            current.ticket = Some(ticket);
        }
        // Whoever went before there was a ticket could not cancel it.
        self.abandon();
    }

    /// What came of the current batch, now that the host is over with it.
    fn take(self: &Arc<Self>, result: Result<Vec<u8>, CallError>) {
        let mut queue = lock(&self.queue);
        let Some(current) = &mut queue.current else { return };
        let (items, abandoned) = (std::mem::take(&mut current.items), current.abandoned.take());
        let (documents, elapsed) = (current.documents, current.sent.elapsed());
        drop(queue);
        let read = match items.is_empty() {
            true => took(result).map(|time| (Vec::new(), time)),
            false => self.read(result, &items),
        };
        let whole = read.is_err();
        let (results, time) = match read {
            Ok((results, time)) => (results, Some(time)),
            Err(error) => {
                self.blame(&error, &items, abandoned);
                if items.is_empty() && matches!(error, AskError::Call(_)) {
                    self.note(Some(&error));
                }
                let late = matches!(
                    error,
                    AskError::Call(CallError::DeadlinePassed | CallError::Overran)
                );
                let results = items.iter().map(|_| Err(error.clone())).collect();
                (results, late.then(|| elapsed.min(self.call_time)))
            }
        };
        let worn_out = {
            let mut queue = lock(&self.queue);
            if let Some(time) = time {
                queue.pace = paced(queue.pace, time, documents);
            }
            self.tell(&mut queue, items.into_iter().zip(results), documents > 1, whole)
        };
        if let Some(failures) = worn_out {
            self.worker
                .condemn(format!("it failed {failures} documents in a row"));
        }
        // Not before: whoever has the next host's turn is not to die with this one.
        lock(&self.queue).current = None;
        self.send_next();
    }

    /// Tells each document of a batch what came of it, or lets it wait for another turn. Gives how many were failed in a row, where a
    /// host that does so is to go.
    fn tell(
        &self,
        queue: &mut Queue,
        results: impl Iterator<Item = (Item, Result<Said, AskError>)>,
        shared: bool,
        whole: bool,
    ) -> Option<u32> {
        let (now, mut worn_out) = (Instant::now(), None);
        for (item, result) in results {
            match result {
                // Another document may have spoiled it, or taken its time: it gets a turn of its own.
                Err(error) if shared && item.deadline > now && may_be_of_another(&error, whole) => {
                    queue.waiting.push(Item { alone: true, ..item });
                }
                result => {
                    if queue.count(&result, FAILURES_IN_A_ROW) {
                        worn_out = Some(queue.failures);
                    }
                    self.note(result.as_ref().err());
                    let _ = item.done.send(result);
                }
            }
        }
        worn_out
    }

    /// Remembers the documents that the host died with, whether somebody still waits for them or not.
    fn blame(&self, error: &AskError, items: &[Item], abandoned: Option<Abandoned>) {
        let death = match error {
            AskError::Call(CallError::Died(_)) => Death::Crashed,
            AskError::Call(CallError::Overran) => Death::Overran,
            _ => return,
        };
        let own = || digests(items);
        let had = abandoned.map_or_else(own, |abandoned| abandoned.wait().clone());
        lock(&self.killers).charge(&had, death, Instant::now());
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
        let (outcome, time) = answered(result, &asked(batch))?;
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
        let given_up = lock(&self.queue).current.as_mut().and_then(Current::abandon);
        if let Some((ticket, items, abandoned)) = given_up {
            abandoned.get_or_init(|| digests(&items));
            self.worker.cancel(ticket);
        }
    }
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

    /// A plugin whose host cannot be started.
    fn out_of_service() -> Arc<Plugin> {
        let manifest = "id = \"gone\"\nvendor = \"v\"\nversion = \"1\"\nabi = 1\n\
            abilities = [\"mednerd.document/1\"]\nlibrary = \"libgone.so\"\n";
        let manifest = Manifest::parse(manifest).unwrap();
        let mut settings = Settings::new("gone", "/nowhere/at/all");
        settings.tries_again = true;
        let worker = Worker::launch(settings, Box::new(|_| {})).unwrap();
        while !matches!(worker.statistics().state, State::OutOfService(_)) {
            std::thread::sleep(Duration::from_millis(1));
        }
        Arc::new(Plugin {
            wanted: config::Plugin {
                path: PathBuf::new(),
                default: false,
                settings: "{}".to_owned(),
                place: config::Place {
                    file: PathBuf::new(),
                    line: None,
                },
            },
            policy: PluginPolicy::default(),
            call_time: manifest.call_time(),
            manifest,
            key_id: None,
            sha256: String::new(),
            data: Vec::new(),
            worker,
            heard: Arc::new(Heard {
                id: "gone".to_owned(),
                events: Vec::new(),
                counters: Vec::new(),
                memory_mb: 64,
                ready: OnceLock::new(),
                vocabularies: Mutex::new(Arc::new([])),
                changed: AtomicBool::new(false),
                logged: Mutex::new((Instant::now(), 0)),
            }),
            killers: Mutex::default(),
            queue: Mutex::default(),
            last_failure: Mutex::default(),
        })
    }

    #[test]
    fn what_is_given_up_keeps_nobody_waiting() {
        let plugin = out_of_service();
        let item = |text: String| {
            let (done, _) = oneshot::channel();
            let source = Source::Text(text.into());
            Item {
                ask: Ask::Decode {
                    format: "f".to_owned(),
                    source,
                    max_text: 1,
                },
                deadline: Instant::now(),
                alone: false,
                compared: 0,
                done,
            }
        };
        let ticket = plugin
            .worker
            .call_for(Vec::new(), Instant::now(), Duration::ZERO, |_| {});
        let mut current = Current::new(vec![item("x".repeat(256 << 20))]);
        current.ticket = Some(ticket);
        lock(&plugin.queue).current = Some(current);
        let giving_up = {
            let plugin = Arc::clone(&plugin);
            std::thread::spawn(move || plugin.abandon())
        };
        // While their digests are made, others come at the queue.
        let mut free = false;
        while !giving_up.is_finished() {
            let queue = lock(&plugin.queue);
            let abandoned = queue
                .current
                .as_ref()
                .and_then(|current| current.abandoned.as_ref());
            free |= abandoned.is_some_and(|abandoned| abandoned.get().is_none());
        }
        giving_up.join().unwrap();
        assert!(free);
        let queue = lock(&plugin.queue);
        let current = queue.current.as_ref().unwrap();
        assert!(current.items.is_empty());
        assert_eq!(current.abandoned.as_ref().unwrap().wait().len(), 1);
    }

    #[test]
    fn however_many_documents_wait_they_are_refused_where_there_is_no_host() {
        let plugin = out_of_service();
        let answers: Vec<_> = (0..10_000)
            .map(|_| {
                let (done, answer) = oneshot::channel();
                lock(&plugin.queue).waiting.push(Item {
                    ask: Ask::Decode {
                        format: "f".to_owned(),
                        source: Source::Text("x".into()),
                        max_text: 1,
                    },
                    deadline: Instant::now() + Duration::from_secs(60),
                    alone: false,
                    compared: 0,
                    done,
                });
                answer
            })
            .collect();
        plugin.send_next();
        for answer in answers {
            let error = answer.blocking_recv().unwrap().err();
            assert!(
                matches!(error, Some(AskError::Call(CallError::Unavailable(_)))),
                "{error:?}"
            );
        }
    }
}
