#!/usr/bin/env python3
"""The approach of scispaCy's linker beside mednerd-umls, on the same names and the same gold mentions.

scispaCy ranks names by the cosine of TF-IDF vectors of character 3-grams (`char_wb`, grams in at least 10 names) and
looks for neighbours approximately; here the neighbours are exact, which can only help it. QuickUMLS looks names up with
simstring (Jaccard over 3-grams, threshold 0.7); it is measured where the package quickumls-simstring is installed.

    pip install scikit-learn quickumls-simstring
    plugins/umls/eval/open_rrf.py ../shared/data/vocabulary META
    mednerd-umls build --rrf META --out open.idx
    plugins/umls/eval/compare.py META GOLD.pubtator open.idx [path of mednerd-umls]
"""
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path


def megabytes() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main(meta: Path, gold: Path, index: Path, program: str) -> None:
    names, concepts = [], []
    for row in (meta / "MRCONSO.RRF").open(encoding="utf-8"):
        cells = row.split("|")
        names.append(cells[14])
        concepts.append(cells[0])
    to_cui = {}
    for row in (meta / "gold_map.tsv").open(encoding="utf-8"):
        mesh, cui = row.split()
        to_cui.setdefault(mesh, set()).add(cui)
    have = set(concepts)
    mentions = []
    for row in gold.open(encoding="utf-8"):
        cells = row.rstrip("\n").split("\t")
        if len(cells) >= 6 and not cells[0].count("|"):
            ids = cells[5].replace("+", "|").split("|")
            right = set().union(*(to_cui.get(each.strip(), set()) for each in ids)) & have
            if right:
                mentions.append((cells[3], right))
    print(f"{len(names)} rows, {len(have)} concepts, {len(mentions)} covered mentions of {gold.name}")
    print(f"{'':28}{'at 1':>8}{'at 10':>8}{'us/mention':>12}{'MB more':>9}")

    def report(name, found, seconds, memory):
        first = sum(bool(each and each[0] in right) for each, (_, right) in zip(found, mentions))
        ten = sum(bool(right & set(each[:10])) for each, (_, right) in zip(found, mentions))
        print(f"{name:28}{100 * first / len(mentions):8.1f}{100 * ten / len(mentions):8.1f}"
              f"{1e6 * seconds / len(mentions):12.0f}{memory:9.0f}")

    def concepts_of(order):
        return list(dict.fromkeys(concepts[each] for each in order))

    import numpy
    from sklearn.feature_extraction.text import TfidfVectorizer
    before = megabytes()
    vectorizer = TfidfVectorizer(analyzer="char_wb", ngram_range=(3, 3), min_df=10, dtype=numpy.float32)
    matrix = vectorizer.fit_transform(names).T.tocsr()
    found, start = [], time.perf_counter()
    for text, _ in mentions:
        scores = (vectorizer.transform([text]) @ matrix).tocoo()
        order = sorted(zip(-scores.data, scores.col))[:100]
        found.append(concepts_of(each for _, each in order))
    report("3-gram TF-IDF, exact search", found, time.perf_counter() - start, megabytes() - before)

    try:
        from quickumls_simstring import simstring
    except ImportError:
        print("quickumls-simstring is not installed")
    else:
        before = megabytes()
        with tempfile.TemporaryDirectory() as folder:
            writer = simstring.writer(f"{folder}/names", 3, False, True)
            by_name = {}
            for name, concept in zip(names, concepts):
                if name.lower() not in by_name:
                    writer.insert(name.lower())
                by_name.setdefault(name.lower(), []).append(concept)
            writer.close()
            reader = simstring.reader(f"{folder}/names")
            reader.measure, reader.threshold = simstring.jaccard, 0.7
            grams = lambda text: {text[i:i + 3] for i in range(-2, len(text))}
            found, start = [], time.perf_counter()
            for text, _ in mentions:
                own = grams(text.lower())
                hits = reader.retrieve(text.lower())
                hits = sorted(hits, key=lambda name: -len(own & grams(name)) / max(1, len(own | grams(name))))
                found.append(list(dict.fromkeys(each for name in hits for each in by_name.get(name, []))))
            report("simstring, Jaccard 0.7", found, time.perf_counter() - start, megabytes() - before)

    arguments = [program, "eval", "--index", index, "--gold", gold, "--map", meta / "gold_map.tsv", "--json"]
    # GNU time, as a child of this process would be charged with its memory.
    done = subprocess.run(["/usr/bin/time", "-f", "%M", *arguments], check=True, capture_output=True)
    outcome = json.loads(done.stdout)
    memory = int(done.stderr.split()[-1]) / 1024
    print(f"{'mednerd-umls':28}{100 * outcome['accuracy_at_1']:8.1f}{100 * outcome['recall_at_10']:8.1f}"
          f"{outcome['microseconds_per_mention']:12.0f}{memory:9.0f}  (the complete process, index and gold; 50 candidates each)")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]), sys.argv[4] if len(sys.argv) > 4 else "mednerd-umls")
