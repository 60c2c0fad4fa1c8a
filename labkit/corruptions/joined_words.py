"""Spaces left out."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated

import numpy as np

from labkit.core.draws import Draws
from labkit.corruptions._text import damaged
from labkit.data.schema import Schema

_BETWEEN = re.compile(r"(?<=\w)\s+(?=\w)")


def joined_words(
    x: np.ndarray, severity: int, generator: Draws, schema: Schema, texts: Sequence[str]
) -> Annotated[np.ndarray, "text", "spelling"]:
    """A share of the spaces between two words is missing: 0.1, 0.2, 0.3, 0.45, 0.6.

    Two words in one are (unknown) to a vocabulary of words; one of word pieces can take them apart again.
    """
    return damaged(x, severity, generator, schema, texts, _BETWEEN, lambda space, draw: "")
