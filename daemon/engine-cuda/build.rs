//! Puts the compiled kernels where the sources include them from. `make cuda` compiles them first and says in `MEDNERD_KERNELS`
//! where they are.

use std::path::PathBuf;

fn main() -> std::io::Result<()> {
    println!("cargo::rerun-if-env-changed=MEDNERD_KERNELS");
    let out = PathBuf::from(std::env::var_os("OUT_DIR").unwrap_or_default());
    // cudarc asks the linker for CUDA's libraries even where it opens them when it runs. Empty ones will do.
    for library in ["cuda", "cublas", "cublasLt", "curand", "nvrtc"] {
        std::fs::write(out.join(format!("lib{library}.a")), "!<arch>\n")?;
    }
    println!("cargo::rustc-link-search=native={}", out.display());
    let Some(kernels) = std::env::var_os("MEDNERD_KERNELS").map(PathBuf::from) else {
        println!("cargo::error=there are no compiled kernels: build with `make cuda`");
        return Ok(());
    };
    for name in [
        "attention",
        "elementwise",
        "lora",
        "lora_tensor",
        "norm",
        "places",
        "tensor",
        "wgmma",
        "zero_shot",
    ] {
        let compiled = kernels.join(name).with_extension("fatbin");
        println!("cargo::rerun-if-changed={}", compiled.display());
        std::fs::copy(compiled, out.join(name).with_extension("fatbin"))?;
    }
    Ok(())
}
