//! A daemon of one's own: its configuration, folder, sockets and log, all gone when the test ends.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::Arc;
use std::time::Instant;

use mednerd_client::api::{AnnotateResponse, StatusResponse};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{Connection, PATIENCE, Reply, eventually};

/// The repository's root.
pub fn root() -> PathBuf {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    tests.parent().expect("tests/ has a parent").to_owned()
}

/// The model that is shipped; it has skill.
pub fn shipped_model() -> PathBuf {
    root().join("packaging/models/biomed-small")
}

/// A tiny model with random weights: fast, and finds something nearly everywhere.
pub fn tiny_model() -> PathBuf {
    root().join("tests/fixtures/bert/fp32")
}

/// A built binary: from `MEDNERD_BIN_DIR`, else from where this test was built.
///
/// # Panics
/// Where it has not been built.
pub fn binary(name: &str) -> PathBuf {
    let folder = std::env::var_os("MEDNERD_BIN_DIR").map_or_else(
        || {
            let test = std::env::current_exe().expect("this test has a path");
            test.ancestors()
                .nth(2)
                .expect("tests are built in target/*/deps")
                .to_owned()
        },
        PathBuf::from,
    );
    let path = folder.join(name);
    assert!(
        path.is_file(),
        "{} is not there: run `make build` first, or set MEDNERD_BIN_DIR to the folder of the binaries",
        path.display()
    );
    path
}

/// A built plugin library, such as `mednerd_hostile`, from where the binaries are.
///
/// # Panics
/// Where it has not been built.
pub fn library(name: &str) -> PathBuf {
    binary(&format!("lib{name}.so"))
}

/// A configuration; by default the shipped model for everybody of this user, two workers.
#[derive(Clone, Debug)]
pub struct Config {
    server: String,
    access: String,
    models: String,
    threads: usize,
    engine: String,
    plugins: String,
}

impl Default for Config {
    fn default() -> Self {
        Self::without_models().model("shipped", &shipped_model(), true)
    }
}

impl Config {
    /// Nothing to serve yet.
    pub fn without_models() -> Self {
        Self {
            server: String::new(),
            access: "groups = []\n".to_owned(),
            models: String::new(),
            threads: 2,
            engine: String::new(),
            plugins: String::new(),
        }
    }

    /// The tiny model alone, under the name `tiny`.
    pub fn tiny() -> Self {
        Self::without_models().model("tiny", &tiny_model(), true)
    }

    /// Adds a model.
    pub fn model(mut self, name: &str, path: &Path, default: bool) -> Self {
        let path = path.display();
        let table = format!("[[models]]\nname = \"{name}\"\npath = \"{path}\"\ndefault = {default}\n");
        self.models.push_str(&table);
        self
    }

    /// Adds tables of models as they stand.
    pub fn models(mut self, tables: &str) -> Self {
        self.models.push_str(tables);
        self
    }

    /// Adds a task adapter over the model that was added last.
    pub fn adapter(mut self, name: &str, path: &Path) -> Self {
        let path = path.display();
        let table = format!("[[models.adapters]]\nname = \"{name}\"\npath = \"{path}\"\n");
        self.models.push_str(&table);
        self
    }

    /// Sets a number under `[server]`.
    pub fn server(mut self, key: &str, value: usize) -> Self {
        let _ = writeln!(self.server, "{key} = {value}");
        self
    }

    /// Replaces `[access]` by these lines.
    pub fn access(mut self, lines: &str) -> Self {
        lines.clone_into(&mut self.access);
        self
    }

    /// Adds lines on plugins.
    pub fn plugins(mut self, lines: &str) -> Self {
        self.plugins.push_str(lines);
        self
    }

    /// Adds lines under `[engine]`.
    pub fn engine(mut self, lines: &str) -> Self {
        self.engine.push_str(lines);
        self
    }

    /// Sets the number of workers.
    pub fn threads(mut self, threads: usize) -> Self {
        self.threads = threads;
        self
    }

    /// The file.
    pub fn toml(&self) -> String {
        format!(
            "[server]\nsocket = \"mednerd.sock\"\nadmin_socket = \"admin.sock\"\n{}[access]\n{}[engine]\nthreads = {}\n{}{}{}",
            self.server, self.access, self.threads, self.engine, self.models, self.plugins
        )
    }
}

/// A folder with a configuration, in which daemons are started. Lives as long as anything that
/// was made from it.
#[derive(Clone, Debug)]
pub struct Site {
    folder: Arc<TempDir>,
}

impl Site {
    /// A new folder with this configuration.
    pub fn new(config: &Config) -> Self {
        let site = Self::with_toml("");
        site.configure(config);
        site
    }

    /// A new folder with a configuration spelled out.
    pub fn with_toml(text: &str) -> Self {
        let folder = tempfile::Builder::new()
            .prefix("mednerd-")
            .tempdir()
            .expect("a temporary folder can be made");
        // Other users' processes must reach the sockets for the daemon to refuse them.
        fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o755)).expect("the folder is ours");
        let site = Self {
            folder: Arc::new(folder),
        };
        site.write("mednerd.toml", text);
        site
    }

    /// Replaces the configuration.
    pub fn configure(&self, config: &Config) {
        self.write("mednerd.toml", &config.toml());
    }

    /// Writes a file.
    pub fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).expect("the folder can be written");
    }

    /// A path in the folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The configuration's path.
    pub fn config(&self) -> PathBuf {
        self.path("mednerd.toml")
    }

    /// The socket for clients.
    pub fn socket(&self) -> PathBuf {
        self.path("mednerd.sock")
    }

    /// The socket for administrators.
    pub fn admin_socket(&self) -> PathBuf {
        self.path("admin.sock")
    }

    /// The command that starts the daemon here, without what systemd may have set for the tests.
    pub fn command(&self) -> Command {
        let mut command = Command::new(binary("mednerd"));
        command.arg("--config").arg(self.config());
        for variable in ["NOTIFY_SOCKET", "WATCHDOG_USEC", "LISTEN_FDS", "JOURNAL_STREAM"] {
            command.env_remove(variable);
        }
        command.stdin(Stdio::null()).stdout(Stdio::null());
        command
    }

    /// `mednerd validate`.
    pub fn validate(&self) -> Output {
        Command::new(binary("mednerd"))
            .args(["validate", "--config"])
            .arg(self.config())
            .output()
            .expect("mednerd runs")
    }

    /// Starts a daemon and waits until it can serve.
    pub fn start(&self) -> Daemon {
        self.start_by(&mut self.command())
    }

    /// Starts a daemon by a command of one's own and waits until it can serve.
    pub fn start_by(&self, command: &mut Command) -> Daemon {
        let mut daemon = self.spawn_by(command);
        daemon.wait_ready();
        daemon
    }

    /// Starts a daemon without waiting for it.
    pub fn spawn(&self) -> Daemon {
        self.spawn_by(&mut self.command())
    }

    /// As [`Self::spawn`], by a command of one's own.
    pub fn spawn_by(&self, command: &mut Command) -> Daemon {
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.path("log"))
            .expect("the log can be written");
        let child = command.stderr(log).spawn().expect("mednerd can be run");
        Daemon {
            site: self.clone(),
            child,
            ended: None,
        }
    }
}

/// A running daemon. Killed when dropped; where a test fails, its log is shown.
#[derive(Debug)]
pub struct Daemon {
    site: Site,
    child: Child,
    ended: Option<ExitStatus>,
}

impl Daemon {
    /// Starts a daemon in a folder of its own.
    pub fn start(config: &Config) -> Self {
        Site::new(config).start()
    }

    /// Its folder.
    pub fn site(&self) -> &Site {
        &self.site
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    fn wait_ready(&mut self) {
        let begun = Instant::now();
        loop {
            let ready = Connection::open(&self.site.admin_socket())
                .and_then(|mut connection| connection.request("GET", "/readyz", ""));
            if ready.is_ok_and(|reply| reply.status == 200) && self.log().contains("ready on") {
                return;
            }
            if let Some(status) = self.child.try_wait().expect("a child can be asked for") {
                self.ended = Some(status);
                panic!("the daemon ended before it was ready: {status}");
            }
            assert!(begun.elapsed() < PATIENCE, "the daemon does not become ready");
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
    }

    /// What it logged so far, and what earlier daemons in the same folder did.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(self.site.path("log")).unwrap_or_default()).into_owned()
    }

    /// Waits until it has logged this: what is asked of it may be answered before the line is written.
    ///
    /// # Panics
    /// Where it does not log it.
    pub fn logs(&self, what: &str) {
        eventually(&format!("the log has {what:?}"), || self.log().contains(what));
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.pid()).expect("a process id"));
        kill(pid, signal).expect("the daemon runs");
    }

    /// Waits for its end.
    pub fn wait(&mut self) -> ExitStatus {
        if let Some(ended) = self.ended {
            return ended;
        }
        let mut ended = None;
        eventually("the daemon has ended", || {
            ended = self.child.try_wait().expect("a child can be waited for");
            ended.is_some()
        });
        self.ended = ended;
        ended.expect("it has ended")
    }

    /// Ends it by SIGTERM and requires that it ends well.
    pub fn stop(&mut self) {
        self.signal(Signal::SIGTERM);
        let status = self.wait();
        assert_eq!(status.code(), Some(0), "after SIGTERM: {status}");
    }

    /// Ends it by SIGKILL.
    pub fn kill(&mut self) {
        self.signal(Signal::SIGKILL);
        assert_eq!(self.wait().signal(), Some(9));
    }

    /// A new connection to the client socket.
    pub fn connect(&self) -> Connection {
        let socket = self.site.socket();
        Connection::open(&socket).unwrap_or_else(|error| panic!("{}: {error}", socket.display()))
    }

    /// One request to the client socket on a connection of its own.
    pub fn request(&self, method: &str, route: &str, body: impl AsRef<[u8]>) -> Reply {
        self.connect()
            .request(method, route, body)
            .unwrap_or_else(|error| panic!("{method} {route}: {error}"))
    }

    /// `POST /v1/annotate/batch` with these lines, which must be taken.
    pub fn batch(&self, lines: impl AsRef<[u8]>) -> Reply {
        let reply = self.connect().duplex("POST", "/v1/annotate/batch", lines);
        reply.unwrap_or_else(|error| panic!("batch: {error}")).ok()
    }

    /// A request without a body to the admin socket on a connection of its own.
    pub fn admin(&self, method: &str, route: &str) -> Reply {
        self.admin_with(method, route, "")
    }

    /// A request to the admin socket on a connection of its own.
    pub fn admin_with(&self, method: &str, route: &str, body: impl AsRef<[u8]>) -> Reply {
        let socket = self.site.admin_socket();
        let connection = Connection::open(&socket);
        let reply = connection.and_then(|mut connection| connection.request(method, route, body));
        reply.unwrap_or_else(|error| panic!("{method} {route} on {}: {error}", socket.display()))
    }

    /// Annotates a text with the default models.
    pub fn annotate(&self, text: &str) -> AnnotateResponse {
        self.ask(&json!({ "text": text }))
    }

    /// `POST /v1/annotate`, which must succeed.
    pub fn ask(&self, request: &Value) -> AnnotateResponse {
        self.request("POST", "/v1/annotate", request.to_string())
            .ok()
            .decode()
    }

    /// `GET /v1/status` through the admin socket, which has no limits.
    pub fn status(&self) -> StatusResponse {
        self.admin("GET", "/v1/status").ok().decode()
    }

    /// The value of one line of `/metrics`; 0 where the line is not there.
    pub fn metric(&self, sample: &str) -> f64 {
        let page = self.admin("GET", "/metrics").ok();
        page.text()
            .lines()
            .find_map(|line| line.strip_prefix(sample)?.strip_prefix(' ')?.parse().ok())
            .unwrap_or(0.0)
    }

    /// Waits until nothing is admitted, held or connected any more.
    ///
    /// Connections are taken in turn: once a new one is answered, whoever came before is counted.
    pub fn wait_idle(&self) {
        self.request("GET", "/v1/status", "");
        eventually("the queue is empty and every client has gone", || {
            let queue = self.status().queue;
            (queue.documents, queue.bytes, queue.connections) == (0, 0, 0)
        });
    }

    /// Where in the daemon's memory these bytes are: the kind of mapping and what stands around them, for each place. `None`
    /// where this user may not look.
    ///
    /// # Panics
    /// Where the daemon does not run.
    pub fn in_memory(&self, needle: &[u8]) -> Option<Vec<String>> {
        use std::os::unix::fs::FileExt;
        // The daemon keeps others of its own user from looking, too.
        let maps = fs::read_to_string(format!("/proc/{}/maps", self.pid())).ok()?;
        let memory = File::open(format!("/proc/{}/mem", self.pid())).ok()?;
        let mut found = Vec::new();
        for line in maps.lines() {
            let words: Vec<&str> = line.split_whitespace().collect();
            let (Some((begin, end)), true) = (words[0].split_once('-'), words[1].starts_with("rw")) else {
                continue;
            };
            let number = |text| u64::from_str_radix(text, 16).expect("hexadecimal");
            let (begin, end) = (number(begin), number(end));
            let mut bytes = vec![0; usize::try_from(end - begin).expect("of this machine")];
            // A mapping may go away meanwhile, and a guard page cannot be read.
            let Ok(read) = memory.read_at(&mut bytes, begin) else {
                continue;
            };
            let windows = bytes[..read].windows(needle.len()).enumerate();
            for (at, _) in windows.filter(|(_, window)| *window == needle) {
                let around = &bytes[at.saturating_sub(40)..(at + needle.len() + 40).min(read)];
                let name = words.get(5).unwrap_or(&"anonymous");
                found.push(format!("{name}+{at:#x}: {}", around.escape_ascii()));
            }
        }
        Some(found)
    }

    /// A figure in kB from `/proc/PID/status`, such as `VmRSS` or `VmHWM`, in bytes.
    pub fn memory(&self, figure: &str) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid())).expect("the daemon runs");
        let kilobytes = status
            .lines()
            .find_map(|line| line.strip_prefix(figure)?.strip_prefix(':'))
            .and_then(|value| value.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok());
        kilobytes.unwrap_or_else(|| panic!("{figure} is not in {status}")) * 1024
    }

    /// Processor time it has used, in clock ticks.
    pub fn cpu_ticks(&self) -> u64 {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.pid())).expect("the daemon runs");
        let after_name = stat.rsplit(')').next().unwrap_or_default();
        // utime and stime are the 14th and 15th field; the third follows the name.
        let ticks = after_name.split_whitespace().skip(11).take(2);
        ticks
            .map(|ticks| ticks.parse::<u64>().expect("a number of ticks"))
            .sum()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if self.ended.is_none() {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
        if std::thread::panicking() {
            eprintln!("--- log of the daemon ---\n{}--- end of log ---", self.log());
        }
    }
}
