#!/usr/bin/env bash
# Builds the Debian packages into OUT (default: the target directory's deb/) and says where they are. The same commit gives
# the same bytes. $1 is the target directory; DEB_REVISION is the revision of the package (default 1).
set -euo pipefail
cd "$(dirname "$0")/../.."
target=$1
out=${OUT:-$target/deb}
stage=$target/deb/stage
revision=${DEB_REVISION:-1}

# The binaries that are packaged, of those that this tree has. `mednerd.install` and its like say where they go.
binaries=(mednerd mednerctl mednerd-plugin-host mednerd-umls)

SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}
export SOURCE_DATE_EPOCH LC_ALL=C.UTF-8 TZ=UTC
version=$(sed -n '/^\[workspace.package\]/,/^\[/s/^version = "\(.*\)"/\1/p' Cargo.toml)
packaging/scripts/release-build.sh "$target/deb/build" "${binaries[@]}"

rm -rf "$stage"
mkdir -p "$stage/dist/bin" "$stage/dist/completions/"{bash,zsh,fish} "$stage/dist/man" "$stage/dist/doc" "$out"
cp -r packaging/debian "$stage/debian"
for binary in "${binaries[@]}"; do
    install -m 755 "$target/deb/build/release/$binary" "$stage/dist/bin/"
done
mkdir "$stage/dist/models"
cp -r packaging/models/biomed-small "$stage/dist/models/"
cp -r packaging/systemd packaging/apparmor "$stage/dist/"
mkdir "$stage/dist/vocabularies"
cp -r plugins/umls/demo "$stage/dist/vocabularies/"
cp configs/mednerd.toml "$stage/dist/"
cp packaging/doc/*.md README.md SPECIFICATION.md "$stage/dist/doc/"
cp -r packaging/doc/examples configs/samples "$stage/dist/doc/"
"$stage/dist/bin/mednerctl" man "$stage/dist/man"
cp packaging/man/*.1 "$stage/dist/man/"
"$stage/dist/bin/mednerctl" completions bash >"$stage/dist/completions/bash/mednerctl"
"$stage/dist/bin/mednerctl" completions zsh >"$stage/dist/completions/zsh/_mednerctl"
"$stage/dist/bin/mednerctl" completions fish >"$stage/dist/completions/fish/mednerctl.fish"
packaging/scripts/sbom.py >"$stage/dist/doc/mednerd.cdx.json"

cat >"$stage/debian/changelog" <<CHANGELOG
mednerd ($version-$revision) unstable; urgency=medium

  * See /usr/share/doc/mednerd for what is in this version.

 -- The mednerd authors <mednerd@example.org>  $(date -R -d "@$SOURCE_DATE_EPOCH")
CHANGELOG
chmod -R u=rwX,go=rX "$stage"
(cd "$stage" && dpkg-buildpackage --build=binary --no-sign >"$target/deb/log" 2>&1) || {
    cat "$target/deb/log" >&2
    exit 1
}
for package in "$target"/deb/*_"$version-$revision"_amd64.deb; do
    [ "$out" = "$target/deb" ] || mv "$package" "$out/"
    echo "$out/${package##*/}"
done
