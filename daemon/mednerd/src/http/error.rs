//! Everything a request can be refused for, and the one table from there to status and code. No
//! message ever quotes the request: it may hold note text anywhere.

use std::time::Duration;

use axum::response::{IntoResponse, Response};
use http::{HeaderName, HeaderValue, StatusCode, header};
use mednerd_client::api::{ErrorBody, ErrorDetail};
use mednerd_plugin::CODE_SYSTEMS;
use serde_json::{Map, Value, json};

use super::respond;
use crate::config::Problem;
use crate::sync::Full;
use crate::zero_shot::LabelFault;

/// Why a request has no answer.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ApiError {
    /// The body has nothing in it.
    #[error(
        "the body is empty, or its length was not announced; send a JSON object, with Content-Length or chunked"
    )]
    EmptyBody,
    /// A line of a batch is not JSON.
    #[error("this line is not valid JSON at column {column}")]
    MalformedLine {
        /// From 1.
        column: usize,
    },
    /// The body is not JSON.
    #[error("the body is not valid JSON at line {line}, column {column}")]
    MalformedJson {
        /// From 1.
        line: usize,
        /// From 1.
        column: usize,
    },
    /// The body is not UTF-8.
    #[error("the body, or this line of a batch, is not valid UTF-8 at byte {position}; send JSON in UTF-8")]
    InvalidUtf8 {
        /// The first byte that is wrong.
        position: usize,
    },
    /// The body is JSON but not an object.
    #[error("the body must be a JSON object with the field \"text\"")]
    NotAnObject,
    /// A field of another type than it must have.
    #[error("the field \"{field}\" must be {expected}")]
    InvalidField {
        /// Its name.
        field: &'static str,
        /// What it must be.
        expected: &'static str,
    },
    /// A field that is not there.
    #[error("the field \"{field}\" is missing")]
    MissingField {
        /// Its name.
        field: &'static str,
    },
    /// A field that appears twice.
    #[error("the field \"{field}\" appears twice")]
    DuplicateField {
        /// Its name.
        field: &'static str,
    },
    /// A field that nobody knows. Its name is the client's words and is not repeated.
    #[error("the body has an unknown field; known are {known}")]
    UnknownField {
        /// The fields there are.
        known: &'static str,
    },
    /// The user at the other end is not listed.
    #[error(
        "user {uid} may not use this socket; an administrator can add the user, or one of its groups, to [access] in the configuration"
    )]
    PeerNotAllowed {
        /// Who asked.
        uid: u32,
    },
    /// No such route.
    #[error("there is no such route; /openapi.json lists them")]
    RouteNotFound,
    /// The route exists for other methods.
    #[error("the route does not take this method; /openapi.json lists them")]
    MethodNotAllowed,
    /// The request names a model that is not loaded. The name is the client's and is not repeated.
    #[error("the request names a model that is not loaded; loaded are: {}", listed(known))]
    UnknownModel {
        /// The loaded ones.
        known: Vec<String>,
    },
    /// The request asks for a vocabulary that no plugin has. The name is the client's and is not repeated.
    #[error("the request asks for a vocabulary that no plugin has; there are: {}", known.join(", "))]
    UnknownVocabulary {
        /// The ones there are.
        known: Vec<String>,
    },
    /// The request names a code system that nobody knows. The name is the client's and is not repeated.
    #[error(
        "the request names a code system that is neither a URI nor known by its name; known are: {}",
        CODE_SYSTEMS.iter().map(|system| system.name).collect::<Vec<_>>().join(", ")
    )]
    UnknownCodeSystem,
    /// The request names a document format that no plugin decodes. The name is the client's and is not repeated.
    #[error(
        "the request names a document format that no plugin decodes; there are: {}",
        listed(known)
    )]
    UnknownFormat {
        /// The ones there are.
        known: Vec<String>,
    },
    /// The plugin says that the document is not of its format.
    #[error("plugin \"{plugin}\" says that the document is not what its format demands (code {code})")]
    WrongFormat {
        /// The plugin's id.
        plugin: String,
        /// The vendor's number for what is wrong; 0 where there is none.
        code: i32,
    },
    /// The plugin that decodes the format died, did not finish, failed, or gave what cannot be used.
    #[error(
        "plugin \"{plugin}\" could not decode this document; the journal and `mednerctl plugins` have the reason"
    )]
    Decoding {
        /// The plugin's id.
        plugin: String,
    },
    /// The plugin that decodes the format is not running.
    #[error(
        "plugin \"{plugin}\", which decodes this format, is out of service or being started; try again later"
    )]
    DecoderUnavailable {
        /// The plugin's id.
        plugin: String,
    },
    /// The deadline passed before the answer was ready.
    #[error("the deadline of {deadline_ms} ms passed before the answer was ready")]
    DeadlinePassed {
        /// The deadline.
        deadline_ms: u64,
    },
    /// The body came too slowly as a whole.
    #[error("the body came too slowly; it has {} s, and one more for each megabyte", grace.as_secs_f64())]
    BodySlow {
        /// How long any body may take.
        grace: Duration,
    },
    /// The client paused too long in the middle of the body.
    #[error("the rest of the body did not arrive within {waited_ms} ms")]
    BodyTimeout {
        /// How long it was waited for.
        waited_ms: u64,
    },
    /// A batch in which nothing came that could be answered.
    #[error("no whole document came within {} ms; send the rest as another batch", waited.as_millis())]
    BatchIdle {
        /// How long it was waited for.
        waited: Duration,
    },
    /// The body is compressed.
    #[error(
        "neither a Content-Encoding nor a Transfer-Encoding other than chunked is supported; send the body as it is"
    )]
    ContentEncoding,
    /// A request of HTTP/1.1 without a host, or with several (RFC 9112, 3.2).
    #[error("a request has one header field Host; \"Host: localhost\" will do")]
    Host,
    /// The connection broke in the middle of the body.
    #[error("the body ended before it was complete")]
    BodyIncomplete,
    /// The body, or a line of a batch, is too large to be read.
    #[error("the body, or this line of a batch, is larger than {limit} bytes")]
    BodyTooLarge {
        /// The limit.
        limit: usize,
    },
    /// The text is longer than the configuration allows.
    #[error("the text has {length} bytes and the limit is {limit}; split it, or raise server.max_text_bytes")]
    TextTooLong {
        /// Its length.
        length: usize,
        /// The limit.
        limit: usize,
    },
    /// A field of the right type with a value that cannot be used.
    #[error("the field \"{field}\" {problem}")]
    Unusable {
        /// Its name.
        field: &'static str,
        /// What is wrong with the value.
        problem: &'static str,
    },
    /// A label that cannot be asked for. It is the client's and is not repeated.
    #[error("{0}")]
    Label(LabelFault),
    /// The request names no model and no model is a default one.
    #[error("no model is loaded as default; name one in \"models\"")]
    NoDefaultModel,
    /// The body of `POST /v1/models` has other fields than it must.
    #[error(
        "the body must be a JSON object with the strings \"name\" and \"path\" and, where they are wanted, \"base\" (a string), \"default\" (true or false) and \"labels\" (an array as in a request)"
    )]
    LoadFields,
    /// A model cannot be loaded, or not be unloaded; what was there serves on. Told to administrators alone.
    #[error("{problem}")]
    ModelRejected {
        /// Why.
        problem: String,
    },
    /// A reload that was refused; the old configuration serves on.
    #[error("the new configuration was refused and the old one serves on; problems found: {}", problems.len())]
    ReloadRejected {
        /// What is wrong with it.
        problems: Vec<Problem>,
    },
    /// Too much work is waiting.
    #[error("too much work is waiting; try again in {} s", retry_after.as_secs())]
    Busy {
        /// When to try again.
        retry_after: Duration,
    },
    /// As many batches are under way as there may be.
    #[error(
        "{most} batches are under way, as many as there may be; try again in {} s, or send fewer and longer ones",
        retry_after.as_secs()
    )]
    TooManyBatches {
        /// How many.
        most: usize,
        /// When to try again.
        retry_after: Duration,
    },
    /// One user has as much as one may have while others could come.
    #[error(
        "this user has as many {what} as one may have, and what is left is kept for others; try again in {} s",
        retry_after.as_secs()
    )]
    UserBusy {
        /// Of what.
        what: &'static str,
        /// When to try again.
        retry_after: Duration,
    },
    /// The daemon is about to end.
    #[error("mednerd is stopping; try again in a moment")]
    Stopping,
    /// The self-check fails.
    #[error("mednerd is not ready: {reason}")]
    NotReady {
        /// Why.
        reason: String,
    },
    /// The document's record cannot be written, so there is no answer.
    #[error(
        "the audit trail cannot be written and audit.on_failure is \"refuse\"; an administrator finds the reason in the journal"
    )]
    AuditUnavailable,
    /// The model's tokenizer, engine or decoder could not deal with the text: a defect of model or code.
    #[error("model \"{model}\" could not process this text ({stage}); the journal has the details")]
    Inference {
        /// The model.
        model: String,
        /// Where it failed.
        stage: &'static str,
    },
    /// A bug.
    #[error("mednerd met an internal error; the journal has the place")]
    Internal,
}

fn listed(names: &[String]) -> String {
    match names {
        [] => "none".to_owned(),
        names => names.join(", "),
    }
}

impl ApiError {
    /// Why there is no room for one more of `what`.
    pub fn full(full: Full, what: &'static str, retry_after: Duration) -> Self {
        match full {
            Full::All => Self::Busy { retry_after },
            Full::Own => Self::UserBusy { what, retry_after },
        }
    }

    /// The same, as it is told of a line of a batch, whose number the answer has.
    pub fn of_line(self) -> Self {
        match self {
            Self::MalformedJson { column, .. } => Self::MalformedLine { column },
            other => other,
        }
    }

    /// Whether nothing was tried: the request cannot be served as it is, or there is no room for it.
    pub fn is_refusal(&self) -> bool {
        let (status, _) = self.status();
        status.is_client_error() && status != StatusCode::REQUEST_TIMEOUT
    }

    /// The status, and the code that programs hold on to.
    pub fn status(&self) -> (StatusCode, &'static str) {
        match self {
            Self::EmptyBody => (StatusCode::BAD_REQUEST, "empty_body"),
            Self::MalformedLine { .. } => (StatusCode::BAD_REQUEST, "malformed_json"),
            Self::MalformedJson { .. } => (StatusCode::BAD_REQUEST, "malformed_json"),
            Self::InvalidUtf8 { .. } => (StatusCode::BAD_REQUEST, "invalid_utf8"),
            Self::NotAnObject => (StatusCode::BAD_REQUEST, "not_an_object"),
            Self::InvalidField { .. } => (StatusCode::BAD_REQUEST, "invalid_field"),
            Self::MissingField { .. } => (StatusCode::BAD_REQUEST, "missing_field"),
            Self::DuplicateField { .. } => (StatusCode::BAD_REQUEST, "duplicate_field"),
            Self::UnknownField { .. } => (StatusCode::BAD_REQUEST, "unknown_field"),
            Self::LoadFields => (StatusCode::BAD_REQUEST, "invalid_field"),
            Self::ModelRejected { .. } => (StatusCode::UNPROCESSABLE_ENTITY, "model_rejected"),
            Self::BodyIncomplete => (StatusCode::BAD_REQUEST, "body_incomplete"),
            Self::Host => (StatusCode::BAD_REQUEST, "invalid_host"),
            Self::PeerNotAllowed { .. } => (StatusCode::FORBIDDEN, "peer_not_allowed"),
            Self::RouteNotFound => (StatusCode::NOT_FOUND, "route_not_found"),
            Self::UnknownModel { .. } => (StatusCode::NOT_FOUND, "unknown_model"),
            Self::MethodNotAllowed => (StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed"),
            Self::DeadlinePassed { .. } => (StatusCode::REQUEST_TIMEOUT, "deadline_passed"),
            Self::BodyTimeout { .. } | Self::BodySlow { .. } => (StatusCode::REQUEST_TIMEOUT, "body_timeout"),
            Self::BatchIdle { .. } => (StatusCode::REQUEST_TIMEOUT, "batch_idle"),
            Self::BodyTooLarge { .. } => (StatusCode::PAYLOAD_TOO_LARGE, "body_too_large"),
            Self::TextTooLong { .. } => (StatusCode::PAYLOAD_TOO_LARGE, "text_too_long"),
            Self::ContentEncoding => (StatusCode::UNSUPPORTED_MEDIA_TYPE, "content_encoding"),
            Self::Unusable { .. } | Self::Label(_) => (StatusCode::UNPROCESSABLE_ENTITY, "unusable_field"),
            Self::UnknownVocabulary { .. } => (StatusCode::UNPROCESSABLE_ENTITY, "unknown_vocabulary"),
            Self::UnknownCodeSystem => (StatusCode::UNPROCESSABLE_ENTITY, "unknown_code_system"),
            Self::UnknownFormat { .. } => (StatusCode::UNPROCESSABLE_ENTITY, "unknown_format"),
            Self::WrongFormat { .. } => (StatusCode::UNPROCESSABLE_ENTITY, "wrong_format"),
            Self::NoDefaultModel => (StatusCode::UNPROCESSABLE_ENTITY, "no_default_model"),
            Self::ReloadRejected { .. } => (StatusCode::UNPROCESSABLE_ENTITY, "reload_rejected"),
            Self::Busy { .. } | Self::TooManyBatches { .. } => (StatusCode::TOO_MANY_REQUESTS, "busy"),
            Self::UserBusy { .. } => (StatusCode::TOO_MANY_REQUESTS, "user_busy"),
            Self::Stopping => (StatusCode::SERVICE_UNAVAILABLE, "stopping"),
            Self::NotReady { .. } => (StatusCode::SERVICE_UNAVAILABLE, "not_ready"),
            Self::AuditUnavailable => (StatusCode::SERVICE_UNAVAILABLE, "audit_unavailable"),
            Self::DecoderUnavailable { .. } => (StatusCode::SERVICE_UNAVAILABLE, "decoder_unavailable"),
            Self::Decoding { .. } => (StatusCode::INTERNAL_SERVER_ERROR, "decoding_failed"),
            Self::Inference { .. } => (StatusCode::INTERNAL_SERVER_ERROR, "inference_failed"),
            Self::Internal => (StatusCode::INTERNAL_SERVER_ERROR, "internal"),
        }
    }

    /// What goes into the body.
    pub fn detail(&self) -> ErrorDetail {
        ErrorDetail {
            code: self.status().1.to_owned(),
            message: self.to_string(),
            details: self.details(),
        }
    }

    fn details(&self) -> Map<String, Value> {
        let details = match self {
            Self::MalformedJson { line, column } => json!({"line": line, "column": column}),
            Self::MalformedLine { column } => json!({"column": column}),
            Self::InvalidUtf8 { position } => json!({"position": position}),
            Self::InvalidField { field, .. }
            | Self::MissingField { field }
            | Self::DuplicateField { field }
            | Self::Unusable { field, .. } => json!({"field": field}),
            Self::Label(LabelFault { index, .. }) => match index {
                Some(index) => json!({"field": "labels", "index": index}),
                None => json!({"field": "labels"}),
            },
            Self::PeerNotAllowed { uid } => json!({"uid": uid}),
            Self::UnknownModel { known }
            | Self::UnknownVocabulary { known }
            | Self::UnknownFormat { known } => json!({"loaded": known}),
            Self::UnknownCodeSystem => {
                json!({"known": CODE_SYSTEMS.iter().map(|system| system.name).collect::<Vec<_>>()})
            }
            Self::WrongFormat { plugin, code } => json!({"plugin": plugin, "code": code}),
            Self::Decoding { plugin } | Self::DecoderUnavailable { plugin } => json!({"plugin": plugin}),
            Self::DeadlinePassed { deadline_ms } => json!({"deadline_ms": deadline_ms}),
            Self::BodyTooLarge { limit } => json!({"limit": limit}),
            Self::TextTooLong { length, limit } => json!({"length": length, "limit": limit}),
            Self::ReloadRejected { problems } => {
                json!({"problems": problems.iter().map(ToString::to_string).collect::<Vec<_>>()})
            }
            Self::Busy { retry_after }
            | Self::TooManyBatches { retry_after, .. }
            | Self::UserBusy { retry_after, .. } => {
                json!({"retry_after_s": retry_after.as_secs()})
            }
            _ => Value::Null,
        };
        match details {
            Value::Object(map) => map,
            _ => Map::new(),
        }
    }

    fn header(&self) -> Option<(HeaderName, HeaderValue)> {
        match self {
            Self::Busy { retry_after }
            | Self::TooManyBatches { retry_after, .. }
            | Self::UserBusy { retry_after, .. } => Some((header::RETRY_AFTER, retry_after.as_secs().into())),
            Self::Stopping => Some((header::RETRY_AFTER, 1.into())),
            Self::DecoderUnavailable { .. } => Some((header::RETRY_AFTER, 5.into())),
            Self::AuditUnavailable => Some((header::RETRY_AFTER, 30.into())),
            // The rest of the body was not read: the connection cannot be used again.
            Self::BodyTooLarge { .. } | Self::BodyTimeout { .. } | Self::BodySlow { .. } => {
                Some((header::CONNECTION, HeaderValue::from_static("close")))
            }
            _ => None,
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let body = ErrorBody { error: self.detail() };
        let mut response = respond::json(self.status().0, &body);
        if let Some((name, value)) = self.header() {
            response.headers_mut().insert(name, value);
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use mednerd_client::api::ERROR_CODES;

    /// What is in quotation marks in the one table.
    fn codes() -> BTreeSet<&'static str> {
        let (_, table) = include_str!("error.rs").split_once("pub fn status(").unwrap();
        let (table, _) = table.split_once("pub fn detail(").unwrap();
        table.split('"').skip(1).step_by(2).collect()
    }

    #[test]
    fn every_code_is_in_the_description_and_in_the_guide() {
        assert!(codes().len() > 30);
        assert_eq!(codes(), ERROR_CODES.iter().copied().collect());
        assert!(ERROR_CODES.is_sorted());
        let guide = include_str!("../../../../packaging/doc/integration-guide.md");
        for code in codes() {
            assert!(
                guide.contains(&format!("`{code}`")),
                "the guide does not have {code}"
            );
        }
    }
}
