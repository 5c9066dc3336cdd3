#!/usr/bin/env python3
"""What notes say of their diseases, by mednerd's rules and by medspaCy's ConText with its own rules, beside readings.

    CARGO_TARGET_DIR=$(dirname "$(make -s bin-dir)") cargo build --release --locked --workspace --examples
    python tests/bench/assertions.py [--visits ../shared/data/notes]

Needs medspacy==1.3.1. The readings are those of tests/gold: our English notes, or the visit notes, whose texts are in the folder that
`--visits` names. Both are asked for mentions that are given, one by one.
"""

import argparse
import logging
import sys
from collections import Counter
from pathlib import Path

import binaries
import medspacy
from loguru import logger

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "gold"))
import assertions as gold_assertions  # noqa: E402


def of_medspacy(pipeline, text, mentions):
    """What ConText says of each mention, alone in its text."""
    context = pipeline.get_pipe("medspacy_context")
    document = pipeline.make_doc(text)
    for name, component in pipeline.pipeline:
        if name != "medspacy_context":
            document = component(document)
    for begin, end, _ in mentions:
        document.ents = [document.char_span(begin, end, label="Disease", alignment_mode="expand")]
        said = context(document).ents[0]._
        yield {kind for kind in gold_assertions.KINDS.values() if getattr(said, f"is_{kind}")}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--visits", type=Path)
    arguments = parser.parse_args()
    logging.disable(logging.WARNING)
    logger.remove()
    program = binaries.EXAMPLES / "assertions"
    pipeline = medspacy.load(enable=["medspacy_pyrush", "medspacy_context"])
    notes = gold_assertions.of_visits(arguments.visits) if arguments.visits else gold_assertions.of_wards("all")
    counts = Counter()
    for note, read in notes:
        if note["language"] != "en":
            continue
        mentions = [note["mentions"][number] for number in read]
        answers = {
            "mednerd": [set(one) for one in gold_assertions.answers(program, note["text"], mentions)],
            "medspaCy": list(of_medspacy(pipeline, note["text"], mentions)),
        }
        for whose, said in answers.items():
            for expected, own in zip(read.values(), said, strict=True):
                for kind in gold_assertions.KINDS.values():
                    counts[whose, kind, kind in expected, kind in own] += 1
    print("| | whose | read | precision | recall | F1 |\n|---|---|---|---|---|---|")
    for kind in gold_assertions.KINDS.values():
        for whose in ("mednerd", "medspaCy"):
            both, missing, extra = (counts[whose, kind, *of] for of in ((True, True), (True, False), (False, True)))
            precision, recall = both / max(1, both + extra), both / max(1, both + missing)
            f1 = 2 * both / max(1, 2 * both + missing + extra)
            print(f"| {kind} | {whose} | {both + missing} | {precision:.3f} | {recall:.3f} | {f1:.3f} |")


if __name__ == "__main__":
    main()
