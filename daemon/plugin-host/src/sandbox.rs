//! Confines this process for good, before any code of the plugin runs: resource limits, then Landlock (files,
//! network, signals), then seccomp (system calls). What the kernel does not have is told and left out.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use landlock::{
    ABI, Access, AccessFs, AccessNet, PathBeneath, PathFd, Ruleset, RulesetAttr, RulesetCreatedAttr,
    RulesetStatus, Scope,
};
use mednerd_plugin_host::protocol::Sandbox;
use nix::sys::resource::{Resource, UsageWho, getrlimit, getrusage, setrlimit};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
};

/// Why a process cannot be confined.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// A limit.
    #[error("a resource limit cannot be set: {0}")]
    Limit(#[from] nix::Error),
    /// The daemon's other hosts.
    #[error(
        "the threads of other plugins cannot be counted: {0}; the list of /proc must be open to mednerd: where AppArmor closes it, \
             @{{PROC}}/ r, in /etc/apparmor.d/local/usr.bin.mednerd opens it"
    )]
    Hosts(io::Error),
    /// Landlock.
    #[error("Landlock cannot be set up: {0}")]
    Landlock(#[from] landlock::RulesetError),
    /// seccomp.
    #[error("seccomp cannot be set up: {0}")]
    Seccomp(#[from] seccompiler::BackendError),
    /// Its priority or a descriptor.
    #[error("the process cannot be confined: {0}")]
    Io(#[from] io::Error),
}

/// So many threads all hosts of a daemon may start together. Well below the unit's TasksMax, so that they leave the daemon the
/// most of it. seccomp is what stops a fork.
const THREADS: u64 = 1024;
/// The bound where it cannot be found out how many threads there are.
const FALLBACK: u64 = 4096;
/// No kernel has more threads than this.
const MOST_THREADS: u64 = 1 << 22;

/// The limit on core files for which there are none. With 0 the kernel writes no file, and still hands the whole process to a program, where
/// `core_pattern` names one (apport, systemd-coredump); with this it does neither. A host cannot be made undumpable for it: under
/// `hidepid`, which the unit asks for, the daemon's other hosts would not see it any more, and they count its threads.
const NO_CORE: u64 = 1;

/// Limits memory, files and processes, lets others go first where processors are short, and switches core dumps off. `memory` is for the heap of host and plugin;
/// files that may be mapped come on top.
pub fn limit(memory: u64, mapped: u64) -> Result<(), SandboxError> {
    let address_space = memory.saturating_add(mapped).saturating_add(1 << 30);
    let threads = thread_bound()?;
    mednerd_sys::yield_to_others()?;
    for (resource, most) in [
        (Resource::RLIMIT_CORE, NO_CORE),
        (Resource::RLIMIT_DATA, memory),
        (Resource::RLIMIT_AS, address_space),
        (Resource::RLIMIT_FSIZE, 0),
        (Resource::RLIMIT_NOFILE, 128),
        (Resource::RLIMIT_MEMLOCK, 0),
        (Resource::RLIMIT_NPROC, threads),
        (Resource::RLIMIT_MSGQUEUE, 0),
    ] {
        let (_, hard) = getrlimit(resource)?;
        setrlimit(resource, most.min(hard), most.min(hard))?;
    }
    Ok(())
}

/// What RLIMIT_NPROC shall be. For it the kernel counts all threads of this user: those of a person's session, of other
/// containers whose processes nobody sees here, and of the daemon's other hosts. Only the last share in [`THREADS`].
fn thread_bound() -> Result<u64, SandboxError> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NPROC)?;
    let found = threads_of_user(|most| {
        setrlimit(Resource::RLIMIT_NPROC, most.min(hard), hard)?;
        let started = std::thread::Builder::new().stack_size(64 << 10).spawn(|| ());
        Ok(started.map(std::thread::JoinHandle::join).is_ok())
    });
    setrlimit(Resource::RLIMIT_NPROC, soft, hard)?;
    Ok(match found? {
        Some(threads) => threads.saturating_sub(threads_of_hosts()?) + THREADS,
        None => FALLBACK,
    })
}

/// How many threads the kernel counts, by the least limit under which `starts` can start one more; `None` where it can under none.
fn threads_of_user(
    mut starts: impl FnMut(u64) -> Result<bool, SandboxError>,
) -> Result<Option<u64>, SandboxError> {
    let (mut few, mut enough) = (0, MOST_THREADS);
    if !starts(enough)? {
        return Ok(None);
    }
    while few + 1 < enough {
        let middle = few.midpoint(enough);
        match starts(middle)? {
            true => enough = middle,
            false => few = middle,
        }
    }
    Ok(Some(enough - 1))
}

/// The threads of this user's processes that have this process's parent, as hosts of one daemon do. This one is among them.
fn threads_of_hosts() -> Result<u64, SandboxError> {
    let own = nix::unistd::getuid().as_raw();
    let parent = u32::try_from(nix::unistd::getppid().as_raw()).unwrap_or(0);
    let processes = std::fs::read_dir("/proc").map_err(SandboxError::Hosts)?;
    let statuses = processes
        .filter_map(Result::ok)
        .filter_map(|process| std::fs::read_to_string(process.path().join("status")).ok());
    match statuses
        .filter_map(|status| threads_of_host(&status, parent, own))
        .sum()
    {
        // This process is one.
        0 => Err(SandboxError::Hosts(io::ErrorKind::PermissionDenied.into())),
        threads => Ok(threads),
    }
}

/// The threads in a process's `status`, where it is of this parent and user.
fn threads_of_host(status: &str, parent: u32, user: u32) -> Option<u64> {
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        line?.split_whitespace().next()?.parse::<u32>().ok()
    };
    let is_host = field("PPid:")? == parent && field("Uid:")? == user;
    is_host.then(|| field("Threads:").map(u64::from))?
}

/// Allows this much more processor time; beyond that the kernel sends SIGXCPU every second, which ends the process. It is the
/// soft limit that moves, since a hard one that was lowered cannot be raised for the next call: a plugin that means harm can
/// ignore the signal or raise the limit, and is left to its low priority and the daemon's deadlines.
pub fn allow_cpu(more: Duration) -> Result<(), SandboxError> {
    allow_until(used(UsageWho::RUSAGE_SELF)?.as_secs() + allowance(more))
}

/// So many seconds may a call use that may take this long: all processors for all of its time.
fn allowance(time: Duration) -> u64 {
    let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get() as u64);
    (time.as_secs() + 1).saturating_mul(cores) + 2
}

fn allow_until(seconds: u64) -> Result<(), SandboxError> {
    let (_, hard) = getrlimit(Resource::RLIMIT_CPU)?;
    setrlimit(Resource::RLIMIT_CPU, seconds.min(hard), hard)?;
    Ok(())
}

fn used(who: UsageWho) -> Result<Duration, SandboxError> {
    let usage = getrusage(who)?;
    let times = [usage.user_time(), usage.system_time()];
    let seconds = times.map(|time| u64::try_from(time.tv_sec()).unwrap_or(0));
    let micros = times.map(|time| u64::try_from(time.tv_usec()).unwrap_or(0));
    Ok(Duration::from_secs(seconds.iter().sum()) + Duration::from_micros(micros.iter().sum()))
}

/// The processor time of calls, and of what a plugin does between them: threads that it leaves behind take from the models.
/// A quarter of one processor is free, for what a plugin keeps warm; what is more is taken from what calls may use, until a
/// call finds nothing left.
pub struct Processor {
    /// What the process had used when the last call ended.
    at_end: Duration,
    /// When the last call began.
    since: Instant,
    owed: Duration,
}

thread_local! {
    /// What a thread of the host's own had used when its last call ended: what came since is reading and writing messages.
    static OWN: std::cell::Cell<Duration> = const { std::cell::Cell::new(Duration::ZERO) };
}

impl Processor {
    /// Before the first call.
    pub fn new() -> Result<Self, SandboxError> {
        Ok(Self {
            at_end: used(UsageWho::RUSAGE_SELF)?,
            since: Instant::now(),
            owed: Duration::ZERO,
        })
    }

    /// Allows what a call may use that may take `time`, on the thread that makes it.
    pub fn begin(&mut self, time: Duration) -> Result<(), SandboxError> {
        let now = used(UsageWho::RUSAGE_SELF)?;
        let own = used(UsageWho::RUSAGE_THREAD)?.saturating_sub(OWN.get());
        let between = now.saturating_sub(self.at_end).saturating_sub(own);
        self.owed = owed(self.owed, between, self.since.elapsed());
        self.since = Instant::now();
        allow_until(now.as_secs() + allowance(time).saturating_sub(self.owed.as_secs()))
    }

    /// The call has ended, on the same thread.
    pub fn end(&mut self) {
        // Only fails where the system is in trouble; then the call counts as what came between.
        if let (Ok(now), Ok(own)) = (used(UsageWho::RUSAGE_SELF), used(UsageWho::RUSAGE_THREAD)) {
            self.at_end = now;
            OWN.set(own);
        }
    }
}

/// What a plugin owes after it used `between` outside of calls, since a call `ago`.
fn owed(before: Duration, between: Duration, ago: Duration) -> Duration {
    (before + between).saturating_sub(ago / 4)
}

/// Takes away everything but reading `paths`, the plugin's own folder and the system's libraries, and computing.
pub fn confine(directory: &Path, library: &File, paths: &[PathBuf]) -> Result<Sandbox, SandboxError> {
    let landlock = files_and_network(directory, library, paths)?;
    let seccomp = system_calls()?;
    Ok(Sandbox { landlock, seccomp })
}

/// Where the loader finds libraries.
const LIBRARIES: [&str; 5] = ["/lib", "/lib64", "/usr/lib", "/usr/lib64", "/etc/ld.so.cache"];

fn files_and_network(directory: &Path, library: &File, paths: &[PathBuf]) -> Result<String, SandboxError> {
    let newest = ABI::V6;
    let mut ruleset = Ruleset::default()
        .handle_access(AccessFs::from_all(newest))?
        .handle_access(AccessNet::from_all(newest))?
        .scope(Scope::from_all(newest))?
        .create()?;
    let fixed = LIBRARIES.iter().map(Path::new).chain([directory]);
    for path in fixed.chain(paths.iter().map(PathBuf::as_path)) {
        if let Ok(opened) = PathFd::new(path) {
            let access = match path.is_dir() {
                true => AccessFs::ReadFile | AccessFs::ReadDir,
                false => AccessFs::ReadFile.into(),
            };
            ruleset = ruleset.add_rule(PathBeneath::new(opened, access))?;
        }
    }
    ruleset = ruleset.add_rule(PathBeneath::new(library.as_fd(), AccessFs::ReadFile))?;
    let status = ruleset.restrict_self()?;
    let held = match status.ruleset {
        RulesetStatus::FullyEnforced => "full",
        RulesetStatus::PartiallyEnforced => "partial",
        RulesetStatus::NotEnforced => "none",
    };
    Ok(held.to_owned())
}

/// Calls that are always allowed.
const ALLOWED: &[i64] = &[
    // memory
    libc::SYS_brk,
    libc::SYS_madvise,
    libc::SYS_mmap,
    libc::SYS_mprotect,
    libc::SYS_mremap,
    libc::SYS_munmap,
    libc::SYS_membarrier,
    // reading files, and what is open already
    libc::SYS_close,
    libc::SYS_dup,
    libc::SYS_faccessat,
    libc::SYS_faccessat2,
    libc::SYS_fadvise64,
    libc::SYS_fstat,
    libc::SYS_fstatfs,
    libc::SYS_getcwd,
    libc::SYS_getdents64,
    libc::SYS_lseek,
    libc::SYS_newfstatat,
    libc::SYS_pread64,
    libc::SYS_preadv,
    libc::SYS_read,
    libc::SYS_readlinkat,
    libc::SYS_readv,
    libc::SYS_recvfrom,
    libc::SYS_statx,
    libc::SYS_write,
    libc::SYS_writev,
    // waiting
    libc::SYS_clock_getres,
    libc::SYS_clock_gettime,
    libc::SYS_clock_nanosleep,
    libc::SYS_epoll_create1,
    libc::SYS_epoll_ctl,
    libc::SYS_epoll_pwait,
    libc::SYS_eventfd2,
    libc::SYS_futex,
    libc::SYS_gettimeofday,
    libc::SYS_nanosleep,
    libc::SYS_pipe2,
    libc::SYS_ppoll,
    libc::SYS_restart_syscall,
    // threads; clone3 is told that it does not exist, and clone is looked at
    libc::SYS_clone3,
    libc::SYS_exit,
    libc::SYS_exit_group,
    libc::SYS_getpid,
    libc::SYS_gettid,
    libc::SYS_rseq,
    libc::SYS_sched_getaffinity,
    libc::SYS_sched_yield,
    libc::SYS_set_robust_list,
    libc::SYS_set_tid_address,
    // signals to itself
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_sigaltstack,
    // harmless questions
    libc::SYS_getegid,
    libc::SYS_geteuid,
    libc::SYS_getgid,
    libc::SYS_getppid,
    libc::SYS_getrandom,
    libc::SYS_getrusage,
    libc::SYS_getuid,
    libc::SYS_sysinfo,
    libc::SYS_uname,
];

#[cfg(target_arch = "x86_64")]
const ALLOWED_HERE: &[i64] = &[
    libc::SYS_access,
    libc::SYS_arch_prctl,
    libc::SYS_epoll_wait,
    libc::SYS_lstat,
    libc::SYS_poll,
    libc::SYS_readlink,
    libc::SYS_stat,
    libc::SYS_time,
];
#[cfg(not(target_arch = "x86_64"))]
const ALLOWED_HERE: &[i64] = &[];

/// Flags with which a file could be changed.
const WRITING: u64 = (libc::O_WRONLY | libc::O_RDWR | libc::O_CREAT | libc::O_TRUNC | libc::O_APPEND) as u64;

/// What may be asked of an open file; sdk/plugin/ABI.md has the same. Locks are for plugins that read SQLite or LMDB. Not F_SETOWN, F_SETSIG and their like: by these the kernel itself sends a signal of the
/// plugin's choice to any process of this user, which seccomp does not see and Landlock stops from Linux 6.12 on only.
const FILE_COMMANDS: [i32; 11] = [
    libc::F_GETFD,
    libc::F_SETFD,
    libc::F_GETFL,
    libc::F_DUPFD,
    libc::F_DUPFD_CLOEXEC,
    libc::F_GETLK,
    libc::F_SETLK,
    libc::F_SETLKW,
    libc::F_OFD_GETLK,
    libc::F_OFD_SETLK,
    libc::F_OFD_SETLKW,
];

fn system_calls() -> Result<String, SandboxError> {
    let Ok(arch) = std::env::consts::ARCH.try_into() else {
        return Ok("none".to_owned());
    };
    let is = |argument, value: u64| {
        SeccompCondition::new(argument, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, value)
    };
    let masked = |argument, mask: u64, value: u64| {
        let operator = SeccompCmpOp::MaskedEq(mask);
        SeccompCondition::new(argument, SeccompCmpArgLen::Dword, operator, value)
    };
    let thread = libc::CLONE_THREAD as u64;
    let own = u64::from(std::process::id());
    // Not PR_SET_NAME and PR_SET_VMA: any user of this machine can read the names of threads.
    let names = [libc::PR_GET_NAME];
    let mut file_commands: Vec<SeccompRule> = FILE_COMMANDS
        .iter()
        .map(|command| Ok(SeccompRule::new(vec![is(1, u64::from(command.unsigned_abs()))?])?))
        .collect::<Result<_, SandboxError>>()?;
    // Flags, but none that asks for signals.
    let set_flags = vec![
        is(1, u64::from(libc::F_SETFL.unsigned_abs()))?,
        masked(2, u64::from(libc::O_ASYNC.unsigned_abs()), 0)?,
    ];
    file_commands.push(SeccompRule::new(set_flags)?);
    let mut rules: Vec<(i64, Vec<SeccompRule>)> = vec![
        (libc::SYS_fcntl, file_commands),
        (
            libc::SYS_clone,
            vec![SeccompRule::new(vec![masked(0, thread, thread)?])?],
        ),
        (
            libc::SYS_openat,
            vec![SeccompRule::new(vec![masked(2, WRITING, 0)?])?],
        ),
        (libc::SYS_tgkill, vec![SeccompRule::new(vec![is(0, own)?])?]),
        // Of the limits only that on processor time, which each call moves.
        (
            libc::SYS_prlimit64,
            vec![SeccompRule::new(vec![
                is(0, 0)?,
                is(1, u64::from(libc::RLIMIT_CPU))?,
            ])?],
        ),
        // On the socket that is there: a call with an address could reach another.
        (libc::SYS_sendto, vec![SeccompRule::new(vec![is(4, 0)?])?]),
        (
            libc::SYS_prctl,
            names
                .iter()
                .map(|name| Ok(SeccompRule::new(vec![is(0, *name as u64)?])?))
                .collect::<Result<_, SandboxError>>()?,
        ),
    ];
    #[cfg(target_arch = "x86_64")]
    rules.push((
        libc::SYS_open,
        vec![SeccompRule::new(vec![masked(1, WRITING, 0)?])?],
    ));
    rules.extend(ALLOWED.iter().chain(ALLOWED_HERE).map(|call| (*call, Vec::new())));
    let refused = |error: i32| SeccompAction::Errno(error.cast_unsigned());
    let allow = SeccompFilter::new(
        rules.into_iter().collect(),
        refused(libc::EPERM),
        SeccompAction::Allow,
        arch,
    )?;
    // The C library falls back to clone, whose flags can be looked at.
    let absent = SeccompFilter::new(
        [(libc::SYS_clone3, Vec::new())].into_iter().collect(),
        SeccompAction::Allow,
        refused(libc::ENOSYS),
        arch,
    )?;
    for filter in [absent, allow] {
        let program: BpfProgram = filter.try_into()?;
        match seccompiler::apply_filter(&program) {
            Ok(()) => {}
            Err(seccompiler::Error::Prctl(error) | seccompiler::Error::Seccomp(error))
                if error.raw_os_error() == Some(libc::EINVAL) =>
            {
                return Ok("none".to_owned());
            }
            Err(error) => return Err(io::Error::other(error.to_string()).into()),
        }
    }
    Ok("full".to_owned())
}

#[cfg(test)]
#[allow(clippy::print_stderr)]
mod tests {
    use std::os::fd::AsFd;

    use nix::errno::Errno;
    use nix::fcntl::{FcntlArg, OFlag, fcntl};

    use super::*;

    #[test]
    fn files_are_asked_for_no_signals() {
        let answers = std::thread::spawn(|| {
            let file = File::open("/dev/null").unwrap();
            // Of this thread alone.
            let held = system_calls().unwrap();
            let ask = |argument| fcntl(file.as_fd(), argument).map(|_| ());
            let lock = libc::flock {
                l_type: libc::F_RDLCK as _,
                l_whence: libc::SEEK_SET as _,
                l_start: 0,
                l_len: 1,
                l_pid: 0,
            };
            let asked = [
                ask(FcntlArg::F_GETFL),
                ask(FcntlArg::F_GETFD),
                ask(FcntlArg::F_DUPFD_CLOEXEC(3)),
                ask(FcntlArg::F_SETFL(OFlag::O_NONBLOCK)),
                ask(FcntlArg::F_SETLK(&lock)),
                ask(FcntlArg::F_SETLKW(&lock)),
                ask(FcntlArg::F_OFD_SETLK(&lock)),
                ask(FcntlArg::F_OFD_SETLKW(&lock)),
                ask(FcntlArg::F_GETLK(&mut lock.clone())),
                ask(FcntlArg::F_OFD_GETLK(&mut lock.clone())),
                ask(FcntlArg::F_SETFL(OFlag::O_NONBLOCK | OFlag::O_ASYNC)),
                ask(FcntlArg::F_GETPIPE_SZ),
            ];
            (held, asked)
        });
        let (held, asked) = answers.join().unwrap();
        if held != "full" {
            mednerd_skip::skipped("this kernel has no seccomp");
            return;
        }
        let (fine, refused) = (Ok(()), Err(Errno::EPERM));
        assert_eq!(asked[..10], [fine; 10]);
        assert_eq!(asked[10..], [refused; 2]);
    }

    #[test]
    fn what_any_user_could_read_is_not_named() {
        let answers = std::thread::spawn(|| {
            let held = system_calls().unwrap();
            let named = nix::sys::prctl::set_name(c"POISON");
            (held, named, nix::sys::prctl::get_name())
        });
        let (held, named, name) = answers.join().unwrap();
        if held != "full" {
            mednerd_skip::skipped("this kernel has no seccomp");
            return;
        }
        assert_eq!(named, Err(Errno::EPERM));
        assert_ne!(name.unwrap().as_c_str(), c"POISON");
    }

    #[test]
    fn what_a_plugin_uses_between_calls_beyond_a_quarter_of_a_processor_is_owed() {
        let (second, tenth) = (Duration::from_secs(1), Duration::from_millis(100));
        let mut debt = Duration::ZERO;
        for _ in 0..100 {
            // A thread that never rests, between calls that come ten times a second.
            debt = owed(debt, tenth, tenth);
        }
        assert_eq!(debt, second * 15 / 2);
        // Once it rests this is forgotten.
        assert_eq!(owed(debt, Duration::ZERO, second * 40), Duration::ZERO);
        assert_eq!(
            owed(Duration::ZERO, tenth, second),
            Duration::ZERO,
            "a tenth of one is free"
        );
    }

    #[test]
    fn threads_that_are_there_already_do_not_count_against_a_host() {
        for there in [0, 1, 700, 5000, MOST_THREADS - 2] {
            // As the kernel: one more may be started as long as that is within the limit.
            let found = threads_of_user(|most| Ok(there < most)).unwrap();
            assert_eq!(found, Some(there));
        }
        assert_eq!(threads_of_user(|_| Ok(false)).unwrap(), None);
    }

    #[test]
    fn only_processes_of_the_same_parent_and_user_share_the_bound() {
        let status = "Name:\tmednerd-plugin-\nPid:\t9\nPPid:\t7\nUid:\t5\t5\t5\t5\nThreads:\t12\n";
        assert_eq!(threads_of_host(status, 7, 5), Some(12));
        assert_eq!(threads_of_host(status, 8, 5), None);
        assert_eq!(threads_of_host(status, 7, 6), None);
        assert_eq!(threads_of_host("", 7, 5), None);
        assert!(threads_of_hosts().unwrap() >= 1, "this process is one");
    }

    #[test]
    fn hosts_leave_the_daemon_the_most_of_the_units_tasks() {
        let unit = include_str!("../../../packaging/systemd/mednerd.service");
        let most = unit.lines().find_map(|line| line.strip_prefix("TasksMax="));
        assert!(THREADS * 4 <= most.unwrap().parse().unwrap());
    }
}
