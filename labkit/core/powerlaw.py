"""Power laws of an error over a size, with a floor: fitted to many curves at once, and read backwards.

E(n) = a n^-b + c (Hestness et al., 2017, arXiv 1712.00409; Rosenfeld et al., 2020, arXiv 1909.12673). How well such a law
describes the points that it was fitted to says little: it is judged by points that it was not (Alabdulmohsin, Neyshabur
and Zhai, 2022, arXiv 2209.06640).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

# Exponents that are looked among; measured ones lie between about 0.07 and 1.
LEAST, MOST, STEPS = 0.01, 3.0, 60


@dataclass(frozen=True)
class PowerLaw:
    """E(n) = a n^-b + c, or an array of such laws.

    Attributes:
        a, b, c: (...,) scale, exponent and floor: a and c at least 0, b above 0.
    """

    a: Any
    b: Any
    c: Any

    def __call__(self, n: Any) -> np.ndarray:
        """(..., sizes) the error at each of (sizes,) sizes."""
        n = np.asarray(n, float)
        a, b, c = (np.asarray(v, float)[..., None] for v in (self.a, self.b, self.c))
        return np.asarray(a * n**-b + c)

    def size(self, error: float) -> np.ndarray:
        """(...,) the size from which on the error is at most this; infinite where the floor lies above it."""
        a, b, c = (np.asarray(v, float) for v in (self.a, self.b, self.c))
        above = error - c
        with np.errstate(divide="ignore", over="ignore"):
            found = (a / np.where(above > 0, above, np.nan)) ** (1 / b)
        return np.where(above > 0, found, np.inf)


def fit(n: Any, error: np.ndarray) -> PowerLaw:
    """The law of each of (..., points) errors at (points,) sizes, by least squares weighted as binomial errors vary.

    For a given exponent the rest is linear, so that exponents are searched on a grid, refined twice, and a and c solved
    for in closed form (variable projection: Golub and Pereyra, 1973, doi 10.1137/0710036). Three points or more.
    """
    n, error = np.asarray(n, float), np.asarray(error, float)
    middle = np.exp(np.log(n).mean())
    level = np.clip(error.reshape(-1, len(n)).mean(0), 1e-6, 0.999)
    weight = 1 / (level * (1 - level))
    b = np.broadcast_to(np.geomspace(LEAST, MOST, STEPS), (*error.shape[:-1], STEPS))
    for _ in range(3):
        a, c, loss = _solved((n / middle) ** -b[..., None], error[..., None, :], weight)
        best = loss.argmin(-1)[..., None]
        found = PowerLaw(*(np.take_along_axis(v, best, -1)[..., 0] for v in (a, b, c)))
        low, high = (np.take_along_axis(b, np.clip(best + side, 0, STEPS - 1), -1) for side in (-1, 1))
        b = low * (high / low) ** np.linspace(0, 1, STEPS)
    return PowerLaw(found.a * middle**found.b, found.b, found.c)


def _solved(shape: np.ndarray, error: np.ndarray, weight: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """a and c, neither below 0, for each (..., points) falling shape, and the weighted square that is left."""
    s, x, y = weight.sum(), (weight * shape).sum(-1), (weight * error).sum(-1)
    xx, xy = (weight * shape**2).sum(-1), (weight * shape * error).sum(-1)
    a = np.maximum((s * xy - x * y) / (s * xx - x**2), 0)
    c = (y - a * x) / s
    under = c < 0
    a, c = np.where(under, np.maximum(xy / xx, 0), a), np.where(under, 0, c)
    left = error - a[..., None] * shape - c[..., None]
    return a, c, (weight * left**2).sum(-1)
