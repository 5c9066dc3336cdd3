#!/usr/bin/env bash
# The benchmark of the CPU engine beside ONNX Runtime: makes a scratch virtual environment beside the build folder (once;
# several GB), then prints the table of cpu.py. By hand, on a quiet machine. $1 is the folder that holds the binaries.
set -euo pipefail
here=$(dirname "$0")
environment=$(dirname "$1")/../bench-environment
if [ ! -x "$environment/bin/python" ]; then
    echo "bench: making a Python environment for the reference libraries" >&2
    python3 -m venv "$environment"
    "$environment/bin/pip" install --quiet --requirement "$here/requirements.txt"
fi
exec "$environment/bin/python" "$here/cpu.py" --bin "$1/examples/forward_bench" "${@:2}"
