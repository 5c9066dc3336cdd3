//! Payloads of the frames between the daemon and a plugin host, in postcard. Both come from one build. Postcard names no
//! fields: a field that is left out, as by `skip_serializing_if`, moves all that follow it.

use std::path::PathBuf;

use mednerd_plugin::contract::{self, Breach};
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

/// What lists an answer may have: a host that has run vendor code is not to be believed, and an empty list is a byte in a message and many in memory.
#[derive(Clone, Debug)]
pub enum Asked {
    /// Concepts.
    Links {
        /// For each document, of how many mentions.
        mentions: Vec<usize>,
        /// At most so many for each mention.
        top_k: usize,
    },
    /// Spans, post-processed from so many.
    Spans(usize),
    /// What has no lists of lists.
    Other,
}

/// Why a reply is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unread {
    /// It has more than was asked for.
    #[error("{0}")]
    Breach(#[from] Breach),
    /// It is no reply.
    #[error("{0}")]
    Damaged(#[from] postcard::Error),
}

impl Reply {
    /// Reads a reply to what was `asked`, up to the first list that is longer than it may be.
    ///
    /// # Errors
    /// [`Unread`]
    pub fn read(payload: &[u8], asked: &Asked) -> Result<Self, Unread> {
        let mut input = postcard::Deserializer::from_bytes(payload);
        let plugin_ns = u64::deserialize(&mut input)?;
        // As postcard writes enumerations: the variant's number, then what it has.
        let outcome = match (asked, u32::deserialize(&mut input)?) {
            (Asked::Links { mentions, top_k }, LINKED) => {
                Outcome::Linked(linked(&mut input, mentions, *top_k)?)
            }
            (Asked::Spans(before), SPANS) => {
                let count = length(&mut input, "spans", contract::most_spans(*before))?;
                Outcome::Spans(each(count, || Ok(Span::deserialize(&mut input)?))?)
            }
            (Asked::Other, _) => return Ok(postcard::from_bytes(payload)?),
            _ => return Err(postcard::Error::DeserializeBadEnum.into()),
        };
        Ok(Self { plugin_ns, outcome })
    }

    /// How long the plugin took, of a reply whose outcome nobody wants any more.
    ///
    /// # Errors
    /// What postcard says.
    pub fn plugin_ns(payload: &[u8]) -> postcard::Result<u64> {
        postcard::take_from_bytes(payload).map(|(plugin_ns, _)| plugin_ns)
    }
}

/// The numbers of [`Outcome::Linked`] and [`Outcome::Spans`].
const LINKED: u32 = 0;
const SPANS: u32 = 2;

type Input<'a> = postcard::Deserializer<'a, postcard::de_flavors::Slice<'a>>;

/// How many items a list has, where it may have so many.
fn length(input: &mut Input<'_>, what: &'static str, limit: usize) -> Result<usize, Unread> {
    let found = usize::deserialize(input)?;
    match found > limit {
        true => Err(Breach::TooMany { what, found, limit }.into()),
        false => Ok(found),
    }
}

fn each<T>(count: usize, mut next: impl FnMut() -> Result<T, Unread>) -> Result<Vec<T>, Unread> {
    (0..count).map(|_| next()).collect()
}

fn linked(input: &mut Input<'_>, mentions: &[usize], top_k: usize) -> Result<Linked, Unread> {
    let documents = length(input, "documents", mentions.len())?;
    let mut mentions = mentions.iter();
    each(documents, || match u32::deserialize(&mut *input)? {
        0 => {
            let most = mentions.next().copied().unwrap_or(0);
            let found = length(input, "mentions", most)?;
            let candidates = || {
                let count = length(input, "concepts for a mention", top_k)?;
                each(count, || Ok(Concept::deserialize(&mut *input)?))
            };
            Ok(Ok(each(found, candidates)?))
        }
        1 => {
            mentions.next();
            Ok(Err(Fault::deserialize(&mut *input)?))
        }
        _ => Err(postcard::Error::DeserializeBadEnum.into()),
    })
}

/// Of each document of a batch what it is linked to, for each mention its candidates.
pub type Linked = Vec<Result<Vec<Vec<Concept>>, Fault>>;

/// What came of a request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Outcome {
    /// For each document its own result.
    Linked(Linked),
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

    fn concept() -> Concept {
        Concept {
            id: "C1".to_owned(),
            vocabulary: "V".to_owned(),
            name: "gout".to_owned(),
            semantic_types: vec!["T047".to_owned()],
            score: 0.5,
            match_kind: "exact".to_owned(),
            codings: Vec::new(),
        }
    }

    #[test]
    fn a_reply_is_read_as_it_was_sent() {
        let span = Span {
            begin: 1,
            end: 2,
            label: "A".to_owned(),
            score: 0.5,
        };
        let links = Asked::Links {
            mentions: vec![2, 1, 0],
            top_k: 2,
        };
        for (outcome, asked) in [
            (
                Outcome::Linked(vec![
                    Ok(vec![vec![concept(); 2], Vec::new()]),
                    Err(Fault::Unsupported),
                    Ok(Vec::new()),
                ]),
                links,
            ),
            (Outcome::Spans(vec![span]), Asked::Spans(0)),
            (Outcome::Decoded(Decoded::default()), Asked::Other),
        ] {
            let reply = Reply {
                plugin_ns: 7,
                outcome,
            };
            let bytes = postcard::to_allocvec(&reply).unwrap();
            assert_eq!(Reply::read(&bytes, &asked), Ok(reply));
            assert_eq!(Reply::plugin_ns(&bytes), Ok(7));
        }
    }

    /// Its 23 MB would be more than half a gigabyte of empty lists.
    #[test]
    fn no_list_is_read_that_is_longer_than_was_asked_for() {
        const MANY: usize = 23_000_000;
        let asked = Asked::Links {
            mentions: vec![3],
            top_k: 5,
        };
        let read = |start: &[usize], asked: &Asked| {
            // Numbers of seven bits are one byte each.
            let mut bytes: Vec<u8> = start.iter().map(|number| *number as u8).collect();
            bytes.extend(postcard::to_allocvec(&MANY).unwrap());
            bytes.resize(bytes.len() + MANY, 0);
            Reply::read(&bytes, asked).unwrap_err()
        };
        let breach = |what, limit| {
            let found = MANY;
            Unread::Breach(Breach::TooMany { what, found, limit })
        };
        assert_eq!(read(&[0, 0], &asked), breach("documents", 1));
        assert_eq!(read(&[0, 0, 1, 0], &asked), breach("mentions", 3));
        assert_eq!(
            read(&[0, 0, 1, 0, 1], &asked),
            breach("concepts for a mention", 5)
        );
        assert_eq!(read(&[0, 2], &Asked::Spans(1)), breach("spans", 20));
        // Of one concept the semantic types.
        let types = read(&[0, 0, 1, 0, 1, 1, 0, 0, 0], &asked);
        assert!(matches!(types, Unread::Damaged(_)), "{types}");
        assert!(
            matches!(read(&[0, 1], &asked), Unread::Damaged(_)),
            "files were not asked for"
        );
    }

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
