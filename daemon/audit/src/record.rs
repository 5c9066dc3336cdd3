//! What is written down about one event. No field can hold a part of a document: texts are there as HMAC and
//! length, entities as a count.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// One line of a trail, its chain value aside.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// [`FORMAT`](crate::FORMAT)
    pub format: u32,
    /// From 1, without gaps.
    pub seq: u64,
    /// RFC 3339 in UTC, to the millisecond.
    pub time: String,
    /// What happened.
    #[serde(flatten)]
    pub entry: Entry,
    /// The chain value of the line before; 64 zeros in the first.
    pub previous: String,
}

/// What kind of event it was.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    /// A daemon has begun to write.
    Started,
    /// A document was annotated, or was not: `status` and `code` say which.
    #[default]
    Document,
    /// Somebody who is not listed in `[access]` was turned away.
    Denied,
    /// An administrator changed something: `action` says what.
    Administration,
}

impl Event {
    /// The name in the trail.
    pub fn name(self) -> &'static str {
        match self {
            Self::Started => "started",
            Self::Document => "document",
            Self::Denied => "denied",
            Self::Administration => "administration",
        }
    }
}

/// The process at the other end of the socket.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Peer {
    /// Effective user.
    pub uid: u32,
    /// Effective group.
    pub gid: u32,
    /// Its process id when it connected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pid: Option<i32>,
    /// Its program, where the daemon is allowed to see it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exe: Option<String>,
}

/// An event as the daemon tells it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// What kind it is.
    pub event: Event,
    /// Who asked; absent where nobody did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peer: Option<Peer>,
    /// What an administrator did, such as `reload`, or which version has started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action: Option<String>,
    /// `ok`, `partial`, `failed`, `abandoned` or `denied`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub status: String,
    /// The error code that the client was given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// As [`Key::document_id`](crate::Key::document_id) writes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub document_id: Option<String>,
    /// As [`Key::text`](crate::Key::text) makes it; absent where the request could not be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text_hmac: Option<String>,
    /// Length of the text in UTF-8 bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text_bytes: Option<u64>,
    /// Models to digests.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub models: BTreeMap<String, String>,
    /// Plugins to versions.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub plugins: BTreeMap<String, String>,
    /// Vocabularies to versions.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub vocabularies: BTreeMap<String, String>,
    /// Stages that did not run.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub degraded: Vec<String>,
    /// How many entities were answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entities: Option<u64>,
    /// How many concepts they were linked to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub concepts: Option<u64>,
    /// From arrival to this record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<f64>,
}
