//! Checks that run on a GPU and, in tests, on its emulation: each kernel against its definition in double precision, with
//! random shapes and poisoned outputs, and each model against the Python reference's answers. They fail by panicking.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

mod kernels;
mod models;
mod profile;
mod speed;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use mednerd_gpu::Engine;
use mednerd_gpu::protocol::{Labels, Load, Loaded, Precision, Values, Window};
use mednerd_model::{Adapter, Checkpoint, LabelEncoder};
use mednerd_worker::child::Token;
use serde_json::{Map, Value, json};

pub use kernels::{KERNELS, kernel};
pub use models::{ADAPTED, adapters, apart, family, variants, widen, zero_shot};
pub use profile::{Profiled, Spent, floors};
pub use speed::{Loading, loading, many_adapters, mixed, served, throughput};

use crate::{Device, GpuEngine};

struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        self.0 >> 33
    }

    /// Numbers of either sign, below `scale`.
    fn values(&mut self, count: usize, scale: f32) -> Vec<f32> {
        (0..count)
            .map(|_| (self.next() as f32 / (1_u64 << 30) as f32 - 1.0) * scale)
            .collect()
    }

    fn coin(&mut self) -> bool {
        self.below(2) == 1
    }

    /// Threads of a block.
    fn block(&mut self) -> usize {
        32 << self.below(4)
    }

    /// Of a row: any, or one that kernels move by 16 bytes.
    fn width(&mut self, limit: usize) -> usize {
        match self.coin() {
            true => 8 * (1 + self.below(limit / 8)),
            false => 1 + self.below(limit),
        }
    }

    fn below(&mut self, limit: usize) -> usize {
        self.next() as usize % limit
    }
}

fn token() -> Token {
    Token::new(
        Instant::now() + Duration::from_secs(600),
        Arc::new(AtomicBool::new(false)),
    )
}

fn load<D: Device>(engine: &GpuEngine<D>, number: u64, path: &Path) -> Checkpoint {
    let checkpoint = Checkpoint::open_base(path).unwrap();
    let load = Load {
        model: number,
        path: path.to_owned(),
        digest: checkpoint.digest().to_owned(),
        base: None,
    };
    engine.load(&load).unwrap();
    checkpoint
}

/// Loads an adapter over model 1.
fn adapt<D: Device>(engine: &GpuEngine<D>, number: u64, path: &Path, base: &Checkpoint) -> Loaded {
    let adapter = Adapter::open(path, base).unwrap();
    let load = Load {
        model: number,
        path: path.to_owned(),
        digest: adapter.digest().to_owned(),
        base: Some(1),
    };
    engine.load(&load).unwrap()
}

/// All that an engine gives for windows.
pub fn values<D: Device>(engine: &GpuEngine<D>, windows: &[Window<'_>]) -> Vec<f32> {
    let found = engine.forward(windows, &token()).unwrap();
    found.iter().flat_map(Values::values).copied().collect()
}

fn difference(found: &[f32], expected: &[f32]) -> f32 {
    assert_eq!(found.len(), expected.len());
    let differences = found.iter().zip(expected).map(|(a, b)| (a - b).abs());
    // NaN is larger than any bound.
    differences.fold(0.0, |worst, d| if d <= worst { worst } else { d })
}

/// Sequences of these lengths, of random ids that the checkpoint has.
fn random_ids(checkpoint: &Checkpoint, seed: u64, lengths: &[usize]) -> Vec<Vec<u32>> {
    let rows = checkpoint.architecture().embeddings.words.rows;
    let mut random = Random(seed);
    let mut sequence = |length: &usize| (0..*length).map(|_| random.below(rows) as u32).collect();
    lengths.iter().map(&mut sequence).collect()
}

/// What is asked of a sequence of so many tokens: of a zero-shot model, whose labels then stand in its first fifth, scores for every other
/// token behind them.
#[derive(Default)]
struct Scored {
    words: Vec<u32>,
    labels: Vec<u32>,
    /// Of labels that are encoded by themselves.
    vectors: Vec<f32>,
}

impl Scored {
    fn of(checkpoint: &Checkpoint, length: usize) -> Self {
        let Some(gliner) = checkpoint.gliner() else {
            return Self::default();
        };
        let all = length as u32;
        let labels: Vec<u32> = (0..all.div_ceil(5)).step_by(4).collect();
        let vectors = match &gliner.labels {
            LabelEncoder::Prompt(_) => Vec::new(),
            LabelEncoder::Tower { .. } => Random(3).values(labels.len() * gliner.hidden, 1.0),
        };
        Self {
            words: (all / 5..all).step_by(2).collect(),
            labels,
            vectors,
        }
    }

    fn window<'a>(&'a self, models: &'a [u64], ids: &'a [u32]) -> Window<'a> {
        let labels = match self.vectors.is_empty() {
            true => Labels::At(&self.labels),
            false => Labels::Encoded {
                count: self.labels.len(),
                vectors: &self.vectors,
            },
        };
        Window {
            words: &self.words,
            labels,
            // Hardly anything is above a threshold.
            floor: Some(f32::MAX),
            ..Window::new(models, ids)
        }
    }
}

/// Writes an adapter of random numbers to the folder `to`: of this rank, on what makes queries, keys and values from a layer on.
pub fn write_adapter(to: &Path, base: &Checkpoint, layer: usize, rank: usize) {
    let mut random = Random(rank as u64);
    let (mut modules, mut header, mut data) = (Vec::new(), Map::new(), Vec::new());
    let layers = base.architecture().layers.iter().skip(layer);
    for linear in layers.flat_map(|layer| &layer.attention.qkv) {
        let module = linear.weight.strip_suffix(".weight").unwrap();
        for (part, rows, columns) in [("A", rank, linear.inputs), ("B", linear.outputs, rank)] {
            let begin = data.len();
            let values = random.values(rows * columns, 0.2);
            data.extend(values.into_iter().flat_map(f32::to_le_bytes));
            let about =
                json!({"dtype": "F32", "shape": [rows, columns], "data_offsets": [begin, data.len()]});
            header.insert(format!("base_model.model.{module}.lora_{part}.weight"), about);
        }
        modules.push(module);
    }
    let settings = json!({
        "peft_type": "LORA",
        "r": rank,
        "lora_alpha": rank,
        "target_modules": modules,
    });
    let header = Value::from(header).to_string();
    let length = (header.len() as u64).to_le_bytes();
    fs::create_dir_all(to).unwrap();
    fs::write(to.join("adapter_config.json"), settings.to_string()).unwrap();
    let weights = [&length[..], header.as_bytes(), &data].concat();
    fs::write(to.join("adapter_model.safetensors"), weights).unwrap();
}

/// A folder of its own for what a check writes.
fn scratch(name: &str) -> PathBuf {
    static MADE: AtomicU64 = AtomicU64::new(0);
    let (process, number) = (std::process::id(), MADE.fetch_add(1, Ordering::Relaxed));
    std::env::temp_dir().join(format!("mednerd-{name}-{process}-{number}"))
}

/// In single precision, without TF32; in half precision, the self-check's own bound.
const BOUND: f32 = 1e-3;

/// A program of these checks: `kernel NAME PRECISION SEED CASES`, `family DIRECTORY PRECISION`, `zero_shot DIRECTORY PRECISION`, `adapters FIXTURES FAMILY`,
/// `apart DIRECTORY PRECISION`, from single precision, `widen FIXTURE DIRECTORY HEAD`, `speed DIRECTORY PRECISION WHAT…`, each of them
/// `throughput SEQUENCES LENGTH`, `mixed LENGTHS BUDGET`, `adapted ADAPTERS LENGTH PERCENT` or `loading LENGTH TIMES`,
/// `floors DIRECTORY PRECISION SEQUENCES LENGTH ADAPTERS SIZE`, `about`, and `lists` of kernels. It says last what came of it, and panics where
/// that is nothing good.
pub fn main<D: Device>(open: impl Fn(Precision) -> (D, String)) {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let precision = |name: &str| {
        let of = Precision::ALL
            .into_iter()
            .find(|precision| precision.name() == name);
        of.expect("fp32, fp16, bf16 or fp8")
    };
    match *arguments {
        ["lists"] => println!("{}", KERNELS.join("\n")),
        ["about"] => println!("{}", open(Precision::Fp32).1),
        ["kernel", name, of, seed, cases] => {
            let (device, _) = open(precision(of));
            kernel(&device, name, seed.parse().unwrap(), cases.parse().unwrap());
            println!("ok      kernel {name} {of}: {cases} cases");
        }
        [what @ ("family" | "zero_shot"), dir, of] => {
            let (of, place) = (precision(of), Path::new(dir));
            let bound = match of {
                Precision::Fp32 => BOUND,
                _ => f32::INFINITY,
            };
            let (worst, share) = match what {
                "family" => family(open(of).0, place, 8, bound),
                _ => zero_shot(open(of).0, place),
            };
            assert!(
                worst < bound && share < of.tolerance(),
                "{dir}: {worst}, {share} of the norm"
            );
            println!(
                "ok      {dir} {}: largest difference {worst:.1e}, {share:.1e} of the norm",
                of.name()
            );
        }
        ["adapters", fixtures, family] => {
            let worst = adapters(open(Precision::Fp32).0, Path::new(fixtures), family, BOUND, BOUND);
            println!("ok      adapters on {family}: largest difference {worst:.1e}");
        }
        ["apart", dir, of] => {
            let of = precision(of);
            let lengths = [512, 1, 130, 64, 65];
            let share = apart(open(of).0, open(Precision::Fp32).0, Path::new(dir), &lengths);
            assert!(share < of.tolerance(), "{dir}: {share} of the norm");
            println!(
                "ok      {dir} {} and fp32: {share:.1e} of the norm apart",
                of.name()
            );
        }
        ["widen", fixture, dir, head] => {
            fs::create_dir_all(dir).unwrap();
            widen(Path::new(fixture), Path::new(dir), head.parse().unwrap(), 600);
        }
        ["speed", dir, of, ref wanted @ ..] => {
            let model = served(open(precision(of)).0, Path::new(dir));
            let mut wanted = wanted;
            while !wanted.is_empty() {
                let (line, rest) = speed(&model, wanted);
                println!("ok      {dir} {of}, {line}");
                wanted = rest;
            }
        }
        ["floors", dir, of, count, length, adapters, size] => {
            let [count, length, adapters, size] =
                [count, length, adapters, size].map(|number| number.parse::<usize>().unwrap());
            let device = open(precision(of)).0;
            let (spent, (bytes, operations)) =
                floors(device, Path::new(dir), (count, length), adapters, size);
            println!("{dir} {of}, {count} x {length} tokens, {adapters} adapters");
            println!(
                "at most {:.2} TB/s and {:.0} TFLOP/s",
                bytes / 1e12,
                operations / 1e12
            );
            println!("| kernel | launches | µs in all | floor, µs | share |\n|---|---|---|---|---|");
            let (mut all, mut floor) = (0.0, 0.0);
            for (name, spent) in &spent {
                let own = (spent.bytes / bytes).max(spent.operations / operations);
                (all, floor) = (all + spent.seconds, floor + own);
                let share = 100.0 * own / spent.seconds.max(1e-9);
                let (seconds, own) = (1e6 * spent.seconds, 1e6 * own);
                println!(
                    "| {name} | {} | {seconds:.0} | {own:.0} | {share:.0} % |",
                    spent.calls
                );
                // Of which there are several to choose from.
                if name.starts_with("attend") {
                    println!(
                        "ok      {dir} {of}, {count} x {length}: {name} {seconds:.0} µs, floor {own:.0}"
                    );
                }
            }
            let (share, all, floor) = (100.0 * floor / all, 1e6 * all, 1e6 * floor);
            println!(
                "ok      {dir} {of}, {count} x {length}, {adapters} adapters: {all:.0} µs, floor {floor:.0}, {share:.0} %"
            );
        }
        _ => panic!("the module's first lines say what can be asked for"),
    }
}

/// What came of the first of these measurements, and the others.
fn speed<'a, 'b, D: Device>(
    model: &(GpuEngine<D>, Checkpoint),
    wanted: &'a [&'b str],
) -> (String, &'a [&'b str]) {
    let number = |text: &str| text.parse::<usize>().unwrap();
    match wanted {
        ["throughput", sequences, length, rest @ ..] => {
            let [sequences, length] = [sequences, length].map(|text| number(text));
            let rate = throughput(model, sequences, length, 20);
            let milliseconds = 1e3 * (sequences * length) as f64 / rate;
            let line = format!("{sequences} x {length} tokens: {rate:.0} tokens/s, {milliseconds:.3} ms");
            (line, rest)
        }
        ["mixed", lengths, budget, rest @ ..] => {
            let lengths = fs::read_to_string(lengths).unwrap();
            let lengths: Vec<usize> = lengths.lines().map(number).collect();
            let (alone, rate) = mixed(model, &lengths, number(budget), 10);
            let count = lengths.len();
            let line = format!(
                "{count} windows of mixed lengths, {budget} at once: {rate:.0} tokens/s, one call in flight {alone:.0}"
            );
            (line, rest)
        }
        ["adapted", adapters, length, percent, rest @ ..] => {
            let (own, base) = many_adapters(model, number(adapters), number(length), number(percent), 20);
            let (milliseconds, share) = (1e3 * own, own / base);
            let line = format!(
                "{adapters} adapters above {percent} % of the layers, 1 x {length} tokens: {milliseconds:.3} ms, {share:.3} of as \
                 many windows of the base"
            );
            (line, rest)
        }
        ["loading", length, times, rest @ ..] => {
            let Loading { load, alone, beside } = loading(model, number(length), number(times));
            let [load, alone, alone_worst, beside, beside_worst] =
                [load, alone.0, alone.1, beside.0, beside.1].map(|seconds| 1e3 * seconds);
            let line = format!(
                "adapter loaded in {load:.1} ms; beside it 1 x {length} tokens: {beside:.3} ms, longest {beside_worst:.3}; alone \
                 {alone:.3}, longest {alone_worst:.3}"
            );
            (line, rest)
        }
        _ => panic!("`main` says what can be measured"),
    }
}
