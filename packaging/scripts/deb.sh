#!/usr/bin/env bash
# Makes Debian packages of the built release in $1, the target directory, and says where they are. The same commit gives
# the same bytes in any folder. mednerd-cuda is among them where `make cuda` has built it. Beside them it writes SHA256SUMS. DEB_REVISION is the revision of the
# packages (default: 1 with the commit and its time, so that each commit's are newer than those before); OUT the folder for them (default: the target
# directory's deb/); PLUGIN_KEY the secret key that signs the plugins in the tree, MEDNERD_KEY_PASSWORD its password.
set -euo pipefail
cd "$(dirname "$0")/../.."
target=$1
release=$target/release
work=$target/deb
stage=$work/stage
out=${OUT:-$work}

binaries=(mednerd mednerctl mednerd-plugin-host mednerd-umls)
# Each has a package of its own, by this name.
plugins=(umls markup)
libraries=("${plugins[@]/#/libmednerd_}")
libraries=("${libraries[@]/%/_plugin.so}")
worker=mednerd-cuda
if [ ! -e "$release/$worker" ]; then
    echo "deb: there is no $release/$worker, so the package $worker is left out; make cuda builds it" >&2
    worker=
elif stale=$(find daemon/{engine-cuda,engine-gpu,gpu,model,worker} -type f -newer "$release/$worker") && [ -n "$stale" ]; then
    echo "deb: $release/$worker is older than what it is made of, so the package $worker is left out; make cuda, then again" >&2
    worker=
fi

SOURCE_DATE_EPOCH=$(git log -1 --format=%ct)
export SOURCE_DATE_EPOCH LC_ALL=C.UTF-8 TZ=UTC
commit=$(git log -1 --format=%h --abbrev=8)
git diff --quiet HEAD || commit=$commit.changed
version=$(sed -n '/^\[workspace.package\]/,/^\[/s/^version = "\(.*\)"/\1/p' Cargo.toml)-$(packaging/scripts/revision.sh)

# What answers say of their version must be the package's.
for built in mednerd mednerctl; do
    found=$("$release/$built" --version)
    if [ "$found" != "$built $version" ]; then
        echo "deb: $release/$built is \"$found\", and the package is $version; make deb builds it as that" >&2
        exit 1
    fi
done

# A dependency that was compiled before rustc.sh was there, or without it.
for built in "${binaries[@]}" "${libraries[@]}" $worker; do
    # Where a path begins there: a folder such as /src is also the end of others.
    if LC_ALL=C grep -qaP "(?<![\\w.-])(\\Q${CARGO_HOME:-$HOME/.cargo}/\\E|\\Q$PWD/\\E|\\Q$target/\\E)" "$release/$built"; then
        echo "deb: $release/$built names folders of this machine; cargo clean --release, then again" >&2
        exit 1
    fi
done

# Without a key of ours, one of this target directory's own: it can load what was built here and nothing else.
key=${PLUGIN_KEY:-$work/plugin.key}
mkdir -p "$work" "$out"
if [ ! -e "$key" ]; then
    [ -z "${PLUGIN_KEY:-}" ] || { echo "deb: there is no key $PLUGIN_KEY" >&2; exit 1; }
    MEDNERD_KEY_PASSWORD='' "$release/mednerctl" plugin keygen --key "$key" >/dev/null
fi
[ -n "${PLUGIN_KEY:-}" ] || export MEDNERD_KEY_PASSWORD=''
PLUGIN_KEY=$(realpath "$key")
export PLUGIN_KEY

rm -rf "$stage"
mkdir -p "$stage"/dist/{bin,completions,doc,man,sdk}
cp -r packaging/debian "$stage/debian"
for binary in "${binaries[@]}" $worker; do
    install -m 755 "$release/$binary" "$stage/dist/bin/"
done
cp -r packaging/models packaging/terms packaging/systemd packaging/apparmor packaging/admin configs/mednerd.toml "$stage/dist/"
for page in packaging/doc/*.md README.md ARCHITECTURE.md SPECIFICATION.md CHANGELOG.md SECURITY.md; do
    # Pages link to what lies beside them here; those of other packages have folders of their own.
    sed -e 's,](packaging/doc/,](,g' -e 's,](plugins/\([a-z]*\)/README.md,](../mednerd-\1/README.md,g' \
        -e 's,](sdk/plugin/README.md,](../mednerd-sdk/README.md,g' "$page" >"$stage/dist/doc/${page##*/}"
    while read -r link; do
        case $link in http* | \#* | ../mednerd-*) continue ;; esac
        [ -e "packaging/doc/$link" ] || [ -e "./$link" ] || { echo "deb: $page links to $link, which is not installed beside it" >&2; exit 1; }
    done < <(grep -oE '\]\([^)#]+' "$stage/dist/doc/${page##*/}" | cut -c3-)
done
cp -r packaging/doc/examples configs/samples "$stage/dist/doc/"
"$release/mednerctl" man "$stage/dist/man"
cp packaging/man/*.1 "$stage/dist/man/"
for shell in bash zsh fish; do
    "$release/mednerctl" completions $shell >"$stage/dist/completions/$shell"
done

for plugin in "${plugins[@]}"; do
    place=$stage/dist/$plugin
    install -D -m 644 -t "$place/mednerd.$plugin" "$release/libmednerd_${plugin}_plugin.so" "$(find "plugins/$plugin" -name plugin.toml)"
    cp "plugins/$plugin/README.md" "$place/"
done
cp -r plugins/umls/demo "$stage/dist/umls/"
# The key goes with the plugins, as a release may have another one: under a name for each package.
cp "${key%.*}.pub" "$stage/dist/umls/mednerd.pub"
cp "${key%.*}.pub" "$stage/dist/markup/mednerd-markup.pub"

# The SDK's crates as a workspace of their own; template and examples each stand alone, to be copied.
sdk=$stage/dist/sdk
cp -r sdk/plugin sdk/plugin-abi "$sdk/"
mv "$sdk/plugin/template" "$sdk/"
mkdir "$sdk/examples"
for example in plugins/examples/*/; do
    example=$(basename "$example")
    plugins/examples/copy "$example" "$sdk/examples/$example" /usr/share/mednerd/sdk/plugin
done
sed -i 's,^mednerd-plugin = .*,mednerd-plugin = { path = "/usr/share/mednerd/sdk/plugin" },' "$sdk/template/Cargo.toml"
sed -e '/^members = \[/,/^\]/c members = ["plugin", "plugin-abi"]' \
    -e 's|^exclude = .*|exclude = ["examples", "template"]|' -e 's,path = "sdk/,path = ",' \
    -e '/path = "\(daemon\|plugins\)\//d' -e '/^\[profile/,$d' Cargo.toml >"$sdk/Cargo.toml"

# What the binaries are made of: beside them, and in each of them.
packaging/scripts/sbom.py "$stage/dist/doc/mednerd.cdx.json" "$stage"/dist/bin/{mednerd,mednerctl,mednerd-plugin-host}
notices=THIRD-PARTY-NOTICES
packaging/scripts/notices.py "$stage/dist/doc/$notices" "$stage"/dist/bin/{mednerd,mednerctl,mednerd-plugin-host}
for plugin in "${plugins[@]}"; do
    place=$stage/dist/$plugin
    files=("$place/mednerd.$plugin/libmednerd_${plugin}_plugin.so")
    [ "$plugin" != umls ] || files+=("$stage/dist/bin/mednerd-umls")
    packaging/scripts/notices.py "$place/$notices" "${files[@]}"
    packaging/scripts/sbom.py "$place/mednerd-$plugin.cdx.json" "${files[@]}"
done
if [ -n "$worker" ]; then
    # A workspace of its own.
    (cd daemon/engine-cuda &&
        ../../packaging/scripts/notices.py "$stage/dist/$notices" "$stage/dist/bin/$worker" &&
        ../../packaging/scripts/sbom.py "$stage/dist/mednerd-cuda.cdx.json" "$stage/dist/bin/$worker")
    export DEB_BUILD_PROFILES=pkg.mednerd.cuda
fi

cat >"$stage/debian/changelog" <<CHANGELOG
mednerd ($version) unstable; urgency=medium

  * Built from commit $commit.
  * What has changed is in /usr/share/doc/mednerd/CHANGELOG.md.

 -- The mednerd authors <mednerd@example.org>  $(date -R -d "@$SOURCE_DATE_EPOCH")
CHANGELOG
chmod -R u=rwX,go=rX "$stage"
(cd "$stage" && dpkg-buildpackage --build=binary --no-sign >"$work/log" 2>&1) || {
    cat "$work/log" >&2
    exit 1
}
packages=()
for package in "$work"/*_"${version}"_*.deb; do
    [ "$out" = "$work" ] || mv "$package" "$out/"
    packages+=("${package##*/}")
done
# For who carries them somewhere else: sha256sum --check SHA256SUMS.
(cd "$out" && sha256sum "${packages[@]}" >SHA256SUMS)
for package in "${packages[@]}"; do echo "$out/$package"; done
