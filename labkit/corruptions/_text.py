"""What the corruptions of texts share: a share of the words that grows with severity, and reading the result."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import numpy as np

from labkit.core.draws import Draws
from labkit.core.refused import Refused
from labkit.corruptions._severity import at
from labkit.data import spelling
from labkit.data.schema import Schema
from labkit.data.text import encode_texts

SHARES = (0.1, 0.2, 0.3, 0.45, 0.6)
Change = Callable[[str, float], str]


def damaged(
    x: np.ndarray,
    severity: int,
    generator: Draws,
    schema: Schema,
    texts: Sequence[str],
    pattern: re.Pattern[str],
    change: Change,
    *,
    leave: int = 0,
) -> np.ndarray:
    """(n, length) word numbers of the texts after a share of what matches the pattern was changed, rounded up.

    A severity changes what the one below it does, and more: which comes next is drawn once for each text.

    Args:
        x: (n, length) word numbers of the undamaged texts; says how many and of which type.
        change: (what matched, a number drawn from [0, 1)) -> what stands there instead.
        leave: so many matches of a text stay as they are.

    Raises:
        Refused: not one text a row.
    """
    if len(texts) != len(x):
        given = f"{len(texts)} texts for {len(x)} rows"
        raise Refused("damaged texts", given, "a Split with the raw texts of its rows")
    share, made = at(severity, SHARES), []
    parts = [spelling.cut(text, pattern) for text in texts]
    most = max((len(p) // 2 for p in parts), default=0)
    turns, draws = generator.bits(most), generator.spawn(1).uniform(most)
    for some, turn, draw in zip(parts, turns, draws):
        count = len(some) // 2
        hit = min(int(np.ceil(share * count)), count - leave)
        for k in turn[:count].argsort()[: max(0, hit)]:
            some[2 * k + 1] = change(some[2 * k + 1], float(draw[k]))
        made.append("".join(some))
    return encode_texts(made, schema).astype(x.dtype)


def one_of(ways: Sequence[str], word: str, draw: float) -> str:
    """One of several, or the word where there is none."""
    return ways[int(draw * len(ways))] if ways else word
