//! `support-bundle`: what a supporter asks for in one file. Everything in it is made of what the daemon promises to
//! keep free of note text: its status, its log, its configuration without what plugins' settings may keep secret; of the
//! audit trail only whether it verifies.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Component, Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use mednerd_client::Client;
use nix::libc;

use crate::cli::BundleOptions;
use crate::error::Error;
use crate::exit::Exit;
use crate::format::json;
use crate::installation::{Installation, as_its_user};
use crate::output::Output;
use crate::redact::without_secrets;
use crate::table::Style;
use crate::{doctor, within};

/// `mednerctl support-bundle`
pub async fn run(
    installation: &Installation,
    patience: Duration,
    options: BundleOptions,
) -> Result<Exit, Error> {
    let archive = options
        .output
        .extension()
        .is_some_and(|extension| extension == "gz");
    let target = std::path::absolute(&options.output).map_err(failed(&options.output))?;
    if target.exists() {
        return Err(failed(&target)(std::io::ErrorKind::AlreadyExists.into()));
    }
    let folder = match archive {
        true => target.with_file_name(format!(".mednerd-support-{}", std::process::id())),
        false => target.clone(),
    };
    DirBuilder::new()
        .mode(0o700)
        .create(&folder)
        .map_err(failed(&folder))?;
    let filled = fill(&folder, installation, patience, &options).await;
    if archive {
        let packed = filled.and_then(|()| pack(&folder, &target));
        let _ = fs::remove_dir_all(&folder);
        packed?;
    } else {
        filled?;
    }
    let line = format!(
        "{}\nIt holds no note text. Look through it all the same before you send it.\n",
        target.display()
    );
    Output::Stdout.write(line.as_bytes())?;
    Ok(Exit::Fine)
}

fn failed(path: &Path) -> impl FnOnce(std::io::Error) -> Error + use<> {
    let target = path.display().to_string();
    move |source| Error::Write { target, source }
}

async fn fill(
    folder: &Path,
    installation: &Installation,
    patience: Duration,
    options: &BundleOptions,
) -> Result<(), Error> {
    let put = |name: &str, text: String| write(&folder.join(name), &text);
    let findings = doctor::examine(installation, patience).await;
    put("doctor.txt", findings.page(Style::default()))?;
    put("doctor.json", json(&findings.0, true)?)?;
    let mut client = Client::new(&installation.socket.path);
    put("status.json", page(within(patience, client.status()).await)?)?;
    put("models.json", page(within(patience, client.models()).await)?)?;
    put("plugins.json", page(within(patience, client.plugins()).await)?)?;
    put(
        "metrics.txt",
        within(patience, client.metrics())
            .await
            .unwrap_or_else(|error| error.to_string()),
    )?;
    for file in configuration_files(&installation.config) {
        let name = file
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let text = match installation.told {
            true => told_configuration(&file),
            false => fs::read_to_string(&file).unwrap_or_else(|error| error.to_string()),
        };
        let text = without_secrets(&text);
        put(&format!("configuration-{name}"), text)?;
    }
    let lines = options.lines.to_string();
    let commands: [(&str, &str, &[&str]); 6] = [
        (
            "journal.txt",
            "journalctl",
            &[
                "-u",
                "mednerd",
                "-u",
                "mednerd.socket",
                "-u",
                "mednerd-admin.socket",
                "-n",
                &lines,
                "-q",
                "-o",
                "short-iso-precise",
                "--no-hostname",
            ],
        ),
        (
            "units.txt",
            "systemctl",
            &[
                "show",
                "mednerd.service",
                "mednerd.socket",
                "mednerd-admin.socket",
            ],
        ),
        (
            "unit-files.txt",
            "systemctl",
            &["cat", "mednerd.service", "mednerd.socket", "mednerd-admin.socket"],
        ),
        (
            "packages.txt",
            "dpkg-query",
            &["-W", "mednerd*", "libc6", "systemd", "libsystemd0"],
        ),
        ("kernel.txt", "uname", &["-srvm"]),
        ("processor.txt", "lscpu", &[]),
    ];
    for (name, program, arguments) in commands {
        let text = doctor::output_of(program, arguments);
        put(
            name,
            text.unwrap_or_else(|| format!("{program} had nothing to say")),
        )?;
    }
    for (name, file) in [
        ("os-release.txt", "/etc/os-release"),
        ("memory.txt", "/proc/meminfo"),
    ] {
        put(
            name,
            fs::read_to_string(file).unwrap_or_else(|error| error.to_string()),
        )?;
    }
    Ok(())
}

fn page<T: serde::Serialize>(answer: Result<T, Error>) -> Result<String, Error> {
    match answer {
        Ok(answer) => json(&answer, true),
        Err(error) => Ok(error.to_string()),
    }
}

/// What is in a file that the daemon's answer names. A daemon that was taken over may name any, and whoever asks may read what it
/// cannot: so it is read as the daemon's user.
fn told_configuration(path: &Path) -> String {
    if let Err(why) = may_be_configuration(path, 0) {
        return format!(
            "{} is left out: {why}; where it is the configuration, name it with --config\n",
            path.display()
        );
    }
    match as_its_user(Path::new("cat")).arg("--").arg(path).output() {
        Ok(output) if output.status.success() => String::from_utf8_lossy(&output.stdout).into_owned(),
        Ok(_) => format!(
            "{} is left out: the daemon's user cannot read it\n",
            path.display()
        ),
        Err(error) => error.to_string(),
    }
}

/// Why a file is no configuration that `owner` wrote.
fn may_be_configuration(path: &Path, owner: u32) -> Result<(), String> {
    let plain = |part| matches!(part, Component::RootDir | Component::Normal(_));
    if !path.components().all(plain) || path.extension().is_none_or(|extension| extension != "toml") {
        return Err("the daemon's answer names it, and its name is no configuration's".to_owned());
    }
    let mut options = OpenOptions::new();
    let opened = options
        .read(true)
        .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
        .open(path);
    let file = opened.and_then(|file| file.metadata());
    let file = file.map_err(|error| error.to_string())?;
    if !file.is_file() {
        return Err("it is no file".to_owned());
    }
    let protected = file.uid() == owner && file.mode() & 0o022 == 0;
    match protected || path.starts_with("/etc/mednerd") {
        true => Ok(()),
        false => Err("the daemon's answer names it, and others than root may write it".to_owned()),
    }
}

/// The configuration and what is beside it in `conf.d`, as the daemon reads them.
fn configuration_files(main: &Path) -> Vec<PathBuf> {
    let mut files = vec![main.to_owned()];
    let beside = fs::read_dir(main.with_file_name("conf.d")).into_iter().flatten();
    let mut more: Vec<PathBuf> = beside.filter_map(Result::ok).map(|entry| entry.path()).collect();
    let hidden = |path: &Path| {
        path.file_name()
            .is_some_and(|name| name.as_bytes().starts_with(b"."))
    };
    more.retain(|path| path.extension().is_some_and(|extension| extension == "toml") && !hidden(path));
    more.sort();
    files.append(&mut more);
    files
}

fn write(path: &Path, text: &str) -> Result<(), Error> {
    let mut options = OpenOptions::new();
    let file = options.write(true).create_new(true).mode(0o600).open(path);
    file.and_then(|mut file| file.write_all(text.as_bytes()))
        .map_err(failed(path))
}

fn pack(folder: &Path, target: &Path) -> Result<(), Error> {
    // Its owner's alone from the start.
    let file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(target)
        .map_err(failed(target))?;
    let tar = Command::new("tar")
        .args(["-cz", "--transform=s,^\\.,mednerd-support,", "-C"])
        .arg(folder)
        .arg(".")
        .stdout(file)
        .status()
        .map_err(failed(target))?;
    if tar.success() {
        return Ok(());
    }
    let _ = fs::remove_file(target);
    Err(failed(target)(std::io::Error::other(
        "tar failed; name a folder with --output instead",
    )))
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::{PermissionsExt, symlink};

    use nix::unistd::geteuid;

    use super::*;

    #[test]
    fn a_file_that_the_daemon_names_is_taken_only_where_its_owner_wrote_a_configuration() {
        let folder = tempfile::tempdir().unwrap();
        let [good, open, link, key] =
            ["good.toml", "open.toml", "link.toml", "id_rsa"].map(|name| folder.path().join(name));
        for (path, mode) in [(&good, 0o600), (&open, 0o620), (&key, 0o600)] {
            fs::write(path, "x").unwrap();
            fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
        }
        symlink(&good, &link).unwrap();
        let own = geteuid().as_raw();
        assert_eq!(may_be_configuration(&good, own), Ok(()));
        assert!(may_be_configuration(&good, own + 1).is_err());
        let round = folder.path().join("../x.toml");
        for path in [&open, &link, &key, &round, &"/etc/mednerd/../x.toml".into()] {
            assert!(may_be_configuration(path, own).is_err(), "{}", path.display());
        }
        assert!(told_configuration(&key).contains("is left out: "));
    }
}
