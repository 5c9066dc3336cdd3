//! When a worker that died is started again.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Waiting before the next start: the first death in a while costs nothing, each further one twice the
/// last wait.
#[derive(Clone, Copy, Debug)]
pub struct Backoff {
    /// The first wait.
    pub first: Duration,
    /// The longest.
    pub longest: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self {
            first: Duration::from_millis(50),
            longest: Duration::from_secs(5),
        }
    }
}

/// A worker that dies so often is taken out of service for a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Breaker {
    /// So many deaths
    pub deaths: usize,
    /// within this time
    pub window: Duration,
    /// keep it out for this long; then one more start is tried.
    pub rest: Duration,
}

impl Default for Breaker {
    fn default() -> Self {
        Self {
            deaths: 5,
            window: Duration::from_secs(60),
            rest: Duration::from_secs(30),
        }
    }
}

/// What is to be done after a death.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// Start it at once.
    Now,
    /// Start it after a wait.
    After(Duration),
    /// Out of service; try again after a rest.
    Out(Duration),
}

#[derive(Debug, Default)]
pub(crate) struct Deaths(VecDeque<Instant>);

impl Deaths {
    /// Notes a death.
    pub(crate) fn next(&mut self, now: Instant, backoff: Backoff, breaker: Breaker) -> Next {
        while let Some(first) = self.0.front()
            && now.duration_since(*first) > breaker.window
        {
            self.0.pop_front();
        }
        self.0.push_back(now);
        let deaths = self.0.len();
        if deaths >= breaker.deaths.max(1) {
            // Half open afterwards: one more death within the window, and it is out again.
            while self.0.len() >= breaker.deaths.max(1) {
                self.0.pop_front();
            }
            return Next::Out(breaker.rest);
        }
        match u32::try_from(deaths.saturating_sub(2)) {
            _ if deaths <= 1 => Next::Now,
            Ok(doublings) => {
                let wait = backoff.first.saturating_mul(1 << doublings.min(20));
                Next::After(wait.min(backoff.longest))
            }
            Err(_) => Next::After(backoff.longest),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_then_the_breaker_opens_and_stays_half_open() {
        let (backoff, breaker) = (Backoff::default(), Breaker::default());
        let (mut deaths, begun) = (Deaths::default(), Instant::now());
        let mut at = |seconds| deaths.next(begun + Duration::from_secs(seconds), backoff, breaker);
        assert_eq!(at(0), Next::Now);
        assert_eq!(at(1), Next::After(Duration::from_millis(50)));
        assert_eq!(at(2), Next::After(Duration::from_millis(100)));
        assert_eq!(at(3), Next::After(Duration::from_millis(200)));
        assert_eq!(at(4), Next::Out(Duration::from_secs(30)));
        assert_eq!(at(34), Next::Out(Duration::from_secs(30)), "one more is enough");
        assert_eq!(at(200), Next::Now, "long ago is forgotten");
    }
}
