//! What systemd is told (`sd_notify(3)`). Without systemd every call here does nothing.

use std::time::Duration;

use nix::time::{ClockId, clock_gettime};
use systemd::daemon;

/// The sockets answer.
pub fn ready(status: &str) {
    send(&[(daemon::STATE_READY, "1"), (daemon::STATE_STATUS, status)]);
}

/// It is not ready yet, and why.
pub fn waiting(why: &str) {
    send(&[(daemon::STATE_STATUS, why)]);
}

/// Whether systemd waits for [`ready`].
pub fn is_awaited() -> bool {
    std::env::var_os("NOTIFY_SOCKET").is_some()
}

/// A reload begins; [`ready`] ends it.
pub fn reloading() {
    let monotonic = clock_gettime(ClockId::CLOCK_MONOTONIC)
        .map(Duration::from)
        .unwrap_or_default()
        .as_micros()
        .to_string();
    send(&[
        (daemon::STATE_RELOADING, "1"),
        ("MONOTONIC_USEC", &monotonic),
        (daemon::STATE_STATUS, "reloading"),
    ]);
}

/// The end begins.
pub fn stopping() {
    send(&[
        (daemon::STATE_STOPPING, "1"),
        (daemon::STATE_STATUS, "finishing the requests under way"),
    ]);
}

/// A health check passed.
pub fn watchdog() {
    send(&[(daemon::STATE_WATCHDOG, "1")]);
}

/// How often the watchdog wants to hear, where there is one.
pub fn watchdog_interval() -> Option<Duration> {
    daemon::watchdog_enabled()
        .ok()
        .filter(|&microseconds| microseconds > 0)
        .map(Duration::from_micros)
}

fn send(state: &[(&str, &str)]) {
    if let Err(error) = daemon::notify(state.iter()) {
        tracing::warn!("systemd could not be notified: {error}");
    }
}
