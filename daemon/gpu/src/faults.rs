//! Faults that tests inject into a worker: a file names what goes wrong at the next batch. Without the file, or
//! without faults at all, nothing here does anything.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::protocol::{Fault, Values};

/// Where the faults to inject are named.
///
/// The file holds one word, and is taken away by the batch that it strikes; after `always` it stays. The words:
/// `sticky` (the GPU's context is broken, for good), `hang` (the call never ends), `stop` (the whole process stands
/// still), `oom`, `wrong` (logits that are finite and false), `nan`, `short` (too few logits), `exit`, `kill` and, for the
/// start of a process, `old-driver`. After `beside` a batch waits for the next one first, a second at most; `beside` by itself is a fault
/// only where none comes in four.
#[derive(Debug, Default)]
pub struct Faults {
    file: Option<PathBuf>,
    broken: AtomicBool,
    /// Batches so far.
    batches: AtomicU64,
}

/// How long a batch waits for the next one, where something happens to it and where not.
const BESIDE: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(4)];

impl Faults {
    /// Faults as `file` names them.
    pub fn from_file(file: &Path) -> Self {
        Self {
            file: Some(file.to_owned()),
            ..Self::default()
        }
    }

    /// Why the worker does not start, where it is to not start.
    pub(crate) fn at_start(&self) -> Option<String> {
        let named = fs::read_to_string(self.file.as_ref()?).ok()?;
        named.contains("old-driver").then(|| {
            "the NVIDIA driver is 470.57.2 and 580 or later is needed; upgrade the driver (this fault is injected)".to_owned()
        })
    }

    /// Takes what the file names.
    fn take(&self) -> Option<String> {
        let file = self.file.as_ref()?;
        let named = fs::read_to_string(file).ok()?;
        if let Some(word) = named.trim().strip_prefix("always ") {
            return Some(word.to_owned());
        }
        // One batch alone finds it there.
        fs::remove_file(file).ok()?;
        Some(named.trim().to_owned())
    }

    /// Lets what is named happen to a batch that `compute` computes.
    pub(crate) fn strike(
        &self,
        compute: impl FnOnce() -> Result<Vec<Values>, Fault>,
    ) -> Result<Vec<Values>, Fault> {
        if self.file.is_none() {
            return compute();
        }
        let number = self.batches.fetch_add(1, Ordering::SeqCst) + 1;
        let named = self.take().unwrap_or_default();
        let word = named.strip_prefix("beside").map_or(&*named, str::trim);
        if word != named {
            let until = Instant::now() + BESIDE[usize::from(word.is_empty())];
            while self.batches.load(Ordering::SeqCst) == number && Instant::now() < until {
                std::thread::sleep(Duration::from_millis(1));
            }
            if self.batches.load(Ordering::SeqCst) == number && word.is_empty() {
                return Err(Fault::Device("no other batch came (injected)".to_owned()));
            }
        }
        match word {
            "sticky" => self.broken.store(true, Ordering::Relaxed),
            "oom" => return Err(Fault::OutOfMemory),
            "exit" => std::process::exit(7),
            "hang" => loop {
                std::thread::sleep(Duration::from_secs(1));
            },
            "stop" | "kill" => {
                let signal = if word == "stop" {
                    Signal::SIGSTOP
                } else {
                    Signal::SIGKILL
                };
                let _ = kill(Pid::this(), signal);
            }
            _ => {}
        }
        if self.broken.load(Ordering::Relaxed) {
            return Err(Fault::Device("an illegal memory access (injected)".to_owned()));
        }
        let mut values = compute()?;
        let each = values.iter_mut().flat_map(Values::values_mut);
        match word {
            "wrong" => each.for_each(|value| *value = 3.0 - *value),
            "nan" => each.for_each(|value| *value = f32::NAN),
            "short" => drop(values.last_mut().and_then(|last| last.values_mut().pop())),
            _ => {}
        }
        Ok(values)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_strikes_once_and_a_broken_context_stays_broken() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("fault");
        let faults = Faults::from_file(&file);
        let batch = || faults.strike(|| Ok(vec![Values::All(vec![1.0, 2.0])]));
        assert_eq!(batch(), Ok(vec![Values::All(vec![1.0, 2.0])]));
        fs::write(&file, "wrong\n").unwrap();
        assert_eq!(batch(), Ok(vec![Values::All(vec![2.0, 1.0])]));
        assert_eq!(batch(), Ok(vec![Values::All(vec![1.0, 2.0])]));
        fs::write(&file, "always oom").unwrap();
        assert_eq!(batch(), Err(Fault::OutOfMemory));
        assert_eq!(batch(), Err(Fault::OutOfMemory));
        fs::write(&file, "sticky").unwrap();
        assert!(matches!(batch(), Err(Fault::Device(_))));
        assert!(!file.exists());
        // One that waits for another, which finds the context broken.
        fs::write(&file, "beside oom").unwrap();
        std::thread::scope(|scope| {
            let waits = scope.spawn(batch);
            while file.exists() {
                std::thread::yield_now();
            }
            assert!(!waits.is_finished());
            assert!(matches!(batch(), Err(Fault::Device(_))));
            assert_eq!(waits.join().unwrap(), Err(Fault::OutOfMemory));
        });
        assert!(matches!(batch(), Err(Fault::Device(_))));
    }
}
