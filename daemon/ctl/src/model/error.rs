//! Why a model is not installed, in sentences that say what to do next.

use std::io;
use std::path::PathBuf;

use mednerd_plugin::package::PackageError;

use super::record::SUMS;
use crate::slot::SlotError;

/// Why a model directory cannot be installed, is not what was installed, or cannot be removed.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// The system refused a file.
    #[error("{}: {source}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What it said.
        source: io::Error,
    },
    /// The disk is full.
    #[error("{}: no room on the disk; nothing was changed. Make room, or install elsewhere with --into", path.display())]
    Full {
        /// What was being written.
        path: PathBuf,
    },
    /// Something else than a file, or a link that leaves the checkpoint.
    #[error(
        "{}: is not a file of this checkpoint ({why}). Links are followed within the directory, and within the \
         repository of a hub's cache, alone: copy the file itself here",
        path.display()
    )]
    Outside {
        /// Which.
        path: PathBuf,
        /// What is wrong with it.
        why: &'static str,
    },
    /// A file is larger than any of its kind.
    #[error("{}: larger than {limit} bytes, which no file of this kind is; copy it again", path.display())]
    TooLarge {
        /// Which.
        path: PathBuf,
        /// The limit in bytes.
        limit: u64,
    },
    /// Neither a checkpoint nor an adapter.
    #[error(
        "{}: there is neither config.json nor adapter_config.json; point to the folder of a Hugging Face checkpoint or of \
         a PEFT adapter (in a hub's cache: models--ORGANISATION--NAME/snapshots/REVISION)",
        path.display()
    )]
    NoModel {
        /// The directory.
        path: PathBuf,
    },
    /// The weights are Python pickles, or there are none.
    #[error(
        "{}: no weights in safetensors{}. Convert them once, on any machine with Python: load the model with \
         transformers (or peft) and call save_pretrained(DIR, safe_serialization=True)",
        path.display(),
        found.as_ref().map_or(String::new(), |name| format!("; {name} may run code when it is read, so it is never used"))
    )]
    NoSafetensors {
        /// The directory.
        path: PathBuf,
        /// A file that has them in another form.
        found: Option<String>,
    },
    /// The index of shards or a safetensors header is not what it must be.
    #[error("{}: {problem}; the checkpoint is damaged: copy it again", path.display())]
    Weights {
        /// Which file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// The name is no name.
    #[error(
        "a model's name has letters, digits, '.', '_' and '-', at most 64, and begins with no '.'; give one with --name"
    )]
    Name,
    /// Nothing of this name was installed here.
    #[error("{}: is no installed model ({SUMS} is missing); `mednerctl model list` shows what is", path.display())]
    NotInstalled {
        /// Where it should be.
        path: PathBuf,
    },
    /// A file is another than the record says.
    #[error("{}: {problem}, against its record {SUMS}; {advice}", path.display())]
    Altered {
        /// Which.
        path: PathBuf,
        /// How.
        problem: &'static str,
        /// What to do.
        advice: &'static str,
    },
    /// The record is not one.
    #[error("{}, line {line}: not a SHA-256 and the name of a file of a model, as sha256sum writes them", path.display())]
    Record {
        /// Which.
        path: PathBuf,
        /// Which line, from 1.
        line: usize,
    },
    /// The signature.
    #[error(transparent)]
    Signature(#[from] PackageError),
    /// Signed files cannot be split.
    #[error("{}: larger than --max-file-mb, and signed: splitting it would void the signature. Allow larger files", path.display())]
    Signed {
        /// Which.
        path: PathBuf,
    },
    /// An adapter needs its base.
    #[error(
        "this is an adapter{}: name its base with --base, an installed model or a directory",
        digest.as_ref().map_or(String::new(), |digest| format!(" over the base with digest {digest}"))
    )]
    NoBase {
        /// The base that it names, by digest.
        digest: Option<String>,
    },
    /// The daemon would not serve it.
    #[error("mednerd cannot use it: {0}")]
    Unusable(String),
    /// The daemon's program cannot be run.
    #[error("{}: {source}; the check needs the daemon's program: name it with --daemon", path.display())]
    NoDaemon {
        /// The program.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Someone else is installing.
    #[error("{}: another mednerctl is at work there; try again when it has ended", path.display())]
    Busy {
        /// The folder of models.
        path: PathBuf,
    },
    /// Others could have changed it.
    #[error("{}: can be changed by others than its owner, or belongs to another user than root; install the model again", path.display())]
    Exposed {
        /// Which.
        path: PathBuf,
    },
}

impl From<SlotError> for ModelError {
    fn from(SlotError { path, source }: SlotError) -> Self {
        match source.kind() {
            io::ErrorKind::WouldBlock => Self::Busy { path },
            _ => at(&path)(source),
        }
    }
}

/// Turns the system's errors into [`ModelError`], with the file.
pub fn at(path: &std::path::Path) -> impl Fn(io::Error) -> ModelError + '_ {
    move |source| match source.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => ModelError::Full {
            path: path.to_owned(),
        },
        _ => ModelError::File {
            path: path.to_owned(),
            source,
        },
    }
}
