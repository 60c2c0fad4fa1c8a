"""Which rows are held out for testing, when the data do not say."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import numpy as np

from labkit.core.refused import Refused


def holdout(keys: Iterable[bytes], y: np.ndarray, share: float, seed: int = 0) -> np.ndarray:
    """A mask of about ``share`` of each class, the same on every machine; equal keys are never on both sides.

    Rows are ranked by a hash of (seed, key), so the choice does not depend on the order of the rows, and what is
    known twice cannot be trained on and tested on.

    Args:
        keys: for each row the bytes that identify its input.
        y: (n,) class indices. A key with several labels counts to the class of its first row.
        share: above 0; 1 holds out everything.

    Raises:
        Refused: too few rows for both sides to have one.
    """
    salt = seed.to_bytes(8, "little", signed=True)
    ranks = np.array([int.from_bytes(hashlib.sha256(salt + k).digest()[:8], "big") for k in keys], np.uint64)
    _, first, where = np.unique(ranks, return_index=True, return_inverse=True)
    kind = y[first][where]
    held = np.zeros(len(y), bool)
    for c in np.unique(kind):
        rows = np.flatnonzero(kind == c)
        # The bound lies between two keys, so rows of one key fall together.
        bound = np.sort(ranks[rows])[round(share * len(rows)) :][:1]
        held[rows] = ranks[rows] < bound if len(bound) else True
    if not held.any() or (held.all() and share < 1):
        given = f"{len(y)} rows, {len(first)} of them different, of {len(np.unique(kind))} classes"
        raise Refused(f"a share of {share:g} held out for testing", given, "more rows, or another share")
    return held
