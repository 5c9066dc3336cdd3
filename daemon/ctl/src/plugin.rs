//! `plugin …`: plugins as they are shipped, on a vendor's machine and on a server. Nothing here talks to the
//! daemon, and nothing of a plugin runs here: `check` runs it in `mednerd-plugin-host`.

use std::fs::{self, File, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use mednerd_plugin::package::{self, MANIFEST, Manifest, Package, Policy, SIGNATURE};
use minisign::{KeyPair, SecretKeyBox};
use serde_json::Value;

use crate::cli::{CheckOptions, InstallOptions, KeygenOptions, PluginCommand, SignOptions};
use crate::error::Error;
use crate::exit::Exit;
use crate::output::{Output, Replacement};
use crate::slot::{Slot, SlotError, is_hidden, make_folders};
use crate::table::{Column, Table};
use crate::{program, warn};

const HOST: &str = "mednerd-plugin-host";
const LIBEXEC: &str = "/usr/libexec/mednerd";
/// Where a password can be given without a terminal; empty for a key without one.
const PASSWORD: &str = "MEDNERD_KEY_PASSWORD";

/// Runs a `plugin` command.
pub fn run(command: PluginCommand) -> Result<Exit, Error> {
    match command {
        PluginCommand::Check(options) => check(&options),
        PluginCommand::Verify(options) => {
            let package = verified(&options.path, &options.trusted_keys)?;
            say(&described(&package))
        }
        PluginCommand::Install(options) => install(&options),
        PluginCommand::Remove { id, into } => remove(&id, &into),
        PluginCommand::List { into, trusted_keys } => list(&into, &trusted_keys),
        PluginCommand::Keygen(options) => keygen(&options),
        PluginCommand::Sign(options) => sign(&options),
    }
}

fn refused(why: impl ToString) -> Error {
    Error::Plugin(why.to_string())
}

/// Prints lines on standard output, the last that there is to say.
pub fn say(text: &str) -> Result<Exit, Error> {
    Output::Stdout.last(format!("{text}\n").as_bytes(), Exit::Fine)
}

fn file_error(path: &Path) -> impl Fn(io::Error) -> Error + '_ {
    move |error| match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => refused(format!(
            "{}: no room on the disk; nothing was changed. Make room, and try again",
            path.display()
        )),
        _ => refused(format!("{}: {error}", path.display())),
    }
}

fn slot_error(SlotError { path, source }: SlotError) -> Error {
    match source.kind() {
        io::ErrorKind::WouldBlock => {
            let path = path.display();
            refused(format!(
                "{path}: another mednerctl is at work there; try again when it has ended"
            ))
        }
        _ => file_error(&path)(source),
    }
}

/// The plugin in a directory, signed by a trusted key; whoever the files belong to.
fn verified(directory: &Path, trusted_keys: &Path) -> Result<Package, Error> {
    let policy = Policy {
        owned: false,
        ..Policy::production(trusted_keys.to_owned())
    };
    package::verify(directory, &policy).map_err(refused)
}

fn described(package: &Package) -> String {
    let manifest = &package.manifest;
    format!(
        "{} {} by {}: signed by key {}, SHA-256 {}",
        manifest.id,
        manifest.version,
        manifest.vendor,
        package.key_id.as_deref().unwrap_or("none"),
        package.sha256
    )
}

fn check(options: &CheckOptions) -> Result<Exit, Error> {
    let host = options.host.clone();
    let program = host.unwrap_or_else(|| program(HOST, LIBEXEC));
    let mut command = Command::new(&program);
    let patience = (options.patience * 1000).to_string();
    command.args(["check", "--patience-ms", &patience]);
    if let Some(mentions) = &options.mentions {
        command.arg("--mentions").arg(mentions);
    }
    command.arg(&options.path);
    command.arg(options.settings.as_deref().unwrap_or("{}"));
    command.args(&options.sample).stdin(Stdio::null());
    let output = command.output().map_err(file_error(&program))?;
    let Ok(report) = serde_json::from_slice::<Value>(&output.stdout) else {
        return Err(refused(String::from_utf8_lossy(&output.stderr).trim()));
    };
    if let Some(path) = &options.report {
        replace_with([(path, &*output.stdout)], unmasked(0o666))?;
    }
    // What the plugin itself said, such as where it panicked. Where nobody reads it, the report stands.
    let _ = io::stderr().write_all(&output.stderr);
    let text = match options.json {
        true => String::from_utf8_lossy(&output.stdout).trim_end().to_owned(),
        false => report_page(&report),
    };
    say(&text)?;
    match report.get("conforms") == Some(&Value::Bool(true)) {
        true => Ok(Exit::Fine),
        false => Err(refused("the plugin does not conform")),
    }
}

fn report_page(report: &Value) -> String {
    let mut table = Table::new([
        Column::text("test"),
        Column::text("result"),
        Column::text("detail"),
    ]);
    let word = |value: &Value, key: &str| {
        let found = value.get(key).and_then(Value::as_str);
        found.unwrap_or_default().to_owned()
    };
    for test in report
        .get("tests")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
    {
        let passed = test.get("passed") == Some(&Value::Bool(true));
        let result = if passed { "passed" } else { "FAILED" };
        table.row([
            word(test, "test").as_str().into(),
            result.into(),
            word(test, "detail").as_str().into(),
        ]);
    }
    let title = format!("{} {}", word(report, "plugin"), word(report, "version"));
    format!("{title}\n{}", table.render(Output::Stdout.style()).trim_end())
}

fn install(options: &InstallOptions) -> Result<Exit, Error> {
    let InstallOptions {
        path,
        into,
        trusted_keys,
        ..
    } = options;
    let package = verified(path, trusted_keys)?;
    let Manifest { id, library, .. } = &package.manifest;
    make_folders(into).map_err(slot_error)?;
    let slot = Slot::of(into, id).map_err(slot_error)?;
    let (target, new) = (&slot.target, &slot.new);
    let files = [MANIFEST, SIGNATURE, library];
    let replaced = replaced(target, &package, options)?;
    let filled = fill(path, &files, new, trusted_keys).and_then(|()| slot.fill().map_err(slot_error));
    if let Err(error) = filled {
        let _ = fs::remove_dir_all(new);
        return Err(error);
    }
    let left_out = others(path, &files);
    if !left_out.is_empty() {
        warn(&format!(
            "not copied: {}; a plugin is its library alone, and finds other files by absolute paths in [plugins.settings]",
            left_out.join(", ")
        ));
    }
    say(&format!(
        "{}{replaced}\ninstalled in {}; put it into [[plugins]] of the configuration, then `mednerctl reload`",
        described(&package),
        target.display()
    ))
}

/// What the installation replaces, as the end of a sentence; refused where that was not asked for.
fn replaced(target: &Path, package: &Package, options: &InstallOptions) -> Result<String, Error> {
    if !target.join(MANIFEST).exists() {
        return Ok(String::new());
    }
    // As it was signed, by whomever: a key that is no longer trusted is another key.
    let Ok(before) = package::verify(target, &Policy::development(options.trusted_keys.clone())) else {
        return Ok("; replaces one that cannot be read".to_owned());
    };
    let signer = |package: &Package| package.key_id.clone();
    let told = |package: &Package| match signer(package) {
        Some(key) => format!("{} signed by key {key}", package.manifest.version),
        None => format!("{}, which no trusted key has signed", package.manifest.version),
    };
    let id = &package.manifest.id;
    if signer(&before) != signer(package) && !options.other_key {
        return Err(refused(format!(
            "{id} is installed as {}, and this one is {}; where that is meant, install it with --other-key",
            told(&before),
            told(package)
        )));
    }
    if is_older(&package.manifest.version, &before.manifest.version) && !options.older {
        return Err(refused(format!(
            "{id} is installed as {}, and this one is {}, which is older; where that is meant, install it with --older",
            told(&before),
            told(package)
        )));
    }
    Ok(format!("; replaces {}", told(&before)))
}

/// Whether one version comes before another: number by number, and letters by the alphabet.
fn is_older(version: &str, than: &str) -> bool {
    fn parts(version: &str) -> impl Iterator<Item = (u64, &str)> {
        let parts = version.split(['.', '-', '_', '+']);
        parts.map(|part| {
            let end = part.find(|c: char| !c.is_ascii_digit()).unwrap_or(part.len());
            let (number, rest) = part.split_at(end);
            (number.parse().unwrap_or(0), rest)
        })
    }
    parts(version).lt(parts(than))
}

/// The other files of a plugin's folder, by name.
fn others(folder: &Path, files: &[&str]) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok);
    let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    let mut names: Vec<String> = names.filter(|name| !files.contains(&name.as_str())).collect();
    names.sort();
    names
}

/// Copies and verifies everything into `new`.
fn fill(from: &Path, files: &[&str], new: &Path, trusted_keys: &Path) -> Result<(), Error> {
    make_folders(new).map_err(slot_error)?;
    for name in files {
        let to = new.join(name);
        copy(&from.join(name), &to).map_err(file_error(&to))?;
    }
    // What counts is what the daemon will find, so that is verified, owner and all.
    package::verify(new, &Policy::production(trusted_keys.to_owned())).map_err(refused)?;
    File::open(new)
        .and_then(|folder| folder.sync_all())
        .map_err(file_error(new))
}

fn copy(from: &Path, to: &Path) -> io::Result<()> {
    let mut file = File::options()
        .write(true)
        .create_new(true)
        .mode(0o644)
        .open(to)?;
    io::copy(&mut File::open(from)?, &mut file)?;
    file.set_permissions(Permissions::from_mode(0o644))?;
    file.sync_all()
}

fn remove(id: &str, into: &Path) -> Result<Exit, Error> {
    if id.starts_with('.') || id.contains('/') {
        return Err(refused("that is no id of a plugin"));
    }
    let target = into.join(id);
    if !target.join(MANIFEST).is_file() {
        return Err(refused(format!("{} is no plugin", target.display())));
    }
    Slot::of(into, id)
        .and_then(|slot| slot.empty())
        .map_err(slot_error)?;
    say(&format!(
        "{} is removed; a running daemon keeps it, and its next start or reload fails while [[plugins]] names it: take it out of \
         the configuration",
        target.display()
    ))
}

fn list(into: &Path, trusted_keys: &Path) -> Result<Exit, Error> {
    let mut folders: Vec<PathBuf> = match fs::read_dir(into) {
        Ok(entries) => entries.filter_map(Result::ok).map(|entry| entry.path()).collect(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(file_error(into)(error)),
    };
    folders.retain(|folder| !is_hidden(folder) && folder.join(MANIFEST).is_file());
    folders.sort();
    if folders.is_empty() {
        return say(&format!("no plugin is installed in {}", into.display()));
    }
    let policy = Policy::production(trusted_keys.to_owned());
    let columns = ["id", "version", "vendor", "signed by", "signature"];
    let mut table = Table::new(columns.map(Column::text));
    let mut exit = Exit::Fine;
    for folder in folders {
        match package::verify(&folder, &policy) {
            Ok(package) => {
                let manifest = &package.manifest;
                let key = package.key_id.as_deref().unwrap_or_default();
                let cells = [&*manifest.id, &*manifest.version, &*manifest.vendor, key, "valid"];
                table.row(cells.map(Into::into));
            }
            Err(error) => {
                exit = Exit::Partly;
                let name = folder.file_name().unwrap_or_default().to_string_lossy();
                let why = format!("refused: {error}");
                table.row([&*name, "", "", "", &*why].map(Into::into));
            }
        }
    }
    let mut output = Output::Stdout;
    output.last(table.render(output.style()).as_bytes(), exit)
}

fn keygen(options: &KeygenOptions) -> Result<Exit, Error> {
    let (secret, public) = (&options.key, options.key.with_extension("pub"));
    for path in [secret, &public] {
        if path.exists() {
            return Err(refused(format!(
                "{} exists already; a key is never written over",
                path.display()
            )));
        }
    }
    let pair = KeyPair::generate_encrypted_keypair(password()?).map_err(refused)?;
    let boxes = pair.sk.to_box(None).and_then(|sk| Ok((sk, pair.pk.to_box()?)));
    let (sk, pk) = boxes.map_err(refused)?;
    write_new(secret, 0o600, &sk.into_string()).map_err(file_error(secret))?;
    let pk = pk.into_string();
    if let Err(error) = write_new(&public, 0o644, &pk) {
        // A key without its public half is of no use, and would be in the way of the next try.
        let _ = fs::remove_file(secret);
        return Err(file_error(&public)(error));
    }
    say(&format!(
        "{} is secret: keep it off servers and out of the repository\n{} is public, key {}: hospitals put it into {}",
        secret.display(),
        public.display(),
        package::key_id(&pk).unwrap_or_default(),
        package::TRUSTED_KEYS
    ))
}

/// The password of a key where it is given; `None` where a terminal can be asked for it.
fn password() -> Result<Option<String>, Error> {
    match std::env::var(PASSWORD) {
        Ok(password) => Ok(Some(password)),
        Err(_) if File::open("/dev/tty").is_ok() => Ok(None),
        Err(_) => Err(refused(format!(
            "there is no terminal to ask for the key's password: give it in {PASSWORD}, empty for a key without one"
        ))),
    }
}

fn write_new(path: &Path, mode: u32, text: &str) -> io::Result<()> {
    let mut file = File::options()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(path)?;
    let written = file.write_all(text.as_bytes()).and_then(|()| file.sync_all());
    if written.is_err() {
        let _ = fs::remove_file(path);
    }
    written
}

/// Writes files that are there whole, or as they were: none comes into its place before all are written. New ones can be
/// read by everybody.
pub fn replace<const N: usize>(files: [(&Path, &[u8]); N]) -> Result<(), Error> {
    replace_with(files, 0o644)
}

/// A mode without what the umask takes from new files.
fn unmasked(mode: u32) -> u32 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("Umask:"));
    let mask = mask.and_then(|mask| u32::from_str_radix(mask.trim(), 8).ok());
    mode & !mask.unwrap_or(0o077)
}

fn replace_with<const N: usize>(files: [(&Path, &[u8]); N], mode: u32) -> Result<(), Error> {
    let mut written = Vec::with_capacity(N);
    for (path, content) in files {
        let file = Replacement::open(path, mode).and_then(|mut file| {
            file.write_all(content)?;
            Ok(file)
        });
        written.push((path, file.map_err(file_error(path))?));
    }
    written
        .into_iter()
        .try_for_each(|(path, file)| file.finish().map_err(file_error(path)))
}

/// The signature of `text` by the secret key in a file, with a comment that is signed as well.
pub fn signature(key: &Path, text: &[u8], comment: &str) -> Result<String, Error> {
    let sealed = fs::read_to_string(key).map_err(file_error(key))?;
    let password = password()?;
    let secret = SecretKeyBox::from_string(&sealed)
        .and_then(|sealed| sealed.into_secret_key(password))
        .map_err(|error| refused(format!("{}: {error}", key.display())))?;
    let signature = minisign::sign(None, &secret, text, Some(comment), None);
    Ok(signature.map_err(refused)?.into_string())
}

fn sign(options: &SignOptions) -> Result<Exit, Error> {
    let path = options.path.join(MANIFEST);
    let text = fs::read_to_string(&path).map_err(file_error(&path))?;
    let mut manifest = Manifest::parse(&text).map_err(|why| refused(format!("{}: {why}", path.display())))?;
    let library = options.path.join(&manifest.library);
    let opened = File::open(&library).map_err(file_error(&library))?;
    manifest.sha256 = Some(package::digest(&opened, &library).map_err(refused)?);
    let text = manifest.to_toml();
    let comment = format!("{} {} for mednerd", manifest.id, manifest.version);
    let signature = signature(&options.key, text.as_bytes(), &comment)?;
    let target = options.path.join(SIGNATURE);
    replace([(&path, text.as_bytes()), (&target, signature.as_bytes())])?;
    if !library
        .metadata()
        .is_ok_and(|metadata| metadata.permissions().mode() & 0o022 == 0)
    {
        warn(&"others can write the library; `mednerctl plugin install` puts that right");
    }
    say(&format!(
        "{} {} is signed by key {}",
        manifest.id,
        manifest.version,
        package::key_id(&signature).unwrap_or_default()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_number_by_number() {
        for (older, newer) in [
            ("1.9.0", "1.10.0"),
            ("1.0", "1.0.1"),
            ("1.0.0", "2"),
            ("2026-01", "2026-02"),
            ("2026AA", "2026AB"),
        ] {
            assert!(is_older(older, newer), "{older} {newer}");
            assert!(!is_older(newer, older), "{newer} {older}");
            assert!(!is_older(older, older));
        }
    }
}
