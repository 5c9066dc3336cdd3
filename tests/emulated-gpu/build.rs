//! Compiles the kernels with the C++ compiler, against the emulation's own `cuda.h`.

fn main() {
    let kernels = "../../daemon/engine-gpu/kernels";
    for watched in [kernels, "emulation"] {
        println!("cargo::rerun-if-changed={watched}");
    }
    let mut build = cc::Build::new();
    build
        .cpp(true)
        .std("c++17")
        .opt_level(2)
        // As on the GPU: no product and sum in one rounding where the source has two, unless both have.
        .flag("-ffp-contract=off")
        .include("emulation")
        .include(kernels);
    // Kernels alone tell of what they read and write; `watch.cpp` listens.
    build
        .clone()
        .flag("-fsanitize=thread")
        .flag("-g1")
        .file("emulation/kernels.cpp")
        .compile("mednerd-emulated-kernels");
    build
        .file("emulation/fibres.cpp")
        .file("emulation/watch.cpp")
        .compile("mednerd-emulated-gpu");
}
