//! A worker that misbehaves in every way. The child is this test binary itself, run for the one ignored test
//! [`child`]; what it does is in the `Start` payload and in each call.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::ffi::OsStr;
use std::io::Write;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

use mednerd_worker::child::Link;
use mednerd_worker::{Backoff, Breaker, CallError, Notice, Settings, StartError, State, Worker};

/// The child.
#[test]
#[ignore = "run by the other tests"]
fn child() {
    let Ok((link, start)) = Link::begin(1 << 20) else {
        return;
    };
    match &*start {
        b"refuse" => {
            link.refuse("the manifest is missing").unwrap();
            return;
        }
        b"forge" => {
            link.refuse(&format!("first\nsecond\u{1b}[31m{}", "x".repeat(1000)))
                .unwrap();
            return;
        }
        b"die" => std::process::abort(),
        b"hang" => std::thread::sleep(Duration::from_secs(1000)),
        b"garbage" => {
            let mut raw = std::fs::File::from(std::io::stdin().as_fd().try_clone_to_owned().unwrap());
            raw.write_all(&[0xff; 64]).unwrap();
            std::thread::sleep(Duration::from_secs(1000));
        }
        // As long as this file is there.
        path if path
            .strip_prefix(b"unable:")
            .is_some_and(|path| Path::new(OsStr::from_bytes(path)).exists()) =>
        {
            link.unable("a disk is missing").unwrap();
            return;
        }
        path if path.starts_with(b"/") && Path::new(OsStr::from_bytes(path)).exists() => {
            std::thread::sleep(Duration::from_secs(1000));
        }
        _ => {}
    }
    link.event(b"hello").unwrap();
    link.ready(b"here").unwrap();
    let link = Arc::new(link);
    let raw = Arc::clone(&link);
    let _ = link.serve(2, move |payload, token| match payload {
        b"die" => std::process::abort(),
        b"die later" => {
            std::thread::sleep(Duration::from_millis(50));
            std::process::abort()
        }
        b"fail" => Err(b"no".to_vec()),
        b"hang" => loop {
            std::thread::sleep(Duration::from_secs(1));
        },
        // It hears of nothing meanwhile.
        b"slow" => {
            std::thread::sleep(Duration::from_millis(300));
            Ok(Vec::new())
        }
        b"wait" => {
            while !token.cancelled() {
                std::thread::sleep(Duration::from_millis(1));
            }
            Err(b"cancelled".to_vec())
        }
        b"garbage" => {
            raw.refuse("not now").unwrap();
            Ok(Vec::new())
        }
        b"large" => Ok(vec![7; (1 << 20) + 1]),
        other => Ok(other.iter().rev().copied().collect()),
    });
    std::process::exit(0);
}

fn settings(start: &str) -> Settings {
    let mut settings = Settings::new("test", std::env::current_exe().unwrap());
    settings.arguments = ["child", "--exact", "--ignored", "--nocapture"]
        .map(Into::into)
        .to_vec();
    settings.start = start.as_bytes().to_vec();
    settings.start_timeout = Duration::from_secs(5);
    settings.max_frame = 1 << 20;
    settings.concurrency = 2;
    settings.grace = Duration::from_millis(50);
    settings.breaker = Breaker {
        deaths: 1000,
        ..Breaker::default()
    };
    settings.backoff = Backoff {
        first: Duration::from_millis(1),
        longest: Duration::from_millis(1),
    };
    settings
}

fn launch(settings: Settings) -> Worker {
    let worker = Worker::launch(settings, Box::new(|_| {})).unwrap();
    worker.wait_ready().unwrap();
    worker
}

fn call(worker: &Worker, payload: &[u8], within: Duration) -> Result<Vec<u8>, CallError> {
    let (sender, receiver) = mpsc::channel();
    worker.call(payload.to_vec(), Instant::now() + within, move |result| {
        sender.send(result).unwrap();
    });
    receiver
        .recv_timeout(Duration::from_secs(20))
        .expect("every call ends")
}

const LONG: Duration = Duration::from_secs(10);

fn eventually(worker: &Worker, what: impl Fn(&State) -> bool) {
    let begun = Instant::now();
    while !what(&worker.statistics().state) {
        assert!(begun.elapsed() < LONG, "{:?}", worker.statistics());
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn calls_are_answered_and_notices_heard() {
    let heard = Arc::new(Mutex::new(Vec::new()));
    let ears = Arc::clone(&heard);
    let observer = move |notice: Notice<'_>| {
        let text = match notice {
            Notice::Ready(payload) => format!("ready {}", String::from_utf8_lossy(payload)),
            Notice::Event(payload) => format!("event {}", String::from_utf8_lossy(payload)),
            other => format!("{other:?}"),
        };
        ears.lock().unwrap().push(text);
    };
    let worker = Worker::launch(settings(""), Box::new(observer)).unwrap();
    worker.wait_ready().unwrap();
    assert_eq!(*heard.lock().unwrap(), ["event hello", "ready here"]);
    assert_eq!(call(&worker, b"abc", LONG), Ok(b"cba".to_vec()));
    assert_eq!(
        call(&worker, b"fail", LONG),
        Err(CallError::Failed(b"no".to_vec()))
    );
    assert_eq!(call(&worker, b"large", LONG), Err(CallError::Failed(Vec::new())));
    let large = vec![1; 1 << 19];
    assert_eq!(call(&worker, &large, LONG), Ok(large));
    let error = call(&worker, &vec![0; 1 << 20], LONG).unwrap_err();
    assert!(matches!(error, CallError::TooLarge { .. }), "{error}");
    let statistics = worker.statistics();
    assert_eq!(
        (statistics.answered, statistics.failed, statistics.deaths),
        (2, 3, 0)
    );
}

#[test]
fn a_start_that_fails_says_why() {
    let start = |start: &str| {
        let mut settings = settings(start);
        settings.start_timeout = Duration::from_millis(300);
        let worker = Worker::launch(settings, Box::new(|_| {})).unwrap();
        let error = worker.wait_ready().unwrap_err();
        assert!(matches!(worker.statistics().state, State::Stopped(_)));
        assert!(matches!(
            call(&worker, b"abc", LONG),
            Err(CallError::Unavailable(_))
        ));
        error
    };
    assert_eq!(
        start("refuse"),
        StartError::Refused("the manifest is missing".to_owned())
    );
    let forged = start("forge").to_string();
    assert!(
        forged.starts_with("first second [31mxx") && forged.len() == 512,
        "{forged}"
    );
    assert_eq!(start("die"), StartError::Died("ended by SIGABRT".to_owned()));
    assert_eq!(start("hang"), StartError::TimedOut(Duration::from_millis(300)));
    let garbage = start("garbage").to_string();
    assert!(garbage.contains("a frame of no known kind"), "{garbage}");
    let mut missing = settings("");
    missing.program = "/nowhere/at/all".into();
    let worker = Worker::launch(missing, Box::new(|_| {})).unwrap();
    assert!(matches!(worker.wait_ready(), Err(StartError::Spawn(_))));
}

#[test]
fn a_death_fails_its_calls_alone_and_the_next_is_answered() {
    let worker = launch(settings(""));
    for _ in 0..5 {
        assert_eq!(
            call(&worker, b"die", LONG),
            Err(CallError::Died("ended by SIGABRT".to_owned()))
        );
        eventually(&worker, |state| *state == State::Ready);
        assert_eq!(call(&worker, b"abc", LONG), Ok(b"cba".to_vec()));
    }
    assert_eq!(worker.statistics().deaths, 5);
    let error = call(&worker, b"garbage", LONG).unwrap_err();
    assert!(error.to_string().contains("not its to send"), "{error}");
}

#[test]
fn a_deadline_is_kept_whatever_the_child_does() {
    let short = Duration::from_millis(60);
    let mut patient = settings("");
    patient.grace = LONG;
    let worker = launch(patient);
    assert_eq!(call(&worker, b"wait", short), Err(CallError::DeadlinePassed));
    assert_eq!(call(&worker, b"abc", LONG).unwrap(), b"cba");
    assert_eq!(worker.statistics().deaths, 0, "who stops in time lives");
    assert_eq!(worker.statistics().overruns, 1);

    let worker = launch(settings(""));
    let pid = worker.statistics().pid;
    let begun = Instant::now();
    assert_eq!(call(&worker, b"hang", short), Err(CallError::Overran));
    assert!(begun.elapsed() < LONG);
    assert_eq!(call(&worker, b"abc", LONG).unwrap(), b"cba");
    eventually(&worker, |_| worker.statistics().deaths == 1);
    eventually(&worker, |state| *state == State::Ready);
    assert_ne!(worker.statistics().pid, pid);
    let death = worker.statistics().last_death.unwrap();
    assert!(death.cause.contains("after a deadline"), "{death:?}");
    assert_eq!(worker.statistics().overruns, 1);
}

/// Begins a call that hangs, and hands in another behind it: what becomes of that.
fn behind_one_that_hangs(worker: &Worker, at_most: Duration) -> Result<Vec<u8>, CallError> {
    let soon = Instant::now() + Duration::from_millis(60);
    worker.call(b"hang".to_vec(), soon, |_| {});
    let (sender, receiver) = mpsc::channel();
    worker.call_for(b"abc".to_vec(), Instant::now() + LONG, at_most, move |result| {
        sender.send(result).unwrap();
    });
    receiver.recv_timeout(2 * LONG).expect("every call ends")
}

#[test]
fn a_call_behind_one_that_hangs_has_all_its_time_and_is_not_to_blame() {
    let mut settings = settings("");
    settings.concurrency = 1;
    settings.grace = Duration::from_millis(500);
    settings.backoff.first = LONG;
    settings.backoff.longest = LONG;
    let worker = launch(settings);
    // Longer than the other hangs: its time begins when that is over.
    let answered = behind_one_that_hangs(&worker, Duration::from_millis(400));
    assert_eq!(answered, Ok(b"cba".to_vec()));
    // The next death is followed by a wait, in which nobody is kept.
    let answered = behind_one_that_hangs(&worker, LONG);
    assert!(matches!(answered, Err(CallError::Unavailable(_))), "{answered:?}");
    assert_eq!(worker.statistics().deaths, 2);
}

#[test]
fn the_time_a_call_may_take_is_kept() {
    let worker = launch(settings(""));
    let (sender, receiver) = mpsc::channel();
    let begun = Instant::now();
    let short = Duration::from_millis(60);
    worker.call_for(b"hang".to_vec(), begun + 2 * LONG, short, move |result| {
        sender.send(result).unwrap();
    });
    assert_eq!(receiver.recv().unwrap(), Err(CallError::Overran));
    assert!(begun.elapsed() < LONG);
}

#[test]
fn a_client_that_gives_up_early_costs_nobody_the_child() {
    let worker = launch(settings(""));
    let soon = Instant::now() + Duration::from_millis(20);
    let (sender, receiver) = mpsc::channel();
    let tell = sender.clone();
    worker.call_for(b"slow".to_vec(), soon, LONG, move |result| {
        tell.send(result).unwrap()
    });
    let later = Instant::now() + LONG;
    let ticket = worker.call_for(b"slow".to_vec(), later, LONG, move |result| {
        sender.send(result).unwrap();
    });
    worker.cancel(ticket);
    // Behind both, as the child has two calls at once.
    assert_eq!(call(&worker, b"abc", LONG), Ok(b"cba".to_vec()));
    for _ in 0..2 {
        let over = receiver.recv_timeout(LONG).unwrap();
        assert_eq!(over, Ok(Vec::new()), "what became of it");
    }
    assert_eq!(worker.statistics().deaths, 0);
}

/// Whoever gives up is told at the end what became of the call: what the child dies of is not told by how long somebody waits.
#[test]
fn a_call_that_nobody_waits_for_is_over_when_the_child_is_over_with_it() {
    let worker = launch(settings(""));
    let short = Duration::from_millis(100);
    for (what, early, expected) in [
        ("hang", true, CallError::Overran),
        ("hang", false, CallError::Overran),
        ("wait", true, CallError::Failed(b"cancelled".to_vec())),
        ("die later", true, CallError::Died("ended by SIGABRT".to_owned())),
    ] {
        eventually(&worker, |state| *state == State::Ready);
        let (sender, receiver) = mpsc::channel();
        let until = Instant::now() + if early { short / 4 } else { LONG };
        let ticket = worker.call_for(what.into(), until, short, move |result| {
            sender.send(result).unwrap();
        });
        if early {
            worker.cancel(ticket);
        }
        assert_eq!(receiver.recv_timeout(LONG).unwrap(), Err(expected), "{what}");
    }
}

#[test]
fn a_panic_of_whoever_calls_or_hears_leaves_the_worker_as_it_was() {
    let observer = |notice: Notice<'_>| panic!("on purpose: {notice:?}");
    let worker = Worker::launch(settings(""), Box::new(observer)).unwrap();
    worker.wait_ready().unwrap();
    for (end, deaths) in [("abc", 0), ("fail", 0), ("die", 1)] {
        worker.call(end.into(), Instant::now() + LONG, |_| panic!("on purpose"));
        eventually(&worker, |_| worker.statistics().deaths == deaths);
        eventually(&worker, |state| *state == State::Ready);
        assert_eq!(call(&worker, b"abc", LONG), Ok(b"cba".to_vec()));
    }
    // On the thread that calls as well.
    worker.call(vec![0; 1 << 20], Instant::now(), |_| panic!("on purpose"));
    assert_eq!(call(&worker, b"abc", LONG), Ok(b"cba".to_vec()));
}

#[test]
fn a_first_start_that_may_succeed_later_is_tried_again_where_that_is_wanted() {
    let gate = std::env::temp_dir().join(format!("mednerd-worker-unable-{}", std::process::id()));
    std::fs::write(&gate, "").unwrap();
    let mut settings = settings(&format!("unable:{}", gate.display()));
    settings.tries_again = true;
    settings.breaker.rest = Duration::from_millis(1);
    let worker = Worker::launch(settings.clone(), Box::new(|_| {})).unwrap();
    assert_eq!(
        worker.wait_ready(),
        Err(StartError::Unable("a disk is missing".to_owned()))
    );
    let answer = call(&worker, b"abc", LONG);
    assert!(matches!(answer, Err(CallError::Unavailable(_))), "{answer:?}");
    std::fs::remove_file(&gate).unwrap();
    eventually(&worker, |state| *state == State::Ready);
    assert_eq!(worker.wait_ready(), Ok(()));
    assert_eq!(call(&worker, b"abc", LONG), Ok(b"cba".to_vec()));
    // What nobody can expect to change is not.
    settings.start = b"refuse".to_vec();
    let worker = Worker::launch(settings, Box::new(|_| {})).unwrap();
    assert!(worker.wait_ready().is_err());
    assert!(matches!(worker.statistics().state, State::Stopped(_)));
}

#[test]
fn a_child_that_is_to_be_killed_gets_no_more_calls() {
    let mut settings = settings("");
    settings.breaker.window = Duration::ZERO;
    let worker = launch(settings);
    for deaths in 1..=20 {
        eventually(&worker, |state| *state == State::Ready);
        worker.condemn("it is of no use");
        assert_eq!(call(&worker, b"abc", LONG), Ok(b"cba".to_vec()));
        assert_eq!(worker.statistics().deaths, deaths);
    }
    let death = worker.statistics().last_death.unwrap();
    assert_eq!(death.cause, "killed: it is of no use");
}

#[test]
fn a_child_that_somebody_else_kills_did_not_die_of_its_call() {
    let worker = launch(settings(""));
    let (sender, receiver) = mpsc::channel();
    worker.call(b"hang".to_vec(), Instant::now() + LONG, move |result| {
        sender.send(result).unwrap();
    });
    let pid = i32::try_from(worker.statistics().pid.unwrap()).unwrap();
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGKILL).unwrap();
    let answer = receiver.recv_timeout(LONG).unwrap();
    assert_eq!(answer, Err(CallError::Killed("ended by SIGKILL".to_owned())));
}

#[test]
fn a_call_nobody_waits_for_is_cancelled() {
    let worker = launch(settings(""));
    let (sender, receiver) = mpsc::channel();
    let ticket = worker.call(b"wait".to_vec(), Instant::now() + LONG, move |result| {
        sender.send(result).unwrap();
    });
    worker.cancel(ticket);
    assert_eq!(
        receiver.recv().unwrap(),
        Err(CallError::Failed(b"cancelled".to_vec()))
    );
    assert_eq!(call(&worker, b"abc", LONG).unwrap(), b"cba");
    assert_eq!(worker.statistics().deaths, 0);
    // The child never has what is cancelled before its turn.
    let mut one = settings("");
    one.concurrency = 1;
    let worker = launch(one);
    worker.call(b"slow".to_vec(), Instant::now() + LONG, |_| {});
    let (sender, receiver) = mpsc::channel();
    let ticket = worker.call(b"die".to_vec(), Instant::now() + LONG, move |result| {
        sender.send(result).unwrap();
    });
    worker.cancel(ticket);
    assert_eq!(receiver.try_recv().unwrap(), Err(CallError::Cancelled));
    assert_eq!(call(&worker, b"abc", LONG).unwrap(), b"cba");
    assert_eq!(worker.statistics().deaths, 0);
}

#[test]
fn a_child_that_stands_still_is_replaced() {
    let mut settings = settings("");
    settings.heartbeat = Duration::from_millis(20);
    settings.patience = Duration::from_millis(200);
    let worker = launch(settings);
    let pid = worker.statistics().pid.unwrap();
    let pid = nix::unistd::Pid::from_raw(i32::try_from(pid).unwrap());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGSTOP).unwrap();
    eventually(&worker, |_| worker.statistics().deaths == 1);
    let death = worker.statistics().last_death.unwrap();
    assert!(death.cause.contains("no heartbeat"), "{death:?}");
    eventually(&worker, |state| *state == State::Ready);
    assert_eq!(call(&worker, b"abc", LONG).unwrap(), b"cba");
}

#[test]
fn who_keeps_dying_is_taken_out_of_service_and_tried_again() {
    let mut settings = settings("");
    settings.breaker = Breaker {
        deaths: 3,
        window: Duration::from_secs(60),
        rest: Duration::from_millis(400),
    };
    let worker = launch(settings);
    for _ in 0..3 {
        eventually(&worker, |state| *state == State::Ready);
        call(&worker, b"die", LONG).unwrap_err();
    }
    eventually(&worker, |state| matches!(state, State::OutOfService(_)));
    let error = call(&worker, b"abc", LONG).unwrap_err();
    assert_eq!(error, CallError::Unavailable("ended by SIGABRT".to_owned()));
    eventually(&worker, |state| *state == State::Ready);
    assert_eq!(call(&worker, b"abc", LONG).unwrap(), b"cba");
}

/// A call is refused by the caller's own thread, before [`Worker::call`] is over.
#[test]
fn whoever_calls_while_it_is_tried_again_waits_for_no_start() {
    let gate = std::env::temp_dir().join(format!("mednerd-worker-gate-{}", std::process::id()));
    let mut settings = settings(gate.to_str().unwrap());
    settings.start_timeout = Duration::from_secs(2);
    settings.breaker.rest = Duration::from_millis(1);
    let worker = launch(settings);
    call(&worker, b"die", LONG).unwrap_err();
    eventually(&worker, |state| *state == State::Ready);
    std::fs::write(&gate, "").unwrap();
    call(&worker, b"die", LONG).unwrap_err();
    // The third start follows the back-off, the fourth the rest after a start that was not ready in time.
    for starts in [3, 4] {
        eventually(&worker, |_| worker.statistics().starts >= starts);
        let (sender, receiver) = mpsc::channel();
        worker.call(b"abc".to_vec(), Instant::now() + LONG, move |result| {
            sender.send(result).unwrap();
        });
        let result = receiver.try_recv().expect("it does not wait");
        assert!(matches!(result, Err(CallError::Unavailable(_))), "{result:?}");
    }
    std::fs::remove_file(&gate).unwrap();
    eventually(&worker, |state| *state == State::Ready);
    assert_eq!(call(&worker, b"abc", LONG), Ok(b"cba".to_vec()));
}

#[test]
fn whoever_hears_that_it_is_ready_may_call() {
    let (says, heard) = mpsc::channel();
    let (go, gone) = mpsc::channel::<()>();
    let observer = move |notice: Notice<'_>| {
        if let Notice::Ready(_) = notice {
            says.send(()).unwrap();
            gone.recv_timeout(LONG).unwrap();
        }
    };
    let worker = Worker::launch(settings(""), Box::new(observer)).unwrap();
    for _ in 0..2 {
        heard.recv_timeout(LONG).unwrap();
        go.send(()).unwrap();
        eventually(&worker, |state| *state == State::Ready);
        call(&worker, b"die", LONG).unwrap_err();
    }
    // After a back-off it is started again, and the notice is out.
    heard.recv_timeout(LONG).unwrap();
    let (sender, receiver) = mpsc::channel();
    worker.call(b"abc".to_vec(), Instant::now() + LONG, move |result| {
        sender.send(result).unwrap();
    });
    go.send(()).unwrap();
    assert_eq!(receiver.recv_timeout(LONG).unwrap(), Ok(b"cba".to_vec()));
}

#[test]
fn under_kills_and_load_every_call_ends_once_and_none_wrongly() {
    let kills = std::env::var("MEDNERD_KILLS").map_or(100, |kills| kills.parse().unwrap());
    let worker = Arc::new(launch(Settings {
        breaker: Breaker {
            deaths: usize::MAX,
            ..Breaker::default()
        },
        ..settings("")
    }));
    let over = Arc::new(AtomicBool::new(false));
    let callers: Vec<_> = (0..3_u64)
        .map(|caller| {
            let (worker, over) = (Arc::clone(&worker), Arc::clone(&over));
            std::thread::spawn(move || {
                let mut answered = 0;
                for number in 0_u64.. {
                    let payload = (caller << 32 | number).to_le_bytes();
                    if let Ok(answer) = call(&worker, &payload, LONG) {
                        let expected: Vec<u8> = payload.iter().rev().copied().collect();
                        assert_eq!(answer, expected);
                        answered += 1;
                    }
                    if over.load(Ordering::Relaxed) {
                        break;
                    }
                }
                answered
            })
        })
        .collect();
    while worker.statistics().deaths < kills {
        if let (State::Ready, Some(pid)) = (worker.statistics().state, worker.statistics().pid) {
            let pid = nix::unistd::Pid::from_raw(i32::try_from(pid).unwrap());
            let _ = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL);
        }
        std::thread::sleep(Duration::from_millis(3));
    }
    over.store(true, Ordering::Relaxed);
    let answered: u64 = callers.into_iter().map(|caller| caller.join().unwrap()).sum();
    assert!(answered > 100, "{answered}");
}

#[test]
fn the_child_ends_with_its_worker() {
    let worker = launch(settings(""));
    let pid = worker.statistics().pid.unwrap();
    drop(worker);
    let begun = Instant::now();
    while Path::new(&format!("/proc/{pid}")).exists() {
        assert!(begun.elapsed() < LONG);
        std::thread::sleep(Duration::from_millis(1));
    }
}
