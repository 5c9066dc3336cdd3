//! The stage before all others: from a document in a format of its own to the text that models read.

use std::sync::Arc;
use std::time::Instant;

use mednerd_plugin::ErrorKind;
use mednerd_plugin_host::protocol::Fault;
use mednerd_worker::CallError;

use super::ApiError;
use crate::app::App;
use crate::generation::Generation;
use crate::original::{Original, Source};
use crate::page::Page;
use crate::plugins::{AskError, Plugin};

/// A document that is to be decoded.
pub struct Decode {
    plugin: Arc<Plugin>,
    format: String,
    source: Source,
    max_text: usize,
}

impl Decode {
    /// Of `source`, by the plugin that has this format.
    ///
    /// # Errors
    /// [`ApiError::UnknownFormat`]
    pub fn new(generation: &Generation, format: String, source: Source) -> Result<Self, ApiError> {
        match generation.decoder(&format) {
            Some(plugin) => Ok(Self {
                plugin: Arc::clone(plugin),
                format,
                source,
                max_text: generation.config.server.max_text_bytes,
            }),
            None => Err(ApiError::UnknownFormat {
                known: generation.formats(),
            }),
        }
    }

    /// Id and version of the plugin.
    pub fn version(&self) -> (String, String) {
        (self.plugin.id().to_owned(), self.plugin.version().to_owned())
    }

    /// The page with the text of the document. Dropping the future cancels it.
    ///
    /// # Errors
    /// [`ApiError`]: there is no text, so there is no answer.
    pub async fn run(self, app: &App, page: Page, deadline: Instant) -> Result<Page, ApiError> {
        let (plugin, source) = (self.plugin, self.source);
        let decoded = plugin.decode(self.format, source.clone(), self.max_text, deadline);
        let decoded = decoded.await.map_err(|error| {
            let id = plugin.id();
            tracing::warn!(plugin = id, "a document was not decoded: {error}");
            told(app, id, &error)
        })?;
        Ok(Page {
            original: Some(Original::new(source, &decoded)),
            text: decoded.text.into(),
            ..page
        })
    }
}

fn told(app: &App, id: &str, error: &AskError) -> ApiError {
    let plugin = id.to_owned();
    match error {
        AskError::Fault(Fault::Plugin(error)) if error.kind == ErrorKind::Input => ApiError::WrongFormat {
            plugin,
            code: error.code,
        },
        AskError::Changed | AskError::Call(CallError::Unavailable(_)) => {
            ApiError::DecoderUnavailable { plugin }
        }
        AskError::Busy | AskError::Call(CallError::Busy) => ApiError::Busy {
            retry_after: app.retry_after(),
        },
        _ => ApiError::Decoding { plugin },
    }
}
