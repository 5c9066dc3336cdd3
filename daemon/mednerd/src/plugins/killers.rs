//! Documents that killed a plugin's host. Whoever sends one again and again would take the plugin out of service for everybody.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use sha2::Sha256;

/// How long a document is refused.
const REST: Duration = Duration::from_secs(600);
/// So many are remembered, the latest.
const MOST: usize = 1024;
/// From this weight on a document is refused.
const GUILTY: u32 = 2;

/// What tells documents apart; nothing of their text can be had from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Digest([u8; 32]);

impl Digest {
    /// Of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self(mednerd_sys::forgetting(|| {
            <Sha256 as sha2::Digest>::digest(bytes).into()
        }))
    }
}

/// How a host died.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Death {
    /// By itself.
    Crashed,
    /// Killed, as it did not come back in time.
    Overran,
}

impl Death {
    /// What it weighs where the host had this one document. The machine may have been busy where it only took its time.
    fn weight(self) -> u32 {
        match self {
            Self::Crashed => GUILTY,
            Self::Overran => GUILTY / 2,
        }
    }
}

/// What a document is remembered for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// A host died of it and others, or once did not come back from it: it gets a host alone.
    Suspect,
    /// It is given to no host.
    Killer,
}

/// The documents, by what they did.
#[derive(Debug, Default)]
pub struct Killers {
    /// When a host last died of it, and the weight of all these deaths.
    found: HashMap<Digest, (Instant, u32)>,
    /// How often one was added.
    deaths: u64,
}

impl Killers {
    /// Nothing where there is nothing to compare a document with that was not there after so many deaths; else how many there were by now.
    pub fn news(&self, deaths: u64, now: Instant) -> Option<u64> {
        let any = || self.found.values().any(|(at, _)| is_recent(*at, now));
        (self.deaths > deaths && any()).then_some(self.deaths)
    }

    /// What a document is remembered for, if anything.
    pub fn standing(&self, digest: &Digest, now: Instant) -> Option<Standing> {
        let (_, weight) = self.found.get(digest).filter(|(at, _)| is_recent(*at, now))?;
        match *weight >= GUILTY {
            true => Some(Standing::Killer),
            false => Some(Standing::Suspect),
        }
    }

    /// A host died while it had these. Where they are several, none of them is to blame yet.
    pub fn charge(&mut self, digests: &[Digest], death: Death, now: Instant) {
        let weight = match digests {
            [] => return,
            [_] => death.weight(),
            _ => 0,
        };
        self.deaths += 1;
        self.found.retain(|_, (at, _)| is_recent(*at, now));
        for digest in digests {
            if self.found.len() >= MOST && !self.found.contains_key(digest) {
                let oldest = self.found.iter().min_by_key(|(_, (at, _))| *at);
                if let Some(oldest) = oldest.map(|(digest, _)| *digest) {
                    self.found.remove(&oldest);
                }
            }
            let (at, charged) = self.found.entry(*digest).or_insert((now, 0));
            *at = now;
            *charged = charged.saturating_add(weight);
        }
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
        assert_eq!(killers.news(0, now), None);
        for number in 0..=MOST {
            let at = now + Duration::from_millis(number as u64);
            killers.charge(&[digest(number)], Death::Crashed, at);
        }
        let killer = Some(Standing::Killer);
        assert_eq!(killers.standing(&digest(0), now), None, "the oldest had to go");
        assert_eq!(killers.standing(&digest(1), now), killer);
        assert_eq!(killers.standing(&digest(MOST), now), killer);
        assert_eq!(killers.standing(&digest(MOST + 1), now), None, "another document");
        let deaths = killers.news(0, now).unwrap();
        assert_eq!(
            killers.news(deaths, now),
            None,
            "it was compared with all of them"
        );
        let late = now + REST + REST;
        assert_eq!(killers.standing(&digest(1), late), None);
        assert_eq!(killers.news(0, late), None);
        killers.charge(&[digest(7)], Death::Crashed, late);
        assert_eq!(killers.found.len(), 1);
        assert!(killers.news(deaths, late).is_some());
    }

    #[test]
    fn who_did_not_come_back_is_a_killer_the_second_time_and_alone() {
        let (mut killers, now) = (Killers::default(), Instant::now());
        let [one, two] = [Digest::of(b"1"), Digest::of(b"2")];
        killers.charge(&[one], Death::Overran, now);
        assert_eq!(
            killers.standing(&one, now),
            Some(Standing::Suspect),
            "once may be the machine"
        );
        for _ in 0..3 {
            killers.charge(&[one, two], Death::Overran, now);
            killers.charge(&[one, two], Death::Crashed, now);
            killers.charge(&[], Death::Crashed, now);
        }
        for digest in [one, two] {
            assert_eq!(killers.standing(&digest, now), Some(Standing::Suspect));
        }
        killers.charge(&[one], Death::Overran, now);
        assert_eq!(killers.standing(&one, now), Some(Standing::Killer));
        assert_eq!(killers.standing(&two, now), Some(Standing::Suspect));
    }
}
