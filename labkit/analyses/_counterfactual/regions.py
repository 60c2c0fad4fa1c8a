"""Ways to change a picture, a sound or a series: regions that take another's values, or are smoothed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from labkit.analyses._counterfactual.search import Moves, Question
from labkit.core.draws import Draws

FILLS = ("the nearest training example of the class", "the smoothed input")
# Regions along a side: squares of an image, stretches of a sound or series.
SQUARES, STRETCHES = 7, 16
NEAREST_OF = 2000  # training examples looked through for the nearest


@dataclass(eq=False)
class Regions:
    """Inputs of numbers that are to be changed.

    Attributes:
        x: (n, ...). region: (...) the number of the region that each entry belongs to.
        fills: (n, fills, ...) what a region may take; nan where there is none.
        spread: the standard deviation of training values. noise: that of small noise, as a share of it.
    """

    x: np.ndarray
    region: np.ndarray
    fills: np.ndarray
    bounds: tuple[float, float] | None
    spread: float
    noise: float
    noun: str = "regions"
    names: tuple[str, ...] = ()

    @property
    def noise_of(self) -> str:
        return f"normal noise of {self.noise:g} of the values' standard deviation"

    @property
    def cost_of(self) -> str:
        return "the mean absolute change in standard deviations of the values"

    def moves(self) -> Moves:
        n, units, kinds = len(self.x), int(self.region.max()) + 1, self.fills.shape[1]
        moved = (
            np.abs(self.fills - self.x[:, None]).reshape(n * kinds, self.region.size).astype(np.float64) / self.spread
        )
        member = np.eye(units)[self.region.ravel()]
        cost = (moved @ member).reshape(n, kinds, units).swapaxes(1, 2) / self.region.size
        allowed = np.isfinite(cost) & (cost > 0)
        return Moves(np.where(allowed, cost, 0.0), allowed, self.realise, np.full(n, units), complete=np.zeros(n, bool))

    def realise(self, rows: np.ndarray, state: np.ndarray) -> np.ndarray:
        made, choice = self.x[rows], state[:, self.region]
        for kind in range(self.fills.shape[1]):
            made = np.where(choice == kind + 1, self.fills[rows, kind], made)
        return made

    def finish(
        self, ask: Question, rows: np.ndarray, state: np.ndarray, lead: float
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The changed inputs, which regions changed, and the cost."""
        made = self.realise(rows, state)
        apart = np.abs(made.astype(np.float64) - self.x[rows])
        return made, state > 0, apart.mean(axis=tuple(range(1, apart.ndim))) / self.spread

    def breaches(self, before: np.ndarray, after: np.ndarray) -> list[str]:
        """What a changed input breaks: values that are no numbers or outside the bounds."""
        low, high = self.bounds or (-np.inf, np.inf)
        if not np.isfinite(after).all():
            return ["a value is no number"]
        return [] if low - 1e-6 <= after.min() and after.max() <= high + 1e-6 else ["a value is outside the bounds"]

    def jitter(self, made: np.ndarray, draws: Draws) -> np.ndarray:
        noisy = made + (self.noise * self.spread * draws.normal(*made.shape[1:])).astype(made.dtype)
        return noisy if self.bounds is None else noisy.clip(*self.bounds)

    def apart(self, some: np.ndarray, others: np.ndarray) -> np.ndarray:
        """(m, k) root mean square differences in standard deviations of the values."""
        a, b = (rows.reshape(len(rows), -1).astype(np.float64) for rows in (some, others))
        squared = (a**2).sum(1)[:, None] + (b**2).sum(1) - 2 * a @ b.T
        return np.sqrt(np.maximum(squared, 0) / a.shape[1]) / self.spread


def squares(shape: tuple[int, ...]) -> np.ndarray:
    """(*shape) numbers of regions: squares over all channels of an image, else stretches of the last axis."""
    if len(shape) == 3:
        side = max(1, round(min(shape[1:]) / SQUARES))
        rows, columns = (np.arange(size) // side for size in shape[1:])
        return np.broadcast_to(rows[:, None] * (columns[-1] + 1) + columns, shape).copy()
    length = max(1, -(-shape[-1] // STRETCHES))
    return np.broadcast_to(np.arange(shape[-1]) // length, shape).copy()


def fills(x: np.ndarray, target: np.ndarray, known: np.ndarray, answers: np.ndarray, region: np.ndarray) -> np.ndarray:
    """(n, 2, ...) the nearest known example that the model gives the target, and the input smoothed over a region.

    Args:
        known: (m, ...) training examples. answers: (m,) the model's classes of them.
    """
    from scipy.ndimage import gaussian_filter

    nearest = np.full(x.shape, np.nan, x.dtype)
    for c in np.unique(target):
        rows, others = target == c, known[answers == c]
        if len(others):
            a, b = (part.reshape(len(part), -1).astype(np.float64) for part in (x[rows], others))
            squared = (b**2).sum(1) - 2 * a @ b.T
            nearest[rows] = others[squared.argmin(1)]
    axes = 2 if x.ndim == 4 else 1
    size = (region.size / (region.max() + 1) / (x.shape[1] if x.ndim > 2 else 1)) ** (1 / axes)
    smooth = gaussian_filter(x, sigma=[0.0] * (x.ndim - axes) + [max(1.0, size)] * axes)
    return np.stack([nearest, smooth.astype(x.dtype)], 1)
