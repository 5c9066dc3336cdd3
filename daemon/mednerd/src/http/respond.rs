//! The one serialiser of JSON answers, and how large ones are handed over.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::{HeaderValue, StatusCode, header};
use http_body::{Frame, SizeHint};
use serde::Serialize;

use crate::sync::{Pass, Share};

/// How much of an answer is handed over at once. What was handed over is with the connection, and counted no more.
const PIECE: usize = 64 << 10;

/// An answer took longer to be read than a document may take to be answered.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the client takes too long to read its answer")]
pub struct TooSlow;

/// An answer of any size on its way to the client. As long as it is not handed over it counts among the bytes that are held; who does
/// not take it in time loses the connection, however steadily it reads.
pub struct Handover {
    rest: Bytes,
    _held: Pass,
    until: Instant,
}

impl Handover {
    /// Of these bytes, held in `share` for `time` at most.
    pub fn new(bytes: Vec<u8>, share: &Share, time: Duration) -> Self {
        Self {
            _held: share.take_in(bytes.len()),
            rest: bytes.into(),
            until: Instant::now() + time,
        }
    }
}

impl http_body::Body for Handover {
    type Data = Bytes;
    type Error = TooSlow;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, TooSlow>>> {
        if self.rest.is_empty() {
            return Poll::Ready(None);
        }
        if Instant::now() >= self.until {
            return Poll::Ready(Some(Err(TooSlow)));
        }
        let piece = PIECE.min(self.rest.len());
        Poll::Ready(Some(Ok(Frame::data(self.rest.split_to(piece)))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.rest.len() as u64)
    }
}

/// `value` as a JSON answer of any size, which counts in `share` until it is handed over, for `time` at most.
pub fn large(value: &impl Serialize, share: &Share, time: Duration) -> Response {
    match serde_json::to_vec(value) {
        Ok(body) => of(StatusCode::OK, Body::new(Handover::new(body, share, time))),
        // As below.
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

/// `value` as a JSON answer.
pub fn json(status: StatusCode, value: &impl Serialize) -> Response {
    match serde_json::to_vec(value) {
        Ok(body) => of(status, Body::from(body)),
        // No type of the API has keys that are not strings, which is what can fail.
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

fn of(status: StatusCode, body: Body) -> Response {
    let mut response = (status, body).into_response();
    let media = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, media);
    response
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use http_body_util::BodyExt;

    use super::*;
    use crate::sync::Gate;

    #[tokio::test]
    async fn an_answer_is_held_until_it_is_handed_over() {
        let gate = Arc::<Gate>::default();
        let bytes: Vec<u8> = (0..3 * PIECE + 5).map(|at| at as u8).collect();
        let mut answer = Handover::new(bytes.clone(), &gate.of(7), Duration::from_secs(600));
        let mut handed_over = Vec::new();
        while let Some(frame) = answer.frame().await {
            assert_eq!(gate.inside(), bytes.len());
            let piece = frame.unwrap().into_data().unwrap();
            assert!(piece.len() <= PIECE);
            handed_over.extend_from_slice(&piece);
        }
        assert_eq!(handed_over, bytes);
        drop(answer);
        assert_eq!(gate.inside(), 0);
    }

    #[tokio::test]
    async fn an_answer_that_nobody_takes_in_time_is_given_up() {
        let mut late = Handover::new(vec![7; 2 * PIECE], &Arc::<Gate>::default().of(7), Duration::ZERO);
        assert!(late.frame().await.unwrap().is_err());
    }
}
