#!/usr/bin/env python3
"""Make a release in RRF from the open vocabularies: names of MONDO, the Disease Ontology and NCIt with their CUIs, and
the MeSH headings that MONDO maps to a CUI.

    plugins/umls/eval/open_rrf.py ../shared/data/vocabulary META

Also writes META/gold_map.tsv (MeSH id, CUI) for `mednerd-umls eval --map`.
"""
import lzma
import sys
from pathlib import Path

RANKS = {"MTH": 400, "MSH": 300, "NCI": 250, "MONDO": 200, "DO": 150}
SOURCES = {"NCIT": "NCI", "DOID": "DO", "MONDO": "MONDO"}


def rows(path):
    with lzma.open(path, "rt", encoding="utf-8") as file:
        for row in file:
            yield row.rstrip("\n").split("\t")


def main(vocabulary: Path, out: Path) -> None:
    out.mkdir(parents=True, exist_ok=True)
    names = [(cui, name, SOURCES[code.split(":")[0]], code) for cui, name, code in
             (row[:3] for row in rows(vocabulary / "cui_names_disease.tsv.xz")) if code.split(":")[0] in SOURCES]
    headings = {row[0]: row[1] for row in rows(vocabulary / "mesh2015_terms.tsv.xz")}
    mapped = [row for row in rows(vocabulary / "mesh_to_cui_disease.tsv.xz") if row[0].startswith(("D", "C"))]
    names += [(cui, headings[mesh], "MSH", mesh) for mesh, cui in mapped if mesh in headings]
    names.sort()
    conso = []
    for number, (cui, name, source, code) in enumerate(names, 1):
        # Which name is a code's preferred one is not in the open files, but for MeSH: a heading is.
        code = code.split(":", 1)[1] if source == "NCI" else code
        heading = source == "MSH"
        conso.append(f"{cui}|ENG|{'P' if heading else 'S'}|L{number:07}|PF|S{number:07}|Y|A{number:07}|||{code}|{source}|"
                     f"{'MH' if heading else 'SY'}|{code}|{name.replace('|', ' ')}|0|N||")
    files = {
        "MRCONSO.RRF": ("CUI,LAT,TS,LUI,STT,SUI,ISPREF,AUI,SAUI,SCUI,SDUI,SAB,TTY,CODE,STR,SRL,SUPPRESS,CVF", conso),
        "MRSTY.RRF": ("CUI,TUI,STN,STY,ATUI,CVF",
                      [f"{cui}|T047|B2.2.1.2.1|Disease or Syndrome|AT{i:08}||"
                       for i, cui in enumerate(sorted({row[0] for row in names}))]),
        "MRSAB.RRF": ("VCUI,RCUI,VSAB,RSAB,SON,SF,SVER,CURVER",
                      [f"||{source}_open|{source}|||open|Y|" for source in RANKS]),
        "MRRANK.RRF": ("RANK,SAB,TTY,SUPPRESS",
                       [f"{rank:04}|{source}|{'MH' if source == 'MSH' else 'SY'}|N|" for source, rank in RANKS.items()]),
    }
    listing = []
    for name, (columns, lines) in files.items():
        (out / name).write_text("".join(line + "\n" for line in lines), encoding="utf-8")
        listing.append(f"{name}|open vocabularies|{columns}|{columns.count(',') + 1}|{len(lines)}|0|")
    listing.append("MRFILES.RRF|open vocabularies|FIL,DES,FMT,CLS,RWS,BTS|6|5|0|")
    (out / "MRFILES.RRF").write_text("".join(line + "\n" for line in listing), encoding="utf-8")
    (out / "gold_map.tsv").write_text("".join(f"{mesh}\t{cui}\n" for mesh, cui in mapped), encoding="utf-8")
    print(f"{len(conso)} rows, {len({row[0] for row in names})} concepts")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
