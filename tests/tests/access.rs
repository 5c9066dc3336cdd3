//! Who may call: decided by the peer's user and groups, whatever the socket's mode lets through.
//! Other users' requests are made by `curl`, which also proves that it can be used.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use mednerd_client::api::ErrorBody;
use mednerd_tests::http::head;
use mednerd_tests::notes::SENTENCE;
use mednerd_tests::{Config, Daemon, eventually};
use nix::unistd::geteuid;
use serde_json::json;

/// A user and a group that are nobody's.
const USER: u32 = 65_534;
const GROUP: u32 = 4_242;

/// Becoming another user takes root; who is not root sees that a test said nothing.
fn not_root() -> bool {
    if geteuid().is_root() {
        return false;
    }
    mednerd_skip::skipped("only root can call as another user");
    true
}

/// Calls as [`USER`] with these supplementary groups, and gives status and body.
fn call(socket: &Path, groups: &str, arguments: &[&str], route: &str) -> (u16, String) {
    let user = USER.to_string();
    let mut command = Command::new("setpriv");
    command.args(["--reuid", &user, "--regid", &user]);
    match groups {
        "" => command.arg("--clear-groups"),
        groups => command.args(["--groups", groups]),
    };
    command.args([
        "curl",
        "--silent",
        "--show-error",
        "--write-out",
        "\n%{http_code}",
        "--unix-socket",
    ]);
    let output = command
        .arg(socket)
        .args(arguments)
        .arg(format!("http://localhost{route}"))
        .output()
        .expect("setpriv and curl are installed; `make setup` sees to that");
    let printed = String::from_utf8(output.stdout).unwrap();
    let (body, status) = printed.rsplit_once('\n').unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    (
        status.parse().unwrap_or_else(|_| panic!("{told}")),
        body.to_owned() + &told,
    )
}

/// [`USER`] with many connections, which it keeps until it is told to end.
struct Crowd(Child);

impl Crowd {
    /// Each of `number` connections sends `head` and so many letters.
    fn start(socket: &Path, number: usize, head: &str, letters: usize) -> Self {
        const CLIENT: &str = r#"use IO::Socket::UNIX; use IO::Handle; $| = 1; $SIG{PIPE} = "IGNORE";
            my ($socket, $number, $head, $letters) = @ARGV;
            my @held;
            for (1 .. $number) {
                my $client = IO::Socket::UNIX->new($socket) or die $!;
                $client->autoflush(1);
                print $client $head, "x" x $letters;
                push @held, $client;
            }
            print "here\n";
            <STDIN>;"#;
        let user = USER.to_string();
        let mut crowd = Command::new("setpriv")
            .args(["--reuid", &user, "--regid", &user, "--clear-groups"])
            .args(["perl", "-e", CLIENT])
            .arg(socket)
            .args([&number.to_string(), head, &letters.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(crowd.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        assert_eq!(line, "here\n");
        Self(crowd)
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}

/// A daemon that [`USER`] may ask.
fn shared(config: Config) -> Daemon {
    let daemon = Daemon::start(&config.access(&format!("groups = []\nusers = [\"{USER}\"]\n")));
    open_wide(&daemon);
    let folder = daemon.site().socket();
    fs::set_permissions(folder.parent().unwrap(), PermissionsExt::from_mode(0o755)).unwrap();
    daemon
}

#[test]
fn a_user_who_takes_all_leaves_room_for_others() {
    if not_root() {
        return;
    }
    let post = |route: &str, length: usize| {
        let head = head("POST", route, length);
        String::from_utf8(head).unwrap()
    };

    // Connections with half of a request each, more than there may be, and more than may wait.
    let daemon = shared(Config::tiny().server("max_connections", 16));
    let crowd = Crowd::start(&daemon.site().socket(), 100, "POST", 0);
    eventually("its share is in", || daemon.status().queue.connections == 14);
    daemon.annotate(SENTENCE);
    drop(crowd);
    daemon.wait_idle();

    // Bodies that do not end.
    let daemon = shared(Config::tiny().server("max_queued_bytes", 8_000_000));
    let crowd = Crowd::start(
        &daemon.site().socket(),
        20,
        &post("/v1/annotate", 700_000),
        600_000,
    );
    eventually("its share is held", || daemon.status().queue.bytes > 6_000_000);
    assert!(daemon.status().queue.bytes <= 7_000_000);
    daemon.annotate(&" ".repeat(300_000));
    drop(crowd);
    daemon.wait_idle();

    // Batches that do not end.
    let line = format!("{}\n", json!({"text": SENTENCE}));
    let crowd = Crowd::start(
        &daemon.site().socket(),
        20,
        &(post("/v1/annotate/batch", 1_000_000) + &line),
        0,
    );
    eventually("as many as it may have are answered", || {
        daemon.status().requests.ok >= 9
    });
    assert_eq!(daemon.batch(&line).status, 200);
    drop(crowd);
    daemon.wait_idle();

    // Documents that take long.
    let config = Config::default().threads(1).server("max_queued_documents", 16);
    let daemon = shared(config.server("default_deadline_ms", 600_000));
    let text = "Pt has acute pneumonia on amoxicillin. ".repeat(3_000);
    let body = json!({ "text": text }).to_string();
    let crowd = Crowd::start(
        &daemon.site().socket(),
        30,
        &(post("/v1/annotate", body.len()) + &body),
        0,
    );
    eventually("its share is under way", || daemon.status().queue.documents == 14);
    daemon.annotate(SENTENCE);
    let refused = "mednerd_requests_total{route=\"/v1/annotate\",status=\"429\"}";
    eventually("what is more is refused", || daemon.metric(refused) >= 16.0);
    drop(crowd);
}

/// As a careless administrator might: now only the daemon itself keeps anybody out.
fn open_wide(daemon: &Daemon) {
    for socket in [daemon.site().socket(), daemon.site().admin_socket()] {
        fs::set_permissions(socket, PermissionsExt::from_mode(0o666)).unwrap();
    }
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn the_client_socket_is_for_its_group_and_the_admin_socket_for_its_owner() {
    let daemon = Daemon::start(&Config::tiny());
    assert_eq!(mode(&daemon.site().socket()), 0o660);
    assert_eq!(mode(&daemon.site().admin_socket()), 0o600);
    if not_root() {
        return;
    }
    let daemon = Daemon::start(&Config::tiny().access(&format!("groups = [\"{GROUP}\"]\n")));
    let client = fs::metadata(daemon.site().socket()).unwrap();
    assert_eq!(
        (client.gid(), client.uid(), mode(&daemon.site().socket())),
        (GROUP, 0, 0o660)
    );
    let admin = fs::metadata(daemon.site().admin_socket()).unwrap();
    assert_eq!((admin.gid(), mode(&daemon.site().admin_socket())), (0, 0o600));
}

#[test]
fn a_user_that_is_not_listed_is_refused_on_every_route_of_both_sockets() {
    if not_root() {
        return;
    }
    let daemon = Daemon::start(&Config::tiny());
    open_wide(&daemon);
    let body = json!({"text": SENTENCE}).to_string();
    let post = ["--data", &body];
    let (client, admin) = (daemon.site().socket(), daemon.site().admin_socket());
    for (socket, arguments, route) in [
        (&client, &post[..], "/v1/annotate"),
        (&client, &post, "/v1/annotate/batch"),
        (&client, &[], "/v1/models"),
        (&client, &[], "/v1/status"),
        (&client, &[], "/metrics"),
        (&client, &[], "/healthz"),
        (&client, &[], "/openapi.json"),
        (&client, &[], "/nothing"),
        (&admin, &["--request", "POST"], "/v1/reload"),
        (&admin, &[], "/v1/status"),
        (&admin, &[], "/healthz"),
    ] {
        let (status, answer) = call(socket, "", arguments, route);
        assert_eq!(status, 403, "{route}: {answer}");
        let ErrorBody { error } = serde_json::from_str(&answer).unwrap();
        assert_eq!(
            (&*error.code, &error.details["uid"]),
            ("peer_not_allowed", &json!(USER))
        );
    }
    assert_eq!(daemon.status().requests.ok, 0, "nothing was annotated");
    let warned = daemon
        .log()
        .lines()
        .filter(|line| line.contains("WARN") && line.contains("65534"))
        .count();
    assert_eq!(warned, 11, "the journal tells the administrator");
}

#[test]
fn a_refused_user_that_writes_all_of_a_large_note_before_it_reads_is_told_so() {
    if not_root() {
        return;
    }
    // Writes everything first, as most HTTP libraries do; curl looks for an answer in between.
    const CLIENT: &str = r#"use IO::Socket::UNIX;
        my $client = IO::Socket::UNIX->new($ARGV[0]) or die $!;
        print $client "POST /v1/annotate HTTP/1.1\r\nhost: x\r\ncontent-length: 8000000\r\n\r\n", "x" x 8000000 or die $!;
        $client->flush or die $!;
        print scalar <$client>;"#;
    let daemon = Daemon::start(&Config::tiny());
    open_wide(&daemon);
    let user = USER.to_string();
    let output = Command::new("setpriv")
        .args(["--reuid", &user, "--regid", &user, "--clear-groups"])
        .args(["perl", "-e", CLIENT])
        .arg(daemon.site().socket())
        .output()
        .unwrap();
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        printed.starts_with("HTTP/1.1 403 "),
        "{printed}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert_eq!(
        daemon.status().queue.bytes,
        0,
        "of a stranger's note nothing is kept"
    );
}

#[test]
fn users_who_may_not_call_keep_nobody_out() {
    if not_root() {
        return;
    }
    // More connections than there may be, each with the beginning of a request.
    const CLIENT: &str = r#"use IO::Socket::UNIX; use IO::Handle; $| = 1; $SIG{PIPE} = "IGNORE";
        my @held;
        for (1 .. 100) {
            my $client = IO::Socket::UNIX->new($ARGV[0]) or die $!;
            $client->autoflush(1);
            print $client "P";
            push @held, $client;
        }
        print "here\n";
        <STDIN>;"#;
    let mut daemon = Daemon::start(&Config::tiny().server("max_connections", 8));
    open_wide(&daemon);
    let user = USER.to_string();
    let mut strangers = Command::new("setpriv")
        .args(["--reuid", &user, "--regid", &user, "--clear-groups"])
        .args(["perl", "-e", CLIENT])
        .arg(daemon.site().socket())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(strangers.stdout.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    assert_eq!(line, "here\n");
    for _ in 0..4 {
        eventually("nobody is in the room", || daemon.status().queue.connections == 0);
        daemon.annotate(SENTENCE);
    }
    // A stranger who asks is told, when those before have had their time.
    drop(strangers.stdin.take());
    strangers.wait().unwrap();
    eventually("a stranger is told", || {
        call(&daemon.site().socket(), "", &[], "/healthz").0 == 403
    });
    // Those that were only counted so far are told of before the end.
    daemon.stop();
    assert!(daemon.log().contains("were refused more="), "{}", daemon.log());
}

#[test]
fn the_mode_of_the_socket_already_keeps_strangers_out() {
    if not_root() {
        return;
    }
    let daemon = Daemon::start(&Config::tiny());
    for socket in [daemon.site().socket(), daemon.site().admin_socket()] {
        let (status, answer) = call(&socket, "", &[], "/healthz");
        assert_eq!(status, 0, "not even connected: {answer}");
    }
}

#[test]
fn a_member_by_supplementary_group_may_annotate_but_not_administrate() {
    if not_root() {
        return;
    }
    let daemon = Daemon::start(&Config::tiny().access(&format!("groups = [\"{GROUP}\"]\n")));
    let body = json!({"text": SENTENCE}).to_string();
    let groups = format!("9001,{GROUP},9002");
    let socket = daemon.site().socket();
    let (status, answer) = call(&socket, &groups, &["--data", &body], "/v1/annotate");
    assert_eq!(status, 200, "{answer}");
    assert!(answer.contains("\"entities\":["), "{answer}");
    open_wide(&daemon);
    let (status, answer) = call(
        &daemon.site().admin_socket(),
        &groups,
        &["--request", "POST"],
        "/v1/reload",
    );
    assert_eq!(status, 403, "{answer}");
    let (status, answer) = call(&socket, "9001,9002", &["--data", &body], "/v1/annotate");
    assert_eq!(status, 403, "of other groups: {answer}");
}

#[test]
fn listed_users_and_administrators_get_in_at_their_own_door() {
    if not_root() {
        return;
    }
    let user = Daemon::start(&Config::tiny().access(&format!("groups = []\nusers = [\"{USER}\"]\n")));
    open_wide(&user);
    assert_eq!(call(&user.site().socket(), "", &[], "/v1/models").0, 200);
    assert_eq!(call(&user.site().admin_socket(), "", &[], "/v1/status").0, 403);
    let admin = Daemon::start(&Config::tiny().access(&format!("groups = []\nadmin_users = [\"{USER}\"]\n")));
    open_wide(&admin);
    assert_eq!(call(&admin.site().socket(), "", &[], "/v1/models").0, 403);
    assert_eq!(
        call(
            &admin.site().admin_socket(),
            "",
            &["--request", "POST"],
            "/v1/reload"
        )
        .0,
        200
    );
}

#[test]
fn a_reload_changes_who_may_call_and_the_socket_file_follows() {
    if not_root() {
        return;
    }
    let daemon = Daemon::start(&Config::tiny());
    // What `mktemp` made is for its owner alone; the question is the socket's own mode.
    let folder = daemon.site().socket();
    fs::set_permissions(folder.parent().unwrap(), PermissionsExt::from_mode(0o755)).unwrap();
    let asked = |access: &str, expected_mode: u32, status: u16| {
        daemon.site().configure(&Config::tiny().access(access));
        assert_eq!(daemon.admin("POST", "/v1/reload").status, 200);
        let socket = daemon.site().socket();
        assert_eq!(mode(&socket), expected_mode, "{access}");
        assert_eq!(call(&socket, "", &[], "/healthz").0, status, "{access}");
    };
    // 0 is curl's word for a socket that it cannot open.
    asked("groups = []\n", 0o660, 0);
    asked(&format!("groups = []\nusers = [\"{USER}\"]\n"), 0o666, 200);
    asked("groups = []\nusers = [\"1\"]\n", 0o666, 403);
    asked(&format!("groups = [\"{USER}\", \"{GROUP}\"]\n"), 0o666, 200);
    asked(&format!("groups = [\"{USER}\"]\n"), 0o660, 200);
    asked(&format!("groups = [\"{GROUP}\"]\n"), 0o660, 0);
    assert_eq!(mode(&daemon.site().admin_socket()), 0o600);
    asked("groups = []\nadmin_users = [\"1\"]\n", 0o660, 0);
    assert_eq!(mode(&daemon.site().admin_socket()), 0o666);
    assert_eq!(call(&daemon.site().admin_socket(), "", &[], "/healthz").0, 403);
}

#[test]
fn each_socket_has_its_own_routes() {
    let daemon = Daemon::start(&Config::tiny());
    daemon
        .request("POST", "/v1/reload", "")
        .refused(404, "route_not_found");
    daemon
        .admin("POST", "/v1/annotate")
        .refused(404, "route_not_found");
    daemon
        .admin("POST", "/v1/annotate/batch")
        .refused(404, "route_not_found");
    for route in ["/healthz", "/readyz", "/metrics", "/v1/status", "/v1/models"] {
        assert_eq!(daemon.admin("GET", route).status, 200, "{route}");
    }
}

#[test]
fn curl_annotates_as_on_the_interface_page() {
    let daemon = Daemon::start(&Config::default());
    let output = Command::new("curl")
        .args(["--silent", "--fail", "--unix-socket"])
        .arg(daemon.site().socket())
        .args([
            "--data",
            &json!({"text": SENTENCE}).to_string(),
            "http://localhost/v1/annotate",
        ])
        .output()
        .expect("curl is installed");
    assert!(output.status.success());
    let answer: mednerd_client::api::AnnotateResponse = serde_json::from_slice(&output.stdout).unwrap();
    assert!(
        answer.entities.iter().any(|entity| entity.text == "metformin"),
        "{answer:?}"
    );
}
