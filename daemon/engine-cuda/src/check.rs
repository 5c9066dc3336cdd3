//! `mednerd-cuda-check`: what `tests/gpu/run` runs on a GPU. See [`mednerd_engine_gpu::checks::main`]. With PLAIN in the environment
//! nothing is recorded, with WGMMA attention's products are made by warpgroups, where the chip has them, and with USUAL no products are tried.
#![allow(clippy::panic)]

use mednerd_engine_cuda::open;
use mednerd_engine_gpu::checks;
use mednerd_gpu::protocol::Start;

fn main() {
    checks::main(|precision| {
        let start = Start {
            precision,
            ..Start::default()
        };
        let mut found = open(&start).unwrap_or_else(|why| panic!("{why}"));
        found.device.record_or_fail();
        if std::env::var_os("PLAIN").is_some() {
            found.device.record_nothing();
        }
        if std::env::var_os("WGMMA").is_some() {
            found.device.use_warpgroups();
        }
        if std::env::var_os("USUAL").is_some() {
            found.device.try_nothing();
        }
        let ready = found.ready;
        let about = format!(
            "{}, driver {}, compute capability {}",
            ready.name, ready.driver, ready.compute
        );
        (found.device, about)
    });
}
