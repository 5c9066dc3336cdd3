//! What a vendor implements and is given.

use std::path::PathBuf;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::types::{
    AdapterFiles, Concept, Decoded, Document, Error, NormalizeOptions, Span, Task, Vocabulary,
};

/// Links mentions to concepts: `mednerd.normalizer/1`.
///
/// Any thread may call, and the ABI allows several calls at once. This version of mednerd makes one call at a time of each
/// plugin: who wants several processors for one starts threads of its own. A panic is caught and fails the call.
pub trait Normalizer: Sized + Send + Sync + 'static {
    /// Opens it with the plugin's table of the configuration. The files and folders that the settings name by
    /// an absolute path can be read, now and later, and nothing else but the system's libraries.
    ///
    /// # Errors
    /// [`Error::settings`] with a message that tells the administrator what to write; it is shown as it is.
    fn open(settings: &Settings, host: Host) -> Result<Self, Error>;

    /// The vocabularies it links to, the same as long as it lives.
    ///
    /// # Errors
    /// Any; the plugin is not loaded.
    fn vocabularies(&self) -> Result<Vec<Vocabulary>, Error>;

    /// For each mention of the document, in order, its candidates: best first, at most `options.top_k`, only of
    /// vocabularies that [`NormalizeOptions::wants`]. A mention without candidates has an empty list.
    /// [`Call::check`] at least every few milliseconds.
    ///
    /// # Errors
    /// Any; linking this document is then answered as degraded. The message is not kept.
    fn normalize(
        &self,
        document: &Document<'_>,
        options: &NormalizeOptions,
        call: &Call<'_>,
    ) -> Result<Vec<Vec<Concept>>, Error>;

    /// As [`Self::normalize`] for several documents, perhaps of several clients. To be overridden where that is
    /// faster; results must not depend on what else is in the batch. The call's time is for all of them: a document for which
    /// none is left gets [`Error::cancelled`], and is sent again where its client still waits.
    fn normalize_batch(
        &self,
        batch: &[Document<'_>],
        options: &NormalizeOptions,
        call: &Call<'_>,
    ) -> Vec<Result<Vec<Vec<Concept>>, Error>> {
        batch
            .iter()
            .map(|document| {
                call.check()?;
                self.normalize(document, options, call)
            })
            .collect()
    }
}

/// Brings a NER task for a base model: `mednerd.adapter/1`. Threads and panics as with [`Normalizer`].
pub trait Adapter: Sized + Send + Sync + 'static {
    /// As [`Normalizer::open`].
    ///
    /// # Errors
    /// As there.
    fn open(settings: &Settings, host: Host) -> Result<Self, Error>;

    /// The task, the same as long as it lives.
    ///
    /// # Errors
    /// Any; the plugin is not loaded.
    fn task(&self) -> Result<Task, Error>;

    /// The files of its PEFT directory. Asked once, when the plugin is loaded.
    ///
    /// # Errors
    /// Any; the plugin is not loaded.
    fn files(&self, call: &Call<'_>) -> Result<AdapterFiles, Error>;

    /// Post-processing of what the model found, of all scores, in the order of the text; only asked where [`Task::refines`].
    ///
    /// # Errors
    /// Any; the answer is then degraded.
    fn refine(&self, text: &str, spans: Vec<Span>, call: &Call<'_>) -> Result<Vec<Span>, Error> {
        let _ = (text, call);
        Ok(spans)
    }
}

/// Decodes a document format into text: `mednerd.document/1`. Threads and panics as with [`Normalizer`].
pub trait DocumentFormat: Sized + Send + Sync + 'static {
    /// As [`Normalizer::open`].
    ///
    /// # Errors
    /// As there.
    fn open(settings: &Settings, host: Host) -> Result<Self, Error>;

    /// The [names](crate::contract::is_name) of the formats it decodes, the same as long as it lives.
    ///
    /// # Errors
    /// Any; the plugin is not loaded.
    fn formats(&self) -> Result<Vec<String>, Error>;

    /// The text of a document, with a map back to the bytes as received ([`Decoded::copy`],
    /// [`Decoded::replace`]). A document that came as a string arrives as its UTF-8, and what it says of a character set of its own is over
    /// then: take bytes that are UTF-8 for that.
    ///
    /// # Errors
    /// [`Error::input`] where the bytes are not of this format.
    fn decode(&self, format: &str, bytes: &[u8], call: &Call<'_>) -> Result<Decoded, Error>;
}

/// A plugin's table of the configuration.
#[derive(Clone, Debug, Default)]
pub struct Settings(Map<String, Value>);

impl Settings {
    /// From the JSON object that the host gives.
    ///
    /// # Errors
    /// Where it is none.
    pub fn parse(json: &str) -> Result<Self, Error> {
        serde_json::from_str(json)
            .map(Self)
            .map_err(|_| Error::settings("the settings are not a table"))
    }

    /// All of them as a type of the plugin's own; `#[serde(deny_unknown_fields)]` catches misspelled keys.
    ///
    /// # Errors
    /// [`Error::settings`] that names what is wrong.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T, Error> {
        serde_json::from_value(Value::Object(self.0.clone()))
            .map_err(|error| Error::settings(error.to_string()))
    }

    /// A string.
    ///
    /// # Errors
    /// Where it is missing or something else.
    pub fn text(&self, key: &str) -> Result<&str, Error> {
        match self.0.get(key) {
            Some(Value::String(text)) => Ok(text),
            Some(_) => Err(Error::settings(format!("settings.{key} must be a string"))),
            None => Err(Error::settings(format!("settings.{key} is missing"))),
        }
    }

    /// The path of a file or folder that the plugin may read.
    ///
    /// # Errors
    /// Where it is missing or not absolute.
    pub fn path(&self, key: &str) -> Result<PathBuf, Error> {
        let path = PathBuf::from(self.text(key)?);
        match path.is_absolute() {
            true => Ok(path),
            false => Err(Error::settings(format!(
                "settings.{key} must be an absolute path"
            ))),
        }
    }

    /// The keys, for plugins that refuse unknown ones.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }
}

/// How grave an event is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// Something does not work.
    Error = 1,
    /// Something will not work for long.
    Warning = 2,
    /// Worth knowing.
    Information = 3,
    /// For the vendor.
    Debugging = 4,
}

/// What the host offers, as long as the plugin lives. Events and metrics are names that the manifest declares, and what it
/// does not declare is dropped. Numbers are rounded to three digits, and end at a billion: no text passes by accident, and
/// little on purpose.
#[derive(Clone, Copy)]
pub struct Host(pub(crate) &'static mednerd_plugin_abi::HostTable);

/// A call's deadline and cancellation.
pub struct Call<'a>(pub(crate) &'a mednerd_plugin_abi::Call);

impl Call<'_> {
    /// To be asked at least every few milliseconds: fails once nobody waits any more, to be passed on by `?`.
    ///
    /// # Errors
    /// [`Error::cancelled`]
    pub fn check(&self) -> Result<(), Error> {
        match self.cancelled() {
            true => Err(Error::cancelled()),
            false => Ok(()),
        }
    }

    /// Whether nobody waits any more.
    pub fn cancelled(&self) -> bool {
        crate::shim::cancelled(self.0)
    }

    /// The time until the deadline. A plugin that is still busy a little later is killed.
    pub fn remaining(&self) -> Duration {
        crate::shim::remaining(self.0)
    }
}

impl Host {
    /// Logs an event that the manifest's `events` declares, with at most 8 numbers: counts and times, never what a note holds.
    pub fn log(self, level: Level, event: &str, values: &[f64]) {
        crate::shim::log(self.0, level as u8, event, values);
    }

    /// Adds to a counter that the manifest's `metrics` declares.
    pub fn count(self, metric: &str, add: f64) {
        crate::shim::metric(self.0, metric, add);
    }
}

impl std::fmt::Debug for Host {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Host")
    }
}
