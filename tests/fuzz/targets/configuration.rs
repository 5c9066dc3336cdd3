//! A configuration as somebody wrote it: every problem has its place, and whoever asks for places sees the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mednerd::config::Config;
use mednerd::places::places;
use mednerd_fuzz::{file, seeds, tree};

const PARTS: &str = r#"
[server]
socket = "/run/other/s"
max_text_bytes = 100
[access]
groups = ["0"]
users = [{ name = "ehr" }, 7]
[engine]
threads = 2
device = "cuda"
[audit]
path = "trail"
key = "/srv/key"
[linking]
rerank = "m"
[[models]]
name = "a"
path = "/home/a"
labels = ["symptom", { name = "smoking status", synonyms = ["tobacco use", "smoker"] }]
  [[models.adapters]]
  name = "genes"
  path = "/b"
[[terms]]
name = "own"
path = "/c"
[plugin_policy]
development = true
[[plugins]]
name = "p"
path = "/p"
settings = { index = "/i", n = [1, 2.5, true, 1979-05-27] }
"#;

fuzz_target!(
    init: seeds([std::fs::read(tree("configs/mednerd.toml")).unwrap(), PARTS.as_bytes().to_vec()]),
    |bytes: &[u8]| {
        let path = file("mednerd.toml", bytes);
        let (config, mut problems) = Config::load(&path);
        let lines = 1 + bytes.iter().filter(|byte| **byte == b'\n').count();
        for problem in &problems {
            assert!(!problem.to_string().is_empty());
            let line = problem.place.as_ref().and_then(|place| place.line);
            assert!(line.is_none_or(|line| (1..=lines).contains(&line)), "line {line:?} of {lines}");
        }
        config.sort(&mut problems);
        assert!(config.engine.worker_threads() > 0);
        let found = places(&path);
        assert_eq!(found.whole, problems.is_empty());
        assert_eq!(found.socket.path, config.server.socket);
    }
);
