"""Letters hit on a neighbouring key."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import numpy as np

from labkit.core.draws import Draws
from labkit.corruptions._text import damaged, one_of
from labkit.data import spelling
from labkit.data.schema import Schema


def typos(
    x: np.ndarray, severity: int, generator: Draws, schema: Schema, texts: Sequence[str]
) -> Annotated[np.ndarray, "text", "spelling"]:
    """A share of the words of four letters or more, 0.1, 0.2, 0.3, 0.45 or 0.6, has one
    inner letter hit on a neighbouring key (QWERTY).

    The text is then read anew: a word that the vocabulary lacks becomes (unknown), or several pieces.

    Source: keyboard typos of Belinkov and Bisk, 2018, arXiv 1711.02173.
    """

    def slip(word: str, draw: float) -> str:
        return one_of(spelling.replaced(word), word, draw)

    return damaged(x, severity, generator, schema, texts, spelling.LONG, slip)
