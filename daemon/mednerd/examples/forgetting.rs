//! What it costs to overwrite memory that may hold text: the daemon in this process, with a heap that forgets and with the
//! system's, taking turns in one run. `forgetting MODEL_DIR NOTE…` prints for each note the processor time of all but the client.
#![allow(clippy::print_stdout)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::error::Error;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use std::{fs, thread};

use mednerd_sys::{Forgetful, forgetting};
use nix::time::{ClockId, clock_gettime};

/// Forgets while [`FORGETS`] is set. The blocks are the system's in either case.
struct Switched;

static FORGETS: AtomicBool = AtomicBool::new(true);

#[global_allocator]
static HEAP: Switched = Switched;

// SAFETY: both heaps are `System` with the same layouts, so that a block of one can be given back to the other.
unsafe impl GlobalAlloc for Switched {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as above.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        match FORGETS.load(Ordering::Relaxed) {
            // SAFETY: the caller keeps the contract of `dealloc`, and `block` is `System`'s.
            true => unsafe { Forgetful.dealloc(block, layout) },
            // SAFETY: as above.
            false => unsafe { System.dealloc(block, layout) },
        }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        match FORGETS.load(Ordering::Relaxed) {
            // SAFETY: the caller keeps the contract of `realloc`, and `block` is `System`'s.
            true => unsafe { Forgetful.realloc(block, layout, size) },
            // SAFETY: as above.
            false => unsafe { System.realloc(block, layout, size) },
        }
    }
}

/// Turns of each note and heap; the first is not counted.
const TURNS: usize = 12;
/// How long a turn takes at least, in processor time.
const TURN: Duration = Duration::from_millis(250);

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let model = arguments.next().ok_or("usage: forgetting MODEL_DIR NOTE…")?;
    let folder = tempfile::tempdir()?;
    let (config, socket) = (folder.path().join("mednerd.toml"), folder.path().join("s"));
    let text = format!(
        "[server]\nsocket = \"s\"\nadmin_socket = \"a\"\n[access]\ngroups = []\n[engine]\nthreads = 1\n\
         [[models]]\nname = \"m\"\npath = \"{}\"\ndefault = true\n",
        fs::canonicalize(model)?.display()
    );
    fs::write(&config, text)?;
    thread::spawn(move || mednerd::run::serve(&config));
    while UnixStream::connect(&socket).is_err() {
        thread::sleep(Duration::from_millis(20));
    }

    const CALLS: u32 = 100_000;
    let start = Instant::now();
    for _ in 0..CALLS {
        let _ = std::hint::black_box(forgetting(|| 0_u32));
    }
    println!(
        "forgetting the stack: {} ns",
        (start.elapsed() / CALLS).as_nanos()
    );
    println!("note (bytes) | ms with | ms without | with over without");
    for path in arguments {
        let note = serde_json::json!({"text": fs::read_to_string(&path)?}).to_string();
        let (mut with, mut without) = (Vec::new(), Vec::new());
        for turn in 0..TURNS * 2 {
            let forgets = turn % 2 == 0;
            FORGETS.store(forgets, Ordering::Relaxed);
            let spent = turn_of(&socket, &note)?;
            if turn > 1 {
                if forgets { &mut with } else { &mut without }.push(spent);
            }
        }
        let (with, without) = (median(with), median(without));
        let ratio = with / without;
        println!("{path} ({}) | {with:.3} | {without:.3} | {ratio:.3}", note.len());
    }
    Ok(())
}

/// Processor time in ms that the daemon's threads spend on a note.
fn turn_of(socket: &Path, note: &str) -> Result<f64, Box<dyn Error>> {
    let (begin, mut notes) = (of_others()?, 0);
    loop {
        ask(socket, note)?;
        notes += 1;
        let spent = of_others()?.saturating_sub(begin);
        if spent >= TURN {
            return Ok(spent.as_secs_f64() * 1e3 / f64::from(notes));
        }
    }
}

/// Processor time of all threads but this one.
fn of_others() -> nix::Result<Duration> {
    let all = Duration::from(clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID)?);
    Ok(all.saturating_sub(clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID)?.into()))
}

fn ask(socket: &Path, body: &str) -> Result<(), Box<dyn Error>> {
    let mut connection = UnixStream::connect(socket)?;
    let length = body.len();
    write!(
        connection,
        "POST /v1/annotate HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}"
    )?;
    let mut answer = String::new();
    connection.read_to_string(&mut answer)?;
    match answer.starts_with("HTTP/1.1 200 ") {
        true => Ok(()),
        false => Err(answer.lines().next().unwrap_or("no answer").into()),
    }
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times.get(times.len() / 2).copied().unwrap_or(f64::NAN)
}
