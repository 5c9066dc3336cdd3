#!/usr/bin/env bash
# Builds what goes into the packages: the same bytes from any folder. $1 is the target directory; further
# arguments are the binaries to build.
set -euo pipefail
cd "$(dirname "$0")/../.."
target=$1
shift
cargo_home=${CARGO_HOME:-$HOME/.cargo}

cargo fetch --quiet --locked
# What the compiler writes into binaries and debug information names no folder of this machine.
flags=("--remap-path-prefix=$PWD=/usr/src/mednerd")
c_flags=("-ffile-prefix-map=$PWD=/usr/src/mednerd" "-ffile-prefix-map=$target=/usr/src/mednerd/target")
for sources in "$cargo_home"/registry/src/*; do
    flags+=("--remap-path-prefix=$sources=/usr/src/crates")
    c_flags+=("-ffile-prefix-map=$sources=/usr/src/crates")
done
flags+=("--remap-path-prefix=$target=/usr/src/mednerd/target")

export RUSTFLAGS="${flags[*]}" CFLAGS="${c_flags[*]}" CARGO_TARGET_DIR="$target" CARGO_INCREMENTAL=0
# No date goes into a binary; but where this changes, everything that has a line of C in it is compiled again.
unset SOURCE_DATE_EPOCH
exec cargo build --quiet --release --locked "${@/#/--bin=}"
