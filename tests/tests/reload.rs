//! The configuration: checked as a whole before any of it is used, at the start and at each reload.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use mednerd_client::api::{ModelsResponse, ReloadResponse};
use mednerd_tests::daemon::{root, tiny_model};
use mednerd_tests::http::message;
use mednerd_tests::notes::SENTENCE;
use mednerd_tests::{Config, Daemon, Site, eventually};
use nix::sys::signal::Signal;
use serde_json::json;

fn reload(daemon: &Daemon) -> ReloadResponse {
    daemon.admin("POST", "/v1/reload").ok().decode()
}

fn names(daemon: &Daemon) -> Vec<(String, bool)> {
    let models: ModelsResponse = daemon.request("GET", "/v1/models", "").ok().decode();
    models
        .models
        .into_iter()
        .map(|model| (model.name, model.default))
        .collect()
}

/// SIGHUP, and waits until the daemon has dealt with it.
fn hang_up(daemon: &Daemon) {
    let reloads = || {
        ["accepted", "rejected"]
            .map(|result| daemon.metric(&format!("mednerd_reloads_total{{result=\"{result}\"}}")))
            .iter()
            .sum::<f64>()
    };
    let before = reloads();
    daemon.signal(Signal::SIGHUP);
    eventually("the daemon has reloaded", || reloads() > before);
}

#[test]
fn settings_that_bear_on_answers_show_in_versions() {
    let config = |percent: usize| {
        Config::tiny().models(&format!(
            "[[terms]]\nname = \"ward\"\npath = \"ward.tsv\"\ndefault = true\nscore_percent = {percent}\n"
        ))
    };
    let site = Site::new(&config(80));
    site.write("ward.tsv", "name\tlabel\ngout\tDisease\n");
    let daemon = site.start();
    let before = daemon.annotate(SENTENCE).versions;
    assert_eq!(daemon.status().configuration.settings, before.settings);
    reload(&daemon);
    assert_eq!(daemon.annotate(SENTENCE).versions, before, "nothing has changed");
    site.configure(&config(70));
    reload(&daemon);
    let after = daemon.annotate(SENTENCE).versions;
    assert_ne!(after.settings, before.settings);
    assert_eq!(daemon.status().configuration.settings, after.settings);
    assert_eq!(after.models, before.models, "which is all that shows it");
}

#[test]
fn a_reload_loads_keeps_and_unloads_models_and_changes_the_default() {
    let daemon = Daemon::start(&Config::tiny());
    let loaded_at = daemon.status().configuration.loaded_at;
    let site = daemon.site();
    site.configure(&Config::default().model("tiny", &tiny_model(), false));
    let change = reload(&daemon);
    assert_eq!(
        (change.loaded, change.kept),
        (vec!["shipped".to_owned()], vec!["tiny".to_owned()])
    );
    assert_eq!(
        names(&daemon),
        [("shipped".to_owned(), true), ("tiny".to_owned(), false)]
    );
    assert!(
        daemon
            .annotate(SENTENCE)
            .entities
            .iter()
            .all(|entity| entity.model == "shipped")
    );
    assert!(daemon.status().configuration.loaded_at >= loaded_at);

    site.configure(&Config::default());
    let change = reload(&daemon);
    assert_eq!(
        (change.kept, change.unloaded),
        (vec!["shipped".to_owned()], vec!["tiny".to_owned()])
    );
    let request = json!({"text": "a", "models": ["tiny"]}).to_string();
    daemon
        .request("POST", "/v1/annotate", request)
        .refused(404, "unknown_model");
}

#[test]
fn sighup_reloads_as_well() {
    let daemon = Daemon::start(&Config::tiny());
    daemon.site().configure(&Config::default());
    hang_up(&daemon);
    assert_eq!(names(&daemon), [("shipped".to_owned(), true)]);
    // What the daemon writes, a thread of this test reads.
    eventually("the log says so", || {
        daemon.log().contains("the new configuration is in force")
    });

    daemon.site().write("mednerd.toml", "[server\n");
    hang_up(&daemon);
    assert_eq!(names(&daemon), [("shipped".to_owned(), true)]);
    assert!(
        daemon
            .log()
            .contains("reload refused, the old configuration serves on")
    );
    assert_eq!(daemon.status().configuration.rejected.len(), 1);
}

#[test]
fn a_reload_changes_limits() {
    let daemon = Daemon::start(&Config::tiny());
    daemon.annotate(SENTENCE);
    daemon
        .site()
        .configure(&Config::tiny().server("max_text_bytes", 10));
    reload(&daemon);
    let request = json!({"text": SENTENCE}).to_string();
    daemon
        .request("POST", "/v1/annotate", request)
        .refused(413, "text_too_long");
}

#[test]
fn a_bad_configuration_is_refused_with_its_line_and_the_old_one_serves_on() {
    let config = Config::default();
    let daemon = Daemon::start(&config);
    let before = daemon.annotate(SENTENCE);
    let good = config.toml();
    let lines = good.lines().count();
    let empty = daemon.site().path("empty");
    fs::create_dir(&empty).unwrap();
    let cases = [
        (
            good.clone() + "colour = \"red\"\n",
            lines + 1,
            "unknown key models.colour",
        ),
        (
            good.replace("[server]", "[server]\nmax_text_bytes = \"all\""),
            2,
            "must be a whole number",
        ),
        (good.replace("[access]", "[access\n"), 4, ""),
        (
            good.clone() + "[[models]]\nname = \"new\"\npath = \"/nonexistent/model\"\n",
            lines + 1,
            "model \"new\": ",
        ),
        (
            format!(
                "{good}[[models]]\nname = \"new\"\npath = \"{}\"\n",
                empty.display()
            ),
            lines + 1,
            "model \"new\": ",
        ),
        (
            good.replace("groups = []", "groups = [\"no-such-group\"]"),
            5,
            "no group named",
        ),
    ];
    for (number, (text, line, message)) in cases.iter().enumerate() {
        daemon.site().write("mednerd.toml", text);
        let error = daemon.admin("POST", "/v1/reload").refused(422, "reload_rejected");
        let place = format!("{}:{line}: ", daemon.site().config().display());
        let problems: Vec<String> = serde_json::from_value(error.details["problems"].clone()).unwrap();
        let told = |problem: &String| problem.starts_with(&place) && problem.contains(message);
        assert!(
            problems.iter().any(told),
            "case {number}: no {place}…{message} in {problems:#?}"
        );
        let status = daemon.status();
        assert_eq!(
            status.configuration.rejected, problems,
            "status tells until it is put right"
        );
        let after = daemon.annotate(SENTENCE);
        assert_eq!(
            (&after.entities, &after.versions),
            (&before.entities, &before.versions)
        );
    }
    daemon.site().configure(&config);
    reload(&daemon);
    assert_eq!(daemon.status().configuration.rejected, [""; 0]);
    assert_eq!(
        daemon.metric("mednerd_reloads_total{result=\"rejected\"}"),
        cases.len() as f64
    );
}

#[test]
fn what_needs_a_restart_is_refused_in_a_sentence_that_says_so() {
    let config = Config::tiny();
    let daemon = Daemon::start(&config);
    for (old, new, key) in [
        ("\"mednerd.sock\"", "\"other.sock\"", "server.socket"),
        ("\"admin.sock\"", "\"other.sock\"", "server.admin_socket"),
        ("threads = 2", "threads = 3", "engine.threads"),
    ] {
        let text = config.toml().replace(old, new);
        daemon.site().write("mednerd.toml", &text);
        let line = 1 + text.lines().position(|line| line.contains(new)).unwrap();
        let place = format!("{}:{line}", daemon.site().config().display());
        let error = daemon.admin("POST", "/v1/reload").refused(422, "reload_rejected");
        let sentence =
            format!("{place}: {key} cannot change while mednerd runs; restart it to use the new value");
        assert_eq!(error.details["problems"], json!([sentence]));
        daemon.annotate(SENTENCE);
    }
    assert!(!daemon.site().path("other.sock").exists());
}

#[test]
fn reloads_under_load_lose_no_request() {
    let daemon = Daemon::start(&Config::default());
    let variants = [
        Config::default(),
        Config::default().model("tiny", &tiny_model(), false),
        Config::default().server("max_queued_documents", 100),
    ];
    let (stop, answered) = (AtomicBool::new(false), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for client in 0..4 {
            let (daemon, stop, answered) = (&daemon, &stop, &answered);
            scope.spawn(move || {
                let request = message("POST", "/v1/annotate", json!({"text": SENTENCE}).to_string());
                let mut connection = daemon.connect();
                while !stop.load(Ordering::SeqCst) {
                    connection.send(&request).unwrap();
                    connection.reply().unwrap().ok();
                    answered.fetch_add(1, Ordering::SeqCst);
                    if client % 2 == 0 {
                        connection = daemon.connect();
                    }
                }
            });
        }
        for round in 0..18 {
            let before = answered.load(Ordering::SeqCst);
            if round % 3 == 2 {
                daemon.site().write("mednerd.toml", "[nonsense]\n");
                daemon.admin("POST", "/v1/reload").refused(422, "reload_rejected");
            }
            daemon.site().configure(&variants[round % variants.len()]);
            reload(&daemon);
            eventually("requests go on", || answered.load(Ordering::SeqCst) > before + 10);
        }
        stop.store(true, Ordering::SeqCst);
    });
    assert_eq!(daemon.status().requests.failed, 0);
}

#[test]
fn a_model_whose_files_changed_is_loaded_anew() {
    let site = Site::new(&Config::default());
    let copy = site.path("model");
    fs::create_dir(&copy).unwrap();
    for entry in fs::read_dir(tiny_model()).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), copy.join(entry.file_name())).unwrap();
    }
    site.configure(&Config::without_models().model("tiny", &copy, true));
    let daemon = site.start();
    let digest = daemon.annotate("a").versions.models["tiny"].clone();
    assert_eq!(reload(&daemon).kept, ["tiny"]);

    let config = fs::read_to_string(copy.join("config.json")).unwrap();
    fs::write(copy.join("config.json"), config.replace("Disease", "Illness")).unwrap();
    assert_eq!(reload(&daemon).loaded, ["tiny"]);
    assert_ne!(daemon.annotate("a").versions.models["tiny"], digest);

    let weights = fs::read(copy.join("model.safetensors")).unwrap();
    fs::write(copy.join("model.safetensors"), &weights[..weights.len() / 2]).unwrap();
    let error = daemon.admin("POST", "/v1/reload").refused(422, "reload_rejected");
    let problem = error.details["problems"][0].as_str().unwrap();
    assert!(
        problem.contains("model.safetensors"),
        "it names the file: {problem}"
    );
    daemon.annotate(SENTENCE);
}

#[test]
fn conf_d_is_read_after_the_main_file() {
    let site = Site::new(&Config::tiny());
    fs::create_dir(site.path("conf.d")).unwrap();
    site.write("conf.d/10-limit.toml", "[server]\nmax_text_bytes = 10\n");
    site.write("conf.d/20-limit.toml", "[server]\nmax_text_bytes = 20\n");
    // What editors leave there: a lock that points nowhere, a copy.
    std::os::unix::fs::symlink("somebody@host.1", site.path("conf.d/.#20-limit.toml")).unwrap();
    site.write("conf.d/.30-copy.toml", "][");
    let daemon = site.start();
    daemon.annotate("twenty bytes at most");
    let reply = daemon.request(
        "POST",
        "/v1/annotate",
        json!({"text": "more than twenty bytes"}).to_string(),
    );
    assert_eq!(reply.refused(413, "text_too_long").details["limit"], 20);
    assert_eq!(daemon.status().configuration.files.len(), 3);
    assert_eq!(reload(&daemon).kept, ["tiny"]);
}

#[test]
fn an_unknown_key_ends_the_start_with_file_and_line() {
    let site = Site::with_toml(&Config::tiny().toml().replace("[access]", "[access]\ncolour = 1"));
    let mut daemon = site.spawn();
    assert_eq!(daemon.wait().code(), Some(78));
    let place = format!("{}:5: unknown key access.colour", site.config().display());
    daemon.logs(&place);
    assert!(!site.socket().exists(), "nothing was opened");
}

#[test]
fn a_daemon_without_a_model_or_with_a_broken_one_does_not_start() {
    let site = Site::new(&Config::without_models());
    let mut daemon = site.spawn();
    assert_eq!(daemon.wait().code(), Some(78));
    assert!(
        daemon.log().contains("no model is configured"),
        "{}",
        daemon.log()
    );

    let site = Site::new(&Config::without_models());
    fs::create_dir(site.path("model")).unwrap();
    for entry in fs::read_dir(tiny_model()).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), site.path("model").join(entry.file_name())).unwrap();
    }
    site.write("model/config.json", "{\"model_type\": \"bert\"}");
    site.configure(&Config::without_models().model("broken", &site.path("model"), true));
    let mut daemon = site.spawn();
    assert_eq!(daemon.wait().code(), Some(78));
    assert!(
        daemon.log().contains("model.safetensors: tensor")
            && daemon.log().contains("the model's configuration asks for"),
        "it names the file, and what asks for something else: {}",
        daemon.log()
    );
}

#[test]
fn validate_prints_every_problem_at_once_and_ends_with_78() {
    let site = Site::with_toml(
        "[server]\nsokcet = \"x\"\nmax_connections = 0\n[engine]\ndevice = \"tpu\"\n[[models]]\nname = \"a\"\n[extra]\n\
         [[models]]\nname = \"b\"\npath = \"/nowhere\"\n[access]\nusers = [\"nobody-of-this-name\"]\n",
    );
    fs::create_dir(site.path("conf.d")).unwrap();
    site.write("conf.d/site.toml", "[access]\ngroups = 7\n");
    let output = site.validate();
    assert_eq!(output.status.code(), Some(78));
    let printed = String::from_utf8(output.stdout).unwrap();
    let (main, more) = (site.config(), site.path("conf.d/site.toml"));
    for (file, line, message) in [
        (&main, 2, "unknown key server.sokcet"),
        (&main, 3, "server.max_connections must be between"),
        (&main, 5, "engine.device must be"),
        (&main, 6, "models.path is missing"),
        (&main, 8, "unknown key extra"),
        (&main, 9, "model \"b\": /nowhere"),
        (&main, 13, "there is no user named \"nobody-of-this-name\""),
        (&more, 2, "access.groups must be an array"),
    ] {
        let expected = format!("{}:{line}: {message}", file.display());
        assert!(
            printed.lines().any(|found| found.starts_with(&expected)),
            "no {expected} in\n{printed}"
        );
    }
    assert_eq!(printed.lines().count(), 8, "{printed}");
}

#[test]
fn validate_tries_what_the_configuration_names() {
    let site = Site::new(
        &Config::default()
            .model("one", "/nonexistent/one".as_ref(), false)
            .model("two", "/nonexistent/two".as_ref(), false)
            .access("groups = [\"no-such-group\"]\n"),
    );
    let output = site.validate();
    assert_eq!(output.status.code(), Some(78));
    let printed = String::from_utf8(output.stdout).unwrap();
    for expected in ["/nonexistent/one", "/nonexistent/two", "no-such-group"] {
        assert!(printed.contains(expected), "no {expected} in\n{printed}");
    }
}

#[test]
fn validate_ends_with_0_where_all_is_right_and_touches_nothing() {
    let site = Site::new(&Config::default());
    let daemon = site.start();
    let output = site.validate();
    let printed = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{printed}");
    assert!(printed.contains("model \"shipped\": bert"), "{printed}");
    daemon.annotate(SENTENCE);
}

#[test]
fn the_shipped_configuration_is_right_but_for_what_only_the_package_installs() {
    let site = Site::with_toml("");
    let text = fs::read_to_string(root().join("configs/mednerd.toml")).unwrap();
    let installed = "/usr/share/mednerd/models";
    let shipped = root().join("packaging/models");
    for name in [
        "biomed-small",
        "adapters/anatomy",
        "adapters/gene",
        "adapters/cell",
        "adapters/cancer-genetics",
        "adapters/species",
    ] {
        assert!(text.contains(&format!("{installed}/{name}\"")), "{name}");
    }
    let terms = root().join("packaging/terms").display().to_string();
    assert!(text.contains("\"/usr/share/mednerd/terms\""));
    let text = text
        .replace(installed, &shipped.display().to_string())
        .replace("/usr/share/mednerd/terms", &terms)
        .replace("groups = [\"mednerd\"]", "groups = []")
        .replace("\"/var/lib/mednerd/audit\"\n# key", "\"audit\"\nkey")
        .replace("\"/etc/mednerd/audit.key\"", "\"audit.key\"")
        .replace(
            "/var/lib/mednerd/models/sapbert",
            &tiny_model().display().to_string(),
        );
    fs::create_dir(site.path("audit")).unwrap();
    site.write("audit.key", &"0123456789abcdef".repeat(4));
    site.write("mednerd.toml", &text);
    let validate = || {
        let output = site.validate();
        let printed = String::from_utf8_lossy(&output.stdout);
        assert_eq!(output.status.code(), Some(0), "{printed}");
    };
    validate();
    // And so is every key that it shows as a comment.
    let shown: String = text
        .lines()
        .map(|line| match line.strip_prefix("# ") {
            Some(shown) if shown.split_once(" = ").is_some_and(|(key, _)| !key.contains(' ')) => {
                format!("{shown}\n")
            }
            _ => format!("{line}\n"),
        })
        .collect();
    assert!(
        shown.lines().filter(|line| !line.starts_with('#')).count() > 15,
        "{shown}"
    );
    site.write("mednerd.toml", &shown);
    validate();
}
