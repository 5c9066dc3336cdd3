"""Gold of 68 visit notes of MTS-Dialog and ACI-Bench, whose texts are in `../shared/data/notes` and not in the project.

`visits.tsv` has a line for each mention: the note (`mts-` and its ID of MTS-Dialog, or the encounter of ACI-Bench), its code points, its
type by GUIDELINES.md, but genes; a note without mentions has an empty line. One person read them, once, who saw neither models nor lists.
60 notes of MTS-Dialog with more than 120 characters and 8 of ACI-Bench were drawn at random.
"""

import csv
import lzma
from pathlib import Path

GOLD = Path(__file__).with_suffix(".tsv")


def texts(folder):
    """The texts of all visit notes by their names."""
    csv.field_size_limit(1 << 30)
    for path in sorted(Path(folder).glob("*.csv.xz")):
        with lzma.open(path, "rt", encoding="utf-8", newline="") as lines:
            for row in csv.DictReader(lines):
                name, text = (row["encounter_id"], row["note"]) if "note" in row else ("mts-" + row["ID"], row["section_text"])
                yield name, text.replace("\r\n", "\n")


def notes(folder):
    """The notes as `gold.notes` gives them."""
    mentions = {}
    with GOLD.open(encoding="utf-8", newline="") as lines:
        for row in csv.DictReader(lines, delimiter="\t"):
            own = mentions.setdefault(row["note"], [])
            if row["type"]:
                own.append((int(row["begin"]), int(row["end"]), row["type"]))
    known = dict(texts(folder))
    for name, own in mentions.items():
        yield {"name": name, "kind": "visit", "language": "en", "text": known[name], "mentions": own}
