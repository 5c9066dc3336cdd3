//! The signals by which people and systems break off a run, for what has to be put in order before it ends.

use std::fs;
use std::future::pending;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// SIGHUP, SIGINT and SIGTERM, each unless this process was started to ignore it, as `nohup` does. By default none.
#[derive(Debug, Default)]
pub struct Interrupted(Vec<Signal>);

impl Interrupted {
    /// From now on these signals end the process no more.
    ///
    /// # Errors
    /// What the system says.
    pub fn new() -> io::Result<Self> {
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let kinds = [
            SignalKind::hangup(),
            SignalKind::interrupt(),
            SignalKind::terminate(),
        ];
        let wanted = kinds.into_iter().filter(|kind| !is_ignored(&status, *kind));
        Ok(Self(wanted.map(signal).collect::<io::Result<_>>()?))
    }

    /// A flag that one of them sets, for work that awaits nothing.
    ///
    /// # Errors
    /// What the system says.
    pub fn flag() -> io::Result<Arc<AtomicBool>> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .build()?;
        let mut signals = {
            let _inside = runtime.enter();
            Self::new()?
        };
        let flag = Arc::new(AtomicBool::new(false));
        let set = Arc::clone(&flag);
        std::thread::Builder::new().spawn(move || {
            runtime.block_on(signals.wait());
            set.store(true, Ordering::Relaxed);
        })?;
        Ok(flag)
    }

    /// Waits for one of them.
    pub async fn wait(&mut self) {
        if self.0.is_empty() {
            return pending().await;
        }
        std::future::poll_fn(|context| {
            let mut signals = self.0.iter_mut();
            match signals.any(|signal| signal.poll_recv(context).is_ready()) {
                true => Poll::Ready(()),
                false => Poll::Pending,
            }
        })
        .await;
    }
}

/// Whether the line `SigIgn` of a process's status has this signal.
fn is_ignored(status: &str, kind: SignalKind) -> bool {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask >> (kind.as_raw_value() - 1) & 1 == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nohup_ignores_stays_ignored() {
        let status = "Name:\tmednerctl\nSigBlk:\t0000000000000000\nSigIgn:\t0000000000000001\n";
        assert!(is_ignored(status, SignalKind::hangup()));
        assert!(!is_ignored(status, SignalKind::terminate()));
        assert!(!is_ignored("", SignalKind::hangup()));
    }
}
