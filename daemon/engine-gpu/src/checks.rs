//! Checks that run on a GPU and, in tests, on its emulation: each kernel against its definition in double precision, with
//! random shapes and poisoned outputs, and each model against the Python reference's answers. They fail by panicking.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use mednerd_gpu::Engine;
use mednerd_gpu::protocol::{Load, Loaded, Precision, Window};
use mednerd_model::{Adapter, Checkpoint, Disentangled, Table};
use mednerd_worker::child::Token;
use serde_json::{Map, Value, json};

use crate::lower::{attention_shared, runs, tensor_shared};
use crate::{Arg, Device, GpuEngine, Kind, Launch, Values};

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

/// A device, and values on it with what they are there.
struct Bench<'a, D: Device> {
    device: &'a D,
    random: Random,
}

impl<'a, D: Device> Bench<'a, D> {
    fn new(device: &'a D, seed: u64) -> Self {
        Self {
            device,
            random: Random(seed),
        }
    }

    fn elements(&mut self, count: usize, scale: f32) -> (D::Buffer, Vec<f64>) {
        let buffer = self
            .device
            .upload(Values::Elements(&self.random.values(count, scale)))
            .unwrap();
        let stored = self.values(&buffer);
        (buffer, stored)
    }

    fn values(&self, buffer: &D::Buffer) -> Vec<f64> {
        let values = self.device.download(buffer).unwrap();
        values.into_iter().map(f64::from).collect()
    }

    /// Poisoned.
    fn out(&self, count: usize) -> D::Buffer {
        self.device
            .upload(Values::Elements(&vec![f32::NAN; count]))
            .unwrap()
    }

    fn floats(&self, values: &[f32]) -> D::Buffer {
        self.device.upload(Values::Floats(values)).unwrap()
    }

    fn addresses(&self, values: &[u64]) -> D::Buffer {
        self.device.upload(Values::Addresses(values)).unwrap()
    }

    fn indices(&self, values: &[u32]) -> D::Buffer {
        self.device.upload(Values::Indices(values)).unwrap()
    }

    fn launch(
        &self,
        name: &str,
        grid: (usize, usize),
        block: usize,
        shared: usize,
        arguments: &[Arg<'_, D::Buffer>],
    ) {
        let launch = Launch { grid, block, shared };
        self.device.launch(name, launch, arguments).unwrap();
    }

    /// What is in `buffer` is `expected`, but for rounding; a place that was not written is NaN, which is nothing.
    fn compare(&self, what: &str, buffer: &D::Buffer, expected: &[f64]) {
        let bound = match self.device.precision() {
            Precision::Fp32 => 2e-5,
            Precision::Fp16 => 3e-3,
            Precision::Bf16 => 2e-2,
        };
        let found = self.values(buffer);
        assert_eq!(found.len(), expected.len(), "{what}");
        for (index, (found, expected)) in found.iter().zip(expected).enumerate() {
            let near = (found - expected).abs() <= bound * expected.abs().max(1.0);
            assert!(near, "{what}: {found} and not {expected} at {index}");
        }
    }
}

fn activate(number: usize, x: f64) -> f64 {
    match number {
        1 => x * 0.5 * (1.0 + erf(x / 2.0_f64.sqrt())),
        2 => 0.5 * x * (1.0 + ((2.0 / std::f64::consts::PI).sqrt() * (x + 0.044_715 * x.powi(3))).tanh()),
        3 => x / (1.0 + (-1.702 * x).exp()),
        4 => x.max(0.0),
        5 => x / (1.0 + (-x).exp()),
        6 => x.tanh(),
        _ => x,
    }
}

/// By its series, good to 1e-12 where |x| < 4, and ±1 beyond.
fn erf(x: f64) -> f64 {
    if x.abs() > 4.0 {
        return x.signum() * (1.0 - 1.5e-8);
    }
    let (mut term, mut sum) = (x, x);
    for n in 1..100 {
        term *= -x * x / f64::from(n);
        sum += term / f64::from(2 * n + 1);
    }
    sum * 2.0 / std::f64::consts::PI.sqrt()
}

fn norm(kind: usize, row: &[f64], weight: &[f64], bias: Option<&[f64]>, eps: f64) -> Vec<f64> {
    if kind == 0 {
        return row.to_vec();
    }
    let width = row.len() as f64;
    let mean = if kind == 1 {
        row.iter().sum::<f64>() / width
    } else {
        0.0
    };
    let variance = row.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / width;
    let values = row.iter().enumerate();
    values
        .map(|(c, x)| (x - mean) / (variance + eps).sqrt() * weight[c] + bias.map_or(0.0, |bias| bias[c]))
        .collect()
}

fn embed<D: Device>(device: &D, seed: u64) {
    let mut random = Random(seed ^ 0x5555);
    let (block, tokens, width) = (random.block(), 1 + random.below(5), random.width(300));
    let (kind, placed, biased) = (random.below(3), random.coin(), random.coin());
    let mut bench = Bench::new(device, seed);
    let (words, w) = bench.elements(7 * width, 2.0);
    let (rows, r) = bench.elements(5 * width, 1.0);
    let (weight, g) = bench.elements(width, 1.0);
    let (bias, b) = bench.elements(width, 1.0);
    let ids: Vec<u32> = (0..tokens).map(|_| bench.random.below(7) as u32).collect();
    let places: Vec<u32> = (0..tokens).map(|_| bench.random.below(5) as u32).collect();
    let (on_ids, on_places, out) = (
        bench.indices(&ids),
        bench.indices(&places),
        bench.out(tokens * width),
    );
    bench.launch(
        "embed",
        (tokens, 1),
        block,
        32 + width,
        &[
            Arg::At(&on_ids, 0),
            Arg::At(&on_places, 0),
            Arg::Buffer(Some(&words)),
            Arg::Buffer(placed.then_some(&rows)),
            Arg::Buffer(Some(&weight)),
            Arg::Buffer(biased.then_some(&bias)),
            Arg::Buffer(Some(&out)),
            Arg::Int(width),
            Arg::Float(1e-3),
            Arg::Int(kind),
        ],
    );
    let expected = ids.iter().zip(&places).flat_map(|(id, place)| {
        let sum: Vec<f64> = (0..width)
            .map(|c| {
                w[*id as usize * width + c]
                    + if placed {
                        r[*place as usize * width + c]
                    } else {
                        0.0
                    }
            })
            .collect();
        norm(kind, &sum, &g, biased.then_some(&b), 1e-3)
    });
    bench.compare("embed", &out, &expected.collect::<Vec<_>>());
}

fn add_norm<D: Device>(device: &D, seed: u64) {
    let mut random = Random(seed ^ 0x5555);
    let (block, rows, width) = (random.block(), 1 + random.below(5), random.width(300));
    let (kind, in_place) = (random.below(3), random.coin());
    let parts = [random.coin(), random.coin(), random.coin(), random.coin()];
    let [shifted, residual, summed, biased] = parts;
    let mut bench = Bench::new(device, seed);
    let (x, v) = bench.elements(rows * width, 2.0);
    let (shift, s) = bench.elements(width, 1.0);
    let (before, r) = bench.elements(rows * width, 2.0);
    let (weight, g) = bench.elements(width, 1.0);
    let (bias, b) = bench.elements(width, 1.0);
    let (sum, out) = (bench.out(rows * width), bench.out(rows * width));
    let sum = if in_place && residual { &before } else { &sum };
    bench.launch(
        "add_norm",
        (rows, 1),
        block,
        32 + width,
        &[
            Arg::Buffer(Some(&x)),
            Arg::Buffer(shifted.then_some(&shift)),
            Arg::Buffer(residual.then_some(&before)),
            Arg::Buffer(Some(&weight)),
            Arg::Buffer(biased.then_some(&bias)),
            Arg::Buffer(summed.then_some(sum)),
            Arg::Buffer(Some(&out)),
            Arg::Int(width),
            Arg::Float(1e-3),
            Arg::Int(kind),
        ],
    );
    let total: Vec<f64> = v
        .iter()
        .enumerate()
        .map(|(i, x)| x + if shifted { s[i % width] } else { 0.0 } + if residual { r[i] } else { 0.0 })
        .collect();
    if summed {
        bench.compare("add_norm", sum, &total);
    }
    let total = match summed {
        true => bench.values(sum),
        false => total,
    };
    let expected = total
        .chunks(width)
        .flat_map(|row| norm(kind, row, &g, biased.then_some(&b), 1e-3));
    bench.compare("add_norm", &out, &expected.collect::<Vec<_>>());
}

fn finish_and_gate<D: Device>(device: &D, seed: u64) {
    let mut random = Random(seed ^ 0x5555);
    let (block, rows, width) = (random.block(), 1 + random.below(5), random.width(200));
    let activation = random.below(7);
    let parts = [random.coin(), random.coin(), random.coin(), random.coin()];
    let [biased, changed, in_place, to_floats] = parts;
    let mut bench = Bench::new(device, seed);
    let (x, v) = bench.elements(rows * width, 3.0);
    let (bias, b) = bench.elements(width, 1.0);
    // Slot 0 has nothing, 1 a gain, 2 a bias, 3 both.
    let (gain, own) = (bench.random.values(width, 2.0), bench.random.values(width, 2.0));
    let on_gain = bench.floats(&gain);
    let on_own = bench.floats(&own);
    let (at_gain, at_own) = (
        bench.device.address(&on_gain).unwrap(),
        bench.device.address(&on_own).unwrap(),
    );
    let gains = bench.addresses(&[0, at_gain, 0, at_gain]);
    let owns = bench.addresses(&[0, 0, at_own, at_own]);
    let slots: Vec<u32> = (0..rows).map(|_| bench.random.below(4) as u32).collect();
    let on_slots = bench.indices(&slots);
    let kind = if to_floats { Kind::Floats } else { Kind::Elements };
    let out = bench.device.allocate(kind, rows * width).unwrap();
    let to = if in_place && !to_floats { &x } else { &out };
    bench.launch(
        if to_floats { "logits" } else { "finish" },
        (rows, 1),
        block,
        0,
        &[
            Arg::Buffer(Some(&x)),
            Arg::Buffer(biased.then_some(&bias)),
            Arg::Buffer(changed.then_some(&gains)),
            Arg::Buffer(changed.then_some(&owns)),
            Arg::At(&on_slots, 0),
            Arg::Buffer(Some(to)),
            Arg::Int(width),
            Arg::Int(activation),
        ],
    );
    let expected: Vec<f64> = v
        .iter()
        .enumerate()
        .map(|(i, x)| {
            let (slot, c) = (slots[i / width], i % width);
            let gain = if changed && slot % 2 == 1 {
                f64::from(gain[c])
            } else {
                1.0
            };
            let own = if changed && slot >= 2 {
                f64::from(own[c])
            } else {
                0.0
            };
            activate(activation, x * gain + own + if biased { b[c] } else { 0.0 })
        })
        .collect();
    bench.compare("finish_and_gate", to, &expected);
    // The halves of one row twice as wide.
    let (x, v) = bench.elements(rows * 2 * width, 2.0);
    let (bias, b) = bench.elements(2 * width, 1.0);
    let out = bench.out(rows * width);
    bench.launch(
        "gate",
        (rows, 1),
        block,
        0,
        &[
            Arg::Buffer(Some(&x)),
            Arg::Buffer(biased.then_some(&bias)),
            Arg::Buffer(Some(&out)),
            Arg::Int(width),
            Arg::Int(activation),
        ],
    );
    let at = |row: usize, c: usize| v[row * 2 * width + c] + if biased { b[c] } else { 0.0 };
    let expected: Vec<f64> = (0..rows * width)
        .map(|i| activate(activation, at(i / width, i % width)) * at(i / width, width + i % width))
        .collect();
    bench.compare("finish_and_gate", &out, &expected);
}

fn rotate_and_unfold<D: Device>(device: &D, seed: u64) {
    let mut random = Random(seed ^ 0x5555);
    let block = random.block();
    let lengths: Vec<usize> = (0..=random.below(3)).map(|_| 1 + random.below(6)).collect();
    let (heads, half) = (1 + random.below(3), 1 + random.below(8));
    let (rest, taps) = (random.below(5), random.below(3));
    let mut bench = Bench::new(device, seed);
    let tokens: usize = lengths.iter().sum();
    let (mut places, mut sequences, mut starts) = (Vec::new(), Vec::new(), vec![0_u32]);
    for (number, length) in lengths.iter().enumerate() {
        places.extend(0..*length as u32);
        sequences.extend(vec![number as u32; *length]);
        starts.push(places.len() as u32);
    }
    let (on_places, on_sequences, on_starts) = (
        bench.indices(&places),
        bench.indices(&sequences),
        bench.indices(&starts),
    );
    let (d, stride) = (2 * half, heads * 2 * half + rest);
    let (x, v) = bench.elements(tokens * stride, 2.0);
    let angles = bench.random.values(7 * half, 3.0);
    let table = |function: fn(f32) -> f32| angles.iter().map(|angle| function(*angle)).collect::<Vec<f32>>();
    let (cosines, sines) = (table(f32::cos), table(f32::sin));
    let on_cosines = bench.floats(&cosines);
    let on_sines = bench.floats(&sines);
    bench.launch(
        "rotate",
        (tokens, 1),
        block,
        0,
        &[
            Arg::Buffer(Some(&x)),
            Arg::At(&on_places, 0),
            Arg::Buffer(Some(&on_cosines)),
            Arg::Buffer(Some(&on_sines)),
            Arg::Int(stride),
            Arg::Int(heads),
            Arg::Int(d),
        ],
    );
    let mut expected = v.clone();
    for (token, place) in places.iter().enumerate().take(tokens) {
        for pair in 0..heads * half {
            let (first, at) = (
                token * stride + pair / half * d + pair % half,
                *place as usize * half + pair % half,
            );
            let (c, s) = (f64::from(cosines[at]), f64::from(sines[at]));
            expected[first] = v[first] * c - v[first + half] * s;
            expected[first + half] = v[first + half] * c + v[first] * s;
        }
    }
    bench.compare("rotate_and_unfold", &x, &expected);
    let (kernel, width) = (2 * taps + 1, stride);
    let (x, v) = bench.elements(tokens * width, 2.0);
    let out = bench.out(tokens * kernel * width);
    bench.launch(
        "unfold",
        (tokens, 1),
        block,
        0,
        &[
            Arg::Buffer(Some(&x)),
            Arg::At(&on_places, 0),
            Arg::At(&on_sequences, 0),
            Arg::At(&on_starts, 0),
            Arg::Buffer(Some(&out)),
            Arg::Int(width),
            Arg::Int(kernel),
        ],
    );
    let expected: Vec<f64> = (0..tokens * kernel * width)
        .map(|i| {
            let (token, tap, c) = (i / (kernel * width), i / width % kernel, i % width);
            let from = (token + tap).checked_sub(taps).filter(|from| *from < tokens);
            let from = from.filter(|from| sequences[*from] == sequences[token]);
            from.map_or(0.0, |from| v[from * width + c])
        })
        .collect();
    bench.compare("rotate_and_unfold", &out, &expected);
}

/// An adapter's rank, and on the device and in double precision its two matrices.
type LowRank<B> = (usize, (B, Vec<f64>), (B, Vec<f64>));

fn low_rank_changes<D: Device>(device: &D, seed: u64) {
    let mut random = Random(seed ^ 0x5555);
    let (block, rows) = (random.block(), 1 + random.below(5));
    let (inputs, outputs) = (1 + random.below(99), 1 + random.below(99));
    let ranks = (1 + random.below(8), 1 + random.below(8));
    let mut bench = Bench::new(device, seed);
    let (x, v) = bench.elements(rows * inputs, 1.0);
    let (y, before) = bench.elements(rows * outputs, 1.0);
    // Slot 0 has no change.
    let adapters: Vec<_> = [ranks.0, ranks.1]
        .into_iter()
        .map(|rank| {
            (
                rank,
                bench.elements(rank * inputs, 0.3),
                bench.elements(outputs * rank, 0.3),
            )
        })
        .collect();
    let address = |bench: &Bench<'_, D>, find: fn(&LowRank<D::Buffer>) -> &D::Buffer| {
        let mut addresses = vec![0];
        addresses.extend(
            adapters
                .iter()
                .map(|adapter| bench.device.address(find(adapter)).unwrap()),
        );
        bench.addresses(&addresses)
    };
    let downs = address(&bench, |adapter| &adapter.1.0);
    let ups = address(&bench, |adapter| &adapter.2.0);
    let on_ranks = bench.indices(&[0, ranks.0 as u32, ranks.1 as u32]);
    let slots: Vec<u32> = (0..rows).map(|_| bench.random.below(3) as u32).collect();
    let on_slots = bench.indices(&slots);
    let longest = ranks.0.max(ranks.1);
    let middle = bench.device.allocate(Kind::Floats, rows * longest).unwrap();
    bench.launch(
        "lora_shrink",
        (rows, 1),
        block,
        0,
        &[
            Arg::Buffer(Some(&x)),
            Arg::Buffer(Some(&downs)),
            Arg::Buffer(Some(&on_ranks)),
            Arg::At(&on_slots, 0),
            Arg::Buffer(Some(&middle)),
            Arg::Int(inputs),
            Arg::Int(longest),
        ],
    );
    bench.launch(
        "lora_expand",
        (rows, 1),
        block,
        0,
        &[
            Arg::Buffer(Some(&middle)),
            Arg::Buffer(Some(&ups)),
            Arg::Buffer(Some(&on_ranks)),
            Arg::At(&on_slots, 0),
            Arg::Buffer(Some(&y)),
            Arg::Int(outputs),
            Arg::Int(longest),
        ],
    );
    let expected: Vec<f64> = before
        .iter()
        .enumerate()
        .map(|(i, before)| {
            let (row, o) = (i / outputs, i % outputs);
            let Some(slot) = (slots[row] as usize).checked_sub(1) else {
                return *before;
            };
            let (rank, (_, down), (_, up)) = &adapters[slot];
            let change = (0..*rank).map(|r| {
                let dot: f64 = (0..inputs)
                    .map(|c| v[row * inputs + c] * down[r * inputs + c])
                    .sum();
                up[o * rank + r] * dot
            });
            before + change.sum::<f64>()
        })
        .collect();
    bench.compare("low_rank_changes", &y, &expected);
}

fn attend<D: Device>(device: &D, seed: u64) {
    let mut random = Random(seed ^ 0x5555);
    let lengths: Vec<usize> = (0..=random.below(3)).map(|_| 1 + random.below(69)).collect();
    let shape = (1 + random.below(2), 1 + random.below(2), 1 + random.below(19));
    let (key_tile, block) = (8 << random.below(3), 64 << random.below(2));
    let reach = random.coin().then(|| random.below(20));
    let terms = [random.coin(), random.coin()];
    attention_case(device, &lengths, shape, Some(key_tile), reach, terms, block, seed);
}

/// The kernels on tensor cores, where the device has any for its precision.
fn attend_tensor<D: Device>(device: &D, seed: u64) {
    if !device.tensor_cores() {
        return;
    }
    let mut random = Random(seed ^ 0x5555);
    let lengths: Vec<usize> = (0..=random.below(2)).map(|_| 1 + random.below(150)).collect();
    let shape = (1 + random.below(2), 1 + random.below(2), 32 << random.below(3));
    let reach = random.coin().then(|| random.below(80));
    attention_case(device, &lengths, shape, None, reach, [false, false], 128, seed);
}

/// And those of them that have relative places, of one term or both.
fn attend_places<D: Device>(device: &D, seed: u64) {
    if !device.tensor_cores() {
        return;
    }
    let mut random = Random(seed ^ 0x5555);
    // One now and then of several tiles, so that their distances reach far into the buckets.
    let longest = if random.below(8) == 0 { 330 } else { 150 };
    let lengths: Vec<usize> = (0..=random.below(2)).map(|_| 1 + random.below(longest)).collect();
    let shape = (1 + random.below(2), 1 + random.below(2), 32 << random.below(3));
    let reach = (random.below(4) == 0).then(|| random.below(80));
    let terms = [[true, true], [true, true], [true, false], [false, true]][random.below(4)];
    attention_case(device, &lengths, shape, None, reach, terms, 128, seed);
}

/// The row of each distance: any, as DeBERTa v2 shares them out, one for each distance, or as v3, in buckets.
fn columns_of_distances(random: &mut Random, context: usize, rows: usize) -> Vec<u32> {
    let buckets = match random.below(3) {
        0 => return (1..2 * context).map(|_| random.below(rows) as u32).collect(),
        1 => None,
        _ => Some(rows / 2),
    };
    let places = Disentangled {
        table: Table {
            weight: String::new(),
            rows,
            width: 1,
        },
        norm: None,
        buckets,
        longest: if buckets.is_some() { context } else { rows / 2 },
        content_to_position: None,
        position_to_content: None,
    };
    let context = context as i64;
    (1 - context..context)
        .map(|distance| places.row(distance) as u32)
        .collect()
}

/// Long sequences, and heads as wide as they come. In double precision they cost much, so there are few.
fn attend_long<D: Device>(device: &D, seed: u64) {
    attention_case(
        device,
        &[1, 1024, 3],
        (1, 1, 4),
        Some(32),
        None,
        [true, true],
        128,
        seed,
    );
    attention_case(
        device,
        &[8192],
        (1, 1, 2),
        Some(32),
        Some(16),
        [false, false],
        128,
        seed,
    );
    attention_case(
        device,
        &[40, 17],
        (2, 2, 64),
        Some(32),
        None,
        [true, true],
        128,
        seed,
    );
}

/// Without a tile of keys, on tensor cores.
#[allow(clippy::too_many_arguments)]
fn attention_case<D: Device>(
    device: &D,
    lengths: &[usize],
    (kv_heads, group, d): (usize, usize, usize),
    key_tile: Option<usize>,
    reach: Option<usize>,
    terms: [bool; 2],
    block: usize,
    seed: u64,
) {
    let queries = if key_tile.is_some() { 16 } else { 64 };
    let mut bench = Bench::new(device, seed);
    let heads = kv_heads * group;
    let relative = terms != [false, false];
    let (tokens, context) = (
        lengths.iter().sum::<usize>(),
        80.max(*lengths.iter().max().unwrap()),
    );
    let stride = (heads + 2 * kv_heads) * d;
    let (qkv, mut v) = bench.elements(tokens * stride, 1.0);
    let bias = bench.random.coin().then(|| bench.elements(stride, 0.5));
    if let Some((_, bias)) = &bias {
        v.iter_mut()
            .zip(bias.iter().cycle())
            .for_each(|(v, bias)| *v += bias);
    }
    let bias = bias.map(|(bias, _)| bias);
    let (mut starts, mut tiles, mut slots) = (vec![0_u32], Vec::new(), Vec::new());
    for (number, length) in lengths.iter().enumerate() {
        let slot = bench.random.below(2) as u32;
        slots.extend(vec![slot; *length]);
        starts.push(starts[number] + *length as u32);
        tiles.extend(
            (0..*length)
                .step_by(queries)
                .flat_map(|first| [number as u32, first as u32]),
        );
    }
    let rows = [12, 40, 2 * context][bench.random.below(3)];
    let mut columns = columns_of_distances(&mut bench.random, context, rows);
    columns.extend(runs(&columns));
    let tables: Vec<(D::Buffer, Vec<f64>)> = (0..4).map(|_| bench.elements(rows * heads * d, 0.5)).collect();
    let addresses: Vec<u64> = tables
        .iter()
        .map(|(buffer, _)| bench.device.address(buffer).unwrap())
        .collect();
    let keys = bench.addresses(&addresses[..2]);
    let queries_of_places = bench.addresses(&addresses[2..]);
    let (on_columns, on_tiles) = (bench.indices(&columns), bench.indices(&tiles));
    let (on_starts, on_slots) = (bench.indices(&starts), bench.indices(&slots));
    let out = bench.out(tokens * heads * d);
    // Less where a score has more terms, as in DeBERTa.
    let scale = 0.7 / (1.0 + terms.iter().filter(|term| **term).count() as f32).sqrt();
    let signed = Arg::Signed(reach.map_or(-1, |reach| reach as i32));
    let grid = (tiles.len() / 2, heads);
    let of_places = |columns| {
        [
            columns,
            Arg::Int(context),
            Arg::Buffer(terms[0].then_some(&keys)),
            Arg::Buffer(terms[1].then_some(&queries_of_places)),
            Arg::At(&on_slots, 0),
        ]
    };
    let mut arguments = vec![
        Arg::Buffer(Some(&qkv)),
        Arg::Buffer(bias.as_ref()),
        Arg::Buffer(Some(&out)),
        Arg::At(&on_tiles, 0),
        Arg::At(&on_starts, 0),
        Arg::Int(heads),
        Arg::Int(kv_heads),
    ];
    if let Some(key_tile) = key_tile {
        arguments.extend([Arg::Int(d), Arg::Float(scale), signed, Arg::Int(key_tile)]);
        arguments.extend(of_places(Arg::Buffer(relative.then_some(&on_columns))));
        let shared = attention_shared(d, key_tile, relative);
        bench.launch("attend", grid, block, shared, &arguments);
    } else {
        arguments.extend([Arg::Float(scale), signed]);
        let kernel = if relative {
            arguments.extend(of_places(Arg::At(&on_columns, 2 * context - 1)));
            format!("attend_places_{d}")
        } else {
            format!("attend_{d}")
        };
        bench.launch(&kernel, grid, block, tensor_shared(d, relative), &arguments);
    }
    let mut expected = vec![0.0; tokens * heads * d];
    for (number, length) in lengths.iter().enumerate() {
        let begin = starts[number] as usize;
        let slot = slots[begin] as usize;
        for head in 0..heads {
            let kv = head / group;
            let vector = |token: usize, column: usize| &v[(begin + token) * stride + column * d..][..d];
            let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
            for i in 0..*length {
                let seen: Vec<usize> = (0..*length)
                    .filter(|j| reach.is_none_or(|reach| i.abs_diff(*j) <= reach))
                    .collect();
                let scores: Vec<f64> = seen
                    .iter()
                    .map(|j| {
                        let (query, key) = (vector(i, head), vector(*j, heads + kv));
                        let row = columns[i + context - 1 - j] as usize;
                        let place = |table: usize| &tables[table].1[(row * heads + head) * d..][..d];
                        let mut score = dot(query, key);
                        if terms[0] {
                            score += dot(query, place(slot));
                        }
                        if terms[1] {
                            score += dot(key, place(2 + slot));
                        }
                        score * f64::from(scale)
                    })
                    .collect();
                let top = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                let weights: Vec<f64> = scores.iter().map(|score| (score - top).exp()).collect();
                let total: f64 = weights.iter().sum();
                for c in 0..d {
                    let sum = weights
                        .iter()
                        .zip(&seen)
                        .map(|(w, j)| w * vector(*j, heads + kv_heads + kv)[c]);
                    expected[((begin + i) * heads + head) * d + c] = sum.sum::<f64>() / total;
                }
            }
        }
    }
    bench.compare("attend", &out, &expected);
}

type Check<D> = fn(&D, u64);

/// The names of the kernels' checks.
pub const KERNELS: [&str; 9] = [
    "embed",
    "add_norm",
    "finish_and_gate",
    "rotate_and_unfold",
    "low_rank_changes",
    "attend",
    "attend_tensor",
    "attend_places",
    "attend_long",
];

/// Checks what one of [`KERNELS`] names, `cases` times with other shapes and numbers.
pub fn kernel<D: Device>(device: &D, name: &str, seed: u64, cases: u64) {
    let checks: [Check<D>; 9] = [
        embed,
        add_norm,
        finish_and_gate,
        rotate_and_unfold,
        low_rank_changes,
        attend,
        attend_tensor,
        attend_places,
        attend_long,
    ];
    let place = KERNELS
        .iter()
        .position(|known| *known == name)
        .expect("a kernel's check");
    for case in 0..cases {
        checks[place](device, seed.wrapping_mul(1_000_003).wrapping_add(case));
    }
}

fn token() -> Token {
    Token::new(
        Instant::now() + Duration::from_secs(600),
        Arc::new(AtomicBool::new(false)),
    )
}

struct Case {
    ids: Vec<u32>,
    logits: Vec<f32>,
}

/// What the reference says, at most `limit` sequences, the shortest and the longest up to `context` among them.
fn cases(dir: &Path, limit: usize, context: usize) -> Vec<Case> {
    let golden: Value = serde_json::from_slice(&fs::read(dir.join("golden.json")).unwrap()).unwrap();
    let cases = golden["cases"].as_array().unwrap().iter().filter_map(|case| {
        let rows = case["logits"].as_array()?;
        let ids = case["ids"].as_array()?.iter();
        Some(Case {
            ids: ids.map(|id| id.as_u64().unwrap() as u32).collect(),
            logits: rows
                .iter()
                .flat_map(|row| row.as_array().unwrap())
                .map(|value| value.as_f64().unwrap() as f32)
                .collect(),
        })
    });
    let mut cases: Vec<Case> = cases.filter(|case| case.ids.len() <= context).collect();
    cases.sort_by_key(|case| case.ids.len());
    while cases.len() > limit {
        cases.remove(cases.len() / 2);
    }
    cases
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

fn difference(found: &[f32], expected: &[f32]) -> f32 {
    assert_eq!(found.len(), expected.len());
    let differences = found.iter().zip(expected).map(|(a, b)| (a - b).abs());
    // NaN is larger than any bound.
    differences.fold(0.0, |worst, d| if d <= worst { worst } else { d })
}

/// The largest difference from the reference, and that of all logits as a share of their norm: each sequence alone. Packed,
/// all of them give the same.
fn check<D: Device>(engine: &GpuEngine<D>, number: u64, cases: &[Case], packed_bound: f32) -> (f32, f32) {
    let mut worst = 0.0_f32;
    let mut alone = Vec::new();
    for case in cases {
        let logits = engine
            .forward(&[Window::new(&[number], &case.ids)], &token())
            .unwrap();
        worst = worst.max(difference(&logits, &case.logits));
        alone.extend(logits);
    }
    let models = [number];
    let windows: Vec<Window<'_>> = cases.iter().map(|case| Window::new(&models, &case.ids)).collect();
    let packed = engine.forward(&windows, &token()).unwrap();
    // cuBLAS may sum in another order where there are more rows.
    let apart = difference(&packed, &alone);
    assert!(
        apart < packed_bound,
        "what is packed beside a sequence changes it by {apart}"
    );
    let expected: Vec<f32> = cases.iter().flat_map(|case| case.logits.clone()).collect();
    let norm = |values: &mut dyn Iterator<Item = f32>| values.map(|x| x * x).sum::<f32>().sqrt();
    let apart = norm(&mut alone.iter().zip(&expected).map(|(a, b)| a - b));
    (worst, apart / norm(&mut expected.iter().copied()))
}

/// Checkpoints of every family with the reference's answers, in `tests/fixtures`.
pub fn variants(fixtures: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for family in fs::read_dir(fixtures).unwrap() {
        let family = family.unwrap().path();
        let named = family.file_name().unwrap().to_string_lossy().into_owned();
        if ["adapters", "gliner", "planted"].contains(&named.as_str()) || !family.is_dir() {
            continue;
        }
        for variant in fs::read_dir(family).unwrap() {
            let dir = variant.unwrap().path();
            let has_weights = fs::read_dir(&dir).is_ok_and(|files| {
                files
                    .flatten()
                    .any(|file| file.path().extension().is_some_and(|e| e == "safetensors"))
            });
            if has_weights && dir.join("golden.json").exists() {
                found.push(dir);
            }
        }
    }
    found.sort();
    found
}

/// The largest difference of a logit from the reference, and the norm of all differences as a share of the norm of all
/// logits. Where sequences are packed together, none may change by more than `packed_bound`.
pub fn family<D: Device>(device: D, dir: &Path, sequences: usize, packed_bound: f32) -> (f32, f32) {
    let engine = GpuEngine::new(device, u64::MAX);
    let checkpoint = load(&engine, 1, dir);
    let cases = cases(dir, sequences, checkpoint.context());
    assert!(!cases.is_empty());
    check(&engine, 1, &cases, packed_bound)
}

/// The families that have adapters in `tests/fixtures`.
pub const ADAPTED: [&str; 4] = ["bert", "deberta-v2", "modernbert", "roberta"];

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

/// A folder for what a check writes.
fn scratch(name: &str) -> PathBuf {
    std::env::temp_dir().join(format!("mednerd-{name}-{}", std::process::id()))
}

/// Random windows for random ones of the models with these numbers, each batch compared with what its windows give for one model
/// at a time: no logit is `bound` apart.
fn shared<D: Device>(engine: &GpuEngine<D>, models: &[u64], batches: usize, bound: f32) {
    let mut random = Random(17);
    for _ in 0..batches {
        let count = 1 + random.below(4);
        let windows: Vec<(Vec<u64>, Vec<u32>)> = (0..count)
            .map(|_| {
                let first = models[random.below(models.len())];
                let rare = 1 + random.below(4);
                let others = models.iter().copied().filter(|model| *model != first);
                let mut of: Vec<u64> = others.filter(|_| random.below(rare) == 0).collect();
                of.insert(random.below(of.len() + 1), first);
                let length = 1 + random.below(18);
                (of, (0..length).map(|_| random.below(60) as u32).collect())
            })
            .collect();
        let batch: Vec<Window<'_>> = windows.iter().map(|(of, ids)| Window::new(of, ids)).collect();
        let alone = windows.iter().flat_map(|(of, ids)| {
            let alone = |model: &u64| engine.forward(&[Window::new(&[*model], ids)], &token()).unwrap();
            of.iter().flat_map(alone).collect::<Vec<f32>>()
        });
        let alone: Vec<f32> = alone.collect();
        let apart = difference(&engine.forward(&batch, &token()).unwrap(), &alone);
        let of: Vec<&Vec<u64>> = windows.iter().map(|(of, _)| of).collect();
        assert!(apart < bound, "{apart} apart, models of windows: {of:?}");
    }
}

/// All adapters of a family, one by one, all in one batch, and again after one has gone: the largest difference of a logit
/// from the reference. Then batches of windows for several of them and of adapters from each layer on: what else is in its batch
/// changes no logit by `packed_bound`.
pub fn adapters<D: Device>(device: D, fixtures: &Path, family: &str, bound: f32, packed_bound: f32) -> f32 {
    let folder = fs::read_dir(fixtures.join("adapters").join(family)).unwrap();
    let mut adapters: Vec<PathBuf> = folder.map(|entry| entry.unwrap().path()).collect();
    adapters.retain(|path| path.join("adapter_config.json").exists() && path.join("golden.json").exists());
    adapters.sort();
    assert!(!adapters.is_empty(), "{family}");
    // The base that the goldens' script takes for the family.
    let base = ["fp32", "v3-fp32"].map(|variant| fixtures.join(family).join(variant));
    let base = base.iter().find(|path| path.exists()).unwrap();
    let engine = GpuEngine::new(device, u64::MAX);
    let checkpoint = load(&engine, 1, base);
    let mut all = vec![(1, cases(base, 1, checkpoint.context()))];
    let mut worst = 0.0_f32;
    for (path, number) in adapters.iter().zip(2..) {
        adapt(&engine, number, path, &checkpoint);
        let cases = cases(path, 2, checkpoint.context());
        worst = worst.max(check(&engine, number, &cases, packed_bound).0);
        assert!(worst < bound, "{}: {worst}", path.display());
        all.push((number, cases));
    }
    let together = |all: &[(u64, Vec<Case>)]| {
        let parts = all.iter();
        let parts: Vec<(u64, &Case)> = parts
            .flat_map(|(number, cases)| cases.iter().map(move |case| (*number, case)))
            .collect();
        let windows: Vec<Window<'_>> = parts
            .iter()
            .map(|(number, case)| Window::new(std::slice::from_ref(number), &case.ids))
            .collect();
        let expected: Vec<f32> = parts.iter().flat_map(|(_, case)| case.logits.clone()).collect();
        let apart = difference(&engine.forward(&windows, &token()).unwrap(), &expected);
        assert!(apart < bound, "{family}: {apart}, all together");
    };
    together(&all);
    // One goes; its slot is the next one's, and the others do not notice.
    let bytes = engine.health().unwrap().0;
    let (gone, _) = all.remove(1);
    engine.unload(gone);
    together(&all);
    assert!(engine.health().unwrap().0 < bytes);
    assert!(engine.forward(&[Window::new(&[gone], &[1])], &token()).is_err());
    let layers = checkpoint.architecture().layers.len();
    let mut numbers: Vec<u64> = all.iter().map(|(number, _)| *number).collect();
    let folder = scratch(family);
    for layer in 0..layers {
        // Ranks are unlike too.
        let (number, place) = (1000 + layer as u64, folder.join(layer.to_string()));
        write_adapter(&place, &checkpoint, layer, 1 + 3 * layer);
        let own = adapt(&engine, number, &place, &checkpoint).own;
        assert_eq!(
            own,
            (layers - layer) as f32 / layers as f32,
            "from layer {layer} on"
        );
        numbers.push(number);
    }
    fs::remove_dir_all(&folder).unwrap();
    shared(&engine, &numbers, 6, packed_bound);
    worst
}

/// How far logits of one device are from those of another, as a share of their norm: sequences of random ids of these lengths,
/// packed.
pub fn apart<D: Device>(one: D, other: D, dir: &Path, lengths: &[usize]) -> f32 {
    let mut random = Random(11);
    let logits: Vec<Vec<f32>> = {
        let engines = [one, other].map(|device| GpuEngine::new(device, u64::MAX));
        let checkpoints = [load(&engines[0], 1, dir), load(&engines[1], 1, dir)];
        let rows = checkpoints[0].architecture().embeddings.words.rows;
        let mut sequence =
            |length: &usize| -> Vec<u32> { (0..*length).map(|_| random.below(rows) as u32).collect() };
        let ids: Vec<Vec<u32>> = lengths.iter().map(&mut sequence).collect();
        let batch: Vec<Window<'_>> = ids.iter().map(|ids| Window::new(&[1], ids)).collect();
        engines
            .iter()
            .map(|engine| engine.forward(&batch, &token()).unwrap())
            .collect()
    };
    let norm = |values: &mut dyn Iterator<Item = f32>| values.map(|x| x * x).sum::<f32>().sqrt();
    let difference = norm(&mut logits[0].iter().zip(&logits[1]).map(|(a, b)| a - b));
    difference / norm(&mut logits[1].iter().copied())
}

/// Makes a checkpoint of random weights in the folder `to` from a fixture's: in everything like it, but with heads of another
/// width, as the kernels on tensor cores take them, and sequences of up to `context`.
pub fn widen(fixture: &Path, to: &Path, head: u64, context: u64) {
    // The size of the fixture's hidden states, and its longest sequence.
    const SIZES: [u64; 2] = [24, 112];
    let hidden = 4 * head;
    let change = |value: &mut Value| {
        if let Some(place) = SIZES.iter().position(|size| value.as_u64() == Some(*size)) {
            *value = [hidden, context][place].into();
        }
    };
    for file in fs::read_dir(fixture).unwrap() {
        let file = file.unwrap().path();
        let name = file.file_name().unwrap().to_str().unwrap();
        if ["config.json", "tokenizer_config.json"].contains(&name) {
            let mut config: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
            config.as_object_mut().unwrap().values_mut().for_each(change);
            if let Some(size) = config.get_mut("attention_head_size") {
                *size = head.into();
            }
            fs::write(to.join(name), config.to_string()).unwrap();
        } else if !["golden.json", "model.safetensors"].contains(&name) {
            fs::copy(&file, to.join(name)).unwrap();
        }
    }
    let file = fs::read(fixture.join("model.safetensors")).unwrap();
    let length = u64::from_le_bytes(file[..8].try_into().unwrap()) as usize;
    let mut header: Value = serde_json::from_slice(&file[8..8 + length]).unwrap();
    let (mut random, mut data) = (Random(3), Vec::<u8>::new());
    for (name, tensor) in header.as_object_mut().unwrap() {
        if name == "__metadata__" {
            continue;
        }
        tensor["shape"]
            .as_array_mut()
            .unwrap()
            .iter_mut()
            .for_each(change);
        let shape = tensor["shape"].as_array().unwrap().iter();
        let count = shape.map(|size| size.as_u64().unwrap()).product::<u64>();
        let values = match name.ends_with("LayerNorm.weight") {
            true => vec![1.0; count as usize],
            false => random.values(count as usize, 1.5 / (hidden as f32).sqrt()),
        };
        let begin = data.len();
        data.extend(values.iter().flat_map(|value| value.to_le_bytes()));
        tensor["dtype"] = "F32".into();
        tensor["data_offsets"] = vec![begin, data.len()].into();
    }
    let header = header.to_string();
    let mut file = (header.len() as u64).to_le_bytes().to_vec();
    file.extend(header.into_bytes());
    file.extend(data);
    fs::write(to.join("model.safetensors"), file).unwrap();
}

/// Packs `sequences` of `length` random ids, computes them `times` times, and gives the median of tokens per second.
pub fn throughput<D: Device>(device: D, dir: &Path, sequences: usize, length: usize, times: usize) -> f64 {
    let engine = GpuEngine::new(device, u64::MAX);
    let checkpoint = load(&engine, 1, dir);
    let rows = checkpoint.architecture().embeddings.words.rows;
    let mut random = Random(7);
    let ids: Vec<Vec<u32>> = (0..sequences)
        .map(|_| (0..length).map(|_| random.below(rows) as u32).collect())
        .collect();
    let batch: Vec<Window<'_>> = ids.iter().map(|ids| Window::new(&[1], ids)).collect();
    (sequences * length) as f64 / median(&engine, &batch, times)
}

/// The median time of a batch, in seconds.
fn median<D: Device>(engine: &GpuEngine<D>, batch: &[Window<'_>], times: usize) -> f64 {
    let mut found: Vec<f64> = (0..times + 3)
        .map(|_| {
            let begun = Instant::now();
            engine.forward(batch, &token()).unwrap();
            begun.elapsed().as_secs_f64()
        })
        .collect();
    // The first ones set things up.
    found.drain(..3);
    found.sort_by(f64::total_cmp);
    found[found.len() / 2]
}

/// The median times, in seconds, of one window of `length` random ids for so many adapters of rank 16, which leave `percent` of the
/// layers as they are, and of as many windows for the base.
pub fn many_adapters<D: Device>(
    device: D,
    dir: &Path,
    adapters: usize,
    length: usize,
    percent: usize,
    times: usize,
) -> (f64, f64) {
    let engine = GpuEngine::new(device, u64::MAX);
    let checkpoint = load(&engine, 1, dir);
    let folder = scratch("adapters");
    let layers = checkpoint.architecture().layers.len();
    write_adapter(&folder, &checkpoint, layers * percent / 100, 16);
    let numbers: Vec<u64> = (2..).take(adapters).collect();
    for number in &numbers {
        adapt(&engine, *number, &folder, &checkpoint);
    }
    fs::remove_dir_all(&folder).unwrap();
    let rows = checkpoint.architecture().embeddings.words.rows;
    let mut random = Random(7);
    let ids: Vec<u32> = (0..length).map(|_| random.below(rows) as u32).collect();
    let base: Vec<Window<'_>> = vec![Window::new(&[1], &ids); adapters];
    (
        median(&engine, &[Window::new(&numbers, &ids)], times),
        median(&engine, &base, times),
    )
}

/// In single precision, without TF32; in half precision, the self-check's own bound.
const BOUND: f32 = 1e-3;

/// A program of these checks: `kernel NAME PRECISION SEED CASES`, `family DIRECTORY PRECISION`, `adapters FIXTURES FAMILY`,
/// `apart DIRECTORY PRECISION`, from single precision, `widen FIXTURE DIRECTORY HEAD`,
/// `throughput DIRECTORY PRECISION SEQUENCES LENGTH`, `adapted DIRECTORY PRECISION ADAPTERS LENGTH PERCENT`, `about`, and `lists`
/// of kernels. It says last what came of it, and panics where
/// that is nothing good.
pub fn main<D: Device>(open: impl Fn(Precision) -> (D, String)) {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let precision = |name: &str| {
        let known = [Precision::Fp32, Precision::Fp16, Precision::Bf16];
        let of = known.into_iter().find(|precision| precision.name() == name);
        of.expect("fp32, fp16 or bf16")
    };
    match *arguments {
        ["lists"] => println!("{}", KERNELS.join("\n")),
        ["about"] => println!("{}", open(Precision::Fp32).1),
        ["kernel", name, of, seed, cases] => {
            let (device, _) = open(precision(of));
            kernel(&device, name, seed.parse().unwrap(), cases.parse().unwrap());
            println!("ok      kernel {name} {of}: {cases} cases");
        }
        ["family", dir, of] => {
            let of = precision(of);
            let bound = match of {
                Precision::Fp32 => BOUND,
                _ => f32::INFINITY,
            };
            let (worst, share) = family(open(of).0, Path::new(dir), 8, bound);
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
        ["throughput", dir, of, sequences, length] => {
            let (sequences, length) = (sequences.parse().unwrap(), length.parse().unwrap());
            let rate = throughput(open(precision(of)).0, Path::new(dir), sequences, length, 20);
            let milliseconds = 1e3 * (sequences * length) as f64 / rate;
            println!("{dir} {of}, {sequences} x {length} tokens: {rate:.0} tokens/s, {milliseconds:.3} ms");
        }
        ["adapted", dir, of, adapters, length, percent] => {
            let [adapters, length, percent] =
                [adapters, length, percent].map(|number| number.parse().unwrap());
            let device = open(precision(of)).0;
            let (own, base) = many_adapters(device, Path::new(dir), adapters, length, percent, 20);
            let what = format!("{adapters} adapters above {percent} % of the layers, 1 x {length} tokens");
            let (milliseconds, share) = (1e3 * own, own / base);
            println!(
                "ok      {dir} {of}, {what}: {milliseconds:.3} ms, {share:.3} of as many windows of the base"
            );
        }
        _ => panic!("the module's first lines say what can be asked for"),
    }
}
