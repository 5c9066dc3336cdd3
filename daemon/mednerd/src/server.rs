//! The two sockets: bound here or inherited from systemd, accepted from, and drained at the end.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, chown};
use std::os::unix::net::{UnixListener as StdListener, UnixStream as StdStream};
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::{Arc, Mutex, Weak};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use bytes::Bytes;
use http::{Request, header};
use http_body::{Frame, SizeHint};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use nix::unistd::{Gid, Group};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;
use tower::ServiceExt;

use crate::access::{Door, Peer, Policy};
use crate::app::App;
use crate::config::{Config, Problem, Server};
use crate::http::{Received, Rest};
use crate::sync::{Full, Gate, Pass, lock};
use crate::wire::{Control, Exchange, TOO_MANY, UNKNOWN_VERSION, Wire};

/// How long a connection from which nothing came yet may take to speak when the daemon is told to stop.
const FIRST_WORDS: Duration = Duration::from_millis(250);
/// How long a connection that makes room for a new one may take to close before another is asked to.
const TO_LEAVE: Duration = Duration::from_secs(1);
/// How many connections of users who may not call are open at once, to be told so; one more is closed without a word.
const STRANGERS: usize = 16;
/// How many connections of users who may call wait for room at once; one more is told to come again.
const WAITING: usize = 64;
/// How long each of them has.
const A_STRANGERS_TIME: Duration = Duration::from_secs(5);

/// Why a socket cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    /// Another process answers there.
    #[error("{}: another process serves this socket; stop it, or configure another path", .0.display())]
    InUse(PathBuf),
    /// The system refused.
    #[error("{}: the socket cannot be {action}: {source}; its folder must exist and belong to the daemon's user", path.display())]
    Io {
        /// Its path.
        path: PathBuf,
        /// What was tried.
        action: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// systemd passed a socket that the configuration does not name.
    #[error(
        "systemd passed the socket {found}, and the configuration has {} and {}; make the .socket units and the configuration agree",
        client.display(),
        admin.display()
    )]
    Unknown {
        /// What was passed.
        found: String,
        /// `server.socket`
        client: PathBuf,
        /// `server.admin_socket`
        admin: PathBuf,
    },
}

impl SocketError {
    /// Whether the administrator has to change something before it can be had: a folder that is not there.
    pub fn is_of_configuration(&self) -> bool {
        let missing = [io::ErrorKind::NotFound, io::ErrorKind::NotADirectory];
        matches!(self, Self::Io { source, .. } if missing.contains(&source.kind()))
    }
}

/// What keeps sockets from being made where the configuration has them, found out without touching anything. The folder of the package's
/// sockets is systemd's, and there while the service is.
pub fn check(config: &Config) -> Vec<Problem> {
    let sockets = [
        ("server.socket", &config.server.socket),
        ("server.admin_socket", &config.server.admin_socket),
    ];
    let by_systemd = Path::new(mednerd_client::DEFAULT_SOCKET).parent();
    let problem = |(key, path): (&str, &PathBuf)| {
        // "mednerd.sock" is in the folder that the daemon is started in.
        let folder = match path.parent()? {
            own if own.as_os_str().is_empty() => Path::new("."),
            own => own,
        };
        if Some(folder) == by_systemd {
            return None;
        }
        let is_missing = match folder.metadata() {
            Ok(found) => !found.is_dir(),
            Err(error) => error.kind() != io::ErrorKind::PermissionDenied,
        };
        let message = format!(
            "{key}: {} is not a folder; make it, for the daemon's user, or name another one",
            folder.display()
        );
        is_missing.then(|| Problem::new(config.place(key).cloned(), message))
    };
    sockets.into_iter().filter_map(problem).collect()
}

/// A socket that listens.
pub struct Listening {
    listener: UnixListener,
    door: Door,
    path: PathBuf,
    /// Whether this process made the file, and removes it at the end.
    made: bool,
}

impl Listening {
    /// Its file.
    pub fn file(&self) -> SocketFile {
        SocketFile {
            door: self.door,
            path: self.path.clone(),
            made: self.made,
        }
    }
}

/// A socket's file, whose mode follows the policy in force where this process made it.
pub struct SocketFile {
    door: Door,
    path: PathBuf,
    made: bool,
}

impl SocketFile {
    /// Gives it the mode that a new policy asks for; of one that systemd made it says where the mode does not suit the policy.
    pub fn follow(&self, policy: &Policy) {
        if !self.made {
            return compare(self.door, &self.path, policy);
        }
        if let Err(error) = admit(self.door, &self.path, policy) {
            tracing::error!("{}: its mode cannot be changed: {error}", self.path.display());
        }
    }
}

/// Both sockets: taken from what systemd passed where it did, else bound.
///
/// # Errors
/// [`SocketError`]
pub fn open(
    server: &Server,
    inherited: Vec<OwnedFd>,
    policy: &Policy,
) -> Result<Vec<Listening>, SocketError> {
    let mut sockets = Vec::with_capacity(2);
    for fd in inherited {
        sockets.push(adopt(server, fd, policy)?);
    }
    for (door, path) in [
        (Door::Client, &server.socket),
        (Door::Admin, &server.admin_socket),
    ] {
        if !sockets.iter().any(|socket| socket.door == door) {
            sockets.push(bind(door, path, policy)?);
        }
    }
    Ok(sockets)
}

fn adopt(server: &Server, fd: OwnedFd, policy: &Policy) -> Result<Listening, SocketError> {
    let listener = StdListener::from(fd);
    let address = listener.local_addr().ok();
    let path = address.as_ref().and_then(|address| address.as_pathname());
    let door = match path {
        Some(path) if path == server.socket => Door::Client,
        Some(path) if path == server.admin_socket => Door::Admin,
        other => {
            return Err(SocketError::Unknown {
                found: other.map_or_else(|| "without a path".to_owned(), |path| path.display().to_string()),
                client: server.socket.clone(),
                admin: server.admin_socket.clone(),
            });
        }
    };
    let path = path.unwrap_or(&server.socket).to_owned();
    compare(door, &path, policy);
    Ok(Listening {
        listener: listen(listener, &path)?,
        door,
        path,
        made: false,
    })
}

/// Says where the file of a socket that systemd made keeps out somebody whom `policy` lets in: its mode is the unit's.
fn compare(door: Door, path: &Path, policy: &Policy) {
    // One that cannot be looked at is one that cannot be judged.
    let Ok(found) = std::fs::metadata(path) else {
        return;
    };
    if let Some(warning) = too_closed(door, found.mode(), found.gid(), policy.file_mode(door)) {
        tracing::warn!("{}: {warning}", path.display());
    }
}

fn too_closed(door: Door, mode: u32, group: u32, due: (u32, Option<u32>)) -> Option<String> {
    let (unit, list) = match door {
        Door::Client => ("mednerd.socket", "users and groups"),
        Door::Admin => ("mednerd-admin.socket", "admin_users"),
    };
    let (who, remedy) = match due {
        _ if mode & 0o006 == 0o006 => return None,
        (0o666, _) => (format!("the {list}"), "SocketMode=0666".to_owned()),
        (_, Some(due)) if group != due || mode & 0o060 != 0o060 => {
            let name = Group::from_gid(Gid::from_raw(due)).ok().flatten();
            let name = name.map_or_else(|| due.to_string(), |group| group.name);
            let remedy = format!("SocketGroup={name} and SocketMode=0660, or SocketMode=0666");
            (format!("the group {name}"), remedy)
        }
        _ => return None,
    };
    Some(format!(
        "systemd made this socket with mode {:04o}, which keeps out {who} of [access]; `systemctl edit {unit}`, [Socket], {remedy}, then \
         `systemctl restart {unit}`",
        mode & 0o777
    ))
}

fn bind(door: Door, path: &Path, policy: &Policy) -> Result<Listening, SocketError> {
    let failed = |action| {
        move |source| SocketError::Io {
            path: path.to_owned(),
            action,
            source,
        }
    };
    clear_stale(path)?;
    // The process has a umask that keeps everybody else out until the mode is set.
    let listener = StdListener::bind(path).map_err(failed("bound"))?;
    admit(door, path, policy).map_err(failed("opened to those who may call"))?;
    Ok(Listening {
        listener: listen(listener, path)?,
        door,
        path: path.to_owned(),
        made: true,
    })
}

/// Gives a socket's file the mode and group that `policy` asks for.
///
/// # Errors
/// What the system says where the mode cannot be set.
fn admit(door: Door, path: &Path, policy: &Policy) -> io::Result<()> {
    let (mode, group) = policy.file_mode(door);
    if let Some(group) = group {
        // Works for root and for members of the group; otherwise the mode alone decides.
        if let Err(error) = chown(path, None, Some(group)) {
            tracing::warn!(
                "{}: cannot be given to group {group} ({error}); only this user and root can open it",
                path.display()
            );
        }
    }
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))
}

/// Removes a socket that a killed process left. Anything else at the path stays, and binding fails.
fn clear_stale(path: &Path) -> Result<(), SocketError> {
    let is_socket = std::fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_socket());
    if !is_socket {
        return Ok(());
    }
    match StdStream::connect(path) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            std::fs::remove_file(path).map_err(|source| SocketError::Io {
                path: path.to_owned(),
                action: "replaced",
                source,
            })
        }
        // Whether it takes connections now or not: somebody listens there.
        _ => Err(SocketError::InUse(path.to_owned())),
    }
}

fn listen(listener: StdListener, path: &Path) -> Result<UnixListener, SocketError> {
    listener
        .set_nonblocking(true)
        .and_then(|()| UnixListener::from_std(listener))
        .map_err(|source| SocketError::Io {
            path: path.to_owned(),
            action: "listened on",
            source,
        })
}

/// Serves one socket until `stop` becomes true; then takes what already knocked, lets every request
/// under way finish, and returns.
pub async fn serve(app: Arc<App>, socket: Listening, mut stop: watch::Receiver<bool>) {
    let router = crate::http::router(Arc::clone(&app), socket.door);
    let mut connections = JoinSet::new();
    let room = Arc::new(Room {
        gate: match socket.door {
            Door::Client => Arc::clone(&app.connections),
            // Of its own: however many clients there are, an administrator and the health check get in.
            Door::Admin => Arc::default(),
        },
        open: Mutex::default(),
        idled: Arc::default(),
    });
    let (waiting, strangers) = (Arc::<Gate>::default(), Arc::<Gate>::default());
    let wire = |stream| {
        Wire::new(
            stream,
            app.generation().config.server.stall_timeout,
            Arc::clone(&room.idled),
        )
    };
    loop {
        let accepted = tokio::select! {
            accepted = socket.listener.accept() => accepted,
            _ = stop.wait_for(|stop| *stop) => break,
        };
        while connections.try_join_next().is_some() {}
        room.forget(2 * connections.len() + 16);
        match accepted {
            Ok((stream, _)) => {
                let Some(caller) = Caller::of(&stream, &app, socket.door) else {
                    continue;
                };
                let place = match caller.is_known {
                    true => room.place(&app, caller.peer.uid, &waiting),
                    false => strangers.try_enter(1, STRANGERS).map(Place::Inside),
                };
                let wire = wire(stream);
                let Some(place) = place else {
                    turn_away(&app, socket.door, caller, &wire.1);
                    continue;
                };
                let (app, router, stop) = (Arc::clone(&app), router.clone(), stop.clone());
                let room = Arc::clone(&room);
                // Who waits for room keeps nobody else from the door.
                connections.spawn(async move {
                    let pass = match place {
                        Place::Inside(pass) => Some(pass),
                        Place::Waiting(place) => {
                            let pass = room.wait(&app, caller.peer.uid, stop.clone()).await;
                            drop(place);
                            pass
                        }
                    };
                    if caller.is_known {
                        room.note(caller.peer.uid, &wire.1);
                    }
                    connection(app, router, caller, wire, stop).await;
                    drop(pass);
                });
            }
            Err(error) => {
                // Out of descriptors or memory: time may help, a busy loop does not.
                tracing::error!("a connection could not be accepted: {error}");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
    // A socket that systemd passed stays: who knocks there from now on is served by the next daemon.
    if socket.made {
        let path = &socket.path;
        // First of all, so that those who knocked already are a number that ends, and so that a
        // daemon started in the meantime keeps the socket it makes there.
        if let Err(error) = std::fs::remove_file(path) {
            tracing::warn!("{}: cannot be removed: {error}", path.display());
        }
        while let Ok(Ok((stream, _))) =
            tokio::time::timeout(Duration::from_millis(10), socket.listener.accept()).await
        {
            if let Some(caller) = Caller::of(&stream, &app, socket.door) {
                let (app, router) = (Arc::clone(&app), router.clone());
                connections.spawn(connection(app, router, caller, wire(stream), stop.clone()));
            }
        }
    }
    drop(socket.listener);
    while connections.join_next().await.is_some() {}
}

/// Ends a connection for which there is no place, not even to wait: strangers without a word, others with one.
fn turn_away(app: &Arc<App>, door: Door, caller: Caller, control: &Control) {
    if caller.is_known {
        return control.refuse(TOO_MANY);
    }
    let app = Arc::clone(app);
    tokio::spawn(async move {
        crate::http::tell_refusal(&app, &caller.peer, door, "a connection").await;
    });
}

/// Where a new connection is.
enum Place {
    /// Let in.
    Inside(Pass),
    /// Among those that wait for room.
    Waiting(Pass),
}

/// The connections of a socket.
struct Room {
    gate: Arc<Gate>,
    /// Those that ended among them.
    open: Mutex<Vec<Open>>,
    /// Told where one becomes idle.
    idled: Arc<Notify>,
}

/// A connection that is let in.
struct Open {
    user: u32,
    control: Weak<Control>,
}

impl Room {
    /// A place for a new connection of a user: inside, or among those that wait.
    fn place(&self, app: &App, user: u32, waiting: &Arc<Gate>) -> Option<Place> {
        let limit = app.generation().config.server.max_connections;
        let inside = self.gate.of(user).try_enter(1, limit).map(Place::Inside);
        let waiting = || waiting.of(user).try_enter(1, WAITING).map(Place::Waiting);
        inside.or_else(|_| waiting()).ok()
    }

    /// Waits for room for one more connection of a user; `None` at the end of all.
    async fn wait(&self, app: &App, user: u32, mut stop: watch::Receiver<bool>) -> Option<Pass> {
        tokio::select! {
            pass = self.enter(app, user) => Some(pass),
            _ = stop.wait_for(|stop| *stop) => None,
        }
    }

    /// Notes a connection that is let in.
    fn note(&self, user: u32, control: &Arc<Control>) {
        let control = Arc::downgrade(control);
        lock(&self.open).push(Open { user, control });
    }

    /// Room for one more connection of a user. Where there is none, the one that has been idle longest is closed, where the user has too
    /// many one of its own before all; where none is idle, the new one waits for the first that is.
    async fn enter(&self, app: &App, user: u32) -> Pass {
        let mut asked: Option<Instant> = None;
        let share = self.gate.of(user);
        loop {
            let limit = app.generation().config.server.max_connections;
            let full = match share.try_enter(1, limit) {
                Ok(pass) => return pass,
                Err(full) => full,
            };
            // One whose last answer is still being written is idle too, and may take its time to leave: then another is asked.
            if asked.is_none_or(|asked| asked.elapsed() >= TO_LEAVE)
                && let Some(longest) = self.longest_idle((full == Full::Own).then_some(user))
            {
                longest.make_leave();
                asked = Some(Instant::now());
            }
            tokio::select! {
                pass = share.enter(1, limit) => return pass,
                () = self.idled.notified() => {}
                () = tokio::time::sleep(TO_LEAVE) => {}
            }
        }
    }

    /// The connection that has been idle longest, of this user before all where one is given.
    fn longest_idle(&self, user: Option<u32>) -> Option<Arc<Control>> {
        let open = lock(&self.open);
        let open = open
            .iter()
            .filter_map(|open| Some((open.user, open.control.upgrade()?)));
        let idle = open.filter(|(_, control)| !control.is_busy() && !control.is_leaving());
        let longest =
            idle.min_by_key(|(of, control)| (user.is_some_and(|user| user != *of), control.idle_since()));
        longest.map(|(_, control)| control)
    }

    /// Forgets those that ended, where there are more than `most`.
    fn forget(&self, most: usize) {
        let mut open = lock(&self.open);
        if open.len() > most {
            open.retain(|open| open.control.strong_count() > 0);
        }
    }
}

/// Who has opened a connection.
struct Caller {
    peer: Peer,
    /// Whether they might call when they came; each request is asked anew.
    is_known: bool,
}

impl Caller {
    /// `None`, and a line in the log, where the kernel does not tell.
    fn of(stream: &UnixStream, app: &App, door: Door) -> Option<Self> {
        let peer = Peer::of(stream);
        let peer = peer.inspect_err(|error| {
            tracing::warn!("a connection whose peer is not known was closed: {error}");
        });
        let peer = peer.ok()?;
        let is_known = app.generation().policy.allows(&peer, door);
        Some(Self { peer, is_known })
    }
}

async fn connection(
    app: Arc<App>,
    router: Router,
    caller: Caller,
    (wire, control): (Wire, Arc<Control>),
    stop: watch::Receiver<bool>,
) {
    // Requests are taken first: what a client that has gone sent before is still counted as abandoned.
    tokio::select! {
        biased;
        () = exchange(app, router, caller, wire, &control, stop) => {}
        () = control.hung_up() => {}
    }
}

/// Answers the requests of one connection.
async fn exchange(
    app: Arc<App>,
    router: Router,
    Caller { peer, is_known }: Caller,
    wire: Wire,
    control: &Arc<Control>,
    mut stop: watch::Receiver<bool>,
) {
    let mut http = http1::Builder::new();
    let rest = {
        let server = &app.generation().config.server;
        let time = match is_known {
            true => server.idle_timeout,
            false => server.idle_timeout.min(A_STRANGERS_TIME),
        };
        http.timer(TokioTimer::new())
            .header_read_timeout(time)
            .keep_alive(is_known)
            // Who has finished sending may wait for the answer; who has gone is told otherwise.
            .half_close(true)
            // For each connection; the default is 400 KiB.
            .max_buf_size(64 << 10);
        Rest::of(server, time)
    };
    let service = service_fn(|mut request: Request<Incoming>| {
        request.extensions_mut().insert(peer.clone());
        let exchange = Arc::new(control.begin());
        let awaited = request.headers().contains_key(header::EXPECT);
        let request =
            request.map(|body| Body::new(Received::new(body, rest, awaited, Arc::clone(&exchange))));
        let router = router.clone();
        async move {
            let response = router.oneshot(request).await;
            response.map(|response| {
                response.map(|body| Tracked {
                    body,
                    _exchange: exchange,
                })
            })
        }
    });
    let mut http = pin!(http.serve_connection(TokioIo::new(wire), service));
    let came_in_time = !*stop.borrow();
    // What ends a connection early (a client that hung up or stalled) is the client's affair.
    let stopped = tokio::select! {
        ended = http.as_mut() => {
            if ended.is_err_and(|error| error.is_parse_version_h2()) {
                control.refuse(UNKNOWN_VERSION);
            }
            return;
        }
        _ = stop.wait_for(|stop| *stop) => true,
        () = control.is_to_leave() => false,
    };
    let taken = async || {
        while !control.is_busy() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    // Who has only just come is about to speak. Those who come later could hold the end up for ever.
    if stopped && came_in_time && !control.was_heard() {
        tokio::select! {
            _ = http.as_mut() => return,
            _ = tokio::time::timeout(FIRST_WORDS, taken()) => {}
        }
    }
    if control.cut_off() {
        // A request is there that nobody read yet: it was sent in time and is served.
        tokio::select! {
            _ = http.as_mut() => return,
            _ = tokio::time::timeout(Duration::from_secs(1), taken()) => {}
        }
    }
    http.as_mut().graceful_shutdown();
    let _ = http.await;
}

/// An answer's body, which holds the exchange until all of it was handed over.
struct Tracked {
    body: Body,
    _exchange: Arc<Exchange>,
}

impl http_body::Body for Tracked {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        pin!(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_stale_socket_is_replaced_and_a_live_one_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s");
        drop(StdListener::bind(&path).unwrap());
        let bound = bind(Door::Client, &path, &Policy::default()).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(
            std::fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o660
        );
        let again = bind(Door::Client, &path, &Policy::default())
            .err()
            .map(|error| error.to_string());
        assert!(again.is_some_and(|error| error.contains("another process serves")));
        drop(bound);
    }

    #[test]
    fn a_passed_socket_that_keeps_out_who_is_listed_is_told_with_what_to_do() {
        let (open, group, own) = ((0o666, None), (0o660, Some(4_000_000_000)), (0o600, None));
        for (door, mode, gid, due, told) in [
            (Door::Client, 0o660, 1, open, Some("SocketMode=0666")),
            (Door::Client, 0o666, 1, open, None),
            (Door::Client, 0o660, 1, group, Some("SocketGroup=4000000000")),
            (Door::Client, 0o600, 4_000_000_000, group, Some("SocketMode=0660")),
            (Door::Client, 0o140_660, 4_000_000_000, group, None),
            (Door::Client, 0o666, 1, group, None),
            (Door::Client, 0o660, 1, (0o660, None), None),
            (Door::Admin, 0o600, 1, own, None),
            (
                Door::Admin,
                0o600,
                1,
                open,
                Some("systemctl edit mednerd-admin.socket"),
            ),
        ] {
            let found = too_closed(door, mode, gid, due);
            match told {
                Some(told) => assert!(
                    found.is_some_and(|found| found.contains(told)),
                    "{mode:o} {due:?}"
                ),
                None => assert_eq!(found, None, "{mode:o} {due:?}"),
            }
        }
    }

    #[tokio::test]
    async fn a_file_that_is_no_socket_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("precious");
        std::fs::write(&path, "data").unwrap();
        assert!(bind(Door::Client, &path, &Policy::default()).is_err());
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "data");
    }
}
