//! Payloads of the frames between the daemon and a plugin host, in postcard. Both come from one build. Postcard names no
//! fields: a field that is left out, as by `skip_serializing_if`, moves all that follow it.

use std::path::PathBuf;

use mednerd_plugin::contract::Breach;
use mednerd_plugin::package::{Manifest, Policy};
use mednerd_plugin::{
    AdapterFiles, Concept, Decoded, Document, Error, NormalizeOptions, Span, Task, Vocabulary,
};
use serde::{Deserialize, Serialize};

/// The longest text in bytes that a server takes, unless its administrator says otherwise.
pub const MAX_TEXT: usize = 4_000_000;
/// Documents that a server puts into one batch at most.
pub const MAX_BATCH: usize = 64;

/// The longest message of a server that takes texts of so many bytes: a batch, or one long note, with room for what is found in it.
pub const fn max_frame(max_text: usize) -> usize {
    let texts = 2 * max_text;
    let least = 1 << 20;
    (if texts > least { texts } else { least }) + (15 << 20)
}

/// The payload of `Start`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Start {
    /// The plugin's directory.
    pub directory: PathBuf,
    /// What is demanded of it.
    pub policy: Policy,
    /// The manifest and the library's digest that the daemon verified. Where the files on disk have changed since,
    /// the host does not start.
    pub manifest: Manifest,
    /// SHA-256 of the library.
    pub sha256: String,
    /// Its table of the configuration, as a JSON object.
    pub settings: String,
    /// Bytes that a frame may have.
    pub max_frame: usize,
    /// Whether the host does not start where its sandbox is not [`enough`](Sandbox::is_enough).
    pub require_sandbox: bool,
}

/// The payload of `Event`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Event {
    /// The plugin logs. Whether the manifest declares the event, the daemon checks.
    Log {
        /// 1 error to 4 debugging.
        level: u8,
        /// Its name.
        event: String,
        /// At most 8.
        values: Vec<f64>,
    },
    /// The plugin counts.
    Metric {
        /// The counter's name.
        name: String,
        /// By how much it grows.
        add: f64,
    },
}

/// The payload of `Ready`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ready {
    /// Where it has `mednerd.normalizer/1`.
    pub vocabularies: Option<Vec<Vocabulary>>,
    /// Where it has `mednerd.adapter/1`.
    pub task: Option<Task>,
    /// Where it has `mednerd.document/1`.
    pub formats: Option<Vec<String>>,
    /// How it is confined.
    pub sandbox: Sandbox,
}

/// What confines a host, beside resource limits, an empty environment and the lack of new privileges.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sandbox {
    /// Whether Landlock holds: `full`, `partial` (an older kernel) or `none`.
    pub landlock: String,
    /// Whether seccomp holds: `full` or `none`.
    pub seccomp: String,
}

impl Sandbox {
    /// Whether vendor code can gain nothing: seccomp keeps it from network, processes and signals, and Landlock, in every
    /// version of it, from files. What `partial` lacks, seccomp forbids as well.
    pub fn is_enough(&self) -> bool {
        self.seccomp == "full" && ["full", "partial"].contains(&&*self.landlock)
    }
}

/// The payload of `Call`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Request<'a> {
    /// Links a batch.
    Normalize {
        /// What is wanted.
        options: NormalizeOptions,
        /// The documents.
        #[serde(borrow)]
        documents: Vec<Document<'a>>,
    },
    /// Asks for the adapter's files.
    AdapterFiles,
    /// Post-processes spans.
    Refine {
        /// The note.
        text: &'a str,
        /// What the model found.
        spans: Vec<Span>,
    },
    /// Decodes a document.
    Decode {
        /// Its format.
        format: &'a str,
        /// Its bytes.
        bytes: &'a [u8],
        /// The longest text that is wanted.
        max_text: usize,
    },
}

/// The payload of `Reply`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Reply {
    /// Nanoseconds in the plugin.
    pub plugin_ns: u64,
    /// What came of it.
    pub outcome: Outcome,
}

/// What came of a request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Outcome {
    /// For each document its own result.
    Linked(Vec<Result<Vec<Vec<Concept>>, Fault>>),
    /// The adapter's files.
    Files(AdapterFiles),
    /// Post-processed spans.
    Spans(Vec<Span>),
    /// A decoded document.
    Decoded(Decoded),
}

/// Why nothing came of it; the payload of `Failed` too. Holds no text of any document as long as the host is honest:
/// whoever shows one to people [mutes](Fault::mute) it first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum Fault {
    /// The plugin says so.
    #[error("{0}")]
    Plugin(Error),
    /// The plugin broke the contract.
    #[error("{0}")]
    Breach(Breach),
    /// The plugin does not have this ability, or the daemon sent what the host does not know.
    #[error("the plugin has no such ability")]
    Unsupported,
    /// What the plugin found is too much for one message.
    #[error(
        "what it found has {length} bytes, and a message has at most {limit}: ask for fewer candidates, or for less at once"
    )]
    TooLarge {
        /// Its length.
        length: usize,
        /// The limit.
        limit: usize,
    },
}

impl Fault {
    /// The same without any word that the host could have been made to say.
    pub fn mute(self) -> Self {
        match self {
            Self::Plugin(error) => Self::Plugin(error.mute()),
            other => other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_start_arrives_as_it_was_sent_whatever_the_manifest_leaves_out() {
        let bare = "id = \"acme.drugs\"\nvendor = \"Acme\"\nversion = \"1.0\"\nabi = 1\n\
            abilities = [\"mednerd.normalizer/1\"]\nlibrary = \"libdrugs.so\"\n";
        let digest = "0".repeat(64);
        let whole = format!(
            "{bare}sha256 = \"{digest}\"\nmemory_mb = 64\ncall_ms = 2\nstart_ms = 300\nevents = [\"e\"]\nmetrics = [\"m\"]\n"
        );
        for manifest in [bare, &whole] {
            let start = Start {
                directory: "/plugins/acme.drugs".into(),
                policy: Policy::development("/keys".into()),
                manifest: Manifest::parse(manifest).unwrap(),
                sha256: digest.clone(),
                settings: "{}".to_owned(),
                max_frame: 1 << 20,
                require_sandbox: true,
            };
            let bytes = postcard::to_allocvec(&start).unwrap();
            assert_eq!(postcard::from_bytes::<Start>(&bytes).unwrap(), start);
        }
    }
}
