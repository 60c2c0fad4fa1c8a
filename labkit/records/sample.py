"""Samples of a generative model, beside what they could have been copied from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np

from labkit.core.record import Dims, Record

Images = Annotated[np.ndarray, Dims("sample", "...")]
Numbers = Annotated[np.ndarray, Dims("sample")]


@dataclass(frozen=True, kw_only=True)
class Samples(Record):
    """What a model makes; with data, the nearest training examples, and as many test examples for comparison.

    Distances and errors are root mean squares over the values of an example, in the data's own unit.

    Attributes:
        x: the samples.
        among: how many training examples were searched; 0 without data, and what follows is then None.
        nearest, distance: the training example nearest to each sample, and how far it is.
        original, usual: test examples, and how far each is from the training example nearest to it: what a distance
            means that comes without copying.
        reconstruction, error: the test examples as the model gives them back, and how far that is; None for a model
            without an encoder.
    """

    x: Images
    among: int = 0
    nearest: Images | None = None
    distance: Numbers | None = None
    original: Images | None = None
    usual: Numbers | None = None
    reconstruction: Images | None = None
    error: Numbers | None = None

    def __len__(self) -> int:
        return len(self.x)
