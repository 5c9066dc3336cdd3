//! What it costs to link a note of 40 mentions through a plugin's host, over calling the same library in this
//! process: `cargo run --release -p mednerd-tests --example plugin-link`. Prints medians in microseconds, and how
//! long a host takes to start.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

use std::fmt::Write as _;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use mednerd_plugin::host::{Caller, Library};
use mednerd_plugin::package::{self, Policy};
use mednerd_plugin::{Document, Mention, NormalizeOptions};
use mednerd_plugin_host::protocol::{Reply, Request, Start};
use mednerd_tests::Site;
use mednerd_tests::daemon::{binary, library};
use mednerd_tests::plugins::example_manifest;
use mednerd_worker::{Settings, Worker};

const ROUNDS: usize = 20_000;
const STARTS: usize = 50;
const MAX_FRAME: usize = 16 << 20;

struct Nobody;

impl Caller for Nobody {
    fn cancelled(&self) -> bool {
        false
    }

    fn remaining(&self) -> Duration {
        Duration::from_secs(1)
    }
}

fn median(mut times: Vec<Duration>) -> f64 {
    times.sort();
    times
        .get(times.len() / 2)
        .map_or(0.0, |time| time.as_secs_f64() * 1e6)
}

fn main() {
    let site = Site::with_toml("");
    let (mut terms, mut text) = ("id,name,semantic_type,source\n".to_owned(), String::new());
    let mut places = Vec::new();
    for number in 0..40 {
        let name = format!("disorder number {number}");
        writeln!(terms, "C{number},{name},T047,TEST").unwrap();
        text.push_str("The patient has ");
        places.push((text.len(), text.len() + name.len()));
        text.push_str(&name);
        text.push_str(". ");
    }
    site.write("terms.csv", &terms);
    let built = library("mednerd_example_csv");
    let directory = site.plugin("csv", &example_manifest("csv"), &built);
    let settings = serde_json::json!({"terms": site.path("terms.csv")}).to_string();
    let mentions = places.iter().map(|&(begin, end)| Mention {
        begin,
        end,
        label: "DISEASE",
        score: 0.9,
        section: None,
    });
    let document = Document {
        text: &text,
        mentions: mentions.collect(),
    };
    let options = NormalizeOptions {
        top_k: 5,
        vocabularies: Vec::new(),
    };

    let direct = {
        let library = Library::load(&built, Box::new(|_| {})).unwrap();
        let normalizer = library.normalizer(&settings).unwrap();
        let batch = [document.clone()];
        let times = (0..ROUNDS).map(|_| {
            let begun = Instant::now();
            normalizer.normalize(&batch, &options, &Nobody).unwrap();
            begun.elapsed()
        });
        median(times.collect())
    };

    let policy = Policy::development(site.path("keys"));
    let found = package::verify(&directory, &policy).unwrap();
    let opened = std::sync::Arc::new(found.library);
    let start = Start {
        directory,
        policy,
        manifest: found.manifest,
        sha256: found.sha256,
        settings,
        max_frame: MAX_FRAME,
        require_sandbox: false,
    };
    let launch = || {
        let mut settings = Settings::new("bench", binary("mednerd-plugin-host"));
        settings.start = postcard::to_allocvec(&start).unwrap();
        settings.max_frame = MAX_FRAME;
        settings.handed = Some(std::sync::Arc::clone(&opened));
        let worker = Worker::launch(settings, Box::new(|_| {})).unwrap();
        worker.wait_ready().unwrap();
        worker
    };
    let starts = (0..STARTS).map(|_| launch().statistics().start_time).collect();
    let start_time = median(starts) / 1e3;

    let worker = launch();
    let (sender, receiver) = mpsc::channel();
    let (mut whole, mut encoding, mut decoding, mut plugin) = (vec![], vec![], vec![], vec![]);
    for _ in 0..ROUNDS {
        let begun = Instant::now();
        let request = Request::Normalize {
            options: options.clone(),
            documents: vec![document.clone()],
        };
        let payload = postcard::to_allocvec(&request).unwrap();
        encoding.push(begun.elapsed());
        let sender = sender.clone();
        worker.call(payload, begun + Duration::from_secs(1), move |result| {
            let _ = sender.send(result);
        });
        let payload = receiver.recv().unwrap().unwrap();
        let answered = Instant::now();
        let reply: Reply = postcard::from_bytes(&payload).unwrap();
        decoding.push(answered.elapsed());
        plugin.push(Duration::from_nanos(reply.plugin_ns));
        whole.push(begun.elapsed());
    }
    let [whole, encoding, decoding, plugin] = [whole, encoding, decoding, plugin].map(median);
    println!("40 mentions, {ROUNDS} rounds, medians in microseconds");
    println!("direct call                  {direct:8.1}");
    println!("through the host             {whole:8.1}");
    println!(
        "  overhead                   {:8.1}   (at most 200)",
        whole - direct
    );
    println!("  of which: writing          {encoding:8.1}");
    println!("            reading          {decoding:8.1}");
    println!("            plugin           {plugin:8.1}");
    println!(
        "            wake-ups, copies {:8.1}",
        whole - encoding - decoding - plugin
    );
    println!("start of a host, ms          {start_time:8.1}   (at most 50)");
}
