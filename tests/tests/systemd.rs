//! What systemd is told and what it passes, with this test in systemd's place.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs;
use std::io::ErrorKind;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixDatagram, UnixListener};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use mednerd_tests::daemon::binary;
use mednerd_tests::http::message;
use mednerd_tests::notes::SENTENCE;
use mednerd_tests::{Config, Connection, Daemon, PATIENCE, Site, eventually};
use nix::sys::signal::Signal;
use serde_json::{Value, json};

/// The end of `NOTIFY_SOCKET` that systemd holds.
struct Manager {
    socket: UnixDatagram,
}

impl Manager {
    fn new(site: &Site) -> Self {
        let socket = UnixDatagram::bind(site.path("notify")).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        Self { socket }
    }

    fn command(&self, site: &Site) -> Command {
        let mut command = site.command();
        command.env("NOTIFY_SOCKET", site.path("notify"));
        command
    }

    /// The assignments of the next message.
    fn next(&self) -> Vec<String> {
        let mut buffer = [0; 4096];
        let length = self.socket.recv(&mut buffer).expect("systemd is told something");
        let text = String::from_utf8(buffer[..length].to_vec()).unwrap();
        text.lines().map(ToOwned::to_owned).collect()
    }

    /// The next message that has this assignment; others are let pass.
    fn wait_for(&self, assignment: &str) -> Vec<String> {
        let begun = Instant::now();
        loop {
            let message = self.next();
            if message.iter().any(|line| line == assignment) {
                return message;
            }
            assert!(begun.elapsed() < PATIENCE, "no {assignment}");
        }
    }

    fn drain(&self) {
        self.socket.set_nonblocking(true).unwrap();
        while self.socket.recv(&mut [0; 4096]).is_ok() {}
        self.socket.set_nonblocking(false).unwrap();
    }
}

fn value<'m>(message: &'m [String], name: &str) -> &'m str {
    let found = message
        .iter()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
    found.unwrap_or_else(|| panic!("no {name} in {message:?}"))
}

fn monotonic_microseconds() -> u128 {
    let uptime = fs::read_to_string("/proc/uptime").unwrap();
    let seconds: f64 = uptime.split_whitespace().next().unwrap().parse().unwrap();
    (seconds * 1e6) as u128
}

#[test]
fn systemd_hears_ready_reloading_and_stopping_with_a_status() {
    let site = Site::new(&Config::tiny());
    let manager = Manager::new(&site);
    let mut daemon = site.spawn_by(&mut manager.command(&site));
    let ready = manager.next();
    assert_eq!(value(&ready, "READY"), "1");
    assert_eq!(value(&ready, "STATUS"), "serving tiny on the CPU");
    // READY means that it serves: no second try is needed.
    daemon.annotate(SENTENCE);

    site.configure(&Config::default());
    daemon.signal(Signal::SIGHUP);
    let reloading = manager.next();
    assert_eq!(value(&reloading, "RELOADING"), "1");
    let told: u128 = value(&reloading, "MONOTONIC_USEC").parse().unwrap();
    assert!(
        told > 0 && told < monotonic_microseconds() + 60_000_000,
        "{told} is of the monotonic clock"
    );
    let ready = manager.next();
    assert_eq!(value(&ready, "READY"), "1");
    assert_eq!(
        value(&ready, "STATUS"),
        "serving shipped on the CPU",
        "and the new models serve"
    );

    site.write("mednerd.toml", "nonsense");
    daemon.signal(Signal::SIGHUP);
    assert_eq!(value(&manager.next(), "RELOADING"), "1");
    let ready = manager.next();
    assert_eq!(value(&ready, "READY"), "1", "a refused reload ends as well");
    assert_eq!(value(&ready, "STATUS"), "serving shipped on the CPU");

    daemon.signal(Signal::SIGTERM);
    let stopping = manager.next();
    assert_eq!(value(&stopping, "STOPPING"), "1");
    assert!(!value(&stopping, "STATUS").is_empty());
    assert_eq!(daemon.wait().code(), Some(0));
}

#[test]
fn a_daemon_that_cannot_start_never_says_ready() {
    let site = Site::new(&Config::without_models());
    let manager = Manager::new(&site);
    let mut daemon = site.spawn_by(&mut manager.command(&site));
    assert_eq!(daemon.wait().code(), Some(78));
    manager.socket.set_nonblocking(true).unwrap();
    let heard = manager.socket.recv(&mut [0; 4096]).unwrap_err();
    assert_eq!(heard.kind(), ErrorKind::WouldBlock);
}

#[test]
fn what_may_come_yet_is_waited_for() {
    let site = Site::new(&Config::tiny().access("groups = [\"no-such-group\"]\n"));
    let manager = Manager::new(&site);
    let daemon = site.spawn_by(&mut manager.command(&site));
    let waiting = manager.next();
    let status = value(&waiting, "STATUS");
    assert!(
        status.contains("waiting") && status.contains("no-such-group"),
        "{status}"
    );
    assert!(waiting.iter().all(|line| !line.starts_with("READY")));
    daemon.logs("it may come yet");
    // What comes is seen, a corrected file among it.
    site.configure(&Config::tiny());
    manager.wait_for("READY=1");
    daemon.annotate(SENTENCE);
    let told = daemon.log().matches("no-such-group").count();
    assert_eq!(told, 1, "{}", daemon.log());
}

#[test]
fn the_watchdog_is_fed_while_the_health_check_passes_and_not_while_it_fails() {
    let site = Site::new(&Config::default());
    let manager = Manager::new(&site);
    let mut daemon = site.start_by(manager.command(&site).env("WATCHDOG_USEC", "150000"));
    for _ in 0..5 {
        manager.wait_for("WATCHDOG=1");
    }
    // The health check goes through the admin socket; without it there is no health.
    fs::rename(site.admin_socket(), site.path("away")).unwrap();
    eventually("the daemon knows that it is not well", || {
        daemon.request("GET", "/readyz", "").status == 503
    });
    daemon.request("GET", "/readyz", "").refused(503, "not_ready");
    manager.drain();
    manager
        .socket
        .set_read_timeout(Some(Duration::from_millis(750)))
        .unwrap();
    let heard = manager.socket.recv(&mut [0; 4096]).map_err(|error| error.kind());
    assert_eq!(
        heard,
        Err(ErrorKind::WouldBlock),
        "the watchdog is fed by a daemon that is not well"
    );
    assert_eq!(
        daemon.request("GET", "/healthz", "").status,
        200,
        "it is alive all the same"
    );
    daemon.logs("the health check fails");

    fs::rename(site.path("away"), site.admin_socket()).unwrap();
    manager.socket.set_read_timeout(Some(PATIENCE)).unwrap();
    manager.wait_for("WATCHDOG=1");
    eventually("it is well again", || {
        daemon.request("GET", "/readyz", "").status == 200
    });
    daemon.stop();
}

#[test]
fn the_watchdog_is_fed_under_full_load() {
    let site = Site::new(&Config::default());
    let manager = Manager::new(&site);
    let mut daemon = site.start_by(manager.command(&site).env("WATCHDOG_USEC", "300000"));
    let (text, _) = mednerd_tests::notes::long_note(50_000);
    std::thread::scope(|scope| {
        let busy: Vec<_> = (0..6).map(|_| scope.spawn(|| daemon.annotate(&text))).collect();
        let mut fed = 0;
        while !busy.iter().all(|client| client.is_finished()) {
            manager.wait_for("WATCHDOG=1");
            fed += 1;
        }
        assert!(fed >= 3, "fed {fed} times");
    });
    daemon.stop();
}

/// Starts the daemon as systemd does: descriptors from 3 on, and the environment that tells of them.
fn activated(site: &Site, sockets: &[&UnixListener]) -> Command {
    let mut command = Command::new("sh");
    // Standard input and output carry the sockets to where they belong.
    let script = r#"
        fds=$1; shift
        exec 3<&0 </dev/null
        if [ "$fds" = 2 ]; then exec 4<&1; fi
        exec >/dev/null
        export LISTEN_FDS="$fds" LISTEN_PID=$$
        exec "$@"
    "#;
    command.args(["-c", script, "sh", &sockets.len().to_string()]);
    command.arg(binary("mednerd")).arg("--config").arg(site.config());
    command
        .env_remove("NOTIFY_SOCKET")
        .env_remove("JOURNAL_STREAM")
        .env_remove("WATCHDOG_USEC");
    let carry = |socket: &UnixListener| Stdio::from(OwnedFd::from(socket.try_clone().unwrap()));
    command.stdin(carry(sockets[0]));
    if let Some(second) = sockets.get(1) {
        command.stdout(carry(second));
    }
    command
}

fn annotate(socket: &mut Connection) -> std::io::Result<()> {
    socket.send(message(
        "POST",
        "/v1/annotate",
        json!({"text": SENTENCE}).to_string(),
    ))
}

#[test]
fn inherited_sockets_are_served_and_left_in_place() {
    let site = Site::new(&Config::tiny());
    let client = UnixListener::bind(site.socket()).unwrap();
    let admin = UnixListener::bind(site.admin_socket()).unwrap();
    // Who knocks before the daemon is there waits for it.
    let mut early = Connection::open(&site.socket()).unwrap();
    annotate(&mut early).unwrap();
    let mut daemon = site.start_by(&mut activated(&site, &[&client, &admin]));
    early.reply().unwrap().ok();
    drop(early);
    daemon.annotate(SENTENCE);
    assert_eq!(daemon.admin("POST", "/v1/reload").status, 200);
    daemon.stop();
    assert!(
        site.socket().exists() && site.admin_socket().exists(),
        "they are systemd's to remove"
    );

    // Who knocks while there is no daemon waits for the next one.
    let mut between = Connection::open(&site.socket()).unwrap();
    annotate(&mut between).unwrap();
    let mut daemon = site.start_by(&mut activated(&site, &[&client, &admin]));
    between.reply().unwrap().ok();
    daemon.stop();
}

#[test]
fn a_passed_socket_that_keeps_out_who_is_listed_is_told_at_the_start_and_at_a_reload() {
    let listed = |lines: &str| Config::tiny().access(lines);
    let site = Site::new(&listed("groups = []\n"));
    let client = UnixListener::bind(site.socket()).unwrap();
    let admin = UnixListener::bind(site.admin_socket()).unwrap();
    let mode = |mode| fs::set_permissions(site.socket(), fs::Permissions::from_mode(mode)).unwrap();
    mode(0o660);
    let mut daemon = site.start_by(&mut activated(&site, &[&client, &admin]));
    assert!(!daemon.log().contains("SocketMode"), "{}", daemon.log());
    site.configure(&listed("groups = []\nusers = [\"65533\"]\n"));
    assert_eq!(daemon.admin("POST", "/v1/reload").status, 200);
    daemon.logs("SocketMode=0666");
    let doctor = |verdict: &str| {
        let output = Command::new(binary("mednerctl"))
            .args(["doctor", "--json", "--config"])
            .arg(site.config())
            .output();
        let findings: Value = serde_json::from_slice(&output.unwrap().stdout).unwrap();
        let socket = |finding: &&Value| finding["about"] == "socket";
        let finding = findings.as_array().unwrap().iter().find(socket).unwrap();
        assert_eq!(finding["verdict"], verdict, "{finding}");
    };
    doctor("wrong");
    daemon.stop();
    mode(0o666);
    let mut daemon = site.start_by(&mut activated(&site, &[&client, &admin]));
    // The log is of both.
    assert_eq!(daemon.log().matches("SocketMode").count(), 1, "{}", daemon.log());
    doctor("ok");
    daemon.stop();
}

#[test]
fn a_restart_behind_an_inherited_socket_refuses_nobody() {
    let site = Site::new(&Config::tiny());
    let client = UnixListener::bind(site.socket()).unwrap();
    let admin = UnixListener::bind(site.admin_socket()).unwrap();
    let stop = std::sync::atomic::AtomicBool::new(false);
    let answered = std::sync::atomic::AtomicUsize::new(0);
    let order = std::sync::atomic::Ordering::SeqCst;
    let mut daemon = site.start_by(&mut activated(&site, &[&client, &admin]));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while !stop.load(order) {
                    let mut connection =
                        Connection::open(&site.socket()).expect("the socket is always there");
                    annotate(&mut connection)
                        .expect("a request can be sent to whoever has taken the connection");
                    connection.reply().expect("a request is answered").ok();
                    answered.fetch_add(1, order);
                }
            });
        }
        for _ in 0..8 {
            let before = answered.load(order);
            eventually("it serves", || answered.load(order) > before + 5);
            daemon.stop();
            daemon = site.start_by(&mut activated(&site, &[&client, &admin]));
        }
        stop.store(true, order);
    });
    daemon.stop();
}

#[test]
fn a_socket_that_is_not_passed_is_made() {
    let site = Site::new(&Config::tiny());
    let client = UnixListener::bind(site.socket()).unwrap();
    let mut daemon = site.start_by(&mut activated(&site, &[&client]));
    daemon.annotate(SENTENCE);
    daemon.stop();
    assert!(site.socket().exists(), "passed, so it stays");
    assert!(!site.admin_socket().exists(), "made, so it goes");
}

#[test]
fn a_passed_socket_that_the_configuration_does_not_name_ends_the_start() {
    let site = Site::new(&Config::tiny());
    let stranger = UnixListener::bind(site.path("stranger.sock")).unwrap();
    let mut daemon: Daemon = site.spawn_by(&mut activated(&site, &[&stranger]));
    assert_eq!(daemon.wait().code(), Some(1));
    daemon.logs("stranger.sock");
    assert!(
        daemon
            .log()
            .contains("make the .socket units and the configuration agree"),
        "{}",
        daemon.log()
    );
}
