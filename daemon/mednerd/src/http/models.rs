//! `/v1/models`: which models are loaded; and, through the admin socket, loading and unloading one while requests run.
//! The configuration stays as it is: a reload or a restart brings its models back.

use std::sync::Arc;
use std::time::Instant;

use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Extension, Path, State};
use axum::response::Response;
use http::StatusCode;
use mednerd_client::api::{LoadRequest, ModelsResponse, ReloadResponse};
use serde_json::value::RawValue;

use super::{ApiError, body, respond};
use crate::access::Peer;
use crate::app::App;

/// `GET /v1/models`
pub async fn list(State(app): State<Arc<App>>) -> Response {
    let models = app.generation().models(&app.gpus);
    respond::json(StatusCode::OK, &ModelsResponse { models })
}

/// `POST /v1/models`
pub async fn load(
    State(app): State<Arc<App>>,
    Extension(peer): Extension<Peer>,
    body: Body,
) -> Result<Response, ApiError> {
    let server = app.generation().config.server.clone();
    let (bytes, _share) = body::whole(&app, &server, peer.uid, body, Instant::now()).await?;
    if bytes.trim_ascii().is_empty() {
        return Err(ApiError::EmptyBody);
    }
    let refused = |error: serde_json::Error| match error.classify() {
        serde_json::error::Category::Data => ApiError::LoadFields,
        _ => ApiError::MalformedJson {
            line: error.line(),
            column: error.column(),
        },
    };
    let body: &RawValue = serde_json::from_slice(&bytes).map_err(refused)?;
    // A derived struct reads an array of its fields as well.
    let wanted: LoadRequest = match body.get().starts_with('{') {
        true => serde_json::from_str(body.get()).map_err(refused)?,
        false => return Err(ApiError::LoadFields),
    };
    let name = wanted.name.clone();
    let changed = app.change_models(move |present| present.with(&wanted)).await;
    let changed = changed.map_err(|problem| match problem {
        Some(problem) => {
            tracing::error!("a model was not loaded: {problem}");
            ApiError::ModelRejected { problem }
        }
        None => ApiError::Internal,
    })?;
    tracing::info!(model = %name, "loaded through the admin socket");
    let info = changed
        .models(&app.gpus)
        .into_iter()
        .find(|info| info.name == name);
    Ok(respond::json(StatusCode::OK, &info.ok_or(ApiError::Internal)?))
}

/// `DELETE /v1/models/{name}`
pub async fn unload(
    State(app): State<Arc<App>>,
    name: Result<Path<String>, PathRejection>,
) -> Result<Response, ApiError> {
    let unknown = || {
        let infos = app.generation().models(&app.gpus).into_iter();
        let known = infos.map(|info| info.name).collect();
        ApiError::UnknownModel { known }
    };
    // What is no UTF-8 is no model's name.
    let Path(name) = name.map_err(|_| unknown())?;
    let wanted = name.clone();
    let changed = app.change_models(move |present| present.without(&wanted)).await;
    let changed = changed.map_err(|problem| match problem {
        Some(Some(problem)) => ApiError::ModelRejected { problem },
        Some(None) => unknown(),
        None => ApiError::Internal,
    })?;
    tracing::info!(model = %name, "unloaded through the admin socket");
    let response = ReloadResponse {
        plugins: Default::default(),
        loaded: Vec::new(),
        kept: changed.names(),
        unloaded: vec![name],
    };
    Ok(respond::json(StatusCode::OK, &response))
}
