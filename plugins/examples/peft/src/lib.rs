//! Brings a NER task: the LoRA tensors and the head of a PEFT directory, for the base that the settings name.
//! Cuts white space and punctuation off the ends of what the model finds.
#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

use std::path::{Path, PathBuf};

use mednerd_plugin::{Adapter, AdapterFiles, Call, Error, Host, Settings, Span, Task};

mednerd_plugin::export! {
    id: "example.peft",
    version: env!("CARGO_PKG_VERSION"),
    adapter: Peft,
}

/// `[plugins.settings]`
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    /// What requests call the task.
    name: String,
    /// The base model's digest, as `mednerctl models --json` tells it.
    base: String,
    /// Entity types, without `B-` and `I-`.
    labels: Vec<String>,
    /// The PEFT directory.
    path: PathBuf,
}

struct Peft(Options);

impl Adapter for Peft {
    fn open(settings: &Settings, _: Host) -> Result<Self, Error> {
        let options: Options = settings.read()?;
        for file in [CONFIG, TENSORS] {
            let path = options.path.join(file);
            if !path.is_file() {
                let path = path.display();
                return Err(Error::settings(format!("settings.path: {path} is not there")));
            }
        }
        Ok(Self(options))
    }

    fn task(&self) -> Result<Task, Error> {
        Ok(Task {
            name: self.0.name.clone(),
            base: self.0.base.clone(),
            labels: self.0.labels.clone(),
            refines: true,
        })
    }

    fn files(&self, call: &Call<'_>) -> Result<AdapterFiles, Error> {
        let mut config = read(&self.0.path, CONFIG)?;
        if let Some(labels) = label_map(&self.0.path)? {
            // As text: the order of what else is in it counts.
            let at = config
                .iter()
                .position(|byte| *byte == b'{')
                .map_or(0, |at| at + 1);
            config.splice(at..at, format!("\"id2label\": {labels},").into_bytes());
        }
        call.check()?;
        let tensors = read(&self.0.path, TENSORS)?;
        Ok(AdapterFiles { config, tensors })
    }

    fn refine(&self, text: &str, spans: Vec<Span>, call: &Call<'_>) -> Result<Vec<Span>, Error> {
        let mut refined = Vec::with_capacity(spans.len());
        for span in spans {
            call.check()?;
            let found = text.get(span.begin..span.end).unwrap_or_default();
            let outer = |c: char| c.is_whitespace() || ".,;:".contains(c);
            let kept = found.trim_start_matches(outer);
            let begin = span.end - kept.len();
            let end = begin + kept.trim_end_matches(outer).len();
            if begin < end {
                refined.push(Span { begin, end, ..span });
            }
        }
        Ok(refined)
    }
}

/// The labels of the head's outputs, where the trained model's `config.json` lies beside the adapter; else it has those of
/// the base.
fn label_map(folder: &Path) -> Result<Option<serde_json::Value>, Error> {
    if !folder.join(MODEL).is_file() {
        return Ok(None);
    }
    let mut model: serde_json::Value =
        serde_json::from_slice(&read(folder, MODEL)?).map_err(|_| Error::internal(2))?;
    Ok(model.get_mut("id2label").map(serde_json::Value::take))
}

const MODEL: &str = "config.json";
const CONFIG: &str = "adapter_config.json";
const TENSORS: &str = "adapter_model.safetensors";

fn read(folder: &Path, file: &str) -> Result<Vec<u8>, Error> {
    let path = folder.join(file);
    std::fs::read(&path).map_err(|error| Error::unavailable(1, format!("{}: {error}", path.display())))
}
