"""Sets of classes that hold the true one as often as promised."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np

from labkit.core.draws import Draws
from labkit.core.record import Dims, Record
from labkit.core.refused import Refused

Method = Literal["lac", "aps", "raps"]
Cell = Annotated[np.ndarray, Dims("cell")]
Size = Annotated[np.ndarray, Dims("size")]
Stratum = Annotated[np.ndarray, Dims("stratum")]
Estimate = tuple[float, float, float]
CLASS = "true class"


def nonconformity(proba: np.ndarray, method: Method, chance: np.ndarray, penalty: float, spared: int) -> np.ndarray:
    """(n, classes) how little each class fits; ``chance``: (n,) numbers from 0 to 1.

    "lac": 1 less the probability of the class. "aps": the probability of all that is more probable and a share ``chance`` of
    its own. "raps": with ``penalty`` for each place below the first ``spared``.
    """
    if method == "lac":
        return np.asarray(1 - proba)
    order = np.argsort(-proba, axis=1, kind="stable")
    ranked = np.take_along_axis(proba, order, 1)
    found = np.cumsum(ranked, 1) - ranked + chance[:, None] * ranked
    if method == "raps":
        found += penalty * np.maximum(np.arange(1, proba.shape[1] + 1) - spared, 0)
    back = np.empty_like(found)
    np.put_along_axis(back, order, found, 1)
    return back


@dataclass(frozen=True, kw_only=True)
class Conformal(Record):
    """Split-conformal sets on rows that they were not calibrated on. Intervals are at 95 %; not measured is nan.

    *Coverage* is the share of rows whose set holds the true class; *size* the number of classes in the set.

    Attributes:
        method, penalty, spared: how little a class fits a row ("raps" alone uses the last two). level: the coverage promised.
        per_class: whether every class has a threshold of its own, and so the promise holds in each.
        classes, n, calibrated_on: of the rows that are stated on, and how many others set the thresholds. crossed: whether
            both are halves of the same rows.
        threshold, tie: (stratum,) a class is in the set where its score is less, or equal and the row's chance number no
            greater. calibration: rows behind each.
        coverage: with Wilson's interval. band_low, band_high: where 95 % of coverages lie, over calibrations and rows, if
            the rows are like those calibrated on (exact: beta-binomial). p_low, p_high: how often such rows are covered as
            seldom, and as often.
        size: the mean, with Student's interval. sizes, sized, covered_of_size: sizes of sets from 0 on, how many rows have
            each, and how many of these are covered.
        features, cell, feature_of, cell_n, covered: true classes and groups of people, the index of each one's feature, its
            rows and how many of them are covered; cell_size, cell_size_low, cell_size_high: mean size of set.
        cell_band_low, cell_band_high, cell_p, cell_p_holm: as for all rows, where these rows are like those calibrated on;
            Holm's correction is over all cells with ``least`` rows. ranked: which these are.
    """

    method: Method
    level: float
    penalty: float
    spared: int
    per_class: bool
    classes: tuple[str, ...]
    n: int
    calibrated_on: int
    crossed: bool
    least: int
    threshold: Stratum
    tie: Stratum
    calibration: Stratum
    coverage: Estimate
    band_low: float
    band_high: float
    p_low: float
    p_high: float
    size: Estimate
    sizes: Size
    sized: Size
    covered_of_size: Size
    features: tuple[str, ...]
    cell: Cell
    feature_of: Cell
    cell_n: Cell
    covered: Cell
    ranked: Cell
    cell_size: Cell
    cell_size_low: Cell
    cell_size_high: Cell
    cell_band_low: Cell
    cell_band_high: Cell
    cell_p: Cell
    cell_p_holm: Cell

    def sets(self, proba: np.ndarray, seed: int = 0) -> np.ndarray:
        """(n, classes) which classes are in the sets of new rows of the same model, from their (n, classes) probabilities.

        Raises:
            Refused: probabilities of other classes, or no probabilities.
        """
        given = np.asarray(proba, float)
        if given.ndim != 2 or given.shape[1] != len(self.classes) or not ((given >= 0) & (given <= 1)).all():
            asked, instead = "sets of classes", f"(n, {len(self.classes)}) probabilities from 0 to 1"
            raise Refused(asked, f"an array of shape {given.shape}", instead)
        chance = Draws(seed, len(given)).uniform().astype(float)
        scores = nonconformity(given, self.method, chance, self.penalty, self.spared)
        return inside(scores, chance[:, None], self.threshold, self.tie)


def inside(scores: np.ndarray, chance: np.ndarray, threshold: np.ndarray, tie: np.ndarray) -> np.ndarray:
    """Whether scores lie at or below thresholds; of equal ones the chance numbers decide."""
    return np.asarray((scores < threshold) | ((scores == threshold) & (chance <= tie)))
