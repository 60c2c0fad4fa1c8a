"""How many people a wanted precision takes, and what a comparison of two groups could find.

Power is the chance that a two-sided test at ``1 - level`` finds a difference that is there.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from labkit.core.intervals import clopper_pearson
from labkit.core.refused import Refused

LEVEL, POWER = 0.95, 0.8


def detectable_difference(
    share: Any, n: Any, other_n: Any, *, upward: bool = True, level: float = LEVEL, power: float = POWER
) -> np.ndarray:
    """The least difference between two proportions that a test of n and ``other_n`` people finds.

    Args:
        share: the proportion in the other group, in [0, 1].
        upward: whether the first group's is larger than that, or smaller.

    Returns:
        In [0, 1], element by element; nan where no difference that is possible would be found.

    The normal approximation with the pooled variance under equality, corrected for continuity as befits an exact test
    (Fleiss, 1981, section 3.2), by bisection.
    """
    share, n, other_n = np.broadcast_arrays(np.asarray(share, float), np.asarray(n, float), np.asarray(other_n, float))
    room = 1 - share if upward else share
    low, high = np.zeros(share.shape), room.copy()
    for _ in range(50):
        middle = (low + high) / 2
        found = _surplus(share, middle if upward else -middle, n, other_n, level, power) >= 0
        low, high = np.where(found, low, middle), np.where(found, middle, high)
    possible = _surplus(share, room if upward else -room, n, other_n, level, power) >= 0
    return np.where(possible & (n > 0) & (other_n > 0), high, np.nan)


def people_for_difference(share: Any, difference: Any, *, level: float = LEVEL, power: float = POWER) -> np.ndarray:
    """How many people in each of two equal groups a test takes to find a difference of proportions.

    Args:
        share: the proportion in one of them. difference: of the other from it, of either sign.

    Returns:
        Whole numbers as floats, element by element; nan where the other proportion would leave [0, 1].

    The closed form of ``detectable_difference`` for equal groups (Fleiss, 1981, formulas 3.14 and 3.15).
    """
    share, difference = np.broadcast_arrays(np.asarray(share, float), np.asarray(difference, float))
    other = share + difference
    middle = share + difference / 2
    with np.errstate(divide="ignore", invalid="ignore"):
        alike = normal(0.5 + level / 2) * np.sqrt(2 * middle * (1 - middle))
        apart = normal(power) * np.sqrt(share * (1 - share) + other * (1 - other))
        needed = (alike + apart) ** 2 / difference**2
        needed = np.ceil(needed / 4 * (1 + np.sqrt(1 + 4 / (needed * np.abs(difference)))) ** 2)
    return np.where((other >= 0) & (other <= 1) & (difference != 0), needed, np.nan)


def rows_for_width(share: float, width: float, level: float = 0.95) -> int:
    """The fewest rows whose exact interval (``clopper_pearson``) is at most so wide, where that share of them hits."""
    if not 0 <= share <= 1 or not 0 < width < 1:
        given = f"a share of {share:g} and a width of {width:g}"
        raise Refused("the rows that an interval needs", given, "a share from 0 to 1 and a width between them")
    low, high = 1, 1
    while _exact_width(share, high, level) > width:
        low, high = high, 2 * high
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if _exact_width(share, middle, level) <= width else (middle + 1, high)
    return high


def _exact_width(share: float, n: int, level: float) -> float:
    low, high = clopper_pearson(share * n, n, level)
    return float(high - low)


def _surplus(
    share: np.ndarray, difference: np.ndarray, n: np.ndarray, other_n: np.ndarray, level: float, power: float
) -> np.ndarray:
    """By how much a difference exceeds what a test of that power takes."""
    mine = np.clip(share + difference, 0, 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        middle = (mine * n + share * other_n) / (n + other_n)
        alike = np.sqrt(middle * (1 - middle) * (1 / n + 1 / other_n))
        apart = np.sqrt(mine * (1 - mine) / n + share * (1 - share) / other_n)
        steps = (1 / n + 1 / other_n) / 2
        return np.abs(difference) - steps - normal(0.5 + level / 2) * alike - normal(power) * apart


def normal(share: float) -> float:
    """The deviate below which that share of a standard normal lies."""
    from scipy.special import ndtri

    return float(ndtri(share))
