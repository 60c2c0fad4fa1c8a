"""Words left out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import numpy as np

from labkit.core.draws import Draws
from labkit.corruptions._text import damaged
from labkit.data import spelling
from labkit.data.schema import Schema


def dropped_words(
    x: np.ndarray, severity: int, generator: Draws, schema: Schema, texts: Sequence[str]
) -> Annotated[np.ndarray, "text", "words"]:
    """A share of the words is missing: 0.1, 0.2, 0.3, 0.45, 0.6, whatever they are; at least one is left.

    A word that carries the label alone may be among them: at high severities not even a reader can always tell.

    Source: random deletion of Wei and Zou, 2019, arXiv 1901.11196.
    """
    return damaged(x, severity, generator, schema, texts, spelling.WORD, lambda word, draw: "", leave=1)
