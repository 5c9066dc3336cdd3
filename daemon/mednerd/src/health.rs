//! Whether the daemon works, found out by trying: its admin socket must answer, and a worker must
//! compute each model's self-check sentence to the very logits it had at load. Only a check that
//! passed feeds systemd's watchdog.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use mednerd_client::Client;
use mednerd_client::api::ServiceState;

use crate::app::App;
use crate::sync::lock;

/// How long one part of a check may take. A worker finishes at most one window first.
const PATIENCE: Duration = Duration::from_secs(10);

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
pub async fn check(app: &App, socket: &Path) -> Result<(), String> {
    let result = try_all(app, socket).await;
    app.health.note(&result);
    result
}

/// Checks for ever, each time after `interval`, and feeds the watchdog after each check that passed. The
/// caller has just checked.
pub async fn watch(app: Arc<App>, interval: Duration, watched: bool) {
    let socket = app.generation().config.server.admin_socket.clone();
    loop {
        tokio::time::sleep(interval).await;
        if check(&app, &socket).await.is_ok() && watched {
            crate::notify::watchdog();
        }
    }
}

async fn try_all(app: &App, socket: &Path) -> Result<(), String> {
    let answer = tokio::time::timeout(PATIENCE, async {
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
    for entry in &app.generation().entries {
        let checked = tokio::time::timeout(PATIENCE, app.scheduler.check(Arc::clone(&entry.model))).await;
        match checked {
            Ok(Some(Ok(()))) => {}
            Ok(Some(Err(error))) => return Err(format!("model \"{}\": {error}", entry.name)),
            Ok(None) => return Err("the workers have ended".to_owned()),
            Err(_) => return Err("no worker took the self-check in time".to_owned()),
        }
    }
    Ok(())
}
