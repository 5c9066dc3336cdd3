//! The daemon's side: one thread for each worker starts the child, reads its frames, keeps its deadlines
//! and starts it again when it died. Calls may come from any thread; a frame is written by the thread that
//! calls, so a call costs one wake-up on each side.

use std::collections::{HashMap, VecDeque};
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::sys::signal::{Signal, killpg};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use nix::unistd::Pid;

use crate::frame::{self, Frame, Kind, Splitter};
use crate::policy::{Backoff, Breaker, Deaths, Next};

/// What a worker is and how it is looked after.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Names it in threads and errors.
    pub name: String,
    /// The program.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<OsString>,
    /// All that its environment has.
    pub environment: Vec<(&'static str, OsString)>,
    /// Whether it writes to this process's stderr; else to `/dev/null`.
    pub stderr: bool,
    /// What it finds as its standard output: a file that it shall have whatever has become of the name. `/dev/null` where
    /// there is none.
    pub handed: Option<Arc<File>>,
    /// The payload of the `Start` frame.
    pub start: Vec<u8>,
    /// How long it may take until it is ready.
    pub start_timeout: Duration,
    /// How often it is asked whether it is there.
    pub heartbeat: Duration,
    /// How long it may take to say so.
    pub patience: Duration,
    /// How long a call may go on after the time that it may take, before the child is killed.
    pub grace: Duration,
    /// Waits between starts.
    pub backoff: Backoff,
    /// When it is given up for a while.
    pub breaker: Breaker,
    /// Whether a first start that fails is tried again, unless the child refuses to start.
    pub tries_again: bool,
    /// The largest payload in either direction.
    pub max_frame: usize,
    /// Calls that the child may have at once.
    pub concurrency: usize,
    /// Calls that may wait here.
    pub max_queued: usize,
}

impl Settings {
    /// A worker with the usual times: ready within 10 s, asked every second, killed 100 ms after a deadline.
    pub fn new(name: impl Into<String>, program: impl Into<PathBuf>) -> Self {
        Self {
            name: name.into(),
            program: program.into(),
            arguments: Vec::new(),
            environment: Vec::new(),
            stderr: false,
            handed: None,
            start: Vec::new(),
            start_timeout: Duration::from_secs(10),
            heartbeat: Duration::from_secs(1),
            patience: Duration::from_secs(5),
            grace: Duration::from_millis(100),
            backoff: Backoff::default(),
            breaker: Breaker::default(),
            tries_again: false,
            max_frame: 64 << 20,
            concurrency: 1,
            max_queued: 64,
        }
    }
}

/// Why a call has no result.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// The worker says so; the payload is its own.
    #[error("the worker refused the call")]
    Failed(Vec<u8>),
    /// The deadline passed before the worker had the call, or before it came back from it.
    #[error("the worker did not finish in time")]
    DeadlinePassed,
    /// The worker did not come back from the call in time, nor soon after, and was killed for it.
    #[error("the worker did not finish in time and was killed")]
    Overran,
    /// Nobody waits for it any more.
    #[error("the call was cancelled")]
    Cancelled,
    /// The worker died while it had the call.
    #[error("the worker died: {0}")]
    Died(String),
    /// Somebody else killed the worker while it had the call: the system, where memory is short, or a person.
    #[error("the worker died: {0}")]
    Killed(String),
    /// There is no worker at the moment.
    #[error("the worker is not running: {0}")]
    Unavailable(String),
    /// Too many calls wait.
    #[error("too many calls wait for the worker")]
    Busy,
    /// The payload is larger than a frame may be.
    #[error("the call has {length} bytes and a frame may have {limit}")]
    TooLarge {
        /// Its length.
        length: usize,
        /// The limit.
        limit: usize,
    },
}

/// Why a worker is not ready.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StartError {
    /// The program cannot be run.
    #[error("it cannot be started: {0}")]
    Spawn(String),
    /// The worker says that it will not start, as long as nobody changes anything.
    #[error("{0}")]
    Refused(String),
    /// The worker says that it cannot start now.
    #[error("{0}")]
    Unable(String),
    /// It died before it was ready.
    #[error("it died before it was ready: {0}")]
    Died(String),
    /// It was not ready in time.
    #[error("it was not ready within {} ms", .0.as_millis())]
    TimedOut(Duration),
}

impl StartError {
    /// Whether the same worker may start a little later: time and memory may be short, and what it needs may come yet.
    pub fn may_pass(&self) -> bool {
        !matches!(self, Self::Refused(_))
    }
}

/// What a worker is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// It is being started, for the first time or at once after a death; calls wait.
    Starting,
    /// It takes calls.
    Ready,
    /// It died and will be started again soon, or is being started; calls fail.
    BackingOff(String),
    /// It died too often, or refuses to start; it is tried again after a rest, and calls fail until it is ready.
    OutOfService(String),
    /// It was stopped, or never became ready.
    Stopped(String),
}

/// A death.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Death {
    /// When.
    pub at: SystemTime,
    /// Of what, in a sentence without payload.
    pub cause: String,
}

/// How a worker has been.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statistics {
    /// What it is doing.
    pub state: State,
    /// The child, where there is one.
    pub pid: Option<u32>,
    /// Since when it is ready.
    pub ready_since: Option<SystemTime>,
    /// How long the last start took.
    pub start_time: Duration,
    /// Children started.
    pub starts: u64,
    /// Children that died without being told to.
    pub deaths: u64,
    /// The last of them.
    pub last_death: Option<Death>,
    /// Calls answered.
    pub answered: u64,
    /// Calls that failed, for whatever reason.
    pub failed: u64,
    /// Those of them whose deadline had passed.
    pub overruns: u64,
}

/// What is worth telling, in the order in which it happened.
#[derive(Debug)]
pub enum Notice<'a> {
    /// A child is ready; with its payload.
    Ready(&'a [u8]),
    /// A child sent an event.
    Event(&'a [u8]),
    /// A child died.
    Died(&'a str),
    /// The worker is out of service.
    OutOfService(&'a str),
}

/// Hears notices, on the worker's thread, which waits meanwhile.
pub type Observer = Box<dyn Fn(Notice<'_>) + Send>;

type Done = Box<dyn FnOnce(Result<Vec<u8>, CallError>) + Send>;

/// A call that was handed in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ticket(u64);

/// A supervised worker. Dropping the last handle ends it.
pub struct Worker {
    shared: Arc<Shared>,
}

struct Shared {
    settings: Settings,
    killing: Killing,
    inner: Mutex<Inner>,
    changed: Condvar,
    waker: EventFd,
}

struct Inner {
    state: State,
    first_start: Option<Result<(), StartError>>,
    stopping: bool,
    /// Why the child is to be killed.
    condemned: Option<String>,
    stream: Option<UnixStream>,
    outgoing: Vec<u8>,
    next_id: u64,
    calls: HashMap<u64, Call>,
    queue: VecDeque<Queued>,
    wakes_at: Instant,
    statistics: Statistics,
}

/// A call that the child has.
struct Call {
    done: Done,
    deadline: Instant,
    /// Whether the child was told that nobody waits any more.
    cancelled: bool,
    kill_at: Instant,
    /// Whether the child is killed for it.
    overran: bool,
}

/// A call that waits.
struct Queued {
    id: u64,
    payload: Vec<u8>,
    deadline: Instant,
    at_most: Duration,
    done: Done,
}

type Finished = Vec<(Done, Result<Vec<u8>, CallError>)>;

fn finish(finished: Finished) {
    for (done, result) in finished {
        contained(|| done(result));
    }
}

/// Runs what is not ours. Where it panics, which the panic hook tells, the worker goes on: nobody else would look after the
/// child, and after the other calls.
fn contained(code: impl FnOnce()) {
    let _ = catch_unwind(AssertUnwindSafe(code));
}

impl Worker {
    /// Starts a worker; [`Self::wait_ready`] tells how that went.
    ///
    /// # Errors
    /// Where the system gives no thread or descriptor.
    pub fn launch(settings: Settings, observer: Observer) -> io::Result<Self> {
        Self::launch_killing(settings, observer, Killing::default())
    }

    fn launch_killing(settings: Settings, observer: Observer, killing: Killing) -> io::Result<Self> {
        let waker = EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)?;
        let statistics = Statistics {
            state: State::Starting,
            pid: None,
            ready_since: None,
            start_time: Duration::ZERO,
            starts: 0,
            deaths: 0,
            last_death: None,
            answered: 0,
            failed: 0,
            overruns: 0,
        };
        let inner = Inner {
            state: State::Starting,
            first_start: None,
            stopping: false,
            condemned: None,
            stream: None,
            outgoing: Vec::new(),
            next_id: 1,
            calls: HashMap::new(),
            queue: VecDeque::new(),
            wakes_at: Instant::now(),
            statistics,
        };
        let shared = Arc::new(Shared {
            settings,
            killing,
            inner: Mutex::new(inner),
            changed: Condvar::new(),
            waker,
        });
        let thread = Arc::clone(&shared);
        std::thread::Builder::new()
            // Linux keeps 15 bytes of it.
            .name(shared.settings.name.chars().take(15).collect())
            .spawn(move || thread.supervise(&observer))?;
        Ok(Self { shared })
    }

    /// Waits until the first child is ready or will not be.
    ///
    /// # Errors
    /// [`StartError`]; the worker has ended, unless it is one that [tries again](Settings::tries_again).
    pub fn wait_ready(&self) -> Result<(), StartError> {
        let mut inner = self.shared.lock();
        loop {
            if let Some(result) = &inner.first_start {
                return result.clone();
            }
            let waited = self.shared.changed.wait(inner);
            inner = waited.unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Hands in a call. `done` is called once: on the worker's thread, or at once on this one. Where the child has had the call, it
    /// is over with it then, or dead, which is soon after the deadline at the latest: what `done` is told is what became of the child,
    /// and whoever does not want to wait for that has a clock of its own. While the child is started again for the first time the
    /// call waits; later it fails at once with [`CallError::Unavailable`], until a child is ready.
    pub fn call(
        &self,
        payload: Vec<u8>,
        deadline: Instant,
        done: impl FnOnce(Result<Vec<u8>, CallError>) + Send + 'static,
    ) -> Ticket {
        self.call_for(payload, deadline, Duration::MAX, done)
    }

    /// The same of a call that may take `at_most` as long, from when the child has it: what came before is not its fault.
    /// At a `deadline` before that the child is told that nobody waits any more, and has the rest of its time to come back. It is
    /// killed where it goes on after that.
    pub fn call_for(
        &self,
        payload: Vec<u8>,
        deadline: Instant,
        at_most: Duration,
        done: impl FnOnce(Result<Vec<u8>, CallError>) + Send + 'static,
    ) -> Ticket {
        let done: Done = Box::new(done);
        let limit = self.shared.settings.max_frame;
        let length = payload.len() + 8;
        let mut inner = self.shared.lock();
        let id = inner.next_id;
        inner.next_id += 1;
        let refusal = match &inner.state {
            _ if length > limit => Some(CallError::TooLarge { length, limit }),
            State::Starting | State::Ready if inner.queue.len() >= self.shared.settings.max_queued => {
                Some(CallError::Busy)
            }
            State::Starting | State::Ready => None,
            State::BackingOff(why) | State::OutOfService(why) | State::Stopped(why) => {
                Some(CallError::Unavailable(why.clone()))
            }
        };
        if let Some(refusal) = refusal {
            inner.statistics.failed += 1;
            drop(inner);
            finish(vec![(done, Err(refusal))]);
            return Ticket(id);
        }
        inner.queue.push_back(Queued {
            id,
            payload,
            deadline,
            at_most,
            done,
        });
        let finished = inner.send_queued(&self.shared.settings);
        let early =
            inner.next_deadline().is_some_and(|next| next < inner.wakes_at) || !inner.outgoing.is_empty();
        drop(inner);
        if early {
            self.shared.wake();
        }
        finish(finished);
        Ticket(id)
    }

    /// Nobody waits for this call any more. Where the child does not have it yet, it is over with [`CallError::Cancelled`]. Else the
    /// child is told, and has the rest of its time to come back.
    pub fn cancel(&self, ticket: Ticket) {
        let mut inner = self.shared.lock();
        let waits = inner.queue.iter().position(|queued| queued.id == ticket.0);
        let mut finished = Finished::new();
        if let Some(queued) = waits.and_then(|at| inner.queue.remove(at)) {
            inner.statistics.failed += 1;
            finished.push((queued.done, Err(CallError::Cancelled)));
        } else {
            inner.tell_cancelled(ticket.0);
        }
        let rest = !inner.outgoing.is_empty();
        drop(inner);
        if rest {
            self.shared.wake();
        }
        finish(finished);
    }

    /// Kills the child, for a reason that its supervisor cannot know; it is started again as after any other death.
    /// Nothing happens where there is none at the moment.
    pub fn condemn(&self, cause: impl Into<String>) {
        let mut inner = self.shared.lock();
        if inner.state == State::Ready {
            inner.condemned = Some(cause.into());
        }
        drop(inner);
        self.shared.wake();
    }

    /// How it has been.
    pub fn statistics(&self) -> Statistics {
        let inner = self.shared.lock();
        Statistics {
            state: inner.state.clone(),
            ..inner.statistics.clone()
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.shared.lock().stopping = true;
        self.shared.wake();
    }
}

impl Inner {
    /// Appends a small frame and writes what the socket takes.
    fn send(&mut self, kind: Kind, id: u64, payload: &[&[u8]]) {
        // Small frames are under any limit.
        let _ = frame::encode(&mut self.outgoing, kind, id, payload, usize::MAX);
        self.flush();
    }

    /// Writes what the socket takes; the rest waits for the worker's thread. An error is seen there too.
    fn flush(&mut self) {
        let Some(stream) = &mut self.stream else { return };
        let mut written = 0;
        while let Some(rest) = self.outgoing.get(written..).filter(|rest| !rest.is_empty()) {
            match stream.write(rest) {
                Ok(count) if count > 0 => written += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                _ => break,
            }
        }
        self.outgoing.drain(..written);
        if self.outgoing.is_empty() {
            // Its room holds what was written until it is given back.
            self.outgoing = Vec::new();
        }
    }

    /// Hands the child what it may have more.
    fn send_queued(&mut self, settings: &Settings) -> Finished {
        let mut finished = Finished::new();
        // One that is about to be killed gets nothing more: what it would die with is not to blame.
        while self.state == State::Ready
            && self.condemned.is_none()
            && self.calls.len() < settings.concurrency.max(1)
        {
            let Some(queued) = self.queue.pop_front() else {
                break;
            };
            let Queued {
                id,
                payload,
                deadline,
                at_most,
                done,
            } = queued;
            let now = Instant::now();
            let end = now.checked_add(at_most);
            let deadline = end.map_or(deadline, |end| end.min(deadline));
            let left = deadline.saturating_duration_since(now);
            if left.is_zero() {
                self.statistics.failed += 1;
                self.statistics.overruns += 1;
                finished.push((done, Err(CallError::DeadlinePassed)));
                continue;
            }
            let nanoseconds = u64::try_from(left.as_nanos()).unwrap_or(u64::MAX);
            self.send(Kind::Call, id, &[&nanoseconds.to_le_bytes(), &payload]);
            let call = Call {
                done,
                deadline,
                cancelled: false,
                kill_at: end.unwrap_or(deadline) + settings.grace,
                overran: false,
            };
            self.calls.insert(id, call);
        }
        finished
    }

    /// Tells the child that nobody waits for a call of its any more.
    fn tell_cancelled(&mut self, id: u64) {
        let call = self.calls.get_mut(&id).filter(|call| !call.cancelled);
        if let Some(call) = call {
            call.cancelled = true;
            self.send(Kind::Cancel, id, &[]);
        }
    }

    /// Ends calls that waited until their deadline, and cancels those that the child has; true where it must be killed for one.
    fn overdue(&mut self, now: Instant) -> (Finished, bool) {
        let late = self.calls.iter().filter(|(_, call)| call.deadline <= now);
        for id in late.map(|(id, _)| *id).collect::<Vec<_>>() {
            self.tell_cancelled(id);
        }
        let mut finished = Finished::new();
        while let Some(at) = self.queue.iter().position(|queued| queued.deadline <= now)
            && let Some(queued) = self.queue.remove(at)
        {
            finished.push((queued.done, Err(CallError::DeadlinePassed)));
        }
        self.statistics.failed += finished.len() as u64;
        self.statistics.overruns += finished.len() as u64;
        let mut kill = false;
        for call in self.calls.values_mut() {
            call.overran = call.kill_at <= now;
            kill |= call.overran;
        }
        (finished, kill)
    }

    /// When the next call must be looked at.
    fn next_deadline(&self) -> Option<Instant> {
        let calls = self.calls.values().map(|call| match call.cancelled {
            false => call.deadline,
            true => call.kill_at,
        });
        calls.chain(self.queue.iter().map(|queued| queued.deadline)).min()
    }

    /// Fails what the child had, and, where `others` is given, what waits.
    fn fail(&mut self, error: &CallError, others: Option<CallError>) -> Finished {
        let mut finished = Finished::new();
        for (_, call) in self.calls.drain() {
            let error = match call.overran {
                true => CallError::Overran,
                false => error.clone(),
            };
            self.statistics.overruns += u64::from(call.overran);
            finished.push((call.done, Err(error)));
        }
        if let Some(error) = others {
            let queue = self.queue.drain(..);
            finished.extend(queue.map(|queued| (queued.done, Err(error.clone()))));
        }
        self.statistics.failed += finished.len() as u64;
        finished
    }
}

/// How a child's life ended.
enum End {
    /// It was told to.
    Stopped,
    /// It would not start.
    NotReady(StartError),
    /// It died, of this.
    Died(String),
    /// Somebody else killed it.
    Killed(String),
}

impl End {
    /// The same of a child that was killed and is there still.
    fn of_held_child(self) -> Self {
        let told = |cause: &str| {
            let and = if cause.is_empty() { "" } else { "; " };
            format!(
                "{cause}{and}the kernel holds it, as where a driver or a file system hangs: `dmesg` may say which"
            )
        };
        match self {
            Self::Stopped => Self::Stopped,
            Self::NotReady(error) => Self::NotReady(StartError::Died(told(&error.to_string()))),
            Self::Died(cause) => Self::Died(told(&cause)),
            Self::Killed(cause) => Self::Killed(told(&cause)),
        }
    }
}

/// How a killed child ends.
#[derive(Clone, Copy)]
struct Killing {
    signal: Signal,
    /// So long it may take; after that it is held by the kernel, as where a driver or a file system hangs.
    patience: Duration,
}

impl Default for Killing {
    fn default() -> Self {
        Self {
            signal: Signal::SIGKILL,
            // A process may have gigabytes to give back.
            patience: Duration::from_secs(3),
        }
    }
}

impl Shared {
    /// Every critical section leaves the data whole at each step.
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wake(&self) {
        // Full means that it will wake.
        let _ = self.waker.write(1);
    }

    fn supervise(&self, observer: &Observer) {
        let mut deaths = Deaths::default();
        loop {
            let first = self.lock().first_start.is_none();
            let (end, mut held) = self.live(observer);
            let (error, cause, refused) = match end {
                End::Stopped => return self.end("it was stopped"),
                End::NotReady(error) if first && !(self.settings.tries_again && error.may_pass()) => {
                    self.end(&error.to_string());
                    self.lock().first_start = Some(Err(error));
                    self.changed.notify_all();
                    return;
                }
                End::NotReady(error) => {
                    let cause = error.to_string();
                    if first {
                        self.lock().first_start = Some(Err(error));
                        self.changed.notify_all();
                    }
                    (CallError::Unavailable(cause.clone()), cause, true)
                }
                End::Died(cause) => (CallError::Died(cause.clone()), cause, false),
                End::Killed(cause) => (CallError::Killed(cause.clone()), cause, false),
            };
            contained(|| observer(Notice::Died(&cause)));
            let mut next = deaths.next(Instant::now(), self.settings.backoff, self.settings.breaker);
            if refused || held.is_some() {
                next = Next::Out(self.settings.breaker.rest);
            }
            let (state, wait) = match next {
                Next::Now => (State::Starting, Duration::ZERO),
                Next::After(wait) => (State::BackingOff(cause.clone()), wait),
                Next::Out(wait) => (State::OutOfService(cause.clone()), wait),
            };
            let mut inner = self.lock();
            // What never was there has not died: a start that fails is tried again and again.
            inner.statistics.deaths += u64::from(!refused);
            inner.statistics.last_death = Some(Death {
                at: SystemTime::now(),
                cause: cause.clone(),
            });
            // What the child never had did not kill it.
            let others = (state != State::Starting).then(|| CallError::Unavailable(cause.clone()));
            inner.state = state;
            let finished = inner.fail(&error, others);
            drop(inner);
            finish(finished);
            if let Next::Out(_) = next {
                contained(|| observer(Notice::OutOfService(&cause)));
            }
            // The state stays until a child is ready: whoever calls while it is tried again has waited for none yet.
            if !self.rest(wait) {
                return self.end("it was stopped");
            }
            // Another one beside it would be held by the same.
            while held
                .as_mut()
                .is_some_and(|child| matches!(child.try_wait(), Ok(None)))
            {
                if !self.rest(self.settings.heartbeat) {
                    return self.end("it was stopped");
                }
            }
        }
    }

    /// Waits; false where the worker shall end.
    fn rest(&self, wait: Duration) -> bool {
        let until = Instant::now() + wait;
        loop {
            if self.lock().stopping {
                return false;
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return true;
            }
            let mut wanted = [PollFd::new(self.waker.as_fd(), PollFlags::POLLIN)];
            let _ = poll(&mut wanted, timeout(left));
            let _ = self.waker.read();
        }
    }

    fn end(&self, why: &str) {
        let mut inner = self.lock();
        inner.state = State::Stopped(why.to_owned());
        let stopped = CallError::Unavailable(why.to_owned());
        let finished = inner.fail(&stopped, Some(stopped.clone()));
        drop(inner);
        finish(finished);
    }

    /// One child, from start to end; with it where it was killed and is there still.
    fn live(&self, observer: &Observer) -> (End, Option<Child>) {
        let begun = Instant::now();
        let (mut child, stream) = match self.spawn() {
            Ok(pair) => pair,
            Err(error) => return (End::NotReady(StartError::Spawn(error.to_string())), None),
        };
        let end = self.attend(&child, stream, begun, observer);
        {
            // What comes while it ends waits for the next one: it would be taken for what it died of.
            let mut inner = self.lock();
            if inner.state == State::Ready {
                inner.state = State::Starting;
            }
        }
        let wait = match &end {
            End::Stopped => self.settings.grace,
            _ => Duration::ZERO,
        };
        let status = reap(&mut child, wait, self.killing);
        let mut inner = self.lock();
        inner.stream = None;
        inner.outgoing = Vec::new();
        inner.condemned = None;
        inner.statistics.pid = None;
        inner.statistics.ready_since = None;
        drop(inner);
        let Some(status) = status else {
            return (end.of_held_child(), Some(child));
        };
        let end = match end {
            // The end of the stream says less than the status.
            End::Died(cause) if cause.is_empty() => {
                let by_kill =
                    matches!(&status, Ok(status) if status.signal() == Some(Signal::SIGKILL as i32));
                match by_kill {
                    true => End::Killed(describe(status)),
                    false => End::Died(describe(status)),
                }
            }
            End::NotReady(StartError::Died(cause)) if cause.is_empty() => {
                End::NotReady(StartError::Died(describe(status)))
            }
            end => end,
        };
        (end, None)
    }

    fn spawn(&self) -> io::Result<(Child, UnixStream)> {
        let (ours, theirs) = UnixStream::pair()?;
        let mut command = Command::new(&self.settings.program);
        command
            .args(&self.settings.arguments)
            .env_clear()
            .envs(
                self.settings
                    .environment
                    .iter()
                    .map(|(name, value)| (name, value)),
            )
            .current_dir("/")
            .process_group(0)
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(match &self.settings.handed {
                Some(file) => Stdio::from(file.try_clone()?),
                None => Stdio::null(),
            });
        if !self.settings.stderr {
            command.stderr(Stdio::null());
        }
        let child = command.spawn()?;
        ours.set_nonblocking(true)?;
        let mut inner = self.lock();
        inner.statistics.starts += 1;
        inner.statistics.pid = Some(child.id());
        Ok((child, ours))
    }

    /// Reads the child's frames until its end.
    fn attend(&self, child: &Child, stream: UnixStream, begun: Instant, observer: &Observer) -> End {
        let reader = match stream.try_clone() {
            Ok(reader) => reader,
            Err(error) => return End::NotReady(StartError::Spawn(error.to_string())),
        };
        {
            let mut inner = self.lock();
            inner.stream = Some(stream);
            inner.outgoing = Vec::new();
            inner.send(Kind::Start, 0, &[&self.settings.start]);
        }
        let mut life = Life {
            shared: self,
            observer,
            pid: child.id(),
            begun,
            ready: false,
            next_ping: begun + self.settings.heartbeat,
            pong_by: None,
        };
        life.attend(reader)
    }
}

/// A child that is there.
struct Life<'a> {
    shared: &'a Shared,
    observer: &'a Observer,
    pid: u32,
    begun: Instant,
    ready: bool,
    next_ping: Instant,
    /// When it must have said that it is there.
    pong_by: Option<Instant>,
}

impl Life<'_> {
    fn attend(&mut self, mut reader: UnixStream) -> End {
        let mut splitter = Splitter::default();
        let mut buffer = vec![0; 64 << 10];
        loop {
            if let Err(end) = self.keep_times(Instant::now()) {
                return end;
            }
            let (wakes_at, writable) = match self.tell() {
                Ok(told) => told,
                Err(end) => return end,
            };
            if !self.wait(&reader, wakes_at, writable) {
                continue;
            }
            let count = match reader.read(&mut buffer) {
                Ok(count) => count,
                Err(error)
                    if matches!(
                        error.kind(),
                        io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
                    ) =>
                {
                    continue;
                }
                Err(_) => 0,
            };
            if count == 0 {
                return self.died(String::new());
            }
            let came = buffer.get_mut(..count).unwrap_or_default();
            splitter.push(came);
            // The buffer lives as long as the child.
            came.fill(0);
            loop {
                let frame = match splitter.next(self.shared.settings.max_frame) {
                    Ok(Some(frame)) => frame,
                    Ok(None) => break,
                    Err(error) => return self.died(format!("killed: it sent {error}")),
                };
                if let Err(end) = self.take(frame) {
                    return end;
                }
            }
        }
    }

    /// Ends what is overdue; `Err` where that is the child.
    fn keep_times(&self, now: Instant) -> Result<(), End> {
        let settings = &self.shared.settings;
        let (finished, kill) = self.shared.lock().overdue(now);
        finish(finished);
        if kill {
            let grace = settings.grace.as_millis();
            return Err(End::Died(format!(
                "killed: it went on for {grace} ms after a deadline"
            )));
        }
        if self.pong_by.is_some_and(|by| by <= now) {
            let patience = settings.patience.as_millis();
            return Err(End::Died(format!("killed: no heartbeat for {patience} ms")));
        }
        if !self.ready && now >= self.begun + settings.start_timeout {
            return Err(End::NotReady(StartError::TimedOut(settings.start_timeout)));
        }
        Ok(())
    }

    /// Tells the child what there is to tell. Gives when to look again, and whether the socket has not taken all of it; `Err` where the
    /// child is to end.
    fn tell(&mut self) -> Result<(Instant, bool), End> {
        let settings = &self.shared.settings;
        let mut inner = self.shared.lock();
        if inner.stopping {
            inner.send(Kind::Stop, 0, &[]);
            return Err(End::Stopped);
        }
        if let Some(cause) = &inner.condemned {
            return Err(End::Died(format!("killed: {cause}")));
        }
        let now = Instant::now();
        if self.ready && self.next_ping <= now {
            inner.send(Kind::Ping, 0, &[]);
            self.next_ping = now + settings.heartbeat;
            self.pong_by = self.pong_by.or(Some(now + settings.patience));
        }
        inner.flush();
        let own = match self.ready {
            true => self.pong_by.map_or(self.next_ping, |by| by.min(self.next_ping)),
            false => self.begun + settings.start_timeout,
        };
        inner.wakes_at = inner.next_deadline().map_or(own, |next| next.min(own));
        Ok((inner.wakes_at, !inner.outgoing.is_empty()))
    }

    /// Waits until there is something to do; whether the child has sent something, or closed.
    fn wait(&self, reader: &UnixStream, until: Instant, writable: bool) -> bool {
        let mut flags = PollFlags::POLLIN;
        flags.set(PollFlags::POLLOUT, writable);
        let mut wanted = [
            PollFd::new(reader.as_fd(), flags),
            PollFd::new(self.shared.waker.as_fd(), PollFlags::POLLIN),
        ];
        let _ = poll(
            &mut wanted,
            timeout(until.saturating_duration_since(Instant::now())),
        );
        let [hit, woken] = wanted.map(|wanted| wanted.any().unwrap_or(false));
        if woken {
            let _ = self.shared.waker.read();
        }
        hit
    }

    /// One frame of the child.
    fn take(&mut self, frame: Frame) -> Result<(), End> {
        match frame.kind {
            Kind::Ready if !self.ready => {
                self.ready = true;
                self.become_ready(&frame.payload);
            }
            Kind::Refused if !self.ready => {
                return Err(End::NotReady(StartError::Refused(sentence(&frame.payload))));
            }
            Kind::Unable if !self.ready => {
                return Err(End::NotReady(StartError::Unable(sentence(&frame.payload))));
            }
            Kind::Event => contained(|| (self.observer)(Notice::Event(&frame.payload))),
            Kind::Pong if self.ready => self.pong_by = None,
            Kind::Reply | Kind::Failed if self.ready => return self.take_answer(frame),
            _ => return Err(self.died("killed: it sent a frame that is not its to send".to_owned())),
        }
        Ok(())
    }

    fn become_ready(&self, payload: &[u8]) {
        // Whoever hears of it may call before it is written down below.
        self.shared.lock().state = State::Starting;
        contained(|| (self.observer)(Notice::Ready(payload)));
        let mut inner = self.shared.lock();
        inner.state = State::Ready;
        inner.statistics.pid = Some(self.pid);
        inner.statistics.ready_since = Some(SystemTime::now());
        inner.statistics.start_time = self.begun.elapsed();
        inner.first_start = Some(Ok(()));
        self.shared.changed.notify_all();
        let finished = inner.send_queued(&self.shared.settings);
        drop(inner);
        finish(finished);
    }

    fn take_answer(&self, frame: Frame) -> Result<(), End> {
        let mut inner = self.shared.lock();
        let Some(call) = inner.calls.remove(&frame.id) else {
            return Err(self.died("killed: it answered a call that it was not given".to_owned()));
        };
        let result = match frame.kind {
            Kind::Reply => Ok(frame.payload),
            // A child that keeps its deadline says so at the very moment at which it passes.
            _ if call.deadline <= Instant::now() => Err(CallError::DeadlinePassed),
            _ => Err(CallError::Failed(frame.payload)),
        };
        inner.statistics.overruns += u64::from(result == Err(CallError::DeadlinePassed));
        match result {
            Ok(_) => inner.statistics.answered += 1,
            Err(_) => inner.statistics.failed += 1,
        }
        let mut finished = vec![(call.done, result)];
        finished.extend(inner.send_queued(&self.shared.settings));
        drop(inner);
        finish(finished);
        Ok(())
    }

    fn died(&self, cause: String) -> End {
        match self.ready {
            true => End::Died(cause),
            false => End::NotReady(StartError::Died(cause)),
        }
    }
}

/// What a child says to the administrator, who reads it as one line: without what could forge others, and not too long.
fn sentence(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let line = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    line.take(512).collect()
}

/// Whole milliseconds, rounded up: rounding down would spin.
fn timeout(left: Duration) -> PollTimeout {
    let milliseconds = left.as_nanos().div_ceil(1_000_000);
    PollTimeout::try_from(i32::try_from(milliseconds).unwrap_or(i32::MAX)).unwrap_or(PollTimeout::MAX)
}

/// Waits a little where told so, then kills the child with all that it has started, and takes its status; `None` where it does
/// not end.
fn reap(child: &mut Child, wait: Duration, killing: Killing) -> Option<io::Result<ExitStatus>> {
    let pid = i32::try_from(child.id()).ok().map(Pid::from_raw);
    let ends_within = |time: Duration| {
        let until = Instant::now() + time;
        while !pid.is_some_and(has_ended) {
            if Instant::now() >= until {
                return false;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        true
    };
    ends_within(wait);
    // Before waiting: as long as the child is not waited for, its number names nobody else's group.
    if let Some(pid) = pid {
        let _ = killpg(pid, killing.signal);
    }
    ends_within(killing.patience).then(|| child.wait())
}

/// Whether the child has ended. It is not waited for and keeps its number.
fn has_ended(pid: Pid) -> bool {
    let look = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
    !matches!(
        waitid(Id::Pid(pid), look),
        Ok(WaitStatus::StillAlive) | Err(Errno::EINTR)
    )
}

fn describe(status: io::Result<ExitStatus>) -> String {
    let Ok(status) = status else {
        return "it went away".to_owned();
    };
    match (status.signal(), status.code()) {
        (Some(number), _) => match Signal::try_from(number) {
            Ok(signal) => format!("ended by {signal}"),
            Err(_) => format!("ended by signal {number}"),
        },
        (None, Some(code)) => format!("ended with exit code {code}"),
        (None, None) => "it went away".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_that_has_ended_keeps_its_number_until_it_is_waited_for() {
        let program = |name: &str, argument: &[&str]| {
            let mut command = Command::new(name);
            command.args(argument).process_group(0);
            command.spawn().expect("a program of every system")
        };
        let pid = |child: &Child| Pid::from_raw(i32::try_from(child.id()).unwrap_or_default());
        let mut ended = program("true", &[]);
        while !has_ended(pid(&ended)) {
            std::thread::sleep(Duration::from_millis(1));
        }
        // Asked again, it is there still, and its status, too.
        assert!(has_ended(pid(&ended)));
        let status = reap(&mut ended, Duration::from_secs(60), Killing::default());
        assert!(status.is_some_and(|status| status.is_ok_and(|status| status.success())));
        let mut sleeps = program("sleep", &["1000"]);
        assert!(!has_ended(pid(&sleeps)));
        let status = reap(&mut sleeps, Duration::ZERO, Killing::default());
        assert_eq!(status.map(describe).as_deref(), Some("ended by SIGKILL"));
    }

    #[test]
    fn none_is_started_beside_one_that_does_not_end() {
        // Stopped and not killed, it stays, as one does that waits for a driver.
        let killing = Killing {
            signal: Signal::SIGSTOP,
            patience: Duration::from_millis(50),
        };
        let folder = tempfile::tempdir().unwrap();
        let started = folder.path().join("started");
        let mut settings = Settings::new("held", "/bin/sh");
        let script = "echo $$ >> \"$STARTED\"; exec sleep 1000";
        settings.arguments = vec!["-c".into(), script.into()];
        settings.environment = vec![("STARTED", started.clone().into())];
        settings.tries_again = true;
        settings.start_timeout = Duration::from_millis(500);
        settings.heartbeat = Duration::from_millis(10);
        settings.breaker.rest = Duration::from_millis(10);
        let (tell, told) = std::sync::mpsc::channel();
        let observer = move |notice: Notice<'_>| {
            if let Notice::Died(cause) = notice {
                let _ = tell.send(cause.to_owned());
            }
        };
        let worker = Worker::launch_killing(settings, Box::new(observer), killing).unwrap();
        // The last one; and how many there were.
        let kill = || {
            let pids = std::fs::read_to_string(&started).unwrap();
            let last = pids.lines().last().unwrap().parse().unwrap();
            killpg(Pid::from_raw(last), Signal::SIGKILL).unwrap();
            pids.lines().count()
        };
        let why = worker.wait_ready().unwrap_err().to_string();
        assert!(why.contains("the kernel holds it"), "{why}");
        assert!(told.recv().unwrap().contains("was not ready within 500 ms"));
        // Nobody waits for it, and no second one is tried.
        let (tell, answer) = std::sync::mpsc::channel();
        let deadline = Instant::now() + Duration::from_secs(60);
        worker.call(Vec::new(), deadline, move |result| {
            let _ = tell.send(result);
        });
        assert!(matches!(answer.recv().unwrap(), Err(CallError::Unavailable(_))));
        std::thread::sleep(Duration::from_millis(200));
        assert_eq!(worker.statistics().starts, 1);
        assert_eq!(kill(), 1);
        // The next is tried, and held as well.
        told.recv().unwrap();
        assert_eq!(kill(), 2);
        drop(worker);
    }
}
