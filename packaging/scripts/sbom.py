#!/usr/bin/env python3
"""Writes down what packaged files are made of: sbom.py BOM FILE…

BOM becomes a CycloneDX 1.5 document of every crate that is in one of the files or took part in building it; each file, an
executable or a library, gets the crates that it is built from as cargo-auditable writes them (section .dep-v0), for scanners that find
the file alone. Crates for tests or other systems are left out. The same commit gives the same bytes.
"""
import json
import os
import subprocess
import sys
import tempfile
import tomllib
import zlib

CRATES_IO = "registry+https://github.com/rust-lang/crates.io-index"
TARGET = "x86_64-unknown-linux-gnu"


def metadata():
    arguments = ["cargo", "metadata", "--locked", "--format-version=1", f"--filter-platform={TARGET}"]
    found = json.loads(subprocess.run(arguments, check=True, capture_output=True).stdout)
    packages = {package["id"]: package for package in found["packages"]}
    edges = {node["id"]: node["deps"] for node in found["resolve"]["nodes"]}
    return packages, edges


def root_of(path, packages):
    """The package of the tree that a file is the binary or the library of."""
    name = os.path.basename(path)
    for id, package in packages.items():
        for target in package["targets"] if package["source"] is None else []:
            library = "lib" + target["name"].replace("-", "_") + ".so"
            if "bin" in target["kind"] and target["name"] == name or "cdylib" in target["kind"] and library == name:
                return id
    sys.exit(f"sbom: no package builds {name}")


def is_macro(package):
    return any("proc-macro" in target["kind"] for target in package["targets"])


def reached(root, packages, edges):
    """Every package that a file is built from; True for those whose code is in it."""
    kinds = {}
    waiting = [(root, True)]
    while waiting:
        id, runtime = waiting.pop()
        runtime = runtime and not is_macro(packages[id])
        if id in kinds and kinds[id] >= runtime:
            continue
        kinds[id] = runtime
        for edge in edges[id]:
            for kind in edge["dep_kinds"]:
                if kind["kind"] != "dev":
                    waiting.append((edge["pkg"], runtime and kind["kind"] is None))
    return kinds


def auditable(root, kinds, packages, edges):
    order = sorted(kinds, key=lambda id: (packages[id]["name"], packages[id]["version"], id))
    number = {id: at for at, id in enumerate(order)}
    listed = []
    for id in order:
        package = packages[id]
        entry = {"name": package["name"], "version": package["version"]}
        entry["source"] = {None: "local", CRATES_IO: "crates.io"}.get(package["source"], "registry")
        if not kinds[id]:
            entry["kind"] = "build"
        needed = {edge["pkg"] for edge in edges[id] if any(kind["kind"] != "dev" for kind in edge["dep_kinds"])}
        if needed := sorted(number[other] for other in needed if other in number):
            entry["dependencies"] = needed
        if id == root:
            entry["root"] = True
        listed.append(entry)
    return json.dumps({"packages": listed}, separators=(",", ":")).encode()


def embed(path, data):
    with tempfile.NamedTemporaryFile() as section:
        section.write(zlib.compress(data, 9))
        section.flush()
        subprocess.run(["objcopy", f"--add-section=.dep-v0={section.name}", "--set-section-flags=.dep-v0=readonly", path], check=True)


def component(package, checksums):
    name, version = package["name"], package["version"]
    found = {"type": "library", "name": name, "version": version, "bom-ref": f"{name}@{version}"}
    if package["source"] == CRATES_IO:
        found["purl"] = f"pkg:cargo/{name}@{version}"
    if checksum := checksums.get((name, version)):
        found["hashes"] = [{"alg": "SHA-256", "content": checksum}]
    if licence := package["license"]:
        found["licenses"] = [{"expression": licence.replace("/", " OR ")}]
    return found


def main(bom, *files):
    packages, edges = metadata()
    with open("Cargo.lock", "rb") as file:
        locked = tomllib.load(file)["package"]
    checksums = {(entry["name"], entry["version"]): entry.get("checksum") for entry in locked}
    everything, roots = {}, []
    for path in files:
        root = root_of(path, packages)
        kinds = reached(root, packages, edges)
        embed(path, auditable(root, kinds, packages, edges))
        roots.append(packages[root])
        for id, runtime in kinds.items():
            everything[id] = everything.get(id, False) or runtime
    order = sorted(everything, key=lambda id: (packages[id]["name"], packages[id]["version"], id))
    names = {id: f"{packages[id]['name']}@{packages[id]['version']}" for id in order}
    document = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {"component": {"type": "application", "name": roots[0]["name"], "version": roots[0]["version"]}},
        "components": [
            component(packages[id], checksums) | {"scope": "required" if everything[id] else "excluded"} for id in order
        ],
        "dependencies": [
            {
                "ref": names[id],
                "dependsOn": sorted({names[edge["pkg"]] for edge in edges[id] if edge["pkg"] in names}),
            }
            for id in order
        ],
    }
    with open(bom, "w") as file:
        json.dump(document, file, indent=1, sort_keys=True)
        file.write("\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
