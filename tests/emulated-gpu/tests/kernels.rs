//! Each kernel against its definition in double precision: random shapes, outputs poisoned, lengths from 1 up.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use mednerd_emulated_gpu::{Buffer, Emulated};
use mednerd_engine_gpu::{Arg, Device, Kind, Launch, Values};
use mednerd_gpu::protocol::Precision;
use proptest::prelude::*;

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

    fn below(&mut self, limit: usize) -> usize {
        self.next() as usize % limit
    }
}

/// A device, and values on it with what they are there.
struct Bench {
    device: Emulated,
    random: Random,
}

impl Bench {
    fn new(precision: Precision, seed: u64) -> Self {
        Self {
            device: Emulated::new(precision, seed),
            random: Random(seed),
        }
    }

    fn elements(&mut self, count: usize, scale: f32) -> (Buffer, Vec<f64>) {
        let buffer = self
            .device
            .upload(Values::Elements(&self.random.values(count, scale)))
            .unwrap();
        let stored = self
            .device
            .values(&buffer)
            .iter()
            .map(|value| f64::from(*value))
            .collect();
        (buffer, stored)
    }

    fn out(&self, count: usize) -> Buffer {
        self.device.allocate(Kind::Elements, count).unwrap()
    }

    fn indices(&self, values: &[u32]) -> Buffer {
        self.device.upload(Values::Indices(values)).unwrap()
    }

    fn launch(
        &self,
        name: &str,
        grid: (usize, usize),
        block: usize,
        shared: usize,
        arguments: &[Arg<'_, Buffer>],
    ) {
        let launch = Launch { grid, block, shared };
        self.device.launch(name, launch, arguments).unwrap();
    }

    /// What is in `buffer` is `expected`, but for rounding; a place that was not written is NaN, which is nothing.
    fn compare(&self, buffer: &Buffer, expected: &[f64]) -> Result<(), TestCaseError> {
        let bound = match self.device.precision() {
            Precision::Fp32 => 2e-5,
            Precision::Fp16 => 3e-3,
            Precision::Bf16 => 2e-2,
        };
        let found = self.device.values(buffer);
        prop_assert_eq!(found.len(), expected.len());
        for (index, (found, expected)) in found.iter().zip(expected).enumerate() {
            let apart = (f64::from(*found) - expected).abs();
            prop_assert!(
                apart <= bound * expected.abs().max(1.0),
                "{}: {} and not {}",
                index,
                found,
                expected
            );
        }
        Ok(())
    }
}

fn precision() -> impl Strategy<Value = Precision> {
    prop_oneof![
        Just(Precision::Fp32),
        Just(Precision::Fp16),
        Just(Precision::Bf16)
    ]
}

fn block() -> impl Strategy<Value = usize> {
    prop_oneof![Just(32_usize), Just(64), Just(128), Just(256)]
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

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn embed(
        precision in precision(), block in block(), tokens in 1_usize..6, width in 1_usize..300,
        kind in 0_usize..3, placed in any::<bool>(), biased in any::<bool>(), seed in any::<u64>(),
    ) {
        let mut bench = Bench::new(precision, seed);
        let (words, w) = bench.elements(7 * width, 2.0);
        let (rows, r) = bench.elements(5 * width, 1.0);
        let (weight, g) = bench.elements(width, 1.0);
        let (bias, b) = bench.elements(width, 1.0);
        let ids: Vec<u32> = (0..tokens).map(|_| bench.random.below(7) as u32).collect();
        let places: Vec<u32> = (0..tokens).map(|_| bench.random.below(5) as u32).collect();
        let (on_ids, on_places, out) = (bench.indices(&ids), bench.indices(&places), bench.out(tokens * width));
        bench.launch("embed", (tokens, 1), block, 32 + width, &[
            Arg::At(&on_ids, 0), Arg::At(&on_places, 0), Arg::Buffer(Some(&words)), Arg::Buffer(placed.then_some(&rows)),
            Arg::Buffer(Some(&weight)), Arg::Buffer(biased.then_some(&bias)), Arg::Buffer(Some(&out)),
            Arg::Int(width), Arg::Float(1e-3), Arg::Int(kind),
        ]);
        let expected = ids.iter().zip(&places).flat_map(|(id, place)| {
            let sum: Vec<f64> = (0..width)
                .map(|c| w[*id as usize * width + c] + if placed { r[*place as usize * width + c] } else { 0.0 })
                .collect();
            norm(kind, &sum, &g, biased.then_some(&b), 1e-3)
        });
        bench.compare(&out, &expected.collect::<Vec<_>>())?;
    }

    #[test]
    fn add_norm(
        precision in precision(), block in block(), rows in 1_usize..6, width in 1_usize..300, kind in 0_usize..3,
        parts in any::<[bool; 4]>(), in_place in any::<bool>(), seed in any::<u64>(),
    ) {
        let [shifted, residual, summed, biased] = parts;
        let mut bench = Bench::new(precision, seed);
        let (x, v) = bench.elements(rows * width, 2.0);
        let (shift, s) = bench.elements(width, 1.0);
        let (before, r) = bench.elements(rows * width, 2.0);
        let (weight, g) = bench.elements(width, 1.0);
        let (bias, b) = bench.elements(width, 1.0);
        let (sum, out) = (bench.out(rows * width), bench.out(rows * width));
        let sum = if in_place && residual { &before } else { &sum };
        bench.launch("add_norm", (rows, 1), block, 32 + width, &[
            Arg::Buffer(Some(&x)), Arg::Buffer(shifted.then_some(&shift)), Arg::Buffer(residual.then_some(&before)),
            Arg::Buffer(Some(&weight)), Arg::Buffer(biased.then_some(&bias)), Arg::Buffer(summed.then_some(sum)),
            Arg::Buffer(Some(&out)), Arg::Int(width), Arg::Float(1e-3), Arg::Int(kind),
        ]);
        let total: Vec<f64> = v.iter().enumerate()
            .map(|(i, x)| x + if shifted { s[i % width] } else { 0.0 } + if residual { r[i] } else { 0.0 })
            .collect();
        if summed {
            bench.compare(sum, &total)?;
        }
        let total = match summed {
            true => bench.device.values(sum).iter().map(|x| f64::from(*x)).collect(),
            false => total,
        };
        let expected = total.chunks(width).flat_map(|row| norm(kind, row, &g, biased.then_some(&b), 1e-3));
        bench.compare(&out, &expected.collect::<Vec<_>>())?;
    }

    #[test]
    fn finish_and_gate(
        precision in precision(), block in block(), rows in 1_usize..6, width in 1_usize..200, activation in 0_usize..7,
        parts in any::<[bool; 4]>(), seed in any::<u64>(),
    ) {
        let [biased, changed, in_place, to_floats] = parts;
        let mut bench = Bench::new(precision, seed);
        let (x, v) = bench.elements(rows * width, 3.0);
        let (bias, b) = bench.elements(width, 1.0);
        // Slot 0 has nothing, 1 a gain, 2 a bias, 3 both.
        let (gain, own) = (bench.random.values(width, 2.0), bench.random.values(width, 2.0));
        let on_gain = bench.device.upload(Values::Floats(&gain)).unwrap();
        let on_own = bench.device.upload(Values::Floats(&own)).unwrap();
        let (at_gain, at_own) = (bench.device.address(&on_gain).unwrap(), bench.device.address(&on_own).unwrap());
        let gains = bench.device.upload(Values::Addresses(&[0, at_gain, 0, at_gain])).unwrap();
        let owns = bench.device.upload(Values::Addresses(&[0, 0, at_own, at_own])).unwrap();
        let slots: Vec<u32> = (0..rows).map(|_| bench.random.below(4) as u32).collect();
        let on_slots = bench.indices(&slots);
        let kind = if to_floats { Kind::Floats } else { Kind::Elements };
        let out = bench.device.allocate(kind, rows * width).unwrap();
        let to = if in_place && !to_floats { &x } else { &out };
        bench.launch(if to_floats { "logits" } else { "finish" }, (rows, 1), block, 0, &[
            Arg::Buffer(Some(&x)), Arg::Buffer(biased.then_some(&bias)), Arg::Buffer(changed.then_some(&gains)),
            Arg::Buffer(changed.then_some(&owns)), Arg::At(&on_slots, 0), Arg::Buffer(Some(to)), Arg::Int(width),
            Arg::Int(activation),
        ]);
        let expected: Vec<f64> = v.iter().enumerate().map(|(i, x)| {
            let (slot, c) = (slots[i / width], i % width);
            let gain = if changed && slot % 2 == 1 { f64::from(gain[c]) } else { 1.0 };
            let own = if changed && slot >= 2 { f64::from(own[c]) } else { 0.0 };
            activate(activation, x * gain + own + if biased { b[c] } else { 0.0 })
        }).collect();
        bench.compare(to, &expected)?;
        // The halves of one row twice as wide.
        let (x, v) = bench.elements(rows * 2 * width, 2.0);
        let (bias, b) = bench.elements(2 * width, 1.0);
        let out = bench.out(rows * width);
        bench.launch("gate", (rows, 1), block, 0, &[
            Arg::Buffer(Some(&x)), Arg::Buffer(biased.then_some(&bias)), Arg::Buffer(Some(&out)), Arg::Int(width),
            Arg::Int(activation),
        ]);
        let at = |row: usize, c: usize| v[row * 2 * width + c] + if biased { b[c] } else { 0.0 };
        let expected: Vec<f64> = (0..rows * width)
            .map(|i| activate(activation, at(i / width, i % width)) * at(i / width, width + i % width))
            .collect();
        bench.compare(&out, &expected)?;
    }

    #[test]
    fn rotate_and_unfold(
        precision in precision(), block in block(), lengths in proptest::collection::vec(1_usize..7, 1..4),
        heads in 1_usize..4, half in 1_usize..9, rest in 0_usize..5, taps in 0_usize..3, seed in any::<u64>(),
    ) {
        let mut bench = Bench::new(precision, seed);
        let tokens: usize = lengths.iter().sum();
        let (mut places, mut sequences, mut starts) = (Vec::new(), Vec::new(), vec![0_u32]);
        for (number, length) in lengths.iter().enumerate() {
            places.extend(0..*length as u32);
            sequences.extend(vec![number as u32; *length]);
            starts.push(places.len() as u32);
        }
        let (on_places, on_sequences, on_starts) =
            (bench.indices(&places), bench.indices(&sequences), bench.indices(&starts));
        let (d, stride) = (2 * half, heads * 2 * half + rest);
        let (x, v) = bench.elements(tokens * stride, 2.0);
        let angles = bench.random.values(7 * half, 3.0);
        let table = |function: fn(f32) -> f32| angles.iter().map(|angle| function(*angle)).collect::<Vec<f32>>();
        let (cosines, sines) = (table(f32::cos), table(f32::sin));
        let on_cosines = bench.device.upload(Values::Floats(&cosines)).unwrap();
        let on_sines = bench.device.upload(Values::Floats(&sines)).unwrap();
        bench.launch("rotate", (tokens, 1), block, 0, &[
            Arg::Buffer(Some(&x)), Arg::At(&on_places, 0), Arg::Buffer(Some(&on_cosines)), Arg::Buffer(Some(&on_sines)),
            Arg::Int(stride), Arg::Int(heads), Arg::Int(d),
        ]);
        let mut expected = v.clone();
        for token in 0..tokens {
            for pair in 0..heads * half {
                let (first, at) = (token * stride + pair / half * d + pair % half, places[token] as usize * half + pair % half);
                let (c, s) = (f64::from(cosines[at]), f64::from(sines[at]));
                expected[first] = v[first] * c - v[first + half] * s;
                expected[first + half] = v[first + half] * c + v[first] * s;
            }
        }
        bench.compare(&x, &expected)?;
        let (kernel, width) = (2 * taps + 1, stride);
        let (x, v) = bench.elements(tokens * width, 2.0);
        let out = bench.out(tokens * kernel * width);
        bench.launch("unfold", (tokens, 1), block, 0, &[
            Arg::Buffer(Some(&x)), Arg::At(&on_places, 0), Arg::At(&on_sequences, 0), Arg::At(&on_starts, 0),
            Arg::Buffer(Some(&out)), Arg::Int(width), Arg::Int(kernel),
        ]);
        let expected: Vec<f64> = (0..tokens * kernel * width).map(|i| {
            let (token, tap, c) = (i / (kernel * width), i / width % kernel, i % width);
            let from = (token + tap).checked_sub(taps).filter(|from| *from < tokens);
            let from = from.filter(|from| sequences[*from] == sequences[token]);
            from.map_or(0.0, |from| v[from * width + c])
        }).collect();
        bench.compare(&out, &expected)?;
    }

    #[test]
    fn low_rank_changes(
        precision in precision(), block in block(), rows in 1_usize..6, inputs in 1_usize..100, outputs in 1_usize..100,
        ranks in (1_usize..9, 1_usize..9), seed in any::<u64>(),
    ) {
        let mut bench = Bench::new(precision, seed);
        let (x, v) = bench.elements(rows * inputs, 1.0);
        let (y, before) = bench.elements(rows * outputs, 1.0);
        // Slot 0 has no change.
        let adapters: Vec<_> = [ranks.0, ranks.1].into_iter()
            .map(|rank| (rank, bench.elements(rank * inputs, 0.3), bench.elements(outputs * rank, 0.3)))
            .collect();
        let address = |bench: &Bench, find: fn(&(usize, (Buffer, Vec<f64>), (Buffer, Vec<f64>))) -> &Buffer| {
            let mut addresses = vec![0];
            addresses.extend(adapters.iter().map(|adapter| bench.device.address(find(adapter)).unwrap()));
            bench.device.upload(Values::Addresses(&addresses)).unwrap()
        };
        let downs = address(&bench, |adapter| &adapter.1.0);
        let ups = address(&bench, |adapter| &adapter.2.0);
        let on_ranks = bench.indices(&[0, ranks.0 as u32, ranks.1 as u32]);
        let slots: Vec<u32> = (0..rows).map(|_| bench.random.below(3) as u32).collect();
        let on_slots = bench.indices(&slots);
        let longest = ranks.0.max(ranks.1);
        let middle = bench.device.allocate(Kind::Floats, rows * longest).unwrap();
        bench.launch("lora_shrink", (rows, 1), block, 0, &[
            Arg::Buffer(Some(&x)), Arg::Buffer(Some(&downs)), Arg::Buffer(Some(&on_ranks)), Arg::At(&on_slots, 0),
            Arg::Buffer(Some(&middle)), Arg::Int(inputs), Arg::Int(longest),
        ]);
        bench.launch("lora_expand", (rows, 1), block, 0, &[
            Arg::Buffer(Some(&middle)), Arg::Buffer(Some(&ups)), Arg::Buffer(Some(&on_ranks)), Arg::At(&on_slots, 0),
            Arg::Buffer(Some(&y)), Arg::Int(outputs), Arg::Int(longest),
        ]);
        let expected: Vec<f64> = before.iter().enumerate().map(|(i, before)| {
            let (row, o) = (i / outputs, i % outputs);
            let Some(slot) = (slots[row] as usize).checked_sub(1) else { return *before };
            let (rank, (_, down), (_, up)) = &adapters[slot];
            let change = (0..*rank).map(|r| {
                let dot: f64 = (0..inputs).map(|c| v[row * inputs + c] * down[r * inputs + c]).sum();
                up[o * rank + r] * dot
            });
            before + change.sum::<f64>()
        }).collect();
        bench.compare(&y, &expected)?;
    }

    #[test]
    fn attend(
        precision in precision(), lengths in proptest::collection::vec(1_usize..70, 1..4), kv_heads in 1_usize..3,
        group in 1_usize..3, d in 1_usize..20, key_tile in prop_oneof![Just(8_usize), Just(16), Just(32)],
        reach in proptest::option::of(0_usize..20), terms in any::<[bool; 2]>(), block in prop_oneof![Just(64_usize), Just(128)],
        seed in any::<u64>(),
    ) {
        attention_case(precision, &lengths, (kv_heads, group, d), key_tile, reach, terms, block, seed)?;
    }
}

#[allow(clippy::too_many_arguments)]
fn attention_case(
    precision: Precision,
    lengths: &[usize],
    (kv_heads, group, d): (usize, usize, usize),
    key_tile: usize,
    reach: Option<usize>,
    terms: [bool; 2],
    block: usize,
    seed: u64,
) -> Result<(), TestCaseError> {
    const QUERIES: usize = 16;
    let mut bench = Bench::new(precision, seed);
    let heads = kv_heads * group;
    let relative = terms != [false, false];
    let (tokens, context) = (
        lengths.iter().sum::<usize>(),
        80.max(*lengths.iter().max().unwrap()),
    );
    let stride = (heads + 2 * kv_heads) * d;
    let (qkv, v) = bench.elements(tokens * stride, 1.0);
    let (mut starts, mut tiles, mut slots) = (vec![0_u32], Vec::new(), Vec::new());
    for (number, length) in lengths.iter().enumerate() {
        let slot = bench.random.below(2) as u32;
        slots.extend(vec![slot; *length]);
        starts.push(starts[number] + *length as u32);
        tiles.extend(
            (0..*length)
                .step_by(QUERIES)
                .flat_map(|first| [number as u32, first as u32]),
        );
    }
    // Rows as DeBERTa shares them out: several distances to one.
    let rows = 11;
    let columns: Vec<u32> = (0..2 * context - 1)
        .map(|_| bench.random.below(rows) as u32)
        .collect();
    let tables: Vec<(Buffer, Vec<f64>)> = (0..4).map(|_| bench.elements(rows * heads * d, 0.5)).collect();
    let addresses: Vec<u64> = tables
        .iter()
        .map(|(buffer, _)| bench.device.address(buffer).unwrap())
        .collect();
    let keys = bench.device.upload(Values::Addresses(&addresses[..2])).unwrap();
    let queries = bench.device.upload(Values::Addresses(&addresses[2..])).unwrap();
    let (on_columns, on_tiles) = (bench.indices(&columns), bench.indices(&tiles));
    let (on_starts, on_slots) = (bench.indices(&starts), bench.indices(&slots));
    let out = bench.out(tokens * heads * d);
    let scale = 0.7_f32;
    let row = d + 1;
    let place_tables = if relative {
        2 * (QUERIES + key_tile - 1) * row
    } else {
        0
    };
    let shared = 2 * QUERIES * row + 2 * key_tile * row + QUERIES * key_tile + 3 * QUERIES + place_tables;
    bench.launch(
        "attend",
        (tiles.len() / 2, heads),
        block,
        shared,
        &[
            Arg::Buffer(Some(&qkv)),
            Arg::Buffer(Some(&out)),
            Arg::At(&on_tiles, 0),
            Arg::At(&on_starts, 0),
            Arg::Int(heads),
            Arg::Int(kv_heads),
            Arg::Int(d),
            Arg::Float(scale),
            Arg::Signed(reach.map_or(-1, |reach| reach as i32)),
            Arg::Int(key_tile),
            Arg::Buffer(relative.then_some(&on_columns)),
            Arg::Int(context),
            Arg::Buffer(terms[0].then_some(&keys)),
            Arg::Buffer(terms[1].then_some(&queries)),
            Arg::At(&on_slots, 0),
        ],
    );
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
    bench.compare(&out, &expected)
}

/// Long ones cost much in double precision: few heads, and narrow.
#[test]
fn attention_over_long_sequences() {
    attention_case(
        Precision::Fp32,
        &[1, 2048, 3],
        (1, 1, 4),
        32,
        None,
        [true, true],
        128,
        1,
    )
    .unwrap();
    attention_case(
        Precision::Fp32,
        &[8192],
        (1, 1, 2),
        32,
        Some(64),
        [false, false],
        128,
        2,
    )
    .unwrap();
}

/// The emulation's own half types: all of them, and what lies between them.
#[test]
fn numbers_are_rounded_as_ieee_754_says() {
    for precision in [Precision::Fp16, Precision::Bf16] {
        let bench = Bench::new(precision, 1);
        let every = (0..=u16::MAX).map(|bits| match precision {
            Precision::Fp16 => half::f16::from_bits(bits).to_f32(),
            _ => half::bf16::from_bits(bits).to_f32(),
        });
        let values: Vec<f32> = every.filter(|value| value.is_finite()).collect();
        // Products of two halves are exact in single precision, and rounded once.
        let pairs: Vec<f32> = values
            .iter()
            .zip(values.iter().rev())
            .flat_map(|(a, b)| [*a, *b])
            .collect();
        let x = bench.device.upload(Values::Elements(&pairs)).unwrap();
        let out = bench.out(values.len());
        let arguments = [
            Arg::Buffer(Some(&x)),
            Arg::Buffer(None),
            Arg::Buffer(Some(&out)),
            Arg::Int(1),
            Arg::Int(0),
        ];
        bench.launch("gate", (values.len(), 1), 32, 0, &arguments);
        for (pair, found) in pairs.chunks(2).zip(bench.device.values(&out)) {
            let product = pair[0] * pair[1];
            let expected = match precision {
                Precision::Fp16 => half::f16::from_f32(product).to_f32(),
                _ => half::bf16::from_f32(product).to_f32(),
            };
            assert_eq!(found.to_bits(), expected.to_bits(), "{pair:?}");
        }
    }
}

#[test]
fn what_is_wrong_is_noticed() {
    let bench = Bench::new(Precision::Fp32, 1);
    let x = bench.device.upload(Values::Elements(&[1.0; 8])).unwrap();
    let small = bench.out(4);
    let launch = Launch {
        grid: (1, 1),
        block: 32,
        shared: 0,
    };
    let gate = |out: &Buffer, width: usize| {
        let arguments = [
            Arg::Buffer(Some(&x)),
            Arg::Buffer(None),
            Arg::Buffer(Some(out)),
            Arg::Int(width),
            Arg::Int(0),
        ];
        bench.device.launch("gate", launch, &arguments)
    };
    gate(&small, 4).unwrap();
    let beyond = bench.out(2);
    assert!(
        gate(&beyond, 4)
            .unwrap_err()
            .to_string()
            .contains("beyond a buffer")
    );
    assert!(
        bench
            .device
            .launch("gate", launch, &[])
            .unwrap_err()
            .to_string()
            .contains("other arguments")
    );
    assert!(
        bench
            .device
            .launch("no_such", launch, &[])
            .unwrap_err()
            .to_string()
            .contains("no kernel")
    );
    let unwritten = bench.out(3);
    assert!(bench.device.values(&unwritten).iter().all(|value| value.is_nan()));
}
