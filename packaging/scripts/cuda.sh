#!/usr/bin/env bash
# Everything that needs nvcc, on a host without a GPU and without CUDA: `cuda.sh kernels TARGET` compiles the kernels,
# `cuda.sh build TARGET [FEATURES]` the GPU worker as well, and prints the folder that it is in; `cuda.sh worker TARGET` puts it beside the
# daemon, for tests, where it can be built. The toolkit is fetched once,
# from the Python package index, into TARGET/cuda; CUDA_HOME names another one.
set -euo pipefail
cd "$(dirname "$0")/../.."

# Of one release, which is the oldest whose driver (580) the worker asks for.
PACKAGES=(nvidia-cuda-nvcc==13.0.88 nvidia-nvvm==13.0.88 nvidia-cuda-crt==13.0.88 nvidia-cuda-runtime==13.0.96
    nvidia-cuda-cccl==13.0.85)
CHIPS=(75 80 86 89 90a 100 120)
KERNELS=daemon/engine-gpu/kernels

say() { printf 'cuda: %s\n' "$*" >&2; }

# Sets CUDA_HOME. False where there is no toolkit and none can be had.
toolkit() {
    if [ -z "${CUDA_HOME:-}" ]; then
        local place=$1/cuda/${PACKAGES[0]##*==}
        if [ ! -x "$place/nvidia/cu13/bin/nvcc" ]; then
            say "fetching nvcc, 105 MB, into $place"
            rm -rf "$place" "$place.new"
            python3 -m pip install --quiet --no-deps --only-binary=:all: --target "$place.new" "${PACKAGES[@]}" >&2 || return 1
            ln -sfn lib "$place.new/nvidia/cu13/lib64"
            mv "$place.new" "$place"
        fi
        CUDA_HOME=$place/nvidia/cu13
    fi
    export CUDA_HOME CUDA_PATH=$CUDA_HOME PATH=$CUDA_HOME/bin:$PATH
    export NVCC_CCBIN=${NVCC_CCBIN:-$(command -v g++)}
}

kernels() {
    local out=$1/cuda/kernels source made codes=() chip
    mkdir -p "$out"
    for chip in "${CHIPS[@]}"; do codes+=(-gencode "arch=compute_$chip,code=sm_$chip"); done
    codes+=(-gencode "arch=compute_90,code=compute_90")
    for source in "$KERNELS"/*.cu; do
        made=$out/$(basename "$source" .cu).fatbin
        if [ "$made" -nt "$(ls -t "$source" "$KERNELS"/*.cuh | head -1)" ]; then continue; fi
        nvcc -O3 -std=c++17 -fatbin -Werror all-warnings "${codes[@]}" -o "$made" "$source"
    done
}

build() {
    # cudarc opens CUDA's libraries when the worker runs, and its features leave no other way to say so: a host without them is
    # told in a sentence.
    export RUSTFLAGS='--cfg feature="dynamic-loading"' CARGO_TARGET_DIR=$1/gpu MEDNERD_KERNELS=$1/cuda/kernels
    local host
    host=$(rustc -vV | sed -n 's/^host: //p')
    # The target is named so that the flags are not those of build scripts.
    (cd daemon/engine-cuda && cargo build --release --locked --target "$host" ${2:+--features "$2"} >&2)
    echo "$CARGO_TARGET_DIR/$host/release"
}

target=$(realpath -m "${2:?cuda.sh kernels, worker or build, and the target directory}")
case $1 in
kernels)
    # No network is no reason to fail: the kernels' emulation is tested without nvcc.
    if ! toolkit "$target"; then
        say "no nvcc here and none to be had: the kernels were not compiled for GPUs"
        exit 0
    fi
    kernels "$target"
    ;;
worker)
    # In the folder that the other binaries are in. Where it cannot be built, none is there: one of another commit would speak
    # another protocol.
    if toolkit "$target"; then
        kernels "$target"
        install -D -m 755 -t "$target/release" "$(build "$target")/mednerd-cuda"
    else
        say "no nvcc here and none to be had: the GPU worker was not built, and its tests are skipped"
        rm -f "$target/release/mednerd-cuda"
    fi
    ;;
build)
    toolkit "$target" || { say "there is no nvcc; install CUDA 13.0 and set CUDA_HOME, or python3-pip"; exit 1; }
    kernels "$target"
    build "$target" "${3:-}"
    ;;
*)
    say "kernels, worker or build"
    exit 2
    ;;
esac
