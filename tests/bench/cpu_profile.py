"""Where the time of a forward goes: samples of `perf`, by the source file of the operator that they fell into.

    CARGO_TARGET_DIR=$(dirname "$(make -s bin-dir)") cargo build --release --locked --workspace --examples
    python tests/bench/cpu_profile.py CHECKPOINT [--tokens 128] [--seconds 10] [--precision int8] [--bin FOLDER]

Kernels are inlined, so a sample counts for the innermost of our files on its way, or for attention. Needs `perf` and `addr2line`; standard library only.
"""

import argparse
import random
import re
import subprocess
import tempfile
from collections import Counter
from pathlib import Path

import binaries

OURS = re.compile(r"daemon/engine-tract/src/(?:kernels|ops)/([a-z0-9_/]+)\.rs")
NAMES = {
    "tile": "matrix product (attention's too)", "gemm": "matrix product (attention's too)", "vnni": "matrix product, 8 bits", "int8": "quantising, 8 bits",
    "disentangled": "attention", "elementwise": "GELU, exponentials", "norm": "normalisation", "embed": "embedding",
    "gate": "gate",
}  # fmt: skip


def sections(binary):
    """`(offset in the file, address, size)` of what is executable."""
    for line in subprocess.run(["readelf", "-lW", binary], capture_output=True, text=True, check=True).stdout.splitlines():
        found = re.match(r"\s*LOAD\s+(\S+)\s+(\S+)\s+\S+\s+(\S+)\s+\S+\s+R E", line)
        if found:
            return tuple(int(value, 16) for value in found.groups())
    raise SystemExit(f"{binary}: nothing executable")


def addresses(data, binary):
    """How many samples fell on each address of the binary, and how many elsewhere."""
    said = subprocess.run(["perf", "script", "-i", data, "--show-mmap-events", "-F", "comm,ip,event"], capture_output=True, text=True).stdout
    offset, address, size = sections(binary)
    counts, elsewhere, start = Counter(), 0, None
    for line in said.splitlines():
        mapped = re.search(r"\[(0x[0-9a-f]+)\((0x[0-9a-f]+)\) @ (\S+) .*r-xp .*" + re.escape(Path(binary).name), line)
        if mapped:
            start = int(mapped[1], 16) - int(mapped[3], 16)
            continue
        sample = re.match(r"\s*\S.*?\s([0-9a-f]{6,16})\s*$", line)
        if not sample:
            continue
        at = int(sample[1], 16) - (start or 0)
        if start is not None and offset <= at < offset + size:
            counts[at - offset + address] += 1
        else:
            elsewhere += 1
    return counts, elsewhere


def owners(binary, found):
    """Of each address, the file of ours that it belongs to."""
    told = subprocess.run(
        ["addr2line", "-a", "-i", "-e", binary], input="\n".join(map(hex, found)), capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    owner, now = {}, None
    for line in told.splitlines():
        if re.fullmatch(r"0x[0-9a-f]+", line):
            now = int(line, 16)
        elif ours := OURS.search(line):
            file = ours[1].rpartition("/")[2]
            # From the innermost outwards: vectors serve all, and attention has products and exponentials of its own.
            if file in ("attention", "disentangled") or (file != "simd" and now not in owner):
                owner[now] = NAMES.get(file, file)
    return owner


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("--tokens", type=int, default=128)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--precision", choices=["fp32", "int8"], default="fp32")
    parser.add_argument("--bin", type=Path, default=binaries.RELEASE, help="the folder of the binaries")
    options = parser.parse_args()
    binary = str(options.bin / "examples/forward_bench")
    generator = random.Random(1)
    line = " ".join(str(generator.randrange(1000, 20000)) for _ in range(options.tokens)) + "\n"
    with tempfile.TemporaryDirectory() as folder:
        process = subprocess.Popen(
            [binary, options.checkpoint, options.precision], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        process.stdout.readline()
        # Loading, and the first forward, which makes the plan, are not what is asked.
        process.stdin.write(line)
        process.stdin.flush()
        process.stdout.readline()
        data = f"{folder}/perf.data"
        perf = subprocess.Popen(
            ["perf", "record", "-q", "-F", "999", "-o", data, "-p", str(process.pid), "sleep", str(options.seconds)], stderr=subprocess.DEVNULL,
        )  # fmt: skip
        while perf.poll() is None:
            process.stdin.write(line)
            process.stdin.flush()
            process.stdout.readline()
        process.stdin.close()
        process.wait()
        counts, elsewhere = addresses(data, binary)
    total = sum(counts.values()) + elsewhere
    if not counts:
        raise SystemExit("perf took no sample of the binary")
    owner = owners(binary, list(counts))
    shares = Counter()
    for address, count in counts.items():
        shares[owner.get(address, "the rest (tract, memory, output)")] += count
    shares["the kernel (page faults among it) and libraries"] += elsewhere
    print(f"{options.checkpoint.name} {options.precision}, {options.tokens} tokens, {total} samples")
    for name, count in shares.most_common():
        if count * 1000 < total:
            break
        print(f"{100 * count / total:5.1f} %  {name}")


if __name__ == "__main__":
    main()
