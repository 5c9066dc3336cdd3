//! The files that a plugin's settings name by their absolute paths: what it may read, and what makes it another one when
//! they change.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use serde_json::Value;

/// The files and folders that the settings, a JSON object, name by an absolute path. A setting that is only a slash is a
/// separator and no path, and nobody means all of `/etc` or `/home`: what lies in the root itself is never named.
pub fn named_paths(settings: &str) -> Vec<PathBuf> {
    fn collect(value: &Value, found: &mut Vec<PathBuf>) {
        match value {
            Value::String(text) => {
                let path = Path::new(text);
                if path.is_absolute() && lies_deep(path) {
                    found.push(path.to_owned());
                }
            }
            Value::Array(items) => items.iter().for_each(|item| collect(item, found)),
            Value::Object(fields) => fields.values().for_each(|field| collect(field, found)),
            _ => {}
        }
    }
    let mut found = Vec::new();
    if let Ok(settings) = serde_json::from_str(settings) {
        collect(&settings, &mut found);
    }
    found
}

/// Whether it is there, and neither the root nor right in it, by whatever way it is written.
fn lies_deep(path: &Path) -> bool {
    let real = path.canonicalize();
    // The root is the first component.
    real.is_ok_and(|real| real.components().count() > 2)
}

/// `paths` and, one level deep, what is in those that are folders.
fn with_entries(paths: &[PathBuf]) -> Vec<PathBuf> {
    let mut found = paths.to_vec();
    for entries in paths.iter().filter_map(|path| std::fs::read_dir(path).ok()) {
        found.extend(entries.filter_map(Result::ok).map(|entry| entry.path()));
    }
    found
}

/// The size in bytes of all files in `paths`, one level deep.
pub fn size(paths: &[PathBuf]) -> u64 {
    let metadata = with_entries(paths)
        .into_iter()
        .filter_map(|path| path.metadata().ok());
    let files = metadata.filter(|metadata| !metadata.is_dir());
    files.map(|file| file.len()).sum()
}

/// What tells one state of a file from another without reading it. Two states may be told apart that are the same.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Stamp {
    path: PathBuf,
    device: u64,
    inode: u64,
    bytes: u64,
    changed: (i64, i64),
}

/// The state of all that the settings name, one level deep; the same where nothing has been replaced or written.
pub fn stamps(settings: &str) -> Vec<Stamp> {
    let paths = with_entries(&named_paths(settings)).into_iter();
    let mut found: Vec<Stamp> = paths
        .filter_map(|path| {
            let metadata = path.metadata().ok()?;
            Some(Stamp {
                path,
                device: metadata.dev(),
                inode: metadata.ino(),
                bytes: metadata.len(),
                changed: (metadata.mtime(), metadata.mtime_nsec()),
            })
        })
        .collect();
    found.sort_unstable();
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_absolute_paths_that_exist_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("f");
        std::fs::write(&file, "").unwrap();
        let settings = serde_json::json!({
            "a": file, "b": {"c": [folder.path(), 1, null, "f", "/no/such/file"]},
        });
        let expected = [file, folder.path().to_owned()];
        assert_eq!(named_paths(&settings.to_string()), expected);
        std::fs::write(&expected[0], "four").unwrap();
        assert_eq!(size(&expected[1..]), 4);
        assert!(named_paths("no JSON").is_empty());
    }

    #[test]
    fn the_root_and_what_lies_in_it_are_not_named() {
        for path in [
            "/",
            "//",
            "/.",
            "/usr/..",
            "/etc",
            "/etc/",
            "/usr/../etc",
            "/usr/bin/../..",
        ] {
            let settings = serde_json::json!({"separator": path}).to_string();
            assert!(named_paths(&settings).is_empty(), "{path}");
        }
        let folder = tempfile::tempdir().unwrap();
        let link = folder.path().join("link");
        std::os::unix::fs::symlink("/", &link).unwrap();
        let settings = serde_json::json!({"a": link, "b": "/usr/bin"}).to_string();
        assert_eq!(named_paths(&settings), [Path::new("/usr/bin")]);
    }

    #[test]
    fn a_file_that_is_replaced_written_or_gone_has_another_stamp() {
        let folder = tempfile::tempdir().unwrap();
        let (file, other) = (folder.path().join("f"), folder.path().join("g"));
        std::fs::write(&file, "1").unwrap();
        let settings = serde_json::json!({"inner": {"folder": folder.path()}}).to_string();
        let first = stamps(&settings);
        assert_eq!(first, stamps(&settings));
        std::fs::write(&other, "2").unwrap();
        let second = stamps(&settings);
        assert_ne!(first, second);
        std::fs::rename(&other, &file).unwrap();
        let third = stamps(&settings);
        assert_ne!(second, third);
        std::fs::write(&file, "three").unwrap();
        assert_ne!(third, stamps(&settings));
        std::fs::remove_file(&file).unwrap();
        assert_eq!(stamps(&settings).len(), 1);
    }
}
