#!/usr/bin/env python3
"""Reads a file of metrics as node_exporter's textfile collector does, which takes no type that Prometheus' text format does not have, no
family twice and none of its own: textfile.py FILE NAME=VALUE…
"""
import re
import sys

TYPES = {"counter", "gauge", "histogram", "summary", "untyped"}
OWN = ("process_", "go_", "node_", "promhttp_")
SAMPLE = re.compile(r'([a-zA-Z_:][a-zA-Z0-9_:]*(?:\{(?:[a-zA-Z_]\w*="(?:[^"\\\n]|\\.)*",?)*\})?) (\S+)')

types, samples = {}, {}
with open(sys.argv[1]) as file:
    text = file.read()
if not text.endswith("\n"):
    sys.exit("the last line has no end")
for line in text.splitlines():
    if line.startswith("# TYPE "):
        _, _, name, kind = line.split(" ")
        if kind not in TYPES:
            sys.exit(f"unknown metric type {kind!r}")
        if name in types:
            sys.exit(f"second TYPE line for {name}")
        types[name] = kind
    elif not line.startswith("#"):
        match = SAMPLE.fullmatch(line)
        if not match:
            sys.exit(f"no sample: {line}")
        if match[1] in samples:
            sys.exit(f"twice: {line}")
        samples[match[1]] = float(match[2])
        name = match[1].split("{")[0]
        family = name if name in types else re.sub(r"_(bucket|sum|count)$", "", name)
        if family not in types:
            sys.exit(f"a sample without a type: {line}")
        if name.startswith(OWN):
            sys.exit(f"collected before with the collector's own: {name}")
for wanted in sys.argv[2:]:
    name, value = wanted.rsplit("=", 1)
    if samples.get(name) != float(value):
        sys.exit(f"{name} is {samples.get(name)} and not {value}")
