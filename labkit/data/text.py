"""Text as word numbers: 0 is padding, 1 a word that the vocabulary lacks."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache

import numpy as np

from labkit.core.refused import Refused
from labkit.data import wordpiece
from labkit.data.schema import Schema

PADDING, UNKNOWN = "(padding)", "(unknown)"
MARK, WHOLE, FURTHER = 0, 1, 2  # kinds of words in a vocabulary
_WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)*|[!?]")


def words(text: str) -> list[str]:
    """The words of a text in lower case, with "!" and "?" as words of their own; "isn't" is one word."""
    return _WORD.findall(text.lower().replace("\u2019", "'"))


def vocabulary(texts: Iterable[str], least: int = 2) -> tuple[str, ...]:
    """The words that occur at least ``least`` times, most frequent first, after padding and unknown."""
    counts = Counter(w for t in texts for w in words(t))
    kept = sorted((w for w, n in counts.items() if n >= least), key=lambda w: (-counts[w], w))
    return (PADDING, UNKNOWN, *kept)


def encode_texts(texts: Sequence[str], schema: Schema) -> np.ndarray:
    """(n, length) int64 of word numbers, padded with 0 on the right; words beyond the length are cut. A vocabulary that
    begins with [PAD] is one of word pieces.

    Args:
        texts: one string an example.
        schema: of a text data set; it has the vocabulary and the length.

    Raises:
        Refused: a schema without vocabulary, one string instead of several, or a text without any word.
    """
    if schema.modality != "text":
        raise Refused("texts as word numbers", f"the schema of {schema.modality} data", "the schema of a text data set")
    if isinstance(texts, str) or not all(isinstance(t, str) for t in texts):
        raise Refused("texts as word numbers", f"a {type(texts).__name__}", 'a list of strings: ["a fine film"]')
    numbers = _numbering(tuple(schema.vocabulary))
    x = np.zeros((len(texts), schema.shape[0]), np.int64)
    for i, text in enumerate(texts):
        found = numbers(text)[: schema.shape[0]]
        if not found:
            raise Refused("texts as word numbers", f"text {i} has no word: {text[:40]!r}", "texts of at least one word")
        x[i, : len(found)] = found
    return x


def kind(word: str) -> int:
    """0 for a mark, such as padding, (unknown) or [SEP]; 1 for a word or its first piece; 2 for a piece that goes on."""
    if word[:1] + word[-1:] in ("()", "[]") and len(word) > 2:
        return MARK
    return FURTHER if word.startswith("##") and len(word) > 2 else WHOLE


@lru_cache(maxsize=4)  # attacks read texts over and over
def _numbering(vocabulary: tuple[str, ...]) -> Callable[[str], list[int]]:
    if vocabulary[0] == wordpiece.PADDING:
        return wordpiece.numbering(vocabulary)
    number = {w: i for i, w in enumerate(vocabulary)}
    return lambda text: [number.get(w, 1) for w in words(text)]
