//! Each kernel against its definition in double precision, with random shapes and poisoned outputs.

use std::ops::Range;

use mednerd_gpu::protocol::Precision;
use mednerd_model::{Disentangled, Table};

use super::Random;
use crate::lower::{attention_shared, tensor_kernels};
use crate::{Arg, Device, Kind, Launch, ROWS_AT_ONCE, Values};

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
        let values = self.device.download(buffer).unwrap()().unwrap();
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

    /// Lists of addresses on the device, what matters in each from an entry on that is none of the first.
    fn lists<const N: usize>(&mut self, lists: &[[u64; N]]) -> (usize, Vec<D::Buffer>) {
        let entry = 1 + self.random.below(7);
        // What nobody may follow.
        let before = vec![u64::MAX; entry];
        let lists = lists
            .iter()
            .map(|list| self.addresses(&[&before, &list[..]].concat()));
        (entry, lists.collect())
    }

    /// The lists of the sequences of these models.
    fn models(&self, lists: &[D::Buffer], models: &[usize]) -> D::Buffer {
        let address = |model: &usize| self.device.address(&lists[*model]).unwrap();
        self.addresses(&models.iter().map(address).collect::<Vec<_>>())
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

    /// Room for rows in 8 bits, poisoned.
    fn scaled_out(&self, rows: usize, width: usize) -> [D::Buffer; 2] {
        let values = self.device.allocate(Kind::E4m3, rows * width).unwrap();
        let scales = self.floats(&vec![f32::NAN; rows]);
        let nothing = self.out(rows * width);
        self.quantise(&nothing, [&values, &scales], (rows, width), 32);
        [values, self.floats(&vec![f32::NAN; rows])]
    }

    fn quantise(&self, x: &D::Buffer, out: [&D::Buffer; 2], (rows, width): (usize, usize), block: usize) {
        let [values, scales] = out.map(|buffer| Arg::Buffer(Some(buffer)));
        let arguments = [Arg::Buffer(Some(x)), values, scales, Arg::Int(width)];
        self.launch("quantise", (rows, 1), block, 32 + width, &arguments);
    }

    /// Rows in 8 bits are `expected` rounded, which has an error of its own of at most a share of it, or of one.
    fn compare_scaled(&self, what: &str, found: [&D::Buffer; 2], expected: &[f64], width: usize, own: f64) {
        let [values, scales] = found.map(|buffer| self.values(buffer));
        assert_eq!(values.len(), expected.len(), "{what}");
        let rows = values.chunks(width).zip(&scales).zip(expected.chunks(width));
        for ((values, scale), expected) in rows {
            let largest = expected.iter().fold(1e-30_f64, |most, x| most.max(x.abs()));
            let near = (scale * 448.0 - largest).abs() <= 1e-6 * largest + own * largest.max(1.0);
            assert!(near, "{what}: scale {scale} where the largest is {largest}");
            for (value, expected) in values.iter().zip(expected) {
                // Half a unit in the last place.
                let rounding = (expected.abs() / 16.0).max(scale * 2.0_f64.powi(-10));
                let bound = rounding * 1.0001 + own * expected.abs().max(1.0);
                let near = (value * scale - expected).abs() <= bound;
                assert!(near, "{what}: {} and not {expected}", value * scale);
            }
        }
    }

    /// What a kernel wrote in 8 bits beside `kept` elements is what [`Self::quantise`] makes of these, to the bit; without, it is
    /// `expected`.
    fn compare_both(
        &self,
        what: &str,
        found: [&D::Buffer; 2],
        kept: Option<&D::Buffer>,
        expected: &[f64],
        width: usize,
    ) {
        let Some(kept) = kept else {
            let own = match self.device.precision() {
                Precision::Fp32 => 2e-5,
                _ => 2e-2,
            };
            return self.compare_scaled(what, found, expected, width, own);
        };
        let again = self.scaled_out(expected.len() / width, width);
        let rows = expected.len() / width;
        self.quantise(kept, [&again[0], &again[1]], (rows, width), 64);
        for (one, other) in found.into_iter().zip(&again) {
            assert_eq!(self.values(one), self.values(other), "{what}");
        }
    }

    /// What is in `buffer` is `expected`, but for rounding; a place that was not written is NaN, which is nothing.
    fn compare(&self, what: &str, buffer: &D::Buffer, expected: &[f64]) {
        let bound = match self.device.precision() {
            Precision::Fp32 => 2e-5,
            Precision::Fp16 => 3e-3,
            Precision::Bf16 | Precision::Fp8 => 2e-2,
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
    let in_8_bits = bench.scaled_out(rows, width);
    let [values, scales] = in_8_bits.each_ref();
    let (scaled, kept) = (random.coin(), random.coin());
    let kept = kept || !scaled;
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
            Arg::Buffer(kept.then_some(&out)),
            Arg::Buffer(scaled.then_some(values)),
            Arg::Buffer(scaled.then_some(scales)),
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
        .flat_map(|row| norm(kind, row, &g, biased.then_some(&b), 1e-3))
        .collect::<Vec<_>>();
    if kept {
        bench.compare("add_norm", &out, &expected);
    }
    if scaled {
        let found = in_8_bits.each_ref();
        bench.compare_both("add_norm", found, kept.then_some(&out), &expected, width);
    }
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
    // Model 0 has nothing, 1 a gain, 2 a bias, 3 both.
    let (gain, own) = (bench.random.values(width, 2.0), bench.random.values(width, 2.0));
    let on_gain = bench.floats(&gain);
    let on_own = bench.floats(&own);
    let (at_gain, at_own) = (
        bench.device.address(&on_gain).unwrap(),
        bench.device.address(&on_own).unwrap(),
    );
    let list = |gain, own| [0, 0, gain, own, 0];
    let (entry, lists) = bench.lists(&[
        list(0, 0),
        list(at_gain, 0),
        list(0, at_own),
        list(at_gain, at_own),
    ]);
    // As many sequences, of rows in any order, or of all.
    let one = bench.random.coin();
    let models: Vec<usize> = (0..4).map(|_| bench.random.below(4)).collect();
    let on_models = bench.models(&lists, &models);
    let sequences: Vec<u32> = (0..rows)
        .map(|_| if one { 0 } else { bench.random.below(4) as u32 })
        .collect();
    let on_sequences = bench.indices(&sequences);
    let kind = if to_floats { Kind::Floats } else { Kind::Elements };
    let out = bench.device.allocate(kind, rows * width).unwrap();
    let to = if in_place && !to_floats { &x } else { &out };
    let in_8_bits = bench.scaled_out(rows, width);
    let [values, scales] = in_8_bits.each_ref();
    let (scaled, kept) = (random.coin(), random.coin());
    let shared = if scaled { 32 + width } else { 0 };
    let kept = kept || !scaled || to_floats;
    let mut arguments = vec![
        Arg::Buffer(Some(&x)),
        Arg::Buffer(biased.then_some(&bias)),
        Arg::Buffer(changed.then_some(&on_models)),
        Arg::Buffer((!one).then_some(&on_sequences)),
        Arg::Buffer(kept.then_some(to)),
    ];
    if !to_floats {
        arguments.push(Arg::Buffer(scaled.then_some(values)));
        arguments.push(Arg::Buffer(scaled.then_some(scales)));
    }
    arguments.extend([Arg::Int(entry), Arg::Int(width), Arg::Int(activation)]);
    let name = if to_floats { "logits" } else { "finish" };
    bench.launch(name, (rows, 1), block, shared, &arguments);
    let expected: Vec<f64> = v
        .iter()
        .enumerate()
        .map(|(i, x)| {
            let (model, c) = (models[sequences[i / width] as usize], i % width);
            let gain = if changed && model % 2 == 1 {
                f64::from(gain[c])
            } else {
                1.0
            };
            let own = if changed && model >= 2 {
                f64::from(own[c])
            } else {
                0.0
            };
            activate(activation, x * gain + own + if biased { b[c] } else { 0.0 })
        })
        .collect();
    if kept {
        bench.compare("finish_and_gate", to, &expected);
    }
    if scaled && !to_floats {
        bench.compare_both(
            "finish",
            in_8_bits.each_ref(),
            kept.then_some(to),
            &expected,
            width,
        );
    }
    // The halves of one row twice as wide.
    let (x, v) = bench.elements(rows * 2 * width, 2.0);
    let (bias, b) = bench.elements(2 * width, 1.0);
    let out = bench.out(rows * width);
    let in_8_bits = bench.scaled_out(rows, width);
    let [values, scales] = in_8_bits.each_ref();
    bench.launch(
        "gate",
        (rows, 1),
        block,
        shared,
        &[
            Arg::Buffer(Some(&x)),
            Arg::Buffer(biased.then_some(&bias)),
            Arg::Buffer(kept.then_some(&out)),
            Arg::Buffer(scaled.then_some(values)),
            Arg::Buffer(scaled.then_some(scales)),
            Arg::Int(width),
            Arg::Int(activation),
        ],
    );
    let at = |row: usize, c: usize| v[row * 2 * width + c] + if biased { b[c] } else { 0.0 };
    let expected: Vec<f64> = (0..rows * width)
        .map(|i| activate(activation, at(i / width, i % width)) * at(i / width, width + i % width))
        .collect();
    if kept {
        bench.compare("finish_and_gate", &out, &expected);
    }
    if scaled {
        bench.compare_both(
            "gate",
            in_8_bits.each_ref(),
            kept.then_some(&out),
            &expected,
            width,
        );
    }
}

/// Rows in 8 bits, and products of them.
fn in_8_bits<D: Device>(device: &D, seed: u64) {
    let mut random = Random(seed ^ 0x5555);
    let (block, rows, width) = (random.block(), 1 + random.below(40), random.width(300));
    let mut bench = Bench::new(device, seed);
    // Rows whose numbers have sizes of their own, one of zeros.
    let scale: Vec<f32> = (0..rows)
        .map(|_| 10.0_f32.powi(random.below(9) as i32 - 5))
        .collect();
    let empty = random.below(rows);
    let values: Vec<f32> = bench.random.values(rows * width, 1.0);
    let values = values.iter().enumerate().map(|(place, x)| match place / width {
        row if row == empty => 0.0,
        row => x * scale[row],
    });
    let x = device
        .upload(Values::Elements(&values.collect::<Vec<_>>()))
        .unwrap();
    let stored = bench.values(&x);
    let out = bench.scaled_out(rows, width);
    bench.quantise(&x, out.each_ref(), (rows, width), block);
    bench.compare_scaled("quantise", out.each_ref(), &stored, width, 0.0);
    // A product without its scales gets them.
    let (y, v) = bench.elements(rows * width, 3.0);
    let [of_rows, of_columns] = [rows, width].map(|count| bench.random.values(count, 2.0));
    let [on_rows, on_columns] = [&of_rows, &of_columns].map(|values| bench.floats(values));
    let arguments = [
        Arg::Buffer(Some(&y)),
        Arg::Buffer(Some(&on_rows)),
        Arg::Buffer(Some(&on_columns)),
        Arg::Int(width),
    ];
    bench.launch("rescale", (rows, 1), block, 0, &arguments);
    let expected = v.iter().enumerate().map(|(place, y)| {
        let scale = of_rows[place / width] * of_columns[place % width];
        y * f64::from(scale)
    });
    bench.compare("rescale", &y, &expected.collect::<Vec<_>>());
    let [inputs, outputs] = [1 + random.below(12), 1 + random.below(12)].map(|size| size * ROWS_AT_ONCE);
    product_in_8_bits(&mut bench, block, (rows, inputs, outputs));
}

/// Few rows and more of as many inputs as inner layers have, which cuBLASLt does not treat alike: another number for each seed.
fn many_in_8_bits<D: Device>(device: &D, seed: u64) {
    let rows = [16, 64, 128, 256][(seed % 4) as usize];
    product_in_8_bits(&mut Bench::new(device, seed), 128, (rows, 4096, 1024));
}

/// Products of many rows: the same bits before the device has tried its ways to make them and after, whatever the number of rows.
fn tried_products<D: Device>(device: &D, seed: u64) {
    let mut bench = Bench::new(device, seed);
    let (multiprocessors, _) = device.multiprocessors();
    // As wide, and of as many rows, as is worth trying on this chip.
    let inputs = 64 * (1..).find(|width| width * width >= multiprocessors).unwrap_or(1);
    let outputs = inputs * [1, 3, 4][bench.random.below(3)];
    let most = 72 * multiprocessors;
    let (x, _) = bench.elements(most * inputs, 2.0);
    let (weight, _) = bench.elements(outputs * inputs, 1.0 / (inputs as f32).sqrt());
    let ranges: Vec<Range<usize>> = (0..4)
        .map(|_| {
            let rows = 1 + bench.random.below(most);
            let first = bench.random.below(most - rows + 1);
            first..first + rows
        })
        .collect();
    let products = || {
        let product = |rows: &Range<usize>| {
            device
                .product(&x, rows.clone(), &weight, inputs, outputs)
                .unwrap()
        };
        let products = ranges.iter().map(|rows| bench.values(&product(rows)));
        products.collect::<Vec<_>>()
    };
    let before = products();
    device
        .load(|| device.try_products(&weight, inputs, outputs))
        .unwrap()
        .unwrap();
    for ((rows, before), after) in ranges.iter().zip(&before).zip(&products()) {
        let same = before.iter().zip(after).all(|(a, b)| a.to_bits() == b.to_bits());
        assert!(
            same,
            "product {inputs} to {outputs} of {} rows has other bits once others were tried",
            rows.len()
        );
    }
}

fn product_in_8_bits<D: Device>(
    bench: &mut Bench<'_, D>,
    block: usize,
    (rows, inputs, outputs): (usize, usize, usize),
) {
    let device = bench.device;
    if !device.scales(inputs, outputs).unwrap() {
        assert!(device.precision() != Precision::Fp8, "no product in 8 bits");
        return;
    }
    let filled = rows.next_multiple_of(ROWS_AT_ONCE);
    // What fills up is NaN.
    let mut values = bench.random.values(rows * inputs, 2.0);
    values.resize(filled * inputs, f32::NAN);
    let x = device.upload(Values::Elements(&values)).unwrap();
    let weight = bench.elements(outputs * inputs, 1.0 / (inputs as f32).sqrt()).0;
    let (on_x, on_weight) = (
        bench.scaled_out(filled, inputs),
        bench.scaled_out(outputs, inputs),
    );
    bench.quantise(&x, on_x.each_ref(), (filled, inputs), block);
    bench.quantise(&weight, on_weight.each_ref(), (outputs, inputs), block);
    let (of_x, of_weight) = (on_x.each_ref(), on_weight.each_ref());
    let y = device
        .scaled_product(of_x, rows, of_weight, inputs, outputs)
        .unwrap();
    let numbers = |[values, scales]: [&D::Buffer; 2]| {
        let (values, scales) = (bench.values(values), bench.values(scales));
        let numbers = values.iter().enumerate();
        numbers
            .map(|(place, x)| x * scales[place / inputs])
            .collect::<Vec<f64>>()
    };
    let (x, weight) = (numbers(of_x), numbers(of_weight));
    let found = bench.values(&y);
    assert_eq!(found.len(), filled * outputs);
    for (place, found) in found.iter().take(rows * outputs).enumerate() {
        let (row, column) = (place / outputs * inputs, place % outputs * inputs);
        let terms = x[row..][..inputs].iter().zip(&weight[column..][..inputs]);
        let expected: f64 = terms.map(|(x, weight)| x * weight).sum();
        let near = (found - expected).abs() <= 2e-2 * expected.abs().max(1.0);
        assert!(near, "product in 8 bits: {found} and not {expected} at {place}");
    }
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
    let (on_places, on_starts) = (bench.indices(&places), bench.indices(&starts));
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
    // Small batches are filled up with rows of no sequence, which say that they begin the first one, and may read nothing beyond.
    let filled = tokens + bench.random.below(3);
    let [on_places, on_sequences] = [&places, &sequences].map(|of_tokens| {
        let mut of_rows = of_tokens.clone();
        of_rows.resize(filled, 0);
        bench.indices(&of_rows)
    });
    let (x, v) = bench.elements(filled * width, 2.0);
    let out = bench.out(filled * kernel * width);
    bench.launch(
        "unfold",
        (filled, 1),
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
    let found = bench.values(&out);
    let expected: Vec<f64> = (0..filled * kernel * width)
        .map(|i| {
            let (token, tap, c) = (i / (kernel * width), i / width % kernel, i % width);
            if token >= tokens {
                // Whatever is there, as long as it was there.
                assert!(!found[i].is_nan(), "rotate_and_unfold: nothing at {i}");
                return found[i];
            }
            let from = (token + tap).checked_sub(taps).filter(|from| *from < tokens);
            let from = from.filter(|from| sequences[*from] == sequences[token]);
            from.map_or(0.0, |from| v[from * width + c])
        })
        .collect();
    bench.compare("rotate_and_unfold", &out, &expected);
}

/// A low-rank change of a product, on the device and in double precision.
struct LowRank<B> {
    /// Of the product's parts.
    ranks: [usize; 3],
    down: (B, Vec<f64>),
    /// The parts' matrices one behind the other.
    up: (B, Vec<f64>),
}

/// Rows of the sequences that `starts` has, for models of which the first changes nothing: what one product and the two kernels, or
/// those on tensor cores, make of them. Without sequences, all rows are of one model.
#[allow(clippy::too_many_arguments)]
fn low_rank_case<D: Device>(
    mut bench: Bench<'_, D>,
    starts: &[u32],
    of_sequences: bool,
    inputs: usize,
    parts: [usize; 3],
    ranks: [[usize; 3]; 2],
    tensor: bool,
    block: usize,
) {
    let (outputs, rows) = (parts.iter().sum::<usize>(), starts[starts.len() - 1] as usize);
    let (x, v) = bench.elements(rows * inputs, 1.0);
    let (y, before) = bench.elements(rows * outputs, 1.0);
    let scale = 0.3 / (inputs as f32 / 50.0).max(1.0).sqrt();
    let adapters = ranks.map(|ranks| {
        let rank: usize = ranks.iter().sum();
        let ups: usize = ranks.iter().zip(&parts).map(|(rank, part)| rank * part).sum();
        LowRank {
            ranks,
            down: bench.elements(rank.max(1) * inputs, scale),
            up: bench.elements(ups.max(1), 0.3),
        }
    });
    let lists = adapters.iter().map(|adapter| {
        let address = |buffer| bench.device.address(buffer).unwrap();
        let of_part = |part: usize| (adapter.ranks[part] as u64) << (16 * part);
        let ranks = of_part(0) | of_part(1) | of_part(2);
        [address(&adapter.down.0), address(&adapter.up.0), 0, 0, ranks]
    });
    let mut lists: Vec<_> = lists.collect();
    lists.insert(0, [0; 5]);
    let (entry, lists) = bench.lists(&lists);
    let sequences = starts.len() - 1;
    let models: Vec<usize> = (0..sequences)
        .map(|_| bench.random.below(3).max(usize::from(!of_sequences)))
        .collect();
    let on_models = bench.models(&lists, &models);
    let sequence_of: Vec<usize> = (0..sequences)
        .flat_map(|number| vec![number; (starts[number + 1] - starts[number]) as usize])
        .collect();
    let on_sequences = bench.indices(
        &sequence_of
            .iter()
            .map(|number| *number as u32)
            .collect::<Vec<_>>(),
    );
    let longest = ranks
        .iter()
        .map(|ranks| ranks.iter().sum::<usize>())
        .max()
        .unwrap();
    let middle = bench.device.allocate(Kind::Elements, rows * longest).unwrap();
    let ends = [Arg::Int(parts[0]), Arg::Int(parts[0] + parts[1])];
    let sizes = |columns: usize| [Arg::Int(entry), Arg::Int(columns), Arg::Int(longest)];
    let (models_there, middle_there) = (Arg::Buffer(Some(&on_models)), Arg::Buffer(Some(&middle)));
    let launch = |name: &str, grid, block, shared, of_rows: &[Arg<'_, D::Buffer>]| {
        let (from, to, columns, ends) = match name.starts_with("lora_shrink") {
            true => (Arg::Buffer(Some(&x)), middle_there, inputs, &[][..]),
            false => (middle_there, Arg::Buffer(Some(&y)), outputs, &ends[..]),
        };
        let (all, sizes) = ([Arg::Int(rows)], sizes(columns));
        let all = if tensor { &all[..] } else { &[] };
        let arguments = [&[from, models_there], of_rows, &[to], all, &sizes, ends].concat();
        bench.launch(name, grid, block, shared, &arguments);
    };
    if tensor {
        let mut tiles: Vec<u32> = (0..sequences as u32)
            .zip(starts.windows(2))
            .flat_map(|(number, ends)| {
                (0..ends[1] - ends[0])
                    .step_by(64)
                    .flat_map(move |first| [number, first])
            })
            .collect();
        // And one beyond its sequence, as small batches have them.
        tiles.extend([0, starts[1]]);
        let (on_tiles, on_starts) = (bench.indices(&tiles), bench.indices(starts));
        let count = if of_sequences {
            tiles.len() / 2
        } else {
            rows.div_ceil(64)
        };
        let of_rows = [&on_tiles, &on_starts].map(|buffer| Arg::Buffer(of_sequences.then_some(buffer)));
        launch("lora_shrink_tensor", (count, 4), 256, 8 * 16 * 72, &of_rows);
        launch(
            "lora_expand_tensor",
            (count, outputs.div_ceil(128)),
            128,
            0,
            &of_rows,
        );
    } else {
        let of_rows = [Arg::Buffer(of_sequences.then_some(&on_sequences))];
        launch("lora_shrink", (rows, 1), block, 0, &of_rows);
        launch("lora_expand", (rows, 1), block, 0, &of_rows);
    }
    let mut expected = before.clone();
    for row in 0..rows {
        let sequence = if of_sequences { sequence_of[row] } else { 0 };
        let Some(model) = models[sequence].checked_sub(1) else {
            continue;
        };
        let LowRank { ranks, down, up } = &adapters[model];
        let all: usize = ranks.iter().sum();
        let middle: Vec<f64> = (0..all)
            .map(|r| {
                let pairs = v[row * inputs..][..inputs].iter().zip(&down.1[r * inputs..]);
                pairs.map(|(x, down)| x * down).sum()
            })
            .collect();
        let (mut output, mut rank, mut place) = (0, 0, 0);
        for part in 0..3 {
            for o in output..output + parts[part] {
                let pairs = up.1[place..][..ranks[part]].iter().zip(&middle[rank..]);
                expected[row * outputs + o] += pairs.map(|(up, middle)| up * middle).sum::<f64>();
                place += ranks[part];
            }
            output += parts[part];
            rank += ranks[part];
        }
    }
    let what = if tensor {
        "low_rank_tensor"
    } else {
        "low_rank_changes"
    };
    bench.compare(what, &y, &expected);
}

fn low_rank_changes<D: Device>(device: &D, seed: u64) {
    let mut random = Random(seed ^ 0x5555);
    let (block, inputs) = (random.block(), 1 + random.below(99));
    let starts: Vec<u32> = (0..2 + random.below(4) as u32).collect();
    let parts = [1 + random.below(50), random.below(50), random.below(50)];
    let ranks = [(); 2].map(|()| [1 + random.below(8), random.below(8), random.below(8)]);
    let bench = Bench::new(device, seed);
    low_rank_case(bench, &starts, random.coin(), inputs, parts, ranks, false, block);
}

fn low_rank_tensor<D: Device>(device: &D, seed: u64) {
    if !device.tensor_cores() {
        return;
    }
    let mut random = Random(seed ^ 0x5555);
    let mut starts = vec![0];
    for _ in 0..=random.below(3) {
        starts.push(starts[starts.len() - 1] + 1 + random.below(150) as u32);
    }
    let inputs = 32 * (1 + random.below(12));
    let parts = [1 + random.below(5), random.below(4), random.below(3)].map(|part| 32 * part);
    // One now and then of more than are computed at once.
    let limit = if random.below(4) == 0 { 6 } else { 2 };
    let ranks = [(); 2].map(|()| [1 + random.below(limit), random.below(limit), random.below(limit)]);
    let ranks = ranks.map(|ranks| ranks.map(|rank| 16 * rank));
    let bench = Bench::new(device, seed);
    low_rank_case(bench, &starts, random.coin(), inputs, parts, ranks, true, 0);
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
    // One now and then of many tiles.
    let longest = if random.below(8) == 0 { 600 } else { 150 };
    let lengths: Vec<usize> = (0..=random.below(2)).map(|_| 1 + random.below(longest)).collect();
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
    let shape = (1 + random.below(2), 1 + random.below(2), 32 << random.below(2));
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
    if device.tensor_cores() {
        attention_case(
            device,
            &[1, 1024, 3],
            (1, 1, 64),
            None,
            None,
            [false, false],
            128,
            seed,
        );
        attention_case(
            device,
            &[8192],
            (1, 1, 64),
            None,
            Some(16),
            [false, false],
            128,
            seed,
        );
    }
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
    let (mut starts, mut tiles, mut models) = (vec![0_u32], Vec::new(), Vec::new());
    for (number, length) in lengths.iter().enumerate() {
        models.push(bench.random.below(2));
        starts.push(starts[number] + *length as u32);
        tiles.extend(
            (0..*length)
                .step_by(queries)
                .flat_map(|first| [number as u32, first as u32]),
        );
    }
    let rows = [12, 40, 2 * context][bench.random.below(3)];
    let mut columns = columns_of_distances(&mut bench.random, context, rows);
    // Places whose products no half holds, and that are the same for all keys, so that nothing comes of them.
    let flooded = key_tile.is_none() && terms == [true, false] && bench.random.below(3) == 0;
    if flooded {
        columns.fill(0);
    }
    let largest = if flooded { 60000.0 } else { 0.5 };
    let tables: Vec<(D::Buffer, Vec<f64>)> = (0..4)
        .map(|_| bench.elements(rows * heads * d, largest))
        .collect();
    let addresses: Vec<u64> = tables
        .iter()
        .map(|(buffer, _)| bench.device.address(buffer).unwrap())
        .collect();
    let (entry, lists) = bench.lists(&[0, 1].map(|model| {
        let term = |term: usize| {
            if terms[term] {
                addresses[2 * term + model]
            } else {
                0
            }
        };
        [term(0), term(1)]
    }));
    let on_models = bench.models(&lists, &models);
    let (on_columns, on_tiles) = (bench.indices(&columns), bench.indices(&tiles));
    let on_starts = bench.indices(&starts);
    let out = bench.out(tokens * heads * d);
    // Less where a score has more terms, as in DeBERTa; and now and then so much that later keys count for all.
    let scale = match (flooded, relative) {
        (true, _) => 0.1,
        (_, true) => 0.7 / (1.0 + terms.iter().filter(|term| **term).count() as f32).sqrt(),
        // A bias is added as halves are, which would show.
        _ if bias.is_none() && bench.random.coin() => 5.0,
        _ => 0.7,
    };
    let signed = Arg::Signed(reach.map_or(-1, |reach| reach as i32));
    let grid = (tiles.len() / 2, heads);
    let of_places = |columns| {
        [
            columns,
            Arg::Int(context),
            Arg::Buffer(Some(&on_models)),
            Arg::Int(entry),
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
        if relative {
            arguments.extend(of_places(Arg::Buffer(Some(&on_columns))));
        }
        let kernels = tensor_kernels(d, relative, device.warpgroups()).unwrap();
        if kernels[0].warpgroups.is_some() {
            arguments.push(Arg::Int(tiles.len() / 2));
        }
        let [many, few] = kernels.map(|kernel| {
            let launch = kernel.launch(tiles.len() / 2, heads);
            bench.device.launch(kernel.name, launch, &arguments).unwrap();
            bench.device.download(&out).unwrap()().unwrap()
        });
        assert!(
            many.iter().zip(&few).all(|(a, b)| a.to_bits() == b.to_bits()),
            "attention depends on how many queries a warp has"
        );
    }
    let mut expected = vec![0.0; tokens * heads * d];
    for (number, length) in lengths.iter().enumerate() {
        let begin = starts[number] as usize;
        let model = models[number];
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
                            score += dot(query, place(model));
                        }
                        if terms[1] {
                            score += dot(key, place(2 + model));
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

/// Both directions of an LSTM, alone and with sequences that share what is read.
fn recur<D: Device>(device: &D, seed: u64) {
    let mut random = Random(seed ^ 0x5555);
    let together = random.coin();
    let half = random.width(if together { 24 } else { 40 });
    let lengths: Vec<usize> = (0..=random.below(9)).map(|_| 1 + random.below(5)).collect();
    let block = random.block();
    let mut bench = Bench::new(device, seed);
    let starts = starts_of(&lengths);
    let rows = starts[lengths.len()] as usize;
    let (gates, g) = bench.elements(rows * 8 * half, 2.0);
    let (bias, b) = bench.elements(8 * half, 1.0);
    let (weights, w) = bench.elements(8 * half * half, 1.5 / (half as f32).sqrt());
    let mut order: Vec<u32> = (0..lengths.len() as u32).collect();
    order.sort_by_key(|number| lengths[*number as usize]);
    let (on_order, on_starts) = (bench.indices(&order), bench.indices(&starts));
    let out = bench.out(rows * 2 * half);
    let (kernel, at_once) = if together {
        ("recur_together", 4)
    } else {
        ("recur", 1)
    };
    bench.launch(
        kernel,
        (lengths.len().div_ceil(at_once), 2),
        block,
        at_once * 6 * half,
        &[
            Arg::Buffer(Some(&gates)),
            Arg::Buffer(Some(&bias)),
            Arg::Buffer(Some(&weights)),
            Arg::At(&on_order, 0),
            Arg::At(&on_starts, 0),
            Arg::Buffer(Some(&out)),
            Arg::Int(lengths.len()),
            Arg::Int(half),
        ],
    );
    let sigmoid = |x: f64| 1.0 / (1.0 + (-x).exp());
    let mut expected = vec![0.0; rows * 2 * half];
    for (number, length) in lengths.iter().enumerate() {
        for direction in 0..2 {
            let (mut state, mut cell) = (vec![0.0; half], vec![0.0; half]);
            for step in 0..*length {
                let place = if direction == 1 { length - 1 - step } else { step };
                let row = starts[number] as usize + place;
                let gate = |column: usize| {
                    let of_state = state.iter().enumerate();
                    let of_state = of_state.map(|(k, x)| x * w[(direction * half + k) * 4 * half + column]);
                    let column = direction * 4 * half + column;
                    of_state.sum::<f64>() + g[row * 8 * half + column] + b[column]
                };
                let gates: Vec<f64> = (0..4 * half).map(gate).collect();
                for k in 0..half {
                    let new = sigmoid(gates[k]) * gates[2 * half + k].tanh();
                    cell[k] = sigmoid(gates[half + k]) * cell[k] + new;
                    state[k] = sigmoid(gates[3 * half + k]) * cell[k].tanh();
                }
                expected[(row * 2 + direction) * half..][..half].copy_from_slice(&state);
            }
        }
    }
    bench.compare("recur", &out, &expected);
}

/// Where each of these begins, and where the last one ends.
fn starts_of(lengths: &[usize]) -> Vec<u32> {
    let ends = lengths.iter().scan(0, |end, length| {
        *end += *length as u32;
        Some(*end)
    });
    std::iter::once(0).chain(ends).collect()
}

/// Texts of some words for some labels, of which two may have the same: as the kernels are told, with the number of labels in all and of
/// scores.
fn some_texts(random: &mut Random, each: usize, most: (usize, usize)) -> (Vec<[usize; 5]>, usize, usize) {
    let (mut texts, mut word, mut label, mut score) = (Vec::<[usize; 5]>::new(), 0, 0, 0);
    for _ in 0..=random.below(3) {
        let words = 1 + random.below(most.0);
        let shared = texts
            .last()
            .filter(|_| random.coin())
            .map(|text| [text[2], text[3]]);
        let [first, labels] = shared.unwrap_or_else(|| [label, 1 + random.below(most.1)]);
        texts.push([word, words, first, labels, score]);
        word += words;
        label = label.max(first + labels);
        score += words * labels * each;
    }
    (texts, label, score)
}

fn flat<const N: usize>(rows: &[[usize; N]]) -> Vec<u32> {
    rows.iter().flatten().map(|number| *number as u32).collect()
}

fn stretches<D: Device>(device: &D, seed: u64) {
    let mut random = Random(seed ^ 0x5555);
    let max_width = 1 + random.below(27);
    let (texts, labels, scores) = some_texts(&mut random, max_width, (40, 35));
    // As `markerV0` has it, and as `marker` has it.
    let half = random.width(70);
    let inner = if random.coin() { half } else { 2 * half };
    let (stride, biased) = (inner + 1 + random.below(9), random.coin());
    let mut bench = Bench::new(device, seed);
    let words = texts.iter().map(|text| text[1]).sum::<usize>();
    let (first, f) = bench.elements(words * half, 1.0);
    let (bias, b) = bench.elements(half, 1.0);
    let (last, l) = bench.elements(words * half, 1.0);
    let (products, p) = bench.elements(labels * stride, 1.0 / (inner as f32).sqrt());
    let mut tiles = Vec::new();
    for (number, [_, words, _, labels, _]) in texts.iter().enumerate() {
        for word in (0..*words).step_by(16) {
            tiles.extend((0..*labels).step_by(16).map(|label| [number, word, label]));
        }
    }
    let (on_tiles, on_texts) = (bench.indices(&flat(&tiles)), bench.indices(&flat(&texts)));
    let out = bench.floats(&vec![f32::NAN; scores]);
    bench.launch(
        "stretches",
        (tiles.len(), max_width.div_ceil(12)),
        192,
        59 * 36,
        &[
            Arg::Buffer(Some(&first)),
            Arg::Buffer(biased.then_some(&bias)),
            Arg::Buffer(Some(&last)),
            Arg::Buffer(Some(&products)),
            Arg::At(&on_tiles, 0),
            Arg::At(&on_texts, 0),
            Arg::Buffer(Some(&out)),
            Arg::Int(inner),
            Arg::Int(half),
            Arg::Int(stride),
            Arg::Int(max_width),
        ],
    );
    let mut expected = vec![0.0; scores];
    for [begin, words, first_label, labels, score] in texts {
        for word in 0..words {
            for size in 0..max_width.min(words - word) {
                let [one, other] = [begin + word, begin + word + size];
                let vector: Vec<f64> = (0..inner)
                    .map(|c| {
                        let of_first = if c < half {
                            f[one * half + c] + if biased { b[c] } else { 0.0 }
                        } else {
                            0.0
                        };
                        let of_last = (c + half).checked_sub(inner).map_or(0.0, |c| l[other * half + c]);
                        (of_first + of_last).max(0.0)
                    })
                    .collect();
                for label in 0..labels {
                    let row = &p[(first_label + label) * stride..][..=inner];
                    let dot = vector.iter().zip(row).map(|(x, y)| x * y).sum::<f64>();
                    expected[score + (word * max_width + size) * labels + label] = dot + row[inner];
                }
            }
        }
    }
    bench.compare("stretches", &out, &expected);
}

/// What is left of segments of scores: of some too much to fit, and some are copied.
fn sift<D: Device>(device: &D, seed: u64) {
    let mut random = Random(seed ^ 0x5555);
    let count = 1 + random.below(3000);
    let mut bench = Bench::new(device, seed);
    let mut scores = bench.random.values(count, 1.0);
    scores[random.below(count)] = f32::NAN;
    let (mut segments, mut expected, mut begin) = (Vec::new(), Vec::<f32>::new(), 0);
    while begin < count {
        let size = (1 + random.below(400)).min(count - begin);
        let floor = [f32::NEG_INFINITY, 0.9, 0.7, 2.0][random.below(4)];
        segments.extend([begin as u32, size as u32, expected.len() as u32, floor.to_bits()]);
        let own = &scores[begin..begin + size];
        if floor == f32::NEG_INFINITY {
            expected.extend(own);
        } else {
            let all = own
                .iter()
                .enumerate()
                .filter(|(_, score)| score.is_nan() || **score >= floor);
            let all: Vec<(usize, f32)> = all.map(|(place, score)| (place, *score)).collect();
            let mut left = vec![f32::INFINITY; 65];
            left[0] = all.len() as f32;
            for (at, (place, score)) in all.iter().take(32).enumerate() {
                (left[1 + at], left[33 + at]) = (*place as f32, *score);
            }
            expected.extend(left);
        }
        begin += size;
    }
    let (on_scores, on_segments) = (bench.floats(&scores), bench.indices(&segments));
    // What was not written is as it was.
    let out = bench.floats(&vec![f32::INFINITY; expected.len()]);
    bench.launch(
        "sift",
        (segments.len() / 4, 1),
        32,
        0,
        &[
            Arg::Buffer(Some(&on_scores)),
            Arg::At(&on_segments, 0),
            Arg::Buffer(Some(&out)),
        ],
    );
    let found = device.download(&out).unwrap()().unwrap();
    let bits = |values: &[f32]| values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
    assert_eq!(bits(&found), bits(&expected), "sift");
}

fn scores_of_words<D: Device>(device: &D, seed: u64) {
    let mut random = Random(seed ^ 0x5555);
    let (width, inner, block) = (random.width(40), random.width(90), random.block());
    let (texts, labels, scores) = some_texts(&mut random, 3, (6, 7));
    let words = texts.iter().map(|text| text[1]).sum::<usize>();
    let of_words: Vec<usize> = texts
        .iter()
        .enumerate()
        .flat_map(|(number, text)| vec![number; text[1]])
        .collect();
    // A chunk of all words.
    let begin = random.below(words);
    let chunk = begin..begin + 1 + random.below(words - begin);
    let mut bench = Bench::new(device, seed);
    let (seconds, s) = bench.elements(words * width, 1.0);
    let (of_labels, l) = bench.elements(labels * width, 1.0);
    let (word_parts, w) = bench.elements(words * inner, 1.0);
    let (label_parts, t) = bench.elements(labels * inner, 1.0);
    let (weights, m) = bench.elements(3 * inner, 1.0 / (inner as f32).sqrt());
    let (bias, b) = bench.elements(3, 1.0);
    let on_words = bench.indices(&of_words.iter().map(|text| *text as u32).collect::<Vec<_>>());
    let on_texts = bench.indices(&flat(&texts));
    let pairs: Vec<(usize, usize)> = chunk
        .clone()
        .flat_map(|word| {
            let text = texts[of_words[word]];
            (0..text[3]).map(move |label| (word, text[2] + label))
        })
        .collect();
    let met = bench.out(pairs.len() * width);
    bench.launch(
        "meet",
        (chunk.len(), 1),
        block,
        0,
        &[
            Arg::Buffer(Some(&seconds)),
            Arg::Buffer(Some(&of_labels)),
            Arg::At(&on_words, 0),
            Arg::At(&on_texts, 0),
            Arg::Buffer(Some(&met)),
            Arg::Int(chunk.start),
            Arg::Int(width),
        ],
    );
    let product = |(word, label): &(usize, usize)| {
        let (word, label) = (&s[word * width..][..width], &l[label * width..][..width]);
        word.iter().zip(label).map(|(x, y)| x * y).collect::<Vec<f64>>()
    };
    bench.compare("meet", &met, &pairs.iter().flat_map(product).collect::<Vec<_>>());
    let (on_pairs, v) = bench.elements(pairs.len() * inner, 1.0);
    let out = bench.floats(&vec![f32::NAN; scores]);
    bench.launch(
        "score_words",
        (chunk.len(), 1),
        block,
        0,
        &[
            Arg::Buffer(Some(&on_pairs)),
            Arg::Buffer(Some(&word_parts)),
            Arg::Buffer(Some(&label_parts)),
            Arg::At(&on_words, 0),
            Arg::At(&on_texts, 0),
            Arg::Buffer(Some(&weights)),
            Arg::Buffer(Some(&bias)),
            Arg::Buffer(Some(&out)),
            Arg::Int(chunk.start),
            Arg::Int(inner),
        ],
    );
    let found = bench.values(&out);
    let first = texts[of_words[chunk.start]];
    let begin = first[4] + (chunk.start - first[0]) * first[3] * 3;
    let others = found[..begin].iter().chain(&found[begin + 3 * pairs.len()..]);
    assert!(
        others.into_iter().all(|score| score.is_nan()),
        "score_words wrote beyond its words"
    );
    let chosen = bench.floats(
        &found[begin..][..3 * pairs.len()]
            .iter()
            .map(|x| *x as f32)
            .collect::<Vec<_>>(),
    );
    let expected = pairs.iter().enumerate().flat_map(|(pair, (word, label))| {
        let hidden: Vec<f64> = (0..inner)
            .map(|c| (v[pair * inner + c] + w[word * inner + c] + t[label * inner + c]).max(0.0))
            .collect();
        let score = |i: usize| {
            hidden
                .iter()
                .zip(&m[i * inner..])
                .map(|(x, y)| x * y)
                .sum::<f64>()
                + b[i]
        };
        [0, 1, 2].map(score)
    });
    bench.compare("score_words", &chosen, &expected.collect::<Vec<_>>());
}

type Check<D> = fn(&D, u64);

/// Each kernel's check, by the name of its function.
macro_rules! checks {
    ($($name:ident),* $(,)?) => {
        /// The names of the kernels' checks.
        pub const KERNELS: &[&str] = &[$(stringify!($name)),*];

        fn check<D: Device>(name: &str) -> Option<Check<D>> {
            match name {
                $(stringify!($name) => Some($name),)*
                _ => None,
            }
        }
    };
}

checks![
    embed,
    add_norm,
    finish_and_gate,
    in_8_bits,
    many_in_8_bits,
    tried_products,
    rotate_and_unfold,
    low_rank_changes,
    low_rank_tensor,
    attend,
    attend_tensor,
    attend_places,
    attend_long,
    recur,
    stretches,
    sift,
    scores_of_words,
];

/// Checks what one of [`KERNELS`] names, `cases` times with other shapes and numbers.
pub fn kernel<D: Device>(device: &D, name: &str, seed: u64, cases: u64) {
    let check = check::<D>(name).expect("a kernel's check");
    for case in 0..cases {
        check(device, seed.wrapping_mul(1_000_003).wrapping_add(case));
    }
}
