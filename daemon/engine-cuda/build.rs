//! Compiles the kernels with nvcc: machine code for each chip that is supported and PTX for later ones, in one file each.
//! `CUDA_HOME` names the toolkit; `make cuda` fetches one where there is none.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Machine code for these.
const CHIPS: [&str; 5] = ["75", "80", "86", "89", "90a"];
/// And PTX of this, which the driver compiles for chips that come later.
const PTX: &str = "90";

fn main() {
    let kernels = Path::new("../engine-gpu/kernels");
    println!("cargo::rerun-if-changed={}", kernels.display());
    println!("cargo::rerun-if-env-changed=CUDA_HOME");
    let home = std::env::var_os("CUDA_HOME").map(PathBuf::from);
    let nvcc = home.map_or_else(|| "nvcc".into(), |home| home.join("bin/nvcc"));
    let out = PathBuf::from(std::env::var_os("OUT_DIR").unwrap_or_default());
    for name in ["attention", "elementwise", "lora", "norm"] {
        let mut command = Command::new(&nvcc);
        command.args([
            "-O3",
            "-std=c++17",
            "-fatbin",
            "-Werror",
            "all-warnings",
            "--threads",
            "2",
        ]);
        for chip in CHIPS {
            command.args(["-gencode", &format!("arch=compute_{chip},code=sm_{chip}")]);
        }
        command.args(["-gencode", &format!("arch=compute_{PTX},code=compute_{PTX}")]);
        command.arg("-o").arg(out.join(name).with_extension("fatbin"));
        command.arg(kernels.join(name).with_extension("cu"));
        match command.status() {
            Ok(status) if status.success() => {}
            Ok(status) => println!("cargo::error=nvcc failed on {name}.cu: {status}"),
            Err(error) => println!(
                "cargo::error={} cannot be run: {error}. Build with `make cuda`, or set CUDA_HOME to a toolkit of CUDA 13.0",
                nvcc.display()
            ),
        }
    }
}
