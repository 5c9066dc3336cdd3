//! The routes of the two sockets. Every answer here is JSON, metrics or NDJSON; every refusal is
//! an [`ApiError`].

mod annotate;
mod batch;
mod body;
mod decode;
mod error;
mod link;
mod models;
mod openapi;
mod refine;
mod request;
mod respond;

use std::sync::Arc;

use axum::Router;
use axum::extract::{self, Extension, MatchedPath, State};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post};
use http::{HeaderMap, HeaderValue, StatusCode, Version, header};
use mednerd_audit::Event;
use mednerd_client::api::{HealthResponse, PluginsResponse, ServiceState};

use crate::access::{Door, Peer, Refusal};
use crate::app::App;
use crate::audit;
use crate::metrics::{self, RequestLabels};
pub use annotate::Answer;
pub use batch::MAX_BATCHES;
pub use body::{Received, Rest, largest as largest_body};
pub use error::ApiError;
pub use openapi::document as openapi;
pub use request::Request as AnnotateRequest;

/// The routes behind `door`. Requests must carry their [`Peer`] as an extension.
pub fn router(app: Arc<App>, door: Door) -> Router {
    let common = Router::new()
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .route("/metrics", get(scrape))
        .route("/openapi.json", get(openapi_json))
        .route("/v1/models", get(models::list))
        .route("/v1/plugins", get(plugins))
        .route("/v1/status", get(status));
    let routes = match door {
        Door::Client => common
            .route("/v1/annotate", post(annotate::annotate))
            .route("/v1/annotate/batch", post(batch::annotate)),
        Door::Admin => common
            .route("/v1/reload", post(reload))
            .route("/v1/models", post(models::load))
            .route("/v1/models/{name}", delete(models::unload)),
    };
    routes
        .method_not_allowed_fallback(|| async { ApiError::MethodNotAllowed })
        .fallback(|| async { ApiError::RouteNotFound })
        .layer(middleware::from_fn_with_state((Arc::clone(&app), door), admit))
        .with_state(app)
}

/// Lets in who may come in, and counts every request with its status.
async fn admit(
    State((app, door)): State<(Arc<App>, Door)>,
    Extension(peer): Extension<Peer>,
    request: extract::Request,
    next: Next,
) -> Response {
    let route = request
        .extensions()
        .get::<MatchedPath>()
        .map_or_else(|| "unknown".to_owned(), |path| path.as_str().to_owned());
    let (hosted, encoded) = (has_host(&request), is_encoded(request.headers()));
    let action = format!("{} {}", request.method(), request.uri().path());
    let changes = door == Door::Admin && !request.method().is_safe();
    let response = if !app.generation().policy.allows(&peer, door) {
        // What it asked for is a stranger's words.
        tell_refusal(&app, &peer, door, &route).await;
        ApiError::PeerNotAllowed { uid: peer.uid }.into_response()
    } else {
        let answered = async move {
            match (hosted, encoded) {
                (false, _) => ApiError::Host.into_response(),
                (true, true) => ApiError::ContentEncoding.into_response(),
                (true, false) => next.run(request).await,
            }
        };
        if changes {
            let app = Arc::clone(&app);
            // What an administrator has begun is done and written down, whether or not anybody waits for it.
            let changed = tokio::spawn(async move {
                let response = answered.await;
                let outcome = if response.status() == StatusCode::OK {
                    "ok"
                } else {
                    "failed"
                };
                audit::note(&app, Event::Administration, Some(&peer), &action, outcome).await;
                response
            });
            changed
                .await
                .unwrap_or_else(|_| ApiError::Internal.into_response())
        } else {
            answered.await
        }
    };
    let status = response.status().as_u16();
    app.metrics
        .requests
        .get_or_create(&RequestLabels { route, status })
        .inc();
    response
}

/// Whether a request names one host, or none where HTTP/1.0 needs none; whichever it is.
fn has_host(request: &extract::Request) -> bool {
    match request.headers().get_all(header::HOST).iter().count() {
        0 => request.version() < Version::HTTP_11,
        count => count == 1,
    }
}

/// Whether a body is not as it is: compressed as a whole, or on its way.
fn is_encoded(headers: &HeaderMap) -> bool {
    let other = |name, plain: &[u8]| {
        let mut values = headers.get_all(name).iter();
        values.any(|value| !value.as_bytes().eq_ignore_ascii_case(plain))
    };
    other(header::CONTENT_ENCODING, b"identity") || other(header::TRANSFER_ENCODING, b"chunked")
}

/// Counts a refusal, and tells journal and trail of it; where there are too many, of all of them at the end of the minute.
pub async fn tell_refusal(app: &Arc<App>, peer: &Peer, door: Door, what: &str) {
    match app.refusals.note(peer.uid) {
        Refusal::Told => {
            tracing::warn!(
                uid = peer.uid,
                ?door,
                "a user that is not listed in [access] was refused"
            );
            audit::note(app, Event::Denied, Some(peer), what, "denied").await;
        }
        Refusal::Summed(time) => {
            let app = Arc::clone(app);
            tokio::spawn(async move {
                tokio::time::sleep(time).await;
                tell_untold(&app).await;
            });
        }
        Refusal::Counted => {}
    }
}

/// Tells of all the refusals together that were only counted, if any: at the end of the minute, or of the daemon.
pub async fn tell_untold(app: &App) {
    let more = app.refusals.untold();
    if more > 0 {
        tracing::warn!(more, "users that are not listed in [access] were refused");
        let action = format!("{more} more refusals");
        audit::note(app, Event::Denied, None, &action, "denied").await;
    }
}

async fn healthz() -> Response {
    healthy(Vec::new())
}

/// That it serves, without these.
fn healthy(degraded: Vec<String>) -> Response {
    let status = "ok".to_owned();
    respond::json(StatusCode::OK, &HealthResponse { status, degraded })
}

async fn readyz(State(app): State<Arc<App>>) -> Result<Response, ApiError> {
    match app.health.state() {
        ServiceState::Ready => {
            audit::is_ready(&app).await?;
            Ok(healthy(app.generation().out_of_service()))
        }
        ServiceState::Stopping => Err(ApiError::Stopping),
        ServiceState::Unhealthy => Err(ApiError::NotReady {
            reason: app.health.failure().unwrap_or_default(),
        }),
    }
}

async fn scrape(State(app): State<Arc<App>>, headers: HeaderMap) -> Response {
    let accept = headers
        .get(header::ACCEPT)
        .and_then(|accept| accept.to_str().ok());
    let format = metrics::Format::accepted(accept);
    let mut response = app.metrics.encode(app.now(), format).into_response();
    let media = HeaderValue::from_static(format.content_type());
    response.headers_mut().insert(header::CONTENT_TYPE, media);
    response
}

async fn openapi_json() -> Response {
    respond::json(StatusCode::OK, &openapi::document())
}

async fn plugins(State(app): State<Arc<App>>) -> Response {
    let generation = app.generation();
    let plugins = generation.plugins.iter().map(|plugin| plugin.info()).collect();
    respond::json(StatusCode::OK, &PluginsResponse { plugins })
}

async fn status(State(app): State<Arc<App>>) -> Response {
    respond::json(StatusCode::OK, &app.status())
}

async fn reload(State(app): State<Arc<App>>) -> Result<Response, ApiError> {
    let reloaded = app.reload().await;
    reloaded
        .map(|response| respond::json(StatusCode::OK, &response))
        .map_err(|problems| ApiError::ReloadRejected { problems })
}
