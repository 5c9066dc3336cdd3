#!/usr/bin/env bash
# What a vendor does with the package mednerd-sdk, in a Debian 12 root without a network: builds the template and a copied example in
# Rust and one in C, signs template and C, and has them checked. vendor.sh MEDNERD.deb SDK.deb CACHE OUT; OUT gets the folders drugs and units and
# the key acme.pub. Needs root, mmdebstrap, systemd-nspawn; takes cargo and its crates from this machine. About a minute.
set -euo pipefail
mednerd=$1 sdk=$2 cache=$3 out=$4
base=$cache/vendor.tar
if [ ! -e "$base" ]; then
    mmdebstrap --quiet --variant=minbase --format=tar --include=gcc,libc6-dev,make bookworm "$base.new"
    mv "$base.new" "$base"
fi
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
tar -xf "$base" -C "$root"
for package in "$mednerd" "$sdk"; do
    # /lib is a link there and a folder in the package.
    dpkg-deb --fsys-tarfile "$package" | tar -x --keep-directory-symlink -C "$root"
done
cat >"$root/root/work" <<'WORK'
set -e
cd /root
export PATH=/opt/rust/bin:$PATH CARGO_HOME=/opt/cargo MEDNERD_KEY_PASSWORD=acme
cp -r /usr/share/mednerd/sdk/template acme-drugs
cd acme-drugs
cargo build --release --offline
mkdir -p drugs && cp plugin.toml target/release/libacme_drugs.so drugs/
cd ..
cp -r /usr/share/mednerd/sdk/examples/csv acme-csv
(cd acme-csv && cargo build --release --offline)
cp -r /usr/share/mednerd/sdk/examples/c acme-units
make -C acme-units OUT=/root/units
mkdir -p made && mv acme-drugs/drugs units made/
mednerctl plugin keygen --key acme.key
for plugin in drugs units; do
    mednerctl plugin sign "made/$plugin" --key acme.key
    mednerctl plugin check "made/$plugin" --settings '{}' --report "$plugin.json"
done
mv acme.pub made/
WORK
systemd-nspawn --quiet -D "$root" --register=no --keep-unit --private-network --pipe \
    --system-call-filter="landlock_create_ruleset landlock_add_rule landlock_restrict_self" \
    --bind-ro="$(rustc --print sysroot):/opt/rust" --bind="${CARGO_HOME:-$HOME/.cargo}:/opt/cargo" sh /root/work
rm -rf "$out"
mv "$root/root/made" "$out"
