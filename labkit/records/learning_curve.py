"""How error falls, or does not, with more examples, more units or more epochs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np

from labkit.core.record import Dims, Record, check_dims, freeze

Points = Annotated[np.ndarray, Dims("point")]
Held = Annotated[np.ndarray, Dims("held")]
Sizes = Annotated[np.ndarray, Dims("size")]
Estimate = tuple[float, float, float]


@dataclass(frozen=True, kw_only=True)
class Law:
    """A power law of the error, E(n) = a n^-b + c, with 95 % intervals over seeds and test rows.

    Attributes:
        a, b, c: scale, exponent and floor, fitted to all points that are not at chance.
        predicted, low, high: what the law that was fitted without the held-out points says of them.
        miss: predicted over measured error at the held-out points, geometric mean, with its interval.
        reach: so many times the largest size as the held-out points lay beyond the fitted ones: further is not told.
        size, error, error_low, error_high: the law along sizes up to there.
        doubled: how much lower the error would be with twice the rows.
    """

    a: Estimate
    b: Estimate
    c: Estimate
    predicted: Held
    low: Held
    high: Held
    miss: Estimate
    reach: float
    size: Sizes
    error: Sizes
    error_low: Sizes
    error_high: Sizes
    doubled: Estimate

    def __post_init__(self) -> None:
        freeze(self)
        check_dims(self)


@dataclass(frozen=True, kw_only=True)
class Need:
    """How many training rows a wanted accuracy takes, by the law; what training on them takes, ``LearningCurve.cost`` says.

    Attributes:
        wanted: the accuracy.
        rows: with a 95 % interval; infinite where it lies further off than the law is told.
        most: rows beyond which nothing is told.
    """

    wanted: float
    rows: Estimate
    most: float


@dataclass(frozen=True, kw_only=True)
class Peak:
    """The highest point of the test error that has lower ones on both sides, as in double descent.

    Attributes:
        at: where it is, with the 95 % of places where seeds and rows may put it; nan where no point has lower ones on both
            sides.
        height: how far it stands above the lower points on the side where they lie higher.
        p: how often seeds and rows alone show so high a peak on a curve that only falls and then rises.
        threshold: where the model has as many numbers as the task has equations (rows times classes); nan for epochs.
        fits: the first point from which on the training error is at most 1 of 100; nan where there is none.
    """

    at: Estimate
    height: float
    p: float
    threshold: float
    fits: float


@dataclass(frozen=True, kw_only=True)
class LearningCurve(Record):
    """Training and test error at several sizes, each with several seeds. Intervals are at 95 %.

    Attributes:
        along: "examples", "width" or "epochs".
        metric: "error", the share of wrong answers, or "loss".
        learner, about: what was trained, and how, in words.
        rows: training rows on offer; ``n``: test rows, 0 where a training record does not say how many.
        noise: the share of the training labels that were made wrong on purpose.
        chance: the test error of always answering the class most frequent there; nan for a loss.
        point: the sizes: training rows, units or epochs.
        train, test: of each seed.
        train_low, train_high, test_low, test_high: of the mean over seeds, nan for one seed.
        best: the point with the least test value, with the 95 % of points that may have it; nan for one seed.
        role: of each point: "fitted", "held out", "at chance" or "shown".
        law: None along width and epochs, and where ``untold`` says why there is none.
        told: whether the law may be read beyond the largest size. ``untold`` says why not.
        need: what the wanted accuracy takes, where one was wanted and the law is told.
        peak: None along examples.
        passes: examples that went forwards and back to train one model at each point. flops: operations of their matrix
            products and convolutions, a pass back as two forward; nan where torch cannot count them.
        seconds: of one model, as one of those that were trained together.
        watts, energy: the power that energy is estimated from, and how.
    """

    along: str
    metric: str
    learner: str
    about: str
    rows: int
    n: int
    noise: float
    chance: float
    point: Points
    train: Annotated[np.ndarray, Dims("point", "seed")]
    test: Annotated[np.ndarray, Dims("point", "seed")]
    train_low: Points
    train_high: Points
    test_low: Points
    test_high: Points
    best: Estimate
    role: Points
    law: Law | None
    told: bool
    untold: str
    need: Need | None
    peak: Peak | None
    passes: Points
    flops: Points
    seconds: Points
    watts: float
    energy: str

    @property
    def gap(self) -> np.ndarray:
        """(point,) test minus training value, mean over seeds."""
        return np.asarray((self.test - self.train).mean(1))

    @property
    def seeds(self) -> int:
        """How many models were trained at each point."""
        return self.test.shape[1]

    def cost(self, rows: float) -> dict[str, float]:
        """Passes, flops, seconds and joules of training one model on so many rows, in proportion to the largest point."""
        times = rows / self.point[-1]
        seconds = float(self.seconds[-1]) * times
        passes, flops = float(self.passes[-1]) * times, float(self.flops[-1]) * times
        return {"passes": passes, "flops": flops, "seconds": seconds, "joules": seconds * self.watts}
