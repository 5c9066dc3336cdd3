//! One connection's bytes. Adds to a Unix stream what a daemon needs: a client that stops reading ends the
//! connection, reading can be cut off at a moment such that what was sent before it is served and
//! what comes after it fails at the sender, and a client that has gone is told from one that has only
//! finished sending.

use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, Shutdown, recv, send, shutdown};
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::UnixStream;
use tokio::sync::Notify;
use tokio::time::{Instant, Sleep, sleep_until};

use crate::sync::lock;

/// Bytes of one write. The kernel makes room when all of a write was read, so whoever reads as much in time is not stalled.
const PIECE: usize = 4 << 10;
/// How often a stall's length is looked whether there is room. The kernel tells only when most of what it holds was read, and a client
/// that reads little by little takes its time until then.
const LOOKS: u32 = 16;

/// For a client that has begun to speak HTTP/2, which nobody understands: the HTTP implementation only closes.
pub const UNKNOWN_VERSION: &[u8] =
    b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
/// For a client for which there is no place.
pub const TOO_MANY: &[u8] =
    b"HTTP/1.1 429 Too Many Requests\r\nretry-after: 1\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";

/// The half that the HTTP implementation reads and writes.
pub struct Wire {
    control: Arc<Control>,
    stall: Duration,
    stalled: Option<Stall>,
}

/// A client that has left no room to write.
struct Stall {
    /// When there was room last.
    since: Instant,
    look: Pin<Box<Sleep>>,
}

/// The half that the accept loop keeps.
pub struct Control {
    stream: UnixStream,
    /// Requests whose [`Exchange`] is there.
    exchanges: AtomicUsize,
    /// Something of a request was read that has no [`Exchange`] yet.
    begun: AtomicBool,
    /// An exchange began or ended.
    changed: Notify,
    /// Since when no request is under way.
    idle_since: Mutex<Instant>,
    /// The accept loop's, told where this connection becomes idle.
    idled: Arc<Notify>,
    /// It is to make room for another.
    leave: Notify,
    leaving: AtomicBool,
    /// The client has sent something.
    heard: AtomicBool,
    /// The request under way is to be the last.
    last: AtomicBool,
    cut: AtomicBool,
}

impl Wire {
    /// Both halves of a connection whose writes may pause for `stall`. Whenever it becomes idle, `idled` is notified.
    pub fn new(stream: UnixStream, stall: Duration, idled: Arc<Notify>) -> (Self, Arc<Control>) {
        let control = Arc::new(Control {
            stream,
            exchanges: AtomicUsize::new(0),
            begun: AtomicBool::new(false),
            changed: Notify::new(),
            idle_since: Mutex::new(Instant::now()),
            idled,
            leave: Notify::new(),
            leaving: AtomicBool::new(false),
            heard: AtomicBool::new(false),
            last: AtomicBool::new(false),
            cut: AtomicBool::new(false),
        });
        let wire = Self {
            control: Arc::clone(&control),
            stall,
            stalled: None,
        };
        (wire, control)
    }

    /// Writes where the kernel does not tell that there is room, and looks now and then whether there is.
    fn poll_looking(&mut self, context: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        let (stall, now) = (self.stall, Instant::now());
        let stalled = self.stalled.get_or_insert_with(|| Stall {
            since: now,
            look: Box::pin(sleep_until(now + stall / LOOKS)),
        });
        loop {
            ready!(stalled.look.as_mut().poll(context));
            let now = Instant::now();
            match self.control.send(data) {
                Ok(count) => {
                    stalled.since = now;
                    // Until there is no room again: what is left of it would pass for progress later.
                    stalled.look.as_mut().reset(now);
                    return Poll::Ready(Ok(count));
                }
                Err(Errno::EAGAIN) if now < stalled.since + stall => {
                    stalled.look.as_mut().reset(now + stall / LOOKS);
                }
                Err(Errno::EAGAIN) => {
                    let message = "the client does not read its answer";
                    return Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, message)));
                }
                Err(error) => return Poll::Ready(Err(error.into())),
            }
        }
    }
}

impl Control {
    /// A request was read so far that it can be answered.
    pub fn begin(self: &Arc<Self>) -> Exchange {
        self.exchanges.fetch_add(1, Ordering::SeqCst);
        self.begun.store(false, Ordering::SeqCst);
        self.changed.notify_one();
        Exchange(Arc::clone(self))
    }

    /// Whether a request is being read or answered.
    pub fn is_busy(&self) -> bool {
        self.begun.load(Ordering::SeqCst) || self.is_answering()
    }

    fn is_answering(&self) -> bool {
        self.exchanges.load(Ordering::SeqCst) > 0
    }

    /// Since when no request is under way; of no meaning where one is.
    pub fn idle_since(&self) -> Instant {
        *lock(&self.idle_since)
    }

    /// Asks it to end, for which [`Self::is_to_leave`] waits.
    pub fn make_leave(&self) {
        self.leaving.store(true, Ordering::SeqCst);
        self.leave.notify_one();
    }

    /// Whether it was asked to end.
    pub fn is_leaving(&self) -> bool {
        self.leaving.load(Ordering::SeqCst)
    }

    /// Waits until it is asked to end.
    pub async fn is_to_leave(&self) {
        self.leave.notified().await;
    }

    /// Waits until the client of a request under way has gone for good. One that has only finished sending waits for
    /// its answer: that is not told.
    pub async fn hung_up(&self) {
        loop {
            if self.is_answering()
                && let Ok(watch) = self.watch()
            {
                tokio::select! {
                    () = both_ends_closed(&watch) => return,
                    () = self.changed.notified() => {}
                }
            } else {
                self.changed.notified().await;
            }
        }
    }

    /// A registration of its own, for as long as a request takes: what is forgotten there, the connection's own reads and
    /// writes do not miss.
    fn watch(&self) -> io::Result<UnixStream> {
        UnixStream::from_std(self.stream.as_fd().try_clone_to_owned()?.into())
    }

    /// Whether the client has sent anything so far.
    pub fn was_heard(&self) -> bool {
        self.heard.load(Ordering::SeqCst)
    }

    /// Cuts reading off, at once where no request is under way, else after it: what the client sent
    /// before is still there to be read, what it sends from then on fails with `EPIPE` at its side.
    /// Tells whether a request is there that nobody has read.
    pub fn cut_off(&self) -> bool {
        self.last.store(true, Ordering::SeqCst);
        if self.is_busy() {
            return false;
        }
        self.cut_reading();
        let mut byte = [0];
        let peek = MsgFlags::MSG_PEEK | MsgFlags::MSG_DONTWAIT;
        // Fails only where the client has gone: then nothing is there.
        matches!(recv(self.stream.as_raw_fd(), &mut byte, peek), Ok(1..))
    }

    /// Gives the client this answer instead of any other, before it is closed.
    pub fn refuse(&self, answer: &[u8]) {
        // Nothing was written before it, so there is room; the client may have gone.
        let _ = self.send(answer);
    }

    /// Writes what the kernel has room for, whether or not the runtime has heard of room yet, as of a connection that was just accepted.
    fn send(&self, data: &[u8]) -> nix::Result<usize> {
        let at_once = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL;
        send(self.stream.as_raw_fd(), data, at_once)
    }

    fn end(&self) {
        if self.exchanges.fetch_sub(1, Ordering::SeqCst) > 1 {
            return;
        }
        *lock(&self.idle_since) = Instant::now();
        if self.last.load(Ordering::SeqCst) {
            self.cut_reading();
        }
        self.changed.notify_one();
        self.idled.notify_one();
    }

    fn cut_reading(&self) {
        self.cut.store(true, Ordering::SeqCst);
        // Fails only where the client has gone: then there is nothing to cut.
        let _ = shutdown(self.stream.as_raw_fd(), Shutdown::Read);
    }
}

/// A request under way: from its head until its body was read and its answer handed over. Its answer's end is not written
/// before that, or its body's not sent, so the client has not sent the next one.
pub struct Exchange(Arc<Control>);

impl Drop for Exchange {
    fn drop(&mut self) {
        self.0.end();
    }
}

/// Waits until the other side has closed both directions, of which only that of writing tells.
async fn both_ends_closed(watch: &UnixStream) {
    loop {
        match watch.ready(Interest::WRITABLE).await {
            Ok(ready) if ready.is_write_closed() => return,
            // Forgets that there is room, so that the next event is waited for.
            Ok(_) => drop(watch.try_io(Interest::WRITABLE, || {
                Err::<(), _>(io::ErrorKind::WouldBlock.into())
            })),
            // The runtime ends.
            Err(_) => std::future::pending().await,
        }
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let control = &self.control;
        loop {
            ready!(control.stream.poll_read_ready(context))?;
            match control.stream.try_read(buffer.initialize_unfilled()) {
                // The end that we made ourselves is not the client's: it still waits for its answer.
                Ok(0) if control.cut.load(Ordering::SeqCst) => return Poll::Pending,
                Ok(count) => {
                    if count > 0 {
                        control.heard.store(true, Ordering::SeqCst);
                        control.begun.store(!control.is_answering(), Ordering::SeqCst);
                    }
                    buffer.advance(count);
                    return Poll::Ready(Ok(()));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        let piece = data.get(..PIECE).unwrap_or(data);
        loop {
            match self.control.stream.poll_write_ready(context) {
                Poll::Ready(ready) => ready?,
                Poll::Pending => return self.poll_looking(context, piece),
            }
            match self.control.stream.try_write(piece) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                result => {
                    self.stalled = None;
                    return Poll::Ready(result);
                }
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        let result = shutdown(self.control.stream.as_raw_fd(), Shutdown::Write);
        Poll::Ready(result.map_err(io::Error::from))
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[tokio::test]
    async fn what_was_sent_before_the_cut_is_read_and_later_writes_fail() {
        let (mut client, server) = UnixStream::pair().unwrap();
        let (mut wire, control) = Wire::new(server, Duration::from_secs(5), Arc::default());
        client.write_all(b"before").await.unwrap();
        assert!(control.cut_off());
        let mut buffer = [0; 16];
        assert_eq!(wire.read(&mut buffer).await.unwrap(), 6);
        assert!(control.is_busy());
        let error = client.write_all(b"after").await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
        let end = tokio::time::timeout(Duration::from_millis(50), wire.read(&mut buffer)).await;
        assert!(end.is_err(), "our own end of reading is not told as the client's");
        wire.write_all(b"answer").await.unwrap();
        assert_eq!(client.read(&mut buffer).await.unwrap(), 6);
    }

    #[tokio::test]
    async fn who_is_turned_away_at_once_is_told_why() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s");
        let listener = tokio::net::UnixListener::bind(&path).unwrap();
        let connecting = UnixStream::connect(&path);
        let (accepted, client) = tokio::join!(listener.accept(), connecting);
        let mut client = client.unwrap();
        client.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
        // No await between the two: the runtime has heard nothing of the new connection.
        let (wire, control) = Wire::new(accepted.unwrap().0, Duration::from_secs(5), Arc::default());
        control.refuse(TOO_MANY);
        drop((wire, control));
        let mut told = vec![0; TOO_MANY.len()];
        client.read_exact(&mut told).await.unwrap();
        assert_eq!(told, TOO_MANY);
    }

    #[tokio::test]
    async fn a_request_under_way_is_finished_and_then_the_last() {
        let (mut client, server) = UnixStream::pair().unwrap();
        let (mut wire, control) = Wire::new(server, Duration::from_secs(5), Arc::default());
        let mut buffer = [0; 16];
        client.write_all(b"half of a").await.unwrap();
        assert_eq!(wire.read(&mut buffer).await.unwrap(), 9);
        assert!(control.is_busy() && !control.cut_off());
        client.write_all(b" request").await.unwrap();
        assert_eq!(wire.read(&mut buffer).await.unwrap(), 8);
        let exchange = control.begin();
        assert!(control.is_busy());
        drop(exchange);
        assert!(!control.is_busy());
        let error = client.write_all(b"another").await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
    }

    #[tokio::test]
    async fn an_idle_connection_has_nothing_to_lose() {
        let (_client, server) = UnixStream::pair().unwrap();
        let (_wire, control) = Wire::new(server, Duration::from_secs(5), Arc::default());
        assert!(!control.cut_off());
    }

    #[tokio::test]
    async fn who_finished_sending_is_not_gone_and_who_closed_is() {
        let (mut client, server) = UnixStream::pair().unwrap();
        let (_wire, control) = Wire::new(server, Duration::from_secs(5), Arc::default());
        let _exchange = control.begin();
        client.shutdown().await.unwrap();
        let mut gone = std::pin::pin!(control.hung_up());
        let told = tokio::time::timeout(Duration::from_millis(50), gone.as_mut()).await;
        assert!(told.is_err(), "it may still read");
        drop(client);
        gone.await;
    }

    #[tokio::test]
    async fn who_reads_slowly_but_steadily_gets_all_of_the_answer() {
        let (mut client, server) = UnixStream::pair().unwrap();
        let stall = Duration::from_secs(2);
        let (mut wire, _control) = Wire::new(server, stall, Arc::default());
        let answer = 1 << 20;
        let writing = tokio::spawn(async move { wire.write_all(&vec![7; answer]).await });
        let (begun, mut read, mut buffer) = (Instant::now(), 0, vec![0; PIECE]);
        // For longer than a stall no more of it at a time than the kernel would tell of.
        while begun.elapsed() < 2 * stall {
            tokio::time::sleep(Duration::from_millis(200)).await;
            read += client.read(&mut buffer).await.unwrap();
        }
        assert!(read < 200_000, "the kernel may have told of room");
        client.read_exact(&mut vec![0; answer - read]).await.unwrap();
        writing.await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn a_client_that_does_not_read_is_given_up() {
        let (_client, server) = UnixStream::pair().unwrap();
        let (mut wire, _control) = Wire::new(server, Duration::from_millis(50), Arc::default());
        let error = wire.write_all(&vec![0; 16 << 20]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }
}
