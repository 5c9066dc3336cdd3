//! HTTP/1.1 over a Unix socket, one connection kept alive and opened again when it has closed.

use std::path::{Path, PathBuf};

use bytes::{Bytes, BytesMut};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::net::UnixStream;

use crate::api::{
    AnnotateRequest, AnnotateResponse, BatchLine, ErrorBody, ErrorDetail, HealthResponse, LoadRequest,
    ModelInfo, ModelsResponse, PluginsResponse, ReloadResponse, StatusResponse,
};

/// Why a call had no answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nobody answers on the socket, or this user may not open it.
    #[error("cannot reach mednerd on {}: {source}; {}", path.display(), remedy(source))]
    Connect {
        /// The socket.
        path: PathBuf,
        /// What the kernel said.
        source: std::io::Error,
    },
    /// The daemon answered with an error.
    #[error("mednerd refused ({status}): {}", detail.message)]
    Refused {
        /// HTTP status.
        status: u16,
        /// The daemon's own words.
        detail: ErrorDetail,
        /// Seconds after which to try again, where the daemon said so.
        retry_after: Option<u64>,
    },
    /// The connection broke while a request was under way.
    #[error("the connection to mednerd broke: {0}")]
    Connection(#[from] hyper::Error),
    /// The answer is not of this API.
    #[error("mednerd's answer does not follow the API ({0}); are client and daemon of one version?")]
    Protocol(String),
}

/// What to do where a socket cannot be opened.
fn remedy(why: &std::io::Error) -> &'static str {
    match why.kind() {
        std::io::ErrorKind::PermissionDenied => {
            "this user may not open it: an administrator adds users to the group that it is for (`adduser USER mednerd`; it counts from \
             the next login), and the administrators' socket is root's"
        }
        std::io::ErrorKind::NotFound => {
            "there is no socket: is the service running (`systemctl status mednerd.socket`), and does it have another path?"
        }
        _ => "is the service running (`systemctl status mednerd`)?",
    }
}

/// A client of one daemon. Not shared between tasks: open one for each.
#[derive(Debug)]
pub struct Client {
    path: PathBuf,
    connection: Option<SendRequest<Full<Bytes>>>,
}

impl Client {
    /// A client for the socket at `path`. Connects at the first call.
    pub fn new(path: impl AsRef<Path>) -> Self {
        Self {
            path: path.as_ref().to_owned(),
            connection: None,
        }
    }

    /// The socket this client talks to.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// `POST /v1/annotate`.
    ///
    /// # Errors
    /// As every call here: [`ClientError`].
    pub async fn annotate(&mut self, request: &AnnotateRequest) -> Result<AnnotateResponse, ClientError> {
        self.post("/v1/annotate", json(request)?).await
    }

    /// `POST /v1/annotate/batch`: the answers come as they finish.
    ///
    /// # Errors
    /// [`ClientError`], where the batch as a whole was refused; a document that failed is a line
    /// with status `failed`.
    pub async fn annotate_batch(&mut self, requests: &[AnnotateRequest]) -> Result<Batch, ClientError> {
        let mut body = Vec::new();
        for request in requests {
            body.extend_from_slice(&json(request)?);
            body.push(b'\n');
        }
        let response = self
            .send(Method::POST, "/v1/annotate/batch", Bytes::from(body))
            .await?;
        let response = accepted(response).await?;
        Ok(Batch {
            body: response.into_body(),
            buffer: BytesMut::new(),
            searched: 0,
        })
    }

    /// `GET /v1/models`.
    ///
    /// # Errors
    /// [`ClientError`]
    pub async fn models(&mut self) -> Result<ModelsResponse, ClientError> {
        self.get("/v1/models").await
    }

    /// `GET /v1/plugins`.
    ///
    /// # Errors
    /// [`ClientError`]
    pub async fn plugins(&mut self) -> Result<PluginsResponse, ClientError> {
        self.get("/v1/plugins").await
    }

    /// `GET /v1/status`.
    ///
    /// # Errors
    /// [`ClientError`]
    pub async fn status(&mut self) -> Result<StatusResponse, ClientError> {
        self.get("/v1/status").await
    }

    /// `GET /readyz`: that documents can be taken, or as a refusal why not.
    ///
    /// # Errors
    /// [`ClientError`]
    pub async fn ready(&mut self) -> Result<HealthResponse, ClientError> {
        self.get("/readyz").await
    }

    /// `GET /metrics`: Prometheus' text format.
    ///
    /// # Errors
    /// [`ClientError`]
    pub async fn metrics(&mut self) -> Result<String, ClientError> {
        let response = self.send(Method::GET, "/metrics", Bytes::new()).await?;
        let body = accepted(response).await?.into_body().collect().await?;
        String::from_utf8(body.to_bytes().into())
            .map_err(|_| ClientError::Protocol("metrics that are not UTF-8".to_owned()))
    }

    /// `POST /v1/reload`, on the admin socket.
    ///
    /// # Errors
    /// [`ClientError`]
    pub async fn reload(&mut self) -> Result<ReloadResponse, ClientError> {
        self.post("/v1/reload", Bytes::new()).await
    }

    /// `POST /v1/models`, on the admin socket: loads a model until the next reload or restart.
    ///
    /// # Errors
    /// [`ClientError`]
    pub async fn load(&mut self, request: &LoadRequest) -> Result<ModelInfo, ClientError> {
        self.post("/v1/models", json(request)?).await
    }

    /// `DELETE /v1/models/{name}`, on the admin socket: unloads a model until the next reload or restart. A name that no
    /// model can have is refused as unknown.
    ///
    /// # Errors
    /// [`ClientError`]
    pub async fn unload(&mut self, name: &str) -> Result<ReloadResponse, ClientError> {
        let plain = |c: char| {
            if c.is_ascii_alphanumeric() || "._-".contains(c) {
                c
            } else {
                '_'
            }
        };
        let name: String = name.chars().map(plain).collect();
        let response = self
            .send(Method::DELETE, &format!("/v1/models/{name}"), Bytes::new())
            .await?;
        decode(accepted(response).await?).await
    }

    /// Sends one request and gives status and body as they came; for routes without a method of
    /// their own and for tests.
    ///
    /// # Errors
    /// [`ClientError::Connect`] and [`ClientError::Connection`]; an error status is no error here.
    pub async fn raw(
        &mut self,
        method: Method,
        route: &str,
        body: impl Into<Bytes>,
    ) -> Result<(u16, Bytes), ClientError> {
        let response = self.send(method, route, body.into()).await?;
        let status = response.status().as_u16();
        Ok((status, response.into_body().collect().await?.to_bytes()))
    }

    async fn get<T: DeserializeOwned>(&mut self, route: &str) -> Result<T, ClientError> {
        let response = self.send(Method::GET, route, Bytes::new()).await?;
        decode(accepted(response).await?).await
    }

    async fn post<T: DeserializeOwned>(&mut self, route: &str, body: Bytes) -> Result<T, ClientError> {
        let response = self.send(Method::POST, route, body).await?;
        decode(accepted(response).await?).await
    }

    async fn send(
        &mut self,
        method: Method,
        route: &str,
        body: Bytes,
    ) -> Result<Response<Incoming>, ClientError> {
        let request = || {
            Request::builder()
                .method(&method)
                .uri(route)
                .header("host", "mednerd")
                .header("content-type", "application/json")
                .body(Full::new(body.clone()))
                .map_err(|error| ClientError::Protocol(error.to_string()))
        };
        if let Some(mut kept) = self.connection.take() {
            // The daemon may close a kept connection just as the request goes out. What was never sent goes out once more
            // on a new connection, and so does what may have been sent and changes nothing, however often it is asked.
            match kept.try_send_request(request()?).await {
                Ok(response) => {
                    self.connection = Some(kept);
                    return Ok(response);
                }
                Err(mut failed) => {
                    let unsent = failed.take_message().is_some();
                    let error = failed.into_error();
                    let repeatable = method == Method::GET || route.starts_with("/v1/annotate");
                    // Something that is no HTTP came as an answer: it would come again.
                    if !unsent && (!repeatable || error.is_parse()) {
                        return Err(error.into());
                    }
                }
            }
        }
        let mut connection = connect(&self.path).await?;
        let response = connection.send_request(request()?).await?;
        self.connection = Some(connection);
        Ok(response)
    }
}

/// The answers of a batch, as they finish.
#[derive(Debug)]
pub struct Batch {
    body: Incoming,
    buffer: BytesMut,
    /// Bytes of the buffer in which no line ends.
    searched: usize,
}

impl Batch {
    /// The next answer, `None` after the last.
    ///
    /// # Errors
    /// [`ClientError::Connection`] where the daemon went away, [`ClientError::Protocol`] where a
    /// line is not of this API.
    pub async fn next(&mut self) -> Result<Option<BatchLine>, ClientError> {
        loop {
            let new = self.buffer.get(self.searched..).unwrap_or_default();
            if let Some(end) = new.iter().position(|&byte| byte == b'\n') {
                let line = self.buffer.split_to(self.searched + end + 1);
                self.searched = 0;
                return parse(&line).map(Some);
            }
            self.searched = self.buffer.len();
            match self.body.frame().await {
                Some(frame) => {
                    if let Ok(data) = frame?.into_data() {
                        self.buffer.extend_from_slice(&data);
                    }
                }
                None if self.buffer.is_empty() => return Ok(None),
                None => {
                    return Err(ClientError::Protocol(
                        "the batch ends in the middle of a line".to_owned(),
                    ));
                }
            }
        }
    }
}

async fn connect(path: &Path) -> Result<SendRequest<Full<Bytes>>, ClientError> {
    let stream = UnixStream::connect(path)
        .await
        .map_err(|source| ClientError::Connect {
            path: path.to_owned(),
            source,
        })?;
    let (sender, connection) = handshake(TokioIo::new(stream)).await?;
    // Ends by itself when the sender is dropped or the daemon closes; its error reaches the sender.
    tokio::spawn(connection);
    Ok(sender)
}

async fn accepted(response: Response<Incoming>) -> Result<Response<Incoming>, ClientError> {
    if response.status() == StatusCode::OK {
        return Ok(response);
    }
    let status = response.status().as_u16();
    let retry_after = response
        .headers()
        .get("retry-after")
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.parse().ok());
    let body = response.into_body().collect().await?.to_bytes();
    let ErrorBody { error: detail } = parse(&body)?;
    Err(ClientError::Refused {
        status,
        detail,
        retry_after,
    })
}

async fn decode<T: DeserializeOwned>(response: Response<Incoming>) -> Result<T, ClientError> {
    parse(&response.into_body().collect().await?.to_bytes())
}

// The words of serde_json may quote the answer, which may hold note text: only the place is told.
fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ClientError> {
    serde_json::from_slice(bytes).map_err(|error| {
        ClientError::Protocol(format!(
            "unexpected JSON at line {} column {}",
            error.line(),
            error.column()
        ))
    })
}

fn json(value: &impl Serialize) -> Result<Bytes, ClientError> {
    serde_json::to_vec(value)
        .map(Bytes::from)
        .map_err(|error| ClientError::Protocol(error.to_string()))
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::os::unix::net::{UnixListener, UnixStream};
    use std::thread::JoinHandle;

    use super::*;

    /// Reads one request, head and body.
    fn read(stream: &mut UnixStream) {
        let mut seen = Vec::new();
        let mut part = [0; 4096];
        loop {
            let count = stream.read(&mut part).unwrap();
            assert!(count > 0, "the client went away");
            seen.extend_from_slice(&part[..count]);
            let text = String::from_utf8_lossy(&seen).to_ascii_lowercase();
            let Some(head) = text.find("\r\n\r\n") else {
                continue;
            };
            let length = text
                .lines()
                .find_map(|line| line.strip_prefix("content-length: "));
            let length: usize = length.map_or(0, |length| length.parse().unwrap());
            if seen.len() >= head + 4 + length {
                return;
            }
        }
    }

    fn answer(stream: &mut UnixStream) {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}");
    }

    /// A daemon that answers once, takes some of the next request on the same connection and is gone; the next one answers
    /// everything. Gives the number of requests that the next one had.
    fn restarting(path: &Path) -> JoinHandle<usize> {
        let listener = UnixListener::bind(path).unwrap();
        std::thread::spawn(move || {
            let (mut first, _) = listener.accept().unwrap();
            read(&mut first);
            answer(&mut first);
            // Not all of it is taken: the client is still writing.
            first.read_exact(&mut [0; 64]).unwrap();
            drop(first);
            let (mut second, _) = listener.accept().unwrap();
            let mut requests = 0;
            while second.read_exact(&mut [0; 1]).is_ok() {
                read(&mut second);
                requests += 1;
                answer(&mut second);
            }
            requests
        })
    }

    /// Statuses of a first and a second request over one client, and how many requests the daemon had after its restart.
    fn twice(method: &Method, route: &str, body: &[u8]) -> ([Option<u16>; 2], usize) {
        let folder = std::env::temp_dir().join(format!(
            "mednerd-client-{}-{}",
            std::process::id(),
            route.replace('/', "-")
        ));
        std::fs::create_dir(&folder).unwrap();
        let path = folder.join("s");
        let daemon = restarting(&path);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let statuses = runtime.block_on(async {
            let mut client = Client::new(&path);
            let mut statuses = [None; 2];
            for status in &mut statuses {
                let told = client.raw(method.clone(), route, body.to_vec()).await;
                *status = told.ok().map(|(status, _)| status);
            }
            statuses
        });
        if statuses[1].is_none() {
            // Somebody who asks nothing, so that the daemon ends.
            drop(UnixStream::connect(&path));
        }
        drop(runtime);
        let requests = daemon.join().unwrap();
        std::fs::remove_dir_all(&folder).unwrap();
        (statuses, requests)
    }

    #[test]
    fn what_breaks_on_a_kept_connection_is_asked_once_more() {
        let note = vec![b'a'; 1 << 20];
        for (method, route, body) in [
            (Method::POST, "/v1/annotate", &*note),
            (Method::POST, "/v1/annotate/batch", &*note),
            (Method::GET, "/v1/status", b""),
        ] {
            assert_eq!(twice(&method, route, body), ([Some(200); 2], 1), "{route}");
        }
    }

    #[test]
    fn a_socket_that_may_not_be_opened_is_told_from_one_that_is_not_there() {
        let told = |kind: std::io::ErrorKind| {
            let source = kind.into();
            ClientError::Connect {
                path: "/run/s".into(),
                source,
            }
            .to_string()
        };
        assert!(told(std::io::ErrorKind::PermissionDenied).contains("adduser USER mednerd"));
        assert!(told(std::io::ErrorKind::NotFound).contains("systemctl status mednerd.socket"));
        assert!(!told(std::io::ErrorKind::ConnectionRefused).contains("adduser"));
    }

    #[test]
    fn what_changes_the_daemon_is_never_asked_twice() {
        for (method, route) in [(Method::POST, "/v1/models"), (Method::DELETE, "/v1/models/a")] {
            let body = vec![b'a'; 1 << 20];
            assert_eq!(twice(&method, route, &body), ([Some(200), None], 0), "{route}");
        }
    }
}
