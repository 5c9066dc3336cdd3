"""Skip-gram vectors over running text: of words (for the teacher) and of word pieces (to start the student from)."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer

from ..data import WORD

SEED = 20261121
_DIGIT = re.compile(r"\d")


def tokens(paragraph: str) -> str:
    """The words of a paragraph as the corpus of `skip_gram` has them: lower case, every digit a zero."""
    return _DIGIT.sub("0", " ".join(WORD.findall(paragraph)).lower())


def skip_gram(corpus: Path, *, dim: int, epochs: int, min_count: int, workers: int = 2) -> tuple[list[str], np.ndarray]:
    """Trains word2vec on `corpus` (one paragraph a line, tokens split by spaces); returns tokens and vectors.

    With more than one worker the result differs slightly from run to run, whatever the seed.
    """
    from gensim.models import Word2Vec  # slow to import, and needed here alone

    model = Word2Vec(
        corpus_file=str(corpus),
        vector_size=dim,
        epochs=epochs,
        min_count=min_count,
        workers=workers,
        sg=1,
        window=5,
        negative=5,
        sample=1e-4,
        seed=SEED,
    )
    return list(model.wv.index_to_key), model.wv.vectors.astype(np.float32)


def piece_table(tokenizer: Tokenizer, words: list[str], vectors: np.ndarray, *, std: float = 0.05) -> np.ndarray:
    """Starting vectors for every piece of `tokenizer`, (pieces, word dimensions), from word vectors.

    A piece that is a word takes the word's vector. The others are chosen so that the mean of a word's pieces is
    close to the word's vector (ridge regression, by conjugate gradients).
    """
    from scipy.sparse import csr_matrix

    row_of = {word: row for row, word in enumerate(words)}
    unit = vectors / vectors.std()
    pieces = tokenizer.get_vocab()
    columns: list[int] = []
    cells: list[float] = []
    starts = [0]
    for encoding in tokenizer.encode_batch(words, add_special_tokens=False):
        columns += encoding.ids
        cells += [1.0 / max(1, len(encoding.ids))] * len(encoding.ids)
        starts.append(len(columns))
    mean = csr_matrix((cells, columns, starts), shape=(len(words), len(pieces)), dtype=np.float32)

    table = np.zeros((len(pieces), unit.shape[1]), dtype=np.float32)
    free = np.ones((len(pieces), 1), dtype=np.float32)
    for piece, index in pieces.items():
        row = row_of.get(_DIGIT.sub("0", piece))
        if row is not None:
            table[index], free[index] = unit[row], 0.0
    residual = free * (mean.T @ (unit - mean @ table))
    direction, squared = residual.copy(), (residual**2).sum(axis=0)
    for _ in range(40):
        image = free * (mean.T @ (mean @ direction) + 0.05 * direction)
        step = squared / np.maximum((direction * image).sum(axis=0), 1e-12)
        table += step * direction
        residual -= step * image
        before, squared = squared, (residual**2).sum(axis=0)
        direction = residual + squared / np.maximum(before, 1e-12) * direction

    return (table * (std / table.std())).astype(np.float32)
