"""What recalibration makes of a model's probabilities, on rows that it was not fitted on."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated

import numpy as np

from labkit.core.record import Dims, Record, check_dims, freeze
from labkit.core.refused import Refused, unknown
from labkit.records.predict import Predictions

PerMethod = Annotated[np.ndarray, Dims("method")]
Curves = Annotated[np.ndarray, Dims("method", "point")]
Band = Annotated[np.ndarray, Dims("point")]
TINY = float(np.finfo(float).eps)


@dataclass(frozen=True, kw_only=True)
class Map:
    """From probabilities to probabilities.

    Either the softmax of ``weight @ log(proba) + bias``; or, where there are knots, for each class a monotone line through
    its (knot, height), then divided by their sum (of two classes the second alone has a line).

    Attributes:
        weight, bias: temperature T is 1/T on the diagonal.
        knot, height, knot_of: probability, what becomes of it, and the class that the knot belongs to.
    """

    weight: Annotated[np.ndarray, Dims("class", "input")]
    bias: Annotated[np.ndarray, Dims("class")]
    knot: Annotated[np.ndarray, Dims("knot")]
    height: Annotated[np.ndarray, Dims("knot")]
    knot_of: Annotated[np.ndarray, Dims("knot")]

    def __post_init__(self) -> None:
        freeze(self)
        check_dims(self)

    def __call__(self, proba: np.ndarray) -> np.ndarray:
        """(n, classes) of (n, classes)."""
        proba = np.asarray(proba, float)
        if len(self.knot):
            return self._by_knots(proba)
        z = np.log(np.maximum(proba, TINY)) @ self.weight.T + self.bias
        e = np.exp(z - z.max(1, keepdims=True))
        return np.asarray(e / e.sum(1, keepdims=True))

    def _by_knots(self, proba: np.ndarray) -> np.ndarray:
        raised = np.empty(proba.shape)
        for c in np.unique(self.knot_of):
            own = self.knot_of == c
            raised[:, c] = np.interp(proba[:, c], self.knot[own], self.height[own])
        if proba.shape[1] == 2:
            raised[:, 0] = 1 - raised[:, 1]
        return np.asarray(raised / raised.sum(1, keepdims=True))


@dataclass(frozen=True, kw_only=True)
class Recalibrate(Record):
    """Ways to recalibrate beside the probabilities as they are. Intervals are at 95 %, paired by row where they are of changes,
    and corrected for the long tail of losses.

    ``methods`` begins with "none" and ends with "chosen": the method with the least log loss within the rows that it was
    fitted on, taken anew for each part, so that its numbers allow for the choice.

    Attributes:
        classes, n: of the rows that everything is stated on. fitted_on: how many rows each fit had; crossed: whether the
            rows are the same, each stated by a fit on the other half.
        event: what the calibration error is of: the second of two classes, or "the answer is right".
        log_loss, log_loss_low, log_loss_high: the mean of -log P(true class), and its interval; 0 is best.
        brier, brier_low, brier_high: the squared distance of probabilities and outcome, summed over classes and halved (so
            that of two classes it is that of the second), from 0 to 1.
        ece, ece95, p: calibration error of the event, debiased; its 95 % point under perfect calibration; how often a
            calibrated model has one as large. classwise, classwise95, classwise_p: the mean over all classes.
        accuracy: of the most probable class. changed: rows whose most probable class is another than before.
        log_loss_change, brier_change, accuracy_change: after less before, with ``_low`` and ``_high``.
        grid, frequency: probabilities, and how often the event happens at each after each method (isotonic estimate; nan
            where no probability lies). band_low, band_high: where 95 % of such curves lie if the chosen one is calibrated.
        chosen: the method chosen for new rows. choices: those chosen in the parts. maps: one a method for new rows, fitted
            on all rows given to fit on; of "none" the identity.
    """

    methods: tuple[str, ...]
    about: tuple[str, ...]
    classes: tuple[str, ...]
    n: int
    fitted_on: int
    crossed: bool
    event: str
    replicates: int
    log_loss: PerMethod
    log_loss_low: PerMethod
    log_loss_high: PerMethod
    brier: PerMethod
    brier_low: PerMethod
    brier_high: PerMethod
    ece: PerMethod
    ece95: PerMethod
    p: PerMethod
    classwise: PerMethod
    classwise95: PerMethod
    classwise_p: PerMethod
    accuracy: PerMethod
    changed: PerMethod
    log_loss_change: PerMethod
    log_loss_change_low: PerMethod
    log_loss_change_high: PerMethod
    brier_change: PerMethod
    brier_change_low: PerMethod
    brier_change_high: PerMethod
    accuracy_change: PerMethod
    accuracy_change_low: PerMethod
    accuracy_change_high: PerMethod
    grid: Band
    frequency: Curves
    band_low: Band
    band_high: Band
    chosen: str
    choices: tuple[str, ...]
    maps: tuple[Map, ...]

    def apply(self, proba: np.ndarray, method: str = "chosen") -> np.ndarray:
        """(n, classes) recalibrated probabilities of (n, classes) of new rows of the same model.

        Raises:
            Refused: a method that was not fitted; probabilities of other classes, or no probabilities.
        """
        if method not in self.methods:
            raise unknown("a method of this recalibration", method, self.methods)
        given = np.asarray(proba, float)
        if given.ndim != 2 or given.shape[1] != len(self.classes) or not ((given >= 0) & (given <= 1)).all():
            shape = f"an array of shape {given.shape} from {given.min(initial=0):.3g} to {given.max(initial=0):.3g}"
            raise Refused("recalibrated probabilities", shape, f"(n, {len(self.classes)}) probabilities from 0 to 1")
        return self.maps[self.methods.index(self.chosen if method == "chosen" else method)](given)

    def recalibrated(self, p: Predictions, method: str = "chosen") -> Predictions:
        """New predictions with recalibrated probabilities; the answer is the most probable class. Refused as ``apply``."""
        if p.proba is None or p.classes != self.classes:
            given = "predictions with labels only" if p.proba is None else f"classes {list(p.classes)[:4]}"
            raise Refused("recalibrated predictions", given, f"probabilities of the classes {list(self.classes)[:4]}")
        proba = self.apply(p.proba, method)
        options = {**p.provenance.options, "recalibrated": self.chosen if method == "chosen" else method}
        provenance = replace(p.provenance, options=options)
        return replace(p, proba=proba, label=proba.argmax(1), provenance=provenance)
