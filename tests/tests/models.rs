//! `mednerctl model`: from a checkpoint that anybody may have made to one that the daemon serves; what is hostile,
//! damaged or in the way is refused, and what was there stays.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr)]

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use mednerd_skip::skipped;
use mednerd_tests::daemon::{binary, root, shipped_model, tiny_model};
use mednerd_tests::notes::SENTENCE;
use mednerd_tests::{Config, Daemon};
use serde_json::{Value, json};
use tempfile::TempDir;

/// A folder with a copy of the tiny model in `tiny`, and room for models in `models` and for keys in `keys`.
struct Place(TempDir);

impl Place {
    fn new() -> Self {
        let place = Self(TempDir::new().unwrap());
        // Where a user mednerd is, it loads what is to be installed.
        fs::set_permissions(place.0.path(), fs::Permissions::from_mode(0o755)).unwrap();
        copy(&tiny_model(), &place.path("tiny"));
        fs::create_dir(place.path("keys")).unwrap();
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Runs `mednerctl model` with `--into models` and `--trusted-keys keys`: exit code, and what it said.
    fn model(&self, arguments: &[&str]) -> (i32, String) {
        let place = [self.path("models"), self.path("keys")].map(|path| path.display().to_string());
        let mut all = vec!["model"];
        all.extend(arguments);
        all.extend(["--into", &place[0]]);
        if arguments[0] != "remove" {
            all.extend(["--trusted-keys", &place[1]]);
        }
        self.ctl(&all)
    }

    fn ctl(&self, arguments: &[&str]) -> (i32, String) {
        let output = Command::new(binary("mednerctl"))
            .args(arguments)
            .env("MEDNERD_KEY_PASSWORD", "")
            .current_dir(self.0.path())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
        (output.status.code().unwrap_or(-1), said.into_owned())
    }

    /// Demands success; what was said.
    fn done(&self, arguments: &[&str]) -> String {
        let (code, said) = self.model(arguments);
        assert_eq!(code, 0, "{arguments:?}: {said}");
        said
    }

    /// Demands a refusal that says `why`.
    fn refused(&self, arguments: &[&str], why: &str) {
        let (code, said) = self.model(arguments);
        assert!(code == 4 && said.contains(why), "{arguments:?}: {code} {said}");
    }

    fn names(&self, folder: &str) -> BTreeSet<String> {
        let entries = fs::read_dir(self.path(folder)).unwrap();
        entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect()
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

/// Two texts of the reference with its entities, as `mednerd-train` writes them.
fn goldens() -> Vec<Value> {
    let golden: Value = serde_json::from_slice(&fs::read(tiny_model().join("golden.json")).unwrap()).unwrap();
    let cases = golden["cases"].as_array().unwrap().iter();
    // In code points: where there are ASCII letters alone, the fixture's bytes are the same.
    let plain = |case: &&Value| {
        case["text"]
            .as_str()
            .is_some_and(|text| text.is_ascii() && text.len() > 20)
    };
    let cases = cases.filter(|case| plain(case) && case["entities"].is_array());
    let rows = cases.map(|case| json!({"text": case["text"], "entities": case["entities"]}));
    rows.take(2).collect()
}

fn write_goldens(place: &Place, rows: &[Value]) {
    let lines: Vec<String> = rows.iter().map(ToString::to_string).collect();
    fs::write(place.path("tiny/goldens.jsonl"), lines.join("\n")).unwrap();
}

#[test]
fn a_model_is_installed_served_verified_replaced_and_removed() {
    let place = Place::new();
    fs::remove_file(place.path("tiny/README.md")).unwrap();
    fs::write(place.path("tiny/pytorch_model.bin"), "not to be copied").unwrap();
    write_goldens(&place, &goldens());
    assert!(place.done(&["list"]).contains("no model is installed"));
    let said = place.done(&["install", "tiny", "--name", "mine"]);
    for part in [
        "finds Disease, Chemical",
        "answers 2 texts",
        "not signed",
        "[[models]]",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    let files = place.names("models/mine");
    assert!(
        !files.contains("pytorch_model.bin") && !files.contains("golden.json"),
        "{files:?}"
    );
    for file in &files {
        let mode = fs::metadata(place.path("models/mine").join(file)).unwrap().mode();
        assert_eq!(mode & 0o777, 0o644, "{file}");
    }
    let card = fs::read_to_string(place.path("models/mine/README.md")).unwrap();
    assert!(
        card.contains("No card came with this model") && card.contains("Disease, Chemical"),
        "{card}"
    );
    // The record is sha256sum's.
    let checked = Command::new("sha256sum")
        .args(["--check", "--strict", "--quiet", "SHA256SUMS"])
        .current_dir(place.path("models/mine"))
        .status();
    assert!(checked.unwrap().success());
    let daemon = Daemon::start(&Config::without_models().model("mine", &place.path("models/mine"), true));
    let expected = Daemon::start(&Config::tiny()).annotate(SENTENCE);
    let places = |answer: &mednerd_client::api::AnnotateResponse| -> Vec<_> {
        answer
            .entities
            .iter()
            .map(|e| (e.begin, e.end, e.label.clone()))
            .collect()
    };
    assert_eq!(places(&daemon.annotate(SENTENCE)), places(&expected));

    let list = place.done(&["list"]);
    assert!(
        list.contains("mine") && list.contains("Disease, Chemical") && list.contains("yes"),
        "{list}"
    );
    place.done(&["verify", "mine"]);
    // Another under the same name, with a card of its own.
    fs::write(place.path("tiny/README.md"), "# By its maker\n").unwrap();
    place.done(&["install", "tiny", "--name", "mine"]);
    assert_eq!(
        fs::read_to_string(place.path("models/mine/README.md")).unwrap(),
        "# By its maker\n"
    );
    assert_eq!(
        place.names("models"),
        BTreeSet::from(["mine".to_owned()]),
        "nothing is left over"
    );

    fs::write(place.path("models/mine/README.md"), "# By somebody else\n").unwrap();
    place.refused(&["verify", "mine"], "has another content");
    let (code, said) = place.model(&["list"]);
    assert!(code == 5 && said.contains("no:"), "{code} {said}");
    place.refused(&["remove", "../tiny"], "a model's name");
    place.refused(&["remove", "other"], "is no installed model");
    place.done(&["remove", "mine"]);
    assert!(place.names("models").is_empty());
}

#[test]
fn a_snapshot_of_a_hubs_cache_is_installed_under_its_repositorys_name() {
    let place = Place::new();
    let repository = place.path("hub/models--acme--tiny-ner");
    let snapshot = repository.join("snapshots/0a1b");
    fs::create_dir_all(&snapshot).unwrap();
    fs::create_dir(repository.join("blobs")).unwrap();
    for (number, name) in [
        "config.json",
        "tokenizer.json",
        "tokenizer_config.json",
        "model.safetensors",
    ]
    .iter()
    .enumerate()
    {
        fs::copy(
            tiny_model().join(name),
            repository.join(format!("blobs/{number}")),
        )
        .unwrap();
        symlink(format!("../../blobs/{number}"), snapshot.join(name)).unwrap();
    }
    let path = snapshot.display().to_string();
    place.done(&["install", &path]);
    assert!(
        fs::symlink_metadata(place.path("models/tiny-ner/config.json"))
            .unwrap()
            .is_file()
    );
    place.done(&["verify", "tiny-ner"]);
    // Out of the repository no link leads.
    fs::remove_file(snapshot.join("config.json")).unwrap();
    fs::copy(tiny_model().join("config.json"), place.path("config.json")).unwrap();
    symlink("../../../../config.json", snapshot.join("config.json")).unwrap();
    place.refused(&["install", &path], "leads out of it");
    place.done(&["verify", "tiny-ner"]);
}

#[test]
fn what_is_damaged_or_hostile_is_refused_and_the_old_model_stays() {
    type Harm = fn(&Path);
    let place = Place::new();
    place.done(&["install", "tiny"]);
    let before = place.names("models/tiny");
    let harms: [(&str, Harm); 13] = [
        ("may run code", |tiny| {
            fs::rename(tiny.join("model.safetensors"), tiny.join("pytorch_model.bin")).unwrap();
        }),
        ("mednerd cannot use it", |tiny| {
            File::options()
                .write(true)
                .open(tiny.join("model.safetensors"))
                .unwrap()
                .set_len(50_000)
                .unwrap();
        }),
        ("mednerd cannot use it", |tiny| {
            let config = fs::read_to_string(tiny.join("config.json")).unwrap();
            let config = config.replace("\"vocab_size\": 263", "\"vocab_size\": 262");
            fs::write(tiny.join("config.json"), config).unwrap();
        }),
        ("no .safetensors file of this directory", |tiny| {
            fs::remove_file(tiny.join("model.safetensors")).unwrap();
            let index = json!({"weight_map": {"x": "../../secret.safetensors"}}).to_string();
            fs::write(tiny.join("model.safetensors.index.json"), index).unwrap();
        }),
        ("is missing", |tiny| {
            fs::remove_file(tiny.join("model.safetensors")).unwrap();
            let index = json!({"weight_map": {"x": "model-00001-of-00001.safetensors"}}).to_string();
            fs::write(tiny.join("model.safetensors.index.json"), index).unwrap();
        }),
        ("leads out of it", |tiny| {
            fs::remove_file(tiny.join("tokenizer_config.json")).unwrap();
            symlink("/etc/passwd", tiny.join("tokenizer_config.json")).unwrap();
        }),
        ("a folder, a pipe or a device", |tiny| {
            nix::unistd::mkfifo(&tiny.join("vocab.txt"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        }),
        ("a link in a circle", |tiny| {
            symlink("vocab.txt", tiny.join("vocab.txt")).unwrap()
        }),
        ("there is neither config.json", |tiny| {
            fs::remove_file(tiny.join("config.json")).unwrap()
        }),
        ("goldens.jsonl, line 1: finds", |tiny| {
            let row = json!({"text": SENTENCE, "entities": [{"begin": 0, "end": 1, "label": "Planet"}]});
            fs::write(tiny.join("goldens.jsonl"), row.to_string()).unwrap();
        }),
        ("goldens.jsonl, line 1:", |tiny| {
            fs::write(tiny.join("goldens.jsonl"), "[]\n").unwrap()
        }),
        ("has another content", |tiny| {
            let sums = format!("{}  config.json\n", "0".repeat(64));
            fs::write(tiny.join("SHA256SUMS"), sums).unwrap();
        }),
        ("SHA256SUMS, line 1", |tiny| {
            let sums = format!("{}  ../../../etc/passwd\n", "0".repeat(64));
            fs::write(tiny.join("SHA256SUMS"), sums).unwrap();
        }),
    ];
    for (why, harm) in harms {
        let tiny = place.path("tiny");
        fs::remove_dir_all(&tiny).unwrap();
        copy(&tiny_model(), &tiny);
        harm(&tiny);
        place.refused(&["install", "tiny"], why);
        assert_eq!(
            place.names("models"),
            BTreeSet::from(["tiny".to_owned()]),
            "{why}"
        );
    }
    assert_eq!(place.names("models/tiny"), before);
    place.done(&["verify", "tiny"]);
    place.refused(&["install", "tiny", "--name", "../x"], "a model's name");
    place.refused(&["install", "nowhere"], "No such file");
    let lock = File::open(place.path("models")).unwrap();
    lock.lock().unwrap();
    place.refused(&["install", "tiny"], "another mednerctl is at work");
}

#[test]
fn what_was_broken_off_is_cleared_away_and_the_old_model_comes_back() {
    let place = Place::new();
    place.done(&["install", "tiny"]);
    // Killed in the middle of a copy: the limit on a file's size ends it by a signal.
    let killed = Command::new("sh")
        .args([
            "-c",
            "ulimit -c 0; ulimit -f 100; exec \"$0\" model install tiny --into models --trusted-keys keys",
        ])
        .arg(binary("mednerctl"))
        .current_dir(place.path(""))
        .output()
        .unwrap();
    assert!(!killed.status.success());
    place.done(&["verify", "tiny"]);
    // Broken off between the two steps that a file system without exchange needs.
    fs::rename(
        place.path("models/tiny"),
        place.path("models/.tiny.mednerctl-old"),
    )
    .unwrap();
    fs::create_dir_all(place.path("models/.tiny.mednerctl-new")).unwrap();
    fs::write(place.path("tiny/config.json"), "{}").unwrap();
    place.refused(&["install", "tiny"], "mednerd cannot use it");
    place.done(&["verify", "tiny"]);
    assert_eq!(place.names("models"), BTreeSet::from(["tiny".to_owned()]));
}

#[test]
fn a_full_disk_leaves_the_old_model() {
    let place = Place::new();
    fs::create_dir(place.path("models")).unwrap();
    let script = "mount -t tmpfs -o size=256k none models && \"$0\" model install tiny --into models --trusted-keys keys \
                  && \"$0\" model install tiny --into models --trusted-keys keys; echo \"code $?\"; \
                  \"$0\" model verify tiny --into models --trusted-keys keys && ls -A models";
    let output = Command::new("unshare")
        .args(["--mount", "sh", "-c", script])
        .arg(binary("mednerctl"))
        .current_dir(place.path(""))
        .output();
    let Ok(output) = output else {
        return skipped("there is no unshare");
    };
    let out = String::from_utf8_lossy(&output.stdout);
    if out.is_empty() || out.starts_with("code 1\n") || out.starts_with("code 32\n") {
        return skipped("no file system can be mounted here");
    }
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("no room on the disk"), "{out}{said}");
    assert!(
        output.status.success() && out.contains("code 4") && out.ends_with("\ntiny\n"),
        "{out}{said}"
    );
}

#[test]
fn signatures_are_kept_and_what_they_do_not_cover_is_left_out() {
    let place = Place::new();
    assert_eq!(place.ctl(&["plugin", "keygen", "--key", "vendor.key"]).0, 0);
    let (code, said) = place.ctl(&["model", "sign", "tiny", "--key", "vendor.key"]);
    assert_eq!(code, 0, "{said}");
    place.refused(&["install", "tiny"], "which is not in");
    fs::copy(place.path("vendor.pub"), place.path("keys/vendor.pub")).unwrap();
    // Added after signing: nobody vouches for it.
    write_goldens(&place, &goldens());
    let said = place.done(&["install", "tiny"]);
    assert!(said.contains("signed by key"), "{said}");
    assert!(!place.names("models/tiny").contains("goldens.jsonl"));
    place.done(&["verify", "tiny"]);
    // A record that was changed after it was signed, and a file.
    let sums = fs::read_to_string(place.path("tiny/SHA256SUMS")).unwrap();
    fs::write(place.path("tiny/SHA256SUMS"), sums.replace('a', "b")).unwrap();
    place.refused(&["install", "tiny"], "does not fit SHA256SUMS");
    fs::write(place.path("tiny/SHA256SUMS"), sums).unwrap();
    fs::write(place.path("tiny/config.json"), "{}").unwrap();
    place.refused(&["install", "tiny"], "has another content");
    // Installed, and then the key is trusted no more.
    fs::remove_file(place.path("keys/vendor.pub")).unwrap();
    place.refused(&["verify", "tiny"], "which is not in");
}

#[test]
fn an_adapter_is_installed_over_its_base_alone() {
    let place = Place::new();
    let adapter = root()
        .join("tests/fixtures/adapters/bert/lora")
        .display()
        .to_string();
    place.refused(&["install", &adapter], "name its base with --base");
    place.done(&["install", "tiny", "--name", "base"]);
    let said = place.done(&["install", &adapter, "--base", "base", "--name", "mine"]);
    assert!(
        said.contains("adapter") && said.contains("[[models.adapters]]"),
        "{said}"
    );
    let shipped = shipped_model().display().to_string();
    place.refused(
        &["install", &adapter, "--base", &shipped],
        "mednerd cannot use it",
    );
    place.done(&["verify", "mine", "--base", "base"]);
    assert!(place.done(&["verify", "mine"]).contains("not loaded"));
    assert!(place.done(&["list"]).contains("adapter"));
    let config = Config::without_models().model("base", &place.path("models/base"), true);
    let daemon = Daemon::start(&config.adapter("mine", &place.path("models/mine")));
    let expected = Daemon::start(&Config::tiny().adapter("mine", Path::new(&adapter)));
    let ask = json!({"text": SENTENCE, "models": ["mine"]});
    let places = |daemon: &Daemon| -> Vec<_> {
        daemon
            .ask(&ask)
            .entities
            .iter()
            .map(|e| (e.begin, e.end, e.label.clone()))
            .collect()
    };
    assert_eq!(places(&daemon), places(&expected));
}

#[test]
fn large_weights_are_split_and_answer_as_before() {
    let place = Place::new();
    let shipped = shipped_model().display().to_string();
    place.done(&["install", &shipped, "--name", "split", "--max-file-mb", "14"]);
    let files = place.names("models/split");
    assert!(
        files.contains("model-00001-of-00002.safetensors") && !files.contains("model.safetensors"),
        "{files:?}"
    );
    place.done(&["verify", "split"]);
    let split = Daemon::start(&Config::without_models().model("split", &place.path("models/split"), true));
    let whole = Daemon::start(&Config::default());
    let places = |daemon: &Daemon| -> Vec<_> {
        let entities = daemon.annotate(SENTENCE).entities;
        entities
            .iter()
            .map(|e| (e.begin, e.end, e.label.clone(), e.score.to_bits()))
            .collect()
    };
    assert_eq!(places(&split), places(&whole));
}

#[test]
fn the_shipped_adapters_answer_as_their_references_and_together() {
    let names = ["anatomy", "cancer-genetics", "cell", "gene", "species"];
    let mut config = Config::without_models().model("biomed-small", &shipped_model(), true);
    for name in names {
        config = config.adapter(name, &root().join("packaging/models/adapters").join(name));
    }
    let daemon = Daemon::start(&config);
    for name in names {
        let goldens = root().join(format!("packaging/models/adapters/{name}/goldens.jsonl"));
        let mut mentions = 0;
        for line in fs::read_to_string(goldens).unwrap().lines() {
            let golden: Value = serde_json::from_str(line).unwrap();
            let answer = daemon.ask(&json!({"text": golden["text"], "models": [name]}));
            let found: Vec<Value> = answer
                .entities
                .iter()
                .map(|e| json!({"begin": e.begin, "end": e.end, "label": e.label, "text": e.text}))
                .collect();
            assert_eq!(json!(found), golden["entities"], "{name}");
            mentions += found.len();
        }
        assert!(mentions > 0, "{name}");
    }
    let text = "Sarcoma of the left kidney in two patients; HER2 and CD4+ T cells were measured.";
    let mut all = names.to_vec();
    all.push("biomed-small");
    let answer = daemon.ask(&json!({"text": text, "models": all}));
    for name in all {
        assert!(
            answer.entities.iter().any(|e| e.model == name),
            "{name} finds nothing"
        );
    }
    // What several find stays, one beside the other.
    let gene = answer.entities.iter().filter(|e| e.text == "HER2");
    let labels: BTreeSet<&str> = gene.map(|e| e.label.as_str()).collect();
    assert!(
        labels.contains("GENE") && labels.contains("protein"),
        "{labels:?}"
    );
}
