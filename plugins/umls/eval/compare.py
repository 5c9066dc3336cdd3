#!/usr/bin/env python3
"""scispaCy's linker and QuickUMLS' simstring beside mednerd-umls, on the same names and the same gold mentions.

scispaCy's own candidate generator over the names: TF-IDF of character 3-grams, nearest neighbours by nmslib's HNSW, 30 of
them, ranked by their similarity, with no threshold, which can only help it. Its index is built once, into a folder, by
`--build`, and loaded for the comparison, as scispaCy does. The same with exact neighbours is measured too. QuickUMLS looks names up with simstring (Jaccard over 3-grams, threshold 0.7). What is not installed is left out.

    pip install scikit-learn quickumls-simstring scispacy nmslib
    plugins/umls/eval/open_rrf.py ../shared/data/vocabulary META
    mednerd-umls build --rrf META --out open.idx
    plugins/umls/eval/compare.py META open.idx --scispacy FOLDER --build
    plugins/umls/eval/compare.py META open.idx GOLD.pubtator [GOLD.pubtator ...] --scispacy FOLDER [--program mednerd-umls]

Times are of the processor for each mention, and in brackets by the clock; memory is what the process grew by, and for
mednerd-umls the complete process with its index and the gold.
"""
import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path


def megabytes() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def read_meta(meta: Path):
    names, concepts = [], []
    for row in (meta / "MRCONSO.RRF").open(encoding="utf-8"):
        cells = row.split("|")
        names.append(cells[14])
        concepts.append(cells[0])
    to_cui = {}
    for row in (meta / "gold_map.tsv").open(encoding="utf-8"):
        mesh, cui = row.split()
        to_cui.setdefault(mesh, set()).add(cui)
    return names, concepts, to_cui


def covered(gold: Path, to_cui, have):
    mentions = []
    for row in gold.open(encoding="utf-8"):
        cells = row.rstrip("\n").split("\t")
        if len(cells) >= 6 and not cells[0].count("|"):
            ids = cells[5].replace("+", "|").split("|")
            right = set().union(*(to_cui.get(each.strip(), set()) for each in ids)) & have
            if right:
                mentions.append((cells[3], right))
    return mentions


def exact_neighbours(names, concepts):
    import numpy
    from sklearn.feature_extraction.text import TfidfVectorizer
    vectorizer = TfidfVectorizer(analyzer="char_wb", ngram_range=(3, 3), min_df=10, dtype=numpy.float32)
    matrix = vectorizer.fit_transform(names).T.tocsr()

    def link(texts):
        found = []
        for text in texts:
            scores = (vectorizer.transform([text]) @ matrix).tocoo()
            order = sorted(zip(-scores.data, scores.col))[:100]
            found.append(list(dict.fromkeys(concepts[each] for _, each in order)))
        return found
    return link


def knowledge_base(names, concepts):
    from scispacy.linking_utils import KnowledgeBase
    aliases = {}
    for name, concept in zip(names, concepts):
        aliases.setdefault(concept, []).append(name)
    with tempfile.NamedTemporaryFile("w", suffix=".jsonl", encoding="utf-8") as file:
        for concept, own in aliases.items():
            file.write(json.dumps({"concept_id": concept, "canonical_name": own[0], "aliases": own[1:], "types": ["T047"],
                                   "definition": None}) + "\n")
        file.flush()
        return KnowledgeBase(file.name)


def build_neighbours(folder, names, concepts):
    """scispaCy's index of `names` into `folder`, in the files that it reads."""
    import joblib
    import scipy.sparse
    from scispacy import candidate_generation
    # It asks for an older scipy only to save vectors of 16 bits; these are saved with 32.
    candidate_generation.scipy_supports_sparse_float16 = lambda: True
    start = time.process_time()
    aliases, vectorizer, index = candidate_generation.create_tfidf_ann_index(None, knowledge_base(names, concepts))
    print(f"scispaCy's index: {time.process_time() - start:.0f} s of the processor, {megabytes():.0f} MB")
    folder.mkdir(parents=True, exist_ok=True)
    paths = candidate_generation.LinkerPaths.from_directory(str(folder))
    joblib.dump(vectorizer, paths.tfidf_vectorizer)
    scipy.sparse.save_npz(paths.tfidf_vectors, vectorizer.transform(aliases))
    Path(paths.concept_aliases_list).write_text(json.dumps(aliases), encoding="utf-8")
    index.saveIndex(str(paths.ann_index))


def scispacy_generator(folder):
    def make(names, concepts):
        from scispacy import candidate_generation
        base = knowledge_base(names, concepts)
        aliases, vectorizer, index = candidate_generation.LinkerPaths.from_directory(str(folder)).load()
        generator = candidate_generation.CandidateGenerator(index, vectorizer, aliases, base)

        def link(texts):
            # Mention by mention, as a note's few mentions come.
            return [[each.concept_id for each in sorted(candidates, reverse=True, key=lambda each: max(each.similarities))]
                    for text in texts for candidates in generator([text], 30)]
        return link
    return make


def simstring(names, concepts):
    from quickumls_simstring import simstring as library
    folder = tempfile.mkdtemp()
    writer = library.writer(f"{folder}/names", 3, False, True)
    by_name = {}
    for name, concept in zip(names, concepts):
        if name.lower() not in by_name:
            writer.insert(name.lower())
        by_name.setdefault(name.lower(), []).append(concept)
    writer.close()
    reader = library.reader(f"{folder}/names")
    reader.measure, reader.threshold = library.jaccard, 0.7
    grams = lambda text: {text[i:i + 3] for i in range(-2, len(text))}

    def link(texts):
        found = []
        for text in texts:
            own = grams(text.lower())
            hits = reader.retrieve(text.lower())
            hits = sorted(hits, key=lambda name: -len(own & grams(name)) / max(1, len(own | grams(name))))
            found.append(list(dict.fromkeys(each for name in hits for each in by_name.get(name, []))))
        return found
    return link


def measured(name, make, names, concepts, golds):
    before, start = megabytes(), time.process_time()
    try:
        link = make(names, concepts)
    except ImportError as error:
        print(f"{name}: not measured ({error})")
        return
    ready = time.process_time() - start
    for gold, mentions in golds:
        wall, processor = time.perf_counter(), time.process_time()
        found = link([text for text, _ in mentions])
        wall, processor = time.perf_counter() - wall, time.process_time() - processor
        first = sum(bool(each and each[0] in right) for each, (_, right) in zip(found, mentions))
        ten = sum(bool(right & set(each[:10])) for each, (_, right) in zip(found, mentions))
        report(name, gold, first / len(mentions), ten / len(mentions), 1e6 * processor / len(mentions),
               1e6 * wall / len(mentions), megabytes() - before, ready)


def report(name, gold, first, ten, processor, wall, memory, ready):
    print(f"{name:30}{gold.name:22}{100 * first:8.1f}{100 * ten:8.1f}{processor:10.0f} ({wall:.0f}){memory:9.0f}{ready:9.1f}",
          flush=True)


def main(meta: Path, index: str, golds: list[Path], program: str, folder: Path | None, build: bool) -> None:
    names, concepts, to_cui = read_meta(meta)
    if build:
        build_neighbours(folder, names, concepts)
        return
    have = set(concepts)
    golds = [(gold, covered(gold, to_cui, have)) for gold in golds]
    print(f"{len(names)} rows, {len(have)} concepts; covered mentions: {', '.join(str(len(each)) for _, each in golds)}")
    print(f"{'':52}{'at 1':>8}{'at 10':>8}{'us/mention':>18}{'MB':>9}{'s ready':>9}")
    for gold, mentions in golds:
        arguments = [program, "eval", "--index", index, "--gold", gold, "--map", meta / "gold_map.tsv", "--json"]
        # GNU time, as a child of this process would be charged with its memory.
        done = subprocess.run(["/usr/bin/time", "-f", "%M %U %S", *arguments], check=True, capture_output=True)
        outcome = json.loads(done.stdout)
        memory, user, system = done.stderr.split()[-3:]
        linked = outcome["mentions"]
        report("mednerd-umls, 50 candidates", gold, outcome["accuracy_at_1"], outcome["recall_at_10"],
               1e6 * (float(user) + float(system)) / linked, outcome["microseconds_per_mention"], int(memory) / 1024, 0)
    for name, make in [("simstring, Jaccard 0.7", simstring), ("3-gram TF-IDF, exact", exact_neighbours),
                       *([("scispaCy (nmslib)", scispacy_generator(folder))] if folder else [])]:
        measured(name, make, names, concepts, golds)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("meta", type=Path)
    parser.add_argument("index")
    parser.add_argument("gold", type=Path, nargs="*")
    parser.add_argument("--scispacy", type=Path, help="folder of scispaCy's index")
    parser.add_argument("--build", action="store_true", help="build it there, and nothing else")
    parser.add_argument("--program", default="mednerd-umls")
    arguments = parser.parse_args()
    main(arguments.meta, arguments.index, arguments.gold, arguments.program, arguments.scispacy, arguments.build)
