//! Why a command could not do what was asked, in sentences that say what to do next. Never holds
//! note text.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use mednerd_client::ClientError;

use crate::exit::Exit;

/// Why a command, or the work on one document, failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The options contradict each other in a way that only the command itself can see.
    #[error("{0}")]
    Usage(#[from] clap::Error),
    /// The daemon could not be asked, or said no.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The daemon took the document and reported a failure for it.
    #[error("mednerd could not annotate it ({code}): {message}")]
    Failed {
        /// The daemon's error code.
        code: String,
        /// The daemon's own words.
        message: String,
    },
    /// The daemon is there and silent.
    #[error(
        "mednerd gave no answer within {} s; look at `systemctl status mednerd`, or allow more with --timeout",
        patience.as_secs_f64()
    )]
    NoAnswer {
        /// How long it was waited for.
        patience: Duration,
    },
    /// The clients' socket was named as the administrators'.
    #[error(
        "{}: this is not the daemon's admin socket; name that with --admin-socket (server.admin_socket of the configuration)",
        path.display()
    )]
    WrongSocket {
        /// The socket.
        path: PathBuf,
    },
    /// The answer is about another text, or its offsets lie.
    #[error("mednerd's answer does not fit the text ({what}); please report this as a bug")]
    Misfit {
        /// What does not fit, in numbers.
        what: String,
    },
    /// What is wrong with an input that no file before the sentence names.
    #[error("{name}: {source}")]
    Input {
        /// The input, as the person named it.
        name: String,
        /// What is wrong.
        source: Box<Error>,
    },
    /// An input could not be read.
    #[error("cannot read it: {0}")]
    Read(#[source] io::Error),
    /// An input is not text.
    #[error(
        "it is not UTF-8: the first byte that is wrong is number {position} (counted from 0); convert it, for example with `iconv -t UTF-8`"
    )]
    NotUtf8 {
        /// Offset of the first byte that is not UTF-8.
        position: usize,
    },
    /// What only text has was asked of a document that is none.
    #[error(
        "it is not UTF-8, so it is sent as bytes, and offsets count those: leave out --offset-unit, and print it in another format than html"
    )]
    OnlyBytes,
    /// An input is too large to be a note.
    #[error("it is larger than {limit} bytes; split it into notes")]
    TooLarge {
        /// The limit in bytes.
        limit: u64,
    },
    /// The output could not be written.
    #[error("cannot write {target}: {source}")]
    Write {
        /// The output, as a person would call it.
        target: String,
        /// What the kernel said.
        source: io::Error,
    },
    /// A signal broke it off.
    #[error("interrupted; nothing was written, begin again")]
    Interrupted,
    /// A man page could not be written.
    #[error("cannot write {}: {source}", path.display())]
    Generate {
        /// The file or directory.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// A file of the audit trail cannot be read.
    #[error("{}: the audit trail cannot be read: {source}; it is for root and the daemon alone", path.display())]
    Trail {
        /// The file or folder.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// Where a trail should be there is none, or nothing is in it.
    #[error(
        "{}: no audit trail is here, so nothing can be said of one; a daemon with [audit] writes at every start", path.display()
    )]
    NoTrail {
        /// The folder or file.
        path: PathBuf,
    },
    /// The audit trail's key.
    #[error(transparent)]
    Key(#[from] mednerd_audit::KeyError),
    /// A plugin is not what it must be, or cannot be put where it shall.
    #[error("{0}")]
    Plugin(String),
    /// A model is not installed, not what was installed, or not removed.
    #[error(transparent)]
    Model(#[from] crate::model::ModelError),
    /// No event loop.
    #[error("cannot start: {0}; are there too many open files?")]
    Runtime(#[source] io::Error),
}

impl From<std::string::FromUtf8Error> for Error {
    fn from(error: std::string::FromUtf8Error) -> Self {
        Self::NotUtf8 {
            position: error.utf8_error().valid_up_to(),
        }
    }
}

impl Error {
    /// The exit code of a run that ends with this error.
    pub fn exit(&self) -> Exit {
        match self {
            Self::Usage(_) => Exit::Usage,
            Self::Client(ClientError::Refused { .. })
            | Self::WrongSocket { .. }
            | Self::Failed { .. }
            | Self::Plugin(_) => Exit::Refused,
            Self::Model(_) => Exit::Refused,
            Self::Input { source, .. } => source.exit(),
            Self::Client(_) | Self::NoAnswer { .. } | Self::Misfit { .. } => Exit::Unreachable,
            Self::Read(_)
            | Self::NotUtf8 { .. }
            | Self::OnlyBytes
            | Self::TooLarge { .. }
            | Self::Write { .. }
            | Self::Interrupted
            | Self::Generate { .. }
            | Self::Trail { .. }
            | Self::NoTrail { .. }
            | Self::Key(_)
            | Self::Runtime(_) => Exit::Partly,
        }
    }

    /// The same, of the input at `path`.
    pub fn of(self, path: &Path) -> Self {
        Self::Input {
            name: path.display().to_string(),
            source: Box::new(self),
        }
    }

    /// Whether the reader of the output went away, as `head` does.
    pub fn is_closed_pipe(&self) -> bool {
        matches!(self, Self::Write { source, .. } if source.kind() == io::ErrorKind::BrokenPipe)
    }

    /// Whether every further document would meet the same error, so that going on is only noise.
    pub fn concerns_every_document(&self) -> bool {
        match self {
            Self::Usage(_) | Self::Write { .. } | Self::Generate { .. } | Self::Runtime(_) => true,
            Self::Client(ClientError::Connect { .. }) => true,
            // Not allowed, and no such model.
            Self::Client(ClientError::Refused { status, .. }) => matches!(status, 401 | 403 | 404),
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use mednerd_client::api::ErrorDetail;

    use super::*;

    fn refused(status: u16) -> Error {
        Error::Client(ClientError::Refused {
            status,
            detail: ErrorDetail {
                code: "forbidden".to_owned(),
                message: "uid 1000 may not annotate".to_owned(),
                details: serde_json::Map::new(),
            },
            retry_after: None,
        })
    }

    #[test]
    fn each_error_has_its_exit_code() {
        let gone = || io::Error::from(io::ErrorKind::NotFound);
        let cases = [
            (refused(403), Exit::Refused),
            (refused(429), Exit::Refused),
            (
                Error::Client(ClientError::Connect {
                    path: "/x".into(),
                    source: gone(),
                }),
                Exit::Unreachable,
            ),
            (
                Error::Client(ClientError::Protocol("line 1".to_owned())),
                Exit::Unreachable,
            ),
            (
                Error::NoAnswer {
                    patience: Duration::from_secs(1),
                },
                Exit::Unreachable,
            ),
            (Error::Read(gone()), Exit::Partly),
            (Error::NotUtf8 { position: 3 }, Exit::Partly),
            (
                Error::Write {
                    target: "standard output".to_owned(),
                    source: gone(),
                },
                Exit::Partly,
            ),
        ];
        for (error, exit) in cases {
            assert_eq!(error.exit(), exit, "{error}");
        }
    }

    #[test]
    fn only_hopeless_errors_stop_the_rest() {
        assert!(refused(403).concerns_every_document());
        assert!(refused(404).concerns_every_document());
        assert!(!refused(413).concerns_every_document());
        assert!(!Error::NotUtf8 { position: 0 }.concerns_every_document());
    }

    #[test]
    fn a_closed_pipe_is_told_from_a_full_disk() {
        let write = |kind: io::ErrorKind| Error::Write {
            target: "standard output".to_owned(),
            source: kind.into(),
        };
        assert!(write(io::ErrorKind::BrokenPipe).is_closed_pipe());
        assert!(!write(io::ErrorKind::StorageFull).is_closed_pipe());
    }
}
