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
    cut: AtomicBool,
}

impl Wire {
    /// Both halves of a connection whose writes may pause for `stall`.
    pub fn new(stream: UnixStream, stall: Duration) -> (Self, Arc<Control>) {
        let control = Arc::new(Control {
            stream,
            busy: AtomicBool::new(false),
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

    /// A request's answer was handed over: between requests again.
    pub fn idle(&self) {
        self.busy.store(false, Ordering::Release);
    }

    /// Whether a request is being read or answered.
    pub fn is_busy(&self) -> bool {
        self.busy.load(Ordering::Acquire)
    }

    /// Where no request is under way, cuts reading off: what the client sent before is still there
    /// to be read, what it sends from now on fails with `EPIPE` at its side. Tells whether something
    /// is there.
    pub fn cut_off(&self) -> bool {
        if self.is_busy() {
            return false;
        }
        self.cut.store(true, Ordering::Release);
        let fd = self.stream.as_raw_fd();
        // Both fail only where the client has gone: then nothing is there.
        if shutdown(fd, Shutdown::Read).is_err() {
            return false;
        }
        let mut byte = [0];
        matches!(
            recv(fd, &mut byte, MsgFlags::MSG_PEEK | MsgFlags::MSG_DONTWAIT),
            Ok(1..)
        )
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
                Ok(0) if control.cut.load(Ordering::Acquire) => return Poll::Pending,
                Ok(count) => {
                    if count > 0 {
                        control.busy.store(true, Ordering::Release);
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
