#!/usr/bin/env bash
# Starts mednerd on a private socket with the shipped model and the UMLS plugin over the demo vocabulary,
# annotates a sample note, prints what it found, and stops. $1 is the folder that holds the binaries; further arguments are notes to annotate.
set -euo pipefail
cd "$(dirname "$0")/../.."
bin=$1
shift
notes=("$@")
[ ${#notes[@]} -gt 0 ] || notes=(configs/samples/discharge.txt)

place=$(mktemp -d)
daemon=
cleanup() {
    if [ -n "$daemon" ]; then
        kill -TERM "$daemon" 2>/dev/null || true
        wait "$daemon" || true
    fi
    rm -rf "$place"
}
trap cleanup EXIT

# A vocabulary as mednerd-umls makes it, and the plugin as its vendor would sign it.
"$bin/mednerd-umls" build --rrf plugins/umls/demo --out "$place/demo.idx" 2>/dev/null
mkdir -m 755 "$place/umls" "$place/keys"
install -m 644 plugins/umls/plugin/plugin.toml "$bin/libmednerd_umls_plugin.so" "$place/umls"
export MEDNERD_KEY_PASSWORD=
"$bin/mednerctl" plugin keygen --key "$place/demo.key" >/dev/null
"$bin/mednerctl" plugin sign --key "$place/demo.key" "$place/umls" >/dev/null
install -m 644 "$place/demo.pub" "$place/keys"

# Only root can own a plugin's folder as a server demands it.
development=$([ "$(id -u)" = 0 ] && echo false || echo true)
# As it is shipped, with everything in this folder and nothing of a server.
sed -e "s|/usr/share/mednerd|$PWD/packaging|" -e 's|^groups = .*|groups = []|' -e '/^path = "\/var\/lib\/mednerd\/audit"/d' \
    -e 's|^\[server\]|&\nsocket = "mednerd.sock"\nadmin_socket = "admin.sock"|' \
    -e "s|^\[plugin_policy\]|&\ntrusted_keys = \"$place/keys\"\ndevelopment = $development|" configs/mednerd.toml >"$place/mednerd.toml"
cat >>"$place/mednerd.toml" <<TOML
[[plugins]]
path = "$place/umls"
[plugins.settings]
index = "$place/demo.idx"
TOML

echo "Starting mednerd on $place/mednerd.sock"
"$bin/mednerd" --config "$place/mednerd.toml" 2>"$place/log" &
daemon=$!
for _ in $(seq 100); do
    curl -sf --unix-socket "$place/mednerd.sock" http://localhost/readyz >/dev/null 2>&1 && break
    if ! kill -0 "$daemon" 2>/dev/null; then
        echo "mednerd did not start:" >&2
        cat "$place/log" >&2
        exit 1
    fi
    sleep 0.1
done
sed 's/^/  /' "$place/log"
echo
echo "The note:"
sed 's/^/  | /' "${notes[@]}"
echo
"$bin/mednerctl" --socket "$place/mednerd.sock" annotate --link --models biomed-small,gene,clinical-terms "${notes[@]}"
echo
echo "Stopping mednerd"
