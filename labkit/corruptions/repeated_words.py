"""Words written twice."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import numpy as np

from labkit.core.draws import Draws
from labkit.corruptions._text import damaged
from labkit.data import spelling
from labkit.data.schema import Schema


def repeated_words(
    x: np.ndarray, severity: int, generator: Draws, schema: Schema, texts: Sequence[str]
) -> Annotated[np.ndarray, "text", "words"]:
    """A share of the words stands twice in a row: 0.1, 0.2, 0.3, 0.45, 0.6, as in stuttering or hasty editing.

    A text that grows beyond the length that the model reads loses its end.
    """
    return damaged(x, severity, generator, schema, texts, spelling.WORD, lambda word, draw: f"{word} {word}")
