//! A plugin as it is shipped: a directory with `plugin.toml`, its minisign signature and the library. Read and
//! verified here; nothing of the library is run.

use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use minisign_verify::{PublicKey, Signature};
use nix::fcntl::{OFlag, open, openat};
use nix::sys::stat::Mode;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::contract::is_name;
use crate::types::{ABI_MAJOR, ability};

/// The manifest's name in the directory.
pub const MANIFEST: &str = "plugin.toml";
/// Its signature.
pub const SIGNATURE: &str = "plugin.toml.minisig";
/// What a signature's file is called: the signed file's name and this.
pub const MINISIG: &str = ".minisig";
/// Where the hospital puts the keys of vendors that it trusts.
pub const TRUSTED_KEYS: &str = "/etc/mednerd/trusted-keys.d";
/// Where packages put the keys of their own plugins. A file of the same name in [`TRUSTED_KEYS`] takes its place, and one that is empty
/// or a link to `/dev/null` takes it away. Not there themselves: a file of `/etc` comes with its package's configuration, which may
/// be after a daemon was started that needs it.
pub const PACKAGED_KEYS: &str = "/usr/share/mednerd/trusted-keys.d";
/// Where `mednerctl plugin install` puts plugins.
pub const PLUGINS: &str = "/usr/lib/mednerd/plugins";

/// A manifest or a key file is never larger.
const MAX_TEXT: u64 = 1 << 20;
/// A library is never larger.
const MAX_LIBRARY: u64 = 1 << 30;

/// What a vendor says of a plugin.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Letters, digits, `.`, `_`, `-`; by custom `vendor.product`.
    pub id: String,
    /// Who made it.
    pub vendor: String,
    /// Its version.
    pub version: String,
    /// The ABI's major version.
    pub abi: u32,
    /// Ids such as `mednerd.normalizer/1`.
    pub abilities: Vec<String>,
    /// The library's file name in the same directory.
    pub library: String,
    /// SHA-256 of the library in hexadecimal; may be missing in development alone.
    #[serde(default)]
    pub sha256: Option<String>,
    /// Memory it needs, beside files that it maps for reading; megabytes.
    #[serde(default = "default_memory")]
    pub memory_mb: u64,
    /// The longest time a call may take, milliseconds.
    #[serde(default = "default_call")]
    pub call_ms: u64,
    /// The longest time it may take to open, milliseconds.
    #[serde(default = "default_start")]
    pub start_ms: u64,
    /// Names of events that it may log.
    #[serde(default)]
    pub events: Vec<String>,
    /// Names of counters that it may add to.
    #[serde(default)]
    pub metrics: Vec<String>,
}

fn default_memory() -> u64 {
    256
}

fn default_call() -> u64 {
    1_000
}

fn default_start() -> u64 {
    10_000
}

/// Why a plugin is not loaded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PackageError {
    /// A file cannot be read.
    #[error("{}: {reason}; install the plugin again, or correct the path", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// A file or directory that others than root could have changed.
    #[error("{} {reason}; it must belong to root and be writable by root alone", path.display())]
    Ownership {
        /// Which.
        path: PathBuf,
        /// How.
        reason: &'static str,
    },
    /// The manifest is not what it must be.
    #[error("{}: {reason}", path.display())]
    Manifest {
        /// Which.
        path: PathBuf,
        /// Where and why.
        reason: String,
    },
    /// There is no signature.
    #[error(
        "{} is not there: it is not signed; ask the vendor for a signed one, or set development = true in [plugin_policy]",
        path.display()
    )]
    Unsigned {
        /// Where it should be.
        path: PathBuf,
    },
    /// The signature is no minisign signature.
    #[error("{} is no minisign signature", path.display())]
    Malformed {
        /// Which.
        path: PathBuf,
    },
    /// It was signed by a key that is not trusted here.
    #[error(
        "signed by key {key_id}, which is not in {}; put the vendor's public key there, if you trust it", keys.display()
    )]
    UnknownKey {
        /// As minisign prints it.
        key_id: String,
        /// Where trusted keys are.
        keys: PathBuf,
    },
    /// The signature is wrong.
    #[error("the signature by key {key_id} does not fit {file}: it was changed after it was signed")]
    BadSignature {
        /// The signed file's name.
        file: String,
        /// As minisign prints it.
        key_id: String,
    },
    /// The signature is one of minisign's old ones, of the file itself and not of its digest.
    #[error(
        "the signature of {file} is one of minisign's old format (minisign -S -l), which is not taken: sign it again without -l"
    )]
    LegacySignature {
        /// The signed file's name.
        file: String,
    },
    /// The library is another than the manifest says.
    #[error("{} is not the library that the manifest names: its SHA-256 is {found}, and {expected} was signed", path.display())]
    Digest {
        /// Which.
        path: PathBuf,
        /// What it has.
        found: String,
        /// What it should have.
        expected: String,
    },
}

/// What is demanded of plugins here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    /// The directory of trusted public keys, `*.pub`.
    pub trusted_keys: PathBuf,
    /// Whether it must be signed by one of them, and the manifest name the library's digest.
    pub signed: bool,
    /// Whether directory and files must belong to root and be writable by root alone.
    pub owned: bool,
}

impl Policy {
    /// What a server demands: all of it.
    pub fn production(trusted_keys: PathBuf) -> Self {
        Self {
            trusted_keys,
            signed: true,
            owned: true,
        }
    }

    /// What a vendor's own machine demands.
    pub fn development(trusted_keys: PathBuf) -> Self {
        Self {
            trusted_keys,
            signed: false,
            owned: false,
        }
    }
}

impl Default for Policy {
    fn default() -> Self {
        Self::production(TRUSTED_KEYS.into())
    }
}

/// A verified plugin.
#[derive(Debug)]
pub struct Package {
    /// What was signed.
    pub manifest: Manifest,
    /// The key that signed it, as minisign prints it; `None` for an unsigned one in development.
    pub key_id: Option<String>,
    /// The library: the very file whose digest was compared, to be loaded through `/proc/self/fd`.
    pub library: File,
    /// SHA-256 of the library in hexadecimal.
    pub sha256: String,
}

impl Manifest {
    /// Reads a manifest and checks every field.
    ///
    /// # Errors
    /// What is wrong, in a sentence with the line.
    pub fn parse(text: &str) -> Result<Self, String> {
        let manifest: Self = toml::from_str(text).map_err(|error| {
            let at = error.span().map_or(0, |span| span.start);
            let line = 1 + text.bytes().take(at).filter(|byte| *byte == b'\n').count();
            format!("line {line}: {}", error.message())
        })?;
        manifest.check()?;
        Ok(manifest)
    }

    fn check(&self) -> Result<(), String> {
        for (key, name) in [("id", &self.id), ("version", &self.version)] {
            if !is_name(name) || name.contains('/') {
                return Err(format!(
                    "{key} may hold letters, digits, '.', '_' and '-', at most 64"
                ));
            }
        }
        if self.vendor.is_empty() || self.vendor.len() > 200 || self.vendor.chars().any(char::is_control) {
            return Err("vendor must be a name of at most 200 bytes".to_owned());
        }
        if self.abi != ABI_MAJOR {
            let abi = self.abi;
            return Err(format!(
                "abi = {abi}, and this version of mednerd loads plugins of ABI {ABI_MAJOR}"
            ));
        }
        if self.abilities.is_empty() {
            return Err("abilities is empty".to_owned());
        }
        for id in &self.abilities {
            if !ability::ALL.contains(&id.as_str()) {
                let known = ability::ALL.join(", ");
                return Err(format!(
                    "abilities has one that this version of mednerd does not know; known are {known}"
                ));
            }
        }
        if self.library.contains('/') || self.library.is_empty() || self.library.starts_with('.') {
            return Err("library must be a file name, without a folder".to_owned());
        }
        if let Some(digest) = &self.sha256
            && (digest.len() != 64
                || !digest
                    .bytes()
                    .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)))
        {
            return Err("sha256 must be 64 hexadecimal digits in lower case".to_owned());
        }
        for (key, value, range) in [
            ("memory_mb", self.memory_mb, 16..=1 << 20),
            ("call_ms", self.call_ms, 1..=60_000),
            ("start_ms", self.start_ms, 100..=600_000),
        ] {
            if !range.contains(&value) {
                return Err(format!(
                    "{key} must be between {} and {}",
                    range.start(),
                    range.end()
                ));
            }
        }
        for (key, names) in [("events", &self.events), ("metrics", &self.metrics)] {
            if names.len() > 64 || !names.iter().all(|name| is_name(name)) {
                return Err(format!(
                    "{key} may have 64 names of letters, digits, '.', '_' and '-'"
                ));
            }
        }
        Ok(())
    }

    /// The longest time a call may take.
    pub fn call_time(&self) -> Duration {
        Duration::from_millis(self.call_ms)
    }

    /// The longest time it may take to open.
    pub fn start_time(&self) -> Duration {
        Duration::from_millis(self.start_ms)
    }

    /// The manifest as a file.
    pub fn to_toml(&self) -> String {
        // Strings, numbers and lists of strings always have a TOML form.
        toml::to_string(self).unwrap_or_default()
    }
}

/// Opens the plugin in `directory` and verifies all of it. Every file is opened once, relative to the opened
/// directory, and what is verified is what was opened.
///
/// # Errors
/// [`PackageError`]
pub fn verify(directory: &Path, policy: &Policy) -> Result<Package, PackageError> {
    let folder = open_folder(directory, policy.owned)?;
    let manifest_path = directory.join(MANIFEST);
    let text = read(
        open_file(&folder, directory, MANIFEST, policy.owned)?,
        &manifest_path,
    )?;
    let key_id = match signed(&folder, directory, MANIFEST, &text, policy) {
        Ok(key_id) => Some(key_id),
        Err(_) if !policy.signed => None,
        Err(error) => return Err(error),
    };
    let wrong = |reason: String| PackageError::Manifest {
        path: manifest_path.clone(),
        reason,
    };
    let text = String::from_utf8(text).map_err(|_| wrong("is not UTF-8".to_owned()))?;
    let manifest = Manifest::parse(&text).map_err(wrong)?;
    let path = directory.join(&manifest.library);
    let library = open_file(&folder, directory, &manifest.library, policy.owned)?;
    let found = digest(&library, &path)?;
    match &manifest.sha256 {
        Some(expected) if *expected != found => {
            return Err(PackageError::Digest {
                path,
                found,
                expected: expected.clone(),
            });
        }
        None if policy.signed => {
            return Err(wrong("sha256 is missing".to_owned()));
        }
        _ => {}
    }
    Ok(Package {
        manifest,
        key_id,
        library,
        sha256: found,
    })
}

/// The content of the file `name` in `directory`, at most a megabyte, and which trusted key signed it in `name.minisig`.
///
/// # Errors
/// [`PackageError`]; [`PackageError::Unsigned`] where there is no signature.
pub fn signed_file(directory: &Path, name: &str, policy: &Policy) -> Result<(Vec<u8>, String), PackageError> {
    let folder = open_folder(directory, policy.owned)?;
    let text = read(
        open_file(&folder, directory, name, policy.owned)?,
        &directory.join(name),
    )?;
    let key_id = signed(&folder, directory, name, &text, policy)?;
    Ok((text, key_id))
}

/// Which trusted key signed `text`, which is the content of the file `name`.
fn signed(
    folder: &OwnedFd,
    directory: &Path,
    name: &str,
    text: &[u8],
    policy: &Policy,
) -> Result<String, PackageError> {
    let signature = format!("{name}{MINISIG}");
    let path = directory.join(&signature);
    let file = match open_file(folder, directory, &signature, policy.owned) {
        Err(PackageError::File { .. }) if !path.exists() => return Err(PackageError::Unsigned { path }),
        other => other?,
    };
    let malformed = || PackageError::Malformed { path: path.clone() };
    let lines = String::from_utf8(read(file, &path)?).map_err(|_| malformed())?;
    let signature = Signature::decode(&lines).map_err(|_| malformed())?;
    let key_id = key_id(&lines).ok_or_else(malformed)?;
    let file = name.to_owned();
    let mut why = PackageError::UnknownKey {
        key_id: key_id.clone(),
        keys: policy.trusted_keys.clone(),
    };
    for (id, key) in trusted(policy)? {
        if id != key_id {
            continue;
        }
        // Other keys of the same number cannot be ruled out; one that fits is enough.
        why = match key.verify(text, &signature, false) {
            Ok(()) => return Ok(key_id),
            Err(minisign_verify::Error::UnexpectedAlgorithm) => {
                PackageError::LegacySignature { file: file.clone() }
            }
            Err(_) => PackageError::BadSignature {
                file: file.clone(),
                key_id: id,
            },
        };
    }
    Err(why)
}

/// The trusted keys with their ids. One that cannot be read is an error: which plugins it would have allowed
/// nobody can tell.
fn trusted(policy: &Policy) -> Result<Vec<(String, PublicKey)>, PackageError> {
    let packaged = (policy.trusted_keys == Path::new(TRUSTED_KEYS)).then_some(Path::new(PACKAGED_KEYS));
    keys_of(&policy.trusted_keys, packaged, policy.owned)
}

/// The keys in the folder `own`, and those in `packaged` in whose place that has no file.
fn keys_of(
    own: &Path,
    packaged: Option<&Path>,
    owned: bool,
) -> Result<Vec<(String, PublicKey)>, PackageError> {
    let here = key_files(own, owned)?;
    let mut found = Vec::new();
    for name in &here {
        if !takes_away(&own.join(name)) {
            found.push(key(own, name, owned)?);
        }
    }
    if let Some(packaged) = packaged {
        for name in key_files(packaged, owned)? {
            if !here.contains(&name) {
                found.push(key(packaged, &name, owned)?);
            }
        }
    }
    Ok(found)
}

/// The names of the key files in a folder; none where there is no folder.
fn key_files(folder: &Path, owned: bool) -> Result<Vec<String>, PackageError> {
    if !folder.exists() {
        return Ok(Vec::new());
    }
    open_folder(folder, owned)?;
    let entries = std::fs::read_dir(folder).map_err(|error| file_error(folder, &error))?;
    let names = entries
        .filter_map(Result::ok)
        .map(|entry| entry.file_name().to_string_lossy().into_owned());
    Ok(names.filter(|name| name.ends_with(".pub")).collect())
}

/// Whether a file stands for no key at all: it is empty, or a link to `/dev/null`.
fn takes_away(path: &Path) -> bool {
    match path.symlink_metadata() {
        Ok(metadata) if metadata.is_symlink() => {
            std::fs::read_link(path).is_ok_and(|to| to == Path::new("/dev/null"))
        }
        Ok(metadata) => metadata.is_file() && metadata.len() == 0,
        Err(_) => false,
    }
}

/// The key in a file, with its id.
fn key(folder: &Path, name: &str, owned: bool) -> Result<(String, PublicKey), PackageError> {
    let path = folder.join(name);
    let bytes = read(
        open_file(&open_folder(folder, owned)?, folder, name, owned)?,
        &path,
    )?;
    let wrong = || PackageError::Manifest {
        path: path.clone(),
        reason: "is no minisign public key".to_owned(),
    };
    let text = String::from_utf8(bytes).map_err(|_| wrong())?;
    let key = PublicKey::decode(&text).map_err(|_| wrong())?;
    Ok((key_id(&text).ok_or_else(wrong)?, key))
}

/// The id of the key in the second line of a public key or signature, as minisign prints it.
pub fn key_id(text: &str) -> Option<String> {
    // Two bytes of algorithm, then the id, little-endian.
    let bytes = base64(text.lines().nth(1)?.get(..16)?)?;
    let id: [u8; 8] = bytes.get(2..10)?.try_into().ok()?;
    Some(format!("{:016X}", u64::from_le_bytes(id)))
}

/// Base64 without padding, RFC 4648.
fn base64(text: &str) -> Option<Vec<u8>> {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let (mut bits, mut held, mut bytes) = (0_u32, 0, Vec::new());
    for letter in text.bytes() {
        let value = LETTERS.iter().position(|known| *known == letter)?;
        bits = bits << 6 | u32::try_from(value).ok()?;
        held += 6;
        if held >= 8 {
            held -= 8;
            bytes.push(u8::try_from(bits >> held & 0xff).ok()?);
        }
    }
    Some(bytes)
}

/// SHA-256 of a whole file in hexadecimal.
///
/// # Errors
/// Where it cannot be read or is larger than any library.
pub fn digest(file: &File, path: &Path) -> Result<String, PackageError> {
    use std::os::unix::fs::FileExt;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 1 << 16];
    let mut at = 0;
    loop {
        let count = file
            .read_at(&mut buffer, at)
            .map_err(|error| file_error(path, &error))?;
        if count == 0 {
            break;
        }
        hasher.update(buffer.get(..count).unwrap_or_default());
        at += count as u64;
        if at > MAX_LIBRARY {
            return Err(PackageError::File {
                path: path.to_owned(),
                reason: "is larger than any library".to_owned(),
            });
        }
    }
    Ok(hasher
        .finalize()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect())
}

fn file_error(path: &Path, error: &std::io::Error) -> PackageError {
    PackageError::File {
        path: path.to_owned(),
        reason: error.to_string(),
    }
}

fn open_folder(path: &Path, owned: bool) -> Result<OwnedFd, PackageError> {
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    let folder = open(path, flags, Mode::empty()).map_err(|error| file_error(path, &error.into()))?;
    owned_by_root(&folder, path, owned)?;
    Ok(folder)
}

fn open_file(folder: &OwnedFd, directory: &Path, name: &str, owned: bool) -> Result<File, PackageError> {
    let path = directory.join(name);
    // Not blocking: a pipe in place of a file would wait for ever.
    let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC | OFlag::O_NONBLOCK;
    let file = openat(folder.as_fd(), name, flags, Mode::empty())
        .map_err(|error| file_error(&path, &error.into()))?;
    owned_by_root(&file, &path, owned)?;
    let file = File::from(file);
    let kind = file.metadata().map_err(|error| file_error(&path, &error))?;
    match kind.is_file() {
        true => Ok(file),
        false => Err(PackageError::File {
            path,
            reason: "is not a file".to_owned(),
        }),
    }
}

fn owned_by_root(fd: &OwnedFd, path: &Path, owned: bool) -> Result<(), PackageError> {
    if !owned {
        return Ok(());
    }
    let copy = fd.try_clone().map_err(|error| file_error(path, &error))?;
    let metadata = File::from(copy)
        .metadata()
        .map_err(|error| file_error(path, &error))?;
    let reason = match (metadata.uid(), metadata.mode() & 0o022) {
        (0, 0) => return Ok(()),
        (0, _) => "can be written by others than root",
        _ => "does not belong to root",
    };
    Err(PackageError::Ownership {
        path: path.to_owned(),
        reason,
    })
}

fn read(file: File, path: &Path) -> Result<Vec<u8>, PackageError> {
    let mut bytes = Vec::new();
    file.take(MAX_TEXT)
        .read_to_end(&mut bytes)
        .map_err(|error| file_error(path, &error))?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const RIGHT: &str = "id = \"acme.drugs\"\nvendor = \"Acme\"\nversion = \"1.0\"\nabi = 1\n\
        abilities = [\"mednerd.normalizer/1\"]\nlibrary = \"libdrugs.so\"\n";

    #[test]
    fn a_manifest_is_checked_field_by_field() {
        let manifest = Manifest::parse(RIGHT).unwrap();
        assert_eq!((manifest.memory_mb, manifest.call_ms), (256, 1000));
        assert_eq!(Manifest::parse(&manifest.to_toml()), Ok(manifest));
        for (from, to, why) in [
            ("acme.drugs", "../etc", "id may hold"),
            ("abi = 1", "abi = 2", "loads plugins of ABI 1"),
            ("normalizer/1", "normalizer/9", "does not know"),
            ("libdrugs.so", "../libdrugs.so", "without a folder"),
            ("vendor = \"Acme\"", "vendor = \"A\\nB\"", "vendor must be"),
            ("abi = 1", "abi = 1\ncall_ms = 0", "call_ms must be between"),
            ("abi = 1", "abi = 1\nsha256 = \"XY\"", "64 hexadecimal"),
            ("abi = 1", "abi = 1\nextra = 1", "line 5: unknown field"),
            ("abi = 1", "abi = 1\nevents = [\"a b\"]", "events may have"),
        ] {
            let error = Manifest::parse(&RIGHT.replace(from, to)).unwrap_err();
            assert!(error.contains(why), "{error}");
        }
    }

    #[test]
    fn key_ids_are_those_that_minisign_prints() {
        // The key of minisign's own releases.
        let key = "untrusted comment: minisign public key E7620F1842B4E81F\n\
                   RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3";
        assert_eq!(key_id(key).unwrap(), "E7620F1842B4E81F");
        assert_eq!(key_id("one line"), None);
    }

    #[test]
    fn a_signature_of_the_old_format_is_told_as_that() {
        // The one that minisign's verifier is tested with, of "test".
        let old = "untrusted comment: signature from minisign secret key\n\
                   RWQf6LRCGA9i59SLOFxz6NxvASXDJeRtuZykwQepbDEGt87ig1BNpWaVWuNrm73YiIiJbq71Wi+dP9eKL8OC351vwIasSSbXxwA=\n\
                   trusted comment: timestamp:1555779966\tfile:test\n\
                   QtKMXWyYcwdpZAlPF7tE2ENJkRd1ujvKjlj1m9RtHTBnZPa5WKU5uWRs5GoP5M/VqE81QFuMKI5k/SfNQUaOAA==\n";
        let new = "untrusted comment: signature from minisign secret key\n\
                   RUQf6LRCGA9i559r3g7V1qNyJDApGip8MfqcadIgT9CuhV3EMhHoN1mGTkUidF/z7SrlQgXdy8ofjb7bNJJylDOocrCo8KLzZwo=\n\
                   trusted comment: timestamp:1556193335\tfile:test\n\
                   y/rUw2y8/hOUYjZU71eHp/Wo1KZ40fGy2VJEDl34XMJM+TX48Ss/17u3IvIfbVR1FkZZSNCisQbuQY+bHwhEBg==\n";
        let place = tempfile::tempdir().unwrap();
        let policy = Policy::development(place.path().to_owned());
        let key = "untrusted comment: minisign public key E7620F1842B4E81F\n\
                   RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3";
        std::fs::write(place.path().join("minisign.pub"), key).unwrap();
        let verify = |content: &str, signature: &str| {
            std::fs::write(place.path().join("test"), content).unwrap();
            std::fs::write(place.path().join("test.minisig"), signature).unwrap();
            signed_file(place.path(), "test", &policy)
        };
        verify("test", new).unwrap();
        let wrong = verify("Test", new).unwrap_err();
        assert!(matches!(wrong, PackageError::BadSignature { .. }), "{wrong}");
        let legacy = verify("test", old).unwrap_err();
        assert!(matches!(legacy, PackageError::LegacySignature { .. }), "{legacy}");
    }

    #[test]
    fn a_packaged_key_counts_until_a_file_of_its_name_says_otherwise() {
        let place = tempfile::tempdir().unwrap();
        let (own, packaged) = (place.path().join("own"), place.path().join("packaged"));
        for folder in [&own, &packaged] {
            std::fs::create_dir(folder).unwrap();
        }
        let key = "untrusted comment: minisign public key E7620F1842B4E81F\n\
                   RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3";
        std::fs::write(packaged.join("mednerd.pub"), key).unwrap();
        let trusted = || keys_of(&own, Some(&packaged), false).unwrap().len();
        assert_eq!(trusted(), 1, "as the package brings it");
        std::fs::write(own.join("mednerd.pub"), "").unwrap();
        assert_eq!(trusted(), 0, "an empty file takes it away");
        std::fs::remove_file(own.join("mednerd.pub")).unwrap();
        std::os::unix::fs::symlink("/dev/null", own.join("mednerd.pub")).unwrap();
        assert_eq!(trusted(), 0, "as a link to /dev/null does");
        std::fs::remove_file(own.join("mednerd.pub")).unwrap();
        std::fs::write(own.join("acme.pub"), key).unwrap();
        assert_eq!(trusted(), 2, "other names change nothing");
        assert_eq!(
            keys_of(&own, None, false).unwrap().len(),
            1,
            "folders that are named stand alone"
        );
        // What is neither a key nor empty is never passed over.
        std::fs::write(own.join("mednerd.pub"), "a key?").unwrap();
        assert!(keys_of(&own, Some(&packaged), false).is_err());
        std::fs::remove_dir_all(&own).unwrap();
        assert_eq!(trusted(), 1, "without a folder of its own");
    }

    #[test]
    fn in_development_an_unsigned_plugin_is_taken_and_otherwise_not() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(MANIFEST), RIGHT).unwrap();
        std::fs::write(folder.path().join("libdrugs.so"), "not a library").unwrap();
        let mut policy = Policy::development(folder.path().join("keys"));
        let package = verify(folder.path(), &policy).unwrap();
        assert_eq!(package.key_id, None);
        policy.signed = true;
        let error = verify(folder.path(), &policy).unwrap_err();
        assert!(matches!(error, PackageError::Unsigned { .. }), "{error}");
    }
}
