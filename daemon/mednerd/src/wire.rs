//! One connection's bytes. Adds to a Unix stream what a daemon needs: a write that stalls ends the
//! connection, and reading can be cut off at a moment such that what was sent before it is served and
//! what comes after it fails at the sender.

use std::io;
use std::os::fd::AsRawFd;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use nix::sys::socket::{MsgFlags, Shutdown, recv, shutdown};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::UnixStream;
use tokio::time::{Instant, Sleep, sleep_until};

/// The half that the HTTP implementation reads and writes.
pub struct Wire {
    control: Arc<Control>,
    stall: Duration,
    stalled: Option<Pin<Box<Sleep>>>,
}

/// The half that the accept loop keeps.
pub struct Control {
    stream: UnixStream,
    busy: AtomicBool,
    /// The client has sent something.
    heard: AtomicBool,
    /// The request under way is to be the last.
    last: AtomicBool,
    cut: AtomicBool,
}

impl Wire {
    /// Both halves of a connection whose writes may pause for `stall`.
    pub fn new(stream: UnixStream, stall: Duration) -> (Self, Arc<Control>) {
        let control = Arc::new(Control {
            stream,
            busy: AtomicBool::new(false),
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

    fn poll_stalled(&mut self, context: &mut Context<'_>) -> Poll<io::Error> {
        let (stall, now) = (self.stall, Instant::now());
        let sleep = self
            .stalled
            .get_or_insert_with(|| Box::pin(sleep_until(now + stall)));
        sleep
            .as_mut()
            .poll(context)
            .map(|()| io::Error::new(io::ErrorKind::TimedOut, "the client does not read its answer"))
    }
}

impl Control {
    /// The stream, to ask the kernel about.
    pub fn stream(&self) -> &UnixStream {
        &self.stream
    }

    /// A request's answer was handed over: between requests again. Its end is not written yet, so the
    /// client has not sent the next one.
    pub fn idle(&self) {
        self.busy.store(false, Ordering::SeqCst);
        if self.last.load(Ordering::SeqCst) {
            self.cut_reading();
        }
    }

    /// Whether a request is being read or answered.
    pub fn is_busy(&self) -> bool {
        self.busy.load(Ordering::SeqCst)
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

    fn cut_reading(&self) {
        self.cut.store(true, Ordering::SeqCst);
        // Fails only where the client has gone: then there is nothing to cut.
        let _ = shutdown(self.stream.as_raw_fd(), Shutdown::Read);
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
                        control.busy.store(true, Ordering::SeqCst);
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
        loop {
            match self.control.stream.poll_write_ready(context) {
                Poll::Ready(ready) => ready?,
                Poll::Pending => return self.poll_stalled(context).map(Err),
            }
            match self.control.stream.try_write(data) {
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
        let (mut wire, control) = Wire::new(server, Duration::from_secs(5));
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
    async fn a_request_under_way_is_finished_and_then_the_last() {
        let (mut client, server) = UnixStream::pair().unwrap();
        let (mut wire, control) = Wire::new(server, Duration::from_secs(5));
        let mut buffer = [0; 16];
        client.write_all(b"half of a").await.unwrap();
        assert_eq!(wire.read(&mut buffer).await.unwrap(), 9);
        assert!(!control.cut_off());
        client.write_all(b" request").await.unwrap();
        assert_eq!(wire.read(&mut buffer).await.unwrap(), 8);
        control.idle();
        let error = client.write_all(b"another").await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
    }

    #[tokio::test]
    async fn an_idle_connection_has_nothing_to_lose() {
        let (_client, server) = UnixStream::pair().unwrap();
        let (_wire, control) = Wire::new(server, Duration::from_secs(5));
        assert!(!control.cut_off());
    }

    #[tokio::test]
    async fn a_client_that_does_not_read_is_given_up() {
        let (_client, server) = UnixStream::pair().unwrap();
        let (mut wire, _control) = Wire::new(server, Duration::from_millis(50));
        let error = wire.write_all(&vec![0; 16 << 20]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }
}
