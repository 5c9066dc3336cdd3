#!/bin/bash
# What cargo calls in the place of rustc (.cargo/config.toml): the same, but what it writes names no folder of this
# machine. So every build can be packaged, and is the same bytes wherever it is done.
# bash, because dash drops cargo's variables that have a hyphen in their names.
compiler=$1
shift
workspace=$(cd "${0%/*}/../.." && pwd)
for crates in "${CARGO_HOME:-$HOME/.cargo}"/registry/src/*; do
    set -- "$@" --remap-path-prefix="$crates=/usr/src/crates"
done
exec "$compiler" "$@" \
    --remap-path-prefix="$workspace=/usr/src/mednerd" \
    --remap-path-prefix="${CARGO_TARGET_DIR:-$workspace/target}=/usr/src/target"
