//! The calls that a GPU computes, one after the other: whose turn it is and since when, and when the next batch is to be made. No I/O
//! here.

use std::collections::VecDeque;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use mednerd_worker::CallError;

/// How long before the GPU has nothing left to do the next batch is made: for the socket, packing and the copy to the GPU.
const LEAD: Duration = Duration::from_millis(1);
/// And one of so many parts of what it has: larger batches take longer to hand over, and what is expected of them is further off.
const LEAD_PART: u32 = 8;

/// What a call is told.
#[derive(Debug)]
pub(super) enum Told {
    /// All before it are over, since then.
    Turn(Instant),
    /// Nothing will come of it: the worker is being killed.
    Over,
    /// What the worker says.
    Reply(Result<Vec<u8>, CallError>),
}

/// What became of a call.
#[derive(Debug)]
pub(super) enum Outcome {
    /// See [`Told::Reply`].
    Reply(Result<Vec<u8>, CallError>),
    /// See [`Told::Over`].
    Over,
    /// It took longer than it may.
    Late,
}

/// Calls in the order in which they were made. One is in line from the moment at which it is begun to be made, so that no other
/// thread makes one of what comes meanwhile.
#[derive(Debug)]
pub(super) struct Line {
    calls: VecDeque<Call>,
    next: u64,
    /// Since when the first one has its turn or, where there is none, there is none.
    since: Instant,
}

#[derive(Debug)]
struct Call {
    number: u64,
    /// How long it takes, about; not known while it is being made.
    expected: Option<Duration>,
    /// How long it may take.
    allowed: Duration,
    tell: Sender<Told>,
}

impl Default for Line {
    fn default() -> Self {
        Self {
            calls: VecDeque::new(),
            next: 0,
            since: Instant::now(),
        }
    }
}

impl Line {
    /// Since when there is no call.
    pub(super) fn idle_since(&self) -> Option<Instant> {
        self.calls.is_empty().then_some(self.since)
    }

    /// When the next batch is to be made; `None` where that is not known before something has changed.
    ///
    /// At once where the GPU has nothing: a single note waits for nobody. Else as late as the GPU does not have to wait for it: what comes before
    /// that could not be computed sooner anyway and may be in it, however short its document, so that batches are as full as if there were
    /// one at a time. What is expected is the shortest that the like took; where a batch is done sooner all the same, the next one is made then.
    pub(super) fn due(&self) -> Option<Instant> {
        if self.calls.is_empty() {
            return Some(self.since);
        }
        let expected: Option<Duration> = self.calls.iter().map(|call| call.expected).sum();
        let expected = expected?;
        let lead = LEAD + expected / LEAD_PART;
        Some(self.since + expected.saturating_sub(lead))
    }

    /// A call is begun to be made, which may take `longest`: its number, and what it is told.
    pub(super) fn join(&mut self, now: Instant, longest: Duration) -> (u64, Sender<Told>, Receiver<Told>) {
        let (tell, told) = channel();
        let number = self.next;
        self.next += 1;
        if self.calls.is_empty() {
            self.since = now;
            // The receiver is here.
            let _ = tell.send(Told::Turn(now));
        }
        self.calls.push_back(Call {
            number,
            expected: None,
            allowed: longest,
            tell: tell.clone(),
        });
        (number, tell, told)
    }

    /// A call is sent, of which so much is known. Gives when it is over at the latest, whatever becomes of those before it.
    pub(super) fn sent(
        &mut self,
        number: u64,
        expected: Duration,
        allowed: Duration,
        now: Instant,
    ) -> Instant {
        if self.calls.front().is_some_and(|call| call.number == number) {
            self.since = now;
        }
        let mut latest = self.since.max(now);
        for call in &mut self.calls {
            if call.number == number {
                (call.expected, call.allowed) = (Some(expected), allowed);
            }
            latest += call.allowed;
            if call.number == number {
                break;
            }
        }
        latest
    }

    /// A call is over, whatever became of it.
    pub(super) fn leave(&mut self, number: u64, now: Instant) {
        let Some(place) = self.calls.iter().position(|call| call.number == number) else {
            return;
        };
        self.calls.remove(place);
        if place == 0 {
            self.since = now;
            if let Some(next) = self.calls.front() {
                // One that has just ended does not listen.
                let _ = next.tell.send(Told::Turn(now));
            }
        }
    }

    /// Tells every call that nothing will come of it.
    pub(super) fn give_up(&self) {
        for call in &self.calls {
            let _ = call.tell.send(Told::Over);
        }
    }
}

/// Waits for what becomes of a call that was sent, which may take so long once it has its turn: what it waits for those before it does not
/// count, and they have a time of their own. Gives its time, where it had its turn.
pub(super) fn wait(told: &Receiver<Told>, sent: Instant, allowed: Duration) -> (Outcome, Option<Duration>) {
    let mut begun: Option<Instant> = None;
    loop {
        let next = match begun {
            Some(begun) => told.recv_timeout(allowed.saturating_sub(begun.elapsed())),
            None => told.recv().map_err(RecvTimeoutError::from),
        };
        let outcome = match next {
            Ok(Told::Turn(at)) => {
                begun = Some(at.max(sent));
                continue;
            }
            Ok(Told::Reply(reply)) => Outcome::Reply(reply),
            Err(RecvTimeoutError::Timeout) => Outcome::Late,
            // Who would tell has gone.
            Ok(Told::Over) | Err(RecvTimeoutError::Disconnected) => Outcome::Over,
        };
        return (outcome, begun.map(|begun| begun.elapsed()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONGEST: Duration = Duration::from_secs(30);

    fn milliseconds(number: u64) -> Duration {
        Duration::from_millis(number)
    }

    #[test]
    fn a_lone_note_goes_at_once_and_the_next_batch_is_made_before_the_gpu_has_nothing_left() {
        let begun = Instant::now();
        let mut line = Line::default();
        assert!(line.due().unwrap() <= Instant::now());
        let (one, ..) = line.join(begun, LONGEST);
        assert_eq!(
            line.due(),
            None,
            "what comes meanwhile is not made a batch of its own"
        );
        line.sent(one, milliseconds(40), LONGEST, begun);
        let due = line.due().unwrap() - begun;
        assert!((30..40).contains(&due.as_millis()), "{due:?}");
        // With a second one, when both are nearly done.
        let (two, ..) = line.join(begun + due, LONGEST);
        assert_eq!(line.due(), None);
        line.sent(two, milliseconds(40), LONGEST, begun + due);
        assert!(line.due().unwrap() - begun > milliseconds(60));
        // And one that is done sooner than was expected makes the next one earlier.
        line.leave(one, begun + milliseconds(35));
        let due = line.due().unwrap() - begun;
        assert!((60..75).contains(&due.as_millis()), "{due:?}");
        line.leave(two, begun + milliseconds(50));
        assert_eq!(line.due(), Some(begun + milliseconds(50)));
        assert_eq!(line.idle_since(), Some(begun + milliseconds(50)));
        // What is over before it may have begun, such as a single note, is followed at once.
        let (three, ..) = line.join(begun, LONGEST);
        line.sent(three, milliseconds(1), LONGEST, begun);
        assert_eq!(line.due(), Some(begun));
    }

    #[test]
    fn a_calls_time_begins_when_those_before_it_are_over() {
        let begun = Instant::now();
        let mut line = Line::default();
        let (one, tell_one, told_one) = line.join(begun, LONGEST);
        let (two, tell_two, told_two) = line.join(begun, LONGEST);
        assert_eq!(
            line.sent(one, milliseconds(1), milliseconds(300), begun),
            begun + milliseconds(300)
        );
        assert_eq!(
            line.sent(two, milliseconds(1), milliseconds(500), begun),
            begun + milliseconds(800)
        );
        tell_one.send(Told::Reply(Ok(vec![1]))).unwrap();
        let (outcome, time) = wait(&told_one, begun, milliseconds(300));
        assert!(matches!(outcome, Outcome::Reply(Ok(reply)) if reply == [1]));
        assert!(time.is_some());
        let over = begun + milliseconds(100);
        line.leave(one, over);
        let Told::Turn(at) = told_two.try_recv().unwrap() else {
            panic!("the turn of the second one")
        };
        assert_eq!(at, over);
        // One that is answered before its turn has no time.
        let (three, tell_three, told_three) = line.join(begun, LONGEST);
        tell_three.send(Told::Reply(Ok(Vec::new()))).unwrap();
        let (outcome, time) = wait(&told_three, begun, milliseconds(300));
        assert!(matches!(outcome, Outcome::Reply(Ok(_))) && time.is_none());
        line.leave(three, begun);
        drop((tell_two, told_two));
        // Whoever has gone is told nothing.
        line.leave(two, begun);
        assert_eq!(line.idle_since(), Some(begun));
    }

    #[test]
    fn a_stuck_call_is_found_after_its_own_time_and_whoever_is_behind_it_at_once() {
        let mut line = Line::default();
        let (one, _tell_one, told_one) = line.join(Instant::now(), LONGEST);
        let (two, _tell_two, told_two) = line.join(Instant::now(), LONGEST);
        // The first is done later than the second one may take: that does not count.
        std::thread::scope(|scope| {
            let second = scope.spawn(move || {
                let (outcome, time) = wait(&told_two, Instant::now(), milliseconds(20));
                (outcome, time, Instant::now())
            });
            std::thread::sleep(milliseconds(60));
            let over = Instant::now();
            line.leave(one, over);
            let (outcome, time, at) = second.join().unwrap();
            assert!(matches!(outcome, Outcome::Late));
            assert!(time.unwrap() >= milliseconds(20) && at - over >= milliseconds(20));
        });
        line.leave(two, Instant::now());
        drop(told_one);
        // Both are told when one of them is stuck, whichever it is.
        let (_, _tell, first) = line.join(Instant::now(), LONGEST);
        let (_, _tell, second) = line.join(Instant::now(), LONGEST);
        line.give_up();
        for told in [first, second] {
            let (outcome, _) = wait(&told, Instant::now(), LONGEST);
            assert!(matches!(outcome, Outcome::Over));
        }
    }
}
