//! Whether the daemon works, found out by trying: its admin socket must answer, and a worker must
//! compute each model's self-check sentence to the very logits it had at load. Only a check that
//! passed feeds systemd's watchdog. The models are checked before the first request is taken, too.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use mednerd_client::Client;
use mednerd_client::api::ServiceState;

use crate::app::App;
use crate::sync::lock;

/// How long the admin socket may take to answer.
const TO_ANSWER: Duration = Duration::from_secs(10);
/// How long it may take until a worker has a turn for the self-checks, which come before all that waits. The worker finishes a window
/// first, and one of a large model for many labels takes a slow core a quarter of that. With a check every 15 s, what takes
/// longer still feeds a watchdog of 60 s.
const A_TURN: Duration = Duration::from_secs(30);

/// What the last check found.
#[derive(Debug, Default)]
pub struct Health {
    failure: Mutex<Option<String>>,
    stopping: std::sync::atomic::AtomicBool,
}

impl Health {
    /// What the daemon is doing as a whole.
    pub fn state(&self) -> ServiceState {
        if self.stopping.load(std::sync::atomic::Ordering::Relaxed) {
            ServiceState::Stopping
        } else if lock(&self.failure).is_some() {
            ServiceState::Unhealthy
        } else {
            ServiceState::Ready
        }
    }

    /// Why the last check failed.
    pub fn failure(&self) -> Option<String> {
        lock(&self.failure).clone()
    }

    /// From now on it is stopping.
    pub fn stop(&self) {
        self.stopping.store(true, std::sync::atomic::Ordering::Relaxed);
    }

    fn note(&self, result: &Result<(), String>) {
        let mut failure = lock(&self.failure);
        match result {
            Ok(()) if failure.is_some() => tracing::info!("the health check passes again"),
            Err(reason) if failure.as_ref() != Some(reason) => {
                tracing::error!("the health check fails: {reason}");
            }
            _ => {}
        }
        *failure = result.as_ref().err().cloned();
    }
}

/// Checks everything once and notes the result in `app.health`.
///
/// # Errors
/// What does not work, in a sentence.
async fn check(app: &App, socket: &Path) -> Result<(), String> {
    let result = try_all(app, socket).await;
    app.health.note(&result);
    result
}

/// Checks for ever, at once and then each time after `interval`, and feeds the watchdog after each check that passed.
pub async fn watch(app: Arc<App>, interval: Duration, watched: bool) {
    let socket = app.generation().config.server.admin_socket.clone();
    loop {
        if check(&app, &socket).await.is_ok() && watched {
            crate::notify::watchdog();
        }
        tokio::time::sleep(interval).await;
    }
}

/// Has a worker check every model, however long that takes.
///
/// # Errors
/// Which model does not work, and why.
pub async fn check_models(app: &App) -> Result<(), String> {
    let generation = app.generation();
    let models = generation.entries.iter().map(|entry| Arc::clone(&entry.model));
    match app.scheduler.check(models.collect()).await {
        Some(Ok(())) => Ok(()),
        Some(Err((index, error))) => {
            let entry = generation.entries.get(index);
            let name = entry.map_or("", |entry| &entry.name);
            Err(format!("model \"{name}\": {error}"))
        }
        None => Err("the workers have ended".to_owned()),
    }
}

async fn try_all(app: &App, socket: &Path) -> Result<(), String> {
    let answer = tokio::time::timeout(TO_ANSWER, async {
        Client::new(socket)
            .raw(http::Method::GET, "/healthz", Vec::new())
            .await
    });
    match answer.await {
        Ok(Ok((200, _))) => {}
        Ok(Ok((status, _))) => return Err(format!("its admin socket answered with status {status}")),
        Ok(Err(error)) => return Err(format!("its admin socket does not answer: {error}")),
        Err(_) => return Err("its admin socket does not answer in time".to_owned()),
    }
    let checked = tokio::time::timeout(A_TURN, check_models(app)).await;
    checked.unwrap_or_else(|_| Err("no worker took the self-checks in time".to_owned()))
}
