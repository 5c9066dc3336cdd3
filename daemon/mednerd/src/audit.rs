//! The account of every document: counted once, and written down in the audit trail where there is one. Where
//! the record cannot be written, the answer is not given (`audit.on_failure`).

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use mednerd_audit::{Entry, Event, Key, KeyError, Trail};
use mednerd_client::api::Status;
use prometheus_client::metrics::counter::Counter;
use tokio::sync::oneshot;

use crate::access::Peer;
use crate::app::App;
use crate::config::{self, Config, OnFailure, Problem, Sync};
use crate::http::{AnnotateRequest, Answer, ApiError};
use crate::sync::{Pass, lock};

/// How long a record may be in memory alone where `audit.sync` is `periodic`.
const SYNC_INTERVAL: Duration = Duration::from_secs(1);
/// How long it is believed of a trail that was written to that it can be.
const BELIEVED: Duration = Duration::from_secs(5);

/// How long a document waits for its record. A disk that takes longer is one that cannot be written.
const PATIENCE: Duration = Duration::from_millis(if cfg!(test) { 200 } else { 10_000 });
/// How many records may wait for the disk.
const WAITING: usize = 4096;

/// The audit trail of a daemon. It is written by a thread of its own: a disk that stalls holds up nobody who does not wait for it.
pub struct Audit {
    key: Key,
    shared: Arc<Shared>,
    /// Until the end.
    orders: Option<SyncSender<Order>>,
    writer: Option<JoinHandle<()>>,
}

/// What the writer and those who ask it share.
struct Shared {
    trail: Mutex<Trail>,
    /// The last record could not be written.
    failing: AtomicBool,
    /// What was written could not be brought to the disk.
    unsynced: AtomicBool,
    /// Orders that are not carried out yet, and how many have been.
    pending: AtomicUsize,
    finished: AtomicUsize,
    failures: Counter,
}

/// What the writer is to do. `done` hears whether it could be done; nobody has to listen.
struct Order {
    what: What,
    done: oneshot::Sender<bool>,
}

enum What {
    Write(Box<(Entry, config::Audit)>),
    /// Find out whether a record can be written; what was written so recently is believed.
    Probe(Duration),
    /// Nothing: all before it is done.
    Nothing,
}

/// What would keep a daemon from writing the trail, found out without touching it. Of a key that is among `known`, the
/// problems of the files themselves, the value is not known.
pub fn check(config: &Config, known: &[Problem]) -> Vec<Problem> {
    let mut problems = Vec::new();
    let audit = &config.audit;
    if !config.whole || audit.path.as_os_str().is_empty() {
        return problems;
    }
    let mut problem = |key: &str, message: String| {
        // A key that is nowhere is needed because of the path.
        let place = config.place(key).or(config.place("audit.path"));
        if !known.iter().any(|known| known.place.as_ref() == place) {
            let message = format!("{key}: {message}");
            problems.push(Problem::new(place.cloned(), message));
        }
    };
    match key(audit) {
        // For root and the running daemon alone: an administrator's check, and one before a reload, need not see it.
        Err(KeyError::Read { source, .. }) if source.kind() == std::io::ErrorKind::PermissionDenied => {}
        Err(error) => problem("audit.key", error.to_string()),
        Ok(_) => {}
    }
    if !audit.path.is_dir() {
        let path = audit.path.display();
        let message =
            format!("{path} is not a folder that this user can see; make it, for the daemon's user alone");
        problem("audit.path", message);
    }
    problems
}

/// The key: a credential that systemd passed comes before the file.
fn key(config: &config::Audit) -> Result<Key, KeyError> {
    let passed =
        std::env::var_os("CREDENTIALS_DIRECTORY").map(|folder| PathBuf::from(folder).join("audit.key"));
    let passed = passed.filter(|path| path.is_file());
    Key::read(passed.as_ref().unwrap_or(&config.key))
}

impl Audit {
    /// Opens the trail and notes the start in it; `None` where none is configured.
    ///
    /// # Errors
    /// What is wrong, in a sentence. A disk that is full is no error here: requests will tell.
    pub fn open(config: &config::Audit) -> Result<Option<Self>, String> {
        if config.path.as_os_str().is_empty() {
            return Ok(None);
        }
        let key = key(config).map_err(|error| format!("audit.key: {error}"))?;
        let trail = Trail::open(&config.path, key.clone()).map_err(|error| {
            let path = config.path.display();
            format!(
                "audit.path: {path}: {error}; the folder and its files must belong to the daemon's user, who is mednerd in the \
                 package: chown -R mednerd: {path}"
            )
        })?;
        let shared = Arc::new(Shared {
            trail: Mutex::new(trail),
            failing: AtomicBool::new(false),
            unsynced: AtomicBool::new(false),
            pending: AtomicUsize::new(0),
            finished: AtomicUsize::new(0),
            failures: Counter::default(),
        });
        let started = Entry {
            event: Event::Started,
            action: Some(format!("mednerd {}", mednerd_client::version())),
            ..Entry::default()
        };
        // Noted in the log; what follows is the next request's affair.
        let _ = shared.write(config, &started);
        let (orders, taken) = sync_channel(WAITING);
        let writer = std::thread::Builder::new().name("audit".to_owned()).spawn({
            let shared = Arc::clone(&shared);
            move || shared.carry_out(&taken)
        });
        Ok(Some(Self {
            key,
            shared,
            orders: Some(orders),
            writer: Some(writer.map_err(|error| format!("the audit trail has no thread: {error}"))?),
        }))
    }

    /// Records that could not be written.
    pub fn failures(&self) -> Counter {
        self.shared.failures.clone()
    }

    /// Hands `what` to the writer. Where that is hopelessly behind, nobody will answer, and a record is lost.
    fn order(&self, what: What) -> oneshot::Receiver<bool> {
        let (done, answer) = oneshot::channel();
        let is_record = matches!(what, What::Write(..));
        self.shared.pending.fetch_add(1, Ordering::AcqRel);
        let taken = self
            .orders
            .as_ref()
            .map(|orders| orders.try_send(Order { what, done }));
        if !matches!(taken, Some(Ok(()))) {
            self.shared.pending.fetch_sub(1, Ordering::AcqRel);
            if is_record {
                self.shared.failures.inc();
                self.shared.tell(Some(&stalled()));
            }
        }
        answer
    }

    /// Whether an order was carried out, where the writer does not stand still.
    async fn is_done(&self, mut answer: oneshot::Receiver<bool>) -> bool {
        loop {
            let finished = self.shared.finished.load(Ordering::Acquire);
            match tokio::time::timeout(PATIENCE, &mut answer).await {
                Ok(done) => return done.unwrap_or(false),
                // It has work to do and does it.
                Err(_) if self.shared.finished.load(Ordering::Acquire) != finished => {}
                Err(_) => {
                    self.shared.tell(Some(&stalled()));
                    return false;
                }
            }
        }
    }

    /// Whether a record was written. Who does not insist on it does not wait for a disk that is known to fail.
    async fn is_written(&self, record: oneshot::Receiver<bool>, insists: bool) -> bool {
        (insists || !self.shared.is_failing()) && self.is_done(record).await
    }

    /// Whether a record can be written as far as is known; where the last could not, it is tried.
    async fn is_possible(&self) -> bool {
        !self.shared.is_failing() || self.probe().await
    }

    /// Whether a record can be written, found out by trying where that is not known, and by one at a time where it fails.
    async fn probe(&self) -> bool {
        let believed = match self.shared.is_failing() {
            true if self.shared.pending.load(Ordering::Acquire) > 0 => return false,
            true => Duration::ZERO,
            false => BELIEVED,
        };
        self.is_done(self.order(What::Probe(believed))).await
    }

    /// Waits until what was handed over is written, or cannot be.
    pub async fn finish(&self) {
        self.is_done(self.order(What::Nothing)).await;
    }
}

impl Drop for Audit {
    fn drop(&mut self) {
        self.orders = None;
        // Not for a disk that may never answer. What the writer panicked over is told by the hook.
        let writer = self.writer.take().filter(|_| !self.shared.is_failing());
        drop(writer.map(JoinHandle::join));
    }
}

fn stalled() -> std::io::Error {
    let seconds = PATIENCE.as_secs_f32();
    std::io::Error::new(
        std::io::ErrorKind::TimedOut,
        format!("the disk has not answered for {seconds} s"),
    )
}

impl Shared {
    fn carry_out(&self, orders: &Receiver<Order>) {
        for Order { what, done } in orders {
            let able = match what {
                What::Write(record) => {
                    let (entry, config) = *record;
                    let written = self.write(&config, &entry);
                    if written.is_err() {
                        self.failures.inc();
                    }
                    written.is_ok()
                }
                What::Probe(believed) => {
                    let tried = lock(&self.trail).probe(believed);
                    if tried.is_ok() && believed.is_zero() {
                        // The file was synced.
                        self.unsynced.store(false, Ordering::Relaxed);
                    }
                    self.tell(tried.as_ref().err());
                    tried.is_ok()
                }
                What::Nothing => true,
            };
            self.pending.fetch_sub(1, Ordering::AcqRel);
            self.finished.fetch_add(1, Ordering::AcqRel);
            let _ = done.send(able);
        }
    }

    /// Writes one record, and tells the log where it begins to fail and where it works again.
    fn write(&self, config: &config::Audit, entry: &Entry) -> std::io::Result<()> {
        let durable = config.sync == Sync::Record;
        let written = lock(&self.trail).append(entry, config.max_bytes as u64, durable);
        self.tell(written.as_ref().err());
        let written = written?;
        if config.journal {
            let peer = entry.peer.as_ref();
            tracing::info!(
                audit_seq = written.seq,
                audit_chain = %written.chain,
                audit_event = entry.event.name(),
                audit_action = entry.action.as_deref(),
                audit_status = %entry.status,
                audit_code = entry.code.as_deref(),
                audit_uid = peer.map(|peer| peer.uid),
                audit_pid = peer.and_then(|peer| peer.pid),
                audit_text_hmac = entry.text_hmac.as_deref(),
                audit_entities = entry.entities,
                audit_duration_ms = entry.duration_ms,
                "audit record {}: {} {}",
                written.seq,
                entry.event.name(),
                entry.status,
            );
        }
        Ok(())
    }

    /// Whether documents should not count on their records.
    fn is_failing(&self) -> bool {
        self.failing.load(Ordering::Relaxed) || self.unsynced.load(Ordering::Relaxed)
    }

    /// Brings what was written to the disk. What cannot be kept stops documents as what cannot be written does, until it can; the
    /// next request tries again.
    fn sync(&self) {
        let unsynced = lock(&self.trail).unsynced();
        match unsynced.and_then(|file| file.map(|file| file.sync_data()).transpose()) {
            Ok(None) => {}
            Ok(Some(())) => self.unsynced.store(false, Ordering::Relaxed),
            Err(error) => self.cannot_sync(&error),
        }
    }

    fn cannot_sync(&self, error: &std::io::Error) {
        if !self.unsynced.swap(true, Ordering::Relaxed) {
            tracing::error!("the audit trail cannot be brought to the disk: {error}");
        }
    }

    fn tell(&self, error: Option<&std::io::Error>) {
        let failed = self.failing.swap(error.is_some(), Ordering::Relaxed);
        match error {
            Some(error) if !failed => tracing::error!(
                "the audit trail cannot be written: {error}; make room or correct its permissions, and it goes on by itself"
            ),
            None if failed => tracing::info!("the audit trail can be written again"),
            _ => {}
        }
    }
}

fn known(peer: &Peer) -> mednerd_audit::Peer {
    mednerd_audit::Peer {
        uid: peer.uid,
        gid: peer.gid,
        pid: peer.pid,
        exe: peer.exe.as_deref().map(ToOwned::to_owned),
    }
}

/// Keeps bringing the trail to the disk.
pub async fn keep_synced(app: Arc<App>) {
    loop {
        tokio::time::sleep(SYNC_INTERVAL).await;
        let Some(audit) = &app.audit else { return };
        let shared = Arc::clone(&audit.shared);
        let mut synced = tokio::task::spawn_blocking(move || shared.sync());
        // It ends early only where the runtime does.
        if tokio::time::timeout(PATIENCE, &mut synced).await.is_err() {
            audit.shared.cannot_sync(&stalled());
            let _ = synced.await;
        }
    }
}

/// Has an event written down that is about no document. One that cannot be written is counted and does not undo what has
/// happened.
pub async fn note(app: &App, event: Event, peer: Option<&Peer>, action: &str, status: &str) {
    let Some(audit) = &app.audit else { return };
    let entry = Entry {
        event,
        peer: peer.map(known),
        action: Some(action.to_owned()),
        status: status.to_owned(),
        ..Entry::default()
    };
    let record = audit.order(What::Write((entry, app.generation().config.audit.clone()).into()));
    audit.is_written(record, false).await;
}

/// Whether documents are answered as far as the trail goes, found out by trying where nothing was written to it for some seconds; then it
/// takes the disk's time.
///
/// # Errors
/// [`ApiError::AuditUnavailable`]
pub async fn is_ready(app: &App) -> Result<(), ApiError> {
    match &app.audit {
        Some(audit) if refuses(app) && !audit.probe().await => Err(ApiError::AuditUnavailable),
        _ => Ok(()),
    }
}

fn refuses(app: &App) -> bool {
    app.generation().config.audit.on_failure == OnFailure::Refuse
}

/// The account of one document. It is closed with what came of it, or else, where the client went away and the
/// future that holds this was dropped, as abandoned.
pub struct Account<'a> {
    app: &'a App,
    /// Until it is handed to the writer.
    entry: Option<Entry>,
    counted: bool,
    /// The document's places in the queue: it is there until its record is written.
    pub places: Vec<Arc<Pass>>,
    /// When the document arrived.
    pub arrived: Instant,
}

impl<'a> Account<'a> {
    /// A document begins.
    pub fn open(app: &'a App, peer: &Peer) -> Self {
        Self {
            app,
            entry: Some(Entry {
                peer: app.audit.is_some().then(|| known(peer)),
                ..Entry::default()
            }),
            counted: false,
            places: Vec::new(),
            arrived: Instant::now(),
        }
    }

    /// Refuses a document whose record could not be written anyhow, before anything is computed.
    ///
    /// # Errors
    /// [`ApiError::AuditUnavailable`]
    pub async fn is_possible(&self) -> Result<(), ApiError> {
        match &self.app.audit {
            Some(audit) if refuses(self.app) && !audit.is_possible().await => Err(ApiError::AuditUnavailable),
            _ => Ok(()),
        }
    }

    /// The document could be read.
    pub fn read(&mut self, request: &AnnotateRequest) {
        let (Some(audit), Some(entry)) = (&self.app.audit, &mut self.entry) else {
            return;
        };
        let id = request.document_id.as_deref();
        entry.document_id = id.map(|id| mednerd_sys::forgetting(|| audit.key.document_id(id)));
        entry.text_hmac = Some(mednerd_sys::forgetting(|| audit.key.text(request.text.bytes())));
        entry.text_bytes = Some(request.text.bytes().len() as u64);
    }

    /// Has the document's record written, and counts it. Gives the answer back where it may be given; a record that comes too late
    /// tells of an answer that was not.
    ///
    /// # Errors
    /// The answer's own, or [`ApiError::AuditUnavailable`].
    pub async fn close(mut self, answer: Result<Answer, ApiError>) -> Result<Answer, ApiError> {
        if let Some(entry) = &mut self.entry {
            note_answer(entry, &answer);
        }
        let written = match (self.hand_over(), &self.app.audit) {
            // Who is refused because of the disk does not wait for it.
            (Some(record), Some(audit)) => {
                let insists = refuses(self.app) && !matches!(answer, Err(ApiError::AuditUnavailable));
                audit.is_written(record, insists).await
            }
            _ => true,
        };
        let answer = match written || !refuses(self.app) {
            true => answer,
            false => Err(ApiError::AuditUnavailable),
        };
        self.counted = true;
        self.app.metrics.count(match &answer {
            Ok(answer) if answer.status == Status::Partial => "partial",
            Ok(_) => "ok",
            Err(error) if error.is_refusal() => "refused",
            Err(_) => "failed",
        });
        answer
    }

    /// Hands the record to the writer, who says what came of it.
    fn hand_over(&mut self) -> Option<oneshot::Receiver<bool>> {
        let audit = self.app.audit.as_ref()?;
        let mut entry = self.entry.take()?;
        entry.duration_ms = Some((self.arrived.elapsed().as_secs_f64() * 1e6).round() / 1e3);
        Some(audit.order(What::Write(
            (entry, self.app.generation().config.audit.clone()).into(),
        )))
    }
}

impl Drop for Account<'_> {
    fn drop(&mut self) {
        if !self.counted {
            self.app.metrics.count("abandoned");
        }
        if let Some(entry) = &mut self.entry {
            "abandoned".clone_into(&mut entry.status);
            // Nobody is there to be refused.
            drop(self.hand_over());
        }
    }
}

/// What came of a document, as its record has it.
fn note_answer(entry: &mut Entry, answer: &Result<Answer, ApiError>) {
    match answer {
        Ok(answer) => {
            let status = match answer.status {
                Status::Ok => "ok",
                Status::Partial => "partial",
                Status::Failed => "failed",
            };
            entry.models.clone_from(&answer.versions.models);
            entry.plugins.clone_from(&answer.versions.plugins);
            entry.vocabularies.clone_from(&answer.versions.vocabularies);
            entry.degraded.clone_from(&answer.degraded);
            entry.entities = Some(answer.entities.len() as u64);
            let concepts = answer.entities.iter().map(|entity| entity.concepts.len() as u64);
            entry.concepts = Some(concepts.sum());
            status.clone_into(&mut entry.status);
        }
        Err(error) => {
            "failed".clone_into(&mut entry.status);
            entry.code = Some(error.status().1.to_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(action: &str) -> Entry {
        Entry {
            action: Some(action.to_owned()),
            ..Entry::default()
        }
    }

    // It stands for the disk, for which nobody here waits.
    #[allow(clippy::await_holding_lock)]
    #[tokio::test]
    async fn a_disk_that_stalls_stops_no_thread_and_loses_no_record() {
        let folder = tempfile::tempdir().unwrap();
        let key = folder.path().join("key");
        std::fs::write(&key, "0123456789abcdef".repeat(4)).unwrap();
        let config = config::Audit {
            path: folder.path().to_owned(),
            key,
            ..config::Audit::default()
        };
        let audit = Audit::open(&config).unwrap().unwrap();
        let write = |action| audit.order(What::Write((entry(action), config.clone()).into()));
        assert!(audit.is_done(write("first")).await);
        // The writer waits for the lock as it would for the disk.
        let stalled = lock(&audit.shared.trail);
        let second = write("second");
        assert!(!audit.is_written(second, true).await);
        let begun = Instant::now();
        assert!(!audit.is_possible().await && !audit.probe().await);
        assert!(!audit.is_written(write("third"), false).await);
        assert!(begun.elapsed() < PATIENCE, "nobody else waits");
        drop(stalled);
        audit.finish().await;
        assert!(audit.is_possible().await);
        assert!(audit.is_done(write("fourth")).await);
        assert_eq!(audit.failures().get(), 0);
        let files = mednerd_audit::files(folder.path()).unwrap();
        let written: String = files
            .iter()
            .map(|file| std::fs::read_to_string(file).unwrap())
            .collect();
        let places = ["first", "second", "third", "fourth"].map(|action| written.find(action).unwrap());
        assert!(places.is_sorted(), "{written}");
    }
}
