//! What monitoring sees: counters, gauges and histograms, in Prometheus' text format or in OpenMetrics. No label ever comes from a
//! request but a route that exists and a model that is loaded.

use std::sync::Mutex;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use crate::gpu::AllFigures;
use crate::plugins::Figures;
use crate::sync::lock;
use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

/// How the page is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Prometheus' text format, which every collector reads; node_exporter's reads no other.
    Text,
    /// OpenMetrics, for who asks for it.
    OpenMetrics,
}

impl Format {
    /// What the header `Accept` asks for, if there is one.
    pub fn accepted(accept: Option<&str>) -> Self {
        match accept.is_some_and(|accept| accept.contains("application/openmetrics-text")) {
            true => Self::OpenMetrics,
            false => Self::Text,
        }
    }

    /// Its media type.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// What is there from the start, at 0: an alert on growth would miss the first event of a counter that begins with it.
const OUTCOMES: [&str; 5] = ["ok", "partial", "refused", "failed", "abandoned"];
const RESULTS: [&str; 2] = ["accepted", "rejected"];
const ROUTES: [&str; 2] = ["/v1/annotate", "/v1/annotate/batch"];
const STATUSES: [u16; 5] = [200, 408, 429, 500, 503];

/// A page in OpenMetrics as one in Prometheus' text format: a counter's comments name what its samples are called, and neither units nor
/// an end are told.
fn as_text(page: &str) -> String {
    let mut text = String::with_capacity(page.len());
    let mut lines = page.lines().peekable();
    while let Some(line) = lines.next() {
        if line == "# EOF" || line.starts_with("# UNIT ") {
            continue;
        }
        let mut line = line.to_owned();
        // HELP comes right before TYPE.
        let told = [Some(line.as_str()), lines.peek().copied()];
        let typed = told
            .into_iter()
            .flatten()
            .find_map(|line| line.strip_prefix("# TYPE "));
        if line.starts_with("# ")
            && let Some(name) = typed.and_then(|typed| typed.strip_suffix(" counter"))
        {
            line = line.replacen(name, &format!("{name}_total"), 1);
        }
        text.push_str(&line);
        text.push('\n');
    }
    text
}

/// Labels of what runs.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct BuildLabels {
    version: &'static str,
}

/// A request by route and status.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct RequestLabels {
    /// The route's pattern; `unknown` where there is none.
    pub route: String,
    /// HTTP status.
    pub status: u16,
}

/// A document by what came of it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct OutcomeLabels {
    /// `ok`, `partial`, `failed` or `abandoned`.
    pub outcome: &'static str,
}

/// An entity by model and type.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct EntityLabels {
    /// The model's name.
    pub model: String,
    /// The entity type.
    pub label: String,
}

/// A stage of a document's way.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct StageLabels {
    /// `decoding`, `queue`, `inference`, `refining`, `linking` or `total`.
    pub stage: &'static str,
}

/// A reload by result.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ReloadLabels {
    /// `accepted` or `rejected`.
    pub result: &'static str,
}

/// What is true at the moment of the scrape.
#[derive(Clone, Debug)]
pub struct Now {
    /// Documents admitted and not yet answered.
    pub documents: usize,
    /// Bytes of request bodies held.
    pub bytes: usize,
    /// Open connections.
    pub connections: usize,
    /// Whether the self-check passes.
    pub healthy: bool,
    /// Loaded models.
    pub models: usize,
    /// Plugins.
    pub plugins: Vec<Figures>,
    /// Resident memory.
    pub resident_bytes: u64,
    /// GPUs.
    pub gpus: AllFigures,
}

/// Labels of a GPU.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct GpuLabels {
    gpu: u32,
}

/// Labels of a plugin's calls.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct PluginCallLabels {
    plugin: String,
    outcome: &'static str,
}

/// Labels of a plugin.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct PluginLabels {
    plugin: String,
}

/// Labels of what a plugin counts.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct PluginCounterLabels {
    plugin: String,
    name: String,
}

/// Labels of what GPUs count together.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct GpuWorkLabels {
    what: &'static str,
}

/// All metrics of one daemon.
pub struct Metrics {
    registry: Registry,
    /// Held by who fills and writes a page.
    scrape: Mutex<()>,
    /// HTTP requests.
    pub requests: Family<RequestLabels, Counter>,
    /// Documents by outcome.
    pub documents: Family<OutcomeLabels, Counter>,
    /// Tokens computed.
    pub tokens: Counter,
    /// Windows computed.
    pub windows: Counter,
    /// Windows computed by a GPU.
    pub gpu_windows: Counter,
    /// Entities reported.
    pub entities: Family<EntityLabels, Counter>,
    /// Seconds in each stage.
    pub stages: Family<StageLabels, Histogram>,
    /// Reloads by result.
    pub reloads: Family<ReloadLabels, Counter>,
    audit_failures: Counter,
    waiting: Gauge,
    held: Gauge,
    connections: Gauge,
    healthy: Gauge,
    models: Gauge,
    plugin_calls: Family<PluginCallLabels, Counter>,
    plugin_deaths: Family<PluginLabels, Counter>,
    plugin_ready: Family<PluginLabels, Gauge>,
    plugin_counters: Family<PluginCounterLabels, Counter<f64, AtomicU64>>,
    resident: Gauge,
    gpu_ready: Family<GpuLabels, Gauge>,
    gpu_deaths: Family<GpuLabels, Counter>,
    gpu_memory: Family<GpuLabels, Gauge>,
    gpu_work: Family<GpuWorkLabels, Counter>,
}

impl Metrics {
    /// All at zero, but for the records that could not be written, which the audit trail counts.
    pub fn new(started: jiff::Timestamp, audit_failures: Counter) -> Self {
        let mut registry = Registry::default();
        let stages = Family::<StageLabels, Histogram>::new_with_constructor(|| {
            Histogram::new(exponential_buckets(0.001, 2.0, 17))
        });
        let metrics = Self {
            scrape: Mutex::default(),
            requests: Family::default(),
            documents: Family::default(),
            tokens: Counter::default(),
            windows: Counter::default(),
            entities: Family::default(),
            stages,
            reloads: Family::default(),
            audit_failures,
            waiting: Gauge::default(),
            held: Gauge::default(),
            connections: Gauge::default(),
            healthy: Gauge::default(),
            models: Gauge::default(),
            plugin_calls: Family::default(),
            plugin_deaths: Family::default(),
            plugin_ready: Family::default(),
            plugin_counters: Family::default(),
            resident: Gauge::default(),
            gpu_windows: Counter::default(),
            gpu_ready: Family::default(),
            gpu_deaths: Family::default(),
            gpu_memory: Family::default(),
            gpu_work: Family::default(),
            registry: Registry::default(),
        };
        let start: Gauge = Gauge::default();
        start.set(started.as_second());
        let build = Family::<BuildLabels, Gauge>::default();
        let version = mednerd_client::version();
        build.get_or_create(&BuildLabels { version }).set(1);
        let own = registry.sub_registry_with_prefix("mednerd");
        // By names of its own: a collector on the same host has those without a prefix for itself.
        own.register_with_unit(
            "process_start_time",
            "Start of the process since 1970",
            Unit::Seconds,
            start,
        );
        own.register_with_unit(
            "process_resident_memory",
            "Resident memory",
            Unit::Bytes,
            metrics.resident.clone(),
        );
        own.register("build_info", "The version that runs", build);
        own.register(
            "requests",
            "HTTP requests by route and status",
            metrics.requests.clone(),
        );
        own.register("documents", "Documents by outcome", metrics.documents.clone());
        own.register("tokens", "Tokens computed", metrics.tokens.clone());
        own.register("windows", "Windows computed", metrics.windows.clone());
        own.register(
            "entities",
            "Entities reported by model and type",
            metrics.entities.clone(),
        );
        own.register_with_unit(
            "stage",
            "Time of a document in each stage",
            Unit::Seconds,
            metrics.stages.clone(),
        );
        own.register("reloads", "Reloads by result", metrics.reloads.clone());
        own.register(
            "audit_failures",
            "Audit records that could not be written",
            metrics.audit_failures.clone(),
        );
        own.register(
            "documents_waiting",
            "Documents admitted and not yet answered",
            metrics.waiting.clone(),
        );
        own.register_with_unit(
            "bodies_held",
            "Request bodies held",
            Unit::Bytes,
            metrics.held.clone(),
        );
        own.register("connections", "Open connections", metrics.connections.clone());
        own.register(
            "healthy",
            "1 where the self-check passes",
            metrics.healthy.clone(),
        );
        own.register("models", "Loaded models", metrics.models.clone());
        own.register(
            "plugin_calls",
            "Calls of plugins by outcome",
            metrics.plugin_calls.clone(),
        );
        own.register(
            "plugin_deaths",
            "Plugin hosts that died",
            metrics.plugin_deaths.clone(),
        );
        own.register(
            "plugin_ready",
            "1 where the plugin takes calls",
            metrics.plugin_ready.clone(),
        );
        own.register(
            "plugin_counter",
            "What plugins count, by the names in their manifests",
            metrics.plugin_counters.clone(),
        );
        own.register(
            "gpu_windows",
            "Windows computed by GPUs",
            metrics.gpu_windows.clone(),
        );
        own.register(
            "gpu_ready",
            "1 where the GPU serves a model",
            metrics.gpu_ready.clone(),
        );
        own.register("gpu_deaths", "GPU workers that died", metrics.gpu_deaths.clone());
        own.register_with_unit(
            "gpu_memory_used",
            "Memory that the GPU's worker uses",
            Unit::Bytes,
            metrics.gpu_memory.clone(),
        );
        own.register(
            "gpu_work",
            "What GPUs did: batches and tokens computed, windows lost to the CPU, batches halved for want of memory, \
             self-checks failed",
            metrics.gpu_work.clone(),
        );
        metrics.begin();
        Self { registry, ..metrics }
    }

    /// Puts down at 0 what may happen, so that its first time is seen.
    fn begin(&self) {
        for outcome in OUTCOMES {
            drop(self.documents.get_or_create(&OutcomeLabels { outcome }));
        }
        for result in RESULTS {
            drop(self.reloads.get_or_create(&ReloadLabels { result }));
        }
        for (route, status) in ROUTES
            .iter()
            .flat_map(|route| STATUSES.map(|status| (route, status)))
        {
            let route = (*route).to_owned();
            drop(self.requests.get_or_create(&RequestLabels { route, status }));
        }
    }

    /// Counts a document.
    pub fn count(&self, outcome: &'static str) {
        self.documents.get_or_create(&OutcomeLabels { outcome }).inc();
    }

    /// How many documents ended so.
    pub fn counted(&self, outcome: &'static str) -> u64 {
        self.documents.get_or_create(&OutcomeLabels { outcome }).get()
    }

    /// Notes the time of one stage.
    pub fn observe(&self, stage: &'static str, time: Duration) {
        self.stages
            .get_or_create(&StageLabels { stage })
            .observe(time.as_secs_f64());
    }

    /// Plugins count for themselves; a plugin that is gone is gone here too.
    fn note_plugins(&self, plugins: Vec<Figures>) {
        self.plugin_calls.clear();
        self.plugin_deaths.clear();
        self.plugin_ready.clear();
        self.plugin_counters.clear();
        for figures in plugins {
            let plugin = figures.id;
            for (outcome, count) in [("answered", figures.answered), ("failed", figures.failed)] {
                let plugin = plugin.clone();
                let labels = PluginCallLabels { plugin, outcome };
                self.plugin_calls.get_or_create(&labels).inc_by(count);
            }
            let labels = PluginLabels {
                plugin: plugin.clone(),
            };
            self.plugin_deaths.get_or_create(&labels).inc_by(figures.deaths);
            self.plugin_ready.get_or_create(&labels).set(figures.ready.into());
            for (name, value) in figures.counters {
                let plugin = plugin.clone();
                let labels = PluginCounterLabels { plugin, name };
                self.plugin_counters.get_or_create(&labels).inc_by(value);
            }
        }
    }

    /// GPUs count for themselves.
    fn note_gpus(&self, figures: &AllFigures) {
        self.gpu_ready.clear();
        self.gpu_deaths.clear();
        self.gpu_memory.clear();
        self.gpu_work.clear();
        for one in &figures.gpus {
            let labels = GpuLabels { gpu: one.gpu };
            self.gpu_ready.get_or_create(&labels).set(one.ready.into());
            self.gpu_deaths.get_or_create(&labels).inc_by(one.deaths);
            let memory = i64::try_from(one.memory_used).unwrap_or(i64::MAX);
            self.gpu_memory.get_or_create(&labels).set(memory);
        }
        for (what, count) in [
            ("batches", figures.batches),
            ("tokens", figures.tokens),
            ("lost_windows", figures.lost),
            ("halved_batches", figures.halved),
            ("failed_checks", figures.wrong),
        ] {
            self.gpu_work.get_or_create(&GpuWorkLabels { what }).inc_by(count);
        }
    }

    /// The text that a scraper reads. One at a time: what counts for itself is cleared and counted in anew.
    pub fn encode(&self, now: Now, format: Format) -> String {
        let _one = lock(&self.scrape);
        let whole = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
        self.waiting.set(whole(now.documents));
        self.held.set(whole(now.bytes));
        self.connections.set(whole(now.connections));
        self.healthy.set(now.healthy.into());
        self.models.set(whole(now.models));
        self.note_plugins(now.plugins);
        self.note_gpus(&now.gpus);
        self.resident
            .set(i64::try_from(now.resident_bytes).unwrap_or(i64::MAX));
        let mut page = String::new();
        // Writing to a String does not fail.
        let _ = text::encode(&mut page, &self.registry);
        match format {
            Format::Text => as_text(&page),
            Format::OpenMetrics => page,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn openmetrics_is_for_who_asks_for_it() {
        // As Prometheus asks, and curl.
        let prometheus =
            "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.2,*/*;q=0.1";
        assert_eq!(Format::accepted(Some(prometheus)), Format::OpenMetrics);
        assert_eq!(Format::accepted(Some("*/*")), Format::Text);
        assert_eq!(Format::accepted(None), Format::Text);
    }

    #[test]
    fn the_text_format_names_counters_as_their_samples_and_has_neither_units_nor_an_end() {
        let page = "# HELP a_bytes A counter.\n# TYPE a_bytes counter\n# UNIT a_bytes bytes\na_bytes_total 3\n\
                    # HELP a A gauge.\n# TYPE a gauge\na{x=\"# EOF\"} 1\n# EOF\n";
        let text = "# HELP a_bytes_total A counter.\n# TYPE a_bytes_total counter\na_bytes_total 3\n\
                    # HELP a A gauge.\n# TYPE a gauge\na{x=\"# EOF\"} 1\n";
        assert_eq!(as_text(page), text);
    }

    #[test]
    fn what_alerts_look_at_is_there_from_the_start() {
        let metrics = Metrics::new(jiff::Timestamp::UNIX_EPOCH, Counter::default());
        let page = metrics.encode(now(0), Format::Text);
        for sample in [
            "mednerd_documents_total{outcome=\"failed\"} 0",
            "mednerd_documents_total{outcome=\"partial\"} 0",
            "mednerd_requests_total{route=\"/v1/annotate\",status=\"429\"} 0",
            "mednerd_requests_total{route=\"/v1/annotate/batch\",status=\"503\"} 0",
            "mednerd_reloads_total{result=\"rejected\"} 0",
            "mednerd_audit_failures_total 0",
        ] {
            assert!(
                page.lines().any(|line| line == sample),
                "{sample} is not in {page}"
            );
        }
        let kinds = page.lines().filter_map(|line| line.strip_prefix("# TYPE "));
        for kind in kinds {
            assert!(
                kind.starts_with("mednerd_")
                    && [" counter", " gauge", " histogram"]
                        .iter()
                        .any(|known| kind.ends_with(known)),
                "{kind}"
            );
        }
        // The alerts that are shipped ask for nothing that is not there. mednerd_up is of the script that writes the page down.
        let rules = include_str!("../../../packaging/admin/mednerd.rules.yml");
        let names = rules
            .lines()
            .filter_map(|line| line.trim().strip_prefix("expr: "));
        let names =
            names.flat_map(|expression| expression.split(|c: char| c != '_' && !c.is_ascii_alphanumeric()));
        for name in names.filter(|name| name.starts_with("mednerd_") && *name != "mednerd_up") {
            assert!(page.contains(&format!("# TYPE {name} ")), "{name}");
        }
    }

    fn now(count: u64) -> Now {
        Now {
            documents: 0,
            bytes: 0,
            connections: 0,
            healthy: true,
            models: 1,
            plugins: vec![Figures {
                id: "linker".to_owned(),
                answered: count,
                failed: count,
                deaths: count,
                ready: true,
                counters: Vec::new(),
            }],
            resident_bytes: 0,
            gpus: AllFigures {
                gpus: vec![crate::gpu::Figures {
                    gpu: 0,
                    ready: true,
                    deaths: count,
                    memory_used: 0,
                }],
                batches: count,
                ..AllFigures::default()
            },
        }
    }

    #[test]
    fn scrapes_at_once_count_nothing_twice() {
        let metrics = Metrics::new(jiff::Timestamp::UNIX_EPOCH, Counter::default());
        // Samples of one name stand in any order.
        let page = |count| {
            let page = metrics.encode(now(count), Format::OpenMetrics);
            let mut lines: Vec<String> = page.lines().map(str::to_owned).collect();
            lines.sort_unstable();
            lines
        };
        let expected = [1, 2].map(page);
        std::thread::scope(|scope| {
            for (expected, count) in expected.iter().zip([1, 2]) {
                scope.spawn(move || (0..500).for_each(|_| assert_eq!(page(count), *expected)));
            }
        });
    }
}
