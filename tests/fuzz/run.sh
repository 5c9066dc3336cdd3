#!/usr/bin/env bash
# `run.sh TARGETS SECONDS [OPTION of libFuzzer, or FILE to run once]...`: builds the targets (`all` for every one) with coverage and
# AddressSanitizer and fuzzes each for so long. Inputs that were worth keeping stay in CARGO_TARGET_DIR for the next time, and so does what was
# found; then it fails. No nightly compiler: the flags ask for RUSTC_BOOTSTRAP, and the runtime is in the stable one.
set -euo pipefail
cd "$(dirname "$0")"

names=$(sed -n 's/^path = "targets\/\(.*\).rs"/\1/p' Cargo.toml)
targets=${1:?run.sh TARGETS SECONDS; targets are: all, or any of $(echo $names)} seconds=${2:-60}
shift $(($# > 1 ? 2 : 1))
if [ "$targets" = all ]; then targets=$names; fi

export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$HOME/.cache/mednerd/target}/fuzz RUSTC_BOOTSTRAP=1
# As cargo-fuzz has them.
export RUSTFLAGS='-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 -Cllvm-args=-sanitizer-coverage-inline-8bit-counters
    -Cllvm-args=-sanitizer-coverage-pc-table -Cllvm-args=-sanitizer-coverage-trace-compares
    -Cllvm-args=-simplifycfg-branch-fold-threshold=0 -Zsanitizer=address'
host=$(rustc -vV | sed -n 's/^host: //p')
wanted=() daemon=()
for target in $targets; do
    wanted+=(--bin "$target")
    case $target in configuration | request) daemon=(--features daemon) ;; esac
done
# The target is named so that the flags are not those of build scripts.
cargo build --release --locked --target "$host" "${daemon[@]}" "${wanted[@]}"

# Files are written and read by the thousand.
TMPDIR=$(mktemp -d -p /dev/shm mednerd-fuzz-XXXXXX)
export TMPDIR
trap 'rm -rf "$TMPDIR"' EXIT
# What is kept on purpose, in statics, is no leak.
export ASAN_OPTIONS=detect_leaks=0
found=0
for target in $targets; do
    kept=$CARGO_TARGET_DIR/corpus/$target artifacts=$CARGO_TARGET_DIR/found/$target
    mkdir -p "$kept" "$artifacts" "$TMPDIR/$target"
    if [ $# -gt 0 ] && [ -f "$1" ]; then
        "$CARGO_TARGET_DIR/$host/release/$target" "$@" || found=1
        continue
    fi
    echo "== $target, $seconds s"
    # Ten seconds for one input are a defect, and so is a gigabyte at once.
    MEDNERD_FUZZ_SEEDS=$TMPDIR/$target "$CARGO_TARGET_DIR/$host/release/$target" -max_total_time="$seconds" -timeout=10 \
        -rss_limit_mb=4096 -malloc_limit_mb=1024 -print_final_stats=1 -artifact_prefix="$artifacts/" "$@" "$kept" "$TMPDIR/$target" 2>&1 |
        tee "$artifacts.log" | grep --line-buffered -v '^#.*\(REDUCE\|NEW\|pulse\|RELOAD\)' || found=1
done
exit $found
