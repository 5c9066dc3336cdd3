#!/usr/bin/env bash
# Installs what a fresh Debian needs to build mednerd, and says so: the C toolchain, libsystemd's
# headers, and a Rust toolchain where there is none that is new enough; and the packages named as arguments. Quiet where
# nothing is missing.
set -euo pipefail

NEEDED_RUST=1.91
PACKAGES=(build-essential ca-certificates curl libsystemd-dev pkg-config python3 "$@")

say() { printf 'setup: %s\n' "$*" >&2; }

as_root() {
    if [ "$(id -u)" -eq 0 ]; then "$@"; elif command -v sudo >/dev/null; then sudo "$@"; else
        say "run this as root, or install by hand: $*"
        exit 1
    fi
}

install_packages() {
    local missing=() package
    for package in "${PACKAGES[@]}"; do
        dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
    done
    [ ${#missing[@]} -eq 0 ] && return
    say "installing Debian packages: ${missing[*]}"
    as_root apt-get update -q
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "${missing[@]}"
}

# True where version $1 is at least $2.
at_least() { printf '%s\n%s\n' "$2" "$1" | sort -C -V; }

install_rust() {
    local found
    found=$(rustc --version 2>/dev/null | cut -d' ' -f2 || true)
    if [ -n "$found" ] && at_least "${found%%-*}" "$NEEDED_RUST"; then
        return
    fi
    if command -v rustup >/dev/null; then
        say "rustc ${found:-missing} is older than $NEEDED_RUST: updating the stable toolchain"
        rustup toolchain install stable --profile minimal --component clippy,rustfmt
        rustup default stable
    else
        say "no rustc of at least $NEEDED_RUST: installing the stable toolchain with rustup into $HOME/.cargo"
        curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs |
            sh -s -- -y --profile minimal --component clippy --component rustfmt
    fi
}

if command -v dpkg-query >/dev/null; then install_packages; else
    say "not a Debian system: install a C compiler, pkg-config and libsystemd's headers yourself"
fi
install_rust
