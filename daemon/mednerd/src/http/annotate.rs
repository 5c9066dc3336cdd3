//! `POST /v1/annotate`: one document in, its entities out. The way of one document is here for the
//! batch as well: [`Plan::new`], [`Plan::run`].

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::extract::{Extension, State};
use axum::response::Response;
use http::StatusCode;
use mednerd_client::api::{self, AnnotateResponse, Status, Timing, Versions};
use mednerd_pipeline::{Aggregation, OffsetUnit, Overlaps};
use serde_json::value::RawValue;

use super::link::{Link, Report};
use super::request::Request;
use super::{ApiError, body, respond};
use crate::access::Peer;
use crate::app::App;
use crate::audit::Account;
use crate::generation::{Entry, Generation};
use crate::metrics::EntityLabels;
use crate::models::StageError;
use crate::scheduler::{Chosen, Job, JobError, Outcome};
use crate::sync::Pass;
use crate::zero_shot::{self, Label};

/// An answer with the request's context exactly as it came.
pub type Answer = AnnotateResponse<Option<Box<RawValue>>>;

/// The handler.
pub async fn annotate(
    State(app): State<Arc<App>>,
    Extension(peer): Extension<Peer>,
    body: Body,
) -> Result<Response, ApiError> {
    let mut account = Account::open(&app, &peer);
    let answer = serve(&app, body, &mut account).await;
    Ok(respond::json(StatusCode::OK, &account.close(answer)?))
}

async fn serve(app: &App, body: Body, account: &mut Account<'_>) -> Result<Answer, ApiError> {
    account.is_possible()?;
    let generation = app.generation();
    let server = &generation.config.server;
    let (bytes, share) = body::whole(app, server, body).await?;
    let request = Request::parse(&bytes)?;
    drop(bytes);
    account.read(&request);
    let plan = Plan::new(&generation, request, account.arrived)?;
    let admitted = app
        .documents
        .try_enter(1, server.max_queued_documents)
        .ok_or_else(|| ApiError::Busy {
            retry_after: app.retry_after(),
        })?;
    plan.run(app, vec![share, admitted]).await
}

/// A document that can be served: its models are loaded and its text is not too long.
pub struct Plan {
    job: Job,
    echo: Echo,
    digests: BTreeMap<String, String>,
    link: Option<Link>,
}

/// What of a request comes back in its answer.
#[derive(Clone)]
pub struct Echo {
    /// As in the request.
    pub document_id: Option<String>,
    /// As in the request.
    pub offset_unit: api::OffsetUnit,
    /// As in the request, to the letter.
    pub context: Option<Box<RawValue>>,
}

impl Plan {
    /// Checks a request against what is loaded.
    ///
    /// # Errors
    /// [`ApiError`]
    pub fn new(generation: &Generation, request: Request, arrived: Instant) -> Result<Self, ApiError> {
        let server = &generation.config.server;
        if request.text.len() > server.max_text_bytes {
            return Err(ApiError::TextTooLong {
                length: request.text.len(),
                limit: server.max_text_bytes,
            });
        }
        let models = generation
            .select(request.models.as_deref())
            .ok_or_else(|| ApiError::UnknownModel {
                known: generation.names(),
            })?;
        if models.is_empty() {
            return Err(ApiError::NoDefaultModel);
        }
        let digests = generation.digests(&models);
        let chosen = choose(models, request.labels, request.overlaps, request.threshold)?;
        let link = Link::new(generation, request.link)?;
        let wished = request.deadline_ms.map(Duration::from_millis);
        let allowed = wished.unwrap_or(server.default_deadline).min(server.max_deadline);
        Ok(Self {
            job: Job {
                text: request.text.into(),
                models: chosen,
                aggregation: aggregation(request.aggregation),
                threshold: request.threshold.unwrap_or(0.0),
                offset_unit: unit(request.offset_unit),
                arrived,
                allowed,
                places: Vec::new(),
            },
            echo: Echo {
                document_id: request.document_id,
                offset_unit: request.offset_unit,
                context: request.context,
            },
            digests,
            link,
        })
    }

    /// Computes the answer and holds `places` until then. Dropping the future cancels it; the places
    /// are left when no worker holds the document any more.
    ///
    /// # Errors
    /// [`ApiError`]
    pub async fn run(self, app: &App, places: Vec<Pass>) -> Result<Answer, ApiError> {
        let Self {
            mut job,
            echo,
            digests,
            link,
        } = self;
        job.places = places;
        let (arrived, allowed) = (job.arrived, job.allowed);
        // Labels of a request would make as many counters as clients have words.
        let unbounded: Vec<String> = job
            .models
            .iter()
            .filter(|chosen| chosen.ask.is_some())
            .map(|chosen| chosen.entry.name.clone())
            .collect();
        let late = || ApiError::DeadlinePassed {
            deadline_ms: u64::try_from(allowed.as_millis()).unwrap_or(u64::MAX),
        };
        let text = Arc::clone(&job.text);
        let ticket = app.scheduler.submit(job);
        let outcome = tokio::time::timeout_at((arrived + allowed).into(), ticket.outcome()).await;
        let outcome = outcome.map_err(|_| late())?.map_err(|error| match error {
            JobError::DeadlinePassed => late(),
            JobError::Stopped => ApiError::Stopping,
            JobError::Panicked => ApiError::Internal,
            JobError::Stage {
                error:
                    StageError {
                        unusable: Some(problem),
                        ..
                    },
                ..
            } => ApiError::Unusable {
                field: "threshold",
                problem,
            },
            JobError::Stage { model, error } => {
                tracing::error!(%model, "a document could not be processed: {error}");
                ApiError::Inference {
                    model,
                    stage: error.stage,
                }
            }
        })?;
        let mut outcome = outcome;
        let mut report = Report::default();
        if let Some(link) = link {
            let deadline = arrived + allowed;
            report = link
                .run(text, &mut outcome.entities, &outcome.places, deadline)
                .await;
            app.metrics.observe("linking", report.time);
        }
        let total = arrived.elapsed();
        note(app, &unbounded, &outcome, total);
        Ok(answer(echo, digests, outcome, report, total))
    }
}

/// The models with what each is asked for: the zero-shot ones for the request's labels, or else for their own.
fn choose(
    models: Vec<Arc<Entry>>,
    labels: Option<Vec<Label>>,
    overlaps: Option<Overlaps>,
    threshold: Option<f32>,
) -> Result<Vec<Chosen>, ApiError> {
    let unusable = |field, problem| Err(ApiError::Unusable { field, problem });
    if models.iter().all(|entry| entry.model.zero_shot().is_none()) {
        if labels.is_some() {
            return unusable(
                "labels",
                "is for zero-shot models, and none is asked; name one in \"models\" or leave it out",
            );
        }
        if overlaps.is_some() {
            return unusable(
                "nested",
                "and \"multi_label\" are for zero-shot models, and none is asked; leave them out",
            );
        }
    }
    let (overlaps, threshold) = (
        overlaps.unwrap_or_default(),
        threshold.unwrap_or(zero_shot::THRESHOLD),
    );
    let chosen = models.into_iter().map(|entry| {
        let Some(model) = entry.model.zero_shot() else {
            return Ok(Chosen { entry, ask: None });
        };
        let wanted = labels.as_deref().unwrap_or(&entry.labels);
        if wanted.is_empty() {
            return Err(ApiError::Unusable {
                field: "labels",
                problem: "is missing, and a zero-shot model that is asked has none in the configuration",
            });
        }
        let ask = model.ask(wanted, threshold, overlaps).map_err(ApiError::Label)?;
        Ok(Chosen {
            ask: Some(ask),
            entry,
        })
    });
    chosen.collect()
}

fn note(app: &App, zero_shot: &[String], outcome: &Outcome, total: Duration) {
    let metrics = &app.metrics;
    metrics.tokens.inc_by(outcome.tokens as u64);
    metrics.windows.inc_by(outcome.windows as u64);
    metrics.observe("queue", outcome.queued);
    metrics.observe("inference", outcome.computed);
    metrics.observe("total", total);
    for entity in &outcome.entities {
        let labels = EntityLabels {
            model: entity.model.clone(),
            label: match zero_shot.contains(&entity.model) {
                true => "zero-shot".to_owned(),
                false => entity.label.clone(),
            },
        };
        metrics.entities.get_or_create(&labels).inc();
    }
    app.note_cost(outcome.computed);
}

fn answer(
    echo: Echo,
    digests: BTreeMap<String, String>,
    outcome: Outcome,
    report: Report,
    total: Duration,
) -> Answer {
    let milliseconds = |time: Duration| (time.as_secs_f64() * 1e6).round() / 1e3;
    Answer {
        document_id: echo.document_id,
        status: match report.degraded.is_empty() {
            true => Status::Ok,
            false => Status::Partial,
        },
        degraded: report.degraded,
        offset_unit: echo.offset_unit,
        text_sha256: outcome.text_sha256,
        text_length: outcome.text_length,
        entities: outcome.entities,
        versions: Versions {
            plugins: report.plugins,
            vocabularies: report.vocabularies,
            ..versions(digests)
        },
        engine: Some(api::Engine::Tract),
        timing_ms: Timing {
            queue: milliseconds(outcome.queued),
            inference: milliseconds(outcome.computed),
            linking: milliseconds(report.time),
            total: milliseconds(total),
        },
        context: echo.context,
        error: None,
    }
}

/// What made an answer, with the digests of its models.
pub fn versions(models: BTreeMap<String, String>) -> Versions {
    Versions {
        mednerd: env!("CARGO_PKG_VERSION").to_owned(),
        models,
        plugins: BTreeMap::new(),
        vocabularies: BTreeMap::new(),
    }
}

fn aggregation(wanted: api::Aggregation) -> Aggregation {
    match wanted {
        api::Aggregation::Simple => Aggregation::Simple,
        api::Aggregation::First => Aggregation::First,
        api::Aggregation::Average => Aggregation::Average,
        api::Aggregation::Max => Aggregation::Max,
    }
}

fn unit(wanted: api::OffsetUnit) -> OffsetUnit {
    match wanted {
        api::OffsetUnit::UnicodeCodePoint => OffsetUnit::UnicodeCodePoint,
        api::OffsetUnit::Utf16CodeUnit => OffsetUnit::Utf16CodeUnit,
        api::OffsetUnit::Utf8Byte => OffsetUnit::Utf8Byte,
    }
}
