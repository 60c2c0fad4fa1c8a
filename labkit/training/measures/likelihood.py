"""How probable a generative model holds unseen images, and how well it reconstructs them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from labkit.core.intervals import mean
from labkit.data.split import Dataset
from labkit.training.measures import Score

if TYPE_CHECKING:
    from labkit.training.recipe import Recipe

LEVELS = 256
STUDENT = "95 %, Student, over test images"


@dataclass(frozen=True)
class Likelihood:
    """Log-likelihood of an image in nats, at least: the mean bound over the first ``n`` test images, from ``codes``
    codes each (see ``Generative.bound``)."""

    n: int = 2000
    codes: int = 32

    def __call__(self, model: Any, data: Dataset, recipe: Recipe) -> Score:
        nats = model.bound(data.test.x[: self.n], codes=self.codes).astype(np.float64)
        return _mean(f"log-likelihood of an image in nats, at least ({self.codes} codes)", nats)


def independent_pixels(model: Any, data: Dataset, recipe: Recipe) -> Score:
    """What a model must beat: the log-likelihood of a test image when each pixel is drawn by itself, with the
    frequencies that its 256 levels have in the training images, one count added to each."""
    train, test = (_levels(part.x) for part in (data.train, data.test))
    counts = np.stack([np.bincount(pixel, minlength=LEVELS) for pixel in train.T]) + 1
    table = np.log(counts / counts.sum(1, keepdims=True))
    nats = table[np.arange(len(table)), test].sum(1)
    return _mean("for comparison, log-likelihood in nats when pixels are independent", nats)


def reconstruction(model: Any, data: Dataset, recipe: Recipe) -> Score:
    """Root mean squared error of a pixel, in the data's own unit, mean over the test images."""
    x = data.test.x
    error = np.square(model.reconstruct(x) - x, dtype=np.float64).reshape(len(x), -1).mean(1)
    return _mean("reconstruction error of a pixel (root mean square)", np.sqrt(error))


def _levels(x: np.ndarray) -> np.ndarray:
    return (x.reshape(len(x), -1) * (LEVELS - 1)).round().astype(np.int64)


def _mean(name: str, values: np.ndarray) -> Score:
    return Score(name, float(values.mean()), *mean(values), len(values), STUDENT)
