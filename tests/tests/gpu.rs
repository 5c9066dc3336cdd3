//! GPUs, by a worker that simulates one with the CPU engine: the answers are the CPU's to the last bit, whatever goes wrong
//! with the worker and whenever it does. What a real GPU computes is checked by `tests/gpu/run`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use mednerd_client::api::{AnnotateResponse, Engine, GpuState, Status};
use mednerd_skip::skipped;
use mednerd_tests::daemon::{binary, root, shipped_model, tiny_model};
use mednerd_tests::notes::{SENTENCE, long_note};
use mednerd_tests::{Config, Daemon, Site, eventually};
use serde_json::json;

/// A folder whose daemon has a simulated GPU, and the file that names its faults.
struct Host {
    site: Site,
    fault: PathBuf,
}

impl Host {
    /// With these lines under `[engine]`; a batch is given up after 5 s, because the machine may be busy.
    fn new(config: Config, lines: &str) -> Self {
        let program = binary("mednerd-simulated-gpu");
        Self::with_worker(config, lines, |fault| {
            format!("'{}' '{fault}'", program.display())
        })
    }

    /// With a worker that this command of a shell starts.
    fn with_worker(
        config: Config,
        lines: &str,
        command: impl FnOnce(std::path::Display<'_>) -> String,
    ) -> Self {
        let site = Site::with_toml("");
        let (worker, fault) = (site.path("gpu-worker"), site.path("fault"));
        let script = format!("#!/bin/sh\nexec {}\n", command(fault.display()));
        fs::write(&worker, script).unwrap();
        fs::set_permissions(&worker, PermissionsExt::from_mode(0o755)).unwrap();
        let call = if lines.contains("gpu_call_ms") {
            ""
        } else {
            "gpu_call_ms = 5000\n"
        };
        site.configure(&config.engine(&format!("worker = \"gpu-worker\"\n{call}{lines}")));
        Self { site, fault }
    }

    /// Starts a daemon and waits until the GPU serves so many models.
    fn start(&self, models: usize) -> Daemon {
        let daemon = self.site.start();
        wait_for_gpu(&daemon, models);
        daemon
    }

    fn inject(&self, fault: &str) {
        // In one piece: the worker looks at every batch.
        let new = self.fault.with_extension("new");
        fs::write(&new, fault).unwrap();
        fs::rename(new, &self.fault).unwrap();
    }

    fn has_struck(&self) -> bool {
        !self.fault.exists()
    }
}

fn wait_for_gpu(daemon: &Daemon, models: usize) {
    eventually("the GPU serves its models", || {
        let gpus = daemon.status().engine.gpus;
        gpus.iter()
            .any(|gpu| gpu.models.len() == models && gpu.state == GpuState::Ready)
    });
}

#[test]
fn each_gpu_has_a_worker_that_sees_it_alone() {
    let program = binary("mednerd-simulated-gpu");
    let shown = |fault: std::path::Display<'_>| {
        let note = format!("echo $CUDA_DEVICE_ORDER >\"{fault}.$CUDA_VISIBLE_DEVICES\"");
        format!("/bin/sh -c '{note}; exec \"{}\" \"{fault}\"'", program.display())
    };
    let host = Host::with_worker(Config::tiny(), "device = \"cuda\"\ngpus = [3, 1]\n", shown);
    let daemon = host.site.start();
    eventually("both GPUs serve", || {
        let gpus = daemon.status().engine.gpus;
        gpus.len() == 2 && gpus.iter().all(|gpu| gpu.models.len() == 1)
    });
    for gpu in ["3", "1"] {
        let order = fs::read_to_string(host.fault.with_extension(gpu)).unwrap();
        assert_eq!(order, "PCI_BUS_ID\n");
    }
}

fn texts() -> Vec<String> {
    let lengths = [100, 400, 900, 2_500, 12_000];
    let mut texts: Vec<String> = lengths.map(|length| long_note(length).0).into();
    texts.extend((0..20).map(|n| format!("{SENTENCE} Day {n}: aspirin {n} mg for migraine.")));
    texts
}

/// The CPU's answers.
fn expected(config: Config, texts: &[String]) -> Vec<AnnotateResponse> {
    let daemon = Daemon::start(&config.engine("device = \"cpu\"\n"));
    texts.iter().map(|text| daemon.annotate(text)).collect()
}

#[test]
fn a_gpu_computes_what_the_cpu_would() {
    let texts = texts();
    let expected = expected(Config::tiny(), &texts);
    let host = Host::new(Config::tiny(), "device = \"cuda\"\n");
    let daemon = host.start(1);
    for (text, expected) in texts.iter().zip(&expected) {
        let answer = daemon.annotate(text);
        assert_eq!(answer.entities, expected.entities);
        assert_eq!((answer.engine, answer.status), (Some(Engine::Cuda), Status::Ok));
        assert!(answer.degraded.is_empty(), "{:?}", answer.degraded);
        assert_eq!(expected.engine, Some(Engine::Tract));
    }
    let empty = daemon.annotate("  ");
    assert_eq!((empty.entities.len(), empty.status), (0, Status::Ok));
    let status = daemon.status();
    assert_eq!(status.engine.name, Engine::Cuda);
    assert_eq!(status.engine.gpus[0].models, ["tiny"]);
    assert!(
        status.engine.reason.contains("Simulated GPU"),
        "{}",
        status.engine.reason
    );
    let models = daemon.request("GET", "/v1/models", "").ok().json();
    assert_eq!(models["models"][0]["engine"], "cuda");
    assert!(daemon.metric("mednerd_gpu_windows_total") >= texts.len() as f64);
    assert_eq!(daemon.metric("mednerd_gpu_ready{gpu=\"0\"}"), 1.0);
    assert_eq!(
        daemon.metric("mednerd_gpu_work_total{what=\"lost_windows\"}"),
        0.0
    );
}

#[test]
fn adapters_share_batches_and_come_and_go() {
    let adapters = root().join("tests/fixtures/adapters/bert");
    let names = ["lora", "dora", "rslora"];
    let mut config = Config::tiny();
    let found: Vec<String> = fs::read_dir(&adapters)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| names.contains(&name.as_str()))
        .collect();
    assert!(!found.is_empty(), "no adapters of the usual names");
    for name in &found {
        config = config.adapter(name, &adapters.join(name));
    }
    let mut models: Vec<&str> = found.iter().map(String::as_str).collect();
    models.push("tiny");
    let request = json!({"text": long_note(9_000).0, "models": models});
    let alone = Daemon::start(&config.clone().engine("device = \"cpu\"\n"));
    let host = Host::new(config, "");
    let daemon = host.start(models.len());
    let answer = daemon.ask(&request);
    assert_eq!(answer.engine, Some(Engine::Cuda));
    assert_eq!(answer.entities, alone.ask(&request).entities);
    let name = found[0].as_str();
    daemon.admin("DELETE", &format!("/v1/models/{name}")).ok();
    wait_for_gpu(&daemon, models.len() - 1);
    let load = json!({"name": name, "path": adapters.join(name), "base": "tiny"});
    daemon.admin_with("POST", "/v1/models", load.to_string()).ok();
    wait_for_gpu(&daemon, models.len());
    let again = daemon.ask(&request);
    assert_eq!((again.engine, again.entities), (answer.engine, answer.entities));
}

/// Clients that ask all the time while a fault strikes, several times. Returns the longest time to an answer.
fn under_load(
    host: &Host,
    daemon: &Daemon,
    fault: &str,
    times: usize,
    texts: &[String],
    expected: &[AnnotateResponse],
) -> Duration {
    let (over, answered) = (AtomicBool::new(false), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        let clients: Vec<_> = (0..4)
            .map(|client| {
                let (over, answered) = (&over, &answered);
                scope.spawn(move || {
                    let (mut longest, mut next) = (Duration::ZERO, client);
                    while !over.load(Ordering::Relaxed) {
                        next = (next + 7) % texts.len();
                        let begun = Instant::now();
                        let answer = daemon.annotate(&texts[next]);
                        longest = longest.max(begun.elapsed());
                        assert_eq!(answer.entities, expected[next].entities, "{fault}");
                        assert_eq!(answer.status, Status::Ok, "{fault}");
                        answered.fetch_add(1, Ordering::Relaxed);
                    }
                    longest
                })
            })
            .collect();
        let alive = || !clients.iter().any(|client| client.is_finished());
        let deaths = || daemon.status().engine.gpus[0].deaths;
        for _ in 0..times {
            let dead = deaths() + u64::from(!fault.ends_with("oom"));
            host.inject(fault);
            eventually("the fault has struck", || host.has_struck() || !alive());
            // What strikes one batch may leave the one beside it as it is.
            eventually("the worker has died of it", || deaths() >= dead || !alive());
            let before = answered.load(Ordering::Relaxed);
            // Every client has had an answer since, and the GPU is back.
            eventually("requests are answered", || {
                answered.load(Ordering::Relaxed) >= before + 8 || !alive()
            });
            eventually("the GPU is back", || {
                daemon
                    .status()
                    .engine
                    .gpus
                    .iter()
                    .any(|gpu| gpu.state == GpuState::Ready)
                    || !alive()
            });
        }
        over.store(true, Ordering::Relaxed);
        clients
            .into_iter()
            .map(|client| client.join().unwrap())
            .max()
            .unwrap()
    })
}

/// How often each fault strikes one daemon, and how many daemons: fewer deaths for each than would take the GPU out of service.
/// `MEDNERD_GPU_FAULTS=25` makes it 100 times.
fn times_and_rounds(usual: usize) -> (usize, usize) {
    let rounds = std::env::var("MEDNERD_GPU_FAULTS").map(|rounds| rounds.parse().unwrap());
    rounds.map_or((usual, 1), |rounds| (4, rounds))
}

#[test]
fn whatever_goes_wrong_under_load_no_request_is_lost_and_no_answer_is_wrong() {
    let (times, rounds) = times_and_rounds(2);
    let texts = texts();
    let expected = expected(Config::tiny(), &texts);
    let alone = ["sticky", "exit", "kill", "wrong", "nan", "short", "oom"];
    // With a second batch behind the one that is struck.
    let beside = ["beside sticky", "beside kill", "beside wrong", "beside oom"];
    for fault in alone.into_iter().chain(beside) {
        for _ in 0..rounds {
            let host = Host::new(Config::tiny(), "device = \"cuda\"\n");
            let daemon = host.start(1);
            let longest = under_load(&host, &daemon, fault, times, &texts, &expected);
            println!(
                "{fault}, {times} times: the longest answer took {} ms",
                longest.as_millis()
            );
            let deaths = daemon.status().engine.gpus[0].deaths;
            match fault {
                "oom" | "beside oom" => {
                    assert_eq!(deaths, 0, "{fault} is no reason to die: {}", daemon.log());
                    assert!(daemon.metric("mednerd_gpu_windows_total") > 0.0);
                }
                _ => assert!(deaths >= times as u64, "{fault}: {deaths} deaths"),
            }
        }
    }
}

#[test]
fn a_stuck_gpu_is_killed_and_the_cpu_answers() {
    let (times, rounds) = times_and_rounds(2);
    let texts = texts();
    let expected = expected(Config::tiny(), &texts);
    for fault in ["hang", "stop", "beside stop"] {
        for _ in 0..rounds {
            let host = Host::new(Config::tiny(), "gpu_call_ms = 300\n");
            let daemon = host.start(1);
            let longest = under_load(&host, &daemon, fault, times, &texts, &expected);
            let log = daemon.log();
            // What a batch is given comes from what batches took.
            let given: Vec<u64> = log
                .split("a call was not done after ")
                .skip(1)
                .filter_map(|rest| rest.split(' ').next()?.parse().ok())
                .collect();
            println!(
                "{fault}, {times} times: the longest answer took {} ms; batches were given up after {given:?} ms",
                longest.as_millis()
            );
            let gpu = &daemon.status().engine.gpus[0];
            assert!(gpu.deaths >= times as u64, "{gpu:?} {log}");
            assert!(
                given.iter().all(|milliseconds| *milliseconds < 30_000),
                "{given:?}"
            );
            // What is behind a stuck batch is given up with it, and not after a time of its own.
            assert!(given.len() as u64 <= gpu.deaths, "{given:?} {gpu:?} {log}");
        }
    }
}

#[test]
fn a_batch_is_handed_over_while_another_is_computed() {
    let host = Host::new(Config::tiny(), "device = \"cuda\"\n");
    let daemon = host.start(1);
    let note = long_note(900).0;
    let expected = [SENTENCE, &note].map(|text| daemon.annotate(text).entities);
    for _ in 0..3 {
        // Its first batch is computed when the second one is there, and not before.
        host.inject("beside");
        std::thread::scope(|scope| {
            let first = scope.spawn(|| daemon.annotate(SENTENCE));
            eventually("the first batch is there", || host.has_struck());
            let second = daemon.annotate(&note);
            let answers = [first.join().unwrap(), second];
            for (answer, expected) in answers.iter().zip(&expected) {
                assert_eq!((answer.engine, &answer.entities), (Some(Engine::Cuda), expected));
            }
        });
    }
    assert_eq!(daemon.status().engine.gpus[0].deaths, 0);
    assert_eq!(
        daemon.metric("mednerd_gpu_work_total{what=\"lost_windows\"}"),
        0.0
    );
}

#[test]
fn a_degraded_answer_says_so_and_is_whole() {
    let host = Host::new(Config::tiny(), "");
    let daemon = host.start(1);
    let before = daemon.annotate(SENTENCE);
    host.inject("always exit");
    let answer = daemon.annotate(SENTENCE);
    assert_eq!(answer.entities, before.entities);
    assert_eq!((answer.engine, answer.status), (Some(Engine::Tract), Status::Ok));
    assert_eq!(answer.degraded, ["engine:cuda"]);
    assert!(daemon.metric("mednerd_gpu_work_total{what=\"lost_windows\"}") >= 1.0);
    // The self-check of the next worker ends that one too: at last it is left alone for a while.
    eventually("the GPU is out of service", || {
        let gpu = &daemon.status().engine.gpus[0];
        gpu.state == GpuState::Down && gpu.deaths >= 3
    });
    let answer = daemon.annotate(SENTENCE);
    assert_eq!(
        (answer.degraded, answer.entities),
        (vec!["engine:cuda".to_owned()], before.entities)
    );
}

#[test]
fn a_gpu_that_computes_wrongly_from_the_start_is_never_used() {
    for fault in ["always wrong", "always nan"] {
        let host = Host::new(Config::tiny(), "");
        host.inject(fault);
        let daemon = host.site.start();
        eventually("the self-check has failed", || {
            daemon.metric("mednerd_gpu_work_total{what=\"failed_checks\"}") >= 1.0
        });
        let answer = daemon.annotate(SENTENCE);
        assert_eq!((answer.engine, answer.status), (Some(Engine::Tract), Status::Ok));
        assert_eq!(daemon.metric("mednerd_gpu_windows_total"), 0.0);
    }
}

#[test]
fn a_gpu_serves_beside_a_cpu_that_computes_in_8_bits() {
    let adapter = root().join("tests/fixtures/adapters/bert/lora");
    let config = Config::tiny().adapter("lora", &adapter);
    let request = json!({"text": long_note(3_000).0, "models": ["tiny", "lora"]});
    let on_cpu = |precision: &str| {
        let lines = format!("device = \"cpu\"\nprecision = \"{precision}\"\n");
        Daemon::start(&config.clone().engine(&lines))
    };
    let single = on_cpu("fp32").ask(&request);
    println!(
        "alone, the CPU computes in {}",
        on_cpu("auto").status().engine.precision
    );
    let host = Host::new(config, "precision = \"auto\"\n");
    let daemon = host.start(2);
    let answer = daemon.ask(&request);
    assert_eq!(answer.engine, Some(Engine::Cuda));
    assert_eq!(answer.entities, single.entities);
    assert_eq!(
        daemon.metric("mednerd_gpu_work_total{what=\"failed_checks\"}"),
        0.0
    );
}

/// The real worker, where `make worker` has built it.
fn cuda_worker() -> Option<PathBuf> {
    let worker = binary("mednerd").with_file_name("mednerd-cuda");
    if !worker.is_file() {
        skipped(format_args!(
            "there is no {}; `make worker` builds it",
            worker.display()
        ));
    }
    Some(worker).filter(|worker| worker.is_file())
}

/// A folder with the libraries of a driver that runs the kernels on the CPU.
fn emulated_driver() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let built = Command::new(root().join("tests/emulated-gpu/driver/build"))
        .arg(folder.path())
        .status();
    assert!(built.unwrap().success());
    folder
}

/// The worker's own program with candle and cudarc on a driver that runs the kernels on the CPU: all but the chip. What goes
/// wrong here goes wrong in the driver.
#[test]
fn the_cuda_worker_computes_what_the_cpu_would_on_an_emulated_driver() {
    let Some(worker) = cuda_worker() else { return };
    let driver = emulated_driver();
    let (library, worker) = (driver.path().display(), worker.display());
    let fixtures = root().join("tests/fixtures");
    let config = || {
        Config::tiny()
            .adapter("adapted-tiny", &fixtures.join("adapters/bert/lora"))
            .model("stretches", &fixtures.join("gliner/span-rnn"), false)
            .model("words", &fixtures.join("gliner/bi-token"), false)
    };
    let host = |config, milliseconds: u32| {
        let engine = format!("device = \"cuda\"\ngpu_call_ms = {milliseconds}\n");
        Host::with_worker(config, &engine, |fault| {
            format!("env LD_LIBRARY_PATH='{library}' MEDNERD_EMULATED_FAULT='{fault}' '{worker}'")
        })
    };
    let hanging = host(Config::tiny(), 1000);
    // Time enough for an emulation on a busy machine.
    let host = host(config(), 20_000);
    let daemon = host.start(4);
    let alone = Daemon::start(&config().engine("device = \"cpu\"\n"));
    let labels = ["disease", "drug", "dose"];
    let requests = [
        json!({"text": SENTENCE, "models": ["tiny", "adapted-tiny"]}),
        json!({"text": SENTENCE, "models": ["stretches", "words"], "labels": labels, "threshold": 0.2}),
    ];
    let places = |answer: &AnnotateResponse| {
        let entities = answer.entities.iter();
        let found = entities.map(|entity| (entity.begin, entity.end, entity.label.clone()));
        found.collect::<Vec<_>>()
    };
    let expected = requests.each_ref().map(|request| alone.ask(request));
    let check = |what: &str| {
        for (request, expected) in requests.iter().zip(&expected) {
            let answer = daemon.ask(request);
            assert_eq!(places(&answer), places(expected), "{what}: {}", request["models"]);
            assert!(!answer.entities.is_empty());
            for (found, expected) in answer.entities.iter().zip(&expected.entities) {
                assert!((found.score - expected.score).abs() < 1e-3, "{what}");
            }
            assert_eq!(answer.status, Status::Ok, "{what}");
            if what.is_empty() {
                assert_eq!(answer.engine, Some(Engine::Cuda));
            }
        }
    };
    check("");
    assert!(daemon.status().engine.reason.contains("Emulated GPU"));
    let mut deaths = 0;
    for (fault, told) in [
        ("illegal", "ILLEGAL_ADDRESS"),
        ("ecc", "ECC_UNCORRECTABLE"),
        ("lost", "DEVICE_UNAVAILABLE"),
        ("memory", ""),
    ] {
        host.inject(fault);
        check(fault);
        eventually("the fault has struck", || host.has_struck());
        if !told.is_empty() {
            deaths += 1;
            eventually("the worker's death is told", || {
                daemon.status().engine.gpus[0].deaths == deaths
            });
            let death = daemon.status().engine.gpus[0].last_death.clone();
            let cause = death.map(|death| death.cause).unwrap_or_default();
            assert!(cause.contains(told), "{fault}: {cause}");
        }
        wait_for_gpu(&daemon, 4);
        check("");
    }
    assert_eq!(daemon.status().engine.gpus[0].deaths, deaths);
    drop(daemon);
    // A call that hangs takes as long as it may.
    let daemon = hanging.start(1);
    hanging.inject("hang");
    let (answer, expected) = (daemon.annotate(SENTENCE), alone.annotate(SENTENCE));
    assert_eq!((places(&answer), answer.status), (places(&expected), Status::Ok));
    eventually("the fault has struck", || hanging.has_struck());
    eventually("the worker's death is told", || {
        let death = daemon.status().engine.gpus[0].last_death.clone();
        death.is_some_and(|death| death.cause.contains("was not done after"))
    });
}

/// A small batch is recorded the first time and replayed from then on, without any memory being asked for, whatever adapters come and
/// go; and where the driver captures nothing, answers are the same.
#[test]
fn the_cuda_worker_replays_small_batches_without_allocating() {
    let Some(worker) = cuda_worker() else { return };
    let driver = emulated_driver();
    let (library, worker) = (driver.path().display(), worker.display());
    let file = driver.path().join("counts");
    let counts = || {
        let text = fs::read_to_string(&file).unwrap();
        let (graphs, allocations) = text.split_once(' ').unwrap();
        (
            graphs.parse::<u64>().unwrap(),
            allocations.parse::<u64>().unwrap(),
        )
    };
    let start = |graphs: &str| {
        let host = Host::with_worker(Config::tiny(), "device = \"cuda\"\ngpu_call_ms = 2000\n", |_| {
            format!(
                "env LD_LIBRARY_PATH='{library}' MEDNERD_EMULATED_COUNTS='{}' MEDNERD_EMULATED_GRAPHS={graphs} '{worker}'",
                file.display()
            )
        });
        let daemon = host.start(1);
        (host, daemon)
    };
    let answer = {
        let (_host, daemon) = start("1");
        let answer = daemon.annotate(SENTENCE);
        assert_eq!(answer.engine, Some(Engine::Cuda));
        assert!(!answer.entities.is_empty());
        let replayed = |request: &serde_json::Value, answer: &AnnotateResponse| {
            let (graphs, allocations) = counts();
            for _ in 0..5 {
                assert_eq!(daemon.ask(request).entities, answer.entities);
            }
            let after = counts();
            assert!(after.0 >= graphs + 5, "{graphs} graphs before, {} after", after.0);
            after.1 - allocations
        };
        let of_base = json!({"text": SENTENCE, "models": ["tiny"]});
        assert_eq!(replayed(&of_base, &answer), 0);
        // The base is not recorded again: that would take memory for its numbers.
        for name in ["lora", "lora-on-head"] {
            let path = root().join("tests/fixtures/adapters/bert").join(name);
            let load = json!({"name": name, "path": path, "base": "tiny"});
            daemon.admin_with("POST", "/v1/models", load.to_string()).ok();
            wait_for_gpu(&daemon, 2);
            // What loading took is counted with the next replay.
            daemon.ask(&of_base);
            assert_eq!(replayed(&of_base, &answer), 0, "beside {name}");
            let of_adapter = json!({"text": SENTENCE, "models": [name]});
            let own = daemon.ask(&of_adapter);
            assert_eq!(own.engine, Some(Engine::Cuda));
            assert_eq!(replayed(&of_adapter, &own), 0, "{name}");
            daemon.admin("DELETE", &format!("/v1/models/{name}")).ok();
            wait_for_gpu(&daemon, 1);
            assert_eq!(replayed(&of_base, &answer), 0, "after {name}");
        }
        answer
    };
    fs::remove_file(&file).unwrap();
    let (_host, daemon) = start("0");
    let plain = daemon.annotate(SENTENCE);
    assert_eq!((plain.engine, plain.entities), (answer.engine, answer.entities));
    assert!(!file.exists(), "a graph was launched");
}

/// Notes large and small while adapters come and go, and everything on a stream is late: what was copied, freed or overwritten before its
/// time would show in an answer.
#[test]
fn the_cuda_worker_loads_beside_batches() {
    let Some(worker) = cuda_worker() else { return };
    let driver = emulated_driver();
    let (library, worker) = (driver.path().display(), worker.display());
    let host = Host::with_worker(Config::tiny(), "device = \"cuda\"\ngpu_call_ms = 20000\n", |_| {
        format!("env LD_LIBRARY_PATH='{library}' MEDNERD_EMULATED_LAG=30 '{worker}'")
    });
    let adapters = ["lora", "lora-on-head"];
    let path = |name: &str| root().join("tests/fixtures/adapters/bert").join(name);
    let of_adapter = |name: &str| json!({"text": SENTENCE, "models": [name]});
    let texts = [SENTENCE.to_owned(), long_note(1_200).0];
    let with_adapters = adapters
        .iter()
        .fold(Config::tiny(), |config, name| config.adapter(name, &path(name)));
    let alone = Daemon::start(&with_adapters.engine("device = \"cpu\"\n"));
    let daemon = host.start(1);
    let expected: Vec<AnnotateResponse> = texts.iter().map(|text| alone.annotate(text)).collect();
    let places = |answer: &AnnotateResponse| {
        let entities = answer.entities.iter();
        let found = entities.map(|entity| (entity.begin, entity.end, entity.label.clone()));
        found.collect::<Vec<_>>()
    };
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let clients: Vec<_> = texts
            .iter()
            .zip(&expected)
            .map(|(text, expected)| {
                let (over, daemon) = (&over, &daemon);
                scope.spawn(move || {
                    while !over.load(Ordering::Relaxed) {
                        let answer = daemon.annotate(text);
                        assert_eq!(answer.engine, Some(Engine::Cuda));
                        assert_eq!(places(&answer), places(expected));
                    }
                })
            })
            .collect();
        for name in adapters {
            let load = json!({"name": name, "path": path(name), "base": "tiny"});
            daemon.admin_with("POST", "/v1/models", load.to_string()).ok();
            eventually("the adapter is served", || {
                daemon.status().engine.gpus[0].models.len() == 2
                    || clients.iter().any(|client| client.is_finished())
            });
            let (answer, expected) = (daemon.ask(&of_adapter(name)), alone.ask(&of_adapter(name)));
            assert_eq!(
                (answer.engine, places(&answer)),
                (Some(Engine::Cuda), places(&expected))
            );
            daemon.admin("DELETE", &format!("/v1/models/{name}")).ok();
            eventually("the adapter is gone", || {
                daemon.status().engine.gpus[0].models.len() == 1
                    || clients.iter().any(|client| client.is_finished())
            });
        }
        over.store(true, Ordering::Relaxed);
    });
    assert_eq!(daemon.status().engine.gpus[0].deaths, 0);
}

/// Where products are large for the chip, cuBLASLt's ways to make them are tried when a model is loaded, and the fastest is taken that
/// gives the same bits: not one that is faster still and gives others, nor one that is refused. Small batches are not recorded here: what is has
/// cuBLAS's own choice.
#[test]
fn the_cuda_worker_takes_the_fastest_products_that_change_no_answer() {
    let Some(worker) = cuda_worker() else { return };
    let driver = emulated_driver();
    let (library, worker) = (driver.path().display(), worker.display());
    let file = driver.path().join("ways");
    let config =
        || Config::without_models().model("small", &root().join("packaging/models/biomed-small"), true);
    let annotate = |multiprocessors: usize| {
        let engine = "device = \"cuda\"\ngpu_precision = \"bf16\"\ngpu_call_ms = 60000\n";
        let host = Host::with_worker(config(), engine, |_| {
            format!(
                "env LD_LIBRARY_PATH='{library}' MEDNERD_EMULATED_WAYS='{}' MEDNERD_EMULATED_GRAPHS=0 MEDNERD_EMULATED_MULTIPROCESSORS={multiprocessors} '{worker}'",
                file.display()
            )
        });
        let daemon = host.start(1);
        let ways = || {
            let text = fs::read_to_string(&file).unwrap_or_default();
            let counts = text.split_whitespace().map(|count| count.parse().unwrap());
            counts.collect::<Vec<usize>>()
        };
        let loaded = ways();
        let answer = daemon.annotate(SENTENCE);
        assert_eq!(answer.engine, Some(Engine::Cuda));
        assert_eq!(daemon.status().engine.gpus[0].deaths, 0);
        (loaded, ways(), answer.entities)
    };
    // On a chip like an H100 a width of 256 is nothing.
    let (none, still_none, usual) = annotate(132);
    assert_eq!((none.len(), still_none.len()), (0, 0));
    assert!(!usual.is_empty());
    let (loaded, after, entities) = annotate(1);
    assert_eq!(entities, usual);
    // Four kinds of products, each of three numbers of rows.
    let [slower, other_bits, refused, faster] = loaded[..] else {
        panic!("{loaded:?}")
    };
    assert_eq!((other_bits, refused), (12, 12));
    assert!(slower > 12 && faster > 12, "{loaded:?}");
    assert_eq!(after[..3], loaded[..3]);
    assert!(
        after[3] > faster,
        "none of the batch's products was made so: {after:?}"
    );
}

/// In fp8 the shipped model's large products have 8 bits, on chips that have them; others are told in a line, and the CPU answers.
#[test]
fn the_cuda_worker_multiplies_in_8_bits_where_the_chip_can() {
    let Some(worker) = cuda_worker() else { return };
    let driver = emulated_driver();
    let (library, worker) = (driver.path().display(), worker.display());
    let file = driver.path().join("counts");
    let config =
        || Config::without_models().model("small", &root().join("packaging/models/biomed-small"), true);
    let engine = "device = \"cuda\"\ngpu_precision = \"fp8\"\ngpu_call_ms = 20000\n";
    let with = |chip: &str, more: &str| {
        Host::with_worker(config(), engine, |_| {
            format!(
                "env LD_LIBRARY_PATH='{library}' MEDNERD_EMULATED_COUNTS='{}' MEDNERD_EMULATED_CHIP={chip} {more} '{worker}'",
                file.display()
            )
        })
    };
    let host = |chip: &str, refused: usize| with(chip, &format!("MEDNERD_EMULATED_OUTER_ROWS={refused}"));
    let text = "Naloxone reverses hypotension and headache.";
    let alone = Daemon::start(&config().engine("device = \"cpu\"\n")).annotate(text);
    assert!(!alone.entities.is_empty());
    let places = |answer: &AnnotateResponse| {
        let entities = answer.entities.iter();
        let found = entities.map(|entity| (entity.begin, entity.end, entity.label.clone()));
        found.collect::<Vec<_>>()
    };
    let eight = host("9.0", 0);
    let daemon = eight.start(1);
    let answer = daemon.annotate(text);
    assert_eq!(answer.engine, Some(Engine::Cuda));
    assert_eq!(places(&answer), places(&alone));
    let unlike = |answer: &AnnotateResponse| {
        let pairs = answer.entities.iter().zip(&alone.entities);
        pairs
            .map(|(one, other)| (one.score - other.score).abs())
            .fold(0.0, f32::max)
    };
    assert!((1e-4..0.1).contains(&unlike(&answer)), "{}", unlike(&answer));
    let counts = || fs::read_to_string(&file).unwrap();
    let allocations = |counts: String| counts.split_once(' ').unwrap().1.to_owned();
    let before = allocations(counts());
    assert_eq!(daemon.annotate(text).entities, answer.entities);
    assert_eq!(allocations(counts()), before);
    drop(daemon);
    // What cuBLASLt's heuristic named and its product refuses goes without the scales, which a kernel multiplies by then.
    let refusing = host("9.0", 257);
    let daemon = refusing.start(1);
    let found = daemon.annotate(text);
    assert_eq!(found.engine, Some(Engine::Cuda));
    assert_eq!(places(&found), places(&alone));
    assert!((1e-4..0.1).contains(&unlike(&found)), "{}", unlike(&found));
    let before = allocations(counts());
    assert_eq!(daemon.annotate(text).entities, found.entities);
    assert_eq!(allocations(counts()), before);
    assert_eq!(daemon.status().engine.gpus[0].deaths, 0);
    drop(daemon);
    // Where the heuristic does not answer, as while work is recorded, it is asked again, and no product is missing.
    let deaf = with("9.0", "MEDNERD_EMULATED_DEAF=7");
    let daemon = deaf.start(1);
    let found = daemon.annotate(text);
    assert_eq!(found.engine, Some(Engine::Cuda));
    assert_eq!(found.entities, answer.entities);
    assert_eq!(daemon.status().engine.gpus[0].deaths, 0);
    drop(daemon);
    let older = host("8.6", 0);
    let daemon = older.site.start();
    eventually("one line says what the chip lacks", || {
        let log = daemon.log();
        log.contains("below 8.9") && log.contains("bf16")
    });
    let answer = daemon.annotate(text);
    assert_eq!(
        (answer.engine, places(&answer)),
        (Some(Engine::Tract), places(&alone))
    );
    assert_eq!(answer.degraded, ["engine:cuda"]);
}

/// The real worker, on a host without an NVIDIA driver.
#[test]
fn the_cuda_worker_says_what_is_missing_and_the_cpu_answers() {
    let Some(worker) = cuda_worker() else { return };
    if std::path::Path::new("/proc/driver/nvidia/version").exists() {
        skipped("this host has an NVIDIA driver; tests/gpu/run tests there");
        return;
    }
    let config = Config::tiny().engine(&format!("device = \"cuda\"\nworker = \"{}\"\n", worker.display()));
    let site = Site::new(&config);
    let daemon = site.start();
    let answer = daemon.annotate(SENTENCE);
    assert_eq!((answer.engine, answer.status), (Some(Engine::Tract), Status::Ok));
    assert_eq!(answer.degraded, ["engine:cuda"]);
    assert!(!answer.entities.is_empty());
    let log = daemon.log();
    let lines = log.lines().filter(|line| {
        ["ready on", "libcuda.so.1", "NVIDIA driver 580 or later"]
            .iter()
            .all(|part| line.contains(part))
    });
    assert_eq!(lines.count(), 1, "{log}");
}

#[test]
fn without_a_gpu_one_line_says_why_the_cpu_computes() {
    let absent = Site::new(&Config::tiny().engine("worker = \"not-there\"\n"));
    let old = Host::new(Config::tiny(), "device = \"cuda\"\n");
    old.inject("old-driver");
    for (site, why, degraded) in [
        (&absent, "no GPU worker is installed", vec![]),
        (
            &old.site,
            "580 or later is needed",
            vec!["engine:cuda".to_owned()],
        ),
    ] {
        let daemon = site.start();
        let answer = daemon.annotate(SENTENCE);
        assert_eq!((answer.engine, answer.status), (Some(Engine::Tract), Status::Ok));
        assert_eq!(answer.degraded, degraded);
        let status = daemon.status();
        assert!(status.engine.reason.contains(why), "{}", status.engine.reason);
        let log = daemon.log();
        let lines = log
            .lines()
            .filter(|line| line.contains("ready on") && line.contains(why));
        assert_eq!(lines.count(), 1, "{log}");
        let doctor = Command::new(binary("mednerctl"))
            .args(["doctor", "--json", "--socket"])
            .arg(site.socket())
            .output();
        let page = String::from_utf8(doctor.unwrap().stdout).unwrap();
        assert!(page.contains(why), "{page}");
    }
}

#[test]
fn a_model_that_does_not_fit_is_the_cpus_and_others_are_the_gpus() {
    let config = Config::default().model("tiny", &tiny_model(), false);
    let host = Host::new(config, "gpu_memory_mb = 2\ngpu_precision = \"bf16\"\n");
    let daemon = host.start(1);
    let answer = daemon.annotate(SENTENCE);
    assert_eq!((answer.engine, answer.degraded.len()), (Some(Engine::Tract), 0));
    let other = answer.versions.precisions.keys().next().unwrap().clone();
    let answer = daemon.ask(&json!({"text": SENTENCE, "models": ["tiny"]}));
    assert_eq!(answer.engine, Some(Engine::Cuda));
    daemon.logs("does not fit");
    // Each is told in what it was computed.
    let answer = daemon.ask(&json!({"text": SENTENCE, "models": ["tiny", other]}));
    assert_eq!(answer.engine, Some(Engine::Tract));
    let precisions = &answer.versions.precisions;
    assert_eq!((&*precisions["tiny"], &*precisions[&other]), ("bf16", "fp32"));
}

#[test]
fn a_stop_waits_for_no_gpu_that_hangs() {
    let host = Host::new(Config::tiny(), "device = \"cuda\"\ngpu_call_ms = 60000\n");
    host.inject("hang");
    let mut daemon = host.site.start();
    eventually("its first check hangs", || host.has_struck());
    let begun = Instant::now();
    daemon.stop();
    // The check would have had longer than that.
    assert!(begun.elapsed() < Duration::from_secs(20), "{}", daemon.log());
}

#[test]
fn a_model_that_did_not_fit_is_tried_again_when_others_have_gone() {
    let host = Host::new(Config::default(), "gpu_memory_mb = 40\n");
    let second = host.site.path("second");
    fs::create_dir(&second).unwrap();
    for file in fs::read_dir(shipped_model()).unwrap() {
        let file = file.unwrap();
        fs::copy(file.path(), second.join(file.file_name())).unwrap();
    }
    // Other bytes: of the same ones there would be one model.
    let config = second.join("config.json");
    let same = fs::read_to_string(&config).unwrap();
    fs::write(config, same + "\n").unwrap();
    let toml = fs::read_to_string(host.site.config()).unwrap();
    let table = format!("[[models]]\nname = \"second\"\npath = \"{}\"\n", second.display());
    host.site.write("mednerd.toml", &(toml.clone() + &table));
    let daemon = host.start(1);
    daemon.logs("does not fit");
    let path = shipped_model();
    let alone = toml.replace(
        &format!("\"{}\"", path.display()),
        &format!("\"{}\"", second.display()),
    );
    assert_ne!(alone, toml);
    host.site.write("mednerd.toml", &alone);
    assert_eq!(daemon.admin("POST", "/v1/reload").status, 200);
    eventually("the GPU computes it", || {
        daemon.annotate(SENTENCE).engine == Some(Engine::Cuda)
    });
}

/// Zero-shot models of each kind: labels before the text or with an encoder, stretches or words, and an adapter.
fn zero_shot() -> Config {
    let gliner = root().join("tests/fixtures/gliner");
    Config::tiny()
        .model("stretches", &gliner.join("span-rnn"), false)
        .model("words", &gliner.join("bi-token"), false)
        .model("base", &gliner.join("span"), false)
        .adapter("adapted", &gliner.join("adapters/encoder"))
}

#[test]
fn a_gpu_computes_zero_shot_models_of_each_kind() {
    let models = ["stretches", "words", "base", "adapted"];
    let labels: Vec<String> = (0..30).map(|n| format!("symptom of kind {n}")).collect();
    let few = ["disease", "drug", "dose"];
    let mut requests = Vec::new();
    for text in [SENTENCE, &long_note(3_000).0] {
        for model in models {
            requests.push(json!({"text": text, "models": [model], "labels": few, "threshold": 0.4}));
        }
        // Several prompts; several overlapping answers; with a token classifier beside them.
        requests.push(json!({"text": text, "models": ["stretches"], "labels": labels, "threshold": 0.45}));
        requests.push(json!({
            "text": text, "models": ["adapted", "tiny", "words"], "labels": few, "threshold": 0.4, "nested": true,
        }));
    }
    let alone = Daemon::start(&zero_shot().engine("device = \"cpu\"\n"));
    let host = Host::new(zero_shot(), "device = \"cuda\"\n");
    let daemon = host.start(models.len() + 1);
    let mut found = 0;
    for request in &requests {
        let (answer, expected) = (daemon.ask(request), alone.ask(request));
        assert_eq!(answer.entities, expected.entities, "{}", request["models"]);
        assert_eq!((answer.engine, answer.status), (Some(Engine::Cuda), Status::Ok));
        assert!(answer.degraded.is_empty(), "{:?}", answer.degraded);
        found += answer.entities.len();
    }
    assert!(found > requests.len(), "only {found} entities");
    for fault in ["nan", "oom", "wrong", "kill"] {
        host.inject(fault);
        let answers = requests
            .iter()
            .map(|request| (daemon.ask(request), alone.ask(request)));
        for (answer, expected) in answers {
            assert_eq!(answer.entities, expected.entities, "{fault}");
            assert_eq!(answer.status, Status::Ok, "{fault}");
        }
        assert!(host.has_struck(), "{fault}");
        wait_for_gpu(&daemon, models.len() + 1);
    }
    assert!(daemon.metric("mednerd_gpu_work_total{what=\"lost_windows\"}") > 0.0);
    let listed = daemon.request("GET", "/v1/models", "").ok().json();
    for model in listed["models"].as_array().unwrap() {
        assert_eq!(model["engine"], "cuda", "{}", model["name"]);
    }
}
