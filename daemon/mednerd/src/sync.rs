//! A lock that a panic elsewhere does not poison, and a gate that counts what is inside, and whose it is.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// Locks. What a panicking holder left is taken as it is: every critical section here leaves its
/// data whole at each step.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How often what a user holds may be what is left free, so that somebody who holds nothing always finds something.
const TIMES: usize = 7;

/// Counts what is inside, in all and of each user, and lets no more in than a limit, which may differ from call to call.
#[derive(Debug, Default)]
pub struct Gate {
    inside: Mutex<Inside>,
    freed: Notify,
}

#[derive(Debug, Default)]
struct Inside {
    all: usize,
    /// Of each user that has something inside.
    users: HashMap<u32, usize>,
}

/// Why somebody does not get in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Full {
    /// There is no room.
    All,
    /// The user has as much as one may have beside others.
    Own,
}

impl Inside {
    /// Whether `weight` more fits, for `user` where it is somebody's. A user may hold [seven times](TIMES) what it leaves free: alone
    /// seven eighths of all, and less where others hold something too.
    fn fits(&self, user: Option<u32>, weight: usize, limit: usize) -> Result<(), Full> {
        let all = self.all.checked_add(weight).filter(|&all| all <= limit);
        let spare = limit - all.ok_or(Full::All)?;
        match user {
            Some(user) if (self.of(user) + weight) / TIMES > spare => Err(Full::Own),
            _ => Ok(()),
        }
    }

    /// As [`Self::fits`], for what can wait: it takes half of all, and where others hold that, an eighth.
    fn fits_behind(&self, user: u32, weight: usize, limit: usize) -> bool {
        let (half, little) = ((limit / 2).max(weight), limit / (TIMES + 1));
        let within_half = self.all.checked_add(weight).is_some_and(|all| all <= half);
        within_half || (self.of(user) + weight <= little && self.fits(Some(user), weight, limit).is_ok())
    }

    fn of(&self, user: u32) -> usize {
        self.users.get(&user).copied().unwrap_or_default()
    }

    fn add(&mut self, user: Option<u32>, weight: usize) {
        self.all += weight;
        if let Some(user) = user.filter(|_| weight > 0) {
            *self.users.entry(user).or_default() += weight;
        }
    }

    fn remove(&mut self, user: Option<u32>, weight: usize) {
        self.all -= weight;
        if let Some(Entry::Occupied(mut held)) = user.map(|user| self.users.entry(user)) {
            *held.get_mut() -= weight;
            if *held.get() == 0 {
                held.remove();
            }
        }
    }
}

impl Gate {
    /// What is inside.
    pub fn inside(&self) -> usize {
        lock(&self.inside).all
    }

    /// This gate as it is for a user.
    pub fn of(self: &Arc<Self>, user: u32) -> Share {
        Share {
            gate: Arc::clone(self),
            user,
        }
    }

    /// Lets `weight` in, which is nobody's, where that keeps the total within `limit`.
    pub fn try_enter(self: &Arc<Self>, weight: usize, limit: usize) -> Option<Pass> {
        let mut pass = Pass::empty(self, None);
        pass.try_grow(weight, limit).is_ok().then_some(pass)
    }
}

/// A gate as it is for one user.
#[derive(Clone, Debug)]
pub struct Share {
    gate: Arc<Gate>,
    user: u32,
}

impl Share {
    /// A pass with nothing inside yet, to be grown.
    pub fn pass(&self) -> Pass {
        Pass::empty(&self.gate, Some(self.user))
    }

    /// Lets `weight` in where that keeps the total within `limit` and leaves something to others.
    ///
    /// # Errors
    /// [`Full`]
    pub fn try_enter(&self, weight: usize, limit: usize) -> Result<Pass, Full> {
        let mut pass = self.pass();
        pass.try_grow(weight, limit).map(|()| pass)
    }

    /// Takes in what is there already, whatever else is: it counts against what comes after it.
    pub fn take_in(&self, weight: usize) -> Pass {
        lock(&self.gate.inside).add(Some(self.user), weight);
        self.having(weight)
    }

    /// Waits until [`Self::try_enter`] lets `weight` in.
    pub async fn enter(&self, weight: usize, limit: usize) -> Pass {
        self.wait(|| self.try_enter(weight, limit).ok()).await
    }

    /// Waits until `weight` can get in as what may wait does: while no more than half of `limit` is inside or, where others hold that
    /// half, while the user holds no more than an eighth.
    pub async fn enter_behind(&self, weight: usize, limit: usize) -> Pass {
        let enter = || {
            let mut inside = lock(&self.gate.inside);
            let fits = inside.fits_behind(self.user, weight, limit);
            fits.then(|| {
                inside.add(Some(self.user), weight);
                self.having(weight)
            })
        };
        self.wait(enter).await
    }

    /// A pass with what was counted already.
    fn having(&self, weight: usize) -> Pass {
        let mut pass = self.pass();
        pass.weight = weight;
        pass
    }

    async fn wait(&self, enter: impl Fn() -> Option<Pass>) -> Pass {
        loop {
            let mut freed = std::pin::pin!(self.gate.freed.notified());
            // Registered before the try: a release in between is not missed.
            freed.as_mut().enable();
            if let Some(pass) = enter() {
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
    user: Option<u32>,
    weight: usize,
}

impl Pass {
    fn empty(gate: &Arc<Gate>, user: Option<u32>) -> Self {
        Self {
            gate: Arc::clone(gate),
            user,
            weight: 0,
        }
    }

    /// Takes `more` in on the same pass where that keeps the total within `limit` and leaves something to others.
    ///
    /// # Errors
    /// [`Full`]
    pub fn try_grow(&mut self, more: usize, limit: usize) -> Result<(), Full> {
        let mut inside = lock(&self.gate.inside);
        inside.fits(self.user, more, limit)?;
        inside.add(self.user, more);
        self.weight += more;
        Ok(())
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        // Nothing has left: who tries and waits would wake itself.
        if self.weight == 0 {
            return;
        }
        lock(&self.gate.inside).remove(self.user, self.weight);
        self.gate.freed.notify_waiters();
    }
}

/// How much one user can have inside who is alone, of `limit`.
pub fn most_of(limit: usize) -> usize {
    // `own / TIMES <= limit - own` in whole numbers, solved for `own`.
    limit - (limit + 1) / (TIMES + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gate_counts_and_refuses() {
        let gate = Arc::new(Gate::default());
        let mut first = gate.try_enter(3, 5).unwrap();
        assert!(gate.try_enter(3, 5).is_none());
        first.try_grow(2, 5).unwrap();
        assert_eq!(first.try_grow(1, 5), Err(Full::All));
        assert_eq!(gate.inside(), 5);
        let more = gate.of(7).take_in(4);
        assert_eq!(gate.inside(), 9);
        drop(first);
        assert!(gate.try_enter(2, 5).is_none());
        drop(more);
        assert_eq!(gate.inside(), 0);
        assert!(gate.try_enter(usize::MAX, usize::MAX).is_some());
        assert!(
            lock(&gate.inside).users.is_empty(),
            "nobody is kept who holds nothing"
        );
    }

    /// How much a user gets in, one by one.
    fn fill(gate: &Arc<Gate>, user: u32, limit: usize) -> Vec<Pass> {
        std::iter::from_fn(|| gate.of(user).try_enter(1, limit).ok()).collect()
    }

    #[test]
    fn a_user_alone_gets_nearly_all() {
        for limit in 1..=600 {
            let gate = Arc::new(Gate::default());
            let held = fill(&gate, 7, limit);
            assert_eq!(held.len(), most_of(limit), "{limit}");
        }
        assert_eq!([4, 7, 9, 64, 512].map(most_of), [4, 6, 8, 56, 448]);
    }

    #[test]
    fn whoever_comes_later_finds_something_and_in_time_as_much() {
        let (gate, limit) = (Arc::new(Gate::default()), 64);
        let mut greedy = fill(&gate, 1, limit);
        assert_eq!(gate.of(1).try_enter(1, limit).unwrap_err(), Full::Own);
        let mut later = fill(&gate, 2, limit);
        assert_eq!((greedy.len(), later.len()), (56, 7));
        assert_eq!(fill(&gate, 3, limit).len(), 1, "even then");
        // What the first leaves goes to the second, until both have the same.
        for _ in 0..64 {
            greedy.pop();
            greedy.extend(fill(&gate, 1, limit));
            later.extend(fill(&gate, 2, limit));
        }
        assert!(
            greedy.len().abs_diff(later.len()) <= 7,
            "{} {}",
            greedy.len(),
            later.len()
        );
        assert!(greedy.len() + later.len() >= 56);
    }

    #[tokio::test]
    async fn what_can_wait_takes_half_and_where_others_hold_that_an_eighth() {
        let (gate, limit) = (Arc::new(Gate::default()), 64);
        let behind = |user| {
            let share = gate.of(user);
            async move { share.enter_behind(1, limit).await }
        };
        let mut held = Vec::new();
        let mut take = async |user| {
            let pass = tokio::time::timeout(std::time::Duration::from_millis(20), behind(user)).await;
            pass.map(|pass| held.push(pass)).is_ok()
        };
        let mut first = 0;
        while take(1).await {
            first += 1;
        }
        assert_eq!(first, 32);
        let mut second = 0;
        while take(2).await {
            second += 1;
        }
        assert_eq!(second, 8);
        assert!(
            gate.of(1).try_enter(1, limit).is_ok(),
            "a single note gets in all the same"
        );
    }

    #[tokio::test]
    async fn who_waits_gets_in_when_another_leaves() {
        let gate = Arc::new(Gate::default());
        let first = gate.of(1).try_enter(1, 1).unwrap();
        let waiting = tokio::spawn({
            let share = gate.of(2);
            async move { share.enter(1, 1).await.weight }
        });
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        drop(first);
        assert_eq!(waiting.await.unwrap(), 1);
    }
}
