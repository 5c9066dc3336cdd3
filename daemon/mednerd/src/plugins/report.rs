//! What the daemon's routes and metrics say of a plugin.

use std::sync::atomic::Ordering;
use std::time::SystemTime;

use jiff::Timestamp;
use mednerd_client::api;
use mednerd_worker::State;

use super::{CHANGED, FAILURES_IN_A_ROW, Plugin};
use crate::sync::lock;

impl Plugin {
    /// What `GET /v1/plugins` says of it.
    pub fn info(&self) -> api::PluginInfo {
        let statistics = self.worker.statistics();
        let (state, reason) = self.told(&statistics.state);
        let last_failure = lock(&self.last_failure).clone();
        api::PluginInfo {
            id: self.manifest.id.clone(),
            version: self.manifest.version.clone(),
            vendor: self.manifest.vendor.clone(),
            path: self.wanted.path.display().to_string(),
            abilities: self.manifest.abilities.clone(),
            vocabularies: self
                .vocabularies()
                .iter()
                .map(|vocabulary| api::VocabularyInfo {
                    name: vocabulary.name.clone(),
                    version: vocabulary.version.clone(),
                })
                .collect(),
            formats: self.formats().unwrap_or_default().to_vec(),
            task: self.task().map(|task| task.name.clone()),
            signed_by: self.key_id.clone(),
            sha256: self.sha256.clone(),
            state,
            reason,
            pid: statistics.pid,
            ready_since: statistics.ready_since.map(timestamp),
            start_ms: statistics.start_time.as_secs_f64() * 1e3,
            starts: statistics.starts,
            deaths: statistics.deaths,
            last_death: statistics
                .last_death
                .map(|death| event(death.at, self.heard.explained(&death.cause))),
            last_failure: last_failure.map(|(at, error)| event(at, error.to_string())),
            calls: api::PluginCalls {
                answered: statistics.answered,
                failed: statistics.failed,
                overruns: statistics.overruns,
            },
            sandbox: self.sandbox(),
        }
    }

    /// What `GET /v1/status` says of it.
    pub fn status(&self) -> api::PluginStatus {
        let statistics = self.worker.statistics();
        let (state, reason) = self.told(&statistics.state);
        api::PluginStatus {
            id: self.manifest.id.clone(),
            state,
            reason,
            deaths: statistics.deaths,
            last_death: statistics
                .last_death
                .map(|death| self.heard.explained(&death.cause)),
            failed: statistics.failed,
            last_failure: lock(&self.last_failure)
                .as_ref()
                .map(|(_, error)| error.to_string()),
            signed_by: self.key_id.clone(),
            sandbox: self.sandbox(),
        }
    }

    /// Its state, and why it is no better.
    fn told(&self, state: &State) -> (api::PluginState, Option<String>) {
        let failures = lock(&self.queue).failures;
        match told(state) {
            (api::PluginState::Ready, _) if self.heard.changed.load(Ordering::Relaxed) => {
                (api::PluginState::OutOfService, Some(CHANGED.to_owned()))
            }
            (api::PluginState::Ready, _) if failures >= FAILURES_IN_A_ROW => {
                let why = format!("it has failed the last {failures} documents");
                (api::PluginState::Ready, Some(why))
            }
            plain => plain,
        }
    }

    fn sandbox(&self) -> api::PluginSandbox {
        let held = self
            .ready()
            .map(|ready| ready.sandbox.clone())
            .unwrap_or_default();
        api::PluginSandbox {
            enough: held.is_enough(),
            landlock: held.landlock,
            seccomp: held.seccomp,
        }
    }

    /// For a scrape: calls answered, calls failed, deaths, whether it is in service.
    pub fn figures(&self) -> Figures {
        let statistics = self.worker.statistics();
        Figures {
            id: self.manifest.id.clone(),
            answered: statistics.answered,
            failed: statistics.failed,
            deaths: statistics.deaths,
            ready: statistics.state == State::Ready && !self.heard.changed.load(Ordering::Relaxed),
            counters: self
                .heard
                .counters
                .iter()
                .map(|(name, value)| (name.clone(), *lock(value)))
                .collect(),
        }
    }
}

/// What is counted of a plugin.
#[derive(Clone, Debug)]
pub struct Figures {
    /// Its id.
    pub id: String,
    /// Calls that it answered.
    pub answered: u64,
    /// Calls that failed.
    pub failed: u64,
    /// Hosts that died.
    pub deaths: u64,
    /// Whether it takes calls.
    pub ready: bool,
    /// The counters that its manifest declares.
    pub counters: Vec<(String, f64)>,
}

fn timestamp(time: SystemTime) -> String {
    Timestamp::try_from(time).map_or_else(|_| String::new(), |time| time.to_string())
}

fn event(at: SystemTime, cause: String) -> api::PluginEvent {
    api::PluginEvent {
        at: timestamp(at),
        cause,
    }
}

fn told(state: &State) -> (api::PluginState, Option<String>) {
    match state {
        State::Starting => (api::PluginState::Starting, None),
        State::Ready => (api::PluginState::Ready, None),
        State::BackingOff(why) => (api::PluginState::BackingOff, Some(why.clone())),
        State::OutOfService(why) => (api::PluginState::OutOfService, Some(why.clone())),
        State::Stopped(why) => (api::PluginState::Stopped, Some(why.clone())),
    }
}
