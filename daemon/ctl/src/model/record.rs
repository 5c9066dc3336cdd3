//! What makes up a model directory, and the record of it: `SHA256SUMS`, as `sha256sum` reads and writes it, which a
//! vendor may sign with minisign (`SHA256SUMS.minisig`).

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::Read;
use std::path::{Component, Path};

use mednerd_plugin::package::{self, PackageError, Policy};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::error::{ModelError, at};

/// The record's name.
pub const SUMS: &str = "SHA256SUMS";
/// The model card's name.
pub const CARD: &str = "README.md";
/// The weights' names, and that of the index of shards.
pub const WEIGHTS: &str = "model.safetensors";
pub const INDEX: &str = "model.safetensors.index.json";
pub const ADAPTER_WEIGHTS: &str = "adapter_model.safetensors";
pub const ADAPTER_CONFIG: &str = "adapter_config.json";

/// Everything but weights, that the daemon or a person reads. Whatever else lies in a checkpoint is not installed.
const FILES: [&str; 22] = [
    "config.json",
    "gliner_config.json",
    ADAPTER_CONFIG,
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.txt",
    "vocab.json",
    "merges.txt",
    "sentencepiece.bpe.model",
    "spm.model",
    INDEX,
    CARD,
    "LICENSE",
    "LICENSE.txt",
    "LICENSE.md",
    "NOTICE",
    "goldens.jsonl",
    "labels_encoder/config.json",
    "labels_encoder/tokenizer.json",
    "labels_encoder/tokenizer_config.json",
];
/// Other forms of weights; each may run code when it is read.
const PICKLES: [&str; 4] = [
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
    "adapter_model.bin",
    "model.pt",
];
/// No file but weights is larger; XLM-RoBERTa's tokenizer has 17 MB.
const SMALL: u64 = 64 << 20;
/// No file of weights is larger.
const LARGE: u64 = 64 << 30;

/// The largest that a file of this name may be.
pub fn limit(name: &str) -> u64 {
    if is_weights(name) { LARGE } else { SMALL }
}

fn is_weights(name: &str) -> bool {
    name.ends_with(".safetensors") && !name.contains('/') && !name.starts_with('.') && name.len() <= 128
}

/// Digests by file name.
pub type Sums = BTreeMap<String, String>;

/// The names of a checkpoint's or adapter's files, the index's shards among them. `read` gives a file's content.
///
/// # Errors
/// [`ModelError`]: there is no model, or no weights in safetensors.
pub fn names(
    dir: &Path,
    exists: impl Fn(&str) -> bool,
    read: impl Fn(&str) -> Result<Vec<u8>, ModelError>,
) -> Result<BTreeSet<String>, ModelError> {
    let mut names: BTreeSet<String> = FILES
        .iter()
        .filter(|name| exists(name))
        .map(ToString::to_string)
        .collect();
    let adapter = names.contains(ADAPTER_CONFIG);
    if !adapter && !names.contains("config.json") && !names.contains("gliner_config.json") {
        return Err(ModelError::NoModel { path: dir.to_owned() });
    }
    let weights = if adapter { ADAPTER_WEIGHTS } else { WEIGHTS };
    if exists(weights) {
        names.insert(weights.to_owned());
        names.remove(INDEX); // of shards beside the whole, which are not read
        return Ok(names);
    }
    if adapter || !names.contains(INDEX) {
        let found = PICKLES.iter().find(|name| exists(name)).map(ToString::to_string);
        return Err(ModelError::NoSafetensors {
            path: dir.to_owned(),
            found,
        });
    }
    let fault = |problem: &str| ModelError::Weights {
        path: dir.join(INDEX),
        problem: problem.to_owned(),
    };
    let index: Value = serde_json::from_slice(&read(INDEX)?).map_err(|error| fault(&error.to_string()))?;
    let map = index.get("weight_map").and_then(Value::as_object);
    for shard in map.ok_or_else(|| fault("\"weight_map\" is missing"))?.values() {
        match shard.as_str() {
            Some(name) if is_weights(name) => names.insert(name.to_owned()),
            _ => {
                return Err(fault(
                    "names a shard that is no .safetensors file of this directory",
                ));
            }
        };
    }
    Ok(names)
}

/// The record as a text.
pub fn written(sums: &Sums) -> String {
    sums.iter()
        .map(|(name, sum)| format!("{sum}  {name}\n"))
        .collect()
}

/// Reads a record, in any form that sha256sum writes. Names are those of a model's files alone, so that none leaves the directory;
/// what else there is in it may be recorded too where nobody `signed` it, and is passed over.
///
/// # Errors
/// [`ModelError::Record`], with the line.
pub fn parsed(path: &Path, text: &[u8], signed: bool) -> Result<Sums, ModelError> {
    let wrong = |line| ModelError::Record {
        path: path.to_owned(),
        line,
    };
    let text = std::str::from_utf8(text).map_err(|_| wrong(1))?;
    let mut sums = Sums::new();
    for (number, line) in (1..).zip(text.lines()) {
        // The second column says how the file was read, which is the same here.
        let (sum, name) = line
            .split_once("  ")
            .or_else(|| line.split_once(" *"))
            .ok_or_else(|| wrong(number))?;
        let name = name.trim_start_matches("./");
        let hex = sum.len() == 64
            && sum
                .bytes()
                .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
        let known = FILES.contains(&name) || is_weights(name);
        if !hex || sums.contains_key(name) || !(known || (!signed && stays_inside(name))) {
            return Err(wrong(number));
        }
        if !known {
            continue;
        }
        sums.insert(name.to_owned(), sum.to_owned());
    }
    Ok(sums)
}

fn stays_inside(name: &str) -> bool {
    let mut parts = Path::new(name).components();
    !name.is_empty() && parts.all(|part| matches!(part, Component::Normal(_)))
}

/// The record in a directory and the key that signed it; `None` where there is no record.
///
/// # Errors
/// [`ModelError`]; a signature that does not fit, or of a key that is not trusted, is one.
pub fn read(dir: &Path, trusted_keys: &Path) -> Result<Option<(Sums, Option<String>)>, ModelError> {
    let path = dir.join(SUMS);
    if !path.exists() {
        return Ok(None);
    }
    let policy = Policy {
        owned: false,
        ..Policy::production(trusted_keys.to_owned())
    };
    let (text, key) = match package::signed_file(dir, SUMS, &policy) {
        Ok((text, key)) => (text, Some(key)),
        Err(PackageError::Unsigned { .. }) => (fs::read(&path).map_err(at(&path))?, None),
        Err(error) => return Err(error.into()),
    };
    Ok(Some((parsed(&path, &text, key.is_some())?, key)))
}

/// SHA-256 of a stream in hexadecimal, and `seen` is given each part of it; at most `limit` bytes.
///
/// # Errors
/// [`ModelError`], with `path`.
pub fn digest(
    mut from: impl Read,
    path: &Path,
    limit: u64,
    mut seen: impl FnMut(&[u8]) -> Result<(), ModelError>,
) -> Result<String, ModelError> {
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 1 << 18];
    let mut total = 0_u64;
    loop {
        let count = from.read(&mut buffer).map_err(at(path))?;
        let part = buffer.get(..count).unwrap_or_default();
        if part.is_empty() {
            break;
        }
        total += count as u64;
        if total > limit {
            return Err(ModelError::TooLarge {
                path: path.to_owned(),
                limit,
            });
        }
        hasher.update(part);
        seen(part)?;
    }
    Ok(hasher
        .finalize()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect())
}

/// Compares an installed directory with its record, file by file, and with what an installation leaves: owner and modes.
///
/// # Errors
/// The first [`ModelError`].
pub fn compare(dir: &Path, sums: &Sums) -> Result<(), ModelError> {
    const ADVICE: &str = "restore the file, or install the model again";
    let altered = |path: &Path, problem| ModelError::Altered {
        path: path.to_owned(),
        problem,
        advice: ADVICE,
    };
    for folder in [dir.to_owned(), dir.join("labels_encoder")] {
        if !folder.exists() {
            continue;
        }
        owned(&folder)?;
        for entry in fs::read_dir(&folder).map_err(at(&folder))? {
            let path = entry.map_err(at(&folder))?.path();
            let name = path
                .strip_prefix(dir)
                .unwrap_or(&path)
                .to_string_lossy()
                .into_owned();
            let beside =
                name == SUMS || name == format!("{SUMS}{}", package::MINISIG) || name == "labels_encoder";
            if !beside && !sums.contains_key(&name) {
                return Err(altered(&path, "was added"));
            }
        }
    }
    for (name, expected) in sums {
        let path = dir.join(name);
        if !path.exists() {
            return Err(altered(&path, "is missing"));
        }
        owned(&path)?;
        let file = File::open(&path).map_err(at(&path))?;
        if digest(file, &path, limit(name), |_| Ok(()))? != *expected {
            return Err(altered(&path, "has another content"));
        }
    }
    Ok(())
}

/// That nobody but root, or whoever installs, could have changed it; and that it is no link.
fn owned(path: &Path) -> Result<(), ModelError> {
    use std::os::unix::fs::MetadataExt;
    let found = fs::symlink_metadata(path).map_err(at(path))?;
    let own = found.uid() == 0 || found.uid() == nix::unistd::geteuid().as_raw();
    if own && found.mode() & 0o022 == 0 && !found.is_symlink() {
        return Ok(());
    }
    Err(ModelError::Exposed {
        path: path.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_read_as_it_was_written() {
        let sums = Sums::from([
            ("config.json".to_owned(), "0".repeat(64)),
            ("model-00001-of-00002.safetensors".to_owned(), "f".repeat(64)),
        ]);
        let path = Path::new("x");
        for signed in [true, false] {
            assert_eq!(parsed(path, written(&sums).as_bytes(), signed).unwrap(), sums);
        }
        let sum = "0".repeat(64);
        for line in [
            format!("{sum}  ../config.json"),
            format!("{sum}  /etc/passwd"),
            format!("{sum}  a/b.safetensors"),
            format!("{sum}  .hidden.safetensors"),
            format!("{sum} config.json"),
            format!("{}  config.json", "G".repeat(64)),
            format!("{sum}  pytorch_model.bin"),
            format!("{sum}  config.json\n{sum}  config.json"),
        ] {
            let refused = |signed| {
                matches!(
                    parsed(path, line.as_bytes(), signed),
                    Err(ModelError::Record { .. })
                )
            };
            assert!(refused(true), "{line}");
            let passed_over = ["pytorch_model.bin", "a/b.safetensors", ".hidden.safetensors"];
            assert_eq!(
                refused(false),
                !passed_over.iter().any(|name| line.ends_with(name)),
                "{line}"
            );
        }
    }

    #[test]
    fn a_record_is_read_in_every_form_that_sha256sum_writes() {
        let sum = "0".repeat(64);
        let text = format!(
            "{sum} *config.json\n{sum}  ./vocab.txt\n{sum} *./model.safetensors\n{sum}  ./training/log.txt\n"
        );
        let sums = parsed(Path::new("x"), text.as_bytes(), false).unwrap();
        let names: Vec<&String> = sums.keys().collect();
        assert_eq!(names, ["config.json", "model.safetensors", "vocab.txt"]);
        for name in ["../config.json", "./../a", "a/../../b", "/etc/passwd"] {
            let text = format!("{sum}  {name}\n");
            assert!(parsed(Path::new("x"), text.as_bytes(), false).is_err(), "{name}");
        }
    }
}
