#!/usr/bin/env bash
# Installs the packages in a bare root of each release that they are for, links a note there, and purges them.
# roots.sh PACKAGE.deb…; SUITES chooses (default: all). Needs root, mmdebstrap, a network, and for Ubuntu its keyring (ubuntu-keyring).
set -euo pipefail
[ "$(id -u)" -eq 0 ] || { echo "roots: needs root" >&2; exit 1; }
read -ra suites <<<"${SUITES:-bookworm trixie jammy noble}"
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
mkdir "$place/packages"
cp "$@" "$place/packages/"
cat >"$place/packages/check" <<'CHECK'
set -e
export DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8
apt-get install -y -q --no-install-recommends /packages/*.deb
mednerd-umls build --rrf /usr/share/mednerd/vocabularies/demo --out /var/lib/mednerd/umls.idx 2>/dev/null
cp /usr/share/doc/mednerd-umls/examples/60-umls.toml /usr/share/doc/mednerd-markup/examples/60-markup.toml /etc/mednerd/conf.d/
mednerd validate
mednerd 2>/tmp/log & daemon=$!
for _ in $(seq 100); do mednerctl status >/dev/null 2>&1 && break; sleep 0.2; done
mednerctl annotate --link /usr/share/doc/mednerd/samples/discharge.txt >/tmp/found || { cat /tmp/log; exit 1; }
echo '<p>Has gou<b>t' | mednerctl annotate --document-format html - >>/tmp/found
kill "$daemon"; wait "$daemon"
echo "libc $(dpkg-query -W -f '${Version}' libc6)"
grep -q diabetes /tmp/found && grep -q 'gou<b>t' /tmp/found && grep -q C0011860 /tmp/found || { cat /tmp/found; exit 1; }
rm /etc/mednerd/conf.d/60-*.toml /var/lib/mednerd/umls.idx
apt-get purge -y -q mednerd mednerd-umls mednerd-markup mednerd-sdk
left=$(find /etc/mednerd /var/lib/mednerd /usr/share/mednerd /usr/lib/mednerd /run/mednerd 2>/dev/null || true)
[ -z "$left" ] || { echo "left: $left"; exit 1; }
CHECK
passed=0
for suite in "${suites[@]}"; do
    if ! mmdebstrap --quiet --variant=apt --format=null --customize-hook="copy-in $place/packages /" \
        --customize-hook='chroot "$1" sh /packages/check' "$suite" /dev/null >"$place/log" 2>&1; then
        cat "$place/log"
        echo "not ok - $suite"
        exit 1
    fi
    passed=$((passed + 1))
    echo "ok - $suite: $(grep '^libc ' "$place/log"), installs, links, purges"
done
echo "$passed passed, 0 failed"
