#!/usr/bin/env python3
"""Writes the notices that licences of other people's crates ask for: notices.py OUT FILE…

OUT names each crate whose code is in one of the files, executables or libraries of this tree, with its licence, authors and source, and has the texts
of the licences and notices that lie in its folder, each text once. The same commit gives the same bytes.
"""
import os
import re
import sys

from sbom import metadata, reached, root_of

# What a crate's folder calls the texts that have to go with it.
TEXT = re.compile(r"(licen[cs]e|copying|copyright|notice|unlicense)([-._].*)?$", re.IGNORECASE)
RULE = "=" * 100
# For crates that name it and bring no text.
MIT = """Permission is hereby granted, free of charge, to any person obtaining a copy of this software and associated documentation files (the
"Software"), to deal in the Software without restriction, including without limitation the rights to use, copy, modify, merge, publish,
distribute, sublicense, and/or sell copies of the Software, and to permit persons to whom the Software is furnished to do so, subject to
the following conditions:

The above copyright notice and this permission notice shall be included in all copies or substantial portions of the Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED, INCLUDING BUT NOT LIMITED TO THE WARRANTIES OF
MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE AUTHORS OR COPYRIGHT HOLDERS BE LIABLE FOR
ANY CLAIM, DAMAGES OR OTHER LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE, ARISING FROM, OUT OF OR IN CONNECTION WITH THE
SOFTWARE OR THE USE OR OTHER DEALINGS IN THE SOFTWARE."""


def texts(package):
    """The names and contents of the licences and notices in a crate's folder."""
    folder = os.path.dirname(package["manifest_path"])
    names = {name for name in os.listdir(folder) if TEXT.match(name) and os.path.isfile(os.path.join(folder, name))}
    if declared := package["license_file"]:
        names.add(declared)
    for name in sorted(names):
        with open(os.path.join(folder, name), encoding="utf-8", errors="replace") as file:
            yield os.path.basename(name), "\n".join(line.rstrip() for line in file.read().strip().splitlines())


def main(out, *files):
    packages, edges = metadata()
    linked = {id for path in files for id, runtime in reached(root_of(path, packages), packages, edges).items() if runtime}
    # Those of this tree have no source elsewhere.
    crates = sorted((packages[id] for id in linked if packages[id]["source"]), key=lambda one: (one["name"], one["version"]))
    found, without = {}, []
    for crate in crates:
        name = f"{crate['name']} {crate['version']}"
        own = list(texts(crate))
        if not own:
            # Zlib asks for its text with the source alone.
            if crate["license"] == "Zlib":
                continue
            if "MIT" not in (crate["license"] or ""):
                sys.exit(f"notices: {name} has no text of its licence, {crate['license']}; find it, and put it where this looks")
            without.append(name)
        for title, text in own:
            found.setdefault(text, (title, []))[1].append(name)
    with open(out, "w", encoding="utf-8") as file:
        print("Code of others in this package. Each crate is under the licence that stands with it; the texts follow.\n", file=file)
        print("The Rust standard library: MIT OR Apache-2.0; The Rust Project Developers; https://github.com/rust-lang/rust", file=file)
        for crate in crates:
            authors = ", ".join(crate["authors"]) or "its authors"
            source = crate["repository"] or f"https://crates.io/crates/{crate['name']}"
            print(f"{crate['name']} {crate['version']}: {crate['license'] or 'see its text'}; {authors}; {source}", file=file)
        if without:
            print(f"\n{RULE}\n{', '.join(without)}, whose folders have no text of the licence\n{RULE}\n", file=file)
            print(f"Copyright (c) the authors named above\n\n{MIT}", file=file)
        for text, (title, names) in sorted(found.items(), key=lambda item: item[1][1]):
            print(f"\n{RULE}\n{title} of {', '.join(names)}\n{RULE}\n\n{text}", file=file)
    if not crates:
        sys.exit("notices: no crate was found")


main(*sys.argv[1:])
