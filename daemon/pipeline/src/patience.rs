//! How long an answer is waited for, asked now and then.

/// Steps from one question to the next: a millisecond or so.
const BETWEEN_QUESTIONS: usize = 1 << 16;

/// Whether somebody still waits for what takes so many steps.
pub(crate) struct Patience<'a> {
    wanted: &'a dyn Fn() -> bool,
    steps: usize,
    ended: bool,
}

impl<'a> Patience<'a> {
    /// As long as it is `wanted`.
    pub(crate) fn new(wanted: &'a dyn Fn() -> bool) -> Self {
        Self {
            wanted,
            steps: 0,
            ended: false,
        }
    }

    /// Counts some more steps; whether they are waited for. Once they are not, none is any more.
    pub(crate) fn lasts(&mut self, steps: usize) -> bool {
        self.steps = self.steps.saturating_add(steps);
        if !self.ended && self.steps >= BETWEEN_QUESTIONS {
            self.steps = 0;
            self.ended = !(self.wanted)();
        }
        !self.ended
    }
}
