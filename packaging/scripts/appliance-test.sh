#!/usr/bin/env bash
# Makes the packages and hands them to tests/appliance/run.sh, with previous versions that are the same but for their number and the key of
# the plugin. $1 is the target directory.
set -euo pipefail
cd "$(dirname "$0")/../.."
target=$1
work=$target/appliance
rm -rf "$work/new" "$work/old"
mkdir -p "$work/new" "$work/old"
packaging/scripts/deb.sh "$target" >"$work/packages"
(cd "$target/deb" && sha256sum --quiet --check SHA256SUMS)
while read -r package; do cp "$package" "$work/new/"; done <"$work/packages"
rm -f "$work"/new/*-dbgsym_*

lintian --allow-root --fail-on error,warning "$work"/new/*.deb
echo "ok - lintian finds nothing"

# Another vendor's key, as a release that is signed anew has.
key=$work/old.key
rm -f "$key" "${key%.key}.pub"
export MEDNERD_KEY_PASSWORD=
"$target/release/mednerctl" plugin keygen --key "$key" >/dev/null
for package in "$work"/new/*_amd64.deb; do
    tree=$work/tree
    rm -rf "$tree"
    dpkg-deb -R "$package" "$tree"
    # "~previous" behind each number of ours, dependencies included.
    version=$(sed -n 's/^Version: //p' "$tree/DEBIAN/control")
    sed -i "s/$version/$version~previous/" "$tree/DEBIAN/control"
    for plugin in "$tree"/usr/lib/mednerd/plugins/*; do
        [ -d "$plugin" ] || continue
        "$target/release/mednerctl" plugin sign "$plugin" --key "$key" >/dev/null
        chmod 644 "$plugin"/*
        for trusted in "$tree"/usr/share/mednerd/trusted-keys.d/*; do cp "${key%.key}.pub" "$trusted"; done
    done
    name=${package##*/}
    dpkg-deb --root-owner-group -Znone -b "$tree" "$work/old/${name%%_*}_previous_amd64.deb" >/dev/null
done
rm -rf "$tree"

package() { find "$work/new" -name "$1_*.deb"; }
tests/appliance/vendor.sh "$(package mednerd)" "$(package mednerd-sdk)" "$work" "$work/vendor" >"$work/vendor.log" 2>&1 || {
    cat "$work/vendor.log"
    echo "not ok - a vendor builds, signs and checks plugins with the SDK's package"
    exit 1
}
echo "ok - a vendor builds, signs and checks plugins with the SDK's package, in Rust and in C"
exec tests/appliance/run.sh "$work/old" "$work/new" "$work/vendor" "$work"
