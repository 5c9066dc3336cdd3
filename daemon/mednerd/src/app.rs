//! What all connections share: the generation in force, the workers, the gates, the counters.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use jiff::Timestamp;
use mednerd_client::api::{self, ReloadResponse, ServiceState};

use crate::access::Refusals;
use crate::audit::Audit;
use crate::config::{Problem, Server};
use crate::generation::Generation;
use crate::gpu::Gpus;
use crate::health::Health;
use crate::http;
use crate::metrics::{Metrics, Now, ReloadLabels};
use crate::scheduler::Scheduler;
use crate::server::SocketFile;
use crate::sync::{Gate, lock, most_of};

/// The daemon behind its sockets.
pub struct App {
    file: PathBuf,
    generation: ArcSwap<Generation>,
    reloading: tokio::sync::Mutex<()>,
    rejected: Mutex<Vec<String>>,
    sockets: Vec<SocketFile>,
    started: Instant,
    started_at: Timestamp,
    cost: Mutex<Cost>,
    /// The workers.
    pub scheduler: Scheduler,
    /// The GPUs.
    pub gpus: Arc<Gpus>,
    /// The audit trail, where one is configured.
    pub audit: Option<Audit>,
    /// The counters.
    pub metrics: Metrics,
    /// Who was refused.
    pub refusals: Refusals,
    /// Whether it works.
    pub health: Health,
    /// Documents admitted.
    pub documents: Arc<Gate>,
    /// Bytes of bodies held, and of answers that are not handed over.
    pub bytes: Arc<Gate>,
    /// Bytes of the texts of documents that workers have.
    pub work: Arc<Gate>,
    /// Batches under way.
    pub batches: Arc<Gate>,
    /// Open connections.
    pub connections: Arc<Gate>,
}

impl App {
    /// The daemon that serves `generation`, which was read from `file`, on `sockets`.
    pub fn new(
        file: PathBuf,
        generation: Generation,
        scheduler: Scheduler,
        gpus: Arc<Gpus>,
        audit: Option<Audit>,
        sockets: Vec<SocketFile>,
    ) -> Self {
        let started_at = now();
        let audit_failures = audit.as_ref().map(Audit::failures).unwrap_or_default();
        gpus.follow(&generation);
        Self {
            file,
            generation: ArcSwap::from_pointee(generation),
            reloading: tokio::sync::Mutex::default(),
            rejected: Mutex::default(),
            sockets,
            started: Instant::now(),
            started_at,
            cost: Mutex::default(),
            scheduler,
            gpus,
            audit,
            metrics: Metrics::new(started_at, audit_failures),
            refusals: Refusals::default(),
            health: Health::default(),
            documents: Arc::default(),
            bytes: Arc::default(),
            work: Arc::default(),
            batches: Arc::default(),
            connections: Arc::default(),
        }
    }

    /// The generation in force.
    pub fn generation(&self) -> Arc<Generation> {
        self.generation.load_full()
    }

    /// Checks the configuration on disk as a whole, then puts it in force. One at a time.
    ///
    /// # Errors
    /// Every problem; the old generation serves on.
    pub async fn reload(&self) -> Result<ReloadResponse, Vec<Problem>> {
        let _one = self.reloading.lock().await;
        let (file, previous) = (self.file.clone(), self.generation());
        let loaded = tokio::task::spawn_blocking(move || Generation::load(&file, Some(&previous))).await;
        let loaded = loaded.unwrap_or_else(|_| {
            let message = "reading it failed with an internal error; the journal has the place";
            Err(vec![Problem::new(None, message)])
        });
        let result = if loaded.is_ok() { "accepted" } else { "rejected" };
        self.metrics.reloads.get_or_create(&ReloadLabels { result }).inc();
        match loaded {
            Ok((generation, response)) => {
                generation
                    .warnings()
                    .iter()
                    .for_each(|warning| tracing::warn!("{warning}"));
                self.sockets
                    .iter()
                    .for_each(|socket| socket.follow(&generation.policy));
                self.gpus.follow(&generation);
                self.generation.store(Arc::new(generation));
                lock(&self.rejected).clear();
                tracing::info!(
                    loaded = ?response.loaded, kept = ?response.kept, unloaded = ?response.unloaded,
                    plugins_started = ?response.plugins.started, plugins_kept = ?response.plugins.kept,
                    plugins_stopped = ?response.plugins.stopped,
                    "the new configuration is in force"
                );
                Ok(response)
            }
            Err(problems) => {
                for problem in &problems {
                    tracing::error!("reload refused, the old configuration serves on: {problem}");
                }
                *lock(&self.rejected) = problems.iter().map(ToString::to_string).collect();
                Err(problems)
            }
        }
    }

    /// Puts a state in force that differs from the present one in its models. One at a time, and not during a reload.
    ///
    /// # Errors
    /// What `change` says; the present state serves on.
    pub async fn change_models<E: Send + 'static>(
        &self,
        change: impl FnOnce(&Generation) -> Result<Generation, E> + Send + 'static,
    ) -> Result<Arc<Generation>, Option<E>> {
        let _one = self.reloading.lock().await;
        let present = self.generation();
        let changed = tokio::task::spawn_blocking(move || change(&present)).await;
        let changed = Arc::new(changed.map_err(|_| None)?.map_err(Some)?);
        self.gpus.follow(&changed);
        self.generation.store(Arc::clone(&changed));
        Ok(changed)
    }

    /// Notes how long a document with a text of so many bytes took to compute.
    pub fn note_cost(&self, time: Duration, bytes: usize) {
        lock(&self.cost).note(time, bytes);
    }

    /// When what waits now should be done: the answer to whoever comes too many.
    pub fn retry_after(&self) -> Duration {
        lock(&self.cost).wait(self.work.inside(), self.scheduler.threads())
    }

    /// What is true now, for a scrape.
    pub fn now(&self) -> Now {
        Now {
            documents: self.documents.inside(),
            bytes: self.bytes.inside(),
            connections: self.connections.inside(),
            healthy: self.health.state() == ServiceState::Ready,
            models: self.generation().entries.len(),
            plugins: self
                .generation()
                .plugins
                .iter()
                .map(|plugin| plugin.figures())
                .collect(),
            resident_bytes: resident_bytes(),
            gpus: self.gpus.figures(),
        }
    }

    /// What `GET /v1/status` says.
    pub fn status(&self) -> api::StatusResponse {
        let generation = self.generation();
        let server = &generation.config.server;
        let counted = |outcome| self.metrics.counted(outcome);
        let (engine, reason) = self.gpus.reason();
        api::StatusResponse {
            version: mednerd_client::version().to_owned(),
            state: self.health.state(),
            pid: std::process::id(),
            started_at: self.started_at.to_string(),
            uptime_s: self.started.elapsed().as_secs(),
            engine: api::EngineStatus {
                name: engine,
                reason,
                threads: self.scheduler.threads() as u64,
                precision: match engine {
                    api::Engine::Cuda => generation.config.engine.gpu_precision.name().to_owned(),
                    api::Engine::Tract => generation.precision(),
                },
                gpus: self.gpus.status(),
            },
            queue: api::QueueStatus {
                documents: self.documents.inside() as u64,
                capacity: server.max_queued_documents as u64,
                bytes: self.bytes.inside() as u64,
                bytes_capacity: server.max_queued_bytes as u64,
                connections: self.connections.inside() as u64,
            },
            limits: limits(server),
            requests: api::RequestCounts {
                ok: counted("ok"),
                partial: counted("partial"),
                refused: counted("refused"),
                failed: counted("failed"),
                abandoned: counted("abandoned"),
            },
            resident_bytes: resident_bytes(),
            models: generation.names(),
            plugins: generation.plugins.iter().map(|plugin| plugin.status()).collect(),
            configuration: api::ConfigurationStatus {
                files: generation
                    .config
                    .files
                    .iter()
                    .map(|file| file.display().to_string())
                    .collect(),
                loaded_at: generation.loaded_at.to_string(),
                settings: generation.settings().to_owned(),
                rejected: lock(&self.rejected).clone(),
                plugin_development: generation.config.plugin_policy.development,
            },
        }
    }
}

/// What clients may count on.
fn limits(server: &Server) -> api::Limits {
    let milliseconds = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    api::Limits {
        max_text_bytes: server.max_text_bytes as u64,
        max_body_bytes: http::largest_body(server) as u64,
        default_deadline_ms: milliseconds(server.default_deadline),
        max_deadline_ms: milliseconds(server.max_deadline),
        idle_timeout_ms: milliseconds(server.idle_timeout),
        stall_timeout_ms: milliseconds(server.stall_timeout),
        batches: most_of(http::MAX_BATCHES) as u64,
    }
}

/// What it takes to compute texts, as sums over documents in which the last ones count most.
#[derive(Clone, Copy, Debug)]
struct Cost {
    seconds: f64,
    bytes: f64,
}

impl Default for Cost {
    /// Of a model of the shipped one's size on one core, which anything that is known outweighs.
    fn default() -> Self {
        Self {
            seconds: 20e-6,
            bytes: 1.0,
        }
    }
}

impl Cost {
    fn note(&mut self, time: Duration, bytes: usize) {
        let moved = |sum: f64, new: f64| sum * (15.0 / 16.0) + new / 16.0;
        self.seconds = moved(self.seconds, time.as_secs_f64());
        self.bytes = moved(self.bytes, bytes as f64);
    }

    /// When so much is computed, in whole seconds, as far as a client is told.
    fn wait(&self, bytes: usize, threads: usize) -> Duration {
        let seconds = self.seconds / self.bytes.max(f64::MIN_POSITIVE) * bytes as f64 / threads.max(1) as f64;
        // What is out of range is clamped by the cast.
        Duration::from_secs((seconds.ceil() as u64).clamp(1, 60))
    }
}

/// Resident memory of this process; 0 where the kernel does not tell.
fn resident_bytes() -> u64 {
    std::fs::read_to_string("/proc/self/status")
        .ok()
        .and_then(|status| {
            let kilobytes = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
            kilobytes.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()
        })
        .map_or(0, |kilobytes| kilobytes * 1024)
}

/// The time, to the second: what people and logs compare.
pub fn now() -> Timestamp {
    let now = Timestamp::now();
    Timestamp::from_second(now.as_second()).unwrap_or(now)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_long_to_wait_follows_from_the_texts_that_wait() {
        let mut cost = Cost::default();
        let wait = |cost: &Cost, bytes| cost.wait(bytes, 2).as_secs();
        assert_eq!(wait(&cost, 0), 1);
        assert_eq!(wait(&cost, 70 * 1_500_000), 60, "before anything was computed");
        // Many short notes, each in a hundredth of a second, and then a few long ones wait.
        for _ in 0..100 {
            cost.note(Duration::from_millis(10), 1_000);
        }
        assert_eq!(wait(&cost, 4_190_000), 21);
        assert_eq!(wait(&cost, 1_000), 1);
        cost.note(Duration::from_secs(3), 1_500_000);
        assert_eq!(wait(&cost, 15_000_000), 16);
    }
}
