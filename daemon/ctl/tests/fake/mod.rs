//! A daemon that answers with what a test says, over a real Unix socket. It "finds" fixed words of
//! the text, so that offsets are honest in every unit.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use mednerd_client::api::{
    AnnotateRequest, AnnotateResponse, Concept, Engine, Entity, Link, OffsetUnit, Status, TextLength, Timing,
    Versions,
};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::UnixListener;
use tokio::runtime::Runtime;

/// Status, `Retry-After`, body.
pub type Answer = (u16, Option<u64>, String);
type Handler = dyn Fn(usize, &str, &[u8]) -> Answer + Send + Sync;

/// A running fake; ends with the value.
pub struct Fake {
    _runtime: Runtime,
    pub folder: TempDir,
    pub requests: Arc<Mutex<Vec<AnnotateRequest>>>,
}

impl Fake {
    /// A fake that annotates.
    pub fn annotating() -> Self {
        Self::new(|_, _, body| annotate(body))
    }

    /// A fake with a handler, which gets the number of the request from 0, the route and the body.
    pub fn new(handler: impl Fn(usize, &str, &[u8]) -> Answer + Send + Sync + 'static) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let handler: Arc<Handler> = Arc::new(handler);
        let number = Arc::new(AtomicUsize::new(0));
        let requests = Arc::new(Mutex::new(Vec::new()));
        let listener = {
            let _inside = runtime.enter();
            UnixListener::bind(folder.path().join("s")).unwrap()
        };
        let seen = Arc::clone(&requests);
        runtime.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (handler, number, seen) = (handler.clone(), number.clone(), seen.clone());
                let service =
                    service_fn(move |request| serve(handler.clone(), number.clone(), seen.clone(), request));
                tokio::spawn(
                    hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service),
                );
            }
        });
        Self {
            _runtime: runtime,
            folder,
            requests,
        }
    }

    pub fn socket(&self) -> PathBuf {
        self.folder.path().join("s")
    }

    /// Writes a file beside the socket and gives its path.
    pub fn file(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        path
    }
}

async fn serve(
    handler: Arc<Handler>,
    number: Arc<AtomicUsize>,
    seen: Arc<Mutex<Vec<AnnotateRequest>>>,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let route = request.uri().path().to_owned();
    let body = request.into_body().collect().await.unwrap().to_bytes();
    if let Ok(request) = serde_json::from_slice(&body) {
        seen.lock().unwrap().push(request);
    }
    let (status, retry_after, body) = handler(number.fetch_add(1, Ordering::SeqCst), &route, &body);
    let mut response = Response::builder().status(status);
    if let Some(seconds) = retry_after {
        response = response.header("retry-after", seconds);
    }
    Ok(response.body(Full::new(Bytes::from(body))).unwrap())
}

/// An error answer.
pub fn refuse(status: u16, code: &str, message: &str, retry_after: Option<u64>) -> Answer {
    let body = json!({"error": {"code": code, "message": message, "details": {}}});
    (status, retry_after, body.to_string())
}

/// The words that the fake knows; "lung cancer" holds "cancer".
const WORDS: [(&str, &str); 4] = [
    ("diabetes", "DISEASE"),
    ("lung cancer", "DISEASE"),
    ("cancer", "FINDING"),
    ("metformin", "CHEMICAL"),
];

/// The answer to a request.
pub fn annotate(body: &[u8]) -> Answer {
    let request: AnnotateRequest = serde_json::from_slice(body).unwrap();
    let text = &request.text;
    let unit = request.offset_unit.unwrap_or_default();
    let count = |part: &str| match unit {
        OffsetUnit::UnicodeCodePoint => part.chars().count() as u64,
        OffsetUnit::Utf16CodeUnit => part.encode_utf16().count() as u64,
        OffsetUnit::Utf8Byte | OffsetUnit::Byte => part.len() as u64,
    };
    let mut found: Vec<(usize, &str, &str)> = WORDS
        .iter()
        .flat_map(|&(word, label)| text.match_indices(word).map(move |(at, w)| (at, w, label)))
        .collect();
    found.sort_by_key(|&(at, word, _)| (at, std::cmp::Reverse(word.len())));
    let entities = found
        .into_iter()
        .enumerate()
        .map(|(number, (at, word, label))| Entity {
            id: format!("e{}", number + 1),
            begin: count(&text[..at]),
            end: count(&text[..at + word.len()]),
            text: word.to_owned(),
            decoded: None,
            label: label.to_owned(),
            score: 0.975,
            model: "small".to_owned(),
            assertions: Vec::new(),
            concepts: if request.link == Some(Link::All(true)) && word == "diabetes" {
                vec![Concept {
                    id: "C0011849".to_owned(),
                    vocabulary: "UMLS".to_owned(),
                    name: "Diabetes Mellitus".to_owned(),
                    semantic_types: vec!["T047".to_owned()],
                    score: 0.97,
                    match_kind: "exact".to_owned(),
                    plugins: Vec::new(),
                    codings: Vec::new(),
                }]
            } else {
                Vec::new()
            },
        });
    let answer = AnnotateResponse {
        document_id: request.document_id.clone(),
        status: Status::Ok,
        degraded: Vec::new(),
        offset_unit: unit,
        text_sha256: "0".repeat(64),
        text_length: TextLength {
            utf8_byte: text.len() as u64,
            utf16_code_unit: text.encode_utf16().count() as u64,
            unicode_code_point: text.chars().count() as u64,
        },
        entities: entities.collect(),
        versions: Versions {
            mednerd: "0.1.0".to_owned(),
            models: BTreeMap::from([("small".to_owned(), "abcdef".to_owned())]),
            ..Versions::default()
        },
        engine: Some(Engine::Tract),
        timing_ms: Timing {
            decoding: 0.0,
            queue: 0.5,
            inference: 2.0,
            refining: 0.0,
            linking: 0.0,
            total: 2.5,
        },
        context: Value::Null,
        error: None,
    };
    (200, None, serde_json::to_string(&answer).unwrap())
}
