//! The worker's side: [`Link::begin`] takes the socket and the `Start` payload, then [`Link::ready`] or
//! [`Link::refuse`], then [`Link::serve`] until the daemon closes.

use std::collections::HashMap;
use std::io::{self, BufReader, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::frame::{self, Frame, Kind};

/// The child's end of the socket.
pub struct Link {
    reader: Mutex<BufReader<UnixStream>>,
    writer: Mutex<UnixStream>,
    running: Mutex<HashMap<u64, Arc<AtomicBool>>>,
    max_frame: usize,
}

/// What a call may know of its caller.
#[derive(Clone, Debug)]
pub struct Token {
    /// When the result will be of no use any more.
    pub deadline: Instant,
    cancelled: Arc<AtomicBool>,
}

impl Token {
    /// A token of one's own, for calls that come from elsewhere.
    pub fn new(deadline: Instant, cancelled: Arc<AtomicBool>) -> Self {
        Self { deadline, cancelled }
    }

    /// Whether somebody still waits: not cancelled, and in time.
    pub fn cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Relaxed) || self.remaining().is_zero()
    }

    /// The time that is left.
    pub fn remaining(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }
}

/// What a call comes to: a payload for `Reply`, or one for `Failed`.
pub type Answer = Result<Vec<u8>, Vec<u8>>;

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Link {
    /// Takes the socket that is standard input, and waits for the `Start` frame. Standard input stays what it
    /// was; who does not want that replaces it.
    ///
    /// # Errors
    /// Where standard input is no such socket, or something else comes first.
    pub fn begin(max_frame: usize) -> io::Result<(Self, Vec<u8>)> {
        let stream = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
        let mut reader = BufReader::with_capacity(64 << 10, stream.try_clone()?);
        let start = frame::read(&mut reader, max_frame)?
            .filter(|frame| frame.kind == Kind::Start)
            .ok_or(io::ErrorKind::InvalidData)?;
        let link = Self {
            reader: Mutex::new(reader),
            writer: Mutex::new(stream),
            running: Mutex::default(),
            max_frame,
        };
        Ok((link, start.payload))
    }

    /// The same link with another limit on payloads, which the `Start` payload may name.
    #[must_use]
    pub fn with_limit(mut self, max_frame: usize) -> Self {
        self.max_frame = max_frame;
        self
    }

    /// The child can take calls.
    ///
    /// # Errors
    /// Where the daemon has gone.
    pub fn ready(&self, payload: &[u8]) -> io::Result<()> {
        self.send(Kind::Ready, 0, payload)
    }

    /// The child will not start as long as nobody changes anything; `why` is a sentence for the administrator.
    ///
    /// # Errors
    /// Where the daemon has gone.
    pub fn refuse(&self, why: &str) -> io::Result<()> {
        self.send(Kind::Refused, 0, why.as_bytes())
    }

    /// The child cannot start now, and may later; `why` is a sentence for the administrator.
    ///
    /// # Errors
    /// Where the daemon has gone.
    pub fn unable(&self, why: &str) -> io::Result<()> {
        self.send(Kind::Unable, 0, why.as_bytes())
    }

    /// Sends an event.
    ///
    /// # Errors
    /// Where the daemon has gone, or the payload is too large.
    pub fn event(&self, payload: &[u8]) -> io::Result<()> {
        self.send(Kind::Event, 0, payload)
    }

    fn send(&self, kind: Kind, id: u64, payload: &[u8]) -> io::Result<()> {
        let mut bytes = Vec::new();
        frame::encode(&mut bytes, kind, id, &[payload], self.max_frame)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
        lock(&self.writer).write_all(&bytes)
    }

    /// Answers calls on `concurrency` threads until the daemon closes or says so. One more thread waits for
    /// what comes next: whoever reads a call runs it, and another one reads on, so that no call is handed from
    /// thread to thread, and heartbeats and cancellations are heard while calls run.
    ///
    /// Does not wait for calls under way: the caller ends the process.
    ///
    /// # Errors
    /// Where the daemon sends what it must not, or threads cannot be had.
    pub fn serve<F>(self: &Arc<Self>, concurrency: usize, handler: F) -> io::Result<()>
    where
        F: Fn(&[u8], &Token) -> Answer + Send + Sync + 'static,
    {
        let handler = Arc::new(handler);
        let (over, ended) = std::sync::mpsc::channel();
        for number in 0..=concurrency.max(1) {
            let (link, handler, over) = (Arc::clone(self), Arc::clone(&handler), over.clone());
            std::thread::Builder::new()
                .name(format!("call-{number}"))
                .spawn(move || {
                    let _ = over.send(link.turns(&*handler));
                })?;
        }
        drop(over);
        ended.recv().unwrap_or(Ok(()))
    }

    fn turns(&self, handler: &impl Fn(&[u8], &Token) -> Answer) -> io::Result<()> {
        loop {
            let mut reader = lock(&self.reader);
            let Some(frame) = frame::read(&mut *reader, self.max_frame)? else {
                return Ok(());
            };
            match frame.kind {
                Kind::Ping => self.send(Kind::Pong, 0, &[])?,
                Kind::Cancel => {
                    // One that has just ended is not there.
                    if let Some(flag) = lock(&self.running).get(&frame.id) {
                        flag.store(true, Ordering::Relaxed);
                    }
                }
                Kind::Stop => return Ok(()),
                Kind::Call => {
                    let flag = Arc::new(AtomicBool::new(false));
                    lock(&self.running).insert(frame.id, Arc::clone(&flag));
                    drop(reader);
                    self.run(frame, flag, handler)?;
                }
                _ => return Err(io::ErrorKind::InvalidData.into()),
            }
        }
    }

    fn run(
        &self,
        frame: Frame,
        cancelled: Arc<AtomicBool>,
        handler: &impl Fn(&[u8], &Token) -> Answer,
    ) -> io::Result<()> {
        let Frame { id, payload, .. } = frame;
        let (left, payload) = payload.split_first_chunk().ok_or(io::ErrorKind::InvalidData)?;
        // A day at most: no clock overflows.
        let left = Duration::from_nanos(u64::from_le_bytes(*left)).min(Duration::from_secs(86_400));
        let token = Token::new(Instant::now() + left, cancelled);
        let answer = handler(payload, &token);
        lock(&self.running).remove(&id);
        match answer {
            Ok(payload) if payload.len() > self.max_frame => self.send(Kind::Failed, id, &[]),
            Ok(payload) => self.send(Kind::Reply, id, &payload),
            Err(payload) => self.send(Kind::Failed, id, &payload),
        }
    }
}
