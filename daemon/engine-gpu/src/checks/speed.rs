//! How fast models are: what is measured of one is measured by one engine, as [`served`] gives it.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Instant;

use mednerd_gpu::Engine;
use mednerd_gpu::protocol::{Load, Window};
use mednerd_model::{Adapter, Checkpoint};

use super::{Scored, adapt, load, random_ids, scratch, token, write_adapter};
use crate::{Device, GpuEngine};

/// An engine that serves the checkpoint of this folder as model 1.
pub fn served<D: Device>(device: D, dir: &Path) -> (GpuEngine<D>, Checkpoint) {
    let engine = GpuEngine::new(device, u64::MAX);
    let checkpoint = load(&engine, 1, dir);
    (engine, checkpoint)
}

/// Packs `sequences` of `length` random ids, computes them `times` times, and gives the median of tokens per second.
pub fn throughput<D: Device>(
    (engine, checkpoint): &(GpuEngine<D>, Checkpoint),
    sequences: usize,
    length: usize,
    times: usize,
) -> f64 {
    let ids = random_ids(checkpoint, 7, &vec![length; sequences]);
    let scored = Scored::of(checkpoint, length);
    let batch: Vec<Window<'_>> = ids.iter().map(|ids| scored.window(&[1], ids)).collect();
    (sequences * length) as f64 / median(engine, &[&batch], times)
}

/// The median time of so many rounds of batches, in seconds: one call after the other.
fn median<D: Device>(engine: &GpuEngine<D>, batches: &[&[Window<'_>]], times: usize) -> f64 {
    rounds(times, || {
        for batch in batches {
            engine.forward(batch, &token()).unwrap();
        }
    })
}

/// The same, with a second call behind each.
fn median_of_two<D: Device>(engine: &GpuEngine<D>, batches: &[&[Window<'_>]], times: usize) -> f64 {
    rounds(times, || {
        let next = AtomicUsize::new(0);
        let take = || {
            while let Some(batch) = batches.get(next.fetch_add(1, Ordering::Relaxed)) {
                engine.forward(batch, &token()).unwrap();
            }
        };
        std::thread::scope(|scope| {
            scope.spawn(take);
            take();
        });
    })
}

fn rounds(times: usize, round: impl Fn()) -> f64 {
    let mut found: Vec<f64> = (0..times + 3)
        .map(|_| {
            let begun = Instant::now();
            round();
            begun.elapsed().as_secs_f64()
        })
        .collect();
    // The first ones set things up.
    found.drain(..3);
    middle(&mut found)
}

/// The median times, in seconds, of one window of `length` random ids for so many adapters of rank 16, which leave `percent` of the
/// layers as they are, and of as many windows for the base.
pub fn many_adapters<D: Device>(
    (engine, checkpoint): &(GpuEngine<D>, Checkpoint),
    adapters: usize,
    length: usize,
    percent: usize,
    times: usize,
) -> (f64, f64) {
    let folder = scratch("adapters");
    let layers = checkpoint.architecture().layers.len();
    write_adapter(&folder, checkpoint, layers * percent / 100, 16);
    let numbers: Vec<u64> = (2..).take(adapters).collect();
    for number in &numbers {
        adapt(engine, *number, &folder, checkpoint);
    }
    fs::remove_dir_all(&folder).unwrap();
    let ids = random_ids(checkpoint, 7, &[length]).concat();
    let base: Vec<Window<'_>> = vec![Window::new(&[1], &ids); adapters];
    let found = (
        median(engine, &[&[Window::new(&numbers, &ids)]], times),
        median(engine, &[&base], times),
    );
    numbers.iter().for_each(|number| engine.unload(*number));
    found
}

/// Tokens per second of windows of these lengths, as they come, in batches of up to `budget` tokens: the medians of so many rounds, of one
/// call at a time and of two.
pub fn mixed<D: Device>(
    (engine, checkpoint): &(GpuEngine<D>, Checkpoint),
    lengths: &[usize],
    budget: usize,
    times: usize,
) -> (f64, f64) {
    let ids = random_ids(checkpoint, 7, lengths);
    let (mut batches, mut tokens) = (vec![Vec::new()], 0);
    for ids in &ids {
        tokens += ids.len();
        if tokens > budget {
            tokens = ids.len();
            batches.push(Vec::new());
        }
        batches.last_mut().unwrap().push(Window::new(&[1], ids));
    }
    let batches: Vec<&[Window<'_>]> = batches.iter().map(Vec::as_slice).collect();
    let tokens = lengths.iter().sum::<usize>() as f64;
    (
        tokens / median(engine, &batches, times),
        tokens / median_of_two(engine, &batches, times),
    )
}

fn middle(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// What it costs to load an adapter while a GPU serves, in seconds.
#[derive(Debug)]
pub struct Loading {
    /// To load one: the median.
    pub load: f64,
    /// A window with nothing beside it: the median, and the longest.
    pub alone: (f64, f64),
    /// And beside adapters that come and go.
    pub beside: (f64, f64),
}

/// An adapter of rank 16 that comes and goes so many times, beside one window of `length` random ids for the base that is asked for
/// over and over.
pub fn loading<D: Device>(
    (engine, checkpoint): &(GpuEngine<D>, Checkpoint),
    length: usize,
    times: usize,
) -> Loading {
    let folder = scratch("loading");
    write_adapter(&folder, checkpoint, 0, 16);
    let wanted = Load {
        model: 2,
        path: folder.clone(),
        digest: Adapter::open(&folder, checkpoint).unwrap().digest().to_owned(),
        base: Some(1),
    };
    let ids = random_ids(checkpoint, 7, &[length]).concat();
    let ask = || {
        let begun = Instant::now();
        engine.forward(&[Window::new(&[1], &ids)], &token()).unwrap();
        begun.elapsed().as_secs_f64()
    };
    (0..3).for_each(|_| {
        ask();
    });
    let summary = |mut times: Vec<f64>| (middle(&mut times), times.iter().copied().fold(0.0, f64::max));
    let alone = summary((0..10 * times).map(|_| ask()).collect());
    let over = AtomicBool::new(false);
    let (mut loads, beside) = std::thread::scope(|scope| {
        let loading = scope.spawn(|| {
            let load = |_| {
                let begun = Instant::now();
                engine.load(&wanted).unwrap();
                let time = begun.elapsed().as_secs_f64();
                engine.unload(wanted.model);
                time
            };
            let times: Vec<f64> = (0..times).map(load).collect();
            over.store(true, Ordering::Relaxed);
            times
        });
        let mut beside = vec![ask()];
        while !over.load(Ordering::Relaxed) {
            beside.push(ask());
        }
        (loading.join().unwrap(), beside)
    });
    fs::remove_dir_all(&folder).unwrap();
    Loading {
        load: middle(&mut loads),
        alone,
        beside: summary(beside),
    }
}
