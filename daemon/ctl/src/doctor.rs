//! `doctor`: everything that an administrator would be asked on the telephone, each with what to do about it.

use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use mednerd_audit::{Key, Verifier};
use mednerd_client::Client;
use mednerd_client::api::{PluginState, ServiceState, StatusResponse};
use nix::sys::statvfs::statvfs;
use nix::unistd::{Gid, Group, Uid, User, geteuid};
use serde::Serialize;

use crate::audit::trail_files;
use crate::cli::InstallationPlace;
use crate::error::Error;
use crate::exit::Exit;
use crate::format::{bytes, duration, json};
use crate::output::Output;
use crate::table::Table;
use crate::{program, within};

/// Less free space than this is worth a warning; the audit trail needs it.
const LITTLE_SPACE: u64 = 1 << 30;

/// A longer trail is not verified here: `mednerctl audit verify` does that.
const LONG_TRAIL: u64 = 256 << 20;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// As it should be.
    Ok,
    /// This user cannot see it, or it is not there to be looked at.
    Unknown,
    /// It works and should not stay so.
    Warning,
    /// It does not work.
    Wrong,
}

impl Verdict {
    fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Unknown => "unknown",
            Self::Warning => "warning",
            Self::Wrong => "WRONG",
        }
    }
}

/// One thing that was looked at.
#[derive(Clone, Debug, Serialize)]
pub struct Finding {
    /// What was looked at.
    pub about: &'static str,
    /// How it is.
    pub verdict: Verdict,
    /// What was found.
    pub found: String,
    /// What to do; empty where there is nothing to do.
    pub remedy: String,
}

/// What `doctor` found.
#[derive(Default)]
pub struct Findings(pub Vec<Finding>);

impl Findings {
    fn add(&mut self, about: &'static str, verdict: Verdict, found: impl Into<String>, remedy: &str) {
        self.0.push(Finding {
            about,
            verdict,
            found: found.into(),
            remedy: remedy.to_owned(),
        });
    }

    /// Whether anything does not work.
    pub fn wrong(&self) -> bool {
        self.0.iter().any(|finding| finding.verdict == Verdict::Wrong)
    }

    /// The findings for a person.
    pub fn page(&self, style: crate::table::Style) -> String {
        let mut table = Table::pairs();
        for finding in &self.0 {
            let head = format!("{:<8}{}", finding.verdict.name(), finding.about);
            table.row([head.into(), finding.found.as_str().into()]);
            if !finding.remedy.is_empty() {
                table.row(["".into(), format!("do: {}", finding.remedy).into()]);
            }
        }
        table.render(style)
    }
}

/// `mednerctl doctor`
pub async fn run(
    socket: &Path,
    patience: Duration,
    place: InstallationPlace,
    as_json: bool,
) -> Result<Exit, Error> {
    let findings = examine(socket, patience, &place).await;
    let mut output = Output::Stdout;
    let page = if as_json {
        json(&findings.0, true)? + "\n"
    } else {
        findings.page(output.style())
    };
    output.write(page.as_bytes())?;
    Ok(if findings.wrong() {
        Exit::Partly
    } else {
        Exit::Fine
    })
}

/// Looks at everything.
pub async fn examine(socket: &Path, patience: Duration, place: &InstallationPlace) -> Findings {
    let mut findings = Findings::default();
    let root = geteuid().is_root();
    if !root {
        let found = "this is not root, so not everything can be seen";
        findings.add("user", Verdict::Unknown, found, "run `sudo mednerctl doctor`");
    }
    units(&mut findings);
    let status = daemon(&mut findings, socket, patience).await;
    socket_file(&mut findings, "socket", socket, 0o660);
    socket_file(&mut findings, "admin socket", &place.admin_socket, 0o600);
    access(&mut findings);
    configuration(&mut findings, &place.config, root);
    if let Some(status) = &status {
        loaded(&mut findings, status);
    }
    audit(&mut findings, place);
    space(&mut findings, "disk", &place.audit);
    memory(&mut findings, status.as_ref());
    clock(&mut findings);
    journal(&mut findings);
    findings
}

/// What a program prints, where it can be run and ends well.
pub fn output_of(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    (output.status.success() && !text.is_empty()).then_some(text)
}

fn units(findings: &mut Findings) {
    for unit in ["mednerd.service", "mednerd.socket", "mednerd-admin.socket"] {
        let properties = "ActiveState,SubState,Result,NRestarts,LoadState";
        let Some(shown) = output_of("systemctl", &["show", "-p", properties, unit]) else {
            let found = "systemd does not answer";
            findings.add("systemd", Verdict::Unknown, found, "");
            return;
        };
        let value = |name: &str| {
            let line = shown
                .lines()
                .find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
            line.unwrap_or_default().to_owned()
        };
        let restarts = value("NRestarts").parse().unwrap_or(0_u64);
        let found = format!("{unit} is {} ({})", value("ActiveState"), value("SubState"));
        let state = match value("SubState").as_str() {
            // Between two attempts to start.
            "auto-restart" => "failed".to_owned(),
            _ => value("ActiveState"),
        };
        let (verdict, remedy) = match (value("LoadState").as_str(), state.as_str()) {
            ("not-found", _) => (
                Verdict::Wrong,
                format!("install the package again: {unit} is missing"),
            ),
            (_, "failed") => (
                Verdict::Wrong,
                format!(
                    "read `journalctl -u mednerd -e`, correct the cause, then `systemctl reset-failed mednerd.service mednerd.socket \
                     mednerd-admin.socket && systemctl start {unit}` (it failed by: {})",
                    value("Result")
                ),
            ),
            (_, "active" | "activating" | "reloading") if restarts > 0 => (
                Verdict::Warning,
                format!("it was restarted {restarts} times: `journalctl -u mednerd -e` says why"),
            ),
            (_, "active" | "activating" | "reloading") => (Verdict::Ok, String::new()),
            _ if unit == "mednerd.service" => (
                Verdict::Warning,
                "it starts with the first request; to start it now: `systemctl start mednerd`".to_owned(),
            ),
            _ => (Verdict::Wrong, format!("`systemctl enable --now {unit}`")),
        };
        findings.add("systemd", verdict, found, &remedy);
    }
}

async fn daemon(findings: &mut Findings, socket: &Path, patience: Duration) -> Option<StatusResponse> {
    let answer = within(patience, Client::new(socket).status()).await;
    let status = match answer {
        Ok(status) => status,
        Err(error) => {
            let remedy = match error.exit() {
                Exit::Refused => "add this user to the group mednerd (`adduser USER mednerd`) or to [access]",
                _ => "`systemctl status mednerd.service mednerd.socket`, then `journalctl -u mednerd -e`",
            };
            findings.add("daemon", Verdict::Wrong, error.to_string(), remedy);
            return None;
        }
    };
    let found = format!(
        "answers, version {}, running for {}",
        status.version,
        duration(status.uptime_s)
    );
    match status.state {
        ServiceState::Ready => findings.add("daemon", Verdict::Ok, found, ""),
        ServiceState::Stopping => findings.add("daemon", Verdict::Warning, "it is stopping", "wait"),
        ServiceState::Unhealthy => findings.add(
            "daemon",
            Verdict::Wrong,
            format!("{found}, and its self-check fails"),
            "`journalctl -u mednerd -e` says what fails; systemd restarts it where that goes on",
        ),
    }
    let own = env!("CARGO_PKG_VERSION");
    if status.version != own {
        let found = format!("the daemon is {}, mednerctl is {own}", status.version);
        let remedy = "after an upgrade `systemctl restart mednerd`; `journalctl -u mednerd` says if the new version refused the configuration";
        findings.add("version", Verdict::Warning, found, remedy);
    }
    for problem in &status.configuration.rejected {
        let remedy = "correct it, then `mednerctl reload`; the configuration before it is in force";
        findings.add("last reload", Verdict::Warning, problem.as_str(), remedy);
    }
    Some(status)
}

fn socket_file(findings: &mut Findings, about: &'static str, path: &Path, due: u32) {
    let metadata = match fs::symlink_metadata(path) {
        Ok(metadata) => metadata,
        Err(error) => {
            let found = format!("{}: {error}", path.display());
            return findings.add(
                about,
                Verdict::Wrong,
                found,
                "`systemctl restart mednerd.socket mednerd-admin.socket`",
            );
        }
    };
    if !metadata.file_type().is_socket() {
        let found = format!("{} is no socket", path.display());
        return findings.add(
            about,
            Verdict::Wrong,
            found,
            "move it away and restart the socket's unit",
        );
    }
    let owner = User::from_uid(Uid::from_raw(metadata.uid())).ok().flatten();
    let group = Group::from_gid(Gid::from_raw(metadata.gid())).ok().flatten();
    let mode = metadata.mode() & 0o777;
    let found = format!(
        "{}, mode {mode:04o}, {}:{}",
        path.display(),
        owner.map_or_else(|| metadata.uid().to_string(), |user| user.name),
        group.map_or_else(|| metadata.gid().to_string(), |group| group.name),
    );
    if mode == due {
        findings.add(about, Verdict::Ok, found, "");
    } else {
        let remedy = "not the package's mode; right where [access] lists users or several groups (see the guide), else `systemctl revert` its unit";
        findings.add(about, Verdict::Warning, found, remedy);
    }
}

fn access(findings: &mut Findings) {
    match User::from_name("mednerd") {
        Ok(Some(_)) => {}
        _ => findings.add(
            "user",
            Verdict::Wrong,
            "there is no user mednerd",
            "`systemd-sysusers`, then restart",
        ),
    }
    match Group::from_name("mednerd") {
        Ok(Some(group)) if group.mem.is_empty() => findings.add(
            "group",
            Verdict::Warning,
            "the group mednerd has no members: only root may annotate",
            "`adduser USER mednerd` for each EHR system's user, and restart that system",
        ),
        Ok(Some(group)) => {
            let found = format!("members of mednerd: {}", group.mem.join(", "));
            findings.add("group", Verdict::Ok, found, "");
        }
        _ => findings.add(
            "group",
            Verdict::Wrong,
            "there is no group mednerd",
            "`systemd-sysusers`, then restart",
        ),
    }
}

fn configuration(findings: &mut Findings, file: &Path, root: bool) {
    // As the service's user, who may not be able to read what root can.
    let as_service =
        root && file.starts_with("/etc/mednerd") && matches!(User::from_name("mednerd"), Ok(Some(_)));
    let daemon = program("mednerd", "/usr/bin");
    let mut command = match as_service {
        true => Command::new("runuser"),
        false => Command::new(&daemon),
    };
    if as_service {
        command.args(["-u", "mednerd", "--"]).arg(&daemon);
    }
    let checked = command.arg("validate").arg("--config").arg(file).output();
    match checked {
        Ok(output) => {
            let text = String::from_utf8_lossy(&output.stdout).trim().replace('\n', "; ");
            if output.status.success() {
                findings.add("configuration", Verdict::Ok, text, "");
            } else {
                let verdict = if root { Verdict::Wrong } else { Verdict::Unknown };
                let remedy = "correct what is named; the daemon does not start or reload with it";
                findings.add("configuration", verdict, text, remedy);
            }
        }
        Err(error) => {
            let found = format!("{} cannot be run: {error}", daemon.display());
            findings.add(
                "configuration",
                Verdict::Wrong,
                found,
                "install the package again",
            );
        }
    }
}

fn loaded(findings: &mut Findings, status: &StatusResponse) {
    let models = status.models.join(", ");
    match status.models.is_empty() {
        true => findings.add(
            "models",
            Verdict::Wrong,
            "none is loaded",
            "add a [[models]] table, then `mednerctl reload`",
        ),
        false => findings.add("models", Verdict::Ok, models, ""),
    }
    for plugin in &status.plugins {
        match (plugin.state, &plugin.reason) {
            (PluginState::Ready, _) if !plugin.sandbox.enough => findings.add(
                "plugin",
                Verdict::Warning,
                format!(
                    "{} is not confined as it should be: this kernel offers it Landlock {} and seccomp {}",
                    plugin.id, plugin.sandbox.landlock, plugin.sandbox.seccomp
                ),
                "use a kernel with Landlock and seccomp (Linux 5.13 or later, Landlock among its security modules); \
                 require_sandbox = true in [plugin_policy] refuses plugins without",
            ),
            (PluginState::Ready, _) => findings.add("plugin", Verdict::Ok, &plugin.id, ""),
            (_, reason) => findings.add(
                "plugin",
                Verdict::Wrong,
                format!("{}: {}", plugin.id, reason.as_deref().unwrap_or("not ready")),
                "`mednerctl plugins` and the journal tell more",
            ),
        }
    }
    let found = format!(
        "{} on {} threads: {}",
        status.engine.precision, status.engine.threads, status.engine.reason
    );
    findings.add("engine", Verdict::Ok, found, "");
    for gpu in &status.engine.gpus {
        let named = format!("{} {}, driver {}", gpu.gpu, gpu.name, gpu.driver);
        let (verdict, found, remedy) = match gpu.state.as_str() {
            "ready" if gpu.deaths == 0 => (Verdict::Ok, named, ""),
            "ready" => (
                Verdict::Warning,
                format!("{named}; its worker died {} times", gpu.deaths),
                "`journalctl -u mednerd` says why; `nvidia-smi -q` shows errors of its memory",
            ),
            "down" => (
                Verdict::Warning,
                format!("{} computes nothing: {}", gpu.gpu, gpu.detail),
                "the CPU computes meanwhile; `nvidia-smi` shows what the driver sees, `journalctl -u mednerd` tells of its worker",
            ),
            state => (
                Verdict::Warning,
                format!("{} is {state}", gpu.gpu),
                "wait a minute, then look again",
            ),
        };
        findings.add("GPU", verdict, found, remedy);
    }
}

fn audit(findings: &mut Findings, place: &InstallationPlace) {
    let about = "audit trail";
    let metadata = match fs::metadata(&place.audit) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {
            return findings.add(
                about,
                Verdict::Unknown,
                "this user may not look at it",
                "run as root",
            );
        }
        Err(error) => {
            let found = format!("{}: {error}", place.audit.display());
            return findings.add(
                about,
                Verdict::Warning,
                found,
                "`systemd-tmpfiles --create`; without [audit] there is none",
            );
        }
    };
    if metadata.mode() & 0o077 != 0 {
        let found = format!("{} is open to others than the daemon", place.audit.display());
        findings.add(
            about,
            Verdict::Wrong,
            found,
            &format!("chmod 700 {}", place.audit.display()),
        );
    }
    let files = trail_files(std::slice::from_ref(&place.audit)).unwrap_or_default();
    let foreign = files
        .iter()
        .find(|path| path.metadata().is_ok_and(|file| file.uid() != metadata.uid()));
    if let Some(path) = foreign {
        let found = format!("{} belongs to another user than its folder", path.display());
        findings.add(
            about,
            Verdict::Wrong,
            found,
            &format!("chown -R mednerd: {}", place.audit.display()),
        );
    }
    let key = match Key::read(&place.audit_key) {
        Ok(key) => key,
        Err(error) => {
            let verdict = if geteuid().is_root() {
                Verdict::Wrong
            } else {
                Verdict::Unknown
            };
            return findings.add(
                "audit key",
                verdict,
                error.to_string(),
                "restore it from the backup; a new key cannot verify the old trail",
            );
        }
    };
    let size: u64 = files
        .iter()
        .filter_map(|path| path.metadata().ok())
        .map(|file| file.len())
        .sum();
    if size > LONG_TRAIL {
        let found = format!("{} in {} files", bytes(size), files.len());
        return findings.add(
            about,
            Verdict::Ok,
            found,
            "`mednerctl audit verify` reads all of it; archive what is old",
        );
    }
    match Verifier::new(files, Some(&key)).all() {
        Ok(report) if report.faults.is_empty() && report.last == 0 => findings.add(
            about,
            Verdict::Warning,
            format!("no record is in {}", place.audit.display()),
            "a daemon with [audit] writes one at every start; without [audit] there is none",
        ),
        Ok(report) if report.faults.is_empty() => {
            let found = format!("{} records, {}, nothing was changed", report.records, bytes(size));
            findings.add(about, Verdict::Ok, found, "");
        }
        Ok(report) => {
            let first = report.faults.first().map(ToString::to_string).unwrap_or_default();
            let found = format!(
                "{} lines are not as they were written; the first: {first}",
                report.faults.len()
            );
            findings.add(
                about,
                Verdict::Wrong,
                found,
                "keep a copy, find out who had access, `mednerctl audit verify` for all of them",
            );
        }
        Err((path, error)) => {
            let found = format!("{}: {error}", path.display());
            findings.add(about, Verdict::Wrong, found, "check the disk");
        }
    }
}

fn space(findings: &mut Findings, about: &'static str, path: &Path) {
    let Ok(found) = statvfs(path).or_else(|_| statvfs("/var")) else {
        return findings.add(
            about,
            Verdict::Unknown,
            format!("{} cannot be looked at", path.display()),
            "",
        );
    };
    let free = found.blocks_available() * found.fragment_size();
    let told = format!("{} free for {}", bytes(free), path.display());
    if free < 16 << 20 {
        findings.add(
            about,
            Verdict::Wrong,
            told,
            "make room: without a record in the audit trail there is no answer",
        );
    } else if free < LITTLE_SPACE {
        findings.add(
            about,
            Verdict::Warning,
            told,
            "make room before it runs out; documents are refused then",
        );
    } else {
        findings.add(about, Verdict::Ok, told, "");
    }
}

fn memory(findings: &mut Findings, status: Option<&StatusResponse>) {
    let page = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let kilobytes = page
        .lines()
        .find_map(|line| line.strip_prefix("MemAvailable:")?.trim().strip_suffix("kB"));
    let Some(available) = kilobytes.and_then(|number| number.trim().parse::<u64>().ok()) else {
        return findings.add("memory", Verdict::Unknown, "/proc/meminfo cannot be read", "");
    };
    let available = available * 1024;
    let own = status.map_or(0, |status| status.resident_bytes);
    let found = format!("{} available, the daemon has {}", bytes(available), bytes(own));
    // A restart or reload may load every model a second time.
    if available < own.max(256 << 20) {
        findings.add(
            "memory",
            Verdict::Warning,
            found,
            "a reload may hold every model twice: add memory or load fewer models",
        );
    } else {
        findings.add("memory", Verdict::Ok, found, "");
    }
}

fn clock(findings: &mut Findings) {
    match output_of("timedatectl", &["show", "-p", "NTPSynchronized", "--value"]).as_deref() {
        Some("yes") => findings.add("clock", Verdict::Ok, "synchronised", ""),
        Some(_) => findings.add(
            "clock",
            Verdict::Warning,
            "not synchronised: the audit trail's times are this machine's own",
            "`timedatectl set-ntp true`, or the hospital's time server",
        ),
        None => findings.add("clock", Verdict::Unknown, "timedatectl does not answer", ""),
    }
}

fn journal(findings: &mut Findings) {
    match output_of(
        "journalctl",
        &["-u", "mednerd", "-n", "1", "-q", "-o", "short-iso"],
    ) {
        None => findings.add(
            "journal",
            Verdict::Unknown,
            "nothing of mednerd can be seen in it",
            "run as root, or as a member of systemd-journal",
        ),
        Some(_) if !Path::new("/var/log/journal").is_dir() => findings.add(
            "journal",
            Verdict::Warning,
            "it is lost at a restart of the machine",
            "mkdir /var/log/journal && systemctl restart systemd-journald",
        ),
        Some(_) => findings.add("journal", Verdict::Ok, "kept on disk", ""),
    }
}
