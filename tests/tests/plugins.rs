//! Plugins through the real daemon: what they give when they are good, and that none, however bad, stops the
//! daemon, spoils another answer, or is loaded without being trusted.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr)]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use mednerd_client::api::{
    AnnotateResponse, Concept, HealthResponse, PluginState, PluginsResponse, ReloadResponse, Status,
};
use mednerd_skip::skipped;
use mednerd_tests::daemon::{binary, library, root};
use mednerd_tests::http::{batch_head, chunk, message};
use mednerd_tests::notes::{SENTENCE, flaw};
use mednerd_tests::plugins::{
    Vendor, example_manifest, hostile_manifest, manifest, policy, production_can_be_tried, table, write,
};
use mednerd_tests::{Config, Connection, Daemon, Site, eventually};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter};
use serde_json::{Value, json};

const TERMS: &str = "id,name,semantic_type,source\nC0025598,metformin,T121,TEST\n\
    C0011860,type 2 diabetes mellitus,T047,TEST\nC0011849,type 2 diabetes mellitus,T047,TEST\n";
const POISON: &str = "POISON: the patient was treated with metformin for type 2 diabetes mellitus.";

fn config() -> Config {
    Config::default()
}

/// A site with the CSV plugin over [`TERMS`], in development.
fn with_csv() -> (Site, String) {
    let site = Site::with_toml("");
    site.write("terms.csv", TERMS);
    let directory = site.plugin("csv", &example_manifest("csv"), &library("mednerd_example_csv"));
    let settings = format!(
        "terms = \"{}\"\nversion = \"2026\"",
        site.path("terms.csv").display()
    );
    let lines = table(&directory, &settings);
    (site, lines)
}

fn start(site: &Site, plugins: &str) -> Daemon {
    site.configure(&config().plugins(plugins));
    site.start()
}

/// The only concept of what stands in the answer with this text.
fn only_concept<'a>(answer: &'a AnnotateResponse, text: &str) -> &'a Concept {
    let entity = answer.entities.iter().find(|entity| entity.text == text).unwrap();
    let [concept] = &*entity.concepts else {
        panic!("{entity:?}")
    };
    concept
}

fn link(daemon: &Daemon, text: &str) -> AnnotateResponse {
    let answer = daemon.ask(&json!({"text": text, "link": true}));
    assert_eq!(flaw(text, &answer), None);
    answer
}

fn plugins(daemon: &Daemon) -> PluginsResponse {
    daemon.admin("GET", "/v1/plugins").ok().decode()
}

fn wait_ready(daemon: &Daemon) {
    eventually("the plugin is ready", || {
        plugins(daemon)
            .plugins
            .iter()
            .all(|plugin| plugin.state == PluginState::Ready)
    });
}

/// A copy of an example as a plugin of its own.
fn copied(site: &Site, example: &str) -> PathBuf {
    let copy = site.path(&format!("copied-{example}"));
    let program = root().join("plugins/examples/copy");
    let output = Command::new(program).arg(example).arg(&copy).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    copy
}

/// The C example, copied and built here.
fn units(site: &Site) -> PathBuf {
    let built = site.path("units");
    let status = Command::new("make")
        .arg("-C")
        .arg(copied(site, "c"))
        .arg(format!("OUT={}", built.display()))
        .output()
        .unwrap();
    assert!(
        status.status.success(),
        "{}",
        String::from_utf8_lossy(&status.stderr)
    );
    site.plugin("units", &example_manifest("c"), &built.join("libunits.so"))
}

#[test]
fn entities_are_linked_and_the_answer_says_by_what() {
    let (site, lines) = with_csv();
    let daemon = start(&site, &(policy(true) + &lines));
    let answer = link(&daemon, SENTENCE);
    assert_eq!((answer.status, answer.degraded.len()), (Status::Ok, 0));
    let concept = only_concept(&answer, "metformin");
    assert_eq!((&*concept.id, &*concept.vocabulary), ("C0025598", "TEST"));
    assert_eq!(
        (&*concept.match_kind, &*concept.semantic_types),
        ("exact", &["T121".to_owned()][..])
    );
    let disease = answer
        .entities
        .iter()
        .find(|entity| entity.text.starts_with("type 2"))
        .unwrap();
    assert_eq!(disease.concepts.len(), 2);
    assert_eq!(answer.versions.plugins.get("example.csv").unwrap(), "1.0.0");
    assert_eq!(answer.versions.vocabularies.get("TEST").unwrap(), "2026");
    assert!(answer.timing_ms.linking > 0.0 && answer.timing_ms.linking < answer.timing_ms.total);
    // Only who asks for concepts gets them.
    let plain = daemon.annotate(SENTENCE);
    assert!(plain.entities.iter().all(|entity| entity.concepts.is_empty()));
    assert!(plain.versions.plugins.is_empty());
    // Fewer, of a vocabulary.
    let one = daemon.ask(&json!({"text": SENTENCE, "link": {"top_k": 1, "vocabularies": ["TEST"]}}));
    assert!(one.entities.iter().all(|entity| entity.concepts.len() <= 1));
    for (wanted, code) in [
        (json!({"vocabularies": ["NOBODY"]}), "unknown_vocabulary"),
        (json!({"top_k": 0}), "unusable_field"),
        (json!({"top_k": 101}), "unusable_field"),
    ] {
        let body = json!({"text": SENTENCE, "link": wanted}).to_string();
        daemon.request("POST", "/v1/annotate", body).refused(422, code);
    }
    // Whatever is no such number, the limit is told.
    for top_k in [json!(1_u64 << 32), json!(-1), json!(1.5), json!("5")] {
        let body = json!({"text": SENTENCE, "link": {"top_k": top_k}}).to_string();
        let refused = daemon.request("POST", "/v1/annotate", body);
        let told = String::from_utf8_lossy(&refused.body);
        assert!(told.contains("between 1 and 100"), "{told}");
        refused.refused(400, "invalid_field");
    }
    // What the plugin counts and logs, under the names that its manifest declares.
    let counter = "mednerd_plugin_counter_total{plugin=\"example.csv\",name=\"hits\"}";
    eventually("the counter is there", || daemon.metric(counter) >= 2.0);
    daemon.logs("terms.read");
    let [info] = &*plugins(&daemon).plugins else {
        panic!()
    };
    assert_eq!((info.state, &info.signed_by), (PluginState::Ready, &None));
    assert_eq!((&*info.sandbox.seccomp, info.deaths), ("full", 0));
    let nice = |pid: u32| -> i32 {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        let fields = stat.rsplit(')').next().unwrap();
        fields.split_whitespace().nth(16).unwrap().parse().unwrap()
    };
    let models = nice(daemon.pid());
    let own = nice(info.pid.unwrap());
    assert_eq!(own, (models + 5).min(19), "the models go before it");
    assert!(daemon.status().configuration.plugin_development);
}

#[test]
fn in_development_neither_signature_nor_digest_is_needed() {
    let (site, lines) = with_csv();
    write(&site.path("csv/plugin.toml"), example_manifest("csv").as_bytes());
    let daemon = start(&site, &(policy(true) + &lines));
    let answer = link(&daemon, SENTENCE);
    assert!(answer.entities.iter().any(|entity| !entity.concepts.is_empty()));
    assert_eq!(plugins(&daemon).plugins[0].state, PluginState::Ready);
}

#[test]
fn two_vendors_serve_at_once_and_only_what_is_signed_is_loaded() {
    if !production_can_be_tried() {
        return;
    }
    let (site, csv) = with_csv();
    let units = units(&site);
    let (one, two, stranger) = (Vendor::new(), Vendor::new(), Vendor::new());
    site.trust(&one, "one");
    site.trust(&two, "two");
    let csv_folder = site.path("csv");
    one.sign(&csv_folder);
    two.sign(&units);
    let lines = policy(false) + &csv + &table(&units, "");
    let mut daemon = start(&site, &lines);
    let answer = link(&daemon, SENTENCE);
    assert_eq!(answer.status, Status::Ok, "{:?}", answer.degraded);
    let drug = answer
        .entities
        .iter()
        .find(|entity| entity.text == "metformin")
        .unwrap();
    let ids: Vec<&str> = drug.concepts.iter().map(|concept| &*concept.id).collect();
    assert_eq!(ids, ["C0025598", "A10BA02"]);
    assert_eq!(drug.concepts[1].codings[0].system, "http://www.whocc.no/atc");
    assert!(
        plugins(&daemon)
            .plugins
            .iter()
            .all(|plugin| plugin.signed_by.is_some())
    );
    daemon.stop();

    let refused = |why: &str| {
        let output = site.validate();
        let printed = String::from_utf8_lossy(&output.stdout).into_owned();
        assert_eq!(output.status.code(), Some(78), "{printed}");
        assert!(printed.contains(why), "wanted {why:?} in {printed}");
    };
    let (manifest, signature) = (
        csv_folder.join("plugin.toml"),
        csv_folder.join("plugin.toml.minisig"),
    );
    let library = csv_folder.join("libmednerd_example_csv.so");
    let good = [&manifest, &signature, &library].map(|path| fs::read(path).unwrap());
    let restore = || {
        for (path, bytes) in [&manifest, &signature, &library].into_iter().zip(&good) {
            write(path, bytes);
        }
    };
    fs::remove_file(&signature).unwrap();
    refused("it is not signed");
    stranger.sign(&csv_folder);
    refused("which is not in");
    restore();
    // One byte of what was signed, and of what its digest was.
    let mut changed = good[0].clone();
    changed.extend_from_slice(b"\n");
    write(&manifest, &changed);
    refused("it was changed after it was signed");
    restore();
    let mut changed = good[2].clone();
    let middle = changed.len() / 2;
    changed[middle] ^= 1;
    write(&library, &changed);
    refused("is not the library that the manifest names");
    restore();
    fs::set_permissions(&library, PermissionsExt::from_mode(0o666)).unwrap();
    refused("can be written by others than root");
    restore();
    write(&signature, b"nonsense");
    refused("is no minisign signature");
    restore();
    assert_eq!(site.validate().status.code(), Some(0));
}

#[test]
fn a_plugin_that_is_not_what_it_says_is_not_loaded() {
    let site = Site::with_toml("");
    let normalizer = ["mednerd.normalizer/1"];
    let hostile = library("mednerd_hostile");
    let cases: Vec<(&str, String, PathBuf, &str)> = vec![
        (
            "other-id",
            manifest("another", &normalizer, "libmednerd_hostile.so"),
            hostile.clone(),
            "says that it is plugin \"hostile\", and the manifest says \"another\"",
        ),
        (
            "other-version",
            hostile_manifest().replace("1.0.0", "1.0.1"),
            hostile,
            "says that it is version \"1.0.0\"",
        ),
        (
            "layout",
            manifest("hostile.layout", &normalizer, "liblayout.so"),
            library("mednerd_hostile_layout"),
            "mednerd.normalizer/1 has another layout",
        ),
        (
            "no-ability",
            manifest("example.hl7v2", &normalizer, "libhl7.so"),
            library("mednerd_example_hl7v2"),
            "does not have the ability mednerd.normalizer/1",
        ),
        (
            "no-plugin",
            manifest("hostile", &normalizer, "libc.so"),
            binary("mednerctl"),
            "cannot be loaded",
        ),
        (
            "greedy",
            hostile_manifest().replace("memory_mb = 64", "memory_mb = 999999"),
            library("mednerd_hostile"),
            "asks for memory_mb = 999999",
        ),
    ];
    for (folder, manifest, built, why) in cases {
        let directory = site.plugin(folder, &manifest, &built);
        site.configure(&config().plugins(&(policy(true) + &table(&directory, ""))));
        let output = site.validate();
        let printed = String::from_utf8_lossy(&output.stdout).into_owned();
        assert_eq!(output.status.code(), Some(78), "{folder}: {printed}");
        assert!(printed.contains(why), "{folder}: wanted {why:?} in {printed}");
    }
    // Harm while it is opened.
    for (harm, why) in [
        ("panic", "it panicked"),
        ("segfault", "ended by SIGSEGV"),
        ("abort", "ended by SIGABRT"),
        ("exit", "ended with exit code 0"),
        ("sleep", "did not open within 3000 ms"),
    ] {
        let lines = site.hostile(&format!("do = \"{harm}\"\nat_open = true"));
        site.configure(&config().plugins(&lines));
        let output = site.validate();
        let printed = String::from_utf8_lossy(&output.stdout).into_owned();
        assert_eq!(output.status.code(), Some(78), "{harm}: {printed}");
        assert!(printed.contains(why), "{harm}: wanted {why:?} in {printed}");
    }
}

/// The answer on [`SENTENCE`] once it is whole: on a busy machine a short call may be too short.
fn linked(daemon: &Daemon) -> AnnotateResponse {
    let mut answer = None;
    eventually("a harmless document is linked", || {
        answer = Some(link(daemon, SENTENCE)).filter(|answer| answer.status == Status::Ok);
        answer.is_some()
    });
    answer.unwrap()
}

#[test]
fn what_harms_one_document_harms_no_other() {
    let site = Site::with_toml("");
    for (harm, deadly, reason) in [
        ("panic", false, "it panicked"),
        ("error", false, "something that it needs is not there (code 7)"),
        ("thousands", false, "10000 concepts"),
        ("million", true, "ended by SIGABRT"),
        ("few", false, "it answered 0 mentions"),
        ("order", false, "not best first"),
        ("score", false, "not between 0 and 1"),
        ("vocabulary", false, "a vocabulary that it did not declare"),
        ("utf8", false, "not UTF-8"),
        ("long", false, "too long"),
        ("control", false, "letters that it must not have"),
        ("segfault", true, "ended by SIGSEGV"),
        ("abort", true, "ended by SIGABRT"),
        ("exit", true, "ended with exit code 0"),
        ("memory", true, ""),
        ("loop", true, "after a deadline"),
        ("sleep", true, "after a deadline"),
    ] {
        let settings = format!("do = \"{harm}\"");
        let lines = match reason {
            "after a deadline" => site.hostile_with("mednerd.normalizer/1", 500, "", &settings),
            _ => site.hostile(&settings),
        };
        let mut daemon = start(&site, &lines);
        let harmless = linked(&daemon);
        let poisoned = link(&daemon, POISON);
        assert_eq!(poisoned.status, Status::Partial, "{harm}");
        assert_eq!(poisoned.degraded, ["normalizer:hostile"], "{harm}");
        assert!(
            poisoned.entities.iter().all(|entity| entity.concepts.is_empty()),
            "{harm}"
        );
        assert!(
            !poisoned.entities.is_empty(),
            "{harm}: what the model found stands"
        );
        assert_eq!(poisoned.versions.plugins.get("hostile").unwrap(), "1.0.0");
        wait_ready(&daemon);
        assert_eq!(linked(&daemon).entities, harmless.entities, "{harm}");
        let status = daemon.status();
        let [plugin] = &*status.plugins else { panic!() };
        assert_eq!(plugin.deaths > 0, deadly, "{harm}: {plugin:?}");
        let failure = plugin.last_failure.clone().unwrap();
        let told = match deadly {
            true => plugin.last_death.clone().unwrap(),
            false => failure.clone(),
        };
        assert!(told.contains(reason), "{harm}: wanted {reason:?} in {told}");
        assert!(
            daemon.log().contains(&failure),
            "{harm}: the log tells it as well"
        );
        assert!(!daemon.log().contains("metformin"), "{harm}: no note in the log");
        assert!(daemon.metric("mednerd_documents_total{outcome=\"partial\"}") >= 1.0);
        daemon.stop();
        site.write("log", "");
    }
}

#[test]
fn nothing_can_be_gained() {
    let site = Site::with_toml("");
    let model = mednerd_tests::daemon::shipped_model().join("config.json");
    let model = model.display().to_string();
    for (harm, denied) in [
        ("fork".to_owned(), "denied"),
        ("exec".to_owned(), "denied"),
        ("socket".to_owned(), "denied"),
        ("unix".to_owned(), "denied"),
        ("kill".to_owned(), "denied"),
        ("own".to_owned(), "denied"),
        ("read=etc/shadow".to_owned(), "denied"),
        ("read=etc/hostname".to_owned(), "denied"),
        ("read=proc/self/environ".to_owned(), "denied"),
        (format!("read={}", model.trim_start_matches('/')), "denied"),
        ("list=etc".to_owned(), "denied"),
        ("write=tmp/mednerd-hostile".to_owned(), "denied"),
        ("environment".to_owned(), "0 variables"),
        ("name".to_owned(), "denied"),
        ("stdout".to_owned(), "written"),
        ("log".to_owned(), "logged"),
    ] {
        let lines = site.hostile(&format!("do = \"{harm}\""));
        let mut daemon = start(&site, &lines);
        let sandbox = plugins(&daemon).plugins[0].sandbox.clone();
        if sandbox.landlock != "full" || sandbox.seccomp != "full" {
            skipped(format_args!(
                "this kernel has no Landlock or no seccomp ({sandbox:?})"
            ));
            return;
        }
        let answer = link(&daemon, POISON);
        assert_eq!(answer.status, Status::Ok, "{harm}: {:?}", daemon.log());
        let told = &answer.entities[0].concepts[0].name;
        assert_eq!(told, denied, "{harm}");
        assert!(!daemon.log().contains("POISON"), "{harm}: no note in the log");
        let page = daemon.admin("GET", "/metrics").ok();
        assert!(!page.text().contains("POISON"), "{harm}: no note in the metrics");
        if harm == "log" {
            let counter = "mednerd_plugin_counter_total{plugin=\"hostile\",name=\"known\"}";
            eventually("what is declared is counted", || daemon.metric(counter) == 3.0);
            daemon.logs("42.0");
        }
        daemon.stop();
    }
}

#[test]
fn a_host_that_root_starts_has_no_capability_and_is_root_no_more_where_it_need_not() {
    if !production_can_be_tried() {
        return;
    }
    let mode = |path: PathBuf, mode| fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
    for (folder, is_root) in [(0o755, false), (0o700, true)] {
        let (site, lines) = with_csv();
        mode(site.path("terms.csv"), 0o644);
        mode(site.path("."), folder);
        let daemon = start(&site, &(policy(true) + &lines));
        link(&daemon, SENTENCE);
        let host = plugins(&daemon).plugins[0].pid.unwrap();
        let status = fs::read_to_string(format!("/proc/{host}/status")).unwrap();
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            line.unwrap()
                .split_whitespace()
                .map(ToOwned::to_owned)
                .collect::<Vec<_>>()
        };
        for set in ["CapInh:", "CapPrm:", "CapEff:", "CapBnd:", "CapAmb:"] {
            assert_eq!(field(set), ["0000000000000000"], "{set} {status}");
        }
        let ids = [field("Uid:"), field("Gid:")];
        // Where only root can read what the plugin needs, it is root's number without its rights.
        let zero = vec!["0".to_owned(); 4];
        assert_eq!(ids == [zero.clone(), zero], is_root, "{ids:?}");
        if !is_root {
            assert!(ids.iter().flatten().all(|id| id != "0"), "{ids:?}");
            assert_eq!(field("Groups:"), [""; 0]);
        }
    }
}

#[test]
fn a_plugin_is_found_from_a_relative_configuration() {
    let (site, lines) = with_csv();
    let absolute = site.path("csv").display().to_string();
    let lines = lines.replace(&format!("path = \"{absolute}\""), "path = \"csv\"");
    site.configure(&config().plugins(&(policy(true) + &lines)));
    let output = Command::new(binary("mednerd"))
        .args(["validate", "--config", "mednerd.toml"])
        .current_dir(site.path("."))
        .output()
        .unwrap();
    let page = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(0), "{page}");
    assert!(page.contains("plugin \"example.csv\": version 1.0.0"), "{page}");
}

#[test]
fn a_constructor_runs_confined() {
    let site = Site::with_toml("");
    let directory = site.plugin(
        "constructor",
        &manifest(
            "hostile.constructor",
            &["mednerd.normalizer/1"],
            "libconstructor.so",
        ),
        &library("mednerd_hostile_constructor"),
    );
    let daemon = start(&site, &(policy(true) + &table(&directory, "")));
    assert_eq!(link(&daemon, SENTENCE).status, Status::Ok);
}

#[test]
fn a_plugin_that_keeps_dying_is_taken_out_of_service() {
    let site = Site::with_toml("");
    let lines = site.hostile("do = \"abort\"");
    let daemon = start(&site, &lines);
    let mut tries = 0;
    eventually("it is out of service", || {
        // Another document each time: one alone is known after its first kill.
        tries += 1;
        let answer = link(&daemon, &format!("{POISON} {tries}"));
        assert_eq!(answer.degraded, ["normalizer:hostile"]);
        daemon.status().plugins[0].state == PluginState::OutOfService
    });
    let begun = Instant::now();
    let answer = link(&daemon, SENTENCE);
    assert_eq!(
        answer.degraded,
        ["normalizer:hostile"],
        "and so for every document"
    );
    assert!(begun.elapsed() < Duration::from_secs(5), "without waiting for it");
    assert_eq!(daemon.annotate(SENTENCE).status, Status::Ok);
    let reason = daemon.status().plugins[0].reason.clone().unwrap();
    assert!(reason.contains("SIGABRT"), "{reason}");
    daemon.logs("out of service");
}

/// `MEDNERD_KILLS=1000` for the proof; a few in each run of the suite.
#[test]
fn killed_hosts_lose_no_document_and_spoil_none() {
    let kills = std::env::var("MEDNERD_KILLS").map_or(20, |kills| kills.parse().unwrap());
    let (site, lines) = with_csv();
    // The breaker stays closed, and no wait grows: what is tried here is what each death costs.
    let breaker = "breaker_deaths = 100000\nbreaker_window_ms = 1\n";
    let daemon = start(&site, &(policy(true) + breaker + &lines));
    let expected = link(&daemon, SENTENCE);
    let over = std::sync::atomic::AtomicBool::new(false);
    let (mut linked, mut degraded) = (0_u64, 0_u64);
    // What is resident after some deaths, and after all.
    let (mut early, warm) = (0, kills / 10);
    std::thread::scope(|scope| {
        let clients: Vec<_> = (0..2)
            .map(|_| {
                scope.spawn(|| {
                    let (mut linked, mut degraded) = (0, 0);
                    while !over.load(std::sync::atomic::Ordering::Relaxed) {
                        let answer = link(&daemon, SENTENCE);
                        if answer.status == Status::Ok {
                            assert_eq!(answer.entities, expected.entities);
                            linked += 1;
                        } else {
                            assert_eq!(answer.degraded, ["normalizer:example.csv"]);
                            let bare = expected.entities.iter().cloned().map(|mut entity| {
                                entity.concepts.clear();
                                entity
                            });
                            assert_eq!(answer.entities, bare.collect::<Vec<_>>());
                            degraded += 1;
                        }
                    }
                    (linked, degraded)
                })
            })
            .collect();
        for count in 0..kills {
            if count == warm {
                early = daemon.memory("VmRSS");
            }
            let (mut pid, mut deaths) = (None, 0);
            eventually("there is a host", || {
                let plugin = plugins(&daemon).plugins.remove(0);
                deaths = plugin.deaths;
                pid = plugin.pid.filter(|_| plugin.state == PluginState::Ready);
                pid.is_some()
            });
            let pid = i32::try_from(pid.unwrap()).unwrap();
            kill(Pid::from_raw(pid), Signal::SIGKILL).unwrap();
            eventually("its death is noticed", || {
                let plugin = plugins(&daemon).plugins.remove(0);
                assert_ne!(plugin.state, PluginState::OutOfService);
                plugin.deaths > deaths
            });
        }
        over.store(true, std::sync::atomic::Ordering::Relaxed);
        for client in clients {
            let (fine, partial) = client.join().unwrap();
            linked += fine;
            degraded += partial;
        }
    });
    wait_ready(&daemon);
    let again = link(&daemon, SENTENCE);
    assert_eq!((again.status, &again.entities), (Status::Ok, &expected.entities));
    let plugin = plugins(&daemon).plugins.remove(0);
    assert_eq!(plugin.deaths, kills, "none but those");
    let late = daemon.memory("VmRSS");
    eprintln!(
        "{kills} hosts killed: {linked} documents linked, {degraded} degraded; resident {} kB after {warm}, {} kB in the end",
        early >> 10,
        late >> 10
    );
    assert!(linked > 0);
    assert!(late < early + (16 << 20), "memory returns");
    let children = fs::read_dir(format!("/proc/{}/task", daemon.pid())).unwrap();
    let children = children.map(|task| fs::read_to_string(task.unwrap().path().join("children")).unwrap());
    let living: Vec<String> = children
        .flat_map(|list| list.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
        .collect();
    assert_eq!(living.len(), 1, "one host, and no zombie: {living:?}");
}

/// Runs `code` on a thread for which, and for whose children, the kernel has no Landlock.
fn without_landlock<T: Send>(code: impl FnOnce() -> T + Send) -> T {
    let rules = [(libc::SYS_landlock_create_ruleset, Vec::new())]
        .into_iter()
        .collect();
    let filter = SeccompFilter::new(
        rules,
        SeccompAction::Allow,
        SeccompAction::Errno(libc::ENOSYS.unsigned_abs()),
        std::env::consts::ARCH.try_into().unwrap(),
    );
    let program = BpfProgram::try_from(filter.unwrap()).unwrap();
    std::thread::scope(|scope| {
        let thread = scope.spawn(move || {
            seccompiler::apply_filter(&program).unwrap();
            code()
        });
        thread.join().unwrap()
    })
}

#[test]
fn a_kernel_that_cannot_confine_is_told_and_can_be_refused() {
    let (site, lines) = with_csv();
    let daemon = without_landlock(|| start(&site, &(policy(true) + &lines)));
    let sandbox = daemon.status().plugins.remove(0).sandbox;
    assert_eq!((&*sandbox.landlock, sandbox.enough), ("none", false));
    assert_eq!(plugins(&daemon).plugins[0].sandbox, sandbox);
    assert!(
        daemon.log().contains("is not confined as it should be"),
        "{}",
        daemon.log()
    );
    let told = |arguments: &[&str]| {
        let mut command = Command::new(binary("mednerctl"));
        command.arg("--socket").arg(site.socket()).args(arguments);
        String::from_utf8(command.output().unwrap().stdout).unwrap()
    };
    assert!(
        told(&["status"]).contains("NOT CONFINED"),
        "{}",
        told(&["status"])
    );
    let findings: Value = serde_json::from_str(&told(&["doctor", "--json"])).unwrap();
    let weak = |finding: &&Value| finding["found"].as_str().unwrap().contains("is not confined");
    let finding = findings.as_array().unwrap().iter().find(weak).unwrap();
    assert_eq!(finding["verdict"], "warning");
    // It serves all the same, unless that is not wanted.
    assert_eq!(link(&daemon, SENTENCE).status, Status::Ok);
    let strict = policy(true) + "require_sandbox = true\n" + &lines;
    site.configure(&config().plugins(&strict));
    let output = without_landlock(|| site.validate());
    let page = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(78), "{page}");
    assert!(
        page.contains("this kernel cannot confine it (Landlock: none"),
        "{page}"
    );
    // With what this kernel has.
    let output = site.validate();
    let page = String::from_utf8_lossy(&output.stdout).into_owned();
    match output.status.code() {
        Some(0) => assert!(!page.contains("confine"), "{page}"),
        _ => assert!(page.contains("this kernel cannot confine it"), "{page}"),
    }
}

#[test]
fn a_reload_keeps_a_plugin_that_has_not_changed() {
    let (site, lines) = with_csv();
    let lines = policy(true) + &lines;
    let daemon = start(&site, &lines);
    let pid = || plugins(&daemon).plugins[0].pid.unwrap();
    let before = pid();
    daemon.admin("POST", "/v1/reload").ok();
    assert_eq!(pid(), before);
    // A bad one leaves the old one serving.
    site.configure(&config().plugins(&lines.replace("terms.csv", "nothing.csv")));
    let problem = daemon.admin("POST", "/v1/reload").refused(422, "reload_rejected");
    let problems = Value::from(problem.details).to_string();
    assert!(problems.contains("nothing.csv"), "{problems}");
    assert_eq!(link(&daemon, SENTENCE).status, Status::Ok);
    // What its settings name is part of it: a file that is replaced or written is taken anew.
    site.configure(&config().plugins(&lines));
    site.write("terms.csv", &format!("{TERMS}\n"));
    assert_eq!(pid(), before);
    daemon.admin("POST", "/v1/reload").ok();
    let second = pid();
    assert_ne!(second, before);
    let told: ReloadResponse = daemon.admin("POST", "/v1/reload").ok().decode();
    assert_eq!(told.plugins.kept, ["example.csv 1.0.0"]);
    assert_eq!(pid(), second);
    site.configure(&config().plugins(&lines.replace("\"2026\"", "\"2027\"")));
    daemon.admin("POST", "/v1/reload").ok();
    assert_ne!(pid(), before);
    assert_eq!(
        link(&daemon, SENTENCE).versions.vocabularies.get("TEST").unwrap(),
        "2027"
    );
    site.configure(&config());
    let told: ReloadResponse = daemon.admin("POST", "/v1/reload").ok().decode();
    assert_eq!(told.plugins.stopped, ["example.csv 1.0.0"]);
    let body = json!({"text": SENTENCE, "link": true}).to_string();
    daemon
        .request("POST", "/v1/annotate", body)
        .refused(422, "unusable_field");
    eventually("the host has ended", || {
        !PathBuf::from(format!("/proc/{before}")).exists()
    });
}

/// A running daemon whose configuration on disk now takes two seconds to load.
fn slow_to_reload() -> (Site, Daemon) {
    let site = Site::with_toml("");
    site.configure(&config());
    let daemon = site.start();
    let lines = site.hostile("do = \"pause=2000\"\nat_open = true");
    site.configure(&config().plugins(&lines));
    (site, daemon)
}

#[test]
fn a_batch_that_goes_on_keeps_nothing_of_what_was_in_force_when_it_began() {
    let (site, lines) = with_csv();
    let lines = policy(true) + &lines;
    let daemon = start(&site, &lines);
    let line = json!({"text": SENTENCE, "link": true}).to_string() + "\n";
    let mut batch = daemon.connect();
    batch.send(batch_head()).unwrap();
    let version = |batch: &mut Connection| {
        batch.send(chunk(line.as_bytes())).unwrap();
        let answer = batch.reply_chunk().unwrap().unwrap();
        let answer: AnnotateResponse = serde_json::from_slice(&answer).unwrap();
        answer.versions.vocabularies["TEST"].clone()
    };
    batch.send(chunk(line.as_bytes())).unwrap();
    batch.reply_head().unwrap();
    batch.reply_chunk().unwrap().unwrap();
    let before = plugins(&daemon).plugins[0].pid.unwrap();
    site.configure(&config().plugins(&lines.replace("\"2026\"", "\"2027\"")));
    daemon.admin("POST", "/v1/reload").ok();
    assert_eq!(version(&mut batch), "2027");
    eventually("the host of before has ended", || {
        !PathBuf::from(format!("/proc/{before}")).exists()
    });
    assert_eq!(version(&mut batch), "2027");
}

#[test]
fn a_daemon_that_is_told_to_stop_while_it_reloads_stops() {
    let (_site, mut daemon) = slow_to_reload();
    daemon.signal(Signal::SIGHUP);
    std::thread::sleep(Duration::from_millis(300));
    daemon.signal(Signal::SIGTERM);
    daemon.logs("stopping");
    assert_eq!(daemon.wait().code(), Some(0));
    // It did not wait for that.
    assert!(!daemon.log().contains("in force"), "{}", daemon.log());
}

#[test]
fn a_reload_goes_on_though_nobody_waits_for_it() {
    let (site, daemon) = slow_to_reload();
    let mut client = Connection::open(&site.admin_socket()).unwrap();
    client.send(message("POST", "/v1/reload", "")).unwrap();
    std::thread::sleep(Duration::from_millis(300));
    drop(client);
    daemon.logs("the new configuration is in force");
    assert_eq!(plugins(&daemon).plugins[0].id, "hostile");
}

#[test]
fn documents_that_take_their_time_share_calls_and_none_loses_its_concepts() {
    let site = Site::with_toml("");
    // Keeps every rule: a dozen of these are more than a call.
    let lines = site.hostile_with("mednerd.normalizer/1", 1000, "", "do = \"slow=100\"");
    let daemon = start(&site, &lines);
    let line = json!({"text": SENTENCE, "link": true}).to_string() + "\n";
    let reply = daemon.batch(line.repeat(60));
    for answer in reply.text().lines() {
        let answer: AnnotateResponse = serde_json::from_str(answer).unwrap();
        assert_eq!(answer.status, Status::Ok, "{:?}", daemon.log());
    }
    let plugin = plugins(&daemon).plugins.remove(0);
    assert_eq!(plugin.deaths, 0, "{plugin:?}");
}

#[test]
fn a_plugin_that_politely_fails_for_ever_is_started_anew() {
    let site = Site::with_toml("");
    let daemon = start(&site, &site.hostile("do = \"internal\"\nalways = true"));
    let mut told = None;
    eventually("its host is replaced", || {
        link(&daemon, SENTENCE);
        told = daemon.status().plugins.remove(0).last_death;
        told.is_some()
    });
    let told = told.unwrap();
    assert!(told.contains("it failed 16 documents in a row"), "{told}");
    wait_ready(&daemon);
    let reason = daemon.status().plugins.remove(0).reason.unwrap();
    assert!(reason.contains("it has failed the last "), "{reason}");
}

#[test]
fn a_host_is_not_replaced_again_for_what_it_was_replaced_for() {
    let site = Site::with_toml("");
    let daemon = start(&site, &site.hostile("do = \"told\""));
    let fail = |harm: &str| {
        let answer = link(&daemon, &format!("POISON:{harm} {SENTENCE}"));
        assert_eq!(answer.status, Status::Partial, "{harm}");
    };
    let deaths = || daemon.status().plugins.remove(0).deaths;
    (0..16).for_each(|_| fail("internal"));
    eventually("its host is replaced", || deaths() == 1);
    wait_ready(&daemon);
    // Sixteen have failed in a row, and still have.
    (0..3).for_each(|_| fail("input"));
    (0..15).for_each(|_| fail("internal"));
    wait_ready(&daemon);
    assert_eq!(deaths(), 1);
    fail("internal");
    eventually("its host is replaced again", || deaths() == 2);
}

#[test]
fn an_answer_that_is_too_long_costs_its_document_its_concepts_and_says_why() {
    let site = Site::with_toml("");
    let lines = site.hostile("do = \"heavy\"");
    site.configure(&config().server("max_text_bytes", 20_000).plugins(&lines));
    let daemon = site.start();
    for _ in 0..2 {
        let answer = link(&daemon, POISON);
        assert_eq!(answer.degraded, ["normalizer:hostile"]);
        assert_eq!(link(&daemon, SENTENCE).status, Status::Ok);
    }
    let plugin = daemon.status().plugins.remove(0);
    let told = plugin.last_failure.unwrap();
    assert!(told.contains("and a message has at most"), "{told}");
    assert_eq!(plugin.deaths, 0, "{:?}", plugin.last_death);
    daemon.logs(&told);
}

#[test]
fn a_plugin_that_cannot_open_yet_keeps_no_service_down() {
    let site = Site::with_toml("");
    site.write("needed", "");
    let settings = format!("do = \"nothing\"\nneeds = \"{}\"", site.path("needed").display());
    let lines = site.hostile_with("mednerd.normalizer/1", 5000, "breaker_rest_ms = 200\n", &settings);
    let daemon = start(&site, &lines);
    let answer = link(&daemon, SENTENCE);
    assert_eq!(
        (answer.status, &*answer.degraded[0]),
        (Status::Partial, "normalizer:hostile")
    );
    assert_eq!(daemon.annotate(SENTENCE).status, Status::Ok);
    let plugin = daemon.status().plugins.remove(0);
    assert_eq!(plugin.state, PluginState::OutOfService);
    let reason = plugin.reason.unwrap();
    assert!(reason.contains("the licence server does not answer"), "{reason}");
    let ready: HealthResponse = daemon.request("GET", "/readyz", "").ok().decode();
    assert_eq!(ready.degraded, ["plugin:hostile"]);
    assert!(daemon.metric("mednerd_plugin_ready{plugin=\"hostile\"}") == 0.0);
    // Who asks whether all is well hears of it, and a reload does not depend on it.
    assert_eq!(site.validate().status.code(), Some(78));
    daemon.admin("POST", "/v1/reload").ok();
    site.write("needed", "here it is");
    eventually("it is ready", || link(&daemon, SENTENCE).status == Status::Ok);
    let ready: HealthResponse = daemon.request("GET", "/readyz", "").ok().decode();
    assert!(ready.degraded.is_empty());
    // What somebody must put right stops the start.
    let (site, lines) = with_csv();
    let wrong = lines.replace("terms = ", "words = ");
    site.configure(&config().plugins(&(policy(true) + &wrong)));
    assert_eq!(site.spawn().wait().code(), Some(78));
    // So does a plugin that asks for longer than it may have.
    let patient = site.hostile_with(
        "mednerd.normalizer/1",
        5000,
        "max_start_ms = 2999\n",
        "do = \"nothing\"",
    );
    site.configure(&config().plugins(&patient));
    let output = site.validate();
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        printed.contains("asks for start_ms = 3000, and max_start_ms"),
        "{printed}"
    );
}

fn kill_host(daemon: &Daemon) {
    let plugin = plugins(daemon).plugins.remove(0);
    let pid = i32::try_from(plugin.pid.unwrap()).unwrap();
    kill(Pid::from_raw(pid), Signal::SIGKILL).unwrap();
    eventually("another host is ready", || {
        let now = plugins(daemon).plugins.remove(0);
        now.deaths > plugin.deaths && now.state == PluginState::Ready
    });
}

#[test]
fn an_answer_tells_the_vocabulary_of_the_host_that_linked_it() {
    let site = Site::with_toml("");
    site.write("version", "2025");
    let settings = format!(
        "do = \"nothing\"\nversion = \"{}\"",
        site.path("version").display()
    );
    let daemon = start(&site, &site.hostile(&settings));
    let version = || {
        link(&daemon, SENTENCE)
            .versions
            .vocabularies
            .remove("HOSTILE")
            .unwrap()
    };
    assert_eq!(version(), "2025");
    site.write("version", "2026");
    kill_host(&daemon);
    assert_eq!(version(), "2026");
    daemon.logs("links to other versions of its vocabularies");
}

#[test]
fn a_plugin_that_is_updated_on_disk_serves_on_until_it_is_reloaded() {
    let (site, lines) = with_csv();
    let daemon = start(&site, &(policy(true) + &lines));
    let library = site.path("csv/libmednerd_example_csv.so");
    // As an installation does: other files come into the place of these.
    fs::remove_file(&library).unwrap();
    write(&library, b"another library");
    kill_host(&daemon);
    let answer = link(&daemon, SENTENCE);
    assert_eq!(answer.status, Status::Ok, "{}", daemon.log());
    assert!(answer.entities.iter().any(|entity| !entity.concepts.is_empty()));
}

#[test]
fn a_vocabulary_that_two_plugins_have_is_told_with_both() {
    let (site, csv) = with_csv();
    site.write(
        "terms.csv",
        "id,name,semantic_type,source\nH1,metformin,T121,HOSTILE\n",
    );
    let hostile = site.hostile("do = \"nothing\"");
    let daemon = start(&site, &(hostile + &csv));
    let answer = link(&daemon, SENTENCE);
    let concept = only_concept(&answer, "metformin");
    assert_eq!(
        concept.plugins,
        ["example.csv", "hostile"],
        "the better score first"
    );
    let versions = &answer.versions;
    assert_eq!(
        versions.vocabularies.get("HOSTILE").unwrap(),
        "1",
        "the first plugin's"
    );
    assert_eq!(versions.plugin_vocabularies["hostile"]["HOSTILE"], "1");
    assert_eq!(versions.plugin_vocabularies["example.csv"]["HOSTILE"], "2026");
    daemon.logs("vocabulary \"HOSTILE\" is linked to by plugin \"hostile\" (version 1) and plugin \"example.csv\" (version 2026)");
}

#[test]
fn what_is_being_linked_is_in_the_queue() {
    let site = Site::with_toml("");
    let lines = site.hostile("do = \"pause=1500\"");
    let daemon = start(&site, &lines);
    let mut client = daemon.connect();
    let body = json!({"text": POISON, "link": true}).to_string();
    client.send(message("POST", "/v1/annotate", body)).unwrap();
    eventually("its window is computed", || {
        daemon.metric("mednerd_windows_total") > 0.0
    });
    let queue = daemon.status().queue;
    assert!(queue.documents == 1 && queue.bytes > 0, "{queue:?}");
    client.reply().unwrap().ok();
    drop(client);
    daemon.wait_idle();
}

#[test]
fn hosts_end_with_the_daemon_however_it_ends() {
    let (site, lines) = with_csv();
    let mut daemon = start(&site, &(policy(true) + &lines));
    let pid = plugins(&daemon).plugins[0].pid.unwrap();
    daemon.kill();
    eventually("the host has ended", || {
        !PathBuf::from(format!("/proc/{pid}")).exists()
    });
}

#[test]
fn many_documents_share_a_round_trip() {
    let (site, lines) = with_csv();
    let daemon = start(&site, &(policy(true) + &lines));
    let line = json!({"text": SENTENCE, "link": true}).to_string() + "\n";
    let reply = daemon.batch(line.repeat(200));
    assert_eq!(reply.text().lines().count(), 200);
    for answer in reply.text().lines() {
        let answer: AnnotateResponse = serde_json::from_str(answer).unwrap();
        assert_eq!(answer.status, Status::Ok);
        assert!(answer.entities.iter().any(|entity| !entity.concepts.is_empty()));
    }
    assert!(plugins(&daemon).plugins[0].calls.answered <= 200);
}

#[test]
fn a_plugin_built_against_the_first_abi_loads() {
    let site = Site::with_toml("");
    site.write("terms.csv", TERMS);
    let fixture = root().join("tests/fixtures/plugin/abi-1");
    let manifest = fs::read_to_string(fixture.join("plugin.toml")).unwrap();
    let directory = site.plugin("abi-1", &manifest, &fixture.join("libmednerd_example_csv.so"));
    let settings = format!("terms = \"{}\"", site.path("terms.csv").display());
    let daemon = start(&site, &(policy(true) + &table(&directory, &settings)));
    let answer = link(&daemon, SENTENCE);
    assert_eq!(answer.status, Status::Ok);
    assert!(answer.entities.iter().any(|entity| !entity.concepts.is_empty()));
}

struct Ran {
    code: Option<i32>,
    out: String,
}

fn ctl(arguments: &[&str]) -> Ran {
    let output = Command::new(binary("mednerctl"))
        .arg("plugin")
        .args(arguments)
        .env("MEDNERD_KEY_PASSWORD", "")
        .output()
        .unwrap();
    let out = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    Ran {
        code: output.status.code(),
        out: out.into_owned(),
    }
}

#[test]
fn a_vendor_gets_from_a_library_to_an_installed_plugin() {
    let (site, _) = with_csv();
    let path = |name: &str| site.path(name).display().to_string();
    let (plugin, key, into) = (path("csv"), path("vendor.key"), path("installed"));
    let settings = json!({"terms": path("terms.csv")}).to_string();
    let keygen = ctl(&["keygen", "--key", &key]);
    assert_eq!(keygen.code, Some(0), "{}", keygen.out);
    assert_eq!(
        ctl(&["keygen", "--key", &key]).code,
        Some(4),
        "a key is never written over"
    );
    let signed = ctl(&["sign", &plugin, "--key", &key]);
    assert_eq!(signed.code, Some(0), "{}", signed.out);
    let checked = ctl(&[
        "check",
        &plugin,
        "--settings",
        &settings,
        "--report",
        &path("report.json"),
    ]);
    assert_eq!(checked.code, Some(0), "{}", checked.out);
    for nonsense in ["x", "[]", ""] {
        assert_eq!(
            ctl(&["check", &plugin, "--settings", nonsense]).code,
            Some(2),
            "{nonsense}"
        );
    }
    let report: Value = serde_json::from_str(&fs::read_to_string(site.path("report.json")).unwrap()).unwrap();
    assert_eq!(report["conforms"], true);
    let keys = path("keys");
    let unknown = ctl(&["verify", &plugin, "--trusted-keys", &keys]);
    assert_eq!(unknown.code, Some(4));
    assert!(unknown.out.contains("which is not in"), "{}", unknown.out);
    fs::create_dir(site.path("keys")).unwrap();
    write(
        &site.path("keys/vendor.pub"),
        &fs::read(site.path("vendor.pub")).unwrap(),
    );
    let verified = ctl(&["verify", &plugin, "--trusted-keys", &keys]);
    assert_eq!(verified.code, Some(0), "{}", verified.out);
    if !production_can_be_tried() {
        return;
    }
    let installed = ctl(&["install", &plugin, "--into", &into, "--trusted-keys", &keys]);
    assert_eq!(installed.code, Some(0), "{}", installed.out);
    let again = ctl(&["install", &plugin, "--into", &into, "--trusted-keys", &keys]);
    assert_eq!(again.code, Some(0), "{}", again.out);
    assert!(
        again.out.contains("; replaces 1.0.0 signed by key "),
        "{}",
        again.out
    );
    replaced_where_that_is_meant(&site, &into, &keys);
    let list = ctl(&["list", "--into", &into, "--trusted-keys", &keys]);
    assert!(
        list.out.contains("example.csv") && list.out.contains("valid"),
        "{}",
        list.out
    );
    let settings = format!("terms = \"{}\"", path("terms.csv"));
    let lines = policy(false) + &table(&site.path("installed/example.csv"), &settings);
    let daemon = start(&site, &lines);
    assert_eq!(link(&daemon, SENTENCE).status, Status::Ok);
    assert_eq!(ctl(&["remove", "../keys", "--into", &into]).code, Some(4));
    assert_eq!(ctl(&["remove", "example.csv", "--into", &into]).code, Some(0));
    assert!(!site.path("installed/example.csv").exists());
}

/// Another signer's plugin of the same id, and an older version, come into its place only where that is meant.
fn replaced_where_that_is_meant(site: &Site, into: &str, keys: &str) {
    let other = Vendor::new();
    let folder = site.path("other");
    fs::create_dir(&folder).unwrap();
    for entry in fs::read_dir(site.path("csv")).unwrap() {
        let from = entry.unwrap().path();
        fs::copy(&from, folder.join(from.file_name().unwrap())).unwrap();
    }
    write(&folder.join("terms.csv"), TERMS.as_bytes());
    let version = |number: &str| {
        let manifest = fs::read_to_string(site.path("csv/plugin.toml")).unwrap();
        let manifest = manifest.replace("\"1.0.0\"", &format!("\"{number}\""));
        write(&folder.join("plugin.toml"), manifest.as_bytes());
        other.sign(&folder);
    };
    version("1.0.10");
    write(&site.path("keys/other.pub"), other.public_key().as_bytes());
    let path = folder.display().to_string();
    let install =
        |flag: &[&str]| ctl(&[&["install", &path, "--into", into, "--trusted-keys", keys], flag].concat());
    let refused = install(&[]);
    assert_eq!(refused.code, Some(4), "{}", refused.out);
    assert!(refused.out.contains("--other-key"), "{}", refused.out);
    let meant = install(&["--other-key"]);
    assert_eq!(meant.code, Some(0), "{}", meant.out);
    assert!(meant.out.contains("not copied: terms.csv"), "{}", meant.out);
    version("1.0.9");
    let refused = install(&[]);
    assert_eq!(refused.code, Some(4), "{}", refused.out);
    assert!(refused.out.contains("older"), "{}", refused.out);
    let meant = install(&["--older"]);
    assert!(meant.out.contains("replaces 1.0.10"), "{}", meant.out);
    let back = site.path("csv").display().to_string();
    let back = ctl(&[
        "install",
        &back,
        "--into",
        into,
        "--trusted-keys",
        keys,
        "--other-key",
        "--older",
    ]);
    assert_eq!(back.code, Some(0), "{}", back.out);
}

/// Whether they build takes a minute: `tests/appliance/vendor.sh` does that.
#[test]
fn examples_are_copied_as_plugins_of_their_own() {
    let site = Site::with_toml("");
    for example in ["csv", "hl7v2", "peft"] {
        let manifest = copied(&site, example).join("Cargo.toml");
        let text = fs::read_to_string(&manifest).unwrap();
        assert!(!text.contains("workspace = true"), "{text}");
        let sdk = text.split("path = \"").nth(1).unwrap().split('"').next().unwrap();
        assert!(PathBuf::from(sdk).join("Cargo.toml").is_file(), "{text}");
        let Some(cargo) = std::env::var_os("CARGO") else {
            skipped("not run by cargo");
            continue;
        };
        let mut command = Command::new(cargo);
        command.args([
            "metadata",
            "--no-deps",
            "--offline",
            "--format-version=1",
            "--manifest-path",
        ]);
        let output = command.arg(&manifest).output().unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        let found: Value = serde_json::from_slice(&output.stdout).unwrap();
        let folder = manifest.parent().unwrap().canonicalize().unwrap();
        assert_eq!(found["workspace_root"], folder.to_str().unwrap());
        let asked = &found["packages"][0]["dependencies"];
        let of_workspace =
            fs::read_to_string(root().join("plugins/examples").join(example).join("Cargo.toml"));
        let wanted = of_workspace
            .unwrap()
            .split("[dependencies]")
            .nth(1)
            .unwrap()
            .lines()
            .filter(|line| !line.is_empty())
            .count();
        assert_eq!(asked.as_array().unwrap().len(), wanted, "{asked}");
    }
}

#[test]
fn the_conformance_suite_passes_the_examples_and_fails_the_hostile() {
    let site = Site::with_toml("");
    let host = binary("mednerd-plugin-host");
    let check_within = |patience: &str, directory: &PathBuf, settings: &str, sample: Option<PathBuf>| {
        let mut command = Command::new(&host);
        command.args(["check", "--patience-ms", patience]);
        command.arg(directory).arg(settings).args(sample);
        let output = command.output().unwrap();
        let report: Value = serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)));
        assert_eq!(report["conforms"] == true, output.status.success());
        report
    };
    let check =
        |directory: &PathBuf, settings: &str, sample| check_within("120000", directory, settings, sample);
    let conforms = |report: &Value| assert_eq!(report["conforms"], true, "{report:#}");
    conforms(&check(&units(&site), "{}", None));
    let hl7 = site.plugin(
        "hl7",
        &example_manifest("hl7v2"),
        &library("mednerd_example_hl7v2"),
    );
    let sample = root().join("plugins/examples/hl7v2/sample.hl7");
    conforms(&check(&hl7, "{}", Some(sample)));
    let peft = site.plugin(
        "peft",
        &example_manifest("peft"),
        &library("mednerd_example_peft"),
    );
    let mut tensors = Vec::new();
    let header = br#"{"base.lora_A.weight":{"dtype":"F32","shape":[1,1],"data_offsets":[0,4]}}"#;
    tensors.extend_from_slice(&(header.len() as u64).to_le_bytes());
    tensors.extend_from_slice(header);
    tensors.extend_from_slice(&[0; 4]);
    fs::create_dir(site.path("adapter")).unwrap();
    fs::write(site.path("adapter/adapter_model.safetensors"), &tensors).unwrap();
    let config = r#"{"r": 1, "lora_alpha": 1, "target_modules": ["query"]}"#;
    site.write("adapter/adapter_config.json", config);
    let settings = json!({
        "name": "drugs", "base": "0".repeat(64), "labels": ["DRUG"], "path": site.path("adapter"),
    });
    conforms(&check(&peft, &settings.to_string(), None));

    // A vocabulary that none of our words is in: tried by the vendor's own, or not at all.
    site.write(
        "words.csv",
        "id,name,semantic_type,source\nX1,zebrafish oil,T121,TEST\n",
    );
    let csv = site.plugin("csv", &example_manifest("csv"), &library("mednerd_example_csv"));
    let settings = json!({"terms": site.path("words.csv")}).to_string();
    let mentions = |words: &str, directory: &PathBuf, settings: &str| {
        site.write("mentions", words);
        let mut command = Command::new(&host);
        command.args(["check", "--mentions"]).arg(site.path("mentions"));
        let output = command.arg(directory).arg(settings).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        (
            serde_json::from_slice::<Value>(&output.stdout)
                .unwrap()
                .to_string(),
            said,
        )
    };
    let (report, _) = mentions("\n", &csv, &settings);
    assert!(report.contains("NOTHING WAS LINKED"), "{report}");
    let (report, _) = mentions("unheard-of\n", &csv, &settings);
    assert!(report.contains("not one of the 1 mentions"), "{report}");
    let (report, _) = mentions("zebrafish oil\n\nunheard-of\n", &csv, &settings);
    assert!(
        report.contains("1 of the 2 mentions") && report.contains("\"conforms\":true"),
        "{report}"
    );

    // Every harm, and the test that must find it with its sentence.
    let all = ["mednerd.normalizer/1", "mednerd.adapter/1", "mednerd.document/1"];
    let manifest = manifest("hostile", &all, "libmednerd_hostile.so");
    let hostile = site.plugin("hostile", &manifest, &library("mednerd_hostile"));
    let only = |ability: &str, folder: &str| {
        let manifest = mednerd_tests::plugins::manifest("hostile", &[ability], "libmednerd_hostile.so");
        site.plugin(folder, &manifest, &library("mednerd_hostile"))
    };
    let normalizer = only("mednerd.normalizer/1", "normalizer-harm");
    let adapter = only("mednerd.adapter/1", "adapter-harm");
    let document = only("mednerd.document/1", "format-harm");
    let (report, said) = mentions("POISON\n", &normalizer, r#"{"do": "panic"}"#);
    assert!(
        report.contains("it panicked: return an error instead"),
        "{report}"
    );
    assert!(
        said.contains("about") && said.contains("POISON"),
        "its own words are shown: {said}"
    );
    // What a server would not wait for.
    let hasty = |key: &str, ability: &str| {
        let manifest = mednerd_tests::plugins::manifest("hostile", &[ability], "libmednerd_hostile.so");
        let (call, start) = ("call_ms = 1000", "start_ms = 3000");
        let manifest = match key {
            "call" => manifest.replace(call, "call_ms = 20"),
            _ => manifest.replace(start, "start_ms = 100"),
        };
        site.plugin(key, &manifest, &library("mednerd_hostile"))
    };
    let slow = json!({"do": "slow=50"}).to_string();
    let report = check_within("2000", &hasty("call", "mednerd.normalizer/1"), &slow, None).to_string();
    assert!(report.contains("and its call_ms is 20"), "{report}");
    let slow = json!({"do": "pause=200", "at_open": true}).to_string();
    let report = check_within("5000", &hasty("start", "mednerd.document/1"), &slow, None).to_string();
    assert!(report.contains("and its start_ms is 100"), "{report}");
    let report = check(&hostile, "{}", None);
    let detail = |test: &str| {
        let tests = report["tests"].as_array().unwrap();
        let found = tests.iter().find(|found| found["test"] == test).unwrap();
        assert_eq!(found["passed"], false, "{found}");
        found["detail"].as_str().unwrap().to_owned()
    };
    assert!(detail("adapter.files").contains("has no r"));
    assert!(detail("document.sample").contains("no sample was given"));
    for (harm, why) in [
        ("panic", "it panicked"),
        ("segfault", "ended by SIGSEGV"),
        ("abort", "ended by SIGABRT"),
    ] {
        let settings = json!({"do": harm, "at_open": true}).to_string();
        let report = check(&adapter, &settings, None).to_string();
        assert!(report.contains(why), "{harm}: {report}");
    }
    for (harm, why) in [
        ("panic", "it panicked: return an error instead"),
        ("segfault", "its process died: ended by SIGSEGV"),
        ("abort", "its process died: ended by SIGABRT"),
        ("exit", "its process died: ended with exit code 0"),
        ("leak", "more memory"),
        ("thousands", "it gave 10000 concepts for a mention"),
        ("few", "it answered 0 mentions"),
        ("order", "not best first"),
        ("score", "not between 0 and 1"),
        ("vocabulary", "a vocabulary that it did not declare"),
        ("utf8", "not UTF-8"),
        ("long", "too long"),
        ("error", "something that it needs is not there (code 7)"),
    ] {
        let settings = json!({"do": harm, "always": true}).to_string();
        let report = check(&normalizer, &settings, None);
        let tests = report["tests"].as_array().unwrap();
        let found = tests.iter().any(|test| {
            test["passed"] == false && test["detail"].as_str().is_some_and(|detail| detail.contains(why))
        });
        assert!(found, "{harm}: wanted {why:?} in {report:#}");
    }
    // Of the other abilities, by the test that asks for them.
    site.write("sample", "é a sample of a format of its own");
    let failed = |report: &Value, test: &str, why: &str, harm: &str| {
        let tests = report["tests"].as_array().unwrap();
        let found = tests.iter().find(|found| found["test"] == test).unwrap();
        assert_eq!(found["passed"], false, "{harm}: {report:#}");
        assert!(
            found["detail"].as_str().unwrap().contains(why),
            "{harm}: wanted {why:?} in {found}"
        );
    };
    for (harm, why) in [
        ("beyond", "offsets that are out of range"),
        ("label", "a label that it did not declare"),
        ("many", "100000 spans"),
        ("panic", "it panicked"),
        ("abort", "ended by SIGABRT"),
    ] {
        let settings = json!({"do": harm, "always": true}).to_string();
        failed(&check(&adapter, &settings, None), "adapter.refine", why, harm);
    }
    for (harm, why) in [
        ("gap", "a map of the text with gaps"),
        ("back", "a map of the text with gaps"),
        ("beyond", "offsets that are out of range"),
        ("midsource", "a piece begins or ends within a character"),
        ("utf8", "not UTF-8"),
        ("error", "(code 7)"),
        ("segfault", "ended by SIGSEGV"),
    ] {
        let settings = json!({"do": harm, "always": true}).to_string();
        let report = check(&document, &settings, Some(site.path("sample")));
        failed(&report, "document.sample", why, harm);
    }
    // Those that never come back, without waiting two minutes for each test.
    std::thread::scope(|scope| {
        for harm in ["loop", "sleep"] {
            for (directory, test) in [
                (&normalizer, "normalizer.deadline"),
                (&adapter, "adapter.refine"),
                (&document, "document.sample"),
            ] {
                let (check_within, failed, sample) = (&check_within, &failed, site.path("sample"));
                scope.spawn(move || {
                    let settings = json!({"do": harm, "always": true}).to_string();
                    let report = check_within("300", directory, &settings, Some(sample));
                    failed(&report, test, "it did not come back within 300ms", harm);
                });
            }
        }
    });
}
