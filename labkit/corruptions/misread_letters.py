"""Letters taken for others that look alike."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated

import numpy as np

from labkit.core.draws import Draws
from labkit.corruptions._text import damaged, one_of
from labkit.data.schema import Schema

_ALIKE = {
    "rn": "m", "m": "rn", "cl": "d", "d": "cl", "vv": "w", "w": "vv", "li": "h", "h": "li", "e": "c", "c": "e",
    "o": "0", "O": "0", "l": "1", "i": "l", "I": "l", "u": "v", "n": "ri", "s": "5", "S": "5", "B": "8", "g": "9", "t": "f",
}  # fmt: skip
_LETTERS = re.compile(r"[^\W\d_]+")


def misread_letters(
    x: np.ndarray, severity: int, generator: Draws, schema: Schema, texts: Sequence[str]
) -> Annotated[np.ndarray, "text", "spelling"]:
    """One letter, or pair of letters, in a share of the words is taken for one that looks alike, as when a printed page is
    read by a machine: "rn" for "m", "1" for "l". The share is 0.1, 0.2, 0.3, 0.45, 0.6 of the words of any length.
    """
    return damaged(
        x, severity, generator, schema, texts, _LETTERS, lambda word, draw: one_of(_misread(word), word, draw)
    )


def _misread(word: str) -> list[str]:
    """Every way to take one place of the word for what looks alike."""
    found = (
        (i, right, wrong) for right, wrong in _ALIKE.items() for i in range(len(word)) if word.startswith(right, i)
    )
    return [word[:i] + wrong + word[i + len(right) :] for i, right, wrong in found]
