#!/usr/bin/env bash
# Says the revision of this tree's packages, which binaries are built with too: DEB_REVISION, or 1 with the commit and its time, so that each
# commit's are newer than those before. A tree that is no commit's says so. Nothing where there is neither.
set -euo pipefail
cd "$(dirname "$0")/../.."
if [ -z "${DEB_REVISION:-}" ]; then
    commit=$(TZ=UTC git log -1 --date=format-local:%Y%m%d%H%M%S --format=%cd.%h --abbrev=8 2>/dev/null) || exit 0
    git diff --quiet HEAD || commit=$commit.changed
fi
echo "${DEB_REVISION:-1+git$commit}"
