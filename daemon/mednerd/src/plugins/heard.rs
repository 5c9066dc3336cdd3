//! What a plugin's hosts tell of themselves: what they declare, log and count, and how they end. None of it may hold a note.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use mednerd_plugin::Vocabulary;
use mednerd_plugin::contract::{self, Breach};
use mednerd_plugin_host::protocol::{Event, Ready};
use mednerd_worker::Notice;

use super::CHANGED;
use crate::sync::lock;

/// Events of one plugin that are logged in a second.
const EVENTS_PER_SECOND: u32 = 20;

/// What its host has told.
pub(super) struct Heard {
    pub(super) id: String,
    pub(super) events: Vec<String>,
    pub(super) counters: Vec<(String, Mutex<f64>)>,
    pub(super) memory_mb: u64,
    /// What the first host told. What requests name, they name by this.
    pub(super) ready: OnceLock<Result<Ready, Breach>>,
    /// The vocabularies of the host that is there, which may be of other versions.
    pub(super) vocabularies: Mutex<Arc<[Vocabulary]>>,
    /// The host that is there has another task, vocabulary or format than the first one.
    pub(super) changed: AtomicBool,
    pub(super) logged: Mutex<(Instant, u32)>,
}

impl Heard {
    pub(super) fn hear(&self, notice: Notice<'_>) {
        let plugin = &*self.id;
        match notice {
            Notice::Ready(payload) => self.take_ready(payload),
            Notice::Event(payload) => {
                if let Ok(event) = postcard::from_bytes::<Event>(payload) {
                    self.take_event(event);
                }
            }
            Notice::Died(cause) => {
                let cause = self.explained(cause);
                tracing::warn!(plugin, "the plugin's host died and is started again: {cause}")
            }
            Notice::OutOfService(cause) => {
                tracing::error!(
                    plugin,
                    "the plugin is out of service for a while, as its host keeps dying: {cause}"
                );
            }
        }
    }

    fn take_ready(&self, payload: &[u8]) {
        let Ok(ready) = postcard::from_bytes::<Ready>(payload) else {
            return;
        };
        let checked = check(&ready).map(|()| ready);
        let first = self.ready.get_or_init(|| checked.clone());
        let changed = !is_as(first, &checked);
        self.changed.store(changed, Ordering::Relaxed);
        if changed {
            tracing::error!(plugin = &*self.id, "{CHANGED}");
            return;
        }
        let declared = checked.ok().and_then(|ready| ready.vocabularies);
        let declared: Arc<[Vocabulary]> = declared.unwrap_or_default().into();
        let before = std::mem::replace(&mut *lock(&self.vocabularies), Arc::clone(&declared));
        if !before.is_empty() && before != declared {
            tracing::warn!(
                plugin = &*self.id,
                "since its restart the plugin links to other versions of its vocabularies; answers tell them"
            );
        }
    }

    /// A cause of death with what is likely behind it.
    pub(super) fn explained(&self, cause: &str) -> String {
        match cause.ends_with("SIGABRT") {
            true => format!(
                "{cause}: a failure that nothing caught, or more memory than its memory_mb = {}",
                self.memory_mb
            ),
            false => cause.to_owned(),
        }
    }

    fn take_event(&self, event: Event) {
        match event {
            Event::Log { level, event, values } => {
                {
                    let mut logged = lock(&self.logged);
                    if logged.0.elapsed() >= Duration::from_secs(1) {
                        *logged = (Instant::now(), 0);
                    }
                    logged.1 += 1;
                    if logged.1 > EVENTS_PER_SECOND {
                        return;
                    }
                }
                // A name that the vendor has signed holds no note.
                let Some(event) = self.events.iter().find(|known| **known == event) else {
                    return;
                };
                let values: Vec<f64> = values.into_iter().take(8).map(narrowed).collect();
                let plugin = &*self.id;
                match level {
                    1 => tracing::error!(plugin, event, ?values, "told by the plugin"),
                    2 => tracing::warn!(plugin, event, ?values, "told by the plugin"),
                    3 => tracing::info!(plugin, event, ?values, "told by the plugin"),
                    _ => tracing::debug!(plugin, event, ?values, "told by the plugin"),
                }
            }
            Event::Metric { name, add } => {
                if let Some((_, value)) = self.counters.iter().find(|(known, _)| *known == name)
                    && add.is_finite()
                    && add >= 0.0
                {
                    *lock(value) += narrowed(add);
                }
            }
        }
    }
}

/// Whether a host is what the first one was, but for versions of vocabularies.
fn is_as(first: &Result<Ready, Breach>, other: &Result<Ready, Breach>) -> bool {
    let names = |ready: &Ready| {
        let declared = ready.vocabularies.iter().flatten();
        declared
            .map(|vocabulary| vocabulary.name.clone())
            .collect::<Vec<_>>()
    };
    match (first, other) {
        (Ok(first), Ok(other)) => {
            names(first) == names(other)
                && first.vocabularies.is_some() == other.vocabularies.is_some()
                && first.task == other.task
                && first.formats == other.formats
                && first.sandbox == other.sandbox
        }
        (first, other) => first == other,
    }
}

/// A number as it may be logged and counted: to three digits, and neither so large nor so small that it could hold a word.
fn narrowed(value: f64) -> f64 {
    const LARGEST: f64 = 1e9;
    const SMALLEST: f64 = 1e-3;
    if !value.is_finite() || value.abs() < SMALLEST {
        return 0.0;
    }
    let value = value.clamp(-LARGEST, LARGEST);
    let unit = 10_f64.powi(value.abs().log10().floor() as i32 - 2);
    // By way of text, as 3 digits times a power of ten are seldom a number of 64 bits.
    format!("{:.2e}", (value / unit).round() * unit)
        .parse()
        .unwrap_or(0.0)
}

/// What a plugin declares must be fit for answers.
fn check(ready: &Ready) -> Result<(), Breach> {
    if let Some(vocabularies) = &ready.vocabularies {
        contract::vocabularies(vocabularies)?;
    }
    if let Some(task) = &ready.task {
        contract::task(task)?;
    }
    if let Some(formats) = &ready.formats {
        contract::formats(formats)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_keep_three_digits_and_a_bounded_range() {
        for (given, kept) in [
            (0.0, 0.0),
            (42.0, 42.0),
            (3.0, 3.0),
            (-1234.5, -1230.0),
            (0.123456, 0.123),
            (99_950.0, 100_000.0),
            (1e300, 1e9),
            (-1e300, -1e9),
            (1e-300, 0.0),
            (f64::NAN, 0.0),
            (f64::INFINITY, 0.0),
        ] {
            assert_eq!(narrowed(given), kept, "{given}");
        }
        // The bytes of a name.
        let word = f64::from_le_bytes(*b"Patient1");
        assert_ne!(narrowed(word).to_le_bytes(), *b"Patient1");
    }

    #[test]
    fn a_host_is_another_one_where_more_than_versions_differ() {
        let ready = |name: &str, version: &str, formats: &[&str]| {
            Ok(Ready {
                vocabularies: Some(vec![Vocabulary {
                    name: name.to_owned(),
                    version: version.to_owned(),
                }]),
                formats: Some(formats.iter().map(ToString::to_string).collect()),
                ..Ready::default()
            })
        };
        let first = ready("V", "1", &["f"]);
        assert!(is_as(&first, &ready("V", "2", &["f"])));
        assert!(!is_as(&first, &ready("W", "1", &["f"])));
        assert!(!is_as(&first, &ready("V", "1", &["f", "g"])));
        assert!(!is_as(&first, &Err(Breach::Digest)));
        assert!(is_as(&Err(Breach::Digest), &Err(Breach::Digest)));
    }
}
