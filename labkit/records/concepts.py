"""Whether a class's score follows concepts that a person named by examples."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np

from labkit.core.record import Dims, Record

Cell = Annotated[np.ndarray, Dims("concept", "layer")]


@dataclass(frozen=True, kw_only=True)
class Concepts(Record):
    """Concept activation vectors of named concepts at some layers, what a target's score does along them, and the same
    for random sets of examples in the concepts' place.

    Attributes:
        target: the class whose logit is looked at. n: examples at which.
        size: examples of a concept, and of each set it is told from. sets: how many such sets.
        random: sets of examples that stand in a concept's place, for the test.
        accuracy, accuracy_low, accuracy_high: of telling a concept's examples from others, on those held out; 95 %,
            corrected for the overlap of the fits (Nadeau and Bengio).
        encoded: whether the lower end is above 0.5. Where it is not, there is no direction to ask about: "not measured".
        share, share_low, share_high: TCAV: the share of the n examples whose score rises along the concept; Wilson.
        slope: the mean rise of the score along the vector, in logits for one unit (the features' root mean square
            deviation). null_slope, null_share: the same of the random sets.
        p, adjusted: of the slope as one more draw of the random sets' (Student's t, two-sided); corrected over concepts and
            layers (Holm).
        same_slope: (layer,) whether all examples have the same gradient there, so that a share can only be 0 or 1.
    """

    concepts: tuple[str, ...]
    layers: tuple[str, ...]
    classes: tuple[str, ...]
    target: int
    n: int
    size: int
    sets: int
    random: int
    accuracy: Cell
    accuracy_low: Cell
    accuracy_high: Cell
    encoded: Cell
    share: Cell
    share_low: Cell
    share_high: Cell
    slope: Cell
    null_slope: Annotated[np.ndarray, Dims("layer", "random")]
    null_share: Annotated[np.ndarray, Dims("layer", "random")]
    p: Cell
    adjusted: Cell
    same_slope: Annotated[np.ndarray, Dims("layer")]

    @property
    def significant(self) -> np.ndarray:
        """(concept, layer) whether the score follows the concept more than it follows random sets, at 5 % in all."""
        return np.asarray(self.encoded & (self.adjusted <= 0.05))
