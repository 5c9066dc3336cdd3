#!/usr/bin/env python3
"""How well mentions of six languages are linked: to names of their language, to English names alone, to both, and to the open vocabularies.

    plugins/umls/eval/languages.py target/release/mednerd-umls [--open OPEN.idx META] [LANGUAGE …]

`languages/gold.de.tsv` has the mentions of the German notes of tests/gold (but for those that are kept unseen) with the concepts that they mean, told by
their English names: several are parted by a bar, and answers as good by a tilde. `languages/names.de.tsv` has for each of these
concepts, and for 250 others close to them, the names that German translations of MeSH, SNOMED CT, ICD-10 and MedDRA would have: written by somebody who had not seen
the mentions. What has none is left out. With `--open`, an index of what open_rrf.py makes, and the folder that it was made from: diseases
whose English name is one of its names. Prints accuracy at 1 and recall at 10.
"""
import argparse
import csv
import json
import re
import subprocess
import tempfile
from collections import defaultdict
from pathlib import Path

HERE = Path(__file__).resolve().parent / "languages"
LANGUAGES = ("de", "fr", "es", "it", "nl", "pt")
# What tells the language of a document.
SENTENCES = {
    "de": "Der Patient wurde heute wegen {} gesehen und wird wieder einbestellt.",
    "fr": "Le patient est vu ce jour pour {} et sera revu dans un mois.",
    "es": "El paciente fue visto hoy por {} y se revisará en un mes.",
    "it": "Il paziente è stato visto oggi per {} e sarà rivisto tra un mese.",
    "nl": "De patiënt werd vandaag gezien wegens {} en komt over een maand terug.",
    "pt": "O doente foi visto hoje por {} e será reavaliado dentro de um mês.",
}
TYPES = {"disease": "T047", "chemical": "T109", "anatomy": "T023"}


def read(name):
    return [line.split("\t") for line in (HERE / name).read_text(encoding="utf-8").splitlines()]


def concepts_of(cell):
    return [] if cell == "NIL" else [name.strip() for name in re.split(r"[|~]", cell)]


def write_gold(path, language, mentions):
    """`mentions`: type, mention, ids."""
    with path.open("w", encoding="utf-8") as file:
        for number, (kind, mention, ids) in enumerate(mentions, 1):
            text = SENTENCES[language].format(mention)
            begin = text.index(mention)
            print(f"{number}|t|{text}\n{number}|a|", file=file)
            print(number, begin, begin + len(mention), mention, kind.capitalize(), "|".join(ids), sep="\t", end="\n\n", file=file)


def measured(program, index, gold):
    out = subprocess.run([program, "eval", "--index", index, "--gold", gold, "--json"], check=True, capture_output=True).stdout
    found = json.loads(out)
    return f"{100 * found['accuracy_at_1']:.1f} / {100 * found['recall_at_10']:.1f} of {found['covered']}"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program")
    parser.add_argument("languages", nargs="*", default=LANGUAGES)
    parser.add_argument("--open", nargs=2, type=Path, metavar=("INDEX", "META"))
    options = parser.parse_intermixed_args()
    plain = lambda name: re.sub(r"[^a-z0-9]+", " ", name.lower()).strip()
    known = defaultdict(set)
    if options.open:
        with (options.open[1] / "MRCONSO.RRF").open(encoding="utf-8") as rows:
            for cells in (row.split("|") for row in rows):
                known[plain(cells[14])].add(cells[0])
    for language in options.languages:
        names = [(f"{language}{number}", *row) for number, row in enumerate(read(f"names.{language}.tsv"), 1)]
        ids = {english: number for number, _, english, *own in names if own}
        gold = [(kind, mention, concepts_of(cell)) for kind, mention, cell in read(f"gold.{language}.tsv")]
        with tempfile.TemporaryDirectory() as folder:
            folder = Path(folder)
            for what in ("own", "english", "both"):
                table, index = folder / "names.csv", folder / "index"
                with table.open("w", encoding="utf-8", newline="") as file:
                    rows = csv.writer(file)
                    rows.writerow(["id", "name", "semantic_type", "language"])
                    for number, kind, english, *own in names:
                        if what != "own":
                            rows.writerow([number, english, TYPES[kind], "en"])
                        if what != "english":
                            rows.writerows([number, name, TYPES[kind], language] for name in own)
                subprocess.run([options.program, "build", "--csv", table, "--out", index], check=True, stdout=subprocess.DEVNULL)
                line = []
                for kind in TYPES:
                    path = folder / "gold.pubtator"
                    meant = ((of, mention, [ids[name] for name in concepts if name in ids]) for of, mention, concepts in gold if of == kind)
                    write_gold(path, language, [one for one in meant if one[2]])
                    line.append(f"{kind} {measured(options.program, index, path)}")
                print(f"{language}  {what:8}", ",  ".join(line), flush=True)
            if options.open:
                path = folder / "open.pubtator"
                meant = ((of, mention, sorted(set().union(*(known[plain(name)] for name in concepts)))) for of, mention, concepts in gold
                         if of == "disease" and concepts)
                write_gold(path, language, [one for one in meant if one[2]])
                print(f"{language}  open      disease {measured(options.program, options.open[0], path)}", flush=True)


if __name__ == "__main__":
    main()
