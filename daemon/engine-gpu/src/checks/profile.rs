//! Each kernel's time beside its floor: what it must read and write, and compute, over what the device can at most.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::convert::Infallible;
use std::fs;
use std::ops::Range;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use mednerd_gpu::Engine;
use mednerd_gpu::protocol::{Precision, Window};

use super::{Random, Scored, adapt, load, random_ids, scratch, token, write_adapter};
use crate::{Arg, Copied, Device, DeviceError, GpuEngine, Kind, Launch, ROWS_AT_ONCE, Recorded, Values};

/// How often everything is done of which the time is taken.
const TIMES: u32 = 20;
/// How often they are timed anew where that was lost in what else the machine does.
const MOST_TRIES: usize = 3;

/// What one kernel, or products of one shape, took in all.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Spent {
    /// Launches.
    pub calls: u64,
    /// Time.
    pub seconds: f64,
    /// What must be read and written at least. Weights that are small beside a batch, adapters' and tables of places are not counted.
    pub bytes: f64,
    /// Multiplications and additions that there are at least.
    pub operations: f64,
}

/// A device that takes the time of what it is asked for while it is switched on, and does everything as the one inside. A launch is
/// done many times over for it; what writes where it reads does so elsewhere. Records nothing.
pub struct Profiled<D: Device> {
    inner: D,
    /// The sequences of a batch, and their length.
    shape: (usize, usize),
    /// Words and labels of each.
    scored: (f64, f64),
    on: Arc<AtomicBool>,
    spent: Arc<Mutex<BTreeMap<String, Spent>>>,
    /// By the number of elements.
    scratch: Mutex<HashMap<usize, D::Buffer>>,
}

/// Memory of it.
pub struct Buffer<B> {
    inner: B,
    count: usize,
}

impl<D: Device> Profiled<D> {
    /// For batches of so many sequences of one length.
    pub fn new(inner: D, shape: (usize, usize)) -> Self {
        let (words, labels) = (
            (shape.1 - shape.1 / 5).div_ceil(2),
            shape.1.div_ceil(5).div_ceil(4),
        );
        Self {
            inner,
            shape,
            scored: (words as f64, labels as f64),
            on: Arc::default(),
            spent: Arc::default(),
            scratch: Mutex::default(),
        }
    }

    /// What switches it on.
    pub fn switch(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.on)
    }

    /// What everything took since it was made, by kernel.
    pub fn spent(&self) -> Arc<Mutex<BTreeMap<String, Spent>>> {
        Arc::clone(&self.spent)
    }

    /// Seconds that `work` takes, done so many times without a pause: the median of three, behind a call that makes ready what a first one
    /// needs.
    fn time(&self, work: impl Fn() -> Result<(), DeviceError>) -> Result<f64, DeviceError> {
        let times = |count: u32| {
            self.inner.wait()?;
            let begun = Instant::now();
            (0..count).try_for_each(|_| work())?;
            self.inner.wait()?;
            Ok::<f64, DeviceError>(begun.elapsed().as_secs_f64())
        };
        times(1)?;
        // A machine that did something else meanwhile is asked again.
        for _ in 0..MOST_TRIES {
            let seconds = self.time_once(times)?;
            if seconds > 0.0 {
                return Ok(seconds);
            }
        }
        // Less than can be told: it is in the table as nothing.
        Ok(0.0)
    }

    /// What one call of many takes longer than none: the median of three. Not above zero where it is lost in what else the machine does.
    fn time_once(&self, times: impl Fn(u32) -> Result<f64, DeviceError>) -> Result<f64, DeviceError> {
        let mut differences = [0.0; 3];
        for difference in &mut differences {
            // What waiting takes is in both.
            let (once, often) = (times(1)?, times(TIMES + 1)?);
            *difference = (often - once) / f64::from(TIMES);
        }
        differences.sort_by(f64::total_cmp);
        let [_, median, _] = differences;
        Ok(median)
    }

    fn note(&self, name: String, seconds: f64, bytes: f64, operations: f64) {
        let mut spent = self.spent.lock().unwrap();
        let one = spent.entry(name).or_default();
        one.calls += 1;
        one.seconds += seconds;
        one.bytes += bytes;
        one.operations += operations;
    }

    /// Bytes and operations of a launch.
    fn work(&self, name: &str, launch: Launch, arguments: &[Arg<'_, Buffer<D::Buffer>>]) -> (f64, f64) {
        let int = |place: usize| match arguments.get(place) {
            Some(Arg::Int(number)) => *number as f64,
            _ => panic!("{name} has no number at {place}"),
        };
        let given = |place: usize| f64::from(!matches!(arguments[place], Arg::Buffer(None)));
        let (rows, element) = (launch.grid.0 as f64, self.inner.precision().bytes() as f64);
        let moved = |columns: f64| rows * columns * element;
        match name {
            "embed" => (moved(2.0 * int(7)), 0.0),
            "add_norm" => {
                let kept = given(2) + given(5) + given(6) + given(7) / element;
                (moved(int(9) * (1.0 + kept)), 0.0)
            }
            "finish" => (moved(int(8) * (1.0 + given(4) + given(5) / element)), 0.0),
            "quantise" => (moved(int(3) * (1.0 + 1.0 / element)), 0.0),
            "logits" => (moved(int(6)) + 4.0 * rows * int(6), 0.0),
            "gate" => (moved(int(5) * (2.0 + given(2) + given(3) / element)), 0.0),
            "rotate" => (moved(2.0 * int(5) * int(6)), 0.0),
            "unfold" => (moved(int(5) * (1.0 + int(6))), 0.0),
            "lora_shrink" => (moved(int(5) + int(6)), 2.0 * rows * int(5) * int(6)),
            "lora_expand" => (moved(2.0 * int(5) + int(6)), 2.0 * rows * int(5) * int(6)),
            "lora_shrink_tensor" => (
                int(5) * (int(7) + int(8)) * element,
                2.0 * int(5) * int(7) * int(8),
            ),
            "lora_expand_tensor" => (
                int(5) * (2.0 * int(7) + int(8)) * element,
                2.0 * int(5) * int(7) * int(8),
            ),
            // Each block reads all weights of its direction for each word; what L2 gives of them is the floor.
            "recur" | "recur_together" => {
                let (words, half) = (self.scored.0, int(7));
                let weights = rows * 2.0 * words * 4.0 * half * half * element;
                let operations = int(6) * words * 2.0 * 8.0 * half * half;
                (weights + int(6) * words * 10.0 * half * element, operations)
            }
            "stretches" => {
                let (count, (words, labels)) = (self.shape.0 as f64, self.scored);
                let scores = count * words * int(10) * labels;
                let moved = count * (2.0 * words * int(8) + labels * int(9)) * element;
                (moved + 4.0 * scores, scores * 2.0 * int(7))
            }
            // Whole segments.
            "sift" => (4.0 * 2048.0 * rows, 0.0),
            "meet" => (moved(2.0 * self.scored.1 * int(6)), 0.0),
            "score_words" => (moved(self.scored.1 * int(9)), 6.0 * rows * self.scored.1 * int(9)),
            _ => {
                let width = name.rsplit('_').next().and_then(|width| width.parse().ok());
                let (heads, kv_heads) = (int(5), int(6));
                let (width, reach, places) = match width {
                    Some(width) => (width, &arguments[8], name.contains("places")),
                    None => (int(7), &arguments[9], !matches!(arguments[11], Arg::Buffer(None))),
                };
                let (count, length) = (self.shape.0 as f64, self.shape.1 as f64);
                let seen = match reach {
                    Arg::Signed(reach) if *reach >= 0 => length.min(2.0 * f64::from(*reach) + 1.0),
                    _ => length,
                };
                // Each query, and each key, with each distance that it has.
                let distances = if places { 4.0 * 2.0 * seen } else { 0.0 };
                let operations = count * length * heads * width * (4.0 * seen + distances);
                let bytes = count * length * (2.0 * heads + 2.0 * kv_heads) * width * element;
                (bytes, operations)
            }
        }
    }
}

fn inner<'a, B>(argument: &Arg<'a, Buffer<B>>) -> Arg<'a, B> {
    match *argument {
        Arg::Buffer(buffer) => Arg::Buffer(buffer.map(|buffer| &buffer.inner)),
        Arg::At(buffer, first) => Arg::At(&buffer.inner, first),
        Arg::Int(number) => Arg::Int(number),
        Arg::Signed(number) => Arg::Signed(number),
        Arg::Float(number) => Arg::Float(number),
    }
}

impl<D: Device> Device for Profiled<D> {
    type Buffer = Buffer<D::Buffer>;
    type Recording = Infallible;

    fn precision(&self) -> Precision {
        self.inner.precision()
    }

    fn multiprocessors(&self) -> (usize, usize) {
        self.inner.multiprocessors()
    }

    fn shared_limit(&self) -> usize {
        self.inner.shared_limit()
    }

    fn tensor_cores(&self) -> bool {
        self.inner.tensor_cores()
    }

    fn warpgroups(&self) -> bool {
        self.inner.warpgroups()
    }

    fn load<T>(&self, work: impl FnOnce() -> T) -> Result<T, DeviceError> {
        self.inner.load(work)
    }

    fn allocate(&self, kind: Kind, count: usize) -> Result<Self::Buffer, DeviceError> {
        let inner = self.inner.allocate(kind, count)?;
        Ok(Buffer { inner, count })
    }

    fn upload(&self, values: Values<'_>) -> Result<Self::Buffer, DeviceError> {
        let count = match values {
            Values::Elements(values) | Values::Floats(values) => values.len(),
            Values::Indices(values) => values.len(),
            Values::Addresses(values) => values.len(),
        };
        let inner = self.inner.upload(values)?;
        Ok(Buffer { inner, count })
    }

    fn download(&self, buffer: &Self::Buffer) -> Result<Copied<'_>, DeviceError> {
        self.inner.download(&buffer.inner)
    }

    fn wait(&self) -> Result<(), DeviceError> {
        self.inner.wait()
    }

    fn overwrite(&self, buffer: &Self::Buffer, values: &[u32]) -> Result<(), DeviceError> {
        self.inner.overwrite(&buffer.inner, values)
    }

    fn records(&self) -> bool {
        false
    }

    fn record(
        &self,
        _: &mut dyn FnMut() -> Result<Self::Buffer, DeviceError>,
    ) -> Result<Recorded<Self>, DeviceError> {
        Ok(None)
    }

    fn recorded(&self) -> u64 {
        0
    }

    fn replay(&self, recording: &Infallible) -> Result<(), DeviceError> {
        match *recording {}
    }

    fn address(&self, buffer: &Self::Buffer) -> Result<u64, DeviceError> {
        self.inner.address(&buffer.inner)
    }

    fn launch(
        &self,
        name: &str,
        launch: Launch,
        arguments: &[Arg<'_, Self::Buffer>],
    ) -> Result<(), DeviceError> {
        let plain: Vec<Arg<'_, D::Buffer>> = arguments.iter().map(inner).collect();
        if !self.on.load(Ordering::Relaxed) {
            return self.inner.launch(name, launch, &plain);
        }
        // Where these write.
        let written = match name {
            "finish" | "lora_expand_tensor" => Some(4),
            "lora_expand" => Some(3),
            "rotate" => Some(0),
            _ => None,
        };
        let written = written.and_then(|place| match arguments.get(place) {
            Some(Arg::Buffer(Some(buffer))) => Some(*buffer),
            _ => None,
        });
        let mut scratch = self.scratch.lock().unwrap();
        let mut elsewhere = plain.clone();
        if let Some(buffer) = written {
            let own = match scratch.entry(buffer.count) {
                Entry::Occupied(place) => place.into_mut(),
                Entry::Vacant(place) => place.insert(self.inner.allocate(Kind::Elements, buffer.count)?),
            };
            let (address, own) = (self.inner.address(&buffer.inner)?, &*own);
            for argument in &mut elsewhere {
                if let Arg::Buffer(Some(buffer)) = argument
                    && self.inner.address(buffer)? == address
                {
                    *argument = Arg::Buffer(Some(own));
                }
            }
        }
        let seconds = self.time(|| self.inner.launch(name, launch, &elsewhere))?;
        let (bytes, operations) = self.work(name, launch, arguments);
        self.note(name.to_owned(), seconds, bytes, operations);
        self.inner.launch(name, launch, &plain)
    }

    fn product(
        &self,
        x: &Self::Buffer,
        rows: Range<usize>,
        weight: &Self::Buffer,
        inputs: usize,
        outputs: usize,
    ) -> Result<Self::Buffer, DeviceError> {
        let (x, weight, count) = (&x.inner, &weight.inner, rows.len() * outputs);
        let multiply = || self.inner.product(x, rows.clone(), weight, inputs, outputs);
        if self.on.load(Ordering::Relaxed) {
            let seconds = self.time(|| multiply().map(drop))?;
            let (m, k, n) = (rows.len() as f64, inputs as f64, outputs as f64);
            let bytes = (m * k + k * n + m * n) * self.inner.precision().bytes() as f64;
            self.note(
                format!("product {inputs} to {outputs}"),
                seconds,
                bytes,
                2.0 * m * k * n,
            );
        }
        let inner = multiply()?;
        Ok(Buffer { inner, count })
    }

    fn try_products(&self, weight: &Self::Buffer, inputs: usize, outputs: usize) -> Result<(), DeviceError> {
        self.inner.try_products(&weight.inner, inputs, outputs)
    }

    fn scales(&self, inputs: usize, outputs: usize) -> Result<bool, DeviceError> {
        self.inner.scales(inputs, outputs)
    }

    fn scaled_product(
        &self,
        x: [&Self::Buffer; 2],
        rows: usize,
        weight: [&Self::Buffer; 2],
        inputs: usize,
        outputs: usize,
    ) -> Result<Self::Buffer, DeviceError> {
        let [x, weight] = [x, weight].map(|both| both.map(|buffer| &buffer.inner));
        let multiply = || self.inner.scaled_product(x, rows, weight, inputs, outputs);
        if self.on.load(Ordering::Relaxed) {
            let seconds = self.time(|| multiply().map(drop))?;
            let (m, k, n) = (rows as f64, inputs as f64, outputs as f64);
            let bytes = m * k + k * n + m * n * self.inner.precision().bytes() as f64;
            // Multiplications in 8 bits take half the time of others.
            self.note(
                format!("product {inputs} to {outputs} in 8 bits"),
                seconds,
                bytes,
                m * k * n,
            );
        }
        let inner = multiply()?;
        let count = rows.next_multiple_of(ROWS_AT_ONCE) * outputs;
        Ok(Buffer { inner, count })
    }
}

/// Bytes and operations per second that the device reaches at most, as far as our own kernel copies rows of `size`, as many as there are
/// in one, and its library multiplies matrices of them.
fn ceilings<D: Device>(device: &Profiled<D>, size: usize) -> (f64, f64) {
    let mut random = Random(5);
    let x = device
        .upload(Values::Elements(&random.values(size * size, 1.0)))
        .unwrap();
    let ids: Vec<u32> = (0..size as u32).collect();
    let ids = device.upload(Values::Indices(&ids)).unwrap();
    let out = device.allocate(Kind::Elements, size * size).unwrap();
    let copy = [
        Arg::At(&ids, 0),
        Arg::At(&ids, 0),
        Arg::Buffer(Some(&x)),
        Arg::Buffer(None),
        Arg::Buffer(None),
        Arg::Buffer(None),
        Arg::Buffer(Some(&out)),
        Arg::Int(size),
        Arg::Float(0.0),
        Arg::Int(0),
    ];
    let launch = Launch {
        grid: (size, 1),
        block: 128,
        shared: 32 + size,
    };
    let copied = device.time(|| device.launch("embed", launch, &copy)).unwrap();
    let multiplied = device
        .time(|| device.product(&x, 0..size, &x, size, size).map(drop))
        .unwrap();
    let bytes = 2.0 * (size * size) as f64 * device.precision().bytes() as f64;
    (bytes / copied, 2.0 * (size as f64).powi(3) / multiplied)
}

/// What each kernel took in one batch of `count` sequences of `length` random ids, for the base or, where that is not 0, so many
/// adapters of rank 16 by turns; and the device's bytes and operations per second, of matrices of `size`.
pub fn floors<D: Device>(
    device: D,
    dir: &Path,
    (count, length): (usize, usize),
    adapters: usize,
    size: usize,
) -> (BTreeMap<String, Spent>, (f64, f64)) {
    let device = Profiled::new(device, (count, length));
    let ceilings = ceilings(&device, size);
    let (on, spent) = (device.switch(), device.spent());
    let engine = GpuEngine::new(device, u64::MAX);
    let checkpoint = load(&engine, 1, dir);
    let ids = random_ids(&checkpoint, 7, &vec![length; count]);
    let models: Vec<u64> = match adapters {
        0 => vec![1],
        _ => (2..).take(adapters).collect(),
    };
    if adapters > 0 {
        let folder = scratch("floors");
        write_adapter(&folder, &checkpoint, 0, 16);
        for number in &models {
            adapt(&engine, *number, &folder, &checkpoint);
        }
        fs::remove_dir_all(&folder).unwrap();
    }
    let windows = ids.iter().zip(models.chunks(1).cycle());
    let scored = Scored::of(&checkpoint, length);
    let batch: Vec<Window<'_>> = windows.map(|(ids, model)| scored.window(model, ids)).collect();
    for measured in [false, true] {
        on.store(measured, Ordering::Relaxed);
        engine.forward(&batch, &token()).unwrap();
    }
    let spent = spent.lock().unwrap().clone();
    (spent, ceilings)
}
