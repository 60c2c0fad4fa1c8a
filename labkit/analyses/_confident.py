"""Confident learning: which labels a learner that has not seen them takes for others, and errors planted to test it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from labkit.core import resampling
from labkit.core.intervals import clopper_pearson

DRAWS = 1000
# Floors that are tried, and the 95 % point of chi-square with one degree of freedom.
GRID = np.linspace(0, 0.6, 121)
CHI_SQUARE = 3.841458820694124
Ends = tuple[float, float, float]


@dataclass(frozen=True, eq=False)
class Confident:
    """What labels and probabilities say together.

    Attributes:
        thresholds: (classes,) the mean probability of a class among the rows labelled so; infinite without any.
        cells: (classes, classes + 1) rows by the label given and the class that they confidently are, the last for none.
        suggested: (n,) that class, or the most probable one but the label. named: (n,) whether it is another than the label.
        margin: (n,) probability of the label less that of the best other class.
    """

    thresholds: np.ndarray
    cells: np.ndarray
    suggested: np.ndarray
    named: np.ndarray
    margin: np.ndarray

    @property
    def rate(self) -> float:
        """The estimated share of wrong labels."""
        return float(rates(self.cells[None])[0])

    def interval(self, generator: np.random.Generator) -> Ends:
        """The rate with its bootstrap interval over rows, from counts; its upper end is no lower than that of no row at all."""
        drawn = resampling.bootstrap_counts(self.cells.ravel(), DRAWS, generator).reshape(-1, *self.cells.shape)
        low, high = resampling.bias_corrected(rates(drawn), self.rate)
        return self.rate, max(0.0, low), min(1.0, max(high, exact(0, int(self.cells.sum()))[2]))


def confident(proba: np.ndarray, y: np.ndarray) -> Confident:
    """The confident joint of (n,) labels and (n, classes) probabilities by a learner that has not seen them (Northcutt,
    Jiang and Chuang, 2021, doi 10.1613/jair.1.12125, equations 1 and 2)."""
    n, classes = proba.shape
    count = np.bincount(y, minlength=classes)
    own = proba[np.arange(n), y]
    with np.errstate(invalid="ignore", divide="ignore"):
        thresholds = np.where(count > 0, np.bincount(y, own, classes) / count, np.inf)
    likely = np.where(proba >= thresholds - 1e-12, proba, -1.0)
    place = np.where(likely.max(1) >= 0, likely.argmax(1), classes)
    others = proba.copy()
    others[np.arange(n), y] = -1.0
    named = (place != y) & (place < classes)
    cells = np.bincount(y * (classes + 1) + place, minlength=classes * (classes + 1)).reshape(classes, -1)
    return Confident(thresholds, cells, np.where(named, place, others.argmax(1)), named, own - others.max(1))


def rates(cells: np.ndarray) -> np.ndarray:
    """(replicates,) share of wrong labels from (replicates, classes, classes + 1) counts: the joint, each row brought to
    the number of its labels (equation 3), outside the diagonal."""
    joint, labels = cells[..., :-1].astype(float), cells.sum(-1)
    sums = joint.sum(-1)
    right = np.divide(np.diagonal(joint, axis1=-2, axis2=-1), sums, out=np.ones_like(sums), where=sums > 0)
    return np.asarray(1 - (right * labels).sum(-1) / labels.sum(-1))


def planted(
    found: Confident, y: np.ndarray, share: float, generator: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Labels of which a share is made wrong among those not suspected, as often from one class to another as the joint
    estimates; and the rows."""
    classes = len(found.cells)
    rows = generator.permutation(np.flatnonzero(~found.named))[: max(1, round(share * len(y)))]
    # one count more of each direction, so that none is impossible
    ways = found.cells[:, :-1].T + 1.0 / classes
    np.fill_diagonal(ways, 0.0)
    ways[:, found.cells.sum(1) == 0] = 0.0
    ends = np.cumsum(ways / ways.sum(1, keepdims=True), axis=1)
    wrong = y.copy()
    wrong[rows] = (generator.random(len(rows))[:, None] > ends[y[rows]] - 1e-12).sum(1).clip(max=classes - 1)
    return wrong, rows


def exact(hits: int, n: int) -> Ends:
    """A share with its exact interval; nan out of nothing."""
    low, high = clopper_pearson(hits, n)
    return (hits / n if n else float("nan")), float(low), float(high)


def floor(proba: np.ndarray, y: np.ndarray) -> Ends:
    """The share of labels that differ from the answer however sure the learner is, and its 95 % profile interval.

    Hard examples get rarer as a learner gets surer, wrong labels do not. The chance of a difference is taken as f + (1 -
    f) s(a - b u), with u the log odds of the answer and s logistic: f is what psychometrics calls the lapse rate (Wichmann
    and Hill, 2001, doi 10.3758/BF03194544). Whatever the learner's own scale, a and b allow for it.
    """
    from scipy.special import logit

    sure = np.clip(proba.max(1), 1e-6, 1 - 1e-6)
    u, differs = logit(sure), proba.argmax(1) != y
    u = (u - u.mean()) / (u.std() or 1.0)
    start, found = np.array([-1.0, 1.0]), np.empty(len(GRID))
    for i, f in enumerate(GRID):
        found[i], start = _fitted(u, differs, f, start)
    inside = GRID[2 * (found.max() - found) <= CHI_SQUARE]
    return float(GRID[found.argmax()]), float(inside.min()), float(inside.max())


def _fitted(u: np.ndarray, differs: np.ndarray, f: float, start: np.ndarray) -> tuple[float, np.ndarray]:
    """The greatest log likelihood for one floor, and where it is; a surer answer is never taken to differ more often."""
    from scipy.optimize import minimize
    from scipy.special import expit

    def loss(at: np.ndarray) -> tuple[float, np.ndarray]:
        s = expit(at[0] - at[1] * u)
        chance = np.clip(f + (1 - f) * s, 1e-9, 1 - 1e-9)
        slope = (1 - f) * s * (1 - s) * np.where(differs, 1 / chance, -1 / (1 - chance))
        value = np.where(differs, np.log(chance), np.log1p(-chance)).sum()
        return -float(value), -np.array([slope.sum(), -(slope * u).sum()])

    done = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=[(-20, 20), (0, 20)])
    return -float(done.fun), np.asarray(done.x)
