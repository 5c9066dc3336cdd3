//! Request bodies: read within a size, a pause between two pieces, and the daemon's budget of bytes
//! held at once; and read to their end where the request is refused.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use axum::body::Body;
use bytes::Bytes;
use http_body::{Frame, SizeHint};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::runtime::Handle;

use super::ApiError;
use crate::app::App;
use crate::config::Server;
use crate::sync::{Pass, most_of};

/// Bytes of a body that give it a second more.
const A_SECOND: usize = 1_000_000;

/// A JSON string may spell each byte of a text as `\u00xx`; the other fields are small. What is more than one user may hold is never let in.
pub fn largest(server: &Server) -> usize {
    let spelled = server.max_text_bytes.saturating_mul(6).saturating_add(64 << 10);
    spelled.min(most_of(server.max_queued_bytes))
}

/// The next piece of a body; `None` at its end.
///
/// # Errors
/// [`ApiError::BodyTimeout`] after `pause` without one, [`ApiError::BodyIncomplete`] where the
/// connection broke.
pub async fn piece(
    body: &mut (impl http_body::Body<Data = Bytes> + Unpin),
    pause: Duration,
) -> Result<Option<Bytes>, ApiError> {
    loop {
        let frame = tokio::time::timeout(pause, body.frame()).await;
        match frame {
            Err(_) => {
                return Err(ApiError::BodyTimeout {
                    waited_ms: u64::try_from(pause.as_millis()).unwrap_or(u64::MAX),
                });
            }
            Ok(None) => return Ok(None),
            Ok(Some(Err(_))) => return Err(ApiError::BodyIncomplete),
            Ok(Some(Ok(frame))) => {
                // Trailers are not ours.
                if let Ok(data) = frame.into_data() {
                    return Ok(Some(data));
                }
            }
        }
    }
}

/// A whole body of a user and its share of the budget, which is given back when the share is dropped. What is held must come: whoever
/// sends little by little what is large would hold it for as long as any document may take.
///
/// # Errors
/// As [`piece`], and [`ApiError::BodyTooLarge`], [`ApiError::BodySlow`], [`ApiError::Busy`], [`ApiError::UserBusy`]; [`ApiError::DeadlinePassed`] where what `arrived` then
/// cannot be answered in time any more, whatever its deadline.
pub async fn whole(
    app: &App,
    server: &Server,
    user: u32,
    body: Body,
    arrived: Instant,
) -> Result<(Vec<u8>, Pass), ApiError> {
    let read = read(app, server, user, body, arrived);
    let read = tokio::time::timeout_at((arrived + server.max_deadline).into(), read);
    read.await.unwrap_or_else(|_| {
        Err(ApiError::DeadlinePassed {
            deadline_ms: u64::try_from(server.max_deadline.as_millis()).unwrap_or(u64::MAX),
        })
    })
}

async fn read(
    app: &App,
    server: &Server,
    user: u32,
    mut body: Body,
    arrived: Instant,
) -> Result<(Vec<u8>, Pass), ApiError> {
    let limit = largest(server);
    // Before the first piece is asked for: who waits for `100 Continue` has sent nothing of it.
    if usize::try_from(http_body::Body::size_hint(&body).lower()).is_ok_and(|length| length > limit) {
        return Err(ApiError::BodyTooLarge { limit });
    }
    let mut share = app.bytes.of(user).pass();
    let mut bytes = Vec::new();
    let grace = server.idle_timeout;
    loop {
        let until = arrived + time_for(bytes.len(), grace);
        let data = tokio::time::timeout_at(until.into(), piece(&mut body, server.stall_timeout)).await;
        let Some(data) = data.unwrap_or(Err(ApiError::BodySlow { grace }))? else {
            return Ok((bytes, share));
        };
        if bytes.len() + data.len() > limit {
            return Err(ApiError::BodyTooLarge { limit });
        }
        let grown = share.try_grow(data.len(), server.max_queued_bytes);
        grown.map_err(|full| ApiError::full(full, "bytes under way", app.retry_after()))?;
        bytes.extend_from_slice(&data);
    }
}

/// How long a body may have taken of which so much came.
fn time_for(bytes: usize, grace: Duration) -> Duration {
    grace + Duration::from_secs((bytes / A_SECOND) as u64)
}

/// How much is read of a body that nobody wants any more.
#[derive(Clone, Copy, Debug)]
pub struct Rest {
    bytes: usize,
    pause: Duration,
    time: Duration,
}

impl Rest {
    /// What the largest body has, without longer pauses than any may have, for no longer than `time`.
    pub fn of(server: &Server, time: Duration) -> Self {
        Self {
            bytes: largest(server),
            pause: server.stall_timeout,
            time,
        }
    }
}

/// A body as it comes in. Whoever drops it early has the rest of it read, beside the answer and without keeping anything
/// of it: a client that writes before it reads sees its answer and not a broken pipe. Who sends more than [`Rest`], or had
/// stopped sending, has its connection closed. Holds a `T` until then.
pub struct Received<T: Send + 'static> {
    body: Option<Incoming>,
    rest: Rest,
    /// When the last of it came.
    heard: Instant,
    /// Whether the client waits to be told that the body is wanted.
    awaited: bool,
    held: Option<T>,
}

impl<T: Send + 'static> Received<T> {
    /// Of a request, whose client waits for `100 Continue` where it is `awaited`.
    pub fn new(body: Incoming, rest: Rest, awaited: bool, held: T) -> Self {
        Self {
            body: Some(body),
            rest,
            heard: Instant::now(),
            awaited,
            held: Some(held),
        }
    }
}

impl<T: Send + Unpin + 'static> http_body::Body for Received<T> {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        // Who asks for it wants it.
        self.awaited = false;
        let Some(body) = &mut self.body else {
            return Poll::Ready(None);
        };
        let frame = ready!(Pin::new(body).poll_frame(context));
        if !matches!(frame, Some(Ok(_))) {
            self.body = None;
        }
        self.heard = Instant::now();
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(http_body::Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        let none = || SizeHint::with_exact(0);
        self.body.as_ref().map_or_else(none, http_body::Body::size_hint)
    }
}

impl<T: Send + 'static> Drop for Received<T> {
    fn drop(&mut self) {
        let body = self
            .body
            .take()
            .filter(|body| !self.awaited && !http_body::Body::is_end_stream(body));
        if let (Some(body), Ok(runtime)) = (body, Handle::try_current())
            && self.heard.elapsed() < self.rest.pause
        {
            let (rest, held) = (self.rest, self.held.take());
            runtime.spawn(async move {
                let _ = tokio::time::timeout(rest.time, discard(body, rest)).await;
                drop(held);
            });
        }
    }
}

async fn discard(mut body: Incoming, rest: Rest) {
    let mut read = 0;
    while let Ok(Some(data)) = piece(&mut body, rest.pause).await {
        read += data.len();
        if read > rest.bytes {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_large_has_more_time() {
        let grace = Duration::from_secs(60);
        let seconds = |bytes| time_for(bytes, grace).as_secs();
        assert_eq!([0, 999_999, 1_000_000, 24_000_000].map(seconds), [60, 60, 61, 84]);
    }
}
