//! Who is at the other end of a socket, and what the configuration lets them do.

use std::collections::{HashMap, HashSet};
use std::os::fd::AsFd;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use nix::unistd::{Group, Uid, User};
use tokio::net::UnixStream;

use crate::config::{Access, Place, Principal, Problem};
use crate::sync::lock;

/// The process at the other end, as the kernel saw it when it connected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Effective user.
    pub uid: u32,
    /// Effective group.
    pub gid: u32,
    /// Effective and supplementary groups.
    pub gids: Arc<[u32]>,
    /// Its process id, where the kernel can tell.
    pub pid: Option<i32>,
    /// Its program, where this process is allowed to see it.
    pub exe: Option<Arc<str>>,
}

impl Peer {
    /// The peer of a connected socket.
    ///
    /// # Errors
    /// What the kernel says; the connection should then be closed.
    pub fn of(stream: &UnixStream) -> std::io::Result<Self> {
        let credentials = stream.peer_cred()?;
        let mut gids = mednerd_sys::peer_groups(stream.as_fd())?;
        gids.push(credentials.gid());
        let pid = credentials.pid();
        // At once, while the number is still that process's.
        let exe = pid.and_then(|pid| std::fs::read_link(format!("/proc/{pid}/exe")).ok());
        Ok(Self {
            uid: credentials.uid(),
            gid: credentials.gid(),
            gids: gids.into(),
            pid,
            exe: exe.map(|exe| exe.to_string_lossy().into()),
        })
    }
}

/// What a socket is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Door {
    /// `server.socket`
    Client,
    /// `server.admin_socket`
    Admin,
}

/// `[access]` with every name resolved to a number.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    users: HashSet<u32>,
    groups: HashSet<u32>,
    admins: HashSet<u32>,
}

impl Policy {
    /// Asks the system's user database for every name.
    ///
    /// Root and the daemon's own user may always call: the first could anyhow, the second checks the
    /// daemon's health. The built-in group may be absent; one that the administrator wrote may not.
    ///
    /// # Errors
    /// Every name that the system does not know, with its line.
    pub fn resolve(access: &Access) -> Result<Self, Vec<Problem>> {
        let mut problems = Vec::new();
        let own = [Uid::effective().as_raw(), 0];
        let mut ids = |kind, list: &[Principal], look_up: &dyn Fn(&str) -> nix::Result<Option<u32>>| {
            list.iter()
                .filter_map(|principal| resolve(kind, principal, look_up, &mut problems))
                .collect::<HashSet<u32>>()
        };
        let user = |name: &str| User::from_name(name).map(|found| found.map(|user| user.uid.as_raw()));
        let group = |name: &str| Group::from_name(name).map(|found| found.map(|group| group.gid.as_raw()));
        let mut policy = Self {
            users: ids("user", &access.users, &user),
            groups: ids("group", &access.groups, &group),
            admins: ids("user", &access.admin_users, &user),
        };
        policy.users.extend(own);
        policy.admins.extend(own);
        if problems.is_empty() {
            Ok(policy)
        } else {
            Err(problems)
        }
    }

    /// Whether `peer` may call through `door`.
    pub fn allows(&self, peer: &Peer, door: Door) -> bool {
        match door {
            Door::Client => {
                self.users.contains(&peer.uid) || peer.gids.iter().any(|gid| self.groups.contains(gid))
            }
            Door::Admin => self.admins.contains(&peer.uid),
        }
    }

    /// Mode and group of a socket's file, such that everybody who is listed can open it. One group is
    /// what a file's mode can say; where more are listed, or users, the file lets everybody knock and
    /// [`Policy::allows`] alone decides.
    pub fn file_mode(&self, door: Door) -> (u32, Option<u32>) {
        let own = |uid: &u32| [Uid::effective().as_raw(), 0].contains(uid);
        let (users, groups) = match door {
            Door::Client => (&self.users, self.groups.len()),
            Door::Admin => (&self.admins, 0),
        };
        match (users.iter().all(own), groups, door) {
            (false, ..) | (_, 2.., _) => (0o666, None),
            (true, 1, _) => (0o660, self.groups.iter().next().copied()),
            (true, 0, Door::Client) => (0o660, None),
            (true, 0, Door::Admin) => (0o600, None),
        }
    }
}

/// Refusals that are written down in a minute: of all users, and of one of them.
const TOLD: usize = 60;
const TOLD_OF_ONE: usize = 20;
const MINUTE: Duration = Duration::from_secs(60);

/// What is refused in a minute. The first few refusals are written down one by one, and how many more there were at the minute's end in
/// one record: who may not call cannot fill the disk, whatever many users it has.
#[derive(Debug, Default)]
pub struct Refusals(Mutex<Minute>);

#[derive(Debug, Default)]
struct Minute {
    since: Option<Instant>,
    /// Of whom how many were written down; no more users than that are kept.
    told: HashMap<u32, usize>,
    /// Those that were not.
    untold: u64,
}

/// What is to be done about a refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It is to be written down.
    Told,
    /// It is the first that is not: after this time [`Refusals::untold`] says how many there were.
    Summed(Duration),
    /// Nothing more.
    Counted,
}

impl Refusals {
    /// Counts one of `uid`.
    pub fn note(&self, uid: u32) -> Refusal {
        self.note_at(uid, Instant::now())
    }

    fn note_at(&self, uid: u32, now: Instant) -> Refusal {
        let mut minute = lock(&self.0);
        let age = minute.since.map(|since| now.saturating_duration_since(since));
        let age = age.filter(|age| *age < MINUTE).unwrap_or_else(|| {
            minute.since = Some(now);
            minute.told.clear();
            Duration::ZERO
        });
        let (all, own) = (minute.told.values().sum::<usize>(), minute.told.get(&uid));
        let own = own.copied().unwrap_or_default();
        if all < TOLD && own < TOLD_OF_ONE {
            minute.told.insert(uid, own + 1);
            return Refusal::Told;
        }
        minute.untold += 1;
        match minute.untold {
            1 => Refusal::Summed(MINUTE.saturating_sub(age)),
            _ => Refusal::Counted,
        }
    }

    /// How many were not written down since this was asked last.
    pub fn untold(&self) -> u64 {
        std::mem::take(&mut lock(&self.0).untold)
    }
}

fn resolve(
    kind: &str,
    principal: &Principal,
    look_up: &dyn Fn(&str) -> nix::Result<Option<u32>>,
    problems: &mut Vec<Problem>,
) -> Option<u32> {
    // Who is kept in a directory is there when that can be reached.
    let mut problem = |place: &Place, message| problems.push(Problem::at(place, message).passing());
    match (look_up(&principal.name), &principal.place) {
        (Ok(Some(id)), _) => Some(id),
        // A name wins over a number, as with chown.
        (Ok(None), place) => principal.name.parse().ok().or_else(|| {
            if let Some(place) = place {
                let message = format!("there is no {kind} named \"{}\" on this system", principal.name);
                problem(place, message);
            }
            None
        }),
        (Err(error), Some(place)) => {
            problem(
                place,
                format!("cannot look up {kind} \"{}\": {error}", principal.name),
            );
            None
        }
        (Err(_), None) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn principal(name: &str) -> Principal {
        let place = Place {
            file: "mednerd.toml".into(),
            line: Some(7),
        };
        Principal {
            name: name.to_owned(),
            place: Some(place),
        }
    }

    fn peer(uid: u32, gids: &[u32]) -> Peer {
        Peer {
            uid,
            gid: gids.first().copied().unwrap_or_default(),
            gids: gids.into(),
            pid: None,
            exe: None,
        }
    }

    #[test]
    fn of_many_refusals_a_few_are_told_and_then_how_many_more_there_were() {
        let (refusals, begun) = (Refusals::default(), Instant::now());
        let note = |uid, after| refusals.note_at(uid, begun + Duration::from_secs(after));
        let told = |uid, times| (0..times).filter(|_| note(uid, 1) == Refusal::Told).count();
        assert_eq!(note(7, 0), Refusal::Told);
        assert_eq!(told(7, 19), 19);
        assert_eq!(note(7, 1), Refusal::Summed(Duration::from_secs(59)));
        assert_eq!(note(7, 2), Refusal::Counted);
        assert_eq!(note(8, 2), Refusal::Told, "others are told apart");
        assert_eq!(refusals.untold(), 2);
        assert_eq!(refusals.untold(), 0);
        assert_eq!(note(7, 61), Refusal::Told, "another minute");
    }

    #[test]
    fn many_users_are_told_no_more_often_and_none_is_kept() {
        let (refusals, begun) = (Refusals::default(), Instant::now());
        for minute in 0..3 {
            let at = begun + minute * MINUTE;
            let told = (0..6_000).map(|uid| refusals.note_at(uid % 300, at));
            let told: Vec<Refusal> = told.collect();
            let number = |wanted| told.iter().filter(|refusal| **refusal == wanted).count();
            assert_eq!((number(Refusal::Told), number(Refusal::Summed(MINUTE))), (60, 1));
            assert_eq!(refusals.untold(), 5_940);
            assert_eq!(lock(&refusals.0).told.len(), 60);
        }
    }

    #[test]
    fn users_groups_and_supplementary_groups_count() {
        let policy = Policy::resolve(&Access {
            groups: vec![principal("4001")],
            users: vec![principal("daemon")],
            admin_users: vec![principal("4002")],
        })
        .unwrap();
        assert!(policy.allows(&peer(1, &[1]), Door::Client), "by user name");
        assert!(
            policy.allows(&peer(9999, &[5, 4001]), Door::Client),
            "by supplementary group"
        );
        assert!(!policy.allows(&peer(9999, &[5]), Door::Client));
        assert!(
            !policy.allows(&peer(4002, &[5]), Door::Client),
            "an administrator is no EHR system"
        );
        assert!(policy.allows(&peer(4002, &[5]), Door::Admin));
        assert!(!policy.allows(&peer(1, &[4001]), Door::Admin));
        assert!(policy.allows(&peer(0, &[0]), Door::Admin), "root");
        assert_eq!(policy.file_mode(Door::Client), (0o666, None));
        assert_eq!(policy.file_mode(Door::Admin), (0o666, None));
    }

    #[test]
    fn the_socket_file_is_as_open_as_the_list_needs() {
        let mode = |groups: &[&str], users: &[&str]| {
            let all = |names: &[&str]| names.iter().map(|name| principal(name)).collect();
            let access = Access {
                groups: all(groups),
                users: all(users),
                admin_users: vec![principal("0")],
            };
            let policy = Policy::resolve(&access).unwrap();
            assert_eq!(policy.file_mode(Door::Admin), (0o600, None));
            policy.file_mode(Door::Client)
        };
        assert_eq!(mode(&[], &[]), (0o660, None));
        assert_eq!(mode(&["4001"], &["0"]), (0o660, Some(4001)));
        assert_eq!(mode(&["4001", "4002"], &[]), (0o666, None));
        assert_eq!(mode(&["4001"], &["4002"]), (0o666, None));
    }

    #[test]
    fn names_that_nobody_bears_are_told_with_their_line() {
        let problems = Policy::resolve(&Access {
            groups: vec![principal("no-such-group")],
            users: vec![principal("no-such-user")],
            admin_users: vec![],
        })
        .unwrap_err();
        let told: Vec<_> = problems.iter().map(ToString::to_string).collect();
        assert_eq!(
            told,
            [
                "mednerd.toml:7: there is no user named \"no-such-user\" on this system",
                "mednerd.toml:7: there is no group named \"no-such-group\" on this system",
            ]
        );
    }

    #[test]
    fn the_built_in_group_may_be_absent() {
        assert!(Policy::resolve(&Access::default()).is_ok());
    }
}
