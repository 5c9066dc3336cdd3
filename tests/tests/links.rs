//! What the binaries need to start.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::process::Command;

use mednerd_tests::daemon::binary;

/// The libraries that a fresh Debian has, or that the package depends on.
const ALLOWED: [&str; 6] = [
    "ld-linux-x86-64.so.2",
    "libc.so.6",
    "libgcc_s.so.1",
    "libm.so.6",
    "libsystemd.so.0",
    "libpthread.so.0",
];

#[test]
fn no_binary_needs_cuda_or_anything_else_that_a_server_may_lack() {
    for name in ["mednerd", "mednerctl", "mednerd-plugin-host"] {
        let output = Command::new("readelf")
            .arg("-d")
            .arg(binary(name))
            .output()
            .unwrap();
        let listing = String::from_utf8(output.stdout).unwrap();
        let needed: Vec<&str> = listing
            .lines()
            .filter(|line| line.contains("(NEEDED)"))
            .filter_map(|line| line.split('[').nth(1)?.split(']').next())
            .collect();
        assert!(needed.contains(&"libc.so.6"), "{listing}");
        for library in needed {
            assert!(ALLOWED.contains(&library), "{name} needs {library}");
        }
    }
}
