//! Loads a plugin into this process and calls it. Whatever is in the library runs here with all its faults:
//! a process that does this must be one that may die (`mednerd-plugin-host`).
//!
//! Answers are checked against [`contract`] before they are handed on.

mod c;
mod rust;

use std::path::Path;
use std::time::Duration;

use crate::contract::{self, Breach};
use crate::types::{
    About, AdapterFiles, Concept, Decoded, Document, Error, NormalizeOptions, Span, Task, Vocabulary,
};

/// Why a library is no plugin for this host.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LoadError {
    /// The system's loader refuses it.
    #[error("the library cannot be loaded: {0}")]
    Library(String),
    /// It exports neither entry point.
    #[error(
        "the library is no plugin for mednerd: it exports neither the root module of a Rust plugin nor mednerd_plugin_v1 of a C plugin"
    )]
    NotAPlugin,
    /// It was built against another ABI.
    #[error("the library was built for another ABI of mednerd than major {major}: {reason}", major = crate::ABI_MAJOR)]
    Layout {
        /// What differs.
        reason: String,
    },
    /// Its root module fails.
    #[error("the library's root module fails: {0}")]
    Root(String),
    /// It says that it has an ability and has not, or the table has another layout.
    #[error("the plugin's ability {ability} has another layout than this version of mednerd knows: {reason}")]
    Ability {
        /// Its id.
        ability: String,
        /// What differs.
        reason: String,
    },
    /// The plugin has no such ability.
    #[error("the plugin has no ability {0}")]
    Missing(String),
}

/// Why a call has no result.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// The plugin says so.
    #[error("{0}")]
    Plugin(#[from] Error),
    /// It broke the contract.
    #[error("{0}")]
    Breach(#[from] Breach),
    /// It cannot be loaded.
    #[error("{0}")]
    Load(#[from] LoadError),
}

/// What a plugin tells the host, on the plugin's thread.
#[derive(Debug)]
pub enum Told<'a> {
    /// An event with its level, 1 error to 4 debugging.
    Log {
        /// The level.
        level: u8,
        /// A name; not yet compared with the manifest.
        event: &'a str,
        /// At most 8.
        values: &'a [f64],
    },
    /// A counter grows.
    Metric {
        /// A name; not yet compared with the manifest.
        name: &'a str,
        /// By so much.
        add: f64,
    },
}

/// What hears plugins.
pub type Listener = Box<dyn Fn(Told<'_>) + Send + Sync>;

/// Who waits for a call.
pub trait Caller: Sync {
    /// Whether nobody waits any more.
    fn cancelled(&self) -> bool;
    /// The time that is left.
    fn remaining(&self) -> Duration;
}

/// A loaded library. Never unloaded.
pub struct Library {
    kind: Kind,
    about: About,
    host: &'static Offer,
}

enum Kind {
    Rust(rust::Root),
    C(c::Root),
}

/// The host's callbacks for both kinds of plugin.
struct Offer {
    rust: mednerd_plugin_abi::HostTable,
    c: c::Host,
}

impl Library {
    /// Loads the library at `path`: its constructors run now, before anything can be checked.
    ///
    /// # Errors
    /// [`LoadError`]; or what the plugin says of itself.
    pub fn load(path: &Path, listener: Listener) -> Result<Self, Failure> {
        let host = rust::offer(listener);
        let (kind, about) = match c::load(path)? {
            Some((root, about)) => (Kind::C(root), about),
            None => {
                let (root, about) = rust::load(path)?;
                (Kind::Rust(root), about)
            }
        };
        for text in about.abilities.iter().chain([&about.id, &about.version]) {
            if !contract::is_name(text) {
                return Err(Breach::String("id, version or ability").into());
            }
        }
        Ok(Self { kind, about, host })
    }

    /// What the plugin says of itself.
    pub fn about(&self) -> &About {
        &self.about
    }

    /// Opens `mednerd.normalizer/1`.
    ///
    /// # Errors
    /// [`Failure`]
    pub fn normalizer(&self, settings: &str) -> Result<Normalizer, Failure> {
        let backend: Box<dyn NormalizerBackend> = match &self.kind {
            Kind::Rust(root) => Box::new(root.normalizer(settings, &self.host.rust)?),
            Kind::C(root) => Box::new(root.normalizer(settings, &self.host.c)?),
        };
        let vocabularies = backend.vocabularies()?;
        contract::vocabularies(&vocabularies)?;
        Ok(Normalizer {
            backend,
            vocabularies,
        })
    }

    /// Opens `mednerd.adapter/1`.
    ///
    /// # Errors
    /// [`Failure`]
    pub fn adapter(&self, settings: &str) -> Result<Adapter, Failure> {
        let backend: Box<dyn AdapterBackend> = match &self.kind {
            Kind::Rust(root) => Box::new(root.adapter(settings, &self.host.rust)?),
            Kind::C(root) => Box::new(root.adapter(settings, &self.host.c)?),
        };
        let task = backend.task()?;
        contract::task(&task)?;
        Ok(Adapter { backend, task })
    }

    /// Opens `mednerd.document/1`.
    ///
    /// # Errors
    /// [`Failure`]
    pub fn document(&self, settings: &str) -> Result<DocumentFormat, Failure> {
        let backend: Box<dyn DocumentBackend> = match &self.kind {
            Kind::Rust(root) => Box::new(root.document(settings, &self.host.rust)?),
            Kind::C(root) => Box::new(root.document(settings, &self.host.c)?),
        };
        let formats = backend.formats()?;
        contract::formats(&formats)?;
        Ok(DocumentFormat { backend, formats })
    }
}

/// The concepts of one document: for each mention its candidates.
pub type Linked = Vec<Vec<Concept>>;

// What an opened ability does, in Rust or in C.

trait NormalizerBackend: Send + Sync {
    fn vocabularies(&self) -> Result<Vec<Vocabulary>, Failure>;
    fn normalize(
        &self,
        batch: &[Document<'_>],
        options: &NormalizeOptions,
        caller: &dyn Caller,
    ) -> Result<Vec<Result<Linked, Failure>>, Failure>;
}

trait AdapterBackend: Send + Sync {
    fn task(&self) -> Result<Task, Failure>;
    fn files(&self, caller: &dyn Caller) -> Result<AdapterFiles, Failure>;
    fn refine(&self, text: &str, spans: &[Span], caller: &dyn Caller) -> Result<Vec<Span>, Failure>;
}

trait DocumentBackend: Send + Sync {
    fn formats(&self) -> Result<Vec<String>, Failure>;
    fn decode(&self, format: &str, bytes: &[u8], caller: &dyn Caller) -> Result<Decoded, Failure>;
}

/// An opened normaliser.
pub struct Normalizer {
    backend: Box<dyn NormalizerBackend>,
    vocabularies: Vec<Vocabulary>,
}

impl Normalizer {
    /// What it links to.
    pub fn vocabularies(&self) -> &[Vocabulary] {
        &self.vocabularies
    }

    /// Links a batch: for each document its own result.
    ///
    /// # Errors
    /// Where nothing came of the whole batch.
    pub fn normalize(
        &self,
        batch: &[Document<'_>],
        options: &NormalizeOptions,
        caller: &dyn Caller,
    ) -> Result<Vec<Result<Linked, Failure>>, Failure> {
        let mut results = self.backend.normalize(batch, options, caller).map_err(mute)?;
        if results.len() != batch.len() {
            return Err(Failure::Breach(Breach::Count {
                what: "documents",
                found: results.len(),
                expected: batch.len(),
            }));
        }
        for (document, result) in batch.iter().zip(&mut results) {
            if let Ok(linked) = result {
                let checked =
                    contract::concepts(linked, document.mentions.len(), options, &self.vocabularies);
                if let Err(breach) = checked {
                    *result = Err(breach.into());
                }
            }
        }
        Ok(results.into_iter().map(|result| result.map_err(mute)).collect())
    }
}

/// An opened adapter.
pub struct Adapter {
    backend: Box<dyn AdapterBackend>,
    task: Task,
}

impl Adapter {
    /// The task.
    pub fn task(&self) -> &Task {
        &self.task
    }

    /// The files of its PEFT directory.
    ///
    /// # Errors
    /// [`Failure`]
    pub fn files(&self, caller: &dyn Caller) -> Result<AdapterFiles, Failure> {
        self.backend.files(caller)
    }

    /// Post-processing.
    ///
    /// # Errors
    /// [`Failure`]
    pub fn refine(&self, text: &str, spans: &[Span], caller: &dyn Caller) -> Result<Vec<Span>, Failure> {
        let refined = self.backend.refine(text, spans, caller).map_err(mute)?;
        contract::spans(&refined, text, spans.len(), &self.task)?;
        Ok(refined)
    }
}

/// An opened document format.
pub struct DocumentFormat {
    backend: Box<dyn DocumentBackend>,
    formats: Vec<String>,
}

impl DocumentFormat {
    /// What it decodes.
    pub fn formats(&self) -> &[String] {
        &self.formats
    }

    /// Decodes a document into at most `max_text` bytes.
    ///
    /// # Errors
    /// [`Failure`]
    pub fn decode(
        &self,
        format: &str,
        bytes: &[u8],
        max_text: usize,
        caller: &dyn Caller,
    ) -> Result<Decoded, Failure> {
        let decoded = self.backend.decode(format, bytes, caller).map_err(mute)?;
        contract::decoded(&decoded, bytes, max_text)?;
        Ok(decoded)
    }
}

/// After a plugin has seen a note its messages are dropped.
fn mute(failure: Failure) -> Failure {
    match failure {
        Failure::Plugin(error) => Failure::Plugin(error.mute()),
        other => other,
    }
}

/// What a plugin says to the administrator: one line, not too long.
fn message(text: &str) -> String {
    text.chars()
        .take(512)
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

/// An error with what is behind it: the loader's own reason is in its source.
fn with_sources(error: &dyn std::error::Error) -> String {
    let sources = std::iter::successors(error.source(), |error| error.source());
    sources.fold(error.to_string(), |told, source| format!("{told}: {source}"))
}

fn error_kind(kind: u8) -> crate::types::ErrorKind {
    use mednerd_plugin_abi::kind;

    use crate::types::ErrorKind;
    match kind {
        kind::SETTINGS => ErrorKind::Settings,
        kind::UNAVAILABLE => ErrorKind::Unavailable,
        kind::INPUT => ErrorKind::Input,
        kind::CANCELLED => ErrorKind::Cancelled,
        kind::PANIC => ErrorKind::Panic,
        _ => ErrorKind::Internal,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_library_that_cannot_be_loaded_is_refused_with_the_reason_of_the_loader() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("libtext.so");
        std::fs::write(&path, "this is a text, and no library").unwrap();
        let failure = Library::load(&path, Box::new(|_| {})).err().unwrap().to_string();
        assert!(failure.starts_with("the library cannot be loaded: "), "{failure}");
        assert!(failure.contains("libtext.so"), "{failure}");
    }
}
