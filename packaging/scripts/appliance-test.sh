#!/usr/bin/env bash
# Makes the packages and hands them to tests/appliance/run.sh, with a previous version that is the same but for its number.
# $1 is the target directory.
set -euo pipefail
cd "$(dirname "$0")/../.."
target=$1
work=$target/appliance
mkdir -p "$work"
packaging/scripts/deb.sh "$target" >"$work/packages"
package() { grep "/$1_[^/]*\.deb$" "$work/packages"; }
# Where make cuda has built it.
cuda=$(package mednerd-cuda || true)

lintian --allow-root --fail-on error,warning "$(package mednerd)" "$(package mednerd-umls)" "$(package mednerd-sdk)" ${cuda:+"$cuda"}
echo "ok - lintian finds nothing"

old=$work/old
rm -rf "$old"
dpkg-deb -R "$(package mednerd)" "$old"
sed -i 's/^\(Version: .*\)/\1~previous/' "$old/DEBIAN/control"
dpkg-deb --root-owner-group -Znone -b "$old" "$work/old.deb" >/dev/null
rm -rf "$old"

tests/appliance/vendor.sh "$(package mednerd)" "$(package mednerd-sdk)" "$work" "$work/vendor" >"$work/vendor.log" 2>&1 || {
    cat "$work/vendor.log"
    echo "not ok - a vendor builds, signs and checks plugins with the SDK's package"
    exit 1
}
echo "ok - a vendor builds, signs and checks plugins with the SDK's package, in Rust and in C"
exec tests/appliance/run.sh "$work/old.deb" "$(package mednerd)" "$(package mednerd-umls)" "$work/vendor" "$work" ${cuda:+"$cuda"}
