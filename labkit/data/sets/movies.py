"""Movie snippets: is a sentence from a film review positive?"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np

from labkit.data import embedded
from labkit.data.holdout import holdout
from labkit.data.schema import Schema
from labkit.data.split import Dataset, Split
from labkit.data.text import encode_texts, vocabulary, words

_LENGTH = 48


def movies() -> Dataset:
    """10,568 sentences rated by 20 people each, four fifths to train on. Class 1 is a mean rating above zero.

    Mean ratings of exactly zero are dropped. Sentences with the same words are on one side of the split. The vocabulary
    is every word that occurs twice in the training part; x has 48 word numbers, 0 for padding and 1 for unknown.

    Source: C.J. Hutto and E. Gilbert, 2014, VADER, ICWSM (MIT); sentences from Rotten Tomatoes by B. Pang and L. Lee,
    2005, arXiv cs/0506075.
    """
    return rated("movies", _LENGTH, vocabulary)


def rated(name: str, length: int, vocabulary: Callable[[Iterable[str]], tuple[str, ...]]) -> Dataset:
    """The sentences as ``length`` numbers into the vocabulary that a function takes from those of the training part."""
    frame = embedded.table("movies")
    frame = frame[frame["sentiment"] != 0]
    texts = np.array([str(t) for t in frame["text"]], dtype=object)
    y = (frame["sentiment"] > 0).to_numpy().astype(np.int64)
    held_out = holdout((" ".join(words(t)).encode() for t in texts), y, 0.2)
    schema = Schema("text", "whether the sentence is positive", (length,), vocabulary=vocabulary(texts[~held_out]))

    def part(rows: np.ndarray, which: str) -> Split:
        kept = tuple(texts[rows])
        x = encode_texts(kept, schema)
        return Split(x, y[rows], schema, ("negative", "positive"), f"{name}/{which}", texts=kept)

    return Dataset(name, part(~held_out, "train"), part(held_out, "test"), embedded.card("movies"))
