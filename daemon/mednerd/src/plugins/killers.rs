//! Documents that killed a plugin's host, each alone with it. Whoever sends one again and again would take the plugin out of
//! service for everybody.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use sha2::Sha256;

/// How long a document is refused.
const REST: Duration = Duration::from_secs(600);
/// So many are remembered, the latest.
const MOST: usize = 1024;
/// From this weight on a document is refused. A crash has all of it, a call that was not over in time a half: the machine may
/// have been busy.
const GUILTY: u32 = 2;
/// The weight of a call that was not over in time.
const LATE: u32 = 1;

/// What tells documents apart; nothing of their text can be had from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Digest([u8; 32]);

impl Digest {
    /// Of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self(<Sha256 as sha2::Digest>::digest(bytes).into())
    }
}

/// The documents, by what they did.
#[derive(Debug, Default)]
pub struct Killers {
    /// When it last killed, and the weight of all its kills.
    found: HashMap<Digest, (Instant, u32)>,
    /// The host still has it after its time.
    suspect: Option<Digest>,
}

impl Killers {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    /// Whether a document is one that kills hosts.
    pub fn knows(&self, digest: &Digest, now: Instant) -> bool {
        let killed = self.found.get(digest);
        killed.is_some_and(|(at, weight)| is_recent(*at, now) && *weight >= GUILTY)
    }

    /// A host crashed over it.
    pub fn add(&mut self, digest: Digest, now: Instant) {
        self.charge(digest, GUILTY, now);
    }

    fn charge(&mut self, digest: Digest, weight: u32, now: Instant) {
        self.found.retain(|_, (at, _)| is_recent(*at, now));
        if self.found.len() >= MOST && !self.found.contains_key(&digest) {
            let oldest = self.found.iter().min_by_key(|(_, (at, _))| *at);
            if let Some(oldest) = oldest.map(|(digest, _)| *digest) {
                self.found.remove(&oldest);
            }
        }
        let (at, charged) = self.found.entry(digest).or_insert((now, 0));
        *at = now;
        *charged = charged.saturating_add(weight);
    }

    /// A host may die of it yet; `None` where it has several.
    pub fn suspect(&mut self, digest: Option<Digest>) {
        self.suspect = digest;
    }

    /// The host is killed as it would not come back from the suspect.
    pub fn convict(&mut self, now: Instant) {
        if let Some(digest) = self.suspect.take() {
            self.charge(digest, LATE, now);
        }
    }

    /// The host of the suspect is gone, of something else.
    pub fn acquit(&mut self) {
        self.suspect = None;
    }
}

fn is_recent(at: Instant, now: Instant) -> bool {
    now.saturating_duration_since(at) < REST
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_killed_is_known_for_a_while_and_few_are_kept() {
        let (mut killers, now) = (Killers::default(), Instant::now());
        let digest = |number: usize| Digest::of(&number.to_le_bytes());
        assert!(killers.is_empty());
        for number in 0..=MOST {
            let at = now + Duration::from_millis(number as u64);
            killers.add(digest(number), at);
        }
        assert!(!killers.knows(&digest(0), now), "the oldest had to go");
        assert!(killers.knows(&digest(1), now) && killers.knows(&digest(MOST), now));
        assert!(!killers.knows(&digest(MOST + 1), now), "another document");
        assert!(!killers.knows(&digest(1), now + REST + REST));
        killers.add(digest(7), now + REST + REST);
        assert_eq!(killers.found.len(), 1);
    }

    #[test]
    fn who_twice_did_not_come_back_in_time_is_a_killer_once_hosts_were_killed_for_that() {
        let (mut killers, now) = (Killers::default(), Instant::now());
        let [one, two] = [Digest::of(b"1"), Digest::of(b"2")];
        killers.suspect(Some(one));
        killers.convict(now);
        killers.convict(now);
        assert!(!killers.knows(&one, now), "once may be the machine");
        killers.suspect(Some(one));
        killers.convict(now);
        assert!(killers.knows(&one, now));
        for _ in 0..3 {
            killers.suspect(Some(two));
            killers.suspect(None);
            killers.convict(now);
            killers.suspect(Some(two));
            killers.acquit();
            killers.convict(now);
        }
        assert!(!killers.knows(&two, now));
    }
}
