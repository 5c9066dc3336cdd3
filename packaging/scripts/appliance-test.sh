#!/usr/bin/env bash
# Builds the package twice, as one version and as the next, and hands both to tests/appliance/run.sh. $1 is the target directory.
set -euo pipefail
cd "$(dirname "$0")/../.."
target=$1
old=$(DEB_REVISION=0~test packaging/scripts/deb.sh "$target" | grep '/mednerd_')
new=$(packaging/scripts/deb.sh "$target" | grep '/mednerd_')
exec tests/appliance/run.sh "$old" "$new" "$target/appliance"
