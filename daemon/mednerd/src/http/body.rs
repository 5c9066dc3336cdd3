//! Request bodies: read within a size, a pause between two pieces, and the daemon's budget of bytes
//! held at once.

use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use http_body_util::BodyExt;

use super::ApiError;
use crate::app::App;
use crate::config::Server;
use crate::sync::Pass;

/// A JSON string may spell each byte of a text as `\u00xx`; the other fields are small.
pub fn largest(server: &Server) -> usize {
    server.max_text_bytes.saturating_mul(6).saturating_add(64 << 10)
}

/// The next piece of a body; `None` at its end.
///
/// # Errors
/// [`ApiError::BodyTimeout`] after `pause` without one, [`ApiError::BodyIncomplete`] where the
/// connection broke.
pub async fn piece(body: &mut Body, pause: Duration) -> Result<Option<Bytes>, ApiError> {
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

/// A whole body and its share of the budget, which is given back when the share is dropped.
///
/// # Errors
/// As [`piece`], and [`ApiError::BodyTooLarge`], [`ApiError::Busy`].
pub async fn whole(app: &App, server: &Server, mut body: Body) -> Result<(Vec<u8>, Pass), ApiError> {
    let limit = largest(server);
    let mut share = app.bytes.pass();
    let mut bytes = Vec::new();
    while let Some(data) = piece(&mut body, server.stall_timeout).await? {
        let error = if bytes.len() + data.len() > limit {
            ApiError::BodyTooLarge { limit }
        } else if !share.try_grow(data.len(), server.max_queued_bytes) {
            ApiError::Busy {
                retry_after: app.retry_after(),
            }
        } else {
            bytes.extend_from_slice(&data);
            continue;
        };
        drop((bytes, share));
        discard(&mut body, server.stall_timeout, limit).await;
        return Err(error);
    }
    Ok((bytes, share))
}

/// Reads on without keeping anything, so that a client that writes before it reads sees its answer
/// and not a broken pipe. Bounded: who sends more than another `limit` has its connection closed.
pub async fn discard(body: &mut Body, pause: Duration, limit: usize) {
    let mut read = 0;
    while let Ok(Some(data)) = piece(body, pause).await {
        read += data.len();
        if read > limit {
            return;
        }
    }
}
