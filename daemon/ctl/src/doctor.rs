//! `doctor`: everything that an administrator would be asked on the telephone, each with what to do about it.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use mednerd_audit::{Key, Verifier};
use mednerd_client::api::{Engine, GpuState, PluginState, ServiceState, StatusResponse};
use mednerd_client::{Client, ClientError};
use nix::sys::statvfs::{FsFlags, statvfs};
use nix::unistd::{Gid, Group, Uid, User, geteuid};
use serde::Serialize;

use crate::audit::trail_files;
use crate::error::Error;
use crate::exit::Exit;
use crate::format::{bytes, duration, json};
use crate::installation::{DAEMON, Installation, SocketFile, as_the_service};
use crate::output::Output;
use crate::table::Table;
use crate::within;

/// Less free space than this is worth a warning; the audit trail needs it.
const LITTLE_SPACE: u64 = 1 << 30;

/// Fewer files than this are worth a warning too.
const FEW_FILES: u64 = 1_000;

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
pub async fn run(installation: &Installation, patience: Duration, as_json: bool) -> Result<Exit, Error> {
    let findings = examine(installation, patience).await;
    let mut output = Output::Stdout;
    let page = if as_json {
        json(&findings.0, true)? + "\n"
    } else {
        findings.page(output.style())
    };
    let exit = if findings.wrong() {
        Exit::Partly
    } else {
        Exit::Fine
    };
    output.last(page.as_bytes(), exit)
}

/// Looks at everything.
pub async fn examine(installation: &Installation, patience: Duration) -> Findings {
    let mut findings = Findings::default();
    let root = geteuid().is_root();
    if !root {
        let found = "this is not root, so not everything can be seen";
        findings.add("user", Verdict::Unknown, found, "run `sudo mednerctl doctor`");
    }
    units(&mut findings);
    let status = daemon(&mut findings, installation, patience).await;
    socket_file(&mut findings, "socket", &installation.socket, "mednerd.socket");
    socket_file(
        &mut findings,
        "admin socket",
        &installation.admin_socket,
        "mednerd-admin.socket",
    );
    access(&mut findings, installation);
    configuration(&mut findings, installation, root);
    hidden(&mut findings, installation);
    if let Some(status) = status {
        loaded(&mut findings, status, installation.wants_gpu);
    }
    audit(&mut findings, installation);
    space(
        &mut findings,
        installation.audit.as_deref().unwrap_or(Path::new("/var")),
    );
    memory(&mut findings, status);
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
        let properties = "ActiveState,SubState,Result,NRestarts,LoadState,UnitFileState";
        let Some(shown) = output_of("systemctl", &["show", "-p", properties, unit]) else {
            let found = "systemd does not answer";
            findings.add("systemd", Verdict::Unknown, found, "");
            return;
        };
        let (verdict, found, remedy) = judged(unit, |name| property(&shown, name));
        findings.add("systemd", verdict, found, &remedy);
    }
}

/// A property, as `systemctl show` prints several.
fn property(shown: &str, name: &str) -> String {
    let line = shown
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
    line.unwrap_or_default().to_owned()
}

/// How a unit is, by its properties: the verdict, what was found, and the remedy.
fn judged(unit: &str, value: impl Fn(&str) -> String) -> (Verdict, String, String) {
    let restarts = value("NRestarts").parse().unwrap_or(0_u64);
    let found = format!("{unit} is {} ({})", value("ActiveState"), value("SubState"));
    let state = match value("SubState").as_str() {
        // Between two attempts to start.
        "auto-restart" => "failed".to_owned(),
        _ => value("ActiveState"),
    };
    let (load, enabled) = (value("LoadState"), value("UnitFileState"));
    let runs = matches!(state.as_str(), "active" | "activating" | "reloading");
    let (verdict, remedy) = match (load.as_str(), state.as_str()) {
        ("not-found", _) => (
            Verdict::Wrong,
            format!("install the package again: {unit} is missing"),
        ),
        ("masked", _) => (
            Verdict::Wrong,
            format!("it is masked: `systemctl unmask {unit} && systemctl enable --now {unit}`"),
        ),
        ("bad-setting" | "error", _) => (
            Verdict::Wrong,
            format!(
                "systemd cannot load it ({load}): `systemd-analyze verify {unit}` says what is wrong in it or in what `systemctl edit` \
                 added; correct that, then `systemctl daemon-reload && systemctl restart {unit}`"
            ),
        ),
        (_, "failed") => (
            Verdict::Wrong,
            format!(
                "read `journalctl -u mednerd -e`, correct the cause, then `systemctl reset-failed mednerd.service mednerd.socket \
                 mednerd-admin.socket && systemctl start {unit}` (it failed by: {})",
                value("Result")
            ),
        ),
        _ if runs && restarts > 0 => (
            Verdict::Warning,
            format!("it was restarted {restarts} times: `journalctl -u mednerd -e` says why"),
        ),
        _ if runs && enabled == "disabled" => (
            Verdict::Warning,
            format!("it does not come with the next start of the machine: `systemctl enable {unit}`"),
        ),
        _ if runs => (Verdict::Ok, String::new()),
        _ if unit == "mednerd.service" => (
            Verdict::Warning,
            "it starts with the first request; to start it now, and with the machine: `systemctl enable --now mednerd`".to_owned(),
        ),
        _ => (Verdict::Wrong, format!("`systemctl enable --now {unit}`")),
    };
    (verdict, found, remedy)
}

async fn daemon<'i>(
    findings: &mut Findings,
    installation: &'i Installation,
    patience: Duration,
) -> Option<&'i StatusResponse> {
    let status = match &installation.status {
        Ok(status) => status,
        Err(error) => {
            let remedy = match error.exit() {
                _ if matches!(error, Error::Client(ClientError::Connect { source, .. })
                    if source.kind() == std::io::ErrorKind::PermissionDenied) =>
                {
                    "run as root, or add this user to the group mednerd (`adduser USER mednerd`, then a new login)"
                }
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
    let mut client = Client::new(&installation.socket.path);
    match status.state {
        ServiceState::Ready => match not_ready(&mut client, patience).await {
            None => findings.add("daemon", Verdict::Ok, found, ""),
            Some(why) => findings.add(
                "daemon",
                Verdict::Wrong,
                format!("it runs and takes no document: {why}"),
                "`journalctl -u mednerd -e` says what fails; where it is the audit trail, see what is said of it and of the disk below",
            ),
        },
        ServiceState::Stopping => findings.add("daemon", Verdict::Warning, "it is stopping", "wait"),
        ServiceState::Unhealthy => findings.add(
            "daemon",
            Verdict::Wrong,
            format!("{found}, and its self-check fails"),
            "`journalctl -u mednerd -e` says what fails; systemd restarts it where that goes on",
        ),
    }
    let metrics = within(patience, client.metrics()).await.unwrap_or_default();
    let missing = counter(&metrics, "mednerd_audit_failures_total").unwrap_or_default();
    if missing > 0 {
        let found = format!("{missing} times since the daemon's start a record could not be written");
        let remedy = "`journalctl -u mednerd | grep -i audit` says when and why; where on_failure is \"continue\", documents were annotated \
                      without a record";
        findings.add("audit records", Verdict::Warning, found, remedy);
    }
    let own = mednerd_client::version();
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

/// Why the daemon takes no documents, in its own words; `None` where it does.
async fn not_ready(client: &mut Client, patience: Duration) -> Option<String> {
    match within(patience, client.ready()).await {
        Ok(_) => None,
        Err(Error::Client(ClientError::Refused { detail, .. })) => Some(detail.message),
        Err(error) => Some(error.to_string()),
    }
}

fn counter(metrics: &str, name: &str) -> Option<u64> {
    let line = metrics
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))?;
    line.split(' ').next()?.parse().ok()
}

fn socket_file(findings: &mut Findings, about: &'static str, socket: &SocketFile, unit: &str) {
    let path = &socket.path;
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
    let found = format!(
        "{}, mode {:04o}, {}:{}",
        path.display(),
        metadata.mode() & 0o777,
        owner.map_or_else(|| metadata.uid().to_string(), |user| user.name),
        group_name(metadata.gid()),
    );
    let (verdict, remedy) = admits(socket.due, metadata.mode(), metadata.gid(), unit);
    findings.add(about, verdict, found, &remedy);
}

fn group_name(gid: u32) -> String {
    let group = Group::from_gid(Gid::from_raw(gid)).ok().flatten();
    group.map_or_else(|| gid.to_string(), |group| group.name)
}

/// Whether a socket's file lets in those whom [access] lists, of which `due` is what it takes.
fn admits(due: Option<(u32, Option<u32>)>, mode: u32, group: u32, unit: &str) -> (Verdict, String) {
    let edit =
        |lines: &str| format!("`systemctl edit {unit}`, [Socket], {lines}, then `systemctl restart {unit}`");
    let all = mode & 0o006 == 0o006;
    match due {
        None => (
            Verdict::Unknown,
            "what [access] asks for could not be found out; see what is said of the configuration".to_owned(),
        ),
        Some((0o666, _)) if !all => (
            Verdict::Wrong,
            format!(
                "[access] lists users, or several groups, whom it keeps out: {}",
                edit("SocketMode=0666")
            ),
        ),
        Some((_, Some(due))) if !all && (group != due || mode & 0o060 != 0o060) => {
            let name = group_name(due);
            let lines =
                format!("SocketGroup={name} and SocketMode=0660 (or SocketMode=0666: the list decides then)");
            (
                Verdict::Wrong,
                format!(
                    "[access] lists the group {name}, whom it keeps out: {}",
                    edit(&lines)
                ),
            )
        }
        // Nobody but root is listed; who knocks is refused, and there is no need that he can.
        Some((0o600, _)) if mode & 0o077 != 0 => (
            Verdict::Warning,
            format!("more than [access] needs, which refuses others all the same: `systemctl revert {unit}`"),
        ),
        Some(_) => (Verdict::Ok, String::new()),
    }
}

fn access(findings: &mut Findings, installation: &Installation) {
    if !matches!(User::from_name(DAEMON), Ok(Some(_))) {
        findings.add(
            "user",
            Verdict::Wrong,
            "there is no user mednerd",
            "`systemd-sysusers`, then restart",
        );
    }
    let users = output_of("getent", &["passwd"]).or_else(|| fs::read_to_string("/etc/passwd").ok());
    let users = users.unwrap_or_default();
    let mut nobody = installation.users.is_empty();
    for name in &installation.groups {
        let by_number = || Group::from_gid(Gid::from_raw(name.parse().ok()?)).ok().flatten();
        let Some(group) = Group::from_name(name).ok().flatten().or_else(by_number) else {
            let remedy = match name.as_str() {
                DAEMON => "`systemd-sysusers`, then restart",
                _ => "make it, or take it out of [access]",
            };
            findings.add(
                "group",
                Verdict::Wrong,
                format!("there is no group {name}"),
                remedy,
            );
            // What comes of that needs no words.
            nobody = false;
            continue;
        };
        let members = members(&users, group.gid.as_raw(), group.mem);
        if !members.is_empty() {
            nobody = false;
            let members: Vec<String> = members.into_iter().collect();
            let found = format!("members of {}: {}", group.name, members.join(", "));
            findings.add("group", Verdict::Ok, found, "");
        }
    }
    if !installation.users.is_empty() {
        let found = format!("users listed in [access]: {}", installation.users.join(", "));
        findings.add("users", Verdict::Ok, found, "");
    }
    // Of a configuration with problems the list may be what is missing.
    if nobody && (installation.whole || !installation.groups.is_empty()) {
        let (found, remedy) = match installation.groups.first() {
            Some(group) => (
                format!(
                    "the group {} has no members: only root may annotate",
                    installation.groups.join(", ")
                ),
                format!("`adduser USER {group}` for each EHR system's user, and restart that system"),
            ),
            None => (
                "[access] lists nobody: only root may annotate".to_owned(),
                "list a group or users, then `mednerctl reload`".to_owned(),
            ),
        };
        findings.add("group", Verdict::Warning, found, &remedy);
    }
}

/// Who is in a group: those that it lists, and those of `users`, lines as in /etc/passwd, who have it from the start. The
/// daemon's own user and root need none.
fn members(users: &str, gid: u32, listed: Vec<String>) -> BTreeSet<String> {
    let primary = users.lines().filter_map(|line| {
        let fields: Vec<&str> = line.split(':').collect();
        let own = fields.get(3)?.parse::<u32>().ok()? == gid;
        own.then(|| fields.first().map(ToString::to_string))?
    });
    let needless = |name: &String| name == DAEMON || name == "root";
    listed
        .into_iter()
        .chain(primary)
        .filter(|name| !needless(name))
        .collect()
}

fn configuration(findings: &mut Findings, installation: &Installation, root: bool) {
    let about = "configuration";
    let mut command = as_the_service(&installation.config, installation.given);
    let checked = command
        .arg("validate")
        .arg("--config")
        .arg(&installation.config)
        .output();
    let output = match checked {
        Ok(output) => output,
        Err(error) => {
            let found = format!("{} cannot be run: {error}", command.get_program().display());
            return findings.add(about, Verdict::Wrong, found, "install the package again");
        }
    };
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().replace('\n', "; ");
    if output.status.success() {
        return findings.add(about, Verdict::Ok, text(&output.stdout), "");
    }
    let verdict = if root { Verdict::Wrong } else { Verdict::Unknown };
    let (found, remedy) = match (text(&output.stdout), text(&output.stderr)) {
        (problems, _) if !problems.is_empty() => (
            problems,
            "correct what is named; the daemon does not start or reload with it",
        ),
        (_, said) => {
            let said = if said.is_empty() {
                output.status.to_string()
            } else {
                said
            };
            let found = format!("mednerd validate did not come to check it: {said}");
            (
                found,
                "see that /usr/bin/mednerd may be run by the user mednerd; if need be install the package again",
            )
        }
    };
    findings.add(about, verdict, found, remedy);
}

/// What the configuration names and the unit hides from the service, though everybody else sees it.
fn hidden(findings: &mut Findings, installation: &Installation) {
    let properties = "LoadState,ProtectHome,PrivateTmp,BindPaths,BindReadOnlyPaths";
    let Some(shown) = output_of("systemctl", &["show", "-p", properties, "mednerd.service"]) else {
        return;
    };
    for path in unseen(&shown, &installation.reads) {
        let remedy = "move it to /var/lib/mednerd or /srv/mednerd, correct the path, then `mednerctl reload`";
        let found = format!(
            "{} cannot be seen by the service, whose unit hides /home, /root, /run/user, /tmp and /var/tmp",
            path.display()
        );
        findings.add("configuration", Verdict::Wrong, found, remedy);
    }
}

/// Those of `paths` that a unit with these properties does not see.
fn unseen<'p>(shown: &str, paths: &'p [PathBuf]) -> Vec<&'p PathBuf> {
    let value = |name| property(shown, name);
    let mut folders: Vec<&str> = Vec::new();
    if value("LoadState") != "loaded" {
        return Vec::new();
    }
    if matches!(value("ProtectHome").as_str(), "yes" | "tmpfs") {
        folders.extend(["/home", "/root", "/run/user"]);
    }
    if matches!(value("PrivateTmp").as_str(), "yes" | "disconnected") {
        folders.extend(["/tmp", "/var/tmp"]);
    }
    let bound = value("BindPaths") + " " + &value("BindReadOnlyPaths");
    let bound: Vec<&str> = bound
        .split([' ', ':'])
        .filter(|path| path.starts_with('/'))
        .collect();
    let mut found: Vec<&PathBuf> = paths
        .iter()
        .filter(|path| {
            let real = fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf());
            [real.as_path(), path].iter().any(|path| {
                folders.iter().any(|folder| path.starts_with(folder))
                    && !bound.iter().any(|bound| path.starts_with(bound))
            })
        })
        .collect();
    found.dedup();
    found
}

fn loaded(findings: &mut Findings, status: &StatusResponse, wants_gpu: bool) {
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
            (PluginState::Ready, Some(reason)) => findings.add(
                "plugin",
                Verdict::Warning,
                format!("{}: {reason}", plugin.id),
                "`mednerctl plugins` and the journal tell more; its host is replaced, ask its vendor",
            ),
            (PluginState::Ready, None) => findings.add("plugin", Verdict::Ok, &plugin.id, ""),
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
    if wants_gpu && status.engine.name != Engine::Cuda {
        let remedy = "the configuration has device = \"cuda\", and every answer says that it lacks the GPU: `nvidia-smi` shows what the driver \
                      sees, `/usr/libexec/mednerd/mednerd-cuda --about` what is missing (the package mednerd-cuda brings it); without a \
                      GPU, device = \"auto\"";
        findings.add("engine", Verdict::Warning, found, remedy);
    } else {
        findings.add("engine", Verdict::Ok, found, "");
    }
    for gpu in &status.engine.gpus {
        let named = format!("{} {}, driver {}", gpu.gpu, gpu.name, gpu.driver);
        let (verdict, found, remedy) = match gpu.state {
            GpuState::Ready if gpu.deaths == 0 => (Verdict::Ok, named, ""),
            GpuState::Ready => (
                Verdict::Warning,
                format!("{named}; its worker died {} times", gpu.deaths),
                "`journalctl -u mednerd` says why; `nvidia-smi -q` shows errors of its memory",
            ),
            GpuState::Down => (
                Verdict::Warning,
                format!("{} computes nothing: {}", gpu.gpu, gpu.detail),
                "the CPU computes meanwhile; `nvidia-smi` shows what the driver sees, `journalctl -u mednerd` tells of its worker",
            ),
            GpuState::Starting | GpuState::Loading => (
                Verdict::Warning,
                format!("{} serves no model yet", gpu.gpu),
                "wait a minute, then look again",
            ),
        };
        findings.add("GPU", verdict, found, remedy);
    }
}

fn audit(findings: &mut Findings, installation: &Installation) {
    let about = "audit trail";
    if !installation.whole {
        let found = match &installation.audit {
            Some(folder) => format!(
                "the configuration has problems, so it may be elsewhere than in {}",
                folder.display()
            ),
            None => "the configuration has problems, so nobody can say whether there is one".to_owned(),
        };
        let remedy =
            "correct what is said of the configuration and ask again, or name the folder with --audit";
        findings.add(about, Verdict::Unknown, found, remedy);
        if installation.audit.is_none() {
            return;
        }
    }
    let Some(folder) = &installation.audit else {
        let remedy = "without a path in [audit] nobody can say later who had which document annotated";
        return findings.add(about, Verdict::Warning, "none is configured", remedy);
    };
    let metadata = match fs::metadata(folder) {
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
            let found = format!("{}: {error}", folder.display());
            return findings.add(
                about,
                Verdict::Warning,
                found,
                "`systemd-tmpfiles --create`; without [audit] there is none",
            );
        }
    };
    if metadata.mode() & 0o077 != 0 {
        let found = format!("{} is open to others than the daemon", folder.display());
        findings.add(
            about,
            Verdict::Wrong,
            found,
            &format!("chmod 700 {}", folder.display()),
        );
    }
    if let Some(why) = installation.user.and_then(|uid| not_writable(&metadata, uid)) {
        let found = format!("{} {why}: the daemon cannot write records", folder.display());
        let owner = owner(installation);
        let remedy = format!(
            "chown {owner} {path} && chmod 700 {path}",
            path = folder.display()
        );
        findings.add(about, Verdict::Wrong, found, &remedy);
    }
    let files = trail_files(std::slice::from_ref(folder)).unwrap_or_default();
    let foreign = files
        .iter()
        .find(|path| path.metadata().is_ok_and(|file| file.uid() != metadata.uid()));
    if let Some(path) = foreign {
        let found = format!("{} belongs to another user than its folder", path.display());
        let remedy = format!("chown -R {} {}", owner(installation), folder.display());
        findings.add(about, Verdict::Wrong, found, &remedy);
    }
    let key = match Key::read(&installation.audit_key) {
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
            format!("no record is in {}", folder.display()),
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

/// What keeps the user `uid` from making files in a folder.
fn not_writable(folder: &fs::Metadata, uid: u32) -> Option<String> {
    let name = |uid| {
        let user = User::from_uid(Uid::from_raw(uid)).ok().flatten();
        user.map_or_else(|| uid.to_string(), |user| user.name)
    };
    if uid == 0 {
        return None;
    }
    if folder.uid() != uid {
        return Some(format!(
            "belongs to {}, and the daemon runs as {}",
            name(folder.uid()),
            name(uid)
        ));
    }
    (folder.mode() & 0o300 != 0o300).then(|| format!("has the mode {:04o}", folder.mode() & 0o777))
}

/// The daemon's user, as chown is told.
fn owner(installation: &Installation) -> String {
    let user = installation.user.map(Uid::from_raw);
    let named = user.and_then(|uid| User::from_uid(uid).ok().flatten());
    match (named, user) {
        (Some(user), _) => format!("{}:", user.name),
        (None, Some(uid)) => uid.to_string(),
        (None, None) => format!("{DAEMON}:"),
    }
}

fn space(findings: &mut Findings, path: &Path) {
    let about = "disk";
    let seen = [path, Path::new("/var")]
        .into_iter()
        .find_map(|path| Some((path, statvfs(path).ok()?)));
    let Some((path, found)) = seen else {
        let found = format!("{} cannot be looked at", path.display());
        return findings.add(about, Verdict::Unknown, found, "");
    };
    let disk = Disk {
        read_only: found.flags().contains(FsFlags::ST_RDONLY),
        free: found.blocks_available() * found.fragment_size(),
        // A file system without a count of files has none at all.
        files: (found.files() > 0).then(|| found.files_available()),
    };
    let (verdict, told, remedy) = disk.judged(path);
    findings.add(about, verdict, told, remedy);
}

/// What is left of a file system.
struct Disk {
    read_only: bool,
    free: u64,
    files: Option<u64>,
}

impl Disk {
    fn judged(&self, path: &Path) -> (Verdict, String, &'static str) {
        let path = path.display();
        let told = match self.files {
            Some(files) if files < FEW_FILES => {
                format!("{} and room for {files} files free for {path}", bytes(self.free))
            }
            _ => format!("{} free for {path}", bytes(self.free)),
        };
        let files = self.files.unwrap_or(u64::MAX);
        if self.read_only {
            (
                Verdict::Wrong,
                format!("{path} is mounted read-only"),
                "`dmesg` says whether the disk failed; without a record in the audit trail there is no answer",
            )
        } else if self.free < 16 << 20 || files == 0 {
            (
                Verdict::Wrong,
                told,
                "make room: without a record in the audit trail there is no answer",
            )
        } else if self.free < LITTLE_SPACE || files < FEW_FILES {
            (
                Verdict::Warning,
                told,
                "make room before it runs out; documents are refused then",
            )
        } else {
            (Verdict::Ok, told, "")
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_of_a_unit_has_its_own_remedy() {
        let judge = |unit: &str, load: &str, active: &str, sub: &str, enabled: &str| {
            let shown = format!(
                "Result=success\nNRestarts=0\nLoadState={load}\nActiveState={active}\nSubState={sub}\nUnitFileState={enabled}"
            );
            let (verdict, _, remedy) = judged(unit, |name| property(&shown, name));
            (verdict, remedy)
        };
        for (load, active, sub, enabled, verdict, remedy) in [
            ("loaded", "active", "listening", "enabled", Verdict::Ok, ""),
            (
                "loaded",
                "active",
                "listening",
                "disabled",
                Verdict::Warning,
                "systemctl enable mednerd.socket",
            ),
            (
                "loaded",
                "inactive",
                "dead",
                "enabled",
                Verdict::Wrong,
                "systemctl enable --now mednerd.socket",
            ),
            (
                "masked",
                "inactive",
                "dead",
                "masked",
                Verdict::Wrong,
                "systemctl unmask mednerd.socket",
            ),
            (
                "bad-setting",
                "inactive",
                "dead",
                "enabled",
                Verdict::Wrong,
                "systemd-analyze verify mednerd.socket",
            ),
            (
                "error",
                "inactive",
                "dead",
                "",
                Verdict::Wrong,
                "systemd-analyze verify mednerd.socket",
            ),
            (
                "not-found",
                "inactive",
                "dead",
                "",
                Verdict::Wrong,
                "install the package again",
            ),
            (
                "loaded",
                "failed",
                "failed",
                "enabled",
                Verdict::Wrong,
                "systemctl reset-failed",
            ),
            (
                "loaded",
                "activating",
                "auto-restart",
                "enabled",
                Verdict::Wrong,
                "systemctl reset-failed",
            ),
        ] {
            let (found, told) = judge("mednerd.socket", load, active, sub, enabled);
            assert_eq!(found, verdict, "{load} {active} {enabled}");
            assert!(told.contains(remedy), "{load} {active} {enabled}: {told}");
            assert_eq!(told.is_empty(), verdict == Verdict::Ok);
        }
        let (idle, _) = judge("mednerd.service", "loaded", "inactive", "dead", "enabled");
        assert_eq!(idle, Verdict::Warning);
    }

    #[test]
    fn a_sockets_mode_is_judged_by_whom_the_configuration_lets_in() {
        let judge = |due, mode, group| admits(due, mode, group, "mednerd.socket");
        let one = Some((0o660, Some(4_000_000_000)));
        let several = Some((0o666, None));
        let none = Some((0o600, None));
        for (due, mode, group, verdict, told) in [
            (one, 0o660, 4_000_000_000, Verdict::Ok, ""),
            // As the guide has it where another group is listed.
            (one, 0o666, 1, Verdict::Ok, ""),
            (one, 0o660, 1, Verdict::Wrong, "SocketGroup=4000000000"),
            (one, 0o600, 4_000_000_000, Verdict::Wrong, "SocketMode=0660"),
            (several, 0o666, 1, Verdict::Ok, ""),
            (several, 0o660, 1, Verdict::Wrong, "SocketMode=0666"),
            (none, 0o600, 1, Verdict::Ok, ""),
            (none, 0o666, 1, Verdict::Warning, "systemctl revert"),
            (None, 0o660, 1, Verdict::Unknown, ""),
        ] {
            let (found, remedy) = judge(due, mode, group);
            assert_eq!(found, verdict, "{due:?} {mode:o} {group}");
            assert!(remedy.contains(told), "{remedy}");
        }
    }

    #[test]
    fn members_of_a_group_are_also_those_who_have_it_from_the_start() {
        let users = "root:x:0:7::/root:/bin/sh\nmednerd:x:998:7::/:/bin/false\nmirth:x:990:7::/:/bin/false\northanc:x:991:8::/:\n";
        let found: Vec<String> = members(users, 7, vec!["rhapsody".to_owned()])
            .into_iter()
            .collect();
        assert_eq!(found, ["mirth", "rhapsody"]);
        assert!(members(users, 9, Vec::new()).is_empty());
    }

    #[test]
    fn what_the_unit_hides_is_found() {
        let paths: Vec<PathBuf> = [
            "/home/a/model",
            "/srv/m",
            "/tmp/terms.tsv",
            "/homes/b",
            "/root/m",
            "/home/bound/m",
        ]
        .map(PathBuf::from)
        .to_vec();
        let shown = "LoadState=loaded\nProtectHome=yes\nPrivateTmp=yes\nBindPaths=\nBindReadOnlyPaths=/home/bound:/home/bound:rbind";
        let found: Vec<&str> = unseen(shown, &paths)
            .iter()
            .map(|path| path.to_str().unwrap())
            .collect();
        assert_eq!(found, ["/home/a/model", "/tmp/terms.tsv", "/root/m"]);
        assert!(unseen("LoadState=loaded\nProtectHome=no\nPrivateTmp=no", &paths).is_empty());
        assert!(unseen("LoadState=not-found\nProtectHome=yes", &paths).is_empty());
    }

    #[test]
    fn a_disk_without_room_for_files_or_mounted_read_only_is_wrong() {
        let judge = |read_only, free, files| {
            Disk {
                read_only,
                free,
                files,
            }
            .judged(Path::new("/var"))
            .0
        };
        let plenty = 1 << 40;
        assert_eq!(judge(false, plenty, Some(1 << 20)), Verdict::Ok);
        assert_eq!(judge(false, plenty, None), Verdict::Ok);
        assert_eq!(judge(true, plenty, Some(1 << 20)), Verdict::Wrong);
        assert_eq!(judge(false, plenty, Some(0)), Verdict::Wrong);
        assert_eq!(judge(false, plenty, Some(5)), Verdict::Warning);
        assert_eq!(judge(false, 1 << 20, None), Verdict::Wrong);
        assert_eq!(judge(false, 1 << 29, None), Verdict::Warning);
    }

    #[test]
    fn a_trail_that_the_daemon_cannot_write_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let metadata = folder.path().metadata().unwrap();
        let own = metadata.uid();
        assert!(not_writable(&metadata, own + 1).is_some_and(|why| why.contains("the daemon runs as")));
        assert_eq!(not_writable(&metadata, own), None);
        let mut permissions = metadata.permissions();
        std::os::unix::fs::PermissionsExt::set_mode(&mut permissions, 0o500);
        fs::set_permissions(folder.path(), permissions).unwrap();
        let closed = not_writable(&folder.path().metadata().unwrap(), own);
        assert_eq!(closed.is_some(), own != 0);
    }
}
