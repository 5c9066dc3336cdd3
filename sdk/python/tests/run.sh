#!/usr/bin/env bash
# Runs the training kit's tests, from data to an adapter that a real daemon serves. $1 is the folder that holds `mednerd`, $2 the
# folder for a virtual environment, which is made where it is missing (torch and what comes with it: some gigabytes).
# KIT_PYTHON may name an interpreter that has the kit's dependencies already.
set -euo pipefail
cd "$(dirname "$0")/.."
bin=$(cd "$1" && pwd)
python=${KIT_PYTHON:-$2/bin/python}
if [ -z "${KIT_PYTHON:-}" ]; then
    [ -x "$python" ] || python3 -m venv "$2"
    # Only what pyproject.toml pins; a second run finds it installed.
    "$python" -m pip install --quiet --disable-pip-version-check --editable .
fi
export MEDNERD_BIN_DIR=$bin OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}
exec "$python" -m unittest discover --start-directory tests
