//! Runs forwards on request, for `tests/bench/cpu.py`: `forward_bench DIR [fp32|int8]` loads the checkpoint and prints one JSON line
//! about that; then every line of token ids on standard input gets one JSON line with the times and the logits.
#![allow(clippy::print_stdout)]

use std::error::Error;
use std::fs;
use std::io::{BufRead, stdin};
use std::path::Path;
use std::time::Instant;

use mednerd_engine_tract::{Options, Precision, TractModel};
use mednerd_model::Checkpoint;
use serde_json::json;

fn main() -> Result<(), Box<dyn Error>> {
    let dir = std::env::args().nth(1).ok_or("usage: forward_bench DIR")?;
    let start = Instant::now();
    let checkpoint = Checkpoint::open(Path::new(&dir))?;
    let open = start.elapsed();
    let precision = match std::env::args().nth(2).as_deref() {
        Some("int8") => Precision::Int8,
        _ => Precision::Fp32,
    };
    let model = TractModel::load(&checkpoint, &Options { precision })?;
    drop(checkpoint);
    let load = start.elapsed();
    println!(
        "{}",
        json!({
            "open_ms": open.as_secs_f64() * 1e3,
            "load_ms": load.as_secs_f64() * 1e3,
            "weights": model.memory_bytes(),
            "resident": resident("VmRSS")?,
            "peak": resident("VmHWM")?,
        })
    );
    for line in stdin().lock().lines() {
        let ids = line?
            .split_whitespace()
            .map(str::parse)
            .collect::<Result<Vec<u32>, _>>()?;
        let (wall, cpu) = (Instant::now(), cpu_nanoseconds()?);
        let logits = model.forward(&ids)?;
        let cpu = cpu_nanoseconds()?.saturating_sub(cpu);
        println!(
            "{}",
            json!({
                "wall_ms": wall.elapsed().as_secs_f64() * 1e3,
                "cpu_ms": cpu as f64 / 1e6,
                "resident": resident("VmRSS")?,
                "logits": logits,
            })
        );
    }
    Ok(())
}

/// A size that the kernel reports about this process, in bytes.
fn resident(key: &str) -> Result<u64, Box<dyn Error>> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix(key));
    let kilobytes = line.and_then(|line| line.split_whitespace().nth(1));
    Ok(kilobytes.ok_or("no such size")?.parse::<u64>()? * 1024)
}

/// What this thread has run so far.
fn cpu_nanoseconds() -> Result<u64, Box<dyn Error>> {
    let text = fs::read_to_string("/proc/thread-self/schedstat")?;
    Ok(text.split_whitespace().next().ok_or("no times")?.parse()?)
}
