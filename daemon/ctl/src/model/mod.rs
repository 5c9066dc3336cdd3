//! `model …`: checkpoints and adapters on this machine, from a folder or a hub's cache to where the daemon loads them.
//! Nothing here talks to a running daemon; whether a model can be served, the daemon's program says (`mednerd check-model`).

mod error;
mod record;
mod shards;

use std::fs::{self, File, Permissions};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Component, Path, PathBuf};
use std::process::{Command, Stdio};

use mednerd_plugin::package::MINISIG;
use nix::errno::Errno;
use nix::fcntl::{OFlag, OpenHow, ResolveFlag, open, openat2};
use nix::sys::stat::Mode;
use nix::unistd::{User, geteuid};
use serde::Deserialize;
use serde_json::Value;

use crate::cli::{ModelCheck, ModelCommand, ModelInstall, ModelPlace, SignOptions};
use crate::error::Error;
use crate::exit::Exit;
use crate::output::Output;
use crate::plugin::{replace, say, signature};
use crate::slot::{Slot, is_hidden, make_folders};
use crate::table::{Column, Table};
pub use error::ModelError;
use error::at;
use record::{ADAPTER_CONFIG, CARD, SUMS, Sums, WEIGHTS};

/// Where the package puts the models that it ships.
const SHIPPED: &str = "/usr/share/mednerd/models";
const DAEMON: &str = "mednerd";

/// Runs a `model` command.
pub fn run(command: ModelCommand) -> Result<Exit, Error> {
    match command {
        ModelCommand::Install(options) => install(&options),
        ModelCommand::Verify { name, place, check } => verify(&name, &place, &check),
        ModelCommand::List { place } => list(&place),
        ModelCommand::Remove { name, into } => remove(&name, &into),
        ModelCommand::Sign(options) => sign(&options),
    }
}

/// What `mednerd check-model` says of a directory.
#[derive(Deserialize)]
struct Checked {
    kind: String,
    family: String,
    labels: Vec<String>,
    parameters: u64,
    digest: String,
    license: Option<String>,
    goldens: usize,
}

impl Checked {
    fn finds(&self) -> String {
        match (&*self.kind, self.labels.is_empty()) {
            ("zero-shot", _) => "what requests name".to_owned(),
            (_, true) => "nothing by itself: it has no head".to_owned(),
            _ => self.labels.join(", "),
        }
    }
}

// -- reading a checkpoint that anybody may have made --------------------------------------------------------------

/// A checkpoint's directory. Links in it are followed within it, or within its repository in a hub's cache, whose
/// snapshots are links to its blobs; the kernel sees to that.
struct Source {
    root: OwnedFd,
    /// From `root` to the checkpoint.
    prefix: PathBuf,
    dir: PathBuf,
    /// As it was called.
    given: PathBuf,
}

impl Source {
    fn open(given: &Path) -> Result<Self, ModelError> {
        let dir = fs::canonicalize(given).map_err(at(given))?;
        let given = std::path::absolute(given).map_err(at(given))?;
        let repository = dir
            .parent()
            .filter(|snapshots| snapshots.ends_with("snapshots"))
            .and_then(Path::parent)
            .filter(|repository| repository.join("blobs").is_dir());
        let root = repository.unwrap_or(&dir);
        let prefix = dir.strip_prefix(root).unwrap_or(Path::new("")).to_owned();
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let root = open(root, flags, Mode::empty()).map_err(|error| at(&dir)(error.into()))?;
        Ok(Self {
            root,
            prefix,
            dir,
            given,
        })
    }

    /// What the model is called where nobody says: the folder's name, or the repository's.
    fn name(&self) -> Option<String> {
        let repository = self.dir.parent().and_then(Path::parent);
        let repository = repository.filter(|_| !self.prefix.as_os_str().is_empty());
        let name = repository.unwrap_or(&self.given).file_name()?.to_str()?;
        Some(name.rsplit("--").next().unwrap_or(name).to_owned())
    }

    /// Opens a file; `None` where there is none.
    fn file(&self, name: &str) -> Result<Option<File>, ModelError> {
        let path = self.dir.join(name);
        let outside = |why| ModelError::Outside {
            path: path.clone(),
            why,
        };
        // Not blocking: a pipe in place of a file would wait for ever.
        let how = OpenHow::new()
            .flags(OFlag::O_RDONLY | OFlag::O_CLOEXEC | OFlag::O_NONBLOCK)
            .resolve(ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_MAGICLINKS);
        let file = match openat2(self.root.as_fd(), &self.prefix.join(name), how) {
            Ok(file) => File::from(file),
            Err(Errno::ENOENT | Errno::ENOTDIR) => return Ok(None),
            Err(Errno::EXDEV) => return Err(outside("a link that leads out of it")),
            Err(Errno::ELOOP) => return Err(outside("a link in a circle")),
            Err(error) => return Err(at(&path)(error.into())),
        };
        match file.metadata().map_err(at(&path))?.is_file() {
            true => Ok(Some(file)),
            false => Err(outside("a folder, a pipe or a device")),
        }
    }

    /// A small file's content.
    fn read(&self, name: &str) -> Result<Vec<u8>, ModelError> {
        let path = self.dir.join(name);
        let file = self
            .file(name)?
            .ok_or_else(|| at(&path)(io::ErrorKind::NotFound.into()))?;
        let mut content = Vec::new();
        let taken = file.take(record::limit(name)).read_to_end(&mut content);
        taken.map_err(at(&path))?;
        Ok(content)
    }

    /// Copies a file into `to`; its digest.
    fn copy(&self, name: &str, to: &Path) -> Result<Option<String>, ModelError> {
        let Some(file) = self.file(name)? else {
            return Ok(None);
        };
        let target = to.join(name);
        let mut copy = create(&target)?;
        let seen = |part: &[u8]| copy.write_all(part).map_err(at(&target));
        let digest = record::digest(file, &self.dir.join(name), record::limit(name), seen)?;
        copy.sync_all().map_err(at(&target))?;
        Ok(Some(digest))
    }
}

fn create(path: &Path) -> Result<File, ModelError> {
    let mut options = File::options();
    let file = options.write(true).create_new(true).mode(0o644).open(path);
    let file = file.map_err(at(path))?;
    // Whatever the umask.
    file.set_permissions(Permissions::from_mode(0o644))
        .map_err(at(path))?;
    Ok(file)
}

fn write_new(path: &Path, text: &str) -> Result<(), ModelError> {
    let mut file = create(path)?;
    file.write_all(text.as_bytes())
        .and_then(|()| file.sync_all())
        .map_err(at(path))
}

fn sync(folder: &Path) -> Result<(), ModelError> {
    File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(at(folder))
}

fn plain(name: &str) -> Result<&str, ModelError> {
    let right = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
    match !name.is_empty() && name.len() <= 64 && !name.starts_with('.') && name.bytes().all(right) {
        true => Ok(name),
        false => Err(ModelError::Name),
    }
}

// -- asking the daemon's program ----------------------------------------------------------------------------------

/// Has the daemon's program load what is in `dir`, as the daemon's user where there is one.
fn checked(dir: &Path, base: Option<&Path>, check: &ModelCheck) -> Result<Checked, ModelError> {
    let daemon = check.daemon.clone();
    let program = daemon.unwrap_or_else(|| crate::program(DAEMON, "/usr/bin"));
    let dir = std::path::absolute(dir).map_err(at(dir))?;
    let mut command = Command::new(&program);
    command.arg("check-model").arg(&dir).stdin(Stdio::null());
    if let Some(base) = base {
        command.arg("--base").arg(base);
    }
    if geteuid().is_root()
        && let Ok(Some(user)) = User::from_name(DAEMON)
    {
        command
            .uid(user.uid.as_raw())
            .gid(user.gid.as_raw())
            .current_dir("/");
    }
    let output = command.output().map_err(|source| ModelError::NoDaemon {
        path: program.clone(),
        source,
    })?;
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    if !output.status.success() {
        let why = if said.is_empty() {
            output.status.to_string()
        } else {
            said
        };
        return Err(ModelError::Unusable(why));
    }
    serde_json::from_slice(&output.stdout).map_err(|error| ModelError::Unusable(error.to_string()))
}

/// The directory of the base that `--base` names; `None` for what is no adapter.
fn base_of(
    adapter: bool,
    wanted: Option<&Path>,
    into: &Path,
    config: impl FnOnce() -> Option<Value>,
) -> Result<Option<PathBuf>, ModelError> {
    if !adapter {
        return Ok(None);
    }
    let Some(wanted) = wanted else {
        let digest =
            config().and_then(|config| Some(config.get("mednerd")?.get("base_digest")?.as_str()?.to_owned()));
        return Err(ModelError::NoBase { digest });
    };
    let name = matches!(
        wanted.components().collect::<Vec<_>>()[..],
        [Component::Normal(_)]
    );
    let installed = [into, Path::new(SHIPPED)].map(|folder| folder.join(wanted));
    let found = installed.into_iter().find(|folder| name && folder.is_dir());
    Ok(Some(
        std::path::absolute(found.as_deref().unwrap_or(wanted)).map_err(at(wanted))?,
    ))
}

// -- the commands -------------------------------------------------------------------------------------------------

fn install(options: &ModelInstall) -> Result<Exit, Error> {
    // A path that can stand in a configuration as it is.
    let into = &std::path::absolute(&options.place.into).map_err(at(&options.place.into))?;
    let source = Source::open(&options.path)?;
    let name = options.name.clone().or_else(|| source.name()).unwrap_or_default();
    let name = plain(&name)?;
    make_folders(into).map_err(ModelError::from)?;
    let slot = Slot::of(into, name).map_err(ModelError::from)?;
    let (target, new) = (&slot.target, &slot.new);
    let filled = make_folders(new)
        .map_err(ModelError::from)
        .and_then(|()| fill(&source, name, new, options))
        .and_then(|found| {
            slot.fill()?;
            Ok(found)
        });
    let (checked, key) = match filled {
        Ok(found) => found,
        Err(error) => {
            let _ = fs::remove_dir_all(new);
            return Err(error.into());
        }
    };
    let table = match &*checked.kind {
        "adapter" => "[[models.adapters]], below its base,",
        _ => "[[models]]",
    };
    say(&format!(
        "{}\n{}\ninstalled in {}; put it into {table} of the configuration, then `mednerctl reload`:\n  name = \"{name}\"\n  path = \"{}\"",
        described(name, &checked),
        signed_by(key.as_deref()),
        target.display(),
        target.display(),
    ))
}

fn described(name: &str, checked: &Checked) -> String {
    let Checked {
        kind,
        family,
        parameters,
        digest,
        goldens,
        ..
    } = checked;
    let finds = checked.finds();
    let compared = match goldens {
        0 => String::new(),
        count => format!(", answers {count} texts as its maker's"),
    };
    format!("{name}: {kind}, {family}, {parameters} parameters, finds {finds}{compared}\ndigest {digest}")
}

fn signed_by(key: Option<&str>) -> String {
    key.map_or("not signed".to_owned(), |key| format!("signed by key {key}"))
}

/// Copies and checks everything into `new`.
fn fill(
    source: &Source,
    name: &str,
    new: &Path,
    options: &ModelInstall,
) -> Result<(Checked, Option<String>), ModelError> {
    let signature = format!("{SUMS}{MINISIG}");
    for file in [SUMS, &signature] {
        source.copy(file, new)?;
    }
    let read = record::read(new, &options.place.trusted_keys).map_err(|error| match error {
        // As it was given: the copy is gone when this is read.
        ModelError::Record { line, .. } => ModelError::Record {
            path: source.dir.join(SUMS),
            line,
        },
        error => error,
    });
    let (recorded, key) = read?.unwrap_or_default();
    let exists = |file: &str| !matches!(source.file(file), Ok(None));
    let mut names = record::names(&source.dir, exists, |file| source.read(file))?;
    if key.is_some() {
        // What was not signed is left out.
        names = recorded.keys().cloned().collect();
    }
    let adapter = names.contains(ADAPTER_CONFIG);
    let config = || serde_json::from_slice(&source.read("config.json").ok()?).ok();
    let base = base_of(
        adapter,
        options.check.base.as_deref(),
        &options.place.into,
        config,
    )?;
    let mut sums = Sums::new();
    for file in names {
        if file.contains('/') && !new.join("labels_encoder").exists() {
            make_folders(&new.join("labels_encoder"))?;
        }
        let path = source.dir.join(&file);
        let digest = source.copy(&file, new)?.ok_or_else(|| ModelError::Weights {
            path: path.clone(),
            problem: "is missing".to_owned(),
        })?;
        if recorded.get(&file).is_some_and(|expected| *expected != digest) {
            return Err(ModelError::Altered {
                path,
                problem: "has another content",
                advice: "copy the model again, or ask whoever made it",
            });
        }
        sums.insert(file, digest);
    }
    let most = options.max_file_mb.saturating_mul(1_000_000);
    if key.is_some() {
        let path = new.join(WEIGHTS);
        if path.metadata().is_ok_and(|found| found.len() > most) {
            return Err(ModelError::Signed {
                path: source.dir.join(WEIGHTS),
            });
        }
    } else if shards::split(new, most)? {
        sums.remove(WEIGHTS);
        for entry in fs::read_dir(new).map_err(at(new))? {
            let path = entry.map_err(at(new))?.path();
            let file = path
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned();
            if file.starts_with("model") && path.is_file() {
                fs::set_permissions(&path, Permissions::from_mode(0o644)).map_err(at(&path))?;
                let opened = File::open(&path).map_err(at(&path))?;
                sums.insert(
                    file.clone(),
                    record::digest(opened, &path, record::limit(&file), |_| Ok(()))?,
                );
            }
        }
    }
    let checked = checked(new, base.as_deref(), &options.check).map_err(|error| match error {
        // Of the files as they were given.
        ModelError::Unusable(why) => {
            let [copy, given] = [new, &source.dir].map(|dir| dir.display().to_string());
            ModelError::Unusable(why.replace(&copy, &given))
        }
        error => error,
    })?;
    if key.is_none() {
        if !sums.contains_key(CARD) {
            let text = card(name, &checked);
            write_new(&new.join(CARD), &text)?;
            sums.insert(
                CARD.to_owned(),
                record::digest(text.as_bytes(), Path::new(CARD), u64::MAX, |_| Ok(()))?,
            );
        }
        if new.join(SUMS).exists() {
            fs::remove_file(new.join(SUMS)).map_err(at(new))?;
        }
        write_new(&new.join(SUMS), &record::written(&sums))?;
    }
    sync(new)?;
    Ok((checked, key))
}

/// The card of a model that came without one: what is known, and that nothing else is.
fn card(name: &str, checked: &Checked) -> String {
    let Checked {
        kind,
        family,
        parameters,
        digest,
        license,
        ..
    } = checked;
    let license = license.as_deref().unwrap_or("unknown");
    format!(
        "# {name}\n\nNo card came with this model. `mednerctl model install` read this off its files:\n\n| | |\n|---|---|\n\
         | kind | {kind} |\n| family | {family} |\n| finds | {} |\n| parameters | {parameters} |\n| digest | {digest} |\n\
         | licence | {license} |\n\nUnknown are its training data, its intended use, its limits and its scores: ask whoever \
         made it, and measure it on notes of your own (`mednerd-train evaluate --socket`), before anybody relies on it.\n",
        checked.finds()
    )
}

/// Compares an installed model with its record; the key that signed it.
fn whole(dir: &Path, trusted_keys: &Path) -> Result<Option<String>, ModelError> {
    let found = record::read(dir, trusted_keys)?;
    let (sums, key) = found.ok_or_else(|| ModelError::NotInstalled { path: dir.to_owned() })?;
    record::compare(dir, &sums)?;
    Ok(key)
}

fn verify(name: &str, place: &ModelPlace, check: &ModelCheck) -> Result<Exit, Error> {
    let dir = place.into.join(plain(name)?);
    let key = whole(&dir, &place.trusted_keys)?;
    let adapter = dir.join(ADAPTER_CONFIG).exists();
    if adapter && check.base.is_none() {
        return say(&format!(
            "{name}: its files are as they were installed; {}; not loaded, since --base does not say over what",
            signed_by(key.as_deref())
        ));
    }
    let base = base_of(adapter, check.base.as_deref(), &place.into, || None)?;
    let checked = checked(&dir, base.as_deref(), check)?;
    say(&format!(
        "{}\nits files are as they were installed; {}",
        described(name, &checked),
        signed_by(key.as_deref())
    ))
}

fn list(place: &ModelPlace) -> Result<Exit, Error> {
    let into = &place.into;
    let mut folders: Vec<PathBuf> = match fs::read_dir(into) {
        Ok(entries) => entries.filter_map(Result::ok).map(|entry| entry.path()).collect(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(at(into)(error).into()),
    };
    folders.retain(|folder| !is_hidden(folder) && folder.join(SUMS).is_file());
    folders.sort();
    if folders.is_empty() {
        return say(&format!("no model is installed in {}", into.display()));
    }
    let mut table = Table::new(["name", "kind", "finds", "MB", "signed by", "whole"].map(Column::text));
    let mut exit = Exit::Fine;
    for folder in folders {
        let name = folder.file_name().unwrap_or_default().to_string_lossy();
        let kind = match folder.join(ADAPTER_CONFIG).exists() {
            true => "adapter",
            false => "model",
        };
        let (signer, state) = match whole(&folder, &place.trusted_keys) {
            Ok(key) => (key.unwrap_or_default(), "yes".to_owned()),
            Err(error) => {
                exit = Exit::Partly;
                (String::new(), format!("no: {error}"))
            }
        };
        let (finds, size) = (types(&folder).join(", "), megabytes(&folder));
        table.row([&*name, kind, &*finds, &*size, &*signer, &*state].map(Into::into));
    }
    let mut output = Output::Stdout;
    output.last(table.render(output.style()).as_bytes(), exit)
}

/// Entity types by `config.json`, in the order of the labels.
fn types(dir: &Path) -> Vec<String> {
    let config = fs::read(dir.join("config.json")).unwrap_or_default();
    let config: Value = serde_json::from_slice(&config).unwrap_or_default();
    let labels = config.get("id2label").and_then(Value::as_object);
    let mut labels: Vec<(usize, &str)> = labels
        .into_iter()
        .flatten()
        .filter_map(|(id, label)| Some((id.parse().ok()?, label.as_str()?)))
        .collect();
    labels.sort_unstable();
    let mut types: Vec<String> = Vec::new();
    for (_, label) in labels {
        let name = label.split_once('-').map_or(label, |(_, name)| name);
        if label != "O" && !types.iter().any(|known| known == name) {
            types.push(name.to_owned());
        }
    }
    types
}

fn megabytes(dir: &Path) -> String {
    let entries = fs::read_dir(dir).into_iter().flatten().filter_map(Result::ok);
    let bytes: u64 = entries
        .filter_map(|entry| Some(entry.metadata().ok()?.len()))
        .sum();
    format!("{}.{}", bytes / 1_000_000, bytes % 1_000_000 / 100_000)
}

fn remove(name: &str, into: &Path) -> Result<Exit, Error> {
    let target = into.join(plain(name)?);
    if !target.join(SUMS).is_file() {
        return Err(ModelError::NotInstalled { path: target }.into());
    }
    Slot::of(into, name)
        .and_then(|slot| slot.empty())
        .map_err(ModelError::from)?;
    say(&format!(
        "{} is removed; a running daemon keeps it, and its next start or reload fails while the configuration names it: take it \
         out there",
        target.display()
    ))
}

fn sign(options: &SignOptions) -> Result<Exit, Error> {
    let source = Source::open(&options.path)?;
    let exists = |file: &str| !matches!(source.file(file), Ok(None));
    let mut sums = Sums::new();
    for name in record::names(&source.dir, exists, |file| source.read(file))? {
        let path = source.dir.join(&name);
        if let Some(file) = source.file(&name)? {
            sums.insert(
                name.clone(),
                record::digest(file, &path, record::limit(&name), |_| Ok(()))?,
            );
        }
    }
    let text = record::written(&sums);
    let comment = format!("{} for mednerd", source.name().unwrap_or_default());
    let signed = signature(&options.key, text.as_bytes(), &comment)?;
    let [sums_file, signature] =
        [SUMS.to_owned(), format!("{SUMS}{MINISIG}")].map(|name| source.dir.join(name));
    replace([(&sums_file, text.as_bytes()), (&signature, signed.as_bytes())])?;
    let key = mednerd_plugin::package::key_id(&signed).unwrap_or_default();
    say(&format!("{} files are signed by key {key}", sums.len()))
}
