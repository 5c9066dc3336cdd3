//! `mednerd-cuda-check`: what `tests/gpu/run` runs on a GPU. Fails by panicking, which ends the process.
//!
//! `kernel NAME PRECISION SEED CASES`, `family DIRECTORY PRECISION`, `adapters FIXTURES FAMILY`,
//! `throughput DIRECTORY PRECISION SEQUENCES LENGTH`, and `lists` of kernels.
#![allow(clippy::panic, clippy::expect_used, clippy::unwrap_used)]

use std::path::Path;

use mednerd_engine_cuda::{Cuda, open};
use mednerd_engine_gpu::checks;
use mednerd_gpu::protocol::{Precision, Start};

/// In single precision, without TF32; in half precision, the self-check's own bound.
const BOUND: f32 = 1e-3;

fn device(precision: Precision) -> Cuda {
    let start = Start {
        gpu: 0,
        precision,
        memory_bytes: 0,
        max_frame: 0,
    };
    open(&start).unwrap_or_else(|why| panic!("{why}")).device
}

fn precision(name: &str) -> Precision {
    let known = [Precision::Fp32, Precision::Fp16, Precision::Bf16];
    known
        .into_iter()
        .find(|precision| precision.name() == name)
        .expect("fp32, fp16 or bf16")
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match *arguments {
        ["lists"] => println!("{}", checks::KERNELS.join("\n")),
        ["about"] => {
            let start = Start {
                gpu: 0,
                precision: Precision::Fp32,
                memory_bytes: 0,
                max_frame: 0,
            };
            let ready = open(&start).unwrap_or_else(|why| panic!("{why}")).ready;
            println!(
                "{}, driver {}, compute capability {}",
                ready.name, ready.driver, ready.compute
            );
        }
        ["kernel", name, of, seed, cases] => {
            let device = device(precision(of));
            checks::kernel(&device, name, seed.parse().unwrap(), cases.parse().unwrap());
            println!("ok      kernel {name} {of}: {cases} cases");
        }
        ["family", dir, of] => {
            let of = precision(of);
            let bound = if of == Precision::Fp32 {
                BOUND
            } else {
                f32::INFINITY
            };
            let (worst, share) = checks::family(device(of), Path::new(dir), 8, bound);
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
            let worst = checks::adapters(device(Precision::Fp32), Path::new(fixtures), family, BOUND);
            println!("ok      adapters on {family}: largest difference {worst:.1e}");
        }
        ["throughput", dir, of, sequences, length] => {
            let (sequences, length) = (sequences.parse().unwrap(), length.parse().unwrap());
            let rate = checks::throughput(device(precision(of)), Path::new(dir), sequences, length, 20);
            println!("{dir} {of}, {sequences} x {length} tokens: {rate:.0} tokens/s");
        }
        _ => panic!("the module's first lines say what can be asked for"),
    }
}
