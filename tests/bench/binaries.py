"""Where the binaries of this tree are, for the scripts beside this one."""

import os
from pathlib import Path

# As in the Makefile; an empty variable is none there either.
_TARGET = os.environ.get("CARGO_TARGET_DIR") or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "mednerd/target"

RELEASE = Path(_TARGET) / "release"
EXAMPLES = RELEASE / "examples"
