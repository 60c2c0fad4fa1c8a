"""What excites a unit of an image model most, and what that is worth."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np

from labkit.core.record import Dims, Record

Unit = Annotated[np.ndarray, Dims("unit")]
Starts = Annotated[np.ndarray, Dims("unit", "start")]
Images = Annotated[np.ndarray, Dims("unit", "start", "...")]
Single = Annotated[np.ndarray, Dims("unit", "...")]


@dataclass(frozen=True, kw_only=True)
class FeatureVisualization(Record):
    """Images made to excite units of a layer, from several starts, beside real images and a model with random weights.

    A unit is a channel, by the mean over its places, or a class, by its logit.

    Attributes:
        layer, units, names: what is excited; names are of classes or "channel 3".
        images, reached: the images made and how far they excite the unit.
        noise: the activations at the starts, images with the data's spectrum and random phases.
        searched: real images looked at. best, best_image: the most that one of them excites the unit, and that one.
        usual: the unit's mean over the real images, spread: its standard deviation.
        similarity: the mean correlation between a unit's images from different starts; nan for one start.
        random_images, random_reached, random_best, random_usual, random_spread: the same with random weights, first start.
    """

    layer: str
    units: Annotated[np.ndarray, Dims("unit")]
    names: tuple[str, ...]
    images: Images
    reached: Starts
    noise: Starts
    searched: int
    best: Unit
    best_image: Single
    usual: Unit
    spread: Unit
    similarity: Unit
    random_images: Single
    random_reached: Unit
    random_best: Unit
    random_usual: Unit
    random_spread: Unit

    @property
    def standardized(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(unit,) how many standard deviations over the usual lie the best real image, the images made (mean of the
        starts), and the image made for random weights."""
        spread, other = (np.maximum(s, 1e-12) for s in (self.spread, self.random_spread))
        made = (self.reached.mean(1) - self.usual) / spread
        return (self.best - self.usual) / spread, made, (self.random_reached - self.random_usual) / other
