//! Compiles the kernels with the C++ compiler, against the emulation's own `cuda.h`.

fn main() {
    let kernels = "../../daemon/engine-gpu/kernels";
    for watched in [kernels, "emulation"] {
        println!("cargo::rerun-if-changed={watched}");
    }
    cc::Build::new()
        .cpp(true)
        .std("c++17")
        .opt_level(2)
        // As on the GPU: no product and sum in one rounding where the source has two, unless both have.
        .flag("-ffp-contract=off")
        .include("emulation")
        .include(kernels)
        .file("emulation/emulate.cpp")
        .compile("mednerd-emulated-gpu");
}
