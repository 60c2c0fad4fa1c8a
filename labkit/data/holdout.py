"""Which rows are held out for testing, when the data do not say."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence

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
    held = _parts(keys, y, [share], seed) == 0
    if not held.any() or (held.all() and share < 1):
        raise _too_few(f"a share of {share:g} held out for testing", y)
    return held


def in_fold(keys: Iterable[bytes], y: np.ndarray, fold: int, folds: int, seed: int = 0) -> np.ndarray:
    """A mask of one of so many folds, for cross-validation: every row is in exactly one, and equal keys are in the same.

    Fold 0 is what ``holdout`` holds out as a share of 1 / folds.

    Raises:
        Refused: no such fold, or too few rows for each fold to have one.
    """
    asked = f"fold {fold} of {folds}"
    if not 0 <= fold < folds or folds < 2:
        raise Refused(asked, "no such fold", f"a fold from 0 to {max(folds, 2) - 1}, of two or more")
    part = _parts(keys, y, [(i + 1) / folds for i in range(folds - 1)], seed)
    if len(np.unique(part)) < folds:
        raise _too_few(asked, y)
    return part == fold


def _parts(keys: Iterable[bytes], y: np.ndarray, shares: Sequence[float], seed: int) -> np.ndarray:
    """(n,) the part of each row, cut at the rising ``shares`` of each class."""
    salt = seed.to_bytes(8, "little", signed=True)
    ranks = np.array([int.from_bytes(hashlib.sha256(salt + k).digest()[:8], "big") for k in keys], np.uint64)
    _, first, where = np.unique(ranks, return_index=True, return_inverse=True)
    kind = y[first][where]
    part = np.zeros(len(y), np.int64)
    for c in np.unique(kind):
        own = ranks[kind == c]
        # A bound lies between two keys, so rows of one key fall together.
        places = [place for place in (round(share * len(own)) for share in shares) if place < len(own)]
        part[kind == c] = np.searchsorted(np.sort(own)[places], own, side="right")
    return part


def _too_few(asked: str, y: np.ndarray) -> Refused:
    given = f"{len(y)} rows of {len(np.unique(y))} classes, in which rows that are equal stay together"
    return Refused(asked, given, "more rows, or larger parts")
