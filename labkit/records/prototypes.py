"""Examples that stand for a data set, and those that they do not stand for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np

from labkit.core.record import Dims, Record

Chosen = Annotated[np.ndarray, Dims("class", "prototype")]
Criticized = Annotated[np.ndarray, Dims("class", "criticism")]


@dataclass(frozen=True, kw_only=True)
class Prototypes(Record):
    """Prototypes and criticisms of each class in a layer's feature space, and what the prototypes are worth.

    Attributes:
        layer: where examples are compared. gamma: (class,) of the kernel exp(-gamma d^2).
        classes: those that are shown. n: examples chosen from, by class.
        index, criticism: numbers of the chosen examples; prototypes in the order in which they were found.
        predicted, criticism_predicted: the model's answers to them, as numbers of ``answers``.
        answers: the names of all classes that the model knows.
        cover: (class, prototype) the kernel distance (squared maximum mean discrepancy) that is left between the class
            and its prototypes so far; random_cover: that of as many random examples, mean of the draws.
        tested: test examples; 0 where none were given, and what follows is then nan.
        accuracy: (value, low, high) of the nearest prototype's class on them, Wilson.
        random: (draw,) the same of random examples, as many of each class.
        better: (value, low, high) accuracy minus that of a mean random draw; the interval is over test examples.
        model_accuracy: the model's own.
    """

    layer: str
    classes: tuple[str, ...]
    answers: tuple[str, ...]
    gamma: Annotated[np.ndarray, Dims("class")]
    n: Annotated[np.ndarray, Dims("class")]
    index: Chosen
    criticism: Criticized
    predicted: Chosen
    criticism_predicted: Criticized
    cover: Chosen
    random_cover: Chosen
    tested: int
    accuracy: tuple[float, float, float]
    random: Annotated[np.ndarray, Dims("draw")]
    better: tuple[float, float, float]
    model_accuracy: float
    pictures: Annotated[np.ndarray, Dims("class", "prototype", "...")] | None = None
    criticism_pictures: Annotated[np.ndarray, Dims("class", "criticism", "...")] | None = None
    texts: tuple[tuple[str, ...], ...] = ()
    criticism_texts: tuple[tuple[str, ...], ...] = ()
