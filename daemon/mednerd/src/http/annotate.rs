//! `POST /v1/annotate`: one document in, its entities out. The way of one document is here for the
//! batch as well: [`Plan::new`], [`Plan::run`].

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::extract::{Extension, State};
use axum::response::Response;
use mednerd_client::api::{self, AnnotateResponse, Status, Timing, Versions};
use mednerd_pipeline::{Aggregation, OffsetUnit, Overlaps};
use serde_json::value::RawValue;

use super::decode::Decode;
use super::link::{Link, Report};
use super::refine::refine;
use super::request::Request;
use super::{ApiError, body, respond};
use crate::access::Peer;
use crate::app::App;
use crate::audit::Account;
use crate::generation::{Entry, Generation};
use crate::metrics::EntityLabels;
use crate::page::{Annotated, Chosen, Found, Page};
use crate::scheduler::{Computed, Job, JobError, Outcome};
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
    let answer = serve(&app, &peer, body, &mut account).await;
    let answer = account.close(answer).await?;
    let time = app.generation().config.server.max_deadline;
    Ok(respond::large(&answer, &app.bytes.of(peer.uid), time))
}

async fn serve(app: &App, peer: &Peer, body: Body, account: &mut Account<'_>) -> Result<Answer, ApiError> {
    account.is_possible().await?;
    let generation = app.generation();
    let server = &generation.config.server;
    let (bytes, share) = body::whole(app, server, peer.uid, body, account.arrived).await?;
    let request = Request::parse(&bytes)?;
    drop(bytes);
    account.read(&request);
    let plan = Plan::new(&generation, request, account.arrived)?;
    let admitted = app
        .documents
        .of(peer.uid)
        .try_enter(1, server.max_queued_documents);
    let admitted = admitted.map_err(|full| ApiError::full(full, "documents under way", app.retry_after()))?;
    account.places = vec![share.into(), admitted.into()];
    plan.run(app, account.places.clone()).await
}

/// A document that can be served: its models are loaded, its format is known, and its text is not too long.
pub struct Plan {
    /// Its text is not there yet where `decode` is.
    page: Page,
    decode: Option<Decode>,
    aggregation: Aggregation,
    arrived: Instant,
    allowed: Duration,
    echo: Echo,
    versions: Versions,
    /// The precision of the models where a GPU computes the document.
    gpu_precision: &'static str,
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
        let length = request.text.bytes().len();
        if length > server.max_text_bytes {
            return Err(ApiError::TextTooLong {
                length,
                limit: server.max_text_bytes,
            });
        }
        let (models, terms) =
            generation
                .select(request.models.as_deref())
                .ok_or_else(|| ApiError::UnknownModel {
                    known: generation.names(),
                })?;
        if models.is_empty() && terms.is_empty() {
            return Err(ApiError::NoDefaultModel);
        }
        let decode = request
            .format
            .map(|format| Decode::new(generation, format, request.text.clone()))
            .transpose()?;
        let mut versions = versions(generation, generation.digests(&models));
        let lists = terms.iter();
        versions
            .models
            .extend(lists.map(|named| (named.name.clone(), named.list.digest.clone())));
        versions.precisions = generation.precisions(&models);
        versions.plugins = generation.bringers(&models);
        versions.plugins.extend(decode.as_ref().map(Decode::version));
        let chosen = choose(
            generation,
            models,
            request.labels,
            request.overlaps,
            request.threshold,
        )?;
        let link = Link::new(generation, request.link)?;
        let wished = request.deadline_ms.map(Duration::from_millis);
        let allowed = wished.unwrap_or(server.default_deadline).min(server.max_deadline);
        Ok(Self {
            page: Page {
                text: request.text.text().cloned().unwrap_or_default(),
                original: None,
                models: chosen,
                terms,
                threshold: request.threshold,
                offset_unit: unit(request.offset_unit),
            },
            decode,
            aggregation: aggregation(request.aggregation),
            arrived,
            allowed,
            echo: Echo {
                document_id: request.document_id,
                offset_unit: request.offset_unit,
                context: request.context,
            },
            versions,
            gpu_precision: generation.config.engine.gpu_precision.name(),
            link,
        })
    }

    /// Computes the answer. Dropping the future cancels it; the places are left when no worker holds the document any more, and
    /// nobody else.
    ///
    /// # Errors
    /// [`ApiError`]
    pub async fn run(self, app: &App, mut places: Vec<Arc<Pass>>) -> Result<Answer, ApiError> {
        let Self {
            mut page,
            decode,
            aggregation,
            arrived,
            allowed,
            echo,
            mut versions,
            gpu_precision,
            link,
        } = self;
        let deadline = arrived + allowed;
        let late = || ApiError::DeadlinePassed {
            deadline_ms: u64::try_from(allowed.as_millis()).unwrap_or(u64::MAX),
        };
        let mut stages = Stages::default();
        if let Some(decode) = decode {
            let begun = Instant::now();
            page =
                decode
                    .run(app, page, deadline)
                    .await
                    .map_err(|error| match Instant::now() < deadline {
                        true => error,
                        false => late(),
                    })?;
            stages.decoding = begun.elapsed();
            app.metrics.observe("decoding", stages.decoding);
        }
        places.push(app.work.of(0).take_in(page.text.len()).into());
        let page = Arc::new(page);
        let ticket = app.scheduler.submit(Job {
            page: Arc::clone(&page),
            aggregation,
            arrived: arrived + stages.decoding,
            allowed: allowed.saturating_sub(stages.decoding),
            places: places.clone(),
        });
        let outcome = tokio::time::timeout_at(deadline.into(), ticket.outcome()).await;
        let outcome = outcome.map_err(|_| late())?;
        let outcome = outcome.map_err(|error| failure(error).unwrap_or_else(late))?;
        stages.note(app, &outcome, page.text.len());
        for (chosen, on_gpu) in page.models.iter().zip(&outcome.on_gpu) {
            if let Some(precision) = versions.precisions.get_mut(&chosen.entry.name) {
                *precision = on_gpu.precision(gpu_precision, precision);
            }
        }
        let mut annotated = match outcome.result {
            Computed::Annotated(annotated) => annotated,
            Computed::Found(found) => {
                let begun = Instant::now();
                let (found, degraded) = refine(&page, found, deadline).await;
                stages.degraded = degraded;
                let annotated = annotate_aside(Arc::clone(&page), found, deadline, places).await;
                stages.refining = begun.elapsed();
                app.metrics.observe("refining", stages.refining);
                annotated?.ok_or_else(late)?
            }
        };
        if let Some(link) = link {
            let text = Arc::clone(&page.text);
            let places = &annotated.places;
            let report = link.run(text, &mut annotated.entities, places, deadline).await;
            app.metrics.observe("linking", report.time);
            let Report {
                degraded,
                plugins,
                vocabularies,
                plugin_vocabularies,
                reranker,
                time,
            } = report;
            stages.degraded.extend(degraded);
            stages.linking = time;
            versions.plugins.extend(plugins);
            versions.vocabularies = vocabularies;
            versions.plugin_vocabularies = plugin_vocabularies;
            let reranker = reranker.map(|digest| ("linking.rerank".to_owned(), digest));
            versions.models.extend(reranker);
        }
        stages.total = arrived.elapsed();
        app.metrics.observe("total", stages.total);
        count(app, &page, &annotated);
        Ok(answer(echo, versions, annotated, stages))
    }
}

/// What the client is told where nothing came of a document; `None` where its deadline has passed.
fn failure(error: JobError) -> Option<ApiError> {
    Some(match error {
        JobError::DeadlinePassed => return None,
        JobError::Stopped => ApiError::Stopping,
        JobError::Panicked => ApiError::Internal,
        JobError::Stage { model, error } => match error.unusable {
            Some(problem) => ApiError::Unusable {
                field: "threshold",
                problem,
            },
            None => {
                tracing::error!(%model, "a document could not be processed: {error}");
                let stage = error.stage;
                ApiError::Inference { model, stage }
            }
        },
    })
}

/// What the answer says of a document whose findings plugins have refined, computed beside the threads that serve everybody; `None` after
/// its deadline. Dropping the future cancels it, and `places` are left when it has ended.
async fn annotate_aside(
    page: Arc<Page>,
    found: Vec<Found>,
    deadline: Instant,
    places: Vec<Arc<Pass>>,
) -> Result<Option<Annotated>, ApiError> {
    let asking = Arc::new(());
    let asked = Arc::downgrade(&asking);
    let annotate = move || {
        let wanted = || asked.strong_count() > 0 && Instant::now() < deadline;
        // As workers do: the text is hashed here.
        let annotated = mednerd_sys::forgetting(|| page.annotate(found, &wanted));
        drop(places);
        annotated
    };
    let annotated = tokio::task::spawn_blocking(annotate).await;
    drop(asking);
    annotated.map_err(|_| ApiError::Internal)
}

/// The models with what each is asked for: the zero-shot ones for the request's labels, or else for their own.
fn choose(
    generation: &Generation,
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
        if let Some(overlaps) = overlaps {
            let field = match overlaps.several_labels && !overlaps.nested {
                true => "multi_label",
                false => "nested",
            };
            return unusable(
                field,
                "is for zero-shot models, and none is asked; leave \"nested\" and \"multi_label\" out",
            );
        }
    }
    let (overlaps, threshold) = (
        overlaps.unwrap_or_default(),
        threshold.unwrap_or(zero_shot::THRESHOLD),
    );
    let by_request = labels.is_some();
    let chosen = models.into_iter().map(|entry| {
        let short_forms = generation.takes_short_forms(&entry);
        let Some(model) = entry.model.zero_shot() else {
            return Ok(Chosen {
                entry,
                ask: None,
                by_request,
                short_forms,
            });
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
            by_request,
            entry,
            short_forms,
        })
    });
    chosen.collect()
}

/// How long each stage took, and which did not run.
#[derive(Default)]
struct Stages {
    decoding: Duration,
    queue: Duration,
    inference: Duration,
    refining: Duration,
    linking: Duration,
    total: Duration,
    degraded: Vec<String>,
    engine: Option<api::Engine>,
    /// Whether the CPU computed what a GPU should have.
    without_gpu: bool,
}

impl Stages {
    fn note(&mut self, app: &App, outcome: &Outcome, bytes: usize) {
        self.queue = outcome.queued;
        self.inference = outcome.computed;
        self.engine = Some(outcome.engine());
        self.without_gpu = outcome.degraded;
        let metrics = &app.metrics;
        metrics.tokens.inc_by(outcome.tokens as u64);
        metrics.windows.inc_by(outcome.windows as u64);
        metrics.gpu_windows.inc_by(outcome.gpu_windows as u64);
        metrics.observe("queue", outcome.queued);
        metrics.observe("inference", outcome.computed);
        app.note_cost(outcome.computed, bytes);
    }
}

fn count(app: &App, page: &Page, annotated: &Annotated) {
    // Labels of a request would make as many counters as clients have words.
    let asked = page.models.iter().filter(|chosen| chosen.ask.is_some());
    let unbounded: Vec<&str> = asked.map(|chosen| &*chosen.entry.name).collect();
    for entity in &annotated.entities {
        let labels = EntityLabels {
            model: entity.model.clone(),
            label: match unbounded.contains(&&*entity.model) {
                true => "zero-shot".to_owned(),
                false => entity.label.clone(),
            },
        };
        app.metrics.entities.get_or_create(&labels).inc();
    }
}

fn answer(echo: Echo, versions: Versions, annotated: Annotated, stages: Stages) -> Answer {
    let milliseconds = |time: Duration| (time.as_secs_f64() * 1e6).round() / 1e3;
    // What the CPU computes in a GPU's place is whole.
    let status = match stages.degraded.is_empty() {
        true => Status::Ok,
        false => Status::Partial,
    };
    let mut degraded = stages.degraded;
    degraded.extend(stages.without_gpu.then(|| "engine:cuda".to_owned()));
    Answer {
        document_id: echo.document_id,
        status,
        degraded,
        offset_unit: echo.offset_unit,
        text_sha256: annotated.text_sha256,
        text_length: annotated.text_length,
        entities: annotated.entities,
        versions,
        engine: stages.engine,
        timing_ms: Timing {
            decoding: milliseconds(stages.decoding),
            queue: milliseconds(stages.queue),
            inference: milliseconds(stages.inference),
            refining: milliseconds(stages.refining),
            linking: milliseconds(stages.linking),
            total: milliseconds(stages.total),
        },
        context: echo.context,
        error: None,
    }
}

/// What made an answer, with the digests of its models.
pub fn versions(generation: &Generation, models: BTreeMap<String, String>) -> Versions {
    Versions {
        mednerd: mednerd_client::version().to_owned(),
        settings: generation.settings().to_owned(),
        models,
        ..Versions::default()
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
        api::OffsetUnit::Utf8Byte | api::OffsetUnit::Byte => OffsetUnit::Utf8Byte,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sync::Gate;
    use crate::terms::NamedList;

    #[tokio::test]
    async fn what_is_computed_aside_holds_its_places_and_ends_where_nobody_waits() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "name\tlabel\ngout\tDisease\n").unwrap();
        let page = Arc::new(Page {
            text: "no gout ".repeat(200_000).into(),
            original: None,
            models: Vec::new(),
            terms: vec![NamedList {
                name: "ward".to_owned(),
                default: true,
                list: crate::terms::tests::load(file.path(), 90, &[]).unwrap(),
            }],
            threshold: None,
            offset_unit: OffsetUnit::Utf8Byte,
        });
        let gate = Arc::<Gate>::default();
        let place = || vec![Arc::new(gate.of(7).take_in(1))];
        let late = Instant::now() + Duration::from_secs(600);
        let mut aside = Box::pin(annotate_aside(Arc::clone(&page), Vec::new(), late, place()));
        tokio::select! {
            biased;
            _ = &mut aside => panic!("it was done at once"),
            () = tokio::task::yield_now() => drop(aside),
        }
        assert_eq!(gate.inside(), 1, "it is still at work");
        gate.of(7).enter(1, 1).await;
        let nobody = annotate_aside(page, Vec::new(), Instant::now(), place()).await;
        assert!(nobody.unwrap().is_none());
        assert_eq!(gate.inside(), 0);
    }
}
