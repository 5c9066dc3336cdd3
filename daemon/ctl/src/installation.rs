//! Where this installation has everything: as the command line says, else as the configuration in force does, else as the package
//! has it.

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use mednerd_client::api::StatusResponse;
use mednerd_client::{Client, DEFAULT_ADMIN_SOCKET, DEFAULT_SOCKET};
use nix::unistd::{Group, User, geteuid};
use serde::Deserialize;

use crate::cli::InstallationPlace;
use crate::error::Error;
use crate::{program, within};

/// The daemon's program, its user and its group.
pub const DAEMON: &str = "mednerd";

/// Where the package has its configuration, its trail and the key of that.
const CONFIG: &str = "/etc/mednerd/mednerd.toml";
const AUDIT: &str = "/var/lib/mednerd/audit";
const AUDIT_KEY: &str = "/etc/mednerd/audit.key";

/// A socket's file.
#[derive(Debug, Deserialize)]
pub struct SocketFile {
    /// Where it is.
    pub path: PathBuf,
    /// Mode and group with which everybody whom [access] lists can open it; `None` where that is not known.
    #[serde(skip)]
    pub due: Option<(u32, Option<u32>)>,
    #[serde(default)]
    mode: Option<u32>,
    #[serde(default)]
    group: Option<u32>,
}

impl SocketFile {
    fn new(path: &str, due: Option<(u32, Option<u32>)>) -> Self {
        Self {
            path: path.into(),
            due,
            mode: None,
            group: None,
        }
    }
}

/// What `mednerd places` says of a configuration.
#[derive(Debug, Deserialize)]
struct Places {
    /// An older daemon's program does not say.
    #[serde(default = "yes")]
    whole: bool,
    socket: SocketFile,
    admin_socket: SocketFile,
    audit: Option<PathBuf>,
    audit_key: PathBuf,
    groups: Vec<String>,
    users: Vec<String>,
    wants_gpu: bool,
    reads: Vec<PathBuf>,
}

fn yes() -> bool {
    true
}

impl Places {
    /// Asks the daemon's program. Of a configuration with problems it gives defaults, which may be what the file says and
    /// may not.
    fn of(config: &Path, given: bool) -> Option<Self> {
        let mut command = as_the_service(config, given);
        let output = command.arg("places").arg("--config").arg(config).output().ok()?;
        let mut places: Self = serde_json::from_slice(&output.stdout).ok()?;
        for socket in [&mut places.socket, &mut places.admin_socket] {
            let due = socket.mode.map(|mode| (mode, socket.group));
            socket.due = due.filter(|_| places.whole);
        }
        if !places.whole && !given {
            // What the package has is the best guess.
            let package = Self::of_the_package(Path::new(DEFAULT_SOCKET));
            places.audit = places.audit.or(package.audit.filter(|folder| folder.is_dir()));
        }
        Some(places)
    }

    /// Those of the package.
    fn of_the_package(socket: &Path) -> Self {
        let group = Group::from_name(DAEMON).ok().flatten();
        Self {
            whole: true,
            socket: SocketFile {
                path: socket.to_owned(),
                due: group.map(|group| (0o660, Some(group.gid.as_raw()))),
                mode: None,
                group: None,
            },
            admin_socket: SocketFile::new(DEFAULT_ADMIN_SOCKET, Some((0o600, None))),
            audit: Some(AUDIT.into()),
            audit_key: AUDIT_KEY.into(),
            groups: vec![DAEMON.to_owned()],
            users: Vec::new(),
            wants_gpu: false,
            reads: Vec::new(),
        }
    }
}

/// An installation.
#[derive(Debug)]
pub struct Installation {
    /// The configuration.
    pub config: PathBuf,
    /// Whether the command line named it.
    pub given: bool,
    /// Whether only the daemon's answer named it, which may be anything.
    pub told: bool,
    /// Whether it has no problem; of one that has, the rest may be defaults.
    pub whole: bool,
    /// The clients' socket.
    pub socket: SocketFile,
    /// The administrators' socket.
    pub admin_socket: SocketFile,
    /// The folder of the audit trail, where there is one.
    pub audit: Option<PathBuf>,
    /// Its key.
    pub audit_key: PathBuf,
    /// `access.groups`
    pub groups: Vec<String>,
    /// `access.users`
    pub users: Vec<String>,
    /// Whether the configuration insists on a GPU.
    pub wants_gpu: bool,
    /// What the service has to see.
    pub reads: Vec<PathBuf>,
    /// What the daemon says of itself.
    pub status: Result<StatusResponse, Error>,
    /// The user whom the daemon runs as, or would run as.
    pub user: Option<u32>,
}

impl Installation {
    /// Finds out. `socket` is what the command line or the environment names, or else the package's.
    pub async fn find(
        socket: &Path,
        socket_given: bool,
        place: &InstallationPlace,
        patience: Duration,
    ) -> Self {
        let given = place.config.is_some();
        let config = place.config.clone().unwrap_or_else(|| CONFIG.into());
        // It is read from another folder.
        let mut config = std::path::absolute(&config).unwrap_or(config);
        let mut places = Places::of(&config, given).unwrap_or_else(|| Places::of_the_package(socket));
        if socket_given {
            places.socket.path = socket.to_owned();
        }
        let status = within(patience, Client::new(&places.socket.path).status()).await;
        let mut told = false;
        // A daemon that was started with another configuration.
        let in_force = status.as_ref().ok();
        let in_force = in_force.and_then(|status| status.configuration.files.first().map(PathBuf::from));
        if let Some(file) = in_force.filter(|file| !given && *file != config)
            && let Some(found) = Places::of(&file, given)
        {
            let path = places.socket.path;
            (config, places, told) = (file, found, true);
            places.socket.path = path;
        }
        if let Some(path) = &place.admin_socket {
            places.admin_socket.path.clone_from(path);
        }
        let user = status.as_ref().ok().and_then(|status| user_of(status.pid));
        let user = user.or_else(|| Some(User::from_name(DAEMON).ok()??.uid.as_raw()));
        Self {
            config,
            given,
            told,
            whole: places.whole,
            socket: places.socket,
            admin_socket: places.admin_socket,
            audit: place.audit.clone().or(places.audit),
            audit_key: place.audit_key.clone().unwrap_or(places.audit_key),
            groups: places.groups,
            users: places.users,
            wants_gpu: places.wants_gpu,
            reads: places.reads,
            status,
            user,
        }
    }
}

/// The user whom a process runs as, where the kernel tells.
fn user_of(pid: u32) -> Option<u32> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("Uid:"))?;
    line.split_ascii_whitespace().nth(1)?.parse().ok()
}

/// The daemon's program, as the service runs it: its user may not be able to read what root can. A configuration that was
/// `given` and lies elsewhere is looked at as whoever asks.
pub fn as_the_service(config: &Path, given: bool) -> Command {
    let daemon = program(DAEMON, "/usr/bin");
    match !given || config.starts_with("/etc/mednerd") {
        true => as_its_user(&daemon),
        false => in_the_root(Command::new(daemon)),
    }
}

/// A program, run by root as the daemon's user where there is one, and by others as themselves.
pub fn as_its_user(program: &Path) -> Command {
    let user = User::from_name(DAEMON).ok().flatten();
    let user = user.filter(|_| geteuid().is_root());
    // Not by PATH: that of a timer lacks its folder.
    let runuser = ["/usr/sbin/runuser", "/sbin/runuser", "/usr/bin/runuser"];
    let runuser = runuser.into_iter().find(|path| Path::new(path).is_file());
    in_the_root(match (user, runuser) {
        (None, _) => Command::new(program),
        // It knows the user's further groups.
        (Some(_), Some(runuser)) => {
            let mut command = Command::new(runuser);
            command.args(["-u", DAEMON, "--"]).arg(program);
            command
        }
        (Some(user), None) => {
            let mut command = Command::new(program);
            command.uid(user.uid.as_raw()).gid(user.gid.as_raw());
            command
        }
    })
}

fn in_the_root(mut command: Command) -> Command {
    command.current_dir("/").stdin(Stdio::null());
    command
}
