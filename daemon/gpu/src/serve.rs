//! The worker's side of the protocol, for any engine.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use mednerd_worker::child::{Answer, Link, Token};

use crate::faults::Faults;
use crate::protocol::{
    Batch, CONCURRENCY, Fault, Load, Loaded, Ready, Reply, Request, Start, Statistics, Values, Window,
};

/// The largest `Start` frame: everything else has the limit that it names.
const START_FRAME: usize = 1 << 16;

/// What computes. Calls come from several threads; the engine has the GPU do one after the other.
pub trait Engine: Send + Sync + 'static {
    /// Loads a model; its number is not in use.
    ///
    /// # Errors
    /// [`Fault`]
    fn load(&self, load: &Load) -> Result<Loaded, Fault>;

    /// Forgets a model. One that is not there is forgotten already.
    fn unload(&self, model: u64);

    /// The logits of windows, or the scores of their words: window by window, model by model. There is at least one.
    ///
    /// # Errors
    /// [`Fault`]
    fn forward(&self, windows: &[Window<'_>], token: &Token) -> Result<Vec<Values>, Fault>;

    /// Memory in use and number of models.
    ///
    /// # Errors
    /// [`Fault::Device`] where the GPU does not answer.
    fn health(&self) -> Result<(u64, u64), Fault>;
}

struct Server<E> {
    engine: E,
    faults: Faults,
    batches: AtomicU64,
    tokens: AtomicU64,
    max_frame: usize,
}

/// Takes the socket that is standard input and serves with the engine that `open` makes until the daemon closes. `open` says
/// in a sentence for the administrator why there is none.
///
/// # Errors
/// Where standard input is no such socket, or the daemon sends what it must not.
pub fn serve<E: Engine>(
    faults: Faults,
    open: impl FnOnce(&Start) -> Result<(E, Ready), String>,
) -> io::Result<()> {
    let (link, start) = Link::begin(START_FRAME)?;
    let invalid = |_| io::Error::from(io::ErrorKind::InvalidData);
    let start: Start = postcard::from_bytes(&start).map_err(invalid)?;
    if let Some(why) = faults.at_start() {
        return link.refuse(&why);
    }
    let (engine, ready) = match open(&start) {
        Ok(pair) => pair,
        // A driver may come later, and a GPU be given back.
        Err(why) => return link.unable(&why),
    };
    let server = Server {
        engine,
        faults,
        batches: AtomicU64::new(0),
        tokens: AtomicU64::new(0),
        max_frame: start.max_frame,
    };
    let link = Arc::new(link.with_limit(start.max_frame));
    link.ready(&postcard::to_allocvec(&ready).map_err(invalid)?)?;
    link.serve(CONCURRENCY, move |payload, token| server.answer(payload, token))
}

impl<E: Engine> Server<E> {
    fn answer(&self, payload: &[u8], token: &Token) -> Answer {
        let reply = match postcard::from_bytes(payload) {
            Ok(request) => self.run(request, token),
            Err(_) => Err(Fault::Unreadable),
        };
        // An empty payload is no fault that the daemon knows, which it treats as the worst.
        let failed = |fault| postcard::to_allocvec(&fault).unwrap_or_default();
        let bytes = postcard::to_allocvec(&reply.map_err(failed)?).map_err(|_| Vec::new())?;
        match bytes.len() > self.max_frame {
            // For many labels there are many scores. Those of fewer windows fit.
            true => Err(failed(Fault::OutOfMemory)),
            false => Ok(bytes),
        }
    }

    fn run(&self, request: Request, token: &Token) -> Result<Reply, Fault> {
        match request {
            Request::Load(load) => self.engine.load(&load).map(Reply::Loaded),
            Request::Unload { model } => {
                self.engine.unload(model);
                Ok(Reply::Unloaded)
            }
            Request::Forward(batch) => self.forward(&batch, token).map(Reply::Values),
            Request::Health => {
                let (memory_used, models) = self.engine.health()?;
                Ok(Reply::Health(Statistics {
                    memory_used,
                    models,
                    batches: self.batches.load(Ordering::Relaxed),
                    tokens: self.tokens.load(Ordering::Relaxed),
                }))
            }
        }
    }

    fn forward(&self, batch: &Batch, token: &Token) -> Result<Vec<Values>, Fault> {
        let windows = batch.windows().filter(|windows| !windows.is_empty());
        let windows = windows.ok_or(Fault::Unreadable)?;
        let values = self.faults.strike(|| self.engine.forward(&windows, token))?;
        self.batches.fetch_add(1, Ordering::Relaxed);
        self.tokens.fetch_add(batch.ids.len() as u64, Ordering::Relaxed);
        Ok(values)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;
    use std::time::{Duration, Instant};

    use super::*;

    /// Gives as many values as a window has ids.
    struct Counts;

    impl Engine for Counts {
        fn load(&self, _: &Load) -> Result<Loaded, Fault> {
            Err(Fault::UnknownModel)
        }
        fn unload(&self, _: u64) {}
        fn forward(&self, windows: &[Window<'_>], _: &Token) -> Result<Vec<Values>, Fault> {
            let values = windows.iter().map(|window| vec![1.0; window.ids.len()]);
            Ok(values.map(Values::All).collect())
        }
        fn health(&self) -> Result<(u64, u64), Fault> {
            Ok((0, 0))
        }
    }

    #[test]
    fn what_does_not_fit_a_frame_is_asked_for_in_smaller_batches() {
        let server = Server {
            engine: Counts,
            faults: Faults::default(),
            batches: AtomicU64::new(0),
            tokens: AtomicU64::new(0),
            max_frame: 4 * 100 + 8,
        };
        let token = Token::new(
            Instant::now() + Duration::from_secs(60),
            Arc::new(AtomicBool::new(false)),
        );
        let answer = |count: usize| {
            let mut batch = Batch::default();
            batch.push(Window::new(&[1], &vec![5; count]));
            server.answer(&postcard::to_allocvec(&Request::Forward(batch)).unwrap(), &token)
        };
        let fault = postcard::to_allocvec(&Fault::OutOfMemory).unwrap();
        assert!(answer(100).is_ok());
        assert_eq!(answer(102), Err(fault));
    }
}
