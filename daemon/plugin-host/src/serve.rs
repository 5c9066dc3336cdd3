//! One plugin's life: `Start` → compare with what the daemon verified → confine → load → `Ready` → calls.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use mednerd_plugin::host::{Adapter, Caller, DocumentFormat, Failure, Library, Listener, Normalizer, Told};
use mednerd_plugin::package::{self, Manifest, Package, PackageError};
use mednerd_plugin::{ErrorKind, ability};
use mednerd_plugin_host::data;
use mednerd_plugin_host::protocol::{Event, Fault, Outcome, Ready, Reply, Request, Sandbox, Start};
use mednerd_worker::child::{Link, Token};

use crate::privileges::{self, PrivilegeError};
use crate::sandbox::{self, Processor, SandboxError};

/// The largest `Start`, before limits are known.
const MAX_START: usize = 1 << 30;
/// What the host itself needs, beside frames.
const OWN_MEMORY: u64 = 48 << 20;
/// Events and metrics that a plugin may send in a second; more are dropped here.
const TELL_PER_SECOND: u32 = 100;

/// Why a plugin is not served, for the administrator.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// It cannot be trusted.
    #[error("{0}")]
    Package(#[from] PackageError),
    #[error("{0}")]
    Privilege(#[from] PrivilegeError),
    #[error("{0}")]
    Sandbox(#[from] SandboxError),
    #[error("{0}")]
    Plugin(#[from] Failure),
    #[error("the library was written to since mednerd verified it; install the plugin again, and reload")]
    Changed,
    #[error(
        "this kernel cannot confine it (Landlock: {}, seccomp: {}), and require_sandbox = true in [plugin_policy] demands that; \
         use a kernel with both (Linux 5.13 or later, Landlock among its security modules), or set it to false",
        .0.landlock, .0.seccomp
    )]
    Unconfined(Sandbox),
    #[error("the library says that it is {what} {found:?}, and the manifest says {signed:?}")]
    Identity {
        what: &'static str,
        found: String,
        signed: String,
    },
    #[error("the library does not have the ability {0} that the manifest names")]
    Ability(String),
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("a message could not be written: {0}")]
    Message(#[from] postcard::Error),
}

impl Refusal {
    /// Whether the same plugin may start a little later. What is wrong with files, signatures, settings and policy stays wrong
    /// until somebody puts it right.
    fn may_pass(&self) -> bool {
        match self {
            Self::Plugin(Failure::Plugin(error)) => error.kind != ErrorKind::Settings,
            Self::Io(_) => true,
            _ => false,
        }
    }
}

/// Serves the daemon at standard input. Ends with the process.
pub fn run() -> io::Result<()> {
    let (link, start) = Link::begin(MAX_START)?;
    // The plugin finds no socket where it expects standard input.
    let null = File::open("/dev/null")?;
    nix::unistd::dup2_stdin(&null)?;
    let library = File::from(io::stdout().as_fd().try_clone_to_owned()?);
    nix::unistd::dup2_stdout(File::options().write(true).open("/dev/null")?)?;
    let start: Start = match postcard::from_bytes(&start) {
        Ok(start) => start,
        Err(error) => {
            return link.refuse(&format!(
                "mednerd-plugin-host cannot read what the daemon sent ({error}); are both of one version?"
            ));
        }
    };
    if !start.policy.signed {
        // On a vendor's own machine a panic may tell what it was about.
        drop(std::panic::take_hook());
    }
    let link = Arc::new(link.with_limit(start.max_frame));
    match prepare(&link, &start, library) {
        Ok(plugin) => {
            link.ready(&plugin.ready)?;
            link.serve(1, move |payload, token| plugin.answer(payload, token))
        }
        Err(refusal) if refusal.may_pass() => link.unable(&refusal.to_string()),
        Err(refusal) => link.refuse(&refusal.to_string()),
    }
}

/// A verified, confined and loaded plugin.
pub struct Plugin {
    normalizer: Option<Normalizer>,
    adapter: Option<Adapter>,
    document: Option<DocumentFormat>,
    ready: Vec<u8>,
    call_time: Duration,
    max_frame: usize,
    processor: Mutex<Processor>,
}

fn prepare(link: &Arc<Link>, start: &Start, library: File) -> Result<Plugin, Refusal> {
    let manifest = start.manifest.clone();
    let package = handed(start, library)?;
    let sandbox = confine(&start.directory, &package, &start.settings, start.max_frame)?;
    if start.require_sandbox && !sandbox.is_enough() {
        return Err(Refusal::Unconfined(sandbox));
    }
    // From here on: a thread that is older would not be confined.
    let opened = give_up_after(link, manifest.start_time())?;
    let library = load(package, listener(Arc::clone(link)))?;
    check_identity(&library, &manifest)?;
    let has = |id: &str| manifest.abilities.iter().any(|ability| ability == id);
    let mut ready = Ready {
        sandbox,
        ..Ready::default()
    };
    let normalizer = match has(ability::NORMALIZER) {
        true => Some(library.normalizer(&start.settings)?),
        false => None,
    };
    ready.vocabularies = normalizer.as_ref().map(|opened| opened.vocabularies().to_vec());
    let adapter = match has(ability::ADAPTER) {
        true => Some(library.adapter(&start.settings)?),
        false => None,
    };
    ready.task = adapter.as_ref().map(|opened| opened.task().clone());
    let document = match has(ability::DOCUMENT) {
        true => Some(library.document(&start.settings)?),
        false => None,
    };
    ready.formats = document.as_ref().map(|opened| opened.formats().to_vec());
    opened.store(true, Ordering::Relaxed);
    Ok(Plugin {
        normalizer,
        adapter,
        document,
        ready: postcard::to_allocvec(&ready)?,
        call_time: manifest.call_time(),
        max_frame: start.max_frame,
        processor: Mutex::new(Processor::new()?),
    })
}

/// The plugin that the daemon verified: the manifest came with the message, the library as a file that was open already, since
/// an update may have put another one in its place.
fn handed(start: &Start, library: File) -> Result<Package, Refusal> {
    let path = start.directory.join(&start.manifest.library);
    let sha256 = package::digest(&library, &path)?;
    match sha256 == start.sha256 {
        true => Ok(Package {
            manifest: start.manifest.clone(),
            key_id: None,
            library,
            sha256,
        }),
        false => Err(Refusal::Changed),
    }
}

/// Confines this process, which must have this one thread. Only the plugin's own folder, what the settings name
/// and the system's libraries can be read from now on.
pub fn confine(
    directory: &Path,
    package: &Package,
    settings: &str,
    max_frame: usize,
) -> Result<Sandbox, Refusal> {
    let paths = data::named_paths(settings);
    let needed: Vec<PathBuf> = paths.iter().cloned().chain([directory.to_owned()]).collect();
    privileges::give_up(&needed)?;
    let memory = (package.manifest.memory_mb << 20) + OWN_MEMORY + 4 * max_frame as u64;
    sandbox::limit(memory, data::size(&paths))?;
    sandbox::allow_cpu(package.manifest.start_time())?;
    Ok(sandbox::confine(directory, &package.library, &paths)?)
}

/// Loads the very file that was verified.
pub fn load(package: Package, listener: Listener) -> Result<Library, Refusal> {
    let path = PathBuf::from(format!("/proc/self/fd/{}", package.library.as_raw_fd()));
    let library = Library::load(&path, listener)?;
    // It stays open as long as the process lives: the loader knows the library by this path.
    std::mem::forget(package.library);
    Ok(library)
}

/// Ends the process where the plugin is not open in time.
fn give_up_after(link: &Arc<Link>, time: Duration) -> io::Result<Arc<AtomicBool>> {
    let opened = Arc::new(AtomicBool::new(false));
    let (link, done) = (Arc::clone(link), Arc::clone(&opened));
    std::thread::Builder::new()
        .name("start".to_owned())
        .spawn(move || {
            std::thread::sleep(time);
            if !done.load(Ordering::Relaxed) {
                let limit = time.as_millis();
                let _ = link.unable(&format!("the plugin did not open within {limit} ms"));
                // Not `exit`: the plugin's destructors could wait for ever.
                std::process::abort();
            }
        })?;
    Ok(opened)
}

pub fn check_identity(library: &Library, manifest: &Manifest) -> Result<(), Refusal> {
    let about = library.about();
    for (what, found, signed) in [
        ("plugin", &about.id, &manifest.id),
        ("version", &about.version, &manifest.version),
    ] {
        if found != signed {
            return Err(Refusal::Identity {
                what,
                found: found.clone(),
                signed: signed.clone(),
            });
        }
    }
    match manifest.abilities.iter().find(|id| !about.abilities.contains(id)) {
        Some(id) => Err(Refusal::Ability(id.clone())),
        None => Ok(()),
    }
}

/// Passes on what the plugin tells, so much a second.
fn listener(link: Arc<Link>) -> Listener {
    let window = Mutex::new((Instant::now(), 0));
    Box::new(move |told| {
        {
            let mut window = window.lock().unwrap_or_else(PoisonError::into_inner);
            if window.0.elapsed() >= Duration::from_secs(1) {
                *window = (Instant::now(), 0);
            }
            window.1 += 1;
            if window.1 > TELL_PER_SECOND {
                return;
            }
        }
        let event = match told {
            Told::Log { level, event, values } => Event::Log {
                level,
                event: event.chars().take(64).collect(),
                values: values.iter().take(8).copied().collect(),
            },
            Told::Metric { name, add } => Event::Metric {
                name: name.chars().take(64).collect(),
                add,
            },
        };
        if let Ok(bytes) = postcard::to_allocvec(&event) {
            // Where the daemon has gone this process ends soon.
            let _ = link.event(&bytes);
        }
    })
}

/// A call of the daemon's, as plugins see it.
struct Waiting<'a>(&'a Token);

impl Caller for Waiting<'_> {
    fn cancelled(&self) -> bool {
        self.0.cancelled()
    }

    fn remaining(&self) -> Duration {
        self.0.remaining()
    }
}

impl Plugin {
    fn answer(&self, payload: &[u8], token: &Token) -> Result<Vec<u8>, Vec<u8>> {
        let processor = || self.processor.lock().unwrap_or_else(PoisonError::into_inner);
        // Only fails where the system is in trouble; then the old allowance holds.
        let _ = processor().begin(self.call_time);
        let outcome = self.outcome(payload, token);
        processor().end();
        let answered = outcome.and_then(|(outcome, time)| {
            let reply = Reply {
                plugin_ns: u64::try_from(time.as_nanos()).unwrap_or(u64::MAX),
                outcome,
            };
            let bytes = postcard::to_allocvec(&reply).map_err(|_| Fault::Unsupported)?;
            fits(bytes, self.max_frame)
        });
        answered.map_err(|fault| postcard::to_allocvec(&fault).unwrap_or_default())
    }

    fn outcome(&self, payload: &[u8], token: &Token) -> Result<(Outcome, Duration), Fault> {
        let request: Request<'_> = postcard::from_bytes(payload).map_err(|_| Fault::Unsupported)?;
        let waiting = Waiting(token);
        let begun = Instant::now();
        let outcome = match request {
            Request::Normalize { options, documents } => {
                let plugin = self.normalizer.as_ref().ok_or(Fault::Unsupported)?;
                let results = plugin.normalize(&documents, &options, &waiting).map_err(fault)?;
                Outcome::Linked(results.into_iter().map(|result| result.map_err(fault)).collect())
            }
            Request::AdapterFiles => {
                let plugin = self.adapter.as_ref().ok_or(Fault::Unsupported)?;
                Outcome::Files(plugin.files(&waiting).map_err(fault)?)
            }
            Request::Refine { text, spans } => {
                let plugin = self.adapter.as_ref().ok_or(Fault::Unsupported)?;
                Outcome::Spans(plugin.refine(text, &spans, &waiting).map_err(fault)?)
            }
            Request::Decode {
                format,
                bytes,
                max_text,
            } => {
                let plugin = self.document.as_ref().ok_or(Fault::Unsupported)?;
                let decoded = plugin.decode(format, bytes, max_text, &waiting).map_err(fault)?;
                Outcome::Decoded(decoded)
            }
        };
        Ok((outcome, begun.elapsed()))
    }
}

/// An answer, where a message may be so long.
fn fits(answer: Vec<u8>, limit: usize) -> Result<Vec<u8>, Fault> {
    let length = answer.len();
    match length > limit {
        true => Err(Fault::TooLarge { length, limit }),
        false => Ok(answer),
    }
}

fn fault(failure: Failure) -> Fault {
    match failure {
        Failure::Plugin(error) => Fault::Plugin(error),
        Failure::Breach(breach) => Fault::Breach(breach),
        // Libraries are loaded before there are calls.
        Failure::Load(_) => Fault::Unsupported,
    }
}
