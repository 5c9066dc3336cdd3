#!/usr/bin/env python3
"""Prints the software bill of materials (CycloneDX 1.5) of the packaged binaries: every crate that they are built from.

What is built for tests or for other systems alone is left out, as cargo tells it. The same commit gives the same bytes.
"""
import json
import subprocess
import sys
import tomllib

PACKAGES = sys.argv[1:] or ["mednerd", "mednerd-ctl", "mednerd-plugin-host", "mednerd-umls"]


def main():
    arguments = ["cargo", "tree", "--locked", "--prefix=none", "--edges=normal,build", "--format={p}\t{l}"]
    arguments += [f"--package={name}" for name in PACKAGES]
    listed = subprocess.run(arguments, check=True, capture_output=True, text=True).stdout
    with open("Cargo.lock", "rb") as file:
        locked = {(p["name"], p["version"]): p for p in tomllib.load(file)["package"]}
    with open("Cargo.toml", "rb") as file:
        version = tomllib.load(file)["workspace"]["package"]["version"]
    components = {}
    for line in filter(None, listed.splitlines()):
        package, _, licence = line.partition("\t")
        name, crate_version = package.split()[:2]
        crate_version = crate_version.removeprefix("v")
        found = locked.get((name, crate_version), {})
        component = {
            "type": "library",
            "name": name,
            "version": crate_version,
            "bom-ref": f"{name}@{crate_version}",
        }
        if "source" in found:
            component["purl"] = f"pkg:cargo/{name}@{crate_version}"
        if "checksum" in found:
            component["hashes"] = [{"alg": "SHA-256", "content": found["checksum"]}]
        licence = licence.removesuffix(" (*)").replace("/", " OR ")
        if licence:
            component["licenses"] = [{"expression": licence}]
        components[name, crate_version] = component
    bom = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {"component": {"type": "application", "name": "mednerd", "version": version}},
        "components": [components[key] for key in sorted(components)],
    }
    print(json.dumps(bom, indent=1, sort_keys=True))


main()
