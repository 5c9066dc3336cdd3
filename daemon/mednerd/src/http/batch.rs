//! `POST /v1/annotate/batch`: NDJSON in, NDJSON out, one line per document, written as they finish.
//! The body is read no faster than documents are done, so a batch of any length takes little memory.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::extract::{Extension, State};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::{HeaderValue, header};
use http_body::Frame;
use mednerd_client::api::{BatchLine, Status, TextLength, Timing};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::annotate::{Answer, Echo, Plan, versions};
use super::request::Request;
use super::respond::{Handover, TooSlow};
use super::{ApiError, body};
use crate::access::Peer;
use crate::app::App;
use crate::audit::Account;
use crate::config::Server;
use crate::generation::Generation;
use crate::sync::{Full, Pass};

/// Batches at once; one more is told to come again. Eight are what a user alone gets.
pub const MAX_BATCHES: usize = 9;

/// The handler.
pub async fn annotate(
    State(app): State<Arc<App>>,
    Extension(peer): Extension<Peer>,
    body: Body,
) -> Result<Response, ApiError> {
    let place = app.batches.of(peer.uid).try_enter(1, MAX_BATCHES);
    let place = place.map_err(|full| too_many(full, app.retry_after()))?;
    let (sender, receiver) = mpsc::channel(1);
    tokio::spawn(drive(app, peer, body, sender, place));
    let mut response = Body::new(Lines { receiver, line: None }).into_response();
    let media = HeaderValue::from_static("application/x-ndjson");
    response.headers_mut().insert(header::CONTENT_TYPE, media);
    Ok(response)
}

fn too_many(full: Full, retry_after: Duration) -> ApiError {
    match full {
        Full::All => ApiError::TooManyBatches {
            most: MAX_BATCHES,
            retry_after,
        },
        Full::Own => ApiError::full(full, "batches", retry_after),
    }
}

/// The answer's body: lines as they come.
struct Lines {
    receiver: mpsc::Receiver<Handover>,
    line: Option<Handover>,
}

impl http_body::Body for Lines {
    type Data = Bytes;
    type Error = TooSlow;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        loop {
            if let Some(line) = &mut self.line {
                match ready!(Pin::new(line).poll_frame(context)) {
                    None => self.line = None,
                    piece => return Poll::Ready(piece),
                }
            }
            self.line = ready!(self.receiver.poll_recv(context));
            if self.line.is_none() {
                return Poll::Ready(None);
            }
        }
    }
}

/// Reads lines and hands out documents until the body ends or the client has gone; then the set is
/// dropped and with it what is under way.
async fn drive(app: Arc<App>, peer: Peer, body: Body, sender: mpsc::Sender<Handover>, _place: Pass) {
    let mut documents = JoinSet::new();
    let all = async {
        // Not the generation: a batch may outlive many, and each keeps its models and hosts as long as anybody has it.
        let server = app.generation().config.server.clone();
        // Enough that no worker waits for a line to be read.
        let at_once = 2 * app.scheduler.threads() + 2;
        let mut lines = Splitter::new(body, Limits::of(&server));
        while let Some((index, line)) = lines.next().await {
            while documents.len() >= at_once {
                documents.join_next().await;
            }
            // Beyond the budget one line of a batch waits here, and the rest of it with the client.
            let line = match line {
                Ok(line) => hold(&app, &server, peer.uid, line).await,
                Err(error) => Err(error),
            };
            let (app, peer, sender) = (Arc::clone(&app), peer.clone(), sender.clone());
            documents.spawn(async move {
                let line = match unless_panicking(serve(&app, &peer, index, line)).await {
                    Some(line) => line,
                    None => {
                        let generation = app.generation();
                        let response = failed(&generation, None, &ApiError::Internal);
                        told(&app, &generation, &peer, index, response)
                    }
                };
                // Where the client has gone, `drive` ends.
                let _ = sender.send(line).await;
            });
        }
        while documents.join_next().await.is_some() {}
    };
    tokio::select! {
        () = all => {}
        () = sender.closed() => {}
    }
}

/// A line and its share of the budget.
type Held = (Vec<u8>, Pass);

/// Waits for a line's share. Batches take half of what there is, so that a clinician's single note still gets in; where others hold
/// that half, an eighth.
///
/// # Errors
/// [`ApiError::Busy`] where others take all of it for longer than any document may take.
async fn hold(app: &App, server: &Server, user: u32, line: Vec<u8>) -> Result<Held, ApiError> {
    let bytes = app.bytes.of(user);
    let share = bytes.enter_behind(line.len(), server.max_queued_bytes);
    let share = tokio::time::timeout(server.max_deadline, share).await;
    let retry_after = app.retry_after();
    Ok((line, share.map_err(|_| ApiError::Busy { retry_after })?))
}

async fn serve(app: &App, peer: &Peer, index: Option<u64>, line: Result<Held, ApiError>) -> Handover {
    let mut account = Account::open(app, peer);
    let generation = app.generation();
    let mut echo = None;
    let answer = document(app, &generation, peer, line, &mut echo, &mut account).await;
    let response = account.close(answer).await;
    let response = response.unwrap_or_else(|error| failed(&generation, echo, &error));
    told(app, &generation, peer, index, response)
}

/// A line of the answer.
fn told(app: &App, generation: &Generation, peer: &Peer, index: Option<u64>, response: Answer) -> Handover {
    let mut bytes = serde_json::to_vec(&BatchLine { index, response }).unwrap_or_default();
    bytes.push(b'\n');
    let user = app.bytes.of(peer.uid);
    Handover::new(bytes, &user, generation.config.server.max_deadline)
}

/// What the future comes to; nothing where it panics, which the hook tells of.
async fn unless_panicking<T>(future: impl Future<Output = T>) -> Option<T> {
    let mut future = pin!(future);
    poll_fn(
        |context| match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(context))) {
            Ok(poll) => poll.map(Some),
            // It is not polled again.
            Err(_) => Poll::Ready(None),
        },
    )
    .await
}

async fn document(
    app: &App,
    generation: &Generation,
    peer: &Peer,
    line: Result<Held, ApiError>,
    echo: &mut Option<Echo>,
    account: &mut Account<'_>,
) -> Result<Answer, ApiError> {
    let (line, share) = line?;
    let server = &generation.config.server;
    let documents = app.documents.of(peer.uid);
    let admitted = documents.enter_behind(1, server.max_queued_documents);
    let admitted = tokio::time::timeout(server.max_deadline, admitted).await;
    // Else what is missing at its end would be missing in the next line.
    let request = Request::parse(line.trim_ascii_end()).map_err(|error| {
        let (document_id, context) = Request::identity(&line);
        *echo = Some(Echo {
            document_id,
            offset_unit: Default::default(),
            context,
        });
        error.of_line()
    })?;
    drop(line);
    account.read(&request);
    *echo = Some(Echo {
        document_id: request.document_id.clone(),
        offset_unit: request.offset_unit,
        context: request.context.clone(),
    });
    account.is_possible().await?;
    let admitted = admitted.map_err(|_| ApiError::Busy {
        retry_after: app.retry_after(),
    })?;
    account.places = vec![share.into(), admitted.into()];
    Plan::new(generation, request, account.arrived)?
        .run(app, account.places.clone())
        .await
}

fn failed(generation: &Generation, echo: Option<Echo>, error: &ApiError) -> Answer {
    let echo = echo.unwrap_or(Echo {
        document_id: None,
        offset_unit: Default::default(),
        context: None,
    });
    Answer {
        document_id: echo.document_id,
        status: Status::Failed,
        degraded: Vec::new(),
        offset_unit: echo.offset_unit,
        text_sha256: String::new(),
        text_length: TextLength::default(),
        entities: Vec::new(),
        versions: versions(generation, BTreeMap::new()),
        engine: None,
        timing_ms: Timing::default(),
        context: echo.context,
        error: Some(error.detail()),
    }
}

/// What is allowed of a batch.
#[derive(Clone, Copy)]
struct Limits {
    /// Bytes of a line.
    line: usize,
    /// Between two pieces of a line.
    pause: Duration,
    /// Until something comes that is a document, or may become one.
    idle: Duration,
    /// From its first piece until a line has come as a whole.
    whole: Duration,
}

impl Limits {
    fn of(server: &Server) -> Self {
        Self {
            line: body::largest(server),
            pause: server.stall_timeout,
            idle: server.idle_timeout,
            whole: server.max_deadline,
        }
    }
}

/// A line, or what is wrong with it, with its number; or what is wrong with the batch where there is no line.
type Numbered = (Option<u64>, Result<Vec<u8>, ApiError>);

/// Splits a body into lines. A line that is too long becomes an error and is skipped; the ones after
/// it are read.
struct Splitter {
    body: Body,
    limits: Limits,
    rest: Bytes,
    line: Vec<u8>,
    /// Whether nothing of the line is more than blanks.
    is_blank: bool,
    skipping: bool,
    ended: bool,
    index: u64,
}

impl Splitter {
    fn new(body: Body, limits: Limits) -> Self {
        Self {
            body,
            limits,
            rest: Bytes::new(),
            line: Vec::new(),
            is_blank: true,
            skipping: false,
            ended: false,
            index: 0,
        }
    }

    /// The next line that is not blank, with its number from 0, blank lines counted; or what ended the body, with the number of the line
    /// that it cut off, if any. Who sends none, or never ends one, does not keep others out for ever, however steadily it sends.
    async fn next(&mut self) -> Option<Numbered> {
        let (mut begun, mut is_within) = (Instant::now(), false);
        loop {
            if let Some(end) = self.rest.iter().position(|&byte| byte == b'\n') {
                let line = self.rest.split_to(end + 1);
                self.keep(&line);
                if let Some(done) = self.finish() {
                    return Some(done);
                }
                continue;
            }
            let rest = std::mem::take(&mut self.rest);
            self.keep(&rest);
            if self.ended {
                return self.finish();
            }
            let is_blank = !self.skipping && self.is_blank;
            let (pause, time) = match is_blank {
                // Between two lines there is no pause: a client may wait for its next note.
                true => (Duration::MAX, self.limits.idle),
                false => (self.limits.pause, self.limits.whole),
            };
            if !is_blank && !std::mem::replace(&mut is_within, true) {
                begun = Instant::now();
            }
            let piece = body::piece(&mut self.body, pause);
            let piece = tokio::time::timeout_at((begun + time).into(), piece).await;
            match piece.unwrap_or(Err(ApiError::BatchIdle { waited: time })) {
                Ok(Some(data)) => self.rest = data,
                Ok(None) => self.ended = true,
                Err(error) => {
                    // What came of the line cannot be told from a whole one: it is not processed.
                    self.ended = true;
                    self.line.clear();
                    self.is_blank = true;
                    self.skipping = false;
                    return Some(((!is_blank).then_some(self.index), Err(error)));
                }
            }
        }
    }

    /// Each byte is looked at once, however small the pieces are.
    fn keep(&mut self, data: &[u8]) {
        self.is_blank &= data.iter().all(u8::is_ascii_whitespace);
        if self.line.len() + data.len() > self.limits.line {
            self.skipping = true;
            self.line = Vec::new();
        }
        if !self.skipping {
            self.line.extend_from_slice(data);
        }
    }

    fn finish(&mut self) -> Option<Numbered> {
        let index = Some(self.index);
        self.index += 1;
        let line = std::mem::take(&mut self.line);
        let is_blank = std::mem::replace(&mut self.is_blank, true);
        if std::mem::take(&mut self.skipping) {
            let limit = self.limits.line;
            Some((index, Err(ApiError::BodyTooLarge { limit })))
        } else if is_blank {
            None
        } else {
            Some((index, Ok(line)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn split(text: &str, line: usize) -> Vec<(u64, Option<String>)> {
        let (pause, idle, whole) = (
            Duration::from_secs(1),
            Duration::from_secs(1),
            Duration::from_secs(1),
        );
        let limits = Limits {
            line,
            pause,
            idle,
            whole,
        };
        let mut splitter = Splitter::new(Body::from(text.to_owned()), limits);
        let mut lines = Vec::new();
        while let Some((index, line)) = splitter.next().await {
            lines.push((
                index.unwrap(),
                line.ok()
                    .map(|line| String::from_utf8(line).unwrap().trim().to_owned()),
            ));
        }
        lines
    }

    #[tokio::test]
    async fn lines_are_numbered_and_blank_ones_skipped() {
        let lines = split("a\r\n\n  \nb\nc", 100).await;
        let expected = [(0, "a"), (3, "b"), (4, "c")].map(|(i, t)| (i, Some(t.to_owned())));
        assert_eq!(lines, expected);
        assert_eq!(split("", 100).await, []);
        assert_eq!(split("\n", 100).await, []);
    }

    #[tokio::test]
    async fn lines_may_come_in_pieces_of_which_some_are_blank() {
        let pieces: Vec<&'static [u8]> = vec![b" ", b"\n", b"  ", b" a", b" \n", b"\t\n ", b"b\n", b" "];
        let interval = tokio::time::interval(Duration::from_millis(1));
        let time = Duration::from_secs(60);
        let limits = Limits {
            line: 100,
            pause: time,
            idle: time,
            whole: time,
        };
        let mut lines = Splitter::new(Body::new(Pausing(pieces.into_iter(), interval)), limits);
        for (number, expected) in [(1, &b"   a \n"[..]), (3, b" b\n")] {
            let (index, line) = lines.next().await.unwrap();
            assert_eq!((index, line.as_deref()), (Some(number), Ok(expected)));
        }
        assert!(lines.next().await.is_none());
    }

    #[tokio::test]
    async fn a_line_whose_answer_panics_is_told_of() {
        assert_eq!(unless_panicking(async { 7 }).await, Some(7));
        let panics = async {
            tokio::task::yield_now().await;
            panic!("as a defect would");
        };
        assert_eq!(unless_panicking::<()>(panics).await, None);
    }

    #[tokio::test]
    async fn a_line_that_is_too_long_is_told_and_the_next_is_read() {
        let lines = split("aaaaaaaaaaaa\nb\ncccccccccccc", 8).await;
        assert_eq!(lines, [(0, None), (1, Some("b".to_owned())), (2, None)]);
    }

    /// A body of these pieces, with a pause before each.
    struct Pausing<P>(P, tokio::time::Interval);

    impl<P: Iterator<Item = &'static [u8]> + Unpin> http_body::Body for Pausing<P> {
        type Data = Bytes;
        type Error = std::convert::Infallible;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            context: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
            ready!(self.1.poll_tick(context));
            let piece = self.0.next();
            Poll::Ready(piece.map(|piece| Ok(Frame::data(Bytes::from_static(piece)))))
        }
    }

    #[tokio::test]
    async fn a_batch_without_documents_ends_however_steadily_it_comes() {
        for (piece, idle, whole) in [(&b"\n"[..], 100, 600_000), (b"{", 600_000, 100)] {
            let interval = tokio::time::interval(Duration::from_millis(5));
            let steady = Pausing(std::iter::repeat(piece), interval);
            let limits = Limits {
                line: 1 << 20,
                pause: Duration::from_secs(60),
                idle: Duration::from_millis(idle),
                whole: Duration::from_millis(whole),
            };
            let mut lines = Splitter::new(Body::new(steady), limits);
            let (index, line) = lines.next().await.unwrap();
            assert!(matches!(line, Err(ApiError::BatchIdle { .. })));
            assert_eq!(index, (piece == b"{").then_some(0), "the line that was cut off");
            assert!(lines.next().await.is_none());
        }
    }

    #[tokio::test]
    async fn between_two_lines_a_client_may_take_its_time_and_within_one_it_may_not() {
        let pieces: Vec<&'static [u8]> = vec![b"a\n", b"b\n\n", b"c", b"d\n"];
        let interval = tokio::time::interval(Duration::from_millis(300));
        let limits = Limits {
            line: 100,
            pause: Duration::from_millis(30),
            idle: Duration::from_secs(60),
            whole: Duration::from_secs(60),
        };
        let mut lines = Splitter::new(Body::new(Pausing(pieces.into_iter(), interval)), limits);
        for (number, expected) in [(0, b"a\n"), (1, b"b\n")] {
            let (index, line) = lines.next().await.unwrap();
            assert_eq!((index, line.as_deref()), (Some(number), Ok(&expected[..])));
        }
        let (index, line) = lines.next().await.unwrap();
        assert_eq!(index, Some(3));
        assert!(matches!(line, Err(ApiError::BodyTimeout { .. })));
        assert!(lines.next().await.is_none());
    }
}
