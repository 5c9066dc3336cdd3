#!/usr/bin/env bash
# gpu_gaps.sh BIN_DIR [CONNECTIONS [SECONDS [NOTE]]]: for how long a GPU would have nothing to do between two batches, as far as that is seen
# without one: the daemon and `mednerd-cuda` (`make worker`), in BIN_DIR, on an emulated driver, whose streams are threads. Its
# kernels are slow, so that the share of the time means nothing, and the time for each batch what the host needs. DRIVER is the folder of
# a driver that was built before.
set -euo pipefail
bin=$(realpath "$1") connections=${2:-4} seconds=${3:-5} root=$(realpath "$(dirname "$0")/../..")
work=$(mktemp -d)
daemon=
trap 'kill $daemon 2> /dev/null || true; rm -rf "$work"' EXIT
driver=${DRIVER:-$work/driver}
[ -d "$driver" ] || "$root/tests/emulated-gpu/driver/build" "$driver"
printf '#!/bin/sh\nexec env LD_LIBRARY_PATH=%q MEDNERD_EMULATED_IDLE=%q %q\n' "$driver" "$work/idle" "$bin/mednerd-cuda" > "$work/worker"
chmod 755 "$work/worker"
cat > "$work/mednerd.toml" << END
[server]
socket = "$work/mednerd.sock"
admin_socket = "$work/admin.sock"
[access]
groups = []
[engine]
device = "cuda"
worker = "$work/worker"
gpu_call_ms = 20000
[[models]]
name = "tiny"
default = true
path = "$root/tests/fixtures/bert/fp32"
END
"$bin/mednerd" --config "$work/mednerd.toml" 2> "$work/log" &
daemon=$!
until grep -q 'agrees with the CPU' "$work/log"; do kill -0 $daemon && sleep 0.2; done
"$bin/mednerctl" bench --socket "$work/mednerd.sock" -c "$connections" --seconds $((seconds + 3)) ${4:+--text "$4"} > /dev/null &
bench=$!
sleep 2
before=$(cat "$work/idle")
sleep "$seconds"
after=$(cat "$work/idle")
wait $bench
echo "$before $after" | awk '{ batches = $4 - $1; printf "%d batches, %.0f us without work for each\n", batches, ($5 - $2) / batches }'
