//! `mednerd-cuda-check` on the emulation, for `tests/gpu/run dry`.

use mednerd_emulated_gpu::Emulated;
use mednerd_engine_gpu::checks;

fn main() {
    checks::main(|precision| (Emulated::new(precision, 1), "an emulation on the CPU".to_owned()));
}
