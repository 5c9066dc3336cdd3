//! HTTP/1.1 over a Unix socket, written and read by hand: a test decides when each byte goes out and
//! sees exactly what came back, cut-off answers included.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;

use mednerd_client::api::{ErrorBody, ErrorDetail};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::PATIENCE;

/// A connection. Nothing is sent that a test does not send.
#[derive(Debug)]
pub struct Connection {
    stream: UnixStream,
    unread: Vec<u8>,
}

/// A whole answer.
#[derive(Clone, Debug)]
pub struct Reply {
    /// HTTP status.
    pub status: u16,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    /// Decoded from its transfer coding.
    pub body: Vec<u8>,
}

/// One request as it goes over the wire.
pub fn message(method: &str, route: &str, body: impl AsRef<[u8]>) -> Vec<u8> {
    let body = body.as_ref();
    let mut message = head(method, route, body.len());
    message.extend_from_slice(body);
    message
}

/// The head of a request that promises a body of `length` bytes.
pub fn head(method: &str, route: &str, length: usize) -> Vec<u8> {
    format!("{method} {route} HTTP/1.1\r\nhost: mednerd\r\ncontent-length: {length}\r\n\r\n").into_bytes()
}

/// The head of a batch whose length is not known in advance.
pub fn batch_head() -> Vec<u8> {
    b"POST /v1/annotate/batch HTTP/1.1\r\nhost: mednerd\r\ntransfer-encoding: chunked\r\n\r\n".to_vec()
}

/// A piece of such a batch; an empty one ends it.
pub fn chunk(data: &[u8]) -> Vec<u8> {
    let mut chunk = format!("{:x}\r\n", data.len()).into_bytes();
    chunk.extend_from_slice(data);
    chunk.extend_from_slice(b"\r\n");
    chunk
}

impl Connection {
    /// Connects.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn open(socket: &Path) -> io::Result<Self> {
        let stream = UnixStream::connect(socket)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(Self {
            stream,
            unread: Vec::new(),
        })
    }

    /// A second handle, to write with while the first one reads.
    pub fn writer(&self) -> UnixStream {
        self.stream.try_clone().expect("a descriptor is free")
    }

    /// Sends bytes.
    ///
    /// # Errors
    /// What the kernel says, such as `EPIPE`.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.stream.write_all(bytes.as_ref())
    }

    /// Sends a request and reads its answer.
    ///
    /// # Errors
    /// As [`Self::send`] and [`Self::reply`].
    pub fn request(&mut self, method: &str, route: &str, body: impl AsRef<[u8]>) -> io::Result<Reply> {
        self.send(message(method, route, body))?;
        self.reply()
    }

    /// Sends a request and reads its answer at the same time, as a batch of any length needs.
    ///
    /// # Errors
    /// As [`Self::send`] and [`Self::reply`].
    pub fn duplex(&mut self, method: &str, route: &str, body: impl AsRef<[u8]>) -> io::Result<Reply> {
        let request = message(method, route, body);
        let mut writer = self.writer();
        std::thread::scope(|scope| {
            let writing = scope.spawn(move || writer.write_all(&request));
            let reply = self.reply();
            writing.join().expect("writing does not panic").and(reply)
        })
    }

    /// Reads one whole answer.
    ///
    /// # Errors
    /// `UnexpectedEof` where it is cut off, `InvalidData` where it is not HTTP.
    pub fn reply(&mut self) -> io::Result<Reply> {
        let mut reply = self.reply_head()?;
        if reply.header("transfer-encoding") == Some("chunked") {
            while let Some(chunk) = self.reply_chunk()? {
                reply.body.extend_from_slice(&chunk);
            }
        } else {
            let length = reply.header("content-length").unwrap_or("0");
            let length = length.parse().map_err(|_| invalid("content-length", length))?;
            reply.body = self.take(length)?;
        }
        Ok(reply)
    }

    /// Reads the head of an answer; its body is left for [`Self::reply_chunk`].
    ///
    /// # Errors
    /// As [`Self::reply`].
    pub fn reply_head(&mut self) -> io::Result<Reply> {
        let status = self.line()?;
        let code = status
            .strip_prefix("HTTP/1.1 ")
            .and_then(|rest| rest.get(..3))
            .and_then(|code| code.parse().ok())
            .ok_or_else(|| invalid("status line", &status))?;
        let mut headers = Vec::new();
        loop {
            let line = self.line()?;
            if line.is_empty() {
                break;
            }
            let (name, value) = line.split_once(':').ok_or_else(|| invalid("header", &line))?;
            headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
        Ok(Reply {
            status: code,
            headers,
            body: Vec::new(),
        })
    }

    /// Reads one chunk of an answer's body; `None` at its proper end.
    ///
    /// # Errors
    /// As [`Self::reply`].
    pub fn reply_chunk(&mut self) -> io::Result<Option<Vec<u8>>> {
        let size = self.line()?;
        let length = usize::from_str_radix(&size, 16).map_err(|_| invalid("chunk size", &size))?;
        let chunk = self.take(length)?;
        let end = self.line()?;
        if !end.is_empty() {
            return Err(invalid("end of a chunk", &end));
        }
        Ok((length > 0).then_some(chunk))
    }

    /// Reads until the daemon closes, and tells what came. A reset counts as closing.
    ///
    /// # Errors
    /// `WouldBlock` where it does not close.
    pub fn until_closed(&mut self) -> io::Result<Vec<u8>> {
        loop {
            match self.fill() {
                Ok(0) => return Ok(std::mem::take(&mut self.unread)),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => {
                    return Ok(std::mem::take(&mut self.unread));
                }
                Err(error) => return Err(error),
            }
        }
    }

    fn line(&mut self) -> io::Result<String> {
        loop {
            if let Some(end) = self.unread.iter().position(|&byte| byte == b'\n') {
                let line: Vec<u8> = self.unread.drain(..=end).collect();
                let line = String::from_utf8_lossy(&line);
                return Ok(line.trim_end_matches(['\r', '\n']).to_owned());
            }
            self.more()?;
        }
    }

    fn take(&mut self, length: usize) -> io::Result<Vec<u8>> {
        while self.unread.len() < length {
            self.more()?;
        }
        Ok(self.unread.drain(..length).collect())
    }

    fn more(&mut self) -> io::Result<()> {
        if self.fill()? == 0 {
            let got = self.unread.len();
            return Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                format!(
                    "the daemon closed the connection within or before an answer; {got} bytes of it came"
                ),
            ));
        }
        Ok(())
    }

    fn fill(&mut self) -> io::Result<usize> {
        let mut buffer = [0; 64 << 10];
        // Reading with a time limit is not taken up again by the kernel where the process was halted and goes on.
        let count = loop {
            match self.stream.read(&mut buffer) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                read => break read?,
            }
        };
        self.unread
            .extend_from_slice(buffer.get(..count).unwrap_or_default());
        Ok(count)
    }
}

fn invalid(part: &str, found: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("not HTTP: {part} {found:?}"))
}

impl Reply {
    /// A header's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(found, _)| found == name);
        found.map(|(_, value)| value.as_str())
    }

    /// The body as text.
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("answers are UTF-8")
    }

    /// The body as JSON.
    pub fn json(&self) -> Value {
        self.decode()
    }

    /// The body as a type of the API, which refuses unknown fields.
    pub fn decode<T: DeserializeOwned>(&self) -> T {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error} in {}", self.text()))
    }

    /// Requires success.
    pub fn ok(self) -> Self {
        assert_eq!(self.status, 200, "{}", self.text());
        self
    }

    /// Requires an error of the API with this status and code.
    #[track_caller]
    pub fn refused(&self, status: u16, code: &str) -> ErrorDetail {
        assert_eq!(self.status, status, "{}", self.text());
        assert_eq!(self.header("content-type"), Some("application/json"));
        let ErrorBody { error } = self.decode();
        assert_eq!(error.code, code, "{}", error.message);
        assert!(!error.message.is_empty(), "an error tells people what is wrong");
        error
    }
}
