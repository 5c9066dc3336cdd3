//! The account of every document: counted once, and written down in the audit trail where there is one. Where
//! the record cannot be written, the answer is not given (`audit.on_failure`).

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use mednerd_audit::{Entry, Event, Key, KeyError, Trail};
use mednerd_client::api::Status;

use crate::access::Peer;
use crate::app::App;
use crate::config::{self, Config, OnFailure, Problem, Sync};
use crate::http::{AnnotateRequest, Answer, ApiError};
use crate::sync::lock;

/// How long a record may be in memory alone where `audit.sync` is `periodic`.
const SYNC_INTERVAL: Duration = Duration::from_secs(1);
/// How long it is believed of a trail that was written to that it can be.
const BELIEVED: Duration = Duration::from_secs(5);

/// The audit trail of a daemon.
pub struct Audit {
    key: Key,
    trail: Mutex<Trail>,
    failing: AtomicBool,
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
            problems.push(Problem {
                place: place.cloned(),
                message,
            });
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
        let audit = Self {
            key,
            trail: Mutex::new(trail),
            failing: AtomicBool::new(false),
        };
        let started = Entry {
            event: Event::Started,
            action: Some(format!("mednerd {}", env!("CARGO_PKG_VERSION"))),
            ..Entry::default()
        };
        // Noted in the log; what follows is the next request's affair.
        let _ = audit.write(config, &started);
        Ok(Some(audit))
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

    /// Whether a record can be written as far as is known; where the last could not, it is tried.
    fn is_possible(&self) -> bool {
        !self.failing.load(Ordering::Relaxed) || self.probe()
    }

    /// Whether a record can be written, found out by trying where that is not known.
    fn probe(&self) -> bool {
        let believed = match self.failing.load(Ordering::Relaxed) {
            true => Duration::ZERO,
            false => BELIEVED,
        };
        let tried = lock(&self.trail).probe(believed);
        self.tell(tried.as_ref().err());
        tried.is_ok()
    }

    /// Brings what was written to the disk.
    fn sync(&self) {
        let unsynced = lock(&self.trail).unsynced();
        match unsynced.and_then(|file| file.map(|file| file.sync_data()).transpose()) {
            Ok(_) => {}
            // What cannot be kept stops documents as what cannot be written does; the next request tries again.
            Err(error) => self.tell(Some(&error)),
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
        let app = Arc::clone(&app);
        let synced = tokio::task::spawn_blocking(move || app.audit.iter().for_each(Audit::sync));
        // It ends early only where the runtime does.
        let _ = synced.await;
    }
}

/// Writes down an event that is about no document. One that cannot be written is counted and does not undo what
/// has happened.
pub fn note(app: &App, event: Event, peer: &Peer, action: &str, status: &str) {
    let Some(audit) = &app.audit else { return };
    let entry = Entry {
        event,
        peer: Some(known(peer)),
        action: Some(action.to_owned()),
        status: status.to_owned(),
        ..Entry::default()
    };
    if audit.write(&app.generation().config.audit, &entry).is_err() {
        app.metrics.audit_failures.inc();
    }
}

/// Whether documents are answered as far as the trail goes, found out by trying where nothing was written to it for some seconds; then it
/// takes the disk's time.
///
/// # Errors
/// [`ApiError::AuditUnavailable`]
pub fn is_ready(app: &App) -> Result<(), ApiError> {
    match &app.audit {
        Some(audit) if refuses(app) && !audit.probe() => Err(ApiError::AuditUnavailable),
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
    entry: Entry,
    closed: bool,
    /// When the document arrived.
    pub arrived: Instant,
}

impl<'a> Account<'a> {
    /// A document begins.
    pub fn open(app: &'a App, peer: &Peer) -> Self {
        Self {
            app,
            entry: Entry {
                peer: app.audit.is_some().then(|| known(peer)),
                ..Entry::default()
            },
            closed: false,
            arrived: Instant::now(),
        }
    }

    /// Refuses a document whose record could not be written anyhow, before anything is computed.
    ///
    /// # Errors
    /// [`ApiError::AuditUnavailable`]
    pub fn is_possible(&self) -> Result<(), ApiError> {
        match &self.app.audit {
            Some(audit) if refuses(self.app) && !audit.is_possible() => Err(ApiError::AuditUnavailable),
            _ => Ok(()),
        }
    }

    /// The document could be read.
    pub fn read(&mut self, request: &AnnotateRequest) {
        let Some(audit) = &self.app.audit else { return };
        let id = request.document_id.as_deref();
        self.entry.document_id = id.map(|id| mednerd_sys::forgetting(|| audit.key.document_id(id)));
        self.entry.text_hmac = Some(mednerd_sys::forgetting(|| audit.key.text(request.text.bytes())));
        self.entry.text_bytes = Some(request.text.bytes().len() as u64);
    }

    /// Counts the document and writes its record. Gives the answer back where it may be given.
    ///
    /// # Errors
    /// The answer's own, or [`ApiError::AuditUnavailable`].
    pub fn close(mut self, answer: Result<Answer, ApiError>) -> Result<Answer, ApiError> {
        match &answer {
            Ok(answer) => {
                let status = match answer.status {
                    Status::Ok => "ok",
                    Status::Partial => "partial",
                    Status::Failed => "failed",
                };
                self.entry.models.clone_from(&answer.versions.models);
                self.entry.plugins.clone_from(&answer.versions.plugins);
                self.entry.vocabularies.clone_from(&answer.versions.vocabularies);
                self.entry.degraded.clone_from(&answer.degraded);
                self.entry.entities = Some(answer.entities.len() as u64);
                let concepts = answer.entities.iter().map(|entity| entity.concepts.len() as u64);
                self.entry.concepts = Some(concepts.sum());
                status.clone_into(&mut self.entry.status);
            }
            Err(error) => {
                "failed".clone_into(&mut self.entry.status);
                self.entry.code = Some(error.status().1.to_owned());
            }
        }
        let written = self.write();
        let answer = if written || !refuses(self.app) {
            answer
        } else {
            Err(ApiError::AuditUnavailable)
        };
        self.app.metrics.count(match &answer {
            Ok(answer) if answer.status == Status::Partial => "partial",
            Ok(_) => "ok",
            Err(_) => "failed",
        });
        answer
    }

    fn write(&mut self) -> bool {
        self.closed = true;
        let Some(audit) = &self.app.audit else { return true };
        self.entry.duration_ms = Some((self.arrived.elapsed().as_secs_f64() * 1e6).round() / 1e3);
        let written = audit
            .write(&self.app.generation().config.audit, &self.entry)
            .is_ok();
        if !written {
            self.app.metrics.audit_failures.inc();
        }
        written
    }
}

impl Drop for Account<'_> {
    fn drop(&mut self) {
        if !self.closed {
            "abandoned".clone_into(&mut self.entry.status);
            self.app.metrics.count("abandoned");
            // Nobody is there to be refused.
            self.write();
        }
    }
}
