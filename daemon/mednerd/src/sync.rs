//! A lock that a panic elsewhere does not poison, and a gate that counts what is inside.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// Locks. What a panicking holder left is taken as it is: every critical section here leaves its
/// data whole at each step.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Counts what is inside and lets no more in than a limit, which may differ from call to call.
#[derive(Debug, Default)]
pub struct Gate {
    inside: AtomicUsize,
    freed: Notify,
}

impl Gate {
    /// What is inside.
    pub fn inside(&self) -> usize {
        self.inside.load(Ordering::Relaxed)
    }

    /// A pass with nothing inside yet, to be grown.
    pub fn pass(self: &Arc<Self>) -> Pass {
        Pass {
            gate: Arc::clone(self),
            weight: 0,
        }
    }

    /// Lets `weight` in where that keeps the total within `limit`.
    pub fn try_enter(self: &Arc<Self>, weight: usize, limit: usize) -> Option<Pass> {
        self.inside
            .fetch_update(Ordering::AcqRel, Ordering::Relaxed, |inside| {
                inside.checked_add(weight).filter(|&sum| sum <= limit)
            })
            .ok()
            .map(|_| Pass {
                gate: Arc::clone(self),
                weight,
            })
    }

    /// Takes in what is there already, whatever else is: it counts against what comes after it.
    pub fn take_in(self: &Arc<Self>, weight: usize) -> Pass {
        self.inside.fetch_add(weight, Ordering::AcqRel);
        Pass {
            gate: Arc::clone(self),
            weight,
        }
    }

    /// Waits until `weight` can get in.
    pub async fn enter(self: &Arc<Self>, weight: usize, limit: usize) -> Pass {
        loop {
            let mut freed = std::pin::pin!(self.freed.notified());
            // Registered before the try: a release in between is not missed.
            freed.as_mut().enable();
            if let Some(pass) = self.try_enter(weight, limit) {
                return pass;
            }
            freed.await;
        }
    }
}

/// Something inside a [`Gate`]; leaves when dropped.
#[derive(Debug)]
pub struct Pass {
    gate: Arc<Gate>,
    weight: usize,
}

impl Pass {
    /// Takes `more` in on the same pass where that keeps the total within `limit`.
    pub fn try_grow(&mut self, more: usize, limit: usize) -> bool {
        let Some(mut extra) = self.gate.try_enter(more, limit) else {
            return false;
        };
        self.weight += std::mem::take(&mut extra.weight);
        true
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        self.gate.inside.fetch_sub(self.weight, Ordering::AcqRel);
        self.gate.freed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gate_counts_and_refuses() {
        let gate = Arc::new(Gate::default());
        let mut first = gate.try_enter(3, 5).unwrap();
        assert!(gate.try_enter(3, 5).is_none());
        assert!(first.try_grow(2, 5));
        assert!(!first.try_grow(1, 5));
        assert_eq!(gate.inside(), 5);
        let more = gate.take_in(4);
        assert_eq!(gate.inside(), 9);
        drop(first);
        assert!(gate.try_enter(2, 5).is_none());
        drop(more);
        assert_eq!(gate.inside(), 0);
        assert!(gate.try_enter(usize::MAX, usize::MAX).is_some());
    }

    #[tokio::test]
    async fn who_waits_gets_in_when_another_leaves() {
        let gate = Arc::new(Gate::default());
        let first = gate.try_enter(1, 1).unwrap();
        let waiting = tokio::spawn({
            let gate = Arc::clone(&gate);
            async move { gate.enter(1, 1).await.weight }
        });
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        drop(first);
        assert_eq!(waiting.await.unwrap(), 1);
    }
}
